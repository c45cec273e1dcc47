"""What the machine says of its graphics cards."""

import os
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
