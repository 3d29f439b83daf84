"""Lists by inner products of factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import csr, kernels
from recsys.models import boost
from recsys.models.ids import Lists
from recsys.models.selection import Choice

if TYPE_CHECKING:
    from scipy import sparse


def lists(
    model: Any,
    users: np.ndarray,
    counts: sparse.csr_array | None,
    rows: np.ndarray,
    choice: Choice,
    N: int,
    *,
    filter_seen: bool,
    fold_in: bool,
) -> Lists:
    """`Model._lists` of a FactorModel."""
    skip = None
    if filter_seen:
        seen = model._remembered() if counts is None else counts
        skip = seen.indptr, seen.indices
    items = scored_items(model)
    # where an index answers, no order of items helps it
    ordered = choice.among is None and model._topk is kernels.topk
    order = norm_order(model, len(users)) if ordered else None

    limits = {"skip": skip, "banned": choice.banned, "num_threads": model.num_threads}

    def best(queries: np.ndarray, biases: np.ndarray | None, **rows: Any) -> Lists:
        lists, scores = model._topk(
            queries, items, N, among=choice.among, order=order, **limits, **rows
        )
        if model._boost > 1:

            def of_new(new: np.ndarray) -> Lists:
                plain = model._once("plain", items, lambda: _scored(model))
                return model._topk(queries, plain, N, among=new, **limits, **rows)

            new = model._features["items"].rows
            lists, scores = boost.mended((lists, scores), new, model._boost, of_new, choice.among)
        if biases is not None:
            scores += (biases + biases.dtype.type(model._mean))[:, np.newaxis]
        elif model._mean:
            scores += model._mean
        return lists, scores

    if not fold_in:
        biases = None if model._user_biases is None else model._user_biases[users]
        return best(model._user_factors, biases, rows=users, skip_rows=rows)
    lists, scores = np.empty((len(rows), N), np.int32), np.empty((len(rows), N), items.dtype)
    for at in kernels.query_blocks(len(rows)):
        folded = model._fold(csr.take_rows(counts, rows[at]))
        lists[at], scores[at] = best(*folded, skip_rows=rows[at])
    return lists, scores


def scored_items(model: Any) -> np.ndarray:
    """What items have that lists go by: factors, and their biases as one more column."""
    factors = model._factors("_item_factors")
    if model._boost != 1:
        return model._once("scored", factors, lambda: boost.boosted(model, _scored(model)))
    if model._item_biases is None:
        return factors
    return model._once("scored", factors, lambda: _scored(model))


def _scored(model: Any) -> np.ndarray:
    factors, biases = model._item_factors, model._item_biases
    return factors if biases is None else np.column_stack([factors, biases])


def norm_order(model: Any, n_users: int) -> kernels.NormOrder | None:
    """What spares the kernel work: with codes where it is a few users again."""
    items = scored_items(model)
    codes = n_users <= kernels.FEW_QUERIES
    if codes and not asked_before(model, "scored items", items):
        return None
    norms = model._norms("scored items", items)
    threads = model.num_threads

    def made() -> kernels.NormOrder:
        return kernels.norm_order(items, norms, codes=codes, num_threads=threads)

    return model._once("order and codes" if codes else "order", items, made)


def asked_before(model: Any, what: str, factors: np.ndarray) -> bool:
    """Whether these factors have been asked here before. Codes, which a few lists profit from, take
    as long to make as dozens of lists: the first call does without, as there may be no other."""
    key = f"asked before of {what}"
    asked = model._once(key, factors, lambda: False)
    model._prepared[key] = factors, True
    return asked
