"""The page of the device: what computes, and what the person wishes of models."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QWidget

from ui.attention_list import AttentionList, ModeRow
from ui.controls import Elided, label
from ui.fields import NumberField
from ui.inputs import Segments, Switch
from ui.panels import Sign, column, hairline, row
from ui.preferences_pages import SettingsPage
from ui.weights_rows import order_keys

GIB = 1 << 30  # a card's memory is counted in these, a disk in powers of ten
PRECISIONS = (("auto", "Auto"), ("bf16", "bf16"), ("fp8", "fp8"), ("fp32", "fp32"))


class DevicePage(SettingsPage):
    title, icon = "Device", "chip"
    precision_requested = Signal(str)
    attention_requested = Signal(str)
    limit_requested = Signal(object)  # int bytes, 0: all that is free
    processor_requested = Signal(bool)
    keep_requested = Signal(bool)

    def build(self) -> None:
        body = self._body
        self._name = Elided("", "body", 500, middle=True, parent=body)
        self._memory = label("", "small", tone="text2", tabular=True, parent=body)
        self._torch = label("", "small", tone="text2", parent=body)
        self._torch.setWordWrap(True)
        device = QWidget(body)
        inner = row(device, (0, 6, 0, 0), gap=8)
        inner.addWidget(Sign("chip", "text2", 16, device), 0, Qt.AlignmentFlag.AlignTop)
        lines = column(gap=4)
        for widget in (self._name, self._memory, self._torch):
            lines.addWidget(widget)
        inner.addLayout(lines, 1)
        self.add("Computes on", device)
        self._column.addWidget(hairline(body))
        self._precision = Segments("Precision", PRECISIONS, parent=body)
        self._precision.setFixedWidth(288)
        self._precision.chosen.connect(lambda value: self.precision_requested.emit(str(value)))
        line = row()
        line.addWidget(self._precision)
        line.addStretch(1)
        self.add("Precision", line, "Auto takes what the card computes fastest without loss.")
        self._attention = AttentionList(body)
        self._attention.chosen.connect(self.attention_requested)
        self.add("Attention", self._attention)
        self._build_memory(body)
        self._processor = self._switch(
            "Run neural effects on the processor when there is no card",
            "Without a card",
            "Works everywhere, and is many times slower.",
        )
        self._processor.clicked.connect(self.processor_requested)
        self._keep = self._switch(
            "Keep converted weights",
            "Converted weights",
            "Starts faster, and takes about as much room again on the disk.",
        )
        self._keep.clicked.connect(self.keep_requested)

    def _build_memory(self, body: QWidget) -> None:
        choices = ((False, "All that is free"), (True, "At most"))
        self._limited = Segments("Memory limit", choices, parent=body)
        self._limited.setFixedWidth(240)
        self._limited.chosen.connect(self._set_limited)
        self._most = NumberField("At most", 1, 512, 0.5, "GB", body)
        self._most.setFixedWidth(88)
        self._most.edited.connect(lambda value, _: self.limit_requested.emit(round(value * GIB)))
        line = row(gap=8)
        line.addWidget(self._limited)
        line.addWidget(self._most)
        line.addStretch(1)
        self.add("Memory limit", line, "Of the card. Leave some to other programs that use it.")

    def _switch(self, text: str, name: str, hint: str) -> Switch:
        switch = Switch(text, self._body)
        line = row(gap=8)
        line.addWidget(switch)
        words = label(text, "body", parent=self._body)
        words.setMinimumHeight(28)
        line.addWidget(words, 1)
        self.add(name, line, hint)
        return switch

    def _set_limited(self, limited: object) -> None:
        self._most.setVisible(bool(limited))
        value = self._most.value() or 8.0
        self.limit_requested.emit(round(value * GIB) if limited else 0)

    def set_device(self, name: str, memory: str, torch_line: str = "") -> None:
        """What computes: its name, its memory in words, and which torch is there."""
        self._name.set_text(name)
        self._memory.setText(memory)
        self._memory.setVisible(bool(memory))
        self._torch.setText(torch_line)
        self._torch.setVisible(bool(torch_line))

    def set_precision(self, precision: str) -> None:
        self._precision.set_value(precision)

    def set_attention(self, chosen: str, modes: tuple[ModeRow, ...]) -> None:
        self._attention.show_modes(chosen, modes)
        order_keys(self)

    def set_limit(self, limit_bytes: int, likely_bytes: int = 0) -> None:
        """The limit, 0 for none; `likely_bytes` stands in the field before one is set."""
        self._limited.set_value(limit_bytes > 0)
        self._most.set_value(round((limit_bytes or likely_bytes or 8 * GIB) / GIB * 2) / 2)
        self._most.setVisible(limit_bytes > 0)

    def set_processor(self, on: bool) -> None:
        self._processor.setChecked(on)

    def set_keep(self, on: bool) -> None:
        self._keep.setChecked(on)
