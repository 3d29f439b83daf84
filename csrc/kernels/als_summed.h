/* Rows whose entries lie in several places. Each place forms what its entries add to the equations,
 *
 *     A = sum_k (c_k - w0) y_k y_k',   b = sum_k g_k y_k      n f^2 FLOP
 *
 * as the upper triangle of A, row by row, and b behind it. Where their sums are known the rows are
 * solved from them, as the primal path solves what it has formed itself: f^3 / 3 FLOP. */
#ifndef RECSYS_KERNELS_ALS_SUMMED_H
#define RECSYS_KERNELS_ALS_SUMMED_H

#include <stdint.h>
#include <string.h>

#include "als_primal.h"
#include "als_row.h"
#include "recsys.h"
#include "vec.h"

INLINE double *equations_of(const recsys_als *p, int64_t row) {
    return p->equations + row * (p->factors * (p->factors + 3) / 2);
}

static void als_equations(const recsys_als *p, int64_t begin, int64_t end, void *scratch) {
    const int64_t f = p->factors;
    primal_scratch s;
    primal_layout(scratch, f, 1, &s);
    for (int64_t at = begin; at < end; at++) {
        const int32_t row = p->order[at];
        double *out = equations_of(p, row);
        memset(s.b, 0, (size_t)padded(f) * sizeof(real));
        form_entries(p, row, &s);
        for (int64_t i = 0; i < f; i++) {
            for (int64_t j = i; j < f; j++) *out++ = (double)*formed(&s, f, i, j);
        }
        for (int64_t i = 0; i < f; i++) *out++ = (double)s.b[i];
    }
}

static void als_summed_rows(const recsys_als *p, int64_t begin, int64_t end, void *scratch) {
    const int64_t f = p->factors;
    row_scratch own = open_scratch(scratch, f);
    primal_scratch s;
    primal_layout(own.rest, f, 1, &s);
    for (int64_t row = begin; row < end; row++) {
        const double *sums = equations_of(p, row);
        scale_for(p, (int32_t)row, &own);
        memcpy(s.scale, own.scale, (size_t)padded(f) * sizeof(real));
        clear_formed(f, &s);
        for (int64_t i = 0; i < f; i++) {
            for (int64_t j = i; j < f; j++) {
                const double scale = (double)s.scale[i] * (double)s.scale[j];
                const real entry = (real)(scale * *sums++);
                *formed(&s, f, i, j) = entry;
                /* below the diagonal as well, as syrk leaves it: elimination makes zeros of it */
                if (j < core_size(f)) *formed(&s, f, j, i) = entry;
            }
        }
        memset(s.b, 0, (size_t)padded(f) * sizeof(real));
        for (int64_t i = 0; i < f; i++) {
            const double common = p->common ? (double)common_row(p, row)[i] : 0;
            s.b[i] = (real)((double)s.scale[i] * (common + sums[i]));
        }
        primal_finish(p, row, 0, &s);
    }
}

#endif
