"""The sizes of Wan's networks, by the names of the published checkpoints."""

from dataclasses import dataclass, replace

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


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """The diffusion transformer; the defaults are T2V 1.3B."""

    dim: int = 1536
    heads: int = 12
    ffn_dim: int = 8960
    layers: int = 30
    in_dim: int = 16  # latents, and beside them the mask and latents of given frames
    out_dim: int = 16
    text_dim: int = 4096
    text_len: int = 512  # a shorter prompt is filled up with zeros, and they are attended to
    freq_dim: int = 256
    image_dim: int = 0  # features of a CLIP token; none: no attention to pictures
    image_positions: int = 0  # CLIP tokens that have a learned position; 2 x 257 in FLF2V
    eps: float = 1e-6
    patch: tuple[int, int, int] = (1, 2, 2)

    def __post_init__(self) -> None:
        """Holds the parts to one another."""
        assert self.heads > 0
        assert self.dim % self.heads == 0
        assert self.head_dim % 2 == 0
        assert self.freq_dim % 2 == 0
        assert self.image_dim or not self.image_positions

    @property
    def head_dim(self) -> int:
        """Channels of a head."""
        return self.dim // self.heads

    @property
    def places_last(self) -> bool:
        """Whether a last picture is given in its place; Wan 2.1's I2V has it appended."""
        return self.image_positions > 0 or self.is_expert_of_pictures

    @property
    def is_expert_of_pictures(self) -> bool:
        """Of Wan 2.2: it is given pictures, and does not look at them with CLIP."""
        return self.in_dim > self.out_dim and not self.image_dim


_A14B = TransformerConfig(dim=5120, heads=40, ffn_dim=13824, layers=40)
_I2V = replace(_A14B, in_dim=36, image_dim=1280)

# I2V's two sizes are alike but for their training, and so are Wan2.2's two experts.
TRANSFORMER_VARIANTS = {
    "wan2.1_t2v_1.3b": TransformerConfig(),
    "wan2.1_t2v_14b": _A14B,
    "wan2.1_i2v_14b_480p": _I2V,
    "wan2.1_i2v_14b_720p": _I2V,
    "wan2.1_flf2v_14b": replace(_I2V, image_positions=514),
    "wan2.2_t2v_a14b": _A14B,
    "wan2.2_i2v_a14b": replace(_A14B, in_dim=36),
    "wan2.2_ti2v_5b": TransformerConfig(
        dim=3072, heads=24, ffn_dim=14336, layers=30, in_dim=48, out_dim=48
    ),
}
