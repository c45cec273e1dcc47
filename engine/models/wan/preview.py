"""A rough picture of latents, without decoding them."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

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
SCALE = 4  # pixels of a cell


def preview(latents: Tensor, frame: int) -> NDArray[np.uint8]:
    """A latent frame of clean latents (1, 16, T, h, w) as RGB, (H, W, 3), 4 pixels to a cell."""
    factors = latents.new_tensor(_FACTORS)
    offset = latents.new_tensor(_OFFSET)
    rgb = torch.einsum("bchw,cr->brhw", latents[:, :, frame], factors) + offset[:, None, None]
    large = F.interpolate(rgb, scale_factor=SCALE, mode="bilinear")
    pixels = ((large[0] + 1) * 127.5).round().clamp(0, 255).byte()
    return pixels.permute(1, 2, 0).contiguous().cpu().numpy()
