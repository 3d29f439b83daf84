/* Logistic matrix factorization: a step of AdaGrad for each row, the other side held fixed.
 *
 *     s_ui = x_u . y_i + b_u + b_i
 *     L_u = sum_{i stored} c_ui (log(1 + e^s_ui) - p_ui s_ui) + sum_i log(1 + e^s_ui)
 *     g = sum_{i stored} c_ui (p_ui - sigmoid(s_ui)) y_i - sum_i sigmoid(s_ui) y_i
 *         - lambda (x_u - m_u)
 *     q += g^2,    x_u += rate g / sqrt(q)               (elementwise; b_u alike, y_i being 1,
 *                                                         without lambda)
 *
 * m_u is 0 unless something is known of u besides.
 *
 * (Johnson, "Logistic Matrix Factorization for Implicit Feedback Data", NIPS 2014 workshop, where
 * c = alpha r.) The sum over all columns is taken over m = negatives max(n, 1) of them for a row
 * of n entries, drawn uniformly and each counted columns / m times: stored ones belong to it, so
 * none is drawn again. Where m reaches the number of columns the sum is exact.
 *
 * Rows next to each other that have the same key draw the same columns, each as many as it needs,
 * and go through them together: a block of columns is gathered once and stays in L1 while each of
 * them forms its scores and adds to its gradient. No sum depends on who else is there.
 *
 * Cost: 4 f FLOP, two passes over a row of f in L1, one e^s and three divisions for each of the
 * n + m; and a gathered row of f for each of the n, and for each m of rows that draw together. */
#ifndef RECSYS_KERNELS_LMF_H
#define RECSYS_KERNELS_LMF_H

#include <stdint.h>
#include <string.h>

#include "recsys.h"
#include "rng.h"
#include "scratch.h"
#include "sigmoid.h"
#include "vec.h"

#define LMF_BLOCK 32    /* columns from scores to gradient at a time */
#define LMF_TOGETHER 16 /* rows at most that go through the same columns together */

_Static_assert(LMF_BLOCK % W == 0 && LMF_BLOCK % GROUP == 0, "vectors divide blocks");

typedef struct {
    int64_t row;
    int64_t draws;  /* m */
    real *own;      /* padded: the row's factors, zeros behind */
    real *gradient; /* padded */
    real bias, bias_gradient;
    double loss;
} lmf_sums;

typedef struct {
    lmf_sums rows[LMF_TOGETHER];
    int32_t *columns[2]; /* LMF_BLOCK each: now, and next */
    real *scores;        /* LMF_BLOCK: scores, then coefficients of the gradient */
    real *gain;          /* of a term, whose gradient is gain - weight sigmoid(s), times y */
    real *weight;
    int64_t stride;
} lmf_scratch;

/* Factors of a fixed row begin at a cache line. */
INLINE int64_t lmf_stride(int64_t factors) { return round_up(factors, RECSYS_LINE / REAL_BYTES); }

static int64_t lmf_layout(char *base, int64_t factors, lmf_scratch *s) {
    char *at = base;
    s->stride = lmf_stride(factors);
    for (int k = 0; k < LMF_TOGETHER; k++) {
        s->rows[k].own = (real *)take(&at, s->stride * REAL_BYTES);
        s->rows[k].gradient = (real *)take(&at, s->stride * REAL_BYTES);
    }
    for (int k = 0; k < 2; k++) s->columns[k] = (int32_t *)take(&at, LMF_BLOCK * 4);
    s->scores = (real *)take(&at, LMF_BLOCK * REAL_BYTES);
    s->gain = (real *)take(&at, LMF_BLOCK * REAL_BYTES);
    s->weight = (real *)take(&at, LMF_BLOCK * REAL_BYTES);
    return at - base;
}

static int64_t lmf_scratch_bytes(int64_t factors) {
    lmf_scratch s;
    return lmf_layout(NULL, factors, &s);
}

INLINE const real *lmf_fixed(const recsys_lmf *p, int64_t column, int64_t stride) {
    return (const real *)p->fixed + column * stride;
}

INLINE void lmf_ask(const recsys_lmf *p, const int32_t *columns, int64_t stride) {
    for (int k = 0; k < LMF_BLOCK; k++) {
        prefetch_bytes((const char *)lmf_fixed(p, columns[k], stride), p->factors * REAL_BYTES);
        __builtin_prefetch((const real *)p->fixed_biases + columns[k]);
    }
}

/* Entries number `at` and on of a row, behind which come terms of no weight. */
static int64_t lmf_list_entries(const recsys_lmf *p, int64_t row, int64_t at, lmf_scratch *s) {
    const int64_t begin = p->indptr[row] + at,
                  count = min_i64(p->indptr[row + 1] - begin, LMF_BLOCK);
    const real *confidence = p->confidence;
    for (int64_t k = 0; k < LMF_BLOCK; k++) {
        const int64_t entry = begin + min_i64(k, count - 1);
        const real c = k < count ? confidence[entry] : 0;
        s->columns[0][k] = p->indices[entry];
        s->gain[k] = c > 0 ? c : 0;
        s->weight[k] = c > 0 ? c : -c;
    }
    return count;
}

/* Draws number `at` and on, of rows with this key; or all columns in turn. */
static void lmf_list_draws(const recsys_lmf *p, uint64_t key, int in_turn, int64_t at,
                           int32_t *columns) {
    for (int64_t k = 0; k < LMF_BLOCK; k++) {
        const int64_t number = at + k;
        columns[k] = (int32_t)(in_turn ? min_i64(number, p->columns - 1)
                                       : below(draw(key, (uint64_t)number), (uint32_t)p->columns));
    }
}

/* The row's scores of `count` columns, and 0 up to whole vectors. */
INLINE void lmf_scores(const recsys_lmf *p, const lmf_sums *row, const int32_t *columns,
                       int64_t count, lmf_scratch *s) {
    const real *biases = p->fixed_biases;
    for (int64_t k = 0; k < count; k += GROUP) {
        const real *rows[GROUP];
        vec products[GROUP];
        real sums[W];
        UNROLL for (int g = 0; g < GROUP; g++) {
            rows[g] = lmf_fixed(p, columns[k + g], s->stride);
            products[g] = splat(0);
        }
        for (int64_t j = 0; j < s->stride; j += W) {
            const vec own = load(row->own + j);
            UNROLL for (int g = 0; g < GROUP; g++) products[g] += own * load(rows[g] + j);
        }
        store(sums, sum_lanes(products));
        UNROLL for (int g = 0; g < GROUP; g++) {
            s->scores[k + g] = sums[g] + row->bias + biases[columns[k + g]];
        }
    }
    for (int64_t k = count; k < round_up(count, W); k++) s->scores[k] = 0;
}

/* Scores to coefficients of the gradient, and their part of the loss. */
INLINE void lmf_coefficients(lmf_sums *row, int64_t count, lmf_scratch *s) {
    vec loss = splat(0), total = splat(0);
    for (int64_t k = 0; k < count; k += W) {
        const vec score = load(s->scores + k);
        const vec gain = load(s->gain + k), weight = load(s->weight + k);
        const vec coefficient = gain - weight * sigmoid_of(score);
        loss += weight * softplus_of(score) - gain * score;
        total += coefficient;
        store(s->scores + k, coefficient);
    }
    row->loss += (double)sum_vec(loss);
    row->bias_gradient += sum_vec(total);
}

/* gradient += coefficients' rows, `vectors` vectors from number j / W on */
INLINE void lmf_add_vectors(const recsys_lmf *p, lmf_sums *row, const int32_t *columns,
                            int64_t count, int64_t j, const int vectors, const lmf_scratch *s) {
    vec sums[8];
    UNROLL for (int v = 0; v < vectors; v++) sums[v] = load(row->gradient + j + v * W);
    for (int64_t k = 0; k < count; k++) {
        const real *fixed = lmf_fixed(p, columns[k], s->stride) + j;
        const vec coefficient = splat(s->scores[k]);
        UNROLL for (int v = 0; v < vectors; v++) sums[v] += coefficient * load(fixed + v * W);
    }
    UNROLL for (int v = 0; v < vectors; v++) store(row->gradient + j + v * W, sums[v]);
}

/* What `count` columns add to a row's sums. */
static void lmf_add(const recsys_lmf *p, lmf_sums *row, const int32_t *columns, int64_t count,
                    lmf_scratch *s) {
    int64_t j = 0;
    lmf_scores(p, row, columns, count, s);
    lmf_coefficients(row, count, s);
    for (; j + 8 * W <= s->stride; j += 8 * W) lmf_add_vectors(p, row, columns, count, j, 8, s);
    for (; j + 4 * W <= s->stride; j += 4 * W) lmf_add_vectors(p, row, columns, count, j, 4, s);
    for (; j < s->stride; j += W) lmf_add_vectors(p, row, columns, count, j, 1, s);
}

/* One coordinate's step of AdaGrad (Duchi, Hazan and Singer, JMLR 12, 2011). LMF_NO_SQUARE keeps a
 * gradient of zero from being divided by zero. */
#define LMF_NO_SQUARE (real)1e-6
INLINE real lmf_step(real x, real gradient, real rate, real *square) {
    *square += gradient * gradient;
    return x + rate * gradient / root(*square + LMF_NO_SQUARE);
}

/* Takes the step; returns 0 if it led to finite numbers, else NaN. */
static real lmf_finish(const recsys_lmf *p, const lmf_sums *sums) {
    const int64_t row = sums->row;
    real *x = (real *)p->solved + row * p->factors;
    real *squares = (real *)p->squares + row * p->factors;
    const real rate = (real)p->learning_rate, lambda = (real)p->regularization;
    real *bias = (real *)p->biases + row, not_finite = 0;
    const real *mean = p->means ? (const real *)p->means + row * p->factors : NULL;
    for (int64_t j = 0; j < p->factors; j++) {
        const real away = mean ? x[j] - mean[j] : x[j];
        x[j] = lmf_step(x[j], sums->gradient[j] - lambda * away, rate, squares + j);
    }
    *bias = lmf_step(*bias, sums->bias_gradient, rate, (real *)p->bias_squares + row);
    for (int64_t j = 0; j < p->factors; j++) not_finite += 0 * x[j]; /* 0 * inf is NaN */
    return not_finite + 0 * *bias;
}

/* A row's sums over its entries; what it draws is still to be added. */
static void lmf_begin(const recsys_lmf *p, int64_t row, lmf_sums *sums, lmf_scratch *s) {
    const int64_t n = p->indptr[row + 1] - p->indptr[row];
    sums->row = row;
    sums->draws = min_i64(p->negatives * max_i64(n, 1), p->columns);
    memcpy(sums->own, (const real *)p->solved + row * p->factors, (size_t)p->factors * REAL_BYTES);
    for (int64_t j = p->factors; j < s->stride; j++) sums->own[j] = 0;
    memset(sums->gradient, 0, (size_t)s->stride * REAL_BYTES);
    sums->bias = ((const real *)p->biases)[row];
    sums->bias_gradient = 0;
    sums->loss = 0;
    for (int64_t at = 0; at < n; at += LMF_BLOCK) {
        const int64_t count = lmf_list_entries(p, row, at, s);
        lmf_ask(p, s->columns[0], s->stride);
        lmf_add(p, sums, s->columns[0], count, s);
    }
}

/* What rows of one key draw, added to their sums. */
static void lmf_add_draws(const recsys_lmf *p, int64_t rows, lmf_scratch *s) {
    const uint64_t key = p->keys[s->rows[0].row];
    const int in_turn = s->rows[0].draws == p->columns;
    int64_t most = 0;
    for (int64_t r = 0; r < rows; r++) most = max_i64(most, s->rows[r].draws);
    lmf_list_draws(p, key, in_turn, 0, s->columns[1]);
    lmf_ask(p, s->columns[1], s->stride);
    for (int64_t k = 0; k < LMF_BLOCK; k++) s->gain[k] = 0;
    for (int64_t at = 0; at < most; at += LMF_BLOCK) {
        int32_t *columns = s->columns[1];
        s->columns[1] = s->columns[0];
        s->columns[0] = columns;
        lmf_list_draws(p, key, in_turn, at + LMF_BLOCK, s->columns[1]);
        if (at + LMF_BLOCK < most) lmf_ask(p, s->columns[1], s->stride);
        for (int64_t r = 0; r < rows; r++) {
            lmf_sums *row = s->rows + r;
            const int64_t count = min_i64(row->draws - at, LMF_BLOCK);
            const real weight = (real)((double)p->columns / (double)row->draws);
            if (count <= 0) continue;
            for (int64_t k = 0; k < LMF_BLOCK; k++) s->weight[k] = k < count ? weight : 0;
            lmf_add(p, row, columns, count, s);
        }
    }
}

/* Whether two rows draw the same columns. */
INLINE int lmf_same_draws(const recsys_lmf *p, const lmf_sums *first, int64_t row) {
    const int64_t n = p->indptr[row + 1] - p->indptr[row];
    const int64_t draws = min_i64(p->negatives * max_i64(n, 1), p->columns);
    if ((draws == p->columns) != (first->draws == p->columns)) return 0;
    return draws == p->columns || p->keys[row] == p->keys[first->row];
}

static void lmf_rows(const recsys_lmf *p, int64_t begin, int64_t end, void *scratch) {
    lmf_scratch s;
    lmf_layout(scratch, p->factors, &s);
    for (int64_t k = begin; k < end;) {
        int64_t rows = 0;
        do {
            lmf_begin(p, p->order[k++], s.rows + rows++, &s);
        } while (k < end && rows < LMF_TOGETHER && lmf_same_draws(p, s.rows, p->order[k]));
        lmf_add_draws(p, rows, &s);
        for (int64_t r = 0; r < rows; r++) {
            p->row_loss[s.rows[r].row] = s.rows[r].loss + (double)lmf_finish(p, s.rows + r);
        }
    }
}

#endif
