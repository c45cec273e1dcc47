"""Pictures there and back within bounded memory."""

from collections import deque
from collections.abc import Callable, Iterator

from engine.render.frame import Planes

BUDGET_BYTES = 300_000_000
_WINDOW = 8  # pictures made again at once, at the least


def pictures_there_and_back(
    count: int, picture: Callable[[int], Planes], budget_bytes: int = BUDGET_BYTES
) -> Iterator[tuple[int, Planes]]:
    """Pictures 0 to count - 1, then count - 2 to 1, each with its number.

    The last ones forward are kept as far as the budget goes. Those before are made again on the
    way back, in runs as long as the budget allows: each run costs the decoder one key picture.
    """
    kept: deque[tuple[int, Planes]] = deque()
    held = largest = 0
    for index in range(count):
        planes = picture(index)
        yield index, planes
        if 0 < index < count - 1:
            kept.append((index, planes))
            held += planes.size_bytes
            largest = max(largest, planes.size_bytes)
            while held > budget_bytes:
                held -= kept.popleft()[1].size_bytes
    below = kept[0][0] if kept else count - 1
    while kept:
        yield kept.pop()
    window = max(_WINDOW, budget_bytes // max(1, largest))
    while below > 1:
        start = max(1, below - window)
        run = [(index, picture(index)) for index in range(start, below)]
        while run:
            yield run.pop()
        below = start
