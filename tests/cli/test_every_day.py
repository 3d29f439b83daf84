"""A day's events, strangers and models without history, on the command line."""

import json

import numpy as np
import pandas as pd
import pytest

import recsys
from recsys import Interactions


def day(folder, rows="zoe,Wire,3\nann,Nobody,2\nann,Abba,1\n"):
    (folder / "day.csv").write_text(f"user,artist,plays\n{rows}", encoding="utf-8")
    return "day.csv"


def test_update(as_json, folder):
    before = recsys.load("model.safetensors")
    told = as_json(
        "update", "model.safetensors", day(folder), "--value", "plays", "-o", "m.safetensors"
    )
    assert (told["events"], told["new_users"], told["new_items"]) == (3, 1, 1)
    after = recsys.load("m.safetensors")
    gained = after.training_matrix.sum() - before.training_matrix.sum()
    assert gained == 6 and list(after.users)[-1] == "zoe" and list(after.items)[-1] == "Nobody"
    before.partial_fit(Interactions.from_csv("day.csv", "user", "artist", "plays"))
    np.testing.assert_array_equal(before.user_factors, after.user_factors)
    assert as_json("recommend", "m.safetensors", "--user", "zoe", "-N", 1)[0]["user"] == "zoe"


def test_values_are_in_the_column_trained_on(recsys_, folder):
    before = recsys.load("model.safetensors")
    recsys_("update", "model.safetensors", day(folder), "-o", "m.safetensors")
    gained = recsys.load("m.safetensors").training_matrix.sum() - before.training_matrix.sum()
    assert gained == 3 + 2 + 1
    both = {"user": ["ann", "zoe"], "artist": ["Abba", "Wire"]}
    recsys.ImplicitALS(2, random_state=0).fit(
        Interactions.from_frame(pd.DataFrame(both), "user", "artist")
    ).save("ones.safetensors")  # each event was one
    recsys_("update", "ones.safetensors", day(folder), "-o", "m.safetensors")
    assert recsys.load("m.safetensors").training_matrix.sum() == 2 + 3


def test_neighbours_learn_a_day(recsys_, folder):
    recsys_("update", "neighbors.safetensors", day(folder), "-o", "m.safetensors")
    want = recsys.load("neighbors.safetensors")
    want.partial_fit(Interactions.from_csv("day.csv", "user", "artist", "plays"))
    found = recsys.load("m.safetensors")
    np.testing.assert_array_equal(found.similarity.toarray(), want.similarity.toarray())
    assert list(found.users)[-1] == "zoe"


def test_bad_days(error, folder):
    line = ("update", "model.safetensors")
    assert "day.csv" in error(*line, day(folder, ""), "-o", "m.safetensors")
    message = error(*line, day(folder, "zoe,Wire,x\n"), "--value", "plays", "-o", "m.safetensors")
    assert "plays" in message and "'x'" in message
    message = error("update", "numbers.safetensors", day(folder), "-o", "m.safetensors")
    assert "knows no ids" in message
    assert "there are no events" in error(*line, day(folder, ""), "-o", "m.safetensors")
    (folder / "day.csv").write_text("user,artist\nzoe,Wire\n", encoding="utf-8")
    assert "no column 'plays'" in error(*line, "day.csv", "-o", "m.safetensors")
    integers = pd.DataFrame({"user": [1, 2], "artist": [3, 4], "plays": [1, 1]})
    integers.to_parquet(folder / "integers.parquet")
    message = error(*line, "integers.parquet", "-o", "m.safetensors")
    assert "users holds 1 (int), of another kind" in message
    message = error("update", "neighbors.safetensors", day(folder), "--rounds", 2, "-o", "m")
    assert "--rounds 2 is for models with factors; the model is an ItemNeighbors" in message


def test_columns_that_are_swapped(as_json, error, folder):
    (folder / "swapped.csv").write_text("user,artist,plays\nWire,ann,3\nAbba,bob,2\n")
    message = error("update", "model.safetensors", "swapped.csv", "-o", "m.safetensors")
    assert "100% of the users, of column 'user', are items of the model" in message
    assert "Read the events with --user artist, --item user" in message
    line = ("--user", "artist", "--item", "user", "-o", "m.safetensors")
    told = as_json("update", "model.safetensors", "swapped.csv", *line)
    assert told["new_users"] == told["new_items"] == 0


def test_columns_are_those_of_the_model(as_json, error):
    """Of what it is measured on, too; unless they are named."""
    told = as_json("evaluate", "model.safetensors", "--test", "later.parquet")
    named = as_json("evaluate", "model.safetensors", "--test", "later.parquet", "--item", "artist")
    assert told == named
    line = ("evaluate", "model.safetensors", "--test", "later.parquet", "--user", "user")
    assert "no column 'item'" in error(*line, "--item", "item")


def test_strangers(as_json, recsys_, error):
    line = ("recommend", "model.safetensors", "--user", "ann", "--user", "eve", "-N", 2)
    assert "users not known: 'eve'" in error(*line)
    done = recsys_(*line, "--unknown", "skip", "--json")
    assert [row["user"] for row in json.loads(done.stdout)] == ["ann", "ann"]
    assert "1 of 2 users are unknown, and left out" in done.stderr
    done = recsys_(*line, "--unknown", "popular", "--json")
    told = json.loads(done.stdout)
    assert [row["unknown"] for row in told] == [False, False, True, True]
    counts = recsys.load("model.safetensors").training_matrix
    having = np.sort(np.bincount(counts.indices))[::-1]
    assert [row["score"] for row in told[2:]] == having[:2].tolist()
    assert "given popular items" in done.stderr
    done = recsys_(*line, "--unknown", "skip", "-o", "lists.csv")
    assert "wrote lists for 1 users" in done.stderr
    assert "unknown word for unknown= 'leave'" in error(*line, "--unknown", "leave")
    done = recsys_("similar", "model.safetensors", "Wire", "Nobody", "--unknown", "skip", "--json")
    assert {row["artist"] for row in json.loads(done.stdout)} == {"Wire"}
    assert "1 of 2 items are unknown, and left out" in done.stderr


def test_users_without_a_history_are_measured_as_asked(recsys_, error, folder):
    model = recsys.load("model.safetensors")
    first = Interactions.from_arrays(["ann", "bob"], ["Wire", "Abba"])
    train = first.aligned(model.users, model.items)
    recsys.ImplicitALS(2, random_state=0, regularization=0.1).fit(train).save("few.safetensors")
    (folder / "test.csv").write_text("user,item\nann,Abba\nuser 07,Wire\n", encoding="utf-8")
    line = ("evaluate", "few.safetensors", "--test", "test.csv", "-k", 1)
    assert "1 users with test items have no entry in train" in error(*line, "--unknown", "error")
    done = recsys_(*line, "--unknown", "skip", "--json")
    assert json.loads(done.stdout)["models"]["few.safetensors"]["n_users"] == 1
    assert "1 users have no history, and are left out" in done.stderr
    (folder / "test.csv").write_text("user,item\nann,Abba\neve,Wire\nkim,Abba\n", encoding="utf-8")
    done = recsys_(*line, "--unknown", "popular", "--json")  # eve and kim are in test alone
    assert json.loads(done.stdout)["models"]["few.safetensors"]["n_users"] == 3
    done = recsys_(*line, "--unknown", "skip", "--json")
    assert "2 users have no history, and are left out" in done.stderr
    assert "2 users with test items" in error(*line, "--unknown", "error")


@pytest.mark.parametrize("command", ["train", "update"])
def test_without_history(recsys_, folder, error, command):
    lines = {
        "train": ("train", "plays.csv", "--item", "artist", "--set", "factors=2"),
        "update": ("update", "model.safetensors", day(folder)),
    }
    recsys_(*lines[command], "--no-history", "-o", "m.safetensors")
    assert recsys.load("m.safetensors").training_matrix is None
    line = ("recommend", "m.safetensors", "--user", "ann")
    message = error(*line)
    assert "no training matrix is remembered" in message and "user_items" not in message
    assert "--histories FILE, or --keep-seen where" in message and "--no-history: " in message
    assert recsys_(*line, "--keep-seen").stdout


@pytest.mark.parametrize("name", ["explicit-als", "explicit-sgd"])
def test_models_of_ratings_take_the_last(recsys_, error, folder, name):
    text = "user,item,stars,day\nann,Air,7,1\nann,Air,5,2\nbob,Air,3,1\nbob,Low,2,1\n"
    (folder / "stars.csv").write_text(text, encoding="utf-8")
    line = ("train", "stars.csv", "--value", "stars", "--model", name, "--factors", 2)
    recsys_(*line, "--time", "day", "-o", "m.safetensors")
    assert recsys.load("m.safetensors").training_matrix[0, 0] == 5
    message = error(*line, "--aggregate", "sum", "-o", "n.safetensors")
    assert "two sevens" in message and "Read the events with --aggregate last or mean" in message
    table = "user,item,there\n" + "".join(
        f"u{u},i{i},{int(u == i)}\n" for u in "012" for i in "012"
    )
    (folder / "melted.csv").write_text(table, encoding="utf-8")
    line = ("train", "melted.csv", "--value", "there", "--factors", 2, "-o", "o.safetensors")
    assert "holds 6 zeros, and 1 in all other rows" in recsys_(*line).stderr
    assert recsys.load("o.safetensors").training_matrix.nnz == 3
    recsys_(*line, "--zeros", "keep")
    assert recsys.load("o.safetensors").training_matrix.nnz == 9
