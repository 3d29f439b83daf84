/* Rows too long for als_batch.h and still well under f: the same n x n problem (dual, exact), one
 * row at a time, with the entries along the vectors.
 *
 *     (I + S K S) v = S (p - t - Z (w0 Z'p + d . b_0)),    K = Z Z'
 *     x~ = Z'(w0 p + S v) + d . b_0
 *
 * Needs c >= w0 in every entry. n^2 f + n^3 / 3 FLOP. */
#ifndef RECSYS_KERNELS_ALS_WIDE_H
#define RECSYS_KERNELS_ALS_WIDE_H

#include <stdint.h>
#include <string.h>

#include "als_row.h"
#include "cholesky.h"
#include "recsys.h"
#include "scratch.h"
#include "tile.h"
#include "vec.h"

typedef struct {
    real *z;                         /* slabs of fp rows: lanes are entries, Z' */
    real *m;                         /* slabs of n rows: I + S K S */
    real *s, *p, *rhs, *v, *inverse; /* n; rhs begins as p - t */
    real *x, *zeros;                 /* fp */
} wide_scratch;

/* Where n^2 f + n^3/3 beats n f^2 + f^3/3 with the costs of packing counted (measured). */
INLINE int64_t wide_most(int64_t f) { return f * 5 / 8; }

static int64_t wide_layout(char *base, int64_t f, wide_scratch *s) {
    const int64_t fp = padded(f), n = padded(wide_most(f));
    char *at = base;
    s->z = (real *)take(&at, n / W * slab_stride(fp) * REAL_BYTES);
    s->m = (real *)take(&at, n / W * slab_stride(n) * REAL_BYTES);
    s->s = (real *)take(&at, n * REAL_BYTES);
    s->p = (real *)take(&at, n * REAL_BYTES);
    s->rhs = (real *)take(&at, n * REAL_BYTES);
    s->v = (real *)take(&at, n * REAL_BYTES);
    s->inverse = (real *)take(&at, n * REAL_BYTES);
    s->x = (real *)take(&at, fp * REAL_BYTES);
    s->zeros = (real *)take(&at, fp * REAL_BYTES);
    return at - base;
}

/* x = b_0 + sum_k weights[k] y_k over the row's entries, not yet scaled by d. */
static void sum_entries(const recsys_als *p, int64_t row, const real *weights, real *x) {
    const int64_t f = p->factors, begin = p->indptr[row], end = p->indptr[row + 1];
    const int64_t width = readable(p);
    for (int64_t v = 0; v * W < f; v++) store(x + v * W, load_common(p, row, v));
    for (int64_t k = begin; k < end; k++) {
        const real *y = fixed_row(p, k);
        const vec weight = splat(weights[k - begin]);
        prefetch_fixed(p, k + AHEAD, end);
        for (int64_t v = 0; v * W < f; v++) {
            store(x + v * W, load(x + v * W) + weight * load_row(y, v, width));
        }
    }
}

/* Weights, targets and Z' in slabs; past the row's end, zeros. */
static void wide_pack(const recsys_als *p, int64_t row, const real *scale, int64_t n,
                      const wide_scratch *s) {
    const int64_t fp = padded(p->factors), begin = p->indptr[row], end = p->indptr[row + 1];
    memset(s->zeros, 0, (size_t)fp * sizeof(real));
    for (int64_t e = 0; e < n; e += W) {
        const real *entries[W], *scales[W];
        for (int64_t l = 0; l < W; l++) {
            const int64_t k = begin + e + l;
            const int held = k < end;
            const als_entry own = read_entry(p, held ? k : begin);
            s->s[e + l] = held ? root(own.weight) : 0;
            s->p[e + l] = held ? own.target : 0;
            s->rhs[e + l] = held ? own.target - own.offset : 0;
            entries[l] = fixed_row(p, held ? k : begin);
            scales[l] = held ? scale : s->zeros;
            prefetch_fixed(p, k + W, end);
        }
        rows_to_lanes(entries, scales, readable(p), s->z + e / W * slab_stride(fp), W);
    }
}

static void wide_solve(const recsys_als *p, int64_t row, const real *scale, void *scratch) {
    wide_scratch s;
    wide_layout(scratch, p->factors, &s);
    const int64_t f = p->factors, n = padded(p->indptr[row + 1] - p->indptr[row]);
    const int64_t ldz = slab_stride(padded(f)), ldm = slab_stride(n);
    const vec w0 = splat((real)p->unobserved_weight);
    wide_pack(p, row, scale, n, &s);
    for (int64_t v = 0; v < n / W; v++) store(s.v + v * W, w0 * load(s.p + v * W));
    sum_entries(p, row, s.v, s.x);
    for (int64_t j = 0; j < f; j++) s.x[j] *= scale[j];
    for (int64_t v = 0; v < n / W; v++) {
        vec scores = splat(0);
        for (int64_t j = 0; j < f; j++) scores += load(s.z + v * ldz + j * W) * splat(s.x[j]);
        store(s.rhs + v * W, load(s.s + v * W) * (load(s.rhs + v * W) - scores));
        /* S goes into Z, so that syrk gives S K S */
        for (int64_t j = 0; j < f; j++) {
            real *at = s.z + v * ldz + j * W;
            store(at, load(at) * load(s.s + v * W));
        }
    }
    memset(s.m, 0, (size_t)(n / W * ldm) * sizeof(real));
    syrk(s.z, ldz, f, n, s.m, ldm, 1);
    mark_if_imprecise(p, row, add_identity(s.m, ldm, n));
    cholesky(s.m, ldm, n, s.inverse);
    solve_lower(s.m, ldm, n, s.inverse, s.rhs);
    solve_upper(s.m, ldm, n, s.inverse, s.rhs, s.v);
    for (int64_t v = 0; v < n / W; v++) {
        store(s.v + v * W, w0 * load(s.p + v * W) + load(s.s + v * W) * load(s.v + v * W));
    }
    sum_entries(p, row, s.v, s.x);
    for (int64_t j = 0; j < f; j++) s.x[j] *= scale[j];
    finish_row(p, row, scale, s.x);
}

#endif
