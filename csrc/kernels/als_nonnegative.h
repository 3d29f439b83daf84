/* Rows of factors that may not be negative, by coordinate descent.
 *
 *     x_u = argmin x >= 0 of x'A_u x / 2 - b_u'x,   A_u and b_u as in als_row.h, not rotated
 *
 * A non-negative x has no meaning in other axes, so nothing is rotated here: A is formed as the
 * primal path forms it, in panels, and w0 Y'Y + lambda I is added in double. Then, one factor after
 * the other (Franc, Hlavac and Navara 2005),
 *
 *     x_j <- max(0, x_j - g_j / A_jj),    g = A x - b kept up to date: 2 f FLOP where x_j changes
 *
 * until in a whole sweep no g_j with x_j > 0, and no -g_j with x_j = 0, was above `tolerance` times
 * the largest |b_j|. n f^2 FLOP and 2 f^2 a sweep. Rows that `sweeps` do not bring there are marked
 * as failed. The last `unbounded` factors, biases, may be negative. */
#ifndef RECSYS_KERNELS_ALS_NONNEGATIVE_H
#define RECSYS_KERNELS_ALS_NONNEGATIVE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "als_primal.h"
#include "als_row.h"
#include "recsys.h"
#include "scratch.h"
#include "vec.h"

typedef struct {
    primal_scratch primal;
    double *a;        /* f x f */
    double *x;        /* f */
    double *gradient; /* f */
} nonnegative_scratch;

static int64_t nonnegative_layout(char *base, int64_t f, nonnegative_scratch *s) {
    char *at = base + primal_layout(base, f, 1, &s->primal);
    s->a = (double *)take(&at, f * f * 8);
    s->x = (double *)take(&at, f * 8);
    s->gradient = (double *)take(&at, f * 8);
    return at - base;
}

static int64_t nonnegative_scratch_bytes(int64_t f) {
    nonnegative_scratch s;
    return nonnegative_layout(NULL, f, &s);
}

/* A and b of a row; b takes the place of the gradient. */
static void nonnegative_form(const recsys_als *p, int64_t row, const nonnegative_scratch *s) {
    const primal_scratch *q = &s->primal;
    const int64_t f = p->factors;
    for (int64_t v = 0; v * W < f; v++) store(q->b + v * W, load_common(p, row, v));
    form_entries(p, row, q);
    for (int64_t i = 0; i < f; i++) {
        for (int64_t j = i; j < f; j++) {
            const double entries = (double)*formed(q, f, i, j);
            const double own = p->unobserved_weight * p->gram[i * f + j] + entries;
            s->a[i * f + j] = s->a[j * f + i] = i == j ? own + p->regularization[row] : own;
        }
        s->gradient[i] = (double)q->b[i];
    }
}

/* From where the row is. Returns whether it got there. */
static int nonnegative_descend(const recsys_als *p, const nonnegative_scratch *s) {
    const int64_t f = p->factors, bounded = f - p->unbounded;
    double *restrict g = s->gradient, *x = s->x, largest = 0;
    for (int64_t j = 0; j < f; j++) largest = fabs(g[j]) > largest ? fabs(g[j]) : largest;
    for (int64_t j = 0; j < f; j++) g[j] = -g[j];
    for (int64_t j = 0; j < f; j++) {
        const double *restrict column = s->a + j * f;
        /* a factor that no column has and nothing pulls at stays out */
        if (!(column[j] > 0) || (j < bounded && !(x[j] > 0))) x[j] = 0;
        for (int64_t i = 0; i < f && x[j] != 0; i++) g[i] += column[i] * x[j];
    }
    for (int64_t sweep = 0; sweep < p->sweeps; sweep++) {
        double worst = 0;
        for (int64_t j = 0; j < f; j++) {
            const double *restrict column = s->a + j * f;
            if (!(column[j] > 0)) continue;
            const double from = x[j], to = from - g[j] / column[j];
            x[j] = j < bounded && !(to > 0) ? 0 : to;
            const double step = x[j] - from, off = from > 0 || j >= bounded ? fabs(g[j]) : -g[j];
            worst = off > worst ? off : worst;
            for (int64_t i = 0; i < f && step != 0; i++) g[i] += column[i] * step;
        }
        if (worst <= p->tolerance * largest) return isfinite(largest);
    }
    return 0;
}

static void als_nonnegative_rows(const recsys_als *p, int64_t begin, int64_t end, void *scratch) {
    const int64_t f = p->factors;
    nonnegative_scratch s;
    nonnegative_layout(scratch, f, &s);
    for (int64_t at = begin; at < end; at++) {
        const int32_t row = p->order[at];
        real *solved = solved_row(p, row);
        nonnegative_form(p, row, &s);
        for (int64_t j = 0; j < f; j++) s.x[j] = (double)solved[j];
        if (!nonnegative_descend(p, &s)) p->failed[row] = 1;
        for (int64_t j = 0; j < f; j++) solved[j] = (real)s.x[j];
        mark_if_not_finite(p, row);
        set_loss(p, &row, 1);
    }
}

#endif
