"""What a plan needs to know of a device, and how fast a card is."""

import os
import re
from functools import lru_cache

import msgspec

from engine.worker.messages import Device

# Dense bfloat16 with float32 sums, TFLOP/s, as the makers state it; float32 for the cards before
# compute capability 8.0, which have no bfloat16. The longest name that fits counts.
CARDS = {
    "T4": 8.1,
    "V100": 15.7,
    "RTX 2060": 6.5,
    "RTX 2070": 7.5,
    "RTX 2080": 10.1,
    "RTX 2080 Ti": 13.4,
    "RTX 3050": 18.0,
    "RTX 3060": 25.6,
    "RTX 3060 Ti": 32.4,
    "RTX 3070": 40.6,
    "RTX 3070 Ti": 43.5,
    "RTX 3080": 59.5,
    "RTX 3080 Ti": 68.0,
    "RTX 3090": 71.0,
    "RTX 3090 Ti": 80.0,
    "RTX 4060": 30.0,
    "RTX 4060 Ti": 44.0,
    "RTX 4070": 58.0,
    "RTX 4070 SUPER": 71.0,
    "RTX 4070 Ti": 80.0,
    "RTX 4070 Ti SUPER": 88.0,
    "RTX 4080": 97.5,
    "RTX 4080 SUPER": 104.0,
    "RTX 4090": 165.0,
    "RTX 5060": 38.0,
    "RTX 5060 Ti": 47.0,
    "RTX 5070": 62.0,
    "RTX 5070 Ti": 88.0,
    "RTX 5080": 112.0,
    "RTX 5090": 209.0,
    "RTX A4000": 76.0,
    "RTX A5000": 111.0,
    "RTX A6000": 155.0,
    "RTX 6000 Ada": 182.0,
    "RTX PRO 6000": 250.0,
    "A10": 62.0,
    "A10G": 70.0,
    "A40": 150.0,
    "L4": 60.0,
    "L40": 181.0,
    "L40S": 362.0,
    "A100": 312.0,
    "H20": 148.0,
    "H100": 989.0,
    "H200": 989.0,
    "GH200": 989.0,
    "B200": 2250.0,
}
CAPABILITIES = (  # of a card that is not in the table: a middling one of its kind
    ((12, 0), 88.0),
    ((10, 0), 1500.0),
    ((9, 0), 800.0),
    ((8, 9), 58.0),
    ((8, 6), 40.0),
    ((8, 0), 250.0),
    ((0, 0), 8.0),
)
LAPTOP = 0.7  # of the desktop card that a laptop's is named after
# Of the stated rate that a whole run reaches. Published runs of this model: 45 % on an A100, 60 %
# or more on an RTX 4090 and on Hopper, by fused kernels. The plain paths: about half.
FUSED_SHARE, PLAIN_SHARE = 0.55, 0.28
# TFLOP/s of one processor core in float32. Measured with the model's own layers at full width, on
# two cores of a server: transformer 0.065 to 0.087, projection 0.12, decoders 0.10 to 0.15.
CORE_RATE = 0.09
CORES_SHARE = 0.7  # of further cores, as memory is shared
UNKNOWN_CORES = 4


class DeviceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A card or the processor.

    `kind`: "cuda" or "cpu". `free_bytes`: what a job may have, its own leftovers included; 0 if
    that is not known. `rates`: TFLOP/s of a whole run as measured, 0 if never.
    """

    kind: str
    name: str = ""
    total_bytes: int = 0
    free_bytes: int = 0
    capability: tuple[int, int] | None = None
    has_triton: bool = True
    rates: float = 0.0

    @property
    def is_card(self) -> bool:
        return self.kind == "cuda"

    @property
    def has_bf16(self) -> bool:
        """Whether it computes in bfloat16, and not by way of float32."""
        return self.is_card and (self.capability is None or self.capability >= (8, 0))

    @property
    def has_fp8(self) -> bool:
        """Whether it multiplies 8-bit numbers."""
        return self.is_card and self.capability is not None and self.capability >= (8, 9)

    @property
    def reads_eight_bits(self) -> bool:
        """Whether attention takes keys in 8 bits as they are: plain code does, kernels there do."""
        return not self.has_triton or self.has_fp8

    @property
    def cores(self) -> int:
        """As the processor's name tells them, else this machine's."""
        told = re.search(r"(\d+) cores?\b", self.name)
        return int(told[1]) if told else os.cpu_count() or UNKNOWN_CORES


def facts_of(device: Device) -> DeviceFacts:
    """What a child told of its device; what it did not tell stays open."""
    told = re.search(r"capability (\d+)\.(\d+)", device.details)
    without = re.search(r"\b(no|without) triton\b", device.details, re.IGNORECASE)
    return DeviceFacts(
        kind=device.kind,
        name=device.name,
        total_bytes=max(0, device.total_bytes),
        free_bytes=max(0, device.free_bytes),
        capability=(int(told[1]), int(told[2])) if told else None,
        has_triton=device.kind == "cuda" and without is None,
    )


def rate(
    device: DeviceFacts,
    cores: int | None = None,
    shares: tuple[float, float] = (FUSED_SHARE, PLAIN_SHARE),
) -> float:
    """Floating point operations in a second of a whole run: measured, or expected by the name.

    shares: of a card's stated rate, by fused kernels and by plain paths.
    """
    if device.rates > 0:
        return device.rates * 1e12
    if not device.is_card:
        return CORE_RATE * 1e12 * (1 + CORES_SHARE * ((cores or device.cores) - 1))
    share = shares[0] if device.has_triton and device.has_bf16 else shares[1]
    return _stated(device) * share * 1e12


@lru_cache(64)
def _stated(device: DeviceFacts) -> float:
    name = device.name.lower()
    fitting = [card for card in CARDS if re.search(rf"\b{card.lower()}\b", name)]
    if fitting:
        return CARDS[max(fitting, key=len)] * (LAPTOP if "laptop" in name else 1)
    capability = device.capability or (8, 6)
    return next(stated for least, stated in CAPABILITIES if capability >= least)
