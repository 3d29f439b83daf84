"""What passes between the grid and the kernels."""

import numpy as np
import pytest

from recsys.kernels import _sgd, padded
from recsys.kernels.grid import CELL, make_grid


def arguments(cells):
    rows = padded(np.ones((4, 3), np.float32))
    ids = np.zeros(0, np.int32)
    return (rows, rows.copy(), None, None, ids, ids, np.zeros(0, np.float32), cells)


@pytest.mark.parametrize(
    "dtype",
    [
        np.int64,
        np.dtype([(name, np.int32, 2) for name in CELL.names]),
        np.dtype([(name, np.int64, 2) for name in CELL.names[:4]]),
        np.dtype([(name, np.int64, 3) for name in CELL.names]),
    ],
)
def test_cells_of_another_layout_are_refused(dtype):
    options = {"rate": 0.1, "regularization": 0.1, "isa": "baseline", "num_threads": 1}
    losses = np.ones(2)
    _sgd.ratings_cells(*arguments(np.zeros(2, CELL)), losses, **options)
    assert not losses.any()
    with pytest.raises(ValueError, match="xpected"):
        _sgd.ratings_cells(*arguments(np.zeros(2, dtype)), losses, **options)


def test_a_grid_of_one_cell_has_all_items_in_its_first_group():
    indptr, indices = np.array([0, 2, 3]), np.array([0, 4, 1], np.int32)
    [[cell]] = make_grid(indptr, indices, np.ones(5)).rounds(np.random.default_rng(0))
    assert cell["begin"].tolist() == [0, 0] and cell["end"].tolist() == [3, 0]
    assert cell["lo"].tolist() == [0, 0] and cell["hi"].tolist() == [5, 0]
    assert cell["share"].tolist() == [_sgd.WHOLE_SHARE] * 2
