"""Every model fitted on Interactions, beside the same model fitted on the matrix."""

import copy
import functools

import every_model
import numpy as np
import pytest
from every_model import EVERY, MODELS, counts, make
from scipy import sparse

from recsys import Interactions

# Integers are the row numbers of others, so that whoever takes them for such is found out.
KINDS = {
    "string": (lambda n: f"user {n}", lambda n: f"ítem {n}"),
    "integer": (
        lambda n: (7 * n + 3) % 40 + n // 40 * 40,
        lambda n: (7 * n + 3) % 30 + n // 30 * 30,
    ),
    "object": (lambda n: ("u", n), lambda n: ("i", n)),
}
USERS = np.arange(40)

# Which ids there are is nothing a model knows of: of all kinds, a few models will do.
_FEW = ("ImplicitALS bias", "ExplicitSGD", "ItemNeighbors")


def pairs(method="recommend"):
    """Parameters `name` and `kind`: every model that has this method, and every kind of ids."""
    names = [name for name in EVERY if hasattr(MODELS[name][0], method)]
    found = [(name, "string") for name in names]
    found += [(name, kind) for name in names if name in _FEW for kind in ("integer", "object")]
    return pytest.mark.parametrize(("name", "kind"), found)


def user(kind, numbers):
    return _ids(KINDS[kind][0], numbers)


def item(kind, numbers):
    return _ids(KINDS[kind][1], numbers)


def _ids(of, numbers):
    return of(int(numbers)) if np.ndim(numbers) == 0 else [of(int(n)) for n in numbers]


def interactions(kind, matrix=None):
    matrix = counts() if matrix is None else matrix
    users, items = (np.arange(count) for count in matrix.shape)
    return Interactions.from_csr(matrix, user(kind, users), item(kind, items))


def newcomers(kind):
    """Interactions of users 50 to 52, with items in other columns, and one that is new."""
    rows = [50, 50, 50, 51, 52, 52]
    columns = [20, 4, 99, 11, 4, 29]
    return Interactions.from_arrays(user(kind, rows), item(kind, columns), [3, 1, 5, 2, 2, 1])


def their_matrix():
    rows, columns, values = [0, 0, 1, 2, 2], [20, 4, 11, 4, 29], [3.0, 1, 2, 2, 1]
    return sparse.csr_array((values, (rows, columns)), shape=(3, 30))


@functools.cache
def _fitted(name, kind):
    return make(name).fit(interactions(kind), show_progress=False)


def both(name, kind):
    """The model of ids, and the one of rows; copies of one's own."""
    return copy.deepcopy(_fitted(name, kind)), every_model.trained(name)


def assert_lists(got, rows, ids):
    """`got` is what `rows` are, in terms of `ids`."""
    numbers, scores = rows
    np.testing.assert_array_equal(got[1], scores)
    assert got[1].dtype == scores.dtype and got[0].shape == numbers.shape
    assert got[0].dtype == (np.int64 if ids.kind == "integer" else object)
    assert got[0].tolist() == ids.take(numbers).tolist()
