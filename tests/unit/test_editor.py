"""The editor: one project value, one kind of undo step, selection and playhead beside it."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from msgspec.structs import replace
from pytestqt.qtbot import QtBot

from desktop.editor import Editor
from engine.errors import EditError, ProjectError
from engine.timeline import edits
from engine.timeline.model import Project, Sequence, TrackKind, Transform
from engine.timeline.project import load_project, save_project
from tests.support.drawings import draw, frame, project_of, track, tracks


class Heard:
    """What the editor told, in order."""

    def __init__(self, editor: Editor) -> None:
        self.projects: list[tuple[Project, Project]] = []
        self.names: list[str] = []
        self.refusals: list[tuple[str, str]] = []
        editor.project_changed.connect(lambda old, new: self.projects.append((old, new)))
        editor.project_changed.connect(lambda _old, _new: self.names.append("project"))
        editor.selection_changed.connect(lambda: self.names.append("selection"))
        editor.targets_changed.connect(lambda: self.names.append("targets"))
        editor.playhead_changed.connect(lambda: self.names.append("playhead"))
        editor.saved_changed.connect(lambda: self.names.append("saved"))
        editor.refused.connect(lambda message, hint: self.refusals.append((message, hint)))


@pytest.fixture
def editor(qtbot: QtBot) -> Editor:
    made = Editor()
    made.adopt(project_of(track("AABBCC")), None)
    return made


@pytest.fixture
def heard(editor: Editor) -> Heard:
    return Heard(editor)


def on_first(edit: Callable[[Sequence], Sequence]) -> Callable[[Project], Project]:
    return lambda project: edits.on_sequence(project, "", edit)


def lift(*ids: str) -> Callable[[Project], Project]:
    return on_first(lambda seq: edits.lift(seq, ids))


def opacity(value: float) -> Callable[[Project], Project]:
    def edit(seq: Sequence) -> Sequence:
        clip = seq.clip("A")
        assert clip is not None
        return edits.replace_clip(seq, replace(clip, transform=Transform(opacity=value)))

    return on_first(edit)


def test_a_new_editor_has_an_empty_project(qtbot: QtBot) -> None:
    editor = Editor()
    assert editor.sequence.duration == 0
    assert editor.path is None
    assert not editor.is_edited
    kinds = [editor.sequence.track(one).kind for one in editor.targets]
    assert sorted(kinds) == [TrackKind.AUDIO, TrackKind.VIDEO]


def test_an_edit_is_one_step_and_undo_gives_back_the_very_project(
    editor: Editor, heard: Heard
) -> None:
    before = editor.project
    assert editor.apply("Lift", lift("B"))
    after = editor.project
    assert draw(editor.sequence) == "AA..CC"
    assert editor.undo_stack.undoText() == "Lift"
    assert editor.is_edited
    editor.undo()
    assert editor.project is before
    assert not editor.is_edited
    editor.redo()
    assert editor.project is after
    assert heard.projects == [(before, after), (after, before), (before, after)]


def test_a_refused_edit_changes_nothing_and_is_told(editor: Editor, heard: Heard) -> None:
    before = editor.project

    def refuse(_project: Project) -> Project:
        raise EditError("Track V1 is locked.", "Unlock it first.")

    assert not editor.apply("Nothing", refuse)
    assert editor.project is before
    assert editor.undo_stack.count() == 0
    assert heard.refusals == [("Track V1 is locked.", "Unlock it first.")]
    assert heard.names == []


def test_an_edit_that_changes_nothing_is_no_step(editor: Editor, heard: Heard) -> None:
    assert editor.apply("Nothing", lambda project: project)
    assert editor.undo_stack.count() == 0
    assert heard.names == []


def test_steps_with_one_merge_key_become_one(editor: Editor) -> None:
    before = editor.project
    for value in (0.9, 0.8, 0.7):
        editor.apply("Opacity", opacity(value), "A/opacity")
    assert editor.undo_stack.count() == 1
    editor.apply("Opacity", opacity(0.6), "A/other")
    editor.apply("Opacity", opacity(0.5))
    editor.apply("Opacity", opacity(0.4))
    assert editor.undo_stack.count() == 4
    for _ in range(4):
        editor.undo()
    assert editor.project is before


def test_merged_steps_that_come_back_to_the_start_are_none(editor: Editor) -> None:
    editor.apply("Opacity", opacity(0.5), "A/opacity")
    editor.apply("Opacity", opacity(1.0), "A/opacity")
    assert editor.undo_stack.count() == 0
    assert not editor.is_edited


def test_what_was_saved_is_never_merged_into(editor: Editor, tmp_path: Path) -> None:
    editor.apply("Opacity", opacity(0.5), "A/opacity")
    editor.save(tmp_path / "film")
    editor.apply("Opacity", opacity(0.4), "A/opacity")
    assert editor.is_edited
    editor.undo()
    assert not editor.is_edited
    assert editor.project == load_project(tmp_path / "film.reel")


def test_selection_is_no_step_and_loses_clips_that_go(editor: Editor, heard: Heard) -> None:
    editor.select({"A", "B", "none"})
    assert editor.selection == {"A", "B"}
    editor.apply("Lift", lift("B"))
    assert editor.selection == {"A"}
    editor.undo()
    assert editor.selection == {"A"}
    editor.select({"A"})
    assert heard.names.count("selection") == 2


def test_targets_lose_tracks_that_go(qtbot: QtBot) -> None:
    editor = Editor()
    editor.adopt(project_of(tracks("V2", "V1", "A1")), None)
    assert editor.targets == {"V1", "A1"}
    editor.set_targets({"V2", "none"})
    assert editor.targets == {"V2"}
    editor.apply("Remove", on_first(lambda seq: edits.remove_track(seq, "V2")))
    assert editor.targets == frozenset()


def test_the_playhead_stays_at_zero_or_later(editor: Editor, heard: Heard) -> None:
    editor.move_playhead(frame(3))
    editor.move_playhead(frame(3))
    editor.move_playhead(Fraction(-1))
    assert editor.playhead == 0
    assert heard.names == ["playhead", "playhead"]
    assert editor.undo_stack.count() == 0


def test_save_and_open(editor: Editor, heard: Heard, tmp_path: Path) -> None:
    editor.apply("Lift", lift("B"))
    assert editor.save(tmp_path / "film") == tmp_path / "film.reel"
    assert editor.path == tmp_path / "film.reel"
    assert not editor.is_edited
    saved = editor.project
    editor.apply("Lift", lift("C"))
    editor.save()
    editor.undo()
    assert editor.is_edited
    editor.save()
    editor.new()
    assert editor.path is None
    assert editor.sequence.duration == 0
    editor.open(tmp_path / "film.reel")
    assert editor.project == saved
    assert editor.undo_stack.count() == 0
    assert "saved" in heard.names


def test_a_project_without_a_file_needs_a_path(editor: Editor) -> None:
    with pytest.raises(ValueError, match="under a path"):
        editor.save()


def test_a_failed_save_keeps_path_and_edits(editor: Editor, tmp_path: Path) -> None:
    editor.apply("Lift", lift("B"))
    with pytest.raises(ProjectError):
        editor.save(tmp_path / "none" / "film")
    assert editor.path is None
    assert editor.is_edited


def test_a_file_that_cannot_be_opened_leaves_the_project(editor: Editor, tmp_path: Path) -> None:
    before = editor.project
    with pytest.raises(ProjectError):
        editor.open(tmp_path / "none.reel")
    assert editor.project is before


def test_a_newer_file_is_opened_as_a_copy_without_a_file(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "film.reel"
    save_project(editor.project, path)
    path.write_text(path.read_text("utf-8").replace('"version": 1', '"version": 9'), "utf-8")
    editor.open_copy(path)
    assert editor.path is None
    assert editor.is_edited
    assert draw(editor.sequence) == "AABBCC"


def test_adopting_shows_all_of_another_project(editor: Editor, tmp_path: Path) -> None:
    editor.select({"A"})
    editor.move_playhead(frame(4))
    editor.apply("Lift", lift("B"))
    other = project_of(track("XXX"))
    editor.adopt(other, tmp_path / "other.reel", edited=True)
    assert editor.project is other
    assert editor.selection == frozenset()
    assert editor.playhead == 0
    assert not editor.undo_stack.canUndo()
    assert editor.is_edited
    editor.save()
    assert not editor.is_edited


def test_removing_the_shown_sequence_shows_another(editor: Editor) -> None:
    second = replace(track("XX"), id="second")

    def edit(project: Project) -> Project:
        return replace(project, sequences=(second,))

    editor.apply("Remove", edit)
    assert editor.sequence is second
    editor.undo()
    assert draw(editor.sequence) == "AABBCC"
