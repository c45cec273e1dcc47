"""The VAE of Wan 2.1 as numbers of weights, bytes and operations, layer by layer.

Both halves code one latent frame at a time, and keep what their layers need of the past.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from engine.models.wan.config import VaeConfig

PAST = 2  # frames that a convolution remembers


class Layer(NamedTuple):
    """A convolution: `growth` is of a side over a latent's, `frames` those of a later latent."""

    before: int  # channels
    after: int
    kernel: int
    growth: int
    frames: int


def decoder_weights(config: VaeConfig) -> int:
    """How many numbers the decoding half has."""
    layers = _decoder(config)
    return _weights(layers, config) + config.z_dim**2 + config.z_dim


def encoder_weights(config: VaeConfig) -> int:
    """How many numbers the encoding half has."""
    both = 2 * config.z_dim
    return _weights(_encoder(config), config) + both**2 + both


def decoder_kept(config: VaeConfig) -> float:
    """Numbers that the decoder keeps of the latent before, per pixel."""
    kept = [one.before * one.growth**2 for one in _decoder(config) if one.kernel in (27, 3)]
    return PAST * sum(kept) / config.cell**2


def encoder_kept(config: VaeConfig) -> float:
    """Numbers that the encoder keeps of the latent before, per pixel."""
    kept = {27: PAST, 3: 1}
    sums = [kept.get(one.kernel, 0) * one.before * one.growth**2 for one in _encoder(config)]
    return sum(sums) / config.cell**2


def decoder_work(config: VaeConfig) -> float:
    """Numbers per pixel that are there at most while decoding, beside what is kept."""
    # A block's shortcut; what is convolved, that behind its past, what is kept of it, the result
    frames = 1 + 1 + (PAST + 1) + 1 + 1
    waiting = 2 * 2 / 4 + 2 * 2 / 16  # two frames each at half and at a quarter, twice as wide
    return config.dim * (frames + waiting)


def encoder_work(config: VaeConfig, latents: int = 1) -> float:
    """The same while so many latent frames are encoded at once."""
    frames = config.period * latents
    # A block's shortcut; what is convolved, that behind its past, its norm, the result
    return config.dim * (5 * frames + PAST)


def decoding(config: VaeConfig, cells: float) -> float:
    """Operations to decode one latent frame of so many cells."""
    return _operations(_decoder(config), config, cells)


def encoding(config: VaeConfig, cells: float) -> float:
    """Operations to encode one latent frame of so many cells."""
    return _operations(_encoder(config), config, cells)


@lru_cache(16)
def _decoder(config: VaeConfig) -> tuple[Layer, ...]:
    widths = [config.dim * m for m in reversed(config.dim_mult)]
    doubles = config.temporal_downsample[::-1]
    dim, growth, frames = widths[0], 1, 1
    layers = [Layer(config.z_dim, dim, 27, 1, 1)]
    layers += [Layer(dim, dim, 27, 1, 1)] * 4
    for stage, width in enumerate(widths):
        for _ in range(config.num_res_blocks + 1):
            layers += _block(dim, width, growth, frames)
            dim = width
        if stage < len(doubles):
            if doubles[stage]:
                layers.append(Layer(dim, 2 * dim, 3, growth, frames))
                frames *= 2
            growth *= 2
            layers.append(Layer(dim, dim // 2, 9, growth, frames))
            dim //= 2
    return (*layers, Layer(dim, 3, 27, growth, frames))


@lru_cache(16)
def _encoder(config: VaeConfig) -> tuple[Layer, ...]:
    dim, growth, frames = config.dim, config.cell, config.period
    layers = [Layer(3, dim, 27, growth, frames)]
    for stage, width in enumerate(config.dim * m for m in config.dim_mult):
        for _ in range(config.num_res_blocks):
            layers += _block(dim, width, growth, frames)
            dim = width
        if stage < len(config.temporal_downsample):
            growth //= 2
            layers.append(Layer(dim, dim, 9, growth, frames))
            if config.temporal_downsample[stage]:
                frames //= 2
                layers.append(Layer(dim, dim, 3, growth, frames))
    layers += [Layer(dim, dim, 27, 1, 1)] * 4
    return (*layers, Layer(dim, 2 * config.z_dim, 27, 1, 1))


def _block(dim: int, width: int, growth: int, frames: int) -> list[Layer]:
    """A residual block's convolutions."""
    layers = [
        Layer(dim, width, 27, growth, frames),
        Layer(width, width, 27, growth, frames),
    ]
    return layers if dim == width else [*layers, Layer(dim, width, 1, growth, frames)]


def _weights(layers: Sequence[Layer], config: VaeConfig) -> int:
    count = sum(one.before * one.after * one.kernel + one.after for one in layers)
    norms = sum(one.before for one in layers[1:] if one.kernel == 27)
    middle = config.dim * config.dim_mult[-1]
    return count + norms + middle + 4 * middle * middle + 4 * middle


def _operations(layers: Sequence[Layer], config: VaeConfig, cells: float) -> float:
    each = sum(one.before * one.after * one.kernel * one.growth**2 * one.frames for one in layers)
    middle = config.dim * config.dim_mult[-1]
    return 2.0 * cells * (each + 4 * middle**2 + 2 * cells * middle)
