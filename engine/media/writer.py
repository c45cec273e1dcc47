"""The writers of finished films and of segments, in one place to import from."""

from engine.media.gif import SHORTEST, GifWriter
from engine.media.mp4 import Mp4Writer
from engine.media.segment import SegmentWriter, proxy_path

__all__ = ["SHORTEST", "GifWriter", "Mp4Writer", "SegmentWriter", "proxy_path"]
