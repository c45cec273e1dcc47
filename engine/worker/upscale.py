"""FlashVSR as what `bake` needs of models: from a stage's values and a plan to pictures."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.errors import EffectError, OutOfMemory, WeightsError
from engine.filters.fit import barred, cropped, inner_size
from engine.filters.lanczos import resampled
from engine.filters.pixels import Picture
from engine.jobs import EffectJob
from engine.media.info import fingerprint
from engine.models.attention import default_mode, exact_mode, take_warnings
from engine.models.converted import converted
from engine.models.flashvsr.colour import Band, Colour
from engine.models.flashvsr.config import Rule
from engine.models.flashvsr.pipeline import Models, Settings, sparsity
from engine.models.flashvsr.preparation import placement
from engine.models.flashvsr.segments import Ask, Tiles, restored
from engine.models.flashvsr.weights import PARTS, load
from engine.models.memory import memory_told
from engine.models.resident import Key, Resident, key_of
from engine.planning import DeviceFacts, Plan, plans, stepped_down
from engine.render.ahead import Ahead
from engine.render.keys import GRID, Stage
from engine.timeline.effects import Value

READ_AHEAD = 16  # pictures
RULES: dict[str, Rule] = {"flashvsr-1.0": "v1", "flashvsr-1.1": "v1.1"}
COLOURS: dict[str, Colour] = {"none": "none", "adain": "adain", "wavelet": "wavelet"}
BANDS: dict[str, Band] = {"whole": "whole", "high": "high"}
SLOW = "It ran on the processor: a card would be many times faster."


class Upscaler:
    """A `Neural` for the FlashVSR engines of one job."""

    def __init__(self, job: EffectJob, device: DeviceFacts, resident: Resident) -> None:
        self._job = job
        self._device = device
        self._resident = resident
        self._ladders: dict[str, list[Plan]] = {}  # by stage; the first is the one in use
        self._current = ""
        self._mode = default_mode(torch.device(device.kind))
        if job.options.attention != "auto":
            self._mode = exact_mode(job.options.attention, torch.device(device.kind))

    def recipe(self, stage: Stage) -> str:
        """Plan, attention, versions, card and weights, as text."""
        files = self._files(stage)
        parts = {
            "plan": self.plan(stage).recipe(),
            "attention": self._mode,
            "torch": torch.__version__,
            "card": self._device.name if self._device.kind == "cuda" else "cpu",
            "weights": {name: _identity(str(path)) for name, path in sorted(files.items())},
        }
        return json.dumps(parts, sort_keys=True)

    def pictures(
        self,
        stage: Stage,
        read: Callable[[int], Picture],
        count: int,
        span: range,
        check: Callable[[], None],
    ) -> Iterator[Picture]:
        """As `Neural.pictures`."""
        self._current = stage.chain
        plan = self.plan(stage)
        device = torch.device(plan.device)
        source = _Source(stage, read, count)
        before, after = stage.before, stage.after
        size = before.width, before.height
        width, height = inner_size(size, after.width, after.height, _fit(stage))
        with (
            memory_told(device, plan.peak_bytes),
            self._resident.use(self._key(stage, plan), lambda: self._load(stage, plan)) as models,
        ):
            ask = ask_of(stage.values, plan, width, height)
            made = restored(models, source, span, ask, check, _note_step)
            for index, picture in zip(span, made, strict=True):
                yield source.finished(index, picture.numpy())

    def step_down(self, error: OutOfMemory, at: int) -> str:
        """Goes over to the next smaller plan of the stage that was at work."""
        ladder = self._ladders.get(self._current, [])
        if len(ladder) < 2:
            raise error
        old = ladder.pop(0)
        self._resident.clear()
        return stepped_down(old, ladder[0], at)

    def notes(self) -> tuple[str, ...]:
        """Where it ran, if not on a card; what attention had to say."""
        return (*((SLOW,) if self._device.kind == "cpu" else ()), *take_warnings())

    def plan(self, stage: Stage) -> Plan:
        """How a stage is run now."""
        if stage.chain not in self._ladders:
            video = stage.after
            ladder = plans(
                stage.engine.name,
                video.width,
                video.height,
                video.frames,
                device=self._device,
                options=self._job.options,
                values=stage.values,
            )
            self._ladders[stage.chain] = list(ladder)
        return self._ladders[stage.chain][0]

    def _files(self, stage: Stage) -> dict[str, Path]:
        """The files of the stage's weights. Raises WeightsError."""
        for one in self._job.models:
            if one.family == stage.engine.family:
                wanted = PARTS.get(stage.engine.mode, ())
                return {name: Path(path) for name, path in one.files.items() if name in wanted}
        raise WeightsError(
            f"{stage.engine.label} has no weights.", "Get them in Preferences, Weights."
        )

    def _key(self, stage: Stage, plan: Plan) -> Key:
        files = self._files(stage)
        paths = [path for _, path in sorted(files.items())]
        return key_of(paths, None, plan.device, (stage.engine.name, plan.precision, self._mode))

    def _load(self, stage: Stage, plan: Plan) -> Models:
        engine = stage.engine
        if engine.family not in RULES:
            raise EffectError(f"{engine.label} is no engine of the GPU worker.")
        dtype = torch.float32 if plan.precision == "fp32" else torch.bfloat16
        may_keep = self._job.options.keep_converted
        files = {  # the decoder is merged before it is rounded, so it is read as it is
            name: path if name == "decoder" else converted(path, dtype, may_keep)
            for name, path in self._files(stage).items()
        }
        device = torch.device(plan.device)
        rule, is_narrow = RULES[engine.family], plan.precision == "fp8"
        return load(files, rule, engine.mode, device, dtype, self._mode, is_narrow)


class _Source:
    """The pictures before a stage as FlashVSR reads them, and its results as the stage gives them.

    `read` is called by one thread at a time, ahead of the model.
    """

    def __init__(self, stage: Stage, read: Callable[[int], Picture], count: int) -> None:
        self._stage = stage
        self._read = read
        self._lock = threading.Lock()
        self.count = count

    def shown(self, index: int) -> Picture:
        """The part of a picture that the result shows."""
        with self._lock:
            picture = self._read(index)
        if _fit(self._stage) == "crop":
            return cropped(picture, self._stage.after.width, self._stage.after.height)
        return picture

    def pictures(self, start: int, stop: int) -> Iterator[Tensor]:
        """Those from start to stop - 1: (h, w, 3) uint8, read ahead."""
        colours = (self.shown(index)[:, :, :3] for index in range(start, stop))
        with Ahead(colours, READ_AHEAD, _nothing, _nothing) as ready:
            for picture in ready:
                yield torch.from_numpy(np.ascontiguousarray(picture))

    def finished(self, index: int, colours: Picture) -> Picture:
        """A result with the source's transparency, enlarged, in the stage's size."""
        height, width = colours.shape[:2]
        if self._stage.before.alpha:
            alpha = resampled(self.shown(index), width, height)[:, :, 3:]
            colours = np.dstack((colours, alpha))
        return barred(colours, self._stage.after.width, self._stage.after.height)


def _nothing() -> None:
    pass


def _note_step(line: int, levels: float) -> None:
    logging.info("grid line %d: a step of %.3f levels", line, levels)


def _fit(stage: Stage) -> str:
    return str(stage.values["fit"]) if stage.values["scale"] == "size" else "stretch"


def ask_of(values: dict[str, Value], plan: Plan, width: int, height: int) -> Ask:
    """What a stage wants of the model, for a result of width x height."""
    place = placement(width, height)
    sparse = sparsity(
        place.width,
        place.height,
        float(values["sparse_ratio"]),
        float(plan.kv_slots),
        int(values["local_range"]),
    )
    settings = Settings(
        sparse,
        COLOURS[str(values["colour_fix"])],
        strength=float(values["strength"]) / 100,
        band=BANDS[str(values["band"])],
        cache=torch.float8_e4m3fn if plan.cache == "fp8" else None,
    )
    return Ask(
        place,
        settings,
        seed=int(values["seed"]),
        grid=0 if values["whole_clip"] else GRID,
        tiles=Tiles(plan.columns, plan.rows, plan.offload),
    )


def _stamp(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError as error:
        raise WeightsError(
            f"{path.name} is not where it was: {path}.", "Look at Preferences, Weights."
        ) from error
    return facts.st_size, facts.st_mtime_ns


def _identity(path: str) -> str:
    """What the file holds, by its size and samples of it."""
    return _fingerprint(path, _stamp(Path(path)))


@lru_cache(maxsize=64)
def _fingerprint(path: str, stamp: tuple[int, int]) -> str:
    return fingerprint(Path(path))
