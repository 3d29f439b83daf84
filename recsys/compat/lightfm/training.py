"""What `LightFM.fit_partial` is given, checked, and made into what the kernel learns from."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from recsys.kernels import FeatureRows, HybridOptions, HybridSGD, LearnedFeatures, Samples

LOSSES = ("logistic", "warp", "bpr", "warp-kos")
SCHEDULES = ("adagrad", "adadelta")
# LightFM's names of what is learned of a side, "user_" or "item_" before them
STATE = (
    "embeddings", "embedding_gradients", "embedding_momentum",
    "biases", "bias_gradients", "bias_momentum",
)  # fmt: skip

_INTEGER, _NUMBER = (numbers.Integral, "an integer"), (numbers.Real, "a number")
_KINDS = {
    **dict.fromkeys(("no_components", "k", "n", "max_sampled"), _INTEGER),
    **dict.fromkeys(("learning_rate", "rho", "epsilon", "item_alpha", "user_alpha"), _NUMBER),
}


def random_source(random_state: Any) -> np.random.RandomState:
    """What the constructor is told to draw from.

    Raises
    ------
    TypeError, ValueError
        It is no RandomState and none can be made of it.
    """
    if isinstance(random_state, np.random.RandomState):
        return random_state
    try:
        return np.random.RandomState(random_state)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"random_state must be an int of 0 or more, None or a numpy.random.RandomState, got "
            f"{random_state!r} ({error})"
        ) from None


def whole(name: str, value: Any) -> int:
    """An integer, as LightFM makes it of `k` and `n`; TypeError or ValueError where it cannot."""
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} must be an integer, got {value!r}") from None


def check_parameters(values: dict[str, Any]) -> None:
    """Those of the constructor, by name.

    Raises
    ------
    TypeError
        One is no number, or no integer.
    AssertionError
        One is out of range, as LightFM says it.
    ValueError
        `max_sampled` < 1.
    """
    most = values["max_sampled"]
    if isinstance(most, numbers.Real) and most < 1:  # also where it is no integer, as LightFM
        raise ValueError(f"max_sampled must be a positive integer, got {most!r}")
    for name, (kind, what) in _KINDS.items():
        if not isinstance(values[name], kind):
            raise TypeError(
                f"{name} must be {what}, got {values[name]!r} of type {type(values[name]).__name__}"
            )
    expected = {
        "item_alpha": (values["item_alpha"] >= 0, "0 or more"),
        "user_alpha": (values["user_alpha"] >= 0, "0 or more"),
        "no_components": (values["no_components"] > 0, "1 or more"),
        "k": (values["k"] > 0, "1 or more"),
        "n": (values["n"] > 0, "1 or more"),
        "rho": (0 < values["rho"] < 1, "more than 0 and less than 1"),
        "epsilon": (values["epsilon"] >= 0, "0 or more"),
        "learning_schedule": (values["learning_schedule"] in SCHEDULES, f"one of {SCHEDULES}"),
        "loss": (values["loss"] in LOSSES, f"one of {LOSSES}"),
    }
    for name, (holds, what) in expected.items():
        if not holds:
            raise AssertionError(f"{name} must be {what}, got {values[name]!r}")


@dataclass(frozen=True)
class Inputs:
    """Checked arguments of `fit_partial`.

    Attributes
    ----------
    row, column : (nnz,) int32
        Of the entries, in the caller's order.
    values : (nnz,) float32
    weights : (nnz,) float32, or None
        None: all 1.
    shape : (int, int)
    user_features, item_features : csr_matrix of float32, or None
        None: row r is feature r.
    """

    row: np.ndarray
    column: np.ndarray
    values: np.ndarray
    weights: np.ndarray | None
    shape: tuple[int, int]
    user_features: sparse.csr_matrix | None
    item_features: sparse.csr_matrix | None

    @property
    def widths(self) -> tuple[int, int]:
        """How many features there are, of users and of items."""
        users, items = self.user_features, self.item_features
        return (
            self.shape[0] if users is None else users.shape[1],
            self.shape[1] if items is None else items.shape[1],
        )

    def samples(self, loss: str, order: np.ndarray) -> Samples:
        """What an epoch goes through: entries in this order, of most losses the liked ones."""
        if loss in ("bpr", "warp"):
            order = order[self.values[order] > 0]
        weights = None if self.weights is None else self.weights[order]
        liked = (self.values[order] > 0).astype(np.uint8) if loss == "logistic" else None
        return Samples(self.row[order], self.column[order], weights, liked)


def checked(
    interactions: Any, user_features: Any, item_features: Any, sample_weight: Any, loss: str
) -> Inputs:
    """The arguments of `fit_partial`, of which nothing is changed.

    Raises
    ------
    TypeError
        Something is no sparse matrix.
    NotImplementedError
        Weights for "warp-kos".
    ValueError
        Weights of another shape or order than the interactions; a value that is not finite;
        fewer rows of features than users or items.
    """
    entries = as_sparse("interactions", interactions).tocoo()
    row, column = entries.row, entries.col
    weights = _weights(entries, sample_weight, loss)
    values = entries.data.astype(np.float32)
    finite("interactions", values)
    sides = []
    for number, (noun, features) in enumerate((("user", user_features), ("item", item_features))):
        sides.append(feature_matrix(noun, features, entries.shape[number]))
    return Inputs(
        row.astype(np.int32), column.astype(np.int32), values, weights, entries.shape, *sides
    )


def as_sparse(name: str, matrix: Any) -> Any:
    """`matrix`; TypeError unless it is sparse."""
    if not sparse.issparse(matrix):
        raise TypeError(
            f"{name} must be a scipy.sparse matrix, got {type(matrix).__name__}: convert it with "
            "scipy.sparse.coo_matrix(...)"
        )
    return matrix


def finite(name: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        wrong = values[~np.isfinite(values)][0]
        raise ValueError(
            f"Not all input values are finite: {name} has a value {wrong}. Remove such entries"
        )


def feature_matrix(noun: str, features: Any, rows: int) -> sparse.csr_matrix | None:
    """`features` as CSR of float32, or None where row r has feature r alone.

    Raises
    ------
    TypeError, ValueError
        Not sparse; fewer rows than there are users or items; a value that is not finite.
    """
    if features is None:
        return None
    name = f"{noun}_features"
    matrix = as_sparse(name, features).tocsr().astype(np.float32, copy=False)
    if matrix.shape[0] < rows:
        raise ValueError(
            f"{name} has {matrix.shape[0]} rows and there are {rows} {noun}s: give each a row "
            "(Number of feature rows does not equal the number of rows)"
        )
    finite(name, matrix.data)
    return None if _is_identity(matrix, rows) else matrix


def _is_identity(matrix: sparse.csr_matrix, rows: int) -> bool:
    if matrix.shape != (rows, rows) or matrix.nnz != rows:
        return False
    numbers = np.arange(rows)
    each = np.array_equal(matrix.indices, numbers) and np.array_equal(matrix.indptr[:-1], numbers)
    return bool(each and np.all(matrix.data == 1))


def _weights(entries: sparse.coo_matrix, weights: Any, loss: str) -> np.ndarray | None:
    if weights is None:
        return None
    if loss == "warp-kos":
        raise NotImplementedError(
            'loss="warp-kos" takes no sample_weight: leave it out, or use loss="warp"'
        )
    if not sparse.issparse(weights) or weights.format != "coo":
        raise ValueError(
            f"sample_weight must be a COO matrix, got {type(weights).__name__}: make one of the "
            "row and col of interactions"
        )
    if weights.shape != entries.shape:
        raise ValueError(
            f"sample_weight has the shape {weights.shape} and interactions {entries.shape}: "
            "expected the same"
        )
    same = np.array_equal(entries.row, weights.row) and np.array_equal(entries.col, weights.col)
    if not same:
        raise ValueError(
            "sample_weight must have the entries of interactions, in the same order: make it of "
            "their row and col"
        )
    values = weights.data.astype(np.float32)
    finite("sample_weight", values)
    return values


def initial_state(random: Any, features: int, components: int, schedule: str) -> dict[str, Any]:
    """The six arrays of a side, by their names, from the numbers that LightFM draws."""
    embeddings = ((random.rand(features, components) - 0.5) / components).astype(np.float32)
    start = np.float32(schedule == "adagrad")
    of_embeddings = (np.full_like(embeddings, start), np.zeros_like(embeddings))
    biases = np.zeros(features, np.float32)
    of_biases = (np.full_like(biases, start), np.zeros_like(biases))
    return dict(zip(STATE, (embeddings, *of_embeddings, biases, *of_biases), strict=True))


def engine(model: Any, inputs: Inputs) -> tuple[HybridSGD, FeatureRows, FeatureRows]:
    """What trains, and the sides it trains: copies of the model's arrays."""
    adadelta = model.learning_schedule == "adadelta"
    users = FeatureRows(inputs.user_features, _learned(model, "user"), model.user_alpha, adadelta)
    items = FeatureRows(inputs.item_features, _learned(model, "item"), model.item_alpha, adadelta)
    options = HybridOptions(
        model.loss, model.learning_rate, model.rho, model.epsilon, model.max_sampled, model.k,
        model.n, model.hogwild,
    )  # fmt: skip
    ones = np.ones(len(inputs.row), np.float32)
    stored = sparse.csr_array((ones, (inputs.row, inputs.column)), inputs.shape)
    stored.sum_duplicates()
    return HybridSGD(users, items, options, stored, inputs.column), users, items


def _learned(model: Any, noun: str) -> LearnedFeatures:
    """The arrays of a side, which may be what a user has assigned."""
    shape = np.shape(getattr(model, f"{noun}_embeddings"))
    arrays = {}
    for name in STATE:
        array = np.array(getattr(model, f"{noun}_{name}"), np.float32, order="C")
        expected = shape if name.startswith("embedding") else shape[:1]
        if array.shape != expected:
            raise ValueError(
                f"{noun}_{name} has the shape {array.shape}; expected {expected}, as "
                f"{noun}_embeddings has the shape {shape}"
            )
        arrays[name] = array
    return LearnedFeatures(
        arrays["embeddings"], arrays["embedding_gradients"], arrays["embedding_momentum"],
        arrays["biases"], arrays["bias_gradients"], arrays["bias_momentum"],
    )  # fmt: skip


def learned_state(side: FeatureRows) -> dict[str, np.ndarray]:
    """What a side has come to, by LightFM's names."""
    side.write()
    now = side.learned
    arrays = (
        now.embeddings, now.squares, now.momentum, now.biases, now.bias_squares, now.bias_momentum,
    )  # fmt: skip
    return dict(zip(STATE, arrays, strict=True))


def sound(users: FeatureRows, items: FeatureRows) -> bool:
    """Whether all that has been learned is finite."""
    return bool(np.isfinite(users.values).all() and np.isfinite(items.values).all())
