"""Segments: baked pictures without loss, and a light copy of them for playback."""

from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from engine.media.output import PendingFile, throw_away, writing
from engine.media.spool import FAST_LOSSLESS
from engine.render.frame import Planes, converted

_RATE = Fraction(25)  # of the file only; what time a picture has is its source's to say
_PROXY_LINES = 540


class SegmentWriter:
    """Writes 8-bit RGB pictures, with alpha or without, that read back byte for byte.

    Beside PATH comes `proxy_path(PATH)`, at most 540 lines high. Both appear only by `finish`.
    """

    def __init__(self, path: Path, width: int, height: int, alpha: bool) -> None:
        self._format = "bgra" if alpha else "bgr0"
        self._size = (width, height)
        lines = min(_PROXY_LINES, height)
        self._proxy_size = (max(2, round(width * lines / height / 2) * 2), max(2, lines // 2 * 2))
        self._exact = _Track(path, "ffv1", self._format, self._size, FAST_LOSSLESS)
        try:
            options = {"qmin": "3", "qmax": "5", "flags": "+qscale"}
            self._proxy = _Track(proxy_path(path), "mjpeg", "yuvj420p", self._proxy_size, options)
        except BaseException:
            self._exact.abandon()
            raise

    def write(self, planes: Planes) -> None:
        """Adds the next picture. Raises OutputError."""
        rgb = converted(planes, self._format, *self._size)
        self._exact.write(rgb)
        self._proxy.write(converted(rgb, "yuvj420p", *self._proxy_size))

    def finish(self) -> None:
        """Puts both files in place, the lossless one last. Raises OutputError."""
        try:
            self._proxy.finish()
            self._exact.finish()
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Leaves nothing behind."""
        self._exact.abandon()
        self._proxy.abandon()


class LosslessWriter:
    """Writes a film of 8-bit RGB pictures at a constant rate that read back byte for byte."""

    def __init__(self, path: Path, width: int, height: int, rate: Fraction) -> None:
        self._size = (width, height)
        self._track = _Track(path, "ffv1", "bgr0", self._size, FAST_LOSSLESS, rate)

    def write(self, planes: Planes) -> None:
        """Adds the next picture. Raises OutputError."""
        self._track.write(converted(planes, "bgr0", *self._size))

    def finish(self) -> None:
        """Puts the file in place. Raises OutputError."""
        try:
            self._track.finish()
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Leaves nothing behind."""
        self._track.abandon()


def proxy_path(segment: Path) -> Path:
    """Where the light copy of a segment lies."""
    return segment.with_suffix(".proxy.mkv")


class _Track:
    """One file with one stream of pictures at a fixed rate."""

    def __init__(
        self,
        path: Path,
        codec: str,
        pixel_format: str,
        size: tuple[int, int],
        options: dict[str, str],
        rate: Fraction = _RATE,
    ) -> None:
        self._file = PendingFile(path)
        self._count = 0
        self._rate = rate
        try:
            with writing(path):
                self._container: OutputContainer = av.open(
                    str(self._file.part), "w", format="matroska"
                )
                stream = self._container.add_stream(codec, rate=rate, options=options)
                assert isinstance(stream, VideoStream)
                stream.width, stream.height = size
                stream.pix_fmt = pixel_format
                stream.codec_context.thread_count = 0
                self._stream = stream
        except BaseException:
            self._file.discard()
            raise

    def write(self, planes: Planes) -> None:
        with writing(self._file.target):
            picture = planes.picture
            before = (picture.pts, picture.time_base, picture.pict_type)
            picture.pts, picture.time_base, picture.pict_type = self._count, 1 / self._rate, 0
            self._count += 1
            try:
                self._container.mux(self._stream.encode(picture))
            finally:
                picture.pts, base, picture.pict_type = before
                if base is not None:
                    picture.time_base = base

    def finish(self) -> None:
        with writing(self._file.target):
            self._container.mux(self._stream.encode(None))
            self._container.close()
        self._file.commit()

    def abandon(self) -> None:
        throw_away(self._container)
        self._file.discard()
