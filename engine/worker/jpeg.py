"""Small JPEG pictures for cards and strips; in the children only."""

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import MediaError


def encoded(rgb: NDArray[np.uint8], side: int, quality: int = 82) -> bytes:
    """`rgb`: (H, W, 3). Scaled down so that no side is longer than `side`, never up."""
    height, width = rgb.shape[:2]
    scale = side / max(width, height)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(
        ".jpg", np.ascontiguousarray(rgb[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise MediaError(f"A picture of {rgb.shape[1]} × {rgb.shape[0]} cannot be shown.")
    return data.tobytes()
