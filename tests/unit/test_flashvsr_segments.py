"""FlashVSR in segments: any span has the pixels of the whole, whatever cuts lie in it."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from engine.models.cuts import Shots  # noqa: E402
from engine.models.flashvsr.colour import recoloured  # noqa: E402
from engine.models.flashvsr.noise import seeded_noise  # noqa: E402
from engine.models.flashvsr.pipeline import (  # noqa: E402
    Models,
    Settings,
    Stepping,
    Stream,
    steps,
    upscaled,
)
from engine.models.flashvsr.preparation import (  # noqa: E402
    fitted,
    placement,
    prepared,
    signal,
    to_picture,
)
from engine.models.flashvsr.segments import SEEN, Ask, restored  # noqa: E402
from engine.models.flashvsr.tiles import TiledStream, Tiles  # noqa: E402
from tests.support.flashvsr import SPARSITY, Clip, edited, shot, tiny_models  # noqa: E402

PLACE = placement(128, 128)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def nothing() -> None:
    pass


def small(seed: int, count: int) -> Clip:
    return shot(seed, count, 32, 32)


def asked(grid: int = 32, **changes: Any) -> Ask:
    return Ask(PLACE, Settings(SPARSITY, **changes.pop("settings", {})), grid=grid, **changes)


@cache
def models(layers: int = 8) -> Any:
    return tiny_models(layers)


def pixels(clip: Clip, span: range, ask: Ask, **more: Any) -> list[Tensor]:
    return list(restored(models(), clip, span, ask, nothing, **more))


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


CLIPS: dict[str, tuple[Callable[[], Clip], list[range]]] = {
    "one shot": (
        partial(small, 3, 134),
        [range(5), range(26, 31), range(31, 33), range(63, 97), range(130, 134)],
    ),
    "a cut in the middle": (
        lambda: edited(small(3, 47), small(4, 60)),
        [range(40, 50), range(47, 48), range(62, 66), range(94, 99)],
    ),
    "cuts near a line": (
        lambda: edited(small(3, 27), small(4, 37), small(5, 36)),
        [range(25, 29), range(30, 40), range(62, 66), range(90, 100)],
    ),
    "two cuts within the warm-up": (
        lambda: edited(small(3, 45), small(4, 9), small(5, 50)),
        [range(44, 56), range(54, 60), range(60, 70), range(93, 99)],
    ),
}


@pytest.mark.parametrize("name", CLIPS)
def test_any_span_has_the_pixels_of_the_whole(name: str) -> None:
    make, spans = CLIPS[name]
    clip, ask = make(), asked()
    whole = pixels(clip, range(clip.count), ask)
    assert len(whole) == clip.count
    assert {(tuple(p.shape), p.dtype) for p in whole} == {((128, 128, 3), torch.uint8)}
    for span in spans:
        assert same(pixels(clip, span, ask), [whole[i] for i in span]), span


def test_the_usual_grid() -> None:
    clip, ask = small(3, 500), Ask(PLACE, Settings(SPARSITY, "none"))
    shallow = models(1)
    whole = list(restored(shallow, clip, range(500), ask, nothing))
    part = list(restored(shallow, clip, range(480, 500), ask, nothing))
    assert same(part, whole[480:])


def test_no_picture_of_another_shot_is_read() -> None:
    clip = edited(small(3, 41), small(4, 30))
    whole = pixels(clip, range(clip.count), asked())
    for other, span in (
        (edited(small(3, 41), small(9, 30)), range(41)),
        (edited(small(9, 41), small(4, 30)), range(41, 71)),
    ):
        again = pixels(other, range(other.count), asked())
        assert same([again[i] for i in span], [whole[i] for i in span])
        assert not same(again, whole)


def test_a_cut_begins_a_stream_as_a_clip_does() -> None:
    """But for the noise, which goes on."""
    clip = edited(small(3, 12), small(4, 25))
    part = pixels(clip, range(12, 37), asked(grid=480))
    alone = upscaled(
        models(),
        small(4, 25).pictures(0, 25),
        PLACE,
        Settings(SPARSITY),
        0,
        nothing,
        first_latent=3,
    )
    assert same(part, list(alone))


def test_the_unbroken_run_makes_nothing_twice_but_the_warm_up() -> None:
    clip = small(3, 128)
    blocks = 0

    def check() -> None:
        nonlocal blocks
        blocks += 1

    list(restored(models(), clip, range(128), asked(), check))
    # 4 streams of 21 frames and then 8 at a time, all but the first with 24 more before.
    chunks = 1 + 2 + 3 * (1 + 5)
    assert blocks == chunks * 8 + 128 + sum(clip.read)


def test_a_step_at_a_line_is_told_and_blended() -> None:
    clip = small(3, 70)
    steps: dict[int, float] = {}
    blended = pixels(clip, range(70), asked(), on_step=steps.__setitem__)
    plain = pixels(clip, range(70), asked(blend=0))
    assert sorted(steps) == [32, 64]
    assert min(steps.values()) > SEEN
    differ = [i for i in range(70) if not torch.equal(blended[i], plain[i])]
    assert set(differ) <= {*range(24, 32), *range(56, 64)}
    assert len(differ) > 8
    change = [(blended[i].float() - plain[i].float()).abs().mean().item() for i in range(24, 32)]
    assert change[0] < change[-1]


def test_no_step_is_left_as_it_is() -> None:
    clip = small(3, 40)
    steps: dict[int, float] = {}
    pixels(clip, range(40), asked(settings={"strength": 0.0}), on_step=steps.__setitem__)
    assert steps == {32: 0.0}


def test_no_step_is_measured_across_a_cut() -> None:
    steps: dict[int, float] = {}
    clip = edited(small(3, 32), small(4, 26), small(5, 20))
    pixels(clip, range(78), asked(), on_step=steps.__setitem__)
    # At 32 is a cut; the shot from 58 has its own beginning as warm-up for 64.
    assert steps == {}


def test_one_stream_over_the_whole_clip() -> None:
    clip = edited(small(3, 30), small(4, 30))
    ask = asked(grid=0, seed=5)
    whole = list(upscaled(models(), clip.pictures(0, 60), PLACE, ask.settings, 5))
    assert same(pixels(clip, range(60), ask), whole)
    assert same(pixels(clip, range(33, 41), ask), whole[33:41])


def test_a_single_picture_is_the_median_of_its_versions() -> None:
    clip = small(3, 1)
    still = pixels(clip, range(1), asked())
    versions = list(upscaled(models(), [*clip.pictures(0, 1)] * 21, PLACE, Settings(SPARSITY)))
    assert len(still) == 1
    assert torch.equal(still[0], torch.stack(versions).median(dim=0).values)


@pytest.mark.parametrize("count", [1, 2, 20, 22])
def test_short_clips_and_odd_sizes(count: int) -> None:
    clip = shot(3, count, 33, 17)
    ask = Ask(placement(67, 35), Settings(SPARSITY))
    made = pixels(clip, range(count), ask)
    assert [p.shape for p in made] == [(35, 67, 3)] * count


def test_nothing_is_asked_of_nothing() -> None:
    assert pixels(small(3, 8), range(4, 4), asked()) == []
    assert pixels(small(3, 8), range(9, 12), asked()) == []
    assert pixels(Clip([]), range(3), asked()) == []


def test_a_run_can_be_stopped_at_any_point() -> None:
    clip, left = small(3, 40), 0

    def check() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    for calls in (1, 30, 60, 150):
        left = calls
        with pytest.raises(KeyboardInterrupt):
            list(restored(models(), clip, range(40), asked(), check))


def test_strength_goes_from_the_source_to_the_result() -> None:
    clip = small(3, 3)
    source = [to_picture(prepared(p, PLACE)) for p in clip.pictures(0, 3)]
    full = pixels(clip, range(3), asked())

    def at(strength: float, band: str = "whole") -> list[Tensor]:
        return pixels(clip, range(3), asked(settings={"strength": strength, "band": band}))

    assert same(at(1.0), full)
    assert same(at(0.0), source)
    assert same(at(0.0, "high"), source)
    middle = at(0.5)
    between = [(a.float() + b.float()) / 2 for a, b in zip(source, full, strict=True)]
    assert max((a - b).abs().max().item() for a, b in zip(middle, between, strict=True)) <= 1
    high = at(1.0, "high")
    for made, like in zip(high, source, strict=True):
        assert not torch.equal(made, like)
        flat = (made.float() - like.float()).mean(dim=(0, 1)).abs().max()
        assert flat < 4


def test_the_noise_of_a_frame_is_the_same_on_both_sides_of_a_line() -> None:
    noise = seeded_noise(1, 16, 16, 16)
    old, new = 0, (32 - 24) // 4
    # Frame 8 is the end of the old stream's latent 2, and the only one of the new one's first.
    assert torch.equal(noise(old + 2, 1), noise(new, 1))


def test_pictures_before_the_span_are_read_for_their_cuts_alone() -> None:
    clip = edited(small(3, 70), small(4, 20))
    shots = Shots(clip, True, nothing)
    assert shots.last_cut(64 - 24 + 1, 80) == 70
    assert sum(clip.read[:30]) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
@pytest.mark.parametrize("tiles", [Tiles(), Tiles(2, 1), Tiles(2, 1, offload=True)])
def test_decoding_beside_the_next_chunk_changes_nothing(tiles: Tiles) -> None:
    made = tiny_models(8)
    parts = (made.transformer.cuda(), made.projector.cuda(), made.decoder.cuda())
    there, place, plain = Models(*parts, made.prompt), placement(384, 128), Settings(SPARSITY)
    clip = shot(3, 45, 96, 32)

    def stream() -> Stepping:
        if tiles == Tiles():
            return Stream(there, plain)
        return TiledStream(there, place, tiles, plain, nothing)

    pictures = list(clip.pictures(0, 45))
    frames = [fitted(picture.cuda(), place) for picture in pictures]
    expected: list[Tensor] = []
    for step in steps(stream(), frames, seeded_noise(0, 16, 16, 48)):
        found = [
            to_picture(frame[0]).cpu()
            for piece in step.pieces
            for frame in recoloured(piece.frames, signal(piece.source), "adain").unbind(2)
        ]
        expected += found[: step.count]
    beside = upscaled(there, pictures, place, plain, stream=stream())
    assert same(list(beside), expected)
