"""FlashVSR in tiles: of the same size and without seams, and as without tiles where it must be."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor  # noqa: E402

from engine.models.flashvsr import waiting  # noqa: E402
from engine.models.flashvsr.config import Sparsity  # noqa: E402
from engine.models.flashvsr.noise import seeded_noise  # noqa: E402
from engine.models.flashvsr.pipeline import (  # noqa: E402
    Models,
    Settings,
    Stream,
    sparsity,
    steps,
)
from engine.models.flashvsr.preparation import placement  # noqa: E402
from engine.models.flashvsr.segments import Ask, restored  # noqa: E402
from engine.models.flashvsr.tiles import Box, TiledStream, Tiles, boxes, share  # noqa: E402
from engine.models.flashvsr.waiting import Waiting  # noqa: E402
from engine.models.wan.config import VaeConfig  # noqa: E402
from engine.models.wan.vae import VaeDecoder  # noqa: E402
from tests.support.flashvsr import Clip, filled, shot, tiny_models  # noqa: E402

# Every block sees its neighbours alone, and all of them but one pair.
NEAR = Sparsity(pairs=10_000, reach=1, kv_slots=3)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def nothing() -> None:
    pass


def pictures(models: Models, clip: Clip, ask: Ask) -> list[Tensor]:
    return list(restored(models, clip, range(clip.count), ask, nothing))


@settings(max_examples=60, deadline=None)
@given(
    units=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    counts=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    overlap=st.sampled_from([128, 256]),
)
def test_tiles_cover_the_picture(
    units: tuple[int, int], counts: tuple[int, int], overlap: int
) -> None:
    place = placement(128 * units[1] - 3, 128 * units[0])
    tiles = Tiles(*counts, overlap=overlap)
    made = boxes(place, tiles)
    assert len(made) <= counts[0] * counts[1]
    covered = torch.zeros(units)
    for box in made:
        assert all(x % 128 == 0 for x in (box.top, box.bottom, box.left, box.right))
        box.of(covered, 128).add_(1)
    assert covered.min() == 1
    assert covered.max() <= 4
    ends = {(box.left, box.right) for box in made}
    assert {0, place.width} <= {x for pair in ends for x in pair}


def test_a_picture_too_small_for_tiles_is_whole() -> None:
    assert boxes(placement(128, 250), Tiles(3, 2)) == [Box(0, 256, 0, 128)]


def test_weights_of_tiles_sum_to_one() -> None:
    place = placement(640, 384)
    stream = TiledStream(tiny_models(1), place, Tiles(3, 2), Settings(NEAR), nothing)
    total = torch.zeros(384, 640)
    for box in boxes(place, Tiles(3, 2)):
        weight = stream.weight(box)
        box.of(total).add_(weight)
        assert (weight[0, 0] == 1) == (box.top == 0 and box.left == 0)
    assert torch.equal(total, torch.ones(384, 640))


def test_a_tile_keeps_the_share_of_pairs_within_reach() -> None:
    place = placement(3840, 2048)
    whole = sparsity(3840, 2048)
    assert share(whole, place, Box(0, 2048, 0, 3840)) == whole
    box = Box(0, 1024, 0, 1280)
    blocks = 8 * 10
    kept = share(whole, place, box).pairs / blocks
    # 120 of all that are near in the whole picture; a tile has fewer near ones, and is not dense.
    assert 60 < kept < 110
    assert share(whole, place, box).pairs < 0.5 * 4 * blocks**2


def test_tiles_agree_with_the_whole_where_nothing_reaches_across() -> None:
    """Blocks that see themselves alone, and convolutions that hardly reach past an overlap."""
    models, clip = tiny_models(2), shot(3, 22, 160, 32)
    place = placement(640, 128)
    plain = Settings(NEAR, "none")
    whole, tiled, parked = (
        pictures(models, clip, Ask(place, plain, tiles=tiles))
        for tiles in (Tiles(), Tiles(2, 1), Tiles(2, 1, offload=True))
    )
    assert [box.left for box in boxes(place, Tiles(2, 1))] == [0, 256]
    difference = (torch.stack(whole).float() - torch.stack(tiled)).square()
    for outside in (difference[:, :, :256], difference[:, :, 384:]):
        assert outside.max() <= 1  # rounding
        assert outside.mean() < 1e-3
    assert difference.mean() < 255**2 / 10**4.5  # 45 dB
    assert all(torch.equal(a, b) for a, b in zip(tiled, parked, strict=True))


def test_no_seam_in_a_smooth_picture() -> None:
    models = tiny_models(2)
    ramp = torch.linspace(40, 200, 192)[None, :, None].expand(32, 192, 3).byte()
    clip = Clip([ramp] * 8)
    place = placement(768, 128)
    ask = Ask(place, Settings(Sparsity(40, 3)), tiles=Tiles(3, 1))
    made = torch.stack(pictures(models, clip, ask)).float()
    slope = made.diff(dim=2).abs().mean(dim=(0, 1, 3))
    inner = [edge for box in boxes(place, ask.tiles) for edge in (box.left, box.right)]
    usual = slope.mean()
    for edge in set(inner) - {0, 768}:
        assert slope[edge - 1] < 1.5 * usual, edge


@pytest.mark.parametrize("size", [(389, 261), (300, 131)])
def test_odd_sizes_and_the_outer_border(size: tuple[int, int]) -> None:
    models = tiny_models(1)
    clip = shot(3, 2, 97, 66)
    place = placement(*size)
    one, many = (Ask(place, Settings(NEAR, "none"), tiles=t) for t in (Tiles(), Tiles(2, 2)))
    whole, tiled = pictures(models, clip, one)[0], pictures(models, clip, many)[0]
    assert tiled.shape == whole.shape == (size[1], size[0], 3)
    # The corners lie in one tile only, far from its inner sides.
    for corner in (tiled[:3, :3], tiled[-3:, -3:]):
        assert corner.float().std() > 0
    assert torch.equal(tiled[:2, :64], whole[:2, :64])


def test_tiles_go_on_chunk_by_chunk() -> None:
    """What the first step reads is what a plain stream reads."""
    models, place = tiny_models(1), placement(384, 128)
    noise = seeded_noise(0, 16, 16, 48)
    draw = torch.Generator().manual_seed(1)
    frames = list(torch.rand(30, 3, 128, 384, generator=draw) * 2 - 1)
    tiled = TiledStream(models, place, Tiles(2, 1, offload=True), Settings(NEAR), nothing)
    plain = Stream(models, Settings(NEAR))
    for a, b in zip(steps(tiled, frames, noise), steps(plain, frames, noise), strict=True):
        assert a.latents.shape == b.latents.shape
        shapes = [[tuple(piece.frames.shape) for piece in s.pieces] for s in (a, b)]
        assert shapes[0] == shapes[1]
        torch.testing.assert_close(a.latents[..., :16], b.latents[..., :16], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("mode", "dtype"), [("tiny", None), ("tiny", torch.float8_e4m3fn), ("full", None)]
)
def test_nothing_of_a_waiting_tile_stays_on_the_device(
    mode: str, dtype: torch.dtype | None
) -> None:
    """After a turn all that a stream made since is in the copies, and it goes on from them."""
    models = tiny_models(2)
    if mode == "full":
        vae = filled(VaeDecoder(VaeConfig(dim=4)))
        models = replace(models, decoder=vae)
    frames = torch.randint(0, 256, (1, 3, 33, 128, 128), generator=torch.Generator().manual_seed(1))
    frames, noise = frames.byte(), seeded_noise(0, 16, 16, 16)
    condition = models.condition()
    chosen = Settings(NEAR, cache=dtype)
    plain = Stream(models, chosen, condition=condition)
    parked = Stream(models, chosen, condition=condition, is_parked=True)
    for ahead, source in ((slice(25), slice(21)), (slice(25, 33), slice(21, 29))):
        wanted = plain.step(frames[:, :, ahead], frames[:, :, source], noise)
        made = parked.step(frames[:, :, ahead], frames[:, :, source], noise)
        assert torch.equal(made.latents, wanted.latents)
        assert torch.equal(made.frames, wanted.frames)
        assert tensors_of(parked, models, condition) == []
        kept = tensors_of(plain, models, condition)
        assert len(kept) > 10
        waits = parked._waiting, parked._projection, parked._decoding
        assert sum(one.bytes for one in waits) == sum(x.nbytes for x in kept)


def tensors_of(root: object, *others: object) -> list[Tensor]:
    """All tensors that an object leads to, but those of others and those that wait."""
    found: list[Tensor] = []
    seen = {id(one) for one in others}
    left = [root]
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, Waiting):
            continue
        seen.add(id(one))
        if isinstance(one, Tensor):
            found.append(one)
        elif isinstance(one, dict):
            left += one.values()
        elif isinstance(one, list | tuple):
            left += one
        elif hasattr(one, "__dict__"):
            left.append(vars(one))
    return found


def test_copies_that_wait_keep_values_and_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PIECE_BYTES", 100)
    wide = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    given = [wide, torch.arange(7), torch.zeros(0, 3), torch.randn(6, 4).to(torch.float8_e4m3fn)]
    copies = Waiting(given)
    assert copies.bytes == sum(x.nbytes for x in given)
    for made, exact in zip(copies.back(), given, strict=True):
        assert made.stride() == exact.stride()
        assert made.dtype == exact.dtype
        assert made.data_ptr() != exact.data_ptr() or not exact.numel()
        assert torch.equal(made.float(), exact.float())


def test_the_noise_is_one_field() -> None:
    """Without a picture's influence the latents are the noise less what the network makes of it."""
    models = tiny_models(1)
    for parameter in models.transformer.head.head.parameters():
        parameter.data.zero_()
    place, noise = placement(384, 256), seeded_noise(4, 16, 32, 48)
    stream = TiledStream(models, place, Tiles(2, 1), Settings(NEAR), nothing)
    frames = [torch.zeros(3, 256, 384)]
    latents = next(iter(steps(stream, frames, noise))).latents
    torch.testing.assert_close(latents, noise(0, 6))
