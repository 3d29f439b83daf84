"""How many threads are used, and that a forked child finishes."""

import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_info, threadpool_limits

import recsys
from recsys.kernels import _als, resolve_num_threads, threads

needs_openmp = pytest.mark.skipif(not _als.OPENMP, reason="this is a serial build")


@needs_openmp
def test_zero_is_what_is_available():
    assert 1 <= resolve_num_threads(0) <= threads._affinity()
    assert resolve_num_threads(5) == 5


@pytest.mark.parametrize("wrong", [-1, True])
def test_wrong_value(wrong):
    with pytest.raises(ValueError, match="num_threads must be 0"):
        resolve_num_threads(wrong)


@pytest.mark.parametrize("wrong", [1.5, "2", None])
def test_wrong_type(wrong):
    with pytest.raises(TypeError, match="num_threads must be an integer"):
        resolve_num_threads(wrong)


@needs_openmp
def test_threadpoolctl_limits_are_honoured():
    with threadpool_limits(1, user_api="openmp"):
        assert resolve_num_threads(0) == 1


def _threads_of_a_process(before="", **environment):
    code = before + "from recsys.kernels import resolve_num_threads as r; print(r(0))"
    run, env = [sys.executable, "-c", code], {**os.environ, **environment}
    return int(subprocess.run(run, env=env, capture_output=True, text=True, check=True).stdout)


@needs_openmp
def test_environment_is_honoured():
    assert _threads_of_a_process(OMP_NUM_THREADS="1") == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity_is_honoured():
    pin = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    assert _threads_of_a_process(pin) == 1


@pytest.mark.parametrize(
    "files, cpus",
    [
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 1 << 20),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 1 << 20),
        ({}, 1 << 20),
    ],
)
def test_control_group_limits(tmp_path, files, cpus):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert threads._cgroup_cpus(str(tmp_path)) == cpus


def _fit(_=None):
    rng = np.random.default_rng(0)
    plays = sp.csr_array((rng.random((300, 200)) < 0.2).astype(np.float32))
    model = recsys.ImplicitALS(16, iterations=2, random_state=0, num_threads=2)
    return model.fit(plays, show_progress=False).user_factors


@pytest.mark.skipif(sys.platform != "linux", reason="forking alone is safe on Linux only")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fit_in_a_forked_child_finishes_with_the_same_bits():
    here = _fit()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        there = pool.map_async(_fit, [None]).get(timeout=60)[0]
    assert np.array_equal(here, there)


def test_absurd_numbers_are_refused():
    for number in (4097, 2**31, 2**70):
        with pytest.raises(ValueError, match="num_threads must be at most 4096"):
            resolve_num_threads(number)


def _blas_threads():
    # NumPy's: other tests may have brought a BLAS of another package
    own = [each for each in threadpool_info() if each["user_api"] == "blas"]
    return [each["num_threads"] for each in own if "numpy" in each["filepath"]]


def test_threads_that_limit_blas_together_leave_it_as_it_was():
    with threadpool_limits(2, user_api="blas"):
        before = _blas_threads()
        first, second = threads.single_threaded_blas(), threads.single_threaded_blas()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert set(_blas_threads()) == {1}
        second.__exit__(None, None, None)
        assert _blas_threads() == before and 2 in before


@pytest.mark.parametrize("count", [1, 2, 7])
def test_in_threads_keeps_order_errors_and_what_numpy_is_to_say_of_overflow(count):
    assert threads.in_threads(lambda k: k * k, range(20), count) == [k * k for k in range(20)]
    assert threads.in_threads(len, [], count) == []

    def fails(k):
        if k > 4:
            raise ValueError(f"piece {k}")

    with pytest.raises(ValueError, match="piece 5"):
        threads.in_threads(fails, range(20), count)
    large = [np.full(3, 1e300)] * 8
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        threads.in_threads(lambda x: x * x, large, count)
    with np.errstate(over="ignore"):
        threads.in_threads(lambda x: x * x, large, count)
