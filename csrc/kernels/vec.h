/* Vectors of the widest registers the compiler may use here, by GCC's vector extension.
 *
 * W lanes of `real`; the shapes of register tiles follow from the number of registers:
 * MR x NV vectors for a product that broadcasts one side, BS x BS for one whose lanes are
 * independent problems. FMA comes from contraction (the build sets -ffp-contract=fast). */
#ifndef RECSYS_KERNELS_VEC_H
#define RECSYS_KERNELS_VEC_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "recsys.h"

#if RECSYS_DOUBLE
typedef double real;
typedef int64_t lane_index;
#define REAL_BYTES 8
#define REAL_MAX DBL_MAX
#define REAL_MIN DBL_MIN
#define REAL_EPSILON DBL_EPSILON
#else
typedef float real;
typedef int32_t lane_index;
#define REAL_BYTES 4
#define REAL_MAX FLT_MAX
#define REAL_MIN FLT_MIN
#define REAL_EPSILON FLT_EPSILON
#endif

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define REGISTERS 32
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#define REGISTERS 16
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define REGISTERS 32
#else
#define VECTOR_BYTES 16
#define REGISTERS 16
#endif

#define W (VECTOR_BYTES / REAL_BYTES)
#if REGISTERS == 32 && VECTOR_BYTES / REAL_BYTES >= 8
#define MR 8
#elif VECTOR_BYTES / REAL_BYTES >= 4
#define MR 4
#else
#define MR 2
#endif
#define NV 3
#define BS (REGISTERS == 32 ? 4 : 3)
#define GROUP (W < 8 ? W : 8) /* rows whose dot products are reduced together; at least MR */

_Static_assert(VECTOR_BYTES % REAL_BYTES == 0 && (W & (W - 1)) == 0, "lanes are a power of two");
_Static_assert(W % MR == 0 && GROUP >= MR, "tiles divide slabs, and fit a reduction");
_Static_assert(RECSYS_MOST_LANES % W == 0 && RECSYS_LINE % VECTOR_BYTES == 0, "see recsys.h");

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

typedef real vec __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef real unaligned_vec
    __attribute__((vector_size(VECTOR_BYTES), aligned(REAL_BYTES), may_alias));
typedef lane_index index_vec __attribute__((vector_size(VECTOR_BYTES)));

INLINE int64_t round_up(int64_t n, int64_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

/* Reals of a row of f in whole vectors. */
INLINE int64_t padded(int64_t f) { return round_up(f, W); }

INLINE int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t max_i64(int64_t a, int64_t b) { return a > b ? a : b; }

INLINE vec load(const real *p) { return *(const unaligned_vec *)p; }
INLINE void store(real *p, vec v) { *(unaligned_vec *)p = v; }
INLINE vec splat(real a) { return a - (vec){0}; }

/* The first `count` < W lanes of p, zeros behind them; never reads past p[count - 1]. */
INLINE vec load_first(const real *p, int64_t count) {
    real lanes[W] __attribute__((aligned(VECTOR_BYTES))) = {0};
    memcpy(lanes, p, (size_t)count * sizeof(real));
    return *(const vec *)lanes;
}

/* Vector number v of a row of f reals. */
INLINE vec load_row(const real *row, int64_t v, int64_t f) {
    return (v + 1) * W <= f ? load(row + v * W) : load_first(row + v * W, f - v * W);
}

INLINE void store_row(real *row, int64_t v, int64_t f, vec x) {
    if ((v + 1) * W <= f) {
        store(row + v * W, x);
    } else {
        memcpy(row + v * W, &x, (size_t)(f - v * W) * sizeof(real));
    }
}

/* Gathers wait on memory: a row is asked for so many entries before it is read. */
#define AHEAD 16

/* Into L2: into L1, which can have but few lines on their way, it would wait for these. */
INLINE void prefetch_bytes(const char *at, int64_t bytes) {
    const char *line = at - (uintptr_t)at % RECSYS_LINE; /* what does not begin at one ends in it */
    for (; line < at + bytes; line += RECSYS_LINE) __builtin_prefetch(line, 0, 2);
}

#if RECSYS_DOUBLE
INLINE real root(real x) { return sqrt(x); }
#else
INLINE real root(real x) { return sqrtf(x); }
#endif

/* a * b + c, rounded as the contraction of vectors rounds it. */
INLINE real multiply_add(real a, real b, real c) {
#if defined(__FMA__) || defined(__aarch64__)
    return RECSYS_DOUBLE ? (real)__builtin_fma(a, b, c)
                         : (real)__builtin_fmaf((float)a, (float)b, (float)c);
#else
    return a * b + c;
#endif
}

INLINE vec vec_root(vec x) {
    UNROLL for (int l = 0; l < W; l++) x[l] = root(x[l]);
    return x;
}

/* Interleave the low or the high halves of two vectors. */
#if VECTOR_BYTES / REAL_BYTES == 16
#define LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif VECTOR_BYTES / REAL_BYTES == 8
#define LOW 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif VECTOR_BYTES / REAL_BYTES == 4
#define LOW 0, 4, 1, 5
#define HIGH 2, 6, 3, 7
#else
#define LOW 0, 2
#define HIGH 1, 3
#endif
#if defined(__clang__)
#define shuffle(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define shuffle(a, b, ...) __builtin_shuffle(a, b, (index_vec){__VA_ARGS__})
#endif
INLINE vec zip_low(vec a, vec b) { return shuffle(a, b, LOW); }
INLINE vec zip_high(vec a, vec b) { return shuffle(a, b, HIGH); }

/* a where the mask is set, b elsewhere */
INLINE vec blend(index_vec mask, vec a, vec b) {
    return (vec)((mask & (index_vec)a) | (~mask & (index_vec)b));
}

INLINE vec magnitude(vec x) { return blend(x < splat(0), -x, x); }

/* Whether any lane is 0, of lanes that are 0 or -1. */
INLINE int any_clear(index_vec lanes) {
    int64_t words[VECTOR_BYTES / 8] __attribute__((aligned(VECTOR_BYTES)));
    memcpy(words, &lanes, sizeof words);
    int64_t all = words[0];
    for (int i = 1; i < VECTOR_BYTES / 8; i++) all &= words[i];
    return all != -1;
}

/* Lanes of a and b, of which each result lane is to have the sum of two that are so far apart: the
 * lower, and the higher of the two. Lane l is a's where l / apart is even, and b's where it is odd. */
#if VECTOR_BYTES / REAL_BYTES == 16
#define LOWER_8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HIGHER_8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define LOWER_4 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define HIGHER_4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define LOWER_2 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HIGHER_2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14, 0, 2, 4, 6, 8, 10, 12, 14
#define ODD 1, 3, 5, 7, 9, 11, 13, 15, 1, 3, 5, 7, 9, 11, 13, 15
#elif VECTOR_BYTES / REAL_BYTES == 8
#define LOWER_4 0, 1, 2, 3, 8, 9, 10, 11
#define HIGHER_4 4, 5, 6, 7, 12, 13, 14, 15
#define LOWER_2 0, 1, 8, 9, 4, 5, 12, 13
#define HIGHER_2 2, 3, 10, 11, 6, 7, 14, 15
#define LOWER_1 0, 8, 2, 10, 4, 12, 6, 14
#define HIGHER_1 1, 9, 3, 11, 5, 13, 7, 15
#elif VECTOR_BYTES / REAL_BYTES == 4
#define LOWER_2 0, 1, 4, 5
#define HIGHER_2 2, 3, 6, 7
#define LOWER_1 0, 4, 2, 6
#define HIGHER_1 1, 5, 3, 7
#else
#define LOWER_1 0, 2
#define HIGHER_1 1, 3
#endif

/* Interleave within each 128 bits, which takes one instruction where crossing them takes more, and
 * join the lower or the higher halves of two vectors. */
#if VECTOR_BYTES == 32 && REAL_BYTES == 4
#define LOW_WITHIN 0, 8, 1, 9, 4, 12, 5, 13
#define HIGH_WITHIN 2, 10, 3, 11, 6, 14, 7, 15
#define LOWER_HALVES LOWER_4
#define HIGHER_HALVES HIGHER_4
#elif VECTOR_BYTES == 32
#define LOW_WITHIN LOWER_1
#define HIGH_WITHIN HIGHER_1
#define LOWER_HALVES LOWER_2
#define HIGHER_HALVES HIGHER_2
#else
#define LOW_WITHIN LOW
#define HIGH_WITHIN HIGH
#endif
#define TRANSPOSED (VECTOR_BYTES == 32 ? W / 2 : W) /* lanes of what is transposed by itself */

/* W x W transpose in registers: log2(W) rounds of a perfect shuffle. With two times 128 bits each
 * half of the rows goes by itself, and its halves find each other at the end. */
INLINE void transpose(vec rows[W]) {
    UNROLL for (int round = 1; round < TRANSPOSED; round *= 2) {
        vec next[W];
        UNROLL for (int i = 0; i < W / 2; i++) {
            const int first = i / (TRANSPOSED / 2) * TRANSPOSED + i % (TRANSPOSED / 2);
            const vec a = rows[first], b = rows[first + TRANSPOSED / 2];
            next[2 * i] = shuffle(a, b, LOW_WITHIN);
            next[2 * i + 1] = shuffle(a, b, HIGH_WITHIN);
        }
        UNROLL for (int i = 0; i < W; i++) rows[i] = next[i];
    }
#if VECTOR_BYTES == 32
    UNROLL for (int i = 0; i < W / 2; i++) {
        const vec a = rows[i], b = rows[i + W / 2];
        rows[i] = shuffle(a, b, LOWER_HALVES);
        rows[i + W / 2] = shuffle(a, b, HIGHER_HALVES);
    }
#endif
}

/* lanes[j * stride + l] = rows[l][j] (* scales[l][j], scales being NULL or rows padded to W). */
INLINE void rows_to_lanes(const real *const rows[W], const real *const *scales, int64_t f,
                          real *lanes, int64_t stride) {
    for (int64_t v = 0; v * W < f; v++) {
        const int whole = (v + 1) * W <= f;
        vec t[W];
        if (whole) {
            UNROLL for (int l = 0; l < W; l++) t[l] = load(rows[l] + v * W);
        } else {
            for (int l = 0; l < W; l++) t[l] = load_first(rows[l] + v * W, f - v * W);
        }
        if (scales) {
            UNROLL for (int l = 0; l < W; l++) t[l] *= load(scales[l] + v * W);
        }
        transpose(t);
        UNROLL for (int l = 0; l < W; l++) store(lanes + (v * W + l) * stride, t[l]);
    }
}

#define ADD_LANES(x, half, apart)                                                                  \
    UNROLL for (int i = 0; i < half; i++) {                                                        \
        x[i] = shuffle(x[i], x[i + half], LOWER_##apart) +                                         \
               shuffle(x[i], x[i + half], HIGHER_##apart);                                         \
    }

/* Lane g of the result, g < GROUP, is the sum of the lanes of x[g]: each round makes one vector of
 * two, adding lanes that are half as far apart as in the round before, so that all but the first
 * stay within 128 bits, where a shuffle takes one cycle. */
INLINE vec sum_lanes(vec x[GROUP]) {
#if VECTOR_BYTES / REAL_BYTES == 16
    ADD_LANES(x, 4, 8)
    ADD_LANES(x, 2, 4)
    ADD_LANES(x, 1, 2)
    return shuffle(x[0], x[0], EVEN) + shuffle(x[0], x[0], ODD);
#elif VECTOR_BYTES / REAL_BYTES == 8
    ADD_LANES(x, 4, 4)
    ADD_LANES(x, 2, 2)
    ADD_LANES(x, 1, 1)
#elif VECTOR_BYTES / REAL_BYTES == 4
    ADD_LANES(x, 2, 2)
    ADD_LANES(x, 1, 1)
#else
    ADD_LANES(x, 1, 1)
#endif
    return x[0];
}

/* The sum of x's lanes. */
INLINE real sum_vec(vec x) {
    UNROLL for (int lanes = W; lanes > 1; lanes /= 2) {
        x = zip_low(x, splat(0)) + zip_high(x, splat(0));
    }
    return x[0];
}

#endif
