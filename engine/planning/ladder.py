"""The plans that a neural job can run by, from the best to the smallest."""

from collections.abc import Iterator, Mapping

import msgspec

from engine.jobs import NeuralOptions
from engine.planning.device import DeviceFacts
from engine.planning.footprint import (
    CONTEXT_BYTES,
    Run,
    Way,
    footprint,
    most_tiles,
    run_of,
    seconds,
    tile_of,
)
from engine.planning.sizes import UNIT, Picture
from engine.planning.words import duration, need_on_card, need_on_cpu
from engine.timeline.parameters import Value

SMALLEST_TILE = 3 * UNIT  # of a side: less than that sees too little around it
LEAST_SLOTS = 2  # of keys and values; fewer than the model was trained with


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a neural job runs: everything in it may change pixels or memory, and is in the recipe.

    `precision`: of weights and activations; "fp8" is 8-bit linears among bfloat16. `cache`: of
    keys and values, "same" or "fp8". `offload`: tiles' caches (keys, values and what decoder and
    projection remember) wait in the computer's memory between turns; that is no part of the peak.
    `fused`: by Triton's kernels. `free_bytes`: what the job may have, 0 if that is not known.
    """

    engine: str
    device: str  # "cuda", "cpu"
    precision: str  # "fp32", "bf16", "fp8"
    cache: str
    columns: int = 1  # of tiles
    rows: int = 1
    offload: bool = False
    kv_slots: int = 3
    fused: bool = True
    peak_bytes: int = 0
    seconds: float = 0.0
    free_bytes: int = 0
    total_bytes: int = 0

    @property
    def tiles(self) -> int:
        return self.columns * self.rows

    @property
    def fits(self) -> bool:
        return self.free_bytes == 0 or self.peak_bytes <= self.free_bytes

    @property
    def line(self) -> str:
        """For the person: «Peak 7.8 of 12 GB · about 1 min 40 s · bf16»."""
        time = f"about {duration(self.seconds)}"
        if self.device == "cpu":
            precision = [self.precision] if self.precision != "fp32" else []
            need = need_on_cpu(self.peak_bytes, self.free_bytes, self.fits)
            return " · ".join(["On the CPU", time, need, *precision, *self._choices()])
        need = need_on_card(self.peak_bytes, self.free_bytes, self.total_bytes, self.fits)
        parts = [need, time, self.precision, *self._choices()]
        return " · ".join(parts if self.fused else [*parts, "without Triton"])

    def recipe(self) -> str:
        """What of the plan can change a pixel, and no more."""
        tiles = f"{self.columns}x{self.rows}"
        kernels = "fused" if self.fused else "plain"
        kept = f"{self.cache} x {self.kv_slots}"
        return f"{self.device} {kernels}, {self.precision}, cache {kept}, tiles {tiles}"

    def _choices(self) -> list[str]:
        """What was given up to fit, in words."""
        said = []
        if self.tiles > 1:
            said.append(f"{self.tiles} tiles")
        if self.cache == "fp8":
            said.append("8-bit cache")
        if self.offload:
            said.append("cache in RAM")
        if self.kv_slots == LEAST_SLOTS:
            said.append("short memory")
        return said


def plans(
    engine: str,
    width: int,
    height: int,
    frames: int,
    *,
    device: DeviceFacts,
    options: NeuralOptions,
    values: Mapping[str, Value],
    cores: int | None = None,
) -> tuple[Plan, ...]:
    """From the best that fits to the smallest; each needs less memory than the one before.

    Never empty: the last is the smallest there is, even if it may not fit. width, height: of the
    result. frames: computed in all, warm-up included.
    """
    run = run_of(engine, width, height, values)
    free = _free(device, options)
    ladder: list[Plan] = []
    for way in _ways(run, device, options):
        peak = footprint(run, way, device).total
        if ladder and peak >= ladder[-1].peak_bytes:
            continue
        if ladder and not ladder[-1].fits:
            ladder.pop()
        plan = Plan(
            engine=engine,
            device=device.kind,
            precision=way.precision,
            cache=way.cache,
            columns=way.columns,
            rows=way.rows,
            offload=way.offload,
            kv_slots=way.kv_slots,
            fused=device.is_card and device.has_triton,
            peak_bytes=peak,
            seconds=seconds(run, way, device, frames, cores),
            free_bytes=free,
            total_bytes=device.total_bytes,
        )
        ladder.append(plan)
    return tuple(ladder)


def stepped_down(old: Plan, new: Plan, frame: int) -> str:
    """What is said when memory ran out under `old` and the job goes on by `new` from `frame`."""
    how = []
    if new.tiles != old.tiles:
        how.append(f"in {new.tiles} tiles")
    if new.cache != old.cache:
        how.append("with an 8-bit cache")
    if new.precision != old.precision:
        how.append(f"in {new.precision}")
    if new.offload and not old.offload:
        how.append("with waiting tiles in the computer's memory")
    if new.kv_slots < old.kv_slots:
        how.append("with a shorter memory of frames")
    where = "at full size" if old.tiles == 1 else f"in {old.tiles} tiles"
    return f"Not enough memory {where}: went on {', '.join(how)} from frame {frame}."


def _free(device: DeviceFacts, options: NeuralOptions) -> int:
    """What a job may have in all; the child that asks holds its own part of a card already."""
    free = device.free_bytes or device.total_bytes
    if device.is_card and device.free_bytes:
        free = min(free + CONTEXT_BYTES, device.total_bytes or free + CONTEXT_BYTES)
    limits = [one for one in (free, options.limit_bytes) if one > 0]
    return min(limits, default=0)


def _ways(run: Run, device: DeviceFacts, options: NeuralOptions) -> Iterator[Way]:
    """Every way to run, the best first.

    An 8-bit cache comes first, as what it changes is small and everywhere alike. Tiles come after:
    each sees less around it, and two versions of a texture meet where tiles overlap. Tiles whose
    caches wait in the computer's memory have the same pixels and cost time. Fewer slots come last:
    the model was not trained with two, and forgets sooner.
    """
    precision = _precision(device, options)
    slots = run.attending.kv_slots
    yield Way(precision, "same", kv_slots=slots)
    yield Way(precision, "fp8", kv_slots=slots)
    narrow = device.has_fp8 and options.precision == "auto"
    if narrow:
        # Rounded linears err a little everywhere, and by no pattern; a tile's border is a place,
        # and beyond it is what its pixels would have attended to. So the picture stays whole.
        yield Way("fp8", "fp8", kv_slots=slots)
    grids = list(_grids(run.whole))
    for columns, rows in grids:
        yield Way(precision, "fp8", columns, rows, kv_slots=slots)
    last = Way(precision, "fp8", kv_slots=slots)
    if device.is_card:
        for columns, rows in grids:
            last = Way(precision, "fp8", columns, rows, offload=True, kv_slots=slots)
            yield last
    else:  # tiles keep more in all than the whole picture: what helps depends on its size
        tiled = (Way(precision, "fp8", *grid, kv_slots=slots) for grid in grids)
        last = min((last, *tiled), key=lambda way: footprint(run, way, device).total)
    smaller = "fp8" if narrow else "bf16" if not device.is_card else precision
    if options.precision == "auto" and smaller != precision:
        last = Way(smaller, "fp8", last.columns, last.rows, last.offload, slots)
        yield last
    if slots > LEAST_SLOTS:
        yield Way(last.precision, "fp8", last.columns, last.rows, last.offload, LEAST_SLOTS)


def _precision(device: DeviceFacts, options: NeuralOptions) -> str:
    """What was asked for where the device can do it, else the next wider one."""
    asked = options.precision
    if not device.is_card:
        return "bf16" if asked == "bf16" else "fp32"
    if not device.has_bf16 or asked == "fp32":
        return "fp32"
    return "fp8" if asked == "fp8" and device.has_fp8 else "bf16"


def _grids(whole: Picture) -> Iterator[tuple[int, int]]:
    """Columns and rows, each time one more along the longer side of a tile."""
    columns = rows = 1
    while True:
        tile = tile_of(whole, columns, rows)
        wider = tile_of(whole, columns + 1, rows)
        lower = tile_of(whole, columns, rows + 1)
        across = columns < most_tiles(whole.width) and wider.width >= SMALLEST_TILE
        down = rows < most_tiles(whole.height) and lower.height >= SMALLEST_TILE
        if across and (tile.width >= tile.height or not down):
            columns += 1
        elif down:
            rows += 1
        else:
            return
        yield columns, rows
