"""What an evaluation found, how sure that is, and which of two models is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from recsys import checks
from recsys.tables import aligned, html_table


class Difference(NamedTuple):
    """How one metric differs between two models, user by user.

    Attributes
    ----------
    mean : float
        Mean over users of the first model's value minus the second's.
    standard_error : float
        Of that mean; NaN for a single user.
    low, high : float
        Its bootstrap confidence interval.
    p_value : float
        Of the two-sided paired t-test; 1 where no user differs, NaN for a single user.
    """

    mean: float
    standard_error: float
    low: float
    high: float
    p_value: float

    def __repr__(self) -> str:
        return (
            f"Difference({self.mean:+.4f} ±{self.standard_error:.4f}, interval {self.low:+.4f} to "
            f"{self.high:+.4f}, p={self.p_value:.2g})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The metrics of one model; keys are such as ``"ndcg@10"``.

    Attributes
    ----------
    users : ndarray of int64, shape (n,)
        The users that were evaluated, ascending.
    per_user : dict of ndarray of float64, shape (n,)
        Their values, in the order of `users`.
    overall : dict of float
        Metrics of all lists together.
    n_without_test : int
        Users left out because they have no test item.
    n_unseen_items : int
        Relevant items that nobody has in the training matrix; no such item can be learnt.
    n_cut_ties : int or None
        Users whose longest list was cut through a tie: the order of ties decides what they get,
        which is a hash or chance. None where ties were left to the model.
    n_without_history : int, default 0
        Users left out as they have no entry in the training matrix (``unknown="skip"``).
    """

    users: np.ndarray
    per_user: Mapping[str, np.ndarray]
    overall: Mapping[str, float]
    n_without_test: int
    n_unseen_items: int
    n_cut_ties: int | None
    n_without_history: int = 0

    @property
    def mean(self) -> dict[str, float]:
        """The mean over users of every metric that has a value a user."""
        return {key: float(values.mean()) for key, values in self.per_user.items()}

    @property
    def standard_error(self) -> dict[str, float]:
        """The standard error of each mean, sd / sqrt(n), over users; NaN for a single user."""
        return {key: _standard_error(values) for key, values in self.per_user.items()}

    def interval(
        self, confidence: float = 0.95, *, n_resamples: int = 1000, random_state: Any = 0
    ) -> dict[str, tuple[float, float]]:
        """Bootstrap confidence interval of each mean: percentiles of resampled users.

        Parameters
        ----------
        confidence : float, default 0.95
            Between 0 and 1.
        n_resamples : int, default 1000
            How many times as many users are drawn, with replacement.
        random_state : default 0
            Seed, as elsewhere in recsys.

        Returns
        -------
        dict of (low, high)
        """
        bounds = _bootstrap(list(self.per_user.values()), confidence, n_resamples, random_state)
        return dict(zip(self.per_user, bounds, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Everything but the values of single users, in plain Python numbers: ready for JSON."""
        return {
            "mean": self.mean,
            "standard_error": self.standard_error,
            "overall": dict(self.overall),
            "n_users": len(self.users),
            "n_without_test": self.n_without_test,
            "n_unseen_items": self.n_unseen_items,
            "n_cut_ties": self.n_cut_ties,
            "n_without_history": self.n_without_history,
        }

    def table(self) -> str:
        """One row a metric, one column a k: the mean and its standard error."""
        return aligned(self._rows())

    def _repr_html_(self) -> str:
        return html_table(self._rows())

    def _rows(self) -> list[list[str]]:
        errors = self.standard_error
        cells = {key: f"{mean:.4f} ±{errors[key]:.4f}" for key, mean in self.mean.items()}
        cells |= {key: f"{value:.4f}" for key, value in self.overall.items()}
        names = list(dict.fromkeys(key.rpartition("@")[0] for key in cells))
        cuts = sorted({int(key.rpartition("@")[2]) for key in cells})
        head = [f"{len(self.users)} users", *(f"@{cut}" for cut in cuts)]
        return [head, *([name, *(cells[f"{name}@{cut}"] for cut in cuts)] for name in names)]

    def __repr__(self) -> str:
        values = {**self.mean, **self.overall}
        shown = ", ".join(f"{key}={value:.4f}" for key, value in values.items())
        return f"Evaluation({len(self.users)} users: {shown})"


def compare(
    first: Evaluation,
    second: Evaluation,
    confidence: float = 0.95,
    *,
    n_resamples: int = 1000,
    random_state: Any = 0,
) -> dict[str, Difference]:
    """The difference of two models on the same users, for each metric both were measured by.

    Pairing the values user by user takes out that some users are easier than others, so that much
    smaller differences show than by looking at whether two intervals overlap.

    Parameters
    ----------
    first, second : Evaluation
        With the same test matrix.
    confidence, n_resamples, random_state
        As in `Evaluation.interval`.

    Returns
    -------
    dict of Difference
        Positive means where `first` is higher. With many metrics some p-values are small by
        chance.

    Raises
    ------
    ValueError
        Other users were evaluated, or no metric is in both.
    """
    if not np.array_equal(first.users, second.users):
        raise ValueError(
            f"the evaluations are of {len(first.users)} and {len(second.users)} users who are not "
            "the same; expected both with one test matrix"
        )
    shared = [key for key in first.per_user if key in second.per_user]
    if not shared:
        raise ValueError(
            f"no metric is in both evaluations: {', '.join(first.per_user)}; "
            f"{', '.join(second.per_user)}. Evaluate both with the same metrics and k"
        )
    gaps = [first.per_user[key] - second.per_user[key] for key in shared]
    bounds = _bootstrap(gaps, confidence, n_resamples, random_state)
    return {
        key: Difference(float(gap.mean()), _standard_error(gap), low, high, _p_value(gap))
        for key, gap, (low, high) in zip(shared, gaps, bounds, strict=True)
    }


def _standard_error(values: np.ndarray) -> float:
    if len(values) < 2:
        return float("nan")
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _p_value(gap: np.ndarray) -> float:
    from scipy.special import stdtr

    error = _standard_error(gap)
    if error == 0:
        return float(gap[0] == 0)
    return float(2 * stdtr(len(gap) - 1, -abs(gap.mean()) / error))


def _bootstrap(
    values: list[np.ndarray], confidence: float, n_resamples: int, random_state: Any
) -> list[tuple[float, float]]:
    """Percentiles of the means of users drawn with replacement, the same users for all `values`."""
    checks.number("confidence", confidence, above=0, below=1)
    checks.integer("n_resamples", n_resamples, 1)
    rng = checks.random_generator(random_state)
    table = np.stack(values) if values else np.empty((0, 1))
    n = table.shape[1]
    means = np.empty((n_resamples, len(table)))
    for resample in means:
        times = np.bincount(rng.integers(n, size=n), minlength=n)
        resample[:] = table @ times / n
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))
