import tracemalloc

import numpy as np
from scipy import sparse

from recsys import ImplicitALS


def test_peak_memory():
    """Of lastfm-360K's proportions at a tenth of its size: 650 MB there are 65 MB here."""
    rng = np.random.default_rng(0)
    n_users, n_items, n_entries = 35_886, 29_238, 1_756_000
    keys = np.unique(rng.integers(0, n_users * n_items, n_entries, dtype=np.int64))
    indptr = np.searchsorted(keys, np.arange(n_users + 1) * n_items).astype(np.int32)
    data = rng.integers(1, 500, len(keys)).astype(np.float32)
    indices = (keys % n_items).astype(np.int32)
    matrix = sparse.csr_array((data, indices, indptr), shape=(n_users, n_items))
    ImplicitALS(4, iterations=1).fit(matrix[:100])  # everything imported
    tracemalloc.start()
    ImplicitALS(64, iterations=2, random_state=0, compute_loss=True).fit(matrix)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 65e6
