"""The only door to native code: parallel loops over C kernels, threads, instruction sets."""

from ._als import gramian_groups
from ._keys import event_columns, find_keys, key_table, number_keys, texts
from .als import Sweep, fold_in, half_sweep, normal_matrix
from .bpr import EpochSums, PairwiseFoldIn, PairwiseSGD, Rates, epoch_key
from .config import current_isa, show_config, use_isa
from .entries import first_entries, transposed
from .factors import Factors, Workspace
from .feature_prior import FeaturePrior
from .hybrid import FeatureRows, HybridOptions, HybridSGD, LearnedFeatures, Samples
from .inverse import BLOCK, dense_gramian, invert, sparse_times_dense
from .lmf import Fixed, Learned, LmfSide, lmf_half_sweep, lmf_sides, row_keys
from .momentum import Momentum
from .neighbors import neighbors_topk
from .nonnegative import nonnegative_fold_in, nonnegative_half_sweep, nonnegative_rows
from .objective import objective
from .paths import is_exact, row_paths
from .prior import Prior
from .product import product_topk
from .ratings import RatingSGD
from .reference.rng import draw
from .rows import on_line, padded
from .sides import Side, both_lambdas, make_side, make_sides, scaled_lambda, some_users
from .slim import candidates, slim
from .solve import Solved, column_sums, gramian, rotate, solve_rows, spectrum
from .spans import query_blocks
from .spectral import spectral_start
from .summed import equation_numbers, equations, solve_summed
from .threads import in_threads, resolve_num_threads, single_threaded_blas, threads_in_words
from .topk import (
    FEW_QUERIES,
    NO_ID,
    Entries,
    NormOrder,
    can_code,
    code,
    norm_order,
    norms,
    topk,
)

__all__ = [
    "BLOCK",
    "FEW_QUERIES",
    "NO_ID",
    "Entries",
    "EpochSums",
    "Factors",
    "FeaturePrior",
    "FeatureRows",
    "Fixed",
    "HybridOptions",
    "HybridSGD",
    "Learned",
    "LearnedFeatures",
    "LmfSide",
    "Momentum",
    "NormOrder",
    "PairwiseFoldIn",
    "PairwiseSGD",
    "Prior",
    "Rates",
    "RatingSGD",
    "Samples",
    "Side",
    "Solved",
    "Sweep",
    "Workspace",
    "both_lambdas",
    "can_code",
    "candidates",
    "code",
    "column_sums",
    "current_isa",
    "dense_gramian",
    "draw",
    "epoch_key",
    "equation_numbers",
    "equations",
    "event_columns",
    "find_keys",
    "first_entries",
    "fold_in",
    "gramian",
    "gramian_groups",
    "half_sweep",
    "in_threads",
    "invert",
    "is_exact",
    "key_table",
    "lmf_half_sweep",
    "lmf_sides",
    "make_side",
    "make_sides",
    "neighbors_topk",
    "nonnegative_fold_in",
    "nonnegative_half_sweep",
    "nonnegative_rows",
    "norm_order",
    "normal_matrix",
    "norms",
    "number_keys",
    "objective",
    "on_line",
    "padded",
    "product_topk",
    "query_blocks",
    "resolve_num_threads",
    "rotate",
    "row_keys",
    "row_paths",
    "scaled_lambda",
    "show_config",
    "single_threaded_blas",
    "slim",
    "solve_rows",
    "solve_summed",
    "some_users",
    "sparse_times_dense",
    "spectral_start",
    "spectrum",
    "texts",
    "threads_in_words",
    "topk",
    "transposed",
    "use_isa",
]
