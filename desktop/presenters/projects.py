"""Projects: new, open, save, recent ones, and what a crash left behind."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog

import resources
from desktop.autosave import Autosave, Recoverable, discard, recover, recoverable
from desktop.exporting import project_name
from desktop.parts import Parts
from desktop.settings import with_recent
from engine.errors import ProjectError
from engine.timeline.project import NewerProject, load_project
from ui.notice import Notice

SAMPLE = "sample/sample.reel"
PROJECTS = "Reelwright projects (*.reel)"
FILES = "Video, pictures and sound (*);;All files (*)"


class ProjectPresenter(QObject):
    """Opens and saves; nothing is let go without asking."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._parts = parts
        self._recovered: dict[int, Recoverable] = {}  # by notice
        self._newer: dict[int, Path] = {}  # by notice
        self._then: Callable[[], None] | None = None  # once the first files are on the timeline
        self.autosave = Autosave(parts.editor, parts.folders.data, parent=self)
        self.autosave.failed.connect(
            lambda message, hint: parts.tell("warning", f"{message} {hint}")
        )
        parts.editor.project_changed.connect(self._project_changed)
        parts.window.notices.action_requested.connect(self._act)
        empty = parts.window.viewer.empty
        empty.open_files_requested.connect(self.open_files)
        empty.open_sample_requested.connect(self.open_sample)
        empty.recent_requested.connect(lambda path: self.open(Path(path)))

    # Opening

    def new(self) -> None:
        """An empty project."""
        if self.may_leave():
            self._parts.editor.new()

    def choose(self) -> None:
        """Asks which project to open."""
        path, _ = QFileDialog.getOpenFileName(self._parts.window, "Open project", "", PROJECTS)
        if path:
            self.open(Path(path))

    def open(self, path: Path) -> None:
        """Opens a project file; says why it cannot be opened, and keeps what is open."""
        if not self.may_leave():
            return
        try:
            self._parts.editor.open(path)
        except ProjectError as error:
            newer = isinstance(error, NewerProject)
            actions = (("copy", "Open a copy read-only"),) if newer else ()
            notice = self._tell(error, actions)
            if newer:
                self._newer[notice.id] = path
            return
        self._remember(path)

    def open_sample(self) -> None:
        """A short project to try things on, as a copy without a file."""
        if not self.may_leave():
            return
        try:
            self._parts.editor.adopt(load_project(resources.path(SAMPLE)), None)
        except ProjectError as error:
            self._tell(error)

    def open_files(self, then: Callable[[], None] | None = None) -> None:
        """Files to begin with go to the timeline, one after another; `then` comes after."""
        paths, _ = QFileDialog.getOpenFileNames(self._parts.window, "Open files", "", FILES)
        if paths:
            self.begin_with(paths, then if callable(then) else None)

    def begin_with(self, paths: list[str], then: Callable[[], None] | None = None) -> None:
        """Puts files on the empty timeline."""
        self._then = then
        self._parts.window.files_dropped.emit(tuple(paths), "viewer")

    def _project_changed(self, *_values: object) -> None:
        if self._then is not None and self._parts.editor.sequence.duration > 0:
            then, self._then = self._then, None
            QTimer.singleShot(0, then)

    # Saving

    def save(self) -> bool:
        """Saves; asks for a name the first time. Tells whether it was saved."""
        if self._parts.editor.path is None:
            return self.save_as()
        return self._save_to(None)

    def save_as(self) -> bool:
        """Saves under a name the person chooses."""
        start = str(self._parts.editor.path or Path.home() / "Untitled.reel")
        path, _ = QFileDialog.getSaveFileName(self._parts.window, "Save project", start, PROJECTS)
        return self._save_to(Path(path)) if path else False

    def _save_to(self, path: Path | None) -> bool:
        try:
            self._remember(self._parts.editor.save(path))
        except ProjectError as error:
            self._tell(error)
            return False
        return True

    def may_leave(self) -> bool:
        """Whether what is open may be let go; asks where there are unsaved edits."""
        editor = self._parts.editor
        if not editor.is_edited or not editor.project.assets:
            return True
        from desktop.presenters.dialogs import ask_to_save

        return ask_to_save(self._parts.window, project_name(editor.path), self.save)

    def _tell(self, error: ProjectError, actions: tuple[tuple[str, str], ...] = ()) -> Notice:
        words = f"{error.message} {error.hint}".strip()
        return self._parts.tell("error", words, actions, error.details)

    # Recent ones

    def _remember(self, path: Path) -> None:
        self._parts.settings.change(recent=with_recent(self._parts.settings.value, path).recent)
        self.show_recent()

    def show_recent(self) -> None:
        """Recent projects that are still there, on the empty viewer."""
        rows: list[tuple[str, str, str, QImage | None]] = []
        for text in self._parts.settings.value.recent:
            path = Path(text)
            if path.is_file():
                when = datetime.fromtimestamp(path.stat().st_mtime)
                rows.append((text, path.stem, f"{when:%d %B %Y}".lstrip("0"), None))
        self._parts.window.viewer.empty.set_recent(rows[:3])

    # What a crash left

    def offer_recovery(self) -> None:
        """Opens the edits of a program that died, unless another project was asked for."""
        found = recoverable(self._parts.folders.data)
        asked_for = self._parts.editor.path
        if not found or (asked_for is not None and asked_for != found[0].project_path):
            return
        newest = found[0]
        try:
            project = recover(newest)
        except ProjectError as error:
            self._tell(error)
            return
        self._parts.editor.adopt(project, newest.project_path, edited=True)
        other = ("saved", "Open the saved version")
        if newest.project_path is None:
            other = ("drop", "Start anew")
        notice = self._parts.tell(
            "warning",
            "Reelwright did not close properly. Your last edits are here.",
            (("keep", "Keep"), other),
        )
        self._recovered[notice.id] = newest
        self.autosave.flush()  # they are in this program's own copy before the old one goes
        discard(newest)

    def _act(self, notice: Notice, key: str) -> None:
        found = self._recovered.pop(notice.id, None)
        if found is not None and key in ("saved", "drop"):
            try:
                if found.project_path is not None:
                    self._parts.editor.open(found.project_path)
                else:
                    self._parts.editor.new()
            except ProjectError as error:
                self._tell(error)
        newer = self._newer.pop(notice.id, None)
        if newer is not None and key == "copy":
            try:
                self._parts.editor.open_copy(newer)
            except ProjectError as error:
                self._tell(error)
