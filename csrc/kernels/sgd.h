/* What the stochastic gradient kernels share: rows of factors padded to whole vectors.
 *
 * Rows are padded with zeros to a multiple of 64 bytes, which every update leaves at zero, so that
 * no loop has a remainder and no row more cache lines than it needs. */
#ifndef RECSYS_KERNELS_SGD_H
#define RECSYS_KERNELS_SGD_H

#include <stdint.h>

#include "recsys.h"
#include "vec.h"

#define SGD_SCAN 8 /* items up to which going through them beats halving */

/* NumPy's dtype of a cell has no room between its fields (recsys/kernels/grid.py). */
_Static_assert(sizeof(recsys_cell) == 10 * sizeof(int64_t), "five pairs of integers");

INLINE real *sgd_row(void *rows, int64_t row, int64_t stride) {
    return (real *)rows + row * stride;
}

/* The vectors of a row: a constant where the compiler had better know it, else a number. */
#define FOR_VECTORS(v, count) UNROLL for (int64_t v = 0; v < (count); v++)

INLINE real dot_rows(const real *a, const real *b, int64_t vectors) {
    vec sum = splat(0);
    FOR_VECTORS(v, vectors) sum += load(a + v * W) * load(b + v * W);
    return sum_vec(sum);
}

/* Whether `item` is among the ascending `items`. */
static int is_among(const int32_t *items, int64_t count, int32_t item) {
    while (count > SGD_SCAN) {
        const int64_t half = count / 2;
        items = items[half] <= item ? items + half : items;
        count -= half;
    }
    int found = 0;
    for (int64_t k = 0; k < count; k++) {
        found |= items[k] == item;
        __asm__("" : "+r"(found)); /* one at a time: there are hardly more than a few */
    }
    return found;
}

#endif
