"""Autosave and recovery, with real files, locks and killed processes."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer
from pytestqt.qtbot import QtBot

from desktop.autosave import Autosave, Recoverable, discard, recover, recoverable
from desktop.editor import Editor
from engine.errors import ProjectError
from engine.timeline import edits
from engine.timeline.project import save_project
from tests.support.drawings import draw, project_of, track

CHILD = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from desktop.autosave import Autosave
from desktop.editor import Editor
from engine.timeline import edits
from tests.support.drawings import project_of, track

app = QCoreApplication([])
editor = Editor()
editor.adopt(project_of(track("AABBCC")), Path(sys.argv[2]))
autosave = Autosave(editor, Path(sys.argv[1]))
autosave.written.connect(lambda: print("written", flush=True))
editor.apply("Lift", lambda one: edits.on_sequence(one, "", lambda seq: edits.lift(seq, "B")))
print("edited", flush=True)
app.exec()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recovery"


@pytest.fixture
def editor(qtbot: QtBot) -> Editor:
    made = Editor()
    made.adopt(project_of(track("AABBCC")), None)
    return made


def lift(editor: Editor, clip: str) -> None:
    editor.apply("Lift", lambda one: edits.on_sequence(one, "", lambda seq: edits.lift(seq, clip)))


def copies(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.recovery"))


def died(folder: Path) -> Recoverable:
    """What a program leaves that was killed: its file, without a held lock."""
    editor = Editor()
    editor.adopt(project_of(track("AABBCC")), folder / "film.reel")
    autosave = Autosave(editor, folder)
    lift(editor, "B")
    autosave.flush()
    (file,) = copies(folder)
    data = file.read_bytes()
    autosave.close()
    file.write_bytes(data)
    (found,) = recoverable(folder)
    return found


def test_nothing_is_written_without_edits(editor: Editor, folder: Path) -> None:
    autosave = Autosave(editor, folder)
    autosave.flush()
    autosave.close()
    assert not folder.exists()


def test_an_edit_is_on_disk_within_a_second_and_a_bit(
    editor: Editor, folder: Path, qtbot: QtBot
) -> None:
    autosave = Autosave(editor, folder)
    with qtbot.waitSignal(autosave.written, timeout=2000):
        lift(editor, "B")
    assert len(copies(folder)) == 1
    assert recoverable(folder) == []  # this program lives
    autosave.close()
    assert list(folder.iterdir()) == []


def test_going_on_editing_does_not_put_it_off(editor: Editor, folder: Path, qtbot: QtBot) -> None:
    autosave = Autosave(editor, folder, delay_ms=100)
    lift(editor, "B")
    steady = QTimer(interval=10)
    steady.timeout.connect(
        lambda: editor.redo() if editor.undo_stack.canRedo() else lift_or_undo(editor)
    )
    with qtbot.waitSignals([autosave.written] * 3, timeout=5000):
        steady.start()
    steady.stop()
    autosave.close()


def lift_or_undo(editor: Editor) -> None:
    """A change that never comes back to what was saved."""
    if editor.undo_stack.count() > 1:
        editor.undo()
    else:
        lift(editor, "C")


def test_saving_and_undoing_all_take_the_copy_away(
    editor: Editor, folder: Path, tmp_path: Path
) -> None:
    autosave = Autosave(editor, folder)
    lift(editor, "B")
    autosave.flush()
    assert copies(folder)
    editor.undo()
    autosave.flush()
    assert not copies(folder)
    editor.redo()
    autosave.flush()
    assert copies(folder)
    editor.save(tmp_path / "film")
    autosave.flush()
    assert not copies(folder)
    autosave.close()


def test_what_was_left_can_be_recovered(folder: Path, qtbot: QtBot) -> None:
    found = died(folder)
    assert found.project_path == folder / "film.reel"
    assert found.name == "film.reel"
    assert abs(found.saved_at - time.time()) < 60
    assert draw(recover(found).sequence()) == "AA..CC"
    assert recoverable(folder) == [found]
    discard(found)
    assert recoverable(folder) == []
    assert list(folder.iterdir()) == []


def test_a_recovered_project_is_kept_again_at_once(
    folder: Path, editor: Editor, qtbot: QtBot
) -> None:
    found = died(folder)
    autosave = Autosave(editor, folder)
    editor.adopt(recover(found), found.project_path, edited=True)
    autosave.flush()
    discard(found)
    assert len(copies(folder)) == 1
    autosave.close()


@pytest.mark.parametrize(
    "data", [b"", b"\x00\xff", b"{}", b"[" * 100_000, b'{"path": "", "saved_at": 1}']
)
def test_a_damaged_file_is_set_aside(data: bytes, folder: Path) -> None:
    folder.mkdir()
    (folder / "1-a.recovery").write_bytes(data)
    assert recoverable(folder) == []
    assert [one.name for one in folder.iterdir()] == ["1-a.recovery.damaged"]
    assert recoverable(folder) == []


def test_a_damaged_project_in_it_is_set_aside_and_told(folder: Path, qtbot: QtBot) -> None:
    found = died(folder)
    found.file.write_bytes(found.file.read_bytes().replace(b'"rate":"25"', b'"rate":"0"'))
    with pytest.raises(ProjectError) as refused:
        recover(found)
    assert refused.value.message == "The last edits of film.reel cannot be restored."
    assert recoverable(folder) == []


def test_no_folder_is_nothing_to_recover(folder: Path) -> None:
    assert recoverable(folder) == []


def test_a_folder_that_cannot_be_written_is_told_once(
    editor: Editor, tmp_path: Path, qtbot: QtBot
) -> None:
    (tmp_path / "recovery").write_text("a file where the folder should be")
    autosave = Autosave(editor, tmp_path / "recovery")
    told: list[str] = []
    autosave.failed.connect(lambda message, _hint: told.append(message))
    lift(editor, "B")
    autosave.flush()
    lift(editor, "C")
    autosave.flush()
    autosave.close()
    qtbot.waitUntil(lambda: len(told) == 1)
    assert told[0].startswith("Edits cannot be kept for recovery: ")


def test_a_killed_program_leaves_its_edits(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "film.reel"
    save_project(project_of(track("AABBCC")), path)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "edited\n"
        began = time.monotonic()
        assert child.stdout.readline() == "written\n"
        assert time.monotonic() - began < 2
        assert recoverable(folder) == []  # it lives
        (folder / ".x.recovery.1.part").touch()
        child.kill()
    (found,) = recoverable(folder)
    assert found.project_path == path
    assert draw(recover(found).sequence()) == "AA..CC"


def test_keeping_a_large_project_does_not_stall_the_window(
    editor: Editor, folder: Path, qtbot: QtBot
) -> None:
    drawing = "".join(chr(0x4E00 + number) * 2 for number in range(2000))
    editor.adopt(project_of(track(drawing)), None)
    autosave = Autosave(editor, folder)
    first = editor.sequence.tracks[0].clips[0].id
    lift(editor, first)
    began = time.perf_counter()
    autosave._keep()
    assert time.perf_counter() - began < 0.05
    autosave.flush()
    (file,) = copies(folder)
    assert file.stat().st_size > 500_000
    autosave.close()
