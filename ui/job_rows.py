"""The rows of the queue: a card for what runs or failed, a line for what waits or is done."""

from dataclasses import dataclass

from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QImage, QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QMenu, QSizePolicy, QWidget

from ui import theme
from ui.controls import Elided, icon_button, label, push_button
from ui.effect_card import DragHandle
from ui.keys import AWAY, UPWARDS
from ui.panels import Sign, column, row
from ui.pictures import Picture, paint_picture
from ui.tiles import paint_label

RUNNING, STOPPING, WAITING, FAILED, DONE = "running", "stopping", "waiting", "failed", "done"


@dataclass(frozen=True)
class JobRow:
    """One entry of the queue as it is shown.

    `detail`: the line under the name: engine, seed and time left of a running job, the estimate
    of a waiting one, size and seconds of a finished one. `stages`: (name, 0 to 1). `message` and
    `kept`: why it failed, what is kept. `remedies`: (key, words), the best first. `notes`: what
    a finished job tells of how it went.
    """

    id: str
    state: str
    title: str
    subject: str = ""
    icon: str = "queue"
    detail: str = ""
    fraction: float = 0.0
    stages: tuple[tuple[str, float], ...] = ()
    step: str = ""
    thumbnail: QImage | None = None
    preview: QImage | None = None
    preview_label: str = ""
    message: str = ""
    kept: str = ""
    remedies: tuple[tuple[str, str], ...] = ()
    has_details: bool = False
    notes: tuple[str, ...] = ()
    can_show: bool = False
    can_repeat: bool = False  # its settings can be used again
    file: str = ""  # of a finished export

    @property
    def name(self) -> str:
        return f"{self.title} · {self.subject}" if self.subject else self.title


class StageBars(QWidget):
    """One bar per stage, 4 high, with its name; ticked when it is over."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stages: tuple[tuple[str, float], ...] = ()
        self.setFixedHeight(28)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_stages(self, stages: tuple[tuple[str, float], ...]) -> None:
        if stages == self._stages:
            return
        self._stages = stages
        said = ", ".join(f"{name} {round(part * 100)} percent" for name, part in stages)
        self.setAccessibleName(said)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._stages:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        gap, number = 4, len(self._stages)
        width = (self.width() - gap * (number - 1)) / number
        current = next((i for i, (_, part) in enumerate(self._stages) if part < 1), number)
        for i, (name, part) in enumerate(self._stages):
            left = i * (width + gap)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour("border"))
            painter.drawRoundedRect(QRectF(left, 2, width, 4), 2, 2)
            if part > 0:
                painter.setBrush(theme.colour("accent_fill"))
                painter.drawRoundedRect(QRectF(left, 2, max(4, width * min(1, part)), 4), 2, 2)
            words = QRectF(left, 10, width, 16)
            if part >= 1:
                sign = theme.pixmap("check", "text2", 12, self.devicePixelRatioF())
                painter.drawPixmap(QPointF(left, 12), sign)
                words.adjust(16, 0, 0, 0)
            painter.setFont(theme.font("micro", 600 if i == current else 400))
            token = "text" if i == current else "text2" if part >= 1 else "text3"
            painter.setPen(theme.colour(token))
            painter.drawText(words, Qt.AlignmentFlag.AlignVCenter, name)


class Preview(QWidget):
    """The latest picture of a running job, 16:9, with a label on it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image: QImage | None = None
        self._label = ""
        self._icon = ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(198)

    def set_picture(self, image: QImage | None, text: str, icon: str) -> None:
        self._image, self._label, self._icon = image, text, icon
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.setFixedHeight(round(self.width() * 9 / 16))

    def sizeHint(self) -> QSize:
        return QSize(352, 198)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        area = QRectF(self.rect())
        paint_picture(painter, area, None, "" if self._image else self._icon, "viewer")
        if self._image is not None and not self._image.isNull():
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            width, height = self._image.width(), self._image.height()
            scale = min(area.width() / width, area.height() / height)
            shown = QRectF(0, 0, width * scale, height * scale)
            shown.moveCenter(area.center())
            paint_picture(painter, shown, self._image)
        if self._label:
            width = painter.fontMetrics().horizontalAdvance(self._label)
            painter.setFont(theme.font("micro", 500, tabular=True))
            width = painter.fontMetrics().horizontalAdvance(self._label) + 8
            paint_label(painter, QPointF(8 + width, self.height() - 6), self._label)


class Entry(QFrame):
    """What all rows share: the focus, its outline, and the keys."""

    NEEDED_KEYS = UPWARDS | AWAY
    cancel_requested = Signal(str)
    remove_requested = Signal(str)
    remedy_requested = Signal(str, str)  # id, key
    details_requested = Signal(str)
    show_requested = Signal(str)
    folder_requested = Signal(str)
    copy_requested = Signal(str)
    again_requested = Signal(str)
    step_requested = Signal(str, int)  # a waiting job up or down
    drag_moved = Signal(str, QPoint, bool)  # id, global position, final
    focus_step = Signal(int)

    def __init__(self, job: JobRow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.job = job
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setProperty("focus_ring", True)
        self.setAccessibleName(f"{job.name}, {job.state}")

    def show_job(self, job: JobRow) -> None:
        self.job = job
        self.setAccessibleName(f"{job.name}, {job.state}, {round(job.fraction * 100)} percent")

    def main_action(self) -> None:
        """What Enter does."""

    def take_away(self) -> None:
        """What Delete does."""
        self.remove_requested.emit(self.job.id)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, alt = event.key(), event.modifiers() & Qt.KeyboardModifier.AltModifier
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            step = -1 if key == Qt.Key.Key_Up else 1
            if alt:
                self.step_requested.emit(self.job.id, step)
            else:
                self.focus_step.emit(step)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.main_action()
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.take_away()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()


class RunningCard(Entry):
    def __init__(self, job: JobRow, parent: QWidget | None = None) -> None:
        super().__init__(job, parent)
        self.setProperty("surface", "card")
        inner = column(self, (12, 12, 12, 12), 0)
        self._preview = Preview(self)
        inner.addWidget(self._preview)
        inner.addSpacing(10)
        line = row(gap=8)
        self._sign = Sign(job.icon, "accent", 16, self)
        self._title = Elided(job.title, "body", 600, parent=self)
        self._title.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._subject = Elided(job.subject, "body", token="text2", middle=True, parent=self)
        self._percent = label("", "body", 600, tabular=True, parent=self)
        line.addWidget(self._sign)
        line.addWidget(self._title)
        line.addWidget(self._subject, 1)
        line.addWidget(self._percent)
        inner.addLayout(line)
        inner.addSpacing(3)
        self._detail = Elided("", "small", token="text2", tabular=True, parent=self)
        inner.addWidget(self._detail)
        inner.addSpacing(8)
        self._stages = StageBars(self)
        inner.addWidget(self._stages)
        inner.addSpacing(8)
        foot = row(gap=8)
        self._step = Elided("", "small", token="text2", tabular=True, parent=self)
        self._cancel = push_button("Cancel", icon="stop", parent=self)
        self._cancel.clicked.connect(lambda: self.cancel_requested.emit(self.job.id))
        foot.addWidget(self._step, 1)
        foot.addWidget(self._cancel)
        inner.addLayout(foot)
        self.show_job(job)

    def show_job(self, job: JobRow) -> None:
        super().show_job(job)
        self._preview.set_picture(job.preview or job.thumbnail, job.preview_label, job.icon)
        self._title.set_text(job.title)
        self._subject.set_text(job.subject)
        self._percent.setText(f"{round(job.fraction * 100)} %")
        self._detail.set_text(job.detail)
        self._stages.set_stages(job.stages)
        self._stages.setVisible(bool(job.stages))
        self._step.set_text(job.step)
        stopping = job.state == STOPPING
        self._cancel.setEnabled(not stopping)
        self._cancel.setText("Stopping…" if stopping else "Cancel")

    def take_away(self) -> None:
        if self._cancel.isEnabled():
            self.cancel_requested.emit(self.job.id)


class _Line(Entry):
    """A row of 48: picture 64 x 36, icon and name, a line under it."""

    def __init__(self, job: JobRow, parent: QWidget | None = None) -> None:
        super().__init__(job, parent)
        self.setFixedHeight(48)
        self.line = row(self, (0, 0, 0, 0), 12)
        self._picture = Picture(64, 36, self)
        words = column(gap=0)
        words.addStretch(1)
        first = row(gap=4)
        self._sign = Sign(job.icon, "accent", 16, self)
        self._name = Elided(job.name, "body", 500, middle=False, parent=self)
        first.addWidget(self._sign)
        first.addWidget(self._name, 1)
        words.addLayout(first)
        self._detail = Elided("", "small", token="text2", tabular=True, parent=self)
        words.addWidget(self._detail)
        words.addStretch(1)
        self.line.addWidget(self._picture)
        self.line.addLayout(words, 1)

    def show_job(self, job: JobRow) -> None:
        super().show_job(job)
        self._picture.set_image(job.thumbnail, job.icon)
        self._sign.set(job.icon, "accent")
        self._name.set_text(job.name)
        self._detail.set_text(job.detail)


class WaitingRow(_Line):
    def __init__(self, job: JobRow, parent: QWidget | None = None) -> None:
        super().__init__(job, parent)
        self.handle = DragHandle(self)
        self.handle.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the row has the keys
        self.line.insertWidget(0, self.handle)
        cross = icon_button("close", "Remove from the queue", "Del", parent=self)
        cross.clicked.connect(lambda: self.remove_requested.emit(self.job.id))
        self.line.addWidget(cross)
        self.handle.dragged.connect(lambda at, final: self.drag_moved.emit(self.job.id, at, final))
        self.show_job(job)


class FailedCard(Entry):
    def __init__(self, job: JobRow, parent: QWidget | None = None) -> None:
        super().__init__(job, parent)
        self.setProperty("surface", "card_failed")
        inner = column(self, (12, 12, 8, 10), 0)
        line = row(gap=8)
        line.addWidget(Sign("error", "error", 16, self))
        title = Elided(job.title, "body", 600, parent=self)
        title.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        line.addWidget(title)
        subject = Elided(job.subject, "body", token="text2", middle=True, parent=self)
        line.addWidget(subject, 1)
        inner.addLayout(line)
        inner.addSpacing(6)
        self._message = label(job.message, "body", parent=self)
        self._message.setWordWrap(True)
        self._message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._message.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        inner.addWidget(self._message)
        if job.kept:
            kept = label(job.kept, "small", tone="text2", parent=self)
            kept.setWordWrap(True)
            inner.addWidget(kept)
        inner.addSpacing(10)
        foot = row(gap=8)
        for i, (key, words) in enumerate(job.remedies[:2]):
            kind = "tinted" if i == 0 else "quiet"
            icon = "retry" if key.startswith("retry") else "folder" if "folder" in key else ""
            button = push_button(words, kind, icon, parent=self)
            button.clicked.connect(
                lambda _=False, key=key: self.remedy_requested.emit(self.job.id, key)
            )
            foot.addWidget(button)
        if job.has_details:
            details = push_button("Details", "quiet", parent=self)
            details.clicked.connect(lambda: self.details_requested.emit(self.job.id))
            foot.addWidget(details)
        foot.addStretch(1)
        cross = icon_button("close", "Remove from the queue", "Del", parent=self)
        cross.clicked.connect(lambda: self.remove_requested.emit(self.job.id))
        foot.addWidget(cross)
        inner.addLayout(foot)

    def main_action(self) -> None:
        if self.job.remedies:
            self.remedy_requested.emit(self.job.id, self.job.remedies[0][0])


class DoneRow(_Line):
    def __init__(self, job: JobRow, parent: QWidget | None = None) -> None:
        super().__init__(job, parent)
        self.line.insertWidget(0, Sign("done", "accent", 16, self))
        actions = row(gap=0)
        self.line.addLayout(actions)
        if job.notes:
            told = icon_button("info", "How it went", parent=self)
            told.clicked.connect(lambda: self.details_requested.emit(self.job.id))
            actions.addWidget(told)
        if job.file:
            folder = icon_button("folder", "Show in folder", parent=self)
            folder.clicked.connect(lambda: self.folder_requested.emit(self.job.id))
            self._more = icon_button("more", "More", parent=self)
            self._more.clicked.connect(self._show_menu)
            actions.addWidget(folder)
            actions.addWidget(self._more)
        elif job.can_show:
            show = push_button("Show", "quiet", parent=self)
            show.clicked.connect(lambda: self.show_requested.emit(self.job.id))
            actions.addWidget(show)
        self.show_job(job)

    def main_action(self) -> None:
        if self.job.file:
            self.folder_requested.emit(self.job.id)
        elif self.job.can_show:
            self.show_requested.emit(self.job.id)

    def _show_menu(self) -> None:
        menu = QMenu(self)
        if self.job.can_repeat:
            menu.addAction(
                "Use these settings again", lambda: self.again_requested.emit(self.job.id)
            )
        menu.addAction("Copy", lambda: self.copy_requested.emit(self.job.id))
        menu.addAction("Remove from the list", lambda: self.remove_requested.emit(self.job.id))
        menu.exec(self._more.mapToGlobal(QPoint(0, self._more.height() + 4)))
        menu.deleteLater()


ROWS: dict[str, type[Entry]] = {
    RUNNING: RunningCard,
    STOPPING: RunningCard,
    WAITING: WaitingRow,
    FAILED: FailedCard,
    DONE: DoneRow,
}
