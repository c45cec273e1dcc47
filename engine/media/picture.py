"""Single pictures as files."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import OutputError
from engine.files import write_whole
from engine.media.output import writing

SUFFIXES = (".png", ".jpg", ".jpeg")
_JPEG_QUALITY = 95


def write_picture(path: Path, rgb: NDArray[np.uint8]) -> None:
    """(H, W, 3) as a PNG or JPEG, by the name; whole or not at all. Raises OutputError."""
    options = [] if path.suffix.lower() == ".png" else [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    done, data = cv2.imencode(path.suffix.lower(), np.ascontiguousarray(rgb[:, :, ::-1]), options)
    if not done:
        raise OutputError(f"«{path.name}» cannot be written.", "Choose .png or .jpg.")
    with writing(path):
        write_whole(path, data.tobytes())
