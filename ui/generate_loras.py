"""The LoRAs of a run: which files, how strong each."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from ui.controls import Elided, icon_button, label, push_button, with_help
from ui.fields import NumberField
from ui.generate_form import LoraGiven
from ui.panels import column, row


class LoraRows(QWidget):
    """One row a LoRA, and a button to add one."""

    add_requested = Signal()
    changed = Signal(object)  # tuple of LoraGiven

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        outer = column(self, gap=4)
        self._rows = column(gap=4)
        outer.addLayout(self._rows)
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

    def set_loras(self, loras: tuple[LoraGiven, ...]) -> None:
        same = [one.path for one in loras] == [one.path for one in self._shown]
        self._shown = loras
        self._none.setVisible(not loras)
        if same:
            return
        while (item := self._rows.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()
                old.deleteLater()
        for place, one in enumerate(loras):
            self._rows.addWidget(self._row(place, one))

    def _row(self, place: int, one: LoraGiven) -> QWidget:
        line = QWidget(self)
        line.setFixedHeight(28)
        inner = row(line, gap=8)
        name = Elided(one.name, middle=True, parent=line)
        name.setToolTip(one.path)
        strength = NumberField(f"Strength of {one.name}", -4, 4, 0.05, "", line)
        strength.setFixedWidth(56)
        strength.set_value(one.strength)
        strength.edited.connect(lambda value, _gesture: self._strengthen(place, value))
        away = icon_button("close", f"Take {one.name} away", parent=line)
        away.clicked.connect(lambda: self._remove(place))
        for widget, stretch in ((name, 1), (strength, 0), (away, 0)):
            inner.addWidget(widget, stretch)
        return line

    def _strengthen(self, place: int, value: float) -> None:
        old = self._shown[place]
        changed = LoraGiven(old.path, old.name, value)
        self.changed.emit((*self._shown[:place], changed, *self._shown[place + 1 :]))

    def _remove(self, place: int) -> None:
        self.changed.emit((*self._shown[:place], *self._shown[place + 1 :]))
