"""FlashVSR's networks as numbers of weights, bytes and operations; nothing here runs them.

Formulas follow the layers, and take their sizes from the same configurations that build them.
Byte counts of work are what the layers of a run hold at once, which a test measures on the layers.
"""

from dataclasses import dataclass, replace
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
RISES = 3  # copies of its result that the tiny decoder's doubling holds: cells, gathered, ordered
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
    def places(self) -> int:
        """Slots that a layer has memory for: those kept and the one in work; three at first."""
        return max(self.kv_slots, 2) + 1

    def pairs(self, whole: Picture, part: Picture, slots: int) -> int:
        """Block pairs per head and slot of queries in a part of a picture, over slots of keys."""
        budget = pair_budget(whole.blocks, topk_ratio(*_sides(whole), self.sparse_ratio))
        budget = budget * self._near(part) // self._near(whole)
        return min(budget, slots * self._near(part))

    def _near(self, picture: Picture) -> int:
        """Pairs of blocks that are within reach of one another."""
        return prod(_near(side // UNIT, self.reach) for side in _sides(picture))


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
        return _vae_weights(config)
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
    """Keys and values of earlier chunks, in all layers."""
    tokens = attending.places * SLOT * picture.tokens
    return round(config.layers * 2 * tokens * config.dim * element)


def state_bytes(networks: Networks, picture: Picture, element: int) -> int:
    """What projection and decoder keep of a tile from chunk to chunk."""
    projector, decoder = networks.projector, networks.decoder
    pixels = projector.channels * prod(projector.patch)
    kept = PAST * (pixels + projector.hidden1) * picture.tokens
    if projector.rule == "v1":
        kept = 0
    if isinstance(decoder, VaeConfig):
        return round(element * (kept + picture.pixels * _vae_kept(decoder)))
    a, b, c, _ = decoder.channels
    return round(element * (kept + 3 * picture.pixels * (a / 64 + b / 16 + c / 4)))


def transformer_bytes(
    config: TransformerConfig, picture: Picture, element: int, gather: int
) -> int:
    """The most that the transformer works on at once: in the first chunk.

    gather: elements that plain attention gathers at once, 0 where a kernel gathers none.
    """
    tokens = FIRST_LATENTS * picture.tokens
    forward = tokens * element * (3 * config.dim + 2 * config.ffn_dim)
    mixing = tokens * element * 8 * config.dim + 4 * gather * element
    # The mask's scores, shares and order, for three slots of queries on three of keys
    entries = config.heads * (FIRST_LATENTS // SLOT * picture.blocks) ** 2
    return max(forward, mixing) + entries * (32 if gather else 12)


def projector_bytes(config: ProjectorConfig, picture: Picture, element: int) -> int:
    """The most that the projection works on at once: the first frames, and one clip's layers."""
    frames = AHEAD_FRAMES * config.channels * picture.pixels * (4 + 4 + element)
    clip = picture.tokens * element
    pixels = config.channels * prod(config.patch)
    shown = (PERIOD + PERIOD + PAST) * pixels + 2 * (PAST + 2) * config.hidden1
    columns = KERNEL * config.hidden1  # of a convolution as a product of matrices
    tokens = (FIRST_LATENTS + 1) * config.out_dim
    return frames + clip * (shown + 2 * config.hidden2 + columns + tokens)


def decoder_bytes(config: DecoderConfig | VaeConfig, picture: Picture, element: int) -> int:
    """The most that the decoder works on at once, for one latent, beside the state it began with.

    Tiny: the four cells of the last doubling, gathered and put in order, at full size. Wan's: a
    residual block at full size; of the next state all but the last layer's is there.
    """
    if isinstance(config, VaeConfig):
        work = config.dim * (4 * PERIOD + PERIOD + PAST)
        return round(picture.pixels * element * (work + _vae_kept(config) - PAST * config.dim))
    a, b, c, d = config.channels
    inputs = (config.condition_channels + config.latent_channels) / CELL**2
    state = 3 * (a / 64 + b / 16 + c / 4)
    full = RISES * PERIOD * d + 2 * 2 * c / 4
    return round(picture.pixels * (element * (full + state + inputs) + PERIOD * 3 * 4))


def frames_bytes(picture: Picture) -> int:
    """Frames that wait, three levels of 8 bits each: read, as one clip, and as its source."""
    return (2 * AHEAD_FRAMES + FIRST_FRAMES + LATER_FRAMES) * 3 * picture.pixels


# Operations


def work(networks: Networks, whole: Picture, part: Picture, attending: Attending) -> Work:
    """Operations of a later chunk of a tile, `part`, of a picture."""
    return _work(networks, whole, part, attending, SLOT, attending.places)


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
        return _vae_decoding(config, cells)
    a, b, c, d = config.channels
    first = 9 * (config.condition_channels + config.latent_channels) * a + 9 * a * a
    first += 3 * 36 * a * a + 16 * a * b
    second = 3 * 36 * b * b + 16 * b * 2 * c
    third = 2 * (3 * 36 * c * c + 16 * c * 2 * d)
    last = 4 * (9 * d * d + 9 * d * 3)
    return 2.0 * cells * (first + 4 * second + 16 * third + 64 * last)


# Wan's decoder, layer by layer: (channels in, channels out, kernel, growth, frames), where growth
# is of a side over a latent's, and frames are those of a later latent.

Layer = tuple[int, int, int, int, int]


def _vae_layers(config: VaeConfig) -> list[Layer]:
    widths = [config.dim * m for m in reversed(config.dim_mult)]
    doubles = config.temporal_downsample[::-1]
    dim, growth, frames = widths[0], 1, 1
    layers: list[Layer] = [(config.z_dim, dim, 27, 1, 1)]
    layers += [(dim, dim, 27, 1, 1)] * 4
    for stage, width in enumerate(widths):
        for _ in range(config.num_res_blocks + 1):
            layers += [(dim, width, 27, growth, frames), (width, width, 27, growth, frames)]
            if dim != width:
                layers.append((dim, width, 1, growth, frames))
            dim = width
        if stage < len(doubles):
            if doubles[stage]:
                layers.append((dim, 2 * dim, 3, growth, frames))
                frames *= 2
            growth *= 2
            layers.append((dim, dim // 2, 9, growth, frames))
            dim //= 2
    return [*layers, (dim, 3, 27, growth, frames)]


def _vae_weights(config: VaeConfig) -> int:
    layers = _vae_layers(config)
    count = sum(a * b * kernel + b for a, b, kernel, _, _ in layers)
    norms = sum(a for a, _, kernel, _, _ in layers[1:] if kernel == 27)
    middle = config.dim * config.dim_mult[-1]
    attention = middle + 4 * middle * middle + 4 * middle
    return count + norms + attention + config.z_dim**2 + config.z_dim


def _vae_kept(config: VaeConfig) -> float:
    """Numbers that the layers keep of the latent before, per pixel."""
    kept = [a * growth**2 for a, _, kernel, growth, _ in _vae_layers(config) if kernel in (27, 3)]
    return PAST * sum(kept) / config.cell**2


def _vae_decoding(config: VaeConfig, cells: float) -> float:
    layers = _vae_layers(config)
    each = sum(a * b * kernel * growth**2 * frames for a, b, kernel, growth, frames in layers)
    middle = config.dim * config.dim_mult[-1]
    return 2.0 * cells * (each + 4 * middle**2 + 2 * cells * middle)


def _sides(picture: Picture) -> tuple[int, int]:
    return picture.width, picture.height


def _near(count: int, reach: int) -> int:
    """Pairs of blocks along an axis that see each other."""
    before, after = reach // 2, reach - 1 - reach // 2
    return sum(min(at + after, count - 1) - max(at - before, 0) + 1 for at in range(count))
