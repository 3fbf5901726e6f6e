"""The long short-term memory: a state that gates write, keep and read; each gate can be held open or shut.

Sources: Hochreiter & Schmidhuber 1997; forget gate and its bias Gers, Schmidhuber & Cummins 2000 and Jozefowicz et al.
2015; peepholes Gers & Schmidhuber 2000; the variants side by side Greff et al. 2017; nndl 6.6.1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from core.config import Limits, Span
from core.data.sequences import held_out, task_of
from core.sequence_learner import SequenceConfig, model_of, sequence_accuracy, sequence_loss
from core.training import ACCURACY, LOSS

LSTM_GATES = ("input", "forget", "output")
GATE_SETTINGS = ("learned", "open", "shut")  # of a gate: computed, held at 1, held at 0
LSTM_ROWS = {"input": 0, "forget": 1, "candidate": 2, "output": 3}  # the order of torch's blocks of `hidden` rows
PINNED = 40.0  # σ(40) is 1 to the last digit of float64, σ(−40) is 4e−18


class LSTMTrace(NamedTuple):
    """Every part of every step, (T, B, hidden) each; of a single step (B, hidden)."""

    input: Tensor  # i: how much of the candidate is written
    forget: Tensor  # f: how much of the old cell state is kept
    candidate: Tensor  # c̃: what could be written
    output: Tensor  # o: how much of the cell state is shown
    cell: Tensor  # c = f ⊙ c₋ + i ⊙ c̃
    hidden: Tensor  # h = o ⊙ tanh c


class LSTM(nn.Module):
    """One layer of LSTM whose gates can be held open or shut; with all of them learned it is `torch.nn.LSTM`.

    Its parameters have torch's names and order, so a one-layer state dict of `torch.nn.LSTM` loads unchanged. Those of
    a gate that is not learned are kept but have no effect and no gradient.

    Args:
        input_size: D.
        hidden_size: of the hidden and of the cell state.
        gates: gate → "learned", "open" (held at 1) or "shut" (held at 0); those left out are learned.
        generator: draws the parameters, U(−1/√hidden, 1/√hidden) as torch does; without one torch's global one.
        candidate_activation, output_activation: whether tanh squashes the candidate, and the cell state on its way out.
        coupled: f = 1 − i, the forget gate has no weights of its own (but keeps its place among torch's rows).
        peephole: the gates see the cell state too, each unit its own: i and f the old one, o the new one.
        forget_bias: added to the forget gate's initial bias.

    Raises:
        ValueError: a gate or a setting that does not exist, or a held forget gate that is coupled as well.
    """

    sign: Tensor
    pin: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        gates: Mapping[str, str] | None = None,
        *,
        generator: torch.Generator | None = None,
        candidate_activation: bool = True,
        output_activation: bool = True,
        coupled: bool = False,
        peephole: bool = False,
        forget_bias: float = 0.0,
    ):
        super().__init__()
        self.gates = checked_gates(gates or {}, coupled)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.candidate_activation, self.output_activation = candidate_activation, output_activation
        self.coupled, self.peephole = coupled, peephole
        self.variant = LSTMVariant(lstm_held(self.gates), coupled, candidate_activation, output_activation)
        self.weight_ih_l0 = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.empty(4 * hidden_size))
        self.bias_hh_l0 = nn.Parameter(torch.empty(4 * hidden_size))
        if peephole:
            self.weight_ch_l0 = nn.Parameter(torch.empty(3, hidden_size))  # of i, f and o
        bound = 1 / math.sqrt(hidden_size)
        with torch.no_grad():
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
            self.bias_ih_l0[self.rows("forget")] += forget_bias
        # The kernel computes σ(z) of every gate. Rows times 0 and a bias of ±40 make it 1 or 0 whatever comes in; the
        # input gate's rows times −1 make it a coupled forget gate, since 1 − σ(z) = σ(−z).
        sign, pin = torch.ones(4 * hidden_size), torch.zeros(4 * hidden_size)
        if coupled:
            sign[self.rows("forget")] = -1
        for gate, setting in self.gates.items():
            if setting != "learned":
                sign[self.rows(gate)] = 0
                pin[self.rows(gate)] = PINNED if setting == "open" else -PINNED
        if coupled and self.gates["input"] != "learned":
            sign[self.rows("forget")] = 0
            pin[self.rows("forget")] = -pin[self.rows("input")]
        self.plain = bool((sign == 1).all())  # all gates learned by themselves
        self.register_buffer("sign", sign, persistent=False)
        self.register_buffer("pin", pin, persistent=False)

    def rows(self, gate: str) -> slice:
        """The rows of weights and biases that a gate, or the candidate, has."""
        return slice(LSTM_ROWS[gate] * self.hidden_size, (LSTM_ROWS[gate] + 1) * self.hidden_size)

    @property
    def fused(self) -> bool:
        """Whether torch's kernel can do it: it knows neither peepholes nor a missing tanh."""
        return self.candidate_activation and self.output_activation and not self.peephole

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run over a sequence.

        Args:
            x: (T, B, D).
            state: hidden and cell state before it, (1, B, hidden) each; zeros if there is none.

        Returns:
            The hidden state at every step (T, B, hidden), and the last hidden and cell state (1, B, hidden).
        """
        state = self.state_before(x, state)
        if not self.fused:
            peephole = self.weight_ch_l0 if self.peephole else None
            bias = self.bias_ih_l0 + self.bias_hh_l0
            outputs, c = LSTMThroughTime.apply(
                x, state[0][0], state[1][0], self.weight_ih_l0, self.weight_hh_l0, bias, peephole, self.variant
            )
            return outputs, (outputs[-1:], c[None])
        outputs, h, c = torch.lstm(x, state, self.pinned_parameters(), True, 1, 0.0, self.training, False, False)
        return outputs, (h, c)

    def state_before(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """The given state, or zeros."""
        if state is not None:
            return state
        zeros = x.new_zeros(1, x.shape[1], self.hidden_size)
        return zeros, zeros

    def pinned_parameters(self) -> list[Tensor]:
        """torch's four parameters, changed so that its kernel holds gates open or shut."""
        parameters: list[Tensor] = [self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0]
        if self.plain:
            return parameters
        if self.coupled:
            i, rest = self.rows("input"), slice(self.rows("candidate").start, None)
            parameters = [torch.cat([part[i], part[i], part[rest]]) for part in parameters]
        weight_ih, weight_hh, bias_ih, bias_hh = parameters
        sign, pin = self.sign, self.pin
        return [weight_ih * sign[:, None], weight_hh * sign[:, None], torch.addcmul(pin, bias_ih, sign), bias_hh * sign]

    # ---- the same to be read ----

    def by_hand(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> LSTMTrace:
        """All steps one after the other, as the formulas have them; arguments as for `forward`."""
        h, c = (part[0] for part in self.state_before(x, state))
        from_input = x @ self.weight_ih_l0.T + self.bias_ih_l0 + self.bias_hh_l0  # (T, B, 4·hidden)
        steps = []
        for now in from_input:
            step = self.step(now, h, c)
            h, c = step.hidden, step.cell
            steps.append(step)
        return LSTMTrace(*map(torch.stack, zip(*steps, strict=True)))

    def step(self, from_input: Tensor, h: Tensor, c: Tensor) -> LSTMTrace:
        """One step: `from_input` (B, 4·hidden) is W x + b, h and c (B, hidden) are the states before it."""
        z_i, z_f, z_c, z_o = (from_input + h @ self.weight_hh_l0.T).chunk(4, dim=-1)  # net inputs, (B, hidden) each
        if self.peephole:
            z_i = z_i + self.weight_ch_l0[0] * c
            z_f = z_f + self.weight_ch_l0[1] * c
        i = self.gate("input", z_i)
        f = 1 - i if self.coupled else self.gate("forget", z_f)
        candidate = torch.tanh(z_c) if self.candidate_activation else z_c
        c = f * c + i * candidate
        if self.peephole:
            z_o = z_o + self.weight_ch_l0[2] * c
        o = self.gate("output", z_o)
        h = o * (torch.tanh(c) if self.output_activation else c)
        return LSTMTrace(i, f, candidate, o, c, h)

    def gate(self, name: str, z: Tensor) -> Tensor:
        """σ of the net input, unless the gate is held."""
        if self.gates[name] == "learned":
            return torch.sigmoid(z)
        return torch.ones_like(z) if self.gates[name] == "open" else torch.zeros_like(z)

    @torch.no_grad()
    def trace(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> LSTMTrace:
        """Every gate, candidate and state of every step; arguments as for `forward`.

        From the kernel's outputs the gates of all steps follow in one product, since each depends on x and on the
        hidden state before it; only the cell state is then summed up step by step.
        """
        state = self.state_before(x, state)
        if not self.fused:
            return self.by_hand(x, state)
        hidden, _ = self.forward(x, state)
        before = torch.cat([state[0], hidden[:-1]])
        z = x @ self.weight_ih_l0.T + before @ self.weight_hh_l0.T + self.bias_ih_l0 + self.bias_hh_l0
        z_i, z_f, z_c, z_o = z.chunk(4, dim=-1)
        i = self.gate("input", z_i)
        f = 1 - i if self.coupled else self.gate("forget", z_f)
        candidate, o = torch.tanh(z_c), self.gate("output", z_o)
        written, c, cells = i * candidate, state[1][0], []
        for kept, added in zip(f, written, strict=True):
            c = torch.addcmul(added, kept, c)
            cells.append(c)
        return LSTMTrace(i, f, candidate, o, torch.stack(cells), hidden)


# ---- backpropagation through time, for what the kernel cannot do ---------------------------------------------------------


class LSTMVariant(NamedTuple):
    """What an LSTM does other than the usual one."""

    held: tuple[float | None, ...]  # of LSTM_GATES: 1 open, 0 shut, None learned
    coupled: bool
    candidate_activation: bool
    output_activation: bool


def lstm_held(gates: Mapping[str, str]) -> tuple[float | None, ...]:
    """For each of LSTM_GATES the value at which it is held."""
    return tuple({"learned": None, "open": 1.0, "shut": 0.0}[gates[gate]] for gate in LSTM_GATES)


class LSTMThroughTime(torch.autograd.Function):
    """All steps of `LSTM.step`, and their gradient derived by hand: about twice as fast as through autograd.

    A step back does only what depends on the step after it. With δ for the gradient by a step's h, γ for that by its c:
    γ += δ ⊙ o ⊙ (1 − tanh² c); by the net inputs δ ⊙ tanh c ⊙ o′ and γ ⊙ (g i′, c₋ f′, i g′); then γ ← γ ⊙ f, δ ← Uᵀ of these.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, c: Tensor, w_in: Tensor, w_past: Tensor, bias: Tensor, peephole: Tensor | None, variant: LSTMVariant):  # fmt: skip
        steps, count, hidden = *x.shape[:2], h.shape[1]
        parts = torch.addmm(bias, x.reshape(steps * count, -1), w_in.T).view(
            steps, count, 4, hidden
        )  # net inputs, then gates
        cells, states = x.new_empty(steps + 1, count, hidden), x.new_empty(steps + 1, count, hidden)
        cells[0], states[0] = c, h
        held_i, held_f, held_o = variant.held
        turned, places, shown = w_past.T, cells.unbind(0), torch.empty_like(h)
        rows, past = parts.view(steps, count, 4 * hidden).unbind(0), states.unbind(0)
        gates = [part.unbind(0) for part in parts.unbind(2)]
        for t, (row, pair, i, f, candidate, o) in enumerate(zip(rows, parts[:, :, :2].unbind(0), *gates, strict=True)):
            before, after = places[t], places[t + 1]
            row.addmm_(past[t], turned)
            if peephole is not None:
                pair.addcmul_(before[:, None], peephole[:2])
            pair.sigmoid_()
            if held_i is not None:
                i.fill_(held_i)
            if variant.coupled:
                torch.sub(1, i, out=f)
            elif held_f is not None:
                f.fill_(held_f)
            if variant.candidate_activation:
                candidate.tanh_()
            torch.mul(f, before, out=after).addcmul_(i, candidate)
            if peephole is not None:
                o.addcmul_(peephole[2], after)
            if held_o is None:
                o.sigmoid_()
            else:
                o.fill_(held_o)
            torch.mul(o, torch.tanh(after, out=shown) if variant.output_activation else after, out=past[t + 1])
        ctx.save_for_backward(x, parts, cells, states, w_in, w_past, peephole)
        ctx.variant = variant
        return states[1:], cells[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, grad_cell: Tensor):  # type: ignore[override]
        x, parts, cells, states, w_in, w_past, peephole = ctx.saved_tensors
        variant: LSTMVariant = ctx.variant
        steps, count = parts.shape[:2]
        i, f, candidate, o = parts.unbind(2)
        before = cells[:-1]
        shown = torch.tanh(cells[1:]) if variant.output_activation else cells[1:]
        through = o * (1 - shown * shown) if variant.output_activation else o  # ∂h/∂c
        slopes = [i * (1 - i), f * (1 - f), 1 - candidate**2 if variant.candidate_activation else torch.ones_like(i), o * (1 - o)]  # fmt: skip
        for block, held in zip((0, 1, 3), variant.held, strict=True):
            if held is not None:
                slopes[block] = torch.zeros_like(i)
        by_input = candidate - before if variant.coupled else candidate
        by_forget = torch.zeros_like(before) if variant.coupled else before
        by_cell = torch.stack(
            [by_input * slopes[0], by_forget * slopes[1], i * slopes[2]], 2
        )  # (T, B, 3, hidden) ∂c/∂z
        by_output = shown * slopes[3]  # ∂h/∂z of the output gate
        errors = torch.empty_like(parts)  # ∂L/∂z
        error_h, error_c, grads = grad[-1], grad_cell.clone(), grad.unbind(0)
        rows, p = errors.view(steps, count, -1).unbind(0), peephole
        each = (rows, errors[:, :, :3].unbind(0), errors[:, :, 3].unbind(0), by_cell, by_output, through, f)
        for t, (row, three, last, slope_c, slope_h, passed, kept) in reversed(list(enumerate(zip(*each, strict=True)))):
            torch.mul(error_h, slope_h, out=last)
            error_c.addcmul_(error_h, passed)
            if p is not None:
                error_c.addcmul_(last, p[2])
            torch.mul(error_c[:, None], slope_c, out=three)
            error_c.mul_(kept)
            if p is not None:
                error_c.addcmul_(three[:, 0], p[0]).addcmul_(three[:, 1], p[1])
            error_h = torch.addmm(grads[t - 1], row, w_past) if t else row @ w_past
        flat = errors.view(steps * count, -1)
        by_peephole = None
        if peephole is not None:
            seen = torch.stack([before, before, cells[1:]], 2)
            by_peephole = (errors[:, :, [0, 1, 3]] * seen).sum((0, 1))
        by_x = (flat @ w_in).view(x.shape) if ctx.needs_input_grad[0] else None
        by_w_in, by_w_past = flat.T @ x.reshape(steps * count, -1), flat.T @ states[:-1].reshape(steps * count, -1)
        return by_x, error_h, error_c, by_w_in, by_w_past, flat.sum(0), by_peephole, None


class NetInputs(NamedTuple):
    """What the net inputs of one step are made of; each (4, hidden): input gate, forget gate, candidate, output gate."""

    from_input: Tensor  # W x
    from_past: Tensor  # U h₋
    bias: Tensor  # both of them
    from_cell: Tensor  # p ⊙ c₋ of the input and the forget gate, p ⊙ c of the output gate; 0 without peepholes
    total: Tensor


@torch.no_grad()
def net_inputs(model: LSTM, x: Tensor, steps: LSTMTrace, at: int) -> NetInputs:
    """Of step `at` (from 0) of a sequence x (T, B, D) that has run from a state of zeros; B must be 1."""
    zeros = x.new_zeros(model.hidden_size)
    h, c = (part[at - 1, 0] if at else zeros for part in (steps.hidden, steps.cell))
    from_input = (model.weight_ih_l0 @ x[at, 0]).view(4, -1)
    from_past = (model.weight_hh_l0 @ h).view(4, -1)
    bias = (model.bias_ih_l0 + model.bias_hh_l0).view(4, -1)
    from_cell = torch.zeros_like(bias)
    if model.peephole:
        p_i, p_f, p_o = model.weight_ch_l0
        from_cell = torch.stack([p_i * c, p_f * c, zeros, p_o * steps.cell[at, 0]])
    return NetInputs(from_input, from_past, bias, from_cell, from_input + from_past + bias + from_cell)


def checked_gates(gates: Mapping[str, str], coupled: bool) -> dict[str, str]:
    """The setting of every gate."""
    for gate, setting in gates.items():
        if gate not in LSTM_GATES:
            raise ValueError(f"a gate must be one of {', '.join(LSTM_GATES)}, got {gate!r}")
        if setting not in GATE_SETTINGS:
            raise ValueError(f"the {gate} gate must be one of {', '.join(GATE_SETTINGS)}, got {setting!r}")
    if coupled and gates.get("forget", "learned") != "learned":
        raise ValueError("a coupled forget gate is 1 − i and cannot be held as well")
    return {gate: gates.get(gate, "learned") for gate in LSTM_GATES}


# ---- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LSTMConfig(SequenceConfig):
    """An LSTM on a task, with each gate learned, held open or held shut."""

    task: str = "adding"
    length: int = 50
    hidden: int = 16
    learning_rate: float = 0.01
    input_gate: str = "learned"
    forget_gate: str = "learned"
    output_gate: str = "learned"
    candidate_activation: bool = True
    output_activation: bool = True
    coupled: bool = False
    peephole: bool = False
    forget_bias: float = 1.0

    LIMITS: ClassVar[dict[str, Limits]] = SequenceConfig.LIMITS | {
        "input_gate": GATE_SETTINGS,
        "forget_gate": GATE_SETTINGS,
        "output_gate": GATE_SETTINGS,
        "forget_bias": Span(-4.0, 6.0, 0.5),
    }

    def __post_init__(self):
        super().__post_init__()
        checked_gates(self.gates, self.coupled)

    @property
    def gates(self) -> dict[str, str]:
        return {gate: getattr(self, f"{gate}_gate") for gate in LSTM_GATES}

    def cell(self, generator: torch.Generator) -> LSTM:
        return LSTM(
            task_of(self.task).input_size,
            self.hidden,
            self.gates,
            generator=generator,
            candidate_activation=self.candidate_activation,
            output_activation=self.output_activation,
            coupled=self.coupled,
            peephole=self.peephole,
            forget_bias=self.forget_bias,
        )


# ---- gates held in a trained network ---------------------------------------------------------------------------------

CLAMPS = {  # by name: the gate that is held, and how
    "as_trained": ("", ""),
    **{f"{gate}_{setting}": (gate, setting) for gate in LSTM_GATES for setting in GATE_SETTINGS[1:]},
}


def clamped(config: LSTMConfig, clamp: str) -> LSTMConfig:
    """The config with a gate held, one of CLAMPS. A forget gate that is held is no longer coupled."""
    gate, setting = CLAMPS[clamp]
    if not gate:
        return config
    changed: dict[str, Any] = {f"{gate}_gate": setting, "coupled": config.coupled and gate != "forget"}
    return replace(config, **changed)


@torch.no_grad()
def clamped_scores(config: LSTMConfig, state: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """Every metric on held-out data for each of CLAMPS, with these weights: nothing is trained again."""
    sequences = held_out(config.task, config.length, config.distractors, config.series)
    scores = {}
    for clamp in CLAMPS:
        answers = model_of(clamped(config, clamp), state)(sequences.inputs)
        scores[clamp] = {LOSS.name: sequence_loss(answers, sequences.targets).item()}
        if task_of(config.task).classes:
            scores[clamp][ACCURACY.name] = sequence_accuracy(config.task, answers, sequences.targets)
    return scores


# ---- the race and the presets ----------------------------------------------------------------------------------------

FULL: dict[str, Any] = {
    f.name: f.default for f in fields(LSTMConfig) if f.name not in {g.name for g in fields(SequenceConfig)}
}


def race(config: LSTMConfig) -> dict[str, LSTMConfig]:
    """The config, and beside it the full LSTM where that is something else."""
    full = replace(config, **FULL)
    return {"full_lstm": full} if full == config else {"changed_lstm": config, "full_lstm": full}


SUNSPOTS: dict[str, Any] = {"task": "sunspots", "length": 30, "learning_rate": 0.003}

PRESETS: dict[str, LSTMConfig] = {
    "adding": LSTMConfig(),
    "coupled": LSTMConfig(coupled=True),
    "peephole": LSTMConfig(peephole=True),
    "first_lstm": LSTMConfig(forget_gate="open"),  # that of 1997 had no forget gate
    "reference": LSTMConfig(hidden=64, batch_size=64, learning_rate=0.002),
    "long_memory": LSTMConfig(task="recall", forget_bias=6.0),
    "sunspots": LSTMConfig(**SUNSPOTS),
    "digits": LSTMConfig(task="digits", length=8, hidden=32),
    # These break, each for one reason:
    "input_open": LSTMConfig(input_gate="open"),  # everything is written
    "forget_shut": LSTMConfig(forget_gate="shut"),  # nothing is kept but what h carries
    "frozen": LSTMConfig(forget_gate="open", input_gate="shut"),  # c stays 0
    "simple_rnn": LSTMConfig(input_gate="open", forget_gate="shut", output_gate="open", output_activation=False),
    "unsquashed": LSTMConfig(  # h grows by a factor I + U at every step
        input_gate="open",
        forget_gate="open",
        output_gate="open",
        candidate_activation=False,
        output_activation=False,
    ),
}
