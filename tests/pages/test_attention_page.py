"""The attention lesson through the entrypoint, its pictures, and the numbers that it tells."""

from __future__ import annotations

import base64
import json
import math
import re
from functools import partial

import pytest
import torch

from core.attention import (
    CHOICES,
    MEMORIES,
    PRESETS,
    SCORINGS,
    AttentionConfig,
    dot_product_spread,
    parameters_of,
    race,
    table_memory,
)
from core.training import Race, Run, Snapshot, replay
from pages.ui import pictures_attention as pictures
from pages.ui import questions_attention as asked
from pages.ui.scene import payload
from pages.ui.text import speak
from tests.lessons import open_lesson

open_page = partial(open_lesson, "attention")

QUERY = (0.4, 1.1)


def serial(scene) -> bool:
    return bool(json.dumps(payload(scene), allow_nan=False))


def start(config: AttentionConfig) -> Snapshot:
    return Snapshot(0, parameters_of(config, torch.Generator().manual_seed(0)))


def maps(figure) -> dict[str, torch.Tensor]:
    return {
        item["n"]: torch.frombuffer(bytearray(base64.b64decode(item["d"])), dtype=torch.float32).reshape(item["r"], -1)
        for item in figure.items
        if item["t"] == "map"
    }


def rows(table: str) -> dict[str, list[str]]:
    return {
        line.split("|")[1].strip().strip("*"): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in table.splitlines()[2:]
    }


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("kind", SCORINGS)
def test_the_table_adds_up(kind, choice, memory):
    config = AttentionConfig(scoring=kind, choice=choice, memory=memory, temperature=0.5)
    scene = pictures.lookup(config, start(config), QUERY, seed=3)
    columns = maps(scene.figures[1])
    keys, scores, scaled, weights, values, products = (columns[f"column{number}"] for number in range(6))
    memory_shown, _ = table_memory("sunspots")
    assert torch.equal(keys, memory_shown.keys)
    torch.testing.assert_close(scores / 0.5 / (math.sqrt(2) if kind == "scaled_dot" else 1), scaled)
    assert weights.sum().item() == pytest.approx(1)
    if choice == "soft":
        torch.testing.assert_close(weights, scaled.softmax(0))
    else:
        assert weights.max() == 1
    torch.testing.assert_close(products, weights * values)
    torch.testing.assert_close(columns["output"][0], products.sum(0))
    assert serial(scene)
    for figure in scene.figures:
        assert all(0 <= item["x"] <= figure.width for item in figure.items if "x" in item)


def test_the_formula_has_the_numbers_of_the_table():
    config = AttentionConfig(temperature=2.0)
    steps = pictures.steps_of(config, start(config), QUERY, 0)
    text = pictures.formula(config, steps)
    assert rf"\mathbf{{{steps.output[-1]:.2f}}}" in text and r"\,/\,2" in text
    app = open_page(before="0.4", now="1.1", temperature="2")
    assert text in app.latex[0].value
    app.button(key="attention_step").click().run()
    assert text in app.latex[0].value  # before training, until what is learned is asked for
    app.toggle(key="attention_learned").set_value(True).run()
    assert not app.exception and text not in app.latex[0].value


def test_the_query_slides_without_a_fresh_run_and_the_score_starts_one():
    app = open_page()
    app.button(key="attention_step").click().run()
    app.slider(key="attention_now").set_value(-1.0).run()
    app.select_slider(key="attention_dimension").set_value(256).run()
    app.select_slider(key="attention_bandwidth").set_value(5.0).run()
    assert not app.exception and app.session_state["attention_race"].steps == 1
    app.selectbox(key="attention_scoring").set_value("dot").run()
    assert not app.exception and app.session_state["attention_race"].steps == 0


@pytest.mark.parametrize("language", ["zh", "en"])
def test_all_scoring_functions_race(language):
    app = open_page(language, all="1", scoring="bilinear")
    app.button(key="attention_step").click().run()
    assert not app.exception
    assert app.session_state["attention_race"].configs == race(AttentionConfig(scoring="bilinear"))


@pytest.mark.parametrize("choice", CHOICES)
def test_which_has_a_gradient_is_measured(choice):
    config = AttentionConfig(choice=choice)
    table = asked.gradient_table(config, start(config), QUERY, 0)
    found = rows(table)
    assert len(found) == 6 and table.count("**") == 2
    for name, (_, exact, difference, estimate) in found.items():
        soft = name.startswith(("Soft", "软"))
        assert (exact in ("none", "没有")) != soft
        assert (difference == "(0.00, 0.00)") != soft
        assert (estimate == "–") != ("drawn" in name or "抽" in name)
    soft_slope = [float(each.replace("−", "-")) for each in re.findall(r"[−\d.]+", found["Soft: mean, K ≠ V"][1])]
    estimated = [float(each.replace("−", "-")) for each in re.findall(r"[−\d.]+", found["Hard: drawn, K ≠ V"][3])]
    assert all(abs(a - b) < 4 * estimated[2] + 0.02 for a, b in zip(soft_slope, estimated[:2], strict=True))


@pytest.mark.parametrize("dimension", [2, 64, 512])
def test_the_bars_and_the_marks_are_measured(dimension):
    scene = pictures.spreads(dimension)
    heights = [item["h"] for item in scene.figures[0].items if item["t"] == "rect"]
    raw, scaled = dot_product_spread(dimension), dot_product_spread(dimension, "scaled_dot")
    assert heights[0] == pytest.approx(92 * raw.weights[0].item()) and len(heights) == 64
    assert heights[32] == pytest.approx(92 * scaled.weights[0].item())
    assert f"{raw.largest:.2f}" in scene.alt and serial(scene)


@pytest.mark.parametrize("noise", [0.0, 1.2])
def test_the_smooth_curve_is_drawn_within_its_frame(noise):
    for bandwidth in (0.25, 2.0, 40.0):
        scene = pictures.smoothing(AttentionConfig(), bandwidth, noise)
        assert serial(scene)
        for figure in scene.figures:
            for item in figure.items:
                if item["t"] == "path":
                    assert "nan" not in item["d"]
                    places = [float(text) for text in re.findall(r"[ML](-?[\d.]+)", item["d"])]
                    assert all(0 <= place <= figure.width for place in places)


@pytest.mark.parametrize("choice", CHOICES)
def test_the_forecast_looks_back_only(choice):
    config = AttentionConfig(choice=choice)
    scene = pictures.looking_back(config, start(config), 10)
    assert "1956" in scene.alt and "142" in scene.alt  # the measured number of that year
    assert serial(scene)
    series = tuple(float(math.sin(i) * 10 + i % 3) for i in range(60))
    own = AttentionConfig(task="own", series=series)
    assert "#" in pictures.looking_back(own, start(own), 400).alt
    assert pictures.lookup(own, start(own), QUERY).alt and pictures.smoothing(own, 2.0, 5.0).alt


RISING = "~".join(f"{0.001 * (i + math.sin(i)):.5f}" for i in range(60))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_nothing_is_told_of_the_sunspots_where_another_series_is_looked_at(language):
    for task, told in (("sunspots", True), ("own", False)):
        app = open_page(language, task=task, series=RISING)
        words = " ".join(caption.value for caption in app.caption)
        assert ("1957" in words) == ("11" in words) == told
        labels = " ".join(slider.label for slider in app.slider)
        assert bool(re.search("去年|year", labels)) == told
        config = next(iter(app.session_state["attention_race"].configs.values()))
        scenes = pictures.lookup(config, start(config), QUERY), pictures.looking_back(config, start(config), 3)
        drawn = [item["s"] for scene in scenes for figure in scene.figures for item in figure.items if item["t"] == "text"]  # fmt: skip
        assert bool(re.search("年|year", " ".join(drawn) + scenes[1].alt)) == told


def test_the_numbers_of_a_small_series_have_digits():
    own = AttentionConfig(task="own", series=tuple(float(value) for value in RISING.split("~")))
    title = pictures.looking_back(own, start(own), 3).alt
    assert len(set(re.findall(r"0\.0[1-9]\d", title))) == 2, title
    assert pictures.measured(AttentionConfig(), 1234.5) == "1234"


def test_a_series_that_ends_with_one_value_again_and_again_is_drawn():
    own = AttentionConfig(task="own", series=(*(float(value % 3) for value in range(100)), *[1.0] * 450))
    for noise in (0.0, 1.0):
        assert serial(pictures.smoothing(own, 2.0, noise))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_own_series_is_asked_for(language):
    app = open_page(language, task="own")
    assert app.error and not app.exception


MEASURED = {  # preset → step and training loss, as its caption tells
    "distance": (600, 0.166), "additive": (600, 0.154), "bilinear": (600, 0.224), "sampled": (600, 0.30),
    "learned_around": (600, 0.204), "plain": (600, 0.357), "dot": (600, 0.397), "hard": (600, 0.279), "hot": (300, 0.389),
}  # fmt: skip


@pytest.mark.parametrize("name", MEASURED)
def test_the_presets_tell_what_is_measured(name):
    assert MEASURED.keys() == PRESETS.keys()
    step, wanted = MEASURED[name]
    assert replay(PRESETS[name], steps=step).learner.evaluate()["train"]["Loss"] == pytest.approx(wanted, abs=0.02)


def test_challenges_are_checked_by_measurement():
    class Lesson:
        def __init__(self, config, steps):
            self.race = Race({"attention": config})
            while self.race.steps < steps:
                self.race.step()
            for run in self.race.runs.values():
                run.evaluate()

    fresh = Lesson(AttentionConfig(), 0)
    assert [challenge.check(fresh)[0] for challenge in asked.challenges()] == [False] * 3
    assert asked.around(Lesson(PRESETS["learned_around"], 600))[0]
    assert not asked.around(Lesson(PRESETS["plain"], 300))[0]
    assert asked.low_enough(Lesson(PRESETS["learned_around"], 600))[0]
    assert asked.by_drawing(Lesson(PRESETS["sampled"], 600))[0]


def test_nothing_moves_where_there_is_no_gradient():
    run = Run(PRESETS["hard"])
    run.step()
    assert asked.moved(run) == 0


def test_a_choice_of_long_words_is_a_list_and_keeps_its_value_in_another_language():
    app = open_page("en")
    assert [group.key for group in app.segmented_control if group.key == "attention_task"], "short words"
    app.selectbox(key="attention_memory").set_value("plain").run()
    app.segmented_control(key="lang").set_value("zh").run()
    assert app.segmented_control(key="attention_memory").value == "plain", "shorter in Chinese"
    app.segmented_control(key="attention_memory").set_value("key_value").run()
    app.segmented_control(key="lang").set_value("en").run()
    assert app.selectbox(key="attention_memory").value == "key_value" and not app.exception


@pytest.mark.parametrize("dimension", [8, 64])
def test_what_is_said_of_undivided_dot_products_is_what_the_chart_shows(dimension):
    app, found = open_page(dimension=dimension), dot_product_spread(dimension)
    (said,) = [each.value for each in app.markdown if "Undivided" in each.value or "undivided" in each.value]
    assert f"it is {found.entropy:.2f} in the mean at $d={dimension}$, the largest weight {found.largest:.2f}" in said
    assert math.isclose(float(said.split(r"\approx ")[1].split("$")[0]), 2 * math.log(32), abs_tol=0.05)


def test_chinese_labels_have_full_width_colons():
    speak("zh")
    figure = pictures.spreads(64).figures[0]
    speak("en")
    assert not any(": " in item["s"] for item in figure.items if item["t"] == "text")
    assert any("点积：" in item["s"] for item in figure.items if item["t"] == "text")
