"""implicit.cpu"""

from . import _als, als, bpr, lmf, matrix_factorization_base, topk

__all__ = ["_als", "als", "bpr", "lmf", "matrix_factorization_base", "topk"]
