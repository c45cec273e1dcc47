"""The plans that a job of Wan can run by, from the best to the smallest."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec

from engine import memory
from engine.jobs import NeuralOptions
from engine.planning.device import DeviceFacts
from engine.planning.estimates import Estimate
from engine.planning.footprint import CONTEXT_BYTES
from engine.planning.wan_footprint import (
    WanWay,
    hides_copies,
    host_bytes,
    peak_bytes,
    seconds,
)
from engine.planning.wan_run import Sizes, WanRun, wan_run_of
from engine.planning.words import duration, need_on_card, need_on_cpu
from engine.timeline.parameters import Value

NARROW, STORED = "fp8_e4m3fn_scaled_fast", "fp8_e4m3fn_scaled"  # where a card multiplies 8 bits
SWAPS = 8  # steps from no block swapped to all
HOST_SHARE = 0.6  # of the computer's memory, that models may wait in
TILES = (544, 272)  # pixels of a side of the VAE's tiles, larger ones first
PLACES = ((False, "cuda"), (True, "cuda"), (False, "cpu"), (True, "cpu"))  # offload, text_on


class WanPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a job of Wan runs.

    `precision`: "fp32", "bf16", "fp16", of the run. `quantization`: of the large matrices, a name
    that the parameter has. `in_eight_bits`: whether they are so, by it or in their file.
    `block_swap`: blocks that wait in the computer's memory. `text_on`: where prompts are encoded.
    `offload`: one model on the card at a time. `keeps_keys`: what prompts become stays on the card.
    `vae_tile`: height and width in pixels, 0 for none. `host_bytes`: what waits in the computer's
    memory, which has `host_total`; `free_bytes`: what the job may have of the device. 0 where that
    is not known.
    """

    device: str  # "cuda", "cpu"
    precision: str
    quantization: str = "disabled"
    in_eight_bits: bool = False
    vae_precision: str = ""
    block_swap: int = 0
    ahead: int = 1
    text_on: str = "cuda"
    offload: bool = False
    keeps_keys: bool = True
    vae_tile: tuple[int, int] = (0, 0)
    peak_bytes: int = 0
    host_bytes: int = 0
    host_total: int = 0
    seconds: float = 0.0
    free_bytes: int = 0
    total_bytes: int = 0

    @property
    def fits(self) -> bool:
        """On the device and beside it."""
        return self.fits_device and self.fits_host

    @property
    def fits_device(self) -> bool:
        """Whether the device has the memory."""
        return self.free_bytes == 0 or self.peak_bytes <= self.free_bytes

    @property
    def fits_host(self) -> bool:
        """Whether what waits leaves the computer enough."""
        return self.host_total == 0 or self.host_bytes <= HOST_SHARE * self.host_total

    @property
    def line(self) -> str:
        """For the person: «Peak 11.2 of 12 GB · about 4 min · fp8 · 20 blocks swapped»."""
        time = f"about {duration(self.seconds)}"
        if self.device == "cpu":
            need = need_on_cpu(self.peak_bytes, self.free_bytes, self.fits_device)
            return " · ".join(["On the CPU", time, need, self._numbers(), *self._choices()])
        need = need_on_card(self.peak_bytes, self.free_bytes, self.total_bytes, self.fits_device)
        return " · ".join([need, time, self._numbers(), *self._choices()])

    def recipe(self) -> str:
        """What of the plan can change a pixel, and no more."""
        high, wide = self.vae_tile
        tiles = f"tiles {wide}x{high}" if high else "no tiles"
        kept = f"weights {self.quantization}, VAE {self.vae_precision or self.precision}"
        return f"{self.device}, {self.precision}, {kept}, {tiles}, prompts on {self.text_on}"

    def _numbers(self) -> str:
        if not self.in_eight_bits:
            return self.precision
        kind = "fp8 e5m2" if "e5m2" in self.quantization else "fp8"
        return kind if self.precision == "bf16" else f"{kind} in {self.precision}"

    def _choices(self) -> list[str]:
        """What was given up to fit, in words."""
        said = []
        if self.block_swap:
            said.append(f"{_blocks(self.block_swap)} swapped")
        if self.text_on == "cpu" != self.device:
            said.append("prompt on the CPU")
        if self.vae_tile[0]:
            said.append("VAE in tiles")
        if not self.fits_host:
            said.append(f"needs {self.host_bytes / HOST_SHARE / 1e9:.0f} GB of RAM")
        return said


def wan_plans(
    family: str,
    mode: str,
    width: int,
    height: int,
    frames: int,
    *,
    device: DeviceFacts,
    options: NeuralOptions,
    values: Mapping[str, Value],
    guidance: tuple[float, ...] = (),
    sizes: Sizes | None = None,
    cores: int | None = None,
    host_total: int | None = None,
) -> tuple[WanPlan, ...]:
    """From the best that fits to the smallest; each needs less memory than the one before.

    Never empty: where nothing fits, the one is told that lacks least. values: parameters that were
    chosen or published; what is absent is left to the plan. sizes: bytes of the files by part, and
    of "loras" together. host_total: of the computer's memory, by default this one's. Raises
    EffectError for a family that is not known.
    """
    run = wan_run_of(family, mode, width, height, frames, values, guidance, sizes)
    total = memory.machine()[0] if host_total is None else host_total
    free = _free(device, options)
    ways = dict.fromkeys(_ways(run, device, options, values, cores))
    made = [_plan(run, way, device, free, total, cores) for way in ways]
    steps = _falling(one for one in made if one.fits_host)
    if steps and steps[0].fits:
        return steps
    beside = [one for one in made if one.fits_device]
    if beside:  # only the computer's memory is short
        return (min(beside, key=lambda one: one.host_bytes),)
    return steps or (min(made, key=lambda one: one.peak_bytes),)


def wan_estimate(
    family: str,
    mode: str,
    width: int,
    height: int,
    frames: int,
    *,
    device: DeviceFacts,
    options: NeuralOptions,
    values: Mapping[str, Value],
    guidance: tuple[float, ...] = (),
    sizes: Sizes | None = None,
    cores: int | None = None,
    host_total: int | None = None,
) -> Estimate:
    """What the best plan costs, models read from disk; the rest is as `wan_plans` takes it."""
    plan = wan_plans(
        family,
        mode,
        width,
        height,
        frames,
        device=device,
        options=options,
        values=values,
        guidance=guidance,
        sizes=sizes,
        cores=cores,
        host_total=host_total,
    )[0]
    return Estimate(plan.seconds, plan.peak_bytes, plan.line, plan.fits)


def wan_smaller(steps: Sequence[WanPlan], done: Collection[str] = ()) -> tuple[WanPlan, ...]:
    """The rest of the ladder where memory ran out under its first plan; () where that is all.

    done: "text", "denoise": stages that are not run again. What they were made by stays, so a plan
    that differs in nothing else is left out.
    """
    old, *rest = steps
    for number, one in enumerate(rest, 1):
        new = one
        if "text" in done:
            new = msgspec.structs.replace(new, text_on=old.text_on)
        if "denoise" in done:
            new = msgspec.structs.replace(old, offload=one.offload, vae_tile=one.vae_tile)
        if _how(new) != _how(old):
            return new, *steps[number + 1 :]
    return ()


def wan_stepped_down(old: WanPlan, new: WanPlan, is_anew: bool) -> str:
    """What is said where memory ran out under `old`, and `new` goes on or begins anew."""
    how = []
    if new.quantization != old.quantization:
        how.append("with 8-bit weights")
    if new.block_swap != old.block_swap:
        how.append(f"with {_blocks(new.block_swap)} swapped")
    elif new.offload and not old.offload:
        how.append(f"with one model {'on the card' if new.device == 'cuda' else 'held'} at a time")
    if old.keeps_keys and not new.keeps_keys:
        how.append("without keeping what prompts become")
    if new.text_on != old.text_on:
        how.append("with prompts on the CPU")
    if new.vae_tile != old.vae_tile:
        how.append("with the VAE in tiles")
    where = f" with {_blocks(old.block_swap)} swapped" if old.block_swap else ""
    return f"Not enough memory{where}: {'began anew' if is_anew else 'went on'} {', '.join(how)}."


def _how(plan: WanPlan) -> tuple[object, ...]:
    """All that a plan decides."""
    return (
        plan.precision,
        plan.quantization,
        plan.vae_precision,
        plan.block_swap,
        plan.text_on,
        plan.offload,
        plan.keeps_keys,
        plan.vae_tile,
    )


def _plan(
    run: WanRun, way: WanWay, device: DeviceFacts, free: int, host: int, cores: int | None
) -> WanPlan:
    return WanPlan(
        device=device.kind,
        precision=way.precision,
        quantization=way.quantization,
        in_eight_bits=way.is_narrow(run),
        vae_precision=way.vae_precision,
        block_swap=way.block_swap,
        ahead=way.ahead,
        text_on=way.text_on,
        offload=way.offload,
        keeps_keys=way.keeps_keys,
        vae_tile=way.vae_tile,
        peak_bytes=peak_bytes(run, way, device),
        host_bytes=host_bytes(run, way, host) if device.is_card else 0,
        host_total=host,
        seconds=seconds(run, way, device, cores),
        free_bytes=free,
        total_bytes=device.total_bytes,
    )


def _falling(plans: Iterable[WanPlan]) -> tuple[WanPlan, ...]:
    """Those that need less than all before; of those that do not fit only the last, if no other."""
    ladder: list[WanPlan] = []
    for plan in plans:
        if ladder and plan.peak_bytes >= ladder[-1].peak_bytes:
            continue
        if ladder and not ladder[-1].fits:
            ladder.pop()
        ladder.append(plan)
    return tuple(ladder)


def _free(device: DeviceFacts, options: NeuralOptions) -> int:
    """What a job may have in all; the child that asks holds its own part of a card already."""
    free = device.free_bytes or device.total_bytes
    if device.is_card and device.free_bytes:
        free = min(free + CONTEXT_BYTES, device.total_bytes or free + CONTEXT_BYTES)
    limits = [one for one in (free, options.limit_bytes) if one > 0]
    return min(limits, default=0)


def _ways(
    run: WanRun,
    device: DeviceFacts,
    options: NeuralOptions,
    values: Mapping[str, Value],
    cores: int | None,
) -> Iterator[WanWay]:
    """Every way to run, the best first.

    What changes no pixel comes first: models that take turns, keys made anew, and blocks that wait
    in the computer's memory as long as others hide their copies. Then the large matrices in 8 bits,
    with as few blocks swapped as will do. The VAE in tiles is last, as it sees less around a tile.
    """
    first = _first(device, options, values)
    if not device.is_card:
        # As exact as a person wants it; models that fit no more make room for the next one.
        yield from (first, replace(first, offload=True))
        return
    kinds = (first.quantization, *_narrow(run, device, options, values))
    ways: list[WanWay] = []
    for quantization in kinds:
        for way in _swaps(run, replace(first, quantization=quantization), values):
            is_slow = way.block_swap and not hides_copies(run, way, device, cores)
            if is_slow and quantization != kinds[-1]:
                break
            ways += _placed(run, way, values)
    yield from ways
    if not first.vae_tile[0]:
        yield from (replace(way, vae_tile=(side, side)) for side in TILES for way in ways)


def _first(device: DeviceFacts, options: NeuralOptions, values: Mapping[str, Value]) -> WanWay:
    """As wished, and as the device does it best."""
    base, vae = str(values.get("base_precision", "auto")), str(values.get("vae_precision", "auto"))
    quantization = str(values.get("quantization", "disabled"))
    if quantization == "disabled" and options.precision == "fp8":
        quantization = NARROW if device.has_fp8 else STORED
    tile = int(values.get("tile_y", TILES[-1])), int(values.get("tile_x", TILES[-1]))
    return WanWay(
        precision=_precision(device, options) if base == "auto" else base.removesuffix("_fast"),
        quantization=quantization,
        vae_precision=_vae_precision(device, options) if vae == "auto" else vae,
        ahead=int(values.get("prefetch_blocks", 1)),
        text_on=device.kind,
        keeps_keys=bool(values.get("keep_keys", True)),
        vae_tile=tile if values.get("vae_tiling", False) else (0, 0),
        is_eight=options.attention in ("int8", "sageattn"),
    )


def _vae_precision(device: DeviceFacts, options: NeuralOptions) -> str:
    """ "" for that of the rest; the VAE may leave the range of float16."""
    is_half = device.has_bf16 or options.precision == "bf16"
    return "" if is_half or not device.is_card else "fp32"


def _precision(device: DeviceFacts, options: NeuralOptions) -> str:
    """What was asked for where the device can do it, else what it does well."""
    if options.precision == "fp32":
        return "fp32"
    if not device.is_card:
        return "bf16" if options.precision == "bf16" else "fp32"
    return "bf16" if device.has_bf16 else "fp16"


def _narrow(
    run: WanRun, device: DeviceFacts, options: NeuralOptions, values: Mapping[str, Value]
) -> tuple[str, ...]:
    """In what 8 bits the matrices may be, if nobody chose and they are not so already."""
    if "quantization" in values or options.precision != "auto" or run.is_narrow:
        return ()
    return (NARROW if device.has_fp8 else STORED,)


def _swaps(run: WanRun, base: WanWay, values: Mapping[str, Value]) -> Iterator[WanWay]:
    """From no block swapped to all; or as many as were chosen."""
    chosen = values.get("blocks_to_swap")
    layers = run.config.layers
    if chosen is not None:
        base = replace(base, block_swap=min(int(chosen), layers))
    yield base
    spare = replace(base, keeps_keys=False)
    yield spare
    if chosen is None:
        for step in range(1, SWAPS + 1):
            yield replace(spare, block_swap=layers * step // SWAPS)


def _placed(run: WanRun, way: WanWay, values: Mapping[str, Value]) -> Iterator[WanWay]:
    """Models stay or take turns, as two experts always do; prompts on the card or beside it."""
    load = values.get("load_device", "auto")
    for offload, text_on in PLACES:
        if offload if run.experts > 1 else load == "auto" or (load == "offload") == offload:
            yield replace(way, offload=offload, text_on=text_on)


def _blocks(count: int) -> str:
    return f"{count} block" if count == 1 else f"{count} blocks"
