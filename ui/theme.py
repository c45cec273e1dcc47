"""The look: tokens as colours, type styles, hatches, icons, and the style sheet made of them."""

import re
from functools import cache, lru_cache
from math import sqrt

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QFontDatabase,
    QIcon,
    QImage,
    QPainter,
    QPalette,
    QPen,
    QPixmap,
)
from PySide6.QtWidgets import QApplication

import resources
from ui import icons
from ui.tokens import GLASS, TOKENS

THEMES = ("dark", "light")
FAMILIES = ["Inter", "Segoe UI", "SF Pro Text", "Noto Sans"]
STYLES = {"title": 20, "heading": 15, "timecode": 16, "body": 13, "small": 12, "micro": 11}
TABULAR = QFont.Tag("tnum")

_column = 0  # of TOKENS: which theme is on


def name() -> str:
    """The theme that is on."""
    return THEMES[_column]


def colour(token: str) -> QColor:
    """The colour of a token in the theme that is on."""
    return _colour(token, _column)


@cache
def _colour(token: str, column: int) -> QColor:
    if token in GLASS:
        base, alpha = GLASS[token][column]
        made = QColor(base)
        made.setAlphaF(alpha)
        return made
    return QColor(TOKENS[token][column])


def mixed(token: str, alpha: float) -> QColor:
    """The colour of a token, let through: `alpha` 0 to 1."""
    made = QColor(colour(token))
    made.setAlphaF(alpha)
    return made


def hex_of(token: str) -> str:
    """The colour of a token as #rrggbb."""
    return TOKENS[token][_column]


@cache
def font(style: str = "body", weight: int | None = None, tabular: bool = False) -> QFont:
    """The font of a type style. Weight: 400, 500 or 600; 600 for title, heading and timecode."""
    made = QFont()
    made.setFamilies(FAMILIES)
    made.setPixelSize(STYLES[style])
    bold = style in ("title", "heading", "timecode")
    made.setWeight(QFont.Weight(weight if weight is not None else 600 if bold else 400))
    if tabular or style == "timecode":
        made.setFeature(TABULAR, 1)
    return made


def icon(icon_name: str, token: str = "text2") -> QIcon:
    """An icon that follows the theme, the pointer, and the on and disabled states."""
    return QIcon(icons.TokenIcon(icon_name, token, hex_of))


def pixmap(icon_name: str, token: str, size: int = 16, scale: float = 1.0) -> QPixmap:
    """An icon for a painter: `size` logical pixels at the device pixel ratio `scale`."""
    return icons.drawn(icon_name, hex_of(token), size, scale)


def hatch(token: str, width: float, period: float, ground: str = "", scale: float = 1.0) -> QBrush:
    """45 degree stripes: `width` of every `period` pixels in `token`, over `ground` or nothing."""
    return _hatch(token, width, period, ground, scale, _column)


@lru_cache(maxsize=64)
def _hatch(
    token: str, width: float, period: float, ground: str, scale: float, column: int
) -> QBrush:
    side = max(2, round(period * sqrt(2) * scale))  # a whole tile, so that stripes meet
    tile = QImage(side, side, QImage.Format.Format_ARGB32_Premultiplied)
    tile.fill(_colour(ground, column) if ground else QColor(0, 0, 0, 0))
    painter = QPainter(tile)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(
        QPen(_colour(token, column), width * side / (period * sqrt(2)), c=Qt.PenCapStyle.FlatCap)
    )
    for offset in (-side, 0, side):
        painter.drawLine(
            QPointF(offset - side, side * 2.0), QPointF(offset + side * 2.0, -float(side))
        )
    painter.end()
    tile.setDevicePixelRatio(scale)
    return QBrush(tile)


def apply(app: QApplication, theme: str) -> None:
    """Puts the whole program into `theme`: "dark" or "light"."""
    global _column
    _column = THEMES.index(theme)
    _load_fonts()
    if app.style().name() != "fusion":
        app.setStyle("Fusion")
    app.setPalette(_palette())
    app.setFont(font())
    app.setStyleSheet(_style_sheet(_column))


@lru_cache(maxsize=1)
def _load_fonts() -> None:
    for weight in ("Regular", "Medium", "SemiBold"):
        QFontDatabase.addApplicationFont(str(resources.path(f"fonts/Inter-{weight}.ttf")))


@cache
def _style_sheet(column: int) -> str:
    text = resources.path("theme.qss").read_text(encoding="utf-8")
    return re.sub(r"@(\w+)", lambda found: _in_sheet(found.group(1), column), text)


def _in_sheet(token: str, column: int) -> str:
    """A token's colour as style sheets write it."""
    if token not in GLASS:
        return TOKENS[token][column]
    base, alpha = GLASS[token][column]
    made = QColor(base)
    return f"rgba({made.red()}, {made.green()}, {made.blue()}, {round(alpha * 100)}%)"


def _palette() -> QPalette:
    made = QPalette()
    roles = {
        QPalette.ColorRole.Window: "panel",
        QPalette.ColorRole.WindowText: "text",
        QPalette.ColorRole.Base: "field",
        QPalette.ColorRole.AlternateBase: "panel",
        QPalette.ColorRole.Text: "text",
        QPalette.ColorRole.Button: "raised",
        QPalette.ColorRole.ButtonText: "text",
        QPalette.ColorRole.BrightText: "text",
        QPalette.ColorRole.ToolTipBase: "raised",
        QPalette.ColorRole.ToolTipText: "text",
        QPalette.ColorRole.PlaceholderText: "text3",
        QPalette.ColorRole.Highlight: "accent_fill",
        QPalette.ColorRole.HighlightedText: "on_accent",
        QPalette.ColorRole.Link: "accent",
        QPalette.ColorRole.Accent: "accent_fill",
    }
    for role, token in roles.items():
        made.setColor(role, colour(token))
    for role in (
        QPalette.ColorRole.WindowText,
        QPalette.ColorRole.Text,
        QPalette.ColorRole.ButtonText,
    ):
        made.setColor(QPalette.ColorGroup.Disabled, role, colour("disabled"))
    return made
