"""What a child tells of an error; the one place where every exception is caught."""

import traceback
from collections.abc import Callable
from typing import TypeVar

import msgspec

from engine.errors import Cancelled, EngineError, OutOfMemory

BUG = "Something went wrong in Reelwright; your project is safe."

_CV_NO_MEMORY = -4  # cv2.error.code

T = TypeVar("T")


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error as the person sees it; `details` and `kind` (its class) are for the log.

    `kept`: a sentence on what a retry need not make again, or "".
    """

    message: str
    hint: str
    details: str
    kind: str
    kept: str = ""


def attempt(work: Callable[[], T]) -> T | Fault:
    """The result of `work`, or what went wrong in it. Raises Cancelled only."""
    try:
        return work()
    except Cancelled:
        raise
    except Exception as error:  # noqa: BLE001  (the process boundary: the child lives on)
        return fault_of(error)


def fault_of(error: Exception) -> Fault:
    """An EngineError speaks for itself; too little memory has a sentence; all else is a bug."""
    trace = "".join(traceback.format_exception(error))
    match error:
        case EngineError():
            return Fault(
                message=error.message,
                hint=error.hint,
                details=f"{error.details}\n{trace}".strip(),
                kind=_kind(error),
                kept=getattr(error, "kept", ""),
            )
        case _ if isinstance(error, MemoryError) or getattr(error, "code", 0) == _CV_NO_MEMORY:
            return Fault(
                message="There is not enough memory for this.",
                hint="Close other programs, or choose a smaller size.",
                details=trace,
                kind=OutOfMemory.__name__,
            )
        case _:
            return Fault(
                message=BUG,
                hint="Copy the details and report them.",
                details=trace,
                kind=type(error).__name__,
            )


def _kind(error: EngineError) -> str:
    """The nearest class that every process knows."""
    return next(one.__name__ for one in type(error).__mro__ if one.__module__ == "engine.errors")
