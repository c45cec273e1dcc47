"""The plain pages of the preferences: General, Appearance, Keyboard and Cache."""

from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QScrollBar, QSizePolicy, QWidget

from ui.controls import Elided, Keycap, key_text, label, push_button, with_help
from ui.fields import NumberField
from ui.inputs import Segments
from ui.panels import Sign, column, hairline, row
from ui.weights_rows import Bar, Box, give_focus

LABEL = 168
THEMES = (("dark", "Dark"), ("light", "Light"), ("system", "System"))


class SettingRow(QWidget):
    """A label, what sets the value, and a line of help under it."""

    def __init__(
        self,
        name: str,
        content: QWidget | QHBoxLayout,
        hint: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._said = f"{name} {hint}".lower()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        inner = row(self, gap=16)
        words = label(name, "body", tone="text2", parent=self)
        words.setFixedWidth(LABEL)
        words.setMinimumHeight(28)
        inner.addWidget(words, 0, Qt.AlignmentFlag.AlignTop)
        right = column(gap=4)
        if isinstance(content, QWidget):
            right.addWidget(content)
        else:
            right.addLayout(content)
        if hint:
            right.addWidget(label(hint, "small", tone="text3", parent=self))
        inner.addLayout(right, 1)

    def matches(self, words: str) -> bool:
        return all(word in self._said for word in words.lower().split())


class SettingsPage(QScrollArea):
    """A heading and rows; `add` puts a row in."""

    title = ""
    icon = ""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # keeps room
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._body = QWidget(self)
        self._column = column(self._body, (24, 20, 16, 16), 16)
        self._column.addWidget(label(self.title, "heading", parent=self._body))
        self._rows: list[SettingRow] = []
        self.build()
        self._column.addStretch(1)
        self.setWidget(self._body)

    def build(self) -> None:
        """Adds the rows."""
        raise NotImplementedError

    def add(self, name: str, content: QWidget | QHBoxLayout, hint: str = "") -> SettingRow:
        made = SettingRow(name, content, hint, self._body)
        self._column.addWidget(made)
        self._rows.append(made)
        return made

    def set_search(self, words: str) -> bool:
        """Shows the rows that match, all where the page itself does; whether any does."""
        is_own = words.lower() in self.title.lower()
        found = [one.matches(words) for one in self._rows]
        shown = is_own or any(found)
        for one, matching in zip(self._rows, found, strict=True):
            one.setVisible(matching or is_own or not shown)
        return shown

    def dismiss(self) -> bool:
        """Takes back an open question; whether there was one."""
        return False

    def bar(self) -> QScrollBar:
        """What it scrolls by."""
        return self.verticalScrollBar()


class GeneralPage(SettingsPage):
    title, icon = "General", "settings"
    still_requested = Signal(float)  # seconds
    folder_requested = Signal()  # choose another
    folder_reset_requested = Signal()

    def build(self) -> None:
        self._still = NumberField("Still length", 0.1, 3600, 0.1, "s", self._body)
        self._still.setFixedWidth(80)
        self._still.edited.connect(lambda value, _: self.still_requested.emit(value))
        line = row()
        line.addWidget(self._still)
        line.addStretch(1)
        self.add("Still length", line, "How long a picture lasts when it comes to the timeline.")
        self._folder = Elided("", "body", middle=True, parent=self._body)
        change = push_button("Change…", parent=self._body)
        with_help(change, "Change the export folder")
        change.clicked.connect(self.folder_requested)
        self._reset = push_button("Reset", "quiet", parent=self._body)
        with_help(self._reset, "Reset the export folder")
        self._reset.clicked.connect(self.folder_reset_requested)
        line = folder_line(self._folder, self._body)
        line.addWidget(self._reset)
        line.addWidget(change)
        self.add(
            "Export folder",
            line,
            "At first: Exports beside the project, or your videos without one.",
        )

    def set_still(self, seconds: float) -> None:
        self._still.set_value(seconds)

    def set_folder(self, folder: str, chosen: bool) -> None:
        """Where exports go; whether the person has chosen it."""
        self._folder.set_text(folder)
        self._reset.setVisible(chosen)


class AppearancePage(SettingsPage):
    title, icon = "Appearance", "sun"
    theme_requested = Signal(str)  # "dark", "light" or "system"

    def build(self) -> None:
        self._theme = Segments("Theme", THEMES, parent=self._body)
        self._theme.setFixedWidth(264)
        self._theme.chosen.connect(lambda value: self.theme_requested.emit(str(value)))
        line = row()
        line.addWidget(self._theme)
        line.addStretch(1)
        self.add("Theme", line, "System follows what is set for all programs.")

    def set_theme(self, name: str) -> None:
        self._theme.set_value(name)


@dataclass(frozen=True)
class KeyRow:
    """A command and its keys, as Qt writes them."""

    menu: str
    text: str
    keys: tuple[str, ...]
    help: str = ""


class KeyboardPage(SettingsPage):
    """Every command with its keys, by menu."""

    title, icon = "Keyboard", "list"

    def build(self) -> None:
        self._words = ""
        self._groups: list[tuple[QWidget, list[tuple[QWidget, str]]]] = []

    def set_keys(self, rows: tuple[KeyRow, ...]) -> None:
        """All commands, in the order of the menus."""
        for head, _ in self._groups:
            self._column.removeWidget(head)
            head.deleteLater()
        self._groups = []
        for menu in dict.fromkeys(one.menu for one in rows):
            group = QWidget(self._body)
            inner = column(group, gap=8)
            inner.addWidget(label(menu, "small", 500, tone="text2", parent=group))
            box = Box(group)
            lines: list[tuple[QWidget, str]] = []
            for one in rows:
                if one.menu == menu:
                    line = _key_line(one, bool(lines), box)
                    box.lines.addWidget(line)
                    said = " ".join((menu, one.text, *map(key_text, one.keys))).lower()
                    lines.append((line, said))
            inner.addWidget(box)
            self._column.insertWidget(self._column.count() - 1, group)
            self._groups.append((group, lines))
        self.set_search(self._words)

    def set_search(self, words: str) -> bool:
        self._words = words
        is_own = words.lower() in self.title.lower()
        shown = False
        for group, lines in self._groups:
            found = [all(word in said for word in words.lower().split()) for _, said in lines]
            for (line, _), matching in zip(lines, found, strict=True):
                line.setVisible(matching or is_own)
            group.setVisible(any(found) or is_own)
            shown = shown or any(found)
        return shown or is_own


class CachePage(SettingsPage):
    title, icon = "Cache", "folder"
    open_requested = Signal()
    limit_requested = Signal(object)  # int bytes
    clear_requested = Signal()

    def build(self) -> None:
        body = self._body
        self._folder = Elided("", "body", middle=True, parent=body)
        line = folder_line(self._folder, body)
        show = push_button("Open", parent=body)
        with_help(show, "Open the cache folder")
        show.clicked.connect(self.open_requested)
        line.addWidget(show)
        self.add(
            "Folder", line, "Rendered effects, thumbnails and waveforms. All can be made again."
        )
        self._size = label("", "body", tabular=True, parent=body)
        self._meter = Bar(body)
        self._meter.setMaximumWidth(400)
        measure = QWidget(body)
        inner = column(measure, (0, 6, 0, 4), 8)
        inner.addWidget(self._size)
        inner.addWidget(self._meter)
        self.add("Size", measure)
        self._limit = NumberField("Limit", 1, 10_000, 1, "GB", body)
        self._limit.setFixedWidth(88)
        self._limit.edited.connect(
            lambda value, _: self.limit_requested.emit(round(value) * 1_000_000_000)
        )
        line = row()
        line.addWidget(self._limit)
        line.addStretch(1)
        self.add("Limit", line, "When it is full, what was used longest ago goes first.")
        self.add("Clear", self._clearing())

    def _clearing(self) -> QWidget:
        holder = QWidget(self._body)
        inner = row(holder, gap=8)
        self._clear = push_button("Clear the cache", icon="trash", parent=holder)
        self._clear.clicked.connect(lambda: self._ask(True))
        self._why = Elided("", "small", token="text2", parent=holder)
        self._question = label("", "small", parent=holder)
        self._yes = push_button("Clear", "tinted", "trash", parent=holder)
        self._no = push_button("Keep", "quiet", parent=holder)
        self._yes.clicked.connect(self._accept)
        self._no.clicked.connect(lambda: self._ask(False))
        for widget in (self._clear, self._question, self._yes, self._no):
            inner.addWidget(widget)
        inner.addWidget(self._why, 1)
        self._ask(False)
        return holder

    def _ask(self, asking: bool) -> None:
        self._clear.setVisible(not asking)
        self._why.setVisible(not asking)
        for widget in (self._question, self._yes, self._no):
            widget.setVisible(asking)
        if asking:
            give_focus(self._yes)

    def _accept(self) -> None:
        self._ask(False)
        give_focus(self._clear)
        self.clear_requested.emit()

    def dismiss(self) -> bool:
        asking = not self._yes.isHidden()
        self._ask(False)
        return asking

    def set_folder(self, folder: str) -> None:
        self._folder.set_text(folder)

    def set_size(self, text: str, fraction: float, limit_bytes: int) -> None:
        """«3.1 of 40.0 GB», how full it is, and the limit."""
        self._size.setText(text)
        self._meter.set_fraction(fraction)
        self._limit.set_value(limit_bytes / 1_000_000_000)
        self._question.setText("All effects must be rendered again.")

    def set_clearable(self, possible: bool, why: str = "") -> None:
        """Whether it can be cleared now; `why` not, or what happens."""
        self._clear.setEnabled(possible)
        self._clear.setToolTip("" if possible else why)
        self._why.set_text(why)
        if not possible:
            self._ask(False)


def folder_line(name: Elided, parent: QWidget) -> QHBoxLayout:
    """A folder's sign and name; buttons come after them."""
    line = row(gap=8)
    line.addWidget(Sign("folder", "text2", 16, parent))
    line.addWidget(name, 1)
    return line


def _key_line(shown: KeyRow, has_line: bool, parent: QWidget) -> QWidget:
    whole = QWidget(parent)
    outer = column(whole)
    if has_line:
        outer.addWidget(hairline(whole))
    line = row(gap=4)
    line.setContentsMargins(12, 0, 12, 0)
    words = label(shown.text, "body", parent=whole)
    words.setMinimumHeight(31)
    words.setToolTip(shown.help)
    line.addWidget(words, 1)
    for keys in shown.keys:
        line.addWidget(Keycap(key_text(keys), whole))
    if not shown.keys:
        line.addWidget(label("no key", "small", tone="text3", parent=whole))
    outer.addLayout(line)
    return whole
