"""The card of one effect in the inspector: state, order, on and off, and a row per parameter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import is_

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QStandardItemModel
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.timeline.effects import (
    EFFECTS,
    EffectKind,
    Engine,
    Parameter,
    ParameterKind,
    Value,
    kind,
)
from engine.timeline.model import EffectUse
from ui import theme
from ui.controls import (
    FROM_KEYS,
    Chip,
    Elided,
    icon_button,
    label,
    push_button,
    with_help,
)
from ui.engines import EngineState, EngineStates
from ui.fields import Field, field_for
from ui.inputs import Choice
from ui.loras_field import LorasField
from ui.panels import Fold, Sign, column, row

LABEL = 88


@dataclass(frozen=True)
class UseState:
    """What a baked effect is at: "", "fresh", "stale", "running", "failed"; 0 to 1; the reason."""

    name: str = ""
    fraction: float = 0.0
    message: str = ""


CHIPS = {"fresh": "Fresh", "stale": "Stale", "running": "Running", "failed": "Failed"}


class LabelledRow(QWidget):
    """A label of 88 and a field; `is_stacked`: the field below, over the whole width."""

    def __init__(
        self,
        text: str,
        field: QWidget,
        tip: str = "",
        parent: QWidget | None = None,
        *,
        is_stacked: bool = False,
    ) -> None:
        super().__init__(parent)
        inner = column(self, gap=2) if is_stacked else row(self, gap=8)
        words = Elided(text, "body", token="text2", parent=self)
        if is_stacked:
            words.setFixedHeight(24)
        else:
            words.setFixedWidth(LABEL)
        words.setToolTip(tip)
        inner.addWidget(words)
        inner.addWidget(field, 1)
        self.setToolTip(tip)
        self.setStatusTip(tip)


class DragHandle(QToolButton):
    """Six dots: dragged up and down, or moved by Alt Up and Alt Down."""

    dragged = Signal(QPoint, bool)  # global position, final
    moved = Signal(int)  # -1 up, 1 down

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setIcon(theme.icon("drag", "text3"))
        self.setFixedSize(16, 24)
        self.setFocusPolicy(FROM_KEYS)
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        with_help(self, "Drag to reorder", "", "Alt Up and Alt Down move it too.")
        self._held = False

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._held = event.button() == Qt.MouseButton.LeftButton

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._held:
            self.dragged.emit(event.globalPosition().toPoint(), False)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._held:
            self._held = False
            self.dragged.emit(event.globalPosition().toPoint(), True)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()))
        if step is not None and event.modifiers() & Qt.KeyboardModifier.AltModifier:
            self.moved.emit(step)
        else:
            super().keyPressEvent(event)


class EffectCard(QFrame):
    """Shows one effect of one clip, or the same effect of several."""

    value_requested = Signal(str, object, int)  # name, value, gesture
    engine_requested = Signal(str)
    enable_requested = Signal(bool)
    reset_requested = Signal()
    remove_requested = Signal()
    copy_requested = Signal()
    weights_requested = Signal(str)  # engine
    file_requested = Signal(str)  # for the parameter of that name

    def __init__(self, use: EffectUse, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("surface", "card")
        self.use = use
        self._kind, self._engine = _known(use)
        self._fields: dict[str, Field] = {}
        self._rows: dict[str, LabelledRow] = {}
        self._advanced: Fold | None = None
        self._shown: list[EffectUse] = []
        self.value_requested.connect(self._forget)
        self._outer = outer = column(self, (8, 6, 8, 8), 3)
        outer.addLayout(self._head())
        if self._kind is None or self._engine is None:
            words = "This effect is not known here. It is kept as it is."
            outer.addWidget(self._note(words))
            return
        self._engines: Choice | None = None
        self._get = push_button("Get", "tinted", "download", parent=self)
        name = self._engine.name
        self._get.clicked.connect(lambda: self.weights_requested.emit(name))
        self._lacking = LabelledRow("Weights", self._get, "", self)
        self._lacking.hide()
        if len(self._kind.engines) > 1:
            outer.addWidget(self._engine_row(self._kind, self._engine))
        outer.addWidget(self._note(self._engine.note))
        outer.addWidget(self._lacking)
        for parameter in self._engine.parameters:
            self._add_row(parameter, outer if not parameter.advanced else None)

    def _head(self) -> QHBoxLayout:
        head = row(gap=6)
        self.handle = DragHandle(self)
        self._sign = Sign(self._kind.icon if self._kind else "info", "accent", 16, self)
        name = self._kind.label if self._kind else self.use.kind
        title = Elided(name, "body", 600, parent=self)
        title.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(name)
        self._chip = Chip(parent=self)
        self._chip.hide()
        self._eye = icon_button("eye", "Effect on", "", "Off leaves it out.", side=24, parent=self)
        self._more = icon_button("more", "More", side=24, parent=self)
        for widget in (self.handle, self._sign, title, self._chip):
            head.addWidget(widget)
        head.addStretch(1)
        head.addWidget(self._eye)
        head.addWidget(self._more)
        self._eye.clicked.connect(lambda: self.enable_requested.emit(not self.use.enabled))
        self._more.clicked.connect(self._show_menu)
        return head

    def _engine_row(self, family: EffectKind, engine: Engine) -> LabelledRow:
        self._engines = engines = Choice("Engine", parent=self)
        for one in family.engines:
            engines.addItem(one.label, one.name)
        engines.show_value(engine.name)
        engines.activated.connect(lambda place: self.engine_requested.emit(engines.itemData(place)))
        return LabelledRow("Engine", engines, engine.note, self)

    def show_engines(self, states: EngineStates) -> None:
        """Says in the list which engines cannot run and why, and offers the weights of its own."""
        if self._kind is None or self._engine is None or self._engines is None:
            return
        model = self._engines.model()
        for place, one in enumerate(self._kind.engines):
            state = states.get(one.name, EngineState())
            words = state.reason or (state.get and f"{state.get} first")
            self._engines.setItemText(place, f"{one.label} · {words}" if words else one.label)
            tip = state.lacks or one.note
            self._engines.setItemData(place, tip, Qt.ItemDataRole.ToolTipRole)
            item = model.item(place) if isinstance(model, QStandardItemModel) else None
            if item is not None:
                item.setEnabled(not state.reason or one is self._engine)
        own = states.get(self._engine.name, EngineState())
        self._lacking.setVisible(bool(own.get))
        if own.get:
            self._get.setText(own.get)
            with_help(self._get, own.get, "", own.lacks)
            self._engines.setItemText(self._engines.currentIndex(), self._engine.label)

    def _note(self, text: str) -> QLabel:
        words = label(text, "small", tone="text3", parent=self)
        words.setWordWrap(True)
        words.setContentsMargins(0, 0, 0, 4)
        return words

    def _add_row(self, parameter: Parameter, place: QVBoxLayout | None) -> None:
        if place is None:
            if self._advanced is None:
                self._advanced = Fold("Advanced", height=32, inset=2, light=True, parent=self)
                self._advanced.body.setSpacing(3)
                self._outer.addWidget(self._advanced)
            place = self._advanced.body
        field = self._field(parameter)
        is_text = parameter.kind in (ParameterKind.TEXT, ParameterKind.LORAS)
        line = LabelledRow(parameter.label, field, "", self, is_stacked=is_text)
        field.changed.connect(
            lambda value, gesture, name=parameter.name: self.value_requested.emit(
                name, value, gesture
            )
        )
        self._fields[parameter.name], self._rows[parameter.name] = field, line
        place.addWidget(line)

    def _field(self, parameter: Parameter) -> Field:
        if parameter.kind is not ParameterKind.LORAS:
            return field_for(parameter, self)
        loras = LorasField(self)
        loras.add_requested.connect(lambda: self.file_requested.emit(parameter.name))
        return loras

    def show_uses(self, uses: list[EffectUse]) -> None:
        """Shows the values that `uses` share; where they differ, «Mixed»."""
        if len(uses) == len(self._shown) and all(map(is_, uses, self._shown)):
            return  # values are never changed in place
        self._shown = uses
        self.use = uses[0]
        enabled = any(use.enabled for use in uses)
        self._eye.setIcon(
            theme.icon("eye" if enabled else "eye_off", "text2" if enabled else "text3")
        )
        with_help(self._eye, "Effect on" if enabled else "Effect off", "", "A click changes it.")
        self._sign.setEnabled(enabled)
        if self._engine is None:
            return
        shared: dict[str, Value | None] = {}
        for parameter in self._engine.parameters:
            values = {use.values.get(parameter.name, parameter.default) for use in uses}
            shared[parameter.name] = values.pop() if len(values) == 1 else None
            self._fields[parameter.name].set_value(shared[parameter.name])
            self._rows[parameter.name].setToolTip(_tip(parameter, shared[parameter.name]))
        for parameter in self._engine.parameters:
            if parameter.shown_if is not None:
                is_mixed = shared.get(parameter.shown_if[0]) is None
                known = {name: value for name, value in shared.items() if value is not None}
                self._rows[parameter.name].setVisible(is_mixed or parameter.counts(known))

    def _forget(self) -> None:
        """A wish may be refused: the next showing puts the true value back."""
        self._shown = []

    def show_state(self, state: UseState) -> None:
        shown = bool(state.name) and self.use.enabled
        self._chip.setVisible(shown)
        if shown:
            text = CHIPS[state.name]
            if state.name == "running":
                text = f"Running {round(state.fraction * 100)} %"
            self._chip.set(text, state.name, state.fraction)
            self._chip.setToolTip(state.message)

    def _show_menu(self) -> None:
        menu = QMenu(self)
        menu.addAction(theme.icon("retry"), "Reset", self.reset_requested.emit)
        menu.addAction("Copy to the other selected clips", self.copy_requested.emit)
        menu.addSeparator()
        menu.addAction(theme.icon("trash"), "Remove", self.remove_requested.emit)
        menu.exec(self._more.mapToGlobal(QPoint(0, self._more.height() + 4)))
        menu.deleteLater()


def _known(use: EffectUse) -> tuple[EffectKind | None, Engine | None]:
    names = {(one.name, engine.name) for one in EFFECTS for engine in one.engines}
    if (use.kind, use.engine) not in names:
        return None, None
    return kind(use.kind), kind(use.kind).engine(use.engine)


def _tip(parameter: Parameter, value: Value | None) -> str:
    """«sparse_ratio 2.0: higher is better and slower»."""
    if parameter.kind in (ParameterKind.TEXT, ParameterKind.LORAS):
        return f"{parameter.help}\n{parameter.name}"
    shown = "mixed" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return f"{parameter.help}\n{parameter.name} {shown}"


def effect_menu(parent: QWidget, chosen: Callable[[str, str], None], states: EngineStates) -> QMenu:
    """Every effect of the table; `chosen(kind, engine)` is called with the one taken."""
    menu = QMenu(parent)
    for one in EFFECTS:
        for engine in one.engines:
            text = f"{one.label}: {engine.label}" if len(one.engines) > 1 else one.label
            action = menu.addAction(theme.icon(one.icon, "accent"), text)
            state = states.get(engine.name, EngineState())
            action.setEnabled(not state.reason)
            action.setToolTip(state.reason or state.lacks or engine.note)
            action.triggered.connect(lambda _=False, a=one.name, b=engine.name: chosen(a, b))
    menu.setToolTipsVisible(True)
    return menu


def states_of(uses: list[EffectUse], states: Mapping[str, UseState]) -> UseState:
    """The state to show for one effect on several clips: the one that wants attention most."""
    order = ("failed", "stale", "running", "fresh", "")
    found = [states.get(use.id, UseState()) for use in uses]
    return min(found, key=lambda one: order.index(one.name))
