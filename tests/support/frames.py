"""Wan's VAE on the meta device, where torch shows other sizes than on a card."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.wan import vae_layers
from engine.models.wan.vae_halves import Encoder


def as_on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions give channels last, attention holds no scores, and no frame repeats another."""

    def convolved(
        x: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1, padding: int = 0
    ) -> Tensor:
        rows, columns = (
            (side + 2 * padding - kernel) // stride + 1
            for side, kernel in zip(x.shape[1:3], weight.shape[2:], strict=True)
        )
        return x.new_empty(len(x), rows, columns, len(weight))

    monkeypatch.setattr(vae_layers, "_convolved", convolved)
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda q, k, v: torch.empty_like(q))
    monkeypatch.setattr(Encoder, "repeats", lambda self, frames, memory: [False] * len(frames))
