"""`recsys.spark.ALS` in the place of pyspark's: Params, objective, ids, bad input, pipelines."""

from itertools import pairwise

import numpy as np
import pytest

from recsys import NotFittedError

pytest.importorskip("pyspark", reason="pyspark is not installed: [test-spark]")


def bits(sides):
    return [(ids, array.tobytes()) for ids, array in sides]


def objective(entries, sides, reg, alpha, implicit):
    """MLlib's, from its definition, in double, and its gradient by users, relative to its terms."""
    (users, x), (items, y) = ((ids, array.astype(np.float64)) for ids, array in sides)
    r = np.zeros((len(users), len(items)))
    for row in entries:
        r[users.index(row.user), items.index(row.item)] = row.rating
    weight = 1 + alpha * np.abs(r) if implicit else (r != 0).astype(float)
    target, counted = (r > 0, r > 0) if implicit else (r, r != 0)
    off = weight * (target - x @ y.T)
    lambdas = reg * counted.sum(1)
    loss = (off * (target - x @ y.T)).sum()
    loss += lambdas @ (x**2).sum(1) + reg * counted.sum(0) @ (y**2).sum(1)
    gradient = lambdas[:, np.newaxis] * x - off @ y
    return loss, np.abs(gradient).max() / np.abs((weight * target) @ y).max()


# ---- Params ------------------------------------------------------------------------------------


def test_params_are_those_of_pyspark_with_their_defaults(spark, als):
    from pyspark.ml.recommendation import ALS as Theirs

    from recsys.spark import ALS

    theirs, ours = Theirs(), ALS()
    for param in theirs.params:
        assert ours.hasParam(param.name), param.name
        setter, getter = (
            f"{verb}{param.name[0].upper()}{param.name[1:]}" for verb in ("set", "get")
        )
        assert callable(getattr(ours, setter)) and callable(getattr(ours, getter))
        if param.name != "seed":
            assert ours.getOrDefault(param.name) == theirs.getOrDefault(param), param.name
    assert ours.setNumBlocks(3).getNumUserBlocks() == 3 == ours.getNumItemBlocks()
    assert ours.setParams(rank=7).setRegParam(1).getRank() == 7
    copied = ours.copy({ours.rank: 9})
    assert copied.getRank() == 9 and ours.getRank() == 7 and copied.getRegParam() == 1.0


@pytest.mark.parametrize(
    "params, said",
    [
        ({"bias": True, "wire": "bfloat16"}, "too coarse for biases"),
        ({"itemCol": "user"}, "userCol and itemCol are both 'user'"),
        ({"rank": 0}, "rank must be at least 1"),
        ({"maxIter": -1}, "maxIter must be at least 0"),
        ({"regParam": -1.0}, "regParam must be"),
        ({"checkpointInterval": 0}, "checkpointInterval"),
        ({"coldStartStrategy": "zero"}, "unknown coldStartStrategy"),
        ({"finalStorageLevel": "DISK"}, "unknown finalStorageLevel"),
        ({"solver": "cholesk"}, "did you mean 'cholesky'"),
        ({"numWorkers": 99}, "Spark can run only 2 tasks"),
        ({"intermediateStorageLevel": "NONE"}, "must not be NONE"),
    ],
)
def test_what_cannot_be_honoured_is_refused(events, als, params, said):
    with pytest.raises((ValueError, NotImplementedError), match=said):
        als(**params).fit(events)


def test_names_that_no_param_has_are_refused(als):
    with pytest.raises(TypeError, match=r"no item_features: .*recsys\.ImplicitALS\(.*\)\.fit"):
        als(item_features=None)
    with pytest.raises(TypeError, match="no Param 'regparam'; did you mean 'regParam'"):
        als(regparam=1.0)
    with pytest.raises(TypeError, match="no Param 'ranks'; did you mean 'rank'"):
        als().setParams(rank=3, ranks=4)
    with pytest.raises(TypeError, match=r"no Param 'bogus'; there are .*maxIter, .*wire"):
        als(bogus=1)
    for name, meant in {
        "iterations": "maxIter", "n_iterations": "maxIter", "max_iter": "maxIter",
        "factors": "rank", "n_factors": "rank", "regularization": "regParam", "reg": "regParam",
        "lambda": "regParam", "random_state": "seed", "num_user_blocks": "numUserBlocks",
    }.items():  # fmt: skip
        with pytest.raises(TypeError, match=f"no Param '{name}'; did you mean '{meant}'"):
            als(**{name: 1})
    with pytest.raises(TypeError, match=r"no item_features: .*recsys\.ImplicitALS\(.*\)\.fit"):
        als().fit(None, item_features=None)
    with pytest.raises(TypeError, match="no Param 'factors'; did you mean 'rank'"):
        als().fit(None, factors=3)
    with pytest.raises(TypeError, match=r"got rank=: .*\{als\.rank: \.\.\.\}\), or ALS\(rank="):
        als().fit(None, rank=3)
    with pytest.raises(TypeError, match=r"got builtins\.dict: call spark\.createDataFrame"):
        als().fit({"user": [1], "item": [1], "rating": [1.0]})


# ---- what is learned ---------------------------------------------------------------------------


@pytest.mark.parametrize("implicit", [True, False])
def test_the_objective_is_mllibs(events, entries, als, factors, implicit):
    """The users that either finds last are where the gradient of one and the same formula is 0."""
    from pyspark.ml.recommendation import ALS as Theirs

    common = {"rank": 8, "maxIter": 2, "regParam": 0.1, "alpha": 5.0, "implicitPrefs": implicit}
    common |= {"numUserBlocks": 2, "numItemBlocks": 2, "seed": 1}
    ours = als(**common, computeLoss=True).fit(events)
    loss, gradient = objective(entries, factors(ours), 0.1, 5.0, implicit)
    assert gradient < 1e-4
    assert ours.summary.losses[-1] == pytest.approx(loss, rel=1e-5)
    sides = factors(Theirs(**common).fit(events))
    theirs, gradient = objective(entries, sides, 0.1, 5.0, implicit)
    assert gradient < 1e-4
    assert loss == pytest.approx(theirs, rel=0.25)  # two iterations from different starts


def test_the_bits_are_those_of_threads_without_spark(entries, model_factors, in_threads):
    """Whatever the number of tasks, with the same seed and blocks."""
    assert bits(model_factors) == bits(in_threads(entries)[0])


def test_the_shuffle_plane_gives_the_same_bits(
    events, entries, als, factors, in_threads, caplog, monkeypatch
):
    """With a lineage that is cut on the way, in more tasks than Spark can run at a time."""
    from recsys.spark.shuffle import ShuffleEngine

    run, lengths = ShuffleEngine._run, []
    conf, adaptive = events.sparkSession.conf, "spark.sql.adaptive.enabled"
    usual = conf.get(adaptive)

    def noting(engine, frame):
        reports = run(engine, frame)
        lengths.append(len(engine.made_by._jdf.queryExecution().toString()))
        return reports

    monkeypatch.setattr(ShuffleEngine, "_run", noting)
    estimator = als(plane="shuffle", numWorkers=3, computeLoss=True, maxIter=3)
    conf.set(adaptive, "true")
    try:
        with caplog.at_level("INFO", "recsys"):
            found = estimator.fit(events)
        assert conf.get(adaptive) == "true"
    finally:
        conf.set(adaptive, usual)
    assert "(shuffle plane)" in caplog.text and "iteration 3: " in caplog.text
    assert lengths[-2] < 2 * lengths[-4]  # plans as text, of the same step of two iterations
    alone, report = in_threads(entries, iterations=3)
    assert found.summary.losses == report.losses
    assert bits(factors(found)) == bits(alone)


def test_one_task_gives_the_same_bits(events, als, factors, model_factors):
    assert bits(factors(als(numWorkers=1).fit(events))) == bits(model_factors)


def test_errors_of_a_step_are_raised_once(events, als):
    huge = events.selectExpr("user", "item", "rating * 1e37D rating")
    with pytest.raises((ValueError, FloatingPointError), match="alpha"):
        als(alpha=1000.0, plane="shuffle").fit(huge)


def test_further_params(events, als):
    estimator = als(computeLoss=True)
    maps = [
        {"solver": "cg", "wire": "bfloat16"},
        {
            "unobservedWeight": 0.1,
            "regularizationExponent": 1.0,
            "regParam": 0.002,
            "confidence": "log",
            "epsilon": 2.0,
        },
    ]
    by_param = [{estimator.getParam(name): each[name] for name in each} for each in maps]
    cg, weight = (found.summary.losses for found in estimator.fit(events, by_param))
    assert cg[-1] < cg[0] and weight[-1] < weight[0] and cg[-1] != weight[-1]


def test_biases_signs_and_momentum(biased, biased_factors):
    summary = biased.summary
    assert all(b <= a for a, b in pairwise(summary.losses)) and max(summary.momentum) > 0
    (_, x), (_, y) = biased_factors
    assert x.shape[1] == y.shape[1] == 10 and min(x[:, :8].min(), y[:, :8].min()) == 0
    assert (x[:, 9] == 1).all() and (y[:, 8] == 1).all() and y[:, 9].std() > 1e-3
    assert x[:, 8].mean() == pytest.approx(biased.getOrDefault("mean"), abs=0.2)


def test_entries_of_one_pair_are_added_up_and_signs_are_kept(spark, als, factors, in_threads):
    twice = spark.sql(
        "select * from values (0, 0, 1D), (0, 0, 2D), (1, 0, -1D), (1, 1, 4D) t(user, item, rating)"
    )
    once = [(1, 1, 4.0), (0, 0, 3.0), (1, 0, -1.0)]
    assert bits(factors(als(rank=2).fit(twice))) == bits(in_threads(once, rank=2)[0])


# ---- ids ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "user, item, type_of_items",
    [
        ("'user ' || user", "timestamp_seconds(item)", "timestamp"),
        ("cast(user as bigint) * 4294967296", "cast(item as double)", "bigint"),
    ],
)
def test_ids_of_any_type(events, entries, als, user, item, type_of_items):
    frame = events.selectExpr(f"{user} user", f"{item} item", "rating")
    model = als(maxIter=2).fit(frame)
    kind = frame.schema["user"].dataType
    assert model.userFactors.schema["id"].dataType == kind
    assert model.itemFactors.schema["id"].dataType.simpleString() == type_of_items
    scored = model.transform(frame).selectExpr("avg(prediction) a", "count(*) n").first()
    assert scored["n"] == len(entries) and 0.4 < scored["a"] < 1.2
    lists = model.recommendForUserSubset(frame.limit(3), 2)
    assert lists.schema["user"].dataType == kind
    some = lists.collect()
    assert 1 <= len(some) <= 3
    here = model.to_recsys()
    assert here.user_factors.shape == (len({row.user for row in entries}), 8)
    assert here.item_factors.shape == (len({row.item for row in entries}), 8)
    for row in some:
        best = here.recommend(row.user, N=2, filter_seen=False)[0]
        assert sorted(pair.item for pair in row.recommendations) == sorted(best)


@pytest.mark.parametrize(
    "expressions, said",
    [
        (["user", "item", "rating where user < 0"], "empty"),
        (["user as who", "item", "rating"], "no such column; the frame has who, item, rating"),
        (["user", "array(item) item", "rating"], "type array"),
        (["user", "item", "cast(rating as string) rating"], "ratingCol='rating' is of type string"),
        (["nullif(user, 7) user", "item", "rating"], r"userCol='user' is null in \d+ of"),
        (["user", "item + 0.5D item", "rating"], r"has fractions in \d+ of \d+ rows, \d+.5"),
        (["user", "item", "nullif(rating, 2) rating"], "ratingCol='rating' is null, NaN"),
        (["user", "item", "float('nan') rating"], "ratingCol='rating' is null, NaN"),
        (["user", "item", "1e39D rating"], "ratingCol='rating' is null, NaN or infinite"),
    ],
)
def test_bad_entries_are_one_error_before_anything_is_fitted(events, als, expressions, said):
    *columns, last = expressions
    last, _, condition = last.partition(" where ")
    frame = events.selectExpr(*columns, last).where(condition or "true")
    with pytest.raises(ValueError, match=said):
        als().fit(frame)


def test_without_a_rating_column_all_ratings_are_one(events, entries, als, factors, in_threads):
    ones = [(row.user, row.item, 1.0) for row in entries]
    assert bits(factors(als(ratingCol="").fit(events))) == bits(in_threads(ones)[0])


# ---- the model ---------------------------------------------------------------------------------


def test_scores_and_cold_start(spark, model, model_factors):
    (users, x), (items, y) = model_factors
    pairs = spark.sql(
        f"select * from values ({users[0]}, {items[1]}), ({users[0]}, 999), (null, {items[0]}), "
        f"(998, {items[0]}) t(user, item)"
    )
    rows = model.transform(pairs).collect()
    known = [row.prediction for row in rows if row.user == users[0] and row.item == items[1]]
    assert known == pytest.approx([float(x[0] @ y[1])], rel=1e-5)
    assert np.isnan([row.prediction for row in rows]).sum() == 3
    dropping = model.copy().setColdStartStrategy("DROP").setPredictionCol("score")
    assert [row.score for row in dropping.transform(pairs).collect()] == known
    with pytest.raises(ValueError, match="userCol='user': there is no such column"):
        model.transform(pairs.drop("user"))
    with pytest.raises(ValueError, match="predictionCol='item': the frame has this column"):
        model.copy().setPredictionCol("item").transform(pairs)


def test_models_and_estimators_are_saved(biased, als, factors, biased_factors, tmp_path):
    from pyspark.ml import PipelineModel

    from recsys.spark import ALS, ALSModel

    folder, pipeline = str(tmp_path / "model"), str(tmp_path / "pipeline")
    (tmp_path / "model" / "metadata").mkdir(parents=True)
    (tmp_path / "model" / "metadata" / "part-00000").write_text("what was there before")
    with pytest.raises(Exception, match="exist"):
        biased.save(folder)
    biased.write().overwrite().save(folder)
    assert ALSModel.load(folder).rank == 8
    PipelineModel([biased]).save(pipeline)
    [loaded] = PipelineModel.load(pipeline).stages
    assert bits(factors(loaded)) == bits(biased_factors)
    assert loaded.rank == 8 and loaded.uid == biased.uid and loaded.getUserCol() == "user"
    (users, x), (items, y) = biased_factors
    here = loaded.to_recsys()
    assert (here.bias, here.nonnegative, here.confidence, here.epsilon) == (True, True, "log", None)
    scores = here.recommend(users[4], N=3, filter_seen=False)[1]
    assert scores == pytest.approx(np.sort(x[4] @ y.T)[:-4:-1], rel=1e-4)
    pairs = biased.userFactors.limit(1).selectExpr("id user", "1 item")
    [row] = loaded.transform(pairs).collect()
    assert row.prediction == pytest.approx(
        float(x[users.index(row.user)] @ y[items.index(1)]), rel=1e-4
    )
    als(rank=5, solver="cg").save(str(tmp_path / "als"))
    again = ALS.load(str(tmp_path / "als"))
    assert again.getRank() == 5 and again.getOrDefault("solver") == "cg"
    with pytest.raises(
        ValueError, match=r"is no ALSModel but a recsys\.spark\.als\.ALS: .*ALS\.load"
    ):
        ALSModel.load(str(tmp_path / "als"))
    with pytest.raises(ValueError, match=r"is a model, recsys\..*read it by ALSModel\.load"):
        ALS.load(folder)


def test_estimators_that_mllib_saved(tmp_path):
    """By the two lines that the error tells."""
    from pyspark.ml.recommendation import ALS as Theirs

    from recsys.spark import ALS

    folder = str(tmp_path / "als")
    Theirs(rank=7, alpha=3.0, userCol="who").save(folder)
    with pytest.raises(ValueError, match=r"pyspark\.ml\.recommendation\.ALS\.load") as caught:
        ALS.load(folder)
    assert "ALS(**{param.name: value for param, value in theirs.extrac" in str(caught.value)
    theirs = Theirs.load(folder)
    ours = ALS(**{param.name: value for param, value in theirs.extractParamMap().items()})
    assert (ours.getRank(), ours.getAlpha(), ours.getUserCol()) == (7, 3.0, "who")


def test_a_model_in_this_process(model, model_factors):
    (users, x), (items, y) = model_factors
    assert repr(model) == f"ALSModel: uid={model.uid}, rank=8"
    here = model.to_recsys()
    with pytest.raises(NotFittedError, match=r"from Spark\) .*filter_seen=False"):
        here.recommend(users[4])
    ids, scores = here.recommend(users[4], N=3, filter_seen=False)
    own = x[4] @ y.T
    assert scores == pytest.approx(np.sort(own)[:-4:-1], rel=1e-5)
    assert [own[items.index(each)] for each in ids] == pytest.approx(scores, rel=1e-5)


def test_models_of_several_settings_share_one_stage(
    events, als, factors, model_factors, monkeypatch
):
    """Each as if it were fitted alone; asked for by threads at once, as CrossValidator does."""
    from concurrent.futures import ThreadPoolExecutor

    from recsys.spark import stage

    stages = []
    fit = stage.fit
    monkeypatch.setattr(stage, "fit", lambda *args: stages.append(args) or fit(*args))
    estimator = als(maxIter=4, computeLoss=True)
    maps = [{}, {estimator.regParam: 5.0, estimator.maxIter: 2}, {estimator.rank: 4}]
    found = estimator.fitMultiple(events, maps)
    with ThreadPoolExecutor(3) as pool:
        models = dict(pool.map(lambda _: next(found), maps))
    assert len(stages) == 1 and next(found, None) is None
    assert bits(factors(models[0])) == bits(model_factors)
    assert len(models[1].summary.losses) == 2 and models[1].getOrDefault("regParam") == 5.0
    assert models[2].rank == 4 == factors(models[2])[0][1].shape[1]


def test_pipelines_and_cross_validation(events, als):
    from pyspark.ml import Pipeline
    from pyspark.ml.evaluation import RegressionEvaluator
    from pyspark.ml.tuning import CrossValidator, ParamGridBuilder

    from recsys import ExplicitALS

    estimator = als(implicitPrefs=False, maxIter=2, coldStartStrategy="drop")
    grid = ParamGridBuilder().addGrid(estimator.regParam, [0.1, 1000.0]).build()
    validator = CrossValidator(
        estimator=estimator, estimatorParamMaps=grid, numFolds=2, parallelism=2,
        evaluator=RegressionEvaluator(metricName="rmse", labelCol="rating"), seed=0,
    )  # fmt: skip
    [found] = Pipeline(stages=[validator]).fit(events).stages
    assert found.avgMetrics[0] < found.avgMetrics[1]
    best = found.bestModel
    assert best.rank == 8 and best.getOrDefault("regParam") == 0.1
    [row] = best.transform(events.limit(1)).collect()
    here = best.to_recsys()
    assert isinstance(here, ExplicitALS) and here.regularization == 0.1
    assert here.predict(row.user, row.item) == pytest.approx(row.prediction, rel=1e-5)
