"""What holds after any edits whatever, in any order."""

from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from PySide6.QtWidgets import QApplication

from desktop.editor import Editor
from engine.errors import EditError
from engine.timeline import edits
from engine.timeline.edits import Edge, Placement
from engine.timeline.model import (
    Asset,
    Clip,
    EffectUse,
    Project,
    Sequence,
    SoundLevels,
    TrackKind,
    Transform,
    new_id,
)
from engine.timeline.project import decoded, encoded
from engine.timeline.time import TimeRange
from tests.support.drawings import RATE, asset, clip_of, frame, frames, media, tracks

Edit: TypeAlias = Callable[[Sequence], Sequence]

START = tracks(
    "V2 .TTTT..UUU",
    "V1 AAAABBBBCCCCCCDD",
    "A1 aaaabbbbccccccdd",
    "A2 mmmmmmmmmmmmm.n",
    "A3 llllllll",
    linked=True,
    locked={"A3"},
)
MEDIA: Mapping[str, Asset] = media(START) | {"X": asset("X", frame(30))}


@st.composite
def an_edit(draw: st.DrawFn) -> tuple[str, Edit]:
    """A name and an edit that picks its clips from whatever sequence it is given."""
    name = draw(st.sampled_from(sorted(EDITS)))
    picks = draw(st.lists(st.integers(0, 40), min_size=1, max_size=3))
    number = draw(st.integers(-12, 24))
    flag = draw(st.booleans())
    return f"{name} {picks} {number} {flag}", lambda seq: EDITS[name](seq, picks, number, flag)


def chosen(seq: Sequence, picks: list[int], linked: bool) -> frozenset[str]:
    every = [clip.id for track in seq.tracks for clip in track.clips]
    ids = frozenset(every[pick % len(every)] for pick in picks) if every else frozenset()
    return edits.with_links(seq, ids) if linked else ids


def placements(seq: Sequence, picks: list[int], number: int, pair: bool) -> tuple[Placement, ...]:
    """A new clip on some track, or a linked pair on two."""
    every = [track.id for track in seq.tracks]
    first = picks[0] % len(every)
    wanted = {every[first], every[first - 1]} if pair else {every[first]}
    link = new_id() if len(wanted) > 1 else None
    clip = clip_of("X" * (1 + picks[0] % 6), max(0, number), link)
    return tuple(Placement(track_id, replace(clip, id=new_id())) for track_id in sorted(wanted))


def some_cut(seq: Sequence, pick: int) -> tuple[str, str]:
    """Two neighbours, or the same clip twice where there are none."""
    pairs = [
        (a.id, b.id)
        for track in seq.tracks
        for a, b in zip(track.clips, track.clips[1:], strict=False)
    ]
    return pairs[pick % len(pairs)] if pairs else ("none", "none")


def one_changed(seq: Sequence, pick: int, number: int) -> Sequence:
    ids = sorted(chosen(seq, [pick], False))
    if not ids:
        return seq
    clip = seq.clip(ids[0])
    assert clip is not None
    return edits.replace_clip(
        seq,
        replace(
            clip,
            transform=Transform(rotation=float(number)),
            sound=SoundLevels(fade_in=min(clip.duration, frame(2))),
            effects=(EffectUse(new_id(), "unheard-of", "x", {"strength": 0.5}),),
        ),
    )


EDITS: dict[str, Callable[[Sequence, list[int], int, bool], Sequence]] = {
    "insert": lambda seq, picks, n, flag: edits.insert(seq, placements(seq, picks, n, flag)),
    "overwrite": lambda seq, picks, n, flag: edits.overwrite(seq, placements(seq, picks, n, flag)),
    "append": lambda seq, picks, n, flag: edits.append(seq, placements(seq, picks, n, flag)),
    "move": lambda seq, picks, n, flag: edits.move(
        seq, chosen(seq, picks, flag), frame(n), picks[0] % 3 - 1
    ),
    "move in": lambda seq, picks, n, flag: edits.move(
        seq, chosen(seq, picks, flag), frame(n), mode="insert"
    ),
    "split": lambda seq, picks, n, flag: edits.split(
        seq, frame(abs(n)), chosen(seq, picks, True) if flag else None
    ),
    "trim": lambda seq, picks, n, flag: edits.trim(
        seq, chosen(seq, picks[:1], flag), [*Edge][picks[0] % 2], frame(n) / 3, MEDIA
    ),
    "ripple trim": lambda seq, picks, n, flag: edits.ripple_trim(
        seq, chosen(seq, picks[:1], flag), [*Edge][picks[0] % 2], frame(n) / 3, MEDIA
    ),
    "lift": lambda seq, picks, n, flag: edits.lift(seq, chosen(seq, picks, flag)),
    "ripple delete": lambda seq, picks, n, flag: edits.ripple_delete(seq, chosen(seq, picks, flag)),
    "extract": lambda seq, picks, n, flag: edits.extract(seq, frames(n, n + picks[0] % 9)),
    "duplicate": lambda seq, picks, n, flag: edits.duplicate(seq, chosen(seq, picks, flag)),
    "link": lambda seq, picks, n, flag: edits.link(seq, chosen(seq, picks, False)),
    "unlink": lambda seq, picks, n, flag: edits.unlink(seq, chosen(seq, picks, flag)),
    "dissolve": lambda seq, picks, n, flag: edits.dissolve(
        seq, *some_cut(seq, picks[0]), frame(abs(n) % 7), MEDIA
    ),
    "dissolve all it can": lambda seq, picks, n, flag: edits.dissolve(
        seq,
        *some_cut(seq, picks[0]),
        edits.longest_dissolve(seq, *some_cut(seq, picks[0]), MEDIA),
        MEDIA,
    ),
    "replace": lambda seq, picks, n, flag: one_changed(seq, picks[0], n),
    "add track": lambda seq, picks, n, flag: edits.add_track(seq, [*TrackKind][picks[0] % 2]),
    "remove track": lambda seq, picks, n, flag: edits.remove_track(
        seq, seq.tracks[picks[0] % len(seq.tracks)].id
    ),
}


def check(seq: Sequence) -> None:
    ids = [clip.id for track in seq.tracks for clip in track.clips]
    assert len(set(ids)) == len(ids), "ids are different"
    links = Counter(clip.link for track in seq.tracks for clip in track.clips if clip.link)
    for track in seq.tracks:
        end = Fraction(0)
        for clip in track.clips:
            assert clip.start >= end, f"{clip.name} overlaps or is out of order"
            assert clip.duration >= frame(1)
            assert (clip.start * RATE).denominator == (clip.end * RATE).denominator == 1
            assert 0 <= clip.source.start <= clip.source.end <= MEDIA[clip.asset].facts.duration
            assert clip.sound.fade_in + clip.sound.fade_out <= clip.duration
            assert track.locked or clip.link is None or links[clip.link] > 1, "no lone link"
            end = clip.end
        check_transitions(track.clips, {one.left: one for one in track.transitions})
        assert len({one.left for one in track.transitions}) == len(track.transitions)


def check_transitions(clips: tuple[Clip, ...], by_left: Mapping[str, object]) -> None:
    place = {clip.id: i for i, clip in enumerate(clips)}
    used = {clip.id: Fraction(0) for clip in clips}
    for one in by_left.values():
        left, right = clips[place[one.left]], clips[place[one.right]]
        assert place[one.right] == place[one.left] + 1
        assert left.end == right.start, "a transition's clips touch"
        assert one.duration >= frame(1)
        assert MEDIA[left.asset].facts.duration - left.source.end >= one.duration / 2
        assert right.source.start >= one.duration / 2, "handles suffice"
        used[left.id] += one.duration / 2
        used[right.id] += one.duration / 2
    assert all(used[clip.id] <= clip.duration for clip in clips), "dissolves do not meet"


def after(seq: Sequence, edit: Edit) -> Sequence:
    """The sequence edited, or as it was where the edit is refused."""
    try:
        return edit(seq)
    except EditError:
        return seq


many_edits = st.lists(an_edit(), max_size=12)


@settings(max_examples=150, deadline=None)
@given(many_edits)
def test_tracks_links_and_transitions_stay_right(chain: list[tuple[str, Edit]]) -> None:
    seq = START
    for _, edit in chain:
        before, seq = seq, after(seq, edit)
        check(seq)
        for track in before.tracks:
            if track.locked:
                assert next(one for one in seq.tracks if one.id == track.id) is track


RIPPLES = ("insert", "ripple delete", "ripple trim", "extract", "duplicate", "move in")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(an_edit(), max_size=4),
    st.sampled_from(RIPPLES),
    st.integers(0, 40),
    st.integers(-12, 24),
    st.booleans(),
)
def test_ripples_keep_what_follows_in_step(
    chain: list[tuple[str, Edit]], name: str, pick: int, number: int, flag: bool
) -> None:
    seq = START
    for _, edit in chain:
        seq = after(seq, edit)
    picked = chosen(seq, [pick], flag)
    result = after(seq, lambda one: EDITS[name](one, [pick], number, flag))
    starts = {
        clip.id: clip.start
        for track in result.tracks
        for clip in track.clips
        if clip.id not in picked
    }
    moved = [
        (clip.start, starts[clip.id] - clip.start)
        for track in seq.tracks
        if not track.locked
        for clip in track.clips
        if clip.id in starts
    ]
    first = min((start for start, by in moved if by), default=None)
    if first is not None and name != "extract":
        assert len({by for start, by in moved if start >= first}) == 1, "all move alike"
    if name == "extract":
        assert len({by for start, by in moved if start >= frame(number + pick % 9)}) <= 1


@settings(max_examples=40, deadline=None)
@given(many_edits)
def test_saving_and_loading_gives_an_equal_project(chain: list[tuple[str, Edit]]) -> None:
    seq = START
    for _, edit in chain:
        seq = after(seq, edit)
    project = Project(assets=tuple(MEDIA.values()), sequences=(seq,), is_set_up=True)
    folder = Path("/media/project")
    assert decoded(encoded(project, folder), folder, "it") == project


@settings(max_examples=40, deadline=None)
@given(chain=many_edits)
def test_undo_gives_back_the_very_project(
    qapp: QApplication, chain: list[tuple[str, Edit]]
) -> None:
    editor = Editor()
    editor.adopt(Project(assets=tuple(MEDIA.values()), sequences=(START,)), None)
    states = [editor.project]
    for name, edit in chain:
        editor.apply(name, lambda project, edit=edit: edits.on_sequence(project, "", edit))
        if editor.project is not states[-1]:
            states.append(editor.project)
    for state in reversed(states[:-1]):
        editor.undo()
        assert editor.project is state
    for state in states[1:]:
        editor.redo()
        assert editor.project is state


@settings(deadline=None)
@given(st.integers(0, 20), st.integers(1, 20))
def test_a_split_shows_what_was_there(at: int, length: int) -> None:
    seq = tracks("V1 " + "A" * length)
    whole = seq.tracks[0].clips[0]
    pieces = edits.split(seq, frame(at)).tracks[0].clips
    assert pieces[0].source.start == whole.source.start
    assert pieces[-1].source.end == whole.source.end
    for a, b in pairwise(pieces):
        assert a.source.end == b.source.start
        assert a.end == b.start


@settings(deadline=None)
@given(st.integers(-5, 20), st.integers(0, 9))
def test_extract_takes_as_much_as_it_says(start: int, length: int) -> None:
    seq = tracks("V1 AAAABBBBCC", "A1 aaaabbbbcc")
    span = TimeRange(frame(start), frame(length))
    result = edits.extract(seq, span)
    kept = [n for n in range(10) if not start <= n < start + length]
    assert result.duration == frame(len(kept))
