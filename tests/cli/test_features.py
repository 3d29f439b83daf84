"""`--item-features` of `recsys train` and `evaluate`, and lists of new items."""

import numpy as np
import pytest

import recsys
from recsys import Features, Interactions

COLUMNS = ("--item", "artist", "--value", "plays")
QUICK = ("--factors", 4, "--iterations", 3)


@pytest.fixture
def artists(folder):
    """What artists are, also as a CSV."""
    pytest.importorskip("pyarrow")
    from pyarrow import csv, parquet

    table = parquet.read_table(folder / "artists.parquet")
    csv.write_csv(table, folder / "artists.csv")
    return table


@pytest.mark.parametrize("name", ["artists.parquet", "artists.csv"])
def test_a_model_with_features(recsys_, artists, name):
    options = (*COLUMNS, *QUICK, "--item-features", name, "--label", "tags")
    recsys_("train", "plays.parquet", *options, "-o", "out.safetensors")
    plays = Interactions.from_parquet("plays.parquet", "user", "artist", "plays")
    known = Features.from_frame(
        artists, "artist", numbers=["year"], categories=["label"], labels=["tags"], min_count=2
    )
    expected = recsys.ImplicitALS(4, iterations=3, random_state=0)
    expected.fit(plays, item_features=known, show_progress=False)
    found = recsys.load("out.safetensors")
    assert np.array_equal(found.item_factors, expected.item_factors)
    assert "Visage" in found.items and len(found.items) == 14


def test_lists_of_new_items(recsys_, as_json, folder, artists):
    options = (*COLUMNS, *QUICK, "--item-features", "artists.parquet", "--label", "tags")
    recsys_("train", "plays.parquet", *options, "-o", "out.safetensors")
    (folder / "new.txt").write_text("Visage\nUltravox\n", encoding="utf-8")
    model = recsys.load("out.safetensors")
    told = as_json(
        "recommend", "out.safetensors", "--user", "ann", "--among", "new.txt", "-N", 2,
        "--new-item-boost", 2,
    )  # fmt: skip
    want = model.recommend("ann", N=2, among=["Visage", "Ultravox"], new_item_boost=2.0)
    assert [row["artist"] for row in told] == list(want[0])
    np.testing.assert_allclose([row["score"] for row in told], want[1], rtol=1e-5)


def test_measured_with_features(recsys_, as_json, error, folder, artists):
    described = ("--item-features", "artists.parquet", "--label", "tags")
    (folder / "later.csv").write_text("user,artist,plays\nann,Visage,3\n", encoding="utf-8")
    measuring = ("--test", "later.csv", "--metric", "ndcg", "-k", 20)
    trained = ("plays.parquet", *COLUMNS, *QUICK, *described)
    recsys_("train", *trained, "-o", "out.safetensors")
    of_file = as_json("evaluate", "out.safetensors", *measuring)["models"]["out.safetensors"]
    at_once = as_json("evaluate", *trained, *measuring, "--model", "implicit-als")["models"]
    assert at_once["implicit-als"] == of_file
    assert of_file["mean"]["ndcg@20"] > 0  # of an item that only features know

    command = ("evaluate", "out.safetensors", "--test", "plays.parquet", *described)
    assert "go with --model" in error(*command)
    command = ("evaluate", "plays.parquet", "--model", "ease", *COLUMNS, *described)
    assert "by features" in error(*command)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--item-features", "none.parquet"), "there is no file of features"),
        (("--item-features", "plays.tsv"), "features are read from .parquet and .csv"),
        (("--item-features", "artists.csv", "--label", "tag"), "did you mean 'tags'?"),
        (("--label", "tags"), "give one"),
        (("--item-features", "artists.csv", "--model", "item-neighbors"), "by features"),
    ],
)
def test_mistakes(error, artists, options, message):
    assert message in error("train", "plays.csv", *COLUMNS, *options, "-o", "o.safetensors")
