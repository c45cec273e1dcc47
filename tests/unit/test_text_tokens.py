"""Prompts to pieces: cleaning, both formats of a tokenizer, and every place where one may lie."""

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from engine.errors import EngineError, WeightsError  # noqa: E402
from engine.models.text.tokens import (  # noqa: E402
    cleaned,
    find_tokenizer,
    from_json,
    from_pieces,
    padded_tokens,
)
from tests.support.text import spiece_model, tokenizer_json  # noqa: E402

SIZE = 200
VOCAB = 204  # an encoder knows a few more than its tokenizer


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("  a\tred \n\n fox\u3000runs ", "a red fox runs"),
        ("“Don’t” — he said…", '"Don\'t" — he said…'),
        ("最差质量，低质量", "最差质量,低质量"),
        ("a &amp;amp; b &lt;3", "a & b <3"),
        ("&amp;amp;amp;amp; <b>", "&amp;amp; <b>"),  # ftfy leaves it alone beside a tag
        ("schÃ¶n", "schön"),
        ("ﬁne Ａ１", "fine A1"),
        ("e\u0301", "é"),
        ("zero\u200bwidth\ufeff\x07", "zero\u200bwidth"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_cleaning(text: str, wanted: str) -> None:
    assert cleaned(text) == wanted


PROMPTS = (
    "A red fox runs over the snow.",
    "红色狐狸在雪地奔跑，最差质量",
    "  camera   slowly pans;\tnight… “neon” lights ",
    "unknown ♞ and Ω, twice ♞♞",
    "½ cup ①",
    "",
)


def test_both_formats_of_one_model_give_the_same_pieces() -> None:
    pieces = from_pieces(spiece_model(), "spiece.model")
    fast = from_json(tokenizer_json().encode(), "tokenizer.json")
    assert pieces.size == fast.size == SIZE
    for prompt in PROMPTS:
        ids = pieces.ids(prompt)
        assert ids == fast.ids(prompt)
        assert ids[-1] == 1
        assert 0 not in ids
    assert len(pieces.ids(PROMPTS[0])) > 8  # what the file itself says of length does not count
    assert pieces.ids("") == [1]
    assert pieces.ids("red  fox") == pieces.ids("red fox") != pieces.ids("red fix")


def test_a_long_prompt_is_cut_before_its_end() -> None:
    tokenizer = from_pieces(spiece_model(), "spiece.model")
    whole = tokenizer.ids("red fox " * 30, 1000)
    ids = tokenizer.ids("red fox " * 30, 16)
    assert len(whole) > 16
    assert ids == [*whole[:15], 1]
    assert len(tokenizer.ids("red fox " * 3000)) == 512


def test_several_prompts_are_padded() -> None:
    tokenizer = from_pieces(spiece_model(), "spiece.model")
    ids, mask = padded_tokens(tokenizer, PROMPTS[:2], 40)
    assert ids.shape == mask.shape == (2, 40)
    for row, there, prompt in zip(ids, mask, PROMPTS, strict=False):
        assert row[there].tolist() == tokenizer.ids(prompt)
        assert not row[~there].any()
        assert there.tolist() == sorted(there.tolist(), reverse=True)


def inside() -> dict[str, Tensor]:
    """The tokenizer as Comfy-Org's file of the encoder holds it."""
    return {"spiece_model": torch.frombuffer(bytearray(spiece_model()), dtype=torch.uint8)}


PLACES = (
    "models/text_encoders/google/umt5-xxl/spiece.model",
    "models/text_encoders/google/umt5-xxl/tokenizer.json",
    "models/text_encoders/spiece.model",
    "models/text_encoders/tokenizer.json",
    "models/tokenizer/tokenizer.json",
    "models/umt5-xxl/spiece.model",
    "models/text_encoders/some/folder/tokenizer.json",
    "models/tokenizers/umt5/spiece.model",
    "elsewhere/tokenizer.json",
)


@pytest.mark.parametrize("place", PLACES)
def test_a_tokenizer_is_found_near_the_encoder(place: str, tmp_path: Path) -> None:
    encoder = tmp_path / "models" / "text_encoders" / "umt5.safetensors"
    path = tmp_path / place
    encoder.parent.mkdir(parents=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(spiece_model() if path.suffix == ".model" else tokenizer_json().encode())
    made = find_tokenizer(encoder, {}, VOCAB, [tmp_path / "elsewhere"])
    assert made.origin == str(path)
    assert made.ids(PROMPTS[0]) == from_pieces(spiece_model(), "").ids(PROMPTS[0])


def test_the_one_inside_the_file_comes_first(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(), encoding="utf-8")
    made = find_tokenizer(tmp_path / "umt5.safetensors", inside(), VOCAB)
    assert made.origin == f"{tmp_path / 'umt5.safetensors'}, spiece_model"
    assert made.ids(PROMPTS[0]) == from_pieces(spiece_model(), "").ids(PROMPTS[0])


def test_another_models_tokenizer_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(), encoding="utf-8")
    (tmp_path / "umt5-xxl").mkdir()
    (tmp_path / "umt5-xxl" / "spiece.model").write_bytes(spiece_model(160, 2))
    made = find_tokenizer(tmp_path / "umt5.safetensors", {}, 180)
    assert made.size == 160


def test_a_missing_one_is_named(tmp_path: Path) -> None:
    encoder = tmp_path / "a" / "b" / "umt5.safetensors"
    encoder.parent.mkdir(parents=True)
    with pytest.raises(WeightsError, match="needs the tokenizer of UMT5-XXL") as told:
        find_tokenizer(encoder, {}, VOCAB, [tmp_path / "not there"])
    assert str(encoder) in told.value.message
    assert "google/umt5-xxl" in told.value.hint


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("spiece.model", b"", "is no tokenizer, or is damaged"),
        ("spiece.model", b"\x0a\x05hello world", "is no tokenizer, or is damaged"),
        ("tokenizer.json", b'{"model": {}}', "is no tokenizer, or is damaged"),
        ("tokenizer.json", b"\xff\x00", "is no tokenizer, or is damaged"),
        (
            "tokenizer.json",
            tokenizer_json().replace("</s>", "<eos>").encode(),
            "its end </s> is piece",
        ),
        ("spiece.model", spiece_model(160, 2), "knows 160 pieces, and the encoder 10000"),
    ],
    ids=["empty", "cut", "no json of it", "no json", "another end", "another model"],
)
def test_a_wrong_one_is_named(name: str, data: bytes, says: str, tmp_path: Path) -> None:
    encoder = tmp_path / "a" / "b" / "umt5.safetensors"
    encoder.parent.mkdir(parents=True)
    encoder.with_name(name).write_bytes(data)
    with pytest.raises(WeightsError, match=says) as told:
        find_tokenizer(encoder, {}, 10_000)
    assert "needs the tokenizer" in told.value.message
    assert str(encoder.with_name(name)) in told.value.message


def test_wrong_bytes_inside_the_file_are_named(tmp_path: Path) -> None:
    wrong = {"spiece_model": torch.zeros(40, dtype=torch.float32)}
    with pytest.raises(WeightsError, match="spiece_model is no tokenizer"):
        find_tokenizer(tmp_path / "a" / "b" / "umt5.safetensors", wrong, VOCAB)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(EngineError, match="sentencepiece, which reads prompts, is not installed"):
        from_pieces(spiece_model(), "spiece.model")
