"""The timeline's painting, zoom, scrolling, heads and keyboard."""

from collections.abc import Iterator
from fractions import Fraction
from math import isclose

import pytest
from msgspec.structs import replace
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QContextMenuEvent, QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from engine.timeline.model import Project, Track, TrackKind, new_project
from tests.gui.timeline_host import Host, clip, sample, seconds
from ui import theme
from ui.timeline.geometry import RULER, TOP
from ui.timeline.keyboard import described
from ui.timeline.states import ClipState

CTRL = Qt.KeyboardModifier.ControlModifier
NONE = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def host(qapp: object) -> Iterator[Host]:
    made = Host(sample())
    yield made
    made.view.close()


class Wave:
    """A waveform that is as loud as it can be."""

    per_second = 100
    data = bytes([255, 128]) * 2000


def paint(host: Host) -> QImage:
    QApplication.processEvents()
    return host.canvas.grab().toImage()


def near(colour: QColor, token: str) -> bool:
    wanted = theme.colour(token)
    return all(
        abs(a - b) <= 3
        for a, b in zip(colour.getRgb(), wanted.getRgb(), strict=True)  # type: ignore[arg-type]
    )


def many(count: int) -> Project:
    """`count` clips on two tracks, a second each."""
    project = sample()
    sequence = project.sequences[0]
    row = tuple(clip(f"v{i}", "cat", seconds(i), seconds(i + 1)) for i in range(count // 2))
    low = tuple(clip(f"a{i}", "cat", seconds(i), seconds(i + 1)) for i in range(count // 2))
    tracks = (Track("v1", TrackKind.VIDEO, clips=row), Track("a1", TrackKind.AUDIO, clips=low))
    return replace(project, sequences=(replace(sequence, tracks=tracks),))


def wheel(host: Host, dy: int, x: int = 400, keys: Qt.KeyboardModifier = NONE) -> None:
    spot = QPointF(x, 100)
    event = QWheelEvent(
        spot,
        host.canvas.mapToGlobal(spot),
        QPoint(),
        QPoint(0, dy),
        Qt.MouseButton.NoButton,
        keys,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(host.canvas, event)


def test_playback_paints_no_clips(host: Host) -> None:
    paint(host)
    host.canvas.clips.painted = 0
    for frame in range(50):
        host.view.set_playhead(seconds(1, frame))
        host.canvas.repaint()
    assert host.canvas.clips.painted == 0
    picture = paint(host)
    x = round(host.canvas.scene.scale.x(seconds(1, 49)))
    assert near(picture.pixelColor(x, TOP + 100), "playhead")
    assert not near(picture.pixelColor(x - 40, TOP + 100), "playhead"), "and leaves no trace"


def test_only_what_is_in_view_is_painted(host: Host) -> None:
    host.view.set_project(many(2000), "s")
    host.zoom(100)
    host.canvas.clips.painted = 0
    host.canvas.refresh()
    paint(host)
    assert 20 <= host.canvas.clips.painted <= 32, "12 seconds on two tracks"
    host.canvas.clips.painted = 0
    host.canvas.refresh_clip("v3")
    paint(host)
    assert host.canvas.clips.painted <= 6


def test_clips_too_small_to_see_are_merged(host: Host) -> None:
    project = many(4000)
    host.view.set_project(project, "s")
    host.view.fit()
    assert host.view.px_per_second < 1
    host.canvas.clips.painted = 0
    host.canvas.refresh()
    picture = paint(host)
    assert host.canvas.clips.painted == 0
    assert near(picture.pixelColor(200, TOP + 30), "clip_v_head")


def test_thumbnails_are_asked_on_a_grid_of_the_source(host: Host) -> None:
    asked: dict[str, set[Fraction]] = {}

    def thumbnail(asset: str, at: Fraction, height: int) -> QImage | None:
        asked.setdefault(asset, set()).add(at)
        picture = QImage(80, height, QImage.Format.Format_RGB32)
        picture.fill(QColor("#ff0000"))
        return picture

    host.view.set_thumbnails(thumbnail)
    picture = paint(host)
    before = set(asked["sun"])
    spot = host.at(5, "v1")
    assert picture.pixelColor(spot).getRgb()[:3] == (255, 0, 0)  # type: ignore[index]
    step = Fraction(1, 2)  # a picture is 82 px, 0.82 s
    assert all(at % step == 0 for at in before)
    start = host.at(4, "v1") + QPoint(3, 0)
    host.drag(start, start + QPoint(30, 0), Qt.KeyboardModifier.AltModifier)
    paint(host)
    assert len(asked["sun"] - before) <= 1, "a trim asks for a new head at most"


def test_waveforms_show_peaks_and_loudness(host: Host) -> None:
    host.view.set_waveforms(lambda asset: Wave())
    picture = paint(host)
    row = host.canvas.scene.row("a1")
    assert row is not None
    x, middle = round(host.canvas.scene.scale.x(2)), TOP + row.top + 18 + 18
    assert near(picture.pixelColor(x, middle), "wave_rms")
    assert near(picture.pixelColor(x, middle - 14), "wave_peak")


def test_states_show_on_the_render_bar(host: Host) -> None:
    host.view.set_states(
        {
            "cat": ClipState("fresh", 1.0, (), "Upscale 4×", "upscale"),
            "sun": ClipState("running", 0.5, (), "Restyle", "restyle"),
            "top": ClipState("failed", 0.0, (), "Upscale 2×", "upscale"),
        }
    )
    picture = paint(host)
    y = RULER + 4
    x = host.canvas.scene.scale.x
    assert near(picture.pixelColor(round(x(1.5)), y), "accent")
    assert near(picture.pixelColor(round(x(4.5)), y), "accent")
    assert near(picture.pixelColor(round(x(5.5)), y), "accent_line")
    over = {picture.pixelColor(round(x(2.5)) + i, y).name() for i in range(16)}
    assert theme.colour("accent").name() not in over, "the worse state wins"
    assert "Failed: Upscale 2×" in host.canvas.tip_at(QPointF(x(2.5), y))


def test_missing_media_and_selection_show(host: Host) -> None:
    host.view.set_missing(frozenset(("sun",)))
    host.view.set_selection(frozenset(("cat",)))
    picture = paint(host)
    edge = host.at(1.5, "v1", 0)
    assert near(picture.pixelColor(edge.x(), edge.y() + 3), "accent")
    body = host.at(4.9, "v1")
    colours = [picture.pixelColor(body.x() + i, body.y()) for i in range(20)]
    assert all(one.red() > one.blue() for one in colours)
    assert host.canvas.tip_at(QPointF(body)) == "sun.mp4 is not where it was."


def test_both_themes_paint(host: Host) -> None:
    theme.apply(QApplication.instance(), "light")  # type: ignore[arg-type]
    picture = paint(host)
    assert near(picture.pixelColor(5, 5), "ruler")
    theme.apply(QApplication.instance(), "dark")  # type: ignore[arg-type]


def test_an_empty_timeline_says_what_to_do(qapp: object) -> None:
    host = Host(new_project())
    before = paint(host)
    row = host.canvas.scene.rows[1]
    strip = [before.pixelColor(x, TOP + row.top + 34) for x in range(400, 900)]
    assert any(near(one, "text2") for one in strip)


def test_ctrl_wheel_zooms_round_the_pointer(host: Host) -> None:
    before = host.canvas.scene.scale.seconds(700)
    speed = host.view.px_per_second
    wheel(host, 120, 700, CTRL)
    assert host.view.px_per_second > speed
    assert isclose(host.canvas.scene.scale.seconds(700), before, abs_tol=0.02)


def test_the_wheel_scrolls(host: Host) -> None:
    host.zoom(400)
    wheel(host, -120)
    assert host.canvas.scene.scale.offset == 60
    wheel(host, 240)
    assert host.canvas.scene.scale.offset == 0


def test_zoom_has_ends_and_fit_shows_all(host: Host) -> None:
    for _ in range(30):
        host.view.zoom_in()
    assert host.view.px_per_second == 600
    for _ in range(30):
        host.view.zoom_out()
    least = host.view.px_per_second
    assert least * 30 <= host.canvas.width()
    host.view.fit()
    assert host.canvas.scene.scale.x(host.sequence.duration) <= host.canvas.width()
    assert host.canvas.scene.scale.x(host.sequence.duration) >= 0.9 * host.canvas.width()


def test_plus_and_minus_zoom(host: Host) -> None:
    host.canvas.setFocus()
    speed = host.view.px_per_second
    QTest.keyClick(host.canvas, Qt.Key.Key_Plus)
    assert host.view.px_per_second == pytest.approx(speed * 1.5)
    QTest.keyClick(host.canvas, Qt.Key.Key_Minus)
    assert host.view.px_per_second == pytest.approx(speed)


def test_the_view_follows_the_playhead(host: Host) -> None:
    host.zoom(400)
    host.view.set_playhead(seconds(2, 20))
    assert host.canvas.scene.scale.offset == 0
    host.view.set_playhead(seconds(7))
    x = host.canvas.scene.scale.x(seconds(7))
    assert 0 <= x <= host.canvas.width()


def test_tracks_scroll_when_there_is_no_room(host: Host) -> None:
    host.view.resize(1344, 240)
    QApplication.processEvents()
    wheel(host, -400, keys=SHIFT)
    assert host.canvas.scene.scroll_y > 0
    assert host.view.heads.head("v2").y() < 0
    host.click(host.at(2, "v1"))
    assert host.selection == {"cat", "voice"}


def test_heads_edit_their_tracks(host: Host) -> None:
    head = host.view.heads.head("a1")
    for button, fact in ((head.speaker, "muted"), (head.solo, "solo"), (head.lock, "locked")):
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        assert getattr(host.sequence.track("a1"), fact)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        assert not getattr(host.sequence.track("a1"), fact)
    QTest.mouseClick(host.view.heads.head("v1").eye, Qt.MouseButton.LeftButton)
    assert host.sequence.track("v1").hidden
    assert host.asked[:2] == ["Mute A1", "Unmute A1"]


def test_a_badge_click_changes_the_target(host: Host) -> None:
    QTest.mouseClick(host.view.heads.head("v2").badge, Qt.MouseButton.LeftButton)
    assert host.targets == {"v2", "a1"}
    assert host.view.heads.head("v2").badge.isChecked()
    assert not host.view.heads.head("v1").badge.isChecked()
    QTest.mouseClick(host.view.heads.head("a1").badge, Qt.MouseButton.LeftButton)
    assert host.targets == {"v2"}


def test_a_double_click_renames(host: Host) -> None:
    head = host.view.heads.head("v1")
    QTest.mouseDClick(head, Qt.MouseButton.LeftButton, NONE, QPoint(60, 20))
    field = head.focusWidget()
    assert field is not None
    QTest.keyClicks(field, "Film")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert host.sequence.track("v1").name == "Film"


def test_heights_are_dragged(host: Host) -> None:
    head = host.view.heads.head("v1")
    edge = QPoint(60, head.height() - 2)
    QTest.mousePress(head, Qt.MouseButton.LeftButton, NONE, edge)
    QTest.mouseMove(head, edge + QPoint(0, 21))
    QTest.mouseRelease(head, Qt.MouseButton.LeftButton, NONE, edge + QPoint(0, 21))
    assert host.view.heads.head("v1").height() == 88
    assert host.view.heads.head("v2").height() == 68
    assert host.asked == []


def test_heads_are_made_wider(host: Host) -> None:
    heads = host.view.heads
    grip = heads.childAt(heads.width() - 2, 100)
    assert grip is not None
    QTest.mousePress(grip, Qt.MouseButton.LeftButton, NONE, QPoint(2, 100))
    QTest.mouseMove(grip, QPoint(62, 100))
    assert heads.width() == 204
    QTest.mouseMove(grip, QPoint(-500, 100))
    QTest.mouseRelease(grip, Qt.MouseButton.LeftButton, NONE, QPoint(2, 100))
    assert heads.width() == 112
    QTest.mouseDClick(grip, Qt.MouseButton.LeftButton, NONE, QPoint(2, 100))
    assert heads.width() == 144


def test_tracks_are_added_above_and_below(host: Host) -> None:
    host.view.heads.add_track(TrackKind.VIDEO)
    host.view.heads.add_track(TrackKind.AUDIO)
    assert [row.label for row in host.canvas.scene.rows] == ["V3", "V2", "V1", "A1", "A2", "A3"]


def test_walking_over_clips_by_keyboard(host: Host) -> None:
    host.view.set_selection(frozenset(("sun",)))
    host.canvas.setFocus(Qt.FocusReason.TabFocusReason)
    assert host.canvas.painting.focus == "sun", "Tab begins at the selection"
    for key, name in (
        (Qt.Key.Key_Right, "dusk"),
        (Qt.Key.Key_Right, "dusk"),
        (Qt.Key.Key_Left, "sun"),
        (Qt.Key.Key_Left, "cat"),
        (Qt.Key.Key_Up, "top"),
        (Qt.Key.Key_Down, "cat"),
        (Qt.Key.Key_Down, "voice"),
        (Qt.Key.Key_Up, "cat"),
    ):
        QTest.keyClick(host.canvas, key, CTRL)
        assert host.canvas.painting.focus == name
    QTest.keyClick(host.canvas, Qt.Key.Key_Return)
    assert host.selection == {"cat", "voice"}
    assert "selected" in host.canvas.accessibleDescription()
    QTest.keyClick(host.canvas, Qt.Key.Key_Right, CTRL)
    QTest.keyClick(host.canvas, Qt.Key.Key_Return, SHIFT)
    assert host.selection == {"cat", "voice", "sun"}


def test_a_clip_is_described_in_full(host: Host) -> None:
    host.view.set_selection(frozenset(("cat",)))
    one = host.sequence.clip("cat")
    assert one is not None
    state = ClipState("stale", 0, (), "Upscale 4×", "upscale")
    assert described(host.canvas.scene, one, state) == (
        "cat.mp4, V1, 00:00:01:00 to 00:00:03:00, Upscale 4 times, stale, selected"
    )


def test_a_menu_is_asked_for(host: Host, qapp: QApplication) -> None:
    asked: list[tuple[str, QPoint]] = []
    host.view.menu_requested.connect(lambda name, where: asked.append((name, where)))
    spot = host.at(5, "v1")
    event = QContextMenuEvent(
        QContextMenuEvent.Reason.Mouse, spot, host.canvas.mapToGlobal(spot), NONE
    )
    qapp.sendEvent(host.canvas, event)
    assert asked[0][0] == "sun"
    assert host.selection == {"sun"}


def test_every_button_has_a_name(host: Host) -> None:
    names = set(host.view.tools.buttons())
    assert {"Select", "Razor", "Ripple", "Snapping", "Linked", "Mark in", "Mark out"} <= names
    assert "" not in names
    for head in ("v1", "a1"):
        assert host.view.heads.head(head).badge.accessibleName().startswith("Target ")


def test_tab_goes_from_tools_to_heads_to_clips(host: Host) -> None:
    seen: list[str] = []
    widget: QWidget = host.view.tools.buttons()["Select"]
    for _ in range(60):
        name = widget.accessibleName()
        if name.startswith("Target ") or name in ("Fit", "Add track", "Timeline"):
            seen.append(name)
        if name == "Timeline":
            break
        widget = widget.nextInFocusChain()
    assert seen == [
        "Fit",
        "Add track",
        "Target V2",
        "Target V1",
        "Target A1",
        "Target A2",
        "Timeline",
    ]
