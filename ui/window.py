"""The main window: where every panel lies, drops from the desktop, panels beside, dialogs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPoint, Qt, QUrl, Signal
from PySide6.QtGui import (
    QAction,
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QKeyEvent,
    QResizeEvent,
    QStatusTipEvent,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDialog,
    QMainWindow,
    QWidget,
)

from ui import icons
from ui.menurow import MenuRow
from ui.panels import column, surface
from ui.statusbar import StatusBar
from ui.transport import Transport
from ui.viewer import Viewer
from ui.window_parts import DropFrame, Handle, Scrim

if TYPE_CHECKING:
    from ui.bin import Bin
    from ui.generate import GeneratePanel
    from ui.inspector import Inspector
    from ui.jobs import QueuePanel
    from ui.notice import NoticeBar

LEAST = (1120, 680)
USUAL = (1440, 900)
BIN, INSPECTOR, TIMELINE = 272, 320, 343
QUEUE, GENERATE = "queue", "generate"  # the panels beside, one at a time
SIDES = {QUEUE: 400, GENERATE: 480}
BOTH_FROM = 1760  # from this width the inspector stays beside them


class Window(QMainWindow):
    """Everything on screen.

    `timeline`: the widget for the lower part; it takes its own drops. Without it the window shows
    the menus and the viewer, and waits for `complete` with the rest: so it opens at once.
    """

    bin: "Bin"
    inspector: "Inspector"
    timeline: QWidget
    notices: "NoticeBar"

    files_dropped = Signal(object, str)  # tuple of paths, "bin", "viewer" or "window"
    close_requested = Signal(object)  # QCloseEvent: ignore it to stay open
    panel_toggled = Signal(bool)  # the queue beside
    generate_toggled = Signal(bool)

    def __init__(
        self,
        actions: Mapping[str, QAction],
        menus: Mapping[str, Sequence[str]],
        timeline: QWidget | None = None,
    ) -> None:
        super().__init__()
        self.setWindowTitle("Reelwright")
        self.setWindowIcon(icons.app_icon())
        self.setMinimumSize(*LEAST)
        self.resize(*USUAL)
        self.menu_row = MenuRow(actions, menus, self)
        self.viewer = Viewer(self)
        self.transport = Transport(self)
        self.status = StatusBar(self)
        self._queue: QueuePanel | None = None
        self._generate: GeneratePanel | None = None
        self._larger = False
        self._is_complete = False
        self._scrim: Scrim | None = None
        self._lay_out()
        for action in actions.values():
            self.addAction(action)
        if timeline is not None:
            self.complete(timeline)

    def complete(self, timeline: QWidget) -> None:
        """Puts bin, inspector, notices and timeline in their places."""
        from ui.bin import Bin
        from ui.focus import FocusRing
        from ui.inspector import Inspector
        from ui.notice import NoticeBar

        self.notices = NoticeBar(self)
        self.bin = Bin(self)
        self.inspector = Inspector(self)
        self.timeline = timeline
        self._outer.insertWidget(1, self.notices)
        for splitter, place, panel in (
            (self._upper, 0, self.bin),
            (self._upper, 2, self.inspector),
            (self._main, 1, self.timeline),
        ):
            stand_in = splitter.replaceWidget(place, panel)
            panel.show()
            if stand_in is not None:
                stand_in.deleteLater()
        self.bin.setMaximumWidth(480)
        self.inspector.setMaximumWidth(420)
        self.timeline.setMinimumHeight(160)
        self._upper.setStretchFactor(0, 0)
        self._upper.setStretchFactor(2, 0)
        self._main.setStretchFactor(1, 0)
        self._restore_upper()
        self._restore_main()
        self._frame = DropFrame(self)
        self._is_complete = True
        self._place_inspector()
        self.setAcceptDrops(True)
        self.menu_row.queue.clicked.connect(self.show_queue)
        self.menu_row.generate.clicked.connect(self.show_generate)
        self.timeline.setFocus(Qt.FocusReason.OtherFocusReason)
        app = QApplication.instance()
        if isinstance(app, QApplication):
            self._ring = FocusRing(app)

    def _lay_out(self) -> None:
        whole = QWidget(self)
        outer = self._outer = column(whole)
        outer.addWidget(self.menu_row)
        self._middle = QWidget(self)
        middle = column(self._middle)
        middle.addWidget(self.viewer, 1)
        middle.addWidget(self.transport)
        self._upper = Handle(Qt.Orientation.Horizontal, self)
        for panel in (surface("panel"), self._middle, surface("panel")):
            self._upper.addWidget(panel)
        self._upper.setStretchFactor(1, 1)
        self._main = Handle(Qt.Orientation.Vertical, self)
        self._main.addWidget(self._upper)
        self._main.addWidget(surface("panel"))
        self._main.setStretchFactor(0, 1)
        self._main.setStretchFactor(1, 0)
        self._across = Handle(Qt.Orientation.Horizontal, self)
        self._across.addWidget(self._main)
        self._across.setStretchFactor(0, 1)
        outer.addWidget(self._across, 1)
        outer.addWidget(self.status)
        self._restore_upper()
        self._restore_main()
        self._upper.watch()
        self._main.watch()
        self._upper.restored.connect(self._restore_upper)
        self._main.restored.connect(self._restore_main)
        self._upper.setMinimumHeight(240)
        self.setCentralWidget(whole)

    def _restore_upper(self) -> None:
        width = max(self._upper.width(), 900)
        self._upper.setSizes([BIN, width - BIN - INSPECTOR - 2, INSPECTOR])

    def _restore_main(self) -> None:
        height = max(self._main.height(), 500)
        self._main.setSizes([height - TIMELINE - 1, TIMELINE])

    # What the caller shows

    def set_project(self, name: str, edited: bool) -> None:
        self.menu_row.set_project(name, edited)
        self.setWindowTitle(f"{name}{' (edited)' if edited else ''} · Reelwright")

    @property
    def queue(self) -> "QueuePanel":
        """The queue panel, made when it is first asked for."""
        if self._queue is None:
            from ui.jobs import QueuePanel

            self._queue = QueuePanel(self)
            self._queue.close_requested.connect(lambda: self.show_queue(False))
            self._add_side(self._queue)
        return self._queue

    @property
    def generate(self) -> "GeneratePanel":
        """The Generate panel, made when it is first asked for."""
        if self._generate is None:
            from ui.generate import GeneratePanel

            self._generate = GeneratePanel(self)
            self._generate.close_requested.connect(lambda: self.show_generate(False))
            self._add_side(self._generate)
        return self._generate

    def _add_side(self, panel: QWidget) -> None:
        panel.setMinimumWidth(360)
        panel.setMaximumWidth(640)
        panel.hide()
        self._across.addWidget(panel)
        self._across.setStretchFactor(self._across.count() - 1, 0)

    def is_queue_shown(self) -> bool:
        return self._queue is not None and not self._queue.isHidden()

    def is_generate_shown(self) -> bool:
        return self._generate is not None and not self._generate.isHidden()

    def show_queue(self, shown: bool) -> None:
        """Opens or closes the queue at the right, in place of the inspector where it is narrow."""
        if shown and self.is_generate_shown():
            self.show_generate(False)
        self._show_side(self.queue, QUEUE, shown, self.menu_row.queue)
        self.panel_toggled.emit(shown)

    def show_generate(self, shown: bool) -> None:
        """Opens or closes Generate at the right, in place of the queue and the inspector."""
        if shown and self.is_queue_shown():
            self.show_queue(False)
        self._show_side(self.generate, GENERATE, shown, self.menu_row.generate)
        self.generate_toggled.emit(shown)

    def _show_side(self, panel: QWidget, name: str, shown: bool, button: QAbstractButton) -> None:
        had_focus = panel.isAncestorOf(QApplication.focusWidget() or self)
        was_shown = not panel.isHidden()
        panel.setVisible(shown)
        self._place_inspector()
        if shown and not was_shown:
            wide = SIDES[name]
            sizes = [wide if self._across.widget(i) is panel else 0 for i in range(3)]
            self._across.setSizes([self.width() - wide - 1, *sizes[1 : self._across.count()]])
        elif had_focus and not shown:
            button.setFocus(Qt.FocusReason.OtherFocusReason)
        button.setChecked(shown)

    def set_larger_view(self, on: bool) -> None:
        """The picture in place of bin, inspector and timeline."""
        self._larger = on
        self.bin.setHidden(on)
        self.timeline.setHidden(on)
        self._place_inspector()
        self.viewer.set_larger_view(on)

    def _place_inspector(self) -> None:
        if self._is_complete:
            beside = self.is_queue_shown() or self.is_generate_shown()
            crowded = beside and self.width() < BOTH_FROM
            self.inspector.setHidden(self._larger or crowded)

    def run_dialog(self, dialog: QDialog) -> None:
        """Shows `dialog` over the dimmed window; the focus comes back to where it was."""
        before = QApplication.focusWidget()
        self._scrim = Scrim(self)
        self._scrim.show()
        dialog.setParent(self, dialog.windowFlags() | Qt.WindowType.Dialog)
        dialog.setWindowModality(Qt.WindowModality.WindowModal)
        dialog.finished.connect(lambda _result: self._dialog_done(before))
        corner = self.mapToGlobal(QPoint(0, 0))
        dialog.move(
            corner.x() + (self.width() - dialog.width()) // 2,
            corner.y() + (self.height() - dialog.height()) // 2,
        )
        dialog.open()

    def _dialog_done(self, before: QWidget | None) -> None:
        if self._scrim is not None:
            self._scrim.deleteLater()
            self._scrim = None
        if before is not None and before.isVisible():
            before.setFocus(Qt.FocusReason.OtherFocusReason)

    def panels(self) -> list[QWidget]:
        """The panels in the order F6 goes through them."""
        found = [
            self.notices, self.menu_row, self.bin, self.viewer, self.transport, self.inspector,
            self.timeline, self.status,
        ]  # fmt: skip
        found[4:4] = [one for one in (self._generate, self._queue) if one is not None]
        return [one for one in found if one.isVisible()]

    def focus_panel(self, step: int) -> None:
        """Puts the focus into the next (+1) or previous (-1) panel that can take it."""
        panels = self.panels()
        focus = QApplication.focusWidget()
        now = next(
            (
                i
                for i, one in enumerate(panels)
                if focus and (one is focus or one.isAncestorOf(focus))
            ),
            -1 if step > 0 else 0,
        )
        for i in range(1, len(panels) + 1):
            panel = panels[(now + step * i) % len(panels)]
            target = first_focus(panel)
            if target is not None:
                target.setFocus(Qt.FocusReason.ShortcutFocusReason)
                return

    # Events

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QStatusTipEvent):
            self.status.show_tip(event.tip())
            return True
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            from ui.keys import needs_key

            if needs_key(QApplication.focusWidget(), event):
                event.accept()  # it comes to the control as a plain key
                return True
        return super().event(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_inspector()
        if self._scrim is not None:
            self._scrim.setGeometry(self.rect())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.is_queue_shown():
            self.show_queue(False)
            return
        if event.key() == Qt.Key.Key_Escape and self.is_generate_shown():
            self.show_generate(False)
            return
        super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.close_requested.emit(event)

    # Files from the desktop

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls() and event.source() is None:
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self._aim(event.position().toPoint())

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        self._aim(event.position().toPoint())

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self._aim(None)

    def dropEvent(self, event: QDropEvent) -> None:
        where = self._aim(event.position().toPoint())
        self._aim(None)
        paths = local_paths(event.mimeData().urls())
        if paths:
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self.files_dropped.emit(paths, where)

    def _aim(self, at: QPoint | None) -> str:
        """Frames the panel under the pointer and gives its name."""
        panel, where = self._target(at)
        empty = self.viewer.is_empty()
        self.viewer.empty.set_target(at is not None and where != "bin")
        if panel is None or (where != "bin" and empty):
            self._frame.hide()
        else:
            self._frame.put_round(panel)
        return where

    def _target(self, at: QPoint | None) -> tuple[QWidget | None, str]:
        if at is None:
            return None, ""
        for panel, where in ((self.bin, "bin"), (self._middle, "viewer")):
            if panel.isVisible() and panel.rect().contains(panel.mapFrom(self, at)):
                return panel, where
        return self._across, "window"


def first_focus(panel: QWidget) -> QWidget | None:
    """The first child (or the panel) that takes the focus by Tab."""
    candidates = [panel, *panel.findChildren(QWidget)]
    return next(
        (
            one
            for one in candidates
            if one.focusPolicy() & Qt.FocusPolicy.TabFocus and one.isVisible() and one.isEnabled()
        ),
        None,
    )


def local_paths(urls: list[QUrl]) -> tuple[str, ...]:
    """The files and folders among `urls`."""
    return tuple(str(Path(url.toLocalFile())) for url in urls if url.isLocalFile())
