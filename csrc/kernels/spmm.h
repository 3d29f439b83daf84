/* Sums of rows that a sparse matrix tells (SpMM):
 *
 *     out_u = sum_k v_k y_k      2 f FLOP an entry, over the row's entries in their order
 *
 * What it costs is gathering y_k, f reals an entry, so rows are asked for ahead and summed in
 * registers. SPMM_BLOCK entries are summed in real and then added to the row: the error of a row of
 * many thousands is that of a short one. */
#ifndef RECSYS_KERNELS_SPMM_H
#define RECSYS_KERNELS_SPMM_H

#include <stdint.h>
#include <string.h>

#include "recsys.h"
#include "vec.h"

#define SPMM_BLOCK 1024

/* v_k of entry k. */
INLINE real spmm_value(const recsys_spmm *p, int64_t k) {
    const real value = ((const real *)p->values)[k];
    return p->likes ? (real)(value > 0) : value - (real)p->mean;
}

/* Vectors v to v + nv of a row: those of the sum over the entries begin:end are added. */
INLINE void spmm_vectors(const recsys_spmm *p, int64_t begin, int64_t end, int64_t v, int64_t nv,
                         real *out) {
    const int64_t f = p->factors;
    const real *dense = p->dense;
    vec sums[8] = {0};
    for (int64_t k = begin; k < end; k++) {
        if (k + AHEAD < end) {
            const real *next = dense + p->indices[k + AHEAD] * f + v * W;
            prefetch_bytes((const char *)next, nv * VECTOR_BYTES);
        }
        const real *row = dense + p->indices[k] * f;
        const vec value = splat(spmm_value(p, k));
        UNROLL for (int64_t n = 0; n < nv; n++) sums[n] += value * load_row(row, v + n, f);
    }
    UNROLL for (int64_t n = 0; n < nv; n++) {
        store_row(out, v + n, f, load_row(out, v + n, f) + sums[n]);
    }
}

/* Of a few rows ahead: where they are, their entries, and what the first of these gather. */
INLINE void spmm_ask(const recsys_spmm *p, int64_t at, int64_t end) {
    if (at + 4 < end) __builtin_prefetch(p->indptr + p->order[at + 4]);
    if (at + 2 < end) {
        const int64_t begin = p->indptr[p->order[at + 2]];
        prefetch_bytes((const char *)(p->indices + begin), 4 * AHEAD);
        prefetch_bytes((const char *)((const real *)p->values + begin), REAL_BYTES * AHEAD);
    }
    if (at + 1 < end) {
        const int64_t row = p->order[at + 1], begin = p->indptr[row];
        const int64_t bytes = p->factors * REAL_BYTES;
        const int64_t first = min_i64(begin + AHEAD, p->indptr[row + 1]);
        for (int64_t k = begin; k < first; k++) {
            prefetch_bytes((const char *)p->dense + p->indices[k] * bytes, bytes);
        }
        prefetch_bytes((const char *)p->out + row * bytes, bytes);
    }
}

static void spmm_rows(const recsys_spmm *p, int64_t begin, int64_t end) {
    const int64_t f = p->factors, vectors = (f + W - 1) / W;
    for (int64_t at = begin; at < end; at++) {
        const int64_t row = p->order[at], last = p->indptr[row + 1];
        real *out = (real *)p->out + row * f;
        spmm_ask(p, at, end);
        memset(out, 0, (size_t)f * sizeof(real));
        for (int64_t from = p->indptr[row]; from < last; from += SPMM_BLOCK) {
            const int64_t to = min_i64(from + SPMM_BLOCK, last);
            int64_t v = 0; /* how many vectors is a constant, so that sums stay in registers */
            for (; v + 8 <= vectors; v += 8) spmm_vectors(p, from, to, v, 8, out);
            if (vectors & 4) spmm_vectors(p, from, to, v, 4, out), v += 4;
            if (vectors & 2) spmm_vectors(p, from, to, v, 2, out), v += 2;
            if (vectors & 1) spmm_vectors(p, from, to, v, 1, out);
        }
    }
}

#endif
