"""Every engine that needs models, as one `Neural` for `bake`."""

from collections.abc import Callable, Iterator

from engine.errors import OutOfMemory
from engine.filters.pixels import Picture
from engine.jobs import EffectJob
from engine.models.resident import Resident
from engine.planning import DeviceFacts
from engine.progress import Report
from engine.render.keys import Stage
from engine.render.neural import Neural
from engine.worker.generate import Generator
from engine.worker.upscale import Upscaler
from engine.worker.wan_effects import WanEffects

WAN = "wan"  # how the names of its families begin


class Engines:
    """Hands each stage to what carries out its engine."""

    def __init__(
        self,
        job: EffectJob,
        device: DeviceFacts,
        resident: Resident,
        generator: Generator,
        report: Report,
    ) -> None:
        self._upscaler = Upscaler(job, device, resident)
        self._wan = WanEffects(job, device, generator, report)
        self._at_work: Neural = self._upscaler
        self._used: dict[int, Neural] = {}

    def recipe(self, stage: Stage) -> str:
        """As `Neural.recipe`."""
        return self._of(stage).recipe(stage)

    def pictures(
        self,
        stage: Stage,
        read: Callable[[int], Picture],
        count: int,
        span: range,
        check: Callable[[], None],
    ) -> Iterator[Picture]:
        """As `Neural.pictures`."""
        self._at_work = self._of(stage)
        return self._at_work.pictures(stage, read, count, span, check)

    def step_down(self, error: OutOfMemory, at: int) -> str:
        """As `Neural.step_down`, of the engine that was at work."""
        return self._at_work.step_down(error, at)

    def notes(self) -> tuple[str, ...]:
        """Of every engine that had work."""
        said = [note for one in self._used.values() for note in one.notes()]
        return tuple(dict.fromkeys(said))

    def _of(self, stage: Stage) -> Neural:
        found: Neural = self._wan if stage.engine.family.startswith(WAN) else self._upscaler
        self._used[id(found)] = found
        return found
