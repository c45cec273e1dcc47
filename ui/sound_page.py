"""The Sound tab of the inspector: gain, pan and fades of the selected sound clips."""

from fractions import Fraction

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from engine.timeline.model import SoundLevels
from ui.effect_card import LabelledRow
from ui.fields import NumberRow
from ui.panels import column

ROWS = (  # field, label, low, high, step, unit, usual, help
    ("gain_db", "Gain", -60.0, 12.0, 0.5, "dB", 0.0, "Loudness; −60 dB is silence."),
    ("pan", "Pan", -100.0, 100.0, 1.0, "", 0.0, "−100 is left, 100 is right."),
    ("fade_in", "Fade in", 0.0, 10.0, 0.1, "s", 0.0, "Rises from silence at the head."),
    ("fade_out", "Fade out", 0.0, 10.0, 0.1, "s", 0.0, "Falls to silence at the tail."),
)


class SoundPage(QWidget):
    """Emits (field of SoundLevels, value in its own unit, gesture)."""

    value_requested = Signal(str, object, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        inner = column(self, (16, 8, 16, 8), 4)
        self._rows: dict[str, NumberRow] = {}
        for name, text, low, high, step, unit, usual, line in ROWS:
            field = NumberRow(text, low, high, step, unit, usual, parent=self)
            field.changed.connect(
                lambda value, gesture, name=name: self._tell(name, value, gesture)
            )
            field.number.setFixedWidth(72)
            self._rows[name] = field
            inner.addWidget(LabelledRow(text, field, line, self))
        inner.addStretch(1)

    def _tell(self, name: str, value: float, gesture: int) -> None:
        own: float | Fraction = value
        if name == "pan":
            own = value / 100
        elif name.startswith("fade"):
            own = Fraction(round(value * 10), 10)
        self.value_requested.emit(name, own, gesture)

    def show_levels(self, levels: list[SoundLevels]) -> None:
        for name, field in self._rows.items():
            values = {getattr(one, name) for one in levels}
            if len(values) != 1:
                field.set_value(None)
                continue
            value = float(values.pop())
            field.set_value(value * 100 if name == "pan" else value)
