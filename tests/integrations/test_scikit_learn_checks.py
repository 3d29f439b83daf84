"""scikit-learn's own checks of estimators, on every kind of model.

They speak dense matrices and `transform`, so each model is wrapped: what comes dense is made
sparse, a target y, which models refuse, is ignored, and `transform` is `fold_in`. `score` and
`predict`, which take users and items and mean something else here, are hidden from them.
"""

import functools
import warnings

import every_model
import numpy as np
import pytest
from scipy import sparse

from recsys.models.factor_model import FactorModel

sklearn_checks = pytest.importorskip(
    "sklearn.utils.estimator_checks", reason="needs scikit-learn", exc_type=ImportError
)
TransformerMixin = pytest.importorskip("sklearn.base").TransformerMixin

KINDS = (
    "ImplicitALS",
    "ExplicitALS",
    "ExplicitSGD",
    "BPR",
    "LogisticMF",
    "ItemNeighbors",
    "EASE",
    "SLIM",
)

WORDS = "the error is the right one, but not in scikit-learn's words: "
FAILING = {
    "check_complex_data": WORDS + "a TypeError that names the dtype",
    "check_dtype_object": "SciPy makes no sparse matrices of objects",
    "check_estimators_empty_data_messages": WORDS + "'user_items is empty: its shape is (12, 0)'",
    "check_estimators_nan_inf": WORDS + "'user_items holds nan at row 0, column 0'",
}
FOLDING = {
    "check_n_features_in_after_fitting": WORDS + "'expected one column for each of the 4 items'",
    "check_fit2d_predict1d": WORDS + "'use a matrix of one row: reshape((1, -1))'",
}


def _sparse(X):
    return X if sparse.issparse(X) else sparse.csr_array(X)


def _hidden(self):
    raise AttributeError("not of scikit-learn's meaning")


def wrapped(name):
    """A model as the checks take it, not fitted."""
    cls, options = every_model.MODELS[name]

    def fit(self, X, y=None):
        return cls.fit(self, _sparse(X), show_progress=False)

    def transform(self, X):
        folded = self.fold_in(_sparse(X))
        return np.column_stack(folded) if isinstance(folded, tuple) else folded

    def tags(self):
        told = super(kind, self).__sklearn_tags__()
        told.transformer_tags.preserves_dtype = []  # `dtype` is a parameter
        return told

    hidden = dict.fromkeys(("score", "predict", "partial_fit"), property(_hidden))
    if not issubclass(cls, FactorModel):
        kind = type(name, (cls,), {**hidden, "fit": fit})
    else:
        own = {"fit": fit, "transform": transform, "__sklearn_tags__": tags}
        kind = type(name, (TransformerMixin, cls), {**hidden, **own})
    kind.__module__, globals()[name] = __name__, kind  # where pickle looks
    return kind(**options)


def failing(name):
    folds = hasattr(every_model.MODELS[name][0], "fold_in")
    return FAILING | FOLDING if folds else FAILING


def checks(name):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Estimator .* does not inherit from", UserWarning)
        for model, check in sklearn_checks.estimator_checks_generator(wrapped(name)):
            yield getattr(check, "func", check).__name__, functools.partial(check, model)


CHECKS = [(name, called, check) for name in KINDS for called, check in checks(name)]


@pytest.mark.filterwarnings("ignore:Estimator .* does not inherit from:UserWarning")
@pytest.mark.filterwarnings("ignore:.* nearly everything is liked:recsys.NumericalWarning")
@pytest.mark.parametrize(
    ("name", "called", "check"), CHECKS, ids=[f"{name} {called}" for name, called, _ in CHECKS]
)
def test_scikit_learn_checks(name, called, check):
    if called not in failing(name):
        check()
    else:
        with pytest.raises((AssertionError, TypeError, ValueError)):
            check()


@pytest.mark.parametrize("name", KINDS)
def test_the_table_names_checks_that_there_are(name):
    assert failing(name).keys() <= {called for kind, called, _ in CHECKS if kind == name}
