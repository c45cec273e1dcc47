"""What every test stands on: no display, and no file of the person who runs it."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as in the children (engine.worker.spawn)


@pytest.fixture(autouse=True)
def at_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings, cache and logs lie in a folder of this test alone."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("REELWRIGHT_HOME", str(home))
    return home
