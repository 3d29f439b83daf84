/* What the programs that drive kernels share: arrays exactly as large as promised.
 *
 * Each array ends at a page that faults, which also stops what the sanitizers cannot see (masked
 * loads, gathers); the bytes around it are poisoned, inputs are read-only, and scratch starts as
 * NaN, so that what a kernel reads before it wrote it shows in the result. */
#ifndef DRIVING_H
#define DRIVING_H

#include <math.h>
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "recsys.h"

enum { MOST_ARRAYS = 32 };

static struct {
    char *map;
    size_t mapped;
} arrays[MOST_ARRAYS];
static int array_count;

/* `bytes` in pages of their own, ending at (or, for `align`, just before) a page that faults. */
static void *exactly(int64_t bytes, size_t align) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t inside = ((size_t)bytes + align + page - 1) / page * page;
    char *map =
        mmap(NULL, inside + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || array_count == MOST_ARRAYS) abort();
    char *first = map + page, *after = first + inside;
    if (mprotect(map, page, PROT_NONE) || mprotect(after, page, PROT_NONE)) abort();
    char *array = after - bytes;
    array -= (uintptr_t)array % align;
    memset(array, 0xff, (size_t)bytes); /* NaN in both dtypes */
    ASAN_POISON_MEMORY_REGION(first, (size_t)(array - first));
    ASAN_POISON_MEMORY_REGION(array + bytes, (size_t)(after - array - bytes));
    arrays[array_count].map = map;
    arrays[array_count++].mapped = inside + 2 * page;
    return array;
}

static void free_arrays(void) {
    while (array_count) {
        array_count--;
        ASAN_UNPOISON_MEMORY_REGION(arrays[array_count].map, arrays[array_count].mapped);
        munmap(arrays[array_count].map, arrays[array_count].mapped);
    }
}

static void make_arrays_read_only(void) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < array_count; i++) {
        mprotect(arrays[i].map + page, arrays[i].mapped - 2 * page, PROT_READ);
    }
}

/* Uniform in [0, 1), the same on every run. */
static double uniform(void) {
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) * 0x1p-53;
}

static void *reals(int64_t count, int is_double, double low, double high) {
    void *array = exactly(count * (is_double ? 8 : 4), is_double ? 8 : 4);
    for (int64_t i = 0; i < count; i++) {
        const double value = low + (high - low) * uniform();
        if (is_double) {
            ((double *)array)[i] = value;
        } else {
            ((float *)array)[i] = (float)value;
        }
    }
    return array;
}

static int all_finite(const void *array, int64_t count, int is_double) {
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(is_double ? ((double *)array)[i] : ((float *)array)[i])) return 0;
    }
    return 1;
}

static void check(int good, const char *what, int64_t factors) {
    if (good) return;
    fprintf(stderr, "%s: wrong with %d factors\n", what, (int)factors);
    exit(1);
}

/* The table of an instruction set by its name; NULL: this CPU lacks it. */
static const recsys_table *named_table(const char *name, int is_double) {
    for (int isa = 0; isa < RECSYS_ISA_COUNT; isa++) {
        if (!strcmp(name, recsys_isa_name(isa))) return recsys_get_table(isa, is_double);
    }
    return NULL;
}

#endif
