"""The policy-gradient lesson through the entrypoint: its controls, its pictures, and what its captions tell."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.policy_gradient import (
    CART_GREEDY,
    CART_RETURN,
    DQN,
    POLICY_METHODS,
    PRESETS,
    RECENT,
    SOLVED,
    PolicyGradientConfig,
    race,
)
from core.training import Run, Snapshot, replay
from pages.ui import pictures_policy_gradient as pictures
from pages.ui import questions_policy_gradient as asked
from pages.ui.pins import parameters_of
from tests.lessons import open_lesson

open_page = partial(open_lesson, "policy_gradient")


def config_of(app: AppTest) -> PolicyGradientConfig:
    return next(iter(app.session_state["policy_gradient_race"].configs.values()))


# The page


@pytest.mark.parametrize("method", POLICY_METHODS)
def test_each_method_has_its_controls_and_trains(method):
    app = open_page(method=method)
    labels = {element.label for kind in ("slider", "select_slider") for element in app.get(kind)}
    assert ("Replay size, steps" in labels) == ("Target update interval" in labels) == (method == "dqn")
    assert ("Discount γ" in labels) == ("Hidden units" in labels) == (method != "random")
    assert ("Entropy bonus β" in labels) == (method not in ("dqn", "random"))
    assert ("Updates of V per episode" in labels) == (method in ("baseline", "actor_critic"))
    app.button(key="policy_gradient_step").click().run()
    assert not app.exception and app.session_state["policy_gradient_race"].steps == 1


def test_dqn_begins_with_a_rate_of_its_own():
    app = open_page()
    app.selectbox(key="policy_gradient_method").set_value("dqn").run()
    assert config_of(app) == DQN
    app.selectbox(key="policy_gradient_method").set_value("reinforce").run()
    assert config_of(app) == PRESETS["reinforce"]
    assert config_of(open_page(method="dqn", lr="0.05")).learning_rate == 0.05


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_what_it_says_whatever_was_before(name):
    app = open_page(method="dqn" if PRESETS[name].method != "dqn" else "baseline")
    app.pills(key="policy_gradient_preset").set_value(name).run()
    assert not app.exception and config_of(app) == PRESETS[name]


def test_the_entropy_bonus_is_moved_while_it_trains_and_a_link_repeats_it():
    app = open_page(seed="3")
    for _ in range(2):
        app.button(key="policy_gradient_step").click().run()
    app.slider(key="policy_gradient_entropy").set_value(5.0).run()
    run = app.session_state["policy_gradient_race"].leader
    assert (run.steps, run.learner.entropy_bonus, run.config.entropy) == (2, 5.0, 0.0)
    assert run.interventions == [(2, "entropy", 5.0)]
    app.button(key="policy_gradient_step").click().run()
    did = app.query_params["policy_gradient_did"]
    again = open_page(seed="3", did=did if isinstance(did, str) else did[0])
    for _ in range(3):
        again.button(key="policy_gradient_step").click().run()
    repeated = again.session_state["policy_gradient_race"].leader
    assert repeated.interventions == run.interventions
    assert torch.equal(repeated.learner.policy.flat, run.learner.policy.flat)


def test_three_kinds_of_credit_run_side_by_side():
    app = open_page(together="1")
    app.button(key="policy_gradient_step").click().run()
    assert not app.exception
    assert set(app.session_state["policy_gradient_race"].runs) == {"reinforce", "baseline", "actor_critic"}
    app.selectbox(key="policy_gradient_method").set_value("dqn").run()
    assert not app.exception and set(app.session_state["policy_gradient_race"].runs) == {"dqn"}


@pytest.mark.parametrize("method", ["reinforce", "baseline"])
def test_the_noise_of_the_gradient_is_shown_on_request(method):
    app = open_page(method=method)
    app.session_state["policy_gradient_noise"] = True
    app.run()
    assert not app.exception
    assert any("Each dot" in caption.value for caption in app.caption)


# What captions tell


@cache
def trained(name: str, steps: int) -> Run:
    run = replay(PRESETS[name], (), steps)
    run.evaluate()
    return run


def score(name: str, steps: int, metric=CART_RETURN) -> float:
    return trained(name, steps).history[-1].scores["train"][metric.name]


@pytest.mark.parametrize(
    ("name", "steps", "low", "high"),
    [
        ("reinforce", 800, 79, 81),
        ("random", 300, 21.5, 23.5),
        ("rash", 300, 20.5, 21.5),
        ("blind", 300, 15.5, 16.5),
        ("hasty", 300, 8.5, 9.5),
        ("undecided", 300, 24.5, 25.5),
        # Its thousands of steps choose by tiny differences: where the processor's matrix products round otherwise, it walks
        # another way: to 200.4 or to 201.3, and by episode 214 or 221 to 475, or not by 440. On one machine it is the same at every run.
        ("dqn", 100, 190, 210),
        ("forgetful", 100, 24.5, 25.5),
    ],
)
def test_the_scores_that_captions_tell(name, steps, low, high):
    assert low <= score(name, steps) <= high


@pytest.mark.parametrize(("name", "episode"), [("baseline", 184), ("actor_critic", 205)])
def test_the_episode_at_which_captions_say_that_it_is_solved(name, episode):
    assert asked.solved_at(trained(name, episode + 20)) == episode


def test_the_other_numbers_that_captions_tell():
    assert sum(asked.lengths(trained("baseline", 210))[:40]) / 40 == pytest.approx(22, abs=0.5)
    returns = asked.lengths(trained("reinforce", 800))
    means = [sum(returns[end - RECENT : end]) / RECENT for end in range(RECENT, 801)]
    best = max(range(len(means)), key=means.__getitem__)
    assert means[best] == pytest.approx(185, abs=0.5) and 500 < best + RECENT < 550


# Pictures


def texts(scene) -> list[str]:
    return [item["s"] for figure in scene.figures for item in figure.items if item["t"] == "text"]


def scenes(config, snapshot):
    yield pictures.cart(config, snapshot, "latest", 500, True)
    yield pictures.cart(config, snapshot, "greedy", 3, False)
    yield pictures.overview({config.method: config}, {config.method: snapshot}, config.method, "latest", 3)
    yield pictures.overview({config.method: config}, {config.method: snapshot}, config.method, "greedy", 500)
    yield pictures.update(config, snapshot, 4)
    if config.method in race(config):
        yield pictures.noise(config, snapshot)


@pytest.mark.parametrize("method", POLICY_METHODS)
def test_pictures_can_be_drawn_of_every_method_and_of_weights_gone_wild(method):
    config = PolicyGradientConfig(method=method)
    run = replay(config, (), 2)
    for snapshot in (Run(config).snapshot(), run.snapshot()):
        for factor in (1.0, 1e30, math.inf, math.nan):
            wild = {
                name: value * factor if "." in name or name == "values" else value
                for name, value in snapshot.state.items()
            }
            for scene in scenes(config, Snapshot(snapshot.step, wild)):
                assert scene.alt
                for item in (item for figure in scene.figures for item in figure.items):
                    assert item["t"] != "path" or not ("nan" in item["d"] or "inf" in item["d"]), item
                    assert all(math.isfinite(value) for value in item.values() if isinstance(value, float))


@pytest.mark.parametrize("method", ["reinforce", "baseline", "actor_critic", "dqn"])
def test_the_update_of_a_step_is_written_with_its_numbers(method):
    config = PolicyGradientConfig(method=method, discount=0.9)
    run = replay(config, (), 12)
    snapshot, learner, here = run.snapshot(), run.learner, 4
    count = len(learner.latest.actions)
    shown = " ".join(texts(pictures.update(config, snapshot, here)))
    assert f"Step {here} of {count}" in shown and "→←"[1 - learner.latest.actions[here]] in shown
    if method == "reinforce":
        wanted = sum(0.9**k for k in range(count - here))
        assert f"= {wanted:.2f}" in shown and "becomes likelier" in shown
    elif method == "dqn":
        told = pictures.learned(config, snapshot)
        left, right = learner.online.at(learner.latest.places[here])
        value = 10 * (right if learner.latest.actions[here] else left)
        ahead = 10 * max(learner.frozen.at(learner.latest.places[here + 1]))
        assert told.values[here].item() == pytest.approx(value, abs=1e-3)
        assert told.returns[here].item() == pytest.approx(1 + 0.9 * ahead, abs=1e-3)
    else:
        value, after = learner.values[here].item(), learner.values[here + 1].item()
        came = sum(0.9**k for k in range(count - here)) if method == "baseline" else 1 + 0.9 * after
        assert f"= {came - value:.2f}".replace("-", "−") in shown
        assert ("becomes likelier" in shown) == (came > value)


def test_the_cart_stands_where_the_episode_had_it():
    config = PolicyGradientConfig()
    run = replay(config, (), 20)
    x, _, angle, _ = run.learner.latest.places[7]
    still = pictures.cart(config, run.snapshot(), "latest", 7, True)
    ways = [item["way"] for item in still.figures[0].items if item.get("way")]
    assert ways[3][-1] == pytest.approx(
        [pictures.WIDTH / 2 + x * pictures.METRE, pictures.GROUND - 0.2 * pictures.METRE, math.degrees(angle)], abs=0.1
    )
    assert all(len(way) == 1 for way in ways), "a step in the middle stands still"
    moving = pictures.cart(config, run.snapshot(), "latest", 500, True)
    item = next(item for item in moving.figures[0].items if item.get("way"))
    assert 1 < len(item["way"]) <= pictures.FRAMES + 1
    assert item["seconds"] == pytest.approx(0.01 * len(run.learner.latest.actions))
    live = pictures.cart(config, run.snapshot(), "latest", 500, True, live=True).figures[0].items
    assert next(item for item in live if item.get("way")) == item | {"hold": "baseline"}
    assert {i["hold"] for i in live if i.get("hold")} == {"baseline"} and not item.get("hold")
    words = f"{len(run.learner.latest.actions)} steps"
    assert any(i.get("hold") and words in i.get("s", "") for i in live), "the words tell of what moves"
    assert all(len(i["way"]) == 1 for i in pictures.cart(config, run.snapshot(), "latest", 500, False).figures[0].items if i.get("way"))  # fmt: skip


def test_pictures_can_be_read_on_a_phone():
    """Figures are 342 pixels wide there; with letters below 11 they would have to be scrolled."""
    for method in POLICY_METHODS:
        config = PolicyGradientConfig(method=method)
        for scene in scenes(config, replay(config, (), 12).snapshot()):
            for figure in scene.figures:
                sizes = [item["size"] for item in figure.items if item["t"] == "text"]
                assert not sizes or min(sizes) * min(1.0, 342 / figure.width) >= 11, sizes


def test_the_plane_says_what_the_policy_says():
    config = PolicyGradientConfig()
    run = replay(config, (), 30)
    view = pictures.seen(config, run.snapshot(), "latest", 5)
    place = view.episode.places[5]
    left, right = run.learner.policy.at(place)
    found = pictures.leaning(config, view.network, torch.tensor([place])).item()
    assert found == pytest.approx(1 / (1 + math.exp(left - right)) - 0.5, abs=1e-5)
    greedy = pictures.seen(config, run.snapshot(), "greedy", 500).episode
    assert all(run.learner.likelier(place) == action for place, action in zip(greedy.places, greedy.actions, strict=False))  # fmt: skip


def test_methods_side_by_side_have_a_line_each_under_the_475():
    runs = {name: replay(config, (), 30) for name, config in race(PolicyGradientConfig()).items()}
    drawn = pictures.returns({name: run.snapshot() for name, run in runs.items()}, "baseline")
    lines = [item for item in drawn.items if item["t"] == "path"]
    assert len({item["ink"] for item in lines}) == len(lines) == 3
    high, bottom = (next(i["y1"] for i in drawn.items if i["t"] == "line" and i["ink"] == "line" and at(i)) for at in (lambda i: i["y1"] < 50, lambda i: i["y1"] > 200))  # fmt: skip
    for item, run in zip(lines, runs.values(), strict=True):
        last = float(item["d"].split()[-1])
        mean = sum(asked.lengths(run)) / 30
        assert (bottom - last) / (bottom - high) * 500 == pytest.approx(mean, abs=1.5)
    one = pictures.returns({"baseline": runs["baseline"].snapshot()}, "baseline")
    assert sum(item["t"] == "path" for item in one.items) == 1


def test_every_return_is_a_dot():
    run = replay(PolicyGradientConfig(method="random"), (), 40)
    drawn = pictures.returns({"random": run.snapshot()}, "random")
    points = next(item for item in drawn.items if item["t"] == "points")
    assert len(points["d"]) == len(pictures.Figure(1, 1).points(torch.zeros(40, 2), "circle", 1.0).items[0]["d"])
    assert "475" in [item["s"] for item in drawn.items if item["t"] == "text"]


@pytest.mark.parametrize("method", POLICY_METHODS)
def test_every_method_has_its_formula(method):
    formula = "".join(pictures.formula(PolicyGradientConfig(method=method, discount=0.9), 0.0))
    assert ("0.9" in formula) == (method != "random") and r"\nabla H" not in formula
    assert (r"2\,\nabla H" in pictures.formula(PolicyGradientConfig(method=method), 2.0)[0]) == (method not in ("random", "dqn"))  # fmt: skip


# Challenges


class Shown:
    """What a challenge sees of the panel."""

    def __init__(self, run: Run):
        self.race = type("Race", (), {"runs": {"run": run}, "leader": run})


def reached(check, config: PolicyGradientConfig, steps: int) -> bool:
    done, words = check(Shown(replay(config, (), steps)))
    assert words
    return done


def test_the_challenges_can_be_reached_and_are_not_given_away():
    default = PolicyGradientConfig()
    assert not reached(asked.fast, default, 200)
    assert reached(asked.fast, replace(default, hidden=128, learning_rate=0.008), 140)
    assert not reached(asked.tiny, default, 200)
    assert not reached(asked.tiny, replace(default, hidden=4), 100)
    assert reached(asked.tiny, replace(default, hidden=4, learning_rate=0.02), 250)
    assert not reached(asked.plain, default, 200)
    assert not reached(asked.plain, PRESETS["reinforce"], 600)
    assert reached(asked.plain, replace(PRESETS["reinforce"], discount=1.0), 520)


def test_a_run_is_solved_when_the_mean_of_a_hundred_is_high_enough():
    run = Run(PolicyGradientConfig(method="random"))
    run.learner.returns.extend([500] * 99)
    run.steps = 99
    assert asked.solved_at(run) is None
    run.learner.returns.extend([10] * 3 + [500] * 30)
    run.steps = 132
    assert asked.solved_at(run) == 100
    run.learner.returns.popleft()
    assert asked.solved_at(run) == 101 or SOLVED * RECENT > 99 * 500 + 10
    assert CART_GREEDY.better == "higher"


def test_a_critic_has_parameters_of_its_own():
    alone, beside = (Run(PolicyGradientConfig(method=method)) for method in ("reinforce", "baseline"))
    hidden = PolicyGradientConfig().hidden
    assert parameters_of(alone) == 5 * hidden + 2 * (hidden + 1)
    assert parameters_of(beside) == parameters_of(alone) + 5 * hidden + hidden + 1
    values = Run(PolicyGradientConfig(method="dqn"))
    for _ in range(3):
        assert parameters_of(values) == parameters_of(alone), "a frozen copy is not learned"
        values.step()


def test_a_pin_says_what_its_scores_are():
    app = open_page()
    app.button(key="policy_gradient_step").click().run()
    app.button(key="policy_gradient_pin").click().run()
    told = " ".join(each.value for kind in (app.caption, app.markdown) for each in kind)
    assert "the best while it trained" in told and "held-out" not in told
