"""What a table means: pairs that come twice, zeros, types of ids, dates and decimals."""

import logging

import numpy as np
import pytest
from scipy import sparse

from recsys import ExplicitALS, ExplicitSGD, ImplicitALS, Interactions, ItemNeighbors, load

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

RATED = {
    "user": ["a", "a", "b", "b", "c", "a"],
    "item": ["x", "y", "x", "y", "x", "x"],
    "stars": [7, 3, 5, 4, 2, 1],
    "day": [9, 1, 1, 1, 1, 4],
}


# ---- ratings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [ExplicitALS, ExplicitSGD])
@pytest.mark.parametrize(("time", "last"), [("day", 7), (None, 1)])
def test_models_of_ratings_take_the_last(model, time, last):
    data = Interactions.from_frame(pd.DataFrame(RATED), value="stars", time=time)
    assert data.user_items.toarray()[0, 0] == 8  # counts are summed
    fitted = model(2, random_state=0).fit(data, show_progress=False)
    assert fitted.training_matrix.toarray().tolist() == [[last, 3], [5, 4], [2, 0]]
    assert fitted.mean == pytest.approx((last + 3 + 5 + 4 + 2) / 5)
    day = Interactions.from_arrays(["b", "b"], ["x", "x"], [1, 9], [2, 1])
    assert fitted.partial_fit(day).training_matrix.toarray()[1, 0] == 1  # of day 2
    error = fitted.rmse(Interactions.from_arrays(["c", "c"], ["x", "x"], [0, 4]))
    assert error == pytest.approx(abs(fitted.predict("c", "x") - 4), rel=1e-5)


def test_sums_of_ratings_are_refused():
    data = Interactions.from_frame(pd.DataFrame(RATED), value="stars", aggregate="sum")
    with pytest.raises(ValueError, match=r"1 of 6 ratings .*two sevens are no rating of 14"):
        ExplicitALS(2).fit(data)
    for way, value in (("last", 1), ("mean", 4), ("max", 7)):
        again = data.aggregated(way)
        assert again.user_items.toarray()[0, 0] == value
        ExplicitALS(2, iterations=1).fit(again, show_progress=False)
    once = Interactions.from_frame(pd.DataFrame(RATED)[1:5], value="stars", aggregate="sum")
    ExplicitALS(2, iterations=1).fit(once, show_progress=False)
    assert ImplicitALS(2).fit(data, show_progress=False).training_matrix[0, 0] == 8
    with pytest.raises(ValueError, match="unknown aggregate 'first'"):
        data.aggregated("first")


# ---- zeros -------------------------------------------------------------------------------------


def melted(values):
    users, items = np.meshgrid(range(4), range(5), indexing="ij")
    return pd.DataFrame({"user": users.ravel(), "item": items.ravel(), "there": values.ravel()})


def test_a_table_that_says_zero_of_what_is_not_there(caplog):
    table = np.array([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [1, 1, 0, 0, 1], [0, 0, 1, 0, 0]])
    data = Interactions.from_frame(melted(table), value="there")
    assert data.nnz == 7 and data.n_zeros == 13 and data.shape == (4, 5)
    assert "holds 13 zeros, and 1 in all other rows" in caplog.text
    caplog.clear()
    kept = Interactions.from_frame(melted(table), value="there", zeros="keep")
    assert kept.nnz == 20 and kept.n_zeros == 13
    assert Interactions.from_frame(melted(table), value="there", zeros="drop").nnz == 7
    graded = Interactions.from_frame(melted(table * np.arange(1, 6)), value="there")
    assert graded.nnz == 20 and graded.n_zeros == 13  # no evidence
    assert caplog.text == ""
    with pytest.raises(ValueError, match=r"'there' holds nothing but zeros.*zeros='keep'"):
        Interactions.from_frame(melted(table * 0), value="there", zeros="drop")
    for model in (ImplicitALS(2), ItemNeighbors(2)):
        caplog.clear()
        model.fit(kept, show_progress=False)
        assert "stores all of its 20 cells, 13 of them zeros" in caplog.text
    caplog.clear()
    ExplicitALS(2, iterations=1).fit(kept, show_progress=False)
    assert caplog.text == ""
    assert ImplicitALS(2).fit(data, show_progress=False).recommend(0, N=3)[0].size == 3


# ---- events ------------------------------------------------------------------------------------


def test_what_was_bought_before_and_after_is_in_both_parts(caplog):
    caplog.set_level(logging.INFO, "recsys")
    users, items = [*"aaaab"], [*"xyxxx"]
    data = Interactions.from_arrays(users, items, [1, 2, 4, 8, 16], [1, 2, 3, 9, 9])
    assert data.events.n == 5 and data.nnz == 3
    parts = data.split("time", at=3)
    assert parts.train.user_items.toarray().tolist() == [[1, 2], [0, 0]]
    assert parts.test.user_items.toarray().tolist() == [[12, 0], [16, 0]]
    assert parts.test.times.tolist() == [9, 9] and parts.n_cut_ties == 0
    last = data.split("leave_last", k=1)
    assert last.test.user_items.toarray().tolist() == [[8, 0], [0, 0]]
    assert data.split("time", at=3, repeats="drop").test.user_items.toarray().tolist() == [
        [0, 0],
        [16, 0],
    ]
    half = data.split("time", test_share=0.2)
    assert half.n_cut_ties == 1 and "goes through equal times of 1 events" in caplog.text
    again = parts.train.concat(parts.test)
    assert (again.user_items != data.user_items).nnz == 0 and again.events.n == 5
    swapped = data.aligned(items=type(data.items).of(["y", "x"]))
    assert swapped.split("time", at=3).test.user_items.toarray().tolist() == [[0, 12], [0, 16]]
    table = swapped.to_frame("pandas", events=True)
    assert sorted(table["value"]) == [1, 2, 4, 8, 16] and len(swapped.to_frame("pandas")) == 3
    few = data.filter(min_user=2)
    assert few.split("time", at=3).test.user_items.toarray().tolist() == [[12, 0]]


# ---- types of ids ------------------------------------------------------------------------------

TYPED = {
    "categories": (pd.DataFrame, pd.Series(["a", "b", "a"], dtype="category")),
    "nullable": (pd.DataFrame, pd.Series([2**60 + 1, 2**60 + 3, 2**60 + 1], dtype="Int64")),
    "strings": (pd.DataFrame, pd.Series(["a", "b", "a"], dtype="string")),
    "small": (pd.DataFrame, pd.Series([1, 200, 1], dtype="uint8")),
    "polars categories": (pl.DataFrame, pl.Series(["a", "b", "a"], dtype=pl.Categorical)),
    "polars enum": (pl.DataFrame, pl.Series(["a", "b", "a"], dtype=pl.Enum(["b", "a", "c"]))),
    "polars large": (pl.DataFrame, pl.Series([2**60 + 1, 5, 5], dtype=pl.UInt64)),
    "arrow dictionary": (pa.table, pa.array(["a", "b", "a"]).dictionary_encode()),
    "arrow large strings": (pa.table, pa.array(["a", "b", "a"], pa.large_string())),
    "arrow int32": (pa.table, pa.array([7, 8, 7], pa.int32())),
}


def type_of(table, name):
    column = table[name]
    return column.type if isinstance(table, pa.Table) else column.dtype


@pytest.mark.parametrize("name", TYPED)
def test_ids_come_back_as_they_were(name, tmp_path):
    make, users = TYPED[name]
    frame = make({"user": users, "item": ["x", "y", "z"]})
    data = Interactions.from_frame(frame)
    model = ImplicitALS(2, iterations=1, random_state=0).fit(data, show_progress=False)
    model.save(tmp_path / "model")
    models = model, load(tmp_path / "model")
    for back in (data.to_frame(), *(m.recommend(data.users, N=1).to_frame() for m in models)):
        there, came = type_of(frame, "user"), type_of(back, "user")
        # of pandas' categories a file has the name of their type, and not all that there are
        assert came == there or str(came) == str(there) == "category"
        if make is pd.DataFrame:
            joined = back.merge(frame, on="user")
        elif make is pl.DataFrame:
            joined = back.join(frame, on="user")
        else:
            encoded = pa.types.is_dictionary(users.type)  # on which Arrow joins nothing itself
            joined = frame if encoded else back.join(frame, "user", right_suffix="_of_frame")
        assert len(joined) >= 2
    model.partial_fit(Interactions.from_arrays(_more(data), ["x"]))  # an id the type may not know
    assert len(model.recommend(model.users, N=1).to_frame()) == 3


def _more(data):
    return ["new"] if data.users.kind == "string" else [2**40]


# ---- text --------------------------------------------------------------------------------------


def of_text(tmp_path, text, **options):
    path = tmp_path / "events.csv"
    path.write_text(text, encoding="utf-8")
    return Interactions.from_csv(path, **options)


@pytest.mark.usefixtures("reader")
def test_decimals_and_dates(tmp_path):
    data = of_text(tmp_path, "user;item;v\n1;2;3,5\n1;3;2\n", value="v", decimal=",")
    assert data.user_items.data.tolist() == [3.5, 2]
    text = "user,item,t\n1,2,31.01.2026 18:00\n1,3,01.02.2026 00:30\n"
    data = of_text(tmp_path, text, time="t", time_format="%d.%m.%Y %H:%M")
    assert data.times.astype("datetime64[m]").astype(str).tolist() == [
        "2026-01-31T18:00",
        "2026-02-01T00:30",
    ]
    zoned = "user,item,t\n1,2,31.01.2026 18:00 +0100\n"
    data = of_text(tmp_path, zoned, time="t", time_format="%d.%m.%Y %H:%M %z")
    assert str(data.times[0])[:16] == "2026-01-31T17:00"


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("v\n3,5", {"value": "v"}, r"column 'v' holds '3,5' in row 0; .*decimal=',' reads 3.5"),
        (
            "v\n3.5",
            {"value": "v", "decimal": ","},
            r"'3.5' in row 0; .*decimal='\.' reads 3.5, unless",
        ),
        ("v\n2.250,75", {"value": "v", "decimal": ","}, "take out what separates thousands"),
        ("v\n3", {"value": "v", "decimal": "c"}, "unknown decimal 'c'"),
        ("t\n31.1.2026", {"time": "t"}, r"'t' holds '31.1.2026' in row 0.*time_format= says"),
        ("t\n2026-01-31 18:00 CET", {"time": "t"}, r"'2026-01-31 18:00 CET' in row 0"),
        ("t\n", {"time": "t"}, r"'t' holds '' in row 0"),
        (
            "t\n32.01.2026",
            {"time": "t", "time_format": "%d.%m.%Y"},
            r"'32.01.2026' in row 0; expected a date written as '%d.%m.%Y'",
        ),
        ("t\n3", {"time": "t", "time_format": "dmy"}, r"time_format must be such as"),
        ("user\n3", {}, r"has 2 columns 'user'; expected one"),
        ("v\n3;1;2", {"value": "v"}, r"damaged or something else|events.csv"),
    ],
)
def test_bad_text(tmp_path, text, options, message):
    name, _, field = text.partition("\n")
    with pytest.raises(ValueError, match=message):
        of_text(tmp_path, f"user;item;{name}\n1;2;{field}\n", separator=";", **options)


@pytest.mark.usefixtures("reader")
def test_dates_with_and_without_a_zone(tmp_path):
    text = "user,item,t\n1,2,2026-01-31 18:00\n1,3,2026-01-31T18:00+01:00\n"
    with pytest.raises(ValueError, match=r"in row 1, a date with a zone.*in row 0, one without"):
        of_text(tmp_path, text, time="t")


def test_bad_tables():
    for frame in (
        pd.DataFrame([[1, 2, 3]], columns=["user", "item", "user"]),
        pa.table([pa.array([1])] * 3, names=["user", "item", "user"]),
    ):
        with pytest.raises(ValueError, match="more than one column 'user'; expected one of each"):
            Interactions.from_frame(frame)
    for values, error, message in (
        ([1, "x"], TypeError, "such as 'x' in row 1; expected numbers"),
        (["1,5", "2"], TypeError, "such as '1,5' in row 0"),
    ):
        with pytest.raises(error, match=message):
            Interactions.from_frame(pd.DataFrame({"user": [1, 2], "item": [1, 2], "v": values}),
                                    value="v")  # fmt: skip
    with pytest.raises(ValueError, match="values must be 1-D, an element an event; got lists"):
        Interactions.from_arrays([1, 2], [1, 2], [[1, 2], [3]])
    times = pd.to_datetime(["2026-01-01", None])
    with pytest.raises(ValueError, match="column 't' is missing in 1 row, first in row 1"):
        Interactions.from_frame(pd.DataFrame({"user": [1, 2], "item": [1, 2], "t": times}),
                                time="t")  # fmt: skip
    with pytest.raises(ValueError, match="there are no events, so there is nothing to learn"):
        Interactions.from_frame(pd.DataFrame({"user": [], "item": []}))
    assert sparse.issparse(Interactions.from_arrays([1], [1]).user_items)
