"""The Triton kernels of sparse attention: run by Triton's interpreter, and built for real cards."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from engine.models import kernels  # noqa: E402
from engine.models.kernels.trial import failure  # noqa: E402

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


def child(*command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs Python by itself: Triton's interpreter is chosen when Triton is first imported."""
    kept = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment = kept | settings
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False
    )


@needs_triton
def test_the_kernels_by_the_interpreter() -> None:
    tests = Path(__file__).with_name("interpreted_sparse.py")
    done = child("-m", "pytest", "-p", "no:cacheprovider", str(tests), TRITON_INTERPRET="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@needs_triton
def test_the_sparse_kernel_is_built_for_hopper_and_ada(tmp_path: Path) -> None:
    script = Path(__file__).with_name("built_sparse.py")
    root = str(Path(__file__).parents[2])
    done = child(str(script), "90", "2", "89", "2", TRITON_CACHE_DIR=str(tmp_path), PYTHONPATH=root)
    assert done.returncode == 0, done.stderr
    hopper, ada = ([int(x) for x in line.split()] for line in done.stdout.splitlines())
    assert hopper[0] * 2 <= 227 * 1024  # two programs at once
    assert (hopper[1] > 0, hopper[2] == 0, hopper[3] > 0) == (True, True, True)
    assert ada[0] <= 99 * 1024
    assert (ada[1] == 0, ada[2] > 0, ada[3] == 0) == (True, True, True)


@needs_triton
def test_a_triton_that_builds_nothing_is_found_out() -> None:
    if not kernels.is_interpreted():  # there is nothing to build for on a processor
        assert failure(CPU).startswith("Triton cannot build kernels here: ")


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
