"""The start: the window is on screen first, then all that makes it work is loaded."""

import base64
import gc
import sys
from collections.abc import Sequence
from typing import NamedTuple

from PySide6.QtCore import QByteArray, QObject, QTimer, qInstallMessageHandler
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QApplication

from desktop.actions import ACTIONS, MENUS, Action
from desktop.settings import Folders, SettingsStore, folders
from ui import appearance, theme
from ui.window import Window


class Shell(NamedTuple):
    """The window with its actions; its other panels and what is behind them come later."""

    folders: Folders
    settings: SettingsStore
    actions: dict[str, QAction]
    window: Window


def make_shell(application: QApplication) -> Shell:
    """Builds the window; it is not shown."""
    application.setApplicationName("Reelwright")
    application.setDesktopFileName("reelwright")
    settings = SettingsStore()
    theme.apply(application, appearance.resolved(settings.value.theme))
    actions = {one.name: _qt_action(one, application) for one in ACTIONS}
    window = Window(actions, _menus())
    if settings.value.geometry:
        window.restoreGeometry(QByteArray(base64.b64decode(settings.value.geometry)))
    return Shell(folders(), settings, actions, window)


def _menus() -> dict[str, Sequence[str]]:
    """The menus of the window: names of actions, "" for a line between groups."""
    found: dict[str, list[str]] = {menu: [] for menu in MENUS}
    for one in ACTIONS:
        found[one.menu] += ["", one.name] if one.begins_group else [one.name]
    return dict(found)


def _qt_action(one: Action, parent: QApplication) -> QAction:
    action = QAction(one.text, parent)
    keys = [QKeySequence(text) for text in one.keys]
    action.setShortcuts(keys)
    action.setCheckable(one.checkable)
    name = one.text.rstrip("…")
    if keys:
        name += f" ({keys[0].toString(QKeySequence.SequenceFormat.NativeText)})"
    action.setToolTip(f"{name}\n{one.help}" if one.help else name)
    action.setStatusTip(one.help)
    return action


def run_window(arguments: list[str]) -> int:
    """Opens the window, on a project if one is named; returns the exit code."""
    application = QApplication(sys.argv[:1])
    shell = make_shell(application)
    shell.window.show()
    running: list[QObject] = []  # holds the application's parts until the window is closed

    def fill() -> None:
        from desktop import bugs
        from desktop.app import App

        bugs.log_to(shell.folders.logs)
        app = App(application, shell)
        running.append(app)
        bugs.catch(app.tell_bug)
        app.begin(arguments)
        gc.freeze()  # what is there now stays; only what comes later is looked through
        gc.enable()

    QTimer.singleShot(0, fill)
    code = application.exec()
    qInstallMessageHandler(None)
    return code
