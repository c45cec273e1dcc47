"""FlashVSR's memory and time as a plan says it runs."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.models.flashvsr.config import DECODERS, PROJECTORS, TRANSFORMERS
from engine.models.wan.config import VAE_VARIANTS
from engine.planning import sizes
from engine.planning.device import DeviceFacts, rate
from engine.planning.sizes import UNIT, Attending, Networks, Picture
from engine.timeline.parameters import Value

CONTEXT_BYTES = 450_000_000  # of a card, before anything is loaded: CUDA and its libraries
PROCESS_BYTES = 600_000_000  # of a child with torch in it
RESIDENT_SHARE = 0.6  # of the memory, for models that wait for the next job
WAITING_SHARE = 0.8  # of the computer's, beside a card: much of it is in files still
OVERLAP = 1  # blocks that neighbouring tiles share
SLACK = 0.1  # of what comes and goes: what the allocator cannot use again
WIDE_RATE = 1.5  # how much faster 8-bit linears are, with the conversions around them
OFFLOAD_RATE = 8e9  # bytes in a second between card and computer
STEP_SECONDS = 0.02  # of a chunk, whatever its size: starting a few thousand small operations

ELEMENT = {"fp32": 4, "bf16": 2, "fp8": 2}  # bytes of weights and activations


@dataclass(frozen=True)
class Run:
    """What is to run, whatever the plan: networks, size, and what the effect's values say."""

    networks: Networks
    whole: Picture
    attending: Attending


@dataclass(frozen=True)
class Way:
    """How it runs: the part of a plan that the formulas need."""

    precision: str
    cache: str
    columns: int = 1
    rows: int = 1
    offload: bool = False
    kv_slots: int = 3

    @property
    def tiles(self) -> int:
        return self.columns * self.rows

    @property
    def element(self) -> int:
        return ELEMENT[self.precision]

    @property
    def kv_element(self) -> float:
        """Bytes of a kept number; 8-bit ones share a scale per head and block."""
        return self.element if self.cache == "same" else 1 + 4 / sizes.BLOCK**2


@dataclass(frozen=True)
class Footprint:
    """Bytes at the peak, by what they are for."""

    weights: int
    cache: int  # keys, values and memories of all tiles that are on the device
    work: int
    frames: int
    rest: int  # the device's own, and what the allocator loses

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.work + self.frames + self.rest


def run_of(engine: str, width: int, height: int, values: Mapping[str, Value]) -> Run:
    """A run of the engine that gives width x height; sides are padded to multiples of 128."""
    _, version, mode = engine.split("-")
    rule = "flashvsr_v1" if version == "1.0" else "flashvsr_v1.1"
    decoder = VAE_VARIANTS["wan2.1_vae"] if mode == "full" else DECODERS["flashvsr_tcdecoder"]
    networks = Networks(TRANSFORMERS["flashvsr"], PROJECTORS[rule], decoder)
    attending = Attending(
        float(values.get("sparse_ratio", 2.0)),
        int(values.get("local_range", 11)),
        int(float(values.get("kv_ratio", 3.0))),
    )
    return Run(networks, Picture(_padded(width), _padded(height)), attending)


def tile_of(whole: Picture, columns: int, rows: int) -> Picture:
    """The largest tile of so many across and down; they share 128 pixels."""
    return Picture(_longest(whole.width, columns), _longest(whole.height, rows))


def most_tiles(side: int) -> int:
    """Along a side: two tiles between others must not overlap."""
    return max(1, side // UNIT // OVERLAP - 1)


def footprint(run: Run, way: Way, device: DeviceFacts) -> Footprint:
    """The most memory that the run needs at once, at any length."""
    tile = tile_of(run.whole, way.columns, way.rows)
    on_card = 1 if way.offload else way.tiles
    cache = on_card * _tile_cache(run, way, tile)
    work = _work_bytes(run, way, tile, device)
    frames = sizes.frames_bytes(run.whole)
    if way.tiles > 1 and not way.offload:  # where tiles are put together
        frames += sizes.FIRST_FRAMES * 3 * 4 * run.whole.pixels
    own = CONTEXT_BYTES if device.is_card else PROCESS_BYTES
    loose = round(SLACK * (work + frames)) if device.is_card else 0
    return Footprint(_weights_bytes(run, way), cache, work, frames, own + loose)


def seconds(
    run: Run, way: Way, device: DeviceFacts, frames: int, cores: int | None = None
) -> float:
    """How long `frames` frames of one stream take, loading apart."""
    tile = tile_of(run.whole, way.columns, way.rows)
    attending = _attending(run, way)
    speed = rate(device, cores)

    def chunk(work: sizes.Work) -> float:
        narrow = (work.linear + work.projection) / (WIDE_RATE if way.precision == "fp8" else 1)
        return way.tiles * (narrow + work.attention + work.decoding) / speed + STEP_SECONDS

    first = chunk(sizes.first_work(run.networks, run.whole, tile, attending))
    later = chunk(sizes.work(run.networks, run.whole, tile, attending))
    if way.offload:
        moved = 2 * way.tiles * _tile_cache(run, way, tile) / OFFLOAD_RATE
        first, later = first + moved, later + moved
    rest = max(0, frames - sizes.FIRST_FRAMES)
    return first + -(-rest // sizes.LATER_FRAMES) * later


def _attending(run: Run, way: Way) -> Attending:
    return Attending(run.attending.sparse_ratio, run.attending.reach, way.kv_slots)


def _weights_bytes(run: Run, way: Way) -> int:
    networks = run.networks
    numbers = (
        sizes.transformer_weights(networks.transformer)
        + sizes.projector_weights(networks.projector)
        + sizes.decoder_weights(networks.decoder)
    )
    numbers -= sizes.passing_weights(networks.transformer)
    narrow = sizes.narrow_weights(networks.transformer) if way.precision == "fp8" else 0
    text = sizes.text_bytes(networks.transformer, way.element)
    return numbers * way.element - narrow * (way.element - 1) + text


def _tile_cache(run: Run, way: Way, tile: Picture) -> int:
    projection, decoding = _states(run, way, tile)
    return _kv_bytes(run, way, tile) + projection + decoding


def _kv_bytes(run: Run, way: Way, tile: Picture) -> int:
    return sizes.kv_bytes(run.networks.transformer, tile, _attending(run, way), way.kv_element)


def _states(run: Run, way: Way, tile: Picture) -> tuple[int, int]:
    """What projection and decoder keep."""
    networks, element = run.networks, way.element
    projection = sizes.projection_state_bytes(networks.projector, tile, element)
    return projection, sizes.decoder_state_bytes(networks.decoder, tile, element)


def _work_bytes(run: Run, way: Way, tile: Picture, device: DeviceFacts) -> int:
    """Beside the caches, of which some are not there at every time.

    On a card a whole picture is decoded beside the next chunk's work, tiles are not. In the first
    chunk the decoder keeps nothing yet. Where caches wait elsewhere, the decoder's is there while
    it is at work and the others while they are.
    """
    projection, kept = _states(run, way, tile)
    first = _chunk_bytes(run, way, tile, device, sizes.FIRST_LATENTS // sizes.SLOT) - kept
    later = _chunk_bytes(run, way, tile, device, 1)
    decoding = sizes.decoder_bytes(run.networks.decoder, tile, way.element)
    if way.offload:
        later, decoding = later - kept, decoding - projection - _kv_bytes(run, way, tile)
    beside = device.is_card and way.tiles == 1
    return max(first, later + decoding if beside else max(later, decoding), 0)


def _chunk_bytes(run: Run, way: Way, tile: Picture, device: DeviceFacts, slots: int) -> int:
    """Of projection and transformer, for a chunk of so many slots."""
    networks, element = run.networks, way.element
    gather = sizes.GATHER if device.is_card else sizes.GATHER_CPU
    narrow = sizes.Narrow.NO
    if way.cache != "same":
        narrow = sizes.Narrow.READ if device.reads_eight_bits else sizes.Narrow.WIDENED
    mixing = sizes.transformer_bytes(
        networks.transformer,
        tile,
        element,
        0 if device.has_triton else gather,
        slots,
        narrow,
        _attending(run, way),
    )
    return max(mixing, sizes.projector_bytes(networks.projector, tile, element, slots))


def _padded(side: int) -> int:
    return max(UNIT, -(-side // UNIT) * UNIT)


def _longest(side: int, count: int) -> int:
    """The longest of `count` tiles along a side, as even as blocks allow."""
    steps = side // UNIT - OVERLAP  # what the tiles have beside one overlap
    if count == 1 or steps < 1:
        return side
    lengths = [steps * (i + 1) // count - steps * i // count for i in range(count)]
    return (max(lengths) + OVERLAP) * UNIT
