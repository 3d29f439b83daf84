import numpy as np
import pytest

from recsys.evaluation import mae, rmse


def test_values():
    assert rmse([1, 2, 3], [1, 4, 5]) == pytest.approx(np.sqrt(8 / 3))
    assert mae([1, 2, 3], [1, 4, 5]) == pytest.approx(4 / 3)
    assert rmse(np.float32([[4.5]]), np.float32([[4.5]])) == 0


def test_narrow_integers_do_not_wrap():
    assert rmse(np.uint8([1]), np.uint8([5])) == 4
    assert mae(np.int8([-100]), np.int8([100])) == 200


@pytest.mark.parametrize(
    ("predicted", "actual", "error", "message"),
    [
        ([1.0], [1.0, 2.0], ValueError, r"shape \(1,\), actual has \(2,\)"),
        ([], [], ValueError, "at least one pair"),
        ([1.0, np.nan], [1.0, 2.0], ValueError, "predicted holds nan at position 1"),
        ([1.0], [np.inf], ValueError, "actual holds inf at position 0"),
        (["a"], [1.0], TypeError, "predicted must be an array of real numbers"),
    ],
)
def test_errors(predicted, actual, error, message):
    for metric in (rmse, mae):
        with pytest.raises(error, match=message):
            metric(predicted, actual)
