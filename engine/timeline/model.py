"""The project as a value: assets, clips, tracks, sequences. Frozen; edits make new ones."""

import os
from enum import StrEnum
from fractions import Fraction

import msgspec

from engine.timeline.time import ZERO, Time, TimeRange

VERSION = 1  # of the project file


def new_id() -> str:
    """A fresh identifier, short enough to read in a project file."""
    return os.urandom(6).hex()


class TrackKind(StrEnum):
    VIDEO = "video"
    AUDIO = "audio"


class VideoFacts(msgspec.Struct, frozen=True):
    """A picture stream as shown: size in pixels after rotation and with square pixels."""

    width: int
    height: int
    rate: Fraction  # average frames a second; 1 for a still
    frames: int  # exact; 1 for a still
    codec: str
    pixel_format: str
    variable: bool = False  # frames last differently long
    rotation: int = 0  # degrees clockwise that the reader applies: 0, 90, 180, 270
    alpha: bool = False


class SoundFacts(msgspec.Struct, frozen=True):
    """A sound stream as stored; the reader gives 48 kHz stereo whatever it is."""

    sample_rate: int
    channels: int
    codec: str


class MediaFacts(msgspec.Struct, frozen=True):
    """What a probe tells about a file. Zero of its time is the first picture (or sample)."""

    duration: Fraction  # seconds; 0 for a still
    container: str
    size_bytes: int
    video: VideoFacts | None = None
    sound: SoundFacts | None = None
    still: bool = False


class Asset(msgspec.Struct, frozen=True):
    """A file in the media bin. `path` is absolute in memory."""

    id: str
    path: str
    name: str
    facts: MediaFacts
    fingerprint: str  # of the content (engine.media.info)
    made_by: str = ""  # effect kind or "export" that made it; "" for the person's own media


class Transform(msgspec.Struct, frozen=True):
    """Where a picture lies in the sequence's frame.

    The picture is first fitted into the frame, whole and centred (scale 1). `x`, `y`: shift of
    its centre in widths and heights of the frame, right and down. `rotation`: degrees clockwise.
    Crop: parts of the picture's own width or height, 0 to 1, taken away before all else.
    """

    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    rotation: float = 0.0
    crop_left: float = 0.0
    crop_top: float = 0.0
    crop_right: float = 0.0
    crop_bottom: float = 0.0
    opacity: float = 1.0


class SoundLevels(msgspec.Struct, frozen=True):
    """Loudness of a clip: gain in dB (-60 or less is silence), linear fades in seconds."""

    gain_db: float = 0.0
    pan: float = 0.0  # -1 left to 1 right
    fade_in: Fraction = ZERO
    fade_out: Fraction = ZERO


class EffectUse(msgspec.Struct, frozen=True):
    """One use of an effect on a clip. Kept as it is when its kind is unknown here."""

    id: str
    kind: str
    engine: str
    values: dict[str, float | int | str | bool] = {}  # never changed in place
    enabled: bool = True


class Clip(msgspec.Struct, frozen=True):
    """A piece of an asset on a track: `source` in the asset's time, `start` in the sequence's."""

    id: str
    asset: str
    source: TimeRange
    start: Fraction
    name: str = ""
    enabled: bool = True
    link: str | None = None  # picture and sound that move together share it
    transform: Transform = Transform()
    sound: SoundLevels = SoundLevels()
    effects: tuple[EffectUse, ...] = ()

    @property
    def duration(self) -> Fraction:
        return self.source.duration

    @property
    def end(self) -> Fraction:
        return self.start + self.source.duration

    @property
    def record(self) -> TimeRange:
        """The range it takes on its track."""
        return TimeRange(self.start, self.source.duration)


class Transition(msgspec.Struct, frozen=True):
    """A cross-dissolve centred on the cut between two clips that touch; eats their handles."""

    id: str
    left: str  # clip ids
    right: str
    duration: Fraction


class Track(msgspec.Struct, frozen=True):
    """Clips sorted by start, never overlapping; a gap is what is left over."""

    id: str
    kind: TrackKind
    name: str = ""
    clips: tuple[Clip, ...] = ()
    transitions: tuple[Transition, ...] = ()
    locked: bool = False
    hidden: bool = False  # video
    muted: bool = False  # audio
    solo: bool = False  # audio


class Sequence(msgspec.Struct, frozen=True):
    """Tracks over one time. Video tracks come bottom first, then audio tracks from the top."""

    id: str
    name: str
    rate: Fraction
    width: int
    height: int
    tracks: tuple[Track, ...]
    work_area: TimeRange | None = None  # in to out

    @property
    def duration(self) -> Time:
        return max((track.clips[-1].end for track in self.tracks if track.clips), default=ZERO)

    def track(self, track_id: str) -> Track:
        return next(track for track in self.tracks if track.id == track_id)

    def clip(self, clip_id: str) -> Clip | None:
        for track in self.tracks:
            for clip in track.clips:
                if clip.id == clip_id:
                    return clip
        return None

    def track_of(self, clip_id: str) -> Track | None:
        for track in self.tracks:
            if any(clip.id == clip_id for clip in track.clips):
                return track
        return None


class Project(msgspec.Struct, frozen=True):
    """Everything that is saved. `is_set_up`: the first clip (or the person) has set the format."""

    version: int = VERSION
    assets: tuple[Asset, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    is_set_up: bool = False

    def asset(self, asset_id: str) -> Asset | None:
        return next((asset for asset in self.assets if asset.id == asset_id), None)

    def sequence(self, sequence_id: str = "") -> Sequence:
        """The named sequence, or the first."""
        if not sequence_id:
            return self.sequences[0]
        return next(one for one in self.sequences if one.id == sequence_id)


def new_sequence(
    name: str = "Sequence 1", rate: Fraction = Fraction(25), width: int = 1920, height: int = 1080
) -> Sequence:
    """An empty sequence with the four tracks a new project begins with."""
    tracks = (
        Track(id=new_id(), kind=TrackKind.VIDEO, name="Picture"),
        Track(id=new_id(), kind=TrackKind.VIDEO, name="Overlay"),
        Track(id=new_id(), kind=TrackKind.AUDIO, name="Voice"),
        Track(id=new_id(), kind=TrackKind.AUDIO, name="Music"),
    )
    return Sequence(new_id(), name, rate, width, height, tracks)


def new_project() -> Project:
    """A project with one empty sequence."""
    return Project(sequences=(new_sequence(),))
