/* Asking for rows of `fixed` while computing with others.
 *
 * Gathering is bound by the latency of memory: some ten cache lines under way a core, and nothing
 * to compute until they arrive. So the loops that compute tick, and a tick asks for one more line of
 * the rows that will be gathered next, in the order in which the span's rows are solved, up to
 * AHEAD_BYTES in front of what has been gathered: room in L2 beside the work in hand. */

#define AHEAD_BYTES (384 * 1024)

typedef struct {
    const recsys_als *problem;
    const int32_t *row, *last_row; /* rows whose entries have not been reached yet */
    int64_t entry, last_entry;     /* entries of the row reached */
    const char *line, *last_line;  /* lines of the entry reached */
    int64_t lead, most;            /* bytes asked for and not gathered yet; -1: nothing left */
} ahead;

INLINE int64_t row_bytes(const recsys_als *p) { return p->factors * REAL_BYTES; }

static ahead look_ahead(const recsys_als *p, int64_t begin, int64_t end) {
    if (p->tolerance < 0) return (ahead){.problem = p, .most = -1};
    return (ahead){.problem = p, .row = p->order + begin, .last_row = p->order + end,
                   .most = AHEAD_BYTES};
}

/* Nothing to gather: for products whose operands are read in order. */
static ahead look_nowhere(void) { return (ahead){.most = -1}; }

/* Step to the next entry; 0 when there is none. Inline, for a call would spill the registers of the
 * loops that tick. */
INLINE int next_entry(ahead *a) {
    while (a->entry == a->last_entry) {
        if (a->row == a->last_row) {
            a->most = -1;
            return 0;
        }
        a->entry = a->problem->indptr[*a->row];
        a->last_entry = a->problem->indptr[*a->row + 1];
        a->row++;
    }
    return 1;
}

INLINE void tick(ahead *a) {
    if (a->lead > a->most) return;
    if (a->line >= a->last_line) {
        if (!next_entry(a)) return;
        const int64_t bytes = row_bytes(a->problem);
        a->line = (const char *)a->problem->fixed + a->problem->indices[a->entry++] * bytes;
        a->last_line = a->line + bytes;
        a->lead += bytes;
    }
    __builtin_prefetch(a->line, 0, 2);
    __builtin_prefetch(a->line + 64, 0, 2);
    a->line += 128;
}

/* `count` more entries have been gathered; skip those that were not asked for in time. */
static void gathered(ahead *a, int64_t count) {
    const int64_t bytes = row_bytes(a->problem);
    a->lead -= count * bytes;
    while (a->lead < 0 && next_entry(a)) {
        const int64_t late = min_i64(-a->lead / bytes + (-a->lead % bytes != 0),
                                     a->last_entry - a->entry);
        a->entry += late;
        a->lead += late * bytes;
        a->line = a->last_line;
    }
}
