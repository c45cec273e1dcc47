"""What Wan is asked to make, with what, and how a machine does it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from torch import Tensor

from engine.models.guidance import Guidance
from engine.models.samplers import SAMPLERS
from engine.models.schedules import (
    TRAINED_STEPS,
    Schedule,
    flow_schedule,
    listed_schedule,
    strength_steps,
)
from engine.models.wan.enhance import Enhance
from engine.models.wan.teacache import TeaCache
from engine.models.wan.vae import Tiles
from engine.models.windows import Windows


@dataclass(frozen=True, kw_only=True)
class Switch:
    """Where Wan 2.2 goes over to its second expert: below `boundary`, of noise from 0 to 1.

    `scale`: of the guidance from there on.
    """

    boundary: float
    scale: float

    def is_passed(self, timestep: float) -> bool:
        """Whether a step of this timestep, 0..1000, is the second expert's."""
        return timestep < TRAINED_STEPS * self.boundary


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is to be made and how. Sizes are multiples of 16, `frames` is 4 n + 1.

    `table`: of noise levels, "" for the sampler's own. `timesteps`: a distilled model's own list,
    in place of `steps`. `strength`: how much of given latents is painted anew. `end_step`: before
    which the run ends; it leaves noise in the latents. `riflex`: the number of the frequency that
    is slowed down, 0 for none. `switch`: to another transformer, None where there is one alone.
    """

    width: int
    height: int
    frames: int = 81
    seed: int = 0
    steps: int = 30
    shift: float = 5.0
    sampler: str = "unipc"
    table: str = ""
    timesteps: tuple[float, ...] = ()
    start_step: int = 0
    end_step: int | None = None
    strength: float = 1.0
    guidance: Guidance = field(default_factory=Guidance)
    windows: Windows | None = None
    cache: TeaCache | None = None
    enhance: Enhance | None = None
    riflex: int = 0
    switch: Switch | None = None

    @property
    def schedule(self) -> Schedule:
        """The levels of the steps that are run. Raises EffectError."""
        if self.timesteps:
            whole = listed_schedule(self.timesteps, self.shift)
        else:
            whole = flow_schedule(self.table or SAMPLERS[self.sampler], self.steps, self.shift)
        first = strength_steps(len(whole), self.strength)[1]
        return whole.between(max(first, self.start_step), self.end_step)

    @property
    def is_second(self) -> tuple[bool, ...]:
        """For each step that is run, whether it is the second expert's."""
        times = self.schedule.timesteps
        return tuple(self.switch is not None and self.switch.is_passed(time) for time in times)

    @property
    def guided(self) -> Guidance:
        """The guidance of each step that is run; a list that a person gave is for both experts."""
        scale = self.guidance.scale
        if self.switch is None or isinstance(scale, tuple) or not self.is_second:
            return self.guidance
        scales = (self.switch.scale if second else scale for second in self.is_second)
        return replace(self.guidance, scale=tuple(scales))


@dataclass(frozen=True, kw_only=True)
class Given:
    """What there is beside a prompt. Pictures are (3, H, W) in -1..1, of any size.

    `lead`: frames (3, n, H, W) that the clip begins with, `first` the last of them. `video`: a clip
    in chunks as `encode_stream` takes them, of the ask's size. `latents`: of another run,
    (1, C, T, h, w), in place of a video; `is_noisy`: they are where the first step begins, and get
    no noise. `noise`: in place of what the seed draws.
    """

    first: Tensor | None = None
    last: Tensor | None = None
    lead: Tensor | None = None
    video: Iterable[Tensor] | None = None
    latents: Tensor | None = None
    is_noisy: bool = False
    noise: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Influence:
    """How much given pictures count; the crop is what the image encoder sees of them."""

    start: float = 1.0
    end: float = 1.0
    noise: float = 0.0
    clip: float = 1.0
    clip_last: float = 1.0
    crop: str = "none"


@dataclass(frozen=True, kw_only=True)
class Means:
    """How a machine does it. Only tiles change the result.

    `keeps_keys`: what blocks attend to beside the clip is made once and kept on the card.
    `encode_chunk`, `decode_chunk`: latent frames at a time.
    """

    keeps_keys: bool = False
    encode_chunk: int = 1
    decode_chunk: int = 1
    tiles: Tiles | None = None


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the transformer is given beside prompts and noise.

    `tokens`: of the image encoder, (1, K, D). `given`: mask and latents, (1, C, T, h, w).
    `clean`: latents that the run begins with. `appended`: latent frames at the end that hold a
    picture and are no part of the clip.
    """

    tokens: Tensor | None = None
    given: Tensor | None = None
    clean: Tensor | None = None
    appended: int = 0


@dataclass(frozen=True)
class Prompts:
    """Rows of prompts, (L, text_dim) each; `negative` is None where nothing asks it."""

    positive: tuple[Tensor, ...]
    negative: Tensor | None = None
