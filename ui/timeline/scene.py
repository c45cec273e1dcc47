"""What the timeline shows: the values it was given, its zoom, what a gesture would make of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from engine.timeline.model import Asset, Clip, Project, Sequence, new_project
from engine.timeline.time import ZERO, Time, TimeRange
from ui.timeline.geometry import Row, Scale, Spans, coming_rows, layout
from ui.timeline.ghosts import Ghost
from ui.timeline.states import ClipState

START_ZOOM = 80.0  # pixels a second


@dataclass(frozen=True)
class Box:
    """A part of a track that a gesture takes away or adds."""

    track: str
    span: TimeRange
    added: bool = False


@dataclass(frozen=True)
class Hint:
    """What a drop would do, beside the line where it would."""

    icon: str
    title: str
    line: str = ""


@dataclass(frozen=True)
class Preview:
    """What a gesture or drag shows while it lasts; `sequence` is painted in place of the real one.

    `lifted`: clips painted last. `ghosts`: clips that are not there yet. `pushed`: clips that an
    insert moves. `assets`: media of ghosts that are not in the project.
    """

    sequence: Sequence | None = None
    boxes: tuple[Box, ...] = ()
    lifted: frozenset[str] = frozenset()
    ghosts: frozenset[str] = frozenset()
    pushed: frozenset[str] = frozenset()
    assets: Mapping[str, Asset] = field(default_factory=dict)
    snap: Time | None = None
    insert: Time | None = None
    tip: str = ""
    refused: bool = False
    hint: Hint | None = None
    rubber: tuple[float, float, float, float] | None = None  # seconds from, to, y from, to
    onto: str = ""  # the clip an effect would go onto
    dropping: bool = False
    active: str = ""  # the dissolve in hand


NOTHING = Preview()


class Scene:
    """One for a timeline; its parts read it, its view writes it."""

    def __init__(self) -> None:
        self.project: Project = new_project()
        self.sequence_id = ""
        self.scale = Scale(START_ZOOM)
        self.scroll_y = 0
        self.selection: frozenset[str] = frozenset()
        self.targets: frozenset[str] = frozenset()
        self.states: Mapping[str, ClipState] = {}
        self.missing: frozenset[str] = frozenset()
        self.ghosts: tuple[Ghost, ...] = ()
        self.playhead: Time = ZERO
        self.heights: dict[str, int] = {}
        self.snapping = True
        self.linked = True
        self.still_seconds = Fraction(5)  # of a still that is dropped
        self.tool = "select"
        self.preview = NOTHING
        self.spans = Spans()
        self.assets: dict[str, Asset] = {}
        self.rows: tuple[Row, ...] = ()
        self.coming: tuple[Row, ...] = ()  # of tracks that ghosts will make
        self.arrange()

    @property
    def actual(self) -> Sequence:
        """The sequence as it is."""
        return self.project.sequence(self.sequence_id)

    @property
    def sequence(self) -> Sequence:
        """The sequence as it is shown: in a gesture, as it would become."""
        return self.preview.sequence or self.actual

    def arrange(self) -> None:
        """Rows and assets anew, after the project, a height or the ghosts changed."""
        coming = max((one.coming for one in self.ghosts), default=0)
        self.rows = layout(self.actual, self.heights, coming)
        self.coming = coming_rows(self.actual, coming)
        self.assets = {asset.id: asset for asset in self.project.assets}

    def asset(self, clip: Clip) -> Asset | None:
        return self.assets.get(clip.asset) or self.preview.assets.get(clip.asset)

    def row(self, track_id: str) -> Row | None:
        return next((row for row in self.rows if row.track_id == track_id), None)

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands on it, nor will."""
        return not self.ghosts and not any(track.clips for track in self.sequence.tracks)

    @property
    def end(self) -> Time:
        """Where the last clip ends, or the last that is being made."""
        return max((self.actual.duration, *(one.end for one in self.ghosts)))
