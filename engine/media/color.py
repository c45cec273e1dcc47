"""What the numbers of a picture mean: matrix, range and transfer, as tagged or as guessed.

The codes are those of ITU-T H.273, which FFmpeg uses for every format.
"""

from functools import cache
from typing import NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

MATRIX_RGB = 0
MATRIX_709 = 1
MATRIX_UNKNOWN = 2
MATRIX_470BG = 5
MATRIX_601 = 6
MATRIX_240M = 7
MATRIX_2020 = 9

RANGE_UNKNOWN = 0
RANGE_LIMITED = 1
RANGE_FULL = 2

TRANSFER_709 = 1
TRANSFER_UNKNOWN = 2
TRANSFER_SRGB = 13
TRANSFER_PQ = 16
TRANSFER_HLG = 18

PRIMARIES_709 = 1
PRIMARIES_UNKNOWN = 2
PRIMARIES_2020 = 9

_KNOWN_MATRICES = {MATRIX_709, 4, MATRIX_470BG, MATRIX_601, MATRIX_240M, MATRIX_2020}
_HD_LINES = 720  # an untagged picture of fewer lines is taken for BT.601


class Tags(NamedTuple):
    """Matrix, range, transfer and primaries of a picture."""

    matrix: int
    range: int
    transfer: int
    primaries: int


RGB_TAGS = Tags(MATRIX_RGB, RANGE_FULL, TRANSFER_SRGB, PRIMARIES_709)
SD_TAGS = Tags(MATRIX_601, RANGE_LIMITED, 6, 6)  # SMPTE 170M throughout
HD_TAGS = Tags(MATRIX_709, RANGE_LIMITED, TRANSFER_709, PRIMARIES_709)


def is_rgb(pixel_format: str) -> bool:
    """Whether a format holds red, green and blue (or an index to them), not luma and chroma."""
    return av.VideoFormat(pixel_format).is_rgb or pixel_format == "pal8"


def tags_of(picture: av.VideoFrame) -> Tags:
    """The tags of a picture, with what is not said guessed as players do."""
    name = picture.format.name
    transfer, primaries = int(picture.color_trc), int(picture.color_primaries)
    if is_rgb(name):
        return Tags(MATRIX_RGB, RANGE_FULL, transfer, primaries)
    matrix = int(picture.colorspace)
    if matrix not in _KNOWN_MATRICES:
        matrix = MATRIX_709 if picture.height >= _HD_LINES else MATRIX_601
    spread = int(picture.color_range)
    if name.startswith("yuvj"):
        spread = RANGE_FULL
    elif spread not in (RANGE_LIMITED, RANGE_FULL):
        # FFmpeg's grey is full range unless a stream says otherwise.
        spread = RANGE_FULL if name.startswith("gray") else RANGE_LIMITED
    return Tags(matrix, spread, transfer, primaries)


def put_tags(picture: av.VideoFrame, tags: Tags) -> None:
    """Writes tags on a picture of our own making."""
    picture.colorspace = tags.matrix
    picture.color_range = tags.range
    picture.color_trc = tags.transfer
    picture.color_primaries = tags.primaries


def is_hdr(tags: Tags) -> bool:
    """Whether the picture is coded for bright screens (PQ, HLG): 8 bit needs a tone map."""
    return tags.transfer in (TRANSFER_PQ, TRANSFER_HLG)


def is_sd(matrix: int) -> bool:
    """Whether a matrix is BT.601's, under either of its names."""
    return matrix in (MATRIX_470BG, MATRIX_601)


def scaler_matrix(matrix: int) -> int:
    """The scaler's number of a matrix; it knows BT.601 under one name only."""
    return MATRIX_470BG if matrix in (MATRIX_470BG, MATRIX_601, MATRIX_RGB) else matrix


def tone_mapped(rgb: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """BT.709 8-bit RGB of BT.2020 RGB in PQ or HLG code values, 16 bit, (H, W, 3).

    Diffuse white (203 cd/m2, ITU-R BT.2408) and what is darker keep their place nearly; what is
    brighter is rolled off, by the largest of the three so that hues hold.
    """
    linear = np.take(_light(transfer), rgb)
    if transfer == TRANSFER_HLG:
        # The OOTF of BT.2100 for a screen of 1000 cd/m2.
        luma = linear @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        linear *= np.power(np.maximum(luma, 1e-6), 0.2)[:, :, None] * np.float32(1000 / 203)
    peak = np.maximum(linear.max(axis=2), np.float32(1e-6))
    over = np.maximum(peak - _KNEE, 0)
    rolled = np.minimum(peak, _KNEE) + (1 - _KNEE) * -np.expm1(-over / (1 - _KNEE))
    linear *= (rolled / peak)[:, :, None]
    narrow = np.clip(cv2.transform(linear, _FROM_2020), 0, 1)
    return np.asarray(np.rint(np.power(narrow, 1 / 2.4) * 255), np.uint8)


_KNEE = np.float32(0.6)
_FROM_2020 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)


@cache
def _light(transfer: int) -> NDArray[np.float32]:
    """Linear light of each 16-bit code; 1 is 203 cd/m2 for PQ, the peak for HLG."""
    code = np.linspace(0, 1, 65536)
    if transfer == TRANSFER_PQ:  # SMPTE ST 2084
        root = np.power(code, 1 / 78.84375)
        part = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
        return np.asarray(np.power(part, 1 / 0.1593017578125) * (10000 / 203), np.float32)
    # ARIB STD-B67
    bright = (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.asarray(np.where(code <= 0.5, code * code / 3, bright), np.float32)
