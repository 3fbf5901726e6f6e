"""How soon each cell learns the adding problem: `python tests/benchmarks/adding.py`, half a minute on one core.

50 steps, hidden 64, Adam 0.002, batches of 64, clipped at 1; the mean squared error on the held-out sequences, seed 0. What
is known: a GRU is below 0.01 after some 750 updates, an LSTM after some 1,500, and a tanh network stays where no memory
gets to, near 1/6. All cells begin as torch's do.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import nn

from core.data.sequences import held_out, memoryless_loss, task_of
from core.gru import GRU
from core.lstm import LSTM
from core.rnn import RNN
from core.sequence_learner import SequenceConfig
from core.training import Run

SMALL, UPDATES = 0.01, 2500
EVERY = 50
CELLS = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}
WANTED = {"RNN": None, "LSTM": 2500, "GRU": 1200}  # updates at most; None: never


@dataclass(frozen=True, kw_only=True)
class AddingConfig(SequenceConfig):
    """The settings that the numbers above belong to."""

    kind: str = "RNN"
    task: str = "adding"
    length: int = 50
    hidden: int = 64
    batch_size: int = 64
    learning_rate: float = 0.002

    def cell(self, generator: torch.Generator) -> nn.Module:
        return CELLS[self.kind](task_of(self.task).input_size, self.hidden, generator=generator)


def main() -> int:
    targets = held_out("adding", 50).targets
    print(
        f"no memory: {((targets - 1) ** 2).mean():.4f} on the held-out sequences, {memoryless_loss('adding', 50):.4f} in theory"
    )
    missed = 0
    for kind, wanted in WANTED.items():
        run, reached = Run(AddingConfig(kind=kind)), None
        while run.steps < UPDATES and reached is None:
            run.step()
            if run.steps % EVERY == 0 and run.learner.evaluate()["test"]["Loss"] < SMALL:
                reached = run.steps
        missed += (reached is None) != (wanted is None) or (wanted is not None and reached > wanted)
        loss = run.learner.evaluate()["test"]["Loss"]
        print(
            f"{kind}: {'never' if reached is None else reached} below {SMALL} in {UPDATES} updates, {loss:.4f} at the end"
        )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
