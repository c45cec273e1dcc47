"""Dialogs without a frame of the system's: their own edge, round corners, header."""

from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QDialog, QWidget

from ui import theme
from ui.controls import icon_button, label
from ui.panels import column, row, surface

HEADER = 44


class Plate(QDialog):
    """A plain rounded plate; `column` takes the content."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setWindowFlags(Qt.WindowType.Dialog | Qt.WindowType.FramelessWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.column = column(self, (1, 1, 1, 1))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.colour("border"), 1))
        painter.setBrush(theme.colour("panel"))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)


class Sheet(Plate):
    """`column` takes the content under the header; the header drags the dialog."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(title, parent)
        self._drag: QPoint | None = None
        head = surface("clear_top", self)
        head.setFixedHeight(HEADER)
        inner = row(head, (20, 0, 12, 0), 8)
        inner.addWidget(label(title, "heading", parent=head))
        self._subject = label("", "small", tone="text2", parent=head)
        inner.addWidget(self._subject)
        inner.addStretch(1)
        close = icon_button("close", "Close", "Esc", parent=head)
        close.clicked.connect(self.reject)
        inner.addWidget(close)
        self.column.addWidget(head)

    def set_subject(self, text: str) -> None:
        """What the dialog is about, beside its title."""
        self._subject.setText(text)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.position().y() < HEADER:
            self._drag = event.globalPosition().toPoint() - self.pos()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._drag is not None:
            self.move(event.globalPosition().toPoint() - self._drag)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._drag = None
