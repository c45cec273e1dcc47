"""The edits: pure functions from a sequence to a sequence, each specified by its drawing.

In the drawings a letter is a frame of a clip and a dot a frame of gap; what stands after `->` is
the same track after the edit. An edit that cannot be done raises EditError; one that changes
nothing gives back the very sequence. Edits act only on the clips they are given: pass
`with_links(seq, ids)` to take linked picture and sound together. Clips on locked tracks are never
changed: an edit of one raises EditError, and ripples leave locked tracks where they are.
"""

from collections.abc import Iterable
from enum import StrEnum
from fractions import Fraction
from typing import Literal

from msgspec.structs import replace

from engine.errors import EditError
from engine.timeline.assembly import add_assets, on_sequence, placements_for, remove_assets, set_up
from engine.timeline.draft import (
    Assets,
    Draft,
    Placement,
    available,
    each,
    handles,
    index_from,
    located,
    longest_between,
    on_grid,
    span_of,
    track_label,
    unlocked_track,
    with_room_for_fades,
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


class Edge(StrEnum):
    """An end of a clip."""

    HEAD = "head"
    TAIL = "tail"


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


def trim(
    seq: Sequence, ids: str | Iterable[str], edge: Edge, delta: Time, assets: Assets
) -> Sequence:
    """Moves the head or tail of a clip, or of linked ones alike; positive is later.

    tail by -1:  AABB  ->  A.BB        head by 1:  AABB  ->  AA.B
    Raises EditError where a neighbour is in the way, the medium ends or no frame would be left.
    """
    return _trimmed(seq, ids, edge, delta, assets, ripple=False)


def ripple_trim(
    seq: Sequence, ids: str | Iterable[str], edge: Edge, delta: Time, assets: Assets
) -> Sequence:
    """Moves the head or tail of a clip; what follows moves along on all open tracks alike.

    tail by -1:  AABB  ->  ABB         head by 1:  AABB  ->  AAB
    The head stays where it is in the sequence: later source begins to show there.
    """
    return _trimmed(seq, ids, edge, delta, assets, ripple=True)


def trim_limits(
    seq: Sequence, ids: str | Iterable[str], edge: Edge, assets: Assets, ripple: bool = False
) -> tuple[Time | None, Time | None]:
    """The least and the greatest delta that `trim` (or `ripple_trim`) takes; None is no limit."""
    inward: list[Time] = []
    outward: list[Time] = []
    for track_id, clip in _one_each(seq, ids).items():
        inward.append(clip.duration - 1 / seq.rate)
        outward += _room(seq, track_id, clip, edge, assets, ripple)
    most_in, most_out = min(inward, default=None), min(outward, default=None)
    if edge is Edge.TAIL:
        return None if most_in is None else -most_in, most_out
    return None if most_out is None else -most_out, most_in


def _room(
    seq: Sequence, track_id: str, clip: Clip, edge: Edge, assets: Assets, ripple: bool
) -> list[Time]:
    """How far the edge can go outward: by its handle, and by the gap beside it."""
    handle = handles(assets, clip)[edge is Edge.TAIL]
    room = [] if handle is None else [Fraction((handle * seq.rate).__floor__()) / seq.rate]
    if not ripple:
        clips = seq.track(track_id).clips
        i = index_from(clips, clip.start)
        if edge is Edge.HEAD:
            room.append(clip.start - (clips[i - 1].end if i else ZERO))
        elif i + 1 < len(clips):
            room.append(clips[i + 1].start - clip.end)
    return room


def _one_each(seq: Sequence, ids: str | Iterable[str]) -> dict[str, Clip]:
    """The clip to trim on each track. Raises EditError."""
    found = located(seq, [ids] if isinstance(ids, str) else ids)
    if any(len(clips) > 1 for clips in found.values()):
        raise EditError("Only one clip of a track can be trimmed at a time.", "Select one clip.")
    return {track_id: clips[0] for track_id, clips in found.items()}


def _trimmed(
    seq: Sequence, ids: str | Iterable[str], edge: Edge, delta: Time, assets: Assets, ripple: bool
) -> Sequence:
    chosen = _one_each(seq, ids)
    if not chosen:
        return seq
    place = min(clip.start if edge is Edge.HEAD else clip.end for clip in chosen.values())
    delta = snap(place + delta, seq.rate) - place
    if not delta:
        return seq
    for track_id, clip in chosen.items():
        _check_trim(seq, track_id, clip, edge, delta, assets, ripple)
    growth = delta if edge is Edge.TAIL else -delta
    follows = min(clip.end for clip in chosen.values())
    draft = Draft(seq)
    for track_id, clip in chosen.items():
        draft.remove(track_id, frozenset((clip.id,)))
    if ripple and growth > 0:
        draft.shift(follows, growth)
    for track_id, clip in chosen.items():
        start, source = clip.start, clip.source.start
        if edge is Edge.HEAD:
            start = start if ripple else start + delta
            source = source + delta
            if handles(assets, clip)[0] is None:
                source = max(ZERO, source)
        whole = replace(clip, start=start, source=TimeRange(source, clip.duration + growth))
        draft.put(track_id, with_room_for_fades(whole))
    if ripple and growth < 0:
        draft.shift(follows, growth)
    return draft.sequence(assets)


def _check_trim(
    seq: Sequence,
    track_id: str,
    clip: Clip,
    edge: Edge,
    delta: Time,
    assets: Assets,
    ripple: bool,
) -> None:
    outward = delta if edge is Edge.TAIL else -delta
    name = clip.name or "This clip"
    if clip.duration + outward < 1 / seq.rate:
        raise EditError(f"{name} keeps at least one frame.", "Delete it to take all of it away.")
    handle = handles(assets, clip)[edge is Edge.TAIL]
    if handle is not None and outward > handle:
        needed, there = round(outward * seq.rate), (handle * seq.rate).__floor__()
        raise EditError(
            f"Trim needs {_frames(needed)} of handle on {name}; it has {there}.",
            f"Trim by {_frames(there)} at most." if there else "The medium ends here.",
        )
    if outward > min(_room(seq, track_id, clip, edge, assets, ripple), default=outward):
        raise EditError(
            f"{name} on {track_label(seq, track_id)} has no room: another clip is in the way."
            if edge is Edge.TAIL or index_from(seq.track(track_id).clips, clip.start)
            else f"{name} cannot begin before the sequence does.",
            "Ripple trim moves what follows.",
        )


def _frames(count: int) -> str:
    return f"{count} frame" if count == 1 else f"{count} frames"


# Copies, links, transitions


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


def longest_dissolve(seq: Sequence, left_id: str, right_id: str, assets: Assets) -> Time:
    """The longest dissolve these two clips can hold, in whole frames. Raises EditError."""
    track, i = _cut_between(seq, left_id, right_id)
    before = next((one for one in track.transitions if one.right == left_id), None)
    after = next((one for one in track.transitions if one.left == right_id), None)
    longest = longest_between(track.clips[i], track.clips[i + 1], before, after, assets, seq.rate)
    return Fraction((longest * seq.rate).__floor__()) / seq.rate


def dissolve(
    seq: Sequence, left_id: str, right_id: str, duration: Time, assets: Assets
) -> Sequence:
    """Puts a cross-dissolve over the cut between two clips that touch, half on each side.

    AAABBB  ->  AA××BB
    It shows source from beyond the cut: each medium needs a handle of half its length there.
    """
    track, i = _cut_between(seq, left_id, right_id)
    unlocked_track(seq, track.id)
    left, right = track.clips[i], track.clips[i + 1]
    duration = max(snap(duration, seq.rate), 1 / seq.rate)
    needed = (duration / 2 * seq.rate).__ceil__()
    half = duration / 2
    for clip, handle, least in (
        (left, handles(assets, left)[1], half),
        (right, handles(assets, right)[0], half - 1 / (2 * seq.rate)),
    ):
        if handle is not None and handle < least:
            there = (handle * seq.rate).__floor__()
            raise EditError(
                f"The dissolve needs {_frames(needed)} of handle on {clip.name or 'a clip'}; "
                f"it has {there}.",
                "Trim the clips at the cut, or make the dissolve shorter.",
            )
    if duration > longest_dissolve(seq, left_id, right_id, assets):
        raise EditError("The clips are too short for this dissolve.", "Make it shorter.")
    others = tuple(one for one in track.transitions if one.left != left_id)
    whole = (*others, Transition(new_id(), left_id, right_id, duration))
    place = {clip.id: index for index, clip in enumerate(track.clips)}
    whole = tuple(sorted(whole, key=lambda one: place[one.left]))
    return _with_track(seq, replace(track, transitions=whole))


def _cut_between(seq: Sequence, left_id: str, right_id: str) -> tuple[Track, int]:
    track = seq.track_of(left_id)
    if track is not None:
        i = next(i for i, clip in enumerate(track.clips) if clip.id == left_id)
        following = track.clips[i + 1 : i + 2]
        if following and following[0].id == right_id and following[0].start == track.clips[i].end:
            return track, i
    raise EditError("A dissolve needs two clips that touch.", "Close the gap between them first.")


def remove_transition(seq: Sequence, transition_id: str) -> Sequence:
    """The sequence with a plain cut again.

    AA××BB  ->  AAABBB
    """
    for track in seq.tracks:
        kept = tuple(one for one in track.transitions if one.id != transition_id)
        if len(kept) < len(track.transitions):
            return _with_track(seq, replace(unlocked_track(seq, track.id), transitions=kept))
    raise EditError("This transition is no longer there.")


# Clips and tracks as wholes


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
            return seq if changed == before else _with_track(seq, changed)
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


def _with_track(seq: Sequence, track: Track) -> Sequence:
    return replace(seq, tracks=tuple(track if one.id == track.id else one for one in seq.tracks))
