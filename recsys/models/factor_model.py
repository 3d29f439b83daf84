"""Recommending and comparing with two factor matrices, whatever trained them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys import checks, csr, kernels
from recsys.models.base import Iteration, NotFittedError
from recsys.models.candidates import Choice, Entries, Seen, entries_of, list_length
from recsys.models.estimator import scored_pairs
from recsys.models.lists import USERS, ListMaker
from recsys.models.vocabulary import Vocabulary, speaks_ids

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger("recsys")

_BLOCK = 1 << 16  # pairs scored together
_FACTORS, _BIASES = ("user_factors", "item_factors"), ("user_biases", "item_biases")


class FactorModel(ListMaker):
    """A model that scores item i for user u by the inner product of their factors, x_u . y_i; one
    that has biases adds mean + b_u + b_i.

    Fitting remembers the matrix trained on: to leave its entries out of recommendations, and so
    that single users and items can be learned later without it.
    """

    _user_factors: np.ndarray | None = None
    _item_factors: np.ndarray | None = None
    _user_biases: np.ndarray | None = None
    _item_biases: np.ndarray | None = None
    _mean: float = 0.0
    _prepared: dict[str, Any]  # from the present factors; see `_once`
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

    @property
    def user_biases(self) -> np.ndarray | None:
        """b_u, one for each user, of the model's dtype: a read-only view. None: it has none."""
        return None if self._user_biases is None else _read_only(self._user_biases)

    @property
    def item_biases(self) -> np.ndarray | None:
        """b_i, one for each item; see `user_biases`."""
        return None if self._item_biases is None else _read_only(self._item_biases)

    @property
    def mean(self) -> float:
        """What every score has in common beside the biases; 0 where there is no such thing."""
        return self._mean

    @speaks_ids(answer=Vocabulary.lists_of_items)
    def similar_items(
        self, items: Any, N: int = 10, *, among: Any = None, filter_items: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N items whose factors have the highest cosine with those of each item.

        Parameters
        ----------
        items : int or array of int, shape (n,)
            Column numbers of the training matrix; ids, where the model speaks them.
        N : int, default 10
            Length of each list, the item itself included.
        among : int or array of int, optional
            The only items to choose from; all by default.
        filter_items : int or array of int, optional
            Items to leave out of every list.

        Returns
        -------
        ids : ndarray of int32, shape (N,) for a single item, else (n, N)
            The item itself first unless it is left out, then best first; ties and empty places as
            in `recommend`.
        scores : ndarray of the model's dtype, same shape
            Cosines, -1 to 1; 0 where one of the two has zero factors, or such as the dtype holds no
            more digits of.

        Raises
        ------
        NotFittedError, IndexError, TypeError, ValueError
            As in `recommend`.
        """
        return self._similar("items", items, N, among, filter_items)

    @speaks_ids(answer=Vocabulary.lists_of_users)
    def similar_users(
        self, users: Any, N: int = 10, *, among: Any = None, filter_users: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N users whose factors have the highest cosine with each user's; see `similar_items`.

        Parameters
        ----------
        users : int or array of int, shape (n,)
            Row numbers of the training matrix; ids, where the model speaks them.
        N : int, default 10
            Length of each list, the user itself included.
        among, filter_users : int or array of int, optional
            The only users to choose from, and users to leave out.
        """
        return self._similar("users", users, N, among, filter_users)

    @speaks_ids()
    def score(self, users: Any, items: Any = None) -> np.ndarray:
        """x_u . y_i, and mean + b_u + b_i where there are biases, for pairs of users and items.

        Parameters
        ----------
        users, items : int or arrays of int
            Row and column numbers of the training matrix, or ids, broadcast against each other:
            two arrays of length n give n scores, ``score(users[:, None], items)`` all pairs.

        Returns
        -------
        ndarray of the model's dtype, of the broadcast shape

        Raises
        ------
        NotFittedError, IndexError, TypeError, ValueError
            As in `recommend`; ValueError also where the shapes do not broadcast.
        """
        rows, columns = scored_pairs(users, items, self._known_shape())
        scores = np.empty(rows.size, np.result_type(self._user_factors, self._item_factors))
        pairs = rows.reshape(-1), columns.reshape(-1)
        for begin in range(0, len(scores), _BLOCK):
            at = slice(begin, begin + _BLOCK)
            scores[at] = self._pair_scores(pairs[0][at], pairs[1][at])
        return scores.reshape(rows.shape)[()]

    @speaks_ids(Vocabulary.of_newcomers)
    def fold_in(self, user_items: Any) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Factors of users the model was not trained on, and their biases if it has such; items
        held fixed.

        Stores nothing; what a user gets does not depend on the others. Models by least squares and
        `ExplicitSGD` solve each row exactly, whatever `solver` is. `BPR` makes 30 epochs of its
        steps for x_u alone, from zero, at the first learning rate. `LogisticMF` takes `iterations`
        steps from zero factors and the mean of the users' biases.

        Parameters
        ----------
        user_items : scipy sparse matrix or array, n x n_items, or Interactions
            Counts, one row a user, as in `fit`; of Interactions in the order of their users.

        Returns
        -------
        factors : ndarray of the model's dtype, shape (n, factors)
            Of a user without entries zeros, unless there are biases and unobserved cells weigh
            something.
        biases : ndarray of the model's dtype, shape (n,)
            Only of a model whose users have biases; one without returns the factors alone.

        Raises
        ------
        NotFittedError, TypeError, ValueError, FloatingPointError
            As in `fit` and `recommend`.
        """
        counts = csr.canonical(user_items, self._check_parameters(), may_be_empty=True)
        checks.columns("user_items", counts.shape, len(self.item_factors), "items")
        return both_or_factors(self._fold(counts))

    def save(self, path: str | os.PathLike) -> None:
        """Write the model to a file that `recsys.load` reads.

        The file is a safetensors file (arrays and a JSON header, nothing that is executed) with
        parameters, factors, history, the matrix trained on, and ids. It appears as a whole
        or not at all. A random_state other than an integer is saved as None.

        Raises
        ------
        NotFittedError
            There are no factors yet.
        TypeError, ValueError
            A parameter is a function: give it again after loading. Or it is out of range. Or ids
            are neither strings nor integers.
        OSError
            The file cannot be written.
        """
        shape = self._known_shape()
        self._check_parameters()
        header, arrays = {**self._header(), "mean": self._mean}, {}
        if self._seen is not None:
            header["seen_shape"], arrays = self._seen.shape, self._seen.arrays()
        learned = {name: getattr(self, f"_{name}") for name in (*_FACTORS, *_BIASES)}
        learned = {name: array for name, array in learned.items() if array is not None}
        self._write(path, header | {"shape": shape}, learned | arrays)

    def _restore(
        self, header: dict[str, Any], arrays: dict[str, np.ndarray], history: list[Iteration]
    ) -> None:
        """Become what `save` wrote."""
        seen = None
        if "seen_shape" in header:
            seen = Seen.from_arrays(arrays, tuple(header["seen_shape"]))
        dtype = checks.floating_dtype(self.dtype)
        state = {f"_{name}": checks.factor_matrix(name, arrays[name], dtype) for name in _FACTORS}
        for name, factors in zip(_BIASES, _FACTORS, strict=True):
            if name in arrays:
                column = checks.factor_matrix(name, arrays[name][:, np.newaxis], dtype)
                _check_length(name, column, len(state[f"_{factors}"]))
                state[f"_{name}"] = column[:, 0]
        mean = checks.number("mean", header.get("mean", 0.0))
        best = header.get("best_iteration")
        if best is not None:
            checks.integer("best_iteration", best, 1)
        metric = header.get("validation_metric")
        if not isinstance(metric, str | None):
            raise TypeError(f"validation_metric must be a string; got {metric!r}")
        own = {"_seen": seen, "_mean": mean}
        told = {"_best_iteration": best, "_validation_metric": metric}
        self._publish(state | own | told, history)

    def __getstate__(self) -> dict[str, Any]:
        # What is prepared can be prepared again: copies and workers are spared it.
        return {**vars(self), "_prepared": {}}

    def _publish(self, state: dict[str, Any], history: Iterable[Iteration]) -> None:
        super()._publish({**state, "_prepared": {}}, history)

    def _assign(self, name: str, value: Any) -> None:
        factors = checks.factor_matrix(name, value, checks.floating_dtype(self.dtype))
        biases = getattr(self, "_" + name.replace("factors", "biases"))
        if biases is not None:
            _check_length(name, factors, len(biases))
        own = factors.copy() if np.may_share_memory(factors, value) else factors
        vars(self).update({f"_{name}": own, "_prepared": {}})

    def _once(self, what: str, factors: Any, make: Callable[[], Any]) -> Any:
        """What `make` makes of `factors`, kept until there are others."""
        of, made = self._prepared.get(what, (None, None))
        if of is not factors:
            made = make()
            self._prepared[what] = factors, made
        return made

    def _scored_items(self) -> np.ndarray:
        """What items have that lists go by: factors, and their biases as one more column."""
        factors, biases = self._factors("_item_factors"), self._item_biases
        if biases is None:
            return factors
        return self._once("scored", factors, lambda: np.column_stack([factors, biases]))

    def _norms(self, what: str, rows: np.ndarray) -> np.ndarray:
        return self._once(f"norms of {what}", rows, lambda: kernels.norms(rows))

    def _norm_order(self, n_users: int) -> kernels.NormOrder | None:
        """What spares the kernel work. With codes, which a few users profit from, it takes as
        long to make as dozens of lists: the first such call does without, as there may be no
        other."""
        items = self._scored_items()
        codes = n_users <= kernels.FEW_QUERIES
        if codes and self._once("asked before", items, lambda: [False]) == [False]:
            self._prepared["asked before"] = items, [True]
            return None
        norms = self._norms("scored items", items)
        what = "order and codes" if codes else "order"
        return self._once(what, items, lambda: kernels.norm_order(items, norms, codes=codes))

    def _known_shape(self) -> tuple[int, int]:
        user_factors, item_factors = self._both_factors()
        return len(user_factors), len(item_factors)

    def _lists(
        self,
        users: np.ndarray,
        given: sparse.csr_array | None,
        own: np.ndarray,
        choice: Choice,
        N: int,
        *,
        filter_seen: bool,
        fold_in: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        seen = None
        if filter_seen:
            seen = self._checked_seen() if given is None else Seen.of(given)
        items = self._scored_items()
        common = np.full(len(users), self._mean, items.dtype)  # to all scores of a user

        def block(at: slice) -> tuple[np.ndarray, Entries | None]:
            if fold_in:
                queries, biases = self._fold(given[own[at]])
            else:
                queries, biases = self._user_factors[users[at]], self._user_biases
                biases = None if biases is None else biases[users[at]]
            if biases is not None:
                common[at] += biases
            if self._item_biases is not None:
                queries = np.column_stack([queries, np.ones(len(queries), queries.dtype)])
            return queries, None if seen is None else entries_of(seen, own[at])

        order = self._norm_order(len(users)) if choice.ids is None else None
        ids, scores = self._best(len(users), block, items, choice, N, order=order)
        if common.any():
            scores += common[:, np.newaxis]
        return ids, scores

    def _fold(self, rows: sparse.csr_array) -> tuple[np.ndarray, np.ndarray | None]:
        logger.debug(
            "%s folds in %d users of %d entries", type(self).__name__, rows.shape[0], rows.nnz
        )
        return self._folded(rows)

    def _folded(self, rows: sparse.csr_array) -> tuple[np.ndarray, np.ndarray | None]:
        """Factors, and biases if the model has them, of users with these entries."""
        raise TypeError(f"{type(self).__name__} cannot fold in users: pass fold_in=False")

    def _pair_scores(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        scores = np.einsum("kf,kf->k", self._user_factors[rows], self._item_factors[columns])
        for biases, at in ((self._user_biases, rows), (self._item_biases, columns)):
            if biases is not None:
                scores += biases[at]
        return scores + scores.dtype.type(self._mean) if self._mean else scores

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

    def _similar(
        self, noun: str, ids: Any, N: int, among: Any, left_out: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """The N rows of factors with the highest cosine with each of `ids`, itself first."""
        what = f"{noun[:-1]}_factors"
        factors = self._factors(f"_{what}")
        rows = checks.row_numbers(noun, ids, len(factors))
        list_length(N, len(factors))
        choice = Choice(among, left_out, len(factors), noun)
        norms = self._norms(what, factors)
        # Norms below tell of factors that have lost their digits; 1 / norm might overflow as well
        has_direction = norms >= np.finfo(factors.dtype).tiny
        scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=has_direction)
        flat = rows.reshape(-1)

        def block(at: slice) -> tuple[np.ndarray, Entries]:
            queries = (factors[flat[at]] * scale[flat[at], np.newaxis]).astype(factors.dtype)
            return queries, (np.arange(len(queries) + 1), flat[at].astype(np.int32))

        item_scale = choice.of(scale).astype(factors.dtype)
        ids, cosines = self._best(len(flat), block, factors, choice, N, item_scale=item_scale)
        np.clip(cosines, -1, 1, out=cosines, where=ids != kernels.NO_ID)
        # Each row was skipped in its own list: rounding must not decide on its place there.
        own = np.flatnonzero(choice.allows(flat))
        ids[own, 1:], cosines[own, 1:] = ids[own, :-1], cosines[own, :-1]
        ids[own, 0], cosines[own, 0] = flat[own], has_direction[flat[own]]
        return ids.reshape(*rows.shape, N), cosines.reshape(*rows.shape, N)

    def _listing_with(self, topk: Callable[..., Any]) -> Self:
        """The same model, whose lists come from `topk`, which is called as `kernels.topk` is and
        needs no order of norms."""
        return self._twin(_topk=topk, _norm_order=lambda n_users: None)

    def _best(
        self,
        count: int,
        block: Callable[[slice], tuple[np.ndarray, Entries | None]],
        items: np.ndarray,
        choice: Choice,
        N: int,
        *,
        item_scale: np.ndarray | None = None,
        order: kernels.NormOrder | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lists for `count` queries, some at a time: ``block(which)`` gives them and who is
        skipped."""
        ids = np.full((count, N), kernels.NO_ID, np.int32)
        scores = np.full((count, N), -np.inf, items.dtype)
        chosen = choice.of(items)
        for begin in range(0, count, USERS):
            at = slice(begin, min(begin + USERS, count))
            queries, skip = block(at)
            found, scores[at] = self._topk(
                queries,
                chosen,
                N,
                item_scale=item_scale,
                order=order,
                skip=None if skip is None else choice.positions(skip),
                banned=choice.banned,
                num_threads=self.num_threads,
            )
            ids[at] = choice.names(found)
        return ids, scores


def both_or_factors(solved: tuple[np.ndarray, np.ndarray | None]) -> Any:
    """Factors and biases, or the factors alone where there are no biases."""
    return solved[0] if solved[1] is None else solved


def _check_length(name: str, rows: np.ndarray, count: int) -> None:
    if len(rows) != count:
        raise ValueError(f"{name} has {len(rows)} rows; expected {count}, as many as biases")


def _read_only(factors: np.ndarray) -> np.ndarray:
    view = factors.view()
    view.flags.writeable = False
    return view
