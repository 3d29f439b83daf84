"""What a type checker knows of the public names: mypy reads this file, nothing runs it."""

from typing import Any, assert_type

import numpy as np
from scipy import sparse

import recsys
from recsys import evaluation, tuning

plays = sparse.csr_array(np.eye(4))
Lists = tuple[np.ndarray, np.ndarray]

# ---- models ------------------------------------------------------------------------------------

model = recsys.ImplicitALS(factors=8, regularization=0.1, random_state=0)
assert_type(model.fit(plays), recsys.ImplicitALS)
assert_type(recsys.BPR().fit(plays, show_progress=False), recsys.BPR)
assert_type(recsys.ItemNeighbors(k=3).fit(plays), recsys.ItemNeighbors)
assert_type(model.set_params(factors=4), recsys.ImplicitALS)
assert_type(model.get_params(), dict[str, Any])
assert_type(model.recommend(0), Lists)
assert_type(model.recommend([0, 1], N=3, filter_seen=False), Lists)
assert_type(model.similar_items(0), Lists)
assert_type(model.score(0, 1), np.ndarray)
assert_type(model.user_factors, np.ndarray)
assert_type(model.user_biases, np.ndarray | None)
assert_type(model.best_iteration, int | None)
assert_type(model.history[0].seconds, float)
assert_type(model.explain(0, 1), tuple[float, np.ndarray, np.ndarray])
assert_type(recsys.ExplicitALS().predict(0, 1), np.ndarray)
assert_type(recsys.ExplicitALS().rmse(plays), float)
recsys.load("model").recommend(0)

model.recommend("everybody", M=3)  # type: ignore[call-arg]
recsys.ImplicitALS(facters=8)  # type: ignore[call-arg]
recsys.ImplicitALS(factors="many")  # type: ignore[arg-type]
model.fit(plays, np.ones(4))  # type: ignore[arg-type]
model.recomend(0)  # type: ignore[attr-defined]

# ---- what `import recsys` reaches --------------------------------------------------------------

train, test = evaluation.random_split(plays)
result = recsys.evaluation.evaluate(model, train, test, "ndcg", k=10)
assert_type(result, evaluation.Evaluation)
assert_type(result.mean, dict[str, float])
assert_type(recsys.evaluation.FoldInScorer("ndcg@10")(model, plays), float)
assert_type(recsys.tuning.tune(recsys.ImplicitALS, train, test), tuning.TuningResult)
assert_type(recsys.datasets.read_interactions("plays.csv").user_items.shape[0], Any)
recsys.datasets.read_interaction("plays.csv")  # type: ignore[attr-defined]
recsys.evaluations  # type: ignore[attr-defined]  # noqa: B018
