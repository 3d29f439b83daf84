"""What a method of one side has added to memory right before: a day's events may be passed to the
method of the other side, or to `partial_fit`, as well, and are to count once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys import csr
from recsys.csr import TrainingMatrix

if TYPE_CHECKING:
    from scipy import sparse

SIDES = ("users", "items")


class JustAdded(NamedTuple):
    """By which side entries were added, what is remembered since then, and which they were."""

    side: str
    matrix: TrainingMatrix
    entries: sparse.csr_array


def without_counted(model: Any, side: str | None, added: sparse.csr_array) -> sparse.csr_array:
    """Without the entries that the method of another side than `side` has added right before."""
    last = _of(model)
    if last is None or last.side == side:
        return added
    width, every = added.shape[1], slice(0, last.entries.shape[0])
    keys = csr.entry_keys(last.entries, every, width)
    wanted = csr.entry_keys(added, slice(0, added.shape[0]), width)
    counted = csr.among(wanted, keys)
    counted[counted] = (
        last.entries.data[np.searchsorted(keys, wanted[counted])] == added.data[counted]
    )
    if counted.any():
        model._log(
            "takes %d of %d entries as those that partial_fit_%s was given right before: they "
            "count once",
            counted.sum(), len(counted), last.side,
        )  # fmt: skip
    return csr.keep(added, ~counted)


def noted(
    model: Any,
    side: str,
    matrix: TrainingMatrix,
    passed: sparse.csr_array,
    added: sparse.csr_array,
) -> JustAdded:
    """What is to be known later of entries `passed` to a side's method, which has `added` those of
    them that `without_counted` left: what was counted right before still is."""
    entries, last = passed, _of(model)
    if last is not None and added.nnz < passed.nnz:
        before = last.entries.copy()
        before.resize(passed.shape)
        entries = csr.merged(before, added, replaces=True)
    return JustAdded(side, matrix, entries)


def _of(model: Any) -> JustAdded | None:
    """None where others were added since, or where there is no such method."""
    last = getattr(model, "_just_added", None)
    return None if last is None or last.matrix is not model._training_matrix else last


def written(model: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """For a model file that has the training matrix."""
    last = _of(model)
    if last is None:
        return {}, {}
    parts = {name: getattr(last.entries, name) for name in ("indptr", "indices", "data")}
    header = {"added_by": last.side, "added_shape": last.entries.shape}
    return header, {f"added_{name}": array for name, array in parts.items()}


def read(
    header: dict[str, Any], arrays: dict[str, np.ndarray], matrix: TrainingMatrix | None
) -> dict[str, Any]:
    """What `written` gave, checked, in terms of a model's attributes."""
    if "added_by" not in header or matrix is None:
        return {}
    if header["added_by"] not in SIDES:
        raise ValueError(f"it says that {header['added_by']!r} were added")
    data, indices, indptr = (arrays[f"added_{name}"] for name in ("data", "indices", "indptr"))
    n_users, n_items = header["added_shape"]
    entries = csr.assemble(data, indices, indptr, (n_users, n_items))
    entries = csr.canonical(entries, may_be_empty=True, name="what was added last")
    return {"_just_added": JustAdded(header["added_by"], matrix, entries)}
