"""Recommending and comparing with two factor matrices, whatever trained them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Self

import numpy as np

from recsys import checks, kernels
from recsys.models.base import Iteration, NotFittedError, Recommender
from recsys.models.candidates import ANYONE, Choice, Entries, Seen, entries_of, rows_meant
from recsys.models.recommend_all import USERS, RecommendAll
from recsys.serving import write_model_file

_BLOCK = 1 << 16  # pairs scored together


class FactorModel(RecommendAll, Recommender):
    """A model that scores item i for user u by the inner product of their factors, x_u . y_i.

    Fitting remembers the matrix trained on: to leave its entries out of recommendations, and so
    that single users and items can be learned later without it.
    """

    dtype: Any
    num_threads: int
    _user_factors: np.ndarray | None = None
    _item_factors: np.ndarray | None = None
    _seen: Seen | None = None
    _order: tuple[np.ndarray, kernels.NormOrder | None] | None = None  # of those item factors
    _topk = staticmethod(kernels.topk)  # another where an index answers, see `_listing_with`

    @property
    def user_factors(self) -> np.ndarray:
        """X, n_users x factors, of the model's dtype: a read-only view. To change some of it,
        change a copy and assign that; what is assigned is copied.

        During `fit` its memory is reused two iterations later: a callback that keeps it copies it.
        """
        return _read_only(self._factors("_user_factors"))

    @user_factors.setter
    def user_factors(self, value: Any) -> None:
        self._assign("user_factors", value)

    @property
    def item_factors(self) -> np.ndarray:
        """Y, n_items x factors; see `user_factors`."""
        return _read_only(self._factors("_item_factors"))

    @item_factors.setter
    def item_factors(self, value: Any) -> None:
        self._assign("item_factors", value)

    def recommend(
        self,
        users: Any,
        user_items: Any = None,
        N: int = 10,
        *,
        filter_seen: bool = True,
        filter_items: Any = None,
        items: Any = None,
        fold_in: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N items with the highest scores for each user.

        Parameters
        ----------
        users : int or array of int, shape (n,)
            Row numbers of the training matrix.
        user_items : scipy sparse matrix or array, optional
            What counts as seen instead of the training matrix: a matrix of the same shape, or one
            row for each of `users`.
        N : int, default 10
            Length of each list.
        filter_seen : bool, default True
            Leave out items the user has a stored entry for in the training matrix, or in
            `user_items`.
        filter_items : int or array of int, optional
            Column numbers of items to leave out of every list.
        items : int or array of int, optional
            Column numbers of the only items to choose from; all by default.
        fold_in : bool, default False
            Take each user's factors from the row of `user_items`, by the model's `fold_in`,
            instead of those of training: for changed rows and for users unknown to the model,
            whose numbers then only have to be those of rows of `user_items`, or anything where
            it has one row for each of `users`.

        Returns
        -------
        ids : ndarray of int32, shape (N,) for a single user, else (n, N)
            Best first; of items with equal scores the one with the higher id first. A user with
            fewer than N items left has -1 in the places that stay empty.
        scores : ndarray of the model's dtype, same shape
            x_u . y_i; -inf in empty places. The same for a user alone and among others.

        Raises
        ------
        NotFittedError
            Neither `fit` nor an assignment has provided the factors.
        IndexError
            Unknown users or items.
        TypeError, ValueError
            `users` are not row numbers; N < 1; `user_items` has another shape; factors that do not
            go together.
        """
        user_factors, item_factors = self._both_factors()
        if fold_in and not hasattr(self, "fold_in"):
            raise TypeError(f"{type(self).__name__} cannot fold in users: pass fold_in=False")
        rows = checks.row_numbers("users", users, ANYONE if fold_in else len(user_factors))
        checks.integer("N", N, 1)
        choice = Choice(items, filter_items, item_factors)
        shape, flat = (len(user_factors), len(item_factors)), rows.reshape(-1)
        counts, seen, own = None, None, flat
        if user_items is not None:
            counts = checks.interactions(user_items, item_factors.dtype, may_be_empty=True)
            own = rows_meant(counts.shape, flat, shape, fold_in)
            seen = Seen(counts.indptr, counts.indices, counts.shape)
        elif fold_in:
            raise ValueError("fold_in=True takes factors from user_items: pass it, one row a user")
        elif filter_seen:
            seen = self._checked_seen(shape)

        def block(at: slice) -> tuple[np.ndarray, Entries | None]:
            queries = self.fold_in(counts[own[at]]) if fold_in else user_factors[flat[at]]
            return queries, entries_of(seen, own[at]) if filter_seen else None

        order = self._norm_order(len(flat)) if choice.ids is None else None
        ids, scores = self._best(flat, block, choice, N, order=order)
        return ids.reshape(*rows.shape, N), scores.reshape(*rows.shape, N)

    def similar_items(
        self, items: Any, N: int = 10, *, among: Any = None, filter_items: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N items whose factors have the highest cosine with those of each item.

        Parameters
        ----------
        items : int or array of int, shape (n,)
            Column numbers of the training matrix.
        N : int, default 10
            Length of each list, the item itself included.
        among : int or array of int, optional
            Column numbers of the only items to choose from; all by default.
        filter_items : int or array of int, optional
            Column numbers of items to leave out of every list.

        Returns
        -------
        ids : ndarray of int32, shape (N,) for a single item, else (n, N)
            The item itself first unless it is left out, then best first; ties and empty places as
            in `recommend`.
        scores : ndarray of the model's dtype, same shape
            Cosines, -1 to 1; 0 where one of the two has zero factors.

        Raises
        ------
        NotFittedError, IndexError, TypeError, ValueError
            As in `recommend`.
        """
        return self._similar("items", items, self.item_factors, N, among, filter_items)

    def similar_users(
        self, users: Any, N: int = 10, *, among: Any = None, filter_users: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N users whose factors have the highest cosine with each user's; see `similar_items`.

        Parameters
        ----------
        users : int or array of int, shape (n,)
            Row numbers of the training matrix.
        N : int, default 10
            Length of each list, the user itself included.
        among, filter_users : int or array of int, optional
            The only users to choose from, and users to leave out.
        """
        return self._similar("users", users, self.user_factors, N, among, filter_users)

    def score(self, users: Any, items: Any) -> np.ndarray:
        """x_u . y_i for pairs of users and items.

        Parameters
        ----------
        users, items : int or arrays of int
            Row and column numbers of the training matrix, broadcast against each other: two
            arrays of length n give n scores, ``score(users[:, None], items)`` all pairs.

        Returns
        -------
        ndarray of the model's dtype, of the broadcast shape

        Raises
        ------
        NotFittedError, IndexError, TypeError, ValueError
            As in `recommend`; ValueError also where the shapes do not broadcast.
        """
        user_factors, item_factors = self._both_factors()
        rows, columns = checks.pairs(users, items, (len(user_factors), len(item_factors)))
        scores = np.empty(rows.size, np.result_type(user_factors, item_factors))
        pairs = rows.reshape(-1), columns.reshape(-1)
        for begin in range(0, len(scores), _BLOCK):
            at = slice(begin, begin + _BLOCK)
            scores[at] = np.einsum(
                "kf,kf->k", user_factors[pairs[0][at]], item_factors[pairs[1][at]]
            )
        return scores.reshape(rows.shape)[()]

    def save(self, path: str | os.PathLike) -> None:
        """Write the model to a file that `recsys.load` reads.

        The file is a safetensors file (arrays and a JSON header, nothing that is executed) with
        parameters, factors, history, and the matrix trained on. It appears as a whole or
        not at all. A random_state other than an integer is saved as None.

        Raises
        ------
        NotFittedError
            There are no factors yet.
        TypeError
            A parameter is a function; give it again after loading.
        OSError
            The file cannot be written.
        """
        user_factors, item_factors = self._both_factors()
        header, arrays = self._header(), {}
        if self._seen is not None:
            header["seen_shape"], arrays = self._seen.shape, self._seen.arrays()
        factors = {"user_factors": user_factors, "item_factors": item_factors}
        write_model_file(path, header, factors | arrays)

    def _restore(
        self, header: dict[str, Any], arrays: dict[str, np.ndarray], history: list[Iteration]
    ) -> None:
        """Become what `save` wrote."""
        seen = None
        if "seen_shape" in header:
            seen = Seen.from_arrays(arrays, tuple(header["seen_shape"]))
        dtype = checks.floating_dtype(self.dtype)
        factors = {
            f"_{name}": checks.factor_matrix(name, arrays[name], dtype)
            for name in ("user_factors", "item_factors")
        }
        self._publish({**factors, "_seen": seen}, history)

    def _publish(self, state: dict[str, Any], history: Iterable[Iteration]) -> None:
        super()._publish({**state, "_order": None}, history)

    def _assign(self, name: str, value: Any) -> None:
        factors = checks.factor_matrix(name, value, checks.floating_dtype(self.dtype))
        own = factors.copy() if np.may_share_memory(factors, value) else factors
        vars(self).update({f"_{name}": own, "_order": None})

    def _norm_order(self, n_users: int) -> kernels.NormOrder | None:
        """What spares the kernel work, kept until the factors change. Making it takes as long as
        some lists do (with codes, for a few users, some thirty), so the first such call does
        without: there may be no other."""
        factors, few = self._item_factors, n_users <= kernels.FEW_QUERIES
        known = self._order if self._order is not None and self._order[0] is factors else None
        order = known[1] if known else None
        if order is None or (few and order.codes is None):
            if not few or known:
                order = kernels.norm_order(factors, with_codes=few)
            self._order = factors, order
        return order

    def _n_users(self) -> int:
        return len(self.user_factors)

    def _factors(self, name: str) -> np.ndarray:
        factors = getattr(self, name)
        if factors is None:
            raise NotFittedError(
                f"this {type(self).__name__} has no {name[1:]} yet: call fit(user_items) first"
            )
        return factors

    def _both_factors(self) -> tuple[np.ndarray, np.ndarray]:
        user_factors, item_factors = self.user_factors, self.item_factors
        if user_factors.shape[1] != item_factors.shape[1]:
            raise ValueError(
                f"user_factors has shape {user_factors.shape} and item_factors "
                f"{item_factors.shape}; expected the same number of columns"
            )
        return user_factors, item_factors

    def _checked_seen(self, now: tuple[int, int]) -> Seen:
        """The remembered entries, if they belong to factors of these sizes."""
        if self._seen is None:
            raise NotFittedError(
                "no training matrix is remembered, so seen items are unknown: call "
                "fit(user_items) first or pass filter_seen=False"
            )
        trained = self._seen.shape
        if trained != now:
            raise ValueError(
                f"the model was trained on {trained[0]} users x {trained[1]} items, but its "
                f"factors are now for {now[0]} x {now[1]}: pass filter_seen=False or fit again"
            )
        return self._seen

    def _similar(
        self, name: str, ids: Any, factors: np.ndarray, N: int, among: Any, left_out: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N rows of `factors` with the highest cosine with each of `ids`, itself first."""
        rows = checks.row_numbers(name, ids, len(factors))
        checks.integer("N", N, 1)
        choice = Choice(among, left_out, factors, name)
        norms = self._norms(factors)
        scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)

        flat = rows.reshape(-1)

        def block(at: slice) -> tuple[np.ndarray, Entries]:
            queries = (factors[flat[at]] * scale[flat[at], np.newaxis]).astype(factors.dtype)
            return queries, (np.arange(len(queries) + 1), flat[at].astype(np.int32))

        ids, cosines = self._best(flat, block, choice, N, item_scale=scale.astype(factors.dtype))
        np.clip(cosines, -1, 1, out=cosines, where=ids != kernels.NO_ID)
        # Each row was skipped in its own list: rounding must not decide on its place there.
        own = np.flatnonzero(choice.allows(flat))
        ids[own, 1:], cosines[own, 1:] = ids[own, :-1], cosines[own, :-1]
        ids[own, 0], cosines[own, 0] = flat[own], norms[flat[own]] > 0
        return ids.reshape(*rows.shape, N), cosines.reshape(*rows.shape, N)

    def _norms(self, factors: np.ndarray) -> np.ndarray:
        # In double, so that the squares of very small or large factors neither vanish nor overflow.
        return np.sqrt(np.einsum("ij,ij->i", factors, factors, dtype=np.float64))

    def _listing_with(self, topk: Callable[..., Any], norms: np.ndarray | None) -> Self:
        """The same model, whose lists come from `topk`, which is called as `kernels.topk` is and
        needs no order of norms. `norms`: of the item factors, where they are known."""
        twin = object.__new__(type(self))  # copy.copy would look at the parameters: 0.15 ms a list
        vars(twin).update(vars(self), _topk=topk, _norm_order=lambda n_users: None)
        if norms is not None:
            vars(twin).update(_norms=lambda factors: norms)
        return twin

    def _best(
        self,
        flat: np.ndarray,
        block: Callable[[slice], tuple[np.ndarray, Entries | None]],
        choice: Choice,
        N: int,
        *,
        item_scale: np.ndarray | None = None,
        order: kernels.NormOrder | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lists for all of `flat`, some at a time: ``block(which)`` gives queries and skipped."""
        ids = np.full((len(flat), N), kernels.NO_ID, np.int32)
        scores = np.full((len(flat), N), -np.inf, choice.factors.dtype)
        if item_scale is not None and choice.ids is not None:
            item_scale = item_scale[choice.ids]
        for begin in range(0, len(flat), USERS):
            at = slice(begin, min(begin + USERS, len(flat)))
            queries, skip = block(at)
            found, scores[at] = self._topk(
                queries,
                choice.factors,
                N,
                item_scale=item_scale,
                order=order,
                skip=None if skip is None else choice.positions(skip),
                banned=choice.banned,
                num_threads=self.num_threads,
            )
            ids[at] = choice.names(found)
        return ids, scores


def _read_only(factors: np.ndarray) -> np.ndarray:
    view = factors.view()
    view.flags.writeable = False
    return view
