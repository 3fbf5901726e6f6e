"""The training loop: the same curve however it is sliced, stored, interleaved or replayed.

Everything is tried on a small learner of this file and on the first preset of every lesson in core/.
"""

import ctypes
import importlib
import math
import pickle
import threading
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from core import training
from core.config import Config, SettingError, Span
from core.training import (
    DENSE_STEPS,
    EXPLODED,
    LOSS,
    SNAPSHOT_BYTES,
    SNAPSHOTS,
    SPARSEST,
    Intervention,
    Metric,
    Race,
    Record,
    Run,
    Snapshot,
    is_due,
    remember,
    replay,
    thin,
)

STEPS = 8
FOREVER = 1e9  # seconds


@dataclass(frozen=True, kw_only=True)
class LineConfig(Config):
    """Linear regression with noise from the run's generator."""

    learning_rate: float = 0.1
    inputs: int = 3

    def build(self, generator: torch.Generator) -> "LineLearner":
        return LineLearner(self, generator)


class LineLearner:
    metrics = (LOSS,)

    def __init__(self, config: LineConfig, generator: torch.Generator):
        self.generator = generator
        self.truth = torch.randn(config.inputs, generator=generator)
        self.weight = torch.zeros(config.inputs)

    def update(self, learning_rate: float) -> float:
        x = torch.randn(8, len(self.weight), generator=self.generator)
        error = x @ (self.weight - self.truth)
        self.weight -= learning_rate * 2 * (error @ x) / len(x)
        return (error**2).mean().item()

    def evaluate(self):
        loss = {LOSS.name: ((self.weight - self.truth) ** 2).sum().item()}
        return {"train": loss, "test": loss}

    def state(self):
        return {"weight": self.weight}

    def intervene(self, name, value):
        if name != "weight":
            raise ValueError(f"no {name!r} here")
        index, number = value
        self.weight[index] = number


@dataclass(frozen=True, kw_only=True)
class ScriptConfig(Config):
    """A learner whose losses are given in advance."""

    losses: tuple[float, ...] = (1.0,)

    def build(self, generator: torch.Generator) -> "ScriptLearner":
        return ScriptLearner(self.losses)


class ScriptLearner:
    metrics: ClassVar = (Metric("Return", better="higher"), LOSS)

    def __init__(self, losses):
        self.losses = list(losses)

    def update(self, learning_rate):
        return self.losses.pop(0) if len(self.losses) > 1 else self.losses[0]

    def evaluate(self):
        return {"train": {LOSS.name: self.losses[0]}}

    def state(self):
        return {}

    def intervene(self, name, value):
        raise ValueError(name)


def lessons() -> dict[str, Config]:
    """The first preset of every module in core/ that has presets."""
    names = sorted(path.stem for path in (Path(__file__).parents[2] / "core").glob("*.py"))
    modules = {name: importlib.import_module(f"core.{name}") for name in names if name != "__init__"}
    presets = {name: getattr(module, "PRESETS", {}) for name, module in modules.items()}
    first = {name: next(iter(configs.values())) for name, configs in presets.items() if configs}
    return {name: config for name, config in first.items() if hasattr(config, "build")}


CONFIGS = {"line": LineConfig(), **lessons()}


@pytest.fixture(params=CONFIGS)
def config(request) -> Config:
    return CONFIGS[request.param]


def trained(config: Config, steps: int = STEPS) -> Run:
    run = Run(config)
    for _ in range(steps):
        run.step()
    return run


@cache
def reference(config: Config) -> Run:
    """What the others are compared with; never to be trained further."""
    return trained(config)


def assert_equal(one: Run, other: Run) -> None:
    """Bit-equal: histories, snapshots, weights and what the generators will draw next."""
    assert one.steps == other.steps
    assert repr(one.history) == repr(other.history)  # repr is exact, and NaN equals itself in it
    assert [s.step for s in one.snapshots] == [s.step for s in other.snapshots]
    for mine, theirs in zip([*one.snapshots, one.snapshot()], [*other.snapshots, other.snapshot()], strict=True):
        assert mine.state.keys() == theirs.state.keys()
        for name in mine.state:
            torch.testing.assert_close(mine.state[name], theirs.state[name], rtol=0, atol=0, equal_nan=True)
    assert torch.equal(one.generator.get_state(), other.generator.get_state())


# One run


def test_slices_do_not_change_the_curve(config):
    stepped, whole, sliced = reference(config), Run(config), Run(config)
    whole.advance(FOREVER, STEPS)
    while sliced.steps < STEPS:
        before = sliced.steps
        sliced.advance(0.0, STEPS)
        assert sliced.steps == before + 1  # even an empty slice makes a step
    assert_equal(stepped, whole)
    assert_equal(stepped, sliced)
    whole.advance(FOREVER, STEPS)
    assert whole.steps == STEPS


def test_a_run_knows_the_processor_time_of_its_updates(config, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("core.training.time.thread_time", lambda: 0.5 * next(clock))
    run = Run(config)
    assert run.seconds == 0
    for _ in range(3):
        run.step()
    assert run.seconds == 1.5  # and nothing that lies between two updates


def test_a_pickled_run_goes_on_as_if_nothing_had_happened(config):
    run = trained(config, STEPS // 2)
    copied = pickle.loads(pickle.dumps(run))
    for _ in range(STEPS // 2):
        copied.step()
    assert run.steps == STEPS // 2
    assert_equal(copied, reference(config))


def test_two_runs_at_once_do_not_disturb_each_other(config):
    first, second = Run(config), Run(replace(config, seed=config.seed + 1))
    for _ in range(STEPS):
        first.step()
        second.step()
        torch.rand(3)  # and neither does somebody else's use of the global generator
    assert_equal(first, reference(config))
    assert_equal(second, reference(replace(config, seed=config.seed + 1)))
    assert repr(first.history) != repr(second.history)


def test_the_global_generator_is_left_alone(config):
    before = torch.get_rng_state()
    pickle.loads(pickle.dumps(trained(config, 1))).step()
    assert torch.equal(before, torch.get_rng_state())


def test_evaluating_changes_nothing(config):
    run = trained(config, 2)
    generator, weights = run.generator.get_state(), run.snapshot().state
    first, second = run.learner.evaluate(), run.learner.evaluate()
    assert repr(first) == repr(second)
    assert torch.equal(generator, run.generator.get_state())
    assert all(torch.equal(weights[name], value) for name, value in run.learner.state().items())


def test_every_named_metric_is_measured_and_finite(config):
    run = reference(config)
    assert run.metrics and all(isinstance(metric, Metric) for metric in run.metrics)
    assert all(metric.better in ("lower", "higher", "neither") for metric in run.metrics)
    names, used = {metric.name for metric in run.metrics}, set()
    for record in run.history:
        for scores in record.scores.values():
            assert scores.keys() <= names
            assert all(isinstance(value, float) and math.isfinite(value) for value in scores.values())
            used |= scores.keys()
    assert used == names


def test_training_changes_the_weights_and_snapshots_are_copies(config):
    run = Run(config)
    start = {name: value.clone() for name, value in run.snapshots[0].state.items()}
    run.step()
    run.step()
    assert any(not torch.equal(start[name], value) for name, value in run.learner.state().items())
    assert all(torch.equal(start[name], value) for name, value in run.snapshots[0].state.items())
    assert not any(value.requires_grad for value in run.snapshots[-1].state.values())


def test_a_learning_rate_of_zero_changes_no_weight(config):
    run = Run(config)
    run.intervene("learning_rate", 0.0)
    start = run.snapshot().state
    run.step()
    for name, value in run.learner.state().items():
        if name not in getattr(run.learner, "memories", ()):
            assert torch.equal(start[name], value), name


# Interventions


def test_interventions_are_recorded_and_replayed(config):
    run = Run(config)
    for rate in (2.0, 0.5, 0.1):
        run.step()
        run.step()
        run.intervene("learning_rate", config.learning_rate * rate)
    run.advance(FOREVER, STEPS)
    assert [i.step for i in run.interventions] == [2, 4, 6]
    assert_equal(run, replay(config, tuple(run.interventions), STEPS))
    assert repr(run.history) != repr(reference(config).history)


def test_a_learner_refuses_what_it_does_not_know(config):
    run = trained(config, 1)
    with pytest.raises(ValueError):
        run.intervene("no such thing", 1)
    assert run.interventions == []


def test_of_several_learning_rates_at_one_step_the_last_is_recorded():
    run = trained(LineConfig(), 2)
    for rate in (0.3, 0.2, 0.05):
        run.intervene("learning_rate", rate)
    assert run.interventions == [Intervention(2, "learning_rate", 0.05)]


@dataclass(frozen=True, kw_only=True)
class NoisyConfig(LineConfig):
    """A second setting that may be moved while it trains."""

    shift: float = 0.0

    LIMITS: ClassVar = {"shift": Span(0.0, 1.0)}
    ADJUSTABLE: ClassVar = ("learning_rate", "shift")

    def build(self, generator: torch.Generator) -> "NoisyLearner":
        return NoisyLearner(self, generator)


class NoisyLearner(LineLearner):
    def intervene(self, name, value):
        assert name == "shift"
        self.shift = value


def test_another_setting_can_be_adjusted_like_the_learning_rate():
    run = trained(NoisyConfig(), 2)
    for shift in (0.5, 0.25):
        run.intervene("shift", shift)
    run.intervene("learning_rate", 0.05)
    assert (run.learner.shift, run.learning_rate) == (0.25, 0.05)
    assert run.interventions == [Intervention(2, "shift", 0.25), Intervention(2, "learning_rate", 0.05)]
    with pytest.raises(SettingError):
        run.intervene("shift", 2.0)
    assert len(run.interventions) == 2
    with pytest.raises(SettingError):
        trained(replace(NoisyConfig(), inputs=2), 1).intervene("learning_rate", -1.0)


def test_every_weight_edited_at_one_step_is_recorded_in_order():
    run = trained(LineConfig(), 2)
    edits = [(0, 1.0), (1, -2.0), (0, 3.0)]
    for edit in edits:
        run.intervene("weight", edit)
    assert run.interventions == [Intervention(2, "weight", edit) for edit in edits]
    run.step()
    assert_equal(run, replay(LineConfig(), tuple(run.interventions), 3))


def test_interventions_before_the_first_and_after_the_last_step():
    run = Run(LineConfig())
    run.intervene("weight", (0, 9.0))
    for _ in range(5):
        run.step()
    run.intervene("weight", (2, -9.0))
    assert_equal(run, replay(LineConfig(), tuple(reversed(run.interventions)), 5))
    late = (*run.interventions, Intervention(50, "learning_rate", 0.0))
    assert_equal(run, replay(LineConfig(), late, 5))


def test_a_planned_run_repeats_one_that_was_changed_by_hand(config):
    run = trained(config, 2)
    run.intervene("learning_rate", config.learning_rate * 2)
    run.step()
    run.intervene("learning_rate", config.learning_rate * 0.1)
    run.advance(FOREVER, STEPS)
    again = Run(config, run.interventions)
    assert again.interventions == [] and again.learning_rate == config.learning_rate
    while again.steps < STEPS:  # however the slices fall, and stored between them
        again.advance(0.0, STEPS)
        again = pickle.loads(pickle.dumps(again))
    assert_equal(run, again)
    assert again.interventions == run.interventions and again.planned == []


def test_what_is_planned_is_made_at_its_step_after_it_was_measured():
    change = Intervention(3, "weight", (0, 9.0))
    run = Run(LineConfig(), [Intervention(5, "learning_rate", 0.0), change, Intervention(0, "weight", (1, 7.0))])
    assert run.snapshot().state["weight"][1] == 7.0 and run.snapshots[0].state["weight"][1] == 0.0
    run.advance(FOREVER, 3)
    assert run.interventions[1:] == [change] and run.planned == [Intervention(5, "learning_rate", 0.0)]
    assert run.snapshot().state["weight"][0] == 9.0 != run.snapshots[-1].state["weight"][0]
    run.advance(FOREVER, 5)
    assert run.learning_rate == 0.0 and run.planned == []


def test_what_a_person_changes_is_no_longer_changed_by_plan():
    plan = [
        Intervention(3, "learning_rate", 0.0),
        Intervention(4, "weight", (0, 9.0)),
        Intervention(5, "learning_rate", 0.0),
    ]
    run = Run(LineConfig(), plan)
    run.step()
    run.intervene("learning_rate", 0.2)
    assert run.planned == [plan[1]]
    run.advance(FOREVER, 6)
    assert run.interventions == [Intervention(1, "learning_rate", 0.2), plan[1]] and run.learning_rate == 0.2


def test_a_refused_intervention_leaves_the_plan_alone():
    plan = [Intervention(3, "learning_rate", 0.0)]
    run = Run(LineConfig(), plan)
    with pytest.raises(SettingError):
        run.intervene("learning_rate", -1.0)
    assert run.planned == plan


def test_a_step_can_be_measured_out_of_turn():
    run, plain = trained(LineConfig(), 40), trained(LineConfig(), 41)
    run.step(measure=True)
    assert run.history[-1].step == 41 != plain.history[-1].step
    run.step()
    plain.step()
    assert repr([record for record in run.history if record.step != 41]) == repr(plain.history)


def test_a_plan_reaches_every_run_of_a_race_and_the_leader_has_all_of_it():
    plan = (Intervention(2, "learning_rate", 0.02),)
    race = Race({"bad": ScriptConfig(losses=(math.nan,)), "one": LineConfig(), "two": LineConfig(seed=1)}, iter(plan))
    race.advance(FOREVER, 4)
    assert [run.interventions for run in race.runs.values()] == [[], [*plan], [*plan]]
    assert race.leader is race.runs["one"]
    assert_equal(race.runs["two"], replay(LineConfig(seed=1), plan, 4))


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf, "fast", None, True])
def test_an_impossible_learning_rate_is_refused(rate):
    run = Run(LineConfig())
    with pytest.raises(SettingError):
        run.intervene("learning_rate", rate)
    assert run.learning_rate == 0.1 and run.interventions == []


# Divergence


@pytest.mark.parametrize("last", [math.nan, math.inf, -math.inf, EXPLODED, -EXPLODED])
def test_divergence_stops_the_run_and_keeps_the_history(last):
    run = Run(ScriptConfig(losses=(3.0, 2.0, last)))
    run.advance(FOREVER, 100)
    assert run.diverged and run.steps == 3
    assert [record.step for record in run.history] == [0, 1, 2, 3]
    before = repr(run.history)
    run.step()
    run.advance(FOREVER, 100)
    assert run.steps == 3 and repr(run.history) == before


def test_a_large_loss_alone_is_no_divergence():
    run = Run(ScriptConfig(losses=(EXPLODED / 10,)))
    run.advance(FOREVER, 5)
    assert not run.diverged and run.steps == 5


def test_too_large_a_learning_rate_diverges_and_replays():
    run = Run(LineConfig(learning_rate=5.0))
    run.advance(FOREVER, 1_000)
    assert run.diverged and 1 < run.steps < 1_000
    assert run.history[-1].step == run.snapshots[-1].step == run.steps
    assert_equal(run, replay(LineConfig(learning_rate=5.0), steps=1_000))


# What is kept


def test_the_schedule_of_evaluations():
    due = [step for step in range(1, 20_001) if is_due(step)]
    assert due[:DENSE_STEPS] == list(range(1, DENSE_STEPS + 1))
    gaps = [b - a for a, b in pairwise(due)]
    assert gaps == sorted(gaps) and max(gaps) == SPARSEST
    for low in (10, 20, 40, 80, 160, 320):
        assert sum(low <= step < 2 * low for step in due) == DENSE_STEPS // 2


def test_the_history_follows_the_schedule():
    run = trained(LineConfig(), 200)
    assert [record.step for record in run.history] == [0, *(step for step in range(1, 201) if is_due(step))]


@pytest.fixture
def few_records(monkeypatch) -> int:
    """Few are kept already of a short run; the step from which half as many are measured."""
    monkeypatch.setattr("core.training.RECORDS", 32)
    return 32 * SPARSEST


def test_a_history_is_bounded_evenly_spread_and_keeps_what_was_best(few_records):
    run, measured = Run(LineConfig(learning_rate=0.01)), {}
    while run.steps < 12 * few_records:
        run.step()
        measured[run.history[-1].step] = run.history[-1].scores
        assert len(run.history) <= 32 + DENSE_STEPS + DENSE_STEPS // 2 * 10 + 2
    steps = [record.step for record in run.history]
    assert steps == sorted(set(steps)) and steps[0] == 0 and steps[-1] == max(measured) == run.steps
    best = {min(measured, key=lambda step: measured[step][part]["Loss"]) for part in ("train", "test")}
    assert best <= set(steps)
    assert all(run.history[steps.index(step)].scores == measured[step] for step in steps if step)
    gaps = [b - a for a, b in pairwise(step for step in steps if step not in best)]
    assert gaps[-1] == max(gaps) == 16 * SPARSEST, "it has doubled at 1, 2, 4 and 8 times so many steps"


def test_a_bounded_history_is_the_same_however_it_comes_about(few_records):
    run, sliced, looked_at = (Run(LineConfig()) for _ in range(3))
    for steps in (100, few_records - 1, few_records, few_records + 1, 4_200, 6_000):
        run.advance(FOREVER, steps)
        while sliced.steps < steps:
            sliced.advance(0.0, steps)
        looked_at.advance(FOREVER, steps - 1)
        looked_at.step(measure=True)
        assert_equal(run, sliced)
        assert_equal(run, replay(LineConfig(), steps=steps))
        theirs = [record for record in looked_at.history if record.step in {each.step for each in run.history}]
        assert repr(theirs) == repr(run.history), "what a person measures beside takes nothing away"


def test_metrics_are_best_where_they_say_it(few_records):
    names = {"lower": 0, "higher": 1, "neither": 2}
    metrics = [Metric(better, better) for better in names]
    history: list[Record] = []
    for step in range(0, few_records + 1, SPARSEST):
        curves = [(-1) ** sign * abs(step - (21 + 2 * at) * SPARSEST) for sign, at in ((0, 0), (1, 1), (1, 2))]
        remember(history, Record(step, {"train": {name: float(curves[i]) for name, i in names.items()}}), metrics)
    assert {21 * SPARSEST, 23 * SPARSEST, 25 * SPARSEST} <= {record.step for record in history}
    assert not {19 * SPARSEST, 27 * SPARSEST} & {record.step for record in history}
    history = [Record(0, {"train": {"lower": math.nan}}), Record(few_records // 2, {"train": {"lower": 1.0}})]
    remember(history, Record(few_records, {"train": {"lower": math.inf}}), metrics)
    assert [record.step for record in history] == [0, few_records // 2, few_records]


@pytest.mark.parametrize(("inputs", "most"), [(3, SNAPSHOTS), (25_000, 10), (200_000, 4)])
def test_snapshots_are_bounded(inputs, most):
    run = Run(LineConfig(inputs=inputs, learning_rate=0.0))
    for _ in range(300 if inputs < 100 else 30):
        run.step()
        assert len(run.snapshots) <= most
        steps = [snapshot.step for snapshot in run.snapshots]
        assert steps[0] == 0 and steps[-1] == run.history[-1].step
        assert steps == sorted(set(steps))
    if most > 4:
        assert sum(snapshot.state["weight"].nbytes for snapshot in run.snapshots) <= SNAPSHOT_BYTES
    assert len(run.snapshots) >= most // 2


@pytest.mark.parametrize("steps", [(0, 1, 2), (0, 5, 6, 7), (0, 64, 128, 192, 256), (0, 1, 8, 27, 30, 64)])
def test_thinning_keeps_the_first_and_the_newest_and_takes_from_where_they_are_closest(steps):
    kept = [snapshot.step for snapshot in thin([Snapshot(step, {}) for step in steps])]
    assert len(kept) == len(steps) - 1 and set(kept) < set(steps)
    assert (kept[0], kept[-1]) == (steps[0], steps[-1])
    assert 30 not in kept and 192 not in kept


def test_snapshots_spread_over_the_whole_run_and_show_its_beginning():
    for count in (2_000, 20_000):
        steps = [snapshot.step for snapshot in trained(LineConfig(), count).snapshots]
        assert max(b - a for a, b in pairwise(steps)) < 0.15 * count
        assert sum(step <= 20 for step in steps) >= 3 and sum(step <= 1_000 for step in steps) >= 12


# Races


def test_a_race_advances_all_runs_by_equal_steps():
    configs = {"slow": LineConfig(learning_rate=0.01), "fast": LineConfig(), "other": LineConfig(seed=1)}
    race = Race(configs)
    assert race.configs == configs
    race.advance(0.0)
    assert {run.steps for run in race.runs.values()} == {1}
    race.advance(FOREVER, STEPS)
    race.step()
    assert race.steps == STEPS + 1
    for name, run in race.runs.items():
        assert_equal(run, trained(configs[name], STEPS + 1))


def test_a_race_goes_on_without_those_that_diverged():
    race = Race({"bad": ScriptConfig(losses=(1.0, math.nan)), "good": LineConfig()})
    race.advance(FOREVER, STEPS)
    assert race.diverged == ["bad"] and not race.over
    assert (race.runs["bad"].steps, race.runs["good"].steps, race.steps) == (2, STEPS, STEPS)
    assert race.metrics == (Metric("Return", better="higher"), LOSS)


def test_a_race_is_over_when_all_have_diverged():
    race = Race({name: ScriptConfig(losses=(math.inf,)) for name in "ab"})
    race.advance(FOREVER)
    assert race.over and race.steps == 1


def test_an_intervention_in_a_race_reaches_every_run():
    race = Race({"one": LineConfig(), "two": LineConfig(seed=1)})
    race.intervene("learning_rate", 0.02)
    assert [run.learning_rate for run in race.runs.values()] == [0.02, 0.02]
    assert [run.interventions for run in race.runs.values()] == [[Intervention(0, "learning_rate", 0.02)]] * 2


def test_a_race_survives_pickling():
    race = Race({"one": LineConfig(), "two": LineConfig(seed=1)})
    race.advance(FOREVER, 5)
    copied = pickle.loads(pickle.dumps(race))
    race.step()
    copied.step()
    for name in race.runs:
        assert_equal(race.runs[name], copied.runs[name])


def openmp() -> ctypes.CDLL:
    """The OpenMP that torch runs on."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
        found = {
            line.split()[-1] for line in lines if "/torch" in line and "libgomp" in line
        }  # scikit-learn has its own
    except OSError:
        found = set()
    if not found:
        pytest.skip("torch runs on no libgomp that can be asked")
    return ctypes.CDLL(found.pop())


@pytest.mark.parametrize("what", [lambda: Run(LineConfig()), lambda: RUN.step()], ids=["build", "step"])
def test_a_thread_that_trains_computes_alone(what):
    """OpenMP's setting belongs to each thread; torch's own belongs to the process and hides it."""
    asked = openmp()
    counts = []

    def train():
        asked.omp_set_num_threads(2)
        what()
        counts.append(asked.omp_get_max_threads())

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert counts == [1]


RUN = Run(LineConfig())


def test_untrained_models_of_equal_configs_are_measured_once(monkeypatch):
    measured = []
    evaluate = LineLearner.evaluate
    monkeypatch.setattr(LineLearner, "evaluate", lambda learner: measured.append(learner) or evaluate(learner))
    monkeypatch.setattr(training, "FIRST_SCORES", {})
    first, second, third = (Run(LineConfig(inputs=inputs)) for inputs in (3, 3, 4))
    assert measured == [first.learner, third.learner]
    assert first.history == second.history != third.history
    first.step()
    second.step()
    assert measured[2:] == [first.learner, second.learner], "trained ones each"
    assert first.history == second.history


def test_not_every_config_is_remembered(monkeypatch):
    monkeypatch.setattr(training, "FIRST_SCORES", {})
    for seed in range(training.REMEMBERED + 2):
        Run(LineConfig(seed=seed))
    assert 0 < len(training.FIRST_SCORES) <= training.REMEMBERED
