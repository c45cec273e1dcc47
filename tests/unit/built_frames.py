"""Builds the VAE's kernels for cards that are not here, as `test_wan_vae_kernels` asks.

Arguments: compute capabilities (90). Prints for each card, kernel and width, in bfloat16, how many
loads and stores move 16 bytes of all, and whether registers were spilled.
"""

import re
import sys
from typing import Any

from triton import compile as build
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from engine.models.kernels.frames import SPAN, _add_norm_kernel, _interleave_kernel

PARTS = ("HAS_OTHER", "HAS_BIAS", "HAS_NORM", "HAS_SILU", "KEEPS")


def main(capability: int) -> None:
    for lanes in (128, 256, 512):
        rows = SPAN // lanes
        full = {"ROWS": rows, "WIDTH": lanes} | dict.fromkeys(PARTS, True)
        for name, kernel, constants in (
            ("add_norm", _add_norm_kernel, full),
            ("interleave", _interleave_kernel, {"COLUMNS": rows, "WIDTH": lanes}),
        ):
            text = built(capability, kernel, constants)
            moves = re.findall(r"(?:ld|st)\.global\S*", text)
            vectors = sum(".v4." in move for move in moves)
            spilled = text.count(".local")
            sys.stdout.write(f"{capability} {name} {lanes} {vectors} {len(moves)} {spilled}\n")


def built(capability: int, kernel: Any, constants: dict[str, Any]) -> str:
    signature: dict[str, str] = {}
    aligned: dict[tuple[int], list[Any]] = {}
    for i, parameter in enumerate(kernel.arg_names):
        if parameter in constants:
            signature[parameter] = "constexpr"
        elif parameter in ("root", "least"):
            signature[parameter] = "fp32"
        else:
            signature[parameter] = "*bf16" if parameter.endswith("_at") else "i32"
            aligned[(i,)] = [["tt.divisibility", 16]]
    places = {(kernel.arg_names.index(k),): v for k, v in constants.items()}
    target = GPUTarget("cuda", capability, 32)
    text: str = build(ASTSource(kernel, signature, places, aligned), target=target).asm["ptx"]
    return text


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        main(int(argument))
