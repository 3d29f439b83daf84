/* The largest entries of each row of S = B'B, without ever storing S.
 *
 *     s_ij = sum_u b_ui b_uj          2 FLOP for each meeting of two items at a user
 *
 * Always summed in the order of users, so that s_ij and s_ji are the same to the last bit. Columns
 * come by falling popularity. What it costs is not the additions but to have a user's row at hand,
 * once for each of its entries: entries are pairs, column and value side by side, in the order of
 * columns, and the rows of the first columns, the head, in which most entries are, are not gone
 * through item by item: neighbors_head adds the products of all pairs of a user's entries into one
 * square of sums that stays in cache, while B is read once from its begin to its end.
 *
 * All other items are a row by row product (see product.h). From their rows the lists of the head
 * get what they lack: a thread keeps lists of its own for the head, which the caller merges. */
#ifndef RECSYS_KERNELS_NEIGHBORS_H
#define RECSYS_KERNELS_NEIGHBORS_H

#include <math.h>
#include <stdint.h>

#include "lists.h"
#include "recsys.h"
#include "scratch.h"
#include "select.h"
#include "vec.h"

#define NEIGHBORS_AHEAD 12 /* rows of B asked for before their turn */
#define NEIGHBORS_SHARE 8  /* of the columns: where more are touched, all are looked at */

typedef struct {
    int32_t column;
    real value;
} row_pair;

typedef struct {
    real *sums;         /* columns, rounded up to whole vectors; zeros between rows */
    int32_t *touched;   /* columns whose sums are no longer 0 */
    candidate *waiting; /* `room` of them, of which the n best are the list in the end */
    int64_t most, room, count;
    real worst;  /* what a sum has to reach for the row's own list */
    real lowest; /* and at least for one of the head's */
} neighbors_scratch;

static int64_t neighbors_layout(char *base, int64_t columns, int64_t n, neighbors_scratch *s) {
    char *at = base;
    s->sums = (real *)take(&at, padded(columns) * REAL_BYTES);
    s->most = columns / NEIGHBORS_SHARE;
    s->touched = (int32_t *)take(&at, (s->most + 1) * 4);
    s->room = 2 * n + 1024;
    s->waiting = (candidate *)take(&at, s->room * (int64_t)sizeof(candidate));
    return at - base;
}

static int64_t neighbors_scratch_bytes(int64_t columns, int64_t n) {
    neighbors_scratch s;
    return neighbors_layout(NULL, columns, n, &s);
}

/* By rising column: Shell's sort with Ciura's gaps, and larger ones by 9 / 4. */
static void sort_pairs(row_pair *entries, int64_t count) {
    static const int64_t GAPS[] = {1, 4, 10, 23, 57, 132, 301, 701};
    int64_t gaps[64], rounds = 0;
    for (; rounds < 8 && GAPS[rounds] < count; rounds++) gaps[rounds] = GAPS[rounds];
    for (; rounds >= 8 && gaps[rounds - 1] * 9 / 4 < count; rounds++) {
        gaps[rounds] = gaps[rounds - 1] * 9 / 4;
    }
    while (rounds--) {
        const int64_t gap = gaps[rounds];
        for (int64_t k = gap; k < count; k++) {
            const row_pair x = entries[k];
            int64_t at = k;
            for (; at >= gap && entries[at - gap].column > x.column; at -= gap) {
                entries[at] = entries[at - gap];
            }
            entries[at] = x;
        }
    }
}

/* The rows begin:end as pairs, column c becoming ranks[c]. */
static void neighbors_pairs(const int64_t *indptr, const int32_t *indices, const void *data,
                            const int32_t *ranks, int64_t begin, int64_t end, void *out) {
    const real *values = data;
    row_pair *pairs = out;
    for (int64_t row = begin; row < end; row++) {
        for (int64_t k = indptr[row]; k < indptr[row + 1]; k++) {
            pairs[k].column = ranks[indices[k]];
            pairs[k].value = values[k];
        }
        sort_pairs(pairs + indptr[row], indptr[row + 1] - indptr[row]);
    }
}

/* The first entry of a user's row that is of `column` or a later one. */
static int64_t first_from(const row_pair *entries, int64_t count, int64_t column) {
    int64_t low = 0, high = count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (entries[middle].column < column) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The rows begin:end of A, next[i] being the place of row i's first entry, and in the end of what
 * follows its last. */
static void neighbors_transpose(const recsys_neighbors *p, int64_t users, int64_t begin,
                                int64_t end, int64_t *next, int32_t *a_indices, void *a_data) {
    real *values = a_data;
    for (int64_t user = 0; user < users; user++) {
        const row_pair *entries = (const row_pair *)p->b_pairs + p->b_indptr[user];
        const int64_t count = p->b_indptr[user + 1] - p->b_indptr[user];
        for (int64_t k = first_from(entries, count, begin); k < count && entries[k].column < end;
             k++) {
            const int64_t at = next[entries[k].column]++;
            a_indices[at] = (int32_t)user;
            values[at] = entries[k].value;
        }
    }
}

/* sums[i, j] += what the users first:last add to s_ij, j <= i, for the columns i of begin:end. */
static void neighbors_head(const recsys_neighbors *p, int64_t first, int64_t last, int64_t begin,
                           int64_t end, void *head_sums) {
    for (int64_t user = first; user < last; user++) {
        const row_pair *restrict entries = (const row_pair *)p->b_pairs + p->b_indptr[user];
        const int64_t count = p->b_indptr[user + 1] - p->b_indptr[user];
        for (int64_t k = begin ? first_from(entries, count, begin) : 0;
             k < count && entries[k].column < end; k++) {
            real *restrict sums = (real *)head_sums + entries[k].column * p->head;
            const real a = entries[k].value;
            for (int64_t e = 0; e <= k; e++) sums[entries[e].column] += a * entries[e].value;
        }
    }
}

INLINE void ask_for_pairs(const recsys_neighbors *p, int64_t k, int64_t end) {
    if (k + 2 * NEIGHBORS_AHEAD < end) {
        __builtin_prefetch(p->b_indptr + p->a_indices[k + 2 * NEIGHBORS_AHEAD]);
    }
    if (k + NEIGHBORS_AHEAD >= end) return;
    const int64_t *at = p->b_indptr + p->a_indices[k + NEIGHBORS_AHEAD];
    prefetch_bytes((const char *)((const row_pair *)p->b_pairs + at[0]),
                   min_i64(at[1] - at[0], 64) * (int64_t)sizeof(row_pair));
}

/* sums += the rows of B that a row of A names, times its values. Returns how many columns were
 * touched, -1 for too many to have them all in s->touched. */
static int64_t add_pairs(const recsys_neighbors *p, int64_t row, const neighbors_scratch *s) {
    const real *values = p->a_data;
    real *restrict sums = s->sums;
    int32_t *restrict touched = s->touched;
    const int64_t end = p->a_indptr[row + 1];
    int64_t known = 0;
    for (int64_t k = p->a_indptr[row]; k < end; k++) {
        ask_for_pairs(p, k, p->a_indptr[p->columns]); /* those of the next rows too */
        const int64_t user = p->a_indices[k], count = p->b_indptr[user + 1] - p->b_indptr[user];
        const row_pair *restrict entries = (const row_pair *)p->b_pairs + p->b_indptr[user];
        const real a = values[k];
        if (known >= 0 && known + count > s->most) known = -1;
        if (known < 0) {
            for (int64_t e = 0; e < count; e++) {
                sums[(uint32_t)entries[e].column] += a * entries[e].value;
            }
            continue;
        }
        for (int64_t e = 0; e < count; e++) {
            const uint32_t column = (uint32_t)entries[e].column;
            const real sum = sums[column];
            touched[known] = (int32_t)column;
            known += sum == 0; /* again, if it is 0 after an addition: it is offered once */
            sums[column] = sum + a * entries[e].value;
        }
    }
    return known;
}

static void offer_to_head(const recsys_neighbors *p, const recsys_heads *heads, int64_t row,
                          int64_t column, real sum) {
    const recsys_topk lists = {.n = p->n};
    const recsys_lists out = {heads->ids, heads->scores, NULL};
    real *least = heads->least;
    if (column >= p->head || sum < least[column]) return;
    if (!(sum - sum == 0)) p->out.failed[p->names[column]] = 1; /* infinite, or no number */
    const real now = offer(&lists, column, out, heads->kept + column, p->names[row], sum);
    if (now > least[column]) least[column] = now;
}

/* Offer a sum to the list of the row, and to that of the column if it is of the head. */
INLINE void offer_pair(const recsys_neighbors *p, const recsys_heads *heads, int64_t row,
                       int64_t column, real sum, neighbors_scratch *s) {
    if (sum == 0) return;
    if (!(sum < s->lowest)) offer_to_head(p, heads, row, column, sum);
    if (sum < s->worst || (column == row && p->without_itself)) return;
    if (!(sum - sum == 0)) p->out.failed[p->names[row]] = 1; /* infinite, or no number */
    s->waiting[s->count++] = (candidate){sum, (int32_t)column};
    if (s->count == s->room) {
        select_best(s->waiting, s->count, p->n, p->names);
        s->count = p->n;
        s->worst = worst_score(s->waiting, s->count);
    }
}

/* All sums to the lists; they are zeros again. */
static void offer_all_pairs(const recsys_neighbors *p, const recsys_heads *heads, int64_t row,
                            neighbors_scratch *s) {
    for (int64_t v = 0; v < p->columns; v += W) {
        const vec sums = load(s->sums + v);
        store(s->sums + v, splat(0));
        index_vec low = sums < splat(s->worst);
        if (v < p->head) low &= sums < load((const real *)heads->least + v);
        if (!any_clear(low | (sums == splat(0)))) continue;
        for (int64_t l = 0; l < W; l++) offer_pair(p, heads, row, v + l, sums[l], s);
    }
}

static void neighbors_row(const recsys_neighbors *p, const recsys_heads *heads, int64_t row,
                          neighbors_scratch *s) {
    s->count = 0;
    s->worst = -(real)INFINITY;
    const int64_t known = add_pairs(p, row, s);
    if (known < 0) offer_all_pairs(p, heads, row, s);
    for (int64_t k = 0; k < known; k++) {
        const int32_t column = s->touched[k];
        const real sum = s->sums[column];
        s->sums[column] = 0;
        offer_pair(p, heads, row, column, sum, s);
    }
    select_best(s->waiting, s->count, p->n, p->names);
    const int32_t name = p->names[row];
    int32_t *ids = p->out.ids + name * p->n;
    real *scores = (real *)p->out.scores + name * p->n;
    const int64_t kept = min_i64(s->count, p->n);
    for (int64_t k = 0; k < kept; k++) {
        ids[k] = p->names[s->waiting[k].id];
        scores[k] = s->waiting[k].score;
    }
    for (int64_t k = kept; k < p->n; k++) {
        ids[k] = RECSYS_NO_ID;
        scores[k] = -(real)INFINITY;
    }
}

/* The rows come by rank. */
static void neighbors_rows(const recsys_neighbors *p, const recsys_heads *heads, int64_t begin,
                           int64_t end, void *scratch) {
    neighbors_scratch s;
    neighbors_layout(scratch, p->columns, p->n, &s);
    s.lowest = (real)INFINITY;
    for (int64_t c = 0; c < p->head; c++) {
        const real least = ((const real *)heads->least)[c];
        s.lowest = least < s.lowest ? least : s.lowest;
    }
    for (int64_t row = begin; row < end; row++) neighbors_row(p, heads, row, &s);
}

#endif
