"""The transport: timecode, in and out, play and steps, loop, ping-pong, volume, length."""

from fractions import Fraction
from itertools import pairwise

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QLabel, QLineEdit, QMenu, QToolButton, QWidget, QWidgetAction

from engine.errors import EditError
from engine.timeline.time import ZERO, Time, TimeRange, parse_timecode, timecode
from ui import theme
from ui.controls import icon_button, label, with_help
from ui.panels import Sign, row
from ui.slider import Slider

NARROW = 780  # below it in, out and the volume slider give way


class TimecodeField(QLineEdit):
    """The playhead's time; a click types another: 5:10, +12."""

    time_requested = Signal(object)  # Time
    refused = Signal(str, str)  # message, hint

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("00:00:00:00", parent)
        self.setProperty("kind", "bare")
        self.setFont(theme.font("timecode"))
        self.setFixedWidth(110)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        with_help(self, "Time", "", "Click to type: 5:10, 00:00:05:10, or +12 frames.")
        self._rate = Fraction(25)
        self._now: Time = ZERO
        self.returnPressed.connect(self._accept)

    def set_time(self, now: Time, rate: Fraction) -> None:
        self._now, self._rate = now, rate
        if not self.hasFocus():
            self.setText(timecode(now, rate))

    def _accept(self) -> None:
        try:
            wanted = parse_timecode(self.text(), self._rate, self._now)
        except EditError as error:
            self.setProperty("wrong", "true")
            self.style().polish(self)
            self.refused.emit(error.message, error.hint)
            self.selectAll()
            return
        self.clearFocus()
        self.time_requested.emit(wanted)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self.hasFocus():
            super().mousePressEvent(event)
        else:  # the first click takes all, so that typing replaces it
            self.setFocus(Qt.FocusReason.MouseFocusReason)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.selectAll()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.setProperty("wrong", "false")
        self.style().polish(self)
        self.setText(timecode(self._now, self._rate))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.clearFocus()
            return
        super().keyPressEvent(event)


class Transport(QFrame):
    """52 px under the picture."""

    time_requested = Signal(object)  # Time
    play_requested = Signal()  # plays, or stops what plays
    step_requested = Signal(int)  # frames
    to_start_requested = Signal()
    to_end_requested = Signal()
    loop_requested = Signal(bool)
    ping_pong_requested = Signal(bool)
    volume_requested = Signal(float)  # 0 to 1
    mute_requested = Signal(bool)
    refused = Signal(str, str)  # message, hint

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("surface", "panel_foot")
        self.setFixedHeight(52)
        self._rate = Fraction(25)
        self._length: Time = ZERO
        self._time = TimecodeField(self)
        self._in_sign, self._in = Sign("mark_in", "accent", 16, self), self._small()
        self._out_sign, self._out = Sign("mark_out", "accent", 16, self), self._small()
        self._buttons = self._make_buttons()
        self._loop = icon_button(
            "loop", "Loop", "Ctrl+L", "Plays in to out for ever.", checkable=True
        )
        self._ping_pong = icon_button(
            "ping_pong",
            "Ping-pong",
            "Ctrl+Shift+L",
            "Plays forward, then back, without showing the end frames twice.",
            checkable=True,
        )
        self._speaker = icon_button("volume", "Mute", "", "A click turns the sound off.")
        self._volume = Slider("Volume", self)
        self._volume.setRange(0, 100)
        self._volume.setFixedWidth(64)
        self._end = label("00:00:00:00", "small", tone="text3", tabular=True, parent=self)
        self._end.setAccessibleDescription("Length")
        self._muted = False
        self._lay_out()
        self._connect()
        self.set_range(None)
        self.set_volume(0.7, False)

    def _small(self) -> QLabel:
        made = label("", "small", tone="text2", tabular=True, parent=self)
        made.setFixedWidth(made.fontMetrics().horizontalAdvance("00:00:00:00") + 2)
        return made

    def _make_buttons(self) -> dict[str, QToolButton]:
        made = {
            "to_start": icon_button("to_start", "Go to start", "Home"),
            "back": icon_button("step_back", "One frame back", "Left"),
            "play": icon_button("play", "Play", "Space"),
            "forward": icon_button("step_forward", "One frame on", "Right"),
            "to_end": icon_button("to_end", "Go to end", "End"),
        }
        play = made["play"]
        play.setProperty("kind", "play")
        play.setFixedSize(36, 36)
        play.setIcon(theme.icon("play", "text"))
        for name in ("back", "forward"):
            made[name].setAutoRepeat(True)
            made[name].setAutoRepeatInterval(80)
        return made

    def _lay_out(self) -> None:
        """Left, middle and right: the middle stays in the panel's middle (see resizeEvent)."""
        self._left, self._middle, self._right = QWidget(self), QWidget(self), QWidget(self)
        left = row(self._left, gap=4)
        for widget in (self._time, self._in_sign, self._in, self._out_sign, self._out):
            left.addWidget(widget)
        left.insertSpacing(1, 4)
        left.insertSpacing(4, 8)
        middle = row(self._middle, gap=4)
        for button in self._buttons.values():
            middle.addWidget(button)
        right = row(self._right, gap=4)
        for button in (self._loop, self._ping_pong, self._speaker):
            right.addWidget(button)
        right.addWidget(self._volume)
        right.addWidget(self._end)
        right.insertSpacing(2, 12)
        right.insertSpacing(5, 4)
        by_tab = [self._time, *self._buttons.values()]
        by_tab += [self._loop, self._ping_pong, self._speaker, self._volume]
        for before, after in pairwise(by_tab):
            self.setTabOrder(before, after)

    def _connect(self) -> None:
        self._time.time_requested.connect(self.time_requested)
        self._time.refused.connect(self.refused)
        self._buttons["to_start"].clicked.connect(self.to_start_requested)
        self._buttons["to_end"].clicked.connect(self.to_end_requested)
        self._buttons["back"].clicked.connect(lambda: self.step_requested.emit(-1))
        self._buttons["forward"].clicked.connect(lambda: self.step_requested.emit(1))
        self._buttons["play"].clicked.connect(self.play_requested)
        self._loop.clicked.connect(self.loop_requested)
        self._ping_pong.clicked.connect(self.ping_pong_requested)
        self._speaker.clicked.connect(self._speaker_clicked)
        self._volume.valueChanged.connect(lambda value: self.volume_requested.emit(value / 100))
        self._volume.default_requested.connect(lambda: self.volume_requested.emit(0.7))

    def set_time(self, now: Time) -> None:
        self._time.set_time(now, self._rate)

    def set_sequence(self, rate: Fraction, length: Time) -> None:
        self._rate, self._length = rate, length
        self._end.setText(timecode(length, rate))

    def set_range(self, work_area: TimeRange | None) -> None:
        """In and out; None shows neither."""
        self._range_shown = work_area is not None
        if work_area is not None:
            self._in.setText(timecode(work_area.start, self._rate))
            self._out.setText(timecode(work_area.end, self._rate))
        self._fit()

    def set_playing(self, playing: bool) -> None:
        play = self._buttons["play"]
        play.setIcon(theme.icon("pause" if playing else "play", "text"))
        with_help(play, "Stop" if playing else "Play", "Space")

    def set_loop(self, on: bool) -> None:
        self._loop.setChecked(on)

    def set_ping_pong(self, on: bool) -> None:
        self._ping_pong.setChecked(on)

    def set_volume(self, volume: float, muted: bool) -> None:
        """Volume 0 to 1."""
        self._muted = muted
        self._volume.blockSignals(True)
        self._volume.setValue(round(volume * 100))
        self._volume.blockSignals(False)
        self._speaker.setIcon(theme.icon("mute" if muted or volume == 0 else "volume"))
        with_help(self._speaker, "Sound on" if muted else "Mute")

    def set_possible(self, possible: bool) -> None:
        """Whether there is anything to play."""
        for part in (self._left, self._middle, self._right):
            part.setEnabled(possible)

    def _speaker_clicked(self) -> None:
        if self._volume.isVisible():
            self.mute_requested.emit(not self._muted)
            return
        menu = QMenu(self)
        slider = Slider("Volume", menu)
        slider.setRange(0, 100)
        slider.setValue(self._volume.value())
        slider.setFixedSize(QSize(140, 28))
        slider.valueChanged.connect(lambda value: self.volume_requested.emit(value / 100))
        holder = QWidgetAction(menu)
        holder.setDefaultWidget(slider)
        menu.addAction(holder)
        text = "Sound on" if self._muted else "Mute"
        menu.addAction(text, lambda: self.mute_requested.emit(not self._muted))
        menu.exec(self._speaker.mapToGlobal(QPoint(0, -76)))
        menu.deleteLater()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        wide = self.width() >= NARROW
        for mark in (self._in_sign, self._in, self._out_sign, self._out):
            mark.setVisible(wide and self._range_shown)
        self._volume.setVisible(wide)
        height = self.height()
        middle = self._middle.sizeHint()
        left, right = self._left.sizeHint().width(), self._right.sizeHint().width()
        x = (self.width() - middle.width()) // 2
        x = max(12 + left + 8, min(x, self.width() - 12 - right - 8 - middle.width()))
        self._left.setGeometry(9, 0, left, height)
        self._middle.setGeometry(x, 0, middle.width(), height)
        self._right.setGeometry(self.width() - 12 - right, 0, right, height)
