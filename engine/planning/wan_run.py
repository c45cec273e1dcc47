"""What a job of Wan computes, whatever the plan: sizes, steps, and what its values ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from engine.errors import EffectError
from engine.files import weights_bytes
from engine.models.wan.config import (
    TRANSFORMER_VARIANTS,
    VAE_VARIANTS,
    TransformerConfig,
    VaeConfig,
)
from engine.models.wan.experts import is_pair
from engine.planning.wan_sizes import (
    CLIP,
    UMT5,
    ImageSizes,
    TextSizes,
    image_weights,
    text_weights,
    transformer_weights,
)
from engine.timeline.parameters import Value
from engine.wan_rules import CELL, FRAMES, SIDE, latent_frames

STEPS, GUIDANCE = 50, 5.0  # where nobody said, as published
WIDE, EIGHT = 3.0, 1.5  # bytes of a number: above, a file is float32; below, it is in 8 bits
WINDOW, OVERLAP = 81, 16
SKIPPING = 0.55  # of the passes that step caching leaves, at the usual thresholds

Sizes = Mapping[str, int]


def file_sizes(files: Mapping[str, str | Path]) -> dict[str, int]:
    """Bytes of the file of each part; one that is gone counts nothing."""
    sizes = {part: weights_bytes(Path(path)) for part, path in files.items()}
    return {part: size for part, size in sizes.items() if size}


@dataclass(frozen=True)
class WanRun:
    """`latents`: latent frames of the clip; `window`: of those that a pass sees.

    `passes`: over a window, in the whole run. `streams`: of prompts. `sizes`: bytes of the files,
    where they are known. `experts`: transformers that take turns, of one config.
    """

    config: TransformerConfig
    width: int
    height: int
    latents: int
    window: int
    windows: int
    passes: float
    streams: int
    batch: int
    encodes: bool
    sees: bool
    compares: bool
    caches: bool
    encode_chunk: int
    decode_chunk: int
    sizes: Sizes
    experts: int = 1
    vae: VaeConfig = VAE_VARIANTS["wan2.1_vae"]
    text: TextSizes = UMT5
    image: ImageSizes = CLIP

    @property
    def pixels(self) -> int:
        """Of a picture."""
        return self.width * self.height

    @property
    def cells(self) -> int:
        """Of a latent frame."""
        return self.pixels // CELL**2

    @property
    def tokens(self) -> int:
        """Of a pass, both prompts' where they go together."""
        return self.batch * self.window * (self.pixels // SIDE**2)

    def stored(self, part: str) -> float:
        """Bytes of a number in the file of a part, 0 where that is not known."""
        totals = {
            "transformer": transformer_weights(self.config).total,
            "text": text_weights(self.text).total,
            "image": image_weights(self.image),
        }
        parts = ("transformer", "low") if part == "transformer" else (part,)
        return max(self.sizes.get(one, 0) for one in parts) / totals[part]

    @property
    def is_narrow(self) -> bool:
        """Whether the transformer's file is in 8 bits."""
        return 0 < self.stored("transformer") < EIGHT

    @property
    def exact(self) -> int:
        """Bytes of the numbers that stay as they are stored; unknown counts as float32."""
        return 2 if EIGHT <= self.stored("transformer") < WIDE else 4


def config_of(family: str) -> TransformerConfig:
    """The transformer of a family of the library. Raises EffectError."""
    start = family.replace("-", "_")
    for name, config in TRANSFORMER_VARIANTS.items():
        if name.startswith(start):
            return config
    raise EffectError(f"There is no plan for «{family}».", "Choose a model of Wan.")


def wan_run_of(
    family: str,
    mode: str,
    width: int,
    height: int,
    frames: int,
    values: Mapping[str, Value],
    guidance: tuple[float, ...] = (),
    sizes: Sizes | None = None,
) -> WanRun:
    """A run that gives `frames` frames of width x height. Raises EffectError.

    guidance: one for each step, in place of the value "cfg".
    """
    config = config_of(family)
    takes = config.in_dim > config.out_dim
    latents = latent_frames(1 if mode == "t2i" else frames)
    if mode == "flf2v" and not config.places_last:
        latents += 1  # the last picture's, dropped before decoding
    window, windows = _windows(latents, values)
    steps = _steps(mode, values)
    experts = 2 if is_pair(family) else 1
    guided = sum(one != 1 for one in _scales(steps, values, guidance, experts))
    caches = bool(values.get("teacache", False))
    passes = (steps + guided) * windows * (SKIPPING if caches else 1)
    batch = 2 if values.get("batched_cfg", False) and guided else 1
    return WanRun(
        config=config,
        width=max(SIDE, width // SIDE * SIDE),
        height=max(SIDE, height // SIDE * SIDE),
        latents=latents,
        window=window,
        windows=windows,
        passes=passes / batch,
        streams=2 if guided else 1,
        batch=batch,
        encodes=takes or mode == "v2v",
        sees=takes and config.image_dim > 0,
        compares=bool(values.get("feta", False)) and latents > 1,
        caches=caches,
        encode_chunk=int(values.get("encode_chunk", 1)),
        decode_chunk=int(values.get("decode_chunk", 1)),
        sizes=sizes or {},
        experts=experts,
    )


def _scales(
    steps: int, values: Mapping[str, Value], guidance: tuple[float, ...], experts: int
) -> list[float]:
    """The guidance of each step. Where the second expert takes over is told from even steps."""
    if guidance:
        return [guidance[min(i, len(guidance) - 1)] for i in range(steps)]
    first = float(values.get("cfg", GUIDANCE))
    if experts == 1:
        return [first] * steps
    boundary, shift = float(values.get("boundary", 0.0)), float(values.get("shift", 1.0))
    # The level before the shift; below it lies the second expert's share of the run.
    share = boundary / (shift - (shift - 1) * boundary)
    second = float(values.get("cfg_low", first))
    return [second if 1 - i / steps < share else first for i in range(steps)]


def _steps(mode: str, values: Mapping[str, Value]) -> int:
    """Steps that are run."""
    steps = int(values.get("steps", STEPS))
    end = int(values.get("end_step", 0)) or steps
    begin = int(values.get("start_step", 0))
    if mode == "v2v":
        begin = max(begin, steps - round(steps * float(values.get("denoise_strength", 70)) / 100))
    return max(1, min(end, steps) - begin)


def _windows(latents: int, values: Mapping[str, Value]) -> tuple[int, int]:
    """Latent frames of a context window, and how many windows cover the clip."""
    size = latent_frames(int(values.get("context_frames", WINDOW)))
    if values.get("context_schedule", "off") == "off" or latents <= size:
        return latents, 1
    overlap = min(int(values.get("context_overlap", OVERLAP)) // FRAMES, size - 1)
    return size, 1 + ceil((latents - size) / (size - overlap))
