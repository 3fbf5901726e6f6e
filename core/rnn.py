"""Memory by feedback: a time-delay network beside a simple recurrent network.

Sources: nndl, chapter on recurrent networks, sections on giving a network memory and on simple recurrent networks;
Elman 1990; Le, Jaitly & Hinton 2015 (identity for the recurrent weights).
"""

from __future__ import annotations

import math
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
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, start: Tensor, w_in: Tensor, w_past: Tensor, bias: Tensor, activation: str):
        steps, count, _ = x.shape
        states = x.new_empty(steps + 1, count, w_past.shape[0])  # h_0 … h_T
        states[0] = start
        driven = torch.addmm(bias, x.reshape(steps * count, -1), w_in.T).view(steps, count, -1)
        squash = torch.tanh_ if activation == "tanh" else torch.relu_
        turned = w_past.T
        rows = states.unbind(0)
        for pushed, before, after in zip(driven.unbind(0), rows, rows[1:], strict=False):
            squash(torch.addmm(pushed, before, turned, out=after))
        ctx.save_for_backward(x, states, w_in, w_past)
        ctx.activation = activation
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor):  # type: ignore[override]
        x, states, w_in, w_past = ctx.saved_tensors
        hidden = states[1:]
        slope = 1 - hidden * hidden if ctx.activation == "tanh" else (hidden > 0).to(hidden.dtype)
        error = torch.empty_like(hidden)  # δ_t = ∂L/∂z_t
        torch.mul(grad[-1], slope[-1], out=error[-1])
        errors, slopes, grads = error.unbind(0), slope.unbind(0), grad.unbind(0)
        for t in range(len(errors) - 2, -1, -1):
            torch.addmm(grads[t], errors[t + 1], w_past, out=errors[t]).mul_(slopes[t])
        flat = error.view(-1, error.shape[-1])
        return (
            error @ w_in if ctx.needs_input_grad[0] else None,
            errors[0] @ w_past if ctx.needs_input_grad[1] else None,
            flat.T @ x.reshape(len(flat), -1),
            flat.T @ states[:-1].reshape(len(flat), -1),
            flat.sum(0),
            None,
        )
