/* The best of many candidates, in no order: Hoare's selection (Algorithm 65, CACM 4, 1961), with
 * partitions that have no branch to guess but whether scores are equal. Then the higher name is
 * better, so no two are alike: what is selected does not depend on the order they come in. */
#ifndef RECSYS_KERNELS_SELECT_H
#define RECSYS_KERNELS_SELECT_H

#include <stdint.h>

#include "recsys.h"
#include "vec.h"

typedef struct {
    real score;
    int32_t id;
} candidate;

/* Of equal scores the one with the higher name. */
INLINE int is_better(candidate a, candidate b, const int32_t *names) {
    if (a.score == b.score) return names[a.id] > names[b.id];
    return a.score > b.score;
}

INLINE void swap_candidates(candidate *a, candidate *b) {
    const candidate x = *a;
    *a = *b;
    *b = x;
}

/* Brings those better than the last to the front, it behind them; returns its place. */
static int64_t partition(candidate *v, int64_t count, const int32_t *names) {
    const candidate pivot = v[count - 1];
    int64_t better = 0;
    for (int64_t k = 0; k < count - 1; k++) {
        const candidate x = v[k];
        v[k] = v[better];
        v[better] = x;
        better += is_better(x, pivot, names);
    }
    swap_candidates(v + better, v + count - 1);
    return better;
}

/* Brings the n best of `count` to the front. */
static void select_best(candidate *v, int64_t count, int64_t n, const int32_t *names) {
    while (n > 0 && n < count) {
        candidate *a = v, *b = v + count / 2, *c = v + count - 1; /* the middle of three */
        if (is_better(*a, *b, names)) swap_candidates(a, b);
        if (is_better(*c, *b, names)) swap_candidates(b, c);
        if (is_better(*a, *c, names)) swap_candidates(a, c);
        const int64_t better = partition(v, count, names);
        if (better >= n) {
            count = better;
        } else {
            v += better + 1;
            count -= better + 1;
            n -= better + 1;
        }
    }
}

static real worst_score(const candidate *v, int64_t count) {
    real worst = v[0].score;
    for (int64_t k = 1; k < count; k++) worst = v[k].score < worst ? v[k].score : worst;
    return worst;
}

#endif
