"""Paints the timeline but for the playhead: the layers of the design, from the ground up."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen

from engine.timeline.model import Clip, Track, TrackKind
from ui import theme
from ui.timeline import overlays
from ui.timeline.clips import ClipPainter, Showing
from ui.timeline.geometry import GAP, INSET, LANE, RULER, TOP, Row, total_height
from ui.timeline.ghosts import ghost_row
from ui.timeline.hits import Hit, Zone, dissolve_span
from ui.timeline.ruler import bar_pieces, paint_lane, paint_ruler, whole
from ui.timeline.scene import Scene
from ui.timeline.states import ClipState

NO_STATE = ClipState()
EMPTY = "Drag a clip here to start the timeline"
SMALL = 16  # px; narrower clips are painted without names, pictures and round corners
SHADE = 0.55  # of the token's strength
HIDDEN, PUSHED = 0.4, 0.55  # how much shows of clips that are off, and of those an insert moves


class Painting:
    """Paints a scene; `hover` and `focus` are what the pointer and the keyboard are at."""

    def __init__(self, scene: Scene, clips: ClipPainter) -> None:
        self.scene = scene
        self.clips = clips
        self.hover = Hit()
        self.focus = ""

    def paint(self, painter: QPainter, exposed: QRectF, width: float, height: float) -> None:
        """Everything that meets `exposed`; `width`, `height` of the whole canvas."""
        self._dpr = painter.device().devicePixelRatio()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        body = QRectF(0, TOP, width, height - TOP)
        if exposed.bottom() > TOP:
            painter.save()
            painter.setClipRect(exposed.intersected(body))
            painter.translate(0, TOP - self.scene.scroll_y)
            self._paint_tracks(painter, exposed, width, height)
            painter.restore()
        if exposed.top() < TOP:
            self._paint_top(painter, exposed)
        painter.save()
        painter.setClipRect(exposed)
        self._paint_over_all(painter, width, height)
        painter.restore()

    def box(self, row: Row, left: float, right: float) -> QRectF:
        """A clip on screen, on whole device pixels; y from the top of the tracks."""
        dpr = self._dpr
        x = whole(left, dpr)
        return QRectF(x, row.clip_top, max(1 / dpr, whole(right, dpr) - x), row.clip_height)

    def _paint_tracks(
        self, painter: QPainter, exposed: QRectF, width: float, height: float
    ) -> None:
        scene = self.scene
        top = exposed.top() - TOP + scene.scroll_y
        bottom = exposed.bottom() - TOP + scene.scroll_y
        edges = (exposed.left(), exposed.right())
        seconds = (scene.scale.seconds(edges[0] - 1), scene.scale.seconds(edges[1] + 1))
        self._paint_ground(painter, edges, height + scene.scroll_y)
        rows = [row for row in scene.rows if row.bottom > top and row.top < bottom]
        tracks = {track.id: track for track in scene.sequence.tracks}
        late: list[tuple[Row, Track, int]] = []
        for row in rows:
            track = tracks.get(row.track_id)
            if track is not None:
                self._paint_clips(painter, row, track, seconds, edges, late)
        if scene.is_empty and not scene.preview.dropping:
            self._paint_empty(painter, width)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_making(painter, edges)
        for row, track, index in late:
            self._paint_clip(painter, row, track, index, edges)
        for row in rows:
            self._paint_dissolves(painter, row, tracks[row.track_id])
        for box in scene.preview.boxes:
            place = scene.row(box.track)
            if place is not None:
                left, right = scene.scale.x(box.span.start), scene.scale.x(box.span.end)
                overlays.paint_box(painter, self.box(place, left, right), box.added)
        self._shade(painter, edges, total_height(scene.rows))
        for row in rows:
            self._paint_outlines(painter, row, tracks[row.track_id], seconds)

    def _paint_ground(self, painter: QPainter, edges: tuple[float, float], height: float) -> None:
        left, width = edges[0], edges[1] - edges[0]
        painter.fillRect(QRectF(left, 0, width, height), theme.colour("track"))
        line = theme.colour("line")
        before: Row | None = None
        for row in (*self.scene.coming, *self.scene.rows):
            if row.alternate:
                ground = QRectF(left, row.top, width, row.height)
                painter.fillRect(ground, theme.colour("track_alt"))
            if before is not None and row.top > before.bottom:
                painter.fillRect(QRectF(left, before.bottom, width, GAP), theme.colour("app"))
                painter.fillRect(QRectF(left, row.top - 1, width, 1), line)
            painter.fillRect(QRectF(left, row.bottom - 1, width, 1), line)
            before = row

    def _paint_clips(
        self,
        painter: QPainter,
        row: Row,
        track: Track,
        seconds: tuple[float, float],
        edges: tuple[float, float],
        late: list[tuple[Row, Track, int]],
    ) -> None:
        """The clips of a track but the lifted ones, which go to `late`."""
        scene = self.scene
        starts, ends = scene.spans.of(track)
        speed, offset = scene.scale.px_per_second, scene.scale.offset
        lifted = scene.preview.lifted | scene.preview.ghosts
        kind = "v" if row.kind is TrackKind.VIDEO else "a"
        run: tuple[float, float] | None = None  # of clips too small to tell apart
        small: list[tuple[QRectF, bool, float]] = []
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for index in scene.spans.within(track, *seconds):
            left, right = starts[index] * speed - offset, ends[index] * speed - offset
            clip = track.clips[index]
            if right - left < 2:
                if run is not None and left - run[1] < 1:
                    run = (run[0], right)
                    continue
                self._paint_run(painter, row, run, kind)
                run = (left, right)
            elif lifted and clip.id in lifted:
                late.append((row, track, index))
            elif right - left < SMALL:
                box = self.box(row, left, right)
                small.append((box, clip.asset in scene.missing, self._strength(clip, track)))
            else:
                self._paint_clip(painter, row, track, index, edges)
        self._paint_run(painter, row, run, kind)
        if small:
            ground = "track_alt" if row.alternate else "track"
            self.clips.paint_small(painter, row, small, ground)

    def _paint_making(self, painter: QPainter, edges: tuple[float, float]) -> None:
        """Clips that jobs still make, where they will land."""
        scene = self.scene
        for ghost in scene.ghosts:
            row = ghost_row(scene, ghost)
            left, right = scene.scale.x(ghost.start), scene.scale.x(ghost.end)
            if row is not None and left < edges[1] and right > edges[0]:
                self.clips.paint_making(painter, row, self.box(row, left, right), ghost)

    def _strength(self, clip: Clip, track: Track) -> float:
        """How much of a clip shows."""
        if not clip.enabled or track.hidden:
            return HIDDEN
        return PUSHED if clip.id in self.scene.preview.pushed else 1.0

    def _paint_run(
        self, painter: QPainter, row: Row, run: tuple[float, float] | None, kind: str
    ) -> None:
        if run is not None:
            painter.fillRect(self.box(row, *run), theme.colour(f"clip_{kind}_head"))

    def _paint_clip(
        self,
        painter: QPainter,
        row: Row,
        track: Track,
        index: int,
        edges: tuple[float, float],
    ) -> None:
        scene = self.scene
        clip = track.clips[index]
        starts, ends = scene.spans.of(track)
        box = self.box(row, scene.scale.x(starts[index]), scene.scale.x(ends[index]))
        hovered = self.hover.clip == clip.id and scene.tool != "razor"
        showing = Showing(
            self._strength(clip, track),
            locked=track.locked,
            missing=clip.asset in scene.missing,
            hovered=hovered and self.hover.zone in (Zone.HEAD, Zone.TAIL),
            handles=hovered and not track.locked,
            ghost=clip.id in scene.preview.ghosts,
            ground="track_alt" if row.alternate else "track",
        )
        state = scene.states.get(clip.id, NO_STATE)
        self.clips.paint(
            painter,
            clip,
            scene.asset(clip),
            row,
            box,
            edges,
            scene.scale.px_per_second,
            state,
            showing,
        )

    def _paint_dissolves(self, painter: QPainter, row: Row, track: Track) -> None:
        if not track.transitions:
            return
        clips = {clip.id: clip for clip in track.clips}
        for transition in track.transitions:
            span = dissolve_span(track, transition, clips, self.scene.scale)
            if span is not None and span[1] - span[0] >= 3:
                box = self.box(row, *span).adjusted(0, row.strip, 0, 0)
                active = transition.left == self.scene.preview.active
                over = self.hover.transition == transition.id
                overlays.paint_dissolve(painter, box, active or over)

    def _shade(self, painter: QPainter, edges: tuple[float, float], bottom: float) -> None:
        area = self.scene.sequence.work_area
        if area is None:
            return
        shade = theme.mixed("shade", theme.colour("shade").alphaF() * SHADE)
        left = whole(self.scene.scale.x(area.start), self._dpr)
        right = whole(self.scene.scale.x(area.end), self._dpr)
        if left > edges[0]:
            painter.fillRect(QRectF(edges[0], 0, min(left, edges[1]) - edges[0], bottom), shade)
        if right < edges[1]:
            start = max(right, edges[0])
            painter.fillRect(QRectF(start, 0, edges[1] - start, bottom), shade)

    def _paint_outlines(
        self, painter: QPainter, row: Row, track: Track, seconds: tuple[float, float]
    ) -> None:
        """Selection, trim bars, the clip an effect would go onto, the keyboard's clip."""
        scene = self.scene
        wanted = scene.selection | {self.focus, self.hover.clip, scene.preview.onto}
        starts, ends = scene.spans.of(track)
        for index in scene.spans.within(track, *seconds):
            clip = track.clips[index]
            if clip.id not in wanted:
                continue
            box = self.box(row, scene.scale.x(starts[index]), scene.scale.x(ends[index]))
            selected = clip.id in scene.selection
            if selected or clip.id == scene.preview.onto:
                overlays.paint_selection(painter, box)
            if clip.id == self.focus:
                overlays.paint_focus(painter, box)
            trims = self.hover.clip == clip.id and self.hover.zone in (Zone.HEAD, Zone.TAIL)
            if trims and not track.locked and box.width() >= 12:
                token = "accent" if selected else "text"
                overlays.paint_trim_bar(painter, box, self.hover.zone is Zone.HEAD, token)

    def _paint_empty(self, painter: QPainter, width: float) -> None:
        first = next((row for row in self.scene.rows if row.label == "V1"), None)
        if first is None:
            return
        box = QRectF(8, first.top + 8, width - 16, first.height - 15).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(theme.colour("border"), 1)
        pen.setDashPattern([4, 4])
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box, 4, 4)
        painter.setPen(theme.colour("text2"))
        painter.setFont(theme.font("body"))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, EMPTY)

    def _paint_top(self, painter: QPainter, exposed: QRectF) -> None:
        scene = self.scene
        seconds = (scene.scale.seconds(exposed.left()), scene.scale.seconds(exposed.right()))
        painter.save()
        painter.setClipRect(exposed.intersected(QRectF(exposed.left(), 0, exposed.width(), TOP)))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        pieces = bar_pieces(scene.sequence, dict(scene.states), scene.spans, seconds)
        paint_lane(painter, scene.scale, pieces, exposed)
        if exposed.top() < RULER:
            paint_ruler(
                painter, scene.scale, scene.sequence.rate, scene.sequence.work_area, exposed
            )
        painter.restore()

    def _paint_over_all(self, painter: QPainter, width: float, height: float) -> None:
        scene, preview = self.scene, self.scene.preview
        bottom = min(height, TOP - scene.scroll_y + total_height(scene.rows))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if preview.snap is not None:
            x = whole(scene.scale.x(preview.snap), self._dpr)
            overlays.paint_snap_line(painter, x, bottom)
        if preview.insert is not None:
            x = whole(scene.scale.x(preview.insert), self._dpr)
            overlays.paint_insert_line(painter, x, bottom)
            self._paint_push_arrow(painter)
            if preview.hint is not None:
                self._paint_hint(painter, x, width)
        elif preview.hint is not None:
            self._paint_hint(painter, width / 2, width)
        if preview.rubber is not None:
            start, end, top, foot = preview.rubber
            left, right = scene.scale.x(start), scene.scale.x(end)
            shift = TOP - scene.scroll_y
            band = QRectF(QPointF(left, top + shift), QPointF(right, foot + shift))
            overlays.paint_rubber(painter, band)
        if preview.dropping and not (preview.hint is not None and preview.hint.icon == "error"):
            overlays.paint_frame(painter, QRectF(0, 0, width, height))

    def _paint_push_arrow(self, painter: QPainter) -> None:
        """In front of the first pushed clip, in the gap under the picture tracks."""
        scene = self.scene
        starts = [
            clip.start
            for track in scene.sequence.tracks
            for clip in track.clips
            if clip.id in scene.preview.pushed
        ]
        last = next((r for r in reversed(scene.rows) if r.kind is TrackKind.VIDEO), None)
        if starts and last is not None:
            y = TOP - scene.scroll_y + last.bottom + GAP / 2
            overlays.paint_push_arrow(painter, round(scene.scale.x(min(starts))) + 10, round(y))

    def _paint_hint(self, painter: QPainter, x: float, width: float) -> None:
        """12 right of the line in the topmost free track, or left where it would not fit."""
        hint = self.scene.preview.hint
        if hint is None:
            return
        size = overlays.HINT
        left = x + 12
        if left + size.width() > width - 4:
            left = max(4.0, x - 12 - size.width())
        row = self._free_row(left, left + size.width())
        top = TOP - self.scene.scroll_y + (row.top if row else 0)
        height = row.height if row else 68
        box = QRectF(round(left), round(top + (height - size.height()) / 2), size.width(), 0)
        box.setTop(max(box.top(), TOP + LANE / 2))
        box.setHeight(size.height())
        overlays.paint_hint(painter, box, hint.icon, hint.title, hint.line)

    def _free_row(self, left: float, right: float) -> Row | None:
        scene = self.scene
        seconds = (scene.scale.seconds(left), scene.scale.seconds(right))
        for row in scene.rows:
            free = not scene.spans.within(scene.sequence.track(row.track_id), *seconds)
            if free and row.height >= overlays.HINT.height() + 2 * INSET:
                return row
        return scene.rows[0] if scene.rows else None
