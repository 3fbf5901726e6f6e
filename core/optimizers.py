"""Gradient-descent methods, by torch's functional forms.

The functional forms run the same kernels as the classes of `torch.optim` (fused where torch has them), but importing
and building them does not load torch's compiler, which costs a server 70 MB and a second.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

OPTIMIZERS = ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw")
MOMENTUM = 0.9
ADAM_BETAS = (0.9, 0.999)
RMSPROP_DECAY = 0.99


class Optimizer:
    """One of OPTIMIZERS over a list of parameters; agrees with torch's class of the same name and its defaults.

    Args:
        kind: one of OPTIMIZERS; "momentum" and "nesterov" are SGD with `momentum`.
        parameters: the tensors to update, in place.
        weight_decay: the factor of the L2 penalty (decoupled for "adamw").
        momentum: how much of its last step "momentum" and "nesterov" keep; the others have none.

    Raises:
        ValueError: `kind` is none of OPTIMIZERS.
    """

    def __init__(self, kind: str, parameters: list[Tensor], weight_decay: float = 0.0, momentum: float = MOMENTUM):
        if kind not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {kind!r}")
        self.kind, self.parameters, self.weight_decay = kind, parameters, weight_decay
        self.momentum = momentum if kind in ("momentum", "nesterov") else 0.0
        self.momenta: list[Tensor | None] = [None] * len(parameters)  # torch fills them at the first step
        self.means = [torch.zeros_like(p) for p in parameters] if kind in ("adam", "adamw") else []
        self.squares = [torch.zeros_like(p) for p in parameters] if kind in ("adam", "adamw", "rmsprop") else []
        self.steps = [torch.tensor(0.0) for _ in parameters]

    @torch.no_grad()
    def step(self, gradients: list[Tensor], learning_rate: float) -> None:
        """Update every parameter in place with its gradient."""
        # The fused kernels read both as they lie in memory: a transposed gradient would move the wrong weights.
        gradients = [
            gradient if gradient.stride() == parameter.stride() else torch.empty_like(parameter).copy_(gradient)
            for parameter, gradient in zip(self.parameters, gradients, strict=True)
        ]
        if self.kind in ("adam", "adamw"):
            update = adam if self.kind == "adam" else adamw
            update(
                self.parameters, gradients, self.means, self.squares, [], self.steps,
                fused=True, amsgrad=False, beta1=ADAM_BETAS[0], beta2=ADAM_BETAS[1],
                lr=learning_rate, weight_decay=self.weight_decay, eps=1e-8, maximize=False,
            )  # fmt: skip
        elif self.kind == "rmsprop":
            rmsprop(
                self.parameters, gradients, self.squares, [], [], self.steps,
                foreach=True, lr=learning_rate, alpha=RMSPROP_DECAY, eps=1e-8, weight_decay=self.weight_decay,
                momentum=0.0, centered=False,
            )  # fmt: skip
        else:
            sgd(
                self.parameters, gradients, self.momenta,
                fused=True, weight_decay=self.weight_decay, momentum=self.momentum, lr=learning_rate,
                dampening=0.0, nesterov=self.kind == "nesterov" and self.momentum > 0, maximize=False,
            )  # fmt: skip
