"""One Spark for all tests of this folder: two executors, each a process with one core."""

import faulthandler
import os
import shutil
import sys

import pytest

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
    options = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.executor.memory": "1024m",
        "spark.executorEnv.PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.driver.host": "127.0.0.1",
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

    rng = np.random.default_rng(0)
    n = 4000
    columns = rng.integers(0, 300, n), rng.zipf(1.3, n) % 120, rng.integers(1, 6, n) * 1.0
    rows = sorted({(u, i): (u, i, r) for u, i, r in zip(*map(list, columns), strict=True)}.values())
    frame = spark.createDataFrame(
        [(int(u), int(i), float(r)) for u, i, r in rows], "user int, item int, rating float"
    ).repartition(2)
    return frame.cache()


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
def factors():
    """Both sides of a model: ids and arrays, by id."""
    import numpy as np

    def read(model):
        sides = []
        for frame in (model.userFactors, model.itemFactors):
            rows = sorted(frame.collect())
            sides.append(([row[0] for row in rows], np.array([row[1] for row in rows], np.float32)))
        return sides

    return read
