"""Trims: the head or tail of clips moved, alone or with what follows."""

from collections.abc import Iterable
from enum import StrEnum
from fractions import Fraction

from msgspec.structs import replace

from engine.errors import EditError
from engine.timeline.draft import (
    Assets,
    Draft,
    frames_text,
    handles,
    index_from,
    located,
    track_label,
    with_room_for_fades,
)
from engine.timeline.model import Clip, Sequence
from engine.timeline.time import ZERO, Time, TimeRange, snap


class Edge(StrEnum):
    """An end of a clip."""

    HEAD = "head"
    TAIL = "tail"


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
            f"Trim needs {frames_text(needed)} of handle on {name}; it has {there}.",
            f"Trim by {frames_text(there)} at most." if there else "The medium ends here.",
        )
    if outward > min(_room(seq, track_id, clip, edge, assets, ripple), default=outward):
        raise EditError(
            f"{name} on {track_label(seq, track_id)} has no room: another clip is in the way."
            if edge is Edge.TAIL or index_from(seq.track(track_id).clips, clip.start)
            else f"{name} cannot begin before the sequence does.",
            "Ripple trim moves what follows.",
        )
