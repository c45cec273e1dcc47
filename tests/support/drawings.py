"""Sequences as drawings: a letter is a frame of a clip, a dot a frame of gap.

Every clip begins ten frames into its medium and ten more come after it, so that it has handles.
Two touching pieces of one medium are told apart by a bar: `A|A` is A cut after its first frame.
"""

from collections.abc import Collection
from fractions import Fraction
from itertools import groupby

from engine.timeline.draft import Placement
from engine.timeline.model import (
    Asset,
    Clip,
    MediaFacts,
    Project,
    Sequence,
    Track,
    TrackKind,
    Transition,
    VideoFacts,
)
from engine.timeline.time import TimeRange, frame_at, time_of

RATE = Fraction(25)
HANDLE = 10  # frames


def frame(number: int) -> Fraction:
    """The time of a frame."""
    return time_of(number, RATE)


def frames(start: int, end: int) -> TimeRange:
    """The range from frame `start` up to, not including, `end`."""
    return TimeRange(frame(start), frame(end - start))


def clip_of(drawing: str, start: int, link: str | None = None) -> Clip:
    """The clip drawn by its letters, with the letter as id; A's picture and a's sound are linked
    only where `link` says so."""
    letter = drawing[0]
    return Clip(
        letter,
        letter.upper(),
        TimeRange(frame(HANDLE), frame(len(drawing))),
        frame(start),
        name=letter,
        link=link,
    )


def place(track_id: str, drawing: str, start: int) -> Placement:
    """A placement of one drawn clip."""
    return Placement(track_id, clip_of(drawing, start))


def tracks(
    *rows: str, locked: Collection[str] = (), linked: bool = False, name: str = "drawn"
) -> Sequence:
    """A sequence from rows as on the screen: "V2 ..TT", "V1 AABB", "A1 aabb".

    `linked`: clips whose letters differ only in case share a link.
    """
    drawn = [row.partition(" ")[::2] for row in rows]
    letters = {char for _, drawing in drawn for char in drawing if char.isalpha()}
    made = []
    for label, drawing in drawn:
        clips = []
        at = 0
        for char, run in groupby(drawing):
            piece = "".join(run)
            if char != ".":
                both = linked and {char.lower(), char.upper()} <= letters
                clips.append(clip_of(piece, at, char.upper() * 2 if both else None))
            at += len(piece)
        kind = TrackKind.VIDEO if label.startswith("V") else TrackKind.AUDIO
        made.append(Track(label, kind, clips=tuple(clips), locked=label in locked))
    pictures = [one for one in made if one.kind is TrackKind.VIDEO]
    sounds = [one for one in made if one.kind is TrackKind.AUDIO]
    return Sequence(name, name, RATE, 64, 36, (*reversed(pictures), *sounds))


def track(drawing: str) -> Sequence:
    """A sequence with one picture track, V1."""
    return tracks(f"V1 {drawing}")


def with_dissolve(
    seq: Sequence, left: str, right: str, length: int, track_id: str = "V1"
) -> Sequence:
    """The sequence with a dissolve of `length` frames, called by both letters, put in unchecked."""
    made = Transition(left + right, left, right, frame(length))
    changed = tuple(
        Track(one.id, one.kind, one.name, one.clips, (*one.transitions, made), one.locked)
        if one.id == track_id
        else one
        for one in seq.tracks
    )
    return Sequence(seq.id, seq.name, seq.rate, seq.width, seq.height, changed)


def media(*drawings: Sequence) -> dict[str, Asset]:
    """The media of all clips, each with ten frames of handle before and after what is shown."""
    made: dict[str, Asset] = {}
    for seq in drawings:
        for one in seq.tracks:
            for clip in one.clips:
                length = clip.source.end + frame(HANDLE)
                if clip.asset in made:
                    length = max(length, made[clip.asset].facts.duration)
                made[clip.asset] = asset(clip.asset, length)
    return made


def asset(asset_id: str, length: Fraction) -> Asset:
    """A picture medium that lies nowhere."""
    video = VideoFacts(64, 36, RATE, frame_at(length, RATE), "h264", "yuv420p")
    facts = MediaFacts(length, "mp4", 1000, video)
    return Asset(asset_id, f"/media/{asset_id}.mp4", f"{asset_id}.mp4", facts, f"b2:{asset_id}")


def project_of(seq: Sequence) -> Project:
    """A project with the sequence and its media."""
    return Project(assets=tuple(media(seq).values()), sequences=(seq,), is_set_up=True)


def draw(seq: Sequence) -> str:
    """The sequence as drawn: one track as its drawing alone, more of them in rows."""
    pictures = [one for one in seq.tracks if one.kind is TrackKind.VIDEO]
    sounds = [one for one in seq.tracks if one.kind is TrackKind.AUDIO]
    if len(seq.tracks) == 1:
        return _row(seq.tracks[0])
    return "\n".join(f"{one.id} {_row(one)}".rstrip() for one in (*reversed(pictures), *sounds))


def _row(one: Track) -> str:
    text = ""
    at = 0
    for clip in one.clips:
        start, end = clip.start * RATE, clip.end * RATE
        assert start.denominator == end.denominator == 1, f"{clip.name} is off the frame grid"
        text += "." * (int(start) - at)
        if text.endswith(clip.name):
            text += "|"
        text += clip.name * int(end - start)
        at = int(end)
    return text


def dissolves(seq: Sequence) -> list[str]:
    """Each dissolve as "A/B 4": the letters of its clips and its frames."""
    found = []
    for one in seq.tracks:
        name = {clip.id: clip.name for clip in one.clips}
        found += [
            f"{name[two.left]}/{name[two.right]} {two.duration * RATE}" for two in one.transitions
        ]
    return found


def sources(seq: Sequence) -> str:
    """What each clip shows: "A10-12" is frames 10 and 11 of the medium A."""
    return " ".join(
        f"{clip.name}{clip.source.start * RATE}-{clip.source.end * RATE}"
        for one in seq.tracks
        for clip in one.clips
    )
