/* Conjugate gradient on (I + Z'D Z) x~ = Z'c, D = diag(c - w0), from the row's last factors.
 *
 * z = d . y is never formed: d goes into the vector that meets y, and into the sum that comes out.
 * One pass over the row's entries does both products of a step: GROUP scores by dot products,
 * then the same GROUP rows, still in L1, are added up with the scores as weights. 4 n f FLOP a
 * pass, cg_steps + 1 passes. A row is gathered once into a packed panel; a row longer than the
 * panel is gathered again each pass. */

typedef struct {
    real *panel;               /* panel_rows x fp, gathered */
    real *direction, *product; /* fp: what meets y, the sum that comes out */
    real *x, *r, *p;           /* fp: iterate, residual, search direction, all of x~ */
    int64_t panel_rows;
} cg_scratch;

static int64_t cg_layout(char *base, int64_t f, cg_scratch *s) {
    const int64_t fp = padded(f), rows = CG_PANEL / (fp * REAL_BYTES);
    char *at = base;
    s->panel_rows = round_up(rows < 4 * GROUP ? 4 * GROUP : rows, GROUP);
    s->panel = (real *)take(&at, s->panel_rows * fp * REAL_BYTES);
    s->direction = (real *)take(&at, fp * REAL_BYTES);
    s->product = (real *)take(&at, fp * REAL_BYTES);
    s->x = (real *)take(&at, fp * REAL_BYTES);
    s->r = (real *)take(&at, fp * REAL_BYTES);
    s->p = (real *)take(&at, fp * REAL_BYTES);
    return at - base;
}

/* Entries [begin, begin + count) into the panel, rounded up to GROUP rows with zeros. */
static void cg_gather(const recsys_als *p, int64_t begin, int64_t count, const cg_scratch *s) {
    const int64_t f = p->factors, fp = padded(f), end = begin + count;
    for (int64_t k = 0; k < count; k++) {
        const real *y = fixed_row(p, begin + k);
        prefetch_fixed(p, begin + k + AHEAD, end);
        for (int64_t v = 0; v * W < f; v++) store(s->panel + k * fp + v * W, load_row(y, v, f));
    }
    memset(s->panel + count * fp, 0,
           (size_t)((round_up(count, GROUP) - count) * fp) * sizeof(real));
}

/* product += sum_k g_k y_k over the panel, g_k = (c_k - w0) score_k, or c_k p_k less that. */
static void cg_panel_pass(const recsys_als *p, int64_t begin, int64_t count, int initial,
                          const cg_scratch *s) {
    const int64_t fp = padded(p->factors);
    const real w0 = (real)p->unobserved_weight, *confidence = (const real *)p->confidence + begin;
    for (int64_t k = 0; k < count; k += GROUP) {
        const real *rows = s->panel + k * fp;
        vec sums[GROUP];
        real scores[GROUP], weights[GROUP];
        UNROLL for (int g = 0; g < GROUP; g++) sums[g] = splat(0);
        for (int64_t j = 0; j < fp; j += W) {
            const vec direction = load(s->direction + j);
            UNROLL for (int g = 0; g < GROUP; g++) sums[g] += load(rows + g * fp + j) * direction;
        }
        sum_lanes(sums, scores);
        for (int64_t g = 0; g < GROUP; g++) {
            const real c = k + g < count ? confidence[k + g] : w0;
            const real pull = entry_weight(c, w0) * scores[g];
            weights[g] = initial ? (k + g < count ? entry_target(c) : 0) - pull : pull;
        }
        for (int64_t j = 0; j < fp; j += W) {
            vec total = load(s->product + j);
            UNROLL for (int g = 0; g < GROUP; g++) {
                total += load(rows + g * fp + j) * splat(weights[g]);
            }
            store(s->product + j, total);
        }
    }
}

/* product = d . sum_k g_k y_k for the direction d . v. */
static void cg_pass(const recsys_als *p, int64_t row, const real *v, const real *scale,
                    int initial, const cg_scratch *s) {
    const int64_t fp = padded(p->factors), begin = p->indptr[row], end = p->indptr[row + 1];
    for (int64_t j = 0; j < fp; j++) {
        s->direction[j] = scale[j] * v[j];
        s->product[j] = 0;
    }
    for (int64_t at = begin; at < end; at += s->panel_rows) {
        const int64_t count = min_i64(s->panel_rows, end - at);
        if (initial || end - begin > s->panel_rows) cg_gather(p, at, count, s);
        cg_panel_pass(p, at, count, initial, s);
    }
    for (int64_t j = 0; j < fp; j++) s->product[j] *= scale[j];
}

static real dot(const real *a, const real *b, int64_t n) {
    vec sums[GROUP];
    UNROLL for (int g = 0; g < GROUP; g++) sums[g] = splat(0);
    for (int64_t j = 0; j < n; j += W) sums[j / W % 2] += load(a + j) * load(b + j);
    real total[GROUP], all = 0;
    sum_lanes(sums, total);
    for (int g = 0; g < GROUP; g++) all += total[g];
    return all;
}

static void cg_solve(const recsys_als *p, int64_t row, const real *scale, const real *unscale,
                     void *scratch) {
    cg_scratch s;
    cg_layout(scratch, p->factors, &s);
    const int64_t f = p->factors, fp = padded(f);
    const real *start = (const real *)p->solved + row * f;
    for (int64_t v = 0; v * W < f; v++) {
        store(s.x + v * W, load_row(start, v, f) * load(unscale + v * W));
    }
    cg_pass(p, row, s.x, scale, 1, &s);
    for (int64_t j = 0; j < fp; j++) s.p[j] = s.r[j] = s.product[j] - s.x[j];
    real rr = dot(s.r, s.r, fp);
    const real enough = (real)(p->tolerance * p->tolerance) * dot(s.x, s.x, fp);
    for (int64_t step = 0; step < p->cg_steps && rr > enough; step++) {
        cg_pass(p, row, s.p, scale, 0, &s);
        for (int64_t j = 0; j < fp; j++) s.product[j] += s.p[j];
        const real curvature = dot(s.p, s.product, fp);
        if (!(curvature > 0)) break;
        const real length = rr / curvature;
        for (int64_t j = 0; j < fp; j++) {
            s.x[j] += length * s.p[j];
            s.r[j] -= length * s.product[j];
        }
        const real next = dot(s.r, s.r, fp), ratio = next / rr;
        for (int64_t j = 0; j < fp; j++) s.p[j] = s.r[j] + ratio * s.p[j];
        rr = next;
    }
    finish_row(p, row, scale, s.x);
}
