"""What the library says to programs, said to those who type: options in place of arguments."""

from __future__ import annotations

import re

_FLAGS = {  # arguments and their values, by which an option stands or falls
    "filter_seen=False": "--keep-seen",
    "history=False": "--no-history",
    "allow_negative=True": "--allow-negative",
    "user_items=...": "--histories FILE",
    "item_features=...": "--item-features FILE",
    "user_features=...": "--user-features FILE",
    "validation=...": "--validation SHARE",
    "call fit(user_items) first": "train one by `recsys train`",
    "time_format= says": "--time-format says",
    "aggregate='last' or 'mean' (or use data.aggregated('last'))": "--aggregate last or mean",
    "Make Interactions with": "Read the events with",
}
_OPTIONS = ("aggregate", "decimal", "item", "time", "time_format", "unknown", "user", "zeros")
_ARGUMENT = re.compile(rf"\b({'|'.join(_OPTIONS)})=(['\"])([^'\"]*)\2")


def as_typed(text: str) -> str:
    """A message that names arguments of Python, with the options of commands in their place."""
    for argument, option in _FLAGS.items():
        text = text.replace(argument, option)
    return _ARGUMENT.sub(lambda found: f"{_option(found[1])} {found[3]}", text)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
