/* What a half-sweep does with whole factor matrices:
 *
 *     gram += X'X     f^2 FLOP a row (one triangle), summed in real over RECSYS_GRAM_CHUNK rows
 *                     and in double across chunks
 *     sums += X'w     2 f FLOP a row, in double
 *     sum += sum_u w_u |x_u|^2    the same, lane by lane
 *     out = X B       2 f^2 FLOP a row, W rows at a time; out may be X
 *
 * The last column of X in X B, and that of out, may be an array of its own: biases, or ones.     */
#ifndef RECSYS_KERNELS_GRAM_H
#define RECSYS_KERNELS_GRAM_H

#include <stdint.h>
#include <string.h>

#include "recsys.h"
#include "tile.h"
#include "vec.h"

#define TURNED 32 /* rows that share each load of a part of B into L1 */

_Static_assert(RECSYS_GRAM_CHUNK % PANEL == 0, "panels divide chunks");
_Static_assert(TURNED % W == 0, "whole vectors of rows are turned");

typedef struct {
    real *panel; /* slabs of PANEL rows */
    real *sum;   /* slabs of f rows */
    real *basis; /* slabs of f rows */
    real *rows;  /* TURNED rows, W at a time, lanes = rows */
} gram_scratch;

static int64_t gram_layout(char *base, int64_t f, gram_scratch *s) {
    const int64_t slabs = (f + W - 1) / W, fp = slabs * W;
    char *at = base;
    s->panel = (real *)at;
    at += slabs * slab_stride(PANEL) * REAL_BYTES;
    s->sum = (real *)at;
    at += slabs * slab_stride(fp) * REAL_BYTES;
    s->basis = (real *)at;
    at += slabs * slab_stride(fp) * REAL_BYTES;
    s->rows = (real *)at;
    at += fp * TURNED * REAL_BYTES;
    return at - base;
}

static int64_t gram_scratch_bytes(int64_t f) {
    gram_scratch s;
    return gram_layout(NULL, f, &s);
}

static void add_upper(double *gram, const real *sum, int64_t ld, int64_t f) {
    for (int64_t i = 0; i < f; i++) {
        for (int64_t j = i; j < f; j++) gram[i * f + j] += (double)sum[j / W * ld + i * W + j % W];
    }
}

static void gramian_rows(const void *x_, int64_t f, int64_t begin, int64_t end, double *gram,
                         void *scratch) {
    const real *x = x_;
    gram_scratch s;
    gram_layout(scratch, f, &s);
    const int64_t slabs = (f + W - 1) / W, fp = slabs * W;
    const int64_t ldp = slab_stride(PANEL), ldc = slab_stride(fp);
    for (int64_t chunk = begin; chunk < end; chunk += RECSYS_GRAM_CHUNK) {
        const int64_t chunk_end = min_i64(chunk + RECSYS_GRAM_CHUNK, end);
        memset(s.sum, 0, (size_t)(slabs * ldc) * sizeof(real));
        for (int64_t row = chunk; row < chunk_end; row += PANEL) {
            const int64_t depth = min_i64(PANEL, chunk_end - row);
            for (int64_t k = 0; k < depth; k++) {
                const real *from = x + (row + k) * f;
                for (int64_t v = 0; v < slabs; v++) {
                    store(s.panel + v * ldp + k * W, load_row(from, v, f));
                }
            }
            syrk(s.panel, ldp, depth, fp, s.sum, ldc, 1);
        }
        add_upper(gram, s.sum, ldc, f);
    }
}

static void column_sums_rows(const void *x_, const void *weights_, int64_t step, int64_t f,
                             int64_t begin, int64_t end, double *restrict sums) {
    const real *weights = weights_;
    for (int64_t row = begin; row < end; row++) {
        const real *restrict x = (const real *)x_ + row * f;
        const double weight = weights[row * step];
        for (int64_t j = 0; j < f; j++) sums[j] += weight * (double)x[j];
    }
}

static void weighted_squares_rows(const void *x_, const double *weights, int64_t f, int64_t begin,
                                  int64_t end, double *sum) {
    for (int64_t row = begin; row < end; row++) {
        const real *restrict x = (const real *)x_ + row * f;
        double lanes[W] = {0}, square = 0;
        int64_t j = 0;
        for (; j + W <= f; j += W) {
            for (int64_t l = 0; l < W; l++) lanes[l] += (double)x[j + l] * (double)x[j + l];
        }
        for (; j < f; j++) square += (double)x[j] * (double)x[j];
        for (int64_t l = 0; l < W; l++) square += lanes[l];
        *sum += weights[row] * square;
    }
}

/* [x, x_last] of W rows, lanes = rows; lanes past the last row repeat it. */
static void rotate_pack(const recsys_rotation *p, int64_t row, int64_t end, real *lanes) {
    const int64_t f = p->factors, own = f - (p->x_last != NULL);
    const real *rows[W], *last = p->x_last;
    for (int64_t l = 0; l < W; l++) rows[l] = (const real *)p->x + min_i64(row + l, end - 1) * own;
    rows_to_lanes(rows, NULL, own, lanes, W);
    for (int64_t l = 0; l < W && last; l++) {
        lanes[own * W + l] = last[min_i64(row + l, end - 1) * p->x_last_step];
    }
}

/* Vectors v to v + nv of one rotated row, from a tile. */
INLINE void rotate_store(const recsys_rotation *p, int64_t row, int64_t v, int64_t nv,
                         const real *tile) {
    const int64_t f = p->factors, own = f - (p->out_last != NULL);
    const int64_t to = p->place ? p->place[row] : row;
    for (int64_t n = v; n < v + nv; n++, tile += MR * W) {
        if (n * W < own) store_row((real *)p->out + to * p->out_stride, n, own, load(tile));
        if (p->out_last && own / W == n) ((real *)p->out_last)[to] = tile[own % W];
    }
}

/* Slabs of B that one tile takes, where so many are left: 4 go by twos, as one alone would leave
 * the multipliers waiting for each other. */
INLINE int64_t rotate_slabs(int64_t left) { return left == 4 ? 2 : min_i64(NV, left); }

/* Vectors v to v + nv of `count` <= TURNED rotated rows, from `row` on. */
static void rotate_tiles(const recsys_rotation *p, int64_t row, int64_t count, int64_t v,
                         int64_t nv, int64_t ld, const gram_scratch *s) {
    for (int64_t r = 0; r < count; r += MR) {
        const real *rows = s->rows + r / W * W * p->factors + r % W;
        real tile[NV * MR * W] __attribute__((aligned(VECTOR_BYTES))) = {0};
        tile_update(rows, s->basis + v * ld, ld, p->factors, tile, MR * W, 1, nv);
        for (int64_t l = 0; l < MR && r + l < count; l++) {
            rotate_store(p, row + r + l, v, nv, tile + l * W);
        }
    }
}

static void rotate_rows(const recsys_rotation *p, int64_t begin, int64_t end, void *scratch) {
    const real *basis = p->basis;
    const int64_t f = p->factors;
    gram_scratch s;
    gram_layout(scratch, f, &s);
    const int64_t slabs = (f + W - 1) / W, ld = slab_stride(slabs * W);
    for (int64_t k = 0; k < f; k++) {
        for (int64_t v = 0; v < slabs; v++) {
            store(s.basis + v * ld + k * W, load_row(basis + k * f, v, f));
        }
    }
    for (int64_t row = begin; row < end; row += TURNED) {
        const int64_t count = min_i64(TURNED, end - row);
        for (int64_t r = 0; r < count; r += W) rotate_pack(p, row + r, end, s.rows + r * f);
        for (int64_t v = 0, nv; v < slabs; v += nv) {
            nv = rotate_slabs(slabs - v);
            rotate_tiles(p, row, count, v, nv, ld, &s);
        }
    }
}

#endif
