"""Weights files: read strictly, refused with file and tensor named, never executed."""

import io
import json
import pickle
import random
import struct
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from engine.errors import WeightsError  # noqa: E402
from engine.models.weights import load_strict, part, read_tensors, renamed  # noqa: E402

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([7.0, 8.0])}


def build() -> nn.Module:
    return nn.ModuleDict({"a": nn.Linear(3, 2)})


def with_header(path: Path, header: object, values: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + values)
    return path


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def refused(path: Path, *words: str) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        read_tensors(path)
    for word in (str(path), *words):
        assert word in caught.value.message
    return caught.value


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e4m3fn, torch.int8])
def test_every_format_gives_the_same_tensors(tmp_path: Path, dtype: Any) -> None:
    tensors = {name: t.to(dtype) for name, t in TENSORS.items()}
    save_file(tensors, tmp_path / "m.safetensors")
    torch.save(tensors, tmp_path / "m.pth")
    torch.save({"epoch": 3, "state_dict": {**tensors, "step": 5}}, tmp_path / "m.ckpt")
    files = ["m.safetensors", "m.pth", "m.ckpt"]
    if dtype != torch.float8_e4m3fn:  # younger than the old format
        torch.save(tensors, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
        files.append("old.pth")
    for file in files:
        got = read_tensors(tmp_path / file)
        assert got.keys() == tensors.keys(), file
        for name, want in tensors.items():
            assert got[name].dtype == dtype, file
            assert torch.equal(got[name].float(), want.float()), file


def test_values_that_lie_at_odd_bytes_are_read(tmp_path: Path) -> None:
    header = {"b": entry("U8", [1], [0, 1]), "x": entry("F32", [2], [1, 9])}
    file = with_header(tmp_path / "m.safetensors", header, b"\7" + struct.pack("<2f", 1.5, -2))
    assert read_tensors(file)["x"].tolist() == [1.5, -2]


def test_a_bare_tensor_and_an_empty_one(tmp_path: Path) -> None:
    torch.save(torch.ones(2, 2), tmp_path / "prompt.pth")
    assert read_tensors(tmp_path / "prompt.pth")[""].sum() == 4
    save_file({"none": torch.zeros(0, 4)}, tmp_path / "m.safetensors")
    assert read_tensors(tmp_path / "m.safetensors")["none"].shape == (0, 4)


def test_shards_are_read_as_one(tmp_path: Path) -> None:
    places = {"a.weight": "m-1.safetensors", "a.bias": "m-2.safetensors"}
    for name, file in places.items():
        save_file({name: TENSORS[name]}, tmp_path / file)
    index = tmp_path / "m.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    assert read_tensors(index).keys() == TENSORS.keys()
    index.write_text(json.dumps({"weight_map": {**places, "c": "m-2.safetensors"}}))
    with pytest.raises(WeightsError, match=r"m-2\.safetensors: tensor 'c': it is missing"):
        read_tensors(index)
    for outside in ("../m-1.safetensors", "/etc/x.safetensors", "x.pth", 5):
        index.write_text(json.dumps({"weight_map": {"a": outside}}))
        refused(index)
    for broken in ("", "[]", "{}", "[" * 100_000, '{"weight_map": []}'):
        index.write_text(broken)
        refused(index)


class Bomb:
    """What it would run leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("layout", ["zip", "legacy", "plain", "named safetensors"])
def test_a_bomb_is_refused_and_never_runs(tmp_path: Path, layout: str) -> None:
    trace, file = tmp_path / "it ran", tmp_path / "m.pth"
    content = {**TENSORS, "a.bomb": Bomb(trace)}
    if layout == "plain":
        file.write_bytes(pickle.dumps(content))
    elif layout == "named safetensors":
        file = tmp_path / "m.safetensors"
        torch.save(content, file)
    else:
        torch.save(content, file, _use_new_zipfile_serialization=layout == "zip")
    refused(file)
    assert not trace.exists()


def test_a_cut_safetensors_names_the_tensor_that_is_cut(tmp_path: Path) -> None:
    whole, cut = tmp_path / "m.safetensors", tmp_path / "cut.safetensors"
    save_file(TENSORS, whole)
    data = whole.read_bytes()
    for length in range(len(data)):
        cut.write_bytes(data[:length])
        refused(cut)
    cut.write_bytes(data[:-4])
    refused(cut, "tensor 'a.weight'", "4 bytes after the end")
    cut.write_bytes(data + b"more")
    refused(cut, "4 bytes of no tensor")


def test_a_cut_pickle_is_refused(tmp_path: Path) -> None:
    whole, cut = tmp_path / "m.pth", tmp_path / "cut.pth"
    for zipped in (True, False):
        torch.save(TENSORS, whole, _use_new_zipfile_serialization=zipped)
        data = whole.read_bytes()
        for length in range(0, len(data) - 1, 29):
            cut.write_bytes(data[:length])
            refused(cut)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (entry("F32", [2], [0, 16]), "16 bytes cannot be F32 of shape [2]"),
        (entry("F32", [4], [0, 8]), "8 bytes cannot be F32 of shape [4]"),
        (entry("F32", [2**62, 4], [0, 8]), "cannot be F32"),
        (entry("F32", [-2], [0, 8]), "shape is broken"),
        (entry("F32", [2.0], [0, 8]), "shape is broken"),
        (entry("F32", [True], [0, 4]), "shape is broken"),
        (entry("F32", [2], [8, 0]), "place in the file is broken"),
        (entry("F32", [2], [-8, 0]), "place in the file is broken"),
        (entry("F32", [2], [0]), "entry in the header is broken"),
        (entry("F32", "ab", [0, 8]), "entry in the header is broken"),
        (entry("F31", [2], [0, 8]), "type 'F31' is unknown"),
        (entry("F32", [2], [8, 16]), "expected 0"),
        (entry("F32", [2 * 10**9], [0, 8 * 10**9]), "after the end of the file"),
        ("text", "entry in the header is broken"),
        (None, "entry in the header is broken"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, bad: object, words: str) -> None:
    refused(with_header(tmp_path / "m.safetensors", {"a.x": bad}, bytes(16)), "tensor 'a.x'", words)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"nothing",
        b"\xff\xfe",
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b'{"a": {"dtype": "U8", "shape": [' + b"9" * 5000 + b'], "data_offsets": [0, 8]}}',
        b'{"a": 1, "a": 1}',
    ],
)
def test_a_header_that_is_no_list_of_tensors_is_refused(tmp_path: Path, header: bytes) -> None:
    refused(with_header(tmp_path / "m.safetensors", header, bytes(16)))


def test_two_tensors_in_one_place_are_refused(tmp_path: Path) -> None:
    header = {"a": entry(), "b": entry()}
    refused(with_header(tmp_path / "m.safetensors", header, bytes(8)), "tensor 'b'")


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**9, 3])
def test_a_header_longer_than_the_file_is_refused_unread(tmp_path: Path, length: int) -> None:
    refused(with_header(tmp_path / "m.safetensors", {"a": entry()}, bytes(8), length))


def test_noise_never_raises_anything_else(tmp_path: Path) -> None:
    draw = random.Random(1)
    save_file(TENSORS, tmp_path / "m.safetensors")
    torch.save(TENSORS, tmp_path / "m.pth")
    torch.save(TENSORS, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    for file in [tmp_path / "m.safetensors", tmp_path / "m.pth", tmp_path / "old.ckpt"]:
        whole = file.read_bytes()
        for _ in range(150):
            data = bytearray(whole)
            for _ in range(draw.randint(1, 4)):
                data[draw.randrange(len(data))] = draw.randrange(256)
            file.write_bytes(data)
            with suppress(WeightsError):
                read_tensors(file)


def test_a_missing_file_or_a_folder_is_named(tmp_path: Path) -> None:
    for name in ("m.safetensors", "m.pth", "m.safetensors.index.json"):
        refused(tmp_path / name, "cannot be read")
        (tmp_path / name).mkdir()
        refused(tmp_path / name)


def test_an_archive_that_unfolds_is_refused(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "m.pth")
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(tmp_path / "m.pth") as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for item in source.namelist():
            target.writestr(item, source.read(item))
    (tmp_path / "m.pth").write_bytes(packed.getvalue())
    refused(tmp_path / "m.pth", "packed")


def test_a_pickle_with_other_things_than_plain_tensors_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "m.pth"
    wide = torch.zeros(1).expand(2**40)
    for bad in (wide, torch.eye(3).to_sparse(), torch.zeros(2, device="meta"), [torch.zeros(1)]):
        torch.save({"a.x": bad}, file)
        refused(file, "tensor 'a.x'")
    for whole in ([torch.zeros(1)], 5, {7: torch.zeros(1)}):
        torch.save(whole, file)
        refused(file)


def test_the_module_holds_the_tensors_of_the_file_themselves() -> None:
    module = load_strict(build, TENSORS)
    assert module.state_dict()["a.weight"].data_ptr() == TENSORS["a.weight"].data_ptr()
    assert not module.training
    assert not any(p.requires_grad for p in module.parameters())
    half = load_strict(build, TENSORS, dtype=torch.bfloat16)
    assert {t.dtype for t in half.state_dict().values()} == {torch.bfloat16}
    assert torch.equal(half.get_parameter("a.weight").float(), TENSORS["a.weight"])


def changed(**changes: Tensor | None) -> Mapping[str, Tensor]:
    names = {"a_weight": "a.weight", "a_bias": "a.bias"}
    after = {**TENSORS, **{names.get(k, k): v for k, v in changes.items()}}
    return {name: t for name, t in after.items() if t is not None}


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (changed(a_bias=None), "'a.bias': it is missing"),
        (changed(more=torch.zeros(1)), "'more': the model has no such tensor"),
        (changed(a_weight=torch.zeros(3, 2)), "'a.weight': its shape is [3, 2], expected [2, 3]"),
        (changed(a_weight=torch.zeros(6)), "'a.weight': its shape is [6], expected [2, 3]"),
        (changed(a_bias=torch.zeros(2, dtype=torch.int8)), "'a.bias': it holds torch.int8"),
    ],
)
def test_a_tensor_too_few_too_many_or_wrong_is_named(
    tensors: Mapping[str, Tensor], words: str
) -> None:
    with pytest.raises(WeightsError) as caught:
        load_strict(build, tensors, "m.pth")
    assert words in caught.value.message
    assert caught.value.message.startswith("m.pth: ")


def test_other_layouts_by_a_map_of_names() -> None:
    other = {"x.w": TENSORS["a.weight"], "a.bias": TENSORS["a.bias"]}
    load_strict(build, renamed(other, {"x.w": "a.weight"}))
    with pytest.raises(WeightsError, match=r"'x\.v': it is missing"):
        renamed(other, {"x.v": "a.weight"})
    with pytest.raises(WeightsError, match=r"a\.bias is there already"):
        renamed(other, {"x.w": "a.bias"})
    assert part(other, ["x."]).keys() == {"x.w"}


def test_a_table_that_is_not_in_the_file_is_never_left_empty() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.ones(2), persistent=False)

    with pytest.raises(AssertionError, match="table"):
        load_strict(Table, {})
