"""Ping-pong and loops: the order of pictures, their delays, the sound, bounded memory."""

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.jobs import ExportOptions, Format, JobResult, Sound
from engine.media.reader import VideoReader
from engine.progress import Silent
from engine.render.export import export
from engine.render.export_times import there_and_back
from engine.render.frame import Planes, from_rgb8, to_rgb8
from engine.render.pingpong import pictures_there_and_back
from engine.render.soundtrack import FADE, Piece, Soundtrack, pieces
from engine.timeline.model import Asset, Project
from tests.support.media import make_gif, make_video, read_number
from tests.support.timelines import audio, clip, export_job, medium, project, video

F = Fraction
RATE = 48_000


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    """25 numbered pictures in a second, with a tone that rises in loudness."""
    tone = np.sin(np.arange(RATE) * (2 * np.pi * 440 / RATE)) * np.linspace(0, 0.8, RATE)
    path = tmp_path_factory.mktemp("media") / "numbers.mp4"
    sound = np.repeat(tone[:, None], 2, axis=1).astype(np.float32)
    return medium(make_video(path, 25, sound=sound))


def of(one: Asset, duration: Fraction) -> Project:
    facts = one.facts.video
    assert facts is not None
    tracks = [video(clip(one.id, 0, duration))]
    if one.facts.sound:
        tracks.append(audio(clip(one.id, 0, duration)))
    return project([one], *tracks, width=facts.width, height=facts.height)


def run(made: Project, path: Path, options: ExportOptions) -> JobResult:
    return export(export_job(made, path, options), Silent())


def pictures(path: Path) -> list[int]:
    reader = VideoReader(path)
    found = [read_number(to_rgb8(reader.frame(index))) for index in range(len(reader.times))]
    reader.close()
    return found


def delays_cs(path: Path) -> list[int]:
    reader = VideoReader(path)
    edges = [*reader.times, reader.duration]
    reader.close()
    return [round((after - before) * 100) for before, after in itertools.pairwise(edges)]


def sound_of(path: Path) -> NDArray[np.float32]:
    with av.open(str(path)) as container:
        parts = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return np.concatenate(parts, axis=1).T


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_ping_pong_goes_there_and_back(numbers: Asset, tmp_path: Path, count: int) -> None:
    out = tmp_path / "out.mp4"
    result = run(of(numbers, F(count, 25)), out, ExportOptions(ping_pong=True))
    assert pictures(out) == there_and_back(count)
    assert result.frames == max(count, 2 * count - 2)
    assert result.duration == F(result.frames, 25)


def test_ping_pong_of_a_gif_mirrors_the_delays(tmp_path: Path) -> None:
    source = medium(make_gif(tmp_path / "in.gif", [4, 7, 10, 20]))
    out = tmp_path / "out.gif"
    run(of(source, F(41, 100)), out, ExportOptions(ping_pong=True, format=Format.GIF))
    assert pictures(out) == [0, 1, 2, 3, 2, 1]
    assert delays_cs(out) == [4, 7, 10, 20, 10, 7]


def test_a_loop_repeats_the_whole_ping_pong(numbers: Asset, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    result = run(of(numbers, F(5, 25)), out, ExportOptions(ping_pong=True, loop=3))
    assert pictures(out) == [0, 1, 2, 3, 4, 3, 2, 1] * 3
    assert (result.frames, result.duration) == (24, F(24, 25))
    assert abs(len(sound_of(out)) / RATE - 24 / 25) < 0.03


def test_loop_zero_is_once_in_an_mp4(numbers: Asset, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    assert run(of(numbers, F(5, 25)), out, ExportOptions(loop=0)).frames == 5
    assert pictures(out) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("loop", "written"), [(0, 0), (1, None), (4, 3)])
def test_a_gif_counts_repeats(
    numbers: Asset, tmp_path: Path, loop: int, written: int | None
) -> None:
    out = tmp_path / "out.gif"
    run(of(numbers, F(3, 25)), out, ExportOptions(loop=loop, format=Format.GIF))
    data = out.read_bytes()
    mark = data.find(b"NETSCAPE2.0\x03\x01")
    assert (mark < 0) == (written is None)
    if written is not None:
        assert int.from_bytes(data[mark + 13 : mark + 15], "little") == written


def loudness(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mean of the tone in tenths of its seconds."""
    blocks = np.abs(samples[: len(samples) // 2400 * 2400, 0]).reshape(-1, 2400)
    return blocks.mean(axis=1)


@pytest.mark.parametrize("sound", [Sound.KEPT, Sound.MIRRORED])
def test_the_sound_of_the_way_back(numbers: Asset, tmp_path: Path, sound: Sound) -> None:
    out = tmp_path / "out.mp4"
    run(of(numbers, F(1)), out, ExportOptions(ping_pong=True, sound=sound))
    heard = sound_of(out)
    assert abs(len(heard) / RATE - F(48, 25)) < 0.03
    line = loudness(heard)
    there, back = line[1:19], line[22:36]
    assert np.all(np.diff(there) > 0)
    assert np.all(np.diff(back) > 0) if sound is Sound.KEPT else np.all(np.diff(back) < 0)


def test_no_sound_when_it_is_off(numbers: Asset, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    run(of(numbers, F(1)), out, ExportOptions(ping_pong=True, sound=Sound.OFF))
    with av.open(str(out)) as container:
        assert not container.streams.audio


# The order of pictures under a budget


class Film:
    """Pictures that say their number; counts how often each is made and how many are alive."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def picture(self, index: int) -> Planes:
        self.made.append(index)
        return from_rgb8(np.full((8, 8, 3), index % 256, np.uint8))


def value(planes: Planes) -> int:
    return int(to_rgb8(planes)[0, 0, 0])


@given(st.integers(1, 120), st.integers(0, 40))
def test_the_order_is_right_under_any_budget(count: int, fitting: int) -> None:
    film = Film()
    size = film.picture(0).size_bytes
    film.made.clear()
    shown = list(pictures_there_and_back(count, film.picture, size * fitting))
    assert [index for index, _ in shown] == there_and_back(count)
    assert [value(planes) for _, planes in shown] == there_and_back(count)
    # What fits is not made twice, nothing is made three times.
    assert len(film.made) <= count + max(0, count - 2 - fitting)
    again = film.made[count:]
    starts = [
        one for before, one in zip(film.made[count - 1 :], again, strict=False) if one != before + 1
    ]
    assert len(starts) <= -(-len(again) // max(8, fitting or 8)) + 1


# The sound's pieces


def mix(start: int, count: int) -> NDArray[np.float32]:
    """A mix in which each sample says its place."""
    line = np.arange(start, start + count, dtype=np.float32)
    return np.stack([line, line], axis=1)


def test_one_piece_is_the_mix_itself() -> None:
    track = Soundtrack(mix, pieces(Sound.KEPT, F(1), F(2), F(0), F(1), 1))
    assert track.length == 2 * RATE
    assert np.array_equal(track.read(1000), mix(RATE, 1000))
    assert np.array_equal(track.read(1000), mix(RATE + 1000, 1000))


def test_kept_sound_starts_again_for_the_way_back() -> None:
    parts = pieces(Sound.KEPT, F(1), F(10, 25), F(8, 25), F(26, 25), 1)
    assert parts == (Piece(RATE, 19_200), Piece(RATE, 15_360))


def test_mirrored_sound_is_that_of_the_pictures_between_the_ends() -> None:
    parts = pieces(Sound.MIRRORED, F(1), F(10, 25), F(8, 25), F(26, 25), 2)
    back = Piece(RATE + 1920, 15_360, is_reversed=True)
    assert parts == (Piece(RATE, 19_200), back) * 2
    track = Soundtrack(mix, parts)
    heard = track.read(track.length)
    middle = heard[19_200 + FADE : 19_200 + 15_360 - FADE, 0]
    assert np.array_equal(middle, mix(RATE + 1920, 15_360)[::-1, 0][FADE:-FADE])
    assert np.array_equal(heard[: track.length // 2], heard[track.length // 2 :])


@given(st.lists(st.integers(1, 700), min_size=1), st.sampled_from([Sound.KEPT, Sound.MIRRORED]))
def test_a_soundtrack_is_the_same_in_blocks_of_any_length(lengths: list[int], sound: Sound) -> None:
    parts = pieces(sound, F(0), F(1, 50), F(1, 60), F(1, 900), 2)
    whole = Soundtrack(mix, parts)
    expected = whole.read(whole.length)
    track, at = Soundtrack(mix, parts), 0
    for length in lengths:
        part = track.read(length)
        rest = expected[at : at + length]
        assert np.array_equal(part[: len(rest)], rest)
        assert not part[len(rest) :].any()
        at += length


def test_nothing_clicks_where_pieces_meet() -> None:
    def flat(_: int, count: int) -> NDArray[np.float32]:
        return np.ones((count, 2), np.float32)

    track = Soundtrack(flat, pieces(Sound.KEPT, F(0), F(1), F(1, 2), F(0), 2))
    heard = track.read(track.length)[:, 0]
    assert np.abs(np.diff(heard)).max() <= 1 / FADE + 1e-6
    for joint in (0, RATE, RATE * 3 // 2, track.length - 1):
        assert heard[joint] < 0.02
    assert (heard < 0.999).sum() == 8 * FADE


@given(st.integers(2, 400), st.sampled_from([F(25), F(30000, 1001), F(24)]), st.integers(1, 5))
def test_the_sound_is_as_long_as_the_pictures(count: int, rate: Fraction, loops: int) -> None:
    there, back = count / rate, max(0, count - 2) / rate
    parts = pieces(Sound.KEPT, F(0), there, back, 1 / rate, loops)
    exact = (there + back) * loops * RATE
    assert abs(sum(part.count for part in parts) - exact) <= F(1, 2)
