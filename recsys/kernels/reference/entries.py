"""Entries of sparse matrices, CSR, put elsewhere.

Values are integers as wide as what they stand for. What is moved where does not depend on how it is
cut into tasks.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np


def count_columns(indices, cuts, counts, *, num_threads=1):
    """counts[part, c] += entries of column c among ``indices[cuts[part]:cuts[part + 1]]``."""
    for part, (begin, end) in enumerate(pairwise(cuts)):
        counts[part] += np.bincount(indices[begin:end], minlength=counts.shape[1])


def transpose(indptr, indices, values, rows, places, out_indices, out_values, *, num_threads=1):
    """Put the entries of the rows ``range(rows[part], rows[part + 1])`` one after the other to
    places[part, column], which moves on by one with each."""
    for part, (begin, end) in enumerate(pairwise(rows)):
        for row in range(begin, end):
            for entry in range(indptr[row], indptr[row + 1]):
                place = places[part, indices[entry]]
                out_indices[place], out_values[place] = row, values[entry]
                places[part, indices[entry]] += 1


def take_rows(
    indptr, indices, values, rows, out_indptr, spans, out_indices, out_values, *, num_threads=1
):
    """Copy the first entries of rows[k] to ``out_indptr[k]:out_indptr[k + 1]``, for k in
    ``range(spans[0], spans[-1])``."""
    for k in range(spans[0], spans[-1]):
        out, begin = slice(out_indptr[k], out_indptr[k + 1]), indptr[rows[k]]
        entries = slice(begin, begin + out.stop - out.start)
        out_indices[out], out_values[out] = indices[entries], values[entries]


def renumber(indices, numbers, out, *, num_threads=1):
    """out[k] = numbers[indices[k]]."""
    out[...] = numbers[indices]
