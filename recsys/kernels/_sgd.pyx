# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Thin parallel loops over the cells of a grid (grid.py), between which nothing is shared.

Callers have checked shapes, ids and finiteness; see reference/ for what is computed.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memset

from recsys.kernels cimport _native as native
from recsys.kernels._als cimport Scratch, get_table, real

WHOLE_SHARE = native.RECSYS_WHOLE_SHARE  # of a cell's group that holds all items


def bpr_cells(real[:, ::1] x, real[:, ::1] y, real[::1] b, const int32_t[::1] users,
              const int32_t[::1] items, const real[::1] weights,
              const native.recsys_cell[::1] cells, double[:, ::1] sums, *, int64_t factors,
              double rate, double reg_user, double reg_positive, double reg_negative,
              uint64_t key, int64_t negatives=1, int64_t candidates=1,
              const double[::1] rank_weights=None, double margin=1,
              const uint32_t[::1] alias_keep=None, const int32_t[::1] alias=None,
              const int32_t[:, ::1] ranking=None, const real[::1] spread=None,
              double adaptive_share=0, bint frozen=False, const real[:, ::1] x_mean=None,
              const real[:, ::1] y_mean=None, const real[::1] b_mean=None, str isa,
              int num_threads):
    """The steps of some cells, each of which is done in order; see reference/bpr.py."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_bpr problem
    memset(&problem, 0, sizeof(problem))
    problem.users = &users[0] if users.shape[0] else NULL
    problem.items = &items[0] if items.shape[0] else NULL
    problem.weights = &weights[0] if weights is not None and weights.shape[0] else NULL
    problem.x = &x[0, 0]
    problem.y = &y[0, 0]
    problem.b = &b[0] if b is not None else NULL
    problem.x_mean = &x_mean[0, 0] if x_mean is not None else NULL
    problem.y_mean = &y_mean[0, 0] if y_mean is not None else NULL
    problem.b_mean = &b_mean[0] if b_mean is not None else NULL
    problem.factors = factors
    problem.stride = x.shape[1]
    problem.n_items = y.shape[0]
    problem.negatives = negatives
    problem.rate = rate
    problem.reg_user = reg_user
    problem.reg_positive = reg_positive
    problem.reg_negative = reg_negative
    problem.key = key
    problem.frozen = frozen
    problem.candidates = candidates
    problem.warp = rank_weights is not None
    problem.margin = margin
    problem.rank_weights = &rank_weights[0] if rank_weights is not None else NULL
    problem.alias_keep = &alias_keep[0] if alias_keep is not None else NULL
    problem.alias = &alias[0] if alias is not None else NULL
    problem.ranking = &ranking[0, 0] if ranking is not None else NULL
    problem.spread = &spread[0] if spread is not None else NULL
    problem.adaptive_share = adaptive_share
    cdef Py_ssize_t cell, count = cells.shape[0]
    num_threads = max(min(num_threads, count), 1)
    cdef Scratch scratch = Scratch(table.scratch_bytes(factors, 0, 0), num_threads)
    for cell in prange(count, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=num_threads):
        table.bpr_cell(&problem, &cells[cell], &sums[cell, 0],
                       scratch.base + threadid() * scratch.stride)


def ratings_cells(real[:, ::1] x, real[:, ::1] y, real[::1] user_biases, real[::1] item_biases,
                  const int32_t[::1] users, const int32_t[::1] items, const real[::1] ratings,
                  const native.recsys_cell[::1] cells, double[::1] losses, *, double rate,
                  double regularization, str isa, int num_threads):
    """A step for each entry of some cells; see reference/ratings.py."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_ratings problem
    memset(&problem, 0, sizeof(problem))
    problem.users = &users[0] if users.shape[0] else NULL
    problem.items = &items[0] if items.shape[0] else NULL
    problem.ratings = &ratings[0] if ratings.shape[0] else NULL
    problem.x = &x[0, 0]
    problem.y = &y[0, 0]
    problem.user_biases = &user_biases[0] if user_biases is not None else NULL
    problem.item_biases = &item_biases[0] if item_biases is not None else NULL
    problem.stride = x.shape[1]
    problem.rate = rate
    problem.regularization = regularization
    cdef Py_ssize_t cell, count = cells.shape[0]
    num_threads = max(min(num_threads, count), 1)
    for cell in prange(count, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=num_threads):
        table.ratings_cell(&problem, &cells[cell], &losses[cell])
