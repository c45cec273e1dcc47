"""FlashVSR from frames to frames: streamed chunk by chunk, as many out as came in.

The first chunk reads 25 frames and gives 21, each later one reads 8 and gives 8: every frame is
made with a look ahead of four. What is missing at the end is the last frame, repeated.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Protocol

import torch
from torch import Tensor

from engine.models.flashvsr.colour import adain, low_band, wavelet
from engine.models.flashvsr.config import Sparsity, pair_budget, topk_ratio
from engine.models.flashvsr.decoder import FRAMES, TinyDecoder
from engine.models.flashvsr.noise import Noise, seeded_noise
from engine.models.flashvsr.preparation import Placement, fitted, sent, signal, to_picture
from engine.models.flashvsr.projector import Projector, ProjectorState
from engine.models.flashvsr.transformer import Condition, Transformer
from engine.models.flashvsr.waiting import Waiting
from engine.models.wan.vae import Vae, VaeDecoder, decode_chunk

FIRST_LATENTS, LATER_LATENTS = 6, 2
FIRST_FRAMES, LATER_FRAMES = 21, 8
LOOK_AHEAD = 4
CELL = 8  # pixels along a latent's side
BLOCK_PIXELS = 128  # pixels along a block's side
STRIP_ROWS = 64  # of a picture, whose versions are compared at once

Colour = Literal["none", "adain", "wavelet"]
Band = Literal["whole", "high"]


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Models:
    """What a run needs. The decoder tells tiny from full; `prompt` is (1, S, text_dim).

    shared: the condition, where it was made already and the layers that make it are gone.
    """

    transformer: Transformer
    projector: Projector
    decoder: TinyDecoder | VaeDecoder | Vae
    prompt: Tensor
    shared: Condition | None = None

    @property
    def device(self) -> torch.device:
        """Where the transformer lies, and so all work is done."""
        return self.transformer.patch_embedding.weight.device

    def condition(self) -> Condition:
        """What every stream shares: time and prompt."""
        if self.shared is not None:
            return self.shared
        with torch.no_grad():
            return self.transformer.condition(self.prompt.to(self.device))


@dataclass(frozen=True)
class Settings:
    """How to run.

    strength: how much of the change to the upscaled source is kept, 0..1. band: "whole", or
    "high" for the change of details alone, above the low band. cache: the type of kept keys and
    values; None as they are computed.
    """

    sparsity: Sparsity
    colour: Colour = "adain"
    strength: float = 1.0
    band: Band = "whole"
    cache: torch.dtype | None = None

    def __post_init__(self) -> None:
        """Keeps the strength in its range."""
        assert 0 <= self.strength <= 1, self.strength


@dataclass(frozen=True)
class Chunk:
    """One step's result: latents (1, C, T, h, w); frames and their source (1, 3, F, H, W)."""

    latents: Tensor
    frames: Tensor  # about -1..1, before the colour fix
    source: Tensor  # as it came in


@dataclass(frozen=True)
class Piece:
    """Decoded frames and their source, as in a Chunk: those of one latent frame."""

    frames: Tensor
    source: Tensor


class Stepping(Protocol):
    """What goes through a clip chunk by chunk: a `Stream`, or many in tiles."""

    def advance(
        self, ahead: Tensor, source: Tensor, noise: Noise
    ) -> tuple[Tensor, Iterator[Piece]]:
        """As `Stream.advance`."""


@dataclass(frozen=True)
class Step:
    """A chunk whose frames are decoded as they are asked for.

    The first `count` of them are those of the clip. `is_still`: it had one frame only.
    """

    latents: Tensor
    pieces: Iterator[Piece]
    count: int
    is_still: bool


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
    stream: Stepping | None = None,
    first_latent: int = 0,
) -> Iterator[Tensor]:
    """Every picture, (h, w, 3) uint8, at the size of the placement, in order, on the CPU.

    `check` is called at each transformer block and may raise. `stream`: a fresh one, if not the
    plain one; `first_latent`: the number by which the noise of its first latent is drawn. Of a
    single picture the stream makes 21 versions, and the result is their median: the first version
    alone has the least behind it, as every memory is empty, and all differ by their noise.
    """
    device = models.device
    channels = models.transformer.config.in_dim
    drawn = seeded_noise(seed, channels, place.height // CELL, place.width // CELL)
    frames = (fitted(sent(picture, device), place) for picture in pictures)
    stream = stream or Stream(models, settings, check)
    chain = steps(stream, frames, lambda first, count: drawn(first_latent + first, count))
    for step, made in _beside(chain, lambda piece: _finished(piece, place, settings), device):
        if step.is_still:
            yield _median(list(made))
        else:
            yield from islice(made, step.count)


def chunks(
    models: Models,
    frames: Iterable[Tensor],
    noise: Noise,
    settings: Settings,
    check: Callable[[], None] = _nothing,
) -> Iterator[Chunk]:
    """The result for frames (3, H, W), as soon as each part can be made.

    Frames are -1..1, or uint8 levels; H and W are multiples of 128. The chunks hold as many frames
    as came in; none for none.
    """
    for step in steps(Stream(models, settings, check), frames, noise):
        made, source = _joined(step.pieces)
        yield Chunk(step.latents, made[:, :, : step.count], source[:, :, : step.count])


def steps(stream: Stepping, frames: Iterable[Tensor], noise: Noise) -> Iterator[Step]:
    """Takes a stream through frames (3, H, W). Each step's pieces are to be read before the next.

    Only the frames past the clip's end may be left unread.
    """
    reader = _Frames(frames)
    first = reader.take(FIRST_FRAMES + LOOK_AHEAD)
    if not first:
        return
    held = _clip(first)
    del first
    ahead, given = held, 0
    is_still = reader.is_ended and reader.count == 1
    while reader.count > given:
        size = LATER_FRAMES if given else FIRST_FRAMES
        latents, pieces = stream.advance(ahead, held[:, :, :size], noise)
        yield Step(latents, pieces, min(size, reader.count - given), is_still)
        given += size
        if reader.is_ended and given >= reader.count:
            break
        held = torch.cat([held[:, :, size:], _clip(reader.take(LATER_FRAMES))], dim=2)
        ahead = held[:, :, LOOK_AHEAD:]


class Stream:
    """What is carried from chunk to chunk of one stream."""

    def __init__(
        self,
        models: Models,
        settings: Settings,
        check: Callable[[], None] = _nothing,
        condition: Condition | None = None,
        is_parked: bool = False,
    ) -> None:
        """condition: that of the models, where several streams share it.

        is_parked: what is kept waits in the host's memory when it is not needed.
        """
        self._models = models
        self._settings = settings
        self._check = check
        self._device = models.device
        self._dtype = models.transformer.patch_embedding.weight.dtype
        self._condition = condition or models.condition()
        self._rings = models.transformer.rings(settings.sparsity, settings.cache)
        self._projector = ProjectorState()
        self._decoder: list[Tensor] = []
        self._start = 0
        self._is_parked = is_parked
        self._waiting = self._projection = self._decoding = Waiting([])

    def step(self, ahead: Tensor, source: Tensor, noise: Noise) -> Chunk:
        """The next chunk.

        ahead: (1, 3, T, H, W), the frames that the projection has not read, 25 and then 8;
        source: the frames that come out, 21 and then 8. Both -1..1, or uint8 levels.
        """
        latents, pieces = self.advance(ahead, source, noise)
        return Chunk(latents, *_joined(pieces))

    @torch.no_grad()
    def advance(
        self, ahead: Tensor, source: Tensor, noise: Noise
    ) -> tuple[Tensor, Iterator[Piece]]:
        """As `step`, but what is decoded comes latent by latent, when it is asked for."""
        count = LATER_LATENTS if self._start else FIRST_LATENTS
        self._resume()
        tokens, _ = self._models.projector(sent(ahead, self._device), self._projector)
        drawn = sent(noise(self._start, count), self._device)
        velocity = self._models.transformer(
            drawn.to(self._dtype),
            (tokens.pop(0).to(self._dtype) for _ in range(len(tokens))),  # held by nothing else
            self._condition,
            self._rings,
            self._start,
            self._settings.sparsity,
            self._check,
        )
        latents = drawn.float() - velocity.float()
        self._start += count
        if self._is_parked:
            self._waiting = Waiting(self._rings[0].places.taken_out())
            self._projection = Waiting(self._projector.tensors)
            self._projector.put([])
        return latents, self._decoded(latents, sent(source, self._device))

    def _resume(self) -> None:
        if self._is_parked:
            self._rings[0].places.put_back(self._waiting.back())
            self._projector.put(self._projection.back())
            self._waiting = self._projection = Waiting([])

    @torch.no_grad()
    def _decoded(self, latents: Tensor, source: Tensor) -> Iterator[Piece]:
        use_here(latents, source)
        at = 0
        if self._is_parked:
            self._decoder, self._decoding = self._decoding.back(), Waiting([])
        for latent in torch.split(latents, 1, dim=2):
            size = FRAMES if self._decoder else 1
            part = source[:, :, at : at + size]
            yield Piece(self._decode(latent, part), part)
            at += size
        if self._is_parked:
            self._decoding, self._decoder = Waiting(self._decoder), []

    def _decode(self, latent: Tensor, source: Tensor) -> Tensor:
        decoder = self._models.decoder
        if isinstance(decoder, TinyDecoder):
            weight = next(decoder.parameters())
            unit: Tensor
            unit, self._decoder = decoder(latent.to(weight), source, self._decoder)
            return unit.float().mul_(2).sub_(1)
        frames, self._decoder = decode_chunk(decoder, latent, self._decoder or None)
        return frames.clamp_(-1, 1)


def use_here(*tensors: Tensor) -> None:
    """Keeps their memory until the current CUDA stream, which may not be theirs, is done."""
    for tensor in tensors:
        if tensor.is_cuda:
            tensor.record_stream(torch.cuda.current_stream(tensor.device))


def recoloured(frames: Tensor, source: Tensor, colour: Colour) -> Tensor:
    """Frames with the colours of their source, both (1, 3, T, H, W)."""
    if colour == "adain":
        return adain(frames, source)
    if colour == "wavelet":
        return wavelet(frames, source)
    return frames


def strengthened(frames: Tensor, source: Tensor, strength: float, band: Band) -> Tensor:
    """The source with a part of what changed in the frames, both (1, 3, T, H, W) in -1..1.

    Full strength in the whole band gives the frames, none the source. In the high band the colours
    stay the source's, as only what lies above the low band changes.
    """
    if strength == 1 and band == "whole":
        return frames
    change = frames.float() - source.float()
    if band == "high":
        low = [low_band(part) for part in change.unbind(2)]
        change = change - torch.stack(low, dim=2)
    return source.float() + strength * change


def _finished(piece: Piece, place: Placement, settings: Settings) -> list[Tensor]:
    """Pictures on the CPU; from a CUDA device they are still on their way."""
    frames, source = place.restored(piece.frames), signal(place.restored(piece.source))
    pictures = []
    for frame, like in zip(
        torch.split(frames, 1, dim=2), torch.split(source, 1, dim=2), strict=True
    ):
        fixed = recoloured(frame, like, settings.colour)
        mixed = strengthened(fixed, like, settings.strength, settings.band)
        pictures.append(to_picture(mixed[0, :, 0]).to("cpu", non_blocking=True))
    return pictures


def _beside(
    chain: Iterable[Step], finish: Callable[[Piece], list[Tensor]], device: torch.device
) -> Iterator[tuple[Step, Iterator[Tensor]]]:
    """Each step with its finished pictures.

    On a CUDA device they are decoded on a stream of their own while the next step runs, and come
    one step later.
    """
    if device.type != "cuda":
        for step in chain:
            yield step, (picture for piece in step.pieces for picture in finish(piece))
        return
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    before: tuple[Step, list[Tensor], torch.cuda.Event] | None = None
    for step in chain:
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            made = [picture for piece in step.pieces for picture in finish(piece)]
            end = side.record_event()
        if before is not None:
            before[2].synchronize()
            yield before[0], iter(before[1])
        before = step, made, end
    if before is not None:
        before[2].synchronize()
        yield before[0], iter(before[1])


def _median(pictures: list[Tensor]) -> Tensor:
    """The median of each pixel's values, over an odd number of pictures (H, W, 3)."""
    strips = zip(*(torch.split(picture, STRIP_ROWS) for picture in pictures), strict=True)
    return torch.cat([torch.stack(strip).median(dim=0).values for strip in strips])


def _joined(pieces: Iterable[Piece]) -> tuple[Tensor, Tensor]:
    """Frames and source of all pieces."""
    parts = list(pieces)
    frames = torch.cat([part.frames for part in parts], dim=2)
    return frames, torch.cat([part.source for part in parts], dim=2)


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
