"""Before and after: ways to show them, their labels, and how far they are apart."""

from enum import StrEnum
from typing import NamedTuple

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QImage, QPainter

from ui import theme

DOUBLINGS = 3  # of a difference: faint detail must be seen
INSET = 16  # of labels, from the picture's corners
LABEL = 28
PADDING = 12
NARROW = 140  # px of a side below which labels lie nearer to its corner
SWATCH = 14  # of the hatch in a label


class Mode(StrEnum):
    OFF = "off"
    DIVIDER = "divider"
    SIDE = "side"
    DIFFERENCE = "difference"


MODES: tuple[tuple[Mode, str], ...] = (
    (Mode.OFF, "Off"),
    (Mode.DIVIDER, "Divider"),
    (Mode.SIDE, "Side by side"),
    (Mode.DIFFERENCE, "Difference"),
)


class Labels(NamedTuple):
    """What is said of both sides: «832 × 480», «Upscale 4× · 3328 × 1920»."""

    before: str = ""
    after: str = ""
    is_rendered: bool = True


def difference(before: QImage, after: QImage) -> QImage:
    """How far both pictures are apart in each colour, 2 ** DOUBLINGS times as much, white at most.

    Made by the painter in its own arithmetic: a few milliseconds for a full frame.
    """
    made = after.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)
    painter = QPainter(made)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Difference)
    painter.drawImage(0, 0, before.convertToFormat(made.format()))
    painter.end()
    for _ in range(DOUBLINGS):
        once = made.copy()
        painter = QPainter(made)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Plus)
        painter.drawImage(0, 0, once)
        painter.end()
    return made


class Label(NamedTuple):
    """A label as it lies on the picture."""

    area: QRectF
    title: str
    words: str
    is_hatched: bool


def label_at(area: QRectF, title: str, words: str, *, right: bool, hatched: bool = False) -> Label:
    """A label in an upper corner of `area`.

    Where there is little room only the last part of the words after a « · » stays, or none.
    """
    inset = INSET if area.width() >= NARROW else INSET / 2
    heavy = QFontMetrics(theme.font("body", 600))
    light = QFontMetrics(theme.font("body", 400, True))
    width = 2 * PADDING + heavy.horizontalAdvance(title) + (SWATCH + 8 if hatched else 0)
    room = area.width() - 2 * inset - width - 8
    choices = (words, words.rpartition(" · ")[2], "")
    words = next(one for one in choices if not one or light.horizontalAdvance(one) <= room)
    if words:
        width += 8 + light.horizontalAdvance(words)
    x = area.right() - inset - width if right else area.left() + inset
    return Label(QRectF(round(x), round(area.top() + inset), width, LABEL), title, words, hatched)


def paint_label(painter: QPainter, label: Label) -> None:
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.colour("overlay"))
    painter.drawRoundedRect(label.area, 4, 4)
    inner = label.area.adjusted(PADDING, 0, -PADDING + 1, 0)
    if label.is_hatched:
        swatch = QRectF(inner.left(), inner.center().y() - SWATCH / 2, SWATCH, SWATCH)
        dpr = painter.device().devicePixelRatio()
        painter.setBrush(theme.hatch("warn", 3, 6, "warn_tint", dpr))
        painter.drawRoundedRect(swatch, 3, 3)
        inner.setLeft(swatch.right() + 8)
    painter.setFont(theme.font("body", 600))
    painter.setPen(theme.colour("text"))
    painter.drawText(inner, Qt.AlignmentFlag.AlignVCenter, label.title)
    inner.setLeft(inner.left() + painter.fontMetrics().horizontalAdvance(label.title) + 8)
    painter.setFont(theme.font("body", 400, True))
    painter.setPen(theme.colour("text2"))
    painter.drawText(inner, Qt.AlignmentFlag.AlignVCenter, label.words)
    painter.restore()


def beside(size: QSize, most: float) -> tuple[QRectF, QRectF]:
    """Two equal parts of a canvas beside its middle, 2 px apart, each `most` wide at most."""
    half = size.width() // 2
    width = min(half - 1, max(1, round(most)))
    left = QRectF(half - 1 - width, 0, width, size.height())
    return left, left.translated(width + 2, 0)
