"""What lists in ids are: two arrays, and a table."""

import copy
import pickle

import numpy as np
import pytest

from recsys import Interactions, ItemNeighbors

EVENTS = {
    "listener": ["ann", "bob", "ann", "cy", "cy", "bob", "eve"],
    "artist": ["x", "y", "z", "x", "<w>", "x", "q"],
}
KINDS = ("pandas", "polars", "pyarrow")


def lists(kind=None, users=("ann", "cy", "eve"), names=("listener", "artist")):
    table = pytest.importorskip(kind) if kind else None
    events = dict(zip(names, EVENTS.values(), strict=True))
    if kind is None:
        data = Interactions.from_arrays(*events.values())
    else:
        frame = table.table(events) if kind == "pyarrow" else table.DataFrame(events)
        data = Interactions.from_frame(frame, *names)
    model = ItemNeighbors(k=5, weighting=None).fit(data)
    return model, model.recommend(list(users) if not isinstance(users, str) else users, N=3)


def test_a_pair_of_arrays():
    _, found = lists()
    ids, scores = found
    assert ids is found.ids is found[0] and scores is found.scores
    assert len(found) == 2 and isinstance(found, tuple)
    assert ids.tolist() == [["<w>", "y", None], ["z", "y", None], [None, None, None]]
    assert np.isneginf(scores[ids == None]).all()  # noqa: E711
    for twin in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert twin.ids.tolist() == ids.tolist() and repr(twin) == repr(found)


@pytest.mark.parametrize("kind", KINDS)
def test_tables(kind):
    model, found = lists(kind)
    table = found.to_frame()
    assert type(table).__module__.split(".")[0] in (kind, "pyarrow")
    columns = {
        name: table[name].to_pylist() if kind == "pyarrow" else table[name].to_list()
        for name in ("listener", "artist", "rank", "score")
    }
    assert len(table.columns) == 4
    assert columns["listener"] == ["ann", "ann", "cy", "cy"]
    assert columns["artist"] == ["<w>", "y", "z", "y"]
    assert columns["rank"] == [1, 2, 1, 2]
    assert columns["score"] == found.scores[found.scores > -np.inf].tolist()
    for other in KINDS:
        pytest.importorskip(other)
        assert type(found.to_frame(other)).__module__.split(".")[0] in (other, "pyarrow")
    similar = model.similar_items("x", N=2).to_frame("pandas")
    assert list(similar) == ["artist", "similar_artist", "rank", "score"]
    assert similar["artist"].tolist() == ["x"] * len(similar)
    with pytest.raises(ValueError, match=r"unknown kind 'panda'.*did you mean 'pandas'"):
        found.to_frame("panda")


def test_names_that_are_taken():
    pandas = pytest.importorskip("pandas")
    _, found = lists("pandas", names=("rank", "score"))
    assert list(found.to_frame()) == ["rank", "score", "rank_", "score_"]
    assert isinstance(found.to_frame(), pandas.DataFrame)


def test_a_list_alone():
    pytest.importorskip("pandas")
    _, found = lists(users="ann")
    assert found.ids.tolist() == ["<w>", "y", None] and found.scores.shape == (3,)
    assert found.to_frame("pandas")["user"].tolist() == ["ann", "ann"]
    _, none = lists(users=())
    assert none.ids.shape == (0, 3) and len(none.to_frame("pandas")) == 0
    assert repr(none).split() == ["user", "1", "2", "3"]


def test_integers():
    """-1 may be an id: what is empty is told by the score."""
    pytest.importorskip("pandas")
    data = Interactions.from_arrays([10, 11, 11], [-1, -1, 7])
    found = ItemNeighbors(k=5, weighting=None).fit(data).recommend([10, 11], filter_seen=False, N=3)
    table = found.to_frame("pandas")
    assert sorted(table["item"][table["user"] == 10]) == [-1, 7]
    assert table["user"].dtype == table["item"].dtype == np.int64


def test_how_it_looks():
    _, found = lists()
    assert repr(found).splitlines()[0].split() == ["user", "1", "2", "3"]
    assert repr(found).splitlines()[1].split() == ["ann", "<w>", "1", "y", "1"]
    html = found._repr_html_()
    assert "&lt;w&gt; 1" in html and "<w>" not in html and html.count("<tr>") == 4
    model, _ = lists()
    many = model.recommend([*model.users, *model.users], N=9)
    assert repr(many).splitlines()[-1] == "(8 lists of 9, item and score)"
    assert len(repr(many).splitlines()) == 7 and "(8 lists of 9" in many._repr_html_()
