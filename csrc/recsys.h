/* The only header Cython sees: the problem structures, the kernel table and the list of kernels.
 *
 * A kernel table is one instruction set x one dtype. Types are erased in the signatures and
 * restored on each kernel's first lines. Kernels take row spans [begin, end), never allocate,
 * validate, start threads or raise; scratch is one block a thread, sized by recsys_table.*_bytes.
 */
#ifndef RECSYS_H
#define RECSYS_H

#include <stddef.h>
#include <stdint.h>

/* What Python counts on as well, which reads it from here (recsys/kernels/_native.pxd). */
enum {
    RECSYS_LINE = 64,       /* bytes of a cache line, which padded rows begin at */
    RECSYS_MOST_LANES = 16, /* of any table: a span of so many short rows has no idle lane */
    RECSYS_BATCH_MOST = 64, /* entries of the longest row that shares its vectors with others */
    RECSYS_SPAN_CYCLES = 500000, /* a row span should take about so many clock cycles: 0.2 ms */
    RECSYS_GRAM_CHUNK = 1024,    /* rows of a Gramian that are summed in real */
    RECSYS_TOPK_QUERIES = 512, /* of a span at most: enough of them to pay for packing the items */
    RECSYS_TOPK_RUN = 192,     /* items that stay together when several tasks share them out */
    RECSYS_CODE_BLOCK = 32,    /* items whose codes are interleaved */
    RECSYS_CODE_BOUNDS = 3,    /* what is known of a run's codes */
    RECSYS_NO_ID = -1,         /* fills what is left of a list */
};
#define RECSYS_WHOLE_SHARE ((int64_t)1 << 32) /* a recsys_cell's share that is all items */
#define RECSYS_VANISHED 1e-150                /* more than a norm whose squares are 0 in double */

/* How a row of ALS is solved; csrc/kernels/als.h says when. */
typedef enum {
    RECSYS_ROW_EMPTY,
    RECSYS_ROW_BATCH,
    RECSYS_ROW_WIDE,
    RECSYS_ROW_PRIMAL,
    RECSYS_ROW_LONG,
    RECSYS_ROW_CG
} recsys_row_path;

/* One half-sweep of ALS, `fixed` held and already rotated to its Gramian's eigenbasis.
 * An entry's confidence carries its preference in the sign: v > 0 is liked with confidence v,
 * v <= 0 is preference 0 with confidence -v. Ratings are targets of confidence 1 instead. */
typedef struct {
    const int64_t *indptr;  /* (rows + 1,) */
    const int32_t *indices; /* (nnz,) */
    const void *confidence; /* (nnz,) real */
    int64_t ratings;        /* whether `confidence` holds ratings */
    const void *offsets;    /* (columns,) real: what is added to a column's scores, or NULL */
    int64_t offsets_step;   /* reals from one column's to the next's */
    const void *common;     /* (rows or 1, factors) real: b_0 of a row, or NULL: 0 */
    int64_t common_stride;  /* reals from one row's to the next's; 0: all rows have the same */
    const int32_t *order;   /* (rows,) the rows in the order they are to be solved */
    const void *fixed;      /* (columns, stride) real; past the factors anything finite */
    int64_t stride;
    void *solved;       /* (rows, factors) real; conjugate gradient starts from it */
    const void *biases; /* of als_loss: (rows,) real: what is added to a row's scores */
    int64_t factors;
    const double *eigenvalues;    /* (factors,) of fixed' fixed */
    const double *regularization; /* (rows,) */
    double unobserved_weight;
    double floor;     /* eigenvalues at or below it are rounding noise */
    double tolerance; /* relative residual at which conjugate gradient stops */
    int64_t cg_steps; /* 0: solve every row exactly */
    uint8_t *failed;  /* (rows,) set to 1 where more precision is needed */
    double *row_loss; /* (rows,) or NULL: sum over stored of c(p-s)^2 - w0 s^2 */
    /* of als_nonnegative_rows, whose `fixed` is not rotated, and which starts from `solved` */
    const double *gram; /* (factors, factors): fixed' fixed */
    int64_t unbounded;  /* how many of the last factors may be negative */
    int64_t sweeps;     /* of coordinate descent at most */
    double *equations;  /* (rows, factors (factors + 3) / 2) of als_equations, als_summed_rows */
} recsys_als;

/* out = x basis, for a matrix or two of rows whose last column may be kept apart from others. */
typedef struct {
    const void *x;       /* (rows, factors) real; less a column if that is `x_last` */
    const void *x_last;  /* (rows,) real, or NULL */
    int64_t x_last_step; /* reals from one row's to the next's; 0: all rows have the same */
    const void *basis;   /* (factors, factors) real */
    void *out;           /* as x, but `out_stride` reals from one row to the next; may be x */
    int64_t out_stride;
    void *out_last;       /* (rows,) real, or NULL */
    const int32_t *place; /* (rows,) where a row goes in `out`, or NULL: it stays where it is */
    int64_t factors;
} recsys_rotation;

/* out = A dense, for a sparse A in CSR: its values, less `mean`, or whether they are likes. */
typedef struct {
    const int64_t *indptr;  /* (rows + 1,) */
    const int32_t *indices; /* (nnz,) */
    const void *values;     /* (nnz,) real */
    int64_t likes;          /* whether a value counts as 1 if it is > 0, else as 0 */
    double mean;            /* of ratings: what a value is less */
    const int32_t *order;   /* (rows,) the rows in the order they are to be done */
    const void *dense;      /* (columns, factors) real */
    void *out;              /* (rows, factors) real */
    int64_t factors;
} recsys_spmm;

/* Scores of queries against items, x_q . y_i (* item_scale_i), and whom not to list. */
typedef struct {
    const void *queries;    /* (queries, factors) real */
    const void *items;      /* (items, factors) real */
    const void *item_scale; /* (items,) real, or NULL */
    const int32_t *order;   /* (items,) the items as they are to be looked at, or NULL */
    const void *norms;      /* (items,) real, falling: bounds of their norms, so ordered */
    const uint8_t *codes; /* of each run of items, so ordered and scaled (RUN / B, pairs of factors,
                             B, 2), B = RECSYS_CODE_BLOCK, or NULL: see screen.h */
    const double *code_bounds; /* (runs, RECSYS_CODE_BOUNDS): 1 / scale, largest |e| and |v| */
    int64_t n_items;
    int64_t factors;
    int64_t n;                   /* length of a list */
    const int64_t *skip_indptr;  /* (queries + 1,) or NULL: items left out of a query's list, */
    const int32_t *skip_indices; /*   ascending */
    const uint8_t *banned;       /* (items,) or NULL: items left out of every list */
    int64_t unsorted;            /* of product_topk_rows: lists come in any order */
} recsys_topk;

/* Two matrices to be multiplied: a sparse one in CSR, and another one or a dense one. */
typedef struct {
    const int64_t *a_indptr;
    const int32_t *a_indices;
    const void *a_data;      /* real */
    const int64_t *b_indptr; /* NULL, as b_indices: b is dense */
    const int32_t *b_indices;
    const void *b_data;   /* real; of a dense b (columns of a, columns) */
    int64_t columns;      /* of b */
    const int32_t *names; /* (columns,) what a list calls a column, or NULL */
    const int32_t *order; /* (rows of a,) as they are to be done, or NULL */
} recsys_product;

/* Regressions of items' columns on those of their candidates; csrc/kernels/slim.h has the sum. */
typedef struct {
    const int64_t *indptr;     /* (items + 1,) of the matrix items x users */
    const int32_t *indices;    /* (nnz,) */
    const void *values;        /* (nnz,) real */
    const int32_t *order;      /* (items,) as they are to be done */
    const int32_t *candidates; /* (items, most), none of them the item; RECSYS_NO_ID fills up */
    const double *products;    /* (items, items) inner products of all columns, or NULL */
    int64_t items;
    int64_t most;
    int64_t users;
    int64_t longest; /* entries that an item and its candidates have together, at most */
    double l1;
    double l2;
    int64_t nonnegative;
    double tolerance;
    int64_t sweeps;  /* of coordinate descent at most */
    void *weights;   /* (items, most) real, of each candidate */
    uint8_t *failed; /* (items,) set to 1 where more sweeps are needed, to 2 if it overflowed */
} recsys_slim;

/* A half-sweep of logistic matrix factorization: a gradient step for each row, `fixed` held. An
 * entry's confidence carries its preference in the sign, as in recsys_als. */
typedef struct {
    const int64_t *indptr;    /* (rows + 1,) */
    const int32_t *indices;   /* (nnz,) */
    const void *confidence;   /* (nnz,) real */
    const int32_t *order;     /* (rows,) */
    const void *fixed;        /* (columns, factors rounded up to 64 bytes) real, zeros behind */
    const void *fixed_biases; /* (columns,) real */
    void *solved;             /* (rows, factors) real */
    void *biases;             /* (rows,) real */
    void *squares;            /* (rows, factors) real: sums of squared gradients so far */
    void *bias_squares;       /* (rows,) real */
    const void *means;        /* as solved, or NULL: 0: what regularization draws it to */
    const uint64_t *keys;     /* (rows,) of what is drawn for each */
    int64_t columns;
    int64_t factors;
    int64_t negatives; /* columns drawn for each entry */
    double learning_rate;
    double regularization;
    double *row_loss; /* (rows,) before the step, without regularization; NaN: diverged */
} recsys_lmf;

/* Where the lists go: best first, of equal scores the higher id; RECSYS_NO_ID and -inf fill what is
 * left. */
typedef struct {
    int32_t *ids;    /* (queries, n) */
    void *scores;    /* (queries, n) real */
    uint8_t *failed; /* (queries,) set to 1 at `begin` if a value is not usable */
} recsys_lists;

/* Items' columns of one matrix, whose inner products are wanted; see csrc/kernels/neighbors.h. */
typedef struct {
    const int64_t *a_indptr; /* the transpose of b */
    const int32_t *a_indices;
    const void *a_data; /* real */
    const int64_t *b_indptr;
    const void *b_pairs;    /* of entries (int32 column, real value), each row's by rising column */
    int64_t columns;        /* of b */
    const int32_t *names;   /* (columns,) what a list calls a column, and the row of its own */
    int64_t head;           /* so many first columns: all, or whole vectors */
    int64_t n;              /* length of a list */
    int64_t without_itself; /* no item is in its own list */
    recsys_lists out;
} recsys_neighbors;

/* A thread's own lists of the head's columns. */
typedef struct {
    int32_t *ids;  /* (head, n) */
    void *scores;  /* (head, n) real */
    int64_t *kept; /* (head,) how many there are */
    void *least;   /* (head,) real: what a sum has to reach */
} recsys_heads;

/* A cell of a grid over users and items: what one thread may write to while others have theirs.
 * Its items are two groups, of which the second may be empty. */
typedef struct {
    int64_t begin[2], end[2]; /* entries of each group, ascending by user, then by item */
    int64_t lo[2], hi[2];     /* items of each group */
    int64_t share[2];         /* of each group among all items, of RECSYS_WHOLE_SHARE */
} recsys_cell;

/* Pairwise stochastic gradient (Rendle et al. 2009). Rows of factors are padded with zeros to
 * `stride`; items are numbered so that a group is a run of them. */
typedef struct {
    const int32_t *users; /* (nnz,) of each entry: a user likes an item */
    const int32_t *items; /* (nnz,) */
    const void *weights;  /* (nnz,) real, of the steps, or NULL: all 1 */
    void *x;              /* (users, stride) real */
    void *y;              /* (items, stride) real */
    void *b;              /* (items,) real, or NULL: no biases */
    const void *x_mean;   /* as x, or NULL: 0: what regularization draws x to */
    const void *y_mean;   /* as y, likewise */
    const void *b_mean;   /* as b, likewise */
    int64_t factors;
    int64_t stride;
    int64_t n_items;
    int64_t negatives; /* steps for each liked item */
    double rate;
    double reg_user;
    double reg_positive;
    double reg_negative;
    uint64_t key;       /* of the epoch's random numbers */
    int64_t frozen;     /* only x is learned, each row as if it were alone */
    int64_t candidates; /* draws for a step: the best-scored, or WARP's most trials */
    int64_t warp;
    double margin;              /* WARP's */
    const double *rank_weights; /* (candidates,) of WARP, by the number of trials - 1 */
    const uint32_t *alias_keep; /* (items,) of an alias table for each group, or NULL: uniform */
    const int32_t *alias;       /* (items,) */
    const int32_t *ranking;     /* (factors, items) each group's items by falling y_k, or NULL */
    const void *spread;         /* (factors,) real: standard deviation of y_k */
    double adaptive_share;      /* mean rank drawn, as a share of the items */
} recsys_bpr;

/* Stochastic gradient on ratings (Koren, Bell and Volinsky 2009); rows and items as above. */
typedef struct {
    const int32_t *users; /* (nnz,) of each entry */
    const int32_t *items; /* (nnz,) */
    const void *ratings;  /* (nnz,) real, less the mean */
    void *x;              /* (users, stride) real */
    void *y;              /* (items, stride) real */
    void *user_biases;    /* (users,) real, or NULL: no biases of either */
    void *item_biases;    /* (items,) real */
    int64_t stride;
    double rate;
    double regularization;
} recsys_ratings;

/* How recsys_hybrid learns; csrc/kernels/hybrid.h says what each is. */
typedef enum {
    RECSYS_HYBRID_LOGISTIC,
    RECSYS_HYBRID_BPR,
    RECSYS_HYBRID_WARP,
    RECSYS_HYBRID_KOS
} recsys_hybrid_loss;

/* One side of recsys_hybrid: rows that are weighted sums of features' rows. Those are embeddings
 * with a bias behind, padded to whole cache lines; past the bias values are 0, others positive. */
typedef struct {
    const int64_t *indptr;  /* (rows + 1,), or NULL: row r is feature r */
    const int32_t *indices; /* (nnz,) */
    const void *weights;    /* (nnz,) real */
    void *values;           /* (features, stride) real */
    void *squares;          /* (features, stride) real: of gradients so far */
    void *momentum;         /* (features, stride) real: of adadelta, squares of steps so far */
    int64_t rows;
    double alpha; /* regularization */
    double scale; /* values are so many times too large */
} recsys_featured;

/* Stochastic gradient for users and items that have features (Kula 2015). */
typedef struct {
    recsys_featured user;
    recsys_featured item;
    const int32_t *users;          /* (samples,) in the order they are to be gone through */
    const int32_t *items;          /* (samples,) */
    const void *weights;           /* (samples,) real, or NULL: all 1 */
    const uint8_t *liked;          /* (samples,) of the logistic loss: 1 or 0 */
    const int64_t *stored_indptr;  /* (users + 1,) what is no negative of a user, ascending */
    const int32_t *stored_indices; /* (stored,) */
    const int32_t *pool; /* (pool_size,) of bpr: items, as often as they are to be drawn */
    int64_t pool_size;
    const void *screen;         /* (item rows, stride) real: rows of a while ago, or NULL */
    const double *rank_weights; /* (max_sampled,) of warp, by the number of draws - 1 */
    int64_t factors;
    int64_t stride;
    int64_t loss; /* a recsys_hybrid_loss */
    int64_t adadelta;
    int64_t max_sampled;
    int64_t k; /* of warp-kos: the k-th best of n draws */
    int64_t n; /* 0 for others */
    double rate;
    double rho;
    double epsilon;
    uint64_t key; /* of the epoch's random numbers */
} recsys_hybrid;

/* name, arguments. A kernel missing from the stamped sources is a compile error. */
#define RECSYS_KERNELS(KERNEL)                                                                     \
    /* solve the rows order[begin:end] */                                                          \
    KERNEL(als_rows, (const recsys_als *problem, int64_t begin, int64_t end, void *scratch))       \
    /* the same, of rows that may not be negative */                                               \
    KERNEL(als_nonnegative_rows,                                                                   \
           (const recsys_als *problem, int64_t begin, int64_t end, void *scratch))                 \
    /* what the entries of the rows order[begin:end] add to their equations */                     \
    KERNEL(als_equations, (const recsys_als *problem, int64_t begin, int64_t end, void *scratch))  \
    /* solve the rows begin:end from sums of these */                                              \
    KERNEL(als_summed_rows,                                                                        \
           (const recsys_als *problem, int64_t begin, int64_t end, void *scratch))                 \
    /* row_loss of the rows begin:end for `solved` as it stands, order ignored */                  \
    KERNEL(als_loss, (const recsys_als *problem, int64_t begin, int64_t end, void *scratch))       \
    /* gram (factors, factors) += x[begin:end]' x[begin:end], upper triangle */                    \
    KERNEL(gramian_rows, (const void *x, int64_t factors, int64_t begin, int64_t end,              \
                          double *gram, void *scratch))                                            \
    /* sums (factors,) += weights[begin:end]' x[begin:end], weights `step` reals apart */          \
    KERNEL(column_sums_rows, (const void *x, const void *weights, int64_t step, int64_t factors,   \
                              int64_t begin, int64_t end, double *sums))                           \
    /* sum += sum of weights[row] |x[row]|^2 over begin:end */                                     \
    KERNEL(weighted_squares_rows, (const void *x, const double *weights, int64_t factors,          \
                                   int64_t begin, int64_t end, double *sum))                       \
    /* out[place[begin:end]] = x[begin:end] @ basis */                                             \
    KERNEL(rotate_rows, (const recsys_rotation *p, int64_t begin, int64_t end, void *scratch))     \
    /* out of the rows order[begin:end] */                                                         \
    KERNEL(spmm_rows, (const recsys_spmm *p, int64_t begin, int64_t end))                          \
    /* the lists of the queries begin:end out of every parts-th RECSYS_TOPK_RUN, from `part` on */ \
    KERNEL(topk_rows, (const recsys_topk *problem, int64_t begin, int64_t end, int64_t part,       \
                       int64_t parts, recsys_lists out, void *scratch))                            \
    /* the codes of the runs begin:end of a problem's items; `failed` of those that have none */   \
    KERNEL(topk_code_runs, (const recsys_topk *problem, int64_t begin, int64_t end,                \
                            uint8_t *codes, double *bounds, uint8_t *failed, void *scratch))       \
    /* the lists of the rows order[begin:end] of a product; of `lists` n and whom not to list; */  \
    /* scratch has to come as zeros and is left so */                                              \
    KERNEL(product_topk_rows, (const recsys_product *product, const recsys_topk *lists,            \
                               int64_t begin, int64_t end, recsys_lists out, void *scratch))       \
    /* the rows begin:end as pairs by rising column, `ranks` saying which a column becomes */      \
    KERNEL(neighbors_pairs, (const int64_t *indptr, const int32_t *indices, const void *data,      \
                             const int32_t *ranks, int64_t begin, int64_t end, void *pairs))       \
    /* the rows begin:end of a, made of b; next (columns,): where a row's next entry goes */       \
    KERNEL(neighbors_transpose, (const recsys_neighbors *problem, int64_t users, int64_t begin,    \
                                 int64_t end, int64_t *next, int32_t *a_indices, void *a_data))    \
    /* head_sums (head, head) += of the users first:last, rows begin:end up to the diagonal */     \
    KERNEL(neighbors_head, (const recsys_neighbors *problem, int64_t first, int64_t last,          \
                            int64_t begin, int64_t end, void *head_sums))                          \
    /* the lists of the rows begin:end of a, none of the head; scratch has to come as zeros */     \
    KERNEL(neighbors_rows, (const recsys_neighbors *problem, const recsys_heads *heads,            \
                            int64_t begin, int64_t end, void *scratch))                            \
    /* the weights of the items order[begin:end]; scratch as of product_topk_rows */               \
    KERNEL(slim_rows, (const recsys_slim *problem, int64_t begin, int64_t end, void *scratch))     \
    /* the steps of one cell; sums[4]: loss, steps in the right order, steps, skipped */           \
    KERNEL(bpr_cell,                                                                               \
           (const recsys_bpr *problem, const recsys_cell *cell, double *sums, void *scratch))      \
    /* the steps of one cell; loss: the sum of squared errors before them */                       \
    KERNEL(ratings_cell, (const recsys_ratings *problem, const recsys_cell *cell, double *loss))   \
    /* what the samples begin:end of a batch that begins at `first` want changed */                \
    KERNEL(hybrid_gradients, (const recsys_hybrid *problem, int64_t begin, int64_t end,            \
                              int64_t first, void *steps, void *scratch))                          \
    /* changes every parts-th feature, from `part` on, by a batch of so many steps */              \
    KERNEL(hybrid_updates, (const recsys_hybrid *problem, void *steps, int64_t count,              \
                            int64_t part, int64_t parts))                                          \
    /* a step for each of the rows order[begin:end] */                                             \
    KERNEL(lmf_rows, (const recsys_lmf *problem, int64_t begin, int64_t end, void *scratch))

typedef struct {
#define RECSYS_MEMBER(name, arguments) void(*name) arguments;
    RECSYS_KERNELS(RECSYS_MEMBER)
#undef RECSYS_MEMBER
    /* enough, 64-byte aligned, for any kernel but those below and rows of up to `longest`
     * entries; cg_steps and longest count in als_rows only */
    int64_t (*scratch_bytes)(int64_t factors, int64_t cg_steps, int64_t longest);
    int64_t (*product_scratch_bytes)(int64_t columns); /* of product_topk_rows, likewise */
    int64_t (*neighbors_scratch_bytes)(int64_t columns, int64_t n); /* of neighbors_rows */
    int64_t (*slim_scratch_bytes)(int64_t users, int64_t most, int64_t longest); /* of slim_rows */
    int64_t (*hybrid_scratch_bytes)(int64_t factors, int64_t k); /* of hybrid_gradients, likewise */
    int64_t (*hybrid_step_bytes)(int64_t factors);               /* of each of its steps */
    /* a side's scale after a batch of so many steps */
    double (*hybrid_scale)(const recsys_hybrid *problem, void *steps, int64_t count, double scale,
                           double alpha);
    /* how als_rows solves a row of n entries; `below`: some have less confidence than w0 */
    recsys_row_path (*row_path)(int64_t n, int64_t factors, int64_t cg_steps, int below);
    int64_t lanes;
} recsys_table;

/* Instruction sets by rank; a set that this build or this CPU lacks has no table. */
enum { RECSYS_BASELINE, RECSYS_AVX2, RECSYS_AVX512, RECSYS_ISA_COUNT };

const char *recsys_isa_name(int isa);
int recsys_isa_available(int isa);                                   /* built, and CPU and OS can */
const recsys_table *recsys_get_table(int isa, int double_precision); /* NULL if unavailable */
const char *recsys_compiler(void);

#endif
