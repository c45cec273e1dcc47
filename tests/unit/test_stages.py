"""A module on another device for a while, and back as it was."""

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from engine.models.stages import keep_on_device, on_device, places_of


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
    with on_device(made, "meta", without=places_of(made[0])):
        assert not made[0].weight.is_meta
        assert made[1].running_mean.is_meta


def test_what_is_brought_for_good_stays() -> None:
    made = module()
    left = {(made[1], "running_mean")}
    keep_on_device(made, "meta", left)
    assert made[0].weight.is_meta
    assert not made[1].running_mean.is_meta
    with on_device(made, "meta"):
        assert made[1].running_mean.is_meta
    assert not made[1].running_mean.is_meta


def test_weights_brought_while_gradients_are_off_are_of_one_kind() -> None:
    """Compiled blocks are compiled anew for tensors of another kind."""
    with torch.inference_mode():
        made = module()
        with on_device(made, "meta"):
            assert not made[0].weight.is_inference()
            assert not made[1].running_mean.is_inference()
