"""MP4 out: pictures at their exact times, sound in step, loops without a second encode."""

import errno
import random
import signal
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from engine.errors import OutputError
from engine.jobs import ExportOptions
from engine.media import color
from engine.media.info import probe
from engine.media.reader import SoundReader, VideoReader
from engine.media.writer import Mp4Writer
from engine.render.frame import Planes, converted, from_rgb8, retagged, to_rgb8
from tests.support import media

RATE = Fraction(25)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[VideoReader]:
    reader = VideoReader(media.make_video(tmp_path / "source.mp4", 60))
    yield reader
    reader.close()


def numbers(path: Path) -> list[int]:
    reader = VideoReader(path)
    return [media.read_number(to_rgb8(one)) for one in reader.frames(0, len(reader.times))]


def write(
    path: Path,
    source: VideoReader,
    times: list[Fraction],
    rate: Fraction | None,
    loop: int = 1,
    sound: np.ndarray | None = None,
) -> Path:
    options = ExportOptions(loop=loop)
    writer = Mp4Writer(path, source.width, source.height, rate, options, sound is not None)
    for index, (start, end) in enumerate(pairwise(times)):
        writer.write(source.frame(index), start, end - start)
    for _ in range(loop if sound is not None else 0):
        writer.write_sound(sound)
    writer.finish(loop)
    return path


@pytest.mark.parametrize("rate", [RATE, Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60)])
@pytest.mark.parametrize("loop", [1, 3])
def test_a_constant_rate_is_exact(
    tmp_path: Path, source: VideoReader, rate: Fraction, loop: int
) -> None:
    times = [index / rate for index in range(61)]
    path = write(tmp_path / "a.mp4", source, times, rate, loop)
    reader = VideoReader(path)
    assert list(reader.times) == [index / rate for index in range(60 * loop)]
    assert reader.duration == 60 * loop / rate
    assert numbers(path) == list(range(60)) * loop


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("loop", [1, 2, 4])
def test_own_delays_are_exact(tmp_path: Path, source: VideoReader, seed: int, loop: int) -> None:
    chance = random.Random(seed)
    times = [Fraction(0)]
    for _ in range(40):
        times.append(times[-1] + Fraction(chance.choice([1, 2, 3, 7, 60]), 60))
    path = write(tmp_path / "a.mp4", source, times, None, loop)
    reader = VideoReader(path)
    whole = [one + turn * times[-1] for turn in range(loop) for one in times[:-1]]
    assert list(reader.times) == whole
    assert reader.duration == loop * times[-1]
    assert numbers(path) == list(range(40)) * loop


def test_one_picture_may_stay_long(tmp_path: Path, source: VideoReader) -> None:
    path = write(tmp_path / "a.mp4", source, [Fraction(0), Fraction(5)], None, 2)
    reader = VideoReader(path)
    assert list(reader.times) == [0, 5]
    assert reader.duration == 10


def test_packets_of_a_loop_are_repeated_and_monotonic(tmp_path: Path, source: VideoReader) -> None:
    times = [index / RATE for index in range(61)]
    path = write(tmp_path / "a.mp4", source, times, RATE, 3)
    with av.open(str(path)) as container:
        packets = [one for one in container.demux(video=0) if one.size]
    coded = [bytes(one) for one in packets]
    assert coded[:60] == coded[60:120] == coded[120:]
    decoding = [one.dts for one in packets]
    assert all(one < other for one, other in pairwise(decoding))
    assert all(one.pts >= one.dts for one in packets)
    assert packets[60].is_keyframe


def test_sound_over_a_loop_is_one_piece(tmp_path: Path, source: VideoReader) -> None:
    sound = media.clicks(2.4)
    times = [index / RATE for index in range(61)]
    path = write(tmp_path / "a.mp4", source, times, RATE, 3, sound)
    wanted = [turn * 115_200 + second * 48_000 for turn in range(3) for second in range(3)]
    assert media.click_places(SoundReader(path).samples(0, 345_600)) == wanted
    facts = probe(path)
    assert facts.sound is not None
    assert facts.duration == Fraction(36, 5)


def test_native_pictures_are_passed_on_untouched(
    tmp_path: Path, source: VideoReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[av.VideoFrame] = []
    writer = Mp4Writer(tmp_path / "a.mp4", 160, 96, RATE, ExportOptions(), False)
    coding = writer._encoded
    monkeypatch.setattr(
        writer, "_encoded", lambda picture, pts: (seen.append(picture), coding(picture, pts))[1]
    )
    planes = [source.frame(index) for index in (10, 11)]
    marks = [(one.picture.pts, one.picture.time_base, one.picture.pict_type) for one in planes]
    for index, one in enumerate(planes):
        writer.write(one, index / RATE, 1 / RATE)
    writer.finish()
    assert all(one is other.picture for one, other in zip(seen, planes, strict=True))
    after = [(one.picture.pts, one.picture.time_base, one.picture.pict_type) for one in planes]
    assert after == marks


def test_all_kinds_of_pictures_in_one_film(tmp_path: Path, source: VideoReader) -> None:
    rgb = from_rgb8(media.numbered(1))
    clear = np.dstack([media.numbered(2), np.full((96, 160), 255, np.uint8)])
    shapes = [
        source.frame(0),
        rgb,
        from_rgb8(clear),
        converted(from_rgb8(media.numbered(3)), "yuv444p"),
        converted(from_rgb8(media.numbered(4)), "yuvj420p"),
        converted(from_rgb8(media.numbered(5)), "yuv420p10le"),
        from_rgb8(media.numbered(6, 320, 192)),
    ]
    path = tmp_path / "a.mp4"
    writer = Mp4Writer(path, 160, 96, RATE, ExportOptions(crf=10), False)
    for index, planes in enumerate(shapes):
        writer.write(planes, index / RATE, 1 / RATE)
    writer.finish()
    assert numbers(path) == list(range(7))
    shown = [to_rgb8(one).astype(int) for one in VideoReader(path).frames(0, 7)]
    for index in range(1, 7):
        assert np.abs(shown[index] - to_rgb8(shapes[index], 160, 96))[70:].mean() < 6


@pytest.mark.parametrize("size", [(161, 97), (33, 50), (50, 33)])
def test_odd_sizes_are_padded_by_their_edge(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[:, -4:], picture[-4:] = (200, 200, 200), (200, 200, 200)
    path = tmp_path / "a.mp4"
    writer = Mp4Writer(path, width, height, RATE, ExportOptions(crf=5), False)
    for index in range(3):
        writer.write(from_rgb8(picture), index / RATE, 1 / RATE)
    writer.finish()
    reader = VideoReader(path)
    assert (reader.width, reader.height) == (width + width % 2, height + height % 2)
    shown = to_rgb8(reader.frame(1)).astype(int)
    assert np.abs(shown[-1] - 200).max() < 12
    assert np.abs(shown[:, -1] - 200).max() < 12


@pytest.mark.parametrize(
    ("tags", "matrix"),
    [(color.HD_TAGS, color.MATRIX_709), (color.SD_TAGS, color.MATRIX_601)],
)
def test_tags_are_written_and_colours_stay(tmp_path: Path, tags: color.Tags, matrix: int) -> None:
    wanted = np.full((96, 160, 3), (200, 40, 90), np.uint8)
    planes = retagged(from_rgb8(wanted), "yuv420p", tags)
    path = tmp_path / "a.mp4"
    writer = Mp4Writer(path, 160, 96, RATE, ExportOptions(crf=1), False)
    for index in range(3):
        writer.write(planes if index < 2 else from_rgb8(wanted), index / RATE, 1 / RATE)
    writer.finish()
    for index in range(3):
        frame = VideoReader(path).frame(index)
        assert frame.picture.colorspace == matrix
        assert frame.picture.color_range == color.RANGE_LIMITED
        assert np.abs(to_rgb8(frame).astype(int) - wanted).max() <= 3


def test_the_index_is_in_front_and_the_recipe_inside(tmp_path: Path, source: VideoReader) -> None:
    path = tmp_path / "a.mp4"
    recipe = {"comment": '{"loop": 2, "name": "Ränder"}'}
    writer = Mp4Writer(path, 160, 96, RATE, ExportOptions(), False, recipe)
    writer.write(source.frame(0), Fraction(0), 1 / RATE)
    writer.finish()
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        assert container.metadata["comment"] == recipe["comment"]


def test_abandoned_it_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, source: VideoReader
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / "a.mp4"
    path.write_bytes(b"old")
    writer = Mp4Writer(path, 160, 96, RATE, ExportOptions(loop=2), True)
    writer.write(source.frame(0), Fraction(0), 1 / RATE)
    assert path.read_bytes() == b"old"
    writer.abandon()
    assert [one.name for one in folder.iterdir()] == ["a.mp4"]
    assert path.read_bytes() == b"old"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is not there"):
        Mp4Writer(tmp_path / "none" / "a.mp4", 160, 96, RATE, ExportOptions(), False)
    with pytest.raises(OutputError, match="is a folder"):
        Mp4Writer(tmp_path, 160, 96, RATE, ExportOptions(), False)


def test_a_folder_that_may_not_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, mode: str = "r") -> None:
        raise PermissionError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "open", refuse)  # root may write anywhere
    with pytest.raises(OutputError, match="may not be written to"):
        Mp4Writer(tmp_path / "a.mp4", 160, 96, RATE, ExportOptions(), False)


@pytest.fixture
def small_files() -> Iterator[None]:
    """Files end at 60 kB, as on a full drive."""
    resource = pytest.importorskip("resource", reason="only POSIX limits the size of files")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("loop", [1, 2])
def test_a_full_drive_is_said_and_leaves_nothing(tmp_path: Path, loop: int) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    noise = np.random.default_rng(1).integers(0, 256, (96, 160, 3), dtype=np.uint8)
    writer = Mp4Writer(path, 160, 96, RATE, ExportOptions(crf=1, loop=loop), False)
    with pytest.raises(OutputError, match="no space left"):  # noqa: PT012
        try:
            for index in range(60):
                writer.write(from_rgb8(np.roll(noise, index * 7, 1)), index / RATE, 1 / RATE)
            writer.finish(loop)
        except OutputError:
            writer.abandon()
            raise
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]
    assert path.read_bytes() == b"old"


def test_still_pictures_of_one_object(tmp_path: Path) -> None:
    planes: Planes = converted(from_rgb8(media.numbered(9)), "yuv420p")
    path = tmp_path / "a.mp4"
    writer = Mp4Writer(path, 160, 96, RATE, ExportOptions(), False)
    for index in range(30):
        writer.write(planes, index / RATE, 1 / RATE)
    writer.finish()
    assert numbers(path) == [9] * 30


def test_a_film_of_nothing_is_refused(tmp_path: Path) -> None:
    writer = Mp4Writer(tmp_path / "a.mp4", 160, 96, RATE, ExportOptions(), True)
    with pytest.raises(OutputError, match="no picture"):
        writer.finish()
    assert not list(tmp_path.iterdir())
