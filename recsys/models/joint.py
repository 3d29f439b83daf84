"""Training factors together with what features say of them.

In the middle of a training x_u is drawn to c + W'f_u in place of zero, and W goes after the x_u:
see recsys/kernels/feature_prior.py for the objective. The first iterations are made without, so
that there is something to choose kappa by; what W begins with, the ridge of their factors, lowers
the objective, of which the plain one is the case W = 0 and c = 0. Momentum is of the items alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import csr, kernels
from recsys.models import ridge
from recsys.models.strength import chosen_strength

if TYPE_CHECKING:
    from scipy import sparse

    from recsys.kernels import FeaturePrior
    from recsys.models.features import Matched


class Priors:
    """What the users and items of a fit are drawn to; see the module.

    Parameters
    ----------
    model : a model that `fit` trains
    features : Mapping
        Of "users", of "items", what `fit` was given.
    rows : Mapping
        Of either side, the entries, by its rows, and what draws each of these, lambda_u.
    plain : int
        Iterations without, at first.
    continues : bool
        Whether the model has been trained already.
    """

    def __init__(
        self,
        model: Any,
        features: Mapping[str, Matched],
        rows: Mapping[str, tuple[sparse.csr_array, np.ndarray]],
        plain: int,
        continues: bool,
    ) -> None:
        self._model, self._features, self._rows = model, features, rows
        self._left = 0 if continues else plain
        self._known = model._features if continues else {}
        self._learned: dict[str, FeaturePrior] = {}

    def __bool__(self) -> bool:
        """Whether there are features at all."""
        return bool(self._features)

    def of(self, side: str) -> FeaturePrior | None:
        """What a half-sweep of this side is given."""
        return self._learned.get(side)

    def empty(self, side: str) -> np.ndarray:
        """The rows of a side with features that nothing but these tells of."""
        if side not in self._features:
            return np.empty(0, np.int64)
        return np.flatnonzero(np.diff(self._rows[side][0].indptr) == 0)

    def iterate(self, current: Mapping[str, kernels.Factors]) -> None:
        """Another iteration begins, from these factors."""
        self._left -= 1
        if self._left < 0 and not self._learned:
            self._learned = {side: self._begun(side, current) for side in self._features}

    def learn(self, current: Mapping[str, kernels.Factors]) -> None:
        """Take W after the factors."""
        for side, prior in self._learned.items():
            prior.learn(current[side])

    def go_back(self) -> None:
        """Undo what was learned last."""
        for prior in self._learned.values():
            prior.go_back()

    def penalty(self) -> float:
        """What the objective has more than a plain one."""
        return sum(prior.penalty() for prior in self._learned.values())

    def means(self, side: str) -> kernels.Factors | None:
        """What the rows are drawn to, all alike strongly; None where there are no features."""
        prior = self._learned.get(side)
        return None if prior is None else prior.means()

    def ridges(self) -> dict[str, ridge.Ridge]:
        """What is learned of each side, in arrays that are not written to."""
        return {
            side: ridge.Ridge(*prior.weights, prior.strength)
            for side, prior in self._learned.items()
        }

    def _begun(self, side: str, current: Mapping[str, kernels.Factors]) -> FeaturePrior:
        model, rows = self._model, current[side]
        dtype = rows.factors.dtype
        entries, weights = self._rows[side]
        matrix = csr.take_rows(self._features[side].matrix, np.arange(len(weights)))
        known = self._known.get(side)
        strength = model.feature_regularization
        if strength is None and known is not None:
            strength = known.ridge.strength
        if strength is None:
            other = "items" if side == "users" else "users"
            strength = chosen_strength(model, side, matrix, rows, current[other], entries)
        drawn = np.where(np.diff(entries.indptr) > 0, weights, 0.0)
        prior = kernels.FeaturePrior(matrix, drawn, strength, dtype, model.num_threads)
        prior.start(rows, None if known is None else known.ridge.weights)
        model._log(
            "draws %s to what %d features say: feature_regularization %g",
            side, matrix.shape[1], strength,
        )  # fmt: skip
        return prior
