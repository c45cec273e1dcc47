"""Size, length, seed and how many: checked while typing, the nearest good values at hand."""

import re
from random import randrange

from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from engine import wan_rules
from ui import theme
from ui.controls import Elided, icon_button, label, push_button
from ui.fields import SEED_END
from ui.generate_columns import Columns
from ui.generate_form import DICE, PICTURE, STILL, Form
from ui.inputs import Choice
from ui.panels import column, row

SIZES = (
    (832, 480),
    (480, 832),
    (624, 624),
    (1280, 720),
    (720, 1280),
    (960, 960),
)
LONGEST = 5001  # frames
LARGEST = 4096  # pixels of a side
MOST_VARIATIONS = 16
LABELS = 72


class CheckedField(QLineEdit):
    """A whole number that is told at every keystroke; a wrong one has a sign and a red edge."""

    typed = Signal(object)  # int; None for what is no number

    def __init__(
        self, name: str, low: int, high: int, step: int = 1, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setProperty("kind", "number")
        self.setAccessibleName(name)
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.setFont(theme.font("body", tabular=True))
        self.setFixedHeight(28)
        self._low, self._high, self._step = low, high, step
        self._wrong = False
        self.textEdited.connect(lambda _text: self.typed.emit(self.number()))

    def number(self) -> int | None:
        """What stands there, None where it is no whole number in range."""
        text = self.text().replace(" ", "").replace("\N{NO-BREAK SPACE}", "")
        if not re.fullmatch(r"\d{1,10}", text):
            return None
        value = int(text)
        return value if self._low <= value <= self._high else None

    def set_number(self, value: int) -> None:
        """Shows a number, unless it stands there already."""
        if self.number() != value and not (self.hasFocus() and self._wrong):
            self.setText(f"{value:,}".replace(",", "\N{NO-BREAK SPACE}"))

    def set_wrong(self, why: str) -> None:
        """Marks what stands there as wrong; "" as good."""
        wrong = bool(why)
        self.setToolTip(why)
        if wrong != self._wrong:
            self._wrong = wrong
            self.setProperty("wrong", "true" if wrong else "false")
            self.style().unpolish(self)
            self.style().polish(self)
            self.update()

    def is_wrong(self) -> bool:
        return self._wrong

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1}.get(Qt.Key(event.key()))
        if step is not None:
            self._go(step)
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            self._go(1 if event.angleDelta().y() > 0 else -1)
            event.accept()
        else:
            event.ignore()

    def _go(self, step: int) -> None:
        value = self.number()
        at = self._low if value is None else value + step * self._step
        at = min(self._high, max(self._low, at))
        self.setText(str(at))
        self.typed.emit(at)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        value = self.number()
        if value is not None and not self._wrong:
            self.setText("")
            self.set_number(value)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._wrong:
            painter = QPainter(self)
            sign = theme.pixmap("error", "error", 12, self.devicePixelRatioF())
            painter.drawPixmap(QPointF(6, (self.height() - 12) / 2), sign)


class SizeEdit(QLineEdit):
    """The text of a size; a sign at its right where it is wrong."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._wrong = False

    def set_wrong(self, wrong: bool) -> None:
        self._wrong = wrong
        self.setTextMargins(0, 0, 16 if wrong else 0, 0)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._wrong:
            sign = theme.pixmap("error", "error", 12, self.devicePixelRatioF())
            place = QPointF(self.width() - 14, (self.height() - 12) / 2)
            QPainter(self).drawPixmap(place, sign)


class SizeField(Choice):
    """A list of usual sizes that takes any other: «640 x 384»."""

    typed = Signal(object)  # (width, height), (0, 0) as the picture; None for what is no size

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Size", parent=parent)
        self._edit = SizeEdit(self)
        self.setEditable(True)
        self.setLineEdit(self._edit)
        self.setInsertPolicy(Choice.InsertPolicy.NoInsert)
        self.setFixedHeight(28)
        self._as_picture = False
        self._wrong = False
        self._fill()
        edit = self._edit
        edit.setAccessibleName("Size")
        edit.setFont(theme.font("body", tabular=True))
        edit.textEdited.connect(lambda _text: self.typed.emit(self.size_given()))
        self.activated.connect(lambda _place: self.typed.emit(self.size_given()))

    def _fill(self) -> None:
        self.blockSignals(True)
        self.clear()
        if self._as_picture:
            self.addItem("As picture", (0, 0))
        for width, height in SIZES:
            self.addItem(f"{width} × {height}", (width, height))
        self.blockSignals(False)

    def size_given(self) -> tuple[int, int] | None:
        text = self.currentText()
        if self._as_picture and text.startswith("As"):
            return 0, 0
        found = re.fullmatch(r"\s*(\d{1,5})\s*[x×*X]\s*(\d{1,5})\s*", text)
        if not found:
            return None
        width, height = int(found[1]), int(found[2])
        return (width, height) if 1 <= min(width, height) <= max(width, height) <= LARGEST else None

    def set_size(self, width: int, height: int, as_picture: bool) -> None:
        """Shows a size; `as_picture`: whether one shaped as a picture can be chosen."""
        if as_picture != self._as_picture:
            self._as_picture = as_picture
            self._fill()
        is_typed = self._wrong and self._edit.hasFocus()
        if self.size_given() != (width, height) and not is_typed:
            self.blockSignals(True)
            self.setEditText(f"{width} × {height}" if width else "As picture")
            self.blockSignals(False)

    def set_wrong(self, why: str) -> None:
        self.setToolTip(why)
        if bool(why) != self._wrong:
            self._wrong = bool(why)
            self._edit.set_wrong(self._wrong)
            self.setProperty("wrong", "true" if why else "false")
            self.style().unpolish(self)
            self.style().polish(self)


class SizeRows(QWidget):
    """Two columns of fields, and below them what is wrong with the nearest good values."""

    changed = Signal(str, object)  # "size", "frames", "seed", "variations"
    checked = Signal()  # something may be wrong now, or right again

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        outer = column(self, gap=4)
        self._size = SizeField(self)
        self._frames = CheckedField("Length in frames", 1, LONGEST, 4, self)
        self._frames.setFixedWidth(52)
        self._seconds = Elided("", "small", token="text2", tabular=True, parent=self)
        self._seed = CheckedField("Seed", 0, SEED_END - 1, 1, self)
        self._dice = icon_button("dice", "New random seed", parent=self)
        self._dice.setProperty("kind", "framed")
        self._variations = CheckedField("Variations", 1, MOST_VARIATIONS, 1, self)
        self._variations.setFixedWidth(56)
        length = row(gap=4)
        length.addWidget(self._frames)
        length.addWidget(self._seconds, 1)
        seed = row(gap=8)
        seed.addWidget(self._seed, 1)
        seed.addWidget(self._dice)
        count = row(gap=0)
        count.addWidget(self._variations)
        count.addStretch(1)
        both = Columns(inset=False, parent=self)
        size = row(gap=8)
        size.addWidget(self._size, 1)
        _labelled(both.left, "Size", size, self)
        self._length_label = _labelled(both.left, "Length", length, self)
        _labelled(both.right, "Seed", seed, self)
        _labelled(both.right, "Variations", count, self)
        both.left.addStretch(1)
        outer.addWidget(both)
        self._lead_in = 0  # frames that are shown to the model and not in the result
        self._faults = {"size": Fault(self), "frames": Fault(self)}
        for name, fault in self._faults.items():
            outer.addWidget(fault)
            fault.chosen.connect(lambda value, name=name: self._take(name, value))
        self._size.typed.connect(self._sized)
        self._frames.typed.connect(self._timed)
        self._seed.typed.connect(lambda value: self._plain(self._seed, "seed", value))
        self._variations.typed.connect(
            lambda value: self._plain(self._variations, "variations", value)
        )
        self._dice.clicked.connect(lambda: self.changed.emit("seed", randrange(DICE)))

    def show_form(self, form: Form, size: tuple[int, int]) -> None:
        """The values; `size`: what it will be where it is shaped as a picture."""
        self._size.set_size(form.width, form.height, form.tab == PICTURE)
        shaped = "" if form.width else f"{size[0]} × {size[1]}, shaped as the picture."
        if shaped:
            self._size.setToolTip(shaped)
        self._frames.set_number(form.frames)
        self._seed.set_number(form.seed)
        self._variations.set_number(form.variations)
        is_still = form.tab == STILL
        for widget in (self._frames, self._seconds, self._length_label):
            widget.setVisible(not is_still)
        self._check_size(self._size.size_given())
        self._lead_in = int(form.values.get("lead_in", 0)) if form.tab == PICTURE else 0
        self._check_frames(None if is_still else self._frames.number(), is_still)

    def is_good(self) -> bool:
        """Whether nothing is marked as wrong."""
        is_wrong = self._seed.is_wrong() or self._variations.is_wrong()
        return not is_wrong and not any(fault.text() for fault in self._faults.values())

    def faults(self) -> dict[str, "Fault"]:
        return self._faults

    def _plain(self, field: CheckedField, name: str, value: int | None) -> None:
        field.set_wrong("" if value is not None else "It must be a whole number in range.")
        self.checked.emit()
        if value is not None:
            self.changed.emit(name, value)

    def _take(self, name: str, value: tuple[int, ...]) -> None:
        """A nearest good value was chosen."""
        if name == "size":
            self._size.set_wrong("")
            self._size.setEditText(f"{value[0]} × {value[1]}")
            self._sized((value[0], value[1]))
        else:
            self._frames.setText(str(value[0]))
            self._timed(value[0])

    def _sized(self, size: tuple[int, int] | None) -> None:
        self._check_size(size)
        self.checked.emit()
        if size is not None:
            self.changed.emit("size", size)

    def _timed(self, frames: int | None) -> None:
        self._check_frames(frames)
        self.checked.emit()
        if frames is not None:
            self.changed.emit("frames", frames)

    def _check_size(self, size: tuple[int, int] | None) -> None:
        why, offers = "", []
        if size is None:
            why = "A size is width × height, as 832 × 480."
        elif size != (0, 0) and not wan_rules.is_good_size(*size):
            why = "Sides are multiples of 16."
            offers = good_sizes(*size)
        self._size.set_wrong(why)
        self._faults["size"].show_fault(why, [(f"{w} × {h}", (w, h)) for w, h in offers])

    def _check_frames(self, frames: int | None, is_still: bool = False) -> None:
        why, offers = "", []
        if is_still:
            pass
        elif frames is None:
            why = f"Length is a number of frames, up to {LONGEST}."
        elif not wan_rules.is_good_length(frames):
            why = "Length is 4n + 1 frames."
            offers = [wan_rules.shorter_length(frames), wan_rules.longer_length(frames)]
        elif frames <= self._lead_in:
            why = f"The lead-in has {self._lead_in} frames: choose more."
            offers = [wan_rules.longer_length(self._lead_in + 1)]
        self._frames.set_wrong(why)
        self._faults["frames"].show_fault(why, [(str(one), (one,)) for one in offers])
        seconds = max(0, (frames or 0) - self._lead_in) / wan_rules.RATE
        shown = f"{seconds:.1f}" if seconds < 100 else f"{seconds:.0f}"
        self._seconds.set_text(f"{shown} s, {wan_rules.RATE} fps" if frames else "")


def _labelled(side: QVBoxLayout, name: str, fields: QHBoxLayout, parent: QWidget) -> QWidget:
    """Adds a line of fields with a label before it; gives the label."""
    words = Elided(name, token="text2", parent=parent)
    words.setFixedSize(LABELS, 28)
    line = row(gap=8)
    line.addWidget(words)
    line.addLayout(fields, 1)
    side.addLayout(line)
    return words


class Fault(QWidget):
    """«Length is 4n + 1 frames. Nearest: 81 or 85.» with the values as links."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row = row(self, (LABELS + 8, 0, 0, 0), 4)
        self._shown: tuple[str, ...] = ()
        self._why = ""
        self.hide()

    def text(self) -> str:
        return self._why

    def show_fault(self, why: str, offers: list[tuple[str, object]]) -> None:
        """What is wrong, and what would be right; "" hides it."""
        shown = (why, *(words for words, _ in offers))
        if shown == self._shown:
            return
        self._shown, self._why = shown, why
        while (item := self._row.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()
                old.deleteLater()
        words = f"{why} Nearest:" if offers else why
        self._row.addWidget(label(words, "small", tone="error", parent=self))
        for i, (text, value) in enumerate(offers):
            if i:
                self._row.addWidget(label("or", "small", tone="text2", parent=self))
            link = push_button(text, "link", parent=self)
            link.setFont(theme.font("small"))
            link.setFixedHeight(24)
            link.clicked.connect(lambda _=False, value=value: self.chosen.emit(value))
            self._row.addWidget(link)
        self._row.addStretch(1)
        self.setVisible(bool(why))


def good_sizes(width: int, height: int) -> list[tuple[int, int]]:
    """The good sizes next to this one, the smaller first; one where both are the same."""
    side = wan_rules.SIDE
    lower = (max(side, width // side * side), max(side, height // side * side))
    upper = (max(side, -(-width // side) * side), max(side, -(-height // side) * side))
    return list(dict.fromkeys((lower, upper)))
