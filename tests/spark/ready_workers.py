"""Where Spark's Python processes come from in these tests: a fork of one that has imported all they
need. Else each would for itself, and look through all that for garbage after every task.

The executors run it in the place of `pyspark.daemon` (spark.python.daemon.module).
"""

import gc

import pandas as pandas
import pyarrow.fs
import pyspark.worker
from pyspark.daemon import manager

import recsys.spark.lists
import recsys.spark.step_tasks as step_tasks

if __name__ == "__main__":
    gc.freeze()
    manager()
