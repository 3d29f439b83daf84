# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""A thin parallel loop over spans of queries, and parts of the items, of the C kernel.

The caller (topk.py) has checked shapes and ids; see reference/topk.py for what it computes.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memset

from recsys.kernels cimport _native as native
from recsys.kernels._als cimport Scratch, get_table, real

QUERIES = native.RECSYS_TOPK_QUERIES  # of a task
RUN = native.RECSYS_TOPK_RUN  # items that are coded together
CODE_BLOCK = native.RECSYS_CODE_BLOCK  # of these, whose codes are interleaved
CODE_BOUNDS = native.RECSYS_CODE_BOUNDS  # what is known of a run's codes
NO_ID = native.RECSYS_NO_ID  # fills a list for which fewer than n items are left
VANISHED = native.RECSYS_VANISHED  # more than a norm whose squares are 0 in double


cdef inline native.recsys_lists lists(int32_t *ids, void *scores, uint8_t *failed) noexcept nogil:
    cdef native.recsys_lists made
    memset(&made, 0, sizeof(made))
    made.ids = ids
    made.scores = scores
    made.failed = failed
    return made


def topk(const real[:, ::1] queries, const real[:, ::1] items, const real[::1] item_scale,
         const int32_t[::1] order, const real[::1] norms,
         const uint8_t[:, :, :, :, ::1] codes, const double[:, ::1] code_bounds,
         const int64_t[::1] skip_indptr, const int32_t[::1] skip_indices,
         const uint8_t[::1] banned, int32_t[:, :, ::1] ids, real[:, :, ::1] scores,
         uint8_t[:, ::1] failed, *, str isa, int num_threads):
    """The best items of each query out of each of len(ids) parts of the items."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef int64_t count = queries.shape[0], parts = ids.shape[0]
    cdef int64_t most = native.RECSYS_TOPK_QUERIES
    cdef int64_t spans = (count + most - 1) // most, task, span, part
    cdef native.recsys_topk problem
    memset(&problem, 0, sizeof(problem))
    problem.queries = &queries[0, 0]
    problem.items = &items[0, 0]
    problem.item_scale = &item_scale[0] if item_scale is not None else NULL
    problem.order = &order[0] if order is not None else NULL
    problem.norms = &norms[0] if norms is not None else NULL
    if codes is not None:
        problem.codes = &codes[0, 0, 0, 0, 0]
        problem.code_bounds = &code_bounds[0, 0]
    problem.n_items = items.shape[0]
    problem.factors = items.shape[1]
    problem.n = ids.shape[2]
    problem.skip_indptr = &skip_indptr[0] if skip_indptr is not None else NULL
    if skip_indices is not None and skip_indices.shape[0]:
        problem.skip_indices = &skip_indices[0]
    problem.banned = &banned[0] if banned is not None else NULL
    num_threads = min(num_threads, spans * parts)
    cdef Scratch scratch = Scratch(table.scratch_bytes(problem.factors, 0, 0), num_threads)
    for task in prange(spans * parts, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=num_threads):
        span = task // parts
        part = task % parts
        # a struct filled in here would be shared between the threads, a call's result is not
        table.topk_rows(&problem, span * most, min(count, (span + 1) * most), part, parts,
                        lists(&ids[part, 0, 0], &scores[part, 0, 0], &failed[part, 0]),
                        scratch.base + threadid() * scratch.stride)


def code_runs(const real[:, ::1] items, const real[::1] item_scale, const int32_t[::1] order,
              uint8_t[:, :, :, :, ::1] codes, double[:, ::1] bounds, uint8_t[::1] failed, *,
              str isa, int num_threads):
    """The codes of items, so scaled and ordered."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef int64_t runs = codes.shape[0], run
    cdef native.recsys_topk problem
    memset(&problem, 0, sizeof(problem))
    problem.items = &items[0, 0]
    problem.item_scale = &item_scale[0] if item_scale is not None else NULL
    problem.order = &order[0] if order is not None else NULL
    problem.n_items = items.shape[0]
    problem.factors = items.shape[1]
    num_threads = min(num_threads, runs)
    cdef Scratch scratch = Scratch(table.scratch_bytes(problem.factors, 0, 0), num_threads)
    for run in prange(runs, nogil=True, schedule="dynamic", chunksize=8, num_threads=num_threads):
        table.topk_code_runs(&problem, run, run + 1, &codes[0, 0, 0, 0, 0], &bounds[0, 0],
                             &failed[0], scratch.base + threadid() * scratch.stride)
