"""What the program remembers between starts, and where its files lie.

Everything lies in the platform's folders, or in one folder, REELWRIGHT_HOME, where that is set:
for portable use and for tests.
"""

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.errors import ProjectError
from engine.files import reason, write_whole
from engine.jobs import ExportOptions, NeuralOptions
from engine.timeline.time import decode_value, encode_value

HOME = "REELWRIGHT_HOME"
RECENT = 10  # projects remembered
PROMPTS = 50  # that are remembered


class Folders(msgspec.Struct, frozen=True):
    """Where the program keeps its files; each may be made when first needed."""

    settings: Path
    data: Path  # recovery files, the queue
    cache: Path  # baked effects, thumbnails, waveforms: may be deleted at any time
    logs: Path


def folders() -> Folders:
    """The folders of this person on this system."""
    home = os.environ.get(HOME)
    if home:
        root = Path(home).absolute()
        return Folders(root / "settings", root / "data", root / "cache", root / "logs")
    from platformdirs import PlatformDirs

    dirs = PlatformDirs("Reelwright", appauthor=False)
    return Folders(
        dirs.user_config_path, dirs.user_data_path, dirs.user_cache_path, dirs.user_log_path
    )


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, with what they are at first."""

    theme: str = "dark"  # or "light", "system"
    more_contrast: bool = False
    recent: tuple[str, ...] = ()  # projects, the latest first
    export_folder: str = ""  # "": Exports beside the project
    export: ExportOptions = ExportOptions()  # of the last export
    export_prefix: str = ""  # "": the project's name
    export_save: bool = True  # off: rendered to the cache and shown
    cache_limit_bytes: int = 40_000_000_000
    still_seconds: Fraction = Fraction(5)  # of a still on the timeline
    weights_folders: tuple[str, ...] = ()  # in the order they are searched
    weights_download: str = ""  # "": weights in our own data folder
    weights_words: dict[str, str] = {}  # folder or file -> "1.0", "1.1" or "wan"
    weights_mirror: str = ""  # of Hugging Face; "": HF_ENDPOINT, or Hugging Face itself
    neural: NeuralOptions = NeuralOptions()
    neural_on_cpu: bool = False  # models may run where there is no card for them
    prompts: tuple[str, ...] = ()  # that were generated, the latest first
    generate_to_media: bool = False
    generate_preset: str = "balanced"
    volume: float = 1.0
    snapping: bool = True
    linked: bool = True
    geometry: str = ""  # of the window, base64
    layout: str = ""  # of its docks and splitters, base64


def with_recent(settings: Settings, path: Path) -> Settings:
    """The settings with the project as the latest of the recent ones."""
    latest = str(path.absolute())
    others = tuple(one for one in settings.recent if one != latest)
    return replace(settings, recent=(latest, *others)[:RECENT])


def with_prompt(settings: Settings, prompt: str) -> tuple[str, ...]:
    """The prompts with this one as the latest."""
    return (prompt, *(one for one in settings.prompts if one != prompt))[:PROMPTS]


def settings_file() -> Path:
    return folders().settings / "settings.json"


def load_settings() -> Settings:
    """The saved settings, or those of a first start; a damaged file is set aside."""
    path = settings_file()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        _warn("The settings cannot be read: %s", error)
        return Settings()
    try:
        settings = msgspec.json.decode(data, type=Settings, dec_hook=decode_value)
        if not (settings.cache_limit_bytes > 0 and 0 < settings.still_seconds <= 3600):
            raise ValueError("a number is out of range")
    except (ValueError, RecursionError) as error:
        aside = set_aside(path)
        _warn("The settings were damaged (%s); they are now in %s", error, aside)
        return Settings()
    return settings


def save_settings(settings: Settings) -> None:
    """Writes the settings in one step. Raises ProjectError."""
    path = settings_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = msgspec.json.encode(settings, enc_hook=encode_value)
        write_whole(path, msgspec.json.format(raw, indent=1) + b"\n")
    except OSError as error:
        raise ProjectError(
            f"The settings cannot be saved: {reason(error)}.", f"Look at {path.parent}.", str(error)
        ) from error


def set_aside(path: Path) -> Path:
    """Renames a damaged file so that it is in nobody's way; gives its new name."""
    aside = path.with_name(path.name + ".damaged")
    try:
        path.replace(aside)
    except OSError as error:
        _warn("%s cannot be set aside: %s", path, error)
    return aside


def _warn(text: str, *values: object) -> None:
    # the window is on screen before logging is needed
    import logging

    logging.getLogger(__name__).warning(text, *values)


class SettingsStore:
    """The settings of a running program: one value, saved with each change."""

    def __init__(self, listener: Callable[[Settings], Any] | None = None) -> None:
        self.value = load_settings()
        self._listener = listener

    def change(self, **values: Any) -> None:
        """Replaces some settings and saves all; a failure to save is logged, not raised."""
        changed = replace(self.value, **values)
        if changed == self.value:
            return
        self.value = changed
        try:
            save_settings(changed)
        except ProjectError as error:
            _warn("%s %s", error.message, error.details)
        if self._listener is not None:
            self._listener(changed)
