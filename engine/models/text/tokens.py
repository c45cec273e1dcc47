"""A prompt cleaned as Wan's published code does, and cut into the pieces that UMT5 knows."""

import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from engine.errors import EngineError, WeightsError
from engine.models.text.weights import TOKENIZER

LENGTH = 512  # of a prompt in pieces, its end among them
PAD, END = 0, 1
END_PIECE = "</s>"
SPARE_PIECES = 4096  # UMT5’s encoder knows 256,384, its tokenizer some hundred fewer; mT5’s 250,100
NAMES = ("spiece.model", "tokenizer.json")
LIMIT_BYTES = 100_000_000  # UMT5's are 4.5 and 17 MB
_FOLDERS = ("", "google/umt5-xxl", "umt5-xxl", "tokenizer")
_FOLDERS_SEEN = 500  # where a folder lies among very many others
_GET = (
    "Put spiece.model or tokenizer.json of google/umt5-xxl into a folder google/umt5-xxl beside "
    "it, or get Comfy-Org's file of the encoder, which holds its own."
)


def cleaned(text: str) -> str:
    """Broken encodings, widths and quotes mended, HTML undone twice, every space a single one."""
    try:
        from ftfy import fix_text
    except ImportError as error:
        raise _not_installed("ftfy") from error
    plain = html.unescape(html.unescape(fix_text(text)))
    return re.sub(r"\s+", " ", plain).strip()


@dataclass(frozen=True)
class Tokenizer:
    """Cuts cleaned text into pieces, by their numbers; it knows `size` of them."""

    pieces: Callable[[str], list[int]]
    size: int
    origin: str

    def ids(self, text: str, length: int = LENGTH) -> list[int]:
        """The cleaned text's pieces and the end, at most `length` together."""
        return [*self.pieces(cleaned(text))[: length - 1], END]


class Tokens(NamedTuple):
    """Of several prompts: ids (B, L) int64, padded; mask (B, L) bool, false where it is padding."""

    ids: Tensor
    mask: Tensor


def padded_tokens(tokenizer: Tokenizer, texts: Iterable[str], length: int = LENGTH) -> Tokens:
    """Every text on a row of `length` pieces."""
    rows = [tokenizer.ids(text, length) for text in texts]
    ids = torch.full((len(rows), length), PAD, dtype=torch.int64)
    for row, found in zip(ids, rows, strict=True):
        row[: len(found)] = torch.tensor(found)
    counts = torch.tensor([len(found) for found in rows])
    return Tokens(ids, torch.arange(length) < counts[:, None])


def find_tokenizer(
    encoder: Path, tensors: Mapping[str, Tensor], vocab: int, places: Iterable[Path] = ()
) -> Tokenizer:
    """The tokenizer of an encoder: out of its own file's `tensors`, else out of a file near it.

    `vocab`: how many pieces the encoder knows, which tells the tokenizers of other models.
    `places`: more folders to look into. Raises WeightsError.
    """
    wrong: list[WeightsError] = []
    for read in _candidates(encoder, tensors, tuple(places)):
        try:
            found = read()
            _fit(found, vocab)
        except WeightsError as error:
            wrong.append(error)
        else:
            return found
    # The nearest one was meant, most likely.
    why = f" {wrong[0].message}" if wrong else ""
    raise WeightsError(
        f"{encoder} needs the tokenizer of UMT5-XXL, and there is none in it or near it.{why}",
        _GET,
        "\n".join(error.message for error in wrong),
    )


def from_pieces(model: bytes, origin: str) -> Tokenizer:
    """A SentencePiece model (spiece.model)."""
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise _not_installed("sentencepiece") from error
    if not model:  # it would be taken for none, and complain only when used
        raise _damaged(origin)
    try:
        made = SentencePieceProcessor(model_proto=model)
    except (RuntimeError, OSError, ValueError) as error:
        raise _damaged(origin) from error
    _check_end(made.piece_to_id(END_PIECE), origin)
    return Tokenizer(lambda text: list(made.encode(text)), made.get_piece_size(), origin)


def from_json(text: bytes, origin: str) -> Tokenizer:
    """A tokenizer.json, as Hugging Face's tokenizers write it."""
    try:
        from tokenizers import Tokenizer as Fast
    except ImportError as error:
        raise _not_installed("tokenizers") from error
    try:
        made = Fast.from_buffer(text)
    except Exception as error:  # tokenizers raise nothing narrower
        raise _damaged(origin) from error
    made.no_truncation()
    made.no_padding()
    _check_end(made.token_to_id(END_PIECE), origin)
    return Tokenizer(
        lambda text: list(made.encode(text, add_special_tokens=False).ids),
        made.get_vocab_size(),
        origin,
    )


def _candidates(
    encoder: Path, tensors: Mapping[str, Tensor], places: tuple[Path, ...]
) -> Iterator[Callable[[], Tokenizer]]:
    """What reads each tokenizer that may be meant, the nearest first."""
    for name, tensor in tensors.items():
        if name == TOKENIZER or name.endswith(f".{TOKENIZER}"):
            yield partial(_inner, tensor, f"{encoder}, {TOKENIZER}")
    for path in _near(encoder, places):
        yield partial(_read, path)


def _inner(tensor: Tensor, origin: str) -> Tokenizer:
    if tensor.dtype != torch.uint8:
        raise _damaged(origin)
    return from_pieces(tensor.cpu().numpy().tobytes(), origin)


def _near(encoder: Path, places: tuple[Path, ...]) -> Iterator[Path]:
    """Files that may hold the tokenizer: beside the encoder, one folder up, and below these."""
    roots = list(dict.fromkeys([*places, encoder.parent, encoder.parent.parent]))
    known = [root / inner / name for root in roots for inner in _FOLDERS for name in NAMES]
    below = [folder / name for root in roots for folder in _folders(root) for name in NAMES]
    below.sort(key=lambda path: "umt5" not in str(path).lower())
    for path in dict.fromkeys([*known, *below]):
        if path.is_file():
            yield path


def _folders(root: Path) -> list[Path]:
    """The folders of `root` and theirs, but only so many."""
    found: list[Path] = []
    level = [root]
    for _ in range(2):
        level = [inner for folder in level for inner in _inside(folder)]
        found += level
    return found[:_FOLDERS_SEEN]


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in islice(folder.iterdir(), _FOLDERS_SEEN) if path.is_dir())
    except OSError:  # not there, or not to be read: then nothing of it is near
        return []


def _read(path: Path) -> Tokenizer:
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise WeightsError(f"{path} is larger than any tokenizer.")
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error
    return from_json(data, str(path)) if path.suffix == ".json" else from_pieces(data, str(path))


def _fit(tokenizer: Tokenizer, vocab: int) -> None:
    """Encoders know some pieces more than their tokenizers, never fewer."""
    if not vocab - SPARE_PIECES <= tokenizer.size <= vocab:
        raise WeightsError(
            f"{tokenizer.origin} is the tokenizer of another model: it knows "
            f"{tokenizer.size} pieces, and the encoder {vocab}."
        )


def _check_end(found: int | None, origin: str) -> None:
    if found != END:
        raise WeightsError(
            f"{origin} is no tokenizer of UMT5: its end {END_PIECE} is piece {found}, not {END}."
        )


def _damaged(origin: str) -> WeightsError:
    return WeightsError(f"{origin} is no tokenizer, or is damaged.", "Get it again.")


def _not_installed(package: str) -> EngineError:
    return EngineError(
        f"The Python package {package}, which reads prompts, is not installed.",
        "Start the program by dev.py, which installs it, or install it yourself.",
    )
