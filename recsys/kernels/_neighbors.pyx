# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Thin parallel loops over rows of B'B; see reference/neighbors.py.

The caller (neighbors.py) has checked shapes and ids.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memset

from recsys.kernels cimport _native as native
from recsys.kernels._als cimport Scratch, get_table, real


def neighbors_pairs(const int64_t[::1] indptr, const int32_t[::1] indices, const real[::1] values,
                    const int32_t[::1] ranks, const int64_t[::1] spans, uint8_t[::1] pairs, *,
                    str isa, int num_threads):
    """The rows spans[0]:spans[-1] with ranks for columns, by rising rank."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef int64_t span, count = spans.shape[0] - 1
    if indices.shape[0] == 0:
        return
    for span in prange(count, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=max(1, min(num_threads, count))):
        table.neighbors_pairs(&indptr[0], &indices[0], &values[0], &ranks[0], spans[span],
                              spans[span + 1], &pairs[0])


def neighbors_transpose(const int64_t[::1] b_indptr, const uint8_t[::1] b_pairs,
                        const int64_t[::1] cuts, int64_t[::1] next_place, int32_t[::1] a_indices,
                        real[::1] a_data, *, str isa, int num_threads):
    """The rows cuts[0]:cuts[-1] of the transpose."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_neighbors p
    cdef int64_t part, parts = cuts.shape[0] - 1, users = b_indptr.shape[0] - 1
    if a_indices.shape[0] == 0:
        return
    memset(&p, 0, sizeof(p))
    p.b_indptr = &b_indptr[0]
    p.b_pairs = &b_pairs[0]
    for part in prange(parts, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=max(1, min(num_threads, parts))):
        table.neighbors_transpose(&p, users, cuts[part], cuts[part + 1], &next_place[0],
                                  &a_indices[0], &a_data[0])


def neighbors_head(const int64_t[::1] indptr, const uint8_t[::1] pairs, real[:, ::1] sums,
                   const int64_t[::1] cuts, *, int64_t first, int64_t last, str isa,
                   int num_threads):
    """Adds what some users add to inner products of the first columns; see
    reference/neighbors.py."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_neighbors p
    cdef int64_t part, parts = cuts.shape[0] - 1
    if pairs.shape[0] == 0:
        return
    memset(&p, 0, sizeof(p))
    p.b_indptr = &indptr[0]
    p.b_pairs = &pairs[0]
    p.head = sums.shape[0]
    for part in prange(parts, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=max(1, min(num_threads, parts))):
        table.neighbors_head(&p, first, last, cuts[part], cuts[part + 1], &sums[0, 0])


def neighbors_topk(const int64_t[::1] a_indptr, const int32_t[::1] a_indices,
                   const real[::1] a_data, const int64_t[::1] b_indptr,
                   const uint8_t[::1] b_pairs, const int32_t[::1] names,
                   const int64_t[::1] spans, int32_t[:, ::1] ids, real[:, ::1] scores,
                   uint8_t[::1] failed, int32_t[:, :, ::1] head_ids,
                   real[:, :, ::1] head_scores, int64_t[:, ::1] head_kept,
                   real[:, ::1] head_least, *, bint without_itself, str isa, int num_threads):
    """The lists of the items names[spans[0]:spans[-1]], and what their sums say to the head's."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_neighbors p
    cdef native.recsys_heads *heads
    cdef int64_t span, slot, count = spans.shape[0] - 1
    if b_pairs.shape[0] == 0 or ids.shape[1] == 0:
        return
    memset(&p, 0, sizeof(p))
    p.a_indptr = &a_indptr[0]
    p.a_indices = &a_indices[0]
    p.a_data = &a_data[0]
    p.b_indptr = &b_indptr[0]
    p.b_pairs = &b_pairs[0]
    p.columns = names.shape[0]
    p.names = &names[0]
    p.head = head_least.shape[1]
    p.n = ids.shape[1]
    p.without_itself = without_itself
    p.out.ids = &ids[0, 0]
    p.out.scores = &scores[0, 0]
    p.out.failed = &failed[0]
    num_threads = max(1, min(num_threads, <int>head_least.shape[0]))
    cdef Scratch each = Scratch(sizeof(native.recsys_heads) * num_threads, 1)
    heads = <native.recsys_heads *>each.base
    for slot in range(num_threads):
        heads[slot].ids = &head_ids[slot, 0, 0]
        heads[slot].scores = &head_scores[slot, 0, 0]
        heads[slot].kept = &head_kept[slot, 0]
        heads[slot].least = &head_least[slot, 0]
    cdef Scratch scratch = Scratch(table.neighbors_scratch_bytes(p.columns, p.n), num_threads,
                                   True)
    for span in prange(count, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=num_threads):
        table.neighbors_rows(&p, heads + threadid(), spans[span], spans[span + 1],
                             scratch.base + threadid() * scratch.stride)
