"""Every metric of recsys.evaluation once more: one user at a time, with sets and sums."""

from math import log2


def user_values(items, relevant, k, n_items, seen=()):
    """{name: value} for one list (-1 in empty places) and one set of relevant items."""
    listed = [(place, item) for place, item in enumerate(items[:k], 1) if item >= 0]
    places = [place for place, item in listed if item in relevant]
    best, total = min(k, len(relevant)), len(relevant)
    precisions = sum((i + 1) / place for i, place in enumerate(places))
    gain = sum(1 / log2(place + 1) for place in places)
    return {
        "precision": len(places) / k,
        "recall": len(places) / total,
        "capped_recall": len(places) / best,
        "hit_rate": float(len(places) > 0),
        "map": precisions / best,
        "map_relevant": precisions / total,
        "map_hits": precisions / len(places) if places else 0.0,
        "ndcg": gain / sum(1 / log2(place + 1) for place in range(1, best + 1)),
        "mrr": 1 / places[0] if places else 0.0,
        "auc": _auc(listed, relevant, set(range(n_items)) - (set(seen) - relevant)),
        "auc_catalogue": _auc(listed, relevant, set(range(n_items))),
    }


def _auc(listed, relevant, candidates):
    """Over all pairs; items that are not listed share the place after the list."""
    after = max([place for place, _ in listed], default=0) + 1
    place_of = {item: after for item in candidates} | {item: place for place, item in listed}
    others = candidates - relevant
    if not others:
        return 1.0
    pairs = [(place_of[good], place_of[other]) for good in relevant for other in others]
    return sum(1.0 if a < b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)


def overall_values(lists, relevant, k, n_items):
    """{name: value} for all lists together."""
    exposure = [sum(item in list(own[:k]) for own in lists) for item in range(n_items)]
    spread = sum(abs(a - b) for a in exposure for b in exposure)
    hits = sum(len(set(own[:k]) & goal) for own, goal in zip(lists, relevant, strict=True))
    return {
        "coverage": sum(count > 0 for count in exposure) / n_items,
        "gini": spread / (2 * n_items * sum(exposure)) if sum(exposure) else 0.0,
        "micro_capped_recall": hits / sum(min(k, len(goal)) for goal in relevant),
    }
