"""The one training loop: a Run trains one config, a Race several side by side.

The loop returns after its time slice and the page draws. Nothing here prints, sleeps, plots or knows of a screen.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from core.config import Config, check, limits_of


def on_one_core() -> None:
    """Let this thread compute alone: two gain nothing at these sizes and lose a lot when the other core is busy.

    Every thread has to say so for itself: what torch leaves to oneDNN, such as an LSTM, asks OpenMP, whose setting
    belongs to the thread. Without it the first LSTM of a thread takes up to 200 ms, and each one five times as long.
    """
    torch.set_num_threads(1)


on_one_core()

DENSE_STEPS = 10  # so many of the first steps are evaluated, then ever fewer …
SPARSEST = 64  # … but never less than one step in so many, until …
RECORDS = 2048  # … there would be so many of these: then every second one goes, and half as many come
SNAPSHOTS = 48  # kept per run; of more, one goes that others stand close to
SNAPSHOT_BYTES = 1_000_000  # and never more than this in total, unless four are more
EXPLODED = 1e8  # a loss past this will not come back


class Metric(NamedTuple):
    """Something that a run measures. `name` is the glossary's English term."""

    name: str
    better: str = "lower"  # or "higher", or "neither": of several runs the largest is told
    unit: str = ""  # "%" shows a share of one as a percentage
    group: str = ""  # those of one group share a chart, beside the lesson's own and drawn on request
    log: bool = False  # its values differ by magnitudes: a logarithmic axis, whatever the viewer chose for the loss
    goal: float | None = None  # what counts as solved, drawn across its chart


LOSS = Metric("Loss")
ACCURACY = Metric("Accuracy", better="higher", unit="%")


def classified(scores: Tensor, labels: Tensor) -> dict[str, float]:
    """LOSS and ACCURACY of a classifier: mean cross-entropy of the scores (B, classes), and the share that is right."""
    return {
        LOSS.name: F.cross_entropy(scores, labels).item(),
        ACCURACY.name: (scores.argmax(1) == labels).float().mean().item(),
    }


Scores = dict[str, dict[str, float]]  # {"train": {"Loss": 0.3, …}, "test": {…}}


class Learner(Protocol):
    """What a lesson supplies: a model, its data and one update."""

    metrics: tuple[Metric, ...]

    def update(self, learning_rate: float) -> float:
        """Do exactly one update; return the loss that it descended."""
        ...

    def evaluate(self) -> Scores:
        """Measure every metric on training and on held-out data; must draw no random numbers."""
        ...

    def state(self) -> dict[str, Tensor]:
        """The weights that the pictures need, as the model's state dict (not copied).

        What is none of the weights but remembered for the pictures is named in an attribute `memories`, if there is any.
        """
        ...

    def intervene(self, name: str, value: Any) -> None:
        """Change something by hand while it trains."""
        ...


class Record(NamedTuple):
    """One evaluation."""

    step: int
    scores: Scores


class Intervention(NamedTuple):
    """Something a person changed after `step` updates had been made."""

    step: int
    name: str
    value: Any


class Snapshot(NamedTuple):
    """The weights after `step` updates: all that a picture needs beside the config."""

    step: int
    state: dict[str, Tensor]


FIRST_SCORES: dict[Config, Scores] = {}  # what untrained models score
REMEMBERED = 64  # configs at most


class Run:
    """One training run. Equal configs and interventions give bit-equal histories, however the slices fall.

    Args:
        planned: interventions to make by itself when their step is reached: those of a run that is to be repeated.
    """

    def __init__(self, config: Config, planned: Iterable[Intervention] = ()):
        on_one_core()
        self.config = config
        self.generator = torch.Generator().manual_seed(config.seed)
        self.learner: Learner = config.build(self.generator)  # type: ignore[attr-defined]
        self.learning_rate = config.learning_rate
        self.steps = 0
        self.seconds = 0.0  # of processor time that the updates took, evaluations aside
        self.diverged = False
        self.history: list[Record] = []
        self.interventions: list[Intervention] = []
        self.snapshots: list[Snapshot] = []
        self.planned = sorted(planned, key=lambda intervention: intervention.step)
        self.evaluate()
        self._make_planned()

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return self.learner.metrics

    def step(self, measure: bool = False) -> None:
        """Do exactly one update, evaluate where the step is due or `measure` asks, then make what is planned for it;
        nothing once the loss has diverged."""
        on_one_core()
        if self.diverged:
            return
        began = time.thread_time()
        loss = self.learner.update(self.learning_rate)
        self.seconds += time.thread_time() - began
        self.steps += 1
        self.diverged = not abs(loss) < EXPLODED  # also true for NaN
        if self.diverged or measure or is_due(self.steps):
            self.evaluate()
        self._make_planned()

    def advance(self, seconds: float, limit: float = math.inf) -> None:
        """Train for a time slice, at least one step, up to `limit` steps in total."""
        deadline = time.perf_counter() + seconds
        while self.steps < limit and not self.diverged:
            self.step()
            if time.perf_counter() >= deadline:
                break

    def intervene(self, name: str, value: Any) -> None:
        """Change the learning rate, or what the learner allows; recorded with its step so that it can be replayed.

        What a person changes by hand is no longer changed by plan.
        """
        self._make(name, value)
        self.planned = [intervention for intervention in self.planned if intervention.name != name]

    def _make(self, name: str, value: Any) -> None:
        made = self.interventions
        if name in self.config.ADJUSTABLE:
            check(name, value, limits_of(type(self.config))[name])
            made = [i for i in made if (i.step, i.name) != (self.steps, name)]  # of a slider's way only its end counts
        if name == "learning_rate":
            self.learning_rate = value
        else:
            self.learner.intervene(name, value)
        self.interventions = [*made, Intervention(self.steps, name, value)]

    def _make_planned(self) -> None:
        while self.planned and self.planned[0].step <= self.steps:
            _, name, value = self.planned.pop(0)
            self._make(name, value)

    def evaluate(self) -> None:
        """Measure, and remember the measures and the weights."""
        remember(self.history, Record(self.steps, self._scores()), self.metrics)
        self.snapshots.append(self.snapshot())
        size = sum(tensor.nbytes for tensor in self.snapshots[-1].state.values())
        if len(self.snapshots) > max(4, min(SNAPSHOTS, SNAPSHOT_BYTES // max(size, 1))):
            self.snapshots = thin(self.snapshots)

    def _scores(self) -> Scores:
        """What the model scores now. An untrained one scores what another of an equal config has: a class that moves the
        same sliders measures once."""
        if self.steps > 0:
            return self.learner.evaluate()
        scores = FIRST_SCORES.get(self.config)
        if scores is None:
            if len(FIRST_SCORES) >= REMEMBERED:
                FIRST_SCORES.clear()
            scores = FIRST_SCORES[self.config] = self.learner.evaluate()
        return scores

    def snapshot(self) -> Snapshot:
        """The weights of this moment."""
        return Snapshot(self.steps, {name: value.detach().clone() for name, value in self.learner.state().items()})


class Race:
    """Several runs advanced by equal steps within one slice; often only one. `planned` is made in each of them."""

    def __init__(self, configs: Mapping[str, Config], planned: Iterable[Intervention] = ()):
        planned = tuple(planned)
        self.runs = {name: Run(config, planned) for name, config in configs.items()}

    @property
    def configs(self) -> dict[str, Config]:
        return {name: run.config for name, run in self.runs.items()}

    @property
    def steps(self) -> int:
        return max(run.steps for run in self.runs.values())

    @property
    def leader(self) -> Run:
        """The run that has come furthest; of several the first."""
        return max(self.runs.values(), key=lambda run: run.steps)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics of all runs, each once, in order."""
        return tuple(dict.fromkeys(metric for run in self.runs.values() for metric in run.metrics))

    @property
    def groups(self) -> dict[str, tuple[Metric, ...]]:
        """The metrics by their group, in order; the lesson's own, of no group, under "", always first."""
        found: dict[str, tuple[Metric, ...]] = {"": ()}
        for metric in self.metrics:
            found[metric.group] = (*found.get(metric.group, ()), metric)
        return found

    @property
    def diverged(self) -> list[str]:
        """The names of the runs whose loss has diverged."""
        return [name for name, run in self.runs.items() if run.diverged]

    @property
    def over(self) -> bool:
        """Whether no run can go on."""
        return len(self.diverged) == len(self.runs)

    def measure(self) -> None:
        """Evaluate each run at the step to which it has come, where that was not done."""
        for run in self.runs.values():
            if run.history[-1].step != run.steps:
                run.evaluate()

    def step(self, measure: bool = False) -> None:
        for run in self.runs.values():
            run.step(measure)

    def advance(
        self, seconds: float, limit: float = math.inf, until: Callable[[Race], bool] = lambda race: False
    ) -> None:
        """Train all runs for a time slice, at least one step each, up to `limit` steps, or `until` says that it is enough."""
        deadline = time.perf_counter() + seconds
        while self.steps < limit and not self.over:
            self.step()
            if time.perf_counter() >= deadline or until(self):
                break

    def intervene(self, name: str, value: Any) -> None:
        for run in self.runs.values():
            run.intervene(name, value)


def race_of(configs: Mapping[str, Config], planned: Iterable[Intervention] = ()) -> Race:
    """A race of these configs; where nothing is planned, a faster one if their module offers it: `together(configs)`."""
    planned, modules = tuple(planned), {type(config).__module__ for config in configs.values()}
    together = getattr(sys.modules[modules.pop()], "together", None) if len(modules) == 1 else None
    faster = together(configs) if together is not None and not planned else None
    return faster or Race(configs, planned)


def spacing(step: int, now: int) -> int:
    """From how many steps around `step` one is measured, as a run has it that has come to the step `now`."""
    sparsest = SPARSEST << (now // (SPARSEST * RECORDS)).bit_length()
    return min(1 << (step // DENSE_STEPS).bit_length(), sparsest)


def is_due(step: int) -> bool:
    """Whether a step is evaluated: all at first, then five for each doubling, then one in SPARSEST; of a run that has
    RECORDS of these one in twice as many, and so on."""
    return step % spacing(step, step) == 0


def remember(history: list[Record], record: Record, metrics: Iterable[Metric]) -> None:
    """Add a record. Where from now on half as many are due, only those stay that would have been: a history is bounded,
    and evenly spread. What a metric was at its best stays too."""
    history.append(record)
    now = record.step
    if spacing(now, now) != spacing(now, max(now - 1, 0)):
        kept = {now, *best_steps(history, metrics)}
        history[:] = [each for each in history if each.step in kept or each.step % spacing(each.step, now) == 0]


def best_steps(history: list[Record], metrics: Iterable[Metric]) -> set[int]:
    """The steps at which the metrics were at their best: the largest of those that are neither."""
    found = set()
    for metric in metrics:
        best = min if metric.better == "lower" else max
        for part in history[-1].scores:
            values = {each.step: each.scores.get(part, {}).get(metric.name, math.nan) for each in history}
            finite = [step for step, value in values.items() if math.isfinite(value)]
            if finite:
                found.add(best(finite, key=values.__getitem__))
    return found


def thin(snapshots: list[Snapshot]) -> list[Snapshot]:
    """One less: neither the first nor the newest, but that whose neighbours are closest to each other. The distance is
    that of the cube roots of their steps, so that what is kept is closer together at first, when most is learned."""
    places = [snapshot.step ** (1 / 3) for snapshot in snapshots]
    gone = min(range(1, len(places) - 1), key=lambda place: places[place + 1] - places[place - 1])
    return [*snapshots[:gone], *snapshots[gone + 1 :]]


def replay(config: Config, interventions: tuple[Intervention, ...] = (), steps: int = 0) -> Run:
    """Train a fresh run to `steps`, making each intervention again where it was made."""
    run = Run(config, interventions)
    while run.steps < steps and not run.diverged:
        run.step()
    return run
