"""Generate: the panel, the jobs it asks for, and where their results go."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import randrange

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QFileDialog

from desktop import generating
from desktop.generate_again import form_of
from desktop.generating import Landing, mode_of
from desktop.parts import Parts
from desktop.presenters.dialogs import ask_for_lora
from desktop.presenters.generate_ghosts import GenerateGhosts
from desktop.presenters.generate_jobs import GenerateJobs
from desktop.presenters.generate_knowledge import Knowledge
from desktop.presenters.generate_pictures import Pictures
from desktop.presenters.generate_results import GenerateResults
from engine import wan_rules
from engine.generation import negative_of, parameter
from engine.jobs import GenerateJob
from engine.timeline.parameters import Value
from engine.timeline.time import ZERO
from ui.generate_form import (
    CUSTOM,
    DICE,
    FIRST,
    LAST,
    PICTURE,
    STILL,
    TEXT,
    Form,
    LoraGiven,
    Means,
    PictureGiven,
    changed,
)

OPEN_ENDS: Mapping[str, Value] = {
    name: parameter(name).default
    for name in ("context_schedule", "context_frames", "context_overlap")
}
LEAD_IN = 5  # frames of a clip that its continuation is shown: two latent frames of motion
LEAD_IN = 5  # frames of a clip that its continuation is shown: two latent frames of motion
REST_MS = 60  # until the panel shows what has changed around it


class GeneratePresenter(QObject):
    """Holds the form, shows what can be done with it, puts jobs into the queue."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._parts = parts
        self._pictures = Pictures(parts)
        self._knowledge = Knowledge(parts, self._pictures)
        self._results = GenerateResults(parts)
        GenerateGhosts(parts, self._results)
        self._is_wired = False
        self._shown: tuple[Form, Means] | None = None
        self._place: Landing | None = None  # other than the playhead: of a clip's end, of a gap
        self._jobs = GenerateJobs(parts, self._results)
        self._size_before = (832, 480)  # the one that was fitted to a picture
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
        parts.window.bin.again_requested.connect(self.use_asset_again)
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
        shown = self.form, self._knowledge.means(self.form, self._place)
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
            lambda slot: self._pictures.take_at_playhead(lambda one: self._change(slot, one))
        )
        panel.files_given.connect(
            lambda slot, paths: self._pictures.bring(paths, lambda one: self._change(slot, one))
        )
        panel.assets_given.connect(lambda slot, ids: self._change(slot, self._pictures.of_bin(ids)))
        panel.size_fit_requested.connect(lambda _slot: self._toggle_size())
        panel.lora_add_requested.connect(self._add_lora)
        panel.samples_requested.connect(self._choose_samples)
        panel.negative_requested.connect(
            lambda: self._change("negative", negative_of(mode_of(self.form)))
        )
        panel.generate_requested.connect(self.generate)
        panel.weights_requested.connect(self._get_weights)
        panel.fit_requested.connect(self._fit)

    def _fill(self) -> None:
        """Fills in what the preset says, as model and pictures are now."""
        files, form = self._knowledge.files(self.form), self.form
        told = generating.distilled_of(form, files)
        if form.preset != CUSTOM:
            self.form = generating.with_preset(
                form, form.preset, self._knowledge.family(self.form), told
            )
        elif not form.values:
            self.form = replace(
                generating.with_preset(form, "balanced", self._knowledge.family(self.form), told),
                preset=CUSTOM,
            )
        if self.form.looped and self.form.tab == TEXT:
            closed = generating.loop_values(self.form.frames, self.form.values)
            self.form = replace(self.form, values={**self.form.values, **closed})

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
            case (("guidance" | "timesteps"), _):
                form = replace(changed(form, name, value), preset=CUSTOM)
            case _:
                form = changed(form, name, value)
        if form.tab != PICTURE and not form.width:
            form = replace(form, width=832, height=480)
        self.form = form
        if name in ("to_media", "tab", FIRST):
            self._place = None
        if name == FIRST:
            self.form = self._leading(0)
        if name == "to_media":
            self._parts.settings.change(generate_to_media=form.to_media)
        self.show()

    def _with_value(self, name: str, value: Value) -> Form:
        form = replace(self.form, values={**self.form.values, name: value})
        if name == "context_schedule" and form.tab == TEXT:
            if form.looped:  # its windows were made to fit the loop
                form = replace(form, values={**form.values, **OPEN_ENDS, name: value})
            form = replace(form, looped=value == "uniform_looped")
        told = generating.distilled_of(form, self._knowledge.files(self.form))
        if not generating.is_preset(form, self._knowledge.family(self.form), told):
            form = replace(form, preset=CUSTOM)
        return form

    def _set_preset(self, preset: str) -> None:
        self._parts.settings.change(generate_preset=preset)
        self.form = replace(self.form, guidance=(), timesteps=())
        self._change("preset", preset)

    def _toggle_size(self) -> None:
        """The size that fits the picture, or the one that was chosen before."""
        form = self.form
        if form.width:
            self._size_before = form.width, form.height
        self._change("size", (0, 0) if form.width else self._size_before)

    def _choose_samples(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self._parts.window, "Choose latents", "", "Latents (*.safetensors);;All files (*)"
        )
        if path:
            self._change("samples", path)

    def _set_loop(self, on: bool) -> None:
        """The last picture becomes the first, and context windows run round."""
        form = self.form
        window = {"context_schedule": "uniform_looped"} if on else OPEN_ENDS
        values = {**form.values, **window}
        last = form.last
        if form.tab == PICTURE:
            last = form.first if on else None
        self.form = replace(form, looped=on, last=last, values=values)
        self.show()

    def _extend(self) -> None:
        """Goes on from the last pictures of the selected clip, and lands behind it."""
        chosen = self._knowledge.chosen()
        if chosen is None:
            return
        clip, sequence = chosen[1], self._parts.editor.sequence.id

        def go_on(given: PictureGiven) -> None:
            self._place = Landing(sequence=sequence, at=clip.end)
            form = self._leading(LEAD_IN if given.time > 0 else 1)  # of a still no more than one
            self.form = replace(form, tab=PICTURE, first=given, last=None, looped=False)
            self.show()

        self._pictures.take_last(clip, go_on, LEAD_IN)

    def _leading(self, frames: int) -> Form:
        """The form with so many frames of a film that lead on."""
        if not self.form.values:
            return self.form
        return replace(self.form, values={**self.form.values, "lead_in": frames})

    def _fill_gap(self) -> None:
        """Leads from one neighbour of the gap to the other, as long as the gap."""
        gap = self._knowledge.gap()
        if gap is None:
            return
        track, left, right = gap
        room = right.start - left.end
        sequence = self._parts.editor.sequence.id

        def fill(first: PictureGiven, last: PictureGiven) -> None:
            self._place = Landing(sequence=sequence, at=left.end, track=track, room=room)
            frames = min(wan_rules.length_of_time(room), 5001)
            self.form = replace(
                self._leading(0), tab=PICTURE, first=first, last=last, frames=frames, looped=False
            )
            self.show()

        self._pictures.take_last(
            left,
            lambda first: self._pictures.take(right, ZERO, lambda last: fill(first, last)),
        )

    def _add_lora(self) -> None:
        path = ask_for_lora(self._parts.window)
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
        place, self._place = self._place, None
        if not self._jobs.make(self.form, place):
            self._place = place
        self.show()

    def use_again(self, job: GenerateJob) -> None:
        """Fills in what a job was made with, and shows it."""
        self._place = None
        self.form = form_of(job, self.form, self._parts.settings.value.neural.attention)
        self.open()
        self.show()
        for slot, source in ((FIRST, job.first), (LAST, job.last)):
            if source is not None:
                self._pictures.find(source, partial(self._change, slot))

    def use_asset_again(self, asset_id: str) -> None:
        """Fills in what a generated medium was made with."""
        asset = self._parts.editor.project.asset(asset_id)
        job = self._results.recipe_of(asset.path) if asset is not None else None
        if job is None:
            self._parts.editor.refused.emit("Its settings are not known any more.", "")
        else:
            self.use_again(job)
