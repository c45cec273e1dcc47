"""Every recorded case that travels with the project, run as the command line runs it."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the models extra is not installed")

from tests.golden.runner import case_folders, run_case

CASES = case_folders(Path(__file__).parent / "cases")


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_computes_what_the_published_code_recorded(folder: Path) -> None:
    verdict = run_case(folder)
    assert verdict.passed, "\n".join(verdict.reasons)


def test_finds_the_cases() -> None:
    assert len(CASES) >= 12
