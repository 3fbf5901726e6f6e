"""Memory by a window or by feedback: a time-delay network beside a simple recurrent network.

Sources: nndl, chapter on recurrent networks, sections on giving a network memory and on simple recurrent networks;
Waibel et al. 1989 (time delays); Elman 1990; Saxe et al. 2014 (orthogonal weights); Le, Jaitly & Hinton 2015 (identity).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from core.config import Limits
from core.data.sequences import SERIES_TASKS, Sequences, draw_sequences, held_out, split_at, standardised, task_of
from core.sequence_learner import Readout, SequenceConfig, model_of

RNN_ACTIVATIONS = ("tanh", "relu")
NETWORKS = ("tdnn", "rnn")
RECURRENT_STARTS = ("orthogonal", "identity", "uniform")  # how U begins; "uniform" is torch's own
AHEAD = 40  # steps that a forecast is continued
EXAMPLES = 50  # held-out sequences that can be looked at
EXAMPLE_SEED = 1_000_004  # of the sines that are continued; no run has it


# ---- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RNNConfig(SequenceConfig):
    """A network with a memory: by a window over the last inputs, or by its own last state."""

    network: str = "rnn"  # or "tdnn"
    delay: int = 8  # of "tdnn": it sees x_t … x_{t−delay}
    activation: str = "tanh"
    recurrent: str = "orthogonal"  # how the weights of "rnn" from its last state begin
    distractors: float = 1.0

    LIMITS: ClassVar[dict[str, Limits]] = SequenceConfig.LIMITS | {
        "network": NETWORKS,
        "delay": range(41),
        "activation": RNN_ACTIVATIONS,
        "recurrent": RECURRENT_STARTS,
    }

    def cell(self, generator: torch.Generator) -> nn.Module:
        inputs = task_of(self.task).input_size
        if self.network == "tdnn":
            return TDNN(inputs, self.hidden, self.delay, self.activation, generator)
        return begun(RNN(inputs, self.hidden, self.activation, generator), self.recurrent, generator)


def race(config: RNNConfig) -> dict[str, RNNConfig]:
    """Both networks on the same task."""
    return {network: replace(config, network=network) for network in NETWORKS}


# ---- the time-delay network ------------------------------------------------------------------------------------------


class TDNN(nn.Module):
    """A time-delay network of one layer: h_t = f(W₀ x_t + W₁ x_{t−1} + … + W_p x_{t−p} + b), a convolution over time.

    What lies before the first step is 0. It has no state: what is older than `delay` steps is not there.

    Args:
        input_size: D.
        hidden_size: units.
        delay: p, the oldest input that is seen is so many steps old.
        activation: one of RNN_ACTIVATIONS.
        generator: draws the weights from U(−1/√n, 1/√n), n = D (p + 1).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        delay: int,
        activation: str = "tanh",
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        self.delay, self.activation = delay, activation
        self.weight = nn.Parameter(torch.empty(hidden_size, input_size, delay + 1, dtype=dtype))  # [:, :, k] is W_k
        self.bias = nn.Parameter(torch.empty(hidden_size, dtype=dtype))
        bound = 1 / math.sqrt(input_size * (delay + 1))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(self, x: Tensor, state: None = None) -> tuple[Tensor, None]:
        """(T, B, D) → h_1 … h_T (T, B, hidden), and no state."""
        return activated(self.net_input(x), self.activation), None

    def net_input(self, x: Tensor) -> Tensor:
        """z_t of every step (T, B, hidden)."""
        windows = torch.cat([x.new_zeros(self.delay, *x.shape[1:]), x]).unfold(0, self.delay + 1, 1)  # oldest first
        return windows.flatten(2) @ self.weight.flip(2).flatten(1).T + self.bias


def activated(z: Tensor, activation: str) -> Tensor:
    return torch.tanh(z) if activation == "tanh" else torch.relu(z)


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
            hidden.append(activated(net_input[-1], self.activation))
        return RNNTrace(from_input, torch.stack(from_past), torch.stack(net_input), torch.stack(hidden))

    def start(self, x: Tensor) -> Tensor:
        """h_0 = 0 (B, hidden)."""
        return x.new_zeros(x.shape[1], self.weight_hh_l0.shape[0])


class RecurrentPass(torch.autograd.Function):
    """All steps of a simple recurrent network, and backpropagation through time by hand.

    The inputs' products are made at once, as are the sums over time of the weights' gradients; of each step only what
    depends on the step before is left: one product and f forwards, one product and one multiplication backwards. These
    are made by NumPy in the tensors' own memory, as they are so small that most of their time goes into calling them,
    and that takes torch twice as long.
    """

    @staticmethod
    @np.errstate(all="ignore")  # gradients that overflow are this course's subject
    def forward(ctx: Any, x: Tensor, start: Tensor, w_in: Tensor, w_past: Tensor, bias: Tensor, activation: str):
        steps, count, _ = x.shape
        hidden = x.new_empty(steps + 1, count, w_past.shape[0])  # h_0 … h_T
        hidden[0] = start
        net_inputs = hidden[1:].view(
            steps * count, -1
        )  # what the inputs push, in the place of the states that it pushes
        torch.addmm(bias, x.reshape(steps * count, -1), w_in.T, out=net_inputs)
        states, turned = hidden.numpy(), np.ascontiguousarray(w_past.detach().numpy().T)
        from_past = np.empty_like(states[0])
        for before, after in pairwise(states):
            np.dot(before, turned, out=from_past)
            after += from_past
            if activation == "tanh":
                np.tanh(after, out=after)
            else:
                np.maximum(after, 0, out=after)
        ctx.save_for_backward(x, hidden, w_in, w_past)
        ctx.activation = activation
        return hidden[1:]

    @staticmethod
    @once_differentiable
    @np.errstate(all="ignore")
    def backward(ctx: Any, grad: Tensor):  # type: ignore[override]
        x, hidden, w_in, w_past = ctx.saved_tensors
        reached, weights = hidden[1:].numpy(), w_past.detach().numpy()
        slopes = 1 - reached * reached if ctx.activation == "tanh" else (reached > 0).astype(reached.dtype)
        error = grad.clone(
            memory_format=torch.contiguous_format
        )  # ∂L/∂h_t of the outputs' own, to become δ_t = ∂L/∂z_t
        rows = error.numpy()
        from_after = np.empty_like(rows[0])
        rows[-1] *= slopes[-1]
        for after, row, slope in zip(rows[:0:-1], rows[-2::-1], slopes[-2::-1], strict=True):
            np.dot(after, weights, out=from_after)
            row += from_after
            row *= slope
        flat = error.view(-1, error.shape[-1])
        return (
            error @ w_in if ctx.needs_input_grad[0] else None,
            error[0] @ w_past if ctx.needs_input_grad[1] else None,
            (x.reshape(len(flat), -1).T @ flat).T.contiguous(),  # six times as fast as flatᵀ x where x is narrow
            flat.T @ hidden[:-1].flatten(0, 1),
            flat.sum(0),
            None,
        )


@torch.no_grad()
def begun(cell: RNN, recurrent: str, generator: torch.Generator) -> RNN:
    """The cell with the weights U from its last state as RECURRENT_STARTS says, and then no biases: what is remembered keeps its size at first."""
    if recurrent == "uniform":
        return cell
    if recurrent == "orthogonal":
        nn.init.orthogonal_(cell.weight_hh_l0, generator=generator)
    else:
        nn.init.eye_(cell.weight_hh_l0)
    cell.bias_ih_l0.zero_()
    cell.bias_hh_l0.zero_()
    return cell


# ---- what the pictures need ------------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """One held-out sequence through a network."""

    inputs: Tensor  # (T, D)
    targets: Tensor  # () a class, (1,) a value, or (T, …); NaN or −1 where nothing is asked
    from_input: Tensor  # (T, hidden) what the inputs push: of a time-delay network all of its window
    from_past: Tensor  # (T, hidden) U h_{t−1}; 0 without a recurrence
    net_input: Tensor  # (T, hidden)
    hidden: Tensor  # (T + 1, hidden) h_0 … h_T
    answers: Tensor  # (T, output_size) what the readout says after each step, asked or not


@torch.no_grad()
def look(config: RNNConfig, state: dict[str, Tensor], example: int = 0) -> Seen:
    """A network with the weights `state` on its held-out sequence number `example`, counted round."""
    sequences = example_of(config, example)
    x, model = sequences.inputs, model_of(config, state)
    cell = model.cell
    if isinstance(cell, TDNN):
        net_input = cell.net_input(x)
        hidden = torch.cat([x.new_zeros(1, 1, config.hidden), activated(net_input, config.activation)])
        from_input, from_past = net_input - cell.bias, torch.zeros_like(net_input)
    else:
        assert isinstance(cell, RNN)
        from_input, from_past, net_input, hidden = cell.trace(x)
    parts = (x, from_input, from_past, net_input, hidden, model.readout(hidden[1:]))
    inputs, from_input, from_past, net_input, hidden, answers = (part[:, 0] for part in parts)
    targets = sequences.targets[:, 0] if task_of(config.task).every_step else sequences.targets[0]
    return Seen(inputs, targets, from_input, from_past, net_input, hidden, answers)


def example_of(config: RNNConfig, example: int) -> Sequences:
    """One held-out sequence, as a batch of one."""
    sequences = held_out(config.task, config.length, config.distractors, config.series)
    number = example % sequences.inputs.shape[1]
    kept = slice(number, number + 1)
    targets = sequences.targets[:, kept] if task_of(config.task).every_step else sequences.targets[kept]
    return Sequences(sequences.inputs[:, kept], targets)


class Forecast(NamedTuple):
    """A series, and what a network says of it."""

    values: Tensor  # (N,) as they are
    known: int  # the forecast begins here: it has seen `values[:known]`
    one_ahead: Tensor  # (N − first,) of each value what was said one step before it
    first: int  # the place of the first value that one_ahead speaks of
    ahead: Tensor  # (AHEAD,) from `known` on, each fed back as if it had come


@torch.no_grad()
def forecast(
    config: RNNConfig, state: dict[str, Tensor], known: int, example: int = 0, back: int | None = None
) -> Forecast:
    """One step ahead all along, or from `back` values before `known`; and from `known` on without a look at the data.

    Every answer one step ahead reads the `length` values before it, as it was trained to. From `known` on a recurrent
    network goes on from its state, a time-delay network reads its own answers in the window.
    """
    values = whole_series(config, example)
    known = min(max(known, config.length), len(values))
    model = model_of(config, state)
    first = config.length if back is None else max(config.length, known - back)
    windows = values[first - config.length : -1].unfold(0, config.length, 1).T[..., None].contiguous()
    one_ahead = last_answer(model, windows)
    run = values[known - config.length : known].tolist()
    outputs, state_now = model.cell(torch.tensor(run)[:, None, None])
    for _ in range(AHEAD):
        run.append(model.readout(outputs[-1]).item())
        recent = run[-1:] if state_now is not None else run[-config.length :]  # a state has the rest in it
        outputs, state_now = model.cell(torch.tensor(recent)[:, None, None], state_now)
    return Forecast(values, known, one_ahead, first, torch.tensor(run[config.length :]))


def last_answer(model: Readout, inputs: Tensor) -> Tensor:
    """What is said after the last step of each sequence (T, B, 1): (B,)."""
    outputs, _ = model.cell(inputs)
    return model.readout(outputs[-1])[:, 0]


@lru_cache(maxsize=16)
def example_wave(length: int, example: int) -> Tensor:
    """A held-out mixture of sines, longer than any sequence (N,)."""
    generator = torch.Generator().manual_seed(EXAMPLE_SEED)
    return draw_sequences("sines", length, EXAMPLES, generator).inputs[:, example % EXAMPLES, 0]


def whole_series(config: RNNConfig, example: int = 0) -> Tensor:
    """The series (N,) that is forecast, as the network sees it; of sines one mixture that goes on."""
    if config.task in SERIES_TASKS:
        return standardised(config.task, config.series)
    return example_wave(2 * config.length + 2 * AHEAD, example)


def first_unknown(config: RNNConfig) -> int:
    """Where a forecast begins by itself: at the first value that is held out, of sines in the middle."""
    size = len(whole_series(config))
    return split_at(size) if config.task in SERIES_TASKS else size // 2


def parameter_counts(config: RNNConfig) -> Mapping[str, int]:
    """How many weights and biases each of both networks has, its readout included."""
    return {
        name: sum(p.numel() for p in each.build(torch.Generator().manual_seed(0)).parameters)
        for name, each in race(config).items()
    }


# ---- presets ---------------------------------------------------------------------------------------------------------

PRESETS: dict[str, RNNConfig] = {
    "recall": RNNConfig(),
    "within_reach": RNNConfig(delay=19),
    "long": RNNConfig(length=100, distractors=0.0),
    "sunspots": RNNConfig(task="sunspots", length=30, hidden=16),
    "digits": RNNConfig(task="digits", length=8, delay=3),
    "sines": RNNConfig(task="sines", length=40, delay=2),
    "adding": RNNConfig(task="adding", length=30, activation="relu", recurrent="identity"),
    # These break, each for one reason:
    "adding_tanh": RNNConfig(  # the setting in which a GRU and an LSTM learn it
        task="adding", length=50, hidden=64, batch_size=64, recurrent="uniform", learning_rate=0.002
    ),
    "uniform": RNNConfig(length=50, recurrent="uniform"),  # torch's own start: the gradient vanishes on its way back
    "crowded": RNNConfig(length=100),  # other letters at each of 99 steps wash the first one out
    "hasty": RNNConfig(learning_rate=0.1),  # every step goes too far, clipped or not: U is no longer orthogonal
    "small": RNNConfig(hidden=1),  # one number has no room for a letter and for what must be ignored
}
