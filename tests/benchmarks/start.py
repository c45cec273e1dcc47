"""From launch to a visible window: the editor and an empty PySide6 window, in turn, under Xvfb."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from tests.benchmarks.table import Table, Unavailable
from tests.benchmarks.timing import program

ROUNDS = 5
IDLE_SECONDS = 4.0  # until what loads after the first paint has loaded
HEAVY = re.compile(r"/(torch|av|cv2|numpy)/")
EMPTY = """
import sys
from PySide6.QtWidgets import QApplication, QMainWindow
app = QApplication(sys.argv)
window = QMainWindow()
window.resize(1440, 900)
window.show()
app.exec()
"""


@contextmanager
def screen() -> Iterator[str]:
    """A virtual display, its name given."""
    reading, writing = os.pipe()
    command = [program("Xvfb"), "-displayfd", str(writing)]
    command += ["-screen", "0", "1920x1080x24", "-noreset", "-nolisten", "tcp"]
    server = subprocess.Popen(
        command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    try:
        if not number:
            raise Unavailable("Xvfb did not start.")
        yield f":{number}"
    finally:
        server.terminate()
        server.wait()


def environment(display: str, home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QT_")}
    kept.pop("WAYLAND_DISPLAY", None)
    return {**kept, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "REELWRIGHT_HOME": str(home)}


def until_visible(command: list[str], display: str, idle: float) -> tuple[float, float, str]:
    """Milliseconds to the window; MB of the process after `idle` seconds; heavy libraries in it."""
    search = program("xdotool")
    with tempfile.TemporaryDirectory() as home:
        settings = environment(display, Path(home))
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            asked = [search, "search", "--onlyvisible", "--pid", str(process.pid)]
            while True:
                found = subprocess.run(asked, env=settings, capture_output=True, check=False)
                took = (time.perf_counter() - begun) * 1000
                if found.stdout.strip():
                    break
                if process.poll() is not None or took > 60_000:
                    raise RuntimeError(f"no window came from {' '.join(command)}")
            time.sleep(idle)  # what is measured is the state after this long
            status = Path(f"/proc/{process.pid}/status").read_text()
            maps = Path(f"/proc/{process.pid}/maps").read_text()
        finally:
            process.terminate()
            process.wait()
    resident = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert resident is not None
    heavy = ", ".join(sorted(set(HEAVY.findall(maps))))
    return took, int(resident[1]) * 1024 / 1e6, heavy


def measure() -> Table:
    editor = [sys.executable, "-m", "desktop"]
    empty = [sys.executable, "-c", EMPTY]
    with screen() as display:
        until_visible(empty, display, 0)  # both warm
        until_visible(editor, display, 0)
        ours, floor = [], []
        for _ in range(ROUNDS):
            ours.append(until_visible(editor, display, 0)[0])
            floor.append(until_visible(empty, display, 0)[0])
        _, our_memory, heavy = until_visible(editor, display, IDLE_SECONDS)
        _, floor_memory, _ = until_visible(empty, display, IDLE_SECONDS)
    ratio = median(one / other for one, other in zip(ours, floor, strict=True))
    table = Table(
        "Start: launch to visible window, warm, Xvfb",
        ("Program", "Median ms", "From", "To", "Idle MB", "Ratio"),
        bar="at most 2.6 x the empty window; idle at most 160 MB; no torch, av, cv2, numpy in it.",
    )
    table.rows.append(("reelwright", median(ours), min(ours), max(ours), our_memory, ratio))
    table.rows.append(
        ("empty PySide6 window", median(floor), min(floor), max(floor), floor_memory, 1.0)
    )
    table.notes.append(f"Heavy libraries in the editor's process: {heavy or 'none'}.")
    return table
