/* The logistic function and its integral, W at a time and without libm, whose last bits differ
 * between platforms.
 *
 *     sigmoid(x) = 1 / (1 + e^-x)          softplus(x) = log(1 + e^x) = max(x, 0) + log1p(e^-|x|)
 *
 * e^z, z <= 0: z = n ln 2 + r, |r| <= ln 2 / 2, and Taylor's series of e^r. log1p(e), e <= 1, is
 * 2 artanh(t) of t = e / (2 + e) <= 1/3. Relative errors are a few units of the last place; below
 * -87 (float32) and -708 (float64), where e^x leaves the normal numbers, both stay at their values
 * there. NaN gives NaN. */
#ifndef RECSYS_KERNELS_SIGMOID_H
#define RECSYS_KERNELS_SIGMOID_H

#include <stdint.h>

#include "vec.h"

#if RECSYS_DOUBLE
#define EXP_LEAST -708.0
#define EXP_TERMS 13 /* of the series: r^13 / 13! < 2e-16 */
#define LOG_TERMS 17 /* t^34 / 35 < 2e-18 */
#define SIGNIFICAND 52
#define EXPONENT_BIAS 1023
#define LN2_HIGH 0x1.62e42fefap-1 /* so few bits that n times it is exact */
#define LN2_LOW 0x1.cf79abc9e3b3ap-40
#else
#define EXP_LEAST -87.0f
#define EXP_TERMS 8 /* r^8 / 8! < 6e-9 */
#define LOG_TERMS 8 /* t^16 / 17 < 2e-9 */
#define SIGNIFICAND 23
#define EXPONENT_BIAS 127
#define LN2_HIGH 0x1.62ep-1f
#define LN2_LOW 0x1.0bfbe8p-15f
#endif
#define LOG2_E (real)1.4426950408889634074

INLINE vec exp_of_negative(vec z) {
    /* clang-format off */
    static const real inverse_factorial[] = {
        1.0,          1.0,           1.0 / 2,        1.0 / 6,         1.0 / 24,
        1.0 / 120,    1.0 / 720,     1.0 / 5040,     1.0 / 40320,     1.0 / 362880,
        1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600};
    /* clang-format on */
    /* adding it rounds to an integer, which is then in the low bits */
    const vec shift = splat((real)(1.5 * ((int64_t)1 << SIGNIFICAND)));
    z = blend(z < splat(EXP_LEAST), splat(EXP_LEAST), z);
    const vec shifted = z * splat(LOG2_E) + shift;
    const vec n = shifted - shift;
    const vec r = z - n * splat(LN2_HIGH) - n * splat(LN2_LOW);
    vec sum = splat(inverse_factorial[EXP_TERMS - 1]);
    UNROLL for (int k = EXP_TERMS - 2; k >= 0; k--) sum = sum * r + splat(inverse_factorial[k]);
    const index_vec exponent = (index_vec)shifted - (index_vec)shift + EXPONENT_BIAS;
    return sum * (vec)(exponent << SIGNIFICAND);
}

INLINE vec sigmoid_of(vec x) {
    const vec e = exp_of_negative(-magnitude(x));
    return blend(x < splat(0), e, splat(1)) / (splat(1) + e);
}

INLINE vec softplus_of(vec x) {
    const vec e = exp_of_negative(-magnitude(x));
    const vec t = e / (splat(2) + e), square = t * t;
    vec sum = splat((real)1 / (2 * LOG_TERMS - 1));
    UNROLL for (int k = LOG_TERMS - 2; k >= 0; k--) {
        sum = sum * square + splat((real)1 / (2 * k + 1));
    }
    return blend(x < splat(0), splat(0), x) + splat(2) * t * sum;
}

/* sigmoid(x), and sigmoid(-x) to as many digits. */
INLINE vec sigmoid_both(vec x, vec *of_opposite) {
    const vec e = exp_of_negative(-magnitude(x));
    const vec large = splat(1) / (splat(1) + e), small = e * large;
    *of_opposite = blend(x < splat(0), large, small);
    return blend(x < splat(0), small, large);
}

INLINE real sigmoid(real x) { return sigmoid_of(splat(x))[0]; }
INLINE real softplus(real x) { return softplus_of(splat(x))[0]; }

#endif
