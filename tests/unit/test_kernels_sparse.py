"""The Triton kernels of sparse attention: run by Triton's interpreter, and built for real cards."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from engine.models import kernels  # noqa: E402

CPU = torch.device("cpu")


def found_triton() -> str:
    try:
        return version("triton")
    except PackageNotFoundError:
        return "none"


needs_triton = pytest.mark.skipif(
    sys.platform != "linux" or not found_triton().startswith("3.6."),
    reason=f"kernels are tested with Triton 3.6 on Linux; here: {found_triton()}, {sys.platform}",
)


def child(*command: str, interpreted: bool) -> subprocess.CompletedProcess[str]:
    """Runs Python by itself: Triton's interpreter is chosen when Triton is first imported."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    if interpreted:
        environment["TRITON_INTERPRET"] = "1"
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False
    )


@needs_triton
def test_the_kernels_by_the_interpreter() -> None:
    tests = Path(__file__).with_name("interpreted_sparse.py")
    done = child("-m", "pytest", "-p", "no:cacheprovider", str(tests), interpreted=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_a_processor_has_the_plain_path() -> None:
    if not kernels.is_interpreted():
        wanted = "Triton is not installed" if found_triton() == "none" else "on the processor"
        assert wanted in kernels.unavailable(CPU)


def test_without_triton_the_plain_path_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    kernels._reason.cache_clear()
    try:
        assert kernels.unavailable(CPU) == "Triton is not installed"
    finally:
        kernels._reason.cache_clear()
