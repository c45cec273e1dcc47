"""The export sheet: format, preset, range, size, loop, sound and quality, with a preview."""

from collections.abc import Callable
from fractions import Fraction

import msgspec
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QWidget,
)

from engine.jobs import DITHERS, ExportOptions, Format, Sound
from engine.timeline.model import Sequence, TrackKind, new_sequence
from engine.timeline.time import timecode
from ui.controls import Elided, label, push_button, with_help
from ui.export_parts import PreviewArea, Tile, labelled
from ui.export_presets import (
    QUALITIES,
    RATES,
    SPEEDS,
    height_for,
    like,
    outcome,
    presets,
    seconds_text,
)
from ui.fields import NumberField, NumberRow
from ui.inputs import Choice, Segments, Switch, Tick
from ui.panels import Sign, column, row, surface
from ui.sheet import Sheet

SIZE = QSize(1000, 580)
NextName = Callable[[str, str, str], str]  # folder, prefix, suffix -> file name


class ExportSheet(Sheet):
    """A dialog of 1000 x 580 without a frame of the system's. Built when it is asked for."""

    export_requested = Signal(object, str, str, bool, bool)  # folder, prefix, save, remember
    folder_requested = Signal()
    options_changed = Signal(object)  # ExportOptions: show a preview of them

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Export", parent)
        self.setFixedSize(SIZE)
        self._sequence = new_sequence()
        self._source_rate: Fraction | None = None
        self._options = ExportOptions(format=Format.GIF)
        self._presets: list[tuple[str, ExportOptions]] = []
        self._folder = ""
        self._next_name: NextName = lambda _folder, prefix, suffix: f"{prefix}_001.{suffix}"
        self._has_sound = False
        middle = row(gap=0)
        left = QWidget(self)
        left.setFixedWidth(527)
        self._form = column(left, (20, 16, 20, 12), 4)
        self._build_form(left)
        middle.addWidget(left)
        middle.addWidget(_upright(self))
        right = QWidget(self)
        self._build_preview(right)
        middle.addWidget(right, 1)
        self.column.addLayout(middle, 1)
        self.column.addWidget(self._footer())

    # Building

    def _build_form(self, left: QWidget) -> None:
        tiles = row(gap=8)
        self._tiles = {
            Format.MP4: Tile("MP4", "H.264, with sound", left),
            Format.GIF: Tile("GIF", "Up to 256 colours, loops", left),
        }
        for form, tile in self._tiles.items():
            tile.clicked.connect(lambda _=False, form=form: self._change(format=form))
            tiles.addWidget(tile)
        self._form.addLayout(tiles)
        self._form.addSpacing(8)
        self._preset = Choice("Preset", parent=left)
        self._preset.setPlaceholderText("Custom")
        self._preset.activated.connect(self._take_preset)
        self._line("Preset", self._preset)
        self._range = Segments("Range", (("part", ""), ("whole", "Whole sequence")), parent=left)
        self._range.chosen.connect(self._set_range)
        self._line("Range", self._range)
        self._build_size(left)
        self._form.addSpacing(10)
        self._build_loop(left)
        self._form.addSpacing(10)
        self._build_quality(left)
        self._form.addStretch(1)

    def _build_size(self, left: QWidget) -> None:
        self._width = NumberField("Width", 16, 8192, 2, "", left)
        self._width.setFixedWidth(64)
        self._width.edited.connect(
            lambda value, _: self._change(
                width=None if round(value) == self._sequence.width else round(value)
            )
        )
        self._height = label("", "body", tone="text2", tabular=True, parent=left)
        self._rate = Choice("Rate", parent=left)
        self._rate.activated.connect(lambda at: self._change(rate=self._rate.itemData(at)))
        self._rate.setToolTip("Same as source keeps every frame with its own delay.")
        size = row(gap=8)
        size.addWidget(self._width)
        size.addWidget(self._height)
        size.addWidget(self._rate, 1)
        self._line("Size and rate", size)

    def _build_loop(self, left: QWidget) -> None:
        gif = ((0, "Forever"), (2, "Times"), (1, "Once"))
        self._loop_gif = Segments("Loop", gif, {0: "loop"}, left)
        self._loop_mp4 = Segments("Plays", ((1, "Once"), (2, "Times")), parent=left)
        for segments in (self._loop_gif, self._loop_mp4):
            segments.chosen.connect(self._set_loop)
        self._times = NumberField("Times", 2, 1000, 1, "×", left)
        self._times.setFixedWidth(64)
        self._times.edited.connect(lambda value, _: self._change(loop=round(value)))
        loop = row(gap=8)
        loop.addWidget(self._loop_gif, 1)
        loop.addWidget(self._loop_mp4, 1)
        loop.addWidget(self._times)
        self._line("Loop", loop)
        self._ping_pong = Switch("Ping-pong", left)
        self._ping_pong.clicked.connect(lambda on: self._change(ping_pong=on))
        self._turns = Elided("", "small", token="text2", tabular=True, parent=left)
        turns = row(gap=8)
        turns.addWidget(self._ping_pong)
        turns.addWidget(self._turns, 1)
        self._line("Ping-pong", turns)
        self._sound = Segments(
            "Sound",
            ((Sound.OFF, "Off"), (Sound.KEPT, "Kept"), (Sound.MIRRORED, "Mirrored")),
            parent=left,
        )
        self._sound.chosen.connect(lambda value: self._change(sound=value))
        self._sound_line = self._line("Sound", self._sound)

    def _build_quality(self, left: QWidget) -> None:
        self._quality = Segments("Quality", QUALITIES, parent=left)
        self._quality.chosen.connect(lambda value: self._change(crf=value))
        self._quality_line = self._line("Quality", self._quality)
        self._speed = Segments("Encoding", SPEEDS, parent=left)
        self._speed.chosen.connect(lambda value: self._change(preset=value))
        self._speed_line = self._line("Encoding", self._speed)
        self._speed_line.setToolTip("Slower encoding makes a smaller file of the same quality.")
        self._colours = NumberRow("Colours", 2, 256, 1, "", 256, whole=True, parent=left)
        self._colours.changed.connect(lambda value, _: self._change(colours=int(value)))
        self._colours_line = self._line("Colours", self._colours)
        self._dither = Choice("Dither", parent=left)
        for value, name in DITHERS:
            self._dither.addItem(name, value)
        self._dither.activated.connect(lambda at: self._change(dither=self._dither.itemData(at)))
        self._dither_line = self._line("Dither", self._dither)
        self._save = Switch("Save", left)
        self._save.setChecked(True)
        self._save.toggled.connect(lambda _on: self._refresh())
        self._save_hint = Elided("", "small", token="text2", parent=left)
        save = row(gap=8)
        save.addWidget(self._save)
        save.addWidget(self._save_hint, 1)
        self._line("Save", save)

    def _line(self, text: str, content: QWidget | QHBoxLayout) -> QWidget:
        line = labelled(self, text, content)
        self._form.addWidget(line)
        return line

    def _build_preview(self, right: QWidget) -> None:
        inner = column(right, (20, 16, 20, 16), 0)
        top = row(gap=8)
        top.addWidget(label("Preview", "small", 500, tone="text2", parent=right))
        top.addStretch(1)
        self._facts = label("", "small", tone="text2", tabular=True, parent=right)
        top.addWidget(self._facts)
        inner.addLayout(top)
        inner.addSpacing(6)
        self._preview = PreviewArea(right)
        inner.addWidget(self._preview)
        inner.addSpacing(12)
        self._counts = label("", "body", tabular=True, parent=right)
        inner.addWidget(self._counts)
        inner.addSpacing(2)
        self._note = label("", "small", tone="text3", parent=right)
        self._note.setWordWrap(True)
        inner.addWidget(self._note)
        inner.addStretch(1)
        self._summary = label("", "small", tone="text2", tabular=True, parent=right)
        self._summary.setWordWrap(True)
        inner.addWidget(self._summary)

    def _footer(self) -> QFrame:
        foot = surface("clear_foot", self)
        foot.setFixedHeight(64)
        inner = row(foot, (20, 0, 20, 0), 8)
        inner.addWidget(Sign("folder", "text2", 16, foot))
        self._folder_name = Elided("", "body", token="text2", middle=True, parent=foot)
        self._folder_name.setMaximumWidth(140)
        inner.addWidget(self._folder_name)
        self._prefix = QLineEdit(foot)
        self._prefix.setAccessibleName("File name")
        self._prefix.setFixedWidth(150)
        self._prefix.setMaxLength(120)
        self._prefix.textEdited.connect(lambda _text: self._show_target())
        inner.addWidget(self._prefix)
        self._tail = label("", "body", tone="text2", tabular=True, parent=foot)
        inner.addWidget(self._tail)
        self._other = push_button("Change…", parent=foot)
        with_help(self._other, "Change folder")
        self._other.clicked.connect(self.folder_requested)
        inner.addWidget(self._other)
        inner.addStretch(1)
        self._remember = Tick("Use for one-click Export", foot)
        self._remember.setChecked(True)
        inner.addWidget(self._remember)
        inner.addSpacing(8)
        cancel = push_button("Cancel", large=True, parent=foot)
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        self._export = push_button("Export", "primary", "export", large=True, parent=foot)
        self._export.setDefault(True)
        self._export.clicked.connect(self._ask)
        inner.addWidget(cancel)
        inner.addWidget(self._export)
        self._other.setAutoDefault(False)
        return foot

    # What the caller shows

    def options(self) -> ExportOptions:
        return self._options

    def set_sequence(self, sequence: Sequence, source_rate: Fraction | None = None) -> None:
        """What is exported. `source_rate`: frames a second of «Same as source», if it is known."""
        self._sequence, self._source_rate = sequence, source_rate
        self.set_subject(sequence.name)
        self._has_sound = any(
            track.clips for track in sequence.tracks if track.kind is TrackKind.AUDIO
        )
        self._presets = [(one.name, one.options) for one in presets(sequence)]
        self._show_presets()
        self._rate.clear()
        self._rate.addItem("Same as source", None)
        for rate in sorted({*RATES, sequence.rate}, reverse=True):
            shown = f"{float(rate):.2f}".rstrip("0").rstrip(".")
            self._rate.addItem(f"{shown} fps", rate)
        self.set_options(self._presets[0][1])

    def set_options(self, options: ExportOptions) -> None:
        """Shows `options`; their range gives way to the sequence's in and out."""
        if not any(like(one, options) for _, one in self._presets):
            self._presets.insert(0, ("Last used", options))
            self._show_presets()
        self._options = msgspec.structs.replace(options, range=self._sequence.work_area)
        self._refresh()
        self.options_changed.emit(self._options)

    def set_target(self, folder: str, prefix: str, save: bool = True) -> None:
        """Where the file goes, and whether it is kept."""
        self._folder = folder
        self._prefix.setText(prefix)
        self._save.setChecked(save)
        self._refresh()

    def set_folder(self, folder: str) -> None:
        self._folder = folder
        self._refresh()

    def set_next_name(self, next_name: NextName) -> None:
        """Who gives the next free file name for (folder, prefix, suffix)."""
        self._next_name = next_name
        self._refresh()

    def set_preview(self, image: QImage | None, facts: str = "") -> None:
        """A frame of the result, and what it is: «640 × 360 · frame 42»."""
        self._preview.set_image(image)
        self._facts.setText(facts)

    def set_summary(self, text: str) -> None:
        """«About 7.6 MB · about 14 s»."""
        self._summary.setText(text)

    # Changing

    def _change(self, **values: object) -> None:
        changed = msgspec.structs.replace(self._options, **values)
        if changed == self._options:
            self._refresh()
            return
        was = self._options.format
        if changed.format is Format.MP4 and was is Format.GIF and changed.loop == 0:
            changed = msgspec.structs.replace(changed, loop=1)
        if changed.format is Format.GIF and was is Format.MP4 and changed.loop == 1:
            changed = msgspec.structs.replace(changed, loop=0)
        self._options = changed
        self._refresh()
        if changed.format is not was:
            self.options_changed.emit(changed)

    def _show_presets(self) -> None:
        self._preset.clear()
        for name, _ in self._presets:
            self._preset.addItem(name)

    def _take_preset(self, place: int) -> None:
        area = self._options.range
        self._options = msgspec.structs.replace(self._presets[place][1], range=area)
        self._refresh()
        self.options_changed.emit(self._options)

    def _set_range(self, which: object) -> None:
        self._change(range=self._sequence.work_area if which == "part" else None)

    def _set_loop(self, value: object) -> None:
        times = self._times.value() or 2
        self._change(loop=round(times) if value == 2 else value)

    def prefix(self) -> str:
        return self._prefix.text().strip() or "export"

    def file_name(self) -> str:
        return self._next_name(self._folder, self.prefix(), self._options.format.value)

    def _ask(self) -> None:
        self.export_requested.emit(
            self._options,
            self._folder,
            self.prefix(),
            self._save.isChecked(),
            self._remember.isChecked(),
        )
        self.accept()

    def _refresh(self) -> None:
        options, sequence = self._options, self._sequence
        mp4 = options.format is Format.MP4
        for form, tile in self._tiles.items():
            tile.setChecked(form is options.format)
        self._preset.blockSignals(True)
        same = [i for i, (_, one) in enumerate(self._presets) if like(one, options)]
        self._preset.setCurrentIndex(same[0] if same else -1)
        self._preset.blockSignals(False)
        area = sequence.work_area
        part = f"In to Out · {timecode(area.duration, sequence.rate)}" if area else "In to Out"
        self._range.set_text("part", part)
        self._range.set_possible("part", area is not None, "Set in and out on the timeline first.")
        self._range.set_value("part" if options.range is not None else "whole")
        width = options.width or sequence.width
        self._width.set_value(width)
        self._height.setText(f"× {height_for(sequence, width)}")
        self._rate.show_value(options.rate)
        self._show_loop(mp4)
        self._sound_line.setVisible(mp4 and self._has_sound)
        self._sound.set_possible(
            Sound.MIRRORED, options.ping_pong, "Only with ping-pong: the way back is reversed."
        )
        kept = options.sound
        if kept is Sound.MIRRORED and not options.ping_pong:
            kept = Sound.KEPT
        self._sound.set_value(kept)
        for line in (self._quality_line, self._speed_line):
            line.setVisible(mp4)
        for line in (self._colours_line, self._dither_line):
            line.setVisible(not mp4)
        self._quality.set_value(options.crf)
        self._speed.set_value(options.preset)
        self._colours.set_value(options.colours)
        self._dither.show_value(options.dither)
        self._show_target()
        self._show_counts()

    def _show_loop(self, mp4: bool) -> None:
        loop = self._options.loop
        self._loop_gif.setVisible(not mp4)
        self._loop_mp4.setVisible(mp4)
        self._loop_gif.set_value(min(loop, 2))
        self._loop_mp4.set_value(2 if loop > 1 else 1)
        self._times.setVisible(loop > 1)
        if loop > 1:
            self._times.set_value(loop)
        self._ping_pong.setChecked(self._options.ping_pong)

    def _show_target(self) -> None:
        save = self._save.isChecked()
        name = self._folder.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
        self._folder_name.set_text(f"{name} /")
        self._folder_name.setToolTip(self._folder)
        self._tail.setText(self.file_name().removeprefix(self.prefix()))
        for widget in (self._folder_name, self._prefix, self._tail, self._other):
            widget.setEnabled(save)
        self._save_hint.set_text(
            "A new file under the next free number" if save else "Rendered and shown, not kept"
        )
        kind = self._options.format.name
        self._export.setText(f"Export {kind}" if save else f"Render {kind}")

    def _show_counts(self) -> None:
        options = self._options
        result = outcome(self._sequence, options, self._source_rate)
        there_and_back = max(result.frames, 2 * result.frames - 2)
        self._turns.set_text(
            f"{result.frames} frames become {there_and_back}, no frame twice at the turns"
            if options.ping_pong
            else "Plays forward, then back"
        )
        self._counts.setText(f"{result.total} frames · {seconds_text(result.seconds)}")
        notes = []
        if options.format is Format.GIF:
            notes.append(
                "Loops for ever." if options.loop == 0 else f"Plays {_times(options.loop)}."
            )
        elif options.loop > 1:
            notes.append("Repeats are added without a second encode.")
        notes.append("The file carries its recipe.")
        self._note.setText(" ".join(notes))
        self._export.setEnabled(result.frames > 0)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._export.isEnabled():
            focus = self.focusWidget()
            if not isinstance(focus, (QLineEdit, QAbstractButton)) or focus is self._prefix:
                self._ask()
                return
        super().keyPressEvent(event)


def _upright(parent: QWidget) -> QFrame:
    line = surface("line", parent)
    line.setFixedWidth(1)
    return line


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
