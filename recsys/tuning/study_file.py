"""The trials of a search in a JSON file: to go on where it ended, and to read with anything."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.whole_file import check_place, whole_file

from .results import Trial
from .spaces import Axis

if TYPE_CHECKING:
    from scipy import sparse

_FORMAT = "recsys study 3"


class StudyFile:
    """Where trials are kept; `settings` say what they have in common.

    Each `write` replaces the file as a whole, so that whatever ends the program leaves one that
    can be read.
    """

    def __init__(self, path: Path, settings: dict[str, Any], axes: dict[str, Axis]) -> None:
        check_place(path)
        self.path, self.settings, self.axes = path, settings, axes

    def read(self) -> list[Trial]:
        """The trials so far; none if there is no file yet.

        Raises
        ------
        ValueError
            It is no study file, or one of another search.
        """
        if not self.path.exists():
            return []
        try:
            content = json.loads(self.path.read_bytes())
            known = content["format"] == _FORMAT
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise ValueError(
                f"{str(self.path)!r} is not a study file of this version of recsys: pass the name "
                "of one, or of a file that is not there yet"
            )
        for name, setting in self.settings.items():
            if content["settings"].get(name) != setting:
                raise ValueError(
                    f"{str(self.path)!r} is of another search: its {name} is "
                    f"{content['settings'].get(name)}; got {setting}. Pass the same, or another "
                    "file"
                )
        return [self._trial(record) for record in content["trials"]]

    def write(self, trials: list[Trial]) -> None:
        records = [self._record(trial) for trial in trials]
        content = {"format": _FORMAT, "settings": self.settings, "trials": records}
        with whole_file(self.path) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")

    def _record(self, trial: Trial) -> dict[str, Any]:
        labels = {name: self.axes[name].label(value) for name, value in trial.params.items()}
        return {**trial._asdict(), "params": labels}

    def _trial(self, record: dict[str, Any]) -> Trial:
        params = {name: self.axes[name].value(label) for name, label in record["params"].items()}
        # JSON has strings for keys
        validations = {int(number): value for number, value in record["validations"].items()}
        return Trial(**{**record, "params": params, "validations": validations})


def fingerprint(matrix: sparse.csr_array) -> str:
    """What tells one matrix from another, in a line."""
    crc = 0
    for array in (matrix.indptr, matrix.indices, matrix.data):
        crc = zlib.crc32(array, crc)
    return f"{matrix.shape[0]} x {matrix.shape[1]}, {matrix.nnz} entries, CRC {crc:08x}"
