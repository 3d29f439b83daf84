"""What is expected where nothing was tried."""

import numpy as np
import pytest

from recsys.tuning.surrogate import Surrogate


def hill(points):
    """Highest, 1, at (0.3, 0.6)."""
    return 1 - 4 * ((points - [0.3, 0.6]) ** 2).sum(axis=1)


@pytest.fixture
def points():
    return np.random.default_rng(0).random((40, 2))


def test_known_values_are_expected_and_those_between(points):
    values = hill(points)
    known = values > 2 * np.median(values) - values.max()
    surrogate = Surrogate(points, values)
    np.testing.assert_allclose(surrogate.expected(points)[known], values[known], atol=0.01)
    between = np.random.default_rng(1).uniform([0.2, 0.4], [0.5, 0.7], (50, 2))
    np.testing.assert_allclose(surrogate.expected(between), hill(between), atol=0.03)


def test_far_away_the_mean_is_expected(points):
    values = hill(points)
    mean = np.maximum(values, 2 * np.median(values) - values.max()).mean()
    assert Surrogate(points, values).expected(np.array([[40.0, 40.0]])) == pytest.approx(mean)


def test_how_bad_the_worst_is_says_nothing(points):
    values = hill(points)
    worse = values.copy()
    worse[values.argmin()] = -1e6
    few = points[:5]
    expected = Surrogate(points, values).expected(few)
    np.testing.assert_allclose(Surrogate(points, worse).expected(few), expected)


def test_an_axis_of_no_account_is_long(points):
    both = np.column_stack([points, np.random.default_rng(2).random(len(points))])
    lengths = Surrogate(both, hill(points)).lengths
    assert lengths[2] > lengths[:2].max()


def test_the_top_is_found_in_few_steps():
    random = np.random.default_rng(3)
    points = random.random((4, 2))
    for _ in range(10):
        candidates = random.random((500, 2))
        best = Surrogate(points, hill(points)).best_gain(candidates, points)
        points = np.concatenate([points, candidates[[best]]])
    assert hill(points).max() > 0.99


def test_what_is_pending_has_no_more_to_gain():
    points = np.random.default_rng(0).random((8, 2))
    surrogate = Surrogate(points, hill(points))
    candidates = np.random.default_rng(4).random((200, 2))
    best = surrogate.best_gain(candidates, points)
    known = np.concatenate([points, candidates[[best]]])
    assert surrogate.with_points(candidates[[best]]).best_gain(candidates, known) != best


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5, 0.5], [0.5, 0.7, 0.7]])
def test_few_values_or_equal_ones(values):
    points = np.linspace(0, 1, len(values))[:, None]
    surrogate = Surrogate(points, np.array(values))
    np.testing.assert_allclose(surrogate.expected(points), values, atol=0.01)
    assert surrogate.best_gain(np.array([[0.2], [0.8]]), points) in (0, 1)


def test_a_point_that_was_tried_often():
    points, values = np.full((30, 2), 0.5), np.linspace(0.4, 0.6, 30)
    assert Surrogate(points, values).expected(points[:1]) == pytest.approx(0.5, abs=0.02)
