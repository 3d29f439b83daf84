/* Random numbers by counter: a draw is a function of its key and its place in the sequence alone,
 * never of the thread that makes it. The mix is that of splitmix64 (Steele, Lea and Flood, "Fast
 * Splittable Pseudorandom Number Generators", OOPSLA 2014). */
#ifndef RECSYS_KERNELS_RNG_H
#define RECSYS_KERNELS_RNG_H

#include <stdint.h>

#include "vec.h"

INLINE uint64_t draw(uint64_t key, uint64_t counter) {
    uint64_t z = key + counter * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* An integer in [0, n), n >= 1, out of the upper half of `random`: Lemire's product (ACM TOMACS 29,
 * 2019) without its rejection, so that no value's probability is off by more than 2^-32. */
INLINE uint32_t below(uint64_t random, uint32_t n) {
    return (uint32_t)(((random >> 32) * n) >> 32);
}

#endif
