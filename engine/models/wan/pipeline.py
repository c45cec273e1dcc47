"""From words and pictures to frames: the stages that make what is asked for.

Text to video, picture to video, first and last picture, video to video and one still frame differ
only in what the model is given beside noise. Each stage takes its model from `Parts` and gives it
back, so that one is on the card at a time.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from engine.errors import EffectError
from engine.models.noise import drawn, noised, seeded
from engine.models.resident import Key
from engine.models.stages import on_device
from engine.models.text.prompts import PromptCache, TextEncoder, encode_prompt
from engine.models.wan.ask import Ask, Conditions, Given, Influence, Means, Prompts
from engine.models.wan.conditioning import (
    appended_condition,
    picture_condition,
    resized,
    roughened,
)
from engine.models.wan.config import VAE_VARIANTS, TransformerConfig
from engine.models.wan.denoising import Kept, Ready, denoised
from engine.models.wan.experts import FIRST
from engine.models.wan.image_encoder import ImageEncoder, encode_images
from engine.models.wan.transformer import Transformer
from engine.models.wan.vae import Vae, decode_stream, encode_stream
from engine.models.windows import reused_noise
from engine.progress import Report

VAE = VAE_VARIANTS["wan2.1_vae"]  # whatever its widths, frames and cells are these
NOISE_OF_PICTURES = 1  # added to the seed, so that a picture's noise is not the clip's


class Parts(Protocol):
    """Gives each model where it computes, and takes it back."""

    def text(self) -> AbstractContextManager[TextEncoder]: ...

    def image(self) -> AbstractContextManager[ImageEncoder]: ...

    def vae(self) -> AbstractContextManager[Vae]: ...

    def transformer(self, part: str = FIRST) -> AbstractContextManager[Ready]: ...


@dataclass(frozen=True, kw_only=True)
class WanModels:
    """Loaded models. Where they wait elsewhere than on `device`, each comes there for its stage.

    `low_model`: Wan 2.2's second expert.
    """

    transformer_model: Transformer
    vae_model: Vae
    text_encoder: TextEncoder | None = None
    image_encoder: ImageEncoder | None = None
    low_model: Transformer | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @contextmanager
    def text(self) -> Iterator[TextEncoder]:
        """The text encoder and its tokenizer."""
        assert self.text_encoder is not None, "no text encoder"
        with on_device(self.text_encoder.model, self.device):
            yield self.text_encoder

    def image(self) -> AbstractContextManager[ImageEncoder]:
        """The image encoder."""
        assert self.image_encoder is not None, "no image encoder"
        return on_device(self.image_encoder, self.device)

    def vae(self) -> AbstractContextManager[Vae]:
        """The VAE."""
        return on_device(self.vae_model, self.device)

    @contextmanager
    def transformer(self, part: str = FIRST) -> Iterator[Ready]:
        """The transformer, or one of two."""
        model = self.transformer_model if part == FIRST else self.low_model
        assert model is not None, "no second expert"
        with on_device(model, self.device):
            yield Ready(model)


def encoded_prompts(
    parts: Parts,
    positive: Sequence[str],
    negative: str | None,
    report: Report,
    cache: PromptCache | None = None,
    key: Key | None = None,
) -> Prompts:
    """Rows of the prompts. The encoder is fetched only for those that are not in the cache.

    positive: several are spread over the clip. negative: None where nothing asks it.
    """
    with ExitStack() as stack:
        fetched: list[TextEncoder] = []

        def rows(text: str) -> Tensor:
            def make() -> Tensor:
                if not fetched:
                    fetched.append(stack.enter_context(parts.text()))
                return encode_prompt(fetched[0], text, report)

            if cache is None or key is None:
                return make().cpu()
            return cache.rows(text, key, make)

        towards = tuple(rows(text) for text in positive)
        return Prompts(towards, None if negative is None else rows(negative))


def conditions(
    parts: Parts,
    ask: Ask,
    given: Given,
    influence: Influence,
    means: Means,
    report: Report,
    config: TransformerConfig,
) -> Conditions:
    """What is given, as the transformer of `config` takes it."""
    takes, has_last = config.in_dim > config.out_dim, config.places_last
    pictures = [one for one in (given.first, given.last) if one is not None]
    tokens = None
    if pictures and config.image_dim:
        seen = pictures if has_last else pictures[:1]
        report.step("image", 0, 2)
        with parts.image() as encoder:
            found = encode_images(
                encoder, seen, influence.crop, [influence.clip, influence.clip_last][: len(seen)]
            )
        tokens = found.flatten(0, 1)[None]
    made = Conditions(tokens=tokens, clean=given.latents)
    if (not pictures or not takes) and given.video is None:
        return made
    report.step("image", 1, 2)
    with parts.vae() as vae:
        if given.video is not None:
            made = replace(made, clean=torch.cat(list(_encoded(vae, given.video, means)), dim=2))
        if pictures and takes:
            made = _with_pictures(vae, ask, given, influence, means, made, has_last)
    report.step("image", 2, 2)
    return made


def _encoded(vae: Vae, chunks: Iterable[Tensor], means: Means) -> Iterator[Tensor]:
    device = vae.conv1.weight.device
    return encode_stream(vae, (chunk.to(device) for chunk in chunks), means.tiles)


def _with_pictures(
    vae: Vae,
    ask: Ask,
    given: Given,
    influence: Influence,
    means: Means,
    made: Conditions,
    has_last: bool,
) -> Conditions:
    """With the mask and the latents of the given pictures."""
    rough = seeded(ask.seed + NOISE_OF_PICTURES)
    shown = [
        None if one is None else roughened(fitted(one, ask), influence.noise, rough)
        for one in (given.first if given.lead is None else given.lead, given.last)
    ]
    first, last = shown
    assert first is not None, "a last picture needs a first one"
    start, end, chunk, tiles = influence.start, influence.end, means.encode_chunk, means.tiles
    if last is not None and not has_last:
        latents = appended_condition(
            vae,
            ask.frames,
            first,
            last,
            start_strength=start,
            end_strength=end,
            chunk=chunk,
            tiles=tiles,
        )
        return replace(made, given=latents, appended=1)
    latents = picture_condition(
        vae,
        ask.frames,
        first,
        last,
        start_strength=start,
        end_strength=end,
        chunk=chunk,
        tiles=tiles,
    )
    return replace(made, given=latents)


def fitted(picture: Tensor, ask: Ask) -> Tensor:
    """A picture (3, H, W), or several (3, n, H, W), in the size of the ask."""
    if picture.ndim == 3:
        return resized(picture, ask.height, ask.width)
    return resized(picture.transpose(0, 1), ask.height, ask.width).transpose(0, 1)


def first_latents(ask: Ask, given: Given, made: Conditions, channels: int) -> Tensor:
    """Where a run begins, (1, channels, T, h, w) on the CPU: noise, or noise over what is given."""
    period, cell = VAE.period, VAE.cell
    length = 1 + (ask.frames - 1) // period + made.appended
    noise = given.noise
    if noise is None:
        generator = seeded(ask.seed)
        shape = channels, length, ask.height // cell, ask.width // cell
        noise = drawn(shape, generator)
        windows = ask.windows
        if windows is not None and windows.reuses_noise and length > windows.size:
            noise = reused_noise(noise, windows.size, windows.overlap, generator)
        noise = noise[None]
    if made.clean is None:
        return noise
    clean = made.clean.float().cpu()
    if given.is_noisy:
        return clean
    if made.appended:
        clean = torch.cat([clean, clean[:, :, -1:]], dim=2)
    sigmas = ask.schedule.sigmas
    return noised(clean, noise, sigmas[0])


def latents(
    parts: Parts,
    ask: Ask,
    prompts: Prompts,
    made: Conditions,
    begin: Tensor | Kept,
    means: Means,
    report: Report,
    after: Callable[[Kept], None],
) -> Tensor:
    """The denoised latents, those of an appended picture among them, where the transformer was.

    begin: latents from `first_latents`, or what was kept of the same run.
    """
    give = parts.transformer
    return denoised(give, ask, prompts, made, begin, report, after, keeps_keys=means.keeps_keys)


def frames(parts: Parts, found: Tensor, means: Means, report: Report) -> Generator[Tensor]:
    """Frames of the latents in chunks, (3, n, H, W) in -1..1, each as soon as it is decoded.

    Raises EffectError for numbers that are not finite.
    """
    count = found.shape[2]
    with parts.vae() as vae:
        device, period = vae.conv1.weight.device, vae.config.period
        total, done = 1 + period * (count - 1), 0
        report.step("decode", 0, total)
        pieces = (piece.to(device) for piece in torch.split(found, means.decode_chunk, dim=2))
        for piece in decode_stream(vae, pieces, means.tiles):
            if not bool(piece.isfinite().all()):
                raise EffectError(
                    f"Frame {done + 1} of {total} was decoded to numbers out of range.",
                    "Choose VAE precision fp32.",
                )
            done += piece.shape[2]
            report.step("decode", done, total)
            yield piece[0].clamp_(-1, 1)
