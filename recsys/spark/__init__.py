"""ALS on a Spark cluster: `from recsys.spark import ALS` in the place of pyspark's.

Spark scans, schedules, restarts and stores; the rows are solved by recsys's kernels in the
executors, which hold their part of the matrix for the whole fit and send each other the factors
they need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import pyarrow as pyarrow
    import pyspark as pyspark
except ImportError as error:
    raise ImportError(
        f"recsys.spark needs {error.name}: pip install 'recsys-engine[spark]'"
    ) from None

from pyspark.sql import DataFrame

if not hasattr(DataFrame, "repartitionById"):
    raise ImportError(
        f"recsys.spark needs pyspark 4.1 or later, and this is {pyspark.__version__}: "
        "pip install 'recsys-engine[spark]'"
    )

if TYPE_CHECKING:
    from recsys.spark.als import ALS
    from recsys.spark.model import ALSModel, Summary
else:

    def __getattr__(name: str) -> Any:
        # Not by imports of their own: Python workers come by here, and need no pyspark.ml
        if name not in __all__:
            raise AttributeError(f"module 'recsys.spark' has no attribute {name!r}")
        home = import_module("recsys.spark.als" if name == "ALS" else "recsys.spark.model")
        return getattr(home, name)


def __dir__() -> list[str]:
    return __all__


__all__ = ["ALS", "ALSModel", "Summary"]
