"""implicit.cpu.matrix_factorization_base"""

from __future__ import annotations

import hashlib
import numbers
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse

from ..recommender_base import ModelFitError, RecommenderBase
from ..utils import check_csr, check_random_state
from . import npz
from .topk import item_numbers, topk

_NO_NORM = 1e-10  # what implicit divides by where a vector is zero


class MatrixFactorizationBase(RecommenderBase):
    """Recommending and comparing with two factor matrices, plain arrays that may be written to.

    Norms of factors are kept once computed; after writing to factors set `_item_norms` and
    `_user_norms` to None.
    """

    _saved: ClassVar[tuple[str, ...]]  # attributes that a file holds
    factors: int
    regularization: float
    random_state: Any

    def __init__(self, num_threads: int = 0) -> None:
        self.item_factors: np.ndarray | None = None
        self.user_factors: np.ndarray | None = None
        self._user_norms: np.ndarray | None = None
        self._item_norms: np.ndarray | None = None
        self.num_threads = num_threads

    def recommend(
        self,
        userid: Any,
        user_items: Any,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: Any = None,
        recalculate_user: bool = False,
        items: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best N items of one user, or of each of several.

        Parameters
        ----------
        userid : int or array of int
        user_items : csr_matrix or csr_array
            One row for each of `userid`: ``user_items[userid]`` of the training matrix.
        N : int, default 10
        filter_already_liked_items : bool, default True
            Items of `user_items` come last, with the score -finfo.max.
        filter_items : array of int, optional
            So do these.
        recalculate_user : bool, default False
            Solve the users' factors from `user_items` instead of using those of training.
        items : array of int, optional
            Choose from these only.

        Returns
        -------
        ids : int32 (int64 with `items`), (N,) or (n, N)
            -1 where there are not N items, filtered ones included.
        scores : of the model's dtype

        Raises
        ------
        ValueError
            `user_items` is not CSR or has another number of rows; `items` and `filter_items` are
            both set; N < 1; the model is not fitted.
        IndexError
            Unknown users or items.
        """
        self._check_fitted()
        N = _length(N)
        if filter_already_liked_items or recalculate_user:
            _check_rows(user_items, userid)
        factors = self._user_factor(userid, user_items, recalculate_user)
        liked = user_items if filter_already_liked_items else None
        item_factors = self.item_factors
        if items is not None:
            if filter_items is not None and np.size(filter_items):
                raise ValueError("Can't set both items and filter_items in recommend call")
            items = np.sort(item_numbers(items, len(item_factors), "itemids in the items"))
            if not len(items):
                raise IndexError("items is empty: expected at least one item to choose from")
            item_factors, N = item_factors[items], min(N, len(items))
            if liked is not None:
                liked = _filter_items_from_sparse_matrix(items, liked)
        ids, scores = topk(
            item_factors,
            factors,
            N,
            filter_query_items=liked,
            filter_items=filter_items,
            num_threads=self.num_threads,
        )
        return _as_asked(userid, _renamed(ids, items), scores)

    def similar_items(
        self,
        itemid: Any,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: Any = None,
        filter_items: Any = None,
        items: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N items whose factors have the highest cosine; the item itself first.

        Parameters are those of `recommend`; `item_users` has one row for each of `itemid`.
        """
        self._check_fitted()
        factors = self._item_factor(itemid, item_users, recalculate_item)
        return self._similar(itemid, factors, "item", N, filter_items, items)

    def similar_users(
        self, userid: Any, N: int = 10, filter_users: Any = None, users: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N users whose factors have the highest cosine; the user first."""
        self._check_fitted()
        factors = self.user_factors[_one_or_many(userid, len(self.user_factors), "userid")]
        return self._similar(userid, factors, "user", N, filter_users, users)

    def recalculate_user(self, userid: Any, user_items: Any) -> np.ndarray:
        raise NotImplementedError("recalculate_user is not supported with this model")

    def recalculate_item(self, itemid: Any, item_users: Any) -> np.ndarray:
        raise NotImplementedError("recalculate_item is not supported with this model")

    def save(self, fileobj_or_path: Any) -> None:
        """Write an .npz file that `load`, here and in implicit, reads."""
        npz.save(fileobj_or_path, npz.attributes(self, self._saved))

    @classmethod
    def load(cls, fileobj_or_path: Any) -> Self:
        """Read a file that `save`, here or in implicit, wrote."""
        model = cls()
        for name, value in npz.load(fileobj_or_path, cls, cls._saved).items():
            setattr(model, name, np.dtype(value) if name == "dtype" else value)
        return model

    @property
    def user_norms(self) -> np.ndarray:
        """Norms of the user factors; 1e-10 for zero vectors."""
        if self._user_norms is None:
            self._user_norms = _norms(self.user_factors)
        return self._user_norms

    @property
    def item_norms(self) -> np.ndarray:
        """Norms of the item factors; 1e-10 for zero vectors."""
        if self._item_norms is None:
            self._item_norms = _norms(self.item_factors)
        return self._item_norms

    def _similar(
        self, ids: Any, factors: np.ndarray, kind: str, N: int, left_out: Any, chosen: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        N = _length(N)
        everything, norms = getattr(self, f"{kind}_factors"), getattr(self, f"{kind}_norms")
        if chosen is not None:
            if left_out is not None and np.size(left_out):
                raise ValueError(f"Can't set both {kind}s and filter_{kind}s")
            chosen = np.sort(item_numbers(chosen, len(everything), f"{kind}ids in the {kind}s"))
            everything, norms = everything[chosen], norms[chosen]
        rows = np.atleast_2d(factors)
        queries = (rows / _norms(rows)[:, np.newaxis]).astype(rows.dtype, copy=False)
        near, scores = topk(
            everything,
            queries,
            N,
            item_norms=norms,
            filter_items=left_out,
            num_threads=self.num_threads,
        )
        return _as_asked(ids, _renamed(near, chosen), scores)

    def _user_factor(
        self, userid: Any, user_items: Any, recalculate_user: bool = False
    ) -> np.ndarray:
        if recalculate_user:
            return self.recalculate_user(userid, user_items)
        return self.user_factors[_one_or_many(userid, len(self.user_factors), "userid")]

    def _item_factor(
        self, itemid: Any, item_users: Any, recalculate_item: bool = False
    ) -> np.ndarray:
        if recalculate_item:
            return self.recalculate_item(itemid, item_users)
        return self.item_factors[_one_or_many(itemid, len(self.item_factors), "itemid")]

    def _check_fit_errors(self) -> None:
        self._check_factors(self.user_factors, self.item_factors)

    # ---- training by a model of recsys, an "engine" --------------------------------------------

    def _take(self, engine: Any) -> None:
        """Have the factors that the engine has."""
        raise NotImplementedError

    def _train(
        self,
        engine: Any,
        counts: sparse.csr_matrix,
        show_progress: bool,
        tell: Callable[[int, float, float | None], object] | None,
    ) -> None:
        """Train the engine, from its factors if it has any, and take what it has at the end, be
        that an interrupt's; `tell`, called after each iteration with its number from 0, seconds and
        loss, finds what is learned so far."""

        def follow(iteration: int, seconds: float, loss: float | None) -> None:
            self._take(engine)
            tell(iteration - 1, seconds, loss)

        callback, finished = None if tell is None else follow, False
        try:
            engine.fit(counts, callback=callback, show_progress=show_progress, warm_start=True)
            finished = True
        except FloatingPointError as error:
            raise self._diverged(engine, error) from None
        finally:
            if finished or engine.history:
                self._take(engine)

    def _diverged(self, engine: Any, error: FloatingPointError) -> ModelFitError:
        reason = str(error)
        if hasattr(self, "learning_rate"):
            # The engine's advice is about parameters that implicit's classes do not have.
            reason = (
                f"training diverged in iteration {len(engine.history) + 1}. Lower learning_rate, "
                f"which is {self.learning_rate:g}, or regularization, which is "
                f"{self.regularization:g}, if it is large"
            )
        return ModelFitError(f"NaN encountered in factors: {reason}")

    def _random(self) -> np.random.Generator:
        """What the next `fit` draws from.

        An int gives the same numbers from one program to the next, but factors that training goes
        on from give others than they were trained with: fits of an epoch each draw anew.
        """
        if not isinstance(self.random_state, numbers.Integral) or self.item_factors is None:
            return check_random_state(self.random_state)
        known = hashlib.blake2b(np.ascontiguousarray(self.item_factors).data, digest_size=16)
        return np.random.default_rng(
            [int(self.random_state), int.from_bytes(known.digest(), "little")]
        )

    def _present(self, name: str, count: int, widths: tuple[int, ...] = ()) -> np.ndarray | None:
        """The factors `name` to go on from, or None.

        ValueError where they have not `count` rows, or another width than one of `widths`.
        """
        factors = getattr(self, name)
        if factors is None:
            return None
        if len(factors) != count or (widths and factors.shape[1] not in widths):
            expected = (count, widths[0] if widths else factors.shape[1])
            raise ValueError(
                f"the model has {name} of shape {factors.shape} to go on from, but user_items and "
                f"factors={self.factors} ask for {expected}: set {name} to None to start anew"
            )
        return factors

    def _check_fitted(self) -> None:
        if self.user_factors is None or self.item_factors is None:
            raise ValueError(f"this {type(self).__name__} has no factors yet: call fit first")


def finite_counts(matrix: Any) -> sparse.csr_matrix:
    """What a model is trained on, in float32, as implicit has it.

    Raises
    ------
    ModelFitError
        Some values are not finite.
    """
    matrix = check_csr(matrix)
    if not np.isfinite(matrix.data).all():
        raise ModelFitError(
            "user_items holds NaN or infinity; expected finite numbers: remove such entries or "
            "replace their values"
        )
    return sparse.csr_matrix(matrix).astype(np.float32, copy=False)


def _filter_items_from_sparse_matrix(items: np.ndarray, query_items: Any) -> sparse.csr_matrix:
    """`query_items` with the columns `items` (ascending) only, numbered anew."""
    query_items = sparse.csr_matrix(query_items)
    width = max(int(items[-1]) + 1, query_items.shape[1])
    wide = sparse.csr_matrix(
        (query_items.data, query_items.indices, query_items.indptr), (query_items.shape[0], width)
    )
    return wide[:, items]


def check_width(rows: Any, count: int, name: str) -> None:
    """ValueError where a CSR matrix has an entry beyond the first `count` columns."""
    stored = rows.indices[: rows.indptr[-1]]
    beyond = stored[stored >= count]
    if len(beyond):
        raise ValueError(
            f"{name} has {rows.shape[1]} columns; expected at most {count}, one for each the model "
            f"knows, or nothing beyond: there is an entry in column {beyond[0]}"
        )


def as_wide_as(rows: Any, count: int, name: str) -> sparse.csr_matrix:
    """Rows of a CSR matrix with `count` columns; ValueError where entries are beyond those."""
    check_width(rows, count, name)
    return sparse.csr_matrix((rows.data, rows.indices, rows.indptr), (rows.shape[0], count))


def _check_rows(user_items: Any, userid: Any) -> None:
    if not sparse.issparse(user_items) or user_items.format != "csr":
        raise ValueError(
            f"user_items needs to be a CSR sparse matrix; got {type(user_items).__name__}"
        )
    count = 1 if np.ndim(userid) == 0 else len(userid)
    if user_items.shape[0] != count:
        raise ValueError(
            "user_items must contain 1 row for every user in userids; got shape "
            f"{user_items.shape} for {count}: pass user_items[userids]"
        )


def _one_or_many(ids: Any, count: int, name: str) -> Any:
    numbers = item_numbers(ids, count, f"{name}s")
    return int(numbers[0]) if np.ndim(ids) == 0 else numbers


def _length(N: Any) -> int:
    if N < 1:
        raise ValueError(f"N must be at least 1; got {N}")
    return int(N)


def _norms(factors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(factors, axis=-1)
    norms[norms == 0] = _NO_NORM
    return norms


def _renamed(places: np.ndarray, chosen: np.ndarray | None) -> np.ndarray:
    return places if chosen is None else np.append(chosen, -1)[places]


def _as_asked(query: Any, ids: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (ids[0], scores[0]) if np.ndim(query) == 0 else (ids, scores)
