"""Models whose scores are sums over a user's history: what each item in it adds to each other.

Scores are ``s_ui = sum_j h_uj B_ji``, h_u being what a user has. What a model learns is B, its
`ItemWeights`, and there are no factors: new users need no folding in, and nothing is drawn or
repeated. The functions of a model below are what `ItemNeighbors`, `EASE` and `SLIM` take for their
methods; each of them says itself how it learns from counts (`_learned`) and how a history counts
(`_as_history`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from recsys import checks, csr, kernels
from recsys.csr import TrainingMatrix
from recsys.interactions.matching import in_rows
from recsys.models import growth, ids
from recsys.models.ids import Lists, Vocabulary
from recsys.models.in_file import Saved
from recsys.models.meaning import check_not_full
from recsys.models.model import Model
from recsys.models.selection import Choice, list_length, one_history
from recsys.models.training import NotFittedError, no_target

if TYPE_CHECKING:
    from scipy import sparse

M = TypeVar("M", bound=Model)

_PAIRS = 1 << 14  # scored together
_ITEMS = 512  # whose similar ones are listed together
MISSED_WITHOUT_HISTORY = (
    "it is unknown what users have, of which scores are made (pass user_items=...)"
)


class ItemWeights(NamedTuple):
    """What such a model has learned.

    Attributes
    ----------
    votes : csr_array or ndarray, n_items x n_items
        B: what item j of a history adds to the score of item i, in row j.
    shape : (int, int)
        Users and items of the model.
    similarity : csr_array, n_items x n_items, or None
        What `similar_items` lists, a row for each item. None: the columns of B.
    """

    votes: Any
    shape: tuple[int, int]
    similarity: sparse.csr_array | None = None

    def similar_rows(self, items: np.ndarray) -> sparse.csr_array | np.ndarray:
        """The similarities that the lists of these items go by, a row each."""
        if self.similarity is not None:
            return csr.take_rows(self.similarity, items)
        return np.ascontiguousarray(self.votes[:, items].T)


# ---- what they learn -----------------------------------------------------------------------------


def fit(
    model: M,
    user_items: Any,
    y: None = None,
    *,
    show_progress: bool = True,
    item_features: None = None,
    user_features: None = None,
) -> M:
    """Learn what items say about each other.

    Parameters
    ----------
    user_items : scipy sparse matrix or array, n_users x n_items, or Interactions
        Counts r_ui, one row a user. Never changed; the model keeps a copy. Fitted on
        Interactions, it speaks their ids.
    y : None
        There is no target: this is where scikit-learn's pipelines pass None.
    show_progress : bool, default True
        Show a progress bar where the output is a terminal or a notebook, of `EASE`; the others
        have nothing to show.
    item_features, user_features : None
        These models go by entries alone; models with factors take features.

    Returns
    -------
    self

    Raises
    ------
    TypeError, ValueError
        A parameter or the matrix is not as described, such as counts that are negative where
        `ItemNeighbors` weighs by "tfidf" or "bm25"; nothing has been changed.
    FloatingPointError
        The counts are too large for `dtype`, or the weights cannot be computed in it; nothing
        has been changed.
    MemoryError
        `EASE` would take more memory than there is; nothing has been changed.
    """
    no_target(y)
    _check_no_features(model, item_features=item_features, user_features=user_features)
    dtype = model._check_parameters()
    vocabulary = Vocabulary.of(user_items)
    counts = csr.canonical(in_rows(user_items), dtype)
    check_not_full(counts)
    remembered = TrainingMatrix.of(counts).copied(dtype)
    _learn(model, counts, remembered, vocabulary, show_progress)
    return model


def partial_fit(model: M, events: Any, y: None = None, *, show_progress: bool = True) -> M:
    """Learn from a day's events, of users and items that are known and of new ones.

    Adds the events to what is remembered and learns from all of it: what comes out is what
    `fit` on all events together gives. An entry more changes what is known of its item, and
    with it of nearly all others.

    Parameters
    ----------
    events : Interactions, or scipy sparse matrix or array
        New users and items come after those the model has. A matrix has the model's rows and
        columns, and new ones beyond them.
    y : None
    show_progress : bool, default True
        As in `fit`.

    Returns
    -------
    self

    Raises
    ------
    NotFittedError, TypeError, ValueError, FloatingPointError, MemoryError
        As in `fit`; nothing is remembered; a matrix is smaller than the model. Nothing is
        changed then, nor by Ctrl-C.
    """
    no_target(y)
    dtype, shape = model._check_parameters(), model._known_shape()
    vocabulary, events = ids.with_newcomers(model._vocabulary(), events)
    events = csr.canonical(events, dtype, name="events")
    known = model._remembered().counts(dtype)
    counts = growth.with_events(known, events, shape, replaces=False)
    _learn(model, counts, TrainingMatrix.of(counts), vocabulary, show_progress)
    return model


def _check_no_features(model: Model, **features: Any) -> None:
    for name, value in features.items():
        if value is not None:
            raise TypeError(
                f"{type(model).__name__} takes no {name}, as it goes by entries alone: fit a "
                "model with factors, such as ImplicitALS"
            )


def _learn(
    model: Any,
    counts: sparse.csr_array,
    remembered: TrainingMatrix,
    vocabulary: Vocabulary | None,
    show_progress: bool,
) -> None:
    model._log_start(counts)
    began = time.perf_counter()
    weights, in_words = model._learned(counts, show_progress)
    state = {"_item_weights": weights, "_training_matrix": remembered, "_ids": vocabulary}
    model._publish(state)
    model._log("has found %s in %.3g s", in_words, time.perf_counter() - began)


def liked(counts: sparse.csr_array, weighted: bool) -> sparse.csr_array:
    """The counts, or 1 for each that is > 0 and 0 for the others, in the same structure."""
    if weighted:
        return counts
    ones = (counts.data > 0).astype(counts.dtype)
    return csr.assemble(ones, counts.indices, counts.indptr, counts.shape)


def check_liked(x: sparse.csr_array, counts: sparse.csr_array) -> None:
    """ValueError if nothing of the counts is left in x."""
    if not x.nnz:
        raise ValueError(
            f"user_items has {counts.nnz} stored entries, none of them positive, so nobody has "
            "anything; expected counts r_ui > 0 of what is liked, or weighted=True"
        )


def nonzero(counts: sparse.csr_array) -> sparse.csr_array:
    """Without stored zeros."""
    return csr.keep(counts, counts.data != 0)


# ---- what they answer ----------------------------------------------------------------------------


def known_shape(model: Any) -> tuple[int, int]:
    """`Model._known_shape` of such a model."""
    if model._item_weights is None:
        raise NotFittedError(
            f"this {type(model).__name__} has no weights of items yet: call fit(user_items)"
        )
    return model._item_weights.shape


def with_history(model: Any, rows: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """`Model._with_history` of such a model, which knows users by what they have alone."""
    if lengths is not None:
        return (rows >= 0) & (lengths > 0)
    return Model._with_history(model, rows, lengths)


def _histories(model: Any, counts: sparse.csr_array | None) -> sparse.csr_array:
    """What users have by `counts`, or by what is remembered."""
    if counts is not None:
        return model._as_history(counts)
    matrix, kept = model._remembered(), model._prepared.get("histories")
    if kept is None:
        kept = model._as_history(matrix.counts(model._item_weights.votes.dtype))
        model._prepared["histories"] = kept
    return kept


def lists(
    model: Any,
    users: np.ndarray,
    counts: sparse.csr_array | None,
    rows: np.ndarray,
    choice: Choice,
    N: int,
    *,
    filter_seen: bool,
    fold_in: bool,
) -> Lists:
    """`Model._lists` of such a model."""
    histories = _histories(model, counts)
    return kernels.product_topk(
        histories,
        model._item_weights.votes,
        N,
        rows=rows,
        skip=(histories.indptr, histories.indices) if filter_seen else None,
        banned=choice.all_banned(),
        num_threads=model.num_threads,
    )


def similar(model: Any, noun: str, numbers: Any, N: int, among: Any, left_out: Any) -> Lists:
    """Lists of similar items; there are no such lists of users."""
    n_items = model._known_shape()[1]
    rows = checks.row_numbers(noun, numbers, n_items)
    list_length(N, n_items)
    choice, items = Choice(among, left_out, n_items, among="among"), rows.reshape(-1)
    best = np.empty((len(items), N), np.int32)
    scores = np.empty((len(items), N), model._item_weights.votes.dtype)
    for at in kernels.query_blocks(len(items), _ITEMS):
        votes = model._item_weights.similar_rows(items[at])
        count = votes.shape[0]
        each = np.ones(count, votes.dtype), np.arange(count, dtype=np.int32)
        itself = csr.assemble(*each, np.arange(count + 1), (count, count))
        best[at], scores[at] = kernels.product_topk(
            itself, votes, N, banned=choice.all_banned(), num_threads=model.num_threads
        )
    return best.reshape(*rows.shape, N), scores.reshape(*rows.shape, N)


def pair_scores(model: Any, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Scores that such a model gives to pairs of users and items."""
    histories, votes = _histories(model, None), model._item_weights.votes
    by_item = votes
    if not isinstance(votes, np.ndarray):
        by_item = kernels.transposed(votes, model.num_threads)
    of_pairs = _dense_pairs if isinstance(votes, np.ndarray) else _sparse_pairs
    scores = np.empty(rows.size, votes.dtype)
    for at in kernels.query_blocks(len(scores), _PAIRS):
        scores[at] = of_pairs(by_item, csr.take_rows(histories, rows[at]), columns[at])
    return scores


def _sparse_pairs(
    by_item: sparse.csr_array, histories: sparse.csr_array, columns: np.ndarray
) -> np.ndarray:
    """The score of one column for each history, by the votes' transpose."""
    return histories.multiply(by_item[columns]).sum(axis=1)


def _dense_pairs(votes: np.ndarray, histories: sparse.csr_array, columns: np.ndarray) -> np.ndarray:
    of = csr.entry_rows(histories)
    parts = histories.data * votes[histories.indices, columns[of]]
    return np.bincount(of, parts, len(columns))


def explain(
    model: Any, user: int, item: int, N: int = 10, *, user_items: Any = None
) -> tuple[float, np.ndarray, np.ndarray]:
    """Which of a user's entries make the score of an item, and how much of it each makes.

    Parameters and return values are those of `ImplicitALS.explain`.
    """
    vocabulary = model._vocabulary()
    user, user_items = ids.with_history(vocabulary, user, user_items, newcomers=True)
    item = ids.to_rows(vocabulary, "items", item, "item")

    history = model._as_history(one_history(model, user, user_items))
    column = checks.one_row_number("item", item, model._known_shape()[1])
    checks.integer("N", N, 1)
    votes = model._item_weights.votes[history.indices][:, [column]]
    votes = votes if isinstance(votes, np.ndarray) else votes.toarray()
    parts = history.data * votes.reshape(-1).astype(np.float64)
    best = np.argsort(-parts, kind="stable")[:N]
    best = best[parts[best] != 0]
    columns = ids.to_item_ids(vocabulary, history.indices[best])
    return float(parts.sum()), columns, parts[best]


# ---- in files ------------------------------------------------------------------------------------


def sparse_file(model: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """`Model._to_file` of a model that has similarities: all else follows from them."""
    parts, similarity = ("indptr", "indices", "data"), model._item_weights.similarity
    header = {"shape": model._known_shape()}
    return header, {f"similarity_{name}": getattr(similarity, name) for name in parts}


def similarity_in_file(model: Any, saved: Saved) -> tuple[sparse.csr_array, tuple[int, int]]:
    """What `sparse_file` wrote, checked: the similarities, and the model's shape."""
    shape = shape_in_file(saved.header, len(saved.arrays["similarity_indptr"]) - 1)
    similarity = csr.assemble(
        saved.arrays["similarity_data"],
        saved.arrays["similarity_indices"],
        saved.arrays["similarity_indptr"],
        (shape[1], shape[1]),
    )
    dtype = checks.floating_dtype(model.dtype)
    return csr.canonical(similarity, dtype, may_be_empty=True, name="similarity"), shape


def shape_in_file(header: dict[str, Any], n_items: int) -> tuple[int, int]:
    """Of users and items, as a model file says; ValueError unless it has as many items."""
    shape = tuple(header.get("shape") or header["seen_shape"])
    if shape[1] != n_items:
        raise ValueError(f"it says there are {shape[1]} items, and has {n_items}")
    return shape
