"""SLIM: every item predicted from few others, by sparse regressions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks, csr, kernels
from recsys.models import item_weights
from recsys.models.in_file import Saved
from recsys.models.item_weights import ItemWeights, check_liked, liked, nonzero
from recsys.models.model import Model
from recsys.models.training import warn

if TYPE_CHECKING:
    from scipy import sparse


class SLIM(Model):
    """Sparse linear method: each item's column, predicted from those of few others.

    With X the matrix of users x items, 1 where a user has an item, and x_j its columns, an item's
    weights minimize

    ``|x_j - sum_c w_c x_c|^2 / 2 + regularization |w|^2 / 2 + l1_regularization |w|_1``

    over its candidates c, the `k` items that most users have beside it, never itself. A score is
    the sum of the weights that an item has for what is in the user's history. Items are solved for
    one by one, by coordinate descent in double precision. Of `EASE` this is the sparse form, for
    catalogues that are too large for its dense matrix: the two are the same with all items as
    candidates, ``l1_regularization=0`` and ``nonnegative=False``.

    A fit takes 8 bytes for each item and candidate, and time in proportion to the pairs that
    candidates have in common, a popular item being a candidate of many; but where 8 bytes for each
    pair of items are at most 1 GB, that is a matter of seconds.

    Parameters
    ----------
    k : int, default 200
        Candidates of an item, at least 1. All other items, if there are no more than that.
    l1_regularization : float, default 0.1
        What makes weights zero.
    regularization : float, default 80.0
        Lambda, of squared weights.
    weighted : bool, default False
        Whether X has the counts themselves. By default an entry > 0 is 1, and any other is 0.
    nonnegative : bool, default True
        Whether weights below zero are left out, as in the paper.
    iterations : int, default 100
        Sweeps over the weights of an item at most, at least 1. A `NumericalWarning` says how many
        items would have taken more.
    tolerance : float, default 0.001
        Sweeps end when no weight moves by more than this times the largest.
    dtype : np.float32 or np.float64, default np.float32
        Type of weights and scores.
    num_threads : int, default 0
        0 means all that this process may use. The result does not depend on it, bit for bit.

    References
    ----------
    X. Ning, G. Karypis, "SLIM: sparse linear methods for top-N recommender systems", ICDM 2011,
    equation 4.
    J. Friedman, T. Hastie, R. Tibshirani, "Regularization paths for generalized linear models via
    coordinate descent", Journal of Statistical Software 33(1), 2010, section 2.2.

    Examples
    --------
    >>> import scipy.sparse
    >>> plays = scipy.sparse.csr_array([[5, 3, 0, 0], [4, 0, 0, 0], [0, 0, 2, 9]])
    >>> model = SLIM(k=3, regularization=1.0).fit(plays)
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
    _to_file = item_weights.sparse_file
    _item_weights: ItemWeights | None = None

    def __init__(
        self,
        k: int = 200,
        *,
        l1_regularization: float = 0.1,
        regularization: float = 80.0,
        weighted: bool = False,
        nonnegative: bool = True,
        iterations: int = 100,
        tolerance: float = 1e-3,
        dtype: Any = np.float32,
        num_threads: int = 0,
    ) -> None:
        self.k = k
        self.l1_regularization = l1_regularization
        self.regularization = regularization
        self.weighted = weighted
        self.nonnegative = nonnegative
        self.iterations = iterations
        self.tolerance = tolerance
        self.dtype = dtype
        self.num_threads = num_threads

    @property
    def item_weights(self) -> sparse.csr_array:
        """B, n_items x n_items: what item i of a history adds to the score of item j."""
        from scipy import sparse

        self._known_shape()
        b = self._item_weights.votes  # with index arrays of types that SciPy does not mix
        return sparse.csr_array((b.data, b.indices, b.indptr), shape=b.shape, copy=True)

    def _learned(self, counts: sparse.csr_array, show_progress: bool) -> tuple[ItemWeights, str]:
        users = nonzero(self._as_history(counts))
        check_liked(users, counts)
        chosen = kernels.candidates(users, self.k, self.num_threads)
        items = kernels.transposed(users, self.num_threads)
        del users
        weights, unsettled = kernels.slim(
            items,
            chosen,
            l1=self.l1_regularization,
            l2=self.regularization,
            nonnegative=self.nonnegative,
            tolerance=self.tolerance,
            sweeps=self.iterations,
            num_threads=self.num_threads,
        )
        similarity = _weights_by_item(weights, chosen, self.num_threads)
        del weights, chosen
        learned = self._by(similarity, counts.shape)
        if unsettled:
            warn(
                f"the weights of {unsettled} of {counts.shape[1]} items still moved after "
                f"{self.iterations} iterations: raise iterations, tolerance or regularization"
            )
        return learned, f"{similarity.nnz:,} weights"

    def _as_history(self, counts: sparse.csr_array) -> sparse.csr_array:
        return liked(counts, self.weighted)

    def _from_file(self, saved: Saved) -> dict[str, Any]:
        similarity, shape = item_weights.similarity_in_file(self, saved)
        return {"_item_weights": self._by(similarity, shape)}

    def _by(self, similarity: sparse.csr_array, shape: tuple[int, int]) -> ItemWeights:
        """What follows from the weights."""
        return ItemWeights(kernels.transposed(similarity, self.num_threads), shape, similarity)

    def _check_parameters(self) -> np.dtype:
        checks.integer("k", self.k, 1)
        checks.number("l1_regularization", self.l1_regularization, least=0)
        checks.number("regularization", self.regularization, least=0)
        checks.flag("weighted", self.weighted)
        checks.flag("nonnegative", self.nonnegative)
        checks.integer("iterations", self.iterations, 1)
        checks.number("tolerance", self.tolerance, least=0)
        checks.integer("num_threads", self.num_threads, 0)
        return checks.floating_dtype(self.dtype)


def _weights_by_item(
    weights: np.ndarray, candidates: np.ndarray, num_threads: int
) -> sparse.csr_array:
    """What is not zero, a row for each item, in canonical form."""
    kept = weights != 0
    indptr = np.append(0, np.cumsum(np.count_nonzero(kept, axis=1)))
    shape = (len(weights), len(weights))
    unordered = csr.assemble(weights[kept], candidates[kept], indptr, shape)
    return kernels.transposed(kernels.transposed(unordered, num_threads), num_threads)
