"""The timeline for screen readers: a list, and a list item for each clip in view."""

from PySide6.QtCore import QObject, QPoint, QRect
from PySide6.QtGui import QAccessible, QAccessibleEvent, QAccessibleInterface, QColor, QWindow

from engine.timeline.model import Clip
from ui.timeline.canvas import Canvas
from ui.timeline.hand import clip_area
from ui.timeline.keyboard import described


def visible_clips(canvas: Canvas) -> list[Clip]:
    """The clips in view, row by row from the top, left to right."""
    scene = canvas.scene
    seconds = (scene.scale.seconds(0), scene.scale.seconds(canvas.width()))
    found: list[Clip] = []
    for row in scene.rows:
        track = scene.sequence.track(row.track_id)
        found += [track.clips[index] for index in scene.spans.within(track, *seconds)]
    return found


class _Part(QAccessibleInterface):
    """What both kinds have in common: colours and text that cannot be set."""

    def setText(self, kind: QAccessible.Text, text: str) -> None:
        """Names come from the project."""

    def foregroundColor(self) -> QColor:
        return QColor()

    def backgroundColor(self) -> QColor:
        return QColor()


class ClipItem(_Part):
    """A clip, by its id; not valid any more once the clip is gone."""

    def __init__(self, owner: "TimelineList", clip_id: str) -> None:
        super().__init__()
        self._owner, self._id = owner, clip_id

    def _clip(self) -> Clip | None:
        return self._owner.canvas.scene.sequence.clip(self._id)

    def isValid(self) -> bool:
        return self._owner.isValid() and self._clip() is not None

    def object(self) -> QObject | None:  # type: ignore[override]  # an item has no object of its own
        return None

    def window(self) -> QWindow:
        return self._owner.window()

    def parent(self) -> QAccessibleInterface:
        return self._owner

    def child(self, index: int) -> QAccessibleInterface | None:  # type: ignore[override]  # or none
        return None

    def childAt(self, x: int, y: int) -> QAccessibleInterface | None:  # type: ignore[override]
        return None

    def childCount(self) -> int:
        return 0

    def indexOfChild(self, child: QAccessibleInterface) -> int:
        return -1

    def text(self, kind: QAccessible.Text) -> str:
        clip = self._clip()
        if clip is None or kind is not QAccessible.Text.Name:
            return ""
        scene = self._owner.canvas.scene
        return described(scene, clip, scene.states.get(clip.id))

    def rect(self) -> QRect:
        canvas = self._owner.canvas
        area = clip_area(canvas.scene, self._id)
        if area is None:
            return QRect()
        seen = area.toAlignedRect() & canvas.rect()
        return QRect(canvas.mapToGlobal(seen.topLeft()), seen.size())

    def role(self) -> QAccessible.Role:
        return QAccessible.Role.ListItem

    def state(self) -> QAccessible.State:
        canvas = self._owner.canvas
        made = QAccessible.State()
        made.selectable = True
        made.selected = self._id in canvas.scene.selection
        made.focusable = True
        made.focused = canvas.hasFocus() and canvas.painting.focus == self._id
        return made


class TimelineList(_Part):
    """The canvas. It keeps its items, so that they live as long as anybody may ask for them."""

    def __init__(self, canvas: Canvas) -> None:
        super().__init__()
        self.canvas = canvas
        self._items: dict[str, ClipItem] = {}
        self._is_alive = True
        canvas.destroyed.connect(self._end)

    def _end(self) -> None:
        self._is_alive = False

    def item(self, clip_id: str) -> ClipItem:
        return self._items.setdefault(clip_id, ClipItem(self, clip_id))

    def isValid(self) -> bool:
        return self._is_alive

    def object(self) -> QObject:
        return self.canvas

    def window(self) -> QWindow:
        return self.canvas.window().windowHandle()

    def parent(self) -> QAccessibleInterface:
        return QAccessible.queryAccessibleInterface(self.canvas.parentWidget() or self.canvas)

    def child(self, index: int) -> QAccessibleInterface | None:  # type: ignore[override]  # or none
        clips = visible_clips(self.canvas)
        return self.item(clips[index].id) if 0 <= index < len(clips) else None

    def childAt(self, x: int, y: int) -> QAccessibleInterface | None:  # type: ignore[override]
        spot = self.canvas.mapFromGlobal(QPoint(x, y))
        under = self.canvas.hand.hit(spot.toPointF())
        return self.item(under.clip) if under.clip else None

    def focusChild(self) -> QAccessibleInterface | None:  # type: ignore[override]  # or none
        focus = self.canvas.painting.focus
        return self.item(focus) if focus else None

    def childCount(self) -> int:
        return len(visible_clips(self.canvas))

    def indexOfChild(self, child: QAccessibleInterface) -> int:
        ids = [clip.id for clip in visible_clips(self.canvas)]
        wanted = next((name for name, one in self._items.items() if one is child), "")
        return ids.index(wanted) if wanted in ids else -1

    def text(self, kind: QAccessible.Text) -> str:
        if kind is QAccessible.Text.Name:
            return "Timeline"
        return self.canvas.accessibleDescription() if kind is QAccessible.Text.Description else ""

    def rect(self) -> QRect:
        return QRect(self.canvas.mapToGlobal(QPoint()), self.canvas.size())

    def role(self) -> QAccessible.Role:
        return QAccessible.Role.List

    def state(self) -> QAccessible.State:
        made = QAccessible.State()
        made.focusable = True
        made.focused = self.canvas.hasFocus()
        return made


_lists: dict[int, TimelineList] = {}  # by canvas: Qt keeps no reference to what Python made


def _interface(key: str, thing: QObject) -> QAccessibleInterface | None:
    if not isinstance(thing, Canvas):
        return None
    key_of_it = id(thing)
    made = _lists[key_of_it] = TimelineList(thing)
    thing.destroyed.connect(lambda: _lists.pop(key_of_it, None))
    return made


def install() -> None:
    """From now on canvases have an interface; once for the program."""
    global _installed
    if not _installed:
        _installed = True
        QAccessible.installFactory(_interface)


_installed = False


def focus_moved(canvas: Canvas, clip_id: str) -> None:
    """Tells who listens that the keyboard went to another clip."""
    if not clip_id or not QAccessible.isActive():
        return
    event = QAccessibleEvent(canvas, QAccessible.Event.Focus)
    ids = [clip.id for clip in visible_clips(canvas)]
    if clip_id in ids:
        event.setChild(ids.index(clip_id))
    QAccessible.updateAccessibility(event)
