"""Two columns of fields that become one where the panel is narrow."""

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QGridLayout, QSizePolicy, QVBoxLayout, QWidget

from ui.panels import column

INSET = 16
GAP = 16
NARROW = 400  # px; below it one column stands under the other
ROWS = 4  # px between rows


class Columns(QWidget):
    """`left` and `right` are columns of one width, whatever is in them."""

    def __init__(self, inset: bool = True, parent: QWidget | None = None) -> None:
        """`inset`: whether it keeps clear of the panel's edges itself."""
        super().__init__(parent)
        self._box = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._box.setContentsMargins(INSET if inset else 0, 0, INSET - 8 if inset else 0, 0)
        self._box.setSpacing(GAP)
        self.left, self.right = self._side(), self._side()

    def _side(self) -> QVBoxLayout:
        side = QWidget(self)
        side.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._box.addWidget(side, 1)
        return column(side, gap=ROWS)

    def is_stacked(self) -> bool:
        return self._box.direction() is QBoxLayout.Direction.TopToBottom

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        stacked = self.width() < NARROW
        if stacked != self.is_stacked():
            across, down = QBoxLayout.Direction.LeftToRight, QBoxLayout.Direction.TopToBottom
            self._box.setDirection(down if stacked else across)
            self._box.setSpacing(ROWS if stacked else GAP)


class Pairs(QWidget):
    """Fields two by two, one after another where it is narrow; read along the lines."""

    def __init__(self, fields: list[QWidget], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._fields = fields
        self._across = 0
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(GAP)
        self._grid.setVerticalSpacing(ROWS)
        for field in fields:
            field.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._place(2)

    def _place(self, across: int) -> None:
        if across == self._across:
            return
        self._across = across
        for i, field in enumerate(self._fields):
            self._grid.removeWidget(field)
            self._grid.addWidget(field, i // across, i % across)
        for column_number in range(2):
            self._grid.setColumnStretch(column_number, 1 if column_number < across else 0)
        self._grid.setHorizontalSpacing(GAP if across > 1 else 0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place(1 if self.width() < NARROW else 2)
