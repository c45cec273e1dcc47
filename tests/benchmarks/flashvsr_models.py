"""FlashVSR with random weights at full and at tiny size, in several variants; clips for it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.flashvsr.config import (
    DECODERS,
    PROJECTORS,
    TRANSFORMERS,
    DecoderConfig,
    ProjectorConfig,
    Rule,
    TransformerConfig,
)
from engine.models.flashvsr.decoder import TinyDecoder
from engine.models.flashvsr.pipeline import Models, Settings, sparsity
from engine.models.flashvsr.preparation import Placement, placement
from engine.models.flashvsr.projector import Projector
from engine.models.flashvsr.transformer import LARGE_LINEARS, Transformer
from engine.models.linear import to_fp8
from engine.models.wan.config import VAE_VARIANTS, VaeConfig
from engine.models.wan.vae import VaeDecoder
from tests.benchmarks.card_weights import computing, drawn, random_module

Mode = Literal["tiny", "full"]
Size = tuple[int, int]  # height and width of the result

ENLARGED = 4


@dataclass(frozen=True)
class Scale:
    """What is measured, and at which sizes. Shapes of single parts are those of the first size."""

    transformer: TransformerConfig
    projector: ProjectorConfig
    decoder: DecoderConfig
    vae: VaeConfig
    prompt: int  # its tokens
    sizes: tuple[Size, ...]
    steady: tuple[int, ...]  # chunks after the first, for each size
    errors: Size  # of the clip whose results are compared
    video: int  # frames of a clip that is decoded and encoded


_TRANSFORMER = TransformerConfig(64, 2, 128, text_dim=24, freq_dim=16, layers=2)
FULL = Scale(
    TRANSFORMERS["flashvsr"],
    PROJECTORS["flashvsr_v1.1"],
    DECODERS["flashvsr_tcdecoder"],
    VAE_VARIANTS["wan2.1_vae"],
    512,
    ((768, 1408), (1152, 1920), (2176, 3840)),
    (12, 12, 8),
    (256, 384),
    245,
)
TINY = Scale(
    _TRANSFORMER,
    ProjectorConfig("v1.1", hidden1=8, hidden2=12, out_dim=64),
    DecoderConfig((8, 8, 6, 4)),
    VaeConfig(dim=4),
    5,
    ((128, 256), (256, 256)),
    (4, 3),
    (128, 128),
    29,
)


@dataclass(frozen=True)
class Variant:
    """How the same weights are run."""

    name: str
    dtype: torch.dtype = torch.bfloat16
    is_plain: bool = False  # no kernels of our own, the decoder as published
    has_fp8: bool = False
    cache: torch.dtype | None = None


PLAIN = Variant("plain bf16", is_plain=True)
FUSED = Variant("fused bf16")
FP8 = Variant("fused, fp8 linears", has_fp8=True)
CACHE = Variant("fused, 8-bit cache", cache=torch.float8_e4m3fn)
EAGER = Variant("fused float32", torch.float32)
EXACT = Variant("plain float32", torch.float32, is_plain=True)


def running(variant: Variant) -> AbstractContextManager[None]:
    """Kernels are left alone where the variant is plain; float32 is multiplied as float32."""
    return computing(variant.dtype, variant.is_plain)


def random_models(
    scale: Scale,
    device: torch.device,
    variant: Variant = FUSED,
    mode: Mode = "tiny",
    rule: Rule = "v1.1",
) -> Models:
    """The networks, made on `meta`, filled on the device: every variant of the same weights."""
    dtype = variant.dtype
    transformer = random_module(lambda: Transformer(scale.transformer), device).to(dtype)
    if variant.has_fp8:
        to_fp8(transformer, *LARGE_LINEARS)
    config = ProjectorConfig(
        rule,
        hidden1=scale.projector.hidden1,
        hidden2=scale.projector.hidden2,
        out_dim=scale.projector.out_dim,
    )
    projector = random_module(lambda: Projector(config), device).to(dtype)
    decoder: TinyDecoder | VaeDecoder
    if mode == "full":
        decoder = random_module(lambda: VaeDecoder(scale.vae), device).to(dtype)
    else:
        tiny = random_module(lambda: TinyDecoder(scale.decoder), device, torch.float32)
        if not variant.is_plain:
            tiny.merge()
        decoder = tiny.to(dtype)
    prompt = drawn("prompt", (1, scale.prompt, scale.transformer.text_dim), device).to(dtype)
    return Models(transformer, projector, decoder, prompt)


def settings_of(variant: Variant, size: Size) -> Settings:
    """The published choice for the size."""
    return Settings(sparsity(size[1], size[0]), cache=variant.cache)


def place_of(size: Size) -> Placement:
    """Where a picture goes; both sides are whole units."""
    return placement(size[1], size[0])


class Clip:
    """Pictures of any number that glide over a ground, made when they are asked for."""

    def __init__(self, size: Size, count: int, enlarged: int = ENLARGED, seed: int = 0) -> None:
        self.height, self.width, self.count = size[0] // enlarged, size[1] // enlarged, count
        draw = torch.Generator().manual_seed(seed)
        wide = self.width + self.height
        coarse = torch.rand(1, 3, max(2, self.height // 8), max(2, wide // 8), generator=draw)
        ground = F.interpolate(coarse, (self.height, wide), mode="bicubic")
        fine = torch.rand(1, 3, self.height, wide, generator=draw)
        levels = (255 * (0.8 * ground + 0.2 * fine)).clamp(0, 255).byte()
        self._ground = levels[0].permute(1, 2, 0).contiguous()

    def pictures(self, start: int, stop: int) -> Iterator[Tensor]:
        """Those from start to stop - 1, (h, w, 3) uint8."""
        for number in range(start, stop):
            at = abs(number % (2 * self.height) - self.height)
            yield self._ground[:, at : at + self.width].contiguous()

    def frames(self, size: Size, device: torch.device) -> Tensor:
        """All of them at once as the model reads them: (1, 3, F, H, W), -1..1."""
        small = torch.stack(list(self.pictures(0, self.count))).to(device)
        wide = small.permute(0, 3, 1, 2).float() / 127.5 - 1
        large = F.interpolate(wide, size, mode="bicubic").clamp(-1, 1)
        return large.permute(1, 0, 2, 3)[None].contiguous()
