/* Bounds of scores by 8-bit codes: what tells, for a quarter of the work, which items a list cannot
 * want.
 *
 * A run of RECSYS_TOPK_RUN items has one scale s, a query x a scale t of its own:
 *
 *     v = s c + e,   c_j whole, |c_j| <= 63         x = t a + d,   a_j whole, |a_j| <= 127
 *     x . v = t s (a . c) + t a . e + d . v
 *
 * and the score that is computed is off from x . v by f roundings at most. So by Cauchy and Schwarz
 *
 *     score <= t s (a . c) + (|x| + |d|) |e| + |d| |v| + (f + 8) eps |x| |v| + what vanishes
 *
 * where |e| and |v| are the largest of the run, measured when it is coded, as |d| is. An item can
 * only reach a list whose worst score is w if the whole number a . c is at least
 *
 *     (w - all but the first term) / (t s)
 *
 * All others are left out unseen; those that are not are scored as ever, which is why codes never
 * show in a list.
 *
 * Scales are such that |c| and |a| stay below 181: |v / s| <= 181 - sqrt(f) / 2, and rounding adds
 * no more than sqrt(f) / 2. Hence |a . c| <= 181^2 < 2^15, and sums may be formed modulo 2^16, one
 * 16-bit lane an item, however large they become on the way. c + 64 is what is stored, so that it
 * is not negative: the product of two such pairs, at most 2 * 127 * 127, never saturates, and
 * 64 sum_j a_j is taken off at the start. The relative error of x . v is about
 * 2 sqrt(f / 12) / 181: 0.026 for 64 factors.
 *
 * Cost: 2 f operations on bytes a pair, of which an instruction does four times as many as of
 * float32. Making the codes reads the items twice. */
#ifndef RECSYS_KERNELS_SCREEN_H
#define RECSYS_KERNELS_SCREEN_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "recsys.h"
#include "scratch.h"
#include "vec.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define CODE_NORM 181.0 /* of codes at most: its square is below 2^15 */
#define CODE_ZERO 64    /* what stands for 0 among the codes of items */
#define CODE_MOST 63
#define CODE_QUERY_MOST 127
/* A scale at least, whose inverse is finite */
#define CODE_SCALE_LEAST (RECSYS_DOUBLE ? 1e-120 : 1e-36)

#define CODE_ROWS (REGISTERS == 32 ? 8 : 4) /* queries of a tile */
#define CODE_VECTORS 2                      /* of items, of a tile */
#define CODE_LANES (VECTOR_BYTES / 2)       /* items of a vector */
#define CODE_LINE (2 * RECSYS_CODE_BLOCK)   /* bytes of a pair of factors of a block of items */
/* Of a single query */
#define CODE_MOST_VECTORS (2 * RECSYS_CODE_BLOCK / CODE_LANES)
#define CODE_SUMS                                                                                  \
    (CODE_ROWS * CODE_VECTORS > CODE_MOST_VECTORS ? CODE_ROWS * CODE_VECTORS : CODE_MOST_VECTORS)

_Static_assert(CODE_ROWS % MR == 0 && RECSYS_TOPK_QUERIES % CODE_ROWS == 0, "tiles of queries");
_Static_assert(RECSYS_TOPK_RUN % (CODE_VECTORS * CODE_LANES) == 0, "tiles of items");
_Static_assert(RECSYS_TOPK_RUN % (2 * RECSYS_CODE_BLOCK) == 0, "blocks fill runs");
_Static_assert(RECSYS_CODE_BLOCK % CODE_LANES == 0, "vectors fill blocks");

typedef uint8_t byte_vec __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef uint8_t unaligned_byte_vec
    __attribute__((vector_size(VECTOR_BYTES), aligned(1), may_alias));
typedef uint16_t half_vec __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef int16_t signed_half_vec __attribute__((vector_size(VECTOR_BYTES), may_alias));

INLINE half_vec splat_half(uint16_t a) { return a - (half_vec){0}; }

/* Two neighbouring codes of a query, as the product with items wants them. */
#if defined(__AVX512BW__) || defined(__AVX2__)
typedef struct {
    int8_t codes[4]; /* twice the two: processors have no broadcast of 16 bits from memory */
} code_pair;
typedef byte_vec code_operand;
INLINE code_pair pair_of(int8_t a, int8_t b) { return (code_pair){{a, b, a, b}}; }
#else
typedef struct {
    half_vec even, odd;
} code_pair;
typedef code_pair code_operand;
INLINE code_pair pair_of(int8_t a, int8_t b) {
    return (code_pair){splat_half((uint16_t)a), splat_half((uint16_t)b)};
}
#endif

/* Each 16-bit lane: an item's two codes times the query's. */
#if defined(__AVX512BW__)
INLINE code_operand load_pair(const code_pair *pair) {
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return (code_operand)_mm512_set1_epi32(both);
}
INLINE half_vec pair_products(byte_vec items, code_operand query) {
    return (half_vec)_mm512_maddubs_epi16((__m512i)items, (__m512i)query);
}
#elif defined(__AVX2__)
INLINE code_operand load_pair(const code_pair *pair) {
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return (code_operand)_mm256_set1_epi32(both);
}
INLINE half_vec pair_products(byte_vec items, code_operand query) {
    return (half_vec)_mm256_maddubs_epi16((__m256i)items, (__m256i)query);
}
#else
INLINE code_operand load_pair(const code_pair *pair) { return *pair; }
INLINE half_vec pair_products(byte_vec items, code_operand query) {
    const half_vec both = (half_vec)items;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return (both >> 8) * query.even + (both & 0xff) * query.odd;
#else
    return (both & 0xff) * query.even + (both >> 8) * query.odd;
#endif
}
#endif

INLINE int any_lane(signed_half_vec mask) {
#if defined(__AVX512BW__)
    return _mm512_test_epi16_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
    return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#else
    int64_t words[VECTOR_BYTES / 8], any = 0;
    memcpy(words, &mask, sizeof words);
    for (int i = 0; i < VECTOR_BYTES / 8; i++) any |= words[i];
    return any != 0;
#endif
}

/* What is known of a query: score <= t s (a . c) + by_norm |v| + by_error |e|. */
typedef struct {
    double by_norm, by_error, per_scale; /* 1 / t */
    uint16_t start;                      /* -64 sum_j a_j modulo 2^16 */
} code_query;

INLINE int64_t code_pairs(int64_t f) { return (f + 1) / 2; }

#define WIDE (VECTOR_BYTES / 8) /* reals that fill a vector in double */
typedef double wide_vec __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef real part_vec __attribute__((vector_size(WIDE * REAL_BYTES), may_alias));

INLINE wide_vec load_wide(const real *p) {
    return __builtin_convertvector(*(const part_vec *)p, wide_vec);
}

INLINE double wide_norm(wide_vec squares) {
    double square = 0;
    for (int l = 0; l < WIDE; l++) square += squares[l];
    return sqrt(square);
}

/* |row|, of `width` reals, whole vectors, in double. */
INLINE double row_norm(const real *row, int64_t width) {
    wide_vec squares = {0};
    for (int64_t j = 0; j < width; j += WIDE) squares += load_wide(row + j) * load_wide(row + j);
    return wide_norm(squares) + RECSYS_VANISHED;
}

/* The largest |row_j|, of lanes of `most` before. */
INLINE vec row_most(const real *row, int64_t width, vec most) {
    for (int64_t j = 0; j < width; j += W) {
        const vec size = magnitude(load(row + j));
        most = blend(size > most, size, most);
    }
    return most;
}

/* The scale of rows of f values of up to `most`, and up to `norm` long, to have codes of up to
 * `code_most`. */
INLINE double code_scale(int64_t f, double norm, vec most, double code_most) {
    real largest_value = 0;
    for (int l = 0; l < W; l++) largest_value = most[l] > largest_value ? most[l] : largest_value;
    const double scale = norm / (CODE_NORM - sqrt((double)f) / 2);
    return fmax(fmax(scale, (double)largest_value / code_most), CODE_SCALE_LEAST);
}

/* codes = row / scale, rounded; returns the norm of what that leaves of a row so long, at least.
 * What was in `row` is lost. */
INLINE double code_row(real *row, int64_t width, double scale, double norm, int8_t *codes) {
    /* adding it rounds to a whole number, which is then in the low bits */
    const vec inverse = splat((real)(1 / scale)), shift = splat((real)(1.5 / REAL_EPSILON));
    wide_vec squares = {0};
    real whole[W] __attribute__((aligned(VECTOR_BYTES)));
    for (int64_t j = 0; j < width; j += W) {
        const vec shifted = load(row + j) * inverse + shift;
        store(whole, shifted - shift);
        for (int l = 0; l < W; l += WIDE) {
            const wide_vec left = load_wide(row + j + l) - scale * load_wide(whole + l);
            squares += left * left;
        }
        store(row + j, shifted);
    }
    for (int64_t j = 0; j < width; j++) {
        lane_index bits;
        memcpy(&bits, row + j, sizeof bits);
        codes[j] = (int8_t)bits;
    }
    return wide_norm(squares) * (1 + 1e-9) + 1e-14 * norm + RECSYS_VANISHED;
}

/* The codes of a query, and what its scores are bounded by; `row` and `codes` have room for f in
 * whole vectors. */
static code_query code_one(const real *x, int64_t f, real *row, int8_t *codes, code_pair *pairs) {
    const int64_t width = padded(f);
    for (int64_t j = 0; j < width; j++) row[j] = j < f ? x[j] : 0;
    const double norm = row_norm(row, width);
    const double scale = code_scale(f, norm, row_most(row, width, splat(0)), CODE_QUERY_MOST);
    const double left = code_row(row, width, scale, norm, codes);
    uint16_t sum = 0;
    for (int64_t j = 0; j < f; j++) sum = (uint16_t)(sum + codes[j]);
    for (int64_t j = 0; j < code_pairs(f); j++) {
        pairs[j * CODE_ROWS] = pair_of(codes[2 * j], codes[2 * j + 1]);
    }
    const double roundings = 2 * (double)(f + 8) * REAL_EPSILON;
    return (code_query){.by_norm = (left + roundings * norm) * (1 + 1e-9),
                        .by_error = (norm + left) * (1 + 1e-9),
                        .per_scale = 1 / scale,
                        .start = (uint16_t)(0 - CODE_ZERO * sum)};
}

/* What a . c has to exceed for the score to reach `worst`, in 16 bits. */
INLINE int16_t code_threshold(const code_query *q, double worst, const double *run) {
    const double rest = q->by_norm * run[2] + q->by_error * run[1] + REAL_MIN;
    const double least = (worst - rest) * q->per_scale * run[0] - 2;
    if (!(least < 32767)) return 32767;
    return (int16_t)(least > -32768 ? least : -32768);
}

/* acc[r * vectors + v]: a . c of query r and the items of vector v of those from `at` of a run on */
INLINE void code_tile(const uint8_t *run, int64_t at, const code_pair *query,
                      const code_query *queries, int64_t pairs, const int rows, const int vectors,
                      half_vec acc[CODE_SUMS]) {
    const uint8_t *items =
        run + at / RECSYS_CODE_BLOCK * pairs * CODE_LINE + at % RECSYS_CODE_BLOCK * 2;
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < vectors; v++) {
            acc[r * vectors + v] = splat_half(queries[r].start);
        }
    }
    _Pragma("GCC unroll 2") for (int64_t j = 0; j < pairs; j++, items += CODE_LINE) {
        byte_vec right[CODE_MOST_VECTORS];
        UNROLL for (int v = 0; v < vectors; v++) {
            const int64_t block = v * VECTOR_BYTES / CODE_LINE;
            right[v] = *(const unaligned_byte_vec *)(items + block * pairs * CODE_LINE +
                                                     v * VECTOR_BYTES % CODE_LINE);
        }
        UNROLL for (int r = 0; r < rows; r++) {
            const code_operand left = load_pair(query + j * CODE_ROWS + r);
            UNROLL for (int v = 0; v < vectors; v++) {
                acc[r * vectors + v] += pair_products(right[v], left);
            }
        }
    }
}

/* Place `item` of a run and a query of a group: what may be in its list. */
typedef struct {
    int32_t item;
    int32_t row;
} code_hit;

#define CODE_HITS 16 /* of a group in a run: of more of them all items are scored */

/* The pairs of a run and a group of queries that exceed `thresholds`, at most CODE_HITS; returns
 * their number, or a larger one if there are more. */
INLINE int64_t code_hits(const uint8_t *run, const code_pair *query, const code_query *queries,
                         const int16_t *thresholds, int64_t pairs, const int rows,
                         const int vectors, code_hit *hits) {
    int64_t count = 0;
    for (int64_t at = 0; at < RECSYS_TOPK_RUN; at += vectors * CODE_LANES) {
        half_vec acc[CODE_SUMS];
        signed_half_vec above[CODE_SUMS], any = {0};
        code_tile(run, at, query, queries, pairs, rows, vectors, acc);
        UNROLL for (int r = 0; r < rows; r++) {
            const signed_half_vec least = (signed_half_vec)splat_half((uint16_t)thresholds[r]);
            UNROLL for (int v = 0; v < vectors; v++) {
                above[r * vectors + v] = (signed_half_vec)acc[r * vectors + v] > least;
                any |= above[r * vectors + v];
            }
        }
        if (!any_lane(any)) continue;
        int64_t fours[CODE_SUMS * CODE_LANES / 4];
        memcpy(fours, above, sizeof fours);
        for (int four = 0; four < rows * vectors * CODE_LANES / 4; four++) {
            if (!fours[four]) continue;
            int16_t lanes[4];
            memcpy(lanes, fours + four, sizeof lanes);
            for (int l = 0; l < 4; l++) {
                const int pair = 4 * four + l, width = vectors * CODE_LANES;
                if (!lanes[l]) continue;
                if (count == CODE_HITS) return count + 1;
                hits[count++] = (code_hit){(int32_t)at + pair % width, pair / width};
            }
        }
    }
    return count;
}

/* Row `item`, scaled, in whole vectors. */
INLINE void scaled_row(const recsys_topk *p, int64_t item, real *row) {
    const int64_t f = p->factors;
    const vec scale = splat(p->item_scale ? ((const real *)p->item_scale)[item] : 1);
    const real *values = (const real *)p->items + item * f;
    for (int64_t v = 0; v * W < f; v++) store(row + v * W, load_row(values, v, f) * scale);
}

INLINE int64_t item_at(const recsys_topk *p, int64_t place) {
    return p->order ? p->order[place] : place;
}

/* One run of items into codes, and what they are bounded by: 1 / s, |e| and |v|. Returns whether
 * every value is at most `limit`, which infinity and NaN are not. */
static int code_run(const recsys_topk *p, int64_t first, real limit, real *row, int8_t *codes,
                    uint8_t *out, double *bounds) {
    const int64_t f = p->factors, count = min_i64(RECSYS_TOPK_RUN, p->n_items - first);
    const int64_t pairs = code_pairs(f), width = padded(f);
    double norms[RECSYS_TOPK_RUN], norm = 0, error = 0;
    vec most = splat(0);
    for (int64_t i = 0; i < count; i++) {
        const int64_t ahead = item_at(p, min_i64(first + i + AHEAD, p->n_items - 1));
        prefetch_bytes((const char *)((const real *)p->items + ahead * f), f * REAL_BYTES);
        scaled_row(p, item_at(p, first + i), row);
        norms[i] = row_norm(row, width);
        if (!(norms[i] <= REAL_MAX)) return 0;
        norm = fmax(norm, norms[i]);
        most = row_most(row, width, most);
    }
    if (any_clear(most <= splat(limit))) return 0;
    const double scale = code_scale(f, norm, most, CODE_MOST);
    memset(out, CODE_ZERO, (size_t)(RECSYS_TOPK_RUN * pairs * 2));
    for (int64_t i = 0; i < count; i++) {
        uint8_t *at = out + i / RECSYS_CODE_BLOCK * pairs * CODE_LINE + i % RECSYS_CODE_BLOCK * 2;
        scaled_row(p, item_at(p, first + i), row);
        error = fmax(error, code_row(row, width, scale, norms[i], codes));
        for (int64_t j = 0; j < pairs; j++, at += CODE_LINE) {
            at[0] = (uint8_t)(codes[2 * j] + CODE_ZERO);
            at[1] = (uint8_t)(codes[2 * j + 1] + CODE_ZERO);
        }
    }
    bounds[0] = 1 / scale;
    bounds[1] = error;
    bounds[2] = norm;
    return 1;
}

#endif
