"""ALS on a Spark cluster: `from recsys.spark import ALS` in the place of pyspark's.

Spark scans, schedules, restarts and stores; the rows are solved by recsys's kernels in the
executors, which hold their part of the matrix for the whole fit and send each other the factors
they need.
"""

try:
    import pyarrow as pyarrow
    import pyspark as pyspark
except ImportError as error:
    raise ImportError(
        f"recsys.spark needs {error.name}: pip install 'recsys-engine[spark]'"
    ) from None

from recsys.spark.als import ALS
from recsys.spark.model import ALSModel, Summary

__all__ = ["ALS", "ALSModel", "Summary"]
