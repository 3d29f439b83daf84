"""The libraries that build and search graphs of near neighbours (HNSW), behind one interface.

Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
Navigable Small World graphs", IEEE TPAMI 42(4), 2020. Points are float32 rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Protocol, Self

import numpy as np

_FIRST = 1000  # points that usearch is given in one thread


class Graph(Protocol):
    @classmethod
    def build(
        cls, points: np.ndarray, metric: str, connectivity: int, expansion: int, num_threads: int
    ) -> Self:
        """The graph of `points`, whose ids are their row numbers. Near are those with the least
        Euclidean distance (`metric` "l2") or the highest inner product ("ip")."""

    @classmethod
    def of_bytes(cls, data: np.ndarray) -> Self:
        """What `as_bytes` gave; ImportError, or any error of the library."""

    def as_bytes(self) -> np.ndarray:
        """The graph with its points as uint8."""

    def search(
        self, queries: np.ndarray, count: int, expansion: int, num_threads: int
    ) -> np.ndarray:
        """Ids of points near each query, int64 (queries, count), -1 where none was found."""


class FaissGraph:
    def __init__(self, graph: Any) -> None:
        self._graph = graph

    @classmethod
    def build(
        cls, points: np.ndarray, metric: str, connectivity: int, expansion: int, num_threads: int
    ) -> Self:
        faiss = _faiss()
        kind = {"l2": faiss.METRIC_L2, "ip": faiss.METRIC_INNER_PRODUCT}[metric]
        graph = faiss.IndexHNSWFlat(points.shape[1], connectivity, kind)
        graph.hnsw.efConstruction = expansion
        with _faiss_threads(faiss, num_threads):
            graph.add(points)
        return cls(graph)

    @classmethod
    def of_bytes(cls, data: np.ndarray) -> Self:
        return cls(_faiss().deserialize_index(np.asarray(data)))

    def as_bytes(self) -> np.ndarray:
        return _faiss().serialize_index(self._graph)

    def search(
        self, queries: np.ndarray, count: int, expansion: int, num_threads: int
    ) -> np.ndarray:
        faiss = _faiss()
        options = faiss.SearchParametersHNSW(efSearch=max(expansion, count))
        with _faiss_threads(faiss, num_threads):
            return self._graph.search(queries, count, params=options)[1]


class UsearchGraph:
    def __init__(self, graph: Any) -> None:
        self._graph = graph

    @classmethod
    def build(
        cls, points: np.ndarray, metric: str, connectivity: int, expansion: int, num_threads: int
    ) -> Self:
        graph = _usearch().Index(
            ndim=points.shape[1],
            metric={"l2": "l2sq", "ip": "ip"}[metric],
            dtype="f32",
            connectivity=connectivity,
            expansion_add=expansion,
        )
        ids = np.arange(len(points), dtype=np.uint64)
        # Points added at the same time do not see each other: while there are few others, some
        # would stay out of reach for good.
        graph.add(ids[:_FIRST], points[:_FIRST], threads=1)
        if len(points) > _FIRST:
            graph.add(ids[_FIRST:], points[_FIRST:], threads=num_threads)
        return cls(graph)

    @classmethod
    def of_bytes(cls, data: np.ndarray) -> Self:
        return cls(_usearch().Index.restore(data.tobytes()))

    def as_bytes(self) -> np.ndarray:
        return np.frombuffer(self._graph.save(), np.uint8)

    def search(
        self, queries: np.ndarray, count: int, expansion: int, num_threads: int
    ) -> np.ndarray:
        self._graph.expansion_search = max(expansion, count)
        matches = self._graph.search(queries, count, threads=num_threads)
        ids = np.full((len(queries), count), -1, np.int64)
        if len(queries) == 1:  # one query is answered in one dimension, without empty places
            ids[0, : len(matches.keys)] = matches.keys
        else:
            filled = np.arange(count) < np.asarray(matches.counts)[:, np.newaxis]
            ids[filled] = matches.keys[filled]
        return ids


BACKENDS: dict[str, type[Graph]] = {"faiss": FaissGraph, "usearch": UsearchGraph}


def _faiss() -> ModuleType:
    try:
        import faiss
    except ImportError:
        raise ImportError(
            "backend='faiss' needs faiss: pip install 'recsys-engine[ann]' (or use "
            "backend='usearch')"
        ) from None
    return faiss


def _usearch() -> ModuleType:
    try:
        import usearch.index
    except ImportError:
        raise ImportError(
            "backend='usearch' needs usearch: pip install 'recsys-engine[usearch]' (or use "
            "backend='faiss')"
        ) from None
    return usearch.index


@contextmanager
def _faiss_threads(faiss: ModuleType, num_threads: int) -> Iterator[None]:
    # faiss knows no number of threads for one call, only OpenMP's for the calling thread
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(num_threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
