"""EASE: every item predicted from all others by ridge regression, in closed form."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr, kernels, memory
from recsys.interactions.read_only import read_only
from recsys.models import item_weights
from recsys.models.in_file import Saved
from recsys.models.item_weights import ItemWeights, check_liked, liked, nonzero, shape_in_file
from recsys.models.model import Model
from recsys.progress import progress_bar

if TYPE_CHECKING:
    from scipy import sparse

_PROBES = 4  # vectors that the inverse is tried on
_MOST_OFF = 0.01  # of their length that they may come back with
_TRIAL = 1024  # rows of the product that tells how fast this machine is


def fit_memory(shape: tuple[int, int], dtype: Any = np.float32) -> int:
    """Bytes that a fit of so many users and items takes beside its data, about."""
    n_users, n_items = shape
    entries = n_items**2 + (n_users**2 if _by_users(shape) else 0)
    blocks = 4 * min(kernels.BLOCK, n_items) * max(shape)
    return np.dtype(dtype).itemsize * (entries + blocks)


def _by_users(shape: tuple[int, int]) -> bool:
    """Whether it pays to invert a matrix of users: at most 9/16 of the memory again, for less than
    half the work."""
    return 4 * shape[0] <= 3 * shape[1]


class EASE(Model):
    """Embarrassingly shallow autoencoder: a linear model of items on items, in closed form.

    With X the matrix of users x items, 1 where a user has an item, the weights minimize

    ``|X - X B|^2 + regularization |B|^2``  with a diagonal of zeros,

    for which there is a formula: ``P = (X'X + regularization I)^-1``, ``B_ij = -P_ij / P_jj``. A
    user's scores are ``x_u B``. Nothing is drawn and nothing repeated: there is one parameter.

    The matrix inverted is items x items and dense: a fit takes 4 bytes for each pair of items and
    some hundred MB more, and n_items^3 operations. Where users are at most three quarters as many,
    a matrix of users x users is inverted beside it, which is quicker. Memory and time are in the
    log before a fit starts, and it does not start where memory would not do. About 30,000 items are
    what a machine of 16 GB is good for; `SLIM` is the same with few weights an item.

    Parameters
    ----------
    regularization : float, default 200.0
        Lambda, greater than 0.
    weighted : bool, default False
        Whether X has the counts themselves. By default an entry > 0 is 1, and any other is 0.
    dtype : np.float32 or np.float64, default np.float32
        Type of the weights and of the arithmetic. Whether it was enough is looked at after each
        fit: X'X + lambda I, multiplied by its inverse, has to leave vectors as they are, to 1 %.
    num_threads : int, default 0
        0 means all that this process may use. The result does not depend on it, bit for bit.

    References
    ----------
    H. Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019, arXiv:1905.03375,
    equations 5 to 8.

    Examples
    --------
    >>> import scipy.sparse
    >>> plays = scipy.sparse.csr_array([[5, 3, 0, 0], [4, 0, 0, 0], [0, 0, 2, 9]])
    >>> model = EASE(1.0).fit(plays)
    >>> model.recommend(1, N=1)[0]
    array([1], dtype=int32)
    """

    # Written as functions of a model, which a class takes for its methods
    fit = item_weights.fit
    partial_fit = item_weights.partial_fit
    explain = item_weights.explain
    _known_shape = item_weights.known_shape
    _lists = item_weights.lists
    _pair_scores = item_weights.pair_scores
    _similar = item_weights.similar
    _with_history = item_weights.with_history
    _missed_without_history = item_weights.MISSED_WITHOUT_HISTORY
    _item_weights: ItemWeights | None = None

    def __init__(
        self,
        regularization: float = 200.0,
        *,
        weighted: bool = False,
        dtype: Any = np.float32,
        num_threads: int = 0,
    ) -> None:
        self.regularization = regularization
        self.weighted = weighted
        self.dtype = dtype
        self.num_threads = num_threads

    @property
    def item_weights(self) -> np.ndarray:
        """B, n_items x n_items: what item i of a history adds to the score of item j; read-only."""
        self._known_shape()
        return read_only(self._item_weights.votes)

    def _learned(self, counts: sparse.csr_array, show_progress: bool) -> tuple[ItemWeights, str]:
        x = nonzero(self._as_history(counts))
        check_liked(x, counts)
        by_users = _by_users(x.shape)
        self._say_costs(x.shape)
        with np.errstate(over="ignore", invalid="ignore"):  # looked at
            p = self._inverse_by_users(x) if by_users else self._inverse(x, show_progress)
            off = self._off(x, p)
            if by_users and not off <= _MOST_OFF:  # its error grows by the square of the condition
                del p
                p = self._inverse(x, show_progress)
                off = self._off(x, p)
        if not off <= _MOST_OFF:
            raise self._too_ill(f"multiplied by its inverse it is off by {100 * off:.2g} %")
        diagonal = p.diagonal().copy()
        p /= -diagonal
        np.fill_diagonal(p, 0)
        return ItemWeights(p, counts.shape), f"{p.size:,} weights, off by {off:.1g},"

    def _say_costs(self, shape: tuple[int, int]) -> None:
        """Memory and time to the log; MemoryError where there is less."""
        needed = fit_memory(shape, self.dtype)
        narrower = "dtype=np.float32 or " if np.dtype(self.dtype).itemsize == 8 else ""
        memory.require(
            needed,
            f"EASE of {shape[1]:,} items",
            "a dense matrix of items x items",
            f"Use {narrower}recsys.SLIM, which keeps few weights an item, leave out rare items, or "
            "take a larger machine",
        )
        inverted = shape[0] if _by_users(shape) else shape[1]
        trial = np.ones((min(_TRIAL, inverted),) * 2, self.dtype)
        began = time.perf_counter()
        with kernels.single_threaded_blas():
            trial @ trial
        rate = 2 * len(trial) ** 3 / (time.perf_counter() - began)
        seconds = inverted**3 / rate / kernels.resolve_num_threads(self.num_threads)
        self._log(
            "inverts %s x %s: %.3g GB and about %.2g s",
            *(f"{inverted:,}", f"{inverted:,}", needed / 1e9, seconds),
        )

    def _inverse(self, x: sparse.csr_array, show_progress: bool) -> np.ndarray:
        """(X'X + lambda I)^-1."""
        items = kernels.transposed(x, self.num_threads)
        p = kernels.dense_gramian(items, self.regularization, self.num_threads)
        with progress_bar(show_progress, total=len(p), unit=" items") as bar:
            self._invert(p, bar.update)
        return p

    def _inverse_by_users(self, x: sparse.csr_array) -> np.ndarray:
        """The same by way of users: (I - X' M X) / lambda with M = (X X' + lambda I)^-1."""
        m = kernels.dense_gramian(x, self.regularization, self.num_threads)
        self._invert(m)
        items, n_items = kernels.transposed(x, self.num_threads), x.shape[1]
        p = np.empty((n_items, n_items), m.dtype)
        for begin in range(0, n_items, kernels.BLOCK):
            some = np.arange(begin, min(begin + kernels.BLOCK, n_items))
            part = kernels.sparse_times_dense(csr.take_rows(items, some), m, self.num_threads)
            part = np.ascontiguousarray(part.T)
            p[some] = kernels.sparse_times_dense(items, part, self.num_threads).T
        np.negative(p, out=p)
        p[np.diag_indices(n_items)] += 1
        p /= p.dtype.type(self.regularization)
        return p

    def _invert(self, matrix: np.ndarray, tell: Any = lambda rows: None) -> None:
        try:
            kernels.invert(matrix, self.num_threads, tell)
        except FloatingPointError as error:
            raise self._too_ill(str(error)) from None

    def _off(self, x: sparse.csr_array, p: np.ndarray) -> float:
        """How far (X'X + lambda I) P is from leaving some vectors as they are, relative to them."""
        vectors = np.random.default_rng(0).choice([-1.0, 1.0], (len(p), _PROBES))
        image = np.concatenate([
            p[begin : begin + kernels.BLOCK].astype(np.float64) @ vectors
            for begin in range(0, len(p), kernels.BLOCK)
        ])  # fmt: skip
        x = x.astype(np.float64)
        rest = x.T @ (x @ image) + self.regularization * image - vectors
        return float(np.linalg.norm(rest, axis=0).max() / np.sqrt(len(p)))

    def _too_ill(self, what: str) -> FloatingPointError:
        wider = "" if np.dtype(self.dtype).itemsize == 8 else " or use dtype=np.float64"
        return FloatingPointError(
            f"X'X + {self.regularization:g} I is too ill conditioned for "
            f"{np.dtype(self.dtype).name}: {what}. Raise regularization{wider}"
        )

    def _as_history(self, counts: sparse.csr_array) -> sparse.csr_array:
        return liked(counts, self.weighted)

    def _to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"shape": self._known_shape()}, {"item_weights": self._item_weights.votes}

    def _from_file(self, saved: Saved) -> dict[str, Any]:
        weights = saved.arrays["item_weights"]
        shape = shape_in_file(saved.header, len(weights))
        whole = checks.factor_matrix("item_weights", weights, checks.floating_dtype(self.dtype))
        if whole.shape[1] != shape[1]:
            raise ValueError(f"item_weights has shape {whole.shape}; expected a square")
        return {"_item_weights": ItemWeights(whole, shape)}

    def _check_parameters(self) -> np.dtype:
        checks.number("regularization", self.regularization, above=0)
        checks.flag("weighted", self.weighted)
        checks.integer("num_threads", self.num_threads, 0)
        return checks.floating_dtype(self.dtype)
