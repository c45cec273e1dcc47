"""Before and after: the divider, labels, ways to show both, and pairs from a real child."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, QRect, Qt
from PySide6.QtGui import QColor, QImage, QPaintEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from desktop.app import App
from desktop.arrivals import Arrivals, Asked, Shown
from engine.timeline.model import Clip, TrackKind
from tests.support.media import make_video, read_number
from ui.compare import DOUBLINGS, Labels, Mode, difference
from ui.viewer import Viewer

PATIENCE_MS = 60_000
RED, BLUE = QColor(200, 40, 30), QColor(30, 40, 200)
LABELS = Labels("832 × 480", "Upscale 4× · 3328 × 1920")


def plain(colour: QColor, width: int = 192, height: int = 108) -> QImage:
    image = QImage(width, height, QImage.Format.Format_RGB32)
    image.fill(colour)
    return image


def shown(qtbot: QtBot, mode: Mode, width: int = 1920, height: int = 1080) -> Viewer:
    """A viewer in which before is red and after is blue."""
    viewer = Viewer()
    qtbot.addWidget(viewer)
    viewer.resize(1000, 620)
    viewer.set_sequence("Sequence 1", width, height, Fraction(25))
    viewer.set_compare(mode)
    viewer.set_pair(plain(BLUE), plain(RED))
    viewer.set_compared("surf_cat.mp4", LABELS, "fresh")
    with qtbot.waitExposed(viewer):
        viewer.show()
    return viewer


def side_at(viewer: Viewer, x: float, y: float) -> str:
    """Which picture shows at a point of the canvas."""
    grabbed = viewer.canvas.grab().toImage()
    dpr = grabbed.devicePixelRatio()
    colour = grabbed.pixelColor(round(x * dpr), round(y * dpr))
    known = {RED.rgb(): "before", BLUE.rgb(): "after"}
    return known.get(colour.rgb(), colour.name())


def x_of_divider(viewer: Viewer) -> float:
    seen = viewer.canvas.seen()
    return seen.left() + viewer.canvas.divider() * seen.width()


def middle(viewer: Viewer) -> QPoint:
    return QPointF(x_of_divider(viewer), viewer.canvas.height() * 0.8).toPoint()


def texts(viewer: Viewer) -> list[str]:
    return [f"{one.title} {one.words}".strip() for one in viewer.canvas._shown_labels()]


class Painted(QObject):
    """The regions that a widget paints."""

    def __init__(self, watched: QObject) -> None:
        super().__init__()
        self.areas: list[QRect] = []
        watched.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QPaintEvent):
            self.areas += list(event.region())
        return False


def test_the_divider_parts_before_and_after(qtbot: QtBot) -> None:
    viewer = shown(qtbot, Mode.DIVIDER)
    x, y = x_of_divider(viewer), viewer.canvas.seen().bottom() - 20
    assert side_at(viewer, x - 3, y) == "before"
    assert side_at(viewer, x + 4, y) == "after"
    assert side_at(viewer, x, y) == "#ffffff"
    viewer.set_compare(Mode.OFF)
    viewer.set_frame(plain(BLUE))
    assert side_at(viewer, x - 3, y) == "after"


def test_the_divider_follows_the_pointer_and_paints_only_its_strip(qtbot: QtBot) -> None:
    viewer = shown(qtbot, Mode.DIVIDER)
    canvas, start = viewer.canvas, middle(viewer)
    painted = Painted(canvas)
    # taken 9 px beside the line it does not jump
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start + QPoint(9, 0))
    QTest.mouseMove(canvas, start + QPoint(9 + 40, 0))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=start + QPoint(9 + 40, 0))
    assert x_of_divider(viewer) == pytest.approx(start.x() + 40, abs=1)
    qtbot.waitUntil(lambda: bool(painted.areas))
    assert sum(area.width() * area.height() for area in painted.areas) < 100 * canvas.height()
    QTest.mouseDClick(canvas, Qt.MouseButton.LeftButton, pos=middle(viewer))
    assert canvas.divider() == 0.5


def test_arrow_keys_move_the_divider_and_not_the_playhead(qtbot: QtBot) -> None:
    viewer = shown(qtbot, Mode.DIVIDER)
    assert {Qt.Key.Key_Left, Qt.Key.Key_Right} <= viewer.canvas.NEEDED_KEYS
    QTest.keyClick(viewer.canvas, Qt.Key.Key_Left)
    assert viewer.canvas.divider() == pytest.approx(0.49)
    QTest.keyClick(viewer.canvas, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert viewer.canvas.divider() == pytest.approx(0.59)
    assert viewer.canvas.accessibleName() == "Before and after, divider at 59 %"
    with qtbot.waitSignal(viewer.leave_requested):
        QTest.keyClick(viewer.canvas, Qt.Key.Key_Escape)
    viewer.set_compare(Mode.OFF)
    assert not viewer.canvas.NEEDED_KEYS


def test_labels_tell_both_sides_and_hide_under_the_divider(qtbot: QtBot) -> None:
    viewer = shown(qtbot, Mode.DIVIDER)
    assert texts(viewer) == ["Before 832 × 480", "After Upscale 4× · 3328 × 1920"]
    seen = viewer.canvas.seen()
    before, after = (one.area for one in viewer.canvas._shown_labels())
    assert (before.left() - seen.left(), before.top() - seen.top()) == pytest.approx(
        (16, 16), abs=1
    )
    assert (seen.right() - after.right(), after.height()) == pytest.approx((16, 28), abs=1)
    viewer.canvas.set_divider(0.1)
    assert texts(viewer) == ["After Upscale 4× · 3328 × 1920"]
    viewer.canvas.set_divider(0.9)
    assert texts(viewer) == ["Before 832 × 480"]


def test_what_is_not_rendered_is_said_with_a_hatch(qtbot: QtBot) -> None:
    viewer = shown(qtbot, Mode.DIVIDER)
    viewer.set_compared("surf_cat.mp4", LABELS._replace(is_rendered=False), "stale")
    assert texts(viewer)[1] == "After not rendered here"
    assert [one.is_hatched for one in viewer.canvas._shown_labels()] == [False, True]


def test_labels_of_a_portrait_clip_stay_on_their_side(qtbot: QtBot) -> None:
    viewer = shown(qtbot, Mode.DIVIDER, 480, 848)
    seen = viewer.canvas.seen()
    before, after = viewer.canvas._shown_labels()
    assert (before.words, after.words) == ("", "")  # there is room for one word alone
    assert before.area.right() < seen.center().x() < after.area.left()


def test_side_by_side_shows_the_same_part_of_both(qtbot: QtBot) -> None:
    viewer = shown(qtbot, Mode.SIDE)
    canvas = viewer.canvas
    left, right = canvas.frame_rect(0), canvas.frame_rect(1)
    assert left.size() == right.size()
    assert left.right() < canvas.width() / 2 < right.left()
    assert side_at(viewer, left.center().x(), left.center().y()) == "before"
    assert side_at(viewer, right.center().x(), right.center().y()) == "after"
    viewer.set_zoom(100)
    QTest.mousePress(canvas, Qt.MouseButton.MiddleButton, pos=QPoint(200, 300))
    QTest.mouseMove(canvas, QPoint(150, 280))
    QTest.mouseRelease(canvas, Qt.MouseButton.MiddleButton, pos=QPoint(150, 280))
    moved_left, moved_right = canvas.frame_rect(0), canvas.frame_rect(1)
    pane = canvas.panes()[1].left()
    assert moved_left.width() * canvas.devicePixelRatioF() == pytest.approx(1920, abs=1)
    assert moved_right.left() - pane == pytest.approx(moved_left.left(), abs=1)
    assert moved_left.center().x() != pytest.approx(canvas.panes()[0].center().x(), abs=10)


def test_the_difference_is_absolute_and_amplified() -> None:
    before, after = plain(QColor(10, 100, 60)), plain(QColor(15, 90, 160))
    apart = difference(before, after).pixelColor(5, 5)
    factor = 2**DOUBLINGS
    assert (apart.red(), apart.green(), apart.blue()) == (5 * factor, 10 * factor, 255)
    assert after.pixelColor(5, 5) == QColor(15, 90, 160)
    assert difference(before, before).pixelColor(5, 5).rgb() == QColor(0, 0, 0).rgb()


def test_the_header_offers_all_ways_in_the_larger_view(qtbot: QtBot) -> None:
    viewer = shown(qtbot, Mode.OFF)
    assert viewer._compare.isVisible()
    assert not viewer._ways.isVisible()
    asked: list[Mode] = []
    viewer.compare_requested.connect(asked.append)
    viewer._compare.click()
    viewer.set_larger_view(True)
    assert viewer._ways.isVisible()
    assert not viewer._compare.isVisible()
    viewer.set_compare(Mode.SIDE)
    assert asked == [Mode.DIVIDER]
    assert viewer._title.text() == "surf_cat.mp4"
    assert viewer._chip.text() == "Fresh"
    assert viewer.strip.isVisible()
    viewer.set_larger_view(False)
    assert viewer._title.text() == "Sequence 1"
    assert not viewer.strip.isVisible()


# Pairs


def half(number: int, at: int) -> Shown:
    return Shown(plain(QColor(number, 0, 0)), Fraction(at, 25), False, "")


def test_halves_of_a_pair_meet_whatever_comes_first() -> None:
    halves = Arrivals()
    at = Fraction(3, 25)
    assert halves.add(Asked(1, 3, at, is_before=True), half(1, 3)) is None
    pair = halves.add(Asked(1, 3, at), half(2, 3))
    assert pair is not None
    assert pair.before is not None
    assert (pair.picture.pixelColor(0, 0).red(), pair.before.pixelColor(0, 0).red()) == (2, 1)
    assert len(halves) == 0


def test_halves_of_two_moments_never_make_a_pair() -> None:
    halves = Arrivals()
    halves.add(Asked(1, 0, Fraction(3, 25)), half(1, 3))
    assert halves.add(Asked(1, 0, Fraction(4, 25), is_before=True), half(2, 4)) is None
    halves.add(Asked(1, 7, Fraction(7, 25)), half(1, 7))
    halves.forget(7)
    assert halves.add(Asked(1, 7, Fraction(7, 25), is_before=True), half(2, 7)) is None


# The whole program


@pytest.fixture
def app(qapp: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """The program with a clip whose Upscale is rendered."""
    monkeypatch.setenv("REELWRIGHT_HOME", str(tmp_path / "home"))
    made = App(qapp)
    made.parts.window.show()
    made.begin([])
    yield made
    made.close()
    made.parts.window.hide()
    made.parts.window.deleteLater()
    made.deleteLater()


def pictures(app: App) -> list[Clip]:
    tracks = app.parts.editor.sequence.tracks
    return [one for track in tracks if track.kind is TrackKind.VIDEO for one in track.clips]


def pixels(image: QImage) -> NDArray[np.uint8]:
    """(H, W, 3) RGB."""
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1, 4)
    return np.ascontiguousarray(rows[:, : image.width(), 2::-1])


def test_both_sides_show_one_frame_while_scrubbing_and_playing(
    app: App, qtbot: QtBot, tmp_path: Path
) -> None:
    film = make_video(tmp_path / "film.mp4", 30)
    app.parts.window.files_dropped.emit((str(film),), "viewer")
    qtbot.waitUntil(lambda: bool(pictures(app)), timeout=PATIENCE_MS)
    clip = pictures(app)[0]
    app.inspector.add((clip.id,), "upscale", "lanczos")
    pairs: list[tuple[QImage, QImage, Fraction]] = []
    app.parts.playback.pair_ready.connect(lambda *pair: pairs.append(pair))
    window, canvas = app.parts.window, app.parts.window.viewer.canvas
    app.parts.actions["view.compare"].trigger()
    qtbot.waitUntil(lambda: bool(pairs), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: canvas.before() is not None, timeout=PATIENCE_MS)
    assert texts(window.viewer)[1] == "After not rendered here"
    foot = window.inspector._foot._compare
    assert foot.isHidden()

    app.parts.actions["effects.render"].trigger()
    qtbot.waitUntil(lambda: app.parts.states.is_fresh(pictures(app)[0]), timeout=PATIENCE_MS)
    assert not foot.isHidden()
    qtbot.waitUntil(
        lambda: texts(window.viewer) == ["Before 160 × 96", "After Upscale 2× · 320 × 192"],
        timeout=PATIENCE_MS,
    )
    pairs.clear()
    for number in (3, 21, 8, 9, 28):
        app.parts.editor.move_playhead(Fraction(number, 25))
        QTest.qWait(15)
    qtbot.waitUntil(lambda: pairs[-1:] != [] and pairs[-1][2] == Fraction(28, 25))
    still = len(pairs)
    app.viewer.go(Fraction(0))
    app.parts.actions["timeline.play"].trigger()
    qtbot.waitUntil(lambda: len(pairs) > still + 5, timeout=PATIENCE_MS)
    # a larger ring in the middle: playing goes on, in pairs
    app.parts.playback.set_size(1280, 768)
    qtbot.waitUntil(lambda: pairs[-1][0].width() == 1280, timeout=PATIENCE_MS)
    app.parts.playback.stop()
    for after, before, at in pairs:
        numbers = read_number(pixels(after)), read_number(pixels(before))
        assert numbers == (at * 25, at * 25)
        assert after.size() == before.size()
    after, before = canvas.frame(), canvas.before()
    assert after is not None
    assert before is not None
    assert read_number(pixels(after)) == read_number(pixels(before))
    assert 0 < np.abs(pixels(after).astype(int) - pixels(before)).mean() < 6

    # a press on the strip goes to that frame of the clip
    app.parts.window.set_larger_view(True)
    strip = window.viewer.strip
    assert strip.isVisible()
    body = strip.body()
    at = QPointF(body.left() + body.width() * 0.51, 20).toPoint()
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=at)
    assert app.parts.editor.playhead == Fraction(15, 25)
    qtbot.waitUntil(lambda: pairs[-1][2] == Fraction(15, 25), timeout=PATIENCE_MS)

    # Esc leads back, and the frame comes alone again
    pairs.clear()
    with qtbot.waitSignal(app.parts.playback.frame_ready, timeout=PATIENCE_MS):
        QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert not pairs
    assert canvas.mode is Mode.OFF
    assert canvas.before() is None
    assert not app.parts.actions["view.compare"].isChecked()
    window.inspector.compare_requested.emit()
    assert canvas.mode is Mode.DIVIDER
