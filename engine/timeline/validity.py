"""What must hold in a project, checked when one comes from a file."""

from collections.abc import Iterable
from fractions import Fraction
from math import isfinite

from engine.errors import ProjectError
from engine.timeline.draft import track_label
from engine.timeline.model import (
    Asset,
    Clip,
    Project,
    Sequence,
    SoundFacts,
    Track,
    TrackKind,
    VideoFacts,
)
from engine.timeline.time import Time, TimeRange, timecode

LONGEST = Fraction(10_000_000)  # seconds: 115 days
FASTEST = Fraction(1000)  # frames a second
SLOWEST = Fraction(1, 1000)
LARGEST = 65_536  # pixels
MOST_TRACKS = 1000


class _Wrong(Exception):
    """A sentence without its beginning and its full stop."""


def check(project: Project, name: str) -> None:
    """Raises ProjectError with a sentence that begins with `name` for what cannot be."""
    try:
        _check_project(project)
    except _Wrong as wrong:
        raise ProjectError(f"{name} is damaged: {wrong}.") from None


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise _Wrong(sentence)


def _check_project(project: Project) -> None:
    _require(bool(project.sequences), "it has no sequence")
    _require_different((one.id for one in project.assets), "media")
    _require_different((one.id for one in project.sequences), "sequences")
    for asset in project.assets:
        _check_asset(asset)
    known = frozenset(asset.id for asset in project.assets)
    for seq in project.sequences:
        _check_sequence(seq, known)


def _require_different(ids: Iterable[str], things: str) -> None:
    every = list(ids)
    _require(all(every), f"some of its {things} have no id")
    _require(len(set(every)) == len(every), f"two of its {things} have the same id")


def _check_asset(asset: Asset) -> None:
    name = asset.name or asset.path or "a medium"
    _require(bool(asset.path) and "\0" not in asset.path, f"the path of {name} cannot be")
    facts = asset.facts
    _require(0 <= facts.duration <= LONGEST, f"the duration of {name} cannot be")
    _require(facts.size_bytes >= 0, f"the size of {name} cannot be")
    _require(not facts.still or facts.video is not None, f"{name} is a still without a picture")
    if facts.video is not None:
        _require(_is_possible(facts.video), f"the picture size or frame rate of {name} cannot be")
    if facts.sound is not None:
        _require(_is_audible(facts.sound), f"the sound of {name} cannot be")


def _is_possible(video: VideoFacts) -> bool:
    return (
        1 <= video.width <= LARGEST
        and 1 <= video.height <= LARGEST
        and SLOWEST <= video.rate <= FASTEST * 1000
        and video.frames >= 1
        and video.rotation in (0, 90, 180, 270)
    )


def _is_audible(sound: SoundFacts) -> bool:
    return sound.sample_rate >= 1 and sound.channels >= 1


def _check_sequence(seq: Sequence, known: frozenset[str]) -> None:
    name = seq.name or "a sequence"
    _require(SLOWEST <= seq.rate <= FASTEST, f"the frame rate of {name} cannot be")
    _require(
        2 <= seq.width <= LARGEST and 2 <= seq.height <= LARGEST, f"the size of {name} cannot be"
    )
    _require(len(seq.tracks) <= MOST_TRACKS, f"{name} has too many tracks")
    _require_different((track.id for track in seq.tracks), "tracks")
    kinds = [track.kind for track in seq.tracks]
    _require(
        kinds == sorted(kinds, key=lambda kind: kind is TrackKind.AUDIO),
        f"in {name} a sound track lies under a picture track",
    )
    _require_different((clip.id for track in seq.tracks for clip in track.clips), "clips")
    _require_different((one.id for track in seq.tracks for one in track.transitions), "transitions")
    if seq.work_area is not None:
        _require(_is_range(seq.work_area), f"the in and out points of {name} cannot be")
    for track in seq.tracks:
        _check_track(seq, track, known)


def _check_track(seq: Sequence, track: Track, known: frozenset[str]) -> None:
    label = track_label(seq, track.id)
    end: Time = Fraction(0)
    for clip in track.clips:
        at = f"on {label} at {timecode(max(Fraction(0), min(clip.start, LONGEST)), seq.rate)}"
        _require(clip.asset in known, f"the clip {at} has no medium")
        _require(_is_sound(clip), f"the clip {at} has values that cannot be")
        _require(clip.start >= end, f"two clips overlap {at}")
        end = clip.end
    place = {clip.id: i for i, clip in enumerate(track.clips)}
    for one in track.transitions:
        i, j = place.get(one.left, -1), place.get(one.right, -1)
        _require(
            i >= 0 and j == i + 1 and track.clips[i].end == track.clips[j].start,
            f"a transition on {label} has no clips that touch",
        )
        _require(
            0 < one.duration <= 2 * min(track.clips[i].duration, track.clips[j].duration),
            f"the duration of a transition on {label} cannot be",
        )


def _is_range(span: TimeRange) -> bool:
    return 0 <= span.start <= LONGEST and 0 < span.duration <= LONGEST


def _is_sound(clip: Clip) -> bool:
    """Whether every number of the clip is one that the program can work with."""
    look, sound = clip.transform, clip.sound
    numbers = (look.x, look.y, look.scale, look.rotation, sound.gain_db, sound.pan)
    crops = (look.crop_left, look.crop_top, look.crop_right, look.crop_bottom)
    return (
        0 <= clip.start <= LONGEST
        and 0 < clip.source.duration <= LONGEST
        and abs(clip.source.start) <= LONGEST
        and all(isfinite(number) and abs(number) <= 1e6 for number in numbers)
        and look.scale >= 0
        and 0 <= look.opacity <= 1
        and all(0 <= crop <= 1 for crop in crops)
        and 0 <= sound.fade_in <= LONGEST
        and 0 <= sound.fade_out <= LONGEST
        and all(
            isfinite(value)
            for use in clip.effects
            for value in use.values.values()
            if isinstance(value, float)
        )
    )
