"""The ring of buffers between a file and a device: every byte arrives, whatever the cuts."""

import os
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from engine.errors import WeightsError  # noqa: E402
from engine.models.loading import Place, Stored, chunked, places_of, transfer  # noqa: E402
from engine.models.weights import load_strict, part, read_tensors, renamed  # noqa: E402

CPU = torch.device("cpu")
DTYPES = [
    torch.bool, torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32,
    torch.uint64, torch.int64, torch.float8_e4m3fn, torch.float8_e5m2, torch.float16,
    torch.bfloat16, torch.float32, torch.float64, torch.complex64,
]  # fmt: skip


def noise(shape: tuple[int, ...], dtype: Any) -> Tensor:
    """Every bit pattern, infinities and NaN among them."""
    count = torch.Size(shape).numel() * dtype.itemsize
    values = torch.randint(0, 2 if dtype == torch.bool else 256, (count,), dtype=torch.uint8)
    return values.view(dtype).view(shape)


def raw(tensor: Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Every type, tensors larger and smaller than a buffer, a scalar, and one of no values."""
    torch.manual_seed(3)
    tensors = {str(dtype): noise((7, 11), dtype) for dtype in DTYPES}
    tensors |= {"long": noise((999,), torch.float32), "none": torch.zeros(0, 4)}
    tensors |= {"scalar": noise((), torch.float16), "odd": noise((3,), torch.uint8)}
    save_file(tensors, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


@pytest.mark.parametrize("buffer_bytes", [16, 48, 100, 1000, 1 << 20])
def test_every_byte_arrives(file: Path, buffer_bytes: int) -> None:
    tensors = read_tensors(file)
    mapped = {name: tensor.clone() for name, tensor in tensors.items()}
    for given in (tensors, mapped):  # by their place in the file, and out of memory
        got = transfer(given, CPU, buffer_bytes=buffer_bytes)
        assert list(got) == list(tensors)
        for name, tensor in tensors.items():
            assert (got[name].dtype, got[name].shape) == (tensor.dtype, tensor.shape)
            assert raw(got[name]) == raw(tensor), name


@pytest.mark.parametrize("buffer_bytes", [16, 100, 1 << 20])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_what_is_floating_is_converted_on_the_way(
    file: Path, buffer_bytes: int, dtype: Any
) -> None:
    tensors = read_tensors(file)
    for name, got in transfer(tensors, CPU, dtype, buffer_bytes).items():
        want = tensors[name].to(dtype) if tensors[name].is_floating_point() else tensors[name]
        assert got.dtype == want.dtype, name
        torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)


def test_values_at_odd_bytes_are_converted(tmp_path: Path) -> None:
    values = torch.arange(100.0)
    (tmp_path / "x").write_bytes(b"\7" + raw(values))
    given = {"b": torch.zeros(1, dtype=torch.uint8), "x": values}
    places = {"b": Place(tmp_path / "x", 0, 1), "x": Place(tmp_path / "x", 1, 400)}
    for buffer_bytes in (64, 1000):
        got = transfer(Stored(given, places), CPU, torch.float16, buffer_bytes)
        assert torch.equal(got["x"], values.half())
        assert got["b"].item() == 7


def test_neighbours_are_read_at_once(file: Path) -> None:
    tensors = read_tensors(file)
    chunks = list(chunked(tensors, 1 << 20))
    assert len(chunks) == 1
    assert chunks[0].size == sum(tensor.nbytes for tensor in tensors.values())
    apart = part(tensors, [str(torch.int8), "long"])  # others lie between them
    assert len(list(chunked(apart, 1 << 20))) == 2
    assert all(chunk.size <= 100 for chunk in chunked(tensors, 100))


def test_a_file_that_is_cut_or_gone_meanwhile_is_named(file: Path) -> None:
    tensors = read_tensors(file)
    names = sorted(tensors, key=lambda name: places_of(tensors)[name])
    os.truncate(file, file.stat().st_size - 1)
    with pytest.raises(WeightsError) as caught:
        transfer(tensors, CPU, buffer_bytes=64)
    assert f"{file}: tensor {names[-1]!r} could not be read: the file ended" in caught.value.message
    file.unlink()
    with pytest.raises(WeightsError, match="could not be read: No such file"):
        transfer(tensors, CPU)


class Convolutions(nn.Module):
    """Weights of four and of five dimensions, and a table of whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Conv2d(3, 4, 3)
        self.deep = nn.Conv3d(3, 4, 3)
        self.register_buffer("table", torch.arange(5))


def test_a_module_is_loaded_in_its_type_and_layout(tmp_path: Path) -> None:
    torch.manual_seed(5)
    state = Convolutions().state_dict()
    save_file(state, tmp_path / "m.safetensors")
    torch.save(state, tmp_path / "m.pth")
    for name in ("m.safetensors", "m.pth"):
        tensors = read_tensors(tmp_path / name)
        module = load_strict(
            Convolutions, tensors, name, torch.bfloat16, "cpu", torch.channels_last
        )
        assert module.flat.weight.is_contiguous(memory_format=torch.channels_last)
        assert module.deep.weight.is_contiguous(memory_format=torch.channels_last_3d)
        for key, got in module.state_dict().items():
            want = state[key].bfloat16() if state[key].is_floating_point() else state[key]
            assert got.dtype == want.dtype
            assert torch.equal(got, want), key


def test_other_names_and_parts_keep_their_places(file: Path) -> None:
    tensors = read_tensors(file)
    other = part(renamed(tensors, {"long": "new.long"}), ["new."])
    assert places_of(other) == {"new.long": places_of(tensors)["long"]}
    assert raw(transfer(other, CPU)["new.long"]) == raw(tensors["long"])


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are Linux's to tell")
def test_a_conversion_takes_the_memory_of_the_result(tmp_path: Path) -> None:
    """48 MB of float32 to 24 MB: the file's own pages are not in the peak."""
    from engine.models.memory import peak_bytes, reset_peak

    save_file({str(n): torch.ones(1_000_000) for n in range(12)}, tmp_path / "m.safetensors")
    tensors = read_tensors(tmp_path / "m.safetensors")
    transfer(part(tensors, ["1"]), CPU, torch.bfloat16)  # threads and buffers, once
    reset_peak(CPU)
    before = peak_bytes(CPU)
    result = transfer(tensors, CPU, torch.bfloat16)
    assert sum(tensor.nbytes for tensor in result.values()) == 24_000_000
    assert peak_bytes(CPU) - before < 24_000_000 + 3 * (4 << 20) + 4_000_000


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card")
def test_the_same_bytes_arrive_on_a_card(file: Path) -> None:
    tensors = read_tensors(file)
    for buffer_bytes in (64, 1 << 20):
        got = transfer(tensors, torch.device("cuda"), buffer_bytes=buffer_bytes)
        assert all(raw(got[name].cpu()) == raw(tensors[name]) for name in tensors)
        half = transfer(tensors, torch.device("cuda"), torch.bfloat16, buffer_bytes)
        assert torch.equal(
            half["long"].cpu().view(torch.int16), tensors["long"].bfloat16().view(torch.int16)
        )
