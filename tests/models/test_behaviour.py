"""What is the same of every model: training, its parameters, and what it refuses."""

import contextlib
import copy
import json
from dataclasses import asdict

import every_model
import numpy as np
import pytest
from every_model import (
    DETERMINISTIC,
    EVERY,
    FACTORS,
    SIGNED,
    STEPPING,
    counts,
    fitted,
    in_parts,
    learned,
    make,
    more,
    trained,
)
from scipy import sparse

from recsys import BPR, NotFittedError, NumericalWarning, kernels
from recsys.models.alternating import SOLVERS

every = pytest.mark.parametrize("name", EVERY)
factors = pytest.mark.parametrize("name", FACTORS)


# ---- training --------------------------------------------------------------------------------


@every
def test_fit_gives_the_model(name, dtype):
    model = make(name, dtype=dtype)
    assert model.fit(counts(), show_progress=False) is model
    if name in FACTORS:
        assert model.user_factors.shape == (40, 5) and model.item_factors.shape == (30, 5)
        for array in (model.user_factors, model.item_factors, model.user_biases, model.item_biases):
            assert array is None or (array.dtype == dtype and np.isfinite(array).all())
    _, scores = model.recommend([0, 3])
    assert scores.dtype == dtype


@every
@pytest.mark.parametrize("shape", [(60, 20), (8, 50)])
def test_a_second_fit_starts_anew_whatever_the_size(name, shape):
    model = trained(name).fit(counts(*shape), show_progress=False)
    assert learned(model) == learned(fitted(name, counts(*shape)))
    assert model.recommend(np.arange(shape[0]), N=3)[0].shape == (shape[0], 3)


@factors
def test_a_warm_start_goes_on(name, dtype):
    whole = fitted(name, dtype=dtype, **more(name, 7), **in_parts(name))
    model = fitted(name, dtype=dtype, **in_parts(name))
    held = model.item_factors, model.item_factors.copy()
    model.set_params(**more(name, 4)).fit(counts(), warm_start=True, show_progress=False)
    assert learned(model) == learned(whole)
    assert [entry.iteration for entry in model.history] == list(range(1, 8))
    np.testing.assert_array_equal(*held)  # what the caller holds is not written to


@factors
def test_a_warm_start_needs_factors_of_the_same_size(name):
    model = trained(name)
    for matrix, options, message in (
        (counts(39, 30), {}, r"user_factors of shape \(40, 5\): expected \(39, 5\)"),
        (counts(40, 29), {}, r"item_factors of shape \(30, 5\): expected \(29, 5\)"),
        (counts(), {"factors": 6}, r"\(40, 5\): expected \(40, 6\), for 40 users .* factors=6"),
    ):
        with pytest.raises(ValueError, match=message):
            model.set_params(**options).fit(matrix, warm_start=True)
    assert learned(model) == learned(trained(name))
    fresh = make(name)
    fresh.user_factors = np.ones((40, 5))
    with pytest.raises(NotFittedError, match="no item_factors"):
        fresh.fit(counts(), warm_start=True)


@factors
def test_a_warm_start_from_given_factors(name):
    start = trained(name)
    model = make(name)
    model.user_factors, model.item_factors = start.user_factors, start.item_factors
    model.fit(counts(), warm_start=True, show_progress=False)
    assert len(model.history) == 3 and np.isfinite(model.item_factors).all()
    assert learned(model) != learned(fitted(name))


@factors
def test_no_iterations_leave_the_start(name):
    model = fitted(name, **more(name, 0))
    assert model.history == [] and model.user_factors.any()
    assert model.recommend(0)[0].shape == (10,)


@factors
def test_history(name):
    history = trained(name).history
    assert [entry.iteration for entry in history] == [1, 2, 3]
    for entry in history:
        assert entry.seconds > 0 and (entry.loss is None or np.isfinite(entry.loss))
        assert json.loads(json.dumps(asdict(entry))) == asdict(entry)


# ---- callbacks and interruptions ---------------------------------------------------------------


@factors
def test_the_callback_is_told_of_each_iteration(name):
    seen, lists = [], []
    model = make(name)

    def follow(*event):
        seen.append(event)
        lists.append(model.recommend([0, 3], N=4)[0])
        lists.append(model.similar_items(0, N=4)[0])

    model.fit(counts(), callback=follow, show_progress=False)
    assert seen == [(entry.iteration, entry.seconds, entry.loss) for entry in model.history]
    assert [event[0] for event in seen] == [1, 2, 3]
    np.testing.assert_array_equal(lists[-2], model.recommend([0, 3], N=4)[0])
    assert learned(model) == learned(trained(name))


@factors
def test_the_callback_stops_by_something_true(name):
    model = make(name).fit(counts(), callback=lambda iteration, *_: iteration == 2)
    assert learned(model) == learned(fitted(name, **more(name, 2)))
    with pytest.raises(TypeError, match=r"function of \(iteration, seconds, loss\); got 3"):
        model.fit(counts(), callback=3)


@factors
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_from_the_callback_leaves_what_is_finished(name, error):
    def fail(iteration, *_):
        if iteration == 2:
            raise error("mine")

    model = make(name)
    with pytest.raises(error, match="mine"):
        model.fit(counts(), callback=fail, show_progress=False)
    assert learned(model) == learned(fitted(name, **more(name, 2)))


STEPS = [
    (kernels, "lmf_half_sweep"),
    (kernels.RatingSGD, "epoch"),
    (kernels.PairwiseSGD, "epoch"),
    (kernels, "rotate"),
]


def interrupt_after(patch, number):
    """Ctrl-C when the native steps have been called so often; tells how often they were."""
    calls = [0]

    def counting(function):
        def called(*args, **kwargs):
            result = function(*args, **kwargs)
            calls[0] += 1
            if calls[0] == number:
                raise KeyboardInterrupt
            return result

        return called

    for owner, step in STEPS:
        patch.setattr(owner, step, counting(getattr(owner, step)))
    for solver, how in SOLVERS.items():
        patch.setitem(SOLVERS, solver, how._replace(half_sweep=counting(how.half_sweep)))
    return calls


@factors
@pytest.mark.parametrize("watched", [False, True])
def test_ctrl_c_leaves_the_last_finished_iteration(name, watched, monkeypatch):
    whole, watch = trained(name), {"callback": lambda *_: None} if watched else {}
    with monkeypatch.context() as patch:
        calls = interrupt_after(patch, 0)
        make(name).fit(counts(), show_progress=False, **watch)
    for number in range(1, calls[0] + 1):
        model = make(name)
        with monkeypatch.context() as patch:
            interrupt_after(patch, number)
            with pytest.raises(KeyboardInterrupt):
                model.fit(counts(), show_progress=False, **watch)
        finished = len(model.history)
        assert finished <= number
        if finished:
            assert learned(model) == learned(fitted(name, **more(name, finished)))
        else:
            assert not hasattr(model, "user_factors")
        model.set_params(**more(name, 3 - finished))
        model.fit(counts(), warm_start=True, show_progress=False)
        assert len(model.history) == 3
        if not getattr(model, "acceleration", False):
            assert learned(model) == learned(whole)


@factors
@pytest.mark.parametrize("warm_start", [True, False])
def test_ctrl_c_before_anything_is_finished_changes_nothing(name, warm_start, monkeypatch):
    model = trained(name)
    matrix = counts() if warm_start else counts(50, 20)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            model.fit(matrix, warm_start=warm_start, show_progress=False)
    assert learned(model) == learned(trained(name))
    np.testing.assert_array_equal(model.recommend([5, 39]), trained(name).recommend([5, 39]))


@pytest.mark.parametrize("name", STEPPING)
def test_divergence_is_an_error_that_keeps_the_last_good_state(name):
    message = r"training diverged in (epoch|iteration) 1: .*Lower learning_rate, which is 1e\+06"
    model = make(name, learning_rate=1e6)
    with pytest.raises(FloatingPointError, match=message):
        model.fit(counts(), show_progress=False)
    with pytest.raises(NotFittedError, match="call fit"):
        model.recommend(0)
    model = trained(name).set_params(learning_rate=1e6)
    with pytest.raises(FloatingPointError, match=message.replace(" 1:", " 4:")):
        model.fit(counts(), warm_start=True, show_progress=False)
    assert learned(model) == learned(trained(name))
    np.testing.assert_array_equal(model.recommend([0, 3]), trained(name).recommend([0, 3]))


# ---- the same bits -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_any_number_of_threads_gives_the_same_bits(name, dtype):
    matrix = counts(150, 120)
    one = learned(fitted(name, matrix, dtype=dtype, num_threads=1))
    for threads in (2, 3, 7):
        assert learned(fitted(name, matrix, dtype=dtype, num_threads=threads)) == one


@factors
def test_random_state(name):
    def train(random_state):
        return learned(fitted(name, random_state=random_state))

    assert train(5) == train(5) == train(np.int64(5)) == train(np.random.default_rng(5))
    assert train(5) != train(6) and train(None) != train(None)
    assert train(np.random.RandomState(5)) == train(np.random.RandomState(5)) != train(5)
    generator = np.random.default_rng(5)
    assert train(generator) != train(generator)  # it has been drawn from


# ---- parameters --------------------------------------------------------------------------------


@every
def test_parameters_go_out_and_in(name):
    model = make(name)
    twin = type(model)().set_params(**model.get_params())
    assert twin.get_params() == model.get_params() and repr(twin) == repr(model)
    assert eval(repr(model), {type(model).__name__: type(model)}).get_params() == model.get_params()
    assert repr(type(model)()) == f"{type(model).__name__}()"
    with pytest.raises(ValueError, match=r"has no parameter 'num_thread'; did you mean 'num_thre"):
        twin.set_params(dtype=np.float64, num_thread=3)
    assert twin.dtype is np.float32
    with pytest.raises(TypeError, match="has no parameter 'num_thread'"):
        type(model)(num_thread=3)


@every
def test_scikit_learn_clones(name):
    clone = pytest.importorskip("sklearn.base", reason="needs scikit-learn").clone
    model = trained(name)
    twin = clone(model)
    assert type(twin) is type(model) and twin.get_params() == model.get_params()
    with pytest.raises(NotFittedError, match="call fit"):
        twin.recommend(0)


@every
@pytest.mark.parametrize(
    ("parameter", "value", "error", "message"),
    [
        ("num_threads", -1, ValueError, "num_threads must be at least 0; got -1"),
        ("num_threads", 1.5, TypeError, "num_threads must be an integer of at least 0; got 1.5"),
        ("dtype", np.float16, ValueError, "dtype must be np.float32 or np.float64; got <class"),
        ("dtype", "int32", ValueError, "dtype must be np.float32 or np.float64; got 'int32'"),
    ],
)
def test_bad_parameters_of_every_model(name, parameter, value, error, message):
    assert_refused(name, counts(), error, message, **{parameter: value})


@factors
@pytest.mark.parametrize(
    ("parameter", "value", "error", "message"),
    [
        ("factors", 0, ValueError, "factors must be at least 1; got 0"),
        ("factors", 8.0, TypeError, r"factors must be an integer .*; got 8.0 \(float\)"),
        ("factors", True, TypeError, "factors must be an integer of at least 1; got True"),
        ("regularization", -0.1, ValueError, "regularization must be .* of at least 0; got -0.1"),
        ("regularization", np.nan, ValueError, "regularization must be a finite number"),
        ("regularization", "1", TypeError, "regularization must be a finite number"),
        ("init_scale", 0, ValueError, "init_scale must be .* greater than 0; got 0"),
        ("random_state", "seed", TypeError, "random_state must be None, an integer, a numpy.ran"),
        ("random_state", 1.5, TypeError, "random_state must be None, an integer, a numpy.ran"),
        ("random_state", -1, ValueError, "random_state must be at least 0; got -1"),
    ],
)
def test_bad_parameters_of_factor_models(name, parameter, value, error, message):
    assert_refused(name, counts(), error, message, **{parameter: value})


@factors
def test_bad_numbers_of_iterations(name):
    [parameter] = more(name, 0)
    message = f"{parameter} must be at least 0; got -1"
    assert_refused(name, counts(), ValueError, message, **{parameter: -1})
    message = f"{parameter} must be an integer of at least 0; got 2.5"
    assert_refused(name, counts(), TypeError, message, **{parameter: 2.5})


@factors
def test_factors_that_do_not_fit_into_memory(name):
    message = (
        r"with 1,000,000,000,000 factors takes \S+ GB, for those of 40 users and 30 items twice.*"
        r"; there are .* GB. Lower factors"
    )
    assert_refused(name, counts(), MemoryError, message, factors=10**12)


# ---- matrices ----------------------------------------------------------------------------------


def assert_refused(name, matrix, error, message, **options):
    """By a new model and by a trained one, and neither is changed."""
    new, old = make(name, **options), trained(name).set_params(**options)
    for model in (new, old):
        with pytest.raises(error, match=message):
            model.fit(matrix, show_progress=False)
    assert new.history == []
    with pytest.raises(NotFittedError, match="call fit"):
        new.recommend(0)
    assert learned(old) == learned(trained(name))


def spoiled(value):
    matrix = counts()
    matrix.data[5] = value
    return matrix


def out_of_range():
    matrix = counts()
    matrix.indices[5] = 30
    return matrix


BAD = {
    "a list": ([[1.0, 0.0]], TypeError, "must be a SciPy sparse matrix; got list"),
    "1-D": (np.ones(4), TypeError, "must be a SciPy sparse matrix; got a dense 1-D array"),
    "dense": (np.ones((3, 4)), TypeError, r"got a dense 2-D array .*csr_matrix\(user_items\)"),
    "sparse 1-D": (sparse.coo_array(np.ones(4)), ValueError, "user_items must be 2-D"),
    "no users": (sparse.csr_array((0, 4)), ValueError, "user_items is empty"),
    "no items": (sparse.csr_array((4, 0)), ValueError, "user_items is empty"),
    "nothing stored": (sparse.csr_array((4, 5)), ValueError, "user_items has no"),
    "complex": (counts() * 1j, TypeError, "complex128"),
    "NaN": (spoiled(np.nan), ValueError, "user_items holds nan at row 0, column"),
    "infinite": (spoiled(-np.inf), ValueError, "user_items holds -inf at row 0, column"),
    "too large": (spoiled(1e300), ValueError, r"user_items holds 1e\+300 .* does not fit float32"),
    "out of range": (out_of_range(), ValueError, r"indices\[5\] is 30; expected 0 to 29"),
}


@every
@pytest.mark.parametrize("case", BAD)
def test_bad_matrices(name, case):
    assert_refused(name, *BAD[case])


@every
def test_any_form_of_a_matrix_gives_the_same_bits(name):
    matrix = counts()
    shuffled = matrix.tocoo()
    order = np.random.default_rng(0).permutation(matrix.nnz)
    parts = shuffled.data[order], (shuffled.row[order], shuffled.col[order])
    halves = np.repeat(matrix.data, 2)  # every entry as two: 1 and the rest
    halves[::2], halves[1::2] = 1, halves[1::2] - 1
    doubled = (halves, np.repeat(matrix.indices, 2), matrix.indptr * 2)
    wide = matrix.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    for form in (
        sparse.csr_matrix(matrix),
        *(matrix.astype(kind) for kind in (np.float32, np.int32, np.uint8)),
        wide,
        sparse.csr_array(doubled, matrix.shape),
        sparse.coo_array(parts, matrix.shape),
        *(matrix.asformat(fmt) for fmt in ("csc", "lil")),
    ):
        assert learned(fitted(name, form)) == learned(trained(name)), form.format


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("least", [0, -2])
def test_zeros_and_dislikes_are_entries(name, least):
    """They are trained on, or not, as a model says, but the items are not recommended."""
    matrix = counts(least=least)
    model = fitted(name, matrix)
    ids, _ = model.recommend(np.arange(40), N=30)
    for user, listed in enumerate(ids):
        own = matrix.indices[matrix.indptr[user] : matrix.indptr[user + 1]]
        assert not set(listed) & set(own)


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("kind", ["float32", "float64", "int32", "int64 indices", "unsorted"])
def test_the_callers_matrix_is_not_changed(name, kind):
    matrix = counts(least=-2).astype(np.float32 if " " in kind or kind == "unsorted" else kind)
    if kind == "int64 indices":
        matrix.indices, matrix.indptr = matrix.indices.astype("i8"), matrix.indptr.astype("i8")
    if kind == "unsorted":
        end = matrix.indptr[1]
        for array in (matrix.indices, matrix.data):
            array[:end] = array[:end][::-1].copy()
        matrix.has_sorted_indices = False
    arrays = matrix.data, matrix.indices, matrix.indptr
    for array in arrays:
        array.flags.writeable = False
    before = copy.deepcopy(arrays)
    model = fitted(name, matrix)
    model.recommend(np.arange(40), matrix, N=3)
    np.testing.assert_array_equal(matrix.data, before[0])
    np.testing.assert_array_equal(matrix.indices, before[1])
    assert matrix.has_sorted_indices == (kind != "unsorted")
    # nor does the model change with the matrix
    lists = model.recommend([0, 1])
    for array in arrays:
        array.flags.writeable = True
    matrix.data[:], matrix.indices[:] = 1, 0
    np.testing.assert_array_equal(model.recommend([0, 1]), lists)


def doubting(name):
    """Pairwise models find no pairs where all is liked, and say so."""
    if every_model.MODELS[name][0] is BPR:
        return pytest.warns(NumericalWarning, match="nearly everything is liked")
    return contextlib.nullcontext()


@every
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2), (9, 7)])
def test_everything_liked(name, shape, dtype):
    with doubting(name):
        model = fitted(name, sparse.csr_array(np.ones(shape)), dtype=dtype)
    users = np.arange(shape[0])
    ids, scores = model.recommend(users)
    assert (ids == -1).all() and (scores == -np.inf).all()
    assert np.isfinite(model.score(users[:, np.newaxis], np.arange(shape[1]))).all()
    ids, scores = model.recommend(users, filter_seen=False)
    kept = ids >= 0
    assert np.isfinite(scores[kept]).all() and (kept.sum(axis=1) <= shape[1]).all()


@every
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2)])
def test_one_entry(name, shape):
    alone = shape[1] == 1 or name == "BPR popular"  # the one item anybody likes
    with doubting(name) if alone else contextlib.nullcontext():
        model = fitted(name, sparse.csr_array(([2.0], ([0], [0])), shape))
    assert np.isfinite(model.score(np.arange(shape[0])[:, np.newaxis], np.arange(shape[1]))).all()
    assert 0 not in model.recommend(0)[0]
