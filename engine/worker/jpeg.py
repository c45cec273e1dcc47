"""Small JPEG pictures for cards and strips; in the children only."""

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import MediaError


def encoded(rgb: NDArray[np.uint8], width: int, quality: int = 82) -> bytes:
    """`rgb`: (H, W, 3). Scaled down to `width`, never up."""
    if rgb.shape[1] > width:
        height = max(1, round(rgb.shape[0] * width / rgb.shape[1]))
        rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(
        ".jpg", np.ascontiguousarray(rgb[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise MediaError(f"A picture of {rgb.shape[1]} × {rgb.shape[0]} cannot be shown.")
    return data.tobytes()
