"""The status bar: what the keys do now at the left, device, cache and saved state at the right."""

from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QStackedLayout, QWidget

from ui.controls import Elided, Keycap, label
from ui.panels import Sign, row, surface


class StatusBar(QFrame):
    """24 px at the foot of the window."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("surface", "panel_foot")
        self.setFixedHeight(24)
        outer = row(self, (12, 0, 12, 0), 8)
        self._left = QWidget(self)
        self._left.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._stack = QStackedLayout(self._left)
        self._hints = QWidget(self._left)
        self._hint_row = row(self._hints, gap=6)
        self._tip = Elided("", "small", token="text2", parent=self._left)
        self._tip.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._stack.addWidget(self._hints)
        self._stack.addWidget(self._tip)
        outer.addWidget(self._left, 1)
        self._chip = Sign("chip", "text2", 16, self)
        self._device = self._label("Device")
        self._cache = self._label("Cache")
        self._saved = self._label("Saved state")
        outer.addWidget(self._chip)
        outer.addWidget(self._device)
        outer.addWidget(self._line())
        outer.addWidget(self._cache)
        outer.addWidget(self._line())
        outer.addWidget(self._saved)
        self._shown: tuple[tuple[str, str], ...] = ()

    def _label(self, name: str) -> QLabel:
        made = label("", "small", tone="text2", tabular=True, parent=self)
        made.setAccessibleDescription(name)
        return made

    def _line(self) -> QWidget:
        line = surface("border", self)
        line.setFixedSize(1, 14)
        return line

    def set_hints(self, hints: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> None:
        """(keys, what they do) pairs; «J K L» shows three keys."""
        wanted = tuple(hints)
        if wanted == self._shown:
            return
        self._shown = wanted
        while (item := self._hint_row.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.deleteLater()
        for keys, text in wanted:
            for key in keys.split("  "):
                self._hint_row.addWidget(Keycap(key, self._hints))
            self._hint_row.addWidget(label(text, "small", tone="text2", parent=self._hints))
            self._hint_row.addSpacing(12)
        self._hint_row.addStretch(1)

    def hints(self) -> tuple[tuple[str, str], ...]:
        return self._shown

    def show_tip(self, text: str) -> None:
        """A line of help in place of the hints; empty brings them back."""
        self._tip.set_text(text)
        self._stack.setCurrentIndex(1 if text else 0)

    def set_device(self, text: str, tip: str = "") -> None:
        self._device.setText(text)
        self._device.setToolTip(tip)

    def set_cache(self, text: str) -> None:
        self._cache.setText(text)

    def set_saved(self, text: str) -> None:
        self._saved.setText(text)
