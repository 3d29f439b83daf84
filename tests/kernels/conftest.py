"""What the twins of a file's kernels have computed is kept as long as the file's tests run."""

import pytest
from twins import forget_twins


@pytest.fixture(autouse=True, scope="module")
def twins_of_one_file():
    yield
    forget_twins()
