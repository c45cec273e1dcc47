"""Kills of the real window two seconds after an edit: what is lost, and who is left behind.

python -m tests.benchmarks.edits_lost [COUNT]
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.benchmarks.drive import Driver, window_of
from tests.benchmarks.start import screen
from tests.benchmarks.table import Table

COUNT = 20
AFTER_SECONDS = 2.0  # from the edit to the kill: what is older than this may not be lost
ROOT = Path(__file__).resolve().parents[2]


def measure(count: int = COUNT) -> Table:
    """Cuts the sample by key, kills the editor, looks at its recovery file and children."""
    table = Table("Editor killed 2 s after an edit", ("killed", "edits kept", "children gone, s"))
    kept, gone = 0, []
    with screen() as display:
        for _ in range(count):
            was_kept, seconds = _once(display)
            kept += was_kept
            gone.append(seconds)
    table.rows.append((f"{count} times", f"{kept} of {count}", round(median(gone), 3)))
    table.bar = "at most 2 s of edits lost, no child left behind"
    return table


def _once(display: str) -> tuple[bool, float]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        shutil.copytree(ROOT / "resources/sample", home / "film")
        driver = Driver(display, home / "home", home)
        project = str(home / "film/sample.reel")
        editor = subprocess.Popen(
            [sys.executable, "-m", "desktop", project], env=driver.env, stderr=subprocess.DEVNULL
        )
        window = window_of(driver, editor.pid)
        driver.xdotool("windowmove", window, 0, 0)
        driver.click(420, 580)  # the playhead into the first clip
        driver.xdotool("windowfocus", window, "key", "s")
        time.sleep(AFTER_SECONDS)
        children = _children(editor.pid)
        editor.send_signal(signal.SIGKILL)
        editor.wait()
        begun = time.monotonic()
        while any(Path(f"/proc/{child}").exists() for child in children):
            if time.monotonic() - begun > 10:
                raise SystemExit(f"children are left behind: {children}")
            time.sleep(0.01)
        return driver.clips()[:1] == [4], time.monotonic() - begun


def _children(parent: int) -> list[int]:
    """The children of a process, not those that only track its shared memory."""
    told = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    workers = [
        int(one) for one in told if b"engine.worker" in Path(f"/proc/{one}/cmdline").read_bytes()
    ]
    assert workers, "the editor has no child to leave behind"
    return workers


if __name__ == "__main__":
    os.chdir(ROOT)
    print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT).text())
