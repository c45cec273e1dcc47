"""A tiny decoder for latents of Wan's VAE 2.1: pictures for a look while a clip is being made.

TAEHV (github.com/madebyollin/taehv, MIT), file taew2_1, decoder alone and in its cheaper form: of
the four frames of a latent only the last is made, and pictures have half the side. Attributes are
named as the published tensors. Latents are taken as the transformer gives them.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.models.flashvsr.decoder import Clamp, Grow, MemBlock
from engine.models.loading import Stored, places_of
from engine.models.weights import load_strict, part, read_tensors

LATENT_CHANNELS = 16
WIDTHS = (256, 128, 64, 64)
SIDES = (2, 2, 1)  # how much larger each stage makes a picture; the published third one doubles
SCALE = 4  # pixels of a cell


class TinyDecoder(nn.Module):
    """Pictures of latents, each by what the blocks remember of the latent before it."""

    def __init__(self) -> None:
        super().__init__()
        stages = zip(WIDTHS, WIDTHS[1:], SIDES, strict=False)
        self.decoder = nn.Sequential(
            Clamp(),
            nn.Conv2d(LATENT_CHANNELS, WIDTHS[0], 3, padding=1),
            nn.ReLU(),
            *(layer for stage in stages for layer in _stage(*stage)),
            nn.ReLU(),
            nn.Conv2d(WIDTHS[-1], 3, 3, padding=1),
        )

    def forward(self, latents: Tensor) -> Tensor:
        """The picture of the last of successive latents, (1, 16, T, h, w) -> (3, 4h, 4w), 0..1.

        Of a clip's very first latent it is the first frame, of others the last of their four.
        """
        memory: dict[int, Tensor] = {}
        for latent in latents.to(next(self.parameters()).dtype).unbind(2):
            x = latent
            for number, layer in enumerate(self.decoder):
                if isinstance(layer, MemBlock):
                    before, memory[number] = memory.get(number), x
                    x = layer(x, before)
                else:
                    x = layer(x, 0) if isinstance(layer, Grow) else layer(x)
        return x[0].clamp(0, 1)


def load_tiny_decoder(path: Path, device: torch.device) -> TinyDecoder:
    """The decoder of taew2_1, in half precision on a card. Raises WeightsError."""
    tensors = _last_times(part(read_tensors(path), ("decoder.",)))
    dtype = torch.float32 if device.type == "cpu" else torch.float16
    return load_strict(TinyDecoder, tensors, str(path), dtype, device)


def _last_times(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Where a growth makes several frames of one, the channels of the last of them."""
    made, places = dict(tensors), dict(places_of(tensors))
    for stage, width in enumerate(WIDTHS[:-1]):
        name = f"decoder.{7 + 6 * stage}.conv.weight"
        if name in made and made[name].shape[0] > width:
            made[name] = made[name][-width:].clone()
            places.pop(name, None)
    return Stored(made, places)


def _stage(width: int, narrower: int, side: int) -> list[nn.Module]:
    return [
        *(MemBlock(width) for _ in range(3)),
        nn.Upsample(scale_factor=side),
        Grow(width, 1),
        nn.Conv2d(width, narrower, 3, padding=1, bias=False),
    ]
