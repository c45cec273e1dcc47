"""What the machine says of its graphics cards, and torch of itself."""

import importlib.util
import os
import sysconfig
from pathlib import Path

import pytest

from engine.worker import device


def driver(folder: Path, script: str) -> None:
    """A driver's own tool on the PATH, as it answers."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for the driver's tool is a shell script")
def test_cards_are_named_with_their_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert device.graphics() == ""
    driver(tmp_path, "echo 'NVIDIA GeForce RTX 4070, 12282'; echo 'NVIDIA T4, 15360'")
    assert device.graphics() == "NVIDIA GeForce RTX 4070, 12 GB, NVIDIA T4, 15 GB"
    driver(tmp_path, "echo 'No devices were found' >&2; exit 6")
    assert device.graphics() == ""


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (
            ("", "", "", False, ""),
            "torch is not installed: neural effects need it. Run dev.py setup --torch auto.",
        ),
        (
            ("", "", "", False, "NVIDIA T4, 15 GB"),
            "torch is not installed: neural effects need it. Run dev.py setup --torch cuda.",
        ),
        (
            ("2.13.0+cpu", "", "", False, ""),
            "torch 2.13.0, CPU build: it sees no card. "
            "For an NVIDIA card, run dev.py setup --torch cuda.",
        ),
        (
            ("2.13.0", "", "", False, "NVIDIA T4, 15 GB"),
            "torch 2.13.0, CPU build: it does not see NVIDIA T4, 15 GB. "
            "Run dev.py setup --torch cuda.",
        ),
        (
            ("2.11.0+cu130", "13.0", "", True, "NVIDIA GeForce RTX 4070"),
            "torch 2.11.0, CUDA 13.0, sees GeForce RTX 4070",
        ),
        (
            ("2.13.0+cu130", "13.0", "", False, "NVIDIA T4, 15 GB"),
            "torch 2.13.0, CUDA 13.0: it does not see NVIDIA T4, 15 GB. Update the card's driver.",
        ),
        (
            ("2.13.0+cu130", "13.0", "", False, ""),
            "torch 2.13.0, CUDA 13.0: it sees no card. Is the card's driver installed?",
        ),
        (
            ("2.13.0+rocm7.2", "", "7.2.26015-fc0010cf6a", True, "AMD Radeon RX 7900 XTX"),
            "torch 2.13.0, ROCm 7.2, sees AMD Radeon RX 7900 XTX",
        ),
    ],
)
def test_torch_is_told_in_one_line(facts: tuple[str, str, str, bool, str], line: str) -> None:
    assert device.torch_line(*facts) == line


def test_torch_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    facts = device.torch_facts()
    assert facts.version == torch.__version__
    assert facts.sees_card == torch.cuda.is_available()
    assert device.torch_line(*facts).startswith(f"torch {torch.__version__.partition('+')[0]}, ")
    monkeypatch.setattr(device, "find_spec", lambda _: None)
    assert device.torch_facts().version == ""


@pytest.mark.skipif(os.name == "nt", reason="Triton for Windows has a compiler of its own")
def test_what_triton_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(device, "find_spec", lambda _: None)
    assert device.kernels_line().startswith("Triton is not installed. ")
    monkeypatch.setattr(device, "find_spec", lambda _: importlib.util.find_spec("sys"))
    assert device.kernels_line().startswith("Triton finds no C compiler: install gcc. ")
    (tmp_path / "gcc").write_text("#!/bin/sh\n")
    (tmp_path / "gcc").chmod(0o755)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    assert device.kernels_line().startswith("Triton finds no headers of Python: ")
    (tmp_path / "Python.h").touch()
    assert device.kernels_line() == ""
