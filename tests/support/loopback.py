"""A web server on this machine that serves one file, and behaves badly when told to."""

import hashlib
import json
import random
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SIZE = 3_000_000


def weights(size: int = SIZE, seed: int = 1) -> bytes:
    """A whole safetensors file of one tensor."""
    entry = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    header = json.dumps({"weight": entry}).encode()
    return struct.pack("<Q", len(header)) + header + random.Random(seed).randbytes(size)


BODY = weights()
SHA256 = hashlib.sha256(BODY).hexdigest()

Fault = Callable[["Handler"], None]


class Site(ThreadingHTTPServer):
    """Serves `body` at every path. `faults`: one for each request, None where it is answered."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.etag = '"one"'
        self.has_ranges = True
        self.faults: list[Fault | None] = []
        self.asked: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.is_closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def ranges(self) -> list[str]:
        return [headers.get("Range", "") for headers in self.asked]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The other side hangs up: that is what is tested."""


class Handler(BaseHTTPRequestHandler):
    server: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.close_connection = True
        site = self.server
        site.asked.append(dict(self.headers.items()))
        site.paths.append(self.path)
        fault = site.faults.pop(0) if site.faults else None
        (fault or answer)(self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""

    def head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


def answer(handler: Handler, until: int | None = None) -> None:
    """As a good server does; with `until` only so many bytes come."""
    site = handler.server
    tag = {"ETag": site.etag} if site.etag else {}
    begin = 0
    asked = handler.headers.get("Range")
    if asked and site.has_ranges and handler.headers.get("If-Range", site.etag) == site.etag:
        begin = int(asked.removeprefix("bytes=").removesuffix("-"))
        if begin >= len(site.body):
            return handler.head(416, Content_Range=f"bytes */{len(site.body)}", Content_Length=0)
        place = f"bytes {begin}-{len(site.body) - 1}/{len(site.body)}"
        length = len(site.body) - begin
        handler.head(206, Content_Length=length, Content_Range=place, **tag)
    else:
        handler.head(200, Content_Length=len(site.body), **tag)
    end = len(site.body) if until is None else begin + until
    handler.wfile.write(site.body[begin:end])
    return None


def cut(count: int) -> Fault:
    return lambda handler: answer(handler, count)


def stall(count: int) -> Fault:
    def fault(handler: Handler) -> None:
        if count:
            answer(handler, count)
        handler.wfile.flush()
        handler.server.is_closing.wait(20)

    return fault


def status(code: int, **headers: str) -> Fault:
    return lambda handler: handler.head(code, Content_Length=0, **headers)


def chunked(handler: Handler) -> None:
    handler.head(200, Transfer_Encoding="chunked")
    body = handler.server.body
    for at in range(0, len(body), 100_000):
        piece = body[at : at + 100_000]
        handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    handler.wfile.write(b"0\r\n\r\n")


def page(handler: Handler) -> None:
    text = b"<html>Welcome to our hotel</html>"
    handler.head(200, Content_Type="text/html; charset=utf-8", Content_Length=len(text))
    handler.wfile.write(text)


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.is_closing.set()
        site.shutdown()
        thread.join()
        site.server_close()
