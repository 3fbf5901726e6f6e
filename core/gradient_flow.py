"""How far back a gradient reaches: the chain of Jacobians through time, and what makes it vanish or explode.

Sources: Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013 (the singular-value conditions, clipping by
norm); Hochreiter & Schmidhuber 1997 (the path through the cell state); nndl, chapter on recurrent networks, section on
long-term dependencies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from core.config import Limits, Span
from core.data.sequences import Sequences, held_out, steps_of, task_of
from core.gru import GRU
from core.lstm import LSTM
from core.neuron import activate
from core.rnn import RNN, RNN_ACTIVATIONS
from core.sequence_learner import SequenceConfig, SequenceLearner, build_model, clip_norm
from core.training import Metric, Scores, is_due

CELLS = ("rnn", "lstm", "gru")
RUNS = {"rnn": "simple_rnn", "lstm": "lstm", "gru": "gru"}  # what a cell's run is called in a race of the three
CLIPPINGS = ("none", "norm", "value")
COMPARISONS = ("cells", "clipping")  # what is trained side by side
STEEPEST_SLOPE = {"tanh": 1.0, "relu": 1.0, "sigmoid": 0.25, "identity": 1.0}  # γ, the largest |f′| of an activation
BLOCKS = {"rnn": 1, "lstm": 4, "gru": 3}  # of `hidden` rows: lstm i f g o, gru r z n, as torch orders them
LARGEST_FLOAT32, SMALLEST_FLOAT32 = 3.4028235e38, 1.401298e-45
WATCHED = 16  # held-out sequences whose gradients are measured

GRADIENT = Metric("Largest gradient norm", better="neither", log=True)
REACH = Metric("First-step gradient", better="higher", group="First-step gradient", log=True)


# ---- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class GradientFlowConfig(SequenceConfig):
    """A recurrent network whose recurrent weights start as a multiple of a rotation, and how its gradient is clipped."""

    task: str = "recall"
    length: int = 60
    unit: str = "rnn"  # the cell
    radius: float = 0.7  # spectral radius of the recurrent weights at the start, and every one of their singular values
    activation: str = "tanh"  # of "rnn"
    forget_bias: float = 2.0  # of the gate that keeps: the LSTM's forget gate, the GRU's update gate
    clip_by: str = "none"  # "norm": the gradient keeps its direction; "value": each of its components is cut
    clip: float = 1.0  # how large the norm, or each component, may be
    compare: str = "cells"
    learning_rate: float = 0.001

    LIMITS: ClassVar[dict[str, Limits]] = SequenceConfig.LIMITS | {
        "length": range(2, 201),
        "unit": CELLS,
        "radius": Span(0.1, 8.0, 0.05),
        "activation": tuple(STEEPEST_SLOPE),
        "forget_bias": Span(-4.0, 6.0, 0.5),
        "clip_by": CLIPPINGS,
        "clip": Span(0.01, 10.0, 0.01),
        "compare": COMPARISONS,
    }

    def build(self, generator: torch.Generator) -> FlowLearner:
        return FlowLearner(self, generator)

    def cell(self, generator: torch.Generator) -> nn.Module:
        """The cell of `unit`: input weights as drawn, every recurrent block `radius` times a rotation, biases 0."""
        sizes = task_of(self.task).input_size, self.hidden
        if self.unit == "lstm":
            cell: nn.Module = LSTM(*sizes, generator=generator)
        elif self.unit == "gru":
            cell = GRU(*sizes, generator=generator)
        elif self.activation in RNN_ACTIVATIONS:
            cell = RNN(*sizes, activation=self.activation, generator=generator)
        else:
            cell = AnyRNN(*sizes, any_activation=self.activation, generator=generator)
        rotate(cell, self.radius, generator)
        if self.unit != "rnn":  # the second block is the gate that keeps: f of an LSTM, z of a GRU
            with torch.no_grad():
                cell.get_parameter("bias_ih_l0")[self.hidden : 2 * self.hidden] = self.forget_bias
        return cell


class AnyRNN(RNN):
    """A simple recurrent network with any activation of a neuron, step by step, its gradients by autograd."""

    def __init__(self, input_size: int, hidden_size: int, any_activation: str, generator: torch.Generator):
        super().__init__(input_size, hidden_size, generator=generator)
        self.any_activation = any_activation

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As of RNN."""
        h, outputs = self.start(x) if state is None else state[0], []
        for driven in (x @ self.weight_ih_l0.T + (self.bias_ih_l0 + self.bias_hh_l0)).unbind(0):
            h = activate(torch.addmm(driven, h, self.weight_hh_l0.T), self.any_activation)
            outputs.append(h)
        return torch.stack(outputs), h[None]


@torch.no_grad()
def rotate(cell: nn.Module, radius: float, generator: torch.Generator) -> None:
    """Make every square block of the recurrent weights `radius` times a random orthogonal matrix, and all biases 0.

    All singular values and all absolute eigenvalues of a block are then `radius`.
    """
    weights = dict(cell.named_parameters())
    for block in weights["weight_hh_l0"].split(weights["weight_hh_l0"].shape[1]):
        nn.init.orthogonal_(block, gain=radius, generator=generator)
    for name in ("bias_ih_l0", "bias_hh_l0"):
        weights[name].zero_()


def race(config: GradientFlowConfig) -> dict[str, GradientFlowConfig]:
    """The three cells, or one cell three times: as it is, clipped by norm, and clipped by value."""
    if config.compare == "cells":
        return {RUNS[unit]: replace(config, unit=unit) for unit in CELLS}
    return {f"clip_{kind}": replace(config, clip_by=kind) for kind in CLIPPINGS}


# ---- learning --------------------------------------------------------------------------------------------------------


def clip_values(gradients: list[Tensor], largest: float) -> float:
    """Cut every component of the gradients to −largest…largest, in place; return their common norm before.

    As torch's `clip_grad_value_`, which needs the gradients in their parameters.
    """
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))).item()
    for gradient in gradients:
        gradient.clamp_(-largest, largest)
    return norm


class FlowLearner(SequenceLearner):
    """A recurrent cell that learns a task, and what becomes of its gradient.

    GRADIENT is the largest norm, before clipping, of all updates since the last step that was due to be evaluated: a
    single burst between two points of the curve is not lost.
    """

    config: GradientFlowConfig

    def __init__(self, config: GradientFlowConfig, generator: torch.Generator):
        super().__init__(config, generator)
        self.metrics = (*self.metrics, GRADIENT, REACH)
        self.steps, self.largest = 0, 0.0

    def update(self, learning_rate: float) -> float:
        loss, gradients = self.gradients(self.batch())
        if self.steps == 0 or is_due(self.steps):
            self.largest = 0.0
        self.steps += 1
        if self.config.clip_by == "value":
            norm = clip_values(gradients, self.config.clip)
        else:
            norm = clip_norm(gradients, self.config.clip if self.config.clip_by == "norm" else math.inf)
        self.gradient_norm = norm
        self.largest = norm if not norm <= self.largest else self.largest  # NaN counts as larger than anything
        self.optimizer.step(gradients, learning_rate)
        return loss.item()

    def evaluate(self) -> Scores:
        scores = super().evaluate()
        scores["train"][REACH.name] = flow_of(self.config, self.state()).reach()
        if self.steps:
            scores["train"][GRADIENT.name] = self.largest
        return scores


# ---- one step of each cell -------------------------------------------------------------------------------------------


class Weights(NamedTuple):
    """The weights of a cell, named and shaped as torch's, and of the linear readout of its last hidden state."""

    input: Tensor  # (blocks · hidden, D)
    recurrent: Tensor  # (blocks · hidden, hidden)
    input_bias: Tensor  # (blocks · hidden,)
    recurrent_bias: Tensor  # (blocks · hidden,)
    readout: Tensor  # (outputs, hidden)
    readout_bias: Tensor  # (outputs,)

    def to(self, dtype: torch.dtype) -> Weights:
        return Weights(*(tensor.detach().to(dtype) for tensor in self))

    @property
    def hidden(self) -> int:
        return self.recurrent.shape[1]

    @property
    def cell(self) -> str:
        """One of CELLS, told by the number of blocks."""
        return {blocks: cell for cell, blocks in BLOCKS.items()}[len(self.recurrent) // self.hidden]


State = tuple[Tensor, ...]  # (h,) or, of an LSTM, (h, c); each (B, hidden)


def cell_step(weights: Weights, x: Tensor, state: State, activation: str = "tanh") -> State:
    """The state after one step: x is W x_t + b, (B, blocks · hidden), of this step. `activation` is of "rnn" alone."""
    h = state[0]
    recurrent = torch.addmm(weights.recurrent_bias, h, weights.recurrent.T)
    if weights.cell == "rnn":
        return (activate(x + recurrent, activation),)
    if weights.cell == "lstm":
        input, forget, candidate, output = (x + recurrent).chunk(4, 1)
        c = torch.sigmoid(forget) * state[1] + torch.sigmoid(input) * torch.tanh(candidate)
        return torch.sigmoid(output) * torch.tanh(c), c
    hidden = weights.hidden
    reset, update = torch.sigmoid(x[:, : 2 * hidden] + recurrent[:, : 2 * hidden]).chunk(2, 1)
    candidate = torch.tanh(x[:, 2 * hidden :] + reset * recurrent[:, 2 * hidden :])
    return (torch.lerp(candidate, h, update),)  # (1 − z) ⊙ h̃ + z ⊙ h


def unroll(weights: Weights, inputs: Tensor, activation: str = "tanh") -> list[State]:
    """The state after every step of a sequence (T, B, D); its tensors hang together, so that gradients reach each."""
    projected = (inputs @ weights.input.T + weights.input_bias).unbind(0)
    zero = inputs.new_zeros(inputs.shape[1], weights.hidden, requires_grad=True)  # so that there is a graph
    state: State = (zero, zero) if weights.cell == "lstm" else (zero,)
    states = []
    for x in projected:
        state = cell_step(weights, x, state, activation)
        states.append(state)
    return states


# ---- the gradient at every step --------------------------------------------------------------------------------------


class Flow(NamedTuple):
    """How much of the gradient of the last step's loss arrives at each step, (T,) each, step 1 first."""

    hidden: Tensor  # ‖∂L_T/∂h_t‖, mean over the sequences
    memory: Tensor | None  # ‖∂L_T/∂c_t‖ of an LSTM: the path that carries the memory

    def carried(self) -> Tensor:
        """Along the path that carries the memory: the cell state where there is one."""
        return self.hidden if self.memory is None else self.memory

    def reach(self) -> float:
        """What arrives at the first step, as a multiple of ‖∂L_T/∂h_T‖; an underflow counts as the smallest float32."""
        ratio = (self.carried()[0] / self.hidden[-1]).item()
        return max(ratio, SMALLEST_FLOAT32) if ratio == ratio else ratio


def gradient_flow(
    weights: Weights,
    inputs: Tensor,
    targets: Tensor,
    classes: bool,
    activation: str = "tanh",
    dtype: torch.dtype = torch.float32,
) -> Flow:
    """One forward and one backward pass; autograd tells the gradient at every hidden and cell state.

    The gradients are computed in `dtype`, overflow and underflow included; only their lengths are taken in float64,
    where squaring cannot overflow before the gradient itself has.

    Args:
        inputs: (T, B, D).
        targets: of the last step: class numbers (B,), or values (B, outputs).
        classes: whether they are classes; the loss is cross-entropy then, else the squared error.
    """
    with torch.enable_grad():
        weights, inputs = weights.to(dtype), inputs.to(dtype)
        states = unroll(weights, inputs, activation)
        output = states[-1][0] @ weights.readout.T + weights.readout_bias
        if classes:
            loss = torch.nn.functional.cross_entropy(output, targets, reduction="sum")
        else:
            loss = ((output - targets.to(dtype)) ** 2).sum()
        paths = [torch.stack(lengths(gradients)) for gradients in gradients_of(loss, states)]
    return Flow(paths[0], paths[1] if len(paths) > 1 else None)


def gradients_of(loss: Tensor, states: Sequence[State]) -> list[tuple[Tensor, ...]]:
    """For h, and for c where there is one: the gradient of the loss at every step, all from one backward pass."""
    parts = list(zip(*states, strict=True))
    found = torch.autograd.grad(loss, [tensor for part in parts for tensor in part])
    return [found[i * len(states) : (i + 1) * len(states)] for i in range(len(parts))]


def lengths(gradients: Sequence[Tensor]) -> list[Tensor]:
    """The mean length over the sequences, of each of the gradients (B, hidden)."""
    return list(torch.stack(tuple(gradients)).double().norm(dim=-1).mean(1).unbind(0))


# ---- the product of Jacobians ----------------------------------------------------------------------------------------


def jacobians(weights: Weights, inputs: Tensor, activation: str = "tanh") -> Tensor:
    """∂s_t/∂s_{t−1} for t = 2 … T along one sequence (T, D), by autograd in float64: (T − 1, S, S).

    The state s is h, of an LSTM (h, c), so that S is hidden or twice as much.
    """
    weights = weights.to(torch.float64)
    sequence = inputs.to(torch.float64)[:, None]
    with torch.no_grad():
        states = [torch.cat(state, 1) for state in unroll(weights, sequence, activation)]
    before = torch.cat(states[:-1])  # (T − 1, S)
    steps, size = before.shape
    projected = (sequence[1:, 0] @ weights.input.T + weights.input_bias).repeat(size, 1)
    with torch.enable_grad():  # a copy of every step for each row of its Jacobian, all in one backward pass
        leaf = before.repeat(size, 1).requires_grad_()
        after = torch.cat(cell_step(weights, projected, leaf.split(weights.hidden, 1), activation), 1)
        rows = torch.eye(size, dtype=torch.float64).repeat_interleave(steps, 0)
        (gradient,) = torch.autograd.grad(after, leaf, rows)
    return gradient.view(size, steps, size).transpose(0, 1)


def chained(factors: Tensor) -> Tensor:
    """∂s_T/∂s_t for t = T − 1 … 1: J_T, then J_T J_{T−1}, and so on; as many as there are factors (T − 1, S, S)."""
    products, product = [], torch.eye(factors.shape[-1], dtype=factors.dtype)
    for factor in factors.flip(0):
        product = product @ factor
        products.append(product)
    return torch.stack(products)


def sizes(matrices: Tensor) -> Tensor:
    """The largest singular value (…,) of matrices (…, S, S): how much they stretch a vector at most."""
    return torch.linalg.matrix_norm(matrices, ord=2)


def bound(weights: Weights, activation: str, count: int) -> Tensor:
    """(γ σ)¹ … (γ σ)^count, float64: no product of so many Jacobians of a simple recurrent network is larger.

    γ is the steepest slope of the activation, σ the largest singular value of the recurrent weights. γ σ < 1 suffices
    for the gradient to vanish; γ σ > 1 is necessary for it to explode, but not sufficient (Pascanu et al. 2013).
    """
    factor = STEEPEST_SLOPE[activation] * sizes(weights.recurrent.double()).item()
    return runaway(factor, count, torch.float64)


def spectral_radius(matrix: Tensor) -> float:
    """The largest absolute value of the eigenvalues of a square matrix."""
    return torch.linalg.eigvals(matrix.double()).abs().max().item()


def powers(matrix: Tensor, count: int) -> Tensor:
    """matrix⁰ … matrix^count, (count + 1, S, S)."""
    found = [torch.eye(len(matrix), dtype=matrix.dtype)]
    for _ in range(count):
        found.append(found[-1] @ matrix)
    return torch.stack(found)


def sheared(diagonal: float, coupling: float) -> Tensor:
    """[[diagonal, coupling], [0, diagonal]]: its spectral radius is `diagonal`, whatever the coupling."""
    return torch.tensor([[diagonal, coupling], [0.0, diagonal]], dtype=torch.float64)


def runaway(factor: float, count: int, dtype: torch.dtype) -> Tensor:
    """factor¹ … factor^count by repeated multiplication in `dtype`, so that it overflows to inf or underflows to 0."""
    return torch.full((count,), factor, dtype=dtype).cumprod(0)


# ---- of a run --------------------------------------------------------------------------------------------------------


def weights_of(state: Mapping[str, Tensor]) -> Weights:
    """The weights of a snapshot."""
    return Weights(
        state["cell.weight_ih_l0"], state["cell.weight_hh_l0"], state["cell.bias_ih_l0"], state["cell.bias_hh_l0"],
        state["readout.weight"], state["readout.bias"],
    )  # fmt: skip


def time_steps(config: GradientFlowConfig) -> int:
    """T: the steps of a sequence, of "copying" more than its length, which is the delay."""
    return steps_of(config.task, config.length)


def watched(config: GradientFlowConfig) -> Sequences:
    """The sequences (T, WATCHED, D) whose gradients are measured, and the targets of their last step."""
    inputs, targets = held_out(config.task, config.length, config.distractors, config.series)
    if task_of(config.task).every_step:
        targets = targets[-1]
    return Sequences(inputs[:, :WATCHED], targets[:WATCHED])


def flow_of(config: GradientFlowConfig, state: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> Flow:
    """The gradient at every step of the watched sequences, of the weights of a snapshot."""
    inputs, targets = watched(config)
    classes = task_of(config.task).classes
    return gradient_flow(weights_of(state), inputs, targets, classes, config.activation, dtype)


def initial_state(config: GradientFlowConfig) -> dict[str, Tensor]:
    """The weights that a run of this config begins with."""
    return build_model(config, torch.Generator().manual_seed(config.seed)).state_dict()


# ---- presets ---------------------------------------------------------------------------------------------------------

PRESETS: dict[str, GradientFlowConfig] = {
    "gates": GradientFlowConfig(),
    "rotation": GradientFlowConfig(radius=1.0),
    "adding": GradientFlowConfig(task="adding", length=50, radius=0.9, learning_rate=0.005),
    "digits": GradientFlowConfig(task="digits", length=40, learning_rate=0.003),
    "amplified": GradientFlowConfig(
        length=40, learning_rate=0.005
    ),  # Adam divides by the gradient's size, however small that is
    "clipped": GradientFlowConfig(
        length=40, radius=1.05, activation="identity", optimizer="sgd", learning_rate=0.01, compare="clipping"
    ),
    # These break, each for one reason:
    "in_vain": GradientFlowConfig(optimizer="sgd", learning_rate=0.1, compare="clipping", clip=0.1),  # not too long
    "shut": GradientFlowConfig(forget_bias=-2.0),  # the gates forget
    "sigmoid": GradientFlowConfig(activation="sigmoid", radius=1.0),  # γ = ¼
    "overflow": GradientFlowConfig(length=200, hidden=64, radius=8.0),
}
