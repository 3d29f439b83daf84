"""How the sources are laid out: floors, circles, privacy, sizes."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import recsys

PACKAGE = Path(recsys.__file__).parent
ROOT = Path(__file__).parents[1]
LONGEST = 500  # lines of a file
ENDINGS = {".c", ".h", ".py", ".pyi", ".pyx", ".pxd"}
ABOVE_MODELS = ("cli", "compat", "plots", "serving", "spark", "tuning")
OF_ONE_CLASS = {"self", "cls", "twin"}  # a copy of self is a twin
NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}
PYSPARKS = {"_dummy", "_resetUid", "_get_metadata_to_save"}  # by which Params are made and saved


def test_floors():
    """The contracts of pyproject.toml, as `lint-imports` checks them."""
    pytest.importorskip("importlinter", reason="import-linter is not installed")
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- imports -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def graph():
    grimp = pytest.importorskip("grimp", reason="import-linter is not installed")
    return grimp.build_graph("recsys", include_external_packages=True, cache_dir=None)


COMPILED = r"from \._\w+ import|from \. import _[a-z]+$"  # as a whole line of the source


def compiled(graph, importer, imported):
    """Whether all that is imported are compiled modules, which grimp takes for their package, or
    for all of recsys."""
    details = graph.get_import_details(importer=importer, imported=imported)
    return all(re.match(COMPILED, each["line_contents"].strip()) for each in details)


def imports(graph):
    """Module of recsys -> those of recsys that it imports, for type checkers as well."""
    ours = {name for name in graph.modules if name.split(".")[0] == "recsys"}
    return {
        name: {
            other
            for other in graph.find_modules_directly_imported_by(name) & ours
            if not (name.startswith("recsys.kernels") and compiled(graph, name, other))
        }
        for name in ours
    }


def circle(edges):
    """Modules each of which imports the next one, and the last one the first; None if none do."""
    done = set()
    for start in sorted(edges):
        path, ahead = [start], [iter(sorted(edges[start] - done))]
        while path:
            following = next(ahead[-1], None)
            if following is None:
                done.add(path.pop())
                ahead.pop()
            elif following in path:
                return path[path.index(following) :]
            elif following not in done:
                path.append(following)
                ahead.append(iter(sorted(edges[following] - done)))
    return None


def test_circles_are_seen():
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) is None
    assert circle({"a": {"b"}, "b": {"c", "d"}, "c": {"b"}, "d": set()}) == ["b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": {"a"}}) == ["a", "b", "d"]


def test_no_two_modules_import_each_other(graph):
    assert circle(imports(graph)) is None


def test_the_kernels_import_no_names_of_recsys_itself(graph):
    below = {name: others for name, others in imports(graph).items() if ".kernels" in name}
    assert [name for name, others in below.items() if "recsys" in others] == []


def test_the_twins_import_numpy_alone(graph):
    twins = {name for name in graph.modules if name.startswith("recsys.kernels.reference")}
    assert len(twins) > 5
    imported = set().union(*map(graph.find_modules_directly_imported_by, twins)) - twins
    assert imported - sys.stdlib_module_names == {"numpy"}


# ---- privacy and sizes --------------------------------------------------------------------------


def private_members(path):
    """Those used of objects of another class, as far as names tell."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr):
            same_class = isinstance(node.value, ast.Name) and node.value.id in OF_ONE_CLASS
            if not same_class and node.attr not in NAMED_TUPLE | PYSPARKS:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno} {node.attr}"


@pytest.mark.parametrize("floor", ABOVE_MODELS)
def test_private_members_are_left_to_their_module(floor):
    paths = sorted((PACKAGE / floor).rglob("*.py"))
    assert paths and [each for path in paths for each in private_members(path)] == []


def test_no_file_is_too_long():
    folders = ("recsys", "csrc", "tests", "benchmarks", "examples")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    lines = {
        str(path.relative_to(ROOT)): len(path.read_bytes().splitlines())
        for path in paths
        if path.suffix in ENDINGS
    }
    assert lines and {name: count for name, count in lines.items() if count > LONGEST} == {}
