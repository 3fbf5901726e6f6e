"""The gradient-descent lesson through the entrypoint, and its pictures as pure functions."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.gradient_descent import METHODS, PRESETS, SURFACES, GradientDescentConfig, height, minima, race
from core.training import LOSS, Race, Run, replay
from pages.ui import charts
from pages.ui import pictures_gradient_descent as pictures
from pages.ui import questions_gradient_descent as asked
from tests.lessons import open_lesson

open_page = partial(open_lesson, "gradient_descent")


def table(app: AppTest) -> dict[str, str]:
    """Method → its row of the table of limits."""
    text = next(element.value for element in app.markdown if element.value.startswith("| "))
    return {line.split("|")[1].strip(): line for line in text.splitlines()[2:]}


def raced(config: GradientDescentConfig, steps: int) -> Race:
    found = Race(race(config))
    for _ in range(steps):
        found.step()
    return found


def scene_of(found: Race):
    return pictures.descent(found.configs, {name: run.snapshot() for name, run in found.runs.items()}, "sgd")


def numbers(d: str) -> list[float]:
    return [float(text) for text in re.findall(r"-?\d+\.?\d*", d)]


def test_the_limits_follow_the_condition_number_and_the_momentum():
    rows = table(open_page(condition="100", momentum="0.9", lr="0.03"))
    for name, limit in (("SGD", 0.02), ("momentum", 0.038), ("Nesterov", 0.01357)):
        assert float(rows[name].split("**")[1]) == pytest.approx(limit, rel=0.005)
        assert (":red[" in rows[name]) == (limit < 0.03)
    assert "no formula" in rows["RMSProp"] and "no formula" in rows["Adam"]
    other = table(open_page(condition="10", momentum="0"))
    assert [float(other[name].split("**")[1]) for name in ("SGD", "momentum", "Nesterov")] == [0.2, 0.2, 0.2]


def test_elsewhere_the_limit_is_that_of_the_nearest_minimum():
    rows = table(open_page(surface="saddle", start_y="0.1"))
    assert float(rows["SGD"].split("**")[1]) == pytest.approx(1.0)  # the well's curvatures are 1 and 2


def test_the_first_step_is_shown():
    text = "\n".join(element.value for element in open_page(condition="1", start_x="2", start_y="-1", lr="0.5").latex)
    assert r"\begin{pmatrix}2\\-1\end{pmatrix}-0.5\begin{pmatrix}2\\-1\end{pmatrix}" in text
    assert r"=\begin{pmatrix}1\\-0.5\end{pmatrix}" in text


def test_all_race_or_one_runs_alone():
    app = open_page()
    assert tuple(app.session_state["gradient_descent_race"].runs) == METHODS
    app.button(key="gradient_descent_step").click().run()
    app.selectbox(key="gradient_descent_method").set_value("adam").run()  # looked at, the race goes on
    assert app.session_state["gradient_descent_race"].steps == 1
    app.toggle(key="gradient_descent_together").set_value(False).run()
    assert not app.exception
    assert tuple(app.session_state["gradient_descent_race"].runs) == ("adam",)


@pytest.mark.parametrize(
    ("language", "tied", "ahead"), [("zh", "都一样", "领先：Nesterov"), ("en", "all equal", "best: Nesterov")]
)
def test_who_is_ahead_is_said_only_where_somebody_is(language, tied, ahead):
    app = open_page(language)
    assert [metric.delta for metric in app.metric[2:4]] == [tied, tied]
    for _ in range(7):
        app.button(key="gradient_descent_step").click().run()
    assert [metric.delta for metric in app.metric[2:4]] == [ahead, ahead]


def test_of_many_who_lead_together_the_number_is_told():
    app = open_page()
    app.session_state["gradient_descent_race"].advance(math.inf, 1500)  # three of five are at the bottom
    app.run()
    assert [metric.delta for metric in app.metric[2:4]] == ["best: 3 alike", "best: 3 alike"]


@pytest.mark.parametrize("surface", SURFACES)
def test_every_surface_shows_and_the_batch_belongs_to_the_real_one(surface):
    app = open_page("zh", surface=surface)
    app.button(key="gradient_descent_step").click().run()
    assert not app.exception
    keys = {slider.key for slider in app.slider}
    assert ("gradient_descent_batch_size" in keys) == (surface == "digits")
    assert ("gradient_descent_condition" in keys) == (surface == "bowl")


def test_a_click_on_the_map_starts_where_it_falls():
    config = GradientDescentConfig(start_x=1.4, start_y=-3.0)
    _, row, column = pictures.cell_of(config)
    assert pictures.place_of(row, column) == (1.4, -3.0)
    assert pictures.place_of(0, 0) == (-5.0, 5.0)
    figure = scene_of(raced(config, 1)).figures[0]
    item = next(item for item in figure.items if item.get("n") == "ground")
    ring = next(item for item in figure.items if item["t"] == "circle")
    cell = item["w"] / item["c"]
    assert item["pick"] and (ring["x"], ring["y"]) == pytest.approx(
        (item["x"] + (column + 0.5) * cell, item["y"] + (row + 0.5) * cell)
    )


def test_contour_lines_run_at_one_height():
    config = GradientDescentConfig(condition=4, angle=0)
    grid = pictures.surface_grid(config, 121)
    points = torch.tensor(numbers(pictures.contour(grid, 6.0, 100.0))).reshape(-1, 2).double()
    assert len(points) > 50
    places = torch.stack([points[:, 0] / 10 - 5, 5 - points[:, 1] / 10], 1)
    assert height(config, places) == pytest.approx(torch.full((len(places),), 6.0).double(), abs=0.3)


@pytest.mark.parametrize(("end", "place", "inside"), [((1.0, 2.0), (1.0, 2.0), True), ((20.0, -10.0), (5.0, -2.5), False), ((math.inf, 0.0), (3.0, 1.0), False)])  # fmt: skip
def test_a_sign_that_has_left_the_map_stands_on_its_border_in_that_direction(end, place, inside):
    points = pictures.on_map(torch.tensor([(3.0, 1.0), end], dtype=torch.float64), pictures.SIDE)
    wanted = pictures.on_map(torch.tensor([place], dtype=torch.float64), pictures.SIDE)[0].tolist()
    found, on_it = pictures.within_map(points)
    assert found == pytest.approx(tuple(wanted)) and on_it == inside


def test_a_run_that_diverged_leaves_the_others_to_be_seen_on_a_linear_axis():
    both = Race({name: each for name, each in race(PRESETS["too_fast"]).items() if name in ("nesterov", "momentum")})
    while not both.diverged:
        both.step()
    first = both.runs["momentum"].history[0].scores["train"]["Loss"]
    rows = charts.curve_rows(both, both.metrics[0], logarithmic=False).to_pydict()
    numbers_of = {i: [value for value in rows[f"train{i}"] if value is not None] for i in range(2)}
    lost = list(both.runs).index("nesterov")
    assert len(numbers_of[lost]) < len(numbers_of[1 - lost]) and max(numbers_of[lost]) <= 3 * first
    everything = charts.curve_rows(both, both.metrics[0]).to_pydict()[f"train{lost}"]
    assert max(value for value in everything if value is not None) > 1e6


@pytest.mark.parametrize("name", ["bowl", "too_fast", "trembling", "noisy", "digits"])
def test_paths_are_short_and_stay_on_the_map(name):
    found = raced(PRESETS[name], 130)
    items = scene_of(found).figures[0].items
    ways = [
        item["d"]
        for item in items
        if item["t"] == "path" and item["ink"] in pictures.COLOURS.values() and item["fill"] == "none"
    ]
    assert ways
    total = 0
    for d in ways:
        values = numbers(d)
        total += len(values)
        assert len(values) <= 6 * pictures.CORNERS
        assert all(pictures.LEFT - 0.1 <= x <= pictures.LEFT + pictures.SIDE + 0.1 for x in values[::2])
        assert all(pictures.TOP - 0.1 <= y <= pictures.TOP + pictures.SIDE + 0.1 for y in values[1::2])
    assert total + pictures.CELLS**2 < 5000


def test_a_path_ends_where_its_method_is():
    found = raced(PRESETS["bowl"], 7)
    run = found.runs["nesterov"]
    assert pictures.way(run.snapshot())[-1].tolist() == run.learner.state()["position"].tolist()
    assert len(pictures.way(run.snapshot())) == 8
    assert asked.arrival(run) == 7  # the measured fact
    assert (minima(run.config) - run.learner.state()["position"]).norm() < asked.NEAR


def test_lines_are_clipped_at_the_edge():
    assert pictures.inside([-10, 50], [50, 50], 100) == ((0, 50), (50, 50))
    assert pictures.inside([-10, -10], [-5, 300], 100) is None
    assert pictures.inside([0, 0], [math.nan, 1], 100) is None


def test_the_challenges_can_be_reached():
    class Lesson:
        def __init__(self, config, steps):
            self.race = raced(config, steps)

    reached = asked.off_the_ridge(Lesson(replace(PRESETS["ridge"], noise=0.1), 150))
    assert reached[0] and not asked.off_the_ridge(Lesson(PRESETS["ridge"], 150))[0]
    assert not asked.fast_in_the_valley(Lesson(PRESETS["narrow"], 60))[0]
    assert asked.fast_in_the_valley(Lesson(replace(PRESETS["narrow"], learning_rate=0.01), 60))[0]
    assert not asked.only_nesterov(Lesson(PRESETS["bowl"], 60))[0]
    assert asked.only_nesterov(Lesson(PRESETS["nesterov_too_fast"], 400))[0]


# ---- what the captions of the presets tell


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("bowl", {"nesterov": 7, "momentum": 36, "sgd": 59, "rmsprop": 264, "adam": 617}),
        ("round", {"sgd": 6, "momentum": 40}),
        ("narrow", {"sgd": 228, "momentum": 46, "nesterov": 44, "adam": None}),
        ("rosenbrock", {"momentum": 900, "nesterov": 939, "sgd": None, "rmsprop": None, "adam": None}),
        ("saddle", {"rmsprop": 20, "nesterov": 25, "sgd": 48, "adam": 60, "momentum": 62}),
        ("too_fast", {"momentum": 51}),
        ("nesterov_too_fast", {"sgd": 36}),
        ("trembling", {"rmsprop": 25}),
    ],
)
def test_the_arrivals_that_the_presets_tell(name, told):
    steps = 2000 if None in told.values() else max(told.values()) + 1
    for method, step in told.items():
        assert arrival(race(PRESETS[name])[method], steps) == (None if step is None else pytest.approx(step, abs=1))


def arrival(config: GradientDescentConfig, steps: int) -> int | None:
    """The first step within NEAR of a minimum: of every step, while a long path remembers some."""
    run = Run(config)
    while run.steps < steps:
        run.step()
        if (minima(config) - run.learner.state()["position"]).norm(dim=-1).min() < asked.NEAR:
            return run.steps
    return None


def test_where_himmelblau_leads():
    found = raced(PRESETS["himmelblau"], 700)
    ends = {method: run.learner.state()["position"].tolist() for method, run in found.runs.items()}
    assert ends.pop("momentum") == pytest.approx((3.58, -1.85), abs=0.01)
    assert all(end == pytest.approx((3, 2), abs=0.01) for end in ends.values())


def test_when_the_presets_diverge_and_how_far_they_stay_away():
    for name, method, step in (
        ("too_fast", "sgd", 70),
        ("too_fast", "nesterov", 8),
        ("nesterov_too_fast", "nesterov", 17),
    ):
        run = replay(race(PRESETS[name])[method], steps=200)
        assert run.diverged and run.steps == step
    trembling = race(PRESETS["trembling"])["rmsprop"]
    assert asked.farthest(replay(trembling, steps=128), 25) < asked.NEAR
    assert 4 < asked.farthest(replay(trembling, steps=400), 128) < 8, (
        "how far hangs on the processor's rounding: 4.3 or 5.1"
    )
    noisy = raced(PRESETS["noisy"], 300)
    for method, away in (("sgd", 1.6), ("momentum", 3.4), ("rmsprop", 0.05)):
        run = noisy.runs[method]
        assert (minima(run.config) - run.learner.state()["position"]).norm(dim=-1).min() == pytest.approx(
            away, abs=0.06
        )


def test_a_method_has_one_name_in_chinese():
    """随机梯度下降 is the method, 梯度下降 what all five of them do."""
    for path in ("pages/gradient_descent.py", "pages/ui/questions_gradient_descent.py"):
        text = (Path(__file__).parents[2] / path).read_text(encoding="utf-8")
        assert not re.search("(?<!随机)梯度下降", text)
        assert not re.search(r"[A-Za-z](已|没有)", text), "a space between Latin and Chinese"


def test_an_error_too_small_for_digits_is_told_by_its_bound():
    loss, norm = LOSS, LOSS._replace(better="neither")
    assert [charts.number(value, loss) for value in (1.37e-250, 0.0, 2e-12)] == ["< 1e-12", "0", "2e-12"]
    assert charts.number(1.37e-33, norm) == "1.37e-33", "how far a gradient has vanished is to be told"
