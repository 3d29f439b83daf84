"""What is wrong with a parameter."""

import numpy as np
import pytest
from scipy import sparse

from recsys import checks

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def test_integer():
    assert checks.integer("factors", np.int64(3), 1) == 3
    for value in (2.0, True, np.True_, "3", None, np.ones(1)):
        with pytest.raises(TypeError, match="factors must be an integer of at least 1; got"):
            checks.integer("factors", value, 1)
    with pytest.raises(ValueError, match="factors must be at least 1; got 0"):
        checks.integer("factors", 0, 1)


def test_number():
    assert checks.number("alpha", np.float32(2), above=0) == 2.0
    assert checks.number("alpha", 0, least=0) == 0.0
    for value in (True, "3", None, 1j, np.ones(1)):
        with pytest.raises(TypeError, match="alpha must be a finite number greater than 0; got"):
            checks.number("alpha", value, above=0)
    for value in (0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="alpha must be a finite number greater than 0; got"):
            checks.number("alpha", value, above=0)
    with pytest.raises(ValueError, match="of at least 0; got -1"):
        checks.number("alpha", -1, least=0)


def test_choice_suggests_the_nearest():
    checks.choice("solver", "cg", ("cholesky", "cg"))
    with pytest.raises(
        ValueError,
        match="unknown solver 'Cholesk'; expected 'cholesky' or 'cg'; did you mean 'cholesky'",
    ):
        checks.choice("solver", "Cholesk", ("cholesky", "cg"))
    with pytest.raises(ValueError, match=r"unknown solver 5; expected 'cg' or a callable$"):
        checks.choice("solver", 5, ("cg",), also="a callable")


def test_floating_dtype():
    for value in (np.float32, "float32", "f4", F32, "<f4"):
        assert checks.floating_dtype(value) == F32
    assert checks.floating_dtype(float) == F64
    for value in (np.float16, int, None, "flaot32", ">f4", np.longdouble, object(), "c8"):
        with pytest.raises(ValueError, match=r"must be np.float32 or np.float64; got"):
            checks.floating_dtype(value)


def test_random_generator():
    first = checks.random_generator(3).random(4)
    np.testing.assert_array_equal(first, np.random.default_rng(3).random(4))
    np.testing.assert_array_equal(first, checks.random_generator(np.uint8(3)).random(4))
    generator = np.random.default_rng(0)
    assert checks.random_generator(generator) is generator
    legacy = [np.random.RandomState(5), np.random.RandomState(5), np.random.RandomState(6)]
    checks.random_state(legacy[0])  # looks, does not draw
    a, b, c = (checks.random_generator(state).random(4) for state in legacy)
    assert (a == b).all() and (a != c).all()
    assert (
        checks.random_generator(None).random(4) != checks.random_generator(None).random(4)
    ).all()
    for value in (1.0, "1", True, np.True_, [1], np.random):
        with pytest.raises(TypeError, match="random_state must be None, an integer, a numpy"):
            checks.random_generator(value)
    with pytest.raises(ValueError, match="random_state must be at least 0; got -1"):
        checks.random_generator(-1)


def test_row_numbers():
    assert checks.row_numbers("users", np.uint8(3), 4).shape == ()
    assert checks.row_numbers("users", [0, 3], 4).tolist() == [0, 3]
    assert checks.row_numbers("users", [], 4).shape == (0,)
    assert checks.row_numbers("users", range(2), 4).dtype == np.int64
    for ids in (1.0, "a", [0.5], True, [True], None, sparse.csr_array(np.eye(3)), ["a"]):
        with pytest.raises(TypeError, match="users must be a row number or a 1-D array of row nu"):
            checks.row_numbers("users", ids, 4)
    with pytest.raises(ValueError, match=r"got an array of shape \(1, 2\).*ravel"):
        checks.row_numbers("users", [[1, 2]], 4)
    with pytest.raises(
        IndexError, match="users not known to the model: 4; it was trained on 0 to 3"
    ):
        checks.row_numbers("users", 4, 4)
    with pytest.raises(IndexError, match=r"known to the model: -2, -1, 4, 5, 6, \.\.\.; it"):
        checks.row_numbers("users", [4, -1, 5, 6, 7, -2, 0, 4], 4)
    with pytest.raises(IndexError, match="18446744073709551615"):
        checks.row_numbers("users", np.array([2**64 - 1], np.uint64), 4)
    for number in (-1, 2**31):
        with pytest.raises(IndexError, match=f"users holds {number}; expected at least 0 and less"):
            checks.row_numbers("users", number, checks.ANYONE)
    with pytest.raises(TypeError, match=r"\(integers of at least 0\); got float64"):
        checks.row_numbers("users", 0.5, checks.ANYONE)


def test_factor_matrix():
    mine = np.ones((3, 2), np.float32)
    assert checks.factor_matrix("user_factors", mine, F32) is mine
    out = checks.factor_matrix("user_factors", np.asfortranarray(mine), F32)
    assert out.flags.c_contiguous
    assert checks.factor_matrix("user_factors", [[1, 2]], F64).dtype == F64
    for value in (np.ones(3), np.ones((0, 3)), np.ones((3, 0)), np.ones((1, 2, 3))):
        with pytest.raises(ValueError, match=r"user_factors must be 2-D.*got shape"):
            checks.factor_matrix("user_factors", value, F32)
    for value in (np.ones((2, 2)) * 1j, [["a"]], [[None]], [[True]]):
        with pytest.raises(TypeError, match="user_factors must hold real numbers; got dtype"):
            checks.factor_matrix("user_factors", value, F32)
    for bad in (np.nan, np.inf, 1e300):
        value = np.ones((4, 2))
        value[2, 1] = bad
        with pytest.raises(ValueError, match="user_factors must be finite in float32; row 2 is no"):
            checks.factor_matrix("user_factors", value, F32)
