"""Which keys a focused control needs itself, so that no shortcut of the window takes them."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QComboBox,
    QLineEdit,
    QTabBar,
    QWidget,
)

Key = Qt.Key
SIDEWAYS = frozenset({Key.Key_Left, Key.Key_Right})
UPWARDS = frozenset({Key.Key_Up, Key.Key_Down})
ENDS = frozenset({Key.Key_Home, Key.Key_End})
AWAY = frozenset({Key.Key_Delete, Key.Key_Backspace})
PRESS = frozenset({Key.Key_Space})
NEEDED: tuple[tuple[type[QWidget], frozenset[Qt.Key]], ...] = (
    (QAbstractItemView, SIDEWAYS | UPWARDS | ENDS | AWAY | PRESS),
    (QAbstractSlider, SIDEWAYS | UPWARDS | ENDS),
    (QComboBox, UPWARDS | ENDS | PRESS),
    (QTabBar, SIDEWAYS | ENDS),
    (QLineEdit, UPWARDS),
    (QAbstractButton, PRESS),
)


def needs_key(widget: QWidget | None, event: QKeyEvent) -> bool:
    """Whether `widget` acts on that key itself. Its class may name more in `NEEDED_KEYS`."""
    if widget is None:
        return False
    keypad = Qt.KeyboardModifier.KeypadModifier
    if event.modifiers() & ~keypad & ~Qt.KeyboardModifier.ShiftModifier:
        is_list = isinstance(widget, QAbstractItemView)
        return is_list and event.matches(QKeySequence.StandardKey.SelectAll)
    needed: frozenset[Qt.Key] = getattr(widget, "NEEDED_KEYS", frozenset())
    for kind, keys in NEEDED:
        if isinstance(widget, kind):
            needed |= keys
    return event.key() in needed
