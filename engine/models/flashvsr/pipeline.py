"""FlashVSR from frames to frames: streamed chunk by chunk, as many out as came in.

The first chunk reads 25 frames and gives 21, each later one reads 8 and gives 8: every frame is
made with a look ahead of four. What is missing at the end is the last frame, repeated.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import tau
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from engine.models.flashvsr.colour import adain, wavelet
from engine.models.flashvsr.config import Sparsity, pair_budget, topk_ratio
from engine.models.flashvsr.decoder import TinyDecoder
from engine.models.flashvsr.preparation import Placement, prepared, to_picture
from engine.models.flashvsr.projector import Projector, ProjectorState
from engine.models.flashvsr.transformer import Transformer
from engine.models.wan.vae import Vae, VaeDecoder, decode_chunk

FIRST_LATENTS, LATER_LATENTS = 6, 2
FIRST_FRAMES, LATER_FRAMES = 21, 8
LOOK_AHEAD = 4
CELL = 8  # pixels along a latent's side
BLOCK_PIXELS = 128  # pixels along a block's side

Colour = Literal["none", "adain", "wavelet"]
Noise = Callable[[int, int], Tensor]  # (first latent frame, how many) -> (1, C, T, h, w)


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Models:
    """What a run needs. The decoder tells tiny from full; `prompt` is (1, S, text_dim)."""

    transformer: Transformer
    projector: Projector
    decoder: TinyDecoder | VaeDecoder | Vae
    prompt: Tensor


@dataclass(frozen=True)
class Settings:
    """How to run."""

    sparsity: Sparsity
    colour: Colour = "adain"


@dataclass(frozen=True)
class Chunk:
    """One step's result: latents (1, C, T, h, w); frames and their source (1, 3, F, H, W)."""

    latents: Tensor
    frames: Tensor  # about -1..1, before the colour fix
    source: Tensor


def sparsity(
    width: int, height: int, sparse_ratio: float = 2.0, kv_ratio: float = 3.0, reach: int = 11
) -> Sparsity:
    """The published choice for a picture of width x height, multiples of 128."""
    blocks = width * height // BLOCK_PIXELS**2
    pairs = pair_budget(blocks, topk_ratio(width, height, sparse_ratio))
    return Sparsity(pairs, reach, int(kv_ratio))


def upscaled(
    models: Models,
    pictures: Iterable[Tensor],
    place: Placement,
    settings: Settings,
    seed: int = 0,
    check: Callable[[], None] = _nothing,
) -> Iterator[Tensor]:
    """Every picture, (h, w, 3) uint8, at the size of the placement, in order.

    `check` is called at each transformer block, and may raise.
    """
    channels = models.transformer.config.in_dim
    noise = seeded_noise(seed, channels, place.height // CELL, place.width // CELL)
    frames = (prepared(picture, place) for picture in pictures)
    for chunk in chunks(models, frames, noise, settings, check):
        frame_chunk, source = place.restored(chunk.frames), place.restored(chunk.source)
        for frame in recoloured(frame_chunk, source, settings.colour).unbind(2):
            yield to_picture(frame[0])


def chunks(
    models: Models,
    frames: Iterable[Tensor],
    noise: Noise,
    settings: Settings,
    check: Callable[[], None] = _nothing,
) -> Iterator[Chunk]:
    """The result for frames (3, H, W) in -1..1, as soon as each part can be made.

    H and W are multiples of 128. The chunks hold as many frames as came in; none for none.
    """
    reader = _Frames(frames)
    stream = Stream(models, settings, check)
    held: list[Tensor] = reader.take(FIRST_FRAMES + LOOK_AHEAD)
    fresh, given = held, 0
    while reader.count > given:
        size = LATER_FRAMES if given else FIRST_FRAMES
        chunk = stream.step(_clip(fresh), _clip(held[:size]), noise)
        wanted = min(size, reader.count - given)
        yield Chunk(chunk.latents, chunk.frames[:, :, :wanted], chunk.source[:, :, :wanted])
        given += size
        if reader.is_ended and given >= reader.count:
            break
        fresh = reader.take(LATER_FRAMES)
        held = held[size:] + fresh


class Stream:
    """What is carried from chunk to chunk of one stream."""

    def __init__(
        self, models: Models, settings: Settings, check: Callable[[], None] = _nothing
    ) -> None:
        self._models = models
        self._settings = settings
        self._check = check
        weight = models.transformer.patch_embedding.weight
        self._device, self._dtype = weight.device, weight.dtype
        with torch.no_grad():
            self._condition = models.transformer.condition(models.prompt.to(self._device))
        self._rings = models.transformer.rings(settings.sparsity)
        self._projector = ProjectorState()
        self._decoder: tuple[Tensor, ...] = ()
        self._start = 0

    @torch.no_grad()
    def step(self, ahead: Tensor, source: Tensor, noise: Noise) -> Chunk:
        """The next chunk.

        ahead: (1, 3, T, H, W), the frames that the projection has not read, 25 and then 8;
        source: the frames that come out, 21 and then 8.
        """
        count = LATER_LATENTS if self._start else FIRST_LATENTS
        source = source.to(self._device)
        tokens, self._projector = self._models.projector(ahead.to(self._device), self._projector)
        drawn = noise(self._start, count).to(self._device)
        velocity = self._models.transformer(
            drawn.to(self._dtype),
            [t.to(self._dtype) for t in tokens],
            self._condition,
            self._rings,
            self._start,
            self._settings.sparsity,
            self._check,
        )
        latents = drawn.float() - velocity.float()
        self._start += count
        return Chunk(latents, self._decoded(latents, source), source)

    def _decoded(self, latents: Tensor, source: Tensor) -> Tensor:
        decoder = self._models.decoder
        if isinstance(decoder, TinyDecoder):
            weight = next(decoder.parameters())
            unit: Tensor
            unit, self._decoder = decoder(latents.to(weight), source, self._decoder)
            return 2 * unit.float() - 1
        frames, self._decoder = decode_chunk(decoder, latents, self._decoder or None)
        return frames.clamp(-1, 1)


def recoloured(frames: Tensor, source: Tensor, colour: Colour) -> Tensor:
    """Frames with the colours of their source, both (1, 3, T, H, W)."""
    if colour == "adain":
        return adain(frames, source)
    if colour == "wavelet":
        return wavelet(frames, source)
    return frames


def seeded_noise(seed: int, channels: int, height: int, width: int) -> Noise:
    """Standard normal latents, each frame drawn by (seed, its number) alone.

    The numbers are Philox's raw ones (Salmon et al. 2011) through Box and Muller, so they are the
    same on every machine, for every length, and wherever a stream begins.
    """
    size = channels * height * width
    half = (size + 1) // 2

    def one(frame: int) -> Tensor:
        key = np.array([seed % 2**64, frame], dtype=np.uint64)
        raw = np.random.Philox(key=key).random_raw(2 * half)
        a, b = ((raw >> np.uint64(11)) + np.uint64(1)).astype(np.float64).reshape(2, half) / 2**53
        radius = np.sqrt(-2 * np.log(a))
        values = np.concatenate([radius * np.cos(tau * b), radius * np.sin(tau * b)])[:size]
        return torch.from_numpy(values.astype(np.float32)).reshape(channels, height, width)

    return lambda first, count: torch.stack([one(first + i) for i in range(count)], dim=1)[None]


class _Frames:
    """Reads frames; when they end, the last one is repeated."""

    def __init__(self, frames: Iterable[Tensor]) -> None:
        self._source = iter(frames)
        self._last: Tensor | None = None
        self.count = 0  # read so far, without repetitions
        self.is_ended = False

    def take(self, count: int) -> list[Tensor]:
        """The next `count` frames; none if there never was one."""
        taken: list[Tensor] = []
        while len(taken) < count:
            frame = None if self.is_ended else next(self._source, None)
            if frame is None:
                self.is_ended = True
                if self._last is None:
                    break
                taken.append(self._last)
            else:
                self._last = frame
                self.count += 1
                taken.append(frame)
        return taken


def _clip(frames: list[Tensor]) -> Tensor:
    """Frames (3, H, W) as one clip (1, 3, T, H, W)."""
    return torch.stack(frames, dim=1)[None]
