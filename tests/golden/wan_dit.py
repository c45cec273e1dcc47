"""The diffusion transformer's recorded cases, as the pipelines call it."""

from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from engine.models.wan.config import TransformerConfig
from engine.models.wan.embeddings import TimeEmbedding, sinusoid
from engine.models.wan.enhance import enhance_factor
from engine.models.wan.rope import Grid, Riflex, rotary_turns, rotate
from engine.models.wan.teacache import TeaCache, TeaState, judge
from engine.models.wan.transformer import Transformer
from engine.models.wan.weights import load_transformer, transformer_config
from engine.models.weights import load_strict
from tests.golden.case import Case
from tests.golden.registry import runs

Outputs = dict[str, Tensor]


@runs("wan_dit")
def run_dit(case: Case) -> Outputs:
    """Velocities at the timesteps that the outputs' names tell."""
    model = wan_transformer(case.weights(), case.config, case.name)
    clip, given = case.inputs.get("clip"), case.inputs.get("y")
    image = None if clip is None else clip.flatten(0, -2)[None]
    condition = model.condition([case.inputs["context"]], image)
    outputs = {}
    if condition.image is not None:
        outputs["image_context"] = condition.image
    for name in case.about["outputs"]:
        if name.startswith("v_t"):
            outputs[name] = model(
                case.inputs["latent"][None],
                torch.tensor([float(name.removeprefix("v_t"))]),
                condition,
                given=None if given is None else given[None],
            )[0]
    return {name: case.sampled(name, value) for name, value in outputs.items()}
    return outputs


@runs("wan_time_embedding")
def run_time(case: Case) -> Outputs:
    """The parts of the transformer that see the time."""
    dim, freq_dim = case.config["dim"], case.config["freq_dim"]
    model = load_strict(lambda: TimeEmbedding(dim, freq_dim), case.weights(), case.name)
    t = case.inputs["t"]
    time, modulation = model.times(t)
    return {"sinusoid": sinusoid(t, freq_dim), "e": time[:, 0], "e0": modulation[:, 0]}


@runs("wan_rope")
def run_rope(case: Case) -> Outputs:
    """Tokens turned, as published and with one frequency replaced."""
    c = case.config
    grid, x = Grid(*c["grid"]), case.inputs["x"]
    theta = float(c.get("theta", 10000))
    riflex = Riflex(c["riflex_k"], c["riflex_frames"])
    plain = rotary_turns(grid, c["head_dim"], theta=theta)
    slower = rotary_turns(grid, c["head_dim"], theta=theta, riflex=riflex)
    return {"rotated": rotate(x, plain), "rotated_riflex": rotate(x, slower)}


@runs("wan_feta")
def run_feta(case: Case) -> Outputs:
    """Tokens grouped by place, and, as another program does, by neighbourhood."""
    frames = case.config["frames"]
    q, k = case.inputs["q"], case.inputs["k"]
    pattern = "b (p f) n d -> b (f p) n d"
    beside = [rearrange(x, pattern, f=frames) for x in (q, k)]
    outputs = {}
    for weight in case.config["weights"]:
        outputs[f"score_frame_major_w{weight:g}"] = enhance_factor(q, k, frames, weight)
        outputs[f"score_wrapper_w{weight:g}"] = enhance_factor(*beside, frames, weight)
    return outputs
    return outputs


@runs("wan_teacache")
def run_teacache(case: Case) -> Outputs:
    """Which steps of a schedule are left out, for every model and both embeddings."""
    c = case.config
    outputs: Outputs = {}
    for model, by in c["coefficients"].items():
        for embedding, coefficients in by.items():
            cache = TeaCache(
                threshold=c["threshold"],
                coefficients=tuple(coefficients),
                embedding=embedding,
                start_step=c["start_step"],
            )
            skips, states = [], [TeaState()]
            for step, e in enumerate(case.inputs["e"]):
                is_skipped, state = judge(cache, states[-1], e, step)
                skips.append(float(is_skipped))
                states.append(state)
            name = f"{model}_{embedding}"
            outputs[f"skip_{name}"] = torch.tensor(skips)
            outputs[f"accumulated_{name}"] = torch.tensor([s.accumulated for s in states[1:]])
            outputs[f"delta_{name}"] = torch.tensor([s.delta for s in states[1:]])
    return outputs
    return outputs


def wan_transformer(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any], name: str = ""
) -> Transformer:
    """A case's transformer; what its config leaves out is told by the tensors."""
    return load_transformer(tensors, wan_config(tensors, config), name)


def wan_config(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> TransformerConfig:
    """The sizes of a case: a config.json says the same, by the same names."""
    return transformer_config(tensors, config)
