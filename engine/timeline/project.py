"""Project files: versioned JSON, saved beside and renamed, checked on load.

A file of an older version is brought up by MIGRATIONS, one function per step. Media are written
as paths relative to the project's folder where they lie in or near it, so that both can be moved
together. Loading looks whether media are there, but never opens them; missing media is no error.
The file before the last save stays beside it as NAME.reel.bak.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from engine.errors import ProjectError
from engine.files import reason, write_whole
from engine.timeline.model import VERSION, Project
from engine.timeline.time import decode_value, encode_value
from engine.timeline.validity import check

EXTENSION = ".reel"
LARGEST_BYTES = 256 * 1024 * 1024
NEAR = 2  # folders up that a relative path may go

Document: TypeAlias = dict[str, Any]

# What turns a document of version n into one of n + 1.
MIGRATIONS: Mapping[int, Callable[[Document], Document]] = {}


class NewerProject(ProjectError):
    """The file is of a later version than this program's; `load_project` can read a copy of it."""


def with_extension(path: Path) -> Path:
    """The path with .reel at its end, whatever a person typed."""
    return path if path.suffix.lower() == EXTENSION else path.with_name(path.name + EXTENSION)


def backup_of(path: Path) -> Path:
    """Where the file before the last save is kept."""
    return path.with_name(path.name + ".bak")


def save_project(project: Project, path: Path) -> None:
    """Writes the project; the file that was there becomes the backup. Raises ProjectError.

    A reader sees the old file or the new one, never a part; on failure the old one stays.
    """
    target = Path(os.path.realpath(path))
    try:
        write_whole(target, encoded(project, _folder(path)), backup_of(target))
    except OSError as error:
        raise ProjectError(
            f"{path.name} cannot be saved: {reason(error)}.",
            "The file before it is unchanged. Choose another folder."
            if target.exists()
            else "Choose another folder.",
            str(error),
        ) from error


def load_project(path: Path, read_newer: bool = False) -> Project:
    """The project in a file, with absolute paths of its media. Raises ProjectError.

    A file of a newer version raises NewerProject, unless `read_newer` asks for what can be
    understood of it; save that under another name.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise ProjectError(
                f"{path.name} is too large for a project: {size / 1e6:.0f} MB.", _remedy(path)
            )
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ProjectError(f"{path.name} is not where it was.", _remedy(path)) from error
    except OSError as error:
        raise ProjectError(
            f"{path.name} cannot be opened: {reason(error)}.", _remedy(path), str(error)
        ) from error
    try:
        return decoded(data, _folder(path), path.name, read_newer)
    except ProjectError as error:
        error.hint = error.hint or _remedy(path)
        raise


def encoded(project: Project, folder: Path) -> bytes:
    """The project as the text of a file in `folder`, to be read by people too."""
    assets = tuple(replace(one, path=stored_path(one.path, folder)) for one in project.assets)
    return msgspec.json.format(packed(replace(project, assets=assets)), indent=1) + b"\n"


def packed(project: Project) -> bytes:
    """The project as JSON in one line, with its paths as they are."""
    return msgspec.json.encode(project, enc_hook=encode_value)


def decoded(data: bytes, folder: Path, name: str, read_newer: bool = False) -> Project:
    """The project in the text of a file called `name` in `folder`. Raises ProjectError."""
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ProjectError(f"{name} is not a Reelwright project.", details=str(error)) from error
    version = document.get("version") if isinstance(document, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ProjectError(f"{name} is not a Reelwright project.", details="It has no version.")
    if version > VERSION:
        if not read_newer:
            raise NewerProject(
                f"This project was saved by a newer Reelwright (file version {version}).",
                "Open a copy read-only.",
            )
        document["version"] = VERSION
    try:
        project = msgspec.convert(migrated(document), Project, dec_hook=decode_value)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ProjectError(
            f"{name} is damaged: {_place(str(error))}.", details=str(error)
        ) from error
    check(project, name)
    assets = tuple(replace(one, path=resolve(one.path, folder)) for one in project.assets)
    return replace(project, assets=assets)


def migrated(
    document: Document,
    steps: Mapping[int, Callable[[Document], Document]] = MIGRATIONS,
    newest: int = VERSION,
) -> Document:
    """The document brought up to the newest version, step by step."""
    for version in range(document["version"], newest):
        document = steps[version](document) | {"version": version + 1}
    return document


def stored_path(path: str, folder: Path) -> str:
    """How a medium's absolute path is written in a project in `folder`: with forward slashes."""
    try:
        near = os.path.relpath(path, folder)
    except ValueError:  # on another drive
        return Path(path).as_posix()
    parts = Path(near).parts
    ups = parts.count(os.pardir)
    top = folder.absolute().parents
    if ups > NEAR or (ups and ups >= len(top)):
        return Path(path).as_posix()
    return Path(near).as_posix()


def resolve(path: str, folder: Path) -> str:
    """Where a medium is that was written as `path` in a project in `folder`.

    That place, or else the file of the same name beside the project if there is one. A medium
    that is nowhere keeps the path where it should be.
    """
    foreign = re.match(r"[A-Za-z]:[/\\]", path) is not None
    expected = path if foreign else os.path.normpath(Path(folder, path))
    if not Path(expected).exists():
        beside = Path(folder, re.split(r"[/\\]", path)[-1])
        if beside.is_file():
            return str(beside)
    return expected


def _folder(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute())).parent


def _remedy(path: Path) -> str:
    kept = backup_of(path)
    return f"The version before it is {kept.name}." if kept.is_file() else ""


def _place(error: str) -> str:
    """The field that msgspec complains about: "sequences[0].rate is wrong"."""
    _, _, field = error.rpartition("`$.")
    missing = re.search(r"missing required field `(\w+)`", error)
    where = field.rstrip("`") if field else ""
    if missing:
        return f"«{missing.group(1)}» is missing" + (f" in {where}" if where else "")
    return f"{where} has a value of the wrong kind" if where else "it has the wrong shape"
