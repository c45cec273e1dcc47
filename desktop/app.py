"""The application: builds every part, connects them, opens and closes projects."""

import base64
import logging
import sys
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QByteArray, QEvent, QObject, QTimer
from PySide6.QtGui import QAction, QCloseEvent, QImage, QKeySequence
from PySide6.QtWidgets import QApplication, QFileDialog

import resources
from desktop.actions import ACTIONS, MENUS, Action
from desktop.autosave import Autosave, Recoverable, discard, recover, recoverable
from desktop.commands import Commands
from desktop.editor import Editor
from desktop.exporting import Exports, project_name
from desktop.imports import Importer
from desktop.jobs import JobQueue
from desktop.parts import Parts
from desktop.playback import Playback
from desktop.presenters.exports import ExportPresenter
from desktop.presenters.inspector import InspectorPresenter
from desktop.presenters.media import MediaPresenter
from desktop.presenters.queue import QueuePresenter
from desktop.presenters.timeline import TimelinePresenter
from desktop.presenters.viewer import ViewerPresenter
from desktop.previews import Previews
from desktop.service import MediaService
from desktop.settings import SettingsStore, folders, with_recent
from desktop.states import EffectStates
from desktop.wording import size_text
from engine.errors import EngineError, ProjectError
from engine.jobs import ExportOptions, Format
from engine.timeline.model import Project, TrackKind
from ui import theme
from ui.notice import Notice
from ui.timeline.view import TimelineView
from ui.window import Window

SAMPLE = "sample/sample.reel"
HINTS = [("Space", "play"), ("S", "split"), ("Ctrl K", "find any command")]
EMPTY_HINTS = [("Ctrl I", "import"), ("Ctrl O", "open project"), ("Ctrl K", "find any command")]


class App(QObject):
    """The running program."""

    def __init__(self, application: QApplication) -> None:
        super().__init__()
        self._application = application
        places, settings = folders(), SettingsStore()
        theme.apply(application, settings.value.theme)
        editor = Editor(self)
        service = MediaService(places.logs, self)
        queue = JobQueue(places.data, places.logs, self)
        cache = str(places.cache)
        actions = {one.name: _qt_action(one, self) for one in ACTIONS}
        timeline = TimelineView()
        window = Window(actions, _menus(), timeline)
        self.parts = Parts(
            folders=places,
            settings=settings,
            editor=editor,
            commands=Commands(editor),
            queue=queue,
            service=service,
            playback=Playback(service, cache, self),
            previews=Previews(service, cache, self),
            states=EffectStates(service, queue, self),
            importer=Importer(service, self),
            exports=Exports(editor, queue, places, self),
            actions=actions,
            timeline=timeline,
            window=window,
        )
        self.media = MediaPresenter(self.parts)
        self.viewer = ViewerPresenter(self.parts)
        self.timeline = TimelinePresenter(self.parts)
        self.inspector = InspectorPresenter(self.parts)
        self.queue = QueuePresenter(self.parts)
        self.exports = ExportPresenter(self.parts)
        self.autosave = Autosave(editor, places.data, parent=self)
        self._recovered: dict[int, Recoverable] = {}
        self._newer: dict[int, Path] = {}
        self._after_import: Callable[[], None] | None = None
        self._connect()
        self._show_saved()
        self._show_hints()

    def begin(self, paths: list[str]) -> None:
        """After the first paint: the child, the recovery, the project of the command line."""
        self.parts.service.start()
        self._restore_layout()
        if paths:
            self.open(Path(paths[0]))
        self._offer_recovery()
        self._show_status()
        self._show_recent()
        self.queue.show()

    # Connections

    def _connect(self) -> None:
        parts = self.parts
        for name, act in self._doings().items():
            parts.actions[name].triggered.connect(lambda _checked=False, act=act: act())
        parts.editor.refused.connect(self._refuse)
        parts.editor.saved_changed.connect(self._show_saved)
        parts.editor.undo_stack.undoTextChanged.connect(lambda _text: self._show_undo())
        parts.editor.undo_stack.redoTextChanged.connect(lambda _text: self._show_undo())
        parts.editor.project_changed.connect(self._project_changed)
        parts.states.changed.connect(self._show_status)
        parts.service.failed.connect(
            lambda message, hint: self.parts.tell("error", f"{message} {hint}")
        )
        parts.timeline.hint_changed.connect(self._hint)
        parts.timeline.tool_changed.connect(lambda _tool: self._show_hints())
        window = parts.window
        window.close_requested.connect(self._close)
        window.notices.action_requested.connect(self._act)
        window.inspector.transform_shown.connect(lambda _shown: self.viewer.show_handles())
        window.bin.opened.connect(self._look_at)
        window.bin.play_requested.connect(self._play_medium)
        empty = window.viewer.empty
        empty.open_files_requested.connect(self.open_files)
        empty.open_sample_requested.connect(self.open_sample)
        empty.looping_gif_requested.connect(self._begin_gif)
        empty.upscale_requested.connect(self._begin_upscale)
        empty.recent_requested.connect(lambda path: self.open(Path(path)))
        self.autosave.failed.connect(
            lambda message, hint: parts.tell("warning", f"{message} {hint}")
        )
        self._application.installEventFilter(self)
        self._show_undo()

    def _doings(self) -> dict[str, Callable[[], object]]:
        """What each action does."""
        parts, commands, viewer = self.parts, self.parts.commands, self.viewer
        editor, timeline, window = parts.editor, parts.timeline, parts.window
        return {
            "file.new": self.new,
            "file.open": self.choose_project,
            "file.open_sample": self.open_sample,
            "file.save": self.save,
            "file.save_as": self.save_as,
            "file.import": self.media.choose,
            "file.export": self.exports.export_now,
            "file.export_sheet": self.exports.open_sheet,
            "file.quit": window.close,
            "edit.undo": editor.undo,
            "edit.redo": editor.redo,
            "edit.lift": commands.lift,
            "edit.ripple_delete": commands.ripple_delete,
            "edit.extract": commands.extract,
            "edit.duplicate": commands.duplicate,
            "edit.select_all": commands.select_all,
            "edit.select_none": commands.select_none,
            "clip.split": commands.split,
            "clip.split_all": commands.split_all,
            "clip.insert": lambda: self.media.place_selected("insert"),
            "clip.overwrite": lambda: self.media.place_selected("overwrite"),
            "clip.append": lambda: self.media.place_selected("append"),
            "clip.trim_head": commands.trim_head,
            "clip.trim_tail": commands.trim_tail,
            "clip.nudge_left": lambda: commands.nudge(-1),
            "clip.nudge_right": lambda: commands.nudge(1),
            "clip.link": commands.link,
            "clip.dissolve": commands.dissolve,
            "clip.enable": commands.enable,
            "timeline.play": viewer.toggle,
            "timeline.shuttle_back": lambda: viewer.shuttle(-1),
            "timeline.shuttle_forward": lambda: viewer.shuttle(1),
            "timeline.step_back": lambda: viewer.step(-1),
            "timeline.step_forward": lambda: viewer.step(1),
            "timeline.step_back_ten": lambda: viewer.step(-10),
            "timeline.step_forward_ten": lambda: viewer.step(10),
            "timeline.previous_cut": lambda: viewer.go(commands.next_cut(-1)),
            "timeline.next_cut": lambda: viewer.go(commands.next_cut(1)),
            "timeline.to_start": viewer.to_start,
            "timeline.to_end": viewer.to_end,
            "timeline.mark_in": timeline.mark_in,
            "timeline.mark_out": timeline.mark_out,
            "timeline.go_to_in": lambda: self._go_to_edge("in"),
            "timeline.go_to_out": lambda: self._go_to_edge("out"),
            "timeline.clear_range": commands.clear_range,
            "timeline.loop": lambda: viewer.set_loop(not parts.playback.loop),
            "timeline.ping_pong": lambda: viewer.set_ping_pong(not parts.playback.ping_pong),
            "timeline.add_video_track": lambda: commands.add_track(TrackKind.VIDEO),
            "timeline.add_audio_track": lambda: commands.add_track(TrackKind.AUDIO),
            "effects.render": lambda: self.inspector.render(tuple(editor.selection)),
            "effects.render_all": lambda: self.inspector.render((), every=True),
            "view.tool_select": lambda: timeline.set_tool("select"),
            "view.tool_razor": lambda: timeline.set_tool("razor"),
            "view.tool_ripple": lambda: timeline.set_tool("ripple"),
            "view.snapping": lambda: timeline.set_snapping(not timeline.is_snapping),
            "view.zoom_in": timeline.zoom_in,
            "view.zoom_out": timeline.zoom_out,
            "view.zoom_fit": timeline.fit,
            "view.larger": self._toggle_larger,
            "view.queue": lambda: window.show_queue(not window.is_queue_shown()),
            "view.palette": self._open_palette,
            "view.next_panel": lambda: window.focus_panel(1),
            "view.previous_panel": lambda: window.focus_panel(-1),
            "view.notice": window.notices.focus_first,
            "view.dark": lambda: self._set_theme("dark"),
            "view.light": lambda: self._set_theme("light"),
            "help.shortcuts": self._show_shortcuts,
            "help.logs": self.queue.show_logs,
            "help.about": self._show_about,
        }

    # Projects

    def new(self) -> None:
        """An empty project."""
        if self._may_leave():
            self.parts.editor.new()

    def choose_project(self) -> None:
        """Asks which project to open."""
        path, _ = QFileDialog.getOpenFileName(
            self.parts.window, "Open project", "", "Reelwright projects (*.reel)"
        )
        if path and self._may_leave():
            self.open(Path(path))

    def open(self, path: Path) -> None:
        """Opens a project file; says why it cannot be opened, and keeps what is open."""
        try:
            self.parts.editor.open(path)
        except ProjectError as error:
            newer = (("copy", "Open a copy read-only"),) if "newer" in error.message else ()
            notice = self.parts.tell(
                "error", f"{error.message} {error.hint}".strip(), newer, error.details
            )
            self._newer[notice.id] = path
            return
        self._remember(path)

    def open_sample(self) -> None:
        """A short project to try things on, as a copy without a file."""
        from engine.timeline.project import load_project

        if self._may_leave():
            try:
                self.parts.editor.adopt(load_project(resources.path(SAMPLE)), None)
            except ProjectError as error:
                self._refuse(error.message, error.hint)

    def open_files(self) -> None:
        """Files to begin with: they go to the timeline, one after another."""
        paths, _ = QFileDialog.getOpenFileNames(
            self.parts.window, "Open files", "", "Video, pictures and sound (*);;All files (*)"
        )
        if paths:
            self.begin_with(paths)

    def begin_with(self, paths: list[str]) -> None:
        """Puts files on the empty timeline."""
        self.parts.window.files_dropped.emit(tuple(paths), "viewer")

    def save(self) -> bool:
        """Saves; asks for a name the first time. Tells whether it was saved."""
        if self.parts.editor.path is None:
            return self.save_as()
        return self._save_to(None)

    def save_as(self) -> bool:
        """Saves under a name the person chooses."""
        start = str(self.parts.editor.path or Path.home() / "Untitled.reel")
        path, _ = QFileDialog.getSaveFileName(
            self.parts.window, "Save project", start, "Reelwright projects (*.reel)"
        )
        return self._save_to(Path(path)) if path else False

    def _save_to(self, path: Path | None) -> bool:
        try:
            self._remember(self.parts.editor.save(path))
        except ProjectError as error:
            self.parts.tell("error", f"{error.message} {error.hint}".strip(), (), error.details)
            return False
        return True

    def _remember(self, path: Path) -> None:
        recent = with_recent(self.parts.settings.value, path).recent
        self.parts.settings.change(recent=recent)
        self._show_recent()

    def _may_leave(self) -> bool:
        """Whether what is open may be let go; asks where there are unsaved edits."""
        editor = self.parts.editor
        if not editor.is_edited or not editor.project.assets:
            return True
        from desktop.presenters.dialogs import ask_to_save

        return ask_to_save(self.parts.window, project_name(editor.path), self.save)

    def _project_changed(self, _old: Project, _new: Project) -> None:
        self._show_saved()
        self._show_hints()
        if self._after_import is not None and self.parts.editor.sequence.duration > 0:
            then, self._after_import = self._after_import, None
            QTimer.singleShot(0, then)

    # Beginnings of the empty window

    def _begin_gif(self) -> None:
        """Open files, then the export sheet on GIF."""

        def then() -> None:
            self.exports.open_sheet(ExportOptions(format=Format.GIF, ping_pong=True, width=640))

        self._after_import = then
        self.open_files()

    def _begin_upscale(self) -> None:
        """Open files, then Upscale on the first clip."""

        def then() -> None:
            tracks = self.parts.editor.sequence.tracks
            first = next((one.clips[0].id for one in tracks if one.clips), None)
            if first is not None:
                self.inspector.add((first,), "upscale", "")

        self._after_import = then
        self.open_files()

    # Recovery

    def _offer_recovery(self) -> None:
        found = recoverable(self.parts.folders.data)
        if not found:
            return
        newest = found[0]
        if self.parts.editor.path is not None and self.parts.editor.path != newest.project_path:
            return
        try:
            project = recover(newest)
        except ProjectError as error:
            self.parts.tell("error", f"{error.message} {error.hint}")
            return
        self.parts.editor.adopt(project, newest.project_path, edited=True)
        saved = (("saved", "Open the saved version"),) if newest.project_path else ()
        notice = self.parts.tell(
            "warning",
            "Reelwright did not close properly. Your last edits are here.",
            (("keep", "Keep"), *(saved or (("drop", "Start anew"),))),
        )
        self._recovered[notice.id] = newest
        self.autosave.flush()
        discard(newest)

    def _act(self, notice: Notice, key: str) -> None:
        found = self._recovered.pop(notice.id, None)
        if found is not None and key == "saved" and found.project_path is not None:
            self.open(found.project_path)
        elif found is not None and key == "drop":
            self.parts.editor.new()
        newer = self._newer.pop(notice.id, None)
        if newer is not None and key == "copy":
            try:
                self.parts.editor.open_copy(newer)
            except ProjectError as error:
                self._refuse(error.message, error.hint)

    # Small things

    def _look_at(self, asset_id: str) -> None:
        asset = self.parts.editor.project.asset(asset_id)
        if asset is not None and asset.facts.video is not None:
            self.viewer.look_at(asset)

    def _play_medium(self, asset_id: str) -> None:
        self._look_at(asset_id)
        self.viewer.toggle()

    def _go_to_edge(self, edge: str) -> None:
        area = self.parts.editor.sequence.work_area
        if area is not None:
            rate = self.parts.editor.sequence.rate
            self.viewer.go(area.start if edge == "in" else area.end - 1 / rate)

    def _toggle_larger(self) -> None:
        self.parts.window.set_larger_view(not self.parts.timeline.isHidden())

    def _open_palette(self) -> None:
        from desktop.presenters.dialogs import Palette

        Palette(self.parts.window, self.parts.actions)

    def _show_shortcuts(self) -> None:
        from desktop.presenters.dialogs import show_shortcuts

        show_shortcuts(self.parts.window, self.parts.actions)

    def _show_about(self) -> None:
        from desktop.presenters.dialogs import show_about

        show_about(self.parts.window)

    def _set_theme(self, name: str) -> None:
        self.parts.settings.change(theme=name)
        theme.apply(self._application, name)
        for one in ("dark", "light"):
            self.parts.actions[f"view.{one}"].setChecked(one == name)

    def _refuse(self, message: str, hint: str) -> None:
        self.parts.tell("warning", f"{message} {hint}".strip())

    # Status

    def _show_saved(self) -> None:
        editor = self.parts.editor
        name = project_name(editor.path)
        self.parts.window.set_project(name, editor.is_edited)
        if editor.path is None and not editor.project.assets:
            words = "No project yet"
        else:
            words = "Edited" if editor.is_edited else "Saved" if editor.path else "Not saved yet"
        self.parts.window.status.set_saved(words)

    def _show_undo(self) -> None:
        stack = self.parts.editor.undo_stack
        for name, word, text in (
            ("edit.undo", "Undo", stack.undoText()),
            ("edit.redo", "Redo", stack.redoText()),
        ):
            self.parts.actions[name].setText(f"{word} {text}".strip())
            self.parts.actions[name].setEnabled(bool(text))

    def _show_status(self) -> None:
        status = self.parts.window.status
        status.set_device("No GPU found: effects run on the CPU")
        size = self.parts.states.cache_bytes
        limit = self.parts.settings.value.cache_limit_bytes
        words = f"Cache {size_text(size)} of {size_text(limit)}" if size > 0 else "Cache empty"
        status.set_cache(words)

    def _show_hints(self) -> None:
        self._hint([])

    def _hint(self, hints: list[tuple[str, str]]) -> None:
        usual = HINTS if self.parts.editor.project.assets else EMPTY_HINTS
        self.parts.window.status.set_hints(hints or usual)

    def _show_recent(self) -> None:
        from datetime import datetime

        rows: list[tuple[str, str, str, QImage | None]] = []
        for text in self.parts.settings.value.recent:
            path = Path(text)
            if path.is_file():
                when = datetime.fromtimestamp(path.stat().st_mtime)
                rows.append((text, path.stem, f"{when:%d %B %Y}".lstrip("0"), None))
        self.parts.window.viewer.empty.set_recent(rows[:3])

    # The window's place, and its end

    def _restore_layout(self) -> None:
        geometry = self.parts.settings.value.geometry
        if geometry:
            self.parts.window.restoreGeometry(QByteArray(base64.b64decode(geometry)))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Coming back to the program: media may have moved meanwhile."""
        if event.type() == QEvent.Type.ApplicationActivate:
            self.media.look_for_missing()
        return False

    def _close(self, event: QCloseEvent) -> None:
        if self._may_leave():
            self.close()
            event.accept()
        else:
            event.ignore()

    def close(self) -> None:
        """Saves what the next start needs and ends every child."""
        geometry = bytes(self.parts.window.saveGeometry().data())
        self.parts.settings.change(geometry=base64.b64encode(geometry).decode("ascii"))
        self.parts.editor.undo_stack.blockSignals(True)  # its end clears it, which nobody shows
        self.parts.playback.close()
        self.parts.queue.close()
        self.parts.service.stop()
        self.autosave.close()


def _menus() -> dict[str, tuple[str, ...]]:
    """The menus of the window: names of actions, "" for a line between groups."""
    return {menu: tuple(one.name for one in ACTIONS if one.menu == menu) for menu in MENUS}


def _qt_action(one: Action, parent: QObject) -> QAction:
    action = QAction(one.text, parent)
    action.setShortcuts([QKeySequence(keys) for keys in one.keys])
    action.setCheckable(one.checkable)
    key = (
        QKeySequence(one.keys[0]).toString(QKeySequence.SequenceFormat.NativeText)
        if one.keys
        else ""
    )
    name = f"{one.text.rstrip('…')} ({key})" if key else one.text.rstrip("…")
    action.setToolTip(f"{name}\n{one.help}" if one.help else name)
    action.setStatusTip(one.help)
    return action


def _log_to(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(folder / "editor.log", maxBytes=1_000_000, backupCount=2)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def run_window(arguments: list[str]) -> int:
    """Opens the window, on a project if one is named; returns the exit code."""
    application = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(application, QApplication)
    application.setApplicationName("Reelwright")
    application.setDesktopFileName("reelwright")
    try:
        _log_to(folders().logs)
    except OSError as error:
        logging.warning("no log: %s", error)
    app = App(application)

    def tell_bug(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        logging.error("a bug", exc_info=(kind, error, trace))
        from traceback import format_exception

        if isinstance(error, EngineError):
            app.parts.tell("error", f"{error.message} {error.hint}".strip(), (), error.details)
            return
        app.parts.tell(
            "error",
            "Something went wrong in Reelwright; your project is safe.",
            (),
            "".join(format_exception(kind, error, trace)),
        )

    sys.excepthook = tell_bug
    app.parts.window.show()
    QTimer.singleShot(0, lambda: app.begin(arguments))
    return application.exec()
