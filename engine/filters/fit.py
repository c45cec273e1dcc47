"""A picture in a size of another shape: cut to it, or with bars beside it."""

import cv2
import numpy as np

from engine.filters.pixels import Picture


def inner_size(size: tuple[int, int], width: int, height: int, fit: str) -> tuple[int, int]:
    """What a picture of `size` becomes in (width, height): smaller only where `fit` is "bars"."""
    if fit != "bars":
        return width, height
    scale = min(width / size[0], height / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def cropped(picture: Picture, width: int, height: int) -> Picture:
    """The middle of the picture in the shape of (width, height)."""
    rows, columns = picture.shape[:2]
    wanted_columns = min(columns, max(1, round(rows * width / height)))
    wanted_rows = min(rows, max(1, round(columns * height / width)))
    left, top = (columns - wanted_columns) // 2, (rows - wanted_rows) // 2
    return picture[top : top + wanted_rows, left : left + wanted_columns]


def barred(picture: Picture, width: int, height: int) -> Picture:
    """The picture in the middle of (width, height), black beside it."""
    rows, columns = picture.shape[:2]
    if (columns, rows) == (width, height):
        return picture
    left, top = (width - columns) // 2, (height - rows) // 2
    right, bottom = width - columns - left, height - rows - top
    border = (0, 0, 0, 255) if picture.shape[2] == 4 else (0, 0, 0)
    bars = cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=border)
    return np.asarray(bars, np.uint8)
