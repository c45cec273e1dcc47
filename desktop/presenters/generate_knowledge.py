"""What is known about a filled in form: models, price, what can be done with it and why not."""

from collections.abc import Mapping
from dataclasses import replace

from desktop import generating
from desktop.generate_price import price_of
from desktop.generating import Landing, mode_of
from desktop.parts import Parts
from desktop.presenters.generate_pictures import Pictures
from engine.errors import WeightsError
from engine.generation import FAMILIES
from engine.jobs import ModelFiles
from engine.library.found import gigabytes
from engine.models.wan.experts import is_pair
from engine.planning import Estimate
from engine.planning.words import duration
from engine.timeline.model import Clip, TrackKind
from engine.timeline.parameters import Value
from engine.wan_levels import levels, listed_levels
from ui.generate_form import FIRST, LAST, PICTURE, PRESETS, TEXT, Form, Means


class Knowledge:
    """Looks at weights, card, timeline and preferences for a form."""

    def __init__(self, parts: Parts, pictures: Pictures) -> None:
        self._parts = parts
        self._pictures = pictures

    def files(self, form: Form) -> ModelFiles | None:
        """The model that would run; None where none is there."""
        try:
            return self._parts.weights.files_of(generating.families_of(form))
        except WeightsError:
            return None

    def family(self, form: Form) -> str:
        """Of the model that would run, or of the nearest where none is there."""
        files = self.files(form)
        if files is not None:
            return files.family
        return self._parts.weights.nearest(generating.families_of(form))[0]

    def _label(self, family: str) -> str:
        reports = self._parts.weights.reports
        return next((one.family.label for one in reports if one.family.name == family), family)

    def means(self, form: Form, place: Landing | None) -> Means:
        """`place`: where the result goes, None for the playhead."""
        files = self.files(form)
        told = generating.distilled_of(form, files)
        families = FAMILIES[mode_of(form)]
        family = self.family(form)
        reason, card = self._parts.engines.reason, self._parts.engines.card
        there = self._pictures.clip_at_playhead()
        name, size = self._parts.weights.nearest(generating.families_of(form))
        gets = files is None and not reason
        price, fits = self._price(form, name, files, reason)
        action = f"Get {gigabytes(size)}" if gets and size else "Generate"
        if gets and not size:
            action = "Look at weights"
        return Means(
            models=tuple((one, self._label(one)) for one in families),
            model=self._label(family),
            loop=_why_no_loop(form),
            extend="" if self.chosen() is not None else "Select one picture clip first.",
            fill="" if self.gap() is not None else "Put the playhead into a gap between clips.",
            playhead="" if there else "No clip lies under the playhead.",
            presets={key: self._preset_line(form, key) for key, _ in PRESETS},
            note=told.sentence() if told is not None else "",
            size=generating.size_of(form),
            blocks=30 if "1.3b" in family else 40,
            experts=is_pair(family),
            attention=tuple(card.attention.items()) if card is not None else (),
            place=_place_words(place),
            price=price,
            fits=fits,
            can_fit=not fits and generating.has_means(form),
            action=action,
            reason=f"Generating {reason}." if reason else "",
            gets_weights=gets,
            levels=_levels(form),
            pictures={
                key: self._pictures.thumbnail(given)
                for key, given in ((FIRST, form.first), (LAST, form.last))
                if given is not None
            },
        )

    def _preset_line(self, form: Form, preset: str) -> str:
        """«20 steps · 3 min»."""
        files = self.files(form)
        told = generating.distilled_of(form, files)
        more = generating.preset_values(preset, form, self.family(form), told)
        steps = more["steps"]
        words = f"{steps} step{'' if steps == 1 else 's'}"
        if files is None or not self._parts.engines.runs_models:
            return words
        plain = replace(form, guidance=(), timesteps=())  # which a preset takes away
        return f"{words} · {duration(self._estimate(plain, files, more).seconds)}"

    def _estimate(
        self, form: Form, files: ModelFiles, more: Mapping[str, Value] | None = None
    ) -> Estimate:
        """The price of the form, or of it with some other values."""
        options = self._parts.settings.value.neural
        values = {**form.values, **(more or {})}
        return price_of(form, files, self._parts.engines.device(), options, values)

    def _price(
        self, form: Form, nearest: str, files: ModelFiles | None, reason: str
    ) -> tuple[str, bool]:
        """The plan line and whether it fits, or what keeps the run from starting."""
        if reason:
            return f"Generating {reason}", True
        if files is None:
            if not self._parts.weights.reports:
                return "The weights have not been looked for yet", True
            return f"{self._label(nearest)} is not here yet", True
        price = self._estimate(form, files)
        return price.line, price.fits

    def chosen(self) -> tuple[str, Clip] | None:
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

    def gap(self) -> tuple[str, Clip, Clip] | None:
        """The track and the neighbours of the gap that the playhead is in."""
        editor = self._parts.editor
        return generating.gap_at(editor.sequence, editor.playhead, editor.targets)


def _levels(form: Form) -> tuple[float, ...]:
    values = form.values
    steps, shift = _number(values, "steps"), _number(values, "shift")
    if form.timesteps:
        return listed_levels(form.timesteps, shift)
    return levels(str(values["scheduler"]), str(values["table"]), round(steps), shift)


def _why_no_loop(form: Form) -> str:
    if form.tab == PICTURE and form.first is None:
        return "Give the first frame first."
    if form.tab == TEXT and form.frames < generating.LOOP_FRAMES:
        return f"A loop needs {generating.LOOP_FRAMES} frames."
    return ""


def _place_words(place: Landing | None) -> str:
    """What stands on the button for the timeline."""
    if place is None:
        return "At playhead"
    return "After the clip" if place.room is None else "In the gap"


def _number(values: dict[str, Value], name: str) -> float:
    value = values[name]
    return float(value) if isinstance(value, (int, float)) else 0.0
