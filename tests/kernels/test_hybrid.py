"""Steps for users and items that are sums of features, against their NumPy twin."""

import numpy as np
import pytest
from scipy import sparse
from twins import assert_like_twin

from recsys.kernels import _hybrid
from recsys.kernels.reference import hybrid as reference
from recsys.kernels.rows import whole_lines

STATE = "values", "squares", "momentum"
WRITTEN = (*(f"{side}_{name}" for side in ("user", "item") for name in STATE), "scales")
USERS, ITEMS, SAMPLES = 12, 30, 90


def features(random, rows, columns, dtype):
    """Some rows have no feature at all."""
    matrix = sparse.random_array((rows, columns), density=0.2, rng=random, dtype=np.float64).tocsr()
    return (
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int32),
        matrix.data.astype(dtype),
    )


def side(random, name, rows, dtype, f, identity, adadelta):
    columns = rows if identity else 17
    arrays = (None, None, None) if identity else features(random, rows, columns, dtype)
    state = {}
    for what, least in (("values", -1.0), ("squares", 0.5), ("momentum", 0.1)):
        padded = whole_lines(columns, f + 1, np.dtype(dtype))
        padded[:, : f + 1] = random.uniform(least, 1.0, (columns, f + 1)) / (1 + (least < 0))
        padded[:, f + 1 :] = least > 0
        state[what] = padded
    if not adadelta:
        state["momentum"] = None
    named = dict(zip(("indptr", "indices", "weights"), arrays, strict=True)) | state
    return {f"{name}_{what}": value for what, value in named.items()}


def arguments(loss, dtype, f=10, identity=False, adadelta=False, screened=True, **options):
    random = np.random.default_rng(5)
    stored = sparse.random_array((USERS, ITEMS), density=0.25, rng=random).tocsr()
    entries = stored.tocoo()
    chosen = random.permutation(SAMPLES) % entries.nnz
    args = {
        **side(random, "user", USERS, dtype, f, identity, adadelta),
        **side(random, "item", ITEMS, dtype, f, identity, adadelta),
        "screen": None,
        "users": entries.coords[0][chosen].astype(np.int32),
        "items": entries.coords[1][chosen].astype(np.int32),
        "weights": None if loss == "warp-kos" else random.uniform(0, 2, SAMPLES).astype(dtype),
        "liked": (random.random(SAMPLES) < 0.5).astype(np.uint8),
        "stored_indptr": stored.indptr.astype(np.int64),
        "stored_indices": stored.indices.astype(np.int32),
        "pool": entries.coords[1].astype(np.int32),
        "rank_weights": np.log((ITEMS - 1) // np.arange(1.0, 8.0)) if "warp" in loss else None,
        "scales": np.ones(2),
    }
    if "warp" in loss and screened and not identity:
        values = args["item_values"]
        args["screen"] = whole_lines(ITEMS, f + 1, np.dtype(dtype))
        args["screen"][:, : f + 1] = 0.3 * random.standard_normal((ITEMS, f + 1))
        assert args["screen"].shape[1] == values.shape[1]
    numbers = {
        "factors": f, "loss": _hybrid.LOSSES[loss], "rate": 0.1, "key": 7, "begin": 3,
        "end": SAMPLES, "batch": 16, "k": 2, "n": 4 if loss == "warp-kos" else 0, "rho": 0.9,
        "epsilon": 1e-4, "user_alpha": 0.0, "item_alpha": 0.0, "hogwild": False,
    }  # fmt: skip
    return args | numbers | options


def kernel(**args):
    """The kernel, whose averages fade behind the bias as well: nobody looks there."""
    ended = _hybrid.hybrid_steps(**args)
    for name in WRITTEN[:-1]:
        if args[name] is not None:
            args[name][:, args["factors"] + 1 :] = "values" not in name
    return ended


def assert_equals_reference(args, isa, num_threads=1):
    assert_like_twin(
        kernel, reference.hybrid_steps, args, WRITTEN, isa=isa,
        num_threads=num_threads,
    )  # fmt: skip


@pytest.mark.parametrize("adadelta", [False, True], ids=["adagrad", "adadelta"])
@pytest.mark.parametrize("loss", _hybrid.LOSSES)
def test_losses_and_schedules(loss, adadelta, isa, dtype):
    assert_equals_reference(arguments(loss, dtype, adadelta=adadelta), isa)


OPTIONS = {
    "identity": {"identity": True},
    "not screened": {"screened": False},
    "regularized": {"user_alpha": 0.02, "item_alpha": 0.01, "adadelta": True},
    "regularized, each row a feature": {"user_alpha": 0.02, "item_alpha": 0.1, "identity": True},
    "scaled": {"scales": np.array([2.0, 3.0])},
    "one at a time": {"batch": 1},
    "all at once": {"batch": 200},
    **{f"{f} factors": {"f": f} for f in (1, 7, 15, 33, 64)},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("loss", ["logistic", "warp"])
def test_options(loss, options, isa, dtype):
    assert_equals_reference(arguments(loss, dtype, **options), isa)


def test_a_scale_that_grows_ends_the_steps(isa, dtype):
    args = arguments("bpr", dtype, scales=np.array([9e5, 1.0]), user_alpha=1.0, batch=8)
    how = {"isa": isa, "num_threads": 1}
    copies = {name: np.copy(args[name]) for name in WRITTEN if args[name] is not None}
    ended = _hybrid.hybrid_steps(**args | copies, **how)
    assert args["begin"] < ended < args["end"]
    copies = {name: np.copy(args[name]) for name in WRITTEN if args[name] is not None}
    assert reference.hybrid_steps(**args | copies) == ended
    assert copies["scales"][0] > 1e6


@pytest.mark.parametrize("loss", ["warp", "logistic"])
def test_the_same_bits_for_any_number_of_threads(loss, isa):
    args = arguments(loss, np.float32, user_alpha=0.01)
    results = []
    for num_threads in (1, 2, 3):
        copies = {name: np.copy(args[name]) for name in WRITTEN if args[name] is not None}
        _hybrid.hybrid_steps(**args | copies, isa=isa, num_threads=num_threads)
        results.append(copies)
    for name, first in results[0].items():
        assert all(np.array_equal(first, other[name]) for other in results[1:]), name


def test_hogwild_on_one_thread_is_the_same(isa, dtype):
    assert_equals_reference(arguments("warp", dtype, hogwild=True), isa)
