"""Results on standard output: tables for people, JSON for machines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from recsys.whole_file import check_place

_WIDE = 10_000  # of output that goes to a file: nothing is cut off there

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def check_output(path: Path, *inputs: Path | None) -> None:
    """Raise what can be known to go wrong before there is anything to write; what is read must
    not be replaced."""
    check_place(path)
    for each in inputs:
        if each is not None and path.exists() and each.exists() and path.samefile(each):
            raise ValueError(f"{str(path)!r} is read, and would be replaced; write another file")


def print_json(content: Any) -> None:
    typer.echo(json.dumps(_json_value(content), indent=2, ensure_ascii=False))


def print_facts(facts: Mapping[str, Any]) -> None:
    """A name and a value a line; None is passed over."""
    known = {
        name.replace("_", " "): cell(value) for name, value in facts.items() if value is not None
    }
    width = max(map(len, known))
    for name, value in known.items():
        typer.echo(f"{name.ljust(width)}  {value}")


def print_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Numbers to the right, all else to the left."""
    cells = [list(map(cell, row)) for row in rows]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for at, name in enumerate(head):
        numbers = all(_is_number(row[at]) for row in cells)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in cells:
        table.add_row(*row)
    _print(table)


def cell(value: Any) -> str:
    """A value as people read it: 1,234,567 and 0.1234 rather than all digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        size = abs(value)
        form = ".4f" if size < 100 else ",.1f"
        return f"{value:{'.3g' if 0 < size < 1e-3 else form}}"
    return str(value)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "") or 0)
    except ValueError:
        return False
    return True


def _print(renderable: Any) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDE
    console.print(renderable, soft_wrap=False)


def _json_value(value: Any) -> Any:
    """As JSON has it: no NumPy, and null where there is no number."""
    if isinstance(value, Mapping):
        return {str(name): _json_value(each) for name, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _json_value(value.tolist())
    if isinstance(value, list | tuple):
        return [_json_value(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)
