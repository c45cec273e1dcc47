"""GIF out, judged by its bytes and by reading it again."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import OutputError
from engine.jobs import ExportOptions, Format
from engine.media.reader import VideoReader
from engine.media.spool import Spool
from engine.media.writer import GifWriter
from engine.render.frame import Planes, from_rgb8, to_rgb8
from tests.support import media


class Parsed:
    """What the blocks of a GIF say."""

    def __init__(self, data: bytes) -> None:
        assert data[:6] == b"GIF89a"
        self.delays: list[int] = []
        self.repeats: int | None = None
        self.comment = ""
        place = 13 + 3 * (2 << (data[10] & 7)) * (data[10] >> 7)
        while data[place] != 0x3B:
            if data[place] == 0x2C:
                flags = data[place + 9]
                place += 10 + 3 * (2 << (flags & 7)) * (flags >> 7) + 1
                _, place = blocks(data, place)
                continue
            assert data[place] == 0x21
            label = data[place + 1]
            body, place = blocks(data, place + 2)
            if label == 0xF9:
                self.delays.append(int.from_bytes(body[1:3], "little"))
            elif label == 0xFE:
                self.comment = body.decode()
            elif body.startswith(b"NETSCAPE2.0"):
                self.repeats = int.from_bytes(body[12:14], "little")
        assert place == len(data) - 1


def blocks(data: bytes, place: int) -> tuple[bytes, int]:
    """The sub-blocks from `place`, joined, and the place after them."""
    body = b""
    while data[place]:
        body += data[place + 1 : place + 1 + data[place]]
        place += 1 + data[place]
    return body, place + 1


def write(
    path: Path, pictures: list[Planes], times: list[Fraction], plays: int = 0, **made: object
) -> GifWriter:
    options = ExportOptions(format=Format.GIF, **made)
    size = (pictures[0].width, pictures[0].height)
    writer = GifWriter(path, *size, None, options, False, {"comment": "recipe " * 100})
    for planes, start, end in zip(pictures, times, times[1:], strict=False):
        writer.write(planes, start, end - start)
    writer.finish(plays)
    return writer


@pytest.fixture(scope="module")
def pictures() -> list[Planes]:
    return [from_rgb8(media.numbered(number, 120, 72)) for number in range(30)]


@pytest.mark.parametrize(("plays", "repeats"), [(0, 0), (1, None), (2, 1), (7, 6)])
def test_repeats_as_the_format_counts_them(
    tmp_path: Path, pictures: list[Planes], plays: int, repeats: int | None
) -> None:
    write(tmp_path / "a.gif", pictures[:3], [Fraction(i, 10) for i in range(4)], plays)
    parsed = Parsed((tmp_path / "a.gif").read_bytes())
    assert parsed.repeats == repeats
    assert parsed.comment == "recipe " * 100


@pytest.mark.parametrize("rate", [Fraction(15), Fraction(24), Fraction(30), Fraction(30000, 1001)])
def test_delays_add_up(tmp_path: Path, pictures: list[Planes], rate: Fraction) -> None:
    path = tmp_path / "a.gif"
    writer = write(path, pictures, [index / rate for index in range(31)])
    delays = Parsed(path.read_bytes()).delays
    assert len(delays) == 30
    assert abs(Fraction(sum(delays), 100) - 30 / rate) < Fraction(1, 100)
    assert max(delays) - min(delays) <= 1
    assert writer.dropped == 0
    reader = VideoReader(path)
    assert [media.read_number(to_rgb8(one)) for one in reader.frames(0, 30)] == list(range(30))


@pytest.mark.parametrize("rate", [Fraction(60), Fraction(120), Fraction(1000)])
def test_what_is_too_short_to_show_is_left_out(
    tmp_path: Path, pictures: list[Planes], rate: Fraction
) -> None:
    path = tmp_path / "a.gif"
    writer = write(path, pictures, [index / rate for index in range(31)])
    delays = Parsed(path.read_bytes()).delays
    assert min(delays) >= 2
    assert len(delays) == 30 - writer.dropped
    assert abs(Fraction(sum(delays), 100) - 30 / rate) <= Fraction(1, 100)


def test_own_delays_and_the_last_one(tmp_path: Path, pictures: list[Planes]) -> None:
    path = tmp_path / "a.gif"
    times = [Fraction(at, 100) for at in (0, 10, 13, 20, 70, 72, 900)]
    write(path, pictures[:6], times)
    assert Parsed(path.read_bytes()).delays == [10, 3, 7, 50, 2, 828]
    assert VideoReader(path).duration == 9


def test_a_delay_longer_than_the_format_can_say(tmp_path: Path, pictures: list[Planes]) -> None:
    path = tmp_path / "a.gif"
    write(path, pictures[:2], [Fraction(0), Fraction(700), Fraction(701)])
    delays = Parsed(path.read_bytes()).delays
    assert sum(delays) == 70_100
    assert max(delays) <= 65_535


def test_transparency_is_kept(tmp_path: Path) -> None:
    shapes = []
    for number in range(4):
        rgba = np.zeros((72, 120, 4), np.uint8)
        rgba[20:50, 10 + number * 20 : 40 + number * 20] = (250, 60, 30, 255)
        shapes.append(from_rgb8(rgba))
    path = tmp_path / "a.gif"
    write(path, shapes, [Fraction(i, 10) for i in range(5)])
    reader = VideoReader(path)
    for number in range(4):
        frame = reader.frame(number)
        assert frame.has_alpha
        shown = to_rgb8(frame).astype(int)
        assert np.abs(shown[35, 20 + number * 20] - (250, 60, 30)).max() < 12
        assert not shown[5, 5].any()
        if number:
            assert not shown[35, 12].any(), "the picture before shows through"


def ssim(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Mean structural similarity of luma (Wang et al. 2004), 7 x 7 windows."""
    a, b = (cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).astype(np.float64) for one in (first, second))
    ma, mb = cv2.blur(a, (7, 7)), cv2.blur(b, (7, 7))
    va, vb = cv2.blur(a * a, (7, 7)) - ma**2, cv2.blur(b * b, (7, 7)) - mb**2
    both = cv2.blur(a * b, (7, 7)) - ma * mb
    c1, c2 = 6.5025, 58.5225
    return float(
        (((2 * ma * mb + c1) * (2 * both + c2)) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean()
    )


@pytest.mark.parametrize("dither", ["none", "bayer", "floyd_steinberg", "sierra2_4a"])
def test_colours_are_near_the_source(tmp_path: Path, dither: str) -> None:
    shapes = []
    for number in range(8):
        y, x = np.mgrid[0:120, 0:200]
        waves = [np.sin((x * f + y * g) / 40 + number / 5) for f, g in ((1, 2), (2, -1), (1.5, 1))]
        texture = np.random.default_rng(5).normal(0, 18, (120, 200, 1))
        light = waves[0][..., None] * 60  # as in most films, light varies more than hue
        picture = np.stack(waves, 2) * 25 + light + 128 + texture
        shapes.append(from_rgb8(np.clip(picture, 0, 255).astype(np.uint8)))
    path = tmp_path / "a.gif"
    write(path, shapes, [Fraction(i, 10) for i in range(9)], dither=dither)
    reader = VideoReader(path)
    found = [ssim(to_rgb8(shapes[i]), to_rgb8(reader.frame(i))) for i in range(8)]
    assert np.mean(found) > 0.94


@pytest.mark.parametrize("colours", [2, 3, 8])
def test_fewer_colours(tmp_path: Path, pictures: list[Planes], colours: int) -> None:
    path = tmp_path / "a.gif"
    write(path, pictures[:4], [Fraction(i, 10) for i in range(5)], colours=colours, dither="none")
    shown = to_rgb8(VideoReader(path).frame(2)).reshape(-1, 3)
    assert len(np.unique(shown, axis=0)) <= colours


def test_long_films_wait_on_disk(tmp_path: Path, pictures: list[Planes]) -> None:
    spool = Spool(tmp_path, 120, 72, memory=3 * pictures[0].size_bytes)
    for planes in pictures:
        spool.write(planes)
    found = [media.read_number(to_rgb8(one)) for one in spool.read(25)]
    assert found == list(range(25))
    spool.close()
    assert not list(tmp_path.iterdir())


def test_spooled_pictures_are_unchanged(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (3, 73, 121, 4), dtype=np.uint8)
    noise[..., 3] = 255
    spool = Spool(tmp_path, 121, 73, memory=0)
    for array in noise:
        spool.write(from_rgb8(array))
    for array, planes in zip(noise, spool.read(3), strict=True):
        assert np.array_equal(to_rgb8(planes), array[..., :3])
    spool.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_abandoned_it_leaves_nothing(folder: Path, pictures: list[Planes]) -> None:
    writer = GifWriter(folder / "a.gif", 120, 72, None, ExportOptions(format=Format.GIF))
    writer.write(pictures[0], Fraction(0), Fraction(1))
    writer.abandon()
    assert not list(folder.iterdir())
    with pytest.raises(OutputError, match="is not there"):
        GifWriter(folder / "no" / "a.gif", 120, 72, None, ExportOptions(format=Format.GIF))
