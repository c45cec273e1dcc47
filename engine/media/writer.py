"""The writers of finished films and of segments, in one place to import from."""

from engine.media.gif import SHORTEST, GifWriter
from engine.media.mp4 import Mp4Writer
from engine.media.segment import LosslessWriter, SegmentWriter, proxy_path

__all__ = ["SHORTEST", "GifWriter", "LosslessWriter", "Mp4Writer", "SegmentWriter", "proxy_path"]
