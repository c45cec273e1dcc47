"""Parts of a benchmark on a card, run one after another, so that one's failure leaves the others.

A part that fails is told and the next one runs; where the card answers no more, the rest runs in a
process of its own. What does not fit into the time is left out and named.
"""

import gc
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import EngineError
from tests.benchmarks.table import Unavailable

if TYPE_CHECKING:
    import torch

    from tests.benchmarks.card_bench import CardBench

MINUTES = 9.0
# Whatever a part may end with: the others are to run all the same.
TROUBLES = (
    *(ArithmeticError, AssertionError, AttributeError, EngineError, ImportError, LookupError),
    *(MemoryError, OSError, RuntimeError, TypeError, ValueError, subprocess.SubprocessError),
)


class Part(NamedTuple):
    """A function of a module, that is given the bench.

    `seconds`: less than that is not worth beginning.
    """

    module: str
    function: str
    seconds: float


Parts = Mapping[str, Part]


def device_of(wished: str | None, model: str) -> "torch.device":
    """What is measured: a card where there is one. Raises Unavailable."""
    if find_spec("torch") is None:
        raise Unavailable(f"{model} needs torch, which is not installed.")
    import torch

    found = torch.device(wished or ("cuda" if torch.cuda.is_available() else "cpu"))
    if found.type == "cpu":
        torch.set_num_threads(1)  # for pictures this small, more only wait for one another
    return found


def run_all(
    bench: "CardBench",
    parts: Parts,
    asked: Sequence[str],
    module: str,
    arguments: Sequence[str],
    out: Path | None,
) -> int:
    """The parts that were asked for and the table of goals; what the process ends with."""
    report = bench.report
    rest = run(bench, parts, [name for name in parts if name in asked])
    if rest:
        report.say("The card answers no more: the rest runs in a process of its own.\n")
        if out is not None:
            again = [*arguments, "--minutes", f"{bench.clock.left / 60:.2f}", "--only", *rest]
            command = [sys.executable, "-m", module, *again]
            return max(1, subprocess.run(command, check=False).returncode)
    report.say(report.goals(bench.is_full).text())
    states = [report.content["parts"][name]["state"] for name in asked if name not in rest]
    return 1 if rest or "failed" in states else 0


def run(bench: "CardBench", parts: Parts, names: Sequence[str]) -> list[str]:
    """Runs the parts one after another; gives those that a card which fell silent left over."""
    for at, name in enumerate(names):
        part = parts[name]
        bench.report.begin(name)
        begun = time.monotonic()
        state, why = "measured", ""
        if bench.is_full and not bench.clock.fits(part.seconds):
            state, why = "left out", f"only {bench.clock.left:.0f} s were left"
        else:
            try:
                getattr(import_module(part.module), part.function)(bench)
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
