/* Sparse matrices for kernels to be driven with, and a problem that two programs have of them. */
#ifndef MATRICES_H
#define MATRICES_H

#include <stdint.h>

#include "driving.h"
#include "recsys.h"

/* Rows of every length up to 80 entries, of every seventh up to 297, and one so long that conjugate
 * gradient takes it otherwise. */
enum { EVERY = 80, STEP = 7, SPARSE = 31, ROWS = EVERY + 1 + SPARSE + 1 };
enum { LONGEST = 1203, COLUMNS = LONGEST };
enum {
    ENTRIES = EVERY * (EVERY + 1) / 2 + SPARSE * EVERY + STEP * SPARSE * (SPARSE + 1) / 2 + LONGEST
};

static int64_t row_length(int64_t row) {
    if (row == ROWS - 1) return LONGEST;
    return row <= EVERY ? row : EVERY + STEP * (row - EVERY);
}

/* Every row has an entry in the last column: reading past that is reading past `fixed`. */
static void make_matrix(recsys_als *p) {
    int64_t *indptr = exactly(8 * (ROWS + 1), 8);
    int32_t *indices = exactly(4 * ENTRIES, 4), *order = exactly(4 * ROWS, 4);
    indptr[0] = 0;
    for (int64_t row = 0; row < ROWS; row++) {
        const int64_t n = row_length(row);
        for (int64_t k = 0; k < n; k++) {
            indices[indptr[row] + k] = (int32_t)(COLUMNS - 1 - (n - 1 - k) * COLUMNS / n);
        }
        indptr[row + 1] = indptr[row] + n;
        /* longest first as in a fit, or lengths far apart side by side */
        order[row] = (int32_t)(p->factors % 2 ? ROWS - 1 - row : (row * 99 + 7) % ROWS);
    }
    p->indptr = indptr;
    p->indices = indices;
    p->order = order;
}

/* Rows of `length` entries with any columns, which need not be sorted. */
static int64_t *random_rows(int64_t rows, int64_t length, int64_t columns, int32_t **indices) {
    int64_t *indptr = exactly(8 * (rows + 1), 8);
    for (int64_t r = 0; r <= rows; r++) indptr[r] = r * length;
    *indices = exactly(4 * rows * length, 4);
    for (int64_t k = 0; k < rows * length; k++) {
        (*indices)[k] = (int32_t)((double)columns * uniform()) % (int32_t)columns;
    }
    return indptr;
}

/* A half-sweep of logistic matrix factorization, but for where it goes. */
static recsys_lmf make_lmf(int is_double, int64_t f, int64_t negatives) {
    const int64_t line = is_double ? 8 : 16;
    recsys_als matrix = {.factors = f};
    make_matrix(&matrix);
    recsys_lmf p = {.indptr = matrix.indptr,
                    .indices = matrix.indices,
                    .order = matrix.order,
                    .columns = COLUMNS,
                    .factors = f,
                    .negatives = negatives,
                    .learning_rate = 0.1,
                    .regularization = 1};
    p.confidence = reals(ENTRIES, is_double, -3, 3);
    p.fixed = reals(COLUMNS * ((f + line - 1) / line * line), is_double, -1, 1);
    p.fixed_biases = reals(COLUMNS, is_double, -1, 1);
    uint64_t *keys = exactly(8 * ROWS, 8);
    for (uint64_t row = 0; row < ROWS; row++) keys[row] = row << 32;
    p.keys = keys;
    return p;
}

/* Where it goes. */
static void make_lmf_results(recsys_lmf *p, int is_double) {
    p->solved = reals(ROWS * p->factors, is_double, -1, 1);
    p->biases = reals(ROWS, is_double, 0, 0);
    p->squares = reals(ROWS * p->factors, is_double, 0, 0);
    p->bias_squares = reals(ROWS, is_double, 0, 0);
    p->row_loss = exactly(8 * ROWS, 8);
}
#endif
