/* Conjugate gradient on (I + Z'D Z) x~ = d . b_0 + Z'g, D = diag(c - w0), from the row's last
 * factors.
 *
 * z = d . y is never formed: d goes into the vector that meets y, and into the sum that comes out.
 * One pass over the row's entries does both products of a step: GROUP scores by dot products,
 * then the same GROUP rows, still in L1, are added up with the scores as weights. 4 n f FLOP a
 * pass, cg_steps + 1 passes. The first pass gathers the rows into a packed panel as it goes; a long
 * row, which does not fit in it, is gathered again each pass. */
#ifndef RECSYS_KERNELS_ALS_CG_H
#define RECSYS_KERNELS_ALS_CG_H

#include <stdint.h>
#include <string.h>

#include "als_row.h"
#include "recsys.h"
#include "scratch.h"
#include "vec.h"

typedef struct {
    real *panel;               /* panel_rows x fp, gathered */
    real *weight, *pull;       /* panel_rows + W: c - w0 and g of the panel's entries */
    real *direction, *product; /* fp: what meets y, the sum that comes out */
    real *x, *r, *p;           /* fp: iterate, residual, search direction, all of x~ */
    int64_t panel_rows;
} cg_scratch;

static int64_t cg_layout(char *base, int64_t f, cg_scratch *s) {
    const int64_t fp = padded(f), rows = LONG_ROW / (fp * REAL_BYTES);
    char *at = base;
    s->panel_rows = round_up(rows < 4 * GROUP ? 4 * GROUP : rows, GROUP);
    s->panel = (real *)take(&at, s->panel_rows * fp * REAL_BYTES);
    s->weight = (real *)take(&at, (s->panel_rows + W) * REAL_BYTES);
    s->pull = (real *)take(&at, (s->panel_rows + W) * REAL_BYTES);
    s->direction = (real *)take(&at, fp * REAL_BYTES);
    s->product = (real *)take(&at, fp * REAL_BYTES);
    s->x = (real *)take(&at, fp * REAL_BYTES);
    s->r = (real *)take(&at, fp * REAL_BYTES);
    s->p = (real *)take(&at, fp * REAL_BYTES);
    return at - base;
}

/* c - w0 and g of entries [begin, begin + count), up to a multiple of GROUP with zeros. */
static void cg_read(const recsys_als *p, int64_t begin, int64_t count, const cg_scratch *s) {
    for (int64_t k = 0; k < count; k++) {
        const als_entry own = read_entry(p, begin + k);
        s->weight[k] = own.weight;
        s->pull[k] = own.pull;
    }
    for (int64_t k = count; k % GROUP; k++) s->weight[k] = s->pull[k] = 0;
}

/* The dot products of GROUP rows with the direction: of the panel's, or of those of entries from k
 * on, which go into the panel on the way; entries beyond the last are the last again. */
INLINE vec cg_scores(const recsys_als *p, int64_t k, int64_t end, int gathers, real *panel,
                     const cg_scratch *s) {
    const int64_t fp = padded(p->factors), width = readable(p);
    const real *rows[GROUP];
    vec sums[GROUP];
    for (int g = 0; g < GROUP; g++) {
        sums[g] = splat(0);
        if (!gathers) continue;
        rows[g] = fixed_row(p, min_i64(k + g, end - 1));
        prefetch_fixed(p, k + g + AHEAD, end);
    }
    for (int64_t j = 0; gathers && j + W <= width; j += W, panel += GROUP * W) {
        const vec direction = load(s->direction + j);
        UNROLL for (int g = 0; g < GROUP; g++) {
            const vec y = load(rows[g] + j);
            store(panel + g * W, y);
            sums[g] += y * direction;
        }
    }
    for (int64_t j = gathers ? width / W * W : 0; j < fp; j += W, panel += GROUP * W) {
        const vec direction = load(s->direction + j);
        UNROLL for (int g = 0; g < GROUP; g++) {
            if (gathers) store(panel + g * W, load_first(rows[g] + j, width - j));
            sums[g] += load(panel + g * W) * direction;
        }
    }
    return sum_lanes(sums);
}

/* product += sum_k h_k y_k over the panel, h_k = (c_k - w0) score_k, or g_k less that. The panel
 * holds GROUP rows after GROUP rows, those of a group vector by vector. */
INLINE void cg_panel_pass(const recsys_als *p, int64_t begin, int64_t count, int gathers,
                          int initial, const cg_scratch *s) {
    const int64_t fp = padded(p->factors);
    for (int64_t k = 0; k < count; k += GROUP) {
        real *panel = s->panel + k * fp, pulls[W] __attribute__((aligned(VECTOR_BYTES)));
        const vec scores = cg_scores(p, begin + k, begin + count, gathers, panel, s);
        vec pull = load(s->weight + k) * scores;
        if (initial) pull = load(s->pull + k) - pull;
        store(pulls, pull);
        for (int64_t j = 0; j < fp; j += W) {
            vec total = load(s->product + j);
            UNROLL for (int g = 0; g < GROUP; g++) {
                total += load(panel + j * GROUP + g * W) * splat(pulls[g]);
            }
            store(s->product + j, total);
        }
    }
}

/* product = sum_k h_k y_k, initially plus b_0, for direction = d . v; the caller multiplies by d
 * what comes out. */
static void cg_pass(const recsys_als *p, int64_t row, const real *v, const real *scale, int initial,
                    const cg_scratch *s) {
    const int64_t fp = padded(p->factors), begin = p->indptr[row], end = p->indptr[row + 1];
    for (int64_t j = 0; j < fp; j += W) {
        store(s->direction + j, load(scale + j) * load(v + j));
        store(s->product + j, initial ? load_common(p, row, j / W) : splat(0));
    }
    if (!initial && end - begin <= s->panel_rows) {
        cg_panel_pass(p, begin, end - begin, 0, 0, s);
        return;
    }
    for (int64_t at = begin; at < end; at += s->panel_rows) {
        const int64_t count = min_i64(s->panel_rows, end - at);
        cg_read(p, at, count, s);
        if (initial) cg_panel_pass(p, at, count, 1, 1, s);
        if (!initial) cg_panel_pass(p, at, count, 1, 0, s);
    }
}

/* x += length p, r -= length (p + d . product); returns r'r. */
static real cg_advance(const cg_scratch *s, const real *scale, int64_t fp, real length) {
    vec rr = splat(0);
    for (int64_t j = 0; j < fp; j += W) {
        const vec p = load(s->p + j), ap = p + load(scale + j) * load(s->product + j);
        const vec r = load(s->r + j) - splat(length) * ap;
        store(s->x + j, load(s->x + j) + splat(length) * p);
        store(s->r + j, r);
        rr += r * r;
    }
    return sum_vec(rr);
}

static void cg_solve(const recsys_als *p, int64_t row, const real *scale, const real *unscale,
                     void *scratch) {
    cg_scratch s;
    cg_layout(scratch, p->factors, &s);
    const int64_t f = p->factors, fp = padded(f);
    const real *start = solved_row(p, row);
    for (int64_t v = 0; v * W < f; v++) {
        store(s.x + v * W, load_row(start, v, f) * load(unscale + v * W));
    }
    cg_pass(p, row, s.x, scale, 1, &s);
    vec rr_lanes = splat(0), xx_lanes = splat(0);
    for (int64_t j = 0; j < fp; j += W) {
        const vec x = load(s.x + j), r = load(scale + j) * load(s.product + j) - x;
        store(s.r + j, r);
        store(s.p + j, r);
        rr_lanes += r * r;
        xx_lanes += x * x;
    }
    real rr = sum_vec(rr_lanes);
    const real enough = (real)(p->tolerance * p->tolerance) * sum_vec(xx_lanes);
    for (int64_t step = 0; step < p->cg_steps && rr > enough; step++) {
        cg_pass(p, row, s.p, scale, 0, &s);
        vec curvature_lanes = splat(0);
        for (int64_t j = 0; j < fp; j += W) {
            const vec direction = load(s.p + j);
            curvature_lanes += direction * (direction + load(scale + j) * load(s.product + j));
        }
        const real curvature = sum_vec(curvature_lanes);
        if (!(curvature > 0)) break;
        const real next = cg_advance(&s, scale, fp, rr / curvature), ratio = next / rr;
        for (int64_t j = 0; j < fp; j += W) {
            store(s.p + j, load(s.r + j) + splat(ratio) * load(s.p + j));
        }
        rr = next;
    }
    finish_row(p, row, scale, s.x);
}

#endif
