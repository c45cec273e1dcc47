"""The viewer: sizes it asks for, zoom, the empty state, and the transform handles."""

from fractions import Fraction

import pytest
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton
from pytestqt.qtbot import QtBot

from engine.timeline.model import Transform
from ui import handles
from ui.viewer import Card, Viewer

FRAME = QRectF(0, 0, 1600, 900)


def shown(qtbot: QtBot) -> Viewer:
    viewer = Viewer()
    qtbot.addWidget(viewer)
    viewer.resize(846, 436)
    viewer.set_sequence("Sequence 1", 1920, 1080, Fraction(25))
    with qtbot.waitExposed(viewer):
        viewer.show()
    return viewer


def test_asks_for_what_it_shows_at_the_quality(qtbot: QtBot) -> None:
    viewer = shown(qtbot)
    frame = viewer.canvas.frame_rect()
    assert frame.height() == pytest.approx(376, abs=1)  # 400 less 12 above and below
    with qtbot.waitSignal(viewer.size_wanted) as told:
        viewer.set_quality(Fraction(1, 2))
    assert told.args == pytest.approx([frame.width() / 2, frame.height() / 2], abs=1)


def test_never_asks_for_more_than_the_sequence_has(qtbot: QtBot) -> None:
    viewer = shown(qtbot)
    with qtbot.waitSignal(viewer.size_wanted) as told:
        viewer.set_zoom(400)
    assert told.args == [1920, 1080]


def test_zoom_shows_device_pixels(qtbot: QtBot) -> None:
    viewer = shown(qtbot)
    viewer.set_zoom(100)
    dpr = viewer.devicePixelRatioF()
    assert viewer.canvas.frame_rect().width() * dpr == pytest.approx(1920, abs=1)
    viewer.set_zoom(None)
    assert viewer.canvas.frame_rect().width() < 846


def test_the_picture_fills_the_frame_and_no_more(qtbot: QtBot) -> None:
    viewer = shown(qtbot)
    red = QImage(64, 36, QImage.Format.Format_RGB32)
    red.fill(QColor(255, 0, 0))
    viewer.set_frame(red)
    grabbed = viewer.canvas.grab().toImage()
    dpr = grabbed.devicePixelRatio()
    frame = viewer.canvas.frame_rect()

    def at(x: float, y: float) -> QColor:
        return grabbed.pixelColor(round(x * dpr), round(y * dpr))

    assert at(frame.left() + 1, frame.top() + 1).red() > 250
    assert at(frame.right() - 2, frame.bottom() - 2).red() > 250
    assert at(frame.left() - 3, frame.center().y()).red() < 20


def test_empty_state_offers_ways_to_begin(qtbot: QtBot) -> None:
    viewer = shown(qtbot)
    viewer.set_empty(True)
    assert viewer.is_empty()
    names = {one.text() for one in viewer.empty.findChildren(QAbstractButton)}
    ways = {"Make a looping GIF", "Upscale a clip", "Generate a clip"}
    assert names == {"Open files…", "Open sample"} | ways
    heard: list[str] = []
    viewer.empty.looping_gif_requested.connect(lambda: heard.append("gif"))
    viewer.empty.upscale_requested.connect(lambda: heard.append("upscale"))
    viewer.empty.generate_requested.connect(lambda: heard.append("generate"))
    for card in viewer.empty.findChildren(Card):
        card.click()
    assert heard == ["gif", "upscale", "generate"]


def test_recent_projects_take_the_place_of_the_cards(qtbot: QtBot) -> None:
    viewer = shown(qtbot)
    viewer.set_empty(True)
    viewer.empty.set_recent([("/p/one.reel", "one", "yesterday", None)])
    qtbot.waitUntil(
        lambda: (
            [one.text() for one in viewer.empty.findChildren(Card) if one.isVisible()] == ["one"]
        )
    )
    cards = [one for one in viewer.empty.findChildren(Card) if one.isVisible()]
    with qtbot.waitSignal(viewer.empty.recent_requested) as told:
        cards[0].click()
    assert told.args == ["/p/one.reel"]


def test_handles_lie_on_the_picture() -> None:
    whole = handles.box(Transform(), 1920, 1080, FRAME)
    assert whole.corners()[0] == QPointF(0, 0)
    assert whole.corners()[2] == QPointF(1600, 900)
    upright = handles.box(Transform(scale=0.5), 1080, 1920, FRAME)
    assert upright.half_height == pytest.approx(225)
    assert upright.half_width == pytest.approx(225 * 1080 / 1920)
    cropped = handles.box(Transform(crop_left=0.5), 1920, 1080, FRAME)
    assert cropped.half_width == pytest.approx(400)  # what is left is fitted again


@pytest.mark.parametrize(
    ("at", "grip"),
    [
        (QPointF(0, 0), "top_left"),
        (QPointF(1600, 900), "bottom_right"),
        (QPointF(800, 450), "move"),
        (QPointF(800, -24), "turn"),
        (QPointF(-100, 450), ""),
    ],
)
def test_hit(at: QPointF, grip: str) -> None:
    assert handles.hit(handles.box(Transform(), 1920, 1080, FRAME), at) == grip


def test_a_turned_picture_is_hit_where_it_is() -> None:
    shape = handles.box(Transform(scale=0.5, rotation=90), 1600, 900, FRAME)
    assert handles.hit(shape, QPointF(800, 450 + 390)) == "move"
    assert handles.hit(shape, QPointF(800 + 390, 450)) == ""


def test_drags_make_transforms() -> None:
    start = Transform()
    shape = handles.box(start, 1920, 1080, FRAME)
    middle = QPointF(800, 450)
    moved = handles.dragged("move", start, shape, FRAME, middle, QPointF(960, 360))
    assert (moved.x, moved.y) == (pytest.approx(0.1), pytest.approx(-0.1))
    snapped = handles.dragged("move", start, shape, FRAME, middle, QPointF(803, 450))
    assert snapped.x == 0
    half = handles.dragged(
        "bottom_right", start, shape, FRAME, QPointF(1600, 900), QPointF(1200, 675)
    )
    assert half.scale == pytest.approx(0.5)
    turned = handles.dragged("turn", start, shape, FRAME, QPointF(800, -24), QPointF(1274, 450))
    assert turned.rotation == 90


def test_a_drag_on_the_canvas_is_one_gesture(qtbot: QtBot) -> None:
    viewer = shown(qtbot)
    viewer.set_transform(Transform(), 1920, 1080)
    heard: list[tuple[Transform, bool]] = []
    viewer.transform_requested.connect(lambda value, final: heard.append((value, final)))
    middle = viewer.canvas.frame_rect().center().toPoint()
    QTest.mousePress(viewer.canvas, Qt.MouseButton.LeftButton, pos=middle)
    QTest.mouseMove(viewer.canvas, middle + QPoint(40, 0))
    QTest.mouseRelease(viewer.canvas, Qt.MouseButton.LeftButton, pos=middle + QPoint(60, 0))
    assert heard[-1][1]
    assert heard[-1][0].x == pytest.approx(60 / viewer.canvas.frame_rect().width())
    assert not any(final for _, final in heard[:-1])


def test_the_knob_that_turns_is_always_within_reach(qtbot: QtBot) -> None:
    viewer = shown(qtbot)
    canvas = viewer.canvas
    viewer.set_transform(Transform(), 1920, 1080)
    asked: list[Transform] = []
    viewer.transform_requested.connect(lambda transform, _final: asked.append(transform))
    frame = canvas.frame_rect()
    assert frame.top() < handles.STEM + 12  # no room for it above the picture
    knob = QPointF(frame.center().x(), frame.top() + handles.STEM).toPoint()
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=knob)
    QTest.mouseMove(canvas, knob + QPoint(40, 0))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=knob + QPoint(40, 0))
    assert asked[-1].rotation > 5
    assert asked[-1].x == asked[-1].y == 0
