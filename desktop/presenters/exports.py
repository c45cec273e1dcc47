"""The Export button and the export sheet."""

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog

from desktop import exporting, naming
from desktop.job_entry import IS_ACTIVE, Entry, State
from desktop.parts import Parts
from desktop.presenters.media import show_in_folder
from desktop.presenters.queue import copy_file, open_file
from engine.errors import OutputError
from engine.jobs import ExportOptions
from engine.render.shown import effect_jobs
from engine.timeline.effects import needs_gpu
from engine.timeline.time import ZERO, TimeRange
from ui.notice import Notice

if TYPE_CHECKING:
    from ui.export import ExportSheet


class ExportPresenter(QObject):
    """One click exports with the last preset; the sheet chooses another."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._parts = parts
        self._files: dict[int, Path] = {}  # by notice
        self._sheet: ExportSheet | None = None
        button = parts.window.menu_row.export
        button.export_requested.connect(self.export_now)
        button.cancel_requested.connect(self._cancel)
        button.sheet_requested.connect(self.open_sheet)
        parts.exports.changed.connect(self.show)
        parts.exports.finished.connect(self._finished)
        parts.editor.project_changed.connect(lambda _old, _new: self.show())
        parts.window.notices.action_requested.connect(self._act)
        parts.playback.frame_ready.connect(self._preview)
        self.show()

    def show(self) -> None:
        """What the button says."""
        button = self._parts.window.menu_row.export
        possible = self._parts.editor.sequence.duration > 0
        options = self._parts.settings.value.export
        words = options.format.value.upper() + (", ping-pong" if options.ping_pong else "")
        button.set_possible(possible, "" if possible else "The timeline is empty.", words)
        running = self._parts.exports.running
        button.set_progress(running.fraction if running is not None else None)
        self._parts.actions["file.export"].setEnabled(possible)
        self._parts.actions["file.export_sheet"].setEnabled(possible)

    @property
    def _folder(self) -> Path:
        return exporting.export_folder(self._parts.settings.value, self._parts.editor.path)

    @property
    def _prefix(self) -> str:
        values = self._parts.settings.value
        return values.export_prefix or exporting.project_name(self._parts.editor.path)

    def export_now(self) -> None:
        """Repeats the last preset under a fresh name."""
        values = self._parts.settings.value
        self._start(self._in_to_out(values.export), self._folder, self._prefix, values.export_save)

    def _in_to_out(self, options: ExportOptions) -> ExportOptions:
        """The options with the range as it is now: in to out where it is marked."""
        import msgspec

        return msgspec.structs.replace(options, range=self._parts.editor.sequence.work_area)

    def _start(self, options: ExportOptions, folder: Path, prefix: str, save: bool) -> None:
        if self._parts.editor.sequence.duration == 0:
            self._parts.editor.refused.emit("The timeline is empty.", "Add a clip first.")
            return
        limit = self._parts.settings.value.cache_limit_bytes
        if not self._bake_models(options, limit):
            return
        try:
            self._parts.exports.start(options, folder, prefix, save, limit)
        except OutputError as error:
            self._parts.tell("error", f"{error.message} {error.hint}", (), error.details)

    def _bake_models(self, options: ExportOptions, limit: int) -> bool:
        """Queues what of an export only models can make, before it; says where that cannot be."""
        editor, engines, states = self._parts.editor, self._parts.engines, self._parts.states
        span = options.range or TimeRange(ZERO, editor.sequence.duration)
        cache = str(self._parts.folders.cache)
        for clip, job in effect_jobs(editor.project, editor.sequence, span, cache, limit):
            if not needs_gpu(job.uses) or states.is_fresh(clip):
                continue
            entry = states.entry(clip)
            if entry is not None and (entry.state in IS_ACTIVE or entry.state is State.WAITING):
                continue
            blocked = engines.blocked(job.uses)
            if blocked is not None:
                engine, state = blocked
                words = f"{engine.label} {state.reason}." if state.reason else state.lacks
                hint = "Render it elsewhere, choose another engine or switch the effect off."
                editor.refused.emit(f"«{job.subject}» is not rendered: {words}", hint)
                return False
            self._parts.queue.add(engines.with_models(job))
        return True

    def _cancel(self) -> None:
        running = self._parts.exports.running
        if running is not None:
            if running.state is State.WAITING:
                self._parts.queue.remove(running.id)
            else:
                self._parts.queue.cancel(running.id)

    # The sheet

    def open_sheet(self, options: ExportOptions | None = None) -> None:
        """Opens the export sheet, with the last options or with these."""
        from ui.export import ExportSheet

        values, editor = self._parts.settings.value, self._parts.editor
        if editor.sequence.duration == 0:
            editor.refused.emit("The timeline is empty.", "Add a clip first.")
            return
        sheet = ExportSheet(self._parts.window)
        sheet.set_sequence(editor.sequence)
        sheet.set_options(options if isinstance(options, ExportOptions) else values.export)
        sheet.set_target(str(self._folder), self._prefix, values.export_save)
        sheet.set_next_name(self._next_name)
        sheet.export_requested.connect(self._from_sheet)
        sheet.folder_requested.connect(self._choose_folder)
        sheet.finished.connect(lambda _result: self._forget_sheet())
        self._sheet = sheet
        self._parts.window.run_dialog(sheet)
        self._parts.playback.show(editor.playhead)

    def _next_name(self, folder: str, prefix: str, suffix: str) -> str:
        return naming.numbered(Path(folder), prefix, suffix).name

    def _forget_sheet(self) -> None:
        self._sheet = None

    def _preview(self, picture: QImage, _at: object) -> None:
        if self._sheet is not None:
            self._sheet.set_preview(picture)

    def _choose_folder(self) -> None:
        if self._sheet is None:
            return
        chosen = QFileDialog.getExistingDirectory(self._sheet, "Export to", str(self._folder))
        if chosen:
            self._sheet.set_folder(chosen)

    def _from_sheet(
        self, options: ExportOptions, folder: str, prefix: str, save: bool, remember: bool
    ) -> None:
        if remember:
            default = exporting.export_folder(
                type(self._parts.settings.value)(), self._parts.editor.path
            )
            name = exporting.project_name(self._parts.editor.path)
            self._parts.settings.change(
                export=options,
                export_folder="" if Path(folder) == default else folder,
                export_prefix="" if prefix == name else prefix,
                export_save=save,
            )
        self._start(options, Path(folder), prefix, save)
        self.show()

    # The end of an export

    def _finished(self, entry: Entry, saved: bool) -> None:
        result = entry.result
        if result is None:
            return
        path = Path(result.output)
        if saved:
            actions = (("folder", "Show in folder"), ("copy", "Copy"))
            text = exporting.done_sentence(entry)
        else:
            actions = (("open", "Open"), ("copy", "Copy"))
            text = f"{path.name} is rendered to the cache, not saved."
        notice = self._parts.tell("done", " ".join((text, *result.notes)), actions, file=str(path))
        self._files[notice.id] = path

    def _act(self, notice: Notice, key: str) -> None:
        path = self._files.get(notice.id)
        if path is None:
            return
        match key:
            case "folder":
                show_in_folder(path)
            case "copy":
                copy_file(path)
            case "open":
                open_file(path)
