"""Motion between two pictures of a clip, and how far it can be trusted."""

from dataclasses import dataclass

import cv2
import numpy as np

from engine.filters.pixels import Field, Picture, blurred, enlarged, fitted, grid, resized, sampled

LONG_SIDE = 640  # of the pictures in which motion is sought
TOLERANCE = 26.0  # grey levels by which a moved pixel may differ and still be half trusted
DOUBT = 2.2  # a motion that takes away nearly half of what differs between pictures is believed
CUT_TRUST = 0.3  # mean trust below which two pictures are of different scenes


@dataclass(frozen=True)
class Motion:
    """From the present picture back to the one before.

    `across`, `down`: (H, W), where each pixel was. `trust`: (H, W), 0 (came into sight, or cannot
    be told) to 1. `is_cut`: another scene begins; trust is 0 everywhere.
    """

    across: Field
    down: Field
    trust: Field
    is_cut: bool


def look(picture: Picture) -> Picture:
    """The small copy of an RGB picture that `motion` works on."""
    height, width = picture.shape[:2]
    return resized(picture, *fitted(width, height, LONG_SIDE))


def motion(before: Picture, now: Picture, width: int, height: int) -> Motion:
    """Motion between two `look`s, at the size (width, height)."""
    small_height, small_width = now.shape[:2]
    back = _sought(now, before)
    forth = _sought(before, now)
    x, y = grid(small_width, small_height)
    across, down = x + back[:, :, 0], y + back[:, :, 1]
    returned = sampled(forth, across, down)
    astray = np.square(back + returned).sum(axis=2)
    reach = np.square(back).sum(axis=2) + np.square(returned).sum(axis=2)
    trust = np.clip(1.75 - astray / (0.02 * reach + 0.6), 0.0, 1.0)
    trust *= (across > -1) & (across < small_width) & (down > -1) & (down < small_height)
    # The blur comes before the size, so that noise and dither cancel out.
    sought, found = _float(before), _float(now)
    difference = blurred(sampled(sought, across, down) - found, 1.5)
    worst = np.abs(difference).max(axis=2)
    tolerance = max(TOLERANCE, 2.5 * float(np.median(worst)))  # a noisy clip differs everywhere
    trust *= np.exp(-np.square(worst / tolerance) * np.float32(0.7))
    if float(trust.mean()) < CUT_TRUST:
        still_x, still_y = grid(width, height)
        return Motion(still_x.copy(), still_y.copy(), np.zeros((height, width), np.float32), True)
    trust = cv2.erode(trust.astype(np.float32), np.ones((3, 3), np.uint8))
    back *= _borne_out(blurred(sought - found, 1.5), difference)[:, :, None]
    scale_x, scale_y = width / small_width, height / small_height
    flow = enlarged(back, width, height, smooth=False) * np.array([scale_x, scale_y], np.float32)
    x, y = grid(width, height)
    softened = enlarged(blurred(np.asarray(trust, np.float32), 1.0), width, height, smooth=False)
    return Motion(x + flow[:, :, 0], y + flow[:, :, 1], softened, False)


def _borne_out(still: Field, moved: Field) -> Field:
    """0 to 1: how far motion makes two pictures more alike than standing still does.

    Where nothing shows which way a thing went, a search finds noise; there it stands.
    """
    before, after = (blurred(np.square(one).sum(axis=2), 3.0) for one in (still, moved))
    gain = np.clip(DOUBT * (before - after) / (before + np.float32(0.01)), 0, 1)
    return blurred(np.asarray(gain, np.float32), 2.0)


def _sought(start: Picture, end: Picture) -> Field:
    """(H, W, 2): where each pixel of `start` lies in `end`, as a shift in pixels."""
    height, width = start.shape[:2]
    if min(width, height) < 32:
        return np.zeros((height, width, 2), np.float32)  # too small for the search's patches
    search = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_FAST)
    search.setFinestScale(1)
    search.setVariationalRefinementIterations(5)
    shift = np.zeros((height, width, 2), np.float32)
    return np.asarray(search.calc(_grey(start), _grey(end), shift), np.float32)


def _grey(picture: Picture) -> Picture:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.8), np.uint8)


def _float(picture: Picture) -> Field:
    return picture.astype(np.float32)
