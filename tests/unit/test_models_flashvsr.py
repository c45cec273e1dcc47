"""FlashVSR's networks: published files load whole, streams are seamless, as many out as in."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from engine.errors import WeightsError  # noqa: E402
from engine.models.flashvsr import decoder as decoding  # noqa: E402
from engine.models.flashvsr import projector as projection  # noqa: E402
from engine.models.flashvsr import transformer as transformers  # noqa: E402
from engine.models.flashvsr.cache import (  # noqa: E402
    EIGHT_BITS,
    SlotMemory,
    SlotRing,
    block_means,
    new_rings,
)
from engine.models.flashvsr.colour import adain, low_band, wavelet  # noqa: E402
from engine.models.flashvsr.config import (  # noqa: E402
    DECODERS,
    PROJECTORS,
    TRANSFORMERS,
    DecoderConfig,
    ProjectorConfig,
    Sparsity,
    TransformerConfig,
)
from engine.models.flashvsr.decoder import TinyDecoder  # noqa: E402
from engine.models.flashvsr.pipeline import (  # noqa: E402
    Models,
    Settings,
    Stream,
    chunks,
    seeded_noise,
    sparsity,
    upscaled,
)
from engine.models.flashvsr.preparation import placement  # noqa: E402
from engine.models.flashvsr.projector import (  # noqa: E402
    Projector,
    ProjectorState,
    conv_by_products,
)
from engine.models.flashvsr.transformer import LARGE_LINEARS, Grid, Transformer  # noqa: E402
from engine.models.flashvsr.weights import (  # noqa: E402
    load_decoder,
    load_projector,
    load_transformer,
)
from engine.models.flashvsr.windows import (  # noqa: E402
    from_windows,
    rotary_turns,
    to_blocks,
    to_windows,
    windowed_turns,
)
from engine.models.linear import to_fp8  # noqa: E402

MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"
TRANSFORMER = TransformerConfig(24, 2, 32, 16, 16, 8, 8, layers=2)
PROJECTOR = ProjectorConfig("v1.1", 3, (16, 16), 8, 8, 24, 1)
DECODER = DecoderConfig((6, 6, 4, 4))
SPARSITY = Sparsity(pairs=3, reach=3, kv_slots=3)


def filled(module: nn.Module) -> Any:
    """The module with small random weights, ready to run."""
    draw = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        fan_in = max(1, parameter[0].numel()) if parameter.dim() > 1 else 16
        parameter.data = torch.randn(parameter.shape, generator=draw) / fan_in**0.5
    return module.requires_grad_(False).eval()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models() -> Models:
    """All parts of the tiny pipeline, tiny."""
    prompt = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(2))
    return Models(
        filled(Transformer(TRANSFORMER)),
        filled(Projector(PROJECTOR)),
        filled(TinyDecoder(DECODER)),
        prompt,
    )


def published(name: str) -> dict[str, Tensor]:
    """The tensors of a published file, at full size, without their values."""
    shapes = json.loads((MANIFESTS / f"{name}.json").read_text(encoding="utf-8"))["tensors"]
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


PUBLISHED: list[tuple[str, Callable[[dict[str, Tensor]], nn.Module]]] = [
    ("flashvsr_dit", lambda t: load_transformer(t, TRANSFORMERS["flashvsr"])),
    ("flashvsr_lq_proj_in", lambda t: load_projector(t, PROJECTORS["flashvsr_v1"])),
    ("flashvsr_lq_proj_in", lambda t: load_projector(t, PROJECTORS["flashvsr_v1.1"])),
    ("flashvsr_tcdecoder", lambda t: load_decoder(t, DECODERS["flashvsr_tcdecoder"])),
]


@pytest.mark.parametrize(("name", "load"), PUBLISHED)
def test_published_files_load_strictly(
    name: str, load: Callable[[dict[str, Tensor]], nn.Module]
) -> None:
    tensors = published(name)
    load(tensors)
    last = list(tensors)[-1]
    with pytest.raises(WeightsError, match="missing"):
        load({key: tensor for key, tensor in tensors.items() if key != last})
    with pytest.raises(WeightsError, match="shape"):
        load(tensors | {last: torch.empty(7, device="meta")})


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("flashvsr_dit", lambda: Transformer(TRANSFORMERS["flashvsr"])),
        ("flashvsr_lq_proj_in", lambda: Projector(PROJECTORS["flashvsr_v1.1"])),
        ("flashvsr_tcdecoder", lambda: TinyDecoder(DECODERS["flashvsr_tcdecoder"])),
    ],
)
def test_models_hold_the_published_tensors(name: str, build: Callable[[], nn.Module]) -> None:
    with torch.device("meta"):
        state = build().state_dict()
    assert {k: v.shape for k, v in state.items()} == {
        k: v.shape for k, v in published(name).items()
    }


def test_a_decoder_file_may_hold_its_encoder_too() -> None:
    tensors = published("flashvsr_tcdecoder")
    tensors["encoder.0.weight"] = torch.empty(4, device="meta")
    tensors["decoder.9.extra"] = torch.empty(4, device="meta")
    load_decoder(tensors, DECODERS["flashvsr_tcdecoder"])


@pytest.mark.parametrize(("kv_slots", "settled"), [(1, 2), (2, 2), (3, 3), (4, 4)])
def test_the_ring_settles_and_keeps_the_youngest(kv_slots: int, settled: int) -> None:
    ring = SlotRing(kv_slots)
    expected: list[float] = []
    for chunk in range(8):
        values = [0.0, 1.0, 2.0] if chunk == 0 else [2.0 + chunk]
        slots = torch.tensor(values).reshape(1, -1, 1, 1, 1)
        ring.append(slots, -slots)
        expected += values
        k, v = ring.held()
        assert sorted(k.flatten().tolist()) == expected
        assert (k == -v).all()
        ring.trim()
        expected = expected[1:] if len(expected) > kv_slots else expected
        assert ring.held()[0].flatten().tolist() == expected
    assert len(expected) == settled


@pytest.mark.parametrize("kv_slots", [1, 2, 3, 5])
def test_layers_share_one_slot_beside_those_kept(kv_slots: int) -> None:
    """No place is ever missing, and no layer writes over what another one holds."""
    layers = new_rings(4, kv_slots)
    expected: list[list[float]] = [[] for _ in layers]
    for chunk, count in enumerate((3, *[1] * 9)):
        for layer, ring in enumerate(layers):
            values = [100 * layer + 10 * chunk + slot for slot in range(count)]
            slots = torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1, 1)
            ring.append(slots, -slots)
            expected[layer] += values
            keys, places = ring.memory()[0].flatten(), ring.blocks()
            assert len(keys) == 4 * max(kv_slots, 2) + 1
            assert keys[places].tolist() == expected[layer]
            assert ring.means().flatten().tolist() == expected[layer]
            ring.trim()
            expected[layer] = expected[layer][-len(ring.order) :]
            assert len(ring.order) <= max(kv_slots, 2)
    assert len({place for ring in layers for place in ring.order}) == 4 * max(kv_slots, 2)


def test_the_ring_is_written_in_place() -> None:
    ring = SlotRing(3)
    k, v = torch.randn(2, 2, 3, 4, 6)
    k_room, v_room = ring.fresh(k)
    k_room.copy_(k)
    v_room.copy_(v)
    keys, values, scales = ring.memory()
    assert scales is None
    assert k_room.data_ptr() == keys.data_ptr()
    places = ring.blocks()
    assert torch.equal(keys[:, places], k)
    assert torch.equal(values[:, places], v)
    for made, given in zip(ring.held(), (k, v), strict=True):
        assert torch.equal(made, given)


def test_a_memory_is_taken_out_and_put_back() -> None:
    memory = SlotMemory(4)
    assert memory.taken_out() == []
    ring = SlotRing(3, memory=memory)
    ring.append(*torch.randn(2, 2, 3, 1, 4, 6))
    before = ring.held()
    out = memory.taken_out()
    with pytest.raises(AssertionError, match="nothing is held"):
        ring.held()
    memory.put_back([x.clone() for x in out])
    assert all(torch.equal(a, b) for a, b in zip(ring.held(), before, strict=True))


@pytest.mark.parametrize("dtype", [None, EIGHT_BITS])
def test_the_ring_knows_its_keys_means(dtype: torch.dtype | None) -> None:
    ring = SlotRing(2, dtype)
    given: list[Tensor] = []
    for count in (3, 1, 1, 1, 1):
        k, v = torch.randn(2, 2, count, 3, 4, 6)
        ring.append(k, v)
        given += k.unbind(1)
        torch.testing.assert_close(ring.means(), block_means(torch.cat(given, dim=1)))
        ring.trim()
        given = given[-len(ring.order) :]


def test_eight_bits_keep_each_value_within_a_sixteenth() -> None:
    ring = SlotRing(3, EIGHT_BITS)
    # Blocks of very different size, each with a scale of its own.
    sizes = torch.tensor([1e-4, 1.0, 1e4])[:, None, None]
    k, v = torch.randn(2, 2, 4, 3, 128, 16, generator=torch.Generator().manual_seed(1)) * sizes
    k[:, :, 1, 0] = 0
    ring.append(k, v)
    for held, exact in zip(ring.held(), (k.flatten(1, 2), v.flatten(1, 2)), strict=True):
        # Half a step of three bits; nearest to zero, half the smallest step of the block's scale.
        largest = exact.abs().amax(dim=(2, 3), keepdim=True)
        assert ((held - exact).abs() <= exact.abs() / 16 + largest / 448 / 512 * 1.01).all()
    keys, values, scales = ring.memory()
    assert keys.dtype == values.dtype == EIGHT_BITS
    assert scales is not None
    for packed, scale, wide in zip((keys, values), scales, ring.held(), strict=True):
        widened = packed.float() * scale[..., None, None]
        assert torch.equal(widened[:, ring.blocks()], wide)


def test_eight_bits_of_bfloat16_come_back_as_bfloat16() -> None:
    ring = SlotRing(3, EIGHT_BITS)
    k, v = torch.randn(2, 2, 3, 1, 4, 6).bfloat16()
    ring.append(k, v)
    assert {x.dtype for x in ring.held()} == {torch.bfloat16}


def velocity(
    transformer: Transformer, sparsity: Sparsity, dtype: torch.dtype | None = None
) -> Tensor:
    """Of three chunks."""
    draw = torch.Generator().manual_seed(3)
    condition = transformer.condition(torch.randn(1, 5, 8, generator=draw))
    latents = torch.randn(1, 16, 10, 16, 16, generator=draw)
    tokens = torch.randn(1, 10 * 64, 24, generator=draw)
    rings = transformer.rings(sparsity, dtype)
    spans = [(0, 6), (6, 8), (8, 10)]
    parts = [
        transformer(latents[:, :, a:b], [tokens[:, a * 64 : b * 64]], condition, rings, a, sparsity)
        for a, b in spans
    ]
    return torch.cat(parts, dim=2)


def error(made: Tensor, exact: Tensor) -> float:
    """Root mean square of the difference, as a part of that of the exact result."""
    return ((made - exact).norm() / exact.norm()).item()


def test_a_transformer_with_eight_bits_of_cache(models: Models) -> None:
    wide = Sparsity(pairs=1000, reach=11, kv_slots=3)
    exact = velocity(models.transformer, wide)
    made = velocity(models.transformer, wide, EIGHT_BITS)
    assert 1e-5 < error(made, exact) < 0.01


def test_linear_layers_in_eight_bits() -> None:
    wide = Sparsity(pairs=1000, reach=11, kv_slots=3)
    transformer = filled(Transformer(TRANSFORMER))
    exact = velocity(transformer, wide)
    assert to_fp8(transformer, *LARGE_LINEARS) == 8 * TRANSFORMER.layers
    assert 1e-4 < error(velocity(transformer, wide), exact) < 0.05


def test_long_slots_go_through_in_pieces(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = velocity(models.transformer, SPARSITY)
    monkeypatch.setattr(transformers, "TOKENS", 100)
    torch.testing.assert_close(velocity(models.transformer, SPARSITY), whole)


def test_the_text_can_be_forgotten() -> None:
    transformer = filled(Transformer(TRANSFORMER))
    condition = transformer.condition(torch.randn(1, 5, 8))
    latents = torch.randn(1, 16, 2, 16, 16)

    def run() -> Tensor:
        return transformer(latents, [], condition, transformer.rings(SPARSITY), 0, SPARSITY)

    before, size = run(), sum(p.numel() for p in transformer.parameters())
    transformer.forget_text()
    assert torch.equal(run(), before)
    dim, text_dim, layers = TRANSFORMER.dim, TRANSFORMER.text_dim, TRANSFORMER.layers
    embedding = dim * (text_dim + 1) + dim * (dim + 1)
    embedding += dim * (TRANSFORMER.freq_dim + 1) + dim * (dim + 1) + 6 * dim * (dim + 1)  # time's
    freed = size - sum(p.numel() for p in transformer.parameters())
    assert freed == embedding + layers * (2 * dim * (dim + 1) + dim)
    with pytest.raises(AssertionError, match="gone"):
        transformer.condition(torch.randn(1, 5, 8))


def test_the_order_of_windows() -> None:
    grid = Grid(4, 16, 24, 6)
    x = torch.arange(4 * 16 * 24 * 6).reshape(1, -1, 6)
    ordered = to_windows(x, grid)
    assert torch.equal(from_windows(ordered, grid), x)
    blocks = to_blocks(x.unflatten(2, (2, 3)), grid)
    assert torch.equal(blocks, ordered.reshape(2, 6, 128, 2, 3).permute(3, 0, 1, 2, 4))
    plain = rotary_turns(grid, 24)
    for a, b in zip(
        rotary_turns(grid, 24, is_windowed=True), windowed_turns(plain, grid), strict=True
    ):
        assert torch.equal(a, b)


@pytest.mark.parametrize("start", [1000, 50_000])
def test_only_differences_of_time_matter(models: Models, start: int) -> None:
    transformer = models.transformer
    condition = transformer.condition(models.prompt)
    draw = torch.Generator().manual_seed(3)
    latents = torch.randn(1, 16, 10, 16, 16, generator=draw)
    # Everything is attended to but one pair, so no hard cut turns rounding into another choice.
    wide = Sparsity(pairs=1000, reach=11, kv_slots=3)

    def run(first: int) -> Tensor:
        rings = transformer.rings(wide)
        spans = [(0, 6), (6, 8), (8, 10)]
        parts = [
            transformer(latents[:, :, a:b], [], condition, rings, first + a, wide) for a, b in spans
        ]
        return torch.cat(parts, dim=2)

    torch.testing.assert_close(run(start), run(0), rtol=1e-3, atol=1e-3)


def test_a_grid_holds_whole_windows() -> None:
    with pytest.raises(AssertionError):
        Grid(2, 12, 8)


def test_causal_projection_is_the_same_in_any_pieces(models: Models) -> None:
    frames = torch.randn(1, 3, 25, 32, 48)
    whole, end = models.projector(frames, ProjectorState())
    first, state = models.projector(frames[:, :, :1], ProjectorState())
    assert first == []
    parts = []
    for clip in torch.split(frames[:, :, 1:], 8, dim=2):
        tokens, state = models.projector(clip, state)
        parts.append(tokens[0])
    torch.testing.assert_close(torch.cat(parts, dim=1), whole[0])
    assert state.conv1 is not None
    assert end.conv1 is not None
    torch.testing.assert_close(state.conv1, end.conv1)


def test_the_first_rule_forgets_between_clips() -> None:
    projector = filled(Projector(ProjectorConfig("v1", 3, (16, 16), 8, 8, 24, 2)))
    frames = torch.randn(1, 3, 9, 32, 32)
    tokens, _ = projector(frames, ProjectorState())
    assert len(tokens) == 2
    other = frames.clone()
    other[:, :, :5] = 0
    again, _ = projector(other, ProjectorState())
    torch.testing.assert_close(again[0][:, 4:], tokens[0][:, 4:])
    assert not torch.allclose(again[0][:, :4], tokens[0][:, :4])


@pytest.mark.parametrize("limit", [1, 9 * 8 * 10 * 6 * 3, 1 << 27])
def test_the_projection_as_products_of_matrices(limit: int) -> None:
    conv = filled(torch.nn.Conv3d(8, 12, projection.KERNEL, projection.STRIDE))
    x = torch.randn(2, 8, 10, 9, 8)
    torch.testing.assert_close(conv_by_products(x, conv, limit), conv(x))


@pytest.mark.parametrize("rule", ["v1", "v1.1"])
def test_clips_may_go_through_the_projection_together(
    rule: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    projector = filled(Projector(ProjectorConfig(rule, 3, (16, 16), 8, 8, 24, 2)))
    frames = torch.randn(1, 3, 21, 32, 48)
    one_by_one, _ = projector(frames, ProjectorState())
    for clips in (2, 3):
        monkeypatch.setattr(projection, "CLIPS", clips)
        together, _ = projector(frames, ProjectorState())
        torch.testing.assert_close(together, one_by_one, rtol=1e-4, atol=1e-4)


def test_the_decoder_streams(models: Models) -> None:
    decoder = models.decoder
    latents, source = torch.randn(1, 16, 5, 4, 6), torch.rand(1, 3, 17, 32, 48)
    whole, _ = decoder(latents, source)
    first, state = decoder(latents[:, :, :2], source[:, :, :5])
    second, _ = decoder(latents[:, :, 2:], source[:, :, 5:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=2), whole)


def test_a_merged_decoder_gives_the_same() -> None:
    plain, merged = filled(TinyDecoder(DECODER)), filled(TinyDecoder(DECODER))
    merged.merge()
    latents, source = torch.randn(1, 16, 2, 3, 5), torch.rand(1, 3, 5, 24, 40)
    torch.testing.assert_close(merged(latents, source), plain(latents, source))
    weights = [p for p in merged.parameters() if p.dim() == 4]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)


@pytest.mark.parametrize("is_merged", [False, True])
def test_bands_of_rows_join_without_a_seam(
    is_merged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = filled(TinyDecoder(DECODER))
    if is_merged:
        decoder.merge()
    latents, source = torch.randn(1, 16, 3, 7, 5), torch.rand(1, 3, 9, 56, 40)
    whole, state = decoder(latents, source)
    for numbers in (1, 2000, 9000):  # a row at a time, some, and almost all
        monkeypatch.setattr(decoding, "BAND", numbers)
        made, again = decoder(latents, source)
        torch.testing.assert_close(made, whole)
        for a, b in zip(again, state, strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("count", [0, 1, 21, 22, 29, 30])
def test_as_many_frames_out_as_in(models: Models, count: int) -> None:
    frames = list(torch.rand(count, 3, 128, 128) * 2 - 1)
    noise = seeded_noise(5, 16, 16, 16)
    parts = list(chunks(models, iter(frames), noise, Settings(SPARSITY)))
    assert sum(part.frames.shape[2] for part in parts) == count
    if count:
        source = torch.cat([part.source for part in parts], dim=2)
        assert torch.equal(source[0].transpose(0, 1), torch.stack(frames))


def test_frames_come_as_soon_as_they_can(models: Models) -> None:
    read = 0

    def reader() -> Any:
        nonlocal read
        for frame in torch.zeros(40, 3, 128, 128):
            read += 1
            yield frame

    stream = chunks(models, reader(), seeded_noise(5, 16, 16, 16), Settings(SPARSITY))
    for wanted in (25, 33, 40):
        next(stream)
        assert read == wanted


def test_a_longer_clip_begins_alike(models: Models) -> None:
    frames = torch.rand(37, 3, 128, 128) * 2 - 1
    noise = seeded_noise(5, 16, 16, 16)
    short = next(iter(chunks(models, frames[:26], noise, Settings(SPARSITY))))
    long = next(iter(chunks(models, frames, noise, Settings(SPARSITY))))
    assert torch.equal(short.frames, long.frames)


@pytest.mark.parametrize("colour", ["none", "adain", "wavelet"])
def test_pictures_keep_their_number_and_get_their_size(models: Models, colour: Any) -> None:
    pictures = list((torch.rand(2, 41, 50, 3) * 255).byte())
    place = placement(100, 82)
    made = list(upscaled(models, pictures, place, Settings(SPARSITY, colour), seed=7))
    assert [(tuple(p.shape), p.dtype) for p in made] == [((82, 100, 3), torch.uint8)] * 2
    again = list(upscaled(models, pictures, place, Settings(SPARSITY, colour), seed=7))
    assert all(torch.equal(a, b) for a, b in zip(made, again, strict=True))


def test_it_can_be_stopped_within_a_chunk(models: Models) -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt

    stream = chunks(
        models,
        torch.zeros(1, 3, 128, 128),
        seeded_noise(0, 16, 16, 16),
        Settings(SPARSITY),
        check,
    )
    with pytest.raises(KeyboardInterrupt):
        next(stream)


def test_it_runs_in_bfloat16() -> None:
    made = Models(
        filled(Transformer(TRANSFORMER)).bfloat16(),
        filled(Projector(PROJECTOR)).bfloat16(),
        filled(TinyDecoder(DECODER)).bfloat16(),
        torch.randn(1, 5, 8),
    )
    frames = torch.rand(1, 3, 25, 128, 128) * 2 - 1
    chunk = Stream(made, Settings(SPARSITY)).step(
        frames, frames[:, :, :21], seeded_noise(0, 16, 16, 16)
    )
    assert chunk.frames.dtype == torch.float32
    assert chunk.frames.isfinite().all()


def test_noise_depends_on_seed_and_frame_alone() -> None:
    noise = seeded_noise(3, 16, 20, 30)
    assert torch.equal(noise(0, 6)[:, :, 4:], noise(4, 2))
    assert not torch.equal(noise(0, 1), noise(1, 1))
    assert not torch.equal(noise(0, 1), seeded_noise(4, 16, 20, 30)(0, 1))
    drawn = noise(0, 20)
    assert drawn.dtype == torch.float32
    assert abs(drawn.mean().item()) < 0.01
    assert abs(drawn.std().item() - 1) < 0.01


def test_the_budget_is_the_published_one() -> None:
    assert sparsity(1408, 768).pairs == 7919
    assert sparsity(1408, 768, 1.5).pairs == 5939


def test_colours_are_those_of_the_source() -> None:
    frames, source = torch.randn(1, 3, 2, 40, 30) * 0.1, torch.randn(1, 3, 2, 40, 30) * 0.2 + 0.1
    fixed = adain(frames, source)
    torch.testing.assert_close(
        fixed.mean(dim=(3, 4)), source.clamp(-1, 1).mean(dim=(3, 4)), atol=2e-3, rtol=0
    )
    banded = wavelet(frames, source)
    torch.testing.assert_close(
        banded[:, :, 0] - low_band(source[:, :, 0]),
        frames[:, :, 0] - low_band(frames[:, :, 0]),
    )
