"""What every window test stands on: an offscreen application in the dark theme."""

from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QApplication

from ui import theme


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> Iterator[None]:
    """The application in the dark theme, whatever the test before did."""
    if theme.name() != "dark" or not qapp.styleSheet():
        theme.apply(qapp, "dark")
    yield
    for widget in qapp.topLevelWidgets():
        widget.hide()
