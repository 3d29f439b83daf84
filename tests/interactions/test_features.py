"""Features: tables and matrices of what is known of items or users."""

import logging
import math

import numpy as np
import pytest
from scipy import sparse

from recsys import Features
from recsys.interactions import feature_schema_file

pandas = pytest.importorskip("pandas")

TABLE = {
    "movie": ["a", "b", "c", "d"],
    "year": [1990.0, 2000.0, None, 1980.0],
    "studio": ["x", "y", "x", None],
    "genres": ["A|B", "B", "C | A", ""],
    "title": ["The One", "one TWO", "three", None],
}
KINDS = {"numbers": ["year"], "categories": ["studio"], "labels": ["genres"], "text": ["title"]}


def table(kind="pandas", **changes):
    library = pytest.importorskip(kind)
    make = library.table if kind == "pyarrow" else library.DataFrame
    return make({**TABLE, **changes})


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_columns_of_a_table(kind):
    found = Features.from_frame(table(kind), "movie", **KINDS, normalize=False)
    assert found.names == [
        "year", "year is missing", "studio=x", "studio=y", "genres=A", "genres=B", "genres=C",
        "title=one", "title=the", "title=three", "title=two",
    ]  # fmt: skip
    one, others = (math.log(5 / (1 + held)) + 1 for held in (2, 1))
    far = 1 / np.std([0, 1, 2]) * 1  # a decade, in deviations
    want = [
        [0, 0, 1, 0, 1, 1, 0, one, others, 0, 0],
        [far, 0, 0, 1, 0, 1, 0, one, 0, 0, others],
        [0, 1, 1, 0, 1, 0, 1, 0, 0, others, 0],
        [-far, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    np.testing.assert_allclose(found.matrix.toarray(), want, rtol=1e-6)
    assert list(found.ids) == TABLE["movie"] and found.matrix.dtype == np.float32
    assert found.shape == (4, 11) and len(found) == 4
    assert repr(found) == "<Features: 4 rows x 11 columns, 16 entries>"
    unit = Features.from_frame(table(kind), "movie", **KINDS)
    lengths = np.linalg.norm(unit.matrix.toarray()[:, 2:], axis=1)
    np.testing.assert_allclose(lengths, [1, 1, 1, 0], rtol=1e-6)
    np.testing.assert_array_equal(unit.matrix.toarray()[:, 0], found.matrix.toarray()[:, 0])


def test_later_rows_have_the_same_columns(caplog):
    found = Features.from_frame(table(), "movie", **KINDS)
    later = table(movie=["e", "a", "f", "g"], studio=["y", "z", "z", "x"], year=[1990, 2000, 5, 0])
    with caplog.at_level(logging.INFO, "recsys"):
        got = found.transform(later[["studio", "movie", "title", "genres", "year"]])
    assert "give nothing: 2 of 'studio'" in caplog.text
    assert got.names == found.names and list(got.ids) == ["e", "a", "f", "g"]
    assert got.matrix.toarray()[0, 3] > 0 and got.matrix.toarray()[1, 2] == 0
    again = found.transform(table()).matrix
    np.testing.assert_array_equal(again.toarray(), found.matrix.toarray())
    schema = feature_schema_file.read(*feature_schema_file.written(found.schema))
    np.testing.assert_array_equal(schema.read(table())[1].toarray(), found.matrix.toarray())
    strict = Features.from_frame(table(), "movie", **KINDS, unknown="error")
    with pytest.raises(ValueError, match="2 of 'studio'"):
        strict.transform(later)
    with pytest.raises(ValueError, match="no column 'year'"):
        found.transform(table().drop(columns="year"))


def test_lists_booleans_and_whole_numbers():
    frame = pandas.DataFrame(
        {
            "id": [1, 2, 3],
            "tags": [["a", "b"], ["b"], []],
            "on": [True, False, True],
            "n": [7, 8, 7],
        }
    )
    found = Features.from_frame(frame, "id", labels=["tags"], numbers=["on"], categories=["n"])
    assert found.names == ["on", "n=7", "n=8", "tags=a", "tags=b"]
    frame["n"] = [7, None, 8]  # floats to pandas
    assert "n=7" in Features.from_frame(frame, "id", categories=["n"]).names


def test_rare_words_weights_and_columns_that_say_nothing(caplog):
    frame = table(studio=["x"] * 4)
    found = Features.from_frame(
        frame, "movie", categories=["studio"], labels=["genres"], min_count=2, weight="idf",
        normalize=False,
    )  # fmt: skip
    assert found.names == ["genres=A", "genres=B"] and "are left out: 'studio'" in caplog.text
    np.testing.assert_allclose(found.matrix.data, math.log(5 / 3) + 1, rtol=1e-6)
    some = Features.from_frame(frame, "movie", labels=["genres"], weight={"genres": "count"})
    assert some.matrix.max() == 1
    with caplog.at_level(logging.INFO, "recsys"):
        strict = Features.from_frame(
            table(), "movie", labels=["genres"], min_count=2, unknown="error"
        )
    assert strict.names == ["genres=A", "genres=B"] and "give nothing" not in caplog.text


def test_a_matrix():
    dense = np.array([[3.0, 4.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    for matrix in (dense, sparse.coo_array(dense), sparse.csr_matrix(dense)):
        found = Features.from_csr(matrix, names=["p", "q", "r"])
        np.testing.assert_allclose(found.matrix.toarray()[0], [0.6, 0.8, 0])
        assert found.ids is None and found.names == ["p", "q", "r"]
        with pytest.raises(ValueError, match="read-only"):
            found.matrix.data[0] = 7
    found = Features.from_csr(dense, ["a", "b", "c"], weight="idf", normalize=False)
    want = dense * (np.log(4 / (1 + np.array([1, 2, 0]))) + 1)
    np.testing.assert_allclose(found.matrix.toarray(), want, rtol=1e-6)
    later = found.transform(dense[:1], ["z"])
    np.testing.assert_allclose(later.matrix.toarray(), want[:1], rtol=1e-6)
    schema = feature_schema_file.read(*feature_schema_file.written(found.schema))
    assert schema.names == found.names
    np.testing.assert_array_equal(schema.weights, found.schema.weights)


def test_far_values_are_told_of(caplog):
    Features.from_csr(np.array([[1.0, 0], [0, 1], [1, 1e8]]), names=["small", "large"])
    assert "column large holds values of a million times the median" in caplog.text


def test_raw_counts_and_columns_without_news_are_told_of(caplog):
    counts = np.array([[1.0, 108, 3], [2, 0, 3], [1, 1, 3]])
    Features.from_csr(counts)
    [hint, same] = caplog.messages
    assert "counts, up to 108" in hint and "np.log1p" in hint and 'weight="idf"' in hint
    assert "1 of 3 columns are the same in every row, 2 for one" in same
    caplog.clear()
    Features.from_csr(counts[:, :2], weight="idf")
    [hint] = caplog.messages
    assert "np.log1p" in hint and "idf" not in hint
    caplog.clear()
    for fine in (np.log1p(counts[:, :2]), np.minimum(counts[:, :2], 2), counts[:1] / 7):
        Features.from_csr(fine)
    Features.from_csr(counts[:, :2], normalize=False)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("changes", "options", "error", "message"),
    [
        ({}, {}, ValueError, "no columns are named"),
        ({}, {"numbers": ["title"]}, TypeError, "'title' is of type String.* text="),
        ({}, {"numbers": ["yaer"]}, ValueError, "did you mean 'year'"),
        ({}, {"numbers": "year"}, TypeError, r"pass \['year'\]"),
        ({}, {"numbers": ["year"], "text": ["year"]}, ValueError, "named twice, as numbers"),
        ({}, {"categories": ["movie"]}, ValueError, "the column of ids"),
        ({"movie": list("abca")}, KINDS, ValueError, "the id 'a' comes 2 times"),
        ({"movie": ["a", None, "c", "d"]}, KINDS, ValueError, "missing"),
        ({"movie": [1.5, 2, 3, 4]}, KINDS, TypeError, "expected strings, integers"),
        ({"year": [1.0, np.inf, 2, 3]}, KINDS, ValueError, "not finite in 1 rows, first in row 1"),
        ({"year": pandas.to_datetime(["2020"] * 4)}, KINDS, TypeError, "such as the year"),
        ({"year": [1j, 2, 3, 4]}, KINDS, TypeError, "expected numbers"),
        ({"studio": [["x"], ["y"], [], []]}, KINDS, TypeError, "name it among labels="),
        ({"studio": [{"x": 1}] * 4}, KINDS, TypeError, "expected one category: convert it first"),
        ({"year": [["x"]] * 4}, KINDS, TypeError, "expected numbers: name it among labels="),
        ({"studio": [0.5, 1, 2, 3]}, KINDS, TypeError, "among numbers="),
        ({"genres": [1, 2, 3, 4]}, KINDS, TypeError, "expected a list of labels"),
        ({"title": [1, 2, 3, 4]}, KINDS, TypeError, "expected strings, as it is named"),
        ({}, {"labels": ["genres"], "min_count": 5}, ValueError, "nothing is left"),
        ({}, {"labels": ["genres"], "weight": "tf"}, ValueError, "unknown weight 'tf'"),
        ({}, {"labels": ["genres"], "weight": {"x": "idf"}}, ValueError, "no column of words"),
        ({}, {"labels": ["genres"], "unknown": "skip"}, ValueError, "unknown word for unknown="),
        ({}, {"labels": ["genres"], "separator": ""}, ValueError, "separator must be"),
    ],
)
def test_bad_tables(changes, options, error, message):
    with pytest.raises(error, match=message):
        Features.from_frame(table(**changes), "movie", **options)


@pytest.mark.parametrize(
    ("matrix", "options", "error", "message"),
    [
        (np.ones(3), {}, ValueError, "2-D"),
        (np.ones((2, 2), complex), {}, TypeError, "real numbers"),
        (np.array([[1, None]]), {}, TypeError, "real numbers"),
        ([[1, 2]], {}, TypeError, "Features.from_frame"),
        (np.ones((2, 0)), {}, ValueError, "no columns"),
        (np.zeros((2, 2)), {}, ValueError, "no row of the 2 has a feature"),
        (np.array([[1.0, np.nan]]), {}, ValueError, "finite|nan"),
        (np.eye(2), {"ids": ["a"]}, ValueError, "there are 1 ids; expected 2"),
        (np.eye(2), {"ids": ["a", "a"]}, ValueError, "comes twice"),
        (np.eye(2), {"ids": ["a", None]}, TypeError, "expected every id"),
        (np.eye(2), {"names": ["a"]}, ValueError, "there are 1 names; expected 2"),
        (np.eye(2), {"names": ["a", "a"]}, ValueError, "the name 'a' comes twice"),
    ],
)
def test_bad_matrices(matrix, options, error, message):
    with pytest.raises(error, match=message):
        Features.from_csr(matrix, **options)


def test_bad_transforms():
    found = Features.from_csr(np.eye(3))
    with pytest.raises(ValueError, match="has 2 columns; expected 3"):
        found.transform(np.eye(2))
    with pytest.raises(ValueError, match="2 ids; expected 3"):
        found.transform(np.eye(3), ["a", "b"])
    for matrix in (np.eye(2), sparse.eye_array(2)):
        with pytest.raises(TypeError, match=r"matrices go to Features\.from_csr"):
            Features.from_frame(matrix, "movie", categories=["studio"])
    with pytest.raises(TypeError, match="leave out ids="):
        Features.from_frame(table(), "movie", **KINDS).transform(table(), ["a"])


@pytest.mark.parametrize("made_of", [{"numbers": ["n"]}, {"labels": ["g"]}])
def test_rows_of_zeros_alone(made_of):
    """What no column is for, as a label that nobody had, is a row without entries."""
    known_rows = {"id": ["a", "b"], "n": [1.0, 3.0], "g": ["x", "y"]}
    known = Features.from_frame(pandas.DataFrame(known_rows), id="id", **made_of)
    newcomer = {"id": ["c"], "n": [2.0], "g": ["unseen"]}
    assert known.transform(pandas.DataFrame(newcomer)).matrix.nnz == 0
