"""The window driven from outside, as a person does: a second X client drops a file, keys, mouse.

Nothing of the program is called. What came of each step is read from the recovery file that it
keeps and from the files that it writes; a screenshot of each step goes to a folder.

    python -m tests.benchmarks.drive [FOLDER]
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.start import environment, screen
from tests.benchmarks.table import Table
from tests.benchmarks.timing import program
from tests.support.media import clicks, make_video

PATIENCE = 60.0
DROPPER = """
import sys
from PySide6.QtCore import QMimeData, QUrl, Qt
from PySide6.QtGui import QDrag
from PySide6.QtWidgets import QApplication, QLabel

class Source(QLabel):
    def mouseMoveEvent(self, event):
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(path) for path in sys.argv[1:]])
        drag = QDrag(self)
        drag.setMimeData(mime)
        drag.exec(Qt.DropAction.CopyAction)

app = QApplication([])
source = Source("drag me", None, Qt.WindowType.FramelessWindowHint)
source.setGeometry(1600, 100, 200, 100)
source.show()
app.exec()
"""


class Driver:
    """The pointer, the keyboard and the eyes."""

    def __init__(self, display: str, home: Path, shots: Path) -> None:
        self.env = {**environment(display, home), "HOME": str(home)}
        self.home = home
        self.shots = shots
        self.table = Table("The window driven from outside", ("Step", "Seconds", "What came of it"))

    def xdotool(self, *words: object) -> str:
        command = [program("xdotool"), *(str(word) for word in words)]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def shoot(self, name: str) -> None:
        """A screenshot of the whole screen."""
        command = [program("import"), "-window", "root", str(self.shots / f"{name}.png")]
        subprocess.run(command, env=self.env, check=True)

    def project(self) -> dict[str, Any]:
        """The project as the program's own recovery file has it."""
        for file in sorted((self.home / "data").glob("*.recovery")):
            found: dict[str, Any] = json.loads(file.read_bytes())["project"]
            return found
        return {"sequences": [{"tracks": []}], "assets": []}

    def clips(self) -> list[int]:
        """How many clips each track has."""
        return [len(track["clips"]) for track in self.project()["sequences"][0]["tracks"]]

    def step(self, name: str, act: Callable[[], None], came: Callable[[], str]) -> None:
        """Does something and waits until it shows; fails loudly when it never does."""
        begun = time.monotonic()
        act()
        while not (told := came()):
            if time.monotonic() - begun > PATIENCE:
                self.shoot(f"failed {name}")
                raise SystemExit(f"{name}: nothing came of it, see {self.shots}")
            time.sleep(0.1)  # between two looks at the disk
        self.table.rows.append((name, round(time.monotonic() - begun, 2), told))
        self.shoot(name)

    def click(self, x: int, y: int) -> None:
        self.xdotool("mousemove", x, y, "click", 1)

    def drag(self, start: tuple[int, int], end: tuple[int, int], shot: str = "") -> None:
        """Presses, moves in small steps, and lets go."""
        self.xdotool("mousemove", *start, "mousedown", 1)
        count = 24
        for i in range(1, count + 1):
            x = start[0] + (end[0] - start[0]) * i // count
            y = start[1] + (end[1] - start[1]) * i // count
            self.xdotool("mousemove", x, y)
        if shot:
            time.sleep(1.5)  # the facts of the file come meanwhile, as under a slow hand
            self.xdotool("mousemove", end[0] + 1, end[1])
            self.shoot(shot)
        self.xdotool("mouseup", 1)


def measure(shots: Path | None = None) -> Table:
    """Drives the window once; the steps as rows."""
    with tempfile.TemporaryDirectory() as folder, screen() as display:
        home = Path(folder)
        driver = Driver(display, home / "home", shots or home)
        film = make_video(home / "dropped film.mp4", 100, size=(640, 360), sound=clicks(4.0))
        programs = [
            subprocess.Popen([sys.executable, "-m", "desktop"], env=driver.env),
            subprocess.Popen([sys.executable, "-c", DROPPER, str(film)], env=driver.env),
        ]
        try:
            _drive(driver, programs[0].pid)
        finally:
            for one in programs:
                one.terminate()
                one.wait()
    return driver.table


def _drive(driver: Driver, pid: int) -> None:
    window = window_of(driver, pid)
    driver.xdotool("windowmove", window, 0, 0)

    def key(*keys: str) -> Callable[[], None]:
        def press() -> None:
            driver.xdotool("windowfocus", window, "key", *keys)

        return press

    def told(what: Callable[[], bool], words: str) -> Callable[[], str]:
        return lambda: words if what() else ""

    driver.shoot("0 empty")
    driver.step(
        "1 drop a file from another program",
        lambda: driver.drag((1700, 150), (600, 690), "1 drag over the timeline"),
        told(lambda: driver.clips() == [1, 0, 1, 0], "picture and sound on the timeline"),
    )
    driver.click(500, 580)
    driver.step(
        "2 cut at the playhead",
        key("s"),
        told(lambda: driver.clips() == [2, 0, 2, 0], "two clips and their sound"),
    )
    driver.step(
        "3 undo",
        key("ctrl+z"),
        told(lambda: driver.clips() == [1, 0, 1, 0], "one clip again"),
    )
    driver.step(
        "4 redo",
        key("ctrl+shift+z"),
        told(lambda: driver.clips() == [2, 0, 2, 0], "two clips again"),
    )
    driver.click(300, 690)
    driver.click(1418, 64)  # the notice of the first clip, if it still stands
    driver.click(92, 62)  # the Effects tab
    driver.step(
        "5 drag an effect onto the first clip",
        lambda: driver.drag((120, 210), (300, 690)),
        told(
            lambda: any(
                clip["effects"]
                for track in driver.project()["sequences"][0]["tracks"]
                for clip in track["clips"]
            ),
            "the clip has the effect, stale",
        ),
    )
    segments = driver.home / "cache"
    driver.step(
        "6 render it",
        key("ctrl+r"),
        told(lambda: any(segments.rglob("*.mkv")), "segments lie in the cache"),
    )
    driver.step("7 open the queue", key("ctrl+shift+q"), lambda: "the panel is open")
    driver.step(
        "8 export with one click",
        lambda: driver.click(1350, 22),
        told(lambda: any(driver.home.rglob("Untitled_*.mp4")), "a film under a fresh name"),
    )


def window_of(driver: Driver, pid: int) -> str:
    begun = time.monotonic()
    command = [program("xdotool"), "search", "--onlyvisible", "--pid", str(pid)]
    while time.monotonic() - begun < PATIENCE:
        found = subprocess.run(
            command, env=driver.env, capture_output=True, text=True, check=False
        ).stdout.split()
        if found:
            time.sleep(2)  # what loads after the first paint
            return found[-1]
        time.sleep(0.1)
    raise SystemExit("no window came")


if __name__ == "__main__":
    kept = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
    print(measure(kept).text())
