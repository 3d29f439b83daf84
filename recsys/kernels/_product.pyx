# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Thin parallel loops over rows of products of a sparse matrix; see reference/product.py.

The callers (product.py, spectral.py) have checked shapes and ids.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memset

from recsys.kernels cimport _native as native
from recsys.kernels._als cimport Scratch, get_table, real


def product_topk(const int64_t[::1] a_indptr, const int32_t[::1] a_indices,
                 const real[::1] a_data, const int64_t[::1] b_indptr,
                 const int32_t[::1] b_indices, const real[::1] b_data,
                 const int32_t[::1] names, const int64_t[::1] skip_indptr,
                 const int32_t[::1] skip_indices, const uint8_t[::1] banned,
                 const int32_t[::1] order, const int64_t[::1] spans, int32_t[:, ::1] ids,
                 real[:, ::1] scores, uint8_t[::1] failed, *, int64_t columns, bint unsorted,
                 str isa, int num_threads):
    """The lists of the rows order[spans[0]:spans[-1]] of A B."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_product product
    cdef native.recsys_topk lists
    cdef native.recsys_lists out
    cdef int64_t span
    if ids.shape[0] == 0 or a_indices.shape[0] == 0 or b_data.shape[0] == 0:
        return
    memset(&product, 0, sizeof(product))
    memset(&lists, 0, sizeof(lists))
    memset(&out, 0, sizeof(out))
    product.a_indptr = &a_indptr[0]
    product.a_indices = &a_indices[0]
    product.a_data = &a_data[0]
    if b_indptr is not None:
        product.b_indptr = &b_indptr[0]
        product.b_indices = &b_indices[0]
    product.b_data = &b_data[0]
    product.columns = columns
    product.names = &names[0] if names is not None else NULL
    product.order = &order[0]
    lists.n = ids.shape[1]
    lists.skip_indptr = &skip_indptr[0] if skip_indptr is not None else NULL
    if skip_indices is not None and skip_indices.shape[0]:
        lists.skip_indices = &skip_indices[0]
    lists.banned = &banned[0] if banned is not None else NULL
    lists.unsorted = unsorted
    out.ids = &ids[0, 0]
    out.scores = &scores[0, 0]
    out.failed = &failed[0]
    num_threads = max(1, min(num_threads, spans.shape[0] - 1))
    cdef Scratch scratch = Scratch(table.product_scratch_bytes(columns), num_threads, True)
    for span in prange(spans.shape[0] - 1, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=num_threads):
        table.product_topk_rows(&product, &lists, spans[span], spans[span + 1], out,
                                scratch.base + threadid() * scratch.stride)


def slim_rows(const int64_t[::1] indptr, const int32_t[::1] indices, const real[::1] values,
              const int32_t[::1] order, const int64_t[::1] spans,
              const int32_t[:, ::1] candidates, const double[:, ::1] products,
              real[:, ::1] weights, uint8_t[::1] failed, *,
              int64_t users, int64_t longest, double l1, double l2, bint nonnegative,
              double tolerance, int64_t sweeps, str isa, int num_threads):
    """The weights of the candidates of the items order[spans[0]:spans[-1]]; see
    reference/slim.py."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_slim p
    cdef int64_t span, count = spans.shape[0] - 1
    if indices.shape[0] == 0 or candidates.shape[1] == 0:
        return
    memset(&p, 0, sizeof(p))
    p.indptr = &indptr[0]
    p.indices = &indices[0]
    p.values = &values[0]
    p.order = &order[0]
    p.candidates = &candidates[0, 0]
    p.products = &products[0, 0] if products.shape[0] else NULL
    p.items = candidates.shape[0]
    p.most = candidates.shape[1]
    p.users = users
    p.longest = longest
    p.l1 = l1
    p.l2 = l2
    p.nonnegative = nonnegative
    p.tolerance = tolerance
    p.sweeps = sweeps
    p.weights = &weights[0, 0]
    p.failed = &failed[0]
    num_threads = max(1, min(num_threads, count))
    cdef Scratch scratch = Scratch(table.slim_scratch_bytes(users, p.most, longest), num_threads,
                                   True)
    for span in prange(count, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=num_threads):
        table.slim_rows(&p, spans[span], spans[span + 1],
                        scratch.base + threadid() * scratch.stride)


def spmm(const int64_t[::1] indptr, const int32_t[::1] indices, const real[::1] values,
         const int32_t[::1] order, const int64_t[::1] spans, const real[:, ::1] dense,
         real[:, ::1] out, *, bint likes, double mean, str isa, int num_threads):
    """The rows order[spans[0]:spans[-1]] of a sparse matrix times a dense one."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_spmm p
    cdef int64_t span, count = spans.shape[0] - 1
    memset(&p, 0, sizeof(p))
    p.indptr = &indptr[0]
    p.indices = &indices[0] if indices.shape[0] else NULL
    p.values = &values[0] if values.shape[0] else NULL
    p.likes = likes
    p.mean = mean
    p.order = &order[0]
    p.dense = &dense[0, 0]
    p.out = &out[0, 0]
    p.factors = dense.shape[1]
    num_threads = max(1, min(num_threads, count))
    for span in prange(count, nogil=True, schedule="dynamic", chunksize=1,
                       num_threads=num_threads):
        table.spmm_rows(&p, spans[span], spans[span + 1])
