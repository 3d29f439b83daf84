/* Scratch of a thread: one block that the caller allocates, dealt out in whole cache lines. */
#ifndef RECSYS_KERNELS_SCRATCH_H
#define RECSYS_KERNELS_SCRATCH_H

#include "recsys.h"
#include "vec.h"

static inline char *take(char **at, int64_t bytes) {
    char *here = *at;
    *at += round_up(bytes, RECSYS_LINE);
    return here;
}

#endif
