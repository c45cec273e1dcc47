"""A picture on its way: native planes as decoded, or premultiplied float RGBA, and between."""

import threading
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, cast

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from engine.media import color

Rgba: TypeAlias = NDArray[np.float32]  # (H, W, 4), 0..1, premultiplied, BT.709, gamma domain

Sample = TypeVar("Sample", np.uint8, np.uint16)

_QUALITY = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_SCALERS_KEPT = 16


@dataclass(frozen=True)
class Planes:
    """A picture in the planes of its own pixel format. Shared: nobody writes into it."""

    picture: av.VideoFrame

    @property
    def width(self) -> int:
        return self.picture.width

    @property
    def height(self) -> int:
        return self.picture.height

    @property
    def format(self) -> str:
        """FFmpeg's name of the pixel format."""
        return self.picture.format.name

    @property
    def has_alpha(self) -> bool:
        return self.format == "pal8" or has_alpha(self.format)

    @property
    def size_bytes(self) -> int:
        """Memory that it holds."""
        return sum(plane.buffer_size for plane in self.picture.planes)


def has_alpha(pixel_format: str) -> bool:
    """Whether a pixel format carries transparency."""
    name = pixel_format
    return name.startswith(("yuva", "gbrap", "ya")) or any(
        part in name for part in ("rgba", "bgra", "argb", "abgr")
    )


def depth(pixel_format: str) -> int:
    """Bits of the deepest component."""
    return max(part.bits for part in av.VideoFormat(pixel_format).components)


class _Scalers(threading.local):
    """Scaler contexts of one thread: setting one up costs more than a small picture."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], VideoReformatter] = {}

    def take(self, key: tuple[object, ...]) -> VideoReformatter:
        scaler = self._kept.pop(key, None) or VideoReformatter()
        self._kept[key] = scaler
        if len(self._kept) > _SCALERS_KEPT:
            del self._kept[next(iter(self._kept))]
        return scaler


_scalers = _Scalers()


def converted(
    planes: Planes, pixel_format: str, width: int | None = None, height: int | None = None
) -> Planes:
    """The picture in another pixel format and size, by its tags; itself if nothing changes.

    From luma and chroma to the same, matrix and range are kept, save that `yuvj` formats mean full
    range. From RGB the result is BT.709, limited range. PQ and HLG become SDR for 8-bit formats.
    """
    picture = planes.picture
    width, height = width or picture.width, height or picture.height
    if (pixel_format, width, height) == (planes.format, picture.width, picture.height):
        return planes
    source = color.tags_of(picture)
    if color.is_hdr(source) and depth(pixel_format) <= 8:
        return converted(_tone_mapped(planes, width, height), pixel_format)
    if color.is_rgb(pixel_format):
        target = color.RGB_TAGS._replace(transfer=source.transfer, primaries=source.primaries)
    elif source.matrix == color.MATRIX_RGB:
        target = color.HD_TAGS
    else:
        target = source
    if pixel_format.startswith("yuvj"):
        target = target._replace(range=color.RANGE_FULL)
    return Planes(_scaled(picture, pixel_format, width, height, source, target))


def retagged(planes: Planes, pixel_format: str, tags: color.Tags) -> Planes:
    """The picture in the given format, matrix and range; itself if it is that already."""
    source = color.tags_of(planes.picture)
    is_alike = color.scaler_matrix(source.matrix) == color.scaler_matrix(tags.matrix)
    if planes.format == pixel_format and is_alike and source.range == tags.range:
        return planes
    if color.is_hdr(source) and not color.is_hdr(tags):
        return retagged(_tone_mapped(planes, planes.width, planes.height), pixel_format, tags)
    return Planes(_scaled(planes.picture, pixel_format, planes.width, planes.height, source, tags))


def _scaled(
    picture: av.VideoFrame,
    pixel_format: str,
    width: int,
    height: int,
    source: color.Tags,
    target: color.Tags,
) -> av.VideoFrame:
    is_smaller = width * height < picture.width * picture.height
    is_sized = (width, height) != (picture.width, picture.height)
    # Chroma alone is resampled where the size stays: bilinear is as good there, in half the time.
    same = Interpolation.BICUBIC if is_sized else Interpolation.BILINEAR
    method = Interpolation.AREA if is_smaller else same
    key = (picture.format.name, picture.width, picture.height, pixel_format, width, height)
    result = _scalers.take((*key, source, target)).reformat(
        picture,
        width=width,
        height=height,
        format=pixel_format,
        src_colorspace=color.scaler_matrix(source.matrix),
        dst_colorspace=color.scaler_matrix(target.matrix),
        src_color_range=source.range,
        dst_color_range=target.range,
        interpolation=method | _QUALITY,
        threads=1,
    )
    color.put_tags(result, target)
    return result


def _tone_mapped(planes: Planes, width: int, height: int) -> Planes:
    """A PQ or HLG picture as 8-bit BT.709 RGB."""
    tags = color.tags_of(planes.picture)
    neutral = color.RGB_TAGS._replace(transfer=tags.transfer, primaries=tags.primaries)
    deep = _scaled(planes.picture, "rgb48le", width, height, tags, neutral)
    return from_rgb8(color.tone_mapped(_packed(deep, np.uint16, 3), tags.transfer))


def plane_rows(plane: VideoPlane, kind: type[Sample]) -> NDArray[Sample]:
    """The memory of a plane as rows, (height, line size / item size), padding included."""
    memory = cast(bytes, plane)  # it has the buffer protocol, which its stub does not say
    return np.frombuffer(memory, kind).reshape(plane.height, -1)


def _packed(picture: av.VideoFrame, kind: type[Sample], channels: int) -> NDArray[Sample]:
    """A view of the single plane of a packed picture, (H, W, channels)."""
    rows = plane_rows(picture.planes[0], kind)
    return rows[:, : picture.width * channels].reshape(picture.height, picture.width, channels)


def to_rgb8(
    planes: Planes, width: int | None = None, height: int | None = None
) -> NDArray[np.uint8]:
    """(H, W, 3) RGB, 8 bit, a copy of its own; transparency is over black."""
    if planes.has_alpha:
        bgra = to_bgra8(planes, width or planes.width, height or planes.height)
        return np.ascontiguousarray(bgra[:, :, 2::-1])
    rgb = _packed(converted(planes, "rgb24", width, height).picture, np.uint8, 3)
    return np.array(rgb, np.uint8, order="C")


def to_bgra8(
    planes: Planes, width: int, height: int, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """(H, W, 4) BGRA for the screen, into `out` if given; transparency is over black."""
    view = _packed(converted(planes, "bgra", width, height).picture, np.uint8, 4)
    if out is None:
        out = np.empty((height, width, 4), np.uint8)
    np.copyto(out, view)
    if planes.has_alpha:
        alpha = out[:, :, 3:]
        if int(alpha.min()) < 255:
            weight = np.repeat(alpha, 3, axis=2)
            out[:, :, :3] = cv2.multiply(np.ascontiguousarray(out[:, :, :3]), weight, scale=1 / 255)
            alpha[...] = 255
    return out


def from_rgb8(array: NDArray[np.uint8]) -> Planes:
    """Planes of an (H, W, 3) RGB or (H, W, 4) straight RGBA array, which is copied."""
    name = "rgba" if array.shape[2] == 4 else "rgb24"
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(array, np.uint8), format=name)
    color.put_tags(picture, color.RGB_TAGS)
    return Planes(picture)


def to_rgba(planes: Planes) -> Rgba:
    """Premultiplied float RGBA, with the full depth of the planes."""
    is_deep = depth(planes.format) > 8 and not color.is_hdr(color.tags_of(planes.picture))
    if is_deep:
        deep = _packed(converted(planes, "rgba64le").picture, np.uint16, 4)
        result: Rgba = np.multiply(deep, np.float32(1 / 65535), dtype=np.float32)
    else:
        flat = _packed(converted(planes, "rgba").picture, np.uint8, 4)
        result = np.multiply(flat, np.float32(1 / 255), dtype=np.float32)
    if planes.has_alpha:
        result[:, :, :3] *= result[:, :, 3:]
    return result


def from_rgba(rgba: Rgba) -> Planes:
    """8-bit planes of a float picture: rgba where it is transparent anywhere, else rgb24."""
    alpha = rgba[:, :, 3]
    if float(alpha.min()) >= 1.0 - 0.5 / 255:
        return from_rgb8(_quantised(rgba[:, :, :3]))
    straight = np.empty(rgba.shape, np.float32)
    safe = np.maximum(alpha, 1e-6)[:, :, None]
    straight[:, :, :3] = rgba[:, :, :3] / safe
    straight[:, :, 3] = alpha
    return from_rgb8(_quantised(straight))


def _quantised(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    scaled = cv2.convertScaleAbs(np.clip(values, 0.0, 1.0), alpha=255.0)
    return np.asarray(scaled, np.uint8)


def blended(first: Planes, second: Planes, weight: float) -> Planes:
    """`first` faded into `second`: weight 0 is the first picture, 1 the second.

    Pictures of one format and size are mixed in their own planes; else the second is converted.
    """
    if first.has_alpha or second.has_alpha or first.format == "pal8":
        mixed = to_rgba(first) * np.float32(1 - weight)
        return from_rgba(mixed + to_rgba(_as(second, first)) * np.float32(weight))
    second = _as(second, first)
    a, b = first.picture, second.picture
    result = av.VideoFrame(a.width, a.height, a.format.name)
    color.put_tags(result, color.Tags(a.colorspace, a.color_range, a.color_trc, a.color_primaries))
    is_deep = depth(first.format) > 8
    for into, one, other in zip(result.planes, a.planes, b.planes, strict=True):
        if is_deep:
            deep = (plane_rows(one, np.uint16), plane_rows(other, np.uint16))
            _mix(plane_rows(into, np.uint16), *deep, weight)
        else:
            flat = (plane_rows(one, np.uint8), plane_rows(other, np.uint8))
            _mix(plane_rows(into, np.uint8), *flat, weight)
    return Planes(result)


def _mix(
    into: NDArray[Sample], first: NDArray[Sample], second: NDArray[Sample], weight: float
) -> None:
    span = min(into.shape[1], first.shape[1], second.shape[1])
    cv2.addWeighted(first[:, :span], 1 - weight, second[:, :span], weight, 0, dst=into[:, :span])


def _as(planes: Planes, model: Planes) -> Planes:
    """A picture in the format, size, matrix and range of another."""
    sized = converted(planes, model.format, model.width, model.height)
    return retagged(sized, model.format, color.tags_of(model.picture))
