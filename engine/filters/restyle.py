"""Restyling a run of pictures: each is styled by itself, then carried along the motion."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import EffectError
from engine.filters.cartoon import Cartoon
from engine.filters.flow import Motion, look, motion
from engine.filters.ink import Ink
from engine.filters.painterly import Painterly
from engine.filters.parallel import Workers, in_order
from engine.filters.pixels import Field, Picture, blurred, mixed, sampled, unit_of
from engine.timeline.parameters import Value

OUTGROWN = 0.16  # brightness by which a carried plate is off what is there now, and gives way
STEADIEST = 0.95  # share of the picture before at steadiness 100: more would never let go


class Style(Protocol):
    """How one picture is drawn, in two halves: what is carried comes between them.

    A plate is (h, w, C) at `size`. `keep`: (C,), the power to which the share of the plate before
    is taken; below 1 a channel is carried more faithfully. `shown`: the channels whose mean tells
    what the picture shows.
    """

    keep: Field
    shown: slice

    def size(self, width: int, height: int) -> tuple[int, int]: ...

    def plate(self, picture: Picture) -> Field: ...

    def settled(self, plate: Field, moved: Motion) -> Field: ...

    def finish(self, plate: Field, picture: Picture) -> Picture: ...


@dataclass(frozen=True)
class State:
    """What the next picture needs of the one before; exact, so that work can go on from it."""

    plate: Field
    look: Picture

    def arrays(self) -> dict[str, NDArray[np.float32] | NDArray[np.uint8]]:
        """For a file."""
        return {"plate": self.plate, "look": self.look}


def style_of(engine: str, values: dict[str, Value]) -> Style:
    """The style called `engine`, with checked values."""
    number = {name: float(value) for name, value in values.items() if not isinstance(value, str)}
    share = {name: value / 100 for name, value in number.items()}
    match engine:
        case "painterly":
            return Painterly(
                brush=number["brush"],
                stroke=share["stroke"],
                detail=share["detail"],
                relief=share["relief"],
                colour=share["colour"],
                seed=int(number["seed"]),
            )
        case "ink":
            return Ink(
                line=number["line"],
                detail=share["detail"],
                shading=str(values["shading"]),
                tone=share["tone"],
                spacing=number["spacing"],
                colour=share["colour"],
                ink=str(values["ink"]),
                paper=str(values["paper"]),
            )
        case "cartoon":
            return Cartoon(
                flatness=share["flatness"],
                colours=int(number["colours"]),
                softness=share["softness"],
                outline=share["outline"],
                line=number["line"],
                detail=share["detail"],
                colour=share["colour"],
            )
        case _:
            raise EffectError(f"There is no style «{engine}».")


def restyled(
    engine: str,
    values: dict[str, Value],
    pictures: Iterable[Picture],
    workers: Workers,
    state: State | None = None,
) -> Iterator[tuple[Picture, State]]:
    """Each picture in the style, with the state after it. `state`: of the picture before.

    The outcome does not depend on the number of workers.
    """
    style = style_of(engine, values)
    strength = float(values["strength"]) / 100
    share = STEADIEST * (float(values["steadiness"]) / 100) ** 0.35

    def drawn(picture: Picture, before: Picture | None) -> tuple[Picture, Field, Motion | None]:
        height, width = picture.shape[:2]
        moved = None
        if before is not None and share > 0:
            moved = motion(before, look(picture), *style.size(width, height))
        return picture, style.plate(picture), moved

    def finished(picture: Picture, plate: Field) -> Picture:
        return mixed(picture, style.finish(plate, picture), strength)

    def tasks() -> Iterator[tuple[Picture, Picture | None]]:
        before = state.look if state else None
        for picture in pictures:
            yield picture, before
            before = look(picture)

    def carried() -> Iterator[tuple[Picture, Field]]:
        plate = state.plate if state else None
        for picture, fresh, moved in in_order(workers, drawn, tasks()):
            plate = fresh if plate is None else carry(style, plate, fresh, moved, share)
            yield picture, plate

    states: list[State] = []

    def endings() -> Iterator[tuple[Picture, Field]]:
        for picture, plate in carried():
            states.append(State(plate, look(picture)))
            yield picture, plate

    for result in in_order(workers, finished, endings()):
        yield result, states.pop(0)


def carry(style: Style, before: Field, fresh: Field, moved: Motion | None, share: float) -> Field:
    """The fresh plate mixed with the one before, moved to where its parts are now."""
    if moved is None or moved.is_cut:
        return fresh
    brought = style.settled(sampled(before, moved.across, moved.down), moved)
    shares = np.power(np.float32(share), style.keep)
    gap = brought - fresh
    seen = blurred(gap[:, :, style.shown].mean(axis=2), 2 * unit_of(*gap.shape[1::-1]))
    trust = moved.trust * np.exp(-np.square(seen / np.float32(OUTGROWN)))
    gap *= trust[:, :, None] * shares
    return fresh + gap
