"""A trained model in MLflow: stored with its model file, loaded and asked as a pyfunc.

The model file is an artifact that `recsys.load` maps into memory; MLflow keeps this file as the
model's code, so that nothing is pickled. A frame of users goes in, a frame of lists comes out,
which is checked against the model's own.

    pip install 'recsys-engine[mlflow]'
    python examples/mlflow_model.py
    python examples/mlflow_model.py --data counts.csv               # user,item,count
    python examples/mlflow_model.py --tracking http://localhost:5000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

import recsys
from recsys.datasets import lastfm360k_twin, read_interactions

try:
    import mlflow
    import pandas as pd
except ImportError:
    sys.exit("this example needs MLflow: pip install 'recsys-engine[mlflow]'")

USERS = 5  # shown


class Lists(mlflow.pyfunc.PythonModel):
    """The lists of a recsys model, one row an item."""

    def load_context(self, context):
        self.model = recsys.load(context.artifacts["model"])

    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        """`model_input` has a column `user`: ids, or row numbers of a model that knows no ids."""
        users = model_input["user"].to_numpy()
        items, scores = self.model.recommend(users, N=(params or {}).get("N", 10))
        lists = pd.DataFrame(
            {
                "user": np.repeat(users, items.shape[1]),
                "rank": np.tile(np.arange(1, items.shape[1] + 1), len(users)),
                "item": items.ravel(),
                "score": scores.ravel(),
            }
        )
        return lists[np.isfinite(lists["score"])].reset_index(drop=True)  # no empty places


mlflow.models.set_model(Lists())  # what MLflow looks for when it runs this file


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="a .csv of user,item,count, or an .npz; default: the synthetic twin of lastfm-360K at "
        "a hundredth of its size",
    )
    parser.add_argument("--tracking", help="a server; default: a temporary folder")
    parser.add_argument("--factors", type=int, default=64, help="default: 64")
    return parser.parse_args()


def store(model: recsys.ImplicitALS, folder: Path, tracking: str | None) -> str:
    """Put the model, with its file, into a run of a server or into `folder`; where it is now."""
    path = folder / "als.recsys"
    model.save(path)
    contents = {
        "python_model": __file__,
        "artifacts": {"model": str(path)},
        # from which MLflow learns what goes in and out
        "input_example": (pd.DataFrame({"user": [0]}), {"N": 10}),
        "pip_requirements": ["recsys-engine"],
    }
    if tracking is None:
        mlflow.pyfunc.save_model(folder / "lists", **contents)
        return str(folder / "lists")
    mlflow.set_tracking_uri(tracking)
    with mlflow.start_run():
        mlflow.log_params(model.get_params())
        for entry in model.history:
            mlflow.log_metric("seconds", entry.seconds, step=entry.iteration)
        return mlflow.pyfunc.log_model(name="lists", **contents).model_uri


def main() -> int:
    options = parse()
    try:
        dataset = read_interactions(options.data) if options.data else lastfm360k_twin(0.01)
    except (OSError, ValueError) as error:
        sys.exit(f"cannot use that data: {error}")
    print(dataset)
    model = recsys.ImplicitALS(options.factors, iterations=10, random_state=0)
    model.fit(dataset.user_items)
    users = pd.DataFrame({"user": np.arange(min(USERS, dataset.user_items.shape[0]))})
    with tempfile.TemporaryDirectory() as name:
        served = mlflow.pyfunc.load_model(store(model, Path(name), options.tracking))
        lists = served.predict(users, params={"N": 3})
        print(lists.to_string(index=False))
        own, scores = model.recommend(users["user"].to_numpy(), N=3)
        equal = np.array_equal(lists["item"], own[np.isfinite(scores)])
    print("the model's own lists are " + ("the same" if equal else "OTHERS"))
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
