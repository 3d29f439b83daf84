"""A day's events, and trainings that go on with newcomers: each event counts once, what is known of
others stays, and the rest is what the definitions say."""

import io

import numpy as np
import pytest
from every_model import FACTORS, counts, fitted, learned, make, more, trained
from in_ids import interactions, item, user
from scipy import sparse

from recsys import EASE, ImplicitALS, Interactions, NotFittedError, load

SHAPE = (43, 32)  # three new users, two new items
ROWS = np.array([0, 5, 5, 41, 41, 42])
COLUMNS = np.array([2, 9, 30, 30, 4, 31])
VALUES = np.array([2.0, 1, 4, 3, 1, 5])
SIMPLE = {"confidence": "linear", "alpha": 2.0, "regularization": 0.5, "dtype": np.float64}


def a_day():
    return sparse.csr_array((VALUES, (ROWS, COLUMNS)), shape=SHAPE)


def a_day_of(kind):
    return Interactions.from_arrays(user(kind, ROWS), item(kind, COLUMNS), VALUES)


def with_the_day(ratings=False):
    table = np.zeros(SHAPE)
    table[:40, :30] = counts().toarray()
    for row, column, value in zip(ROWS, COLUMNS, VALUES, strict=True):
        table[row, column] = value if ratings else value + table[row, column]
    return table


def _of_user_42():
    """What leads from user 42, and so from item 31, to the others."""
    return sparse.csr_array(([4.0], ([42], [2])), shape=SHAPE).toarray()


def solved(held, row):
    """One row by the definition: c = 1 + 2 r, lambda = 0.5."""
    c = 1 + 2 * row
    a = (held.T * c) @ held + 0.5 * np.eye(held.shape[1])
    return np.linalg.solve(a, held.T @ (c * (row > 0)))


# ---- a day -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FACTORS)
def test_each_event_counts_once_and_others_stay(name):
    model, before = trained(name), trained(name)
    assert model.partial_fit(a_day()) is model
    want = with_the_day(ratings=model.__class__.__name__.startswith("Explicit"))
    np.testing.assert_array_equal(model.training_matrix.toarray(), want)
    assert model.user_factors.shape == (43, 5) and model.item_factors.shape == (32, 5)
    others = np.setdiff1d(np.arange(40), ROWS)
    same = model.user_factors[others] == before.user_factors[others]
    assert same.all() or name == "LogisticMF"  # which takes others along
    assert np.abs(model.user_factors[[0, 5]] - before.user_factors[[0, 5]]).max() > 0
    assert model.user_factors[41].any()
    assert not set(model.recommend(5, N=32)[0][:-10]) & set(np.flatnonzero(want[5]))
    assert model.recommend([41, 42], N=3)[0].min() >= 0
    model.fit(sparse.csr_array(want), warm_start=True, show_progress=False)


def test_rounds_are_half_sweeps_over_what_is_touched():
    model = fitted("ImplicitALS", **SIMPLE)
    x, y = np.zeros((43, 5)), np.zeros((32, 5))
    x[:40], y[:30] = model.user_factors, model.item_factors
    day = sparse.csr_array(a_day() + _of_user_42())
    table = with_the_day() + _of_user_42()
    model.partial_fit(day, rounds=2)
    for users, items in (([40, 41, 42], [30, 31]), *[(set(ROWS), set(COLUMNS))] * 2):
        for u in users:
            x[u] = solved(y, table[u])
        for i in items:
            y[i] = solved(x, table[:, i])
    np.testing.assert_allclose(model.user_factors, x, atol=1e-9)
    np.testing.assert_allclose(model.item_factors, y, atol=1e-9)


@pytest.mark.parametrize("name", ["ImplicitALS bias", "BPR", "LogisticMF", "ExplicitSGD"])
def test_by_ids_as_by_rows(name):
    by_row = trained(name).partial_fit(
        sparse.csr_array((VALUES, (ROWS, COLUMNS)), shape=SHAPE)[:, :][_seen_first()]
    )
    model = make(name).fit(interactions("string"), show_progress=False)
    model.partial_fit(a_day_of("string"))
    assert learned(model)[0] == learned(by_row)[0]
    assert list(model.users)[40:] == user("string", [41, 42])
    assert list(model.items)[30:] == item("string", [30, 31])


def _seen_first():
    """The rows of a day without user 40, whom nobody has met."""
    return np.delete(np.arange(43), 40)


def test_a_day_in_two_methods_counts_once():
    for order in ("users items", "items users"):
        model = make("ImplicitALS").fit(interactions("string"), show_progress=False)
        day = a_day_of("string")
        for side in order.split():
            learn = getattr(model, f"partial_fit_{side}")
            learn(getattr(day, side), events=day)
        rows = [model.users.rows(u)[()] for u in day.users]
        columns = [model.items.rows(i)[()] for i in day.items]
        got = model.training_matrix.toarray()[rows][:, columns]
        base = np.zeros((43, 32))
        base[:40, :30] = counts().toarray()
        want = base[[0, 5, 41, 42]][:, [2, 9, 30, 4, 31]] + day.user_items.toarray()
        known = np.ones_like(want, bool)
        if order == "users items":  # user 42 has met nothing that the items' model knew by then
            assert got.sum() == want.sum()
        else:
            known[2:] = False  # users 41 and 42 were unknown to the items
            assert got[:2].tolist() == want[:2].tolist() and got.sum() <= want.sum()
        np.testing.assert_array_equal(got[known], want[known])
    once = trained("ImplicitALS")
    once.partial_fit_users([3], events=sparse.csr_array(([2.0], ([0], [4])), shape=(1, 30)))
    once.partial_fit_users([3], events=sparse.csr_array(([2.0], ([0], [4])), shape=(1, 30)))
    assert once.training_matrix[3, 4] == 4  # one side twice is two days
    once.partial_fit_items([4], events=sparse.csr_array(([2.0], ([0], [3])), shape=(1, 40)))
    assert once.training_matrix[3, 4] == 4
    once.partial_fit_items([4], events=sparse.csr_array(([2.0], ([0], [3])), shape=(1, 40)))
    assert once.training_matrix[3, 4] == 6


def test_a_word_says_what_entries_are():
    model, row = trained("ImplicitALS"), sparse.csr_array(([2.0], ([0], [4])), shape=(1, 30))
    before = learned(model)
    for error, message, call in (
        (ValueError, "have entries already: say events=user_items .* or rows=user_items",
         lambda: model.partial_fit_users([0], row)),
        (TypeError, "either events=.*got neither", lambda: model.partial_fit_users([0])),
        (TypeError, "got events and rows",
         lambda: model.partial_fit_users([0], events=row, rows=row)),
        (TypeError, r"partial_fit_users\(new.users, events=new\).*partial_fit\(events\)",
         lambda: model.partial_fit_users(a_day_of("string"))),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            call()
    assert learned(model) == before
    model.partial_fit_users([3, 50], sparse.csr_array(sparse.vstack([row, row])))  # had nothing
    assert model.training_matrix[3, 4] == model.training_matrix[50, 4] == 2


@pytest.mark.parametrize("name", ["ImplicitALS", "BPR", "LogisticMF", "ExplicitALS"])
def test_days_that_cannot_be(name):
    model, ids = trained(name), make(name).fit(interactions("string"), show_progress=False)
    before = learned(model)
    nothing = sparse.csr_array(SHAPE)
    for error, message, call in (
        (ValueError, "events has no stored entries", lambda: model.partial_fit(nothing)),
        (ValueError, r"shape \(30, 40\); expected at least \(40, 30\).*looks transposed",
         lambda: model.partial_fit(counts().T.tocsr())),
        (TypeError, "events must be a SciPy sparse matrix; got .*Interactions",
         lambda: model.partial_fit(a_day_of("string"))),
        (ValueError, "speaks ids of 40 users", lambda: ids.partial_fit(a_day())),
        (TypeError, "more than one kind|another kind",
         lambda: ids.partial_fit(a_day_of("integer"))),
        (ValueError, "rounds must be at least 1", lambda: model.partial_fit(a_day(), rounds=0)),
        (ValueError, "holds nan", lambda: model.partial_fit(a_day() * np.nan)),
        (TypeError, "warm_start must be True or False; got 'yes'",
         lambda: model.fit(counts(), warm_start="yes")),
        (ValueError, "no user_factors yet", lambda: make(name).partial_fit(a_day())),
    ):  # fmt: skip
        with pytest.raises((error, KeyError) if "kind" in message else error, match=message):
            call()
    assert learned(model) == before == learned(ids)


def test_days_of_known_users_only_and_of_strangers_only():
    model = make("ImplicitALS").fit(interactions("string"), show_progress=False)
    before = model.item_factors.copy()
    model.partial_fit(Interactions.from_arrays(user("string", [0, 5]), item("string", [2, 9])))
    assert len(model.users) == 40 and (model.item_factors[2] != before[2]).any()
    held = model.item_factors.copy()
    model.partial_fit(Interactions.from_arrays(["x", "y"], ["p", "q"]))
    assert list(model.users)[40:] == ["x", "y"] and list(model.items)[30:] == ["p", "q"]
    np.testing.assert_array_equal(model.item_factors[:30], held)
    assert model.training_matrix[40, 30] == 1 and model.training_matrix.shape == (42, 32)
    assert not set(model.recommend("x", N=32)[0][:-1]) & {"p"}


# ---- trainings that go on ----------------------------------------------------------------------


@pytest.mark.parametrize("name", FACTORS)
def test_a_warm_start_with_newcomers_anywhere(name):
    model = make(name).fit(interactions("string"), show_progress=False)
    old_users, old_items = model.user_factors.copy(), model.item_factors.copy()
    table = with_the_day()
    rows, columns = np.random.default_rng(0).permutation(43), np.arange(32)[::-1]
    shuffled = sparse.csr_array(table[rows][:, columns])
    grown = Interactions.from_csr(shuffled, user("string", rows), item("string", columns))
    model.set_params(**more(name, 0)).fit(grown, warm_start=True, show_progress=False)
    assert list(model.users) == user("string", rows)
    np.testing.assert_array_equal(model.user_factors[np.argsort(rows)][:40], old_users)
    np.testing.assert_array_equal(model.item_factors[np.argsort(columns)][:30], old_items)
    model.set_params(**more(name, 2)).fit(grown, warm_start=True, show_progress=False)
    assert len(model.history) == 5 and np.isfinite(model.user_factors).all()


def test_a_warm_start_folds_newcomers_in():
    model = fitted("ImplicitALS", **SIMPLE)
    x, y, table = np.zeros((43, 5)), np.zeros((32, 5)), with_the_day() + _of_user_42()
    x[:40], y[:30] = model.user_factors, model.item_factors
    model.set_params(iterations=0).fit(sparse.csr_array(table), warm_start=True)
    for u in range(40, 43):
        x[u] = solved(y, table[u])
    for i in range(30, 32):
        y[i] = solved(x, table[:, i])
    np.testing.assert_allclose(model.user_factors, x, atol=1e-9)
    np.testing.assert_allclose(model.item_factors, y, atol=1e-9)


def test_an_interrupted_warm_start_with_newcomers_changes_nothing(monkeypatch):
    model = make("ImplicitALS").fit(interactions("string"), show_progress=False)
    before = learned(model)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("recsys.models.alternating.AlternatingTrainer.step", stop)
    with pytest.raises(KeyboardInterrupt):
        model.fit(interactions("string", counts(50, 40)), warm_start=True, show_progress=False)
    assert learned(model) == before and len(model.users) == 40


# ---- one dtype ---------------------------------------------------------------------------------


def test_another_dtype_comes_into_effect_for_all_that_is_learned():
    one = sparse.csr_array(([2.0], ([0], [4])), shape=(1, 30))
    for learn in (
        lambda model: model.partial_fit_users([50], events=one),
        lambda model: model.partial_fit(a_day()),
        lambda model: setattr(model, "item_factors", np.ones((30, 5))),
    ):
        model = fitted("ImplicitALS bias", dtype=np.float32).set_params(dtype=np.float64)
        learn(model)
        arrays = model.user_factors, model.item_factors, model.user_biases, model.item_biases
        assert {array.dtype for array in arrays} == {np.dtype(np.float64)}
        assert model.recommend(0)[1].dtype == np.float64


def test_users_in_the_column_of_items():
    """Refused where both columns are better known the other way round, and by nothing less."""
    users, items = [f"u{n % 7}" for n in range(40)], [f"i{n % 11}" for n in range(40)]
    model = EASE().fit(Interactions.from_arrays(users, items), show_progress=False)
    message = "100% of the users.* are items of the model, and 75% of the items"
    with pytest.raises(ValueError, match=message):
        model.partial_fit(
            Interactions.from_arrays(["i1", "i2", "i1", "i3"], ["u1", "u2", "u3", "x"])
        )
    assert len(model.users) == 7
    model.partial_fit(Interactions.from_arrays(["u1", "y", "z"], ["i1", "u2", "u3"]))
    assert len(model.users) == 9 and len(model.items) == 13


ISLAND = (list("xxyyyzzzww"), list("ababcabcac"), np.full(10, 5.0))


@pytest.mark.parametrize("name", [each for each in FACTORS if not each.startswith("ExplicitALS")])
def test_newcomers_who_only_meet_each_other_are_learned(name):
    model = make(name).fit(interactions("string"), show_progress=False)
    held = model.item_factors.copy()
    model.partial_fit(Interactions.from_arrays(*ISLAND))
    if name != "ExplicitSGD":  # ratings which are all their mean need no factors
        assert model.user_factors[-4:].any(axis=1).all() and model.item_factors[-3:].any()
    alone = not name.startswith(("BPR", "LogisticMF"))  # which take others along
    assert (model.item_factors[:30] == held).mean() >= alone


@pytest.mark.parametrize("nonnegative", [False, True])
def test_an_island_is_learned_nearly_as_if_there_were_nothing_else(nonnegative):
    options, island = {**SIMPLE, "nonnegative": nonnegative}, Interactions.from_arrays(*ISLAND)
    alone = ImplicitALS(20, random_state=0, **options).fit(island, show_progress=False)
    model = fitted("ImplicitALS", interactions("string"), factors=20, **options)
    again = make("ImplicitALS", factors=20, **options)
    again.fit(interactions("string"), show_progress=False).partial_fit(island, rounds=30)
    model.partial_fit(island, rounds=30)
    assert learned(model) == learned(again)
    assert model.score("x", "a") == pytest.approx(alone.score("x", "a"), abs=0.15)
    assert model.score("x", "c") > 0.5 and (model.user_factors.min() >= 0) == nonnegative


def test_a_warm_start_frees_those_who_were_left_at_zero():
    """As a model has them that was saved by a version before this."""
    old, island = interactions("string"), Interactions.from_arrays(*ISLAND)
    model = fitted("ImplicitALS", old, **SIMPLE)
    factors = [np.concatenate([model.user_factors, np.zeros((4, 5))]),
               np.concatenate([model.item_factors, np.zeros((3, 5))])]  # fmt: skip
    model.partial_fit(island)
    model.user_factors, model.item_factors = factors
    model.fit(old.concat(island), warm_start=True, show_progress=False)
    assert model.recommend("x", N=1)[0].tolist() == ["c"]


# ---- neighbours --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ItemNeighbors", "ItemNeighbors bm25"])
def test_a_day_of_neighbours_is_a_fit_on_all(name):
    want, model = fitted(name, sparse.csr_array(with_the_day())), trained(name)
    assert model.partial_fit(a_day()) is model
    assert learned(model) == learned(want)
    assert (model.training_matrix != want.training_matrix).nnz == 0
    by_id = make(name).fit(interactions("string"), show_progress=False)
    by_id.partial_fit(a_day_of("string"))
    everything = make(name).fit(interactions("string").concat(a_day_of("string")))
    assert learned(by_id) == learned(everything)
    assert list(by_id.users) == list(everything.users)
    before = learned(by_id)
    for error, message, call in (
        (ValueError, "speaks ids of 42 users", lambda: by_id.partial_fit(a_day())),
        (ValueError, "at least .*looks transposed",
         lambda: model.partial_fit(sparse.csr_array(a_day().T))),
        (ValueError, "has no weights of items yet", lambda: make(name).partial_fit(a_day())),
        (TypeError, "takes no item_features",
         lambda: model.fit(counts(), item_features=np.ones((30, 2)))),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            call()
    assert learned(by_id) == before


# ---- files in between --------------------------------------------------------------------------


def saved(model):
    file = io.BytesIO()
    model.save(file)
    return load(file.getvalue())


@pytest.mark.parametrize("name", [*FACTORS, "ItemNeighbors"])
def test_a_day_after_a_file_is_as_without(name):
    model = trained(name)
    again = saved(model).partial_fit(a_day())
    assert learned(again)[0] == learned(model.partial_fit(a_day()))[0]


def test_what_one_side_has_added_no_other_method_adds_again():
    day = sparse.csr_array(([2.0, 1.0], ([3, 5], [4, 9])), shape=(40, 30))
    of_user = sparse.csr_array(([2.0], ([0], [4])), shape=(1, 30))
    of_item = sparse.csr_array(([2.0], ([0], [3])), shape=(1, 40))
    for method, who, events in (("users", [3], of_user), ("items", [4], of_item)):
        for between in (lambda model: model, saved):
            model = trained("ImplicitALS")
            before = model.training_matrix.toarray()
            getattr(model, f"partial_fit_{method}")(who, events=events)
            model = between(model).partial_fit(day)
            assert model.training_matrix[3, 4] == before[3, 4] + 2
            assert model.training_matrix[5, 9] == before[5, 9] + 1
            model.partial_fit(day)  # the same once more is another day
            assert model.training_matrix[3, 4] == before[3, 4] + 4
    model = trained("ImplicitALS")  # all three, one after the other
    model.partial_fit_users([3], events=of_user)
    model.partial_fit_items([4], events=of_item)
    model.partial_fit(day)
    assert model.training_matrix[3, 4] == before[3, 4] + 2
    small = io.BytesIO()
    model.save(small, history=False)
    assert load(small.getvalue())._just_added is None
    with pytest.raises(NotFittedError, match=r"history=False.*nothing to add events to"):
        load(small.getvalue()).partial_fit(day)
