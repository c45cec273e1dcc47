"""Data files that travel with the program: icons, fonts, style sheet, sample media."""

from pathlib import Path


def path(name: str) -> Path:
    """Where the resource `name` ("icons/play.svg") lies on disk."""
    return Path(__file__).parent / name
