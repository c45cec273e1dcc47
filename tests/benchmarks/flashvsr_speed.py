"""Speed and memory of FlashVSR as a whole: frames in, pictures out, at several sizes."""

import gc
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

import torch

from engine.models import memory
from engine.models.flashvsr.pipeline import (
    FIRST_FRAMES,
    LATER_FRAMES,
    Models,
    Settings,
    Stepping,
    Stream,
    upscaled,
)
from engine.models.flashvsr.preparation import Placement
from engine.models.flashvsr.tiles import TiledStream, Tiles
from tests.benchmarks.card_timing import there_and_back
from tests.benchmarks.flashvsr_bench import Bench
from tests.benchmarks.flashvsr_models import (
    CACHE,
    FP8,
    FUSED,
    PLAIN,
    Clip,
    Mode,
    Size,
    Variant,
    place_of,
    random_models,
    running,
    settings_of,
)
from tests.benchmarks.flashvsr_split import PARTS, SHOWN, WARM, split
from tests.benchmarks.table import Table

VARIANTS = (PLAIN, FUSED, FP8, CACHE)
# Counted on the real shapes at 768x1408, per frame, 10^12 operations; linear in pixels.
TERA, TERA_PIXELS = {"tiny": 8.29, "full": 15.7}, 768 * 1408
# The same of a steady chunk's parts, the decoder's as published.
WORK = {
    "projection": 5.82,
    "linears": 21.12,
    "sparse attention": 23.91,
    "prompt attention": 0.8,
    "decoder": 14.67,
}
WORK_FULL = WORK | {"decoder": 73.93}
TILES = ((1, 1), (2, 1), (2, 2), (3, 2), (4, 3))
LEAVES_OUT = 3  # chunks after the first that only warm up
COLUMNS = (
    *(
        "Size",
        "Variant",
        "FPS, steady",
        "Low",
        "High",
        "FPS, whole clip",
        "First frames s, first run",
    ),
    *("First frames s, last run", "Peak GiB", "Reserved GiB", "TFLOP/s", "Tiles"),
)


@dataclass
class Run:
    """One way through a clip: seconds to the end of each chunk; memory in bytes."""

    ends: list[float]
    frames: int
    peak: int
    reserved: int

    @property
    def steady(self) -> list[float]:
        """Seconds of each chunk when all is warm; the last is not decoded beside another."""
        lengths = [b - a for a, b in zip(self.ends, self.ends[1:], strict=False)]
        return lengths[min(LEAVES_OUT, len(lengths) - 2) : -1] or lengths


@dataclass
class Found:
    """All runs of one variant at one size."""

    tiles: Tiles
    runs: list[Run] = field(default_factory=list)

    @property
    def chunks(self) -> list[float]:
        """Seconds of every steady chunk."""
        return [seconds for run in self.runs for seconds in run.steady]

    @property
    def fps(self) -> float:
        """Frames per second in the middle of a clip."""
        return LATER_FRAMES / median(self.chunks)


def speed(bench: Bench) -> None:
    """Tiny mode at the first size, in every variant."""
    _at_size(bench, bench.scale.sizes[0], bench.scale.steady[0], VARIANTS, "tiny")


def large(bench: Bench) -> None:
    """As `speed`, at the larger sizes."""
    for size, steady in zip(bench.scale.sizes[1:], bench.scale.steady[1:], strict=True):
        _at_size(bench, size, steady, VARIANTS if bench.is_full else (FUSED,), "tiny")


def full(bench: Bench) -> None:
    """Full mode, whose decoder is Wan's."""
    size = bench.scale.sizes[0] if bench.is_full else bench.scale.errors
    _at_size(bench, size, 6 if bench.is_full else 3, (FUSED,), "full")


def _at_size(
    bench: Bench, size: Size, steady: int, variants: tuple[Variant, ...], mode: Mode
) -> None:
    """In the order A B … B A; what does not fit into the time or the memory says so."""
    report, name = bench.report, f"{size[0]}x{size[1]}"
    table = Table(
        f"FlashVSR, {mode} mode, {name}: {FIRST_FRAMES + LATER_FRAMES * steady} frames",
        COLUMNS,
        bar="on one H200 at 768x1408: 60 FPS in bf16, 72 with fp8 linears; peak at most 9 GiB.",
    )
    parts = Table(
        f"Milliseconds of a steady chunk of {LATER_FRAMES} frames, {mode} mode, {name}",
        ("Variant", *SHOWN, "noise, host", "sum on the device", "chunk by the clock"),
    )
    known = {variant.name: variant for variant in variants}
    found: dict[str, Found] = {}
    amount = size[0] * size[1] * (FIRST_FRAMES + LATER_FRAMES * steady)
    spent = bench.pace * amount if bench.is_full else 0.0
    for turn in (0, 1):
        for one in there_and_back(tuple(known), turn):
            if turn and one not in found:
                continue
            if not bench.clock.fits(1.5 * spent):
                table.notes.append(f"{one}, turn {turn + 1}: left out for want of time.")
                continue
            begun = time.monotonic()
            _visit(bench, known[one], size, steady, mode, found, table, parts if turn else None)
            spent = max(spent, time.monotonic() - begun)
            bench.pace = spent / amount
    for one, result in found.items():
        table.rows.append(_row(bench, name, one, result, mode))
        report.samples(f"{mode} {name} {one}, seconds a chunk", result.chunks)
    if mode == "tiny" and size == bench.scale.sizes[0]:
        _goals(bench, found)
    table.notes = list(dict.fromkeys(table.notes))
    report.show(table)
    report.show(parts)


def _goals(bench: Bench, found: dict[str, Found]) -> None:
    if FUSED.name in found:
        bench.report.found("fps_bf16", found[FUSED.name].fps)
        bench.report.found("peak_gib", max(run.peak for run in found[FUSED.name].runs) / 2**30)
    if FP8.name in found:
        bench.report.found("fps_fp8", found[FP8.name].fps)


def _visit(
    bench: Bench,
    variant: Variant,
    size: Size,
    steady: int,
    mode: Mode,
    found: dict[str, Found],
    table: Table,
    parts: Table | None,
) -> None:
    """Builds the models, runs the clip in the first tiles that fit, and splits a chunk's time."""
    place, settings = place_of(size), settings_of(variant, size)
    clip = Clip(size, FIRST_FRAMES + LATER_FRAMES * steady)
    with running(variant):
        models = random_models(bench.scale, bench.device, variant, mode)
        tried = [found[variant.name].tiles] if variant.name in found else _tiles()
        for tiles in tried:
            try:
                run = through(models, clip, place, settings, tiles)
            except torch.OutOfMemoryError as error:
                why = str(error).splitlines()[0].partition(". GPU")[0]
            else:
                why = ""
            if why:  # only here is what the failed run held free
                table.notes.append(f"{variant.name}, {_grid(tiles)}: {why}.")
                gc.collect()
                memory.empty_cache()
                continue
            found.setdefault(variant.name, Found(tiles)).runs.append(run)
            if parts is not None:
                measured = _parts(bench, models, place, settings, tiles, clip)
                parts.rows += _split_rows(variant.name, measured, size, mode, bench.is_full)
            break
    if variant.cache is not None and not _keeps_cache(models, settings):
        table.notes.append(f"{variant.name}: streams do not heed the cache's type yet.")
    del models
    memory.empty_cache()


def _tiles() -> Iterable[Tiles]:
    return (Tiles(columns, rows) for columns, rows in TILES)


def stream_of(models: Models, place: Placement, settings: Settings, tiles: Tiles) -> Stepping:
    """A fresh one."""
    if tiles.columns * tiles.rows > 1:
        return TiledStream(models, place, tiles, settings, lambda: None)
    return Stream(models, settings)


def through(models: Models, clip: Clip, place: Placement, settings: Settings, tiles: Tiles) -> Run:
    """Times a clip by when the last picture of each chunk is on the host."""
    device = models.device
    gc.collect()
    memory.empty_cache()
    memory.reset_peak(device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    ends: list[float] = []
    count = 0
    begun = time.perf_counter()
    stream = stream_of(models, place, settings, tiles)
    for _ in upscaled(models, clip.pictures(0, clip.count), place, settings, stream=stream):
        count += 1
        if (count - FIRST_FRAMES) % LATER_FRAMES == 0 and count >= FIRST_FRAMES:
            ends.append(time.perf_counter() - begun)
    assert count == clip.count, (count, clip.count)
    reserved = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else 0
    return Run(ends, count, memory.peak_bytes(device), reserved)


def _row(
    bench: Bench, size: str, variant: str, found: Found, mode: Mode
) -> tuple[str | float | int, ...]:
    lengths = found.chunks
    height, width = (int(side) for side in size.split("x"))
    tera: float | str = "-"
    if bench.is_full:
        tera = found.fps * TERA[mode] * height * width / TERA_PIXELS
    return (
        size,
        variant,
        found.fps,
        LATER_FRAMES / max(lengths),
        LATER_FRAMES / min(lengths),
        median(run.frames / run.ends[-1] for run in found.runs),
        found.runs[0].ends[0],
        found.runs[-1].ends[0],
        max(run.peak for run in found.runs) / 2**30,
        max(run.reserved for run in found.runs) / 2**30,
        tera,
        _grid(found.tiles),
    )


def _parts(
    bench: Bench,
    models: Models,
    place: Placement,
    settings: Settings,
    tiles: Tiles,
    clip: Clip,
) -> dict[str, float]:
    chunks = max(1, (clip.count - FIRST_FRAMES) // LATER_FRAMES - WARM + 1)
    stream = stream_of(models, place, settings, tiles)
    return split(models, stream, place, settings, min(chunks, bench.repeats), clip)


def _split_rows(
    name: str, found: dict[str, float], size: Size, mode: Mode, has_rates: bool
) -> list[tuple[str | float | int, ...]]:
    """Milliseconds, and what the known parts reach in 10^12 operations a second."""
    parts = [found[part] for part in PARTS]
    rows: list[tuple[str | float | int, ...]]
    rows = [(name, *parts, found["noise"], sum(parts), found["chunk"])]
    if has_rates:
        work = WORK_FULL if mode == "full" else WORK
        share = size[0] * size[1] / TERA_PIXELS
        rates: list[str | float] = [
            1000 * work[part] * share / found[part] if part in work and found[part] else "-"
            for part in PARTS
        ]
        rows.append((f"{name}, TFLOP/s", *rates, "-", "-", "-"))
    return rows


def _keeps_cache(models: Models, settings: Settings) -> bool:
    rings = getattr(Stream(models, settings), "rings", [])
    return bool(rings) and getattr(rings[0], "dtype", None) == settings.cache


def _grid(tiles: Tiles) -> str:
    return f"{tiles.columns} x {tiles.rows}"
