"""What shows at a moment: layers, dissolves, stretches, timing of an export."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.render.export_times import (
    Shown,
    constant_rate,
    frame_times,
    there_and_back,
    thinned,
)
from engine.render.plan import Shot, on_grid, plan, stretches
from engine.timeline.effects import new_use
from engine.timeline.model import EffectUse, Project, Track, Transform
from engine.timeline.time import TimeRange
from tests.support.timelines import asset, clip, facts, project, replace, video

A, B = asset("A"), asset("B")
TITLE = asset("T", facts(alpha=True, still=True, frames=1))
F = Fraction


def shown(made: Project, at: Fraction | float) -> list[str]:
    """The layers at `at`, bottom first, as "A@1.5" or "A@3>B@1:0.50"."""
    result = []
    for layer in plan(made, made.sequence(), F(at)).layers:
        text = f"{layer.shot.clip.asset}@{float(layer.shot.source):g}"
        if layer.partner:
            text += f">{layer.partner.clip.asset}@{float(layer.partner.source):g}:{layer.mix:.2f}"
        if layer.strength < 1:
            text += f"*{layer.strength:.2f}"
        result.append(text)
    return result


def one_track(track: Track) -> Project:
    return project([A, B, TITLE], track)


def test_a_clip_shows_from_its_start_up_to_its_end() -> None:
    made = one_track(video(clip("A", 1, 2, source=3)))
    assert shown(made, 0.99) == []
    assert shown(made, 1) == ["A@3"]
    assert shown(made, 2.5) == ["A@4.5"]
    assert shown(made, 3) == []


def test_a_dissolve_is_centred_on_the_cut_and_uses_the_handles() -> None:
    """|A   ><   B|"""
    made = one_track(
        video(
            clip("A", 0, 2, name="a"),
            clip("B", 2, 1, source=1, name="b"),
            dissolves={("a", "b"): F(24, 25)},
        )
    )
    assert shown(made, F(37, 25)) == ["A@1.48"]
    assert shown(made, F(38, 25)) == ["A@1.52>B@0.52:0.00"]
    assert shown(made, 2) == ["A@2>B@1:0.50"]
    assert shown(made, F(56, 25)) == ["A@2.24>B@1.24:0.75"]
    assert shown(made, F(62, 25)) == ["B@1.48"]


def test_a_dissolve_of_an_odd_number_of_frames_stays_on_the_grid() -> None:
    left, right = clip("A", 0, 1, name="a"), clip("A", 1, 1, source=1, name="b")
    made = one_track(video(left, right, dissolves={("a", "b"): F(3, 25)}))
    mixes = [len(shown(made, F(frame, 25))[0]) > 6 for frame in range(23, 29)]
    assert mixes == [False, True, True, True, False, False]
    durations = {one.duration for one in timing(made, times=tuple(F(n, 25) for n in range(50)))}
    assert durations == {F(1, 25)}


def test_a_dissolve_with_a_disabled_clip_fades_from_nothing() -> None:
    made = one_track(
        video(
            clip("A", 0, 2, name="a", enabled=False),
            clip("B", 2, 1, source=1, name="b"),
            dissolves={("a", "b"): F(24, 25)},
        )
    )
    assert shown(made, 1) == []
    assert shown(made, F(44, 25)) == ["B@0.76*0.25"]


def test_hidden_tracks_and_disabled_clips_are_left_out() -> None:
    hidden = replace(video(clip("B", 0, 1)), hidden=True)
    made = project([A, B], video(clip("A", 0, 1)), hidden, video(clip("B", 0, 1, enabled=False)))
    assert shown(made, 0) == ["A@0"]


def test_a_layer_that_covers_all_hides_what_is_below() -> None:
    top = clip("B", 0, 1)
    assert shown(project([A, B], video(clip("A", 0, 1)), video(top)), 0) == ["B@0"]
    for look in (
        Transform(opacity=0.5),
        Transform(scale=0.9),
        Transform(x=0.1),
        Transform(rotation=10),
        Transform(crop_top=0.1),
    ):
        made = project([A, B], video(clip("A", 0, 1)), video(replace(top, transform=look)))
        assert shown(made, 0) == ["A@0", "B@0"]


def test_transparent_and_differently_shaped_pictures_do_not_cover() -> None:
    tall = asset("tall", facts(width=90, height=160))
    below = video(clip("A", 0, 1))
    assert len(shown(project([A, TITLE], below, video(clip("T", 0, 1))), 0)) == 2
    assert len(shown(project([A, tall], below, video(clip("tall", 0, 1))), 0)) == 2


def test_only_effects_that_are_on_and_known_count() -> None:
    used = new_use("upscale")
    effects = (
        used,
        replace(new_use("restyle"), enabled=False),
        EffectUse("x", "somebody-elses", "engine"),
    )
    made = one_track(video(clip("A", 0, 1, effects=effects)))
    assert plan(made, made.sequence(), F(0)).layers[0].shot.uses == (used,)


def test_a_medium_that_is_gone_is_in_the_plan_as_missing() -> None:
    made = project([], video(clip("A", 0, 1)))
    assert plan(made, made.sequence(), F(0)).layers[0].shot.asset is None


CLIPS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 8)),  # gap before, length, in frames
    min_size=1,
    max_size=6,
)


@given(st.lists(CLIPS, min_size=1, max_size=3))
def test_stretches_cover_the_whole_span_and_never_change_within(
    tracks: list[list[tuple[int, int]]],
) -> None:
    built = []
    for lengths in tracks:
        at, clips = 0, []
        for gap, length in lengths:
            at += gap
            clips.append(clip("T", F(at, 25), F(length, 25)))
            at += length
        built.append(video(*clips))
    made = project([TITLE], *built)
    sequence = made.sequence()
    span = TimeRange(F(0), sequence.duration)
    found = list(stretches(made, sequence, span))
    assert found[0].span.start == 0
    assert found[-1].span.end == span.end
    for one, following in itertools.pairwise(found):
        assert one.span.end == following.span.start
    for one in found:
        ids = [
            [layer.shot.clip.id for layer in plan(made, sequence, at).layers]
            for at in on_grid(one.span, sequence.rate)
        ]
        assert all(layers == ids[0] for layers in ids)
        assert (one.single is not None) == (len(ids[0]) == 1)


def test_grid_lines_begin_with_the_start_of_the_span() -> None:
    assert list(on_grid(TimeRange(F(1, 50), F(2, 25)), F(25))) == [F(1, 50), F(1, 25), F(2, 25)]


# Timing of an export


def timing(
    made: Project,
    rate: Fraction | None = None,
    span: TimeRange | None = None,
    times: tuple[Fraction, ...] = (F(0), F(1, 10), F(1, 2), F(9, 10)),
) -> list[Shown]:
    sequence = made.sequence()

    def times_of(shot: Shot) -> tuple[Fraction, ...]:
        return (F(0),) if shot.clip.asset == "T" else times

    return frame_times(made, sequence, span or TimeRange(F(0), sequence.duration), rate, times_of)


def test_each_source_picture_keeps_its_own_delay() -> None:
    made = one_track(video(clip("A", 1, 1)))
    whole = timing(made, span=TimeRange(F(1), F(1)))
    assert [(one.at, one.duration) for one in whole] == [
        (F(1), F(1, 10)),
        (F(11, 10), F(4, 10)),
        (F(3, 2), F(4, 10)),
        (F(19, 10), F(1, 10)),
    ]


def test_a_cut_inside_a_picture_shows_the_rest_of_it() -> None:
    made = one_track(video(clip("A", 0, F(1, 2), source=F(3, 10))))
    assert [one.duration for one in timing(made)] == [F(2, 10), F(3, 10)]


def test_no_sliver_comes_from_a_clock_of_milliseconds() -> None:
    times = tuple(F(round(1000 * number / 30), 1000) for number in range(60))
    made = one_track(
        video(clip("A", 0, F(10, 30), source=F(11, 30)), clip("A", F(10, 30), F(1, 3)))
    )
    found = timing(made, times=times)
    assert len(found) == 20
    assert min(one.duration for one in found) > F(3, 100)


def test_a_still_is_one_long_picture() -> None:
    made = one_track(video(clip("T", 0, 5)))
    assert timing(made) == [Shown(F(0), F(5))]


def test_a_still_can_come_at_the_rate_of_the_sequence() -> None:
    made = one_track(video(clip("T", 0, F(3, 25)), clip("A", F(3, 25), F(1, 2))))
    sequence = made.sequence()
    span = TimeRange(F(0), sequence.duration)
    found = frame_times(
        made,
        sequence,
        span,
        None,
        lambda shot: (F(0),) if shot.clip.asset == "T" else (F(0), F(1, 10)),
        long_stills=False,
    )
    assert [one.duration for one in found] == [F(1, 25)] * 3 + [F(1, 10), F(4, 10)]


FAST = st.lists(st.integers(1, 8), min_size=1, max_size=40)


@given(FAST)
def test_thinned_pictures_keep_the_whole_time(parts: list[int]) -> None:
    starts = [F(sum(parts[:index]), 120) for index in range(len(parts) + 1)]
    shown = [Shown(at, after - at) for at, after in itertools.pairwise(starts)]
    kept = thinned(shown, F(1, 50))
    assert all(one.duration >= F(1, 50) for one in kept)
    whole = sum(one.duration for one in kept)
    assert abs(whole - max(starts[-1], F(1, 50))) <= F(1, 100)
    assert {one.at for one in kept} <= {one.at for one in shown}
    if all(part >= 3 for part in parts):
        assert kept == shown


def test_dissolves_stacks_and_gaps_follow_the_sequence() -> None:
    made = one_track(
        video(
            clip("T", 0, 1, name="a"),
            clip("T", 1, 1, name="b"),
            clip("T", 2 + F(1, 5), 1),
            dissolves={("a", "b"): F(2, 5)},
        )
    )
    durations = [one.duration for one in timing(made)]
    assert durations == [F(4, 5), *[F(1, 25)] * 10, F(4, 5), *[F(1, 25)] * 5, F(1)]
    stack = project([A, TITLE], video(clip("A", 0, 1)), video(clip("T", 0, 1)))
    assert [one.duration for one in timing(stack)] == [F(1, 25)] * 25


@given(st.integers(1, 500), st.sampled_from([F(25), F(30), F(8), F(30000, 1001), F(1, 2), F(60)]))
def test_a_rate_gives_a_picture_at_every_step(frames: int, rate: Fraction) -> None:
    made = one_track(video(clip("A", 0, F(frames, 25))))
    found = timing(made, rate)
    assert [one.at for one in found] == [index / rate for index in range(len(found))]
    assert {one.duration for one in found} == {1 / rate}
    length = F(frames, 25)
    assert length - F(1, 1000) <= len(found) / rate < length + 1 / rate


def test_the_rate_of_equal_delays_is_found() -> None:
    assert constant_rate([Shown(F(0), F(1, 25)), Shown(F(1, 25), F(1, 25))]) == 25
    assert constant_rate([Shown(F(0), F(1, 25)), Shown(F(1, 25), F(1, 10))]) is None
    assert constant_rate([Shown(F(0), F(5))]) is None


@pytest.mark.parametrize(
    ("count", "order"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2, 1]), (5, [0, 1, 2, 3, 4, 3, 2, 1])]
)
def test_there_and_back_shows_no_picture_twice_at_a_turn(count: int, order: list[int]) -> None:
    assert there_and_back(count) == order
