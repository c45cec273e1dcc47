"""The foot of the inspector: what a run costs, and the button that starts or cancels it."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QApplication, QFrame, QWidget

from ui.controls import Elided, paint_ring, push_button, set_kind, with_help
from ui.panels import Sign, column, row


class RenderButton(QWidget):
    """Render, «42 % · Cancel» with a ring, or «Rendered»."""

    render_requested = Signal(bool)  # all stale ones
    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        inner = row(self)
        self._button = push_button("Render", "primary", parent=self)
        self._button.clicked.connect(self._click)
        inner.addWidget(self._button)
        self._running = False
        self._ring = _Ring(self._button)
        self._ring.hide()

    def show_state(self, name: str, fraction: float, clips: int) -> None:
        """State: "stale", "running", "waiting", "fresh", or "" when there is nothing to render."""
        self._running = name in ("running", "waiting")
        self._ring.setVisible(self._running)
        self._ring.set_fraction(fraction)
        set_kind(self._button, "" if self._running else "primary")
        words = f"Render {clips} clips" if clips > 1 else "Render"
        if name == "running":
            words = f"{round(fraction * 100)} % · Cancel"
        elif name == "waiting":
            words = "Waiting · Cancel"
        elif name == "fresh":
            words = "Rendered"
        self._button.setText(words)
        self._place_ring()
        self._button.setEnabled(name not in ("fresh", ""))
        if self._running:
            with_help(self._button, "Cancel")
        elif name == "fresh":
            with_help(self._button, words, "", "Everything here is rendered.")
        else:
            line = "Shift renders all stale effects of the sequence."
            with_help(self._button, words, "Ctrl+R", line)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_ring()

    def _place_ring(self) -> None:
        words = self._button.fontMetrics().horizontalAdvance(self._button.text())
        self._ring.move(max(8, (self.width() - words) // 2 - 26), (self.height() - 16) // 2)

    def _click(self) -> None:
        if self._running:
            self.cancel_requested.emit()
            return
        shift = Qt.KeyboardModifier.ShiftModifier
        self.render_requested.emit(bool(QApplication.keyboardModifiers() & shift))


class _Ring(QWidget):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setFixedSize(16, 16)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._fraction = 0.0

    def set_fraction(self, fraction: float) -> None:
        self._fraction = fraction
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        paint_ring(QPainter(self), self.rect().toRectF(), self._fraction)


class RenderFoot(QFrame):
    """76 px: the plan line over the Render button, and Compare beside it."""

    compare_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("surface", "panel_foot")
        self.setFixedHeight(76)
        inner = column(self, (12, 8, 12, 12), 6)
        line = row(gap=8)
        self._sign = Sign("chip", "accent", 16, self)
        self._plan = Elided("", "small", token="text2", tabular=True, parent=self)
        line.addWidget(self._sign)
        line.addWidget(self._plan, 1)
        inner.addLayout(line)
        self.render_button = RenderButton(self)
        buttons = row(gap=8)
        buttons.addWidget(self.render_button, 1)
        self._compare = push_button("Compare", "", "compare", parent=self)
        with_help(self._compare, "Compare", "D", "Before and after of the effects in the viewer.")
        self._compare.clicked.connect(self.compare_requested)
        self._compare.hide()
        buttons.addWidget(self._compare)
        inner.addLayout(buttons)

    def set_compare(self, shown: bool) -> None:
        """Whether there is something rendered to compare."""
        self._compare.setVisible(shown)

    def set_plan(self, text: str, sign: str) -> None:
        self._plan.set_text(text)
        self._sign.set(sign, "warn" if sign == "warning" else "accent")
