"""Block-sparse attention at FlashVSR's shapes: kernel, its choices, mask; dense beside it."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from engine.models.attention import (
    attention,
    block_mask,
    block_sparse_attention,
    local_blocks,
    modes,
    plain_block_mask,
    plain_block_sparse_attention,
    unavailable,
)
from engine.models.flashvsr.cache import to_eight_bits
from tests.benchmarks.card_timing import Samples, timed
from tests.benchmarks.flashvsr_bench import Bench
from tests.benchmarks.flashvsr_models import EXACT, FUSED, running, settings_of
from tests.benchmarks.table import Table

TOKENS = 128
DENSE = ("sdpa_cudnn", "sdpa_flash", "sdpa")
SHAPES = {"a steady chunk": (1, 4), "the first chunk": (3, 3)}  # slots of queries and of keys


class Inputs:
    """Queries, keys, values and the published mask of random means: rows of unequal length."""

    def __init__(self, bench: Bench, slots: tuple[int, int]) -> None:
        height, width = bench.scale.sizes[0]
        config = bench.scale.transformer
        rows, columns = height // 128, width // 128
        heads, dim = config.heads, config.dim // config.heads
        self.device = bench.device
        self.sparse = settings_of(FUSED, (height, width)).sparsity
        self.local = local_blocks(rows, columns, self.sparse.reach, bench.device)
        counts = [s * rows * columns for s in slots]
        self.q, self.k, self.v = (
            torch.randn(heads, n, TOKENS, dim, device=bench.device).bfloat16()
            for n in (counts[0], counts[1], counts[1])
        )
        self.means = [torch.randn(heads, n, dim, device=bench.device) for n in counts]
        self.mask = self.chosen()
        self.kept = int(self.mask.sum())

    def chosen(self) -> Tensor:
        """The mask, as the model makes it."""
        return block_mask(self.means[0], self.means[1], self.local, self.sparse.pairs)

    @property
    def tera(self) -> float:
        """Floating-point operations on kept blocks, in 10^12."""
        return self.kept * 4 * TOKENS**2 * self.q.shape[3] / 1e12

    @property
    def tera_dense(self) -> float:
        """As `tera`, of all blocks."""
        return self.tera / self.kept * self.mask.numel()


def attention_kernels(bench: Bench) -> None:
    """A table for each shape."""
    for name, slots in SHAPES.items():
        inputs = Inputs(bench, slots)
        _sparse(bench, name, inputs)
        _choices(bench, name, inputs)
        _mask(bench, name, inputs)
        del inputs
        if bench.device.type == "cuda":
            torch.cuda.empty_cache()


def _sparse(bench: Bench, name: str, x: Inputs) -> None:
    device = bench.device
    heads, queries, _, dim = x.q.shape
    table = Table(
        f"Attention of {name}: {heads} heads, {queries} x {x.k.shape[1]} blocks of {TOKENS}, "
        f"{dim} channels, {x.kept / x.mask.numel():.4f} of the pairs kept",
        ("How", "Median ms", "Low", "High", "TFLOP/s", "TFLOP/s on kept blocks"),
        bar="at least 420 TFLOP/s on kept blocks, on one H200.",
        notes=["Dense attention multiplies all blocks: its last column counts the kept ones only."],
    )
    k8, v8 = to_eight_bits(x.k), to_eight_bits(x.v)
    works: dict[str, Callable[[], object]] = {
        "sparse, with its lists": lambda: block_sparse_attention(x.q, x.k, x.v, x.mask),
        "plain, gathered": lambda: plain_block_sparse_attention(x.q, x.k, x.v, x.mask),
        "sparse, 8-bit keys and values": lambda: block_sparse_attention(
            x.q, k8[0], v8[0], x.mask, (k8[1], v8[1])
        ),
    }
    if not unavailable(device):
        works = {"sparse kernel alone": _kernel(x), **works}
    dense = [tensor.flatten(1, 2).transpose(0, 1)[None] for tensor in (x.q, x.k, x.v)]
    reasons = {mode.name: mode.reason for mode in modes(device)}
    for mode in DENSE:
        if reasons[mode]:
            table.notes.append(f"{mode}: {reasons[mode]}.")
        else:
            works[f"dense, {mode}"] = partial(_dense, dense, mode)
    found = bench.in_turn({f"{name}: {key}": timed(device, work) for key, work in works.items()})
    for key in works:
        samples = found[f"{name}: {key}"]
        done = x.tera_dense if key.startswith("dense") else x.tera
        table.rows.append((key, *_ms(samples), done / samples.middle, x.tera / samples.middle))
    best = next(iter(works))
    if name == "a steady chunk":
        bench.report.found("sparse_tflops", x.tera / found[f"{name}: {best}"].middle)
    bench.report.show(table)


def _dense(qkv: list[Tensor], mode: str) -> Tensor:
    return attention(qkv[0], qkv[1], qkv[2], mode)


def _kernel(x: Inputs, **choice: Any) -> Callable[[], object]:
    """The kernel with lists that are there already."""
    selection = import_module("engine.models.kernels.selection")
    sparse = import_module("engine.models.kernels.sparse")
    counts, lists = selection.kept(x.mask)
    order = selection.running_order(counts, x.mask.shape[2])
    return lambda: sparse.block_sparse(x.q, x.k, x.v, counts, lists, order, **choice)


def _choices(bench: Bench, name: str, x: Inputs) -> None:
    """Every known way for the kernel to work, by descriptors and by pointers."""
    if unavailable(bench.device):
        return
    sparse = import_module("engine.models.kernels.sparse")
    troubles = (RuntimeError, import_module("triton").TritonError)
    known = dict.fromkeys(config for row in sparse.CONFIGS.values() for config in row)
    table = Table(
        f"Choices of the kernel, {name}",
        ("Queries, keys, warps, stages, registers", "TMA", "Median ms", "TFLOP/s", "Relative"),
        notes=["The card's own row, in the order in which it is tried: "
               + "; ".join(_shown(config) for config in sparse.configs(x.q)) + "."],
    )  # fmt: skip
    with running(EXACT):
        wanted = plain_block_sparse_attention(x.q.float(), x.k.float(), x.v.float(), x.mask)
    for config in known:
        for tma in (True, False):
            work = _kernel(x, config=config, tma=tma)
            try:
                found = work()
                median = bench.in_turn({f"{name}: {config}, TMA {tma}": timed(bench.device, work)})
            except troubles as error:
                why = (str(error) or type(error).__name__).splitlines()[0][:60]
                table.rows.append((_shown(config), str(tma), why, "", ""))
                continue
            assert isinstance(found, Tensor)
            error_ = float((found.float() - wanted).norm() / wanted.norm())
            seconds = next(iter(median.values())).middle
            table.rows.append((_shown(config), str(tma), 1000 * seconds, x.tera / seconds, error_))
    bench.report.show(table)


def _mask(bench: Bench, name: str, x: Inputs) -> None:
    """The choice of blocks: our kernels, the plain path, and a library's top-k."""
    flat = x.mask.shape[0] * (x.mask.shape[1] // x.local.shape[0])

    def library() -> Tensor:
        scores = x.means[0] @ x.means[1].transpose(1, 2)
        rows = scores.softmax(2).reshape(flat, -1)
        return rows.topk(min(x.sparse.pairs + 1, rows.shape[1]), dim=1).values

    works = {
        "as the model does": x.chosen,
        "the plain path": lambda: plain_block_mask(x.means[0], x.means[1], x.local, x.sparse.pairs),
        "scores and torch.topk alone": library,
    }
    table = Table(f"Mask of {name}", ("How", "Median ms", "Low", "High"))
    timings = {f"mask of {name}: {k}": timed(bench.device, w, 5) for k, w in works.items()}
    for key, samples in zip(works, bench.in_turn(timings).values(), strict=True):
        table.rows.append((key, *_ms(samples)))
    bench.report.show(table)


def _ms(samples: Samples) -> tuple[float, float, float]:
    return 1000 * samples.middle, 1000 * samples.low, 1000 * samples.high


def _shown(config: Any) -> str:
    return ", ".join(str(n) for n in config)
