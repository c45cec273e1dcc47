"""What children find in their environment."""

import os
import sys
from types import SimpleNamespace

import pytest

from engine.worker import spawn


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch has no such memory")
def test_memory_of_a_card_grows_where_drivers_can(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in spawn.ALLOCATING:
        monkeypatch.delenv(name, raising=False)
    for release, grows in (("6.8.0-generic", True), ("6.18.33.2-microsoft-standard-WSL2", False)):
        monkeypatch.setattr(os, "uname", lambda release=release: SimpleNamespace(release=release))
        assert ("PYTORCH_ALLOC_CONF" in spawn._child_environment()) is grows


def test_what_a_person_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTORCH_ALLOC_CONF", raising=False)
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:512")
    found = spawn._child_environment()
    assert found["PYTORCH_CUDA_ALLOC_CONF"] == "max_split_size_mb:512"
    assert "PYTORCH_ALLOC_CONF" not in found
