"""The Advanced fold of the Generate panel: every parameter of the table, in two columns."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QHBoxLayout, QWidget

from engine.timeline.parameters import ParameterKind
from engine.wan_parameters import PARAMETERS
from ui.controls import Elided, label, with_help
from ui.generate_columns import INSET, Columns, Pairs
from ui.generate_curve import LevelChart
from ui.generate_fields import ParameterField
from ui.generate_form import Form, Means
from ui.generate_latents import LatentRows
from ui.generate_lists import ListField, ListRow, guidance_of, number_words, timesteps_of
from ui.generate_loras import LoraRows
from ui.inputs import Choice
from ui.panels import Fold, column, hairline, row

LABEL = 64  # px, of the second column
WIDE = 104  # px, of labels in the inner fold
RUN = ("steps", "shift", "cfg", "scheduler")
MEANS = ("base_precision", "quantization", "blocks_to_swap")
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
EXPERTS = ("cfg_low", "boundary")  # of Wan2.2
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Steps",
        (
            "table",
            "start_step",
            "end_step",
            "batched_cfg",
            "cfg_zero_star",
            "zero_init_steps",
            *EXPERTS,
        ),
    ),
    (
        "TeaCache",
        (
            "teacache",
            "cache_mode",
            "rel_l1_thresh",
            "use_coefficients",
            "cache_start_step",
            "cache_end_step",
        ),
    ),
    (
        "Enhance-A-Video",
        ("feta", "feta_start_percent", "feta_end_percent", "feta_weight"),
    ),
    (
        "Pictures",
        (
            "fit",
            "clip_crop",
            "start_latent_strength",
            "end_latent_strength",
            "clip_strength",
            "clip_last_strength",
            "noise_aug_strength",
            "lead_in",
            "colour_match",
        ),
    ),
    ("Windows", ("fuse_method", "riflex_freq_index")),
    (
        "Memory and file",
        (
            "load_device",
            "vae_precision",
            "keep_keys",
            "vae_tiling",
            "tile_x",
            "tile_y",
            "tile_stride_x",
            "tile_stride_y",
            "encode_chunk",
            "decode_chunk",
            "prefetch_blocks",
            "use_non_blocking",
            "offload_txt_emb",
            "offload_img_emb",
            "crf",
        ),
    ),
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
SWITCHED = frozenset(
    ("TeaCache", "Enhance-A-Video", "torch.compile")
)  # groups that their first field turns on
STRENGTH = "denoise_strength"  # beside the samples
GUIDANCE = "One value for each step; the last one goes on. Empty: «Guidance» for all."
TIMESTEPS = "A distilled model's own steps, in place of «Steps»: 1000 is all noise, 0 none."
ATTENTION = (
    "How the model compares all parts of the clip, as in Preferences if nothing else is chosen; "
    "automatic is the fastest exact way."
)


class AdvancedFold(QWidget):
    """Closed at first. Given a form; says by `changed` which value the person wants."""

    changed = Signal(str, object)  # a parameter and its value
    checked = Signal()  # a list may be wrong now, or right again
    given = Signal(str, object)  # another field of the form and its value
    family_requested = Signal(str)
    lora_add_requested = Signal()
    samples_requested = Signal()

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
        body.addWidget(self._run_part())
        body.addWidget(hairline(self))
        body.addWidget(self._means_part())
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

    def _run_part(self) -> QWidget:
        """Steps, shift, guidance and scheduler beside the levels that they make."""
        both = Columns(parent=self)
        for name in RUN:
            both.left.addWidget(self._field(name))
        head = row(gap=8)
        head.addWidget(label("Sigmas", tone="text2", parent=self))
        head.addStretch(1)
        self._span = label("", "small", tone="text3", tabular=True, parent=self)
        head.addWidget(self._span)
        self.chart = LevelChart(self)
        self.chart.ends_requested.connect(self._ends)
        both.right.addLayout(head)
        both.right.addStretch(1)
        both.right.addWidget(self.chart)
        return both

    def _means_part(self) -> QWidget:
        both = Columns(parent=self)
        for name in MEANS:
            both.left.addWidget(self._field(name))
        both.left.addLayout(self._attention_row())
        both.right.addWidget(self._field("context_schedule", LABEL))
        frames = row(gap=8)
        frames.addWidget(self._field("context_frames", LABEL, 48))
        frames.addWidget(self._field("context_stride", 40, 40))
        both.right.addLayout(frames)
        both.right.addWidget(self._field("context_overlap", LABEL, 48))
        both.right.addWidget(self._field("freenoise", LABEL))
        return both

    def _attention_row(self) -> QHBoxLayout:
        line = row(gap=8)
        words = Elided("Attention", token="text2", parent=self)
        words.setFixedWidth(72)
        self.attention = Choice("Attention", "narrow", self)
        self.attention.activated.connect(
            lambda place: self.given.emit("attention", self.attention.itemData(place))
        )
        for widget in (words, self.attention):
            with_help(widget, "Attention", "", ATTENTION)
        line.addWidget(words)
        line.addWidget(self.attention, 1)
        return line

    def _fill_more(self) -> None:
        inner = self.more.body
        inner.setContentsMargins(INSET, 4, INSET - 8, 4)
        inner.setSpacing(4)
        self._add_title("LoRA")
        self.loras = LoraRows(self)
        self.loras.add_requested.connect(self.lora_add_requested)
        self.loras.checked.connect(self.checked)
        self.loras.changed.connect(lambda loras: self.given.emit("loras", loras))
        inner.addWidget(self.loras)
        inner.addWidget(self._field("merge_loras", WIDE))
        for title, names in GROUPS:
            self._add_group(title, names)
            if title == "Steps":
                self._add_lists()
                self._add_latents()
        left = [name for name in self._table if name not in self.fields]
        self._add_group("More", tuple(left))

    def _add_title(self, title: str) -> None:
        if self.more.body.count():
            self.more.body.addSpacing(8)
        self.more.body.addWidget(label(title, "small", 500, tone="text3", parent=self))

    def _add_group(self, title: str, names: tuple[str, ...]) -> None:
        """What chooses from words takes a whole line, the rest stands in two columns."""
        there = [name for name in names if name in self._table]
        if not there:
            return
        self._add_title(title)
        lists = [one for one in there if self._table[one].kind is ParameterKind.CHOICE]
        rest = [one for one in there if one not in lists]
        switch = rest.pop(0) if rest and title in SWITCHED else ""
        if switch:
            self.more.body.addWidget(self._field(switch, WIDE))
        for name in lists:
            self.more.body.addWidget(self._field(name, WIDE))
        self.more.body.addWidget(Pairs([self._field(name, WIDE) for name in rest], self))

    def _add_lists(self) -> None:
        """What a run may be told step by step."""
        guidance = ListField(
            "Guidance list",
            "6, 6, 1",
            guidance_of,
            number_words,
            "Guidance is a number from 0 to 30 for each step, as 6, 6, 1.",
            self,
        )
        timesteps = ListField(
            "Own timesteps",
            "1000, 750, 500, 250",
            timesteps_of,
            number_words,
            "Timesteps fall, from 1000 at most to more than 0, as 1000, 750, 500, 250.",
            self,
        )
        self.lists = {"guidance": guidance, "timesteps": timesteps}
        for name, line in (("guidance", GUIDANCE), ("timesteps", TIMESTEPS)):
            field = self.lists[name]
            shown = ListRow(field.accessibleName(), line, field, WIDE, self)
            shown.checked.connect(self.checked)
            shown.changed.connect(lambda numbers, name=name: self.given.emit(name, numbers))
            self.more.body.addWidget(shown)

    def _add_latents(self) -> None:
        self._add_title("Latents")
        self.latents = LatentRows(WIDE, self)
        self.latents.choose_requested.connect(self.samples_requested)
        self.latents.changed.connect(self.given)
        self.latents.add_below_samples(self._field(STRENGTH, WIDE))
        self.more.body.addWidget(self.latents)

    def fault(self) -> str:
        """What of the fold is wrong, "" where all is well."""
        found = (field.fault() for field in self.lists.values())
        return next((one for one in found if one), "") or self.loras.fault()

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
        for name in EXPERTS:
            self.fields[name].setVisible(means.experts)
        for title, names in GROUPS:
            if title in SWITCHED:
                for name in names[1:]:
                    self.fields[name].setEnabled(bool(form.values.get(names[0])))
        self.fields["steps"].setEnabled(not form.timesteps)
        self.fields["table"].setEnabled(not form.timesteps)
        self.fields["cfg"].setEnabled(not form.guidance)
        self.fields[STRENGTH].setEnabled(bool(form.samples))
        self.lists["guidance"].set_numbers(form.guidance)
        self.lists["timesteps"].set_numbers(form.timesteps)
        self.latents.show_latents(form.samples, form.keep_latents)
        self.loras.set_loras(form.loras)
        self.fold.set_summary(means.model)
        self.more.set_summary(_used(form))

        self._show_attention(form, means)

    def _show_models(self, form: Form, means: Means) -> None:
        wanted = [("", f"Automatic ({means.model})" if means.model else "Automatic")]
        wanted += list(means.models)
        _fill(self._model, wanted)
        self._model.show_value(form.family)

    def _show_attention(self, form: Form, means: Means) -> None:
        """The modes; those that cannot be used here say why."""
        wanted = [("", "As preferred"), ("auto", "Automatic")]
        wanted += [(mode, mode) for mode, _ in means.attention]
        if form.attention not in dict(wanted):
            wanted.append((form.attention, form.attention))
        _fill(self.attention, wanted)
        items = self.attention.model()
        assert isinstance(items, QStandardItemModel)  # as a combo box makes it by itself
        for place, (_, why) in enumerate(means.attention, 2):
            self.attention.setItemData(place, why, Qt.ItemDataRole.ToolTipRole)
            items.item(place).setEnabled(not why)
        self.attention.show_value(form.attention)


def _fill(choice: Choice, wanted: list[tuple[str, str]]) -> None:
    """Gives a list its entries, if they are others; says nothing to listeners."""
    there = [(choice.itemData(i), choice.itemText(i)) for i in range(choice.count())]
    if there != wanted:
        choice.blockSignals(True)
        choice.clear()
        for value, text in wanted:
            choice.addItem(text, value)
        choice.blockSignals(False)


def _whole(form: Form, name: str) -> int:
    value = form.values.get(name, 0)
    return int(value) if isinstance(value, (int, float)) else 0


def _used(form: Form) -> str:
    """«2 LoRAs, TeaCache» or «none used»."""
    others = (
        ("TeaCache", form.values.get("teacache")),
        ("Enhance-A-Video", form.values.get("feta")),
        ("guidance by step", form.guidance),
        ("own timesteps", form.timesteps),
        ("samples", form.samples),
    )
    many = len(form.loras)
    words = [f"{many} LoRA{'s' if many > 1 else ''}"] if many else []
    words += [name for name, is_used in others if is_used]
    return ", ".join(words) or "none used"
