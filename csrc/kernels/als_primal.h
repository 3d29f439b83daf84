/* Exactly, by the f x f matrix: form it, factorize it, solve (primal).
 *
 *     A = I + sum_k (c_k - w0) z_k z_k',    A x~ = d . b_0 + sum_k g_k z_k
 *
 * Entries are gathered a panel at a time, scaled by sqrt|c - w0| on the way into slabs, and added
 * by the tiles of syrk: entries with c > w0 first, then those with c < w0 with a minus sign.
 * Panels make the sum of a 77,000-entry row some hundred times more accurate in float32 than one
 * rank-1 update after another. n f^2 + f^3 / 3 FLOP.
 *
 * Long rows are solved some at a time, because much of what one gathers the others gather too: the
 * fixed side is cut into blocks that stay in cache while every row of the group adds its entries
 * there. The cut depends on f alone, so that a row's bits do not depend on its company. */
#ifndef RECSYS_KERNELS_ALS_PRIMAL_H
#define RECSYS_KERNELS_ALS_PRIMAL_H

#include <stdint.h>
#include <string.h>

#include "als_row.h"
#include "cholesky.h"
#include "recsys.h"
#include "scratch.h"
#include "tile.h"
#include "vec.h"

#ifndef LONG_BLOCK
#define LONG_BLOCK 4194304 /* bytes of the fixed side in a block: some of L3 */
#endif
#define ALL_COLUMNS ((int64_t)1 << 32)
#define LONG_GROUP 2097152 /* bytes of the matrices A of a group */
#define LONG_MOST 128      /* rows in a group */

_Static_assert(LONG_MOST >= W, "row_group holds a batch or a group of long rows");

typedef struct {
    real *panel;   /* slabs of PANEL rows */
    real *a;       /* a row of the group each: slabs of fp rows */
    real *b;       /* a row of the group each: fp */
    real *scale;   /* a row of the group each: fp */
    int64_t *next; /* a row of the group each: the first entry not yet added */
    real *x, *inverse;
} primal_scratch;

static int64_t long_group_rows(int64_t f) {
    const int64_t fp = padded(f), each = fp / W * slab_stride(fp) * REAL_BYTES;
    return each > LONG_GROUP ? 1 : min_i64(LONG_GROUP / each, LONG_MOST);
}

static int64_t primal_layout(char *base, int64_t f, int64_t rows, primal_scratch *s) {
    const int64_t fp = padded(f), slabs = fp / W;
    char *at = base;
    s->panel = (real *)take(&at, slabs * slab_stride(PANEL) * REAL_BYTES);
    s->a = (real *)take(&at, rows * slabs * slab_stride(fp) * REAL_BYTES);
    s->b = (real *)take(&at, rows * fp * REAL_BYTES);
    s->scale = (real *)take(&at, rows * fp * REAL_BYTES);
    s->next = (int64_t *)take(&at, rows * (int64_t)sizeof(int64_t));
    s->x = (real *)take(&at, fp * REAL_BYTES);
    s->inverse = (real *)take(&at, fp * REAL_BYTES);
    return at - base;
}

/* One entry into row k of the panel, and its part of the right-hand side. */
INLINE void pack_entry(const recsys_als *p, int64_t entry, const real *scale, real root_weight,
                       real pull, int64_t k, real *panel, real *b) {
    const int64_t f = p->factors, ldp = slab_stride(PANEL);
    const real *y = fixed_row(p, entry);
    const vec weight = splat(root_weight), pulled = splat(pull);
    for (int64_t v = 0; v * W < f; v++) {
        const vec z = load_row(y, v, f) * load(scale + v * W);
        store(b + v * W, load(b + v * W) + pulled * z);
        store(panel + v * ldp + k * W, weight * z);
    }
}

/* Add the entries [begin, end) whose c - w0 has the given sign to row l of the group; 0 counts as
 * positive. Returns whether there were any of the other sign. */
static int add_entries(const recsys_als *p, int64_t begin, int64_t end, real sign, int64_t l,
                       const primal_scratch *s) {
    const int64_t fp = padded(p->factors), ld = slab_stride(fp), ldp = slab_stride(PANEL);
    real *a = s->a + l * (fp / W) * ld, *b = s->b + l * fp;
    int64_t depth = 0;
    int others = 0;
    for (int64_t k = begin; k < end; k++) {
        prefetch_fixed(p, k + AHEAD, end);
        const als_entry own = read_entry(p, k);
        if ((own.weight < 0) != (sign < 0)) {
            others = 1;
            continue;
        }
        pack_entry(p, k, s->scale + l * fp, root(sign * own.weight), own.pull, depth++, s->panel,
                   b);
        if (depth == PANEL) {
            syrk(s->panel, ldp, depth, fp, a, ld, sign);
            depth = 0;
        }
    }
    if (depth) syrk(s->panel, ldp, depth, fp, a, ld, sign);
    return others;
}

/* Add what row l of the group has left before column `limit`; returns whether more is left. */
static int add_block(const recsys_als *p, int64_t row, int64_t limit, int64_t l,
                     const primal_scratch *s) {
    const int64_t begin = s->next[l], last = p->indptr[row + 1];
    int64_t end = begin;
    while (end < last && p->indices[end] < limit) end++;
    if (end > begin && add_entries(p, begin, end, 1, l, s)) add_entries(p, begin, end, -1, l, s);
    s->next[l] = end;
    return end < last;
}

static void primal_finish(const recsys_als *p, int64_t row, int64_t l, const primal_scratch *s) {
    const int64_t fp = padded(p->factors), ld = slab_stride(fp);
    real *a = s->a + l * (fp / W) * ld, *b = s->b + l * fp;
    mark_if_imprecise(p, row, add_identity(a, ld, fp));
    cholesky(a, ld, fp, s->inverse);
    solve_lower(a, ld, fp, s->inverse, b);
    solve_upper(a, ld, fp, s->inverse, b, s->x);
    finish_row(p, row, s->scale + l * fp, s->x);
}

/* Solve a group of rows, the fixed side cut into blocks of so many columns. */
static void primal_solve(const recsys_als *p, const int32_t *rows, int64_t count, int64_t block,
                         row_scratch *own) {
    primal_scratch s;
    primal_layout(own->rest, p->factors, count, &s);
    const int64_t fp = padded(p->factors), ld = slab_stride(fp);
    memset(s.a, 0, (size_t)(count * (fp / W) * ld) * sizeof(real));
    for (int64_t l = 0; l < count; l++) {
        scale_for(p, rows[l], own);
        memcpy(s.scale + l * fp, own->scale, (size_t)fp * sizeof(real));
        for (int64_t v = 0; v * W < fp; v++) {
            store(s.b + l * fp + v * W, load(own->scale + v * W) * load_common(p, v));
        }
        s.next[l] = p->indptr[rows[l]];
    }
    int left = 1;
    for (int64_t limit = block; left; limit += block) {
        left = 0;
        for (int64_t l = 0; l < count; l++) {
            if (l + 1 < count) prefetch_entries(p, s.next[l + 1], p->indptr[rows[l + 1] + 1]);
            left |= add_block(p, rows[l], limit, l, &s);
        }
    }
    for (int64_t l = 0; l < count; l++) primal_finish(p, rows[l], l, &s);
}

#endif
