"""What the rest of recsys may ask of models beyond what their users may.

The command line, tuning, plots, serving and the drop-in go by these functions alone: no private
member of a model is used outside of this folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys import checks
from recsys.csr import TrainingMatrix
from recsys.interactions import Ids
from recsys.kernels import NormOrder
from recsys.models import factor_lists
from recsys.models.factor_model import FactorModel
from recsys.models.ids import Vocabulary
from recsys.models.model import Model

if TYPE_CHECKING:
    from scipy import sparse

# ---- parameters --------------------------------------------------------------------------------


def parameter_names(model_class: type[Model]) -> list[str]:
    """Of the constructor, in its order."""
    return model_class._parameter_names()


def check_names(model_class: type[Model], names: Iterable[str]) -> None:
    """ValueError unless all `names` are those of parameters."""
    model_class._check_names(names, ValueError)


def check_parameters(model: Model) -> np.dtype:
    """The errors that `fit` would raise about parameters, without data; returns the dtype."""
    return model._check_parameters()


def in_effect(model: Model, name: str) -> Any:
    """A parameter, or what it comes to where it is None: in the last fit."""
    return model._in_effect(name)


def chosen_on(model: Model, counts: sparse.csr_array) -> Mapping[str, Any]:
    """The parameters that a fit would choose by what it learns from."""
    return model._chosen_on(counts)


def json_parameters(model: Model) -> dict[str, Any]:
    """All parameters as JSON can hold them; TypeError where one is a function."""
    return model._json_parameters()


def iterations_name(model_class: type[Model]) -> str | None:
    """The parameter that says how many iterations `fit` makes; None: it makes none."""
    return model_class._iterations_name if issubclass(model_class, FactorModel) else None


def iterations(model: Any, train: sparse.csr_array) -> int:
    """How many iterations `fit` makes on these counts, of a model that makes any."""
    return model._times(train.shape[0], train.nnz)


def iterations_to_repeat(model: Any, best: int, made: int) -> int | None:
    """What the parameter is to be if `best` of the iterations that were made are to be made again:
    None, as it is, where the model chose how many, and the last was the best. Elsewhere it may have
    to make more."""
    chose = getattr(model, model._iterations_name) is None
    return None if chose and best == made else best


def default_metric(model_class: type[Model]) -> str:
    """What held-out interactions are measured by, such as "ndcg@10"."""
    return model_class._default_metric


# ---- what is known -----------------------------------------------------------------------------


def shape(model: Model) -> tuple[int, int]:
    """Users and items; NotFittedError where there are none yet."""
    return model._known_shape()


def id_names(model: Model) -> tuple[str, str] | None:
    """What the caller's table calls users and items; None of a model without ids."""
    return None if model._ids is None else model._ids.names


def value_name(model: Model) -> str | None:
    """What the caller's table calls how much an event counts; None where each counted as one, or
    where there was no such table."""
    return None if model._ids is None else model._ids.value


def remembered(model: Model) -> TrainingMatrix:
    """The training matrix.

    Raises
    ------
    NotFittedError, ValueError
        None is remembered, or one of another shape than the model's.
    """
    return model._remembered()


# ---- lists from elsewhere, factors from elsewhere ----------------------------------------------


def listed_vectors(model: Any, kind: str) -> np.ndarray:
    """What items have that lists go by.

    Parameters
    ----------
    model : FactorModel
    kind : {"recommend", "similar"}
        The vectors whose inner products with users' are scores, biases being one more column; or
        the factors whose cosines make items similar.

    Raises
    ------
    NotFittedError
        The model has no factors yet.
    TypeError
        Not a factor model.
    """
    if not isinstance(model, FactorModel):
        raise TypeError(
            "model must be a fitted model of recsys with item factors, such as ImplicitALS; got "
            f"{type(model).__module__}.{type(model).__qualname__}"
        )
    return (
        factor_lists.scored_items(model) if kind == "recommend" else model._factors("_item_factors")
    )


def learned_of_items(model: FactorModel) -> tuple[np.ndarray, np.ndarray | None]:
    """Item factors and biases: the same arrays as long as lists by them are the same."""
    return model._item_factors, model._item_biases


def norm_order(model: FactorModel, n_users: int) -> NormOrder | None:
    """What makes the exact lists of so many users faster, see `kernels.norm_order`."""
    return factor_lists.norm_order(model, n_users)


def listing_with(model: FactorModel, topk: Callable[..., Any]) -> FactorModel:
    """The same model, whose lists come from `topk`, which is called as `kernels.topk` is and needs
    no order of norms."""
    return model._twin(_topk=topk)


def new_items(model: FactorModel) -> np.ndarray:
    """The items that only features tell of, ascending."""
    known = model._features.get("items")
    return np.empty(0, np.int64) if known is None else known.rows


def start_from(
    model: FactorModel,
    user_factors: np.ndarray,
    item_factors: np.ndarray,
    *,
    user_biases: np.ndarray | None = None,
    item_biases: np.ndarray | None = None,
    mean: float = 0.0,
) -> None:
    """Have a model answer by these factors, and go on from them when it is fitted with
    `warm_start`.

    Parameters
    ----------
    model : FactorModel
        As constructed. Its parameters are checked.
    user_factors, item_factors : array, shapes (n_users, factors) and (n_items, factors)
        Shared, not copied, where they are C-contiguous and of the model's dtype.
    user_biases, item_biases : array, shapes (n_users,) and (n_items,), optional
    mean : float, default 0.0
        What all scores have in common, beside biases.

    Raises
    ------
    TypeError, ValueError
        A parameter or an array is not as described; the model is unchanged then.
    """
    dtype = model._check_parameters()
    state: dict[str, Any] = {"_mean": float(mean)}
    sides = (("user", user_factors, user_biases), ("item", item_factors, item_biases))
    for noun, factors, biases in sides:
        state[f"_{noun}_factors"] = checks.factor_matrix(f"{noun}_factors", factors, dtype)
        if biases is not None:
            column = checks.factor_matrix(f"{noun}_biases", np.reshape(biases, (-1, 1)), dtype)
            if len(column) != len(factors):
                raise ValueError(
                    f"{noun}_biases has {len(column)} values; expected {len(factors)}, one a row "
                    f"of {noun}_factors"
                )
            state[f"_{noun}_biases"] = column[:, 0]
    model._publish(state)


def name_rows(model: FactorModel, users: Ids, items: Ids, names: tuple[str, str]) -> None:
    """Have a model that answers by `start_from` speak ids: one for each row of its factors, and
    what a table calls them."""
    model._publish({"_ids": Vocabulary(users, items, names, None)})
