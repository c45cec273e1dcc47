"""What a running job tells, how often, and that it stops when cancelled."""

from pathlib import Path
from threading import Event as Flag

import pytest

from engine.errors import Cancelled
from engine.jobs import EffectJob, ExportJob, ExportOptions, Job, SelfTestJob
from engine.timeline.effects import new_use
from engine.worker.messages import Event, Progress
from engine.worker.report import JobReport, Pace, planned_stages, with_stage
from tests.support.timelines import asset, clip, project, video


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def told(job: Job, steps: int, seconds: float) -> list[Progress]:
    """The Progress messages of `steps` steps that take `seconds` each."""
    clock, sent = Clock(), list[Event]()
    report = JobReport(job, sent.append, Flag(), clock)
    for step in range(steps + 1):
        report.step("effects", step, steps)
        clock.now += seconds
    return [one for one in sent if isinstance(one, Progress)]


def test_quick_steps_are_told_ten_times_a_second() -> None:
    progress = told(SelfTestJob(), 1000, 0.002)
    assert 15 <= len(progress) <= 25
    assert (progress[0].done, progress[-1].done) == (0, 1000)


def test_slow_steps_are_all_told_with_the_time_left() -> None:
    progress = told(SelfTestJob(), 10, 1.0)
    assert [one.done for one in progress] == list(range(11))
    assert progress[0].seconds_left == -1
    assert progress[5].seconds_left == pytest.approx(5, abs=0.1)
    assert progress[-1].seconds_left == 0


def test_cancel_raises_at_the_next_step() -> None:
    cancelled = Flag()
    report = JobReport(SelfTestJob(), lambda _event: None, cancelled)
    report.step("effects", 0, 2)
    cancelled.set()
    with pytest.raises(Cancelled):
        report.step("effects", 1, 2)
    with pytest.raises(Cancelled):
        report.preview("Frame 1", lambda: pytest.fail("a picture was made in vain"))


def test_what_was_found_done_does_not_count_as_speed() -> None:
    pace = Pace()
    pace.add(0.0, 0)
    pace.add(0.01, 480)  # a segment that was in the cache
    for second in range(1, 15):
        pace.add(float(second), 480 + 10 * second)
    assert pace.left(14.0, 760) == pytest.approx(14, rel=0.4)


def test_stages_are_those_the_job_has() -> None:
    one = asset("a")
    plain = project([one], video(clip("a", 0, 1)))
    styled = project([one], video(clip("a", 0, 1, effects=(new_use("restyle"),))))
    export = [
        planned_stages(
            ExportJob(project=made, options=ExportOptions(), output="o", cache=str(Path("c")))
        )
        for made in (plain, styled)
    ]
    assert export == [("encode",), ("effects", "encode")]
    effect = EffectJob(title="R", subject="a", asset=one, uses=(new_use("restyle"),), cache="c")
    assert planned_stages(effect) == ("effects",)
    assert with_stage(("encode",), "effects") == ("effects", "encode")
    assert with_stage(("effects", "encode"), "encode") == ("effects", "encode")


def test_time_left_is_unknown_without_progress() -> None:
    pace = Pace()
    pace.add(0.0, 0)
    pace.add(5.0, 0)
    assert pace.left(5.0, 10) == -1
