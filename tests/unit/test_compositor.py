"""Pictures of a sequence: native planes, layers, dissolves, previews."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.media.reader import VideoReader
from engine.render.compositor import Compositor
from engine.render.frame import Planes, from_rgb8, to_rgb8, to_rgba
from engine.render.layout import Canvas, Placed, box_of, placed, premultiplied, straightened
from engine.render.plan import Shot
from engine.render.pool import SourcePool
from engine.timeline.model import Asset, Project, Transform
from tests.support.media import make_still, make_video, read_number
from tests.support.timelines import asset, clip, medium, project, replace, video

F = Fraction
SIZE = (160, 96)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    """60 numbered pictures, 25 a second, one GOP."""
    return medium(make_video(tmp_path_factory.mktemp("media") / "numbers.mp4", 60, size=SIZE))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def compositor(numbers: Asset, cache: Path) -> Iterator[Compositor]:
    one = Compositor(made_of(numbers), "main", cache)
    yield one
    one.close()


def made_of(numbers: Asset, **look: float) -> Project:
    shot = clip("numbers", 0, F(60, 25), look=Transform(**look))
    return project([numbers], video(shot), width=160, height=96)


def colours(tmp_path: Path, name: str, pixels: NDArray[np.uint8]) -> Asset:
    """A PNG of given pixels, RGB or straight RGBA."""
    code = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
    cv2.imwrite(str(tmp_path / f"{name}.png"), cv2.cvtColor(pixels, code))
    return medium(tmp_path / f"{name}.png")


def plain(width: int, height: int, *colour: int) -> NDArray[np.uint8]:
    return np.full((height, width, len(colour)), colour, np.uint8)


def rgb(made: Project, at: Fraction | float = 0, cache: Path = Path("none")) -> NDArray[np.uint8]:
    one = Compositor(made, "main", cache)
    try:
        return to_rgb8(one.frame(F(at)))
    finally:
        one.close()


def test_one_untouched_layer_keeps_the_decoders_planes(
    compositor: Compositor, numbers: Asset
) -> None:
    found = compositor.frame(F(7, 25))
    reader = VideoReader(Path(numbers.path))
    expected = reader.frame(7)
    assert found.format == expected.format == "yuv420p"
    for one, other in zip(found.picture.planes, expected.picture.planes, strict=True):
        assert bytes(one) == bytes(other)
    reader.close()


def test_every_moment_shows_its_own_picture(compositor: Compositor) -> None:
    for index in (0, 1, 2, 30, 29, 59, 3):
        assert read_number(to_rgb8(compositor.frame(F(index, 25)))) == index
        assert read_number(to_rgb8(compositor.frame(F(index, 25) + F(1, 26)))) == index


def test_a_dissolve_of_like_planes_stays_native(numbers: Asset, cache: Path) -> None:
    made = project(
        [numbers],
        video(
            clip("numbers", 0, 1, name="a"),
            clip("numbers", 1, 1, source=1, name="b"),
            dissolves={("a", "b"): F(8, 25)},
        ),
        width=160,
        height=96,
    )
    # Left and right show the same picture here, so any weight gives it back.
    one = Compositor(made, "main", cache)
    for index in range(21, 29):
        found = one.frame(F(index, 25))
        assert found.format == "yuv420p"
        assert read_number(to_rgb8(found)) == index
    one.close()


def test_a_dissolve_mixes_both_sides(tmp_path: Path) -> None:
    black, white = (
        colours(tmp_path, "k", plain(160, 90, 0, 0, 0)),
        colours(tmp_path, "w", plain(160, 90, 255, 255, 255)),
    )
    for look in (Transform(), Transform(rotation=180)):  # natively, and over a canvas
        made = project(
            [black, white],
            video(
                clip("k", 0, 1, name="a", look=look),
                clip("w", 1, 1, name="b", look=look),
                dissolves={("a", "b"): Fraction(4, 5)},
            ),
        )
        for at in (0.6, 0.8, 1, 1.2):
            middle = rgb(made, at)[10:-10, 10:-10]
            assert np.abs(middle.astype(int) - round(255 * (at - 0.6) / 0.8)).max() <= 1


def test_an_empty_moment_is_black(numbers: Asset) -> None:
    made = project([numbers], video(clip("numbers", 1, 1)), width=160, height=96)
    assert not rgb(made, 0).any()


def test_a_smaller_picture_is_fitted_whole_and_centred(tmp_path: Path) -> None:
    square = colours(tmp_path, "square", plain(50, 50, 200, 100, 50))
    found = rgb(project([square], video(clip("square", 0, 1))))
    assert np.all(found[:, :35] == 0)
    assert np.all(found[:, 125:] == 0)
    assert np.abs(found[:, 36:124].astype(int) - [200, 100, 50]).max() <= 1


def test_position_scale_and_crop(tmp_path: Path) -> None:
    halves = plain(160, 90, 255, 0, 0)
    halves[:, 80:] = (0, 0, 255)
    image = colours(tmp_path, "halves", halves)

    def shows(**look: float) -> NDArray[np.uint8]:
        return rgb(project([image], video(clip("halves", 0, 1, look=Transform(**look)))))

    small = shows(scale=0.5, x=0.25, y=-0.25)
    assert np.all(small[:45, 80:119] == (255, 0, 0))
    assert np.all(small[:45, 121:] == (0, 0, 255))
    assert not small[45:].any()
    assert not small[:, :80].any()
    # The crop takes away, what is left is fitted whole.
    left = shows(crop_right=0.5)
    assert np.all(left[:, 41:119] == (255, 0, 0))
    assert not left[:, :39].any()
    large = shows(scale=2)
    assert np.all(large[:, :78] == (255, 0, 0))
    assert np.all(large[:, 82:] == (0, 0, 255))


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_quarter_turns_are_exact(tmp_path: Path, turn: int) -> None:
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 255, (9, 9, 3), np.uint8)
    picture = np.ascontiguousarray(coarse.repeat(10, axis=0).repeat(10, axis=1))
    image = colours(tmp_path, "square", picture)
    made = project(
        [image], video(clip("square", 0, 1, look=Transform(rotation=turn))), width=90, height=90
    )
    assert np.abs(rgb(made).astype(int) - np.rot90(picture, -turn // 90)).max() <= 1


def test_a_turned_picture_covers_its_own_area_and_has_no_dark_fringe(tmp_path: Path) -> None:
    green = colours(tmp_path, "green", plain(100, 100, 0, 200, 0))
    ground = colours(tmp_path, "ground", plain(200, 200, 0, 200, 0))
    turned = clip("green", 0, 1, look=Transform(rotation=30, scale=0.5))
    alone = project([green], video(turned), width=200, height=200)
    assert rgb(alone)[:, :, 1].sum() / 200 == pytest.approx(100 * 100, rel=0.01)
    over = project(
        [green, ground], video(clip("ground", 0, 1)), video(turned), width=200, height=200
    )
    found = rgb(over).astype(int)
    assert np.abs(found - [0, 200, 0]).max() <= 2


def test_transparent_edges_keep_the_colour_when_scaled(tmp_path: Path) -> None:
    # What cannot be seen is bright pink: it must not bleed into the edge.
    disc = plain(120, 120, 255, 0, 255, 0)
    y, x = np.mgrid[:120, :120]
    disc[(x - 60) ** 2 + (y - 60) ** 2 < 50**2] = (0, 200, 0, 255)
    image, ground = (
        colours(tmp_path, "disc", disc),
        colours(tmp_path, "ground", plain(160, 90, 0, 200, 0)),
    )
    for scale in (0.37, 1.0, 2.5):
        shot = clip("disc", 0, 1, look=Transform(scale=scale, rotation=0))
        found = rgb(project([image, ground], video(clip("ground", 0, 1)), video(shot)))
        assert np.abs(found.astype(int) - [0, 200, 0]).max() <= 3


def test_opacity_lets_through_what_is_below(tmp_path: Path) -> None:
    red, blue = (
        colours(tmp_path, "red", plain(160, 90, 200, 0, 0)),
        colours(tmp_path, "blue", plain(160, 90, 0, 0, 200)),
    )
    top = clip("red", 0, 1, look=Transform(opacity=0.25))
    found = rgb(project([red, blue], video(clip("blue", 0, 1)), video(top)))
    assert np.abs(found.astype(int) - [50, 0, 150]).max() <= 1


def test_a_lone_transparent_source_stays_transparent(tmp_path: Path, cache: Path) -> None:
    pixels = plain(80, 45, 10, 200, 30, 255)
    pixels[:, :40, 3] = 0
    image = colours(tmp_path, "half", pixels)
    for width, height in ((80, 45), (160, 90)):  # as it is, and scaled
        one = Compositor(
            project([image], video(clip("half", 0, 1)), width=width, height=height), "main", cache
        )
        found = one.frame(F(0))
        assert found.has_alpha
        alpha = to_rgba(found)[:, :, 3]
        assert not alpha[:, : width // 2 - 2].any()
        assert alpha[:, width // 2 + 2 :].min() == 1
        one.close()


def test_a_missing_medium_or_file_is_an_error_of_export(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="«gone»"):
        rgb(project([], video(clip("A", 0, 1, name="gone"))))
    away = asset("away", path=tmp_path / "away.mp4")
    with pytest.raises(EngineError, match=r"away\.mp4"):
        rgb(project([away], video(clip("away", 0, 1))))


def test_odd_sides_are_carried_on_and_not_scaled(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for channels in (3, 4):
        pixels = rng.integers(0, 256, (47, 79, channels), np.uint8)
        odd = colours(tmp_path, f"odd{channels}", pixels)
        one = Compositor(
            project([odd], video(clip(odd.id, 0, 1)), width=80, height=48), "main", tmp_path
        )
        found = one.frame(F(0))
        assert found.has_alpha == (channels == 4)
        array = found.picture.to_ndarray()
        assert np.array_equal(array[:47, :79], pixels)
        assert np.array_equal(array[47, :79], pixels[46])
        assert np.array_equal(array[:, 79], array[:, 78])
        one.close()


# Geometry


def test_a_box_is_fitted_scaled_and_shifted() -> None:
    box = box_of(100, 50, Transform(scale=0.5, x=0.5, rotation=-90), 200, 200)
    assert box is not None
    assert (box.width, box.height, box.centre_x, box.centre_y) == (100, 50, 200, 100)
    assert box.turn == 270
    assert box_of(100, 50, Transform(crop_left=0.6, crop_right=0.4), 200, 200) is None
    assert box_of(100, 50, Transform(scale=0), 200, 200) is None


def test_a_picture_outside_the_frame_is_nothing() -> None:
    assert placed(from_rgb8(plain(10, 10, 1, 2, 3)), Transform(x=2), 20, 20) is None


def test_alpha_and_back() -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (40, 40, 4), np.uint8)
    pixels[..., 3] = rng.integers(128, 256, (40, 40))
    again = straightened(premultiplied(pixels))
    assert np.abs(again.astype(int) - pixels).max() <= 2


def test_over_is_the_formula_of_porter_and_duff() -> None:
    rng = np.random.default_rng(4)
    below, top = (
        premultiplied(rng.integers(0, 256, (30, 30, 4), np.uint8)).astype(float) for _ in "ab"
    )
    canvas = Canvas(30, 30, is_clear=True)
    for pixels, opacity in ((below, 1.0), (top, 0.6)):
        flat = pixels.astype(np.uint8)
        canvas.lay(Placed(0, 0, flat[..., :3].copy(), flat[..., 3].copy()), opacity)
    expected = 0.6 * top + below * (1 - 0.6 * top[..., 3:] / 255)
    assert np.abs(canvas.rgb - expected[..., :3]).max() <= 1.5
    assert canvas.alpha is not None
    assert np.abs(canvas.alpha - expected[..., 3]).max() <= 1.5


# Previews


def test_a_preview_is_the_picture_in_the_asked_size(compositor: Compositor) -> None:
    picture, stale, error = compositor.picture(F(9, 25), 120, 72)
    assert picture.shape == (72, 120, 4)
    assert (stale, error) == (False, "")
    assert read_number(np.ascontiguousarray(picture[:, :, 2::-1])) == 9
    assert picture[..., 3].min() == 255


def test_preview_and_export_agree(tmp_path: Path, numbers: Asset, cache: Path) -> None:
    overlay = colours(tmp_path, "over", plain(60, 60, 250, 240, 10, 128))
    made = project(
        [numbers, overlay],
        video(clip("numbers", 0, 2)),
        video(clip("over", 0, 2, look=Transform(scale=0.5, rotation=15, x=0.2))),
        width=160,
        height=96,
    )
    one = Compositor(made, "main", cache)
    preview = one.picture(F(1), 160, 96)[0][:, :, 2::-1].astype(int)
    export = to_rgb8(one.frame(F(1))).astype(int)
    assert np.abs(preview - export).mean() < 1.5
    one.close()


def test_stepping_back_decodes_each_stretch_once(
    numbers: Asset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[range] = []
    pictures = SourcePool.pictures

    def counted(pool: SourcePool, shot: Shot, start: int, stop: int) -> Iterator[Planes]:
        runs.append(range(start, stop))
        return pictures(pool, shot, start, stop)

    monkeypatch.setattr(SourcePool, "pictures", counted)
    one = Compositor(made_of(numbers), "main", cache)
    one.picture(F(59, 25), 120, 72)
    for index in range(58, -1, -1):
        picture = one.picture(F(index, 25), 120, 72)[0]
        assert read_number(np.ascontiguousarray(picture[:, :, 2::-1])) == index
    assert [len(run) for run in runs] == [48, 11]
    one.close()


def test_pictures_survive_an_edit_elsewhere(
    compositor: Compositor, numbers: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = compositor.picture(F(20, 25), 80, 48)[0]
    moved = project(
        [numbers], video(clip("numbers", 1, F(20, 25), source=F(10, 25))), width=160, height=96
    )
    compositor.replace(moved)

    def decoded(*_: object) -> Planes:
        raise AssertionError("decoded again")

    monkeypatch.setattr(SourcePool, "picture", decoded)
    after, _, error = compositor.picture(1 + F(10, 25), 80, 48)
    assert error == ""
    assert np.array_equal(before, after)


def test_what_cannot_be_opened_is_told_and_the_rest_still_shows(
    numbers: Asset, tmp_path: Path, cache: Path
) -> None:
    away = asset("away", path=tmp_path / "away.mp4")
    made = project(
        [numbers, away],
        video(clip("numbers", 0, 1)),
        video(clip("away", 0, 1, look=Transform(scale=0.5))),
        width=160,
        height=96,
    )
    one = Compositor(made, "main", cache)
    picture, _, error = one.picture(F(5, 25), 160, 96)
    assert "away.mp4" in error
    assert read_number(np.ascontiguousarray(picture[:, :, 2::-1])) == 5
    one.close()


def test_the_last_good_picture_stays_when_a_file_breaks(tmp_path: Path, cache: Path) -> None:
    path = make_video(tmp_path / "numbers.mp4", 60, size=SIZE)
    one = Compositor(
        project([medium(path)], video(clip("numbers", 0, 2)), width=160, height=96), "main", cache
    )
    one.picture(F(4, 25), 160, 96)
    one.close()
    path.unlink()
    picture, _, error = one.picture(F(9, 25), 160, 96)
    assert error
    assert read_number(np.ascontiguousarray(picture[:, :, 2::-1])) == 4


def test_memory_for_previews_is_bounded(numbers: Asset, cache: Path) -> None:
    one = Compositor(made_of(numbers), "main", cache, preview_bytes=100_000)
    for index in range(60):
        one.picture(F(index, 25), 160, 96)
    assert one.preview_bytes_used <= 100_000
    one.close()


def test_a_still_is_decoded_once(tmp_path: Path, cache: Path) -> None:
    still = medium(make_still(tmp_path / "still.png", 7, SIZE))
    made = project([still], video(clip("still", 0, 3)), width=160, height=96)
    one = Compositor(made, "main", cache)
    assert one.frame(F(0)) is one.frame(F(2))
    assert read_number(to_rgb8(one.frame(F(1)))) == 7
    one.close()


def test_hidden_layers_are_not_even_opened(numbers: Asset, tmp_path: Path) -> None:
    away = asset("away", path=tmp_path / "away.mp4")
    below = replace(video(clip("away", 0, 1)), hidden=True)
    made = project([numbers, away], below, video(clip("numbers", 0, 1)), width=160, height=96)
    assert read_number(rgb(made, F(3, 25))) == 3
