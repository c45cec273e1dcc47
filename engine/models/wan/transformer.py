"""Wan's diffusion transformer: velocity of noisy latents, given time, a prompt and pictures.

Wan Team 2025 (arXiv 2503.20314). Attributes are named as the published tensors.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.errors import EngineError
from engine.models.attention import mended
from engine.models.stages import on_device
from engine.models.wan.block import Block, Keys, Pass
from engine.models.wan.config import TransformerConfig
from engine.models.wan.embeddings import Head, ImageEmbedding, PatchEmbedding, TimeEmbedding
from engine.models.wan.rope import Grid, Riflex, rotary_turns
from engine.models.wan.teacache import TeaCache, TeaState, judge


@dataclass(frozen=True)
class Condition:
    """A prompt and pictures as the blocks see them; the same in every step.

    `keys`: where it is not None, each block's keys stay in it once they were made, so that later
    steps are spared the work; 21 MB for each block and clip of a 14B model in bfloat16.
    """

    text: Tensor  # (B, text_len, dim)
    image: Tensor | None = None  # (B, K, dim)
    keys: dict[int, Keys] | None = None


Run = Callable[..., Tensor]  # a module and what it is called with


def called(module: nn.Module, *inputs: object) -> Tensor:
    """The module's result, by its own code."""
    return cast(Tensor, module(*inputs))


class Transformer(TimeEmbedding):
    """Velocity (noise minus clean) of noisy latents.

    `dtype` is what large matrices and attention run in, and must be that of their weights.
    `residual_dtype`, what the sum beside the blocks is kept in, is float32 as published; as `dtype`
    it takes half the memory, at some loss. `attention_mode` is one of `engine.models.attention`.
    `run` calls the blocks, and may do it by compiled code; `run_around`, what lies around them.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config.dim, config.freq_dim)
        self.config = config
        self.dtype = torch.float32
        self.residual_dtype = torch.float32
        self.attention_mode = "sdpa"
        self.run: Run = called
        self.run_around: Run = called
        dim = config.dim
        self.patch_embedding = PatchEmbedding(config.in_dim, dim, config.patch, config.patch)
        self.text_embedding = nn.Sequential(
            nn.Linear(config.text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim)
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = Head(config)
        if config.image_dim:
            self.img_emb = ImageEmbedding(config)

    def condition(
        self, texts: Sequence[Tensor], image: Tensor | None = None, keeps_keys: bool = False
    ) -> Condition:
        """What the blocks attend to, for a batch of as many clips as there are texts.

        texts: (S, text_dim) each, S at most text_len, cut to the prompt's own length.
        image: CLIP tokens, (B or 1, K, image_dim); without them the prompt alone is attended to.
        """
        length = self.config.text_len
        if (longest := max(len(text) for text in texts)) > length:
            raise EngineError(
                f"The prompt has {longest} tokens, and the model takes {length}.", "Shorten it."
            )
        # Both may wait elsewhere: they are needed for this moment only.
        padded = [F.pad(text, (0, 0, 0, length - len(text))) for text in texts]
        device = self.patch_embedding.weight.device
        with on_device(self.text_embedding, device) as embedding:
            text = embedding(torch.stack(padded).to(device, self.dtype))
        tokens = None
        if image is not None and self.config.image_dim:
            with on_device(self.img_emb, device) as embed:
                tokens = embed(image.to(device)).to(self.dtype).expand(len(texts), -1, -1)
        return Condition(text, tokens, {} if keeps_keys else None)

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        condition: Condition,
        *,
        given: Tensor | None = None,
        enhance: float | None = None,
        riflex: Riflex | None = None,
        blocks: Iterable[nn.Module] | None = None,
        on_block: Callable[[], None] | None = None,
    ) -> Tensor:
        """The velocity, (B, out_dim, T, H, W), float32; B is that of the condition.

        latents: (B or 1, C, T, H, W); timestep: (B or 1,), or (B or 1, n) with a time for each of n
        equal parts of the tokens, say each latent frame. given: (B or 1, in_dim - C, T, H, W), the
        mask and latents of given frames. enhance: the weight of Enhance-A-Video. blocks: gives
        the blocks one by one, each ready when it is taken; by default the model's own. on_block
        is called after each block, and may raise.
        """
        return self.cached(
            latents,
            timestep,
            condition,
            None,
            TeaState(),
            0,
            given=given,
            enhance=enhance,
            riflex=riflex,
            blocks=blocks,
            on_block=on_block,
        )[0]

    def cached(
        self,
        latents: Tensor,
        timestep: Tensor,
        condition: Condition,
        cache: TeaCache | None,
        state: TeaState,
        step: int,
        *,
        given: Tensor | None = None,
        enhance: float | None = None,
        riflex: Riflex | None = None,
        blocks: Iterable[nn.Module] | None = None,
        on_block: Callable[[], None] | None = None,
    ) -> tuple[Tensor, TeaState]:
        """As `forward`, but the blocks may be left out; and the state for this condition's next.

        step: the number of the step, from 0. Without a cache the state stays as it is.
        """
        x, grid = self._embedded(latents, given, len(condition.text))
        time, modulation = self.times(timestep, x.device)
        is_skipped = False
        if cache is not None:
            judged = time if cache.embedding == "e" else modulation
            is_skipped, state = judge(cache, state, judged, step)
        if is_skipped and state.residual is not None:
            x += state.residual
        else:
            keeps = cache is not None and cache.counts(step)
            before = x.clone() if keeps else None
            turns = rotary_turns(grid, self.config.head_dim, x.device, riflex=riflex)
            mode, chosen = self.attention_mode, self.blocks if blocks is None else blocks
            shared = Pass(modulation, turns, grid.frames, self.dtype, mode, enhance)

            def again() -> Tensor:
                anew = self._embedded(latents, given, len(condition.text))[0]
                plain = shared._replace(mode="sdpa")
                return self._run(anew, plain, condition, chosen, on_block)

            x = mended(self._run(x, shared, condition, chosen, on_block), mode, again)
            if before is not None:
                state = replace(state, residual=(x - before).to(self.dtype))
        patches = self.run_around(self.head, x, time)
        t, h, w = self.config.patch
        pattern = "b (f y x) (u p q c) -> b c (f u) (y p) (x q)"
        f, rows, columns = grid
        return rearrange(patches, pattern, u=t, p=h, q=w, f=f, y=rows, x=columns), state

    def _embedded(self, latents: Tensor, given: Tensor | None, batch: int) -> tuple[Tensor, Grid]:
        """Tokens of the latents, and of what is given beside them."""
        if given is not None:
            count = max(len(latents), len(given))
            both = [part.expand(count, -1, -1, -1, -1) for part in (latents, given)]
            latents = torch.cat([part.to(latents.device) for part in both], dim=1)
        sizes, patch = latents.shape[2:], self.config.patch
        if latents.shape[1] != self.config.in_dim:
            raise EngineError(
                f"The model takes {self.config.in_dim} channels, and these latents have "
                f"{latents.shape[1]}.",
                "A model for pictures takes their mask and latents beside; one for text does not.",
            )
        if any(size % side for size, side in zip(sizes, patch, strict=True)):
            raise EngineError(
                f"Latents of {list(sizes)} cannot be cut into patches of {list(patch)}.",
                "Choose a width and height that are multiples of 16.",
            )
        grid = Grid(*(size // side for size, side in zip(sizes, patch, strict=True)))
        x = self.run_around(self.patch_embedding, latents).to(self.residual_dtype)
        return x.expand(batch, -1, -1).contiguous(), grid

    def _run(
        self,
        x: Tensor,
        shared: Pass,
        condition: Condition,
        blocks: Iterable[nn.Module],
        on_block: Callable[[], None] | None,
    ) -> Tensor:
        """Through the blocks, as they are given."""
        kept = condition.keys
        for index, module in enumerate(blocks):
            block = cast(Block, module)
            keys = None if kept is None else kept.get(index)
            if keys is None:
                keys = block.cross_attn.keys(condition.text, condition.image)
            if kept is not None:
                kept[index] = keys
            x = self.run(block, x, shared, keys)
            if on_block is not None:
                on_block()
        return x
