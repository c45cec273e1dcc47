"""Whole processes, timed in turn."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from tests.benchmarks.table import Unavailable


@dataclass(frozen=True)
class Run:
    """One process with all that it started."""

    wall: float  # seconds
    cpu: float  # seconds
    peak_mib: float  # of the largest process


def program(name: str) -> str:
    """The measuring tool `name`. Raises Unavailable."""
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"This measurement needs «{name}», which is not installed.")
    return found


def reelwright() -> list[str]:
    """The command line of this checkout."""
    return [sys.executable, "-m", "desktop"]


def run(command: Sequence[str | Path], home: Path | None = None) -> Run:
    """Runs to the end; Linux and macOS only. Raises RuntimeError where it fails."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    if home is not None:
        environment["REELWRIGHT_HOME"] = str(home)
    begun = time.perf_counter()
    process = subprocess.Popen(
        [str(one) for one in command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {errors.decode(errors='replace')[-800:]}")
    peak = usage.ru_maxrss / (1 << (20 if sys.platform == "darwin" else 10))
    return Run(wall, usage.ru_utime + usage.ru_stime, peak)


def together(runs: Sequence[Run]) -> Run:
    """Several processes one after another, as one."""
    return Run(
        sum(one.wall for one in runs),
        sum(one.cpu for one in runs),
        max(one.peak_mib for one in runs),
    )


def middle(runs: Sequence[Run]) -> Run:
    """The median of each figure."""
    return Run(
        median(one.wall for one in runs),
        median(one.cpu for one in runs),
        median(one.peak_mib for one in runs),
    )


def paired_ratio(
    ours: Sequence[Run], theirs: Sequence[Run], figure: Literal["wall", "cpu"]
) -> float:
    """The median over pairs of ours / theirs."""
    pairs = list(zip(ours, theirs, strict=True))
    if figure == "wall":
        return median(one.wall / other.wall for one, other in pairs)
    return median(one.cpu / other.cpu for one, other in pairs)
