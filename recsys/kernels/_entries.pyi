import numpy as np

def count_columns(
    indices: np.ndarray, cuts: np.ndarray, counts: np.ndarray, *, num_threads: int
) -> None: ...
def transpose(
    indptr: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    rows: np.ndarray,
    places: np.ndarray,
    out_indices: np.ndarray,
    out_values: np.ndarray,
    *,
    num_threads: int,
) -> None: ...
def take_rows(
    indptr: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    rows: np.ndarray,
    out_indptr: np.ndarray,
    spans: np.ndarray,
    out_indices: np.ndarray,
    out_values: np.ndarray,
    *,
    num_threads: int,
) -> None: ...
def renumber(
    indices: np.ndarray, numbers: np.ndarray, out: np.ndarray, *, num_threads: int
) -> None: ...
