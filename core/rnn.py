"""Memory by feedback: a time-delay network beside a simple recurrent network.

Sources: nndl, chapter on recurrent networks, sections on giving a network memory and on simple recurrent networks;
Elman 1990; Le, Jaitly & Hinton 2015 (identity for the recurrent weights).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

RNN_ACTIVATIONS = ("tanh", "relu")


# ---- the simple recurrent network ------------------------------------------------------------------------------------


class RNNTrace(NamedTuple):
    """Every number of a pass, step by step: h_t = f(z_t), z_t = W x_t + U h_{t−1} + b."""

    from_input: Tensor  # (T, B, hidden) W x_t
    from_past: Tensor  # (T, B, hidden) U h_{t−1}
    net_input: Tensor  # (T, B, hidden) z_t: their sum and both biases
    hidden: Tensor  # (T + 1, B, hidden) h_0 … h_T; the first is where it started


class RNN(nn.Module):
    """A simple recurrent network of one layer. It loads the state dict of a one-layer `torch.nn.RNN` and agrees with it.

    Args:
        input_size: D.
        hidden_size: units.
        activation: one of RNN_ACTIVATIONS.
        generator: draws the weights, all from U(−1/√hidden, 1/√hidden) as torch does.

    Raises:
        ValueError: an activation that is none of RNN_ACTIVATIONS.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: str = "tanh",
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        if activation not in RNN_ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(RNN_ACTIVATIONS)}, got {activation!r}")
        self.activation = activation
        self.weight_ih_l0 = nn.Parameter(torch.empty(hidden_size, input_size, dtype=dtype))
        self.weight_hh_l0 = nn.Parameter(torch.empty(hidden_size, hidden_size, dtype=dtype))
        self.bias_ih_l0 = nn.Parameter(torch.empty(hidden_size, dtype=dtype))
        self.bias_hh_l0 = nn.Parameter(torch.empty(hidden_size, dtype=dtype))
        bound = 1 / math.sqrt(hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(T, B, D) and h_0 (1, B, hidden), zero if None → h_1 … h_T (T, B, hidden) and h_T (1, B, hidden)."""
        start = self.start(x) if state is None else state[0]
        outputs = RecurrentPass.apply(
            x, start, self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0 + self.bias_hh_l0, self.activation
        )
        return outputs, outputs[-1:]

    def trace(self, x: Tensor, state: Tensor | None = None) -> RNNTrace:
        """The same pass with every number of it, by plain operations that autograd can follow."""
        hidden = [self.start(x) if state is None else state[0]]
        from_input = x @ self.weight_ih_l0.T
        from_past, net_input = [], []
        for step in from_input:
            from_past.append(hidden[-1] @ self.weight_hh_l0.T)
            net_input.append(step + from_past[-1] + self.bias_ih_l0 + self.bias_hh_l0)
            hidden.append(torch.tanh(net_input[-1]) if self.activation == "tanh" else torch.relu(net_input[-1]))
        return RNNTrace(from_input, torch.stack(from_past), torch.stack(net_input), torch.stack(hidden))

    def start(self, x: Tensor) -> Tensor:
        """h_0 = 0 (B, hidden)."""
        return x.new_zeros(x.shape[1], self.weight_hh_l0.shape[0])


class RecurrentPass(torch.autograd.Function):
    """All steps of a simple recurrent network, and backpropagation through time by hand.

    The inputs' products are made at once, as are the sums over time of the weights' gradients; of each step only what
    depends on the step before is left: one product and f forwards, one product and one multiplication backwards.
    tanh z is taken as 2σ(2z) − 1, because torch's sigmoid is two to four times as fast as its tanh: the loop runs on
    s = (1 + h)/2, with U h = 2U s − U 1.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, start: Tensor, w_in: Tensor, w_past: Tensor, bias: Tensor, activation: str):
        steps, count, _ = x.shape
        tanh = activation == "tanh"
        states = x.new_empty(steps + 1, count, w_past.shape[0])  # of tanh s_0 … s_T, of ReLU h_0 … h_T
        states[0] = (start + 1) / 2 if tanh else start
        torch.addmm(  # what the inputs push, in the place of the states that it pushes
            2 * (bias - w_past.sum(1)) if tanh else bias, x.reshape(steps * count, -1), w_in.T,
            alpha=2 if tanh else 1, out=states[1:].view(steps * count, -1),
        )  # fmt: skip
        turned = 4 * w_past.T if tanh else w_past.T
        squash = torch.sigmoid_ if tanh else torch.relu_
        for before, after in pairwise(states.unbind(0)):
            squash(after.addmm_(before, turned))
        outputs = states[1:].mul(2).sub_(1) if tanh else states[1:]
        ctx.save_for_backward(x, states, outputs, start, w_in, w_past)
        ctx.tanh = tanh
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor):  # type: ignore[override]
        x, states, outputs, start, w_in, w_past = ctx.saved_tensors
        reached = states[1:]
        slope = torch.addcmul(reached, reached, reached, value=-1) if ctx.tanh else (reached > 0).to(reached.dtype)
        error = grad.clone(memory_format=torch.contiguous_format)
        factor = 4 if ctx.tanh else 1  # tanh' = 4 s (1 − s): error becomes δ_t = ∂L/∂z_t divided by that 4
        scaled = factor * w_past
        rows = error.unbind(0)
        after = None
        for row, steepness in zip(reversed(rows), reversed(slope.unbind(0)), strict=True):
            if after is not None:
                row.addmm_(after, scaled)
            after = row.mul_(steepness)
        flat = error.view(-1, error.shape[-1])
        from_past = rows[0].T @ start  # ∂L/∂U is the sum of δ_t h_{t−1}ᵀ
        if len(rows) > 1:
            from_past.addmm_(error[1:].flatten(0, 1).T, outputs[:-1].flatten(0, 1))
        return (
            factor * (error @ w_in) if ctx.needs_input_grad[0] else None,
            rows[0] @ scaled if ctx.needs_input_grad[1] else None,
            factor * (flat.T @ x.reshape(len(flat), -1)),
            factor * from_past,
            factor * flat.sum(0),
            None,
        )
