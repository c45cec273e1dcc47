"""The inspector: the selected clip, its transform and effects, its sound, and Render.

The parts that only a selected clip shows are loaded when one is selected: the window opens sooner.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QScrollArea,
    QStackedLayout,
    QWidget,
)

from engine.timeline.model import Clip, EffectUse, Project, Sequence, TrackKind
from engine.timeline.time import timecode
from ui.controls import Elided, icon_button, label
from ui.engines import EngineStates
from ui.panels import EmptyState, Fold, Header, Tabs, column, row
from ui.pictures import Picture
from ui.render_foot import RenderFoot

if TYPE_CHECKING:
    from ui.effect_card import EffectCard, UseState
    from ui.sound_page import SoundPage

NO_EFFECTS = "No effects yet. Add one with + or drag it here from Effects."
NONE_IN_COMMON = "These clips have no effect in common."
Targets = tuple[tuple[str, str], ...]  # (clip id, effect use id)


class Inspector(QFrame):
    """The right panel. One effect on several clips is told as (clip, use) pairs."""

    values_requested = Signal(object, str, object, str)  # Targets, name, value, merge key
    engine_requested = Signal(object, str)  # Targets, engine
    effect_add_requested = Signal(object, str, str)  # clip ids, kind, engine
    effect_remove_requested = Signal(object)  # Targets
    effect_reset_requested = Signal(object)  # Targets
    effect_enable_requested = Signal(object, bool)  # Targets, on
    effect_move_requested = Signal(str, str, int)  # clip id, use id, new place
    effect_copy_requested = Signal(str, str)  # clip id, use id: to the other selected clips
    transform_requested = Signal(object, object, str)  # clip ids, {field: value}, merge key
    sound_requested = Signal(object, object, str)  # clip ids, {field: value}, merge key
    render_requested = Signal(object, bool)  # clip ids, all stale ones
    cancel_requested = Signal(object)  # clip ids
    weights_requested = Signal(str)  # engine
    file_requested = Signal(object, str)  # Targets, parameter: the person wants to add a file
    compare_requested = Signal()
    transform_shown = Signal(bool)  # the Transform fold is open: show handles

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("surface", "panel")
        self.setMinimumWidth(280)
        self._sequence: Sequence | None = None
        self._pictures: list[Clip] = []
        self._sounds: list[Clip] = []
        self._cards: list[EffectCard] = []
        self._groups: list[list[tuple[str, EffectUse]]] = []
        self._states: Mapping[str, UseState] = {}
        self._engines: EngineStates = {}
        self._structure: object = None
        outer = column(self)
        header = Header(self)
        self.tabs = Tabs(("Inspector", "Sound"), header)
        self.tabs.setAccessibleName("Picture or sound")
        header.row.addWidget(self.tabs, 0, Qt.AlignmentFlag.AlignBottom)
        header.row.addStretch(1)
        outer.addWidget(header)
        body = QWidget(self)
        self._stack = QStackedLayout(body)
        self._empty = EmptyState(
            "settings", "Nothing selected", "Select a clip to see\nits settings and effects."
        )
        self._stack.addWidget(self._empty)
        outer.addWidget(body, 1)
        self._page: QScrollArea | None = None
        self._sound: SoundPage | None = None
        self._no_sound: EmptyState | None = None
        self._no_picture: EmptyState | None = None
        self._foot = RenderFoot(self)
        self._foot.render_button.render_requested.connect(
            lambda every: self.render_requested.emit(self._ids(), every)
        )
        self._foot.render_button.cancel_requested.connect(
            lambda: self.cancel_requested.emit(self._ids())
        )
        self._foot.compare_requested.connect(self.compare_requested)
        outer.addWidget(self._foot)
        self._foot.hide()
        self.tabs.currentChanged.connect(self._refresh)

    def _make_page(self) -> QScrollArea:
        """The page of a picture clip, made when one is first selected."""
        page = QScrollArea(self)
        page.setWidgetResizable(True)
        page.setFrameShape(QFrame.Shape.NoFrame)
        page.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        page.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # keeps its room
        body = QWidget(page)
        inner = column(body, (0, 8, 0, 12), 0)
        line = row(margins=(12, 0, 4, 4), gap=12)
        self._picture = Picture(64, 36, body)
        words = column(gap=0)
        self._name = Elided("", "body", 600, middle=True, parent=body)
        self._place = Elided("", "small", token="text2", tabular=True, parent=body)
        words.addWidget(self._name)
        words.addWidget(self._place)
        line.addWidget(self._picture)
        line.addLayout(words, 1)
        inner.addLayout(line)
        from ui.transform_fold import TransformFold

        self._transform = TransformFold(body)
        self._transform.value_requested.connect(self._transformed)
        self._transform.reset_requested.connect(self._reset_transform)
        self._transform.toggled.connect(self.transform_shown)
        inner.addWidget(self._transform)
        self._effects = Fold("Effects", opened=True, parent=body)
        self._effects.toggled.connect(lambda _open: self._show_summary())
        self._add = icon_button("plus", "Add an effect", side=24, parent=self._effects)
        self._add.clicked.connect(self._show_effects)
        self._effects.head_row.addWidget(self._add)
        self._effects.body.setContentsMargins(8, 0, 0, 0)
        self._effects.body.setSpacing(8)
        self._none = self._make_none()
        self._effects.body.addWidget(self._none)
        inner.addWidget(self._effects)
        inner.addStretch(1)
        page.setWidget(body)
        self._body = body
        self._line = QFrame(body)
        self._line.setProperty("surface", "accent")
        self._line.hide()
        return page

    def _make_none(self) -> QLabel:
        none = label("", "small", tone="text3")
        none.setWordWrap(True)
        none.setContentsMargins(22, 2, 8, 4)
        return none

    # What the caller shows

    def set_selection(self, project: Project, sequence_id: str, ids: frozenset[str]) -> None:
        """Shows the clips `ids` of a sequence; keeps its widgets while only values change."""
        self._sequence = project.sequence(sequence_id)
        self._pictures, self._sounds = [], []
        for track in self._sequence.tracks:
            chosen = [clip for clip in track.clips if clip.id in ids]
            (self._pictures if track.kind is TrackKind.VIDEO else self._sounds).extend(chosen)
        names = {asset.id: asset.name for asset in project.assets}
        self._names = {
            clip.id: clip.name or names.get(clip.asset, "")
            for clip in self._pictures + self._sounds
        }
        structure = (
            tuple(clip.id for clip in self._pictures),
            tuple(
                (use.id, use.kind, use.engine) for clip in self._pictures for use in clip.effects
            ),
        )
        if structure != self._structure:
            before, self._structure = self._structure, structure
            changed = not isinstance(before, tuple) or before[0] != structure[0]
            if changed and (self._pictures or self._sounds):
                self.tabs.setCurrentIndex(0 if self._pictures else 1)
            self._build_cards()
        elif not self._pictures and self._sounds and self.tabs.currentIndex() == 0:
            self.tabs.setCurrentIndex(1)
        self._refresh()

    def set_states(self, states: Mapping[str, "UseState"]) -> None:
        """States of effects by use id."""
        self._states = states
        self._show_states()

    def set_engines(self, states: EngineStates) -> None:
        """Which engines cannot run here, and which lack weights."""
        self._engines = states
        for card in self._cards:
            card.show_engines(states)

    def set_plan(self, text: str, sign: str = "chip") -> None:
        """The price before the run: «On the CPU · about 3 min · 0.6 GB»."""
        self._foot.set_plan(text, sign)

    def set_render(self, name: str, fraction: float = 0.0, clips: int = 1) -> None:
        """State: "stale", "running", "waiting", "fresh", or "" when there is nothing to render.

        `clips`: how many would be rendered.
        """
        self._foot.render_button.show_state(name, fraction, clips)

    def set_compare(self, shown: bool) -> None:
        """Whether something of the selected clip is rendered: then it can be compared."""
        self._foot.set_compare(shown)

    def set_thumbnail(self, image: QImage | None) -> None:
        if self._page is not None:
            self._picture.set_image(image, "film")

    def is_transform_open(self) -> bool:
        return self._page is not None and self._transform.is_open()

    def cards(self) -> "tuple[EffectCard, ...]":
        return tuple(self._cards)

    # Building and refreshing

    def _ids(self) -> tuple[str, ...]:
        return tuple(clip.id for clip in self._pictures)

    def _has_effects(self) -> bool:
        return any(clip.effects for clip in self._pictures)

    def _build_cards(self) -> None:
        """One card for each effect that all selected picture clips have in common."""
        for card in self._cards:
            card.hide()
            card.deleteLater()
        self._cards, self._groups = [], []
        if not self._pictures:
            return
        if self._page is None:
            self._page = self._make_page()
            self._stack.addWidget(self._page)
        from ui.effect_card import EffectCard

        for group in shared_effects(self._pictures):
            card = EffectCard(group[0][1], self._effects)
            card.show_engines(self._engines)
            self._wire(card, tuple((clip, use.id) for clip, use in group))
            self._effects.body.addWidget(card)
            self._cards.append(card)
            self._groups.append(group)
        self._none.setVisible(not self._cards)
        self._none.setText(NONE_IN_COMMON if self._has_effects() else NO_EFFECTS)

    def _wire(self, card: "EffectCard", targets: Targets) -> None:
        card.value_requested.connect(
            lambda name, value, gesture: self.values_requested.emit(
                targets, name, value, f"{targets[0][0]}/{targets[0][1]}/{name}/{gesture}"
            )
        )
        card.engine_requested.connect(lambda name: self.engine_requested.emit(targets, name))
        card.weights_requested.connect(self.weights_requested)
        card.file_requested.connect(lambda name: self.file_requested.emit(targets, name))
        card.enable_requested.connect(lambda on: self.effect_enable_requested.emit(targets, on))
        card.reset_requested.connect(lambda: self.effect_reset_requested.emit(targets))
        card.remove_requested.connect(lambda: self.effect_remove_requested.emit(targets))
        card.copy_requested.connect(lambda: self.effect_copy_requested.emit(*targets[0]))
        card.handle.setVisible(len(targets) == 1)
        card.handle.moved.connect(lambda step: self._move_card(card, step))
        card.handle.dragged.connect(lambda at, final: self._drag_card(card, at, final))

    def _refresh(self) -> None:
        on_sound = self.tabs.currentIndex() == 1
        anything = bool(self._pictures or self._sounds)
        self._foot.setVisible(not on_sound and self._has_effects())
        if not anything:
            self._stack.setCurrentWidget(self._empty)
        elif on_sound:
            self._stack.setCurrentWidget(self._sound_page())
        elif not self._pictures:
            if self._no_picture is None:
                self._no_picture = EmptyState(
                    "sound", "A sound clip", "Its gain, pan and fades\nare under Sound."
                )
                self._stack.addWidget(self._no_picture)
            self._stack.setCurrentWidget(self._no_picture)
        elif self._page is not None:
            self._stack.setCurrentWidget(self._page)
            self._refresh_page()

    def _sound_page(self) -> QWidget:
        if not self._sounds:
            if self._no_sound is None:
                self._no_sound = EmptyState(
                    "sound", "No sound here", "Select a sound clip to set\ngain, pan and fades."
                )
                self._stack.addWidget(self._no_sound)
            return self._no_sound
        if self._sound is None:
            from ui.sound_page import SoundPage

            self._sound = SoundPage(self)
            self._sound.value_requested.connect(self._sounded)
            self._stack.addWidget(self._sound)
        self._sound.show_levels([clip.sound for clip in self._sounds])
        return self._sound

    def _refresh_page(self) -> None:
        assert self._sequence is not None
        clips, rate = self._pictures, self._sequence.rate
        first = clips[0]
        if len(clips) == 1:
            self._name.set_text(self._names[first.id])
            place = f"{timecode(first.start, rate)} to {timecode(first.end, rate)}"
            self._place.set_text(f"{track_label(self._sequence, first.id)} · {place}")
        else:
            self._name.set_text(f"{len(clips)} clips")
            total = sum((clip.duration for clip in clips), start=first.duration * 0)
            self._place.set_text(f"{timecode(total, rate)} in all")
        self._transform.show_transforms(
            [clip.transform for clip in clips], self._sequence.width, self._sequence.height
        )
        fresh = {use.id: use for clip in clips for use in clip.effects}
        for place_in_list, (card, group) in enumerate(zip(self._cards, self._groups, strict=True)):
            group = [(clip, fresh[use.id]) for clip, use in group]
            self._groups[place_in_list] = group
            uses = [use for _, use in group]
            card.show_uses(uses)
        self._show_states()
        self._show_summary()

    def _show_states(self) -> None:
        if self._cards:
            from ui.effect_card import states_of

            for card, group in zip(self._cards, self._groups, strict=True):
                card.show_state(states_of([use for _, use in group], self._states))

    def _show_summary(self) -> None:
        number = len(self._cards)
        none = "differ" if self._has_effects() else "none"
        self._effects.set_summary(str(number) if number else none)

    # Wishes

    def _transformed(self, name: str, value: float, gesture: int) -> None:
        self.transform_requested.emit(self._ids(), {name: value}, f"transform/{name}/{gesture}")

    def _reset_transform(self) -> None:
        self.transform_requested.emit(
            self._ids(),
            {
                "x": 0.0,
                "y": 0.0,
                "scale": 1.0,
                "rotation": 0.0,
                "crop_left": 0.0,
                "crop_top": 0.0,
                "crop_right": 0.0,
                "crop_bottom": 0.0,
                "opacity": 1.0,
            },
            "",
        )

    def _sounded(self, name: str, value: object, gesture: int) -> None:
        ids = tuple(clip.id for clip in self._sounds)
        self.sound_requested.emit(ids, {name: value}, f"sound/{name}/{gesture}")

    def _show_effects(self) -> None:
        from ui.effect_card import effect_menu

        menu = effect_menu(
            self,
            lambda kind, engine: self.effect_add_requested.emit(self._ids(), kind, engine),
            self._engines,
        )
        menu.exec(self._add.mapToGlobal(QPoint(0, self._add.height() + 4)))
        menu.deleteLater()

    def _move_card(self, card: "EffectCard", step: int) -> None:
        place = self._cards.index(card) + step
        if 0 <= place < len(self._cards):
            self.effect_move_requested.emit(self._pictures[0].id, card.use.id, place)

    def _drag_card(self, card: "EffectCard", at: QPoint, final: bool) -> None:
        """Shows a line where the card would land; on release asks for it."""
        others = [one for one in self._cards if one is not card]
        if not others or self._page is None:
            return
        y = self._effects.content.mapFromGlobal(at).y()
        place = sum(1 for one in others if one.geometry().center().y() < y)
        if final:
            self._line.hide()
            if place != self._cards.index(card):
                self.effect_move_requested.emit(self._pictures[0].id, card.use.id, place)
            return
        target = others[min(place, len(others) - 1)]
        edge = (
            target.geometry().top() - 5 if place < len(others) else target.geometry().bottom() + 4
        )
        body = self._body
        corner = self._effects.content.mapTo(body, QPoint(8, edge))
        self._line.setGeometry(corner.x(), corner.y(), body.width() - 16, 2)
        self._line.raise_()
        self._line.show()


def shared_effects(clips: list[Clip]) -> list[list[tuple[str, EffectUse]]]:
    """For each effect that all clips have (the same kind, engine and turn), its use on each."""
    found = []
    seen: dict[tuple[str, str], int] = {}
    for use in clips[0].effects:
        key = (use.kind, use.engine)
        turn = seen[key] = seen.get(key, -1) + 1
        group = []
        for clip in clips:
            same = [one for one in clip.effects if (one.kind, one.engine) == key]
            if len(same) > turn:
                group.append((clip.id, same[turn]))
        if len(group) == len(clips):
            found.append(group)
    return found


def track_label(sequence: Sequence, clip_id: str) -> str:
    """ "V1", "A2": the track a clip lies on; picture counts from the bottom, sound from the top."""
    for kind, letter in ((TrackKind.VIDEO, "V"), (TrackKind.AUDIO, "A")):
        tracks = [track for track in sequence.tracks if track.kind is kind]
        for number, track in enumerate(tracks, 1):
            if any(clip.id == clip_id for clip in track.clips):
                return f"{letter}{number}"
    return ""
