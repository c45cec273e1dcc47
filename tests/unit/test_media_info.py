"""Probing: what a file is, and one clear sentence where it is nothing to work with."""

import os
import random
from fractions import Fraction
from pathlib import Path

import pytest

from engine.errors import EngineError, MediaError
from engine.media.info import fingerprint, probe
from tests.support import media


def test_a_film_with_sound(tmp_path: Path) -> None:
    facts = probe(media.make_video(tmp_path / "a.mp4", 50, sound=media.clicks(2)))
    assert facts.duration == 2
    assert facts.container == "mp4"
    assert not facts.still
    assert facts.video is not None
    assert facts.sound is not None
    assert (facts.video.width, facts.video.height, facts.video.frames) == (160, 96, 50)
    assert facts.video.rate == 25
    assert not facts.video.variable
    assert (facts.sound.sample_rate, facts.sound.channels, facts.sound.codec) == (48000, 2, "aac")


def test_variable_rate_is_told(tmp_path: Path) -> None:
    times = [Fraction(0), Fraction(1, 10), Fraction(1, 2), Fraction(1)]
    facts = probe(media.make_video(tmp_path / "a.mp4", 3, times=times))
    assert facts.video is not None
    assert facts.video.variable
    assert facts.video.rate == 3
    assert facts.duration == 1


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "frame%03d.png", "a.JPEG"])
def test_stills(tmp_path: Path, name: str) -> None:
    facts = probe(media.make_still(tmp_path / name))
    assert facts.still
    assert facts.duration == 0
    assert facts.video is not None
    assert (facts.video.frames, facts.video.rate) == (1, 1)


def test_sound_only(tmp_path: Path) -> None:
    facts = probe(media.make_sound(tmp_path / "a.wav", media.clicks(1.5)))
    assert facts.video is None
    assert facts.duration == Fraction(3, 2)


def test_rotation_and_size_are_as_shown(tmp_path: Path) -> None:
    data = media.make_video(tmp_path / "a.mp4", 5).read_bytes()
    turned = tmp_path / "b.mp4"
    turned.write_bytes(media.with_display_matrix(data, 90))
    video = probe(turned).video
    assert video is not None
    assert (video.width, video.height, video.rotation) == (96, 160, 90)


def test_a_file_that_lies_about_its_length(tmp_path: Path) -> None:
    whole = media.make_video(tmp_path / "a.mkv", 100, options={"g": "10", "crf": "10"})
    cut = tmp_path / "b.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    facts = probe(cut)
    assert facts.video is not None
    assert 20 < facts.video.frames < 80
    assert facts.duration == Fraction(facts.video.frames, 25)


def bad_files(folder: Path) -> dict[str, Path]:
    """One file for each way of being bad."""
    film = media.make_video(folder / "film.mp4", 20, sound=media.clicks(1)).read_bytes()
    text = "No film, only words. " * 100
    made = {
        "missing": folder / "nowhere.mp4",
        "folder": folder / "folder.mp4",
        "empty": folder / "empty.mp4",
        "text": folder / "text.mp4",
        "playlist": folder / "list.m3u8",
        "concat": folder / "list.ffconcat",
        "no index": folder / "cut.mp4",
        "noise": folder / "noise.bin",
        "broken png": folder / "broken.png",
        "broken gif": folder / "broken.gif",
        "zeros": folder / "zeros.mov",
        "subtitles": folder / "words.srt",
        "pipe": folder / "pipe.mp4",
    }
    made["folder"].mkdir()
    made["empty"].touch()
    made["text"].write_text(text)
    made["playlist"].write_text("#EXTM3U\n#EXTINF:1,\nfilm.mp4\n#EXT-X-ENDLIST\n")
    made["concat"].write_text("ffconcat version 1.0\nfile film.mp4\n")
    made["no index"].write_bytes(film[: film.index(b"moov") - 8])
    made["noise"].write_bytes(random.Random(1).randbytes(5000))
    made["broken png"].write_bytes(media.make_still(folder / "a.png").read_bytes()[:60])
    made["broken gif"].write_bytes(b"GIF89a\x10\x00")
    made["zeros"].write_bytes(bytes(5000))
    made["subtitles"].write_text("1\n00:00:00,000 --> 00:00:01,000\nwords\n")
    os.mkfifo(made["pipe"])
    return made


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_every_bad_file_has_one_sentence(tmp_path: Path) -> None:
    said = {}
    for kind, path in bad_files(tmp_path).items():
        with pytest.raises(MediaError) as caught:
            probe(path)
        message = caught.value.message
        assert path.name in message, kind
        assert message.endswith("."), kind
        assert message.count(". ") == 0, kind
        assert caught.value.hint, kind
        assert "[Errno" not in message, kind
        said[kind] = message
    assert "is not there" in said["missing"]
    assert "folder" in said["folder"]
    assert "empty" in said["empty"]
    assert "not a picture" in said["text"]
    assert "incomplete" in said["no index"]
    assert "not a picture" in said["playlist"]
    assert "not a picture" in said["concat"]


def test_copy_protection_is_named(tmp_path: Path) -> None:
    data = media.make_video(tmp_path / "a.mp4", 5).read_bytes()
    path = tmp_path / "b.mp4"
    path.write_bytes(data.replace(b"avc1", b"encv"))
    with pytest.raises(MediaError, match="protected against copying"):
        probe(path)


@pytest.mark.parametrize("seed", range(3))
def test_noise_in_a_film_never_escapes(tmp_path: Path, seed: int) -> None:
    whole = media.make_video(tmp_path / "a.mp4", 10, sound=media.clicks(0.4)).read_bytes()
    chance = random.Random(seed)
    for turn in range(25):
        data = bytearray(whole)
        start = chance.randrange(len(data))
        if turn % 2:
            start = data.index(b"moov") + chance.randrange(600)
        data[start : start + chance.choice([1, 2, 8])] = chance.randbytes(chance.choice([1, 2, 8]))
        path = tmp_path / f"b{turn}.mp4"
        path.write_bytes(data)
        try:
            probe(path)
        except EngineError:
            continue


def test_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(bytes(5_000_000))
    second.write_bytes(bytes(5_000_000))
    assert fingerprint(first) == fingerprint(second)
    assert fingerprint(first).startswith("b2:")
    second.write_bytes(bytes(2_500_000) + b"x" + bytes(2_499_999))
    assert fingerprint(first) != fingerprint(second)
    with pytest.raises(MediaError):
        fingerprint(tmp_path / "missing")


def test_a_fingerprint_of_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"«gone.mp4» is not there"):
        fingerprint(tmp_path / "gone.mp4")
