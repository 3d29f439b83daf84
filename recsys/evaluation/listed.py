"""Lists from anywhere, measured."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys import csr
from recsys.interactions.columns import Values, as_column
from recsys.interactions.encode import Encoder
from recsys.interactions.frames import names_of, read_frame
from recsys.interactions.interactions import Interactions
from recsys.kernels import query_blocks

from .lists import judge, self_information, unit_vectors
from .protocol import Tally, checked_cuts, checked_metrics
from .results import Evaluation

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")


def evaluate_lists(
    recommended: Any,
    truth: Any,
    k: int | Iterable[int] = (10, 20, 100),
    metrics: str | Iterable[str] = ("precision", "recall", "map", "ndcg"),
    *,
    user: str = "user",
    item: str = "item",
    rank: str | None = None,
    score: str | None = None,
    value: str | None = None,
    train: Any = None,
    item_features: tuple[Any, Any] | None = None,
) -> Evaluation:
    """Measure recommendation lists, whatever made them, against what they should have named.

    Users of `truth` whom nothing is recommended have empty lists, which count; users without
    truth are left out and counted.

    Parameters
    ----------
    recommended : table
        A row for each place of a list: pandas, polars, pyarrow or DuckDB; such as
        ``lists.to_frame()`` of what `recommend` returns.
    truth : table, or Interactions
        Of users and the items that are relevant to them; with `value`, those whose value is
        greater than zero, and graded metrics go by it.
    k : int or iterable of int, default (10, 20, 100)
        Where lists are cut.
    metrics : str or iterable of str
        Names of `USER_METRICS` and `OVERALL_METRICS`.
    user, item : str, default "user", "item"
        The columns of ids in all tables.
    rank, score : str, optional
        The column that orders a list: ranks, the lowest first, or scores, the highest first, of
        which equals stay in the order of the rows. Neither: a column named "rank", or else one
        named "score", as ``to_frame()`` writes them, which the log names; in a table without, the
        order of the rows.
    value : str, optional
        The column of values in `truth`.
    train : table, or Interactions, optional
        What was trained on: it makes up the catalogue, with the items of the others, and is what
        "novelty" and the candidates of "auc" go by.
    item_features : (ids, matrix), optional
        What "diversity" goes by: the ids of items, and a row for each in an array or a sparse
        matrix. Items that are not among them have zeros, and resemble none.

    Returns
    -------
    Evaluation
        ``users`` are numbers, in the order in which `truth` names its users.

    Raises
    ------
    TypeError, ValueError
        A table is none, or has no such column; missing ids; ids of more than one kind; an item
        twice in a list; no user has a relevant item; an unknown metric; k < 1; "novelty" without
        `train`, "diversity" without `item_features`.
    """
    names, cuts = checked_metrics(metrics), checked_cuts(k)
    if rank is not None and score is not None:
        raise ValueError(f"lists go by rank or by score; got rank={rank!r} and score={score!r}")
    for name, needed, given in (
        ("novelty", "train", train),
        ("diversity", "item_features", item_features),
    ):
        if name in names and given is None:
            raise ValueError(f"{name} goes by {needed}=..., and there is none")
    if rank is None and score is None:
        rank, score = _order(recommended, (user, item))
    read = _Read(user, item)
    read.add(truth, value, "truth")
    read.add(recommended, score if rank is None else rank, "recommended")
    if train is not None:
        read.add(train, None, "train")
    if item_features is not None:
        read.add_items(item_features[0])
    users, items, (relevant, lists, *seen) = read.finish()
    shape = int(relevant.users.max(initial=-1)) + 1, int(items)
    goal = _latest(relevant, shape)
    held = _held(seen[0], users, shape[1]) if train is not None else None
    ranked = _ranked(lists, shape[0], max(cuts), descending=score is not None)
    vectors = None
    if item_features is not None:
        vectors = _of_items(read, item_features[1], shape[1])
    return _measured(names, cuts, goal, ranked, held, vectors)


def _order(recommended: Any, ids: tuple[str, str]) -> tuple[str | None, str | None]:
    """The column that orders lists in a table that is given without saying so: of ranks, or of
    scores."""
    if isinstance(recommended, Interactions):
        return None, None
    try:
        there = set(names_of(recommended)) - set(ids)
    except (TypeError, ValueError) as error:
        raise type(error)(f"recommended: {error}") from None
    name = next((each for each in ("rank", "score") if each in there), None)
    if name is not None:
        logger.info("recommended: lists go by the column %r", name)
    return (name, None) if name == "rank" else (None, name)


class _Part(NamedTuple):
    """The rows of one table: numbers of users and items, and what else was read."""

    users: np.ndarray
    items: np.ndarray
    values: np.ndarray | None


class _Read:
    """Tables whose ids are numbered together."""

    def __init__(self, user: str, item: str) -> None:
        self._columns = user, item
        self._encoders = Encoder(user), Encoder(item)
        self._parts: list[tuple[int, np.ndarray | None]] = []
        self.features_at = slice(0, 0)  # of the rows of items

    def add(self, table: Any, further: str | None, name: str) -> None:
        """Take in a table, with one more column."""
        if isinstance(table, Interactions):
            self._add_interactions(table)
            return
        values = None if further is None else Values(further, allow_negative=True)
        columns = [*self._columns, *([further] if further is not None else [])]
        try:
            _, _, batches = read_frame(table, columns)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from None
        before = self._encoders[0].rows
        for batch in batches:
            for encoder, column in zip(self._encoders, batch, strict=False):
                encoder.add(column)
            if values is not None:
                values.add(batch[2])
        for encoder in self._encoders:
            encoder.check("expected none: drop such rows")
        if values is not None:
            values.check("expected none: drop such rows")
        count = self._encoders[0].rows - before
        read = values.finish() if values is not None and count else None
        self._parts.append((count, read))

    def _add_interactions(self, data: Interactions) -> None:
        matrix = data.user_items
        for encoder, ids, rows in (
            (self._encoders[0], data.users, csr.entry_rows(matrix)),
            (self._encoders[1], data.items, matrix.indices),
        ):
            encoder.add(ids.take(np.arange(len(ids)))[rows])
        self._parts.append((matrix.nnz, np.asarray(matrix.data, np.float64)))

    def add_items(self, ids: Any) -> None:
        """Take in items alone."""
        begin = self._encoders[1].rows
        self._encoders[1].add(as_column("item_features", ids, ids=True))
        self.features_at = slice(begin, self._encoders[1].rows)

    def finish(self) -> tuple[int, int, list[_Part]]:
        """How many users and items there are, and the tables."""
        users, user_ids = self._encoders[0].finish()
        self.items, item_ids = self._encoders[1].finish()
        parts, begin = [], 0
        for count, values in self._parts:
            at = slice(begin, begin + count)
            parts.append(_Part(users[at], self.items[at], values))
            begin += count
        return len(user_ids), len(item_ids), parts


def _latest(part: _Part, shape: tuple[int, int]) -> sparse.csr_array:
    """The relevant items of each user, with the value of the last row of each pair."""
    keys = part.users.astype(np.int64) * shape[1] + part.items
    _, last = np.unique(keys[::-1], return_index=True)
    at = len(keys) - 1 - last
    values = np.ones(len(keys)) if part.values is None else part.values.astype(np.float64)
    matrix = csr.from_triples(values[at], part.users[at], part.items[at], shape)
    return csr.keep(matrix, matrix.data > 0)


def _held(part: _Part, n_users: int, n_items: int) -> sparse.csr_array:
    """What was trained on, of all users."""
    shape = n_users, n_items
    return csr.from_triples(np.ones(len(part.users)), part.users, part.items, shape)


def _ranked(part: _Part, n_users: int, longest: int, *, descending: bool) -> np.ndarray:
    """A list of items for each of the first users, -1 in empty places."""
    key = np.zeros(len(part.users)) if part.values is None else part.values
    order = np.lexsort((-key if descending else key, part.users))
    users = part.users[order]
    place = np.arange(len(users)) - np.searchsorted(users, users)
    kept = (place < longest) & (users < n_users)
    width = int(place[kept].max(initial=0)) + 1
    lists = np.full((n_users, width), -1)
    lists[users[kept], place[kept]] = part.items[order][kept]
    return lists


def _of_items(read: _Read, features: Any, n_items: int) -> Any:
    """The features of all items, in their order."""
    places = read.items[read.features_at]
    vectors = unit_vectors(features, len(places))
    if not isinstance(vectors, np.ndarray):
        owner = places[csr.entry_rows(vectors)]
        return csr.from_triples(vectors.data, owner, vectors.indices, (n_items, vectors.shape[1]))
    whole = np.zeros((n_items, vectors.shape[1]))
    whole[places] = vectors
    return whole


def _measured(
    names: list[str],
    cuts: list[int],
    goal: sparse.csr_array,
    ranked: np.ndarray,
    held: sparse.csr_array | None,
    vectors: Any,
) -> Evaluation:
    users = np.flatnonzero(np.diff(goal.indptr))
    if not len(users):
        raise ValueError("truth has no row with a value greater than zero: nobody is measured")
    relevant, lists = csr.take_rows(goal, users), ranked[users]
    tally = Tally(names, cuts, len(users), goal.shape[1])
    information = None if held is None else self_information(held)
    for at in query_blocks(len(users)):
        rows = np.arange(at.start, at.stop)
        seen = None if held is None else csr.take_rows(held, users[at])
        more = {"seen": seen, "information": information, "vectors": vectors}
        tally.add(at, judge(lists[at], csr.take_rows(relevant, rows), **more))
    unseen = 0
    if held is not None:
        unseen = len(np.setdiff1d(relevant.indices, held.indices))
    return Evaluation(
        users=users,
        per_user=tally.per_user,
        overall=tally.overall(),
        n_without_test=goal.shape[0] - len(users),
        n_unseen_items=unseen,
        n_cut_ties=None,
    )
