"""Lists that are typed: a value for each step, numbers of blocks."""

import re
from collections.abc import Callable
from itertools import pairwise

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QWidget

from ui import theme
from ui.controls import Elided, label, with_help
from ui.panels import column, row

Numbers = tuple[float, ...]


class ListField(QLineEdit):
    """Numbers with commas between, told at every keystroke; what is no list has a red edge."""

    typed = Signal(object)  # tuple of numbers, () where nothing stands there

    def __init__(
        self,
        name: str,
        hint: str,
        read: Callable[[str], Numbers | None],
        write: Callable[[Numbers], str],
        why: str,
        parent: QWidget | None = None,
    ) -> None:
        """`read` gives None for what is no list; `why` says so."""
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setPlaceholderText(hint)
        self.setFont(theme.font("body", tabular=True))
        self.setFixedHeight(28)
        self._read, self._write, self._why = read, write, why
        self._help = ""
        self.textEdited.connect(self._edited)

    def numbers(self) -> Numbers | None:
        """What stands there; None where it is no list."""
        return self._read(self.text())

    def fault(self) -> str:
        """What is wrong with it, "" where it is good."""
        return "" if self.numbers() is not None else self._why

    def set_numbers(self, numbers: Numbers) -> None:
        """Shows a list, unless it stands there already or something else is being typed."""
        if self.numbers() != numbers and not (self.hasFocus() and self.fault()):
            self.setText(self._write(numbers))
            self._mark()

    def set_help(self, name: str, line: str) -> None:
        self._help = line
        with_help(self, name, "", line)

    def _edited(self, _text: str) -> None:
        self._mark()
        numbers = self.numbers()
        if numbers is not None:
            self.typed.emit(numbers)

    def _mark(self) -> None:
        wrong = "true" if self.fault() else "false"
        if self.property("wrong") != wrong:
            self.setProperty("wrong", wrong)
            self.style().unpolish(self)
            self.style().polish(self)
        with_help(self, self.accessibleName(), "", self.fault() or self._help)


class ListRow(QWidget):
    """A label before a list, and what is wrong with it below."""

    changed = Signal(object)
    checked = Signal()  # it may be wrong now, or right again

    def __init__(
        self, name: str, line: str, field: ListField, wide: int = 104, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.field = field
        outer = column(self, gap=0)
        inner = row(gap=8)
        words = Elided(name, token="text2", parent=self)
        words.setFixedWidth(wide)
        inner.addWidget(words)
        inner.addWidget(field, 1)
        outer.addLayout(inner)
        self._fault = label("", "small", tone="error", parent=self)
        self._fault.setWordWrap(True)
        self._fault.setContentsMargins(wide + 8, 4, 0, 4)
        self._fault.hide()
        outer.addWidget(self._fault)
        field.set_help(name, line)
        with_help(words, name, "", line)
        self.setToolTip(field.toolTip())
        field.textChanged.connect(self._show)
        field.typed.connect(self.changed)

    def _show(self) -> None:
        self._fault.setText(self.field.fault())
        self._fault.setVisible(bool(self.field.fault()))
        self.checked.emit()


def numbers_of(text: str) -> Numbers | None:
    """«6, 6, 1» as numbers; None where it is no list of them."""
    parts = [one for one in re.split(r"[\s,;]+", text.strip()) if one]
    try:
        found = tuple(float(one) for one in parts)
    except ValueError:
        return None
    return found if all(abs(one) < 1e6 for one in found) else None


def guidance_of(text: str) -> Numbers | None:
    """Guidance for each step, 0 to 30."""
    found = numbers_of(text)
    return found if found is not None and all(0 <= one <= 30 for one in found) else None


def timesteps_of(text: str) -> Numbers | None:
    """Timesteps before the shift, which fall from 1000 at most to more than 0."""
    found = numbers_of(text)
    if found is None or any(not 0 < one <= 1000 for one in found):
        return None
    return found if all(a > b for a, b in pairwise(found)) else None


def strengths_of(text: str) -> Numbers | None:
    """Strengths of a LoRA for each step."""
    found = numbers_of(text)
    return found if found is not None and all(-10 <= one <= 10 for one in found) else None


def number_words(numbers: Numbers) -> str:
    """Numbers as they are typed: «6, 6, 1»."""
    return ", ".join(f"{one:g}" for one in numbers)
