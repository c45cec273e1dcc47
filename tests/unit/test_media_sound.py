"""Reading sound: a click at each whole second says where a sample belongs."""

from pathlib import Path

import numpy as np
import pytest

from engine.errors import MediaError
from engine.media.reader import SoundReader
from tests.support import media

SECONDS = 6.3


def expected(stop: int) -> list[int]:
    return [second * 48_000 for second in range(7) if second * 48_000 < stop]


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.wav", "pcm_s16le", 48_000),
        ("b.wav", "pcm_s16le", 44_100),
        ("c.wav", "pcm_f32le", 22_050),
        ("d.mp3", "libmp3lame", 48_000),
        ("e.mp3", "libmp3lame", 44_100),
        ("f.m4a", "aac", 48_000),
        ("g.m4a", "aac", 44_100),
        ("h.mkv", "aac", 44_100),
        ("i.webm", "libopus", 48_000),
        ("j.flac", "flac", 44_100),
    ],
)
def test_clicks_stay_on_their_second(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    path = media.make_sound(tmp_path / name, media.clicks(SECONDS, rate), codec=codec, rate=rate)
    slack = 0 if name.endswith(".wav") and rate == 48_000 else 1
    in_order = SoundReader(path)
    found = media.click_places(in_order.samples(0, 48_000 * 7))
    assert np.abs(np.subtract(found, expected(48_000 * 7))).max() <= slack
    assert abs(in_order.length - round(SECONDS * 48_000)) < 2400
    for second in (5, 2, 6, 3):
        by_seek = SoundReader(path)
        start = second * 48_000 - 700
        part = by_seek.samples(start, 1400)
        assert np.abs(part - in_order.samples(start, 1400)).max() < 1e-4
        by_seek.close()


def test_the_same_samples_in_any_portions(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (44_100 * 3, 2)).astype(np.float32)
    path = media.make_sound(tmp_path / "a.wav", noise, rate=44_100, codec="pcm_f32le")
    whole = SoundReader(path).samples(0, 144_000)
    reader = SoundReader(path)
    parts = [reader.samples(start, 1601) for start in range(0, 144_000 - 1601, 1601)]
    assert np.array_equal(np.concatenate(parts), whole[: 1601 * len(parts)])
    assert np.array_equal(reader.samples(1_000, 50_000), whole[1_000:51_000])


def test_silence_before_and_after(tmp_path: Path) -> None:
    path = media.make_sound(tmp_path / "a.wav", np.full((4800, 2), 0.5, np.float32))
    samples = SoundReader(path).samples(-100, 5000)
    assert not samples[:100].any()
    assert np.allclose(samples[100:4900], 0.5, atol=1e-4)
    assert not samples[4900:].any()
    assert SoundReader(path).samples(0, 0).shape == (0, 2)
    assert not SoundReader(path).samples(10**9, 10).any()


def test_one_channel_goes_to_both_sides_at_full_level(tmp_path: Path) -> None:
    path = media.make_sound(tmp_path / "a.wav", np.full((4800, 1), 0.5, np.float32))
    assert np.allclose(SoundReader(path).samples(100, 100), 0.5, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "aac"), ("a.mkv", "libopus"), ("a.mov", "aac")]
)
def test_sound_counts_from_the_first_picture(tmp_path: Path, name: str, codec: str) -> None:
    path = media.make_video(tmp_path / name, 75, sound=media.clicks(3), sound_codec=codec)
    assert media.click_places(SoundReader(path).samples(0, 144_000)) == [0, 48_000, 96_000]
    assert media.click_places(SoundReader(path).samples(95_500, 1000)) == [500]


def test_no_sound_is_said(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="has no sound"):
        SoundReader(media.make_video(tmp_path / "a.mp4", 3))


def test_damaged_sound_is_silence_at_worst(tmp_path: Path) -> None:
    path = media.make_sound(tmp_path / "a.mp3", media.clicks(4), codec="libmp3lame")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    path.write_bytes(data)
    samples = SoundReader(path).samples(0, 48_000 * 4)
    assert media.click_places(samples)[0] == 0
