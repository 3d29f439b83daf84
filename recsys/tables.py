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


def html_table(rows: Sequence[Sequence[str]], *, headed: bool = True, numbers: bool = True) -> str:
    """As HTML without colours of its own, so that it suits light and dark pages; all is escaped.

    The first row is bold where it is `headed`. All but the first column is to the right where it
    holds `numbers`.
    """
    style = "text-align:{};padding:0 .6em"
    lines = []
    for at, row in enumerate(rows):
        tag = "th" if headed and not at else "td"
        sides = ["left", *["right" if numbers else "left"] * (len(row) - 1)]
        cells = (
            f'<{tag} style="{style.format(side)}">{escape(cell)}</{tag}>'
            for cell, side in zip(row, sides, strict=True)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<table style="color:inherit">{"".join(lines)}</table>'
