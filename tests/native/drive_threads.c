/* Runs every kernel in several threads at a time, as recsys/kernels does: each writes to what is its
 * own, right beside what is another's. Values are checked elsewhere; ThreadSanitizer looks at who
 * touches what. Built and run by ./sanitize. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driving.h"
#include "matrices.h"
#include "recsys.h"

enum { THREADS = 3, SPAN = 5 };

/* What threads share: a problem, where its results go, and how much there is to do. */
typedef struct {
    const recsys_table *table;
    const void *problem;
    void *out;
    int64_t factors, count, span, bytes; /* of `count` rows, say, `span` at a time; of scratch */
} job;

typedef void (*span_work)(const job *j, int64_t begin, int64_t end, void *scratch);

typedef struct {
    const job *job;
    span_work work;
    void *scratch;
    int64_t number;
} worker;

/* Spans in turns, so that neighbours are always of different threads. */
static void *worker_main(void *argument) {
    const worker *w = argument;
    const job *j = w->job;
    for (int64_t begin = w->number * j->span; begin < j->count; begin += THREADS * j->span) {
        w->work(j, begin, begin + j->span < j->count ? begin + j->span : j->count, w->scratch);
    }
    return NULL;
}

static void together(const job *j, span_work work) {
    pthread_t threads[THREADS];
    worker workers[THREADS];
    for (int64_t t = 0; t < THREADS; t++) {
        void *scratch = aligned_alloc(64, (size_t)(j->bytes + 63) / 64 * 64 + 64);
        if (!scratch) abort();
        memset(scratch, 0, (size_t)j->bytes); /* which some want, and others do not mind */
        workers[t] = (worker){j, work, scratch, t};
        if (pthread_create(threads + t, NULL, worker_main, workers + t)) abort();
    }
    for (int64_t t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
        free(workers[t].scratch);
    }
}

/* ---- rows, with scratch of the usual size ---------------------------------------------------- */

#define ROWS_OF(kernel)                                                                            \
    static void kernel##_work(const job *j, int64_t begin, int64_t end, void *scratch) {           \
        j->table->kernel(j->problem, begin, end, scratch);                                         \
    }
ROWS_OF(als_rows)
ROWS_OF(als_nonnegative_rows)
ROWS_OF(als_equations)
ROWS_OF(als_summed_rows)
ROWS_OF(als_loss)
ROWS_OF(rotate_rows)
ROWS_OF(lmf_rows)
ROWS_OF(slim_rows)

static void spmm_work(const job *j, int64_t begin, int64_t end, void *scratch) {
    (void)scratch;
    j->table->spmm_rows(j->problem, begin, end);
}

static void drive_als(const recsys_table *table, int is_double, int64_t f, int64_t cg_steps) {
    recsys_als p = {.factors = f, .cg_steps = cg_steps, .floor = 1e-9, .tolerance = 1e-6};
    make_matrix(&p);
    p.confidence = reals(ENTRIES, is_double, 1, 11);
    p.stride = f;
    p.fixed = reals(COLUMNS * f, is_double, -1, 1);
    p.eigenvalues = reals(f, 1, COLUMNS * f, 2 * COLUMNS * f);
    p.gram = reals(f * f, 1, 0, 1);
    p.sweeps = 2;
    p.regularization = reals(ROWS, 1, 1, 1);
    p.unobserved_weight = 1;
    p.solved = reals(ROWS * f, is_double, -1, 1);
    p.failed = memset(exactly(ROWS, 1), 0, ROWS);
    p.row_loss = exactly(8 * ROWS, 8);
    p.equations = exactly(8 * ROWS * (f * (f + 3) / 2), 8);
    job j = {table, &p, NULL, f, ROWS, SPAN, table->scratch_bytes(f, cg_steps, LONGEST)};
    together(&j, als_rows_work);
    together(&j, als_loss_work);
    together(&j, als_equations_work);
    together(&j, als_summed_rows_work);
    if (!cg_steps) together(&j, als_nonnegative_rows_work);
    check(all_finite(p.solved, ROWS * f, is_double), "als", f);
    free_arrays();
}

static void drive_lmf(const recsys_table *table, int is_double, int64_t f) {
    recsys_lmf p = make_lmf(is_double, f, 2);
    make_lmf_results(&p, is_double);
    const job j = {table, &p, NULL, f, ROWS, SPAN, table->scratch_bytes(f, 0, 0)};
    together(&j, lmf_rows_work);
    check(all_finite(p.solved, ROWS * f, is_double), "lmf_rows", f);
    free_arrays();
}

static void drive_rows(const recsys_table *table, int is_double, int64_t f) {
    enum { MANY = 70, EACH = 9, MOST = 8 };
    const int64_t size = is_double ? 8 : 4;
    int32_t *order = exactly(4 * MANY, 4), *indices;
    for (int64_t row = 0; row < MANY; row++) order[row] = (int32_t)(MANY - 1 - row);
    recsys_rotation turned = {.factors = f, .out_stride = f, .place = order};
    turned.x = reals(MANY * f, is_double, -1, 1), turned.basis = reals(f * f, is_double, -1, 1);
    turned.out = exactly(MANY * f * size, size);
    job j = {table, &turned, NULL, f, MANY, SPAN, table->scratch_bytes(f, 0, 0)};
    together(&j, rotate_rows_work);
    check(all_finite(turned.out, MANY * f, is_double), "rotate_rows", f);

    recsys_spmm sums = {.order = order, .factors = f, .dense = turned.x};
    sums.indptr = random_rows(MANY, EACH, MANY, &indices), sums.indices = indices;
    sums.values = reals(MANY * EACH, is_double, -1, 1);
    sums.out = exactly(MANY * f * size, size);
    j.problem = &sums;
    together(&j, spmm_work);
    check(all_finite(sums.out, MANY * f, is_double), "spmm_rows", f);

    recsys_slim slim = {.indptr = sums.indptr, .indices = indices, .values = sums.values};
    int32_t *candidates = exactly(4 * MANY * MOST, 4);
    for (int64_t k = 0; k < MANY * MOST; k++) {
        candidates[k] = (int32_t)((k / MOST + 1 + k % MOST) % MANY);
    }
    slim.order = order, slim.candidates = candidates, slim.most = MOST, slim.users = MANY;
    slim.l1 = 0.1, slim.l2 = 0.5, slim.tolerance = 1e-3, slim.longest = MANY * EACH;
    slim.sweeps = 20;
    slim.weights = memset(exactly(size * MANY * MOST, size), 0, (size_t)(size * MANY * MOST));
    slim.failed = memset(exactly(MANY, 1), 0, MANY);
    const int64_t bytes = table->slim_scratch_bytes(MANY, MOST, slim.longest);
    const job regressions = {table, &slim, NULL, f, MANY, SPAN, bytes};
    together(&regressions, slim_rows_work);
    check(all_finite(slim.weights, MANY * MOST, is_double), "slim_rows", f);
    free_arrays();
}

/* ---- lists ----------------------------------------------------------------------------------- */

typedef struct {
    recsys_lists lists;
    const recsys_topk *shape;
    uint8_t *codes, *failed;
    double *bounds;
} listing;

static void topk_work(const job *j, int64_t begin, int64_t end, void *scratch) {
    const listing *out = j->out;
    j->table->topk_rows(j->problem, begin, end, 0, 1, out->lists, scratch);
}

static void code_work(const job *j, int64_t begin, int64_t end, void *scratch) {
    const listing *out = j->out;
    j->table->topk_code_runs(j->problem, begin, end, out->codes, out->bounds, out->failed, scratch);
}

static void product_work(const job *j, int64_t begin, int64_t end, void *scratch) {
    const listing *out = j->out;
    j->table->product_topk_rows(j->problem, out->shape, begin, end, out->lists, scratch);
}

static recsys_lists empty_lists(int64_t rows, int64_t n, int is_double) {
    const int64_t size = is_double ? 8 : 4;
    recsys_lists lists = {exactly(4 * rows * n, 4), exactly(size * rows * n, (size_t)size),
                          exactly(rows, 1)};
    memset(lists.ids, 0xff, (size_t)(4 * rows * n));
    memset(lists.failed, 0, (size_t)rows);
    return lists;
}

static void drive_lists(const recsys_table *table, int is_double, int64_t f) {
    enum { QUERIES = 23, ITEMS = 5 * RECSYS_TOPK_RUN - 1, RUNS = 5, N = 7, EACH = 6 };
    recsys_topk p = {.n_items = ITEMS, .factors = f, .n = N};
    p.queries = reals(QUERIES * f, is_double, -1, 1);
    p.items = reals(ITEMS * f, is_double, -1, 1);
    listing out = {.lists = empty_lists(QUERIES, N, is_double)};
    out.codes = exactly(RUNS * RECSYS_TOPK_RUN * (f + 1) / 2 * 2, 1);
    out.bounds = exactly(8 * RUNS * RECSYS_CODE_BOUNDS, 8);
    out.failed = exactly(RUNS, 1);
    job j = {table, &p, &out, f, RUNS, 1, table->scratch_bytes(f, 0, 0)};
    together(&j, code_work);
    j.count = QUERIES, j.span = 2;
    together(&j, topk_work);
    p.codes = out.codes, p.code_bounds = out.bounds;
    together(&j, topk_work);
    for (int64_t q = 0; q < QUERIES; q++) check(!out.lists.failed[q], "topk", f);

    recsys_product product = {.columns = ITEMS};
    int32_t *of_a, *of_b;
    product.a_indptr = random_rows(QUERIES, EACH, QUERIES, &of_a), product.a_indices = of_a;
    product.b_indptr = random_rows(QUERIES, f, ITEMS, &of_b), product.b_indices = of_b;
    product.a_data = reals(QUERIES * EACH, is_double, -1, 1);
    product.b_data = reals(QUERIES * f, is_double, -1, 1);
    listing of_product = {.lists = empty_lists(QUERIES, N, is_double), .shape = &p};
    const int64_t bytes = table->product_scratch_bytes(ITEMS);
    const job multiplied = {table, &product, &of_product, f, QUERIES, 2, bytes};
    together(&multiplied, product_work);
    for (int64_t q = 0; q < QUERIES; q++) check(!of_product.lists.failed[q], "product", f);
    free_arrays();
}

/* ---- neighbours ------------------------------------------------------------------------------ */

typedef struct {
    const int64_t *indptr;
    const int32_t *indices, *ranks;
    const void *values;
    int64_t *next;
    int32_t *a_indices;
    void *pairs, *a_data, *sums;
    recsys_heads heads[THREADS];
} meeting;

enum { NEIGHBORS_USERS = 29, NEIGHBORS_EACH = 12, NEIGHBORS_COLUMNS = 83, NEIGHBORS_N = 7 };

static void pairs_work(const job *j, int64_t begin, int64_t end, void *scratch) {
    const meeting *m = j->out;
    (void)scratch;
    j->table->neighbors_pairs(m->indptr, m->indices, m->values, m->ranks, begin, end, m->pairs);
}

static void transpose_work(const job *j, int64_t begin, int64_t end, void *scratch) {
    const meeting *m = j->out;
    const int64_t head = ((const recsys_neighbors *)j->problem)->head;
    (void)scratch;
    j->table->neighbors_transpose(j->problem, NEIGHBORS_USERS, head + begin, head + end, m->next,
                                  m->a_indices, m->a_data);
}

static void head_work(const job *j, int64_t begin, int64_t end, void *scratch) {
    const meeting *m = j->out;
    (void)scratch;
    j->table->neighbors_head(j->problem, 0, NEIGHBORS_USERS, begin, end, m->sums);
}

static void neighbors_work(const job *j, int64_t begin, int64_t end, void *scratch) {
    const meeting *m = j->out;
    const int64_t head = ((const recsys_neighbors *)j->problem)->head, number = begin / SPAN;
    j->table->neighbors_rows(j->problem, m->heads + number % THREADS, head + begin, head + end,
                             scratch);
}

static void drive_neighbors(const recsys_table *table, int is_double, int64_t head) {
    const int64_t size = is_double ? 8 : 4, total = NEIGHBORS_USERS * NEIGHBORS_EACH;
    const int64_t columns = NEIGHBORS_COLUMNS, n = NEIGHBORS_N;
    meeting m = {.values = reals(total, is_double, 0.5, 1)};
    int64_t *indptr = exactly(8 * (NEIGHBORS_USERS + 1), 8), *starts = exactly(8 * columns + 8, 8);
    int32_t *indices = exactly(4 * total, 4), *ranks = exactly(4 * columns, 4);
    memset(starts, 0, (size_t)(8 * columns + 8));
    for (int64_t c = 0; c < columns; c++) ranks[c] = (int32_t)(columns - 1 - c);
    for (int64_t u = 0; u <= NEIGHBORS_USERS; u++) indptr[u] = u * NEIGHBORS_EACH;
    for (int64_t k = 0; k < total; k++) {
        indices[k] = (int32_t)(k % NEIGHBORS_EACH * 6 + k / NEIGHBORS_EACH % 6);
        if (ranks[indices[k]] >= head) starts[ranks[indices[k]] + 1]++;
    }
    for (int64_t c = 0; c < columns; c++) starts[c + 1] += starts[c];
    m.indptr = indptr, m.indices = indices, m.ranks = ranks;
    m.pairs = exactly(total * (is_double ? 16 : 8), (size_t)size);
    m.next = memcpy(exactly(8 * columns, 8), starts, (size_t)(8 * columns));
    m.a_indices = exactly(4 * starts[columns], 4);
    m.a_data = exactly(size * starts[columns], (size_t)size);
    m.sums = reals(head * head, is_double, 0, 0);
    recsys_neighbors p = {.b_indptr = indptr, .b_pairs = m.pairs, .columns = columns, .head = head};
    p.a_indptr = starts, p.a_indices = m.a_indices, p.a_data = m.a_data;
    p.names = ranks, p.n = n, p.out = empty_lists(columns, n, is_double);
    for (int64_t t = 0; t < THREADS; t++) {
        m.heads[t] = (recsys_heads){exactly(4 * head * n, 4), exactly(size * head * n, size),
                                    exactly(8 * head, 8), reals(head, is_double, 0, 0)};
        memset(m.heads[t].kept, 0, (size_t)(8 * head));
    }
    job j = {table, &p, &m, 0, NEIGHBORS_USERS, 2, table->neighbors_scratch_bytes(columns, n)};
    together(&j, pairs_work);
    j.count = head, j.span = 8;
    together(&j, head_work);
    j.count = columns - head, j.span = SPAN;
    together(&j, transpose_work);
    together(&j, neighbors_work);
    for (int64_t c = 0; c < columns; c++) check(!p.out.failed[c], "neighbors", columns);
    check(all_finite(m.sums, head * head, is_double), "neighbors_head", head);
    free_arrays();
}

/* ---- steps of gradients ---------------------------------------------------------------------- */

enum { CELLS = THREADS, CELL_USERS = 10, CELL_ITEMS = 16 };

typedef struct {
    recsys_cell cells[CELLS];
    double sums[CELLS][4];
    const recsys_ratings *ratings;
} grid;

static void bpr_work(const job *j, int64_t begin, int64_t end, void *scratch) {
    grid *g = j->out;
    for (int64_t c = begin; c < end; c++) {
        j->table->bpr_cell(j->problem, g->cells + c, g->sums[c], scratch);
    }
}

static void ratings_work(const job *j, int64_t begin, int64_t end, void *scratch) {
    grid *g = j->out;
    (void)scratch;
    for (int64_t c = begin; c < end; c++) {
        j->table->ratings_cell(g->ratings, g->cells + c, g->sums[c]);
    }
}

/* Cells on the diagonal of a grid: no two have users or items in common. */
static void drive_grid(const recsys_table *table, int is_double, int64_t f, int64_t candidates) {
    enum { USERS = CELLS * CELL_USERS, ITEMS = CELLS * CELL_ITEMS, MOST = USERS * CELL_ITEMS };
    const int64_t line = is_double ? 8 : 16, stride = (f + line - 1) / line * line;
    int32_t *users = exactly(4 * MOST, 4), *items = exactly(4 * MOST, 4);
    grid g = {0};
    int64_t count = 0;
    for (int32_t user = 0; user < USERS; user++) {
        recsys_cell *cell = g.cells + user / CELL_USERS;
        if (user % CELL_USERS == 0) {
            cell->begin[0] = count, cell->share[0] = RECSYS_WHOLE_SHARE;
            cell->lo[0] = user / CELL_USERS * CELL_ITEMS, cell->hi[0] = cell->lo[0] + CELL_ITEMS;
        }
        for (int32_t item = (int32_t)cell->lo[0]; item < cell->hi[0]; item++) {
            if ((user * 31 + item * 17) % 11 < 4) users[count] = user, items[count++] = item;
        }
        cell->end[0] = count, cell->begin[1] = cell->end[1] = count;
    }
    recsys_bpr p = {.users = users, .items = items, .factors = f, .stride = stride};
    p.n_items = ITEMS, p.negatives = 2, p.rate = 0.05, p.candidates = candidates, p.key = 7;
    p.reg_user = p.reg_positive = p.reg_negative = 0.01;
    if (candidates > 1) p.warp = 1, p.margin = 1, p.rank_weights = reals(candidates, 1, 0.1, 1);
    p.x = reals(USERS * stride, is_double, -1, 1);
    p.y = reals(ITEMS * stride, is_double, -1, 1);
    p.b = reals(ITEMS, is_double, -1, 1);
    recsys_ratings r = {.users = users, .items = items, .x = p.x, .y = p.y, .stride = stride};
    r.ratings = reals(MOST, is_double, 0.5, 1.5), r.item_biases = p.b;
    r.user_biases = reals(USERS, is_double, -1, 1), r.rate = 0.01, r.regularization = 0.02;
    g.ratings = &r;
    const job j = {table, &p, &g, f, CELLS, 1, table->scratch_bytes(f, 0, 0)};
    together(&j, bpr_work);
    together(&j, ratings_work);
    check(all_finite(p.x, USERS * stride, is_double), "cells", f);
    check(all_finite(p.y, ITEMS * stride, is_double), "cells", f);
    free_arrays();
}

static void gradients_work(const job *j, int64_t begin, int64_t end, void *scratch) {
    j->table->hybrid_gradients(j->problem, begin, end, 0, j->out, scratch);
}

static void updates_work(const job *j, int64_t begin, int64_t end, void *scratch) {
    (void)scratch;
    for (int64_t part = begin; part < end; part++) {
        const int64_t count = ((const recsys_hybrid *)j->problem)->pool_size;
        j->table->hybrid_updates(j->problem, j->out, count, part, THREADS);
    }
}

static void drive_hybrid(const recsys_table *table, int is_double, int64_t f, int loss) {
    enum { USERS = 9, ITEMS = 21, SAMPLES = 40, MOST = 7 };
    const int64_t line = is_double ? 8 : 16, stride = (f + line) / line * line;
    recsys_hybrid p = {.factors = f, .stride = stride, .loss = loss, .rate = 0.05, .key = 7};
    recsys_featured *sides[] = {&p.user, &p.item};
    for (int s = 0; s < 2; s++) {
        recsys_featured *side = sides[s];
        int32_t *features;
        side->rows = s ? ITEMS : USERS, side->alpha = 0.01, side->scale = 1;
        side->indptr = random_rows(side->rows, 3, 8, &features), side->indices = features;
        side->weights = reals(3 * side->rows, is_double, -1, 1);
        side->values = reals(8 * stride, is_double, -1, 1);
        side->squares = reals(8 * stride, is_double, 0.5, 1);
    }
    int32_t *users = exactly(4 * SAMPLES, 4), *items = exactly(4 * SAMPLES, 4), *own;
    uint8_t *liked = exactly(SAMPLES, 1);
    for (int64_t s = 0; s < SAMPLES; s++) {
        users[s] = (int32_t)(s % USERS), items[s] = (int32_t)(s * 11 % ITEMS), liked[s] = s % 2;
    }
    p.stored_indptr = random_rows(USERS, 1, ITEMS, &own), p.stored_indices = own;
    p.users = users, p.items = items, p.liked = liked, p.pool = items, p.pool_size = SAMPLES;
    p.max_sampled = MOST, p.rank_weights = reals(MOST, 1, 0.1, 3);
    if (loss == RECSYS_HYBRID_KOS) p.k = 3, p.n = 5;
    void *steps = exactly(SAMPLES * table->hybrid_step_bytes(f), 64);
    job j = {table, &p, steps, f, SAMPLES, SPAN, table->hybrid_scratch_bytes(f, p.k)};
    together(&j, gradients_work);
    j.count = THREADS, j.span = 1;
    together(&j, updates_work);
    check(isfinite(table->hybrid_scale(&p, steps, SAMPLES, 1, 0.01)), "hybrid's scale", f);
    free_arrays();
}

/* drive ISA DTYPE: an instruction set by its name; f32 or f64. */
int main(int argc, char **argv) {
    static const int64_t FACTORS[] = {1, 17, 64};
    if (argc != 3) return 2;
    const int is_double = strcmp(argv[2], "f64") == 0;
    const recsys_table *table = named_table(argv[1], is_double);
    for (size_t f = 0; table && f < sizeof FACTORS / sizeof *FACTORS; f++) {
        drive_als(table, is_double, FACTORS[f], 0);
        drive_als(table, is_double, FACTORS[f], 3);
        drive_lmf(table, is_double, FACTORS[f]);
        drive_rows(table, is_double, FACTORS[f]);
        drive_lists(table, is_double, FACTORS[f]);
        drive_neighbors(table, is_double, (int64_t)f * 16);
        drive_grid(table, is_double, FACTORS[f], 1);
        drive_grid(table, is_double, FACTORS[f], 11);
        for (int loss = RECSYS_HYBRID_LOGISTIC; loss <= RECSYS_HYBRID_KOS; loss++) {
            drive_hybrid(table, is_double, FACTORS[f], loss);
        }
    }
    printf("threads, %s %s: %s\n", argv[1], argv[2],
           table ? "clean" : "not run, this CPU lacks the instruction set");
    return 0;
}
