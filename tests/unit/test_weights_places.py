"""Where weights are looked for, by settings and system."""

import os
from pathlib import Path

import pytest

from desktop.settings import HOME, Settings, folders, load_settings, save_settings
from desktop.weights_places import absolute, download_folder, mirror, offered, searched
from engine.jobs import NeuralOptions


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME, str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    for name in list(os.environ):
        if name.startswith(("HF_", "COMFYUI_")):
            monkeypatch.delenv(name)
    return tmp_path


def test_with_no_folder_named_only_our_own_is_searched(home: Path) -> None:
    own = home / "home" / "data" / "weights"
    assert searched(Settings(), folders()) == (str(own),)
    assert download_folder(Settings(), folders()) == own


def test_folders_are_searched_in_order_each_once(home: Path) -> None:
    settings = Settings(weights_folders=("/a", "/b"), weights_download="/b")
    assert searched(settings, folders(), [Path("/c"), Path("/a/../a")]) == ("/c", "/a", "/b")


def test_paths_are_kept_from_the_root(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    assert absolute("x/../w") == home / "w"
    assert absolute("~/w") == home / "person" / "w"


def test_what_other_programs_keep_is_offered_where_it_is(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offered(Settings(), folders()) == ()
    comfy, hub = home / "person" / "comfy" / "ComfyUI", home / "hf" / "hub"
    for folder in (comfy / "models", hub):
        folder.mkdir(parents=True)
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    assert offered(Settings(), folders()) == (str(comfy), str(hub))
    named = Settings(weights_folders=(str(comfy / "models"),))
    assert offered(named, folders()) == (str(hub),)


def test_the_settings_mirror_goes_before_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mirror(Settings()) == ""
    monkeypatch.setenv("HF_ENDPOINT", "https://a")
    assert mirror(Settings()) == "https://a"
    assert mirror(Settings(weights_mirror="https://b")) == "https://b"


def test_what_is_set_is_there_at_the_next_start() -> None:
    settings = Settings(
        weights_folders=("/a",),
        weights_download="/d",
        weights_words={"/a": "1.1"},
        weights_mirror="https://b",
        neural=NeuralOptions(precision="bf16", limit_bytes=8 << 30),
        neural_on_cpu=True,
    )
    save_settings(settings)
    assert load_settings() == settings
