"""Any frame, exactly: 40 random ones of a long-GOP file, and single steps back."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

import av

from engine.media.reader import VideoReader
from tests.benchmarks.media import medium
from tests.benchmarks.table import Table

COUNT = 40


def timed(frames: list[int], show: Callable[[int], object]) -> list[float]:
    """Milliseconds of each."""
    result = []
    for number in frames:
        begun = time.perf_counter()
        show(number)
        result.append((time.perf_counter() - begun) * 1000)
    return result


class Plain:
    """What a simple PyAV script does: seek to the key frame before, decode up to the frame."""

    def __init__(self, path: Path) -> None:
        self._file = av.open(path)
        self._stream = self._file.streams.video[0]
        self._stream.thread_type = "AUTO"

    def frame(self, number: int) -> object:
        base, rate = self._stream.time_base, self._stream.average_rate
        assert base is not None
        assert rate is not None
        wanted = round(number / rate / base)
        self._file.seek(wanted, stream=self._stream)
        for frame in self._file.decode(self._stream):
            if frame.pts is not None and frame.pts >= wanted:
                return frame
        raise AssertionError(f"no frame {number}")


def measure() -> Table:
    path = medium("a1080.mp4")
    reader, plain = VideoReader(path), Plain(path)
    frames = random.Random(5).sample(range(len(reader.times)), COUNT)
    begin = frames[-1]
    backwards = list(range(begin, max(0, begin - 30), -1))
    reader.frame(0)
    plain.frame(0)
    table = Table(
        "Seek: 1080p30, GOP 250, exact frames",
        ("What", "Median ms", "95 % ms", "Plain PyAV median ms", "Median / plain"),
        bar="random frames: median at most 280 ms on two free cores.",
    )
    for name, wanted in (("random frame", frames), ("one frame back", backwards)):
        ours, theirs = timed(wanted, reader.frame), timed(wanted, plain.frame)
        worst = quantiles(ours, n=20)[-1]
        ratio = median(ours) / median(theirs)
        table.rows.append((name, median(ours), worst, median(theirs), ratio))
    reader.close()
    return table
