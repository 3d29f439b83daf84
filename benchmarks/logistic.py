"""Logistic matrix factorization: seconds an iteration of ours and of implicit's, taking turns.

Both with `--factors` and as many negatives for each entry. implicit draws at most `factors` + 2
for a row however many that asks for, so what is compared is the time for each factor row looked
at, entries and draws alike.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import machine
import numpy as np
from harness import add_data_options, markdown_table, open_data, run, write_json

from recsys import LogisticMF, kernels


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_options(parser)
    parser.add_argument("--factors", type=int, default=64, help="default: 64")
    parser.add_argument("--negatives", type=int, default=30, help="for each entry; default: 30")
    parser.add_argument("--rounds", type=int, default=5, help="iterations of each; default: 5")
    parser.add_argument("--no-peers", action="store_true", help="only ours")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("results/logistic"),
        help="where the JSON report goes; default: results/logistic",
    )
    return parser.parse_args()


class Ours:
    def __init__(self, counts, options: argparse.Namespace) -> None:
        self.counts = counts
        self.model = LogisticMF(
            options.factors,
            negatives=options.negatives,
            iterations=1,
            num_threads=options.threads,
            random_state=options.seed,
        )

    def seconds(self) -> float:
        self.model.fit(self.counts, show_progress=False, warm_start=True)
        return self.model.history[-1].seconds

    def drawn(self, n: np.ndarray, columns: int) -> np.ndarray:
        return np.minimum(self.model.negatives * np.maximum(n, 1), columns)


class Implicit:
    def __init__(self, counts, options: argparse.Namespace) -> None:
        from implicit.cpu.lmf import LogisticMatrixFactorization

        self.counts = counts.astype(np.float32)
        self.counts.data[:] = 1
        self.model = LogisticMatrixFactorization(
            options.factors,
            neg_prop=options.negatives,
            iterations=1,
            num_threads=kernels.resolve_num_threads(options.threads),
            random_state=options.seed,
        )

    def seconds(self) -> float:
        told = []
        self.model.fit(self.counts, False, lambda epoch, elapsed: told.append(elapsed))
        return told[0]

    def drawn(self, n: np.ndarray, columns: int) -> np.ndarray:
        return np.minimum(self.model.neg_prop * n, self.model.factors + 2)


def looked_at(contender: Ours | Implicit, counts) -> int:
    """Factor rows in an iteration, both sides together."""
    total = 0
    for matrix in (counts, counts.T.tocsr()):
        n = np.diff(matrix.indptr).astype(np.int64)
        total += int((n + contender.drawn(n, matrix.shape[1])).sum())
    return total


def main() -> None:
    options = parse()
    dataset = open_data(options)
    facts = machine.facts(options.threads)
    print(machine.one_line(facts))
    counts = dataset.user_items.tocsr()
    contenders = {"recsys": Ours(counts, options)}
    if not options.no_peers and machine.version("implicit"):
        contenders["implicit"] = Implicit(counts, options)
    seconds = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name, contender in contenders.items():
            seconds[name].append(contender.seconds())
    rows, each = [], {}
    for name, contender in contenders.items():
        median, terms = float(np.median(seconds[name])), looked_at(contender, counts)
        each[name] = 1e9 * median / terms
        rows.append([name, f"{median:.3f} s", f"{terms / 1e6:.1f} M", f"{each[name]:.1f} ns"])
    title = f"f = {options.factors}, {options.negatives} negatives an entry"
    print(markdown_table([title, "an iteration", "rows looked at", "each"], rows))
    write_json(
        options.output.with_suffix(".json"), dataset, facts, seconds=seconds, nanoseconds=each
    )


if __name__ == "__main__":
    sys.exit(run(main))
