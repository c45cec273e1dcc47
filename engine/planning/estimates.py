"""The price of a job, as a person is told it."""

import msgspec


class Estimate(msgspec.Struct, frozen=True):
    """`line`: for the person, «On the CPU · about 3 min · 0.6 GB».

    `fits`: whether the device has the memory; the line says so too.
    """

    seconds: float
    peak_bytes: int
    line: str
    fits: bool = True
