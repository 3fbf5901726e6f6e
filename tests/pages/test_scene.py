"""Scenes as data: what a figure sends to the browser."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

import torch

from pages.ui.scene import CODE, FOLDER, Figure, Plane, Scene, payload
from tests.server import Viewer, serve


def test_a_line_that_flows_says_so_and_others_send_nothing_of_it():
    quiet, flowing = Figure(10, 10).line(0, 0, 5, 0).line(5, 0, 0, 0, flow=True, opacity=0.5).items
    assert flowing["flow"] is True and flowing["opacity"] == 0.5
    assert not quiet.keys() & {"flow", "opacity", "dash"}


def test_the_dashes_of_a_flow_move_by_exactly_one_in_its_time():
    """Otherwise they jump once a round, and a new frame would not go on where the last one was."""
    style, script = ((FOLDER / f"scene.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    dash, gap = map(int, re.search(r"\.flow \{ stroke-dasharray: (\d+) (\d+);", style).groups())
    assert int(re.search(r"stroke-dashoffset: -(\d+)", style).group(1)) == dash + gap
    assert re.search(r"animation: flow (\d+)ms", style).group(1) == re.search(r"FLOW = (\d+);", script).group(1)
    assert "prefers-reduced-motion: reduce" in style


def test_a_circle_that_has_a_way_ends_it_where_it_stands():
    still, walking = Figure(10, 10).circle(5, 5, 1).circle(5, 5, 1, way=((1, 5), (5, 5)), seconds=2.0).items
    assert walking["way"] == [[1, 5], [5, 5]] and walking["seconds"] == 2.0
    assert (walking["x"], walking["y"]) == (5, 5)
    assert not still.keys() & {"way", "seconds"}
    assert "way" not in Figure(10, 10).circle(5, 5, 1, way=((5, 5),)).items[0]


def test_a_path_that_has_a_way_stands_at_its_end():
    still, put, moving = (
        Figure(10, 10)
        .path("M0 0h1")
        .path("M0 0h1", way=((5, 5, 12.0),))
        .path("M0 0h1", dash="2 2", way=((1, 5, 0.0), (5, 5, 12.0)), seconds=2.0)
        .items
    )
    assert not still.keys() & {"way", "seconds"}
    assert put["way"] == [[5, 5, 12.0]] and put["seconds"] == 0.0
    assert moving["way"][-1] == [5, 5, 12.0] and moving["seconds"] == 2.0 and moving["dash"] == "2 2"


def test_a_scene_can_do_without_being_saved():
    figures = (Figure(10, 10),)
    assert payload(Scene(figures, "words"))["scene"]["save"]
    assert not payload(Scene(figures, "words", saved=False))["scene"]["save"]


def test_what_is_held_is_told_by_a_name_and_the_rest_is_not():
    figure = Figure(10, 10).line(0, 0, 1, 1)
    with figure.held("episode"):
        figure.circle(5, 5, 1, way=((1, 5), (5, 5)), seconds=2.0).text("5", 1, 1)
    figure.line(0, 0, 1, 1)
    assert [item.get("hold") for item in figure.items] == [None, "episode", "episode", None]


def test_what_is_only_pointed_at_costs_nothing_where_it_is_not_asked_for():
    plain = Figure(10, 10).map("m", torch.zeros(2, 2), 0, 0, 9).rect(0, 0, 5, 5).area("a", 0, 0, 5, 5, 2, 2).items
    assert not {key for item in plain for key in item} & {"smooth", "plane", "peek", "curves"}
    small, box, area = (
        Figure(10, 10)
        .map("m", torch.zeros(2, 2), 0, 0, 9, smooth=True, plane=Plane((-6, 6), (0, 1), names=("no", "yes")))
        .rect(0, 0, 5, 5, go="x", peek=("n1", "m", "neuron 1", 1.7))
        .area("a", 0, 0, 5, 5, 2, 2, torch.tensor([[1.0, 2.0, -0.5]]))
        .items
    )
    assert small["smooth"] is True and small["plane"]["across"] == (-6, 6) and small["plane"]["names"] == ("no", "yes")
    assert box["peek"] == ["n1", "m", "neuron 1", 1.7]
    assert area["curves"] == "ADwAQAC4"  # 1, 2 and −0.5 as 16-bit numbers


def test_the_code_comes_once_a_run_and_not_with_every_frame():
    with serve() as port, ThreadPoolExecutor(1) as thread:  # Playwright leaves an event loop in that of the tests
        sent = thread.submit(asyncio.run, components_of(port)).result()
    assert sum(name == "scene_code" for name, _ in sent) == 1
    frames = [size for name, size in sent if name == "scene"]
    assert len(frames) >= 3 and max(frames) < len(CODE) / 20


async def components_of(port: int) -> list[tuple[str, int]]:
    """The components that the page of the CNN is made of, and how much code came with each."""
    found = []

    class Looking(Viewer):
        def _element(self, message):
            element = message.delta.new_element
            if element.WhichOneof("type") == "bidi_component":
                component = element.bidi_component
                found.append((component.component_name, len(component.js_content) + len(component.css_content)))
            super()._element(message)

    async with Looking(port, "cnn") as viewer:
        await viewer.open()
    return found
