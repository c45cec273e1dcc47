"""What FlashVSR reads: resized as Pillow does, every pixel kept, and back to the wanted size."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from engine.models.flashvsr.preparation import (  # noqa: E402
    bicubic,
    fitted,
    placement,
    prepared,
    scaled_size,
    signal,
    to_picture,
)


@settings(max_examples=30, deadline=None)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
def test_padding_keeps_every_pixel(width: int, height: int) -> None:
    place = placement(width, height)
    assert place.width % 128 == place.height % 128 == 0
    assert place.width - width < 128
    picture = (torch.rand(height, width, 3) * 255).byte()
    read = prepared(picture, place)
    assert read.shape == (3, place.height, place.width)
    assert torch.equal(to_picture(place.restored(read)), picture)


def test_padding_repeats_the_edge() -> None:
    picture = torch.arange(100 * 100 * 3).reshape(100, 100, 3).remainder(251).byte()
    read = prepared(picture, placement(100, 100))
    assert torch.equal(read[:, 0], read[:, 14])
    assert torch.equal(read[:, :, -1], read[:, :, -15])


def test_cropping_takes_the_middle() -> None:
    picture = (torch.rand(200, 300, 3) * 255).byte()
    place = placement(300, 200, fit="crop")
    assert (place.width, place.height, place.left, place.top) == (256, 128, 22, 36)
    assert torch.equal(to_picture(prepared(picture, place)), picture[36:164, 22:278])


def test_a_small_picture_is_padded_even_where_others_are_cropped() -> None:
    place = placement(90, 300, fit="crop")
    assert (place.width, place.height) == (128, 256)
    read = prepared((torch.rand(300, 90, 3) * 255).byte(), place)
    assert read.shape == (3, 256, 128)
    assert place.restored(read).shape == (3, 256, 90)


def test_sizes_are_rounded_as_published() -> None:
    assert scaled_size(101, 51, 2.5) == (252, 128)


def test_resizing_rounds_to_8_bits_between_the_passes() -> None:
    # From Pillow 13.0, Image.fromarray(picture).resize((5, 4), BICUBIC) and ((2, 2), BICUBIC).
    picture = torch.tensor([[0, 255, 17], [255, 0, 90], [3, 200, 255]]).byte()
    picture = picture[:, :, None].expand(3, 3, 3)
    assert bicubic(picture, 5, 4)[:, :, 0].tolist() == [
        [0, 97, 255, 115, 0],
        [178, 145, 81, 57, 50],
        [178, 132, 57, 116, 163],
        [0, 65, 210, 255, 255],
    ]
    assert bicubic(picture, 2, 2)[:, :, 0].tolist() == [[125, 81], [105, 173]]
    assert torch.equal(bicubic(picture, 3, 3), picture)


def test_levels_that_wait_are_read_exactly() -> None:
    picture = (torch.rand(50, 70, 3) * 255).byte()
    place = placement(140, 100)
    waiting = fitted(picture, place)
    assert waiting.dtype == torch.uint8
    assert torch.equal(signal(waiting), prepared(picture, place))
    assert torch.equal(to_picture(signal(waiting)), waiting.permute(1, 2, 0))
    shown = signal(waiting, torch.bfloat16)
    assert torch.equal(signal(shown, torch.bfloat16), shown)
    assert torch.equal(shown, prepared(picture, place).bfloat16())


@settings(max_examples=20, deadline=None)
@given(width=st.integers(1, 300), height=st.integers(1, 300), fit=st.sampled_from(["pad", "crop"]))
def test_each_place_has_the_nearest_pixel(width: int, height: int, fit: Any) -> None:
    place = placement(width, height, fit)
    picture = torch.arange(height * width * 3).remainder(251).byte().reshape(height, width, 3)
    read = fitted(picture, place).permute(1, 2, 0)
    for y, x in ((0, 0), (place.height // 3, place.width // 2), (-1, -1)):
        row = min(max(y % place.height + place.top, 0), height - 1)
        column = min(max(x % place.width + place.left, 0), width - 1)
        assert torch.equal(read[y, x], picture[row, column])
