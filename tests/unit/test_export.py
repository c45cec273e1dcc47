"""Whole exports, read back: pictures, times, sizes, and what is left when they end early."""

import json
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.errors import Cancelled, EditError, EngineError, OutputError
from engine.jobs import ExportJob, ExportOptions, Format, JobResult, Sound
from engine.media.reader import VideoReader
from engine.progress import Silent
from engine.render.export import export, output_size
from engine.render.frame import to_rgb8, to_rgba
from engine.timeline.model import Asset, Project, Transform
from engine.timeline.time import TimeRange
from tests.support.media import clicks, make_gif, make_still, make_video, read_number
from tests.support.timelines import (
    asset,
    audio,
    clip,
    export_job,
    facts,
    medium,
    project,
    replace,
    video,
)

F = Fraction


class Watching:
    """Notes every step; cancels after `stop` of them."""

    def __init__(self, stop: int | None = None) -> None:
        self.steps: list[tuple[str, int, int]] = []
        self.labels: list[str] = []
        self._stop = stop

    def step(self, stage: str, done: int, total: int) -> None:
        self.steps.append((stage, done, total))
        if self._stop is not None and done >= self._stop:
            raise Cancelled

    def preview(self, label: str, picture: Callable[[], NDArray[np.uint8]]) -> None:
        if not self.labels:
            assert picture().shape[2] == 3
        self.labels.append(label)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    """50 numbered pictures, 25 a second, with clicks each second."""
    path = tmp_path_factory.mktemp("media") / "numbers.mp4"
    return medium(make_video(path, 50, sound=clicks(2)))


def of(one: Asset, duration: Fraction | float = 2, source: Fraction | float = 0) -> Project:
    video_facts = one.facts.video
    assert video_facts is not None
    tracks = [video(clip(one.id, 0, duration, source))]
    if one.facts.sound:
        tracks.append(audio(clip(one.id, 0, duration, source)))
    return project([one], *tracks, width=video_facts.width, height=video_facts.height)


def run(made: Project, path: Path, options: ExportOptions | None = None) -> JobResult:
    return export(export_job(made, path, options), Silent())


def pictures(path: Path) -> list[int]:
    """The numbers in the pictures of a file."""
    reader = VideoReader(path)
    found = [read_number(to_rgb8(reader.frame(index))) for index in range(len(reader.times))]
    reader.close()
    return found


def times(path: Path) -> tuple[list[Fraction], Fraction]:
    reader = VideoReader(path)
    found = list(reader.times), reader.duration
    reader.close()
    return found


def test_every_source_picture_comes_out_once_and_unchanged(numbers: Asset, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    result = run(of(numbers), out)
    assert pictures(out) == list(range(50))
    assert times(out) == ([F(index, 25) for index in range(50)], F(2))
    assert (result.frames, result.duration, result.output) == (50, 2, str(out))
    assert result.size_bytes == out.stat().st_size
    source, copy = VideoReader(Path(numbers.path)), VideoReader(out)
    for index in (0, 20, 49):
        one, other = to_rgb8(source.frame(index)), to_rgb8(copy.frame(index))
        assert np.abs(one.astype(int) - other).mean() < 3
    source.close()
    copy.close()


def test_a_range_is_exact(numbers: Asset, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    options = ExportOptions(range=TimeRange(F(10, 25), F(7, 25)))
    run(of(numbers), out, options)
    assert pictures(out) == list(range(10, 17))


def test_cuts_and_gaps_come_in_order(numbers: Asset, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    made = project(
        [numbers],
        video(
            clip("numbers", 0, F(3, 25), source=F(40, 25)),
            clip("numbers", F(3, 25), F(3, 25), source=F(5, 25)),
            clip("numbers", F(8, 25), F(2, 25), source=1),
        ),
        width=160,
        height=96,
    )
    run(made, out)
    reader = VideoReader(out)
    assert len(reader.times) == 10
    shown = [to_rgb8(reader.frame(index)) for index in range(10)]
    assert [read_number(one) for one in shown[:6]] == [40, 41, 42, 5, 6, 7]
    assert all(one.max() < 40 for one in shown[6:8])
    assert [read_number(one) for one in shown[8:]] == [25, 26]
    reader.close()


CUTS = st.lists(st.tuples(st.integers(0, 45), st.integers(1, 5)), min_size=1, max_size=6)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CUTS)
def test_any_list_of_cuts_comes_out_picture_by_picture(
    numbers: Asset, tmp_path_factory: pytest.TempPathFactory, cuts: list[tuple[int, int]]
) -> None:
    clips, at = [], 0
    for source, length in cuts:
        clips.append(clip("numbers", F(at, 25), F(length, 25), source=F(source, 25)))
        at += length
    out = tmp_path_factory.mktemp("cuts") / "out.mp4"
    run(project([numbers], video(*clips), width=160, height=96), out)
    expected = [number for source, length in cuts for number in range(source, source + length)]
    assert pictures(out) == expected
    assert times(out) == ([F(index, 25) for index in range(at)], F(at, 25))


def test_variable_delays_are_kept(tmp_path: Path) -> None:
    starts = [F(0), F(1, 10), F(1, 7), F(1, 2), F(8, 10), F(1)]
    source = medium(make_video(tmp_path / "vfr.mp4", 5, times=starts))
    out = tmp_path / "out.mp4"
    run(of(source, 1), out)
    found, duration = times(out)
    assert pictures(out) == [0, 1, 2, 3, 4]
    assert [abs(one - other) < F(1, 10_000) for one, other in zip(found, starts, strict=False)]
    assert abs(duration - 1) < F(1, 10_000)


def test_a_given_rate_makes_constant_frames(numbers: Asset, tmp_path: Path) -> None:
    for rate in (F(10), F(60), F(30000, 1001)):
        out = tmp_path / "out.mp4"
        run(of(numbers), out, ExportOptions(rate=rate))
        found, _ = times(out)
        assert found == [index / rate for index in range(len(found))]
        assert pictures(out) == [min(49, int(at * 25 + F(1, 40))) for at in found]
        assert 0 <= len(found) / rate - 2 < 1 / rate


def test_a_width_scales_and_the_height_is_even(numbers: Asset, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    run(of(numbers, F(4, 25)), out, ExportOptions(width=110))
    reader = VideoReader(out)
    assert (reader.width, reader.height) == (110, 66)
    reader.close()
    assert pictures(out) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("width", "expected"),
    [(None, (1920, 1080)), (640, (640, 360)), (333, (333, 188)), (1, (2, 2))],
)
def test_sizes(width: int | None, expected: tuple[int, int]) -> None:
    sequence = project([], width=1920, height=1080).sequence()
    assert output_size(sequence, ExportOptions(width=width)) == expected


def test_a_size_that_cannot_be_coded_is_told() -> None:
    sequence = project([], width=1000, height=1000).sequence()
    with pytest.raises(EditError, match="16384×16384 are too large"):
        output_size(sequence, ExportOptions(width=16384))


def test_a_gif_keeps_its_delays(tmp_path: Path) -> None:
    source = medium(make_gif(tmp_path / "in.gif", [4, 7, 10, 3, 20]))
    out = tmp_path / "out.gif"
    run(of(source, F(44, 100)), out, ExportOptions(format=Format.GIF))
    assert pictures(out) == [0, 1, 2, 3, 4]
    found, duration = times(out)
    assert [round(at * 100) for at in found] == [0, 4, 11, 21, 24]
    assert round(duration * 100) == 44


def test_a_gif_of_a_fast_film_tells_what_it_left_out(numbers: Asset, tmp_path: Path) -> None:
    out = tmp_path / "out.gif"
    options = ExportOptions(format=Format.GIF, rate=F(100), range=TimeRange(F(0), F(1, 2)))
    result = run(of(numbers), out, options)
    assert "25 pictures were left out" in result.notes[0]
    assert round(times(out)[1] * 100) == 50
    assert result.frames == len(pictures(out)) == 25


def test_a_ping_pong_of_a_fast_film_shows_no_picture_twice_at_a_turn(
    numbers: Asset, tmp_path: Path
) -> None:
    out = tmp_path / "out.gif"
    options = ExportOptions(
        format=Format.GIF, rate=F(60), range=TimeRange(F(0), F(1)), ping_pong=True
    )
    result = run(of(numbers), out, options)
    found, duration = times(out)
    starts = [round(at * 100) for at in found]
    delays = [after - before for before, after in pairwise([*starts, round(duration * 100)])]
    there = len(delays) // 2 + 1
    assert delays[there:] == delays[there - 2 : 0 : -1]
    assert result.frames == len(delays) == 2 * there - 2
    assert sum(delays[:there]) == 100
    assert min(delays) >= 2


def test_a_still_is_one_long_picture_in_a_gif(tmp_path: Path) -> None:
    still = medium(make_still(tmp_path / "still.png", 7))
    out = tmp_path / "out.gif"
    result = run(of(still, 5), out, ExportOptions(format=Format.GIF))
    assert (result.frames, result.duration) == (1, 5)
    assert pictures(out) == [7]


def test_a_still_is_a_film_at_the_sequence_s_rate_in_an_mp4(tmp_path: Path) -> None:
    still = medium(make_still(tmp_path / "still.png", 7))
    out = tmp_path / "out.mp4"
    result = run(of(still, 2), out)
    assert (result.frames, result.duration) == (50, 2)
    assert pictures(out) == [7] * 50
    assert times(out) == ([F(index, 25) for index in range(50)], F(2))


def test_a_transparent_picture_stays_transparent_in_a_gif(tmp_path: Path) -> None:
    pixels = np.full((60, 80, 4), (30, 200, 10, 255), np.uint8)
    pixels[:, :40, 3] = 0
    cv2.imwrite(str(tmp_path / "half.png"), pixels)
    out = tmp_path / "out.gif"
    run(of(medium(tmp_path / "half.png"), 1), out, ExportOptions(format=Format.GIF))
    again = tmp_path / "again.gif"
    run(of(medium(out), 1), again, ExportOptions(format=Format.GIF))
    for path in (out, again):
        alpha = to_rgba(VideoReader(path).frame(0))[:, :, 3]
        assert alpha[:, :40].max() == 0
        assert alpha[:, 40:].min() == 1


def test_progress_counts_each_picture(numbers: Asset, tmp_path: Path) -> None:
    report = Watching()
    export(export_job(of(numbers, F(5, 25)), tmp_path / "out.mp4"), report)
    # Told before a file is opened, and again while a picture is awaited.
    steps = [step for step in dict.fromkeys(report.steps) if step[2] > 1]
    assert steps == [("encode", done, 5) for done in range(6)]
    assert report.labels == [f"Frame {done} of 5" for done in range(1, 6)]


def test_progress_of_a_gif_counts_both_passes(numbers: Asset, tmp_path: Path) -> None:
    report = Watching()
    options = ExportOptions(format=Format.GIF)
    export(export_job(of(numbers, F(5, 25)), tmp_path / "out.gif", options), report)
    steps = [step for step in dict.fromkeys(report.steps) if step[2] > 1]
    assert steps == [("encode", done, 10) for done in range(11)]
    assert report.labels[-1] == "Frame 5 of 5"


@pytest.mark.parametrize(("kind", "stop"), [(Format.MP4, 7), (Format.GIF, 7), (Format.GIF, 70)])
def test_a_cancel_leaves_the_old_file_and_no_litter(
    numbers: Asset, tmp_path: Path, kind: Format, stop: int
) -> None:
    out = tmp_path / "media" / f"out.{kind}"
    out.parent.mkdir()
    out.write_bytes(b"before")
    with pytest.raises(Cancelled):
        export(export_job(of(numbers), out, ExportOptions(format=kind)), Watching(stop))
    assert out.read_bytes() == b"before"
    assert [one.name for one in out.parent.iterdir()] == [out.name]


def test_a_broken_medium_leaves_nothing_behind(numbers: Asset, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    away = asset("away", path=tmp_path / "away.mp4")
    made = project(
        [numbers, away],
        video(clip("numbers", 0, 1)),
        video(clip("away", F(1, 2), F(1, 2), look=Transform(opacity=0.5))),
        width=160,
        height=96,
    )
    with pytest.raises(EngineError, match=r"away\.mp4"):
        run(made, folder / "out.mp4")
    assert not list(folder.iterdir())


def test_a_folder_that_is_not_there_is_told(numbers: Asset, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        run(of(numbers), tmp_path / "nowhere" / "out.mp4")


def test_a_sound_that_is_gone_is_named(numbers: Asset, tmp_path: Path) -> None:
    gone = replace(numbers, id="gone", name="gone.mp4", path=str(tmp_path / "gone.mp4"))
    made = project([numbers, gone], video(clip("numbers", 0, 1)), audio(clip("gone", 0, 1)))
    with pytest.raises(EngineError, match=r"gone\.mp4"):
        run(made, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_export_is_told(numbers: Asset, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    empty = project([numbers], video())
    with pytest.raises(EngineError, match="no picture"):
        run(empty, out)
    with pytest.raises(EngineError, match="no picture"):
        run(project([numbers], video(), audio(clip("numbers", 0, 1))), out)
    for span in (TimeRange(F(3), F(1)), TimeRange(F(1), F(0)), TimeRange(F(1), F(-1))):
        with pytest.raises(EngineError, match="nothing to export"):
            run(of(numbers), out, ExportOptions(range=span))
    hidden = project([numbers], replace(video(clip("numbers", 0, 1)), hidden=True))
    with pytest.raises(EngineError, match="no picture"):
        run(hidden, out)
    assert not out.exists()


def test_the_recipe_is_in_the_file_and_names_no_folder(numbers: Asset, tmp_path: Path) -> None:
    options = ExportOptions(rate=F(30000, 1001), range=TimeRange(F(0), F(1, 5)))
    for kind, read in ((Format.MP4, comment_of_mp4), (Format.GIF, comment_of_gif)):
        out = tmp_path / f"out.{kind}"
        run(of(numbers), out, msgspec.structs.replace(options, format=kind))
        recipe = json.loads(read(out))
        assert recipe["options"]["rate"] == "30000/1001"
        assert recipe["sequence"]["tracks"][0]["clips"][0]["medium"] == "numbers.mp4"
        assert str(tmp_path.parent) not in json.dumps(recipe)


def comment_of_mp4(path: Path) -> str:
    with av.open(str(path)) as container:
        return container.metadata["comment"]


def comment_of_gif(path: Path) -> str:
    data = path.read_bytes()
    at, text = data.index(b"\x21\xfe") + 2, b""
    while data[at]:
        text += data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    return text.decode()


# Sound


def sound_of(path: Path) -> NDArray[np.float32]:
    parts = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            parts.append(frame.to_ndarray())
    return np.concatenate(parts, axis=1).T


def has_sound(path: Path) -> bool:
    with av.open(str(path)) as container:
        return bool(container.streams.audio)


def test_sound_is_there_unless_it_is_off_or_there_is_none(numbers: Asset, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    run(of(numbers), out)
    assert has_sound(out)
    run(of(numbers), out, ExportOptions(sound=Sound.OFF))
    assert not has_sound(out)
    run(project([numbers], video(clip("numbers", 0, 1))), out)
    assert not has_sound(out)


def test_sound_is_cut_to_the_length_of_the_pictures(numbers: Asset, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    made = project(
        [numbers],
        video(clip("numbers", 0, 1)),
        audio(clip("numbers", 0, 2)),
        width=160,
        height=96,
    )
    # The film is as long as its longest track: the second half shows black.
    run(made, out, ExportOptions(range=TimeRange(F(0), F(11, 25))))
    length = len(sound_of(out)) / 48_000
    assert abs(length - 11 / 25) < 0.03  # AAC comes in packets of 1024
    with av.open(str(out)) as container:
        stream = container.streams.audio[0]
        assert stream.duration is not None
        assert abs(stream.duration * stream.time_base - F(11, 25)) < F(1, 40)


def test_facts_of_a_made_up_medium_are_not_trusted(tmp_path: Path) -> None:
    """A file shorter than its asset says shows its last picture to the end of the clip."""
    path = make_video(tmp_path / "short.mp4", 5)
    short = asset("short", facts(width=160, height=96, frames=100), path)
    out = tmp_path / "out.mp4"
    result = run(of(short, 1), out)
    assert pictures(out) == [0, 1, 2, 3, 4]
    assert result.duration == 1


def test_the_job_is_a_value(numbers: Asset, tmp_path: Path) -> None:
    job = export_job(of(numbers), tmp_path / "out.mp4")
    assert isinstance(job, ExportJob)
    first, second = export(job, Silent()), export(job, Silent())
    assert first.frames == second.frames
    assert pictures(tmp_path / "out.mp4") == list(range(50))
