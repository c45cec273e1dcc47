"""What `bake` needs of models, so that it runs without torch where only filters are asked for."""

from collections.abc import Callable, Iterator
from typing import Protocol

from engine.errors import OutOfMemory
from engine.filters.pixels import Picture
from engine.render.keys import Stage


class Neural(Protocol):
    """Makes the pictures of effects that need models; given to `bake` by the gpu child."""

    def recipe(self, stage: Stage) -> str:
        """All that can change the pixels of `stage` and is not in its values: precision, tiles,
        device, versions, weights. Raises WeightsError where weights are missing."""

    def pictures(
        self,
        stage: Stage,
        read: Callable[[int], Picture],
        count: int,
        span: range,
        check: Callable[[], None],
    ) -> Iterator[Picture]:
        """The pictures of `span`, in order, the same whatever the span.

        `read` gives one of the `count` pictures of the stage before. `check` is called between
        short steps and raises Cancelled. Raises OutOfMemory.
        """

    def step_down(self, error: OutOfMemory, at: int) -> str:
        """Goes over to a smaller plan after `error` at picture `at`; gives the sentence for it.

        Raises `error` where there is no smaller one.
        """

    def notes(self) -> tuple[str, ...]:
        """Sentences for the person on how it went."""
