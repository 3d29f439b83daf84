/* Runs the kernels of item-item neighbours, each instruction set and dtype, as drive_kernels.c runs
 * the others. */
#include <stdio.h>
#include <string.h>

#include "driving.h"
#include "recsys.h"

/* Lists of all columns from `head` on, of rows of up to `longest` entries. */
static void drive(const recsys_table *table, int is_double, int64_t columns, int64_t head,
                  int64_t longest, int64_t n) {
    enum { USERS = 29 };
    const int64_t size = is_double ? 8 : 4, most = USERS * longest;
    int64_t *indptr = exactly(8 * (USERS + 1), 8), total = 0;
    int32_t *indices = exactly(4 * most, 4), *ranks = exactly(4 * columns, 4);
    for (int64_t u = 0; u < USERS; u++) {
        indptr[u] = total;
        const int64_t step = 1 + u % 3;
        for (int64_t k = 0; k < longest && k * step < columns; k++) {
            indices[total++] = (int32_t)(k * step);
        }
    }
    indptr[USERS] = total;
    for (int64_t c = 0; c < columns; c++) ranks[c] = (int32_t)(columns - 1 - c);
    const void *values = reals(total, is_double, 0.5, 1);
    void *pairs = exactly(total * (is_double ? 16 : 8), (size_t)size);
    table->neighbors_pairs(indptr, indices, values, ranks, 0, 3, pairs);
    table->neighbors_pairs(indptr, indices, values, ranks, 3, USERS, pairs);
    recsys_neighbors p = {.b_indptr = indptr, .b_pairs = pairs, .columns = columns, .head = head};
    int64_t *a_indptr = exactly(8 * (columns + 1), 8), *next = exactly(8 * columns, 8);
    memset(a_indptr, 0, 8 * (size_t)(columns + 1));
    for (int64_t k = 0; k < total; k++) {
        if (ranks[indices[k]] >= head) a_indptr[ranks[indices[k]] + 1]++;
    }
    for (int64_t c = 0; c < columns; c++) a_indptr[c + 1] += a_indptr[c];
    memcpy(next, a_indptr, 8 * (size_t)columns);
    int32_t *a_indices = exactly(4 * a_indptr[columns], 4);
    void *a_data = exactly(size * a_indptr[columns], (size_t)size);
    const int64_t middle = (head + columns) / 2;
    table->neighbors_transpose(&p, USERS, head, middle, next, a_indices, a_data);
    table->neighbors_transpose(&p, USERS, middle, columns, next, a_indices, a_data);
    for (int64_t c = head; c < columns; c++) check(next[c] == a_indptr[c + 1], "next", columns);
    p.a_indptr = a_indptr, p.a_indices = a_indices, p.a_data = a_data;
    p.names = ranks, p.n = n, p.without_itself = columns % 2;
    make_arrays_read_only();

    void *sums = exactly(size * head * head, (size_t)size);
    memset(sums, 0, (size_t)(size * head * head));
    table->neighbors_head(&p, 0, 2, 0, head / 2, sums);
    table->neighbors_head(&p, 0, 2, head / 2, head, sums);
    table->neighbors_head(&p, 2, USERS, 0, head, sums);
    check(all_finite(sums, head * head, is_double), "neighbors_head", head);
    recsys_heads heads = {exactly(4 * head * n, 4), exactly(size * head * n, (size_t)size),
                          exactly(8 * head, 8), exactly(size * head, (size_t)size)};
    memset(heads.kept, 0, 8 * (size_t)head);
    memset(heads.least, 0, (size_t)(size * head));
    p.out = (recsys_lists){exactly(4 * columns * n, 4), exactly(size * columns * n, (size_t)size),
                           exactly(columns, 1)};
    memset(p.out.failed, 0, (size_t)columns);
    const int64_t bytes = table->neighbors_scratch_bytes(columns, n);
    char *scratch = exactly(bytes, 64);
    memset(scratch, 0, (size_t)bytes);
    table->neighbors_rows(&p, &heads, head, middle, scratch);
    table->neighbors_rows(&p, &heads, middle, columns, scratch);
    for (int64_t k = ranks[columns - 1] * n; k < (ranks[head] + 1) * n; k++) {
        check(p.out.ids[k] >= RECSYS_NO_ID && p.out.ids[k] < columns, "neighbors", columns);
    }
    for (int64_t c = 0; c < columns; c++) check(!p.out.failed[c], "neighbors", columns);
    for (int64_t k = 0; k < columns * size; k++) check(!scratch[k], "neighbors' sums", columns);
    free_arrays();
}

/* drive ISA DTYPE: an instruction set by its name; f32 or f64. */
int main(int argc, char **argv) {
    static const int64_t COLUMNS[] = {1, 2, 7, 16, 17, 31, 33, 127, 1025, 1100};
    if (argc != 3) return 2;
    const int is_double = strcmp(argv[2], "f64") == 0;
    const recsys_table *table = named_table(argv[1], is_double);
    for (size_t c = 0; table && c < sizeof COLUMNS / sizeof *COLUMNS; c++) {
        drive(table, is_double, COLUMNS[c], COLUMNS[c] / 48 * 16, 40, 7);
        drive(table, is_double, COLUMNS[c], 0, 2 * COLUMNS[c], COLUMNS[c]);
    }
    printf("sanitized neighbours, %s %s: %s\n", argv[1], argv[2],
           table ? "clean" : "not run, this CPU lacks the instruction set");
    return 0;
}
