"""The menu row: app mark, menus, name of the project; queue, Generate, Export with its arrow."""

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QAction, QPainter, QPainterPath, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QFrame,
    QMenu,
    QMenuBar,
    QSizePolicy,
    QWidget,
)

from ui import icons, theme
from ui.controls import FROM_KEYS, Elided, label, paint_ring, with_help
from ui.panels import row


class QueueButton(QAbstractButton):
    """Shows the running job; a click opens or closes the queue."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.setFocusPolicy(FROM_KEYS)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setFixedHeight(28)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setFont(theme.font("body", 500, tabular=True))
        self._title, self._left, self._fraction = "", "", 0.0
        self._waiting = self._failed = 0
        self.has_room = True  # for the time left
        self._describe()

    def set_running(self, title: str, fraction: float, left: str, waiting: int) -> None:
        """The running job's title, progress 0 to 1, time left in words, how many wait."""
        self._title, self._fraction, self._left, self._waiting = title, fraction, left, waiting
        self._describe()

    def set_idle(self, waiting: int = 0) -> None:
        self.set_running("", 0.0, "", waiting)

    def set_failed(self, number: int) -> None:
        """How many failed jobs the person has not seen yet."""
        self._failed = number
        self._describe()

    def words(self) -> str:
        """What is written on the button."""
        return f"{self._title} {round(self._fraction * 100)} %" if self._title else "Queue"

    def words_within(self, width: float) -> str:
        """The same in `width` pixels: the title gives way, the percent never does."""
        percent = f" {round(self._fraction * 100)} %" if self._title else ""
        title = self.words().removesuffix(percent)
        room = int(width - self._wide(percent))
        return self.fontMetrics().elidedText(title, Qt.TextElideMode.ElideRight, room) + percent

    def _wide(self, text: str) -> int:
        return self.fontMetrics().horizontalAdvance(text)

    def _describe(self) -> None:
        said = f"Queue: {self._title} {round(self._fraction * 100)} percent" if self._title else ""
        if self._waiting:
            said = f"{said or 'Queue:'}{',' if said else ''} {self._waiting} waiting"
        if self._failed:
            said = f"{said or 'Queue:'}{',' if said else ''} {self._failed} failed"
        with_help(self, said or "Queue", "Ctrl+Shift+Q")
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        chip = 30 if self._failed else 0
        if self._title:
            return QSize((240 if self.has_room else 168) + chip, 28)
        return QSize(self.fontMetrics().horizontalAdvance("Queue") + 46 + chip, 28)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_frame(painter)
        quiet = not self._title and not self.underMouse()
        ink = "accent" if self.isChecked() else "text2" if quiet else "text"
        right = self.width() - 8
        if self._failed:
            right = self._paint_chip(painter, right, str(self._failed), "error", "error_tint")
        if self._waiting and self._title:
            right = self._paint_chip(painter, right, f"+{self._waiting}", "text2", "hover")
        if self._title:
            paint_ring(painter, QRectF(9, 6, 16, 16), self._fraction)
        else:
            sign = theme.pixmap("queue", ink, 16, self.devicePixelRatioF())
            painter.drawPixmap(QPointF(10, 6), sign)
        painter.setPen(theme.colour(ink))
        centre = Qt.AlignmentFlag.AlignVCenter
        room = QRectF(34, 0, right - 34, self.height())
        if self._left and self.has_room:
            painter.setFont(theme.font("body", 400, tabular=True))
            painter.setPen(theme.colour("accent" if self.isChecked() else "text2"))
            wide, left = painter.fontMetrics().horizontalAdvance, self._left
            if self._wide(self.words()) + 8 + wide(left) > room.width():
                left = left.removesuffix(" left")
            painter.drawText(room, centre | Qt.AlignmentFlag.AlignRight, left)
            room.setWidth(room.width() - wide(left) - 8)
            painter.setFont(self.font())
            painter.setPen(theme.colour(ink))
        painter.drawText(room, centre, self.words_within(room.width()))

    def _paint_frame(self, painter: QPainter) -> None:
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        if self.isChecked():
            painter.setPen(QPen(theme.colour("accent_line"), 1))
            painter.setBrush(theme.colour("accent_tint"))
        elif self._title or self._failed:
            painter.setPen(QPen(theme.colour("border"), 1))
            painter.setBrush(theme.colour("hover" if self.underMouse() else "raised"))
        else:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour("hover" if self.underMouse() else "panel"))
        painter.drawRoundedRect(frame, 4, 4)

    def _paint_chip(self, painter: QPainter, right: int, text: str, ink: str, ground: str) -> int:
        painter.setFont(theme.font("micro", 600, tabular=True))
        width = max(18, painter.fontMetrics().horizontalAdvance(text) + 10)
        area = QRectF(right - width, 5, width, 18)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(ground))
        painter.drawRoundedRect(area, 3, 3)
        painter.setPen(theme.colour(ink))
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter, text)
        painter.setFont(self.font())
        return right - width - 8


class GenerateButton(QAbstractButton):
    """Opens and closes the Generate panel; in a narrow window it is its icon alone."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setText("Generate")
        self.setCheckable(True)
        self.setFocusPolicy(FROM_KEYS)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setFont(theme.font("body", 500))
        self.setFixedHeight(28)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.has_room = True
        with_help(self, "Generate", "Ctrl+Shift+G", "Clips and pictures from words.")

    def sizeHint(self) -> QSize:
        words = self.fontMetrics().horizontalAdvance(self.text()) + 8 if self.has_room else 0
        return QSize(words + 38, 28)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        on, over = self.isChecked(), self.underMouse()
        fill = "accent_tint" if on else "hover" if over else "raised"
        edge = ("accent" if over else "accent_line") if on else "border"
        if self.isDown():
            fill = "accent_line" if on else "pressed"
        painter.setPen(QPen(theme.colour(edge), 1))
        painter.setBrush(theme.colour(fill))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        ink = "accent" if on else "text"
        sign = theme.pixmap("generate", ink, 16, self.devicePixelRatioF())
        painter.drawPixmap(QPointF(11, 6), sign)
        if self.has_room:
            painter.setPen(theme.colour(ink))
            room = QRectF(35, 0, self.width() - 35, self.height())
            painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, self.text())


class SplitPart(QAbstractButton):
    """One half of the Export button; knows how to round only its own corners."""

    def __init__(self, text: str, icon: str, side: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setText(text)
        self.icon_name, self._side = icon, side
        self.fraction = -1.0
        self.setFocusPolicy(FROM_KEYS)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setFont(theme.font("body", 600, tabular=True))
        self.setFixedSize(92 if side == "left" else 26, 28)

    def _colours(self) -> tuple[str, str, str]:
        if not self.isEnabled():
            return "panel", "line", "disabled"
        if self.fraction >= 0:
            return ("hover" if self.underMouse() else "raised"), "border", "text"
        fill = "accent_fill"
        if self.isDown():
            fill = "accent_pressed"
        elif self.underMouse():
            fill = "accent_hover"
        return fill, fill, "on_accent"

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        fill, edge, ink = self._colours()
        painter.setClipRect(self.rect())
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        area = area.adjusted(0, 0, 8, 0) if self._side == "left" else area.adjusted(-8, 0, 0, 0)
        path = QPainterPath()
        path.addRoundedRect(area, 4, 4)
        painter.setPen(QPen(theme.colour(edge), 1))
        painter.setBrush(theme.colour(fill))
        painter.drawPath(path)
        if self._side == "right":
            line = "line" if not self.isEnabled() else "accent_pressed"
            line = "border" if self.isEnabled() and self.fraction >= 0 else line
            painter.fillRect(QRectF(0, 1, 1, self.height() - 2), theme.colour(line))
        scale = self.devicePixelRatioF()
        if self._side == "right":
            sign = theme.pixmap(self.icon_name, ink, 12, scale)
            painter.drawPixmap(QPointF((self.width() - 12) / 2, 8), sign)
            return
        words = self.fontMetrics().horizontalAdvance(self.text())
        left = (self.width() - words - 24) / 2
        if self.fraction >= 0:
            paint_ring(painter, QRectF(left, 6, 16, 16), self.fraction)
        else:
            painter.drawPixmap(QPointF(left, 6), theme.pixmap(self.icon_name, ink, 16, scale))
        painter.setPen(theme.colour(ink))
        room = QRectF(left + 24, 0, words + 4, self.height())
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, self.text())


class ExportButton(QWidget):
    """One click exports with the last preset; while it runs, another cancels. The arrow: sheet."""

    export_requested = Signal()
    cancel_requested = Signal()
    sheet_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        outer = row(self, gap=0)
        self._main = SplitPart("Export", "export", "left", self)
        self._arrow = SplitPart("", "chevron_down", "right", self)
        outer.addWidget(self._main)
        outer.addWidget(self._arrow)
        self._main.clicked.connect(self._click)
        self._arrow.clicked.connect(self.sheet_requested)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        with_help(self._arrow, "Export settings", "Ctrl+Shift+E")
        self.set_possible(False, "There is nothing on the timeline to export.")

    def set_possible(self, possible: bool, why: str = "", preset: str = "") -> None:
        """Whether there is something to export; `why` not, or the preset one click repeats."""
        self.setEnabled(possible)
        with_help(self._main, "Export", "Ctrl+E", preset if possible else why)

    def set_progress(self, fraction: float | None) -> None:
        """Progress 0 to 1 while an export runs; None when there is none."""
        self._main.fraction = self._arrow.fraction = -1.0 if fraction is None else fraction
        self._main.setText("Export" if fraction is None else f"{round(fraction * 100)} %")
        if fraction is not None:
            with_help(self._main, "Cancel the export")
        else:
            with_help(self._main, "Export", "Ctrl+E")
        self._main.update()
        self._arrow.update()

    def _click(self) -> None:
        if self._main.fraction >= 0:
            self.cancel_requested.emit()
        else:
            self.export_requested.emit()


class AppMark(QWidget):
    """The app icon, 20 px."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedSize(20, 20)

    def paintEvent(self, event: QPaintEvent) -> None:
        scale = self.devicePixelRatioF()
        QPainter(self).drawPixmap(0, 0, icons.drawn("app_small", "#000000", 20, scale))


class MenuRow(QFrame):
    """The top row of the window, 44 px."""

    def __init__(
        self,
        actions: Mapping[str, QAction],
        menus: Mapping[str, Sequence[str]],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setProperty("surface", "panel_app")
        self.setFixedHeight(44)
        outer = row(self, (12, 0, 12, 0), 8)
        outer.addWidget(AppMark(self))
        outer.addSpacing(8)
        self.menu_bar = QMenuBar(self)
        self.menu_bar.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        for title, names in menus.items():
            fill_menu(self.menu_bar.addMenu(title), actions, names)
        outer.addWidget(self.menu_bar)
        outer.addStretch(1)
        self.queue = QueueButton(self)
        self.generate = GenerateButton(self)
        self.export = ExportButton(self)
        outer.addWidget(self.queue)
        outer.addWidget(self.generate)
        outer.addWidget(self.export)
        self._title = Elided("Untitled", "body", 500, middle=True, parent=self)
        self._edited = label("Edited", "body", tone="text3", parent=self)
        self._edited.hide()
        self._is_edited = False

    def set_project(self, name: str, edited: bool) -> None:
        self._title.set_text(name)
        self._is_edited = edited
        self._place()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.queue.has_room = self.width() >= 1200
        self.queue.updateGeometry()
        self.generate.has_room = self.width() >= 1160
        self.generate.updateGeometry()
        super().resizeEvent(event)
        self._place()

    def event(self, event: QEvent) -> bool:
        done = super().event(event)
        if event.type() == QEvent.Type.LayoutRequest:
            self._place()
        return done

    def _place(self) -> None:
        """Centres the name in the window, between the menus and the buttons."""
        edited = self._is_edited and self.width() >= 1280
        self._edited.setVisible(edited)
        tail = self._edited.sizeHint().width() + 8 if edited else 0
        left = self.menu_bar.geometry().right() + 12
        right = self.queue.geometry().left() - 12
        width = max(0, min(self._title.sizeHint().width(), right - left - tail))
        x = max(left, min((self.width() - width - tail) // 2, right - width - tail))
        self._title.setGeometry(x, 12, width, 20)
        self._edited.setGeometry(x + width + 8, 12, max(0, tail - 8), 20)


def fill_menu(menu: QMenu, actions: Mapping[str, QAction], names: Sequence[str]) -> None:
    """Puts the named actions into `menu`; "" is a line."""
    for name in names:
        if not name:
            menu.addSeparator()
        elif name in actions:
            menu.addAction(actions[name])
