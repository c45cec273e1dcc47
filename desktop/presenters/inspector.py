"""The inspector: effects, transform and sound of the selected clips, their price and Render."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
from PySide6.QtCore import QObject

from desktop import effects
from desktop.job_entry import IS_ACTIVE, State
from desktop.parts import Parts
from desktop.presenters.dialogs import ask_for_lora
from desktop.states import active
from engine.errors import EffectError, WeightsError
from engine.jobs import EffectJob
from engine.planning import estimate
from engine.timeline import edits
from engine.timeline.effects import EFFECTS, checked, defaults, is_known, kind, needs_gpu
from engine.timeline.model import Clip, EffectUse, Sequence, TrackKind
from engine.timeline.results import result_facts
from engine.timeline.wan_engines import fault_of
from ui.effect_card import UseState
from ui.loras_field import with_lora
from ui.notice import Notice
from ui.timeline.states import STALE

replace = msgspec.structs.replace
Targets = tuple[tuple[str, str], ...]  # (clip id, effect use id)


class InspectorPresenter(QObject):
    """Shows the selection, turns fields into edits, starts effect jobs."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self._parts = parts
        self._resize_notices: dict[int, tuple[int, int]] = {}
        self._weights_notices: dict[int, str] = {}  # family
        inspector = parts.window.inspector
        inspector.values_requested.connect(self._set_value)
        inspector.engine_requested.connect(self._set_engine)
        inspector.effect_add_requested.connect(self.add)
        inspector.effect_remove_requested.connect(self._remove)
        inspector.effect_reset_requested.connect(self._reset)
        inspector.effect_enable_requested.connect(self._enable)
        inspector.effect_move_requested.connect(self._move)
        inspector.effect_copy_requested.connect(self._copy)
        inspector.transform_requested.connect(self._transform)
        inspector.sound_requested.connect(self._sound)
        inspector.render_requested.connect(self.render)
        inspector.cancel_requested.connect(self._cancel)
        inspector.weights_requested.connect(self._get_weights)
        inspector.file_requested.connect(self._add_file)
        parts.engines.changed.connect(self._show_engines)
        parts.window.bin.effect_requested.connect(self._add_to_selection)
        parts.timeline.effect_dropped.connect(
            lambda clip, kind, engine: self.add((clip,), kind, engine)
        )
        parts.editor.project_changed.connect(lambda _old, _new: self.show())
        parts.editor.selection_changed.connect(self.show)
        parts.states.changed.connect(self.show_states)
        parts.previews.changed.connect(self._show_thumbnail)
        parts.window.notices.action_requested.connect(self._act)
        parts.queue.finished.connect(self._finished)

    # What is shown

    @property
    def _sequence(self) -> Sequence:
        return self._parts.editor.sequence

    def _chosen(self) -> list[Clip]:
        """The selected picture clips."""
        return [
            clip
            for track in self._sequence.tracks
            if track.kind is TrackKind.VIDEO
            for clip in track.clips
            if clip.id in self._parts.editor.selection
        ]

    def show(self) -> None:
        editor = self._parts.editor
        self._parts.window.inspector.set_selection(
            editor.project, self._sequence.id, editor.selection
        )
        self._show_thumbnail()
        self.show_states()

    def _show_thumbnail(self) -> None:
        chosen = self._chosen()
        if chosen:
            self._parts.window.inspector.set_thumbnail(
                self._parts.previews.thumbnail(chosen[0].asset, chosen[0].source.start)
            )

    def _show_engines(self) -> None:
        states = self._parts.engines.states()
        self._parts.window.inspector.set_engines(states)
        self._parts.window.bin.set_engines(states)
        self.show_states()

    def show_states(self) -> None:
        """States on the cards, the plan line, the Render button."""
        inspector = self._parts.window.inspector
        chosen = self._chosen()
        states = {}
        for clip in chosen:
            for use in clip.effects:
                name, part = self._parts.states.use_state(clip, use)
                states[use.id] = UseState(name, part)
        inspector.set_states(states)
        with_effects = [clip for clip in chosen if active(clip)]
        if not with_effects:
            inspector.set_render("")
            inspector.set_plan("All effects are off" if any(c.effects for c in chosen) else "")
            return
        entries = [entry for clip in with_effects if (entry := self._parts.states.entry(clip))]
        running = [entry for entry in entries if entry.state in IS_ACTIVE]
        stale = [clip for clip in with_effects if not self._parts.states.is_fresh(clip)]
        if running:
            inspector.set_render("running", running[0].fraction)
        elif any(entry.state is State.WAITING for entry in entries):
            inspector.set_render("waiting")
        elif not stale:
            inspector.set_render("fresh")
            inspector.set_plan("Every frame is rendered", "done")
            return
        else:
            inspector.set_render(STALE, clips=len(stale))
        self._show_plan(stale, is_waiting=bool(entries))

    def _show_plan(self, stale: list[Clip], is_waiting: bool) -> None:
        """What the run costs, or what keeps it from running."""
        inspector, engines = self._parts.window.inspector, self._parts.engines
        uses = [use for clip in stale for use in active(clip)]
        if needs_gpu(tuple(uses)):
            engines.look_at_card()
        blocked = engines.blocked(uses)
        if blocked is not None:
            engine, state = blocked
            if not is_waiting:
                inspector.set_render("")
            words = f"{engine.label} {state.reason}" if state.reason else state.lacks
            inspector.set_plan(words, "warning")
            return
        fault = next(filter(None, map(fault_of, uses)), "")
        if fault:
            if not is_waiting:
                inspector.set_render("")
            inspector.set_plan(fault, "warning")
            return
        jobs = [job for clip in stale if (job := self._job(clip))]
        if len(jobs) != 1:
            inspector.set_plan(f"{len(jobs)} jobs")
            return
        price = estimate(jobs[0], device=engines.device())
        inspector.set_plan(price.line, "chip" if price.fits else "warning")

    def _get_weights(self, engine: str) -> None:
        every = (one for family in EFFECTS for one in family.engines)
        self._parts.engines.weights_wanted.emit(
            next(one.family for one in every if one.name == engine)
        )

    # Effects as edits

    def _change_uses(
        self, text: str, ids: set[str], change: effects.Change, merge_key: str = ""
    ) -> None:
        self._change(text, ids, lambda clip: effects.changed(clip, change), merge_key)

    def _change(
        self, text: str, ids: set[str], change: Callable[[Clip], Clip], merge_key: str = ""
    ) -> None:
        def edit(sequence: Sequence) -> Sequence:
            for one in sorted(ids):
                if (clip := sequence.clip(one)) is not None:
                    sequence = edits.replace_clip(sequence, change(clip))
            return sequence

        sequence_id = self._sequence.id
        self._parts.editor.apply(
            text, lambda project: edits.on_sequence(project, sequence_id, edit), merge_key
        )

    def _change_targets(
        self,
        text: str,
        targets: Targets,
        change: Callable[[EffectUse], EffectUse | None],
        merge_key: str = "",
    ) -> None:
        """Changes uses of effects; None takes one away."""
        ids = {use for _, use in targets}

        def all_of(uses: tuple[EffectUse, ...]) -> tuple[EffectUse, ...]:
            after = (change(use) if use.id in ids else use for use in uses)
            return tuple(use for use in after if use is not None)

        self._change_uses(text, {clip for clip, _ in targets}, all_of, merge_key)

    def add(self, ids: tuple[str, ...], kind_name: str, engine: str) -> None:
        """Puts an effect on picture clips."""
        playhead = self._parts.editor.playhead
        project = self._parts.editor.project
        pictures = {
            clip.id
            for track in self._sequence.tracks
            if track.kind is TrackKind.VIDEO
            for clip in track.clips
        }
        chosen = set(ids) & pictures
        if not chosen:
            self._parts.editor.refused.emit("An effect needs a picture clip.", "Select one first.")
            return

        engine = engine or self._parts.engines.first(kind_name)

        def change(clip: Clip) -> Clip:
            asset = project.asset(clip.asset)
            return effects.added(clip, asset, kind_name, engine, playhead) if asset else clip

        self._change(f"Add {kind(kind_name).label}", chosen, change)
        self._parts.editor.select(chosen)

    def _add_to_selection(self, kind_name: str, engine: str) -> None:
        self.add(tuple(self._parts.editor.selection), kind_name, engine)

    def _set_value(self, targets: Targets, name: str, value: object, merge_key: str) -> None:
        def change(use: EffectUse) -> EffectUse:
            if not isinstance(value, (int, float, str)):
                return use
            engine = kind(use.kind).engine(use.engine)
            return replace(use, values=checked(engine, {**use.values, name: value}))

        try:
            self._change_targets("Change effect", targets, change, merge_key)
        except EffectError as error:
            self._parts.editor.refused.emit(error.message, error.hint)

    def _add_file(self, targets: Targets, name: str) -> None:
        """Asks for a LoRA and puts it behind those that an effect has."""
        path = ask_for_lora(self._parts.window)
        if path:
            self._change_targets("Add LoRA", targets, partial(_with_lora, name=name, path=path))

    def _set_engine(self, targets: Targets, name: str) -> None:
        def change(use: EffectUse) -> EffectUse:
            engine = kind(use.kind).engine(name)
            values = defaults(engine)
            # what both engines call by one name keeps its value, if it fits
            for key, value in use.values.items():
                if key in values:
                    try:
                        values = checked(engine, {**values, key: value})
                    except EffectError:
                        continue
            return replace(use, engine=name, values=values)

        self._change_targets("Change engine", targets, change)

    def _remove(self, targets: Targets) -> None:
        self._change_targets("Remove effect", targets, lambda use: None)

    def _reset(self, targets: Targets) -> None:
        def change(use: EffectUse) -> EffectUse:
            if not is_known(use):
                return use
            return replace(use, values=defaults(kind(use.kind).engine(use.engine)))

        self._change_targets("Reset effect", targets, change)

    def _enable(self, targets: Targets, on: bool) -> None:
        text = "Switch effect on" if on else "Switch effect off"
        self._change_targets(text, targets, lambda use: replace(use, enabled=on))

    def _move(self, clip_id: str, use_id: str, place: int) -> None:
        def change(uses: tuple[EffectUse, ...]) -> tuple[EffectUse, ...]:
            moved = [use for use in uses if use.id == use_id]
            others = [use for use in uses if use.id != use_id]
            return (*others[:place], *moved, *others[place:])

        self._change_uses("Reorder effects", {clip_id}, change)

    def _copy(self, clip_id: str, use_id: str) -> None:
        source = self._sequence.clip(clip_id)
        use = next((one for one in source.effects if one.id == use_id), None) if source else None
        others = {clip.id for clip in self._chosen() if clip.id != clip_id}
        if use is None:
            return
        if not others:
            self._parts.editor.refused.emit(
                "No other clip is selected.", "Select more clips first."
            )
            return
        self._change_uses("Copy effect", others, lambda uses: (*uses, effects.copied(use)))

    def _transform(self, ids: tuple[str, ...], fields: dict[str, float], merge_key: str) -> None:
        self._change(
            "Transform",
            set(ids),
            lambda clip: replace(clip, transform=replace(clip.transform, **fields)),
            f"{ids}/{merge_key}" if merge_key else "",
        )

    def _sound(self, ids: tuple[str, ...], fields: dict[str, object], merge_key: str) -> None:
        self._change(
            "Sound",
            set(ids),
            lambda clip: replace(clip, sound=replace(clip.sound, **fields)),
            f"{ids}/{merge_key}" if merge_key else "",
        )

    # Rendering

    def _job(self, clip: Clip) -> EffectJob | None:
        folders, limit = self._parts.folders, self._parts.settings.value.cache_limit_bytes
        editor = self._parts.editor
        return effects.job_for(editor.project, editor.sequence, clip, str(folders.cache), limit)

    def render(self, ids: tuple[str, ...], every: bool = False) -> None:
        """Queues the stale effects of clips; with `every`, of the whole sequence."""
        clips = [
            clip
            for track in self._sequence.tracks
            for clip in track.clips
            if (every or clip.id in ids) and active(clip)
        ]
        if not clips:
            self._parts.editor.refused.emit(
                "There is no effect to render here.", "Select a clip with an effect."
            )
            return
        for clip in clips:
            entry = self._parts.states.entry(clip)
            is_queued = entry is not None and (
                entry.state in IS_ACTIVE or entry.state is State.WAITING
            )
            if is_queued or self._parts.states.is_fresh(clip):
                continue
            job = self._job(clip)
            if job is not None and not Path(job.asset.path).is_file():
                self._parts.editor.refused.emit(
                    f"{job.asset.name} is not where it was.", "Find it first, then render."
                )
            elif job is not None:
                self._queue(job)

    def _queue(self, job: EffectJob) -> None:
        """Puts a job into the queue, with the weights it needs; says where some are lacking."""
        fault = next(filter(None, map(fault_of, job.uses)), "")
        if fault:
            self._parts.editor.refused.emit(f"{job.title} of {job.subject} has no prompt.", fault)
            return
        blocked = self._parts.engines.blocked(job.uses)
        if blocked is not None and blocked[1].reason:
            engine, state = blocked
            self._parts.editor.refused.emit(
                f"{engine.label} {state.reason}.", "Choose another engine."
            )
            return
        try:
            self._parts.queue.add(self._parts.engines.with_models(job))
        except WeightsError as error:
            notice = self._parts.tell("warning", error.message, (("weights", "Get"),))
            self._weights_notices[notice.id] = blocked[0].family if blocked else ""

    def _cancel(self, ids: tuple[str, ...]) -> None:
        for one in ids:
            clip = self._sequence.clip(one)
            entry = self._parts.states.entry(clip) if clip else None
            if entry is not None:
                self._parts.queue.cancel(entry.id)

    def _finished(self, entry_id: str) -> None:
        """After an Upscale beyond the sequence's size, offers to let it show."""
        entry = self._parts.queue.entry(entry_id)
        if entry is None or not isinstance(entry.job, EffectJob):
            return
        clip = self._sequence.clip(entry.job.clip)
        after = result_facts(entry.job.asset.facts, entry.job.uses).video
        before = entry.job.asset.facts.video
        sequence = self._sequence
        if clip is None or after is None or before is None or after.width <= sequence.width:
            return
        if any(use.kind == "upscale" for use in entry.job.uses):
            width, height = after.width // 2 * 2, after.height // 2 * 2
            notice = self._parts.tell(
                "warning",
                f"The Upscale of {entry.job.subject} has {width} × {height} pixels, "
                f"the sequence {sequence.width} × {sequence.height}.",
                (("resize", f"Set sequence to {width} × {height}"),),
            )
            self._resize_notices[notice.id] = (width, height)

    def _act(self, notice: Notice, key: str) -> None:
        size = self._resize_notices.pop(notice.id, None)
        if key == "resize" and size is not None:
            self._parts.commands.resize(*size)
        family = self._weights_notices.pop(notice.id, None)
        if key == "weights" and family is not None:
            self._parts.engines.weights_wanted.emit(family)


def _with_lora(use: EffectUse, name: str, path: str) -> EffectUse:
    lines = with_lora(str(use.values.get(name, "")), path)
    return replace(use, values={**use.values, name: lines})
