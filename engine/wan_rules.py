"""Which lengths and sizes Wan can make, and the nearest good ones; no torch, no numpy.

A latent frame is four frames, but the first is one alone: lengths are 4 n + 1. A latent cell is
8 pixels and the model takes them two by two: sides are multiples of 16.
"""

from fractions import Fraction
from math import isqrt

FRAMES = 4  # frames of a latent frame
CELL = 8  # pixels along a latent cell
SIDE = 16  # pixels along a model's patch
CHANNELS = 16  # of a latent
AREAS = {"240p": 416 * 240, "480p": 832 * 480, "720p": 1280 * 720}  # of a picture, in pixels
RATE = 16  # frames a second that Wan 2.1 was trained at


def is_good_length(frames: int) -> bool:
    """Whether a clip of so many frames can be made."""
    return frames >= 1 and frames % FRAMES == 1


def shorter_length(frames: int) -> int:
    """The longest good length of at most `frames`: what encoding keeps of a clip."""
    return max(1, (frames - 1) // FRAMES * FRAMES + 1)


def longer_length(frames: int) -> int:
    """The shortest good length of at least `frames`."""
    return max(1, -(-(frames - 1) // FRAMES) * FRAMES + 1)


def nearest_length(frames: int) -> int:
    """The good length nearest to `frames`; of two, the longer."""
    shorter, longer = shorter_length(frames), longer_length(frames)
    return shorter if frames - shorter < longer - frames else longer


def length_of_time(seconds: Fraction, rate: Fraction = Fraction(RATE)) -> int:
    """The shortest good length that lasts `seconds` at `rate` frames a second."""
    return longer_length(-(-(seconds * rate).numerator // (seconds * rate).denominator))


def latent_frames(frames: int) -> int:
    """Latent frames of a clip; what is left over past the last whole one is dropped."""
    return (max(frames, 1) - 1) // FRAMES + 1


def frames_of_latents(count: int) -> int:
    """Frames that so many latent frames become."""
    return FRAMES * (count - 1) + 1


def is_good_size(width: int, height: int) -> bool:
    """Whether pictures of this size can be made."""
    return min(width, height) >= SIDE and width % SIDE == height % SIDE == 0


def nearest_size(width: int, height: int) -> tuple[int, int]:
    """The good size nearest to this one, each side by itself; of two, the larger."""
    return _nearest_side(width), _nearest_side(height)


def size_for_area(area: int, width: int, height: int) -> tuple[int, int]:
    """Width and height of at most about `area` pixels, shaped like a picture of this size.

    Each side is the published one, rounded down; in whole numbers, so that a picture of a good
    size and its own area keep it.
    """
    across = isqrt(area * width // height) // SIDE * SIDE
    down = isqrt(area * height // width) // SIDE * SIDE
    return max(SIDE, across), max(SIDE, down)


def shown_size(area: int, width: int, height: int) -> tuple[int, int]:
    """As large as the model's picture of `area`, shaped like a picture of this size; even sides."""
    across, down = size_for_area(area, width, height)
    scale = max(across / width, down / height)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def latent_shape(frames: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Channels, frames, height and width of the latents of a clip, in the order noise is drawn."""
    return CHANNELS, latent_frames(frames), height // CELL, width // CELL


def _nearest_side(pixels: int) -> int:
    return max(SIDE, (pixels + SIDE // 2) // SIDE * SIDE)
