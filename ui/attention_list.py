"""The list of attention modes: one is chosen, and what cannot be used says why."""

from dataclasses import dataclass

from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from ui import theme
from ui.controls import FROM_KEYS
from ui.keys import UPWARDS
from ui.panels import hairline
from ui.weights_rows import Box, fill_inside

HEIGHT = 31


@dataclass(frozen=True)
class ModeRow:
    """A way to compute attention. `why`: it cannot be used, "" where it can. `note`: about it."""

    mode: str
    label: str
    why: str = ""
    note: str = ""


class ModeLine(QAbstractButton):
    """A mode with a round sign that is filled where it is chosen."""

    NEEDED_KEYS = UPWARDS

    def __init__(self, shown: ModeRow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.shown = shown
        self.setText(shown.label)
        self.setCheckable(True)
        self.setAutoExclusive(True)
        self.setEnabled(not shown.why)
        self.setFocusPolicy(FROM_KEYS)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setMinimumHeight(HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFont(theme.font("body"))
        said = f"{shown.label}, not available: {shown.why}" if shown.why else shown.label
        self.setAccessibleName(said)
        self.setToolTip(shown.why or shown.note)

    def sizeHint(self) -> QSize:
        return QSize(200, max(HEIGHT, self.fontMetrics().height() + 12))

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.isEnabled() and self.underMouse():
            fill_inside(self, "hover")
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        on, enabled = self.isChecked(), self.isEnabled()
        ring = QRectF(12.75, (self.height() - 14.5) / 2, 14.5, 14.5)
        token = "accent_fill" if on else "text3" if enabled else "line"
        painter.setPen(QPen(theme.colour(token), 1.5))
        painter.setBrush(theme.colour("accent_fill" if on else "field"))
        painter.drawEllipse(ring)
        if on:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour("on_accent"))
            painter.drawEllipse(ring.center(), 3, 3)
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.setPen(theme.colour("text" if enabled else "disabled"))
        words = QRect(40, 0, self.width() - 52, self.height())
        painter.drawText(words, middle, self.text())
        beside = self.shown.why or self.shown.note
        if beside:
            taken = painter.fontMetrics().horizontalAdvance(self.text()) + 16
            painter.setFont(theme.font("small"))
            painter.setPen(theme.colour("text3"))
            room = words.adjusted(taken, 0, 0, 0)
            shown = painter.fontMetrics().elidedText(
                beside, Qt.TextElideMode.ElideRight, room.width()
            )
            painter.drawText(room, middle | Qt.AlignmentFlag.AlignRight, shown)


class AttentionList(Box):
    """All modes; Up and Down choose among those that can be used."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Attention")
        self._modes: tuple[ModeRow, ...] = ()
        self._buttons: dict[str, ModeLine] = {}

    def show_modes(self, chosen: str, modes: tuple[ModeRow, ...]) -> None:
        """Shows `modes`; says nothing to listeners."""
        if modes != self._modes:
            self._fill(modes)
        button = self._buttons.get(chosen)
        if button is not None:
            button.blockSignals(True)
            button.setChecked(True)
            button.blockSignals(False)

    def modes(self) -> dict[str, ModeLine]:
        return self._buttons

    def _fill(self, modes: tuple[ModeRow, ...]) -> None:
        while (item := self.lines.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()
                old.deleteLater()
        self._modes, self._buttons = modes, {}
        for shown in modes:
            if self._buttons:
                self.lines.addWidget(hairline(self))
            button = ModeLine(shown, self)
            button.toggled.connect(
                lambda on, mode=shown.mode: self.chosen.emit(mode) if on else None
            )
            self.lines.addWidget(button)
            self._buttons[shown.mode] = button
