"""Frames and sound for the viewer, each on a thread of its own: decoding frees the interpreter."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from engine.errors import WorkerError
from engine.render.compositor import Compositor
from engine.render.mixer import Mixer
from engine.worker.faults import Fault, attempt
from engine.worker.frames import FrameRing
from engine.worker.messages import (
    Event,
    FramesDropped,
    FrameShown,
    OpenRing,
    Samples,
    Show,
    ShowFrames,
    ShowSound,
)

SOUND_RATE = 48_000
_LONGEST_SOUND = 60 * SOUND_RATE  # samples in one answer

Send: TypeAlias = Callable[[Event], None]


class FrameTask:
    """Puts frames of the shown sequence into the ring; the newest ask counts."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._changed = threading.Condition()
        self._orders: deque[Show | ShowFrames | OpenRing] = deque()
        self._newest = 0  # serial
        self._thread: threading.Thread | None = None
        self._idle = threading.Event()
        self._idle.set()
        # of the thread
        self._ring: FrameRing | None = None
        self._compositor: Compositor | None = None
        self._cache = ""
        self._fault = ""  # why there is no compositor

    def put(self, order: Show | ShowFrames | OpenRing) -> None:
        """Takes an order; all are done in turn, but a newer Show or ShowFrames replaces older."""
        with self._changed:
            if isinstance(order, Show):
                self._orders = deque(one for one in self._orders if not isinstance(one, Show))
            if isinstance(order, ShowFrames):
                self._newest = max(self._newest, order.serial)
            self._orders.append(order)
            self._idle.clear()
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="frames", daemon=True)
                self._thread.start()

    def wait_idle(self, seconds: float) -> None:
        """Returns when no frame is wanted, or after `seconds`."""
        self._idle.wait(seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._orders:
                    self._idle.set()
                    self._changed.wait()
                order = self._orders.popleft()
            match order:
                case Show():
                    self._show(order)
                case OpenRing():
                    self._open(order)
                case ShowFrames():
                    self._frames(order)

    def _show(self, order: Show) -> None:
        if self._compositor is not None and self._cache == order.cache:
            compositor = self._compositor
            outcome = attempt(lambda: compositor.replace(order.project, order.sequence))
        else:
            if self._compositor is not None:
                self._compositor.close()
                self._compositor = None
            made = attempt(lambda: Compositor(order.project, order.sequence, Path(order.cache)))
            outcome = made if isinstance(made, Fault) else None
            if not isinstance(made, Fault):
                self._compositor, self._cache = made, order.cache
        self._fault = ""
        if isinstance(outcome, Fault):
            self._fault = outcome.message
            logging.warning("the project cannot be shown: %s", outcome.details)

    def _open(self, order: OpenRing) -> None:
        if self._ring is not None:
            self._ring.close()
            self._ring = None
        ring = attempt(lambda: FrameRing.attach(order))
        if isinstance(ring, Fault):
            logging.warning("%s %s", ring.message, ring.details)
        else:
            self._ring = ring

    def _frames(self, order: ShowFrames) -> None:
        wanted, rest = _in_turn(order)
        while wanted and order.serial >= self._newest:
            at, slot, is_bare = wanted.popleft()
            outcome = attempt(partial(self._frame, order, at, slot, is_bare))
            if isinstance(outcome, Fault):
                logging.warning("frame at %s: %s", at, outcome.details)
                self._send(
                    FrameShown(
                        serial=order.serial,
                        time=at,
                        slot=slot,
                        width=0,
                        height=0,
                        stride=0,
                        error=outcome.message,
                    )
                )
        rest += tuple(slot for _, slot, _ in wanted)
        if rest:
            self._send(FramesDropped(serial=order.serial, slots=rest))

    def _frame(self, order: ShowFrames, at: Fraction, slot: int, is_bare: bool) -> None:
        if self._ring is None or self._compositor is None or self._fault:
            raise WorkerError(self._fault or "There is nothing to show yet.")
        width, height = order.width, order.height
        if width < 1 or height < 1 or width * height * 4 > self._ring.slot_bytes:
            raise WorkerError(f"A frame of {width} × {height} does not fit the viewer's memory.")
        pixels, stale, error = self._compositor.picture(at, width, height, is_bare)
        target = np.frombuffer(self._ring.view(slot), np.uint8, width * height * 4)
        target.reshape(height, width, 4)[...] = pixels
        self._send(
            FrameShown(
                serial=order.serial,
                time=at,
                slot=slot,
                width=width,
                height=height,
                stride=width * 4,
                stale=stale,
                error=error,
            )
        )


def _in_turn(order: ShowFrames) -> tuple[deque[tuple[Fraction, int, bool]], tuple[int, ...]]:
    """(time, slot, without effects) in the order they are made; slots for which there is no time.

    Both pictures of a moment come one after the other, so that a pair waits for no other one.
    """
    wanted: deque[tuple[Fraction, int, bool]] = deque()
    for place, at in enumerate(order.times):
        wanted += [(at, slot, order.bypass_effects) for slot in order.slots[place : place + 1]]
        wanted += [(at, slot, True) for slot in order.before_slots[place : place + 1]]
    count = len(order.times)
    return wanted, order.slots[count:] + order.before_slots[count:]


class SoundTask:
    """Mixes sound of the shown sequence ahead of the playhead."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._changed = threading.Condition()
        self._show: Show | None = None
        self._asks: deque[ShowSound] = deque()
        self._thread: threading.Thread | None = None
        self._mixer: Mixer | None = None

    def put(self, order: Show | ShowSound) -> None:
        """Takes an order; a newer serial drops the asks of older ones."""
        with self._changed:
            if isinstance(order, Show):
                self._show = order
                return  # mixed with at the next ask
            self._asks = deque(one for one in self._asks if one.serial >= order.serial)
            self._asks.append(order)
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sound", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._asks:
                    self._changed.wait()
                ask = self._asks.popleft()
                show, self._show = self._show, None
            outcome = attempt(partial(self._mixed, ask, show))
            error, data = "", b""
            if isinstance(outcome, Fault):
                logging.warning("sound at %s: %s", ask.start, outcome.details)
                error = outcome.message
            else:
                data = outcome
            self._send(Samples(serial=ask.serial, start=ask.start, data=data, error=error))

    def _mixed(self, ask: ShowSound, show: Show | None) -> bytes:
        if show is not None:
            if self._mixer is None:
                self._mixer = Mixer(show.project, show.sequence)
            else:
                self._mixer.replace(show.project, show.sequence)
        if self._mixer is None:
            raise WorkerError("There is nothing to play yet.")
        start = round(ask.start * SOUND_RATE)
        count = round((ask.start + ask.seconds) * SOUND_RATE) - start
        if not 0 < count <= _LONGEST_SOUND:
            raise WorkerError(f"{float(ask.seconds):g} s of sound cannot be played at once.")
        return np.ascontiguousarray(self._mixer.samples(start, count), np.float32).tobytes()
