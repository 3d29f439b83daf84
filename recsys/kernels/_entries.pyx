# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Entries of sparse matrices moved by several threads; see entries.py and reference/entries.py.

Nothing here computes with values, which come as unsigned integers of their size. What is written
where does not depend on the number of threads. The caller has checked shapes and ids.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define RECSYS_PREFETCH_WRITE(address) __builtin_prefetch(address, 1)
    #else
    #define RECSYS_PREFETCH_WRITE(address) ((void)0)
    #endif
    """
    void RECSYS_PREFETCH_WRITE(void *address) noexcept nogil

cdef enum:
    AHEAD = 32  # entries whose lines are asked for before they are written to

ctypedef fused word:
    uint8_t
    uint16_t
    uint32_t
    uint64_t


def count_columns(const int32_t[::1] indices, const int64_t[::1] cuts, int64_t[:, ::1] counts, *,
                  int num_threads):
    """counts[part, c] += entries of column c among the entries cuts[part]:cuts[part + 1]."""
    cdef int64_t part, parts = cuts.shape[0] - 1
    if indices.shape[0] == 0:
        return
    for part in prange(parts, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=max(1, min(num_threads, parts))):
        count_part(&indices[0], cuts[part], cuts[part + 1], &counts[part, 0])


cdef void count_part(const int32_t *indices, int64_t begin, int64_t end,
                     int64_t *counts) noexcept nogil:
    cdef int64_t k
    for k in range(begin, end):
        counts[indices[k]] += 1


def transpose(const int64_t[::1] indptr, const int32_t[::1] indices, const word[::1] values,
              const int64_t[::1] rows, int64_t[:, ::1] places, int32_t[::1] out_indices,
              word[::1] out_values, *, int num_threads):
    """Moves the entries of rows[part]:rows[part + 1] to places[part, column], which become those of
    the entries that follow."""
    cdef int64_t part, parts = rows.shape[0] - 1
    if indices.shape[0] == 0:
        return
    for part in prange(parts, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=max(1, min(num_threads, parts))):
        transpose_part(&indptr[0], &indices[0], &values[0], rows[part], rows[part + 1],
                       &places[part, 0], &out_indices[0], &out_values[0])


cdef void transpose_part(const int64_t *indptr, const int32_t *indices, const word *values,
                         int64_t begin, int64_t end, int64_t *places, int32_t *out_indices,
                         word *out_values) noexcept nogil:
    cdef int64_t row, k, at, last = indptr[end] - AHEAD
    for row in range(begin, end):
        for k in range(indptr[row], indptr[row + 1]):
            if k < last:
                at = places[indices[k + AHEAD]]
                RECSYS_PREFETCH_WRITE(out_indices + at)
                RECSYS_PREFETCH_WRITE(out_values + at)
            at = places[indices[k]]
            places[indices[k]] = at + 1
            out_indices[at] = <int32_t>row
            out_values[at] = values[k]


def take_rows(const int64_t[::1] indptr, const int32_t[::1] indices, const word[::1] values,
              const int64_t[::1] rows, const int64_t[::1] out_indptr, const int64_t[::1] spans,
              int32_t[::1] out_indices, word[::1] out_values, *, int num_threads):
    """Copies of each of `rows`, one after the other, as many entries as out_indptr has room for;
    those of a span by one thread."""
    cdef int64_t span, count = spans.shape[0] - 1
    if out_indices.shape[0] == 0:
        return
    for span in prange(count, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=max(1, min(num_threads, count))):
        take_span(&indptr[0], &indices[0], &values[0], &rows[0], &out_indptr[0], spans[span],
                  spans[span + 1], &out_indices[0], &out_values[0])


cdef void take_span(const int64_t *indptr, const int32_t *indices, const word *values,
                    const int64_t *rows, const int64_t *out_indptr, int64_t begin, int64_t end,
                    int32_t *out_indices, word *out_values) noexcept nogil:
    cdef int64_t k, at, to, count
    for k in range(begin, end):
        at, to = indptr[rows[k]], out_indptr[k]
        count = out_indptr[k + 1] - to
        memcpy(out_indices + to, indices + at, count * sizeof(int32_t))
        memcpy(out_values + to, values + at, count * sizeof(word))


def renumber(const int32_t[::1] indices, const int32_t[::1] numbers, int32_t[::1] out, *,
             int num_threads):
    """out[k] = numbers[indices[k]]; out may be indices."""
    cdef int64_t k
    for k in prange(indices.shape[0], nogil=True, schedule="static",
                    num_threads=max(1, num_threads)):
        out[k] = numbers[indices[k]]
