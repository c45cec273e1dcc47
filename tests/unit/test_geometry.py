"""Where the timeline puts things: time and pixels, rows, ruler, snapping, what is under a point."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.timeline.model import (
    Clip,
    Sequence,
    SoundLevels,
    Track,
    TrackKind,
    Transition,
    new_sequence,
)
from engine.timeline.time import TimeRange, snap
from ui.timeline import geometry
from ui.timeline.geometry import Scale, Spans, Steps, layout, nearest_row, row_at, ruler_steps
from ui.timeline.hits import Hit, Zone, clips_in, hit
from ui.timeline.snapping import caught, snap_points

RATE = Fraction(25)


def clip(clip_id: str, start: float, end: float, sound: SoundLevels | None = None) -> Clip:
    begin, length = Fraction(start), Fraction(end) - Fraction(start)
    levels = sound or SoundLevels()
    return Clip(clip_id, "asset", TimeRange(Fraction(0), length), begin, sound=levels)


def sequence(*clips: Clip, sounds: tuple[Clip, ...] = (), **more: object) -> Sequence:
    transitions = more.pop("transitions", ())
    tracks = (
        Track("v1", TrackKind.VIDEO, clips=clips, transitions=transitions),  # type: ignore[arg-type]
        Track("v2", TrackKind.VIDEO),
        Track("a1", TrackKind.AUDIO, clips=sounds),
        Track("a2", TrackKind.AUDIO),
    )
    return Sequence("s", "Sequence", RATE, 1920, 1080, tracks, **more)  # type: ignore[arg-type]


@given(
    frame=st.integers(0, 2_000_000),
    speed=st.floats(5.0, 600.0),
    offset=st.floats(0.0, 100_000.0),
    rate=st.sampled_from([Fraction(25), Fraction(24000, 1001), Fraction(30), Fraction(60)]),
)
def test_a_frame_comes_back_from_its_pixel(
    frame: int, speed: float, offset: float, rate: Fraction
) -> None:
    scale, at = Scale(speed, offset), frame / rate
    assert scale.time(scale.x(at), rate) == at
    assert snap(at, rate) == at


def test_no_time_before_zero() -> None:
    assert Scale(80.0).time(-500.0, RATE) == 0


@given(x=st.floats(0, 2000), speed=st.floats(1, 600), offset=st.floats(0, 10_000))
def test_zooming_keeps_the_time_under_the_pointer(x: float, speed: float, offset: float) -> None:
    before = Scale(speed, offset)
    after = before.zoomed(speed * 1.5, x)
    assert after.seconds(x) == pytest.approx(before.seconds(x), abs=1e-6)


def test_rows_as_the_design_has_them() -> None:
    rows = layout(new_sequence(), {})
    assert [row.label for row in rows] == ["V2", "V1", "A1", "A2"]
    assert [row.top for row in rows] == [0, 68, 144, 200]
    assert geometry.total_height(rows) == 256
    assert [row.alternate for row in rows] == [False, True, True, False]


def test_rows_under_the_pointer() -> None:
    rows = layout(new_sequence(), {})
    assert row_at(rows, 67.9) is rows[0]
    assert row_at(rows, 140) is None, "the gap between picture and sound"
    assert nearest_row(rows, 140) is not None
    assert nearest_row(rows, -50) is rows[0]
    assert nearest_row(rows, 20, TrackKind.AUDIO) is rows[2]
    assert row_at(rows, 256) is None


def test_heights_go_in_steps_within_bounds() -> None:
    assert geometry.stepped_height(10) == 32
    assert geometry.stepped_height(500) == 160
    assert geometry.stepped_height(61.5) == 60


@pytest.mark.parametrize(
    ("speed", "rate", "steps"),
    [
        (80.0, 25, Steps(50, 25, 5)),  # as drawn: labels each 2 s, ticks each second, 5 frames
        (600.0, 25, Steps(5, 5, 1)),
        (100.0, 25, Steps(25, 25, 5)),
        (3.0, 25, Steps(25 * 60, 25 * 30, 25 * 5)),
        (10.0, 30, Steps(300, 150, 30)),
    ],
)
def test_ruler_steps(speed: float, rate: int, steps: Steps) -> None:
    assert ruler_steps(speed, Fraction(rate)) == steps


@given(speed=st.floats(0.02, 1440), rate=st.sampled_from([10, 24, 25, 30, 50, 60]))
def test_ruler_labels_have_room(speed: float, rate: int) -> None:
    steps = ruler_steps(speed, Fraction(rate))
    assert steps.label / rate * speed >= geometry.LABEL_ROOM - 1e-6
    assert steps.label % steps.whole == 0
    assert steps.whole % steps.part == 0


def test_zoom_bounds_and_slider() -> None:
    bounds = geometry.zoom_bounds(Fraction(100), RATE, 1000)
    assert bounds == (8.0, 600.0)
    assert geometry.zoom_at(0, bounds) == pytest.approx(8)
    assert geometry.zoom_at(1, bounds) == pytest.approx(600)
    for position in (0.0, 0.3, 1.0):
        speed = geometry.zoom_at(position, bounds)
        assert geometry.zoom_position(speed, bounds) == pytest.approx(position)
    least, most = geometry.zoom_bounds(Fraction(1, 25), RATE, 1000)
    assert least < most, "a clip of one frame can still be zoomed"


def test_spans_give_only_what_is_in_view() -> None:
    track = Track("v", TrackKind.VIDEO, clips=tuple(clip(str(i), i, i + 1) for i in range(100)))
    spans = Spans()
    assert spans.within(track, 10.5, 12.5) == range(10, 13)
    assert spans.within(track, 10.0, 12.0) == range(10, 12), "ends are exclusive"
    assert spans.within(track, 200, 300) == range(100, 100)
    first = spans.of(track)
    assert spans.of(track) is not None
    assert spans.of(track)[0] is first[0], "made once for a track"


@pytest.mark.parametrize(
    ("width", "form"), [(200, "full"), (199, "short"), (96, "short"), (95, "sign"), (15, "")]
)
def test_badge_forms(width: float, form: str) -> None:
    assert geometry.badge_form(width) == form


def test_short_badges() -> None:
    assert geometry.short_badge("Upscale 4×") == "4×"
    assert geometry.short_badge("Restyle") == ""


def test_thumbnail_steps_are_a_ladder() -> None:
    assert geometry.thumbnail_step(1.025) == 1
    assert geometry.thumbnail_step(0.9) == Fraction(1, 2)
    assert geometry.thumbnail_step(5.0) == 4
    assert geometry.thumbnail_step(0.0001) == Fraction(1, 64)


def test_snap_points_are_edges_playhead_and_marks() -> None:
    seq = sequence(clip("a", 1, 3), clip("b", 5, 6), work_area=TimeRange(Fraction(2), Fraction(7)))
    points = snap_points(seq, Fraction(4), frozenset("b"))
    assert points.times == (0, 1, 2, 3, 4, 9)


def test_catching_takes_the_nearest_within_reach() -> None:
    points = snap_points(sequence(clip("a", 1, 3)), None)
    near = caught((Fraction(295, 100), Fraction(98, 100)), points, 0.1)
    assert near is not None
    assert (near.shift, near.point) == (Fraction(2, 100), 1)
    assert caught((Fraction(2),), points, 0.1) is None


def under(x: float, y: float, seq: Sequence, selection: frozenset[str] = frozenset()) -> Hit:
    return hit(seq, layout(seq, {}), Spans(), Scale(100.0), x, y, selection)


def test_zones_of_a_clip() -> None:
    seq = sequence(clip("a", 1, 3))
    assert under(105, 100, seq) == Hit(Zone.HEAD, "v1", "a")
    assert under(200, 100, seq) == Hit(Zone.CLIP, "v1", "a")
    assert under(295, 100, seq) == Hit(Zone.TAIL, "v1", "a")
    assert under(300, 100, seq) == Hit(track="v1"), "ends are exclusive"
    assert under(112, 100, seq).zone is Zone.CLIP
    assert under(112, 100, seq, frozenset("a")).zone is Zone.HEAD, "16 px on a selected clip"
    assert under(200, 69, seq).clip == "", "above the clip, in its track"


def test_a_narrow_clip_keeps_a_middle() -> None:
    seq = sequence(clip("a", 0, 0.16))  # 16 px
    assert [under(x, 100, seq).zone for x in (3, 8, 13)] == [Zone.HEAD, Zone.CLIP, Zone.TAIL]


def test_touching_clips_each_keep_their_side_of_the_cut() -> None:
    seq = sequence(clip("a", 0, 1), clip("b", 1, 2))
    assert under(99, 100, seq) == Hit(Zone.TAIL, "v1", "a")
    assert under(101, 100, seq) == Hit(Zone.HEAD, "v1", "b")


def test_fade_handles_win_over_trims() -> None:
    seq = sequence(sounds=(clip("s", 1, 3, SoundLevels(fade_in=Fraction(1, 2))),))
    top = 144 + geometry.INSET + 16
    assert under(150, top, seq).zone is Zone.FADE_IN
    assert under(298, top, seq).zone is Zone.FADE_OUT
    assert under(298, top + 20, seq).zone is Zone.TAIL


def test_a_dissolve_lies_over_the_cut() -> None:
    seq = sequence(
        clip("a", 0, 2),
        clip("b", 2, 4),
        transitions=(Transition("d", "a", "b", Fraction(1)),),
    )
    assert under(200, 110, seq) == Hit(Zone.DISSOLVE, "v1", "a", "d")
    assert under(152, 110, seq).zone is Zone.DISSOLVE_HEAD
    assert under(248, 110, seq).zone is Zone.DISSOLVE_TAIL
    assert under(200, 75, seq).zone is Zone.HEAD, "over the filmstrip only, not the name"


def test_a_rubber_band_takes_what_it_touches() -> None:
    seq = sequence(clip("a", 0, 1), clip("b", 2, 3), sounds=(clip("s", 0, 1),))
    rows, spans = layout(seq, {}), Spans()
    assert clips_in(seq, rows, spans, (0.5, 2.5), (70, 80)) == {"a", "b"}
    assert clips_in(seq, rows, spans, (0.5, 1.5), (70, 150)) == {"a", "s"}
    assert clips_in(seq, rows, spans, (1.0, 2.0), (70, 150)) == set()
