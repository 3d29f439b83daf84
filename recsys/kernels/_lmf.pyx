# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""A thin parallel loop over rows of logistic matrix factorization; see reference/lmf.py.

The caller (lmf.py) has checked shapes, ranges and finiteness.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memset

from recsys.kernels cimport _native as native
from recsys.kernels._als cimport Scratch, get_table, real


def lmf_rows(const int64_t[::1] indptr, const int32_t[::1] indices, const real[::1] confidence,
             const int32_t[::1] order, const int64_t[::1] spans, const real[:, ::1] fixed,
             const real[::1] fixed_biases, real[:, ::1] solved, real[::1] biases,
             real[:, ::1] squares, real[::1] bias_squares, const uint64_t[::1] keys,
             double[::1] row_loss, *, int64_t negatives, double learning_rate,
             double regularization, const real[:, ::1] means, str isa, int num_threads):
    """A step for each of the rows order[spans[0]:spans[-1]]."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_lmf problem
    cdef int64_t span, count = spans.shape[0] - 1
    memset(&problem, 0, sizeof(problem))
    problem.indptr = &indptr[0]
    problem.indices = &indices[0] if indices.shape[0] else NULL
    problem.confidence = &confidence[0] if confidence.shape[0] else NULL
    problem.order = &order[0]
    problem.fixed = &fixed[0, 0]
    problem.fixed_biases = &fixed_biases[0]
    problem.solved = &solved[0, 0]
    problem.biases = &biases[0]
    problem.squares = &squares[0, 0]
    problem.bias_squares = &bias_squares[0]
    problem.means = &means[0, 0] if means is not None else NULL
    problem.keys = &keys[0]
    problem.columns = fixed.shape[0]
    problem.factors = solved.shape[1]
    problem.negatives = negatives
    problem.learning_rate = learning_rate
    problem.regularization = regularization
    problem.row_loss = &row_loss[0]
    num_threads = max(1, min(num_threads, count))
    cdef Scratch scratch = Scratch(table.scratch_bytes(problem.factors, 0, 0), num_threads)
    for span in prange(count, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=num_threads):
        table.lmf_rows(&problem, spans[span], spans[span + 1],
                       scratch.base + threadid() * scratch.stride)
