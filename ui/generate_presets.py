"""The presets of the Generate panel: three cards of which one may be chosen."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from ui import theme
from ui.controls import FROM_KEYS, label
from ui.generate_form import CUSTOM, PRESETS
from ui.keys import SIDEWAYS
from ui.panels import column, row

HEIGHT = 52


class PresetCard(QAbstractButton):
    """A preset: its name and what it means."""

    NEEDED_KEYS = SIDEWAYS

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setText(name)
        self.setCheckable(True)
        self.setFixedHeight(HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(FROM_KEYS)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self._line = ""

    def set_line(self, line: str) -> None:
        self._line = line
        self.setAccessibleName(f"{self.text()}: {line}")
        self.setToolTip(f"{self.text()}. {line}")
        self.update()

    def line(self) -> str:
        return self._line

    def sizeHint(self) -> QSize:
        return QSize(120, HEIGHT)

    def nextCheckState(self) -> None:
        """A click asks; the answer sets the check."""

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        chosen = self.isChecked()
        fill = "accent_tint" if chosen else "hover" if self.underMouse() else "raised"
        if self.isDown():
            fill = "accent_line" if chosen else "pressed"
        painter.setPen(QPen(theme.colour("accent_line" if chosen else "border"), 1))
        painter.setBrush(theme.colour(fill))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        painter.setFont(theme.font("body", 600))
        painter.setPen(theme.colour("accent" if chosen else "text"))
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(12, 6, self.width() - 36, 20), middle, self.text())
        if chosen:
            tick = theme.pixmap("check", "accent", 16, self.devicePixelRatioF())
            painter.drawPixmap(QPointF(self.width() - 26, 8), tick)
        painter.setFont(theme.font("small", tabular=True))
        painter.setPen(theme.colour("text2"))
        room = QRectF(12, 26, self.width() - 20, 18)
        metrics, line = painter.fontMetrics(), self._line
        if metrics.horizontalAdvance(line) > room.width():
            line = line.split(" · ")[-1]  # the time says more than the steps
        shown = metrics.elidedText(line, Qt.TextElideMode.ElideRight, int(room.width()))
        painter.drawText(room, middle, shown)


class Presets(QWidget):
    """Fast, Balanced, Best; below them what a distilled file has set, or that they are left."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        outer = column(self, gap=6)
        cards = row(gap=8)
        self._cards: dict[str, PresetCard] = {}
        for key, name in PRESETS:
            card = PresetCard(name, self)
            card.clicked.connect(lambda _=False, key=key: self.chosen.emit(key))
            self._cards[key] = card
            cards.addWidget(card)
        outer.addLayout(cards)
        self._note = label("", "small", tone="text2", parent=self)
        self._note.setWordWrap(True)
        self._note.hide()
        outer.addWidget(self._note)

    def set_value(self, preset: str, lines: dict[str, str], note: str) -> None:
        """The chosen preset, or "custom"; a line for each; a sentence below, or ""."""
        for key, card in self._cards.items():
            card.setChecked(key == preset)
            card.set_line(lines.get(key, ""))
        if not note and preset == CUSTOM:
            note = "Custom: changed from the presets."
        self._note.setText(note)
        self._note.setVisible(bool(note))

    def cards(self) -> dict[str, PresetCard]:
        return self._cards

    def note(self) -> str:
        return self._note.text()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        cards = list(self._cards.values())
        places = [i for i, one in enumerate(cards) if one.hasFocus()]
        if step is None or not places:
            super().keyPressEvent(event)
            return
        following = cards[min(len(cards) - 1, max(0, places[0] + step))]
        following.setFocus(Qt.FocusReason.OtherFocusReason)
