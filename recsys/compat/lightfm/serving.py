"""A model of recsys from what a LightFM has learned."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys import BPR, Interactions, LogisticMF
from recsys.interactions import Ids
from recsys.models import internal

_NAMES = ("user", "item")


def servable(
    model: Any,
    users: tuple[np.ndarray, np.ndarray],
    items: tuple[np.ndarray, np.ndarray],
    dataset: Any,
    interactions: Any,
) -> BPR | LogisticMF:
    """What `LightFM.to_recsys` gives, of the biases and embeddings of both sides."""
    ids = None if dataset is None else _ids(dataset, len(users[0]), len(items[0]))
    (user_biases, user_factors), (item_biases, item_factors) = users, items
    served: Any
    if model.loss == "logistic":
        served = LogisticMF(model.no_components, regularization=30.0, iterations=0)
        internal.start_from(
            served, user_factors, item_factors, user_biases=user_biases, item_biases=item_biases
        )
    else:
        loss = "bpr" if model.loss == "bpr" else "warp"
        served = BPR(model.no_components, loss=loss, epochs=0)
        internal.start_from(served, user_factors, item_factors, item_biases=item_biases)
    if ids is not None:
        internal.name_rows(served, *ids, _NAMES)
    if interactions is not None:
        seen = interactions.tocsr().astype(np.float32)
        if ids is not None:
            seen = Interactions.from_csr(seen, *ids)
        served.fit(seen, warm_start=True)
    return served


def _ids(dataset: Any, n_users: int, n_items: int) -> tuple[Ids, Ids]:
    """The ids of a Dataset in the order of their rows."""
    users, _, items, _ = dataset.mapping()
    for noun, known, rows in (("user", users, n_users), ("item", items, n_items)):
        if len(known) != rows:
            raise ValueError(
                f"the dataset has {len(known)} {noun}s and the model {rows} rows of them: pass "
                f"{noun}_features as in training"
            )
    return Ids.of(list(users)), Ids.of(list(items))
