/* A = U'U for one matrix in slabs, upper triangle, in place, and the two triangular solves.
 *
 * Left-looking by blocks of MR rows: the rows above are subtracted by the register tiles of syrk
 * (the factor in slabs is its own operand), the MR x MR corner is factorized in scalars, whose
 * latency is shorter than a vector's, and the block's rows are then solved W columns at a time.
 * n^3/3 FLOP. A pivot that is not positive gives NaN, which the caller finds in the solution. */
#ifndef RECSYS_KERNELS_CHOLESKY_H
#define RECSYS_KERNELS_CHOLESKY_H

#include <stdint.h>
#include <string.h>

#include "tile.h"
#include "vec.h"

/* A += I; returns the trace that A had. */
static real add_identity(real *a, int64_t ld, int64_t n) {
    real trace = 0;
    for (int64_t i = 0; i < n; i++) {
        real *diagonal = a + i / W * ld + i * W + i % W;
        trace += *diagonal;
        *diagonal += 1;
    }
    return trace;
}

/* U_kk of one corner, with the reciprocals of its diagonal. */
typedef struct {
    real u[MR][MR];
    real inverse[MR];
} corner;

INLINE void factorize_corner(const real *a, corner *k) {
    UNROLL for (int r = 0; r < MR; r++) {
        UNROLL for (int q = r; q < MR; q++) k->u[r][q] = a[r * W + q];
    }
    UNROLL for (int r = 0; r < MR; r++) {
        k->inverse[r] = 1 / root(k->u[r][r]);
        UNROLL for (int q = r; q < MR; q++) k->u[r][q] *= k->inverse[r];
        UNROLL for (int s = r + 1; s < MR; s++) {
            UNROLL for (int q = s; q < MR; q++) k->u[s][q] -= k->u[r][s] * k->u[r][q];
        }
    }
}

/* rows = U_kk^-T rows, one vector of columns */
INLINE void solve_corner(const corner *k, real *rows) {
    vec t[MR];
    UNROLL for (int r = 0; r < MR; r++) t[r] = load(rows + r * W);
    UNROLL for (int r = 0; r < MR; r++) {
        t[r] *= splat(k->inverse[r]);
        UNROLL for (int q = r + 1; q < MR; q++) t[q] -= splat(k->u[r][q]) * t[r];
    }
    UNROLL for (int r = 0; r < MR; r++) store(rows + r * W, t[r]);
}

/* n, a multiple of W, rows and columns; inverse_diagonal (n,) is written. */
static void cholesky(real *a, int64_t ld, int64_t n, real *inverse_diagonal) {
    const int64_t slabs = n / W;
    for (int64_t i = 0; i < n; i += MR) {
        const int64_t own = i / W;
        const real *left = a + own * ld + i % W;
        for (int64_t v = own, next; i && v < slabs; v = next) {
            next = v == own && (slabs - own) % NV ? own + (slabs - own) % NV : v + NV;
            tile_update(left, a + v * ld, ld, i, a + v * ld + i * W, ld, -1, next - v);
        }
        corner k;
        factorize_corner(a + own * ld + i * W + i % W, &k);
        memcpy(inverse_diagonal + i, k.inverse, sizeof k.inverse);
        for (int64_t v = own; v < slabs; v++) solve_corner(&k, a + v * ld + i * W);
    }
}

/* b = U^-T b, in place */
static void solve_lower(const real *u, int64_t ld, int64_t n, const real *inverse, real *b) {
    for (int64_t i = 0; i < n; i += MR) {
        const real *corner_rows = u + i / W * ld + i * W + i % W;
        real z[MR];
        UNROLL for (int r = 0; r < MR; r++) z[r] = b[i + r];
        UNROLL for (int r = 0; r < MR; r++) {
            z[r] *= inverse[i + r];
            UNROLL for (int q = r + 1; q < MR; q++) z[q] -= corner_rows[r * W + q] * z[r];
        }
        for (int64_t v = i / W; v < n / W; v++) {
            vec rest = load(b + v * W);
            UNROLL for (int r = 0; r < MR; r++) {
                rest -= load(u + v * ld + (i + r) * W) * splat(z[r]);
            }
            store(b + v * W, rest);
        }
        UNROLL for (int r = 0; r < MR; r++) b[i + r] = z[r];
    }
}

/* x = U^-1 b; x (n,) must not overlap b. Entries of x not yet solved are zero, so that whole
 * vectors can be multiplied across the block in hand. */
static void solve_upper(const real *u, int64_t ld, int64_t n, const real *inverse, const real *b,
                        real *x) {
    memset(x, 0, (size_t)n * sizeof(real));
    for (int64_t i = n - MR; i >= 0; i -= MR) {
        const real *corner_rows = u + i / W * ld + i * W + i % W;
        vec sums[GROUP];
        UNROLL for (int g = 0; g < GROUP; g++) sums[g] = splat(0);
        for (int64_t v = i / W; v < n / W; v++) {
            const vec done = load(x + v * W);
            UNROLL for (int r = 0; r < MR; r++) sums[r] += load(u + v * ld + (i + r) * W) * done;
        }
        const vec known = sum_lanes(sums);
        UNROLL for (int r = MR - 1; r >= 0; r--) {
            real z = b[i + r] - known[r];
            UNROLL for (int q = MR - 1; q > r; q--) z -= corner_rows[r * W + q] * x[i + q];
            x[i + r] = z * inverse[i + r];
        }
    }
}

#endif
