"""`config` and `info`: what is installed, and what is in a model file."""

from __future__ import annotations

from typing import Any

import recsys
from recsys.cli.command import Talk
from recsys.cli.inputs import ModelFile
from recsys.cli.output import AsJson, print_facts, print_json
from recsys.kernels.config import configuration
from recsys.models import internal
from recsys.models.files import read_model_file
from recsys.models.model import Model

_CHOSEN = {
    "regularization_": "lambda",
    "regularization_exponent_": "nu",
    "unobserved_weight_": "w0",
    "bias_": "biases",
}


def config(talk: Talk, as_json: AsJson = False) -> None:
    """Show what this installation is and uses."""
    if as_json:
        print_json(configuration())
    else:
        recsys.show_config()


def info(path: ModelFile, talk: Talk, as_json: AsJson = False) -> None:
    """Show what is in a model file."""
    model, (header, _) = recsys.load(path), read_model_file(path)
    facts = about(model)
    facts |= {"saved_by_recsys": header["version"], "bytes": path.stat().st_size}
    if as_json:
        print_json({"file": str(path), **facts, "parameters": header["parameters"]})
        return
    facts["model"] = repr(model)
    print_facts(facts)


def about(model: Model) -> dict[str, Any]:
    """What a fitted model can say of itself, for people and machines."""
    users, items = internal.shape(model)
    facts: dict[str, Any] = {"model": type(model).__name__, "users": users, "items": items}
    for side in ("users", "items"):
        ids = getattr(model, side, None)
        facts[f"{side[:-1]}_ids"] = "row numbers" if ids is None else ids.kind
    matrix = model.training_matrix
    facts["entries"] = None if matrix is None else matrix.nnz
    for side, strength in getattr(model, "feature_regularization_", {}).items():
        facts[f"{side[:-1]}_feature_regularization"] = strength
    for name, short in _CHOSEN.items():  # those chosen from the data are in no parameter
        if hasattr(model, name):
            facts[short] = getattr(model, name)
    if model.history:
        last = model.history[(model.best_iteration or len(model.history)) - 1]
        facts["iterations"] = len(model.history)
        facts["best_iteration"] = model.best_iteration
        facts["seconds"] = sum(entry.seconds for entry in model.history)
        facts["loss"], facts["validation"] = last.loss, last.validation
    return facts
