"""The grid world lesson through the entrypoint: its maps, its numbers, and what its captions tell."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.gridworld import (
    CLIFF_WALK,
    GREEDY,
    MAPS,
    METHODS,
    PLANNING,
    PRESETS,
    RETURN,
    GridworldConfig,
    aims,
    grid_of,
    linked,
    race,
    read_map,
)
from core.training import Intervention, Run, Snapshot, replay
from pages.ui import pictures_gridworld as pictures
from pages.ui import questions_gridworld as asked
from pages.ui.pins import parameters_of
from tests.lessons import open_lesson, visitor

open_page = partial(open_lesson, "gridworld")

VIEWS = ("values", "actions", "policy", "visits")


def config_of(app: AppTest) -> GridworldConfig:
    return next(iter(app.session_state["gridworld_race"].configs.values()))


# The page


def test_a_link_carries_the_map():
    app = open_page(map="S__~_W_~__G5", discount="0.5")
    assert not app.warning
    assert (config_of(app).map, config_of(app).discount) == ("S__~_W_~__G5", 0.5)
    app.number_input(key="gridworld_columns").set_value(4).run()
    assert not app.exception
    assert config_of(app).map == "S___~_W__~__G5_"
    assert app.query_params["gridworld_map"] in ("S___~_W__~__G5_", ["S___~_W__~__G5_"])


def test_the_framed_cell_can_be_painted_without_a_mouse():
    app = open_page(map="S__~__G", cell="4")
    app.pills(key="gridworld_tool").set_value("hole").run()
    app.number_input(key="gridworld_reward").set_value(-3.0).run()
    app.button(key="gridworld_paint_here").click().run()
    assert not app.exception and config_of(app).map == "S__~_H-3G"
    app.pills(key="gridworld_tool").set_value("start").run()
    app.button(key="gridworld_paint_here").click().run()
    assert config_of(app).map == "___~_SG", "there is one start"


def test_a_teleport_can_be_made_without_a_mouse():
    app = open_page(map="S__~__G", cell="1")
    app.pills(key="gridworld_tool").set_value("teleport").run()
    app.button(key="gridworld_paint_here").click().run()
    app.pills(key="gridworld_tool").set_value("look").run()
    app.session_state["settings"]["gridworld_cell"] = 3  # as the arrow keys do
    app.pills(key="gridworld_tool").set_value("teleport").run()
    assert any("Now click where it leads." in each.value for each in app.caption)
    app.button(key="gridworld_paint_here").click().run()
    assert not app.exception and config_of(app).map == linked("S__~__G", 1, 3)


def test_a_world_of_ones_own_comes_back_after_a_preset():
    app = open_page(map="S__~__G", slip="0.5", cell="4")
    assert app.button(key="gridworld_undo").disabled
    app.pills(key="gridworld_tool").set_value("wall").run()
    app.button(key="gridworld_paint_here").click().run()
    app.pills(key="gridworld_preset").set_value("cliff").run()
    app.pills(key="gridworld_preset").set_value("safe").run()  # another method in the same world
    assert config_of(app) == PRESETS["safe"]
    app.button(key="gridworld_undo").click().run()
    assert not app.exception
    assert (config_of(app).map, config_of(app).slip, config_of(app).step_reward) == ("S__~_WG", 0.5, 0.0)
    assert app.slider(key="gridworld_slip").value == 0.5 and config_of(app).method == "sarsa"
    app.button(key="gridworld_undo").click().run()
    assert config_of(app).map == "S__~__G" and app.button(key="gridworld_undo").disabled


def test_a_teleport_is_begun_anew_on_another_map():
    app = open_page()
    app.pills(key="gridworld_tool").set_value("teleport").run()
    app.session_state["gridworld_teleport"] = config_of(app).map, 100
    assert any("where it leads." in each.value and "Now" in each.value for each in app.run().caption)
    app.pills(key="gridworld_preset").set_value("textbook").run()  # it has 25 cells
    assert not app.exception
    assert any("Click where it begins" in each.value for each in app.caption)


def test_a_teacher_may_lock_the_map():
    app = open_page(map="S__~__G")
    app.query_params["lock"] = "map"
    app.run()
    assert app.number_input(key="gridworld_rows").disabled and app.pills(key="gridworld_tool").disabled
    app.query_params["hide"] = "map"
    app.run()
    assert not [widget for widget in app.number_input if widget.key == "gridworld_rows"]
    assert config_of(app).map == "S__~__G"


@pytest.mark.parametrize("text", ["S?~__", "SG", "WW~WW", "S_~_"])
def test_a_bad_map_leaves_a_note_and_the_default(text):
    app = open_page(noted=True, map=text)
    assert "gridworld_map" in app.warning[0].value
    assert config_of(app) == GridworldConfig()


def test_the_note_on_a_bad_map_is_in_one_language():
    app = open_page("zh", noted=True, map="SG")
    assert not re.search("[a-z]{2}", app.warning[0].value.replace("gridworld_map", ""))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_without_an_end_a_discount_of_one_is_explained(language):
    app = open_page(language, map="S__~___", discount="0.9")
    app.slider(key="gridworld_discount").set_value(1.0).run()
    assert not app.exception
    assert "γ = 1" in app.error[0].value
    assert config_of(app).discount == 0.9, "the last settings that worked stay"
    app.slider(key="gridworld_discount").set_value(0.8).run()
    assert not app.error and config_of(app).discount == 0.8


def test_exploration_can_be_moved_while_it_trains_and_a_link_repeats_it():
    app = open_page()
    for _ in range(3):
        app.button(key="gridworld_step").click().run()
    app.slider(key="gridworld_epsilon").set_value(0.5).run()
    run = app.session_state["gridworld_race"].leader
    assert (run.steps, run.learner.epsilon, run.config.epsilon) == (3, 0.5, 0.1)
    assert run.interventions == [(3, "epsilon", 0.5)]
    app.select_slider(key="gridworld_lr").set_value(0.2).run()
    app.button(key="gridworld_step").click().run()
    did = app.query_params["gridworld_did"]
    again = open_page(did=did if isinstance(did, str) else did[0])
    assert not again.warning
    for _ in range(4):
        again.button(key="gridworld_step").click().run()
    repeated = again.session_state["gridworld_race"].leader
    assert repeated.interventions == run.interventions
    assert repeated.learner.table == run.learner.table
    assert again.slider(key="gridworld_epsilon").value == 0.5


def test_a_change_that_is_planned_moves_a_slider_above_the_panel():
    app = open_page(did="0~epsilon~0.5~2~epsilon~0.25")
    assert not app.warning and app.slider(key="gridworld_epsilon").value == 0.5
    for _ in range(2):
        app.button(key="gridworld_step").click().run()
    assert not app.exception
    assert app.slider(key="gridworld_epsilon").value == 0.25
    assert app.session_state["gridworld_race"].leader.learner.epsilon == 0.25


def test_a_network_begins_with_a_rate_of_its_own():
    app = open_page()
    app.selectbox(key="gridworld_method").set_value("dqn").run()
    assert config_of(app).learning_rate == 0.002
    app.selectbox(key="gridworld_method").set_value("sarsa").run()
    assert config_of(app).learning_rate == 0.5
    linked = open_page(method="dqn", lr="0.05")
    assert config_of(linked).learning_rate == 0.05


@pytest.mark.parametrize("name", ["network", "hasty", "lake8", "network", "sweeps"])
def test_a_preset_is_what_it_says_whatever_was_before(name):
    app = open_page(method="dqn")
    app.pills(key="gridworld_preset").set_value(name).run()
    assert not app.exception and config_of(app) == PRESETS[name]
    app.pills(key="gridworld_preset").set_value("network").run()
    assert config_of(app) == PRESETS["network"]


def test_sarsa_and_q_learning_run_side_by_side():
    app = open_page(together="1")
    app.button(key="gridworld_step").click().run()
    assert not app.exception
    assert set(app.session_state["gridworld_race"].runs) == {"q_learning", "sarsa"}
    app.selectbox(key="gridworld_method").set_value("monte_carlo").run()
    assert not app.exception and set(app.session_state["gridworld_race"].runs) == {"monte_carlo"}


def test_looking_back_through_an_episode():
    app = open_page()
    assert app.button(key="gridworld_later").disabled
    app.button(key="gridworld_step").click().run()
    for _ in range(3):
        app.button(key="gridworld_earlier").click().run()
    assert app.session_state["gridworld_back"] == 3
    app.button(key="gridworld_later").click().run()
    assert app.session_state["gridworld_back"] == 2
    app.button(key="gridworld_step").click().run()
    assert app.session_state["gridworld_back"] == 0, "another episode begins at its end"


def test_walking_oneself():
    app = open_page(map="S_~_G", discount="0.9")
    app.session_state["gridworld_play_yourself"] = True
    app.run()
    app.button(key="gridworld_go1").click().run()
    app.button(key="gridworld_go1").click().run()  # against the edge
    assert app.session_state["gridworld_game"]["way"] == [0, 1, 1]
    app.button(key="gridworld_go2").click().run()
    assert not app.exception
    assert app.session_state["gridworld_game"]["over"]
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Your return"] == "1"
    assert app.button(key="gridworld_go0").disabled
    app.button(key="gridworld_again").click().run()
    assert app.session_state["gridworld_game"]["way"] == [0]


def test_the_contrast_of_many_runs_is_drawn():
    app = open_page(map=MAPS["cliff"], step_reward="-1", cap="200")
    app.session_state["gridworld_contrast"] = True
    app.run()
    app.button(key="gridworld_measure").click().run()
    assert not app.exception
    (found,) = app.session_state["gridworld_contrasts"].values()
    assert "gridworld_measure" not in {button.key for button in app.button}
    assert found["sarsa"].mean[-1] > found["q_learning"].mean[-1] + 5
    assert pictures.contrast_chart(found).to_dict()["layer"]


# What captions tell


@cache
def trained(name: str, steps: int, **changes) -> Run:
    run = replay(replace(PRESETS[name], **changes), (), steps)
    run.evaluate()
    return run


def score(run: Run, metric) -> float:
    return run.history[-1].scores["train"][metric.name]


@pytest.mark.parametrize(
    ("name", "steps", "metric", "low", "high"),
    [
        ("maze", 60, GREEDY, 0.65, 0.75),
        ("maze", 100, GREEDY, 0.999, 1.001),
        ("cliff", 500, GREEDY, -13, -13),
        ("cliff", 500, RETURN, -53.5, -52.5),
        ("safe", 1000, GREEDY, -17.001, -16.999),
        ("safe", 1000, RETURN, -21.5, -20.5),
        ("lake4", 1000, GREEDY, 0.525, 0.535),
        ("lake8", 1000, RETURN, 0.0, 0.05),
        ("lake8", 4000, GREEDY, 0.845, 0.855),
        ("network", 150, GREEDY, 0.999, 1.001),
        ("settled", 300, GREEDY, 1, 1),
        ("short", 2000, GREEDY, 0, 0),
        ("blind", 50, GREEDY, 0.215, 0.225),
        ("hasty", 1500, GREEDY, 0.0, 0.15),
        ("coin", 2000, GREEDY, 49.9, 50.1),
    ],
)
def test_the_scores_that_captions_tell(name, steps, metric, low, high):
    assert low <= score(trained(name, steps), metric) <= high


def test_the_other_settings_that_captions_tell():
    assert score(trained("settled", 300, epsilon=0.9), GREEDY) == 10
    assert score(trained("lake4", 1000, discount=0.99), GREEDY) == pytest.approx(0.74, abs=0.005)
    assert score(trained("hasty", 1500, learning_rate=0.1), GREEDY) == pytest.approx(0.73, abs=0.005)
    assert aims(PRESETS["lake4"])[0] == pytest.approx(0.8235, abs=1e-4)
    assert not torch.tensor(trained("short", 2000).learner.table).any()
    assert len(trained("maze", 500).learner.moves) >= 20 == asked.shortest(grid_of(PRESETS["maze"]))
    sweeps = Run(PRESETS["sweeps"])
    while sweeps.steps < 45:
        sweeps.step()
        assert (sweeps.learner.values[0] > 0) == (sweeps.steps >= 20)
        assert (sweeps.learner.change == 0) == (sweeps.steps > 25)


# Pictures


def texts(scene) -> list[str]:
    return [item["s"] for figure in scene.figures for item in figure.items if item["t"] == "text"]


@pytest.mark.parametrize("name", PRESETS)
def test_pictures_can_be_drawn_of_every_preset_and_of_values_gone_wild(name):
    config = PRESETS[name]
    start = Run(config).snapshot()
    run = replay(config, (), 2)
    for snapshot in (start, run.snapshot()):
        for factor in (1.0, 1e30, math.inf, math.nan):
            wild = {
                k: v * factor if k in ("values", "before", "action_values") else v for k, v in snapshot.state.items()
            }
            shown = Snapshot(snapshot.step, wild)
            scenes = [pictures.world(config, shown, view, 0, True, 1) for view in VIEWS]
            scenes.append(pictures.update(config, shown, 0, 0, 0.5))
            for item in (item for scene in scenes for figure in scene.figures for item in figure.items):
                assert item["t"] != "path" or not ("nan" in item["d"] or "inf" in item["d"])
                assert all(math.isfinite(value) for value in item.values() if isinstance(value, float))
            assert all(scene.alt for scene in scenes)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_its_formula_and_its_sum(method):
    config = replace(PRESETS["lake4"], method=method, learning_rate=0.25, discount=0.9)
    assert "0.9" in pictures.formula(config, 0.25)
    assert ("0.25" in pictures.formula(config, 0.25)) == (method not in PLANNING and method != "dqn")
    run = replay(config, (), 3)
    assert texts(pictures.update(config, run.snapshot(), 0, 0, 0.25))


def test_the_temporal_difference_error_is_written_with_its_numbers():
    config = replace(CLIFF_WALK, discount=0.5)
    run = replay(config, (), 3)
    moves = run.learner.moves
    state, action, reward, following, before, target = moves[-3]
    framed, *lines = texts(pictures.update(config, run.snapshot(), 12, 2, 0.5))
    assert "(2, 1)" in framed and all(pictures.short(value) in framed for value in run.learner.table[12])
    assert f"Step {len(moves) - 2} of {len(moves)}:" in lines[0]
    layout = read_map(config.map)
    assert f"({state // 12 + 1}, {state % 12 + 1})" in lines[0] and pictures.SYMBOLS[action] in lines[0]
    assert f"({following // layout.columns + 1}, {following % layout.columns + 1})" in lines[0]
    worth, error = (target - reward) / 0.5, target - before
    bracketed, short = pictures.bracketed, pictures.short
    assert f"{short(reward)} + 0.5 · {bracketed(worth)} − {bracketed(before)} = {short(error)}" in lines[2]
    assert f"{short(before)} + 0.5 · {bracketed(error)} = {short(before + 0.5 * error)}" in lines[3]


@pytest.mark.parametrize("name", ["textbook", "lake4"])
def test_the_four_values_of_a_cell_are_those_that_its_value_was_made_of(name):
    config = PRESETS[name]
    run = replay(config, (), 5)
    for cell in (0, 4):
        told = [
            float(text[2:].replace("−", "-"))
            for text in texts(pictures.update(config, run.snapshot(), cell, 0, 0.5))
            if text[:2] == "= "
        ]
        figure = pictures.world(config, run.snapshot(), "actions", cell, False, 0).figures[0]
        x, y = pictures.Board(config.map).corner(cell)
        side = pictures.Board(config.map).side
        shown = [i["s"] for i in figure.items if i["t"] == "text" and x < i["x"] < x + side and y < i["y"] < y + side]
        assert len(told) == 4 and shown[-4:] == [pictures.brief(value, True) for value in told], "up, right, down, left"


@pytest.mark.parametrize("name", ["textbook", "lake4", "sweeps"])
def test_a_backup_is_written_with_its_numbers(name):
    config = PRESETS[name]
    run = replay(config, (), 7)
    for cell in (0, 1, 4):
        lines = texts(pictures.update(config, run.snapshot(), cell, 0, 0.5))
        assert lines[-1].endswith(f"= {pictures.short(run.learner.values[cell].item())}")


def test_arrows_point_to_the_best_and_nowhere_if_all_are_equal():
    assert pictures.best_of([1.0, 2.0, 2.0, 0.0]) == [1, 2]
    assert pictures.best_of([3.0] * 4) == []
    board = pictures.Board("S_~_G")
    q = torch.tensor([[0.0, 1.0, 0.0, 0.0]] + [[0.0] * 4] * 3)
    assert pictures.pointers(board, q, (0, 1, 2)).count("M") == 1
    tip = pictures.pointers(board, q, (0,))[1:].split("L")[0].split()
    assert float(tip[0]) > board.centre(0)[0] and float(tip[1]) == pytest.approx(board.centre(0)[1], abs=0.1)


def test_numbers_are_short():
    assert [pictures.short(value) for value in (0.0, -0.001, 0.377, -12.34, -14.02, 100.0, -1091, 3.0, math.nan, math.inf)] == [
        "0", "0", "0.38", "−12.3", "−14", "100", "−1091", "3", "NaN", "∞",
    ]  # fmt: skip
    assert [pictures.brief(value) for value in (-9.38, 0.5, 3.31, -2.0)] == ["−9.4", "0.50", "3.3", "−2"]
    tight = [pictures.brief(value, True) for value in (-0.88, 0.88, -12.34, 9.999, 100.0, -3.31, -0.001, math.nan)]
    assert tight == ["−.88", "0.88", "−12", "10", "100", "−3.3", "0", "NaN"]
    assert [pictures.many(count) for count in (7, 999, 1234, 56_789, 2_500_000)] == ["7", "999", "1.2k", "57k", "2.5M"]


def test_words_on_a_world_can_be_read_on_a_phone():
    """Its picture is 342 pixels wide there; with letters below 11 it would have to be scrolled."""
    for text in (MAPS["cliff"], MAPS["maze"], MAPS["textbook"], MAPS["lake8"], "~".join(["S" + "_" * 11] * 12)):
        config = GridworldConfig(map=text, cap=60, bump=-1.0)
        snapshot = replay(config, (), 3).snapshot()
        for view in VIEWS:
            figure = pictures.world(config, snapshot, view, 0, True, 0).figures[0]
            sizes = [item["size"] * min(1.0, 342 / figure.width) for item in figure.items if item["t"] == "text"]
            assert not sizes or min(sizes) >= 11, (text, view)
        for figure in pictures.update(config, snapshot, 0, 0, 0.5).figures:
            assert min(item["size"] for item in figure.items if item["t"] == "text") * 342 / figure.width >= 11


def test_an_agent_walks_to_the_end_before_the_next_one_does():
    config = GridworldConfig(map=MAPS["empty"])
    snapshot = replay(config, (), 3).snapshot()
    still, live = (pictures.world(config, snapshot, "values", 0, True, 0, playing).figures[0].items for playing in (False, True))  # fmt: skip
    held = [item for item in live if item.get("hold")]
    assert [item["t"] for item in held] == ["path", "circle"] and len(held[1]["way"]) > 1
    assert not any(item.get("hold") for item in still)


def test_the_learning_rate_of_an_earlier_step():
    run = Run(CLIFF_WALK)
    for rate in (0.3, 0.1):
        run.step()
        run.intervene("learning_rate", rate)
    run.step()
    assert [pictures.rate_at(run, step) for step in (0, 1, 2, 3, None)] == [0.5, 0.5, 0.3, 0.1, 0.1]


# Challenges


class Shown:
    """What a challenge sees of the panel."""

    def __init__(self, run: Run, method: str):
        self.race = type("Race", (), {"runs": {method: run}, "leader": run})
        self.controls = type("Controls", (), {"value": staticmethod(lambda name: method)})


def reached(check, config: GridworldConfig, steps: int, interventions=()) -> bool:
    run = replay(config, interventions, steps)
    run.evaluate()
    done, words = check(Shown(run, config.method))
    assert words
    return done


def test_the_challenges_can_be_reached_and_are_not_given_away():
    assert not reached(asked.fades, CLIFF_WALK, 500)
    assert not reached(asked.fades, replace(CLIFF_WALK, method="sarsa", epsilon=0.0), 600)
    assert reached(asked.fades, CLIFF_WALK, 600, (Intervention(500, "epsilon", 0.0),))
    assert not reached(asked.wins, PRESETS["lake8"], 1000)
    assert not reached(asked.wins, replace(PRESETS["lake8"], method="value_iteration", discount=0.99), 500)
    assert reached(asked.wins, PRESETS["lake8"], 4000)
    assert not reached(asked.far, PRESETS["maze"], 300)
    snake = "S_____~WWWWW_~______~_WWWWW~______~WWWWW_~______~_WWWWW~_____G"
    assert reached(asked.far, replace(PRESETS["maze"], map=snake, epsilon=0.05), 300)


def test_race_is_of_the_two_that_differ_on_the_cliff():
    assert list(race(CLIFF_WALK)) == ["q_learning", "sarsa"]


def test_a_locked_view_that_a_method_does_not_have_gives_way():
    link = {"lang": "en", "lock": "view", "gridworld_method": "value_iteration", "gridworld_view": "visits"}
    app = visitor("gridworld", **link)
    assert not app.run().exception


@pytest.mark.parametrize(("method", "count"), [("q_learning", 4), ("value_iteration", 1)])
def test_the_parameters_of_a_table_do_not_change_while_it_is_filled(method, count):
    config = replace(PRESETS["maze"], method=method)
    run = Run(config)
    wanted = run.learner.grid.states * count
    assert parameters_of(run) == wanted
    for _ in range(3):
        run.step()
    assert parameters_of(run) == wanted


def test_the_number_of_episodes_is_a_slider():
    app = open_page("en", limit="200")
    slider = app.select_slider(key="gridworld_limit")
    assert (slider.label, slider.value) == ("Episodes, at most", 200)
    assert "gridworld_limit" not in [field.key for field in app.number_input], "and no field besides"
    assert open_page("en", method="value_iteration").select_slider(key="gridworld_limit").label == "Sweeps, at most"


def test_an_empty_picture_says_when_its_curve_begins():
    run = Run(GridworldConfig())
    texts = [item["s"] for item in pictures.returns(run.snapshot()).items if item["t"] == "text"]
    assert "The curve begins with the first episode." in texts
    run.step()
    assert "The curve begins with the first episode." not in [
        item["s"] for item in pictures.returns(run.snapshot()).items if item["t"] == "text"
    ]
