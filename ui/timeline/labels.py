"""Words on clips: elided names, the effect badge in its forms."""

from functools import lru_cache

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter

from ui import theme
from ui.timeline.geometry import short_badge
from ui.timeline.states import FAILED, FRESH, RUNNING, STALE, ClipState


@lru_cache(maxsize=4096)
def elided(text: str, style: str, weight: int, width: int) -> str:
    metrics = QFontMetricsF(theme.font(style, weight))
    return metrics.elidedText(text, Qt.TextElideMode.ElideRight, width)


@lru_cache(maxsize=1024)
def text_width(text: str, style: str, weight: int) -> float:
    return QFontMetricsF(theme.font(style, weight)).horizontalAdvance(text)


def paint_badge(painter: QPainter, head: QRectF, state: ClipState, form: str) -> float:
    """The effect badge at the right end of a name strip; gives its left edge."""
    if not form:
        return head.right()
    label = badge_label(state, form)
    signs = {FRESH: ("check", "badge_fresh"), STALE: ("keyframe", "badge_stale")}
    sign = signs.get(state.name, ("error", "error") if state.name == FAILED else None)
    with_icon = form != "sign" and bool(state.icon)
    if form == "sign" and sign is None:
        return head.right() - 4
    width = 4.0
    if with_icon:
        width += 12 + 4
    if label:
        width += round(text_width(label, "micro", 600)) + 4
    if sign is not None:
        width += 13 if form == "full" else 10
    box = QRectF(round(head.right() - 4 - width), head.top() + 2, width, 14)
    if box.left() < head.left() + 2:
        return head.right() - 4
    scale = painter.device().devicePixelRatio()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.colour("badge"))
    painter.drawRoundedRect(box, 3, 3)
    x = box.left() + 4
    if with_icon:
        where = QPointF(x, box.top() + 1)
        painter.drawPixmap(where, theme.pixmap(state.icon, "badge_text", 12, scale))
        x += 16
    if label:
        painter.setPen(theme.colour("badge_text"))
        painter.setFont(theme.font("micro", 600, True))
        room = QRectF(x, box.top() - 1, box.right() - x, 16)
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, label)
    if sign is not None:
        inset = 13 if form == "full" else 12
        where = QPointF(box.right() - inset - 3, box.top())
        painter.drawPixmap(where, theme.pixmap(sign[0], sign[1], 14, scale))
    return box.left()


def badge_label(state: ClipState, form: str) -> str:
    """«Upscale 4×», «4×» where it must be short, «Restyle 42 %» while it runs."""
    if form == "sign":
        return ""
    text = state.badge if form == "full" else short_badge(state.badge)
    if state.name == RUNNING and "%" not in state.badge:
        percent = f"{round(state.fraction * 100)} %"
        return f"{state.badge} {percent}".strip() if form == "full" else percent
    if state.name == RUNNING and form == "short":
        return " ".join(state.badge.split()[-2:])
    return text
