"""The store of baked parts."""

import os
import time
from pathlib import Path

import pytest

from engine.errors import OutputError
from engine.render.cache import SegmentCache


def put(cache: SegmentCache, name: str, content: bytes, *, used: float | None = None) -> None:
    with cache.workspace() as folder:
        made = folder / f"{name}.mkv"
        made.write_bytes(content)
        made.with_suffix(".proxy.mkv").write_bytes(b"light")
        cache.put(name, made)
    if used is not None:
        os.utime(cache.path(name).with_suffix(".json"), (used, used))


def test_a_part_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path)
    assert not cache.has("aa-0")
    put(cache, "aa-0", b"pictures")
    assert cache.has("aa-0")
    assert cache.is_whole("aa-0")
    assert cache.path("aa-0").read_bytes() == b"pictures"
    assert cache.light_path("aa-0").read_bytes() == b"light"
    assert list((tmp_path / "making").iterdir()) == []


def test_damage_is_found_and_dropped(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path)
    put(cache, "aa-0", b"pictures")
    cache.path("aa-0").write_bytes(b"pictureZ")
    assert cache.has("aa-0")  # by its size
    assert not cache.is_whole("aa-0")
    assert not cache.has("aa-0")
    assert not cache.path("aa-0").exists()


def test_a_damaged_mark_counts_as_missing(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path)
    put(cache, "aa-0", b"pictures")
    cache.path("aa-0").with_suffix(".json").write_text("{")
    assert not cache.is_whole("aa-0")


def test_a_part_without_its_mark_is_not_there(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path)
    put(cache, "aa-0", b"pictures")
    cache.path("aa-0").with_suffix(".json").unlink()
    assert not cache.has("aa-0")


def test_the_least_used_goes_first(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path, limit_bytes=5000)
    now = time.time()
    for age, name in enumerate(("aa-0", "bb-0", "cc-0", "dd-0")):
        put(cache, name, bytes(1500), used=now - age * 100)
    cache.touch("dd-0")
    cache.make_room({"cc-0"})
    assert not cache.has("bb-0")
    assert cache.has("cc-0")
    assert cache.has("dd-0")
    assert cache.size() <= 5000


def test_nothing_goes_below_the_limit(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path, limit_bytes=100_000)
    put(cache, "aa-0", bytes(1500))
    cache.make_room(())
    assert cache.has("aa-0")
    assert 1500 < cache.size() < 2000


def test_what_the_job_needs_stays(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path, limit_bytes=10)
    put(cache, "aa-0", bytes(1500))
    put(cache, "bb-0", bytes(1500))
    cache.make_room({"aa-0"})
    assert cache.has("aa-0")
    assert not cache.has("bb-0")


def test_abandoned_work_is_cleared(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path)
    dead = tmp_path / "making" / "dead"
    alive = tmp_path / "making" / "alive"
    for folder in (dead, alive):
        folder.mkdir(parents=True)
        (folder / "x.mkv").write_bytes(b"half")
    os.utime(dead / "x.mkv", (0, 0))
    cache.make_room(())
    assert not dead.exists()
    assert alive.exists()


def test_two_caches_share_a_folder(tmp_path: Path) -> None:
    put(SegmentCache(tmp_path), "aa-0", b"one")
    put(SegmentCache(tmp_path), "aa-0", b"one")
    assert SegmentCache(tmp_path).is_whole("aa-0")


def test_an_unusable_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "making").write_text("a file, not a folder")
    with (
        pytest.raises(OutputError, match="cache folder cannot be written"),
        SegmentCache(tmp_path).workspace(),
    ):
        pass
