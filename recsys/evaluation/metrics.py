"""Metrics at k, each with its formula.

T are a user's relevant items; h_i is 1 if place i of the list is a hit, else 0. Places are counted
from 1. A list shorter than k counts as followed by empty places, which are never hits. Those of
`USER_METRICS` give one value a user, those of `OVERALL_METRICS` one value for all lists together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from recsys import checks, csr

from .lists import Judged

_LARGEST_GRADE = 100  # 2^100 is far from what stars mean, and from what float64 holds


class Totals(NamedTuple):
    """What all lists together come to, cut at one k.

    Attributes
    ----------
    exposure : ndarray of int64, shape (n_items,)
        In how many lists each item is.
    hits : int
        Hits in all lists.
    attainable : int
        Hits of perfect lists: the sum of ``min(k, |T|)``.
    """

    exposure: np.ndarray
    hits: int
    attainable: int

    def plus(self, more: Totals) -> Totals:
        """Those of all lists of both."""
        return Totals(
            self.exposure + more.exposure,
            self.hits + more.hits,
            self.attainable + more.attainable,
        )


# ---- one value a user --------------------------------------------------------------------------


def precision(judged: Judged, k: int) -> np.ndarray:
    """sum_{i<=k} h_i / k."""
    return _hits(judged, k).sum(axis=1) / k


def recall(judged: Judged, k: int) -> np.ndarray:
    """sum_{i<=k} h_i / |T|: cannot reach 1 where |T| > k.

    The denominator of the LightGCN line of papers (He et al., SIGIR 2020).
    """
    return _hits(judged, k).sum(axis=1) / judged.n_relevant


def capped_recall(judged: Judged, k: int) -> np.ndarray:
    """sum_{i<=k} h_i / min(k, |T|): 1 for a perfect list.

    The "Recall@k" of Liang et al., "Variational Autoencoders for Collaborative Filtering" (WWW
    2018), and of the papers that follow its protocol.
    """
    return _hits(judged, k).sum(axis=1) / _attainable(judged, k)


def hit_rate(judged: Judged, k: int) -> np.ndarray:
    """1 if any of the first k places is a hit, else 0."""
    return np.asarray(_hits(judged, k).any(axis=1), np.float64)


def average_precision(judged: Judged, k: int) -> np.ndarray:
    """sum_{i<=k} h_i P_i / min(k, |T|), P_i = sum_{j<=i} h_j / i. Its mean over users is MAP."""
    return _summed_precision(judged, k) / _attainable(judged, k)


def average_precision_relevant(judged: Judged, k: int) -> np.ndarray:
    """`average_precision` with the denominator |T|, as trec_eval's ``map_cut``."""
    return _summed_precision(judged, k) / judged.n_relevant


def average_precision_hits(judged: Judged, k: int) -> np.ndarray:
    """`average_precision` with the denominator sum_{i<=k} h_i; 0 without a hit.

    Misses at the end of the list cost nothing, so it says little about how many items are found.
    """
    return _summed_precision(judged, k) / np.maximum(_hits(judged, k).sum(axis=1), 1)


def ndcg(judged: Judged, k: int) -> np.ndarray:
    """DCG / IDCG with DCG = sum_{i<=k} h_i / log2(i + 1), IDCG = sum_{i<=min(k,|T|)} 1 / log2(i+1).

    Binary gain; the ideal list is cut where the list is. Jaervelin and Kekaelaeinen, "Cumulated
    Gain-Based Evaluation of IR Techniques" (TOIS 2002), with the discount log2(i + 1).
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    hits = _hits(judged, k)
    return hits @ discount[: hits.shape[1]] / np.cumsum(discount)[_attainable(judged, k) - 1]


def reciprocal_rank(judged: Judged, k: int) -> np.ndarray:
    """1 / the place of the first hit; 0 if it is not among the first k. Its mean is MRR."""
    hits = _hits(judged, k)
    return np.where(hits.any(axis=1), 1 / (1 + np.argmax(hits, axis=1)), 0.0)


def auc(judged: Judged, k: int) -> np.ndarray:
    """Share of pairs of a relevant and another candidate that are in the right order.

    Candidates are the items that were not seen, and the relevant ones. What is not among the
    first k places comes after them, tied: such pairs count a half. So with H hits, M misses and
    n = n_candidates - |T|: (sum_{misses} hits before it + (n - M) (H + |T|) / 2) / (|T| n); 1
    where n = 0. It is the area under the ROC curve where the list holds all candidates.
    """
    return _auc(judged, k, judged.n_candidates)


def auc_catalogue(judged: Judged, k: int) -> np.ndarray:
    """`auc` with all items as candidates, seen ones included: they come in easily, at the end."""
    return _auc(judged, k, judged.n_items)


def novelty(judged: Judged, k: int) -> np.ndarray:
    """Mean self-information of the items in the first k places; 0 for an empty list.

    Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems" (PNAS
    2010).
    """
    if judged.information is None:
        raise ValueError("novelty needs judge(..., information=self_information(train))")
    listed = judged.items[:, :k]
    there = listed >= 0
    total = np.where(there, judged.information[listed], 0).sum(axis=1)
    return total / np.maximum(there.sum(axis=1), 1)


def ndcg_linear(judged: Judged, k: int) -> np.ndarray:
    """`ndcg` with the gain of a hit being its value r in test: DCG = sum_{i<=k} r_i / log2(i + 1).

    The ideal list is that of the k highest values of the user. Järvelin and Kekäläinen (TOIS 2002).
    """
    return _graded(judged, k, lambda values: values)


def ndcg_exponential(judged: Judged, k: int) -> np.ndarray:
    """`ndcg_linear` with the gain ``2^r - 1``, for grades such as stars; ValueError for values too
    large for it.

    Burges et al., "Learning to Rank using Gradient Descent" (ICML 2005).
    """

    def gain(values: np.ndarray) -> np.ndarray:
        if values.max(initial=0.0) > _LARGEST_GRADE:
            raise ValueError(
                f"ndcg_exponential is for grades up to {_LARGEST_GRADE}; test holds "
                f"{values.max():g}: use ndcg_linear, or ndcg of counts"
            )
        return np.exp2(values) - 1

    return _graded(judged, k, gain)


def diversity(judged: Judged, k: int) -> np.ndarray:
    """Mean of 1 - cosine over the pairs of the first k items (intra-list distance); 0 of fewer than
    two. Cosines are those of item features, or of item factors.

    Ziegler et al., "Improving Recommendation Lists Through Topic Diversification" (WWW 2005).
    """
    if judged.vectors is None:
        raise ValueError("diversity needs judge(..., vectors=unit_vectors(features, n_items))")
    listed = judged.items[:, :k]
    there = listed >= 0
    rows = np.append(0, np.cumsum(there.sum(axis=1)))
    chosen = csr.assemble(
        np.ones(int(there.sum())), listed[there], rows, (len(listed), judged.n_items)
    )
    total = chosen @ judged.vectors
    squares = judged.vectors * judged.vectors  # entries, of arrays as of csr_arrays
    own = chosen @ np.asarray(squares.sum(axis=1)).reshape(-1)
    together = np.asarray((total * total).sum(axis=1)).reshape(-1) - own
    count = np.diff(rows)
    return np.where(count > 1, 1 - together / np.maximum(count * (count - 1), 1), 0.0)


def _graded(judged: Judged, k: int, gain: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    grades, hits = judged.grades, _hits(judged, k)
    if grades is None:
        raise ValueError("graded metrics need lists that `judge` has made")
    discount = 1 / np.log2(np.arange(2, max(hits.shape[1], k) + 2))
    rows, places = np.nonzero(hits)
    keys = csr.entry_keys(grades, slice(0, len(hits)))
    wanted = rows * np.int64(grades.shape[1]) + judged.items[rows, places]
    values = gain(grades.data[np.searchsorted(keys, wanted)].astype(np.float64))
    gained = np.bincount(rows, values * discount[places], len(hits))
    owner, gains = csr.entry_rows(grades), gain(grades.data.astype(np.float64))
    order = np.lexsort((-gains, owner))
    place = np.arange(len(owner)) - np.repeat(grades.indptr[:-1], np.diff(grades.indptr))
    first = place < k
    ideal = np.bincount(
        owner[first], gains[order][first] * discount[place[first]], minlength=len(hits)
    )
    return gained / ideal


# ---- one value for all lists -------------------------------------------------------------------


def coverage(totals: Totals) -> float:
    """Share of the catalogue that is in at least one list."""
    return float(np.count_nonzero(totals.exposure) / len(totals.exposure))


def gini(totals: Totals) -> float:
    """Gini coefficient of the exposure x of the items: 0 if all are equally often in lists.

    sum_i (2 i - n - 1) x_(i) / (n sum x), with x_(i) ascending over all n items of the catalogue;
    (n - 1) / n where all lists hold a single item, 0 where all are empty.
    """
    n, total = len(totals.exposure), totals.exposure.sum()
    weights = 2 * np.arange(1, n + 1) - n - 1
    return float(weights @ np.sort(totals.exposure) / (n * max(total, 1)))


def micro_capped_recall(totals: Totals) -> float:
    """sum_users hits / sum_users min(k, |T|): users weigh as much as hits they could have.

    What implicit calls precision.
    """
    return totals.hits / totals.attainable


USER_METRICS: dict[str, Callable[[Judged, int], np.ndarray]] = {
    "precision": precision,
    "recall": recall,
    "capped_recall": capped_recall,
    "hit_rate": hit_rate,
    "map": average_precision,
    "map_relevant": average_precision_relevant,
    "map_hits": average_precision_hits,
    "ndcg": ndcg,
    "mrr": reciprocal_rank,
    "auc": auc,
    "auc_catalogue": auc_catalogue,
    "novelty": novelty,
    "ndcg_linear": ndcg_linear,
    "ndcg_exponential": ndcg_exponential,
    "diversity": diversity,
}
OVERALL_METRICS: dict[str, Callable[[Totals], float]] = {
    "coverage": coverage,
    "gini": gini,
    "micro_capped_recall": micro_capped_recall,
}


ERRORS = ("rmse", "mae")  # of ratings: the lower, the better


def check_metric(metric: str, rates: bool) -> None:
    """ValueError unless `metric` can be measured of a model whose scores are ratings, or not."""
    name, at, cut = metric.partition("@") if isinstance(metric, str) else ("", "", "")
    if name in ERRORS and not at and rates:
        return
    if name in USER_METRICS and cut.isdecimal() and int(cut) > 0:
        return
    expected = f"one of {', '.join(USER_METRICS)} with a length of the lists, such as 'ndcg@10'"
    if rates:
        expected += ", or 'rmse' or 'mae'"
    if name in ERRORS and not rates:
        expected += "; errors of ratings are for ExplicitALS and ExplicitSGD"
    elif name in OVERALL_METRICS:
        expected += f"; {name} is of all lists together, and says nothing of how good they are"
    options = [*(f"{each}@10" for each in USER_METRICS), *ERRORS]
    hint = checks.nearest(name.lower() if name in ERRORS else f"{name.lower()}@10", options)
    raise ValueError(f"metric must be {expected}; got {metric!r}{hint}")


def totals_of(judged: Judged, k: int) -> Totals:
    """The totals of some lists; those of several blocks of users add up."""
    listed = judged.items[:, :k]
    exposure = np.bincount(listed[listed >= 0], minlength=judged.n_items)
    return Totals(exposure, int(_hits(judged, k).sum()), int(_attainable(judged, k).sum()))


def _hits(judged: Judged, k: int) -> np.ndarray:
    return judged.hits[:, : checks.integer("k", k, 1)]


def _attainable(judged: Judged, k: int) -> np.ndarray:
    return np.minimum(judged.n_relevant, k)


def _summed_precision(judged: Judged, k: int) -> np.ndarray:
    hits = _hits(judged, k)
    at = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return np.where(hits, at, 0).sum(axis=1)


def _auc(judged: Judged, k: int, n_candidates: np.ndarray | int) -> np.ndarray:
    hits, n_relevant = _hits(judged, k), judged.n_relevant
    misses = (judged.items[:, :k] >= 0) & ~hits
    right = np.where(misses, np.cumsum(hits, axis=1), 0).sum(axis=1)
    found, missed = hits.sum(axis=1), misses.sum(axis=1)
    # Never fewer than the misses: a model that lists seen items has more than there should be.
    others = np.maximum(n_candidates - n_relevant, missed)
    right = right + (others - missed) * (found + n_relevant) / 2
    return np.where(others > 0, right / np.maximum(n_relevant * others, 1), 1.0)
