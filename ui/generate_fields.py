"""A labelled field for each parameter of generating, narrow enough for two columns."""

from PySide6.QtCore import QEvent, Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from engine.timeline.parameters import Parameter, ParameterKind, Value
from ui.controls import Elided, with_help
from ui.fields import NumberField
from ui.inputs import Choice, Switch
from ui.panels import row
from ui.slider import Slider

# What a slider goes over; any number of the table's can be typed.
USUAL: dict[str, tuple[float, float]] = {
    "steps": (1, 60),
    "shift": (0, 16),
    "cfg": (0, 12),
    "blocks_to_swap": (0, 40),
}


class ParameterField(QWidget):
    """Label and editor of one parameter; the help line is its tooltip."""

    changed = Signal(str, object)  # name, value

    def __init__(
        self,
        parameter: Parameter,
        wide: int = 72,
        label: str = "",
        parent: QWidget | None = None,
        *,
        number: int = 56,
    ) -> None:
        """`wide`, `number`: pixels of the label and of the number."""
        super().__init__(parent)
        self.parameter = parameter
        self.setFixedHeight(28)
        inner = row(self, gap=8)
        self._label = Elided(label or parameter.label, token="text2", parent=self)
        self._label.setFixedWidth(wide)
        inner.addWidget(self._label)
        self.number: NumberField | None = None
        self._slider: Slider | None = None
        self._choice: Choice | None = None
        self._switch: Switch | None = None
        match parameter.kind:
            case ParameterKind.CHOICE:
                self._add_choice(inner, parameter)
            case ParameterKind.FLAG:
                self._switch = Switch(parameter.label, self)
                self._switch.clicked.connect(self._tell)
                inner.addWidget(self._switch)
                inner.addStretch(1)
            case _:
                self._add_number(inner, parameter, number)
        for widget in (self.number, self._slider, self._choice, self._switch, self):
            if widget is not None:
                with_help(widget, parameter.label, "", self._help())

    def _help(self) -> str:
        """«steps 30: more steps …» with the field's own name."""
        default = self.parameter.default
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        return f"{self.parameter.help} ({self.parameter.name}, usually {shown})"

    def _add_choice(self, inner: QHBoxLayout, parameter: Parameter) -> None:
        self._choice = Choice(parameter.label, "narrow", self)
        for value, text in parameter.choices:
            self._choice.addItem(text, value)
        self._choice.activated.connect(lambda place: self._tell(self._choice_at(place)))
        inner.addWidget(self._choice, 1)

    def _choice_at(self, place: int) -> object:
        return self._choice.itemData(place) if self._choice is not None else None

    def _add_number(self, inner: QHBoxLayout, parameter: Parameter, wide: int) -> None:
        self.number = NumberField(
            parameter.label,
            parameter.minimum,
            parameter.maximum,
            parameter.step,
            parameter.unit if parameter.unit == "%" else "",
            self,
        )
        self.number.setFixedWidth(max(wide, 64) if parameter.unit == "%" else wide)
        if parameter.name in USUAL:
            self._slider = Slider(parameter.label, self)
            low, high = USUAL[parameter.name]
            self._slider.setRange(round(low / parameter.step), round(high / parameter.step))
            self._slider.valueChanged.connect(self._slid)
            self._slider.default_requested.connect(lambda: self._tell(parameter.default))
            inner.addWidget(self._slider, 1)
        inner.addWidget(self.number)
        if self._slider is None:
            inner.addStretch(1)
        if self._slider is not None:
            QWidget.setTabOrder(self._slider, self.number)
        self.number.edited.connect(lambda value, _gesture: self._tell(value))

    def set_value(self, value: Value) -> None:
        """Shows a value; says nothing to listeners."""
        if self._choice is not None:
            self._choice.show_value(value)
        elif self._switch is not None:
            self._switch.setChecked(bool(value))
        elif self.number is not None:
            self.number.set_value(float(value))
            if self._slider is not None and not self._slider.isSliderDown():
                self._slider.blockSignals(True)
                self._slider.setValue(round(float(value) / self.parameter.step))
                self._slider.blockSignals(False)
                self._slider.update()

    def set_most(self, most: int) -> None:
        """How far the slider goes."""
        if self._slider is not None:
            self._slider.blockSignals(True)
            self._slider.setMaximum(round(most / self.parameter.step))
            self._slider.blockSignals(False)

    def _slid(self, place: int) -> None:
        value = max(self.parameter.minimum, round(place * self.parameter.step, 6))
        if self.number is not None:
            self.number.set_value(value)
        self._tell(value)

    def _tell(self, value: object) -> None:
        if self.parameter.kind is ParameterKind.INTEGER and isinstance(value, (int, float)):
            value = round(value)
        self.changed.emit(self.parameter.name, value)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.EnabledChange:
            self._label.update()
