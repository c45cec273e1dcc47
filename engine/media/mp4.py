"""MP4: H.264 and AAC, every picture at its exact time, repeated without a second encode."""

import tempfile
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import IO, NamedTuple, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from engine.jobs import ExportOptions
from engine.media import color
from engine.media.opening import THREADS
from engine.media.output import PendingFile, throw_away, writing
from engine.render.frame import Planes, converted, from_rgb8, plane_rows, retagged, to_rgb8

SOUND_RATE = 48_000
SOUND_BITS = 160_000

# Holds 1/24, 1/25, 1/30, 1/60, 1001/24000, 1001/30000, milliseconds, centiseconds and 1/90000.
_FINE_BASE = Fraction(1, 360_000)
_NOMINAL_RATE = Fraction(30)  # told to x264 where each picture has its own delay


class _Kept(NamedTuple):
    """A picture packet set aside to be repeated; its bytes lie in the spool."""

    size: int
    pts: int
    is_key: bool


class Mp4Writer:
    """Writes one MP4. `rate`: None where every picture has its own delay.

    Pictures of the output's own format, size and tags go to the encoder as they are; a source
    that is tagged BT.601 keeps its tags, all else becomes BT.709, limited range.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        rate: Fraction | None,
        options: ExportOptions,
        sound: bool,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self._size = (width, height)
        self._rate = rate
        self._options = options
        self._base = 1 / Fraction(rate) if rate else _FINE_BASE
        self._file = PendingFile(path)
        self._durations: dict[int, int] = {}
        self._last_pts = -1
        self._end = 0
        self._held: Packet[VideoStream] | None = None  # muxed once the next one is there
        self._first_dts = 0
        self._kept: list[_Kept] = []
        self._waiting_sound: deque[Packet[AudioStream]] = deque()
        self._samples = 0
        self._tags = color.HD_TAGS
        self._is_begun = False
        self._spool: IO[bytes] | None = None  # picture packets to repeat; dies when closed
        try:
            with writing(path):
                if options.loop > 1:
                    self._spool = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
                self._container = av.open(
                    str(self._file.part),
                    "w",
                    format="mp4",
                    options={"movflags": "+faststart"},
                )
                self._container.metadata.update(metadata or {})
                self._pictures = self._add_pictures()
                self._sound = self._add_sound() if sound else None
        except BaseException:
            self._file.discard()
            raise

    def write(self, planes: Planes, time: Fraction, duration: Fraction) -> None:
        """Adds the picture that shows from `time` for `duration` seconds. Raises OutputError."""
        with writing(self._file.target):
            if not self._is_begun:
                self._begin(planes)
            picture = self._fitted(planes).picture
            pts = max(round(time / self._base), self._last_pts + 1)
            self._end = max(pts + 1, round((time + duration) / self._base))
            self._durations[pts] = self._end - pts
            self._last_pts = pts
            self._mux_pictures(self._encoded(picture, pts))

    def write_sound(self, samples: NDArray[np.float32]) -> None:
        """Adds (n, 2) samples at 48 kHz. Raises OutputError."""
        if self._sound is None or not len(samples):
            return
        with writing(self._file.target):
            flat = np.ascontiguousarray(samples, np.float32).reshape(1, -1)
            frame = AudioFrame.from_ndarray(flat, format="flt", layout="stereo")
            frame.sample_rate = SOUND_RATE
            frame.time_base = Fraction(1, SOUND_RATE)
            frame.pts = self._samples
            self._samples += len(samples)
            self._waiting_sound.extend(self._sound.encode(frame))

    def finish(self, repeats: int = 1) -> None:
        """Ends the file; the pictures play `repeats` times. Raises OutputError."""
        try:
            self._file.refuse_nothing(self._is_begun)
            with writing(self._file.target):
                self._mux_pictures(self._pictures.encode(None))
                if self._sound is not None:
                    self._waiting_sound.extend(self._sound.encode(None))
                self._repeat(max(1, repeats))
                self._mux_last(self._end * max(1, repeats))
                self._mux_sound(None)
                self._container.close()
        except BaseException:
            self.abandon()
            raise
        self._drop_spool()
        self._file.commit()

    def abandon(self) -> None:
        """Leaves nothing behind; an older file of that name stays as it was."""
        throw_away(self._container)
        self._drop_spool()
        self._file.discard()

    def _drop_spool(self) -> None:
        if self._spool is not None:
            with suppress(OSError):  # what a full drive did not take
                self._spool.close()

    def _add_pictures(self) -> VideoStream:
        rate = Fraction(self._rate) if self._rate else _NOMINAL_RATE
        stream = self._container.add_stream(
            "libx264",
            rate=rate,
            options={"crf": str(self._options.crf), "preset": self._options.preset},
        )
        assert isinstance(stream, VideoStream)
        width, height = self._size
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = self._base
        stream.codec_context.thread_count = THREADS
        return stream

    def _add_sound(self) -> AudioStream:
        stream = self._container.add_stream("aac", rate=SOUND_RATE)
        assert isinstance(stream, AudioStream)
        stream.layout = "stereo"
        stream.bit_rate = SOUND_BITS
        return stream

    def _begin(self, first: Planes) -> None:
        """Takes the tags of the first picture where they can stand in the file."""
        tags = color.tags_of(first.picture)
        if color.is_sd(tags.matrix) and not color.is_hdr(tags):
            self._tags = color.SD_TAGS._replace(matrix=tags.matrix)
        context = self._pictures.codec_context
        context.colorspace, context.color_range = self._tags.matrix, self._tags.range
        context.color_trc, context.color_primaries = self._tags.transfer, self._tags.primaries
        self._is_begun = True

    def _fitted(self, planes: Planes) -> Planes:
        """The picture in the format, size and tags of the file; itself if it is that already."""
        if planes.has_alpha:
            planes = from_rgb8(to_rgb8(planes))
        planes = converted(planes, planes.format, *self._size)
        planes = retagged(planes, "yuv420p", self._tags)
        if self._size[0] % 2 or self._size[1] % 2:
            return _padded(planes)
        return planes

    def _encoded(self, picture: av.VideoFrame, pts: int) -> "list[Packet[VideoStream]]":
        """Encodes a shared picture: its marks are set for the encoder's own copy and put back."""
        before = (picture.pts, picture.time_base, picture.duration, picture.pict_type)
        picture.pts, picture.time_base, picture.duration = pts, self._base, 0
        picture.pict_type = 0  # a decoded picture would force its own type on the encoder
        try:
            return self._pictures.encode(picture)
        finally:
            picture.pts, base, picture.duration, picture.pict_type = before
            if base is not None:
                picture.time_base = base

    def _mux_pictures(self, packets: "list[Packet[VideoStream]]") -> None:
        for packet in packets:
            assert packet.pts is not None
            packet.duration = self._durations.pop(packet.pts)
            if self._spool is not None:
                self._spool.write(packet)
                self._kept.append(_Kept(packet.size, packet.pts, packet.is_keyframe))
            self._mux_picture(packet)

    def _mux_picture(self, packet: "Packet[VideoStream]") -> None:
        held, self._held = self._held, packet
        if held is None:
            self._first_dts = packet.dts or 0
            return
        assert held.dts is not None
        self._mux_sound((held.dts - self._first_dts) * self._base)
        self._container.mux(held)

    def _mux_last(self, end: int) -> None:
        """MP4 stores steps between decoding times: the last one carries the track to its end."""
        held = self._held
        if held is None:
            return
        assert held.dts is not None
        held.duration = max(held.duration or 0, self._first_dts + end - held.dts)
        self._mux_sound(end * self._base)
        self._container.mux(held)
        self._held = None

    def _mux_sound(self, until: Fraction | None) -> None:
        """Passes sound on up to a time, so that picture and sound lie side by side in the file."""
        while self._waiting_sound:
            packet = self._waiting_sound[0]
            assert packet.pts is not None
            if until is not None and packet.pts * packet.time_base > until:
                return
            self._container.mux(self._waiting_sound.popleft())

    def _repeat(self, times: int) -> None:
        """Appends the coded pictures again. A closed GOP starts each round, so all decode alike."""
        if times < 2 or self._spool is None or not self._kept:
            return
        shown = sorted(kept.pts for kept in self._kept)
        delay = max(place - bisect_left(shown, kept.pts) for place, kept in enumerate(self._kept))
        count = len(shown)
        steps = {one: two - one for one, two in zip(shown, [*shown[1:], self._end], strict=True)}
        for round_number in range(1, times):
            self._spool.seek(0)
            for place, kept in enumerate(self._kept):
                packet = cast("Packet[VideoStream]", Packet(self._spool.read(kept.size)))
                packet.stream = self._pictures
                packet.time_base = self._base
                packet.pts = kept.pts + round_number * self._end
                # The first pictures of a round are decoded while the last of the one before show.
                back, index = divmod(place - delay, count)
                packet.dts = shown[index] + (round_number + back) * self._end
                packet.duration = steps[kept.pts]
                packet.is_keyframe = kept.is_key
                self._mux_picture(packet)


def _padded(planes: Planes) -> Planes:
    """A yuv420p picture of odd sides with its last column and row doubled."""
    source = planes.picture
    width, height = source.width, source.height
    result = av.VideoFrame(width + width % 2, height + height % 2, "yuv420p")
    color.put_tags(result, color.tags_of(source))
    for into, plane in zip(result.planes, source.planes, strict=True):
        rows, target = plane_rows(plane, np.uint8), plane_rows(into, np.uint8)
        target[: plane.height, : plane.width] = rows[:, : plane.width]
        target[: plane.height, plane.width : into.width] = rows[:, plane.width - 1, None]
        target[plane.height : into.height] = target[plane.height - 1]
    return Planes(result)
