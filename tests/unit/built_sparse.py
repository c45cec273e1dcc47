"""Builds the sparse kernel for cards that are not here, as `test_kernels_sparse` asks.

Arguments, in pairs: a compute capability (90), and the place of the configuration in its row.
Prints for each the shared memory that a program takes, and how many instructions of three kinds
there are: Hopper's products, older products, copies of whole tiles.
"""

import sys

from triton import compile as build
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from engine.models.kernels import sparse

POINTERS = {
    **dict.fromkeys(("q", "k", "v", "out"), "*bf16"),
    **dict.fromkeys(("k_scale", "v_scale"), "*fp32"),
    **dict.fromkeys(("counts", "lists", "order"), "*i32"),
}
NUMBERS = dict.fromkeys(("blocks", "columns", "keys", "q_rows", "k_rows", "v_rows"), "i32")


def main(capability: int, place: int) -> None:
    config = sparse.CONFIGS[divmod(capability, 10)][place]
    signature = {**POINTERS, "scale": "fp32", **NUMBERS}
    if capability >= 90:
        for name, rows in (("q", config.queries), ("k", config.keys), ("v", config.keys)):
            signature[name] = f"tensordesc<bf16[{rows}, 128]>"
    constants = {
        "TQ": 128,
        "TK": 128,
        "D": 128,
        "BM": config.queries,
        "BN": config.keys,
        "STAGES": config.stages,
        "TMA": capability >= 90,
        "SCALED": False,
        "PRECISION": "tf32",
    }
    signature |= dict.fromkeys(constants, "constexpr")
    parameters = sparse.kernel.arg_names
    aligned = {
        (i,): [["tt.divisibility", 16]]
        for i, name in enumerate(parameters)
        if signature[name].startswith("*") or name.endswith("_rows")
    }
    source = ASTSource(
        sparse.kernel, signature, {(parameters.index(k),): v for k, v in constants.items()}, aligned
    )
    options = {"num_warps": config.warps, "num_stages": config.stages}
    if config.registers:
        options["maxnreg"] = config.registers
    built = build(source, target=GPUTarget("cuda", capability, 32), options=options)
    text = built.asm["ptx"]
    kinds = [
        text.count(x) for x in ("wgmma.mma_async", "mma.sync.aligned", "bulk.tensor.2d.shared")
    ]
    sys.stdout.write(f"{built.metadata.shared} {kinds[0]} {kinds[1]} {kinds[2]}\n")


if __name__ == "__main__":
    for capability, place in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        main(int(capability), int(place))
