/* Two tall-skinny products, once a half-sweep:
 *
 *     gram += X'X     f^2 FLOP a row (one triangle), summed in real over RECSYS_GRAM_CHUNK rows
 *                     and in double across chunks
 *     out = X B       2 f^2 FLOP a row, W rows at a time; out may be X                          */
#ifndef RECSYS_KERNELS_GRAM_H
#define RECSYS_KERNELS_GRAM_H

#include <stdint.h>
#include <string.h>

#include "recsys.h"
#include "tile.h"
#include "vec.h"

_Static_assert(RECSYS_GRAM_CHUNK % PANEL == 0, "panels divide chunks");

typedef struct {
    real *panel; /* slabs of PANEL rows */
    real *sum;   /* slabs of f rows */
    real *basis; /* slabs of f rows */
    real *rows;  /* W rows, lanes = rows */
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
    at += fp * W * REAL_BYTES;
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

static void rotate_rows(const void *x_, const void *basis_, int64_t f, int64_t begin, int64_t end,
                        void *out, const int32_t *place, void *scratch) {
    const real *x = x_, *basis = basis_;
    gram_scratch s;
    gram_layout(scratch, f, &s);
    const int64_t slabs = (f + W - 1) / W, ld = slab_stride(slabs * W);
    for (int64_t k = 0; k < f; k++) {
        for (int64_t v = 0; v < slabs; v++) {
            store(s.basis + v * ld + k * W, load_row(basis + k * f, v, f));
        }
    }
    for (int64_t row = begin; row < end; row += W) {
        const int64_t count = min_i64(W, end - row);
        const real *rows[W];
        /* lanes past the last row repeat it and are not stored */
        for (int64_t l = 0; l < W; l++) rows[l] = x + min_i64(row + l, end - 1) * f;
        rows_to_lanes(rows, NULL, f, s.rows, W);
        for (int64_t v = 0; v < slabs; v += NV) {
            const int64_t nv = min_i64(NV, slabs - v);
            for (int64_t r = 0; r < W; r += MR) {
                real tile[NV * MR * W] __attribute__((aligned(VECTOR_BYTES))) = {0};
                tile_update(s.rows + r, s.basis + v * ld, ld, f, tile, MR * W, 1, nv);
                for (int64_t l = 0; l < MR && r + l < count; l++) {
                    const int64_t to = place ? place[row + r + l] : row + r + l;
                    for (int64_t n = 0; n < nv; n++) {
                        store_row((real *)out + to * f, v + n, f, load(tile + n * MR * W + l * W));
                    }
                }
            }
        }
    }
}

#endif
