"""Exact time: seconds as fractions, ranges, frames and timecode."""

import re
from fractions import Fraction
from typing import Any, TypeAlias

import msgspec

from engine.errors import EditError

Time: TypeAlias = Fraction  # seconds, exact; a frame number is an int

ZERO = Fraction(0)


class TimeRange(msgspec.Struct, frozen=True):
    """A half-open range of seconds: `start` belongs to it, `end` does not."""

    start: Fraction
    duration: Fraction

    @property
    def end(self) -> Fraction:
        return self.start + self.duration

    def contains(self, at: Time) -> bool:
        return self.start <= at < self.end

    def overlaps(self, other: "TimeRange") -> bool:
        return self.start < other.end and other.start < self.end

    def intersection(self, other: "TimeRange") -> "TimeRange | None":
        """What both have in common, or None where they do not meet."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return TimeRange(start, end - start) if end > start else None


def between(start: Time, end: Time) -> TimeRange:
    """The range from `start` up to, not including, `end`."""
    return TimeRange(start, end - start)


def frame_at(at: Time, rate: Fraction) -> int:
    """The number of the frame on screen at `at`, for `rate` frames a second."""
    return (at * rate).__floor__()


def time_of(frame: int, rate: Fraction) -> Time:
    """When `frame` begins."""
    return Fraction(frame) / rate


def snap(at: Time, rate: Fraction) -> Time:
    """The frame line nearest to `at`; halves go up."""
    return time_of((at * rate + Fraction(1, 2)).__floor__(), rate)


def timecode(at: Time, rate: Fraction) -> str:
    """`at` as HH:MM:SS:FF, non-drop, counted in frames of the rounded rate."""
    whole = max(1, round(rate))
    frame = max(0, frame_at(at, rate))
    seconds, ff = divmod(frame, whole)
    minutes, ss = divmod(seconds, 60)
    hh, mm = divmod(minutes, 60)
    return f"{hh:02d}:{mm:02d}:{ss:02d}:{ff:02d}"


def parse_timecode(text: str, rate: Fraction, now: Time = ZERO) -> Time:
    """The time a person typed: "1:02:03:04", "5:10" (seconds and frames), "12" (frames), "+12".

    A sign moves from `now`. Raises EditError for anything else.
    """
    match = re.fullmatch(r"\s*([+-]?)\s*((?:\d+[:;.])*\d+)\s*", text)
    if match is None:
        raise EditError(
            f"«{text.strip()}» is not a timecode.", "Type 00:00:05:10, 5:10 or +12 frames."
        )
    parts = [int(part) for part in re.split(r"[:;.]", match.group(2))]
    if len(parts) > 4:
        raise EditError(
            f"«{text.strip()}» is not a timecode.", "Type hours:minutes:seconds:frames."
        )
    hours, minutes, seconds, frames = [0] * (4 - len(parts)) + parts
    whole = max(1, round(rate))
    total = ((hours * 60 + minutes) * 60 + seconds) * whole + frames
    moved = time_of(total, rate)
    if match.group(1) == "+":
        return now + moved
    if match.group(1) == "-":
        return max(ZERO, now - moved)
    return moved


def encode_value(value: Any) -> Any:
    """msgspec's hook for what it does not know: a Fraction is written "3/2", a whole one "3"."""
    if isinstance(value, Fraction):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} cannot be written")


def decode_value(kind: type, value: Any) -> Any:
    """The counterpart of `encode_value`. Raises ValueError for what is no fraction."""
    if kind is Fraction and isinstance(value, str):
        match = re.fullmatch(r"(-?\d{1,40})(?:/(\d{1,40}))?", value)
        if match is not None and int(match.group(2) or "1"):
            return Fraction(int(match.group(1)), int(match.group(2) or "1"))
    raise ValueError("a time is written as text, 3/2")
