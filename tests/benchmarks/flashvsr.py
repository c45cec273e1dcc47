"""FlashVSR with random weights at full size on a card: errors, speed, memory, beside its goals.

python -m tests.benchmarks.flashvsr [--out FOLDER] [--only PART …] [--minutes M] [--frames N]
    [--reference FOLDER] [--wheels FOLDER] [--device cpu]

Tables are printed in Markdown as they are ready; --out keeps every figure as flashvsr.json, to
which a later run with the same folder adds its parts. Without a card everything runs at tiny size
on the processor, to show that it works. --reference: a checkout of OpenImagingLab/FlashVSR.
--wheels: PyAV's wheel, for a machine that does not have it. What does not fit into the minutes is
left out and named.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.card import MINUTES, Part, device_of, run, run_all
from tests.benchmarks.card_report import Clock, Report
from tests.benchmarks.flashvsr_goals import SUITE
from tests.benchmarks.table import Table

if TYPE_CHECKING:
    from tests.benchmarks.flashvsr_bench import Bench

MODULE = "tests.benchmarks.flashvsr"
FRAMES, TINY_FRAMES = 10_000, 100

PARTS = {
    "machine": Part("tests.benchmarks.card_bench", "machine", 10),
    "errors": Part(f"{MODULE}_errors", "errors", 40),
    "attention": Part(f"{MODULE}_attention", "attention_kernels", 30),
    "speed": Part(f"{MODULE}_speed", "speed", 40),
    "reference": Part(f"{MODULE}_reference", "reference", 110),
    "video": Part(f"{MODULE}_video", "video", 40),
    "large": Part(f"{MODULE}_speed", "large", 40),
    "full": Part(f"{MODULE}_speed", "full", 25),
    "long": Part(f"{MODULE}_long", "long", 30),
}


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog=MODULE, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help=f"folder for {SUITE.file}")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--frames", type=int, help="of the long clip")
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("--device", choices=("cuda", "cpu"))
    asked = parser.parse_args(given)
    report = Report(SUITE, asked.out)
    bench = make(report, asked.minutes, asked.device, asked.frames, asked.reference, asked.wheels)
    return run_all(bench, PARTS, asked.only, MODULE, given, asked.out)


def measure() -> Table:
    """All parts, as `main` without arguments; the table of goals."""
    report = Report(SUITE, None, is_quiet=True)
    bench = make(report, MINUTES)
    run(bench, PARTS, list(PARTS))
    return report.goals(bench.is_full)


def make(
    report: Report,
    minutes: float,
    device: str | None = None,
    frames: int | None = None,
    reference: Path | None = None,
    wheels: Path | None = None,
) -> "Bench":
    """The published sizes on a card, tiny ones elsewhere. Raises Unavailable."""
    found = device_of(device, SUITE.title)

    from tests.benchmarks.flashvsr_bench import Bench
    from tests.benchmarks.flashvsr_models import FULL, TINY

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
        frames=frames or (FRAMES if is_full else TINY_FRAMES),
        reference=reference,
    )


if __name__ == "__main__":
    sys.exit(main())
