/* The best columns of each row of a sparse product, without ever storing the product.
 *
 *     score(r, c) = sum_k a_rk b_kc           2 FLOP for each meeting of entries
 *
 * Gustavson's row by row product (ACM TOMS 4, 1978) into a dense row of sums. What it costs is
 * reading rows of B from memory, so they are asked for ahead, and adding into the sums, so columns
 * had better come by falling popularity: most additions then fall into what stays in cache. Blocks
 * of the sums that were touched are flagged; they alone are looked at, and cleared.
 *
 * A sum that is exactly 0 counts as no score. */

#define PRODUCT_BLOCK 64 /* columns of a flag */
#define PRODUCT_AHEAD 6  /* rows of B asked for before their turn */

typedef struct {
    real *sums;     /* columns, rounded up to whole blocks; zeros between rows */
    uint8_t *flags; /* of each block, rounded up to whole words; zeros between rows */
    int64_t blocks;
} product_scratch;

static int64_t product_layout(char *base, int64_t columns, product_scratch *s) {
    char *at = base;
    s->blocks = round_up(columns, PRODUCT_BLOCK) / PRODUCT_BLOCK;
    s->sums = (real *)take(&at, s->blocks * PRODUCT_BLOCK * REAL_BYTES);
    s->flags = (uint8_t *)take(&at, round_up(s->blocks, 8));
    return at - base;
}

static int64_t product_scratch_bytes(int64_t columns) {
    product_scratch s;
    return product_layout(NULL, columns, &s);
}

/* sums += a row of B, times `a`. */
INLINE void add_row(const recsys_product *p, int64_t row, real a, const product_scratch *s) {
    const real *values = p->b_data;
    for (int64_t k = p->b_indptr[row]; k < p->b_indptr[row + 1]; k++) {
        const int32_t column = p->b_indices[k];
        s->sums[column] += a * values[k];
        s->flags[column / PRODUCT_BLOCK] = 1;
    }
}

/* The sums of one block into the row's list; the block is zeros again. */
INLINE void offer_block(const recsys_product *p, const recsys_topk *t, int64_t row, int64_t block,
                        recsys_lists out, const product_scratch *s, int64_t *kept, real *worst) {
    for (int64_t v = 0; v < PRODUCT_BLOCK; v += W) {
        real *at = s->sums + block * PRODUCT_BLOCK + v;
        const vec sums = load(at);
        store(at, splat(0));
        if (!any_clear((sums < splat(*worst)) | (sums == splat(0)))) continue;
        for (int64_t l = 0; l < W; l++) {
            if (sums[l] == 0 || sums[l] < *worst) continue;
            const int64_t column = block * PRODUCT_BLOCK + v + l;
            if (!(sums[l] - sums[l] == 0)) out.failed[row] = 1; /* infinite, or no number */
            *worst = offer(t, row, out, kept, p->names ? p->names[column] : (int32_t)column,
                           sums[l]);
        }
    }
}

static void product_row(const recsys_product *p, const recsys_topk *t, int64_t row,
                        recsys_lists out, const product_scratch *s) {
    const real *values = p->a_data;
    const int64_t begin = p->a_indptr[row], end = p->a_indptr[row + 1];
    for (int64_t k = begin; k < end; k++) {
        if (k + PRODUCT_AHEAD < end) {
            const int64_t later = p->b_indptr[p->a_indices[k + PRODUCT_AHEAD]];
            const int64_t bytes = p->b_indptr[p->a_indices[k + PRODUCT_AHEAD] + 1] - later;
            prefetch_bytes((const char *)(p->b_indices + later), 4 * min_i64(bytes, 64));
            prefetch_bytes((const char *)((const real *)p->b_data + later),
                           REAL_BYTES * min_i64(bytes, 64));
        }
        add_row(p, p->a_indices[k], values[k], s);
    }
    int64_t kept = 0;
    real worst = -(real)INFINITY;
    for (int64_t word = 0; word < s->blocks; word += 8) {
        uint64_t flags;
        memcpy(&flags, s->flags + word, 8);
        if (!flags) continue;
        for (int64_t block = word; block < word + 8; block++) {
            if (s->flags[block]) offer_block(p, t, row, block, out, s, &kept, &worst);
        }
        memset(s->flags + word, 0, 8);
    }
    sort_list(out.ids + row * t->n, (real *)out.scores + row * t->n, kept, t->n);
}

static void product_topk_rows(const recsys_product *p, const recsys_topk *t, int64_t begin,
                              int64_t end, recsys_lists out, void *scratch) {
    product_scratch s;
    product_layout(scratch, p->columns, &s);
    memset(s.sums, 0, (size_t)(s.blocks * PRODUCT_BLOCK) * sizeof(real));
    memset(s.flags, 0, (size_t)round_up(s.blocks, 8));
    for (int64_t row = begin; row < end; row++) {
        product_row(p, t, p->order ? p->order[row] : row, out, &s);
    }
}
