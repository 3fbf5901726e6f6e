"""The backpropagation lesson through the entrypoint: its walk, its proof, its update and its edits."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from math import inf

import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.backpropagation import (
    PRESETS,
    BackpropagationConfig,
    forward_order,
    network_of,
    parameter_names,
    samples,
    updates,
)
from core.training import Run
from pages.ui import pictures_backpropagation as pictures
from tests.lessons import open_lesson

open_page = partial(open_lesson, "backpropagation")

LANGUAGES = ("zh", "en")
MOVES = 11 + 30  # of Mazur's network: nodes forward, edges back


def click(app: AppTest, name: str) -> AppTest:
    app.button(key=f"backpropagation_{name}").click().run()
    assert not app.exception
    return app


def choose(app: AppTest, kind: str, name: str, value) -> AppTest:
    widget = next(widget for widget in app.get(kind) if widget.key == f"backpropagation_{name}")
    widget.set_value(value).run()
    assert not app.exception
    return app


def bold(formula: str) -> float:
    return float(formula.split(r"\mathbf{")[1].split("}")[0])


def formulas(app: AppTest) -> list[str]:
    return [text.value for text in app.markdown if text.value.startswith("$")]


def walked_to(app: AppTest) -> str:
    """The formulas of this move."""
    texts = [text.removeprefix(r"$\displaystyle ") for text in formulas(app)]
    return "\n".join(texts[: next(i for i, text in enumerate(texts) if r"\to \mathrm{net}" in text)])


def visit(app: AppTest) -> int:
    return app.session_state["settings"]["backpropagation_visit"]


def mazur_by_autograd() -> dict[str, float]:
    """The gradients of Mazur's weights and biases, by torch's own layers."""
    first, second = torch.nn.Linear(2, 2, dtype=torch.float64), torch.nn.Linear(2, 2, dtype=torch.float64)
    first.weight.data, second.weight.data = (
        torch.tensor(rows, dtype=torch.float64) for rows in ([[0.15, 0.2], [0.25, 0.3]], [[0.4, 0.45], [0.5, 0.55]])
    )
    first.bias.data.fill_(0.35)
    second.bias.data.fill_(0.60)
    x, target = torch.tensor([0.05, 0.1], dtype=torch.float64), torch.tensor([0.01, 0.99], dtype=torch.float64)
    (torch.nn.functional.mse_loss(second(first(x).sigmoid()).sigmoid(), target, reduction="sum") / 2).backward()
    weights = [*first.weight.grad.flatten().tolist(), *second.weight.grad.flatten().tolist()]
    found = {f"w{number}": gradient for number, gradient in enumerate(weights, start=1)}
    return found | {"b1": first.bias.grad.sum().item(), "b2": second.bias.grad.sum().item()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_walk_goes_forward_node_by_node_then_back_edge_by_edge(language):
    app = click(open_page(language), "first")
    assert visit(app) == 0 and app.button(key="backpropagation_previous").disabled
    published = (0.3775, 0.5933, 0.3925, 0.5969, 1.106, 0.7514, 1.225, 0.7729, 0.2748, 0.02356, 0.2984)  # Mazur 2015
    for value in published:
        click(app, "next")
        assert bold(walked_to(app)) == value
    click(app, "next")
    assert r"\frac{\partial E}{\partial E_{o1}}" in walked_to(app) and bold(walked_to(app)) == 1
    assert app.query_params["backpropagation_visit"] in ("12", ["12"])
    click(app, "previous")
    assert bold(walked_to(app)) == 0.2984
    click(app, "last")
    assert r"\mathbf" not in walked_to(app) and app.button(key="backpropagation_next").disabled
    click(app, "previous")
    assert visit(app) == MOVES


def test_the_factor_of_an_edge_is_written_with_its_numbers():
    config = BackpropagationConfig()
    found = pictures.walked(config, Run(config).snapshot(), 0)
    edge = next(i for i, edge in enumerate(found.edges) if (edge.source, edge.target) == ("w5", "net_o1"))
    formula = walked_to(open_page(visit=str(11 + edge + 1)))
    assert r"=\mathrm{out}_{h1}=0.5933" in formula and r"0.1385\cdot 0.5933" in formula
    assert bold(formula) == pytest.approx(mazur_by_autograd()["w5"], abs=5e-6)


def test_walked_to_the_end_every_node_has_its_gradient():
    config = BackpropagationConfig()
    found = pictures.walked(config, Run(config).snapshot(), 0)
    expected, done = mazur_by_autograd(), pictures.gradients(found, pictures.walk(config, found, pictures.END))
    assert {name: done[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert done.keys() == found.nodes.keys()
    halfway = pictures.gradients(found, pictures.walk(config, found, 11))
    assert halfway == {}


@pytest.mark.parametrize("network", ["2-2-1", "2-2-2"])
def test_every_node_has_a_place_of_its_own(network):
    config = BackpropagationConfig(network=network)
    found = pictures.walked(config, Run(config).snapshot(), 0)
    places = pictures.places(int(network[-1]))
    assert places.keys() == found.nodes.keys()
    boxes = list(places.values())
    for i, (x, y) in enumerate(boxes):
        for other_x, other_y in boxes[:i]:
            assert abs(x - other_x) >= pictures.WIDE or abs(y - other_y) >= pictures.TALL + 8
    scene = pictures.graph(config, Run(config).snapshot(), pictures.END, 0, "w1")
    assert all(figure.width <= 760 for figure in scene.figures)
    assert len(forward_order(int(network[-1]))) < pictures.END


@pytest.mark.parametrize(("weight", "ways"), [("w1", 2), ("w5", 1), ("b1", 4), ("b2", 2)])
def test_three_ways_give_one_gradient_and_the_paths_add_up(weight, ways):
    app = open_page(weight=weight)
    expected = mazur_by_autograd()[weight]
    shown = [float(metric.value) for metric in app.metric[:3]]
    assert shown == pytest.approx([expected] * 3, abs=1e-9)
    assert any(f"**{ways}**" in text.value for text in app.markdown)
    along = [bold(formula) for formula in formulas(app) if r"\to \mathrm{net}" in formula]
    assert len(along) == ways and sum(along) == pytest.approx(expected, rel=0.01)


def test_the_update_by_hand_is_what_step_does():
    app = click(open_page(), "show_update")
    table = app.table[0].value
    assert table["after"].tolist()[:8] == [  # Mazur 2015
        "0.149781", "0.199561", "0.249751", "0.299502", "0.358916", "0.408666", "0.511301", "0.561370"
    ]  # fmt: skip
    assert table["after"].tolist()[8:] == ["0.350000", "0.600000"]
    click(app, "step")
    assert app.table[0].value["before"].tolist() == table["after"].tolist()


def edit_field(app: AppTest):
    """A new number of the model is in a new field."""
    return next(field for field in app.number_input if field.key.startswith("backpropagation_edit_"))


def test_an_edit_goes_on_with_the_run_and_into_the_link():
    app = click(open_page(weight="w2"), "step")
    edit_field(app).set_value(-5.0).run()
    assert not app.exception
    (run,) = app.session_state["backpropagation_race"].runs.values()
    assert run.interventions == [(1, "w2", -5.0)] and run.steps == 1
    assert "w2" in str(app.query_params["backpropagation_did"])
    assert edit_field(app).value == -5.0


def test_one_edit_leaves_the_local_minimum():
    app = open_page(weight="w2").pills(key="backpropagation_preset").set_value("local_minimum").run()
    race = app.session_state["backpropagation_race"]
    race.advance(inf, limit=1000)
    edit_field(app).set_value(-5.0).run()
    assert not app.exception
    race.advance(inf, limit=1999)
    click(app, "step")
    assert app.session_state["progress"]["backpropagation"] == {"challenge_escape"}


def test_a_smaller_network_takes_the_choice_of_a_weight_back():
    app = open_page(weight="w8")
    choose(app, "button_group", "network", "2-2-1")
    assert app.selectbox(key="backpropagation_weight").value == "w1"
    choose(app, "selectbox", "weight", "b3")
    choose(app, "button_group", "network", "2-2-2")
    assert app.selectbox(key="backpropagation_weight").value == "w1"


@pytest.mark.parametrize("name", PRESETS)
def test_formulas_have_only_finite_numbers_at_every_move(name):
    config = PRESETS[name]
    snapshot = Run(config).snapshot()
    found, network = pictures.walked(config, snapshot, 1), pictures.network_of(config, snapshot.state)
    for move in range(pictures.END + 1):
        formula = "\n".join(pictures.move_formula(config, network, found, pictures.walk(config, found, move)))
        assert not re.search(r"nan|inf|\de[-+]", formula, re.IGNORECASE), formula


def test_every_weight_and_bias_of_the_graph_can_be_clicked():
    for config in (PRESETS["mazur"], PRESETS["xor"]):
        state = Run(config).snapshot()
        (figure,) = pictures.graph(config, state, pictures.END, 0, "w1").figures
        boxes = [item["go"] for item in figure.items if item.get("go")]
        assert sorted(boxes) == sorted(parameter_names(2 if config.network == "2-2-2" else 1))


def test_a_sample_can_be_set_where_one_is_learned():
    assert {slider.key for slider in open_page(network="2-2-1").slider} >= {
        "backpropagation_x1",
        "backpropagation_target_1",
    }
    assert "backpropagation_target_2" not in {slider.key for slider in open_page(network="2-2-1").slider}
    assert "backpropagation_x1" not in {slider.key for slider in open_page(data="xor").slider}


# ---- what the captions of the presets tell


@pytest.mark.parametrize(
    ("name", "seed", "told", "right"),
    [
        ("mazur", 0, {0: 0.2984, 1: 0.2910, 100: 0.0200, 1000: 0.0011}, None), ("mazur_biases", 0, {1: 0.2858}, None),
        ("xor", 0, {300: 0.0071}, 1.0), ("relu", 0, {100: 0.0556}, 1.0), ("local_minimum", 0, {1000: 0.0645}, 0.5),
        ("local_minimum", 2, {300: 0.0115}, 1.0), ("zero", 0, {500: 0.125}, 0.5), ("linear", 0, {1000: 0.125}, 0.5),
        ("saturated", 0, {1000: 0.1253}, 0.75), ("dead", 0, {2: 0.25, 50: 0.25}, 0.5),
    ],
)  # fmt: skip
def test_the_losses_that_the_presets_tell(name, seed, told, right):
    run = Run(replace(PRESETS[name], seed=seed))
    for step, loss in told.items():
        run.advance(inf, step)
        scores = run.learner.evaluate()["train"]
        assert scores["Loss"] == pytest.approx(loss, abs=6e-5)
    assert right is None or scores["Accuracy"] == right


def test_the_largest_gradient_of_mazurs_numbers_is_that_of_a_bias_as_told():
    found = {name: change.gradient for name, change in updates(*mazur_network(), 0.5).items()}
    assert max(found, key=lambda name: abs(found[name])) == "b2" and found["b2"] == pytest.approx(0.1004, abs=5e-5)


def mazur_network():
    config = PRESETS["mazur"]
    return network_of(config, Run(config).snapshot().state), *samples(config)


def test_gradients_that_are_equal_are_said_to_be():
    assert pictures.apart(0.0) == "the very same number" and "1.2e-11" in pictures.apart(1.23e-11)
