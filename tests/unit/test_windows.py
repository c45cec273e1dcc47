"""Windows over a long clip: they cover it, agree without a seam, and one alone is the plain run."""

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from engine.errors import EffectError  # noqa: E402
from engine.models.noise import drawn, seeded  # noqa: E402
from engine.models.samplers import sample_unipc  # noqa: E402
from engine.models.schedules import Step, flow_schedule  # noqa: E402
from engine.models.windows import (  # noqa: E402
    Fuse,
    Layout,
    Window,
    Windows,
    fused,
    halving,
    looped_windows,
    over_windows,
    prompt_of,
    reused_noise,
    standard_windows,
    window_weights,
)

LAYOUTS: tuple[Layout, ...] = ("static_standard", "uniform_standard", "uniform_looped")
FUSES: tuple[Fuse, ...] = ("linear", "pyramid")
STEP = Step(0, 4, 1.0, 0.9, 1000.0)


def latents(frames: int, seed: int = 1) -> Tensor:
    values: Tensor = drawn((1, 2, frames, 2, 2), seeded(seed))
    return values


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_frame_is_seen_and_none_beyond(layout: Layout) -> None:
    for length in (1, 5, 6, 13, 22, 50, 51, 64):
        for size, stride, overlap in ((5, 1, 0), (5, 3, 4), (9, 2, 4), (21, 2, 4), (21, 3, 4)):
            windows = Windows(layout=layout, size=size, stride=stride, overlap=overlap)
            for step in range(5):
                listed = windows.at(step, length)
                assert {frame for window in listed for frame in window} == set(range(length))
                assert {len(window) for window in listed} == {min(size, length)}
                assert len(set(listed)) == len(listed)


def test_a_published_list_that_leaves_a_frame_out_is_completed() -> None:
    listed = standard_windows(2, 51, 21, 2, 4)
    assert set(range(51)) - {frame for window in listed for frame in window}
    completed = Windows(size=21, stride=2, overlap=4).at(2, 51)
    assert set(range(51)) == {frame for window in completed for frame in window}


def test_looped_windows_run_round_the_end_and_standard_ones_do_not() -> None:
    assert any(window[0] > window[-1] for window in looped_windows(1, 33, 21, 1, 4))
    for step in range(8):
        windows = Windows(size=21, overlap=4).at(step, 33)
        assert all(window == tuple(range(window[0], window[0] + 21)) for window in windows)


def test_steps_begin_their_windows_elsewhere() -> None:
    assert [halving(step) for step in range(5)] == [0, 0.5, 0.25, 0.75, 0.125]


@pytest.mark.parametrize("fuse", FUSES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_windows_that_agree_leave_no_seam(layout: Layout, fuse: Fuse) -> None:
    """Also where only zeros fall on a frame, and where a window holds a frame twice."""
    x = latents(41)
    for size, stride, overlap in ((16, 3, 4), (13, 1, 4), (9, 1, 0), (16, 1, 1)):
        windows = Windows(layout=layout, size=size, stride=stride, overlap=overlap, fuse=fuse)
        velocity = over_windows(lambda part, step, window: 2 * part, windows)
        for step in range(4):
            now = Step(step, 4, 1.0, 0.9, 1000.0)
            torch.testing.assert_close(velocity(x, now), 2 * x, rtol=1e-5, atol=1e-6)


def test_a_frame_on_which_only_zeros_fall_is_the_plain_mean() -> None:
    windows: list[Window] = [(0, 1, 2, 3), (3, 4, 5, 6)]
    assert window_weights(windows[0], 7, 2)[-1] == window_weights(windows[1], 7, 2)[0] == 0
    parts = [torch.full((1, 4, 1, 1), value) for value in (1.0, 3.0)]
    mean = fused(iter(zip(windows, parts, strict=True)), 7, 2)
    assert mean.flatten().tolist() == [1, 1, 1, 2, 3, 3, 3]


def test_a_window_over_the_whole_clip_is_the_plain_run() -> None:
    """Bit for bit, in all layouts."""

    def velocity(x: Tensor, step: Step) -> Tensor:
        return 0.6 * x - 0.3 * x.roll(1, 2) + step.sigma

    x = latents(9)
    schedule = flow_schedule("unipc", 5, 5)
    plain = sample_unipc(velocity, x, schedule)
    seen: set[Window] = set()

    def windowed(part: Tensor, step: Step, window: Window) -> Tensor:
        seen.add(window)
        return velocity(part, step)

    for layout in LAYOUTS:
        for size in (9, 21):
            over = over_windows(windowed, Windows(layout=layout, size=size))
            assert torch.equal(sample_unipc(over, x, schedule), plain)
    assert seen == {tuple(range(9))}
    short = over_windows(windowed, Windows(size=5, overlap=2))
    assert not torch.allclose(sample_unipc(short, x, schedule), plain, atol=1e-3)


def test_a_window_sees_its_own_frames_and_knows_which() -> None:
    x = torch.arange(33.0)[:, None, None].expand(1, 1, 33, 1, 1)

    def velocity(part: Tensor, step: Step, window: Window) -> Tensor:
        assert part.flatten().tolist() == list(window)
        return part.bfloat16()

    for layout in LAYOUTS:
        over = over_windows(velocity, Windows(layout=layout, size=13))
        out = over(x, STEP)
        assert out.dtype == torch.float32
        torch.testing.assert_close(out, x)


def test_lengths_come_from_frames_as_a_person_gives_them() -> None:
    assert Windows.of_frames() == Windows(size=21, stride=1, overlap=4)
    assert Windows.of_frames(49, 2, 10) == Windows(size=13, stride=1, overlap=2)
    for size, stride, overlap in ((0, 1, 0), (4, 0, 1), (4, 1, 4), (4, 1, -1)):
        with pytest.raises(EffectError, match="cannot cover"):
            Windows(size=size, stride=stride, overlap=overlap)


def test_prompts_are_spread_evenly() -> None:
    starts = range(0, 60, 10)
    assert [prompt_of(tuple(range(s, s + 10)), 60, 3) for s in starts] == [0, 0, 1, 1, 2, 2]
    assert prompt_of((58, 59, 0, 1), 60, 1) == 0


@pytest.mark.parametrize("length", [5, 9, 10, 13, 30])
def test_shuffled_noise_is_earlier_noise_and_its_begin_is_untouched(length: int) -> None:
    noise = latents(length)
    reused = reused_noise(noise, 9, 4, seeded(3))
    assert torch.equal(reused[:, :, :9], noise[:, :, :9])
    for frame in range(9, length):
        same = [bool((reused[:, :, frame] == noise[:, :, k]).all()) for k in range(9)]
        assert sum(same) == 1
    assert torch.equal(noise, latents(length))
    assert torch.equal(reused, reused_noise(noise, 9, 4, seeded(3)))
