"""Built-in export presets, the choices of the export sheet, and what they come to."""

from dataclasses import dataclass
from fractions import Fraction

import msgspec

from engine.jobs import ExportOptions, Format, Sound
from engine.timeline.model import Sequence
from engine.timeline.time import TimeRange

RATES = tuple(Fraction(one) for one in ("60", "50", "30", "25", "24", "20", "15", "12.5", "10"))
QUALITIES = ((16, "Best"), (20, "High"), (24, "Good"), (28, "Small"))  # libx264's crf
SPEEDS = (("veryfast", "Fast"), ("medium", "Balanced"), ("slow", "Thorough"))


@dataclass(frozen=True)
class Preset:
    name: str
    options: ExportOptions


def presets(sequence: Sequence) -> tuple[Preset, ...]:
    """The built-in presets for a sequence; ranges are left as they are."""

    def at_most(width: int) -> int | None:
        return width if width < sequence.width else None

    full_hd = round(1080 * sequence.width / sequence.height / 2) * 2
    return (
        Preset(
            "Looping GIF, small",
            ExportOptions(format=Format.GIF, width=at_most(480), rate=Fraction(25, 2), colours=128),
        ),
        Preset(
            "Looping GIF, ping-pong",
            ExportOptions(format=Format.GIF, width=at_most(640), rate=Fraction(20), ping_pong=True),
        ),
        Preset("GIF, same as the sequence", ExportOptions(format=Format.GIF)),
        Preset("MP4, same as the sequence", ExportOptions()),
        Preset("MP4, 1080 lines", ExportOptions(width=full_hd)),
        Preset(
            "MP4, ping-pong, plays 3 times",
            ExportOptions(ping_pong=True, loop=3, sound=Sound.MIRRORED),
        ),
        Preset("MP4, small file", ExportOptions(width=at_most(1280), crf=28, preset="medium")),
    )


def like(one: ExportOptions, other: ExportOptions) -> bool:
    """Whether two sets of options are the same but for their range."""
    return bool(
        msgspec.structs.replace(one, range=None) == msgspec.structs.replace(other, range=None)
    )


def height_for(sequence: Sequence, width: int) -> int:
    """The height that belongs to `width`; even, as MP4 wants it."""
    return max(2, round(width * sequence.height / sequence.width / 2) * 2)


@dataclass(frozen=True)
class Outcome:
    """What the options come to: frames of the range, of the file, its seconds."""

    frames: int
    total: int
    seconds: float


def outcome(sequence: Sequence, options: ExportOptions, source_rate: Fraction | None) -> Outcome:
    """Counts frames; with «Same as source» at `source_rate`, or the sequence's."""
    whole = TimeRange(Fraction(0), sequence.duration)
    span = (options.range or whole).duration
    rate = options.rate or source_rate or sequence.rate
    frames = max(1, round(span * rate)) if span else 0
    total = max(frames, 2 * frames - 2) if options.ping_pong else frames
    if options.format is Format.MP4:
        total *= max(1, options.loop)
    return Outcome(frames, total, float(total / rate) if rate else 0.0)


def seconds_text(seconds: float) -> str:
    """ "9.2 s", "1 min 40 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"
