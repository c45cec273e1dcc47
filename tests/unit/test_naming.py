"""Names of exported files: fresh, counted, safe."""

from pathlib import Path

import pytest

from desktop.naming import numbered, safe
from engine.media.part import part_of


def test_the_next_number_counts_all_formats_promises_and_what_is_being_written(
    tmp_path: Path,
) -> None:
    assert numbered(tmp_path, "loop", "gif").name == "loop_001.gif"
    (tmp_path / "loop_001.gif").touch()
    (tmp_path / "loop_2.gif").touch()
    (tmp_path / "other_007.gif").touch()
    assert numbered(tmp_path, "loop", "mp4").name == "loop_002.mp4"
    part_of(tmp_path / "loop_002.mp4").touch()
    assert numbered(tmp_path, "loop", "mp4").name == "loop_003.mp4"
    assert numbered(tmp_path, "loop", "mp4", ["loop_011.gif"]).name == "loop_012.mp4"


@pytest.mark.parametrize(
    ("prefix", "name"), [("a/b:c", "a_b_c"), ("..", "untitled"), (" x. ", "x"), ("ünï→", "ünï→")]
)
def test_a_prefix_is_made_safe(prefix: str, name: str) -> None:
    assert safe(prefix) == name
