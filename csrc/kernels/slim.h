/* Sparse linear regressions: an item's column on those of its candidates (Ning and Karypis 2011).
 *
 *     w = argmin |x_j - sum_c w_c x_c|^2 / 2 + l2 |w|^2 / 2 + l1 |w|_1,   w >= 0 if that is wanted
 *
 * The users of the candidates are gone through once, each keeping a list of whose entries it was
 * met in, which gives all inner products G = X_C' X_C and X_C' x_j: one FLOP pair for each pair of
 * candidates that a user has, and no matrix of items x items anywhere. Where there is one, as of
 * catalogues of which users have much, they are read from it. Then coordinate descent
 * (Friedman, Hastie and Tibshirani 2010, section 2.2), one candidate after the other,
 *
 *     w_c <- S(r_c + G_cc w_c, l1) / (G_cc + l2),   r = X_C' x_j - G w kept up to date,
 *
 * where S moves a number towards 0 by l1: 2 m FLOP where w_c changes, nothing where it does not.
 * It ends when in a whole sweep no weight moved by more than `tolerance` times the largest. All of
 * this is in double. Heads of lists come as zeros, and each item leaves them so. */
#ifndef RECSYS_KERNELS_SLIM_H
#define RECSYS_KERNELS_SLIM_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "recsys.h"
#include "scratch.h"
#include "vec.h"

enum { SLIM_TOO_FEW_SWEEPS = 1, SLIM_NOT_FINITE = 2 };

typedef struct {
    int64_t next; /* the one before in its user's list, plus 1; 0: none */
    int64_t place;
    double value;
} slim_entry;

typedef struct {
    int64_t *heads;      /* (users,) as `next` */
    slim_entry *entries; /* of the item and its candidates */
    double *gram;        /* (most, most + 1): with x_j, and with each candidate */
    double *residual;    /* (most,) */
    double *w;           /* (most,) */
} slim_scratch;

static int64_t slim_layout(char *base, int64_t users, int64_t most, int64_t longest,
                           slim_scratch *s) {
    char *at = base;
    s->heads = (int64_t *)take(&at, users * 8);
    s->entries = (slim_entry *)take(&at, longest * (int64_t)sizeof(slim_entry));
    s->gram = (double *)take(&at, most * (most + 1) * 8);
    s->residual = (double *)take(&at, most * 8);
    s->w = (double *)take(&at, most * 8);
    return at - base;
}

static int64_t slim_scratch_bytes(int64_t users, int64_t most, int64_t longest) {
    slim_scratch s;
    return slim_layout(NULL, users, most, longest, &s);
}

/* The inner products of candidates 0 to m - 1 with the item, and with each other. */
static void slim_gather(const recsys_slim *p, int32_t item, const int32_t *candidates, int64_t m,
                        const slim_scratch *s) {
    for (int64_t i = 0; i < m; i++) {
        const double *restrict row = p->products + candidates[i] * p->items;
        double *restrict sums = s->gram + i * (m + 1);
        sums[0] = row[item];
        for (int64_t j = 0; j < m; j++) sums[j + 1] = row[candidates[j]];
    }
}

/* The same, from the matrix. */
static void slim_gram(const recsys_slim *p, int32_t item, const int32_t *candidates, int64_t m,
                      const slim_scratch *s) {
    const real *restrict values = p->values;
    memset(s->gram, 0, (size_t)(m * (m + 1)) * 8);
    int64_t count = 0;
    for (int64_t place = -1; place < m; place++) {
        const int32_t row = place < 0 ? item : candidates[place];
        double *restrict sums = place < 0 ? s->residual : s->gram + place * (m + 1);
        for (int64_t k = p->indptr[row]; k < p->indptr[row + 1]; k++) {
            int64_t *head = s->heads + p->indices[k];
            const double value = (double)values[k];
            if (place >= 0) sums[place + 1] += value * value;
            for (int64_t e = *head; e; e = s->entries[e - 1].next) {
                sums[s->entries[e - 1].place + 1] += value * s->entries[e - 1].value;
            }
            s->entries[count++] = (slim_entry){*head, place, value};
            *head = count;
        }
    }
    for (int64_t place = -1; place < m; place++) {
        const int32_t row = place < 0 ? item : candidates[place];
        for (int64_t k = p->indptr[row]; k < p->indptr[row + 1]; k++) s->heads[p->indices[k]] = 0;
    }
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < i; j++) {
            s->gram[j * (m + 1) + i + 1] = s->gram[i * (m + 1) + j + 1];
        }
    }
}

/* S(pull, l1) / curvature. */
static double slim_weight(const recsys_slim *p, double pull, double curvature) {
    if (pull > p->l1) return (pull - p->l1) / curvature;
    if (pull < -p->l1 && !p->nonnegative) return (pull + p->l1) / curvature;
    return 0;
}

/* Returns whether the weights have settled; they are no numbers where sums are infinite. */
static int slim_descend(const recsys_slim *p, int64_t m, const slim_scratch *s) {
    double *restrict r = s->residual, *restrict w = s->w, all = 0;
    for (int64_t i = 0; i < m; i++) {
        r[i] = s->gram[i * (m + 1)];
        all += fabs(r[i]) + s->gram[i * (m + 1) + i + 1];
    }
    for (int64_t i = 0; i < m; i++) w[i] = isfinite(all) ? 0 : (double)NAN;
    if (!isfinite(all)) return 1;
    for (int64_t sweep = 0; sweep < p->sweeps; sweep++) {
        double moved = 0, largest = 0;
        for (int64_t i = 0; i < m; i++) {
            const double *restrict g = s->gram + i * (m + 1) + 1;
            if (!(g[i] > 0)) continue;
            const double to = slim_weight(p, r[i] + g[i] * w[i], g[i] + p->l2), step = to - w[i];
            for (int64_t j = 0; j < m && step != 0; j++) r[j] -= g[j] * step;
            w[i] = to;
            moved = fabs(step) > moved ? fabs(step) : moved;
            largest = fabs(to) > largest ? fabs(to) : largest;
        }
        if (moved <= p->tolerance * largest) return 1;
    }
    return m == 0;
}

static void slim_rows(const recsys_slim *p, int64_t begin, int64_t end, void *scratch) {
    slim_scratch s;
    slim_layout(scratch, p->users, p->most, p->longest, &s);
    for (int64_t at = begin; at < end; at++) {
        const int32_t item = p->order[at];
        const int32_t *candidates = p->candidates + item * p->most;
        real *weights = (real *)p->weights + item * p->most;
        int64_t m = 0;
        while (m < p->most && candidates[m] != RECSYS_NO_ID) m++;
        (p->products ? slim_gather : slim_gram)(p, item, candidates, m, &s);
        if (!slim_descend(p, m, &s)) p->failed[item] = SLIM_TOO_FEW_SWEEPS;
        for (int64_t i = 0; i < m; i++) {
            weights[i] = (real)s.w[i];
            if (!isfinite(weights[i])) p->failed[item] = SLIM_NOT_FINITE;
        }
    }
}

#endif
