"""Pictures that are not drawn again."""

from functools import partial

import pytest
import torch

from core.cnn import CNNConfig
from core.training import Race, Snapshot
from pages.ui import drawings
from pages.ui.lessons import LESSONS
from pages.ui.scene import Scene, payload
from pages.ui.text import speak
from tests.lessons import open_lesson

SNAPSHOT = Snapshot(0, {"weight": torch.arange(6.0).view(2, 3)})


@pytest.fixture(autouse=True)
def nothing_kept():
    drawings.kept.clear()
    speak("en")
    yield
    drawings.kept.clear()


def counted(calls, **fixed):
    """A picture that counts how often it is drawn."""

    def draw(configs, snapshots, **looks):
        calls.append(looks)
        return Scene((), f"picture {len(calls)}")

    draw.__module__ = "pages.ui.pictures_of_this_test"
    return partial(draw, **fixed)


def test_the_same_picture_is_drawn_once():
    calls, copy = [], Snapshot(0, {"weight": SNAPSHOT.state["weight"].clone()})
    draw = counted(calls, digit=3)
    first = drawings.drawn(draw, CNNConfig(), SNAPSHOT)
    assert drawings.drawn(partial(draw.func, digit=3), CNNConfig(), copy) is first
    assert len(calls) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"looks": {"digit": 4}},
        {"config": CNNConfig(kernel=5)},
        {"snapshot": SNAPSHOT._replace(step=1)},
        {"snapshot": Snapshot(0, {"weight": SNAPSHOT.state["weight"] + 1e-6})},
        {"snapshot": Snapshot(0, {"bias": SNAPSHOT.state["weight"]})},
        {"snapshot": Snapshot(0, {"weight": SNAPSHOT.state["weight"].view(3, 2)})},
        {"language": "zh"},
    ],
    ids=["looks", "config", "step", "weight", "name", "shape", "language"],
)
def test_whatever_differs_it_is_drawn_anew(other):
    calls = []
    draw = counted(calls).func
    given = {"looks": {"digit": 3}, "config": CNNConfig(), "snapshot": SNAPSHOT, "language": "en"}
    for each in (given, given | other, given):
        speak(each["language"])
        drawings.drawn(partial(draw, **each["looks"]), each["config"], each["snapshot"])
    assert len(calls) == 2


def test_the_runs_of_a_race_are_told_apart():
    calls = []
    draw, other = counted(calls), Snapshot(0, {"weight": torch.zeros(2, 3)})
    configs = {"one": CNNConfig(), "two": CNNConfig(kernel=5)}
    for snapshots in (
        {"one": SNAPSHOT, "two": other},
        {"one": other, "two": SNAPSHOT},
        {"one": SNAPSHOT, "two": other},
    ):
        drawings.drawn(draw, configs, snapshots)
    assert len(calls) == 2


@pytest.mark.parametrize(
    "looks", [{"race": Race({})}, {"image": torch.zeros(2)}, {"cells": [1]}], ids=["race", "tensor", "list"]
)
def test_what_can_change_is_drawn_each_time(looks):
    calls = []
    for _ in range(2):
        drawings.drawn(counted(calls, **looks), CNNConfig(), SNAPSHOT)
    assert len(calls) == 2 and not drawings.kept


def test_a_function_of_the_page_and_large_weights_are_drawn_each_time():
    calls = []
    draw = counted(calls).func
    large = Snapshot(0, {"weight": torch.zeros(drawings.LARGEST // 4 + 1)})
    for _ in range(2):
        drawings.drawn(draw, CNNConfig(), large)
    draw.__module__ = "__main__"
    for _ in range(2):
        drawings.drawn(draw, CNNConfig(), SNAPSHOT)
    assert len(calls) == 4 and not drawings.kept


def test_those_asked_for_last_are_kept():
    calls = []
    draw = counted(calls).func
    for step in range(drawings.KEPT + 1):
        drawings.drawn(draw, CNNConfig(), SNAPSHOT._replace(step=step))
        drawings.drawn(draw, CNNConfig(), SNAPSHOT)
    assert len(drawings.kept) == drawings.KEPT
    assert len(calls) == drawings.KEPT + 1, "the one of step 0 is asked for again and again"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_what_is_kept_is_what_would_be_drawn(lesson, monkeypatch):
    """Else a picture looks at something that it was not given."""
    remembered, compared = drawings.drawn, []

    def both(draw, configs, snapshots):
        kept = remembered(draw, configs, snapshots)
        compared.append(payload(kept) == payload(draw(configs, snapshots)))
        return kept

    monkeypatch.setattr(drawings, "drawn", both)
    app = open_lesson(lesson.stem)
    for _ in range(2):
        app.button(key=f"{lesson.stem}_step").click().run()
    app.run()
    app.button(key=f"{lesson.stem}_reset").click().run()
    assert not app.exception
    assert all(compared)
