"""Models by name, and their parameters from the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any

import typer

from recsys import checks
from recsys.models import BPR, internal
from recsys.models.load import MODELS
from recsys.models.model import Model


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


# Name -> class, and what is fixed by the name
KINDS: dict[str, tuple[type[Model], dict[str, Any]]] = {
    **{_kebab(cls.__name__): (cls, {}) for cls in MODELS},
    "warp": (BPR, {"loss": "warp"}),
}
DEFAULT = "implicit-als"


def begun(incomplete: str) -> list[str]:
    """The names that a shell may complete this to."""
    return [name for name in sorted(KINDS) if name.startswith(incomplete)]


ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help=f"One of {', '.join(sorted(KINDS))}.",
        autocompletion=begun,
    ),
]
_PANEL = "Parameters of the model (unset: the model's defaults)"


def _option(name: str, text: str) -> Any:
    return typer.Option(name, help=text, rich_help_panel=_PANEL, show_default=False)


@dataclass(frozen=True)
class Parameters:
    """Options for parameters of models: the common ones, and `set` for all."""

    factors: Annotated[int | None, _option("--factors", "Latent factors.")] = None
    regularization: Annotated[float | None, _option("--regularization", "Lambda.")] = None
    alpha: Annotated[float | None, _option("--alpha", "Scale of the confidences.")] = None
    iterations: Annotated[int | None, _option("--iterations", "Of some models: epochs.")] = None
    learning_rate: Annotated[
        float | None, _option("--learning-rate", "Of models that take steps.")
    ] = None
    threads: Annotated[
        int | None, _option("--threads", "Unset: all that this process may use.")
    ] = None
    set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Any parameter by its Python name, such as solver=cg; repeatable.",
            rich_help_panel=_PANEL,
            show_default=False,
        ),
    ] = None
    seed: Annotated[int, typer.Option(help="Of all that is drawn.", rich_help_panel=_PANEL)] = 0

    def of(self, names: Sequence[str]) -> dict[str, tuple[type[Model], dict[str, Any]]]:
        """The classes of models by name, and what was given for each.

        Raises
        ------
        ValueError
            There is no such model, or none of them has such a parameter.
        """
        for name in names:
            checks.choice("model", name, tuple(sorted(KINDS)))
        options = {
            each.name: value
            for each in fields(self)
            if each.name not in ("set", "seed") and (value := getattr(self, each.name)) is not None
        }
        settings = dict(map(_setting, self.set or ()))
        for option in options:
            self._check_known(names, option, "--" + option.replace("_", "-"))
        for option in settings:
            self._check_known(names, option, f"parameter {option!r}")
        return {name: (KINDS[name][0], self._of_one(name, options | settings)) for name in names}

    def models(self, names: Sequence[str]) -> dict[str, Model]:
        """Models by name, with these parameters, checked as far as that needs no data."""
        models = {name: cls(**options) for name, (cls, options) in self.of(names).items()}
        for model in models.values():
            internal.check_parameters(model)
        return models

    def _of_one(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        cls, fixed = KINDS[name]
        parameters = {parameter_name(cls, each): value for each, value in options.items()}
        parameters = {"random_state": self.seed, **fixed, **parameters}
        return {
            each: value
            for each, value in parameters.items()
            if each in internal.parameter_names(cls)
        }

    def _check_known(self, names: Sequence[str], option: str, shown: str) -> None:
        """ValueError unless one of the models has a parameter."""
        known: dict[str, None] = {}
        for cls in (KINDS[name][0] for name in names):
            if parameter_name(cls, option) in internal.parameter_names(cls):
                return
            known |= dict.fromkeys(internal.parameter_names(cls))
        hint = checks.nearest(option, known) or f"; there are {', '.join(known)}"
        has = "has" if len(names) == 1 else "have"
        raise ValueError(f"{' and '.join(names)} {has} no {shown}{hint}")


def parameter_name(cls: type[Model], option: str) -> str:
    """What a model calls the parameter of an option."""
    if option == "iterations":
        return internal.iterations_name(cls) or option
    return {"threads": "num_threads", "seed": "random_state"}.get(option, option)


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set takes NAME=VALUE, such as solver=cg; got {text!r}")
    return name.strip(), _parsed(value.strip())


def _parsed(text: str) -> Any:
    """A number, a tuple of them, True, False or None; all else is a string."""
    named = {"true": True, "false": False, "none": None}
    if text.lower() in named:
        return named[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
