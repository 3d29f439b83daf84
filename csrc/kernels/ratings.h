/* Stochastic gradient steps on ratings for one cell of the grid (recsys/kernels/grid.py).
 *
 *     e = r_ui - b_u - b_i - x_u . y_i
 *     x_u += rate (e y_i - reg x_u),  y_i += rate (e x_u - reg y_i),
 *     b_u += rate (e - reg b_u),      b_i += rate (e - reg b_i), all from the values before
 *
 * (Koren, Bell and Volinsky, "Matrix Factorization Techniques for Recommender Systems", Computer
 * 2009). A step is 6 f FLOP and reads and writes two rows: users come in order, the items of a cell
 * are few enough to stay in cache, and are asked for RATINGS_AHEAD steps before their turn. */
#ifndef RECSYS_KERNELS_RATINGS_H
#define RECSYS_KERNELS_RATINGS_H

#include <stdint.h>

#include "recsys.h"
#include "sgd.h"
#include "vec.h"

#define RATINGS_AHEAD 8

INLINE real ratings_step(const recsys_ratings *p, int64_t entry, int64_t vectors) {
    const int32_t user = p->users[entry], item = p->items[entry];
    real *x = sgd_row(p->x, user, p->stride), *y = sgd_row(p->y, item, p->stride);
    real *user_bias = p->user_biases, *item_bias = p->item_biases;
    real error = ((const real *)p->ratings)[entry] - dot_rows(x, y, vectors);
    if (user_bias) error -= user_bias[user] + item_bias[item];
    const real rate = (real)p->rate, keep = 1 - rate * (real)p->regularization;
    const real step = rate * error;
    FOR_VECTORS(v, vectors) {
        const vec own = load(x + v * W), other = load(y + v * W);
        store(x + v * W, splat(keep) * own + splat(step) * other);
        store(y + v * W, splat(keep) * other + splat(step) * own);
    }
    if (user_bias) {
        user_bias[user] = keep * user_bias[user] + step;
        item_bias[item] = keep * item_bias[item] + step;
    }
    return error;
}

INLINE double ratings_steps(const recsys_ratings *p, int64_t begin, int64_t end, int64_t vectors) {
    double loss = 0;
    for (int64_t entry = begin; entry < end; entry++) {
        if (entry + RATINGS_AHEAD < end) {
            const int64_t next = entry + RATINGS_AHEAD;
            const int64_t bytes = vectors * VECTOR_BYTES;
            prefetch_bytes((const char *)sgd_row(p->x, p->users[next], p->stride), bytes);
            prefetch_bytes((const char *)sgd_row(p->y, p->items[next], p->stride), bytes);
        }
        const double error = (double)ratings_step(p, entry, vectors);
        loss += error * error;
    }
    return loss;
}

static void ratings_cell(const recsys_ratings *p, const recsys_cell *cell, double *loss) {
    const int64_t vectors = p->stride / W;
    *loss = 0;
    for (int g = 0; g < 2; g++) {
        const int64_t begin = cell->begin[g], end = cell->end[g];
        switch (vectors) { /* constants, so that loops over rows have no counter */
        case 4: *loss += ratings_steps(p, begin, end, 4); break;
        case 8: *loss += ratings_steps(p, begin, end, 8); break;
        default: *loss += ratings_steps(p, begin, end, vectors);
        }
    }
}

#endif
