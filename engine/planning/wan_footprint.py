"""Wan's memory and time, stage by stage, as a plan says it runs."""

from dataclasses import dataclass, replace

from engine.planning import wan_sizes, wan_vae
from engine.planning.device import DeviceFacts, rate
from engine.planning.footprint import (
    CONTEXT_BYTES,
    PROCESS_BYTES,
    SLACK,
    WAITING_SHARE,
    WIDE_RATE,
)
from engine.planning.wan_run import EIGHT, WIDE, WanRun
from engine.planning.wan_sizes import Doing

ELEMENT = {"fp32": 4, "bf16": 2, "fp16": 2}
# Of a card's stated rate. Published runs of this model: 35 % by plain code and 66 % by fused on an
# H100, 70 % on an RTX 4090.
SHARES = (0.6, 0.4)
CONVOLVING = 0.5  # how much slower than products of matrices convolutions are
FP32_RATE = 0.25  # of a card that has bfloat16
FP16_RATE = 3.0  # of a card that has not, over its float32
LINK_RATE = 12e9  # bytes in a second from pinned memory: half of PCIe 4 x16
READ_RATE = 2e9  # bytes in a second from a disk
BORROWED = 0.25  # of a VAE's work, for what convolutions need beside
HELD_LATENTS = 10  # of the solver, of both prompts, of what is given
CPU = DeviceFacts(kind="cpu", has_triton=False)


@dataclass(frozen=True)
class WanWay:
    """How a run is done: the part of a plan that the formulas need."""

    precision: str
    quantization: str = "disabled"
    vae_precision: str = ""  # "": as the rest
    block_swap: int = 0
    ahead: int = 1
    text_on: str = "cuda"
    offload: bool = False
    keeps_keys: bool = True
    vae_tile: tuple[int, int] = (0, 0)  # height and width in pixels; 0: untiled
    is_eight: bool = False  # attention in 8 bits

    @property
    def element(self) -> int:
        """Bytes of a number of the run."""
        return ELEMENT[self.precision]

    @property
    def vae_element(self) -> int:
        """Bytes of a number of the VAE."""
        return ELEMENT[self.vae_precision or self.precision]

    def is_narrow(self, run: WanRun) -> bool:
        """Whether large matrices are in 8 bits."""
        return run.is_narrow or self.quantization != "disabled"


@dataclass(frozen=True)
class Stage:
    """Bytes on the device: a model's own, and what it works on."""

    weights: int
    work: int


def stages(run: WanRun, way: WanWay, device: DeviceFacts) -> dict[str, Stage]:
    """What each stage takes, in the order in which they run; only those that do."""
    made = {}
    if way.text_on == device.kind:
        length = run.config.text_len
        work = wan_sizes.text_bytes(run.text, length, way.element)
        made["text"] = Stage(text_bytes(run, way), work)
    if run.sees:
        work = wan_sizes.image_bytes(run.image, way.element)
        made["image"] = Stage(wan_sizes.image_weights(run.image) * way.element, work)
    vae = wan_vae.encoder_weights(run.vae) + wan_vae.decoder_weights(run.vae)
    vae *= way.vae_element
    if run.encodes:
        made["encode"] = Stage(vae, _encoding_bytes(run, way))
    made["denoise"] = Stage(transformer_bytes(run, way), _denoising_bytes(run, way, device))
    made["decode"] = Stage(vae, _decoding_bytes(run, way))
    return made


def peak_bytes(run: WanRun, way: WanWay, device: DeviceFacts) -> int:
    """The most that the device holds at once."""
    slack = 1 + (SLACK if device.is_card else 0)
    made = stages(run, way, device)
    own = CONTEXT_BYTES if device.is_card else PROCESS_BYTES
    if way.offload:
        return own + max(round(one.weights + slack * one.work) for one in made.values())
    models = sum(one.weights for name, one in made.items() if name != "encode")
    return own + models + max(round(slack * one.work) for one in made.values())


def host_bytes(run: WanRun, way: WanWay, total: int) -> int:
    """What waits in the computer's memory, and cannot just be read again from its file.

    Of two experts the first one stays only where jobs may keep both. `total`: of that memory.
    """
    if not (way.offload or way.block_swap):
        return 0
    is_converted = way.is_narrow(run) and not run.is_narrow
    is_converted |= way.element == 2 and run.stored("transformer") > WIDE
    whole = _transformer_bytes(run, way)
    held = run.experts if run.experts * whole <= WAITING_SHARE * total else 1
    if is_converted:
        return held * whole
    return held * min(way.block_swap, run.config.layers) * _swapped_bytes(run, way)


def transformer_bytes(run: WanRun, way: WanWay) -> int:
    """What of the transformer is on the device: all but blocks that wait, and their slots."""
    count = min(way.block_swap, run.config.layers)
    slots = min(way.ahead + 1, count)
    swapped = _swapped_bytes(run, way)
    return _transformer_bytes(run, way) - (count - slots) * swapped + run.sizes.get("loras", 0)


def text_bytes(run: WanRun, way: WanWay) -> int:
    """The text encoder; linear layers that a file has in 8 bits stay so."""
    weights = wan_sizes.text_weights(run.text)
    return weights.bytes(way.element, 4, is_narrow=0 < run.stored("text") < EIGHT)


def seconds(run: WanRun, way: WanWay, device: DeviceFacts, cores: int | None = None) -> float:
    """From reading the files to the last frame."""
    speed = _speed(way, device, cores)
    text_speed = rate(CPU, cores) if way.text_on == "cpu" else speed
    encoding = run.latents * wan_vae.encoding(run.vae, run.cells) if run.encodes else 0.0
    decoding = run.latents * wan_vae.decoding(run.vae, run.cells)
    total = _reading(run, way)
    total += run.streams * wan_sizes.text_work(run.text) / text_speed
    total += wan_sizes.image_work(run.image) / speed if run.sees else 0.0
    total += (encoding + decoding) / (CONVOLVING * speed)
    return total + run.passes * max(_pass_seconds(run, way, device, cores), _copying(run, way))


def hides_copies(run: WanRun, way: WanWay, device: DeviceFacts, cores: int | None = None) -> bool:
    """Whether blocks come while others run, so that swapping costs next to no time."""
    return _copying(run, way) <= _pass_seconds(run, way, device, cores)


def _pass_seconds(run: WanRun, way: WanWay, device: DeviceFacts, cores: int | None) -> float:
    tokens = run.tokens // run.batch
    work = wan_sizes.pass_work(run.config, tokens, way.keeps_keys)
    gain = WIDE_RATE if way.quantization.endswith("_fast") and device.has_fp8 else 1
    each = (work.linear / gain + work.attention) / _speed(way, device, cores)
    return run.batch * each


def _copying(run: WanRun, way: WanWay) -> float:
    """Seconds in which the blocks of a pass come to the card."""
    return min(way.block_swap, run.config.layers) * _swapped_bytes(run, way) / LINK_RATE


def _speed(way: WanWay, device: DeviceFacts, cores: int | None) -> float:
    speed = rate(device, cores, SHARES)
    if not device.is_card or device.rates > 0:
        return speed
    if way.precision == "fp32":
        return speed * (FP32_RATE if device.has_bf16 else 1)
    return speed if device.has_bf16 or way.precision == "bf16" else speed * FP16_RATE


def _reading(run: WanRun, way: WanWay) -> float:
    """Seconds to read the files; those that are not known count as they run."""
    whole = replace(way, block_swap=0)
    images = wan_sizes.image_weights(run.image) * way.element if run.sees else 0
    transformer = _transformer_bytes(run, whole)
    usual = {
        "transformer": transformer,
        "low": transformer if run.experts > 1 else 0,
        "text": text_bytes(run, way),
        "image": images,
    }
    return sum(run.sizes.get(part, size) for part, size in usual.items()) / READ_RATE


def _transformer_bytes(run: WanRun, way: WanWay) -> int:
    weights = wan_sizes.transformer_weights(run.config)
    return weights.bytes(way.element, run.exact, way.is_narrow(run))


def _swapped_bytes(run: WanRun, way: WanWay) -> int:
    """Of a block."""
    return wan_sizes.swapped_bytes(run.config, way.element, run.exact, way.is_narrow(run))


def _denoising_bytes(run: WanRun, way: WanWay, device: DeviceFacts) -> int:
    is_fast = way.quantization.endswith("_fast") and device.has_fp8 and way.precision == "bf16"
    doing = Doing(
        fused=device.is_card and device.has_triton,
        is_narrow=way.is_narrow(run),
        is_fast=is_fast,
        compares=run.compares,
        caches=run.streams * run.windows if run.caches else 0,
        in_eight_bits=way.is_eight,
    )
    work = wan_sizes.pass_bytes(run.config, run.tokens, run.window, way.element, doing)
    keys = wan_sizes.keys_bytes(run.config, way.element, way.keeps_keys)
    keys *= run.streams if way.keeps_keys else run.batch
    channels = run.config.in_dim + run.config.out_dim
    return work + keys + HELD_LATENTS * channels // 2 * run.latents * run.cells * 4


def _encoding_bytes(run: WanRun, way: WanWay) -> int:
    work = wan_vae.encoder_work(run.vae, run.encode_chunk)
    return _vae_bytes(run, way, wan_vae.encoder_kept(run.vae), work, run.encode_chunk)


def _decoding_bytes(run: WanRun, way: WanWay) -> int:
    work = wan_vae.decoder_work(run.vae)
    return _vae_bytes(run, way, wan_vae.decoder_kept(run.vae), work, run.decode_chunk)


def _vae_bytes(run: WanRun, way: WanWay, kept: float, work: float, chunk: int) -> int:
    """Waiting tiles keep theirs in the computer's memory; the chunk's frames are in float32."""
    frames = chunk * run.vae.period * 3 * 4 * run.pixels
    height, width = way.vae_tile
    coded = run.pixels
    if height and width:
        coded = min(height, run.height) * min(width, run.width)
        frames *= 2  # their weighted sum
    return round(coded * way.vae_element * (kept + (1 + BORROWED) * work)) + frames
