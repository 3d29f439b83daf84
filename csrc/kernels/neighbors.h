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
#include <string.h>

#include "lists.h"
#include "product.h"
#include "recsys.h"
#include "scratch.h"
#include "select.h"
#include "vec.h"

#define NEIGHBORS_AHEAD 6 /* rows of B asked for before their turn */

typedef struct {
    int32_t column;
    real value;
} pair;

typedef struct {
    product_scratch touched;
    candidate *waiting; /* `room` of them, of which the n best are the list in the end */
    int64_t room, count;
    real worst; /* what a sum has to reach for the row's own list */
} neighbors_scratch;

static int64_t neighbors_layout(char *base, int64_t columns, int64_t n, neighbors_scratch *s) {
    char *at = base + round_up(product_layout(base, columns, &s->touched), RECSYS_LINE);
    s->room = 2 * n + 1024;
    s->waiting = (candidate *)take(&at, s->room * (int64_t)sizeof(candidate));
    return at - base;
}

static int64_t neighbors_scratch_bytes(int64_t columns, int64_t n) {
    neighbors_scratch s;
    return neighbors_layout(NULL, columns, n, &s);
}

/* The first entry of a user's row that is of `column` or a later one. */
static int64_t first_from(const pair *entries, int64_t count, int64_t column) {
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

/* sums[i, j] += what the users first:last add to s_ij, j <= i, for the columns i of begin:end. */
static void neighbors_head(const recsys_neighbors *p, int64_t first, int64_t last, int64_t begin,
                           int64_t end, void *head_sums) {
    for (int64_t user = first; user < last; user++) {
        const pair *restrict entries = (const pair *)p->b_pairs + p->b_indptr[user];
        const int64_t count = p->b_indptr[user + 1] - p->b_indptr[user];
        for (int64_t k = begin ? first_from(entries, count, begin) : 0;
             k < count && entries[k].column < end; k++) {
            real *restrict sums = (real *)head_sums + entries[k].column * p->head;
            const real a = entries[k].value;
            for (int64_t e = 0; e <= k; e++) sums[entries[e].column] += a * entries[e].value;
        }
    }
}

/* sums += the rows of B that a row of A names, times its values; flags NULL: not needed. */
INLINE void add_pairs(const recsys_neighbors *p, int64_t row, real *restrict sums,
                      uint8_t *restrict flags) {
    const real *values = p->a_data;
    const pair *b = p->b_pairs;
    const int64_t end = p->a_indptr[row + 1];
    for (int64_t k = p->a_indptr[row]; k < end; k++) {
        if (k + 3 * NEIGHBORS_AHEAD < end) {
            __builtin_prefetch(p->b_indptr + p->a_indices[k + 3 * NEIGHBORS_AHEAD]);
        }
        if (k + NEIGHBORS_AHEAD < end) {
            const int64_t *at = p->b_indptr + p->a_indices[k + NEIGHBORS_AHEAD];
            prefetch_bytes((const char *)(b + at[0]),
                           min_i64(at[1] - at[0], 64) * (int64_t)sizeof(pair));
        }
        const int64_t user = p->a_indices[k], count = p->b_indptr[user + 1] - p->b_indptr[user];
        const pair *restrict entries = b + p->b_indptr[user];
        const real a = values[k];
        for (int64_t e = 0; e < count; e++) {
            const uint32_t column = (uint32_t)entries[e].column;
            sums[column] += a * entries[e].value;
            if (flags) flags[column / PRODUCT_BLOCK] = 1;
        }
    }
}

/* Offer a sum to the list of the row, and to that of the column if it is of the head. */
INLINE void offer_pair(const recsys_neighbors *p, const recsys_heads *heads, int64_t row,
                       int64_t column, real sum, neighbors_scratch *s) {
    if (sum == 0) return;
    real *least = heads->least;
    if (column < p->head && !(sum < least[column])) {
        const recsys_topk lists = {.n = p->n};
        const recsys_lists out = {heads->ids, heads->scores, NULL};
        if (!(sum - sum == 0)) p->out.failed[p->names[column]] = 1; /* infinite, or no number */
        const real now = offer(&lists, column, out, heads->kept + column, (int32_t)row, sum);
        if (now > least[column]) least[column] = now;
    }
    const int32_t name = p->names[column];
    if (sum < s->worst || (name == row && p->without_itself)) return;
    if (!(sum - sum == 0)) p->out.failed[row] = 1;
    s->waiting[s->count++] = (candidate){sum, name};
    if (s->count == s->room) {
        select_best(s->waiting, s->count, p->n);
        s->count = p->n;
        s->worst = worst_score(s->waiting, s->count);
    }
}

/* The sums of one block to the lists; the block is zeros again. */
static void offer_block_of_pairs(const recsys_neighbors *p, const recsys_heads *heads, int64_t row,
                                 int64_t block, neighbors_scratch *s) {
    const real *least = heads->least;
    for (int64_t v = block * PRODUCT_BLOCK; v < (block + 1) * PRODUCT_BLOCK; v += W) {
        const vec sums = load(s->touched.sums + v);
        store(s->touched.sums + v, splat(0));
        index_vec low = sums < splat(s->worst);
        if (v < p->head) low &= sums < load(least + v);
        if (!any_clear(low | (sums == splat(0)))) continue;
        for (int64_t l = 0; l < W; l++) offer_pair(p, heads, row, v + l, sums[l], s);
    }
}

static void offer_all_blocks(const recsys_neighbors *p, const recsys_heads *heads, int64_t row,
                             neighbors_scratch *s) {
    for (int64_t word = 0; word < s->touched.blocks; word += 8) {
        uint64_t flags;
        memcpy(&flags, s->touched.flags + word, 8);
        if (!flags) continue;
        for (int64_t block = word; block < word + 8; block++) {
            if (s->touched.flags[block]) offer_block_of_pairs(p, heads, row, block, s);
        }
        memset(s->touched.flags + word, 0, 8);
    }
}

/* The same by the entries that were added, where they are few. */
static void offer_pairs_again(const recsys_neighbors *p, const recsys_heads *heads, int64_t row,
                              neighbors_scratch *s) {
    real *sums = s->touched.sums;
    for (int64_t k = p->a_indptr[row]; k < p->a_indptr[row + 1]; k++) {
        const int64_t user = p->a_indices[k], end = p->b_indptr[user + 1];
        for (int64_t e = p->b_indptr[user]; e < end; e++) {
            const int32_t column = ((const pair *)p->b_pairs)[e].column;
            offer_pair(p, heads, row, column, sums[column], s);
            sums[column] = 0;
        }
    }
}

static void neighbors_row(const recsys_neighbors *p, const recsys_heads *heads, int64_t row,
                          neighbors_scratch *s) {
    int64_t additions = 0;
    for (int64_t k = p->a_indptr[row]; k < p->a_indptr[row + 1] && additions <= PRODUCT_FEW; k++) {
        additions += p->b_indptr[p->a_indices[k] + 1] - p->b_indptr[p->a_indices[k]];
    }
    s->count = 0;
    s->worst = -(real)INFINITY;
    if (additions <= PRODUCT_FEW) {
        add_pairs(p, row, s->touched.sums, NULL);
        offer_pairs_again(p, heads, row, s);
    } else {
        add_pairs(p, row, s->touched.sums, s->touched.flags);
        offer_all_blocks(p, heads, row, s);
    }
    select_best(s->waiting, s->count, p->n);
    real *scores = (real *)p->out.scores + row * p->n;
    for (int64_t k = 0; k < min_i64(s->count, p->n); k++) {
        p->out.ids[row * p->n + k] = s->waiting[k].id;
        scores[k] = s->waiting[k].score;
    }
}

static void neighbors_rows(const recsys_neighbors *p, const recsys_heads *heads, int64_t begin,
                           int64_t end, void *scratch) {
    neighbors_scratch s;
    neighbors_layout(scratch, p->columns, p->n, &s);
    for (int64_t at = begin; at < end; at++) neighbors_row(p, heads, p->order[at], &s);
}

#endif
