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
    real *a;       /* a row of the group each: slabs of core rows */
    real *border;  /* a row of the group each: fp, the last column of A if it is kept apart */
    real *b;       /* a row of the group each: fp */
    real *scale;   /* a row of the group each: fp */
    int64_t *next; /* a row of the group each: the first entry not yet added */
    real *x, *inverse;
} primal_scratch;

/* A last column that begins a vector of its own, as biases make it beside 64 or 128 factors, would
 * cost as much as W. It is kept apart, as a border of the matrix of the others, the core. */
INLINE int has_border(int64_t f) { return f > 1 && f % W == 1; }
INLINE int64_t core_size(int64_t f) { return has_border(f) ? f - 1 : padded(f); }

static int64_t long_group_rows(int64_t f) {
    const int64_t core = core_size(f), each = core / W * slab_stride(core) * REAL_BYTES;
    return each > LONG_GROUP ? 1 : min_i64(LONG_GROUP / each, LONG_MOST);
}

static int64_t primal_layout(char *base, int64_t f, int64_t rows, primal_scratch *s) {
    const int64_t fp = padded(f), core = core_size(f);
    char *at = base;
    s->panel = (real *)take(&at, fp / W * slab_stride(PANEL) * REAL_BYTES);
    s->a = (real *)take(&at, rows * (core / W) * slab_stride(core) * REAL_BYTES);
    s->border = (real *)take(&at, rows * fp * REAL_BYTES);
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
    const int64_t f = p->factors, width = readable(p), ldp = slab_stride(PANEL);
    const real *y = fixed_row(p, entry);
    const vec weight = splat(root_weight), pulled = splat(pull);
    for (int64_t v = 0; v * W < f; v++) {
        const vec z = load_row(y, v, width) * load(scale + v * W);
        store(b + v * W, load(b + v * W) + pulled * z);
        store(panel + v * ldp + k * W, weight * z);
    }
}

/* border += sign * P'q, q being the panel's last column. */
static void add_border(const real *panel, int64_t depth, int64_t f, real sign, real *border) {
    const int64_t ldp = slab_stride(PANEL);
    const real *last = panel + f / W * ldp;
    for (int64_t v = 0; v * W < f; v += NV) {
        vec sums[NV];
        UNROLL for (int n = 0; n < NV; n++) sums[n] = splat(0);
        /* past the last slab it is read again, and not stored */
        const real *slabs[NV];
        UNROLL for (int n = 0; n < NV; n++) slabs[n] = panel + min_i64(v + n, f / W) * ldp;
        for (int64_t k = 0; k < depth; k++) {
            const vec own = splat(last[k * W]);
            UNROLL for (int n = 0; n < NV; n++) sums[n] += own * load(slabs[n] + k * W);
        }
        for (int64_t n = 0; n < NV && (v + n) * W < f; n++) {
            real *at = border + (v + n) * W;
            store(at, load(at) + splat(sign) * sums[n]);
        }
    }
}

/* Row l's A += sign * P'P for the panel's first `depth` rows. */
static void add_panel(int64_t f, int64_t depth, real sign, int64_t l, const primal_scratch *s) {
    const int64_t core = core_size(f), ld = slab_stride(core);
    syrk(s->panel, slab_stride(PANEL), depth, core, s->a + l * (core / W) * ld, ld, sign);
    if (has_border(f)) add_border(s->panel, depth, f, sign, s->border + l * padded(f));
}

/* Add the entries [begin, end) whose c - w0 has the given sign to row l of the group; 0 counts as
 * positive. Returns whether there were any of the other sign. */
static int add_entries(const recsys_als *p, int64_t begin, int64_t end, real sign, int64_t l,
                       const primal_scratch *s) {
    const int64_t f = p->factors, fp = padded(f);
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
                   s->b + l * fp);
        if (depth == PANEL) {
            add_panel(f, depth, sign, l, s);
            depth = 0;
        }
    }
    if (depth) add_panel(f, depth, sign, l, s);
    return others;
}

/* Add the entries [begin, end) to row l of the group. */
static void add_block(const recsys_als *p, int64_t row, int64_t begin, int64_t end, int64_t l,
                      const primal_scratch *s) {
    (void)row;
    if (end > begin && add_entries(p, begin, end, 1, l, s)) add_entries(p, begin, end, -1, l, s);
}

/* Element (i, j), i <= j, of the matrix of the group's first row. */
INLINE real *formed(const primal_scratch *s, int64_t f, int64_t i, int64_t j) {
    const int64_t core = core_size(f);
    return j < core ? s->a + j / W * slab_stride(core) + i * W + j % W : s->border + i;
}

static void clear_formed(int64_t f, const primal_scratch *s) {
    const int64_t core = core_size(f);
    memset(s->a, 0, (size_t)(core / W * slab_stride(core)) * sizeof(real));
    memset(s->border, 0, (size_t)padded(f) * sizeof(real));
}

/* sum_k (c_k - w0) y_k y_k' of a row alone, unscaled, and g_k y_k, which is added to b. */
static void form_entries(const recsys_als *p, int64_t row, const primal_scratch *s) {
    const int64_t begin = p->indptr[row], end = p->indptr[row + 1];
    clear_formed(p->factors, s);
    for (int64_t v = 0; v * W < p->factors; v++) store(s->scale + v * W, splat(1));
    prefetch_entries(p, begin, end);
    if (add_entries(p, begin, end, 1, 0, s)) add_entries(p, begin, end, -1, 0, s);
}

static real dot(const real *x, const real *y, int64_t n) {
    vec sum = splat(0);
    for (int64_t j = 0; j < n; j += W) sum += load(x + j) * load(y + j);
    return sum_vec(sum);
}

/* The last unknown of [U'U c; c' m] x = b, where `border` is [U^-T c, m] and `b` [U^-T b, b_last].
 * A pivot that is not positive gives NaN. */
static real solve_border(const real *border, const real *b, int64_t core) {
    const real pivot = root(border[core] - dot(border, border, core));
    return (b[core] - dot(border, b, core)) / pivot / pivot;
}

static void primal_finish(const recsys_als *p, int64_t row, int64_t l, const primal_scratch *s) {
    const int64_t f = p->factors, fp = padded(f), core = core_size(f), ld = slab_stride(core);
    real *a = s->a + l * (core / W) * ld, *b = s->b + l * fp, *border = s->border + l * fp;
    const real trace = add_identity(a, ld, core);
    mark_if_imprecise(p, row, has_border(f) ? trace + border[core] : trace);
    cholesky(a, ld, core, s->inverse);
    solve_lower(a, ld, core, s->inverse, b);
    real last = 0;
    if (has_border(f)) {
        border[core] += 1;
        solve_lower(a, ld, core, s->inverse, border);
        last = solve_border(border, b, core);
        for (int64_t j = 0; j < core; j += W) {
            store(b + j, load(b + j) - splat(last) * load(border + j));
        }
    }
    solve_upper(a, ld, core, s->inverse, b, s->x);
    if (has_border(f)) store(s->x + core, load_first(&last, 1));
    finish_row(p, row, s->scale + l * fp, s->x);
}

/* What is done with the entries [begin, end) of a row, number l of its group. */
typedef void block_work(const recsys_als *p, int64_t row, int64_t begin, int64_t end, int64_t l,
                        const primal_scratch *s);

/* `work` on every row of the group, a block of so many columns at a time. */
INLINE void go_through(const recsys_als *p, const int32_t *rows, int64_t count, int64_t block,
                       block_work *work, const primal_scratch *s) {
    for (int64_t l = 0; l < count; l++) s->next[l] = p->indptr[rows[l]];
    int left = 1;
    for (int64_t limit = block; left; limit += block) {
        left = 0;
        for (int64_t l = 0; l < count; l++) {
            if (l + 1 < count) prefetch_entries(p, s->next[l + 1], p->indptr[rows[l + 1] + 1]);
            const int64_t begin = s->next[l], last = p->indptr[rows[l] + 1];
            int64_t end = begin;
            while (end < last && p->indices[end] < limit) end++;
            work(p, rows[l], begin, end, l, s);
            s->next[l] = end;
            left |= end < last;
        }
    }
}

/* Solve a group of rows, the fixed side cut into blocks of so many columns. */
static void primal_solve(const recsys_als *p, const int32_t *rows, int64_t count, int64_t block,
                         row_scratch *own) {
    primal_scratch s;
    primal_layout(own->rest, p->factors, count, &s);
    const int64_t fp = padded(p->factors), core = core_size(p->factors);
    memset(s.a, 0, (size_t)(count * (core / W) * slab_stride(core)) * sizeof(real));
    memset(s.border, 0, (size_t)(count * fp) * sizeof(real));
    for (int64_t l = 0; l < count; l++) {
        scale_for(p, rows[l], own);
        memcpy(s.scale + l * fp, own->scale, (size_t)fp * sizeof(real));
        for (int64_t v = 0; v * W < fp; v++) {
            store(s.b + l * fp + v * W, load(own->scale + v * W) * load_common(p, rows[l], v));
        }
    }
    go_through(p, rows, count, block, add_block, &s);
    for (int64_t l = 0; l < count; l++) primal_finish(p, rows[l], l, &s);
}

/* Add the part of the entries [begin, end) to the row's loss. */
static void add_block_loss(const recsys_als *p, int64_t row, int64_t begin, int64_t end, int64_t l,
                           const primal_scratch *s) {
    (void)l, (void)s;
    p->row_loss[row] = add_loss(p, row, begin, end, p->row_loss[row]);
}

/* `set_loss` of a group of rows, of which each has much that the others have. */
static void set_losses(const recsys_als *p, const int32_t *rows, int64_t count, int64_t block,
                       const row_scratch *own) {
    primal_scratch s;
    primal_layout(own->rest, p->factors, count, &s);
    for (int64_t l = 0; l < count; l++) p->row_loss[rows[l]] = 0;
    go_through(p, rows, count, block, add_block_loss, &s);
}

#endif
