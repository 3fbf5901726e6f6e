"""The memory race: which runs a sweep has, what a run comes to wherever it is done, and what is made of the results."""

import csv
import dataclasses
import io
import math
import statistics

import pytest
import torch
import torch.nn.functional as F

from core.config import SettingError
from core.data.sequences import held_out
from core.memory import (
    CELLS,
    LEARNED,
    LOOKED_AT,
    MEMORY_TASKS,
    PRESETS,
    CellConfig,
    MemoryConfig,
    Outcome,
    Trial,
    count,
    first_solved,
    kept_by_gates,
    kept_by_rnn,
    knowledge,
    measure,
    places,
    reach,
    results_csv,
    run_of,
    score_of,
    trials,
    watched,
)
from core.sequence_learner import model_of
from core.sweep import Backend, Sweep, Sweeps
from core.training import Run
from tests.core.test_sweep import finish

SMALL = MemoryConfig(hidden=6, batch_size=8, shortest=3, longest=6, points=2, seeds=2, limit=100, seed=9_999)
WITHOUT_SECONDS = [field.name for field in dataclasses.fields(Outcome) if field.name != "seconds"]


def numbers(outcome: Outcome) -> list:
    """All that depends on the trial alone."""
    return [getattr(outcome, name) for name in WITHOUT_SECONDS]


# which runs


@pytest.mark.parametrize(
    ("first", "last", "points", "delays"),
    [
        (5, 160, 6, (5, 10, 20, 40, 80, 160)),
        (160, 5, 6, (5, 10, 20, 40, 80, 160)),
        (8, 128, 5, (8, 16, 32, 64, 128)),
        (50, 50, 4, (50,)),
        (5, 200, 1, (200,)),
        (2, 4, 10, (2, 3, 4)),
    ],
)
def test_delays_grow_by_equal_factors(first, last, points, delays):
    assert MemoryConfig(shortest=first, longest=last, points=points).delays == delays


def test_every_combination_once_and_whole_lines_first():
    found = trials(SMALL)
    assert len(found) == len(set(found)) == 2 * 2 * 3
    combinations = [(trial.config.seed, trial.config.length, trial.config.kind) for trial in found]
    assert combinations == [(seed, length, kind) for seed in (9_999, 0) for length in (3, 6) for kind in CELLS]
    assert {trial.updates for trial in found} == {100}
    assert {(trial.config.hidden, trial.config.batch_size) for trial in found} == {(6, 8)}
    assert trials(MemoryConfig()) is trials(MemoryConfig()), "a page asks at every run"


def test_equal_runs_of_different_sweeps_are_equal_tasks():
    more = dataclasses.replace(SMALL, seeds=3, points=3, lstm=False, length=99)
    assert set(trials(more)) & set(trials(SMALL)) == {trial for trial in trials(SMALL) if trial.config.kind != "lstm"}


def test_what_is_watched_is_one_run_of_each_cell():
    config = dataclasses.replace(SMALL, simple_rnn=False, length=6)
    assert list(watched(config)) == ["lstm", "gru"]
    assert set(watched(config).values()) < {trial.config for trial in trials(config)}


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="cell"):
        MemoryConfig(simple_rnn=False, lstm=False, gru=False)
    for wrong in (
        {"length": 201},
        {"longest": 1},
        {"task": "sines"},
        {"limit": 99},
        {"kind": "mlp"},
        {"gate_bias": 9.0},
    ):
        with pytest.raises(SettingError):
            MemoryConfig(**wrong)


# one measurement


@pytest.mark.parametrize("kind", CELLS)
def test_a_trial_is_the_pages_run(kind):
    trial = Trial(run_of(SMALL, kind, 4, 3), 100)
    outcome = measure(trial)
    run = Run(trial.config)
    for _ in range(100):
        run.step()
    run.evaluate()
    assert outcome.accuracy == run.history[-1].scores["test"]["Accuracy"] == score_of(outcome)
    assert outcome.loss == run.history[-1].scores["test"]["Loss"] and not outcome.diverged
    solved = [r.step for r in run.history if r.scores["test"]["Accuracy"] >= 0.99]
    assert outcome.solved == (solved[0] if solved else None)
    assert outcome.parameters == sum(value.numel() for value in run.learner.state().values())


def test_whichever_worker_does_it():
    some = trials(SMALL)[:3]
    sweep = Sweep(measure, some, Sweeps(Backend("loky")))
    finish(sweep)
    assert not sweep.failures
    for trial in some:
        assert numbers(sweep.results[trial]) == numbers(measure(trial))


def test_values_are_judged_by_their_loss():
    outcome = measure(Trial(run_of(dataclasses.replace(SMALL, task="adding"), "gru", 4, 0), 100))
    assert outcome.accuracy is None and score_of(outcome) == outcome.loss < 1 / 6


def test_a_run_that_diverges_says_so():
    config = dataclasses.replace(
        run_of(SMALL, "simple_rnn", 4, 0), optimizer="sgd", learning_rate=10.0, clip=0.0, task="adding"
    )
    outcome = measure(Trial(config, 100))
    assert outcome.diverged and outcome.solved is None


# the head start


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_the_bias_is_that_of_the_gate_that_keeps(kind):
    """Only it differs; and without weights it leaves exactly σ(b)^T of a state after T steps."""
    plain, moved = (
        CellConfig(kind=kind, length=7, hidden=4, gate_bias=bias).cell(torch.Generator().manual_seed(1))
        for bias in (0.0, 2.0)
    )
    differing = [name for name, value in plain.state_dict().items() if not torch.equal(value, moved.state_dict()[name])]
    assert differing == ["bias_ih_l0"]
    assert (moved.bias_ih_l0 - plain.bias_ih_l0).sum().item() == pytest.approx(8.0)
    with torch.no_grad():
        for parameter, other in zip(moved.parameters(), plain.parameters(), strict=True):
            parameter -= other
    start = torch.full((1, 1, 4), 0.5)
    inputs = torch.zeros(7, 1, 5)
    left = moved(inputs, (torch.zeros(1, 1, 4), start))[1][1] if kind == "lstm" else moved(inputs, start)[1]
    kept = kept_by_gates(CellConfig(kind=kind, length=7, gate_bias=2.0))
    assert left.flatten().tolist() == pytest.approx([0.5 * kept] * 4, rel=1e-5)


def test_the_spectral_radius_of_a_fresh_rnn():
    cell = CellConfig(kind="simple_rnn", hidden=64).cell(torch.Generator().manual_seed(0))
    radius = torch.linalg.eigvals(cell.weight_hh_l0.detach()).abs().max().item()
    assert radius == pytest.approx(1 / math.sqrt(3), rel=0.15)
    assert kept_by_rnn(CellConfig(length=2)) == pytest.approx(1 / 3)


# what is made of the results


def outcome(accuracy: float, solved: int | None = None) -> Outcome:
    return Outcome(1.0, accuracy, solved, False, 10, 2.0)


def results(**scores: list[tuple[int, int, float, int | None]]) -> dict[Trial, Outcome]:
    """By cell, (length, seed, accuracy, solved)."""
    return {
        Trial(run_of(SMALL, kind, length, seed), 100): outcome(accuracy, solved)
        for kind, rows in scores.items()
        for length, seed, accuracy, solved in rows
    }


def test_places_are_means_and_extremes_over_seeds():
    found = places(
        results(
            lstm=[(6, 0, 0.4, None)], simple_rnn=[(6, 1, 0.9, 30), (3, 0, 1.0, 8), (6, 0, 0.6, None), (6, 2, 0.3, 50)]
        )
    )
    assert [(place.kind, place.length) for place in found] == [("simple_rnn", 3), ("simple_rnn", 6), ("lstm", 6)]
    middle = found[1]
    assert (middle.mean, middle.low, middle.high) == (pytest.approx(statistics.fmean([0.9, 0.6, 0.3])), 0.3, 0.9)
    assert (middle.runs, middle.solved, middle.updates, middle.seconds) == (3, 2, 40, 2)
    assert found[2].updates is None
    assert places({}) == []


def test_how_far_a_cell_reaches():
    found = results(
        gru=[(3, 0, 1.0, 5), (6, 0, 1.0, 9), (6, 1, 1.0, 9), (12, 0, 1.0, 9), (12, 1, 0.5, None), (24, 0, 1.0, 9)],
        simple_rnn=[(3, 0, 0.2, None), (6, 0, 1.0, 9)],
    )
    assert (reach(found, "gru"), reach(found, "simple_rnn"), reach(found, "lstm")) == (6, None, None)


def test_the_table_is_exact():
    found = results(simple_rnn=[(3, 0, 0.1 + 0.2, 8)], gru=[(6, 1, 0.5, None)])
    rows = list(csv.DictReader(io.StringIO(results_csv(found))))
    assert [(row["kind"], row["length"], row["seed"], row["solved"], row["updates"]) for row in rows] == [
        ("simple_rnn", "3", "0", "8", "100"),
        ("gru", "6", "1", "", "100"),
    ]
    assert float(rows[0]["accuracy"]) == 0.1 + 0.2 and rows[0]["hidden"] == "6"
    assert results_csv({}).strip() == ""


def test_parameters_are_counted():
    assert count(SMALL, "simple_rnn") == 6 * 5 + 6 * 6 + 6 + 6 + 6 * 4 + 4
    assert count(SMALL, "lstm") == 4 * (6 * 5 + 6 * 6 + 12) + 6 * 4 + 4
    assert count(SMALL, "gru") == 3 * (6 * 5 + 6 * 6 + 12) + 6 * 4 + 4


# looking inside


@pytest.mark.parametrize("task", MEMORY_TASKS)
@pytest.mark.parametrize("kind", CELLS)
def test_knowledge_at_the_last_step_is_that_of_the_answer(kind, task):
    config = CellConfig(kind=kind, task=task, length=9, hidden=5)
    state = Run(config).learner.state()
    known = knowledge(config, state)
    sequences = held_out(task, 9, config.distractors)
    assert known.shape == (len(sequences.inputs),) and known.isfinite().all()
    with torch.no_grad():
        answers = model_of(config, state)(sequences.inputs[:, :LOOKED_AT])
    if task == "adding":
        expected = math.sqrt(F.mse_loss(answers, sequences.targets[:LOOKED_AT]).item())
    else:
        last, targets = (answers[-1], sequences.targets[-1]) if task == "copying" else (answers, sequences.targets)
        right = [row.softmax(0)[target].item() for row, target in zip(last, targets[:LOOKED_AT], strict=True)]
        expected = statistics.fmean(right)
    assert known[-1].item() == pytest.approx(expected, rel=1e-5)


def test_knowledge_of_the_first_symbol_begins_with_it():
    """A cell that has learned the task knows the symbol from the first step to the last."""
    run = Run(CellConfig(kind="gru", length=8, hidden=16, learning_rate=0.01, gate_bias=4.0))
    run.advance(math.inf, limit=150)
    assert run.history[-1].scores["test"]["Accuracy"] > 0.99
    known = knowledge(run.config, run.learner.state())
    assert known.min() > 0.5 and known[-1] > 0.9


# presets


def test_presets_are_sweeps_of_known_tasks():
    assert next(iter(PRESETS.values())) == MemoryConfig()
    assert {config.task for config in PRESETS.values()} <= set(MEMORY_TASKS) == set(LEARNED)


def in_short(preset: str, kind: str, length: int, seed: int = 0, updates: int | None = None) -> Outcome:
    """One run of a preset's sweep."""
    config = PRESETS[preset]
    return measure(Trial(run_of(config, kind, length, seed), updates or config.limit))


def solved_by(preset: str, kind: str, length: int, updates: int, seed: int = 0) -> int | None:
    """When a run of a preset's sweep has learned its task, within so many updates; it ends there."""
    run, seen = Run(run_of(PRESETS[preset], kind, length, seed)), 0
    while run.steps < updates and not run.diverged:
        run.step(measure=run.steps + 1 == updates)
        if len(run.history) > seen:
            seen = len(run.history)
            if found := first_solved(run):
                return found
    return None


@pytest.mark.parametrize(
    ("preset", "kind", "length", "score", "solved"),
    [
        ("recall", "simple_rnn", 10, 1.0, 112),
        ("recall", "lstm", 40, 1.0, 288),
        ("recall", "lstm", 80, None, None),
        ("recall", "gru", 80, 1.0, 448),
        ("silence", "simple_rnn", 80, 0.234, None),
        ("silence", "lstm", 80, 1.0, 48),
        ("silence", "gru", 160, 1.0, 192),
        ("open_gates", "gru", 160, 1.0, 448),
        ("open_gates", "lstm", 80, None, None),
        ("digits", "simple_rnn", 40, 0.10, None),
        ("digits", "lstm", 40, 0.72, None),
        ("digits", "gru", 40, 0.60, None),
        ("no_start", "lstm", 20, 0.20, None),
        ("no_start", "gru", 20, 0.23, None),
        ("too_fast", "simple_rnn", 10, None, None),
        ("too_fast", "lstm", 40, 0.23, None),
        ("too_fast", "gru", 40, 1.0, 40),
    ],
)
def test_the_numbers_that_the_presets_tell(preset, kind, length, score, solved):
    """What is learned is learned, sooner or later: rounding on another processor moves the step, and with it nothing else.

    What is not learned stays at its score, but where a cell was about to learn: with AVX2 instead of AVX512 the LSTM
    comes to 77 % at 80 steps.
    """
    if solved is not None:
        assert solved_by(preset, kind, length, min(600, 2 * solved)) == pytest.approx(solved, rel=0.5)
    else:
        found = in_short(preset, kind, length)
        assert found.solved is None
        assert score is None or score_of(found) == pytest.approx(score, abs=0.03)


def test_the_adding_problem_at_its_usual_numbers():
    """The GRU is below 0.01 after some 750 updates; the others are in tests/benchmarks/adding.py, which takes its time."""
    assert solved_by("adding", "gru", 50, 1000) == pytest.approx(750, abs=250)


def test_one_rnn_of_three_learns_20_steps():
    """The one does at the last step, here; on another processor perhaps somewhat later."""
    found = [solved_by("recall", "simple_rnn", 20, updates, seed) for seed, updates in enumerate((600, 900, 600))]
    assert found == [None, pytest.approx(600, rel=0.5), None]
