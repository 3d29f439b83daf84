/* What every row solver shares: the scaling of a row, its entries, its scratch, its loss.
 *
 *     A_u = w0 Y'Y + sum_k (c_k - w0) y_k y_k' + lambda_u I
 *     b_u = b_0u + sum_k g_k y_k,    g_k = c_k p_k - (c_k - w0) t_k
 *     b_0u = -w0 sum_i t_i y_i + lambda_u m_u
 *
 * t_i is the column's offset: the part of a score t_i + x.y that is given, in all cells. m_u is what
 * the row's penalty, lambda_u |x_u - m_u|^2, draws it to. b_0 is `common` to all rows where there
 * are no m_u, and 0 where there are no offsets either.
 * `fixed` is in its Gramian's eigenbasis, so w0 Y'Y + lambda_u I = diag(B_u), B = w0 L + lambda_u.
 * With d = B^-1/2 and z_k = d . y_k (elementwise), x = d . x~ where
 *
 *     (I + sum_k (c_k - w0) z_k z_k') x~ = d . b_0u + sum_k g_k z_k,    y_k . x = z_k . x~
 *
 * so that every solver below works on identity plus a sum over the row's own entries: positive
 * definite however small lambda is, and conjugate gradient on it is preconditioned by B.
 * A direction in which `fixed` has no part (L at rounding level, lambda 0) gets d = 0: the minimum
 * norm solution. */
#ifndef RECSYS_KERNELS_ALS_ROW_H
#define RECSYS_KERNELS_ALS_ROW_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "recsys.h"
#include "scratch.h"
#include "vec.h"

/* A trace of the entries' sum at which rounding reaches an eighth of the identity beside it: the
 * solution needs more precision than `real` has. */
#define TRACE_MOST (RECSYS_DOUBLE ? 0x1p49 : 0x1p20)

#ifndef LONG_ROW         /* the sanitizers' run makes these small */
#define LONG_ROW 1048576 /* a row that gathers more bytes of the fixed side is long */
#endif

typedef struct {
    real *scale;         /* fp: d */
    real *unscale;       /* fp: 1 / d, 0 where d is */
    double scale_lambda; /* the lambda they are for */
    char *rest;          /* scratch of the solver at hand */
} row_scratch;

INLINE int is_long(int64_t n, int64_t f) { return n * f * REAL_BYTES > LONG_ROW; }

static row_scratch open_scratch(void *base, int64_t f) {
    char *at = base;
    row_scratch s;
    s.scale = (real *)take(&at, padded(f) * REAL_BYTES);
    s.unscale = (real *)take(&at, padded(f) * REAL_BYTES);
    s.scale_lambda = -1;
    s.rest = at;
    return s;
}

static void set_scale(const recsys_als *p, double lambda, real *scale, real *unscale) {
    const int64_t f = p->factors;
    for (int64_t j = 0; j < f; j++) {
        const double own = p->unobserved_weight * p->eigenvalues[j] + lambda;
        const double b = sqrt(own > p->floor ? own : p->floor);
        const int used = p->eigenvalues[j] > p->floor || lambda > 0;
        scale[j] = used ? (real)(1 / b) : 0;
        unscale[j] = used ? (real)b : 0;
    }
    for (int64_t j = f; j < padded(f); j++) scale[j] = unscale[j] = 0;
}

static void scale_for(const recsys_als *p, int64_t row, row_scratch *s) {
    const double lambda = p->regularization[row];
    if (lambda == s->scale_lambda) return;
    set_scale(p, lambda, s->scale, s->unscale);
    s->scale_lambda = lambda;
}

typedef struct {
    real confidence, target, offset; /* c, p, t */
    real weight;                     /* c - w0 */
    real pull;                       /* g */
} als_entry;

INLINE als_entry read_entry(const recsys_als *p, int64_t k) {
    const real value = ((const real *)p->confidence)[k], size = value > 0 ? value : -value;
    als_entry e;
    e.confidence = p->ratings ? 1 : size;
    e.target = p->ratings ? value : value > 0;
    e.offset = p->offsets ? ((const real *)p->offsets)[p->indices[k] * p->offsets_step] : 0;
    e.weight = e.confidence - (real)p->unobserved_weight;
    e.pull = e.confidence * e.target - e.weight * e.offset;
    return e;
}

/* The row's b_0; NULL: it is 0. */
INLINE const real *common_row(const recsys_als *p, int64_t row) {
    return p->common ? (const real *)p->common + row * p->common_stride : NULL;
}

/* Vector number v of it. */
INLINE vec load_common(const recsys_als *p, int64_t row, int64_t v) {
    return p->common ? load_row(common_row(p, row), v, p->factors) : splat(0);
}

INLINE const real *fixed_row(const recsys_als *p, int64_t k) {
    return (const real *)p->fixed + (int64_t)p->indices[k] * p->stride;
}

/* As much of a row as is read: whole vectors if there is room for them. What they hold past the
 * factors meets zeros. Taken before a loop: C has to think that a store in it may change *p. */
INLINE int64_t readable(const recsys_als *p) { return min_i64(padded(p->factors), p->stride); }

INLINE real *solved_row(const recsys_als *p, int64_t row) {
    return (real *)p->solved + row * p->factors;
}

INLINE void prefetch_fixed(const recsys_als *p, int64_t k, int64_t end) {
    if (k < end) prefetch_bytes((const char *)fixed_row(p, k), p->factors * REAL_BYTES);
}

/* What a gather that starts at entry `begin` reads before its own prefetching takes hold. */
static void prefetch_entries(const recsys_als *p, int64_t begin, int64_t end) {
    const int64_t ahead = min_i64(begin + AHEAD, end);
    for (int64_t k = begin; k < ahead; k++) prefetch_fixed(p, k, end);
}

static void mark_if_imprecise(const recsys_als *p, int64_t row, real trace) {
    if (!(trace <= (real)TRACE_MOST)) p->failed[row] = 1;
}

static void mark_if_not_finite(const recsys_als *p, int64_t row) {
    const int64_t f = p->factors;
    const real *x = solved_row(p, row);
    vec zero = splat(0);
    for (int64_t v = 0; v * W < f; v++) zero += load_row(x, v, f) * splat(0);
    if (sum_vec(zero) != 0) p->failed[row] = 1; /* 0 * inf and 0 * NaN are NaN */
}

/* b_0 alone: x = d . d . b_0 */
static void empty_solve(const recsys_als *p, int64_t row, row_scratch *s) {
    if (!p->common) {
        memset(solved_row(p, row), 0, (size_t)p->factors * sizeof(real));
        return;
    }
    scale_for(p, row, s);
    for (int64_t v = 0; v * W < p->factors; v++) {
        const vec scale = load(s->scale + v * W);
        store_row(solved_row(p, row), v, p->factors, scale * scale * load_common(p, row, v));
    }
    mark_if_not_finite(p, row);
}

/* x = scale . x~ */
static void finish_row(const recsys_als *p, int64_t row, const real *scale, const real *x) {
    for (int64_t v = 0; v * W < p->factors; v++) {
        store_row(solved_row(p, row), v, p->factors, load(x + v * W) * load(scale + v * W));
    }
    mark_if_not_finite(p, row);
}

/* sum over stored entries of c (p - s)^2 - w0 s^2, s = t + b + x . y, x . y in real, sums in
 * double; the row's bias b is one of the factors while rows are solved. Here of the entries
 * [begin, end) of a row, added to the `loss` of those before. */
static double add_loss(const recsys_als *p, int64_t row, int64_t begin, int64_t end, double loss) {
    const int64_t f = p->factors, width = readable(p), whole = f / W * W;
    const real *x = solved_row(p, row), *biases = p->biases;
    const double bias = biases ? (double)biases[row] : 0;
    for (int64_t k = begin; k < end; k += GROUP) {
        const real *rows[GROUP];
        vec products[GROUP];
        UNROLL for (int g = 0; g < GROUP; g++) {
            rows[g] = fixed_row(p, min_i64(k + g, end - 1));
            products[g] = splat(0);
            prefetch_fixed(p, k + AHEAD + g, end);
        }
        for (int64_t j = 0; j < whole; j += W) {
            const vec own = load(x + j);
            UNROLL for (int g = 0; g < GROUP; g++) products[g] += own * load(rows[g] + j);
        }
        if (whole < f) {
            const vec own = load_first(x + whole, f - whole);
            for (int g = 0; g < GROUP; g++) {
                products[g] += own * load_row(rows[g], whole / W, width);
            }
        }
        const vec scores = sum_lanes(products);
        for (int g = 0; g < GROUP && k + g < end; g++) {
            const als_entry e = read_entry(p, k + g);
            const double s = (double)e.offset + bias + (double)scores[g];
            const double error = (double)e.target - s;
            loss += (double)e.confidence * error * error - p->unobserved_weight * s * s;
        }
    }
    return loss;
}

static double stored_loss(const recsys_als *p, int64_t row) {
    return add_loss(p, row, p->indptr[row], p->indptr[row + 1], 0);
}

/* Right after the rows are solved, while what they gathered is in cache. */
static void set_loss(const recsys_als *p, const int32_t *rows, int64_t count) {
    for (int64_t l = 0; l < count && p->row_loss; l++) {
        p->row_loss[rows[l]] = stored_loss(p, rows[l]);
    }
}

#endif
