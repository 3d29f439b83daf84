/* Runs the steps for users and items that have features, each loss, schedule, instruction set and
 * dtype, as drive_kernels.c runs the other kernels. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "driving.h"
#include "recsys.h"

enum { USERS = 9, ITEMS = 21, FEATURES = 13, SAMPLES = 50, BATCH = 16, TRIALS = 7 };

/* Rows of 0 to 4 features, or NULL: each row is one. */
static recsys_featured make_side(int is_double, int64_t rows, int identity) {
    recsys_featured side = {.rows = rows, .alpha = 0.01, .scale = 1};
    if (identity) return side;
    int64_t *indptr = exactly(8 * (rows + 1), 8);
    indptr[0] = 0;
    for (int64_t r = 0; r < rows; r++) indptr[r + 1] = indptr[r] + r % 5;
    int32_t *indices = exactly(4 * indptr[rows], 4);
    for (int64_t at = 0; at < indptr[rows]; at++) indices[at] = (int32_t)(at * 5 % FEATURES);
    side.indptr = indptr, side.indices = indices;
    side.weights = reals(indptr[rows], is_double, -1, 1);
    return side;
}

/* Rows of features, zeros or ones behind the bias. */
static void *make_rows(int is_double, int64_t count, int64_t factors, int64_t stride, double least,
                       double behind) {
    void *rows = reals(count * stride, is_double, least, 1);
    for (int64_t at = 0; at < count * stride; at++) {
        if (at % stride <= factors) continue;
        if (is_double) {
            ((double *)rows)[at] = behind;
        } else {
            ((float *)rows)[at] = (float)behind;
        }
    }
    return rows;
}

static void make_state(recsys_featured *side, int is_double, int64_t factors, int64_t stride,
                       int adadelta) {
    const int64_t count = side->indptr ? FEATURES : side->rows;
    side->values = make_rows(is_double, count, factors, stride, -1, 0);
    side->squares = make_rows(is_double, count, factors, stride, 0.5, 1);
    if (adadelta) side->momentum = make_rows(is_double, count, factors, stride, 0.1, 1);
}

static void drive(const recsys_table *table, int is_double, int64_t f, int loss, int identity,
                  int adadelta) {
    const int64_t line = is_double ? 8 : 16, stride = (f + line) / line * line;
    recsys_hybrid p = {.factors = f,
                       .stride = stride,
                       .loss = loss,
                       .adadelta = adadelta,
                       .rate = 0.05,
                       .rho = 0.95,
                       .epsilon = 1e-6,
                       .key = 7};
    p.user = make_side(is_double, USERS, identity);
    p.item = make_side(is_double, ITEMS, identity);
    int32_t *users = exactly(4 * SAMPLES, 4), *items = exactly(4 * SAMPLES, 4);
    uint8_t *liked = exactly(SAMPLES, 1);
    for (int64_t s = 0; s < SAMPLES; s++) {
        users[s] = (int32_t)(s % USERS), items[s] = (int32_t)(s * 11 % ITEMS), liked[s] = s % 2;
    }
    int64_t *stored = exactly(8 * (USERS + 1), 8);
    for (int64_t u = 0; u <= USERS; u++) stored[u] = u * (u - 1) / 2;
    int32_t *own = exactly(4 * stored[USERS], 4);
    for (int64_t u = 0; u < USERS; u++) {
        for (int64_t k = stored[u]; k < stored[u + 1]; k++) own[k] = (int32_t)(2 * (k - stored[u]));
    }
    p.users = users, p.items = items, p.liked = liked;
    p.stored_indptr = stored, p.stored_indices = own, p.pool = items, p.pool_size = SAMPLES;
    if (loss != RECSYS_HYBRID_KOS) p.weights = reals(SAMPLES, is_double, 0.5, 1.5);
    if (loss >= RECSYS_HYBRID_WARP) {
        p.max_sampled = TRIALS, p.rank_weights = reals(TRIALS, 1, 0.1, 3);
        if (!identity) p.screen = make_rows(is_double, ITEMS, f, stride, -1, 0);
    }
    if (loss == RECSYS_HYBRID_KOS) p.k = 3, p.n = 5;
    make_arrays_read_only();
    make_state(&p.user, is_double, f, stride, adadelta);
    make_state(&p.item, is_double, f, stride, adadelta);
    const int64_t bytes = table->hybrid_scratch_bytes(f, p.k);
    char *scratch = exactly(bytes, 64), *steps = exactly(BATCH * table->hybrid_step_bytes(f), 64);
    for (int64_t first = 0; first < SAMPLES; first += BATCH) {
        const int64_t count = SAMPLES - first < BATCH ? SAMPLES - first : BATCH;
        memset(scratch, 0xff, (size_t)bytes);
        table->hybrid_gradients(&p, first, first + count / 2, first, steps, scratch);
        table->hybrid_gradients(&p, first + count / 2, first + count, first, steps, scratch);
        table->hybrid_updates(&p, steps, count, 0, 2);
        table->hybrid_updates(&p, steps, count, 1, 2);
        p.user.scale = table->hybrid_scale(&p, steps, count, p.user.scale, p.user.alpha);
        p.item.scale = table->hybrid_scale(&p, steps, count, p.item.scale, p.item.alpha);
    }
    const int64_t features = identity ? ITEMS : FEATURES;
    check(all_finite(p.item.values, features * stride, is_double), "hybrid", f);
    check(p.item.scale > 1 && isfinite(p.item.scale), "hybrid's scale", f);
    free_arrays();
}

/* drive ISA DTYPE: an instruction set by its name; f32 or f64. */
int main(int argc, char **argv) {
    static const int64_t FACTORS[] = {1, 7, 8, 15, 16, 31, 33, 64, 71};
    if (argc != 3) return 2;
    const int is_double = strcmp(argv[2], "f64") == 0;
    const recsys_table *table = named_table(argv[1], is_double);
    for (size_t f = 0; table && f < sizeof FACTORS / sizeof *FACTORS; f++) {
        for (int loss = RECSYS_HYBRID_LOGISTIC; loss <= RECSYS_HYBRID_KOS; loss++) {
            for (int kind = 0; kind < 4; kind++) {
                drive(table, is_double, FACTORS[f], loss, kind % 2, kind / 2);
            }
        }
    }
    printf("sanitized steps of features, %s %s: %s\n", argv[1], argv[2],
           table ? "clean" : "not run, this CPU lacks the instruction set");
    return 0;
}
