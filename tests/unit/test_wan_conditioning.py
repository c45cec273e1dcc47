"""What Wan is given beside noise, and which lengths and sizes it can make."""

from fractions import Fraction

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from engine import wan_rules as rules  # noqa: E402
from engine.errors import EffectError  # noqa: E402
from engine.models.noise import drawn, seeded  # noqa: E402
from engine.models.wan.conditioning import (  # noqa: E402
    appended_condition,
    frame_mask,
    picture_condition,
    resized,
    roughened,
    window_condition,
)
from engine.models.wan.config import VaeConfig  # noqa: E402
from engine.models.wan.vae import Vae, encode  # noqa: E402
from engine.models.weights import load_strict  # noqa: E402
from tests.golden.case import fill  # noqa: E402


@pytest.fixture(scope="module")
def vae() -> Vae:
    config = VaeConfig(dim=4, num_res_blocks=1)
    with torch.device("meta"):
        shapes = {name: list(t.shape) for name, t in Vae(config).state_dict().items()}
    tensors = {name: torch.from_numpy(fill(name, shape)) for name, shape in shapes.items()}
    return load_strict(lambda: Vae(config), tensors)


def picture(seed: int, frames: int | None = None) -> Tensor:
    shape = (3, 16, 32) if frames is None else (3, frames, 16, 32)
    values: Tensor = drawn(shape, seeded(seed)).clamp(-1, 1)
    return values


@pytest.mark.parametrize("chunk", [1, 2, 9])
def test_the_condition_is_a_mask_over_the_latents_of_a_grey_clip(vae: Vae, chunk: int) -> None:
    first, last = picture(1, 3), picture(2)
    video = torch.zeros(1, 3, 13, 16, 32)
    video[0, :, :3] = first
    video[0, :, -1] = last
    condition = picture_condition(vae, 13, first, last, chunk=chunk)
    assert condition.shape == (1, 20, 4, 2, 4)
    torch.testing.assert_close(condition[:, 4:], encode(vae, video), rtol=0, atol=1e-5)
    assert condition[0, :4, :, 0, 0].T.tolist() == [
        [1, 1, 1, 1],
        [1, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 1],
    ]


def test_strengths_scale_the_first_and_the_last_latents_alone(vae: Vae) -> None:
    plain = picture_condition(vae, 9, picture(1), picture(2))
    scaled = picture_condition(
        vae, 9, picture(1), picture(2), start_strength=0.5, end_strength=0.25
    )
    assert torch.equal(scaled[:, :4], plain[:, :4])
    for frame, strength in enumerate((0.5, 1, 0.25)):
        assert torch.equal(scaled[:, 4:, frame], strength * plain[:, 4:, frame])


def test_a_last_picture_may_be_a_latent_frame_of_its_own(vae: Vae) -> None:
    first, last = picture(1), picture(2)
    condition = appended_condition(vae, 9, first, last, start_strength=0.5, end_strength=0.25)
    start = picture_condition(vae, 9, first, start_strength=0.5)
    assert torch.equal(condition[:, :, :3], start)
    assert (condition[:, :4, 3] == 1).all()
    alone = encode(vae, last[None, :, None])
    torch.testing.assert_close(condition[:, 4:, 3:], 0.25 * alone)


def test_one_frame_alone_is_a_whole_condition(vae: Vae) -> None:
    condition = picture_condition(vae, 1, picture(1))
    assert condition.shape == (1, 20, 1, 2, 4)
    assert (condition[:, :4] == 1).all()


def test_lengths_that_cannot_be_made_are_refused(vae: Vae) -> None:
    for frames in (0, 8, 10):
        with pytest.raises(EffectError, match=f"{frames} frames"):
            picture_condition(vae, frames, picture(1))
    with pytest.raises(EffectError, match="6 given"):
        picture_condition(vae, 5, picture(1, 5), picture(2))
    with pytest.raises(AssertionError, match="cut"):
        frame_mask([True, False], 2, 2)


def test_added_noise_leaves_pure_black() -> None:
    image = picture(1)
    image[:, :8] = -1
    rough = roughened(image, 0.1, seeded(2))
    assert torch.equal(rough[:, :8], image[:, :8])
    kept = image[:, 8:] == -1
    assert torch.equal(rough[:, 8:] == image[:, 8:], kept)
    assert 0.05 < (rough - image)[:, 8:][~kept].std() < 0.15
    assert torch.equal(roughened(image, 0.0, seeded(2)), image)


def test_resizing_takes_pictures_and_clips() -> None:
    clip = picture(1, 4).transpose(0, 1)
    small = resized(clip, 8, 16)
    assert small.shape == (4, 3, 8, 16)
    assert torch.equal(small[2], resized(clip[2], 8, 16))
    assert torch.equal(resized(clip, 16, 32), clip)


def test_a_window_begins_with_the_clips_first_picture_or_another(vae: Vae) -> None:
    condition = picture_condition(vae, 21, picture(1))
    part = window_condition(condition, (2, 3, 4))
    assert torch.equal(part[:, :, 0], condition[:, :, 0])
    assert torch.equal(part[:, :, 1:], condition[:, :, 3:5])
    other = encode(vae, picture(2)[None, :, None])
    part = window_condition(condition, (2, 3, 4), other)
    assert (part[:, :4, 0] == 1).all()
    assert torch.equal(part[:, 4:, :1], other)
    assert torch.equal(window_condition(condition, (0, 1), other), condition[:, :, :2])
    assert torch.equal(picture_condition(vae, 21, picture(1)), condition)


def test_lengths_are_four_times_and_one() -> None:
    good = [n for n in range(-3, 40) if rules.is_good_length(n)]
    assert good == list(range(1, 40, 4))
    for frames in range(-3, 40):
        shorter, longer = rules.shorter_length(frames), rules.longer_length(frames)
        assert {shorter, longer, rules.nearest_length(frames)} <= {*good, 41}
        assert longer == min(n for n in (*good, 41) if n >= frames)
        assert shorter == max([n for n in good if n <= frames], default=1)
        assert rules.frames_of_latents(rules.latent_frames(frames)) == shorter
    assert [rules.nearest_length(n) for n in (78, 79, 80, 81, 82)] == [77, 81, 81, 81, 81]


def test_a_time_is_the_shortest_length_that_lasts_it() -> None:
    assert rules.length_of_time(Fraction(5)) == 81
    assert rules.length_of_time(Fraction(81, 16)) == 81
    assert rules.length_of_time(Fraction(1, 1000)) == 1
    assert rules.length_of_time(Fraction(2), Fraction(24000, 1001)) == 49


def test_sizes_are_multiples_of_sixteen() -> None:
    assert rules.is_good_size(832, 480)
    assert not rules.is_good_size(832, 488)
    assert not rules.is_good_size(0, 16)
    assert rules.nearest_size(1920, 1080) == (1920, 1088)
    assert rules.nearest_size(839, 7) == (832, 16)


def test_a_picture_of_a_good_size_keeps_it_in_its_own_area() -> None:
    """In floating point 832 x 480 would become 832 x 464."""
    for size in ((832, 480), (480, 832), (1280, 720), (720, 1280), (1024, 1024)):
        assert rules.size_for_area(size[0] * size[1], *size) == size
        assert rules.size_for_area(size[0] * size[1], 2 * size[0], 2 * size[1]) == size
    assert rules.size_for_area(832 * 480, 1000, 1) == (19968, 16)
    for size in ((1920, 1080), (37, 50), (1000, 999)):
        width, height = rules.size_for_area(832 * 480, *size)
        assert rules.is_good_size(width, height)
        assert 0.9 * 832 * 480 < width * height <= 832 * 480


def test_latents_have_the_shape_that_noise_is_drawn_in() -> None:
    assert rules.latent_shape(81, 832, 480) == (16, 21, 60, 104)
    assert rules.latent_shape(1, 1024, 1024) == (16, 1, 128, 128)
