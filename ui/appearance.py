"""Which of the two themes a setting means: «system» is what is set for all programs."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication

SYSTEM = "system"


def resolved(theme: str, scheme: Qt.ColorScheme | None = None) -> str:
    """ "dark" or "light" for "dark", "light" or "system"; dark where the system does not tell.

    `scheme`: of the system, asked for where it is not given.
    """
    if theme != SYSTEM:
        return theme
    said = scheme if scheme is not None else QGuiApplication.styleHints().colorScheme()
    return "light" if said is Qt.ColorScheme.Light else "dark"
