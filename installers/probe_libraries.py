"""Tries everything native that the program loads; run by the environment's own Python.

    python probe_libraries.py [xcb] [wayland]

Prints one JSON object: `libraries`, the shared libraries that the loader did not find, and
`failures`, sentences on whatever else did not load. Standard library only.
"""

import ctypes
import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

MODULES = (
    "msgspec",
    "PySide6.QtCore",
    "PySide6.QtGui",
    "PySide6.QtWidgets",
    "PySide6.QtSvg",
    "PySide6.QtMultimedia",
    "numpy",
    "av",
    "cv2",
)
PLUGINS = {
    "": ("platforms/libqoffscreen.so", "multimedia/libffmpegmediaplugin.so"),
    "xcb": ("platforms/libqxcb.so", "xcbglintegrations/libqxcb-glx-integration.so"),
    "wayland": ("platforms/libqwayland.so",),
}
NOT_FOUND = re.compile(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object file")


class Findings:
    """What was missing so far."""

    def __init__(self) -> None:
        self.libraries: set[str] = set()
        self.failures: list[str] = []

    def add(self, name: str, error: Exception, file: str | None) -> None:
        """Notes the library named by the loader's message and all others that `file` lacks."""
        match = NOT_FOUND.search(str(error))
        if match is None:
            self.failures.append(f"{name} does not load: {error}")
            return
        self.libraries.add(match.group(1))
        if file and shutil.which("ldd"):
            listing = subprocess.run(["ldd", file], capture_output=True, text=True, check=False)
            self.libraries.update(re.findall(r"^\s*(\S+) => not found", listing.stdout, re.M))


def main() -> None:
    found = Findings()
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            spec = None if found.failures else importlib.util.find_spec(name)
            found.add(name, error, spec.origin if spec else None)
    if sys.platform.startswith("linux"):
        package = importlib.util.find_spec("PySide6")
        if package is not None and package.origin is not None:
            plugins = Path(package.origin).parent / "Qt" / "plugins"
            for group in ("", *sys.argv[1:]):
                for plugin in PLUGINS[group]:
                    try:
                        ctypes.CDLL(str(plugins / plugin))
                    except OSError as error:
                        found.add(plugin, error, str(plugins / plugin))
    print(json.dumps({"libraries": sorted(found.libraries), "failures": found.failures}))


if __name__ == "__main__":
    main()
