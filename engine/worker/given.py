"""Pictures, clips and latents out of files, as Wan is given them."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine import wan_rules
from engine.errors import EffectError, WeightsError
from engine.filters.fit import cropped
from engine.filters.lanczos import resampled
from engine.jobs import SourceClip, SourcePicture
from engine.media.reader import VideoReader
from engine.models.weights import read_tensors
from engine.render.frame import depth, to_rgb8, to_rgba
from engine.render.source import index_at

Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Samples:
    """Latents of another run, (1, C, T, h, w), and the noise level they are at; or given noise."""

    latents: Tensor | None = None
    noise: Tensor | None = None
    sigma: float = 0.0


def size_of(path: str) -> Size:
    """Of the pictures of a file."""
    with closing(VideoReader(Path(path))) as reader:
        return reader.width, reader.height


def picture_of(source: SourcePicture, size: Size, is_cut: bool) -> Tensor:
    """The picture, (3, H, W) RGB in -1..1, for a result of `size`; with all its depth.

    Cut to the shape of the size, if wished. A much larger one is made smaller by a whole factor, as
    the model's own way of resizing would skip pixels.
    """
    with closing(VideoReader(Path(source.path))) as reader:
        planes = reader.frame(index_at(reader.times, source.time))
        if depth(planes.format) > 8:
            values = torch.from_numpy(np.ascontiguousarray(to_rgba(planes)[:, :, :3]))
        else:
            values = torch.from_numpy(to_rgb8(planes)).float() / 255
    picture = values.permute(2, 0, 1) * 2 - 1
    if is_cut:
        picture = _cut(picture, size)
    factor = min(picture.shape[2] // size[0], picture.shape[1] // size[1])
    return F.avg_pool2d(picture[None], factor)[0] if factor > 1 else picture


def _cut(picture: Tensor, size: Size) -> Tensor:
    """The middle of the picture in the shape of the size."""
    rows, columns = picture.shape[1:]
    width = min(columns, max(1, round(rows * size[0] / size[1])))
    height = min(rows, max(1, round(columns * size[1] / size[0])))
    left, top = (columns - width) // 2, (rows - height) // 2
    return picture[:, top : top + height, left : left + width]


def clip_frames(source: SourceClip, rate: Fraction) -> int:
    """Frames that a part of a film lasts at a rate."""
    with closing(VideoReader(Path(source.path))) as reader:
        length = source.range.duration if source.range is not None else reader.duration
        return max(1, int(length * rate))


def clip_chunks(
    source: SourceClip, rate: Fraction, frames: int, size: Size, is_cut: bool, chunk: int
) -> Iterator[Tensor]:
    """The film at a rate, (1, 3, n, H, W) in -1..1: one frame, then `chunk` latent frames each."""
    step = chunk * wan_rules.FRAMES
    start = source.range.start if source.range is not None else Fraction(0)
    with closing(VideoReader(Path(source.path))) as reader:
        for begin in [0, *range(1, frames, step)]:
            end = min(begin + step, frames) if begin else 1
            pictures = []
            for number in range(begin, end):
                picture = to_rgb8(reader.frame(index_at(reader.times, start + number / rate)))
                if is_cut:
                    picture = cropped(picture, *size)
                pictures.append(torch.from_numpy(resampled(picture, *size).copy()))
            yield torch.stack(pictures).permute(3, 0, 1, 2)[None].float() / 127.5 - 1


def samples_of(path: str) -> Samples:
    """What a file of latents holds: "latents" with "sigma", or "noise". Raises WeightsError."""
    tensors = read_tensors(Path(path))
    known = {
        name: _batched(tensors[name], path) for name in ("latents", "noise") if name in tensors
    }
    if not known:
        raise WeightsError(
            f"{path} holds neither latents nor noise.", "Choose a file that was kept of a run."
        )
    sigma = float(tensors["sigma"]) if "sigma" in tensors else 0.0
    return Samples(known.get("latents"), known.get("noise"), sigma)


def _batched(tensor: Tensor, path: str) -> Tensor:
    five = tensor[None] if tensor.dim() == 4 else tensor
    if five.dim() != 5 or five.shape[:2] != (1, wan_rules.CHANNELS):
        raise WeightsError(
            f"{path} holds latents of shape {list(tensor.shape)}.",
            f"Those of Wan 2.1 have {wan_rules.CHANNELS} channels.",
        )
    return five.float()


def check_samples(found: Tensor, frames: int, size: Size) -> None:
    """Raises EffectError for latents of another size or length than is asked for."""
    has = tuple(found.shape[1:])
    wants = wan_rules.latent_shape(frames, *size)
    if has != wants:
        length = wan_rules.frames_of_latents(has[1])
        across, down = has[3] * wan_rules.CELL, has[2] * wan_rules.CELL
        raise EffectError(
            f"The latents are of {across} × {down} with {length} frames, and {size[0]} × {size[1]} "
            f"with {frames} are asked for.",
            "Ask for their size and length.",
        )
