"""Latents of another run to go on from, and whether those of this one are kept."""

from pathlib import PurePath

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from ui.controls import Elided, icon_button, push_button, with_help
from ui.inputs import Switch
from ui.panels import column, row

SAMPLES = "A file of latents to go on from; «Strength» says how much is painted anew."
KEPT = "Writes the latents into a file beside the clip, for another run to go on from."


class LatentRows(QWidget):
    """Samples in and latents out, the label column of `wide` pixels."""

    choose_requested = Signal()
    changed = Signal(str, object)  # "samples", "keep_latents"

    def __init__(self, wide: int = 104, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows = outer = column(self, gap=4)
        line = row(gap=8)
        words = Elided("Samples in", token="text2", parent=self)
        words.setFixedWidth(wide)
        self.file = Elided("None", token="text3", middle=True, parent=self)
        choose = push_button("Choose…", parent=self)
        choose.clicked.connect(self.choose_requested)
        self.away = icon_button("close", "Take the samples away", parent=self)
        self.away.clicked.connect(lambda: self.changed.emit("samples", ""))
        line.addWidget(words)
        line.addWidget(self.file, 1)
        line.addWidget(self.away)
        line.addWidget(choose)
        outer.addLayout(line)
        line = row(gap=8)
        kept = Elided("Keep latents", token="text2", parent=self)
        kept.setFixedWidth(wide)
        self.keep = Switch("Keep latents", self)
        self.keep.clicked.connect(lambda on: self.changed.emit("keep_latents", on))
        line.addWidget(kept)
        line.addWidget(self.keep)
        line.addStretch(1)
        line.setContentsMargins(0, 5, 0, 5)
        outer.addLayout(line)
        helps: tuple[tuple[QWidget, str, str], ...] = (
            (words, "Samples in", SAMPLES),
            (choose, "Samples in", SAMPLES),
            (kept, "Keep latents", KEPT),
            (self.keep, "Keep latents", KEPT),
        )
        for widget, name, text in helps:
            with_help(widget, name, "", text)

    def add_below_samples(self, field: QWidget) -> None:
        """Puts in what says how they are used."""
        self._rows.insertWidget(1, field)

    def show_latents(self, samples: str, is_kept: bool) -> None:
        """The path of a file, or ""."""
        self.file.set_text(PurePath(samples).name or "None", "text" if samples else "text3")
        self.file.setToolTip(samples)
        self.away.setVisible(bool(samples))
        self.keep.setChecked(is_kept)
