"""`recsys evaluate` and `recsys tune`."""

import numpy as np
import pytest

import recsys
from recsys import Interactions, evaluation

COLUMNS = ("--item", "artist", "--value", "plays")
QUICK = ("--factors", 4, "--iterations", 3)


@pytest.fixture
def parts(folder):
    data = Interactions.from_csv("plays.csv", "user", "artist", "plays")
    return data.split("per_user", test_share=0.3, random_state=0)


def test_trains_and_measures(as_json, parts):
    options = ("-m", "implicit-als", "--test-share", 0.3, "--metric", "ndcg", "-k", 5)
    told = as_json("evaluate", "plays.csv", *COLUMNS, *QUICK, *options)
    model = recsys.ImplicitALS(4, iterations=3, random_state=0).fit(parts.train)
    expected = evaluation.evaluate(model, parts.train, parts.test, "ndcg", k=5)
    assert told == {"models": {"implicit-als": expected.to_dict()}, "differences": {}}


def test_compares_models(as_json, recsys_, parts):
    models = ("-m", "implicit-als", "-m", "item-neighbors", "--set", "k=5", "--test-share", 0.3)
    told = as_json("evaluate", "plays.csv", *COLUMNS, *QUICK, *models, "-k", 5)
    [(name, gaps)] = told["differences"].items()
    assert name == "item-neighbors - implicit-als"
    means = {name: own["mean"] for name, own in told["models"].items()}
    for key, gap in gaps.items():
        expected = means["item-neighbors"][key] - means["implicit-als"][key]
        assert gap["mean"] == pytest.approx(expected, abs=1e-12)
        assert gap["low"] <= gap["mean"] <= gap["high"]
    shown = recsys_("evaluate", "plays.csv", *COLUMNS, *QUICK, *models, "-k", 5).stdout
    assert f"{means['implicit-als']['ndcg@5']:.4f} ±" in shown and name in shown


def test_a_test_file_in_place_of_a_share(as_json):
    options = ("-m", "implicit-als", "--test", "later.parquet", "--metric", "recall", "-k", 3)
    told = as_json("evaluate", "plays.csv", *COLUMNS, *QUICK, *options)
    [own] = told["models"].values()
    assert own["n_users"] == len(_new()[1])
    assert 0 < own["mean"]["recall@3"] < 1


def _new():
    """The pairs of later.parquet that are not in plays.csv, and their users."""
    early = Interactions.from_csv("plays.csv", "user", "artist")
    late = Interactions.from_parquet("later.parquet", "user", "artist")
    known = {tuple(row) for row in early.to_frame("pandas").iloc[:, :2].to_numpy()}
    pairs = {tuple(row) for row in late.to_frame("pandas").iloc[:, :2].to_numpy()} - known
    return pairs, {user for user, _ in pairs}


def test_measures_model_files_on_what_they_were_not_trained_on(as_json, recsys_):
    files = ("model.safetensors", "neighbors.safetensors")
    options = ("--test", "later.parquet", "--item", "artist", "--metric", "precision", "-k", 4)
    told = as_json("evaluate", *files, *options)
    model, (pairs, users) = recsys.load("model.safetensors"), _new()
    hits = [
        sum((user, artist) in pairs for artist in model.recommend(user, N=4)[0]) for user in users
    ]
    found = told["models"]["model.safetensors"]
    assert found["n_users"] == len(users)
    assert found["mean"]["precision@4"] == pytest.approx(np.mean(hits) / 4)
    assert set(told["models"]) == set(files) and len(told["differences"]) == 1
    done = recsys_("evaluate", "model.safetensors", *options)
    assert "entries were trained on, and left out" in done.stderr


def test_models_of_the_same_users_in_another_order(as_json, folder):
    head, *lines = (folder / "plays.csv").read_text(encoding="utf-8").splitlines()
    (folder / "turned.csv").write_text("\n".join([head, *lines[::-1]]), encoding="utf-8")
    for name in ("plays", "turned"):
        as_json("train", f"{name}.csv", *COLUMNS, *QUICK, "-o", f"{name}.safetensors")
    files = ("plays.safetensors", "turned.safetensors", "model.safetensors")
    options = ("--test", "later.parquet", "--item", "artist", "--metric", "ndcg", "-k", 3)
    told = as_json("evaluate", *files, *options)
    one, other, _ = told["models"].values()
    gap = told["differences"]["turned.safetensors - plays.safetensors"]["ndcg@3"]
    assert gap["mean"] == pytest.approx(other["mean"]["ndcg@3"] - one["mean"]["ndcg@3"], abs=1e-12)
    models = {name: recsys.load(name) for name in files[:2]}
    assert list(models["plays.safetensors"].users) != list(models["turned.safetensors"].users)


def test_models_of_other_users_are_not_compared_user_by_user(recsys_):
    recsys_("train", "plays.csv", *COLUMNS, *QUICK, "--min-user", 8, "-o", "few.safetensors")
    files = ("model.safetensors", "few.safetensors")
    done = recsys_("evaluate", *files, "--test", "later.parquet", "--item", "artist", "-k", 3)
    assert "few.safetensors and model.safetensors were measured on other users" in done.stderr
    assert "difference" not in done.stdout and "ndcg@3" in done.stdout


def test_tune(as_json, recsys_, folder):
    pytest.importorskip("optuna")
    options = ("--factors", 4, "--trials", 3, "--validation", 0.3, "--study", "study.json")
    told = as_json("tune", "plays.csv", *COLUMNS, *options, "-o", "best.safetensors")
    assert len(told["trials"]) == 3 and told["best_parameters"]["factors"] == 4
    assert told["best_value"] == max(trial["value"] for trial in told["trials"])
    best = recsys.load("best.safetensors")
    data = Interactions.from_csv("plays.csv", "user", "artist", "plays")
    assert list(best.users) == list(data.users) and best.factors == 4
    assert best.get_params()["alpha"] == told["best_parameters"]["alpha"]
    made = (folder / "study.json").stat().st_mtime_ns
    shown = recsys_("tune", "plays.csv", *COLUMNS, *options).stdout  # all of it is in the file
    assert (folder / "study.json").stat().st_mtime_ns == made
    assert f"{told['best_value']:.4f}" in shown and "best: ImplicitALS(factors=4" in shown


def test_tune_interrupted(recsys_, folder, monkeypatch):
    pytest.importorskip("optuna")
    whole, calls = recsys.ImplicitALS.fit, []

    def fit(model, *arguments, **options):
        calls.append(model)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(model, *arguments, **options)

    monkeypatch.setattr(recsys.ImplicitALS, "fit", fit)
    options = ("--factors", 4, "--trials", 9, "--validation", 0.3, "-o", "best.safetensors")
    done = recsys_("tune", "plays.csv", *COLUMNS, *options, status=130)
    assert "interrupted: after 2 of 9 trials" in done.stderr
    assert recsys.load("best.safetensors").factors == 4
