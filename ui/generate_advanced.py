"""The Advanced fold of the Generate panel: every parameter of the table, in two columns."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from engine.wan_parameters import PARAMETERS
from ui.controls import Elided, label
from ui.generate_curve import LevelChart
from ui.generate_fields import ParameterField
from ui.generate_form import Form, Means
from ui.generate_loras import LoraRows
from ui.inputs import Choice
from ui.panels import Fold, column, hairline, row

INSET = 16
GAP = 16
LABEL = 64  # px, of the second column
RUN = ("steps", "shift", "cfg", "scheduler")
MEANS = ("base_precision", "quantization", "blocks_to_swap", "load_device")
WINDOWS = ("context_schedule", "context_frames", "context_stride", "context_overlap", "freenoise")
SHORT = {
    "quantization": "Quantized",
    "blocks_to_swap": "Block swap",
    "context_schedule": "Context",
    "context_frames": "Frames",
    "context_stride": "stride",
    "load_device": "Offload",
    "batched_cfg": "Both at once",
    "teacache": "Switched on",
    "cache_start_step": "First step",
    "cache_end_step": "Last step",
    "feta": "Switched on",
    "compile": "Switched on",
    "dynamo_cache_size_limit": "Variants",
    "use_non_blocking": "Locked memory",
    "offload_txt_emb": "Text waits",
    "offload_img_emb": "Pictures wait",
    "noise_aug_strength": "Noise",
    "clip_last_strength": "CLIP, last",
    "keep_keys": "Keep prompts",
    "encode_chunk": "Encode chunk",
    "decode_chunk": "Decode chunk",
}
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Steps",
        ("table", "batched_cfg", "start_step", "cfg_zero_star", "end_step", "zero_init_steps"),
    ),
    (
        "TeaCache",
        (
            "teacache",
            "rel_l1_thresh",
            "cache_start_step",
            "cache_end_step",
            "use_coefficients",
            "cache_mode",
        ),
    ),
    (
        "Enhance-A-Video",
        ("feta", "feta_weight", "feta_start_percent", "feta_end_percent"),
    ),
    (
        "Pictures",
        (
            "fit",
            "noise_aug_strength",
            "start_latent_strength",
            "end_latent_strength",
            "clip_strength",
            "clip_last_strength",
            "clip_crop",
        ),
    ),
    ("Windows", ("fuse_method", "riflex_freq_index")),
    (
        "torch.compile",
        (
            "compile",
            "backend",
            "mode",
            "fullgraph",
            "dynamic",
            "dynamo_cache_size_limit",
            "compile_transformer_blocks_only",
        ),
    ),
)
LEFT_OUT = frozenset({"denoise_strength"})  # of a clip made from another


class AdvancedFold(QWidget):
    """Closed at first. Given a form; says by `changed` which value the person wants."""

    changed = Signal(str, object)  # a parameter and its value
    family_requested = Signal(str)
    loras_requested = Signal(object)
    lora_add_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = {one.name: one for one in PARAMETERS}
        self.fields: dict[str, ParameterField] = {}
        outer = column(self)
        outer.addWidget(hairline(self))
        self.fold = Fold("Advanced", height=32, inset=INSET, parent=self)
        outer.addWidget(self.fold)
        self._model = Choice("Model", parent=self)
        self._model.activated.connect(
            lambda place: self.family_requested.emit(self._model.itemData(place))
        )
        body = self.fold.body
        body.setSpacing(8)
        body.addLayout(self._model_row())
        body.addLayout(self._run_part())
        body.addWidget(hairline(self))
        body.addLayout(self._means_part())
        self.more = Fold("LoRA, TeaCache, Enhance-A-Video, pictures, memory", inset=INSET)
        self.more.head.light = True
        body.addWidget(self.more)
        self._fill_more()
        body.addSpacing(8)

    def _field(self, name: str, wide: int = 72, number: int = 56) -> ParameterField:
        text = SHORT.get(name, "")
        field = ParameterField(self._table[name], wide, text, self, number=number)
        field.changed.connect(self.changed)
        self.fields[name] = field
        return field

    def _model_row(self) -> QHBoxLayout:
        line = row(margins=(INSET, 0, INSET - 8, 0), gap=8)
        words = Elided("Model", token="text2", parent=self)
        words.setFixedWidth(72)
        line.addWidget(words)
        line.addWidget(self._model, 1)
        return line

    def _run_part(self) -> QHBoxLayout:
        """Steps, shift, guidance and scheduler beside the levels that they make."""
        both, left, right = self._columns()
        for name in RUN:
            left.addWidget(self._field(name))
        head = row(gap=8)
        head.addWidget(label("Sigmas", tone="text2", parent=self))
        head.addStretch(1)
        self._span = label("", "small", tone="text3", tabular=True, parent=self)
        head.addWidget(self._span)
        self.chart = LevelChart(self)
        self.chart.ends_requested.connect(self._ends)
        right.addLayout(head)
        right.addStretch(1)
        right.addWidget(self.chart)
        return both

    def _means_part(self) -> QHBoxLayout:
        both, left, right = self._columns()
        for name in MEANS:
            left.addWidget(self._field(name))
        right.addWidget(self._field("context_schedule", LABEL))
        frames = row(gap=6)
        frames.addWidget(self._field("context_frames", LABEL, 48))
        frames.addWidget(self._field("context_stride", 40, 40))
        right.addLayout(frames)
        right.addWidget(self._field("context_overlap", LABEL, 48))
        right.addWidget(self._field("freenoise", LABEL))
        return both

    def _columns(self) -> tuple[QHBoxLayout, QVBoxLayout, QVBoxLayout]:
        """Two columns of one width, whatever is in them."""
        both = row(margins=(INSET, 0, INSET - 8, 0), gap=GAP)
        made = []
        for _ in range(2):
            side = QWidget(self)
            side.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
            both.addWidget(side, 1)
            made.append(column(side, gap=4))
        return both, made[0], made[1]

    def _fill_more(self) -> None:
        inner = self.more.body
        inner.setContentsMargins(INSET, 4, INSET - 8, 4)
        inner.setSpacing(4)
        inner.addWidget(label("LoRA", "small", 500, tone="text3", parent=self))
        self.loras = LoraRows(self)
        self.loras.add_requested.connect(self.lora_add_requested)
        self.loras.changed.connect(self.loras_requested)
        inner.addWidget(self.loras)
        inner.addWidget(self._field("merge_loras", 104))
        named = {*LEFT_OUT, *RUN, *MEANS, *WINDOWS, "merge_loras"}
        for title, names in GROUPS:
            self._add_group(title, names)
            named |= set(names)
        self._add_group("Memory and file", tuple(n for n in self._table if n not in named))

    def _add_group(self, title: str, names: tuple[str, ...]) -> None:
        self.more.body.addSpacing(8)
        self.more.body.addWidget(label(title, "small", 500, tone="text3", parent=self))
        both = row(gap=GAP)
        sides = []
        for _ in range(2):
            side = QWidget(self)
            side.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
            both.addWidget(side, 1)
            sides.append(column(side, gap=4))
        for i, name in enumerate(names):
            sides[i % 2].addWidget(self._field(name, 104))
        for side_column in sides:
            side_column.addStretch(1)
        self.more.body.addLayout(both)

    def _ends(self, first: int, last: int) -> None:
        for name, value in (("start_step", first), ("end_step", last)):
            if self.fields[name].number is not None:
                self.changed.emit(name, value)

    # What is shown

    def show_form(self, form: Form, means: Means) -> None:
        for name, field in self.fields.items():
            if name in form.values:
                field.set_value(form.values[name])
        self.fields["blocks_to_swap"].set_most(means.blocks)
        self._show_models(form, means)
        first, last = (_whole(form, name) for name in ("start_step", "end_step"))
        self.chart.set_levels(means.levels, first, last)
        if means.levels:
            ends = means.levels[0], means.levels[-1]
            self._span.setText(f"{ends[0]:.3f} to {ends[1]:g}")
        is_windowed = form.values.get("context_schedule", "off") != "off"
        for name in (*WINDOWS[1:], "fuse_method"):
            self.fields[name].setEnabled(is_windowed)
        for switch, names in (
            ("teacache", GROUPS[1][1]),
            ("feta", GROUPS[2][1]),
            ("compile", GROUPS[5][1]),
        ):
            for name in names[1:]:
                self.fields[name].setEnabled(bool(form.values.get(switch)))
        self.loras.set_loras(form.loras)
        self.fold.set_summary(means.model)
        self.more.set_summary(_used(form))

    def _show_models(self, form: Form, means: Means) -> None:
        wanted = [("", f"Automatic ({means.model})" if means.model else "Automatic")]
        wanted += list(means.models)
        places = range(self._model.count())
        there = [(self._model.itemData(i), self._model.itemText(i)) for i in places]
        if there != wanted:
            self._model.blockSignals(True)
            self._model.clear()
            for family, text in wanted:
                self._model.addItem(text, family)
            self._model.blockSignals(False)
        self._model.show_value(form.family)


def _whole(form: Form, name: str) -> int:
    value = form.values.get(name, 0)
    return int(value) if isinstance(value, (int, float)) else 0


def _used(form: Form) -> str:
    """«2 LoRAs, TeaCache» or «none used»."""
    many = len(form.loras)
    words = [f"{many} LoRA{'s' if many > 1 else ''}"] if many else []
    words += ["TeaCache"] if form.values.get("teacache") else []
    words += ["Enhance-A-Video"] if form.values.get("feta") else []
    return ", ".join(words) or "none used"
