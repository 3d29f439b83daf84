from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "recsys.h" nogil:
    enum:
        RECSYS_LINE
        RECSYS_MOST_LANES
        RECSYS_BATCH_MOST
        RECSYS_SPAN_CYCLES
        RECSYS_GRAM_CHUNK
        RECSYS_TOPK_QUERIES
        RECSYS_TOPK_RUN
        RECSYS_CODE_BLOCK
        RECSYS_CODE_BOUNDS
        RECSYS_NO_ID

    int64_t RECSYS_WHOLE_SHARE
    double RECSYS_VANISHED

    ctypedef enum recsys_row_path:
        RECSYS_ROW_EMPTY
        RECSYS_ROW_BATCH
        RECSYS_ROW_WIDE
        RECSYS_ROW_PRIMAL
        RECSYS_ROW_LONG
        RECSYS_ROW_CG

    ctypedef struct recsys_als:
        const int64_t *indptr
        const int32_t *indices
        const void *confidence
        int64_t ratings
        const void *offsets
        int64_t offsets_step
        const void *common
        int64_t common_stride
        const int32_t *order
        const void *fixed
        int64_t stride
        void *solved
        const void *biases
        int64_t factors
        const double *eigenvalues
        const double *regularization
        double unobserved_weight
        double floor
        double tolerance
        int64_t cg_steps
        uint8_t *failed
        double *row_loss
        const double *gram
        int64_t unbounded
        int64_t sweeps
        double *equations

    ctypedef struct recsys_rotation:
        const void *x
        const void *x_last
        int64_t x_last_step
        const void *basis
        void *out
        int64_t out_stride
        void *out_last
        const int32_t *place
        int64_t factors

    ctypedef struct recsys_spmm:
        const int64_t *indptr
        const int32_t *indices
        const void *values
        int64_t likes
        double mean
        const int32_t *order
        const void *dense
        void *out
        int64_t factors

    ctypedef struct recsys_topk:
        const void *queries
        const void *items
        const void *item_scale
        const int32_t *order
        const void *norms
        const uint8_t *codes
        const double *code_bounds
        int64_t n_items
        int64_t factors
        int64_t n
        const int64_t *skip_indptr
        const int32_t *skip_indices
        const uint8_t *banned
        int64_t unsorted

    ctypedef struct recsys_product:
        const int64_t *a_indptr
        const int32_t *a_indices
        const void *a_data
        const int64_t *b_indptr
        const int32_t *b_indices
        const void *b_data
        int64_t columns
        const int32_t *names
        const int32_t *order

    ctypedef struct recsys_slim:
        const int64_t *indptr
        const int32_t *indices
        const void *values
        const int32_t *order
        const int32_t *candidates
        const double *products
        int64_t items
        int64_t most
        int64_t users
        int64_t longest
        double l1
        double l2
        int64_t nonnegative
        double tolerance
        int64_t sweeps
        void *weights
        uint8_t *failed

    ctypedef struct recsys_lmf:
        const int64_t *indptr
        const int32_t *indices
        const void *confidence
        const int32_t *order
        const void *fixed
        const void *fixed_biases
        void *solved
        void *biases
        void *squares
        void *bias_squares
        const void *means
        const uint64_t *keys
        int64_t columns
        int64_t factors
        int64_t negatives
        double learning_rate
        double regularization
        double *row_loss

    ctypedef struct recsys_lists:
        int32_t *ids
        void *scores
        uint8_t *failed

    ctypedef struct recsys_neighbors:
        const int64_t *a_indptr
        const int32_t *a_indices
        const void *a_data
        const int64_t *b_indptr
        const void *b_pairs
        int64_t columns
        const int32_t *names
        int64_t head
        int64_t n
        int64_t without_itself
        recsys_lists out

    ctypedef struct recsys_heads:
        int32_t *ids
        void *scores
        int64_t *kept
        void *least

    ctypedef struct recsys_cell:
        int64_t begin[2]
        int64_t end[2]
        int64_t lo[2]
        int64_t hi[2]
        int64_t share[2]

    ctypedef struct recsys_bpr:
        const int32_t *users
        const int32_t *items
        const void *weights
        void *x
        void *y
        void *b
        const void *x_mean
        const void *y_mean
        const void *b_mean
        int64_t factors
        int64_t stride
        int64_t n_items
        int64_t negatives
        double rate
        double reg_user
        double reg_positive
        double reg_negative
        uint64_t key
        int64_t frozen
        int64_t candidates
        int64_t warp
        double margin
        const double *rank_weights
        const uint32_t *alias_keep
        const int32_t *alias
        const int32_t *ranking
        const void *spread
        double adaptive_share

    ctypedef struct recsys_ratings:
        const int32_t *users
        const int32_t *items
        const void *ratings
        void *x
        void *y
        void *user_biases
        void *item_biases
        int64_t stride
        double rate
        double regularization

    ctypedef enum recsys_hybrid_loss:
        RECSYS_HYBRID_LOGISTIC
        RECSYS_HYBRID_BPR
        RECSYS_HYBRID_WARP
        RECSYS_HYBRID_KOS

    ctypedef struct recsys_featured:
        const int64_t *indptr
        const int32_t *indices
        const void *weights
        void *values
        void *squares
        void *momentum
        int64_t rows
        double alpha
        double scale

    ctypedef struct recsys_hybrid:
        recsys_featured user
        recsys_featured item
        const int32_t *users
        const int32_t *items
        const void *weights
        const uint8_t *liked
        const int64_t *stored_indptr
        const int32_t *stored_indices
        const int32_t *pool
        int64_t pool_size
        const void *screen
        const double *rank_weights
        int64_t factors
        int64_t stride
        int64_t loss
        int64_t adadelta
        int64_t max_sampled
        int64_t k
        int64_t n
        double rate
        double rho
        double epsilon
        uint64_t key

    ctypedef struct recsys_table:
        void (*als_rows)(const recsys_als *, int64_t, int64_t, void *) noexcept nogil
        void (*als_nonnegative_rows)(
            const recsys_als *, int64_t, int64_t, void *) noexcept nogil
        void (*als_equations)(const recsys_als *, int64_t, int64_t, void *) noexcept nogil
        void (*als_summed_rows)(const recsys_als *, int64_t, int64_t, void *) noexcept nogil
        void (*als_loss)(const recsys_als *, int64_t, int64_t, void *) noexcept nogil
        void (*gramian_rows)(
            const void *, int64_t, int64_t, int64_t, double *, void *) noexcept nogil
        void (*column_sums_rows)(
            const void *, const void *, int64_t, int64_t, int64_t, int64_t,
            double *) noexcept nogil
        void (*weighted_squares_rows)(
            const void *, const double *, int64_t, int64_t, int64_t, double *) noexcept nogil
        void (*rotate_rows)(const recsys_rotation *, int64_t, int64_t, void *) noexcept nogil
        void (*spmm_rows)(const recsys_spmm *, int64_t, int64_t) noexcept nogil
        void (*topk_rows)(const recsys_topk *, int64_t, int64_t, int64_t, int64_t, recsys_lists,
                          void *) noexcept nogil
        void (*topk_code_runs)(const recsys_topk *, int64_t, int64_t, uint8_t *, double *,
                               uint8_t *, void *) noexcept nogil
        void (*product_topk_rows)(const recsys_product *, const recsys_topk *, int64_t, int64_t,
                                  recsys_lists, void *) noexcept nogil
        void (*neighbors_pairs)(const int64_t *, const int32_t *, const void *, const int32_t *,
                                int64_t, int64_t, void *) noexcept nogil
        void (*neighbors_transpose)(const recsys_neighbors *, int64_t, int64_t, int64_t,
                                    int64_t *, int32_t *, void *) noexcept nogil
        void (*neighbors_head)(const recsys_neighbors *, int64_t, int64_t, int64_t, int64_t,
                               void *) noexcept nogil
        void (*neighbors_rows)(const recsys_neighbors *, const recsys_heads *, int64_t, int64_t,
                               void *) noexcept nogil
        void (*slim_rows)(const recsys_slim *, int64_t, int64_t, void *) noexcept nogil
        void (*bpr_cell)(
            const recsys_bpr *, const recsys_cell *, double *, void *) noexcept nogil
        void (*ratings_cell)(
            const recsys_ratings *, const recsys_cell *, double *) noexcept nogil
        void (*hybrid_gradients)(
            const recsys_hybrid *, int64_t, int64_t, int64_t, void *, void *) noexcept nogil
        void (*hybrid_updates)(
            const recsys_hybrid *, void *, int64_t, int64_t, int64_t) noexcept nogil
        void (*lmf_rows)(const recsys_lmf *, int64_t, int64_t, void *) noexcept nogil
        int64_t (*scratch_bytes)(int64_t, int64_t, int64_t) noexcept nogil
        int64_t (*product_scratch_bytes)(int64_t) noexcept nogil
        int64_t (*neighbors_scratch_bytes)(int64_t, int64_t) noexcept nogil
        int64_t (*slim_scratch_bytes)(int64_t, int64_t, int64_t) noexcept nogil
        int64_t (*hybrid_scratch_bytes)(int64_t, int64_t) noexcept nogil
        int64_t (*hybrid_step_bytes)(int64_t) noexcept nogil
        double (*hybrid_scale)(
            const recsys_hybrid *, void *, int64_t, double, double) noexcept nogil
        recsys_row_path (*row_path)(int64_t, int64_t, int64_t, int) noexcept nogil
        int64_t lanes

    int RECSYS_BASELINE
    int RECSYS_ISA_COUNT
    const char *recsys_isa_name(int)
    int recsys_isa_available(int)
    const recsys_table *recsys_get_table(int, int)
    const char *recsys_compiler()
