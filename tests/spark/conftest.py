"""One Spark for all tests of this folder: two executors, each a process with one core."""

import faulthandler
import os
import shutil
import sys

import pytest

HERE = os.path.dirname(__file__)
LIMIT = 240  # seconds that a test may take; a fit that hangs must not stop everything


def pytest_collection_modifyitems(items):
    for item in items:
        if "spark" in item.path.parts:
            item.add_marker(pytest.mark.spark)
            item.add_marker(pytest.mark.filterwarnings("ignore::FutureWarning:pyspark"))
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))


@pytest.fixture(autouse=True)
def limit():
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    pytest.importorskip("pyspark", reason="pyspark is not installed: [test-spark]")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java 17 or later, which is not installed")
    from pyspark.sql import SparkSession

    os.environ.update(PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1")
    folder = tmp_path_factory.mktemp("spark")
    # Most of a test is Java that starts: it is compiled quickly, and its classes are not verified
    short_lived = (
        "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+IgnoreUnrecognizedVMOptions "
        "-XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
    )
    options = {
        "spark.driver.extraJavaOptions": short_lived,
        "spark.executor.extraJavaOptions": short_lived,
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.adaptive.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.executor.memory": "1024m",
        "spark.executorEnv.PYTHONPATH": os.pathsep.join(filter(None, [HERE, *sys.path])),
        "spark.python.daemon.module": "ready_workers",
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.driver.host": "127.0.0.1",
        # by default Spark looks every 15 s whether there are executors for all tasks of a fit again
        "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "1s",
        "spark.locality.wait": "0s",
        "spark.task.maxFailures": "2",  # each attempt that fails ends a Python process
    }
    builder = SparkSession.builder.master("local-cluster[2,1,1024]")
    for name, value in options.items():
        builder = builder.config(name, value)
    before = os.getcwd()
    os.chdir(folder)  # local-cluster leaves a folder of its workers in the current one
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()
    os.chdir(before)


@pytest.fixture(scope="session")
def events(spark):
    """Integer ids, counts of 1 to 5, in memory."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(0)
    n = 4000
    pairs, first = np.unique(
        np.column_stack([rng.integers(0, 300, n), rng.zipf(1.3, n) % 120]),
        axis=0, return_index=True,
    )  # fmt: skip
    columns = {
        "user": pairs[:, 0].astype(np.int32),
        "item": pairs[:, 1].astype(np.int32),
        "rating": rng.integers(1, 6, n)[first].astype(np.float32),
    }
    return spark.createDataFrame(pa.table(columns)).repartition(2).cache()


@pytest.fixture(scope="session")
def entries(events):
    """The rows of `events`."""
    return events.collect()


@pytest.fixture(scope="session")
def als():
    """Makes an estimator, small."""
    from recsys.spark import ALS

    def make(**params):
        common = {
            "rank": 8, "maxIter": 4, "implicitPrefs": True, "alpha": 20.0, "regParam": 0.5,
            "seed": 3, "numUserBlocks": 4, "numItemBlocks": 4,
        }  # fmt: skip
        return ALS(**(common | params))

    return make


@pytest.fixture(scope="session")
def model(als, events):
    return als(computeLoss=True).fit(events)


@pytest.fixture(scope="session")
def biased(als, events):
    """With all that a model can have beside."""
    return als(
        bias=True, nonnegative=True, acceleration=True, confidence="log", maxIter=5, regParam=2.0
    ).fit(events)


@pytest.fixture(scope="session")
def model_factors(model, factors):
    return factors(model)


@pytest.fixture(scope="session")
def biased_factors(biased, factors):
    return factors(biased)


@pytest.fixture(scope="session")
def in_threads():
    """Both sides as `factors` gives them, of what the estimator of `als` learns, and the report: by
    one rank that is a thread, without Spark."""
    from functools import partial

    import numpy as np

    from recsys.distributed import Problem
    from recsys.distributed.local import fit_in_threads
    from recsys.models.confidence import signed_confidence

    def fit(entries, rank=8, iterations=4, seed=3):
        rows = np.array(entries, np.float64)
        signed = partial(signed_confidence, scheme="linear", alpha=20.0, epsilon=1.0)
        problem = Problem(rank, iterations, seed, 0.5, None, 1.0, signed, init_scale=1.0, loss=True)
        users, items = rows[:, :2].astype(np.int64).T
        fitted = fit_in_threads(users, items, rows[:, 2].astype(np.float32), (4, 4), 1, problem)
        keys = (each.tolist() for each in fitted.keys)
        return list(zip(keys, fitted.factors, strict=True)), fitted.report

    return fit


@pytest.fixture(scope="session")
def factors():
    """Both sides of a model, as read from Spark: ids and arrays, by id."""
    import numpy as np

    def read(model):
        sides = []
        for frame in (model.userFactors, model.itemFactors):
            rows = sorted(frame.collect())
            sides.append(([row[0] for row in rows], np.array([row[1] for row in rows], np.float32)))
        return sides

    return read
