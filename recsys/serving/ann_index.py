"""Approximate lists from a graph over a model's item factors."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from recsys import checks, csr, kernels
from recsys.interactions.ids import Ids
from recsys.models import boost, internal
from recsys.models.files import digest, read_model_file, write_model_file

from .ann_backends import BACKENDS, Graph

KINDS = ("recommend", "similar")
_CLASS = "AnnIndex"  # in the header of its files
_ROWS = 1 << 16  # of factors brought to unit length together
_GATHERED = 1 << 22  # factors of candidates copied together


class AnnIndex:
    """The lists of a factor model, found by a graph of near neighbours instead of a full scan.

    Make one with `build` or `load`. `recommend` and `similar_items` take what the model's own
    methods take and return what those return; only, an item may be missing from a list that the
    exact one has. The graph proposes candidates; what may be listed, the scores and the order are
    the model's, except that scores are summed in another order: their last digits may differ, and
    with them the order of items that tie. A query for which too few candidates are left is
    answered by the exact method. It speaks ids where the model does.

    For cosines the graph is of the item factors divided by their norms, by distance. For inner
    products it is of the item factors themselves, by inner product, which is no distance, but
    leads a search to the large factors that most lists are made of (Morozov & Babenko,
    "Non-metric similarity graphs for maximum inner product search", NeurIPS 2018). The usual way
    to a distance, another coordinate ``sqrt(M^2 - |y|^2)`` (Bachrach et al., RecSys 2014, section
    3), finds far less where few norms are large: the many small items all end up at one place.

    Attributes
    ----------
    expansion_search : int
        How many points a search keeps in view: more find more of the exact list and take longer.
        It can be changed at any time.
    num_threads : int
        For searching; 0: all that are available. It can be changed at any time.
    """

    def __init__(
        self, model: Any, backend: str, kind: str, graph: Graph, expansion_search: int
    ) -> None:
        self.backend, self.kind = backend, kind
        self.expansion_search = expansion_search
        self.num_threads = 0
        self._model, self._graph = model, graph
        self._factors = _checked_factors(model, kind)
        self._built_on = internal.learned_of_items(model)

    @classmethod
    def build(
        cls,
        model: Any,
        backend: str = "faiss",
        kind: str = "recommend",
        *,
        connectivity: int = 16,
        expansion_build: int = 200,
        expansion_search: int = 128,
        num_threads: int = 0,
    ) -> Self:
        """An index over the item factors `model` has now.

        Parameters
        ----------
        model : fitted factor model, such as ImplicitALS
            The index keeps a reference to it, and refuses to answer once its item factors are
            other ones. Not from within `fit`, as a callback is: it still writes to that memory.
        backend : {"faiss", "usearch"}, default "faiss"
            The library that holds the graph.
        kind : {"recommend", "similar"}, default "recommend"
            Inner products with users, for `recommend`, or cosines, for `similar_items`.
        connectivity : int, default 16
            Neighbours of each point (M in the literature), at least 2.
        expansion_build : int, default 200
            Points kept in view while the graph is built (efConstruction).
        expansion_search : int, default 128
            Points kept in view by a search (ef), at least; see the attribute.
        num_threads : int, default 0
            For building and searching; 0: all that are available. With more than one the graph
            is not the same each time.

        Raises
        ------
        ImportError
            The library is not installed; names the extra that brings it.
        NotFittedError
            The model has no factors yet.
        TypeError, ValueError
            Not a factor model, or a parameter that does not make sense.
        """
        checks.choice("backend", backend, tuple(BACKENDS))
        checks.choice("kind", kind, KINDS)
        factors = _checked_factors(model, kind)
        checks.integer("connectivity", connectivity, 2)
        checks.integer("expansion_build", expansion_build, 1)
        checks.integer("expansion_search", expansion_search, 1)
        threads = kernels.resolve_num_threads(num_threads)
        points = _points(factors, kind)
        metric = "ip" if kind == "recommend" else "l2"
        graph = BACKENDS[backend].build(points, metric, connectivity, expansion_build, threads)
        index = cls(model, backend, kind, graph, expansion_search)
        index.num_threads = num_threads
        return index

    def save(self, path: str | os.PathLike) -> None:
        """Write the graph to a file that `load` reads; the model is saved on its own.

        The file appears as a whole or not at all.

        Raises
        ------
        ValueError
            The model's item factors changed since the index was built.
        OSError
            The file cannot be written.
        """
        self._check_unchanged()
        graph = self._graph.as_bytes()
        header = {
            "class": _CLASS,
            "backend": self.backend,
            "kind": self.kind,
            "expansion_search": checks.integer("expansion_search", self.expansion_search, 1),
            "item_factors": digest(self._factors),
            "graph": digest(graph),
        }
        write_model_file(path, header, {"graph": graph})

    @classmethod
    def load(cls, path: str | os.PathLike, model: Any) -> Self:
        """The index in a file that `save` wrote, over the item factors of `model`.

        Raises
        ------
        FileNotFoundError
        ImportError
            The library that holds the graph is not installed; names the extra that brings it.
        NotFittedError
            The model has no factors yet.
        TypeError, ValueError
            Not a factor model; the file is truncated, damaged, of another kind or backend, was
            written by a newer recsys, or is an index of other item factors.
        """
        name = repr(os.fspath(path))
        header, arrays = read_model_file(path)
        if header.get("class") != _CLASS:
            raise ValueError(
                f"{name} holds a {header.get('class')!r}, expected an {_CLASS}: pass the file that "
                f"{_CLASS}.save wrote (models are read by recsys.load)"
            )
        backend, kind = header.get("backend"), header.get("kind")
        if backend not in BACKENDS or kind not in KINDS:
            raise ValueError(
                f"{name} holds an index of kind {kind!r} by backend {backend!r}; this recsys has "
                f"kinds {', '.join(KINDS)} and backends {', '.join(BACKENDS)}"
            )
        factors = _checked_factors(model, kind)
        if header.get("item_factors") != digest(factors):
            raise ValueError(
                f"{name} is an index of other item factors than the model has: load the model it "
                f"was built from, or rebuild it with {_CLASS}.build(model, ...)"
            )
        data = arrays.get("graph", np.empty(0, np.uint8))
        if header.get("graph") != digest(data):  # libraries crash on what they cannot read
            raise ValueError(f"{name} is damaged: rebuild it with {_CLASS}.build(model, ...)")
        try:
            graph = BACKENDS[backend].of_bytes(data)
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"{name} cannot be read by the {backend} installed here ({error}): rebuild it "
                f"with {_CLASS}.build(model, ...)"
            ) from None
        return cls(model, backend, kind, graph, header["expansion_search"])

    def __repr__(self) -> str:
        return (
            f"{_CLASS}({self.backend!r}, {self.kind!r}, {len(self._factors):,} items, "
            f"expansion_search={self.expansion_search})"
        )

    @property
    def users(self) -> Ids | None:
        """The model's ids of users, if it has such."""
        return self._model.users

    @property
    def items(self) -> Ids | None:
        """The model's ids of items, if it has such."""
        return self._model.items

    def without_ids(self) -> Self:
        """The same index speaking row numbers, see the model's `without_ids`."""
        twin = copy.copy(self)
        twin._model = self._model.without_ids()
        return twin

    def recommend(
        self,
        users: Any,
        user_items: Any = None,
        N: int = 10,
        *,
        filter_seen: bool = True,
        filter_items: Any = None,
        items: Any = None,
        among: Any = None,
        new_item_boost: float = 1.0,
        fold_in: bool = False,
        unknown: str = "error",
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N items with (nearly) the highest scores for each user.

        Parameters, returned values and errors are those of the model's `recommend`, which answers
        itself where `items` or `among` are given. With a `new_item_boost` the graph is asked for
        the other items, and new ones are all looked at.

        Raises
        ------
        ValueError
            Also where the index is of another kind, or the model's item factors changed since it
            was built.
        """
        self._check_kind("recommend", "recommend")
        exactly = items is not None or among is not None
        topk = self._topk if new_item_boost == 1 else self._boosted_topk
        model = self._model if exactly else internal.listing_with(self._model, topk)
        return model.recommend(
            users,
            user_items,
            N,
            filter_seen=filter_seen,
            filter_items=filter_items,
            items=items,
            among=among,
            new_item_boost=new_item_boost,
            fold_in=fold_in,
            unknown=unknown,
        )

    def similar_items(
        self,
        items: Any,
        N: int = 10,
        *,
        among: Any = None,
        filter_items: Any = None,
        unknown: str = "error",
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N items with (nearly) the highest cosine with each item, the item itself first.

        Parameters, returned values and errors are those of the model's `similar_items`, which
        answers itself where `among` is given; see `recommend`.
        """
        self._check_kind("similar", "similar_items")
        model = self._model
        if among is None:
            model = internal.listing_with(model, self._topk)
        chosen = {"among": among, "filter_items": filter_items}
        return model.similar_items(items, N, **chosen, unknown=unknown)

    def _check_kind(self, kind: str, method: str) -> None:
        if self.kind != kind:
            raise ValueError(
                f"{method} needs an index of kind={kind!r}; this one was built with "
                f"kind={self.kind!r}: build another one, or ask the model"
            )
        checks.integer("expansion_search", self.expansion_search, 1)
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        now = internal.learned_of_items(self._model)
        if any(a is not b for a, b in zip(now, self._built_on, strict=True)):
            raise ValueError(
                "the model's item factors changed since this index was built: rebuild it with "
                f"{_CLASS}.build(model, ...)"
            )

    def _topk(
        self,
        queries: np.ndarray,
        items: np.ndarray,
        n: int,
        *,
        rows: np.ndarray | None = None,
        among: None = None,  # the model answers itself then
        item_scale: np.ndarray | None = None,
        order: None = None,  # made below, where it is needed
        skip: kernels.Entries | None = None,
        skip_rows: np.ndarray | None = None,
        banned: np.ndarray | None = None,
        num_threads: int = 0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Answers as `kernels.topk` does; `items` are those of the graph."""
        queries = queries if rows is None else queries[rows]
        if items.shape[1] > queries.shape[1]:  # there are biases of items
            queries = np.column_stack([queries, np.ones(len(queries), queries.dtype)])
        if skip is not None and skip_rows is not None:
            indptr, entries = csr.row_entries(skip[0], skip_rows)
            skip = indptr, skip[1][entries]
        ids = np.full((len(queries), n), kernels.NO_ID, np.int32)
        scores = np.full((len(queries), n), -np.inf, items.dtype)
        lengths = np.zeros(len(queries), np.int64) if skip is None else np.diff(skip[0])
        skipped = np.empty(0, np.int64)  # numbers of pairs of query and item, ascending
        if skip is not None:
            skipped = np.repeat(np.arange(len(queries)) * len(items), lengths) + skip[1]
        counts = _candidate_counts(n, lengths, len(items), banned)
        # For more than half of the items a scan is faster; to a query of zeros all are as near.
        exact = (2 * counts > len(items)) | ~queries.any(axis=1)
        for at, count in _groups(counts, ~exact, items.shape[1]):
            near = self._near(queries[at], count)
            out = _contains(skipped, at[:, np.newaxis] * len(items) + near)
            if banned is not None:
                out |= banned[near] != 0
            near[out] = kernels.NO_ID
            ids[at], scores[at] = _best(queries[at], items, near, n, item_scale)
            exact[at] = ~np.isfinite(scores[at]).all(axis=1)  # too few, or too large
        if exact.any():
            if skip is not None:
                indptr = np.concatenate([[0], np.cumsum(lengths[exact])])
                skip = indptr, skip[1][np.repeat(exact, lengths)]
            limits = {"skip": skip, "banned": banned, "num_threads": num_threads}
            ids[exact], scores[exact] = self._scan(queries[exact], items, n, item_scale, **limits)
        return ids, scores

    def _scan(
        self,
        queries: np.ndarray,
        items: np.ndarray,
        n: int,
        item_scale: np.ndarray | None,
        **limits: Any,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Exact lists, by the kernel."""
        order = internal.norm_order(self._model, len(queries)) if item_scale is None else None
        return kernels.topk(queries, items, n, item_scale=item_scale, order=order, **limits)

    def _boosted_topk(
        self,
        queries: np.ndarray,
        items: np.ndarray,
        n: int,
        *,
        among: np.ndarray | None = None,
        order: None = None,
        banned: np.ndarray | None = None,
        **rest: Any,
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `_topk`, by items of which the new ones are not those of the graph."""
        if among is not None:
            return kernels.topk(queries, items, n, among=among, banned=banned, **rest)
        new = internal.new_items(self._model)
        without = np.zeros(len(items), np.uint8) if banned is None else banned.copy()
        without[new] = 1
        old = self._topk(queries, self._factors, n, banned=without, **rest)
        return boost.merged(old, kernels.topk(queries, items, n, among=new, banned=banned, **rest))

    def _near(self, queries: np.ndarray, count: int) -> np.ndarray:
        """Ids of `count` items near each query, int64, -1 where there are fewer."""
        threads = kernels.resolve_num_threads(self.num_threads)
        points = _unit_rows(queries).astype(np.float32)
        if self.kind == "similar":
            points = np.pad(points, ((0, 0), (0, 1)))
        return self._graph.search(points, count, self.expansion_search, threads)


def _checked_factors(model: Any, kind: str) -> np.ndarray:
    factors = internal.listed_vectors(model, kind)
    return checks.factor_matrix("item_factors", factors, factors.dtype)


def _points(factors: np.ndarray, kind: str) -> np.ndarray:
    """The points of the graph, float32: factors by their largest value, or of length one."""
    if kind == "recommend":
        points = np.empty(factors.shape, np.float32)
        size = np.float64(np.abs(factors).max()) or 1.0  # so that no square is too large
        for at in _spans(len(factors)):
            points[at] = factors[at] / size
        return points
    points = np.zeros((len(factors), factors.shape[1] + 1), np.float32)
    for at in _spans(len(factors)):
        points[at, :-1] = _unit_rows(factors[at])
    # What a row of zeros has instead: its cosine with any query is 0.
    points[:, -1] = ~factors.any(axis=1)
    return points


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    """`rows` divided by their norms, in double; rows of zeros stay."""
    size = np.abs(rows).max(axis=1, keepdims=True).astype(np.float64)
    scaled = rows / np.where(size > 0, size, 1)
    norms = np.sqrt(np.einsum("if,if->i", scaled, scaled))[:, np.newaxis]
    return scaled / np.where(norms > 0, norms, 1)


def _spans(count: int) -> Iterator[slice]:
    return (slice(begin, begin + _ROWS) for begin in range(0, count, _ROWS))


def _candidate_counts(
    n: int, lengths: np.ndarray, n_items: int, banned: np.ndarray | None
) -> np.ndarray:
    """How many items to ask for, so that most likely n are left: powers of two, so that queries
    with different numbers of skipped items can be asked together."""
    kept = 1.0 if banned is None else 1 - banned.mean()
    wanted = (n + lengths + 1) / max(kept, 1 / n_items)
    return 2 ** np.ceil(np.log2(wanted)).astype(np.int64)


def _groups(
    counts: np.ndarray, wanted: np.ndarray, factors: int
) -> Iterator[tuple[np.ndarray, int]]:
    """Queries to ask together, and for how many items."""
    for count in np.unique(counts[wanted]):
        those = np.flatnonzero(wanted & (counts == count))
        step = max(1, int(_GATHERED // (count * factors)))
        for begin in range(0, len(those), step):
            yield those[begin : begin + step], int(count)


def _contains(ascending: np.ndarray, values: np.ndarray) -> np.ndarray:
    if not len(ascending):
        return np.zeros(values.shape, bool)
    places = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return ascending[places] == values


def _best(
    queries: np.ndarray,
    items: np.ndarray,
    near: np.ndarray,
    n: int,
    item_scale: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The n best of the items `near` each query, as `kernels.topk` orders them."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is seen to by _topk
        scores = np.einsum("qf,qkf->qk", queries, items[near])
    if item_scale is not None:
        scores *= item_scale[near]
    scores[near == kernels.NO_ID] = -np.inf
    best = np.lexsort((near, scores), axis=-1)[:, : -n - 1 : -1]
    return np.take_along_axis(near, best, axis=1), np.take_along_axis(scores, best, axis=1)
