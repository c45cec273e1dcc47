"""One job of Wan: checked and resolved, then done stage by stage."""

import time
from collections import abc, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import save
from torch import Tensor

from engine.errors import (
    Cancelled,
    EffectError,
    EngineError,
)
from engine.files import write_whole
from engine.generation import Mode, Shape, resolved, shape_of
from engine.jobs import GenerateJob
from engine.library.found import listed
from engine.media.info import fingerprint
from engine.media.output import writing
from engine.media.picture import SUFFIXES
from engine.models.memory import memory_told, peak_bytes, reset_peak
from engine.models.resident import Resident
from engine.models.samplers import State
from engine.models.text.prompts import PromptCache
from engine.models.text.tokens import Tokenizer
from engine.models.wan.ask import Ask, Conditions, Given, Prompts
from engine.models.wan.denoising import Kept
from engine.models.wan.distilled import Distilled, distilled
from engine.models.wan.experts import ROLES, TITLES, expert_of
from engine.models.wan.joining import joined
from engine.models.wan.loading import Facts, LoraFile
from engine.models.wan.pipeline import (
    conditions,
    encoded_prompts,
    first_latents,
    fitted,
    frames,
    latents,
)
from engine.models.wan.preview import Previews
from engine.planning import DeviceFacts, WanPlan, wan_smaller, wan_stepped_down
from engine.planning.words import duration, gigabytes
from engine.progress import Report
from engine.timeline.parameters import Value
from engine.wan_parameters import NO_PIXELS, OF_VAE, PARAMETERS
from engine.wan_rules import CELL, latent_frames
from engine.worker.given import Samples, check_samples, samples_of
from engine.worker.inputs import Inputs
from engine.worker.results import Film, write_result
from engine.worker.unfinished import Unfinished, identity
from engine.worker.wan_parts import HeldParts, Way, way_of
from engine.worker.wan_plan import planned, plans_of
from engine.worker.wan_settings import ask_of, influence_of, means_of, prompts_in

VERSION = 1  # of what a recipe becomes; rises with any change of its pixels
SLOW = "It ran on the processor: a card would be many times faster."
LEAST, EXACT = 0.05, 10  # seconds of a stage that are told, and that are told to a tenth
ALIKE = 1e-4  # noise levels that are the same


class WanWork:
    """One job: checked and resolved, then done stage by stage."""

    def __init__(
        self,
        job: GenerateJob,
        device: DeviceFacts,
        resident: Resident,
        tokenizer: Callable[[Path], Tokenizer],
        known: Facts,
        prompts: PromptCache,
        inputs: Inputs,
    ) -> None:
        self._job = job
        self._prompts = prompts
        self._inputs = inputs
        files = {name: Path(path) for name, path in job.models.files.items()}
        self._files = files
        self._facts = known
        if job.mode not in self._facts.modes:
            raise EffectError(
                f"{files['transformer'].name} cannot do this: it makes "
                f"{_made_by(self._facts.modes)}.",
                "Choose another model.",
            )
        _check_given(job, inputs)
        self._samples = samples_of(job.samples) if job.samples else Samples()
        self.shape: Shape = _shape(job, self._samples, inputs)
        loras = [
            LoraFile(
                Path(one.path),
                one.strength[0] if len(one.strength) == 1 else one.strength,
                frozenset(one.blocks) or None,
                one.expert or expert_of(Path(one.path)),
            )
            for one in job.loras
        ]
        models = [files[part] for part in ROLES if part in files]
        named = [*models, *(one.path for one in loras)]
        told = next(filter(None, (distilled(path.name) for path in named)), None)
        chosen = {**_distilled_values(told), **job.values}
        self._device, self._chosen = device, chosen
        self._plans = plans_of(job, chosen, self.shape, device, files)  # the first is run by
        self._done: set[str] = set()  # stages that no smaller plan runs again
        self.values, self.way = self._run_by(self._plans[0])
        self.ask: Ask = ask_of(job, self.values, self.shape, self._facts)
        self._fit_samples()
        self._steps = len(self.ask.schedule)  # raises EffectError where there is no such run
        self._means = means_of(self.values)
        self._parts = HeldParts(
            files,
            self.way,
            resident,
            tokenizer(files["text"]),
            loras,
            self._facts.transformer,
            Path(job.cache) / "compiled",
        )
        self._experts = [one.expert for one in loras] if self._facts.is_pair else []
        self.previews = Previews(files.get("preview"))
        self.made = 0  # steps
        self._took = defaultdict[str, float](float)  # seconds, by stage
        reset_peak(self.way.device)
        self.notes = [*self.shape.notes]
        if told is not None:
            self.notes.append(told.sentence())
        for one in loras if known.is_pair else ():
            if one.expert:
                self.notes.append(f"{one.path.name} goes onto the {TITLES[one.expert]} alone.")
        for use in self._parts.loras:
            self.notes += use.lora.matching.sentences()
        if not device.is_card:
            self.notes.append(SLOW)

    @property
    def duration(self) -> Fraction:
        """Of the result; a picture has none."""
        if Path(self._job.output).suffix.lower() in SUFFIXES:
            return Fraction(0)
        return self.frames_written / self._job.rate

    @property
    def frames_written(self) -> int:
        """Without those that the clip has in common with another."""
        return self.shape.frames - int(self.values["lead_in"])

    def _fit_samples(self) -> None:
        """Latents that hold noise go on at the step that begins with as much."""
        found, sigma = self._samples.latents, self._samples.sigma
        size = self.shape.width, self.shape.height
        for given in (found, self._samples.noise):
            if given is not None:
                check_samples(given, self.shape.frames, size)
        if found is None or sigma == 0:
            return
        whole = replace(self.ask, start_step=0, end_step=None, strength=1.0).schedule
        step = next((i for i, s in enumerate(whole.sigmas) if abs(s - sigma) < ALIKE), None)
        if step is None or (self.ask.start_step not in (0, step)):
            raise EffectError(
                f"The latents are at noise level {sigma:.3f}, and no such step begins there.",
                "Choose the steps, shift and scheduler of the run that they are from.",
            )
        self.ask = replace(self.ask, start_step=step, strength=1.0)

    def step_down(self) -> bool:
        """Goes over to the next smaller plan; False where there is none.

        Where it changes pixels the recipe is another, and what was made by the old one stays there.
        """
        plans = wan_smaller(self._plans, self._done)
        if not plans:
            return False
        old, before = self._plans[0], self.recipe()
        self._plans = plans
        self.values, self.way = self._run_by(plans[0])
        self._parts.way, self._means = self.way, means_of(self.values)
        is_anew = "denoise" not in self._done and self.recipe() != before
        self.notes.append(wan_stepped_down(old, plans[0], is_anew))
        return True

    def _run_by(self, plan: WanPlan) -> tuple[dict[str, Value], Way]:
        """Every parameter, and the way they make; what a person chose goes before the plan."""
        job, shape = self._job, self.shape
        settled = {name: value for name, value in self._chosen.items() if value != "auto"}
        chosen = {**planned(plan), **settled}
        values = resolved(chosen, job.mode, job.models.family, shape.width, shape.height)
        return values, way_of(values, job.options, self._device, self._files, plan.text_on)

    # The stages

    @contextmanager
    def running(self) -> Iterator[None]:
        """While models run: sums as wished, and want of memory told as OutOfMemory."""
        with _half_sums(self.way), memory_told(self.way.device):
            yield

    def latents(self, report: Report) -> Tensor:
        """The clip's latents: of an earlier run of the same recipe, or gone on from, or new."""
        job, parts = self._job, self._parts
        self._done.discard("denoise")
        kept = Unfinished(Path(job.cache) / "latents", self.recipe())
        begin = kept.found()
        steps = self._steps
        if begin is not None and begin.state.done == steps:
            self._done.add("denoise")
            self.notes.append("The latents of an earlier run with the same recipe were used.")
            return self._without_appended(begin.state.latents)
        if begin is not None:
            self.notes.append(f"Went on after step {begin.state.done} of {steps}.")
        positive, negative = prompts_in(job, self.ask, self.shape)
        with self._timed("prompts"):
            prompts: Prompts = encoded_prompts(
                parts, positive, negative, report, self._prompts, parts.text_key
            )
        self._done.add("text")
        given = self._given(is_new=begin is None)
        with self._timed("pictures"):
            made: Conditions = conditions(
                parts,
                self.ask,
                given,
                influence_of(self.values),
                self._means,
                report,
                self._facts.transformer,
            )
        channels = self._facts.transformer.out_dim
        start = begin or first_latents(self.ask, given, made, channels)

        def after(now: Kept) -> None:
            self.made += 1
            kept.put(now)
            clean = now.state.clean
            if clean is not None:
                middle = clean.shape[2] // 2
                label = f"Step {now.state.done} of {steps}"
                report.preview(label, lambda: self.previews.picture(clean, middle))

        try:
            with self._timed("steps"), memory_told(self.way.device):
                found = latents(parts, self.ask, prompts, made, start, self._means, report, after)
        except (Cancelled, EngineError):
            kept.flush()
            raise
        if steps:
            kept.finish(Kept(State(found, steps), {}))
        self._done.add("denoise")
        return self._without_appended(found)

    def _without_appended(self, found: Tensor) -> Tensor:
        return found[:, :, : latent_frames(self.shape.frames)]

    @property
    def _is_cut(self) -> bool:
        """Whether a picture of another shape is cut to that of the result, not squeezed."""
        fit = str(self.values["fit"])
        return fit == "crop" or (fit == "auto" and self._job.width > 0)

    def _given(self, is_new: bool) -> Given:
        """Pictures, and what a new run begins with."""
        ask, is_cut = self.ask, self._is_cut
        size = ask.width, ask.height
        video = None
        if self._inputs.has_clip and is_new:
            video = self._inputs.clip(ask.frames, size, is_cut, self._means.encode_chunk)
        return Given(
            first=self._inputs.first(size, is_cut),
            last=self._inputs.last(size, is_cut),
            lead=self._inputs.lead(size, is_cut),
            video=video,
            latents=self._samples.latents,
            is_noisy=self._samples.sigma > 0,
            noise=self._samples.noise,
        )

    def write(self, found: Tensor, report: Report) -> None:
        """Decodes into the file; the latents too, where they are wished."""
        job, path = self._job, Path(self._job.output)
        if job.latents:
            level = torch.tensor(self.ask.schedule.sigmas[-1])
            data = save({"latents": found.cpu().contiguous(), "sigma": level})
            with writing(Path(job.latents)):
                write_whole(Path(job.latents), data)
        film = Film(job.rate, int(self.values["crf"]), self._metadata())
        size = self.ask.width, self.ask.height
        with closing(self.frames(found, report)) as chunks:
            write_result(path, size, self._without_lead(chunks), film)

    def _without_lead(self, chunks: Iterator[Tensor]) -> Iterator[Tensor]:
        """Of a clip that goes on from another only what is new, its colours met."""
        if not self.values["lead_in"]:
            return chunks
        size = self.ask.width, self.ask.height
        first = self._inputs.first(size, self._is_cut)
        lead = self._inputs.lead(size, self._is_cut)
        assert first is not None
        begun = fitted(first[:, None] if lead is None else lead, self.ask)
        return joined(chunks, begun, bool(self.values["colour_match"]))

    def frames(self, found: Tensor, report: Report) -> abc.Generator[Tensor]:
        """The latents decoded, (3, n, H, W) in -1..1 each."""
        with closing(frames(self._parts, found, self._means, report)) as chunks:
            while True:
                with self._timed("decoding"):
                    chunk = next(chunks, None)
                if chunk is None:
                    return
                yield chunk

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._took[stage] += time.monotonic() - began

    @property
    def has_run(self) -> bool:
        """Whether anything was made."""
        return bool(self._took)

    def account(self) -> str:
        """Where the time went, and how much memory was held at most."""
        stages = [f"{name} {_shown(took)}" for name, took in self._took.items() if took > LEAST]
        peak = gigabytes(peak_bytes(self.way.device))
        return f"Took: {', '.join(stages) or 'no time'}; at most {peak} GB."

    def _metadata(self) -> dict[str, str]:
        """What the file says of itself."""
        ask = self.ask
        how = f"seed {ask.seed}, {len(ask.schedule)} steps, {ask.sampler}, shift {ask.shift:g}"
        model = self._files["transformer"].name
        return {"title": self._job.prompt, "comment": f"Reelwright, {model}: {how}"}

    def recipe(self) -> dict[str, Any]:
        """All that can change a latent; so what only decoding depends on is not in it."""
        job, encodes = self._job, self._inputs.has_clip or self._inputs.has_first
        idle = NO_PIXELS if encodes else NO_PIXELS | OF_VAE
        return {
            "version": VERSION,
            "mode": job.mode,
            "prompts": prompts_in(job, self.ask, self.shape),
            "shape": [self.shape.width, self.shape.height, self.shape.frames, job.rate],
            "area": job.width == 0,
            "seed": job.seed,
            "values": {
                one.name: self.values[one.name]
                for one in PARAMETERS
                if one.name not in idle and one.counts(self.values)
            },
            "guidance": [job.guidance, job.timesteps],
            "given": self._inputs.identity(),
            "samples": fingerprint(Path(job.samples)) if job.samples else "",
            "loras": [[identity(Path(one.path)), one.strength, one.blocks] for one in job.loras],
            "experts": self._experts,
            "weights": {
                name: identity(path)
                for name, path in sorted(self._files.items())
                if name != "preview"
            },
            "way": self.way.recipe(encodes),
            "torch": torch.__version__,
        }


def _shown(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < EXACT else duration(seconds)


def _shape(job: GenerateJob, samples: Samples, inputs: Inputs) -> Shape:
    """Size and length: as asked, else of what is given."""
    frames, width, height = job.frames, job.width, job.height
    source = inputs.size()
    notes: list[str] = []
    if inputs.has_clip:
        there = inputs.frames()
        if there > frames:
            seconds = float(frames / job.rate)
            notes.append(
                f"Of the clip’s {there} frames the first {frames} were used, {seconds:.1f} s."
            )
        frames = min(frames, there)
    given = samples.latents if samples.latents is not None else samples.noise
    if given is not None and source is None and not width:
        width, height = CELL * given.shape[4], CELL * given.shape[3]
    shape = shape_of(job.mode, width, height, frames, source, job.area)
    return msgspec.structs.replace(shape, notes=(*shape.notes, *notes))


def _check_given(job: GenerateJob, inputs: Inputs) -> None:
    """Raises EffectError where what a mode needs is not there."""
    needs = {
        Mode.IMAGE: (inputs.has_first, "a picture"),
        Mode.ENDS: (inputs.has_first and inputs.has_last, "a first and a last picture"),
        Mode.VIDEO: (inputs.has_clip or bool(job.samples), "a clip"),
    }
    is_there, what = needs.get(job.mode, (True, ""))
    if not is_there:
        raise EffectError(f"{job.title} needs {what}.", "Choose one.")
    lead = int(job.values.get("lead_in", 0))
    if lead and not inputs.has_first:
        raise EffectError(f"{job.title} has no film to go on from.", "Give a first picture.")
    if lead >= job.frames:
        raise EffectError(
            f"A lead-in of {lead} frames leaves none of {job.frames} to make.",
            "Choose fewer, or a longer clip.",
        )


def _made_by(modes: tuple[str, ...]) -> str:
    words = {
        "t2v": "clips from words",
        "t2i": "pictures from words",
        "v2v": "clips from other clips",
        "i2v": "clips from a picture",
        "flf2v": "clips from a first and a last picture",
    }
    return listed([words[one] for one in modes])


def _distilled_values(told: Distilled | None) -> dict[str, Value]:
    if told is None:
        return {}
    return {
        "steps": told.steps,
        "shift": told.shift,
        "cfg": told.guidance,
        "scheduler": "euler",
    }


@contextmanager
def _half_sums(way: Way) -> Iterator[None]:
    """Products of float16 are summed up in float16 too, where that is wished and can be."""
    matmul = torch.backends.cuda.matmul
    before = getattr(matmul, "allow_fp16_accumulation", None)
    if not way.sums_in_half or before is None:
        yield
        return
    matmul.allow_fp16_accumulation = True
    try:
        yield
    finally:
        matmul.allow_fp16_accumulation = before
