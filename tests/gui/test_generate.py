"""Generate: the panel by real widgets, its jobs, and a whole run that lands on the timeline."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

pytest.importorskip("torch")

import msgspec
from PySide6.QtCore import QBuffer, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from desktop.app import App
from desktop.generating import Landing, gap_at, landed
from desktop.job_entry import State, lane_of
from desktop.landings import foreseen
from engine.generation import Mode
from engine.jobs import GenerateJob, ModelFiles
from engine.timeline import edits
from engine.timeline.edits import Placement
from engine.timeline.model import (
    Asset,
    Clip,
    MediaFacts,
    Project,
    Sequence,
    TrackKind,
    VideoFacts,
    new_id,
    new_project,
)
from engine.timeline.time import TimeRange
from engine.worker.messages import Device, Failed, Preview, Progress
from tests.gui.generate_host import (
    CARD,
    PATIENCE_MS,
    ghosts,
    jobs,
    link,
    opened,
    pictures,
    running,
    with_clip,
    with_weights,
)
from tests.support.media import make_video
from tests.support.wan_checkpoints import write_experts


@pytest.fixture
def app(
    qapp: QApplication, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[App]:
    with running(qapp, qtbot, tmp_path, monkeypatch) as made:
        yield made


def test_generate_takes_the_place_of_queue_and_inspector(app: App) -> None:
    window = app.parts.window
    window.show_queue(True)
    panel = opened(app)
    assert not window.is_queue_shown()
    assert not window.inspector.isVisible()
    assert panel.width() == 480
    assert window.menu_row.generate.isChecked()
    window.menu_row.queue.click()
    assert window.is_queue_shown()
    assert not window.is_generate_shown()
    assert not window.menu_row.generate.isChecked()
    assert window.queue.width() == 400


def test_the_card_of_the_empty_window_opens_it(app: App) -> None:
    app.parts.window.viewer.empty.generate_requested.emit()
    panel = app.parts.window.generate
    assert panel.isVisible()
    QTest.keyClick(panel, Qt.Key.Key_Escape)
    assert not panel.isVisible()


def test_without_a_card_it_says_why(app: App) -> None:
    app.parts.settings.change(neural_on_cpu=False)
    panel = opened(app)
    QTest.keyClicks(panel.prompt, "A cat")
    assert not panel.foot.button.isEnabled()
    assert panel.foot.plan_text() == "Generating needs an NVIDIA card"
    assert "needs an NVIDIA card" in panel.foot.button.toolTip()


def test_weights_that_lack_are_offered(app: App, qtbot: QtBot) -> None:
    app.parts.queue.device_changed.emit(CARD)
    app.parts.weights.scan()
    qtbot.waitUntil(lambda: not app.parts.weights.is_scanning, timeout=PATIENCE_MS)
    panel = opened(app)
    assert panel.foot.button.text().startswith("Get ")
    with qtbot.waitSignal(app.parts.engines.weights_wanted) as wanted:
        panel.foot.button.click()
    assert wanted.args == ["wan2.1-t2v-1.3b"]


def test_lengths_and_sizes_are_checked_while_typing(app: App) -> None:
    panel = opened(app)
    frames = panel.size_rows._frames
    frames.selectAll()
    QTest.keyClicks(frames, "82")
    assert frames.is_wrong()
    fault = panel.size_rows.faults()["frames"]
    assert fault.text() == "Length is 4n + 1 frames."
    link(panel, "frames", "85").click()
    assert app.generate.form.frames == 85
    assert not frames.is_wrong()
    assert fault.isHidden()
    edit = panel.size_rows._size.lineEdit()
    assert edit is not None
    edit.selectAll()
    QTest.keyClicks(edit, "830x470")
    assert panel.size_rows.faults()["size"].text() == "Sides are multiples of 16."
    link(panel, "size", "832 × 480").click()
    assert (app.generate.form.width, app.generate.form.height) == (832, 480)
    assert panel.size_rows.is_good()


def test_presets_fill_the_fold_and_a_change_is_custom(app: App) -> None:
    panel = opened(app)
    panel.presets.cards()["best"].click()
    assert app.generate.form.values["steps"] == 40
    assert panel.presets.cards()["best"].isChecked()
    number = panel.advanced.fields["steps"].number
    assert number is not None
    number.setFocus()
    QTest.keyClick(number, Qt.Key.Key_Up)
    assert app.generate.form.values["steps"] == 41
    assert app.generate.form.preset == "custom"
    assert not any(one.isChecked() for one in panel.presets.cards().values())
    panel.presets.cards()["balanced"].click()
    assert app.generate.form.values["steps"] == 20


def test_a_distilled_lora_sets_the_run_and_says_so(app: App) -> None:
    panel = opened(app)
    app.generate.add_lora("/w/lightx2v_4step_lora.safetensors")
    values = app.generate.form.values
    assert (values["steps"], values["shift"], values["cfg"]) == (4, 5.0, 1.0)
    assert "is distilled: 4 steps, shift 5, guidance 1." in panel.presets.note()
    assert panel.advanced.chart.steps() == 4


def test_two_experts_have_fields_of_their_own(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    app.parts.queue.pause()
    with_weights(app, qtbot, tmp_path / "old")
    panel = opened(app)
    fields = panel.advanced.fields
    assert all(fields[name].isHidden() for name in ("cfg_low", "boundary"))
    app.parts.weights.add_folder(write_experts(tmp_path / "pair"))
    qtbot.waitUntil(lambda: not app.parts.weights.is_scanning, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: not fields["cfg_low"].isHidden(), timeout=PATIENCE_MS)
    assert panel.advanced.fold.head.summary == "Wan2.2 T2V A14B"
    panel.presets.cards()["best"].click()
    QTest.keyClicks(panel.prompt, "A cat")
    panel.foot.button.click()
    (job,) = jobs(app)
    assert job.values == {
        "steps": 40,
        "shift": 12.0,
        "cfg": 4.0,
        "cfg_low": 3.0,
        "boundary": 0.875,
        "scheduler": "unipc",
    }
    assert Path(job.models.files["low"]).parent.name == "low_noise_model"
    app.generate.add_lora("/w/wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors")
    values = app.generate.form.values
    assert (values["steps"], values["cfg"], values["cfg_low"]) == (4, 1.0, 1.0)


def test_a_long_prompt_grows_the_field(app: App) -> None:
    panel = opened(app)
    assert panel.prompt.height() == 56
    app.generate._change("prompt", "a cat on a surfboard in low sun " * 40)
    assert panel.prompt.height() == 120


def test_prompts_of_before_come_back_with_alt_up(app: App) -> None:
    app.parts.settings.change(prompts=("second", "first"))
    panel = opened(app)
    QTest.keyClicks(panel.prompt, "new")
    for expected in ("second", "first", "first"):
        QTest.keyClick(panel.prompt, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
        assert panel.prompt.words() == expected
    for expected in ("second", "new"):
        QTest.keyClick(panel.prompt, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
        assert panel.prompt.words() == expected


def test_pictures_from_the_playhead_loop_and_extend(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    clip = with_clip(app, qtbot, tmp_path)
    panel = opened(app)
    panel.tabs.setCurrentIndex(1)
    assert not panel.loop.isEnabled()
    assert not panel.extend.isEnabled()
    app.parts.editor.move_playhead(Fraction(1, 5))
    panel.slots["first"]._link.click()
    first = app.generate.form.first
    assert first is not None
    assert first.time == Fraction(1, 5)
    assert panel.slots["first"]._chip.text() == "will be cropped to 832 × 480"
    panel.slots["first"]._chip.click()
    assert app.generate._knowledge.means(app.generate.form, None).size == (720, 544)
    panel.loop.click()
    assert app.generate.form.last == first
    assert app.generate.form.values["context_schedule"] == "uniform_looped"
    app.parts.editor.select({clip.id})
    qtbot.waitUntil(panel.extend.isEnabled)
    panel.extend.click()
    last = app.generate.form.first
    assert last is not None
    assert last.time == clip.source.end - Fraction(1, 25)
    assert app.generate._place is not None
    assert app.generate._place.at == clip.end
    assert app.generate.form.values["lead_in"] == 5
    assert panel.size_rows._seconds.text() == "4.8 s, 16 fps"
    panel.slots["first"]._link.click()
    assert app.generate.form.values["lead_in"] == 0


def test_a_clip_gives_what_its_effects_made(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    clip = with_clip(app, qtbot, tmp_path)
    panel = opened(app)
    panel.tabs.setCurrentIndex(1)
    app.inspector.add((clip.id,), "restyle", "ink")
    app.parts.editor.move_playhead(Fraction(1, 5))
    qtbot.waitUntil(panel.slots["first"]._link.isEnabled)
    panel.slots["first"]._link.click()
    qtbot.waitUntil(lambda: app.generate.form.first is not None, timeout=PATIENCE_MS)
    first = app.generate.form.first
    assert first is not None
    assert Path(first.path).parent == app.parts.folders.cache / "taken"
    assert (Path(first.path).suffix, first.time) == (".png", 0)
    qtbot.waitUntil(lambda: panel.slots["first"]._image is not None)
    app.parts.editor.select({clip.id})
    qtbot.waitUntil(panel.extend.isEnabled)
    panel.extend.click()
    qtbot.waitUntil(lambda: app.generate.form.first != first, timeout=PATIENCE_MS)
    last = app.generate.form.first
    assert last is not None
    assert (Path(last.path).suffix, last.time) == (".mkv", Fraction(4, 16))
    assert app.generate.form.values["lead_in"] == 5


def test_a_file_dropped_on_a_slot_goes_into_media_too(
    app: App, qtbot: QtBot, tmp_path: Path
) -> None:
    panel = opened(app)
    panel.tabs.setCurrentIndex(1)
    path = make_video(tmp_path / "given.mp4", 3, size=(64, 48))
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    keys = (Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    enter = QDragEnterEvent(QPoint(50, 30), Qt.DropAction.CopyAction, mime, *keys)
    QApplication.sendEvent(panel.slots["last"], enter)
    drop = QDropEvent(QPointF(50, 30), Qt.DropAction.CopyAction, mime, *keys)
    QApplication.sendEvent(panel.slots["last"], drop)
    qtbot.waitUntil(lambda: app.generate.form.last is not None, timeout=PATIENCE_MS)
    assert [one.name for one in app.parts.editor.project.assets] == ["given.mp4"]
    assert panel.slots["last"].given() == app.generate.form.last


def test_variations_are_jobs_with_seeds_of_their_own(
    app: App, qtbot: QtBot, tmp_path: Path
) -> None:
    app.parts.queue.pause()
    with_weights(app, qtbot, tmp_path / "weights")
    panel = opened(app)
    QTest.keyClicks(panel.prompt, "A cat, surfing.")
    app.generate._change("seed", 5)
    app.generate._change("variations", 3)
    QTest.keyClick(panel.prompt, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    made = jobs(app)
    assert [one.seed for one in made] == [5, 6, 7]
    assert [Path(one.output).name for one in made] == [
        f"a_cat_surfing_00{i}.mp4" for i in (1, 2, 3)
    ]
    assert {lane_of(one) for one in made} == {"gpu"}
    assert made[0].mode is Mode.TEXT
    assert made[0].models.family == "wan2.1-t2v-1.3b"
    assert made[0].negative is None
    assert app.parts.settings.value.prompts == ("A cat, surfing.",)


def test_a_clip_from_words_lands_at_the_playhead(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    with_clip(app, qtbot, tmp_path)
    with_weights(app, qtbot, tmp_path / "weights")
    app.parts.editor.move_playhead(Fraction(2))
    panel = opened(app)
    QTest.keyClicks(panel.prompt, "A cat")
    app.generate._change("size", (32, 32))
    app.generate._change("frames", 5)
    app.generate._change("value", ("steps", 2))
    panel.foot.button.click()
    (ghost,) = ghosts(app)
    qtbot.waitUntil(
        lambda: app.parts.queue.entries[-1].state in (State.DONE, State.FAILED),
        timeout=PATIENCE_MS,
    )
    assert app.parts.queue.entries[-1].message == ""
    qtbot.waitUntil(lambda: len(pictures(app)) == 2, timeout=PATIENCE_MS)
    clip = pictures(app)[-1]
    assert (clip.start, clip.duration) == (ghost.start, ghost.length)
    assert ghosts(app) == ()
    assert clip.start == 2
    asset = app.parts.editor.project.asset(clip.asset)
    assert asset is not None
    assert asset.made_by == "generate"
    assert asset.facts.video is not None
    assert asset.facts.video.frames == 5
    assert Path(asset.path).parent == tmp_path / "out" / "Generated"
    app.parts.editor.undo()
    assert len(pictures(app)) == 1
    assert app.parts.editor.project.asset(asset.id) is None


def test_the_price_stands_there_before_the_run(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    with_weights(app, qtbot, tmp_path / "weights")
    small = Device(kind="cuda", name="Small Card", total_bytes=1 << 30, free_bytes=1 << 28)
    app.parts.queue.device_changed.emit(small)
    panel = opened(app)
    assert panel.foot.plan_text().startswith("Needs ")
    assert panel.presets.cards()["fast"].line().startswith("10 steps · ")
    assert panel.foot._fit.isHidden()  # nothing was chosen that could be given up
    app.generate._change("value", ("blocks_to_swap", 2))
    assert not panel.foot._fit.isHidden()
    panel.foot._fit.click()
    assert app.generate.form.values["blocks_to_swap"] == 0
    assert panel.foot._fit.isHidden()


def test_a_job_leaves_to_the_plan_what_nobody_chose(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    app.parts.queue.pause()
    with_weights(app, qtbot, tmp_path / "weights")
    panel = opened(app)
    QTest.keyClicks(panel.prompt, "A cat")
    app.generate._change("value", ("quantization", "fp8_e4m3fn"))
    panel.foot.button.click()
    (job,) = jobs(app)
    assert job.values == {
        "steps": 20,
        "shift": 8.0,
        "cfg": 6.0,
        "scheduler": "unipc",
        "quantization": "fp8_e4m3fn",
    }
    app.parts.window.show_queue(True)
    (row,) = [one.job for one in app.parts.window.queue.entries()]
    assert row.title == "Text to video"
    assert row.subject == "A cat"
    assert row.icon == "generate"
    assert row.detail.startswith("On the CPU · about ")


# While it is made


def queued(app: App, qtbot: QtBot, tmp_path: Path, count: int = 1) -> list[GenerateJob]:
    """Jobs that wait, for 2 seconds on the timeline."""
    app.parts.queue.pause()
    with_weights(app, qtbot, tmp_path / "weights")
    app.parts.editor.move_playhead(Fraction(2))
    panel = opened(app)
    QTest.keyClicks(panel.prompt, "A cat")
    for _ in range(count):
        panel.foot.button.click()
    return jobs(app)


def test_a_ghost_stands_where_the_result_will_land(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    with_clip(app, qtbot, tmp_path)  # a second of 25 fps
    (job,) = queued(app, qtbot, tmp_path)
    (ghost,) = ghosts(app)
    editor = app.parts.editor
    assert ghost.words == "Text to video · waiting"
    assert (ghost.start, ghost.length) == (2, Fraction(126, 25))  # 81 frames of 16 fps
    assert ghost.track == editor.sequence.tracks[0].id
    assert len(pictures(app)) == 1
    assert editor.undo_stack.count() == 1
    # a clip is put there meanwhile: the ghost gives way to it, and comes back
    (clip,) = pictures(app)
    track = editor.sequence.tracks[0].id
    moved = Clip(new_id(), clip.asset, clip.source, Fraction(3))
    editor.apply(
        "Overwrite",
        lambda project: edits.on_sequence(
            project, "", lambda one: edits.overwrite(one, (Placement(track, moved),))
        ),
    )
    (ghost,) = ghosts(app)
    assert ghost.track != track
    editor.undo()
    assert ghosts(app)[0].track == track
    app.parts.queue.cancel(job.id)
    assert ghosts(app) == ()


def test_ghosts_of_several_jobs_stand_where_each_will_land(
    app: App, qtbot: QtBot, tmp_path: Path
) -> None:
    with_clip(app, qtbot, tmp_path)
    videos = [t.id for t in app.parts.editor.sequence.tracks if t.kind is TrackKind.VIDEO]
    made = queued(app, qtbot, tmp_path, len(videos) + 2)
    found = ghosts(app)
    assert [one.id for one in found] == [one.id for one in made]
    assert [one.track for one in found] == [*videos, "", ""]
    assert [one.coming for one in found] == [0] * len(videos) + [1, 2]
    app.parts.queue.move(made[-1].id, 0)
    assert ghosts(app)[0].id == made[-1].id
    assert ghosts(app)[0].track == videos[0]
    app.parts.window.queue.remove_requested.emit(made[0].id)
    app.parts.queue.remove(made[0].id)
    assert made[0].id not in [one.id for one in ghosts(app)]


def test_a_ghost_tells_of_its_job_and_goes_with_it(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    (job,) = queued(app, qtbot, tmp_path)
    queue = app.parts.queue
    lane = queue._lanes["gpu"]
    entry = queue.entry(job.id)
    assert entry is not None
    queue._change(entry, state=State.RUNNING)
    lane.running = job.id
    came = Progress(job=job.id, stage="denoise", done=21, total=50, stages=("denoise",))
    queue._take("gpu", lane.generation, came)
    assert ghosts(app)[0].words == "Text to video 42 %"
    assert ghosts(app)[0].picture is None
    buffer = QBuffer()
    picture = QImage(104, 60, QImage.Format.Format_RGB32)
    picture.fill(QColor(200, 40, 40))
    assert picture.save(buffer, "JPEG")
    preview = Preview(job=job.id, jpeg=bytes(buffer.data().data()), label="Step 21")
    queue._take("gpu", lane.generation, preview)
    shown = ghosts(app)[0].picture
    assert shown is not None
    assert (shown.width(), shown.height()) == (104, 60)
    app.parts.timeline.ghost_requested.emit(job.id)
    assert app.parts.window.is_queue_shown()
    queue._take("gpu", lane.generation, Failed(job=job.id, message="No.", kind="EffectError"))
    assert ghosts(app) == ()
    queue.retry(job.id)
    assert ghosts(app)[0].words == "Text to video · waiting"


def test_a_ghost_is_there_after_a_restart(
    app: App, qapp: QApplication, qtbot: QtBot, tmp_path: Path
) -> None:
    (job,) = queued(app, qtbot, tmp_path)
    before = ghosts(app)
    path = tmp_path / "film.reel"
    assert app.parts.editor.save(path)
    app.parts.queue.save()
    again = App(qapp)
    try:
        assert ghosts(again) == ()  # of another project
        again.projects.open(path)
        qtbot.waitUntil(lambda: bool(ghosts(again)), timeout=PATIENCE_MS)
        assert ghosts(again) == before
        assert ghosts(again)[0].id == job.id
    finally:
        again.close()
        again.parts.window.deleteLater()
        again.deleteLater()


def test_a_gap_that_is_gone_has_no_ghost() -> None:
    sequence = _sequence((0, 4), (6, 8))
    project = Project(sequences=(sequence,), is_set_up=True)
    track = sequence.tracks[0].id
    place = Landing(sequence=sequence.id, at=Fraction(4), track=track, room=Fraction(2))
    targets = frozenset({track})
    job = _job(81)
    found = foreseen(project, [(job, place)], targets, Fraction(5))[job.id]
    assert (found.track, found.clip.start, found.clip.duration) == (track, 4, 2)
    filler = Clip(new_id(), "a", TimeRange(Fraction(0), Fraction(1)), Fraction(5))
    filled = edits.overwrite(sequence, (Placement(track, filler),))
    gone = Project(sequences=(filled,), is_set_up=True)
    assert foreseen(gone, [(job, place)], targets, Fraction(5)) == {}
    elsewhere = Landing(sequence="another", at=Fraction(4))
    assert foreseen(project, [(job, elsewhere)], targets, Fraction(5)) == {}


def test_a_picture_to_be_is_as_long_as_stills_are() -> None:
    sequence = _sequence((0, 4))
    place = Landing(sequence=sequence.id, at=Fraction(4))
    job = msgspec.structs.replace(_job(1), mode=Mode.STILL, output="/m/a.png")
    project = Project(sequences=(sequence,), is_set_up=True)
    found = foreseen(project, [(job, place)], frozenset({sequence.tracks[0].id}), Fraction(5))
    assert found[job.id].clip.duration == 5


def _job(frames: int) -> GenerateJob:
    return GenerateJob(
        mode=Mode.TEXT,
        prompt="A cat",
        width=832,
        height=480,
        frames=frames,
        models=ModelFiles(family="wan2.1-t2v-1.3b", files={}),
        output="/m/a.mp4",
        cache="/m",
    )


# Where results land


def _asset(seconds: int) -> Asset:
    video = VideoFacts(64, 48, Fraction(16), 16 * seconds, "h264", "yuv420p")
    facts = MediaFacts(Fraction(seconds), "mp4", 1, video)
    return Asset(new_id(), "/m/made.mp4", "made.mp4", facts, "x")


def _sequence(*spans: tuple[int, int]) -> Sequence:
    """Clips on V1 from start to end, in seconds."""
    sequence = new_project().sequences[0]
    track = sequence.tracks[0].id
    clips = [
        Clip(new_id(), "a", TimeRange(Fraction(0), Fraction(end - start)), Fraction(start))
        for start, end in spans
    ]
    return edits.overwrite(sequence, tuple(Placement(track, clip) for clip in clips))


def _landed(sequence: Sequence, landing: Landing) -> tuple[Sequence, Clip | None]:
    targets = frozenset({sequence.tracks[0].id})
    return landed(sequence, _asset(3), landing, targets, Fraction(5))


def test_a_result_never_covers_a_clip() -> None:
    sequence = _sequence((0, 4))
    count = len([one for one in sequence.tracks if one.kind is TrackKind.VIDEO])
    here = Landing(sequence=sequence.id, at=Fraction(2))
    for _ in range(count):
        sequence, clip = _landed(sequence, here)
        assert clip is not None
    assert len(sequence.tracks[0].clips) == 1
    videos = [one for one in sequence.tracks if one.kind is TrackKind.VIDEO]
    assert len(videos) == count + 1
    assert all(len(one.clips) == 1 for one in videos)


def test_a_gap_is_filled_to_its_length_and_only_while_it_is_there() -> None:
    sequence = _sequence((0, 4), (6, 8))
    targets = frozenset({sequence.tracks[0].id})
    gap = gap_at(sequence, Fraction(5), targets)
    assert gap is not None
    track, left, right = gap
    assert gap_at(sequence, Fraction(1), targets) is None
    assert gap_at(sequence, Fraction(9), targets) is None
    place = Landing(sequence=sequence.id, at=left.end, track=track, room=right.start - left.end)
    filled, clip = _landed(sequence, place)
    assert clip is not None
    assert (clip.start, clip.end) == (4, 6)
    again, none = _landed(filled, place)
    assert none is None
    assert again == filled
