"""What Wan is given beside noise: pictures at the beginning and the end of the clip, or a clip.

Pictures are -1..1. The condition is a mask, 1 where a frame is given, over the VAE's latents of
a clip that is mid grey where nothing is given; it is joined to the latents by channel.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import EffectError
from engine.models.wan.vae import Tiles, Vae, VaeEncoder, encode, encode_stream


def resized(picture: Tensor, height: int, width: int) -> Tensor:
    """The picture (..., 3, H, W), bicubic without antialiasing, as the published code resizes."""
    frames = picture.reshape(-1, *picture.shape[-3:])
    new = F.interpolate(frames, size=(height, width), mode="bicubic", align_corners=False)
    return new.reshape(*picture.shape[:-2], height, width)


def roughened(picture: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """The picture with noise added, for more motion; pure black, -1, stays as it is."""
    if strength == 0:
        return picture
    noise = torch.randn(picture.shape, generator=generator).to(picture)
    return torch.where(picture == -1, picture, picture + strength * noise)


def frame_mask(given: Sequence[bool], height: int, width: int, period: int = 4) -> Tensor:
    """(period, T, height, width): 1 where a frame is given; a latent frame's frames are channels.

    The first latent frame is one frame alone, so all its channels say the same.
    """
    assert len(given) % period == 1 % period, "cut frames"
    flags = torch.tensor([*[given[0]] * (period - 1), *given], dtype=torch.float32)
    return flags.view(-1, period).T[:, :, None, None].expand(-1, -1, height, width).contiguous()


def picture_condition(
    vae: Vae | VaeEncoder,
    frames: int,
    first: Tensor,
    last: Tensor | None = None,
    *,
    start_strength: float = 1.0,
    end_strength: float = 1.0,
    chunk: int = 1,
    tiles: Tiles | None = None,
) -> Tensor:
    """The condition (1, period + Z, T, h, w), float32, of a clip of `frames` frames.

    first, last: (3, H, W), or (3, n, H, W) for several frames; H and W multiples of two cells. The
    strengths scale the latents of the first and the last latent frame. `chunk` latent frames
    are encoded at a time.
    """
    ends = [part.to(vae.conv1.weight.device) for part in (first, last) if part is not None]
    start, *end = [part[:, None] if part.ndim == 3 else part for part in ends]
    count = start.shape[1] + sum(part.shape[1] for part in end)
    if frames % vae.config.period != 1 % vae.config.period or count > frames:
        raise EffectError(
            f"A clip of {frames} frames cannot be made from {count} given ones.",
            f"Its length must be a multiple of {vae.config.period} and one more.",
        )
    pieces = _greyed(start, end[0] if end else None, frames, chunk * vae.config.period)
    latents = torch.cat(list(encode_stream(vae, pieces, tiles)), dim=2)
    given = [i < start.shape[1] or i >= frames - (count - start.shape[1]) for i in range(frames)]
    return _joined(vae, latents, given, start_strength, end_strength)


def appended_condition(
    vae: Vae | VaeEncoder,
    frames: int,
    first: Tensor,
    last: Tensor,
    *,
    start_strength: float = 1.0,
    end_strength: float = 1.0,
    chunk: int = 1,
    tiles: Tiles | None = None,
) -> Tensor:
    """The same for a model that learned no last picture: `last` is a latent frame of its own.

    The clip so has one latent frame more, which is dropped before decoding.
    """
    start = picture_condition(
        vae, frames, first, start_strength=start_strength, chunk=chunk, tiles=tiles
    )
    end = encode(vae, last[None, :, None].to(start.device), tiles=tiles)
    return torch.cat([start, _joined(vae, end, [True], end_strength, 1.0)], dim=2)


def window_condition(
    condition: Tensor, window: Sequence[int], reference: Tensor | None = None
) -> Tensor:
    """The part of a condition (B, C, T, h, w) that a window of a long clip is told.

    Its first frame is always the clip's own first, as the model expects a picture there; or, for
    windows that begin later, the latent of another picture, `reference`: (B, Z, 1, h, w).
    """
    part = condition[:, :, list(window)].clone()
    part[:, :, :1] = condition[:, :, :1]
    if reference is not None and window[0] != 0:
        part[:, -reference.shape[1] :, :1] = reference.to(part)
    return part


def _joined(
    vae: Vae | VaeEncoder, latents: Tensor, given: Sequence[bool], start: float, end: float
) -> Tensor:
    latents = latents.float()
    latents[:, :, :1] *= start
    latents[:, :, -1:] *= end
    height, width = latents.shape[-2:]
    mask = frame_mask(given, height, width, vae.config.period).to(latents.device)
    return torch.cat([mask[None], latents], dim=1)


def _greyed(first: Tensor, last: Tensor | None, frames: int, chunk: int) -> Iterator[Tensor]:
    """The clip (1, 3, n, H, W) in chunks as the VAE takes them: given frames, 0 between them."""
    ends = [(0, first)]
    if last is not None:
        ends.append((frames - last.shape[1], last))
    cuts = [0, *range(1, frames, chunk), frames]
    for begin, stop in pairwise(cuts):
        piece = first.new_zeros(1, 3, stop - begin, *first.shape[-2:])
        for place, part in ends:
            a, b = max(begin, place), min(stop, place + part.shape[1])
            if a < b:
                piece[0, :, a - begin : b - begin] = part[:, a - place : b - place]
        yield piece
