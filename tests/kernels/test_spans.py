"""Cutting rows into tasks and calls."""

from itertools import pairwise

import numpy as np
import pytest

from recsys.kernels import spans


def test_slices_cover_every_span_once(monkeypatch):
    """However long the pieces between two looks at signals take, each row is solved once."""
    monkeypatch.setattr(spans, "SLICE_SECONDS", 0.0)
    given = np.arange(0, 100_000, 7)
    pieces = list(spans.slices(given, 2))
    assert pieces[0][0] == given[0] and pieces[-1][-1] == given[-1]
    assert all(a[-1] == b[0] for a, b in pairwise(pieces))
    assert len(pieces) > 10


@pytest.mark.parametrize("piece", [1, 40, 1e9])
def test_cuts_give_pieces_of_similar_work(piece):
    work = np.random.default_rng(0).integers(1, 30, 500)
    cuts = spans.cut(work, piece)
    assert cuts[0] == 0 and cuts[-1] == len(work) and np.all(np.diff(cuts) > 0)
    assert np.add.reduceat(work, cuts[:-1]).max() < piece + work.max()


def test_no_rows_make_no_spans():
    assert spans.cut(np.empty(0, np.int64), 10.0).tolist() == [0]


def test_most_work_comes_first_and_equal_rows_in_their_order():
    for most in (3, 65_535, 65_536):  # narrow enough to be sorted by counting, and not
        for dtype in (np.int32, np.int64, np.float64):
            work = np.array([1, most, 2, most], dtype)
            assert spans.most_work_first(work).tolist() == [1, 3, 2, 0]
