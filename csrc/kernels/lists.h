/* The list of one query under construction: a heap in the caller's own output arrays, whose root is
 * the worst kept. Of equal scores the higher id wins, whatever the order candidates come in. */
#ifndef RECSYS_KERNELS_LISTS_H
#define RECSYS_KERNELS_LISTS_H

#include <math.h>
#include <stdint.h>

#include "recsys.h"
#include "vec.h"

INLINE int is_worse(real score, int32_t id, real than, int32_t than_id) {
    return score < than || (score == than && id < than_id);
}

/* Put (score, id) into the heap of `count`, the place `at` being free. */
static void sift_down(int32_t *ids, real *scores, int64_t count, int64_t at, real score,
                      int32_t id) {
    for (int64_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count &&
            is_worse(scores[child + 1], ids[child + 1], scores[child], ids[child])) {
            child++;
        }
        if (!is_worse(scores[child], ids[child], score, id)) break;
        scores[at] = scores[child];
        ids[at] = ids[child];
    }
    scores[at] = score;
    ids[at] = id;
}

static void sift_up(int32_t *ids, real *scores, int64_t at, real score, int32_t id) {
    for (int64_t parent; at > 0; at = parent) {
        parent = (at - 1) / 2;
        if (!is_worse(score, id, scores[parent], ids[parent])) break;
        scores[at] = scores[parent];
        ids[at] = ids[parent];
    }
    scores[at] = score;
    ids[at] = id;
}

/* Best first; the places after `count` become RECSYS_NO_ID and -inf. */
static void sort_list(int32_t *ids, real *scores, int64_t count, int64_t n) {
    for (int64_t last = count - 1; last > 0; last--) {
        const real score = scores[last];
        const int32_t id = ids[last];
        scores[last] = scores[0];
        ids[last] = ids[0];
        sift_down(ids, scores, last, 0, score, id);
    }
    for (int64_t k = count; k < n; k++) {
        ids[k] = RECSYS_NO_ID;
        scores[k] = -(real)INFINITY;
    }
}

static int is_skipped(const recsys_topk *p, int64_t query, int32_t item) {
    if (p->banned && p->banned[item]) return 1;
    if (!p->skip_indptr) return 0;
    int64_t low = p->skip_indptr[query], high = p->skip_indptr[query + 1];
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (p->skip_indices[middle] < item) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < p->skip_indptr[query + 1] && p->skip_indices[low] == item;
}

/* Returns what a score has to reach from now on. */
static real offer(const recsys_topk *p, int64_t query, recsys_lists out, int64_t *count,
                  int32_t item, real score) {
    const int64_t n = p->n;
    int32_t *ids = out.ids + query * n;
    real *scores = (real *)out.scores + query * n;
    if (!is_skipped(p, query, item)) {
        if (*count < n) {
            sift_up(ids, scores, (*count)++, score, item);
        } else if (is_worse(scores[0], ids[0], score, item)) {
            sift_down(ids, scores, n, 0, score, item);
        }
    }
    return *count < n ? -(real)INFINITY : scores[0];
}

#endif
