/* The best items of each query, without ever storing the scores.
 *
 *     score(q, i) = x_q . y_i (* item_scale_i),   2 f FLOP a pair
 *
 * Queries and a panel of NV * W items are packed into slabs, and a tile of MR x NV vectors of
 * scores is formed in registers and held against each query's worst kept score. Hardly any score
 * passes once a list has filled, so what happens to those that do (seen items, the heap) is plain
 * scalar code. The list under construction is a heap in the caller's own output arrays: its root
 * is the worst. Of equal scores the higher id wins, whatever the order items come in, and a sum
 * runs over the factors in order, so the tiling does not show in the result.
 *
 * Where items come by falling norm, |x_q| |y_i| bounds all scores that are still to come: queries
 * whose worst kept score is above it are done, and most items are never looked at.
 *
 * A few queries cost what it takes to read the items. They read 8-bit codes instead, which bound
 * each score from above, and only items whose bound reaches the list are read and scored:
 *
 *     y_ij = s_i (code_ij + d_ij), |d_ij| <= 1/2   =>   x . y_i <= s_i (x . code_i + |x|_1 / 2) */
#ifndef RECSYS_KERNELS_TOPK_H
#define RECSYS_KERNELS_TOPK_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "lists.h"
#include "recsys.h"
#include "scratch.h"
#include "tile.h"
#include "vec.h"

#define TOPK_GROUPS (RECSYS_TOPK_QUERIES / MR)

_Static_assert(RECSYS_TOPK_QUERIES % W == 0 && W % MR == 0, "queries fill slabs, slabs fill tiles");
_Static_assert(RECSYS_TOPK_RUN % (NV * W) == 0, "a panel of items is part of one run");
_Static_assert(RECSYS_TOPK_RUN % RECSYS_CODE_BLOCK == 0 && RECSYS_CODE_BLOCK % W == 0,
               "blocks of codes fill vectors");

typedef struct {
    real *queries; /* slabs of fp rows: lanes are queries */
    real *items;   /* NV slabs of fp rows: lanes are items */
    real *worst;   /* of each query: what a score has to reach; inf past the last query */
    double *norms; /* of each query */
    real *tile;    /* MR x NV vectors */
    real *zeros;   /* fp: stands for rows past the last */
} topk_scratch;

static int64_t topk_layout(char *base, int64_t f, topk_scratch *s) {
    const int64_t slab = slab_stride(padded(f)) * REAL_BYTES;
    char *at = base;
    s->queries = (real *)take(&at, RECSYS_TOPK_QUERIES / W * slab);
    s->items = (real *)take(&at, NV * slab);
    s->worst = (real *)take(&at, RECSYS_TOPK_QUERIES * REAL_BYTES);
    s->norms = (double *)take(&at, RECSYS_TOPK_QUERIES * 8);
    s->tile = (real *)take(&at, MR * NV * W * REAL_BYTES);
    s->zeros = (real *)take(&at, padded(f) * REAL_BYTES);
    return at - base;
}

static int64_t topk_scratch_bytes(int64_t f) {
    topk_scratch s;
    return topk_layout(NULL, f, &s);
}

/* Values up to this size on both sides cannot make a score overflow. */
INLINE real largest(int64_t f) { return root(REAL_MAX / (real)f) / 2; }

/* W rows from `first` on into one slab, scaled; rows past `end` are zeros. Returns whether every
 * value is small enough for a score to be finite, which infinity and NaN are not. */
static int pack_slab(const real *x, const int32_t *order, const real *scale, int64_t f,
                     int64_t first, int64_t end, const real *zeros, real *slab) {
    const real *rows[W];
    real scales[W] __attribute__((aligned(VECTOR_BYTES)));
    for (int64_t l = 0; l < W; l++) {
        const int inside = first + l < end;
        const int64_t row = inside && order ? order[first + l] : first + l;
        const int64_t later = min_i64(first + l + NV * W, end - 1);
        rows[l] = inside ? x + row * f : zeros;
        scales[l] = inside && scale ? scale[row] : 1;
        prefetch_bytes((const char *)(x + (order ? order[later] : later) * f), f * REAL_BYTES);
    }
    rows_to_lanes(rows, NULL, f, slab, W);
    const vec limit = splat(largest(f));
    index_vec fine = limit == limit;
    for (int64_t j = 0; j < f; j++) {
        const vec v = load(slab + j * W) * load(scales);
        store(slab + j * W, v);
        fine &= (v <= limit) & (v >= -limit);
    }
    return !any_clear(fine);
}

/* tile_product for one query; the other rows are of no account. */
INLINE void row_product(const real *a, const real *b, int64_t ld, int64_t depth, vec acc[MR][NV]) {
    UNROLL for (int r = 0; r < MR; r++) {
        UNROLL for (int v = 0; v < NV; v++) acc[r][v] = splat(0);
    }
    for (int64_t k = 0; k < depth; k++) {
        const vec left = splat(a[k * W]);
        UNROLL for (int v = 0; v < NV; v++) acc[0][v] += left * load(b + v * ld + k * W);
    }
}

/* Whether any score of the tile reaches what its query's list asks for. By the signs of the
 * differences, as a chain of compares would wait for each; scores are finite. */
INLINE int any_reaches(const vec acc[MR][NV], const real *worst) {
    index_vec below[MR];
    UNROLL for (int r = 0; r < MR; r++) {
        const vec reach = splat(worst[r]);
        below[r] = (index_vec)(acc[r][0] - reach) & (index_vec)(acc[r][1] - reach) &
                   (index_vec)(acc[r][2] - reach);
    }
    UNROLL for (int half = MR / 2; half >= 1; half /= 2) {
        UNROLL for (int r = 0; r < half; r++) below[r] &= below[r + half];
    }
    return any_clear(below[0] < 0);
}

/* The tile's scores that reach their lists, into them. */
static void offer_tile(const recsys_topk *p, int64_t begin, int64_t rows, int64_t panel,
                       int64_t width, recsys_lists out, const real *tile, int64_t *kept,
                       real *worst) {
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < width; c++) {
            const real score = tile[r * NV * W + c];
            if (score < worst[r]) continue;
            const int32_t item = p->order ? p->order[panel + c] : (int32_t)(panel + c);
            worst[r] = offer(p, begin + r, out, kept + r, item, score);
        }
    }
}

/* Keep the groups of queries that items of norms up to `norm` may still matter to. */
static int64_t keep_active(int16_t *groups, int64_t n_groups, double norm, const topk_scratch *s) {
    int64_t kept = 0;
    for (int64_t g = 0; g < n_groups; g++) {
        const int64_t q = groups[g];
        int active = 0;
        UNROLL for (int r = 0; r < MR; r++) {
            active |= s->norms[q + r] * norm + REAL_MIN >= (double)s->worst[q + r];
        }
        groups[kept] = (int16_t)q;
        kept += active;
    }
    return kept;
}

typedef int8_t code_vec __attribute__((vector_size(W)));
typedef int16_t code_vec16 __attribute__((vector_size(2 * W)));
typedef int32_t code_vec32 __attribute__((vector_size(4 * W)));

/* W codes as reals, in steps that compilers have single instructions for. */
INLINE vec load_codes(const int8_t *codes) {
    code_vec narrow;
    memcpy(&narrow, codes, sizeof narrow);
    const code_vec16 wide = __builtin_convertvector(narrow, code_vec16);
    return __builtin_convertvector(__builtin_convertvector(wide, code_vec32), vec);
}

/* sum_j x_j code_j of W items, a bound of each item's score from that, times its code_scale. */
INLINE vec code_bounds(const real *x, const int8_t *codes, int64_t f, real margin,
                       const real *scales) {
    vec even = splat(margin), odd = splat(0);
    int64_t j = 0;
    for (; j + 1 < f; j += 2) {
        even += splat(x[j]) * load_codes(codes + j * RECSYS_CODE_BLOCK);
        odd += splat(x[j + 1]) * load_codes(codes + (j + 1) * RECSYS_CODE_BLOCK);
    }
    if (j < f) even += splat(x[j]) * load_codes(codes + j * RECSYS_CODE_BLOCK);
    return (even + odd) * load(scales) + splat(REAL_MIN);
}

/* x . y as a lane of a tile forms it, to the last bit: with fused multiply-adds where there are. */
INLINE real tile_score(const real *x, const real *y, int64_t f) {
    real sum = 0;
    for (int64_t j = 0; j < f; j++) sum = multiply_add(x[j], y[j], sum);
    return sum;
}

/* The list of one query from every parts-th run of items, by their codes. */
static void screen(const recsys_topk *p, int64_t query, int64_t part, int64_t parts,
                   recsys_lists out, double norm) {
    const int64_t f = p->factors;
    const real *x = (const real *)p->queries + query * f, *norms = p->norms;
    double length = 0;
    for (int64_t j = 0; j < f; j++) length += fabs((double)x[j]);
    /* 0.501 and not 1/2 for the roundings in the codes, the rest for those in the sum */
    const real margin = (real)(length * (0.501 + 128 * (double)(f + 8) * REAL_EPSILON));
    int64_t kept = 0;
    real worst = -(real)INFINITY;
    for (int64_t run = part * RECSYS_TOPK_RUN; run < p->n_items; run += parts * RECSYS_TOPK_RUN) {
        if (norm * norms[run] + REAL_MIN < (double)worst) break;
        for (int64_t i = run; i < min_i64(run + RECSYS_TOPK_RUN, p->n_items); i += W) {
            const int64_t lane = i % RECSYS_CODE_BLOCK;
            const int8_t *codes = p->codes + (i - lane) * f + lane;
            __builtin_prefetch(codes + 8 * RECSYS_CODE_BLOCK * f);
            const real *scales = (const real *)p->code_scale + i;
            const vec bounds = code_bounds(x, codes, f, margin, scales);
            if (!any_clear(bounds < splat(worst))) continue;
            for (int64_t l = 0; l < min_i64(W, p->n_items - i); l++) {
                if (bounds[l] < worst) continue;
                const int32_t item = p->order[i + l];
                const real score = tile_score(x, (const real *)p->items + item * f, f);
                if (score >= worst) worst = offer(p, query, out, &kept, item, score);
            }
        }
    }
    sort_list(out.ids + query * p->n, (real *)out.scores + query * p->n, kept, p->n);
}

/* Queries into slabs; each starts with an empty list. Returns whether their values are usable. */
static int pack_queries(const recsys_topk *p, int64_t begin, int64_t count, const topk_scratch *s) {
    const int64_t f = p->factors, ld = slab_stride(padded(f));
    int usable = 1;
    for (int64_t q = 0; q < round_up(count, W); q++) {
        const real *x = (const real *)p->queries + (begin + q) * f;
        double square = 0;
        for (int64_t j = 0; q < count && j < f; j++) square += (double)x[j] * x[j];
        s->norms[q] = sqrt(square) + RECSYS_VANISHED;
        s->worst[q] = q < count ? -(real)INFINITY : (real)INFINITY;
    }
    for (int64_t q = 0; q < count; q += W) {
        usable &= pack_slab(p->queries, NULL, NULL, f, begin + q, begin + count, s->zeros,
                            s->queries + q / W * ld);
    }
    return usable;
}

/* The lists of up to RECSYS_TOPK_QUERIES queries from every parts-th run of items. */
static void topk_span(const recsys_topk *p, int64_t begin, int64_t count, int64_t part,
                      int64_t parts, recsys_lists out, const topk_scratch *s) {
    const int64_t f = p->factors, n = p->n, ld = slab_stride(padded(f));
    const real *norms = p->norms;
    int64_t kept[RECSYS_TOPK_QUERIES] = {0}, n_groups = 0;
    int16_t groups[TOPK_GROUPS];
    int usable = pack_queries(p, begin, count, s);
    if (norms) usable &= norms[0] <= largest(f);
    if (p->codes && count <= RECSYS_TOPK_FEW) {
        for (int64_t q = 0; q < count; q++) screen(p, begin + q, part, parts, out, s->norms[q]);
        if (!usable) out.failed[begin] = 1;
        return;
    }
    for (int64_t q = 0; q < count; q += MR) groups[n_groups++] = (int16_t)q;
    for (int64_t panel = part * RECSYS_TOPK_RUN; panel < p->n_items && n_groups; panel += NV * W) {
        if (panel / RECSYS_TOPK_RUN % parts != part) panel += (parts - 1) * RECSYS_TOPK_RUN;
        if (panel >= p->n_items) break;
        if (norms) n_groups = keep_active(groups, n_groups, norms[panel], s);
        if (!n_groups) break;
        for (int64_t v = 0; v < NV; v++) {
            usable &= pack_slab(p->items, p->order, p->item_scale, f, panel + v * W, p->n_items,
                                s->zeros, s->items + v * ld);
        }
        for (int64_t g = 0; g < n_groups; g++) {
            const int64_t q = groups[g];
            const real *queries = s->queries + q / W * ld + q % W;
            vec acc[MR][NV];
            if (count - q == 1) {
                row_product(queries, s->items, ld, f, acc);
            } else {
                tile_product(queries, s->items, ld, f, NV, acc);
            }
            if (!any_reaches(acc, s->worst + q)) continue;
            memcpy(s->tile, acc, sizeof acc);
            offer_tile(p, begin + q, min_i64(MR, count - q), panel,
                       min_i64(NV * W, p->n_items - panel), out, s->tile, kept + q, s->worst + q);
        }
    }
    if (!usable) out.failed[begin] = 1;
    for (int64_t q = 0; q < count; q++) {
        const int64_t at = (begin + q) * n;
        sort_list(out.ids + at, (real *)out.scores + at, kept[q], n);
    }
}

static void topk_rows(const recsys_topk *p, int64_t begin, int64_t end, int64_t part, int64_t parts,
                      recsys_lists out, void *scratch) {
    topk_scratch s;
    topk_layout(scratch, p->factors, &s);
    memset(s.zeros, 0, (size_t)padded(p->factors) * sizeof(real));
    for (int64_t at = begin; at < end; at += RECSYS_TOPK_QUERIES) {
        topk_span(p, at, min_i64(RECSYS_TOPK_QUERIES, end - at), part, parts, out, &s);
    }
}

#endif
