"""How far FlashVSR's fast paths are from the plain float32 ones, on random inputs at real sizes."""

from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from engine.models.attention import (
    block_mask,
    block_sparse_attention,
    local_blocks,
    plain_block_mask,
    plain_block_sparse_attention,
)
from engine.models.flashvsr import steps
from engine.models.flashvsr.cache import EIGHT_BITS, SlotRing
from engine.models.flashvsr.colour import recoloured
from engine.models.flashvsr.decoder import FRAMES, TinyDecoder
from engine.models.flashvsr.noise import seeded_noise
from engine.models.flashvsr.pipeline import CELL, chunks
from engine.models.flashvsr.projector import ChannelNorm, Projector, ProjectorState
from engine.models.flashvsr.windows import Grid, rotary_turns
from engine.models.linear import Fp8Linear
from tests.benchmarks.card_errors import COLUMNS, NOTE, compared
from tests.benchmarks.card_weights import random_module
from tests.benchmarks.flashvsr_bench import Bench
from tests.benchmarks.flashvsr_models import (
    CACHE,
    EAGER,
    EXACT,
    FP8,
    FUSED,
    PLAIN,
    Clip,
    Variant,
    random_models,
    running,
    settings_of,
)
from tests.benchmarks.table import Table

SHOWN_FRAMES = 29

Check = tuple[str, Tensor, Tensor]  # name, found, wanted


def errors(bench: Bench) -> None:
    """Parts first, then the whole model."""
    table = Table(
        "Error against the plain float32 path, random inputs",
        COLUMNS,
        notes=[NOTE],
    )
    for make in (_norms, _attention, _cache, _linears, _projection, _decoder):
        for name, found, wanted in make(bench):
            table.rows.append(compared(name, found, wanted))
        _freed(bench)
    bench.report.show(table)
    bench.report.show(_masks(bench))
    bench.report.show(_whole(bench))


def _freed(bench: Bench) -> None:
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()


def _grid(bench: Bench) -> Grid:
    height, width = bench.scale.sizes[0]
    return Grid(2, height // 16, width // 16, 6)


def _random(bench: Bench, *shape: int) -> Tensor:
    return torch.randn(shape, device=bench.device).bfloat16()


def _exact(compute: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    with running(EXACT), torch.no_grad():
        return compute(*(x.float() for x in inputs))


def _sum(x: Tensor, y: Tensor, gate: Tensor) -> Tensor:
    made = x.clone()
    steps.add_(made, y, gate)
    return made


def _sum_and_norm(
    x: Tensor, y: Tensor, gate: Tensor, scale: Tensor, shift: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    made = x.clone()
    return made, steps.add_norm_(made, y, gate, scale, shift, eps)


def _norms(bench: Bench) -> Iterator[Check]:
    grid, config = _grid(bench), bench.scale.transformer
    tokens = grid.frames * grid.rows * grid.columns
    x, y = (_random(bench, 1, tokens, config.dim) for _ in range(2))
    gate, scale, shift = (_random(bench, config.dim) for _ in range(3))
    eps = config.eps
    checks: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
        "layer norm, modulated": (
            lambda x, a, b: steps.layer_norm(x, a, b, eps),
            (x, scale, shift),
        ),
        "gate and shortcut": (_sum, (x, y, gate)),
        "both: the sum": (
            lambda x, y, g, a, b: _sum_and_norm(x, y, g, a, b, eps)[0],
            (x, y, gate, scale, shift),
        ),
        "both: the norm": (
            lambda x, y, g, a, b: _sum_and_norm(x, y, g, a, b, eps)[1],
            (x, y, gate, scale, shift),
        ),
        "root mean square norm": (lambda x, a: steps.rms_norm(x, a, eps), (x, scale)),
    }
    for name, (compute, inputs) in checks.items():
        yield name, compute(*inputs), _exact(compute, *inputs)
    turns = rotary_turns(grid, config.dim // config.heads, bench.device, is_windowed=True)
    blocks = (config.heads, tokens // 128, 128, config.dim // config.heads)

    def turned(x: Tensor, weight: Tensor) -> Tensor:
        out = x.new_full(blocks, torch.nan)
        steps.rms_rotate(x, weight, eps, turns, out)
        return out

    yield "norm, turn, blocks", turned(x, scale), _exact(turned, x, scale)


def _qkv(bench: Bench, slots: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries of one slot, keys and values of several, and the published mask of them."""
    grid, config = _grid(bench), bench.scale.transformer
    rows, columns = grid.blocks
    n, dim = rows * columns, config.dim // config.heads
    q = _random(bench, config.heads, n, 128, dim)
    k, v = (_random(bench, config.heads, slots * n, 128, dim) for _ in range(2))
    sparse = settings_of(FUSED, bench.scale.sizes[0]).sparsity
    local = local_blocks(rows, columns, sparse.reach, bench.device)
    q_mean, k_mean = (
        torch.randn(config.heads, x.shape[1], dim, device=bench.device) for x in (q, k)
    )
    return q, k, v, plain_block_mask(q_mean, k_mean, local, sparse.pairs)


def _attention(bench: Bench) -> Iterator[Check]:
    q, k, v, mask = _qkv(bench)
    mask[:, 0] = False  # a query block that keeps nothing gives zeros
    wanted = _exact(lambda q, k, v: plain_block_sparse_attention(q, k, v, mask), q, k, v)
    yield "sparse attention, bf16", block_sparse_attention(q, k, v, mask), wanted
    q, k, v = (x[:1].float() for x in (q, k, v))
    with running(EAGER):
        found = block_sparse_attention(q, k, v, mask[:1])
    yield "sparse attention, float32", found, wanted[:1]


def _cache(bench: Bench) -> Iterator[Check]:
    q, k, v, mask = _qkv(bench)
    slots = 4
    ring = SlotRing(slots, EIGHT_BITS)
    ring.append(*(rearrange(x, "h (s n) t d -> h s n t d", s=slots) for x in (k, v)))
    held_k, held_v = ring.held()
    yield "keys in 8 bits", held_k, k
    yield "values in 8 bits", held_v, v
    wanted = _exact(lambda q, k, v: plain_block_sparse_attention(q, k, v, mask), q, k, v)
    k8, v8, scales = ring.memory()
    assert scales is not None
    used = slice(held_k.shape[1])  # there is room for a slot more
    narrow = scales[0][:, used], scales[1][:, used]
    found = block_sparse_attention(q, k8[:, used], v8[:, used], mask, narrow)
    yield "sparse attention, 8-bit cache", found, wanted


@torch.no_grad()
def _linears(bench: Bench) -> Iterator[Check]:
    grid, config = _grid(bench), bench.scale.transformer
    tokens = grid.frames * grid.rows * grid.columns
    for inputs, outputs in (
        (config.dim, config.dim),
        (config.dim, config.ffn_dim),
        (config.ffn_dim, config.dim),
    ):
        linear = nn.Linear(inputs, outputs, device=bench.device).bfloat16()
        x = _random(bench, 1, tokens, inputs)
        wanted = F.linear(x.float(), linear.weight.float(), linear.bias.float())
        yield f"bf16 linear {inputs} -> {outputs}", linear(x), wanted
        yield f"fp8 linear {inputs} -> {outputs}", Fp8Linear(linear)(x), wanted
    ffn = nn.Sequential(
        nn.Linear(config.dim, config.ffn_dim, device=bench.device),
        nn.GELU(approximate="tanh"),
        nn.Linear(config.ffn_dim, config.dim, device=bench.device),
    ).bfloat16()
    x = _random(bench, 1, tokens, config.dim)
    found = steps.feed_forward(x, ffn)
    yield "feed-forward, bf16", found, _exact(ffn.float(), x)


@torch.no_grad()
def _projection(bench: Bench) -> Iterator[Check]:
    size = bench.scale.sizes[0]
    frames = Clip(size, 9).frames(size, bench.device)
    narrow = random_module(lambda: Projector(bench.scale.projector), bench.device)
    found = narrow(frames.bfloat16(), ProjectorState())[0][0]
    wide = narrow.float()
    with running(EXACT):
        wanted = _long_projection(wide, frames.bfloat16().float())
    yield "projection, bf16, streamed", found, wanted
    with running(EAGER):
        found = wide(frames.bfloat16().float(), ProjectorState())[0][0]
    yield "projection, float32, streamed", found, wanted


def _long_projection(projector: Projector, frames: Tensor) -> Tensor:
    """Rule v1.1 as two long convolutions by torch's own Conv3d; the first clip gives nothing."""
    rows, columns = projector.config.patch
    x = rearrange(frames, "b c t (h r) (w s) -> b (c r s) t h w", r=rows, s=columns)
    x = torch.cat([x[:, :, :1].expand(-1, -1, 3, -1, -1), x], dim=2)
    layers: Iterable[tuple[nn.Conv3d, ChannelNorm]]
    layers = ((projector.conv1, projector.norm1), (projector.conv2, projector.norm2))
    for conv, norm in layers:
        padded = F.pad(x, (1, 1, 1, 1, 2, 0), mode="replicate")
        x = F.silu(norm(F.conv3d(padded, conv.weight, conv.bias, conv.stride)))
    tokens: Tensor = projector.linear_layers[0](rearrange(x[:, :, 1:], "b c t h w -> b (t h w) c"))
    return tokens


@torch.no_grad()
def _decoder(bench: Bench) -> Iterator[Check]:
    height, width = bench.scale.sizes[0]
    config = bench.scale.decoder
    latents = _random(bench, 1, config.latent_channels, 2, height // CELL, width // CELL)
    count = 2 * FRAMES - 3
    condition = Clip((height, width), count).frames((height, width), bench.device).bfloat16()

    def decoder() -> TinyDecoder:
        return random_module(lambda: TinyDecoder(config), bench.device, torch.float32)

    plain = decoder()
    wanted = _exact(lambda a, b: plain(a, b)[0], latents, condition)
    with running(PLAIN):
        found = plain.bfloat16()(latents, condition)[0]
    yield "decoder as published, bf16", found, wanted
    merged = decoder()
    merged.merge()
    with running(EAGER):
        found = merged(latents.float(), condition.float())[0]
    yield "decoder merged, float32", found, wanted
    yield "decoder merged, bf16", merged.bfloat16()(latents, condition)[0], wanted


def _masks(bench: Bench) -> Table:
    """How many pairs are chosen otherwise than by the plain path; both in float32."""
    grid, config = _grid(bench), bench.scale.transformer
    rows, columns = grid.blocks
    n, dim = rows * columns, config.dim // config.heads
    sparse = settings_of(FUSED, bench.scale.sizes[0]).sparsity
    local = local_blocks(rows, columns, sparse.reach, bench.device)
    table = Table("Mask: pairs chosen", ("Slots", "By the kernel", "By the plain path", "Differ"))
    for queries, keys in ((3, 3), (1, 4)):
        q, k = (torch.randn(config.heads, s * n, dim, device=bench.device) for s in (queries, keys))
        found = block_mask(q, k, local, sparse.pairs)
        with running(EXACT):
            wanted = plain_block_mask(q, k, local, sparse.pairs)
        differ = int((found != wanted).sum())
        name = f"{queries} x {keys}"
        table.rows.append((name, int(found.sum()), int(wanted.sum()), differ))
    return table


@torch.no_grad()
def _whole(bench: Bench) -> Table:
    size, scale = bench.scale.errors, bench.scale
    table = Table(
        f"Whole model, random weights, {SHOWN_FRAMES} frames {size[0]}x{size[1]}, "
        f"{scale.transformer.layers} layers, against plain float32",
        COLUMNS,
        notes=[
            "Frames are -1..1 (peak 2), after the colour fix; with random weights they tell little "
            "of the latents, as most of what the decoder sees is the source. The hard choice of "
            "blocks alone puts correct implementations about 50 dB apart.",
        ],
    )
    wanted: tuple[Tensor, Tensor] | None = None
    for variant in (EXACT, EAGER, PLAIN, FUSED, FP8, CACHE):
        made = clip_of(bench, variant)
        if wanted is None:
            wanted = made
            continue
        row = compared(f"{variant.name}, latents", made[1], wanted[1])
        table.rows += [row, compared(f"{variant.name}, frames", made[0], wanted[0], peak=2.0)]
        if variant is FUSED:
            bench.report.found("psnr_bf16", float(row[5]))
        _freed(bench)
    return table


def clip_of(bench: Bench, variant: Variant) -> tuple[Tensor, Tensor]:
    """Frames (1, 3, F, H, W) and latents that a variant makes, of the one clip and noise."""
    size = bench.scale.errors
    frames = Clip(size, SHOWN_FRAMES).frames(size, bench.device)[0].unbind(1)
    noise = seeded_noise(0, bench.scale.transformer.in_dim, size[0] // CELL, size[1] // CELL)
    with running(variant):
        models = random_models(bench.scale, bench.device, variant)
        made = list(chunks(models, frames, noise, settings_of(variant, size)))
        shown = [recoloured(c.frames, c.source.float(), "adain") for c in made]
        return torch.cat(shown, dim=2), torch.cat([c.latents for c in made], dim=2)
