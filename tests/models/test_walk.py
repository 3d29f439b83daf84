"""How far it is from a model to its mathematics: classes to know, files to read."""

import traceback
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

import recsys
from recsys.kernels import _als, _lmf, _neighbors, _product, _sgd, _topk
from recsys.models.factor_model import FactorModel
from recsys.models.load import MODELS

MOST_CLASSES = {  # object among them
    "ImplicitALS": 6,
    "ExplicitALS": 6,
    "ExplicitSGD": 6,
    "BPR": 5,
    "LogisticMF": 5,
    "ItemNeighbors": 3,
    "EASE": 3,
    "SLIM": 3,
}
MOST_FILES = 6
ROOT = Path(recsys.__file__).parent


def counts():
    matrix = sparse.random_array((30, 20), density=0.3, rng=0, format="csr")
    matrix.data = np.ceil(matrix.data * 5)
    return matrix


def files_on_the_way(monkeypatch, module, kernel, call):
    """Python files between `call` and the compiled loop, the outermost first; one that is left
    and entered again comes again."""
    ways, original = [], getattr(module, kernel)

    def spying(*args, **options):
        frames = [Path(frame.filename) for frame in traceback.extract_stack()[:-1]]
        inside = [path.relative_to(ROOT).as_posix() for path in frames if ROOT in path.parents]
        ways.append([path for path, _ in groupby(inside)])
        return original(*args, **options)

    monkeypatch.setattr(module, kernel, spying)
    call()
    assert ways, f"{kernel} was not called"
    return ways


def test_classes():
    found = {cls.__name__: len(cls.__mro__) for cls in MODELS}
    assert found.keys() == MOST_CLASSES.keys()
    assert all(found[name] <= most for name, most in MOST_CLASSES.items()), found


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_fit_by_alternation(monkeypatch, solver, bias):
    model = recsys.ImplicitALS(factors=3, solver=solver, bias=bias, iterations=1)
    ways = files_on_the_way(monkeypatch, _als, "als_rows", lambda: model.fit(counts()))
    for way in ways:
        assert way == [
            "models/factor_model.py",
            "models/training.py",
            "models/alternating.py",
            "kernels/als.py",
            "kernels/solve.py",
        ]


@pytest.mark.parametrize(
    ("name", "module", "kernel"),
    [
        ("ExplicitALS", _als, "als_rows"),
        ("ExplicitSGD", _sgd, "ratings_cells"),
        ("BPR", _sgd, "bpr_cells"),
        ("LogisticMF", _lmf, "lmf_rows"),
        ("ItemNeighbors", _neighbors, "neighbors_head"),
        ("EASE", _product, "spmm"),
        ("SLIM", _product, "slim_rows"),
    ],
)
def test_fit(monkeypatch, name, module, kernel):
    model = getattr(recsys, name)()
    for way in files_on_the_way(monkeypatch, module, kernel, lambda: model.fit(counts())):
        assert len(way) <= MOST_FILES and len(set(way)) == len(way), way


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("ids", [False, True], ids=["rows", "ids"])
@pytest.mark.parametrize("fold_in", [False, True])
def test_recommend(monkeypatch, cls, ids, fold_in):
    data = counts()
    if ids:
        rows, columns = data.nonzero()
        data = recsys.Interactions.from_arrays([f"u{r}" for r in rows], columns, data.data)
    model = cls().fit(data)
    items = not issubclass(cls, FactorModel)
    module = _product if items else _topk
    users = data.users if ids else np.arange(30)
    history = data if fold_in else None

    def call():
        model.recommend(users, history, N=3, fold_in=fold_in)

    kernel = "product_topk" if items else "topk"
    for way in files_on_the_way(monkeypatch, module, kernel, call):
        assert len(way) <= MOST_FILES and len(set(way)) == len(way), way
        assert way[0] == "models/model.py"
