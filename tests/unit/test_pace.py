"""The host waits for a device that is more than some blocks behind, and for no processor."""

import pytest

torch = pytest.importorskip("torch")

from engine.models.pace import AHEAD, pace  # noqa: E402


class Device:
    """Counts what is given to it, and what is waited for."""

    def __init__(self) -> None:
        self.given = self.done = 0

    def mark(self) -> "Place":
        self.given += 1
        return Place(self, self.given)


class Place:
    def __init__(self, device: Device, number: int) -> None:
        self._device, self._number = device, number

    def synchronize(self) -> None:
        self._device.done = max(self._device.done, self._number)


def test_a_card_is_never_more_than_some_blocks_behind() -> None:
    device = Device()
    wait = pace(torch.device("cuda"), device.mark)
    for number in range(1, 8):
        wait()
        assert device.given == number
        assert device.done == max(0, number - AHEAD)


def test_nothing_waits_for_a_processor() -> None:
    assert pace(torch.device("cpu"))() is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_a_real_card_is_waited_for() -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    wait = pace(device, ahead=0)
    x = torch.randn(4096, 4096, device=device)
    for _ in range(20):
        x = x @ x / 64
    wait()
    assert torch.cuda.current_stream(device).query()
