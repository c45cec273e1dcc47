"""What a child tells of an error: a sentence, or that it is a bug; never nothing."""

import cv2
import numpy as np
import pytest

from engine.errors import Cancelled, EngineError, MediaError, OutOfMemory
from engine.library.download_offer import DownloadError
from engine.worker.faults import BUG, Fault, attempt


def fault_when(error: Exception) -> Fault:
    def work() -> None:
        raise error

    outcome = attempt(work)
    assert isinstance(outcome, Fault)
    return outcome


def test_what_goes_well_comes_back() -> None:
    assert attempt(lambda: 3) == 3


def test_an_error_of_the_engine_speaks_for_itself() -> None:
    fault = fault_when(MediaError("pier.mp4 cannot be read.", "Find it.", "moov"))
    assert (fault.message, fault.hint, fault.kind) == (
        "pier.mp4 cannot be read.",
        "Find it.",
        "MediaError",
    )
    assert fault.details.startswith("moov\nTraceback")


def test_what_a_retry_need_not_make_again_is_told_apart() -> None:
    fault = fault_when(DownloadError("No connection.", "Resume.", kept="4.8 of 14.3 GB are kept."))
    assert (fault.message, fault.kept) == ("No connection.", "4.8 of 14.3 GB are kept.")
    assert fault.kind == "WeightsError"  # the nearest that who reads it knows


def test_anything_else_is_a_bug_with_its_trace() -> None:
    fault = fault_when(ZeroDivisionError("x"))
    assert fault.message == BUG
    assert "ZeroDivisionError" in fault.details


def test_too_little_memory_has_a_plain_sentence() -> None:
    def too_much() -> None:
        np.zeros((1 << 30, 1 << 20))

    from_numpy = attempt(too_much)
    assert isinstance(from_numpy, Fault)
    short = cv2.error("Failed to allocate")
    short.code = -4
    for fault in (from_numpy, fault_when(MemoryError()), fault_when(short)):
        assert fault.message == "There is not enough memory for this."
        assert fault.kind == OutOfMemory.__name__


def test_cancel_goes_through() -> None:
    def work() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        attempt(work)
    assert not issubclass(Cancelled, EngineError)
