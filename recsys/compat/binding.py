"""Making ``import other_package`` mean a package of ours."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType


class _Alias(MetaPathFinder, Loader):
    """Finds ``name.x`` and gives the module ``ours.x``, the same object."""

    def __init__(self, name: str, ours: str) -> None:
        self.name, self.ours = name, ours

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top, _, rest = fullname.partition(".")
        if top != self.name or importlib.util.find_spec(_below(self.ours, rest)) is None:
            return None
        return spec_from_loader(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(_below(self.ours, spec.name.partition(".")[2]))
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # its own again, not that of the alias


def bind_package(name: str, ours: str) -> None:
    """From here on ``import name`` and ``import name.anything`` give the package `ours`."""
    bound = [each.name for each in sys.meta_path if isinstance(each, _Alias)]
    if name not in bound:
        sys.meta_path.insert(0, _Alias(name, ours))
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        if not sys.modules[module].__name__.startswith(ours):
            del sys.modules[module]
    importlib.import_module(name)


def _below(package: str, rest: str) -> str:
    return f"{package}.{rest}" if rest else package
