"""Turns pictures upright: the display matrix of phones, the orientation of photographs."""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, cast

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType
from numpy.typing import NDArray

from engine.media import color
from engine.render.frame import Planes, Sample, converted, depth, has_alpha, plane_rows


class Orientation(NamedTuple):
    """What to do to a stored picture: first mirror it left to right, then turn it clockwise."""

    is_mirrored: bool = False
    degrees: int = 0  # clockwise: 0, 90, 180, 270

    @property
    def swaps_sides(self) -> bool:
        return self.degrees in (90, 270)


UPRIGHT = Orientation()

_EXIF_ORIENTATION = 0x0112
_EXIF = {
    2: Orientation(True, 0),
    3: Orientation(False, 180),
    4: Orientation(True, 180),
    5: Orientation(True, 270),
    6: Orientation(False, 90),
    7: Orientation(True, 90),
    8: Orientation(False, 270),
}

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_SQUARE_CHROMA = {"yuv420p", "yuvj420p", "yuv444p", "yuvj444p", "yuv420p10le", "yuv444p10le"}
_PLANAR = _SQUARE_CHROMA | {"yuva420p", "yuva444p", "gbrp", "gbrap", "gray", "gray10le", "gray16le"}
_PACKED = {"rgb24": 3, "bgr24": 3, "rgba": 4, "bgra": 4, "bgr0": 4, "rgb0": 4}


def orientation_of(picture: av.VideoFrame) -> Orientation:
    """What the display matrix of a decoded picture asks for, to the nearest quarter turn."""
    try:
        sides = list(cast(Iterable[SideData], picture.side_data))
    except ValueError:  # PyAV does not know every kind of side data; the angle it tells apart
        return Orientation(False, -round(picture.rotation / 90) % 4 * 90)
    data = next((one for one in sides if one.type is SideDataType.DISPLAYMATRIX), None)
    if data is None:
        return UPRIGHT
    a, b, _, c, d = np.frombuffer(bytes(data), "<i4").astype(float)[:5]
    # Stored (x, y) shows at (a x + c y, b x + d y), y down.
    is_mirrored = a * d - b * c < 0
    if is_mirrored:
        a, b = -a, -b
    quarter = round(float(np.degrees(np.arctan2(b, a))) / 90) % 4
    return Orientation(bool(is_mirrored), quarter * 90)


def photograph_orientation(head: bytes) -> Orientation:
    """What the EXIF data near the start of a JPEG or PNG asks for."""
    start = head.find(b"Exif\0\0") + 6
    if start < 6:
        start = head.find(b"eXIf") + 4
    if start < 4:
        return UPRIGHT
    tiff = head[start:]
    order: Literal["big", "little"] = "little" if tiff[:2] == b"II" else "big"
    place = int.from_bytes(tiff[4:8], order)
    for entry in range(int.from_bytes(tiff[place : place + 2], order)):
        field = tiff[place + 2 + 12 * entry :][:12]
        if len(field) < 12:
            break
        if int.from_bytes(field[:2], order) == _EXIF_ORIENTATION:
            value = int.from_bytes(field[8:10], order)
            return _EXIF.get(value, UPRIGHT)
    return UPRIGHT


def turned(planes: Planes, orientation: Orientation) -> Planes:
    """The picture as it is meant to be seen."""
    if orientation == UPRIGHT:
        return planes
    planes = converted(planes, _turnable(planes.format))
    source = planes.picture
    width, height = source.width, source.height
    if orientation.swaps_sides:
        width, height = height, width
    result = av.VideoFrame(width, height, planes.format)
    color.put_tags(result, color.tags_of(source))
    channels = _PACKED.get(planes.format, 1)
    turn = _turn(orientation)
    for into, plane in zip(result.planes, source.planes, strict=True):
        if depth(planes.format) > 8:
            _copy(turn, plane_rows(plane, np.uint16), plane.width, plane_rows(into, np.uint16), 1)
        else:
            rows, target = plane_rows(plane, np.uint8), plane_rows(into, np.uint8)
            _copy(turn, rows, plane.width, target, channels)
    return Planes(result)


def _copy(
    turn: Callable[[NDArray[Sample]], NDArray[Sample]],
    rows: NDArray[Sample],
    width: int,
    into: NDArray[Sample],
    channels: int,
) -> None:
    seen = rows[:, : width * channels].reshape(rows.shape[0], width, channels)
    moved = turn(seen)
    into[:, : moved.shape[1] * channels] = moved.reshape(moved.shape[0], -1)


def _turn(orientation: Orientation) -> Callable[[NDArray[Sample]], NDArray[Sample]]:
    def turn(picture: NDArray[Sample]) -> NDArray[Sample]:
        if orientation.is_mirrored:
            picture = cv2.flip(picture, 1)  # type: ignore[assignment]  # its stub forgets the type
        code = _TURNS.get(orientation.degrees)
        if code is not None:
            picture = cv2.rotate(picture, code)  # type: ignore[assignment]
        return picture

    return turn


def _turnable(pixel_format: str) -> str:
    """The nearest format whose planes turn without being resampled."""
    if pixel_format in _PLANAR or pixel_format in _PACKED:
        return pixel_format
    if has_alpha(pixel_format) or pixel_format == "pal8":
        return "rgba"
    if color.is_rgb(pixel_format):
        return "rgb24"
    return "yuv444p10le" if depth(pixel_format) > 8 else "yuv444p"
