"""Learning single users and items while everything else is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recsys import checks, csr, kernels
from recsys.models.base import Iteration
from recsys.models.candidates import Seen
from recsys.models.factor_model import FactorModel, both_or_factors
from recsys.models.vocabulary import Vocabulary, learns_ids, speaks_ids

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True)
class AlternatingIteration(Iteration):
    """One entry of a model's `history`, see `Iteration`.

    Attributes
    ----------
    user_seconds, item_seconds : float
        Wall time of the two half-sweeps.
    """

    user_seconds: float
    item_seconds: float


class AlternatingModel(FactorModel):
    """A factor model whose users are each solved against the items, and the other way round."""

    _entry: ClassVar[type[Iteration]] = AlternatingIteration
    _ratings: ClassVar[bool] = False  # entries are no counts: later ones replace earlier ones

    @speaks_ids(Vocabulary.of_newcomers)
    def fold_in_items(self, item_users: Any) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Factors of items the model was not trained on, and their biases if it has such; users
        held fixed.

        As `fold_in`, with the rows being items. Where a user's own mean count decides on a
        confidence (see `epsilon`), it is the mean over what the model remembers of the user and
        these items.

        Parameters
        ----------
        item_users : scipy sparse matrix or array, n x n_users, or Interactions
            Counts, one row an item; of Interactions in the order of their items.

        Returns
        -------
        factors : ndarray of the model's dtype, shape (n, factors)
        biases : ndarray of the model's dtype, shape (n,)
            As in `fold_in`.

        Raises
        ------
        NotFittedError, TypeError, ValueError, FloatingPointError
            As in `fold_in`.
        """
        dtype = self._check_parameters()
        given = self._item_users(item_users, dtype)
        known = self._known(given.shape[::-1], dtype)
        n_items = known.shape[1]
        added = np.arange(n_items, n_items + given.shape[0])
        return both_or_factors(self._solve_items(self._with_columns(known, added, given), added))

    @learns_ids
    def partial_fit_users(self, users: Any, user_items: Any, *, keep_known: bool = True) -> None:
        """Learn new users, or what is new about known ones, item factors held fixed.

        Stores the users' factors, as `fold_in` finds them, and remembers their entries. Takes the
        time of a copy of all user factors and remembered entries: pass many users at once.

        Parameters
        ----------
        users : int or array of int, shape (n,)
            Row numbers, or ids; one the model does not have yet makes it grow. Rows that are
            skipped belong to users without entries.
        user_items : scipy sparse matrix or array, n x n_items, or Interactions
            Counts, one row for each of `users`; Interactions have them by id, and entries of
            items that the model does not know are left out.
        keep_known : bool, default True
            Add the counts to those remembered of the users; of ratings, the new ones replace those
            of the same items. False: forget what was remembered of the users.

        Raises
        ------
        NotFittedError, TypeError, ValueError, FloatingPointError
            As in `fold_in`; ValueError also for a user named twice. The model is unchanged then.
        """
        dtype = self._check_parameters()
        rows = _distinct("users", users)
        shape = self._known_shape()
        given = csr.canonical(user_items, dtype, may_be_empty=True)
        checks.columns("user_items", given.shape, shape[1], "items")
        _check_rows("user_items", given, rows, "users")
        known = self._known(shape, dtype)
        if keep_known:
            here = rows < known.shape[0]
            given = self._merged(_rows(known, np.where(here, rows, -1)), given)
        rows, skipped = _with_skipped(rows, shape[0])
        given = _rows(given, np.append(np.arange(given.shape[0]), np.full(skipped, -1)))
        solved = self._solve_rows(self._signed(given), "item")
        self._learned("user", rows, solved, _with_rows(known, rows, given))

    @learns_ids
    def partial_fit_items(self, items: Any, item_users: Any, *, keep_known: bool = True) -> None:
        """Learn new items, or what is new about known ones, user factors held fixed.

        Parameters
        ----------
        items : int or array of int, shape (n,)
            Column numbers, or ids; see `partial_fit_users`.
        item_users : scipy sparse matrix or array, n x n_users, or Interactions
            Counts, one row for each of `items`; Interactions have them by id.
        keep_known : bool, default True
            As in `partial_fit_users`. False: forget what was remembered of the items.

        Raises
        ------
        NotFittedError, TypeError, ValueError, FloatingPointError
            As in `partial_fit_users`.
        """
        dtype = self._check_parameters()
        columns = _distinct("items", items)
        given = self._item_users(item_users, dtype)
        _check_rows("item_users", given, columns, "items")
        shape = self._known_shape()
        known = self._known(shape, dtype)
        if not keep_known:
            known = _without_columns(known, columns)
        known = self._with_columns(known, columns, given)
        columns, _ = _with_skipped(columns, shape[1])
        self._learned("item", columns, self._solve_items(known, columns), known)

    # ---- what a model of this kind provides ----------------------------------------------------

    def _signed(self, counts: sparse.csr_array) -> sparse.csr_array:
        """Counts, users x items, as `_solve_rows` takes them: whole users, at most all."""
        raise NotImplementedError

    def _weights(self) -> tuple[float, float, float]:
        """lambda, nu and w0, see `kernels.make_sides`."""
        raise NotImplementedError

    # ---- helpers -------------------------------------------------------------------------------

    def _folded(self, rows: sparse.csr_array) -> tuple[np.ndarray, np.ndarray | None]:
        self._check_parameters()
        return self._solve_rows(self._signed(rows), "item")

    def _solve_rows(
        self, signed: sparse.csr_array, held: str
    ) -> tuple[np.ndarray, np.ndarray | None]:
        return kernels.fold_in(
            signed, self._held(held), *self._weights(), self.num_threads, mean=self._mean,
            ratings=self._ratings,
        )  # fmt: skip

    def _held(self, noun: str) -> kernels.Factors:
        """What the rows of one side are solved against: the other side, "user" or "item"."""
        dtype = checks.floating_dtype(self.dtype)
        factors = np.asarray(self._factors(f"_{noun}_factors"), dtype)
        biases = getattr(self, f"_{noun}_biases")
        return kernels.Factors(factors, None if biases is None else np.asarray(biases, dtype))

    def _solve_items(
        self, counts: sparse.csr_array, items: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Factors and biases of some columns of `counts`, which has all that is known of its
        users."""
        from scipy import sparse

        chosen = np.zeros(counts.shape[1], bool)
        chosen[items] = True
        entries = chosen[counts.indices]
        users = np.flatnonzero(np.diff(np.append(0, np.cumsum(entries))[counts.indptr]))
        signed = self._signed(_rows(counts, users))
        place = np.full(counts.shape[1], -1)
        place[items] = np.arange(len(items))
        kept = np.flatnonzero(place[signed.indices] >= 0)
        user_of = np.repeat(users, np.diff(signed.indptr))[kept]
        triples = (signed.data[kept], (place[signed.indices[kept]], user_of))
        rows = sparse.csr_array(triples, shape=(len(items), counts.shape[0]))
        return self._solve_rows(csr.summed(rows), "user")

    def _merged(self, known: sparse.csr_array, given: sparse.csr_array) -> sparse.csr_array:
        """known + given, or `given` where both have an entry if they are ratings, with an entry
        wherever either has one: SciPy's own sum drops those that are 0."""
        from scipy import sparse

        rows, columns = zip(*((_entry_rows(m), m.indices) for m in (known, given)), strict=True)
        values = known.data
        if self._ratings:
            keys = (r * known.shape[1] + c for r, c in zip(rows, columns, strict=True))
            values = np.where(np.isin(*keys), 0, values)
        places = np.concatenate(rows), np.concatenate(columns)
        merged = np.append(values, given.data), places
        return csr.summed(sparse.csr_array(merged, shape=known.shape))

    def _with_columns(
        self, matrix: sparse.csr_array, columns: np.ndarray, given: sparse.csr_array
    ) -> sparse.csr_array:
        """`matrix` with the rows of `given` added to some of its columns, and as many more as that
        takes."""
        from scipy import sparse

        shape = matrix.shape[0], max(matrix.shape[1], int(columns.max(initial=-1)) + 1)
        column_of = np.repeat(columns, np.diff(given.indptr))
        added = csr.summed(sparse.csr_array((given.data, (given.indices, column_of)), shape=shape))
        rows = np.flatnonzero(np.diff(added.indptr))
        wide = csr.assemble(matrix.data, matrix.indices, matrix.indptr, shape)
        return _with_rows(wide, rows, self._merged(_rows(wide, rows), _rows(added, rows)))

    def _item_users(self, item_users: Any, dtype: np.dtype) -> sparse.csr_array:
        given = csr.canonical(item_users, dtype, may_be_empty=True, name="item_users")
        checks.columns("item_users", given.shape, len(self.user_factors), "users")
        return given

    def _known(self, shape: tuple[int, int], dtype: np.dtype) -> sparse.csr_array:
        """What the model remembers; without a training matrix, nothing about anybody."""
        from scipy import sparse

        if self._seen is None:
            shape = shape[0], len(self.item_factors)
            return csr.summed(sparse.csr_array(shape, dtype=dtype))
        return self._checked_seen().counts(dtype)

    def _learned(
        self,
        noun: str,
        rows: np.ndarray,
        solved: tuple[np.ndarray, np.ndarray | None],
        known: sparse.csr_array,
    ) -> None:
        """Publish factors and biases of some users or items, new ones among them."""
        state: dict[str, Any] = {"_seen": Seen.of(known)}
        for name, new in zip((f"_{noun}_factors", f"_{noun}_biases"), solved, strict=True):
            if new is not None:
                old = getattr(self, name)
                count = max(len(old), rows.max(initial=-1) + 1)
                state[name] = np.empty((count, *old.shape[1:]), new.dtype)
                state[name][: len(old)] = old
                state[name][rows] = new
        self._publish(state, self._history)


def _distinct(name: str, ids: Any) -> np.ndarray:
    rows = checks.row_numbers(name, ids, checks.ANYONE).reshape(-1)
    values, counts = np.unique(rows, return_counts=True)
    if np.any(counts > 1):
        raise ValueError(f"{name} names {values[np.argmax(counts)]} more than once")
    return rows


def _with_skipped(rows: np.ndarray, count: int) -> tuple[np.ndarray, int]:
    """`rows` and after them those that growing from `count` rows skips, and how many that are."""
    skipped = np.setdiff1d(np.arange(count, rows.max(initial=-1) + 1), rows)
    return np.append(rows, skipped), len(skipped)


def _check_rows(name: str, given: sparse.csr_array, rows: np.ndarray, noun: str) -> None:
    if given.shape[0] != len(rows):
        raise ValueError(
            f"{name} has shape {given.shape}; expected one row for each of the {len(rows)} {noun}"
        )


def _rows(matrix: sparse.csr_array, rows: np.ndarray) -> sparse.csr_array:
    """Rows of a canonical matrix, one after the other; -1 is a row without entries."""
    begin = np.where(rows >= 0, matrix.indptr[rows], 0)
    lengths = np.where(rows >= 0, matrix.indptr[rows + 1] - begin, 0)
    indptr = np.append(0, np.cumsum(lengths))
    at = np.repeat(begin - indptr[:-1], lengths) + np.arange(indptr[-1])
    shape = (len(rows), matrix.shape[1])
    return csr.assemble(matrix.data[at], matrix.indices[at], indptr, shape)


def _with_rows(
    matrix: sparse.csr_array, rows: np.ndarray, given: sparse.csr_array
) -> sparse.csr_array:
    """`matrix` with some rows replaced, and as many more as that takes."""
    count = max(matrix.shape[0], rows.max(initial=-1) + 1)
    source = np.full(count, -1)
    source[: matrix.shape[0]] = np.arange(matrix.shape[0])
    source[rows] = matrix.shape[0] + np.arange(len(rows))
    both = csr.assemble(
        np.append(matrix.data, given.data),
        np.append(matrix.indices, given.indices),
        np.append(matrix.indptr, matrix.indptr[-1] + given.indptr[1:]),
        (matrix.shape[0] + len(rows), matrix.shape[1]),
    )
    return _rows(both, source)


def _entry_rows(matrix: sparse.csr_array) -> np.ndarray:
    return np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))


def _without_columns(matrix: sparse.csr_array, columns: np.ndarray) -> sparse.csr_array:
    kept = ~np.isin(matrix.indices, columns)
    indptr = np.append(0, np.cumsum(kept))[matrix.indptr]
    return csr.assemble(matrix.data[kept], matrix.indices[kept], indptr, matrix.shape)
