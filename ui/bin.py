"""The media bin: tabs Media and Effects, search, tiles, and what can be done with a medium."""

from dataclasses import dataclass

from PySide6.QtCore import (
    QAbstractListModel,
    QByteArray,
    QItemSelection,
    QMimeData,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QSortFilterProxyModel,
    Qt,
    QUrl,
    Signal,
)
from PySide6.QtGui import QContextMenuEvent, QDrag, QImage, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QLineEdit,
    QListView,
    QMenu,
    QStackedLayout,
    QWidget,
)

from ui import theme
from ui.controls import icon_button, key_text, push_button
from ui.effects_browser import EffectsBrowser
from ui.engines import EngineStates
from ui.panels import EmptyState, Header, Tabs, column, row
from ui.tiles import TileDelegate, drag_picture

ASSETS_MIME = "application/x-reelwright-assets"
ROLE = Qt.ItemDataRole.UserRole
Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class MediaItem:
    """One medium as the bin shows it. `kind`: "video", "picture" or "sound".

    `duration`: timecode or ""; `meta`: «832×480 · 16 fps». `state`: "" ready, "reading" or
    "missing". `made_by`: icon of the effect that made it. `thumbnail`: of any size. `bars`: of a
    sound, how loud it is over its length, 0 to 1.
    """

    id: str
    name: str
    path: str
    kind: str
    duration: str = ""
    meta: str = ""
    is_used: bool = False
    state: str = ""
    fraction: float = 0.0
    made_by: str = ""
    thumbnail: QImage | None = None
    bars: tuple[float, ...] = ()


class MediaModel(QAbstractListModel):
    """The media, in the order they came in."""

    renamed = Signal(str, str)  # id, name

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._items: list[MediaItem] = []

    def set_items(self, items: list[MediaItem]) -> None:
        """Shows `items`; only what changed is told to the view while the ids stay the same."""
        if [one.id for one in items] == [one.id for one in self._items]:
            before, self._items = self._items, items
            for place, (old, new) in enumerate(zip(before, items, strict=True)):
                if old != new:
                    self.dataChanged.emit(self.index(place), self.index(place))
            return
        self.beginResetModel()
        self._items = items
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008  # Qt's own default
        return 0 if parent.isValid() else len(self._items)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        item = self._items[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return item.name
        if role == ROLE:
            return item
        if role == Qt.ItemDataRole.ToolTipRole:
            missing = "Missing: " if item.state == "missing" else ""
            return f"{missing}{item.name}\n{item.path}"
        if role == Qt.ItemDataRole.AccessibleTextRole:
            parts = (item.name, item.kind, item.duration, item.meta, item.state)
            return ", ".join(part for part in parts if part)
        return None

    def setData(self, index: Index, value: object, role: int = Qt.ItemDataRole.EditRole) -> bool:
        name = str(value).strip()
        item = self._items[index.row()]
        if role == Qt.ItemDataRole.EditRole and name and name != item.name:
            self.renamed.emit(item.id, name)
        return False  # the new name comes back with the project

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = (
            Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEditable
        )
        if index.isValid() and not self._items[index.row()].state:
            flags |= Qt.ItemFlag.ItemIsDragEnabled
        return flags

    def item(self, index: Index) -> MediaItem:
        return self._items[index.row()]


class TileView(QListView):
    """Tiles or rows that can be dragged, renamed and walked through by keys."""

    opened = Signal(str)
    play_requested = Signal(str)
    remove_requested = Signal(object)  # ids
    menu_requested = Signal(QPoint)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Media")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setWordWrap(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setSelectionRectVisible(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setDragEnabled(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # keeps its room
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMouseTracking(True)
        self.verticalScrollBar().setSingleStep(29)
        self.delegate = TileDelegate(self)
        self.setItemDelegate(self.delegate)
        self.set_as_list(False)

    def set_as_list(self, as_list: bool) -> None:
        self.delegate.as_list = as_list
        self.setViewportMargins(6, 0, 0, 0)
        self.setGridSize(self.delegate.cell(self.viewport().width()))
        self.scheduleDelayedItemsLayout()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.setGridSize(self.delegate.cell(self.viewport().width()))
        super().resizeEvent(event)

    def items(self) -> list[MediaItem]:
        """The selected media, in the order they are shown."""
        return [index.data(ROLE) for index in sorted(self.selectedIndexes())]

    def startDrag(self, actions: Qt.DropAction) -> None:
        items = [one for one in self.items() if not one.state]
        if not items:
            return
        mime = QMimeData()
        mime.setData(ASSETS_MIME, QByteArray("\n".join(one.id for one in items).encode()))
        mime.setUrls([QUrl.fromLocalFile(one.path) for one in items])
        drag = QDrag(self)
        drag.setMimeData(mime)
        images = [one.thumbnail for one in items if one.thumbnail is not None]
        drag.setPixmap(drag_picture(images, len(items), self.devicePixelRatioF()))
        drag.setHotSpot(QPoint(-8, -8))
        drag.exec(Qt.DropAction.CopyAction)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        items, key = self.items(), event.key()
        if items and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.opened.emit(items[0].id)
        elif items and key == Qt.Key.Key_Space:
            self.play_requested.emit(items[0].id)
        elif items and key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.remove_requested.emit(frozenset(one.id for one in items))
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.menu_requested.emit(event.globalPos())


class Bin(QFrame):
    """The left panel."""

    import_requested = Signal()
    opened = Signal(str)  # id: show it in the viewer
    play_requested = Signal(str)
    rename_requested = Signal(str, str)  # id, name
    remove_requested = Signal(object)  # frozenset of ids
    insert_requested = Signal(object)  # tuple of ids, in order
    append_requested = Signal(object)
    find_requested = Signal(str)  # a missing medium
    show_in_folder_requested = Signal(str)
    again_requested = Signal(str)  # the settings that a generated medium was made with
    selection_changed = Signal(object)  # tuple of ids
    effect_requested = Signal(str, str)  # kind, engine

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("surface", "panel")
        self.setMinimumWidth(200)
        outer = column(self)
        header = Header(self)
        header.row.setContentsMargins(12, 0, 8, 0)
        self.tabs = Tabs(("Media", "Effects"), header)
        self.tabs.setAccessibleName("Media or effects")
        self._as_list = icon_button(
            "list", "As a list", "", "Rows in place of tiles.", checkable=True, parent=header
        )
        self._add = icon_button(
            "plus", "Import", "Ctrl+I", "Adds video, pictures or sound to Media.", parent=header
        )
        header.row.addWidget(self.tabs, 0, Qt.AlignmentFlag.AlignBottom)
        header.row.addStretch(1)
        header.row.addWidget(self._as_list)
        header.row.addWidget(self._add)
        outer.addWidget(header)
        self._searching = QWidget(self)
        searching = row(self._searching, (12, 8, 12, 8))
        self._search = QLineEdit(self._searching)
        self._search.setPlaceholderText("Search media")
        self._search.setClearButtonEnabled(False)
        self._search.addAction(
            theme.icon("search", "text3"), QLineEdit.ActionPosition.LeadingPosition
        )
        self._search.setAccessibleName("Search")
        searching.addWidget(self._search)
        outer.addWidget(self._searching)
        self._body = QWidget(self)
        self._stack = QStackedLayout(self._body)
        self.view = TileView(self._body)
        self.model = MediaModel(self)
        self._found = QSortFilterProxyModel(self)
        self._found.setSourceModel(self.model)
        self._found.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.view.setModel(self._found)
        self._empty = EmptyState(
            "film", "No media yet", "Drop files or a folder here\nor press", key_text("Ctrl+I")
        )
        self._nothing = EmptyState("search", "", "")
        clear = push_button("Clear search", "quiet", parent=self._nothing)
        clear.clicked.connect(self._search.clear)
        self._nothing.foot.addWidget(clear, 0, Qt.AlignmentFlag.AlignHCenter)
        self._browser: EffectsBrowser | None = None
        self._engines: EngineStates = {}
        for page in (self.view, self._empty, self._nothing):
            self._stack.addWidget(page)
        outer.addWidget(self._body, 1)
        self._connect()
        self._refresh()

    def _connect(self) -> None:
        self._add.clicked.connect(self.import_requested)
        self._as_list.toggled.connect(self.view.set_as_list)
        self._search.textChanged.connect(self._refresh)
        self.tabs.currentChanged.connect(self._refresh)
        self.model.renamed.connect(self.rename_requested)
        self.view.opened.connect(self.opened)
        self.view.play_requested.connect(self.play_requested)
        self.view.remove_requested.connect(self.remove_requested)
        self.view.menu_requested.connect(self._show_menu)
        self.view.doubleClicked.connect(lambda index: self.opened.emit(index.data(ROLE).id))
        self.view.selectionModel().selectionChanged.connect(self._selected)

    def set_items(self, items: list[MediaItem]) -> None:
        """The media to show. A selection stays on what is still there."""
        chosen = set(self.selection())
        same = self.model.rowCount() == len(items)
        self.model.set_items(items)
        if not same and chosen:
            self.select(chosen)
        self._refresh()

    def set_engines(self, states: EngineStates) -> None:
        """Which engines cannot run here, and which lack weights."""
        self._engines = states
        if self._browser is not None:
            self._browser.set_engines(states)

    def selection(self) -> tuple[str, ...]:
        """Ids of the selected media, in the order they are shown."""
        return tuple(one.id for one in self.view.items())

    def select(self, ids: set[str] | frozenset[str]) -> None:
        """Selects the media with these ids, and shows the first."""
        self.tabs.setCurrentIndex(0)
        chosen = QItemSelection()
        for place in range(self._found.rowCount()):
            index = self._found.index(place, 0)
            if index.data(ROLE).id in ids:
                chosen.select(index, index)
        from PySide6.QtCore import QItemSelectionModel

        self.view.selectionModel().select(chosen, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        if not chosen.isEmpty() and self.view.isVisible():
            self.view.scrollTo(chosen.indexes()[0])

    def set_search(self, words: str) -> None:
        self._search.setText(words)

    def _selected(self) -> None:
        self.selection_changed.emit(self.selection())

    def _refresh(self) -> None:
        words = self._search.text().strip()
        on_effects = self.tabs.currentIndex() == 1
        self._search.setPlaceholderText("Search effects" if on_effects else "Search media")
        self._as_list.setVisible(not on_effects)
        self._add.setVisible(not on_effects)
        self._searching.setVisible(on_effects or self.model.rowCount() > 0)
        if on_effects:
            if self._browser is None:
                self._browser = EffectsBrowser(self._body)
                self._browser.effect_requested.connect(self.effect_requested)
                self._browser.set_engines(self._engines)
                self._stack.addWidget(self._browser)
            self._browser.set_search(words)
            self._stack.setCurrentWidget(self._browser)
            return
        self._found.setFilterFixedString(words)
        if self.model.rowCount() == 0:
            self._stack.setCurrentWidget(self._empty)
        elif self._found.rowCount() == 0:
            self._nothing.set_title(f"Nothing matches «{words}»")
            self._stack.setCurrentWidget(self._nothing)
        else:
            self._stack.setCurrentWidget(self.view)

    def _show_menu(self, at: QPoint) -> None:
        menu = QMenu(self)
        items = self.view.items()
        ids = tuple(one.id for one in items)
        if len(items) == 1 and items[0].state == "missing":
            menu.addAction("Find it…", lambda: self.find_requested.emit(ids[0]))
        elif items:
            menu.addAction("Open in the viewer", lambda: self.opened.emit(ids[0]))
            menu.addAction(
                theme.icon("insert"),
                "Insert at the playhead",
                lambda: self.insert_requested.emit(ids),
            )
            menu.addAction("Append to the timeline", lambda: self.append_requested.emit(ids))
        if len(items) == 1 and items[0].made_by == "generate":
            menu.addAction("Use its settings again", lambda: self.again_requested.emit(ids[0]))
        if items:
            menu.addSeparator()
            menu.addAction("Rename", lambda: self.view.edit(self.view.currentIndex()))
            if items[0].state != "missing":
                menu.addAction("Show in folder", lambda: self.show_in_folder_requested.emit(ids[0]))
            menu.addAction(
                theme.icon("trash"),
                "Remove from the project",
                lambda: self.remove_requested.emit(frozenset(ids)),
            )
            menu.addSeparator()
        menu.addAction(theme.icon("plus"), "Import…", self.import_requested.emit)
        menu.exec(at)
        menu.deleteLater()
