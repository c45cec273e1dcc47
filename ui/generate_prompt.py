"""The prompt: a field that grows with its words, and those written before."""

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QResizeEvent, QTextBlockFormat, QTextCursor
from PySide6.QtWidgets import QSizePolicy, QTextEdit, QWidget

from ui import theme

LEAST, MOST = 56, 120
LINE = 20  # px of a line
SPARE = 3  # px above and below what is scrolled, which leaves it room for whole lines


class PromptField(QTextEdit):
    """Plain words in lines of 20 px; 56 high, up to 120 where there are more."""

    edited = Signal(str)
    finished = Signal()
    step_requested = Signal(int)  # -1: the prompt before, 1: the one after

    def __init__(self, name: str, hint: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "prompt")
        self.setAccessibleName(name)
        self.setPlaceholderText(hint)
        self.setAcceptRichText(False)
        self.setTabChangesFocus(True)
        self.setFont(theme.font("body"))
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.document().setDocumentMargin(2)
        self.setFixedHeight(LEAST)
        self._lines()
        self.textChanged.connect(self._changed)

    def words(self) -> str:
        return self.toPlainText()

    def set_words(self, text: str) -> None:
        """Shows a text; says nothing to listeners."""
        if text != self.toPlainText():
            self.blockSignals(True)
            self.setPlainText(text)
            self._lines()
            self.moveCursor(QTextCursor.MoveOperation.End)
            self.blockSignals(False)
            self._grow()

    def sizeHint(self) -> QSize:
        return QSize(200, self.height())

    def _lines(self) -> None:
        """Gives every line its height."""
        self.document().blockSignals(True)
        cursor = QTextCursor(self.document())
        cursor.select(QTextCursor.SelectionType.Document)
        form = QTextBlockFormat()
        form.setLineHeight(LINE, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
        cursor.mergeBlockFormat(form)
        self.document().blockSignals(False)

    def _changed(self) -> None:
        self._grow()
        self.edited.emit(self.toPlainText())

    def _grow(self) -> None:
        wanted = round(self.document().size().height()) + 12
        height = min(MOST, max(LEAST, wanted))
        always = Qt.ScrollBarPolicy.ScrollBarAsNeeded
        never = Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self.setVerticalScrollBarPolicy(always if wanted > MOST else never)
        spare = SPARE if wanted > MOST else 0
        self.setViewportMargins(0, spare, 0, spare)  # scrolled, no line is cut
        if height != self.height():
            self.setFixedHeight(height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._grow()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        alt = event.modifiers() & Qt.KeyboardModifier.AltModifier
        step = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()))
        if alt and step is not None:
            self.step_requested.emit(step)
        elif event.key() == Qt.Key.Key_Escape:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.finished.emit()
