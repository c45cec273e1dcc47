"""The command line as tests call it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from desktop.cli import run

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Runs a command with --json; gives its answer with the exit code under "code"."""
    monkeypatch.setenv("REELWRIGHT_HOME", str(tmp_path / "home"))

    def run_it(*words: object) -> dict[str, Any]:
        code = run([str(words[0]), "--json", *(str(word) for word in words[1:])])
        answer: dict[str, Any] = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
        answer["code"] = code
        return answer

    return run_it
