"""FlashVSR's networks as numbers of weights, bytes and operations; nothing here runs them.

Formulas follow the layers, and take their sizes from the same configurations that build them.
Byte counts of work are what the layers of a run hold at once, which a test measures on the layers.
"""

from dataclasses import dataclass, replace
from enum import Enum
from math import prod

from engine.models.flashvsr.config import (
    DECODERS,
    PROJECTORS,
    TRANSFORMERS,
    WINDOW,
    DecoderConfig,
    ProjectorConfig,
    TransformerConfig,
    pair_budget,
    topk_ratio,
)
from engine.models.wan.config import VaeConfig
from engine.planning import wan_vae

UNIT = 128  # pixels along a block's side: all sizes are multiples of it
TOKEN = 16  # pixels along a token's side
CELL = 8  # pixels along a latent's side
SLOT = WINDOW[0]  # latent frames
FIRST_LATENTS = 6  # of the first chunk; later ones have one slot
FIRST_FRAMES, LATER_FRAMES = 21, 8
AHEAD_FRAMES = 25  # that the first chunk reads
PERIOD = 4  # frames of a latent
TEXT = 512  # tokens of the prompt
BLOCK = prod(WINDOW)  # tokens
KERNEL, PAST = 4 * 3 * 3, 2  # of the projection's convolutions, and the frames they remember
PATCHES = 1 << 26  # elements that the projection gathers at once on a card
TOGETHER = 16384  # tokens that go at once through what does not mix them
BAND = 1 << 25  # elements of a large tensor of the tiny decoder at once
GATHER = 1 << 26  # elements of keys that the plain attention gathers at once on a card
GATHER_CPU = 1 << 22


@dataclass(frozen=True)
class Networks:
    """The networks of a run; the decoder is the tiny one or Wan's."""

    transformer: TransformerConfig = TRANSFORMERS["flashvsr"]
    projector: ProjectorConfig = PROJECTORS["flashvsr_v1.1"]
    decoder: DecoderConfig | VaeConfig = DECODERS["flashvsr_tcdecoder"]


@dataclass(frozen=True)
class Picture:
    """A picture or a tile of it, in pixels; both sides are multiples of 128."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def blocks(self) -> int:
        return self.pixels // UNIT**2

    @property
    def tokens(self) -> int:
        """Of one latent frame."""
        return self.pixels // TOKEN**2


@dataclass(frozen=True)
class Attending:
    """What thins a run's attention, as the effect's values say it."""

    sparse_ratio: float = 2.0
    reach: int = 11
    kv_slots: int = 3

    @property
    def kept(self) -> int:
        """Slots that a layer keeps in the long run; with the one in work it attends to one more."""
        return max(self.kv_slots, 2)

    def pairs(self, whole: Picture, part: Picture, slots: int) -> int:
        """Block pairs per head and slot of queries in a part of a picture, over slots of keys."""
        budget = pair_budget(whole.blocks, topk_ratio(*_sides(whole), self.sparse_ratio))
        budget = budget * self._near(part) // self._near(whole)
        return min(budget, slots * self._near(part))

    def _near(self, picture: Picture) -> int:
        """Pairs of blocks that are within reach of one another."""
        return prod(_near(side // UNIT, self.reach) for side in _sides(picture))


USUAL = Attending()


@dataclass(frozen=True)
class Work:
    """Operations of a chunk, by what they run at: linears, attention, convolutions."""

    linear: float
    attention: float
    projection: float
    decoding: float

    @property
    def total(self) -> float:
        return self.linear + self.attention + self.projection + self.decoding


# Weights


def transformer_weights(config: TransformerConfig) -> int:
    """How many numbers the transformer has."""
    d = config.dim
    attention = 4 * (d * d + d) + 2 * d
    block = 2 * attention + 2 * d + 2 * d * config.ffn_dim + config.ffn_dim + d + 6 * d
    patch = prod(config.patch)
    ends = config.in_dim * patch * d + d + 2 * d + (d + 1) * config.out_dim * patch
    inputs = sum((wide + 1) * d + (d + 1) * d for wide in (config.text_dim, config.freq_dim))
    return config.layers * block + ends + inputs + 6 * (d * d + d)


def passing_weights(config: TransformerConfig) -> int:
    """Those of them that are needed once, for what all chunks share, and then dropped."""
    d = config.dim
    inputs = sum((wide + 1) * d + (d + 1) * d for wide in (config.text_dim, config.freq_dim))
    return config.layers * (2 * (d * d + d) + d) + inputs + 6 * (d * d + d)


def narrow_weights(config: TransformerConfig) -> int:
    """Those of them that 8-bit linears hold in 8 bits: of every block, but not of the prompt."""
    return config.layers * (6 * config.dim**2 + 2 * config.dim * config.ffn_dim)


def projector_weights(config: ProjectorConfig) -> int:
    """How many numbers the projection has."""
    pixels = config.channels * prod(config.patch)
    first = KERNEL * pixels * config.hidden1 + 2 * config.hidden1
    second = KERNEL * config.hidden1 * config.hidden2 + 2 * config.hidden2
    return first + second + config.layers * (config.hidden2 + 1) * config.out_dim


def decoder_weights(config: DecoderConfig | VaeConfig) -> int:
    """How many numbers the decoder has, the tiny one with its steps merged, Wan's decoding half."""
    if isinstance(config, VaeConfig):
        return wan_vae.decoder_weights(config)
    a, b, c, d = config.channels
    inputs = config.condition_channels + config.latent_channels
    blocks = sum(3 * (4 * 9 * width**2 + 3 * width) for width in (a, b, c))
    rises = 16 * (a * b + 2 * b * c + 2 * c * d)
    return 9 * (inputs * a + a * a + d * d + 3 * d) + a + 3 + blocks + rises


# Bytes


def text_bytes(config: TransformerConfig, element: int) -> int:
    """The prompt's keys and values in every block."""
    return config.layers * 2 * TEXT * config.dim * element


def kv_bytes(
    config: TransformerConfig, picture: Picture, attending: Attending, element: float
) -> int:
    """Keys and values of earlier chunks in all layers, and of the slot in work in one of them.

    The means of the keys' blocks are kept in four bytes.
    """
    tokens = (config.layers * attending.kept + 1) * SLOT * picture.tokens
    return round(tokens * config.dim * (2 * element + 4 / BLOCK))


def projection_state_bytes(config: ProjectorConfig, picture: Picture, element: int) -> int:
    """What the projection keeps of a tile from chunk to chunk: nothing by rule v1."""
    pixels = config.channels * prod(config.patch)
    kept = 0 if config.rule == "v1" else PAST * (pixels + config.hidden1)
    return kept * picture.tokens * element


def decoder_state_bytes(config: DecoderConfig | VaeConfig, picture: Picture, element: int) -> int:
    """What the decoder keeps of a tile from chunk to chunk."""
    if isinstance(config, VaeConfig):
        return round(element * picture.pixels * wan_vae.decoder_kept(config))
    a, b, c, _ = config.channels
    return round(element * 3 * picture.pixels * (a / 64 + b / 16 + c / 4))


class Narrow(Enum):
    """Whether keys and values are kept in 8 bits, and if so, whether they are read as they are."""

    NO = "no"
    READ = "read"
    WIDENED = "widened"


def transformer_bytes(
    config: TransformerConfig,
    picture: Picture,
    element: int,
    gather: int,
    slots: int = 1,
    narrow: Narrow = Narrow.NO,
    attending: Attending = USUAL,
) -> int:
    """The most that the transformer works on at once, for a chunk of so many slots.

    gather: elements that plain attention gathers at once, 0 where a kernel gathers none.
    """
    tokens = SLOT * picture.tokens
    slot = tokens * config.dim * element
    # All of the chunk, and the other slots' queries; beside them what one slot goes through.
    waiting = (2 * slots - 1) * slot
    forward = slot + min(tokens, TOGETHER) * element * (config.ffn_dim + config.dim)
    keys = attending.kept + 1
    mixing = 3 * slot + 4 * gather * element
    if narrow is Narrow.WIDENED:  # one layer's, and scaled
        mixing += (2 * keys + 2) * slot
    reading = 4 * slot
    if narrow is not Narrow.NO:  # as they come, and on their way to 8 bits
        reading += 2 * slot + tokens * config.dim * 5
        mixing += gather * (element + 1)
    if gather:  # norms and turns in float32
        reading += 4 * tokens * config.dim * 4
    # The choice of blocks for one slot of queries: scores, shares, lists
    entries = config.heads * keys * picture.blocks**2
    return waiting + max(forward, mixing, reading) + entries * 32


def projector_bytes(config: ProjectorConfig, picture: Picture, element: int, slots: int = 1) -> int:
    """The most that the projection works on at once, for a chunk of so many slots.

    That is at the second convolution of the last clip: its input and its result, the patches that
    are gathered, and the tokens that are ready.
    """
    wide = (picture.width // TOKEN + 2) * (picture.height // TOKEN + 2) * PERIOD * config.hidden1
    patches = min(PATCHES, picture.tokens * KERNEL * config.hidden1)
    tokens = picture.tokens * (config.hidden2 + (slots * SLOT - 1) * config.out_dim)
    return element * (wide + patches + tokens)


def decoder_bytes(config: DecoderConfig | VaeConfig, picture: Picture, element: int) -> int:
    """The most that the decoder works on at once, for one latent, beside its state.

    Tiny: a block at half the size or the end at full size, in bands, and what waits for its turn
    at smaller sizes. Wan's: a residual block at full size, for one frame.
    """
    if isinstance(config, VaeConfig):
        work = element * wan_vae.decoder_work(config) + 4 * 3 * config.period  # frames in float32
        return round(picture.pixels * work)
    a, b, c, d = config.channels
    half = picture.pixels / 4
    waiting = picture.pixels * b / 16 + half * c + PERIOD * 3 * picture.pixels
    block = half * c + 1.5 * _band(2 * c * half)
    end = 2.25 * _band(d * picture.pixels)
    first = picture.pixels / 64 * (config.condition_channels + config.latent_channels + 3 * a)
    return round(element * max(waiting + max(block, end), first + PERIOD * 3 * picture.pixels))


def _band(size: float) -> float:
    """What bands of rows hold of so many numbers, with a little more around them."""
    return 1.05 * size / -(-size // BAND)


def frames_bytes(picture: Picture) -> int:
    """Frames that wait, three levels of 8 bits each: the first chunk's, and the next one's."""
    return (AHEAD_FRAMES + LATER_FRAMES + PERIOD) * 3 * picture.pixels


# Operations


def work(networks: Networks, whole: Picture, part: Picture, attending: Attending) -> Work:
    """Operations of a later chunk of a tile, `part`, of a picture."""
    return _work(networks, whole, part, attending, SLOT, attending.kept + 1)


def first_work(networks: Networks, whole: Picture, part: Picture, attending: Attending) -> Work:
    """Operations of the first chunk; one clip more is projected."""
    slots = FIRST_LATENTS // SLOT
    made = _work(networks, whole, part, attending, FIRST_LATENTS, slots)
    return replace(made, projection=made.projection * (FIRST_LATENTS + 1) / FIRST_LATENTS)


def _work(
    networks: Networks,
    whole: Picture,
    part: Picture,
    attending: Attending,
    latents: int,
    slots: int,
) -> Work:
    config = networks.transformer
    tokens = latents * part.tokens
    d = config.dim
    pairs = latents // SLOT * attending.pairs(whole, part, slots)
    return Work(
        linear=config.layers * tokens * (12 * d * d + 4 * d * config.ffn_dim),
        attention=config.layers * 4 * d * (tokens * TEXT + pairs * BLOCK**2),
        projection=latents * _projection(networks.projector, part),
        decoding=latents * _decoding(networks.decoder, part),
    )


def _projection(config: ProjectorConfig, picture: Picture) -> float:
    """Of one latent's tokens."""
    pixels = config.channels * prod(config.patch)
    first = 2 * pixels * config.hidden1 * KERNEL
    second = config.hidden1 * config.hidden2 * KERNEL
    each = first + second + config.layers * config.hidden2 * config.out_dim
    return 2.0 * picture.tokens * each


def _decoding(config: DecoderConfig | VaeConfig, picture: Picture) -> float:
    """Of one latent, in multiplications and additions."""
    cells = picture.pixels / CELL**2
    if isinstance(config, VaeConfig):
        return wan_vae.decoding(config, cells)
    a, b, c, d = config.channels
    first = 9 * (config.condition_channels + config.latent_channels) * a + 9 * a * a
    first += 3 * 36 * a * a + 16 * a * b
    second = 3 * 36 * b * b + 16 * b * 2 * c
    third = 2 * (3 * 36 * c * c + 16 * c * 2 * d)
    last = 4 * (9 * d * d + 9 * d * 3)
    return 2.0 * cells * (first + 4 * second + 16 * third + 64 * last)


def _sides(picture: Picture) -> tuple[int, int]:
    return picture.width, picture.height


def _near(count: int, reach: int) -> int:
    """Pairs of blocks along an axis that see each other."""
    before, after = reach // 2, reach - 1 - reach // 2
    return sum(min(at + after, count - 1) - max(at - before, 0) + 1 for at in range(count))
