"""A family on the page of weights: its row, the questions, its parts, and what getting means."""

from html import escape

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from ui import theme
from ui.controls import Elided, label, push_button, with_help
from ui.inputs import Segments
from ui.panels import Sign, column, hairline, row
from ui.weights_rows import (
    FAMILY_ROW,
    FOUND,
    PART_ROW,
    REFUSED,
    AskRow,
    Clickable,
    DownloadStrip,
    FamilyRow,
    Line,
    PartRow,
    StateChip,
    Sunken,
    give_focus,
)

SIGNS = {  # of a part's state: icon, token
    "found": ("done", "accent"),
    "untold": ("warning", "warn"),
    "refused": ("error", "error"),
    "missing": ("download", "warn"),
}
NAME, SIZE, ACTION = 178, 72, 108  # columns of a part
NAME_MOST = 320  # of a family: its purpose keeps room
BESIDE = 31  # where a part's sign begins


class Reason(QLabel):
    """A sentence that takes as many lines as it needs; its beginning may be in another colour."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text, self._marked, self._token = "", "", "text2"
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setFont(theme.font("small", tabular=True))
        self.setWordWrap(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def set_reason(self, text: str, marked: str = "", token: str = "text2") -> None:
        self._text, self._marked, self._token = text, marked, token
        self.setAccessibleName(text)
        self._colour()

    def reason(self) -> str:
        return self._text

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self._colour()

    def _colour(self) -> None:
        rest = escape(self._text.removeprefix(self._marked))
        wanted = f'<span style="color:{theme.hex_of(self._token)}">{rest}</span>'
        if self._marked:
            mark = f'<span style="color:{theme.hex_of("error")};font-weight:500">'
            wanted = f"{mark}{escape(self._marked)}</span>{wanted}"
        if wanted != self.text():
            self.setText(wanted)


class Offer(QWidget):
    """What getting something means, with Get and Cancel."""

    accepted = Signal()
    refused = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        inner = row(self, gap=8)
        self._line = Reason(self)
        self._get = push_button("Get", "tinted", "download", parent=self)
        cancel = push_button("Cancel", "quiet", parent=self)
        inner.addWidget(self._line, 1)
        inner.addSpacing(4)
        inner.addWidget(self._get)
        inner.addWidget(cancel)
        self._get.clicked.connect(self.accepted)
        cancel.clicked.connect(self.refused)

    def show_offer(self, line: str, by_hand: str) -> None:
        self._line.set_reason(line, token="text")
        self._line.setToolTip(by_hand)

    def focus_first(self) -> None:
        give_focus(self._get)


class AskLine(Line):
    """What only the person can tell: «Both look alike; which is it?»."""

    told = Signal(str, str)  # path, word

    def __init__(self, ask: AskRow, parent: QWidget | None = None) -> None:
        super().__init__(PART_ROW, lights=False, parent=parent)
        self.ask = ask
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # its segments have the keys
        inner = row(self, (BESIDE, 0, 12, 0), 12)
        inner.addWidget(Sign("warning", "warn", 16, self))
        name = Elided(ask.name, "body", 500, middle=True, parent=self)
        name.setToolTip(ask.path)
        name.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        inner.addWidget(name)
        inner.addWidget(Elided(ask.text, "small", token="warn", parent=self), 1)
        self.segments = Segments(f"{ask.name}: {ask.text}", ask.choices, parent=self)
        self.segments.setFixedWidth(72 * len(ask.choices))
        self.segments.chosen.connect(lambda word: self.told.emit(ask.path, str(word)))
        inner.addWidget(self.segments)


class PartLine(Clickable):
    """One file: sign, part, file or source or reason, size, action. Get asks in the row."""

    get_requested = Signal(str)  # part

    def __init__(self, shown: PartRow, parent: QWidget | None = None) -> None:
        super().__init__(PART_ROW, lights=False, parent=parent)
        self.shown = shown
        inner = row(self, (BESIDE, 4, 12, 4), 12)
        self._sign = Sign("done", "accent", 16, self)
        self._name = Elided("", "body", 500, parent=self)
        self._name.setFixedWidth(NAME)
        inner.addWidget(self._sign)
        inner.addWidget(self._name)
        inner.addSpacing(-4)
        self._file = Elided("", "small", token="text2", middle=True, parent=self)
        self._reason = Reason(self)
        self._size = label("", "small", tone="text2", tabular=True, parent=self)
        self._size.setFixedWidth(SIZE)
        self._size.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._ends = QWidget(self)
        self._ends.setFixedWidth(ACTION)
        ends = row(self._ends)
        ends.addStretch(1)
        self._get = push_button("Get", "tinted", "download", parent=self._ends)
        self._get.clicked.connect(self.ask)
        self._found = label("found", "small", tone="text3", parent=self._ends)
        ends.addWidget(self._get)
        ends.addWidget(self._found)
        self._offer = Offer(self)
        self._offer.hide()
        self._offer.accepted.connect(self._accept)
        self._offer.refused.connect(self.dismiss)
        inner.addWidget(self._file, 1)
        inner.addWidget(self._reason, 1)
        inner.addWidget(self._size)
        inner.addWidget(self._ends)
        inner.addWidget(self._offer, 1)
        self.acted.connect(self.ask)
        self.show_row(shown)

    def show_row(self, shown: PartRow) -> None:
        self.shown = shown
        self._sign.set(*SIGNS[shown.state])
        self._name.set_text(shown.label)
        self._file.set_text(shown.text)
        self._reason.set_reason(shown.text, shown.marked)
        self._size.setText(shown.size_text)
        self._found.setVisible(shown.state == FOUND)
        self._get.setText(shown.action)
        with_help(self._get, f"{shown.action} {shown.label}".strip())
        self._offer.show_offer(shown.offer_line, shown.by_hand)
        self.setToolTip(shown.tip)
        state = "found" if shown.state == FOUND else shown.state
        said = (shown.label, state, shown.text, shown.size_text)
        self.setAccessibleName(", ".join(filter(None, said)))
        self._place(asking=self.is_asking() and bool(shown.action))

    def is_asking(self) -> bool:
        return not self._offer.isHidden()

    def ask(self) -> None:
        """Shows what getting the file means; nothing is fetched yet."""
        if self.shown.action:
            self._place(asking=True)
            self._offer.focus_first()

    def dismiss(self) -> None:
        self._place(asking=False)
        give_focus(self)

    def _accept(self) -> None:
        self._place(asking=False)
        give_focus(self)
        self.get_requested.emit(self.shown.name)

    def _place(self, *, asking: bool) -> None:
        is_reason = self.shown.state == REFUSED
        self._file.setVisible(not asking and not is_reason)
        self._reason.setVisible(not asking and is_reason)
        self._size.setVisible(not asking)
        self._ends.setVisible(not asking)
        self._get.setVisible(bool(self.shown.action))
        self._offer.setVisible(asking)


class FamilyHead(Clickable):
    """The row of a family: fold, name, what it is for, need, and chip, Get all or download."""

    get_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(FAMILY_ROW - 1, parent=parent)
        inner = row(self, (10, 0, 12, 0), 8)
        self._chevron = Sign("chevron_right", "text2", 12, self)
        self._name = Elided("", "body", 600, middle=True, parent=self)
        self._name.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._name.setMaximumWidth(NAME_MOST)
        self._purpose = Elided("", "small", token="text2", parent=self)
        self._need = Elided(
            "", "small", token="text2", align=Qt.AlignmentFlag.AlignRight, tabular=True, parent=self
        )
        self._need.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._chip = StateChip(parent=self)
        self._get = push_button("Get all", "tinted", "download", parent=self)
        self._get.clicked.connect(self.get_requested)
        self.strip = DownloadStrip(self)
        inner.addWidget(self._chevron)
        inner.addWidget(self._name)
        inner.addWidget(self._purpose, 1)
        for widget in (self._need, self._chip, self._get, self.strip):
            inner.addWidget(widget)

    def show_row(self, shown: FamilyRow, opened: bool) -> None:
        self._chevron.set("chevron_down" if opened else "chevron_right", "text2")
        self._name.set_text(shown.label)
        self._purpose.set_text(shown.purpose)
        self._need.set_text(shown.need)
        loading = shown.download is not None
        self._need.setVisible(not loading)
        self._chip.set(shown.chip, shown.chip_kind)
        self._chip.setVisible(bool(shown.chip) and not loading and not shown.can_get)
        self._get.setVisible(shown.can_get and not loading)
        with_help(self._get, f"Get all of {shown.label}")
        self.strip.setVisible(loading)
        if shown.download is not None:
            self.strip.show_download(shown.download)
        state = shown.need if shown.can_get else shown.chip
        if shown.download is not None:
            state = self.strip.accessibleName()
        fold = "open" if opened else "closed"
        said = (shown.label, shown.purpose, state.replace(" · ", ", "), fold)
        self.setAccessibleName(", ".join(filter(None, said)))


class FamilyBlock(QWidget):
    """A family with what its fold holds."""

    get_requested = Signal(str, str)  # family, part or "" for all
    word_requested = Signal(str, str)  # path, word
    pause_requested = Signal(str)
    resume_requested = Signal(str)
    cancel_requested = Signal(str)
    stepped = Signal(int)

    def __init__(self, shown: FamilyRow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.shown = shown
        outer = column(self)
        self.line = hairline(self)  # to the family above
        self.head = FamilyHead(self)
        self._offer = Sunken(self)
        offering = column(self._offer, (BESIDE + 28, 8, 12, 8))
        self._offer_row = Offer(self._offer)
        offering.addWidget(self._offer_row)
        self._body = Sunken(self)
        self._rows = column(self._body, (0, 4, 0, 4))
        self._offer.hide()
        self._body.hide()
        for widget in (self.line, self.head, self._offer, self._body):
            outer.addWidget(widget)
        self.parts: list[PartLine] = []
        self.asks: list[AskLine] = []
        self.head.clicked.connect(lambda: self.set_open(not self.is_open()))
        self.head.get_requested.connect(self.ask)
        self.head.acted.connect(self._act)
        self.head.stepped.connect(self.stepped)
        self.head.sided.connect(lambda side: self.set_open(side > 0))
        self._offer_row.accepted.connect(self._accept)
        self._offer_row.refused.connect(self.dismiss)
        strip = self.head.strip
        strip.pause_requested.connect(lambda: self.pause_requested.emit(self.shown.name))
        strip.resume_requested.connect(lambda: self.resume_requested.emit(self.shown.name))
        strip.cancel_requested.connect(lambda: self.cancel_requested.emit(self.shown.name))
        self._fill(shown)
        self.show_row(shown)

    def is_open(self) -> bool:
        return not self._body.isHidden()

    def set_open(self, opened: bool) -> None:
        self._body.setVisible(opened)
        self.head.show_row(self.shown, opened)

    def show_row(self, shown: FamilyRow) -> bool:
        """Shows the family as it is now, what is open stays open; whether rows were made anew."""
        same = self.shown.asks == shown.asks and [p.name for p in self.shown.parts] == [
            p.name for p in shown.parts
        ]
        self.shown = shown
        if not same:
            self._fill(shown)
        for line, part in zip(self.parts, shown.parts, strict=True):
            if line.shown != part:
                line.show_row(part)
        self.head.show_row(shown, self.is_open())
        self._offer_row.show_offer(shown.offer_line, shown.by_hand)
        if self.is_asking() and not shown.can_get:
            self._offer.hide()
        return not same

    def focusable(self) -> list[Line]:
        """The rows that Up and Down go through."""
        return [self.head, *(self.parts if self.is_open() else ())]

    def is_asking(self) -> bool:
        return not self._offer.isHidden()

    def ask(self) -> None:
        """Says what getting all means; nothing is fetched yet."""
        self._offer.show()
        self._offer_row.focus_first()

    def dismiss(self) -> bool:
        """Takes an open question back; whether there was one."""
        for part in self.parts:
            if part.is_asking():
                part.dismiss()
                return True
        if self.is_asking():
            self._offer.hide()
            give_focus(self.head)
            return True
        return False

    def _act(self) -> None:
        if self.shown.download is not None:
            self.head.strip.act()
        elif self.shown.can_get:
            self.ask()
        else:
            self.set_open(not self.is_open())

    def _accept(self) -> None:
        self._offer.hide()
        give_focus(self.head)
        self.get_requested.emit(self.shown.name, "")

    def _fill(self, shown: FamilyRow) -> None:
        for old in (*self.parts, *self.asks):
            self._rows.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.asks = [AskLine(ask, self._body) for ask in shown.asks]
        self.parts = [PartLine(part, self._body) for part in shown.parts]
        for ask in self.asks:
            ask.told.connect(self.word_requested)
            self._rows.addWidget(ask)
        for part in self.parts:
            part.get_requested.connect(lambda name: self.get_requested.emit(self.shown.name, name))
            part.stepped.connect(self.stepped)
            part.sided.connect(self._sideways)
            self._rows.addWidget(part)

    def _sideways(self, side: int) -> None:
        """Left in a part closes the family."""
        if side < 0:
            self.set_open(False)
            give_focus(self.head)
