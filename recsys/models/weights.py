"""How much cells without an entry and large factors weigh, and where biases start, by the data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys import checks
from recsys.models.training import NotFittedError

if TYPE_CHECKING:
    from scipy import sparse


class Weights(NamedTuple):
    """lambda, nu and w0 of an objective, as `kernels.make_sides` takes them."""

    regularization: float
    exponent: float
    unobserved: float


class Parameters(NamedTuple):
    """The same as they may be asked for; None: whatever goes with the others."""

    regularization: float | None
    exponent: float | None
    unobserved: float | None

    def with_plain_lambda(self) -> Weights:
        """With `regularization` given: the objective of Hu, Koren and Volinsky, but for what else
        is given."""
        exponent = 0.0 if self.exponent is None else self.exponent
        unobserved = 1.0 if self.unobserved is None else self.unobserved
        return Weights(self.regularization, exponent, unobserved)

    def by_data(self, signed: sparse.csr_array) -> Weights:
        """Without `regularization`: by statistics of signed confidences, users x items.

        With m users and n items that have entries, d the share of their cells that are stored and
        c the mean confidence of these::

            w0     = c sqrt(d)
            lambda = c sqrt(d) (sqrt(m) + sqrt(n)) / 2 / (s_users s_items)^(nu / 2)

        nu being 1, and s the mean of ``n_u + w0 n_items`` and of ``n_i + w0 n_users``, by whose
        power nu the kernels multiply lambda. sqrt(d) (sqrt(m) + sqrt(n)) bounds the largest
        singular value of what is left of m x n cells, a share d of them 1 at random, when their
        mean is taken off (Vershynin, "High-Dimensional Probability", 2018, section 4.4). In least
        squares over all cells a lambda of that size leaves no factor to such noise. That half of it
        is best, and w0, are from data (docs/defaults.md).
        """
        there = np.zeros(signed.shape[1], bool)
        there[signed.indices] = True
        m, n = int(np.count_nonzero(np.diff(signed.indptr))), int(np.count_nonzero(there))
        if not m:
            return self.or_else(Weights(1.0, 1.0, 1.0))
        stored = float(np.mean(np.abs(signed.data), dtype=np.float64))
        root = math.sqrt(signed.nnz / (m * n))
        exponent = 1.0 if self.exponent is None else self.exponent
        w0 = stored * root if self.unobserved is None else self.unobserved
        s_users = signed.nnz / m + w0 * signed.shape[1]
        s_items = signed.nnz / n + w0 * signed.shape[0]
        noise = stored * root * (math.sqrt(m) + math.sqrt(n))
        lambda_ = noise / 2 / (s_users * s_items) ** (exponent / 2)
        return Weights(lambda_, exponent, w0)

    def or_else(self, others: Weights) -> Weights:
        """What is given, and the others."""
        given = {name: value for name, value in self._asdict().items() if value is not None}
        return others._replace(**given)


def mean_preference(signed: sparse.csr_array, unobserved: float) -> float:
    """The mean of preferences over all cells, weighted as these are: sum w p / sum w."""
    liked = float(np.sum(signed.data, where=signed.data > 0, dtype=np.float64))
    stored = float(np.sum(np.abs(signed.data), dtype=np.float64))
    others = unobserved * (signed.shape[0] * signed.shape[1] - signed.nnz)
    return liked / (stored + others) if liked else 0.0


def independent_biases(signed: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Biases, in double, of users and items that are independent of each other."""
    likes = signed.astype(np.float64)
    likes.data = np.maximum(likes.data, 0)
    one = likes.data.sum() / max(1, np.count_nonzero(likes.data)) or 1.0
    sums = likes.sum(axis=1) + one, likes.sum(axis=0) + one
    users, items = (np.log(of_side / of_side.mean()) for of_side in sums)
    return users + np.log(max(likes.data.sum(), one) / math.prod(likes.shape)), items


def not_chosen() -> NotFittedError:
    """The error where `regularization` is None and no fit has chosen one."""
    return NotFittedError(
        "regularization=None is chosen from the data by fit, which this model has not been "
        "through: pass regularization, or fit it"
    )


def from_file(header: dict[str, Any]) -> Weights | None:
    """Those that a model file has, checked; None: it has none.

    Raises
    ------
    TypeError, ValueError
        They are no such numbers.
    """
    if header.get("weights") is None:
        return None
    weights = Weights(*(checks.number("weights", each) for each in header["weights"]))
    checks.number("weights", weights.regularization, least=0)
    checks.number("weights", weights.unobserved, least=0)
    return weights
