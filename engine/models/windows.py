"""Overlapping windows in time: a clip longer than the model can hold, denoised piece by piece.

All lengths are latent frames. A window is the frame numbers it sees, in their order. The lists,
weights and shuffled noise are those of the published ComfyUI nodes for Wan and AnimateDiff.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log2
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from engine.errors import EffectError
from engine.models.samplers import Velocity
from engine.models.schedules import Step

Window: TypeAlias = tuple[int, ...]
Layout: TypeAlias = Literal["static_standard", "uniform_standard", "uniform_looped"]
Fuse: TypeAlias = Literal["linear", "pyramid"]

# Added to no weight worth the name: frames that only zeros fall on get the plain mean instead.
LEAST_WEIGHT = 1e-8


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How a long clip is cut; `size`, `stride` and `overlap` are latent frames."""

    layout: Layout = "uniform_standard"
    size: int = 21
    stride: int = 1  # uniform only: windows of every second, fourth … frame are added up to it
    overlap: int = 4
    fuse: Fuse = "linear"
    reuses_noise: bool = True  # FreeNoise

    def __post_init__(self) -> None:
        """Refuses windows that do not move on."""
        if self.size < 1 or self.stride < 1 or not 0 <= self.overlap < self.size:
            raise EffectError(
                f"Windows of {self.size} latent frames with an overlap of {self.overlap} and a "
                f"stride of {self.stride} cannot cover a clip.",
                "The overlap must be less than the window, and the stride at least 1.",
            )

    @classmethod
    def of_frames(
        cls,
        frames: int = 81,
        stride: int = 4,
        overlap: int = 16,
        *,
        period: int = 4,
        layout: Layout = "uniform_standard",
        fuse: Fuse = "linear",
        reuses_noise: bool = True,
    ) -> "Windows":
        """From lengths in pixel frames, as a person gives them."""
        return cls(
            layout=layout,
            size=(frames - 1) // period + 1,
            stride=max(1, stride // period),
            overlap=overlap // period,
            fuse=fuse,
            reuses_noise=reuses_noise,
        )

    @property
    def is_looped(self) -> bool:
        """Whether windows run from the last frame on to the first."""
        return self.layout == "uniform_looped"

    def at(self, step: int, length: int) -> list[Window]:
        """The windows of sampler step `step` over `length` frames, in the order they are run."""
        if length <= self.size:
            return [tuple(range(length))]
        if self.layout == "static_standard":
            return static_windows(length, self.size, self.overlap)
        if self.layout == "uniform_looped":
            return looped_windows(step, length, self.size, self.stride, self.overlap)
        listed = standard_windows(step, length, self.size, self.stride, self.overlap)
        return covering(within(listed, length), length, self.size)


def static_windows(length: int, size: int, overlap: int) -> list[Window]:
    """The same at every step: one every size - overlap, the last moved back to the end."""
    if length <= size:
        return [tuple(range(length))]
    starts = [*range(0, length - size, size - overlap), length - size]
    return [tuple(range(start, start + size)) for start in starts]


def looped_windows(step: int, length: int, size: int, stride: int, overlap: int) -> list[Window]:
    """Begun elsewhere at each step, of every frame, every second, fourth …, round the end."""
    if length <= size:
        return [tuple(range(length))]
    shift = round(length * halving(step))
    listed = []
    for power in range(min(stride, ceil(log2(length / size)) + 1)):
        spacing = 2**power
        first = int(halving(step) * spacing) + shift
        for start in range(first, length + shift, size * spacing - overlap):
            listed.append(tuple((start + i * spacing) % length for i in range(size)))
    return listed


def standard_windows(step: int, length: int, size: int, stride: int, overlap: int) -> list[Window]:
    """Looped windows, those that would run round the end moved back to it, none twice.

    With a stride above 1 a window may reach past the last frame, as published: see `within`.
    """
    listed = looped_windows(step, length, size, stride, overlap)
    at = 0
    while at < len(listed):
        window = listed[at]
        turn = next((b for a, b in pairwise(window) if b < a), None)
        if turn is not None:
            moved = [(frame - window[0]) % length for frame in window]
            listed[at] = tuple(frame + length - 1 - moved[-1] for frame in moved)
            if turn not in listed[(at + 1) % len(listed)]:
                listed.insert(at + 1, tuple(range(turn, turn + size)))
        at += 1
    return list(dict.fromkeys(listed))


def within(windows: Sequence[Window], length: int) -> list[Window]:
    """The windows, those past the last frame moved back to end at it, none twice."""
    moved = []
    for window in windows:
        past = max(0, max(window) - length + 1)
        moved.append(tuple(frame - past for frame in window))
    return list(dict.fromkeys(moved))


def covering(windows: Sequence[Window], length: int, size: int) -> list[Window]:
    """The windows, and plain ones over the frames that the published list leaves out, if any."""
    listed = list(windows)
    for frame in sorted(set(range(length)).difference(*windows)):
        if frame not in listed[-1]:
            start = min(frame, length - size)
            listed.append(tuple(range(start, start + size)))
    return listed


def halving(step: int) -> float:
    """0, 1/2, 1/4, 3/4, 1/8 …: the bits of `step` behind the point, the lowest first."""
    return int(f"{step:064b}"[::-1], 2) / 2**64


def window_weights(
    window: Window, length: int, overlap: int, fuse: Fuse = "linear", looped: bool = False
) -> Tensor:
    """How much each frame of a window counts where windows meet: (size,), 0..1.

    Linear: a ramp over the overlap where another window goes on. Pyramid: towards the middle, but
    up at the clip's own ends, where no other window is.
    """
    size = len(window)
    has_first, has_last = min(window) == 0, max(window) == length - 1
    overlap = min(overlap, size)
    ramp = torch.linspace(0, 1, overlap)
    if fuse == "pyramid":
        sides = torch.arange(1.0, size + 1)
        weights = torch.minimum(sides, sides.flip(0)) / ((size + 1) // 2)
        if has_first and not looped:
            weights[:overlap] = torch.maximum(weights[:overlap], ramp)
        if has_last and not looped:
            weights[size - overlap :] = torch.maximum(weights[size - overlap :], ramp.flip(0))
        return weights
    weights = torch.ones(size)
    if not has_first or (looped and has_last):
        weights[:overlap] = ramp
    if not has_last or (looped and has_first):
        weights[size - overlap :] = ramp.flip(0)
    return weights


def fused(
    parts: Iterator[tuple[Window, Tensor]],
    length: int,
    overlap: int,
    fuse: Fuse = "linear",
    looped: bool = False,
) -> Tensor:
    """The weighted mean of what each window gives, (..., size, h, w), over `length` frames.

    Windows are taken one by one, so that only one is held beside the sum.
    """
    total: Tensor | None = None
    weight = torch.zeros(length)
    for window, part in parts:
        frames = torch.tensor(window)
        share = window_weights(window, length, overlap, fuse, looped).clamp_min(LEAST_WEIGHT)
        if total is None:
            total = part.new_zeros(*part.shape[:-3], length, *part.shape[-2:], dtype=torch.float32)
        scaled = part.float() * share[:, None, None].to(part.device)
        total.index_add_(-3, frames.to(part.device), scaled)
        weight.index_add_(0, frames, share)
    assert total is not None
    assert bool((weight > 0).all()), "a frame that no window sees"
    return total / weight[:, None, None].to(total.device)


# The velocity of one window: latents (B, C, size, h, w), the step, and which frames they are.
WindowVelocity: TypeAlias = Callable[[Tensor, Step, Window], Tensor]


def over_windows(velocity: WindowVelocity, windows: Windows) -> Velocity:
    """A velocity over clips of any length from one over windows. Latents: (B, C, T, h, w).

    A clip no longer than a window is one call, unchanged.
    """

    def whole(x: Tensor, step: Step) -> Tensor:
        length = x.shape[2]
        listed = windows.at(step.index, length)
        if len(listed) == 1:
            return velocity(x, step, listed[0])
        parts = ((window, velocity(x[:, :, list(window)], step, window)) for window in listed)
        return fused(parts, length, windows.overlap, windows.fuse, windows.is_looped)

    return whole


def prompt_of(window: Window, length: int, prompts: int) -> int:
    """Which of so many prompts, spread evenly over the clip, a window is told."""
    return min(int(max(window) / (length / prompts)), prompts - 1)


def reused_noise(noise: Tensor, size: int, overlap: int, generator: torch.Generator) -> Tensor:
    """Noise whose frames after the first window are earlier ones, shuffled: (..., T, h, w).

    FreeNoise: Qiu et al. 2023 (arXiv 2310.15169), sec. 3.2. `generator` is the CPU's.
    """
    length = noise.shape[-3]
    noise = noise.clone()
    fresh = size - overlap
    for start in range(0, length - size, fresh):
        place = start + size
        count = min(fresh, length - place)
        order = torch.randperm(count, generator=generator).to(noise.device)
        noise[..., place : place + count, :, :] = noise[..., start + order, :, :]
    return noise
