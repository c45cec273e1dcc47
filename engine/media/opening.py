"""Opens a person's file safely, and says in one sentence why it cannot be read."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer

from engine.errors import MediaError

THREADS = 0  # FFmpeg chooses by the machine

# Formats that can name other files or addresses (playlists, image patterns) are left out.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,gif,png_pipe,jpeg_pipe,apng,webp_pipe,bmp_pipe,"
    "tiff_pipe,wav,w64,mp3,aac,flac,ogg,aiff,caf,avi,mpegts,mpeg,flv,nut,asf,mxf,ivf,yuv4mpegpipe"
)
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
_PROTECTED = (b"encv", b"enca", b"drms", b"drmi")
_HEADER_BYTES = 1 << 20
_HEAD_BYTES = 512


def open_media(path: Path) -> InputContainer:
    """The container of a file. Raises MediaError with one sentence when it cannot be read."""
    head = head_of(path)
    with readable(path, head):
        return av.open(
            f"file:{path}",
            mode="r",
            format=_still_format(head),
            container_options=dict(_OPTIONS),
            metadata_errors="replace",
        )


@contextmanager
def readable(path: Path, head: bytes = b"") -> Iterator[None]:
    """Turns what FFmpeg says about a bad file into a MediaError."""
    try:
        yield
    except av.FFmpegError as error:
        message, hint = _sentence(path, error, head)
        raise MediaError(message, hint, str(error)) from error
    except (OSError, ValueError, OverflowError, EOFError) as error:
        raise damaged(path, str(error)) from error


def damaged(path: Path, details: str = "") -> MediaError:
    """The error of a file whose content is not what its header says."""
    return MediaError(
        f"«{path.name}» is damaged and cannot be read.",
        "Copy or download it again, or open it in the program that made it and save it anew.",
        details,
    )


def refuse_protected(path: Path, container: InputContainer) -> None:
    """Raises MediaError for streams that are encrypted for one player only."""
    is_unknown = any(
        stream.type in ("video", "audio") and stream.codec_context is None
        for stream in container.streams
    )
    if is_unknown and _names_protection(path):
        raise MediaError(
            f"«{path.name}» is protected against copying and cannot be opened.",
            "Choose a file without copy protection.",
        )


def _names_protection(path: Path) -> bool:
    """Whether an MP4's header, at its start or end, names an encrypted kind of stream."""
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
        file.seek(max(0, path.stat().st_size - _HEADER_BYTES))
        ends = start + file.read(_HEADER_BYTES)
    return any(tag in ends for tag in _PROTECTED)


def head_of(path: Path) -> bytes:
    """The first bytes of a media file. Raises MediaError where there is no file to read."""
    name = path.name or str(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise MediaError(f"«{name}» is a folder, not a media file.", "Choose the files in it.")
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f"«{name}» is a device, not a media file.", "Choose a file.")
        if status.st_size == 0:
            raise MediaError(
                f"«{name}» is empty.", "Copy or download it again; this copy has 0 bytes."
            )
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MediaError(
            f"«{name}» is not there.",
            "It was moved, renamed or deleted, or its drive is not connected.",
            str(error),
        ) from error
    except PermissionError as error:
        raise MediaError(
            f"«{name}» may not be read.", "Give yourself permission to read it.", str(error)
        ) from error
    except (OSError, ValueError) as error:
        raise MediaError(f"«{name}» cannot be opened.", "Check its drive.", str(error)) from error


def _still_format(head: bytes) -> str | None:
    """Stills are named to FFmpeg outright: by name alone it might take «a%d.png» for a series."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg_pipe"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "apng" if b"acTL" in head else "png_pipe"
    return None


def _sentence(path: Path, error: av.FFmpegError, head: bytes) -> tuple[str, str]:
    name = path.name
    again = "Copy or download it again."
    if isinstance(error, (av.error.DecoderNotFoundError, av.error.PatchWelcomeError)):
        return f"«{name}» is coded in a way that cannot be decoded.", "Convert it to MP4 first."
    if isinstance(error, av.error.MemoryError):
        return f"«{name}» needs more memory than there is.", "Close other programs and try again."
    if isinstance(error, av.error.OSError) and not isinstance(error, ValueError):
        return f"«{name}» cannot be read from its drive.", "Check the drive and the connection."
    if head[4:8] in (b"ftyp", b"mdat", b"wide", b"free"):
        return f"«{name}» is incomplete: its index is missing.", again
    if head[:4] in (b"\x1aE\xdf\xa3", b"RIFF", b"GIF8", b"\x89PNG") or head[:3] in (
        b"\xff\xd8\xff",
        b"ID3",
    ):
        return f"«{name}» is damaged or incomplete and cannot be read.", again
    return (
        f"«{name}» is not a picture, video or sound file that can be read.",
        "MP4, MOV, MKV, WebM, GIF, PNG, JPEG, WAV and MP3 work.",
    )
