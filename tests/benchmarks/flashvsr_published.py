"""FlashVSR's published code out of a folder, with the weights of ours, to be run beside ours.

Nothing of it is kept here: OpenImagingLab/FlashVSR on GitHub, as it was checked out by the user.
"""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from engine.models.attention import block_sparse_attention
from engine.models.flashvsr.config import Rule
from engine.models.flashvsr.pipeline import Models
from tests.benchmarks.flashvsr_models import Scale
from tests.benchmarks.table import Unavailable

BLOCK = 128
SPARSE_LIBRARY = "block_sparse_attn"
PROJECTORS: dict[str, Rule] = {"Causal_LQ4x_Proj": "v1.1", "Buffer_LQ4x_Proj": "v1"}


class Published:
    """The published tiny pipeline. `rule`: that of the newest projection in the folder."""

    def __init__(self, folder: Path) -> None:
        self.sparse = _sparse_library()
        for name in ("PIL", "tqdm", "torchvision"):
            if find_spec(name) is None:
                _stand_in(name)
        self.networks, self._pipeline = _package(folder)
        scripts = folder / "examples" / "WanVSR" / "utils"
        self._projections = _script(scripts / "utils.py")
        self._decoders = _script(scripts / "TCDecoder.py")
        found = [name for name in PROJECTORS if hasattr(self._projections, name)]
        if not found:
            raise Unavailable(f"{scripts} has no projection that is known.")
        self._projection = found[0]
        self.rule = PROJECTORS[found[0]]

    def pipe(self, scale: Scale, models: Models, device: torch.device, dtype: torch.dtype) -> Any:
        """Their pipeline with the weights of `models`, whose decoder is not merged."""
        config = scale.transformer
        with torch.device("meta"):
            network = self.networks.WanModel(
                dim=config.dim,
                in_dim=config.in_dim,
                ffn_dim=config.ffn_dim,
                out_dim=config.out_dim,
                text_dim=config.text_dim,
                freq_dim=config.freq_dim,
                eps=config.eps,
                patch_size=config.patch,
                num_heads=config.heads,
                num_layers=config.layers,
            )
            projection = getattr(self._projections, self._projection)(3, config.dim, layer_num=1)
        network.freqs = self.networks.precompute_freqs_cis_3d(config.dim // config.heads)
        decoder = self._decoders.build_tcdecoder(
            new_channels=list(scale.decoder.channels),
            device=device,
            dtype=dtype,
            new_latent_channels=scale.decoder.latent_channels + scale.decoder.condition_channels,
        )
        parts = ((network, models.transformer), (projection, models.projector))
        for theirs, ours in parts:
            theirs.to(dtype).to_empty(device=device).load_state_dict(ours.state_dict())
        decoder.load_state_dict(models.decoder.state_dict())
        for module in (network, projection, decoder):
            module.requires_grad_(False)
        with redirect_stdout(io.StringIO()):  # it greets
            pipe = self._pipeline(device=str(device), torch_dtype=dtype)
        pipe.dit, pipe.TCDecoder = network, decoder
        network.LQ_proj_in = projection
        projection.clear_cache()
        with torch.no_grad():
            pipe.init_cross_kv(context_tensor=models.prompt)
        return pipe


def run(
    pipe: Any,
    frames: Tensor,
    noise: Tensor,
    ratio: float,
    reach: int,
    has_colour: bool,
) -> tuple[Tensor, Tensor]:
    """Frames (1, 3, F, H, W) and latents, for frames (1, 3, F + 4, H, W) and all latents' noise."""
    pipe.generate_noise = lambda *_, **__: noise
    decode = type(pipe.TCDecoder).decode_video
    latents: list[Tensor] = []

    def decode_video(x: Tensor, **named: Any) -> Any:
        latents.append(x.transpose(1, 2))
        return decode(pipe.TCDecoder, x, **named)

    pipe.TCDecoder.decode_video = decode_video
    with redirect_stderr(io.StringIO()):  # its progress
        made: Tensor = pipe(
            prompt="",
            negative_prompt="",
            cfg_scale=1.0,
            num_inference_steps=1,
            seed=0,
            LQ_video=frames,
            num_frames=frames.shape[2],
            height=frames.shape[3],
            width=frames.shape[4],
            is_full_block=False,
            if_buffer=True,
            topk_ratio=ratio,
            kv_ratio=3.0,
            local_range=reach,
            color_fix=has_colour,
        )
    return made[None], latents[0]


def split_heads(x: Tensor) -> Tensor:
    """(S, N, D) to blocks (N, K, T, D), laid out for our kernel."""
    return rearrange(x, "(k t) n d -> n k t d", t=BLOCK).contiguous()


def _sparse_library() -> str:
    """What multiplies blocks: their library, or our function under its name."""
    if find_spec(SPARSE_LIBRARY) is not None:
        return SPARSE_LIBRARY

    def block_sparse_attn_func(q: Tensor, k: Tensor, v: Tensor, *rest: Any, **_: Any) -> Tensor:
        mask: Tensor = rest[4][0]
        mixed = block_sparse_attention(split_heads(q), split_heads(k), split_heads(v), mask)
        return rearrange(mixed, "n k t d -> (k t) n d")

    _module(SPARSE_LIBRARY, block_sparse_attn_func=block_sparse_attn_func)
    return "our sparse kernel in its place"


def _package(folder: Path) -> tuple[ModuleType, Callable[..., Any]]:
    """Their networks and pipeline, without what their package imports beside them."""
    root = folder / "diffsynth"
    if not (root / "pipelines" / "flashvsr_tiny.py").exists():
        raise Unavailable(f"{folder} is no checkout of the published FlashVSR.")
    for name in ("diffsynth", "diffsynth.models", "diffsynth.pipelines"):
        _module(name).__path__ = [str(folder.joinpath(*name.split(".")))]
    sys.modules["diffsynth.models"].__dict__["ModelManager"] = object
    try:
        networks = import_module("diffsynth.models.wan_video_dit")
        pipeline = import_module("diffsynth.pipelines.flashvsr_tiny").FlashVSRTinyPipeline
    except ImportError as error:
        raise Unavailable(f"The published code does not import here: {error}.") from error
    return networks, pipeline


def _script(path: Path) -> ModuleType:
    spec = spec_from_file_location(f"published_{path.stem}", path)
    if spec is None or spec.loader is None or not path.exists():
        raise Unavailable(f"{path} is missing.")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Quiet:
    """In place of a progress bar."""

    def __init__(self, items: Any = (), **_: Any) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def update(self, _: int = 1) -> None:
        """Nothing to show."""

    def close(self) -> None:
        """Nothing to close."""


def _stand_in(name: str) -> None:
    """The names that the published code imports and this run does not use, or only to show."""
    parts: dict[str, dict[str, Any]] = {
        "PIL": {"Image": object},
        "tqdm": {"tqdm": _Quiet},
        "torchvision": {},
        "tqdm.auto": {"tqdm": _Quiet},
        "torchvision.transforms": {"GaussianBlur": object},
    }
    for part, content in parts.items():
        if part.partition(".")[0] == name:
            _module(part, **content).__path__ = []


def _module(name: str, **content: Any) -> ModuleType:
    """A module that is known by its name from here on."""
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    module.__dict__.update(content)
    sys.modules[name] = module
    return module
