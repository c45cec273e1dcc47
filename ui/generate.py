"""The Generate panel: clips from words and pictures, pictures from words."""

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import QFrame, QMenu, QScrollArea, QVBoxLayout, QWidget

from engine import wan_rules
from ui import theme
from ui.controls import icon_button, label, push_button, with_help
from ui.generate_advanced import AdvancedFold
from ui.generate_foot import GenerateFoot
from ui.generate_form import FIRST, LAST, PICTURE, STILL, TABS, TEXT, Form, Means, PictureGiven
from ui.generate_presets import Presets
from ui.generate_prompt import PromptField
from ui.generate_size import SizeRows
from ui.generate_slots import FITTED, PictureSlot
from ui.panels import Header, Tabs, column, hairline, row

WIDTH = 480
INSET = 16
NARROW = 420
ROWS_LOST = 2.5  # of a picture, that nobody would call cropped
SHOWN_LETTERS = 64  # of a prompt in the history
SHORT_TABS = {TEXT: "Text", PICTURE: "Image", STILL: "Still"}


class GeneratePanel(QFrame):
    """The side panel. It is given a `Form` and `Means`, and says what the person wants of them."""

    changed = Signal(str, object)  # a field of the form, "value" with (name, value), "size"
    preset_requested = Signal(str)
    loop_requested = Signal(bool)
    extend_requested = Signal()
    fill_requested = Signal()
    choose_requested = Signal(str)  # "first", "last"
    playhead_requested = Signal(str)
    size_fit_requested = Signal(str)
    files_given = Signal(str, object)
    assets_given = Signal(str, object)
    lora_add_requested = Signal()
    samples_requested = Signal()
    negative_requested = Signal()  # to begin with, the usual one
    generate_requested = Signal()
    weights_requested = Signal()
    fit_requested = Signal()
    close_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("surface", "panel")
        self.setAccessibleName("Generate")
        self._form, self._means = Form(), Means()
        self._history: tuple[str, ...] = ()
        self._at = -1  # in the history; -1: what is being written
        self._draft = ""
        outer = column(self)
        outer.addWidget(self._make_header())
        outer.addWidget(self._make_body(), 1)
        self.foot = GenerateFoot(self)
        outer.addWidget(self.foot)
        self.foot.place_requested.connect(lambda to_media: self.changed.emit("to_media", to_media))
        self.foot.generate_requested.connect(self.generate_requested)
        self.foot.weights_requested.connect(self.weights_requested)
        self.foot.fit_requested.connect(self.fit_requested)
        for keys in ("Ctrl+Return", "Ctrl+Enter"):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(self._run)

    # Building

    def _make_header(self) -> Header:
        header = Header(self)
        self.tabs = Tabs(tuple(name for _, name in TABS), header)
        self.tabs.setAccessibleName("What to generate")
        self.tabs.currentChanged.connect(lambda i: self.changed.emit("tab", TABS[i][0]))
        header.row.addWidget(self.tabs, 0, Qt.AlignmentFlag.AlignBottom)
        header.row.setContentsMargins(INSET, 0, 8, 0)
        header.row.addStretch(1)
        self._clock = icon_button("clock", "Prompts used before", parent=header)
        self._clock.clicked.connect(self._show_history)
        close = icon_button("close", "Close Generate", "Ctrl+Shift+G", parent=header)
        close.clicked.connect(self.close_requested)
        header.row.addWidget(self._clock)
        header.row.addWidget(close)
        return header

    def _make_body(self) -> QScrollArea:
        area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # keeps room
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        page = QWidget(area)
        page.setProperty("surface", "panel")
        inner = column(page, (0, 12, 0, 0), 0)
        top = column(margins=(INSET, 0, INSET - 8, 12), gap=12)
        top.addLayout(self._make_prompts(page))
        self._pictures = self._make_pictures(page)
        top.addWidget(self._pictures)
        top.addWidget(self._make_ways(page))
        self.presets = Presets(page)
        self.presets.chosen.connect(self.preset_requested)
        top.addWidget(self.presets)
        self.size_rows = SizeRows(page)
        self.size_rows.changed.connect(self.changed)
        self.size_rows.checked.connect(self._show_foot)
        top.addWidget(self.size_rows)
        inner.addLayout(top)
        self.advanced = AdvancedFold(page)
        self.advanced.changed.connect(lambda name, value: self.changed.emit("value", (name, value)))
        self.advanced.family_requested.connect(lambda name: self.changed.emit("family", name))
        self.advanced.given.connect(self.changed)
        self.advanced.checked.connect(self._show_foot)
        self.advanced.lora_add_requested.connect(self.lora_add_requested)
        self.advanced.samples_requested.connect(self.samples_requested)
        inner.addWidget(self.advanced)
        inner.addWidget(hairline(page))
        inner.addStretch(1)
        area.setWidget(page)
        return area

    def _make_prompts(self, page: QWidget) -> QVBoxLayout:
        both = column(gap=4)
        head = row(gap=8)
        head.addWidget(label("Prompt", "small", 500, tone="text2", parent=page))
        head.addStretch(1)
        self._more = push_button("+ Negative prompt", "text", parent=page)
        self._more.setFont(theme.font("small"))
        self._more.clicked.connect(self._open_negative)
        head.addWidget(self._more)
        both.addLayout(head)
        self.prompt = PromptField("Prompt", "What is to be seen, and how it moves", page)
        self.prompt.edited.connect(self._written)
        self.prompt.step_requested.connect(self._step)
        both.addWidget(self.prompt)
        self._negative_head = QWidget(page)
        line = row(self._negative_head, (0, 8, 0, 0), 8)
        line.addWidget(label("Negative prompt", "small", 500, tone="text2", parent=page))
        line.addStretch(1)
        usual = push_button("Use the usual one", "text", parent=page)
        usual.setFont(theme.font("small"))
        usual.clicked.connect(lambda: self.changed.emit("negative", None))
        line.addWidget(usual)
        both.addWidget(self._negative_head)
        self.negative = PromptField("Negative prompt", "What is not to be seen", page)
        self.negative.edited.connect(lambda text: self.changed.emit("negative", text))
        both.addWidget(self.negative)
        return both

    def _make_pictures(self, page: QWidget) -> QWidget:
        place = QWidget(page)
        both = row(place, gap=16)
        self.slots: dict[str, PictureSlot] = {}
        for key, title in ((FIRST, "First frame"), (LAST, "Last frame")):
            side = column(gap=4)
            side.addWidget(label(title, "small", 500, tone="text2", parent=place))
            slot = PictureSlot(title, place)
            slot.choose_requested.connect(lambda key=key: self.choose_requested.emit(key))
            slot.playhead_requested.connect(lambda key=key: self.playhead_requested.emit(key))
            slot.clear_requested.connect(lambda key=key: self.changed.emit(key, None))
            slot.fit_requested.connect(lambda key=key: self.size_fit_requested.emit(key))
            slot.files_dropped.connect(lambda paths, key=key: self.files_given.emit(key, paths))
            slot.assets_dropped.connect(lambda ids, key=key: self.assets_given.emit(key, ids))
            self.slots[key] = slot
            side.addWidget(slot)
            both.addLayout(side, 1)
        return place

    def _make_ways(self, page: QWidget) -> QWidget:
        self._ways = QWidget(page)
        line = row(self._ways, gap=8)
        self.loop = push_button("Make it loop", "toggle", "loop", parent=self._ways)
        self.loop.setCheckable(True)
        self.extend = push_button("Extend clip", parent=self._ways)
        self.fill = push_button("Fill the gap", parent=self._ways)
        self.loop.clicked.connect(self.loop_requested)
        self.extend.clicked.connect(self.extend_requested)
        self.fill.clicked.connect(self.fill_requested)
        for button in (self.loop, self.extend, self.fill):
            button.setMinimumWidth(64)  # gives way in a narrow panel
            line.addWidget(button)
        line.addStretch(1)
        return self._ways

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Where all tabs have no room they go by shorter names."""
        super().resizeEvent(event)
        for place, (key, name) in enumerate(TABS):
            self.tabs.setTabText(place, SHORT_TABS[key] if self.width() < NARROW else name)
            self.tabs.setTabToolTip(place, name)

    # What is shown

    def set_form(self, form: Form, means: Means) -> None:
        """Shows what is filled in and what can be done with it."""
        self._form, self._means = form, means
        self._show_tab(form.tab)
        self.prompt.set_words(form.prompt)
        opened = form.negative is not None
        self._more.setVisible(not opened)
        self._negative_head.setVisible(opened)
        self.negative.setVisible(opened)
        self.negative.set_words(form.negative or "")
        for key, given in ((FIRST, form.first), (LAST, form.last)):
            note = _note(form, given, means.size) if given is not None else ""
            if key == FIRST and given is not None and not form.width:
                note = FITTED
            self.slots[key].set_given(given, means.pictures.get(key), note)
            self.slots[key].set_playhead(means.playhead)
        self._show_ways(form, means)
        self.presets.set_value(form.preset, means.presets, means.note)
        self.size_rows.show_form(form, means.size)
        self.advanced.show_form(form, means)
        self._show_foot()

    def _show_foot(self) -> None:
        self.foot.show_form(self._form, self._means, self._fault())

    def _show_tab(self, tab: str) -> None:
        place = next(i for i, (key, _) in enumerate(TABS) if key == tab)
        self.tabs.blockSignals(True)
        self.tabs.setCurrentIndex(place)
        self.tabs.blockSignals(False)
        self._pictures.setVisible(tab == PICTURE)
        self._ways.setVisible(tab != TABS[2][0])
        self.extend.setVisible(tab == PICTURE)
        self.fill.setVisible(tab == PICTURE)

    def _show_ways(self, form: Form, means: Means) -> None:
        ways = (
            (self.loop, "Make it loop", "The last picture becomes the first.", means.loop),
            (self.extend, "Extend clip", "Goes on from the clip's last picture.", means.extend),
            (self.fill, "Fill the gap", "Leads from one neighbour to the other.", means.fill),
        )
        for button, name, line, why in ways:
            button.setEnabled(not why)
            with_help(button, name, "", why or line)
        self.loop.setChecked(form.looped)
        token = "accent" if form.looped else "text"
        self.loop.setIcon(theme.icon("loop", token))

    def _fault(self) -> str:
        """Why the form makes nothing yet."""
        if not self._form.prompt.strip():
            return "Write a prompt first."
        if self._form.tab == PICTURE and self._form.first is None:
            return "Give the first frame."
        if not self.size_rows.is_good():
            return "Size or length does not fit."
        return self.advanced.fault()

    def set_history(self, prompts: tuple[str, ...]) -> None:
        """Prompts used before, the latest first."""
        self._history = prompts
        self._clock.setEnabled(bool(prompts))
        line = "" if prompts else "Nothing was generated yet."
        with_help(self._clock, "Prompts used before", "Alt+Up", line)

    def focus_prompt(self) -> None:
        self.prompt.setFocus(Qt.FocusReason.ShortcutFocusReason)

    # What the person does

    def _run(self) -> None:
        if self.foot.button.isEnabled():
            self.foot.button.click()

    def _written(self, text: str) -> None:
        self._at = -1
        self.changed.emit("prompt", text)

    def _open_negative(self) -> None:
        self.negative_requested.emit()
        self.negative.setFocus(Qt.FocusReason.OtherFocusReason)

    def _step(self, step: int) -> None:
        """Alt Up goes back through the prompts, Alt Down comes back to what was being written."""
        if self._at < 0:
            self._draft = self._form.prompt
        place = min(len(self._history) - 1, max(-1, self._at - step))
        if place != self._at:
            self._at = place
            self.changed.emit("prompt", self._history[place] if place >= 0 else self._draft)

    def _show_history(self) -> None:
        menu = QMenu(self)
        for prompt in self._history[:20]:
            line = " ".join(prompt.split())
            shown = line if len(line) <= SHOWN_LETTERS else line[: SHOWN_LETTERS - 1] + "…"
            action = menu.addAction(shown.replace("&", "&&"))
            action.triggered.connect(
                lambda _=False, prompt=prompt: self.changed.emit("prompt", prompt)
            )
        menu.exec(self._clock.mapToGlobal(QPoint(0, self._clock.height() + 4)))
        menu.deleteLater()


def _note(form: Form, given: PictureGiven, size: tuple[int, int]) -> str:
    """What will be done to a picture, "" where it fits."""
    lost = wan_rules.SIDE if not form.width else ROWS_LOST
    if _is_shaped(given.width, given.height, *size, lost):
        return ""
    done = "stretched" if form.values.get("fit") == "stretch" else "cropped"
    return f"will be {done} to {size[0]} × {size[1]}"


def _is_shaped(width: int, height: int, across: int, down: int, lost: float) -> bool:
    """Whether a picture fills another shape without losing as many as `lost` rows."""
    scale = max(across / width, down / height)
    return width * scale - across < lost and height * scale - down < lost
