"""Graded NDCG, diversity, and lists from anywhere."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from every_model import counts, trained

from recsys import Features, ItemNeighbors
from recsys.evaluation import USER_METRICS, evaluate, evaluate_lists, judge, unit_vectors
from recsys.interactions import Interactions

pd = pytest.importorskip("pandas")

DENSE = np.random.default_rng(3).random((30, 4))


@pytest.fixture(scope="module")
def graded():
    """Grades 0 to 4 of 20 users and 30 items, and lists of 25 of the items."""
    rng = np.random.default_rng(1)
    grades = rng.integers(1, 5, (20, 30)) * (rng.random((20, 30)) < 0.3)
    grades[:, 3] = 2
    return grades, np.argsort(rng.random(grades.shape), axis=1)[:, :25]


# ---- graded gain -------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 5, 25, 40])
def test_graded_ndcg_of_scikit_learn(graded, k):
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle")
    grades, lists = graded
    scores = np.zeros(grades.shape)
    np.put_along_axis(scores, lists, np.arange(25, 0, -1.0), axis=1)
    scores -= np.arange(30) * 1e-6  # what is not listed comes last, and k cuts it off
    judged = judge(lists, sp.csr_array(grades))
    for name, gains in (("ndcg_linear", grades), ("ndcg_exponential", 2.0**grades - 1)):
        expected = [metrics.ndcg_score(gains[[u]], scores[[u]], k=min(k, 25)) for u in range(20)]
        if k <= 25:
            np.testing.assert_allclose(USER_METRICS[name](judged, k), expected, atol=1e-12)


def test_graded_ndcg_by_hand():
    # grades 3 and 1; listed in places 3 and 1
    judged = judge([[1, 2, 0]], sp.csr_array([[3.0, 1, 0, 0]]))
    log = np.log2(3)
    assert USER_METRICS["ndcg_linear"](judged, 3) == pytest.approx((1 + 3 / 2) / (3 + 1 / log))
    exponential = (1 + 7 / 2) / (7 + 1 / log)
    assert USER_METRICS["ndcg_exponential"](judged, 3) == pytest.approx(exponential)
    assert USER_METRICS["ndcg_linear"](judged, 1) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="ndcg_exponential is for grades up to 100; test holds"):
        USER_METRICS["ndcg_exponential"](judge([[0]], sp.csr_array([[500.0]])), 1)


# ---- the order of lists ------------------------------------------------------------------------


def test_lists_go_by_rank_or_score_where_there_are_such_columns(caplog):
    lists = pd.DataFrame(
        {"user": "u", "item": list("abc"), "score": [1.0, 3.0, 2.0], "rank": [3, 2, 1]}
    )
    truth = pd.DataFrame({"user": ["u"], "item": ["c"]})

    def place(table, **options):
        found = [evaluate_lists(table, truth, k, "recall", **options) for k in (1, 2, 3)]
        return 4 - int(sum(each.mean[f"recall@{k}"] for k, each in enumerate(found, 1)))

    with caplog.at_level("INFO", logger="recsys"):
        assert place(lists) == 1  # by rank
        assert place(lists.drop(columns="rank")) == 2  # by score
        assert place(lists[["user", "item"]]) == 3
    said = {record.getMessage() for record in caplog.records}
    assert said == {f"recommended: lists go by the column '{name}'" for name in ("rank", "score")}
    assert place(lists, score="score") == 2
    assert place(lists.rename(columns={"item": "rank", "rank": "x"}).assign(item=list("abc"))[
        ["user", "item", "score"]]) == 2  # fmt: skip
    with pytest.raises(TypeError, match="recommended: expected a pandas"):
        evaluate_lists([1, 2], truth, 1, "recall")


# ---- diversity ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_diversity(form):
    features = np.array([[1.0, 0], [2, 0], [0, 3], [1, 1], [0, 0]])
    vectors = unit_vectors(form(features), 5)
    lists = [[0, 1, -1], [0, 2, 3], [4, -1, -1], [4, 0, -1]]
    judged = judge(lists, sp.csr_array(np.ones((4, 5))), vectors=vectors)
    half = np.sqrt(0.5)
    expected = [0, (1 + 2 * (1 - half)) / 3, 0, 1]
    np.testing.assert_allclose(USER_METRICS["diversity"](judged, 3), expected, atol=1e-12)
    np.testing.assert_allclose(USER_METRICS["diversity"](judged, 2), [0, 1, 0, 1], atol=1e-12)
    with pytest.raises(ValueError, match="item_features has 5 rows; expected 6, one an item"):
        unit_vectors(form(features), 6)


def test_diversity_by_the_factors_of_a_model():
    model, train = trained("ImplicitALS"), counts()
    test = sp.csr_array((np.ones(40), (np.arange(40), np.full(40, 7))), shape=(40, 30))
    found = evaluate(
        model, train, test, metrics="diversity", k=4, ties="model", show_progress=False
    )
    y = model.item_factors / np.maximum(np.linalg.norm(model.item_factors, axis=1), 1e-30)[:, None]
    lists = model.recommend(found.users, N=4)[0]
    expected = [
        np.mean([1 - y[a] @ y[b] for a, b in itertools.combinations(own, 2)]) for own in lists
    ]
    np.testing.assert_allclose(found.per_user["diversity@4"], expected, atol=1e-5)
    other = evaluate(model, train, test, metrics="diversity", k=4, item_features=np.ones((30, 2)),
                     show_progress=False)  # fmt: skip
    assert other.mean["diversity@4"] == pytest.approx(0, abs=1e-12)
    options = {"ties": "model", "show_progress": False}
    of_matrix = evaluate(model, train, test, "diversity", 4, item_features=DENSE, **options)
    of_ids = Interactions.from_csr(train), Interactions.from_csr(test)
    by_id = Features.from_csr(DENSE[::-1], range(29, -1, -1))
    for parts, known in (((train, test), Features.from_csr(DENSE)), (of_ids, by_id)):
        same = evaluate(model, *parts, "diversity", 4, item_features=known, **options)
        assert same.mean["diversity@4"] == pytest.approx(of_matrix.mean["diversity@4"])
    with pytest.raises(TypeError, match=r"pass item_features\.matrix"):
        evaluate(model, train, test, "diversity", 4, item_features=by_id, show_progress=False)
    strangers = Features.from_csr(DENSE, range(50, 80))
    with pytest.raises(ValueError, match="know none of the 30 items"):
        evaluate(model, *of_ids, "diversity", 4, item_features=strangers, show_progress=False)
    neighbors = ItemNeighbors(3).fit(train, show_progress=False)
    with pytest.raises(ValueError, match=r"item_features=.*as ItemNeighbors has no item_factors"):
        evaluate(neighbors, train, test, metrics="diversity", k=4, show_progress=False)


# ---- lists from anywhere -----------------------------------------------------------------------


def tables(graded):
    grades, lists = graded
    users, items = np.nonzero(grades)
    truth = pd.DataFrame({"user": users, "item": items, "stars": grades[users, items]})
    listed = {"user": np.repeat(np.arange(20), 25), "item": lists.ravel()}
    recommended = pd.DataFrame(listed | {"rank": np.tile(np.arange(1, 26), 20)})
    for table in (truth, recommended):
        table["user"] = "u" + table["user"].astype(str)
        table["item"] = "i" + table["item"].astype(str)
    return truth, recommended


def test_lists_of_tables_are_what_ir_measures_says(graded):
    ir = pytest.importorskip("ir_measures", reason="ir-measures is the oracle")
    truth, recommended = tables(graded)
    shuffled = recommended.sample(frac=1, random_state=0)
    qrels = [ir.Qrel(u, i, int(s)) for u, i, s in truth.itertuples(index=False)]
    run = [ir.ScoredDoc(u, i, -r) for u, i, r in recommended.itertuples(index=False)]
    theirs = {"precision": "P", "recall": "R", "map_relevant": "AP", "ndcg_linear": "nDCG"}
    theirs |= {"mrr": "RR", "hit_rate": "Success"}
    found = evaluate_lists(
        shuffled, truth, k=[1, 5, 20], metrics=list(theirs), rank="rank", value="stars"
    )
    order = list(dict.fromkeys(truth["user"]))
    for name, other in theirs.items():
        for k in (1, 5, 20):
            measure = ir.parse_measure(f"{other}@{k}")
            values = {one.query_id: one.value for one in ir.iter_calc([measure], qrels, run)}
            np.testing.assert_allclose(
                found.per_user[f"{name}@{k}"], [values[user] for user in order], atol=1e-9
            )


def test_lists_of_tables_are_what_evaluate_says():
    train, test = Interactions.from_csr(counts()).split("per_user", random_state=0)
    model = trained("ImplicitALS").fit(train, show_progress=False)
    names = [name for name in USER_METRICS if name != "ndcg_exponential"] + ["coverage", "gini"]
    whole = evaluate(model, train, test, names, [3, 7], show_progress=False)
    lists = model.recommend(test.users, N=7).to_frame("polars")
    everything = train.concat(test)  # so that the catalogue is the same
    features = list(model.items), model.item_factors
    found = evaluate_lists(
        lists.rename({"user": "who", "item": "what"}),
        test.to_frame("pyarrow").rename_columns(["who", "what", "count"]),
        [3, 7], names, user="who", item="what", score="score", value="count",
        train=train.to_frame("pandas").set_axis(["who", "what", "count"], axis=1),
        item_features=features,
    )  # fmt: skip
    assert len(found.users) == len(whole.users) and everything.nnz == train.nnz + test.nnz
    for key, values in whole.per_user.items():
        if not key.startswith(("auc", "novelty")):  # of which users and catalogue are others
            np.testing.assert_allclose(np.sort(found.per_user[key]), np.sort(values), atol=1e-6)


def test_bad_lists(graded):
    truth, recommended = tables(graded)
    for options, error, message in (
        ({"rank": "rank", "score": "rank"}, ValueError, "by rank or by score"),
        ({"rank": "place"}, ValueError, "recommended: the table has no column 'place'"),
        ({"value": "grade"}, ValueError, "truth: the table has no column 'grade'"),
        ({"metrics": "novelty"}, ValueError, "novelty goes by train="),
        ({"metrics": "diversity"}, ValueError, "diversity goes by item_features="),
        ({"metrics": "ndgc"}, ValueError, "unknown metric 'ndgc'"),
        ({"k": 0}, ValueError, "k must be at least 1"),
    ):
        with pytest.raises(error, match=message):
            evaluate_lists(recommended, truth, **options)
    twice = pd.concat([recommended, recommended])
    with pytest.raises(ValueError, match="more than once"):
        evaluate_lists(twice, truth, k=50)
    with pytest.raises(TypeError, match="ids are of more than one kind"):
        evaluate_lists(recommended.assign(user=1), truth)
    with pytest.raises(ValueError, match="nobody is measured"):
        evaluate_lists(recommended, truth.assign(stars=0), value="stars")
    nobody = evaluate_lists(recommended.assign(user="x"), truth, k=5, metrics="recall")
    assert nobody.mean["recall@5"] == 0 and len(nobody.users) == 20
