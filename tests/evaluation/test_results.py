import json
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from recsys.evaluation import Evaluation, compare


def result(**per_user):
    n = len(next(iter(per_user.values())))
    return Evaluation(
        users=np.arange(n),
        per_user={f"{name}@10": np.asarray(v, float) for name, v in per_user.items()},
        overall={"coverage@10": 0.25},
        n_without_test=3,
        n_unseen_items=2,
        n_cut_ties=1,
    )


def test_mean_and_standard_error():
    found = result(recall=[0, 0.5, 1, 0.5], ndcg=[1, 1, 1, 1])
    assert found.mean == {"recall@10": 0.5, "ndcg@10": 1}
    error = np.std([0, 0.5, 1, 0.5], ddof=1) / 2
    assert found.standard_error == pytest.approx({"recall@10": error, "ndcg@10": 0})
    assert np.isnan(result(recall=[1]).standard_error["recall@10"])


def test_interval_is_that_of_the_normal_distribution_with_many_users():
    values = np.random.default_rng(0).random(4000)
    found = result(recall=values)
    low, high = found.interval(0.9)["recall@10"]
    half = 1.6449 * found.standard_error["recall@10"]
    assert low == pytest.approx(values.mean() - half, abs=half / 8)
    assert high == pytest.approx(values.mean() + half, abs=half / 8)
    assert found.interval(0.9) == found.interval(0.9) != found.interval(0.9, random_state=1)
    assert found.interval(0.5)["recall@10"][0] > low


def test_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        low, high = result(recall=rng.random(60) < 0.3).interval(0.8, n_resamples=200)["recall@10"]
        covered += low <= 0.3 <= high
    assert 0.70 <= covered / 200 <= 0.88


def test_comparison_is_paired():
    rng = np.random.default_rng(2)
    users = rng.random(500)
    gaps = 0.02 + 0.05 * rng.standard_normal(500)
    first, second = result(recall=users + gaps, map=users), result(recall=users, map=users)
    found = compare(first, second)
    assert set(found) == {"recall@10", "map@10"}
    recall = found["recall@10"]
    assert recall.mean == pytest.approx(gaps.mean())
    assert 0 < recall.low < recall.mean < recall.high
    assert recall.p_value == pytest.approx(stats.ttest_rel(users + gaps, users).pvalue, rel=1e-6)
    assert found["map@10"] == (0, 0, 0, 0, 1)
    other = compare(second, first)["recall@10"]
    assert other.mean == -recall.mean and other.low == pytest.approx(-recall.high, abs=1e-3)


def test_comparison_of_what_cannot_be_compared():
    with pytest.raises(ValueError, match="3 and 2 users who are not the same"):
        compare(result(recall=[1, 0, 1]), result(recall=[1, 0]))
    with pytest.raises(ValueError, match="no metric is in both evaluations: recall@10; ndcg@10"):
        compare(result(recall=[1, 0]), result(ndcg=[1, 0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"confidence": 1}, "confidence must be a finite number greater than 0 and less than 1"),
        ({"confidence": 0}, "greater than 0 and less than 1; got 0"),
        ({"n_resamples": 0}, "n_resamples must be at least 1; got 0"),
    ],
)
def test_wrong_interval(arguments, message):
    with pytest.raises(ValueError, match=message):
        result(recall=[1, 0]).interval(**arguments)


def test_to_be_read_and_kept():
    found = result(recall=[0, 0.5, 1, 0.5], ndcg=[1, 1, 1, 1])
    assert json.loads(json.dumps(found.to_dict())) == {
        "mean": {"recall@10": 0.5, "ndcg@10": 1},
        "standard_error": found.standard_error,
        "overall": {"coverage@10": 0.25},
        "n_users": 4,
        "n_without_test": 3,
        "n_unseen_items": 2,
        "n_cut_ties": 1,
        "n_without_history": 0,
    }
    head, recall, *_, coverage = found.table().splitlines()
    assert head.split() == ["4", "users", "@10"]
    assert recall.split() == ["recall", "0.5000", "±0.2041"]
    assert coverage.split() == ["coverage", "0.2500"]
    assert repr(found).startswith("Evaluation(4 users: recall@10=0.5000, ")
    table = ElementTree.fromstring(found._repr_html_())
    assert [cell.text for cell in table[1]] == ["recall", "0.5000 ±0.2041"]


def test_a_difference_in_one_line():
    gap = compare(result(recall=[0, 1, 1, 1]), result(recall=[0, 0, 1, 1]))["recall@10"]
    words = "Difference(+0.2500 ±0.2500, interval +0.0000 to +0.7500, p=0.39)"
    assert repr(gap) == words
