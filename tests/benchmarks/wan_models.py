"""Wan's networks with random weights at full and at tiny size, in several variants of the same."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from engine.models.attention import default_mode
from engine.models.linear import to_fp8
from engine.models.resident import model_bytes
from engine.models.text.umt5 import UMT5Config
from engine.models.wan.block import LARGE_LINEARS
from engine.models.wan.config import (
    TRANSFORMER_VARIANTS,
    VAE_VARIANTS,
    TransformerConfig,
    VaeConfig,
)
from engine.models.wan.precision import FP8_FORMS
from engine.models.wan.transformer import Condition, Transformer
from tests.benchmarks.card_weights import drawn, random_module

NARROW = "fp8_e4m3fn_scaled_fast"  # what «fp8» means in the application
SWAPPED = 20  # blocks
PICTURE = 257  # tokens of a picture
PROMPTS = (120, 126)  # pieces of the prompt, and of the negative one that is usual
TIMESTEP, GUIDANCE = 700.0, 5.0

Velocity = Callable[[int], Tensor]  # for the prompt, 0, or the negative one, 1


@dataclass(frozen=True)
class Model:
    """A published model; `family` and `mode` as the plan knows it."""

    label: str
    config: TransformerConfig
    family: str
    mode: str


@dataclass(frozen=True)
class Size:
    """Of a clip."""

    label: str
    width: int
    height: int
    frames: int

    @property
    def latents(self) -> tuple[int, int, int]:
        """Frames, rows and columns."""
        return 1 + (self.frames - 1) // 4, self.height // 8, self.width // 8

    @property
    def tokens(self) -> int:
        """Of a pass."""
        return math.prod(self.latents) // 4


@dataclass(frozen=True)
class Case:
    """A model at a size."""

    model: Model
    size: Size

    @property
    def label(self) -> str:
        """For a person."""
        return f"{self.model.label} {self.size.label}"


@dataclass(frozen=True)
class Scale:
    """What is measured, and at which sizes. `errors`: the size at which results are compared."""

    small: Model
    large: Model
    pictures: Model
    half: Size
    whole: Size
    errors: Size
    vae: VaeConfig
    text: UMT5Config
    layers: int  # of the 14B model whose results are compared, so that float32 fits twice


FULL = Scale(
    Model("1.3B T2V", TRANSFORMER_VARIANTS["wan2.1_t2v_1.3b"], "wan2.1-t2v-1.3b", "t2v"),
    Model("14B T2V", TRANSFORMER_VARIANTS["wan2.1_t2v_14b"], "wan2.1-t2v-14b", "t2v"),
    Model("14B I2V", TRANSFORMER_VARIANTS["wan2.1_i2v_14b_480p"], "wan2.1-i2v-14b", "i2v"),
    Size("480p", 832, 480, 81),
    Size("720p", 1280, 720, 81),
    Size("480x272x17", 480, 272, 17),
    VAE_VARIANTS["wan2.1_vae"],
    UMT5Config(),
    4,
)
_TINY = TransformerConfig(dim=64, heads=2, ffn_dim=96, layers=3, text_dim=32, freq_dim=16)
TINY = Scale(
    Model("tiny T2V", _TINY, "wan2.1-t2v-1.3b", "t2v"),
    Model("tiny T2V, wider", replace(_TINY, dim=96, ffn_dim=128), "wan2.1-t2v-14b", "t2v"),
    Model("tiny I2V", replace(_TINY, in_dim=36, image_dim=32), "wan2.1-i2v-14b", "i2v"),
    Size("small", 64, 48, 9),
    Size("larger", 96, 64, 9),
    Size("64x48x5", 64, 48, 5),
    VaeConfig(dim=8),
    UMT5Config(vocab=200, dim=32, dim_attn=32, dim_ffn=48, heads=2, layers=2),
    2,
)


@dataclass(frozen=True)
class Inputs:
    """What a pass is given, float32 but for the tokens. `texts`: of the prompt, the negative."""

    latents: Tensor
    given: Tensor | None
    texts: tuple[Tensor, Tensor]
    image: Tensor | None
    timestep: Tensor


def inputs_of(case: Case, device: torch.device, dtype: torch.dtype) -> Inputs:
    """Random ones, the same for every variant."""
    config = case.model.config
    sizes = case.size.latents
    beside = config.in_dim - config.out_dim
    positive, negative = (
        drawn(f"prompt {count}", (count, config.text_dim), device).to(dtype) for count in PROMPTS
    )
    image = None
    if config.image_dim:
        image = drawn("picture", (1, PICTURE, config.image_dim), device).to(dtype)
    return Inputs(
        drawn("latents", (1, config.out_dim, *sizes), device),
        drawn("given", (1, beside, *sizes), device) if beside else None,
        (positive, negative),
        image,
        torch.tensor([TIMESTEP]),
    )


def random_transformer(
    config: TransformerConfig, device: torch.device, dtype: torch.dtype = torch.bfloat16
) -> Transformer:
    """All of its weights in one dtype, as a repackaged file has them."""
    return ready(random_module(lambda: Transformer(config), device, dtype), dtype)


def sharing(model: Transformer, dtype: torch.dtype | None = None) -> Transformer:
    """Another one with the same tensors, so that both take the memory of one."""
    with torch.device("meta"):
        other = Transformer(model.config)
    state = model.state_dict()
    if dtype is not None:
        state = {name: tensor.to(dtype) for name, tensor in state.items()}
    other.requires_grad_(False).eval().load_state_dict(state, strict=True, assign=True)
    return ready(other, dtype or model.dtype)


def narrowed(model: Transformer) -> Transformer:
    """The same in 8 bits, as the application narrows it; the rest is shared."""
    other = sharing(model)
    to_fp8(other, *LARGE_LINEARS, form=FP8_FORMS[NARROW])
    return other


def ready(model: Transformer, dtype: torch.dtype) -> Transformer:
    """As it runs in the application."""
    model.dtype = dtype
    device = model.patch_embedding.weight.device
    model.attention_mode = default_mode(device) if dtype == torch.bfloat16 else "sdpa"
    return model


def velocity_of(
    model: Transformer, inputs: Inputs, blocks: Iterable[nn.Module] | None = None
) -> Velocity:
    """What each prompt becomes is made in its first pass, and kept, as in a run."""
    made = dict[int, Condition]()

    def one(role: int) -> Tensor:
        if role not in made:
            made[role] = model.condition([inputs.texts[role]], inputs.image, keeps_keys=True)
        found: Tensor = model(
            inputs.latents,
            inputs.timestep,
            made[role],
            given=inputs.given,
            blocks=blocks,
            on_block=lambda: None,
        )
        return found

    return one


def batched_velocity_of(model: Transformer, inputs: Inputs) -> Velocity:
    """Both prompts in one pass, whatever the role."""
    made = model.condition(inputs.texts, inputs.image, keeps_keys=True)

    def both(_: int) -> Tensor:
        latents = inputs.latents.expand(2, -1, -1, -1, -1)
        found: Tensor = model(latents, inputs.timestep, made, given=inputs.given)
        return found

    return both


def own_bytes(model: nn.Module) -> int:
    """Of its weights."""
    return model_bytes(model)
