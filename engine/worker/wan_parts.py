"""Wan's models as jobs use them: kept between jobs, each on the card for its stage."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch

from engine.files import weights_bytes
from engine.jobs import NeuralOptions
from engine.models.attention import default_mode
from engine.models.compiled import Compiling
from engine.models.lora import LoraUse
from engine.models.resident import Key, Resident, key_of
from engine.models.stages import on_device
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
from engine.models.wan.vae import Vae
from engine.planning import DeviceFacts
from engine.timeline.parameters import Value
from engine.worker.wan_held import Arrangement, HeldTransformer, running

M = TypeVar("M")

DTYPES = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp16_fast": torch.float16,
}
OFFLOADED = {"offload_txt_emb": "text_embedding", "offload_img_emb": "img_emb"}
NARROW = "fp8_e4m3fn_scaled_fast"  # what «fp8» means where nothing else was chosen
STAYS = 0.8  # of the free memory that models may take together, with the work beside them


@dataclass(frozen=True)
class Way:
    """How the models of a job run. `waits`: each comes to the device for its stage only."""

    device: torch.device
    dtype: torch.dtype
    vae_dtype: torch.dtype
    image_dtype: torch.dtype
    text_dtype: torch.dtype
    attention: str
    quantization: str
    waits: bool
    swapped: int
    ahead: int
    merges: bool
    sums_in_half: bool
    text_device: torch.device  # where prompts are encoded
    pinned: bool = True
    offloaded: frozenset[str] = field(default_factory=frozenset)
    compiling: Compiling | None = None

    def recipe(self, encodes: bool) -> list[str]:
        """What of it can change a latent; the VAE only where it `encodes` something."""
        encoders = self.image_dtype, self.text_dtype
        used = (self.dtype, *encoders, *((self.vae_dtype,) if encodes else ()))
        types = [str(one) for one in used]
        flags = [str(self.merges), str(self.sums_in_half)]
        places = [self.device.type, self.text_device.type]
        return [*places, *types, self.attention, self.quantization, *flags]


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
    has_half = device.has_bf16 or dtype is torch.bfloat16
    wide = torch.bfloat16 if has_half else torch.float32
    text_device = torch.device(text_on or device.kind)
    # A card without bfloat16 has float16, which both encoders stand and the VAE not always; prompts
    # beside it are for the processor, which takes bfloat16.
    narrow = torch.float16 if device.is_card and not has_half else wide
    text = torch.bfloat16 if device.is_card and text_device.type == "cpu" else narrow
    quantization = str(values["quantization"])
    if quantization == "disabled" and options.precision == "fp8":
        quantization = NARROW
    sizes = sum(map(weights_bytes, files.values()))
    free = min(one for one in (device.free_bytes, options.limit_bytes, 1 << 62) if one > 0)
    load = str(values["load_device"])
    return Way(
        device=there,
        dtype=dtype,
        vae_dtype=DTYPES[vae] if vae != "auto" else wide,
        image_dtype=narrow,
        text_dtype=text,
        attention=default_mode(there) if options.attention == "auto" else options.attention,
        quantization=quantization,
        waits=device.is_card
        and (SECOND in files or load == "offload" or (load == "auto" and sizes > STAYS * free)),
        swapped=int(values["blocks_to_swap"]),
        ahead=int(values["prefetch_blocks"]),
        merges=bool(values["merge_loras"]),
        sums_in_half=base == "fp16_fast",
        text_device=text_device,
        pinned=bool(values["use_non_blocking"]),
        offloaded=frozenset(part for name, part in OFFLOADED.items() if values[name]),
        compiling=_compiling(values),
    )


def _compiling(values: Mapping[str, Value]) -> Compiling | None:
    if not values["compile"]:
        return None
    return Compiling(
        backend=str(values["backend"]),
        fullgraph=bool(values["fullgraph"]),
        mode=str(values["mode"]),
        dynamic=bool(values["dynamic"]),
        most_variants=int(values["dynamo_cache_size_limit"]),
        only_blocks=bool(values["compile_transformer_blocks_only"]),
    )


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
        compiled_in: Path | None = None,
    ) -> None:
        """`compiled_in`: the folder that keeps compiled code between runs."""
        self._files = files
        self.way = way
        self._resident = resident
        self._tokenizer = tokenizer
        self._compiled_in = compiled_in
        self.loras: list[LoraUse] = lora_uses(loras, config)
        self._is_pair = SECOND in files
        self._chosen = tuple(loras)

    @property
    def text_key(self) -> Key:
        """Of what prompts become rows by."""
        return self._key(
            "text", self.way.text_dtype, self._tokenizer.origin, str(self.way.text_device)
        )

    @contextmanager
    def text(self) -> Iterator[TextEncoder]:
        """The text encoder and its tokenizer."""
        way, path = self.way, self._files["text"]
        place = self._place if way.text_device == way.device else way.text_device

        def load() -> TextEncoder:
            return load_text(path, way.text_dtype, place, self._tokenizer)

        with (
            self._used(self.text_key, load, path, place) as encoder,
            on_device(encoder.model, way.text_device),
        ):
            yield encoder

    @contextmanager
    def image(self) -> Iterator[ImageEncoder]:
        """The image encoder."""
        way, path = self.way, self._files["image"]
        key = self._key("image", way.image_dtype)

        def load() -> ImageEncoder:
            return load_image(path, way.image_dtype, self._place)

        with (
            self._used(key, load, path, self._place) as encoder,
            on_device(encoder, way.device),
        ):
            yield encoder

    @contextmanager
    def vae(self) -> Iterator[Vae]:
        """The VAE."""
        way, path = self.way, self._files["vae"]
        key = self._key("vae", way.vae_dtype)

        def load() -> Vae:
            return load_vae(path, way.vae_dtype, self._place)

        with self._used(key, load, path, self._place) as vae, on_device(vae, way.device):
            yield vae

    @contextmanager
    def transformer(self, part: str = FIRST) -> Iterator[Ready]:
        """The transformer, or one of two, with its LoRAs; its blocks may wait elsewhere."""
        way, path = self.way, self._files[part]
        chosen, loras = self._loras_of(part)
        paths = [one.path for one in chosen]
        merged, live = (loras, []) if way.merges else ([], loras)
        merged_key = (key_of(paths, None, "cpu", chosen),) if merged else ()
        live_key = key_of(paths, None, "cpu", [one.blocks for one in chosen])
        place = None if way.swapped else self._place
        key = self._key(part, way.dtype, way.quantization, *merged_key)

        def load() -> HeldTransformer:
            # Plain tensors, as all that is made of them later: else blocks are compiled anew.
            with torch.inference_mode(False), torch.no_grad():
                model = load_diffusion(path, way.dtype, place, way.quantization, merged)
            return HeldTransformer(model)

        # Of two experts one is on the card at a time, and that one leaves it after its turn.
        waits = way.waits or (self._is_pair and way.device.type != "cpu")
        how = Arrangement(way.device, waits, way.swapped, way.ahead, way.pinned, way.offloaded)
        with (
            self._used(key, load, path, place) as held,
            held.ready(how, live, live_key) as ready,
            running(ready.model, way.attention, way.compiling, self._compiled_in),
        ):
            yield ready

    def _used(
        self, key: Key, load: Callable[[], M], path: Path, place: torch.device | None
    ) -> AbstractContextManager[M]:
        """The models of a key; before they are loaded, room is made for what the file holds."""
        there = place or torch.device("cpu")
        return self._resident.use(key, load, weights_bytes(path), there)

    def _loras_of(self, part: str) -> tuple[list[LoraFile], list[LoraUse]]:
        """Those that are put onto it, as they were chosen and as they were read."""
        wanted = ("", ROLES[part])
        both = zip(self._chosen, self.loras, strict=True)
        own = [pair for pair in both if not self._is_pair or pair[0].expert in wanted]
        return [one for one, _ in own], [use for _, use in own]

    @property
    def _place(self) -> torch.device | None:
        """Where models are read to; None: they stay in their files until they are used."""
        return None if self.way.waits else self.way.device

    def _key(self, part: str, dtype: torch.dtype, *options: Hashable) -> Key:
        place = "waits" if self.way.waits else "stays"
        return key_of([self._files[part]], dtype, self.way.device, (part, place, *options))
