"""Want of memory is told with what was needed and what there was, and holds nothing itself."""

import weakref
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from engine.errors import OutOfMemory  # noqa: E402
from engine.models import memory  # noqa: E402


def test_a_block_that_the_machine_does_not_have_is_told() -> None:
    with pytest.raises(OutOfMemory) as caught, memory.memory_told("cpu"):
        torch.empty(2**50, dtype=torch.uint8)
    assert caught.value.message.startswith("Out of memory: needed 1125899.9 GB, ")
    assert caught.value.message.endswith(" GB free.")
    assert caught.value.hint
    assert "allocate" in caught.value.details
    with (
        pytest.raises(OutOfMemory, match=r"needed 9000000\.0 GB"),
        memory.memory_told("cpu", 9 * 10**15),
    ):
        torch.empty(2**50, dtype=torch.uint8)


def test_the_error_keeps_no_tensor_alive() -> None:
    """So the next, smaller plan finds the memory of the one that failed."""
    kept: list[weakref.ref[Tensor]] = []

    def job() -> None:
        tensor = torch.zeros(1000)
        kept.append(weakref.ref(tensor))
        torch.empty(2**50, dtype=torch.uint8)

    with pytest.raises(OutOfMemory) as caught, memory.memory_told("cpu"):
        job()
    assert caught.value.__cause__ is not None
    assert kept[0]() is None


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of", "2.7 GB"),
        ("MPS backend out of memory (max allowed: 9 GB). Tried to allocate 512 MiB", "0.5 GB"),
        (
            "DefaultCPUAllocator: not enough memory: you tried to allocate 3000000000 bytes",
            "3.0 GB",
        ),
        ("[enforce fail] DefaultCPUAllocator: can't allocate memory", ""),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", ""),
    ],
)
def test_every_wording_is_known(text: str, needed: str) -> None:
    with pytest.raises(OutOfMemory) as caught, memory.memory_told("cpu"):
        raise RuntimeError(text)
    assert (f"needed {needed}" in caught.value.message) == bool(needed)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory.memory_told("cpu"):
        raise RuntimeError("the shapes do not fit")


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="the system does not tell")
def test_free_memory_is_told() -> None:
    assert memory.free_bytes("cpu") > 10_000_000


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card")
def test_a_card_that_is_full_is_told_and_emptied() -> None:
    before = memory.free_bytes("cuda")
    told = r"Out of GPU memory: needed .* GB, .* GB free\."
    with pytest.raises(OutOfMemory, match=told), memory.memory_told("cuda"):
        [torch.empty(before // 3, dtype=torch.uint8, device="cuda") for _ in range(4)]
    assert memory.free_bytes("cuda") > before * 0.95
