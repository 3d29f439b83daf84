/* The best items of each query, without ever storing the scores.
 *
 *     score(q, i) = x_q . y_i (* item_scale_i),   2 f FLOP a pair
 *
 * Queries and a panel of NV * W items are packed into slabs, and a tile of MR x NV vectors of
 * scores is formed in registers and held against each query's worst kept score. Hardly any score
 * passes once a list has filled, so what happens to those that do (seen items, the heap) is plain
 * scalar code. The list under construction is a heap in the caller's own output arrays: its root
 * is the worst. Of equal scores the higher id wins, whatever the tiling: items come in ascending
 * order, and a sum runs over the factors in order. */

#define TOPK_QUERIES 256 /* a span at most */

typedef struct {
    real *queries; /* slabs of fp rows: lanes are queries */
    real *items;   /* NV slabs of fp rows: lanes are items */
    real *worst;   /* of each query: what a score has to reach; inf past the last query */
    real *tile;    /* MR x NV vectors */
    real *zeros;   /* fp: stands for rows past the last */
} topk_scratch;

static int64_t topk_layout(char *base, int64_t f, topk_scratch *s) {
    const int64_t slab = slab_stride(padded(f)) * REAL_BYTES;
    char *at = base;
    s->queries = (real *)take(&at, TOPK_QUERIES / W * slab);
    s->items = (real *)take(&at, NV * slab);
    s->worst = (real *)take(&at, TOPK_QUERIES * REAL_BYTES);
    s->tile = (real *)take(&at, MR * NV * W * REAL_BYTES);
    s->zeros = (real *)take(&at, padded(f) * REAL_BYTES);
    return at - base;
}

static int64_t topk_scratch_bytes(int64_t f) {
    topk_scratch s;
    return topk_layout(NULL, f, &s);
}

/* ---- one list: a heap whose root is the worst kept ---------------------------------------- */

INLINE int is_worse(real score, int32_t id, real than, int32_t than_id) {
    return score < than || (score == than && id < than_id);
}

/* Put (score, id) into the heap of `count`, the place `at` being free. */
static void sift_down(int32_t *ids, real *scores, int64_t count, int64_t at, real score,
                      int32_t id) {
    for (int64_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count &&
            is_worse(scores[child + 1], ids[child + 1], scores[child], ids[child])) {
            child++;
        }
        if (!is_worse(scores[child], ids[child], score, id)) break;
        scores[at] = scores[child];
        ids[at] = ids[child];
    }
    scores[at] = score;
    ids[at] = id;
}

static void sift_up(int32_t *ids, real *scores, int64_t at, real score, int32_t id) {
    for (int64_t parent; at > 0; at = parent) {
        parent = (at - 1) / 2;
        if (!is_worse(score, id, scores[parent], ids[parent])) break;
        scores[at] = scores[parent];
        ids[at] = ids[parent];
    }
    scores[at] = score;
    ids[at] = id;
}

/* Best first; the places after `count` become -1 and -inf. */
static void sort_list(int32_t *ids, real *scores, int64_t count, int64_t n) {
    for (int64_t last = count - 1; last > 0; last--) {
        const real score = scores[last];
        const int32_t id = ids[last];
        scores[last] = scores[0];
        ids[last] = ids[0];
        sift_down(ids, scores, last, 0, score, id);
    }
    for (int64_t k = count; k < n; k++) {
        ids[k] = -1;
        scores[k] = -(real)INFINITY;
    }
}

/* ---- candidates --------------------------------------------------------------------------- */

static int is_skipped(const recsys_topk *p, int64_t query, int32_t item) {
    if (p->banned && p->banned[item]) return 1;
    if (!p->skip_indptr) return 0;
    int64_t low = p->skip_indptr[query], high = p->skip_indptr[query + 1];
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (p->skip_indices[middle] < item) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < p->skip_indptr[query + 1] && p->skip_indices[low] == item;
}

/* Returns what a score has to reach from now on. */
static real offer(const recsys_topk *p, int64_t query, recsys_lists out, int64_t *count,
                  int32_t item, real score) {
    const int64_t n = p->n;
    int32_t *ids = out.ids + query * n;
    real *scores = (real *)out.scores + query * n;
    if (!(score > -(real)INFINITY && score < (real)INFINITY)) {
        out.failed[query] = 1;
    } else if (!is_skipped(p, query, item)) {
        if (*count < n) {
            sift_up(ids, scores, (*count)++, score, item);
        } else if (is_worse(scores[0], ids[0], score, item)) {
            sift_down(ids, scores, n, 0, score, item);
        }
    }
    return *count < n ? -(real)INFINITY : scores[0];
}

/* ---- tiles -------------------------------------------------------------------------------- */

/* W rows from `first` into one slab, scaled; rows past `end` are zeros. */
static void pack_slab(const real *x, const real *scale, int64_t f, int64_t first, int64_t end,
                      const real *zeros, real *slab) {
    const real *rows[W];
    real scales[W] __attribute__((aligned(VECTOR_BYTES)));
    for (int64_t l = 0; l < W; l++) {
        const int inside = first + l < end;
        rows[l] = inside ? x + (first + l) * f : zeros;
        scales[l] = inside && scale ? scale[first + l] : 1;
        prefetch_bytes((const char *)(x + min_i64(first + l + 3 * W, end - 1) * f), f * REAL_BYTES);
    }
    rows_to_lanes(rows, NULL, f, slab, W);
    if (!scale) return;
    for (int64_t j = 0; j < f; j++) store(slab + j * W, load(slab + j * W) * load(scales));
}

/* tile_product for one query; the other rows are of no account. */
INLINE void row_product(const real *a, const real *b, int64_t ld, int64_t depth,
                        vec acc[MR][NV]) {
    UNROLL for (int r = 0; r < MR; r++) {
        UNROLL for (int v = 0; v < NV; v++) acc[r][v] = splat(0);
    }
    for (int64_t k = 0; k < depth; k++) {
        const vec left = splat(a[k * W]);
        UNROLL for (int v = 0; v < NV; v++) acc[0][v] += left * load(b + v * ld + k * W);
    }
}

/* Whether any score of the tile is not below what its query's list asks for; NaN never is. */
INLINE int any_reaches(const vec acc[MR][NV], const real *worst) {
    index_vec below = acc[0][0] < splat(worst[0]);
    int64_t words[VECTOR_BYTES / 8] __attribute__((aligned(VECTOR_BYTES)));
    UNROLL for (int r = 0; r < MR; r++) {
        UNROLL for (int v = 0; v < NV; v++) below &= acc[r][v] < splat(worst[r]);
    }
    memcpy(words, &below, sizeof words);
    int64_t all = words[0];
    for (int i = 1; i < VECTOR_BYTES / 8; i++) all &= words[i];
    return all != -1;
}

/* The lists of up to TOPK_QUERIES queries from the items [first, last). */
static void topk_span(const recsys_topk *p, int64_t begin, int64_t count, int64_t first,
                      int64_t last, recsys_lists out, const topk_scratch *s) {
    const int64_t f = p->factors, n = p->n, ld = slab_stride(padded(f));
    int64_t kept[TOPK_QUERIES] = {0};
    for (int64_t q = 0; q < round_up(count, W); q++) {
        s->worst[q] = q < count ? -(real)INFINITY : (real)INFINITY;
    }
    for (int64_t q = 0; q < count; q += W) {
        pack_slab(p->queries, NULL, f, begin + q, begin + count, s->zeros, s->queries + q / W * ld);
    }
    for (int64_t panel = first; panel < last; panel += NV * W) {
        const int64_t width = min_i64(NV * W, last - panel);
        for (int64_t v = 0; v < NV; v++) {
            pack_slab(p->items, p->item_scale, f, panel + v * W, last, s->zeros, s->items + v * ld);
        }
        for (int64_t q = 0; q < count; q += MR) {
            const real *queries = s->queries + q / W * ld + q % W;
            vec acc[MR][NV];
            if (count - q == 1) {
                row_product(queries, s->items, ld, f, acc);
            } else {
                tile_product(queries, s->items, ld, f, NV, acc);
            }
            if (!any_reaches(acc, s->worst + q)) continue;
            memcpy(s->tile, acc, sizeof acc);
            for (int64_t r = 0; r < min_i64(MR, count - q); r++) {
                for (int64_t c = 0; c < width; c++) {
                    const real score = s->tile[r * NV * W + c];
                    if (score < s->worst[q + r]) continue;
                    s->worst[q + r] = offer(p, begin + q + r, out, kept + q + r,
                                            (int32_t)(panel + c), score);
                }
            }
        }
    }
    for (int64_t q = 0; q < count; q++) {
        const int64_t at = (begin + q) * n;
        sort_list(out.ids + at, (real *)out.scores + at, kept[q], n);
    }
}

static void topk_rows(const recsys_topk *p, int64_t begin, int64_t end, int64_t first,
                      int64_t last, recsys_lists out, void *scratch) {
    topk_scratch s;
    topk_layout(scratch, p->factors, &s);
    memset(s.zeros, 0, (size_t)padded(p->factors) * sizeof(real));
    for (int64_t at = begin; at < end; at += TOPK_QUERIES) {
        topk_span(p, at, min_i64(TOPK_QUERIES, end - at), first, last, out, &s);
    }
}
