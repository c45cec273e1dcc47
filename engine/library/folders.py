"""The files in the folders a person named, whatever order is kept there. Nothing is written."""

import os
import stat
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from engine.files import reason
from engine.library import comfy

SUFFIXES = (".safetensors", ".sft", ".pth", ".pt", ".ckpt", ".bin", ".gguf", ".index.json")
CONVERTED = ".reelwright-"  # the loader's copies in another type, beside the originals
SORTS = {  # ComfyUI's folders, and those of other programs in the same place
    "checkpoints", "diffusion_models", "unet", "vae", "text_encoders", "clip", "clip_vision",
    "loras", "controlnet", "animatediff_models", "animatediff_motion_lora", "upscale_models",
    "ipadapter", "style_models", "model_patches", "embeddings", "vae_approx",
    "latent_upscale_models", "stable-diffusion", "lora", "lycoris", "esrgan",
}  # fmt: skip
SKIPPED = {"__pycache__", "node_modules", "site-packages"}
MOST_LEVELS = 24
MOST_FILES = 100_000


class Sort(StrEnum):
    COMFY = "ComfyUI folder"
    HUB = "Hugging Face folder"
    PLAIN = "folder"
    MISSING = "not there"


class Root(NamedTuple):
    """A folder to walk, and the folder the person named that brought it."""

    path: Path
    named: Path


class Entry(NamedTuple):
    """A file that may be weights, as the walk came to it. `mtime`: in nanoseconds."""

    path: Path
    size: int
    mtime: int
    named: Path


class Walk:
    """Goes through folders, following links, each folder and file once."""

    def __init__(self) -> None:
        self.problems: dict[Path, str] = {}
        self._seen: set[object] = set()
        self._files = 0

    def files(self, root: Root) -> Iterator[Entry]:
        """Every file that may be weights below `root`, in the order of their names."""
        waiting = [(root.path, 0)]
        while waiting:
            folder, level = waiting.pop()
            if self._is_new(os.path.realpath(folder)):
                try:
                    with os.scandir(folder) as listing:
                        names = sorted(entry.name for entry in listing)
                except OSError as error:
                    self.problems[folder] = reason(error)
                    continue
                below: list[tuple[Path, int]] = []
                if (
                    "snapshots" in names and "blobs" in names
                ):  # Hugging Face: these are links to those
                    names.remove("blobs")
                for name in names:
                    yield from self._entry(root, folder / name, level, below)
                waiting.extend(reversed(below))

    def _entry(
        self, root: Root, path: Path, level: int, below: list[tuple[Path, int]]
    ) -> Iterator[Entry]:
        try:
            facts = path.stat()
        except OSError:  # a link to nothing, or gone meanwhile
            return
        if stat.S_ISDIR(facts.st_mode):
            if level < MOST_LEVELS and path.name not in SKIPPED and path.name[0] != ".":
                below.append((path, level + 1))
        elif stat.S_ISREG(facts.st_mode) and _may_be_weights(path.name):
            self._files += 1
            if self._files > MOST_FILES:
                self.problems[root.path] = f"only the first {MOST_FILES:,} files were looked at"
            elif path.name.endswith(".index.json") or self._is_new(_identity(path, facts)):
                yield Entry(path, facts.st_size, facts.st_mtime_ns, root.named)

    def _is_new(self, key: object) -> bool:
        if key in self._seen:
            return False
        self._seen.add(key)
        return True


def _may_be_weights(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and CONVERTED not in name


def _identity(path: Path, facts: os.stat_result) -> object:
    """What two names of one file share. Some file systems number no files."""
    return (facts.st_dev, facts.st_ino) if facts.st_ino else os.path.realpath(path)


def sort_of(folder: Path) -> Sort:
    """What the folder is, by what lies in it."""
    try:
        with os.scandir(folder) as listing:
            names = {entry.name for entry in listing}
    except OSError:
        return Sort.MISSING
    if any(name.startswith("models--") for name in names) or "model_index.json" in names:
        return Sort.HUB
    models = folder / "models"
    if len(SORTS & {name.lower() for name in names}) >= 2 and folder.name.lower() == "models":
        return Sort.COMFY
    if any(name in names for name in comfy.NAMES) or {"comfy", "nodes.py"} <= names:
        return Sort.COMFY
    if "models" in names and models.is_dir() and len(SORTS & _lower_names(models)) >= 2:
        return Sort.COMFY
    return Sort.HUB if "snapshots" in names or "hub" in names else Sort.PLAIN


def _lower_names(folder: Path) -> set[str]:
    try:
        return {path.name.lower() for path in folder.iterdir()}
    except OSError:
        return set()


def roots(
    folder: Path, read_paths: Callable[[Path], comfy.Groups], problems: dict[Path, str]
) -> list[Root]:
    """The folders to walk for `folder`: itself, or of ComfyUI its models and what its
    extra_model_paths.yaml names. `read_paths` reads that file.
    """
    if sort_of(folder) is not Sort.COMFY:
        return [Root(folder, folder)]
    models = folder / "models"
    is_whole = folder.name.lower() != "models" and models.is_dir()
    program = folder if is_whole else folder.parent
    first: list[Root] = []
    then: list[Root] = []
    for name in comfy.NAMES:
        # Beside `models`, only where this is ComfyUI's own folder.
        for place in (folder, program) if program != folder else (folder,):
            path = place / name
            if not path.is_file():
                continue
            try:
                found = comfy.places(read_paths(path), path.parent)
            except comfy.PathsError as error:
                problems[path] = str(error)
                continue
            except OSError as error:
                problems[path] = reason(error)
                continue
            for extra in found:
                if not extra.path.is_dir():
                    problems[extra.path] = "the folder is not there"
                else:
                    (first if extra.is_default else then).append(Root(extra.path, folder))
    own = Root(models if is_whole else folder, folder)
    return [*first, own, *then]
