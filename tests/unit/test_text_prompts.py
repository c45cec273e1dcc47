"""Prompts are encoded once: kept in memory and on disk, within budgets."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from engine.models.resident import Key  # noqa: E402
from engine.models.text.prompts import (  # noqa: E402
    PromptCache,
    TextEncoder,
    encode_prompt,
    padded_rows,
)
from engine.models.text.tokens import from_pieces, padded_tokens  # noqa: E402
from engine.models.text.umt5 import UMT5, UMT5Config  # noqa: E402
from engine.models.text.weights import load_umt5  # noqa: E402
from tests.golden.case import fill  # noqa: E402
from tests.support.text import spiece_model  # noqa: E402

CONFIG = UMT5Config(vocab=204, dim=24, dim_attn=32, dim_ffn=40, heads=2, layers=2)
KEY = Key((("umt5.safetensors", 100, 1),), torch.bfloat16, "cpu", ())


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in UMT5(CONFIG).state_dict().items()}
    weights = {name: torch.from_numpy(fill(name, shape)) for name, shape in shapes.items()}
    return TextEncoder(load_umt5(weights), from_pieces(spiece_model(), "spiece.model"))


@dataclass
class Counted:
    """What encodes, and how often it did."""

    encoder: TextEncoder
    prompts: list[str] = field(default_factory=list)

    def rows(self, cache: PromptCache, text: str, key: Key = KEY) -> Tensor:
        return cache.rows(text, key, lambda: self.encode(text))

    def encode(self, text: str) -> Tensor:
        self.prompts.append(text)
        return encode_prompt(self.encoder, text)


@pytest.fixture
def counted(encoder: TextEncoder) -> Counted:
    return Counted(encoder)


def test_a_prompt_is_encoded_at_its_own_length(encoder: TextEncoder) -> None:
    text = "A red fox runs over the snow."
    rows = encode_prompt(encoder, text)
    ids, mask = padded_tokens(encoder.tokenizer, [text], 64)
    wanted = encoder.model(ids, mask)[0] * mask[0, :, None]
    assert rows.shape == (int(mask.sum()), 24)
    whole = padded_rows(rows, 64)
    assert whole.shape == (64, 24)
    assert torch.allclose(whole, wanted, atol=1e-5)
    assert torch.equal(padded_rows(rows)[: len(rows)], rows)
    assert padded_rows(rows).shape == (512, 24)


def test_one_changed_word_encodes_one_prompt(counted: Counted) -> None:
    cache = PromptCache(1 << 20)
    first, negative = counted.rows(cache, "a red fox"), counted.rows(cache, "worst quality")
    assert torch.equal(counted.rows(cache, "worst  quality "), negative)
    assert not torch.equal(counted.rows(cache, "a blue fox"), first)
    assert torch.equal(counted.rows(cache, "a red fox"), first)
    assert counted.prompts == ["a red fox", "worst quality", "a blue fox"]


@pytest.mark.parametrize(
    "other",
    [
        KEY._replace(files=(("umt5.safetensors", 100, 2),)),
        KEY._replace(dtype=torch.float16),
        KEY._replace(device="cuda"),
        KEY._replace(options=("fp8",)),
    ],
    ids=["file", "type", "device", "option"],
)
def test_another_encoder_encodes_anew(other: Key, counted: Counted, tmp_path: Path) -> None:
    cache = PromptCache(1 << 20, tmp_path)
    counted.rows(cache, "a red fox")
    counted.rows(cache, "a red fox", other)
    assert len(counted.prompts) == 2


def test_the_disk_serves_the_next_process(counted: Counted, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "prompts"
    rows = counted.rows(PromptCache(1 << 20, folder), "a red fox").to(torch.bfloat16)
    made = PromptCache(1 << 20, folder).rows("a red fox", KEY, lambda: pytest.fail("made anew"))
    assert torch.equal(made.to(torch.bfloat16), rows)
    half = PromptCache(1 << 20, folder)
    kept = half.rows("a cup", KEY, lambda: rows)
    again = PromptCache(0, folder).rows("a cup", KEY, lambda: pytest.fail("made anew"))
    assert again.dtype == kept.dtype == torch.bfloat16
    assert torch.equal(again, rows)


def test_memory_stays_within_its_budget(counted: Counted) -> None:
    size = counted.encode("red").nbytes
    cache = PromptCache(2 * size)
    for text in ("red", "fox", "red", "cup"):  # fox is now the one used least recently
        counted.rows(cache, text)
        assert cache.bytes <= 2 * size
    counted.prompts.clear()
    for text in ("cup", "red", "fox"):
        counted.rows(cache, text)
    assert counted.prompts == ["fox"]
    nothing = PromptCache(0)
    assert torch.equal(counted.rows(nothing, "red"), counted.rows(nothing, "red"))
    assert nothing.bytes == 0


def test_the_disk_stays_within_its_budget(counted: Counted, tmp_path: Path) -> None:
    counted.rows(PromptCache(0, tmp_path), "red")
    (first,) = tmp_path.iterdir()
    size = first.stat().st_size
    cache = PromptCache(0, tmp_path, 2 * size)
    os.utime(first, (1, 1))
    counted.rows(cache, "fox")
    os.utime(next(path for path in tmp_path.iterdir() if path != first), (2, 2))
    counted.rows(cache, "red")  # used again, so the other one is the oldest
    counted.rows(cache, "cup")
    assert len(list(tmp_path.iterdir())) == 2
    counted.prompts.clear()
    for text in ("red", "cup", "fox"):
        counted.rows(cache, text)
    assert counted.prompts == ["fox"]


@pytest.mark.parametrize("data", [b"", b"not a tensor" * 20])
def test_a_damaged_file_is_made_anew(data: bytes, counted: Counted, tmp_path: Path) -> None:
    rows = counted.rows(PromptCache(0, tmp_path), "red")
    (path,) = tmp_path.iterdir()
    path.write_bytes(data)
    assert torch.equal(counted.rows(PromptCache(0, tmp_path), "red"), rows)
    assert len(counted.prompts) == 2
    assert torch.equal(counted.rows(PromptCache(0, tmp_path), "red"), rows)
    assert len(counted.prompts) == 2


def test_a_folder_that_takes_nothing_is_no_error(counted: Counted, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = PromptCache(1 << 20, tmp_path / "file")
    rows = counted.rows(cache, "red")
    assert torch.equal(counted.rows(cache, "red"), rows)
    assert len(counted.prompts) == 1
