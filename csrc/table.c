/* Every kernel, stamped once per instruction set and dtype.
 *
 * The build compiles this file with RECSYS_ISA (a name), RECSYS_DOUBLE (0 or 1) and the compiler's
 * flags for the set; everything but the table is static, so that the linker can never keep one
 * set's copy of a shared function for another. */
#include "recsys.h"

#include "kernels/als.h"
#include "kernels/als_nonnegative.h"
#include "kernels/als_summed.h"
#include "kernels/bpr.h"
#include "kernels/gram.h"
#include "kernels/hybrid.h"
#include "kernels/lmf.h"
#include "kernels/neighbors.h"
#include "kernels/product.h"
#include "kernels/ratings.h"
#include "kernels/slim.h"
#include "kernels/spmm.h"
#include "kernels/topk.h"
#include "kernels/vec.h"

static int64_t scratch_bytes(int64_t factors, int64_t cg_steps, int64_t longest) {
    int64_t most = als_scratch_bytes(factors, cg_steps, longest);
    most = max_i64(most, nonnegative_scratch_bytes(factors));
    most = max_i64(most, gram_scratch_bytes(factors));
    most = max_i64(most, topk_scratch_bytes(factors));
    most = max_i64(most, bpr_scratch_bytes(factors));
    return max_i64(most, lmf_scratch_bytes(factors));
}

#define PASTE3(a, b, c) a##b##c
#define TABLE(isa, dtype) PASTE3(recsys_table_, isa, dtype)
#if RECSYS_DOUBLE
#define DTYPE _f64
#else
#define DTYPE _f32
#endif

/* clang-format off */
const recsys_table TABLE(RECSYS_ISA, DTYPE) = {
#define RECSYS_ENTRY(name, arguments) .name = name,
    RECSYS_KERNELS(RECSYS_ENTRY)
#undef RECSYS_ENTRY
    .scratch_bytes = scratch_bytes,
    .product_scratch_bytes = product_scratch_bytes,
    .neighbors_scratch_bytes = neighbors_scratch_bytes,
    .slim_scratch_bytes = slim_scratch_bytes,
    .hybrid_scratch_bytes = hybrid_scratch_bytes,
    .hybrid_step_bytes = hybrid_step_bytes,
    .hybrid_scale = hybrid_scale,
    .row_path = row_path,
    .lanes = W,
};
