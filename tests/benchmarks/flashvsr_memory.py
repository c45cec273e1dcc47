"""Memory of FlashVSR on the CPU, at any length: frames of 640x384 made by a small model.

A process of its own measures, as one that has worked before has freed memory to fill.
"""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from engine.models.flashvsr.pipeline import Settings
from engine.models.flashvsr.preparation import placement
from engine.models.flashvsr.segments import Ask, Tiles, restored
from tests.benchmarks.table import Table, Unavailable
from tests.support.flashvsr import SPARSITY, tiny_models

WIDTH, HEIGHT = 640, 384
BEGUN, COUNT = 100, 400  # frames
STATUS = Path("/proc/self/statm")
M_MMAP_THRESHOLD = -3  # glibc's malloc.h
THRESHOLD_BYTES = 1 << 20
ASKS = {
    "one segment": Ask(placement(WIDTH, HEIGHT), Settings(SPARSITY)),
    "segments of 96": Ask(placement(WIDTH, HEIGHT), Settings(SPARSITY), grid=96),
    "2 x 1 tiles": Ask(placement(WIDTH, HEIGHT), Settings(SPARSITY), tiles=Tiles(2, 1)),
}


class Noise:
    """Pictures that are made when they are asked for."""

    count = COUNT

    def pictures(self, start: int, stop: int) -> Iterator[Tensor]:
        """Half the size of the result."""
        for number in range(start, stop):
            draw = torch.Generator().manual_seed(number)
            size = (HEIGHT // 2, WIDTH // 2, 3)
            yield torch.randint(0, 256, size, generator=draw, dtype=torch.uint8)


def resident_mib() -> float:
    """What this process has in memory now."""
    pages = int(STATUS.read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def steady_heap() -> None:
    """Fixes glibc's bound from which memory is given back at once: else it wanders by 45 MB."""
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, THRESHOLD_BYTES)


def levels(ask: Ask) -> tuple[float, float]:
    """The most that is resident, in MiB, up to frame 100 and from there on to frame 400."""
    before = after = 0.0
    made = restored(tiny_models(4), Noise(), range(COUNT), ask, lambda: None)
    for number, _ in enumerate(made):
        if number < BEGUN:
            before = max(before, resident_mib())
        else:
            after = max(after, resident_mib())
    return before, after


def measure() -> Table:
    if not STATUS.exists():
        raise Unavailable("Resident memory is read from /proc, which this system does not have.")
    table = Table(
        f"FlashVSR: resident memory, {COUNT} frames {WIDTH}x{HEIGHT} on the CPU, a small model",
        ("Run", f"Peak MiB to frame {BEGUN}", f"Peak MiB to frame {COUNT}", "Growth MiB"),
        bar="growth at most 20 MB.",
    )
    for name in ASKS:
        command = [sys.executable, "-m", "tests.benchmarks.flashvsr_memory", name]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        before, after = json.loads(told)
        table.rows.append((name, before, after, after - before))
    return table


if __name__ == "__main__":
    torch.set_num_threads(1)
    steady_heap()
    print(json.dumps(levels(ASKS[sys.argv[1]])))
