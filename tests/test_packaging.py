"""What is installed: the files type checkers need, and stubs that tell the truth."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import recsys
from recsys.kernels import reference

PACKAGE = Path(recsys.__file__).parent
ROOT = Path(__file__).parents[1]


def compiled_modules():
    names = [
        f"recsys.kernels.{each.name}" for each in pkgutil.iter_modules(recsys.kernels.__path__)
    ]
    modules = [importlib.import_module(name) for name in names]
    return [module for module in modules if module.__file__.endswith(tuple(EXTENSION_SUFFIXES))]


def kernels_of(module):
    """Its functions that are stamped for dtypes, or are told an instruction set or threads."""
    for name, value in vars(module).items():
        if name.startswith("_") or isinstance(value, type) or not callable(value):
            continue
        told = {"isa", "num_threads"} & set(inspect.signature(value).parameters)
        if hasattr(value, "__signatures__") or told:
            yield name


COMPILED = compiled_modules()
KERNELS = [(module, name) for module in COMPILED for name in kernels_of(module)]


def texts(*patterns):
    """The files of the sources that match, by their names from the root on."""
    found = [path for pattern in patterns for path in ROOT.glob(pattern)]
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in found}


def test_installed_version_is_the_packages():
    try:
        installed = metadata.version("recsys-engine")
    except metadata.PackageNotFoundError:
        pytest.skip("recsys-engine runs from its sources here")
    assert installed == recsys.__version__


def test_typed_marker_is_installed():
    assert (PACKAGE / "py.typed").is_file()


def test_kernels_and_twins_are_the_same():
    names = [name for _, name in KERNELS]
    assert sorted(names) == sorted(reference.__all__)
    assert {"als_rows", "product_topk", "topk"} <= set(names)


@pytest.mark.parametrize(("module", "kernel"), KERNELS, ids=[name for _, name in KERNELS])
def test_kernel_twin_and_stub_take_the_same_arguments(module, kernel):
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


def test_the_version_stands_in_one_place_and_is_cited():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "version" not in project and "version" in project["dynamic"]
    [cited] = re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.M)
    assert cited == recsys.__version__
    assert f"## {cited}\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_extras_that_are_named_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    sources = texts(
        "*.md", "pyproject.toml", "docs/**/*.md", "recsys/**/*.py", "benchmarks/**/*.py"
    )
    named = {
        (name, extra)
        for name, text in sources.items()
        for group in re.findall(r"(?:recsys-engine|['\"` ]\.)\[([a-z][a-z,-]*)\]", text)
        for extra in group.split(",")
    }
    assert {extra for _, extra in named} >= {"ann", "tune", "test"}
    assert not [(name, extra) for name, extra in named if extra not in extras]


def test_workflows_run_what_is_run_here():
    workflows = texts(".github/workflows/*.yml")
    if not workflows:
        pytest.skip("a source distribution has no workflows")
    assert "- run: .ci/run\n" in workflows[str(Path(".github/workflows/ci.yml"))]
    for name, text in workflows.items():
        actions = re.findall(r"uses: (.*)", text)
        assert actions, name
        assert all(re.fullmatch(r"[\w/-]+@v\d+\.\d+\.\d+", action) for action in actions), name
        assert "permissions:\n  contents: read\n" in text, name


def test_kernel_files_are_among_those_that_are_built():
    """A header that table.c does not come to, or a module setup.py leaves out, is dead."""
    kernels = ROOT / "csrc" / "kernels"
    included, to_read = set(), [ROOT / "csrc" / "table.c"]
    while to_read:
        names = re.findall(r'#include "(?:kernels/)?(\w+\.h)"', to_read.pop().read_text("utf-8"))
        new = {name for name in names if (kernels / name).exists()} - included
        included |= new
        to_read += [kernels / name for name in new]
    assert included == {path.name for path in kernels.glob("*.h")}
    modules = {path.stem for path in (ROOT / "recsys" / "kernels").glob("*.pyx")}
    assert modules == {module.__name__.rpartition(".")[2] for module in COMPILED}
