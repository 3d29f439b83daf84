/* The product every exact solver is made of, in slabs.
 *
 * A matrix in slabs keeps W columns together: element (k, j) of P is at
 *     p[(j / W) * ld + k * W + j % W],
 * so that running down k reads W columns as consecutive vectors. ld, the distance between slabs,
 * is (rows + 1) * W: the odd number of vectors keeps slabs out of each other's cache sets.
 *
 *     C += sign * P'P          only the vectors that touch the upper triangle
 *
 * Cost: depth * columns^2 FLOP (half of the full product) and one broadcast a row and FMA. */
#ifndef RECSYS_KERNELS_TILE_H
#define RECSYS_KERNELS_TILE_H

#include <stdint.h>

#include "vec.h"

#define PANEL 32 /* rows packed at a time, so that they stay in L1 */
/* rows of a tile of one vector: MR sums alone would wait for each other */
#define TALL (W % (2 * MR) ? MR : 2 * MR)

INLINE int64_t slab_stride(int64_t rows) { return (rows + 1) * W; }

/* acc[r][v] = sum_k a[k * W + r] * b[v * ld + k * W : + W],   r < mr, v < nv */
INLINE void tile_product(const real *restrict a, const real *restrict b, int64_t ld, int64_t depth,
                         const int mr, const int nv, vec acc[][NV]) {
    UNROLL for (int r = 0; r < mr; r++) {
        UNROLL for (int v = 0; v < nv; v++) acc[r][v] = splat(0);
    }
    for (int64_t k = 0; k < depth; k++) {
        vec right[NV];
        UNROLL for (int v = 0; v < nv; v++) right[v] = load(b + v * ld + k * W);
        UNROLL for (int r = 0; r < mr; r++) {
            const vec left = splat(a[k * W + r]);
            UNROLL for (int v = 0; v < nv; v++) acc[r][v] += left * right[v];
        }
    }
}

INLINE void tile_update_of(const real *a, const real *b, int64_t ld, int64_t depth, real *c,
                           int64_t ldc, real sign, const int mr, const int nv) {
    vec acc[TALL][NV];
    tile_product(a, b, ld, depth, mr, nv, acc);
    const vec s = splat(sign);
    UNROLL for (int r = 0; r < mr; r++) {
        UNROLL for (int v = 0; v < nv; v++) {
            real *at = c + v * ldc + r * W;
            store(at, load(at) + s * acc[r][v]);
        }
    }
}

/* C[0:MR, 0:nv vectors] += sign * A' B for operands in slabs. */
static void tile_update(const real *a, const real *b, int64_t ld, int64_t depth, real *c,
                        int64_t ldc, real sign, int64_t nv) {
    if (nv == 3) {
        tile_update_of(a, b, ld, depth, c, ldc, sign, MR, 3);
    } else if (nv == 2) {
        tile_update_of(a, b, ld, depth, c, ldc, sign, MR, 2);
    } else {
        tile_update_of(a, b, ld, depth, c, ldc, sign, MR, 1);
    }
}

/* C[0:TALL, 0:1 vector] += sign * A' B */
static void tall_update(const real *a, const real *b, int64_t ld, int64_t depth, real *c,
                        int64_t ldc, real sign) {
    tile_update_of(a, b, ld, depth, c, ldc, sign, TALL, 1);
}

/* C += sign * P'P. Groups of NV slabs stay in L1 while the rows of C run down to the diagonal; the
 * odd group comes first, where the triangle is thinnest. */
static void syrk(const real *p, int64_t ldp, int64_t depth, int64_t columns, real *c, int64_t ldc,
                 real sign) {
    const int64_t slabs = columns / W;
    for (int64_t v = 0, next; v < slabs; v = next) {
        next = v == 0 && slabs % NV ? slabs % NV : v + NV;
        const int64_t wide = next - v > 1 ? next - 1 : v; /* slabs of rows beside the last one's */
        for (int64_t i = 0; i < wide * W; i += MR) {
            const int64_t first = i / W > v ? i / W : v;
            tile_update(p + i / W * ldp + i % W, p + first * ldp, ldp, depth,
                        c + first * ldc + i * W, ldc, sign, next - first);
        }
        for (int64_t i = wide * W; i < next * W; i += TALL) {
            tall_update(p + i / W * ldp + i % W, p + (next - 1) * ldp, ldp, depth,
                        c + (next - 1) * ldc + i * W, ldc, sign);
        }
    }
}

#endif
