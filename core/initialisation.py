"""Initial weights drawn from a run's own generator.

torch's layers draw theirs from the process-wide generator, which all viewers of one server share: two runs at once
would change each other's curves. So a layer is built without weights (`Linear`, `Conv2d`, any other by `empty`) and
filled here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn


class Linear(nn.Linear):
    """torch's layer with its weights allocated but not drawn; `draw` must follow."""

    def reset_parameters(self) -> None:
        pass


class Conv2d(nn.Conv2d):
    """torch's layer with its weights allocated but not drawn; `draw` must follow."""

    def reset_parameters(self) -> None:
        pass


def empty(layer: Callable[..., nn.Module], *arguments, **options) -> nn.Module:
    """Build a layer of torch's with its weights allocated but not drawn, several times as slowly as the two above."""
    with torch.device("meta"):
        module = layer(*arguments, **options)
    return module.to_empty(device="cpu")


@torch.no_grad()
def draw(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Fill every linear and convolution layer of `module` as torch does by default: U(−1/√fan_in, 1/√fan_in)."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return module


@torch.no_grad()
def draw_he(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """As `draw`, keeping the size of signals through ReLUs (He et al. 2015): U(−√(6/fan_in), √(6/fan_in)), biases 0."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module
