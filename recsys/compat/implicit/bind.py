"""Making ``import implicit`` mean this package."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

_OURS = __name__.rpartition(".")[0]
# Functions, which programs name in their settings, "implicit.als.AlternatingLeastSquares". Classes
# keep their own module, so that what is pickled can be read where nothing is bound.
_FACTORIES = {
    "als": ["AlternatingLeastSquares"],
    "bpr": ["BayesianPersonalizedRanking"],
    "lmf": ["LogisticMatrixFactorization"],
    "approximate_als": [
        "AnnoyAlternatingLeastSquares",
        "FaissAlternatingLeastSquares",
        "NMSLibAlternatingLeastSquares",
    ],
}


class _Alias(MetaPathFinder, Loader):
    """Finds ``implicit.x`` and gives the module ``recsys.compat.implicit.x``, the same object."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top, _, rest = fullname.partition(".")
        if top != "implicit" or importlib.util.find_spec(_ours(rest)) is None:
            return None
        return spec_from_loader(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(_ours(spec.name.partition(".")[2]))
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # its own again, not that of the alias


def bind() -> None:
    """From here on ``import implicit`` and ``import implicit.anything`` give this package."""
    if not any(isinstance(finder, _Alias) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Alias())
    for name in [name for name in sys.modules if name.partition(".")[0] == "implicit"]:
        if not sys.modules[name].__name__.startswith(_OURS):
            del sys.modules[name]
    importlib.import_module("implicit")
    for name, factories in _FACTORIES.items():
        module = importlib.import_module(_ours(name))
        for factory in factories:
            getattr(module, factory).__module__ = f"implicit.{name}"


def _ours(rest: str) -> str:
    return f"{_OURS}.{rest}" if rest else _OURS
