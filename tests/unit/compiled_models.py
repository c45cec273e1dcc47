"""torch.compile of a model: one graph for all blocks, and what a failure costs.

Run by test_models_compiled.
"""

import os
import shutil
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from engine.errors import EngineError  # noqa: E402
from engine.models import compiled as subject  # noqa: E402
from engine.models.compiled import FOLDER, Compiled, Compiling, compiled, refusal  # noqa: E402
from engine.models.dense import take_warnings  # noqa: E402
from engine.models.linear import Fp8Form, multiplies, to_fp8  # noqa: E402
from engine.models.lora import LiveLoras, LoraUse, read_lora, shapes_of  # noqa: E402
from engine.models.swap import Swap, swapped  # noqa: E402
from engine.models.wan.block import LARGE_LINEARS  # noqa: E402
from engine.models.wan.config import TransformerConfig  # noqa: E402
from engine.models.wan.rope import Riflex  # noqa: E402
from engine.models.wan.transformer import Transformer  # noqa: E402
from engine.worker.wan_held import running  # noqa: E402

CONFIG = TransformerConfig(
    dim=32, heads=2, ffn_dim=48, layers=5, in_dim=4, out_dim=4, text_dim=12, freq_dim=16
)
HAS_COMPILER = any(shutil.which(name) for name in ("g++", "clang++", "cl"))
compiles = pytest.mark.skipif(not HAS_COMPILER, reason="no C++ compiler")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """One thread, nothing compiled before, and no environment left behind."""
    import torch._dynamo as dynamo

    monkeypatch.setenv(FOLDER, str(tmp_path / "elsewhere"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    dynamo.reset()
    dynamo.utils.counters.clear()
    subject._compiled.cache_clear()
    take_warnings()
    yield
    torch.set_num_threads(before)
    dynamo.reset()
    subject._compiled.cache_clear()


def graphs() -> tuple[int, int]:
    """How many were compiled, and how many breaks they have."""
    from torch._dynamo.utils import counters

    return counters["stats"]["unique_graphs"], sum(counters["graph_break"].values())


def filled(config: TransformerConfig = CONFIG) -> Transformer:
    torch.manual_seed(1)
    model = Transformer(config).requires_grad_(False)
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape) * 0.2)
    return model


def velocity(model: Transformer, swap: Swap | None = None, size: int = 4, **more: Any) -> Tensor:
    draw = torch.Generator().manual_seed(3)
    latents = torch.randn(1, 4, 2, size, size, generator=draw)
    text = torch.randn(5, CONFIG.text_dim, generator=draw)
    with torch.inference_mode():
        condition = model.condition([text])
        return model(latents, torch.tensor([500.0]), condition, blocks=swap, **more)


def lora(model: Transformer) -> list[LoraUse]:
    keys = {}
    for name, shape in shapes_of(model).items():
        if name.endswith("ffn.0.weight"):
            layer = name.removesuffix(".weight")
            keys[f"{layer}.lora_A.weight"] = torch.randn(2, shape[1])
            keys[f"{layer}.lora_B.weight"] = torch.randn(shape[0], 2)
    return [LoraUse(read_lora(keys, shapes_of(model), "a"))]


@compiles
def test_one_graph_serves_every_block_step_and_way_to_hold_them(tmp_path: Path) -> None:
    """Really compiled: without a break, once for all blocks."""
    model = filled()
    exact = velocity(model)
    folder = tmp_path / "compiled"
    how = Compiling(fullgraph=True)
    with running(model, "sdpa", how, folder):
        for _ in range(3):
            torch.testing.assert_close(velocity(model), exact, rtol=0, atol=1e-4)
        for count in (3, 5):
            with torch.inference_mode(), swapped(list(model.blocks), count, "cpu") as swap:
                torch.testing.assert_close(velocity(model, swap), exact, rtol=0, atol=1e-4)
        velocity(model, riflex=Riflex(1, 4))
    again = filled()  # a second job, and a model loaded anew
    with running(again, "sdpa", how, folder):
        torch.testing.assert_close(velocity(again), exact, rtol=0, atol=1e-4)
    assert graphs() == (1, 0)
    assert take_warnings() == ()
    assert any(folder.rglob("*.so"))
    assert torch.equal(velocity(model), exact)  # by its own code again


def test_another_size_is_compiled_once_more() -> None:
    model = filled()
    exact = {size: velocity(model, size=size) for size in (4, 6)}
    with running(model, "sdpa", eagerly(Compiling(fullgraph=True)), None):
        for size in (4, 6, 4, 6):
            torch.testing.assert_close(velocity(model, size=size), exact[size], rtol=0, atol=1e-5)
    assert graphs() == (2, 0)


@compiles
def test_eight_bits_and_live_loras_are_one_graph_too() -> None:
    model = filled()
    to_fp8(model, *LARGE_LINEARS, form=Fp8Form())
    live = LiveLoras(model, lora(model), torch.float32)
    exact = velocity(model)
    live.set_strengths([0.3])
    weaker = velocity(model)
    with running(model, "sdpa", Compiling(fullgraph=True), None):
        torch.testing.assert_close(velocity(model), weaker, rtol=0, atol=1e-4)
        live.set_strengths([1.0])
        torch.testing.assert_close(velocity(model), exact, rtol=0, atol=1e-4)
        with swapped(list(model.blocks), 3, "cpu") as swap:
            torch.testing.assert_close(velocity(model, swap), exact, rtol=0, atol=1e-4)
    assert graphs() == (1, 0)
    assert take_warnings() == ()


def eagerly(how: Compiling) -> Compiling:
    """Traced in the same way, and run by torch's own code: no compiler is needed."""
    return replace(how, backend="eager")


def test_what_lies_around_the_blocks_is_compiled_where_it_is_wished() -> None:
    model = filled()
    exact = velocity(model)
    for only, count in ((True, 1), (False, 3)):
        with running(model, "sdpa", eagerly(Compiling(fullgraph=True, only_blocks=only)), None):
            torch.testing.assert_close(velocity(model), exact, rtol=0, atol=1e-5)
        assert graphs() == (count, 0)


def test_any_size_is_one_graph_where_sizes_are_dynamic() -> None:
    model = filled()
    with running(model, "sdpa", eagerly(Compiling(fullgraph=True, dynamic=True)), None):
        for size in (6, 10, 14):  # no number of tokens is one of the model's own
            exact = velocity(filled(), size=size)
            torch.testing.assert_close(velocity(model, size=size), exact, rtol=0, atol=1e-5)
    assert graphs() == (1, 0)


def test_a_dropped_model_is_not_kept_by_what_was_compiled() -> None:
    model = filled()
    with running(model, "sdpa", eagerly(Compiling()), None):
        velocity(model)
    gone = weakref.ref(model.blocks[2])
    del model
    assert gone() is None


def test_after_so_many_variants_blocks_are_plain() -> None:
    model = filled()
    with running(model, "sdpa", eagerly(Compiling(most_variants=2)), None):
        for size in (4, 6, 8, 10):
            exact = velocity(filled(), size=size)
            torch.testing.assert_close(velocity(model, size=size), exact, rtol=0, atol=1e-5)
    assert graphs()[0] == 2


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception, part: int = 0) -> list[int]:
    """A compiler that ends in an error, at the first graph or after some."""
    import torch._dynamo as dynamo

    seen: list[int] = []

    def backend(graph: Any, _: object) -> Callable[..., Any]:
        seen.append(0)
        if len(seen) > part:
            raise error
        made: Callable[..., Any] = graph.forward
        return made

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **kw: real(f, **kw | {"backend": backend}))
    assert dynamo.config.suppress_errors is False
    return seen


def test_a_failure_falls_back_and_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    model = filled()
    exact = velocity(model)
    seen = failing(monkeypatch, RuntimeError("no compiler here.\nmore lines"))
    with running(model, "sdpa", Compiling(mode="default"), None):
        for _ in range(2):
            assert torch.equal(velocity(model), exact)
    assert len(seen) == 1  # tried once
    assert take_warnings() == (
        "torch.compile failed, so the run went on without it: no compiler here.",
    )


def test_torch_may_refuse_to_compile_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does for a Python that it does not know yet."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Dynamo is not supported on Python 4.0")

    monkeypatch.setattr(torch, "compile", refuse)
    model = filled()
    exact = velocity(model)
    with running(model, "sdpa", Compiling(), None):
        assert torch.equal(velocity(model), exact)
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)
    with running(model, "sdpa", Compiling(), None):
        assert torch.equal(velocity(model), exact)
    first, second = take_warnings()
    assert first.endswith("Dynamo is not supported on Python 4.0.")
    assert "torch._dynamo" in second


class Halves(nn.Module):
    """Writes over its input in one graph, and again in another."""

    def forward(self, x: Tensor) -> Tensor:
        x.add_(1)
        torch._dynamo.graph_break()
        return x.mul_(2)


def test_a_failure_half_way_does_not_count_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, RuntimeError("the second half"), part=1)
    with compiled(Compiling()) as run:
        assert torch.equal(run(Halves(), torch.ones(3)), torch.full((3,), 4.0))
        assert run.is_plain


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("out of memory"), MemoryError()])
def test_want_of_memory_is_no_failure_of_the_compiler(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, error)
    model = filled()
    with pytest.raises(type(error)), running(model, "sdpa", Compiling(), None):
        velocity(model)
    assert take_warnings() == ()


def test_what_a_block_raises_itself_is_raised() -> None:
    model = filled()
    with (
        pytest.raises(EngineError, match="no attention mode"),
        running(model, "none such", eagerly(Compiling()), None),
    ):
        velocity(model)


def test_no_compiler_is_a_failure_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a computer without one: inductor itself finds none."""
    import torch._inductor.config as config

    model = filled()
    exact = velocity(model)
    with (
        config.patch({"cpp.cxx": ("none-such-compiler",), "force_disable_caches": True}),
        running(model, "sdpa", Compiling(), None),
    ):
        assert torch.equal(velocity(model), exact)
    (sentence,) = take_warnings()
    assert sentence.startswith("torch.compile failed, so the run went on without it: ")


@pytest.mark.parametrize(
    ("kind", "capability", "backend", "why"),
    [
        (torch.float8_e4m3fn, (8, 6), "inductor", "8-bit weights"),
        (torch.float8_e4m3fn, (8, 9), "inductor", ""),
        (torch.float8_e4m3fn, (8, 6), "cudagraphs", ""),
        (torch.float8_e5m2, (8, 6), "inductor", ""),
        (torch.float8_e5m2, (6, 1), "inductor", "too old"),
    ],
)
def test_what_a_card_cannot_compile_is_known_before(
    kind: Any,
    capability: tuple[int, int],
    backend: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = filled()
    to_fp8(model, *LARGE_LINEARS, form=Fp8Form(kind))
    monkeypatch.setattr(subject, "find_spec", lambda _: object())
    how = Compiling(backend=backend)
    reason = refusal(how, model, torch.device("cuda"), capability)
    assert why in reason
    assert bool(reason) == bool(why)
    assert refusal(how, model, torch.device("cpu"), (0, 0)) == ""


def test_without_triton_a_card_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "find_spec", lambda _: None)
    assert "Triton" in refusal(Compiling(), filled(), torch.device("cuda"), (9, 0))


def test_whether_a_card_multiplies_is_looked_up_while_it_is_compiled() -> None:
    """And not tried in the middle of a block."""

    def asked(x: Tensor) -> Tensor:
        return x + multiplies(x.device, x.dtype)

    found = torch.compile(asked, backend="eager", fullgraph=True)(torch.ones(2))
    assert torch.equal(found, torch.ones(2))


def test_modules_are_called_as_they_are_after_a_failure() -> None:
    run = Compiled(eagerly(Compiling()))
    run.is_plain = True
    assert torch.equal(run(nn.Identity(), torch.ones(2)), torch.ones(2))
    assert graphs() == (0, 0)
    assert os.environ[FOLDER].endswith("elsewhere")
