"""Project files: what is written is what is read, and what cannot be is told in a sentence."""

import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.errors import ProjectError
from engine.timeline.model import VERSION, EffectUse, Project, SoundLevels, Transform
from engine.timeline.project import (
    NewerProject,
    backup_of,
    load_project,
    migrated,
    resolve,
    save_project,
    stored_path,
    with_extension,
)
from engine.timeline.time import TimeRange
from tests.support.drawings import frames, project_of, tracks, with_dissolve


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a bit of everything; its media are in the test's folder."""
    seq = with_dissolve(tracks("V1 AAAABBBB", "A1 aaaabbbb", linked=True), "A", "B", 2)
    made = project_of(replace(seq, work_area=frames(1, 3), rate=Fraction(25)))
    assets = tuple(
        replace(one, path=str(tmp_path / "media" / one.name), fingerprint="b2:00ff")
        for one in made.assets
    )
    first = replace(
        made.sequence().tracks[0].clips[0],
        source=TimeRange(Fraction(1001, 30000), Fraction(4, 25)),
        transform=Transform(x=0.25, opacity=0.5),
        sound=SoundLevels(gain_db=-6.0, fade_in=Fraction(1, 25)),
        effects=(EffectUse("e", "someone-elses", "x1", {"a": 1, "b": 0.5, "c": "d", "e": True}),),
    )
    pictures = made.sequence().tracks[0]
    pictures = replace(pictures, clips=(first, *pictures.clips[1:]))
    seq = replace(made.sequence(), tracks=(pictures, *made.sequence().tracks[1:]))
    return replace(made, assets=assets, sequences=(seq,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "film.reel"


def test_what_is_saved_is_loaded(project: Project, path: Path) -> None:
    save_project(project, path)
    assert load_project(path) == project
    assert [one.name for one in path.parent.iterdir()] == ["film.reel"]


def test_the_file_can_be_read_by_people(project: Project, path: Path) -> None:
    save_project(project, path)
    text = path.read_text("utf-8")
    assert '\n "version": 1,\n' in text
    assert '"start": "1001/30000"' in text
    assert '"fingerprint": "b2:00ff"' in text


def test_the_file_before_is_kept(project: Project, path: Path) -> None:
    save_project(project, path)
    later = replace(project, is_set_up=False)
    save_project(later, path)
    assert load_project(path) == later
    assert load_project(backup_of(path)) == project
    assert backup_of(path).name == "film.reel.bak"
    assert len(list(path.parent.iterdir())) == 2


def test_the_file_before_is_kept_where_there_are_no_hard_links(
    project: Project, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, _link: Path) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    save_project(project, path)
    save_project(replace(project, is_set_up=False), path)
    assert load_project(backup_of(path)) == project
    assert len(list(path.parent.iterdir())) == 2


def test_media_move_along_with_the_project(project: Project, path: Path, tmp_path: Path) -> None:
    save_project(project, path)
    assert '"path": "media/A.mp4"' in path.read_text("utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path.replace(elsewhere / "film.reel")
    loaded = load_project(elsewhere / "film.reel")
    assert loaded.assets[0].path == str(elsewhere / "media" / "A.mp4")


@pytest.mark.parametrize(
    ("medium", "stored"),
    [
        ("films/one/a.mp4", "a.mp4"),
        ("films/one/in/a.mp4", "in/a.mp4"),
        ("films/clips/a b.mp4", "../clips/a b.mp4"),
        ("clips/a.mp4", "../../clips/a.mp4"),
    ],
)
def test_near_paths_are_relative(medium: str, stored: str, tmp_path: Path) -> None:
    folder = tmp_path / "films" / "one"
    assert stored_path(str(tmp_path / medium), folder) == stored
    assert resolve(stored, folder) == str(tmp_path / medium)


def test_far_paths_are_absolute(tmp_path: Path) -> None:
    far = Path(tmp_path.anchor, "archive", "a.mp4")
    assert stored_path(str(far), tmp_path / "a" / "b" / "c") == far.as_posix()
    assert resolve(far.as_posix(), tmp_path) == str(far)


def test_a_medium_that_is_gone_is_looked_for_beside_the_project(tmp_path: Path) -> None:
    assert resolve("/nowhere/a.mp4", tmp_path) == os.path.normpath("/nowhere/a.mp4")
    (tmp_path / "a.mp4").touch()
    assert resolve("/nowhere/a.mp4", tmp_path) == str(tmp_path / "a.mp4")
    assert resolve("media/a.mp4", tmp_path) == str(tmp_path / "a.mp4")
    assert resolve("C:\\clips\\a.mp4", tmp_path) == str(tmp_path / "a.mp4")
    assert resolve("C:/clips/b.mp4", tmp_path) == "C:/clips/b.mp4"


def test_missing_media_are_no_error(project: Project, path: Path) -> None:
    save_project(project, path)
    assert not Path(load_project(path).assets[0].path).exists()


def test_the_extension() -> None:
    assert with_extension(Path("a/film")) == Path("a/film.reel")
    assert with_extension(Path("a/film.v2")) == Path("a/film.v2.reel")
    assert with_extension(Path("a/film.REEL")) == Path("a/film.REEL")


def test_a_link_to_a_project_stays_a_link(project: Project, path: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.reel"
    save_project(project, real)
    try:
        path.symlink_to(real)
    except OSError:
        pytest.skip("this system makes no links")
    save_project(replace(project, is_set_up=False), path)
    assert path.is_symlink()
    assert not load_project(real).is_set_up


def test_a_failed_save_leaves_the_old_file(
    project: Project, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_project(project, path)
    before = path.read_bytes()

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ProjectError) as refused:
        save_project(replace(project, is_set_up=False), path)
    assert refused.value.message == "film.reel cannot be saved: the disk is full."
    assert refused.value.hint == "The file before it is unchanged. Choose another folder."
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["film.reel"]


def test_a_folder_that_is_not_there_is_told(project: Project, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="the folder is not there"):
        save_project(project, tmp_path / "none" / "film.reel")


def message_of(path: Path) -> str:
    with pytest.raises(ProjectError) as refused:
        load_project(path)
    return refused.value.message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF\x00\x01",
        b"[1, 2]",
        b"null",
        b"{}",
        b'{"version": "1"}',
        b'{"version": true}',
        b'{"version": 0}',
        b'{"version": 1e400}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"version": 1, "name": "\xff\xfe"}',
    ],
)
def test_what_is_no_project_is_told(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    assert message_of(path) == "film.reel is not a Reelwright project."


def test_what_cannot_be_opened_is_told(path: Path) -> None:
    assert message_of(path) == "film.reel is not where it was."
    path.mkdir()
    assert message_of(path).startswith("film.reel cannot be opened: ")


def test_a_huge_file_is_not_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(300_000_000)
    assert message_of(path) == "film.reel is too large for a project: 300 MB."


def test_a_damaged_file_points_to_the_one_before(project: Project, path: Path) -> None:
    save_project(project, path)
    save_project(project, path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ProjectError) as refused:
        load_project(path)
    assert refused.value.hint == "The version before it is film.reel.bak."


def test_a_newer_file_is_told_and_can_be_read_as_a_copy(project: Project, path: Path) -> None:
    save_project(project, path)
    document = json.loads(path.read_text("utf-8"))
    document |= {"version": VERSION + 2, "something_new": [1]}
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(NewerProject) as refused:
        load_project(path)
    assert refused.value.message == (
        f"This project was saved by a newer Reelwright (file version {VERSION + 2})."
    )
    assert refused.value.hint == "Open a copy read-only."
    assert load_project(path, read_newer=True) == project


def test_older_files_are_brought_up_step_by_step() -> None:
    steps: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
        1: lambda old: old | {"steps": [*old["steps"], "one"]},
        2: lambda old: old | {"steps": [*old["steps"], "two"]},
    }
    assert migrated({"version": 1, "steps": []}, steps, 3) == {
        "version": 3,
        "steps": ["one", "two"],
    }
    assert migrated({"version": 2, "steps": []}, steps, 3)["steps"] == ["two"]


def change(document: Any, place: str, value: Any) -> None:
    *way, last = [int(step) if step.isdigit() else step for step in place.split(".")]
    for step in way:
        document = document[step]
    document[last] = value


CLIP = "sequences.0.tracks.0.clips.0"


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("assets", 3, "assets has a value of the wrong kind"),
        (f"{CLIP}.start", 3, "sequences[0].tracks[0].clips[0].start has a value of the wrong kind"),
        (f"{CLIP}.start", "1/0", "clips[0].start has a value of the wrong kind"),
        (f"{CLIP}.start", "9" * 60, "clips[0].start has a value of the wrong kind"),
        (f"{CLIP}.source", {"start": "0"}, "«duration» is missing in "),
        ("sequences.0.tracks.0.kind", "smell", "tracks[0].kind has a value of the wrong kind"),
        ("sequences", [], "it has no sequence"),
        (f"{CLIP}.asset", "Z", "the clip on V1 at 00:00:00:00 has no medium"),
        ("sequences.0.tracks.0.clips.1.start", "3/25", "two clips overlap on V1 at 00:00:00:03"),
        ("sequences.0.tracks.0.clips.1.id", "A", "two of its clips have the same id"),
        (f"{CLIP}.id", "", "some of its clips have no id"),
        (f"{CLIP}.start", "-1/25", "has values that cannot be"),
        (f"{CLIP}.start", "9" * 30, "has values that cannot be"),
        (f"{CLIP}.source.duration", "0", "has values that cannot be"),
        (f"{CLIP}.source.duration", "-4/25", "has values that cannot be"),
        (f"{CLIP}.transform.scale", -1.0, "has values that cannot be"),
        (f"{CLIP}.transform.opacity", 2.0, "has values that cannot be"),
        (f"{CLIP}.transform.x", 1e300, "has values that cannot be"),
        (f"{CLIP}.sound.fade_in", "-1", "has values that cannot be"),
        ("sequences.0.rate", "0", "the frame rate of drawn cannot be"),
        ("sequences.0.rate", "-25", "the frame rate of drawn cannot be"),
        ("sequences.0.rate", "1000000", "the frame rate of drawn cannot be"),
        ("sequences.0.width", 0, "the size of drawn cannot be"),
        ("sequences.0.height", 10**9, "the size of drawn cannot be"),
        ("sequences.0.work_area.duration", "0", "the in and out points of drawn cannot be"),
        ("sequences.0.tracks.0.kind", "audio", None),
        ("sequences.0.tracks.1.kind", "video", None),
        ("sequences.0.tracks.0.transitions.0.right", "Z", "has no clips that touch"),
        ("sequences.0.tracks.0.transitions.0.duration", "-1", "duration of a transition on V1"),
        ("sequences.0.tracks.0.transitions.0.duration", "99", "duration of a transition on V1"),
        ("assets.0.path", "a\0b", "the path of A.mp4 cannot be"),
        ("assets.0.path", "", "the path of A.mp4 cannot be"),
        ("assets.0.facts.duration", "-1", "the duration of A.mp4 cannot be"),
        ("assets.0.facts.size_bytes", -1, "the size of A.mp4 cannot be"),
        ("assets.0.facts.video.width", -5, "the picture size or frame rate of A.mp4 cannot be"),
        ("assets.0.facts.video.rate", "0", "the picture size or frame rate of A.mp4 cannot be"),
        ("assets.1.id", "A", "two of its media have the same id"),
    ],
)
def test_what_cannot_be_is_told(
    place: str, value: Any, told: str | None, project: Project, path: Path
) -> None:
    save_project(project, path)
    document = json.loads(path.read_text("utf-8"))
    change(document, place, value)
    path.write_text(json.dumps(document), "utf-8")
    if told is None:
        load_project(path)
        return
    message = message_of(path)
    assert message.startswith("film.reel is damaged: ")
    assert told in message
    assert message.endswith(".")


def test_numbers_that_are_none_are_told(project: Project, path: Path) -> None:
    save_project(project, path)
    for text in ("NaN", "Infinity", "1e999"):
        path.write_text(path.read_text("utf-8").replace("0.25", text), "utf-8")
        assert message_of(path) == "film.reel is not a Reelwright project."
        save_project(project, path)


def test_sound_tracks_lie_after_picture_tracks(project: Project, path: Path) -> None:
    seq = project.sequence()
    save_project(replace(project, sequences=(replace(seq, tracks=seq.tracks[::-1]),)), path)
    assert "a sound track lies under a picture track" in message_of(path)


def test_unheard_of_effects_are_kept(project: Project, path: Path) -> None:
    save_project(project, path)
    (use,) = load_project(path).sequence().tracks[0].clips[0].effects
    assert use.kind == "someone-elses"
    assert use.values == {"a": 1, "b": 0.5, "c": "d", "e": True}
