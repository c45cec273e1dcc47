"""Memory of FlashVSR over a long clip: the card's and the process's, as frames go by."""

import time

import torch

from engine import memory as machine_memory
from engine.models import memory
from engine.models.flashvsr.segments import Ask, restored
from tests.benchmarks.flashvsr_bench import Bench
from tests.benchmarks.flashvsr_models import (
    FUSED,
    Clip,
    place_of,
    random_models,
    running,
    settings_of,
)
from tests.benchmarks.table import Table

SAMPLED = 500  # frames; fewer where the clip is short
SETTLED = 2  # samples before the growth is counted


def long(bench: Bench) -> None:
    """Frames that are made on the fly, in segments as the application runs them."""
    size, device = bench.scale.sizes[0], bench.device
    every = max(1, min(SAMPLED, bench.frames // 5))
    table = Table(
        f"{bench.frames} frames {size[0]}x{size[1]}, fused bf16, segments of {_segment(bench)}",
        (
            *("Frames", "Seconds", "FPS since the last", "Peak MiB since the last"),
            *("Reserved MiB", "Host MiB, peak since the last"),
        ),
        bar="peak at most 9 GiB, and the same at any length.",
    )
    with running(FUSED):
        models = random_models(bench.scale, device, FUSED)
        memory.empty_cache()
        settings = settings_of(FUSED, size)
        ask = Ask(place_of(size), settings, grid=_segment(bench), warm_up=24)
        clip = Clip(size, bench.frames)
        begun = last = time.perf_counter()
        number = before = 0
        for _ in restored(models, clip, range(clip.count), ask, lambda: None):
            number += 1
            if number % every and number < bench.frames:
                continue
            now = time.perf_counter()
            table.rows.append(
                _sample(device, number, now - begun, (number - before) / (now - last))
            )
            last, before = now, number
            bench.report.say(f"  {number} frames, {now - begun:.1f} s")
            if not bench.clock.fits(1.2 * every * (now - begun) / number):
                if number < bench.frames:
                    table.notes.append(f"Stopped after {number} frames for want of time.")
                break
    peaks = [float(row[3]) for row in table.rows]
    later = peaks[min(SETTLED, len(peaks) - 1) :]
    bench.report.found("peak_long_gib", max(peaks) / 1024)
    bench.report.found("growth_long_mib", later[-1] - later[0])
    if device.type != "cuda":
        table.notes.append("On the processor the peak is the process's.")
    bench.report.show(table)


def _segment(bench: Bench) -> int:
    return 480 if bench.is_full else 48


def _sample(
    device: torch.device, number: int, seconds: float, fps: float
) -> tuple[str | float | int, ...]:
    """Figures since the last sample, and from here on anew."""
    reserved = torch.cuda.memory_reserved(device) if device.type == "cuda" else 0
    parts = memory.peak_bytes(device), reserved, machine_memory.peak()
    memory.reset_peak(device)
    machine_memory.reset_peak()
    return (number, seconds, fps, *(part / 2**20 for part in parts))
