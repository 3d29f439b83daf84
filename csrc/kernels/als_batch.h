/* Short rows, W at a time: each lane of a vector is a row of its own (dual, exact).
 *
 * A row of n < f entries is a rank-n correction of the identity, so n unknowns do. With K = Z Z'
 * and S = diag(sqrt(c - w0)),
 *
 *     (I + S K S) v = S (e - w0 K p),    a = w0 p + S v,    x~ = x~_0 + Z'a
 *
 * where x~_0 = d . b_0 is what a row without entries gets, and e = p - t - Z x~_0 what its scores
 * leave to be explained:
 * the residual form of Woodbury's identity: nothing cancels however large c is. It needs
 * c >= w0 in every entry. n^2 f + n^3 / 3 FLOP a row (one triangle), with no padding of n to
 * vectors, no lane ever idle and no reduction across lanes. A block of K is multiplied, scaled,
 * updated and solved against the factor while it is in registers (bordering, BS rows at once).
 * A lane's arithmetic is the same whatever the other lanes hold, and for any longest row. */
#ifndef RECSYS_KERNELS_ALS_BATCH_H
#define RECSYS_KERNELS_ALS_BATCH_H

#include <stdint.h>
#include <string.h>

#include "als_row.h"
#include "recsys.h"
#include "scratch.h"
#include "vec.h"

#define BATCH_BLOCKS ((RECSYS_BATCH_MOST + BS - 1) / BS)
#define BATCH_ROWS (BATCH_BLOCKS * BS)
#define BATCH_AHEAD 3 /* entries of each lane that are asked for before they are read */

typedef struct {
    vec *z;       /* [block][factor][BS]: Z, lanes = rows of the batch */
    vec *lower;   /* block rows of the Cholesky factor, [k < (I + 1) BS][BS] each */
    vec *s;       /* BATCH_ROWS: sqrt(c - w0), 0 past a row's end */
    vec *p;       /* BATCH_ROWS: target */
    vec *e;       /* BATCH_ROWS: what x~_0 leaves of it */
    vec *k_p;     /* BATCH_ROWS: K p, then the right-hand side, then v, then a */
    vec *start;   /* [factor]: x~_0, if there is b_0 */
    vec *inverse; /* BATCH_ROWS: reciprocals of the factor's diagonal */
    vec *trace;   /* 1: of S K S */
    real *scales; /* W rows of fp: d of each lane */
    real *unscale, *zeros;
} batch_scratch;

static int64_t batch_layout(char *base, int64_t f, batch_scratch *s) {
    char *at = base;
    s->z = (vec *)take(&at, BATCH_ROWS * padded(f) * VECTOR_BYTES);
    s->lower = (vec *)take(&at, BATCH_BLOCKS * (BATCH_BLOCKS + 1) / 2 * BS * BS * VECTOR_BYTES);
    s->s = (vec *)take(&at, BATCH_ROWS * VECTOR_BYTES);
    s->p = (vec *)take(&at, BATCH_ROWS * VECTOR_BYTES);
    s->e = (vec *)take(&at, BATCH_ROWS * VECTOR_BYTES);
    s->k_p = (vec *)take(&at, BATCH_ROWS * VECTOR_BYTES);
    s->start = (vec *)take(&at, padded(f) * VECTOR_BYTES);
    s->inverse = (vec *)take(&at, BATCH_ROWS * VECTOR_BYTES);
    s->trace = (vec *)take(&at, VECTOR_BYTES);
    s->scales = (real *)take(&at, W * padded(f) * REAL_BYTES);
    s->unscale = (real *)take(&at, padded(f) * REAL_BYTES);
    s->zeros = (real *)take(&at, padded(f) * REAL_BYTES);
    return at - base;
}

/* Block row I of the factor starts behind the (1 + ... + I) blocks above it. */
INLINE vec *factor_rows(const batch_scratch *s, int64_t block) {
    return s->lower + block * (block + 1) / 2 * BS * BS;
}

/* acc[a][b] += sign * sum_k x[k][a] y[k][b] */
INLINE void block_product(const vec *restrict x, const vec *restrict y, int64_t depth,
                          const int sign, vec acc[BS][BS]) {
    for (int64_t k = 0; k < depth; k++) {
        vec right[BS];
        UNROLL for (int b = 0; b < BS; b++) right[b] = y[k * BS + b];
        UNROLL for (int a = 0; a < BS; a++) {
            const vec left = x[k * BS + a];
            UNROLL for (int b = 0; b < BS; b++) {
                acc[a][b] = sign > 0 ? acc[a][b] + left * right[b] : acc[a][b] - left * right[b];
            }
        }
    }
}

/* Each lane's d; lanes of equal lambda share it. */
static void batch_scales(const recsys_als *p, const int32_t *rows, int64_t count,
                         const batch_scratch *s, const real *scales[W]) {
    const int64_t fp = padded(p->factors);
    for (int64_t l = 0; l < count; l++) {
        const double lambda = p->regularization[rows[l]];
        if (l && lambda == p->regularization[rows[l - 1]]) {
            scales[l] = scales[l - 1];
        } else {
            set_scale(p, lambda, s->scales + l * fp, s->unscale);
            scales[l] = s->scales + l * fp;
        }
    }
}

/* Gather the batch: weights and targets lane by lane, then Z in W x W transposes. Where a lane
 * has no entry its z, weight and target are zero, and its part of the system the identity. */
static void batch_pack(const recsys_als *p, const int32_t *rows, int64_t count, int64_t most,
                       const real *const scales[W], const batch_scratch *s) {
    const int64_t fp = padded(p->factors);
    int64_t begin[W], end[W];
    for (int64_t l = 0; l < W; l++) {
        begin[l] = p->indptr[rows[l < count ? l : 0]];
        end[l] = l < count ? p->indptr[rows[l] + 1] : begin[l];
    }
    memset(s->zeros, 0, (size_t)fp * sizeof(real));
    for (int64_t i = 0; i < round_up(most, BS); i++) {
        const real *entries[W], *own_scales[W];
        for (int64_t l = 0; l < W; l++) {
            const int held = begin[l] + i < end[l];
            const int64_t k = held ? begin[l] + i : begin[0];
            const als_entry own = read_entry(p, k);
            s->s[i][l] = held ? root(own.weight) : 0;
            s->p[i][l] = held ? own.target : 0;
            s->e[i][l] = held ? own.target - own.offset : 0;
            entries[l] = fixed_row(p, k);
            own_scales[l] = held ? scales[l] : s->zeros;
            prefetch_fixed(p, k + BATCH_AHEAD, end[l]);
        }
        s->k_p[i] = splat(0);
        rows_to_lanes(entries, own_scales, readable(p), (real *)(s->z + i / BS * fp * BS + i % BS),
                      BS * W);
    }
}

/* x~_0 of each lane. */
static void batch_start(const recsys_als *p, const int32_t *rows, int64_t count,
                        const real *const scales[W], const batch_scratch *s) {
    const real *commons[W], *own_scales[W];
    for (int64_t l = 0; l < W; l++) {
        commons[l] = common_row(p, rows[l < count ? l : 0]);
        own_scales[l] = l < count ? scales[l] : s->zeros;
    }
    rows_to_lanes(commons, own_scales, p->factors, (real *)s->start, W);
}

/* One off-diagonal block of the factor of I + S K S, and its part of K p. */
static void batch_block(const batch_scratch *s, int64_t f, int64_t i, int64_t j) {
    const int64_t fp = padded(f);
    vec acc[BS][BS];
    UNROLL for (int a = 0; a < BS; a++) {
        UNROLL for (int b = 0; b < BS; b++) acc[a][b] = splat(0);
    }
    block_product(s->z + i * fp * BS, s->z + j * fp * BS, f, 1, acc);
    UNROLL for (int a = 0; a < BS; a++) {
        vec k_p = s->k_p[i * BS + a];
        UNROLL for (int b = 0; b < BS; b++) k_p += acc[a][b] * s->p[j * BS + b];
        s->k_p[i * BS + a] = k_p;
    }
    UNROLL for (int b = 0; b < BS; b++) {
        vec k_p = s->k_p[j * BS + b];
        UNROLL for (int a = 0; a < BS; a++) {
            k_p += acc[a][b] * s->p[i * BS + a];
            acc[a][b] *= s->s[i * BS + a] * s->s[j * BS + b];
        }
        s->k_p[j * BS + b] = k_p;
    }
    vec *own = factor_rows(s, i);
    const vec *above = factor_rows(s, j), *diagonal = above + j * BS * BS;
    block_product(own, above, j * BS, -1, acc);
    UNROLL for (int b = 0; b < BS; b++) {
        UNROLL for (int a = 0; a < BS; a++) {
            UNROLL for (int c = 0; c < b; c++) acc[a][b] -= acc[a][c] * diagonal[c * BS + b];
            acc[a][b] *= s->inverse[j * BS + b];
            own[(j * BS + b) * BS + a] = acc[a][b];
        }
    }
}

/* acc = z'z, one triangle of which is computed, and e -= z' start unless that is NULL */
INLINE void diagonal_product(const vec *restrict z, const vec *restrict start, int64_t depth,
                             vec acc[BS][BS], vec *e) {
    vec taken[BS];
    UNROLL for (int a = 0; a < BS; a++) {
        taken[a] = splat(0);
        UNROLL for (int b = 0; b <= a; b++) acc[a][b] = splat(0);
    }
    for (int64_t k = 0; k < depth; k++) {
        vec own[BS];
        UNROLL for (int a = 0; a < BS; a++) own[a] = z[k * BS + a];
        UNROLL for (int a = 0; a < BS; a++) {
            UNROLL for (int b = 0; b <= a; b++) acc[a][b] += own[a] * own[b];
            if (start) taken[a] += own[a] * start[k];
        }
    }
    UNROLL for (int a = 0; a < BS; a++) {
        UNROLL for (int b = 0; b < a; b++) acc[b][a] = acc[a][b];
        if (start) e[a] -= taken[a];
    }
}

/* A diagonal block of the factor, and its part of K p; also what x~_0 takes from e. */
static void batch_diagonal(const batch_scratch *s, int64_t f, int64_t i, int has_start) {
    const vec *z = s->z + i * padded(f) * BS;
    vec acc[BS][BS];
    if (has_start) {
        diagonal_product(z, s->start, f, acc, s->e + i * BS);
    } else {
        diagonal_product(z, NULL, f, acc, NULL);
    }
    UNROLL for (int a = 0; a < BS; a++) {
        UNROLL for (int b = 0; b < BS; b++) {
            s->k_p[i * BS + a] += acc[a][b] * s->p[i * BS + b];
            acc[a][b] *= s->s[i * BS + a] * s->s[i * BS + b];
        }
        *s->trace += acc[a][a];
        acc[a][a] += splat(1);
    }
    vec *own = factor_rows(s, i), *diagonal = own + i * BS * BS;
    block_product(own, own, i * BS, -1, acc);
    UNROLL for (int b = 0; b < BS; b++) {
        const vec inverse = splat(1) / vec_root(acc[b][b]);
        s->inverse[i * BS + b] = inverse;
        UNROLL for (int a = b; a < BS; a++) acc[a][b] *= inverse;
        UNROLL for (int a = b + 1; a < BS; a++) {
            UNROLL for (int c = b + 1; c <= a; c++) acc[a][c] -= acc[a][b] * acc[c][b];
        }
        UNROLL for (int a = 0; a < BS; a++) { diagonal[b * BS + a] = a < b ? splat(0) : acc[a][b]; }
    }
}

/* k_p becomes a: both triangular solves around the right-hand side S (e - w0 K p). */
static void batch_substitute(const batch_scratch *s, int64_t blocks, real w0) {
    vec *v = s->k_p;
    for (int64_t i = 0; i < blocks * BS; i++) v[i] = s->s[i] * (s->e[i] - splat(w0) * v[i]);
    for (int64_t i = 0; i < blocks; i++) {
        const vec *own = factor_rows(s, i), *diagonal = own + i * BS * BS;
        vec z[BS];
        UNROLL for (int a = 0; a < BS; a++) z[a] = v[i * BS + a];
        for (int64_t k = 0; k < i * BS; k++) {
            UNROLL for (int a = 0; a < BS; a++) z[a] -= own[k * BS + a] * v[k];
        }
        UNROLL for (int b = 0; b < BS; b++) {
            z[b] *= s->inverse[i * BS + b];
            UNROLL for (int a = b + 1; a < BS; a++) z[a] -= diagonal[b * BS + a] * z[b];
            v[i * BS + b] = z[b];
        }
    }
    for (int64_t i = blocks - 1; i >= 0; i--) {
        const vec *own = factor_rows(s, i), *diagonal = own + i * BS * BS;
        vec z[BS];
        UNROLL for (int b = BS - 1; b >= 0; b--) {
            z[b] = v[i * BS + b];
            UNROLL for (int a = b + 1; a < BS; a++) z[b] -= diagonal[b * BS + a] * z[a];
            z[b] *= s->inverse[i * BS + b];
        }
        for (int64_t k = 0; k < i * BS; k++) {
            vec rest = v[k];
            UNROLL for (int a = 0; a < BS; a++) rest -= own[k * BS + a] * z[a];
            v[k] = rest;
        }
        UNROLL for (int a = 0; a < BS; a++) {
            v[i * BS + a] = splat(w0) * s->p[i * BS + a] + s->s[i * BS + a] * z[a];
        }
    }
}

/* x~ = x~_0 + Z'a, W factors at a time, then back from lanes to rows. */
static void batch_finish(const recsys_als *p, const int32_t *rows, int64_t count, int64_t blocks,
                         const real *const scales[W], const batch_scratch *s) {
    const int64_t f = p->factors, fp = padded(f);
    for (int64_t v = 0; v * W < f; v++) {
        vec x[W];
        UNROLL for (int l = 0; l < W; l++) x[l] = p->common ? s->start[v * W + l] : splat(0);
        for (int64_t i = 0; i < blocks; i++) {
            const vec *z = s->z + (i * fp + v * W) * BS;
            UNROLL for (int l = 0; l < W; l++) {
                UNROLL for (int a = 0; a < BS; a++) x[l] += z[l * BS + a] * s->k_p[i * BS + a];
            }
        }
        transpose(x);
        for (int64_t l = 0; l < count; l++) {
            store_row(solved_row(p, rows[l]), v, f, x[l] * load(scales[l] + v * W));
        }
    }
    for (int64_t l = 0; l < count; l++) {
        mark_if_not_finite(p, rows[l]);
        mark_if_imprecise(p, rows[l], (*s->trace)[l]);
    }
}

/* Solve `count` <= W rows of at most RECSYS_BATCH_MOST entries each. */
static void batch_solve(const recsys_als *p, const int32_t *rows, int64_t count, void *scratch) {
    batch_scratch s;
    batch_layout(scratch, p->factors, &s);
    int64_t most = 0;
    for (int64_t l = 0; l < count; l++) {
        const int64_t n = p->indptr[rows[l] + 1] - p->indptr[rows[l]];
        most = n > most ? n : most;
    }
    const int64_t f = p->factors, blocks = (most + BS - 1) / BS;
    const real *scales[W] = {NULL};
    batch_scales(p, rows, count, &s, scales);
    batch_pack(p, rows, count, most, scales, &s);
    if (p->common) batch_start(p, rows, count, scales, &s);
    *s.trace = splat(0);
    for (int64_t i = 0; i < blocks; i++) {
        for (int64_t j = 0; j < i; j++) batch_block(&s, f, i, j);
        batch_diagonal(&s, f, i, p->common != NULL);
    }
    batch_substitute(&s, blocks, (real)p->unobserved_weight);
    batch_finish(p, rows, count, blocks, scales, &s);
}

#endif
