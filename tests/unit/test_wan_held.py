"""Wan's transformer between jobs: nothing is packed, read or matched twice, all is given back."""

import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor  # noqa: E402

from engine.errors import Cancelled, WeightsError  # noqa: E402
from engine.models import swap as swapping  # noqa: E402
from engine.models.linear import to_fp8  # noqa: E402
from engine.models.lora import LiveLoras, LoraUse, read_lora, shapes_of  # noqa: E402
from engine.models.resident import Resident  # noqa: E402
from engine.models.swap import away  # noqa: E402
from engine.models.wan import loading  # noqa: E402
from engine.models.wan.block import LARGE_LINEARS  # noqa: E402
from engine.models.wan.config import TransformerConfig  # noqa: E402
from engine.models.wan.denoising import Ready  # noqa: E402
from engine.models.wan.loading import LoraFile, lora_uses  # noqa: E402
from engine.models.wan.transformer import Transformer  # noqa: E402
from engine.worker.wan_held import Arrangement, HeldTransformer  # noqa: E402

CONFIG = TransformerConfig(
    dim=32, heads=2, ffn_dim=48, layers=5, in_dim=4, out_dim=4, text_dim=12, freq_dim=16,
    image_dim=8,
)  # fmt: skip
HERE = torch.device("cpu")


def filled() -> Transformer:
    """The same weights each time."""
    torch.manual_seed(1)
    model = Transformer(CONFIG).requires_grad_(False)
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape) * 0.2)
    return model


def velocity(ready: Ready) -> Tensor:
    """Of a small clip and a picture."""
    draw = torch.Generator().manual_seed(3)
    latents = torch.randn(1, 4, 2, 4, 4, generator=draw)
    text = torch.randn(5, CONFIG.text_dim, generator=draw)
    image = torch.randn(1, 3, CONFIG.image_dim, generator=draw)
    with torch.inference_mode():
        condition = ready.model.condition([text], image)
        found = ready.model(latents, torch.tensor([500.0]), condition, blocks=ready.blocks)
        return found.cpu()


def tensors_of_lora(seed: int = 5) -> dict[str, Tensor]:
    """Thin matrices of a layer of each block, and differences of what is packed and what is not."""
    draw = torch.Generator().manual_seed(seed)
    made = {}
    for name, shape in shapes_of(filled()).items():
        layer = name.rpartition(".")[0]
        if name.endswith("ffn.0.weight"):
            made[f"{layer}.lora_A.weight"] = torch.randn(2, shape[1], generator=draw)
            made[f"{layer}.lora_B.weight"] = torch.randn(shape[0], 2, generator=draw)
        if name.endswith("modulation") and name.startswith("blocks"):
            made[f"{layer}.diff_m"] = torch.randn(shape, generator=draw)
        if name.endswith("self_attn.k.weight"):
            made[f"{layer}.diff"] = torch.randn(shape, generator=draw)
        if name.endswith("ffn.2.bias"):
            made[f"{layer}.diff_b"] = torch.randn(shape, generator=draw)
    return made


def uses(strength: float | tuple[float, ...] = 0.7, seed: int = 5) -> list[LoraUse]:
    return [LoraUse(read_lora(tensors_of_lora(seed), shapes_of(filled()), "a"), strength)]


def plain(loras: Sequence[LoraUse] = (), step: int = 0) -> Tensor:
    """What an ordinary model gives."""
    model = filled()
    if loras:
        LiveLoras(model, loras, torch.float32).set_step(step)
    return velocity(Ready(model))


class Ledger:
    """Counts what is pinned, as a card's driver does."""

    def __init__(self) -> None:
        self.held: dict[int, int] = {}
        self.most = 0
        self.count = 0

    def pin(
        self, buffer: Tensor, device: object, wished: bool
    ) -> tuple[bool, Callable[[], object]]:
        if not wished:
            return False, lambda: None
        self.count += 1
        number = self.count
        self.held[number] = len(buffer)
        self.most = max(self.most, self.bytes)
        return True, weakref.finalize(buffer, self.held.pop, number)

    @property
    def bytes(self) -> int:
        return sum(self.held.values())


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    made = Ledger()
    monkeypatch.setattr(swapping, "_pinned", made.pin)
    return made


WAYS = [
    Arrangement(HERE),
    Arrangement(HERE, swapped=3),
    Arrangement(HERE, swapped=3, ahead=2),
    Arrangement(HERE, swapped=5, pinned=False),
    Arrangement(HERE, waits=True, swapped=2),
    Arrangement(HERE, waits=True, offloaded=frozenset({"text_embedding", "img_emb"})),
    Arrangement(HERE),
]


def test_whatever_was_before_the_result_is_the_same() -> None:
    held = HeldTransformer(filled())
    first, second = uses(), uses((0.3, 0.9), seed=6)
    exact = {"": plain(), "first": plain(first), "second": plain(second, 1)}
    assert len({float(one.sum()) for one in exact.values()}) == 3
    for how in (*WAYS, *reversed(WAYS)):
        for name, loras in (("", []), ("first", first), ("first", first), ("second", second)):
            with held.ready(how, loras, name) as ready:
                if ready.set_step is not None:
                    ready.set_step(0)
                    ready.set_step(1)
                assert torch.equal(velocity(ready), exact[name]), (how, name)


def test_eight_bits_with_loras_and_swapping_are_the_same_from_job_to_job() -> None:
    model = filled()
    to_fp8(model, *LARGE_LINEARS)
    held, loras = HeldTransformer(model), uses()
    found = []
    for how in (WAYS[0], WAYS[1], WAYS[1], WAYS[4], WAYS[0]):
        with held.ready(how, loras, "a") as ready:
            found.append(velocity(ready))
        with held.ready(how) as ready:
            found.append(velocity(ready))
    assert all(torch.equal(one, found[i % 2]) for i, one in enumerate(found))


def test_strengths_that_were_written_elsewhere_are_written_again() -> None:
    """What a job wrote on the card has gone with the card's copies."""
    held, loras = HeldTransformer(filled()), uses((0.3, 0.9))
    for how in (Arrangement(torch.device("meta"), waits=True), Arrangement(HERE)):
        with held.ready(how, loras, "a") as ready:
            assert ready.set_step is not None
            ready.set_step(1)
            found = None if ready.model.head.head.weight.is_meta else velocity(ready)
    assert found is not None
    assert torch.equal(found, plain(loras, 1))


def test_a_second_job_packs_nothing_and_puts_no_lora_on(ledger: Ledger) -> None:
    held, loras = HeldTransformer(filled()), uses()
    how = WAYS[1]
    for _ in range(3):
        with held.ready(how, loras, "a") as ready:
            velocity(ready)
            layers = [m for m in ready.model.modules() if type(m).__name__ == "LoraLinear"]
        assert ledger.count == 3
        assert held._swap is not None
        assert held._swap.device_bytes == 0  # the slots are given back between jobs
    with held.ready(how, uses(0.1), "a") as ready:  # other strengths
        assert torch.equal(velocity(ready), plain(uses(0.1)))
        assert layers == [m for m in ready.model.modules() if type(m).__name__ == "LoraLinear"]
    with held.ready(replace(how, swapped=4)):  # only what is not away yet is packed
        assert ledger.count == 3 + len(set(away(5, 4)) - set(away(5, 3)))


def test_pinned_memory_is_bounded_and_comes_back(ledger: Ledger) -> None:
    """Whatever jobs follow each other, no more is pinned than the blocks that are away."""
    held, loras = HeldTransformer(filled()), uses()
    with held.ready(replace(WAYS[1], swapped=5)):
        whole = ledger.bytes
        assert whole == held.host_bytes > 0
    for _ in range(3):
        for how in WAYS:
            with held.ready(how, loras, "a") as ready:
                velocity(ready)
            assert ledger.bytes == (held.host_bytes if how.pinned else 0)
            assert held.host_bytes == whole // 5 * how.swapped
    assert ledger.most == whole
    with held.ready(WAYS[1]):
        assert ledger.bytes == whole // 5 * 3
    held.close()
    assert ledger.bytes == 0


@pytest.mark.parametrize("way", ["unload", "wanted", "another model", "too large", "failed"])
def test_a_model_that_is_dropped_gives_back_what_it_pinned(way: str, ledger: Ledger) -> None:
    resident = Resident(1 << 30)
    models = []

    def load() -> HeldTransformer:
        made = HeldTransformer(filled())
        models.append(weakref.ref(made.model))
        return made

    def run(key: str) -> None:
        with resident.use(key, load) as held, held.ready(WAYS[1], uses(), "a") as ready:
            velocity(ready)

    run("a")
    run("a")
    assert len(models) == 1
    assert ledger.bytes > 0
    one = resident.bytes
    if way == "unload":
        resident.clear()
    elif way == "wanted":
        resident.free(1)
    elif way == "another model":
        resident.host_bytes = round(1.5 * one)
        run("b")
        assert ledger.bytes == ledger.most  # no more than one model's
        resident.clear()
    elif way == "too large":
        resident.clear()
        resident.host_bytes = 10
        run("c")
    else:
        with pytest.raises(Cancelled), resident.use("a", load) as held, held.ready(WAYS[1]):
            raise Cancelled
        assert ledger.bytes > 0
        resident.clear()
        del held
    gc.collect()
    assert ledger.bytes == 0
    assert resident.bytes == 0
    assert [model() for model in models] == [None] * len(models)


def test_another_model_makes_room_before_it_is_packed(ledger: Ledger) -> None:
    resident = Resident(1 << 30)

    def run(key: str, expected: int) -> None:
        with (
            resident.use(key, lambda: HeldTransformer(filled()), expected) as held,
            held.ready(WAYS[1]) as ready,
        ):
            velocity(ready)

    run("a", 0)
    one = ledger.bytes
    resident.host_bytes = round(1.5 * resident.bytes)
    run("b", resident.bytes)
    assert (ledger.bytes, ledger.most) == (one, one)


def test_embeddings_come_for_a_moment() -> None:
    """On `meta`, so that where they are is seen."""
    model = filled()
    held = HeldTransformer(model)
    away_from_it = frozenset({"text_embedding", "img_emb"})
    for waits in (True, False):
        how = Arrangement(torch.device("meta"), waits=waits, offloaded=away_from_it)
        with held.ready(how) as ready:
            places = {name: tensor.is_meta for name, tensor in ready.model.named_parameters()}
            assert not any(p for n, p in places.items() if n.startswith(tuple(away_from_it)))
            assert all(p for n, p in places.items() if not n.startswith(tuple(away_from_it)))
            condition = ready.model.condition([torch.randn(5, 12)], torch.randn(1, 3, 8))
            assert condition.text.is_meta
            assert condition.image is not None
            assert condition.image.is_meta
            assert not ready.model.text_embedding[0].weight.is_meta
        assert model.head.head.weight.is_meta == (not waits)


def test_a_lora_is_read_and_matched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    real = loading.read_tensors

    def counted(path: Path, *more: Any) -> Any:
        read.append(path)
        return real(path, *more)

    monkeypatch.setattr(loading, "read_tensors", counted)
    path = tmp_path / "style.safetensors"
    save_file(tensors_of_lora(), path)
    first = lora_uses([LoraFile(path, 0.7)], CONFIG)[0]
    again = lora_uses([LoraFile(path, 0.2)], CONFIG)[0]
    assert again.lora is first.lora
    assert (first.strength, again.strength) == (0.7, 0.2)
    assert len(read) == 1
    save_file(tensors_of_lora(6) | {"blocks.0.ffn.9.diff": torch.ones(1)}, path)
    changed = lora_uses([LoraFile(path)], CONFIG)[0]
    assert changed.lora is not first.lora
    assert len(read) == 2
    with pytest.raises(WeightsError, match="gone"):
        lora_uses([LoraFile(tmp_path / "gone.safetensors")], CONFIG)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
