"""Cross-dissolves: put over a cut, made as long as the clips allow, taken away."""

from fractions import Fraction

from msgspec.structs import replace

from engine.errors import EditError
from engine.timeline.draft import (
    Assets,
    frames_text,
    handles,
    longest_between,
    unlocked_track,
    with_track,
)
from engine.timeline.model import Sequence, Track, Transition, new_id
from engine.timeline.time import Time, snap


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
                f"The dissolve needs {frames_text(needed)} of handle on {clip.name or 'a clip'}; "
                f"it has {there}.",
                "Trim the clips at the cut, or make the dissolve shorter.",
            )
    if duration > longest_dissolve(seq, left_id, right_id, assets):
        raise EditError("The clips are too short for this dissolve.", "Make it shorter.")
    others = tuple(one for one in track.transitions if one.left != left_id)
    whole = (*others, Transition(new_id(), left_id, right_id, duration))
    place = {clip.id: index for index, clip in enumerate(track.clips)}
    whole = tuple(sorted(whole, key=lambda one: place[one.left]))
    return with_track(seq, replace(track, transitions=whole))


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
            return with_track(seq, replace(unlocked_track(seq, track.id), transitions=kept))
    raise EditError("This transition is no longer there.")


# Clips and tracks as wholes
