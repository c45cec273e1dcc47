"""The media child behind the viewer: sends requests, gives each answer to who asked."""

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal

from engine.errors import EngineError
from engine.worker.client import WorkerClient
from engine.worker.messages import (
    Done,
    Event,
    Fresh,
    Gone,
    Probed,
    Refused,
    Request,
    Scanning,
    ScanWeights,
    Taken,
    TakePictures,
    Thumbnail,
    Waveform,
    WeightsFound,
)

Answer = Callable[[Event], None]


class MediaService(QObject):
    """Starts the child at first need and again when it dies; asks are then made anew.

    All signals and answers come on the thread of the window.
    """

    arrived = Signal(object)  # every event that answers no ask
    restarted = Signal()  # a new child knows nothing: project, ring
    failed = Signal(str, str)  # message, hint

    _came = Signal(int, object)

    def __init__(self, logs: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._logs = logs
        self._client: WorkerClient | None = None
        self._generation = 0
        self._numbers = count(1)
        self._asked: dict[int, tuple[Request, Answer]] = {}
        self._survived: dict[int, int] = {}  # deaths of the child that an ask has seen
        self._deaths = 0
        self._is_closed = False
        self._came.connect(self._take, Qt.ConnectionType.QueuedConnection)

    @property
    def pid(self) -> int:
        """The child's process, 0 before it runs."""
        return (self._client.pid or 0) if self._client is not None else 0

    def start(self) -> None:
        """Starts the child."""
        self._generation += 1
        generation = self._generation
        self._client = WorkerClient(
            "media", lambda event: self._came.emit(generation, event), self._logs
        )
        try:
            self._client.start()
        except EngineError as error:
            self._client = None
            self.failed.emit(error.message, error.hint)

    def stop(self) -> None:
        """Ends the child for good; what was asked is forgotten."""
        self._is_closed = True
        self._generation += 1
        self._asked.clear()
        if self._client is not None:
            self._client.stop()
            self._client = None

    def send(self, request: Request) -> None:
        """Sends a request that answers through `arrived`."""
        if self._client is None and not self._is_closed:
            self.start()
        if self._client is not None:
            # a child that has just died says so by Gone, which starts the next one
            with suppress(EngineError):
                self._client.send(request)

    def ask(self, make: Callable[[int], Request], answer: Answer) -> int:
        """Sends the request that `make` builds with a fresh number; its answers go to `answer`."""
        number = next(self._numbers)
        request = make(number)
        self._asked[number] = (request, answer)
        self.send(request)
        return number

    def forget(self, number: int) -> None:
        """Drops an ask whose answer nobody wants any more."""
        self._asked.pop(number, None)
        self._survived.pop(number, None)

    def _take(self, generation: int, event: Event) -> None:
        if generation != self._generation:
            return
        match event:
            case Probed() | Taken() | Refused() | Waveform() | Done() | Fresh() | WeightsFound():
                _, answer = self._asked.get(event.ask, (None, None))
                self.forget(event.ask)
                self._deaths = 0
                if answer is not None:
                    answer(event)
            case Thumbnail() | Scanning():
                entry = self._asked.get(event.ask)
                if entry is not None:
                    entry[1](event)
            case Gone():
                self._replace()
            case _:
                self.arrived.emit(event)

    def _replace(self) -> None:
        """Starts a new child in place of a dead one; gives up after three deaths in a row."""
        self._deaths += 1
        self._client = None
        if self._deaths > 3:
            self.failed.emit(
                "The worker that reads media cannot be started.", "See Help, Show the log folder."
            )
            return
        self.start()
        self.restarted.emit()
        for number, (request, answer) in list(self._asked.items()):
            self._survived[number] = self._survived.get(number, 0) + 1
            if self._survived[number] < 2:
                self.send(request)
                continue
            # what kills the child twice is not tried a third time
            self.forget(number)
            answer(Refused(ask=number, message=_deadly(request)))


def _deadly(request: Request) -> str:
    if isinstance(request, ScanWeights):
        return "The weights cannot be looked through: a file there ends the reader."
    path = request.asset.path if isinstance(request, TakePictures) else getattr(request, "path", "")
    name = Path(path).name
    return f"{name} cannot be read: it ends the reader."
