"""A memory race: how long a delay a simple RNN, an LSTM and a GRU can learn to bridge, over many delays and seeds.

Sources: Hochreiter & Schmidhuber 1997 (the tasks); Jozefowicz et al. 2015 (forget bias 1); Tallec & Ollivier 2018 (a gate
whose initial bias is ln T remembers for about T steps).
"""

from __future__ import annotations

import csv
import io
import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import Limits, Span
from core.data.sequences import held_out, task_of
from core.gru import GRU
from core.lstm import LSTM
from core.rnn import RNN
from core.sequence_learner import SequenceConfig, build_model, model_of
from core.training import ACCURACY, LOSS, Metric, Run

CELLS = ("simple_rnn", "lstm", "gru")
MEMORY_TASKS = ("recall", "adding", "copying", "digits")  # those with a delay between what is shown and what is asked
LEARNED = {"recall": 0.99, "adding": 0.01, "copying": 0.99, "digits": 0.9}  # the held-out score that counts as learned
LENGTHS = range(2, 201)
LOOKED_AT = 64  # held-out sequences that a picture is drawn from


# ---- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CellConfig(SequenceConfig):
    """One cell that learns one task at one delay."""

    kind: str = "gru"
    gate_bias: float = 3.0  # added at the start to the biases of the gate that keeps: LSTM's forget, GRU's update gate
    length: int = 40
    distractors: float = 1.0

    LIMITS: ClassVar[dict[str, Limits]] = SequenceConfig.LIMITS | {
        "task": MEMORY_TASKS,
        "length": LENGTHS,
        "kind": CELLS,
        "gate_bias": Span(-3.0, 6.0, 0.5),
    }

    def cell(self, generator: torch.Generator) -> nn.Module:
        size, hidden = task_of(self.task).input_size, self.hidden
        if self.kind == "simple_rnn":
            return RNN(size, hidden, generator=generator)
        if self.kind == "lstm":
            return LSTM(size, hidden, generator=generator, forget_bias=self.gate_bias)
        gru = GRU(size, hidden, generator=generator)
        with torch.no_grad():
            gru.bias_ih_l0[hidden : 2 * hidden] += self.gate_bias  # torch's rows: reset, update, candidate
        return gru


@dataclass(frozen=True, kw_only=True)
class MemoryConfig(CellConfig):
    """A sweep over delays, cells and seeds; and of it the one delay whose training is watched."""

    shortest: int = 5  # of the delays
    longest: int = 160
    points: int = 6  # delays, spaced by equal factors
    seeds: int = 3  # runs of each cell at each delay, from the seed on
    limit: int = 600  # updates of each run
    simple_rnn: bool = True  # which cells take part
    lstm: bool = True
    gru: bool = True

    LIMITS: ClassVar[dict[str, Limits]] = CellConfig.LIMITS | {
        "shortest": LENGTHS,
        "longest": LENGTHS,
        "points": range(1, 11),
        "seeds": range(1, 11),
        "limit": range(100, 3001, 50),
    }

    def __post_init__(self):
        super().__post_init__()
        if not self.kinds:
            raise ValueError("a race needs a cell")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The cells that take part, of CELLS."""
        return tuple(kind for kind in CELLS if getattr(self, kind))

    @property
    def delays(self) -> tuple[int, ...]:
        """The lengths that are measured, rising."""
        first, last = sorted((self.shortest, self.longest))
        if self.points == 1:
            return (last,)
        factor = (last / first) ** (1 / (self.points - 1))
        return tuple(sorted({round(first * factor**place) for place in range(self.points)}))


def run_of(config: MemoryConfig, kind: str, length: int, seed: int) -> CellConfig:
    """One of the runs that a sweep consists of."""
    shared = {field.name: getattr(config, field.name) for field in fields(CellConfig)}
    return CellConfig(**shared | {"kind": kind, "length": length, "seed": seed})


def watched(config: MemoryConfig) -> dict[str, CellConfig]:
    """The race whose training is watched: every cell at the config's own length and seed."""
    return {kind: run_of(config, kind, config.length, config.seed) for kind in config.kinds}


# ---- one measurement -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """One run of a sweep, and for how many updates."""

    config: CellConfig
    updates: int


@dataclass(frozen=True)
class Outcome:
    """What a run came to. All but `seconds` depend on the trial alone."""

    loss: float  # held out, after the last update
    accuracy: float | None  # where classes are answered
    solved: int | None  # the first measured step at which the task counted as learned
    diverged: bool
    parameters: int
    seconds: float  # of the worker's processor


@lru_cache(maxsize=64)
def trials(config: MemoryConfig) -> tuple[Trial, ...]:
    """Every run of the sweep: first one of each cell at each delay, so that the whole line is there soon, then the others."""
    seeds = range(config.seed, config.seed + config.seeds)
    return tuple(
        Trial(run_of(config, kind, length, seed % 10_000), config.limit)
        for seed in seeds
        for length in config.delays
        for kind in config.kinds
    )


def measure(trial: Trial) -> Outcome:
    """Train to the end: the same run as a page's with the same config."""
    began = time.process_time()
    run = Run(trial.config)
    while run.steps < trial.updates and not run.diverged:
        run.step(measure=run.steps + 1 == trial.updates)
    scores = run.history[-1].scores["test"]
    return Outcome(
        loss=scores[LOSS.name],
        accuracy=scores.get(ACCURACY.name),
        solved=first_solved(run),
        diverged=run.diverged,
        parameters=sum(parameter.numel() for parameter in run.learner.parameters),  # type: ignore[attr-defined]
        seconds=time.process_time() - began,
    )


def first_solved(run: Run) -> int | None:
    """The first evaluated step at which the held-out score is as good as LEARNED asks; None if it never was."""
    task = run.config.task  # type: ignore[attr-defined]
    metric = metric_of(task)
    for step, scores in run.history:
        value = scores["test"][metric.name]
        if value >= LEARNED[task] if metric.better == "higher" else value <= LEARNED[task]:
            return step
    return None


def metric_of(task: str) -> Metric:
    """What a task is judged by: accuracy, or the squared error of values."""
    return ACCURACY if task_of(task).classes else LOSS


def score_of(outcome: Outcome) -> float:
    """The held-out accuracy, or the loss where values are answered."""
    return outcome.loss if outcome.accuracy is None else outcome.accuracy


# ---- what a sweep has found ------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """One cell at one delay, over the seeds that are measured so far."""

    kind: str
    length: int
    mean: float
    low: float
    high: float
    runs: int
    solved: int  # how many of the runs have learned the task
    updates: float | None  # that those needed, on average
    seconds: float  # of a run, on average


def places(results: Mapping[Trial, Outcome]) -> list[Place]:
    """The results by cell and delay: cells in the order of CELLS, delays rising. Runs that diverged count with what they were."""
    groups: dict[tuple[str, int], list[Outcome]] = {}
    for trial, outcome in results.items():
        groups.setdefault((trial.config.kind, trial.config.length), []).append(outcome)
    found = []
    for (kind, length), outcomes in sorted(groups.items(), key=lambda group: (CELLS.index(group[0][0]), group[0][1])):
        scores = [score_of(outcome) for outcome in outcomes]
        needed = [outcome.solved for outcome in outcomes if outcome.solved is not None]
        found.append(
            Place(
                kind, length, statistics.fmean(scores), min(scores), max(scores), len(scores), len(needed),
                statistics.fmean(needed) if needed else None, statistics.fmean(outcome.seconds for outcome in outcomes),
            )
        )  # fmt: skip
    return found


def reach(results: Mapping[Trial, Outcome], kind: str) -> int | None:
    """The longest delay up to which a cell has learned the task in every run, at each delay before it too; None: at none."""
    farthest = None
    for place in places(results):
        if place.kind == kind:
            if place.solved < place.runs:
                break
            farthest = place.length
    return farthest


def results_csv(results: Mapping[Trial, Outcome]) -> str:
    """Every run as a row: all of its settings but an own series, the updates, and what came out, to the last digit."""
    rows = [
        {name: value for name, value in asdict(trial.config).items() if name != "series"}
        | {"updates": trial.updates}
        | asdict(outcome)
        for trial, outcome in results.items()
    ]
    file = io.StringIO()
    names = list(rows[0]) if rows else []
    table = csv.DictWriter(file, names, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return file.getvalue()


@lru_cache(maxsize=64)
def count(config: MemoryConfig, kind: str) -> int:
    """The parameters of a cell and its readout."""
    model = build_model(run_of(config, kind, config.length, 0), torch.Generator())
    return sum(parameter.numel() for parameter in model.parameters())


# ---- before training ------------------------------------------------------------------------------------------------


def kept_by_gates(config: CellConfig) -> float:
    """σ(b)^T: the part of its state that a gated cell keeps over the whole sequence, while its weights are still small."""
    return 1 / (1 + math.exp(-config.gate_bias)) ** config.length


def kept_by_rnn(config: CellConfig) -> float:
    """3^(−T/2): about what a tanh RNN keeps. Many weights of U(−1/√hidden, 1/√hidden) have a spectral radius near 1/√3."""
    return 3 ** (-config.length / 2)


# ---- looking inside --------------------------------------------------------------------------------------------------


@torch.no_grad()
def knowledge(config: CellConfig, state: dict[str, Tensor]) -> Tensor:
    """How well the cell would answer after each step (T,), over LOOKED_AT of the held-out sequences.

    Of classes the mean probability of the right one, of values the root of the mean squared error. Where only the last
    answer counts, earlier states are asked the same question.
    """
    model = model_of(config, state)
    sequences = held_out(config.task, config.length, config.distractors, config.series)
    answers = model.readout(model.cell(sequences.inputs[:, :LOOKED_AT])[0])  # (T, B, output)
    every_step = task_of(config.task).every_step
    targets = sequences.targets[:, :LOOKED_AT] if every_step else sequences.targets[:LOOKED_AT]
    if not every_step:
        targets = targets.expand(len(answers), *targets.shape)
    if targets.dtype == torch.long:
        return F.softmax(answers, -1).gather(-1, targets[..., None])[..., 0].mean(1)
    return (answers - targets).square().mean((1, 2)).sqrt()


# ---- presets ---------------------------------------------------------------------------------------------------------

PRESETS: dict[str, MemoryConfig] = {
    "recall": MemoryConfig(),
    "silence": MemoryConfig(distractors=0.0),
    "open_gates": MemoryConfig(gate_bias=5.0),
    "digits": MemoryConfig(task="digits", shortest=10, points=5),
    "adding": MemoryConfig(
        task="adding", length=50, shortest=50, longest=50, points=1, seeds=1, hidden=64, batch_size=64,
        learning_rate=0.002, limit=2500, gate_bias=0.0,
    ),
    # These break, each for one reason:
    "no_start": MemoryConfig(gate_bias=0.0),  # torch's own start: half of the state is gone after a step
    "too_fast": MemoryConfig(learning_rate=0.1),  # for the RNN and the LSTM; the GRU is as quick as never
}  # fmt: skip
