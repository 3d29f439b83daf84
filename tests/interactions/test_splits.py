import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import csr
from recsys import evaluation as ev

SPLITS = {
    "random": lambda m, seed: ev.random_split(m, 0.3, random_state=seed),
    "per user": lambda m, seed: ev.per_user_split(m, 0.3, random_state=seed),
    "leave k out": lambda m, seed: ev.leave_k_out_split(m, 2, random_state=seed),
    "leave last": lambda m, seed: ev.leave_last_split(m, np.zeros(m.nnz), 2, random_state=seed),
    "users": lambda m, seed: ev.user_split(m, 0.3, random_state=seed)[:3],
    "folds": lambda m, seed: next(ev.user_folds(m, 3, random_state=seed))[:3],
}


def matrix(n_users=50, n_items=30, density=0.3, seed=0, dtype=np.float32):
    """Distinct values, empty users (3, 10, last) and empty items (0, last)."""
    rng = np.random.default_rng(seed)
    dense = (rng.random((n_users, n_items)) < density) * np.arange(
        1, 1 + n_users * n_items
    ).reshape(n_users, n_items)
    dense[[3, 10, -1]] = 0
    dense[:, [0, -1]] = 0
    return sp.csr_matrix(dense.astype(dtype))


def lengths(m):
    return np.diff(m.indptr)


@pytest.mark.parametrize("name", SPLITS)
def test_parts_are_canonical_and_add_up(name):
    whole = matrix()
    parts = SPLITS[name](whole, 0)
    for part in parts:
        assert part.shape == whole.shape and part.nnz and part.dtype == np.float32
        assert isinstance(part, sp.csr_matrix) and part.indptr.dtype == part.indices.dtype
        fresh = sp.csr_matrix((part.data, part.indices, part.indptr), shape=part.shape)
        fresh.check_format(full_check=True)
        assert fresh.has_canonical_format
    assert abs(sum(parts[1:], parts[0]) - whole).nnz == 0
    assert sum(part.nnz for part in parts) == whole.nnz


@pytest.mark.parametrize("name", SPLITS)
def test_the_seed_is_honoured(name):
    def same(one, other):
        parts = zip(SPLITS[name](matrix(), one), SPLITS[name](matrix(), other), strict=True)
        return all((a != b).nnz == 0 for a, b in parts)

    assert same(7, 7)
    assert same(7, np.random.default_rng(7))
    assert same(np.random.RandomState(7), np.random.RandomState(7))
    assert not same(7, 8)
    assert not same(None, None)
    generator = np.random.default_rng(7)
    assert not same(generator, generator)  # goes on, does not start again


@pytest.mark.parametrize("name", SPLITS)
def test_formats_types_and_read_only_arrays(name):
    whole = matrix()
    expected = [part.toarray() for part in SPLITS[name](whole, 0)]
    shuffled = whole.copy()
    for row in range(whole.shape[0]):  # unsorted columns
        at = slice(*whole.indptr[row : row + 2])
        shuffled.indices[at], shuffled.data[at] = whole.indices[at][::-1], whole.data[at][::-1]
    shuffled.has_sorted_indices = False
    wide = sp.csr_array(whole)
    wide.indptr, wide.indices = wide.indptr.astype(np.int64), wide.indices.astype(np.int64)
    for array in (whole.data, whole.indices, whole.indptr):
        array.flags.writeable = False
    for other in (whole, whole.tocoo(), whole.tocsc(), shuffled, wide, whole.astype(np.int64)):
        for part, dense in zip(SPLITS[name](other, 0), expected, strict=True):
            np.testing.assert_array_equal(part.toarray(), dense)


def test_nothing_to_split():
    empty = sp.csr_matrix((4, 3))
    for train, test in (
        ev.random_split(empty),
        ev.per_user_split(empty),
        ev.leave_k_out_split(empty, train_only_share=0.5),
        ev.leave_last_split(empty, []),
        ev.time_split(empty, np.zeros(0, "datetime64[s]")),
    ):
        assert train.shape == test.shape == (4, 3) and train.nnz == test.nnz == 0


def test_values_keep_their_precision():
    whole = matrix().astype(np.int64)
    whole.data[0] = 2**40 + 1
    train, test = ev.random_split(whole, random_state=0)
    assert train.dtype == np.float64
    assert 2**40 + 1 in set(train.data) | set(test.data)


def test_random_split_is_the_usual_one():
    whole = matrix()
    kept = np.random.default_rng(3).random(whole.nnz) < 0.8
    train, test = ev.random_split(whole, random_state=3)
    np.testing.assert_array_equal(train.data, whole.data[kept])
    np.testing.assert_array_equal(test.data, whole.data[~kept])


def test_random_split_share():
    whole = sp.csr_matrix(np.ones((300, 300)))
    assert ev.random_split(whole, 0.1, random_state=0).test.nnz == pytest.approx(9000, rel=0.05)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.29, 0.5, 0.99])
def test_per_user_split_counts(share):
    whole = sp.csr_matrix(np.tril(np.ones((101, 100)), -1))  # 0 to 100 entries
    train, test = ev.per_user_split(whole, share, random_state=0)
    exact = [int(count * round(share * 100)) // 100 for count in range(101)]
    assert lengths(test).tolist() == exact
    assert (lengths(train)[1:] > 0).all()


def test_per_user_split_is_uniform():
    whole = sp.csr_matrix(np.ones((4000, 10)))
    test = ev.per_user_split(whole, 0.3, random_state=0).test
    np.testing.assert_allclose(np.asarray(test.sum(axis=0)).ravel() / 4000, 0.3, atol=0.03)


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("min_train", [0, 1, 3])
def test_leave_k_out_counts(k, min_train):
    whole = sp.csr_matrix(np.tril(np.ones((12, 11)), -1))
    train, test = ev.leave_k_out_split(whole, k, min_train=min_train, random_state=0)
    count = np.arange(12)
    np.testing.assert_array_equal(lengths(test), np.where(count >= k + min_train, k, 0))
    np.testing.assert_array_equal(lengths(train) + lengths(test), count)


def test_leave_k_out_is_uniform():
    whole = sp.csr_matrix(np.ones((5000, 5)))
    test = ev.leave_k_out_split(whole, random_state=0).test
    np.testing.assert_allclose(np.asarray(test.sum(axis=0)).ravel() / 5000, 0.2, atol=0.03)


def test_leave_k_out_of_some_users():
    whole = matrix()
    test = ev.leave_k_out_split(whole, train_only_share=0.29, random_state=0).test
    active = np.count_nonzero(lengths(whole))
    assert np.count_nonzero(lengths(test)) == active - int(0.29 * active)


# ---- by time -----------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_leave_last_takes_the_latest(data):
    n_users, n_items = 4, 6
    events = data.draw(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 4)),
            min_size=1,
            max_size=30,
        )
    )
    user, item, time = map(np.array, zip(*events, strict=True))
    k = data.draw(st.integers(1, 3))
    whole = sp.coo_matrix((np.ones(len(user)), (user, item)), shape=(n_users, n_items))
    train, test = ev.leave_last_split(whole, time, k, random_state=0)
    for row in range(n_users):
        mine = sorted(t for u, _, t in events if u == row)
        left, out = (part[[row]].sum() for part in (train, test))
        assert left + out == len(mine) and out == (k if len(mine) >= k + 1 else 0)
        cut = len(mine) - k
        for item in test[[row]].indices:  # who is there has an event that is not too early
            assert max(t for u, i, t in events if (u, i) == (row, item)) >= mine[cut]
    np.testing.assert_array_equal((train + test).toarray(), whole.toarray())


def test_events_are_split_before_they_are_summed():
    """User 0 had item 0 before and after: it is in both parts, with what it came to in each."""
    whole = sp.coo_matrix(([2.0, 1, 3, 1], ([0, 0, 0, 0], [0, 1, 0, 2])), shape=(1, 3))
    times = [1, 5, 9, 6]
    for train, test in (
        ev.leave_last_split(whole, times, k=2),
        ev.time_split(whole, times, at=6),
        ev.time_split(whole, times, 0.5),
    ):
        assert train.toarray().tolist() == [[2, 1, 0]] and test.toarray().tolist() == [[3, 0, 1]]
    parts = ev.time_split(whole, times, at=6, repeats="drop")
    assert parts.train.toarray().tolist() == [[2, 1, 0]]
    assert parts.test.toarray().tolist() == [[0, 0, 1]]
    with pytest.raises(ValueError, match="unknown repeats 'x'; expected 'keep' or 'drop'"):
        ev.leave_last_split(whole, times, repeats="x")


def test_ties_at_the_cut_are_counted():
    whole = sp.csr_matrix(np.ones((2, 5)))
    times = np.array([1, 2, 2, 2, 3, 1, 2, 3, 4, 5])
    parts = ev.leave_last_split(whole, times, k=2)  # user 0: one of three events of time 2
    assert parts.n_cut_ties == 1 and parts.test.sum() == 4
    parts = ev.time_split(whole, times, 0.5)  # five of ten; time 2 is that of four, six are later
    assert parts.n_cut_ties == (times >= 2).sum() - 5 == 3
    assert ev.time_split(whole, times, at=3).n_cut_ties == 0
    with pytest.raises(ValueError, match=r"at is no date: '1.2.2026'; expected one as in ISO 8601"):
        ev.time_split(whole, times.astype("datetime64[D]"), at="1.2.2026")


def test_equal_times_are_not_ordered_by_item():
    whole = sp.csr_matrix(np.ones((3000, 6)))
    test = ev.leave_last_split(whole, np.zeros(whole.nnz), random_state=0).test
    np.testing.assert_allclose(np.asarray(test.sum(axis=0)).ravel() / 3000, 1 / 6, atol=0.03)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "canonical"])
def test_times_follow_the_stored_entries(form):
    if form == "canonical":  # index arrays of two widths
        whole = csr.canonical(matrix(), np.dtype(np.float32))
    else:
        whole = matrix().asformat(form)
    time = whole.data * 10.0  # ascending along each row: the last item is the latest
    test = ev.leave_last_split(whole, time).test.tocoo()
    expected = [matrix()[[row]].indices[-1] for row in test.row]
    assert test.col.tolist() == expected
    test = ev.time_split(whole, time, at=5000).test
    assert sorted(test.data) == sorted(value for value in whole.data if value >= 500)


def test_time_split_never_looks_ahead():
    whole = matrix()
    time = np.random.default_rng(0).integers(0, 20, whole.nnz)
    train, test = ev.time_split(whole, time, 0.25)
    late = time[np.isin(whole.data, test.data)]
    early = time[np.isin(whole.data, train.data)]
    assert early.max() < late.min()
    assert test.nnz >= 0.25 * whole.nnz > np.count_nonzero(late > late.min())


def test_time_split_of_dates():
    whole = matrix()
    days = np.datetime64("2020-01-01") + np.arange(whole.nnz)
    test = ev.time_split(whole, days, at=np.datetime64("2020-01-11T00:00")).test
    assert ev.time_split(whole, days, at="2020-01-11").test.nnz == test.nnz
    np.testing.assert_array_equal(test.data, whole.data[10:])
    np.testing.assert_array_equal(ev.time_split(whole, days, 0.5).test.nnz, -(-whole.nnz // 2))


# ---- by user -----------------------------------------------------------------------------------


def test_held_out_users():
    whole = sp.csr_matrix(np.tril(np.ones((41, 40)), -1))  # 0 to 40 entries
    train, fold_in, test, users = ev.user_split(whole, 15, random_state=0)
    assert len(users) == len(set(users)) == 15 and (np.diff(users) > 0).all()
    assert users.min() >= 2  # with 0 or 1 entries nobody is held out
    held = np.isin(np.arange(41), users)
    np.testing.assert_array_equal(lengths(train), np.where(held, 0, np.arange(41)))
    np.testing.assert_array_equal(
        lengths(test), np.where(held, np.maximum(np.arange(41) // 5, 1), 0)
    )
    np.testing.assert_array_equal(lengths(fold_in) + lengths(test), np.arange(41) * held)


def test_share_of_users():
    assert len(ev.user_split(matrix(), 0.25, random_state=0).users) == 11  # of 47 who have entries


def test_folds_hold_out_everybody_once():
    whole = matrix()
    folds = list(ev.user_folds(whole, 4, random_state=0))
    everybody = np.concatenate([fold.users for fold in folds])
    assert sorted(everybody) == np.flatnonzero(lengths(whole) >= 2).tolist()
    assert {len(fold.users) for fold in folds} == {11, 12}
    for fold in folds:
        assert abs(fold.train + fold.fold_in + fold.test - whole).nnz == 0
        assert not lengths(fold.train)[fold.users].any()
        assert (lengths(fold.fold_in)[fold.users] > 0).all()
        assert (lengths(fold.test)[fold.users] > 0).all()


# ---- what goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: ev.random_split(m, 1.0), ValueError, "test_share must be .* less than 1"),
        (lambda m: ev.random_split(m, 0), ValueError, "greater than 0 and less than 1; got 0"),
        (lambda m: ev.random_split(m, random_state="a"), TypeError, "random_state must be"),
        (lambda m: ev.random_split(m.toarray()), TypeError, "must be a SciPy sparse matrix"),
        (lambda m: ev.per_user_split(m, 20), ValueError, "test_share must be"),
        (lambda m: ev.leave_k_out_split(m, 0), ValueError, "k must be at least 1; got 0"),
        (lambda m: ev.leave_k_out_split(m, 1.5), TypeError, "k must be an integer"),
        (lambda m: ev.leave_k_out_split(m, min_train=-1), ValueError, "min_train must be"),
        (
            lambda m: ev.leave_k_out_split(m, train_only_share=1),
            ValueError,
            "train_only_share must be a finite number of at least 0 and less than 1; got 1",
        ),
        (lambda m: ev.leave_last_split(m, [1, 2]), ValueError, r"times has shape \(2,\)"),
        (lambda m: ev.leave_last_split(m, ["x"] * m.nnz), TypeError, "times must be an array"),
        (lambda m: ev.time_split(m.tolil(), np.ones(m.nnz)), TypeError, "LIL format"),
        (lambda m: ev.time_split(m, np.full(m.nnz, np.nan)), ValueError, r"times\[0\] is nan"),
        (
            lambda m: ev.time_split(m, np.full(m.nnz, np.datetime64("NaT", "s"))),
            ValueError,
            r"times\[0\] is NaT",
        ),
        (lambda m: ev.time_split(m, np.ones(m.nnz), at="2020"), TypeError, "at must be a moment"),
        (
            lambda m: ev.time_split(m, np.ones(m.nnz), at=np.datetime64("2020")),
            TypeError,
            "which are float64",
        ),
        (lambda m: ev.user_split(m, 48), ValueError, "48 users; 47 have the two interactions"),
        (lambda m: ev.user_split(m, 0.001), ValueError, "comes to 0 users"),
        (lambda m: ev.user_split(m, 1.0), ValueError, "held_out must be .* less than 1"),
        (lambda m: ev.user_folds(m, 48), ValueError, "n_folds must be at most .* 47; got 48"),
        (lambda m: ev.user_folds(m, 1), ValueError, "n_folds must be at least 2"),
        (lambda m: ev.user_split(sp.csr_matrix(np.eye(5))), ValueError, "no user has two"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(matrix())
