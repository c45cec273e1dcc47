"""Paints one clip: fill, filmstrip or waveform, name strip, badge, fades, states, edge."""

from dataclasses import dataclass
from functools import lru_cache

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QImage,
    QPainter,
    QPainterPath,
    QPen,
    QPixmap,
    QPolygonF,
)

from engine.timeline.model import Asset, Clip, TrackKind
from ui import theme
from ui.timeline.geometry import Row, badge_form
from ui.timeline.ghosts import Ghost
from ui.timeline.labels import elided, paint_badge, text_width
from ui.timeline.pictures import Waves, paint_filmstrip
from ui.timeline.states import (
    FAILED,
    ClipState,
    Thumbnails,
    Waveforms,
)

RADIUS = 4
GHOSTLY = 0.6  # how much shows of the pictures of clips that are not there yet


@dataclass(frozen=True, slots=True)
class Showing:
    """How a clip is to be shown beside what it is. `strength`: 1, or how much of it shows."""

    strength: float = 1.0
    locked: bool = False
    missing: bool = False
    hovered: bool = False
    handles: bool = False  # fade handles, also where there is no fade
    ghost: bool = False
    ground: str = "track"


@lru_cache(maxsize=16)
def _corners(theme_name: str, ground: str, dpr: float) -> tuple[QPixmap, ...]:
    """What lies outside a rounded corner, in the colour of the track: four stamps."""
    size = round(RADIUS * dpr)
    image = QImage(size * 2, size * 2, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(theme.colour(ground))
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_DestinationOut)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(0, 0, 0))
    painter.drawEllipse(QRectF(0, 0, size * 2, size * 2))
    painter.end()
    stamps = []
    for x, y in ((0, 0), (size, 0), (0, size), (size, size)):
        stamp = QPixmap.fromImage(image.copy(x, y, size, size))
        stamp.setDevicePixelRatio(dpr)
        stamps.append(stamp)
    return tuple(stamps)


class ClipPainter:
    """Knows where pictures and waveforms come from; `painted` counts clips, for tests."""

    def __init__(self) -> None:
        self.thumbnails: Thumbnails = lambda asset, at, height: None
        self.waveforms: Waveforms = lambda asset: None
        self.waves = Waves()
        self.painted = 0

    def paint(
        self,
        painter: QPainter,
        clip: Clip,
        asset: Asset | None,
        row: Row,
        box: QRectF,
        exposed: tuple[float, float],
        px_per_second: float,
        state: ClipState,
        showing: Showing,
    ) -> None:
        """`box`: the clip on screen, on whole device pixels; `exposed`: x from, to."""
        if box.width() < 16 and not showing.ghost:
            self.paint_small(
                painter, row, [(box, showing.missing, showing.strength)], showing.ground
            )
            return
        self.painted += 1
        dpr = painter.device().devicePixelRatio()
        kind = "v" if row.kind is TrackKind.VIDEO else "a"
        if showing.ghost:
            self._paint_dropping(painter, clip, asset, row, box, exposed, px_per_second)
            return
        strip = float(row.strip) if box.height() > row.strip + 8 else 0.0
        body = box.adjusted(0, strip, 0, 0)
        painter.fillRect(box, theme.colour("error_tint" if showing.missing else f"clip_{kind}"))
        if showing.missing:
            self._paint_missing(painter, body)
        elif asset is not None:
            self._fill(painter, clip, asset, row, body, exposed, px_per_second, dpr)
        if strip:
            self._paint_strip(painter, clip, asset, row, box, strip, kind, state, showing)
        if row.kind is TrackKind.AUDIO and box.width() >= 32:
            paint_fades(painter, clip, body, px_per_second, showing.handles)
        if state.name == FAILED and not showing.missing:
            failed = theme.hatch("error", 3, 8, scale=dpr)
            painter.setOpacity(0.5)
            for start, end in _failed_spans(clip, state, box, px_per_second):
                painter.fillRect(QRectF(start, body.top(), end - start, body.height()), failed)
            painter.setOpacity(1.0)
            for start, end in _failed_spans(clip, state, box, px_per_second):
                if end - start >= 24:
                    middle = QPointF(round((start + end) / 2) - 8, round(body.center().y()) - 8)
                    painter.drawPixmap(middle, theme.pixmap("warning", "text", 16, dpr))
        if showing.locked:
            painter.setOpacity(0.55)
            painter.fillRect(body, theme.hatch("text3", 1.5, 6, scale=dpr))
            painter.setOpacity(1.0)
        if showing.strength < 1:
            painter.fillRect(box, theme.mixed(showing.ground, 1 - showing.strength))
        self._round(painter, box, showing, dpr)

    def _fill(
        self,
        painter: QPainter,
        clip: Clip,
        asset: Asset,
        row: Row,
        body: QRectF,
        exposed: tuple[float, float],
        px_per_second: float,
        dpr: float,
    ) -> None:
        if body.height() < 8:
            return
        if row.kind is TrackKind.VIDEO:
            painter.save()
            painter.setClipRect(body, Qt.ClipOperation.IntersectClip)
            paint_filmstrip(
                painter, clip, asset, body, exposed, px_per_second, dpr, self.thumbnails
            )
            painter.restore()
            return
        wave = self.waveforms(clip.asset)
        if wave is not None:
            painter.save()
            painter.setClipRect(body, Qt.ClipOperation.IntersectClip)
            self.waves.paint(painter, clip, wave, body, exposed, px_per_second, dpr)
            painter.restore()

    def _paint_strip(
        self,
        painter: QPainter,
        clip: Clip,
        asset: Asset | None,
        row: Row,
        box: QRectF,
        strip: float,
        kind: str,
        state: ClipState,
        showing: Showing,
    ) -> None:
        head = QRectF(box.left(), box.top(), box.width(), strip)
        if not showing.missing:
            painter.fillRect(head, theme.colour(f"clip_{kind}_head"))
            line = QRectF(box.left(), box.top() + strip - 1, box.width(), 1)
            painter.fillRect(line, theme.mixed("clip_edge", 0.5))
        right = box.right() - 4
        if state.badge or state.icon:
            right = paint_badge(painter, head, state, badge_form(box.width()))
        if showing.locked and box.width() >= 32:
            scale = painter.device().devicePixelRatio()
            right -= 12
            spot = QPointF(right - 2, head.top() + (strip - 12) / 2)
            painter.drawPixmap(spot, theme.pixmap("lock", f"clip_{kind}_text", 12, scale))
        room = int(right - 8 - (box.left() + 8))
        if box.width() < 32 or room < 8:
            return
        name = clip.name or (asset.name if asset is not None else "")
        painter.setFont(theme.font("small", 500))
        painter.setPen(theme.colour("error" if showing.missing else f"clip_{kind}_text"))
        where = QRectF(box.left() + 8, head.top(), room + 2, strip)
        shown = elided(name, "small", 500, room)
        painter.drawText(where, Qt.AlignmentFlag.AlignVCenter, shown)
        taken = text_width(shown, "small", 500) + 6
        if clip.link is not None and taken + 12 <= room:
            scale = painter.device().devicePixelRatio()
            spot = QPointF(round(box.left() + 8 + taken), head.top() + (strip - 12) // 2)
            painter.drawPixmap(spot, theme.pixmap("link", f"clip_{kind}_text", 12, scale))

    def _paint_missing(self, painter: QPainter, body: QRectF) -> None:
        scale = painter.device().devicePixelRatio()
        painter.setOpacity(0.25)
        painter.fillRect(body, theme.hatch("error", 3, 8, scale=scale))
        painter.setOpacity(1.0)
        if body.width() >= 24 and body.height() >= 20:
            spot = QPointF(round(body.center().x()) - 8, round(body.center().y()) - 8)
            painter.drawPixmap(spot, theme.pixmap("error", "error", 16, scale))

    def _paint_dropping(
        self,
        painter: QPainter,
        clip: Clip,
        asset: Asset | None,
        row: Row,
        box: QRectF,
        exposed: tuple[float, float],
        px_per_second: float,
    ) -> None:
        """A clip that is not there yet, since it is still dragged."""
        dpr = painter.device().devicePixelRatio()
        painter.fillRect(box, theme.colour("accent_tint"))
        body = box.adjusted(0, row.strip, 0, 0)
        painter.save()
        painter.setClipRect(body, Qt.ClipOperation.IntersectClip)
        if asset is not None and row.kind is TrackKind.VIDEO:
            painter.setOpacity(GHOSTLY)
            paint_filmstrip(
                painter, clip, asset, body, exposed, px_per_second, dpr, self.thumbnails
            )
        wave = self.waveforms(clip.asset) if row.kind is TrackKind.AUDIO else None
        if wave is not None:
            painter.setOpacity(0.55)
            tokens = ("accent_line", "accent")
            self.waves.paint(painter, clip, wave, body, exposed, px_per_second, dpr, tokens)
        painter.restore()
        _name_ghost(painter, row, box, clip.name or (asset.name if asset is not None else ""))

    def paint_making(self, painter: QPainter, row: Row, box: QRectF, ghost: Ghost) -> None:
        """A clip that is not there yet, since a job makes it: filled as far as the job is."""
        painter.fillRect(box, theme.colour("accent_tint"))
        if not ghost.note:
            done = QRectF(box.left(), box.top(), box.width() * ghost.fraction, box.height())
            painter.setOpacity(0.55)
            painter.fillRect(done, theme.colour("accent_line"))
            painter.setOpacity(1.0)
        body = box.adjusted(0, row.strip, 0, 0)
        picture = ghost.picture
        if picture is not None and not picture.isNull() and body.height() >= 8:
            painter.save()
            painter.setClipRect(body, Qt.ClipOperation.IntersectClip)
            painter.setOpacity(GHOSTLY)
            width = body.height() * picture.width() / picture.height()
            painter.drawImage(QRectF(body.left(), body.top(), width, body.height()), picture)
            painter.restore()
        _name_ghost(painter, row, box, ghost.words)

    def _round(self, painter: QPainter, box: QRectF, showing: Showing, dpr: float) -> None:
        """Rounds the corners off and draws the edge."""
        size = round(RADIUS * dpr) / dpr
        stamps = _corners(theme.name(), showing.ground, dpr)
        right, bottom = box.right() - size, box.bottom() - size
        painter.drawPixmap(box.topLeft(), stamps[0])
        painter.drawPixmap(QPointF(right, box.top()), stamps[1])
        painter.drawPixmap(QPointF(box.left(), bottom), stamps[2])
        painter.drawPixmap(QPointF(right, bottom), stamps[3])
        token = "error" if showing.missing else "clip_v_text" if showing.hovered else "clip_edge"
        painter.setPen(QPen(theme.colour(token), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), RADIUS - 0.5, RADIUS - 0.5)

    def paint_small(
        self, painter: QPainter, row: Row, boxes: list[tuple[QRectF, bool, float]], ground: str
    ) -> None:
        """Clips under 16 px, all of a track at once: (box, is missing, strength)."""
        self.painted += len(boxes)
        kind = "v" if row.kind is TrackKind.VIDEO else "a"
        rects: dict[str, list[QRectF]] = {}
        faint: dict[float, list[QRectF]] = {}
        for box, missing, strength in boxes:
            if box.width() < 4:
                rects.setdefault(f"clip_{kind}_head", []).append(box)
            else:
                rects.setdefault("error_tint" if missing else f"clip_{kind}", []).append(box)
                head = QRectF(box.left(), box.top(), box.width(), row.strip)
                rects.setdefault("error" if missing else f"clip_{kind}_head", []).append(head)
                edge = QRectF(box.right() - 1, box.top(), 1, box.height())
                rects.setdefault("clip_edge", []).append(edge)
            if strength < 1:
                faint.setdefault(strength, []).append(box)
        painter.setPen(Qt.PenStyle.NoPen)
        for token, some in rects.items():
            painter.setBrush(theme.colour(token))
            painter.drawRects(some)
        for strength, some in faint.items():
            painter.setBrush(theme.mixed(ground, 1 - strength))
            painter.drawRects(some)


def _failed_spans(
    clip: Clip, state: ClipState, box: QRectF, px_per_second: float
) -> list[tuple[float, float]]:
    """x from, to of what failed; nothing where only the job failed and the pictures are there."""
    return [
        (
            max(box.left(), box.left() + float(start - clip.start) * px_per_second),
            min(box.right(), box.left() + float(end - clip.start) * px_per_second),
        )
        for start, end, name in state.spans
        if name == FAILED
    ]


def _name_ghost(painter: QPainter, row: Row, box: QRectF, name: str) -> None:
    """Name and edge of a clip that is not there yet."""
    if box.width() >= 32:
        painter.setFont(theme.font("small", 500))
        painter.setPen(theme.colour("accent"))
        room = int(box.width() - 12)
        where = QRectF(box.left() + 8, box.top(), room, row.strip)
        painter.drawText(where, Qt.AlignmentFlag.AlignVCenter, elided(name, "small", 500, room))
    dashed_frame(painter, box, "accent")


def dashed_frame(painter: QPainter, box: QRectF, token: str) -> None:
    pen = QPen(theme.colour(token), 1.5)
    pen.setDashPattern([3, 2.5])
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(box.adjusted(0.75, 0.75, -0.75, -0.75), RADIUS - 0.75, RADIUS - 0.75)


def paint_fades(
    painter: QPainter, clip: Clip, body: QRectF, px_per_second: float, handles: bool
) -> None:
    """Dark wedges over what the fades take away, their lines, and the handles."""
    ink = theme.colour("clip_a_text")
    for length, at_head in ((clip.sound.fade_in, True), (clip.sound.fade_out, False)):
        if not length and not handles:
            continue
        reach = min(body.width(), float(length) * px_per_second)
        edge = body.left() + 0.5 if at_head else body.right() - 0.5
        x = edge + reach if at_head else edge - reach
        foot, knee = QPointF(edge, body.bottom() - 1), QPointF(x, body.top())
        if length:
            path = QPainterPath()
            path.addPolygon(QPolygonF([foot, knee, QPointF(edge, body.top())]))
            painter.fillPath(path, theme.mixed("clip_a", 0.55))
            middle = QPointF(edge, body.center().y())  # the waveform itself grows and dwindles
            for corner in (body.top(), body.bottom() - 1):
                taper = QPainterPath()
                taper.addPolygon(QPolygonF([middle, QPointF(x, corner), QPointF(edge, corner)]))
                painter.fillPath(taper, theme.mixed("clip_a", 0.6))
            faint = QColor(ink)
            faint.setAlphaF(0.8)
            painter.setPen(QPen(faint, 1))
            painter.drawLine(foot, knee)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ink)
        inner = min(max(x, body.left() + 3), body.right() - 3)
        painter.drawEllipse(QPointF(inner, body.top()), 3, 3)
