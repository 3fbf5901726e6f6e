"""How fast the recurrent cells train: `python tests/benchmarks/recurrent.py`, figures as ratios measured in one run.

Hidden 32, batch 32, two input channels (the adding problem); forward, backward, Adam. The contestants of a cell take
turns on the same batch and with the same optimizer; of the times of this thread the smallest counts.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.data.sequences import adding
from core.gru import GRU
from core.lstm import LSTM, LSTM_GATES
from core.optimizers import Optimizer
from core.rnn import RNN

HIDDEN, BATCH, INPUTS = 32, 32, 2
LENGTHS = (50, 100, 200)


class PerStepRNN(nn.Module):
    """As one would write it: torch's cell in a Python loop."""

    def __init__(self):
        super().__init__()
        self.cell = nn.RNNCell(INPUTS, HIDDEN)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h, outputs = x.new_zeros(x.shape[1], HIDDEN), []
        for step in x:
            h = self.cell(step, h)
            outputs.append(h)
        return torch.stack(outputs), h[None]


class GoodPerStepRNN(nn.Module):
    """A good Python loop: the inputs' products at once, one fused product and one tanh a step."""

    def __init__(self):
        super().__init__()
        self.input = nn.Linear(INPUTS, HIDDEN)
        self.past = nn.Parameter(torch.randn(HIDDEN, HIDDEN) / HIDDEN**0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h, outputs, turned = x.new_zeros(x.shape[1], HIDDEN), [], self.past.T
        for step in self.input(x).unbind(0):
            h = torch.tanh(torch.addmm(step, h, turned))
            outputs.append(h)
        return torch.stack(outputs), h[None]


class GoodPerStepGRU(nn.Module):
    """A good Python loop: the inputs' products at once, one fused product a step for both gates and the candidate."""

    def __init__(self):
        super().__init__()
        self.input = nn.Linear(INPUTS, 3 * HIDDEN)
        self.past = nn.Linear(HIDDEN, 3 * HIDDEN)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h, outputs, gates, turned = x.new_zeros(x.shape[1], HIDDEN), [], 2 * HIDDEN, self.past.weight.T
        for step in self.input(x).unbind(0):
            past = torch.addmm(self.past.bias, h, turned)
            r, z = torch.sigmoid(step[:, :gates] + past[:, :gates]).chunk(2, 1)
            h = torch.lerp(torch.tanh(torch.addcmul(step[:, gates:], r, past[:, gates:])), h, z)
            outputs.append(h)
        return torch.stack(outputs), h[None]


class PerStepGRU(nn.Module):
    """As one would write it: torch's cell in a Python loop."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(INPUTS, HIDDEN)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h, outputs = x.new_zeros(x.shape[1], HIDDEN), []
        for step in x:
            h = self.cell(step, h)
            outputs.append(h)
        return torch.stack(outputs), h[None]


def our_gru(**options) -> Callable[[], nn.Module]:
    return lambda: GRU(INPUTS, HIDDEN, generator=torch.Generator().manual_seed(0), **options)


# What is measured: cell → contestants, ours first; and how many times faster ours is to be than each of the others.
CONTESTANTS: dict[str, dict[str, Callable[[], nn.Module]]] = {
    "RNN": {
        "ours": lambda: RNN(INPUTS, HIDDEN, generator=torch.Generator().manual_seed(0)),
        "good loop": GoodPerStepRNN,
        "loop of RNNCell": PerStepRNN,
        "nn.RNN": lambda: nn.RNN(INPUTS, HIDDEN),
    },
    "GRU": {
        "ours": our_gru(),
        "good loop": GoodPerStepGRU,
        "loop of GRUCell": PerStepGRU,
        "nn.GRU": lambda: nn.GRU(INPUTS, HIDDEN),
        "our loop to be read": our_gru(by_hand=False),
    },
    "GRU, a gate held": {
        "ours": our_gru(gates={"reset": "open"}),
        "our loop to be read": our_gru(gates={"reset": "open"}, by_hand=False),
        "nn.GRU, its gates learned": lambda: nn.GRU(INPUTS, HIDDEN),
    },
    "GRU, reset before": {
        "ours": our_gru(reset="before"),
        "our loop to be read": our_gru(reset="before", by_hand=False),
    },
}
WANTED: dict[str, dict[str, float]] = {
    "RNN": {"good loop": 2.0, "loop of RNNCell": 2.0, "nn.RNN": 2.0},
    "GRU": {"good loop": 2.0, "loop of GRUCell": 2.0, "nn.GRU": 2.0},
    "GRU, a gate held": {"our loop to be read": 2.0},
    "GRU, reset before": {"our loop to be read": 2.0},
}


class PerGateLSTM(nn.Module):
    """As textbooks write it: eight layers, gate by gate."""

    def __init__(self):
        super().__init__()
        self.input = nn.ModuleList(nn.Linear(INPUTS, HIDDEN) for _ in range(4))
        self.past = nn.ModuleList(nn.Linear(HIDDEN, HIDDEN) for _ in range(4))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = c = x.new_zeros(x.shape[1], HIDDEN)
        outputs = []
        for step in x:
            i, f, candidate, o = (a(step) + b(h) for a, b in zip(self.input, self.past, strict=True))
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(candidate)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs), h[None]


class FusedPerStepLSTM(nn.Module):
    """A Python loop with one fused product of 4·hidden rows for the input and one for the state."""

    def __init__(self):
        super().__init__()
        self.input, self.past = nn.Linear(INPUTS, 4 * HIDDEN), nn.Linear(HIDDEN, 4 * HIDDEN)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = c = x.new_zeros(x.shape[1], HIDDEN)
        outputs = []
        for step in x:
            i, f, candidate, o = (self.input(step) + self.past(h)).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(candidate)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs), h[None]


def our_lstm(**options) -> Callable[[], LSTM]:
    return lambda: LSTM(INPUTS, HIDDEN, generator=torch.Generator().manual_seed(0), **options)


def read_lstm(**options) -> Callable[[], nn.Module]:
    return lambda: ReadLSTM(our_lstm(**options)())


class ReadLSTM(nn.Module):
    """Our cell to be read, differentiated by autograd."""

    def __init__(self, cell: LSTM):
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        steps = self.cell.by_hand(x)
        return steps.hidden, steps.cell[-1:]


LSTMS = {
    "LSTM": our_lstm(),
    "LSTM, a gate held": our_lstm(gates={"forget": "open"}),
    "LSTM, all gates held": our_lstm(gates=dict.fromkeys(LSTM_GATES, "open")),
    "LSTM, coupled": our_lstm(coupled=True),
}
for name, ours in LSTMS.items():
    CONTESTANTS[name] = {
        "ours": ours,
        "loop with one fused product": FusedPerStepLSTM,
        "loop gate by gate": PerGateLSTM,
        "nn.LSTM": lambda: nn.LSTM(INPUTS, HIDDEN),
    }
    WANTED[name] = {"loop with one fused product": 3.5, "loop gate by gate": 8.0, "nn.LSTM": 0.95}
WANTED["LSTM, coupled"]["nn.LSTM"] = 0.85  # two blocks of rows are put together first
VARIANTS: dict[str, dict[str, Any]] = {
    "peepholes": {"peephole": True},
    "no tanh of the output": {"output_activation": False},
}
for name, options in VARIANTS.items():
    CONTESTANTS[f"LSTM, {name}"] = {"ours": our_lstm(**options), "our loop to be read": read_lstm(**options)}
    WANTED[f"LSTM, {name}"] = {"our loop to be read": 1.5}


class Trainer:
    """One contestant with its readout and its Adam."""

    def __init__(self, cell: nn.Module):
        self.cell, self.readout = cell, nn.Linear(HIDDEN, 1)
        self.parameters = [*self.cell.parameters(), *self.readout.parameters()]
        self.optimizer = Optimizer("adam", self.parameters)

    def update(self, inputs: Tensor, targets: Tensor) -> None:
        outputs, _ = self.cell(inputs)
        loss = F.mse_loss(self.readout(outputs[-1]), targets)
        self.optimizer.step(list(torch.autograd.grad(loss, self.parameters)), 1e-3)


def times(contestants: dict[str, Callable[[], nn.Module]], length: int, rounds: int) -> dict[str, float]:
    """Seconds of one update of each contestant."""
    batch = adding(length, BATCH, torch.Generator().manual_seed(0))
    trainers = {name: Trainer(build()) for name, build in contestants.items()}
    calls = max(1, 200 // length)
    best = dict.fromkeys(trainers, float("inf"))
    for _ in range(rounds):
        for name, trainer in trainers.items():
            start = time.thread_time()
            for _ in range(calls):
                trainer.update(*batch)
            best[name] = min(best[name], (time.thread_time() - start) / calls)
    return best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--cell", choices=CONTESTANTS, action="append", help="only these")
    arguments = parser.parse_args()
    missed = 0
    for cell in arguments.cell or CONTESTANTS:
        for length in LENGTHS:
            found = times(CONTESTANTS[cell], length, arguments.rounds)
            ours = found.pop("ours")
            for name, seconds in found.items():
                ratio, wanted = seconds / ours, WANTED[cell].get(name, 0.0)
                missed += ratio < wanted
                print(f"{cell}, T = {length}: {ratio:.2f}× {name} ({ours * 1000:.2f} ms), wanted {wanted}×")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
