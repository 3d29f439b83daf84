"""Fixtures over everything a kernel is stamped for."""

import os
from pathlib import Path

import numpy as np
import pytest

from recsys.kernels import _als, use_isa


@pytest.fixture(params=_als.AVAILABLE_ISAS)
def isa(request):
    with use_isa(request.param):
        yield request.param


@pytest.fixture(params=[np.float32, np.float64], ids=["f32", "f64"])
def dtype(request):
    return request.param


@pytest.fixture(params=[1, 2, 3, 7])
def num_threads(request):
    return request.param


@pytest.fixture(scope="session")
def data_folder():
    """The folder of small real data sets; tests that need it skip where it is missing."""
    default = Path(__file__).parent.parent.parent / "shared" / "data"
    folder = Path(os.environ.get("RECSYS_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}; set RECSYS_DATA to their folder")
    return folder
