"""What all commands share: options in groups, what they say, and errors in one line."""

from __future__ import annotations

import inspect
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, get_type_hints

import typer
from tqdm import tqdm

import recsys
from recsys.cli.exit_status import BROKEN_PIPE, INTERRUPTED
from recsys.cli.wording import as_typed

# What the library raises where input, files or the machine are at fault, and not the program.
EXPECTED = (ValueError, TypeError, LookupError, OSError, ImportError, ArithmeticError, MemoryError)

app = typer.Typer(
    name="recsys",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train recommenders on plays, clicks, purchases or ratings, and ask them.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"recsys {recsys.__version__}")
        raise typer.Exit


@app.callback()
def _recsys(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say which it is."),
    ] = False,
) -> None:
    """What can be said before a command."""


@dataclass(frozen=True)
class Talk:
    """How much a command says, on standard error."""

    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            show_default=False,
            help="Say what is being done, and where an error comes from; -vv: in detail.",
        ),
    ] = 0
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, no remarks: only results.")
    ] = False

    def say(self, text: str) -> None:
        if not self.quiet:
            typer.echo(text, err=True)


def register(name: str, function: Callable[..., None]) -> None:
    """Make a function the command `name`.

    A parameter annotated with a dataclass stands for the options that are its fields. Every command
    has those of `Talk`, as `talk`, and ends as `reported` says.
    """
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    groups: dict[str, Any] = {
        p.name: p.annotation for p in parameters if is_dataclass(p.annotation)
    }
    options = [each for parameter in parameters for each in _options(parameter)]

    def run(**values: Any) -> None:
        filled = {
            each: kind(**{field.name: values.pop(field.name) for field in fields(kind)})
            for each, kind in groups.items()
        }
        with reported(filled["talk"]):
            function(**values, **filled)

    keyword = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in options]
    vars(run)["__signature__"] = inspect.Signature(keyword)  # what typer makes options of
    app.command(name, help=function.__doc__)(run)


def _options(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    """The fields of a group, or the parameter itself."""
    if not is_dataclass(parameter.annotation):
        return [parameter]
    group: Any = parameter.annotation
    hints = get_type_hints(group, include_extras=True)
    parameters = inspect.signature(group).parameters.values()
    return [each.replace(annotation=hints[each.name]) for each in parameters]


@contextmanager
def reported(talk: Talk) -> Iterator[None]:
    """Log as `talk` says, and turn what goes wrong into one line and an exit status."""
    with _logging(talk), warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _write("warning", str(message))
        try:
            yield
            sys.stdout.flush()  # here a closed pipe is an error that can be caught
        except KeyboardInterrupt as interrupt:
            _write("interrupted", str(interrupt) or "nothing was written")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        except EXPECTED as error:
            if talk.verbose:
                traceback.print_exc()
            _write("error", in_one_line(error))
            raise typer.Exit(1) from None


def in_one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror + (f": {error.filename}" if error.filename else "")
    elif isinstance(error, KeyError) and type(error).__str__ is KeyError.__str__:
        text = str(error.args[0]) if error.args else ""  # its own is in quotes
    else:
        text = str(error)
    if isinstance(error, MemoryError):
        text = f"not enough memory. {text}"
    return " ".join(text.split()) or type(error).__name__


@contextmanager
def _logging(talk: Talk) -> Iterator[None]:
    """The library's log on standard error, from warnings on or as far as `talk` wants it."""
    logger, handler = logging.getLogger("recsys"), _Lines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(talk.verbose, 2)])
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _write(record.levelname.lower(), record.getMessage())


def _write(kind: str, text: str) -> None:
    tqdm.write(
        f"{kind}: {as_typed(text)}", file=sys.stderr
    )  # above a progress bar, if there is one
