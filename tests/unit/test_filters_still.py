"""The camera move and the upscale."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.filters.camera import CameraMove
from engine.filters.lanczos import upscaled
from tests.support.moving import textured

STILL = textured(1, width=200, height=140, noise=0)[0]
MOVES = (
    "push-in",
    "pull-out",
    "pan-left",
    "pan-right",
    "pan-up",
    "pan-down",
    "diagonal",
    "sway",
)


def camera(
    move: str,
    *,
    loop: bool = False,
    easing: str = "smooth",
    frames: int = 25,
    amount: float = 0.4,
    still: NDArray[np.uint8] = STILL,
    size: tuple[int, int] = (200, 140),
) -> CameraMove:
    return CameraMove(
        still,
        *size,
        frames,
        move=move,
        amount=amount,
        easing=easing,
        loop=loop,
        focus_x=0.4,
        focus_y=0.6,
    )


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("easing", ["smooth", "linear", "ease-in", "ease-out"])
def test_the_camera_never_leaves_the_picture(move: str, loop: bool, easing: str) -> None:
    made = camera(move, loop=loop, easing=easing)
    for number in range(25):
        view = made.view(number)
        half_width = 0.5 / view.zoom * (np.cos(view.tilt) + 140 / 200 * abs(np.sin(view.tilt)))
        half_height = 0.5 / view.zoom * (np.cos(view.tilt) + 200 / 140 * abs(np.sin(view.tilt)))
        assert view.zoom >= 1
        assert half_width - 1e-9 <= view.x <= 1 - half_width + 1e-9
        assert half_height - 1e-9 <= view.y <= 1 - half_height + 1e-9


@pytest.mark.parametrize("move", MOVES)
def test_a_loop_comes_back_without_a_jump(move: str) -> None:
    made = camera(move, loop=True, easing="linear", frames=24)
    steps = [
        np.abs(np.subtract(made.view(number), made.view((number + 1) % 24))).max()
        for number in range(24)
    ]
    assert steps[-1] <= 1.01 * max(steps[:-1])
    assert max(steps) > 0


@pytest.mark.parametrize("move", MOVES)
def test_the_picture_moves(move: str) -> None:
    made = camera(move)
    difference = np.abs(made.frame(0).astype(int) - made.frame(24)).mean()
    assert difference > 5


def test_a_slow_move_is_smooth_below_a_pixel() -> None:
    made = camera("pan-right", amount=0.05, frames=100, easing="linear")
    frames = [made.frame(number).astype(np.float64) for number in range(40, 46)]
    steps = [float(np.abs(b - a).mean()) for a, b in pairwise(frames)]
    assert min(steps) > 0.5 * max(steps)


def test_no_move_shows_the_picture_as_it_is() -> None:
    frame = camera("push-in", amount=0.0).frame(3)
    assert np.abs(frame.astype(int) - STILL).max() <= 1


def test_a_large_still_is_not_aliased() -> None:
    stripes = np.zeros((1200, 1200, 3), np.uint8)
    stripes[:, ::2] = 255
    frame = camera("push-in", still=stripes, size=(150, 150)).frame(0)
    assert float(frame.std()) < 12


def test_transparency_moves_along() -> None:
    alpha = np.zeros((140, 200, 1), np.uint8)
    alpha[:, 100:] = 255
    frame = camera("push-in", still=np.dstack((STILL, alpha))).frame(24)
    assert frame.shape == (140, 200, 4)
    assert frame[:, :60, 3].max() == 0
    assert frame[:, 160:, 3].min() == 255


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_an_upscale_is_exactly_the_factor(scale: int) -> None:
    made = upscaled(STILL[:33, :57], 57 * scale, 33 * scale, fit="stretch", deblock=0.3, detail=0.4)
    assert made.shape == (33 * scale, 57 * scale, 3)


def test_an_upscale_is_true_to_the_source() -> None:
    small = np.asarray(cv2.resize(STILL, (100, 70), interpolation=cv2.INTER_AREA), np.uint8)
    made = upscaled(small, 200, 140, fit="stretch", deblock=0.0, detail=0.3)
    plain = cv2.resize(small, (200, 140), interpolation=cv2.INTER_LINEAR)
    error = float(np.square(made.astype(float) - STILL).mean())
    assert error < float(np.square(plain.astype(float) - STILL).mean())


def test_deblocking_smooths_block_edges() -> None:
    flat = np.full((64, 64, 3), 120, np.uint8)
    flat[:, 8:] += 5
    made = upscaled(flat, 128, 128, fit="stretch", deblock=1.0, detail=0.0)
    plain = upscaled(flat, 128, 128, fit="stretch", deblock=0.0, detail=0.0)
    assert np.abs(np.diff(made[64].astype(int), axis=0)).max() < (
        np.abs(np.diff(plain[64].astype(int), axis=0)).max()
    )


@pytest.mark.parametrize("fit", ["crop", "bars", "stretch"])
def test_any_size_is_exactly_met(fit: str) -> None:
    made = upscaled(STILL, 300, 300, fit=fit, deblock=0.3, detail=0.4)
    assert made.shape == (300, 300, 3)
    assert (made[:20].max() == 0) == (fit == "bars")


def test_transparency_is_enlarged_too() -> None:
    alpha = np.zeros((140, 200, 1), np.uint8)
    alpha[:, 100:] = 255
    made = upscaled(np.dstack((STILL, alpha)), 400, 280, fit="stretch", deblock=0.3, detail=0.4)
    assert made.shape == (280, 400, 4)
    assert made[:, :190, 3].max() == 0
    assert made[:, 210:, 3].min() == 255
