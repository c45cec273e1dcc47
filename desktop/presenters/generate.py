"""Generate: the panel, the jobs it asks for, and where their results go."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import randrange

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QFileDialog

from desktop import generating, naming
from desktop.exporting import export_folder
from desktop.generate_price import price_of
from desktop.generating import Landing, mode_of
from desktop.job_entry import IS_OVER
from desktop.parts import Parts
from desktop.presenters.generate_pictures import Pictures
from desktop.presenters.generate_results import GenerateResults
from desktop.settings import with_prompt
from engine import wan_rules
from engine.errors import OutputError, WeightsError
from engine.generation import FAMILIES
from engine.jobs import GenerateJob, ModelFiles
from engine.library.found import gigabytes
from engine.models.wan.experts import is_pair
from engine.planning import Estimate
from engine.planning.words import duration
from engine.timeline.model import Clip, TrackKind
from engine.timeline.parameters import Value
from engine.timeline.time import ZERO
from engine.wan_levels import levels
from ui.generate_form import (
    CUSTOM,
    DICE,
    FIRST,
    LAST,
    PICTURE,
    PRESETS,
    STILL,
    Form,
    LoraGiven,
    Means,
    changed,
)
from ui.notice import Notice

REST_MS = 60  # until the panel shows what has changed around it


class GeneratePresenter(QObject):
    """Holds the form, shows what can be done with it, puts jobs into the queue."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._parts = parts
        self._pictures = Pictures(parts)
        self._results = GenerateResults(parts)
        self._is_wired = False
        self._shown: tuple[Form, Means] | None = None
        self._place: Landing | None = None  # other than the playhead: of a clip's end, of a gap
        self._weights_notices: dict[int, str] = {}
        settings = parts.settings.value
        self.form = Form(
            seed=randrange(DICE),
            preset=settings.generate_preset,
            to_media=settings.generate_to_media,
        )
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(REST_MS)
        self._later.timeout.connect(self.show)
        parts.window.generate_toggled.connect(self._toggled)
        parts.window.viewer.empty.generate_requested.connect(self.open)
        parts.window.notices.action_requested.connect(self._act)
        for signal in (
            parts.engines.changed,
            parts.editor.selection_changed,
            parts.editor.playhead_changed,
            parts.previews.changed,
        ):
            signal.connect(self._show_soon)
        parts.editor.project_changed.connect(lambda _old, _new: self._show_soon())

    # What is shown

    def open(self) -> None:
        self._parts.window.show_generate(True)

    def _toggled(self, shown: bool) -> None:
        if not shown:
            return
        if not self._is_wired:
            self._wire()
        self._parts.engines.look_at_card()
        self._shown = None
        self.show()
        self._parts.window.generate.focus_prompt()

    def _show_soon(self) -> None:
        if self._parts.window.is_generate_shown() and not self._later.isActive():
            self._later.start()

    def show(self) -> None:
        """Gives the panel the form, with what is known of it."""
        if not self._parts.window.is_generate_shown():
            return
        self._fill()
        shown = self.form, self._means()
        if shown != self._shown:
            self._shown = shown
            self._parts.window.generate.set_form(*shown)
        self._parts.window.generate.set_history(self._parts.settings.value.prompts)

    def _wire(self) -> None:
        self._is_wired = True
        panel = self._parts.window.generate
        panel.changed.connect(self._change)
        panel.preset_requested.connect(self._set_preset)
        panel.loop_requested.connect(self._set_loop)
        panel.extend_requested.connect(self._extend)
        panel.fill_requested.connect(self._fill_gap)
        panel.choose_requested.connect(
            lambda slot: self._pictures.choose(
                f"Choose the {slot} frame", lambda given: self._change(slot, given)
            )
        )
        panel.playhead_requested.connect(
            lambda slot: self._change(slot, self._pictures.at_playhead())
        )
        panel.files_given.connect(
            lambda slot, paths: self._pictures.bring(paths, lambda one: self._change(slot, one))
        )
        panel.assets_given.connect(lambda slot, ids: self._change(slot, self._pictures.of_bin(ids)))
        panel.size_fit_requested.connect(lambda _slot: self._change("size", (0, 0)))
        panel.lora_add_requested.connect(self._add_lora)
        panel.generate_requested.connect(self.generate)
        panel.weights_requested.connect(self._get_weights)
        panel.fit_requested.connect(self._fit)

    def _files(self) -> ModelFiles | None:
        """The model that would run; None where none is there."""
        try:
            return self._parts.weights.files_of(generating.families_of(self.form))
        except WeightsError:
            return None

    def _family(self) -> str:
        files = self._files()
        if files is not None:
            return files.family
        return self._parts.weights.nearest(generating.families_of(self.form))[0]

    def _fill(self) -> None:
        """Fills in what the preset says, as model and pictures are now."""
        files, form = self._files(), self.form
        told = generating.distilled_of(form, files)
        if form.preset != CUSTOM:
            self.form = generating.with_preset(form, form.preset, self._family(), told)
        elif not form.values:
            self.form = replace(
                generating.with_preset(form, "balanced", self._family(), told), preset=CUSTOM
            )

    def _label(self, family: str) -> str:
        reports = self._parts.weights.reports
        return next((one.family.label for one in reports if one.family.name == family), family)

    def _means(self) -> Means:
        form, files = self.form, self._files()
        told = generating.distilled_of(form, files)
        families = FAMILIES[mode_of(form)]
        family = self._family()
        reason = self._parts.engines.reason
        name, size = self._parts.weights.nearest(generating.families_of(form))
        gets = files is None and not reason
        price, fits = self._price(name, files, reason)
        action = f"Get {gigabytes(size)}" if gets and size else "Generate"
        if gets and not size:
            action = "Look at weights"
        return Means(
            models=tuple((one, self._label(one)) for one in families),
            model=self._label(family),
            loop=self._why_no_loop(),
            extend=self._why_no_extend(),
            fill="" if self._gap() is not None else "Put the playhead into a gap between clips.",
            playhead="" if self._pictures.at_playhead() else "No clip lies under the playhead.",
            presets={key: self._preset_line(key) for key, _ in PRESETS},
            note=told.sentence() if told is not None else "",
            size=generating.size_of(form),
            blocks=30 if "1.3b" in family else 40,
            experts=is_pair(family),
            price=price,
            fits=fits,
            can_fit=not fits and generating.has_means(form),
            action=action,
            reason=f"Generating {reason}." if reason else "",
            gets_weights=gets,
            levels=self._levels(),
            pictures={
                key: self._parts.previews.thumbnail(given.asset, given.time)
                for key, given in ((FIRST, form.first), (LAST, form.last))
                if given is not None and given.asset
            },
        )

    def _levels(self) -> tuple[float, ...]:
        values = self.form.values
        steps, shift = _number(values, "steps"), _number(values, "shift")
        return levels(str(values["scheduler"]), str(values["table"]), round(steps), shift)

    def _preset_line(self, preset: str) -> str:
        """«20 steps · 3 min»."""
        files = self._files()
        told = generating.distilled_of(self.form, files)
        more = generating.preset_values(preset, self.form, self._family(), told)
        steps = more["steps"]
        words = f"{steps} step{'' if steps == 1 else 's'}"
        if files is None or not self._parts.engines.runs_models:
            return words
        return f"{words} · {duration(self._estimate(files, more).seconds)}"

    def _estimate(self, files: ModelFiles, more: Mapping[str, Value] | None = None) -> Estimate:
        """The price of the form, or of it with some other values."""
        options = self._parts.settings.value.neural
        values = {**self.form.values, **(more or {})}
        return price_of(self.form, files, self._parts.engines.device(), options, values)

    def _price(self, nearest: str, files: ModelFiles | None, reason: str) -> tuple[str, bool]:
        """The plan line and whether it fits, or what keeps the run from starting."""
        if reason:
            return f"Generating {reason}", True
        if files is None:
            if not self._parts.weights.reports:
                return "The weights have not been looked for yet", True
            return f"{self._label(nearest)} is not here yet", True
        price = self._estimate(files)
        return price.line, price.fits

    def _why_no_loop(self) -> str:
        if self.form.tab == PICTURE and self.form.first is None:
            return "Give the first frame first."
        return ""

    def _why_no_extend(self) -> str:
        if self._chosen() is None:
            return "Select one picture clip first."
        return ""

    def _chosen(self) -> tuple[str, Clip] | None:
        """The one selected picture clip, with its track."""
        selection = self._parts.editor.selection
        found = [
            (track.id, clip)
            for track in self._parts.editor.sequence.tracks
            if track.kind is TrackKind.VIDEO
            for clip in track.clips
            if clip.id in selection
        ]
        return found[0] if len(found) == 1 else None

    def _gap(self) -> tuple[str, Clip, Clip] | None:
        editor = self._parts.editor
        return generating.gap_at(editor.sequence, editor.playhead, editor.targets)

    # What the person fills in

    def _change(self, name: str, value: object) -> None:
        form = self.form
        match name, value:
            case "value", (str(field), (bool() | int() | float() | str()) as chosen):
                form = self._with_value(field, chosen)
            case "size", (int(width), int(height)):
                form = replace(form, width=width, height=height)
            case (("first" | "last"), None):
                form = replace(changed(form, name, None), looped=False)
                self._place = None
            case (("first" | "last"), _):
                form = replace(changed(form, name, value), tab=PICTURE)
                if name == FIRST and form.looped:
                    form = replace(form, last=form.first)
            case "tab", "still":
                form = replace(form, tab=STILL, width=form.width or 832, height=form.height or 480)
            case _:
                form = changed(form, name, value)
        if form.tab != PICTURE and not form.width:
            form = replace(form, width=832, height=480)
        self.form = form
        if name == "to_media":
            self._parts.settings.change(generate_to_media=form.to_media)
        self.show()

    def _with_value(self, name: str, value: Value) -> Form:
        form = replace(self.form, values={**self.form.values, name: value})
        told = generating.distilled_of(form, self._files())
        if not generating.is_preset(form, self._family(), told):
            form = replace(form, preset=CUSTOM)
        return form

    def _set_preset(self, preset: str) -> None:
        self._parts.settings.change(generate_preset=preset)
        self._change("preset", preset)

    def _set_loop(self, on: bool) -> None:
        """The last picture becomes the first, and context windows run round."""
        form = self.form
        window = "uniform_looped" if on else "off"
        values = {**form.values, "context_schedule": window}
        last = form.last
        if form.tab == PICTURE:
            last = form.first if on else None
        self.form = replace(form, looped=on, last=last, values=values)
        self.show()

    def _extend(self) -> None:
        """Goes on from the last picture of the selected clip, and lands behind it."""
        chosen = self._chosen()
        given = self._pictures.last_of(chosen[1]) if chosen is not None else None
        if chosen is None or given is None:
            return
        sequence = self._parts.editor.sequence.id
        self._place = Landing(sequence=sequence, at=chosen[1].end)
        self.form = replace(self.form, tab=PICTURE, first=given, last=None, looped=False)
        self.show()

    def _fill_gap(self) -> None:
        """Leads from one neighbour of the gap to the other, as long as the gap."""
        gap = self._gap()
        if gap is None:
            return
        track, left, right = gap
        room = right.start - left.end
        first, last = self._pictures.last_of(left), self._pictures.of_clip(right, ZERO)
        if first is None or last is None:
            return
        sequence = self._parts.editor.sequence.id
        self._place = Landing(sequence=sequence, at=left.end, track=track, room=room)
        frames = min(wan_rules.length_of_time(room), 5001)
        self.form = replace(
            self.form, tab=PICTURE, first=first, last=last, frames=frames, looped=False
        )
        self.show()

    def _add_lora(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self._parts.window, "Add a LoRA", "", "LoRA (*.safetensors);;All files (*)"
        )
        if path:
            self.add_lora(path)

    def add_lora(self, path: str) -> None:
        """Puts a file among the LoRAs; a distilled one sets steps, shift and guidance."""
        loras = (*self.form.loras, LoraGiven(path, Path(path).name))
        form = replace(self.form, loras=loras)
        if generating.distilled_of(form, None) is not None:
            form = replace(form, preset="fast")
        self.form = form
        self.show()

    def _fit(self) -> None:
        """Leaves to the plan whatever needs memory."""
        self.form = generating.without_means(self.form)
        self.show()

    def _get_weights(self) -> None:
        families = generating.families_of(self.form)
        self._parts.engines.weights_wanted.emit(self._parts.weights.nearest(families)[0])

    # Making

    def generate(self) -> None:
        """Queues what is filled in, once for each variation."""
        self._fill()
        form, editor = self.form, self._parts.editor
        if self._parts.engines.reason:
            editor.refused.emit(f"Generating {self._parts.engines.reason}.", "")
            return
        fault = generating.fault_of(form)
        if fault:
            editor.refused.emit(fault, "")
            return
        try:
            models = self._parts.weights.files_of(generating.families_of(form))
        except WeightsError as error:
            notice = self._parts.tell("warning", error.message, (("weights", "Get"),))
            self._weights_notices[notice.id] = generating.families_of(form)[0]
            return
        try:
            for variation in range(form.variations):
                self._queue(form, models, variation)
        except OutputError as error:
            self._parts.tell("error", f"{error.message} {error.hint}", (), error.details)
            return
        settings = self._parts.settings
        settings.change(prompts=with_prompt(settings.value, form.prompt.strip()))
        self._place = None
        self.show()

    def _queue(self, form: Form, models: ModelFiles, variation: int) -> None:
        """Puts one job into the queue; of several the first takes the place on the timeline."""
        parts = self._parts
        project = parts.editor.path
        beside = export_folder(parts.settings.value, None) if project is None else project.parent
        folder = beside / "Generated"
        suffix = "png" if form.tab == STILL else "mp4"
        promised = [
            Path(one.job.output).name
            for one in parts.queue.entries
            if isinstance(one.job, GenerateJob) and one.state not in IS_OVER
        ]
        output = naming.numbered(naming.made(folder), generating.name_of(form), suffix, promised)
        job = generating.job_of(
            form, models, parts.settings.value, parts.folders, output, variation
        )
        if not form.to_media and variation == 0:
            at = Landing(sequence=parts.editor.sequence.id, at=parts.editor.playhead)
            self._results.place(job.id, self._place or at)
        parts.queue.add(job)

    def _act(self, notice: Notice, key: str) -> None:
        family = self._weights_notices.pop(notice.id, None)
        if family is not None and key == "weights":
            self._parts.engines.weights_wanted.emit(family)


def _number(values: dict[str, Value], name: str) -> float:
    value = values[name]
    return float(value) if isinstance(value, (int, float)) else 0.0
