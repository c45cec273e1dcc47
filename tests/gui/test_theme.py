"""Tokens, type, icons and hatches of both themes."""

import pytest
from PySide6.QtGui import QColor, QFontInfo, QIcon
from PySide6.QtWidgets import QApplication

import resources
from ui import theme
from ui.tokens import TOKENS


def luminance(colour: QColor) -> float:
    """Relative luminance of WCAG 2."""
    parts = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (colour.redF(), colour.greenF(), colour.blueF())
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: QColor, other: QColor) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", theme.THEMES)
@pytest.mark.parametrize(
    ("token", "ground"),
    [
        ("text", "panel"),
        ("text2", "panel"),
        ("text3", "panel"),
        ("text3", "raised"),
        ("accent", "accent_tint"),
        ("on_accent", "accent_fill"),
        ("warn", "warn_tint"),
        ("error", "error_tint"),
        ("badge_text", "badge"),
        ("clip_v_text", "clip_v_head"),
    ],
)
def test_text_can_be_read(qapp: QApplication, name: str, token: str, ground: str) -> None:
    theme.apply(qapp, name)
    assert contrast(theme.colour(token), theme.colour(ground)) >= 4.5


def test_every_icon_is_drawn() -> None:
    for path in sorted(resources.path("icons").glob("*.svg")):
        picture = theme.pixmap(path.stem, "text", 16, 2.0).toImage()
        assert picture.width() == 32
        assert any(picture.pixelColor(x, y).alpha() > 128 for x in range(32) for y in range(32)), (
            path.stem
        )


def strongest(icon: QIcon, mode: QIcon.Mode, state: QIcon.State = QIcon.State.Off) -> QColor:
    picture = icon.pixmap(16, mode=mode, state=state).toImage()
    colours = [picture.pixelColor(x, y) for x in range(16) for y in range(16)]
    return max(colours, key=lambda colour: colour.alpha())


def test_an_icon_follows_theme_and_state(qapp: QApplication) -> None:
    icon = theme.icon("play")
    dark = strongest(icon, QIcon.Mode.Normal)
    assert dark.name().upper() == TOKENS["text2"][0]
    assert strongest(icon, QIcon.Mode.Disabled).name().upper() == TOKENS["disabled"][0]
    assert strongest(icon, QIcon.Mode.Normal, QIcon.State.On).name().upper() == TOKENS["accent"][0]
    theme.apply(qapp, "light")
    assert strongest(icon, QIcon.Mode.Normal).name().upper() == TOKENS["text2"][1]


def test_the_bundled_font_is_used_at_every_weight() -> None:
    widths = set()
    for weight in (400, 500, 600):
        info = QFontInfo(theme.font("body", weight))
        assert info.family() == "Inter"
        assert info.pixelSize() == 13
        widths.add(info.styleName())
    assert len(widths) == 3


def test_hatch_tiles_meet_and_are_made_once() -> None:
    brush = theme.hatch("warn", 3, 6, "warn_tint")
    assert brush is theme.hatch("warn", 3, 6, "warn_tint")
    tile = brush.textureImage()
    assert tile.width() == tile.height() == 8
    # a stripe that leaves at the right comes in at the left, one tile on
    for i in range(8):
        assert tile.pixelColor(i, 7 - i).name() == tile.pixelColor(0, 7).name()


def test_style_sheet_has_no_unknown_token(qapp: QApplication) -> None:
    for name in theme.THEMES:
        theme.apply(qapp, name)
        assert "@" not in qapp.styleSheet()
