"""implicit.gpu: recsys runs on CPUs only."""

from . import als, bpr, matrix_factorization_base
from .matrix_factorization_base import no_gpu

HAS_CUDA = False
HAS_RMM = False

__all__ = ["HAS_CUDA", "HAS_RMM", "als", "bpr", "matrix_factorization_base", "no_gpu"]
