"""Tables for people: as text, and as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """As text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def html_table(rows: Sequence[Sequence[str]], *, headed: bool = True) -> str:
    """As HTML without colours of its own, so that it suits light and dark pages; all is escaped.

    Where it is `headed`, the first row is bold and all but the first column to the right, as
    numbers are; else all is to the left.
    """
    lines = []
    for number, row in enumerate(rows):
        tag = "th" if headed and number == 0 else "td"
        cells = (
            f'<{tag} style="text-align:{side};padding:0 .6em">{escape(cell)}</{tag}>'
            for cell, side in zip(row, _sides(len(row), headed), strict=True)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<table style="color:inherit">{"".join(lines)}</table>'


def _sides(count: int, headed: bool) -> list[str]:
    return ["left", *["right" if headed else "left"] * (count - 1)]
