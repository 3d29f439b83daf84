"""Options for what is held out, and where a model is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from recsys import checks
from recsys.interactions import Interactions

WAYS = ("per-user", "random", "leave-last", "time")
PANEL = "What is held out"

Share = Annotated[
    float,
    typer.Option(
        metavar="SHARE", help="Hold out this share of the entries.", rich_help_panel=PANEL
    ),
]


@dataclass(frozen=True)
class Splitting:
    """How entries are held out."""

    split: Annotated[
        str,
        typer.Option(
            help="Which: a share of each user's (per-user), of all (random), each user's last one "
            "(leave-last), or the latest share of all (time); the last two need --time.",
            rich_help_panel=PANEL,
        ),
    ] = "per-user"

    def parts(self, events: Interactions, share: float, seed: int) -> Any:
        """Train and test, of Interactions."""
        checks.choice("split", self.split, WAYS)
        options: dict[str, Any] = {"test_share": share, "random_state": seed}
        if self.split in ("time", "leave-last"):  # what was trained on is not measured
            options["repeats"] = "drop"
        if self.split == "time":
            del options["random_state"]
        elif self.split == "leave-last":
            del options["test_share"]
        parts = events.split(self.split.replace("-", "_"), **options)
        if not parts.test.nnz:
            of_share = f" with a share of {share:g}" if "test_share" in options else ""
            raise ValueError(
                f"--split {self.split}{of_share} holds out nothing of {events.nnz:,} entries: "
                "users have too few. Take a larger share, or --split random"
            )
        return parts


Metric = Annotated[
    str | None,
    typer.Option(
        help="Such as ndcg@10 or recall@20; of models of ratings also rmse or mae.",
        show_default="ndcg@10, of models of ratings rmse",
        rich_help_panel=PANEL,
    ),
]
Patience = Annotated[
    int | None,
    typer.Option(
        help="Stop after so many validations without a gain, and keep the best model.",
        rich_help_panel=PANEL,
    ),
]
MinGain = Annotated[
    float,
    typer.Option(
        help="The least gain that counts, as a part of the value before: 0.002 is 0.2 %.",
        rich_help_panel=PANEL,
    ),
]
ValidateEvery = Annotated[
    int, typer.Option(help="Validate after each so-many-th iteration.", rich_help_panel=PANEL)
]
