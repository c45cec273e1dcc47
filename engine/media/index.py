"""Where every picture of a file lies: its time, and from which key picture to decode it."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import overload

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from engine.errors import MediaError
from engine.media.opening import THREADS, damaged, open_media, readable, refuse_protected
from engine.render.frame import plane_rows

_COARSE = Fraction(1, 500)  # ticks up to this long only round the frame grid; GIF's 1/100 do not
_HEAD_PICTURES = 4
_MOST_PIXELS = 1 << 28
_LONGEST_HOLD = 600  # seconds that a last picture may be said to stay
# Formats whose packets do not tell when pictures show: these are decoded once, whole.
_UNTOLD = {"vp8", "mpeg4", "msmpeg4v3", "vc1", "wmv3", "mpeg1video"}


class Times(Sequence[Fraction]):
    """When each picture begins, in seconds from the first; made from ticks when asked for."""

    def __init__(self, ticks: Sequence[int], tick: Fraction) -> None:
        self._ticks = ticks
        self._tick = tick

    def __len__(self) -> int:
        return len(self._ticks)

    @overload
    def __getitem__(self, index: int) -> Fraction: ...
    @overload
    def __getitem__(self, index: slice) -> "Times": ...
    def __getitem__(self, index: int | slice) -> "Fraction | Times":
        if isinstance(index, slice):
            return Times(self._ticks[index], self._tick)
        return self._ticks[index] * self._tick

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # like every sequence that compares by content


@dataclass(frozen=True)
class PictureIndex:
    """The pictures of a stream in the order in which they show."""

    stream: int
    stamps: tuple[int, ...]  # presentation times in the stream's own ticks, ascending
    time_base: Fraction
    keys: tuple[int, ...]  # numbers of the pictures at which decoding can begin, ascending
    times: Times
    duration: Fraction
    rate: Fraction  # average
    is_variable: bool
    zero: Fraction  # the first picture, in the container's time
    is_opaque: bool = False  # no pixel is transparent, though the format could be

    def key_before(self, picture: int) -> int:
        """The last of `keys`, by its place in it, from which `picture` can be decoded."""
        return max(0, bisect.bisect_right(self.keys, picture) - 1)


@dataclass(frozen=True)
class MediaIndex:
    """What one pass over the packets of a file tells."""

    pictures: PictureIndex | None
    sound: int | None  # number of the sound stream
    sound_end: Fraction  # in the container's time


def index_of(path: Path) -> MediaIndex:
    """The index of a file; kept, until the file changes. Raises MediaError."""
    try:
        status = path.stat()
    except OSError:
        with open_media(path):  # says what is wrong
            raise damaged(path) from None
    return _index_of(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _index_of(path: Path, size: int, changed: int) -> MediaIndex:
    with open_media(path) as container:
        refuse_protected(path, container)
        with readable(path):
            return _scanned(path, container)


def video_stream(container: InputContainer) -> VideoStream | None:
    """The stream of moving pictures, or the still; cover art of a song is none."""
    for stream in container.streams.video:
        is_cover = stream.disposition & av.stream.Disposition.attached_pic
        if not is_cover and stream.codec_context is not None:
            return stream
    return None


@dataclass
class _Scan:
    """What was seen so far, in decoding order."""

    stamps: list[tuple[int, bool]]  # presentation, whether a key
    last_duration: int = 0
    is_untold: bool = False
    is_broken: bool = False


def _scanned(path: Path, container: InputContainer) -> MediaIndex:
    video = video_stream(container)
    sound = next((one for one in container.streams.audio if one.codec_context is not None), None)
    streams = tuple(one for one in (video, sound) if one is not None)
    if not streams:
        raise MediaError(
            f"«{path.name}» holds no picture and no sound that can be read.",
            "Choose another file.",
        )
    scan = _Scan([])
    sound_end, longest = 0, (0, 0)
    try:
        for packet in container.demux(streams):
            if packet.size == 0:
                continue
            if video is not None and packet.stream.index == video.index:
                if _noted(scan, packet):
                    longest = max(longest, (packet.pts or 0, packet.duration or 0))
            elif packet.pts is not None:
                sound_end = max(sound_end, packet.pts + (packet.duration or 0))
    except av.FFmpegError:
        scan.is_broken = True  # what came before it is still there
    scan.last_duration = longest[1]
    sound_base = sound.time_base if sound is not None else None
    return MediaIndex(
        _pictures(path, video, scan) if video is not None else None,
        sound.index if sound is not None else None,
        sound_end * (sound_base or Fraction(0)),
    )


def _noted(scan: _Scan, packet: "Packet[Stream]") -> bool:
    if packet.is_discard:
        return False  # before the start of an edit list: decoded, never shown
    if packet.is_corrupt:
        scan.is_broken = True
    if packet.pts is None:
        scan.is_untold = True
        return False
    scan.stamps.append((packet.pts, packet.is_keyframe))
    return True


def _pictures(path: Path, stream: VideoStream, scan: _Scan) -> PictureIndex | None:
    codec = stream.codec_context.name
    if stream.codec_context.width * stream.codec_context.height > _MOST_PIXELS:
        raise MediaError(
            f"«{path.name}» has pictures that are too large to be read.",
            "Scale it down in another program first.",
        )
    stamps = sorted(set(scan.stamps))
    shown = [stamp for stamp, _ in stamps]
    has_twins = any(one == other for one, other in pairwise(shown))
    if scan.is_untold or has_twins or codec in _UNTOLD or not stamps:
        stamps = _decoded_stamps(path, stream.index)
    else:
        stamps = _trimmed(path, stream, scan, stamps)
    if not stamps:
        raise damaged(path, "no picture could be decoded")
    index = _index(stream, stamps, scan.last_duration)
    if codec == "gif":
        return replace(index, is_opaque=_is_opaque(path, stream.index))
    return index


def _index(stream: VideoStream, stamps: list[tuple[int, bool]], last_duration: int) -> PictureIndex:
    base = stream.time_base or Fraction(1, 1000)
    shown = tuple(stamp for stamp, _ in stamps)
    keys = tuple(number for number, (_, is_key) in enumerate(stamps) if is_key) or (0,)
    first = shown[0]
    ticks = tuple(stamp - first for stamp in shown)
    steps = {other - one for one, other in pairwise(ticks)}
    grid = _grid(stream, ticks, base) if len(ticks) > 1 else None
    last = last_duration or (ticks[-1] - ticks[-2] if len(ticks) > 1 else 0)
    if stream.duration and "mp4" in stream.container.format.name:
        # A packet's duration is a step of decoding times there, which B-frames shuffle.
        end = (stream.start_time or 0) + stream.duration - first
        last = end - ticks[-1] if 0 < end - ticks[-1] <= _LONGEST_HOLD / base else last
    if grid is not None:
        times, duration, rate = Times(range(len(ticks)), 1 / grid), len(ticks) / grid, grid
    else:
        times, duration = Times(ticks, base), (ticks[-1] + last) * base
        rate = len(ticks) / duration if duration else Fraction(1)
        if len(steps) == 1:
            rate = 1 / (steps.pop() * base)
            steps = set()
    return PictureIndex(
        stream.index,
        shown,
        base,
        keys,
        times,
        duration,
        rate,
        grid is None and len(steps) > 1,
        first * base,
    )


def _grid(stream: VideoStream, ticks: tuple[int, ...], base: Fraction) -> Fraction | None:
    """The constant rate of pictures whose times are that grid rounded to ticks, if there is one."""
    if base > _COARSE:
        return None
    mean = ticks[-1] * base / (len(ticks) - 1)
    wanted = [stream.average_rate, stream.guessed_rate, stream.base_rate, _usual(mean)]
    for rate in wanted:
        if not rate or rate * base > Fraction(1, 2):
            continue
        step = 1 / (rate * base)
        if all(abs(tick - number * step) <= 1 for number, tick in enumerate(ticks)):
            return Fraction(rate)
    return None


def _usual(step: Fraction) -> Fraction | None:
    """The usual frame rate nearest to a mean step, e.g. 30000/1001."""
    if not step:
        return None
    whole = Fraction(round(1 / step))
    return min((whole, whole * 1000 / 1001), key=lambda rate: abs(rate - 1 / step)) or None


def _trimmed(
    path: Path,
    stream: VideoStream,
    scan: _Scan,
    stamps: list[tuple[int, bool]],
) -> list[tuple[int, bool]]:
    """Without pictures that never come out: before the first that decodes, after the last."""
    first = _first_shown(path, stream.index)
    stamps = [one for one in stamps if one[0] >= first]
    if scan.is_broken or stream.frames > len(scan.stamps):
        keys = [stamp for stamp, is_key in stamps if is_key]
        last = _last_shown(path, stream.index, keys)
        stamps = [one for one in stamps if one[0] <= last]
    return stamps


def _first_shown(path: Path, number: int) -> int:
    seen: list[int] = []
    with open_media(path) as container:
        stream = _threaded(container, number)
        try:
            for frame in container.decode(stream):
                if frame.pts is not None:
                    seen.append(frame.pts)
                if len(seen) >= _HEAD_PICTURES:
                    break
        except av.FFmpegError as error:
            if not seen:
                raise damaged(path, str(error)) from error
    if not seen:
        raise damaged(path, "no picture could be decoded")
    return min(seen)


def _last_shown(path: Path, number: int, keys: list[int]) -> int:
    """The last picture of a broken file that still decodes."""
    for key in [*reversed(keys[-2:]), None]:
        last: int | None = None
        with open_media(path) as container:
            stream = _threaded(container, number)
            try:
                if key is not None:
                    container.seek(key, stream=stream)
                for frame in container.decode(stream):
                    if frame.pts is not None:
                        last = max(last or frame.pts, frame.pts)
            except av.FFmpegError:
                pass  # the break itself; what decoded before it counts
        if last is not None:
            return last
    raise damaged(path, "no picture could be decoded")


def _decoded_stamps(path: Path, number: int) -> list[tuple[int, bool]]:
    """The pictures by decoding them all; a picture without a time follows the one before it."""
    found: dict[int, tuple[int, bool]] = {}
    with open_media(path) as container:
        stream = _threaded(container, number)
        base, rate = stream.time_base, stream.average_rate
        step = round(1 / (base * rate)) if base and rate else 1
        following = 0
        try:
            for frame in container.decode(stream):
                stamp = frame.pts if frame.pts is not None else following
                found[stamp] = (stamp, frame.key_frame)
                following = stamp + (frame.duration or step)
        except av.FFmpegError as error:
            if not found:
                raise damaged(path, str(error)) from error
    return sorted(found.values())


def _is_opaque(path: Path, number: int) -> bool:
    """Whether no pixel is transparent; GIF's decoder gives BGRA in any case."""
    with open_media(path) as container:
        return all(
            frame.format.name == "bgra"
            and int(plane_rows(frame.planes[0], np.uint8)[:, 3 : frame.width * 4 : 4].min()) == 255
            for frame in container.decode(_threaded(container, number))
        )


def _threaded(container: InputContainer, number: int) -> VideoStream:
    stream = container.streams[number]
    assert isinstance(stream, VideoStream)
    stream.codec_context.thread_count = THREADS
    stream.thread_type = "AUTO"
    return stream
