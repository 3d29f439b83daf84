/* Runs every kernel, instruction set and dtype on arrays exactly as large as promised.
 *
 * Values are checked elsewhere, against NumPy; here they only have to be finite. Built and run by
 * ./sanitize, as is what else is called drive_*.c. */
#include <stdio.h>
#include <string.h>

#include "driving.h"
#include "matrices.h"
#include "recsys.h"

typedef struct {
    const char *name;
    double least, most; /* signed confidences */
    double unobserved_weight, regularization, spread;
    int64_t cg_steps, offsets, ratings;
} situation;

static const situation SITUATIONS[] = {
    {"exact", 1, 11, 1, 1, 0, 0, 0, 0},
    {"exact, a lambda for each row", 1, 11, 0.1, 1, 5, 0, 0, 0},
    {"exact, dislikes and light entries", -3, 3, 1, 1, 0, 0, 0, 0},
    {"exact, nothing but the entries", 0, 5, 0, 1, 0, 0, 0, 0},
    {"exact, no regularization", 1, 11, 1, 0, 0, 0, 0, 0},
    {"exact, out of scale", 1e18, 1e19, 1, 1, 0, 0, 0, 0},
    {"exact, offsets", -3, 3, 1, 1, 5, 0, 1, 0},
    {"exact, ratings", -5, 5, 0, 1, 5, 0, 1, 1},
    {"conjugate gradient", 1, 11, 1, 1, 0, 3, 0, 0},
    {"conjugate gradient, dislikes", -3, 3, 0.5, 0.1, 2, 30, 0, 0},
    {"conjugate gradient, offsets", 1, 11, 1, 1, 5, 3, 1, 0},
};

static void drive_als(const recsys_table *table, int is_double, int64_t f, const situation *s) {
    recsys_als p = {.factors = f, .cg_steps = s->cg_steps, .floor = 1e-9, .tolerance = 1e-6};
    make_matrix(&p);
    p.confidence = reals(ENTRIES, is_double, s->least, s->most), p.ratings = s->ratings;
    p.stride = s->offsets ? f / 16 * 16 + 16 : f; /* with room for the offsets, or none */
    p.fixed = reals(COLUMNS * p.stride, is_double, -1, 1);
    if (s->offsets) {
        p.offsets = (const char *)p.fixed + f * (is_double ? 8 : 4);
        p.offsets_step = p.stride;
    }
    if (s->spread != 0) p.common_stride = f; /* rows have means of their own */
    const int64_t commons = s->spread != 0 ? ROWS * f : f;
    if (s->offsets || s->spread != 0) p.common = reals(commons, is_double, -1, 1);
    /* over the largest eigenvalue of any such Gramian: dislikes leave the systems definite */
    double *eigenvalues = reals(f, 1, COLUMNS * f, 2 * COLUMNS * f);
    if (s->regularization == 0) eigenvalues[f - 1] = 0; /* no part in the solution */
    p.eigenvalues = eigenvalues;
    p.gram = reals(f * f, 1, 0, 1);
    p.unbounded = s->offsets, p.sweeps = 2;
    p.regularization = reals(ROWS, 1, s->regularization, s->regularization + s->spread);
    p.unobserved_weight = s->unobserved_weight;
    make_arrays_read_only();
    p.solved = reals(ROWS * f, is_double, -1, 1);
    p.failed = memset(exactly(ROWS, 1), 0, ROWS);
    p.row_loss = exactly(8 * ROWS, 8);
    const int64_t bytes = table->scratch_bytes(f, p.cg_steps, LONGEST);
    void *scratch = exactly(bytes, 64);
    for (int64_t begin = 0, span = 1; begin < ROWS; begin += span++) {
        memset(scratch, 0xff, (size_t)bytes);
        table->als_rows(&p, begin, begin + span < ROWS ? begin + span : ROWS, scratch);
    }
    if (s->most < 1e9) {
        check(all_finite(p.solved, ROWS * f, is_double), s->name, f);
        check(all_finite(p.row_loss, ROWS, 1), s->name, f);
        memset(p.row_loss, 0xff, 8 * ROWS);
        table->als_loss(&p, 0, ROWS / 2, NULL);
        table->als_loss(&p, ROWS / 2, ROWS, NULL);
        check(all_finite(p.row_loss, ROWS, 1), "als_loss", f);
    }
    p.equations = exactly(8 * ROWS * (f * (f + 3) / 2), 8);
    memset(scratch, 0xff, (size_t)bytes);
    table->als_equations(&p, 0, ROWS, scratch);
    memset(scratch, 0xff, (size_t)bytes);
    table->als_summed_rows(&p, 0, ROWS, scratch);
    if (s->most < 1e9) check(all_finite(p.solved, ROWS * f, is_double), "als_summed_rows", f);
    p.row_loss = NULL; /* not asked for */
    table->als_rows(&p, ROWS - 40, ROWS, scratch);
    if (s->cg_steps == 0) {
        memset(scratch, 0xff, (size_t)bytes);
        table->als_nonnegative_rows(&p, 0, ROWS, scratch);
        check(s->most > 1e9 || all_finite(p.solved, ROWS * f, is_double), "als_nonnegative", f);
    }
    free_arrays();
}

static void drive_lmf(const recsys_table *table, int is_double, int64_t f, int64_t negatives) {
    recsys_lmf p = make_lmf(is_double, f, negatives);
    if (negatives < COLUMNS) p.means = reals(ROWS * f, is_double, -1, 1);
    make_arrays_read_only();
    make_lmf_results(&p, is_double);
    void *scratch = exactly(table->scratch_bytes(f, 0, 0), 64);
    for (int64_t begin = 0, span = 1; begin < ROWS; begin += span++) {
        memset(scratch, 0xff, (size_t)table->scratch_bytes(f, 0, 0));
        table->lmf_rows(&p, begin, begin + span < ROWS ? begin + span : ROWS, scratch);
    }
    check(all_finite(p.solved, ROWS * f, is_double), "lmf_rows", f);
    check(all_finite(p.row_loss, ROWS, 1), "lmf_rows", f);
    free_arrays();
}

/* Entries of two groups of items, each ascending by user and item; returns the cell they make. */
static recsys_cell make_cell(int32_t **users, int32_t **items, int64_t *count) {
    enum { USERS = 40, GROUP_ITEMS = 32 };
    recsys_cell cell = {.share = {1LL << 31, 1LL << 31}};
    for (int fill = 0; fill < 2; fill++) {
        if (fill) *users = exactly(4 * *count, 4), *items = exactly(4 * *count, 4);
        *count = 0;
        for (int g = 0; g < 2; g++) {
            cell.begin[g] = *count;
            cell.lo[g] = g * GROUP_ITEMS, cell.hi[g] = (g + 1) * GROUP_ITEMS;
            for (int32_t user = 0; user < USERS; user++) {
                for (int32_t item = (int32_t)cell.lo[g]; item < cell.hi[g]; item++) {
                    /* the last user likes everything, so that no negative is found */
                    if (user < USERS - 1 && (user * 31 + item * 17) % 11 >= user % 5) continue;
                    if (fill) (*users)[*count] = user, (*items)[*count] = item;
                    ++*count;
                }
            }
            cell.end[g] = *count;
        }
    }
    return cell;
}

enum { BPR_UNIFORM, BPR_POPULAR, BPR_ADAPTIVE, BPR_HARD, BPR_WARP, BPR_FROZEN, BPR_KINDS };

static void drive_sgd(const recsys_table *table, int is_double, int64_t f, int kind) {
    enum { USERS = 40, ITEMS = 64, TRIALS = 11 };
    const int64_t line = is_double ? 8 : 16, stride = (f + line - 1) / line * line;
    int32_t *users, *items;
    int64_t count;
    const recsys_cell cell = make_cell(&users, &items, &count);
    recsys_bpr p = {.users = users,
                    .items = items,
                    .factors = f,
                    .stride = stride,
                    .n_items = ITEMS,
                    .negatives = 1 + kind % 3,
                    .rate = 0.05,
                    .candidates = 1,
                    .adaptive_share = 0.2,
                    .frozen = kind == BPR_FROZEN};
    p.reg_user = p.reg_positive = p.reg_negative = 0.01, p.key = 7, p.margin = 1;
    p.weights = reals(count, is_double, 0.5, 1.5);
    if (kind == BPR_POPULAR) {
        uint32_t *keep = exactly(4 * ITEMS, 4);
        int32_t *alias = exactly(4 * ITEMS, 4);
        for (int32_t i = 0; i < ITEMS; i++) keep[i] = 1u << 31, alias[i] = i / 32 * 32;
        p.alias_keep = keep, p.alias = alias;
    }
    if (kind == BPR_ADAPTIVE) {
        int32_t *ranking = exactly(4 * f * ITEMS, 4);
        for (int64_t k = 0; k < f * ITEMS; k++) ranking[k] = (int32_t)(k % ITEMS);
        p.ranking = ranking;
        p.spread = reals(f, is_double, 0.5, 1);
    }
    if (kind == BPR_HARD || kind == BPR_WARP) p.candidates = TRIALS;
    if (kind == BPR_WARP) p.warp = 1, p.rank_weights = reals(TRIALS, 1, 0.1, 1);
    if (kind % 2) p.x_mean = reals(USERS * stride, is_double, -1, 1);
    if (kind % 2) p.y_mean = reals(ITEMS * stride, is_double, -1, 1);
    if (kind % 2) p.b_mean = reals(ITEMS, is_double, -1, 1);
    make_arrays_read_only();
    p.x = reals(USERS * stride, is_double, -1, 1);
    p.y = reals(ITEMS * stride, is_double, -1, 1);
    p.b = reals(ITEMS, is_double, -1, 1);
    double sums[4];
    void *scratch = exactly(table->scratch_bytes(f, 0, 0), 64);
    table->bpr_cell(&p, &cell, sums, scratch);
    check(all_finite(p.x, USERS * stride, is_double), "bpr_cell", f);
    check(all_finite(p.y, ITEMS * stride, is_double), "bpr_cell", f);
    check(sums[2] > 0 && sums[3] > 0, "bpr_cell", f);
    recsys_ratings r = {.users = users,
                        .items = items,
                        .ratings = p.weights,
                        .x = p.x,
                        .y = p.y,
                        .user_biases = reals(USERS, is_double, -1, 1),
                        .item_biases = p.b,
                        .stride = stride,
                        .rate = 0.01,
                        .regularization = 0.02};
    table->ratings_cell(&r, &cell, sums);
    check(all_finite(p.x, USERS * stride, is_double), "ratings_cell", f);
    check(all_finite(sums, 1, 1), "ratings_cell", f);
    free_arrays();
}

static void drive_products(const recsys_table *table, int is_double, int64_t f, int64_t rows) {
    const int64_t size = is_double ? 8 : 4;
    const void *x = reals(rows * f, is_double, -1, 1), *basis = reals(f * f, is_double, -1, 1);
    const void *last = reals(rows, is_double, -1, 1);
    int32_t *place = exactly(4 * rows, 4);
    for (int64_t row = 0; row < rows; row++) place[row] = (int32_t)(rows - 1 - row);
    make_arrays_read_only();
    double *gram = reals(f * f, 1, 0, 0), *sums = reals(f, 1, 0, 0);
    void *own = reals(rows * f, is_double, -1, 1);
    void *scratch = exactly(table->scratch_bytes(f, 0, 0), 64);
    const int64_t cut = rows / 3;
    table->gramian_rows(x, f, 0, cut, gram, scratch);
    table->gramian_rows(x, f, cut, rows, gram, scratch);
    check(all_finite(gram, f * f, 1), "gramian_rows", f);
    table->column_sums_rows(x, last, 1, f, 0, cut, sums);
    table->column_sums_rows(x, last, 0, f, cut, rows, sums);
    check(all_finite(sums, f, 1), "column_sums_rows", f);
    memset(scratch, 0xff, (size_t)table->scratch_bytes(f, 0, 0));
    recsys_rotation p = {.x = x, .basis = basis, .place = place, .factors = f, .out_stride = f};
    p.out = exactly(rows * f * size, size);
    table->rotate_rows(&p, 0, cut, scratch);
    table->rotate_rows(&p, cut, rows, scratch);
    check(all_finite(p.out, rows * f, is_double), "rotate_rows", f);
    recsys_rotation in_place = {
        .x = own, .basis = basis, .out = own, .factors = f, .out_stride = f};
    table->rotate_rows(&in_place, 0, rows, scratch);
    check(all_finite(own, rows * f, is_double), "rotate_rows in place", f);
    for (int64_t step = 0; f > 1 && step < 2; step++) {
        recsys_rotation apart = {
            .basis = basis, .x_last = last, .x_last_step = step, .factors = f, .out_stride = f - 1};
        apart.x = reals(rows * (f - 1), is_double, -1, 1);
        apart.out = exactly(rows * (f - 1) * size, size);
        apart.out_last = exactly(rows * size, size);
        table->rotate_rows(&apart, 0, rows, scratch);
        check(all_finite(apart.out, rows * (f - 1), is_double), "rotate_rows apart", f);
        check(all_finite(apart.out_last, rows, is_double), "rotate_rows apart", f);
    }
    free_arrays();
}

/* Lists of `n` for so many queries, out of two ranges of items that leave some of them out. */
static void drive_topk(const recsys_table *table, int is_double, int64_t f, int64_t queries,
                       int64_t items, int64_t n) {
    const int64_t size = is_double ? 8 : 4;
    recsys_topk p = {.n_items = items, .factors = f, .n = n};
    p.queries = reals(queries * f, is_double, -1, 1);
    p.items = reals(items * f, is_double, -1, 1);
    p.item_scale = queries % 2 ? reals(items, is_double, 0, 1) : NULL;
    int64_t *indptr = exactly(8 * (queries + 1), 8);
    for (int64_t q = 0; q <= queries; q++) indptr[q] = q; /* one item each */
    int32_t *skipped = exactly(4 * queries, 4);
    for (int64_t q = 0; q < queries; q++) skipped[q] = (int32_t)(q % items);
    uint8_t *banned = exactly(items, 1);
    for (int64_t i = 0; i < items; i++) banned[i] = i % 5 == 3;
    int32_t *order = exactly(4 * items, 4);
    for (int64_t i = 0; i < items; i++) order[i] = (int32_t)(items - 1 - i);
    if (items % 2) p.order = order, p.norms = reals(items, is_double, 2, 2);
    if (items % 4 == 3) {
        const int64_t runs = (items + RECSYS_TOPK_RUN - 1) / RECSYS_TOPK_RUN;
        uint8_t *codes = exactly(runs * RECSYS_TOPK_RUN * (f + 1) / 2 * 2, 1);
        double *bounds = exactly(8 * runs * RECSYS_CODE_BOUNDS, 8);
        uint8_t *failed = exactly(runs, 1);
        void *scratch = exactly(table->scratch_bytes(f, 0, 0), 64);
        memset(scratch, 0xff, (size_t)table->scratch_bytes(f, 0, 0));
        table->topk_code_runs(&p, 0, runs, codes, bounds, failed, scratch);
        for (int64_t run = 0; run < runs; run++) check(!failed[run], "topk_code_runs", f);
        p.codes = codes;
        p.code_bounds = bounds;
    }
    if (queries > 1) p.skip_indptr = indptr, p.skip_indices = skipped;
    if (items > 4) p.banned = banned;
    make_arrays_read_only();
    recsys_lists out = {exactly(4 * queries * n, 4), exactly(size * queries * n, (size_t)size),
                        exactly(queries, 1)};
    void *scratch = exactly(table->scratch_bytes(f, 0, 0), 64);
    memset(scratch, 0xff, (size_t)table->scratch_bytes(f, 0, 0));
    memset(out.failed, 0, (size_t)queries);
    for (int64_t part = 0; part < 2; part++) {
        table->topk_rows(&p, 0, queries / 2, part, 2, out, scratch);
        table->topk_rows(&p, queries / 2, queries, part, 2, out, scratch);
        for (int64_t k = 0; k < queries * n; k++) {
            const int32_t id = out.ids[k];
            const int64_t at = p.order && id >= 0 ? items - 1 - id : id;
            check(id == RECSYS_NO_ID ||
                      (id < items && at / RECSYS_TOPK_RUN % 2 == part && !(p.banned && banned[id])),
                  "topk", f);
        }
    }
    for (int64_t q = 0; q < queries; q++) check(!out.failed[q], "topk", f);
    free_arrays();
}

/* Rows of 0 to 40 entries, and one of more than are summed at once. */
static void drive_spmm(const recsys_table *table, int is_double, int64_t f, int64_t columns) {
    enum { SHORT = 41, MANY = 1300, TOTAL = SHORT * (SHORT - 1) / 2 + MANY };
    int64_t *indptr = exactly(8 * (SHORT + 2), 8);
    int32_t *indices = exactly(4 * TOTAL, 4), *order = exactly(4 * (SHORT + 1), 4);
    for (int64_t r = 0; r <= SHORT; r++) indptr[r] = r * (r - 1) / 2, order[r] = SHORT - r;
    indptr[SHORT + 1] = TOTAL;
    for (int64_t k = 0; k < TOTAL; k++) indices[k] = (int32_t)(k * 7 % columns);
    recsys_spmm p = {.indptr = indptr, .indices = indices, .order = order, .factors = f};
    p.values = reals(TOTAL, is_double, -1, 1);
    p.dense = reals(columns * f, is_double, -1, 1);
    make_arrays_read_only();
    p.out = exactly((SHORT + 1) * f * (is_double ? 8 : 4), is_double ? 8 : 4);
    for (p.likes = 0; p.likes < 2; p.likes++) {
        p.mean = p.likes ? 0 : 0.25;
        table->spmm_rows(&p, 0, 5);
        table->spmm_rows(&p, 5, SHORT + 1);
        check(all_finite(p.out, (SHORT + 1) * f, is_double), "spmm_rows", f);
    }
    free_arrays();
}

/* The best of a product whose rows take `length` times 40 additions. */
static void drive_product(const recsys_table *table, int is_double, int64_t columns, int64_t length,
                          int64_t n) {
    enum { HEIGHT = 5, MIDDLE = 30, BELOW = 40 };
    const int64_t size = is_double ? 8 : 4;
    const int dense = n == columns && length % 2; /* a B that is */
    recsys_product p = {.columns = columns};
    int32_t *of_a, *of_b;
    p.a_indptr = random_rows(HEIGHT, length, MIDDLE, &of_a);
    p.b_indptr = random_rows(MIDDLE, BELOW, columns, &of_b);
    p.a_indices = of_a, p.b_indices = of_b;
    p.a_data = reals(HEIGHT * length, is_double, -1, 1);
    p.b_data = reals(MIDDLE * (dense ? columns : BELOW), is_double, -1, 1);
    if (dense) p.b_indptr = NULL, p.b_indices = NULL;
    int32_t *names = exactly(4 * columns, 4);
    for (int64_t c = 0; c < columns; c++) names[c] = (int32_t)(columns - 1 - c);
    if (columns % 2) p.names = names;
    recsys_topk lists = {.n = n, .unsorted = length % 2};
    make_arrays_read_only();
    recsys_lists out = {exactly(4 * HEIGHT * n, 4), exactly(size * HEIGHT * n, (size_t)size),
                        exactly(HEIGHT, 1)};
    for (int64_t k = 0; k < HEIGHT * n; k++) out.ids[k] = -1;
    memset(out.failed, 0, HEIGHT);
    const int64_t bytes = table->product_scratch_bytes(columns);
    char *scratch = exactly(bytes, 64);
    memset(scratch, 0, (size_t)bytes);
    table->product_topk_rows(&p, &lists, 0, 2, out, scratch);
    table->product_topk_rows(&p, &lists, 2, HEIGHT, out, scratch);
    for (int64_t k = 0; k < HEIGHT * n; k++) {
        check(out.ids[k] >= RECSYS_NO_ID && out.ids[k] < columns, "product", columns);
    }
    for (int64_t r = 0; r < HEIGHT; r++) check(!out.failed[r], "product", columns);
    for (int64_t k = 0; k < bytes; k++) check(!scratch[k], "product's scratch", columns);
    free_arrays();
}

/* Regressions on up to `most` candidates, of which some items have fewer. */
static void drive_slim(const recsys_table *table, int is_double, int64_t most, int dense) {
    enum { ITEMS = 7, USERS = 30, EACH = 11 };
    const int64_t size = is_double ? 8 : 4;
    recsys_slim p = {.most = most, .users = USERS, .l1 = 0.1, .l2 = 0.5, .tolerance = 1e-3};
    int32_t *users;
    p.indptr = random_rows(ITEMS, EACH, USERS, &users);
    p.indices = users;
    p.values = reals(ITEMS * EACH, is_double, -1, 1);
    int32_t *order = exactly(4 * ITEMS, 4), *candidates = exactly(4 * ITEMS * most, 4);
    for (int64_t i = 0; i < ITEMS; i++) {
        order[i] = (int32_t)(ITEMS - 1 - i);
        for (int64_t c = 0; c < most; c++) {
            candidates[i * most + c] = c < i ? (int32_t)(i - 1 - c) : RECSYS_NO_ID;
        }
    }
    p.order = order, p.candidates = candidates;
    if (dense) p.items = ITEMS, p.products = reals(ITEMS * ITEMS, 1, 0, 1);
    p.longest = ITEMS * EACH; /* as the last item and its candidates have, if `most` allows */
    p.sweeps = 20, p.nonnegative = most % 2;
    make_arrays_read_only();
    p.weights = exactly(size * ITEMS * most, (size_t)size);
    p.failed = exactly(ITEMS, 1);
    memset(p.weights, 0, (size_t)(size * ITEMS * most));
    memset(p.failed, 0, ITEMS);
    const int64_t bytes = table->slim_scratch_bytes(USERS, most, p.longest);
    char *scratch = exactly(bytes, 64);
    memset(scratch, 0, USERS * 8); /* the heads, which have to come so */
    table->slim_rows(&p, 0, 3, scratch);
    table->slim_rows(&p, 3, ITEMS, scratch);
    check(all_finite(p.weights, ITEMS * most, is_double), "slim_rows", most);
    for (int64_t i = 0; i < ITEMS; i++) check(p.failed[i] < 2, "slim_rows", most);
    for (int64_t k = 0; k < USERS * 8; k++) check(!scratch[k], "slim's heads", most);
    free_arrays();
}

/* drive ISA DTYPE: an instruction set by its name; f32 or f64. */
int main(int argc, char **argv) {
    static const int64_t FACTORS[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 47, 64, 65, 111, 130};
    static const int64_t HEIGHTS[] = {1, 2, 7, 16, 17, 31, 33, 127, 1025, 1100};
    if (argc != 3) return 2;
    const int is_double = strcmp(argv[2], "f64") == 0;
    const recsys_table *table = named_table(argv[1], is_double);
    for (size_t f = 0; table && f < sizeof FACTORS / sizeof *FACTORS; f++) {
        for (size_t s = 0; s < sizeof SITUATIONS / sizeof *SITUATIONS; s++) {
            drive_als(table, is_double, FACTORS[f], SITUATIONS + s);
        }
        drive_lmf(table, is_double, FACTORS[f], 2);
        drive_lmf(table, is_double, FACTORS[f], COLUMNS);
        for (int kind = 0; kind < BPR_KINDS; kind++) drive_sgd(table, is_double, FACTORS[f], kind);
        for (size_t h = 0; h < sizeof HEIGHTS / sizeof *HEIGHTS; h++) {
            drive_products(table, is_double, FACTORS[f], HEIGHTS[h]);
            drive_spmm(table, is_double, FACTORS[f], HEIGHTS[h]);
            drive_topk(table, is_double, FACTORS[f], HEIGHTS[h], 211, 7);
            drive_topk(table, is_double, FACTORS[f], 17, HEIGHTS[h], HEIGHTS[h] + 1);
        }
    }
    for (size_t h = 0; table && h < sizeof HEIGHTS / sizeof *HEIGHTS; h++) {
        drive_product(table, is_double, HEIGHTS[h], 3, 7);
        drive_product(table, is_double, HEIGHTS[h], 200, HEIGHTS[h]);
        drive_product(table, is_double, HEIGHTS[h], 3, HEIGHTS[h]);
        drive_slim(table, is_double, HEIGHTS[h] < 200 ? HEIGHTS[h] : 40, h % 2);
    }
    printf("sanitized kernels, %s %s: %s\n", argv[1], argv[2],
           table ? "clean" : "not run, this CPU lacks the instruction set");
    return 0;
}
