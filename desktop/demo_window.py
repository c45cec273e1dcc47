"""A picture of the real window with a project open, as the demo and the README show it."""

from pathlib import Path
from typing import Any


def picture_of_window(project: Path, picture: Path) -> dict[str, Any]:
    """Opens the window on `project`, waits until everything in it is there, grabs it."""
    raise NotImplementedError(project, picture)
