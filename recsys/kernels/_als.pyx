# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""Thin parallel loops over row spans of the C kernels.

Callers (als.py, config.py) have checked shapes, ranges and finiteness; the memoryviews recheck
dtype, dimensions and order only. Nothing here depends on the number of threads but the speed.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint8_t, uintptr_t
from libc.string cimport memset

from recsys.kernels cimport _native as native

import numpy as np

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define RECSYS_OPENMP _OPENMP
    #define recsys_max_threads omp_get_max_threads
    #else
    #define RECSYS_OPENMP 0
    static int recsys_max_threads(void) { return 1; }
    #endif
    """
    int RECSYS_OPENMP
    int recsys_max_threads() nogil

OPENMP = RECSYS_OPENMP
COMPILER = native.recsys_compiler().decode()
ISA_NAMES = tuple(native.recsys_isa_name(i).decode() for i in range(native.RECSYS_ISA_COUNT))
AVAILABLE_ISAS = tuple(
    name for i, name in enumerate(ISA_NAMES) if native.recsys_isa_available(i)
)

CACHE_LINE = native.RECSYS_LINE  # bytes
MOST_LANES = native.RECSYS_MOST_LANES  # rows a batch solves at once at most
BATCH_MOST = native.RECSYS_BATCH_MOST  # entries of the longest row that can be in a batch
SPAN_CYCLES = native.RECSYS_SPAN_CYCLES  # that a row span should take about
_ROW_PATHS = {
    native.RECSYS_ROW_EMPTY: "empty", native.RECSYS_ROW_BATCH: "batch",
    native.RECSYS_ROW_WIDE: "wide", native.RECSYS_ROW_PRIMAL: "primal",
    native.RECSYS_ROW_LONG: "long primal", native.RECSYS_ROW_CG: "cg",
}

# A Gramian is summed over this many groups of rows, each in a fixed order: enough for the threads
# of any one machine, few enough to hold a double matrix each.
DEF GRAM_GROUPS = 16
DEF ROTATE_SPAN = 4096
DEF LOSS_SPAN = 1024
DEF SUMMED_SPAN = 8


def max_threads():
    """What OpenMP would start now: OMP_NUM_THREADS and threadpoolctl limits are in it."""
    return recsys_max_threads()


cdef const native.recsys_table *get_table(str isa, int double_precision) except NULL:
    if isa not in AVAILABLE_ISAS:
        raise ValueError(f"instruction set {isa!r} is not among those available: {AVAILABLE_ISAS}")
    return native.recsys_get_table(ISA_NAMES.index(isa), double_precision)


def row_path(int64_t n, int64_t factors, int64_t cg_steps, *, bint below, int itemsize):
    """How a row of n entries is solved; `below`: some have less confidence than w0."""
    table = native.recsys_get_table(native.RECSYS_BASELINE, itemsize == sizeof(double))
    return _ROW_PATHS[table.row_path(n, factors, cg_steps, below)]


cdef class Scratch:
    """One block a thread, which begins at a cache line."""

    def __cinit__(self, int64_t bytes_each, int num_threads, bint zeros=False):
        cdef int64_t line = native.RECSYS_LINE
        # whole pages apart, so that no two threads ever write to one cache line
        self.stride = (bytes_each + 4095) // 4096 * 4096
        allocate = np.zeros if zeros else np.empty
        self.memory = allocate(self.stride * num_threads + line, dtype=np.uint8)
        cdef uint8_t[::1] view = self.memory
        self.base = <char *>(((<uintptr_t>&view[0]) + line - 1) // line * line)


cdef void set_entries(native.recsys_als *problem, const int64_t[::1] indptr,
                      const int32_t[::1] indices, const real[::1] confidence, bint ratings,
                      const real[:, ::1] fixed, const real[:] offsets) noexcept:
    """What all rows are given; everything else is 0."""
    memset(problem, 0, sizeof(native.recsys_als))
    problem.indptr = &indptr[0]
    problem.indices = &indices[0] if indices.shape[0] else NULL
    problem.confidence = &confidence[0] if confidence.shape[0] else NULL
    problem.ratings = ratings
    problem.fixed = &fixed[0, 0]
    problem.stride = fixed.shape[1]
    if offsets is not None:
        problem.offsets = &offsets[0]
        problem.offsets_step = offsets.strides[0] // <int64_t>sizeof(real)


cdef void set_common(native.recsys_als *problem, const real[:, ::1] common) noexcept:
    """One row's right-hand side for all rows, or one for each."""
    if common is not None:
        problem.common = &common[0, 0]
        problem.common_stride = common.shape[1] if common.shape[0] > 1 else 0


cdef void set_system(native.recsys_als *problem, real[:, ::1] solved,
                     const double[::1] eigenvalues, const double[::1] regularization,
                     double unobserved_weight, double floor, uint8_t[::1] failed,
                     const real[:, ::1] common) noexcept:
    """What rows are solved with in the eigenbasis, and where solutions go."""
    set_common(problem, common)
    problem.solved = &solved[0, 0]
    problem.factors = solved.shape[1]
    problem.eigenvalues = &eigenvalues[0]
    problem.regularization = &regularization[0]
    problem.unobserved_weight = unobserved_weight
    problem.floor = floor
    problem.failed = &failed[0]


def als_rows(const int64_t[::1] indptr, const int32_t[::1] indices, const real[::1] confidence,
             const int32_t[::1] order, const int64_t[::1] spans, const real[:, ::1] fixed,
             real[:, ::1] solved, const double[::1] eigenvalues,
             const double[::1] regularization, double unobserved_weight, double floor,
             double tolerance, int64_t cg_steps, uint8_t[::1] failed, double[::1] row_loss,
             const real[:] offsets=None, const real[:, ::1] common=None, bint ratings=False, *,
             str isa, int num_threads):
    """Solve the rows order[spans[0]:spans[-1]] of one half-sweep; see reference.als.als_rows."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_als problem
    set_entries(&problem, indptr, indices, confidence, ratings, fixed, offsets)
    set_system(&problem, solved, eigenvalues, regularization, unobserved_weight, floor, failed,
               common)
    problem.order = &order[0]
    problem.tolerance = tolerance
    problem.cg_steps = cg_steps
    problem.row_loss = &row_loss[0] if row_loss is not None else NULL
    cdef Py_ssize_t span, count = spans.shape[0] - 1
    num_threads = min(num_threads, max(count, 1))
    cdef int64_t at, longest = 0
    for at in range(spans[0], spans[count]):
        longest = max(longest, indptr[order[at] + 1] - indptr[order[at]])
    cdef int64_t bytes_each = table.scratch_bytes(problem.factors, cg_steps, longest)
    cdef Scratch scratch = Scratch(bytes_each, num_threads)
    for span in prange(count, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=num_threads):
        table.als_rows(&problem, spans[span], spans[span + 1],
                       scratch.base + threadid() * scratch.stride)


def als_nonnegative_rows(
        const int64_t[::1] indptr, const int32_t[::1] indices, const real[::1] confidence,
        const int32_t[::1] order, const int64_t[::1] spans, const real[:, ::1] fixed,
        real[:, ::1] solved, const double[:, ::1] gram, const double[::1] regularization,
        double unobserved_weight, double tolerance, int64_t sweeps, uint8_t[::1] failed,
        double[::1] row_loss, const real[:] offsets=None, const real[:, ::1] common=None,
        bint ratings=False, int64_t unbounded=0, *, str isa, int num_threads):
    """Solve the rows order[spans[0]:spans[-1]] by factors that are not negative; see
    reference.nonnegative.als_nonnegative_rows."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_als problem
    set_entries(&problem, indptr, indices, confidence, ratings, fixed, offsets)
    set_common(&problem, common)
    problem.order = &order[0]
    problem.solved = &solved[0, 0]
    problem.factors = solved.shape[1]
    problem.gram = &gram[0, 0]
    problem.regularization = &regularization[0]
    problem.unobserved_weight = unobserved_weight
    problem.tolerance = tolerance
    problem.sweeps = sweeps
    problem.unbounded = unbounded
    problem.failed = &failed[0]
    problem.row_loss = &row_loss[0] if row_loss is not None else NULL
    cdef Py_ssize_t span, count = spans.shape[0] - 1
    num_threads = min(num_threads, max(count, 1))
    cdef Scratch scratch = Scratch(table.scratch_bytes(problem.factors, 0, 0), num_threads)
    for span in prange(count, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=num_threads):
        table.als_nonnegative_rows(&problem, spans[span], spans[span + 1],
                                   scratch.base + threadid() * scratch.stride)


def als_equations(const int64_t[::1] indptr, const int32_t[::1] indices,
                  const real[::1] confidence, const int32_t[::1] order, const real[:, ::1] fixed,
                  double[:, ::1] equations, int64_t factors, double unobserved_weight,
                  const real[:] offsets=None, bint ratings=False, *, str isa, int num_threads):
    """What the entries of each row add to its equations; see reference.als.als_equations."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_als problem
    set_entries(&problem, indptr, indices, confidence, ratings, fixed, offsets)
    problem.order = &order[0]
    problem.factors = factors
    problem.unobserved_weight = unobserved_weight
    problem.equations = &equations[0, 0]
    cdef int64_t row, rows = order.shape[0]
    num_threads = min(num_threads, rows)
    cdef Scratch scratch = Scratch(table.scratch_bytes(factors, 0, 0), num_threads)
    for row in prange(rows, nogil=True, schedule="dynamic", chunksize=1, num_threads=num_threads):
        table.als_equations(&problem, row, row + 1, scratch.base + threadid() * scratch.stride)


def als_summed_rows(double[:, ::1] equations, real[:, ::1] solved, const double[::1] eigenvalues,
                    const double[::1] regularization, double unobserved_weight, double floor,
                    uint8_t[::1] failed, const real[:, ::1] common=None, *, str isa,
                    int num_threads):
    """Solve rows from sums of `als_equations`; see reference.als.als_summed_rows."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_als problem
    memset(&problem, 0, sizeof(problem))
    set_system(&problem, solved, eigenvalues, regularization, unobserved_weight, floor, failed,
               common)
    problem.equations = &equations[0, 0]
    cdef int64_t span, rows = solved.shape[0], spans = (rows + SUMMED_SPAN - 1) // SUMMED_SPAN
    num_threads = min(num_threads, spans)
    cdef Scratch scratch = Scratch(table.scratch_bytes(problem.factors, 0, 0), num_threads)
    for span in prange(spans, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=num_threads):
        table.als_summed_rows(&problem, span * SUMMED_SPAN, min(rows, (span + 1) * SUMMED_SPAN),
                              scratch.base + threadid() * scratch.stride)


def als_loss(const int64_t[::1] indptr, const int32_t[::1] indices, const real[::1] confidence,
             const real[:, ::1] fixed, const real[:, ::1] solved, double unobserved_weight,
             double[::1] row_loss, bint ratings=False, const real[:] offsets=None,
             const real[::1] biases=None, *, str isa, int num_threads):
    """Each row's stored part of the objective; see reference.als.als_loss."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_als problem
    set_entries(&problem, indptr, indices, confidence, ratings, fixed, offsets)
    problem.biases = &biases[0] if biases is not None else NULL
    problem.solved = <void *>&solved[0, 0]
    problem.factors = solved.shape[1]
    problem.unobserved_weight = unobserved_weight
    problem.row_loss = &row_loss[0]
    cdef int64_t span, rows = solved.shape[0], spans = (rows + LOSS_SPAN - 1) // LOSS_SPAN
    num_threads = min(num_threads, spans)
    for span in prange(spans, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=num_threads):
        table.als_loss(&problem, span * LOSS_SPAN, min(rows, (span + 1) * LOSS_SPAN), NULL)


cdef int64_t gram_group_rows(int64_t rows) noexcept:
    """So many rows a group, whole chunks: a function of the shape alone."""
    cdef int64_t each = (rows + GRAM_GROUPS - 1) // GRAM_GROUPS
    cdef int64_t chunks = (each + native.RECSYS_GRAM_CHUNK - 1) // native.RECSYS_GRAM_CHUNK
    return max(chunks, 1) * native.RECSYS_GRAM_CHUNK


def gramian_groups(int64_t rows):
    """How many groups a Gramian of so many rows is summed over, a matrix of doubles each."""
    cdef int64_t each = gram_group_rows(rows)
    return (rows + each - 1) // each


def gramian(const real[:, ::1] x, *, str isa, int num_threads):
    """x'x in float64, the same bits for any number of threads; see reference.als.gramian."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef int64_t rows = x.shape[0], f = x.shape[1], each = gram_group_rows(rows), group
    cdef int64_t groups = (rows + each - 1) // each
    parts = np.zeros((groups, f, f))
    cdef double[:, :, ::1] sums = parts
    num_threads = min(num_threads, groups)
    cdef Scratch scratch = Scratch(table.scratch_bytes(f, 0, 0), num_threads)
    for group in prange(groups, nogil=True, schedule="dynamic", chunksize=1,
                        num_threads=num_threads):
        table.gramian_rows(&x[0, 0], f, group * each, min(rows, (group + 1) * each),
                           &sums[group, 0, 0], scratch.base + threadid() * scratch.stride)
    upper = np.triu(parts.sum(axis=0))
    return upper + np.triu(upper, 1).T


def column_sums(const real[:, ::1] x, const real[:] weights, *, str isa, int num_threads):
    """weights' x in float64, as `gramian`; see reference.als.column_sums."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef int64_t rows = x.shape[0], f = x.shape[1], each = gram_group_rows(rows), group
    cdef int64_t groups = (rows + each - 1) // each
    cdef int64_t step = weights.strides[0] // <int64_t>sizeof(real)
    parts = np.zeros((groups, f))
    cdef double[:, ::1] sums = parts
    num_threads = min(num_threads, groups)
    for group in prange(groups, nogil=True, schedule="dynamic", chunksize=1,
                        num_threads=num_threads):
        table.column_sums_rows(&x[0, 0], &weights[0], step, f, group * each,
                               min(rows, (group + 1) * each), &sums[group, 0])
    return parts.sum(axis=0)


def weighted_squares(const real[:, ::1] x, const double[::1] weights, *, str isa,
                     int num_threads):
    """sum_u weights_u |x_u|^2 in float64, as `gramian`; see reference.als.weighted_squares."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef int64_t rows = x.shape[0], f = x.shape[1], each = gram_group_rows(rows), group
    cdef int64_t groups = (rows + each - 1) // each
    parts = np.zeros(groups)
    cdef double[::1] sums = parts
    num_threads = min(num_threads, groups)
    for group in prange(groups, nogil=True, schedule="dynamic", chunksize=1,
                        num_threads=num_threads):
        table.weighted_squares_rows(&x[0, 0], &weights[0], f, group * each,
                                    min(rows, (group + 1) * each), &sums[group])
    return float(parts.sum())


def rotate(const real[:, ::1] x, const real[:, ::1] basis, real[:, ::1] out,
           const int32_t[::1] place=None, *, const real[:] last=None, real[::1] out_last=None,
           str isa, int num_threads):
    """out[place] = [x, last] @ basis, its last column in out_last; out may be x. See
    reference.als.rotate."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_rotation p
    memset(&p, 0, sizeof(p))
    p.x = &x[0, 0]
    if last is not None:
        p.x_last = &last[0]
        p.x_last_step = last.strides[0] // <int64_t>sizeof(real)
    p.basis = &basis[0, 0]
    p.out = &out[0, 0]
    p.out_stride = out.shape[1]
    p.out_last = &out_last[0] if out_last is not None else NULL
    p.place = &place[0] if place is not None else NULL
    p.factors = basis.shape[0]
    cdef int64_t rows = x.shape[0], spans = (rows + ROTATE_SPAN - 1) // ROTATE_SPAN, span
    num_threads = min(num_threads, max(spans, 1))
    cdef Scratch scratch = Scratch(table.scratch_bytes(p.factors, 0, 0), num_threads)
    for span in prange(spans, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=num_threads):
        table.rotate_rows(&p, span * ROTATE_SPAN, min(rows, (span + 1) * ROTATE_SPAN),
                          scratch.base + threadid() * scratch.stride)
