"""Scores of pairs, and users or items whose factors point the same way."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys import checks, kernels
from recsys.models import ids, strangers
from recsys.models.factor_lists import asked_before
from recsys.models.ids import Lists
from recsys.models.selection import Choice, list_length, scored_pairs

_BLOCK = 1 << 16  # pairs scored together


def score(model: Any, users: Any, items: Any = None, *, unknown: str = "error") -> np.ndarray:
    """Scores of pairs of users and items.

    With factors x_u . y_i, and mean + b_u + b_i if there are biases; of `ItemNeighbors`, `EASE` and
    `SLIM` what the user's history adds up to.

    Parameters
    ----------
    users, items : int or arrays of int
        Row and column numbers of the training matrix, or ids, broadcast against each other: two
        arrays of length n give n scores, ``score(users[:, None], items)`` all pairs.
    unknown : {"error", "skip", "popular"}, default "error"
        Of unknown ones the score is NaN, or with "popular", of known items, their users.

    Returns
    -------
    ndarray of the model's dtype, of the broadcast shape

    Raises
    ------
    NotFittedError, IndexError, TypeError, ValueError
        As in `recommend`; ValueError also where the shapes do not broadcast.
    """
    vocabulary = model._vocabulary()
    if strangers.check(unknown):
        return strangers.scores(model, users, items, unknown)
    users = ids.to_rows(vocabulary, "users", users, "users")
    items = ids.to_rows(vocabulary, "items", items, "items")

    rows, columns = scored_pairs(users, items, model._known_shape())
    return model._pair_scores(rows.reshape(-1), columns.reshape(-1)).reshape(rows.shape)[()]


def pair_scores(model: Any, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Scores that a FactorModel gives to pairs of users and items."""
    users, items = model._user_factors, model._item_factors
    scores = np.empty(len(rows), np.result_type(users, items))
    for begin in range(0, len(scores), _BLOCK):
        at = slice(begin, begin + _BLOCK)
        np.einsum("kf,kf->k", users[rows[at]], items[columns[at]], out=scores[at])
        for biases, of in ((model._user_biases, rows[at]), (model._item_biases, columns[at])):
            if biases is not None:
                scores[at] += biases[of]
    return scores + scores.dtype.type(model._mean) if model._mean else scores


def nearest(model: Any, noun: str, numbers: Any, N: int, among: Any, left_out: Any) -> Lists:
    """The N rows of a FactorModel's factors with the highest cosine with each one asked for,
    itself first."""
    what = f"{noun[:-1]}_factors"
    factors = model._factors(f"_{what}")
    rows = checks.row_numbers(noun, numbers, len(factors))
    list_length(N, len(factors))
    choice = Choice(among, left_out, len(factors), noun, among="among")
    norms = model._norms(what, factors)
    # Norms below tell of factors that have lost their digits; 1 / norm might overflow as well
    has_direction = norms >= np.finfo(factors.dtype).tiny
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=has_direction)
    flat = rows.reshape(-1)
    item_scale = scale.astype(factors.dtype)
    order = None
    if choice.among is None and model._topk is kernels.topk:
        order = _codes(model, what, factors, item_scale, len(flat))
    best, cosines = model._topk(
        (factors[flat] * scale[flat, np.newaxis]).astype(factors.dtype),
        factors,
        N,
        among=choice.among,
        item_scale=item_scale,
        order=order,
        skip=(np.arange(len(flat) + 1), flat.astype(np.int32)),
        banned=choice.banned,
        num_threads=model.num_threads,
    )
    np.clip(cosines, -1, 1, out=cosines, where=best != kernels.NO_ID)
    # Each row was skipped in its own list: rounding must not decide on its place there.
    itself = np.flatnonzero(choice.allows(flat))
    best[itself, 1:], cosines[itself, 1:] = best[itself, :-1], cosines[itself, :-1]
    best[itself, 0], cosines[itself, 0] = flat[itself], has_direction[flat[itself]]
    return best.reshape(*rows.shape, N), cosines.reshape(*rows.shape, N)


def _codes(
    model: Any, what: str, factors: np.ndarray, scale: np.ndarray, count: int
) -> kernels.NormOrder | None:
    """Codes of scaled factors, kept where it is a few lists again; None: the kernel may see to
    itself."""
    if count > kernels.FEW_QUERIES or not kernels.can_code(factors):
        return None
    if not asked_before(model, what, factors):
        return None
    threads = model.num_threads

    def made() -> kernels.NormOrder:
        return kernels.NormOrder(codes=kernels.code(factors, item_scale=scale, num_threads=threads))

    return model._once(f"codes of {what}", factors, made)
