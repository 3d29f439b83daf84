/* The half-sweep over a span of rows: which solver each row gets, and the loss.
 *
 *     n = 0                           x = 0
 *     c >= w0, n small                batch   n^2 f + n^3 / 3      W rows at once
 *     c >= w0, n under 5 f / 8        wide    n^2 f + n^3 / 3
 *     otherwise                       primal  n f^2 + f^3 / 3
 *     cg_steps > 0, in between        cg      (steps + 1) 4 n f
 *
 * The choice depends on the row alone, never on its neighbours or on threads. With cg_steps > 0 a
 * row is solved exactly where that costs no more than its steps: when it is very short, or so long
 * that its entries would be gathered anew each step while forming f x f is cheap. */

#define CG_FEWEST 16       /* shorter rows: the batch is as fast as three steps, and exact */
#define CG_PRIMAL_FACTORS 128 /* at more factors f x f always costs more than its steps */

typedef enum { ROW_EMPTY, ROW_BATCH, ROW_WIDE, ROW_PRIMAL, ROW_CG } row_path;

static int64_t als_scratch_bytes(int64_t f) {
    batch_scratch batch;
    wide_scratch wide;
    primal_scratch primal;
    cg_scratch cg;
    const int64_t sizes[] = {batch_layout(NULL, f, &batch), wide_layout(NULL, f, &wide),
                             primal_layout(NULL, f, &primal), cg_layout(NULL, f, &cg)};
    int64_t most = 0;
    for (int i = 0; i < 4; i++) most = sizes[i] > most ? sizes[i] : most;
    return most + 2 * round_up(padded(f) * REAL_BYTES, 64);
}

static int all_at_least_unobserved(const recsys_als *p, int64_t row) {
    const real w0 = (real)p->unobserved_weight, *confidence = p->confidence;
    int below = 0;
    for (int64_t k = p->indptr[row]; k < p->indptr[row + 1]; k++) {
        below |= entry_weight(confidence[k], w0) < 0;
    }
    return !below;
}

static row_path choose_path(const recsys_als *p, int64_t row) {
    const int64_t n = p->indptr[row + 1] - p->indptr[row], f = p->factors;
    if (n == 0) return ROW_EMPTY;
    if (p->cg_steps > 0 && n > CG_FEWEST) {
        const int long_row = n * f * REAL_BYTES > 4 * CG_PANEL;
        return long_row && f <= CG_PRIMAL_FACTORS ? ROW_PRIMAL : ROW_CG;
    }
    if (n <= min_i64(f, BATCH_MOST)) {
        if (all_at_least_unobserved(p, row)) return ROW_BATCH;
    } else if (n <= wide_most(f)) {
        if (all_at_least_unobserved(p, row)) return ROW_WIDE;
    }
    return ROW_PRIMAL;
}

/* While a row is solved, ask for the first entries of the next and for the indices of the one after
 * it: within a row a gather asks AHEAD by itself. */
static void prefetch_rows(const recsys_als *p, int32_t next, int32_t after) {
    const int64_t begin = p->indptr[next], end = p->indptr[next + 1];
    for (int64_t k = begin; k < min_i64(begin + AHEAD, end); k++) prefetch_fixed(p, k, end);
    const int64_t at = p->indptr[after], bytes = (p->indptr[after + 1] - at) * 4;
    prefetch_bytes((const char *)(p->indices + at), min_i64(bytes, 512));
    prefetch_bytes((const char *)((const real *)p->confidence + at), min_i64(bytes, 512));
    prefetch_bytes((const char *)((const real *)p->solved + next * p->factors), p->factors * REAL_BYTES);
}

static void als_rows(const recsys_als *p, int64_t begin, int64_t end, void *scratch) {
    const int64_t f = p->factors;
    row_scratch s = open_scratch(scratch, f);
    int32_t batch[W];
    int64_t batched = 0;
    for (int64_t at = begin; at < end; at++) {
        const int32_t row = p->order[at];
        const row_path path = choose_path(p, row);
        if (path == ROW_EMPTY) {
            memset((real *)p->solved + row * f, 0, (size_t)f * sizeof(real));
        } else if (path == ROW_BATCH) {
            batch[batched++] = row;
        } else {
            scale_for(p, row, &s);
            if (at + 2 < end && p->tolerance > 0) prefetch_rows(p, p->order[at + 1], p->order[at + 2]);
            if (path == ROW_WIDE) wide_solve(p, row, s.scale, s.rest);
            if (path == ROW_PRIMAL) primal_solve(p, row, s.scale, s.rest);
            if (path == ROW_CG) cg_solve(p, row, s.scale, s.unscale, s.rest);
        }
        if (batched == W || (batched && at + 1 == end)) {
            batch_solve(p, batch, batched, s.rest);
            batched = 0;
        }
    }
    for (int64_t at = begin; at < end && p->row_loss; at++) {
        p->row_loss[p->order[at]] = stored_loss(p, p->order[at]);
    }
}

static void als_loss(const recsys_als *p, int64_t begin, int64_t end, void *scratch) {
    (void)scratch;
    for (int64_t row = begin; row < end; row++) p->row_loss[row] = stored_loss(p, row);
}
