"""One editor per type of value: numbers to type, drag or slide, choices, flags, seeds."""

from itertools import count
from random import randrange

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import (
    QFocusEvent,
    QFontMetrics,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QLineEdit, QWidget

from engine.timeline.effects import Parameter, ParameterKind, Value
from ui import theme
from ui.controls import icon_button
from ui.generate_prompt import MOST, PromptField
from ui.inputs import Choice, Segments, Switch
from ui.panels import row
from ui.slider import Slider

FIELD = 192  # the width of the field column in the narrowest inspector
MOST_STEPS = 1000  # a slider with more has no use: the field alone is shown
SEED_END = 2**31
_gestures = count(1)


def next_gesture() -> int:
    """A number for values that are one undo step."""
    return next(_gestures)


def decimals_of(step: float) -> int:
    """How many places a value with that step is written with."""
    places = 0
    while places < 4 and abs(step * 10**places - round(step * 10**places)) > 1e-9:
        places += 1
    return places


class NumberField(QLineEdit):
    """A number: click to type, drag sideways to change, wheel and arrows while focused."""

    edited = Signal(float, int)  # value, gesture: values of one gesture are one undo step

    def __init__(
        self,
        name: str,
        low: float,
        high: float,
        step: float = 1.0,
        unit: str = "",
        parent: QWidget | None = None,
        *,
        mark: str = "",
    ) -> None:
        super().__init__(parent)
        self.setProperty("kind", "number")
        self._mark = mark  # a letter at its left: X, Y
        self._low, self._high, self._step, self._unit = low, high, step, unit
        self._decimals = decimals_of(step)
        self._value: float | None = low
        self._press: QPoint | None = None
        self._pressed_value = 0.0
        self._scrubbing = False
        self._gesture = next(_gestures)
        self.setAccessibleName(name)
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.setFont(theme.font("body", tabular=True))
        self.setFixedHeight(28)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.SizeHorCursor)
        self.returnPressed.connect(self._accept)
        self._show()

    def value(self) -> float | None:
        """None while the values of several clips differ."""
        return self._value

    def set_value(self, value: float | None) -> None:
        """Shows `value`; None shows «Mixed»."""
        self._value = value
        if not self.hasFocus() or self._scrubbing:
            self._show()

    def text_of(self, value: float) -> str:
        shown = f"{value:.{self._decimals}f}".replace("-", "−")
        if self._unit in ("×", "°"):
            return shown + self._unit
        return f"{shown} {self._unit}" if self._unit else shown

    def _show(self) -> None:
        self.setPlaceholderText("Mixed" if self._value is None else "")
        self.setText("" if self._value is None else self.text_of(self._value))
        self.setProperty("wrong", "false")

    def _change(self, value: float) -> None:
        value = self._low + round((value - self._low) / self._step) * self._step
        value = min(self._high, max(self._low, round(value, 6)))
        if value != self._value:
            self._value = value
            self.edited.emit(value, self._gesture)
        self._show()

    def _accept(self) -> None:
        text = self.text().replace("−", "-").replace(",", ".")
        for tail in (self._unit, " "):
            text = text.strip().removesuffix(tail)
        try:
            value = float(text)
        except ValueError:
            self._refuse()
            return
        if not self._low <= value <= self._high:
            self._refuse()
            return
        self._gesture = next(_gestures)
        self.clearFocus()
        self._change(value)

    def _refuse(self) -> None:
        low, high = self.text_of(self._low), self.text_of(self._high)
        self.setProperty("wrong", "true")
        self.style().unpolish(self)
        self.style().polish(self)
        self.setToolTip(f"It goes from {low} to {high}.")
        self.selectAll()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self._gesture = next(_gestures)
        self.setCursor(Qt.CursorShape.IBeamCursor)
        if self._value is not None:
            self.setText(self.text_of(self._value).removesuffix(self._unit).strip())
        self.selectAll()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        typed = self.isModified()
        super().focusOutEvent(event)
        self.setCursor(Qt.CursorShape.SizeHorCursor)
        if typed and event.reason() != Qt.FocusReason.OtherFocusReason:
            self._accept()
        self._show()
        self.style().unpolish(self)
        self.style().polish(self)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1}.get(Qt.Key(event.key()))
        if step is not None and self._value is not None:
            ten = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self._change(self._value + step * self._step * (10 if ten else 1))
            self.selectAll()
        elif event.key() == Qt.Key.Key_Escape:
            self.setModified(False)
            self.clearFocus()
        else:
            super().keyPressEvent(event)
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                event.accept()  # a dialog would take it for its default button

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self.hasFocus() or event.button() != Qt.MouseButton.LeftButton:
            super().mousePressEvent(event)
            return
        self._press = event.position().toPoint()
        self._pressed_value = self._value if self._value is not None else self._low
        self._gesture = next(_gestures)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._press is None:
            super().mouseMoveEvent(event)
            return
        moved = event.position().toPoint().x() - self._press.x()
        if not self._scrubbing and abs(moved) < 4:
            return
        self._scrubbing = True
        span = self._high - self._low
        per_pixel = max(self._step, round(span / 400 / self._step) * self._step)
        if span / self._step > MOST_STEPS:
            per_pixel = self._step
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            per_pixel *= 10
        self._change(self._pressed_value + moved * per_pixel)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._press is None:
            super().mouseReleaseEvent(event)
            return
        self._press = None
        if not self._scrubbing:
            self.setFocus(Qt.FocusReason.MouseFocusReason)
        self._scrubbing = False

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._mark and not self.hasFocus():
            painter = QPainter(self)
            painter.setFont(theme.font("small"))
            painter.setPen(theme.colour("text3"))
            painter.drawText(
                self.rect().adjusted(8, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, self._mark
            )

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus() and self._value is not None:
            self._change(self._value + (self._step if event.angleDelta().y() > 0 else -self._step))
            event.accept()
        else:
            event.ignore()


class Field(QWidget):
    """An editor of one value. `changed` tells the value and the gesture it belongs to."""

    changed = Signal(object, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.row = row(self, gap=8)
        self.setFixedHeight(28)

    def set_value(self, value: Value | None) -> None:
        """Shows `value`; None: the clips differ."""
        raise NotImplementedError


class NumberRow(Field):
    """A slider and a number; whole numbers where `whole`."""

    def __init__(
        self,
        name: str,
        low: float,
        high: float,
        step: float,
        unit: str,
        default: float,
        *,
        whole: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._low, self._step, self._whole, self._default = low, step, whole, default
        self.number = NumberField(name, low, high, step, unit, self)
        steps = round((high - low) / step)
        self._slider: Slider | None = None
        if steps <= MOST_STEPS:
            self._slider = Slider(name, self)
            self._slider.setRange(0, steps)
            self._slider.setPageStep(max(1, steps // 10))
            self._slider.setAccessibleDescription(f"{low:g} to {high:g} {unit}".strip())
            self.row.addWidget(self._slider, 1)
            widest = max(len(self.number.text_of(low)), len(self.number.text_of(high)))
            self.number.setFixedWidth(56 if widest <= 6 else 72 if widest <= 9 else 92)
            self._slider.sliderPressed.connect(self._begin)
            self._slider.valueChanged.connect(self._slid)
            self._slider.default_requested.connect(self._to_default)
        self.row.addWidget(self.number, 0 if self._slider else 1)
        self.number.edited.connect(self._numbered)
        self._gesture = next(_gestures)

    def set_value(self, value: Value | None) -> None:
        shown = None if value is None else float(value)
        self.number.set_value(shown)
        if self._slider is not None and not self._slider.isSliderDown():
            self._slider.blockSignals(True)
            at = self._default if shown is None else shown
            self._slider.setValue(round((at - self._low) / self._step))
            self._slider.blockSignals(False)
            self._slider.update()

    def _begin(self) -> None:
        self._gesture = next(_gestures)

    def _slid(self, place: int) -> None:
        value = round(self._low + place * self._step, 6)
        self.number.set_value(value)
        self._tell(value, self._gesture)

    def _numbered(self, value: float, gesture: int) -> None:
        self.set_value(value)
        self._tell(value, gesture)

    def _to_default(self) -> None:
        self.set_value(self._default)
        self._tell(self._default, next(_gestures))

    def _tell(self, value: float, gesture: int) -> None:
        self.changed.emit(round(value) if self._whole else float(value), gesture)


class ChoiceRow(Field):
    """A few short choices as segments, more as a list."""

    def __init__(
        self, name: str, choices: tuple[tuple[str, str], ...], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        metrics = QFontMetrics(theme.font("body", 500))
        room = sum(metrics.horizontalAdvance(text) + 13 for _, text in choices)
        self._segments: Segments | None = None
        self._list: Choice | None = None
        if len(choices) <= 4 and room <= FIELD:
            self._segments = Segments(name, choices, parent=self)
            self._segments.chosen.connect(self._tell)
            self.row.addWidget(self._segments)
        else:
            self._list = Choice(name, parent=self)
            for value, text in choices:
                self._list.addItem(text, value)
            self._list.activated.connect(self._picked)
            self.row.addWidget(self._list)

    def set_value(self, value: Value | None) -> None:
        if self._segments is not None:
            self._segments.set_value(value)
        elif self._list is not None:
            self._list.show_value(value, mixed=value is None)

    def _picked(self, place: int) -> None:
        if self._list is not None:
            self._tell(self._list.itemData(place))

    def _tell(self, value: object) -> None:
        self.changed.emit(value, next(_gestures))


class FlagRow(Field):
    """A switch."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._switch = Switch(name, self)
        self._switch.clicked.connect(lambda on: self.changed.emit(on, next(_gestures)))
        self.row.addWidget(self._switch)
        self.row.addStretch(1)

    def set_value(self, value: Value | None) -> None:
        self._switch.setChecked(bool(value))


class SeedRow(Field):
    """A whole number and a dice that throws another."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._number = NumberField(name, 0, SEED_END - 1, 1, "", self)
        self._dice = icon_button("dice", "New random seed", parent=self)
        self.row.addWidget(self._number, 1)
        self.row.addWidget(self._dice)
        self._number.edited.connect(lambda value, gesture: self.changed.emit(int(value), gesture))
        self._dice.clicked.connect(lambda: self.changed.emit(randrange(SEED_END), next(_gestures)))

    def set_value(self, value: Value | None) -> None:
        self._number.set_value(None if value is None else float(value))


class TextRow(Field):
    """Words, over several lines where there are many."""

    def __init__(self, name: str, hint: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._hint = hint
        self._words = PromptField(name, hint, self)
        self._gesture = next(_gestures)
        self.setMinimumHeight(0)
        self.setMaximumHeight(MOST)
        self.row.addWidget(self._words)
        self._words.edited.connect(lambda text: self.changed.emit(text, self._gesture))
        self._words.finished.connect(self._next)

    def set_value(self, value: Value | None) -> None:
        self._words.setPlaceholderText("Mixed" if value is None else self._hint)
        self._words.set_words("" if value is None else str(value))

    def _next(self) -> None:
        self._gesture = next(_gestures)


def field_for(parameter: Parameter, parent: QWidget | None = None) -> Field:
    """The editor for a field of the effect table."""
    match parameter.kind:
        case ParameterKind.NUMBER | ParameterKind.INTEGER:
            return NumberRow(
                parameter.label,
                parameter.minimum,
                parameter.maximum,
                parameter.step,
                parameter.unit,
                float(parameter.default),
                whole=parameter.kind is ParameterKind.INTEGER,
                parent=parent,
            )
        case ParameterKind.CHOICE:
            return ChoiceRow(parameter.label, parameter.choices, parent)
        case ParameterKind.FLAG:
            return FlagRow(parameter.label, parent)
        case ParameterKind.SEED:
            return SeedRow(parameter.label, parent)
        case _:
            hint = parameter.help.partition(".")[0]  # what fits into a line
            return TextRow(parameter.label, f"{hint}.", parent)
