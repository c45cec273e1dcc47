"""A picture of latents while a clip is being made: by a tiny decoder, else by a rough map."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import WeightsError
from engine.models.wan.tiny_decoder import SCALE, TinyDecoder, load_tiny_decoder

# Red, green and blue of each latent channel; the published map for latents of Wan 2.1.
_FACTORS = (
    (-0.1299, -0.1692, 0.2932),
    (0.0671, 0.0406, 0.0442),
    (0.3568, 0.2548, 0.1747),
    (0.0372, 0.2344, 0.1420),
    (0.0313, 0.0189, -0.0328),
    (0.0296, -0.0956, -0.0665),
    (-0.3477, -0.4059, -0.2925),
    (0.0166, 0.1902, 0.1975),
    (-0.0412, 0.0267, -0.1364),
    (-0.1293, 0.0740, 0.1636),
    (0.0680, 0.3019, 0.1128),
    (0.0032, 0.0581, 0.0639),
    (-0.1251, 0.0927, 0.1699),
    (0.0060, -0.0633, 0.0005),
    (0.3477, 0.2275, 0.2950),
    (0.1984, 0.0913, 0.1861),
)
_OFFSET = (-0.1835, -0.0868, -0.3360)
EARLIER = 2  # latents before the one that is shown, for the tiny decoder's memory


class Previews:
    """Makes the pictures of a job. `notes`: why the tiny decoder at `path` is not used."""

    def __init__(self, path: Path | None) -> None:
        self.notes: list[str] = []
        self._path = path
        self._decoder: TinyDecoder | None = None

    def picture(self, latents: Tensor, frame: int) -> NDArray[np.uint8]:
        """A frame of clean latents (1, 16, T, h, w) as RGB, (H, W, 3), 4 pixels to a cell."""
        if self._path is not None and self._decoder is None:
            try:
                self._decoder = load_tiny_decoder(self._path, latents.device)
            except WeightsError as error:  # a look is no reason to end a run
                self.notes.append(f"Previews are rough: {error.message}")
                self._path = None
        if self._decoder is None:
            return preview(latents, frame)
        some = latents[:, :, max(0, frame - EARLIER) : frame + 1]
        return _pixels(self._decoder(some).float() * 255)


def preview(latents: Tensor, frame: int) -> NDArray[np.uint8]:
    """A latent frame of clean latents (1, 16, T, h, w) as RGB, (H, W, 3), 4 pixels to a cell."""
    factors = latents.new_tensor(_FACTORS)
    offset = latents.new_tensor(_OFFSET)
    rgb = torch.einsum("bchw,cr->brhw", latents[:, :, frame], factors) + offset[:, None, None]
    large = F.interpolate(rgb, scale_factor=SCALE, mode="bilinear")
    return _pixels((large[0] + 1) * 127.5)


def _pixels(levels: Tensor) -> NDArray[np.uint8]:
    """Levels of about 0..255, (3, H, W), as (H, W, 3)."""
    return levels.round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().cpu().numpy()
