"""Children and editors killed in the middle of jobs, many times.

python -m tests.benchmarks.kills
"""

import os
import statistics
import tempfile
from pathlib import Path

from PySide6.QtCore import QCoreApplication

from tests.benchmarks.table import Table
from tests.support.kills import KINDS, Bench, Killed, kill_editor, make_film
from tests.support.timelines import medium

CHILDREN = 50
EDITORS = 20


def measure(children: int = CHILDREN, editors: int = EDITORS) -> Table:
    """Kills `children` children and `editors` editors."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    application = QCoreApplication.instance() or QCoreApplication([])
    table = Table(
        "Kills",
        ("killed", "times", "noticed, median s", "longest s", "as it should be"),
        bar="the queue goes on, the retry gives the same pixels, no child is left behind",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = make_film(folder)
        bench = Bench(folder, film)
        try:
            killed = [bench.kill_once(KINDS[number % 3]) for number in range(children)]
        finally:
            bench.close()
        for kind in KINDS:
            of_kind = [one for one in killed if one.kind == kind]
            if of_kind:
                table.rows.append(_row(kind, of_kind))
        asset = medium(film)
        ended = [
            kill_editor(asset, folder / f"editor-{number}", delay=0.05 * (number % 8))
            for number in range(editors)
        ]
        if ended:
            times = [one.seconds for one in ended]
            right = sum(one.rows == 3 and not one.litter for one in ended)
            table.rows.append(
                (
                    f"editor with {ended[0].children} children",
                    len(ended),
                    statistics.median(times),
                    max(times),
                    f"{right} of {len(ended)}",
                )
            )
    found = sum(one.found for one in killed)
    table.notes.append(f"Segments that a retry found and did not make again: {found}.")
    del application
    return table


def _row(kind: str, killed: list[Killed]) -> tuple[str | float | int, ...]:
    times = [one.noticed for one in killed]
    right = sum(one.went_on and one.same for one in killed)
    return (
        f"child in {kind}",
        len(killed),
        statistics.median(times),
        max(times),
        f"{right} of {len(killed)}",
    )


if __name__ == "__main__":
    print(measure().text())
