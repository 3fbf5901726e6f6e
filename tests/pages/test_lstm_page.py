"""The LSTM lesson through the entrypoint: its numbers, what is looked at, gates that are held, and what is measured."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import partial

import pytest
import torch

from core.lstm import CLAMPS, PRESETS, LSTMConfig, clamped_scores, race
from core.training import ACCURACY, LOSS, Race, Run, Snapshot
from pages.ui import pictures_lstm as pictures
from pages.ui import questions_lstm as asked
from pages.ui.predict import score, steps_to
from tests.lessons import open_lesson

open_page = partial(open_lesson, "lstm")

LOOK = pictures.Look(0, 3, 8)
SMALL = {"length": "6", "hidden": "4"}


def trained(config: LSTMConfig, steps: int) -> Run:
    run = Run(config)
    while run.steps < steps and not run.diverged:
        run.step()
    return run


# ---- the page --------------------------------------------------------------------------------------------------------


def test_the_formula_has_the_numbers_of_the_unit_and_step_that_are_looked_at():
    app = open_page(**SMALL, at="3", unit="2")
    text = "".join(element.value for element in app.latex if "_{3}" in element.value)
    run = next(iter(app.session_state["lstm_race"].runs.values()))
    steps = run.learner.model.cell.by_hand(pictures.sequences_of(run.config).inputs[:, :1])
    c, h = (part[2, 0, 1].item() for part in (steps.cell, steps.hidden))
    assert "c_{3}" in text
    assert [float(part.split("}")[0]) for part in text.split(r"\mathbf{")[1:]] == pytest.approx([c, h], abs=0.0051)
    app.button(key="lstm_next").click().run()
    assert app.slider(key="lstm_at").value == 4
    assert any("c_{4}" in element.value for element in app.latex)


def test_results_that_their_rounded_terms_miss_are_about_equal():
    config = LSTMConfig(length=12, hidden=8)
    state, signs = trained(config, 3).snapshot(), []
    for at in range(12):
        for unit in range(8):
            look = pictures.Look(0, at, unit)
            cell, _ = pictures.formulas(config, state.state, look)
            numbers = [float(each) for each in re.findall(r"-?\d+\.\d+", cell)]
            f, before, i, candidate, after = numbers
            assert (r"\approx" not in cell) == (
                f"{f * before + i * candidate:.2f}".replace("-0.00", "0.00") == f"{after:.2f}"
            )
            (figure,) = pictures.step(config, state, look).figures
            texts = [each for each in figure.items if each["t"] == "text" and each["anchor"] == "end"]
            for x in pictures.COLUMNS.values():
                *terms, total = [each["s"].replace("−", "-") for each in texts if each["x"] == x + 24]
                sign, result = total.split()
                assert (sign == "=") == (abs(sum(map(float, terms)) - float(result)) < 0.005)
                signs.append(sign)
    assert set(signs) == {"=", "≈"}


def test_a_shorter_sequence_and_fewer_units_move_what_is_looked_at():
    app = open_page(at="40", unit="12", example="7")
    app.slider(key="lstm_length").set_value(10).run()
    app.slider(key="lstm_hidden").set_value(3).run()
    assert not app.exception
    assert (app.slider(key="lstm_at").value, app.slider(key="lstm_unit").value) == (10, 3)
    assert app.slider(key="lstm_example").value == 7


def test_one_unit_needs_no_slider():
    app = open_page(length="6", hidden="1", unit="1")
    assert not app.exception and "lstm_unit" not in {slider.key for slider in app.slider}


def test_a_place_that_a_teacher_has_locked_moves_back_where_it_is_gone():
    app = open_page(length="6", hidden="4", unit="4")
    app.query_params["lock"] = "unit"
    app.slider(key="lstm_hidden").set_value(2).run()
    assert not app.exception and app.session_state["settings"]["lstm_unit"] == 2


def test_a_gate_that_is_held_races_the_full_lstm():
    app = open_page(**SMALL)
    assert list(app.session_state["lstm_race"].runs) == ["full_lstm"]
    app.segmented_control(key="lstm_input_gate").set_value("shut").run()
    configs = app.session_state["lstm_race"].configs
    assert list(configs) == ["changed_lstm", "full_lstm"]
    assert configs["changed_lstm"] == replace(configs["full_lstm"], input_gate="shut")


def test_coupled_and_held_is_explained_and_the_last_settings_stay():
    app = open_page(**SMALL, coupled="1")
    app.segmented_control(key="lstm_forget_gate").set_value("open").run()
    assert not app.exception and "1 − input gate" in app.error[0].value
    assert app.session_state["lstm_race"].leader.config.coupled


def test_a_gate_held_while_looking_trains_nothing_anew():
    app = open_page(**SMALL)
    app.button(key="lstm_step").click().run()
    app.selectbox(key="lstm_clamp").set_value("input_open").run()
    assert not app.exception and app.session_state["lstm_race"].steps == 1


@pytest.mark.parametrize("task", ["recall", "copying", "sines", "sunspots", "digits"])
def test_every_task_has_its_pictures(task):
    app = open_page("zh", task=task, length="9", hidden="3")
    app.button(key="lstm_step").click().run()
    assert not app.exception and not app.error


def test_a_series_of_ones_own():
    app = open_page(task="own", hidden="3")
    assert "no series of yours" in app.error[0].value
    app.file_uploader(key="lstm_upload").upload("mine.csv", b"value\n" + b"".join(b"%d\n" % (step % 7) for step in range(60)), "text/csv").run()  # fmt: skip
    assert not app.exception and not app.error
    app.button(key="lstm_step").click().run()
    config = app.session_state["lstm_race"].leader.config
    assert not app.exception and config.task == "own" and len(config.series) == 60


# ---- the pictures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_pictures_can_be_drawn_of_every_preset_and_of_weights_gone_wild(name):
    config = PRESETS[name]
    start = Run(replace(config, hidden=9)).snapshot().state
    for factor in (1.0, 1e30, math.inf, math.nan):
        snapshot = Snapshot(0, {key: value * factor for key, value in start.items()})
        shown = (pictures.step(replace(config, hidden=9), snapshot, LOOK), pictures.over_time(replace(config, hidden=9), snapshot, LOOK), pictures.clamps(replace(config, hidden=9), snapshot, "input_open"))  # fmt: skip
        for item in (item for scene in shown for figure in scene.figures for item in figure.items):
            assert item["t"] != "path" or not ("nan" in item["d"] or "inf" in item["d"])
            assert all(math.isfinite(value) for value in item.values() if isinstance(value, float))
        assert pictures.formulas(replace(config, hidden=9), snapshot.state, LOOK)


def words_of(scene) -> list[str]:
    return [item["s"] for figure in scene.figures for item in figure.items if item["t"] == "text"]


@pytest.mark.parametrize("peephole", [False, True])
def test_the_diagram_adds_up(peephole):
    config = LSTMConfig(length=6, hidden=9, peephole=peephole)
    run = trained(config, 3)
    state = run.snapshot().state
    f, i, candidate, o, before, after, hidden = pictures.numbers(pictures.seen(config, state, LOOK), LOOK)
    assert after == pytest.approx(f * before + i * candidate, abs=1e-6)
    assert hidden == pytest.approx(o * math.tanh(after), abs=1e-6)
    shown = pictures.seen(config, state, LOOK)
    sums = pictures.net_inputs(shown.cell, shown.x, shown.steps, LOOK.at)
    gates = torch.stack([shown.steps.input, shown.steps.forget, shown.steps.candidate, shown.steps.output])[
        :, LOOK.at, 0
    ]
    squashed = torch.sigmoid(sums.total)
    squashed[2] = torch.tanh(sums.total[2])
    torch.testing.assert_close(squashed, gates, atol=1e-6, rtol=0)
    words = [word.lstrip("=≈ ") for word in words_of(pictures.step(config, run.snapshot(), LOOK))]
    for value in (f, i, candidate, o, before, after, hidden, f * before, i * candidate, *sums.total[:, 8].tolist()):
        assert pictures.short(value) in words
    assert ("p c" in words) == peephole


def test_a_gate_held_in_the_picture_is_all_one_or_all_nothing():
    config = LSTMConfig(length=6, hidden=9)
    state = trained(config, 2).snapshot().state
    for clamp, (gate, way) in CLAMPS.items():
        if gate:
            values = getattr(pictures.seen(config, state, LOOK._replace(clamp=clamp)).steps, gate)
            assert (values == (way == "open")).all()
            assert pictures.clamp_names()[clamp] in words_of(pictures.clamps(config, Snapshot(0, state), clamp))


def test_the_bars_are_the_scores():
    config = LSTMConfig(length=6, hidden=9, task="recall")
    run = trained(config, 5)
    scores = clamped_scores(config, run.snapshot().state)
    assert pictures.measured(config, run.snapshot().state) == scores
    words = words_of(pictures.clamps(config, run.snapshot(), "as_trained"))
    assert all(f"{values[ACCURACY.name]:.0%}" in words for values in scores.values())
    bars = [item for item in pictures.clamps(config, run.snapshot(), "as_trained").figures[0].items if item.get("go")]
    assert [bar["go"] for bar in bars] == list(CLAMPS)


def test_a_bar_that_dwarfs_the_others_is_cut():
    assert pictures.longest_bar([0.3, 1.4, 3.2, 552.0, 1.4, 1.8, 3.2]) == 3.2
    assert pictures.longest_bar([0.001, 2.3, 0.7, 0.03, 0.4, 0.8, 0.7]) == 2.3
    assert pictures.longest_bar([math.nan, math.inf]) == 1.0


def test_small_and_large_scores_are_short():
    assert [pictures.scored(value, False) for value in (0.0, 8.9e-5, 0.0123, 0.5, 12.3, 12345.0, math.inf, math.nan)] == ["0", "9e−5", "0.012", "0.50", "12.30", "1e4", "∞", "NaN"]  # fmt: skip
    assert pictures.ticks(50) == [1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50]
    assert pictures.ticks(8) == list(range(1, 9))


# ---- what the captions tell ------------------------------------------------------------------------------------------
# To the digit on the machine that they were measured on; another processor rounds its sums otherwise, and over hundreds
# of updates that moves an arrival by an evaluation or two.


@pytest.mark.parametrize(
    ("name", "step"), [("adding", 768), ("coupled", 288), ("peephole", 704), ("first_lstm", 512), ("reference", 1408)]
)
def test_the_steps_that_the_presets_tell(name, step):
    run = Run(PRESETS[name])
    while score(run, LOSS) >= 0.01 and run.steps < step + 128:
        run.step()
    assert abs(steps_to(run, LOSS, 0.01) - step) <= 128


def test_the_forget_bias_decides_whether_it_recalls():
    runs = {name: trained(config, 448) for name, config in race(PRESETS["long_memory"]).items()}
    assert steps_to(runs["changed_lstm"], ACCURACY, 1.0) <= 300, "96 or 288, as the processor rounds"
    assert score(runs["full_lstm"], ACCURACY) == pytest.approx(0.23, abs=0.06)


@pytest.mark.parametrize(
    ("config", "step", "value"),
    [
        (PRESETS["sunspots"], 960, 0.290), (PRESETS["input_open"], 1472, 0.175), (PRESETS["forget_shut"], 1472, 0.08),
        (PRESETS["frozen"], 288, 0.176), (PRESETS["simple_rnn"], 448, 0.176),
    ],
)  # fmt: skip
def test_the_errors_that_the_presets_tell(config, step, value):
    rounded = {"sunspots": 0.02}.get(config.task, 0.01 if config == PRESETS["forget_shut"] else 0.006)
    assert score(trained(config, step), LOSS) == pytest.approx(value, abs=rounded)


@pytest.mark.parametrize("gate", ["learned", "shut"])
def test_digits_do_not_need_the_forget_gate(gate):
    run = trained(replace(PRESETS["digits"], forget_gate=gate), 960)
    assert score(run, ACCURACY) == pytest.approx(0.975, abs=0.02)


def test_without_tanh_it_diverges():
    run = trained(PRESETS["unsquashed"], 200)
    assert run.diverged and run.steps == 1
    assert run.history[0].scores["test"]["Loss"] == pytest.approx(8e14, rel=0.1)


def test_challenges_are_reached_by_what_they_ask_for():
    class Played:
        def __init__(self, config: LSTMConfig, steps: int):
            self.race = Race(race(config))
            while self.race.steps < steps:
                self.race.step()

    assert asked.faster(Played(LSTMConfig(coupled=True), 320))[0]
    assert not asked.faster(Played(LSTMConfig(input_gate="open"), 64))[0]
    two_held = LSTMConfig(length=20, forget_gate="open", output_gate="open")
    assert asked.one_gate(Played(two_held, 320))[0] and not asked.one_gate(Played(two_held, 10))[0]
    far = LSTMConfig(task="recall", length=100, output_gate="open")
    assert asked.remembers_far(Played(far, 128))[0] and not asked.remembers_far(Played(far, 10))[0]
