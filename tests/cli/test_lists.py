"""`recsys recommend` and `recsys similar`."""

import csv
import json

import numpy as np
import pytest

import recsys
from recsys import Interactions


@pytest.fixture
def model(folder):
    return recsys.load("model.safetensors")


def rows(lists):
    return [tuple(row) for row in lists.to_frame("pandas").itertuples(index=False)]


def test_lists_of_named_users(as_json, recsys_, model):
    told = as_json("recommend", "model.safetensors", "--user", "bob", "--user", "ann", "-N", 3)
    expected = rows(model.recommend(["bob", "ann"], N=3))
    assert [tuple(row.values()) for row in told] == [
        (user, artist, rank, pytest.approx(score)) for user, artist, rank, score in expected
    ]
    assert list(told[0]) == ["user", "artist", "rank", "score"]
    shown = recsys_("recommend", "model.safetensors", "--user", "ann", "-N", 1).stdout
    assert shown.split()[:3] == ["user", "artist", "score"] and told[3]["artist"] in shown


def test_users_from_a_file_and_from_standard_input(as_json, recsys_, model):
    told = as_json("recommend", "model.safetensors", "--users", "users.txt", "-N", 1)
    assert [row["user"] for row in told] == ["ann", "bob", "user 07"]
    given = "user 07\r\nann\n"
    done = recsys_("recommend", "model.safetensors", "--users", "-", "-N", 1, "--json", stdin=given)
    assert [row["user"] for row in json.loads(done.stdout)] == ["user 07", "ann"]


def test_files_of_lists_for_everybody(recsys_, folder, model):
    from pyarrow import parquet

    everybody = rows(model.recommend(list(model.users), N=4))
    for ending in ("parquet", "csv", "tsv", "jsonl"):
        recsys_("recommend", "model.safetensors", "-N", 4, "-o", f"out.{ending}", "-q")
    table = parquet.read_table("out.parquet").to_pylist()
    assert [tuple(row.values()) for row in table] == everybody
    for ending, separator in (("csv", ","), ("tsv", "\t")):
        with open(f"out.{ending}", encoding="utf-8", newline="") as file:
            head, *texts = csv.reader(file, delimiter=separator)
        assert head == ["user", "artist", "rank", "score"]
        assert [(u, a, int(r), np.float32(s)) for u, a, r, s in texts] == everybody
    lines = [json.loads(line) for line in (folder / "out.jsonl").read_text("utf-8").splitlines()]
    assert [(r["user"], r["rank"], np.float32(r["score"])) for r in lines] == [
        (user, rank, score) for user, _, rank, score in everybody
    ]


def test_blocks_of_users_make_one_file(recsys_, folder, monkeypatch):
    recsys_("recommend", "model.safetensors", "-N", 2, "-o", "whole.csv")
    recsys_("recommend", "model.safetensors", "-N", 2, "-o", "whole.parquet")
    monkeypatch.setattr("recsys.kernels.spans._QUERIES", 7)
    for name in ("whole.csv", "whole.parquet"):
        recsys_("recommend", "model.safetensors", "-N", 2, "-o", f"parts of {name}")
    from pyarrow import parquet

    assert (folder / "whole.csv").read_bytes() == (folder / "parts of whole.csv").read_bytes()
    parts, whole = map(parquet.read_table, ("parts of whole.parquet", "whole.parquet"))
    assert parts == whole


def test_keep_seen(as_json, model):
    told = as_json("recommend", "model.safetensors", "--user", "ann", "-N", 12, "--keep-seen")
    assert len(told) == 12
    unseen = as_json("recommend", "model.safetensors", "--user", "ann", "-N", 12)
    assert len(unseen) < 12


def test_newcomers_by_their_histories(as_json, recsys_, model):
    options = ("--histories", "newcomers.csv", "--value", "plays", "-N", 2)
    told = as_json("recommend", "model.safetensors", *options, "--user", "zoe")
    newcomers = Interactions.from_csv("newcomers.csv", "user", "artist", "plays")
    expected = rows(model.recommend(["zoe"], newcomers, N=2, fold_in=True))
    assert [(row["user"], row["artist"]) for row in told] == [row[:2] for row in expected]
    everybody = as_json("recommend", "model.safetensors", *options)
    assert {row["user"] for row in everybody} == set(newcomers.users)


def test_unknown_items_of_histories_are_told_of(recsys_, folder):
    (folder / "new.csv").write_text("user,artist\nzoe,Wire\nzoe,Nobody\n", encoding="utf-8")
    done = recsys_("recommend", "model.safetensors", "--histories", "new.csv", "-N", 1)
    assert "warning: new.csv: 1 of 2 entries are of unknown users or items" in done.stderr
    assert "zoe" in done.stdout


def test_a_model_of_row_numbers(as_json):
    told = as_json("recommend", "numbers.safetensors", "--user", "3", "-N", 2)
    ids, _ = recsys.load("numbers.safetensors").recommend(3, N=2)
    assert [(row["user"], row["item"]) for row in told] == [(3, item) for item in ids.tolist()]
    told = as_json("similar", "numbers.safetensors", "5", "-N", 2)
    assert [row["item"] for row in told] == [5, 5]


@pytest.mark.parametrize("name", ["model", "neighbors"])
def test_similar(as_json, recsys_, name):
    model = recsys.load(f"{name}.safetensors")
    told = as_json("similar", f"{name}.safetensors", "Wire", "Abba", "-N", 3)
    assert [row["artist"] for row in told] == ["Wire"] * 3 + ["Abba"] * 3
    for item, start in (("Wire", 0), ("Abba", 3)):
        ids, scores = model.similar_items(item, N=4)
        assert [row["similar_artist"] for row in told[start : start + 3]] == list(ids[1:])
        np.testing.assert_allclose([row["score"] for row in told[start:][:3]], scores[1:], 1e-6)
    assert "similar_artist" in recsys_("similar", f"{name}.safetensors", "Wire").stdout


def test_ids_of_text_files_for_a_model_of_integers(folder, recsys_, as_json):
    model = recsys.ImplicitALS(2, regularization=0.1, random_state=0)
    model.fit(Interactions.from_arrays([1, 1, 2, 2, 3], [10, 20, 20, 30, 10]))
    model.save("integers.safetensors")
    (folder / "new.csv").write_text("user,item\n7,10\n8,30\n", encoding="utf-8")
    told = as_json("recommend", "integers.safetensors", "--histories", "new.csv", "-N", 1)
    assert [(row["user"], row["item"] in (10, 20, 30)) for row in told] == [("7", 1), ("8", 1)]
    assert all(row["score"] > 0 for row in told)
    (folder / "test.csv").write_text("user,item\n1,30\n3,20\n", encoding="utf-8")
    told = as_json("evaluate", "integers.safetensors", "--test", "test.csv", "-k", 2)
    assert "integers.safetensors" in str(told)
    (folder / "new.csv").write_text("user,item\n7,ten\n", encoding="utf-8")
    done = recsys_("recommend", "integers.safetensors", "--histories", "new.csv", status=1)
    assert "items are integers here (ids); got 'ten'" in done.stderr


def test_what_is_read_is_not_replaced(folder, recsys_):
    before = (folder / "plays.parquet").read_bytes()
    lines = (
        ("train", "plays.parquet", "--item", "artist", "-o", "plays.parquet"),
        ("recommend", "model.safetensors", "--users", "users.txt", "-o", "users.txt"),
        ("tune", "plays.parquet", "--item", "artist", "-o", "plays.parquet"),
    )
    for line in lines:
        assert "is read, and would be replaced" in recsys_(*line, status=1).stderr
    assert (folder / "plays.parquet").read_bytes() == before


def test_a_share_is_checked_before_events_are_read(recsys_):
    line = (
        "train",
        "plays.parquet",
        "--item",
        "artist",
        "--validation",
        1.5,
        "-o",
        "m.safetensors",
    )
    told = recsys_(*line, status=1).stderr
    assert told.startswith("error: --validation must be") and "read " not in told
