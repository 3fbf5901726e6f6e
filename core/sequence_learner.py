"""What the recurrent lessons share: a cell over time, a linear readout of its outputs, and one clipped update.

A cell is a module `(x: (T, B, D), state=None) -> (outputs: (T, B, hidden), state)`; a lesson's config builds it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import Config, Limits, SettingError, Span
from core.data.sequences import (
    SERIES_TASKS,
    TASKS,
    UNASKED,
    Sequences,
    check_series,
    draw_sequences,
    held_out,
    longest_window,
    only_the_last,
    raw_series,
    task_of,
    training_windows,
)
from core.initialisation import Linear, draw
from core.optimizers import OPTIMIZERS, Optimizer
from core.training import ACCURACY, LOSS, Metric, Scores

MEASURED = 256  # training sequences that are measured at most, always the same ones


# ---- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SequenceConfig(Config):
    """A task on sequences and how it is trained. A lesson adds its cell: `LIMITS = SequenceConfig.LIMITS | {…}`."""

    task: str = "recall"
    length: int = 20  # steps of a sequence; of "copying" the delay
    distractors: float = 0.0  # of "recall": how likely a later step shows another symbol
    hidden: int = 32  # units
    batch_size: int = 32  # sequences per update
    optimizer: str = "adam"
    clip: float = 1.0  # the gradient's norm is at most this; 0: it is left as it is
    series: tuple[float, ...] = ()  # of "own": its values, in order
    learning_rate: float = 0.003

    OWN_DATA: ClassVar = {"series": ("task", ("own",))}
    LIMITS: ClassVar[dict[str, Limits]] = {
        "task": TASKS,
        "length": range(2, 101),
        "distractors": Span(0.0, 1.0, 0.05),
        "hidden": range(1, 65),
        "batch_size": range(1, 129),
        "optimizer": OPTIMIZERS,
        "clip": Span(0.0, 10.0, 0.1),
        "learning_rate": Span(0.0, 10.0, 0.0001),
    }

    def __post_init__(self):
        super().__post_init__()
        check_windows(self)

    def build(self, generator: torch.Generator) -> SequenceLearner:
        return SequenceLearner(self, generator)

    def cell(self, generator: torch.Generator) -> nn.Module:
        """The lesson's cell for inputs of `task_of(self.task).input_size` channels; its outputs have `hidden`."""
        raise NotImplementedError


def check_windows(config: SequenceConfig) -> None:
    """Raise SettingError unless there is a series where one is needed, and it is long enough for the length."""
    check_series(config.task, config.series)
    if config.task in SERIES_TASKS:
        most = longest_window(len(raw_series(config.task, config.series)))
        if config.length > most:
            raise SettingError("length", config.length, range(2, most + 1))


# ---- learning --------------------------------------------------------------------------------------------------------


class Readout(nn.Module):
    """A cell whose outputs are read by one linear layer: the answers (T, B, output_size), or of the last step alone."""

    def __init__(self, cell: nn.Module, hidden: int, output_size: int, every_step: bool, generator: torch.Generator):
        super().__init__()
        self.cell = cell
        self.readout = draw(Linear(hidden, output_size), generator)
        self.every_step = every_step

    def forward(self, inputs: Tensor) -> Tensor:
        """(T, B, D) → (T, B, output_size), or (B, output_size) where only the last step is asked."""
        outputs, _ = self.cell(inputs)
        return self.readout(outputs if self.every_step else outputs[-1])


def build_model(config: SequenceConfig, generator: torch.Generator) -> Readout:
    """The untrained model of a config: the cell's weights are drawn first, then the readout's."""
    task = task_of(config.task)
    return Readout(config.cell(generator), config.hidden, task.output_size, task.every_step, generator)


def model_of(config: SequenceConfig, state: dict[str, Tensor]) -> Readout:
    """The model with the weights of a snapshot, for pictures."""
    model = build_model(config, torch.Generator())
    model.load_state_dict(state)
    return model


def sequence_loss(answers: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of scores (…, classes) for classes (…), or mean squared error of values, where asked."""
    if targets.dtype == torch.long:
        return F.cross_entropy(answers.flatten(0, -2), targets.flatten(), ignore_index=UNASKED)
    asked = ~targets.isnan()
    return F.mse_loss(answers[asked], targets[asked])


def sequence_accuracy(task: str, answers: Tensor, targets: Tensor) -> float:
    """The share of right classes; of "copying" among the repeated symbols alone, as blanks are too easy."""
    asked = targets != UNASKED
    if task == "copying":
        asked = asked & (targets < answers.shape[-1] - 1)
    return (answers.argmax(-1) == targets)[asked].float().mean().item()


def clip_norm(gradients: list[Tensor], largest: float) -> float:
    """Replace gradients by scaled ones, so that their common norm is at most `largest`; return the norm before.

    As torch's `clip_grad_norm_`, which needs the gradients in their parameters. Nothing is scaled in place: two biases
    that are only ever added share one tensor as their gradient, and it would be scaled twice.
    """
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))).item()
    if norm > largest:
        gradients[:] = torch._foreach_mul(gradients, largest / (norm + 1e-6))
    return norm


class SequenceLearner:
    """A recurrent cell that learns a task.

    `gradient_norm` is the norm of the last update's gradient before it was clipped.
    """

    metrics: tuple[Metric, ...] = (LOSS,)

    def __init__(self, config: SequenceConfig, generator: torch.Generator):
        self.config, self.generator = config, generator
        self.task = task_of(config.task)
        self.model = build_model(config, generator)
        self.parameters: list[Tensor] = list(self.model.parameters())
        self.optimizer = Optimizer(config.optimizer, self.parameters)
        self.gradient_norm = 0.0
        self.train_sequences = self.measured_sequences()
        self.test_sequences = held_out(config.task, config.length, config.distractors, config.series)
        if self.task.classes:
            self.metrics = (LOSS, ACCURACY)

    def measured_sequences(self) -> Sequences:
        """The training sequences that are measured: of a series only the last step, as of what is held out."""
        config = self.config
        if config.task in SERIES_TASKS:
            windows = only_the_last(training_windows(config.task, config.length, config.series))
            stride = math.ceil(windows.inputs.shape[1] / MEASURED)  # of a long series some windows from all over it
            return Sequences(windows.inputs[:, ::stride], windows.targets[:, ::stride])
        return draw_sequences(config.task, config.length, MEASURED, self.generator, config.distractors)

    def batch(self) -> Sequences:
        """The sequences of the next update."""
        config = self.config
        return draw_sequences(
            config.task, config.length, config.batch_size, self.generator, config.distractors, config.series
        )

    def gradients(self, batch: Sequences) -> tuple[Tensor, list[Tensor]]:
        """The loss () of a batch, and its gradient for each parameter."""
        loss = sequence_loss(self.model(batch.inputs), batch.targets)
        return loss, list(torch.autograd.grad(loss, self.parameters))

    def update(self, learning_rate: float) -> float:
        loss, gradients = self.gradients(self.batch())
        self.gradient_norm = clip_norm(gradients, self.config.clip or math.inf)
        self.optimizer.step(gradients, learning_rate)
        return loss.item()

    @torch.no_grad()
    def evaluate(self) -> Scores:
        return {"train": self.scores(self.train_sequences), "test": self.scores(self.test_sequences)}

    def scores(self, sequences: Sequences) -> dict[str, float]:
        """Every metric on the given sequences."""
        answers = self.model(sequences.inputs)
        found = {LOSS.name: sequence_loss(answers, sequences.targets).item()}
        if self.task.classes:
            found[ACCURACY.name] = sequence_accuracy(self.config.task, answers, sequences.targets)
        return found

    def state(self) -> dict[str, Tensor]:
        """{"cell.…": the cell's weights, "readout.weight": (output, hidden), "readout.bias": (output,)}"""
        return self.model.state_dict()

    def intervene(self, name: str, value: Any) -> None:
        raise ValueError(f"a recurrent network cannot change {name!r} on its way")
