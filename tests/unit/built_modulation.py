"""Builds the modulation's kernel for cards that are not here, as `test_wan_kernels` asks.

Arguments: compute capabilities (90). Prints for each card and width, with the sum in float32 beside
bfloat16, how many loads and stores move 16 bytes, and whether registers were spilled.
"""

import re
import sys
from typing import Any

from triton import compile as build
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from engine.models.kernels.modulation import TOGETHER, _modulate_kernel

HALVES = {"y_at", "out_at"}


def main(capability: int) -> None:
    for width, warps in ((2048, 8), (8192, 16)):
        constants = {"WIDTH": width, "TOGETHER": TOGETHER}
        constants |= dict.fromkeys(("HAS_Y", "HAS_GATE", "HAS_NORM"), True)
        signature: dict[str, str] = {}
        aligned: dict[tuple[int], list[Any]] = {}
        for i, parameter in enumerate(_modulate_kernel.arg_names):
            if parameter in constants:
                signature[parameter] = "constexpr"
            elif parameter == "eps":
                signature[parameter] = "fp32"
            else:
                address = "*bf16" if parameter in HALVES else "*fp32"
                signature[parameter] = address if parameter.endswith("_at") else "i32"
                aligned[(i,)] = [["tt.divisibility", 16]]
        places = {(_modulate_kernel.arg_names.index(k),): v for k, v in constants.items()}
        source = ASTSource(_modulate_kernel, signature, places, aligned)
        target = GPUTarget("cuda", capability, 32)
        text = build(source, target=target, options={"num_warps": warps}).asm["ptx"]
        moves = re.findall(r"(?:ld|st)\.global\S*", text)
        vectors = sum(".v4." in move for move in moves)
        sys.stdout.write(f"{capability} {width} {vectors} {len(moves)} {text.count('.local')}\n")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        main(int(argument))
