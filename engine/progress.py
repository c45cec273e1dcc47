"""How a long task tells where it is, and learns that it was cancelled."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Report(Protocol):
    """Given to every long task; both methods raise `Cancelled` once the person has cancelled."""

    def step(self, stage: str, done: int, total: int) -> None:
        """Says that `done` of `total` units of `stage` are finished ("effects", "encode", …)."""

    def preview(self, label: str, picture: "Callable[[], NDArray[np.uint8]]") -> None:
        """Offers a picture, (H, W, 3) RGB; `picture` is called only when one is due."""


class Silent:
    """A `Report` that listens to nobody."""

    def step(self, stage: str, done: int, total: int) -> None:
        """Does nothing."""

    def preview(self, label: str, picture: "Callable[[], NDArray[np.uint8]]") -> None:
        """Does nothing."""
