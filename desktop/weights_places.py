"""Where weights are looked for and fetched to, by the settings of a person and this system."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from desktop.settings import Folders, Settings

# Where ComfyUI usually lies: by hand, as its desktop program, by its command line tool.
_COMFYUI = ("~/ComfyUI", "~/Documents/ComfyUI", "~/comfy/ComfyUI")


def download_folder(settings: Settings, folders: Folders) -> Path:
    """Where downloads go."""
    return absolute(settings.weights_download or folders.data / "weights")


def make_own(folders: Folders) -> None:
    """Makes the folder that is ours, so that it can be looked through and files put there."""
    with suppress(OSError):  # then the scan says what is wrong with it
        (folders.data / "weights").mkdir(parents=True, exist_ok=True)


def searched(settings: Settings, folders: Folders, more: Iterable[Path] = ()) -> tuple[str, ...]:
    """The folders to look through, in order: `more`, those named, the one of downloads."""
    places: list[str | Path] = [
        *more,
        *settings.weights_folders,
        download_folder(settings, folders),
    ]
    return tuple(dict.fromkeys(str(absolute(place)) for place in places))


def offered(settings: Settings, folders: Folders) -> tuple[str, ...]:
    """Places on this system where other programs keep weights, not named yet; not looked into."""
    environ = os.environ
    hub = environ.get("HF_HUB_CACHE") or environ.get("HF_HOME", "~/.cache/huggingface") + "/hub"
    places = [environ.get("COMFYUI_PATH", ""), *_COMFYUI, hub]
    found = [absolute(place) for place in places if place]
    known = {Path(place) for place in searched(settings, folders)}
    return tuple(
        str(place)
        for place in dict.fromkeys(found)
        if place.is_dir() and not known & {place, place / "models"}
    )


def mirror(settings: Settings) -> str:
    """The address instead of Hugging Face's own, "" for that."""
    return settings.weights_mirror or os.environ.get("HF_ENDPOINT", "")


def memory_file(folders: Folders) -> Path:
    """What is known of files from earlier scans."""
    return folders.data / "weights.json"


def absolute(place: str | Path) -> Path:
    """As paths are kept: from the root, `~` replaced."""
    return Path(os.path.normpath(Path(place).expanduser().absolute()))
