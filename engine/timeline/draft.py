"""A sequence being edited: the few operations that every edit is made of."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from operator import attrgetter
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from engine.errors import EditError
from engine.timeline.model import (
    Asset,
    Clip,
    Project,
    Sequence,
    Track,
    TrackKind,
    Transition,
    new_id,
)
from engine.timeline.time import ZERO, Time, TimeRange, between, snap, timecode

Assets: TypeAlias = Mapping[str, Asset] | Project

_start = attrgetter("start")


class Placement(msgspec.Struct, frozen=True):
    """A clip and the track it goes to; `clip.start` is where."""

    track: str
    clip: Clip


def index_from(clips: tuple[Clip, ...], at: Time) -> int:
    """The index of the first clip that starts at or after `at`."""
    return bisect_left(clips, at, key=_start)


def track_label(seq: Sequence, track_id: str) -> str:
    """The name on the track's badge: V1 is the lowest picture track, A1 the first sound track."""
    track = seq.track(track_id)
    same = [one.id for one in seq.tracks if one.kind is track.kind]
    letter = "V" if track.kind is TrackKind.VIDEO else "A"
    return f"{letter}{same.index(track_id) + 1}"


def unlocked_track(seq: Sequence, track_id: str) -> Track:
    """The track, which must exist and be open. Raises EditError."""
    for track in seq.tracks:
        if track.id == track_id:
            if track.locked:
                raise EditError(
                    f"Track {track_label(seq, track_id)} is locked.", "Unlock it first."
                )
            return track
    raise EditError("This track is no longer there.")


def located(seq: Sequence, ids: Iterable[str]) -> dict[str, list[Clip]]:
    """The clips by track id, in order; each must exist on an open track. Raises EditError."""
    wanted = frozenset(ids)
    found: dict[str, list[Clip]] = {}
    if not wanted:
        return found
    for track in seq.tracks:
        here = [clip for clip in track.clips if clip.id in wanted]
        if here:
            found[unlocked_track(seq, track.id).id] = here
    if sum(map(len, found.values())) != len(wanted):
        raise EditError("This clip is no longer there.")
    return found


def part(clip: Clip, start: Time, end: Time) -> Clip:
    """What shows between two record times inside the clip; a fade goes with the end it is on."""
    sound = clip.sound
    if start > clip.start and sound.fade_in:
        sound = replace(sound, fade_in=ZERO)
    if end < clip.end and sound.fade_out:
        sound = replace(sound, fade_out=ZERO)
    source = TimeRange(clip.source.start + (start - clip.start), end - start)
    return with_room_for_fades(replace(clip, start=start, source=source, sound=sound))


def with_room_for_fades(clip: Clip) -> Clip:
    """The clip with fades that it can hold: the fade out gives way to the fade in."""
    sound = clip.sound
    if not (sound.fade_in or sound.fade_out):
        return clip
    fade_in = min(sound.fade_in, clip.duration)
    fade_out = min(sound.fade_out, clip.duration - fade_in)
    if (fade_in, fade_out) == (sound.fade_in, sound.fade_out):
        return clip
    return replace(clip, sound=replace(sound, fade_in=fade_in, fade_out=fade_out))


def available(assets: Assets, clip: Clip) -> TimeRange | None:
    """All the source time that the clip's medium has; None where it is endless.

    A still is endless, and so is what an image-to-video effect makes of one picture: its last
    picture holds. A medium that is not known has no more than the clip shows.
    """
    if any(use.enabled and use.kind == "image-to-video" for use in clip.effects):
        return None
    asset = assets.asset(clip.asset) if isinstance(assets, Project) else assets.get(clip.asset)
    if asset is None:
        return clip.source
    if asset.facts.still:
        return None
    return TimeRange(ZERO, asset.facts.duration)


def handles(assets: Assets, clip: Clip) -> tuple[Time | None, Time | None]:
    """How much source time lies before the clip's head and after its tail; None is endless."""
    room = available(assets, clip)
    if room is None:
        return None, None
    return max(ZERO, clip.source.start - room.start), max(ZERO, room.end - clip.source.end)


class Draft:
    """The clips of each track while one edit works on them; `sequence` gives the result.

    It remembers what became of the ends and links of clips that were cut, so that transitions
    and links come out right. Locked tracks are never changed.
    """

    def __init__(self, seq: Sequence) -> None:
        self.before = seq
        self.clips: dict[str, tuple[Clip, ...]] = {track.id: track.clips for track in seq.tracks}
        self.open = tuple(track.id for track in seq.tracks if not track.locked)
        self.renewed: set[str] = set()  # links made by this edit, to be looked at for lone clips
        self._links: dict[str, str] = {}  # of a clip that was cut -> of its right half
        self._tails: dict[str, str | None] = {}  # clip -> the clip that has its old tail now
        self._heads: set[str] = set()  # clips whose head was cut away

    def cut(self, clip: Clip, at: Time) -> tuple[Clip, Clip]:
        """Both halves: the left one keeps the id and the link."""
        right = part(clip, at, clip.end)
        link = clip.link and self._links.setdefault(clip.link, new_id())
        right = replace(right, id=new_id(), link=link)
        self._tails[clip.id] = right.id
        return part(clip, clip.start, at), right

    def split(self, track_id: str, at: Time) -> None:
        """Cuts the clip under `at`, if there is one."""
        clips = self.clips[track_id]
        i = index_from(clips, at) - 1
        if i >= 0 and clips[i].end > at:
            self.clips[track_id] = clips[:i] + self.cut(clips[i], at) + clips[i + 1 :]

    def clear(self, track_id: str, span: TimeRange) -> None:
        """Leaves nothing in `span`; clips that reach out of it keep what is outside."""
        clips = self.clips[track_id]
        last = index_from(clips, span.end)
        first = index_from(clips, span.start)
        if first and clips[first - 1].end > span.start:
            first -= 1
        kept: list[Clip] = []
        for clip in clips[first:last]:
            if clip.start < span.start and clip.end > span.end:
                left, right = self.cut(clip, span.start)
                kept += [left, part(right, span.end, right.end)]
            elif clip.start < span.start:
                kept.append(part(clip, clip.start, span.start))
                self._tails[clip.id] = None
            elif clip.end > span.end:
                kept.append(part(clip, span.end, clip.end))
                self._heads.add(clip.id)
        self.clips[track_id] = clips[:first] + tuple(kept) + clips[last:]

    def remove(self, track_id: str, ids: frozenset[str]) -> None:
        self.clips[track_id] = tuple(one for one in self.clips[track_id] if one.id not in ids)

    def put(self, track_id: str, clip: Clip) -> None:
        """Adds a clip where nothing is. Raises EditError where something is."""
        clips = self.clips[track_id]
        i = index_from(clips, clip.start)
        if i and clips[i - 1].end > clip.start:
            raise self._in_the_way(track_id, clips[i - 1])
        if i < len(clips) and clips[i].start < clip.end:
            raise self._in_the_way(track_id, clips[i])
        self.clips[track_id] = (*clips[:i], clip, *clips[i:])

    def shift(self, at: Time, by: Time) -> None:
        """Moves everything that starts at or after `at`, on all open tracks alike.

        Raises EditError where a clip that stays is in the way.
        """
        for track_id in self.open:
            clips = self.clips[track_id]
            i = index_from(clips, at)
            if i == len(clips):
                continue
            if i and by < 0 and clips[i - 1].end > clips[i].start + by:
                raise self._in_the_way(track_id, clips[i - 1])
            moved = tuple(replace(clip, start=clip.start + by) for clip in clips[i:])
            self.clips[track_id] = clips[:i] + moved

    def open_up(self, at: Time, by: Time) -> None:
        """Makes a gap of `by` at `at` on all open tracks; clips under `at` are cut."""
        for track_id in self.open:
            self.split(track_id, at)
        self.shift(at, by)

    def _in_the_way(self, track_id: str, clip: Clip) -> EditError:
        label = track_label(self.before, track_id)
        name = clip.name or "A clip"
        place = timecode(clip.start, self.before.rate)
        return EditError(
            f"{name} on {label} at {place} is in the way.",
            f"Move or select it too, or lock {label}.",
        )

    def sequence(
        self, assets: Assets | None = None, carried: tuple[Transition, ...] = ()
    ) -> Sequence:
        """The edited sequence; the very one from before if nothing changed.

        `assets`: handles are checked where they are given. `carried`: transitions that may have
        come to another track with their clips. A transition whose clips no longer touch goes; one
        that its clips can no longer hold becomes shorter.
        """
        changed = {
            track.id for track in self.before.tracks if self.clips[track.id] is not track.clips
        }
        self._drop_lone_links(changed)
        tracks = []
        for track in self.before.tracks:
            clips = self.clips[track.id]
            if clips is track.clips and not carried:
                tracks.append(track)
                continue
            transitions = self._transitions(track, clips, assets, carried)
            if clips is not track.clips or transitions != track.transitions:
                track = replace(track, clips=clips, transitions=transitions)
            tracks.append(track)
        if all(a is b for a, b in zip(tracks, self.before.tracks, strict=True)):
            return self.before
        return replace(self.before, tracks=tuple(tracks))

    def _drop_lone_links(self, changed: set[str]) -> None:
        """Takes the link from clips that this edit has left alone with it."""
        touched: set[str | None] = {*self.renewed, *self._links, *self._links.values()}
        for track in self.before.tracks:
            if track.id in changed:
                kept = {clip.id: clip.link for clip in self.clips[track.id]}
                touched |= {one.link for one in track.clips if one.link != kept.get(one.id)}
        if not touched:
            return
        members: dict[str, list[tuple[str, Clip]]] = {}
        for track_id, clips in self.clips.items():
            for clip in clips:
                if clip.link in touched and clip.link:
                    members.setdefault(clip.link, []).append((track_id, clip))
        for alone in members.values():
            track_id, clip = alone[0]
            if len(alone) == 1 and track_id in self.open:
                clips = self.clips[track_id]
                i = index_from(clips, clip.start)
                self.clips[track_id] = (*clips[:i], replace(clip, link=None), *clips[i + 1 :])

    def _transitions(
        self,
        track: Track,
        clips: tuple[Clip, ...],
        assets: Assets | None,
        carried: tuple[Transition, ...],
    ) -> tuple[Transition, ...]:
        candidates = track.transitions + tuple(
            one for one in carried if one not in track.transitions
        )
        if not candidates:
            return ()
        place = {clip.id: i for i, clip in enumerate(clips)}
        old = {clip.id: clip for clip in track.clips}
        kept: dict[int, Transition] = {}
        for one in candidates:
            left = self._tail(one.left)
            i = place.get(left) if left else None
            if i is None or i + 1 == len(clips) or one.right in self._heads:
                continue
            a, b = clips[i], clips[i + 1]
            if b.id == one.right and a.end == b.start:
                kept[i] = one if a.id == one.left else replace(one, left=a.id)
        fitted: dict[int, Transition] = {}
        for i, one in sorted(kept.items()):
            a, b = clips[i], clips[i + 1]
            if not (_same_source(a, old) and _same_source(b, old)):
                longest = longest_between(
                    a, b, fitted.get(i - 1), kept.get(i + 1), assets, self.before.rate
                )
                if one.duration > longest:
                    frames = (longest * self.before.rate).__floor__()
                    if frames < 1:
                        continue
                    one = replace(one, duration=Fraction(frames) / self.before.rate)
            fitted[i] = one
        result = tuple(fitted.values())
        return track.transitions if result == track.transitions else result

    def _tail(self, clip_id: str) -> str | None:
        """The clip that has the old tail of `clip_id` now."""
        at: str | None = clip_id
        while at in self._tails:
            at = self._tails[at]
        return at


def _same_source(clip: Clip, old: Mapping[str, Clip]) -> bool:
    before = old.get(clip.id)
    return before is not None and before.source is clip.source


def longest_between(
    left: Clip,
    right: Clip,
    before: Transition | None,
    after: Transition | None,
    assets: Assets | None,
    rate: Fraction,
) -> Time:
    """The longest dissolve two clips can hold, beside the transitions at their other ends.

    Of an odd number of frames the cut's own frame is the right clip's, so that clip's handle may
    be half a frame short of half the dissolve.
    """
    room = [
        left.duration - (before.duration / 2 if before else ZERO),
        right.duration - (after.duration / 2 if after else ZERO),
    ]
    if assets is not None:
        tail, head = handles(assets, left)[1], handles(assets, right)[0]
        room += [tail] if tail is not None else []
        room += [head + 1 / (2 * rate)] if head is not None else []
    return max(ZERO, 2 * min(room))


def on_grid(seq: Sequence, clip: Clip) -> Clip:
    """The clip with start and length on the frame grid, no longer than it was; at least a frame."""
    start = max(ZERO, snap(clip.start, seq.rate))
    frames = max(1, (clip.duration * seq.rate).__floor__())
    length = Fraction(frames) / seq.rate
    if start == clip.start and length == clip.duration:
        return clip
    return replace(clip, start=start, source=TimeRange(clip.source.start, length))


def each(seq: Sequence, ids: Iterable[str], change: Callable[[Clip], Clip]) -> Sequence:
    """The clips changed in place; their ranges must stay as they are. Raises EditError."""
    draft = Draft(seq)
    for track_id, chosen in located(seq, ids).items():
        wanted = {clip.id for clip in chosen}
        draft.clips[track_id] = tuple(
            change(clip) if clip.id in wanted else clip for clip in draft.clips[track_id]
        )
    return draft.sequence()


def span_of(clips: Iterable[Clip]) -> TimeRange:
    """From the first start to the last end."""
    every = list(clips)
    return between(min(clip.start for clip in every), max(clip.end for clip in every))


def frames_text(count: int) -> str:
    return f"{count} frame" if count == 1 else f"{count} frames"


# Copies, links, transitions


def with_track(seq: Sequence, track: Track) -> Sequence:
    return replace(seq, tracks=tuple(track if one.id == track.id else one for one in seq.tracks))
