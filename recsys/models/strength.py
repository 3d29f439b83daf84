"""How much is to stand against a feature: kappa of the ridge of `recsys.models.ridge`.

It is chosen by cross-validation over rows. Of what the ridge of others expects of a row two things
are asked. It is what the row is drawn to, and should be near in scores for all of the other side:
``|(y - m) (X'X)^(1/2)|^2``, m being what is expected. And it is what lists go by where nothing else
is known: rows of items are listed to users, among each other, and rows of users are listed items.
The kappa counts that has the least error for its NDCG. The error alone asks for more of it than
lists do where rows are of many dimensions and have few entries, as most of an error is then of what
no feature can say; and lists alone go by the few items that are in most of them.

Ratings have no such lists, and of few rows these tell little: there it is the error alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import csr, kernels
from recsys.models.ridge import Equations

if TYPE_CHECKING:
    from scipy import sparse

STRENGTHS = (1e3, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1)  # to choose from
_FOLDS = 3
_ROWS = 20_000  # of a fold
_TOLERANCE = 1e-2  # of conjugate gradients
_DIRECTIONS = 16  # in which errors of scores are measured
_FEWEST = 500  # rows that lists tell something of
_LISTED = 3_000  # rows held out that are enough of them
_USERS, _LENGTH = 2_000, 100  # whose lists are looked at, at most, and how long these are


@kernels.single_threaded_blas()
def chosen_strength(
    model: Any,
    side: str,
    features: sparse.csr_array,
    rows: kernels.Factors,
    others: kernels.Factors,
    entries: sparse.csr_array,
) -> float:
    """kappa of the ridge of what a model has learned of a side's rows; see the module.

    Parameters
    ----------
    model : which gives `num_threads`, and whether entries are ratings
    side : "users" or "items"
    features : csr_array, n x p
    rows, others : Factors
        Of the n rows, and of the m of the other side.
    entries : csr_array, n x m
        Rows without are left out.

    Returns
    -------
    float
        One of `STRENGTHS`; the same for any number of threads.
    """
    there = np.flatnonzero(np.diff(entries.indptr))
    if len(there) < 2:
        return STRENGTHS[0]
    random = np.random.default_rng(0)  # the same rows and directions in every fit
    by_lists = not model._ratings and len(there) >= _FEWEST
    targets = rows.whole(there).astype(np.float64)
    root = _directions(_scored_by(others, rows.biases is not None, model.num_threads), random)
    lists = None
    if by_lists:
        liked = csr.take_rows(csr.keep(entries, entries.data > 0), there)
        lists = _Lists(side, liked, others, random, model.num_threads)
    else:
        targets, root = targets @ root, np.eye(root.shape[1])
    order, enough = random.permutation(len(there))[: _FOLDS * _ROWS], len(there)
    folds, held = [], 0
    for some in np.array_split(order, min(_FOLDS, len(order))):
        if held < (_LISTED if by_lists else enough):
            folds.append(_Fold(csr.take_rows(features, there), targets, order, np.sort(some)))
            held += len(some)
    return _best(folds, root, lists)


def _best(folds: list[_Fold], root: np.ndarray, lists: _Lists | None) -> float:
    """From the strongest on, kappa falls as long as that helps."""
    costs: list[float] = []
    for strength in STRENGTHS:
        error = gain = 0.0
        for fold in folds:
            expected = fold.expected(strength)
            error += float(np.sum(((fold.targets - expected) @ root) ** 2))
            gain += 1.0 if lists is None else lists.ndcg(fold.rows, expected)
        cost = error / gain if gain else np.inf
        if costs and cost > costs[-1]:
            break
        costs.append(cost)
    return STRENGTHS[len(costs) - 1]


class _Fold:
    """Rows that are held out, and the ridge of the others in `order`."""

    def __init__(
        self,
        features: sparse.csr_array,
        targets: np.ndarray,
        order: np.ndarray,
        rows: np.ndarray,
    ) -> None:
        kept = np.setdiff1d(order, rows)
        self.rows, self.targets = rows, targets[rows]
        self._features = csr.take_rows(features, rows)
        self._equations = Equations(csr.take_rows(features, kept), targets[kept])
        self._weights = np.zeros(self._equations.right.shape)

    def expected(self, strength: float) -> np.ndarray:
        """Of the rows held out; begins where the last strength ended."""
        self._weights = self._equations.solved(strength, self._weights, _TOLERANCE)
        return self._features @ self._weights + self._equations.constant(self._weights)


class _Lists:
    """What lists are worth that go by what rows are expected to be."""

    def __init__(
        self,
        side: str,
        liked: sparse.csr_array,
        others: kernels.Factors,
        random: np.random.Generator,
        num_threads: int,
    ) -> None:
        self._of_users, self._liked, self._others = side == "users", liked, others
        self._place = random.permutation(max(liked.shape))  # users are looked at in this order
        self._threads = num_threads

    def ndcg(self, rows: np.ndarray, expected: np.ndarray) -> float:
        """The sum over users who like some of what is listed."""
        from recsys.evaluation import lists, metrics  # not before it is asked for

        relevant, (others, biases) = csr.take_rows(self._liked, rows), self._others
        queries, items = others, expected.astype(others.dtype)
        if self._of_users:
            queries = items[:, : others.shape[1]]
            items = others if biases is None else np.column_stack([others, biases])
        else:
            relevant = kernels.transposed(relevant, self._threads)
        users = np.flatnonzero(np.diff(relevant.indptr))
        users = np.sort(users[np.argsort(self._place[users])[:_USERS]])
        if not len(users):
            return 0.0
        queries, items = map(np.ascontiguousarray, (queries[users], items))
        length = min(_LENGTH, len(items))
        best, _ = kernels.topk(queries, items, length, num_threads=self._threads)
        judged = lists.judge(best, csr.take_rows(relevant, users))
        return float(metrics.ndcg(judged, _LENGTH).sum())


def _scored_by(others: kernels.Factors, has_biases: bool, num_threads: int) -> np.ndarray:
    """X'X of what rows are multiplied with in scores; a bias is multiplied with 1."""
    factors = others.factors
    if has_biases:
        factors = np.column_stack([factors, np.ones(len(factors), factors.dtype)])
    return kernels.gramian(np.ascontiguousarray(factors), num_threads)


def _directions(gramian: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """R with R R' = X'X, or, of fewer columns, about that: so many random combinations stand for
    all."""
    values, basis = kernels.spectrum(gramian)
    root = basis * np.sqrt(values)
    if len(values) <= _DIRECTIONS:
        return root
    signs = random.choice([-1.0, 1.0], (len(values), _DIRECTIONS))
    return root @ signs / np.sqrt(_DIRECTIONS)
