"""Rows of what has been measured, in a JSON file that an interrupted run goes on from."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from harness import write_report

import recsys
from recsys import evaluation

Row = dict[str, Any]  # has "data" and "who", which no two rows share


@functools.cache
def code_version() -> str:
    """recsys' version, and a digest of its files."""
    digest = hashlib.sha256()
    folder = Path(recsys.__file__).parent
    for path in sorted(each for each in folder.rglob("*") if each.suffix in (".py", ".so")):
        digest.update(path.read_bytes())
    return f"recsys {recsys.__version__}, {digest.hexdigest()[:12]}"


class ResultRows:
    """What has been measured, in a JSON file; the values of each user beside it, for comparisons.

    Figures of an earlier run of the same kind (settings chosen alike, same CPU and threads) stay
    until they are measured again.

    Parameters
    ----------
    path : Path
    kind : dict
        What rows of one file have in common.
    facts : dict
        Of the machine.
    names : sequence of str
        Of data sets, in their order.
    """

    def __init__(
        self, path: Path, kind: dict[str, Any], facts: dict[str, Any], names: Iterable[str]
    ) -> None:
        self.path, self.kind, self.facts, self.names = path, kind, facts, tuple(names)
        self.data: dict[str, Any] = {}
        self.rows: list[Row] = []
        if not path.exists():
            return
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
            if earlier["kind"] == kind:
                self.data, self.rows = earlier["data"], earlier["rows"]
        except (OSError, ValueError, KeyError) as error:
            raise SystemExit(f"{path} is no report of rows ({error}): move it away") from None

    def like(self, facts: dict[str, Any], row: Row) -> list[Row]:
        """Those that are as `row` in all that it says, where these are the facts of its data."""
        if self.data.get(row["data"]) != facts:
            return []
        return [each for each in self.rows if row.items() <= each.items()]

    def of(self, data: str, who: str) -> Row | None:
        """The row of a data set, whatever code measured it."""
        return next((row for row in self.rows if key(row) == (data, who)), None)

    def add(self, facts: dict[str, Any], row: Row, found: evaluation.Evaluation | None) -> None:
        """After each contender, so that an interrupted run keeps what it has."""
        name = row["data"]
        others = [each for each in self.rows if key(each) != key(row)]
        if self.data.get(name, facts) != facts:  # another scale, say
            others = [each for each in others if each["data"] != name]
        self.data[name], self.rows = facts, [*others, row]
        if found is not None:
            path = self._users_of(row)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, users=found.users, **found.per_user)
        self.write()

    def write(self, **more: Any) -> None:
        known = {name: self.data[name] for name in self.names if name in self.data}
        content = {"kind": self.kind, "data": known, "rows": self.rows, **more}
        write_report(self.path, machine=self.facts, **content)

    def has_values(self, row: Row) -> bool:
        """Whether those of each user are there."""
        return self._users_of(row).exists()

    def values(self, row: Row) -> evaluation.Evaluation:
        """Those of each user."""
        with np.load(self._users_of(row)) as stored:
            arrays = dict(stored)
        users = arrays.pop("users")
        return evaluation.Evaluation(users, arrays, {}, 0, 0, row.get("cut_ties", 0))

    def _users_of(self, row: Row) -> Path:
        slug = "".join(letter if letter.isalnum() else "-" for letter in row["who"])
        return self.path.with_suffix("") / row["data"] / f"{slug}.npz"


def key(row: Row) -> tuple[str, str]:
    return row["data"], row["who"]
