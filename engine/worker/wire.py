"""Messages over a pipe: 4 bytes of length, big-endian, then msgpack. No pickle."""

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import IO, Any, Generic, TypeVar

import msgspec

from engine.errors import WorkerError
from engine.timeline.time import decode_value, encode_value
from engine.worker.messages import Event, Request

LIMIT_BYTES = 64 * 1024 * 1024  # of one message; a project of thousands of clips is far below

T = TypeVar("T")


@cache
def _encoder() -> msgspec.msgpack.Encoder:
    return msgspec.msgpack.Encoder(enc_hook=encode_value)


def pack(message: Request | Event) -> bytes:
    """The bytes that go over the pipe. Raises WorkerError where it is too large to be taken."""
    body = _encoder().encode(message)
    if len(body) > LIMIT_BYTES:
        raise WorkerError(
            f"A {type(message).__name__} message is too large: {len(body) / 1e6:.0f} MB.",
            f"At most {LIMIT_BYTES / 1e6:.0f} MB can be sent at once.",
        )
    return len(body).to_bytes(4, "big") + body


class MessageReader(Generic[T]):
    """Reads messages of the union `kind` from a pipe."""

    def __init__(self, stream: IO[bytes], kind: Any) -> None:
        self._stream = stream
        self._decoder = msgspec.msgpack.Decoder(kind, dec_hook=decode_value)

    def read(self) -> T | None:
        """The next message, or None at the end of the pipe. Raises WorkerError for garbage."""
        head = self._stream.read(4)
        if len(head) < 4:
            return None  # also a writer that died in the middle of one
        size = int.from_bytes(head, "big")
        if size > LIMIT_BYTES:
            raise WorkerError("A message of the wrong form came.", details=f"length {size}")
        body = self._stream.read(size)
        if len(body) < size:
            return None
        try:
            message: T = self._decoder.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise WorkerError("A message of the wrong form came.", details=str(error)) from error
        return message


class MessageWriter:
    """Writes whole messages, from any thread."""

    def __init__(self, stream: IO[bytes], broken: Callable[[], None]) -> None:
        self._stream = stream
        self._broken = broken  # called when nobody reads any more
        self._lock = Lock()

    def send(self, message: Request | Event) -> None:
        data = pack(message)
        try:
            with self._lock:
                self._stream.write(data)
                self._stream.flush()
        except (OSError, ValueError):  # ValueError: closed on this side
            self._broken()
