"""Tiny FlashVSR models with random weights, and clips of moving shapes for them."""

from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn

from engine.models.flashvsr.config import (
    DecoderConfig,
    ProjectorConfig,
    Sparsity,
    TransformerConfig,
)
from engine.models.flashvsr.decoder import TinyDecoder
from engine.models.flashvsr.pipeline import Models
from engine.models.flashvsr.projector import Projector
from engine.models.flashvsr.transformer import Transformer

M = TypeVar("M", bound=nn.Module)

SPARSITY = Sparsity(pairs=11, reach=3, kv_slots=3)


def filled(module: M, seed: int = 1) -> M:
    """The module with random weights of a size that keeps signals as they are."""
    draw = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        fan_in = max(1, parameter[0].numel()) if parameter.dim() > 1 else 16
        parameter.data = torch.randn(parameter.shape, generator=draw) / fan_in**0.5
    return module.requires_grad_(False).eval()


def tiny_models(layers: int = 8, dim: int = 24) -> Models:
    """All parts of the tiny mode; one head for every 12 of `dim`."""
    transformer = TransformerConfig(dim, dim // 12, 2 * dim, 16, 16, 8, 8, layers)
    return Models(
        filled(Transformer(transformer)),
        filled(Projector(ProjectorConfig("v1.1", 3, (16, 16), 8, 8, dim, 1))),
        filled(TinyDecoder(DecoderConfig((6, 6, 4, 4)))),
        torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(2)),
    )


class Clip:
    """Pictures that are kept; counts how often each is read."""

    def __init__(self, pictures: list[Tensor]) -> None:
        self._pictures = pictures
        self.read = [0] * len(pictures)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._pictures)

    def pictures(self, start: int, stop: int) -> Iterator[Tensor]:
        """Those from start to stop - 1."""
        for number in range(start, stop):
            self.read[number] += 1
            yield self._pictures[number]


def shot(seed: int, count: int, width: int = 64, height: int = 32, speed: float = 1.0) -> Clip:
    """A soft colourful ground that glides by `speed` pixels a picture."""
    draw = torch.Generator().manual_seed(seed)
    wide = width + int(abs(speed) * count) + 1
    coarse = torch.rand(1, 3, height // 8, max(2, wide // 8), generator=draw) * 255
    ground = nn.functional.interpolate(coarse, (height, wide), mode="bicubic").clamp(0, 255)
    ground = ground[0].permute(1, 2, 0).byte()
    starts = [int(abs(speed) * number) for number in range(count)]
    return Clip([ground[:, at : at + width] for at in starts])


def edited(*shots: Clip) -> Clip:
    """Shots one after another."""
    return Clip([picture for part in shots for picture in part.pictures(0, part.count)])
