"""Ranks that are threads find what one process finds, and the same bits however many they are."""

import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from distributed_problem import LOG, alone, entries, problem

from recsys.distributed import CheckpointError, Place, blocks, fit, fit_each, local
from recsys.distributed.limits import memory_of, squares_of
from recsys.distributed.local import fit_in_steps, fit_in_threads, in_threads
from recsys.distributed.mesh import NotDeterministicError, PeerError, PeerGaveUpError
from recsys.distributed.problem import from_half, start, to_half
from recsys.distributed.rank import Rank

KINDS = {
    "exact": {},
    "cg": {"cg_steps": 3, "iterations": 8},
    "ratings": {"signed": None, "unobserved_weight": 0.0, "init_scale": 1.0},
    "weight": {"unobserved_weight": 0.3},
    "mean": {"by_user_mean": True, "signed": LOG},
    "momentum": {"acceleration": True, "iterations": 9},
    "cg momentum": {"acceleration": True, "iterations": 9, "cg_steps": 2},
    "biases": {"bias": True, "unobserved_weight": 0.3, "acceleration": True, "iterations": 7},
    "biased ratings": {
        "signed": None,
        "unobserved_weight": 0.0,
        "init_scale": 1.0,
        "bias": True,
        "cg_steps": 3,
    },
    "nonnegative": {"nonnegative": True, "acceleration": True, "iterations": 7},
    "nonnegative and biases": {"nonnegative": True, "bias": True},
}


class Memory:
    """A folder for checkpoints."""

    def __init__(self):
        self.files, self.cleared = {}, False

    def check(self, name):
        self.write(name, b"")
        self.remove(name)

    def names(self):
        return list(self.files)

    def write(self, name, data):
        self.files[name] = data

    def read(self, name):
        return self.files[name]

    def remove(self, name):
        self.files.pop(name, None)

    def clear(self):
        self.cleared = True


def bits(fitted):
    return [array.tobytes() for array in fitted.factors]


@pytest.mark.parametrize("kind", KINDS)
def test_objective_is_that_of_one_process(kind):
    told = problem(loss=True, **KINDS[kind])
    fitted = fit_in_threads(*entries(), (3, 2), 2, told)
    x, y, loss = alone(*entries(), told)
    assert fitted.report.losses[-1] == pytest.approx(loss, rel=1e-5 if told.nonnegative else 1e-6)
    assert told.nonnegative == (min(each[:, :8].min() for each in fitted.factors) >= 0)
    scores = fitted.factors[0] @ fitted.factors[1].T
    np.testing.assert_allclose(scores, x @ y.T, atol=2e-3 * np.abs(x @ y.T).max())


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bits_for_any_number_of_ranks(kind):
    told = problem(**KINDS[kind])
    users, items, values = entries()
    one = fit_in_threads(users, items, values, (8, 5), 1, told)
    assert np.isfinite(one.factors[0]).all() and np.ptp(one.factors[0]) > 0.1
    shuffled = np.random.default_rng(2).permutation(len(users))
    for world in (2, 3, 8) if kind in ("exact", "cg", "ratings") else (3,):
        other = fit_in_threads(
            *(array[shuffled] for array in (users, items, values)), (8, 5), world, told,
            num_threads=2,
        )  # fmt: skip
        assert bits(other) == bits(one)
        assert np.array_equal(other.keys[0], np.unique(users))


@pytest.mark.parametrize("kind", KINDS)
def test_step_by_step_the_bits_are_the_same(kind):
    """With no connections: what ranks send goes through an engine."""
    told = problem(loss=True, **KINDS[kind])
    users, items, values = entries()
    one = fit_in_threads(users, items, values, (8, 5), 1, told)
    other = fit_in_steps(users, items, values, (8, 5), 3, told)
    assert bits(other) == bits(one)
    assert other.report.losses == one.report.losses
    assert other.report.momentum == one.report.momentum


def test_errors_of_a_step_are_errors_of_the_fit():
    users, items, values = entries()
    with pytest.raises(FloatingPointError, match="factors of the users are not finite"):
        fit_in_steps(users, items, values, (3, 3), 2, problem(init_scale=1e30))
    with pytest.raises(FloatingPointError, match="finite"):
        fit_in_steps(users, items, values * np.float32(1e37), (3, 3), 2, problem(signed=None))


def test_steps_that_have_read_different_entries_say_so(monkeypatch):
    users, items, values = entries()
    reads = blocks.split

    def differ(rows, columns, *args):
        yield from reads(rows[: len(rows) - 900 * (rows is items)], columns, *args)

    monkeypatch.setattr(local, "split", differ)
    with pytest.raises(NotDeterministicError, match="must give the same rows"):
        fit_in_steps(users, items, values, (3, 3), 2, problem())


def skewed(n_users=3000):
    """Eight items that half of the users have, and a long tail."""
    rng = np.random.default_rng(0)
    popular = np.argsort(rng.random((n_users, 8)), axis=1)[:, :4]
    items = np.column_stack([popular, 8 + rng.integers(0, 400, n_users)]).ravel()
    values = rng.choice([1, 2, 5, -1], len(items), p=[0.5, 0.3, 0.15, 0.05])
    return np.repeat(np.arange(n_users), 5) * 3 - 7, items * 2**33, values.astype(np.float32)


@pytest.mark.parametrize("kind", ["exact", "ratings", "mean", "biases"])
def test_the_head_is_solved_from_sums(kind, caplog):
    """With fewer bytes sent, the objective of one process, and the same bits however many ranks
    there are and however they talk."""
    told = problem(loss=True, **KINDS[kind] | {"factors": 4, "iterations": 2})
    with caplog.at_level("INFO", "recsys"):
        one = fit_in_threads(*skewed(), (3, 6), 1, told)
    assert f"the {9 if told.bias else 8} items with most entries are solved" in caplog.text
    two = fit_in_threads(*skewed(), (3, 6), 2, told, num_threads=2)
    assert bits(two) == bits(one) == bits(fit_in_threads(*skewed(), (3, 6), 5, told))
    assert bits(fit_in_steps(*skewed(), (3, 6), 2, told)) == bits(one)
    *_, loss = alone(*skewed(), told)
    assert one.report.losses[-1] == pytest.approx(loss, rel=1e-6)
    whole = fit_in_threads(*skewed(), (3, 6), 2, replace(told, split_head=False))
    assert whole.report.losses[-1] == pytest.approx(loss, rel=1e-6) and bits(whole) != bits(one)
    assert two.report.bytes_sent < 0.75 * whole.report.bytes_sent


@pytest.mark.parametrize("changed", [{"nonnegative": True}, {"cg_steps": 3}])
def test_no_head_where_rows_are_not_solved_exactly(changed, caplog):
    told = problem(factors=4, iterations=1, **changed)
    with caplog.at_level("INFO", "recsys"):
        fit_in_threads(*skewed(300), (3, 6), 2, told)
    assert "most entries" not in caplog.text


def test_long_rows_have_the_same_bits_on_any_number_of_ranks():
    """Those that gather so much that they are solved in groups, column block by column block."""
    rng = np.random.default_rng(0)
    users = np.concatenate([np.zeros(9000, int), rng.integers(1, 9000, 9000)])
    items = np.concatenate([np.arange(9000), rng.integers(0, 9000, 9000)])
    values = np.ones(18000, np.float32)
    told = problem(factors=33, iterations=1)
    one = fit_in_threads(users, items, values, (4, 4), 1, told)
    assert bits(fit_in_threads(users, items, values, (4, 4), 3, told)) == bits(one)


def test_no_iterations_are_the_start_and_other_seeds_start_elsewhere():
    users, items, values = entries()
    none = fit_in_threads(users, items, values, (2, 2), 2, problem(iterations=0))
    keys = np.unique(users)
    assert np.array_equal(none.factors[0], start(keys, 0, 8, 3, 0.1))
    assert not np.array_equal(start(keys, 0, 8, 4, 0.1), none.factors[0])
    many = start(np.arange(5000), 1, 16, 0, 1.0)
    assert abs(many.mean()) < 0.01 and many.std() == pytest.approx(0.25, rel=0.02)
    assert np.unique(many).size > 50_000


def test_bfloat16_on_the_wire():
    told = problem(loss=True)
    whole = fit_in_threads(*entries(), (4, 4), 2, told)
    half = fit_in_threads(*entries(), (4, 4), 2, problem(loss=True, half=True))
    assert half.report.losses[-1] == pytest.approx(whole.report.losses[-1], rel=2e-3)
    assert bits(half) == bits(fit_in_threads(*entries(), (4, 4), 3, problem(half=True)))
    assert half.report.bytes_sent < 0.7 * whole.report.bytes_sent
    values = np.float32([1, -1, 0, 1e30, 1 + 2**-9, 1 + 3 * 2**-9, np.pi])
    assert np.all(np.abs(from_half(to_half(values)) - values) <= np.abs(values) / 256)
    assert from_half(to_half(values))[4] == 1  # a tie, to even


@pytest.mark.parametrize("kind", ["exact", "cg momentum", "biases", "nonnegative"])
def test_a_fit_goes_on_from_its_last_checkpoint_with_the_same_bits(kind):
    told = problem(**KINDS[kind] | {"iterations": 7})
    whole = fit_in_threads(*entries(), (4, 4), 2, told)
    store = Memory()
    fit_in_threads(*entries(), (4, 4), 2, told, store=store, every=2)
    assert store.cleared and {name.split("-")[-1] for name in store.files} == {
        "4.factors", "6.factors",  # and no longer those of the second iteration
    }  # fmt: skip
    # one rank had not written its last one when it was lost
    del store.files["rank-1-of-2-model-0-iteration-6.factors"]
    again = fit_in_threads(*entries(), (4, 4), 2, told, store=store, every=2)
    assert again.report.first == 4 and bits(again) == bits(whole)


def test_fits_to_the_same_entries_go_on_from_their_own_checkpoints():
    users, items, values = entries()
    told = [problem(iterations=5), problem(factors=4, iterations=5)]
    alone = [fit_in_threads(users, items, values, (4, 4), 1, each) for each in told]
    store = Memory()
    pieces = [piece for _, piece in blocks.split(users, items, values, 4, 1, 1 << 20)]
    others = [piece for _, piece in blocks.split(items, users, values, 4, 1, 1 << 20)]
    place = Place(0, 1, "127.0.0.1", lambda text: [text], b"secret", store=store, every=2)
    for lost in ((), ("rank-0-of-1-model-0-iteration-4.factors",)):
        for name in lost:
            del store.files[name]
        found = list(fit_each(place, (pieces, others), (4, 4), told))
        assert [each.report.first for each in found] == ([2, 4] if lost else [0, 0])
        for one, other in zip(alone, found, strict=True):
            order = [np.argsort(keys) for keys in other.keys]
            assert all(
                np.array_equal(a, b[at])
                for a, b, at in zip(one.factors, other.factors, order, strict=True)
            )


def test_a_store_that_one_rank_cannot_write_to_is_one_error_of_all():
    """Said before anything is built; where no iteration has a checkpoint it is not looked at."""
    raised = {}

    class Refuses(Memory):
        def write(self, name, data):
            if name == "rank-1":
                raise CheckpointError("no room for rank-1")
            super().write(name, data)

    def work(rank, all_gather):
        place = Place(rank, 2, "127.0.0.1", all_gather, b"secret", store=Refuses(), every=2)
        try:
            next(fit_each(place, (None, None), (4, 4), [problem(iterations=3)]))
        except CheckpointError as error:
            raised[rank] = str(error)

    in_threads(2, work)
    assert raised == {0: "no room for rank-1", 1: "no room for rank-1"}
    fit_in_threads(*entries(), (4, 4), 2, problem(iterations=3), store=Refuses(), every=3)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-5], lambda data: data[:90] + b"!" + data[91:]]
)
def test_a_damaged_checkpoint_is_an_error(damage):
    store = Memory()
    fit_in_threads(*entries(), (4, 4), 2, problem(), store=store, every=3)
    store.files = {name: damage(data) for name, data in store.files.items()}
    with pytest.raises(ValueError, match=r"rank-\d-of-2-model-0-iteration-3.*damaged"):
        fit_in_threads(*entries(), (4, 4), 2, problem(), store=store, every=3)


def test_a_rank_that_dies_is_an_error_everywhere(monkeypatch):
    """Within seconds, and not a hang."""
    solve = Rank.half_sweep

    def dies(self, *args):
        if self.mesh.rank == 1 and len(self.report.seconds) == 1:
            self.mesh.close()
            raise SystemExit("killed")
        return solve(self, *args)

    monkeypatch.setattr(Rank, "half_sweep", dies)
    errors = each_error(3, problem())
    assert isinstance(errors[1], SystemExit)
    for rank in (0, 2):
        assert isinstance(errors[rank], PeerError)
    assert "rank 1" in str(errors[0]) and "gone" in str(errors[0])


def test_a_rank_that_gives_up_says_why(monkeypatch):
    solve = Rank.half_sweep

    def fails(self, *args):
        if self.mesh.rank == 2 and len(self.report.seconds) == 1:
            raise FloatingPointError("row 7 has no finite solution")
        return solve(self, *args)

    monkeypatch.setattr(Rank, "half_sweep", fails)
    errors = each_error(3, problem())
    assert isinstance(errors[2], FloatingPointError)
    assert isinstance(errors[0], PeerGaveUpError) and "row 7 has no finite" in str(errors[0])


def test_factors_that_are_not_finite_are_the_same_error_on_all_ranks():
    users, items, values = entries()
    with pytest.raises(FloatingPointError, match="factors of the users are not finite"):
        fit_in_threads(users, items, values, (3, 3), 3, problem(init_scale=1e30))


def test_ranks_that_have_read_different_entries_say_so():
    errors = each_error(2, problem(), lambda rank: slice(0, 4000 - 900 * rank))
    assert any("must give the same rows" in str(error) for error in errors)


def test_versions_that_differ_are_an_error(monkeypatch):
    import json

    def pretend(text):
        hello = json.loads(text)
        hello["version"] = "0.0.1"
        return json.dumps(hello)

    errors = each_error(2, problem(), change=lambda rank, text: pretend(text) if rank else text)
    assert all("different versions of recsys" in str(error) for error in errors)


def test_too_little_memory_is_said_before_the_blocks_are_built():
    errors = each_error(2, problem(), memory=100_000)
    found = [str(error) for error in errors if isinstance(error, MemoryError)]
    assert found and "use at least" in found[0] and "memoryOverhead" in found[0]


def test_factors_that_no_number_of_workers_has_room_for():
    """Said before there are any, and what is counted suffices."""
    told = problem(factors=100_000)
    errors = each_error(2, told, memory=10**11)
    said = [str(error) for error in errors if isinstance(error, MemoryError)]
    assert said and "100000 x 100000 numbers take" in said[0] and "lower rank" in said[0]
    assert "workers (and" not in said[0]
    memory = squares_of(3, 300, problem(factors=10_000), 1) - 1  # of three blocks a side
    [error] = each_error(1, problem(factors=10_000), memory=memory)
    assert "fewer blocks (3 x 3)" in str(error)
    counted = squares_of(2 * 4, 75, problem(factors=500), 1)
    tracemalloc.start()
    try:
        fit_in_threads(*entries(), (4, 4), 1, problem(factors=500, iterations=1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    of_rows = 4 * 500 * 4 * (300 + 120)
    assert peak - of_rows < counted < 3 * peak


def test_memory_counts_everything_that_lasts():
    from recsys.distributed.blocks import Entries, build, split

    users, items, values = entries()
    held = []
    for own, other in ((users, items), (items, users)):
        pieces = [piece for _, piece in split(own, other, values, 2, 1, 1 << 20)]
        held.append(build(Entries.of(pieces), 0, 1, 2, 2))
    own = sum(len(side.keys) for side in held)
    assert memory_of(held, problem()) > 12 * held[0].counts.nnz * 2 + 4 * 8 * 2 * own - 1


def each_error(world, told, rows=lambda rank: slice(None), change=None, memory=None):
    """What each rank raises, all of them within the time that the test has."""
    from recsys.distributed import split

    users, items, values = entries()
    errors = [None] * world

    def work(rank, all_gather):
        at = rows(rank)
        pieces = ([], [])
        for side, (own, other) in enumerate(((users, items), (items, users))):
            for to, piece in split(own[at], other[at], values[at], 3, world, 1 << 20):
                if to == rank:
                    pieces[side].append(piece)
        gather = all_gather
        if change:

            def gather(text):
                return all_gather(change(rank, text))

        place = Place(rank, world, "127.0.0.1", gather, b"secret", num_threads=1, memory=memory)
        try:
            fit(place, pieces, (3, 3), told)
        except BaseException as error:
            errors[rank] = error

    thread = threading.Thread(target=in_threads, args=(world, work), daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "hangs"
    return errors


@pytest.mark.parametrize("kind", ["exact", "biases", "mean"])
def test_blocks_without_rows(kind):
    """More blocks than users and items, and more ranks than there are either."""
    users, items = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    values = np.float32([3, 1, -1, 4])
    told = problem(loss=True, **KINDS[kind] | {"factors": 2})
    one = fit_in_threads(users, items, values, (9, 9), 1, told)
    assert bits(fit_in_threads(users, items, values, (9, 9), 6, told)) == bits(one)
    assert one.report.losses[-1] == pytest.approx(alone(users, items, values, told)[2], rel=1e-5)
