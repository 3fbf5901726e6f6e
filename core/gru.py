"""The gated recurrent unit: two gates decide what a candidate state hears of the past, and how much of it is kept.

With r the reset gate, z the update gate and h₋ the state of the step before (nndl, "GRU"; the letters of torch.nn.GRU):

    r = σ(W_r x + U_r h₋ + b_r)      z = σ(W_z x + U_z h₋ + b_z)
    h̃ = tanh(W x + b + r ⊙ (U h₋ + b'))     reset after the product, as torch computes it
    h̃ = tanh(W x + b + U (r ⊙ h₋) + b')     reset before the product, the textbook's (Cho et al. 2014)
    h = z ⊙ h₋ + (1 − z) ⊙ h̃                (Chung et al. 2014 write z for 1 − z)

z = 0 and r = 1 leave h = tanh(W x + U h₋ + b + b'): exactly the simple recurrent network. z = 1 copies the state, whatever
comes. `unrolled` is the cell to read, and torch can differentiate it; `GRUThroughTime` is the same with its gradient derived
by hand over the whole sequence, more than twice as fast.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from core.config import Limits
from core.data.sequences import held_out, task_of
from core.lstm import LSTMConfig
from core.rnn import RNN
from core.sequence_learner import SequenceConfig, model_of, sequence_accuracy, sequence_loss
from core.training import ACCURACY, LOSS

GRU_GATES = ("reset", "update")
GATE_STATES = ("learned", "open", "shut")  # held open a gate is 1 everywhere, held shut 0
RESETS = ("after", "before")
PIECE = 50  # steps that are gone back at once: what they need in between takes no new memory for each sequence


# ---- the cell --------------------------------------------------------------------------------------------------------


class GRUTrace(NamedTuple):
    """All that a GRU computed, step by step: each (T, B, hidden)."""

    reset: Tensor  # r
    update: Tensor  # z
    past: Tensor  # what the candidate hears of the past: r ⊙ (U h₋ + b'), or U (r ⊙ h₋) + b'
    candidate: Tensor  # h̃
    state: Tensor  # h


class GRU(nn.Module):
    """One recurrent layer; with all gates learned and reset="after" it is torch.nn.GRU, and loads its state dict.

    The parameters are torch's, by name and shape (rows: reset gate, update gate, candidate), and are drawn as torch draws
    them, whatever the gates are set to: clamped or not, equal generators begin with equal weights.

    Args:
        gates: "reset" and "update" → one of GATE_STATES; a gate that is not named is learned. Held open r = 1 lets all of
            the past through, and z = 1 keeps the old state; held shut r = 0 and z = 0 do the opposite. A held gate's rows
            take no part and get a gradient of exactly 0.
        reset: whether the reset gate acts "before" or "after" the product with U.
        generator: draws the weights; without one torch's global generator does, as in its own layers.
        by_hand: whether gradients are derived by hand (fast) or by autograd (readable).

    Raises:
        ValueError: an unknown gate, gate state or reset.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        gates: Mapping[str, str] | None = None,
        reset: str = "after",
        generator: torch.Generator | None = None,
        by_hand: bool = True,
    ):
        super().__init__()
        self.gates = dict.fromkeys(GRU_GATES, "learned") | dict(gates or {})
        for name, state in self.gates.items():
            if name not in GRU_GATES or state not in GATE_STATES:
                raise ValueError(
                    f"a gate is one of {', '.join(GRU_GATES)} and {', '.join(GATE_STATES)}, got {name}: {state}"
                )
        if reset not in RESETS:
            raise ValueError(f"reset must be one of {', '.join(RESETS)}, got {reset!r}")
        self.input_size, self.hidden_size, self.reset, self.by_hand = input_size, hidden_size, reset, by_hand
        self.weight_ih_l0 = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.empty(3 * hidden_size))
        self.bias_hh_l0 = nn.Parameter(torch.empty(3 * hidden_size))
        for parameter in self.parameters():
            bound = 1 / math.sqrt(hidden_size)
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(x: (T, B, D), state: (1, B, hidden), zeros if None) -> (states of all steps (T, B, hidden), the last (1, B, hidden))"""
        given = self.given(x, state)
        outputs = GRUThroughTime.apply(*given) if self.by_hand else unrolled(*given).state
        return outputs, outputs[-1:]

    def trace(self, x: Tensor, state: Tensor | None = None) -> GRUTrace:
        """Gates, candidates and states of every step; arguments as of `forward`, and autograd can go through it.

        Once the states are known, the gates of all steps follow at once: each depends on x and the state before it.
        """
        x, first, weight_ih, weight_hh, bias_ih, bias_hh, held, before = self.given(x, state)
        earlier = torch.cat([first[None], self.forward(x, state)[0][:-1]])
        return gru_step(x @ weight_ih.T + bias_ih, earlier, weight_hh, bias_hh, held, before)

    def given(self, x: Tensor, state: Tensor | None) -> tuple[Any, ...]:
        """The arguments of `unrolled`."""
        first = x.new_zeros(x.shape[1], self.hidden_size) if state is None else state[0]
        return x, first, *self.parameters(), held_at(self.gates), self.reset == "before"

    def learned_count(self) -> int:
        """How many numbers are learned: a held gate needs none of its own."""
        blocks = 1 + sum(state == "learned" for state in self.gates.values())
        return blocks * sum(parameter.numel() for parameter in self.parameters()) // 3


def held_at(gates: Mapping[str, str]) -> tuple[float | None, float | None]:
    """For the reset and the update gate: the net input that holds it, ±∞, or None where it is learned."""
    reset, update = ({"learned": None, "open": math.inf, "shut": -math.inf}[gates[name]] for name in GRU_GATES)
    return reset, update


def unrolled(
    x: Tensor, state: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor,
    held: tuple[float | None, float | None], before: bool,
) -> GRUTrace:  # fmt: skip
    """The cell, step after step.

    Args:
        x: (T, B, D)
        state: (B, hidden), before the first step
        weight_ih, weight_hh, bias_ih, bias_hh: as torch has them, (3·hidden, …): reset gate, update gate, candidate
        held: the net inputs (±∞) of gates that are not learned
        before: whether the reset gate acts before the product with U
    """
    steps = []
    for from_input in (x @ weight_ih.T + bias_ih).unbind():
        steps.append(gru_step(from_input, state, weight_hh, bias_hh, held, before))
        state = steps[-1].state
    return GRUTrace(*(torch.stack(each) for each in zip(*steps, strict=True)))


def gru_step(
    from_input: Tensor, state: Tensor, weight_hh: Tensor, bias_hh: Tensor, held: tuple[float | None, float | None],
    before: bool,
) -> GRUTrace:  # fmt: skip
    """One step of the cell: all of it (…, hidden), from W x + b (…, 3·hidden) and the state before it (…, hidden)."""
    i_r, i_z, i = from_input.chunk(3, -1)
    u_r, u_z, u = weight_hh.chunk(3)
    b_r, b_z, b = bias_hh.chunk(3)
    reset = gate_value(i_r + state @ u_r.T + b_r, held[0])
    update = gate_value(i_z + state @ u_z.T + b_z, held[1])
    past = (reset * state) @ u.T + b if before else reset * (state @ u.T + b)
    candidate = torch.tanh(i + past)
    return GRUTrace(reset, update, past, candidate, update * state + (1 - update) * candidate)


def gate_value(net_input: Tensor, held: float | None) -> Tensor:
    """σ of the net input; of ±∞, 1 or 0 for all, where the gate is held."""
    return torch.sigmoid(net_input if held is None else torch.full_like(net_input, held))


# ---- its gradient, derived by hand -----------------------------------------------------------------------------------


class GRUThroughTime(torch.autograd.Function):
    """`unrolled(…).state` and its gradient by back-propagation through time, derived by hand.

    With δ = ∂L/∂h, what reaches the net inputs of one step is δ times factors of the forward pass alone:

        candidate  ∂L/∂a = δ ⊙ (1 − z) ⊙ (1 − h̃²)
        update     ∂L/∂a_z = δ ⊙ (h₋ − h̃) ⊙ z (1 − z)
        reset      ∂L/∂a_r = ∂L/∂a ⊙ (U h₋ + b') ⊙ r (1 − r)      before the product: Uᵀ ∂L/∂a ⊙ h₋ ⊙ r (1 − r)

    and what goes on to h₋ is δ ⊙ z plus what these pass back through U. So the factors of all steps are computed at once,
    the walk back in time is left with one matrix product a step (two where the reset comes before), and the gradients of
    the weights are sums over all steps. Products with r are kept, never divided by: r may be 0.

    An example is a column here, so that what a step has of one kind lies in one piece, and one product of the stacked
    weights with the rows h₋ | 1 | x is all of a step's net inputs. The steps are made by NumPy in the tensors' own memory,
    as they are so small that most of their time goes into calling them, and that takes torch twice as long.
    """

    @staticmethod
    @np.errstate(all="ignore")  # gradients that overflow are this course's subject
    def forward(
        ctx: Any, x: Tensor, state: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor,
        held: tuple[float | None, float | None], before: bool,
    ) -> Tensor:  # fmt: skip
        """Arguments as of `unrolled`; the states of all steps (T, B, hidden)."""
        (length, batch, inputs), hidden = x.shape, state.shape[1]
        sources = x.new_ones(length + 1, hidden + 1 + inputs, batch)  # h₋ | 1 | x
        sources[0, :hidden] = state.T
        sources[:-1, hidden + 1 :] = x.transpose(1, 2)
        rows = x.new_empty(length, 4, hidden, batch)  # the past that the candidate hears, r, z, h̃
        weight = stacked(weight_ih, weight_hh, bias_ih, bias_hh, held, before).numpy()
        of_candidate = weight_hh[2 * hidden :].detach().numpy() / 2 if before else None
        through_time(sources.numpy(), rows.numpy(), weight, of_candidate)
        rows[:, 1:3].add_(1).mul_(0.5)
        rows[:, 0].mul_(0.5 if before else 2)
        ctx.save_for_backward(x, weight_ih, weight_hh, rows, sources)
        ctx.before = before
        return sources[1:, :hidden].transpose(1, 2)

    @staticmethod
    @once_differentiable
    @np.errstate(all="ignore")
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """From ∂L/∂outputs (T, B, hidden) to the gradients of x, state, weights and biases."""
        x, weight_ih, weight_hh, rows, sources = ctx.saved_tensors
        (length, batch, inputs), hidden = x.shape, weight_hh.shape[1]
        of_past, of_input = x.new_zeros(3 * hidden, hidden + 1), x.new_zeros(3 * hidden, 1 + inputs)
        of_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        delta = x.new_zeros(hidden, batch)
        for end in range(length, 0, -PIECE):
            steps = slice(max(0, end - PIECE), end)
            delta, flowing = piece_back(
                rows[steps], sources[steps], gradient[steps].transpose(1, 2), delta, weight_hh, ctx.before
            )
            by_past, by_input = flowing[:, :3].flatten(1, 2), flowing[:, 1:].flatten(1, 2)
            products = summed_products(by_past, sources[steps, : hidden + 1])
            if ctx.before:
                products[:hidden, :hidden] = summed_products(flowing[:, 0], rows[steps, 0])  # that is r ⊙ h₋
            of_past += products
            of_input += summed_products(by_input, sources[steps, hidden:])
            if of_x is not None:
                of_x[steps] = (weight_ih.T @ by_input).transpose(1, 2)
        of_past = of_past.roll(-hidden, 0)  # to torch's order
        of_ih, of_hh = of_input[:, 1:].contiguous(), of_past[:, :hidden].contiguous()
        return of_x, delta.T, of_ih, of_hh, of_input[:, 0].clone(), of_past[:, hidden].clone(), None, None


def piece_back(
    rows: Tensor, sources: Tensor, gradient: Tensor, delta: Tensor, weight_hh: Tensor, before: bool
) -> tuple[Tensor, Tensor]:
    """Back through some steps in a row.

    Args:
        rows, sources: what `forward` has kept of these T steps
        gradient: (T, hidden, B), ∂L/∂outputs
        delta: (hidden, B), what comes from the steps after these

    Returns:
        What goes on to the steps before these (hidden, B), and the gradients of the net inputs (T, 4, hidden, B): of the
        past that the candidate hears | reset | update | candidate.
    """
    length, _, hidden, batch = rows.shape
    past, r, z, h = rows.unbind(1)
    earlier = sources[:, :hidden]
    flowing = torch.empty_like(rows)  # at first the factors of δ, in place, as new memory costs as much as the sums
    of_past, of_reset, of_update, of_candidate = flowing.unbind(1)
    torch.mul(h, h, out=of_candidate).neg_().add_(1)
    of_candidate.addcmul_(of_candidate, z, value=-1)  # (1 − h̃²) (1 − z)
    torch.sub(earlier, h, out=of_update).mul_(z)
    of_update.addcmul_(of_update, z, value=-1)
    deltas = rows.new_empty(length + 1, hidden, batch)  # δ of every step, the state before the first one included
    deltas[0] = 0
    deltas[1:] = gradient
    deltas[length] += delta
    if before:
        of_past.copy_(of_candidate)
        torch.mul(earlier, r, out=of_reset)
        of_reset.addcmul_(of_reset, r, value=-1)
        walk_before(*(each.numpy() for each in (deltas, flowing, z, r, weight_hh)))
        of_candidate.copy_(of_past)
    else:
        torch.mul(of_candidate, r, out=of_past)  # it passes back through U times r
        torch.addcmul(past, past, r, value=-1, out=of_reset).mul_(of_past)
        walk_after(*(each.numpy() for each in (deltas, flowing, z, weight_hh)))
        of_candidate.mul_(deltas[1:])  # the input's part is not reset
    return deltas[0], flowing


def stacked(
    weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor, held: tuple[float | None, float | None],
    before: bool,
) -> Tensor:  # fmt: skip
    """The weights (4·hidden, hidden + 1 + D) of h₋ | 1 | x for what a step's functions are applied to, which are tanh alone.

    NumPy has no sigmoid, and its tanh is fast: σ(a) = (1 + ϱ)/2 with ϱ = tanh(a/2). Then r ⊙ p is p/2 + ϱ ⊙ p/2, and the
    rows are p/2 | a_r/2 | a_z/2 | W x + b + p/2 with p = U h₋ + b'. A reset that is held needs no p of its own: 0 | … | W x + b,
    exactly, or W x + b + p. Where it comes before the product p is still unknown: 0 | … | W x + b + b'.
    """
    hidden, inputs = weight_hh.shape[1], weight_ih.shape[1]
    weight = weight_ih.new_zeros(4, hidden, hidden + 1 + inputs)
    past, fresh = weight[:, :, : hidden + 1], weight[:, :, hidden:]
    of_past = torch.cat([weight_hh, bias_hh[:, None]], 1).view(3, hidden, hidden + 1)
    of_input = torch.cat([bias_ih[:, None], weight_ih], 1).view(3, hidden, 1 + inputs)
    past[1:3] = of_past[:2] / 2
    if before:
        past[3, :, -1] = bias_hh[2 * hidden :]
    elif held[0] is None:
        past[0] = past[3] = of_past[2] / 2
    elif held[0] > 0:
        past[3] = of_past[2]
    fresh[1:3] += of_input[:2] / 2
    fresh[3] += of_input[2]
    for gate, at in zip(weight[1:3], held, strict=True):
        if at is not None:
            gate.zero_()[:, hidden] = at
    return weight.flatten(0, 1)


def through_time(sources: np.ndarray, rows: np.ndarray, weight: np.ndarray, of_candidate: np.ndarray | None) -> None:
    """Through time: completes the states in `sources`, fills `rows` (T, 4, hidden, B).

    Where the reset comes before the product, that with `of_candidate`, U / 2, is a second one a step.
    """
    part = np.empty_like(rows[0, 0])
    blend = Blend(part)
    for source, net_input, gates, past, reset, update, candidate, earlier, state in each_step(sources, rows):
        np.dot(weight, source, out=net_input)
        np.tanh(gates, out=gates)
        if of_candidate is None:
            np.multiply(reset, past, out=part)
        else:
            np.multiply(reset, earlier, out=past)
            past += earlier
            np.dot(of_candidate, past, out=part)
        candidate += part
        np.tanh(candidate, out=candidate)
        blend(earlier, candidate, update, state)


def each_step(sources: np.ndarray, rows: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Of each step: h₋ | 1 | x, all net inputs, both gates'; past, reset, update, candidate; the state before and after."""
    states = sources[:, : rows.shape[2]]
    net_inputs = rows.reshape(len(rows), -1, rows.shape[3])
    return zip(
        sources[:-1], net_inputs, rows[:, 1:3], *rows.transpose(1, 0, 2, 3), states[:-1], states[1:], strict=True
    )  # fmt: skip


class Blend:
    """z ⊙ h₋ + (1 − z) ⊙ h̃ from 2z − 1; with z = 0 or 1 it is exactly one of the two.

    (NumPy multiplies by an array of halves in half of the time that it takes to multiply by one number.)
    """

    def __init__(self, like: np.ndarray):
        self.kept, self.taken = np.empty_like(like), np.empty_like(like)
        self.one, self.half = np.ones_like(like), np.full_like(like, 0.5)

    def __call__(self, earlier: np.ndarray, candidate: np.ndarray, update: np.ndarray, state: np.ndarray) -> None:
        """All (hidden, B); into `state`."""
        kept, taken = self.kept, self.taken
        np.add(self.one, update, out=kept)
        np.subtract(self.one, update, out=taken)
        np.multiply(kept, earlier, out=kept)
        np.multiply(taken, candidate, out=taken)
        np.add(kept, taken, out=state)
        np.multiply(state, self.half, out=state)


def walk_after(deltas: np.ndarray, flowing: np.ndarray, z: np.ndarray, weight_hh: np.ndarray) -> None:
    """Back in time with the reset after the product: completes `deltas` (T + 1, hidden, B), and turns the factors of past |
    reset | update in `flowing` (T, 4, hidden, B) into what flows there."""
    hidden, part = z.shape[1], np.empty_like(z[0])
    turned = np.ascontiguousarray(np.roll(weight_hh, hidden, 0).T)  # for past | reset | update
    rows = flowing.reshape(len(z), -1, z.shape[2])[:, : 3 * hidden]
    steps = zip(deltas[1:], deltas[:-1], z, flowing[:, :3], rows, strict=True)
    for delta, earlier, kept, flow, row in reversed([*steps]):
        np.multiply(flow, delta, out=flow)
        np.multiply(delta, kept, out=part)
        earlier += part
        np.dot(turned, row, out=part)
        earlier += part


def walk_before(
    deltas: np.ndarray, flowing: np.ndarray, z: np.ndarray, r: np.ndarray, weight_hh: np.ndarray
) -> None:  # fmt: skip
    """The same with the reset before the product: what comes back through U is still to be multiplied by r."""
    hidden, part, came_back = z.shape[1], np.empty_like(z[0]), np.empty_like(z[0])
    of_gates, of_candidate = (np.ascontiguousarray(weight.T) for weight in np.split(weight_hh, [2 * hidden]))
    gates = flowing.reshape(len(z), -1, z.shape[2])[:, hidden : 3 * hidden]
    steps = zip(deltas[1:], deltas[:-1], z, r, flowing, gates, strict=True)
    for delta, earlier, kept, let_through, (past, reset, update, _), row in reversed([*steps]):
        past *= delta
        update *= delta
        np.dot(of_candidate, past, out=came_back)
        reset *= came_back
        came_back *= let_through
        earlier += came_back
        np.multiply(delta, kept, out=part)
        earlier += part
        np.dot(of_gates, row, out=part)
        earlier += part


def summed_products(a: Tensor, b: Tensor) -> Tensor:
    """(M, K): a_t b_tᵀ, summed over the steps of a (T, M, B) and b (T, K, B)."""
    return torch.from_numpy((a.numpy() @ b.numpy().transpose(0, 2, 1)).sum(0))


# ---- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class GRUConfig(SequenceConfig):
    """A GRU on a task, with each gate learned or held."""

    reset_gate: str = "learned"
    update_gate: str = "learned"
    reset_place: str = "after"  # of the product with U: "after" as torch, "before" as the textbook
    backward: str = "by_hand"  # or "autograd", for reading and checking: the same curve, slower

    task: str = "adding"
    length: int = 50
    learning_rate: float = 0.005

    LIMITS: ClassVar[dict[str, Limits]] = SequenceConfig.LIMITS | {
        "reset_gate": GATE_STATES,
        "update_gate": GATE_STATES,
        "reset_place": RESETS,
        "backward": ("by_hand", "autograd"),
    }

    @property
    def gates(self) -> dict[str, str]:
        return {"reset": self.reset_gate, "update": self.update_gate}

    def cell(self, generator: torch.Generator) -> GRU:
        size = task_of(self.task).input_size
        return GRU(size, self.hidden, self.gates, self.reset_place, generator, self.backward == "by_hand")

    def reference(self) -> GRUConfig:
        """The same run with its gradients by autograd; it agrees until rounding errors have grown."""
        return replace(self, backward="autograd")


@dataclass(frozen=True, kw_only=True)
class UngatedConfig(SequenceConfig):
    """The simple recurrent network that a GRU of the same seed is without its gates: it begins with the same weights."""

    def cell(self, generator: torch.Generator) -> RNN:
        size = task_of(self.task).input_size
        gated = GRU(size, self.hidden, generator=generator).state_dict()
        cell = RNN(size, self.hidden, generator=torch.Generator())  # drawn only to be replaced
        cell.load_state_dict({name: value.chunk(3)[2] for name, value in gated.items()})
        return cell


def race(config: GRUConfig) -> dict[str, SequenceConfig]:
    """The same task for a GRU, an LSTM and a simple recurrent network, each with as many units.

    With z held at 0 and r at 1 the first and the last are the same function with the same initial weights.
    """
    same = shared_settings(config)
    return {"gru": config, "lstm": LSTMConfig(**same), "rnn": UngatedConfig(**same)}


def gates_race(config: GRUConfig) -> dict[str, SequenceConfig]:
    """The GRU as it is set, and beside it the one whose gates are all learned, where that is another."""
    full = replace(config, reset_gate="learned", update_gate="learned")
    return {"gru": config} if full == config else {"gru": config, "full_gru": full}


def shared_settings(config: SequenceConfig) -> dict[str, Any]:
    """The settings that every recurrent lesson has, by name."""
    return {field.name: getattr(config, field.name) for field in fields(SequenceConfig)}


# ---- clamping a trained network --------------------------------------------------------------------------------------


@torch.no_grad()
def clamped_scores(config: GRUConfig, state: dict[str, Tensor]) -> dict[tuple[str, str], dict[str, float]]:
    """(reset gate, update gate) → every metric on held-out data with the gates of these trained weights set so."""
    sequences = held_out(config.task, config.length, config.distractors, config.series)
    found = {}
    for gates in product(GATE_STATES, GATE_STATES):
        answers = model_of(replace(config, reset_gate=gates[0], update_gate=gates[1]), state)(sequences.inputs)
        found[gates] = {LOSS.name: sequence_loss(answers, sequences.targets).item()}
        if task_of(config.task).classes:
            found[gates][ACCURACY.name] = sequence_accuracy(config.task, answers, sequences.targets)
    return found


# ---- presets ---------------------------------------------------------------------------------------------------------

PRESETS: dict[str, GRUConfig] = {
    "adding": GRUConfig(),
    "sunspots": GRUConfig(task="sunspots", length=30, hidden=16, learning_rate=0.003),
    "digits": GRUConfig(task="digits", length=8, learning_rate=0.003),
    "recall": GRUConfig(task="recall", length=20, hidden=16, learning_rate=0.01),  # gates are no help here
    "long": GRUConfig(length=100, learning_rate=0.01),
    "textbook": GRUConfig(reset_place="before"),
    "no_reset": GRUConfig(reset_gate="open"),
    "deaf": GRUConfig(reset_gate="shut"),  # the candidate hears the input alone
    # These break, each for one reason:
    "ungated": GRUConfig(reset_gate="open", update_gate="shut"),  # the simple recurrent network
    "always_new": GRUConfig(update_gate="shut"),  # nothing is kept but what the candidate hears
    "memoryless": GRUConfig(reset_gate="shut", update_gate="shut"),
    "frozen": GRUConfig(update_gate="open"),  # the state stays what it was: 0
}
