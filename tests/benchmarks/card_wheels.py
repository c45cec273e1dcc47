"""Packages that a machine without a network lacks, out of wheels that were carried to it."""

import atexit
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.table import Unavailable


def unpack(wheels: Path, target: Path, names: Sequence[str] = ()) -> None:
    """Installs packages of a folder's wheels, all of them where none is named, into `target`.

    Without what they depend on. Raises Unavailable.
    """
    chosen = list(names) or [str(path) for path in sorted(wheels.glob("*.whl"))]
    if not chosen:
        raise Unavailable(f"{wheels} holds no wheels.")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
    command += ["--find-links", str(wheels), "--target", str(target), *chosen]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        last = (told.stderr.strip().splitlines() or ["pip says nothing"])[-1]
        raise Unavailable(f"The wheels of {wheels} cannot be installed: {last}")


def use(wheels: Path | None) -> None:
    """Makes all of them importable in this process, after what is there already."""
    if wheels is not None:
        target = Path(tempfile.mkdtemp(prefix="wheels-"))
        atexit.register(shutil.rmtree, target, ignore_errors=True)
        unpack(wheels, target)
        sys.path.append(str(target))
