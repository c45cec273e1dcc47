"""Kernels without a card: a file's checks in Triton's interpreter, and offline builds."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
INTERPRET = "TRITON_INTERPRET"


def run_checks(file: str) -> None:
    """Runs the functions named check_* of a test file in a child with the interpreter.

    It has to be chosen before Triton is imported. None of them may fail or be skipped.
    """
    command = [sys.executable, "-m", "pytest", "-o", "python_functions=check_*", file]
    done = _run(command, os.environ | {INTERPRET: "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert " skipped" not in done.stdout


def built(module: str, *cards: str) -> list[list[str]]:
    """The words of each line that a module which builds kernels for cards prints."""
    environment = {name: value for name, value in os.environ.items() if name != INTERPRET}
    done = _run([sys.executable, "-m", module, *cards], environment)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def _run(command: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
