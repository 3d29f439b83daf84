"""The only door to native code: parallel loops over C kernels, threads, instruction sets."""

from ._topk import FEW_QUERIES
from .als import Sweep, fold_in, half_sweep, normal_matrix, objective
from .biases import Biased, biased_half_sweep, with_ones
from .bpr import EpochSums, PairwiseFoldIn, PairwiseSGD, Rates, epoch_key
from .config import current_isa, show_config, use_isa
from .lmf import Fixed, Learned, LmfSide, lmf_half_sweep, lmf_sides, row_keys
from .paths import row_paths
from .product import product_topk
from .ratings import RatingSGD
from .rows import padded
from .sides import Side, make_sides, scaled_lambda
from .spans import query_blocks
from .threads import resolve_num_threads, single_threaded_blas, threads_in_words
from .topk import NO_ID, Entries, NormOrder, norm_order, norms, topk

__all__ = [
    "FEW_QUERIES",
    "NO_ID",
    "Biased",
    "Entries",
    "EpochSums",
    "Fixed",
    "Learned",
    "LmfSide",
    "NormOrder",
    "PairwiseFoldIn",
    "PairwiseSGD",
    "Rates",
    "RatingSGD",
    "Side",
    "Sweep",
    "biased_half_sweep",
    "current_isa",
    "epoch_key",
    "fold_in",
    "half_sweep",
    "lmf_half_sweep",
    "lmf_sides",
    "make_sides",
    "norm_order",
    "normal_matrix",
    "norms",
    "objective",
    "padded",
    "product_topk",
    "query_blocks",
    "resolve_num_threads",
    "row_keys",
    "row_paths",
    "scaled_lambda",
    "show_config",
    "single_threaded_blas",
    "threads_in_words",
    "topk",
    "use_isa",
    "with_ones",
]


# TEMPORARY SHIM
from . import als as _a, biases as _b  # noqa
Factors = _b.Biased


class Workspace:
    @classmethod
    def of(cls, *a):
        return cls()


def half_sweep(side, fixed, start, out, *, mean=0.0, workspace=None, **options):  # noqa
    if start is None:
        start = out
    if out.biases is not None:
        return _b.biased_half_sweep(side, fixed, start, out, mean, **options)
    import numpy as np
    f = fixed.factors.copy()
    sw = _a.half_sweep(side, f, start.factors, out.factors, scratch=np.empty_like(f) if side.places is not None else None, start_basis=None, **options)
    _a.rotate_back(out.factors, sw.basis, options.get("num_threads", 0))
    return sw


def fold_in(signed, fixed, *w, mean=0.0, ratings=False, start=None, cg_steps=3):  # noqa
    import numpy as np
    if fixed.biases is None:
        return Factors(_a.fold_in(signed, fixed.factors, *w, ratings=ratings, start=start, cg_steps=cg_steps), None)
    s = _a.fold_in(signed, _b.with_ones(fixed.factors), *w, offsets=(fixed.biases + mean).astype(fixed.factors.dtype), ratings=ratings)
    return Factors(np.ascontiguousarray(s[:, :-1]), s[:, -1].copy())
