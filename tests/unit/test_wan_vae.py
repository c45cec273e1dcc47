"""The causal VAE: any chunking and a prefix give the same, tiles agree, the whole file loads."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from engine.errors import EffectError, WeightsError  # noqa: E402
from engine.models.wan.config import VAE_VARIANTS, VaeConfig  # noqa: E402
from engine.models.wan.vae import (  # noqa: E402
    DECODER_TENSORS,
    ENCODER_TENSORS,
    Tiles,
    Vae,
    VaeDecoder,
    VaeEncoder,
    decode,
    decode_chunk,
    decode_stream,
    encode,
    encode_chunk,
    encode_stream,
    spans,
)
from engine.models.wan.vae_halves import Encoder  # noqa: E402
from engine.models.wan.vae_layers import Frame, Memory, ResidualBlock  # noqa: E402
from engine.models.weights import load_strict, part, read_tensors  # noqa: E402
from tests.golden.case import fill, read_case  # noqa: E402
from tests.golden.registry import RUNNERS  # noqa: E402
from tests.golden.runner import compared  # noqa: E402

GOLDEN = Path(__file__).parents[1] / "golden"
MANIFEST = GOLDEN / "manifests" / "wan2.1_vae.json"
CASES = [*GOLDEN.glob("cases/wan_vae_*"), *GOLDEN.glob("cases/flashvsr_vae_*")]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Layers this small only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_the_recorded_case_is_met(folder: Path) -> None:
    case = read_case(folder)
    import_module("tests.golden.wan_vae")
    runner = RUNNERS[case.name]
    verdict = compared(case.name, case, runner(case))
    assert not verdict.reasons


def small(config: VaeConfig, seed: int = 1) -> Vae:
    with torch.device("meta"):
        shapes = {name: list(t.shape) for name, t in Vae(config).state_dict().items()}
    tensors = {name: torch.from_numpy(fill(name, shape, seed)) for name, shape in shapes.items()}
    return load_strict(lambda: Vae(config), tensors)


def normal(*shape: int) -> Tensor:
    values: Tensor = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    return values


@pytest.fixture(scope="module")
def vae() -> Vae:
    return small(VaeConfig(dim=4, num_res_blocks=1))


@pytest.fixture(scope="module")
def video() -> Tensor:
    return normal(1, 3, 21, 16, 24).clamp(-1, 1)


@pytest.fixture(scope="module")
def latents() -> Tensor:
    return normal(1, 16, 6, 3, 2)


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1, 1), (1, 5), (1, 2, 3), (2, 2, 1, 1), (4, 2)])
def test_any_chunks_of_latents_give_the_same_frames(
    vae: Vae, latents: Tensor, sizes: tuple[int, ...]
) -> None:
    whole, _ = decode_chunk(vae, latents)
    assert whole.shape == (1, 3, 21, 24, 16)
    close(torch.cat(list(decode_stream(vae, torch.split(latents, sizes, 2))), 2), whole)


@pytest.mark.parametrize("sizes", [(1, 4, 4, 4, 4, 4), (1, 20), (1, 8, 12), (5, 4, 12), (9, 12)])
def test_any_chunks_of_frames_give_the_same_latents(
    vae: Vae, video: Tensor, sizes: tuple[int, ...]
) -> None:
    whole, _ = encode_chunk(vae, video)
    assert whole.shape == (1, 16, 6, 2, 3)
    close(torch.cat(list(encode_stream(vae, torch.split(video, sizes, 2))), 2), whole)


@pytest.mark.parametrize("chunk", [1, 2, 4, 100])
def test_chunks_of_a_whole_clip(vae: Vae, video: Tensor, latents: Tensor, chunk: int) -> None:
    close(encode(vae, video, chunk), encode(vae, video))
    close(decode(vae, latents, chunk), decode(vae, latents))


def test_a_prefix_gives_the_prefix(vae: Vae, video: Tensor, latents: Tensor) -> None:
    whole = encode(vae, video, 3)
    frames = decode(vae, latents, 3)
    for n in range(1, 6):
        close(encode(vae, video[:, :, : 4 * n - 3]), whole[:, :, :n])
        close(decode(vae, latents[:, :, :n]), frames[:, :, : 4 * n - 3])
    assert frames.abs().max() <= 1


def test_frames_past_the_last_period_are_ignored(vae: Vae, video: Tensor) -> None:
    for length in range(9, 13):
        assert torch.equal(encode(vae, video[:, :, :length]), encode(vae, video[:, :, :9]))


def test_a_chunk_that_ends_inside_a_latent_is_our_own_mistake(vae: Vae, video: Tensor) -> None:
    for wrong in (video[:, :, :4], video[..., :-1], video[:, :, :, :-1]):
        with pytest.raises(AssertionError, match="cut"):
            encode_chunk(vae, wrong)


def test_a_cache_is_used_up_and_does_not_grow(vae: Vae, latents: Tensor) -> None:
    _, cache = decode_chunk(vae, latents[:, :, :3])
    shapes = [part.shape for part in cache]
    _, after = decode_chunk(vae, latents[:, :, 3:], cache)
    assert cache == []
    assert [part.shape for part in after] == shapes
    for x in after:
        assert x.untyped_storage().nbytes() == x.numel() * x.element_size()


def test_clips_in_a_batch_do_not_meet(vae: Vae, video: Tensor, latents: Tensor) -> None:
    frames = torch.cat([latents, -latents])
    close(decode(vae, frames)[1:], decode(vae, -latents))
    clips = torch.cat([video, -video])
    close(encode(vae, clips)[1:], encode(vae, -video))


@pytest.mark.parametrize("temporal", [(True, False), (False, False), (True, True)])
def test_sizes_come_from_the_config(temporal: tuple[bool, ...]) -> None:
    config = VaeConfig(
        dim=8,
        z_dim=2,
        dim_mult=(1, 3, 2),
        num_res_blocks=1,
        temporal_downsample=temporal,
        mean=(0.5, -0.5),
        std=(2.0, 0.5),
    )
    vae = small(config)
    period = 2 ** sum(temporal)
    assert (config.period, config.cell) == (period, 4)
    video = normal(1, 3, 1 + 3 * period, 8, 4)
    latents = encode(vae, video)
    assert latents.shape == (1, 2, 4, 2, 1)
    close(encode(vae, video, 3), latents)
    frames = decode(vae, latents, 4)
    assert frames.shape == video.shape
    close(decode(vae, latents), frames)


def test_tiles_stream_too_and_blend_as_one(vae: Vae, video: Tensor, latents: Tensor) -> None:
    tiles = Tiles(2, 2, 1, 1, park=torch.device("cpu"))
    close(decode(vae, latents, 4, tiles), decode(vae, latents, 1, tiles))
    close(encode(vae, video, 4, tiles), encode(vae, video, 1, tiles))
    assert not torch.allclose(decode(vae, latents, 1, tiles), decode(vae, latents), atol=1e-4)


def test_one_tile_over_all_is_the_untiled_result(vae: Vae, video: Tensor, latents: Tensor) -> None:
    tiles = Tiles(4, 4, 2, 2)
    close(decode(vae, latents, 2, tiles), decode(vae, latents, 2))
    close(encode(vae, video, 2, tiles), encode(vae, video, 2))


def test_where_tiles_agree_there_is_no_seam(latents: Tensor) -> None:
    """A decoder that only knows its own cell's colour gives it back through any tiles."""
    vae = small(VaeConfig(dim=4, num_res_blocks=1))
    for module in vae.decoder.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d) and module.kernel_size[-1] == 3:
            middle = module.weight.data[..., 1:2, 1:2].clone()
            module.weight.data.zero_()[..., 1:2, 1:2] = middle
    vae.get_parameter("decoder.middle.1.proj.weight").data.zero_()
    for tiles in (Tiles(2, 2, 1, 1), Tiles(2, 1, 2, 1), Tiles(3, 2, 1, 2)):
        close(decode(vae, latents, 1, tiles), decode(vae, latents))


def test_tiles_cover_all_and_stop_at_the_border() -> None:
    assert spans(6, 4, 2) == [(0, 4), (2, 6)]
    assert spans(7, 4, 3) == [(0, 4), (3, 7)]
    assert spans(8, 4, 3) == [(0, 4), (3, 7), (6, 8)]
    assert spans(3, 4, 2) == [(0, 3)]
    assert spans(8, 4, 4) == [(0, 4), (4, 8)]


def test_impossible_tiles_are_refused_before_the_run() -> None:
    assert Tiles.of_pixels((272, 272), (144, 128)) == Tiles(34, 34, 18, 16)
    with pytest.raises(EffectError, match="270 pixels"):
        Tiles.of_pixels((270, 272), (144, 128))
    for stride in (0, 5):
        with pytest.raises(EffectError, match="cannot start"):
            Tiles(4, 4, 4, stride)


def test_progress_is_told_in_latent_frames(vae: Vae, video: Tensor, latents: Tensor) -> None:
    told: list[tuple[int, int]] = []
    decode(vae, latents, 4, report=lambda done, total: told.append((done, total)))
    encode(vae, video, 4, report=lambda done, total: told.append((done, total)))
    assert told == [(4, 6), (6, 6)] * 2


def test_half_precision_stays_near(vae: Vae, video: Tensor, latents: Tensor) -> None:
    half = load_strict(lambda: Vae(vae.config), vae.state_dict(), dtype=torch.bfloat16)
    assert (decode(half, latents) - decode(vae, latents)).abs().mean() < 0.05
    assert encode(half, video).dtype == torch.float32
    assert (encode(half, video) - encode(vae, video)).abs().mean() < 0.05


def test_the_published_file_loads_strictly_at_full_size() -> None:
    shapes = json.loads(MANIFEST.read_text())["tensors"]
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    config = VAE_VARIANTS["wan2.1_vae"]
    whole = load_strict(lambda: Vae(config), tensors, "Wan2.1_VAE.pth")
    assert sum(p.numel() for p in whole.parameters()) == 126_892_531
    load_strict(lambda: VaeDecoder(config), part(tensors, DECODER_TENSORS))
    load_strict(lambda: VaeEncoder(config), part(tensors, ENCODER_TENSORS))
    del tensors["conv2.bias"]
    with pytest.raises(WeightsError, match=r"Wan2\.1_VAE\.pth: tensor 'conv2\.bias'"):
        load_strict(lambda: Vae(config), tensors, "Wan2.1_VAE.pth")


def test_from_a_file_of_either_kind(tmp_path: Path, vae: Vae, latents: Tensor) -> None:
    from safetensors.torch import save_file

    state = {name: tensor.contiguous() for name, tensor in vae.state_dict().items()}
    torch.save(state, tmp_path / "vae.pth")
    save_file(state, tmp_path / "vae.safetensors")
    for name in ("vae.pth", "vae.safetensors"):
        halves = part(read_tensors(tmp_path / name), DECODER_TENSORS)
        again = load_strict(lambda: VaeDecoder(vae.config), halves, name)
        assert torch.equal(decode(again, latents), decode(vae, latents))


def pictured(length: int, changed: int | None = None) -> Tensor:
    """A picture, then grey; another picture at one place."""
    video = torch.zeros(1, 3, length, 16, 24)
    for at in (0, changed):
        if at is not None:
            video[:, :, at] = normal(3, 16, 24).clamp(-1, 1) * (1 if at else -1)
    return video


@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("changed", [None, 44, 52], ids=["grey", "inside", "at the end"])
def test_frames_that_stand_still_are_encoded_once(
    vae: Vae, monkeypatch: pytest.MonkeyPatch, chunk: int, changed: int | None
) -> None:
    made: list[int] = []
    halved = Encoder._halved

    def counted(self: Encoder, stage: int, frame: Tensor, memory: Memory, number: int) -> Tensor:
        made.append(stage)
        return halved(self, stage, frame, memory, number)

    monkeypatch.setattr(Encoder, "_halved", counted)
    video = pictured(53, changed)
    found = encode(vae, video, chunk)
    counts = [made.count(stage) for stage in (0, 1, 2)]
    # Frame 0 is not grey. Three convolutions see 6 frames back: what they make of frame 8 is what
    # they made of 7. The next two see 4 back: from frame 12 on.
    seen = 8, 12
    if changed is None:
        assert counts == [*seen, 27]
    elif changed == 52:
        assert counts == [seen[0] + 1, seen[1] + 1, 27]
    else:  # what it changed takes as long to pass again
        assert counts == [seen[0] + 8, seen[1] + 9, 27]
    made.clear()
    monkeypatch.setattr(Encoder, "repeats", lambda self, frames, memory: [False] * len(frames))
    exact = encode(vae, video, chunk)
    assert [made.count(stage) for stage in (0, 1, 2)] == [53, 53, 27]
    torch.testing.assert_close(found, exact, rtol=0, atol=2e-6)  # sums in another order


class Operations(TorchDispatchMode):
    """The names of operations, while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def test_nothing_is_joined_or_laid_anew_around_a_convolution() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(16, 16)
    memory = Memory(block, None)
    frames = [Frame(normal(1, 12, 20, 16)) for _ in range(4)]
    for number, frame in enumerate(frames[:-1]):
        block(frame, memory, number)  # arranges the weights; number 2 is next where it was
    with Operations() as operations:
        made = block(frames[-1], memory, 5)
        assert made.tensor.is_contiguous()
    assert "convolution" in operations.names
    assert not operations.names & {"cat", "clone", "copy_", "_to_copy", "constant_pad_nd"}
