"""Builds the fused kernels for cards that are not here, as `test_kernels_fused` asks.

Arguments: compute capabilities (90). Prints for each card and kernel, at full size and in
bfloat16, how many of its loads and stores move 16 bytes, and whether registers were spilled.
"""

import re
import sys
from typing import Any

from triton import compile as build
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from engine.models.kernels import norm, pointwise, quantise, rope

# Names of parameters, by type; every other is an address of bfloat16 or a constant.
WIDE = {"cos_at", "sin_at", "scale_at"}
NUMBERS = {"eps": "fp32", "largest": "fp32"}
COUNTS = {"dim", "half", "head_half", "tokens", "columns", "count", "channels"}

KERNELS: list[tuple[str, Any, int, dict[str, Any]]] = [
    (
        "add_norm",
        norm._add_norm_kernel,
        8,
        {"WIDTH": 2048, "HAS_Y": True, "HAS_GATE": True, "HAS_NORM": True},
    ),
    ("rms", norm._rms_kernel, 8, {"WIDTH": 2048}),
    ("rms_rotate", rope._rms_rotate_kernel, 8, {"HALF": 1024}),
    (
        "bias_relu",
        pointwise._bias_relu_kernel,
        4,
        {"SPAN": pointwise.SPAN, "HAS_BIAS": True, "HAS_SHORTCUT": True},
    ),
    ("rows", quantise._rows_kernel, 16, {"WIDTH": 16384, "GELU": True}),
]


def main(capability: int) -> None:
    for name, kernel, warps, constants in KERNELS:
        if name == "rows" and capability < 89:
            continue  # as `linear.multiplies` says
        signature, aligned = {}, {}
        for i, parameter in enumerate(kernel.arg_names):
            if parameter in constants:
                signature[parameter] = "constexpr"
                continue
            wide = parameter in WIDE and name in ("rms_rotate", "rows")
            kind = "*fp8e4nv" if parameter == "packed_at" else "*fp32" if wide else "*bf16"
            number = NUMBERS.get(parameter, "i32")
            signature[parameter] = kind if parameter.endswith("_at") else number
            if number == "i32":
                aligned[(i,)] = [["tt.divisibility", 16]]
        places = {(kernel.arg_names.index(k),): v for k, v in constants.items()}
        source = ASTSource(kernel, signature, places, aligned)
        target = GPUTarget("cuda", capability, 32)
        text = build(source, target=target, options={"num_warps": warps}).asm["ptx"]
        moves = re.findall(r"(?:ld|st)\.global\S*", text)
        vectors = sum(".v4." in move for move in moves)
        sys.stdout.write(f"{capability} {name} {vectors} {len(moves)} {text.count('.local')}\n")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        main(int(argument))
