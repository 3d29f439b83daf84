"""Sparse regressions against their NumPy twin, against scikit-learn, and whom they choose from."""

import importlib

import numpy as np
import pytest
from scipy import sparse
from twins import assert_like_twin

from recsys import csr, kernels
from recsys.kernels import _product, reference

WRITTEN = ("weights", "failed")
SLIM_MODULE = importlib.import_module("recsys.kernels.slim")  # not the function of that name


def items_users(items=41, users=60, density=0.15, dtype=np.float64, least=1):
    """Counts, items x users; item 3 has no entries."""
    matrix = sparse.random_array((users, items), density=density, rng=0, format="csr")
    matrix.data = np.ceil(3 * matrix.data) - 1 + least
    columns = matrix.toarray()
    columns[:, 3:4] = 0
    return kernels.transposed(csr.canonical(sparse.csr_array(columns), np.dtype(dtype)))


def arguments(dtype, most=9, sweeps=50, tolerance=1e-3, nonnegative=True, l1=1.0, l2=2.0, **of):
    items = items_users(dtype=dtype, **of)
    count, users = items.shape
    chosen = kernels.candidates(kernels.transposed(items), most)
    chosen[5, 4:], chosen[6] = -1, -1
    lengths = np.diff(items.indptr)
    own = np.where(chosen < 0, 0, lengths[chosen]).sum(axis=1) + lengths
    return {
        **{name: getattr(items, name) for name in ("indptr", "indices")},
        "values": items.data,
        "order": np.random.default_rng(1).permutation(count).astype(np.int32),
        "spans": np.unique([0, count // 3, count]),
        "candidates": chosen,
        "products": np.empty((0, 0)),
        "weights": np.zeros(chosen.shape, dtype),
        "failed": np.zeros(count, np.uint8),
        "users": users,
        "longest": int(own.max()),
        "l1": l1,
        "l2": l2,
        "nonnegative": nonnegative,
        "tolerance": tolerance,
        "sweeps": sweeps,
    }


@pytest.mark.parametrize("most", [1, 7, 8, 17, 60])
@pytest.mark.parametrize("nonnegative", [False, True])
def test_equals_reference(isa, dtype, most, nonnegative):
    args = arguments(dtype, most, nonnegative=nonnegative)
    assert_like_twin(_product.slim_rows, reference.slim_rows, args, WRITTEN, isa=isa, num_threads=2)


def test_products_that_are_there_are_read(isa, dtype):
    args = arguments(dtype, 17)
    matrix = items_users(dtype=dtype).astype(np.float64)
    args["products"] = (matrix @ matrix.T).toarray()
    assert_like_twin(_product.slim_rows, reference.slim_rows, args, WRITTEN, isa=isa, num_threads=2)


def test_a_dense_catalogue_has_them(monkeypatch):
    items = items_users(density=0.6)
    chosen = kernels.candidates(kernels.transposed(items), 30)
    options = {"l1": 0.5, "l2": 2.0, "nonnegative": False, "tolerance": 1e-9, "sweeps": 500}
    assert len(SLIM_MODULE.products_of(items, chosen))
    dense, _ = kernels.slim(items, chosen, **options)
    monkeypatch.setattr(SLIM_MODULE, "_PRODUCTS_BYTES", 0)
    assert not len(SLIM_MODULE.products_of(items, chosen))
    np.testing.assert_allclose(kernels.slim(items, chosen, **options)[0], dense, atol=1e-7)


def test_too_few_sweeps_are_told_of(isa, dtype):
    args = arguments(dtype, sweeps=1, tolerance=0.0, l1=0.0)
    assert_like_twin(_product.slim_rows, reference.slim_rows, args, WRITTEN, isa=isa, num_threads=1)
    assert np.flatnonzero(reference_failed(args)).size > 20


def reference_failed(args):
    own = {**args, "weights": args["weights"].copy(), "failed": args["failed"].copy()}
    reference.slim_rows(**own)
    return own["failed"]


def test_items_that_nobody_has(isa, dtype):
    args = arguments(dtype, 60, l2=0.0)
    own = {**args, "weights": args["weights"].copy(), "failed": args["failed"].copy()}
    _product.slim_rows(**own, isa=isa, num_threads=2)
    assert not own["weights"][3].any() and not own["weights"][args["candidates"] == 3].any()


def solved(items, k, **options):
    settings = {"l1": 0.5, "l2": 3.0, "nonnegative": True, "tolerance": 1e-9, "sweeps": 5000}
    chosen = kernels.candidates(kernels.transposed(items), k)
    weights, unsettled = kernels.slim(items, chosen, **{**settings, **options})
    assert unsettled == 0
    dense = np.zeros((len(chosen), len(chosen) + 1))
    np.put_along_axis(dense, np.where(chosen < 0, len(chosen), chosen), weights, axis=1)
    return dense[:, :-1]


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("l1, l2", [(0.5, 3.0), (4.0, 0.5)])
def test_elastic_nets_of_scikit_learn(nonnegative, l1, l2):
    ElasticNet = pytest.importorskip("sklearn.linear_model").ElasticNet
    items = items_users()
    x, n = items.toarray().T, items.shape[1]
    # which divides the squared error by the number of users
    net = ElasticNet(
        alpha=(l1 + l2) / n, l1_ratio=l1 / (l1 + l2), positive=nonnegative,
        fit_intercept=False, tol=1e-12, max_iter=100_000,
    )  # fmt: skip
    weights = solved(items, 1000, l1=l1, l2=l2, nonnegative=nonnegative)
    for item in (0, 17, 40):
        others = np.delete(np.arange(len(weights)), item)
        expected = net.fit(x[:, others], x[:, item]).coef_
        np.testing.assert_allclose(weights[item, others], expected, atol=1e-7)
        assert (expected == 0).any() and (expected > 0).any()


def test_the_closed_form():
    items = items_users()
    x = items.toarray().T
    p = np.linalg.inv(x.T @ x + 3 * np.eye(x.shape[1]))
    b = -p / np.diag(p)
    np.fill_diagonal(b, 0)
    weights = solved(items, 1000, l1=0.0, l2=3.0, nonnegative=False)
    np.testing.assert_allclose(weights, b.T, atol=1e-7)


def test_candidates():
    items = items_users()
    together = (items @ items.T).toarray()
    np.fill_diagonal(together, 0)
    chosen = kernels.candidates(kernels.transposed(items), 6)
    for item, row in enumerate(chosen):
        want = np.lexsort((np.arange(len(together)), together[item]))[::-1][:6]
        want = want[together[item, want] > 0]
        assert row.tolist() == [*want, *[-1] * (6 - len(want))]
    everybody = kernels.candidates(kernels.transposed(items), 40)
    assert all(sorted([item, *row]) == list(range(41)) for item, row in enumerate(everybody))
    few = kernels.transposed(items_users(items=4, density=0.5))
    assert kernels.candidates(few, 9).shape == (4, 3)


def test_same_bits_for_any_number_of_threads(dtype):
    items = items_users(300, 400, 0.05, dtype)
    chosen = kernels.candidates(kernels.transposed(items), 20)
    how = {"l1": 0.1, "l2": 1.0, "nonnegative": False, "tolerance": 1e-3, "sweeps": 50}
    expected = kernels.slim(items, chosen, **how, num_threads=1)[0]
    for threads in (2, 3, 7):
        got = kernels.slim(items, chosen, **how, num_threads=threads)[0]
        np.testing.assert_array_equal(got, expected)


def test_values_that_are_too_large():
    items = items_users()
    chosen = kernels.candidates(kernels.transposed(items), 5)
    items.data[:] = 1e200
    with pytest.raises(FloatingPointError, match=r"weights of item \d+ are not finite.*Scale"):
        kernels.slim(items, chosen, l1=0.0, l2=1.0, nonnegative=False, tolerance=1e-3, sweeps=9)
