"""What computes the recorded FlashVSR cases: the same functions that its pipeline calls."""

import re
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from engine.models.attention import block_mask, local_blocks
from engine.models.flashvsr.cache import SlotRing
from engine.models.flashvsr.colour import adain, recoloured, wavelet
from engine.models.flashvsr.config import (
    DecoderConfig,
    ProjectorConfig,
    Rule,
    Sparsity,
    TransformerConfig,
    pair_budget,
)
from engine.models.flashvsr.decoder import DecoderState
from engine.models.flashvsr.pipeline import CELL, Models, Settings, chunks
from engine.models.flashvsr.preparation import placement, prepared, scaled_size
from engine.models.flashvsr.projector import Projector, ProjectorState
from engine.models.flashvsr.transformer import (
    Block,
    Grid,
    block_means,
    rotary_turns,
    streamed_attention,
    to_blocks,
)
from engine.models.flashvsr.weights import load_decoder, load_projector, load_transformer
from engine.models.wan.config import VaeConfig
from engine.models.wan.vae import DECODER_TENSORS, VaeDecoder
from engine.models.weights import load_strict, part
from tests.golden.case import Case
from tests.golden.registry import runs

Outputs = dict[str, Tensor]


@runs("flashvsr_colour_fix")
def colour_fix(case: Case) -> Outputs:
    """Both fixes on the same frames."""
    hq, lq = case.inputs["hq"], case.inputs["lq"]
    eps, levels = case.config.get("eps", 1e-5), case.config.get("levels", 5)
    return {"adain": adain(hq, lq, eps), "wavelet": wavelet(hq, lq, levels)}


@runs("flashvsr_prepare_input")
def prepare_input(case: Case) -> Outputs:
    """Some frames of a clip, cut to whole units as published."""
    c = case.config
    ends = [0, c["frames"] // 2, c["frames"] - 1]
    stored = _numbers(case.about["inputs"]["frames"], "indices") or ends
    shown = _numbers(case.described("video"), "frames") or stored
    place = placement(*scaled_size(c["width"], c["height"], c["scale"]), fit="crop")
    sources = c["source_frame_of_each_padded_frame"]

    def frame(index: int) -> Tensor:
        picture = case.inputs["frames"][stored.index(sources[index])]
        return prepared(picture.byte(), place)

    video = torch.stack([frame(i) for i in shown], dim=1)[None]
    last = frame(c["frames_after_padding"] - 1)[None, :, None]
    video = case.sampled("video", video)
    return {"video": video, "last": _sampled_alike(case, "last", "video", last)}


@runs("flashvsr_lq_proj")
def lq_proj(case: Case) -> Outputs:
    """Both rules, clip by clip."""
    c = case.config
    outputs: Outputs = {}
    rules: tuple[Rule, Rule] = ("v1", "v1.1")
    for rule in rules:
        config = ProjectorConfig(
            rule,
            c.get("in_channels", 3),
            tuple(c["unshuffle"][1:]),
            c["hidden1"],
            c["hidden2"],
            c["out_dim"],
            c["layer_num"],
        )
        projector = load_projector(case.weights(), config)
        video = case.inputs["video"]
        tokens, state = projector(video[:, :, :5], ProjectorState())
        for clip in torch.split(video[:, :, 5:], 4, dim=2):
            fresh, state = projector(clip, state)
            tokens = [torch.cat(pair, dim=1) for pair in zip(tokens, fresh, strict=True)]
        outputs |= {f"{rule}.layer{i}": layer for i, layer in enumerate(tokens)}
        if state.conv2 is not None:
            outputs[f"{rule}.cache_conv2"] = state.conv2
    return outputs


@runs("flashvsr_sparse_mask")
def sparse_mask(case: Case) -> Outputs:
    """The mask of each grid, and which blocks are near enough."""
    outputs: Outputs = {}
    for name, grid in case.config["grids"].items():
        local = local_blocks(grid["blocks_h"], grid["blocks_w"], grid["local_range"], "cpu")
        heads = case.config["heads"]
        q, k = (_heads_first(case.inputs[f"{name}.{x}"], heads) for x in "qk")
        outputs[f"{name}.mask"] = block_mask(q, k, local, grid["topk"]).float()
        outputs[f"{name}.local"] = local.float()
    return outputs


@runs("flashvsr_sparse_attention")
def sparse_attention(case: Case) -> Outputs:
    """Attention alone, streamed; and each chunk's mask, oldest slot first."""
    c = case.config
    sparsity = Sparsity(c["topk"], c["local_range"], c["kv_len"])
    ring = SlotRing(sparsity.kv_slots)
    outputs: Outputs = {}
    start = 0
    for i, frames in enumerate(c["chunks"]):
        grid = Grid(frames, c["h_tokens"], c["w_tokens"], start)
        q, k, v = (
            rearrange(case.inputs[f"chunk{i}.{x}"], "b l (n d) -> b l n d", n=c["heads"])
            for x in "qkv"
        )
        held = [ring.held()[0]] if ring.order else []
        keys = torch.cat([*held, to_blocks(k, grid).flatten(1, 2)], dim=1)
        local = local_blocks(*grid.blocks, sparsity.reach, "cpu")
        means = block_means(to_blocks(q, grid).flatten(1, 2)), block_means(keys)
        outputs[f"chunk{i}.mask"] = block_mask(*means, local, sparsity.pairs).float()
        mixed = streamed_attention(q, k, v, grid, ring, sparsity)
        outputs[f"chunk{i}.x"] = mixed.flatten(2)
        start += frames
    return outputs


@runs("flashvsr_dit_block")
def dit_block(case: Case) -> Outputs:
    """One transformer block, streamed."""
    c = case.config
    config = TransformerConfig(c["dim"], c["heads"], c["ffn_dim"], eps=c["eps"])
    block = load_strict(lambda: Block(config), case.weights("blocks.0."))
    text = block.cross_attn.cache(case.inputs["context"])
    sparsity = Sparsity(c["topk"], c["local_range"], int(c["kv_ratio"]))
    ring = SlotRing(sparsity.kv_slots)
    outputs: Outputs = {}
    for i, (frames, start) in enumerate(zip(c["chunks"], c["rope_frame_offset"], strict=True)):
        grid = Grid(frames, c["h_tokens"], c["w_tokens"], start)
        turns = rotary_turns(grid, c["dim"] // c["heads"])
        x, time = case.inputs[f"chunk{i}.x"], case.inputs["t_mod"]
        y = block(x, time, text, turns, grid, ring, sparsity)
        outputs[f"chunk{i}.y"] = case.sampled(f"chunk{i}.y", y)
        outputs[f"chunk{i}.cache_k_mean"] = _means_of(ring)[0]
    return outputs


@runs("flashvsr_dit_stream")
def dit_stream(case: Case) -> Outputs:
    """The whole transformer, streamed."""
    c = case.config
    config = _transformer_config(c)
    model = load_transformer(case.weights(), config)
    condition = model.condition(case.inputs["context"], c["timestep"])
    rows, columns = c["latent_h"] // config.patch[1], c["latent_w"] // config.patch[2]
    pairs = pair_budget(rows * columns // 64, c["topk_ratio"])
    sparsity = Sparsity(pairs, c["local_range"], int(c["kv_ratio"]))
    rings = model.rings(sparsity)
    tokens = [case.inputs[f"lq{i}"] for i in range(c["lq_layers"])]
    noise, start, parts = case.inputs["noise"], 0, []
    for frames in c["chunks"]:
        end, size = start + frames, rows * columns
        low_quality = [t[:, start * size : end * size] for t in tokens]
        latents = noise[:, :, start:end]
        parts.append(model(latents, low_quality, condition, rings, start, sparsity))
        start = end
    velocity = torch.cat(parts, dim=2)
    latents = (noise - velocity)[0].transpose(0, 1).flatten(1)
    k, v = _means_of(rings[-1])
    return {
        "velocity": case.sampled("velocity", velocity),
        "latents_std_mean": torch.stack([latents.std(dim=1), latents.mean(dim=1)]),
        "last_cache_k_mean": k,
        "last_cache_v_mean": v,
        "t_mod": condition.modulation,
    }


@runs("flashvsr_tcdecoder")
def tcdecoder(case: Case) -> Outputs:
    """The tiny decoder, streamed."""
    c = case.config
    channels = tuple(c["channels"])
    config = DecoderConfig(channels, c["latent_channels"], c["cond_channels"])
    decoder = load_decoder(case.weights(), config)
    latents = torch.split(case.inputs["latents"], c["chunks_latent"], dim=2)
    sources = torch.split(case.inputs["lq"], c["chunks_lq_frames"], dim=2)
    state: DecoderState = []
    parts = []
    for latent, source in zip(latents, sources, strict=True):
        frames, state = decoder(latent, source, state)
        parts.append(frames)
    return {"frames": torch.cat(parts, dim=2)}


@runs("flashvsr_pipeline")
def pipeline(case: Case) -> Outputs:
    """From prepared frames to frames, tiny and full."""
    c = case.config
    models = _models(case)
    blocks = c["height"] * c["width"] // 128**2
    sparsity = Sparsity(pair_budget(blocks, c["topk_ratio"]), c["local_range"], int(c["kv_ratio"]))
    settings = Settings(sparsity, c["color_fix"] or "none")
    detail, small = case.inputs["lq_detail"], case.inputs["lq_small"]
    for axis in (3, 4):
        small = small.repeat_interleave(detail.shape[axis] // small.shape[axis], dim=axis)
    video = (small + detail).clamp(-1, 1)
    noise = case.inputs["noise"]

    def recorded(first: int, count: int) -> Tensor:
        return noise[:, :, first : first + count]

    plain, fixed, latents, made = [], [], [], 0
    for chunk in chunks(models, video[0].unbind(1), recorded, settings):
        plain.append(chunk.frames)
        fixed.append(recoloured(chunk.frames, chunk.source, settings.colour))
        latents.append(chunk.latents)
        made += chunk.frames.shape[2]
        if made >= c["frames_out"]:  # the clip holds its own look ahead
            break
    before = torch.cat(plain, dim=2)[0]
    return {
        "frames": case.sampled("frames", torch.cat(fixed, dim=2)[0]),
        "frames_before_colour": case.sampled("frames_before_colour", before),
        "frame_mean": before.mean(dim=(2, 3)),
        "frame_std": before.std(dim=(2, 3)),
        "latents": case.sampled("latents", torch.cat(latents, dim=2)),
    }


def _models(case: Case) -> Models:
    c = case.config
    config = _transformer_config(c["dit"])
    hidden1, hidden2 = c["lq_hidden"]
    projector_config = ProjectorConfig(
        c["projector_rule"],
        hidden1=hidden1,
        hidden2=hidden2,
        out_dim=config.dim,
        layers=c["lq_layer_num"],
    )
    projector: Projector = load_projector(case.weights("lq:"), projector_config)
    transformer = load_transformer(case.weights("dit:"), config)
    if c["mode"] == "tiny":
        decoder_config = DecoderConfig(tuple(c["tc_channels"]), config.out_dim, 3 * 4 * CELL**2)
        decoder = load_decoder(case.weights("tc:"), decoder_config)
        return Models(transformer, projector, decoder, case.inputs["context"])
    tensors = part(case.weights("vae:"), DECODER_TENSORS)
    vae = load_strict(lambda: VaeDecoder(VaeConfig(dim=c["vae_dim"])), tensors)
    return Models(transformer, projector, vae, case.inputs["context"])


def _transformer_config(c: dict[str, Any]) -> TransformerConfig:
    patch = tuple(c["patch"])
    names = ("dim", "heads", "ffn_dim", "in_dim", "out_dim", "text_dim", "freq_dim", "layers")
    return TransformerConfig(**{name: c[name] for name in names}, eps=c["eps"], patch=patch)


def _means_of(ring: SlotRing) -> tuple[Tensor, Tensor]:
    """Means of the kept keys and values, (blocks, dim), oldest slot first."""
    k, v = (block_means(x).transpose(0, 1).flatten(1) for x in ring.held())
    return k, v


def _heads_first(x: Tensor, heads: int) -> Tensor:
    """(blocks, heads * D) -> (heads, blocks, D)."""
    return rearrange(x, "k (n d) -> n k d", n=heads)


def _numbers(text: str, after: str) -> list[int]:
    """The numbers of the list that follows a word, as in "indices [0, 11, 21]"; or none."""
    found = re.search(rf"{after} \[([\d, ]+)\]", text)
    return [int(n) for n in found[1].split(",")] if found else []


def _sampled_alike(case: Case, output: str, other: str, value: Tensor) -> Tensor:
    """`value` sampled as described for `output`, or, if it has no own slices, for the other."""
    sampled = case.sampled(output, value)
    return sampled if sampled.shape != value.shape else case.sampled(other, value)
