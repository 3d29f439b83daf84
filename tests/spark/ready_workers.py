"""Where Spark's Python processes come from in these tests: a fork of one that has imported all they
need. Else each would for itself, and look through all that for garbage after every task.

The executors run it in the place of `pyspark.daemon` (spark.python.daemon.module).
"""

import gc
from importlib import import_module

from pyspark.daemon import manager

for name in ("pandas", "pyspark.worker", "recsys.spark.lists", "recsys.spark.step_tasks"):
    import_module(name)

if __name__ == "__main__":
    gc.freeze()
    manager()
