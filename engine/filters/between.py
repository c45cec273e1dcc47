"""Pictures between two that are given, moved as a clip of the same scene moves."""

from collections.abc import Iterator, Sequence

import numpy as np

from engine.filters.flow import look, motion
from engine.filters.pixels import Picture, sampled

LEAST, BEYOND_CUT = 1e-3, 1e-6  # of trust, so that a place that neither side knows shows both


def between(before: Picture, after: Picture, clip: Sequence[Picture]) -> Iterator[Picture]:
    """What lies between `before` and `after`, one for each picture of `clip` but its ends.

    before, after: (H, W, 3) RGB, made of the first and the last of `clip`, whose pictures may have
    another size. Where the motion of the clip is known it is followed, from both sides; across a
    cut only from that on the same side.
    """
    height, width = before.shape[:2]
    looks = [look(picture) for picture in clip]
    for number in range(1, len(looks) - 1):
        mixed = np.zeros((height, width, 3), np.float32)
        total = np.zeros((height, width, 1), np.float32)
        for end, made, share in (
            (looks[0], before, 1 - number / (len(looks) - 1)),
            (looks[-1], after, number / (len(looks) - 1)),
        ):
            moved = motion(end, looks[number], width, height)
            trust = moved.trust + np.float32(BEYOND_CUT if moved.is_cut else LEAST)
            weight = np.float32(share) * trust[:, :, None]
            mixed += weight * sampled(made.astype(np.float32), moved.across, moved.down)
            total += weight
        yield np.clip(np.rint(mixed / total), 0, 255).astype(np.uint8)
