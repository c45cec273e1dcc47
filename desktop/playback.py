"""The viewer's clock: asks the media child for frames and sound ahead of the playhead."""

from array import array
from collections import deque
from fractions import Fraction

from PySide6.QtCore import QElapsedTimer, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QImage

from desktop.arrivals import Arrivals, Asked, Shown
from desktop.order import Order
from desktop.service import MediaService
from desktop.sound import FRAME_BYTES, RATE, SoundOutput
from engine.timeline.model import Project, Sequence
from engine.timeline.time import ZERO, Time, frame_at, time_of
from engine.worker.frames import FrameRing
from engine.worker.messages import (
    Event,
    FramesDropped,
    FrameShown,
    Samples,
    Show,
    ShowFrames,
    ShowSound,
)

SLOTS = 6
BLOCK = Fraction(1, 5)  # seconds of sound asked for at a time
SOUND_AHEAD = 3  # blocks


class Playback(QObject):
    """Shows frames at the playhead and plays; the clock is the window's, never the child's."""

    frame_ready = Signal(QImage, object)  # the picture and its Time
    pair_ready = Signal(QImage, QImage, object)  # that with the same one without effects; its Time
    moved = Signal(object)  # Time, while playing
    playing_changed = Signal(bool)
    stale_changed = Signal(bool)  # the shown frame stands for a baked effect that is not there
    problem = Signal(str)  # what could not be decoded, "" when all is well again

    def __init__(self, service: MediaService, cache: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._service = service
        self._cache = cache
        self._ring: FrameRing | None = None
        self._size = (640, 360)
        self._project: Project | None = None
        self._sequence: Sequence | None = None
        self._shown_project: Project | None = None
        self._serial = 0
        self._wanted: Time | None = None  # a frame to show that could not be asked for yet
        self._asked: dict[int, Asked] = {}  # by slot
        self._free: deque[int] = deque()
        self._halves = Arrivals()
        self._arrived: dict[int, Shown] = {}  # by tick
        self._is_comparing = False
        self._order: Order | None = None
        self._next_tick = 0
        self._shown_tick = -1
        self._speed = 0
        self._pace = Fraction(25)
        self.loop = False
        self.ping_pong = False
        self._clock = QElapsedTimer()
        self._ticker = QTimer(self)
        self._ticker.setTimerType(Qt.TimerType.PreciseTimer)
        self._ticker.timeout.connect(self._tick)
        self._late = QTimer(self)
        self._late.setSingleShot(True)
        self._late.setInterval(0)
        self._late.timeout.connect(self._ask_still)
        self._sound: SoundOutput | None = None
        self._has_sound = False
        self._volume = 1.0
        self._next_sound_tick = 0
        self._sound_waits: deque[tuple[int, int, int]] = (
            deque()
        )  # block start, count, -1 = backward
        service.arrived.connect(self._take)
        service.restarted.connect(self._renew)

    # What is shown

    def set_project(self, project: Project, sequence: Sequence) -> None:
        """The project to show from now on; ask for the picture at the playhead by `show`."""
        self._project, self._sequence = project, sequence
        if self._service.pid:
            self._tell_project()

    def set_size(self, width: int, height: int) -> None:
        """The size of frames to ask for, in device pixels."""
        size = (max(16, width), max(16, height))
        if size != self._size:
            self._size = size
            if self._ring is not None and self._ring.slot_bytes < size[0] * size[1] * 4:
                self._close_ring()
                if self.is_playing and self._prepare():
                    self._ask_ahead()

    def set_comparing(self, on: bool) -> None:
        """Whether each frame comes as a pair, with the same one without effects; stops playing."""
        if on != self._is_comparing:
            self.stop()
            self._is_comparing = on
            self._serial += 1  # what is on its way was asked for otherwise

    def show(self, at: Time) -> None:
        """Shows the frame at `at`; while one is on its way, only the newest wish is kept."""
        if self.is_playing:
            return
        self._wanted = at
        self._late.start()

    @property
    def is_playing(self) -> bool:
        return self._speed != 0

    @property
    def speed(self) -> int:
        """1 plays, 2, 4, 8 are faster, negative ones go back, 0 stands."""
        return self._speed

    def _prepare(self) -> bool:
        """Makes the ring and tells the child of the project; False where there is nothing."""
        if self._project is None or self._sequence is None:
            return False
        if self._ring is None:
            room = max(self._size[0] * self._size[1], 960 * 540) * 4
            self._ring = FrameRing.create(SLOTS, room)
            self._free = deque(range(SLOTS))
            self._asked.clear()
            self._service.send(self._ring.opening())
        self._tell_project()
        return True

    def _tell_project(self) -> None:
        if self._project is None or self._sequence is None:
            return
        if self._shown_project is not self._project:
            self._shown_project = self._project
            self._service.send(
                Show(project=self._project, sequence=self._sequence.id, cache=self._cache)
            )

    def _ask_still(self) -> None:
        if self._wanted is None or self.is_playing:
            return
        if self._asked:  # one is on its way; its arrival asks again
            return
        if not self._prepare() or len(self._free) < 1 + self._is_comparing:
            return
        at, self._wanted = self._wanted, None
        self._serial += 1
        self._halves.clear()
        self._ask([(0, at)])

    def _ask(self, wanted: list[tuple[int, Time]]) -> None:
        """Asks for (tick, time); while comparing for both pictures of each. Slots must be free."""
        slots, before = [], []
        for tick, at in wanted:
            slots.append(self._free.popleft())
            self._asked[slots[-1]] = Asked(self._serial, tick, at)
            if self._is_comparing:
                before.append(self._free.popleft())
                self._asked[before[-1]] = Asked(self._serial, tick, at, is_before=True)
        self._service.send(
            ShowFrames(
                serial=self._serial,
                times=tuple(at for _, at in wanted),
                slots=tuple(slots),
                width=self._size[0],
                height=self._size[1],
                before_slots=tuple(before),
            )
        )

    def _take(self, event: Event) -> None:
        match event:
            case FrameShown():
                self._take_frame(event)
            case FramesDropped(serial=serial, slots=slots):
                for slot in slots:
                    asked = self._asked.get(slot)
                    if asked is not None and asked.serial == serial:
                        del self._asked[slot]
                        self._free.append(slot)
                        if serial == self._serial:
                            self._halves.forget(asked.tick)
                self._go_on()
            case Samples():
                self._take_sound(event)
            case _:
                pass

    def _take_frame(self, event: FrameShown) -> None:
        asked = self._asked.get(event.slot)
        if asked is None or (asked.serial, asked.at) != (event.serial, event.time):
            return  # of a ring that is closed by now
        if self._ring is None:
            return
        del self._asked[event.slot]
        came: Shown | None = None
        if event.serial == self._serial and event.width > 0:
            view = self._ring.view(event.slot)
            picture = QImage(
                view, event.width, event.height, event.stride, QImage.Format.Format_RGB32
            ).copy()
            del view
            came = Shown(picture, event.time, event.stale, event.error)
        self._free.append(event.slot)
        if came is not None and self._is_comparing:
            came = self._halves.add(asked, came)
        if came is not None and self.is_playing:
            self._arrived[asked.tick] = came
        elif came is not None:
            self._tell(came)
        self._go_on()

    def _tell(self, shown: Shown) -> None:
        self.problem.emit(shown.problem)
        self.stale_changed.emit(shown.is_stale)
        self.frame_ready.emit(shown.picture, shown.at)
        if shown.before is not None:
            self.pair_ready.emit(shown.picture, shown.before, shown.at)

    def _go_on(self) -> None:
        """Uses the slots that have become free."""
        if self.is_playing:
            self._ask_ahead()
        elif self._wanted is not None:
            self._ask_still()

    # Playing

    def play(self, start: Time, speed: int = 1) -> None:
        """Plays from `start`; in to out when the sequence has them and the start lies inside."""
        if self._sequence is None or self._sequence.duration == 0 or speed == 0:
            return
        self.stop()
        sequence = self._sequence
        rate = sequence.rate
        last = max(0, -((-sequence.duration * rate).__floor__()) - 1)
        first, begin = 0, frame_at(start, rate)
        area = sequence.work_area
        if area is not None and (self.loop or self.ping_pong or area.contains(start)):
            first = frame_at(area.start, rate)
            last = max(first, min(last, frame_at(area.end, rate) - 1))
        if begin >= last and speed > 0 and not self.loop:
            begin = first
        self._order = Order(first, last, begin, speed, self.loop, self.ping_pong)
        if not self._prepare():
            return
        self._pace = rate
        self._speed = speed
        self._serial += 1
        self._halves.clear()
        self._arrived.clear()
        self._next_tick, self._shown_tick = 0, -1
        self._next_sound_tick = 0
        self._sound_waits.clear()
        self._has_sound = speed == 1 and self._open_sound()
        self._ask_ahead()
        self._ask_sound()
        self._clock.start()
        self._ticker.start(max(5, round(500 / float(rate))))
        self.playing_changed.emit(True)

    def stop(self) -> None:
        """Stands still."""
        if not self.is_playing:
            return
        self._speed = 0
        self._ticker.stop()
        self._halves.clear()
        self._arrived.clear()
        self._order = None
        if self._sound is not None:
            self._sound.stop()
        self.playing_changed.emit(False)

    def set_volume(self, volume: float) -> None:
        """Linear, 0 to 1."""
        self._volume = volume
        if self._sound is not None:
            self._sound.set_volume(volume)

    def _tick(self) -> None:
        if self._order is None:
            return
        now = self._now()
        if self._shown_tick < 0 and not self._arrived and now < self._pace:
            self._clock.restart()  # nothing has come yet: the clock waits for the first frame
            return
        due = [tick for tick in self._arrived if tick <= now]
        if due:
            newest = max(due)
            shown = self._arrived[newest]
            for tick in due:
                del self._arrived[tick]
            if newest > self._shown_tick:
                self._shown_tick = newest
                self._tell(shown)
        frame = self._order.frame(now)
        if frame is None:
            self._end()
            return
        self.moved.emit(time_of(frame, self._pace))
        self._next_tick = max(self._next_tick, now)
        self._ask_ahead()
        self._ask_sound()

    def _now(self) -> int:
        """The tick of the clock."""
        return (self._clock.elapsed() * self._pace / 1000).__floor__()

    def _end(self) -> None:
        final = self._order.frame(self._shown_tick) if self._order else None
        last = time_of(final, self._pace) if final is not None else ZERO
        self.stop()
        self.moved.emit(last)
        self.show(last)

    def _ask_ahead(self) -> None:
        if self._order is None or self._ring is None:
            return
        wanted: list[tuple[int, Time]] = []
        each = 1 + self._is_comparing  # slots
        # frames that came and wait for their time count too: they are memory
        kept = len(self._asked) + len(self._halves) + len(self._arrived) * each
        while (len(wanted) + 1) * each <= min(len(self._free), SLOTS * 2 - kept):
            frame = self._order.frame(self._next_tick)
            if frame is None:
                break
            wanted.append((self._next_tick, time_of(frame, self._pace)))
            self._next_tick += 1
        if wanted:
            self._ask(wanted)

    # Sound

    def _open_sound(self) -> bool:
        if self._sound is None:
            self._sound = SoundOutput(self)
            self._sound.set_volume(self._volume)
        return self._sound.start()

    def _ask_sound(self) -> None:
        """Asks for blocks of sound until enough is ahead; a block never crosses a turn."""
        if not self._has_sound or self._order is None:
            return
        now = self._now() if self._clock.isValid() else 0
        per_block = max(1, round(BLOCK * self._pace))
        while (
            len(self._sound_waits) < SOUND_AHEAD
            and self._next_sound_tick < now + per_block * SOUND_AHEAD
        ):
            first = self._order.frame(self._next_sound_tick)
            if first is None:
                return
            backward = self._order.is_backward(self._next_sound_tick)
            count = 1
            while count < per_block and not self._order.at_turn(self._next_sound_tick + count - 1):
                if self._order.is_backward(self._next_sound_tick + count) != backward:
                    break
                count += 1
            self._next_sound_tick += count
            low = first - count + 1 if backward else first
            self._sound_waits.append((low, count, -1 if backward else 1))
            self._service.send(
                ShowSound(
                    serial=self._serial,
                    start=time_of(low, self._pace),
                    seconds=time_of(count, self._pace),
                )
            )

    def _take_sound(self, event: Samples) -> None:
        if event.serial != self._serial or not self._sound_waits or self._sound is None:
            return
        _, count, way = self._sound_waits.popleft()
        data = event.data
        if way < 0:
            pairs = array("Q", data)  # a left and a right sample in one item
            pairs.reverse()
            data = pairs.tobytes()
        wanted = round(count * RATE / self._pace) * FRAME_BYTES
        self._sound.feed(data[:wanted])
        self._ask_sound()

    # The child's life

    def _renew(self) -> None:
        """A new child: it gets the ring and the project again."""
        self.stop()
        self._shown_project = None
        self._close_ring()
        if self._wanted is not None:
            self._late.start()

    def _close_ring(self) -> None:
        if self._ring is not None:
            self._ring.close()
            self._ring = None
        self._asked.clear()
        self._halves.clear()

    def close(self) -> None:
        """Stops and gives the shared memory back."""
        self.stop()
        self._close_ring()
