"""The LoRAs of a run: which files, how strong each, at which steps, in which blocks."""

from dataclasses import replace
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from engine.lora_words import block_words, blocks_of
from ui.controls import Elided, icon_button, label, push_button, with_help
from ui.fields import NumberField
from ui.generate_columns import Columns
from ui.generate_form import LoraGiven
from ui.generate_lists import (
    ListField,
    ListRow,
    number_words,
    strengths_of,
)
from ui.panels import column, row

BY_STEP = "A strength for each step; the last one goes on. Empty: the same for all."
BLOCKS = "Numbers of the transformer's blocks that it changes. Empty: all of them."


class LoraRow(QWidget):
    """Name and strength; behind the button strengths by step and the choice of blocks."""

    changed = Signal(object)  # LoraGiven
    checked = Signal()
    removed = Signal()

    def __init__(self, one: LoraGiven, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown = one
        outer = column(self, gap=4)
        line = row(gap=4)
        name = Elided(one.name, middle=True, parent=self)
        name.setToolTip(one.path)
        self.strength = NumberField(f"Strength of {one.name}", -10, 10, 0.05, "", self)
        self.strength.setFixedWidth(56)
        self.strength.edited.connect(lambda value, _gesture: self._change(strength=value))
        self.more = icon_button("settings", "Steps and blocks", checkable=True, parent=self)
        with_help(self.more, "Steps and blocks", "", "Strengths by step, and which blocks.")
        self.more.toggled.connect(self._open)
        away = icon_button("close", f"Take {one.name} away", parent=self)
        away.clicked.connect(self.removed)
        line.addWidget(name, 1)
        line.addSpacing(4)
        for widget in (self.strength, self.more, away):
            line.addWidget(widget)
        outer.addLayout(line)
        self.by_step = ListField(
            f"Strengths of {one.name} by step",
            "1, 1, 0.5",
            strengths_of,
            number_words,
            "Strengths are numbers from -10 to 10, as 1, 1, 0.5.",
            self,
        )
        self.blocks = ListField(
            f"Blocks of {one.name}",
            "all",
            blocks_of,
            block_words,
            "Blocks are numbers from 0, as 0-9, 20.",
            self,
        )
        steps = ListRow("By step", BY_STEP, self.by_step, 72, self)
        blocks = ListRow("Blocks", BLOCKS, self.blocks, 64, self)
        steps.changed.connect(lambda numbers: self._change(by_step=numbers))
        blocks.changed.connect(lambda numbers: self._change(blocks=numbers))
        for shown in (steps, blocks):
            shown.checked.connect(self.checked)
        self._details = Columns(inset=False, parent=self)
        self._details.left.addWidget(steps)
        self._details.right.addWidget(blocks)
        for side in (self._details.left, self._details.right):
            side.addStretch(1)
        outer.addWidget(self._details)
        self.more.setChecked(bool(one.by_step or one.blocks))
        self._open(self.more.isChecked())
        self.show_lora(one)

    def show_lora(self, one: LoraGiven) -> None:
        self._shown = one
        self.strength.set_value(one.strength)
        self.strength.setEnabled(not one.by_step)
        self.by_step.set_numbers(one.by_step)
        self.blocks.set_numbers(one.blocks)

    def fault(self) -> str:
        return self.by_step.fault() or self.blocks.fault()

    def _open(self, opened: bool) -> None:
        self._details.setVisible(opened)

    def _change(self, **fields: Any) -> None:
        self._shown = replace(self._shown, **fields)
        self.changed.emit(self._shown)


class LoraRows(QWidget):
    """One row a LoRA, and a button to add one."""

    add_requested = Signal()
    changed = Signal(object)  # tuple of LoraGiven
    checked = Signal()  # a list may be wrong now, or right again

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        outer = column(self, gap=4)
        self._list = column(gap=4)
        outer.addLayout(self._list)
        foot = row(gap=8)
        self._none = label("No LoRA", "body", tone="text3", parent=self)
        add = push_button("Add LoRA…", parent=self)
        with_help(add, "Add LoRA", "", "A file that changes the model's style or speed.")
        add.clicked.connect(self.add_requested)
        foot.addWidget(self._none, 1)
        foot.addStretch(1)
        foot.addWidget(add)
        outer.addLayout(foot)
        self._shown: tuple[LoraGiven, ...] = ()
        self.rows: list[LoraRow] = []

    def set_loras(self, loras: tuple[LoraGiven, ...]) -> None:
        same = [one.path for one in loras] == [one.path for one in self._shown]
        self._shown = loras
        self._none.setVisible(not loras)
        if same:
            for line, one in zip(self.rows, loras, strict=True):
                line.show_lora(one)
            return
        for old in self.rows:
            self._list.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.rows = [LoraRow(one, self) for one in loras]
        for place, line in enumerate(self.rows):
            line.changed.connect(lambda one, place=place: self._put(place, (one,)))
            line.checked.connect(self.checked)
            line.removed.connect(lambda place=place: self._put(place, ()))
            self._list.addWidget(line)

    def fault(self) -> str:
        """What is wrong with one of them."""
        return next((one.fault() for one in self.rows if one.fault()), "")

    def _put(self, place: int, instead: tuple[LoraGiven, ...]) -> None:
        self.changed.emit((*self._shown[:place], *instead, *self._shown[place + 1 :]))
