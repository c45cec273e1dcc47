"""Segments: byte for byte the same after a round trip, with a proxy beside."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.errors import OutputError
from engine.media.reader import VideoReader
from engine.media.writer import SegmentWriter, proxy_path
from engine.render.frame import converted, from_rgb8, plane_rows, to_rgb8
from tests.support import media


def noise(count: int, height: int, width: int, channels: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, height, width, channels), np.uint8)


@pytest.mark.parametrize("size", [(160, 96), (161, 97), (33, 50)])
def test_pictures_come_back_byte_for_byte(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "a.mkv"
    arrays = noise(6, size[1], size[0], 3)
    writer = SegmentWriter(path, *size, alpha=False)
    for array in arrays:
        writer.write(from_rgb8(array))
    writer.finish()
    reader = VideoReader(path)
    assert len(reader.times) == 6
    for index in (0, 5, 2, 1, 3, 4):
        assert np.array_equal(to_rgb8(reader.frame(index)), arrays[index])
    assert not reader.frame(0).has_alpha


def test_transparent_pictures_too(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    arrays = noise(3, 96, 160, 4)
    writer = SegmentWriter(path, 160, 96, alpha=True)
    for array in arrays:
        writer.write(from_rgb8(array))
    writer.finish()
    reader = VideoReader(path)
    for index in range(3):
        rgba = converted(reader.frame(index), "rgba").picture
        rows = plane_rows(rgba.planes[0], np.uint8)[:, : 160 * 4].reshape(96, 160, 4)
        assert np.array_equal(rows, arrays[index])


def test_the_proxy_is_small_and_shows_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    writer = SegmentWriter(path, 1280, 720, alpha=False)
    for number in range(4):
        writer.write(from_rgb8(media.numbered(number, 1280, 720)))
    writer.finish()
    reader = VideoReader(proxy_path(path))
    assert (reader.width, reader.height) == (960, 540)
    assert [media.read_number(to_rgb8(one)) for one in reader.frames(0, 4)] == [0, 1, 2, 3]
    assert reader.times[1] == Fraction(1, 25)


def test_abandoned_it_leaves_nothing(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "a.mkv", 160, 96, alpha=False)
    writer.write(from_rgb8(media.numbered(1)))
    writer.abandon()
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError):
        SegmentWriter(tmp_path / "no" / "a.mkv", 160, 96, alpha=False)
