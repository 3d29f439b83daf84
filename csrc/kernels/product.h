/* The best columns of each row of a product, without ever storing the product.
 *
 *     score(r, c) = sum_k a_rk b_kc           2 FLOP for each meeting of entries
 *
 * Gustavson's row by row product (ACM TOMS 4, 1978) into a dense row of sums. What it costs is
 * reading rows of B from memory, so they are asked for ahead, and adding into the sums, so columns
 * had better come by falling popularity: most additions then fall into what stays in cache. What
 * was touched, and has to be looked at and cleared, is found by going over the entries again where
 * they are few, and else by flags of blocks of the sums. Nothing else is ever cleared: sums and
 * flags come as zeros, and each row leaves them so.
 *
 * Of a dense B whole rows are added, a strip of columns after the other, and all blocks looked at.
 *
 * A sum that is exactly 0 counts as no score. */
#ifndef RECSYS_KERNELS_PRODUCT_H
#define RECSYS_KERNELS_PRODUCT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "lists.h"
#include "recsys.h"
#include "scratch.h"
#include "vec.h"

#define PRODUCT_BLOCK 64   /* columns of a flag */
#define PRODUCT_AHEAD 6    /* rows of B asked for before their turn */
#define PRODUCT_STRIP 2048 /* columns of a dense B: their sums stay close */
#define PRODUCT_FEW 3000   /* additions up to which going over them again is cheaper than blocks */

_Static_assert(PRODUCT_BLOCK % W == 0, "vectors divide blocks");

typedef struct {
    real *sums;     /* columns, rounded up to whole blocks; zeros between rows */
    uint8_t *flags; /* of each block, rounded up to whole words; zeros between rows */
    int64_t blocks;
} product_scratch;

static int64_t product_layout(char *base, int64_t columns, product_scratch *s) {
    char *at = base;
    s->blocks = round_up(columns, PRODUCT_BLOCK) / PRODUCT_BLOCK;
    s->sums = (real *)take(&at, s->blocks * PRODUCT_BLOCK * REAL_BYTES);
    s->flags = (uint8_t *)take(&at, round_up(s->blocks, 8));
    return at - base;
}

static int64_t product_scratch_bytes(int64_t columns) {
    product_scratch s;
    return product_layout(NULL, columns, &s);
}

/* sums += a row of B, times `a`; flags NULL: not needed. */
INLINE void add_row(const recsys_product *p, int64_t row, real a, real *restrict sums,
                    uint8_t *restrict flags) {
    const int64_t begin = p->b_indptr[row], count = p->b_indptr[row + 1] - begin;
    const int32_t *restrict columns = p->b_indices + begin;
    const real *restrict values = (const real *)p->b_data + begin;
    for (int64_t k = 0; k < count; k++) {
        const uint32_t column = (uint32_t)columns[k];
        sums[column] += a * values[k];
        if (flags) flags[column / PRODUCT_BLOCK] = 1;
    }
}

/* sums += the rows of a dense B that a row of A names, times its values. */
static void add_dense_rows(const recsys_product *p, int64_t row, real *restrict sums) {
    const real *values = p->a_data, *b = p->b_data;
    for (int64_t begin = 0; begin < p->columns; begin += PRODUCT_STRIP) {
        const int64_t count = min_i64(p->columns - begin, PRODUCT_STRIP);
        real *restrict strip = sums + begin;
        for (int64_t k = p->a_indptr[row]; k < p->a_indptr[row + 1]; k++) {
            const real a = values[k], *restrict from = b + p->a_indices[k] * p->columns + begin;
            for (int64_t c = 0; c < count; c++) strip[c] += a * from[c];
        }
    }
}

INLINE void offer_sum(const recsys_product *p, const recsys_topk *t, int64_t row, int64_t column,
                      real sum, recsys_lists out, int64_t *kept, real *worst) {
    if (sum == 0 || sum < *worst) return;
    if (!(sum - sum == 0)) out.failed[row] = 1; /* infinite, or no number */
    const int32_t name = p->names ? p->names[column] : (int32_t)column;
    *worst = offer(t, row, out, kept, name, sum);
}

/* The sums of one block into the row's list; the block is zeros again. */
INLINE void offer_block(const recsys_product *p, const recsys_topk *t, int64_t row, int64_t block,
                        recsys_lists out, const product_scratch *s, int64_t *kept, real *worst) {
    for (int64_t v = 0; v < PRODUCT_BLOCK; v += W) {
        real *at = s->sums + block * PRODUCT_BLOCK + v;
        const vec sums = load(at);
        store(at, splat(0));
        if (!any_clear((sums < splat(*worst)) | (sums == splat(0)))) continue;
        for (int64_t l = 0; l < W; l++) {
            offer_sum(p, t, row, block * PRODUCT_BLOCK + v + l, sums[l], out, kept, worst);
        }
    }
}

INLINE void ask_for_row(const recsys_product *p, int64_t row) {
    const int64_t begin = p->b_indptr[row], count = min_i64(p->b_indptr[row + 1] - begin, 64);
    prefetch_bytes((const char *)(p->b_indices + begin), 4 * count);
    prefetch_bytes((const char *)((const real *)p->b_data + begin), REAL_BYTES * count);
}

/* Touched sums into the list and back to zero, by the entries that touched them. */
static void offer_again(const recsys_product *p, const recsys_topk *t, int64_t row,
                        recsys_lists out, real *sums, int64_t *kept, real *worst) {
    for (int64_t k = p->a_indptr[row]; k < p->a_indptr[row + 1]; k++) {
        const int64_t of = p->a_indices[k];
        for (int64_t e = p->b_indptr[of]; e < p->b_indptr[of + 1]; e++) {
            const int32_t column = p->b_indices[e];
            offer_sum(p, t, row, column, sums[column], out, kept, worst);
            sums[column] = 0;
        }
    }
}

static void offer_blocks(const recsys_product *p, const recsys_topk *t, int64_t row,
                         recsys_lists out, const product_scratch *s, int64_t *kept, real *worst) {
    for (int64_t word = 0; word < s->blocks; word += 8) {
        uint64_t flags;
        memcpy(&flags, s->flags + word, 8);
        if (!flags) continue;
        for (int64_t block = word; block < word + 8; block++) {
            if (s->flags[block]) offer_block(p, t, row, block, out, s, kept, worst);
        }
        memset(s->flags + word, 0, 8);
    }
}

/* The sums of a row, by a sparse B. Returns whether so few were added that no flags are set. */
static int add_rows(const recsys_product *p, int64_t row, const product_scratch *s) {
    const real *values = p->a_data;
    const int64_t begin = p->a_indptr[row], end = p->a_indptr[row + 1];
    int64_t work = 0;
    for (int64_t k = begin; k < end && work <= PRODUCT_FEW; k++) {
        work += p->b_indptr[p->a_indices[k] + 1] - p->b_indptr[p->a_indices[k]];
    }
    const int few = work <= PRODUCT_FEW;
    for (int64_t k = begin; k < end; k++) {
        if (k + 3 * PRODUCT_AHEAD < end) {
            __builtin_prefetch(p->b_indptr + p->a_indices[k + 3 * PRODUCT_AHEAD]);
        }
        if (k + PRODUCT_AHEAD < end) ask_for_row(p, p->a_indices[k + PRODUCT_AHEAD]);
        if (few) {
            add_row(p, p->a_indices[k], values[k], s->sums, NULL);
        } else {
            add_row(p, p->a_indices[k], values[k], s->sums, s->flags);
        }
    }
    return few;
}

static void product_row(const recsys_product *p, const recsys_topk *t, int64_t row,
                        recsys_lists out, const product_scratch *s) {
    int64_t kept = 0;
    int few = 0;
    if (p->b_indices) {
        few = add_rows(p, row, s);
    } else if (p->a_indptr[row] < p->a_indptr[row + 1]) {
        add_dense_rows(p, row, s->sums);
        memset(s->flags, 1, (size_t)s->blocks);
    }
    real worst = -(real)INFINITY;
    if (few) {
        offer_again(p, t, row, out, s->sums, &kept, &worst);
    } else {
        offer_blocks(p, t, row, out, s, &kept, &worst);
    }
    if (!t->unsorted) {
        sort_list(out.ids + row * t->n, (real *)out.scores + row * t->n, kept, t->n);
    }
}

static void product_topk_rows(const recsys_product *p, const recsys_topk *t, int64_t begin,
                              int64_t end, recsys_lists out, void *scratch) {
    product_scratch s;
    product_layout(scratch, p->columns, &s);
    for (int64_t row = begin; row < end; row++) {
        product_row(p, t, p->order ? p->order[row] : row, out, &s);
    }
}

#endif
