"""The neuron lesson through the entrypoint: its sum, its rules, edits by hand, and what is measured."""

from __future__ import annotations

import base64
import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.neuron import ACTIVATIONS, DATA, PRESETS, NeuronConfig, initial_state
from core.training import Run, Snapshot
from pages.ui import pictures_neuron as pictures
from pages.ui import questions_neuron as asked
from tests.lessons import open_lesson

open_page = partial(open_lesson, "neuron")

X = (1.0, 0.5)


def bold_numbers(app: AppTest) -> list[float]:
    """z and a as the formula has them."""
    text = next(element.value for element in app.latex if "z &=" in element.value)
    return [float(part.split("}")[0]) for part in text.split(r"\mathbf{")[1:]]


def preset(app: AppTest, name: str) -> AppTest:
    app.pills(key="neuron_preset").set_value(name).run()
    assert not app.exception
    return app


def test_the_sum_is_written_out_with_its_numbers():
    app = open_page(weight_1="2", weight_2="-1.5", bias="0.5", x1="0.5", x2="2")
    z = 2 * 0.5 - 1.5 * 2 + 0.5
    assert bold_numbers(app) == pytest.approx([z, 1 / (1 + math.exp(-z))], abs=6e-4)
    app.slider(key="neuron_inputs").set_value(3).run()
    app.slider(key="neuron_weight_3").set_value(3.0).run()
    assert bold_numbers(app)[0] == pytest.approx(z + 3 * 0.5 * 2, abs=6e-4)


def test_the_words_on_an_edge_leave_it_to_be_seen():
    config = NeuronConfig()
    (figure, *_) = pictures.forward(config, Snapshot(0, initial_state(config)), X).figures
    levels = [
        item["y1"] for item in figure.items if item["t"] == "line" and item["y1"] == item["y2"] and item["x1"] == 60
    ]
    boxes = [item for item in figure.items if item["t"] == "rect"]
    assert len(levels) == 1 and not any(box["y"] <= levels[0] <= box["y"] + box["h"] for box in boxes)


def test_the_second_challenge_tells_what_it_wants_beside_what_there_is():
    app = open_page("zh")
    (told,) = [each.value for each in app.markdown if "（要 ReLU）" in each.value]
    assert "激活函数 Sigmoid（要 ReLU）" in told and "手动改过 0 次（要 1 次）" in told


def test_x_can_move_without_a_fresh_run():
    app = open_page()
    app.button(key="neuron_step").click().run()
    app.slider(key="neuron_x1").set_value(-1.0).run()
    assert app.session_state["neuron_race"].steps == 1


@pytest.mark.parametrize("data", DATA)
def test_a_click_on_the_plane_is_the_x_whose_ring_appears_there(data):
    config = replace(NeuronConfig(), data=data)
    for cell in ((0, 0), (39, 12), (20, 39)):
        x = pictures.place_of(config, *cell)
        assert pictures.cell_of(config, x)[0] == "output"
        figure = pictures.learning(config, Snapshot(0, initial_state(config)), x, False).figures[0]
        (plane,) = (item for item in figure.items if item["t"] == "map")
        ring = [item for item in figure.items if item["t"] == "circle" and item["r"] == 11][-1]
        unit = plane["w"] / plane["c"]
        assert ring["x"] == pytest.approx(plane["x"] + (cell[1] + 0.5) * unit, abs=unit)
        assert ring["y"] == pytest.approx(plane["y"] + (cell[0] + 0.5) * unit, abs=unit)
        low, high = plane["plane"]["across"]
        assert low + (cell[1] + 0.5) * (high - low) / plane["c"] == pytest.approx(x[0], abs=0.051)


def test_what_a_place_tells_is_the_output_there():
    for name in ("and", "separable"):
        config = PRESETS[name]
        state = initial_state(config)
        (plane,) = (
            item
            for item in pictures.learning(config, Snapshot(0, state), X, False).figures[0].items
            if item["t"] == "map"
        )
        told, side = torch.frombuffer(bytearray(base64.b64decode(plane["d"])), dtype=torch.float32), plane["c"]
        low, high = plane["plane"]["across"]
        for row, column in ((0, 0), (11, 30)):
            x = torch.tensor([[low + (column + 0.5) * (high - low) / side, high - (row + 0.5) * (high - low) / side]])
            value = told[row * side + column] * plane["plane"]["times"] + plane["plane"]["plus"]
            f = torch.sigmoid if config.activation == "sigmoid" else torch.tanh
            assert torch.allclose(value, f(x @ state["weight"] + state["bias"]), atol=1e-5)


def test_a_step_stands_still_until_the_perceptron_rule_is_taken():
    app = preset(open_page(), "step")
    assert "**0**" in app.info[0].value
    app.button(key="neuron_perceptron").click().run()
    assert not app.exception and not app.info
    (config,) = app.session_state["neuron_race"].configs.values()
    assert config == PRESETS["perceptron"]


def test_an_edit_by_hand_revives_the_dead_relu_and_reaches_the_challenge():
    app = preset(open_page(), "dead_relu")
    app.segmented_control(key="neuron_hand").set_value("weight_1").run()
    app.number_input(key="neuron_to").set_value(3.0).run()
    app.button(key="neuron_set").click().run()
    assert not app.exception
    race = app.session_state["neuron_race"]
    assert race.leader.snapshot().state["weight"].tolist() == [3.0, -1.0]
    assert "progress" not in app.session_state
    race.advance(math.inf, limit=60)
    app.button(key="neuron_step").click().run()
    assert "challenge_revive" in app.session_state["progress"]["neuron"]
    assert "weight_1" in str(app.query_params["neuron_did"])


def test_a_third_input_gone_leaves_the_hand_on_another():
    app = open_page(inputs="3", hand="weight_3")
    app.slider(key="neuron_inputs").set_value(1).run()
    assert not app.exception
    assert app.segmented_control(key="neuron_hand").value == "bias"


def test_twins_are_measured():
    app = open_page()
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Two hidden neurons, XOR, from zero"] == "50%"
    assert shown["Two hidden neurons, XOR, random"] == "100%"
    assert shown["One neuron, AND, from zero"] == "learned at step 42"


def accuracy(config: NeuronConfig, step: int) -> float:
    run = Run(config)
    while run.steps < step:
        run.step(measure=run.steps == step - 1)
    return run.history[-1].scores["train"]["Accuracy"]


@pytest.mark.parametrize(
    ("name", "step"),
    [("and", 44), ("or", 54), ("separable", 5), ("product", 7), ("perceptron", 17), ("zero_init", 42), ("rescued", 4)],
)
def test_the_steps_that_the_presets_tell(name, step):
    assert accuracy(PRESETS[name], step - 1) < 1 == accuracy(PRESETS[name], step)


@pytest.mark.parametrize("name", PRESETS)
def test_pictures_can_be_drawn_of_every_preset_and_of_weights_gone_wild(name):
    config = PRESETS[name]
    start = initial_state(config)
    for factor in (1.0, 1e30, math.inf, math.nan):
        snapshot = Snapshot(0, {key: value * factor for key, value in start.items()})
        for drawn in (pictures.forward(config, snapshot, X), pictures.learning(config, snapshot, X, True)):
            for item in (item for figure in drawn.figures for item in figure.items):
                assert item["t"] != "path" or not ("nan" in item["d"] or "inf" in item["d"])
                assert all(math.isfinite(value) for value in item.values() if isinstance(value, float))
        assert pictures.formula(config, snapshot.state, X)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_pictures_can_be_drawn_of_every_activation_on_all_data(activation, data):
    config = replace(NeuronConfig(), activation=activation, data=data, inputs=1 + DATA.index(data) % 3)
    drawn = pictures.learning(config, Snapshot(0, initial_state(config)), X, False)
    (background,) = (item for item in drawn.figures[0].items if item["t"] == "map")
    assert background["r"] == background["c"] <= 40


def test_thicker_edges_are_larger_weights_in_the_colour_of_their_sign():
    config = NeuronConfig(weight_1=-4.0, weight_2=1.0, bias=0.0)
    figure = pictures.forward(config, Snapshot(0, initial_state(config)), X).figures[0]
    first, second, bias = [item for item in figure.items if item["t"] == "line"][:3]
    assert (first["ink"], second["ink"]) == (pictures.NEGATIVE, pictures.POSITIVE)
    assert first["width"] > second["width"] > bias["width"]


def test_questions_and_captions_tell_the_same_step():
    """A run measures ever fewer of its steps; the questions look at each."""
    run = Run(PRESETS["perceptron"])
    while run.steps < 100:
        run.step()
    assert asked.first(run) == 17 and "17" in asked.steps(run)
    assert asked.first(Run(PRESETS["xor"])) == math.inf


def test_the_best_line_through_xor():
    assert asked.best_line() == pytest.approx(0.75)
    assert torch.equal(initial_state(PRESETS["step"])["weight"], Run(PRESETS["step"]).snapshot().state["weight"])
