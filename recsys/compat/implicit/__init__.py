"""The interface of `implicit` 0.7 over recsys' models: change one import.

>>> from recsys.compat import implicit
>>> model = implicit.als.AlternatingLeastSquares(factors=64)

Modules, names, signatures, defaults, shapes and dtypes are implicit's. The numbers come from
recsys, and where implicit crashes or returns what is not there this does not: see
docs/differences-from-implicit.md. ``python -m recsys.compat.implicit script.py`` runs a program
that says ``import implicit`` as it stands.
"""

from . import als, approximate_als, bpr, cpu, gpu, lmf, nearest_neighbours

__version__ = "0.7.3"

__all__ = [
    "__version__",
    "als",
    "approximate_als",
    "bpr",
    "cpu",
    "gpu",
    "lmf",
    "nearest_neighbours",
]
