"""Pictures put aside to be read once more: in memory while they are few, then on disk."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import IO

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from engine.media.output import throw_away
from engine.render.frame import Planes, converted

MEMORY_BYTES = 192 << 20


class Spool:
    """Keeps pictures of one size, without loss. The file on disk has no name and dies with us."""

    def __init__(self, folder: Path, width: int, height: int, memory: int = MEMORY_BYTES) -> None:
        self._folder = folder
        self._size = (width, height)
        self._left = memory
        self._held: list[Planes] = []
        self._file: IO[bytes] | None = None
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._count = 0

    def write(self, planes: Planes) -> None:
        self._left -= planes.size_bytes
        if self._left >= 0:
            self._held.append(planes)
            return
        if self._container is None:
            self._open()
        assert self._container is not None
        assert self._stream is not None
        # Not the shared picture itself: a time is written on it.
        picture = converted(converted(planes, "rgba"), "bgra").picture
        picture.pts, picture.time_base = self._count, Fraction(1, 100)
        self._count += 1
        self._container.mux(self._stream.encode(picture))

    def read(self, count: int) -> Iterator[Planes]:
        """The first `count` pictures in order; writing is over then."""
        yield from self._held[:count]
        if self._container is None or self._file is None or count <= len(self._held):
            return
        assert self._stream is not None
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._container = None
        self._file.seek(0)
        with av.open(self._file, "r", format="nut") as container:
            frames = container.decode(video=0)
            for picture in islice(frames, count - len(self._held)):
                yield Planes(picture)

    def close(self) -> None:
        self._held.clear()
        if self._container is not None:
            throw_away(self._container)
            self._container = None
        if self._file is not None:
            with suppress(OSError):  # what a full drive did not take
                self._file.close()

    def _open(self) -> None:
        # Held open on purpose until close(): the file goes when it is closed.
        self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
        self._container = av.open(self._file, "w", format="nut")
        stream = self._container.add_stream("ffv1", rate=100, options=FAST_LOSSLESS)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = self._size
        stream.pix_fmt = "bgra"
        stream.codec_context.thread_count = 0
        self._stream = stream


FAST_LOSSLESS = {"level": "3", "coder": "rice", "context": "0", "g": "1", "slices": "4"}
