"""The Generate panel: every option within reach, at every width, and settings used again."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

pytest.importorskip("torch")

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QScrollArea, QWidget

from desktop.app import App
from desktop.generate_price import generate_line
from desktop.generating import job_of
from desktop.job_entry import State
from engine.generation import NEGATIVE, Mode
from engine.jobs import GenerateJob, ModelFiles
from engine.lora_words import block_words, blocks_of
from engine.timeline.parameters import choice, flag, integer
from engine.wan_parameters import PARAMETERS
from engine.wan_rules import latent_frames
from engine.worker.messages import Failed
from engine.worker.wan_settings import _windows
from tests.gui.generate_host import (
    CARD,
    PATIENCE_MS,
    jobs,
    opened,
    pictures,
    running,
    with_clip,
    with_weights,
)
from ui.generate import GeneratePanel
from ui.generate_advanced import AdvancedFold
from ui.generate_form import Form, LoraGiven, Means
from ui.generate_lists import guidance_of, numbers_of, timesteps_of


@pytest.fixture
def app(
    qapp: QApplication, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[App]:
    with running(qapp, qtbot, tmp_path, monkeypatch) as made:
        yield made


def unfolded(app: App) -> GeneratePanel:
    panel = opened(app)
    panel.advanced.fold.set_open(True)
    panel.advanced.more.set_open(True)
    QApplication.processEvents()
    return panel


def typed(field: QLineEdit, text: str) -> None:
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, text)


# Within reach


def test_the_fold_has_every_parameter_with_its_help(app: App) -> None:
    panel = unfolded(app)
    for one in PARAMETERS:
        field = panel.advanced.fields[one.name]
        assert field.isVisible(), one.name
        assert one.help in field.toolTip()


def test_what_is_new_in_the_table_is_within_reach_by_itself(
    qapp: QApplication, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    more = (
        flag("a_new_flag", "New", False, "Something new."),
        integer("a_new_number", "Number", 3, 0, 9, "A number."),
        choice("compile_backend", "Backend", "a", "Which one.", ("a", "A"), ("b", "B")),
    )
    monkeypatch.setattr("ui.generate_advanced.PARAMETERS", (*PARAMETERS, *more))
    fold = AdvancedFold()
    qtbot.addWidget(fold)
    fold.show()
    fold.fold.set_open(True)
    fold.more.set_open(True)
    values = {one.name: one.default for one in (*PARAMETERS, *more)}
    fold.show_form(Form(values={**values, "a_new_number": 7}), Means())
    assert set(fold.fields) == set(values)
    assert all(fold.fields[one.name].isVisible() for one in more)
    number = fold.fields["a_new_number"].number
    assert number is not None
    assert number.value() == 7
    with qtbot.waitSignal(fold.changed) as said:
        number.setFocus()
        QTest.keyClick(number, Qt.Key.Key_Up)
    assert said.args == ["a_new_number", 8]


@pytest.mark.parametrize("width", [360, 480, 640])
def test_nothing_is_cut_off_at_any_width(app: App, width: int) -> None:
    panel = unfolded(app)
    app.generate.add_lora("/w/" + "a_long_name_" * 8 + ".safetensors")
    panel.advanced.loras.rows[0].more.setChecked(True)
    panel.setFixedWidth(width)
    for tab in range(3):
        panel.tabs.setCurrentIndex(tab)
        QApplication.processEvents()
        area = panel.findChild(QScrollArea)
        assert area is not None
        page = area.widget()
        assert page.width() == area.viewport().width()
        assert page.minimumSizeHint().width() <= page.width()
        for child in page.findChildren(QWidget):
            if child.isVisible():
                right = child.mapTo(page, QPoint(child.width(), 0)).x()
                assert right <= page.width(), (type(child), child.accessibleName())
        assert sum(panel.tabs.tabRect(i).width() for i in range(3)) <= panel.tabs.width() + 20


def test_a_list_of_guidance_is_each_step_its_own(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    app.parts.queue.pause()
    with_weights(app, qtbot, tmp_path / "weights")
    panel = unfolded(app)
    app.generate._change("prompt", "A cat")
    field = panel.advanced.lists["guidance"]
    typed(field, "6, 6, x")
    assert field.fault()
    assert not panel.foot.button.isEnabled()
    typed(field, "6, 6, 1")
    assert app.generate.form.guidance == (6, 6, 1)
    assert app.generate.form.preset == "custom"
    assert not panel.advanced.fields["cfg"].isEnabled()
    panel.foot.button.click()
    assert jobs(app)[0].guidance == (6, 6, 1)
    panel.presets.cards()["fast"].click()
    assert app.generate.form.guidance == ()
    assert field.text() == ""


def test_own_timesteps_are_the_run_the_chart_and_the_price(
    app: App, qtbot: QtBot, tmp_path: Path
) -> None:
    app.parts.queue.pause()
    app.parts.queue.device_changed.emit(CARD)
    with_weights(app, qtbot, tmp_path / "weights")
    panel = unfolded(app)
    app.generate._change("prompt", "A cat")
    before = panel.foot.plan_text()
    field = panel.advanced.lists["timesteps"]
    typed(field, "500, 750")
    assert "fall" in field.fault()
    assert app.generate.form.timesteps == (500, 75)  # the last that was a list
    typed(field, "1000, 750, 500, 250")
    assert app.generate.form.timesteps == (1000, 750, 500, 250)
    assert panel.advanced.chart.steps() == 4
    assert not panel.advanced.fields["steps"].isEnabled()
    assert panel.foot.plan_text() != before
    panel.foot.button.click()
    (job,) = jobs(app)
    assert job.timesteps == (1000, 750, 500, 250)
    assert generate_line(job, app.parts.engines.device()) == panel.foot.plan_text()


def test_a_lora_has_strengths_by_step_and_blocks(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    app.parts.queue.pause()
    with_weights(app, qtbot, tmp_path / "weights")
    panel = unfolded(app)
    app.generate._change("prompt", "A cat")
    app.generate.add_lora("/w/style.safetensors")
    line = panel.advanced.loras.rows[0]
    assert not line.by_step.isVisible()
    line.more.click()
    typed(line.by_step, "1, 1, 0.5")
    typed(line.blocks, "0-3, 8")
    assert not line.strength.isEnabled()
    panel.foot.button.click()
    (lora,) = jobs(app)[0].loras
    assert lora.strength == (1, 1, 0.5)
    assert lora.blocks == (0, 1, 2, 3, 8)
    typed(line.blocks, "3-1")
    assert not panel.foot.button.isEnabled()
    assert "Blocks are numbers" in panel.foot.button.toolTip()


def test_latents_go_in_and_out(
    app: App, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.parts.queue.pause()
    with_weights(app, qtbot, tmp_path / "weights")
    panel = unfolded(app)
    app.generate._change("prompt", "A cat")
    strength = panel.advanced.fields["denoise_strength"]
    assert not strength.isEnabled()
    monkeypatch.setattr(
        "desktop.presenters.generate.QFileDialog.getOpenFileName",
        lambda *_: ("/w/before.latents.safetensors", ""),
    )
    panel.advanced.samples_requested.emit()
    assert panel.advanced.latents.file.text() == "before.latents.safetensors"
    assert strength.isEnabled()
    app.generate._change("value", ("denoise_strength", 60.0))
    panel.advanced.latents.keep.click()
    panel.foot.button.click()
    (job,) = jobs(app)
    assert job.samples == "/w/before.latents.safetensors"
    assert job.values["denoise_strength"] == 60
    assert Path(job.latents) == Path(job.output).with_suffix(".latents.safetensors")
    panel.advanced.latents.away.click()
    assert app.generate.form.samples == ""


def test_attention_is_chosen_for_a_run(app: App) -> None:
    app.parts.engines.card = CARD_WITH_MODES
    panel = unfolded(app)
    field = panel.advanced.attention
    shown = [field.itemText(i) for i in range(field.count())]
    assert shown == ["As preferred", "Automatic", "sdpa", "sage"]
    assert "not installed" in field.itemData(3, Qt.ItemDataRole.ToolTipRole)
    field.activated.emit(2)
    form = app.generate.form
    assert form.attention == "sdpa"
    parts = app.parts
    models = ModelFiles(family="wan2.1-t2v-1.3b", files={"transformer": "/w/a"})
    made = job_of(form, models, parts.settings.value, parts.folders, Path("/o/a.mp4"))
    assert made.options.attention == "sdpa"
    usual = job_of(Form(), models, parts.settings.value, parts.folders, Path("/o/a.mp4"))
    assert usual.options == parts.settings.value.neural


CARD_WITH_MODES = CARD.__class__(
    kind="cuda",
    name="Test Card",
    total_bytes=24 << 30,
    free_bytes=22 << 30,
    attention={"sdpa": "", "sage": "It is not installed."},
)


def test_both_ends_of_the_run_are_dragged_on_the_chart(app: App) -> None:
    chart = unfolded(app).advanced.chart
    assert chart.steps() == 20
    area = chart._area()

    def drag(step_from: int, step_to: int) -> None:
        spots = [QPointF(chart._x(step), area.center().y()) for step in (step_from, step_to)]
        QTest.mousePress(chart, Qt.MouseButton.LeftButton, pos=spots[0].toPoint())
        move = QMouseEvent(
            QMouseEvent.Type.MouseMove,
            spots[1],
            chart.mapToGlobal(spots[1]),
            Qt.MouseButton.NoButton,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(chart, move)
        QTest.mouseRelease(chart, Qt.MouseButton.LeftButton, pos=spots[1].toPoint())

    drag(0, 4)
    drag(20, 15)
    values = app.generate.form.values
    assert (values["start_step"], values["end_step"]) == (4, 15)
    drag(15, 20)
    assert app.generate.form.values["end_step"] == 0  # to the end, however many steps


def test_the_usual_negative_prompt_is_what_one_begins_with(app: App) -> None:
    panel = opened(app)
    panel._more.click()
    assert panel.negative.words() == NEGATIVE
    app.generate._change("negative", None)
    assert panel.negative.isHidden()


def test_a_picture_is_cut_or_the_size_is_fitted_to_it(
    app: App, qtbot: QtBot, tmp_path: Path
) -> None:
    with_clip(app, qtbot, tmp_path)
    panel = opened(app)
    panel.tabs.setCurrentIndex(1)
    app.generate._change("size", (1280, 720))
    app.parts.editor.move_playhead(Fraction(0))
    panel.slots["first"]._link.click()
    chip = panel.slots["first"]._chip
    assert chip.text() == "will be cropped to 1280 × 720"
    chip.click()
    assert (app.generate.form.width, chip.text()) == (0, "size as the picture")
    panel.loop.click()  # the last picture is the same, and of the same shape
    assert app.generate.form.last is not None
    assert panel.slots["last"]._chip.text() == ""
    panel.loop.click()
    chip.click()
    assert (app.generate.form.width, app.generate.form.height) == (1280, 720)


def test_the_button_says_where_the_result_goes(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    clip = with_clip(app, qtbot, tmp_path)
    panel = opened(app)
    app.parts.editor.select({clip.id})
    app.generate._extend()
    assert panel.foot._place._segments[False].text() == "After the clip"
    panel.tabs.setCurrentIndex(0)
    assert panel.foot._place._segments[False].text() == "At playhead"
    assert app.generate._place is None


def test_what_is_no_number_is_not_made(app: App, qtbot: QtBot, tmp_path: Path) -> None:
    with_weights(app, qtbot, tmp_path / "weights")
    panel = opened(app)
    app.generate._change("prompt", "A cat")
    rows = panel.size_rows
    size = rows._size.lineEdit()
    assert size is not None
    for field, good in (
        (size, "832 × 480"),
        (rows._frames, "81"),
        (rows._seed, "5"),
        (rows._variations, "1"),
    ):
        assert panel.foot.button.isEnabled()
        typed(field, "x")
        assert not panel.foot.button.isEnabled()
        typed(field, good)
    assert panel.foot.button.isEnabled()


def test_a_length_says_its_seconds_at_the_rate_of_the_model(app: App) -> None:
    panel = opened(app)
    assert panel.size_rows._seconds.text() == "5.1 s, 16 fps"
    app.generate._change("frames", 4801)
    assert panel.size_rows._seconds.text() == "300 s, 16 fps"


def test_lists_are_read_as_they_are_written() -> None:
    assert numbers_of("6, 6; 1  2") == (6, 6, 1, 2)
    assert numbers_of("") == ()
    assert numbers_of("6, nan") is None
    assert guidance_of("31") is None
    assert timesteps_of("1000, 1000") is None
    assert timesteps_of("1001, 4") is None
    assert blocks_of("0-3, 8") == (0, 1, 2, 3, 8)
    assert blocks_of("3-1") is None
    assert blocks_of("") == ()
    assert block_words((0, 1, 2, 3, 8)) == "0-3, 8"


@pytest.mark.parametrize("frames", [9, 33, 81, 161])
def test_a_loop_of_words_is_closed_at_any_length(app: App, frames: int) -> None:
    panel = unfolded(app)
    app.generate._change("frames", frames)
    panel.loop.click()
    values = app.generate.form.values
    job = job_of(
        app.generate.form,
        ModelFiles(family="wan2.1-t2v-1.3b", files={}),
        app.parts.settings.value,
        app.parts.folders,
        Path("/o/a.mp4"),
    )
    length = latent_frames(frames)
    windows = _windows({**values, **job.values})
    assert windows is not None
    assert windows.is_looped
    assert any(window[-1] < window[0] for step in range(8) for window in windows.at(step, length))
    app.generate._change("frames", frames + 4)
    assert panel.loop.isChecked()
    assert int(app.generate.form.values["context_frames"]) < frames + 4
    panel.loop.click()
    assert app.generate.form.values["context_schedule"] == "off"
    assert app.generate.form.values["context_frames"] == 81
    field = panel.advanced.fields["context_schedule"]
    field.changed.emit("context_schedule", "uniform_looped")
    assert panel.loop.isChecked()
    field.changed.emit("context_schedule", "uniform_standard")
    assert not panel.loop.isChecked()
    assert app.generate.form.values["context_schedule"] == "uniform_standard"
    assert app.generate.form.values["context_frames"] == 81


# Again


def filled(app: App, qtbot: QtBot, tmp_path: Path) -> GenerateJob:
    """A job with much of its own, that waits."""
    app.parts.queue.pause()
    with_weights(app, qtbot, tmp_path / "weights")
    panel = opened(app)
    for name, value in (
        ("prompt", "A cat"),
        ("negative", "A dog"),
        ("size", (640, 384)),
        ("frames", 33),
        ("seed", 77),
        ("value", ("steps", 12)),
        ("value", ("quantization", "fp8_e4m3fn")),
        ("loras", (LoraGiven("/w/a.safetensors", "a.safetensors", 0.5, (), (1, 2)),)),
        ("guidance", (6.0, 1.0)),
        ("keep_latents", True),
        ("attention", "sdpa"),
    ):
        app.generate._change(name, value)
    panel.foot.button.click()
    return jobs(app)[-1]


def same_but_for_file(first: GenerateJob, second: GenerateJob) -> bool:
    def what(job: GenerateJob) -> dict[str, object]:
        skipped = ("id", "output", "latents")
        names = (one for one in job.__struct_fields__ if one not in skipped)
        return {name: getattr(job, name) for name in names}

    return what(first) == what(second)


def test_settings_of_a_failed_job_fill_the_panel_again(
    app: App, qtbot: QtBot, tmp_path: Path
) -> None:
    job = filled(app, qtbot, tmp_path)
    queue = app.parts.queue
    entry = queue.entry(job.id)
    assert entry is not None
    queue._change(entry, state=State.RUNNING)
    lane = queue._lanes["gpu"]
    lane.running = job.id
    queue._take("gpu", lane.generation, Failed(job=job.id, message="No.", kind="EffectError"))
    app.generate.form = Form(seed=1)
    app.parts.window.show_queue(True)
    row = next(one for one in app.parts.window.queue.entries() if one.job.id == job.id)
    assert ("again", "Change settings…") in row.job.remedies
    row.remedy_requested.emit(job.id, "again")
    panel = app.parts.window.generate
    assert panel.isVisible()
    assert panel.prompt.words() == "A cat"
    assert panel.advanced.loras.rows[0].blocks.text() == "1-2"
    panel.foot.button.click()
    again = jobs(app)[-1]
    assert again.id != job.id
    assert same_but_for_file(job, again)


def test_a_preset_is_known_again_and_the_pictures_too(
    app: App, qtbot: QtBot, tmp_path: Path
) -> None:
    with_clip(app, qtbot, tmp_path)
    app.parts.queue.pause()
    with_weights(app, qtbot, tmp_path / "weights", "i2v")
    panel = opened(app)
    panel.tabs.setCurrentIndex(1)
    app.generate._change("prompt", "It moves")
    app.parts.editor.move_playhead(Fraction(1, 5))
    panel.slots["first"]._link.click()
    panel.presets.cards()["best"].click()
    panel.foot.button.click()
    (job,) = jobs(app)
    first = app.generate.form.first
    app.generate.form = Form()
    app.generate.use_again(job)
    form = app.generate.form
    assert (form.tab, form.first, form.preset) == ("picture", first, "best")
    assert panel.presets.cards()["best"].isChecked()
    # the film is taken out of Media: it comes back with the settings
    asset = app.parts.editor.project.assets[0]
    app.parts.editor.undo()
    assert app.parts.editor.project.asset(asset.id) is None
    app.generate.form = Form()
    app.generate.use_again(job)
    qtbot.waitUntil(lambda: app.generate.form.first is not None, timeout=PATIENCE_MS)
    found = app.generate.form.first
    assert found is not None
    assert (found.path, found.time) == (asset.path, Fraction(1, 5))


def test_a_result_gives_its_settings_back_after_the_queue_is_cleared(
    app: App, qtbot: QtBot, tmp_path: Path
) -> None:
    with_weights(app, qtbot, tmp_path / "weights")
    panel = opened(app)
    for name, value in (
        ("prompt", "A cat"),
        ("size", (32, 32)),
        ("frames", 5),
        ("seed", 7),
        ("value", ("steps", 2)),
    ):
        app.generate._change(name, value)
    panel.foot.button.click()
    (job,) = jobs(app)
    qtbot.waitUntil(lambda: bool(pictures(app)), timeout=PATIENCE_MS)
    app.parts.window.show_queue(True)
    (row,) = app.parts.window.queue.entries()
    assert row.job.can_repeat
    app.parts.queue.clear_done()
    app.generate.form = Form()
    (clip,) = pictures(app)
    app.timeline.again_requested.emit(clip.asset)
    assert app.parts.window.is_generate_shown()
    app.parts.queue.pause()
    panel.foot.button.click()
    assert same_but_for_file(job, jobs(app)[-1])
    assert jobs(app)[-1].mode is Mode.TEXT
