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
 * Where items come with 8-bit codes, these bound each score from above (screen.h), and only items
 * whose bound reaches a list are scored: one by one, or by a whole run of them and the tile of
 * scores where a group of queries wants many of a run. Such a group then does without codes for a
 * while, for twice as many runs each time, so that codes of no use cost little. */
#ifndef RECSYS_KERNELS_TOPK_H
#define RECSYS_KERNELS_TOPK_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "lists.h"
#include "recsys.h"
#include "scratch.h"
#include "screen.h"
#include "tile.h"
#include "vec.h"

#define TOPK_GROUPS (RECSYS_TOPK_QUERIES / MR)

_Static_assert(RECSYS_TOPK_QUERIES % W == 0 && W % MR == 0, "queries fill slabs, slabs fill tiles");
_Static_assert(RECSYS_TOPK_RUN % (NV * W) == 0, "a panel of items is part of one run");
#define TOPK_PATIENCE 15 /* runs that a group does without codes at most */

/* What a group of queries wants scored. It is asked for ahead, and several at a time do not wait for
 * each other's sums. */
#define TOPK_PENDING 8
typedef struct {
    code_hit hits[TOPK_PENDING]; /* item numbers */
    int64_t count;
} topk_pending;

typedef struct {
    real *queries;         /* slabs of fp rows: lanes are queries */
    real *items;           /* slabs of fp rows: lanes are items of a panel, or of a run */
    real *worst;           /* of each query: what a score has to reach; inf past the last query */
    double *norms;         /* of each query */
    real *tile;            /* MR x NV vectors */
    real *zeros;           /* fp: stands for rows past the last */
    real *row;             /* fp */
    int8_t *codes;         /* fp: of a row */
    code_pair *pairs;      /* of groups of CODE_ROWS queries */
    code_query *screens;   /* of each query */
    topk_pending *pending; /* of each group of CODE_ROWS queries */
} topk_scratch;

static int64_t topk_layout(char *base, int64_t f, topk_scratch *s) {
    const int64_t slab = slab_stride(padded(f)) * REAL_BYTES;
    char *at = base;
    s->queries = (real *)take(&at, RECSYS_TOPK_QUERIES / W * slab);
    s->items = (real *)take(&at, RECSYS_TOPK_RUN / W * slab);
    s->worst = (real *)take(&at, RECSYS_TOPK_QUERIES * REAL_BYTES);
    s->norms = (double *)take(&at, RECSYS_TOPK_QUERIES * 8);
    s->tile = (real *)take(&at, MR * NV * W * REAL_BYTES);
    s->zeros = (real *)take(&at, padded(f) * REAL_BYTES);
    s->row = (real *)take(&at, padded(f) * REAL_BYTES);
    s->codes = (int8_t *)take(&at, padded(f));
    s->pairs =
        (code_pair *)take(&at, RECSYS_TOPK_QUERIES * code_pairs(f) * (int64_t)sizeof(code_pair));
    s->screens = (code_query *)take(&at, RECSYS_TOPK_QUERIES * (int64_t)sizeof(code_query));
    s->pending =
        (topk_pending *)take(&at, RECSYS_TOPK_QUERIES / CODE_ROWS * (int64_t)sizeof(topk_pending));
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

/* Whether items of norms up to `norm` may matter to the queries from q on, so many of them. */
INLINE int is_active(const topk_scratch *s, int64_t q, const int rows, double norm) {
    int active = 0;
    UNROLL for (int r = 0; r < rows; r++) {
        active |= s->norms[q + r] * norm + REAL_MIN >= (double)s->worst[q + r];
    }
    return active;
}

/* Keep the groups of queries that items of norms up to `norm` may still matter to. */
static int64_t keep_active(int16_t *groups, int64_t n_groups, const int rows, double norm,
                           const topk_scratch *s) {
    int64_t kept = 0;
    for (int64_t g = 0; g < n_groups; g++) {
        const int64_t q = groups[g];
        groups[kept] = (int16_t)q;
        kept += is_active(s, q, rows, norm);
    }
    return kept;
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

/* `panels` times NV slabs of items from place `first` on. Returns whether all are usable. */
static int pack_panels(const recsys_topk *p, int64_t first, int64_t panels, const topk_scratch *s) {
    const int64_t ld = slab_stride(padded(p->factors));
    int usable = 1;
    for (int64_t v = 0; v < panels * NV; v++) {
        usable &= pack_slab(p->items, p->order, p->item_scale, p->factors, first + v * W,
                            p->n_items, s->zeros, s->items + v * ld);
    }
    return usable;
}

/* The scores of MR queries from q on and a packed panel, into the lists. */
static void score_panel(const recsys_topk *p, int64_t begin, int64_t count, int64_t q,
                        int64_t panel, const real *items, recsys_lists out, int64_t *kept,
                        const topk_scratch *s) {
    const int64_t f = p->factors, ld = slab_stride(padded(f));
    const real *queries = s->queries + q / W * ld + q % W;
    vec acc[MR][NV];
    if (count - q == 1) {
        row_product(queries, items, ld, f, acc);
    } else {
        tile_product(queries, items, ld, f, MR, NV, acc);
    }
    if (!any_reaches(acc, s->worst + q)) return;
    memcpy(s->tile, acc, sizeof acc);
    offer_tile(p, begin + q, min_i64(MR, count - q), panel, min_i64(NV * W, p->n_items - panel),
               out, s->tile, kept + q, s->worst + q);
}

/* The lists of up to RECSYS_TOPK_QUERIES queries from every parts-th run of items. */
static int score_all(const recsys_topk *p, int64_t begin, int64_t count, int64_t part,
                     int64_t parts, recsys_lists out, int64_t *kept, const topk_scratch *s) {
    const real *norms = p->norms;
    int16_t groups[RECSYS_TOPK_QUERIES / MR];
    int64_t n_groups = 0;
    int usable = 1;
    for (int64_t q = 0; q < count; q += MR) groups[n_groups++] = (int16_t)q;
    for (int64_t panel = part * RECSYS_TOPK_RUN; panel < p->n_items && n_groups; panel += NV * W) {
        if (panel / RECSYS_TOPK_RUN % parts != part) panel += (parts - 1) * RECSYS_TOPK_RUN;
        if (panel >= p->n_items) break;
        if (norms) n_groups = keep_active(groups, n_groups, MR, norms[panel], s);
        if (!n_groups) break;
        usable &= pack_panels(p, panel, 1, s);
        for (int64_t g = 0; g < n_groups; g++) {
            score_panel(p, begin, count, groups[g], panel, s->items, out, kept, s);
        }
    }
    return usable;
}

/* All items of a packed run, into the lists of the queries of a group. */
static void score_run(const recsys_topk *p, int64_t begin, int64_t count, int64_t q, int64_t run,
                      recsys_lists out, int64_t *kept, const topk_scratch *s) {
    const int64_t ld = slab_stride(padded(p->factors));
    const int64_t end = min_i64(run + RECSYS_TOPK_RUN, p->n_items);
    const real *items = s->items;
    for (int64_t panel = run; panel < end; panel += NV * W, items += NV * ld) {
        for (int64_t r = 0; r < min_i64(CODE_ROWS, count - q); r += MR) {
            score_panel(p, begin, count, q + r, panel, items, out, kept, s);
        }
    }
}

/* x . y of what waits, each sum as a lane of a tile forms it, to the last bit: with fused
 * multiply-adds where there are. And into the lists with them. */
static void score_pending(const recsys_topk *p, int64_t begin, int64_t q, recsys_lists out,
                          int64_t *kept, const topk_scratch *s) {
    topk_pending *waiting = s->pending + q / CODE_ROWS;
    const int64_t f = p->factors;
    const real *x[TOPK_PENDING], *y[TOPK_PENDING], *scales = p->item_scale;
    real scale[TOPK_PENDING], sums[TOPK_PENDING];
    if (!waiting->count) return;
    for (int k = 0; k < TOPK_PENDING; k++) {
        const code_hit hit = waiting->hits[k < waiting->count ? k : 0];
        x[k] = (const real *)p->queries + (begin + q + hit.row) * f;
        y[k] = (const real *)p->items + hit.item * f;
        scale[k] = scales ? scales[hit.item] : 1;
        sums[k] = 0;
    }
    for (int64_t j = 0; j < f; j++) {
        UNROLL for (int k = 0; k < TOPK_PENDING; k++) {
            const real value = y[k][j] * scale[k];
            sums[k] = multiply_add(x[k][j], value, sums[k]);
        }
    }
    for (int k = 0; k < waiting->count; k++) {
        const code_hit hit = waiting->hits[k];
        const int64_t at = q + hit.row;
        if (sums[k] < s->worst[at]) continue;
        s->worst[at] = offer(p, begin + at, out, kept + at, hit.item, sums[k]);
    }
    waiting->count = 0;
}

/* The items of a run whose bounds reach the lists of the queries of a group, to what is to be
 * scored; 0 if there are more than a few, and then none is. */
static int screen_run(const recsys_topk *p, int64_t begin, int64_t count, int64_t q, int64_t run,
                      recsys_lists out, int64_t *kept, const topk_scratch *s) {
    const int64_t f = p->factors, pairs = code_pairs(f), number = run / RECSYS_TOPK_RUN;
    const uint8_t *codes = p->codes + number * RECSYS_TOPK_RUN * pairs * 2;
    const double *bounds = p->code_bounds + number * RECSYS_CODE_BOUNDS;
    const code_pair *query = s->pairs + q * pairs;
    topk_pending *waiting = s->pending + q / CODE_ROWS;
    int16_t thresholds[CODE_ROWS];
    code_hit hits[CODE_HITS];
    for (int r = 0; r < CODE_ROWS; r++) {
        thresholds[r] = code_threshold(s->screens + q + r, (double)s->worst[q + r], bounds);
    }
    const int64_t found = count - q == 1 ? code_hits(codes, query, s->screens + q, thresholds,
                                                     pairs, 1, CODE_MOST_VECTORS, hits)
                                         : code_hits(codes, query, s->screens + q, thresholds,
                                                     pairs, CODE_ROWS, CODE_VECTORS, hits);
    if (found > CODE_HITS) return 0;
    for (int64_t k = 0; k < found; k++) {
        if (run + hits[k].item >= p->n_items) continue;
        const int32_t item = (int32_t)item_at(p, run + hits[k].item);
        prefetch_bytes((const char *)((const real *)p->items + item * f), f * REAL_BYTES);
        if (waiting->count == TOPK_PENDING) score_pending(p, begin, q, out, kept, s);
        waiting->hits[waiting->count++] = (code_hit){item, hits[k].row};
    }
    return 1;
}

/* As score_all, by codes. */
static int screen_all(const recsys_topk *p, int64_t begin, int64_t count, int64_t part,
                      int64_t parts, recsys_lists out, int64_t *kept, const topk_scratch *s) {
    const int64_t f = p->factors, pairs = code_pairs(f);
    const real *norms = p->norms;
    int16_t groups[RECSYS_TOPK_QUERIES / CODE_ROWS];
    int8_t patience[RECSYS_TOPK_QUERIES] = {0}, waits[RECSYS_TOPK_QUERIES] = {0};
    int64_t n_groups = 0;
    int usable = 1;
    for (int64_t q = 0; q < round_up(count, CODE_ROWS); q++) {
        const real *x = (const real *)p->queries + (begin + q) * f;
        s->screens[q] = code_one(q < count ? x : s->zeros, f, s->row, s->codes,
                                 s->pairs + q / CODE_ROWS * CODE_ROWS * pairs + q % CODE_ROWS);
    }
    for (int64_t q = 0; q < count; q += CODE_ROWS) {
        s->pending[q / CODE_ROWS].count = 0;
        groups[n_groups++] = (int16_t)q;
    }
    for (int64_t run = part * RECSYS_TOPK_RUN; run < p->n_items; run += parts * RECSYS_TOPK_RUN) {
        int packed = 0;
        if (norms) n_groups = keep_active(groups, n_groups, CODE_ROWS, norms[run], s);
        if (!n_groups) break;
        for (int64_t g = 0; g < n_groups; g++) {
            const int64_t q = groups[g];
            const int filled = kept[q] == p->n; /* of the others, patience soon takes care */
            if (filled && !waits[q]) {
                if (screen_run(p, begin, count, q, run, out, kept, s)) {
                    patience[q] = 0;
                    continue;
                }
                patience[q] = (int8_t)min_i64(2 * patience[q] + 1, TOPK_PATIENCE);
                waits[q] = patience[q];
            } else if (filled) {
                waits[q]--;
            }
            if (!packed) usable &= pack_panels(p, run, RECSYS_TOPK_RUN / (NV * W), s);
            packed = 1;
            score_run(p, begin, count, q, run, out, kept, s);
        }
    }
    for (int64_t q = 0; q < count; q += CODE_ROWS) score_pending(p, begin, q, out, kept, s);
    return usable;
}

/* The lists of up to RECSYS_TOPK_QUERIES queries. */
static void topk_span(const recsys_topk *p, int64_t begin, int64_t count, int64_t part,
                      int64_t parts, recsys_lists out, const topk_scratch *s) {
    const int64_t n = p->n;
    const real *norms = p->norms;
    int64_t kept[RECSYS_TOPK_QUERIES] = {0};
    int usable = pack_queries(p, begin, count, s);
    if (norms) usable &= norms[0] <= largest(p->factors);
    if (usable) {
        usable = p->codes ? screen_all(p, begin, count, part, parts, out, kept, s)
                          : score_all(p, begin, count, part, parts, out, kept, s);
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

/* Runs of items number begin:end into codes. */
static void topk_code_runs(const recsys_topk *p, int64_t begin, int64_t end, uint8_t *codes,
                           double *bounds, uint8_t *failed, void *scratch) {
    const int64_t bytes = RECSYS_TOPK_RUN * code_pairs(p->factors) * 2;
    topk_scratch s;
    topk_layout(scratch, p->factors, &s);
    for (int64_t run = begin; run < end; run++) {
        failed[run] = !code_run(p, run * RECSYS_TOPK_RUN, largest(p->factors), s.row, s.codes,
                                codes + run * bytes, bounds + run * RECSYS_CODE_BOUNDS);
    }
}

#endif
