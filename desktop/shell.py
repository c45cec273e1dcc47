"""The start: the window is on screen first, then all that makes it work is loaded."""

import base64
import logging
import sys
from collections.abc import Callable, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import NamedTuple

from PySide6.QtCore import QByteArray, QTimer
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QApplication

from desktop.actions import ACTIONS, MENUS, Action
from desktop.settings import Folders, SettingsStore, folders
from ui import theme
from ui.timeline.view import TimelineView
from ui.window import Window


class Shell(NamedTuple):
    """The window with its actions and timeline, and nothing behind it yet."""

    folders: Folders
    settings: SettingsStore
    actions: dict[str, QAction]
    timeline: TimelineView
    window: Window


def make_shell(application: QApplication) -> Shell:
    """Builds the window; it is not shown."""
    application.setApplicationName("Reelwright")
    application.setDesktopFileName("reelwright")
    settings = SettingsStore()
    theme.apply(application, settings.value.theme)
    actions = {one.name: _qt_action(one, application) for one in ACTIONS}
    timeline = TimelineView()
    window = Window(actions, _menus(), timeline)
    if settings.value.geometry:
        window.restoreGeometry(QByteArray(base64.b64decode(settings.value.geometry)))
    return Shell(folders(), settings, actions, timeline, window)


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


def _log_to(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(folder / "editor.log", maxBytes=1_000_000, backupCount=2)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def run_window(arguments: list[str]) -> int:
    """Opens the window, on a project if one is named; returns the exit code."""
    application = QApplication(sys.argv[:1])
    shell = make_shell(application)
    shell.window.show()

    def fill() -> None:
        try:
            _log_to(shell.folders.logs)
        except OSError as error:
            logging.warning("no log: %s", error)
        from desktop.app import App

        app = App(application, shell)
        _catch_bugs(app.tell_bug)
        app.begin(arguments)

    QTimer.singleShot(0, fill)
    return application.exec()


def _catch_bugs(tell: Callable[[BaseException, str], None]) -> None:
    """What nothing else has caught is logged and told; the program goes on."""

    def catch(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        logging.error("a bug", exc_info=(kind, error, trace))
        tell(error, "".join(format_exception(kind, error, trace)))

    sys.excepthook = catch
