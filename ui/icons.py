"""Icons: the 16 px drawings of resources/icons, in a token's colour, sharp at any scale."""

from collections.abc import Callable
from functools import cache, lru_cache

from PySide6.QtCore import QByteArray, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QIconEngine, QPainter, QPixmap

import resources


@cache
def _drawing(name: str) -> str:
    return resources.path(f"icons/{name}.svg").read_text(encoding="utf-8")


@lru_cache(maxsize=1024)
def drawn(name: str, colour: str, size: int, scale: float) -> QPixmap:
    """The icon `name` in `colour` (#rrggbb), `size` logical pixels wide at `scale`."""
    from PySide6.QtSvg import QSvgRenderer

    pixels = max(1, round(size * scale))
    stroke = {20: "1.2", 24: "1", 40: "0.8"}.get(size, "1.5")  # 1.5 px up to 24, 2 px at 40
    text = _drawing(name).replace("currentColor", colour)
    text = text.replace('stroke-width="1.5"', f'stroke-width="{stroke}"', 1)
    picture = QPixmap(pixels, pixels)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    renderer = QSvgRenderer(QByteArray(text.encode()))
    renderer.render(painter, QRectF(0, 0, pixels, pixels))
    painter.end()
    picture.setDevicePixelRatio(scale)
    return picture


@lru_cache(maxsize=256)
def _widened(name: str, colour: str, side: int, width: int, scale: float) -> QPixmap:
    """The icon at the left of a wider picture: room between it and the words of a button."""
    picture = QPixmap(round(width * scale), round(side * scale))
    picture.setDevicePixelRatio(scale)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.drawPixmap(0, 0, drawn(name, colour, side, scale))
    painter.end()
    return picture


class TokenIcon(QIconEngine):
    """Asks for its colour at each painting, so that it follows the theme without being remade."""

    def __init__(self, name: str, token: str, colour_name: Callable[[str], str]) -> None:
        super().__init__()
        self._name, self._token, self._colour_name = name, token, colour_name

    def _token_for(self, mode: QIcon.Mode, state: QIcon.State) -> str:
        if mode == QIcon.Mode.Disabled:
            return "disabled"
        if state == QIcon.State.On and self._token in ("text", "text2", "text3"):
            return "accent"
        if mode == QIcon.Mode.Active and self._token in ("text2", "text3"):
            return "text"
        return self._token

    def scaledPixmap(
        self, size: QSize, mode: QIcon.Mode, state: QIcon.State, scale: float
    ) -> QPixmap:
        colour = self._colour_name(self._token_for(mode, state))
        side = min(size.width(), size.height())
        if size.width() <= side:
            return drawn(self._name, colour, side, scale)
        return _widened(self._name, colour, side, size.width(), scale)

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        return self.scaledPixmap(size, mode, state, 1.0)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        scale = painter.device().devicePixelRatio()
        painter.drawPixmap(rect.topLeft(), self.scaledPixmap(rect.size(), mode, state, scale))

    def clone(self) -> QIconEngine:
        return TokenIcon(self._name, self._token, self._colour_name)

    def isNull(self) -> bool:
        return False


def app_icon() -> QIcon:
    """The program's own icon in every usual size: flat at 32 px and below."""
    from PySide6.QtSvg import QSvgRenderer

    icon = QIcon()
    for size in (16, 24, 32, 48, 64, 128, 256, 512):
        name = "app" if size > 32 else "app_small"
        picture = QPixmap(size, size)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        QSvgRenderer(QByteArray(_drawing(name).encode())).render(painter)
        painter.end()
        icon.addPixmap(picture)
    return icon
