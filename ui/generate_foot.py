"""The foot of the Generate panel: the price, where the result goes, the button."""

import re

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QWidget

from ui import theme
from ui.controls import Elided, push_button, set_kind, with_help
from ui.generate_form import Form, Means
from ui.inputs import Segments
from ui.panels import Sign, column, row

MEASURES = re.compile(r"(\d[\d.]* of \d[\d.]* GB|(?<=about )\d+ (?:h|min|s)(?: \d+ (?:min|s))?)")
PLACES: tuple[tuple[object, str], ...] = ((False, "At playhead"), (True, "To Media"))


class PlanLine(Elided):
    """«Peak 9.6 of 12 GB · about 3 min · …» with its measures in bold."""

    def sizeHint(self) -> QSize:
        wide = sum(self._width(*one) for one in self._parts())
        return QSize(wide + 2, super().sizeHint().height())

    def _parts(self) -> list[tuple[str, bool]]:
        """Pieces and whether they are measures."""
        pieces = MEASURES.split(self.text())
        return [(piece, i % 2 == 1) for i, piece in enumerate(pieces) if piece]

    def _font(self, is_measure: bool) -> QFont:
        return theme.font("small", 600 if is_measure else None, True)

    def _width(self, piece: str, is_measure: bool) -> int:
        return QFontMetrics(self._font(is_measure)).horizontalAdvance(piece)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        x, middle = 0, Qt.AlignmentFlag.AlignVCenter
        for piece, is_measure in self._parts():
            painter.setFont(self._font(is_measure))
            painter.setPen(theme.colour("text" if is_measure else "text2"))
            room = self.width() - x
            wide = self._width(piece, is_measure)
            elide = Qt.TextElideMode.ElideRight
            shown = painter.fontMetrics().elidedText(piece, elide, room)
            painter.drawText(QRect(x, 0, room, self.height()), middle, shown)
            x += wide
            if wide > room:
                return


class GenerateFoot(QFrame):
    """The plan line over the place and the button, fixed to the panel's lower edge."""

    place_requested = Signal(bool)  # to Media
    generate_requested = Signal()
    weights_requested = Signal()
    fit_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("surface", "panel_foot")
        outer = column(self, (16, 8, 16, 12), 8)
        line = row(gap=8)
        self._sign = Sign("chip", "accent", 16, self)
        self._plan = PlanLine("", "small", token="text2", tabular=True, parent=self)
        self._fit = push_button("Fit to this card", "link", parent=self)
        self._fit.setFont(theme.font("small"))
        with_help(
            self._fit, "Fit to this card", "", "Block swap and precision as the plan has them."
        )
        self._fit.clicked.connect(self.fit_requested)
        self._fit.hide()
        line.addWidget(self._sign)
        line.addWidget(self._plan, 1)
        line.addWidget(self._fit)
        outer.addLayout(line)
        buttons = row(gap=8)
        self._place = Segments("Where it goes", PLACES, parent=self)
        self._place.setFixedHeight(32)
        self._place.setMinimumWidth(168)
        self._place.chosen.connect(lambda to_media: self.place_requested.emit(bool(to_media)))
        self.button = push_button("Generate", "primary", "generate", large=True, parent=self)
        self.button.clicked.connect(self._click)
        buttons.addWidget(self._place, 0, Qt.AlignmentFlag.AlignVCenter)
        buttons.addWidget(self.button, 1)
        outer.addLayout(buttons)
        self._gets_weights = False

    def show_form(self, form: Form, means: Means, fault: str) -> None:
        """`fault`: what of the form is wrong, "" where all is well."""
        self._place.set_value(form.to_media)
        self._place.set_text(False, means.place)
        blocked = bool(means.reason) or means.gets_weights or not means.fits
        self._sign.set("warning" if blocked else "chip", "warn" if blocked else "accent")
        self._plan.set_text(means.price)
        self._fit.setVisible(means.can_fit)
        self._gets_weights = means.gets_weights
        self.button.setText(means.action)
        name = "download" if means.gets_weights else "generate"
        self.button.setIcon(theme.icon(name, "text" if means.gets_weights else "on_accent"))
        set_kind(self.button, "" if means.gets_weights else "primary")
        why = means.reason or ("" if means.gets_weights else fault)
        self.button.setEnabled(not why)
        with_help(self.button, means.action, "" if means.gets_weights else "Ctrl+Return", why)

    def plan_text(self) -> str:
        return self._plan.text()

    def _click(self) -> None:
        if self._gets_weights:
            self.weights_requested.emit()
        else:
            self.generate_requested.emit()
