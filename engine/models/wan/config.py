"""The sizes of Wan 2.1's networks, by the names of the published checkpoints."""

from dataclasses import dataclass

_MEAN = (
    *(-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508),
    *(0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921),
)
_STD = (
    *(2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743),
    *(3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160),
)


@dataclass(frozen=True, kw_only=True)
class VaeConfig:
    """A causal video VAE; every stage but the last halves height and width, some also time."""

    dim: int = 96
    z_dim: int = 16
    dim_mult: tuple[int, ...] = (1, 2, 4, 4)  # widths of the encoder's stages, in units of dim
    num_res_blocks: int = 2  # per encoder stage; a decoder stage has one more
    temporal_downsample: tuple[bool, ...] = (False, True, True)  # the encoder's order
    mean: tuple[float, ...] = _MEAN  # latent = (mu - mean) / std, per channel
    std: tuple[float, ...] = _STD

    def __post_init__(self) -> None:
        """Holds the parts to one another."""
        assert len(self.temporal_downsample) == len(self.dim_mult) - 1
        assert len(self.mean) == len(self.std) == self.z_dim

    @property
    def cell(self) -> int:
        """Pixels along one side of a latent cell."""
        return int(2 ** len(self.temporal_downsample))

    @property
    def period(self) -> int:
        """Frames of one latent frame; the first latent frame is one frame alone."""
        return int(2 ** sum(self.temporal_downsample))


VAE_VARIANTS = {"wan2.1_vae": VaeConfig()}
