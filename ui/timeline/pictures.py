"""What fills a clip: thumbnails along its source, and the waveform as cached tiles."""

from collections import OrderedDict
from fractions import Fraction
from math import ceil, floor

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter

from engine.timeline.model import Asset, Clip
from engine.timeline.time import ZERO
from ui import theme
from ui.timeline.geometry import thumbnail_step
from ui.timeline.states import Thumbnails, Waveform

TILE = 256  # device pixels of a waveform kept as one picture
TILES = 400
PICTURES = 600  # scaled ones that are kept
COARSE = 16  # pairs of the file to one of the coarse level


def thumbnail_width(asset: Asset, height: float, dpr: float) -> float:
    """Width of one picture of the filmstrip, on whole device pixels."""
    facts = asset.facts.video
    aspect = facts.width / facts.height if facts is not None and facts.height else 16 / 9
    return max(8.0, round(height * min(4.0, max(0.25, aspect)) * dpr) / dpr)


def thumbnail_time(slot: int, seconds: float, clip: Clip, is_still: bool) -> Fraction:
    """The source time shown in `slot`, each slot being `seconds` long: on a coarse grid.

    Slots count from the source's zero, so that trimming a head uncovers pictures and moves none.
    """
    if is_still:
        return ZERO
    step = thumbnail_step(seconds)
    length, start = float(step), float(clip.source.start)
    number = floor(slot * seconds / length)
    if number * length < start:
        number = ceil(start / length)
    inside = number * length < start + float(clip.source.duration)
    return number * step if inside else clip.source.start


def paint_filmstrip(
    painter: QPainter,
    clip: Clip,
    asset: Asset,
    area: QRectF,
    exposed: tuple[float, float],
    px_per_second: float,
    dpr: float,
    thumbnails: Thumbnails,
    most: int = 10_000,
) -> None:
    """The pictures of `clip` that are there, `most` at most; `exposed`: x from, to.

    `painter` is clipped to `area`.
    """
    width = thumbnail_width(asset, area.height(), dpr)
    seconds = width / px_per_second
    origin = area.left() - float(clip.source.start) * px_per_second
    left, right = max(area.left(), exposed[0]), min(area.right(), exposed[1])
    if right <= left:
        return
    first = floor((left - origin) / width + 1e-6)
    last = ceil((right - origin) / width - 1e-6)
    height = round(area.height() * dpr)
    for slot in range(first, min(last, first + most)):
        at = thumbnail_time(slot, seconds, clip, asset.facts.still)
        picture = thumbnails(asset.id, at, height)
        if picture is None or picture.isNull():
            continue
        x = round((origin + slot * width) * dpr) / dpr
        # the next slot may begin a device pixel earlier or later; no seam between them
        end = round((origin + (slot + 1) * width) * dpr) / dpr
        fitted = _fitted(picture, round((end - x) * dpr), height)
        painter.drawImage(QRectF(x, area.top(), end - x, area.height()), fitted)


_scaled: OrderedDict[tuple[int, int, int], QImage] = OrderedDict()  # by picture and size


def _fitted(picture: QImage, width: int, height: int) -> QImage:
    """The picture in device pixels, scaled once: scaling at each painting would be felt."""
    if picture.width() == width and picture.height() == height:
        return picture
    key = (picture.cacheKey(), width, height)
    known = _scaled.get(key)
    if known is None:
        known = _scaled[key] = picture.scaled(
            width,
            height,
            Qt.AspectRatioMode.IgnoreAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        while len(_scaled) > PICTURES:
            _scaled.popitem(last=False)
    else:
        _scaled.move_to_end(key)
    return known


class Waves:
    """Waveforms as pictures, a tile at a time, kept while the zoom and theme stay."""

    def __init__(self) -> None:
        self._tiles: OrderedDict[tuple[object, ...], tuple[Waveform, QImage]] = OrderedDict()
        self._coarse: dict[str, tuple[Waveform, bytes]] = {}

    def paint(
        self,
        painter: QPainter,
        clip: Clip,
        wave: Waveform,
        area: QRectF,
        exposed: tuple[float, float],
        px_per_second: float,
        dpr: float,
        tokens: tuple[str, str] = ("wave_peak", "wave_rms"),
    ) -> None:
        """Peaks and loudness mirrored about the middle of `area`, one column a device pixel."""
        density = px_per_second * dpr
        height = round(area.height() * dpr)
        origin = round(area.left() * dpr) - round(float(clip.source.start) * density)
        left = round(max(area.left(), exposed[0]) * dpr)
        right = round(min(area.right(), exposed[1]) * dpr)
        gain = 10 ** (max(-60.0, clip.sound.gain_db) / 20)
        if clip.sound.gain_db <= -60:
            gain = 0.0
        for number in range((left - origin) // TILE, ceil((right - origin) / TILE)):
            tile = self._tile(clip.asset, wave, number, density, height, gain, tokens)
            x = (origin + number * TILE) / dpr
            painter.drawImage(QRectF(x, area.top(), TILE / dpr, height / dpr), tile)

    def _tile(
        self,
        asset: str,
        wave: Waveform,
        number: int,
        density: float,
        height: int,
        gain: float,
        tokens: tuple[str, str],
    ) -> QImage:
        key = (asset, number, density, height, gain, tokens, theme.name())
        known = self._tiles.get(key)
        if known is not None and known[0] is wave:
            self._tiles.move_to_end(key)
            return known[1]
        tile = QImage(TILE, height, QImage.Format.Format_ARGB32_Premultiplied)
        tile.fill(0)
        columns = self._columns(asset, wave, number * TILE, density)
        painter = QPainter(tile)
        middle = height / 2
        for part, token in enumerate(tokens):
            bars = []
            for x, pair in enumerate(columns):
                half = min(255.0, pair[part] * gain) / 255 * (middle - 1)
                if half >= 0.25:
                    bars.append(QRectF(x, middle - half, 1, 2 * half))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(token))
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.drawRects(bars)
        painter.end()
        self._tiles[key] = (wave, tile)
        while len(self._tiles) > TILES:
            self._tiles.popitem(last=False)
        return tile

    def _columns(
        self, asset: str, wave: Waveform, first: int, density: float
    ) -> list[tuple[float, float]]:
        """(peak, rms) of the device pixels from `first`, each 0 to 255."""
        data = wave.data
        pairs = wave.per_second / density  # to a pixel
        if pairs >= 2 * COARSE:
            data, pairs = self._coarse_level(asset, wave), pairs / COARSE
        count = len(data) // 2
        made: list[tuple[float, float]] = []
        for column in range(first, first + TILE):
            start = column * pairs
            a, b = floor(start), max(floor(start) + 1, floor(start + pairs))
            if a < 0 or a >= count:
                made.append((0, 0))
            elif pairs < 1 and a + 1 < count:
                part = start - a
                made.append(
                    (
                        data[2 * a] * (1 - part) + data[2 * a + 2] * part,
                        data[2 * a + 1] * (1 - part) + data[2 * a + 3] * part,
                    )
                )
            else:
                b = min(b, count)
                loud = data[2 * a + 1 : 2 * b : 2]
                made.append((max(data[2 * a : 2 * b : 2]), sum(loud) / len(loud)))
        return made

    def _coarse_level(self, asset: str, wave: Waveform) -> bytes:
        known = self._coarse.get(asset)
        if known is not None and known[0] is wave:
            return known[1]
        data = wave.data
        made = bytearray()
        for start in range(0, len(data), 2 * COARSE):
            loud = data[start + 1 : start + 2 * COARSE : 2]
            made.append(max(data[start : start + 2 * COARSE : 2]))
            made.append(sum(loud) // max(1, len(loud)))
        self._coarse[asset] = (wave, bytes(made))
        return bytes(made)
