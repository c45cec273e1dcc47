"""The application behind the window: builds every part, connects them, ends them."""

import base64
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QApplication

from desktop.commands import Commands
from desktop.editor import Editor
from desktop.engines import Engines
from desktop.exporting import Exports, project_name
from desktop.imports import Importer
from desktop.jobs import JobQueue
from desktop.parts import Parts
from desktop.playback import Playback
from desktop.presenters.exports import ExportPresenter
from desktop.presenters.generate import GeneratePresenter
from desktop.presenters.inspector import InspectorPresenter
from desktop.presenters.media import MediaPresenter
from desktop.presenters.projects import ProjectPresenter
from desktop.presenters.queue import QueuePresenter
from desktop.presenters.timeline import TimelinePresenter
from desktop.presenters.viewer import ViewerPresenter
from desktop.previews import Previews
from desktop.service import MediaService
from desktop.shell import Shell, make_shell
from desktop.states import EffectStates
from desktop.weights import WeightsLibrary
from desktop.wording import size_text
from engine.errors import EngineError
from engine.jobs import ExportOptions, Format
from engine.timeline.model import Project, TrackKind
from ui import appearance, theme
from ui.notice import Notice
from ui.timeline.view import TimelineView

if TYPE_CHECKING:
    from desktop.presenters.preferences import PreferencesPresenter

HINTS = [("Space", "play"), ("S", "split"), ("Ctrl K", "find any command")]
SCAN_MS = 1500  # after the start, when the window is at rest
GENERATE_HINTS = [("Ctrl Enter", "generate"), ("Alt Up", "previous prompt")]
EMPTY_HINTS = [("Ctrl I", "import"), ("Ctrl O", "open project"), ("Ctrl K", "find any command")]


class App(QObject):
    """The running program."""

    def __init__(self, application: QApplication, shell: Shell | None = None) -> None:
        super().__init__()
        self._application = application
        places, settings, actions, window = shell or make_shell(application)
        timeline = TimelineView()
        window.complete(timeline)
        editor = Editor(self)
        service = MediaService(places.logs, self)
        queue = JobQueue(places.data, places.logs, self)
        weights = WeightsLibrary(service, queue, settings, places, self)
        cache = str(places.cache)
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
            weights=weights,
            engines=Engines(weights, queue, service, settings, self),
            actions=actions,
            timeline=timeline,
            window=window,
        )
        self._refusal: Notice | None = None
        self.media = MediaPresenter(self.parts)
        self.viewer = ViewerPresenter(self.parts)
        self.timeline = TimelinePresenter(self.parts)
        self.inspector = InspectorPresenter(self.parts)
        self.queue = QueuePresenter(self.parts)
        self.exports = ExportPresenter(self.parts)
        self.generate = GeneratePresenter(self.parts)
        self.queue.again_requested.connect(self.generate.use_again)
        self.timeline.again_requested.connect(self.generate.use_asset_again)
        self.projects = ProjectPresenter(self.parts)
        self._preferences: PreferencesPresenter | None = None
        self._connect()
        self._show_saved()
        self._hint([])
        self._set_still(settings.value.still_seconds)

    def begin(self, paths: list[str]) -> None:
        """Starts the child that reads media; opens what was asked for, or what a crash left."""
        self.parts.service.start()
        if paths:
            self.projects.open(Path(paths[0]))
        self.projects.offer_recovery()
        self.projects.show_recent()
        self._show_status()
        self.queue.show()
        QTimer.singleShot(SCAN_MS, self, self.parts.weights.scan)

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
        parts.engines.changed.connect(self._show_device)
        parts.engines.weights_wanted.connect(
            lambda family: self.open_preferences("Weights", family)
        )
        parts.service.failed.connect(
            lambda message, hint: self.parts.tell("error", f"{message} {hint}")
        )
        parts.timeline.hint_changed.connect(self._hint)
        parts.timeline.tool_changed.connect(lambda _tool: self._hint([]))
        window = parts.window
        window.close_requested.connect(self._close)
        window.generate_toggled.connect(lambda _shown: self._hint([]))
        window.inspector.transform_shown.connect(lambda _shown: self.viewer.show_handles())
        window.bin.opened.connect(self._look_at)
        window.bin.play_requested.connect(self._play_medium)
        empty = window.viewer.empty
        empty.looping_gif_requested.connect(self._begin_gif)
        empty.upscale_requested.connect(self._begin_upscale)
        self._application.applicationStateChanged.connect(self._state_changed)
        self.media.project_requested.connect(lambda path: self.projects.open(Path(path)))
        self._show_undo()

    def _doings(self) -> dict[str, Callable[[], object]]:
        """What each action does."""
        parts, commands, viewer = self.parts, self.parts.commands, self.viewer
        projects = self.projects
        editor, timeline, window = parts.editor, parts.timeline, parts.window
        return {
            "file.new": projects.new,
            "file.open": projects.choose,
            "file.open_sample": projects.open_sample,
            "file.save": projects.save,
            "file.save_as": projects.save_as,
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
            "edit.preferences": self.open_preferences,
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
            "effects.release": self._release,
            "view.tool_select": lambda: timeline.set_tool("select"),
            "view.tool_razor": lambda: timeline.set_tool("razor"),
            "view.tool_ripple": lambda: timeline.set_tool("ripple"),
            "view.snapping": lambda: timeline.set_snapping(not timeline.is_snapping),
            "view.zoom_in": timeline.zoom_in,
            "view.zoom_out": timeline.zoom_out,
            "view.zoom_fit": timeline.fit,
            "view.larger": self._toggle_larger,
            "view.compare": viewer.compare.toggle,
            "view.generate": lambda: window.show_generate(not window.is_generate_shown()),
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

    # Beginnings of the empty window

    def _begin_gif(self) -> None:
        """Open files, then the export sheet on GIF."""
        options = ExportOptions(format=Format.GIF, ping_pong=True, width=640)
        self.projects.open_files(lambda: self.exports.open_sheet(options))

    def _begin_upscale(self) -> None:
        """Open files, then Upscale on the first clip."""

        def then() -> None:
            tracks = self.parts.editor.sequence.tracks
            first = next((one.clips[0].id for one in tracks if one.clips), None)
            if first is not None:
                self.inspector.add((first,), "upscale", "")

        self.projects.open_files(then)

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
        from desktop.presenters.palette import Palette

        Palette(self.parts.window, self.parts.actions)

    def _show_shortcuts(self) -> None:
        from desktop.presenters.dialogs import show_shortcuts

        show_shortcuts(self.parts.window, self.parts.actions)

    def _show_about(self) -> None:
        from desktop.presenters.dialogs import show_about

        show_about(self.parts.window)

    def open_preferences(self, page: str = "General", family: str = "") -> None:
        """Shows a page of the preferences; of the weights also a family, unfolded."""
        if self._preferences is None:
            from desktop.preferences import preferences

            self._preferences = preferences(self.parts, self._set_theme, self._set_still)
        self.parts.engines.look_at_card()
        self._preferences.open(page, family)

    def _set_still(self, seconds: Fraction) -> None:
        self.parts.settings.change(still_seconds=seconds)
        self.parts.commands.still_seconds = seconds
        self.parts.timeline.set_still_seconds(seconds)

    def _set_theme(self, name: str) -> None:
        self.parts.settings.change(theme=name)
        shown = appearance.resolved(name)
        theme.apply(self._application, shown)
        for one in ("dark", "light"):
            self.parts.actions[f"view.{one}"].setChecked(one == shown)

    def _refuse(self, message: str, hint: str) -> None:
        """Says why an edit cannot be; only the last one counts, and none after the next edit."""
        self._forget_refusal()
        self._refusal = self.parts.tell("warning", f"{message} {hint}".strip())

    def _forget_refusal(self) -> None:
        if self._refusal is not None:
            self.parts.window.notices.withdraw(self._refusal)
            self._refusal = None

    def tell_bug(self, error: BaseException, trace: str) -> None:
        """Tells of what nothing else has caught."""
        if isinstance(error, EngineError):
            words = f"{error.message} {error.hint}".strip()
            self.parts.tell("error", words, (), error.details)
        else:
            words = "Something went wrong in Reelwright; your project is safe."
            self.parts.tell("error", words, (), trace)

    def _project_changed(self, _old: Project, _new: Project) -> None:
        self._forget_refusal()
        self._show_saved()
        self._hint([])

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
        size = self.parts.states.cache_bytes
        limit = self.parts.settings.value.cache_limit_bytes
        words = f"Cache {size_text(size)} of {size_text(limit)}" if size > 0 else "Cache empty"
        status.set_cache(words)

    def _show_device(self) -> None:
        self.parts.window.status.set_device(*self.parts.engines.words())

    def _hint(self, hints: list[tuple[str, str]]) -> None:
        usual = HINTS if self.parts.editor.project.assets else EMPTY_HINTS
        if self.parts.window.is_generate_shown():
            usual = GENERATE_HINTS
        self.parts.window.status.set_hints(hints or usual)

    # The window's place, and its end

    def _state_changed(self, state: Qt.ApplicationState) -> None:
        """Coming back to the program: media may have moved meanwhile."""
        if state == Qt.ApplicationState.ApplicationActive:
            self.media.look_for_missing()

    def _close(self, event: QCloseEvent) -> None:
        if self.projects.may_leave():
            self.close()
            event.accept()
        else:
            event.ignore()

    def _release(self) -> None:
        """Ends the GPU's process, and with it what its models hold."""
        if self.parts.queue.release():
            self.parts.tell(
                "done", "The models have left the memory; the next job loads them again."
            )
        else:
            self.parts.editor.refused.emit("A job is at work with the models.", "Cancel it first.")

    def close(self) -> None:
        """Saves what the next start needs and ends every child."""
        geometry = bytes(self.parts.window.saveGeometry().data())
        self.parts.settings.change(geometry=base64.b64encode(geometry).decode("ascii"))
        parts = self.parts
        # what still comes while all ends is shown by nobody
        for part in (parts.editor.undo_stack, parts.states, parts.previews, parts.importer):
            part.blockSignals(True)
        self.parts.playback.close()
        self.parts.queue.close()
        self.parts.service.stop()
        self.projects.autosave.close()
