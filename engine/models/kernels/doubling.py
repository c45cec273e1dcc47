"""The kernel of the trial: it doubles numbers."""

from engine.models.kernels.language import Value, constexpr, tl, triton


def _double(numbers: Value, COUNT: constexpr) -> None:
    at = numbers + tl.arange(0, COUNT)
    tl.store(at, tl.load(at) * 2.0)


kernel = triton.jit(_double)
