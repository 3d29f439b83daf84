import numpy as np
import plain_metrics
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import evaluation
from recsys.evaluation import OVERALL_METRICS, USER_METRICS, judge
from recsys.evaluation.metrics import totals_of


def rows_of(sets, n_items):
    matrix = sp.lil_matrix((len(sets), n_items), dtype=np.float32)
    for row, items in enumerate(sets):
        matrix[row, list(items)] = 1
    return matrix.tocsr()


@st.composite
def worlds(draw):
    """Lists with empty places anywhere, relevant items, and seen items that are not listed."""
    n_items, n_users = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    items = st.integers(0, n_items - 1)
    relevant = [draw(st.sets(items, min_size=1)) for _ in range(n_users)]
    length = draw(st.integers(1, n_items + 3))
    lists, seen = np.full((n_users, length), -1), []
    for row in range(n_users):
        order = draw(st.permutations(range(n_items)))[: draw(st.integers(0, min(length, n_items)))]
        places = sorted(draw(st.permutations(range(length)))[: len(order)])
        lists[row, places] = order
        seen.append(draw(st.sets(items)) - set(order))
    return lists, relevant, seen, n_items, draw(st.integers(1, 15))


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_every_metric_equals_the_plain_one(world):
    lists, relevant, seen, n_items, k = world
    judged = judge(lists, rows_of(relevant, n_items), seen=rows_of(seen, n_items))
    plain = [
        plain_metrics.user_values(own.tolist(), goal, k, n_items, hidden)
        for own, goal, hidden in zip(lists, relevant, seen, strict=True)
    ]
    for name in plain[0]:
        expected = [values[name] for values in plain]
        np.testing.assert_allclose(USER_METRICS[name](judged, k), expected, atol=1e-9, err_msg=name)
    for name in ("ndcg_linear", "ndcg_exponential"):  # of values that are all 1
        np.testing.assert_allclose(USER_METRICS[name](judged, k), USER_METRICS["ndcg"](judged, k))
    assert set(USER_METRICS) - set(plain[0]) == {
        "novelty", "diversity", "ndcg_linear", "ndcg_exponential",
    }  # fmt: skip
    overall = plain_metrics.overall_values(lists.tolist(), relevant, k, n_items)
    totals = totals_of(judged, k)
    for name, metric in OVERALL_METRICS.items():
        assert metric(totals) == pytest.approx(overall[name], abs=1e-9), name


def test_values_by_hand():
    # T = {0, 1, 2, 3}, hits in places 1 and 3 of 4
    judged = judge([[1, 7, 3, 8, 2]], rows_of([{0, 1, 2, 3}], 10))
    for name, value in {
        "precision": 2 / 4,
        "recall": 2 / 4,
        "capped_recall": 2 / 4,
        "hit_rate": 1,
        "map": (1 + 2 / 3) / 4,
        "map_hits": (1 + 2 / 3) / 2,
        "ndcg": (1 + 1 / 2) / (1 + 1 / np.log2(3) + 1 / 2 + 1 / np.log2(5)),
        "mrr": 1,
        # 2 misses listed: one hit before the first, two before the second; 4 others at (2 + 4) / 2
        "auc": (1 + 2 + 4 * 3) / (4 * 6),
    }.items():
        assert USER_METRICS[name](judged, 4) == pytest.approx([value]), name
    assert evaluation.metrics.recall(judged, 2) == pytest.approx([1 / 4])
    assert evaluation.metrics.capped_recall(judged, 2) == pytest.approx([1 / 2])
    assert evaluation.metrics.average_precision_relevant(judged, 2) == pytest.approx([1 / 4])


def test_perfect_lists_are_one_whatever_their_length():
    relevant = rows_of([{0, 1, 2, 3, 4}, {5}], 8)
    lists = [[4, 3, 2, 1, 0, -1], [5, -1, -1, -1, -1, -1]]
    for k in (1, 3, 5, 6, 50):
        judged = judge(lists, relevant)
        for name in ("capped_recall", "hit_rate", "map", "map_hits", "ndcg", "mrr"):
            np.testing.assert_allclose(USER_METRICS[name](judged, k), 1, err_msg=f"{name}@{k}")


def test_auc_of_a_whole_ranking_is_the_area_under_the_roc_curve():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle")
    rng = np.random.default_rng(0)
    relevant = rng.random((20, 30)) < 0.2
    relevant[:, 0] = True
    scores = rng.random((20, 30))
    judged = judge(np.argsort(-scores, axis=1), sp.csr_array(relevant))
    expected = [
        metrics.roc_auc_score(goal, own) for goal, own in zip(relevant, scores, strict=True)
    ]
    np.testing.assert_allclose(USER_METRICS["auc"](judged, 30), expected, atol=1e-12)


@pytest.mark.parametrize("k", [1, 5, 30, 40])
def test_ndcg_of_scikit_learn(k):
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle")
    rng = np.random.default_rng(1)
    relevant = rng.random((20, 30)) < 0.3
    relevant[:, 3] = True
    scores = rng.random((20, 30))
    judged = judge(np.argsort(-scores, axis=1), sp.csr_array(relevant))
    expected = [metrics.ndcg_score(relevant[[u]], scores[[u]], k=k) for u in range(20)]
    np.testing.assert_allclose(USER_METRICS["ndcg"](judged, k), expected, atol=1e-12)


def test_ir_measures():
    ir = pytest.importorskip("ir_measures", reason="ir-measures is the oracle")
    rng = np.random.default_rng(2)
    relevant = rng.random((15, 40)) < 0.2
    relevant[:, 7] = True
    lists = np.argsort(rng.random(relevant.shape), axis=1)[:, :25]
    users, items = np.nonzero(relevant)
    qrels = [ir.Qrel(f"{u:02}", str(i), 1) for u, i in zip(users, items, strict=True)]
    run = [
        ir.ScoredDoc(f"{user:02}", str(item), -place)
        for user, own in enumerate(lists.tolist())
        for place, item in enumerate(own)
    ]
    judged = judge(lists, sp.csr_array(relevant))
    theirs = {"precision": "P", "recall": "R", "map_relevant": "AP", "ndcg": "nDCG"}
    theirs |= {"mrr": "RR", "hit_rate": "Success"}
    for name, other in theirs.items():
        for k in (1, 5, 20):
            measure = ir.parse_measure(f"{other}@{k}")
            values = {one.query_id: one.value for one in ir.iter_calc([measure], qrels, run)}
            expected = [values[f"{user:02}"] for user in range(15)]
            np.testing.assert_allclose(USER_METRICS[name](judged, k), expected, atol=1e-9)


def test_novelty():
    train = sp.csr_matrix(np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0]]))
    information = evaluation.self_information(train)
    np.testing.assert_allclose(information, [0, 1, 2, 2])  # nobody counts as one user
    relevant = rows_of([{0}, {0}], 4)
    judged = judge([[1, 2, -1], [-1, -1, -1]], relevant, information=information)
    np.testing.assert_allclose(USER_METRICS["novelty"](judged, 3), [1.5, 0])
    np.testing.assert_allclose(USER_METRICS["novelty"](judged, 1), [1, 0])
    with pytest.raises(ValueError, match="self_information"):
        USER_METRICS["novelty"](judge([[1], [2]], relevant), 1)


def test_an_empty_place_is_never_a_hit():
    # The key of (row 1, -1) is that of (row 0, last item), which is relevant.
    judged = judge([[0, -1], [-1, 0]], rows_of([{3}, {3}], 4))
    assert not judged.hits.any()


def test_zeros_and_negative_entries_are_not_relevant():
    relevant = sp.csr_matrix((np.array([-1.0, 0.0, 2.0]), ([0, 0, 0], [0, 1, 2])), shape=(1, 4))
    assert judge([[0, 1, 2]], relevant).hits.tolist() == [[False, False, True]]
    with pytest.raises(ValueError, match="row 0 of relevant has no entry greater than zero"):
        judge([[0]], -abs(relevant))


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ([[0.0, 1.0]], TypeError, "integers.*float64"),
        ([0, 1], ValueError, r"shape \(2,\)"),
        ([[0], [1]], ValueError, r"shape \(2, 1\); expected \(1, length\)"),
        ([[0, 4]], ValueError, "list 0 names item 4; expected 0 to 3"),
        ([[0, -2]], ValueError, "list 0 names item -2"),
        ([[2, 1, 2]], ValueError, "list 0 names item 2 more than once"),
    ],
)
def test_lists_that_are_wrong(items, error, message):
    with pytest.raises(error, match=message):
        judge(items, rows_of([{1}], 4))


def test_wrong_k_and_shapes():
    judged = judge([[0]], rows_of([{1}], 4))
    with pytest.raises(ValueError, match="k must be at least 1; got 0"):
        USER_METRICS["recall"](judged, 0)
    with pytest.raises(ValueError, match=r"seen has shape \(1, 3\), relevant has \(1, 4\)"):
        judge([[0]], rows_of([{1}], 4), seen=rows_of([{1}], 3))


def test_nothing_of_the_callers_is_changed():
    items, relevant = np.array([[2, 1, -1]]), rows_of([{1, 2}], 4)
    relevant.data[:] = [3, 0]
    before = items.copy(), relevant.copy()
    for array in (items, relevant.data, relevant.indices, relevant.indptr):
        array.flags.writeable = False
    judged = judge(items, relevant)
    for metric in USER_METRICS.values():
        if metric not in (evaluation.metrics.novelty, evaluation.metrics.diversity):
            metric(judged, 2)
    assert np.array_equal(items, before[0]) and (relevant != before[1]).nnz == 0
