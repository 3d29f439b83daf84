# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The parallel loop over batches of steps for users and items that have features (hybrid.py).

The caller has checked shapes, ids and finiteness; see reference/hybrid.py for what is computed.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memset

from recsys.kernels cimport _native as native
from recsys.kernels._als cimport Scratch, get_table, real

LOSSES = {
    "logistic": native.RECSYS_HYBRID_LOGISTIC,
    "bpr": native.RECSYS_HYBRID_BPR,
    "warp": native.RECSYS_HYBRID_WARP,
    "warp-kos": native.RECSYS_HYBRID_KOS,
}
cdef double MOST_SCALE = 1e6  # from here on values are to be divided by it


cdef native.recsys_featured side(
        const int64_t[::1] indptr, const int32_t[::1] indices, const real[::1] weights,
        real[:, ::1] values, real[:, ::1] squares, real[:, ::1] momentum, double alpha,
        double scale) noexcept:
    cdef native.recsys_featured out
    memset(&out, 0, sizeof(out))
    out.indptr = &indptr[0] if indptr is not None else NULL
    out.indices = &indices[0] if indptr is not None and indices.shape[0] else NULL
    out.weights = &weights[0] if indptr is not None and weights.shape[0] else NULL
    out.values = &values[0, 0] if values.shape[0] else NULL
    out.squares = &squares[0, 0] if squares.shape[0] else NULL
    out.momentum = &momentum[0, 0] if momentum is not None and momentum.shape[0] else NULL
    out.rows = indptr.shape[0] - 1 if indptr is not None else values.shape[0]
    out.alpha = alpha
    out.scale = scale
    return out


def hybrid_steps(real[:, ::1] user_values, real[:, ::1] user_squares, real[:, ::1] user_momentum,
                 const int64_t[::1] user_indptr, const int32_t[::1] user_indices,
                 const real[::1] user_weights, real[:, ::1] item_values,
                 real[:, ::1] item_squares, real[:, ::1] item_momentum,
                 const int64_t[::1] item_indptr, const int32_t[::1] item_indices,
                 const real[::1] item_weights,
                 const real[:, ::1] screen, const int32_t[::1] users, const int32_t[::1] items,
                 const real[::1] weights, const uint8_t[::1] liked,
                 const int64_t[::1] stored_indptr, const int32_t[::1] stored_indices,
                 const int32_t[::1] pool, const double[::1] rank_weights, double[::1] scales, *,
                 int64_t factors, int64_t loss, double rate, uint64_t key, int64_t begin,
                 int64_t end, int64_t batch, int64_t k, int64_t n, double rho,
                 double epsilon, double user_alpha, double item_alpha, bint hogwild,
                 str isa, int num_threads):
    """The steps of the samples begin:end, or until a scale is too large; where that was."""
    cdef const native.recsys_table *table = get_table(isa, real is double)
    cdef native.recsys_hybrid p
    memset(&p, 0, sizeof(p))
    p.user = side(user_indptr, user_indices, user_weights, user_values, user_squares,
                  user_momentum, user_alpha, scales[0])
    p.item = side(item_indptr, item_indices, item_weights, item_values, item_squares,
                  item_momentum, item_alpha, scales[1])
    p.users = &users[0] if users.shape[0] else NULL
    p.items = &items[0] if items.shape[0] else NULL
    p.weights = &weights[0] if weights is not None and weights.shape[0] else NULL
    p.liked = &liked[0] if liked is not None and liked.shape[0] else NULL
    p.stored_indptr = &stored_indptr[0] if stored_indptr is not None else NULL
    p.stored_indices = (&stored_indices[0] if stored_indices is not None
                        and stored_indices.shape[0] else NULL)
    p.pool = &pool[0] if pool is not None and pool.shape[0] else NULL
    p.pool_size = pool.shape[0] if pool is not None else 0
    p.screen = &screen[0, 0] if screen is not None and screen.shape[0] else NULL
    p.rank_weights = (&rank_weights[0] if rank_weights is not None
                      and rank_weights.shape[0] else NULL)
    p.factors = factors
    p.stride = user_values.shape[1]
    p.loss = loss
    p.adadelta = user_momentum is not None
    p.max_sampled = rank_weights.shape[0] if rank_weights is not None else 0
    p.k = k
    p.n = n
    p.rate = rate
    p.rho = rho
    p.epsilon = epsilon
    p.key = key
    num_threads = max(1, min(num_threads, batch))
    cdef Scratch scratch = Scratch(table.hybrid_scratch_bytes(factors, k), num_threads)
    cdef Scratch steps = Scratch(table.hybrid_step_bytes(factors) * batch,
                                 num_threads if hogwild else 1)
    cdef int64_t first, last, part, share, at
    cdef char *mine
    if hogwild:
        for part in prange((end - begin + batch - 1) // batch, nogil=True, schedule="dynamic",
                           chunksize=1, num_threads=num_threads):
            at = begin + part * batch
            mine = steps.base + threadid() * steps.stride
            table.hybrid_gradients(&p, at, min(at + batch, end), at, mine,
                                   scratch.base + threadid() * scratch.stride)
            table.hybrid_updates(&p, mine, min(at + batch, end) - at, 0, 1)
        return end
    with nogil:
        first = begin
        while first < end:
            last = min(first + batch, end)
            if num_threads == 1:
                table.hybrid_gradients(&p, first, last, first, steps.base, scratch.base)
                table.hybrid_updates(&p, steps.base, last - first, 0, 1)
            else:
                share = (last - first + num_threads - 1) // num_threads
                for part in prange(num_threads, schedule="static", chunksize=1,
                                   num_threads=num_threads):
                    table.hybrid_gradients(
                        &p, first + part * share, min(first + (part + 1) * share, last), first,
                        steps.base, scratch.base + threadid() * scratch.stride)
                for part in prange(num_threads, schedule="static", chunksize=1,
                                   num_threads=num_threads):
                    table.hybrid_updates(&p, steps.base, last - first, part, num_threads)
            if user_alpha > 0:
                p.user.scale = table.hybrid_scale(&p, steps.base, last - first, p.user.scale,
                                                  user_alpha)
            if item_alpha > 0:
                p.item.scale = table.hybrid_scale(&p, steps.base, last - first, p.item.scale,
                                                  item_alpha)
            if p.user.scale > MOST_SCALE or p.item.scale > MOST_SCALE:
                end = last
            first = last
    scales[0] = p.user.scale
    scales[1] = p.item.scale
    return end
