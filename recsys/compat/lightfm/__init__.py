"""The interface of `lightfm` 1.17 over a kernel of recsys: change one import.

>>> from recsys.compat.lightfm import LightFM
>>> model = LightFM(no_components=32, loss="warp")

Modules, names, signatures, defaults, shapes and dtypes are LightFM's. The numbers come from recsys,
the same ones for any number of threads, and LightFM's bugs are not there: see
docs/differences-from-lightfm.md. ``python -m recsys.compat.lightfm script.py`` runs a program that
says ``import lightfm`` as it stands. `LightFM.to_recsys` makes a model of recsys of what is
learned.
"""

from . import datasets, evaluation
from .lightfm import LightFM
from .version import __version__

__all__ = ["LightFM", "__version__", "datasets", "evaluation"]
