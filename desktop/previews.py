"""Filmstrips and waveforms: asked of the media child once, kept in memory and on its disk cache."""

from collections import OrderedDict
from fractions import Fraction
from itertools import pairwise

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QImage

from desktop.service import MediaService
from engine.timeline.model import Asset
from engine.timeline.time import ZERO, Time
from engine.worker.messages import Done, Event, Peaks, Refused, Strip, Thumbnail, Waveform

HEIGHT = 92  # pixels of every thumbnail; tracks and tiles scale it down
KEPT = 600  # thumbnails in memory
BATCH = 24  # thumbnails in one ask
BARS = 30  # of a sound on its tile


class Previews(QObject):
    """Gives what is there at once and asks for the rest; `changed` says that more has come."""

    changed = Signal()
    waveform_came = Signal(str)  # asset id

    def __init__(self, service: MediaService, cache: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._service = service
        self._cache = cache
        self._assets: dict[str, Asset] = {}
        self._pictures: OrderedDict[tuple[str, Fraction], QImage] = OrderedDict()
        self._wanted: OrderedDict[tuple[str, Fraction], None] = OrderedDict()
        self._on_the_way: set[tuple[str, Fraction]] = set()
        self._refused: set[str] = set()  # fingerprints that give no pictures
        self._waves: dict[str, Waveform | None] = {}
        self._bars: dict[str, tuple[float, ...]] = {}
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(30)
        self._later.timeout.connect(self._ask)
        self._tell = QTimer(self)
        self._tell.setSingleShot(True)
        self._tell.setInterval(60)
        self._tell.timeout.connect(self.changed)

    def set_assets(self, assets: tuple[Asset, ...]) -> None:
        self._assets = {asset.id: asset for asset in assets}

    def thumbnail(self, asset_id: str, at: Time, height: int = HEIGHT) -> QImage | None:
        """The picture of an asset at `at`, or the nearest there is; None while there is none.

        Times are rounded to a grid that depends on the length, so that zooming reuses pictures.
        """
        asset = self._assets.get(asset_id)
        if asset is None or asset.facts.video is None or asset.fingerprint in self._refused:
            return None
        key = (asset.fingerprint, _gridded(asset, at))
        found = self._pictures.get(key)
        if found is not None:
            self._pictures.move_to_end(key)
            return found
        if key not in self._on_the_way:
            self._wanted[key] = None
            self._wanted.move_to_end(key)
            self._later.start()
        return None

    def waveform(self, asset_id: str) -> Waveform | None:
        """The waveform of an asset, or None until it has come."""
        asset = self._assets.get(asset_id)
        if asset is None or asset.facts.sound is None:
            return None
        if asset.fingerprint not in self._waves:
            self._waves[asset.fingerprint] = None

            def answer(event: Event) -> None:
                if isinstance(event, Waveform):
                    self._waves[asset.fingerprint] = event
                    self.waveform_came.emit(asset_id)
                    self._tell.start()

            self._service.ask(
                lambda number: Peaks(
                    ask=number, path=asset.path, fingerprint=asset.fingerprint, cache=self._cache
                ),
                answer,
            )
        return self._waves[asset.fingerprint]

    def bars(self, asset_id: str) -> tuple[float, ...]:
        """The loudest of each of BARS parts of a sound, 0 to 1; empty until it is known."""
        wave, asset = self.waveform(asset_id), self._assets.get(asset_id)
        if wave is None or asset is None or not wave.data:
            return ()
        if asset.fingerprint not in self._bars:
            peaks = wave.data[::2]
            edges = [len(peaks) * i // BARS for i in range(BARS + 1)]
            self._bars[asset.fingerprint] = tuple(
                max(peaks[a : max(b, a + 1)], default=0) / 255 for a, b in pairwise(edges)
            )
        return self._bars[asset.fingerprint]

    def _ask(self) -> None:
        """Asks for what is wanted, newest wishes first, one file at a time."""
        if self._on_the_way or not self._wanted:
            return
        fingerprint = next(reversed(self._wanted))[0]
        asset = next((one for one in self._assets.values() if one.fingerprint == fingerprint), None)
        keys = [key for key in reversed(self._wanted) if key[0] == fingerprint][:BATCH]
        for key in keys:
            del self._wanted[key]
        if asset is None:
            self._later.start()
            return
        self._on_the_way.update(keys)

        def answer(event: Event) -> None:
            match event:
                case Thumbnail():
                    picture = QImage.fromData(event.jpeg)
                    key = (fingerprint, event.time)
                    if not picture.isNull():
                        self._pictures[key] = picture
                        while len(self._pictures) > KEPT:
                            self._pictures.popitem(last=False)
                        self._tell.start()
                case Done() | Refused():
                    if isinstance(event, Refused):
                        self._refused.add(fingerprint)
                    self._on_the_way.clear()
                    if self._wanted:
                        self._later.start()
                case _:
                    pass

        self._service.ask(
            lambda number: Strip(
                ask=number,
                path=asset.path,
                fingerprint=fingerprint,
                times=tuple(sorted(key[1] for key in keys)),
                height=HEIGHT,
                cache=self._cache,
            ),
            answer,
        )


def _gridded(asset: Asset, at: Time) -> Time:
    """`at` on a grid of quarter seconds, of whole seconds in films of over two minutes."""
    length = asset.facts.duration
    if asset.facts.still or length <= 0:
        return ZERO
    step = Fraction(1, 4) if length <= 120 else Fraction(1) if length <= 1200 else Fraction(5)
    place = (min(max(at, ZERO), length) / step).__floor__() * step
    return place if place < length else max(ZERO, place - step)
