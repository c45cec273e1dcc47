"""What takes a value by itself: switch, tick, slider, drop-down list, segments."""

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QSizePolicy,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)

from ui import theme
from ui.controls import FROM_KEYS
from ui.keys import SIDEWAYS


class Switch(QAbstractButton):
    """On or off, 32 x 18."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.setFixedSize(32, 18)
        self.setFocusPolicy(FROM_KEYS)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setAccessibleName(name)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        on, enabled = self.isChecked(), self.isEnabled()
        body = QRectF(0.5, 0.5, self.width() - 1, self.height() - 1)
        fill = "accent_hover" if on and self.underMouse() else "accent_fill" if on else "border"
        painter.setBrush(theme.colour(fill if enabled else "pressed"))
        painter.setPen(QPen(theme.colour("text3" if enabled and not on else fill), 1))
        if not enabled:
            painter.setPen(Qt.PenStyle.NoPen)
        painter.drawRoundedRect(body, body.height() / 2, body.height() / 2)
        knob = "on_accent" if on else "knob"
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(knob if enabled else "disabled"))
        painter.drawEllipse(QPointF(self.width() - 9 if on else 9, self.height() / 2), 6.5, 6.5)


class Tick(QCheckBox):
    """A 16 x 16 tick box with words beside it."""

    def sizeHint(self) -> QSize:
        words = self.fontMetrics().horizontalAdvance(self.text())
        return QSize(16 + (8 + words if words else 0) + 2, 24)

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setFocusPolicy(FROM_KEYS)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def hitButton(self, pos: object) -> bool:
        return True

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        top = (self.height() - 16) / 2
        box = QRectF(0.75, top + 0.75, 14.5, 14.5)
        if self.isChecked() and self.isEnabled():
            token = "accent_hover" if self.underMouse() else "accent_fill"
            painter.setPen(QPen(theme.colour(token), 1.5))
            painter.setBrush(theme.colour(token))
        else:
            token = "line" if not self.isEnabled() else "text" if self.underMouse() else "text3"
            painter.setPen(QPen(theme.colour(token), 1.5))
            painter.setBrush(theme.colour("field"))
        painter.drawRoundedRect(box, 3, 3)
        if self.isChecked():
            token = "on_accent" if self.isEnabled() else "disabled"
            scale = self.devicePixelRatioF()
            painter.drawPixmap(QPointF(2, top + 2), theme.pixmap("check", token, 12, scale))
        painter.setPen(theme.colour("text2" if self.isEnabled() else "disabled"))
        words = QRect(24, 0, self.width() - 24, self.height())
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter, self.text())


class Choice(QComboBox):
    """A drop-down list; the wheel moves it only while it has the focus."""

    def __init__(self, name: str, kind: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        if kind:
            self.setProperty("kind", kind)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(name)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(3)
        self.setItemDelegate(QStyledItemDelegate(self))  # rows as the style sheet says

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def showPopup(self) -> None:
        """The list is as wide as its words, however narrow the field is."""
        view = self.view()
        view.setMinimumWidth(max(self.width(), view.sizeHintForColumn(0) + 12))
        super().showPopup()

    def show_value(self, value: object, mixed: bool = False) -> None:
        """Shows the entry whose data is `value`, or «Mixed»; says nothing to listeners."""
        self.blockSignals(True)
        self.setPlaceholderText("Mixed" if mixed else "")
        places = [i for i in range(self.count()) if self.itemData(i) == value]
        self.setCurrentIndex(places[0] if places and not mixed else -1)
        self.blockSignals(False)

    def paintEvent(self, event: QPaintEvent) -> None:
        shown = QStyleOptionComboBox()
        self.initStyleOption(shown)
        room = self.width() - (34 if self.property("kind") == "narrow" else 58)
        shown.currentText = shown.fontMetrics.elidedText(
            shown.currentText, Qt.TextElideMode.ElideRight, room
        )
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, shown)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, shown)
        token = "text2" if self.isEnabled() else "disabled"
        arrow = theme.pixmap("chevron_down", token, 12, self.devicePixelRatioF())
        painter.drawPixmap(QPointF(self.width() - 20, (self.height() - 12) / 2), arrow)


class Segment(QAbstractButton):
    """One of a row of choices."""

    NEEDED_KEYS = SIDEWAYS

    def __init__(self, text: str, icon: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setText(text)
        self.icon_name = icon
        self.setCheckable(True)
        self.setFocusPolicy(FROM_KEYS)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(28)
        self.first = False
        self.setFont(theme.font("body", 500))

    def sizeHint(self) -> QSize:
        words = self.fontMetrics().horizontalAdvance(self.text())
        return QSize(words + 12 + (20 if self.icon_name else 0), 28)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        area = self.rect().adjusted(0 if not self.first else 1, 1, -1, -1)
        fill, ink = self._colours()
        if fill:
            painter.fillRect(area, theme.colour(fill))
        if not self.first:
            painter.fillRect(0, 1, 1, self.height() - 2, theme.colour("border"))
        if self.isChecked():
            line = QRect(area.left(), area.bottom() - 1, area.width(), 2)
            painter.fillRect(line, theme.colour("accent" if self.isEnabled() else "disabled"))
        painter.setPen(theme.colour(ink))
        text = self.rect()
        if self.icon_name:
            words = self.fontMetrics().horizontalAdvance(self.text())
            left = (self.width() - words - 20) / 2
            sign = theme.pixmap(self.icon_name, ink, 14, self.devicePixelRatioF())
            painter.drawPixmap(QPointF(left, (self.height() - 14) / 2), sign)
            text = text.adjusted(20, 0, 0, 0)
        painter.drawText(text, Qt.AlignmentFlag.AlignCenter, self.text())

    def _colours(self) -> tuple[str, str]:
        if not self.isEnabled():
            return "", "disabled"
        if self.isChecked():
            return ("accent_line" if self.isDown() else "accent_tint"), "accent"
        if self.isDown():
            return "pressed", "text"
        return ("hover" if self.underMouse() else ""), "text2"


class Segments(QWidget):
    """A row of exclusive choices in one frame; Left and Right move along it."""

    chosen = Signal(object)

    def __init__(
        self,
        name: str,
        choices: tuple[tuple[object, str], ...],
        icons: dict[object, str] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setFixedHeight(28)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        self._segments: dict[object, Segment] = {}
        for value, text in choices:
            segment = Segment(text, (icons or {}).get(value, ""), self)
            segment.setAccessibleName(f"{name}: {text}")
            segment.first = not self._segments
            segment.clicked.connect(lambda _=False, value=value: self._choose(value))
            self._segments[value] = segment
            row.addWidget(segment)

    def value(self) -> object:
        """The chosen value; None while values are mixed."""
        return next((key for key, one in self._segments.items() if one.isChecked()), None)

    def set_value(self, value: object) -> None:
        """Shows `value`; None shows none (mixed values)."""
        for key, segment in self._segments.items():
            segment.setChecked(key == value)
            segment.setFocusPolicy(FROM_KEYS)

    def set_text(self, value: object, text: str) -> None:
        self._segments[value].setText(text)
        self._segments[value].update()

    def set_possible(self, value: object, possible: bool, why: str = "") -> None:
        """Enables or disables one choice; `why` becomes its tooltip."""
        self._segments[value].setEnabled(possible)
        self._segments[value].setToolTip("" if possible else why)

    def _choose(self, value: object) -> None:
        self.set_value(value)
        self.chosen.emit(value)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
            return
        possible = [key for key, one in self._segments.items() if one.isEnabled()]
        now = possible.index(self.value()) if self.value() in possible else -step
        following = possible[min(len(possible) - 1, max(0, now + step))]
        self._segments[following].setFocus(Qt.FocusReason.OtherFocusReason)
        if following != self.value():
            self._choose(following)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.colour("border" if self.isEnabled() else "line"), 1))
        painter.setBrush(theme.colour("field"))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
