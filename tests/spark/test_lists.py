"""Lists of a model on Spark: the best of all scores, of some, less what is known; and bad input."""

import numpy as np
import pytest

pytest.importorskip("pyspark", reason="pyspark is not installed: [test-spark]")


def test_lists_are_the_best_of_all_scores(model, model_factors):
    (users, x), (items, y) = model_factors
    scores = x @ y.T
    got = {row.user: row.recommendations for row in model.recommendForAllUsers(5).collect()}
    assert sorted(got) == users
    for user, own in zip(users, scores, strict=True):
        best = np.sort(own)[:-6:-1]
        assert [pair.rating for pair in got[user]] == pytest.approx(best.tolist(), rel=1e-5)
        assert [own[items.index(pair.item)] for pair in got[user]] == pytest.approx(best, rel=1e-5)
    of_items = {row.item: row for row in model.recommendForAllItems(10**10).collect()}
    assert sorted(of_items) == items
    for item, own in zip(items, scores.T, strict=True):
        whole = [(pair.user, pair.rating) for pair in of_items[item].recommendations]
        assert sorted(user for user, _ in whole) == users
        assert [rating for _, rating in whole] == pytest.approx(
            np.sort(own)[::-1], rel=1e-4, abs=1e-6
        )
    with pytest.raises(ValueError, match="numItems must be at least 1"):
        model.recommendForAllUsers(0)


def test_long_lists_are_made_a_few_at_a_time_and_by_more_tasks(spark, monkeypatch):
    import pyarrow as pa

    from recsys.spark import lists, tasks

    def table(ids, features):
        return pa.table({"id": ids, "features": tasks.lists(features)})

    rng = np.random.default_rng(0)
    queries, items = (rng.normal(size=(n, 4)).astype(np.float32) for n in (7, 50))
    monkeypatch.setattr(lists, "_BLOCK_BYTES", 3 * lists._MERGED_BYTES * 40)
    running = lists._Running(table(range(7), queries), 40, 4, 4096)
    for begin in (0, 30):  # the first tile is shorter than a list
        ids = range(begin, min(begin + 30, 50))
        running.add(table(ids, items[begin : begin + 30]))
    batches = list(running.lists(("user", "item")))
    assert [batch.num_rows for batch in batches] == [3, 3, 1]
    made = [row for batch in batches for row in batch.to_pylist()]
    best = np.argsort(-(queries @ items.T), axis=1)[:, :40]
    found = [[pair["item"] for pair in row["recommendations"]] for row in made]
    assert found == best.tolist()
    skip = pa.array([list(range(50)), None], pa.list_(pa.int64()))
    running = lists._Running(table(range(2), queries[:2]).append_column("skip", skip), 3, 4, 4096)
    running.add(table(range(50), items))
    [batch] = running.lists(("user", "item"))
    assert list(map(len, batch.column("recommendations").to_pylist())) == [0, 3]
    short, long = (lists._tasks(spark, 100_000, 12 * n) for n in (10, 100_000))
    assert short <= 2 and 400 < long < 500


def test_lists_of_some(spark, model):
    some = spark.sql("select * from values 3, 3, 5, 12345 t(user)")
    rows = model.recommendForUserSubset(some, 2).collect()
    assert sorted(row.user for row in rows) == [3, 5]
    one = model.recommendForItemSubset(spark.sql("select 1 item"), 2)
    assert [row.item for row in one.collect()] == [1]


@pytest.mark.parametrize(
    "expressions, said",
    [
        (
            ("'u' || user user", "item"),
            "'user' is of type string, .* of type int: cast it, .*'int'",
        ),
        (("user", "date_from_unix_date(item) item"), "'item' is of type date, .* of type int"),
    ],
)
def test_ids_of_another_type_are_one_error(events, model, expressions, said):
    frame = events.selectExpr(*expressions)
    by_user = "user" in said
    some = model.recommendForUserSubset if by_user else model.recommendForItemSubset
    what = "userCol=" if by_user else "itemCol="
    with pytest.raises(ValueError, match=what + said):
        model.transform(frame)
    with pytest.raises(ValueError, match=what + said):
        some(frame, 3)
    with pytest.raises(ValueError, match="exclude=" + said):
        model.recommendForAllUsers(3, exclude=frame)
    with pytest.raises(ValueError, match="exclude=" + said):
        model.recommendForAllItems(3, exclude=frame)
    from recsys.spark import ALSModel

    named = events.selectExpr("'u' || user id", "array(0f) features")
    strings = ALSModel(1, named, named)
    with pytest.raises(ValueError, match=r"'user' is of type int, .* of type string: .*'string'"):
        strings.transform(events)


def test_what_is_no_frame_is_one_error(model):
    taken = {
        "transform": lambda: model.transform(np.ones(3)),
        "recommendForUserSubset": lambda: model.recommendForUserSubset([1, 2], 3),
        "recommendForItemSubset": lambda: model.recommendForItemSubset(7, 3),
        "exclude=": lambda: model.recommendForAllUsers(3, exclude=True),
    }
    for what, call in taken.items():
        with pytest.raises(TypeError, match=f"{what} takes a DataFrame of Spark; got .*createData"):
            call()


def test_what_is_known_is_not_listed(events, entries, biased, biased_factors):
    (users, x), (items, y) = biased_factors
    scores = x @ y.T
    for row in entries:
        scores[users.index(row.user), items.index(row.item)] = -np.inf
    some = events.where(f"user <= {users[8]}")
    known = events.selectExpr("cast(user as bigint) user", "cast(item as double) item")
    lists = biased.recommendForUserSubset(some, 5, exclude=known).collect()
    assert sorted(row.user for row in lists) == users[:9]
    for row in lists:
        best = np.sort(scores[users.index(row.user)])[:-6:-1]
        assert [pair.rating for pair in row.recommendations] == pytest.approx(best, rel=1e-5)
    [nobody] = biased.recommendForItemSubset(events.limit(1), 300, exclude=events).collect()
    known_to = sum(row.item == nobody.item for row in entries)
    assert len(nobody.recommendations) == len(users) - known_to
    with pytest.raises(ValueError, match="exclude='item': there is no such column"):
        biased.recommendForAllUsers(5, exclude=events.drop("item"))
