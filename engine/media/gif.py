"""GIF: one palette made from all pictures, delays that add up, repeats as asked."""

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from av.filter.context import FilterContext
from numpy.typing import NDArray

from engine.jobs import ExportOptions
from engine.media.output import PendingFile, writing
from engine.media.spool import Spool
from engine.render.frame import Planes, converted

_SHORTEST = 2  # hundredths of a second; players show what is shorter far too long
_LONGEST = 65_535
SHORTEST = Fraction(_SHORTEST, 100)  # in seconds
_SMALL = 320 * 240  # pixels; up to here every one of them is asked for its colour
_CONTROL = b"\x21\xf9\x04"  # graphic control extension: flags, delay, transparent index
_TRAILER = b"\x3b"


class GifWriter:
    """Writes one GIF. Sound is not kept. Memory does not grow with the length.

    The palette is known only when the last picture is, so pictures wait in a spool. Pictures that
    would show for less than 2/100 s are left out (`dropped`), their time goes to the one before.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        rate: Fraction | None,
        options: ExportOptions,
        sound: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self._size = (width, height)
        self._options = options
        self._comment = (metadata or {}).get("comment", "")
        self._starts: list[int] = []  # of the pictures in the spool, in hundredths of a second
        self._end = 0
        self._palette: _Palette | None = None
        self.dropped = 0
        self._file = PendingFile(path)
        self._spool = Spool(path.parent, width, height)

    def write(self, planes: Planes, time: Fraction, duration: Fraction) -> None:
        """Adds the picture that shows from `time` for `duration` seconds. Raises OutputError."""
        start, self._end = round(time * 100), round((time + duration) * 100)
        if self._starts and start - self._starts[-1] < _SHORTEST:
            self.dropped += 1
            return
        with writing(self._file.target):
            planes = converted(planes, planes.format, *self._size)
            if self._palette is None:
                self._palette = _Palette(*self._size, self._options.colours)
            self._palette.add(planes)
            self._spool.write(planes)
            self._starts.append(start)

    def write_sound(self, samples: NDArray[np.float32]) -> None:
        """Does nothing: a GIF is silent."""

    def finish(
        self, repeats: int = 0, each: Callable[[int, int], None] = lambda done, total: None
    ) -> None:
        """Ends the file, to be played `repeats` times; 0 is for ever. Raises OutputError.

        `each` is told how many of the pictures have got their colours; what it raises ends it.
        """
        try:
            self._file.refuse_nothing(bool(self._starts))
            with writing(self._file.target):
                if len(self._starts) > 1 and self._end - self._starts[-1] < _SHORTEST:
                    self._starts.pop()
                    self.dropped += 1
                with self._file.part.open("wb") as file:
                    for block in self._blocks(repeats, each):
                        file.write(block)
        except BaseException:
            self.abandon()
            raise
        self._spool.close()
        self._file.commit()

    def abandon(self) -> None:
        """Leaves nothing behind; an older file of that name stays as it was."""
        self._spool.close()
        self._file.discard()

    def _blocks(self, repeats: int, each: Callable[[int, int], None]) -> Iterator[bytes]:
        """The file in pieces: header, extensions, a block for each picture, trailer."""
        delays = _delays(self._starts, self._end)
        encoder = av.CodecContext.create("gif", "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height = self._size
        encoder.pix_fmt = "pal8"
        encoder.time_base = Fraction(1, 100)
        is_first = True
        for number, picture in enumerate(self._indexed()):
            each(number + 1, len(delays))
            left = delays[number]
            while left > 0:  # a delay beyond what the format can say is said in parts
                delay = min(left, _LONGEST)
                left -= delay
                picture.pts, picture.time_base = self._starts[number] + left, Fraction(1, 100)
                coded = b"".join(bytes(packet) for packet in encoder.encode(picture))
                if is_first:
                    head = 13 + 3 * (2 << (coded[10] & 7)) * (coded[10] >> 7)
                    yield coded[:head] + _loop(repeats) + _comment(self._comment)
                    coded, is_first = coded[head:], False
                yield _with_delay(coded, delay)
        yield _TRAILER

    def _indexed(self) -> Iterator[av.VideoFrame]:
        """The pictures in the colours of the palette."""
        assert self._palette is not None
        palette = self._palette.made()
        graph = Graph()
        width, height = self._size
        source = _buffer(graph, width, height)
        colours = _buffer(graph, palette.width, palette.height)
        recipe = f"dither={self._options.dither}:bayer_scale=3:diff_mode=rectangle"
        use = graph.add("paletteuse", recipe)
        source.link_to(use, 0, 0)
        colours.link_to(use, 0, 1)
        use.link_to(graph.add("buffersink"))
        graph.configure()
        palette.pts, palette.time_base = 0, Fraction(1, 100)
        colours.push(palette)
        colours.push(None)
        for number, planes in enumerate(self._spool.read(len(self._starts))):
            picture = _coloured(planes, width, height)
            picture.pts, picture.time_base = number, Fraction(1, 100)
            source.push(picture)
            yield from _pulled(graph)
        source.push(None)
        yield from _pulled(graph)


class _Palette:
    """The palette of all pictures seen, by FFmpeg's median cut."""

    def __init__(self, width: int, height: int, colours: int) -> None:
        self._graph = Graph()
        # Half the size has nearly all the colours, at a quarter of the time.
        parts = 2 if width * height > _SMALL else 1
        self._size = (max(1, width // parts), max(1, height // parts))
        self._source = _buffer(self._graph, *self._size)
        # Of two colours none is spared for what is transparent.
        recipe = f"max_colors={colours}:stats_mode=full:reserve_transparent={int(colours > 2)}"
        made = self._graph.add("palettegen", recipe)
        self._graph.link_nodes(self._source, made, self._graph.add("buffersink")).configure()
        self._count = 0

    def add(self, planes: Planes) -> None:
        picture = _coloured(planes, *self._size)
        picture.pts, picture.time_base = self._count, Fraction(1, 100)
        self._count += 1
        self._source.push(picture)

    def made(self) -> av.VideoFrame:
        self._source.push(None)
        return self._graph.vpull()


def _buffer(graph: Graph, width: int, height: int) -> FilterContext:
    pixels = av.VideoFormat("bgra", width, height)
    return graph.add_buffer(width=width, height=height, format=pixels, time_base=Fraction(1, 100))


def _coloured(planes: Planes, width: int, height: int) -> av.VideoFrame:
    """A BGRA picture of our own, so that its time may be set."""
    if planes.format == "bgra" and (planes.width, planes.height) == (width, height):
        planes = converted(planes, "rgba")  # a shared picture is left as it is
    return converted(planes, "bgra", width, height).picture


def _pulled(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _delays(starts: list[int], end: int) -> list[int]:
    """How long each picture shows; their sum is the whole length."""
    bounds = [*starts, max(end, starts[-1] + _SHORTEST)] if starts else []
    return [after - before for before, after in pairwise(bounds)]


def _with_delay(coded: bytes, delay: int) -> bytes:
    """An encoded picture with its delay written into its graphic control extension."""
    assert coded.startswith(_CONTROL)
    return coded[:4] + delay.to_bytes(2, "little") + coded[6:]


def _loop(plays: int) -> bytes:
    """How often it is repeated: nothing for once, else Netscape's extension (0 for ever)."""
    if plays == 1:
        return b""
    repeats = max(0, min(plays - 1, 65_535)) if plays > 1 else 0
    return b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + repeats.to_bytes(2, "little") + b"\x00"


def _comment(text: str) -> bytes:
    """A comment extension, in sub-blocks of up to 255 bytes."""
    data = text.encode()
    if not data:
        return b""
    parts = [data[start : start + 255] for start in range(0, len(data), 255)]
    return b"\x21\xfe" + b"".join(bytes([len(part)]) + part for part in parts) + b"\x00"
