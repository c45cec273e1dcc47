"""The sizes of FlashVSR's networks, and how a run attends."""

from dataclasses import dataclass
from typing import Literal

Rule = Literal["v1", "v1.1"]

WINDOW = (2, 8, 8)  # latent frames, token rows, token columns of one block
TRAINED_PIXELS = 768 * 1280  # the size whose budget a ratio names


@dataclass(frozen=True)
class TransformerConfig:
    """The diffusion transformer; the defaults are the published one, shaped as Wan 2.1 1.3B."""

    dim: int = 1536
    heads: int = 12
    ffn_dim: int = 8960
    in_dim: int = 16
    out_dim: int = 16
    text_dim: int = 4096
    freq_dim: int = 256
    layers: int = 30
    eps: float = 1e-6
    patch: tuple[int, int, int] = (1, 2, 2)


@dataclass(frozen=True)
class ProjectorConfig:
    """The low-quality projection. `rule` is not in the weights: v1 and v1.1 differ by it alone."""

    rule: Rule
    channels: int = 3
    patch: tuple[int, int] = (16, 16)
    hidden1: int = 2048
    hidden2: int = 3072
    out_dim: int = 1536
    layers: int = 1


@dataclass(frozen=True)
class DecoderConfig:
    """The tiny conditional decoder: widths at 1/8, 1/4, 1/2 and full size."""

    channels: tuple[int, int, int, int] = (512, 256, 128, 128)
    latent_channels: int = 16
    condition_channels: int = 768


@dataclass(frozen=True)
class Sparsity:
    """How self-attention is thinned.

    pairs: block pairs that each head keeps per query slot. reach: blocks a block sees in each
    direction of the picture, itself in the middle. kv_slots: slots of keys kept between chunks;
    one slot leaves per chunk, so 1 and 2 both keep two.
    """

    pairs: int
    reach: int = 11
    kv_slots: int = 3


def pair_budget(blocks: int, ratio: float) -> int:
    """Block pairs per head and query slot, for a picture of `blocks` blocks and a top-k ratio."""
    return int(blocks * blocks * ratio) - 1


def topk_ratio(width: int, height: int, sparse_ratio: float = 2.0) -> float:
    """The published top-k ratio: the same number of keys per query at every size.

    A higher sparse_ratio keeps more. width and height are those of the result.
    """
    return sparse_ratio * TRAINED_PIXELS / (width * height)


TRANSFORMERS = {"flashvsr": TransformerConfig()}
PROJECTORS = {"flashvsr_v1": ProjectorConfig("v1"), "flashvsr_v1.1": ProjectorConfig("v1.1")}
DECODERS = {"flashvsr_tcdecoder": DecoderConfig()}
