"""The causal video VAE of Wan 2.1: pixels to latents and back, chunk by chunk, in tiles if asked.

Time only looks back, so a clip may come in chunks of any length: what the layers need of the past
is a cache that every call uses up and gives anew. The first frame is a latent frame of its own,
then every `config.period` frames make one. Video is -1..1; latents are normalised.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.errors import EffectError
from engine.models.wan.config import VaeConfig

Cache: TypeAlias = list[Tensor]  # emptied by the next chunk, so that old and new are never both


class Carry:
    """Hands the layers what they kept of the chunk before, in their order, and collects anew."""

    def __init__(self, cache: Cache | None) -> None:
        self.is_first = cache is None
        self.kept: Cache = []
        self._before = cache or []

    def take(self) -> Tensor:
        """What this layer kept of the chunk before; nothing else holds it then."""
        return self._before.pop(0)

    def by_frames(self, frames: Tensor, code: Callable[[Tensor, "Carry"], Tensor]) -> Tensor:
        """The results of `code` for frames (B, C, T, H, W), one after another and joined.

        To be the last that is done with what was kept, as it all goes to the first frame.
        """
        before: Cache | None = None if self.is_first else self._before
        out: list[Tensor] = []
        for frame in torch.split(frames, 1, dim=2):
            part = Carry(before)
            out.append(code(frame, part))
            before = part.kept
        self.kept += before or []
        return torch.cat(out, dim=2)

    def keep(self, frames: Tensor) -> None:
        """Copied, so that a cache does not hold on to the whole chunk."""
        self.kept.append(frames.clone())


class CausalConv(nn.Conv3d):
    """A convolution whose padding in time is the past alone: zeros before the first frame."""

    def __init__(self, dim_in: int, dim_out: int, kernel: int) -> None:
        super().__init__(dim_in, dim_out, kernel, padding=(0, kernel // 2, kernel // 2))
        self.past = kernel - 1

    def forward(self, x: Tensor, carry: Carry) -> Tensor:  # type: ignore[override]
        """x: (B, C, T, H, W); any T."""
        if self.past:
            before = _zeros(x, self.past) if carry.is_first else carry.take()
            x = torch.cat([before, x], dim=2)
            del before
            carry.keep(x[:, :, -self.past :])
        return _convolved(self, x)


class ChannelNorm(nn.Module):
    """Each pixel's channels divided by their root mean square, times gamma; no mean, no bias."""

    def __init__(self, dim: int, axes: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim, *[1] * axes))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, ...); the length over C is summed in float32 at least."""
        wide = torch.promote_types(x.dtype, torch.float32)
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=wide).clamp_min(1e-12)
        gain: Tensor = x.shape[1] ** 0.5 / length
        return (x * gain.to(x.dtype)).mul_(self.gamma)


class ResidualBlock(nn.Module):
    """Twice norm, SiLU, causal convolution, beside a shortcut."""

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.residual = nn.ModuleDict(
            {
                "0": ChannelNorm(dim_in, 3),
                "2": CausalConv(dim_in, dim_out, 3),
                "3": ChannelNorm(dim_out, 3),
                "6": CausalConv(dim_out, dim_out, 3),
            }
        )
        self.shortcut = CausalConv(dim_in, dim_out, 1) if dim_in != dim_out else None

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """x: (B, C, T, H, W)."""
        y = self.residual["2"](F.silu(self.residual["0"](x), inplace=True), carry)
        y = self.residual["6"](F.silu(self.residual["3"](y), inplace=True), carry)
        out: Tensor = y.add_(x if self.shortcut is None else self.shortcut(x, carry))
        return out


class FrameAttention(nn.Module):
    """One head over all pixels of a frame."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(dim, 2)
        self.to_qkv = nn.Conv2d(dim, 3 * dim, 1)
        self.proj = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """x: (B, C, T, H, W); frame by frame, as scores of full frames are large."""
        return torch.stack([frame + self._attend(frame) for frame in x.unbind(2)], dim=2)

    def _attend(self, frame: Tensor) -> Tensor:
        qkv = self.to_qkv(self.norm(frame))
        q, k, v = rearrange(qkv, "b (three c) h w -> three b 1 (h w) c", three=3)
        mixed = F.scaled_dot_product_attention(q, k, v)
        mixed = rearrange(mixed, "b 1 (h w) c -> b c h w", h=frame.shape[-2])
        out: Tensor = self.proj(mixed)
        return out


class Downsample(nn.Module):
    """Halves height and width, then time where `temporal`."""

    def __init__(self, dim: int, temporal: bool) -> None:
        super().__init__()
        self.resample = nn.ModuleDict({"1": nn.Conv2d(dim, dim, 3, stride=2)})
        self.time_conv = nn.Conv3d(dim, dim, (3, 1, 1), stride=(2, 1, 1)) if temporal else None

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """x: (B, C, T, H, W), T even after the first frame; the first frame stays one."""
        frames = rearrange(x, "b c t h w -> (b t) c h w")
        frames = self.resample["1"](F.pad(frames, (0, 1, 0, 1)))  # right and bottom only
        x = rearrange(frames, "(b t) c h w -> b c t h w", b=x.shape[0])
        if self.time_conv is None:
            return x
        if carry.is_first:
            carry.keep(x[:, :, -1:])
            first = x[:, :, :1]
            return torch.cat([first, self.time_conv(x)], dim=2) if x.shape[2] > 1 else first
        x = torch.cat([carry.take(), x], dim=2)
        carry.keep(x[:, :, -1:])
        out: Tensor = self.time_conv(x)
        return out


class Upsample(nn.Module):
    """Doubles time where `temporal`, then height and width, and halves the channels."""

    def __init__(self, dim: int, temporal: bool) -> None:
        super().__init__()
        self.resample = nn.ModuleDict({"1": nn.Conv2d(dim, dim // 2, 3, padding=1)})
        self.time_conv = nn.Conv3d(dim, 2 * dim, (3, 1, 1)) if temporal else None

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """x: (B, C, T, H, W); the first frame stays one, and what follows does not see it."""
        if self.time_conv is not None:
            x = self._double(x, carry, self.time_conv)
        frames = rearrange(x, "b c t h w -> (b t) c h w")
        frames = self.resample["1"](F.interpolate(frames, scale_factor=2.0, mode="nearest"))
        out: Tensor = rearrange(frames, "(b t) c h w -> b c t h w", b=x.shape[0])
        return out

    @staticmethod
    def _double(x: Tensor, carry: Carry, conv: nn.Conv3d) -> Tensor:
        first = x[:, :, :1] if carry.is_first else x[:, :, :0]
        before = _zeros(x, 2) if carry.is_first else carry.take()
        window = torch.cat([before, x[:, :, first.shape[2] :]], dim=2)
        carry.keep(window[:, :, -2:])
        if window.shape[2] == 2:
            return first
        pairs = rearrange(_convolved(conv, window), "b (two c) t h w -> b c (t two) h w", two=2)
        return torch.cat([first, pairs], dim=2)


class Encoder(nn.Module):
    """Pixels to twice z_dim channels of a cell."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.dim * m for m in config.dim_mult]
        layers: list[nn.Module] = []
        dim = config.dim
        for stage, width in enumerate(widths):
            for _ in range(config.num_res_blocks):
                layers.append(ResidualBlock(dim, width))
                dim = width
            if stage < len(config.temporal_downsample):
                layers.append(Downsample(dim, config.temporal_downsample[stage]))
        self.conv1 = CausalConv(3, config.dim, 3)
        self.downsamples = nn.ModuleList(layers)
        self.middle = _middle(dim)
        self.head = _head(dim, 2 * config.z_dim)

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """x: (B, 3, F, H, W)."""
        x = self.conv1(x, carry)
        for layer in [*self.downsamples, *self.middle]:
            x = layer(x, carry)
        out: Tensor = self.head["2"](F.silu(self.head["0"](x)), carry)
        return out


class Decoder(nn.Module):
    """z_dim channels of a cell to pixels.

    Where time doubles, each of the frames goes to its end before the next is begun: time only looks
    back, so the result is the same, and little of full size is there at once.
    """

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.dim * m for m in reversed(config.dim_mult)]
        temporal = config.temporal_downsample[::-1]
        layers: list[nn.Module] = []
        dim = widths[0]
        self.conv1 = CausalConv(config.z_dim, dim, 3)
        self.middle = _middle(dim)
        for stage, width in enumerate(widths):
            for _ in range(config.num_res_blocks + 1):
                layers.append(ResidualBlock(dim, width))
                dim = width
            if stage < len(temporal):
                layers.append(Upsample(dim, temporal[stage]))
                dim //= 2
        self.upsamples = nn.ModuleList(layers)
        self.head = _head(dim, 3)

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """x: (B, Z, T, h, w)."""
        return self._from(0, self.conv1(x, carry), carry)

    def _from(self, number: int, x: Tensor, carry: Carry) -> Tensor:
        """All layers from a number on, those of the middle counted first."""
        layers = [*self.middle, *self.upsamples]
        for i in range(number, len(layers)):
            x = layers[i](x, carry)
            if isinstance(layers[i], Upsample) and layers[i].time_conv is not None:
                return carry.by_frames(x, partial(self._from, i + 1))
        out: Tensor = self.head["2"](F.silu(self.head["0"](x), inplace=True), carry)
        return out


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
    carry = Carry(cache)
    x = vae.encoder(video.to(vae.conv1.weight.dtype), carry)
    mu = vae.conv1(x)[:, : config.z_dim].float()
    latents = (mu - _per_channel(config.mean, mu)) / _per_channel(config.std, mu)
    return latents, carry.kept


@torch.no_grad()
def decode_chunk(
    vae: Vae | VaeDecoder, latents: Tensor, cache: Cache | None = None
) -> tuple[Tensor, Cache]:
    """Frames (B, 3, F, H, W) of the next latents, and the cache for the latents after them.

    latents: (B, Z, n, h, w), any n; F = 1 + period * (n - 1) in the first chunk (no cache), else
    period * n. The frames are float32 about -1..1, not clamped. A given cache is emptied.
    """
    carry = Carry(cache)
    z = latents.float()
    z = z * _per_channel(vae.config.std, z) + _per_channel(vae.config.mean, z)
    x = vae.decoder(vae.conv2(z.to(vae.conv2.weight.dtype)), carry)
    return x.float(), carry.kept


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


def _convolved(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """conv(x), B C T H W; of as many frames as its kernel has, in two dimensions, for speed."""
    if x.shape[2] != conv.kernel_size[0]:
        y: Tensor = conv._conv_forward(x, conv.weight, conv.bias)
        return y
    flat, weight = x.flatten(1, 2), conv.weight.flatten(1, 2)  # views
    return F.conv2d(flat, weight, conv.bias, conv.stride[1:], conv.padding[1:])[:, :, None]


def _middle(dim: int) -> nn.ModuleList:
    return nn.ModuleList([ResidualBlock(dim, dim), FrameAttention(dim), ResidualBlock(dim, dim)])


def _head(dim_in: int, dim_out: int) -> nn.ModuleDict:
    return nn.ModuleDict({"0": ChannelNorm(dim_in, 3), "2": CausalConv(dim_in, dim_out, 3)})


def _zeros(x: Tensor, frames: int) -> Tensor:
    """Empty past before x: (B, C, T, H, W)."""
    return x.new_zeros(*x.shape[:2], frames, *x.shape[3:])


def _per_channel(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device, dtype=like.dtype).view(-1, 1, 1, 1)
