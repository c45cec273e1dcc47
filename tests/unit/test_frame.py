"""Pictures between native planes, 8-bit arrays and float: colours and shapes that hold."""

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.media import color
from engine.render.frame import (
    Planes,
    blended,
    converted,
    from_rgb8,
    from_rgba,
    plane_rows,
    retagged,
    to_bgra8,
    to_rgb8,
    to_rgba,
)

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (120, 60, 200)]
WEIGHTS = {color.MATRIX_601: (0.299, 0.114), color.MATRIX_709: (0.2126, 0.0722)}


def flat(rgb: tuple[int, ...], width: int = 32, height: int = 18) -> NDArray[np.uint8]:
    return np.full((height, width, len(rgb)), rgb, np.uint8)


def coded(rgb: tuple[int, int, int], matrix: int, spread: int) -> tuple[int, int, int]:
    """Y, Cb and Cr by the equations of ITU-R BT.601 and BT.709."""
    kr, kb = WEIGHTS[matrix]
    r, g, b = (value / 255 for value in rgb)
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
    if spread == color.RANGE_FULL:
        return round(255 * y), min(255, round(128 + 255 * cb)), min(255, round(128 + 255 * cr))
    return round(16 + 219 * y), round(128 + 224 * cb), round(128 + 224 * cr)


def yuv(values: tuple[int, int, int], size: tuple[int, int] = (64, 36)) -> Planes:
    picture = av.VideoFrame(*size, "yuv420p")
    for plane, value in zip(picture.planes, values, strict=True):
        plane_rows(plane, np.uint8)[:] = value
    return Planes(picture)


@pytest.mark.parametrize("rgb", COLOURS)
@pytest.mark.parametrize("matrix", [color.MATRIX_601, color.MATRIX_709])
@pytest.mark.parametrize("spread", [color.RANGE_LIMITED, color.RANGE_FULL])
def test_tagged_colours_come_out_right(rgb: tuple[int, int, int], matrix: int, spread: int) -> None:
    planes = yuv(coded(rgb, matrix, spread))
    color.put_tags(planes.picture, color.Tags(matrix, spread, 2, 2))
    assert np.abs(to_rgb8(planes).astype(int) - rgb).max() <= 2
    assert np.abs(to_rgb8(planes, 16, 10).astype(int) - rgb).max() <= 2
    assert np.abs(to_bgra8(planes, 20, 12)[..., 2::-1].astype(int) - rgb).max() <= 2


@pytest.mark.parametrize(("lines", "matrix"), [(576, color.MATRIX_601), (720, color.MATRIX_709)])
def test_untagged_colours_are_guessed_by_size(lines: int, matrix: int) -> None:
    planes = yuv(coded((200, 40, 90), matrix, color.RANGE_LIMITED), (64, lines))
    assert np.abs(to_rgb8(planes).astype(int) - (200, 40, 90)).max() <= 2


@pytest.mark.parametrize("rgb", COLOURS)
def test_rgb_becomes_bt709_and_comes_back(rgb: tuple[int, int, int]) -> None:
    planes = converted(from_rgb8(flat(rgb)), "yuv420p")
    found = tuple(int(plane_rows(plane, np.uint8)[0, 0]) for plane in planes.picture.planes)
    wanted = coded(rgb, color.MATRIX_709, color.RANGE_LIMITED)
    assert np.abs(np.subtract(found, wanted)).max() <= 1
    assert planes.picture.colorspace == color.MATRIX_709
    assert planes.picture.color_range == color.RANGE_LIMITED
    assert np.abs(to_rgb8(planes).astype(int) - rgb).max() <= 2


def test_nothing_to_do_gives_the_same_object() -> None:
    planes = yuv((100, 100, 100))
    assert converted(planes, "yuv420p", 64, 36) is planes
    assert retagged(planes, "yuv420p", color.SD_TAGS) is planes
    assert retagged(planes, "yuv420p", color.HD_TAGS) is not planes


def test_conversion_leaves_the_shared_picture_alone() -> None:
    planes = yuv((100, 120, 140))
    before = color.tags_of(planes.picture), planes.picture.colorspace
    to_rgb8(planes)
    retagged(planes, "yuv420p", color.HD_TAGS)
    assert (color.tags_of(planes.picture), planes.picture.colorspace) == before


@pytest.mark.parametrize("shape", [(18, 32, 3), (17, 31, 3), (17, 31, 4)])
def test_arrays_come_back_byte_for_byte(shape: tuple[int, int, int]) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    array[..., 3:] = 255
    planes = from_rgb8(array)
    assert np.array_equal(to_rgb8(planes), array[..., :3])
    assert planes.has_alpha == (shape[2] == 4)
    array[:] = 0
    assert to_rgb8(planes).any()


def test_float_is_premultiplied_and_goes_back() -> None:
    array = flat((200, 100, 50, 128))
    rgba = to_rgba(from_rgb8(array))
    assert rgba.dtype == np.float32
    assert np.allclose(rgba[0, 0], np.array([200, 100, 50, 255]) / 255 * 128 / 255, atol=1e-5)
    back = from_rgba(rgba)
    assert back.has_alpha
    assert np.abs(to_rgba(back) - rgba).max() < 1 / 255
    opaque = from_rgba(to_rgba(from_rgb8(flat((200, 100, 50)))))
    assert opaque.format == "rgb24"
    assert np.array_equal(to_rgb8(opaque), flat((200, 100, 50)))


def test_ten_bits_keep_their_depth_in_float() -> None:
    shades = []
    for level in range(500, 505):
        picture = av.VideoFrame(32, 18, "yuv420p10le")
        for plane, value in zip(picture.planes, (level, 512, 512), strict=True):
            plane_rows(plane, np.uint16)[:] = value
        color.put_tags(picture, color.HD_TAGS)
        shades.append(float(to_rgba(Planes(picture))[5, 5, 1]))
    assert np.allclose(shades, (np.arange(500, 505) - 64) / 876, atol=1 / 400)
    assert np.allclose(np.diff(shades), 1 / 876, atol=2e-4)


def test_transparency_is_over_black_on_screen() -> None:
    planes = from_rgb8(flat((200, 100, 50, 0)))
    assert not to_rgb8(planes).any()
    assert to_bgra8(planes, 32, 18)[0, 0].tolist() == [0, 0, 0, 255]
    half = to_rgb8(from_rgb8(flat((200, 100, 50, 128))))
    assert np.abs(half[0, 0].astype(int) - (100, 50, 25)).max() <= 1


def test_the_screen_s_buffer_is_filled_in_place() -> None:
    out = np.zeros((9, 16, 4), np.uint8)
    assert to_bgra8(from_rgb8(flat((9, 8, 7))), 16, 9, out) is out
    assert out[3, 3].tolist() == [7, 8, 9, 255]


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p", "rgb24", "nv12", "yuv420p10le", "gbrp"])
def test_blends_stay_in_their_format(name: str) -> None:
    first = converted(from_rgb8(flat((250, 20, 60))), name)
    second = converted(from_rgb8(flat((50, 220, 160))), name)
    mixed = blended(first, second, 0.25)
    assert mixed.format == name
    assert np.abs(to_rgb8(mixed).astype(int) - (200, 70, 85)).max() <= 3
    assert np.abs(to_rgb8(first).astype(int) - (250, 20, 60)).max() <= 3


def test_blends_of_unlike_pictures_take_the_first_one_s_form() -> None:
    first = converted(from_rgb8(flat((250, 20, 60))), "yuv420p")
    second = from_rgb8(flat((50, 220, 160), 20, 40))
    mixed = blended(first, second, 0.5)
    assert (mixed.format, mixed.width, mixed.height) == ("yuv420p", 32, 18)
    assert np.abs(to_rgb8(mixed).astype(int) - (150, 120, 110)).max() <= 3


def test_blends_of_transparent_pictures_are_premultiplied() -> None:
    mixed = blended(from_rgb8(flat((255, 0, 0, 255))), from_rgb8(flat((0, 255, 0, 0))), 0.5)
    rgba = to_rgba(mixed)[0, 0]
    assert np.allclose(rgba, [0.5, 0, 0, 0.5], atol=0.01)


@pytest.mark.parametrize("transfer", [color.TRANSFER_PQ, color.TRANSFER_HLG])
def test_hdr_is_mapped_for_eight_bits(transfer: int) -> None:
    shades = []
    for level in np.linspace(64, 940, 8):
        picture = av.VideoFrame(32, 18, "yuv420p10le")
        for plane, value in zip(picture.planes, (round(level), 512, 512), strict=True):
            plane_rows(plane, np.uint16)[:] = value
        tags = color.Tags(color.MATRIX_2020, color.RANGE_LIMITED, transfer, color.PRIMARIES_2020)
        color.put_tags(picture, tags)
        shade = to_rgb8(Planes(picture))[5, 5].astype(int)
        assert np.ptp(shade) <= 2
        shades.append(int(shade[1]))
    assert shades[0] <= 1
    assert shades == sorted(shades)
    assert shades[-1] >= 250
