"""FlashVSR with video in and out, beside the model alone: what reading and writing cost."""

import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import IO

import torch
from torch import Tensor

from engine.models.flashvsr.pipeline import Models, Settings, upscaled
from tests.benchmarks.card_wheels import unpack
from tests.benchmarks.flashvsr_bench import Bench
from tests.benchmarks.flashvsr_models import (
    ENLARGED,
    FUSED,
    Clip,
    Size,
    place_of,
    random_models,
    running,
    settings_of,
)
from tests.benchmarks.table import Table, Unavailable

AHEAD = 16  # pictures that wait between two
PIPE_BYTES = 1 << 20
CODEC = "tests.benchmarks.flashvsr_codec"
SHORT = 45  # frames that warm up


class Child:
    """A codec's process. `stream` is its pipe of raw pictures."""

    def __init__(self, environment: dict[str, str], what: str, *words: object) -> None:
        command = [sys.executable, "-m", CODEC, what, *(str(word) for word in words)]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.input: IO[bytes] = self._process.stdin
        self.output: IO[bytes] = self._process.stdout
        for pipe in (self.input, self.output):
            _widen(pipe)
        if self.output.read(1) != b"R":
            raise RuntimeError(f"The process that should {what} ended with {self.wait()}.")

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self.output.close()

    def wait(self) -> int:
        """Until it has ended; its status."""
        if not self.input.closed:
            self.input.close()
        return self._process.wait(timeout=120)


def video(bench: Bench) -> None:
    """Decoder, model and encoder at once, against the model with the same pictures in memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = with_pyav(bench.wheels, folder)
        size, frames = bench.scale.sizes[0], bench.scale.video
        source = folder / "source.mp4"
        _make(environment, source, size, frames)
        with running(FUSED):
            models = random_models(bench.scale, bench.device, FUSED)
            bench.report.show(_compared(bench, models, environment, source, size, frames))


def with_pyav(wheels: Path | None, folder: Path) -> dict[str, str]:
    """An environment whose Python imports PyAV. Raises Unavailable."""
    environment = dict(os.environ)
    if _imports(environment):
        return environment
    if wheels is None:
        raise Unavailable("PyAV is not installed, and no --wheels FOLDER was named.")
    target = folder / "site"
    unpack(wheels, target, ["av"])
    paths = [str(target), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    if not _imports(environment):
        raise Unavailable(f"PyAV of {wheels} cannot be imported.")
    return environment


def _imports(environment: dict[str, str]) -> bool:
    command = [sys.executable, "-c", "import av, numpy"]
    return (
        subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
    )


def _make(environment: dict[str, str], path: Path, size: Size, frames: int) -> None:
    words = ["make", path, size[1] // ENLARGED, size[0] // ENLARGED, frames]
    command = [sys.executable, "-m", CODEC, *(str(word) for word in words)]
    subprocess.run(command, env=environment, check=True)


def _compared(
    bench: Bench,
    models: Models,
    environment: dict[str, str],
    source: Path,
    size: Size,
    frames: int,
) -> Table:
    settings = settings_of(FUSED, size)
    pictures = list(decoded(environment, source, size))
    assert len(pictures) == frames, (len(pictures), frames)
    clip = Clip(size, SHORT if bench.is_full else 5)
    for _ in range(bench.warm_ups):
        _alone(models, list(clip.pictures(0, clip.count)), size, settings)
    works: dict[str, Callable[[], float]] = {
        "model alone": lambda: _alone(models, pictures, size, settings),
        "H.264 in, x264 ultrafast out": lambda: _through(
            models, environment, source, size, settings, frames
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    table = Table(
        f"Video in and out, {frames} frames {size[0]}x{size[1]}, fused bf16",
        ("How", "Seconds", "Low", "High", "FPS", "Part of the model's speed"),
        bar="at least 95 % of the model's speed alone.",
        notes=["Decoder and encoder are processes of their own; the clock runs from the first "
               "picture asked for until the file is closed."],
    )  # fmt: skip
    for turn in range(bench.repeats):
        order = list(works) if turn % 2 == 0 else list(works)[::-1]
        if turn and not bench.clock.fits(1.3 * sum(max(x) for x in seconds.values())):
            table.notes.append(f"{turn} repeats only, for want of time.")
            break
        for name in order:
            seconds[name].append(works[name]())
    alone, through = seconds.values()
    shares = (1.0, median(a / b for a, b in zip(alone, through, strict=True)))
    for (name, values), share in zip(seconds.items(), shares, strict=True):
        middle = median(values)
        table.rows.append((name, middle, min(values), max(values), frames / middle, share))
        bench.report.samples(name, values)
    bench.report.found("video_share", shares[1])
    return table


def _alone(models: Models, pictures: list[Tensor], size: Size, settings: Settings) -> float:
    begun = time.perf_counter()
    for _ in upscaled(models, pictures, place_of(size), settings):
        pass
    return time.perf_counter() - begun


def _through(
    models: Models,
    environment: dict[str, str],
    source: Path,
    size: Size,
    settings: Settings,
    frames: int,
) -> float:
    """From H.264 to H.264; the processes have begun before the clock, and end before it does."""
    target = source.with_name("result.mp4")
    with (
        Child(environment, "decode", source, 0, 0) as decoder,
        Child(environment, "encode", target, size[1], size[0]) as encoder,
    ):
        begun = time.perf_counter()
        waiting: queue.Queue[Tensor | None] = queue.Queue(AHEAD)
        writer = threading.Thread(target=_write, args=(waiting, encoder.input))
        writer.start()
        try:
            count = 0
            ready = _ahead(decoder.output, size)
            for picture in upscaled(models, ready, place_of(size), settings):
                waiting.put(picture)
                count += 1
        finally:
            waiting.put(None)
            writer.join()
        status = encoder.wait()
        seconds = time.perf_counter() - begun
    assert (status, count) == (0, frames), (status, count)
    assert target.stat().st_size > 0
    return seconds


def decoded(environment: dict[str, str], source: Path, size: Size) -> Iterator[Tensor]:
    """The pictures of a file, (h, w, 3) uint8."""
    with Child(environment, "decode", source, 0, 0) as decoder:
        yield from _read(decoder.output, size)


def _read(pipe: IO[bytes], size: Size) -> Iterator[Tensor]:
    height, width = size[0] // ENLARGED, size[1] // ENLARGED
    while len(data := pipe.read(3 * height * width)) == 3 * height * width:
        yield torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(height, width, 3)


def _ahead(pipe: IO[bytes], size: Size) -> Iterator[Tensor]:
    """As `_read`, by a thread that is some pictures ahead."""
    ready: queue.Queue[Tensor | None] = queue.Queue(AHEAD)

    def fill() -> None:
        for picture in _read(pipe, size):
            ready.put(picture)
        ready.put(None)

    threading.Thread(target=fill, daemon=True).start()
    while (picture := ready.get()) is not None:
        yield picture


def _write(waiting: "queue.Queue[Tensor | None]", pipe: IO[bytes]) -> None:
    """Takes pictures until there are no more, also where the encoder has gone."""
    is_open = True
    while (picture := waiting.get()) is not None:
        if is_open:
            try:
                pipe.write(picture.numpy().data)
            except OSError:
                is_open = False
    if is_open:
        pipe.flush()


def _widen(pipe: IO[bytes]) -> None:
    """A pipe that takes a megabyte, where the system has such."""
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
