"""The VAE of Wan 2.1 as numbers of weights, bytes and operations, layer by layer.

Both halves code frame by frame, and keep what their layers need of the past.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from engine.models.wan.config import VaeConfig

DEPTH = 3  # frames that a convolution in time sees, and has room for from frame to frame
EVEN = 8  # their channels are filled up to a multiple


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
    """Numbers that the decoder keeps from latent to latent, per pixel."""
    kept = sum(_window(one) for one in _decoder(config) if one.kernel in (27, 3))
    return kept / config.cell**2


def encoder_kept(config: VaeConfig) -> float:
    """Numbers that the encoder keeps from latent to latent, per pixel."""
    layers = _encoder(config)
    kept = sum(_window(one) for one in layers if one.kernel == 27)
    halved = sum(one.after * one.growth**2 for one in layers if one.kernel == 9)  # the last frames
    return (kept + halved) / config.cell**2


def decoder_work(config: VaeConfig) -> float:
    """Numbers per pixel that are there at most while decoding, beside what is kept."""
    # Before the last blocks: a frame of half the size, twice as wide; the four phases of the larger
    # one; that itself
    return config.dim * (2 / 4 + 1 + 1)


def encoder_work(config: VaeConfig, latents: int = 1) -> float:
    """The same while so many latent frames are encoded in one chunk."""
    # After the first blocks: a frame, the same with a border; those of a latent frame, halved, of
    # which one is kept
    frames = 1 + 1 + (config.period - 1) / 4
    return config.dim * frames + 3 * config.period * latents


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


def _window(layer: Layer) -> int:
    """Numbers of the frames that a convolution in time sees, as many as a latent has cells."""
    return DEPTH * -(-layer.before // EVEN) * EVEN * layer.growth**2


def _weights(layers: Sequence[Layer], config: VaeConfig) -> int:
    count = sum(one.before * one.after * one.kernel + one.after for one in layers)
    norms = sum(one.before for one in layers[1:] if one.kernel == 27)
    middle = config.dim * config.dim_mult[-1]
    return count + norms + middle + 4 * middle * middle + 4 * middle


def _operations(layers: Sequence[Layer], config: VaeConfig, cells: float) -> float:
    each = sum(one.before * one.after * one.kernel * one.growth**2 * one.frames for one in layers)
    middle = config.dim * config.dim_mult[-1]
    return 2.0 * cells * (each + 4 * middle**2 + 2 * cells * middle)
