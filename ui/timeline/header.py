"""The heads of the tracks: target, name, lock, eye or speaker and headphones, height."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from msgspec.structs import replace
from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractButton, QLineEdit, QMenu, QToolButton, QWidget

from engine.timeline import edits
from engine.timeline.model import Sequence, Track, TrackKind
from ui import theme
from ui.controls import FROM_KEYS
from ui.timeline.geometry import GAP, LANE, RULER, TOP, Row, stepped_height
from ui.timeline.labels import elided
from ui.timeline.scene import Scene

WIDTH, NARROWEST, WIDEST = 144, 112, 240
GRAB = 5  # of the lower edge

Change: TypeAlias = Callable[[Sequence], Sequence]


class Badge(QAbstractButton):
    """V1: says whether the track is where drops and pastes go."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.setFocusPolicy(FROM_KEYS)
        self.setFixedSize(28, 20)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        fill, ink, edge = "raised", "text2", "line"
        if self.isChecked():
            fill, ink, edge = "accent_tint", "accent", "accent_line"
        if self.isDown():
            fill = "pressed"
        elif self.underMouse():
            edge = "accent" if self.isChecked() else "border"
        painter.setPen(QPen(theme.colour(edge), 1))
        painter.setBrush(theme.colour(fill))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        painter.setPen(theme.colour(ink))
        painter.setFont(theme.font("micro", 600))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.text())


class TrackHead(QWidget):
    """One track. Every change is an edit of the sequence, but target and height."""

    edited = Signal(str, object)  # text, Change
    target_toggled = Signal(str)
    height_dragged = Signal(str, int, bool)  # track, height, all of the kind

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setMouseTracking(True)
        self._track: Track | None = None
        self._row: Row | None = None
        self._press: tuple[float, int] | None = None
        self.badge = Badge(self)
        self.badge.clicked.connect(self._toggle_target)
        self.lock = self._cell(lambda track: replace(track, locked=not track.locked))
        self.eye = self._cell(lambda track: replace(track, hidden=not track.hidden))
        self.speaker = self._cell(lambda track: replace(track, muted=not track.muted))
        self.solo = self._cell(lambda track: replace(track, solo=not track.solo))
        self.solo.setCheckable(True)
        self._name = QLineEdit(self)
        self._name.setFont(theme.font("body", 500))
        self._name.setAccessibleName("Name of the track")
        self._name.hide()
        self._name.editingFinished.connect(self._finish_renaming)

    def _cell(self, change: Callable[[Track], Track]) -> QToolButton:
        cell = QToolButton(self)
        cell.setFixedSize(28, 28)
        cell.setIconSize(QSize(16, 16))
        cell.setFocusPolicy(FROM_KEYS)
        cell.clicked.connect(lambda: self._change(cell.accessibleName(), change))
        return cell

    def show_track(self, track: Track, row: Row, is_target: bool) -> None:
        self._track, self._row = track, row
        self.badge.setText(row.label)
        self.badge.setChecked(is_target)
        self.badge.setAccessibleName(f"Target {row.label}")
        self.badge.setToolTip(f"{row.label}: where clips go. Click to turn it on or off.")
        picture = track.kind is TrackKind.VIDEO
        label = row.label
        _show(
            self.lock,
            "lock" if track.locked else "unlock",
            "Unlock" if track.locked else "Lock",
            label,
            "text" if track.locked else "text2",
        )
        _show(
            self.eye,
            "eye_off" if track.hidden else "eye",
            "Show" if track.hidden else "Hide",
            label,
            "text3" if track.hidden else "text2",
        )
        _show(
            self.speaker,
            "mute" if track.muted else "volume",
            "Unmute" if track.muted else "Mute",
            label,
            "text3" if track.muted else "text2",
        )
        _show(self.solo, "headphones", "Solo off" if track.solo else "Solo", label, "text2")
        self.solo.setChecked(track.solo)
        self.eye.setVisible(picture)
        self.speaker.setVisible(not picture)
        self.solo.setVisible(not picture)
        self.setAccessibleName(f"Track {row.label} {track.name}".strip())
        self._arrange()
        self.update()

    def buttons(self) -> tuple[QAbstractButton, ...]:
        return self.badge, self.lock, self.eye, self.speaker, self.solo

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._arrange()

    def _arrange(self) -> None:
        if self._row is None:
            return
        height = self.height()
        cells = [self.lock, *([self.eye] if self._is_picture() else [self.speaker, self.solo])]
        if height >= 52:
            self.badge.move(8, 10)
            y = height - 28 - (2 if height >= 60 else 0)
            x = 6
        else:
            self.badge.move(8, (height - 20) // 2)
            y = (height - 28) // 2
            x = self.width() - 4 - 28 * len(cells)
        for number, cell in enumerate(cells):
            cell.move(x + 28 * number, y)
        self._name.setGeometry(38, self.badge.y() - 4, self.width() - 44, 28)

    def _is_picture(self) -> bool:
        return self._row is not None and self._row.kind is TrackKind.VIDEO

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._track is None or self._row is None or not self._name.isHidden():
            return
        painter = QPainter(self)
        painter.setPen(theme.colour("text3" if self._track.hidden or self._track.muted else "text"))
        painter.setFont(theme.font("body", 500))
        room = self.width() - 44 - 6
        if self.height() < 52:
            room -= 28 * (2 if self._is_picture() else 3)
        where = QRectF(44, self.badge.y(), max(0, room), 20)
        text = elided(self._track.name, "body", 500, max(0, room))
        painter.drawText(where, Qt.AlignmentFlag.AlignVCenter, text)

    def _change(self, text: str, change: Callable[[Track], Track]) -> None:
        if self._track is not None:
            after = change(self._track)
            self.edited.emit(text, lambda sequence: edits.set_track(sequence, after))

    def _toggle_target(self) -> None:
        if self._track is not None:
            self.badge.setChecked(not self.badge.isChecked())  # the owner of the targets decides
            self.target_toggled.emit(self._track.id)

    def start_renaming(self) -> None:
        if self._track is not None:
            self._name.setText(self._track.name)
            self._name.show()
            self._name.setFocus()
            self._name.selectAll()

    def _finish_renaming(self) -> None:
        if self._name.isHidden():
            return
        self._name.hide()
        self.update()
        text = self._name.text().strip()
        if self._track is not None and text and text != self._track.name:
            self._change("Rename track", lambda track: replace(track, name=text))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and not self._name.isHidden():
            self._name.hide()
            self.update()
        else:
            super().keyPressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.position().y() < self.height() - GRAB:
            self.start_renaming()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton and self._is_edge(event.position()):
            self._press = event.globalPosition().y(), self.height()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        over = self._press is not None or self._is_edge(event.position())
        self.setCursor(Qt.CursorShape.SizeVerCursor if over else Qt.CursorShape.ArrowCursor)
        if self._press is not None and self._track is not None:
            height = stepped_height(self._press[1] + event.globalPosition().y() - self._press[0])
            every = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self.height_dragged.emit(self._track.id, height, every)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._press = None

    def _is_edge(self, spot: QPointF) -> bool:
        return spot.y() >= self.height() - GRAB

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if self._track is None:
            return
        track = self._track
        menu = QMenu(self)
        menu.addAction("Rename", self.start_renaming)
        menu.addAction(
            "Delete track",
            lambda: self.edited.emit(
                "Delete track", lambda sequence: edits.remove_track(sequence, track.id)
            ),
        )
        menu.exec(event.globalPos())


def _show(cell: QToolButton, icon: str, word: str, label: str, token: str) -> None:
    cell.setIcon(theme.icon(icon, token))
    cell.setAccessibleName(f"{word} {label}")
    cell.setToolTip(f"{word} {label}")


class _Grip(QWidget):
    """The right edge of the heads, which is dragged to make them wider or narrower."""

    def __init__(self, heads: QWidget) -> None:
        super().__init__(heads)
        self._heads = heads
        self._held = 0.0  # from the pointer to the edge
        self.setCursor(Qt.CursorShape.SizeHorCursor)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._held = self.width() - event.position().x()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        wide = self._heads.mapFromGlobal(event.globalPosition()).x() + self._held
        self._heads.setFixedWidth(round(min(WIDEST, max(NARROWEST, wide))))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._heads.setFixedWidth(WIDTH)


class Heads(QWidget):
    """The column of heads, with «+ Track» beside the ruler."""

    edited = Signal(str, object)
    target_toggled = Signal(str)
    height_dragged = Signal(str, int, bool)

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = scene
        self._heads: dict[str, TrackHead] = {}
        self.follower: QWidget | None = None  # what Tab goes to after the last head
        self.setFixedWidth(WIDTH)
        self.setAccessibleName("Tracks")
        self._area = QWidget(self)  # heads are clipped to it when they scroll
        self._add = QToolButton(self)
        self._add.setText(" Track")  # the icon stands 8 px before the word
        self._add.setIcon(theme.icon("plus"))
        self._add.setIconSize(QSize(16, 16))
        self._add.setFocusPolicy(FROM_KEYS)
        self._add.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._add.setProperty("kind", "text")
        self._add.setGeometry(5, 1, 84, 26)
        self._add.setAccessibleName("Add track")
        self._add.setToolTip("Add a picture or a sound track.")
        self._add.clicked.connect(self._ask_kind)
        self._grip = _Grip(self)

    def head(self, track_id: str) -> TrackHead:
        return self._heads[track_id]

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._area.setGeometry(0, TOP, self.width(), max(0, self.height() - TOP))
        self._grip.setGeometry(self.width() - GRAB, 0, GRAB, self.height())
        self._grip.raise_()
        self.show_tracks()

    def show_tracks(self) -> None:
        """As the scene has them now."""
        scene = self._scene
        before = list(self._heads)
        kept = {row.track_id for row in scene.rows}
        for gone in [one for one in self._heads if one not in kept]:
            head = self._heads.pop(gone)
            head.hide()
            head.deleteLater()
        for row in scene.rows:
            known = self._heads.get(row.track_id)
            head = known or TrackHead(self._area)
            if known is None:
                head.edited.connect(self.edited)
                head.target_toggled.connect(self.target_toggled)
                head.height_dragged.connect(self.height_dragged)
                head.show()
                self._heads[row.track_id] = head
            head.setGeometry(0, row.top - scene.scroll_y, self.width() - 1, row.height)
            track = scene.actual.track(row.track_id)
            head.show_track(track, row, row.track_id in scene.targets)
        if list(self._heads) != before:
            self._order_focus()
        self.update()
        self._area.update()

    def _order_focus(self) -> None:
        """Tab goes from head to head, whenever they were made, and then on."""
        last: QWidget = self._add
        for row in self._scene.rows:
            for button in self._heads[row.track_id].buttons():
                QWidget.setTabOrder(last, button)
                last = button
        if self.follower is not None:
            QWidget.setTabOrder(last, self.follower)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.colour("panel"))
        line = theme.colour("line")
        width = self.width()
        shift = TOP - self._scene.scroll_y
        before: Row | None = None
        self._paint_coming(painter, shift)
        for row in self._scene.rows:
            if before is not None and row.top > before.bottom:
                gap = QRectF(0, shift + before.bottom, width, GAP)
                painter.fillRect(gap, theme.colour("app"))
                painter.fillRect(QRectF(0, shift + row.top - 1, width, 1), line)
            painter.fillRect(QRectF(0, shift + row.bottom - 1, width, 1), line)
            before = row
        if before is not None:
            foot = QRectF(0, shift + before.bottom, width, self.height())
            painter.fillRect(foot, theme.colour("track"))
        painter.fillRect(0, 0, width, TOP, theme.colour("panel"))
        painter.fillRect(0, RULER - 1, width, 1, line)
        painter.fillRect(0, RULER, width, LANE, theme.colour("app"))
        painter.fillRect(0, TOP - 1, width, 1, line)
        painter.fillRect(width - 1, 0, 1, self.height(), theme.colour("app"))

    def _paint_coming(self, painter: QPainter, shift: int) -> None:
        """What says that a track will be made for a clip that is being made."""
        for row in self._scene.coming:
            top = shift + row.top
            painter.setPen(theme.colour("text3"))
            painter.setFont(theme.font("micro", 600))
            badge = QRectF(8, top + 10, 28, 20)
            painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, row.label)
            painter.setFont(theme.font("body"))
            name = QRectF(44, top + 10, self.width() - 52, 20)
            painter.drawText(name, Qt.AlignmentFlag.AlignVCenter, "New track")
            line = QRectF(0, shift + row.bottom - 1, self.width(), 1)
            painter.fillRect(line, theme.colour("line"))

    def _ask_kind(self) -> None:
        menu = QMenu(self)
        for text, kind in (
            ("Picture track", TrackKind.VIDEO),
            ("Sound track", TrackKind.AUDIO),
        ):
            menu.addAction(text, partial(self.add_track, kind))
        menu.exec(self._add.mapToGlobal(QPoint(0, self._add.height())))

    def add_track(self, kind: TrackKind) -> None:
        self.edited.emit("Add track", lambda sequence: edits.add_track(sequence, kind))


def heights_after(scene: Scene, track_id: str, height: int, every: bool) -> dict[str, int]:
    """The heights of the tracks after one was dragged, or all of its kind."""
    heights = dict(scene.heights)
    kind = scene.actual.track(track_id).kind
    for track in scene.actual.tracks:
        if track.id == track_id or (every and track.kind is kind):
            heights[track.id] = height
    return heights
