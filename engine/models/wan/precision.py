"""Which of Wan's tensors stay in the precision of the run when the rest is kept in 8 bits.

Two rules are in use, of 2025-03 and a later one; files were made by either. They differ in the
text embedding and the head, which are less than a hundredth of the weights: both stay here.
"""

import torch

from engine.models.linear import Fp8Form

_ALWAYS = ("norm", "bias", "time_", "patch_embedding", "img_emb", "modulation")

FP8_FORMS = {
    "fp8_e4m3fn": Fp8Form(torch.float8_e4m3fn, "none", is_fast=False),
    "fp8_e4m3fn_fast": Fp8Form(torch.float8_e4m3fn, "none"),
    "fp8_e4m3fn_scaled": Fp8Form(torch.float8_e4m3fn, "row", is_fast=False),
    "fp8_e4m3fn_scaled_fast": Fp8Form(torch.float8_e4m3fn, "row"),
    "fp8_e5m2": Fp8Form(torch.float8_e5m2, "none", is_fast=False),
    "fp8_e5m2_fast": Fp8Form(torch.float8_e5m2, "none"),
    "fp8_e5m2_scaled": Fp8Form(torch.float8_e5m2, "row", is_fast=False),
    "fp8_e5m2_scaled_fast": Fp8Form(torch.float8_e5m2, "row"),
}


def stays_wide(name: str) -> bool:
    """Whether the tensor keeps the precision of the run, by either rule."""
    return stayed_wide_first(name) or stayed_wide_later(name)


def stayed_wide_first(name: str) -> bool:
    """By the rule of 2025-03: the head stays, the text embedding does not."""
    return any(word in name for word in (*_ALWAYS, "head"))


def stayed_wide_later(name: str) -> bool:
    """By the later rule: the text embedding stays, the head does not."""
    return any(word in name for word in (*_ALWAYS, "text_embedding"))
