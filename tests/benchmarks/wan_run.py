"""Whole runs of Wan's pipeline with models that are loaded: few steps, and forty."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.models.guidance import Guidance
from engine.models.text.prompts import encode_ids
from engine.models.text.umt5 import UMT5
from engine.models.wan.ask import Ask, Conditions, Given, Means, Prompts
from engine.models.wan.denoising import Kept
from engine.models.wan.pipeline import WanModels, first_latents, frames, latents
from engine.models.wan.transformer import Transformer
from engine.models.wan.vae import Vae
from engine.progress import Silent
from tests.benchmarks import wan_planned
from tests.benchmarks.card_timing import settle
from tests.benchmarks.card_weights import random_module
from tests.benchmarks.table import Table
from tests.benchmarks.wan_bench import Bench
from tests.benchmarks.wan_models import (
    GUIDANCE,
    PROMPTS,
    Case,
    inputs_of,
    narrowed,
    random_transformer,
)

STEPS, FEW, SHIFT = 40, 4, 5.0
MEANS = Means(keeps_keys=True)


@dataclass
class Marks:
    """Seconds of the stages of a run."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """All work of the device is done at both ends."""
        settle(self.device)
        begun = time.perf_counter()
        yield
        settle(self.device)
        self.seconds[name] = time.perf_counter() - begun


def few(bench: Bench) -> None:
    """1.3B as a distilled model is run: four steps without guidance, from prompt to frames."""
    with torch.inference_mode():
        _few(bench)


def _few(bench: Bench) -> None:
    scale, device, half = bench.scale, bench.device, torch.bfloat16
    case = Case(scale.small, scale.half)
    encoder = random_module(lambda: UMT5(scale.text), device, half)
    vae = random_module(lambda: Vae(scale.vae), device, half)
    model = random_transformer(case.model.config, device)
    table = Table(
        f"{case.label}, {FEW} steps, no guidance: from the prompt to frames in memory, s",
        ("Way", "Run", "Prompt", "Denoising", "Decoding", "All"),
        bar="at most 3.0 s in all.",
        notes=["Random weights of the published sizes, all on the card. The first run warms up."],
    )
    totals: dict[str, list[float]] = {}
    for name, one in (("bf16", model), ("fp8 linears", narrowed(model))):
        models = WanModels(transformer_model=one, vae_model=vae, device=device)
        for turn in range(4 if bench.is_full else 2):
            found = _run(encoder, models, case)
            total = sum(found.values())
            table.rows.append((name, str(turn + 1), *found.values(), total))
            if turn:
                totals.setdefault(name, []).append(total)
    bench.report.found("few_seconds", sorted(totals["bf16"])[len(totals["bf16"]) // 2])
    for name, values in totals.items():
        bench.report.samples(f"{name}, seconds in all", values)
    planned = wan_planned.a_job(case, device, FEW, scale.vae, scale.text)
    table.notes.append(f"The plan expects {planned:.3g} s in bf16.")
    bench.report.show(table)


def _run(encoder: UMT5, models: WanModels, case: Case) -> dict[str, float]:
    size, device = case.size, models.device
    ids = [2 + number % (encoder.token_embedding.weight.shape[0] - 2) for number in range(119)]
    ask = Ask(
        width=size.width,
        height=size.height,
        frames=size.frames,
        steps=FEW,
        shift=SHIFT,
        sampler="euler",
        guidance=Guidance(scale=1.0),
    )
    marks = Marks(device)
    with marks.stage("prompt"):
        rows = encode_ids(encoder, [*ids, 1]).cpu()
    with marks.stage("denoising"):
        begin = first_latents(ask, Given(), Conditions(), case.model.config.out_dim)
        found = latents(
            models, ask, Prompts((rows,)), Conditions(), begin, MEANS, Silent(), _nothing
        )
    with marks.stage("decoding"):
        count = sum(_host(piece) for piece in frames(models, found, MEANS, Silent()))
    assert count == size.frames, (count, size.frames)
    return marks.seconds


def _host(piece: Tensor) -> int:
    """As a file is written from it; how many frames."""
    levels = ((piece + 1) * 127.5).round().clamp(0, 255).byte()
    return len(levels.permute(1, 2, 3, 0).contiguous().cpu())


def _nothing(_: Kept) -> None:
    """Nobody keeps the steps."""


def forty(bench: Bench) -> None:
    """14B I2V with fp8 linears, as a job denoises it: every step under guidance."""
    with torch.inference_mode():
        case = Case(bench.scale.pictures, bench.scale.half)
        _forty(bench, case, narrowed(random_transformer(case.model.config, bench.device)))


def _forty(bench: Bench, case: Case, model: Transformer) -> None:
    size, device = case.size, bench.device
    steps = STEPS if bench.is_full else FEW
    inputs = inputs_of(case, device, torch.bfloat16)
    ask = Ask(
        width=size.width,
        height=size.height,
        frames=size.frames,
        steps=steps,
        shift=3.0,
        guidance=Guidance(scale=GUIDANCE),
    )
    made = Conditions(tokens=inputs.image, given=inputs.given)
    begin = first_latents(ask, Given(), made, case.model.config.out_dim)
    vae = random_module(lambda: Vae(bench.scale.vae), device, torch.bfloat16)
    models = WanModels(transformer_model=model, vae_model=vae, device=device)
    ends: list[float] = []

    def after(_: Kept) -> None:
        settle(device)
        ends.append(time.perf_counter())

    settle(device)
    begun = time.perf_counter()
    prompts = Prompts((inputs.texts[0].cpu(),), inputs.texts[1].cpu())
    latents(models, ask, prompts, made, begin, MEANS, Silent(), after)
    seconds = ends[-1] - begun
    first, last = ends[0] - begun, ends[-1] - ends[-2]
    bench.report.show(
        Table(
            f"{case.label}, fp8 linears, {steps} steps under guidance, sampler unipc",
            ("Seconds", "First step s", "Last step s", "Mean step s"),
            [(seconds, first, last, seconds / steps)],
            bar="on one H200 at most 180 s.",
            notes=[f"Prompts of {PROMPTS[0]} and {PROMPTS[1]} pieces; pictures encoded before."],
        )
    )
    if steps == STEPS:
        bench.report.found("i2v_run_seconds", seconds)
