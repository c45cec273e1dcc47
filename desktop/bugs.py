"""What nothing else has caught: logged, told in the window, and the program goes on."""

import logging
import sys
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from traceback import format_exception
from types import TracebackType

from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler


def log_to(folder: Path) -> None:
    """Lets the editor's log go to `folder`; without one it goes on without a log."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(folder / "editor.log", maxBytes=1_000_000, backupCount=2)
    except OSError as error:
        logging.warning("there is no log: %s", error)
        return
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    qInstallMessageHandler(_log_qt)


def _log_qt(kind: QtMsgType, _where: QMessageLogContext, text: str) -> None:
    """What Qt itself has to say goes to the log, not to the terminal."""
    is_grave = kind in (QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg)
    logging.getLogger("qt").log(logging.ERROR if is_grave else logging.INFO, text)


def catch(tell: Callable[[BaseException, str], None]) -> None:
    """Gives `tell` each exception that nothing else has caught, with its trace."""

    def caught(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        logging.error("a bug", exc_info=(kind, error, trace))
        tell(error, "".join(format_exception(kind, error, trace)))

    sys.excepthook = caught
