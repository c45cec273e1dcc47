"""The queue: its button, its panel, and what is told when a job ends."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication, QImage

from desktop.generate_price import generate_line
from desktop.job_entry import Entry, State
from desktop.parts import Parts
from desktop.presenters.media import show_in_folder
from desktop.wording import duration_text, size_text
from engine.errors import EffectError, WeightsError
from engine.generation import Mode
from engine.jobs import DownloadJob, EffectJob, ExportJob, GenerateJob, Job
from engine.planning import estimate
from engine.timeline.effects import kind
from ui.job_rows import JobRow
from ui.notice import Notice

STAGES = {"text": "Text", "denoise": "Denoise", "decode": "Decode", "effects": "Effects"}
STAGES |= {"encode": "Encode", "image": "Picture"}
SHOWN = {
    State.WAITING: "waiting",
    State.RUNNING: "running",
    State.STOPPING: "stopping",
    State.FAILED: "failed",
    State.DONE: "done",
}


def icon_of(job: Job) -> str:
    """The sign of a job: of its effect's family, or of an export."""
    if isinstance(job, EffectJob) and job.uses:
        try:
            return kind(job.uses[-1].kind).icon
        except EffectError:
            return "queue"
    if isinstance(job, DownloadJob):
        return "download"
    if isinstance(job, GenerateJob):
        return "generate" if job.first is None else "image_to_video"
    return "export" if isinstance(job, ExportJob) else "queue"


class QueuePresenter(QObject):
    """Shows the rows, carries out what the person wants of them."""

    again_requested = Signal(object)  # GenerateJob whose settings are wanted again

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._parts = parts
        self._failures: list[Notice] = []  # what the panel, once open, says better
        self._seen_failures: set[str] = {
            one.id for one in parts.queue.entries if one.state is State.FAILED
        }
        self._pictures: dict[str, tuple[bytes, QImage]] = {}  # job id -> decoded preview
        self._removed: dict[int, tuple[Entry, int]] = {}  # by notice
        self._is_wired = False
        parts.queue.entry_changed.connect(lambda _id: self.show())
        parts.queue.entries_changed.connect(self.show)
        parts.queue.failed.connect(self._failed)
        parts.queue.finished.connect(self._finished)
        parts.window.panel_toggled.connect(self._toggled)
        parts.window.notices.action_requested.connect(self._act)

    # What is shown

    def show(self) -> None:
        """Button and, when it is open, panel."""
        self._show_button()
        if self._parts.window.is_queue_shown():
            self._show_panel()

    def _show_button(self) -> None:
        button = self._parts.window.menu_row.queue
        entries = self._parts.queue.entries
        running = [one for one in entries if one.state in (State.RUNNING, State.STOPPING)]
        waiting = sum(one.state is State.WAITING for one in entries)
        if running:
            one = running[0]
            left = duration_text(one.seconds_left) + " left" if one.seconds_left >= 0 else ""
            if one.state is State.STOPPING:
                left = "Stopping…"
            button.set_running(one.job.title, one.fraction, left, waiting + len(running) - 1)
        else:
            button.set_idle(waiting)
        failed = {one.id for one in entries if one.state is State.FAILED}
        if self._parts.window.is_queue_shown():
            self._seen_failures |= failed
        button.set_failed(len(failed - self._seen_failures))

    def _show_panel(self) -> None:
        panel = self._parts.window.queue
        if not self._is_wired:
            self._wire()
        panel.set_paused(self._parts.queue.is_paused)
        rows = [self._row(one) for one in self._parts.queue.entries if one.state in SHOWN]
        done = [one for one in rows if one.state == "done"]
        panel.set_rows([one for one in rows if one.state != "done"] + done[::-1])

    def _toggled(self, shown: bool) -> None:
        if shown:
            self._seen_failures |= {
                one.id for one in self._parts.queue.entries if one.state is State.FAILED
            }
            self._show_panel()
            for notice in self._failures:
                self._parts.window.notices.withdraw(notice)
            self._failures.clear()
        self._show_button()

    def _wire(self) -> None:
        self._is_wired = True
        panel, queue = self._parts.window.queue, self._parts.queue
        panel.cancel_requested.connect(queue.cancel)
        panel.remove_requested.connect(self._remove)
        panel.remedy_requested.connect(self._remedy)
        panel.details_requested.connect(self._details)
        panel.show_requested.connect(self._show_result)
        panel.folder_requested.connect(lambda job_id: self._with_file(job_id, show_in_folder))
        panel.again_requested.connect(self._again)
        panel.copy_requested.connect(lambda job_id: self._with_file(job_id, copy_file))
        panel.move_requested.connect(queue.move)
        panel.pause_requested.connect(lambda on: queue.pause() if on else queue.resume())
        panel.cancel_waiting_requested.connect(queue.cancel_waiting)
        panel.clear_requested.connect(queue.clear_done)
        panel.logs_requested.connect(self.show_logs)

    def _remedy(self, job_id: str, key: str) -> None:
        entry = self._parts.queue.entry(job_id)
        job = entry.job if entry is not None else None
        if key == "weights" and isinstance(job, (EffectJob, GenerateJob)):
            models = job.models if isinstance(job, EffectJob) else (job.models,)
            families = [one.family for one in models]
            self._parts.engines.weights_wanted.emit(families[0] if families else "")
        elif key == "again":
            self._again(job_id)
        else:
            self._parts.queue.retry(job_id)

    def _again(self, job_id: str) -> None:
        """Opens Generate with what a job was made with."""
        entry = self._parts.queue.entry(job_id)
        if entry is not None and isinstance(entry.job, GenerateJob):
            self.again_requested.emit(entry.job)

    def _row(self, entry: Entry) -> JobRow:
        job, state = entry.job, SHOWN[entry.state]
        is_download = isinstance(job, DownloadJob)
        remedies: tuple[tuple[str, str], ...] = ()
        if entry.state is State.FAILED:
            runs_models = isinstance(job, (EffectJob, GenerateJob))
            lacks = entry.kind == WeightsError.__name__ and runs_models
            remedies = (("weights", "Look at weights"),) if lacks else ()
            remedies += (("retry", "Retry"),)
            if isinstance(job, GenerateJob) and job.mode is not Mode.VIDEO:
                remedies += (("again", "Change settings…"),)
        message = f"{entry.message} {entry.hint}".strip()
        return JobRow(
            id=entry.id,
            state=state,
            title=job.title,
            subject=job.subject,
            icon=icon_of(job),
            detail=self._detail(entry),
            fraction=entry.fraction,
            stages=_stage_bars(entry),
            step=_step(entry),
            thumbnail=self._thumbnail(entry),
            preview=self._preview(entry),
            preview_label=entry.label,
            message=message,
            kept=entry.kept,
            remedies=remedies,
            has_details=bool(entry.details),
            notes=entry.result.notes if entry.result is not None else (),
            can_show=isinstance(job, EffectJob) and bool(job.clip),
            can_repeat=isinstance(job, GenerateJob) and job.mode is not Mode.VIDEO,
            file=entry.result.output if entry.result is not None and not is_download else "",
        )

    def _detail(self, entry: Entry) -> str:
        job = entry.job
        if entry.state in (State.RUNNING, State.STOPPING):
            parts = [_engine_words(job)]
            if entry.seconds_left >= 0:
                parts.append(duration_text(entry.seconds_left) + " left")
            return " · ".join(part for part in parts if part)
        if entry.state is State.WAITING:
            if entry.note:
                return entry.note
            if isinstance(job, GenerateJob):
                return generate_line(job, self._parts.engines.device())
            if not isinstance(job, EffectJob):
                return _engine_words(job)
            return estimate(job, device=self._parts.engines.device()).line
        result = entry.result
        if result is None:
            return ""
        frames = f"{result.frames} frame{'' if result.frames == 1 else 's'}"
        took = duration_text(entry.ended - entry.started)
        if isinstance(job, DownloadJob):
            return f"{size_text(result.size_bytes)} · {took}"
        if isinstance(job, (ExportJob, GenerateJob)):
            return f"{size_text(result.size_bytes)} · {frames} · {took}"
        return f"{frames} · {took}" if result.made else f"{frames} · found in the cache"

    def _preview(self, entry: Entry) -> QImage | None:
        if not entry.preview:
            return None
        known = self._pictures.get(entry.id)
        if known is None or known[0] != entry.preview:
            known = (entry.preview, QImage.fromData(entry.preview))
            self._pictures[entry.id] = known
        return known[1]

    def _thumbnail(self, entry: Entry) -> QImage | None:
        preview = self._preview(entry)
        if preview is not None:
            return preview
        if isinstance(entry.job, EffectJob):
            return self._parts.previews.thumbnail(
                entry.job.asset.id, entry.job.asset.facts.duration / 3
            )
        return None

    # What the person wants

    def _remove(self, job_id: str) -> None:
        place = next((i for i, one in enumerate(self._parts.queue.entries) if one.id == job_id), 0)
        entry = self._parts.queue.remove(job_id)
        if entry is not None and entry.state is State.WAITING:
            notice = self._parts.tell(
                "done", f"{entry.job.title} of {entry.job.subject} is removed.", (("undo", "Undo"),)
            )
            self._removed[notice.id] = (entry, place)

    def _details(self, job_id: str) -> None:
        entry = self._parts.queue.entry(job_id)
        if entry is None:
            return
        from desktop.presenters.dialogs import show_details, show_notes

        title = f"{entry.job.title} · {entry.job.subject}"
        if entry.state is State.DONE and entry.result is not None:
            show_notes(self._parts.window, title, entry.result.notes)
        else:
            show_details(self._parts.window, title, entry)

    def _show_result(self, job_id: str) -> None:
        entry = self._parts.queue.entry(job_id)
        if entry is None:
            return
        if isinstance(entry.job, EffectJob):
            clip = self._parts.editor.sequence.clip(entry.job.clip)
            if clip is None:
                self._parts.editor.refused.emit("That clip is not on the timeline any more.", "")
                return
            self._parts.editor.select({clip.id})
            self._parts.editor.move_playhead(clip.start)
            self._parts.timeline.reveal(clip.id)
        else:
            self._with_file(job_id, open_file)

    def _with_file(self, job_id: str, act: Callable[[Path], None]) -> None:
        entry = self._parts.queue.entry(job_id)
        if entry is None or entry.result is None or not entry.result.output:
            return
        path = Path(entry.result.output)
        if path.is_file():
            act(path)
        else:
            self._parts.tell("error", f"{path.name} is not where it was.")

    def show_logs(self) -> None:
        """Opens the folder of the logs."""
        self._parts.folders.logs.mkdir(parents=True, exist_ok=True)
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._parts.folders.logs)))

    def _failed(self, job_id: str) -> None:
        entry = self._parts.queue.entry(job_id)
        if entry is not None and not self._parts.window.is_queue_shown():
            words = f"{entry.job.title} of {entry.job.subject} failed. {entry.message}"
            shown = self._parts.tell("error", words, (("queue", "Show the queue"),), entry.details)
            self._failures.append(shown)

    def _finished(self, job_id: str) -> None:
        """An effect whose clip has changed meanwhile is told of, since nobody sees its result."""
        entry = self._parts.queue.entry(job_id)
        if entry is None or not isinstance(entry.job, EffectJob) or not entry.job.clip:
            return
        clip = self._parts.editor.sequence.clip(entry.job.clip)
        if clip is not None and self._parts.states.entry(clip) is None:
            self._parts.tell(
                "warning",
                f"The {entry.job.title} of {entry.job.subject} is done, but its settings changed "
                "while it ran. Ctrl R renders it as it is now.",
            )

    def _act(self, notice: Notice, key: str) -> None:
        removed = self._removed.pop(notice.id, None)
        if removed is not None and key == "undo":
            self._parts.queue.restore(*removed)
        elif key == "queue":
            self._parts.window.show_queue(True)


def _stage_bars(entry: Entry) -> tuple[tuple[str, float], ...]:
    names = entry.stages or ((entry.stage,) if entry.stage else ())
    if entry.stage not in names:
        return ()
    now = names.index(entry.stage)
    part = entry.done / entry.total if entry.total else 0.0
    return tuple(
        (STAGES.get(name, name.capitalize()), 1.0 if i < now else part if i == now else 0.0)
        for i, name in enumerate(names)
    )


def _step(entry: Entry) -> str:
    if entry.total <= 0:
        return "Starting…"
    if isinstance(entry.job, DownloadJob):
        return f"{size_text(entry.done)} of {size_text(entry.total)}"
    is_stepped = isinstance(entry.job, GenerateJob) and entry.stage == "denoise"
    return f"{'Step' if is_stepped else 'Frame'} {entry.done} of {entry.total}"


def _engine_words(job: Job) -> str:
    """Engine and seed of an effect, the shape of an export."""
    if isinstance(job, EffectJob) and job.uses:
        use = job.uses[-1]
        try:
            words = kind(use.kind).engine(use.engine).label
        except EffectError:
            words = use.engine
        seed = use.values.get("seed")
        return f"{words}, on the CPU" + (f" · seed {seed}" if seed else "")
    if isinstance(job, GenerateJob):
        return f"{job.width} × {job.height} · seed {job.seed}"
    if isinstance(job, ExportJob):
        options = job.options
        parts = [options.format.value.upper()]
        if options.ping_pong:
            parts.append("ping-pong")
        if options.loop > 1:
            parts.append(f"{options.loop} times")
        return ", ".join(parts)
    return ""


def open_file(path: Path) -> None:
    """Opens a file in the system's program for it."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))


def copy_file(path: Path) -> None:
    """Puts a file on the clipboard, for pasting into a folder or a message."""
    from PySide6.QtCore import QMimeData

    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    mime.setText(str(path))
    QGuiApplication.clipboard().setMimeData(mime)
