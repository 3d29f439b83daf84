"""The NumPy twin of every kernel: the same names and signatures, float64, written for clarity.

They are the specification; the tests hold the kernels to them.
"""

from .als import (
    als_equations,
    als_loss,
    als_rows,
    als_summed_rows,
    column_sums,
    gramian,
    rotate,
    weighted_squares,
)
from .bpr import bpr_cells
from .entries import count_columns, renumber, take_rows, transpose
from .hybrid import hybrid_steps
from .lmf import lmf_rows
from .neighbors import neighbors_head, neighbors_pairs, neighbors_topk, neighbors_transpose
from .nonnegative import als_nonnegative_rows
from .product import product_topk, spmm
from .ratings import ratings_cells
from .slim import slim_rows
from .topk import code_runs, topk

__all__ = [
    "als_equations",
    "als_loss",
    "als_nonnegative_rows",
    "als_rows",
    "als_summed_rows",
    "bpr_cells",
    "code_runs",
    "column_sums",
    "count_columns",
    "gramian",
    "hybrid_steps",
    "lmf_rows",
    "neighbors_head",
    "neighbors_pairs",
    "neighbors_topk",
    "neighbors_transpose",
    "product_topk",
    "ratings_cells",
    "renumber",
    "rotate",
    "slim_rows",
    "spmm",
    "take_rows",
    "topk",
    "transpose",
    "weighted_squares",
]
