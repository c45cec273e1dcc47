"""What every panel shows: buttons, labels, ring, chip, keycap."""

from typing import ClassVar

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import (
    QKeySequence,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import (
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from ui import theme

FROM_KEYS = Qt.FocusPolicy.TabFocus  # a click does not move the focus: rings are for the keyboard


def key_text(keys: str) -> str:
    """Keys as the person's system writes them: "Ctrl+Shift+L" becomes «Ctrl Shift L»."""
    native = QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)
    return native.replace("+", " ") if len(native) > 1 else native


def with_help(widget: QWidget, name: str, keys: str = "", line: str = "") -> None:
    """Gives `widget` its accessible name and the tooltip «Name (Keys). Line»."""
    shown = f"{name} ({key_text(keys)})" if keys else name
    tip = f"{shown}. {line}" if line else shown
    widget.setAccessibleName(name)
    widget.setAccessibleDescription(", ".join(part for part in (key_text(keys), line) if part))
    widget.setToolTip(tip)
    widget.setStatusTip(tip)


def icon_button(
    icon: str,
    name: str,
    keys: str = "",
    line: str = "",
    *,
    checkable: bool = False,
    side: int = 28,
    parent: QWidget | None = None,
) -> QToolButton:
    """A square button with a 16 px icon."""
    button = QToolButton(parent)
    button.setIcon(theme.icon(icon))
    button.setIconSize(QSize(16, 16))
    button.setFixedSize(side, side)
    button.setCheckable(checkable)
    button.setFocusPolicy(FROM_KEYS)
    with_help(button, name, keys, line)
    return button


def push_button(
    text: str, kind: str = "", icon: str = "", *, large: bool = False, parent: QWidget | None = None
) -> QPushButton:
    """A button with words. Kind: "", "primary", "tinted" or "quiet"."""
    button = QPushButton(text, parent)
    button.setProperty("kind", kind)
    if large:
        button.setProperty("large", True)
    if icon:
        tokens = {"primary": "on_accent", "tinted": "accent", "quiet": "text2"}
        button.setIcon(theme.icon(icon, tokens.get(kind, "text")))
        button.setIconSize(QSize(20, 16))  # 4 px more between icon and words
    button.setFocusPolicy(FROM_KEYS)
    return button


def set_kind(widget: QWidget, kind: str) -> None:
    """Changes a button's kind and repaints it."""
    if widget.property("kind") != kind:
        widget.setProperty("kind", kind)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def label(
    text: str = "",
    style: str = "body",
    weight: int | None = None,
    tone: str = "",
    *,
    tabular: bool = False,
    parent: QWidget | None = None,
) -> QLabel:
    """A line of plain text in a type style. Tone: "", "text2", "text3", "accent", "error"."""
    made = QLabel(text, parent)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setFont(theme.font(style, weight, tabular))
    if tone:
        made.setProperty("tone", tone)
    return made


class Elided(QWidget):
    """One line of text that gives way: «…» at the end, or in the middle for file names."""

    def __init__(
        self,
        text: str = "",
        style: str = "body",
        weight: int | None = None,
        token: str = "text",
        *,
        middle: bool = False,
        align: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft,
        tabular: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._text, self._token, self._align = text, token, align
        self._mode = Qt.TextElideMode.ElideMiddle if middle else Qt.TextElideMode.ElideRight
        self.setFont(theme.font(style, weight, tabular))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(text)

    def text(self) -> str:
        return self._text

    def set_text(self, text: str, token: str = "") -> None:
        if text == self._text and token in ("", self._token):
            return
        self._text, self._token = text, token or self._token
        self.setAccessibleName(text)
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance(self._text) + 2, max(16, metrics.height()))

    def minimumSizeHint(self) -> QSize:
        return QSize(min(24, self.sizeHint().width()), self.sizeHint().height())

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip:
            fits = self.sizeHint().width() <= self.width() + 2
            self.setToolTip("" if fits else self._text)
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(theme.colour(self._token if self.isEnabled() else "disabled"))
        shown = self.fontMetrics().elidedText(self._text, self._mode, self.width())
        painter.drawText(self.rect(), self._align | Qt.AlignmentFlag.AlignVCenter, shown)


def paint_ring(
    painter: QPainter, area: QRectF, fraction: float, token: str = "accent", lane: str = "border"
) -> None:
    """A progress ring with a line of 2.5, from the top, clockwise."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    inner = area.adjusted(1.75, 1.75, -1.75, -1.75)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(theme.colour(lane), 2.5))
    painter.drawEllipse(inner)
    pen = QPen(theme.colour(token), 2.5)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    painter.drawArc(inner, 90 * 16, -round(min(1.0, max(0.02, fraction)) * 360 * 16))
    painter.restore()


class Chip(QWidget):
    """A small tinted label: an icon and a word, 20 high."""

    KINDS: ClassVar[dict[str, tuple[str, str, str]]] = {  # ink, ground, sign
        "fresh": ("accent", "accent_tint", "check"),
        "stale": ("warn", "warn_tint", "keyframe"),
        "running": ("accent", "accent_tint", ""),
        "failed": ("error", "error_tint", "error"),
        "count": ("text2", "hover", ""),
        "plain": ("text2", "hover", ""),
    }

    def __init__(self, text: str = "", kind: str = "plain", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text, self._kind, self._fraction = text, kind, 0.0
        self.setFont(theme.font("micro", 500, tabular=True))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(text)

    def text(self) -> str:
        return self._text

    def set(self, text: str, kind: str, fraction: float = 0.0) -> None:
        self._text, self._kind, self._fraction = text, kind, fraction
        self.setAccessibleName(text)
        self.updateGeometry()
        self.update()

    def _has_sign(self) -> bool:
        return bool(self.KINDS[self._kind][2]) or self._kind == "running"

    def sizeHint(self) -> QSize:
        words = self.fontMetrics().horizontalAdvance(self._text)
        return QSize(words + (28 if self._has_sign() else 12), 20)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        ink, ground, icon = self.KINDS[self._kind]
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(ground))
        painter.drawRoundedRect(QRectF(self.rect()), 4, 4)
        left = 6
        if icon:
            sign = theme.pixmap(icon, ink, 12, self.devicePixelRatioF())
            painter.drawPixmap(QPointF(left, (self.height() - 12) / 2), sign)
            left += 16
        elif self._kind == "running":
            paint_ring(painter, QRectF(left, 4, 12, 12), self._fraction, lane="accent_line")
            left += 16
        painter.setPen(theme.colour(ink))
        area = QRect(left, 0, self.width() - left, self.height())
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, self._text)


class Keycap(QWidget):
    """A key as it is printed on the keyboard."""

    def __init__(self, keys: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = keys
        self.setFont(theme.font("micro", 400))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(max(16, self.fontMetrics().horizontalAdvance(self._text) + 9), 16)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.colour("border"), 1))
        painter.setBrush(theme.colour("raised"))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
        painter.setPen(theme.colour("text2"))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._text)
