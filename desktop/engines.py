"""Which engines can run here, by the card, torch and the weights; and which one is taken first."""

import re
from collections.abc import Iterable

from msgspec.structs import replace
from PySide6.QtCore import QObject, Signal

from desktop.jobs import JobQueue
from desktop.service import MediaService
from desktop.settings import SettingsStore
from desktop.weights import WeightsLibrary
from engine.jobs import EffectJob
from engine.library.found import gigabytes
from engine.planning import DeviceFacts, facts_of
from engine.timeline.effects import EFFECTS, Engine, kind, needs_gpu
from engine.timeline.model import EffectUse
from engine.worker.messages import Device, Event
from ui.engines import EngineState

NEEDS_CARD = "needs an NVIDIA card"
PREFERRED = {"upscale": ("flashvsr-1.1-tiny", "flashvsr-1.0-tiny")}
_CARD = re.compile(r"^(?P<name>.+), (?P<size>\d+) GB")
_FREE_SHARE = 0.9  # of a card that has not been asked yet


class Engines(QObject):
    """What is known of the machine's means. A gpu child is asked once a model may be wanted."""

    changed = Signal()
    weights_wanted = Signal(str)  # a family: the person wants to get its files

    def __init__(
        self,
        weights: WeightsLibrary,
        queue: JobQueue,
        service: MediaService,
        settings: SettingsStore,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._weights = weights
        self._queue = queue
        self._settings = settings
        self.computer: Device | None = None  # the media child's word
        self.card: Device | None = None  # the gpu child's
        weights.changed.connect(self.changed)
        service.arrived.connect(self._heard)
        queue.device_changed.connect(self._told)

    def _heard(self, event: Event) -> None:
        if isinstance(event, Device):
            self.computer = event
            self.changed.emit()

    def _told(self, device: Device) -> None:
        self.card = device
        self.changed.emit()

    def words(self) -> tuple[str, str]:
        """For the status bar: the card and its memory, or that there is none; and the rest."""
        computer = self.computer.name if self.computer is not None else ""
        card = self.card
        if card is not None and card.kind == "cuda":
            used, total = (card.total_bytes - card.free_bytes) / 2**30, card.total_bytes / 2**30
            return f"{card.name}  {used:.1f} of {total:.0f} GB", f"{card.torch}\n{computer}"
        if card is not None and self._had_driver():
            return f"{self._cards()}: torch does not see it", f"{card.torch}\n{computer}"
        if self._had_driver():
            return self._cards(), computer
        return "No GPU found: effects run on the CPU", computer

    def _had_driver(self) -> bool:
        return bool(self._cards())

    def _cards(self) -> str:
        return self.computer.details if self.computer is not None else ""

    def look_at_card(self) -> None:
        """Starts the gpu child, which tells what torch sees, if it has not told yet."""
        if self.card is None and (self._has_card() or self._settings.value.neural_on_cpu):
            self._queue.warm_up()

    def _has_card(self) -> bool:
        if self.card is not None:
            return self.card.kind == "cuda"
        return self._had_driver()

    @property
    def runs_models(self) -> bool:
        """Whether models run here at all."""
        return self._has_card() or self._settings.value.neural_on_cpu

    @property
    def reason(self) -> str:
        """Why no model runs here, «needs an NVIDIA card»; "" where they do."""
        if self.runs_models:
            return ""
        return "torch sees no card" if self._had_driver() else NEEDS_CARD

    def states(self) -> dict[str, EngineState]:
        """Of every engine that cannot run as things are."""
        engines = (engine for family in EFFECTS for engine in family.engines)
        found = {engine.name: self._state(engine) for engine in engines if engine.role == "gpu"}
        return {name: state for name, state in found.items() if state != EngineState()}

    def _state(self, engine: Engine) -> EngineState:
        if self.reason:
            return EngineState(reason=self.reason)
        if self._weights.is_ready(engine):
            return EngineState()
        size = self._weights.missing_bytes(engine)
        words = f"Get {gigabytes(size)}" if size else "Look at weights"
        return EngineState(get=words, lacks=self._weights.lacking(engine))

    def blocked(self, uses: Iterable[EffectUse]) -> tuple[Engine, EngineState] | None:
        """The first engine among `uses` that cannot run as things are, and why."""
        states = self.states()
        for use in uses:
            if use.engine in states:
                return kind(use.kind).engine(use.engine), states[use.engine]
        return None

    def with_models(self, job: EffectJob) -> EffectJob:
        """The job with the weights and wishes it needs. Raises WeightsError."""
        if not needs_gpu(job.uses):
            return job
        models = self._weights.models_for(job.uses)
        return replace(job, models=models, options=self._settings.value.neural)

    def first(self, kind_name: str) -> str:
        """The engine that a new effect gets: the best that a card runs at once."""
        for name in PREFERRED.get(kind_name, ()) if self._has_card() else ():
            if self._state(kind(kind_name).engine(name)) == EngineState():
                return name
        return kind(kind_name).engine().name

    def device(self) -> DeviceFacts | None:
        """What models would run on; None while nothing is known."""
        if self.card is not None and (self.card.kind == "cuda" or not self._has_card()):
            return facts_of(self.card)
        if self.computer is None:
            return None
        found = _CARD.match(self.computer.details)
        if found is None:
            return facts_of(self.computer)
        total = int(found["size"]) << 30
        free = round(total * _FREE_SHARE)
        return DeviceFacts(kind="cuda", name=found["name"], total_bytes=total, free_bytes=free)
