/* Logistic matrix factorization: a step of AdaGrad for each row, the other side held fixed.
 *
 *     s_ui = x_u . y_i + b_u + b_i
 *     L_u = sum_{i stored} c_ui (log(1 + e^s_ui) - p_ui s_ui) + sum_i log(1 + e^s_ui)
 *     g = sum_{i stored} c_ui (p_ui - sigmoid(s_ui)) y_i - sum_i sigmoid(s_ui) y_i - lambda x_u
 *     q += g^2,    x_u += rate g / sqrt(q)               (elementwise; b_u alike, y_i being 1)
 *
 * (Johnson, "Logistic Matrix Factorization for Implicit Feedback Data", NIPS 2014 workshop, where
 * c = alpha r.) The sum over all columns is taken over m = negatives max(n, 1) of them for a row
 * of n entries, drawn uniformly and each counted columns / m times: stored ones belong to it, so
 * none is drawn again. Where m reaches the number of columns the sum is exact.
 *
 * Cost: 4 f FLOP and one gathered row of f for each of the n + m; gathers are what it waits for.
 * Rows are asked for ahead, and a block of them stays in L1 from its scores to the gradient. */
#ifndef RECSYS_KERNELS_LMF_H
#define RECSYS_KERNELS_LMF_H

#include <stdint.h>
#include <string.h>

#include "recsys.h"
#include "rng.h"
#include "scratch.h"
#include "sigmoid.h"
#include "vec.h"

#define LMF_LIST 1024 /* columns listed at a time */
#define LMF_BLOCK 64  /* columns from scores to gradient at a time */

_Static_assert(LMF_LIST % LMF_BLOCK == 0 && LMF_BLOCK % W == 0,
               "blocks divide lists, vectors blocks");

/* A term of the row's sums: its gradient is gain - weight sigmoid(s), times y. */
typedef struct {
    int32_t *column;
    real *gain;
    real *weight;
} lmf_terms;

typedef struct {
    real *own;      /* padded: the row's factors, zeros behind */
    real *gradient; /* padded */
    real *scores;   /* LMF_BLOCK: scores, then coefficients of the gradient */
    lmf_terms terms;
    int64_t stride;
    real bias, bias_gradient;
    double loss;
} lmf_scratch;

/* Factors of a fixed row begin at a cache line. */
INLINE int64_t lmf_stride(int64_t factors) { return round_up(factors, RECSYS_LINE / REAL_BYTES); }

static int64_t lmf_layout(char *base, int64_t factors, lmf_scratch *s) {
    char *at = base;
    s->stride = lmf_stride(factors);
    s->own = (real *)take(&at, s->stride * REAL_BYTES);
    s->gradient = (real *)take(&at, s->stride * REAL_BYTES);
    s->scores = (real *)take(&at, LMF_BLOCK * REAL_BYTES);
    s->terms.column = (int32_t *)take(&at, LMF_LIST * (int64_t)sizeof(int32_t));
    s->terms.gain = (real *)take(&at, LMF_LIST * REAL_BYTES);
    s->terms.weight = (real *)take(&at, LMF_LIST * REAL_BYTES);
    return at - base;
}

static int64_t lmf_scratch_bytes(int64_t factors) {
    lmf_scratch s;
    return lmf_layout(NULL, factors, &s);
}

INLINE const real *lmf_fixed(const recsys_lmf *p, int64_t column, int64_t stride) {
    return (const real *)p->fixed + column * stride;
}

INLINE void lmf_ask(const recsys_lmf *p, int64_t column, int64_t stride) {
    prefetch_bytes((const char *)lmf_fixed(p, column, stride), p->factors * REAL_BYTES);
    __builtin_prefetch((const real *)p->fixed_biases + column);
}

/* Terms number `at` and on of a row's n + m: entries, then draws. Returns how many were listed;
 * behind them, up to whole vectors, come terms of no weight. */
static int64_t lmf_list(const recsys_lmf *p, int64_t row, int64_t m, int64_t at, lmf_terms t) {
    const int64_t begin = p->indptr[row], n = p->indptr[row + 1] - begin;
    const int64_t count = min_i64(n + m - at, LMF_LIST), stored = min_i64(n - at, count);
    const real *confidence = p->confidence;
    for (int64_t k = 0; k < stored; k++) {
        const real c = confidence[begin + at + k];
        t.column[k] = p->indices[begin + at + k];
        t.gain[k] = c > 0 ? c : 0;
        t.weight[k] = c > 0 ? c : -c;
    }
    const uint64_t key = p->keys[row];
    const uint32_t columns = (uint32_t)p->columns;
    const real weight = (real)((double)p->columns / (double)m);
    for (int64_t k = max_i64(stored, 0); k < count; k++) {
        const uint64_t number = (uint64_t)(at + k - n);
        t.column[k] = (int32_t)(m == p->columns ? number : below(draw(key, number), columns));
        t.gain[k] = 0;
        t.weight[k] = weight;
    }
    for (int64_t k = count; k < round_up(count, W); k++) {
        t.column[k] = t.column[count - 1];
        t.gain[k] = t.weight[k] = 0;
    }
    return count;
}

/* scores[0:count] = the row's scores of columns first:first + count, those AHEAD asked for */
INLINE void lmf_scores(const recsys_lmf *p, lmf_scratch *s, int64_t first, int64_t count,
                       int64_t listed) {
    const int32_t *columns = s->terms.column + first;
    const real *biases = p->fixed_biases;
    for (int64_t k = 0; k < count; k += GROUP) {
        const real *rows[GROUP];
        vec products[GROUP];
        real sums[W];
        UNROLL for (int g = 0; g < GROUP; g++) {
            rows[g] = lmf_fixed(p, columns[k + g], s->stride);
            products[g] = splat(0);
            if (first + k + AHEAD + g < listed) lmf_ask(p, columns[k + AHEAD + g], s->stride);
        }
        for (int64_t j = 0; j < s->stride; j += W) {
            const vec own = load(s->own + j);
            UNROLL for (int g = 0; g < GROUP; g++) products[g] += own * load(rows[g] + j);
        }
        store(sums, sum_lanes(products));
        UNROLL for (int g = 0; g < GROUP; g++) {
            s->scores[k + g] = sums[g] + s->bias + biases[columns[k + g]];
        }
    }
}

/* Scores to coefficients of the gradient, and their part of the loss. */
INLINE void lmf_coefficients(lmf_scratch *s, int64_t first, int64_t count) {
    vec loss = splat(0), total = splat(0);
    for (int64_t k = 0; k < count; k += W) {
        const vec score = load(s->scores + k);
        const vec gain = load(s->terms.gain + first + k);
        const vec weight = load(s->terms.weight + first + k);
        const vec coefficient = gain - weight * sigmoid_of(score);
        loss += weight * softplus_of(score) - gain * score;
        total += coefficient;
        store(s->scores + k, coefficient);
    }
    s->loss += (double)sum_vec(loss);
    s->bias_gradient += sum_vec(total);
}

/* gradient += coefficients' rows, `vectors` vectors from number j / W on */
INLINE void lmf_add_vectors(const recsys_lmf *p, lmf_scratch *s, int64_t first, int64_t count,
                            int64_t j, const int vectors) {
    const int32_t *columns = s->terms.column + first;
    vec sums[4];
    UNROLL for (int v = 0; v < vectors; v++) sums[v] = load(s->gradient + j + v * W);
    for (int64_t k = 0; k < count; k++) {
        const real *row = lmf_fixed(p, columns[k], s->stride) + j;
        const vec coefficient = splat(s->scores[k]);
        UNROLL for (int v = 0; v < vectors; v++) sums[v] += coefficient * load(row + v * W);
    }
    UNROLL for (int v = 0; v < vectors; v++) store(s->gradient + j + v * W, sums[v]);
}

INLINE void lmf_add(const recsys_lmf *p, lmf_scratch *s, int64_t first, int64_t count) {
    int64_t j = 0;
    for (; j + 4 * W <= s->stride; j += 4 * W) lmf_add_vectors(p, s, first, count, j, 4);
    for (; j < s->stride; j += W) lmf_add_vectors(p, s, first, count, j, 1);
}

/* One coordinate's step of AdaGrad (Duchi, Hazan and Singer, JMLR 12, 2011). LMF_NO_SQUARE keeps a
 * gradient of zero from being divided by zero. */
#define LMF_NO_SQUARE (real)1e-6
INLINE real lmf_step(real x, real gradient, real rate, real *square) {
    *square += gradient * gradient;
    return x + rate * gradient / root(*square + LMF_NO_SQUARE);
}

/* Takes the step; returns 0 if it led to finite numbers, else NaN. */
static real lmf_finish(const recsys_lmf *p, int64_t row, lmf_scratch *s) {
    real *x = (real *)p->solved + row * p->factors;
    real *squares = (real *)p->squares + row * p->factors;
    const real rate = (real)p->learning_rate, lambda = (real)p->regularization;
    real *bias = (real *)p->biases + row, not_finite = 0;
    for (int64_t j = 0; j < p->factors; j++) {
        x[j] = lmf_step(x[j], s->gradient[j] - lambda * x[j], rate, squares + j);
    }
    *bias = lmf_step(*bias, s->bias_gradient, rate, (real *)p->bias_squares + row);
    for (int64_t j = 0; j < p->factors; j++) not_finite += 0 * x[j]; /* 0 * inf is NaN */
    return not_finite + 0 * *bias;
}

static void lmf_row(const recsys_lmf *p, int64_t row, lmf_scratch *s) {
    const int64_t n = p->indptr[row + 1] - p->indptr[row];
    const int64_t m = min_i64(p->negatives * max_i64(n, 1), p->columns);
    memcpy(s->own, (const real *)p->solved + row * p->factors, (size_t)p->factors * REAL_BYTES);
    memset(s->gradient, 0, (size_t)s->stride * REAL_BYTES);
    s->bias = ((const real *)p->biases)[row];
    s->bias_gradient = 0;
    s->loss = 0;
    for (int64_t at = 0; at < n + m; at += LMF_LIST) {
        const int64_t listed = lmf_list(p, row, m, at, s->terms);
        for (int64_t k = 0; k < min_i64(AHEAD, listed); k++) {
            lmf_ask(p, s->terms.column[k], s->stride);
        }
        for (int64_t first = 0; first < listed; first += LMF_BLOCK) {
            const int64_t count = min_i64(LMF_BLOCK, round_up(listed - first, W));
            lmf_scores(p, s, first, count, listed);
            lmf_coefficients(s, first, count);
            lmf_add(p, s, first, count);
        }
    }
    p->row_loss[row] = s->loss + (double)lmf_finish(p, row, s);
}

static void lmf_rows(const recsys_lmf *p, int64_t begin, int64_t end, void *scratch) {
    lmf_scratch s;
    lmf_layout(scratch, p->factors, &s);
    for (int64_t j = p->factors; j < s.stride; j++) s.own[j] = 0;
    for (int64_t k = begin; k < end; k++) lmf_row(p, p->order[k], &s);
}

#endif
