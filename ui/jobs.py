"""The queue panel: what runs, waits, failed and is done."""

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtWidgets import QApplication, QFrame, QMenu, QScrollArea, QStackedLayout, QWidget

from ui import theme
from ui.controls import icon_button, label, push_button
from ui.job_rows import DONE, FAILED, ROWS, RUNNING, STOPPING, WAITING, Entry, JobRow
from ui.panels import EmptyState, Header, column, row, surface

__all__ = ["DONE", "FAILED", "RUNNING", "STOPPING", "WAITING", "JobRow", "QueuePanel"]

SECTIONS = (
    ("Running", (RUNNING, STOPPING)),
    ("Waiting", (WAITING,)),
    ("Failed", (FAILED,)),
    ("Done", (DONE,)),
)


class QueuePanel(QFrame):
    """The side panel. It is given `JobRow`s and says what the person wants."""

    cancel_requested = Signal(str)
    remove_requested = Signal(str)
    remedy_requested = Signal(str, str)  # id, key of the remedy
    details_requested = Signal(str)
    show_requested = Signal(str)
    folder_requested = Signal(str)
    copy_requested = Signal(str)
    again_requested = Signal(str)  # its settings, to be changed and used again
    move_requested = Signal(str, int)  # a waiting job, its new place among the waiting
    pause_requested = Signal(bool)
    cancel_waiting_requested = Signal()
    clear_requested = Signal()
    logs_requested = Signal()
    close_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("surface", "panel")
        self.setAccessibleName("Queue")
        self._entries: list[Entry] = []
        self._structure: tuple[tuple[str, str, int], ...] = ()
        self._paused = False
        outer = column(self)
        header = Header(self)
        header.row.addWidget(label("Queue", "body", 600, parent=header))
        self._counts = label("", "body", tone="text2", tabular=True, parent=header)
        header.row.addWidget(self._counts)
        header.row.addStretch(1)
        self._pause = push_button("Pause", "quiet", "pause", parent=header)
        self._pause.setToolTip("The running job ends first.")
        self._more = icon_button("more", "More", parent=header)
        close = icon_button("close", "Close the queue", "Ctrl+Shift+Q", parent=header)
        for widget in (self._pause, self._more, close):
            header.row.addWidget(widget)
        outer.addWidget(header)
        body = QWidget(self)
        self._stack = QStackedLayout(body)
        self._empty = EmptyState(
            "queue", "Nothing to do", "Effects, generated clips and exports show up here."
        )
        self._scroll = QScrollArea(body)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # keeps room
        self._list = QWidget(self._scroll)
        self._column = column(self._list, (12, 4, 4, 12), 0)
        self._scroll.setWidget(self._list)
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self._scroll)
        outer.addWidget(body, 1)
        self._line = surface("accent", self._list)
        self._line.hide()
        self._pause.clicked.connect(lambda: self.pause_requested.emit(not self._paused))
        self._more.clicked.connect(self._show_menu)
        close.clicked.connect(self.close_requested)

    def set_paused(self, paused: bool) -> None:
        self._paused = paused
        self._pause.setText("Resume" if paused else "Pause")
        self._pause.setIcon(theme.icon("play" if paused else "pause"))

    def set_rows(self, rows: list[JobRow]) -> None:
        """What the queue holds: waiting ones in their order, done ones newest first."""
        ordered = [one for _, states in SECTIONS for one in rows if one.state in states]
        structure = tuple(
            (one.id, "running" if one.state == STOPPING else one.state, _shape(one))
            for one in ordered
        )
        if structure == self._structure:
            for entry, job in zip(self._entries, ordered, strict=True):
                if entry.job != job:
                    entry.show_job(job)
        else:
            self._structure = structure
            self._rebuild(ordered)
        self._show_counts(ordered)

    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries)

    def focus_job(self, job_id: str) -> None:
        """Puts the focus on the row of a job."""
        for entry in self._entries:
            if entry.job.id == job_id:
                entry.setFocus(Qt.FocusReason.TabFocusReason)
                self._scroll.ensureWidgetVisible(entry)

    def counts_text(self) -> str:
        return self._counts.text()

    def _show_counts(self, rows: list[JobRow]) -> None:
        running = sum(one.state in (RUNNING, STOPPING) for one in rows)
        waiting = sum(one.state == WAITING for one in rows)
        parts = [f"{running} running"] if running else []
        parts += [f"{waiting} waiting"] if waiting else []
        if self._paused:
            parts.append("paused")
        self._counts.setText(", ".join(parts))

    def _rebuild(self, rows: list[JobRow]) -> None:
        focused = next((one.job.id for one in self._entries if one.hasFocus()), "")
        while (item := self._column.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()
                old.deleteLater()
        self._entries = []
        for title, states in SECTIONS:
            members = [one for one in rows if one.state in states]
            if not members:
                continue
            self._column.addWidget(self._section(title, len(members)))
            for job in members:
                entry = ROWS[job.state](job, self._list)
                self._wire(entry)
                self._column.addWidget(entry)
                if job.state in (RUNNING, STOPPING, FAILED):
                    self._column.addSpacing(4)
                self._entries.append(entry)
        self._column.addStretch(1)
        self._stack.setCurrentWidget(self._scroll if self._entries else self._empty)
        again = next((one for one in self._entries if one.job.id == focused), None)
        if again is not None:
            again.show()  # a hidden widget would take the focus only later, or never
            again.setFocus(Qt.FocusReason.OtherFocusReason)

    def _section(self, title: str, number: int) -> QWidget:
        strip = QWidget(self._list)
        strip.setFixedHeight(36)
        inner = row(strip, (0, 4, 0, 0), 8)
        inner.addWidget(label(title, "small", 500, tone="text2", parent=strip))
        inner.addWidget(label(str(number), "small", tone="text3", parent=strip))
        inner.addStretch(1)
        if title == "Waiting" and number > 1:
            inner.addWidget(label("drag to reorder", "small", tone="text3", parent=strip))
        if title == "Done":
            clear = push_button("Clear", "quiet", parent=strip)
            clear.clicked.connect(self.clear_requested)
            inner.addWidget(clear)
        return strip

    def _wire(self, entry: Entry) -> None:
        entry.cancel_requested.connect(self.cancel_requested)
        entry.remove_requested.connect(self.remove_requested)
        entry.remedy_requested.connect(self.remedy_requested)
        entry.details_requested.connect(self.details_requested)
        entry.show_requested.connect(self.show_requested)
        entry.folder_requested.connect(self.folder_requested)
        entry.copy_requested.connect(self.copy_requested)
        entry.again_requested.connect(self.again_requested)
        entry.step_requested.connect(self._step)
        entry.drag_moved.connect(self._drag)
        entry.focus_step.connect(self._focus_step)

    def _waiting(self) -> list[Entry]:
        return [one for one in self._entries if one.job.state == WAITING]

    def _step(self, job_id: str, step: int) -> None:
        ids = [one.job.id for one in self._waiting()]
        if job_id in ids and 0 <= ids.index(job_id) + step < len(ids):
            self.move_requested.emit(job_id, ids.index(job_id) + step)

    def _drag(self, job_id: str, at: QPoint, final: bool) -> None:
        """Shows a line where the waiting job would land; on release asks for it."""
        others = [one for one in self._waiting() if one.job.id != job_id]
        if not others:
            return
        y = self._list.mapFromGlobal(at).y()
        place = sum(1 for one in others if one.geometry().center().y() < y)
        if final:
            self._line.hide()
            ids = [one.job.id for one in self._waiting()]
            if place != ids.index(job_id):
                self.move_requested.emit(job_id, place)
            return
        target = others[min(place, len(others) - 1)].geometry()
        edge = target.top() - 1 if place < len(others) else target.bottom()
        self._line.setGeometry(12, edge, self._list.width() - 24, 2)
        self._line.raise_()
        self._line.show()

    def _focus_step(self, step: int) -> None:
        focus = QApplication.focusWidget()
        places = [i for i, one in enumerate(self._entries) if one is focus]
        if places and 0 <= places[0] + step < len(self._entries):
            following = self._entries[places[0] + step]
            following.setFocus(Qt.FocusReason.TabFocusReason)
            self._scroll.ensureWidgetVisible(following)

    def _show_menu(self) -> None:
        menu = QMenu(self)
        waiting = menu.addAction("Cancel all waiting", self.cancel_waiting_requested.emit)
        waiting.setEnabled(bool(self._waiting()))
        done = menu.addAction("Clear done", self.clear_requested.emit)
        done.setEnabled(any(one.job.state == DONE for one in self._entries))
        menu.addSeparator()
        menu.addAction("Show the log folder", self.logs_requested.emit)
        menu.exec(self._more.mapToGlobal(QPoint(0, self._more.height() + 4)))
        menu.deleteLater()


def _shape(job: JobRow) -> int:
    """Changes when a row needs other widgets, not only other values."""
    if job.state == FAILED:
        return hash((job.message, job.kept, job.remedies, job.has_details))
    return hash((bool(job.file), job.can_show, job.notes))
