"""Recorded cases of LoRAs and of weights in 8 bits, as the transformer's loader calls them."""

import re

import torch
from torch import Tensor, nn

from engine.models.linear import Fp8Form, Fp8Linear
from engine.models.lora import LoraUse, merge, read_lora, shapes_of
from engine.models.wan.precision import stayed_wide_first, stayed_wide_later
from engine.models.wan.transformer import Transformer
from tests.golden.case import Case
from tests.golden.registry import runs
from tests.golden.wan_dit import wan_transformer

TIMESTEP = re.compile(r"timestep ([0-9.]+)")  # only the case's description names it


@runs("wan_lora")
def run_lora(case: Case) -> dict[str, Tensor]:
    """Each file merged into a model of its own: parameters that changed, and the velocity."""
    outputs = {"v_base": _velocity(_model(case), case)}
    files: dict[str, dict[str, Tensor]] = {}
    for name, tensor in case.inputs.items():
        if "/" in name:
            file, _, key = name.partition("/")
            files.setdefault(file, {})[key] = tensor
    for file, tensors in files.items():
        model = _model(case)
        lora = read_lora(tensors, shapes_of(model), file)
        merge(model, [LoraUse(lora, case.config["strength"])])
        for name in lora.matching.changed:
            outputs[f"{file}/{name}"] = model.get_parameter(name)
        outputs[f"v_{file}"] = _velocity(model, case)
    return outputs


@runs("wan_fp8")
def run_fp8(case: Case) -> dict[str, Tensor]:
    """A linear layer in each form, and what stays wide by each rule."""
    x, names = case.inputs["x"], case.config["names"]
    e4m3, e5m2, scaled = (
        Fp8Linear(_linear(case), Fp8Form(kind, scales))
        for kind, scales in (
            (torch.float8_e4m3fn, "none"),
            (torch.float8_e5m2, "none"),
            (torch.float8_e4m3fn, "tensor"),
        )
    )
    return {
        "cast_e4m3": e4m3.widened(torch.float32),
        "cast_e5m2": e5m2.widened(torch.float32),
        "scale": scaled.scale.view(torch.float32)[0],
        "scaled_e4m3": scaled.weight.view(torch.float8_e4m3fn).float(),
        "y_cast": e4m3(x),
        "y_scaled": scaled(x),
        "keep_2025_03": torch.tensor([float(stayed_wide_first(name)) for name in names]),
        "keep_newer": torch.tensor([float(stayed_wide_later(name)) for name in names]),
    }


def _model(case: Case) -> Transformer:
    return wan_transformer(case.weights(), case.config, case.name)


def _velocity(model: Transformer, case: Case) -> Tensor:
    found = TIMESTEP.search(" ".join(case.about["outputs"].values()))
    time = torch.tensor([float(found[1].rstrip(".")) if found else 500.0])
    condition = model.condition([case.inputs["context"]])
    return model(case.inputs["latent"][None], time, condition)[0]


def _linear(case: Case) -> nn.Linear:
    weight = case.inputs["weight"]
    linear = nn.Linear(weight.shape[1], weight.shape[0]).requires_grad_(False)
    linear.weight.copy_(weight)
    linear.bias.copy_(case.inputs["bias"])
    return linear
