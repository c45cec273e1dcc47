"""ComfyUI's extra_model_paths.yaml: the small part of YAML that this file uses.

Groups of `key: value`, a value being one path, `|` with a path on each line, or a list of `- path`.
Our own parser, because that is all there is to read, and it never makes anything but text.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

NAMES = ("extra_model_paths.yaml", "extra_model_paths.yml", "extra_models_config.yaml")
NOT_WEIGHTS = {"base_path", "is_default", "custom_nodes", "configs", "download_model_base"}
MOST_BYTES = 1 << 20

_KEY = re.compile(r"""("[^"]*"|'[^']*'|[^\s"'#:\-][^#:]*?)\s*:(?:\s+(.*))?$""")

Groups = dict[str, dict[str, str]]


class Place(NamedTuple):
    """A folder the file names, for one sort of weights ("vae", "loras")."""

    sort: str
    path: Path
    is_default: bool


class PathsError(ValueError):
    """A line that is none of the forms above. The text ends a sentence: "line 4 …"."""


def parsed(text: str) -> Groups:
    """Group -> key -> value; the paths of one value stand on lines. Raises PathsError."""
    groups: Groups = {}
    group: dict[str, str] = {}
    key, block, inner = "", False, 0
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        body = line.strip()
        indent = len(line) - len(line.lstrip(" "))
        if block and (not body or indent > inner):
            group[key] += ("\n" if group[key] and body else "") + body
            continue
        block = False
        if not body or body.startswith("#") or body in ("---", "..."):
            continue
        if line.startswith("\t"):
            raise PathsError(f"line {number} begins with a tab")
        if body.startswith("- ") and key and indent >= inner:
            group[key] += ("\n" if group[key] else "") + _scalar(body[2:], number)
            continue
        found = _KEY.match(body)
        if found is None:
            raise PathsError(f"line {number} is not «name: path»")
        name, value = _scalar(found[1], number), (found[2] or "").strip()
        if indent == 0:
            if value and not value.startswith("#"):
                raise PathsError(f"line {number} is a path outside any group")
            group, key = groups.setdefault(name, {}), ""
            continue
        if not groups:
            raise PathsError(f"line {number} stands in no group")
        key, inner = name, indent
        block = re.fullmatch(r"[|>][+-]?(\s+#.*)?", value) is not None
        group[key] = "" if block else _scalar(value, number)
    return groups


def _scalar(text: str, number: int) -> str:
    text = text.strip()
    if text[:1] in ("'", '"'):
        end = text.find(text[0], 1)
        rest = text[end + 1 :].strip()
        if end < 0 or (rest and not rest.startswith("#")):
            raise PathsError(f"line {number} has an unclosed quotation mark")
        inside = text[1:end]
        return inside.replace("\\\\", "\\") if text[0] == '"' else inside
    if text[:1] in ("&", "*", "!", "{", "[", "%", "@", "`"):
        raise PathsError(f"line {number} is written in a way that is not read here")
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()


def places(groups: Groups, beside: Path) -> list[Place]:
    """The folders named, default ones first. `beside`: where the file lies.

    `~` and variables are expanded; relative paths count from base_path, and that from `beside`.
    """
    found: list[Place] = []
    for group in groups.values():
        base = _expanded(group["base_path"]) if group.get("base_path") else beside
        is_default = group.get("is_default", "").lower() in ("true", "yes", "on")
        for sort, value in group.items():
            if sort in NOT_WEIGHTS:
                continue
            for line in value.splitlines():
                text = line.strip()
                if not text:
                    continue
                path = _normal(beside / base / _expanded(text))
                if (
                    not path.exists() and " #" in text
                ):  # no comment in YAML's eyes, but meant as one
                    path = _normal(beside / base / _expanded(text.partition(" #")[0].strip()))
                found.append(Place(sort, path, is_default))
    return sorted(found, key=lambda place: not place.is_default)


def _expanded(text: str) -> Path:
    return Path(os.path.expandvars(text)).expanduser() if text else Path()


def _normal(path: Path) -> Path:
    return Path(os.path.normpath(path))
