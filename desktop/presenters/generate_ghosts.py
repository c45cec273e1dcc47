"""Clips that are being made, shown on the timeline where they will land."""

from PySide6.QtCore import QObject, QPoint
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QMenu

from desktop.job_entry import Entry, State
from desktop.landings import Foreseen, foreseen
from desktop.parts import Parts
from desktop.presenters.generate_results import GenerateResults
from engine.jobs import GenerateJob
from ui.timeline.ghosts import Ghost

ORDER = {State.DONE: 0, State.STOPPING: 1, State.RUNNING: 1, State.WAITING: 2}
NOTES = {State.WAITING: "waiting", State.STOPPING: "stopping…"}


class GenerateGhosts(QObject):
    """Gives the timeline its ghosts: no clips, no undo steps, only what the queue will bring."""

    def __init__(self, parts: Parts, results: GenerateResults) -> None:
        super().__init__(parts.window)
        self._parts = parts
        self._results = results
        self._pictures: dict[str, tuple[bytes, QImage]] = {}  # job -> decoded preview
        parts.queue.entry_changed.connect(self._entry_changed)
        parts.queue.entries_changed.connect(self.show)
        parts.editor.project_changed.connect(lambda _old, _new: self.show())
        parts.editor.targets_changed.connect(self.show)
        results.changed.connect(self.show)
        parts.timeline.ghost_requested.connect(self._show_job)
        parts.timeline.ghost_menu_requested.connect(self._menu)
        self.show()

    def show(self) -> None:
        """Each where its result would land if it came now, in the order in which they will."""
        entries = {one.id: one for one in self._parts.queue.entries if self._is_coming(one)}
        self._pictures = {key: one for key, one in self._pictures.items() if key in entries}
        jobs = []
        for entry in sorted(entries.values(), key=lambda one: ORDER[one.state]):
            landing = self._results.place_of(entry.id)
            if landing is not None and isinstance(entry.job, GenerateJob):
                jobs.append((entry.job, landing))
        editor = self._parts.editor
        still = self._parts.commands.still_seconds
        found = foreseen(editor.project, jobs, editor.targets, still)
        self._parts.timeline.set_ghosts(
            tuple(
                self._ghost(entries[job], place)
                for job, place in found.items()
                if place.sequence == editor.sequence.id
            )
        )

    def _is_coming(self, entry: Entry) -> bool:
        """Whether a result of it is still to land; one that is done may not be read yet."""
        if not isinstance(entry.job, GenerateJob):
            return False
        if entry.state is State.DONE:
            return self._results.is_arriving(entry.id)
        return entry.state in ORDER

    def _entry_changed(self, job_id: str) -> None:
        entry = self._parts.queue.entry(job_id)
        if entry is not None and isinstance(entry.job, GenerateJob):
            self.show()

    def _ghost(self, entry: Entry, place: Foreseen) -> Ghost:
        return Ghost(
            entry.id,
            entry.job.title,
            place.clip.start,
            place.clip.duration,
            place.track,
            place.coming,
            entry.fraction,
            NOTES.get(entry.state, ""),
            entry.job.subject,
            self._picture(entry),
        )

    def _picture(self, entry: Entry) -> QImage | None:
        if not entry.preview:
            return None
        known = self._pictures.get(entry.id)
        if known is None or known[0] != entry.preview:
            known = (entry.preview, QImage.fromData(entry.preview))
            self._pictures[entry.id] = known
        return known[1]

    def _show_job(self, job_id: str) -> None:
        self._parts.window.show_queue(True)
        self._parts.window.queue.focus_job(job_id)

    def _menu(self, job_id: str, at: QPoint) -> None:
        menu = QMenu(self._parts.window)
        menu.addAction("Show in the queue", lambda: self._show_job(job_id))
        menu.addAction("Cancel", lambda: self._parts.queue.cancel(job_id))
        menu.exec(at)
        menu.deleteLater()
