"""The LoRAs of an effect as a field: rows to add to, each with strength and blocks."""

from pathlib import PurePath

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from engine.errors import EffectError
from engine.jobs import LoraChoice
from engine.lora_words import lines_of, lora_words, read_lora
from engine.timeline.parameters import Value
from ui.fields import Field, next_gesture
from ui.generate_form import LoraGiven
from ui.generate_loras import LoraRows


class LorasField(Field):
    """Shows the lines of a value as rows."""

    add_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumHeight(0)
        self.setMaximumHeight(16_777_215)  # as high as its rows
        self._rows = LoraRows(self)
        self._rows.add_requested.connect(self.add_requested)
        self._rows.changed.connect(self._changed)
        self.row.addWidget(self._rows)

    def set_value(self, value: Value | None) -> None:
        """Lines that cannot be read are shown as files that are not there."""
        self._rows.set_loras(tuple(_given(line) for line in lines_of(str(value or ""))))

    def _changed(self, loras: tuple[LoraGiven, ...]) -> None:
        lines = (
            LoraChoice(
                path=one.path,
                strength=one.by_step or (one.strength,),
                blocks=one.blocks,
                expert=one.expert,
            )
            for one in loras
        )
        self.changed.emit("\n".join(map(lora_words, lines)), next_gesture())


def with_lora(value: str, path: str) -> str:
    """The lines of a value and one more."""
    return "\n".join([*lines_of(value), lora_words(LoraChoice(path=path))])


def _given(line: str) -> LoraGiven:
    try:
        choice = read_lora(line)
    except EffectError:
        choice = LoraChoice(path=line)
    by_step = choice.strength if len(choice.strength) > 1 else ()
    name = PurePath(choice.path.replace("\\", "/")).name
    return LoraGiven(choice.path, name, choice.strength[0], by_step, choice.blocks, choice.expert)
