"""FlashVSR over a clip in segments that never depend on which part of it is asked for.

Keys and values reach further back than any warm-up, so a stream that begins elsewhere gives other
pixels. Streams therefore begin at fixed places: at the lines of a grid over the clip, a little
before them to warm up, and at cuts. Any span has the pixels that the whole clip has.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.models.cuts import Shots, Source
from engine.models.flashvsr.decoder import FRAMES
from engine.models.flashvsr.pipeline import Models, Settings, Stepping, Stream, upscaled
from engine.models.flashvsr.preparation import Placement
from engine.models.flashvsr.tiles import TiledStream, Tiles, boxes

__all__ = ["Ask", "Source", "Tiles", "restored"]

SEEN = 0.25  # levels of 255: a smaller mean step at a grid line is left as it is

WHOLE = Tiles()

OnStep = Callable[[int, float], None]


@dataclass(frozen=True)
class Ask:
    """What is wanted of a clip.

    place: of the result. grid: frames of a segment; 0: one stream over the whole clip, as
    published, whatever cuts it has. warm_up: frames before a grid line that are computed and
    dropped; over the last `blend` of them a step that can be seen is blended. cuts: whether a
    stream ends where the picture changes to another shot.
    """

    place: Placement
    settings: Settings
    seed: int = 0
    grid: int = 480
    warm_up: int = 24
    blend: int = 8
    tiles: Tiles = WHOLE
    cuts: bool = True

    def __post_init__(self) -> None:
        """Holds the lengths to one another."""
        assert 0 <= self.blend <= self.warm_up, (self.blend, self.warm_up)
        assert self.grid == 0 or self.warm_up <= self.grid, (self.warm_up, self.grid)


def restored(
    models: Models,
    source: Source,
    span: range,
    ask: Ask,
    check: Callable[[], None],
    on_step: OnStep | None = None,
) -> Iterator[Tensor]:
    """Frames of `span`, (H, W, 3) uint8 at the placement's scaled size, in order.

    `check` is called at each transformer block, tile and frame, and may raise. `on_step` hears of
    each grid line that is passed and of the step there: the mean difference, in levels of 255,
    that its two sides have in the frames before it.
    """
    span = range(max(span.start, 0), min(span.stop, source.count))
    if not span:
        return
    run = _Run(models, source, ask, check, on_step)
    for number, picture in run.numbered(span.start, span.stop):
        if number in span:
            check()
            yield picture


class _Run:
    """One way through a clip."""

    def __init__(
        self,
        models: Models,
        source: Source,
        ask: Ask,
        check: Callable[[], None],
        on_step: OnStep | None,
    ) -> None:
        self._models = models
        self._ask = ask
        self._check = check
        self._on_step = on_step
        self._count = source.count
        self._shots = Shots(source, ask.cuts and ask.grid > 0, check)
        self._condition = models.condition()

    def numbered(self, first: int, stop: int) -> Iterator[tuple[int, Tensor]]:
        """Pictures with their numbers: `first` .. `stop` - 1, and some before and after them.

        A piece of the clip ends at a grid line or a cut. At a line the next stream is warmed up
        before the last pictures of the old one are given, as these may be blended.
        """
        grid = self._ask.grid or self._count
        begin = self._begin(first)
        frames = self._frames(begin)
        while first < stop:
            line = (first // grid + 1) * grid
            tail: list[Tensor] = []
            for number, picture in frames:
                first = number + 1
                if line - self._ask.blend <= number and line < self._count:
                    tail.append(picture)
                else:
                    yield number, picture
                    if first >= stop:
                        return
                if first == line:
                    break
            following = self._begin(first)
            if following != begin:
                frames.close()
                begin, frames = following, self._frames(following)
                if begin < first:
                    tail = self._joined(tail, frames, first)
            else:
                assert first == line, f"the source ends at picture {first} of {self._count}"
            yield from zip(range(first - len(tail), first), tail, strict=True)

    def _begin(self, number: int) -> int:
        """Where the stream begins that makes the picture `number`."""
        if not self._ask.grid:
            return 0
        warm = max(0, number // self._ask.grid * self._ask.grid - self._ask.warm_up)
        return self._shots.last_cut(warm + 1, number + 1) or warm

    def _frames(self, begin: int) -> Generator[tuple[int, Tensor], None, None]:
        """The pictures, numbered, of a stream that begins at `begin`, to the end of its shot.

        Latent frames have absolute numbers, by which their noise is drawn: the number of a
        stream's first one is its first picture's divided by 4. So where a stream begins at a
        multiple of 4, both sides of a grid line have the same noise.
        """
        place, settings, tiles = self._ask.place, self._ask.settings, self._ask.tiles
        stream: Stepping
        if len(boxes(place, tiles)) > 1:
            stream = TiledStream(self._models, place, tiles, settings, self._check, self._condition)
        else:
            stream = Stream(self._models, settings, self._check, self._condition)
        made = upscaled(
            self._models,
            self._shots.pictures(begin),
            place,
            settings,
            self._ask.seed,
            self._check,
            stream,
            begin // FRAMES,
        )
        yield from enumerate(made, begin)

    def _joined(
        self, old: list[Tensor], frames: Iterator[tuple[int, Tensor]], line: int
    ) -> list[Tensor]:
        """The last pictures before a line, from both of its sides; leaves `frames` at the line."""
        new: list[Tensor] = []
        for number, picture in frames:
            if number >= line - len(old):
                new.append(picture)
            if number == line - 1:
                break
        if not old:
            return []
        step = sum(_mean_step(a, b) for a, b in zip(old, new, strict=True)) / len(old)
        if self._on_step is not None:
            self._on_step(line, step)
        if step <= SEEN:
            return old
        return [
            torch.lerp(a.float(), b.float(), (i + 1) / (len(old) + 1)).round().byte()
            for i, (a, b) in enumerate(zip(old, new, strict=True))
        ]


def _mean_step(a: Tensor, b: Tensor) -> float:
    """Mean absolute difference in levels."""
    return float((a.short() - b.short()).abs().float().mean(dtype=torch.float64))
