"""Wan's models as jobs use them: kept between jobs, each on the card for its stage."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from engine.files import weights_bytes
from engine.jobs import NeuralOptions
from engine.models.attention import default_mode
from engine.models.lora import LiveLoras, LoraUse
from engine.models.resident import Key, Resident, key_of
from engine.models.stages import on_device
from engine.models.swap import away, swapped
from engine.models.text.prompts import TextEncoder
from engine.models.text.tokens import Tokenizer
from engine.models.wan.config import TransformerConfig
from engine.models.wan.denoising import Ready
from engine.models.wan.experts import FIRST, ROLES, SECOND
from engine.models.wan.image_encoder import ImageEncoder
from engine.models.wan.loading import (
    LoraFile,
    load_diffusion,
    load_image,
    load_text,
    load_vae,
    lora_uses,
)
from engine.models.wan.transformer import Transformer
from engine.models.wan.vae import Vae
from engine.planning import DeviceFacts
from engine.timeline.parameters import Value

DTYPES = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp16_fast": torch.float16,
}
NARROW = "fp8_e4m3fn_scaled_fast"  # what «fp8» means where nothing else was chosen
STAYS = 0.8  # of the free memory that models may take together, with the work beside them


@dataclass(frozen=True)
class Way:
    """How the models of a job run. `waits`: each comes to the device for its stage only."""

    device: torch.device
    dtype: torch.dtype
    vae_dtype: torch.dtype
    side_dtype: torch.dtype  # of the two encoders
    attention: str
    quantization: str
    waits: bool
    swapped: int
    ahead: int
    merges: bool
    sums_in_half: bool
    text_device: torch.device  # where prompts are encoded

    @property
    def recipe(self) -> list[str]:
        """What of it can change a pixel."""
        types = [str(one) for one in (self.dtype, self.vae_dtype, self.side_dtype)]
        flags = [str(self.merges), str(self.sums_in_half)]
        return [self.device.type, *types, self.attention, self.quantization, *flags]


def way_of(
    values: Mapping[str, Value],
    options: NeuralOptions,
    device: DeviceFacts,
    files: Mapping[str, Path],
    text_on: str = "",
) -> Way:
    """As wished, and what is left open as it fits the device. `text_on`: "" for the device too."""
    there = torch.device(device.kind)
    usual = "bf16" if device.has_bf16 else "fp32"
    wished = options.precision if options.precision in DTYPES else usual
    base = str(values["base_precision"])
    dtype = DTYPES[wished if base == "auto" else base]
    vae = str(values["vae_precision"])
    side = torch.bfloat16 if device.has_bf16 else torch.float32
    quantization = str(values["quantization"])
    if quantization == "disabled" and options.precision == "fp8":
        quantization = NARROW
    sizes = sum(map(weights_bytes, files.values()))
    free = min(one for one in (device.free_bytes, options.limit_bytes, 1 << 62) if one > 0)
    load = str(values["load_device"])
    return Way(
        device=there,
        dtype=dtype,
        vae_dtype=DTYPES[vae] if vae != "auto" else side,
        side_dtype=side,
        attention=default_mode(there) if options.attention == "auto" else options.attention,
        quantization=quantization,
        waits=device.is_card
        and (SECOND in files or load == "offload" or (load == "auto" and sizes > STAYS * free)),
        swapped=int(values["blocks_to_swap"]),
        ahead=int(values["prefetch_blocks"]),
        merges=bool(values["merge_loras"]),
        sums_in_half=base == "fp16_fast",
        text_device=torch.device(text_on or device.kind),
    )


def smaller(way: Way, blocks: int) -> Way | None:
    """The next way that needs less of a card's memory and gives the same; None for no other."""
    if way.device.type == "cpu":
        return None
    if not way.waits:
        return replace(way, waits=True)
    half = blocks // 2
    if way.swapped < blocks:
        return replace(way, swapped=half if way.swapped < half else blocks)
    return None


def went_on(way: Way, blocks: int) -> str:
    """What is said when memory ran out and the job goes on by `way`."""
    if way.swapped:
        return f"Not enough memory: went on with {way.swapped} of {blocks} blocks swapped."
    return "Not enough memory: went on with models that wait in the computer's memory."


class HeldParts:
    """`Parts` of a job, in `resident` between jobs."""

    def __init__(
        self,
        files: Mapping[str, Path],
        way: Way,
        resident: Resident,
        tokenizer: Tokenizer,
        loras: Sequence[LoraFile],
        config: TransformerConfig,
    ) -> None:
        self._files = files
        self.way = way
        self._resident = resident
        self._tokenizer = tokenizer
        self._chosen = tuple(loras)
        self.loras: list[LoraUse] = lora_uses(loras, config)
        self._is_pair = SECOND in files

    @property
    def text_key(self) -> Key:
        """Of what prompts become rows by."""
        return self._key(
            "text", self.way.side_dtype, self._tokenizer.origin, str(self.way.text_device)
        )

    @contextmanager
    def text(self) -> Iterator[TextEncoder]:
        """The text encoder and its tokenizer."""
        way, path = self.way, self._files["text"]

        place = self._place if way.text_device == way.device else way.text_device

        def load() -> TextEncoder:
            return load_text(path, way.side_dtype, place, self._tokenizer)

        with (
            self._resident.use(self.text_key, load) as encoder,
            on_device(encoder.model, way.text_device),
        ):
            yield encoder

    @contextmanager
    def image(self) -> Iterator[ImageEncoder]:
        """The image encoder."""
        way, path = self.way, self._files["image"]
        key = self._key("image", way.side_dtype)

        def load() -> ImageEncoder:
            return load_image(path, way.side_dtype, self._place)

        with self._resident.use(key, load) as encoder, on_device(encoder, way.device):
            yield encoder

    @contextmanager
    def vae(self) -> Iterator[Vae]:
        """The VAE."""
        way, path = self.way, self._files["vae"]
        key = self._key("vae", way.vae_dtype)

        def load() -> Vae:
            return load_vae(path, way.vae_dtype, self._place)

        with self._resident.use(key, load) as vae, on_device(vae, way.device):
            yield vae

    @contextmanager
    def transformer(self, part: str = FIRST) -> Iterator[Ready]:
        """The transformer, or one of two, with its LoRAs; its blocks may wait elsewhere."""
        way, path = self.way, self._files[part]
        loras = self._loras_of(part)
        merged = loras if way.merges else []
        place = None if way.swapped else self._place
        chosen: tuple[Hashable, ...] = self._chosen if merged else ()
        key = self._key(part, way.dtype, way.quantization, bool(way.swapped), *chosen)

        def load() -> Transformer:
            return load_diffusion(path, way.dtype, place, way.quantization, merged)

        room = weights_bytes(path) if self._is_pair else 0  # so that the other expert leaves first
        with self._resident.use(key, load, room) as model:
            model.attention_mode = way.attention
            live = None
            if loras and not merged:
                live = LiveLoras(model, loras, way.dtype)
            try:
                with self._placed(model) as blocks:
                    yield Ready(model, blocks, None if live is None else live.set_step)
            finally:
                if live is not None:
                    live.remove()

    @contextmanager
    def _placed(self, model: Transformer) -> Iterator[Iterable[nn.Module] | None]:
        """Where it computes; what gives its blocks, where some of them wait."""
        way, blocks = self.way, list(model.blocks)
        if not way.swapped:
            with on_device(model, way.device):
                yield None
            return
        waiting = [blocks[index] for index in away(len(blocks), way.swapped)]
        with (
            on_device(model, way.device, without=waiting),
            swapped(blocks, way.swapped, way.device, way.ahead) as swap,
        ):
            yield swap

    def _loras_of(self, part: str) -> list[LoraUse]:
        """Those that are put onto it."""
        wanted = ("", ROLES[part])
        both = zip(self._chosen, self.loras, strict=True)
        return [use for one, use in both if not self._is_pair or one.expert in wanted]

    @property
    def _place(self) -> torch.device | None:
        """Where models are read to; None: they stay in their files until they are used."""
        return None if self.way.waits else self.way.device

    def _key(self, part: str, dtype: torch.dtype, *options: Hashable) -> Key:
        place = "waits" if self.way.waits else "stays"
        return key_of([self._files[part]], dtype, self.way.device, (part, place, *options))
