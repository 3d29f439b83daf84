/* The half-sweep over a span of rows: which solver each row gets, and the loss.
 *
 *     n = 0                           x = 0, or what offsets and mean alone make
 *     c >= w0, n small                batch   n^2 f + n^3 / 3      W rows at once
 *     c >= w0, n under 5 f / 8        wide    n^2 f + n^3 / 3
 *     otherwise                       primal  n f^2 + f^3 / 3      in groups where n is large
 *     cg_steps > 0, in between        cg      (steps + 1) 4 n f
 *
 * The choice depends on the row alone, never on its neighbours or on threads. With cg_steps > 0 a
 * row is solved exactly where that costs no more than its steps: when it is very short, or so long
 * that its entries would be gathered anew each step while forming f x f is cheap. */
#ifndef RECSYS_KERNELS_ALS_H
#define RECSYS_KERNELS_ALS_H

#include <stdint.h>

#include "als_batch.h"
#include "als_cg.h"
#include "als_primal.h"
#include "als_row.h"
#include "als_wide.h"
#include "recsys.h"
#include "vec.h"

#define CG_FEWEST 16          /* shorter rows: the batch is as fast as three steps, and exact */
#define CG_PRIMAL_FACTORS 256 /* at more factors gathering anew costs less than f x f */
#define STREAMED 128          /* entries asked for ahead; further on the hardware does it */

static int64_t als_scratch_bytes(int64_t f, int64_t cg_steps, int64_t longest) {
    batch_scratch batch;
    wide_scratch wide;
    primal_scratch primal;
    cg_scratch cg;
    const int64_t rows = is_long(longest, f) ? long_group_rows(f) : 1;
    const int64_t sizes[] = {batch_layout(NULL, f, &batch), wide_layout(NULL, f, &wide),
                             primal_layout(NULL, f, rows, &primal),
                             cg_steps > 0 ? cg_layout(NULL, f, &cg) : 0};
    int64_t most = 0;
    for (int i = 0; i < 4; i++) most = sizes[i] > most ? sizes[i] : most;
    return most + 2 * round_up(padded(f) * REAL_BYTES, RECSYS_LINE);
}

static int all_at_least_unobserved(const recsys_als *p, int64_t row) {
    int below = 0;
    for (int64_t k = p->indptr[row]; k < p->indptr[row + 1]; k++) {
        below |= read_entry(p, k).weight < 0;
    }
    return !below;
}

/* `below`: some entry has c < w0 */
static recsys_row_path row_path(int64_t n, int64_t f, int64_t cg_steps, int below) {
    if (n == 0) return RECSYS_ROW_EMPTY;
    if (cg_steps > 0 && n > CG_FEWEST) {
        return is_long(n, f) && f <= CG_PRIMAL_FACTORS ? RECSYS_ROW_LONG : RECSYS_ROW_CG;
    }
    if (!below && n <= min_i64(f, RECSYS_BATCH_MOST)) return RECSYS_ROW_BATCH;
    if (!below && n <= wide_most(f)) return RECSYS_ROW_WIDE;
    return is_long(n, f) ? RECSYS_ROW_LONG : RECSYS_ROW_PRIMAL;
}

static recsys_row_path choose_path(const recsys_als *p, int64_t row) {
    const int64_t n = p->indptr[row + 1] - p->indptr[row], f = p->factors;
    const recsys_row_path path = row_path(n, f, p->cg_steps, 0);
    const int is_dual = path == RECSYS_ROW_BATCH || path == RECSYS_ROW_WIDE;
    if (!is_dual || all_at_least_unobserved(p, row)) return path;
    return row_path(n, f, p->cg_steps, 1);
}

/* Rows come longest first, anywhere in memory, so what the next ones need is asked for while this
 * one is solved, in the order in which one address leads to another. Within a row a gather asks
 * AHEAD by itself, and so does a batch, BATCH_AHEAD: the first entries of its rows come here. */
static void prefetch_next_rows(const recsys_als *p, int64_t at, int64_t end) {
    if (at + 3 * W < end) {
        const int32_t row = p->order[at + 3 * W];
        __builtin_prefetch(p->indptr + row);
        __builtin_prefetch(p->regularization + row);
    }
    if (at + 2 * W < end) {
        const int32_t row = p->order[at + 2 * W];
        const int64_t first = p->indptr[row], n = min_i64(p->indptr[row + 1] - first, STREAMED);
        prefetch_bytes((const char *)(p->indices + first), n * (int64_t)sizeof(int32_t));
        prefetch_bytes((const char *)p->confidence + first * REAL_BYTES, n * REAL_BYTES);
    }
    if (at + W < end) {
        const int32_t row = p->order[at + W];
        const int64_t first = p->indptr[row], last = p->indptr[row + 1];
        prefetch_entries(p, first, min_i64(first + BATCH_AHEAD, last));
        prefetch_bytes((const char *)solved_row(p, row), p->factors * REAL_BYTES);
        if (p->common_stride) {
            prefetch_bytes((const char *)common_row(p, row), p->factors * REAL_BYTES);
        }
    }
    if (at + 1 < end) {
        const int32_t row = p->order[at + 1];
        const int64_t first = p->indptr[row], last = p->indptr[row + 1];
        if (last - first > CG_FEWEST) prefetch_entries(p, first, last);
    }
}

/* Rows of one path, solved together when there are enough of them. */
typedef struct {
    int32_t rows[LONG_MOST];
    int64_t count, most;
} row_group;

static void solve_batch(const recsys_als *p, row_group *g, row_scratch *s) {
    if (g->count) batch_solve(p, g->rows, g->count, s->rest);
    set_loss(p, g->rows, g->count);
    g->count = 0;
}

static void solve_long(const recsys_als *p, row_group *g, row_scratch *s) {
    const int64_t block = max_i64(LONG_BLOCK / (p->factors * REAL_BYTES), 1);
    if (g->count) primal_solve(p, g->rows, g->count, block, s);
    if (g->count && p->row_loss) set_losses(p, g->rows, g->count, block, s);
    g->count = 0;
}

static void als_rows(const recsys_als *p, int64_t begin, int64_t end, void *scratch) {
    const int64_t f = p->factors;
    row_scratch s = open_scratch(scratch, f);
    row_group batch = {.most = W}, longs = {.most = long_group_rows(f)};
    for (int64_t at = begin; at < end; at++) {
        const int32_t row = p->order[at];
        const recsys_row_path path = choose_path(p, row);
        prefetch_next_rows(p, at, end);
        if (path == RECSYS_ROW_BATCH) {
            batch.rows[batch.count++] = row;
            if (batch.count == batch.most) solve_batch(p, &batch, &s);
            continue;
        }
        if (path == RECSYS_ROW_LONG) {
            longs.rows[longs.count++] = row;
            if (longs.count == longs.most) solve_long(p, &longs, &s);
            continue;
        }
        if (path == RECSYS_ROW_EMPTY) {
            empty_solve(p, row, &s);
        } else {
            scale_for(p, row, &s);
            if (path == RECSYS_ROW_WIDE) wide_solve(p, row, s.scale, s.rest);
            if (path == RECSYS_ROW_PRIMAL) primal_solve(p, &row, 1, ALL_COLUMNS, &s);
            if (path == RECSYS_ROW_CG) cg_solve(p, row, s.scale, s.unscale, s.rest);
        }
        set_loss(p, &row, 1);
    }
    solve_long(p, &longs, &s);
    solve_batch(p, &batch, &s);
}

static void als_loss(const recsys_als *p, int64_t begin, int64_t end, void *scratch) {
    (void)scratch;
    for (int64_t row = begin; row < end; row++) p->row_loss[row] = stored_loss(p, row);
}

#endif
