"""Kills in the middle of real jobs; `python -m tests.benchmarks kills` does many more."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from tests.support.kills import Bench, kill_editor, make_film
from tests.support.timelines import medium


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("media"), seconds=8)


@pytest.fixture
def bench(tmp_path: Path, film: Path, qapp: QApplication) -> Iterator[Bench]:
    made = Bench(tmp_path, film)
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["effect", "export"])
def test_a_killed_job_gives_the_same_pixels_when_retried(kind: str, bench: Bench) -> None:
    for _ in range(2):
        killed = bench.kill_once(kind)
        assert killed.went_on
        assert killed.same


def test_a_killed_editor_leaves_nothing_behind(film: Path, tmp_path: Path) -> None:
    ended = kill_editor(medium(film), tmp_path, delay=0.1)
    assert ended.children == 3
    assert ended.seconds < 2.0
    assert ended.rows == 3
    assert not ended.litter
