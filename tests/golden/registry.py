"""Which function computes which case. A family's modules are imported when first asked for.

A module registers with `@runs("flashvsr_dit_block")`; the name is the case's own. A case whose name
goes on after a registered one ("flashvsr_dit_block_small") is run by the longest that fits.
"""

from collections.abc import Callable
from importlib import import_module

from torch import Tensor

from tests.golden.case import Case

Runner = Callable[[Case], dict[str, Tensor]]

RUNNERS: dict[str, Runner] = {}

FAMILIES: dict[str, tuple[str, ...]] = {
    "flashvsr": ("tests.golden.flashvsr", "tests.golden.wan_vae"),
    "wan": (
        "tests.golden.wan_conditioning",
        "tests.golden.wan_dit",
        "tests.golden.wan_pipeline",
        "tests.golden.wan_lora",
        "tests.golden.wan_sampling",
        "tests.golden.wan_text",
        "tests.golden.wan_vae",
        "tests.golden.wan_windows",
    ),
}


class UnknownCase(LookupError):
    """No function computes a case of this name."""


def runs(name: str) -> Callable[[Runner], Runner]:
    """Register the function below it for the cases called `name`."""

    def register(runner: Runner) -> Runner:
        RUNNERS[name] = runner
        return runner

    return register


def runner_of(name: str) -> Runner:
    """The function for the case called `name`. Raises UnknownCase."""
    family = name.split("_")[0]
    if family not in FAMILIES:
        raise UnknownCase(f"unknown family {family!r}")
    for module in FAMILIES[family]:
        import_module(module)
    words = name.split("_")
    for length in range(len(words), 0, -1):
        if runner := RUNNERS.get("_".join(words[:length])):
            return runner
    raise UnknownCase(f"no function computes {name!r}")
