"""The GRU lesson through the entrypoint: its numbers, its pictures, the curves that are one, and what its presets tell."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from core.data.sequences import held_out
from core.gru import PRESETS, GRUConfig, clamped_scores, race
from core.training import Race, Snapshot
from pages.ui import pictures_gru as pictures
from pages.ui import questions_gru as asked
from tests.lessons import open_lesson, trained

open_page = partial(open_lesson, "gru")

SMALL = {
    "adding": GRUConfig(hidden=6, length=12),
    "sunspots": GRUConfig(hidden=5, length=9, task="sunspots", reset_place="before"),
    "digits": GRUConfig(hidden=4, length=8, task="digits"),
    "copying": GRUConfig(hidden=3, length=2, task="copying", update_gate="open"),
    "recall": GRUConfig(hidden=40, length=5, task="recall", reset_gate="shut"),
    "sines": GRUConfig(hidden=1, length=2, task="sines", update_gate="shut", reset_gate="open"),
}


def score(config, steps: int, metric: str = "Loss") -> float:
    return trained(config, steps).history[-1].scores["test"][metric]


# ---- the numbers


def test_the_formula_has_the_numbers_of_torchs_cell():
    app = open_page(length="10", hidden="5", at="7", unit="3", example="2")
    text = next(element.value for element in app.latex if "0." in element.value)
    bold = [float(part.split("}")[0]) for part in text.split(r"\mathbf{")[1:]]
    run = app.session_state["gru_race"].runs["gru"]
    layer = nn.GRU(2, 5)
    state = run.snapshot().state
    layer.load_state_dict({name.removeprefix("cell."): value for name, value in state.items() if "cell" in name})
    x = held_out("adding", 10).inputs[:, 1:2]
    with torch.no_grad():
        states = layer(x)[0][:, 0]
        from_input = layer.weight_ih_l0 @ x[6, 0] + layer.bias_ih_l0
        past = layer.weight_hh_l0 @ states[5] + layer.bias_hh_l0
        r, z = torch.sigmoid(from_input[:10] + past[:10]).view(2, 5)
        candidate = torch.tanh(from_input[10:] + r * past[10:])
    assert bold == pytest.approx([each[2].item() for each in (r, z, candidate, states[6])], abs=0.00501)


def test_results_that_their_rounded_terms_miss_are_about_equal():
    config = GRUConfig(length=10, hidden=6)
    state, signs = trained(config, 3).snapshot().state, []
    for at in range(1, 11):
        for unit in range(1, 7):
            line = pictures.formula(config, state, 1, at, unit).split("h_t &=")[1]
            z, old, rest, candidate, new = [float(each) for each in re.findall(r"-?\d+(?:\.\d+)?", line)]
            adds = f"{z * old + rest * candidate:.2f}".replace("-0.00", "0.00") == f"{new:.2f}"
            assert (r"\approx" not in line) == adds
            signs.append(adds)
    assert set(signs) == {True, False}


@pytest.mark.parametrize("name", SMALL)
def test_the_numbers_of_a_unit_are_those_of_its_trace_and_add_up(name):
    config = SMALL[name]
    state = trained(config, 3).snapshot().state
    shown = pictures.seen(config, state, 1)
    for unit in (1, config.hidden):
        n = pictures.numbers(config, state, shown, 2, unit)
        values = [part[1, unit - 1].item() for part in shown.trace]
        assert [n.r, n.z, n.past, n.candidate, n.state] == pytest.approx(values)
        held = {"open": 1.0, "shut": 0.0}
        assert n.r == pytest.approx(held.get(config.reset_gate, 1 / (1 + math.exp(-n.x_r - n.h_r))), abs=1e-6)
        assert n.z == pytest.approx(held.get(config.update_gate, 1 / (1 + math.exp(-n.x_z - n.h_z))), abs=1e-6)
        assert n.candidate == pytest.approx(math.tanh(n.x + n.past), abs=1e-6)
        assert n.state == pytest.approx(n.z * n.earlier + (1 - n.z) * n.candidate, abs=1e-6)
        if config.reset_place == "after":
            assert n.past == pytest.approx(n.r * n.heard, abs=1e-6)
        else:
            assert n.heard == pytest.approx(n.r * n.earlier, abs=1e-6)


@pytest.mark.parametrize("name", ["adding", "sunspots"])
def test_the_other_place_of_the_reset_gate_is_the_first_step_of_such_a_network(name):
    """From equal states and weights; at the first step there is no past, and only the biases differ."""
    config = SMALL[name]
    other = replace(config, reset_place="after" if config.reset_place == "before" else "before")
    state = trained(config, 3).snapshot().state
    mine, theirs = pictures.seen(config, state, 1), pictures.seen(other, state, 1)
    torch.testing.assert_close(mine.other.candidate[0], theirs.trace.candidate[0])
    assert (mine.other.candidate - mine.trace.candidate).abs().max() > 1e-4


# ---- pictures


def items(scene, kind: str) -> list[dict]:
    return [item for figure in scene.figures for item in figure.items if item["t"] == kind]


@pytest.mark.parametrize("name", SMALL)
def test_pictures_can_be_drawn_of_every_task_and_of_weights_gone_wild(name):
    config, run = SMALL[name], trained(SMALL[name], 3)
    for factor in (1.0, 1e30, math.inf, math.nan):
        snapshot = Snapshot(0, {key: value * factor for key, value in run.snapshot().state.items()})
        for draw in (pictures.cell, pictures.whole):
            drawn = draw(config, snapshot, 1, 2, 1)
            for item in (item for figure in drawn.figures for item in figure.items):
                assert item["t"] != "path" or not ("nan" in item["d"] or "inf" in item["d"])
                assert all(math.isfinite(value) for value in item.values() if isinstance(value, float)), item
        assert pictures.formula(config, snapshot.state, 1, 2, 1)
        assert pictures.clamps(clamped_scores(config, snapshot.state)).alt


def test_maps_over_time_can_be_clicked_and_have_one_row_per_unit():
    config = SMALL["adding"]
    drawn = pictures.whole(config, trained(config, 3).snapshot(), 1, 3, 2)
    maps = {item["n"]: item for item in items(drawn, "map")}
    assert [(maps[name]["r"], maps[name]["c"], maps[name]["pick"]) for name in pictures.MAPS] == [(6, 12, True)] * 3
    assert (maps["x"]["r"], maps["x"]["c"]) == (2, 12)
    many = SMALL["recall"]
    crowd = {item["n"]: item for item in items(pictures.whole(many, trained(many, 3).snapshot(), 1, 1, 40), "map")}
    assert crowd["state"]["r"] == pictures.UNITS_SHOWN


def test_what_a_gate_lets_through_is_thick_and_a_held_gate_is_dashed():
    config = GRUConfig(hidden=4, length=6, update_gate="open")
    drawn = pictures.cell(config, trained(config, 3).snapshot(), 1, 2, 1)
    green = [item["width"] for item in items(drawn, "line") if item["ink"] == pictures.OPENED]
    assert green[0] == pytest.approx(8.2) and green[1] == pytest.approx(1.2)  # all is kept, nothing is new
    assert [item["dash"] for item in items(drawn, "rect") if item.get("dash")] == ["7 5"]
    assert any("held open" in item["s"] for item in items(drawn, "text"))


def test_bars_are_as_high_as_the_gate_says_in_the_colours_of_old_and_new():
    config = SMALL["adding"]
    state = trained(config, 3).snapshot()
    shown = pictures.seen(config, state.state, 1)
    drawn = pictures.whole(config, state, 1, 5, 1)
    bars = [item for item in items(drawn, "rect") if item["ink"] == "none"]
    assert len(bars) == 2 * config.hidden
    for unit in range(config.hidden):
        new, old = bars[2 * unit : 2 * unit + 2]
        assert new["h"] == pytest.approx(pictures.BLEND_HEIGHT * (1 - shown.trace.update[4, unit].item()), abs=1e-3)
        assert new["h"] + old["h"] == pytest.approx(pictures.BLEND_HEIGHT)
        assert new["fill"] == pictures.diverging(shown.trace.candidate[4, unit].item())
        assert old["fill"] == pictures.diverging(shown.earlier[4, unit].item())


def test_colours_of_values():
    assert (pictures.diverging(0.0), pictures.diverging(-1.0), pictures.diverging(7.0)) == (
        "#ffffff", pictures.NEGATIVE, pictures.POSITIVE,
    )  # fmt: skip


def test_the_table_counts_parameters_and_measures_speed():
    ran = Race(race(SMALL["adding"]))
    start = pictures.table(ran.configs, {name: run.snapshot() for name, run in ran.runs.items()}, ran)
    assert "Updates/s –" in start.alt
    ran.advance(1e9, 5)
    snapshots = {name: run.snapshot() for name, run in ran.runs.items()}
    drawn = pictures.table(ran.configs, snapshots, ran)
    layers = {"gru": nn.GRU(2, 6), "lstm": nn.LSTM(2, 6), "rnn": nn.RNN(2, 6)}
    for name, layer in layers.items():
        wanted = sum(parameter.numel() for parameter in layer.parameters()) + 7  # the readout
        assert pictures.learned_count(ran.configs[name], snapshots[name].state) == wanted
        assert f"Parameters {wanted:,}, Updates/s {5 / ran.runs[name].seconds:,.0f}" in drawn.alt
    held = replace(SMALL["adding"], reset_gate="open", update_gate="shut")
    assert pictures.learned_count(held, snapshots["gru"].state) == pictures.learned_count(
        ran.configs["rnn"], snapshots["rnn"].state
    )


# ---- the page


def test_the_loss_begins_with_a_logarithmic_axis_and_that_is_no_setting_to_share():
    app = open_page()
    assert app.toggle(key="gru_log").value is True
    assert "gru_log" not in app.query_params


def test_without_gates_the_page_says_how_far_the_two_curves_are_apart():
    app = open_page(length="8", hidden="4")
    assert not app.info
    app.segmented_control(key="gru_reset_gate").set_value("open").run()
    app.segmented_control(key="gru_update_gate").set_value("shut").run()
    app.session_state["gru_race"].advance(1e9, 120)
    app.button(key="gru_step").click().run()
    assert not app.exception
    gap = float(app.info[0].value.split("**")[1])
    assert gap < 1e-4
    assert "challenge_twins" in app.session_state["progress"]["gru"]


def test_what_is_looked_at_stays_within_shorter_sequences_and_fewer_units():
    app = open_page(at="50", unit="32")
    app.button(key="gru_step").click().run()
    app.slider(key="gru_at").set_value(49).run()
    assert app.session_state["gru_race"].steps == 1  # looking elsewhere starts no fresh run
    app.slider(key="gru_length").set_value(9).run()
    app.slider(key="gru_hidden").set_value(3).run()
    assert not app.exception
    assert (app.slider(key="gru_at").value, app.slider(key="gru_unit").value) == (9, 3)
    app.button(key="gru_back").click().run()
    assert app.slider(key="gru_at").value == 8
    assert app.button(key="gru_next").click().run().slider(key="gru_at").value == 9


def test_a_locked_step_is_not_walked_from():
    app = open_page(length="8", hidden="4", at="3")
    assert not any(app.button(key=f"gru_{name}").disabled for name in ("back", "next"))
    app.session_state["lock"] = ("at",)
    app.run()
    assert all(app.button(key=f"gru_{name}").disabled for name in ("back", "next"))


def test_it_races_what_is_chosen():
    app = open_page(length="8", hidden="4")
    assert list(app.session_state["gru_race"].runs) == ["gru", "lstm", "rnn"]
    app.selectbox(key="gru_beside").set_value("gates").run()
    assert list(app.session_state["gru_race"].runs) == ["gru"]
    app.segmented_control(key="gru_reset_gate").set_value("shut").run()
    assert list(app.session_state["gru_race"].runs) == ["gru", "full_gru"]
    app.selectbox(key="gru_beside").set_value("alone").run()
    assert not app.exception and list(app.session_state["gru_race"].runs) == ["gru"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_held_gates_are_measured_when_asked_for(language):
    app = open_page(language, length="8", hidden="4")
    app.session_state["gru_clamping"] = True
    app.run()
    assert not app.exception
    assert any("weights of step 0" in caption.value or "第 0 步的权重" in caption.value for caption in app.caption)


# ---- what the captions tell, for seed 0


def test_the_adding_problem_as_told():
    told = race(PRESETS["adding"])
    assert score(told["gru"], 300) > 0.03 and score(told["gru"], 400) < 0.01
    assert score(told["lstm"], 640) > 0.1 and score(told["lstm"], 800) < 0.01
    assert score(told["rnn"], 800) == pytest.approx(0.17, abs=0.02)
    assert score(PRESETS["textbook"], 400) < 0.01
    for name in ("no_reset", "deaf"):
        assert score(PRESETS[name], 550) < 0.01


def test_a_hundred_steps_as_told():
    told = race(PRESETS["long"])
    assert score(told["gru"], 300) < 0.01
    assert min(score(told["lstm"], 300), score(told["rnn"], 300)) > 0.13


def test_what_breaks_as_told():
    assert score(PRESETS["frozen"], 400) == pytest.approx(0.176, abs=0.001)
    assert score(PRESETS["memoryless"], 200) == pytest.approx(1 / 6, abs=0.015)
    assert score(PRESETS["always_new"], 400) == pytest.approx(0.17, abs=0.02)


def test_real_data_as_told():
    sunspots, digits = race(PRESETS["sunspots"]), race(PRESETS["digits"])
    for name, error, share in (("gru", 0.27, 0.95), ("lstm", 0.28, 0.91), ("rnn", 0.37, 0.94)):
        assert score(sunspots[name], 600) == pytest.approx(error, abs=0.0101)
        assert score(digits[name], 600, "Accuracy") == pytest.approx(share, abs=0.0101)


def test_delayed_recall_as_told():
    told = race(PRESETS["recall"])
    assert score(told["gru"], 80, "Accuracy") < 0.6
    assert score(told["rnn"], 100, "Accuracy") == score(told["gru"], 200, "Accuracy") == 1.0
    assert score(told["lstm"], 600, "Accuracy") == pytest.approx(0.5, abs=0.1)


def test_the_challenges_can_be_reached():
    run = trained(replace(PRESETS["long"], learning_rate=0.1), 150)
    assert run.history[-1].scores["test"]["Loss"] < asked.SOLVED
    assert asked.solved(trained(PRESETS["no_reset"], 550))


def test_a_series_of_ones_own_is_trained():
    app = open_page(task="own")
    assert "upload a CSV" in app.error[0].value
    values = "\n".join(["wave", *(f"{math.sin(step / 3):.4f}" for step in range(90))]).encode()
    app.file_uploader(key="gru_upload").set_value(("wave.csv", values, "text/csv")).run()
    assert not app.exception and not app.error
    app.button(key="gru_step").click().run()
    config = app.session_state["gru_race"].runs["gru"].config
    assert not app.exception and (config.task, len(config.series), config.length) == ("own", 90, 8)
