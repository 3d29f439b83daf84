"""`recsys train`, and `info` about what it wrote."""

import logging
import warnings

import numpy as np
import pytest

import recsys
from recsys import Interactions

COLUMNS = ("--item", "artist", "--value", "plays")
QUICK = ("--factors", 4, "--iterations", 3)


@pytest.mark.parametrize("name", ["plays.parquet", "plays.csv", "plays.tsv", "plays.csv.gz"])
def test_writes_the_model_that_the_library_trains(recsys_, folder, name):
    recsys_("train", name, *COLUMNS, *QUICK, "-o", "out.safetensors")
    data = Interactions.from_parquet("plays.parquet", "user", "artist", "plays")
    expected = recsys.ImplicitALS(4, iterations=3, random_state=0).fit(data)
    found = recsys.load("out.safetensors")
    assert np.array_equal(found.user_factors, expected.user_factors)
    assert list(found.items) == list(data.items)


def test_without_header_columns_go_by_number(recsys_):
    numbers = ("--no-header", "--user", 0, "--item", 1, "--value", 2)
    recsys_("train", "bare.csv", *numbers, *QUICK, "-o", "bare.safetensors")
    recsys_("train", "plays.csv", *COLUMNS, *QUICK, "-o", "named.safetensors")
    found, expected = map(recsys.load, ("bare.safetensors", "named.safetensors"))
    assert np.array_equal(found.item_factors, expected.item_factors)


def test_files_of_other_names_and_separators(recsys_, folder):
    text = (folder / "plays.csv").read_text(encoding="utf-8").replace(",", ":")
    (folder / "plays.data").write_text(text, encoding="utf-8")
    options = ("--format", "csv", "--separator", ":", *COLUMNS, *QUICK)
    recsys_("train", "plays.data", *options, "-o", "out.safetensors")
    recsys_("train", "plays.csv", *COLUMNS, *QUICK, "-o", "same.safetensors")
    found, expected = map(recsys.load, ("out.safetensors", "same.safetensors"))
    assert np.array_equal(found.item_factors, expected.item_factors)


def test_dislikes_where_they_are_allowed(recsys_, folder):
    (folder / "signed.csv").write_text("user,item,value\na,x,-1\nb,x,2\nb,y,1\n", encoding="utf-8")
    options = ("--value", "value", "--allow-negative", *QUICK, "-o", "out.safetensors")
    recsys_("train", "signed.csv", *options)
    assert recsys.load("out.safetensors").score("a", "x") < 0.5


def test_a_matrix_file_has_its_own_ids(recsys_, folder):
    shape = {"shape": (3, 2), "indptr": [0, 1, 2, 3], "indices": [0, 1, 0]}
    np.savez("plays.npz", **shape, counts=[1, 2, 3], artists=["Wire", "Abba"])
    recsys_("train", "plays.npz", *QUICK, "-o", "out.safetensors")
    assert list(recsys.load("out.safetensors").items) == ["Wire", "Abba"]


@pytest.mark.parametrize(
    "name, cls, parameters",
    [
        ("implicit-als", "ImplicitALS", {"iterations": 2, "factors": 3}),
        ("explicit-als", "ExplicitALS", {"iterations": 2, "factors": 3}),
        ("explicit-sgd", "ExplicitSGD", {"epochs": 2, "factors": 3}),
        ("bpr", "BPR", {"epochs": 2, "loss": "bpr", "factors": 3}),
        ("warp", "BPR", {"epochs": 2, "loss": "warp", "factors": 3}),
        ("logistic-mf", "LogisticMF", {"iterations": 2, "factors": 3}),
    ],
)
def test_every_model(as_json, name, cls, parameters):
    sizes = ("--factors", 3, "--iterations", 2, "--seed", 7, "--threads", 1)
    told = as_json("train", "plays.csv", *COLUMNS, "-m", name, *sizes, "-o", "out.safetensors")
    assert told["model"] == cls and told["iterations"] == 2
    expected = {**parameters, "random_state": 7, "num_threads": 1}
    assert {key: told["parameters"][key] for key in expected} == expected


def test_parameters_by_their_python_names(recsys_):
    given = ("k=5", "weighting=tfidf", "normalize_rows=true", "dtype=float64", "B=0.5")
    options = [part for each in given for part in ("--set", each)]
    recsys_("train", "plays.csv", *COLUMNS, "-m", "item-neighbors", *options, "-o", "n.safetensors")
    found = recsys.load("n.safetensors").get_params()
    assert (found["k"], found["weighting"], found["normalize_rows"]) == (5, "tfidf", True)
    assert (found["dtype"], found["B"]) == (np.float64, 0.5)
    sides = ("--set", "regularization=0.1,0.2,0.3", "--set", "sampler=popular")
    recsys_("train", "plays.csv", *COLUMNS, "-m", "bpr", *QUICK, *sides, "-o", "b.safetensors")
    assert recsys.load("b.safetensors").regularization == (0.1, 0.2, 0.3)


def test_validation_holds_out_entries(as_json, recsys_):
    options = (*COLUMNS, *QUICK, "--validation", 0.2, "--metric", "recall@3")
    told = as_json("train", "plays.csv", *options, "-o", "out.safetensors")
    data = Interactions.from_csv("plays.csv", "user", "artist", "plays")
    train, held_out = data.split("per_user", test_share=0.2, random_state=0)
    model = recsys.ImplicitALS(4, iterations=3, random_state=0)
    model.fit(train, validation=held_out, metric="recall@3")
    assert told["recall@3"] == model.history[-1].validation
    assert told["entries"] == train.nnz and "--refit trains on all" in told["trained_on"]
    shown = recsys_("train", "plays.csv", *options, "-o", "out.safetensors").stdout
    assert f"recall@3    {told['recall@3']:.4f}" in shown


def test_refit_trains_on_all_for_the_best_iterations(as_json):
    options = ("--validation", 0.2, "--patience", 1, "--min-gain", 0.05)
    options += ("--validate-every", 1, "--refit")
    sizes = ("--factors", 4, "--iterations", 30)
    told = as_json("train", "plays.csv", *COLUMNS, *sizes, *options, "-o", "out.safetensors")
    data = Interactions.from_csv("plays.csv", "user", "artist", "plays")
    train, held_out = data.split("per_user", test_share=0.2, random_state=0)
    model = recsys.ImplicitALS(4, iterations=30, random_state=0)
    model.fit(train, validation=held_out, patience=1, min_gain=0.05, validate_every=1)
    assert told["parameters"]["iterations"] == model.best_iteration < 30
    assert told["entries"] == data.nnz
    assert told["ndcg@10"] == model.history[model.best_iteration - 1].validation


@pytest.mark.parametrize("split", ["per-user", "random", "leave-last", "time"])
def test_validation_of_models_without_iterations(as_json, split):
    options = ("-m", "item-neighbors", "--set", "k=5", "--validation", 0.3, "--split", split)
    told = as_json("train", "plays.csv", *COLUMNS, "--time", "day", *options, "-o", "n.safetensors")
    assert 0 < told["ndcg@10"] < 1 and told["entries"] < 300


def test_filters(as_json):
    options = (*COLUMNS, *QUICK, "--min-user", 7, "--min-item", 10)
    told = as_json("train", "plays.csv", *options, "-o", "out.safetensors")
    data = Interactions.from_csv("plays.csv", "user", "artist", "plays")
    assert (told["users"], told["items"]) == data.filter(min_user=7, min_item=10).shape
    assert told["users"] < data.shape[0]


def test_info(as_json, recsys_):
    told = as_json("info", "model.safetensors")
    assert (told["model"], told["users"], told["items"]) == ("ImplicitALS", 40, 12)
    assert (told["user_ids"], told["item_ids"]) == ("string", "string")
    assert told["parameters"]["regularization"] == 1
    shown = recsys_("info", "numbers.safetensors").stdout
    assert "ImplicitALS(factors=4, regularization=1, iterations=3, random_state=0)" in shown
    assert "row numbers" in shown and recsys.__version__ in shown


def test_warnings_are_lines(recsys_, monkeypatch):
    def fit(model, *arguments, whole=recsys.ImplicitALS.fit, **options):
        warnings.warn("counts spread too far", recsys.NumericalWarning, stacklevel=2)
        logging.getLogger("recsys").warning("%d entries are left out", 3)
        return whole(model, *arguments, **options)

    monkeypatch.setattr(recsys.ImplicitALS, "fit", fit)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        done = recsys_("train", "plays.csv", *COLUMNS, *QUICK, "-q", "-o", "out.safetensors")
    said = "warning: counts spread too far\nwarning: 3 entries are left out\n"
    assert done.stderr == said and done.stdout == ""


def test_quiet_says_nothing(recsys_):
    done = recsys_("train", "plays.csv", *COLUMNS, *QUICK, "-q", "-o", "out.safetensors")
    assert done.output == ""


def test_verbose_logs(recsys_):
    done = recsys_("train", "plays.csv", *COLUMNS, *QUICK, "-vv", "-o", "out.safetensors")
    assert done.stderr.count("debug: ImplicitALS") == 3
