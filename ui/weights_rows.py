"""What the page of weights shows, as values, and the rows of folders, families and downloads."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QEnterEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QAbstractButton, QFrame, QMenu, QSizePolicy, QVBoxLayout, QWidget

from ui import theme
from ui.controls import Chip, Elided, icon_button, label, push_button, with_help
from ui.keys import SIDEWAYS, UPWARDS
from ui.panels import Sign, column, row

FOUND, UNTOLD, REFUSED, MISSING = "found", "untold", "refused", "missing"
RUNNING, WAITING, PAUSED, STOPPING, FAILED = "running", "waiting", "paused", "stopping", "failed"
READY, ATTENTION, NEUTRAL = "fresh", "attention", "bare"  # kinds of StateChip
FOLDER_ROW, FAMILY_ROW, PART_ROW = 40, 44, 36
NAME_MOST = 400  # of a folder: its facts keep room
BAR_WIDTH, FAILED_WIDTH = 320, 440


@dataclass(frozen=True)
class FolderRow:
    """A folder to look in. `kind` and `size_text` stand in a line; `problem`: why it is not read.

    `free_text`: of its disk, told of the download folder. `chip`: «Recognised», or "".
    """

    path: str
    name: str
    kind: str
    files: int = 0
    size_text: str = ""
    free_text: str = ""
    chip: str = ""
    problem: str = ""
    is_download: bool = False

    @property
    def facts(self) -> str:
        """«ComfyUI folder · 41 files · 212 GB»."""
        count = f"{self.files} file{'' if self.files == 1 else 's'}"
        return " · ".join(filter(None, (self.kind, count, self.size_text, self.free_text)))


@dataclass(frozen=True)
class PartRow:
    """One file that a family needs. State: FOUND, UNTOLD, REFUSED or MISSING.

    `text`: the file found, its source, or why it is refused; `marked`: the beginning of `text`
    that stands in the colour of errors. `action`: words of the button, "" where there is none.
    `offer_line`: what getting it means, `by_hand`: how to do without the network.
    """

    name: str
    label: str
    state: str
    text: str = ""
    marked: str = ""
    tip: str = ""
    size_text: str = ""
    action: str = ""
    offer_line: str = ""
    by_hand: str = ""


@dataclass(frozen=True)
class AskRow:
    """What only the person can tell of a folder or file. `choices`: (word, words shown)."""

    path: str
    name: str
    text: str
    choices: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class DownloadRow:
    """A family being fetched. State: RUNNING, WAITING, PAUSED, STOPPING or FAILED.

    `done_text`: «4.8 of 14.3 GB»; `left_text`: «62 MB/s · 2 min 35 s left», or why it failed.
    """

    state: str
    fraction: float = 0.0  # 0 to 1
    done_text: str = ""
    left_text: str = ""


@dataclass(frozen=True)
class FamilyRow:
    """A family of models. `chip_kind`: READY or ATTENTION; `need`: size, memory, what is missing.

    `can_get`: all that is missing can be fetched at once; `offer_line` says what that means.
    """

    name: str
    label: str
    purpose: str
    need: str = ""
    chip: str = ""
    chip_kind: str = ATTENTION
    parts: tuple[PartRow, ...] = ()
    asks: tuple[AskRow, ...] = ()
    download: DownloadRow | None = None
    can_get: bool = False
    offer_line: str = ""
    by_hand: str = ""

    def matches(self, words: str) -> bool:
        """Whether each of `words` stands in its name, purpose or parts."""
        said = " ".join((self.label, self.purpose, *(part.label for part in self.parts))).lower()
        return all(word in said for word in words.lower().split())


class StateChip(Chip):
    """Ready with a tick, trouble with the triangle, or words alone."""

    KINDS: ClassVar[dict[str, tuple[str, str, str]]] = {
        **Chip.KINDS,
        ATTENTION: ("warn", "warn_tint", "warning"),
        NEUTRAL: ("text2", "raised", ""),
    }


class Box(QFrame):
    """A framed list on `raised`; `lines` takes its rows, which are drawn inside its corners."""

    RADIUS = 6

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lines: QVBoxLayout = column(self, (1, 1, 1, 1))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.colour("line"), 1))
        painter.setBrush(theme.colour("raised"))
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(area, self.RADIUS, self.RADIUS)


def fill_inside(widget: QWidget, token: str) -> None:
    """Fills `widget` with a token's colour, as far as the round corners of its box go."""
    painter = QPainter(widget)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    path = QPainterPath()
    path.addRect(QRectF(widget.rect()))
    box = widget.parentWidget()
    while box is not None and not isinstance(box, Box):
        box = box.parentWidget()
    if isinstance(box, Box):
        inside = QRectF(box.rect()).adjusted(1, 1, -1, -1)
        corners = QPainterPath()
        corners.addRoundedRect(inside, Box.RADIUS - 1, Box.RADIUS - 1)
        corners.translate(QPointF(-widget.mapTo(box, QPoint(0, 0))))
        path = path.intersected(corners)
    painter.fillPath(path, theme.colour(token))


def order_keys(root: QWidget) -> None:
    """Makes Tab go through what `root` holds in the order it lies there, also what came later."""
    found = [
        one
        for one in root.findChildren(QWidget)
        if one.focusPolicy() is not Qt.FocusPolicy.NoFocus or isinstance(one, QAbstractButton)
    ]
    for one, following in pairwise(found):
        QWidget.setTabOrder(one, following)


def give_focus(widget: QWidget) -> None:
    """Moves the focus; its ring is shown where the keyboard brought it before."""
    by_keys = widget.window().testAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange)
    reason = Qt.FocusReason.ShortcutFocusReason if by_keys else Qt.FocusReason.OtherFocusReason
    widget.setFocus(reason)


class Sunken(QWidget):
    """The open part of a family: darker than the rows."""

    def paintEvent(self, event: QPaintEvent) -> None:
        fill_inside(self, "panel")


class Line(QFrame):
    """What all rows share: the focus, the keys, the fill under the pointer."""

    NEEDED_KEYS = UPWARDS | SIDEWAYS
    stepped = Signal(int)  # Up -1, Down 1
    sided = Signal(int)  # Left -1, Right 1
    acted = Signal()  # Enter

    def __init__(self, height: int, *, lights: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lights = lights
        self.setMinimumHeight(height)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setProperty("focus_ring", True)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Up | Qt.Key.Key_Down:
                self.stepped.emit(-1 if event.key() == Qt.Key.Key_Up else 1)
            case Qt.Key.Key_Left | Qt.Key.Key_Right:
                self.sided.emit(-1 if event.key() == Qt.Key.Key_Left else 1)
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                self.acted.emit()
            case _:
                super().keyPressEvent(event)

    def enterEvent(self, event: QEnterEvent) -> None:
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._lights and self.underMouse():
            fill_inside(self, "hover")


class FolderLine(Line):
    """A folder: name, facts or problem, chip, and a menu."""

    open_requested = Signal(str)
    download_requested = Signal(str)
    remove_requested = Signal(str)

    def __init__(self, shown: FolderRow, parent: QWidget | None = None) -> None:
        super().__init__(FOLDER_ROW - 1, lights=False, parent=parent)
        self.shown = shown
        inner = row(self, (12, 0, 8, 0), 12)
        inner.addWidget(Sign("folder", "text2", 16, self))
        self._name = Elided("", "body", 500, middle=True, parent=self)
        self._name.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._name.setMaximumWidth(NAME_MOST)
        self._facts = Elided("", "small", token="text2", tabular=True, parent=self)
        self._chip = StateChip("", NEUTRAL, self)
        self._more = icon_button("more", "More", parent=self)
        self._more.clicked.connect(self.show_menu)
        inner.addWidget(self._name)
        inner.addWidget(self._facts, 1)
        inner.addWidget(self._chip)
        inner.addWidget(self._more)
        self.acted.connect(lambda: self.open_requested.emit(self.shown.path))
        self.show_row(shown)

    def show_row(self, shown: FolderRow) -> None:
        self.shown = shown
        self._name.set_text(shown.name)
        if shown.problem:
            self._facts.set_text(shown.problem, "warn")
        else:
            self._facts.set_text(shown.facts, "text2")
        self._chip.setVisible(bool(shown.chip))
        self._chip.set(shown.chip, NEUTRAL if shown.is_download else READY)
        said = (shown.name, shown.problem or shown.facts.replace(" · ", ", "), shown.chip)
        self.setAccessibleName(", ".join(filter(None, said)))
        self.setToolTip(shown.path)
        with_help(self._more, f"More of {shown.name}")

    def menu(self) -> QMenu:
        """What can be done with the folder."""
        menu, path = QMenu(self), self.shown.path
        menu.addAction("Open", lambda: self.open_requested.emit(path))
        if not self.shown.is_download:
            menu.addAction(
                "Make it the download folder", lambda: self.download_requested.emit(path)
            )
        menu.addSeparator()
        menu.addAction("Remove from list", lambda: self.remove_requested.emit(path))
        return menu

    def show_menu(self) -> None:
        menu = self.menu()
        at = QPoint(self._more.width() - menu.sizeHint().width(), self._more.height() + 4)
        menu.exec(self._more.mapToGlobal(at))
        menu.deleteLater()


class Bar(QWidget):
    """A progress bar, 4 high."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._fraction, self._token = 0.0, "accent_fill"
        self.setFixedHeight(4)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_fraction(self, fraction: float, token: str = "accent_fill") -> None:
        self._fraction, self._token = min(1.0, max(0.0, fraction)), token
        self.setAccessibleName(f"{round(self._fraction * 100)} percent")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(120, 4)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("border"))
        painter.drawRoundedRect(QRectF(self.rect()), 2, 2)
        if self._fraction > 0:
            painter.setBrush(theme.colour(self._token))
            done = max(4.0, self.width() * self._fraction)
            painter.drawRoundedRect(QRectF(0, 0, done, self.height()), 2, 2)


class DownloadStrip(QWidget):
    """How far a download is, with pause or resume, and cancel."""

    pause_requested = Signal()
    resume_requested = Signal()
    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = RUNNING
        inner = row(self, gap=8)
        self._middle = QWidget(self)
        self._middle.setFixedWidth(BAR_WIDTH)
        words = column(self._middle, gap=4)
        line = row(gap=8)
        self._done = label("", "small", tone="text2", tabular=True, parent=self._middle)
        self._left = Elided(
            "", "small", token="text2", align=Qt.AlignmentFlag.AlignRight, tabular=True,
            parent=self._middle,
        )  # fmt: skip
        self._why = Elided("", "small", token="error", tabular=True, parent=self._middle)
        line.addWidget(self._done)
        line.addWidget(self._left, 1)
        line.addWidget(self._why, 1)
        self._bar = Bar(self._middle)
        words.addStretch(1)
        words.addLayout(line)
        words.addWidget(self._bar)
        words.addStretch(1)
        self._again = push_button("Resume", "tinted", "retry", parent=self)
        self._resume = icon_button("play", "Resume", parent=self)
        self._pause = icon_button("pause", "Pause", parent=self)
        self._cancel = icon_button("close", "Cancel the download", parent=self)
        for widget in (self._middle, self._again, self._resume, self._pause, self._cancel):
            inner.addWidget(widget)
        for button in (self._again, self._resume):
            button.clicked.connect(self.resume_requested)
        self._pause.clicked.connect(self.pause_requested)
        self._cancel.clicked.connect(self.cancel_requested)

    def show_download(self, shown: DownloadRow) -> None:
        self._state = shown.state
        is_held = shown.state in (PAUSED, FAILED)
        failed = shown.state == FAILED
        self._middle.setFixedWidth(FAILED_WIDTH if failed else BAR_WIDTH)
        self._done.setText(shown.done_text)
        for words, is_shown in ((self._left, not failed), (self._why, failed)):
            words.set_text(shown.left_text)
            words.setVisible(is_shown)
        self._bar.set_fraction(shown.fraction, "text3" if is_held else "accent_fill")
        self._again.setVisible(failed)
        self._resume.setVisible(shown.state == PAUSED)
        self._pause.setVisible(not is_held)
        self._pause.setEnabled(shown.state != STOPPING)
        self._cancel.setEnabled(shown.state != STOPPING)
        self._done.setVisible(bool(shown.done_text) and not failed)
        self.setAccessibleName(f"{shown.done_text}, {shown.left_text}".strip(", "))

    def act(self) -> None:
        """What Enter does: pause or go on."""
        if self._state in (PAUSED, FAILED):
            self.resume_requested.emit()
        elif self._state != STOPPING:
            self.pause_requested.emit()


class Clickable(Line):
    """A row that a click acts on as Enter does."""

    clicked = Signal()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        inside = self.rect().contains(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and inside:
            self.clicked.emit()
