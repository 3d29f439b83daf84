"""What is installed: the files type checkers need, and stubs that tell the truth."""

import ast
import inspect
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import recsys
from recsys.kernels import _als, _lmf, _product, _sgd, _topk, reference

PACKAGE = Path(recsys.__file__).parent
COMPILED = (_als, _lmf, _product, _sgd, _topk)


def test_installed_version_is_the_packages():
    try:
        installed = metadata.version("recsys-engine")
    except metadata.PackageNotFoundError:
        pytest.skip("recsys-engine runs from its sources here")
    assert installed == recsys.__version__


def test_typed_marker_is_installed():
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.parametrize("kernel", reference.__all__)
def test_kernel_twin_and_stub_take_the_same_arguments(kernel):
    [module] = [module for module in COMPILED if hasattr(module, kernel)]
    stubs = PACKAGE / "kernels" / f"{module.__name__.rpartition('.')[2]}.pyi"
    tree = ast.parse(stubs.read_text(encoding="utf-8"))
    [stub] = [node for node in tree.body if getattr(node, "name", None) == kernel]
    names = [argument.arg for argument in stub.args.args + stub.args.kwonlyargs]
    assert names == list(inspect.signature(getattr(module, kernel)).parameters)
    assert names == list(inspect.signature(getattr(reference, kernel)).parameters)


def test_datasets_come_with_the_package():
    code = "import recsys; print(recsys.datasets.lastfm360k_twin.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "lastfm360k_twin", done.stderr
    with pytest.raises(AttributeError, match="no attribute 'dataset'"):
        _ = recsys.dataset


def test_names_that_are_shown():
    public = {*recsys.__all__, "datasets", "evaluation", "plots", "serving", "tuning", "weighting"}
    assert set(dir(recsys)) == public
    assert all(getattr(recsys, name) is not None for name in public)
