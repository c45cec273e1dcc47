"""Paints the ruler with the in-out band, the render-bar lane under it, and the playhead."""

from fractions import Fraction
from math import floor

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen, QPolygonF

from engine.timeline.model import Sequence, TrackKind
from engine.timeline.time import Time, TimeRange, time_of, timecode
from ui import theme
from ui.timeline.geometry import LANE, RULER, TOP, Scale, Spans, ruler_steps
from ui.timeline.states import FAILED, FRESH, RUNNING, SEVERITY, STALE, ClipState

HEAD_WIDTH, HEAD_HEIGHT = 14, 16  # of the playhead
BRACKET = 6


def whole(x: float, dpr: float) -> float:
    """`x` on the nearest whole device pixel."""
    return round(x * dpr) / dpr


def paint_ruler(
    painter: QPainter,
    scale: Scale,
    rate: Fraction,
    work_area: TimeRange | None,
    exposed: QRectF,
) -> None:
    """Fill, band, ticks, labels, brackets."""
    dpr = painter.device().devicePixelRatio()
    strip = QRectF(exposed.left(), 0, exposed.width(), RULER)
    painter.fillRect(strip, theme.colour("ruler"))
    span = None
    if work_area is not None:
        span = whole(scale.x(work_area.start), dpr), whole(scale.x(work_area.end), dpr)
        band = QRectF(span[0], 0, span[1] - span[0], RULER)
        painter.fillRect(band, theme.mixed("range", 0.13))
    _paint_marks(painter, scale, rate, exposed, dpr)
    painter.fillRect(QRectF(exposed.left(), RULER - 1, exposed.width(), 1), theme.colour("line"))
    if span is not None:
        left, right = span
        ink = theme.colour("range")
        painter.fillRect(QRectF(left, 0, right - left, 3), ink)
        for x, foot in ((left, left), (right - 2, right - BRACKET)):
            painter.fillRect(QRectF(x, 0, 2, RULER), ink)
            painter.fillRect(QRectF(foot, RULER - 3, BRACKET, 3), ink)


def _paint_marks(
    painter: QPainter, scale: Scale, rate: Fraction, exposed: QRectF, dpr: float
) -> None:
    steps = ruler_steps(scale.px_per_second, rate)
    per_frame = scale.px_per_second / float(rate)
    first = max(0, floor((exposed.left() - 100 + scale.offset) / per_frame / steps.part))
    last = floor((exposed.right() + scale.offset) / per_frame / steps.part) + 1
    painter.setFont(theme.font("micro", 400, True))
    faint, ink = theme.colour("border"), theme.colour("text3")
    for number in range(first, last + 1):
        frame = number * steps.part
        x = whole(frame * per_frame - scale.offset, dpr)
        if frame % steps.label == 0:
            painter.fillRect(QRectF(x, RULER - 14, 1, 14), ink)
            painter.setPen(ink)
            where = QRectF(x + 6, 5, 100, 16)
            text = timecode(time_of(frame, rate), rate)
            painter.drawText(where, Qt.AlignmentFlag.AlignVCenter, text)
        else:
            height = 8 if frame % steps.whole == 0 else 5
            painter.fillRect(QRectF(x, RULER - 1 - height, 1, height), faint)


def bar_pieces(
    sequence: Sequence, states: dict[str, ClipState], spans: Spans, seconds: tuple[float, float]
) -> list[tuple[float, float, str, float]]:
    """(start, end, state, fraction) of the render bar in seconds, the worse states last."""
    pieces: list[tuple[float, float, str, float]] = []
    for track in sequence.tracks:
        if track.kind is not TrackKind.VIDEO:
            continue
        starts, ends = spans.of(track)
        for index in spans.within(track, *seconds):
            clip = track.clips[index]
            state = states.get(clip.id)
            if state is None or not state.name:
                continue
            if state.spans and state.name != RUNNING:
                pieces += [
                    (
                        max(starts[index], float(start)),
                        min(ends[index], float(end)),
                        name,
                        state.fraction,
                    )
                    for start, end, name in state.spans
                ]
            else:
                pieces.append((starts[index], ends[index], state.name, state.fraction))
    return sorted(pieces, key=lambda piece: SEVERITY.get(piece[2], 0))


def paint_lane(
    painter: QPainter,
    scale: Scale,
    pieces: list[tuple[float, float, str, float]],
    exposed: QRectF,
) -> None:
    """The lane and its bars; hatches are anchored to time, so that they scroll along."""
    dpr = painter.device().devicePixelRatio()
    painter.fillRect(QRectF(exposed.left(), RULER, exposed.width(), LANE), theme.colour("app"))
    painter.fillRect(QRectF(exposed.left(), TOP - 1, exposed.width(), 1), theme.colour("line"))
    painter.setBrushOrigin(QPointF(-whole(scale.offset, dpr), RULER + 2))
    for start, end, state, fraction in pieces:
        left, right = whole(scale.x(start), dpr), whole(scale.x(end), dpr)
        bar = QRectF(left, RULER + 2, max(1.0, right - left), 4)
        if state == FRESH:
            painter.fillRect(bar, theme.colour("accent"))
        elif state == STALE:
            painter.fillRect(bar, theme.hatch("warn", 3, 6, "warn_tint", dpr))
        elif state == FAILED:
            painter.fillRect(bar, theme.hatch("error", 3, 8, "error_tint", dpr))
        elif state == RUNNING:
            done = whole(left + (right - left) * fraction, dpr)
            painter.fillRect(bar, theme.colour("accent_line"))
            painter.fillRect(QRectF(left, bar.top(), done - left, 4), theme.colour("accent"))
            painter.fillRect(QRectF(done - 1, RULER, 2, 8), theme.colour("text"))
    painter.setBrushOrigin(QPointF(0, 0))


def playhead_strip(x: float, height: float) -> QRectF:
    """What must be painted anew where the playhead was or comes to."""
    return QRectF(x - HEAD_WIDTH / 2 - 1, 0, HEAD_WIDTH + 3, height)


def paint_playhead(painter: QPainter, at: Time, scale: Scale, bottom: float) -> None:
    """Halo, line and head."""
    dpr = painter.device().devicePixelRatio()
    x = whole(scale.x(at), dpr)
    top = RULER - 2 - HEAD_HEIGHT
    halo = theme.mixed("playhead_halo", 0.45)
    painter.fillRect(QRectF(x - 1, RULER - 4, 3, bottom - RULER + 4), halo)
    ink = theme.colour("playhead")
    painter.fillRect(QRectF(x, RULER - 4, 1, bottom - RULER + 4), ink)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    middle, half = x + 0.5, HEAD_WIDTH / 2
    shape = QPolygonF(
        [
            QPointF(middle - half + 1.5, top),
            QPointF(middle + half - 1.5, top),
            QPointF(middle + half, top + 1.5),
            QPointF(middle + half, top + 9),
            QPointF(middle, top + HEAD_HEIGHT),
            QPointF(middle - half, top + 9),
            QPointF(middle - half, top + 1.5),
        ]
    )
    painter.setPen(QPen(halo, 1))
    painter.setBrush(ink)
    painter.drawPolygon(shape)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
