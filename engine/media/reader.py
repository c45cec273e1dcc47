"""Pictures of a file by number, exact to the frame."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.filter import Graph
from av.video.stream import VideoStream

from engine.errors import MediaError
from engine.media.index import PictureIndex, Times, index_of
from engine.media.opening import THREADS, damaged, open_media, readable
from engine.media.orientation import (
    UPRIGHT,
    Orientation,
    orientation_of,
    photograph_orientation,
    turned,
)
from engine.media.sound import SoundReader
from engine.render.frame import Planes, converted

__all__ = ["SoundReader", "VideoReader"]

_EXIF_BYTES = 1 << 18  # where a photograph says how the camera was held
_MOST_OBLONG = Fraction(8)  # pixels said to be longer than that are a damaged header
_RECENT = 4  # pictures kept, for who asks twice


class VideoReader:
    """The pictures of one file, upright and with square pixels. A `FrameSource`.

    Decodes on from where it is when the wanted picture lies ahead of the next key picture, else
    seeks. Where the file is damaged in the middle, the picture before the damage stays.
    """

    def __init__(self, path: Path) -> None:
        pictures = index_of(path).pictures
        if pictures is None:
            raise MediaError(f"«{path.name}» holds no picture.", "It can be used on a sound track.")
        self._path = path
        self._index: PictureIndex = pictures
        self._numbers = {stamp: number for number, stamp in enumerate(pictures.stamps)}
        self._container = open_media(path)
        self._stream = self._threaded()
        self._is_fresh = True
        self._is_pipe = self._container.format.name in STILLS
        self._decoded: Iterator[av.VideoFrame] | None = None
        self._position = 0  # the first number that may still come out of `_decoded`
        self._recent: deque[tuple[int, Planes]] = deque(maxlen=_RECENT)
        self._deinterlaces = False
        self._orientation: Orientation = UPRIGHT
        self._size: tuple[int, int] | None = None  # as stored, with square pixels
        try:
            self._learn()
        except MediaError:
            self.close()
            raise

    @property
    def width(self) -> int:
        return self._shown_size()[0]

    @property
    def height(self) -> int:
        return self._shown_size()[1]

    @property
    def times(self) -> Times:
        return self._index.times

    @property
    def duration(self) -> Fraction:
        return Fraction(0) if self.is_still else self._index.duration

    @property
    def is_still(self) -> bool:
        """Whether the file is one picture without a time of its own."""
        return self._is_pipe

    @property
    def rotation(self) -> int:
        """Degrees clockwise by which the stored pictures are turned."""
        return self._orientation.degrees

    @property
    def codec(self) -> str:
        """FFmpeg's name of how the pictures are coded."""
        return self._stream.codec_context.name

    def frame(self, index: int) -> Planes:
        """Picture `index`; fast for the next ones in order. Raises MediaError."""
        if not 0 <= index < len(self._index.stamps):
            raise IndexError(f"picture {index} of {len(self._index.stamps)}")
        for number, planes in self._recent:
            if number == index:
                return planes
        with readable(self._path):
            planes = self._finished(self._picture(index))
        self._recent.append((index, planes))
        return planes

    def frames(self, start: int, stop: int) -> Iterator[Planes]:
        """Pictures start to stop - 1 in order."""
        for index in range(start, stop):
            yield self.frame(index)

    def close(self) -> None:
        self._decoded = None
        self._recent.clear()
        self._container.close()

    def _learn(self) -> None:
        """Looks at the first picture for what the container may not say."""
        with readable(self._path):
            first = self._picture(0)
        if self._is_pipe:
            with self._path.open("rb") as file:
                self._orientation = photograph_orientation(file.read(_EXIF_BYTES))
        else:
            self._orientation = orientation_of(first)
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        width = first.width
        if aspect != 1 and 1 / _MOST_OBLONG <= aspect <= _MOST_OBLONG:
            width = max(1, round(first.width * aspect))
        self._size = (width, first.height)
        if first.interlaced_frame:
            self._deinterlaces = True
            self._decoded = None

    def _shown_size(self) -> tuple[int, int]:
        assert self._size is not None
        width, height = self._size
        return (height, width) if self._orientation.swaps_sides else (width, height)

    def _picture(self, index: int) -> av.VideoFrame:
        """The decoded picture, by going on or by seeking ever further back."""
        place = self._index.key_before(max(0, index - 1) if self._deinterlaces else index)
        key = self._index.keys[place]
        hurries = False
        if self._decoded is None or index < self._position or key > self._position:
            hurries = not self._deinterlaces and index > key
            self._seek(place, index if hurries else None)
        while True:
            found, held = self._decode_to(index)
            if found is not None:
                return found
            if hurries:  # the file is damaged here: every picture before the damage counts
                hurries = False
                self._seek(place)
                continue
            if held is not None and held[0] >= key:
                return held[1]  # a hole in the file: the picture before it stays
            if place == 0:
                break
            place = max(0, place - 1)
            key = self._index.keys[place]
            self._seek(place)
        return self._nearest(index)

    def _decode_to(
        self, index: int
    ) -> tuple[av.VideoFrame | None, tuple[int, av.VideoFrame] | None]:
        """The picture, or else the last one before it that came out."""
        held: tuple[int, av.VideoFrame] | None = None
        assert self._decoded is not None
        try:
            for frame in self._decoded:
                number = self._number(frame)
                if number is None:
                    continue
                self._position = number + 1
                if number == index:
                    return frame, held
                if number > index:
                    self._decoded = None
                    return None, held
                held = (number, frame)
        except av.FFmpegError:
            if held is None and index == 0:
                raise
        self._decoded = None
        return None, held

    def _nearest(self, index: int) -> av.VideoFrame:
        """The first picture that comes out at all, where `index` and all before it are lost."""
        self._seek(self._index.key_before(index))
        assert self._decoded is not None
        for frame in self._decoded:
            self._decoded = None
            return frame
        raise damaged(self._path, f"picture {index} cannot be decoded")

    def _number(self, frame: av.VideoFrame) -> int | None:
        if len(self._index.stamps) == 1:
            return 0
        if frame.pts is None:
            return self._position
        return self._numbers.get(frame.pts)

    def _seek(self, place: int, wanted: int | None = None) -> None:
        """Goes to a key picture; on the way to `wanted` nothing is decoded that nothing needs."""
        key = self._index.keys[place]
        if not self._is_fresh:
            can_seek = place > 0 or (key == 0 and self._container.format.name != "mpegts")
            self._go_to(self._index.stamps[key] if can_seek else None)
        self._is_fresh = False
        self._position = key if place > 0 else 0
        if wanted is not None:
            self._decoded = self._hurried(self._index.stamps[wanted])
        else:
            self._stream.codec_context.skip_frame = "DEFAULT"
            frames = self._container.decode(self._stream)
            self._decoded = self._without_lines(frames) if self._deinterlaces else frames

    def _hurried(self, stamp: int) -> Iterator[av.VideoFrame]:
        """The pictures from here on, but before `stamp` only those that others refer to."""
        context = self._stream.codec_context
        for packet in self._container.demux(self._stream):
            is_before = packet.pts is not None and packet.pts < stamp
            context.skip_frame = "NONREF" if is_before else "DEFAULT"
            yield from packet.decode()

    def _go_to(self, stamp: int | None) -> None:
        """Seeks to a key picture; None for the very start, which some files reach only anew."""
        if stamp is not None and not self._is_pipe:
            try:
                self._container.seek(stamp, stream=self._stream)
            except av.FFmpegError:
                pass  # no seeking in this one
            else:
                return
        self._container.close()
        self._container = open_media(self._path)
        self._stream = self._threaded()

    def _threaded(self) -> VideoStream:
        stream = self._container.streams[self._index.stream]
        assert isinstance(stream, VideoStream)
        stream.codec_context.thread_count = THREADS
        stream.thread_type = "AUTO"
        return stream

    def _without_lines(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Whole pictures from interlaced ones; progressive ones pass unchanged."""
        graph = Graph()
        source = graph.add_buffer(template=self._stream, time_base=self._index.time_base)
        weave = graph.add("bwdif", "mode=send_frame:deint=interlaced")
        graph.link_nodes(source, weave, graph.add("buffersink")).configure()
        stamps: deque[int | None] = deque()
        for frame in frames:
            stamps.append(frame.pts)
            source.push(frame)
            yield from self._pulled(graph, stamps)
        source.push(None)
        yield from self._pulled(graph, stamps)

    def _pulled(self, graph: Graph, stamps: deque[int | None]) -> Iterator[av.VideoFrame]:
        while True:
            try:
                frame = graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            frame.pts = stamps.popleft()  # one comes out for each that went in
            frame.time_base = self._index.time_base
            yield frame

    def _finished(self, picture: av.VideoFrame) -> Planes:
        planes = Planes(picture)
        assert self._size is not None
        if (picture.width, picture.height) != self._size:
            planes = converted(planes, planes.format, *self._size)
        if self._index.is_opaque and planes.has_alpha:
            planes = converted(planes, "rgb24")
        return turned(planes, self._orientation)


STILLS = {"png_pipe", "jpeg_pipe", "bmp_pipe", "tiff_pipe", "webp_pipe"}
