"""Values the timeline is given and gives back: states of clips, waveforms, drops."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Protocol, TypeAlias

from PySide6.QtGui import QImage

FRESH, STALE, RUNNING, FAILED = "fresh", "stale", "running", "failed"

# From the harmless to the one that wants attention: where clips lie over another, the last wins.
SEVERITY = {FRESH: 0, RUNNING: 1, STALE: 2, FAILED: 3}


@dataclass(frozen=True)
class ClipState:
    """What the baked effects of a clip are at.

    `fraction`: how much of a running job is done. `spans`: (start, end, state) in record time
    where the clip is not in one state throughout. `badge`: «Upscale 4×»; `icon`: its sign.
    """

    name: str = ""
    fraction: float = 0.0
    spans: tuple[tuple[Fraction, Fraction, str], ...] = ()
    badge: str = ""
    icon: str = ""


class Waveform(Protocol):
    """`per_second` pairs of bytes a second, (peak, rms), each 0 to 255 of full scale."""

    @property
    def per_second(self) -> int: ...

    @property
    def data(self) -> bytes: ...


# Asset, time in it, height in device pixels -> picture, or None while it is not there.
Thumbnails: TypeAlias = Callable[[str, Fraction, int], QImage | None]
Waveforms: TypeAlias = Callable[[str], Waveform | None]


class Mode(StrEnum):
    INSERT = "insert"
    OVERWRITE = "overwrite"


@dataclass(frozen=True)
class DropRequest:
    """Files (`paths`) or media of the bin (`assets`) dropped at `at`.

    `track_id`: the track under the pointer. `video_track`, `audio_track`: where picture and
    sound go, as the ghosts showed it.
    """

    track_id: str | None
    at: Fraction
    mode: Mode
    paths: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    video_track: str | None = None
    audio_track: str | None = None
