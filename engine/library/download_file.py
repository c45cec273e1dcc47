"""One file fetched: into a part beside it, going on where it was cut, verified, then renamed."""

import errno
import hashlib
import os
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from io import FileIO
from pathlib import Path
from typing import Protocol
from urllib.error import HTTPError, URLError

import msgspec

from engine.errors import WeightsError
from engine.files import reason, write_whole
from engine.library.download_offer import DownloadError, Offer, check_fits, share
from engine.library.download_stream import POLL_S, Reply, Stalled, Stream, UnsafeRedirect
from engine.library.headers import read_header

PIECE = 1 << 20
MOST_RESTARTS = 3
LATER = (408, 425, 429, 500, 502, 503, 504)  # answers that may be better a little later


class Patience(msgspec.Struct, frozen=True):
    """`tries`: without any progress. `pause_s`: before the second; it doubles each time."""

    stall_s: float = 30.0
    tries: int = 5
    pause_s: float = 1.0


class Meter(Protocol):
    """Where a download says how far it is; every method may raise `Cancelled`."""

    def at(self, stage: str, done_bytes: int, total_bytes: int) -> None: ...

    def came(self, count: int) -> None: ...

    def poll(self) -> None: ...


class _Note(msgspec.Struct, frozen=True):
    """What the server said of the file in the part."""

    url: str = ""
    etag: str = ""
    total_bytes: int = 0
    sha256: str = ""


class _Problem(Exception):
    """`is_passing`: worth another try."""

    def __init__(self, message: str, hint: str = "", *, is_passing: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.is_passing = is_passing


class _Restart(Exception):
    """What is kept is of another file than the server's."""


class _There(Exception):
    """The file asked for is in its place already."""


def fetch(offer: Offer, meter: Meter, patience: Patience) -> Path:
    """The file in its place. Raises DownloadError, and whatever `meter` raises."""
    return _Fetch(offer, meter, patience).run()


class _Fetch:
    def __init__(self, offer: Offer, meter: Meter, patience: Patience) -> None:
        self._offer = offer
        self._meter = meter
        self._patience = patience
        self._name = offer.target.name
        self._note = _Note()
        self._kept = 0
        self._host = ""

    def run(self) -> Path:
        offer = self._offer
        try:
            if offer.source.sha256 and self._is_there(offer.source.sha256, 0):
                self._clear()
                return offer.target
            offer.target.parent.mkdir(parents=True, exist_ok=True)
            with FileIO(offer.part_path, "a+") as file:
                try:
                    self._take_up(file)
                    self._persist(file)
                    _aside(lambda: os.fsync(file.fileno()), self._meter.poll)
                except _There:
                    return offer.target
            self._verify()
            offer.part_path.replace(offer.target)
            offer.note_path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritten(error) from error
        finally:
            with suppress(OSError):
                if offer.part_path.stat().st_size == 0:
                    self._clear()
        return offer.target

    def _take_up(self, file: FileIO) -> None:
        self._kept = os.fstat(file.fileno()).st_size
        with suppress(OSError, msgspec.MsgspecError):
            self._note = msgspec.json.decode(self._offer.note_path.read_bytes(), type=_Note)
        if self._kept > self._note.total_bytes > 0:
            self._restart(file)

    def _restart(self, file: FileIO) -> None:
        file.truncate(0)
        self._kept = 0
        self._note = _Note()

    def _persist(self, file: FileIO) -> None:
        """Tries until all is there."""
        failures = restarts = 0
        best = self._kept
        while not (self._kept and self._kept == self._note.total_bytes):
            try:
                if self._attempt(file):
                    return
                problem = _Problem(f"The connection to {self._host} was cut.", is_passing=True)
            except _Restart:
                restarts += 1
                self._restart(file)
                if restarts > MOST_RESTARTS:
                    said = f"{self._name} changes at {self._host} while it is fetched."
                    raise self._error(_Problem(said)) from None
                continue
            except _Problem as error:
                problem = error
            failures = 1 if self._kept >= best + PIECE else failures + 1
            best = max(best, self._kept)
            if not problem.is_passing or failures >= self._patience.tries:
                raise self._error(problem) from problem.__cause__
            self._rest(self._patience.pause_s * 2 ** (failures - 1))

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._meter.poll()
            time.sleep(min(left, POLL_S))

    def _attempt(self, file: FileIO) -> bool:
        """Whether the file came to its end. Raises _Problem, _Restart, _There, OSError of disk."""
        asked = self._asked()
        stream = Stream(self._offer.url, asked, self._patience.stall_s, self._meter.poll)
        try:
            try:
                reply = stream.reply()
            except (OSError, HTTPException, ValueError) as error:
                raise _unanswered(error, stream.host, self._offer, self._kept) from error
            self._accept(file, reply, stream.host)
            pieces = stream.pieces()
            while True:
                try:
                    piece = next(pieces, b"")
                except (OSError, HTTPException, ValueError) as error:
                    raise _broken(error, stream.host) from error
                if not piece:
                    break
                self._write(file, piece)
            self._host = stream.host
        finally:
            stream.close()
        if self._note.total_bytes and self._kept > self._note.total_bytes:
            raise _Restart
        return self._kept == self._note.total_bytes or not self._note.total_bytes

    def _asked(self) -> dict[str, str]:
        """Headers for the rest, where it can be known that the rest is of the same file."""
        note = self._note
        is_same = bool(note.etag) and note.url == self._offer.url
        if not self._kept or not (is_same or self._offer.source.sha256):
            return {}
        asked = {"Range": f"bytes={self._kept}-"}
        if is_same and not note.etag.startswith("W/"):  # a weak one must not stand there
            asked["If-Range"] = note.etag
        return asked

    def _accept(self, file: FileIO, reply: Reply, host: str) -> None:
        """Makes the part ready for what follows `reply`."""
        if reply.is_page:
            raise _Problem(
                f"{host} sent a web page, not {self._name}.",
                "This network may ask for a sign-in in a browser first.",
            )
        note, known = self._note, self._offer.source.sha256
        if known and reply.sha256 and reply.sha256 != known:
            raise _Problem(
                f"{host} has another {self._name} than the one known.", "Change the mirror."
            )
        if self._offer.target.exists():
            self._check_present(reply, file)
        if reply.start:
            is_changed = note.url == self._offer.url and reply.etag != note.etag
            is_longer = bool(note.total_bytes) and reply.total_bytes != note.total_bytes
            is_other = bool(note.sha256 and reply.sha256) and reply.sha256 != note.sha256
            if reply.start != self._kept or is_changed or is_longer or is_other:
                raise _Restart
        else:
            self._restart(file)
        check_fits(self._offer, max(reply.total_bytes - self._kept, 0))
        self._note = _Note(
            self._offer.url, reply.etag, reply.total_bytes, reply.sha256 or self._note.sha256
        )
        write_whole(self._offer.note_path, msgspec.json.encode(self._note))
        self._meter.at("download", self._kept, self._note.total_bytes)

    def _write(self, file: FileIO, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            count = file.write(rest)
            self._kept += count
            rest = rest[count:]
        self._meter.came(len(piece))
        self._meter.at("download", self._kept, self._note.total_bytes)

    def _check_present(self, reply: Reply, file: FileIO) -> None:
        if not self._offer.source.sha256 and self._is_there(reply.sha256, reply.total_bytes):
            file.truncate(0)
            raise _There

    def _is_there(self, sha256: str, total_bytes: int) -> bool:
        """Whether the target is the file asked for; a damaged one may be replaced.

        Raises DownloadError where it is another file, whole.
        """
        target = self._offer.target
        if not target.exists():
            return False
        if sha256 and self._sha256(target) == sha256:
            return True
        try:
            read_header(target)
        except WeightsError as error:
            if target.is_file() and not isinstance(error.__cause__, OSError):
                return False
        else:
            if not sha256 and target.stat().st_size == total_bytes:
                return True
        raise DownloadError(
            f"{self._name} is there already and is another file.",
            f"Move it away or choose another folder. {self._offer.by_hand}",
        )

    def _verify(self) -> None:
        """Raises DownloadError, and then the part is gone, where it is not what was asked for."""
        sha256 = self._offer.source.sha256 or self._note.sha256
        details = ""
        if sha256:
            found = self._sha256(self._offer.part_path)
            if found != sha256:
                details = f"sha256 is {found}, not {sha256}"
        else:
            try:
                read_header(self._offer.part_path)
            except WeightsError as error:
                if isinstance(error.__cause__, OSError):
                    raise error.__cause__ from None
                details = error.message
        if details:
            self._clear()
            hint = f"Get it again. {self._offer.by_hand}"
            raise DownloadError(f"{self._name} is damaged.", hint, details)

    def _sha256(self, path: Path) -> str:
        digest, done, total = hashlib.sha256(), 0, path.stat().st_size
        with path.open("rb", buffering=0) as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                done += len(piece)
                self._meter.at("verify", done, total)
        return digest.hexdigest()

    def _clear(self) -> None:
        for path in (self._offer.part_path, self._offer.note_path):
            with suppress(OSError):
                path.unlink()

    def _error(self, problem: _Problem) -> DownloadError:
        again = problem.hint or ("Resume." if self._kept else "Try again later.")
        return DownloadError(
            problem.message,
            f"{again} {self._offer.by_hand}",
            f"{self._offer.url}: {problem.__cause__ or problem}",
            self._kept_text,
        )

    def _unwritten(self, error: OSError) -> DownloadError:
        place = self._offer.target.parent
        message, hint = f"Cannot write {self._name}: {reason(error)}.", "Choose another folder."
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            message, hint = "The disk is full.", "Make room and resume, or choose another folder."
        elif error.errno == errno.EFBIG:
            message = f"The disk of {place.name} takes no files this large."
        hint = f"{hint} {self._offer.by_hand}"
        return DownloadError(message, hint, repr(error), self._kept_text)

    @property
    def _kept_text(self) -> str:
        """«4.8 of 14.3 GB are kept.»"""
        total = self._note.total_bytes or self._offer.size_bytes
        return f"{share(self._kept, total)} are kept." if self._kept else ""


def _unanswered(error: Exception, host: str, offer: Offer, kept: int) -> Exception:
    """What it means that `host` gave no answer, or a bad one."""
    name = offer.target.name
    if isinstance(error, HTTPError):
        return _refused(error.code, host, offer, kept)
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _Problem(
            f"The certificate of {host} is not trusted here.",
            "Check the clock and the proxy of this computer.",
        )
    if isinstance(cause, ssl.SSLError):
        return _Problem(f"No secure connection to {host}.", is_passing=True)
    if isinstance(cause, UnsafeRedirect):
        return _Problem(f"{host} would send {name} unprotected.", "Change the mirror.")
    if isinstance(error, ValueError):
        return _Problem(f"{host} is no address to download from.", "Change the mirror.")
    if isinstance(cause, Stalled | TimeoutError):
        return _Problem(f"{host} does not answer.", is_passing=True)
    return _Problem(f"No connection to {host}.", is_passing=True)


def _refused(code: int, host: str, offer: Offer, kept: int) -> Exception:
    name = offer.target.name
    owner = offer.source.repository.partition("/")[0]
    if code == 416 and kept:
        return _Restart()
    if code in (401, 403):
        return _Problem(
            f"{owner} gives {name} only to those who signed in.",
            f"Accept the terms at {offer.source.page} in a browser.",
        )
    if code in (404, 410):
        return _Problem(f"{host} does not have {name}.", "Change the mirror, or look for it.")
    if code == 407:
        return _Problem("The proxy wants a name and a password.", "Change the proxy’s settings.")
    if code == 429:
        return _Problem(f"{host} asks to wait: too many downloads.", is_passing=True)
    if code in LATER:
        return _Problem(f"{host} is out of order at the moment.", is_passing=True)
    if 300 <= code < 400:
        return _Problem(f"{host} sends the download where none can follow.", "Change the mirror.")
    return _Problem(f"{host} refused {name}.", "Change the mirror.")


def _broken(error: Exception, host: str) -> _Problem:
    if isinstance(error, Stalled | TimeoutError):
        return _Problem(f"{host} stopped sending.", is_passing=True)
    return _Problem(f"The connection to {host} was cut.", is_passing=True)


def _aside(work: Callable[[], None], poll: Callable[[], None]) -> None:
    """Runs `work` in a thread, so that `poll` can end the waiting for it."""
    errors: list[OSError] = []

    def run() -> None:
        try:
            work()
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_S)
        poll()
    if errors:
        raise errors[0]
