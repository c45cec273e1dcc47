"""One answer of a web server, read by a thread, so that who waits for it can be cancelled."""

import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from typing import IO
from urllib import request
from urllib.parse import urljoin, urlsplit

import msgspec

PIECE = 256 << 10
WAITING = 4  # pieces read ahead of the disk
POLL_S = 0.02
SHA256 = re.compile(r"[0-9a-f]{64}")
RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

Poll = Callable[[], None]


class Reply(msgspec.Struct, frozen=True):
    """`start`: where in the file its bytes begin. `total_bytes`: of the file, 0 where not told.

    `sha256`: what Hugging Face says of a large file on the way to it, or "".
    """

    start: int
    total_bytes: int
    etag: str
    sha256: str
    is_page: bool


class UnsafeRedirect(OSError):
    """From a secure address to one that is not, or to no web address at all."""


class Stalled(OSError):
    """Nothing came for too long."""


_Item = Reply | bytes | OSError | HTTPException | ValueError | None  # None: the end


class Stream:
    """Asks for `url` at once. Every wait calls `poll`, whose exception ends it."""

    def __init__(self, url: str, headers: Mapping[str, str], stall_s: float, poll: Poll) -> None:
        self.url = url  # after redirects the last one
        self._stall_s = stall_s
        self._poll = poll
        self._items: queue.Queue[_Item] = queue.Queue(WAITING)
        self._gone = threading.Event()
        self._sockets: list[socket.socket] = []
        self._linked = ""
        ask = request.Request(url, headers={"User-Agent": "Reelwright", **headers})
        threading.Thread(target=self._run, args=(ask,), name="download", daemon=True).start()

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or self.url

    def reply(self) -> Reply:
        """Raises OSError (HTTPError and URLError are), HTTPException, ValueError."""
        item = self._take()
        if isinstance(item, Reply):
            return item
        raise ConnectionResetError("no answer")

    def pieces(self) -> Iterator[bytes]:
        """What follows the reply, to its end or to where the connection was cut."""
        while isinstance(item := self._take(), bytes):
            yield item

    def close(self) -> None:
        """Ends the connection; the thread ends by it."""
        self._gone.set()
        for connection in self._sockets:
            hang_up(connection)

    def opened(self, connection: socket.socket) -> None:
        self._sockets.append(connection)
        if self._gone.is_set():
            hang_up(connection)

    def redirected(self, url: str, headers: HTTPMessage) -> None:
        linked = (headers.get("X-Linked-Etag") or "").strip('"')
        if SHA256.fullmatch(linked):
            self._linked = linked
        self.url = url

    def _take(self) -> _Item:
        since = time.monotonic()
        while True:
            self._poll()
            try:
                item = self._items.get(timeout=POLL_S)
            except queue.Empty:
                if time.monotonic() - since > self._stall_s:
                    raise Stalled(f"nothing for {self._stall_s:g} s") from None
                continue
            if isinstance(item, Exception):
                raise item
            return item

    def _put(self, item: _Item) -> None:
        while not self._gone.is_set():
            with suppress(queue.Full):
                self._items.put(item, timeout=POLL_S)
                break

    def _run(self, ask: request.Request) -> None:
        try:
            with _opener(self).open(ask, timeout=self._stall_s) as response:
                self._put(_reply(response, self._linked))
                while not self._gone.is_set() and (piece := response.read1(PIECE)):
                    self._put(piece)
        except (OSError, HTTPException, ValueError) as error:
            self._put(error)
            if isinstance(error, request.HTTPError):
                error.close()
        finally:
            self._put(None)


def hang_up(connection: socket.socket) -> None:
    """Wakes the thread that reads from it. Of a TLS one only what is below is touched."""
    try:
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:  # it has ended
        return


def _reply(response: HTTPResponse, linked: str) -> Reply:
    headers = response.headers
    length = headers.get("Content-Length") or ""
    start, total = 0, int(length) if length.isdecimal() else 0
    if response.status == 206:
        told = RANGE.fullmatch(headers.get("Content-Range") or "")
        start = int(told[1]) if told else -1
        total = int(told[2]) if told and told[2] != "*" else 0
    return Reply(
        start=start,
        total_bytes=total,
        etag=headers.get("ETag") or "",
        sha256=linked,
        is_page=headers.get_content_type() == "text/html",
    )


def _opener(stream: Stream) -> request.OpenerDirector:
    """As urllib's own, proxies included, without files, FTP and cookies."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.UnknownHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
        _Redirects(stream),
        _Http(stream),
        _Https(stream),
    ):
        opener.add_handler(handler)
    return opener


class _Redirects(request.HTTPRedirectHandler):
    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def redirect_request(
        self,
        req: request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> request.Request | None:
        there = urljoin(req.full_url, newurl)
        schemes = ("https",) if urlsplit(req.full_url).scheme == "https" else ("http", "https")
        if urlsplit(there).scheme not in schemes:
            fp.close()
            raise UnsafeRedirect(f"{req.full_url} redirects to {there}")
        self._stream.redirected(there, headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Http(request.HTTPHandler):
    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    def http_open(self, req: request.Request) -> HTTPResponse:
        return self.do_open(_plain(self._stream), req)


class _Https(request.HTTPSHandler):
    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    def https_open(self, req: request.Request) -> HTTPResponse:
        return self.do_open(_secure(self._stream), req)


def _plain(stream: Stream) -> type[HTTPConnection]:
    class Watched(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            stream.opened(self.sock)

    return Watched


def _secure(stream: Stream) -> type[HTTPSConnection]:
    class Watched(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            stream.opened(self.sock)

    return Watched
