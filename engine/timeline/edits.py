"""The edits: pure functions from a sequence to a sequence, each specified by its drawing.

In the drawings a letter is a frame of a clip and a dot a frame of gap; what stands after `->` is
the same track after the edit. An edit that cannot be done raises EditError; one that changes
nothing gives back the very sequence. Edits act only on the clips they are given: pass
`with_links(seq, ids)` to take linked picture and sound together. Clips on locked tracks are never
changed: an edit of one raises EditError, and ripples leave locked tracks where they are.
"""

from collections.abc import Iterable
from typing import Literal

from msgspec.structs import replace

from engine.errors import EditError
from engine.timeline.assembly import add_assets, on_sequence, placements_for, remove_assets, set_up
from engine.timeline.dissolves import dissolve, longest_dissolve, remove_transition
from engine.timeline.draft import (
    Assets,
    Draft,
    Placement,
    available,
    each,
    located,
    on_grid,
    span_of,
    track_label,
    unlocked_track,
    with_track,
)
from engine.timeline.model import (
    Clip,
    Sequence,
    Track,
    TrackKind,
    Transition,
    new_id,
)
from engine.timeline.time import ZERO, Time, TimeRange, snap
from engine.timeline.trims import Edge, ripple_trim, trim, trim_limits

__all__ = [
    "Assets",
    "Edge",
    "Placement",
    "add_assets",
    "add_track",
    "append",
    "available",
    "dissolve",
    "duplicate",
    "extract",
    "insert",
    "lift",
    "link",
    "longest_dissolve",
    "move",
    "on_sequence",
    "overwrite",
    "placements_for",
    "remove_assets",
    "remove_track",
    "remove_transition",
    "replace_clip",
    "ripple_delete",
    "ripple_trim",
    "set_track",
    "set_up",
    "split",
    "track_label",
    "trim",
    "trim_limits",
    "unlink",
    "with_links",
]


def with_links(seq: Sequence, ids: Iterable[str]) -> frozenset[str]:
    """The clips and all that are linked with them."""
    chosen = frozenset(ids)
    clips = [clip for track in seq.tracks for clip in track.clips]
    links = {clip.link for clip in clips if clip.link and clip.id in chosen}
    return chosen.union(clip.id for clip in clips if clip.link in links)


# Placing


def insert(seq: Sequence, placements: tuple[Placement, ...]) -> Sequence:
    """Puts clips in; all that starts at or after the first one moves right on all open tracks.

    X at 1:  AABB  ->  AXABB
    A clip under the point is cut, on every open track.
    """
    if not placements:
        return seq
    draft = Draft(seq)
    ready = _ready(seq, placements)
    span = span_of(one.clip for one in ready)
    draft.open_up(span.start, span.duration)
    for one in ready:
        draft.put(one.track, one.clip)
    return draft.sequence()


def overwrite(seq: Sequence, placements: tuple[Placement, ...]) -> Sequence:
    """Puts clips over what is there; nothing moves.

    X at 1:  AAABB  ->  AXABB
    """
    if not placements:
        return seq
    draft = Draft(seq)
    ready = _ready(seq, placements)
    for one in ready:
        draft.clear(one.track, one.clip.record)
    for one in ready:
        draft.put(one.track, one.clip)
    return draft.sequence()


def append(seq: Sequence, placements: tuple[Placement, ...]) -> Sequence:
    """Puts clips after the last one of all the tracks concerned, which so stay in step.

    V1 XX:  V1 AABB    ->  V1 AABB.XX
    A1 xx:  A1 aabbb       A1 aabbbxx
    """
    if not placements:
        return seq
    tracks = {unlocked_track(seq, one.track).id: seq.track(one.track) for one in placements}
    end = max((track.clips[-1].end for track in tracks.values() if track.clips), default=ZERO)
    by = end - min(one.clip.start for one in placements)
    moved = (replace(one, clip=replace(one.clip, start=one.clip.start + by)) for one in placements)
    return overwrite(seq, tuple(moved))


def _ready(seq: Sequence, placements: tuple[Placement, ...]) -> tuple[Placement, ...]:
    """The placements on the frame grid and with ids that are not taken. Raises EditError."""
    taken = {clip.id for track in seq.tracks for clip in track.clips}
    ready = []
    for one in placements:
        unlocked_track(seq, one.track)
        clip = on_grid(seq, one.clip)
        if clip.id in taken:
            clip = replace(clip, id=new_id())
        taken.add(clip.id)
        ready.append(Placement(one.track, clip))
    return tuple(ready)


def move(
    seq: Sequence,
    ids: Iterable[str],
    delta: Time,
    track_shift: int = 0,
    mode: Literal["overwrite", "insert"] = "overwrite",
    kind: TrackKind | None = None,
) -> Sequence:
    """Moves clips in time (never before zero) and by whole tracks away from the sound-picture line.

    B by 1, overwrite:  AABBCCC  ->  AA.BBCC
    B by -1, insert:    AABBCC   ->  ABBA..CC
    `track_shift`: 1 is from V1 to V2 and from A1 to A2. `kind`: only clips on such tracks change
    track; None: all that can. Transitions between moved clips go with them.
    """
    found = located(seq, ids)
    if not found:
        return seq
    first = min(clips[0].start for clips in found.values())
    delta = max(ZERO, snap(first + delta, seq.rate)) - first
    targets = _targets(seq, found, track_shift, kind)
    if not delta and all(a == b for a, b in targets.items()):
        return seq
    draft = Draft(seq)
    chosen = frozenset(clip.id for clips in found.values() for clip in clips)
    carried = tuple(
        one
        for track_id in found
        for one in seq.track(track_id).transitions
        if one.left in chosen and one.right in chosen and targets[track_id] != track_id
    )
    for track_id in found:
        draft.remove(track_id, chosen)
    moved = [
        (targets[track_id], replace(clip, start=clip.start + delta))
        for track_id, clips in found.items()
        for clip in clips
    ]
    if mode == "insert":
        span = span_of(clip for _, clip in moved)
        draft.open_up(span.start, span.duration)
    else:
        for track_id, clip in moved:
            draft.clear(track_id, clip.record)
    for track_id, clip in moved:
        draft.put(track_id, clip)
    return draft.sequence(carried=carried)


def _targets(
    seq: Sequence, found: dict[str, list[Clip]], shift: int, kind: TrackKind | None
) -> dict[str, str]:
    """The track that the clips of each track go to. Raises EditError."""
    targets = {track_id: track_id for track_id in found}
    if not shift:
        return targets
    kinds = {seq.track(track_id).kind for track_id in found} & ({kind} if kind else {*TrackKind})
    moved = False
    for one in kinds:
        row = [track.id for track in seq.tracks if track.kind is one]
        going = {track_id: row.index(track_id) + shift for track_id in found if track_id in row}
        if all(0 <= i < len(row) for i in going.values()):
            moved = True
            targets |= {track_id: unlocked_track(seq, row[i]).id for track_id, i in going.items()}
    if not moved:
        raise EditError("There is no track to move this clip to.", "Add a track first.")
    return targets


# Cutting


def split(seq: Sequence, at: Time, ids: Iterable[str] | None = None) -> Sequence:
    """Cuts clips in two at `at`: these, or those under it on all open tracks.

    at 1:  AAABB  ->  A|AABB
    The left half keeps the id, and the fade in; the right one has the fade out. Of linked clips
    the left halves stay linked, and so are the right ones.
    """
    at = snap(at, seq.rate)
    draft = Draft(seq)
    if ids is None:
        for track_id in draft.open:
            draft.split(track_id, at)
        return draft.sequence()
    for track_id, clips in located(seq, ids).items():
        if any(clip.start < at < clip.end for clip in clips):
            draft.split(track_id, at)
    return draft.sequence()


def lift(seq: Sequence, ids: Iterable[str]) -> Sequence:
    """Takes clips away and leaves gaps.

    B:  AABBCC  ->  AA..CC
    """
    draft = Draft(seq)
    found = located(seq, ids)
    for track_id, clips in found.items():
        draft.remove(track_id, frozenset(clip.id for clip in clips))
    return draft.sequence()


def ripple_delete(seq: Sequence, ids: Iterable[str]) -> Sequence:
    """Takes clips away and closes the gaps; what follows moves left on all open tracks alike.

    B:  V2 ....TT  ->  V2 ..TT
        V1 AABBCC      V1 AACC
    Nothing else is cut: raises EditError where a clip that stays is in the way of one that moves.
    Where clips of several tracks go together, what follows moves by the shortest of them.
    """
    draft = Draft(seq)
    for group in reversed(_together(located(seq, ids))):
        for track_id, clips in group.items():
            draft.remove(track_id, frozenset(clip.id for clip in clips))
        gap = min(sum((clip.duration for clip in clips), ZERO) for clips in group.values())
        draft.shift(min(clips[-1].end for clips in group.values()), -gap)
    return draft.sequence()


def _together(found: dict[str, list[Clip]]) -> list[dict[str, list[Clip]]]:
    """Clips that overlap in time, or touch on one track, in groups from left to right."""
    groups: list[dict[str, list[Clip]]] = []
    end = ZERO
    for track_id, clip in sorted(
        ((track_id, clip) for track_id, clips in found.items() for clip in clips),
        key=lambda pair: pair[1].start,
    ):
        here = groups[-1].get(track_id) if groups else None
        if not groups or not (clip.start < end or (here and here[-1].end == clip.start)):
            groups.append({})
        groups[-1].setdefault(track_id, []).append(clip)
        end = max(end, clip.end)
    return groups


def extract(seq: Sequence, span: TimeRange, tracks: Iterable[str] | None = None) -> Sequence:
    """Takes a range of time out and closes the gap; what follows moves left on all open tracks.

    1 to 3:  AABBCC  ->  ABCC
    `tracks`: where clips are cut out; None for all that are open.
    """
    start, end = max(ZERO, snap(span.start, seq.rate)), snap(span.end, seq.rate)
    if end <= start:
        return seq
    draft = Draft(seq)
    chosen = draft.open if tracks is None else [unlocked_track(seq, one).id for one in tracks]
    for track_id in chosen:
        draft.clear(track_id, TimeRange(start, end - start))
    draft.shift(end, start - end)
    return draft.sequence()


# Trimming


def duplicate(seq: Sequence, ids: Iterable[str]) -> Sequence:
    """Puts copies right after the last of the clips; what follows moves right.

    A:  AABB  ->  AA|AABB
    Linked clips give linked copies, and transitions between them are copied.
    """
    found = located(seq, ids)
    if not found:
        return seq
    draft = Draft(seq)
    span = span_of(clip for clips in found.values() for clip in clips)
    draft.open_up(span.end, span.duration)
    fresh = {clip.id: new_id() for clips in found.values() for clip in clips}
    links: dict[str, str] = {}
    copies: list[Transition] = []
    for track_id, clips in found.items():
        for clip in clips:
            link = clip.link and links.setdefault(clip.link, new_id())
            start = clip.start + span.duration
            draft.put(track_id, replace(clip, id=fresh[clip.id], link=link, start=start))
        copies += [
            Transition(new_id(), fresh[one.left], fresh[one.right], one.duration)
            for one in seq.track(track_id).transitions
            if one.left in fresh and one.right in fresh
        ]
    draft.renewed.update(links.values())
    return draft.sequence(carried=tuple(copies))


def link(seq: Sequence, ids: Iterable[str]) -> Sequence:
    """Makes clips move together from now on. Raises EditError for fewer than two."""
    chosen = frozenset(ids)
    if len(chosen) < 2:
        raise EditError("Linking needs two clips or more.", "Select picture and sound.")
    together = new_id()
    return each(seq, chosen, lambda clip: replace(clip, link=together))


def unlink(seq: Sequence, ids: Iterable[str]) -> Sequence:
    """Makes clips independent; of a link that has one clip left nothing remains."""
    linked = {clip.id for track in seq.tracks for clip in track.clips if clip.link}
    return each(seq, linked.intersection(ids), lambda clip: replace(clip, link=None))


def replace_clip(seq: Sequence, clip: Clip, assets: Assets | None = None) -> Sequence:
    """The clip of the same id with other values; its place may change where there is room.

    `assets`: checks that its transitions still have their handles.
    """
    ((track_id, (before,)),) = located(seq, (clip.id,)).items()
    if clip == before:
        return seq
    if clip.start < 0 or clip.duration <= 0:
        raise EditError("A clip begins at zero or later and has a length.")
    draft = Draft(seq)
    draft.remove(track_id, frozenset((clip.id,)))
    draft.put(track_id, clip)
    return draft.sequence(assets)


def set_track(seq: Sequence, track: Track) -> Sequence:
    """The track of the same id with another name and switches; its clips stay as they are."""
    for before in seq.tracks:
        if before.id == track.id:
            changed = replace(
                track, kind=before.kind, clips=before.clips, transitions=before.transitions
            )
            return seq if changed == before else with_track(seq, changed)
    raise EditError("This track is no longer there.")


def add_track(seq: Sequence, kind: TrackKind, name: str = "") -> Sequence:
    """An empty track on top of the picture tracks, or below the sound tracks."""
    fresh = Track(new_id(), kind, name)
    pictures = tuple(track for track in seq.tracks if track.kind is TrackKind.VIDEO)
    sounds = tuple(track for track in seq.tracks if track.kind is TrackKind.AUDIO)
    if kind is TrackKind.VIDEO:
        return replace(seq, tracks=(*pictures, fresh, *sounds))
    return replace(seq, tracks=(*pictures, *sounds, fresh))


def remove_track(seq: Sequence, track_id: str) -> Sequence:
    """Takes a track away with its clips; one of each kind always stays."""
    track = unlocked_track(seq, track_id)
    if sum(one.kind is track.kind for one in seq.tracks) == 1:
        raise EditError(
            f"{track_label(seq, track_id)} is the last track of its kind.",
            "Add another one first.",
        )
    seq = lift(seq, [clip.id for clip in track.clips])
    return replace(seq, tracks=tuple(one for one in seq.tracks if one.id != track_id))
