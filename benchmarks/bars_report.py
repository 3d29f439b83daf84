"""What bars.py has measured, for people: the table and the picture in docs/."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bars
import machine
from harness import COLOURS, DOCS, days, replace_between, write_picture

from recsys import plots
from recsys.benchmark import headline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE, PICTURE = DOCS / "performance.md", DOCS / "performance.svg"
MARKS = ("<!-- bars:begin -->", "<!-- bars:end -->")
COMMAND = "`python benchmarks/peers.py --bars --update-docs`"
_OURS = " / ours"

Report = dict[str, Any]  # as peers.py writes it


def update_docs(report: Report) -> None:
    """Put the table between the marks of docs/performance.md, and make its picture."""
    experiments = report["experiments"]
    measured = days(each["measured"] for each in experiments.values())
    text = (
        f"{headline(report['dataset'])}.\n{machine.one_line(report['machine'])}.\n\n"
        f"{bars.table(experiments)}\n\nMeasured {measured} by {COMMAND}."
    )
    replace_between(PAGE, MARKS, text)
    write_picture(PICTURE, lambda: picture(experiments))


def ratios(experiments: dict[str, Any]) -> list[tuple[str, str, float]]:
    """Task, peer, and how many times as long the peer takes, of every comparison with one."""
    found = []
    for row in bars.rows(experiments):
        task, _, versus = row.what.rpartition(": ")
        peer = versus.removesuffix(_OURS)
        if row.value and row.valid and versus.endswith(_OURS) and peer.lower() in COLOURS:
            found.append((task, peer, row.value))
    return found


def picture(experiments: dict[str, Any]) -> Figure:
    """A bar for each of `ratios`, from the top in their order."""
    found = ratios(experiments)
    figure, [[axes]] = plots.subplots(size=(9, 1 + 0.27 * len(found)))
    for peer in dict.fromkeys(peer for _, peer, _ in found):
        places = [at for at, (_, who, _) in enumerate(found) if who == peer]
        values = [found[at][2] for at in places]
        drawn = axes.barh(places, values, color=COLOURS[peer.lower()], label=peer)
        axes.bar_label(drawn, [f"{value:.3g}" for value in values], padding=3)
    axes.set_yticks(range(len(found)), [task for task, _, _ in found])
    axes.set(xscale="log", xlabel="how many times as long as recsys")
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.01)
    axes.set_xlim(left=min(1, *(value for _, _, value in found)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(False, axis="y")
    axes.legend(loc="lower right")
    return figure
