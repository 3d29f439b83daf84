"""Models on disk, in implicit's format."""

import io

import numpy as np
import pytest
from scipy import sparse

from recsys.compat.implicit.als import AlternatingLeastSquares
from recsys.compat.implicit.cpu import als as cpu_als


@pytest.fixture
def model():
    counts = sparse.random(20, 15, 0.3, "csr", random_state=0)
    model = AlternatingLeastSquares(4, regularization=0.5, alpha=3.0, random_state=5, dtype="f8")
    model.cg_steps = 7
    model.fit(counts, show_progress=False)
    return model


def assert_same(one, other):
    for name in ("regularization", "alpha", "cg_steps", "dtype", "random_state", "use_cg"):
        assert getattr(one, name) == getattr(other, name), name
    np.testing.assert_array_equal(one.user_factors, other.user_factors)
    np.testing.assert_array_equal(one.item_factors, other.item_factors)


def test_round_trip(model, tmp_path):
    for path in (str(tmp_path / "a"), tmp_path / "b", tmp_path / "c.npz"):
        model.save(path)
        assert_same(AlternatingLeastSquares.load(path), model)
        assert_same(model.load(path), model)
        assert type(cpu_als.AlternatingLeastSquares.load(path)) is type(model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz", "c.npz"]
    buffer = io.BytesIO()
    model.save(buffer)
    buffer.seek(0)
    assert_same(AlternatingLeastSquares.load(buffer), model)


def test_what_only_pickle_could_hold_stays_out(model, tmp_path):
    model.random_state = np.random.default_rng(0)
    model.save(tmp_path / "m.npz")
    assert AlternatingLeastSquares.load(tmp_path / "m.npz").random_state is None
    AlternatingLeastSquares(3).save(tmp_path / "untrained.npz")
    assert AlternatingLeastSquares.load(tmp_path / "untrained.npz").user_factors is None


def test_bad_files(model, tmp_path):
    path = tmp_path / "m.npz"
    with pytest.raises(FileNotFoundError, match="there is no model file"):
        AlternatingLeastSquares.load(path)
    model.save(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ValueError, match=r"not a whole \.npz file of a model"):
        AlternatingLeastSquares.load(path)
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"not a whole \.npz file of a model"):
        AlternatingLeastSquares.load(path)
    np.savez(path, K=3, data=np.ones(3))
    with pytest.raises(ValueError, match="holds no AlternatingLeastSquares: it has K, data"):
        AlternatingLeastSquares.load(path)
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(ValueError, match="not a whole"):
        AlternatingLeastSquares.load(tmp_path / "array.npy")
