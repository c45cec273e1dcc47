"""The page of weights: where they are looked for, and which families have all they need."""

from PySide6.QtCore import QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QIcon, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QFrame, QPushButton, QScrollArea, QScrollBar, QWidget

from ui import theme
from ui.controls import Elided, label, paint_ring, push_button, with_help
from ui.panels import EmptyState, column, hairline, row
from ui.weights_family import FamilyBlock
from ui.weights_rows import ATTENTION, Box, FamilyRow, FolderLine, FolderRow, Line, order_keys

EXPLAINED = (
    "Files are recognised by what is in them, not by name. "
    "Your folders are only read, never changed."
)
BY_HAND = "No network? Copy the file into the folder shown, then press Scan again."


class WeightsPage(QWidget):
    """Folders and families, shown by setters; wishes by signals."""

    title = "Weights"
    icon = "download"
    add_folder_requested = Signal()
    remove_folder_requested = Signal(str)  # path
    open_folder_requested = Signal(str)
    download_folder_requested = Signal(str)
    scan_requested = Signal()
    get_requested = Signal(str, str)  # family, part or "" for all that is missing
    word_requested = Signal(str, str)  # path, word
    pause_requested = Signal(str)  # family
    resume_requested = Signal(str)
    cancel_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._folders: list[FolderLine] = []
        self._awaited = ""
        self._families: dict[str, FamilyBlock] = {}
        self._words = ""
        self._is_fresh = True  # nothing was shown yet
        outer = column(self)
        outer.addWidget(self._heading())
        self._scroll = QScrollArea(self)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.setWidget(self._content())
        outer.addWidget(self._scroll, 1)

    def _heading(self) -> QWidget:
        head = QWidget(self)
        inner = column(head, (24, 16, 24, 11), 5)
        line = row(gap=8)
        line.addWidget(label("Weights library", "heading", parent=head), 1)
        self._scan = ScanButton(head)
        self._scan.clicked.connect(self._ask_scan)
        add = push_button("Add folder…", icon="plus", parent=head)
        add.clicked.connect(self.add_folder_requested)
        line.addWidget(self._scan)
        line.addWidget(add)
        inner.addLayout(line)
        self._explained = Elided(EXPLAINED, "small", token="text2", parent=head)
        inner.addWidget(self._explained)
        return head

    def _content(self) -> QWidget:
        body = QWidget(self._scroll)
        inner = column(body, (24, 0, 16, 12))
        self._empty = Box(body)
        state = EmptyState(
            "download", "No weights yet", "Add your ComfyUI folder, or get a family below.", "",
            self._empty,
        )  # fmt: skip
        add = push_button("Add folder…", "tinted", "plus", parent=state)
        add.clicked.connect(self.add_folder_requested)
        state.foot.addSpacing(12)
        state.foot.addWidget(add, 0, Qt.AlignmentFlag.AlignHCenter)
        state.setMinimumHeight(160)
        self._empty.lines.addWidget(state)
        self._folder_box = Box(body)
        inner.addWidget(self._empty)
        self._between = QWidget(body)
        self._between.setFixedHeight(12)
        inner.addWidget(self._between)
        inner.addWidget(self._folder_box)
        inner.addSpacing(16)
        line = row(gap=8)
        words = label("Families", "small", 500, tone="text2", parent=body)
        words.setMinimumHeight(20)
        line.addWidget(words, 1)
        self._counts = label("", "small", tone="text3", tabular=True, parent=body)
        line.addWidget(self._counts)
        inner.addLayout(line)
        inner.addSpacing(8)
        self._family_box = Box(body)
        inner.addWidget(self._family_box)
        self._nothing = label("", "small", tone="text2", parent=body)
        self._nothing.hide()
        inner.addWidget(self._nothing)
        inner.addStretch(1)
        self._show_empty()
        return body

    # What is shown

    def set_folders(self, rows: tuple[FolderRow, ...]) -> None:
        """The folders in the order they are searched."""
        if [one.shown.path for one in self._folders] == [one.path for one in rows]:
            for line, shown in zip(self._folders, rows, strict=True):
                if line.shown != shown:
                    line.show_row(shown)
        else:
            self._fill_folders(rows)
        self._show_empty()

    def set_families(self, rows: tuple[FamilyRow, ...]) -> None:
        """The families in their order; what is open stays open."""
        if list(self._families) == [one.name for one in rows]:
            changed = [self._families[shown.name].show_row(shown) for shown in rows]
            if any(changed):
                order_keys(self)
        else:
            self._fill_families(rows)
        ready = sum(bool(one.chip) and one.chip_kind != ATTENTION for one in rows)
        self._counts.setText(f"{len(rows)} known, {ready} ready")
        if self._awaited:  # asked for before a scan told of it
            self.open_family(self._awaited)
        self._show_empty()
        if self._is_fresh and self._folders:
            self._is_fresh = False
            self._open_first_trouble(rows)

    def set_scanning(self, scanning: bool, fraction: float = 0.0, words: str = "") -> None:
        """Whether folders are being looked through, and how far: «12 of 41»."""
        self._scan.show_scanning(scanning, fraction, words)

    def set_problem(self, text: str) -> None:
        """Why the last scan failed, "" where it did not."""
        self._explained.set_text(text or EXPLAINED, "warn" if text else "text2")

    def set_search(self, words: str) -> bool:
        """Shows the families that match; whether anything on the page does."""
        self._words = words
        is_own = not words or words.lower() in f"{self.title} library folders families".lower()
        found = [one.shown.matches(words) for one in self._families.values()]
        shown = is_own or any(found)
        for block, matching in zip(self._families.values(), found, strict=True):
            block.setVisible(matching or is_own)
        self._hide_first_line()
        self._family_box.setVisible(shown)
        self._nothing.setText(f"Nothing matches «{words}»")
        self._nothing.setVisible(not shown)
        return shown

    def open_family(self, name: str) -> None:
        """Unfolds a family and brings it into view."""
        block = self._families.get(name)
        self._awaited = "" if block is not None else name
        if block is not None:
            block.set_open(True)
            QTimer.singleShot(0, block, lambda: self._scroll.ensureWidgetVisible(block, 0, 24))

    def dismiss(self) -> bool:
        """Takes back an open confirmation; whether there was one."""
        return any(block.dismiss() for block in self._families.values())

    def bar(self) -> QScrollBar:
        """What it scrolls by."""
        return self._scroll.verticalScrollBar()

    def families(self) -> tuple[FamilyBlock, ...]:
        return tuple(self._families.values())

    def folders(self) -> tuple[FolderLine, ...]:
        return tuple(self._folders)

    def is_empty(self) -> bool:
        """Whether «No weights yet» is shown."""
        return not self._empty.isHidden()

    def _show_empty(self) -> None:
        files = sum(line.shown.files for line in self._folders)
        is_empty = not files and not any(line.shown.problem for line in self._folders)
        self._empty.setVisible(is_empty)
        self._between.setVisible(is_empty and bool(self._folders))
        self._folder_box.setVisible(bool(self._folders))

    def _open_first_trouble(self, rows: tuple[FamilyRow, ...]) -> None:
        for shown in rows:
            if shown.asks or (shown.chip_kind == ATTENTION and not shown.can_get and shown.chip):
                self._families[shown.name].set_open(True)
                return

    def _fill_folders(self, rows: tuple[FolderRow, ...]) -> None:
        _clear(self._folder_box)
        self._folders = []
        for shown in rows:
            if self._folders:
                self._folder_box.lines.addWidget(hairline(self._folder_box))
            line = FolderLine(shown, self._folder_box)
            line.open_requested.connect(self.open_folder_requested)
            line.download_requested.connect(self.download_folder_requested)
            line.remove_requested.connect(self.remove_folder_requested)
            line.stepped.connect(self._step)
            self._folder_box.lines.addWidget(line)
            self._folders.append(line)
        order_keys(self)

    def _fill_families(self, rows: tuple[FamilyRow, ...]) -> None:
        opened = {name for name, block in self._families.items() if block.is_open()}
        _clear(self._family_box)
        self._families = {}
        for shown in rows:
            block = FamilyBlock(shown, self._family_box)
            block.get_requested.connect(self.get_requested)
            block.word_requested.connect(self.word_requested)
            block.pause_requested.connect(self.pause_requested)
            block.resume_requested.connect(self.resume_requested)
            block.cancel_requested.connect(self.cancel_requested)
            block.stepped.connect(self._step)
            block.set_open(shown.name in opened)
            self._family_box.lines.addWidget(block)
            self._families[shown.name] = block
        order_keys(self)
        self.set_search(self._words)

    def _hide_first_line(self) -> None:
        first = True
        for block in self._families.values():
            block.line.setVisible(not first)
            first = first and block.isHidden()

    # Wishes

    def _ask_scan(self) -> None:
        if not self._scan.is_scanning:
            self.scan_requested.emit()

    def _step(self, step: int) -> None:
        """Up and Down: to the next row that is shown."""
        rows: list[Line] = [*self._folders]
        for block in self._families.values():
            rows += block.focusable() if not block.isHidden() else []
        now = next((i for i, one in enumerate(rows) if one.hasFocus()), -1)
        target = rows[min(len(rows) - 1, max(0, now + step))]
        target.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self._scroll.ensureWidgetVisible(target, 0, 12)


def _clear(box: Box) -> None:
    while (item := box.lines.takeAt(0)) is not None:
        if (old := item.widget()) is not None:
            old.hide()
            old.deleteLater()


class ScanButton(QPushButton):
    """Scan again; while scanning a ring and how many files are done, at the same width."""

    WORDS = "Scan again"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(self.WORDS, parent)
        self.is_scanning = False
        self._fraction = 0.0
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        blank = QPixmap(20, 16)
        blank.fill(Qt.GlobalColor.transparent)
        self._blank = QIcon(blank)
        self.setIcon(theme.icon("retry", "text"))
        self.setIconSize(blank.size())
        self.show_scanning(False, 0.0, "")

    def show_scanning(self, scanning: bool, fraction: float, words: str) -> None:
        if scanning and not self.is_scanning:
            self.setMinimumWidth(max(self.width(), self.sizeHint().width()))
        if scanning != self.is_scanning:
            self.setIcon(self._blank if scanning else theme.icon("retry", "text"))
        self.is_scanning, self._fraction = scanning, fraction
        self.setText(words or "Reading…" if scanning else self.WORDS)
        with_help(self, f"Scanning, {words}".rstrip(", ") if scanning else self.WORDS)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.is_scanning:
            content = self.fontMetrics().horizontalAdvance(self.text()) + 24
            left = (self.width() - content) / 2
            painter = QPainter(self)
            paint_ring(painter, QRectF(left, (self.height() - 16) / 2, 16, 16), self._fraction)
