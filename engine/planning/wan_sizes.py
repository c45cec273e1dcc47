"""Wan's transformer and encoders as numbers of weights, bytes and operations; none of them run.

Formulas follow the layers, which a test measures. An `element` is the bytes of a number.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import NamedTuple

from engine.models.wan.config import TransformerConfig

AT_ONCE = 16384  # tokens that go at once through what does not mix them
PICTURE = 257  # CLIP tokens of a picture
ENHANCED = 8  # heads whose frames are compared at once
LISTED = 128  # tokens of a usual prompt


class Weights(NamedTuple):
    """Numbers by how they are kept: as stored, in the dtype of the run, and what may be narrow.

    `rows`: of the narrow matrices, each with a scale of its own.
    """

    exact: int
    plain: int
    narrow: int
    rows: int

    @property
    def total(self) -> int:
        """All numbers of the file."""
        return self.exact + self.plain + self.narrow

    def bytes(self, element: int, exact: int, is_narrow: bool) -> int:
        """exact: bytes of a number that stays as it is stored."""
        narrow = self.narrow + 4 * self.rows if is_narrow else self.narrow * element
        return self.exact * exact + self.plain * element + narrow


@dataclass(frozen=True)
class TextSizes:
    """The text encoder, UMT5-XXL."""

    vocab: int = 256384
    dim: int = 4096
    dim_attn: int = 4096
    dim_ffn: int = 10240
    heads: int = 64
    layers: int = 24
    buckets: int = 32


@dataclass(frozen=True)
class ImageSizes:
    """The image encoder, CLIP ViT-H/14."""

    image: int = 224
    patch: int = 14
    dim: int = 1280
    dim_mlp: int = 5120
    heads: int = 16
    layers: int = 32


UMT5, CLIP = TextSizes(), ImageSizes()


@dataclass(frozen=True)
class Doing:
    """What a pass holds that is not always there.

    `fused`: by kernels, so that nothing is widened in between. `is_fast`: products of 8 bits.
    `compares`: Enhance-A-Video. `caches`: streams whose last change TeaCache keeps.
    """

    fused: bool = True
    is_narrow: bool = False
    is_fast: bool = False
    compares: bool = False
    caches: int = 0
    in_eight_bits: bool = False  # attention of queries and keys in 8 bits


# Weights


def block_weights(config: TransformerConfig) -> Weights:
    """Of one block."""
    d, wide, pairs = config.dim, config.ffn_dim, 5 if config.image_dim else 4
    matrices = 2 * pairs * d * d + 2 * d * wide
    rows = 2 * pairs * d + wide + d
    exact = pairs * d + 2 * d + 6 * d
    return Weights(exact, rows, matrices, rows)  # each row has a bias


@lru_cache(16)
def transformer_weights(config: TransformerConfig) -> Weights:
    """Of the whole transformer."""
    d, patch, eyes = config.dim, prod(config.patch), config.image_dim
    exact = (config.freq_dim + 1) * d + 7 * (d + 1) * d
    exact += config.in_dim * patch * d + d
    exact += 2 * d + (d + 1) * config.out_dim * patch
    if eyes:
        exact += 2 * eyes + (eyes + 1) * eyes + (eyes + 1) * d + 2 * d
        exact += config.image_positions * eyes
    text = (config.text_dim + 1) * d + (d + 1) * d
    block = block_weights(config)
    return Weights(
        exact + config.layers * block.exact,
        text + config.layers * block.plain,
        config.layers * block.narrow,
        config.layers * block.rows,
    )


def text_weights(config: TextSizes) -> Weights:
    """Of the text encoder; the linear layers may be in 8 bits in a file."""
    d, inner, wide = config.dim, config.dim_attn, config.dim_ffn
    linear = config.layers * (4 * d * inner + 3 * d * wide)
    rest = config.vocab * d + d + config.layers * (2 * d + config.buckets * config.heads)
    return Weights(0, rest, linear, config.layers * (3 * inner + d + 2 * wide + d))


def image_weights(config: ImageSizes) -> int:
    """Of the image encoder."""
    d, wide = config.dim, config.dim_mlp
    places = 1 + (config.image // config.patch) ** 2
    ends = 3 * config.patch**2 * d + d + places * d + 2 * d
    block = 4 * (d + 1) * d + (d + 1) * wide + (wide + 1) * d + 4 * d
    return ends + config.layers * block


def swapped_bytes(config: TransformerConfig, element: int, exact: int, is_narrow: bool) -> int:
    """What of a block goes to the host and back: its matrices, its modulation among them."""
    block = block_weights(config)
    return block.narrow * (1 if is_narrow else element) + 6 * config.dim * exact


# Bytes


def seen_tokens(config: TransformerConfig) -> int:
    """Tokens of prompt and pictures that a block attends to."""
    pictures = config.image_positions or PICTURE if config.image_dim else 0
    return config.text_len + pictures


def keys_bytes(config: TransformerConfig, element: int, keeps: bool = True) -> int:
    """What blocks attend to of a prompt and its pictures: all of them, or the one that runs."""
    blocks = config.layers if keeps else 1
    return blocks * 2 * seen_tokens(config) * config.dim * element


def pass_bytes(
    config: TransformerConfig, tokens: int, frames: int, element: int, doing: Doing
) -> int:
    """The most that a pass over so many tokens holds, weights and kept keys apart.

    Beside the sum in float32 that is at the end of self-attention: what it was made of, queries,
    keys, values, the mixture and its product. Without kernels, norms widen a piece of the tokens.
    """
    d = config.dim
    whole, piece = tokens * d * element, min(tokens, AT_ONCE) * d
    mixing = 6 * whole
    if doing.is_fast:
        mixing += tokens * d if doing.fused else 8 * tokens * d
    elif doing.is_narrow:  # weights of the product, as they are and scaled
        mixing += 2 * d * d * element
    if doing.in_eight_bits:
        mixing = max(mixing, 5 * whole + 4 * tokens * d)  # values too, in float16
    turning = 5 * whole + (0 if doing.fused else (12 if piece == tokens * d else 16) * piece)
    if doing.compares:
        heads = min(config.heads, ENHANCED)
        again = 2 if config.heads > heads else 1  # the last heads' shares beside the next ones'
        compared = 8 * heads * tokens * (config.head_dim + again * frames)
        turning = max(turning, 6 * whole + compared)
    matrix = d * config.ffn_dim * element if doing.is_narrow and not doing.is_fast else 0
    wide = whole + min(tokens, AT_ONCE) * element * (config.ffn_dim + d)
    wide += matrix + max(matrix, piece * element)
    beside = tokens * 4 * d + tokens * config.head_dim * 4  # the sum, and how far each token turns
    kept = doing.caches * whole + (tokens * 4 * d if doing.caches else 0)
    seen = seen_tokens(config) * d * element
    return beside + kept + seen + max(mixing, turning, wide)


def text_bytes(config: TextSizes, length: int, element: int) -> int:
    """The most that the text encoder holds, for a prompt of so many tokens."""
    rows = length * element
    scores = 2 * config.heads * length * length * element
    wide = rows * (3 * config.dim_ffn + 2 * config.dim)
    mixing = rows * (2 * config.dim + 5 * config.dim_attn)
    return max(wide, mixing) + scores + 16 * length * length + 4 * rows * config.dim


def image_bytes(config: ImageSizes, element: int) -> int:
    """The most that the image encoder holds, for two pictures."""
    tokens = 2 * (1 + (config.image // config.patch) ** 2)
    return tokens * element * (2 * config.dim_mlp + 6 * config.dim) + 2 * 3 * 4 * config.image**2


# Operations


class Work(NamedTuple):
    """Operations of a pass, by what they run at."""

    linear: float
    attention: float

    @property
    def total(self) -> float:
        """Of both kinds."""
        return self.linear + self.attention


def pass_work(config: TransformerConfig, tokens: int, keeps_keys: bool = True) -> Work:
    """Of one pass over so many tokens. Kept keys are made once, which is not counted."""
    d, seen = config.dim, seen_tokens(config)
    linear = config.layers * 2.0 * tokens * (6 * d * d + 2 * d * config.ffn_dim)
    if not keeps_keys:
        linear += config.layers * 4.0 * seen * d * d
    ends = 2.0 * tokens * d * prod(config.patch) * (config.in_dim + config.out_dim)
    attention = config.layers * 4.0 * d * tokens * (tokens + seen)
    return Work(linear + ends, attention)


def text_work(config: TextSizes, length: int = LISTED) -> float:
    """Of a prompt of so many tokens."""
    d, inner = config.dim, config.dim_attn
    linear = 2.0 * length * (4 * d * inner + 3 * d * config.dim_ffn)
    return config.layers * (linear + 4.0 * length * length * inner)


def image_work(config: ImageSizes) -> float:
    """Of a picture."""
    tokens = 1 + (config.image // config.patch) ** 2
    linear = 2.0 * tokens * (4 * config.dim**2 + 2 * config.dim * config.dim_mlp)
    return (config.layers - 1) * (linear + 4.0 * tokens**2 * config.dim)
