"""The command line, as a person and a script use it: real files, real children."""

import json
import os
import signal
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from desktop.child import ENDINGS, MediaChild
from desktop.cli import run
from desktop.options import frame_rate, seconds
from engine.media.info import probe
from engine.media.part import part_of
from engine.media.reader import VideoReader
from engine.media.sound import SoundReader
from engine.render.frame import to_rgb8
from engine.timeline.project import load_project
from tests.support.media import clicks, make_gif, make_sound, make_still, make_video, read_number

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Runs a command with --json; gives its answer with the exit code under "code"."""
    monkeypatch.setenv("REELWRIGHT_HOME", str(tmp_path / "home"))

    def run_it(*words: object) -> dict[str, Any]:
        code = run([str(words[0]), "--json", *(str(word) for word in words[1:])])
        out = capsys.readouterr().out.strip().splitlines()
        assert len(out) == 1
        answer: dict[str, Any] = json.loads(out[0])
        answer["code"] = code
        return answer

    return run_it


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Two seconds, 25 fps, the frame number in the picture, a click each second."""
    path = tmp_path / "clip one.mp4"
    make_video(path, 50, sound=clicks(2.0))
    return path


def numbers(path: Path, count: int | None = None) -> list[int]:
    """The numbers in the first `count` pictures of a film, or in all."""
    reader = VideoReader(path)
    found = [read_number(to_rgb8(one)) for one in reader.frames(0, count or len(reader.times))]
    reader.close()
    return found


def test_probe_tells_size_rate_and_length(call: Call, clip: Path) -> None:
    answer = call("probe", clip)
    assert answer["code"] == 0
    assert (answer["video"]["width"], answer["video"]["height"]) == (160, 96)
    assert answer["video"]["frames"] == 50
    assert answer["video"]["rate"] == "25"
    assert answer["fps"] == 25.0
    assert answer["duration_seconds"] == 2.0
    assert answer["sound"]["codec"] == "aac"


def test_convert_ping_pong_gif_goes_there_and_back(call: Call, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "turn.gif"
    answer = call("convert", clip, out, "--ping-pong")
    assert answer["frames"] == 98
    assert numbers(out) == [*range(50), *range(48, 0, -1)]
    assert b"NETSCAPE2.0\x03\x01\x00\x00" in out.read_bytes()


@pytest.mark.parametrize(("loop", "mark"), [(1, None), (3, 2)])
def test_convert_gif_loop_counts_plays(
    call: Call, clip: Path, tmp_path: Path, loop: int, mark: int | None
) -> None:
    out = tmp_path / "loop.gif"
    call("convert", clip, out, "--loop", loop, "--in", 0, "--out", 0.2)
    data = out.read_bytes()
    if mark is None:
        assert b"NETSCAPE2.0" not in data
    else:
        assert b"NETSCAPE2.0\x03\x01" + mark.to_bytes(2, "little") in data


def test_convert_mp4_loop_repeats_picture_and_sound(call: Call, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "three.mp4"
    assert call("convert", clip, out, "--loop", 3)["frames"] == 150
    assert numbers(out) == list(range(50)) * 3
    assert probe(out).duration == 6
    sound = SoundReader(out)
    assert abs(sound.length - 6 * 48_000) <= 1024


def test_convert_cuts_scales_and_resamples(call: Call, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.mp4"
    words = ("--in", 0.4, "--out", 1.4, "--fps", 12.5, "--width", 320, "--sound", "off")
    answer = call("convert", clip, out, *words)
    facts = probe(out)
    assert answer["frames"] == 13
    assert facts.video is not None
    assert (facts.video.width, facts.video.height) == (320, 192)
    assert facts.sound is None
    assert numbers(out)[:3] == [10, 12, 14]


def test_convert_keeps_every_frame_of_an_uneven_gif_with_its_delay(
    call: Call, tmp_path: Path
) -> None:
    source, out = tmp_path / "uneven.gif", tmp_path / "uneven.mp4"
    make_gif(source, [4, 10, 7, 25, 3])
    call("convert", source, out)
    reader = VideoReader(out)
    expected = [Fraction(cs, 100) for cs in (0, 4, 14, 21, 46)]
    assert [round(float(one), 3) for one in reader.times] == [float(one) for one in expected]
    assert float(reader.duration) == pytest.approx(0.49, abs=0.001)
    reader.close()


def test_prefix_counts_up_and_no_save_leaves_the_folder_alone(
    call: Call, clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "exports"
    words = ("--prefix", "loop", "--format", "gif", "--out", 0.2)
    first = call("convert", clip, folder, *words)
    second = call("convert", clip, folder, *words)
    hidden = call("convert", clip, folder, *words, "--no-save")
    assert [Path(one["output"]).name for one in (first, second)] == ["loop_001.gif", "loop_002.gif"]
    assert sorted(one.name for one in folder.iterdir()) == ["loop_001.gif", "loop_002.gif"]
    assert hidden["saved"] is False
    assert Path(hidden["output"]).is_file()


def test_assemble_and_export_dissolve_at_the_last_cut(
    call: Call, clip: Path, tmp_path: Path
) -> None:
    project, out = tmp_path / "film.reel", tmp_path / "film.mp4"
    clips = (f"{clip}@0-1", f"{clip}@0.4-1.4", f"{clip}@0-1")
    answer = call("assemble", project, *clips, "--dissolve", 0.2)
    assert answer["duration_seconds"] == pytest.approx(2.8)
    sequence = load_project(project).sequence()
    assert [len(track.transitions) for track in sequence.tracks] == [1, 0, 0, 0]
    assert call("export", project, out)["frames"] == 70
    assert numbers(out, 43) == [*range(25), *range(10, 28)]


def test_assemble_takes_dissolves_between_clips_and_before_all(
    call: Call, clip: Path, tmp_path: Path
) -> None:
    project = tmp_path / "film.reel"
    one = f"{clip}@0.2-1.2"
    call("assemble", project, one, "--dissolve", 0.2, one, one)
    assert len(load_project(project).sequence().tracks[0].transitions) == 1
    assert load_project(project).sequence().duration == Fraction(14, 5)
    call("assemble", project, "--dissolve=0.2", one, one, one)
    assert load_project(project).sequence().duration == Fraction(13, 5)


def test_effect_upscale_gives_exactly_the_size_and_every_frame(
    call: Call, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "large.mp4"
    answer = call("effect", "upscale", clip, out, "--set", "scale=3")
    facts = probe(out)
    assert answer["segments_made"] > 0
    assert facts.video is not None
    assert (facts.video.width, facts.video.height, facts.video.frames) == (480, 288, 50)
    assert facts.sound is not None
    again = call("effect", "upscale", clip, out, "--set", "scale=3x")
    assert again["segments_made"] == 0
    assert again["cache_keys"] == answer["cache_keys"]


def test_effect_image_to_video_makes_three_seconds_of_a_picture(call: Call, tmp_path: Path) -> None:
    still, out = make_still(tmp_path / "still.png"), tmp_path / "move.mp4"
    answer = call("effect", "image-to-video", still, out)
    assert answer["code"] == 0
    assert (answer["frames"], answer["duration_seconds"]) == (75, 3.0)


def test_effect_restyle_changes_the_picture_and_keeps_time(
    call: Call, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "ink.gif"
    words = ("--engine", "ink", "--set", "line=2", "--out", 0.4)
    answer = call("effect", "restyle", clip, out, *words)
    assert answer["frames"] == 10


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("probe", "nowhere.mp4"), 3),
        (("convert", "CLIP", "x.avi"), 2),
        (("convert", "CLIP", "no/such/folder/x.mp4"), 4),
        (("convert", "CLIP", "x.mp4", "--in", "3"), 2),
        (("convert", "CLIP", "x.mp4", "--out", "0"), 2),
        (("probe", "not\udcff text.mp4"), 2),
        (("convert", "SOUND", "x.mp4"), 3),
        (("convert", "TEXT", "x.mp4"), 3),
        (("effect", "sparkle", "CLIP", "x.mp4"), 2),
        (("effect", "upscale", "CLIP", "x.mp4", "--set", "scale=9"), 2),
        (("effect", "upscale", "CLIP", "x.mp4", "--set", "nonsense"), 2),
        (("export", "TEXT", "x.mp4"), 3),
        (("assemble", "x.txt", "CLIP"), 2),
        (("assemble", "no/such/folder/x.reel", "CLIP"), 4),
        (("assemble", "x.reel", "CLIP", "--dissolve", "soon"), 2),
        (("convert", "CLIP", "x.mp4", "--loop", "-1"), 2),
        (("convert", "CLIP"), 2),
        (("sparkle",), 2),
        (("convert", "CLIP", "y" * 300 + ".mp4"), 4),
        (("convert", "y" * 300, "x.mp4"), 3),
        (("assemble", "x.reel", "y" * 300), 3),
    ],
)
def test_bad_input_is_told_in_a_sentence_with_its_code(
    call: Call,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    text = tmp_path / "text.mp4"
    text.write_text("this is no film")
    make_sound(tmp_path / "sound.wav", clicks(1.0))
    names = {"CLIP": clip, "SOUND": tmp_path / "sound.wav", "TEXT": text}
    answer = call(*(names.get(word, word) for word in words))
    assert answer["code"] == answer["exit_code"] == code
    assert answer["error"].endswith(".")
    assert not list(tmp_path.glob("*x.*"))


def test_an_export_does_not_overwrite_its_own_project(
    call: Call, clip: Path, tmp_path: Path
) -> None:
    project = tmp_path / "film.reel"
    call("assemble", project, f"{clip}@0-0.2")
    before = project.read_bytes(), clip.read_bytes()
    assert call("export", project, clip)["code"] == 2
    assert call("export", project, project, "--format", "gif")["code"] == 2
    assert (project.read_bytes(), clip.read_bytes()) == before


def test_a_dissolve_longer_than_its_clip_is_named(call: Call, clip: Path, tmp_path: Path) -> None:
    words = (tmp_path / "film.reel", "--dissolve", 5, clip, clip)
    answer = call("assemble", *words)
    assert answer["code"] == 2
    assert "dissolve is too long for clip one.mp4" in answer["error"]


def test_a_project_without_a_picture_is_an_input_that_cannot_be_used(
    call: Call, tmp_path: Path
) -> None:
    sound = make_sound(tmp_path / "sound.wav", clicks(1.0))
    call("assemble", tmp_path / "film.reel", sound)
    answer = call("export", tmp_path / "film.reel", tmp_path / "out.mp4")
    assert answer["code"] == 3
    assert "no picture" in answer["error"]


def test_times_and_rates_are_exact() -> None:
    assert seconds("1:05.5") == Fraction(131, 2)
    assert (seconds(".5"), seconds("2.")) == (Fraction(1, 2), 2)
    assert frame_rate("29.97") == Fraction(30000, 1001)
    assert frame_rate("0.001") == Fraction(1, 1000)
    assert frame_rate("12.5") == Fraction(25, 2)
    assert frame_rate("24000/1001") == Fraction(24000, 1001)


def test_a_picture_becomes_a_film_that_players_can_seek_in(call: Call, tmp_path: Path) -> None:
    still, out = make_still(tmp_path / "still.png", 7), tmp_path / "still.mp4"
    answer = call("convert", still, out, "--out", 2)
    assert (answer["frames"], answer["duration_seconds"]) == (50, 2.0)
    assert numbers(out) == [7] * 50
    assert call("convert", still, out, "--out", 6)["frames"] == 150


def test_a_mistake_of_ours_is_told_without_a_trace(
    call: Call, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("desktop.cli.size_text")
    answer = call("convert", clip, tmp_path / "out.gif", "--out", 0.1)
    assert answer["code"] == answer["exit_code"] == 1
    (log,) = (tmp_path / "home" / "logs").glob("worker-command-*.log")
    assert "NameError" in log.read_text()


def interrupted(
    call: Call,
    clip: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    strike: Callable[[int], None],
) -> dict[str, Any]:
    """A long export; `strike` is called with the child's process in the middle of it."""
    children: list[MediaChild] = []
    part = part_of(out)

    class Watched(MediaChild):
        def __enter__(self) -> MediaChild:
            children.append(self)
            return super().__enter__()

    def watch() -> None:
        while not (part.exists() and part.stat().st_size):
            assert not over.wait(0.01)
        strike(children[0].pid)

    monkeypatch.setattr("desktop.cli.MediaChild", Watched)
    over = threading.Event()
    watching = threading.Thread(target=watch)
    watching.start()
    try:
        return call("convert", clip, out, "--fps", 1000, "--width", 1920)
    finally:
        over.set()
        watching.join()


@pytest.mark.parametrize("number", ENDINGS)
def test_an_interrupt_leaves_the_old_file_and_nothing_else(
    call: Call, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    out = tmp_path / "films" / "out.mp4"
    out.parent.mkdir()
    out.write_bytes(b"the old one")
    answer = interrupted(call, clip, out, monkeypatch, lambda _: signal.raise_signal(number))
    assert answer["code"] == answer["exit_code"] == 130
    assert list(out.parent.iterdir()) == [out]
    assert out.read_bytes() == b"the old one"


def test_a_killed_child_is_told_in_a_sentence_and_leaves_nothing(
    call: Call, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "films" / "out.mp4"
    out.parent.mkdir()
    answer = interrupted(call, clip, out, monkeypatch, lambda pid: os.kill(pid, signal.SIGTERM))
    assert answer["code"] == answer["exit_code"] == 5
    assert answer["error"] == "The worker stopped unexpectedly."
    assert list(out.parent.iterdir()) == []
