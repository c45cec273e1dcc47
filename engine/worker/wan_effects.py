"""Wan as what `bake` needs of models: clips painted anew, and pictures brought to life."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import EffectError, OutOfMemory, WeightsError
from engine.filters.between import between
from engine.filters.lanczos import resampled
from engine.filters.pixels import Picture
from engine.generation import Mode
from engine.jobs import EffectJob, GenerateJob, ModelFiles
from engine.lora_words import loras_of
from engine.models.attention import take_warnings
from engine.models.wan.experts import ROLES
from engine.planning import DeviceFacts
from engine.progress import Report
from engine.render.keys import Stage
from engine.render.wan_stage import wan_ask
from engine.timeline.wan_engines import fault_of
from engine.wan_rules import FRAMES, longer_length
from engine.worker.generate import Generator
from engine.worker.given import Size
from engine.worker.results import pictures_of
from engine.worker.wan_work import WanWork


class WanEffects:
    """A `Neural` for the Wan engines of one job."""

    def __init__(
        self, job: EffectJob, device: DeviceFacts, generator: Generator, report: Report
    ) -> None:
        self._job = job
        self._device = device
        self._generator = generator
        self._report = report
        self._works: dict[str, tuple[WanWork, StageInputs]] = {}  # by stage
        self._found: dict[str, Tensor] = {}  # latents by stage, while they are decoded
        self._current: WanWork | None = None

    def recipe(self, stage: Stage) -> str:
        """What the run is made of beside the stage's own values, as text."""
        return json.dumps(self._work(stage)[0].recipe(), sort_keys=True, default=str)

    def pictures(
        self,
        stage: Stage,
        read: Callable[[int], Picture],
        count: int,
        span: range,
        check: Callable[[], None],
    ) -> Iterator[Picture]:
        """As `Neural.pictures`."""
        work, inputs = self._work(stage)
        self._current = work
        inputs.read = read
        if stage.chain not in self._found:
            with torch.inference_mode(), work.running():
                self._found[stage.chain] = work.latents(self._report)
        chunks = work.frames(self._found[stage.chain], _Quiet(check))
        with closing(chunks):
            made = pictures_of(_each(chunks, work))
            shown = made if stage.makes_time else _spread(made, inputs.kept, read, count)
            for index, picture in enumerate(shown):
                if index >= span.stop:
                    return
                if index >= span.start:
                    yield _finished(stage, picture, partial(read, index))

    def step_down(self, error: OutOfMemory, at: int) -> str:
        """Goes over to the next smaller way of the stage that was at work."""
        del at  # steps and latents are kept, so nothing that was made is made again
        if self._current is None or not self._current.step_down():
            raise error
        self._generator.give_back()
        return self._current.notes.pop()

    def notes(self) -> tuple[str, ...]:
        """How the runs went."""
        works = [work for work, _ in self._works.values()]
        said = [note for work in works for note in (*work.notes, *work.previews.notes)]
        accounts = [work.account() for work in works if work.has_run]
        return tuple(dict.fromkeys([*said, *take_warnings(), *accounts]))

    def _work(self, stage: Stage) -> "tuple[WanWork, StageInputs]":
        if stage.chain not in self._works:
            inputs = StageInputs(stage)
            job = job_of(stage, self._job, self._files(stage))
            self._works[stage.chain] = self._generator.work(job, self._device, inputs), inputs
        return self._works[stage.chain]

    def _files(self, stage: Stage) -> ModelFiles:
        """The stage's weights. Raises WeightsError."""
        for one in self._job.models:
            if one.family == stage.engine.family:
                return one
        raise WeightsError(
            f"{stage.engine.label} has no weights.", "Get them in Preferences, Weights."
        )


class StageInputs:
    """The pictures before a stage; `read` gives them once there is a run. `kept`: those used."""

    has_last = False

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.read: Callable[[int], Picture] | None = None
        self.has_first = stage.makes_time
        self.has_clip = not stage.makes_time
        self.kept = wan_ask(stage).kept

    def size(self) -> Size | None:
        return self._stage.before.width, self._stage.before.height

    def frames(self) -> int:
        """Of the clip, with its last repeated to a length that the model can make."""
        return longer_length(len(self.kept))

    def first(self, size: Size, is_cut: bool) -> Tensor | None:
        """The picture that is to move."""
        del is_cut  # the size has its shape
        return _tensor([self._read(0, size)])[0, :, 0] if self.has_first else None

    def last(self, size: Size, is_cut: bool) -> Tensor | None:
        """None: an effect has no such thing."""
        del size, is_cut
        return None

    def lead(self, size: Size, is_cut: bool) -> Tensor | None:
        """None: it goes on from no film."""
        del size, is_cut
        return None

    def clip(self, frames: int, size: Size, is_cut: bool, chunk: int) -> Iterator[Tensor]:
        """The clip as the model reads it."""
        del is_cut
        step = chunk * FRAMES
        for begin in [0, *range(1, frames, step)]:
            numbers = range(begin, min(begin + step, frames) if begin else 1)
            last = len(self.kept) - 1
            yield _tensor([self._read(self.kept[min(one, last)], size) for one in numbers])

    def identity(self) -> list[Any]:
        return [self._stage.chain]

    def _read(self, index: int, size: Size) -> Picture:
        assert self.read is not None, "no run has begun"
        return resampled(self.read(index)[:, :, :3], *size)


def job_of(stage: Stage, job: EffectJob, models: ModelFiles) -> GenerateJob:
    """What Wan is asked for a stage. Raises EngineError for a LoRA that is not there."""
    if fault := fault_of(stage.use):
        raise EffectError(f"{job.title} with {stage.engine.label} has no prompt.", fault)
    values = stage.values
    loras = loras_of(str(values["loras"]))
    transformers = [models.files[part] for part in ROLES if part in models.files]
    ask = wan_ask(stage, [*transformers, *(one.path for one in loras)])
    return GenerateJob(
        id=job.id,
        title=job.title,
        subject=job.subject,
        mode=Mode(stage.engine.mode),
        prompt=str(values["prompt"]),
        negative=str(values["negative"]) or None,
        width=ask.width,
        height=ask.height,
        frames=ask.frames,
        seed=int(values["seed"]),
        values=ask.values,
        loras=loras,
        models=models,
        options=job.options,
        output="",
        cache=job.cache,
        cache_limit_bytes=job.cache_limit_bytes,
    )


def _each(chunks: Iterator[Tensor], work: WanWork) -> Iterator[Tensor]:
    """Chunks as they are decoded, in the mode of inference."""
    while True:
        with torch.inference_mode(), work.running():
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk


def _tensor(pictures: Sequence[Picture]) -> Tensor:
    """(1, 3, n, H, W) in -1..1."""
    stacked = torch.from_numpy(np.stack(pictures))
    return stacked.permute(3, 0, 1, 2)[None].float() / 127.5 - 1


def _spread(
    made: Iterator[NDArray[np.uint8]],
    kept: Sequence[int],
    read: Callable[[int], Picture],
    count: int,
) -> Iterator[Picture]:
    """A picture for each of the source's: those that were made, and what lies between them."""
    before: Picture | None = None
    for number, picture in zip(range(len(kept)), made, strict=False):
        begin, end = kept[max(0, number - 1)], kept[number]
        if before is not None and end - begin > 1:
            clip = [read(index)[:, :, :3] for index in range(begin, end + 1)]
            yield from between(before, picture, clip)
        yield picture
        before = picture
    assert kept[-1] == count - 1


def _finished(stage: Stage, picture: Picture, source: Callable[[], Picture]) -> Picture:
    """A result in the stage's size, with the source's transparency."""
    width, height = stage.after.width, stage.after.height
    shown = resampled(picture, width, height)
    if stage.before.alpha:
        shown = np.dstack((shown, resampled(source(), width, height)[:, :, 3:]))
    return shown


class _Quiet:
    """A `Report` for a stage whose pictures are counted elsewhere: only Cancelled counts."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def step(self, stage: str, done: int, total: int) -> None:
        """Raises Cancelled once the person has cancelled."""
        self._check()

    def preview(self, label: str, picture: Callable[[], NDArray[np.uint8]]) -> None:
        """Shows nothing."""
