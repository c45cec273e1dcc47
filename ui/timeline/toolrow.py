"""The row over the ruler: tools, switches, in and out, zoom."""

from PySide6.QtCore import Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QHBoxLayout,
    QToolButton,
    QWidget,
)

from ui import theme
from ui.controls import FROM_KEYS, icon_button, with_help
from ui.slider import Slider

HEIGHT = 36
ZOOM_STEPS = 1000
TOOLS = (
    ("select", "Select", "V", "Moves clips; trims at their ends."),
    ("razor", "Razor", "C", "Splits the clip that is clicked, with Shift all tracks."),
    ("ripple", "Ripple", "B", "Trims, and what follows moves along."),
)


class ToolRow(QWidget):
    """Shows which tool and switches are on; says what was clicked."""

    tool_requested = Signal(str)
    snapping_requested = Signal(bool)
    linked_requested = Signal(bool)
    in_requested = Signal()
    out_requested = Signal()
    zoom_requested = Signal(float)  # slider position, 0 to 1
    zoom_stepped = Signal(int)  # 1 in, -1 out
    fit_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("timeline_tools")
        self.setAccessibleName("Timeline tools")
        self.setFixedHeight(HEIGHT)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 4, 8, 4)
        row.setSpacing(4)
        self._tools: dict[str, QToolButton] = {}
        group = QButtonGroup(self)
        for name, text, key, line in TOOLS:
            button = icon_button(name, text, key, line, checkable=True)
            group.addButton(button)
            button.clicked.connect(lambda _=False, name=name: self.tool_requested.emit(name))
            self._tools[name] = button
            row.addWidget(button)
        row.addWidget(_Rule())
        self._snapping = icon_button(
            "magnet", "Snapping", "G", "Clips catch at edges.", checkable=True
        )
        self._snapping.clicked.connect(self.snapping_requested)
        self._linked = icon_button(
            "link", "Linked", "", "Picture and sound are selected together.", checkable=True
        )
        self._linked.clicked.connect(self.linked_requested)
        row.addWidget(self._snapping)
        row.addWidget(self._linked)
        row.addWidget(_Rule())
        for icon, text, key, signal in (
            ("mark_in", "Mark in", "I", self.in_requested),
            ("mark_out", "Mark out", "O", self.out_requested),
        ):
            button = icon_button(icon, text, key, "At the playhead.")
            button.clicked.connect(lambda _=False, signal=signal: signal.emit())
            row.addWidget(button)
        row.addStretch(1)
        self._build_zoom(row)

    def _build_zoom(self, row: QHBoxLayout) -> None:
        out = icon_button("minus", "Zoom out", "-")
        out.clicked.connect(lambda: self.zoom_stepped.emit(-1))
        closer = icon_button("plus", "Zoom in", "+")
        closer.clicked.connect(lambda: self.zoom_stepped.emit(1))
        self._zoom = Slider("Zoom")
        self._zoom.setRange(0, ZOOM_STEPS)
        self._zoom.setFixedWidth(98)
        self._zoom.setToolTip("Zoom")
        self._zoom.valueChanged.connect(lambda value: self.zoom_requested.emit(value / ZOOM_STEPS))
        self._zoom.default_requested.connect(self.fit_requested)
        fit = QToolButton()
        fit.setText("Fit")
        fit.setProperty("kind", "text")
        fit.setFixedHeight(28)
        fit.setFocusPolicy(FROM_KEYS)
        with_help(fit, "Fit", "Shift+Z", "The whole sequence in view.")
        fit.clicked.connect(self.fit_requested)
        for widget in (out, self._zoom, closer, fit):
            row.addWidget(widget)

    def show_tool(self, name: str) -> None:
        self._tools[name].setChecked(True)

    def show_switches(self, snapping: bool, linked: bool) -> None:
        self._snapping.setChecked(snapping)
        self._linked.setChecked(linked)

    def show_zoom(self, position: float) -> None:
        """Sets the slider without asking for anything."""
        blocked = self._zoom.blockSignals(True)
        self._zoom.setValue(round(position * ZOOM_STEPS))
        self._zoom.blockSignals(blocked)
        self._zoom.setAccessibleDescription(f"{round(position * 100)} percent")

    def buttons(self) -> dict[str, QAbstractButton]:
        """By accessible name."""
        return {one.accessibleName(): one for one in self.findChildren(QAbstractButton)}

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.colour("panel"))
        painter.fillRect(0, HEIGHT - 1, self.width(), 1, theme.colour("line"))


class _Rule(QWidget):
    """A short line between groups."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(17, 28)

    def paintEvent(self, event: QPaintEvent) -> None:
        QPainter(self).fillRect(8, 6, 1, 16, theme.colour("border"))
