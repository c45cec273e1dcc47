"""The viewer's clock: asks the media child for frames and sound ahead of the playhead."""

from array import array
from collections import deque
from fractions import Fraction

from PySide6.QtCore import QElapsedTimer, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QImage

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
        self._asked: dict[int, tuple[int, int]] = {}  # slot -> serial, tick (0 when still)
        self._free: deque[int] = deque()
        self._arrived: dict[int, tuple[QImage, Time]] = {}  # tick -> picture
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
        if not self._prepare() or not self._free:
            return
        at, self._wanted = self._wanted, None
        self._serial += 1
        slot = self._free.popleft()
        self._asked[slot] = (self._serial, 0)
        self._service.send(
            ShowFrames(
                serial=self._serial,
                times=(at,),
                slots=(slot,),
                width=self._size[0],
                height=self._size[1],
            )
        )

    def _take(self, event: Event) -> None:
        match event:
            case FrameShown():
                self._take_frame(event)
            case FramesDropped(serial=serial, slots=slots):
                for slot in slots:
                    if self._asked.get(slot, (-1, 0))[0] == serial:
                        del self._asked[slot]
                        self._free.append(slot)
                self._go_on()
            case Samples():
                self._take_sound(event)
            case _:
                pass

    def _take_frame(self, event: FrameShown) -> None:
        serial, tick = self._asked.get(event.slot, (-1, 0))
        if serial != event.serial or self._ring is None:
            return  # of a ring that is closed by now
        del self._asked[event.slot]
        picture: QImage | None = None
        if event.serial == self._serial and event.width > 0:
            view = self._ring.view(event.slot)
            picture = QImage(
                view, event.width, event.height, event.stride, QImage.Format.Format_RGB32
            ).copy()
            del view
        self._free.append(event.slot)
        if picture is not None:
            self.problem.emit(event.error)
            self.stale_changed.emit(event.stale)
            if self.is_playing:
                self._arrived[tick] = (picture, event.time)
            else:
                self.frame_ready.emit(picture, event.time)
        self._go_on()

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
        now = (self._clock.elapsed() * self._pace / 1000).__floor__()
        if self._shown_tick < 0 and not self._arrived and now < self._pace:
            self._clock.restart()  # nothing has come yet: the clock waits for the first frame
            return
        due = [tick for tick in self._arrived if tick <= now]
        if due:
            newest = max(due)
            picture, at = self._arrived[newest]
            for tick in due:
                del self._arrived[tick]
            if newest > self._shown_tick:
                self._shown_tick = newest
                self.frame_ready.emit(picture, at)
        frame = self._order.frame(now)
        if frame is None:
            self._end()
            return
        self.moved.emit(time_of(frame, self._pace))
        self._next_tick = max(self._next_tick, now)
        self._ask_ahead()
        self._ask_sound()

    def _end(self) -> None:
        final = self._order.frame(self._shown_tick) if self._order else None
        last = time_of(final, self._pace) if final is not None else ZERO
        self.stop()
        self.moved.emit(last)
        self.show(last)

    def _ask_ahead(self) -> None:
        if self._order is None or self._ring is None:
            return
        times: list[Time] = []
        slots: list[int] = []
        # frames that came and wait for their time count too: they are memory
        while self._free and len(self._asked) + len(self._arrived) < SLOTS * 2:
            frame = self._order.frame(self._next_tick)
            if frame is None:
                break
            slot = self._free.popleft()
            self._asked[slot] = (self._serial, self._next_tick)
            times.append(time_of(frame, self._pace))
            slots.append(slot)
            self._next_tick += 1
        if times:
            self._service.send(
                ShowFrames(
                    serial=self._serial,
                    times=tuple(times),
                    slots=tuple(slots),
                    width=self._size[0],
                    height=self._size[1],
                )
            )

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
        now = (
            (self._clock.elapsed() * self._pace / 1000).__floor__() if self._clock.isValid() else 0
        )
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
        self._asked.clear()
        self._close_ring()
        if self._wanted is not None:
            self._late.start()

    def _close_ring(self) -> None:
        if self._ring is not None:
            self._ring.close()
            self._ring = None
        self._asked.clear()

    def close(self) -> None:
        """Stops and gives the shared memory back."""
        self.stop()
        self._close_ring()
