"""The effects browser of the bin: families as folds, each engine a row to drag onto a clip."""

import re

from PySide6.QtCore import QByteArray, QMimeData, QPoint, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QDrag, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QAbstractButton, QFrame, QScrollArea, QWidget

from engine.timeline.effects import EFFECTS, EffectKind, Engine
from ui import theme
from ui.controls import label
from ui.engines import EngineState, EngineStates
from ui.keys import UPWARDS
from ui.panels import Fold, column

EFFECT_MIME = "application/x-reelwright-effect"


class EffectRow(QAbstractButton):
    """One engine, 48 px: double-click or Enter puts it on the selected clips."""

    NEEDED_KEYS = UPWARDS
    chosen = Signal(str, str)  # kind, engine

    def __init__(self, kind: EffectKind, engine: Engine, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind, self.engine = kind, engine
        self.setFixedHeight(48)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setText(engine.label)
        self.setAccessibleName(f"{kind.label}: {engine.label}")
        self._press: QPoint | None = None
        self._line = ""
        self.show_state(EngineState())

    def show_state(self, state: EngineState) -> None:
        """Says under the name what keeps the engine from running, if something does."""
        first = re.split(r"[,.]", self.engine.note)[0]  # the tip has the rest
        self._line = state.reason or (f"{state.get} of weights first" if state.get else first)
        why = state.reason and f"{state.reason[:1].upper()}{state.reason[1:]}."
        note = f"{self.engine.note} {why or state.lacks}".strip()
        self.setEnabled(not state.reason)
        self.setAccessibleDescription(f"{note} Enter puts it on the selected clips.")
        self.setToolTip(f"{note}\nDrag it onto a clip, or double-click for the selection.")
        self.update()

    def matches(self, words: str) -> bool:
        """Whether the row is shown for a search."""
        text = f"{self.kind.label} {self.engine.label} {self.engine.note}".casefold()
        return all(word in text for word in words.casefold().split())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._press = event.position().toPoint()
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._press is None or not event.buttons() & Qt.MouseButton.LeftButton:
            return
        if (event.position().toPoint() - self._press).manhattanLength() < 6:
            return
        self._press = None
        mime = QMimeData()
        named = f"{self.kind.name}/{self.engine.name}"
        mime.setData(EFFECT_MIME, QByteArray(named.encode()))
        drag = QDrag(self)
        drag.setMimeData(mime)
        drag.setPixmap(self._drag_picture())
        drag.setHotSpot(QPoint(-8, -8))
        drag.exec(Qt.DropAction.CopyAction)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.chosen.emit(self.kind.name, self.engine.name)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.chosen.emit(self.kind.name, self.engine.name)
        elif event.key() == Qt.Key.Key_Down:
            self.focusNextChild()
        elif event.key() == Qt.Key.Key_Up:
            self.focusPreviousChild()
        else:
            super().keyPressEvent(event)

    def _drag_picture(self) -> QPixmap:
        font = theme.font("small", 500)
        scale = self.devicePixelRatioF()
        words = self.fontMetrics().horizontalAdvance(self.text())
        picture = QPixmap(round((words + 44) * scale), round(28 * scale))
        picture.setDevicePixelRatio(scale)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(theme.colour("accent"))
        painter.setBrush(theme.colour("accent_tint"))
        painter.drawRoundedRect(QRectF(0.5, 0.5, words + 43, 27), 4, 4)
        painter.drawPixmap(QPointF(8, 6), theme.pixmap(self.kind.icon, "accent", 16, scale))
        painter.setFont(font)
        painter.drawText(QRect(32, 0, words + 12, 28), Qt.AlignmentFlag.AlignVCenter, self.text())
        painter.end()
        return picture

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(4, 0, -4, 0)
        if self.hasFocus() or self.underMouse():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour("accent_tint" if self.hasFocus() else "hover"))
            painter.drawRoundedRect(area, 4, 4)
        on = self.isEnabled()
        tone = "accent" if on else "disabled"
        sign = theme.pixmap(self.kind.icon, tone, 20, self.devicePixelRatioF())
        painter.drawPixmap(QPointF(14, 14), sign)
        room = self.width() - 44 - 10
        painter.setFont(theme.font("body", 500))
        painter.setPen(theme.colour("text" if on else "disabled"))
        painter.drawText(QRect(44, 7, room, 18), Qt.AlignmentFlag.AlignVCenter, self.engine.label)
        painter.setFont(theme.font("micro"))
        painter.setPen(theme.colour("text2" if self.hasFocus() else "text3"))
        note = painter.fontMetrics().elidedText(self._line, Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRect(44, 25, room, 16), Qt.AlignmentFlag.AlignVCenter, note)


class EffectsBrowser(QScrollArea):
    """Every effect of the table."""

    effect_requested = Signal(str, str)  # kind, engine: put on the selection

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        body = QWidget(self)
        inner = column(body, gap=4)
        self._folds: list[tuple[Fold, list[EffectRow]]] = []
        for kind in EFFECTS:
            fold = Fold(kind.label, opened=True, parent=body)
            fold.head.setToolTip(kind.help)
            rows = [EffectRow(kind, engine, fold) for engine in kind.engines]
            for one in rows:
                one.chosen.connect(self.effect_requested)
                fold.body.addWidget(one)
            fold.set_summary(str(len(rows)))
            inner.addWidget(fold)
            self._folds.append((fold, rows))
        self._nothing = label("", "small", tone="text2", parent=body)
        self._nothing.setContentsMargins(12, 8, 12, 0)
        self._nothing.hide()
        inner.addWidget(self._nothing)
        inner.addStretch(1)
        self.setWidget(body)

    def set_engines(self, states: EngineStates) -> None:
        """Which engines cannot run here, and which lack weights."""
        for _, rows in self._folds:
            for one in rows:
                one.show_state(states.get(one.engine.name, EngineState()))

    def set_search(self, words: str) -> None:
        """Shows only what matches."""
        found = False
        for fold, rows in self._folds:
            shown = [one for one in rows if one.matches(words)]
            for one in rows:
                one.setVisible(one in shown)
            fold.setVisible(bool(shown))
            found = found or bool(shown)
        self._nothing.setText(f"Nothing matches «{words}»")
        self._nothing.setVisible(not found)
