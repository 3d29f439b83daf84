/* Reads the CPU, once a process, and tells which instruction sets this build can use on it. */
#include "recsys.h"

#define DECLARE(isa) extern const recsys_table recsys_table_##isa##_f32, recsys_table_##isa##_f64;
DECLARE(baseline)
#ifdef RECSYS_HAVE_AVX2
DECLARE(avx2)
#endif
#ifdef RECSYS_HAVE_AVX512
DECLARE(avx512)
#endif

#if defined(RECSYS_HAVE_AVX2) || defined(RECSYS_HAVE_AVX512)
#include <cpuid.h>

/* The operating system must save the wide registers (XGETBV), not only the CPU have them. */
static int read_level(void) {
    unsigned a, b, c, d, xcr0, unused;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return RECSYS_BASELINE;
    const unsigned osxsave = 1u << 27, fma = 1u << 12;
    if ((c & (osxsave | fma)) != (osxsave | fma)) return RECSYS_BASELINE;
    __asm__ volatile("xgetbv" : "=a"(xcr0), "=d"(unused) : "c"(0));
    if ((xcr0 & 0x6) != 0x6) return RECSYS_BASELINE;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return RECSYS_BASELINE;
    if (!(b & (1u << 5))) return RECSYS_BASELINE;
    const unsigned f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    const unsigned all = f | dq | bw | vl;
    return (b & all) == all && (xcr0 & 0xe6) == 0xe6 ? RECSYS_AVX512 : RECSYS_AVX2;
}
#else
static int read_level(void) { return RECSYS_BASELINE; }
#endif

static const struct {
    const char *name;
    const recsys_table *tables[2];
} instruction_sets[RECSYS_ISA_COUNT] = {
    {"baseline", {&recsys_table_baseline_f32, &recsys_table_baseline_f64}},
#ifdef RECSYS_HAVE_AVX2
    {"avx2", {&recsys_table_avx2_f32, &recsys_table_avx2_f64}},
#else
    {"avx2", {NULL, NULL}},
#endif
#ifdef RECSYS_HAVE_AVX512
    {"avx512", {&recsys_table_avx512_f32, &recsys_table_avx512_f64}},
#else
    {"avx512", {NULL, NULL}},
#endif
};

const char *recsys_isa_name(int isa) { return instruction_sets[isa].name; }

/* Asking the CPU takes tens of microseconds in a virtual machine, and kernels are looked up at each
 * call. Threads that ask at the same time find and store the same. */
static int level(void) {
    static int known = -1;
    int found = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (found < 0) {
        found = read_level();
        __atomic_store_n(&known, found, __ATOMIC_RELAXED);
    }
    return found;
}

int recsys_isa_available(int isa) {
    return instruction_sets[isa].tables[0] != NULL && isa <= level();
}

const recsys_table *recsys_get_table(int isa, int double_precision) {
    return recsys_isa_available(isa) ? instruction_sets[isa].tables[double_precision != 0] : NULL;
}

const char *recsys_compiler(void) {
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "gcc " __VERSION__;
#else
    return "unknown";
#endif
}
