"""FlashVSR's published code and ours in turn: same weights, frames and noise."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from engine.models import memory
from engine.models.flashvsr.colour import recoloured
from engine.models.flashvsr.config import topk_ratio
from engine.models.flashvsr.noise import seeded_noise
from engine.models.flashvsr.pipeline import (
    CELL,
    FIRST_FRAMES,
    FIRST_LATENTS,
    LATER_FRAMES,
    LATER_LATENTS,
    LOOK_AHEAD,
    Models,
    Stream,
    steps,
)
from engine.models.resident import model_bytes
from tests.benchmarks.card_bench import cudnn
from tests.benchmarks.card_errors import COLUMNS, compared
from tests.benchmarks.card_timing import settle, timed
from tests.benchmarks.flashvsr_bench import Bench
from tests.benchmarks.flashvsr_models import (
    EAGER,
    FUSED,
    PLAIN,
    Clip,
    Size,
    Variant,
    random_models,
    running,
    settings_of,
)
from tests.benchmarks.flashvsr_published import Published, run, split_heads
from tests.benchmarks.table import Table, Unavailable

CHUNKS = 10
TINY_SIZE, TINY_CHUNKS = (128, 256), 3
STANDARD, LAST = torch.contiguous_format, torch.channels_last_3d
LAYOUTS = {"published": STANDARD, "published, Conv3d channels last": LAST}


@dataclass(frozen=True)
class Both:
    """The two with the same weights, and what both are given."""

    published: Published
    pipe: Any
    models: Models
    size: Size
    frames: Tensor  # (1, 3, F, H, W)
    noise: Tensor
    variant: Variant

    @property
    def count(self) -> int:
        """Frames that come out."""
        return self.frames.shape[2]

    def theirs(self, has_colour: bool) -> tuple[Tensor, Tensor]:
        """Frames and latents. Theirs needs four frames more, which it does not give."""
        more = self.frames[:, :, -1:].expand(-1, -1, LOOK_AHEAD, -1, -1)
        shown = torch.cat([self.frames, more], dim=2)
        reach = settings_of(self.variant, self.size).sparsity.reach
        ratio = topk_ratio(self.size[1], self.size[0])
        return run(self.pipe, shown, self.noise, ratio, reach, has_colour)

    def ours(self, has_colour: bool) -> tuple[Tensor, Tensor]:
        """On one stream, chunk after chunk, to frames on the device; and latents."""
        stream = Stream(self.models, settings_of(self.variant, self.size))
        made, latents = [], []
        frames = self.frames[0].unbind(1)
        for step in steps(stream, frames, lambda a, n: self.noise[:, :, a : a + n].float()):
            latents.append(step.latents)
            for piece in step.pieces:
                if has_colour:
                    made.append(recoloured(piece.frames, piece.source.float(), "adain"))
                else:
                    made.append(piece.frames)
        return torch.cat(made, dim=2)[:, :, : self.count], torch.cat(latents, dim=2)


def reference(bench: Bench) -> None:
    """Time, memory and likeness; how its convolutions run."""
    if bench.reference is None:
        raise Unavailable("No --reference FOLDER with the published code was named.")
    published = Published(bench.reference)
    size, count = (bench.scale.sizes[0], CHUNKS) if bench.is_full else (TINY_SIZE, TINY_CHUNKS)
    variant = FUSED if bench.is_full else EAGER
    with running(variant):
        both = _both(bench, published, variant, size, FIRST_FRAMES + LATER_FRAMES * (count - 1))
        bench.report.show(_likeness(bench, both))
        bench.report.show(_times(bench, both))
    if bench.device.type == "cuda":
        bench.report.show(_convolutions(bench, both))


def _both(bench: Bench, published: Published, variant: Variant, size: Size, frames: int) -> Both:
    scale, device = bench.scale, bench.device
    # Widths that are fixed in the published projection.
    scale = replace(scale, projector=replace(scale.projector, hidden1=2048, hidden2=3072))
    as_published = replace(variant, is_plain=True)
    pipe = published.pipe(
        scale,
        random_models(scale, device, as_published, rule=published.rule),
        device,
        variant.dtype,
    )
    models = random_models(scale, device, variant, rule=published.rule)
    latents = FIRST_LATENTS + (frames - FIRST_FRAMES) // LATER_FRAMES * LATER_LATENTS
    draw = seeded_noise(0, scale.transformer.in_dim, size[0] // CELL, size[1] // CELL)
    noise = draw(0, latents).to(device, variant.dtype)
    shown = Clip(size, frames).frames(size, device).to(variant.dtype)
    return Both(published, pipe, models, size, shown, noise, variant)


def _likeness(bench: Bench, both: Both) -> Table:
    table = Table(
        f"Ours against the published code, {both.count} frames {both.size[0]}x{both.size[1]}, "
        f"{both.variant.name}, rule {both.published.rule}",
        COLUMNS,
        bar="at least 49 dB: the hard choice of blocks alone puts right ones about 50 dB apart.",
        notes=[
            "Frames are -1..1 (peak 2), before the colour fix and after it, which sums in the "
            "frames' type in the published code. With random weights the latents tell more: most "
            "of what the decoder sees is the source, so the wrong rule of projection leaves "
            "frames 53 dB and latents 35 dB apart.",
        ],
    )
    theirs, their_latents = both.theirs(False)
    found, latents = both.ours(False)
    row = compared("latents", latents, their_latents.float())
    bench.report.found("reference_psnr", float(row[5]))
    table.rows += [row, compared("decoded", found.float(), theirs.float(), peak=2.0)]
    if both.variant.dtype == torch.bfloat16:
        with running(PLAIN):
            found, latents = both.ours(False)
        table.rows += [
            compared("latents, ours plain", latents, their_latents.float()),
            compared("decoded, ours plain", found.float(), theirs.float(), peak=2.0),
        ]
    theirs, found = both.theirs(True)[0], both.ours(True)[0]
    table.rows.append(compared("with AdaIN", found.float(), theirs.float(), peak=2.0))
    return table


def _times(bench: Bench, both: Both) -> Table:
    peaks: dict[str, int] = {}
    works: dict[str, Callable[[], float]] = {
        name: partial(_timed, bench, both, peaks, name, layout) for name, layout in LAYOUTS.items()
    }
    works["ours"] = lambda: _timed(bench, both, peaks, "ours", None)
    found = bench.in_turn(works)
    table = Table(
        f"Time for {both.count} frames {both.size[0]}x{both.size[1]}, from prepared to fixed ones",
        ("Code", "Seconds", "Low", "High", "FPS", "Published / this", "Peak GiB"),
        bar="at least 1.7 times as fast as the published code with a healthy Conv3d.",
        notes=[
            f"Block-sparse attention of the published code: {both.published.sparse}.",
            "Ours is on one stream here, without its decoder beside the next chunk.",
            "Peak: without the other's weights.",
        ],
    )
    for name, samples in found.items():
        middle = samples.middle
        ratio = found["published"].middle / middle
        figures = (middle, samples.low, samples.high, both.count / middle, ratio)
        table.rows.append((name, *figures, peaks[name] / 2**30))
    best = min(found[name].middle for name in LAYOUTS)
    bench.report.found("reference_ratio", best / found["ours"].middle)
    if both.published.sparse != "block_sparse_attn":
        table.notes.append(_copies(bench, both))
    return table


def _timed(
    bench: Bench, both: Both, peaks: dict[str, int], name: str, layout: torch.memory_format | None
) -> float:
    if layout is not None:
        _lay_out(both.pipe, layout)
    other = both.models if layout is not None else both.pipe
    memory.empty_cache()
    memory.reset_peak(bench.device)
    settle(bench.device)
    begun = time.perf_counter()
    (both.ours if layout is None else both.theirs)(True)
    settle(bench.device)
    seconds = time.perf_counter() - begun
    peak = memory.peak_bytes(bench.device) - model_bytes(other)
    peaks[name] = max(peaks.get(name, 0), peak)
    return seconds


def _lay_out(pipe: Any, layout: torch.memory_format) -> None:
    projection = pipe.dit.LQ_proj_in
    for conv in (projection.conv1, projection.conv2):
        conv.weight.data = conv.weight.data.contiguous(memory_format=layout)


def _copies(bench: Bench, both: Both) -> str:
    """What the stand-in for their library costs beside its product, on steady chunks."""
    config = bench.scale.transformer
    tokens = both.size[0] // 16 * (both.size[1] // 16) * 2
    sizes = (tokens, 4 * tokens, 4 * tokens)
    given = [
        torch.randn(n, config.heads, config.dim // config.heads, device=bench.device).to(
            both.variant.dtype
        )
        for n in sizes
    ]
    name = "copies in place of the library"
    samples = bench.in_turn({name: timed(bench.device, lambda: [split_heads(x) for x in given])})
    chunks = 1 + (both.count - FIRST_FRAMES) // LATER_FRAMES
    seconds = samples[name].middle * config.layers * chunks
    return f"Of the published time about {seconds:.3f} s are copies that its library does not make."


def _convolutions(bench: Bench, both: Both) -> Table:
    """Which kernels Conv3d takes here, and how fast."""
    projection, config = both.pipe.dit.LQ_proj_in, bench.scale.projector
    rows, columns = both.size[0] // 16, both.size[1] // 16
    table = Table(
        f"Conv3d of the published projection, a clip, cuDNN {cudnn()}",
        ("Layer", "Layout", "Median ms", "TFLOP/s", "The longest kernel"),
    )
    channels = config.channels * config.patch[0] * config.patch[1]
    layers = (("conv1", channels, 2048, 4), ("conv2", 2048, 3072, 2))
    for name, inputs, outputs, frames in layers:
        conv = getattr(projection, name)
        x = torch.randn(1, inputs, frames, rows, columns, device=bench.device).to(
            both.variant.dtype
        )
        for layout, how in ((STANDARD, "standard"), (LAST, "channels last")):
            _lay_out(both.pipe, layout)
            given = x.contiguous(memory_format=layout)
            past = given[:, :, -2:]
            label = f"{name}, {how}"
            work = timed(bench.device, partial(conv, given, past))
            seconds = bench.in_turn({label: work})[label].middle
            tera = 2 * frames / 2 * rows * columns * inputs * 36 * outputs / 1e12
            kernel = _longest(partial(conv, given, past))
            table.rows.append((name, how, 1000 * seconds, tera / seconds, kernel))
    _lay_out(both.pipe, STANDARD)
    return table


def _longest(work: Callable[[], object]) -> str:
    """The name of the kernel that takes the most time."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        work()
        torch.cuda.synchronize()
    found = profile.key_averages()
    return str(max(found, key=lambda one: one.self_device_time_total).key)[:80] if found else ""
