"""The project that is open: every change of it, undo, selection, playhead."""

from collections.abc import Callable, Iterable
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from engine.errors import EditError
from engine.timeline.model import Project, Sequence, TrackKind, new_project
from engine.timeline.project import load_project, save_project, with_extension
from engine.timeline.time import ZERO, Time


class EditCommand(QUndoCommand):
    """One step of undo: the project before and after. Equal merge keys in a row become one step."""

    _KIND = 1  # Qt merges commands of one kind only

    def __init__(
        self, editor: "Editor", text: str, before: Project, after: Project, merge_key: str
    ) -> None:
        super().__init__(text)
        self._editor = editor
        self._before = before
        self._after = after
        self._merge_key = merge_key

    def id(self) -> int:
        return self._KIND if self._merge_key else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, EditCommand) or other._merge_key != self._merge_key:
            return False
        self._after = other._after
        self.setObsolete(self._after == self._before)
        return True

    def undo(self) -> None:
        self._editor._show(self._before)

    def redo(self) -> None:
        self._editor._show(self._after)


class Editor(QObject):
    """Holds the one project value, and tells of every new one."""

    project_changed = Signal(object, object)  # old, new Project
    selection_changed = Signal()
    playhead_changed = Signal()
    targets_changed = Signal()
    saved_changed = Signal()  # the path, or whether there is something to save
    refused = Signal(str, str)  # message, hint: an edit that could not be done

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = new_project()
        self._sequence_id = self._project.sequences[0].id
        self._selection: frozenset[str] = frozenset()
        self._targets = _first_tracks(self._project.sequences[0])
        self._playhead: Time = ZERO
        self._path: Path | None = None
        self._undo = QUndoStack(self)
        self._undo.cleanChanged.connect(self._tell_saved)

    @property
    def project(self) -> Project:
        return self._project

    @property
    def sequence(self) -> Sequence:
        """The sequence on the timeline."""
        return self._project.sequence(self._sequence_id)

    @property
    def selection(self) -> frozenset[str]:
        """The ids of the selected clips; all of them exist."""
        return self._selection

    @property
    def playhead(self) -> Time:
        return self._playhead

    @property
    def targets(self) -> frozenset[str]:
        """The ids of the tracks that new media go to; all of them exist."""
        return self._targets

    @property
    def path(self) -> Path | None:
        """The file of the project; None before it is first saved."""
        return self._path

    @property
    def is_edited(self) -> bool:
        """Whether there is something to save."""
        return not self._undo.isClean()

    @property
    def undo_stack(self) -> QUndoStack:
        return self._undo

    def apply(self, text: str, edit: Callable[[Project], Project], merge_key: str = "") -> bool:
        """Does an edit as one step of undo; tells whether it could be done.

        Steps in a row with one `merge_key` ("clip/effect/parameter") become one step. An edit
        that raises EditError changes nothing and is told by `refused`.
        """
        try:
            after = edit(self._project)
        except EditError as error:
            self.refused.emit(error.message, error.hint)
            return False
        if after is not self._project:
            self._undo.push(EditCommand(self, text, self._project, after, merge_key))
        return True

    def undo(self) -> None:
        self._undo.undo()

    def redo(self) -> None:
        self._undo.redo()

    def select(self, ids: Iterable[str]) -> None:
        """Selects these clips and no others; ids of no clip are left out."""
        self._set_selection(frozenset(ids))

    def set_targets(self, ids: Iterable[str]) -> None:
        """Chooses the tracks that new media go to."""
        self._set_targets(frozenset(ids))

    def move_playhead(self, at: Time) -> None:
        """Puts the playhead at `at`, at zero at the earliest."""
        at = max(ZERO, at)
        if at != self._playhead:
            self._playhead = at
            self.playhead_changed.emit()

    def new(self) -> None:
        """Begins an empty project."""
        self.adopt(new_project(), None)

    def open(self, path: Path) -> None:
        """Opens a project file. Raises ProjectError; then the project before it stays."""
        self.adopt(load_project(path), path)

    def open_copy(self, path: Path) -> None:
        """Opens what can be understood of a newer program's file, as a project without a file.

        Raises ProjectError. So the newer file is never written over.
        """
        self.adopt(load_project(path, read_newer=True), None, edited=True)

    def save(self, path: Path | None = None) -> Path:
        """Saves under `path`, or where the project is; gives the file. Raises ProjectError."""
        target = path or self._path
        if target is None:
            raise ValueError("a project without a file is saved under a path")
        target = with_extension(target.absolute())
        save_project(self._project, target)
        moved = target != self._path
        self._path = target
        was_clean = self._undo.isClean()
        self._undo.setClean()
        if moved or was_clean:
            self.saved_changed.emit()
        return target

    def adopt(self, project: Project, path: Path | None, edited: bool = False) -> None:
        """Shows another project, with nothing to undo.

        `edited`: it holds edits that its file does not have, as after a recovery.
        """
        before = self._project
        self._project = project
        self._sequence_id = project.sequences[0].id
        self._path = path.absolute() if path is not None else None
        self._undo.clear()
        if edited:
            self._undo.resetClean()
        self.project_changed.emit(before, project)
        self._set_selection(frozenset())
        self._set_targets(_first_tracks(project.sequences[0]))
        self.move_playhead(ZERO)
        self.saved_changed.emit()

    def _tell_saved(self, _is_clean: bool) -> None:
        self.saved_changed.emit()

    def _show(self, project: Project) -> None:
        """Makes `project` the present one; only undo and redo call it."""
        before = self._project
        if project is before:
            return
        self._project = project
        if all(one.id != self._sequence_id for one in project.sequences):
            self._sequence_id = project.sequences[0].id
        self.project_changed.emit(before, project)
        self._set_selection(self._selection)
        self._set_targets(self._targets)

    def _set_selection(self, ids: frozenset[str]) -> None:
        ids &= {clip.id for track in self.sequence.tracks for clip in track.clips}
        if ids != self._selection:
            self._selection = ids
            self.selection_changed.emit()

    def _set_targets(self, ids: frozenset[str]) -> None:
        ids &= {track.id for track in self.sequence.tracks}
        if ids != self._targets:
            self._targets = ids
            self.targets_changed.emit()


def _first_tracks(sequence: Sequence) -> frozenset[str]:
    """V1 and A1."""
    firsts = (
        next((track.id for track in sequence.tracks if track.kind is kind), None)
        for kind in TrackKind
    )
    return frozenset(one for one in firsts if one is not None)
