"""Models between jobs: loaded once, kept within a budget, never taken from who uses them."""

import os
import weakref
from dataclasses import dataclass
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from engine.models.resident import Resident, key_of, model_bytes  # noqa: E402

KILOBYTE = 256  # values of float32


class Loads:
    """Makes models of one kilobyte a piece and counts how often."""

    def __init__(self) -> None:
        self.made: list[weakref.ref[nn.Module]] = []

    def __call__(self) -> nn.Module:
        model = nn.Linear(KILOBYTE, 1, bias=False)
        self.made.append(weakref.ref(model))
        return model

    @property
    def alive(self) -> list[int]:
        return [n for n, model in enumerate(self.made) if model() is not None]


def test_a_second_job_starts_at_once() -> None:
    resident, load = Resident(10_000), Loads()
    with resident.use("a", load) as first:
        pass
    with resident.use("a", load) as second:
        assert second is first
    assert len(load.made) == 1
    assert resident.bytes == 1024


def test_who_was_used_least_recently_goes_first() -> None:
    resident, load = Resident(2048), Loads()
    for key in "abac":  # b is the oldest when c comes
        with resident.use(key, load):
            pass
    assert load.alive == [0, 2]
    assert resident.bytes == 2048
    with resident.use("b", load):
        assert len(load.made) == 4


def test_room_is_made_before_the_next_is_loaded() -> None:
    resident, load = Resident(2048), Loads()
    seen: list[list[int]] = []

    def watched() -> nn.Module:
        seen.append(load.alive)
        return load()

    for key in "ab":
        with resident.use(key, load):
            pass
    with resident.use("c", watched, expected_bytes=2048):
        pass
    assert seen == [[]]


def test_what_is_in_use_stays() -> None:
    resident, load = Resident(10_000), Loads()
    with resident.use("b", load):
        pass
    with resident.use("a", load) as model:
        assert resident.free(10**9) == 1024  # b alone
        assert load.alive == [1]
        assert resident.clear() == 0
        assert model.weight.numel() == KILOBYTE
        with resident.use("a", load) as again:
            assert again is model
        assert load.alive == [1]
        del model, again
    assert load.alive == []
    assert resident.bytes == 0
    with resident.use("a", load):
        pass
    assert resident.bytes == 1024  # kept again


def test_free_drops_no_more_than_it_must() -> None:
    resident, load = Resident(10_000), Loads()
    for key in "abcd":
        with resident.use(key, load):
            pass
    assert resident.free(0) == 0
    assert resident.free(1500) == 2048
    assert load.alive == [2, 3]
    assert resident.clear() == 2048
    assert load.alive == []


def test_models_larger_than_the_budget_go_with_their_job() -> None:
    resident, load = Resident(1000), Loads()
    with resident.use("a", load):
        assert resident.bytes == 1024
    assert load.alive == []


def test_a_load_that_fails_leaves_nothing() -> None:
    resident, load = Resident(10_000), Loads()

    def fail() -> nn.Module:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"), resident.use("a", fail):
        pass
    with pytest.raises(ValueError, match="job"), resident.use("a", load):
        raise ValueError("job")
    with resident.use("a", fail):  # the models outlive a job that fails
        pass
    assert load.alive == [0]


class Pinned(nn.Module):
    """Holds something beside its tensors."""

    closed = 0

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(KILOBYTE))

    def close(self) -> None:
        type(self).closed += 1


@pytest.mark.parametrize("way", ["clear", "free", "another", "clear in use"])
def test_models_are_closed_when_they_are_dropped_and_only_then(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pinned, "closed", 0)
    resident = Resident(1500)
    for _ in range(2):
        with resident.use("a", Pinned):
            pass
    assert Pinned.closed == 0
    if way == "clear":
        resident.clear()
    elif way == "free":
        resident.free(1)
    elif way == "another":
        with resident.use("b", Loads()):
            pass
    else:
        with resident.use("a", Pinned):
            resident.clear()
            assert Pinned.closed == 0
    assert Pinned.closed == 1


def test_what_waits_in_the_computers_memory_has_a_budget_of_its_own() -> None:
    """Kept between jobs, however small the card is."""

    def there(kind: str, kilobytes: int) -> nn.Module:
        return nn.Linear(KILOBYTE, kilobytes, bias=False, device=kind)

    resident = Resident(2048, 8192)  # «meta» stands for the card
    for key, kind, size in (("a", "cpu", 6), ("b", "meta", 1), ("c", "meta", 1)):
        with resident.use(key, lambda kind=kind, size=size: there(kind, size)):
            pass
    assert (resident.bytes_on("cpu"), resident.bytes_on("meta")) == (6144, 2048)
    with resident.use("d", lambda: there("meta", 1)):
        pass
    assert (resident.bytes_on("cpu"), resident.bytes_on("meta")) == (6144, 2048)  # b has gone
    with resident.use("e", lambda: there("cpu", 3), 3072):
        assert (resident.bytes_on("cpu"), resident.bytes_on("meta")) == (3072, 2048)  # a has


def test_what_a_job_moves_is_counted_where_it_is() -> None:
    resident = Resident(10_000, 10_000)
    with resident.use("a", Loads()) as model:
        model.to("meta")
    assert (resident.bytes_on("cpu"), resident.bytes_on("meta")) == (0, 1024)


@dataclass
class Family:
    model: nn.Module
    prompt: torch.Tensor
    more: dict[str, nn.Module]
    scale: float = 1.0


def test_bytes_are_counted_once() -> None:
    shared = nn.Linear(10, 10)  # 440 bytes
    norm = nn.BatchNorm1d(5)  # 4 tensors of 20 bytes, a counter of 8
    family = Family(shared, torch.zeros(4), {"again": shared, "norm": norm})
    assert model_bytes(family) == 440 + 16 + 88
    assert model_bytes((shared, [norm])) == 440 + 88


def test_a_file_that_changed_is_another_key(tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    file.write_bytes(b"12")
    first = key_of([file], torch.bfloat16, "cpu", ["tiny"])
    assert key_of([file], torch.bfloat16, "cpu", ["tiny"]) == first
    assert key_of([file], torch.float16, "cpu", ["tiny"]) != first
    assert key_of([file], torch.bfloat16, "cuda:0", ["tiny"]) != first
    assert key_of([file], torch.bfloat16, "cpu", ["full"]) != first
    os.utime(file, ns=(1, 1))
    assert key_of([file], torch.bfloat16, "cpu", ["tiny"]) != first
