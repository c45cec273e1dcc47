"""Copies of weights in the type they run in: whole, true to the original, or not there."""

import errno
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from engine.errors import WeightsError  # noqa: E402
from engine.models import converted as copies  # noqa: E402
from engine.models.converted import converted, copy_of  # noqa: E402
from engine.models.weights import read_tensors  # noqa: E402

HALF = torch.bfloat16
TENSORS = {
    "weight": torch.linspace(-3, 3, 3000).reshape(50, 60),
    "steps": torch.arange(7),
    "half": torch.ones(3, dtype=HALF),
    "flag": torch.tensor(True),
    "none": torch.zeros(0, 2),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_file(TENSORS, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["m.safetensors", "m.ckpt", "m.safetensors.index.json"])
def test_a_copy_holds_the_converted_tensors(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "m.ckpt":
        torch.save({"state_dict": TENSORS}, path)
    elif name == "m.safetensors":
        save_file(TENSORS, path)
    else:
        for tensor in TENSORS:
            save_file({tensor: TENSORS[tensor]}, tmp_path / f"{tensor}.safetensors")
        places = {tensor: f"{tensor}.safetensors" for tensor in TENSORS}
        path.write_text(json.dumps({"weight_map": places}))
    assert converted(path, HALF, allowed=False) == path
    copy = converted(path, HALF, allowed=True)
    assert copy == tmp_path / f"{name}.reelwright-bf16.safetensors"
    got = read_tensors(copy)
    assert got.keys() == TENSORS.keys()
    for tensor, want in TENSORS.items():
        assert torch.equal(got[tensor], want.to(HALF) if want.is_floating_point() else want)
    with safe_open(copy, "pt") as whole:  # as other programs read it
        assert set(whole.keys()) == TENSORS.keys()


def test_a_copy_is_used_until_the_original_changes(file: Path) -> None:
    copy = converted(file, HALF, allowed=True)
    made = copy.stat().st_mtime_ns
    assert converted(file, HALF, allowed=False) == copy
    assert converted(file, HALF, allowed=True).stat().st_mtime_ns == made
    assert converted(file, torch.float16, allowed=False) == file
    save_file({**TENSORS, "weight": torch.zeros(50, 60)}, file)  # as long as before
    os.utime(file, ns=(1, 1))
    assert converted(file, HALF, allowed=False) == file
    assert read_tensors(converted(file, HALF, allowed=True))["weight"].sum() == 0
    copy.write_bytes(copy.read_bytes()[:-1])
    assert converted(file, HALF, allowed=False) == file


def test_nothing_is_copied_without_need(tmp_path: Path) -> None:
    save_file({"a": torch.ones(3, dtype=HALF)}, tmp_path / "half.safetensors")
    save_file({"a": torch.ones(3).to(torch.float8_e4m3fn)}, tmp_path / "scaled.safetensors")
    for path in sorted(tmp_path.iterdir()):
        assert converted(path, HALF, allowed=True) == path
    assert names(tmp_path) == ["half.safetensors", "scaled.safetensors"]


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("at", ["fsync", "write", "open"])
def test_a_disk_that_takes_no_more_leaves_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    real: Callable[..., memoryview] = copies._values
    if at == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    elif at == "open":
        monkeypatch.setattr(tempfile, "mkstemp", full)
    else:
        monkeypatch.setattr(copies, "_values", lambda n, *a: full() if n == "half" else real(n, *a))
    assert converted(file, HALF, allowed=True) == file
    assert names(file.parent) == ["m.safetensors"]


def test_a_nearly_full_disk_is_left_alone(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "SPARE_BYTES", 1 << 60)
    assert converted(file, HALF, allowed=True) == file
    assert names(file.parent) == ["m.safetensors"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_takes_no_copy(file: Path) -> None:
    file.parent.chmod(0o555)
    assert converted(file, HALF, allowed=True) == file
    file.parent.chmod(0o755)
    assert names(file.parent) == ["m.safetensors"]


def test_what_a_kill_left_is_removed(file: Path) -> None:
    for name, age in (("old", 7200), ("young", 0)):
        part = file.parent / f".{copy_of(file, HALF).name}.{name}.part"
        part.touch()
        os.utime(part, (part.stat().st_atime, part.stat().st_mtime - age))
    converted(file, HALF, allowed=True)
    assert [name for name in names(file.parent) if name.endswith(".part")] == [
        f".{copy_of(file, HALF).name}.young.part"
    ]


def test_what_is_wrong_with_the_original_is_told(tmp_path: Path) -> None:
    missing = tmp_path / "m.safetensors"
    assert converted(missing, HALF, allowed=True) == missing
    missing.write_bytes(b"no header")
    with pytest.raises(WeightsError, match="header"):
        converted(missing, HALF, allowed=True)
    index = tmp_path / "m.safetensors.index.json"
    index.write_text("[]")
    with pytest.raises(WeightsError, match="no index"):
        converted(index, HALF, allowed=True)
