"""Dense attention's modes: what is offered and why not, that each is attention, and the default.

The packages are stand-ins that compute by the packages' own conventions, so a wrong layout or
scale in a call gives wrong numbers.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import sleep

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from engine.errors import EngineError  # noqa: E402
from engine.models import dense as subject  # noqa: E402
from engine.models.attention import (  # noqa: E402
    attention,
    default_mode,
    exact_mode,
    mended,
    modes,
    take_warnings,
)

CPU = torch.device("cpu")
PACKAGES = ("flash_attn", "flash_attn_interface", "sageattention", "xformers")

# (B, S, N, D) in and out, 16 bits only; as flash-attn 2 and 3 and xFormers take them.
EXACT = """
import torch

def {name}(q, k, v{arguments}):
    if q.dtype not in (torch.float16, torch.bfloat16):
        raise RuntimeError("only fp16 and bf16")
    scores = torch.einsum("blnd,bsnd->bnls", q.float(), k.float()) * {scale}
    out = torch.einsum("bnls,bsnd->blnd", scores.softmax(-1), v.float()).to(q.dtype)
    return {result}
"""
# Heads before tokens unless told otherwise; int8 products, which overflow for large keys.
SAGE = """
import torch

def sageattn(q, k, v, tensor_layout="HND", is_causal=False, sm_scale=None, return_lse=False):
    if tensor_layout == "NHD":
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    steps = [x.abs().amax((2, 3), keepdim=True).float() / 127 for x in (q, k)]
    a, b = ((x.float() / step).round() for x, step in zip((q, k), steps))
    scores = a @ b.transpose(2, 3) * steps[0] * steps[1] * sm_scale
    out = (scores.exp() / scores.exp().sum(3, keepdim=True)) @ v.float()
    return (out.transpose(1, 2) if tensor_layout == "NHD" else out).to(q.dtype)
"""

Package = Callable[[str, str], None]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Installs a package of the given name and text for one test."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def install(name: str, text: str) -> None:
        folder = tmp_path.joinpath(*name.split("."))
        folder.mkdir(parents=True)
        tmp_path.joinpath(name.split(".")[0], "__init__.py").touch()
        folder.joinpath("__init__.py").write_text(text)
        importlib.invalidate_caches()
        subject._reason.cache_clear()

    yield install
    for name in set(sys.modules) - before:
        if name.split(".")[0] in (
            "flash_attn",
            "flash_attn_interface",
            "sageattention",
            "xformers",
        ):
            del sys.modules[name]
    subject._reason.cache_clear()
    take_warnings()


def drawn(dtype: torch.dtype = torch.bfloat16) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(3)
    shapes = ((2, 5, 3, 48), (2, 7, 3, 48), (2, 7, 3, 48))
    q, k, v = (torch.randn(x, generator=draw).to(dtype) for x in shapes)
    return q, k, v


def softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = q.float(), k.float(), v.float()
    scores = torch.einsum("blnd,bsnd->bnls", q, k) / q.shape[3] ** 0.5
    return torch.einsum("bnls,bsnd->blnd", scores.softmax(-1), v)


FLASH = ", dropout_p=0.0, softmax_scale=None, causal=False"
FLASH_3 = ", softmax_scale=None, causal=False"
XFORMERS = ", attn_bias=None, p=0.0, scale=None"


@pytest.mark.parametrize(
    ("mode", "name", "text"),
    [
        ("flash_attn_2", "flash_attn", ("flash_attn_func", FLASH, "softmax_scale", "out")),
        (
            "flash_attn_3",
            "flash_attn_interface",
            ("flash_attn_func", FLASH_3, "softmax_scale", "out"),
        ),
        (
            "flash_attn_3",
            "flash_attn_interface",
            ("flash_attn_func", FLASH_3, "softmax_scale", "out, scores.logsumexp(-1)"),
        ),
        ("xformers", "xformers.ops", ("memory_efficient_attention", XFORMERS, "scale", "out")),
    ],
)
def test_a_package_computes_attention(
    package: Package, mode: str, name: str, text: tuple[str, str, str, str]
) -> None:
    function, arguments, scale, result = text
    package(name, EXACT.format(name=function, arguments=arguments, scale=scale, result=result))
    assert next(x for x in modes(CPU) if x.name == mode).reason == ""
    q, k, v = drawn()
    found = attention(q, k, v, mode)
    assert found.dtype == torch.bfloat16
    assert subject.is_right(found, softmax(q, k, v))
    with pytest.raises(EngineError, match="16-bit numbers, and these are float32"):
        attention(q.float(), k.float(), v.float(), mode)


def test_eight_bits_are_near_and_say_nothing(package: Package) -> None:
    package("sageattention", SAGE)
    q, k, v = drawn()
    error = attention(q, k, v, "sageattn").float() - softmax(q, k, v)
    assert error.square().mean().sqrt() < 0.03
    assert take_warnings() == ()


def test_eight_bits_that_overflow_are_mended_and_said(package: Package) -> None:
    package("sageattention", SAGE)
    q, k, v = drawn()
    k = k * 100
    for _ in range(2):
        assert subject.is_right(attention(q, k, v, "sageattn"), softmax(q, k, v))
    (sentence,) = take_warnings()
    assert "not finite" in sentence
    assert "SageAttention" in sentence
    assert take_warnings() == ()


def test_who_calls_often_mends_at_the_end(package: Package) -> None:
    package("sageattention", SAGE)
    q, k, v = drawn()
    k = k * 100
    broken = attention(q, k, v, "sageattn", mends=False)
    assert not broken.isfinite().all()
    assert take_warnings() == ()
    exact = attention(q, k, v)
    assert mended(broken, "sageattn", lambda: exact) is exact
    assert len(take_warnings()) == 1
    assert mended(broken, "sdpa", lambda: exact) is broken


def test_numbers_that_were_not_finite_before_are_not_the_modes_fault(package: Package) -> None:
    package("sageattention", SAGE)
    q, k, v = drawn()
    v[0, 0, 0, 0] = torch.nan
    assert attention(q, k, v, "sageattn").isnan().any()
    assert take_warnings() == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise ImportError('libcudart.so.12: cannot open\\nmore')", "does not load: libcudart"),
        ("other = 1", "does not load: module 'flash_attn' has no attribute"),
        (
            "def flash_attn_func(q, k, v, softmax_scale):\n"
            "    raise RuntimeError('FlashAttention only supports Ampere GPUs or newer.')",
            "does not run here: FlashAttention only supports Ampere GPUs or newer",
        ),
    ],
)
def test_a_package_that_does_not_work_says_why(package: Package, text: str, reason: str) -> None:
    package("flash_attn", text)
    (mode,) = (x for x in modes(CPU) if x.name == "flash_attn_2")
    assert reason in mode.reason
    assert "\n" not in mode.reason
    with pytest.raises(EngineError, match="flash_attn_2"):
        attention(*drawn(), "flash_attn_2")


@pytest.mark.parametrize("mode", ["sdpa", "sdpa_flash", "sdpa_math"])
def test_torchs_own_modes_are_attention(mode: str) -> None:
    q, k, v = drawn(torch.float32)
    torch.testing.assert_close(attention(q, k, v, mode), softmax(q, k, v))


def test_what_needs_a_card_or_is_not_there_says_so() -> None:
    reasons = {x.name: x.reason for x in modes(CPU)}
    assert reasons["int8"] in ("Triton is not installed", "the model runs on the processor")
    assert reasons["sdpa_cudnn"] == reasons["sdpa_efficient"] == "it needs a CUDA card"
    with pytest.raises(EngineError, match="no attention mode 'magic'"):
        attention(*drawn(), "magic")


def test_a_processor_takes_torchs_own_choice() -> None:
    assert default_mode(CPU) == "sdpa"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A self-test of small size, whose answers are not kept."""
    for name in ("SELF_TEST", "TIMED"):
        monkeypatch.setattr(subject, name, (16, 16, 1))
    subject._fastest.cache_clear()
    yield
    subject._fastest.cache_clear()


@pytest.mark.usefixtures("quick")
def test_a_wrong_mode_never_becomes_the_default(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "def flash_attn_func(q, k, v, softmax_scale):\n    return q * 0"
    package("flash_attn", wrong)
    package("sageattention", SAGE)
    seconds = {subject._KINDS[x].run: s for x, s in (("sdpa_flash", 0.5), ("flash_attn_2", 0.1))}
    asked = []

    def timed(run: subject.Run, q: Tensor, k: Tensor, v: Tensor) -> float:
        asked.append(run)
        return seconds.get(run, 1.0)

    monkeypatch.setattr(subject, "timed", timed)
    assert subject._reason("flash_attn_2", CPU) == ""
    assert subject._fastest(CPU, torch.bfloat16) == "sdpa_flash"
    assert {subject._KINDS[x].run for x in ("flash_attn_2", "sageattn")}.isdisjoint(asked)


def test_a_mode_of_eight_bits_that_gives_noise_is_not_offered(package: Package) -> None:
    package("sageattention", SAGE.replace("v.float()", "v.float().roll(1, 2)"))
    (mode,) = (x for x in modes(CPU) if x.name == "sageattn")
    assert mode.reason == "it gives wrong numbers on this device"


def test_few_keys_are_attended_to_exactly() -> None:
    assert [exact_mode(mode, CPU) for mode in ("sageattn", "int8", "sdpa_math")] == [
        "sdpa",
        "sdpa",
        "sdpa_math",
    ]


def test_time_is_told_of_what_runs_and_what_fails() -> None:
    x = torch.zeros(1)

    def fails(*_: Tensor) -> Tensor:
        raise RuntimeError("No available kernel")

    assert 0.002 <= subject.timed(lambda *_: (sleep(0.002), x)[1], x, x, x) < 1
    assert subject.timed(fails, x, x, x) == float("inf")


@pytest.mark.usefixtures("quick")
def test_a_little_faster_is_not_worth_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {subject._KINDS["sdpa_flash"].run: 0.95}
    monkeypatch.setattr(subject, "timed", lambda run, *_: seconds.get(run, 1.0))
    assert subject._fastest(CPU, torch.float32) == "sdpa"
