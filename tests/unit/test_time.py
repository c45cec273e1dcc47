from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import EditError
from engine.timeline.time import (
    ZERO,
    TimeRange,
    between,
    frame_at,
    parse_timecode,
    snap,
    time_of,
    timecode,
)

PAL = Fraction(25)
NTSC = Fraction(30000, 1001)
rates = st.sampled_from([PAL, NTSC, Fraction(24000, 1001), Fraction(60), Fraction(100, 7)])


def test_a_range_ends_before_its_end() -> None:
    span = TimeRange(Fraction(1), Fraction(2))
    assert span.end == 3
    assert span.contains(Fraction(1))
    assert not span.contains(Fraction(3))
    assert between(Fraction(1), Fraction(3)) == span


def test_ranges_that_touch_do_not_overlap() -> None:
    one, two = TimeRange(Fraction(0), Fraction(2)), TimeRange(Fraction(2), Fraction(2))
    assert not one.overlaps(two)
    assert one.intersection(two) is None
    assert one.intersection(TimeRange(Fraction(1), Fraction(9))) == between(
        Fraction(1), Fraction(2)
    )


@settings(deadline=None)
@given(st.integers(0, 10**7), rates)
def test_a_frame_begins_at_its_time(number: int, rate: Fraction) -> None:
    assert frame_at(time_of(number, rate), rate) == number
    assert snap(time_of(number, rate), rate) == time_of(number, rate)


@settings(deadline=None)
@given(st.fractions(0, 10**4, max_denominator=10**6), rates)
def test_snap_goes_to_the_nearest_frame_line(at: Fraction, rate: Fraction) -> None:
    snapped = snap(at, rate)
    assert (snapped * rate).denominator == 1
    assert abs(snapped - at) <= 1 / rate / 2


def test_halves_snap_up() -> None:
    assert snap(Fraction(1, 50), PAL) == Fraction(1, 25)


@pytest.mark.parametrize(
    ("at", "rate", "text"),
    [
        (ZERO, PAL, "00:00:00:00"),
        (Fraction(5) + Fraction(10, 25), PAL, "00:00:05:10"),
        (Fraction(3723), PAL, "01:02:03:00"),
        (time_of(30, NTSC), NTSC, "00:00:01:00"),
        (Fraction(-1), PAL, "00:00:00:00"),
        (Fraction(1), Fraction(1, 10), "00:00:00:00"),
    ],
)
def test_timecode(at: Fraction, rate: Fraction, text: str) -> None:
    assert timecode(at, rate) == text


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("12", Fraction(12, 25)),
        ("5:10", Fraction(135, 25)),
        ("1:02:03:04", Fraction(3723) + Fraction(4, 25)),
        (" 0;00;05.10 ", Fraction(135, 25)),
        ("+12", Fraction(2) + Fraction(12, 25)),
        ("-1:00", Fraction(1)),
        ("-9:00", ZERO),
    ],
)
def test_typed_timecodes(text: str, at: Fraction) -> None:
    assert parse_timecode(text, PAL, now=Fraction(2)) == at


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4:5", "1::2", "++1", "1:"])
def test_what_is_no_timecode_is_told(text: str) -> None:
    with pytest.raises(EditError, match="is not a timecode"):
        parse_timecode(text, PAL)


@settings(deadline=None)
@given(st.integers(0, 24 * 3600 * 25 - 1))
def test_a_timecode_reads_back(number: int) -> None:
    at = time_of(number, PAL)
    assert parse_timecode(timecode(at, PAL), PAL) == at
