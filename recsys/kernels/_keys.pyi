from collections.abc import Hashable
from typing import Any

import numpy as np

KeyTable = tuple[list[Hashable], np.ndarray, np.ndarray, np.ndarray]

def number_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...
def key_table(numbers: dict[Hashable, int]) -> KeyTable | None: ...
def find_keys(
    keys: list[Any], numbers: dict[Hashable, int], table: KeyTable | None, out: np.ndarray
) -> int: ...
def event_columns(
    events: list[Any], users: list[Any], items: list[Any], weights: np.ndarray
) -> int: ...
