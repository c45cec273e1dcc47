"""Builds the kernels of 8-bit attention for cards that are not here, as `test_models_int8` asks.

Arguments: compute capabilities (90). Prints for each and each kernel the shared memory that a
program takes, how many instructions of four kinds there are (Hopper's products, older products of
8 bits, older products of float16, those summed in float16), and how often local memory is used.
"""

import re
import sys
from typing import Any

from triton import compile as build
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from engine.models.kernels import int8

POINTERS = {
    **dict.fromkeys(("q_at", "k_at", "packed_at"), "*i8"),
    **dict.fromkeys(("q_scale_at", "k_scale_at", "v_scale_at", "scale_at"), "*fp32"),
    **dict.fromkeys(("mean_at", "largest_at", "sums_at", "tops_at"), "*fp32"),
    **dict.fromkeys(("halves_at",), "*fp16"),
}
# What numbers a card can copy 16 bytes by, of heads with 128 channels.
EVEN = ("_stride", "k_token", "k_head", "v_token", "v_head", "features")
KINDS = (
    "wgmma.mma_async",
    r"mma.sync.aligned\S+.s8.s8.s32",
    r"mma.sync.aligned\S+.f32.f16.f16.f32",
    r"mma.sync.aligned\S+.f16.f16.f16.f16",
)


def report(name: str, kernel: Any, capability: int, constants: dict[str, Any], **own: str) -> None:
    config = int8.CONFIGS[divmod(capability, 10)]
    signature, aligned = {}, {}
    for i, parameter in enumerate(kernel.arg_names):
        if parameter in constants:
            signature[parameter] = "constexpr"
            continue
        number = "fp32" if parameter == "factor" else "i32"
        address = own.get(parameter) or POINTERS.get(parameter, "*bf16")
        is_address = parameter.endswith("_at")
        signature[parameter] = address if is_address else number
        if is_address or parameter.endswith(EVEN):
            aligned[(i,)] = [["tt.divisibility", 16]]
    places = {(kernel.arg_names.index(k),): v for k, v in constants.items()}
    source = ASTSource(kernel, signature, places, aligned)
    options = {"num_warps": 8}
    if name == "attend":
        options = {"num_warps": config.warps, "num_stages": config.stages}
    elif name in ("measure", "halve"):
        options = {}
    built = build(source, target=GPUTarget("cuda", capability, 32), options=options)
    text = built.asm["ptx"]
    counts = [len(re.findall(kind, text)) for kind in KINDS]
    sys.stdout.write(
        f"{capability} {name} {built.metadata.shared} {' '.join(map(str, counts))} "
        f"{text.count('.local')}\n"
    )


def main(capability: int) -> None:
    config = int8.CONFIGS[divmod(capability, 10)]
    width = {"WIDTH": 128}
    measured = {"COUNTED": int8.COUNTED, "STEP": 32, **width}
    report("measure", int8._measure_kernel, capability, measured, k_at="*bf16")
    rows = {"GROUP": config.queries, **width, "PER_TOKEN": True, "HAS_MEAN": False}
    report("pack", int8._pack_kernel, capability, rows)
    tile = {"GROUP": config.keys, **width, "PER_TOKEN": False, "HAS_MEAN": True}
    report("pack", int8._pack_kernel, capability, tile)
    report("halve", int8._halve_kernel, capability, {"GROUP": config.keys, **width})
    attend = {
        "BM": config.queries,
        "BN": config.keys,
        **width,
        "STAGES": config.stages,
        "SUMS_IN_HALF": config.sums_in_half,
    }
    report("attend", int8._attend_kernel, capability, attend, v_at="*fp16")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        main(int(argument))
