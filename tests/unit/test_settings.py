"""Settings and folders, in a home of the test's own."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from msgspec.structs import replace

from desktop.settings import (
    HOME,
    RECENT,
    Settings,
    SettingsStore,
    folders,
    load_settings,
    save_settings,
    set_aside,
    settings_file,
    with_recent,
)
from engine.errors import ProjectError
from engine.jobs import ExportOptions, Format, Sound
from engine.timeline.time import TimeRange


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME, str(tmp_path))
    return tmp_path


def test_all_folders_lie_in_the_home_that_is_set(home: Path) -> None:
    found = folders()
    places = {found.settings, found.data, found.cache, found.logs}
    assert len(places) == 4
    assert all(place.parent == home for place in places)
    assert list(home.iterdir()) == []


def test_else_in_the_places_of_the_system(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.delenv(HOME)
    found = folders()
    for place in (found.settings, found.data, found.cache, found.logs):
        assert place.is_absolute()
        assert "Reelwright" in place.parts
        assert home not in place.parents


def test_a_first_start_has_the_first_settings() -> None:
    assert load_settings() == Settings()


def test_what_is_saved_is_loaded() -> None:
    settings = Settings(
        theme="light",
        recent=("/films/a.reel",),
        export=ExportOptions(
            format=Format.GIF,
            range=TimeRange(Fraction(1, 3), Fraction(5)),
            rate=Fraction(30000, 1001),
            sound=Sound.MIRRORED,
        ),
        still_seconds=Fraction(7, 2),
        geometry="AdnQywAD",
    )
    save_settings(settings)
    assert load_settings() == settings


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not json",
        b'{"theme": 3}',
        b'{"theme": "\xff"}',
        b'{"still_seconds": "1/0"}',
        b'{"still_seconds": "-1"}',
        b'{"cache_limit_bytes": -5}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_set_aside(data: bytes) -> None:
    path = settings_file()
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    assert load_settings() == Settings()
    assert not path.exists()
    assert path.with_name("settings.json.damaged").read_bytes() == data


def test_settings_of_a_later_program_are_read_as_far_as_known() -> None:
    path = settings_file()
    path.parent.mkdir(parents=True)
    path.write_text('{"theme": "light", "something_new": {}}', "utf-8")
    assert load_settings().theme == "light"


def test_where_nothing_can_be_written_it_is_told(home: Path) -> None:
    (home / "settings").write_text("a file where the folder should be")
    with pytest.raises(ProjectError, match="The settings cannot be saved: "):
        save_settings(Settings())
    assert load_settings() == Settings()


def test_recent_projects(tmp_path: Path) -> None:
    settings = Settings()
    for number in range(RECENT + 2):
        settings = with_recent(settings, tmp_path / f"{number}.reel")
    settings = with_recent(settings, tmp_path / "5.reel")
    assert len(settings.recent) == RECENT
    assert settings.recent[:2] == (str(tmp_path / "5.reel"), str(tmp_path / "11.reel"))


def test_the_store_saves_each_change_and_tells_of_it() -> None:
    told: list[Settings] = []
    store = SettingsStore(told.append)
    store.change(theme="light", snapping=False)
    store.change(theme="light")
    assert told == [replace(Settings(), theme="light", snapping=False)]
    assert load_settings() == store.value == told[0]


def test_the_store_goes_on_where_nothing_can_be_written(home: Path) -> None:
    store = SettingsStore()
    (home / "settings").write_text("a file where the folder should be")
    store.change(theme="light")
    assert store.value.theme == "light"


def test_setting_aside_what_is_gone_is_no_error(tmp_path: Path) -> None:
    assert not set_aside(tmp_path / "none").exists()


def test_settings_load_nothing_heavy() -> None:
    code = """
import sys
from desktop.settings import load_settings
load_settings()
print(sorted({"PySide6", "numpy", "av", "platformdirs", "asyncio"} & {*sys.modules}))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
