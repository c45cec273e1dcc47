"""Where things lie: time to pixels and back, rows, ruler steps, sizes. Pure functions."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import exp, floor, log, log2

from engine.timeline.model import Sequence, Track, TrackKind
from engine.timeline.time import Time, time_of

RULER = 28
LANE = 8
TOP = RULER + LANE  # where the tracks begin
GAP = 8  # between the last picture and the first sound track
DEFAULT_HEIGHT = {TrackKind.VIDEO: 68, TrackKind.AUDIO: 56}
LEAST_HEIGHT, MOST_HEIGHT, HEIGHT_STEP = 32, 160, 4
INSET = 2  # of a clip in its track, above and below
STRIP = {TrackKind.VIDEO: 18, TrackKind.AUDIO: 16}
TRIM = 8  # the zone at each end of a clip
SNAP = 8  # pixels
LABEL_ROOM = 96  # least distance of ruler labels
PART_ROOM = 10  # least distance of the smallest ticks
FRAME_MOST = 24  # pixels a frame takes at most
SHORTEST_VIEW = 30.0  # seconds that can always be seen, however short the sequence is


@dataclass(frozen=True, slots=True)
class Scale:
    """The relation of seconds and pixels: x = seconds * px_per_second - offset."""

    px_per_second: float
    offset: float = 0.0

    def x(self, at: Time | float) -> float:
        return float(at) * self.px_per_second - self.offset

    def seconds(self, x: float) -> float:
        return (x + self.offset) / self.px_per_second

    def time(self, x: float, rate: Fraction) -> Time:
        """The frame line nearest to `x`, never before zero."""
        return time_of(max(0, round(self.seconds(x) * float(rate))), rate)

    def exact(self, x: float) -> Time:
        """The time at `x` to a hundred-thousandth of a second, for differences."""
        return Fraction(round(self.seconds(x) * 100_000), 100_000)

    def scrolled(self, offset: float) -> "Scale":
        return replace(self, offset=offset)

    def zoomed(self, px_per_second: float, x: float) -> "Scale":
        """Another zoom with the time at `x` kept where it is; never before zero."""
        return Scale(px_per_second, max(0.0, self.seconds(x) * px_per_second - x))


@dataclass(frozen=True, slots=True)
class Row:
    """A track on screen; `top` from the top of the tracks, before scrolling."""

    track_id: str
    kind: TrackKind
    label: str  # V1, A2
    top: int
    height: int
    alternate: bool

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def clip_top(self) -> int:
        return self.top + INSET

    @property
    def clip_height(self) -> int:
        return self.height - 2 * INSET

    @property
    def strip(self) -> int:
        """Height of the name strip."""
        return STRIP[self.kind]


def layout(sequence: Sequence, heights: Mapping[str, int], coming: int = 0) -> tuple[Row, ...]:
    """The rows from the top: picture tracks, the topmost first, a gap, sound tracks.

    Above them is room for `coming` picture tracks that are not there yet.
    """
    videos = [track for track in sequence.tracks if track.kind is TrackKind.VIDEO]
    audios = [track for track in sequence.tracks if track.kind is TrackKind.AUDIO]
    rows: list[Row] = []
    top = coming * DEFAULT_HEIGHT[TrackKind.VIDEO]
    for number, track in reversed(list(enumerate(videos, 1))):
        height = heights.get(track.id, DEFAULT_HEIGHT[track.kind])
        rows.append(Row(track.id, track.kind, f"V{number}", top, height, number % 2 == 1))
        top += height
    if videos and audios:
        top += GAP
    for number, track in enumerate(audios, 1):
        height = heights.get(track.id, DEFAULT_HEIGHT[track.kind])
        rows.append(Row(track.id, track.kind, f"A{number}", top, height, number % 2 == 1))
        top += height
    return tuple(rows)


def coming_rows(sequence: Sequence, coming: int) -> tuple[Row, ...]:
    """The rows of picture tracks that are not there yet, «+1» the lowest, from the top."""
    there = sum(track.kind is TrackKind.VIDEO for track in sequence.tracks)
    height = DEFAULT_HEIGHT[TrackKind.VIDEO]
    return tuple(
        Row(
            coming_id(number),
            TrackKind.VIDEO,
            f"V{there + number}",
            (coming - number) * height,
            height,
            (there + number) % 2 == 1,
        )
        for number in range(coming, 0, -1)
    )


def coming_id(number: int) -> str:
    """What stands for the id of a track that is not there yet."""
    return f"+{number}"


def total_height(rows: tuple[Row, ...]) -> int:
    return rows[-1].bottom if rows else 0


def row_at(rows: tuple[Row, ...], y: float) -> Row | None:
    """The row under `y`, or None in the gap and beyond the last."""
    return next((row for row in rows if row.top <= y < row.bottom), None)


def nearest_row(rows: tuple[Row, ...], y: float, kind: TrackKind | None = None) -> Row | None:
    """The row at or nearest to `y`, of one kind if it is given."""
    wanted = [row for row in rows if kind is None or row.kind is kind]
    return min(wanted, key=lambda row: max(row.top - y, y - row.bottom, 0), default=None)


def stepped_height(height: float) -> int:
    """A track's height within its bounds, in steps of 4."""
    return round(min(MOST_HEIGHT, max(LEAST_HEIGHT, height)) / HEIGHT_STEP) * HEIGHT_STEP


class Spans:
    """The clips of tracks as seconds in floats, made once per clip: what painting looks in."""

    def __init__(self) -> None:
        self._clips: dict[str, tuple[object, float, float]] = {}
        self._tracks: dict[str, tuple[Track, list[float], list[float]]] = {}

    def of(self, track: Track) -> tuple[list[float], list[float]]:
        """Starts and ends, both ascending."""
        known = self._tracks.get(track.id)
        if known is not None and known[0] is track:
            return known[1], known[2]
        starts, ends = [], []
        for clip in track.clips:
            found = self._clips.get(clip.id)
            if found is None or found[0] is not clip:
                start = float(clip.start)
                found = (clip, start, start + float(clip.source.duration))
                self._clips[clip.id] = found
            starts.append(found[1])
            ends.append(found[2])
        self._tracks[track.id] = (track, starts, ends)
        return starts, ends

    def within(self, track: Track, start: float, end: float) -> range:
        """Indices of the clips that meet the seconds from start to end."""
        starts, ends = self.of(track)
        return range(bisect_right(ends, start), bisect_left(starts, end))


@dataclass(frozen=True, slots=True)
class Steps:
    """Distances of the ruler's marks in frames: labels, whole ticks, part ticks."""

    label: int
    whole: int
    part: int


def ruler_steps(px_per_second: float, rate: Fraction) -> Steps:
    """Out of 1, 2, 5, 10 frames, 1, 2, 5, 10, 30 s, 1, 2, 5, 10, 30 min, 1, 2, 5, 10 h."""
    second = max(1, round(rate))  # the timecode counts whole frames a second
    frames = [step for step in (1, 2, 5, 10) if step < second]
    seconds = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 18000, 36000)
    choices = frames + [second * step for step in seconds]
    per_frame = px_per_second / float(rate)
    label = next((one for one in choices if one * per_frame >= LABEL_ROOM), choices[-1])
    parts = [one for one in choices if one < label and label % one == 0]
    part = next((one for one in parts if one * per_frame >= PART_ROOM), label)
    wholes = [one for one in parts if one > part and one % part == 0]
    whole = wholes[-1] if wholes else label
    return Steps(label, whole, part)


def zoom_bounds(duration: Time, rate: Fraction, width: float) -> tuple[float, float]:
    """Least and most pixels a second: the sequence fills 80 % of the width; a frame is 24 px."""
    most = FRAME_MOST * float(rate)
    least = 0.8 * max(width, 1.0) / max(float(duration), SHORTEST_VIEW)
    return min(least, most), most


def zoom_at(position: float, bounds: tuple[float, float]) -> float:
    """Pixels a second for a slider position from 0 to 1; equal steps are equal factors."""
    least, most = bounds
    return least * exp(position * log(most / least)) if most > least else most


def zoom_position(px_per_second: float, bounds: tuple[float, float]) -> float:
    least, most = bounds
    if most <= least:
        return 1.0
    return min(1.0, max(0.0, log(max(px_per_second, 1e-9) / least) / log(most / least)))


def content_width(duration: Time, px_per_second: float, width: float) -> float:
    """What can be scrolled over: the sequence and one view's width behind it."""
    return float(duration) * px_per_second + width


def trim_zone(width: float, is_selected: bool = False) -> float:
    """Width of the zone inside each end that trims; twice as wide on a selected clip."""
    return min(TRIM * 2 if is_selected else TRIM, width / 4)


def badge_form(width: float) -> str:
    """How much of the effect badge a clip of `width` has room for: full, short, sign or none."""
    if width >= 200:
        return "full"
    if width >= 96:
        return "short"
    return "sign" if width >= 16 else ""


def short_badge(badge: str) -> str:
    """«4×» of «Upscale 4×», nothing of one word."""
    return badge.rpartition(" ")[2] if " " in badge else ""


@lru_cache(maxsize=64)
def thumbnail_step(seconds: float) -> Fraction:
    """The largest power of two of seconds not above `seconds`: the grid thumbnails are asked on.

    A coarse ladder, so that zooming and trimming ask for times that are already there.
    """
    return Fraction(2) ** max(-6, floor(log2(seconds)))
