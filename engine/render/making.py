"""One effect over a run of pictures: from the effect table's names to the filters."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np

from engine.filters.camera import CameraMove
from engine.filters.lanczos import upscaled
from engine.filters.parallel import Workers, in_order
from engine.filters.pixels import Picture
from engine.filters.restyle import State, restyled
from engine.render.frame import Planes, converted, from_rgb8, plane_rows, to_rgb8
from engine.render.keys import Stage


class Made(NamedTuple):
    """A finished picture; `state`: what the next one needs of it, where effects carry a state."""

    picture: Picture
    state: State | None


def picture_of(planes: Planes, alpha: bool) -> Picture:
    """(H, W, 3) RGB, or with `alpha` (H, W, 4) straight RGBA."""
    if not alpha:
        return to_rgb8(planes)
    rgba = converted(planes, "rgba").picture
    rows = plane_rows(rgba.planes[0], np.uint8)
    return rows[:, : rgba.width * 4].reshape(rgba.height, rgba.width, 4).copy()


def planes_of(picture: Picture) -> Planes:
    """The opposite of `picture_of`."""
    return from_rgb8(picture)


def stream(
    stage: Stage, pictures: Iterable[Picture], workers: Workers, state: State | None
) -> Iterator[Made]:
    """An effect with a state over pictures in order; transparency stays as it is."""
    alphas: deque[Picture | None] = deque()

    def colours() -> Iterator[Picture]:
        for picture in pictures:
            has_alpha = picture.shape[2] == 4
            alphas.append(picture[:, :, 3:] if has_alpha else None)
            yield np.ascontiguousarray(picture[:, :, :3]) if has_alpha else picture

    for picture, after in restyled(stage.engine.name, stage.values, colours(), workers, state):
        alpha = alphas.popleft()
        yield Made(picture if alpha is None else np.dstack((picture, alpha)), after)


def enlarged(stage: Stage, pictures: Iterable[Picture], workers: Workers) -> Iterator[Made]:
    """An upscale of each picture by itself."""
    values, size = stage.values, (stage.after.width, stage.after.height)
    fit = str(values["fit"]) if values["scale"] == "size" else "stretch"
    deblock, detail = float(values["deblock"]) / 100, float(values["detail"]) / 100

    def larger(picture: Picture) -> Made:
        result = upscaled(picture, *size, fit=fit, deblock=deblock, detail=detail)
        return Made(result, None)

    return in_order(workers, larger, ((picture,) for picture in pictures))


def moved(
    stage: Stage, still: Callable[[], Picture], start: int, stop: int, workers: Workers
) -> Iterator[Made]:
    """Frames start to stop - 1 of a camera move over a picture."""
    values = stage.values
    camera = CameraMove(
        still(),
        stage.after.width,
        stage.after.height,
        stage.after.frames,
        move=str(values["move"]),
        amount=float(values["amount"]) / 100,
        easing=str(values["easing"]),
        loop=bool(values["loop"]),
        focus_x=float(values["focus_x"]) / 100,
        focus_y=float(values["focus_y"]) / 100,
    )

    def shown(number: int) -> Made:
        return Made(camera.frame(number), None)

    return in_order(workers, shown, ((number,) for number in range(start, stop)))


def save_state(state: State, path: Path) -> None:
    """Writes a state so that it reads back to the last bit."""
    with path.open("wb") as file:
        np.savez(file, plate=state.plate, look=state.look)


def load_state(path: Path) -> State | None:
    """The state in a file; None where it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return State(
                np.asarray(arrays["plate"], np.float32), np.asarray(arrays["look"], np.uint8)
            )
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
