"""Decoding with Wan's VAE, beside the plain decoder of diffusers and our own plain paths."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from engine.models.wan.vae import Vae, decode_stream
from tests.benchmarks import wan_diffusers, wan_planned
from tests.benchmarks.card_errors import COLUMNS, NOTE, compared
from tests.benchmarks.card_timing import laps, there_and_back
from tests.benchmarks.card_weights import computing, drawn, random_module
from tests.benchmarks.table import Table, Unavailable
from tests.benchmarks.wan_bench import Bench
from tests.benchmarks.wan_models import Case, Size, own_bytes
from tests.benchmarks.wan_steps import (
    GIB,
    Found,
    plan_row,
    plan_table,
    repeats_within,
    warmed,
)

OURS, PLAIN, MORE = "ours", "ours, plain paths", "ours, 4 latent frames at once"
LIMIT = 30.0  # seconds of repeats
THEIRS, LAST = "diffusers", "diffusers, channels last"


def decoding(bench: Bench) -> None:
    """480p, then 720p."""
    with torch.inference_mode():
        for size, goal in ((bench.scale.half, "decode"), (bench.scale.whole, "decode_whole")):
            _at(bench, Case(bench.scale.small, size), goal)


def _at(bench: Bench, case: Case, goal: str) -> None:
    device, config, size, notes = bench.device, bench.scale.vae, case.size, list[str]()
    half = torch.bfloat16
    model = random_module(lambda: Vae(config), device, half)
    latents = drawn("latents", (1, config.z_dim, *size.latents), device)
    works: dict[str, Callable[[], Tensor]] = {}
    try:
        for name, is_last in ((THEIRS, False), (LAST, True)):
            theirs = wan_diffusers.vae(model, half, is_last)
            works[name] = partial(wan_diffusers.decoded, theirs, latents, config, half)
    except Unavailable as reason:
        notes.append(f"The plain decoder is our own on plain paths. {reason}")
    if not works or case.size is bench.scale.half:
        works[PLAIN] = lambda: _plain(model, latents)
    works[OURS] = lambda: streamed(model, latents, 1)
    works[MORE] = lambda: streamed(model, latents, 4)
    found, results = _timed(bench, case, works, own_bytes(model))
    ours = min(found[OURS].pair, found[MORE].pair)
    bench.report.found(goal, found[THEIRS if THEIRS in found else PLAIN].pair / ours)
    if LAST in found and case.size is bench.scale.half:
        bench.report.found("decode_last", found[LAST].pair / ours)
    bench.report.show(_table(bench, case, found, notes))
    plans = plan_table(f"VAE decode, {size.label}")
    plans.rows.append(plan_row(OURS, found[OURS], wan_planned.a_decode(case, device, config)))
    bench.report.show(plans)
    bench.report.show(_likeness(size, results))


def _asked(work: Callable[[], Tensor], _: int) -> Tensor:
    return work()


def streamed(model: Vae, latents: Tensor, chunk: int) -> Tensor:
    """As a job decodes, but for the frames staying where they are; the last chunk's."""
    piece = latents
    for made in decode_stream(model, torch.split(latents, chunk, dim=2)):
        piece = made.clamp_(-1, 1)
    return piece


def _plain(model: Vae, latents: Tensor) -> Tensor:
    with computing(torch.bfloat16, is_plain=True):
        return streamed(model, latents, 1)


def _timed(
    bench: Bench, case: Case, works: dict[str, Callable[[], Tensor]], weights: int
) -> tuple[dict[str, Found], dict[str, Tensor]]:
    found = {name: Found(weights) for name in works}
    results, spent = dict[str, Tensor](), 0.0
    for name, work in works.items():
        _, found[name].work, made = warmed(bench, partial(_asked, work), 1)
        results[name] = made[:, :, -1:].clone()
        spent += sum(laps(bench.device, [work]))
    for turn in range(repeats_within(bench, LIMIT, spent)):
        for name in there_and_back(tuple(works), turn):
            found[name].pairs += laps(bench.device, [works[name]])
    for name, one in found.items():
        bench.report.samples(f"decode {case.size.label}, {name}, seconds", one.pairs)
    return found, results


def _table(bench: Bench, case: Case, found: dict[str, Found], notes: list[str]) -> Table:
    size = case.size
    table = Table(
        f"VAE decode, {size.width}x{size.height}, {size.frames} frames, bf16",
        (
            *("Decoder", "Seconds", "Low", "High", "diffusers / this"),
            *("TFLOP/s", "Work GiB"),
        ),
        bar="the plain decoder at least 2.4 times as long as ours.",
        notes=[*notes, "Ours: frames are let go chunk by chunk; theirs are joined, as it does."],
    )
    tera = wan_planned.decode_tera(case, bench.scale.vae)
    for name, one in found.items():
        ratio = found[THEIRS].pair / one.pair if THEIRS in found else "-"
        times = one.pair, min(one.pairs), max(one.pairs)
        work = one.work / GIB if one.work else "-"
        table.rows.append((name, *times, ratio, tera / one.pair, work))
    return table


def _likeness(size: Size, results: dict[str, Tensor]) -> Table:
    wanted = THEIRS if THEIRS in results else PLAIN
    title = f"The last frame, {size.label}, bf16, against {wanted}"
    table = Table(title, COLUMNS, notes=[f"{NOTE} Frames are -1..1; PSNR with a peak of 2."])
    for name, found in results.items():
        if name != wanted:
            table.rows.append(compared(name, found, results[wanted].float(), 2.0))
    return table
