"""Models inside scikit-learn: clone, Pipeline and the searches."""

import every_model
import numpy as np
import pytest
from every_model import EVERY, counts, make
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from recsys import ExplicitALS, ImplicitALS, NotFittedError
from recsys.evaluation import FoldInScorer, UserFolds, evaluate, user_split

every = pytest.mark.parametrize("name", EVERY)
FOLDS = UserFolds(3, random_state=0)


@every
def test_cross_validation_of_every_model(name):
    one, other = (
        cross_val_score(make(name), counts(), cv=FOLDS, scoring=FoldInScorer("recall@10"))
        for _ in range(2)
    )
    assert one.shape == (3,) and (one > 0).all()
    np.testing.assert_array_equal(one, other)


@every
def test_whether_a_model_is_fitted(name):
    model = make(name)
    assert not hasattr(model, "n_features_in_")
    assert not model.__sklearn_is_fitted__()
    model = every_model.trained(name)
    check_is_fitted(model)
    assert model.n_features_in_ == 30
    with pytest.raises(NotFittedError):
        clone(model).n_features_in_  # noqa: B018


def test_a_grid_search():
    matrix = every_model.counts(60, 30)
    search = GridSearchCV(
        ImplicitALS(4, iterations=2, random_state=0),
        {"regularization": [1.0, 10.0], "confidence": ["log", "linear"]},
        cv=FOLDS,
        scoring={"ndcg": FoldInScorer("ndcg@5"), "recall": FoldInScorer("recall@20")},
        refit="ndcg",
    ).fit(matrix, show_progress=False)
    assert set(search.best_params_) == {"regularization", "confidence"}
    for train, held_out in FOLDS.split(matrix):
        model = clone(search.best_estimator_).fit(matrix[train], show_progress=False)
        assert FoldInScorer("ndcg@5")(model, matrix[held_out]) in {
            search.cv_results_[f"split{n}_test_ndcg"][search.best_index_] for n in range(3)
        }
    best = search.best_estimator_
    want = clone(best).fit(matrix, show_progress=False).recommend(0)
    np.testing.assert_array_equal(best.recommend(0), want)


def test_a_randomized_search_of_ratings_in_processes():
    search = RandomizedSearchCV(
        ExplicitALS(4, iterations=2, random_state=0),
        {"regularization": [0.01, 0.1, 1.0]},
        n_iter=2,
        cv=FOLDS,
        scoring=FoldInScorer("rmse"),
        random_state=0,
        n_jobs=2,
    ).fit(counts(60, 30), show_progress=False)
    assert -6 < search.best_score_ < 0


@pytest.mark.parametrize(
    "step", [TfidfTransformer(), FunctionTransformer(np.log1p, accept_sparse=True)]
)
def test_a_pipeline(step):
    matrix = counts(60, 30)
    model = ImplicitALS(4, confidence="linear", regularization=1.0, random_state=0)
    pipe = Pipeline([("weight", step), ("model", model)])
    pipe.fit(matrix, model__show_progress=False)
    own = clone(step).fit(matrix)
    model = clone(pipe["model"])
    model.fit(own.transform(matrix), show_progress=False)
    np.testing.assert_array_equal(pipe["model"].item_factors, model.item_factors)
    search = GridSearchCV(pipe, {"model__factors": [2, 4]}, cv=FOLDS, scoring=FoldInScorer())
    search.fit(matrix, model__show_progress=False)
    others = counts(25, 30, seed=4)
    assert FoldInScorer()(search, others) == FoldInScorer()(search.best_estimator_, others)
    parts = user_split(others, 24, random_state=0)
    shown = own.transform(parts.fold_in)
    want = evaluate(model, shown, parts.test, "auc", 30, options={"fold_in": True}).mean["auc@30"]
    assert FoldInScorer("auc@30")(pipe, others) == want != FoldInScorer("auc@30")(model, others)
    assert "ImplicitALS" in repr(pipe) and "ImplicitALS" in pipe._repr_html_()


def test_a_search_without_a_scorer_is_told_what_to_pass():
    search = GridSearchCV(ImplicitALS(2), {"alpha": [1.0]}, cv=FOLDS, error_score="raise")
    with pytest.raises(TypeError, match=r"pass scoring=recsys\.evaluation\.FoldInScorer\(\)"):
        search.fit(counts(), show_progress=False)
    with pytest.raises(TypeError, match=r"scoring=recsys\.evaluation\.FoldInScorer\(\)"):
        every_model.trained("ItemNeighbors").score(counts())


@every
def test_a_target_is_refused(name):
    for y in (counts(), np.arange(40)):
        with pytest.raises(TypeError, match=f"no target; got y of type {type(y).__name__}. Pass"):
            make(name).fit(counts(), y)
    make(name).fit(counts(), None, show_progress=False)
