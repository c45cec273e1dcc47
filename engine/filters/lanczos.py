"""Upscale «lanczos»: deblocking, Lanczos resampling and a little more detail."""

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.filters.fit import barred, cropped, inner_size
from engine.filters.pixels import LUMA, Picture, premultiplied, resized, straightened


def upscaled(
    picture: Picture, width: int, height: int, *, fit: str, deblock: float, detail: float
) -> Picture:
    """The picture at (width, height). `deblock`, `detail`: 0..1.

    `fit`, where the shapes differ: "crop" fills the size, "bars" shows all, else it is stretched.
    """
    clean = _deblocked(picture, deblock) if deblock > 0 else picture
    inner = inner_size((clean.shape[1], clean.shape[0]), width, height, fit)
    if fit == "crop":
        clean = cropped(clean, width, height)
    result = resampled(clean, *inner)
    if detail > 0:
        result = _sharpened(result, max(1.0, inner[0] / clean.shape[1]), detail)
    return barred(result, width, height)


def _deblocked(picture: Picture, amount: float) -> Picture:
    """Small steps smoothed, as blocks and ringing make them; edges stay."""
    smooth = np.asarray(
        cv2.bilateralFilter(
            np.ascontiguousarray(picture[:, :, :3]), 5, 6.0 + 26.0 * amount, 1.0 + 1.2 * amount
        ),
        np.uint8,
    )
    share = min(1.0, 0.35 + amount)
    mixed = cv2.addWeighted(smooth, share, picture[:, :, :3].copy(), 1 - share, 0)
    return np.dstack((np.asarray(mixed, np.uint8), picture[:, :, 3:]))


def resampled(picture: Picture, width: int, height: int) -> Picture:
    """The picture at another size, stretched."""
    rows, columns = picture.shape[:2]
    if width < columns or height < rows:
        return straightened(resized(premultiplied(picture), width, height))
    larger = cv2.resize(premultiplied(picture), (width, height), interpolation=cv2.INTER_LANCZOS4)
    return straightened(np.asarray(larger, np.uint8))


def _sharpened(picture: Picture, scale: float, amount: float) -> Picture:
    """More of what is finer than the resampling can hold, least where an edge would ring."""
    colour = np.ascontiguousarray(picture[:, :, :3])
    light = np.asarray(cv2.transform(colour, LUMA), np.uint8)
    around = np.asarray(cv2.GaussianBlur(light, (0, 0), 0.55 * scale + 0.35), np.uint8)
    fine = np.asarray(cv2.subtract(light, around, dtype=cv2.CV_16S), np.int16)
    gain = _gains(amount)[fine + 255]
    added = cv2.add(colour, cv2.merge((gain, gain, gain)), dtype=cv2.CV_8U)
    return np.dstack((np.asarray(added, np.uint8), picture[:, :, 3:]))


def _gains(amount: float) -> NDArray[np.int16]:
    """What is added for a difference of -255 to 255: much for faint detail, little for edges."""
    difference = np.arange(-255, 256, dtype=np.float64)
    gain = 2.2 * amount * difference / (1 + np.square(difference / 22))
    return np.asarray(np.rint(gain), np.int16)
