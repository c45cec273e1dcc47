"""The causal video VAE of Wan 2.1: pixels to latents and back, chunk by chunk, in tiles if asked.

Time only looks back, so a clip may come in chunks of any length: what the layers need of the past
is a cache that every call uses up and gives anew. The first frame is a latent frame of its own,
then every `config.period` frames make one. Video is -1..1; latents are normalised.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn

from engine.errors import EffectError
from engine.models.wan.config import VaeConfig
from engine.models.wan.vae_halves import Decoder, Encoder
from engine.models.wan.vae_layers import Cache, Memory, mixed


class VaeEncoder(nn.Module):
    """The half of the published file that encodes."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.conv1 = nn.Conv3d(2 * config.z_dim, 2 * config.z_dim, 1)


class VaeDecoder(nn.Module):
    """The half of the published file that decodes."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        self.conv2 = nn.Conv3d(config.z_dim, config.z_dim, 1)
        self.decoder = Decoder(config)


class Vae(nn.Module):
    """The whole published file."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.conv1 = nn.Conv3d(2 * config.z_dim, 2 * config.z_dim, 1)
        self.conv2 = nn.Conv3d(config.z_dim, config.z_dim, 1)
        self.decoder = Decoder(config)


# The tensors of each half, by the beginning of their names.
ENCODER_TENSORS = ("encoder.", "conv1.")
DECODER_TENSORS = ("decoder.", "conv2.")


@torch.no_grad()
def encode_chunk(
    vae: Vae | VaeEncoder, video: Tensor, cache: Cache | None = None
) -> tuple[Tensor, Cache]:
    """Latents (B, Z, n, h, w) of the next frames, and the cache for the frames after them.

    video: (B, 3, F, H, W) in -1..1; F = 1 + period * (n - 1) in the first chunk (no cache), else
    period * n; H and W multiples of a cell. A given cache is emptied.
    """
    config = vae.config
    assert video.shape[2] % config.period == (cache is None) % config.period, "cut frames"
    assert video.shape[3] % config.cell == video.shape[4] % config.cell == 0, "cut cells"
    memory = Memory(vae.encoder, cache)
    frames = [_channels_last(frame) for frame in video.to(vae.conv1.weight.dtype).unbind(2)]
    repeats = vae.encoder.repeats(frames, memory)
    cuts = [0, *range(1 if memory.is_new else config.period, len(frames), config.period)]
    found: list[Tensor] = []
    for start, end in pairwise([*cuts, len(frames)]):
        cells = vae.encoder(frames[start:end], repeats[start:end], memory)
        found.append(mixed(cells, vae.conv1)[..., : config.z_dim].permute(0, 3, 1, 2).float())
    mu = torch.stack(found, dim=2)
    latents = (mu - _per_channel(config.mean, mu)) / _per_channel(config.std, mu)
    return latents, memory.cache(vae.conv1.weight)


@torch.no_grad()
def decode_chunk(
    vae: Vae | VaeDecoder, latents: Tensor, cache: Cache | None = None
) -> tuple[Tensor, Cache]:
    """Frames (B, 3, F, H, W) of the next latents, and the cache for the latents after them.

    latents: (B, Z, n, h, w), any n; F = 1 + period * (n - 1) in the first chunk (no cache), else
    period * n. The frames are float32 about -1..1, not clamped. A given cache is emptied.
    """
    config = vae.config
    memory = Memory(vae.decoder, cache)
    z = latents.float()
    z = z * _per_channel(config.std, z) + _per_channel(config.mean, z)
    z = z.to(vae.conv2.weight.dtype)
    (batch, _, count, height, width), cell = z.shape, config.cell
    length = config.period * (count - memory.is_new) + memory.is_new
    frames = latents.new_empty(batch, 3, length, height * cell, width * cell, dtype=torch.float32)
    rooms = iter(frames.unbind(2))
    for one in z.unbind(2):
        for frame in vae.decoder(mixed(_channels_last(one), vae.conv2), memory):
            next(rooms).copy_(frame.permute(0, 3, 1, 2))
    return frames, memory.cache(vae.conv2.weight)


@dataclass(frozen=True)
class Tiles:
    """Overlapping tiles of `rows` x `columns` latent cells, starting every `stride` cells.

    A tile sees nothing beyond its edge, so the result differs from the untiled one. Waiting tiles
    keep their caches on the device `park` (None: where they were made), as a cache is as large as
    what a chunk needs at work.
    """

    rows: int
    columns: int
    row_stride: int
    column_stride: int
    park: torch.device | None = None

    def __post_init__(self) -> None:
        """Refuses tiles that leave gaps."""
        for tile, stride in ((self.rows, self.row_stride), (self.columns, self.column_stride)):
            if not 1 <= stride <= tile:
                raise EffectError(
                    f"Tiles {tile} cells long cannot start every {stride} cells.",
                    "The stride must be at least 1 and at most the tile.",
                )

    @classmethod
    def of_pixels(cls, tile: tuple[int, int], stride: tuple[int, int], cell: int = 8) -> "Tiles":
        """From heights and widths in pixels, which must be multiples of a cell."""
        for length in (*tile, *stride):
            if length % cell:
                raise EffectError(
                    f"A tile or stride of {length} pixels is not a multiple of {cell}.",
                    f"The nearest is {max(1, round(length / cell)) * cell}.",
                )
        return cls(tile[0] // cell, tile[1] // cell, stride[0] // cell, stride[1] // cell)


def encode_stream(
    vae: Vae | VaeEncoder, chunks: Iterable[Tensor], tiles: Tiles | None = None
) -> Iterator[Tensor]:
    """Latents of each chunk of frames as it comes; lengths as `encode_chunk` says."""

    def code(x: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        return encode_chunk(vae, x, cache)

    return _stream(code, chunks, tiles, vae.config.cell, 1)


def decode_stream(
    vae: Vae | VaeDecoder, chunks: Iterable[Tensor], tiles: Tiles | None = None
) -> Iterator[Tensor]:
    """Frames of each chunk of latents as it comes; not clamped."""

    def code(z: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        return decode_chunk(vae, z, cache)

    return _stream(code, chunks, tiles, 1, vae.config.cell)


def encode(
    vae: Vae | VaeEncoder,
    video: Tensor,
    chunk: int = 1,
    tiles: Tiles | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Latents (B, Z, T, h, w) of a whole clip, `chunk` latent frames at a time.

    video: (B, 3, F, H, W) in -1..1; frames past the last whole period are ignored. `chunk` costs
    memory and changes no result. `report` hears of latent frames done and in all.
    """
    period = vae.config.period
    count = 1 + (video.shape[2] - 1) // period
    ends = [1 + period * (min(n, count) - 1) for n in range(chunk, count + chunk, chunk)]
    starts = [0, *ends[:-1]]
    pieces = (video[:, :, a:b] for a, b in zip(starts, ends, strict=True))
    return _joined(encode_stream(vae, pieces, tiles), 1, count, report)


def decode(
    vae: Vae | VaeDecoder,
    latents: Tensor,
    chunk: int = 1,
    tiles: Tiles | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Video (B, 3, F, H, W) clamped to -1..1, of latents (B, Z, T, h, w); F = 1 + period (T - 1).

    `chunk` latent frames are decoded at a time: it costs memory and changes no result. `report`
    hears of latent frames done and in all.
    """
    frames = decode_stream(vae, torch.split(latents, chunk, dim=2), tiles)
    clamped = (part.clamp_(-1, 1) for part in frames)
    return _joined(clamped, vae.config.period, latents.shape[2], report)


def _joined(
    parts: Iterator[Tensor],
    period: int,
    total: int,
    report: Callable[[int, int], None] | None,
) -> Tensor:
    collected: list[Tensor] = []
    length = 0
    for part in parts:
        collected.append(part)
        length += part.shape[2]
        if report is not None:
            report(1 + (length - 1) // period, total)
    return torch.cat(collected, dim=2)


_Code: TypeAlias = Callable[[Tensor, Cache | None], tuple[Tensor, Cache]]


def _stream(
    code: _Code, chunks: Iterable[Tensor], tiles: Tiles | None, cell_in: int, cell_out: int
) -> Iterator[Tensor]:
    if tiles is None:
        cache: Cache | None = None
        for x in chunks:
            y, cache = code(x, cache)
            yield y
        return
    caches: dict[tuple[int, int], Cache] = {}
    for x in chunks:
        yield _blended(code, x, tiles, caches, cell_in, cell_out)


def _blended(
    code: _Code,
    x: Tensor,
    tiles: Tiles,
    caches: dict[tuple[int, int], Cache],
    cell_in: int,
    cell_out: int,
) -> Tensor:
    """One chunk in tiles: the mean of all tiles, weighted by ramps on their inner sides."""
    height, width = x.shape[-2] // cell_in, x.shape[-1] // cell_in
    values: Tensor | None = None
    weights = x.new_zeros(height * cell_out, width * cell_out, dtype=torch.float32)
    for top, bottom in spans(height, tiles.rows, tiles.row_stride):
        for left, right in spans(width, tiles.columns, tiles.column_stride):
            piece = x[..., top * cell_in : bottom * cell_in, left * cell_in : right * cell_in]
            cache = caches.pop((top, left), None)
            if cache is not None:
                cache = [part.to(x.device) for part in cache]
            y, cache = code(piece, cache)
            park = tiles.park or x.device
            caches[top, left] = [part.to(park) for part in cache]
            down = _ramp(top, bottom, height, tiles.rows - tiles.row_stride, cell_out, y)
            across = _ramp(left, right, width, tiles.columns - tiles.column_stride, cell_out, y)
            mask = torch.minimum(down[:, None], across)
            if values is None:
                values = y.new_zeros(*y.shape[:-2], *weights.shape)
            place = (
                ...,
                slice(top * cell_out, bottom * cell_out),
                slice(left * cell_out, right * cell_out),
            )
            values[place] += y * mask
            weights[place] += mask
    assert values is not None
    return values / weights


def spans(size: int, tile: int, stride: int) -> list[tuple[int, int]]:
    """Start and end of each tile along one axis; the last is the first that reaches the end."""
    found: list[tuple[int, int]] = []
    while not found or found[-1][1] < size:
        start = len(found) * stride
        found.append((start, min(start + tile, size)))
    return found


def _ramp(start: int, end: int, size: int, overlap: int, cell: int, like: Tensor) -> Tensor:
    """Weights along one axis of a tile: 1/b, 2/b, … 1 over an inner side's overlap, else 1."""
    ramp = like.new_ones((end - start) * cell)
    border = overlap * cell
    rise = torch.arange(1, border + 1, device=like.device, dtype=like.dtype) / max(border, 1)
    if start > 0:
        ramp[:border] = rise
    if end < size:
        ramp[len(ramp) - border :] = rise.flip(0)
    return ramp


def _channels_last(frame: Tensor) -> Tensor:
    """(B, C, H, W) with its channels last, without gaps."""
    return frame.permute(0, 2, 3, 1).contiguous()


def _per_channel(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device, dtype=like.dtype).view(-1, 1, 1, 1)
