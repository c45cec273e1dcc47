"""Wan2.1 with random weights at full size on a card: errors, time, memory, beside its goals.

python -m tests.benchmarks.wan [--out FOLDER] [--only PART …] [--minutes M] [--wheels FOLDER]
    [--device cpu]

Tables are printed in Markdown as they are ready; --out keeps every figure as wan.json, to which a
later run with the same folder adds its parts. Without a card everything runs at tiny size on the
processor, to show that it works. --wheels: of packages that a machine does not have: diffusers,
beside which ours is timed, msgspec, and for `jobs` PyAV and ftfy. What does not fit into the
minutes is left out and named; each part says about how long it takes in PARTS.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import card_wheels
from tests.benchmarks.card import MINUTES, Part, device_of, run, run_all
from tests.benchmarks.card_report import Clock, Report
from tests.benchmarks.table import Table
from tests.benchmarks.wan_goals import SUITE

if TYPE_CHECKING:
    from tests.benchmarks.wan_bench import Bench

MODULE = "tests.benchmarks.wan"

# By worth. The seconds are of an H200.
PARTS = {
    "machine": Part("tests.benchmarks.card_bench", "machine", 10),
    "errors": Part(f"{MODULE}_errors", "errors", 30),
    "small": Part(f"{MODULE}_steps", "small", 40),
    "kernels": Part(f"{MODULE}_kernels", "kernels", 30),
    "decode": Part(f"{MODULE}_decode", "decoding", 90),
    "few": Part(f"{MODULE}_run", "few", 35),
    "pictures": Part(f"{MODULE}_steps", "pictures", 110),
    "swap": Part(f"{MODULE}_swap", "swap", 90),
    "jobs": Part(f"{MODULE}_jobs", "jobs", 100),
    "pictures_whole": Part(f"{MODULE}_steps", "pictures_whole", 165),
    "forty": Part(f"{MODULE}_run", "forty", 230),
    "small_whole": Part(f"{MODULE}_steps", "small_whole", 60),
    "load": Part(f"{MODULE}_jobs", "load", 100),
    "large": Part(f"{MODULE}_steps", "large", 80),
    "large_whole": Part(f"{MODULE}_steps", "large_whole", 165),
}


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog=MODULE, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help=f"folder for {SUITE.file}")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("--device", choices=("cuda", "cpu"))
    asked = parser.parse_args(given)
    card_wheels.use(asked.wheels)
    bench = make(Report(SUITE, asked.out), asked.minutes, asked.device, asked.wheels)
    return run_all(bench, PARTS, asked.only, MODULE, given, asked.out)


def measure() -> Table:
    """All parts, as `main` without arguments; the table of goals."""
    report = Report(SUITE, None, is_quiet=True)
    bench = make(report, MINUTES)
    run(bench, PARTS, list(PARTS))
    return report.goals(bench.is_full)


def make(
    report: Report, minutes: float, device: str | None = None, wheels: Path | None = None
) -> "Bench":
    """The published sizes on a card, tiny ones elsewhere. Raises Unavailable."""
    found = device_of(device, SUITE.title)

    from tests.benchmarks.wan_bench import Bench
    from tests.benchmarks.wan_models import FULL, TINY

    is_full = found.type == "cuda"
    return Bench(
        device=found,
        report=report,
        clock=Clock(minutes),
        is_full=is_full,
        wheels=wheels,
        warm_ups=3 if is_full else 1,
        repeats=5 if is_full else 2,
        scale=FULL if is_full else TINY,
    )


if __name__ == "__main__":
    sys.exit(main())
