/* Long rows, exactly: form the f x f matrix, factorize it, solve (primal).
 *
 *     A = I + sum_k (c_k - w0) z_k z_k',    A x~ = sum_{p_k = 1} c_k z_k
 *
 * Entries are gathered a panel at a time, scaled by sqrt|c - w0| on the way into slabs, and added
 * by the tiles of syrk: entries with c > w0 first, then those with c < w0 with a minus sign.
 * Panels make the sum of a 77,000-entry row some hundred times more accurate in float32 than one
 * rank-1 update after another. n f^2 + f^3 / 3 FLOP. */

typedef struct {
    real *panel; /* slabs of PANEL rows */
    real *a;     /* slabs of fp rows */
    real *b, *x, *inverse;
} primal_scratch;

static int64_t primal_layout(char *base, int64_t f, primal_scratch *s) {
    const int64_t fp = padded(f), slabs = fp / W;
    char *at = base;
    s->panel = (real *)take(&at, slabs * slab_stride(PANEL) * REAL_BYTES);
    s->a = (real *)take(&at, slabs * slab_stride(fp) * REAL_BYTES);
    s->b = (real *)take(&at, fp * REAL_BYTES);
    s->x = (real *)take(&at, fp * REAL_BYTES);
    s->inverse = (real *)take(&at, fp * REAL_BYTES);
    return at - base;
}

/* One entry into row k of the panel, and its part of the right-hand side. */
INLINE void pack_entry(const recsys_als *p, int64_t entry, const real *scale, real root_weight,
                       real target, int64_t k, const primal_scratch *s) {
    const int64_t f = p->factors, ldp = slab_stride(PANEL);
    const real *y = fixed_row(p, entry);
    const vec weight = splat(root_weight), liked = splat(target);
    for (int64_t v = 0; v * W < f; v++) {
        const vec z = load_row(y, v, f) * load(scale + v * W);
        store(s->b + v * W, load(s->b + v * W) + liked * z);
        store(s->panel + v * ldp + k * W, weight * z);
    }
}

static void add_panel(const recsys_als *p, int64_t depth, real sign, const primal_scratch *s) {
    const int64_t fp = padded(p->factors);
    syrk(s->panel, slab_stride(PANEL), depth, fp, s->a, slab_stride(fp), sign);
}

/* Add the entries whose c - w0 has the given sign; 0 counts as positive. Returns whether there
 * were any of the other sign. */
static int add_entries(const recsys_als *p, int64_t row, const real *scale, real sign,
                       const primal_scratch *s) {
    const int64_t end = p->indptr[row + 1];
    const real w0 = (real)p->unobserved_weight, *confidence = p->confidence;
    int64_t depth = 0;
    int others = 0;
    for (int64_t k = p->indptr[row]; k < end; k++) {
        prefetch_fixed(p, k + AHEAD, end);
        const real weight = entry_weight(confidence[k], w0);
        if ((weight < 0) != (sign < 0)) {
            others = 1;
            continue;
        }
        pack_entry(p, k, scale, root(sign * weight), entry_target(confidence[k]), depth++, s);
        if (depth == PANEL) {
            add_panel(p, depth, sign, s);
            depth = 0;
        }
    }
    if (depth) add_panel(p, depth, sign, s);
    return others;
}

static void primal_solve(const recsys_als *p, int64_t row, const real *scale, void *scratch) {
    primal_scratch s;
    primal_layout(scratch, p->factors, &s);
    const int64_t fp = padded(p->factors), ld = slab_stride(fp);
    memset(s.a, 0, (size_t)(fp / W * ld) * sizeof(real));
    memset(s.b, 0, (size_t)fp * sizeof(real));
    if (add_entries(p, row, scale, 1, &s)) add_entries(p, row, scale, -1, &s);
    mark_if_imprecise(p, row, add_identity(s.a, ld, fp));
    cholesky(s.a, ld, fp, s.inverse);
    solve_lower(s.a, ld, fp, s.inverse, s.b);
    solve_upper(s.a, ld, fp, s.inverse, s.b, s.x);
    finish_row(p, row, scale, s.x);
}
