"""``python -m recsys.compat.implicit script.py``, and the same of lightfm."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import pickle, sys
import numpy as np
import scipy.sparse as sp
import implicit
import implicit.als
from implicit.als import AlternatingLeastSquares
from implicit.cpu.als import AlternatingLeastSquares as OnCpu
from implicit.cpu.topk import topk
from implicit.cpu.matrix_factorization_base import _filter_items_from_sparse_matrix
from implicit.gpu import HAS_CUDA
from implicit.recommender_base import ModelFitError, RecommenderBase
from implicit.utils import ParameterWarning, check_random_state
import beside_the_script

assert __name__ == "__main__" and sys.argv[1:] == ["--flag", "3"] and not HAS_CUDA
assert implicit.__file__ != __file__ and implicit.als is sys.modules["implicit.als"]
model = AlternatingLeastSquares(factors=4, iterations=2, random_state=0)
model.fit(sp.csr_matrix(np.eye(6) + np.eye(6, k=1)), show_progress=False)
assert isinstance(pickle.loads(pickle.dumps(model)), OnCpu)
assert isinstance(model, RecommenderBase)
try:
    import implicit.no_such_module
except ModuleNotFoundError:
    print("ran on", type(model).__module__)
"""


def run(*arguments, cwd, package="implicit"):
    environment = os.environ | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    environment.pop("PYTHONSAFEPATH", None)  # a module may be in the current folder
    command = [sys.executable, "-m", f"recsys.compat.{package}", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("folder", [".", "below"])
def test_an_unchanged_program(tmp_path, folder):
    home = tmp_path / folder
    home.mkdir(exist_ok=True)
    (home / "program.py").write_text(SCRIPT)
    (home / "beside_the_script.py").write_text("")
    done = run(str(Path(folder, "program.py")), "--flag", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ran on recsys.compat.implicit.cpu.als\n"


def test_an_unchanged_module(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "program.py").write_text(SCRIPT)
    (package / "breaks.py").write_text("import no_such_thing")
    (tmp_path / "beside_the_script.py").write_text("")  # beside the package: in the current folder
    done = run("-m", "package.program", "--flag", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ran on recsys.compat.implicit.cpu.als\n"
    (tmp_path / "test_it.py").write_text("import implicit\n\ndef test_it():\n    implicit.als\n")
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py", cwd=tmp_path)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout
    done = run("-m", "package.breaks", cwd=tmp_path)
    assert done.returncode == 1 and "no_such_thing" in done.stderr
    for name in ("nowhere", "nowhere.program", "package.nowhere"):
        done = run("-m", name, cwd=tmp_path)
        assert done.returncode == 2 and f"there is no module {name!r}" in done.stderr
    done = run("-m", cwd=tmp_path)
    assert done.returncode == 2 and "-m needs the name of a module" in done.stderr


def test_factories_are_named_as_programs_name_them(tmp_path):
    (tmp_path / "program.py").write_text(
        "import importlib, pickle\n"
        "from implicit.als import AlternatingLeastSquares as make\n"
        "name = make.__module__ + '.' + make.__qualname__\n"
        "assert name == 'implicit.als.AlternatingLeastSquares', name\n"
        "assert pickle.loads(pickle.dumps(make)) is make\n"
        "print(type(make()).__module__)\n"
    )
    done = run("program.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "recsys.compat.implicit.cpu.als\n"  # a pickle is read without the runner


def test_usage(tmp_path):
    assert run(cwd=tmp_path).returncode == 2
    assert "usage: python -m recsys.compat.implicit script.py" in run("--help", cwd=tmp_path).stdout
    done = run("nowhere.py", cwd=tmp_path)
    assert done.returncode == 2 and "there is no script 'nowhere.py'" in done.stderr


def test_what_a_program_raises_comes_through(tmp_path):
    (tmp_path / "program.py").write_text(
        "import implicit\nimplicit.bpr.BayesianPersonalizedRanking(use_gpu=True)"
    )
    done = run("program.py", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.rstrip().splitlines()[-1].startswith("ValueError: No CUDA")


LIGHTFM = """
import pickle
import numpy as np
import lightfm
import lightfm.data
from lightfm import LightFM
from lightfm.cross_validation import random_train_test_split
from lightfm.datasets import fetch_movielens
from lightfm.evaluation import precision_at_k
import scipy.sparse as sp

model = LightFM(loss="warp", random_state=0)
model.fit(sp.coo_matrix(np.eye(6, dtype=np.float32)))
ours = pickle.dumps(model, protocol=2)
old = ours.replace(b"recsys.compat.lightfm.lightfm\\n", b"lightfm.lightfm\\n")
assert b"recsys" not in old
assert np.array_equal(pickle.loads(old).item_biases, model.item_biases)
print("ran on", type(model).__module__, lightfm.__version__)
"""


def test_an_unchanged_program_of_lightfm(tmp_path):
    (tmp_path / "program.py").write_text(LIGHTFM)
    done = run("program.py", cwd=tmp_path, package="lightfm")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ran on recsys.compat.lightfm.lightfm 1.17\n"
