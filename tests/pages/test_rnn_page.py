"""The recurrent lesson through the entrypoint: its sum, its pictures, series of one's own, and the presets' numbers."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import partial

import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.data.sequences import TASKS, steps_of
from core.rnn import PRESETS, RNNConfig, look, race
from core.training import Race, Run, Snapshot
from pages.ui import pictures_rnn as pictures
from pages.ui import questions_rnn as asked
from pages.ui.jobs import Job
from tests.lessons import open_lesson, visitor

open_page = partial(open_lesson, "rnn")

VIEW = pictures.View(4, 2, 3, 1)
CSV = b"day,value\n" + b"\n".join(b"%d,%.3f" % (day, 5 + math.sin(0.6 * day)) for day in range(90))


def config_of(app: AppTest) -> RNNConfig:
    return app.session_state["rnn_race"].configs["rnn"]


def upload(app: AppTest, data: bytes) -> AppTest:
    app.file_uploader(key="rnn_upload").set_value(("mine.csv", data, "text/csv")).run()
    assert not app.exception
    return app


def items(scene) -> list[dict]:
    return [item for figure in scene.figures for item in figure.items]


def words(scene) -> str:
    return "\n".join(item["s"] for item in items(scene) if item["t"] == "text")


def scenes(config: RNNConfig, factor: float = 1.0) -> list:
    configs = race(config)
    snapshots = {
        name: Snapshot(0, {key: value * factor for key, value in Run(each).snapshot().state.items()})
        for name, each in configs.items()
    }
    made = [pictures.unrolled(configs, snapshots, VIEW), pictures.states(configs, snapshots, VIEW)]
    if config.task in pictures.FORECASTS:
        made.append(pictures.forecasts(configs, snapshots, 0, 1))
    return made


# ---- pictures


@pytest.mark.parametrize("factor", [1.0, 1e30, math.inf, math.nan])
@pytest.mark.parametrize("task", TASKS)
def test_pictures_can_be_drawn_of_every_task_and_of_weights_gone_wild(task, factor):
    series = tuple(math.sin(step) for step in range(60)) if task == "own" else ()
    for config in (
        RNNConfig(task=task, series=series, length=9, hidden=3, delay=2),
        RNNConfig(task=task, series=series, length=2, hidden=1, delay=0, activation="relu"),
    ):
        for scene in scenes(config, factor):
            assert scene.alt
            for item in items(scene):
                assert item["t"] != "path" or not ("nan" in item["d"] or "inf" in item["d"])
                assert all(math.isfinite(value) for value in item.values() if isinstance(value, float))


@pytest.mark.parametrize(
    "settings", [{}, {"length": 100, "hidden": 64, "delay": 40}, {"task": "copying", "length": 100}]
)
def test_nothing_lies_outside_of_its_figure(settings):
    for scene in scenes(RNNConfig(**settings)):
        for figure in scene.figures:
            for item in figure.items:
                if item["t"] in ("map", "rect"):
                    assert item["x"] >= 0 and item["x"] + item["w"] <= figure.width + 1
                    assert item["y"] >= 0 and item["y"] + item["h"] <= figure.height + 1
                elif item["t"] == "text":
                    assert 0 <= item["x"] <= figure.width and 0 <= item["y"] <= figure.height


def sum_of(text: list[str], name: str) -> tuple[list[float], str, float, float]:
    """Of the written sum of a state: the terms, whether they are said to be equal to z, z, and the state."""
    (total,) = [line.replace("−", "-") for line in text if line.startswith(f"{name} = tanh")]
    terms, sign, z, h = re.fullmatch(r".*? = tanh\((.*)\) ([=≈]) tanh\((.*)\) [=≈] (.*)", total).groups()
    return [float(term) for term in re.findall(r"-?[\d.]+", terms.replace("- ", "-"))], sign, float(z), float(h)


def test_the_marked_weight_is_the_same_at_every_step_and_the_sum_has_its_numbers():
    config = RNNConfig(hidden=5, seed=3)
    run = Run(config)
    for _ in range(30):
        run.step()
    snapshot = run.snapshot()
    view = pictures.View(9, 2, 4, 1)
    scene = pictures.unrolled({"rnn": config}, {"rnn": snapshot}, view)
    text = words(scene).splitlines()
    weight = snapshot.state["cell.weight_hh_l0"][1, 3].item()
    marked = [item["s"] for item in items(scene) if item["t"] == "text" and item["ink"] == pictures.MARK]
    assert marked.count(pictures.plain(weight)) == pictures.COLUMNS - 1
    seen = look(config, snapshot.state, 1)
    terms, _, z, h = sum_of(text, "h₂")
    assert sum(terms) == pytest.approx(seen.net_input[8, 1].item(), abs=0.02)
    assert z == pytest.approx(seen.net_input[8, 1].item(), abs=0.006)
    assert h == pytest.approx(math.tanh(seen.net_input[8, 1].item()), abs=0.006)
    (product,) = [line for line in text if line.startswith("u₂,₄")]
    assert product.endswith(pictures.plain(weight * seen.hidden[8, 3].item()))


def test_a_sum_of_rounded_terms_that_misses_its_result_is_about_equal():
    config = RNNConfig(seed=3)
    snapshot, signs = Run(config).snapshot(), []
    for step in range(2, 14):
        for unit in range(1, 5):
            text = words(
                pictures.unrolled({"rnn": config}, {"rnn": snapshot}, pictures.View(step, unit, 2))
            ).splitlines()
            terms, sign, z, _ = sum_of(text, f"h{pictures.low(unit)}")
            assert (sign == "=") == (abs(sum(terms) - z) < 0.005)
            signs.append(sign)
    assert set(signs) == {"=", "≈"}


@pytest.mark.parametrize("source", [1, 2, 4])
def test_the_marked_arrow_leads_from_the_state_that_its_weight_reads(source):
    config = RNNConfig(hidden=5, seed=3)
    snapshot = Run(config).snapshot()
    (figure,) = pictures.unrolled({"rnn": config}, {"rnn": snapshot}, pictures.View(9, 2, source)).figures
    seen = look(config, snapshot.state)
    (arrow,) = [
        each for each in figure.items if each["t"] == "line" and each["ink"] == pictures.MARK and each["width"] > 4
    ]

    def number_at(x: float, y: float) -> str:
        circle = min(
            (each for each in figure.items if each["t"] == "circle"),
            key=lambda each: math.hypot(each["x"] - x, each["y"] - y),
        )
        assert math.hypot(circle["x"] - x, circle["y"] - y) < circle["r"] + 6
        (text,) = [
            each["s"]
            for each in figure.items
            if each["t"] == "text" and (each["x"], each["y"]) == (circle["x"], circle["y"] + 5)
        ]
        return text

    assert number_at(arrow["x1"], arrow["y1"]) == pictures.plain(seen.hidden[8, source - 1].item())
    assert number_at(arrow["x2"], arrow["y2"]) == pictures.plain(seen.hidden[9, 1].item())


def test_what_is_out_of_the_windows_sight_is_said():
    config = RNNConfig(network="tdnn", delay=3)
    snapshot = Run(config).snapshot()
    for step, sentence in ((4, "step 1 is still in the window"), (5, "steps 1–1: out of sight"), (20, "steps 1–16: out of sight")):  # fmt: skip
        assert sentence in words(pictures.unrolled({"tdnn": config}, {"tdnn": snapshot}, pictures.View(step)))


def test_the_view_stays_within_the_network():
    small = RNNConfig(length=3, hidden=2)
    assert pictures.within(small, pictures.View(90, 60, 60, 1)) == pictures.View(3, 2, 2, 1)
    assert list(pictures.shown_steps(small, 2)) == [0, 1, 2]
    assert 49 in pictures.shown_steps(RNNConfig(length=50), 49) and len(pictures.shown_steps(RNNConfig(), 0)) == 6


# ---- the page


def test_steps_and_clicks_change_the_view_and_not_the_run():
    app = open_page()
    app.button(key="rnn_step").click().run()
    app.button(key="rnn_ahead").click().run()
    assert app.slider(key="rnn_at").value == 13 and app.session_state["rnn_race"].steps == 1
    app.slider(key="rnn_at").set_value(20).run()
    assert app.button(key="rnn_ahead").disabled and not app.button(key="rnn_back").disabled
    app.slider(key="rnn_length").set_value(5).run()
    assert not app.exception and app.slider(key="rnn_at").value == 5
    app.slider(key="rnn_hidden").set_value(1).run()
    assert not app.exception and config_of(app).hidden == 1


@pytest.mark.parametrize("task", [task for task in TASKS if task != "own"])
def test_every_task_has_its_page(task):
    app = open_page("zh", task=task, length="12")
    assert not app.error and not app.warning and config_of(app).task == task
    assert app.slider(key="rnn_at").max == steps_of(task, 12)
    headings = [heading.value for heading in app.header]
    assert ("在数据前面预测" in headings) == (task in pictures.FORECASTS)


def test_a_series_of_ones_own_is_trained_and_forecast():
    app = open_page(task="own")
    assert "no series of yours" in app.error[0].value and config_of(app).task == "recall"
    upload(app, CSV)
    assert not app.error and config_of(app).task == "own" and len(config_of(app).series) == 90
    assert any("90 values of “value”" in caption.value for caption in app.caption)
    app.button(key="rnn_step").click().run()
    assert not app.exception and app.session_state["rnn_race"].steps == 1
    app.selectbox(key="rnn_series_column").set_value("day").run()
    assert not app.exception and config_of(app).series[:3] == (0.0, 1.0, 2.0)
    app.slider(key="rnn_length").set_value(90).run()
    assert "at most 70" in app.error[0].value and not app.exception


def test_a_series_of_ones_own_outlives_a_preset():
    app = upload(open_page(task="own"), CSV)
    series, length = config_of(app).series, app.slider(key="rnn_length").value
    app.pills(key="rnn_preset").set_value("recall").run()
    assert config_of(app) == PRESETS["recall"] and app.pills(key="rnn_preset").value == "recall"
    app.selectbox(key="rnn_task").set_value("own").run()
    app.slider(key="rnn_length").set_value(length).run()
    assert config_of(app).series == series and not app.error and not app.exception
    assert any("Your own series: 90 values" in caption.value for caption in app.caption)


@pytest.mark.parametrize(("language", "words"), [("zh", "不是文本文件"), ("en", "This is no text")])
def test_a_file_of_another_type_is_explained_in_the_viewers_language(language, words):
    """By the page: what a browser refuses by its type it refuses in English."""
    app = open_page(language, task="own")
    uploader = app.file_uploader(key="rnn_upload")
    assert not uploader.proto.type
    uploader.upload("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "image/png").run()
    assert not app.exception and words in app.error[0].value


@pytest.mark.parametrize(
    ("data", "en"),
    [
        (b"", "nothing in the file"),
        (b"\x00\x00\x01", "no text"),
        (b"a,b\nx,y\nz,w\n", "No column holds numbers"),
        (b"a\n1\n2\n3\n", "at least 12"),
        (b"a\n" + b"7\n" * 40, "one and the same value"),
        (b"a\n" + b"1e200\n2\n" * 40, "too large"),
    ],
)
def test_a_file_that_cannot_be_used_is_explained(data, en):
    app = upload(open_page(task="own"), data)
    assert any(en in error.value for error in app.error)
    app.segmented_control(key="lang").set_value("zh").run() if "lang" in [
        c.key for c in app.segmented_control
    ] else None
    assert not app.exception


def test_columns_are_offered_while_the_file_is_there():
    app = upload(open_page(task="own"), CSV)
    assert app.selectbox(key="rnn_series_column").options == ["day", "value"]
    app.switch_page("pages/glossary.py").run().switch_page("pages/rnn.py").run()
    assert not app.exception and len(config_of(app).series) == 90
    assert "rnn_series_column" not in [box.key for box in app.selectbox]
    upload(app, CSV)
    assert app.selectbox(key="rnn_series_column").value == "value"


def test_a_column_that_cannot_be_used_leaves_the_others_to_choose():
    rows = b"\n".join(line + b",7" for line in CSV.splitlines()[1:])
    app = upload(open_page(task="own"), b"day,value,flag\n" + rows)
    app.selectbox(key="rnn_series_column").set_value("value").run()
    series = config_of(app).series
    app.selectbox(key="rnn_series_column").set_value("flag").run()
    assert "first half of “flag”" in app.error[0].value and config_of(app).series == series
    assert app.selectbox(key="rnn_series_column").value == "value"
    app.selectbox(key="rnn_series_column").set_value("day").run()
    assert not app.error and not app.exception and config_of(app).series[:2] == (0.0, 1.0)


def test_a_locked_series_takes_no_file():
    app = visitor("rnn", rnn_task="own", lock="series")
    assert app.run().file_uploader(key="rnn_upload").disabled and not app.exception
    assert not open_page(task="own").file_uploader(key="rnn_upload").disabled


# ---- the numbers that the presets tell


@pytest.mark.parametrize(
    ("name", "network", "told"),
    [
        ("recall", "rnn", {100: 1.0}),
        ("recall", "tdnn", {200: 0.28}),
        ("within_reach", "rnn", {100: 1.0}),
        ("within_reach", "tdnn", {100: 1.0}),
        ("long", "rnn", {100: 1.0}),
        ("sunspots", "rnn", {300: 0.36}),
        ("sunspots", "tdnn", {300: 0.39}),
        ("digits", "rnn", {1000: 0.975}),
        ("digits", "tdnn", {1000: 0.883}),
        ("sines", "rnn", {600: 0.013}),
        ("sines", "tdnn", {600: 0.018}),
        ("adding", "rnn", {600: 0.007}),
        ("adding", "tdnn", {600: 0.155}),
        ("adding_tanh", "rnn", {500: 0.18}),
        ("uniform", "rnn", {300: 0.27}),
        ("crowded", "rnn", {100: 0.52, 400: 0.25}),
        ("hasty", "rnn", {300: 0.25}),
        ("small", "rnn", {300: 0.24}),
    ],
)
def test_the_numbers_that_the_presets_tell(name, network, told):
    """To what their captions round to; another machine's rounding may move a chaotic run by a little."""
    run = Run(race(PRESETS[name])[network])
    metric = "Accuracy" if len(run.metrics) > 1 else "Loss"
    for steps, expected in told.items():
        while run.steps < steps:
            run.step()
        near = {"hasty": 0.06}.get(name, 0.03 if metric == "Accuracy" else 0.006)
        assert run.learner.evaluate()["test"][metric] == pytest.approx(expected, abs=near)


def test_challenges_tell_what_is_missing_and_can_be_reached():
    class Watched:
        def __init__(self, config):
            self.race = Race(race(config))

    window, far, lean = asked.challenges()
    fresh = Watched(RNNConfig(delay=19))
    assert not window.check(fresh)[0]
    while fresh.race.steps < 100:
        fresh.race.step()
    assert window.check(fresh)[0] and not far.check(fresh)[0] and not lean.check(fresh)[0]
    assert not window.check(Watched(RNNConfig(task="adding")))[0]
    small = Watched(RNNConfig(hidden=5, learning_rate=0.005))
    distant = Watched(replace(RNNConfig(), length=60, distractors=0.2))
    for watched, challenge in ((small, lean), (distant, far)):
        while watched.race.steps < 400:
            watched.race.step()
        assert challenge.check(watched)[0], challenge.check(watched)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("seed", range(4))
def test_the_start_that_counts_as_right_is_right_for_other_draws_too(seed):
    start = next(question for question in asked.questions() if question.name == "start")
    job = Job({name: replace(config, seed=seed) for name, config in start.runs.items()}, start.steps, budget=math.inf)
    while job.running:
        job.advance(1.0)
    assert start.measure(job.runs) == "orthogonal"
