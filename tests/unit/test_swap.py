"""Blocks that wait on the host: the same result, no more memory than said, all given back."""

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from engine.errors import Cancelled  # noqa: E402
from engine.models.linear import put_tensor, to_fp8  # noqa: E402
from engine.models.lora import LiveLoras, LoraUse, read_lora, shapes_of  # noqa: E402
from engine.models.swap import (  # noqa: E402
    ALIGNED_BYTES,
    PAGE_BYTES,
    Swap,
    away,
    swap_size,
    swapped,
)
from engine.models.wan.block import LARGE_LINEARS  # noqa: E402
from engine.models.wan.config import TRANSFORMER_VARIANTS, TransformerConfig  # noqa: E402
from engine.models.wan.transformer import Transformer  # noqa: E402
from tests.support.memory import LiveBytes  # noqa: E402

CONFIG = TransformerConfig(
    dim=32, heads=2, ffn_dim=48, layers=5, in_dim=4, out_dim=4, text_dim=12, freq_dim=16
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def filled(config: TransformerConfig = CONFIG) -> Transformer:
    """The same weights each time."""
    torch.manual_seed(1)
    model = Transformer(config).requires_grad_(False)
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape) * 0.2)
    return model


def cancel() -> None:
    """As a person does it."""
    raise Cancelled


def velocity(
    model: Transformer, swap: Swap | None = None, on_block: Callable[[], None] | None = None
) -> Tensor:
    """Of a small clip."""
    draw = torch.Generator().manual_seed(3)
    latents = torch.randn(1, 4, 2, 4, 4, generator=draw)
    text = torch.randn(5, CONFIG.text_dim, generator=draw)
    device = model.patch_embedding.weight.device
    with torch.inference_mode():
        condition = model.condition([text.to(device)])
        time = torch.tensor([500.0])
        return model(latents.to(device), time, condition, blocks=swap, on_block=on_block).cpu()


@pytest.mark.parametrize("count", [0, 1, 2, 5, 40])
@pytest.mark.parametrize("ahead", [0, 1, 3, 9])
def test_swapping_changes_nothing(count: int, ahead: int) -> None:
    model = filled()
    exact = velocity(model)
    with swapped(list(model.blocks), count, "cpu", ahead) as swap:
        assert len(swap) == 5
        for _ in range(3):
            assert torch.equal(velocity(model, swap), exact)
    assert torch.equal(velocity(model), exact)


def test_swapping_in_eight_bits_with_live_loras_changes_nothing() -> None:
    model = filled()
    keys = {}
    for name, shape in shapes_of(model).items():
        if name.endswith("ffn.0.weight"):
            layer = name.removesuffix(".weight")
            keys[f"{layer}.lora_A.weight"] = torch.randn(2, shape[1])
            keys[f"{layer}.lora_B.weight"] = torch.randn(shape[0], 2)
        if name.endswith("modulation"):
            keys[f"{name.removesuffix('.modulation')}.diff_m"] = torch.randn(shape)
    uses = [LoraUse(read_lora(keys, shapes_of(model), "a"))]
    to_fp8(model, *LARGE_LINEARS)
    live = LiveLoras(model, uses, torch.float32)
    exact = velocity(model)
    live.set_strengths([0.3])
    weaker = velocity(model)
    assert not torch.equal(weaker, exact)
    with swapped(list(model.blocks), 3, "cpu") as swap:
        assert torch.equal(velocity(model, swap), weaker)
        # Strengths may change between two passes.
        live.set_strengths([1.0])
        assert torch.equal(velocity(model, swap), exact)


def test_a_pass_that_ends_early_leaves_no_trace() -> None:
    model = filled()
    exact = velocity(model)
    with swapped(list(model.blocks), 4, "cpu") as swap:
        for block in swap:
            if block is model.blocks[2]:
                break
        with pytest.raises(Cancelled):
            velocity(model, swap, cancel)
        assert torch.equal(velocity(model, swap), exact)
    assert torch.equal(velocity(model), exact)


def test_those_away_lie_evenly_and_the_first_stays() -> None:
    assert away(40, 0) == []
    assert away(40, 20) == list(range(1, 40, 2))
    assert away(40, 10) == list(range(3, 40, 4))
    assert away(40, 39) == list(range(1, 40))
    assert away(30, 99) == list(range(30))
    for count in range(31):
        assert len(away(30, count)) == count
        assert count == 30 or 0 not in away(30, count)


def in_slots(swap: Swap, block: nn.Module) -> bool:
    """Whether the block's matrices lie in one of the slots."""
    weight = next(p for p in block.parameters() if p.dim() == 2)
    spans = [(slot.buffer.data_ptr(), len(slot.buffer)) for slot in swap._slots]
    return any(begin <= weight.data_ptr() < begin + size for begin, size in spans)


def test_only_the_current_block_is_in_a_slot() -> None:
    model = filled()
    blocks = list(model.blocks)
    with swapped(blocks, 3, "cpu") as swap:
        for number, block in enumerate(swap):
            held = [i for i, other in enumerate(blocks) if in_slots(swap, other)]
            assert block is blocks[number]
            assert held == ([number] if number in away(5, 3) else [])
        assert not any(in_slots(swap, block) for block in blocks)


def test_the_memory_is_what_was_said() -> None:
    with torch.device("meta"):
        sizes = {
            ahead: swap_size(list(Transformer(CONFIG).blocks), 3, ahead) for ahead in (0, 1, 7)
        }
    one = sizes[0].device
    matrices = sum(p.numel() for p in filled().blocks[0].parameters() if p.dim() > 1) * 4
    assert matrices <= one < matrices + 11 * 256
    assert [sizes[ahead].device for ahead in (0, 1, 7)] == [one, 2 * one, 3 * one]
    for ahead, size in sizes.items():
        with swapped(list(filled().blocks), 3, "cpu", ahead) as swap:
            assert (swap.device_bytes, swap.host_bytes) == (0, size.host)
            list(swap)
            assert (swap.device_bytes, swap.host_bytes) == (size.device, 3 * one)
            swap.rest()
            assert swap.device_bytes == 0
            list(swap)
            assert swap.device_bytes == size.device


def test_the_blocks_of_the_published_models() -> None:
    gigabytes = {}
    for name in ("wan2.1_t2v_14b", "wan2.1_i2v_14b_480p"):
        with torch.device("meta"):
            model = Transformer(replace(TRANSFORMER_VARIANTS[name], layers=4)).bfloat16()
            wide = swap_size(list(model.blocks), 3)
            to_fp8(model, *LARGE_LINEARS)
        gigabytes[name] = wide.host / 3e9
        assert wide.device == 2 * wide.host / 3
        assert 0.499 < swap_size(list(model.blocks), 3).host / wide.host < 0.501
    assert gigabytes == pytest.approx(
        {"wan2.1_t2v_14b": 0.70, "wan2.1_i2v_14b_480p": 0.80}, abs=0.01
    )


def test_what_the_blocks_had_is_freed_and_so_are_the_slots() -> None:
    model = filled()
    blocks = list(model.blocks)
    old = weakref.ref(blocks[1].ffn[0].weight)
    with swapped(blocks, 5, "cpu") as swap:
        gc.collect()
        assert old() is None
        list(swap)
        slots = [weakref.ref(slot.buffer) for slot in swap._slots]
        assert len(slots) == 2
    gc.collect()
    assert all(slot() is None for slot in slots)
    assert (swap.device_bytes, swap.host_bytes) == (0, 0)


def test_packing_takes_one_block_more_at_a_time() -> None:
    """Loading never holds a model twice."""
    with LiveBytes() as live:
        model = filled()
        whole = sum(p.numel() * p.element_size() for p in model.parameters())
        block = sum(p.numel() * p.element_size() for p in model.blocks[0].parameters())
        assert live.peak < 1.2 * whole
        swap = Swap(list(model.blocks), 5, "cpu")
        pages = 5 * (2 * PAGE_BYTES + 12 * ALIGNED_BYTES)
        assert live.peak < whole + block + pages
        list(swap)
        swap.arrange(2)
        swap.arrange(5)
        assert live.peak < whole + 2 * block + swap.device_bytes + 2 * pages


def test_blocks_are_arranged_anew_without_packing_those_that_stay_away() -> None:
    model = filled()
    exact = velocity(model)
    swap = Swap(list(model.blocks), 5, "cpu")
    for count, ahead in ((5, 2), (2, 1), (4, 0), (0, 1), (3, 1)):
        before = {index: parcel.home.data_ptr() for index, parcel in swap._parcels.items()}
        swap.arrange(count, ahead)
        assert swap.waiting == set(away(5, count))
        after = {index: parcel.home.data_ptr() for index, parcel in swap._parcels.items()}
        assert all(after[index] == before[index] for index in after.keys() & before.keys())
        assert torch.equal(velocity(model, swap), exact)
        assert len(swap._slots) == min(ahead + 1, count)
    swap.close()
    assert torch.equal(velocity(model), exact)


def test_weights_that_were_put_in_the_place_of_packed_ones_are_packed() -> None:
    model = filled()
    changed = filled()
    other = torch.randn(32, 32)
    changed.blocks[1].self_attn.q.weight.copy_(other)
    with swapped(list(model.blocks), 5, "cpu") as swap:
        put_tensor(model.blocks[1].self_attn.q, "weight", other.clone())
        swap.take_in()
        assert torch.equal(velocity(model, swap), velocity(changed))
        assert torch.equal(velocity(model, swap), velocity(changed))


def test_weights_are_of_one_kind_wherever_they_are() -> None:
    """Tensors made while gradients are off are of another kind; blocks would be compiled anew."""
    model = filled()
    kinds = set()
    with torch.inference_mode(), swapped(list(model.blocks), 3, "cpu") as swap:
        for block in swap:
            kinds |= {parameter.is_inference() for parameter in block.parameters()}
        kinds |= {parameter.is_inference() for parameter in model.parameters()}
    assert kinds == {False}


def test_models_loaded_for_inference_swap_too() -> None:
    with torch.inference_mode():
        model = filled()
        exact = velocity(model)
        with swapped(list(model.blocks), 3, "cpu") as swap:
            assert torch.equal(velocity(model, swap), exact)
    with swapped(list(model.blocks), 3, "cpu") as swap:
        assert torch.equal(velocity(model, swap), exact)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
@pytest.mark.parametrize("pinned", [True, False])
def test_on_a_card_swapping_changes_nothing_and_gives_all_back(pinned: bool) -> None:
    config = TransformerConfig(
        dim=512, heads=4, ffn_dim=1024, layers=9, in_dim=4, out_dim=4, text_dim=12, freq_dim=16
    )
    model = filled(config).cuda()
    exact = velocity(model)
    torch.cuda.synchronize()
    full = torch.cuda.memory_allocated()
    blocks = list(model.blocks)
    with swapped(blocks, 6, "cuda", pinned=pinned) as swap:
        assert swap.is_pinned == pinned
        assert torch.cuda.memory_allocated() < full - 0.9 * swap.host_bytes
        for _ in range(5):
            assert torch.equal(velocity(model, swap), exact)
        assert torch.cuda.memory_allocated() < full - 0.9 * swap.host_bytes + swap.device_bytes
        with pytest.raises(Cancelled):
            velocity(model, swap, cancel)
        assert torch.equal(velocity(model, swap), exact)
    assert torch.cuda.memory_allocated() < full
    assert torch.equal(velocity(model.cuda()), exact)
