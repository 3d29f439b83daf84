/* Pairwise stochastic gradient steps for users of one cell of the grid (recsys/kernels/grid.py).
 *
 *     s_uij = x_u . (y_i - y_j) + b_i - b_j
 *     bpr:   z = sigma(-s_uij)                                     Rendle et al., UAI 2009
 *     warp:  z = rank weight, where s_uij < margin, else no step   Weston et al., IJCAI 2011
 *     x_u += rate (z (y_i - y_j) - reg_u x_u),  y_i += rate (z x_u - reg_i y_i),
 *     y_j += rate (-z x_u - reg_j y_j),         biases alike, all from the values before the step
 *
 * Where a row has a mean m, it is drawn there instead of to 0: - reg (y - m).
 *
 * A step is 12 f FLOP and, where nothing is in cache, three rows read and written. Users come in
 * order, so that x_u is read from memory once for all of its steps in the cell; the items of a cell
 * are two of the grid's groups, few enough to stay in cache. One step at a time would wait for its
 * own chain of operations, some 100 ns: so BPR_QUEUE steps are drawn ahead, and of BPR_TOGETHER of
 * them, taken from as many parts of the queue so that they are mostly those of different users,
 * all s_uij are computed before their updates are made, one after the other.
 *
 * A cell's items: a liked item is in one of its two groups; the other item is drawn from the same
 * group with the probability of its share of all items, and else from the other group, which is
 * another one in each epoch: over the epochs every item comes as often as its due. */
#ifndef RECSYS_KERNELS_BPR_H
#define RECSYS_KERNELS_BPR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "recsys.h"
#include "rng.h"
#include "scratch.h"
#include "sgd.h"
#include "sigmoid.h"
#include "vec.h"

#define BPR_QUEUE 64
#define BPR_TOGETHER 8
#define BPR_AHEAD 2  /* turns of so many steps between asking for items and using them */
#define BPR_TRIES 16 /* draws of one negative until the step is skipped: all were liked */
#define BPR_CHUNK 8  /* candidates drawn, and asked for, together */

_Static_assert(BPR_QUEUE % BPR_TOGETHER == 0, "a full queue is done in equal parts");

/* A user's entries in the cell, of each of its groups. */
typedef struct {
    int64_t user;
    const int32_t *liked[2];
    int64_t count[2];
} bpr_visit;

typedef struct {
    const bpr_visit *visit;
    int32_t item, other; /* other < 0: to be found among candidates when its turn comes; or none */
    uint64_t counter;    /* of its draws */
    real weight;
    int32_t group; /* the item's, 0 or 1 */
} bpr_step;

typedef struct {
    const recsys_bpr *p;
    recsys_cell cell;
    real *cumulative; /* adaptive: running sums of |x_uk| sigma_k of the user at hand, */
    real *before;     /*   and x_u as it was when the user's turn in the cell began */
    double loss;
    double unlogged; /* product of sigma(s) whose logarithm is still to be taken */
    int64_t correct, steps, skipped;
    bpr_step queue[BPR_QUEUE];
    bpr_visit visits[BPR_QUEUE + 1]; /* those of the queue, the last one going on */
    int64_t queued, visited;
} bpr_run;

/* A group of the cell, by the lower half of `random`: the liked item's own, or the other one. */
INLINE int bpr_group(const bpr_run *r, int own, uint64_t random) {
    if (r->cell.hi[!own] == r->cell.lo[!own]) return own;
    return (int64_t)(random % RECSYS_WHOLE_SHARE) < r->cell.share[own] ? own : !own;
}

/* By the order of the group's items along one factor k, picked by |x_uk| sigma_k; the rank is
 * exponential, from the top where x_uk > 0 (Rendle and Freudenthaler, WSDM 2014). */
static int32_t bpr_adaptive(const bpr_run *r, int32_t lo, int32_t count, uint64_t first,
                            uint64_t second) {
    const recsys_bpr *p = r->p;
    const real total = r->cumulative[p->factors - 1];
    const real wanted = total * (real)((double)(first >> 11) * 0x1p-53);
    int64_t k = 0;
    while (k < p->factors - 1 && r->cumulative[k] <= wanted) k++;
    const double uniform = ((double)(second >> 11) + 0.5) * 0x1p-53;
    const double rank = -log(uniform) * p->adaptive_share * count;
    if (!(rank < count)) return -1;
    const int64_t at = r->before[k] > 0 ? (int64_t)rank : count - 1 - (int64_t)rank;
    return p->ranking[k * p->n_items + lo + at];
}

/* One draw of an item from a group, by the upper half of `random`; -1: none. */
INLINE int32_t bpr_draw(const bpr_run *r, int group, uint64_t random) {
    const recsys_bpr *p = r->p;
    const int32_t lo = (int32_t)r->cell.lo[group], count = (int32_t)r->cell.hi[group] - lo;
    if (p->ranking) return bpr_adaptive(r, lo, count, draw(random, 1), draw(random, 2));
    const int32_t at = lo + (int32_t)below(random, (uint32_t)count);
    if (!p->alias_keep) return at;
    return (uint32_t)draw(random, 1) < p->alias_keep[at] ? at : p->alias[at];
}

/* A draw that the user has not liked; -1 after BPR_TRIES. */
INLINE int32_t bpr_negative(const bpr_run *r, const bpr_visit *v, int own, uint64_t counter) {
    for (uint64_t t = 0; t < BPR_TRIES; t++) {
        const uint64_t random = draw(r->p->key, counter * BPR_TRIES + t);
        const int group = bpr_group(r, own, random);
        const int32_t item = bpr_draw(r, group, random);
        if (item >= 0 && !is_among(v->liked[group], v->count[group], item)) return item;
    }
    return -1;
}

INLINE void prefetch_item(const recsys_bpr *p, int64_t item, int64_t vectors) {
    prefetch_bytes((const char *)sgd_row(p->y, item, p->stride), vectors * VECTOR_BYTES);
    if (p->b) __builtin_prefetch((const real *)p->b + item);
    if (!p->y_mean) return;
    const real *mean = (const real *)p->y_mean + item * p->stride;
    prefetch_bytes((const char *)mean, vectors * VECTOR_BYTES);
}

INLINE real bpr_score(const recsys_bpr *p, const real *x, int64_t item, int64_t vectors) {
    const real score = dot_rows(x, sgd_row(p->y, item, p->stride), vectors);
    return p->b ? score + ((const real *)p->b)[item] : score;
}

/* row += by * its mean; the rest of what draws it there has been in the step. */
INLINE void bpr_draw_to(real *row, const void *means, int64_t at, int64_t stride, real by,
                        int64_t vectors) {
    const real *mean = (const real *)means + at * stride;
    FOR_VECTORS(v, vectors) store(row + v * W, load(row + v * W) + splat(by) * load(mean + v * W));
}

/* What the step has left out where rows have means; not where there are none, whose steps it would
 * only be in the way of. */
static __attribute__((noinline)) void bpr_towards(const recsys_bpr *p, const bpr_step *s, real *x,
                                                  real *yi, real *yj, int64_t vectors) {
    const real rate = (real)p->rate, to_i = rate * (real)p->reg_positive;
    const real to_j = rate * (real)p->reg_negative;
    if (p->x_mean) {
        bpr_draw_to(x, p->x_mean, s->visit->user, p->stride, rate * (real)p->reg_user, vectors);
    }
    if (p->frozen) return;
    if (p->y_mean) {
        bpr_draw_to(yi, p->y_mean, s->item, p->stride, to_i, vectors);
        bpr_draw_to(yj, p->y_mean, s->other, p->stride, to_j, vectors);
    }
    if (p->b && p->b_mean) {
        real *b = p->b;
        const real *mean = p->b_mean;
        b[s->item] += to_i * mean[s->item];
        b[s->other] += to_j * mean[s->other];
    }
}

/* x_u, y_i, y_j after a step of size z; frozen items stay. */
INLINE void bpr_update(const recsys_bpr *p, const bpr_step *s, real z, int64_t vectors) {
    real *x = sgd_row(p->x, s->visit->user, p->stride);
    real *yi = sgd_row(p->y, s->item, p->stride), *yj = sgd_row(p->y, s->other, p->stride);
    const real rate = (real)p->rate, step = rate * z;
    const vec keep_u = splat(1 - rate * (real)p->reg_user);
    const vec keep_i = splat(1 - rate * (real)p->reg_positive);
    const vec keep_j = splat(1 - rate * (real)p->reg_negative);
    const int frozen = p->frozen != 0;
    FOR_VECTORS(v, vectors) {
        const vec own = load(x + v * W), liked = load(yi + v * W), other = load(yj + v * W);
        store(x + v * W, keep_u * own + splat(step) * (liked - other));
        if (frozen) continue;
        store(yi + v * W, keep_i * liked + splat(step) * own);
        store(yj + v * W, keep_j * other - splat(step) * own);
    }
    if (p->b && !frozen) {
        real *b = p->b;
        const real liked = b[s->item], other = b[s->other];
        b[s->item] = keep_i[0] * liked + step;
        b[s->other] = keep_j[0] * other - step;
    }
    if (p->x_mean || p->y_mean) bpr_towards(p, s, x, yi, yj, vectors);
}

/* The candidates from number `begin` on, BPR_CHUNK at most, asked for; how many there are. */
INLINE int64_t bpr_candidates(const bpr_run *r, const bpr_step *s, int64_t begin, int64_t vectors,
                              int32_t drawn[BPR_CHUNK]) {
    const int64_t end = min_i64(begin + BPR_CHUNK, r->p->candidates);
    int64_t count = 0;
    for (int64_t c = begin; c < end; c++) {
        const int32_t item = bpr_negative(r, s->visit, s->group, s->counter + (uint64_t)c);
        if (item < 0) continue;
        prefetch_item(r->p, item, vectors);
        drawn[count++] = item;
    }
    return count;
}

/* The best-scored of `candidates` draws; -1: none. */
INLINE int64_t bpr_hardest(const bpr_run *r, const bpr_step *s, int64_t vectors) {
    const recsys_bpr *p = r->p;
    const real *x = sgd_row(p->x, s->visit->user, p->stride);
    int64_t best = -1;
    real best_score = 0;
    for (int64_t begin = 0; begin < p->candidates; begin += BPR_CHUNK) {
        int32_t drawn[BPR_CHUNK];
        const int64_t count = bpr_candidates(r, s, begin, vectors, drawn);
        for (int64_t c = 0; c < count; c++) {
            const real score = bpr_score(p, x, drawn[c], vectors);
            if (best < 0 || score > best_score) best = drawn[c], best_score = score;
        }
    }
    return best;
}

/* The first of `candidates` draws that comes within the margin, and which one it was. */
INLINE int64_t bpr_violator(const bpr_run *r, const bpr_step *s, int64_t vectors, int64_t *trials,
                            real *difference) {
    const recsys_bpr *p = r->p;
    const real *x = sgd_row(p->x, s->visit->user, p->stride);
    const real liked = bpr_score(p, x, s->item, vectors);
    *trials = 0, *difference = 0;
    for (int64_t begin = 0; begin < p->candidates; begin += BPR_CHUNK) {
        int32_t drawn[BPR_CHUNK];
        const int64_t count = bpr_candidates(r, s, begin, vectors, drawn);
        for (int64_t c = 0; c < count; c++) {
            ++*trials;
            *difference = liked - bpr_score(p, x, drawn[c], vectors);
            if (!(*difference >= (real)p->margin)) return drawn[c];
        }
    }
    return -1;
}

INLINE void bpr_warp_step(bpr_run *r, bpr_step *s, int64_t vectors) {
    const recsys_bpr *p = r->p;
    int64_t trials;
    real difference;
    s->other = (int32_t)bpr_violator(r, s, vectors, &trials, &difference);
    r->skipped += trials == 0;
    r->steps += trials > 0;
    r->correct += trials > 0 && (s->other < 0 || difference > 0);
    if (s->other < 0) return;
    const double weight = p->rank_weights[trials - 1];
    r->loss += weight * (p->margin - (double)difference) * (double)s->weight;
    bpr_update(p, s, s->weight * (real)weight, vectors);
}

/* The steps queue[turn + part * ...], of whose number BPR_TOGETHER is the most. */
INLINE void bpr_steps(bpr_run *r, int64_t turn, int64_t part, int64_t vectors) {
    const recsys_bpr *p = r->p;
    real differences[BPR_TOGETHER + W] = {0}, right[BPR_TOGETHER + W], wrong[BPR_TOGETHER + W];
    bpr_step *steps[BPR_TOGETHER];
    int64_t count = 0;
    for (int64_t at = turn; at < r->queued; at += part) {
        bpr_step *s = &r->queue[at];
        if (s->other < 0) s->other = (int32_t)bpr_hardest(r, s, vectors);
        r->skipped += s->other < 0;
        if (s->other >= 0) steps[count++] = s;
    }
    for (int64_t begin = 0; begin < count; begin += GROUP) {
        vec products[GROUP];
        UNROLL for (int g = 0; g < GROUP; g++) {
            const bpr_step *s = steps[min_i64(begin + g, count - 1)];
            const real *x = sgd_row(p->x, s->visit->user, p->stride);
            const real *yi = sgd_row(p->y, s->item, p->stride);
            const real *yj = sgd_row(p->y, s->other, p->stride);
            products[g] = splat(0);
            FOR_VECTORS(v, vectors) {
                products[g] += load(x + v * W) * (load(yi + v * W) - load(yj + v * W));
            }
        }
        store(differences + begin, sum_lanes(products));
    }
    const real *b = p->b;
    for (int64_t s = 0; s < count && b; s++) {
        differences[s] += b[steps[s]->item] - b[steps[s]->other];
    }
    for (int64_t begin = 0; begin < count; begin += W) {
        vec opposite;
        store(right + begin, sigmoid_both(load(differences + begin), &opposite));
        store(wrong + begin, opposite);
    }
    for (int64_t s = 0; s < count; s++) {
        bpr_update(p, steps[s], steps[s]->weight * wrong[s], vectors);
        r->correct += differences[s] > 0;
        r->unlogged *= (double)right[s]; /* one logarithm for many steps */
    }
    r->steps += count;
    if (!(r->unlogged > 0x1p-20)) {
        r->loss -= log(r->unlogged);
        r->unlogged = 1;
    }
}

/* All steps of the queue; `vectors` a constant where there is a case of it. */
INLINE void bpr_flush_by(bpr_run *r, int64_t vectors) {
    const recsys_bpr *p = r->p;
    const int64_t part = (r->queued + BPR_TOGETHER - 1) / BPR_TOGETHER;
    for (int64_t turn = 0; turn < part + BPR_AHEAD; turn++) {
        for (int64_t at = turn; turn < part && at < r->queued; at += part) {
            prefetch_item(p, r->queue[at].item, vectors);
            if (r->queue[at].other >= 0) prefetch_item(p, r->queue[at].other, vectors);
        }
        if (turn < BPR_AHEAD) continue;
        if (!p->warp) {
            bpr_steps(r, turn - BPR_AHEAD, part, vectors);
            continue;
        }
        for (int64_t at = turn - BPR_AHEAD; at < r->queued; at += part) {
            bpr_warp_step(r, &r->queue[at], vectors);
        }
    }
}

static void bpr_flush(bpr_run *r) {
    const int64_t vectors = r->p->stride / W;
    switch (vectors) {
    case 2: bpr_flush_by(r, 2); break;
    case 4: bpr_flush_by(r, 4); break;
    case 8: bpr_flush_by(r, 8); break;
    default: bpr_flush_by(r, vectors);
    }
    r->queued = 0;
    r->visits[0] = r->visits[r->visited]; /* steps of it may come */
    r->visited = 0;
}

static void bpr_look_at(const bpr_run *r, const real *x) {
    const real *spread = r->p->spread;
    real total = 0;
    for (int64_t k = 0; k < r->p->factors; k++) {
        total += (x[k] < 0 ? -x[k] : x[k]) * spread[k];
        r->cumulative[k] = total;
        r->before[k] = x[k];
    }
}

INLINE void bpr_enqueue(bpr_run *r, int group, int64_t entry, uint64_t number) {
    const recsys_bpr *p = r->p;
    bpr_step *s = &r->queue[r->queued];
    s->visit = &r->visits[r->visited];
    s->item = p->items[entry], s->other = -1, s->group = group;
    s->counter = number * (uint64_t)p->candidates;
    s->weight = p->weights ? ((const real *)p->weights)[entry] : 1;
    if (!p->warp && p->candidates == 1) {
        s->other = bpr_negative(r, s->visit, group, s->counter);
        if (s->other < 0) {
            r->skipped++;
            return;
        }
    }
    if (++r->queued == BPR_QUEUE) bpr_flush(r);
}

/* The next user's entries, where at[g] is the next entry of each group. */
static bpr_visit bpr_next(const recsys_bpr *p, const recsys_cell *cell, const int64_t at[2]) {
    bpr_visit visit = {.user = INT32_MAX};
    for (int g = 0; g < 2; g++) {
        if (at[g] < cell->end[g]) visit.user = min_i64(visit.user, p->users[at[g]]);
    }
    for (int g = 0; g < 2; g++) {
        int64_t end = at[g];
        while (end < cell->end[g] && p->users[end] == visit.user) end++;
        visit.liked[g] = p->items + at[g];
        visit.count[g] = end - at[g];
    }
    return visit;
}

static void bpr_cell(const recsys_bpr *p, const recsys_cell *cell, double *sums, void *scratch) {
    char *memory = scratch;
    bpr_run *r = (bpr_run *)take(&memory, sizeof *r);
    memset(r, 0, sizeof *r);
    r->p = p, r->cell = *cell, r->unlogged = 1;
    r->cumulative = (real *)take(&memory, p->factors * REAL_BYTES);
    r->before = (real *)take(&memory, p->factors * REAL_BYTES);
    int64_t at[2] = {cell->begin[0], cell->begin[1]};
    while (at[0] < cell->end[0] || at[1] < cell->end[1]) {
        r->visited += r->queued > 0 && r->queue[r->queued - 1].visit == &r->visits[r->visited];
        bpr_visit *visit = &r->visits[r->visited];
        *visit = bpr_next(p, cell, at);
        const real *x = sgd_row(p->x, visit->user, p->stride);
        prefetch_bytes((const char *)x, p->stride * REAL_BYTES);
        if (p->ranking) bpr_look_at(r, x);
        for (int g = 0; g < 2; g++) {
            const int64_t end = at[g] + r->visits[r->visited].count[g];
            const int64_t zero = p->frozen ? at[g] : 0;
            for (; at[g] < end; at[g]++) {
                for (int64_t n = 0; n < p->negatives; n++) {
                    bpr_enqueue(r, g, at[g], (uint64_t)((at[g] - zero) * p->negatives + n));
                }
            }
        }
        if (p->frozen) bpr_flush(r); /* with steps of nobody else */
    }
    bpr_flush(r);
    sums[0] = r->loss - log(r->unlogged);
    sums[1] = (double)r->correct;
    sums[2] = (double)r->steps;
    sums[3] = (double)r->skipped;
}

static int64_t bpr_scratch_bytes(int64_t f) {
    const int64_t vector = round_up(f * REAL_BYTES, RECSYS_LINE);
    return round_up((int64_t)sizeof(bpr_run), RECSYS_LINE) + 2 * vector;
}

#endif
