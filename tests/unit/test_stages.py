"""A module on another device for a while, and back as it was."""

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from engine.models.stages import on_device


def module() -> nn.Module:
    made = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    return made.requires_grad_(False)


def test_weights_are_on_the_device_within_and_the_very_same_after() -> None:
    made = module()
    before = made.state_dict(keep_vars=True)
    with on_device(made, "meta") as there:
        assert there is made
        assert {tensor.device.type for tensor in made.state_dict().values()} == {"meta"}
        assert isinstance(made[0].weight, nn.Parameter)
    after = made.state_dict(keep_vars=True)
    assert all(after[name] is tensor for name, tensor in before.items())


def test_an_error_brings_them_back_too() -> None:
    made = module()
    with pytest.raises(KeyError), on_device(made, "meta"):
        raise KeyError
    assert not made[0].weight.is_meta


def test_what_is_there_already_is_not_touched_and_parts_may_be_left_out() -> None:
    made = module()
    with on_device(made, "cpu"):
        assert made(torch.ones(2, 3)).shape == (2, 2)
    with on_device(made, "meta", without=[made[0]]):
        assert not made[0].weight.is_meta
        assert made[1].running_mean.is_meta
