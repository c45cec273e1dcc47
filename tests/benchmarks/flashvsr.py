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
import gc
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import EngineError
from tests.benchmarks.flashvsr_report import Clock, Report
from tests.benchmarks.table import Table, Unavailable

if TYPE_CHECKING:
    import torch

    from tests.benchmarks.flashvsr_bench import Bench

MODULE = "tests.benchmarks.flashvsr"
MINUTES, FRAMES, TINY_FRAMES = 9.0, 10_000, 100
# Whatever a part may end with: the others are to run all the same.
TROUBLES = (
    *(ArithmeticError, AssertionError, AttributeError, EngineError, ImportError, LookupError),
    *(MemoryError, OSError, RuntimeError, TypeError, ValueError, subprocess.SubprocessError),
)


class Part(NamedTuple):
    """A function that is given a Bench. `seconds`: less than that is not worth beginning."""

    module: str
    function: str
    seconds: float


PARTS = {
    "machine": Part("bench", "machine", 10),
    "errors": Part("errors", "errors", 40),
    "attention": Part("attention", "attention_kernels", 30),
    "speed": Part("speed", "speed", 40),
    "reference": Part("reference", "reference", 110),
    "video": Part("video", "video", 40),
    "large": Part("speed", "large", 40),
    "full": Part("speed", "full", 25),
    "long": Part("long", "long", 30),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=MODULE, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="folder for flashvsr.json")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--frames", type=int, help="of the long clip")
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("--device", choices=("cuda", "cpu"))
    asked = parser.parse_args(arguments)
    report = Report(asked.out)
    bench = make(report, asked.minutes, asked.device, asked.frames, asked.reference, asked.wheels)
    rest = run(bench, [name for name in PARTS if name in asked.only])
    if rest:
        report.say("The card answers no more: the rest runs in a process of its own.\n")
        if asked.out is not None:
            again = [*(arguments or sys.argv[1:]), "--minutes", f"{bench.clock.left / 60:.2f}"]
            command = [sys.executable, "-m", MODULE, *again, "--only", *rest]
            return max(1, subprocess.run(command, check=False).returncode)
    report.say(report.goals(bench.is_full).text())
    states = [report.content["parts"][name]["state"] for name in asked.only if name not in rest]
    return 1 if rest or "failed" in states else 0


def measure() -> Table:
    """All parts, as `main` without arguments; the table of goals."""
    report = Report(None, is_quiet=True)
    bench = make(report, MINUTES)
    run(bench, list(PARTS))
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
    if find_spec("torch") is None:
        raise Unavailable("FlashVSR needs torch, which is not installed.")
    import torch

    from tests.benchmarks.flashvsr_bench import Bench
    from tests.benchmarks.flashvsr_models import FULL, TINY

    found = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    clock = Clock(minutes)
    if found.type == "cuda":
        return Bench(found, FULL, report, clock, frames or FRAMES, wheels, reference)
    torch.set_num_threads(1)  # for pictures this small, more only wait for one another
    frames = frames or TINY_FRAMES
    return Bench(found, TINY, report, clock, frames, wheels, reference, warm_ups=1, repeats=2)


def run(bench: "Bench", names: Sequence[str]) -> list[str]:
    """Runs the parts one after another; gives those that a card which fell silent left over."""
    for at, name in enumerate(names):
        part = PARTS[name]
        bench.report.begin(name)
        begun = time.monotonic()
        state, why = "measured", ""
        if bench.is_full and not bench.clock.fits(part.seconds):
            state, why = "left out", f"only {bench.clock.left:.0f} s were left"
        else:
            try:
                module = import_module(f"{MODULE}_{part.module}")
                getattr(module, part.function)(bench)
            except Unavailable as reason:
                state, why = "left out", str(reason)
            except _troubles() as error:
                traceback.print_exc()
                first = (str(error) or "no reason given").strip().splitlines()[0]
                state, why = "failed", f"{type(error).__name__}: {first}"
        bench.report.end(state, why, time.monotonic() - begun)
        gc.collect()  # what a failure's frames held would count in the next part's peak
        if state == "failed" and not _answers(bench.device):
            return list(names[at + 1 :])
    return []


def _troubles() -> tuple[type[Exception], ...]:
    """With Triton's own, which are no RuntimeErrors."""
    try:
        return (*TROUBLES, import_module("triton").TritonError)
    except (ImportError, OSError, RuntimeError, AttributeError):
        return TROUBLES


def _answers(device: "torch.device") -> bool:
    """Whether the card still works after a failure."""
    if device.type != "cuda":
        return True
    import torch

    try:
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
    except RuntimeError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
