"""Reading what weights files hold: whole, cut, lying and foreign ones."""

import json
import os
import struct
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine.errors import WeightsError
from engine.library import headers
from engine.library.headers import inspect, read_header
from engine.library.tensors import Form, Tensor


def safetensors(
    path: Path, table: dict[str, Any], data: int = 0, length: int | None = None
) -> Path:
    """A file with this header, its stated length, and `data` bytes after it."""
    text = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text)
    os.truncate(path, path.stat().st_size + data)
    return path


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


TWO = {
    "__metadata__": {"format": "pt"},
    "b.weight": entry("BF16", [2, 3], 0, 12),
    "a.bias": entry("F32", [], 12, 16),
}


def test_names_shapes_and_dtypes_of_safetensors(tmp_path: Path) -> None:
    header = read_header(safetensors(tmp_path / "a.safetensors", TWO, 16))
    assert header.tensors == {"b.weight": Tensor("BF16", (2, 3)), "a.bias": Tensor("F32", ())}
    assert header.form is Form.SAFETENSORS
    assert header.metadata == {"format": "pt"}
    assert header.size_bytes == header.path.stat().st_size


def test_the_library_reads_what_we_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    path = tmp_path / "real.safetensors"
    save_file({"x": torch.zeros(3, 5, dtype=torch.float8_e4m3fn), "y": torch.ones(2)}, path)
    assert read_header(path).tensors == {"x": Tensor("F8_E4M3", (3, 5)), "y": Tensor("F32", (2,))}


def test_names_do_not_matter(tmp_path: Path) -> None:
    path = safetensors(tmp_path / "picture.bin", TWO, 16)
    assert "b.weight" in read_header(path).tensors


@pytest.mark.parametrize(
    ("table", "data", "said"),
    [
        (TWO, 15, "tensor a.bias ends early"),
        (TWO, 5, "tensor b.weight ends early"),
        (TWO, 17, "longer than its header says"),
        ({"a": entry("F32", [2], 0, 4)}, 4, "another size than its shape"),
        ({"a": entry("F32", [1], 4, 8)}, 8, "lies where another one lies, or none"),
        ({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 2, 6)}, 6, "lies where another"),
        ({"a": entry("F32", [-1], 0, 4)}, 4, "an impossible shape"),
        ({"a": entry("F32", [1] * 100, 0, 4)}, 4, "an impossible shape"),
        ({"a": entry("F32", [1 << 60], 0, 4)}, 4, "an impossible shape"),
        ({"a": entry("F32", [1], 8, 4)}, 8, "lies where another"),
        ({"a": {"dtype": "F32", "shape": [1]}}, 4, "header cannot be read"),
        ({"a": 5}, 4, "header cannot be read"),
        ({"a": entry("F32", [10**30], 0, 4)}, 4, "damaged"),
        ({"a\u0000b": entry("F32", [1], 0, 4)}, 4, "name is no text"),
    ],
)
def test_lying_headers_are_refused_by_name(
    tmp_path: Path, table: dict[str, Any], data: int, said: str
) -> None:
    path = safetensors(tmp_path / "liar.safetensors", table, data)
    with pytest.raises(WeightsError, match=said) as caught:
        read_header(path)
    assert caught.value.message.startswith("liar.safetensors is damaged: ")


def test_a_cut_file_is_still_known(tmp_path: Path) -> None:
    header = inspect(safetensors(tmp_path / "cut.safetensors", TWO, 15))
    assert set(header.tensors) == {"a.bias", "b.weight"}
    assert header.damage == "cut.safetensors is damaged: tensor a.bias ends early."


@pytest.mark.parametrize("length", [1 << 30, 1 << 39, 5000])
def test_a_huge_header_is_not_read(tmp_path: Path, length: int) -> None:
    path = safetensors(tmp_path / "huge.safetensors", TWO, 16, length)
    with pytest.raises(WeightsError, match=r"^huge.safetensors is damaged: its header is"):
        read_header(path)


def test_a_header_of_nested_brackets_is_refused(tmp_path: Path) -> None:
    text = b'{"a":' + b"[" * 200_000
    path = tmp_path / "deep.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(WeightsError, match=r"deep\.safetensors"):
        read_header(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"GGUF" + bytes(60), "is a GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a note of Git LFS"),
        (b"\n<!DOCTYPE html><html>", "is a web page"),
        (bytes(4096), "nothing but zeros"),
        (b"hello", "is not a weights file"),
        (b"\x80\x04}.", "is not a weights file"),
        (b"PK\x03\x04", "its end is missing"),
        (b'{"a": 1}', "is not the index of a model"),
    ],
)
def test_foreign_files_are_told_what_they_are(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=said) as caught:
        read_header(path)
    assert "model.safetensors" in caught.value.message


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.pth"):
        read_header(tmp_path / "gone.pth")
    with pytest.raises(WeightsError, match="is not a file"):
        read_header(tmp_path)


# Shards


def index(folder: Path, **weights: str) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weights}))
    return path


def test_shards_are_one_model(tmp_path: Path) -> None:
    safetensors(tmp_path / "1.safetensors", {"x": entry("F16", [2], 0, 4)}, 4)
    safetensors(tmp_path / "2.safetensors", {"y": entry("F16", [3], 0, 6)}, 6)
    header = read_header(index(tmp_path, x="1.safetensors", y="2.safetensors"))
    assert header.tensors == {"x": Tensor("F16", (2,)), "y": Tensor("F16", (3,))}
    assert [file.name for file in header.files][1:] == ["1.safetensors", "2.safetensors"]
    assert header.size_bytes == sum(file.stat().st_size for file in header.files)


def test_shards_that_are_not_there_or_not_whole(tmp_path: Path) -> None:
    path = index(tmp_path, x="1.safetensors")
    with pytest.raises(WeightsError, match=r"1\.safetensors is missing"):
        read_header(path)
    safetensors(tmp_path / "1.safetensors", {"y": entry("F16", [2], 0, 4)}, 4)
    with pytest.raises(WeightsError, match=r"tensor x is not in 1\.safetensors"):
        read_header(path)
    safetensors(tmp_path / "1.safetensors", {"x": entry("F16", [2], 0, 4)}, 3)
    with pytest.raises(WeightsError, match=r"1\.safetensors is damaged: tensor x ends early"):
        read_header(path)


@pytest.mark.parametrize("name", ["../1.safetensors", "/etc/passwd", "a\\b", "C:x", "..", ""])
def test_an_index_names_only_files_beside_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError):
        read_header(index(tmp_path, x=name))


def test_an_index_of_itself_ends(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not a weights file"):
        read_header(index(tmp_path, x="model.safetensors.index.json"))


# PyTorch's archives


def save(path: Path, value: object, *, legacy: bool) -> Path:
    torch = pytest.importorskip("torch")
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


def values() -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    base = torch.zeros(4, 6)
    return {
        "conv.weight": torch.zeros(2, 3, 1, 1, dtype=torch.bfloat16),
        "half": torch.zeros(5, dtype=torch.float16),
        "view": base[1:, 2:],
        "base": base,
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "count": torch.tensor(3),
        "none": torch.zeros(0, 4),
        "nested": {"state": {"deep.weight": torch.zeros(7, dtype=torch.int8)}},
        "epoch": 5,
        "notes": ["a", ("b", None), {1: 2.5}],
    }


EXPECTED = {
    "conv.weight": Tensor("BF16", (2, 3, 1, 1)),
    "half": Tensor("F16", (5,)),
    "view": Tensor("F32", (3, 4)),
    "base": Tensor("F32", (4, 6)),
    "parameter": Tensor("F32", (2,)),
    "count": Tensor("I64", ()),
    "none": Tensor("F32", (0, 4)),
    "nested.state.deep.weight": Tensor("I8", (7,)),
}


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_of_a_torch_file(tmp_path: Path, legacy: bool) -> None:
    header = read_header(save(tmp_path / "x.ckpt", values(), legacy=legacy))
    assert header.tensors == EXPECTED
    assert header.form is (Form.LEGACY if legacy else Form.ZIP)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_state_dict_and_a_bare_tensor(tmp_path: Path, legacy: bool) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    header = read_header(save(tmp_path / "a.pth", module.state_dict(), legacy=legacy))
    assert {n: t.shape for n, t in header.tensors.items()} == {
        n: tuple(t.shape) for n, t in module.state_dict().items()
    }
    bare = save(tmp_path / "b.pth", torch.zeros(1, 8, 4, dtype=torch.bfloat16), legacy=legacy)
    assert read_header(bare).tensors == {"": Tensor("BF16", (1, 8, 4))}


def test_new_dtypes_are_known(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    value = {
        "w": torch.zeros(3, dtype=torch.float8_e4m3fn),
        "u": torch.zeros(3, dtype=torch.uint16),
    }
    header = read_header(save(tmp_path / "x.pt", value, legacy=False))
    assert header.tensors == {"w": Tensor("F8_E4M3", (3,)), "u": Tensor("U16", (3,))}


@pytest.mark.parametrize("legacy", [False, True])
def test_a_cut_torch_file_names_the_tensor(tmp_path: Path, legacy: bool) -> None:
    torch = pytest.importorskip("torch")
    value = {"first": torch.zeros(4000), "second": torch.zeros(4000)}
    path = save(tmp_path / "LQ_proj_in.ckpt", value, legacy=legacy)
    os.truncate(path, 20_000)
    header = inspect(path)
    assert set(header.tensors) == {"first", "second"}
    # The legacy form keeps them in an order of its own.
    name = "(first|second)" if legacy else "second"
    with pytest.raises(WeightsError, match=rf"^LQ_proj_in.ckpt is damaged: tensor {name} ends ea"):
        read_header(path)
    os.truncate(path, 300)
    with pytest.raises(WeightsError, match=r"^LQ_proj_in.ckpt is damaged: "):
        read_header(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_every_cut_and_every_wrong_byte_is_survived(tmp_path: Path, legacy: bool) -> None:
    torch = pytest.importorskip("torch")
    whole = save(tmp_path / "a.pth", {"w": torch.zeros(2, 2)}, legacy=legacy).read_bytes()
    path = tmp_path / "b.pth"
    for place in range(0, len(whole), 13):
        for content in (whole[:place], whole[:place] + b"\xff" + whole[place + 1 :]):
            path.write_bytes(content)
            with suppress(WeightsError):
                read_header(path)


def test_a_whole_saved_module_holds_no_tensors_for_us(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(WeightsError, match="holds no tensors by name"):
        read_header(save(tmp_path / "m.pt", torch.nn.Linear(2, 2), legacy=False))


def test_a_packed_list_of_tensors_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(50_000_000))
    with pytest.raises(WeightsError, match="list of tensors is too large"):
        read_header(path)


def test_a_zip_that_lies_about_its_storages(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    whole = save(tmp_path / "a.pt", {"w": torch.zeros(2, 2)}, legacy=False)
    path = tmp_path / "b.pt"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for item in old.infolist():
            new.writestr(item.filename, old.read(item)[: 15 if "data/0" in item.filename else None])
    with pytest.raises(WeightsError, match="tensor w ends early"):
        read_header(path)


def test_a_zip_with_a_vast_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.library.archives._TOO_MUCH", 4000)
    path = tmp_path / "many.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(200):
            archive.writestr(f"a/data/{number}", b"")
    with pytest.raises(WeightsError, match="list of contents is too large"):
        read_header(path)


def test_reading_headers_loads_no_heavy_library() -> None:
    code = (
        "import sys, engine.library.families, engine.library.headers\n"
        "heavy = {'torch', 'numpy', 'PySide6', 'av', 'cv2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(headers.__file__).parents[2])
