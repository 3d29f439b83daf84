"""lightfm.data: `Dataset`."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
from scipy import sparse

from recsys import kernels

__all__ = ["Dataset"]

logger = logging.getLogger("recsys")

_CHUNK = 1 << 12  # events that are taken apart at a time: they stay in the processor's cache


class Dataset:
    """Numbers for ids of users and items and for names of features, and matrices in these numbers.

    Parameters
    ----------
    user_identity_features, item_identity_features : bool, default True
        Whether each user, each item, is a feature of its own beside those that are named.
    """

    def __init__(
        self, user_identity_features: bool = True, item_identity_features: bool = True
    ) -> None:
        self._user_identity_features = user_identity_features
        self._item_identity_features = item_identity_features
        self._forget()

    def fit(
        self,
        users: Iterable[Hashable],
        items: Iterable[Hashable],
        user_features: Iterable[Hashable] | None = None,
        item_features: Iterable[Hashable] | None = None,
    ) -> None:
        """Number ids and names of features anew; see `fit_partial`."""
        self._forget()
        self.fit_partial(users, items, user_features, item_features)

    def fit_partial(
        self,
        users: Iterable[Hashable] | None = None,
        items: Iterable[Hashable] | None = None,
        user_features: Iterable[Hashable] | None = None,
        item_features: Iterable[Hashable] | None = None,
    ) -> None:
        """Number what has no number yet, in the order in which it comes.

        An id and a feature of the same name are one feature, which the log tells.
        """
        for noun, ids, names in (("user", users, user_features), ("item", items, item_features)):
            numbers, features = self._mappings(noun)
            identities = getattr(self, f"_{noun}_identity_features")
            distinct = dict.fromkeys(() if ids is None else ids)
            _number(numbers, distinct)
            if identities:
                _number(features, distinct)
            distinct = dict.fromkeys(() if names is None else names)
            shared = sum(name in numbers for name in distinct) if identities else 0
            _number(features, distinct)
            if shared:
                logger.warning(
                    "%d names of %s features are ids too, and one feature with them: put "
                    "something before the names, such as 'genre:'", shared, noun,
                )  # fmt: skip

    def interactions_shape(self) -> tuple[int, int]:
        """(users, items)."""
        return len(self._user_id_mapping), len(self._item_id_mapping)

    def build_interactions(
        self, data: Iterable[Any]
    ) -> tuple[sparse.coo_matrix, sparse.coo_matrix]:
        """Matrices of interactions.

        Parameters
        ----------
        data : iterable of (user id, item id) or (user id, item id, weight)

        Returns
        -------
        interactions, weights : coo_matrix of int32 and of float32
            An entry for each of `data`, in its order; the first holds ones, the second weights, 1
            where there are none.

        Raises
        ------
        ValueError
            An unknown id; a tuple of another length.
        """
        users, items, weights = [], [], []
        find_users = _Finder("User", self._user_id_mapping)
        find_items = _Finder("Item", self._item_id_mapping)
        rest = iter(data)
        while chunk := list(itertools.islice(rest, _CHUNK)):
            of_users, of_items, of_weights = _columns(chunk)
            users.append(find_users(of_users))
            items.append(find_items(of_items))
            weights.append(of_weights)
        at = _joined(users, np.int32), _joined(items, np.int32)
        shape = self.interactions_shape()
        ones = np.ones(len(at[0]), np.int32)
        values = _joined(weights, np.float32)
        return (
            sparse.coo_matrix((ones, at), shape),
            sparse.coo_matrix((values, (at[0].copy(), at[1].copy())), shape),
        )

    def user_features_shape(self) -> tuple[int, int]:
        """(users, user features)."""
        return len(self._user_id_mapping), len(self._user_feature_mapping)

    def item_features_shape(self) -> tuple[int, int]:
        """(items, item features)."""
        return len(self._item_id_mapping), len(self._item_feature_mapping)

    def build_user_features(self, data: Iterable[Any], normalize: bool = True) -> sparse.csr_matrix:
        """The matrix of users' features.

        Parameters
        ----------
        data : iterable of (user id, names) or (user id, {name: weight})
            Names have weight 1; what comes twice is added up.
        normalize : bool, default True
            Divide each row by the sum of its absolute values.

        Returns
        -------
        csr_matrix of float32, users x user features

        Raises
        ------
        TypeError
            One string in the place of several names.
        ValueError
            An unknown id or name; a tuple of another length; with `normalize`, a row of zeros.
        """
        return self._build_features("user", data, normalize)

    def build_item_features(self, data: Iterable[Any], normalize: bool = True) -> sparse.csr_matrix:
        """The matrix of items' features; see `build_user_features`."""
        return self._build_features("item", data, normalize)

    def model_dimensions(self) -> tuple[int, int]:
        """How many features there are of users, and of items."""
        return len(self._user_feature_mapping), len(self._item_feature_mapping)

    def mapping(self) -> tuple[dict, dict, dict, dict]:
        """The numbers of user ids, user features, item ids and item features."""
        return (*self._mappings("user"), *self._mappings("item"))

    def _forget(self) -> None:
        self._user_id_mapping: dict[Hashable, int] = {}
        self._item_id_mapping: dict[Hashable, int] = {}
        self._user_feature_mapping: dict[Hashable, int] = {}
        self._item_feature_mapping: dict[Hashable, int] = {}

    def _mappings(self, noun: str) -> tuple[dict[Hashable, int], dict[Hashable, int]]:
        return getattr(self, f"_{noun}_id_mapping"), getattr(self, f"_{noun}_feature_mapping")

    def _build_features(self, noun: str, data: Iterable[Any], normalize: bool) -> sparse.csr_matrix:
        numbers, features = self._mappings(noun)
        data = list(data)
        for each in data:
            if len(each) != 2:
                raise ValueError(f"Expected tuples of ({noun}_id, features), got {each}")
        rows = _Finder(noun.capitalize(), numbers)([each[0] for each in data])
        find_features = _Finder("Feature", features)
        names = [_names(each[1]) for each in data]
        counts = np.fromiter(map(len, names), np.int64, len(names))
        flat = list(itertools.chain.from_iterable(names))
        columns = find_features(flat)
        weights = np.ones(len(flat), np.float32)
        ends = np.cumsum(counts)
        for place, each in enumerate(data):
            if isinstance(each[1], Mapping):
                at = slice(ends[place] - counts[place], ends[place])
                weights[at] = np.fromiter(each[1].values(), np.float32, counts[place])
        row = np.repeat(rows, counts)
        if getattr(self, f"_{noun}_identity_features"):
            row = np.concatenate([np.arange(len(numbers), dtype=np.int32), row])
            columns = np.concatenate([find_features(list(numbers)), columns])
            weights = np.concatenate([np.ones(len(numbers), np.float32), weights])
        matrix = sparse.coo_matrix((weights, (row, columns)), (len(numbers), len(features)))
        return _normalized(matrix.tocsr(), noun) if normalize else matrix.tocsr()


def _number(numbers: dict[Hashable, int], distinct: Iterable[Hashable]) -> None:
    """Number those that have no number yet."""
    new = [each for each in distinct if each not in numbers] if numbers else distinct
    numbers.update(zip(new, itertools.count(len(numbers)), strict=False))


def _columns(events: list[Any]) -> tuple[list[Any], list[Any], np.ndarray]:
    """User ids, item ids and weights of events of two or three parts."""
    users: list[Any] = [None] * len(events)
    items, weights = users.copy(), np.empty(len(events), np.float32)
    good = kernels.event_columns(events, users, items, weights)
    if good < len(events):
        raise ValueError(
            "Expecting tuples of (user_id, item_id, weight) or (user_id, item_id). Got "
            f"{events[good]}"
        )
    return users, items, weights


class _Finder:
    """What keys are mapped to; ValueError names one that is not."""

    def __init__(self, noun: str, numbers: dict[Hashable, int]) -> None:
        self._what = "Feature" if noun == "Feature" else f"{noun} id"
        self._numbers, self._table = numbers, kernels.key_table(numbers)

    def __call__(self, keys: list[Any]) -> np.ndarray:
        out = np.empty(len(keys), np.int32)
        found = kernels.find_keys(keys, self._numbers, self._table, out)
        if found < len(keys):
            raise ValueError(
                f"{self._what} {keys[found]!r} not in {self._what.lower()} mapping: call fit with "
                "it first"
            )
        return out


def _names(features: Any) -> Any:
    """Names of features, which may come once only."""
    if isinstance(features, str):
        raise TypeError(
            f"features must be a list of names or a dict of weights, got the string {features!r}, "
            f"whose letters would be the names: expected [{features!r}]"
        )
    return features if hasattr(features, "__len__") else list(features)


def _joined(parts: list[np.ndarray], dtype: Any) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


def _normalized(matrix: sparse.csr_matrix, noun: str) -> sparse.csr_matrix:
    counts = np.diff(matrix.indptr)
    row = np.repeat(np.arange(len(counts)), counts)
    sums = np.bincount(row, np.abs(matrix.data), len(counts))
    if not sums.all():
        raise ValueError(
            f"Cannot normalize feature matrix: some rows have zero norm, the first of {noun} "
            f"number {np.flatnonzero(sums == 0)[0]}. Give each a feature, or pass normalize=False"
        )
    matrix.data /= sums[row]
    return matrix
