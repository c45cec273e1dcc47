"""Memory of the machine and the process, told and kept steady."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine import memory

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux tells and takes it")


def test_memory_is_told() -> None:
    total, free = memory.machine()
    assert total > 100_000_000
    assert 0 <= free <= total


@linux
def test_the_peak_counts_anew() -> None:
    block = bytearray(60_000_000)
    assert memory.peak() > len(block)
    high = memory.peak()
    del block
    memory.reset_peak()
    assert memory.peak() < high - 40_000_000


HEAP = """
import re, sys
from engine.memory import steady_heap
if sys.argv[1] == "steady" and not steady_heap():
    sys.exit("no setting")
for _ in range(3):  # frames of a stream come and go; glibc learns from the first that is freed
    frames = [bytearray(6_000_000) for _ in range(20)]
    last = bytearray(2_000_000)
    del frames
print(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


@linux
def test_what_large_blocks_took_is_given_back() -> None:
    """Without the setting a block at the end of the heap keeps all that lay below it."""

    def resident(how: str) -> int:
        command = [sys.executable, "-c", HEAP, how]
        ran = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
        )
        return int(ran.stdout) * 1024

    assert resident("wandering") - resident("steady") > 80_000_000
