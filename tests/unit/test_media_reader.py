"""Reading pictures: the number in each picture says whether it is the right one."""

import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.errors import EngineError
from engine.media.reader import VideoReader
from engine.render.frame import to_rgb8
from tests.support import media

OPEN_GOP = {
    "preset": "ultrafast",
    "bf": "3",
    "x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0:b-adapt=0",
}
FAST = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "10", "auto-alt-ref": "1"}


def number(reader: VideoReader, index: int) -> int:
    return media.read_number(to_rgb8(reader.frame(index)))


def numbers(reader: VideoReader) -> list[int]:
    return [media.read_number(to_rgb8(one)) for one in reader.frames(0, len(reader.times))]


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("long_gop.mp4", {}),
        ("long_gop.mov", {}),
        ("long_gop.mkv", {"rate": Fraction(30000, 1001)}),
        ("open_gop.mp4", {"options": OPEN_GOP}),
        ("open_gop.mkv", {"options": OPEN_GOP}),
        ("long_gop.ts", {}),
        ("short_gops.ts", {"options": {"g": "12", "bf": "2", "preset": "ultrafast"}}),
        ("vp8.webm", {"codec": "libvpx", "options": FAST}),
        ("vp9.webm", {"codec": "libvpx-vp9", "options": FAST}),
        ("intra.mkv", {"codec": "ffv1"}),
        ("odd.mkv", {"codec": "ffv1", "size": (163, 97), "pixel_format": "bgr0"}),
    ],
)
def test_every_picture_is_the_one_asked_for(tmp_path: Path, name: str, made: dict) -> None:
    reader = VideoReader(media.make_video(tmp_path / name, 70, **made))
    assert numbers(reader) == list(range(70))
    chance = random.Random(7)
    for index in [69, 0, 68, 1, *(chance.randrange(70) for _ in range(25))]:
        assert number(reader, index) == index
    reader.close()


def test_going_back_one_by_one(tmp_path: Path) -> None:
    reader = VideoReader(media.make_video(tmp_path / "a.mp4", 30))
    assert [number(reader, index) for index in reversed(range(30))] == list(reversed(range(30)))


def test_times_of_a_constant_rate_are_its_grid_even_in_milliseconds(tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)
    reader = VideoReader(media.make_video(tmp_path / "a.mkv", 40, rate=rate))
    assert list(reader.times) == [index / rate for index in range(40)]
    assert reader.duration == 40 / rate


def test_variable_delays_are_exact(tmp_path: Path) -> None:
    chance = random.Random(3)
    times = [Fraction(0)]
    for _ in range(40):
        times.append(times[-1] + Fraction(chance.choice([1, 2, 3, 7, 30]), 60))
    reader = VideoReader(media.make_video(tmp_path / "a.mp4", 40, times=times))
    assert list(reader.times) == times[:-1]
    assert reader.duration == times[-1]
    assert numbers(reader) == list(range(40))


def test_a_gif_keeps_its_uneven_delays(tmp_path: Path) -> None:
    delays = [10, 3, 7, 50, 2, 9]
    reader = VideoReader(media.make_gif(tmp_path / "a.gif", delays))
    assert list(reader.times) == [Fraction(sum(delays[:i]), 100) for i in range(6)]
    assert reader.duration == Fraction(81, 100)
    assert numbers(reader) == list(range(6))
    assert number(reader, 2) == 2
    assert not reader.frame(0).has_alpha


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_video_comes_upright(tmp_path: Path, degrees: int) -> None:
    data = media.make_video(tmp_path / "a.mp4", 10).read_bytes()
    path = tmp_path / "turned.mp4"
    path.write_bytes(media.with_display_matrix(data, degrees))
    reader = VideoReader(path)
    assert (reader.width, reader.height) == ((160, 96) if degrees == 180 else (96, 160))
    shown = to_rgb8(reader.frame(6))
    assert media.read_number(np.rot90(shown, degrees // 90)) == 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_come_upright(tmp_path: Path, orientation: int) -> None:
    path = media.make_still(tmp_path / "a.jpg", 1234)
    path.write_bytes(media.with_exif_orientation(path.read_bytes(), orientation))
    shown = to_rgb8(VideoReader(path).frame(0))
    stored_from_shown = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    assert media.read_number(stored_from_shown[orientation](shown)) == 1234


def test_pixels_that_are_not_square_become_so(tmp_path: Path) -> None:
    reader = VideoReader(media.make_video(tmp_path / "a.mkv", 5, aspect=Fraction(4, 3)))
    assert (reader.width, reader.height) == (213, 96)
    assert number(reader, 3) == 3


def test_interlaced_pictures_are_made_whole_and_stay_exact(tmp_path: Path) -> None:
    options = {"preset": "ultrafast", "bf": "2", "x264-params": "tff=1:keyint=10:scenecut=0"}
    path = media.make_video(tmp_path / "a.mp4", 30, options=options, combed=True)
    reader = VideoReader(path)
    assert numbers(reader) == list(range(30))
    in_order = to_rgb8(reader.frame(20))
    rows = in_order[68:92].astype(int)
    assert np.abs(rows[1:] - rows[:-1]).mean() < 4  # 37 apart as stored
    by_seek = to_rgb8(VideoReader(path).frame(20))
    assert np.array_equal(in_order, by_seek)


def test_a_truncated_film_ends_where_it_can_be_read(tmp_path: Path) -> None:
    whole = media.make_video(tmp_path / "whole.mkv", 70, options={"g": "10", "crf": "10"})
    path = tmp_path / "cut.mkv"
    data = whole.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    reader = VideoReader(path)
    count = len(reader.times)
    assert 20 < count < 60
    assert numbers(reader) == list(range(count))


def test_a_hole_holds_the_picture_before_it(tmp_path: Path) -> None:
    path = media.make_video(tmp_path / "a.mp4", 60, options={"g": "10", "bf": "0", "crf": "5"})
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 3
    data[start : start + 1500] = bytes(1500)
    path.write_bytes(data)
    reader = VideoReader(path)
    assert len(reader.times) == 60
    for index in (0, 20, 24, 59):
        assert reader.frame(index).width == 160
    assert number(reader, 59) == 59
    assert number(reader, 0) == 0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".gif", ".png", ".jpg", ".webm"])
def test_damage_is_never_more_than_an_engine_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".gif":
        media.make_gif(path, [5] * 8)
    elif suffix in (".png", ".jpg"):
        media.make_still(path)
    else:
        codec = {"codec": "libvpx", "options": FAST} if suffix == ".webm" else {}
        media.make_video(path, 12, **codec)
    whole = path.read_bytes()
    chance = random.Random(suffix)
    for turn in range(25):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 5, 40])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if turn % 3 == 0:
            del data[chance.randrange(len(data)) :]
        broken = tmp_path / f"b{turn}{suffix}"
        broken.write_bytes(data or b"\0")
        try:
            reader = VideoReader(broken)
            for index in {0, len(reader.times) // 2, len(reader.times) - 1}:
                reader.frame(index)
            reader.close()
        except EngineError:
            continue
