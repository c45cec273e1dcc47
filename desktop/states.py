"""Which baked effects are fresh, stale, running or failed: asked of the child, told to widgets."""

from PySide6.QtCore import QObject, QTimer, Signal

from desktop.job_entry import IS_ACTIVE, Entry, State
from desktop.jobs import JobQueue
from desktop.service import MediaService
from engine.jobs import EffectJob
from engine.timeline.effects import is_known, kind
from engine.timeline.model import Clip, EffectUse, Sequence
from engine.timeline.time import Time
from engine.worker.messages import ClipFreshness, Event, Fresh, Freshness
from ui.timeline.states import FAILED, FRESH, RUNNING, STALE, ClipState

PARTS_MS = 2000  # between two looks for parts that a running job has stored


def active(clip: Clip) -> tuple[EffectUse, ...]:
    """The effects of a clip that are on and known here, in order."""
    return tuple(use for use in clip.effects if use.enabled and is_known(use))


def badge(use: EffectUse) -> str:
    """What a clip's badge says of an effect: "Upscale 4×", "Ink drawing"."""
    family = kind(use.kind)
    if use.kind == "upscale" and use.values.get("scale") != "size":
        return f"{family.label} {use.values.get('scale')}×"
    return family.label


class EffectStates(QObject):
    """Keeps the state of every clip with effects; asks anew when project or cache change."""

    changed = Signal()

    def __init__(
        self, service: MediaService, queue: JobQueue, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._service = service
        self._queue = queue
        self._sequence: Sequence | None = None
        self._known: dict[str, ClipFreshness] = {}
        self._of: dict[str, Clip] = {}  # the clip that each answer is about
        self.cache_bytes = -1
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(120)
        self._later.timeout.connect(self._ask)
        queue.entries_changed.connect(self.changed)
        queue.entry_changed.connect(self._progressed)
        queue.finished.connect(lambda _id: self.refresh())
        service.restarted.connect(self.refresh)
        self._while_running = QTimer(self)
        self._while_running.setSingleShot(True)
        self._while_running.setInterval(PARTS_MS)
        self._while_running.timeout.connect(self._ask)

    def set_sequence(self, sequence: Sequence) -> None:
        self._sequence = sequence
        self.refresh()

    def _progressed(self, entry_id: str) -> None:
        self.changed.emit()
        entry = self._queue.entry(entry_id)
        is_effect = entry is not None and isinstance(entry.job, EffectJob)
        if is_effect and not self._while_running.isActive():
            self._while_running.start()

    def refresh(self) -> None:
        """Asks the child again, a moment later."""
        self._later.start()

    def _ask(self) -> None:
        sequence = self._sequence
        if sequence is None:
            return
        about = {clip.id: clip for track in sequence.tracks for clip in track.clips}

        def answer(event: Event) -> None:
            if isinstance(event, Fresh):
                self._known = {one.clip: one for one in event.clips}
                self._of = about
                self.cache_bytes = event.cache_bytes
                self.changed.emit()

        self._service.ask(lambda number: Freshness(ask=number), answer)

    def entry(self, clip: Clip) -> Entry | None:
        """The queue's newest entry for the effects of a clip as they are now."""
        found = [
            one
            for one in self._queue.entries
            if isinstance(one.job, EffectJob)
            and one.job.clip == clip.id
            and _same(one.job.uses, active(clip))
        ]
        return found[-1] if found else None

    def is_fresh(self, clip: Clip) -> bool:
        """Whether everything the clip shows of its effects is there."""
        one = self._answer(clip)
        return one is not None and all(span.fresh for span in one.spans)

    def has_some(self, clip: Clip) -> bool:
        """Whether some of what the clip shows of its effects is there."""
        one = self._answer(clip)
        return one is not None and any(span.fresh for span in one.spans)

    def _answer(self, clip: Clip) -> ClipFreshness | None:
        """What the child said, if it was about this very state of the clip."""
        asked = self._of.get(clip.id)
        if asked is None or asked.effects != clip.effects or asked.source != clip.source:
            return None
        return self._known.get(clip.id)

    def state(self, clip: Clip) -> ClipState | None:
        """How the timeline shows a clip; None for one without effects."""
        uses = active(clip)
        if not uses:
            return None
        label, icon = badge(uses[-1]), kind(uses[-1].kind).icon
        entry = self.entry(clip)
        if entry is not None and entry.state in IS_ACTIVE:
            part = entry.fraction
            return ClipState(
                RUNNING, part, (), f"{kind(uses[-1].kind).label} {round(part * 100)} %", icon
            )
        answer = self._answer(clip)
        if answer is not None and all(span.fresh for span in answer.spans):
            return ClipState(FRESH, 1.0, (), label, icon)
        if entry is not None and entry.state is State.FAILED:
            return ClipState(FAILED, 0.0, (), label, icon)
        spans: tuple[tuple[Time, Time, str], ...] = ()
        if answer is not None:
            spans = tuple(
                (span.start, span.end, FRESH if span.fresh else STALE) for span in answer.spans
            )
        return ClipState(STALE, 0.0, spans, label, icon)

    def use_state(self, clip: Clip, use: EffectUse) -> tuple[str, float]:
        """The state of one effect of a clip and, while it runs, the part that is done."""
        if not use.enabled or not is_known(use):
            return "", 0.0
        entry = self.entry(clip)
        if entry is not None and entry.state in IS_ACTIVE:
            return RUNNING, entry.fraction
        answer = self._answer(clip)
        if answer is not None and answer.uses.get(use.id):
            return FRESH, 1.0
        if entry is not None and entry.state is State.FAILED:
            return FAILED, 0.0
        return STALE, 0.0


def _same(asked: tuple[EffectUse, ...], now: tuple[EffectUse, ...]) -> bool:
    return [(one.kind, one.engine, one.values) for one in asked] == [
        (one.kind, one.engine, one.values) for one in now
    ]
