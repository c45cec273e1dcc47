"""Transform in the inspector: position, scale, rotation, opacity and crop of the selection."""

from collections.abc import Iterable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from engine.timeline.model import Transform
from ui.controls import icon_button
from ui.effect_card import LabelledRow
from ui.fields import Field, NumberField, NumberRow
from ui.panels import Fold

CROPS = ("crop_left", "crop_top", "crop_right", "crop_bottom")


class PairRow(Field):
    """Two numbers side by side, in one row."""

    def __init__(self, first: NumberField, second: NumberField, parent: QWidget) -> None:
        super().__init__(parent)
        self.row.addWidget(first, 1)
        self.row.addWidget(second, 1)


class TransformFold(Fold):
    """Emits (field of Transform, value, gesture); positions are told in widths and heights."""

    value_requested = Signal(str, float, int)
    reset_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Transform", parent=parent)
        self._reset = icon_button("retry", "Reset transform", side=24, parent=self)
        self._reset.clicked.connect(self.reset_requested)
        self._reset.hide()
        self.head_row.addWidget(self._reset)
        self._width, self._height = 1920, 1080
        self._numbers: dict[str, NumberField] = {}
        self._rows: dict[str, NumberRow] = {}
        self._built = False
        self._shown: tuple[Transform, ...] = ()
        self.toggled.connect(lambda _opened: self._build())

    def _build(self) -> None:
        """Makes the rows when the fold is first opened."""
        if self._built or not self.is_open():
            return
        self._built = True
        self.body.setContentsMargins(16, 0, 8, 8)
        self.body.setSpacing(3)
        self._add_pair("Position", ("x", "y"), ("X", "Y"), -20000, 20000, "px")
        self._add_slider("scale", "Scale", 1, 400, 1, "%", 100)
        self._add_slider("rotation", "Rotation", -180, 180, 1, "°", 0)
        self._add_slider("opacity", "Opacity", 0, 100, 1, "%", 100)
        self._add_pair("Crop", ("crop_left", "crop_right"), ("Left", "Right"), 0, 95, "%")
        self._add_pair("", ("crop_top", "crop_bottom"), ("Top", "Bottom"), 0, 95, "%")
        self.show_transforms(self._shown, self._width, self._height)

    def _add_pair(
        self,
        text: str,
        names: tuple[str, str],
        words: tuple[str, str],
        low: float,
        high: float,
        unit: str,
    ) -> None:
        made = []
        for name, word in zip(names, words, strict=True):
            name_of = f"{text or 'Crop'}: {word}"
            number = NumberField(name_of, low, high, 1, unit, self, mark=word[0])
            number.edited.connect(
                lambda value, gesture, name=name: self._tell(name, value, gesture)
            )
            number.setToolTip(word)
            self._numbers[name] = number
            made.append(number)
        self.body.addWidget(LabelledRow(text, PairRow(made[0], made[1], self), parent=self))

    def _add_slider(
        self, name: str, text: str, low: float, high: float, step: float, unit: str, usual: float
    ) -> None:
        field = NumberRow(text, low, high, step, unit, usual, parent=self)
        field.changed.connect(lambda value, gesture: self._tell(name, float(value), gesture))
        self._rows[name] = field
        self.body.addWidget(LabelledRow(text, field, parent=self))

    def _factor(self, name: str) -> float:
        """What is shown for 1 of the transform's own unit."""
        return {
            "x": float(self._width),
            "y": float(self._height),
            "rotation": 1.0,
        }.get(name, 100.0)

    def _tell(self, name: str, value: float, gesture: int) -> None:
        self.value_requested.emit(name, value / self._factor(name), gesture)

    def show_transforms(self, transforms: Iterable[Transform], width: int, height: int) -> None:
        """The transforms of the selection, in a sequence of `width` x `height`."""
        self._shown, self._width, self._height = tuple(transforms), width, height
        self.set_summary(_summary(self._shown))
        self._reset.setVisible(any(one != Transform() for one in self._shown))
        fields: dict[str, NumberField | NumberRow] = {**self._numbers, **self._rows}
        for name, field in fields.items():
            values = {getattr(one, name) for one in self._shown}
            value = values.pop() * self._factor(name) if len(values) == 1 else None
            field.set_value(None if value is None else round(value, 3))


def _summary(transforms: tuple[Transform, ...]) -> str:
    if len(set(transforms)) != 1:
        return "Mixed" if transforms else ""
    one = transforms[0]
    parts = [f"{round(one.scale * 100)} %"]
    parts.append("centred" if one.x == 0 and one.y == 0 else "moved")
    if one.rotation:
        parts.append(f"{one.rotation:.0f}°")
    if any(getattr(one, name) for name in CROPS):
        parts.append("cropped")
    if one.opacity < 1:
        parts.append(f"{round(one.opacity * 100)} % opaque")
    return ", ".join(parts)
