"""Where the time of a pass goes: the kernels that take most of it, ours beside diffusers."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from engine.models.wan.vae import Vae
from tests.benchmarks import wan_diffusers
from tests.benchmarks.card_timing import settle
from tests.benchmarks.card_weights import drawn, random_module
from tests.benchmarks.table import Table, Unavailable
from tests.benchmarks.wan_bench import Bench
from tests.benchmarks.wan_decode import OURS, THEIRS, streamed
from tests.benchmarks.wan_models import (
    Case,
    inputs_of,
    narrowed,
    random_transformer,
    velocity_of,
)
from tests.benchmarks.wan_steps import BF16, FP8, REFERENCE

SHOWN = 12  # kernels
NAME = 90  # characters of a kernel's name


def kernels(bench: Bench) -> None:
    """Of both transformers, with few layers, and of the decoder."""
    scale = bench.scale
    with torch.inference_mode():
        for model in (scale.small, scale.pictures):
            cut = replace(model, config=replace(model.config, layers=scale.layers))
            _velocities(bench, Case(cut, scale.half))
        _decoder(bench)


def _velocities(bench: Bench, case: Case) -> None:
    half, device = torch.bfloat16, bench.device
    model, inputs = random_transformer(case.model.config, device), inputs_of(case, device, half)
    works: dict[str, Callable[[], object]] = {
        BF16: partial(velocity_of(model, inputs), 0),
        FP8: partial(velocity_of(narrowed(model), inputs), 0),
    }
    try:
        theirs = wan_diffusers.velocity_of(wan_diffusers.transformer(model), inputs, half)
        works[REFERENCE] = partial(theirs, 0)
    except Unavailable:
        pass
    for name, work in works.items():
        title = f"{case.label}, {case.model.config.layers} layers, a pass, {name}"
        bench.report.show(_longest(device, title, work))


def _decoder(bench: Bench) -> None:
    half, config, size = torch.bfloat16, bench.scale.vae, bench.scale.half
    model = random_module(lambda: Vae(config), bench.device, half)
    latents = drawn("latents", (1, config.z_dim, 3, *size.latents[1:]), bench.device)
    works: dict[str, Callable[[], object]] = {OURS: partial(streamed, model, latents, 1)}
    try:
        theirs = wan_diffusers.vae(model, half)
        works[THEIRS] = partial(wan_diffusers.decoded, theirs, latents, config, half)
    except Unavailable:
        pass
    for name, work in works.items():
        title = f"VAE decode {size.label}, 3 latent frames, {name}"
        bench.report.show(_longest(bench.device, title, work))


def _longest(device: torch.device, title: str, work: Callable[[], object]) -> Table:
    """Of a run after one that warms up."""
    work()
    settle(device)
    is_card = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if is_card else ProfilerActivity.CPU]) as seen:
        work()
        settle(device)

    def spent(event: Any) -> float:
        return float(event.self_device_time_total if is_card else event.self_cpu_time_total)

    events = sorted(seen.key_averages(), key=spent, reverse=True)
    whole = sum(spent(event) for event in events) or 1.0
    table = Table(title, ("Kernel", "Times", "Milliseconds", "Share"))
    for event in events[:SHOWN]:
        row = event.key[:NAME].replace("|", "/"), event.count, spent(event) / 1000
        table.rows.append((*row, spent(event) / whole))
    rest = sum(spent(event) for event in events[SHOWN:])
    others = sum(event.count for event in events[SHOWN:])
    table.rows.append(("all others", others, rest / 1000, rest / whole))
    table.rows.append(("sum", sum(event.count for event in events), whole / 1000, 1.0))
    return table
