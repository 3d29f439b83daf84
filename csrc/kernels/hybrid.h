/* Stochastic gradient steps for users and items that are sums of features (Kula, CBRecSys 2015).
 *
 *     x_u = sum_k F_uk e_k,  y_i = sum_k G_ik e_k,  biases alike;  s_ui = x_u . y_i + b_u + b_i
 *     logistic:  z = sigma(s_ui) - t_ui                           on u and i
 *     bpr:       z = sigma(s_uj - s_ui)                           on u, i and a drawn j
 *     warp:      z = rank weight of the draws until s_uj > s_ui - 1
 *     warp-kos:  the same, where i is the k-th best of n drawn items of the user
 *     adagrad:   e_k -= rate / sqrt(S) g,  S += g^2,  g the gradient of the row times F_uk
 *     adadelta:  S = rho S + (1 - rho) g^2,  h = sqrt(M + eps) / sqrt(S + eps) g,
 *                e_k -= h,  M = rho M + (1 - rho) h^2
 *
 * A feature's row is its embedding, the bias behind it, zeros behind that. As rows of users have a
 * 1 in place of the bias when they meet those of items, a score is one product, and the gradient of
 * an item's row is z times the user's row, bias included.
 *
 * Features are shared, so that no grid makes steps independent of each other. Instead they come in
 * batches: of all steps of a batch the gradients are worked out from the values before it, in any
 * order (hybrid_gradients); then each feature takes what is its own in the order of the steps
 * (hybrid_updates), so that features can be shared out among threads as one likes.
 *
 * A step of m features takes 2 m f FLOP for its rows, 2 f for a draw that is screened by the rows
 * of a while ago, and 8 m f with a root and a division for each of m f values to apply it. */
#ifndef RECSYS_KERNELS_HYBRID_H
#define RECSYS_KERNELS_HYBRID_H

#include <stdint.h>

#include "recsys.h"
#include "rng.h"
#include "scratch.h"
#include "sgd.h"
#include "sigmoid.h"
#include "vec.h"

#define HYBRID_TRIES 64  /* draws of one negative of bpr until the step is skipped */
#define HYBRID_AHEAD 4   /* samples between asking for rows and using them */
#define HYBRID_CHUNK 4   /* draws of warp that are asked for ahead */
#define HYBRID_BLOCK 4   /* vectors of a row that are summed in registers */
#define HYBRID_MOST 10.0 /* z of warp */

/* What one step changes, and by how much; z = 0: nothing. Behind it lie two rows: the user's, by
 * which items change, and by which the user changes. */
typedef struct {
    int32_t user, item, other; /* other < 0: none */
    real z;
    double mean_rate; /* of the values it changes, where there is regularization */
} hybrid_step;

static int64_t hybrid_row_bytes(int64_t factors) {
    return round_up((factors + 1) * REAL_BYTES, RECSYS_LINE);
}

static int64_t hybrid_step_bytes(int64_t factors) {
    return round_up((int64_t)sizeof(hybrid_step), RECSYS_LINE) + 2 * hybrid_row_bytes(factors);
}

static int64_t hybrid_scratch_bytes(int64_t factors, int64_t k) {
    return 2 * hybrid_row_bytes(factors) + 2 * round_up(k * 8, RECSYS_LINE);
}

INLINE hybrid_step *hybrid_step_at(void *steps, int64_t at, int64_t factors) {
    return (hybrid_step *)((char *)steps + at * hybrid_step_bytes(factors));
}

INLINE real *hybrid_user_row(hybrid_step *s) {
    return (real *)((char *)s + round_up((int64_t)sizeof *s, RECSYS_LINE));
}

INLINE real *hybrid_direction(hybrid_step *s, int64_t factors) {
    return (real *)((char *)hybrid_user_row(s) + hybrid_row_bytes(factors));
}

/* ---- rows ---------------------------------------------------------------------------------- */

INLINE int64_t hybrid_begin(const recsys_featured *side, int64_t row) {
    return side->indptr ? side->indptr[row] : row;
}

INLINE int64_t hybrid_end(const recsys_featured *side, int64_t row) {
    return side->indptr ? side->indptr[row + 1] : row + 1;
}

INLINE int64_t hybrid_feature(const recsys_featured *side, int64_t at) {
    return side->indptr ? side->indices[at] : at;
}

INLINE real hybrid_weight(const recsys_featured *side, int64_t at) {
    return side->indptr ? ((const real *)side->weights)[at] : 1;
}

INLINE void hybrid_prefetch(const recsys_hybrid *p, const recsys_featured *side, int64_t row,
                            int64_t vectors) {
    for (int64_t at = hybrid_begin(side, row); at < hybrid_end(side, row); at++) {
        const int64_t feature = hybrid_feature(side, at);
        prefetch_bytes((const char *)sgd_row(side->values, feature, p->stride),
                       vectors * VECTOR_BYTES);
    }
}

/* `count` vectors of row `row`, from number `first` on. */
INLINE void hybrid_sum(const recsys_hybrid *p, const recsys_featured *side, int64_t row, real *out,
                       int64_t first, int count) {
    const real part = (real)(1 / side->scale);
    vec sums[HYBRID_BLOCK];
    UNROLL for (int v = 0; v < count; v++) sums[v] = splat(0);
    const int64_t end = hybrid_end(side, row);
    for (int64_t at = hybrid_begin(side, row); at < end; at++) {
        const real *own = sgd_row(side->values, hybrid_feature(side, at), p->stride) + first * W;
        const vec weight = splat(part * hybrid_weight(side, at));
        UNROLL for (int v = 0; v < count; v++) sums[v] += weight * load(own + v * W);
    }
    UNROLL for (int v = 0; v < count; v++) store(out + (first + v) * W, sums[v]);
}

/* Row `row` in `out`. */
INLINE void hybrid_row(const recsys_hybrid *p, const recsys_featured *side, int64_t row, real *out,
                       int64_t vectors) {
    int64_t v = 0;
    for (; v + HYBRID_BLOCK <= vectors; v += HYBRID_BLOCK) {
        hybrid_sum(p, side, row, out, v, HYBRID_BLOCK);
    }
    for (; v < vectors; v++) hybrid_sum(p, side, row, out, v, 1);
}

/* Row `row` of the items where it lies, if it does, else in `out`. */
INLINE const real *hybrid_item(const recsys_hybrid *p, int64_t row, real *out, int64_t vectors) {
    if (!p->item.indptr && p->item.scale == 1) return sgd_row(p->item.values, row, p->stride);
    hybrid_row(p, &p->item, row, out, vectors);
    return out;
}

/* ---- what is drawn ------------------------------------------------------------------------- */

INLINE int hybrid_stored(const recsys_hybrid *p, int64_t user, int32_t item) {
    const int64_t begin = p->stored_indptr[user];
    return is_among(p->stored_indices + begin, p->stored_indptr[user + 1] - begin, item);
}

/* Number `t` of the draws of warp, for a sample. */
INLINE int32_t hybrid_candidate(const recsys_hybrid *p, uint64_t sample, int64_t t) {
    const uint64_t counter = sample * (uint64_t)(p->n + p->max_sampled) + (uint64_t)(p->n + t);
    return (int32_t)below(draw(p->key, counter), (uint32_t)p->item.rows);
}

/* An item of a random sample that the user has not; -1 after HYBRID_TRIES. */
INLINE int32_t hybrid_negative(const recsys_hybrid *p, int64_t user, uint64_t sample) {
    for (uint64_t t = 0; t < HYBRID_TRIES; t++) {
        const uint64_t random = draw(p->key, sample * HYBRID_TRIES + t);
        const int32_t item = p->pool[below(random, (uint32_t)p->pool_size)];
        if (!hybrid_stored(p, user, item)) return item;
    }
    return -1;
}

/* The k-th best of n items of the user, drawn with replacement, fewer if there are fewer; -1: the
 * user has none. */
INLINE int32_t hybrid_kth(const recsys_hybrid *p, int64_t user, uint64_t sample, const real *x,
                          void *scratch, int64_t vectors) {
    char *memory = scratch;
    real *row = (real *)take(&memory, hybrid_row_bytes(p->factors));
    take(&memory, hybrid_row_bytes(p->factors));
    real *best = (real *)take(&memory, p->k * 8);
    int32_t *items = (int32_t *)take(&memory, p->k * 8);
    const int32_t *own = p->stored_indices + p->stored_indptr[user];
    const int64_t count = p->stored_indptr[user + 1] - p->stored_indptr[user];
    const int64_t draws = min_i64(p->n, count), k = min_i64(p->k, draws);
    int64_t kept = 0;
    for (int64_t d = 0; d < draws; d++) {
        const uint64_t counter = sample * (uint64_t)(p->n + p->max_sampled) + (uint64_t)d;
        const int32_t item = own[below(draw(p->key, counter), (uint32_t)count)];
        const real score = dot_rows(x, hybrid_item(p, item, row, vectors), vectors);
        if (kept == k && !(score > best[k - 1])) continue;
        int64_t at = kept < k ? kept++ : k - 1;
        for (; at > 0 && score > best[at - 1]; at--)
            best[at] = best[at - 1], items[at] = items[at - 1];
        best[at] = score, items[at] = item;
    }
    return kept ? items[kept - 1] : -1;
}

/* The first of warp's draws that comes within the margin and is not the user's, with its row in
 * `row`, and its rank weight; -1: none. */
INLINE int32_t hybrid_violator(const recsys_hybrid *p, int64_t user, uint64_t sample, const real *x,
                               real least, real *row, const real **found, double *weight,
                               int64_t vectors) {
    const void *rows = p->screen ? p->screen : p->item.values;
    const int screened = p->screen != NULL || (!p->item.indptr && p->item.scale == 1);
    for (int64_t t = 0; t < p->max_sampled; t++) {
        const int32_t item = hybrid_candidate(p, sample, t);
        if (screened) {
            if (t + HYBRID_CHUNK < p->max_sampled) {
                const int32_t next = hybrid_candidate(p, sample, t + HYBRID_CHUNK);
                prefetch_bytes((const char *)((const real *)rows + next * p->stride),
                               vectors * VECTOR_BYTES);
            }
            const real *then = (const real *)rows + item * p->stride;
            if (!(dot_rows(x, then, vectors) > least)) continue;
        }
        const real *now = hybrid_item(p, item, row, vectors);
        if (now == row && !(dot_rows(x, now, vectors) > least)) continue;
        if (hybrid_stored(p, user, item)) continue;
        *weight = p->rank_weights[t];
        *found = now;
        return item;
    }
    return -1;
}

/* ---- gradients ----------------------------------------------------------------------------- */

INLINE vec hybrid_rate(const recsys_hybrid *p, vec squares, vec momentum) {
    if (!p->adadelta) return splat((real)p->rate) / vec_root(squares);
    const vec epsilon = splat((real)p->epsilon);
    return vec_root(momentum + epsilon) / vec_root(squares + epsilon);
}

/* The sum of the rates of a row's features, all f + 1 values of each; their number is added. */
INLINE double hybrid_rates(const recsys_hybrid *p, const recsys_featured *side, int64_t row,
                           int64_t *count) {
    vec sum = splat(0);
    double rest = 0;
    const int64_t whole = (p->factors + 1) / W, end = hybrid_end(side, row);
    for (int64_t at = hybrid_begin(side, row); at < end; at++) {
        const int64_t feature = hybrid_feature(side, at);
        const real *squares = sgd_row(side->squares, feature, p->stride);
        const real *momentum = p->adadelta ? sgd_row(side->momentum, feature, p->stride) : squares;
        for (int64_t v = 0; v <= whole; v++) {
            const vec rate = hybrid_rate(p, load(squares + v * W), load(momentum + v * W));
            if (v < whole) {
                sum += rate;
                continue;
            }
            for (int64_t l = 0; l < p->factors + 1 - whole * W; l++) rest += (double)rate[l];
        }
        *count += p->factors + 1;
    }
    return (double)sum_vec(sum) + rest;
}

static double hybrid_mean_rate(const recsys_hybrid *p, const hybrid_step *s) {
    int64_t count = 0;
    double sum = hybrid_rates(p, &p->user, s->user, &count);
    sum += hybrid_rates(p, &p->item, s->item, &count);
    if (s->other >= 0) sum += hybrid_rates(p, &p->item, s->other, &count);
    return count ? sum / (double)count : 0;
}

INLINE real hybrid_sample_weight(const recsys_hybrid *p, int64_t sample) {
    return p->weights ? ((const real *)p->weights)[sample] : 1;
}

/* The step of a sample of a loss that has no negative. */
INLINE void hybrid_logistic(const recsys_hybrid *p, hybrid_step *s, int64_t sample, const real *x,
                            real bias, real *row, int64_t vectors) {
    const real *y = hybrid_item(p, s->item, row, vectors);
    real *direction = hybrid_direction(s, p->factors);
    const real predicted = sigmoid(dot_rows(x, y, vectors) + bias);
    s->z = hybrid_sample_weight(p, sample) * (predicted - (real)p->liked[sample]);
    FOR_VECTORS(v, vectors) store(direction + v * W, load(y + v * W));
    direction[p->factors] = 1;
}

/* The step of a sample that has one; no user's bias changes, as it would not change an order. */
INLINE void hybrid_pairwise(const recsys_hybrid *p, hybrid_step *s, int64_t sample, const real *x,
                            void *scratch, int64_t vectors) {
    char *memory = scratch;
    real *row = (real *)take(&memory, hybrid_row_bytes(p->factors));
    real *other_row = (real *)take(&memory, hybrid_row_bytes(p->factors));
    if (p->loss == RECSYS_HYBRID_KOS) {
        s->item = hybrid_kth(p, s->user, (uint64_t)sample, x, scratch, vectors);
        if (s->item < 0) return;
    }
    const real *liked = hybrid_item(p, s->item, row, vectors), *other;
    if (p->loss == RECSYS_HYBRID_BPR) {
        s->other = hybrid_negative(p, s->user, (uint64_t)sample);
        if (s->other < 0) return;
        other = hybrid_item(p, s->other, other_row, vectors);
        const real difference = dot_rows(x, liked, vectors) - dot_rows(x, other, vectors);
        s->z = hybrid_sample_weight(p, sample) * sigmoid(-difference);
    } else {
        double weight;
        const real least = dot_rows(x, liked, vectors) - 1;
        s->other = hybrid_violator(p, s->user, (uint64_t)sample, x, least, other_row, &other,
                                   &weight, vectors);
        if (s->other < 0) return;
        weight *= (double)hybrid_sample_weight(p, sample);
        s->z = (real)(weight > HYBRID_MOST ? HYBRID_MOST : weight);
    }
    real *direction = hybrid_direction(s, p->factors);
    FOR_VECTORS(v, vectors) store(direction + v * W, load(other + v * W) - load(liked + v * W));
    direction[p->factors] = 0;
}

/* Asks for what a sample is going to need. */
INLINE void hybrid_look_ahead(const recsys_hybrid *p, int64_t sample, int64_t vectors) {
    hybrid_prefetch(p, &p->user, p->users[sample], vectors);
    hybrid_prefetch(p, &p->item, p->items[sample], vectors);
    if (p->loss < RECSYS_HYBRID_WARP || (p->item.indptr && !p->screen)) return;
    const real *rows = p->screen ? p->screen : p->item.values;
    for (int64_t t = 0; t < min_i64(p->max_sampled, HYBRID_CHUNK); t++) {
        const int32_t item = hybrid_candidate(p, (uint64_t)sample, t);
        prefetch_bytes((const char *)(rows + item * p->stride), vectors * VECTOR_BYTES);
    }
}

INLINE void hybrid_gradients_by(const recsys_hybrid *p, int64_t begin, int64_t end, int64_t first,
                                void *steps, void *scratch, int64_t vectors) {
    const int regularized = p->user.alpha > 0 || p->item.alpha > 0;
    for (int64_t sample = begin; sample < end; sample++) {
        if (sample + HYBRID_AHEAD < end) hybrid_look_ahead(p, sample + HYBRID_AHEAD, vectors);
        hybrid_step *s = hybrid_step_at(steps, sample - first, p->factors);
        s->user = p->users[sample], s->item = p->items[sample], s->other = -1;
        s->z = 0, s->mean_rate = 0;
        real *x = hybrid_user_row(s);
        hybrid_row(p, &p->user, s->user, x, vectors);
        const real bias = x[p->factors];
        x[p->factors] = 1;
        if (p->loss == RECSYS_HYBRID_LOGISTIC) {
            hybrid_logistic(p, s, sample, x, bias, scratch, vectors);
        } else {
            hybrid_pairwise(p, s, sample, x, scratch, vectors);
        }
        if (regularized && s->z != 0) s->mean_rate = hybrid_mean_rate(p, s);
    }
}

/* The gradients of the samples begin:end, of a batch that begins at `first`. */
static void hybrid_gradients(const recsys_hybrid *p, int64_t begin, int64_t end, int64_t first,
                             void *steps, void *scratch) {
    const int64_t vectors = p->factors / W + 1;
    switch (vectors) {
    case 2: hybrid_gradients_by(p, begin, end, first, steps, scratch, 2); break;
    case 5: hybrid_gradients_by(p, begin, end, first, steps, scratch, 5); break;
    case 9: hybrid_gradients_by(p, begin, end, first, steps, scratch, 9); break;
    default: hybrid_gradients_by(p, begin, end, first, steps, scratch, vectors);
    }
}

/* ---- updates ------------------------------------------------------------------------------- */

/* The row of one feature goes down z times `direction`, weighted. */
INLINE void hybrid_adagrad(const recsys_hybrid *p, const recsys_featured *side, int64_t feature,
                           real z, const real *direction, int64_t vectors) {
    real *values = sgd_row(side->values, feature, p->stride);
    real *squares = sgd_row(side->squares, feature, p->stride);
    const vec alpha = splat((real)side->alpha), scale = splat((real)side->scale);
    FOR_VECTORS(v, vectors) {
        const vec gradient = splat(z) * load(direction + v * W);
        const vec sum = load(squares + v * W);
        const vec rate = splat((real)p->rate) / vec_root(sum);
        const vec moved = load(values + v * W) - scale * (rate * gradient);
        store(squares + v * W, sum + gradient * gradient);
        store(values + v * W, moved + moved * (alpha * rate));
    }
}

/* Averages that fade stay normal numbers: others are slow, and 0 / 0 is none. */
INLINE vec not_less(vec x) { return blend(x < splat(REAL_MIN), splat(REAL_MIN), x); }

INLINE void hybrid_adadelta(const recsys_hybrid *p, const recsys_featured *side, int64_t feature,
                            real z, const real *direction, int64_t vectors) {
    real *values = sgd_row(side->values, feature, p->stride);
    real *squares = sgd_row(side->squares, feature, p->stride);
    real *momentum = sgd_row(side->momentum, feature, p->stride);
    const vec alpha = splat((real)side->alpha), scale = splat((real)side->scale);
    const vec rho = splat((real)p->rho), rest = splat((real)(1 - p->rho));
    const vec epsilon = splat((real)p->epsilon);
    FOR_VECTORS(v, vectors) {
        const vec gradient = splat(z) * load(direction + v * W);
        const vec sum = not_less(rho * load(squares + v * W) + rest * (gradient * gradient));
        const vec past = load(momentum + v * W);
        const vec rate = vec_root(past + epsilon) / vec_root(sum + epsilon);
        const vec step = rate * gradient;
        const vec moved = load(values + v * W) - scale * step;
        store(squares + v * W, sum);
        store(momentum + v * W, not_less(rho * past + rest * (step * step)));
        store(values + v * W, moved + moved * (alpha * rate));
    }
}

/* What `part` of `parts` has to do of the row of a user or an item. */
INLINE void hybrid_update_row(const recsys_hybrid *p, const recsys_featured *side, int64_t row,
                              real z, const real *direction, int64_t part, int64_t parts,
                              int64_t vectors) {
    const int64_t end = hybrid_end(side, row);
    for (int64_t at = hybrid_begin(side, row); at < end; at++) {
        const int64_t feature = hybrid_feature(side, at);
        if (parts > 1 && feature % parts != part) continue;
        const real own = z * hybrid_weight(side, at);
        if (p->adadelta) {
            hybrid_adadelta(p, side, feature, own, direction, vectors);
        } else {
            hybrid_adagrad(p, side, feature, own, direction, vectors);
        }
        if (side != &p->user || p->loss == RECSYS_HYBRID_LOGISTIC) continue;
        /* the bias that stays is seen to have been in the step, as LightFM's gradients have it */
        const real share = p->adadelta ? (real)(1 - p->rho) : 1;
        sgd_row(side->squares, feature, p->stride)[p->factors] += share * (own * own);
    }
}

INLINE void hybrid_prefetch_squares(const recsys_hybrid *p, const recsys_featured *side,
                                    int64_t row, int64_t vectors) {
    for (int64_t at = hybrid_begin(side, row); at < hybrid_end(side, row); at++) {
        const int64_t feature = hybrid_feature(side, at);
        prefetch_bytes((const char *)sgd_row(side->squares, feature, p->stride),
                       vectors * VECTOR_BYTES);
    }
}

INLINE void hybrid_updates_by(const recsys_hybrid *p, void *steps, int64_t count, int64_t part,
                              int64_t parts, int64_t vectors) {
    for (int64_t at = 0; at < count; at++) {
        if (at + 1 < count) {
            const hybrid_step *next = hybrid_step_at(steps, at + 1, p->factors);
            if (next->z != 0) {
                hybrid_prefetch_squares(p, &p->user, next->user, vectors);
                hybrid_prefetch_squares(p, &p->item, next->item, vectors);
                if (next->other >= 0) hybrid_prefetch_squares(p, &p->item, next->other, vectors);
            }
        }
        hybrid_step *s = hybrid_step_at(steps, at, p->factors);
        if (s->z == 0) continue;
        const real *x = hybrid_user_row(s), *direction = hybrid_direction(s, p->factors);
        const real liked = s->other < 0 ? s->z : -s->z;
        hybrid_update_row(p, &p->item, s->item, liked, x, part, parts, vectors);
        if (s->other >= 0) {
            hybrid_update_row(p, &p->item, s->other, s->z, x, part, parts, vectors);
        }
        hybrid_update_row(p, &p->user, s->user, s->z, direction, part, parts, vectors);
    }
}

/* Applies a batch of so many steps to every parts-th feature, from `part` on. */
static void hybrid_updates(const recsys_hybrid *p, void *steps, int64_t count, int64_t part,
                           int64_t parts) {
    const int64_t vectors = p->factors / W + 1;
    switch (vectors) {
    case 2: hybrid_updates_by(p, steps, count, part, parts, 2); break;
    case 5: hybrid_updates_by(p, steps, count, part, parts, 5); break;
    case 9: hybrid_updates_by(p, steps, count, part, parts, 9); break;
    default: hybrid_updates_by(p, steps, count, part, parts, vectors);
    }
}

/* The running scale of a side after a batch: by so much its values are too large. */
static double hybrid_scale(const recsys_hybrid *p, void *steps, int64_t count, double scale,
                           double alpha) {
    for (int64_t at = 0; at < count; at++) {
        scale *= 1 + alpha * hybrid_step_at(steps, at, p->factors)->mean_rate;
    }
    return scale;
}

#endif
