"""The viewer: header with zoom and quality, the picture, and the empty state of a new project."""

from fractions import Fraction
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QAbstractButton,
    QSizePolicy,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from engine.timeline.model import Transform
from ui import theme
from ui.compare import MODES, Labels, Mode
from ui.compare_canvas import CompareCanvas
from ui.controls import FROM_KEYS, Chip, Elided, icon_button, label, push_button, with_help
from ui.inputs import Segments
from ui.panels import Header, Sign, column, row
from ui.pictures import paint_picture
from ui.viewer_buttons import CompareButton, MenuButton

if TYPE_CHECKING:
    from ui.strip import ClipStrip

ZOOMS: tuple[int | None, ...] = (None, 25, 50, 75, 100, 150, 200, 400)
QUALITIES = ((Fraction(1), "Full"), (Fraction(1, 2), "Half"), (Fraction(1, 4), "Quarter"))


def rate_text(rate: Fraction) -> str:
    """ "25 fps", "29.97 fps"."""
    return f"{float(rate):.2f}".rstrip("0").rstrip(".") + " fps"


class Card(QAbstractButton):
    """A way to begin: icon, name and a line, 216 x 64."""

    def __init__(self, icon: str, name: str, line: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon, self._line = icon, line
        self.setText(name)
        self.setAccessibleDescription(line)
        self.setFixedHeight(64)
        self.setMinimumWidth(120)
        self.setMaximumWidth(216)
        self.setFocusPolicy(FROM_KEYS)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self._image: QImage | None = None

    def sizeHint(self) -> QSize:
        return QSize(216, 64)

    def set_image(self, image: QImage | None) -> None:
        self._image = image
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        fill = "pressed" if self.isDown() else "hover" if self.underMouse() else "panel"
        painter.setPen(QPen(theme.colour("line"), 1))
        painter.setBrush(theme.colour(fill))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        left = 45
        if self._image is not None:
            paint_picture(painter, QRectF(8, 14, 64, 36), self._image)
            left = 84
        else:
            sign = theme.pixmap(self._icon, "accent", 20, self.devicePixelRatioF())
            painter.drawPixmap(QPointF(13, 22), sign)
        room = self.width() - left - 8
        painter.setFont(theme.font("body", 500))
        painter.setPen(theme.colour("text"))
        name = painter.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideMiddle, room)
        painter.drawText(QRect(left, 15, room, 18), Qt.AlignmentFlag.AlignVCenter, name)
        painter.setFont(theme.font("small"))
        painter.setPen(theme.colour("text3"))
        line = painter.fontMetrics().elidedText(self._line, Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRect(left, 32, room, 16), Qt.AlignmentFlag.AlignVCenter, line)


class EmptyViewer(QWidget):
    """What a new project shows: where to drop, and ways to begin."""

    open_files_requested = Signal()
    open_sample_requested = Signal()
    looping_gif_requested = Signal()
    upscale_requested = Signal()
    generate_requested = Signal()
    recent_requested = Signal(str)  # path

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._is_target = False
        outer = column(self, (32, 0, 32, 0), 0)
        outer.addStretch(10)
        middle = Qt.AlignmentFlag.AlignHCenter
        outer.addWidget(Sign("film", "accent", 40, self), 0, middle)
        outer.addSpacing(12)
        outer.addWidget(label("Drop clips here", "title", parent=self), 0, middle)
        outer.addSpacing(6)
        hint = "Video, pictures, sound or a folder. The first clip sets size and frame rate."
        outer.addWidget(label(hint, "body", tone="text2", parent=self), 0, middle)
        outer.addSpacing(16)
        buttons = row(gap=8)
        files = push_button("Open files…", "primary", "folder", large=True, parent=self)
        sample = push_button("Open sample", large=True, parent=self)
        with_help(files, "Open files", "Ctrl+I", "Adds video, pictures or sound to the project.")
        with_help(sample, "Open sample", "", "A short project to try things on.")
        files.clicked.connect(self.open_files_requested)
        sample.clicked.connect(self.open_sample_requested)
        buttons.addStretch(1)
        buttons.addWidget(files)
        buttons.addWidget(sample)
        buttons.addStretch(1)
        outer.addLayout(buttons)
        outer.addSpacing(32)
        self._cards = row(gap=12)
        outer.addLayout(self._cards)
        outer.addStretch(9)
        self._show_cards(self._beginnings())

    def _beginnings(self) -> list[Card]:
        gif = Card("ping_pong", "Make a looping GIF", "Loop or ping-pong", self)
        gif.clicked.connect(self.looping_gif_requested)
        upscale = Card("upscale", "Upscale a clip", "2×, 3×, 4× or any size", self)
        upscale.clicked.connect(self.upscale_requested)
        made = Card("generate", "Generate a clip", "From words or a picture", self)
        made.clicked.connect(self.generate_requested)
        return [gif, upscale, made]

    def _show_cards(self, cards: list[Card]) -> None:
        while (item := self._cards.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()
                old.deleteLater()
        self._cards.addStretch(1)
        for card in cards:
            self._cards.addWidget(card)
        self._cards.addStretch(1)

    def set_recent(self, projects: list[tuple[str, str, str, QImage | None]]) -> None:
        """Up to three recent projects (path, name, date, picture) in place of the cards."""
        cards = []
        for path, name, date, image in projects[:3]:
            card = Card("film", name, date, self)
            card.set_image(image)
            card.setToolTip(path)
            card.clicked.connect(lambda _=False, path=path: self.recent_requested.emit(path))
            cards.append(card)
        self._show_cards(cards or self._beginnings())

    def set_target(self, is_target: bool) -> None:
        """Whether files hang over it."""
        if is_target != self._is_target:
            self._is_target = is_target
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.colour("viewer"))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(16, 16, -16, -16)
        if self._is_target:
            painter.setPen(QPen(theme.colour("accent"), 2))
            painter.setBrush(theme.colour("accent_tint"))
            painter.drawRoundedRect(area, 8, 8)
            return
        pen = QPen(theme.colour("border" if theme.name() == "dark" else "text3"), 1)
        pen.setDashPattern([6, 6])
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        painter.setPen(pen)
        painter.drawRoundedRect(area.adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)


class Viewer(QWidget):
    """Header 36, then the picture or the empty state."""

    size_wanted = Signal(int, int)  # device pixels of a frame at the chosen quality
    zoom_changed = Signal(object)  # int percent or None for fit
    quality_requested = Signal(object)  # Fraction
    safe_areas_requested = Signal(bool)
    larger_view_requested = Signal(bool)
    transform_requested = Signal(object, bool)  # Transform, final
    compare_requested = Signal(object)  # Mode
    leave_requested = Signal()  # Esc while comparing: back to editing

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumWidth(400)
        outer = self._outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        self.header = Header(self)
        self._title = Elided("Viewer", "body", 600, parent=self.header)
        self._facts = Elided("", "body", token="text3", tabular=True, parent=self.header)
        self._zoom = MenuButton("Zoom", "How large the picture is shown.", self.header)
        self._zoom.set_choices(
            tuple((one, "Fit" if one is None else f"{one} %") for one in ZOOMS), None
        )
        self._quality = MenuButton(
            "Quality", "How finely frames are rendered while you work.", self.header
        )
        self._quality.set_choices(QUALITIES, Fraction(1))
        self._safe = icon_button(
            "safe", "Safe areas", "", "Shows 90 and 80 % of the frame.", checkable=True
        )
        self._compare = CompareButton(self.header)
        self._ways = Segments("Compare", MODES, {Mode.DIVIDER: "compare"}, self.header)
        self._larger = icon_button("full", "Larger view", "F", checkable=True)
        self._chip = Chip(parent=self.header)
        self._lay_out_header()
        outer.addWidget(self.header)
        self._body = QWidget(self)
        self._stack = QStackedLayout(self._body)
        self.canvas = CompareCanvas(self._body)
        self.empty = EmptyViewer(self._body)
        self._stack.addWidget(self.canvas)
        self._stack.addWidget(self.empty)
        outer.addWidget(self._body, 1)
        self._strip: ClipStrip | None = None
        self._zoom_value: int | None = None
        self._scale = 0.0
        self._names = ("Viewer", "")  # what is shown, and its facts
        self._compared_name = self._compared_words = self._state = ""
        self._connect()
        self._arrange()

    def _lay_out_header(self) -> None:
        for widget in (self._title, self._chip, self._facts):
            policy = (
                QSizePolicy.Policy.Fixed if widget is self._chip else QSizePolicy.Policy.Maximum
            )
            widget.setSizePolicy(policy, QSizePolicy.Policy.Fixed)
            self.header.row.addWidget(widget)
        self.header.row.setSpacing(8)
        self.header.row.addStretch(1)
        for way in self._ways.findChildren(QAbstractButton):
            way.setMinimumWidth(way.sizeHint().width() + 8)
        self.header.row.addWidget(self._ways)
        self.header.row.addSpacing(4)
        for button in (self._zoom, self._quality, self._safe, self._compare, self._larger):
            self.header.row.addWidget(button)

    def _connect(self) -> None:
        self.canvas.size_wanted.connect(self.size_wanted)
        self.canvas.scale_changed.connect(self._show_scale)
        self.canvas.zoom_requested.connect(self._zoom_by)
        self.canvas.transform_requested.connect(self.transform_requested)
        self._zoom.chosen.connect(self.set_zoom)
        self._quality.chosen.connect(self.quality_requested)
        self._safe.clicked.connect(self.safe_areas_requested)
        self._larger.clicked.connect(self.larger_view_requested)
        self._compare.chosen.connect(self.compare_requested)
        self._ways.chosen.connect(self.compare_requested)
        self.canvas.leave_requested.connect(self.leave_requested)
        self.canvas.framed.connect(self._place_strip)

    def set_sequence(self, name: str, width: int, height: int, rate: Fraction) -> None:
        self.set_title(name, f"{width}×{height} · {rate_text(rate)}")
        self.canvas.set_sequence_size(width, height)

    def set_title(self, name: str, facts: str = "") -> None:
        """Another name in the header: of a medium that is looked at by itself."""
        self._names = (name, facts)
        self._arrange()

    def set_empty(self, is_empty: bool) -> None:
        """Shows the ways to begin in place of the picture."""
        self._stack.setCurrentIndex(1 if is_empty else 0)
        if is_empty:
            self.set_title("Viewer")

    def is_empty(self) -> bool:
        return self._stack.currentIndex() == 1

    def set_frame(self, image: QImage | None) -> None:
        """The picture to show, of any size; it fills the sequence's frame."""
        self.canvas.set_frame(image)

    def set_pair(self, after: QImage, before: QImage) -> None:
        """Both pictures of one moment, while they are compared."""
        self.canvas.set_pair(after, before)

    def set_compare(self, mode: Mode) -> None:
        """How before and after are shown."""
        self._compare.set_value(mode)
        self._ways.set_value(mode)
        self.canvas.set_compare(mode)
        self._arrange()

    def set_compare_possible(self, possible: bool) -> None:
        self._compare.setEnabled(possible)
        self._ways.setEnabled(possible)

    def set_compared(
        self, name: str, labels: Labels, state: str = "", words: str = "", fraction: float = 0.0
    ) -> None:
        """The clip that is compared, what both sides are, and its state as a chip.

        `state`: "fresh", "stale", "running", "failed", or "" for none; `words` stand after it.
        """
        self.canvas.set_labels(labels)
        self._compared_name, self._compared_words, self._state = name, words, state
        if state:
            text = (
                f"Running {round(fraction * 100)} %" if state == "running" else state.capitalize()
            )
            self._chip.set(text, state, fraction)
        self._arrange()

    def _arrange(self) -> None:
        """What the header and the foot show of a comparison, in the normal and the larger view."""
        is_large, is_on = self._larger.isChecked(), self.canvas.mode is not Mode.OFF
        about_clip = is_large and is_on and bool(self._compared_name)
        names = (self._compared_name, self._compared_words) if about_clip else self._names
        self._title.set_text(names[0])
        self._facts.set_text(names[1])
        self._chip.setVisible(about_clip and bool(self._state))
        self._ways.setVisible(is_large)
        self._compare.setHidden(is_large)
        self._safe.setHidden(is_large and is_on)
        has_strip = is_large and is_on and not self.is_empty()
        if has_strip or self._strip is not None:
            self.strip.setVisible(has_strip)
            self._place_strip()

    @property
    def strip(self) -> "ClipStrip":
        """The clip's frames under the larger picture, made when they are first needed."""
        if self._strip is None:
            from ui.strip import ClipStrip

            self._strip = ClipStrip(self)
            self._strip.hide()
            self._outer.addWidget(self._strip)
        return self._strip

    def _place_strip(self) -> None:
        if self._strip is not None:
            self._strip.set_span(self.canvas.seen(0).left(), self.canvas.seen().right())

    def set_note(self, text: str) -> None:
        self.canvas.set_note(text)

    def set_zoom(self, percent: int | None) -> None:
        """25 to 400, or None to fit."""
        self._zoom_value = percent
        self.canvas.set_zoom(percent)
        self._show_zoom()
        self.zoom_changed.emit(percent)

    def set_quality(self, quality: Fraction) -> None:
        self._quality.set_value(quality)
        self.canvas.set_quality(quality)

    def set_safe_areas(self, shown: bool) -> None:
        self._safe.setChecked(shown)
        self.canvas.set_safe_areas(shown)

    def set_larger_view(self, on: bool) -> None:
        self._larger.setChecked(on)
        self._arrange()

    def set_transform(self, transform: Transform | None, width: int = 1, height: int = 1) -> None:
        """Handles for the selected picture, `width` x `height` before its crop; None: none."""
        self.canvas.set_transform(transform, width, height)

    def _show_scale(self, scale: float) -> None:
        self._scale = scale
        self._show_zoom()

    def _show_zoom(self) -> None:
        fits = self._zoom_value is None
        shown = f"Fit {round(self._scale * 100)} %" if fits and not self.is_empty() else ""
        self._zoom.set_value(self._zoom_value, shown)

    def _zoom_by(self, step: int) -> None:
        percents = [one for one in ZOOMS if one is not None]
        now = self._scale * 100
        if step > 0:
            self.set_zoom(next((one for one in percents if one > now * 1.01), percents[-1]))
        else:
            lower = [one for one in percents if one < now * 0.99]
            self.set_zoom(lower[-1] if lower else None)
