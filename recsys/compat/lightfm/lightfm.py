"""lightfm.lightfm: `LightFM`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from recsys.progress import progress_bar

from . import serving
from .ranks import MOST_ID, ranks_of, row_numbers
from .training import (
    STATE,
    Inputs,
    as_sparse,
    check_parameters,
    checked,
    engine,
    feature_matrix,
    initial_state,
    learned_state,
    random_source,
    sound,
    whole,
)  # fmt: skip

__all__ = ["LightFM"]

_SIDES = ("item", "user")  # in the order in which LightFM draws them
_PAIRS = 1 << 16  # whose rows are multiplied at a time


class LightFM:
    """A model of users and items that are sums of features (Kula, CBRecSys 2015).

    Row r of a matrix of features weighs embeddings e_k and biases b_k of the features k::

        x_u = sum_k F_uk e_k,  y_i = sum_k G_ik e_k,  s_ui = x_u . y_i + b_u + b_i

    Without a matrix each user or item is a feature of its own. A matrix stands for itself: no
    such feature is added to it.

    Parameters are LightFM's, in its order, with its defaults.

    Parameters
    ----------
    no_components : int, default 10
        Length f of embeddings.
    k, n : int, default 5 and 10
        Of "warp-kos": the k-th best of n of the user's items is the one that is liked.
    learning_schedule : {"adagrad", "adadelta"}, default "adagrad"
    loss : {"logistic", "bpr", "warp", "warp-kos"}, default "logistic"
        Only "logistic" learns from entries that are not positive, as dislikes.
    learning_rate : float, default 0.05
        Of "adagrad".
    rho, epsilon : float, default 0.95 and 1e-6
        Of "adadelta".
    item_alpha, user_alpha : float, default 0
        Regularization: in a step the features that are not in it shrink by 1 + alpha times its
        mean rate.
    max_sampled : int, default 10
        Items drawn for a step of "warp" and "warp-kos", at most.
    random_state : int, None or RandomState
        What is drawn for the embeddings at first, and the order of the entries, are LightFM's.

    Attributes
    ----------
    item_embeddings, user_embeddings : array of float32, shape (features, f)
        None before `fit`; like all of these they can be assigned.
    item_biases, user_biases : array of float32, shape (features,)
    item_embedding_gradients, item_bias_gradients, user_embedding_gradients, user_bias_gradients
        Sums of squared gradients, in the same shapes.
    item_embedding_momentum, item_bias_momentum, user_embedding_momentum, user_bias_momentum
        Of "adadelta", squared steps.
    hogwild : bool, default False
        True: threads write where they like, which is faster with several, and never gives the
        same model twice. Without it the result is the same for any number of threads.

    Raises
    ------
    AssertionError
        A parameter is out of range, as LightFM says it.
    ValueError
        `max_sampled` < 1.
    TypeError
        A parameter is no number or no integer; `random_state` is something else.
    """

    item_embeddings: Any
    user_embeddings: Any
    hogwild = False
    # Whether training had features of users, of items, that are not the identity. What LightFM
    # pickled does not say.
    _had_features = (False, False)

    def __init__(
        self,
        no_components: int = 10,
        k: int = 5,
        n: int = 10,
        learning_schedule: str = "adagrad",
        loss: str = "logistic",
        learning_rate: float = 0.05,
        rho: float = 0.95,
        epsilon: float = 1e-6,
        item_alpha: float = 0.0,
        user_alpha: float = 0.0,
        max_sampled: int = 10,
        random_state: Any = None,
    ) -> None:
        self.loss = loss
        self.learning_schedule = learning_schedule
        self.no_components = no_components
        self.learning_rate = learning_rate
        self.k, self.n = whole("k", k), whole("n", n)
        self.rho = rho
        self.epsilon = epsilon
        self.max_sampled = max_sampled
        self.item_alpha = item_alpha
        self.user_alpha = user_alpha
        check_parameters(vars(self))
        self.initial_random_state = random_state
        self.random_state = random_source(random_state)
        self._reset_state()

    # ---- training ------------------------------------------------------------------------------

    def fit(
        self,
        interactions: Any,
        user_features: Any = None,
        item_features: Any = None,
        sample_weight: Any = None,
        epochs: int = 1,
        num_threads: int = 1,
        verbose: bool = False,
    ) -> LightFM:
        """Forget what was learned, and train; see `fit_partial`."""
        inputs = checked(interactions, user_features, item_features, sample_weight, self.loss)
        self._check_threads(num_threads)
        self._reset_state()
        return self._train(inputs, epochs, num_threads, verbose)

    def fit_partial(
        self,
        interactions: Any,
        user_features: Any = None,
        item_features: Any = None,
        sample_weight: Any = None,
        epochs: int = 1,
        num_threads: int = 1,
        verbose: bool = False,
    ) -> LightFM:
        """Train on from what was learned before.

        Parameters
        ----------
        interactions : sparse matrix, users x items
            What is stored twice is learned twice.
        user_features, item_features : sparse matrix, (at least users, features), optional
        sample_weight : COO matrix, optional
            Of the entries of `interactions`, in their order; None: all 1.
        epochs : int, default 1
        num_threads : int, default 1
            0 means all that are available.
        verbose : bool, default False
            Show a progress bar.

        Returns
        -------
        LightFM
            Itself.

        Raises
        ------
        TypeError
            Something is no sparse matrix.
        NotImplementedError
            Weights for "warp-kos".
        ValueError
            Weights of another shape or order than the interactions; a value that is not finite;
            fewer rows of features than users or items; another number of features than the model
            has; training diverged. What was learned before is still there then.
        """
        inputs = checked(interactions, user_features, item_features, sample_weight, self.loss)
        self._check_threads(num_threads)
        return self._train(inputs, epochs, num_threads, verbose)

    def _train(self, inputs: Inputs, epochs: int, num_threads: int, verbose: bool) -> LightFM:
        if self.item_embeddings is None:
            for noun, width in zip(_SIDES, inputs.widths[::-1], strict=True):
                self._set_state(
                    noun,
                    initial_state(
                        self.random_state, width, self.no_components, self.learning_schedule
                    ),
                )
        for noun, width in zip(("user", "item"), inputs.widths, strict=True):
            known = len(getattr(self, f"{noun}_embeddings"))
            if width != known:
                raise ValueError(
                    f"Incorrect number of features in {noun}_features: {width}, and the model has "
                    f"{known}. Call fit to start anew"
                )
        had = inputs.user_features is not None, inputs.item_features is not None
        training, users, items = engine(self, inputs)
        learned = False
        try:
            for _ in progress_bar(verbose, iterable=range(epochs), desc="Epoch"):
                order = np.arange(len(inputs.row), dtype=np.int32)
                self.random_state.shuffle(order)
                key = 0 if self.loss == "logistic" else int(self.random_state.randint(0, MOST_ID))
                learned = True
                training.epoch(inputs.samples(self.loss, order), key, num_threads)
                if not sound(users, items):
                    raise ValueError(
                        "Not all estimated parameters are finite, your model may have diverged: "
                        f"lower learning_rate, which is {self.learning_rate:g}, or scale down "
                        "features and sample weights. The model is as it was before"
                    )
        finally:
            if learned and sound(users, items):
                self._set_state("user", learned_state(users))
                self._set_state("item", learned_state(items))
                self._had_features = had
        return self

    # ---- answers -------------------------------------------------------------------------------

    def predict(
        self,
        user_ids: Any,
        item_ids: Any,
        item_features: Any = None,
        user_features: Any = None,
        num_threads: int = 1,
    ) -> np.ndarray:
        """Scores of pairs of a user and an item.

        Parameters
        ----------
        user_ids : int, or integers of shape (n,)
            An int stands for itself n times.
        item_ids : integers of shape (n,)
        item_features, user_features : sparse matrix, optional
            As in training; more rows are new items and users.
        num_threads : int, default 1

        Returns
        -------
        array of float32, shape (n,)

        Raises
        ------
        ValueError
            Not fitted; ids that are negative or beyond the rows; different numbers of them; a
            matrix of more features than the model has; none, where training had one.
        """
        self._check_initialized()
        items = np.asarray(item_ids)
        users = np.asarray(user_ids)
        users = np.full(len(items), users) if users.ndim == 0 else users
        if len(users) != len(items):
            raise ValueError(
                f"Expected the number of user IDs ({len(users)}) to equal the number of item IDs "
                f"({len(items)})"
            )
        self._check_threads(num_threads)
        users, items = row_numbers("user_ids", users), row_numbers("item_ids", items)
        out = np.empty(len(items), np.float32)
        if not len(items):
            return out
        of_users = self._rows("user", user_features, users)
        of_items = self._rows("item", item_features, items)
        for begin in range(0, len(out), _PAIRS):
            at = slice(begin, begin + _PAIRS)
            x, b = (array[of_users[0][at]] for array in of_users[1:])
            y, c = (array[of_items[0][at]] for array in of_items[1:])
            out[at] = np.einsum("ij,ij->i", x, y) + b + c
        return out

    def predict_rank(
        self,
        test_interactions: Any,
        train_interactions: Any = None,
        item_features: Any = None,
        user_features: Any = None,
        num_threads: int = 1,
        check_intersections: bool = True,
    ) -> sparse.csr_matrix:
        """How many items are before each entry in its user's ranking of all items.

        Parameters
        ----------
        test_interactions : sparse matrix, users x items
        train_interactions : sparse matrix of the same shape, optional
            Items that are left out of the ranking.
        item_features, user_features : sparse matrix, optional
            As in training.
        num_threads : int, default 1
            Not used: scores come from one product of matrices, by BLAS and its threads.
        check_intersections : bool, default True
            Refuse matrices that share entries that are not zero.

        Returns
        -------
        csr_matrix of float32
            With the entries of `test_interactions`. Others of the same score are before.

        Raises
        ------
        ValueError
            Not fitted; the matrices share entries; another number of features than the model has.
        """
        self._check_initialized()
        self._check_threads(num_threads)
        test = as_sparse("test_interactions", test_interactions).tocsr().astype(np.float32)
        train = None
        if train_interactions is not None:
            train = as_sparse("train_interactions", train_interactions).tocsr()
            shared = test.multiply(train).nnz if check_intersections else 0
            if shared:
                raise ValueError(
                    f"Test interactions matrix and train interactions matrix share {shared} "
                    "interactions: split them anew, or pass check_intersections=False"
                )
        sides = []
        for place, (noun, features) in enumerate(
            (("user", user_features), ("item", item_features))
        ):
            rows = test.shape[place]
            biases, embeddings = self._representations(noun, features, rows, exactly=True)
            sides.append((embeddings, biases))
        ranks = ranks_of(test, train, *sides)
        return sparse.csr_matrix((ranks, test.indices, test.indptr), test.shape)

    def get_item_representations(self, features: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Biases (n,) and embeddings (n, f) of items.

        Parameters
        ----------
        features : sparse matrix, (n, features), optional
            None: the arrays of the features themselves.

        Raises
        ------
        ValueError
            Not fitted.
        """
        return self._get_representations("item", features)

    def get_user_representations(self, features: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Biases (n,) and embeddings (n, f) of users; see `get_item_representations`."""
        return self._get_representations("user", features)

    def to_recsys(
        self,
        dataset: Any = None,
        interactions: Any = None,
        *,
        user_features: Any = None,
        item_features: Any = None,
    ) -> Any:
        """A model of recsys that ranks as this one does, with ids, lists, files and indexes.

        Parameters
        ----------
        dataset : lightfm.data.Dataset, optional
            Whose ids the model is to speak; None: it speaks row numbers.
        interactions : sparse matrix, users x items, optional
            What the model remembers, and leaves out of lists as seen.
        user_features, item_features : sparse matrix, optional
            As in training.

        Returns
        -------
        recsys.LogisticMF or recsys.BPR
            The former of the logistic loss; factors are representations.

        Raises
        ------
        ValueError
            Not fitted; a matrix or ids of another number of rows than users or items.
        """
        self._check_initialized()
        users = self._representations("user", user_features, None)
        items = self._representations("item", item_features, None)
        return serving.servable(self, users, items, dataset, interactions)

    # ---- scikit-learn --------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; "random_state" is the RandomState."""
        names = (
            "loss", "learning_schedule", "no_components", "learning_rate", "k", "n", "rho",
            "epsilon", "max_sampled", "item_alpha", "user_alpha", "random_state",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> LightFM:
        """Set parameters by name; ValueError where there is none of that name."""
        known = self.get_params()
        for name in params:
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name} for estimator {type(self).__name__}: expected one "
                    f"of {', '.join(known)}"
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(None, TargetTags(required=False), input_tags=InputTags(sparse=True))

    # ---- state ---------------------------------------------------------------------------------

    def _reset_state(self) -> None:
        for noun in _SIDES:
            self._set_state(noun, dict.fromkeys(STATE))
        self._had_features = (False, False)

    def _set_state(self, noun: str, arrays: dict[str, Any]) -> None:
        for name, array in arrays.items():
            setattr(self, f"{noun}_{name}", array)

    def _check_initialized(self) -> None:
        if any(getattr(self, f"{noun}_{name}") is None for noun in _SIDES for name in STATE):
            raise ValueError("You must fit the model before trying to obtain predictions: call fit")

    def _check_threads(self, num_threads: int) -> None:
        if num_threads < 1:
            raise ValueError(f"Number of threads must be 1 or larger, got {num_threads}")

    def _get_representations(self, noun: str, features: Any) -> tuple[np.ndarray, np.ndarray]:
        self._check_initialized()
        biases, embeddings = getattr(self, f"{noun}_biases"), getattr(self, f"{noun}_embeddings")
        if features is None:
            return biases, embeddings
        matrix = sparse.csr_matrix(features, dtype=np.float32)
        return matrix @ biases, matrix @ embeddings

    def _representations(
        self, noun: str, features: Any, rows: int | None, exactly: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Biases and embeddings of at least so many rows."""
        biases, embeddings = self._get_representations(noun, None)
        matrix = feature_matrix(noun, features, rows or 0)
        if features is None and self._had_features[noun == "item"]:
            raise ValueError(
                f"the model was trained with {noun}_features: pass them here too, as without them "
                f"row r would be feature r"
            )
        width = (rows if rows is not None else len(biases)) if matrix is None else matrix.shape[1]
        if exactly and width != len(biases):
            raise ValueError(
                f"Incorrect number of features in {noun}_features: {width}, and the model has "
                f"{len(biases)}"
            )
        if width > len(biases):
            raise ValueError(
                f"The {noun} feature matrix specifies more features than there are estimated "
                f"feature embeddings: {len(biases)} vs {width}"
            )
        if matrix is None:
            return biases, embeddings
        return matrix @ biases[:width], matrix @ embeddings[:width]

    def _rows(
        self, noun: str, features: Any, ids: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where each id's row is, embeddings, biases: of all, or with features of those asked."""
        if features is None:
            biases, embeddings = self._representations(noun, None, int(ids.max()) + 1)
            return ids, embeddings, biases
        asked, places = np.unique(ids, return_inverse=True)
        matrix = as_sparse(f"{noun}_features", features).tocsr()
        if matrix.shape[0] <= asked[-1]:
            feature_matrix(noun, matrix, int(asked[-1]) + 1)
        biases, embeddings = self._representations(noun, matrix[asked], len(asked))
        return places, embeddings, biases
