"""The panel's parts that need no browser: turns, address, curves."""

import json
import threading
import time
from dataclasses import dataclass
from math import inf
from types import SimpleNamespace
from typing import ClassVar

import pytest
import streamlit as st
import torch
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

from core.config import Config, Span
from core.convolution import ConvolutionConfig
from core.training import ACCURACY, LOSS, Metric, Race, is_due
from pages.ui import charts, live, pins, readings, scene, take_home
from pages.ui import turns as module_of_turns
from pages.ui.address import decode, encode, fits
from pages.ui.scene import Figure, Scene
from pages.ui.turns import CROWDED_TICK, FORGOTTEN, TICK, TURNS, Turns
from tests.lessons import open_lesson


def test_turns_are_fair_and_exclusive():
    turns, left, order, inside = Turns(), dict.fromkeys("abc", 5), [], []

    def train(name):
        while left[name]:
            with turns.slice(alive=lambda: None):
                inside.append(name)
                assert inside == [name]
                order.append(name)
                wait_for(sum(count > 0 for count in left.values()))  # until all the others have come back
                left[name] -= 1
                inside.remove(name)

    def wait_for(waiting):
        deadline = time.monotonic() + 300
        while turns.waiting < waiting:
            assert time.monotonic() < deadline, "one of them has left"
            time.sleep(0.001)

    threads = [threading.Thread(target=train, args=(name,), daemon=True) for name in "abc"]
    with turns.slice(alive=lambda: None):
        for waiting, thread in enumerate(threads, start=2):
            thread.start()
            wait_for(waiting)
    for thread in threads:
        thread.join(300)
    assert order == [*"abc"] * 5, "nobody is served twice before the others"


@pytest.mark.parametrize("make", [take_home.curve, lambda race: take_home.weights(race, "run")])
def test_a_download_waits_until_the_slice_is_over(make):
    race, files = Race({"run": ConvolutionConfig(size=4)}), []
    weight = next(iter(race.leader.learner.state().values()))
    thread = threading.Thread(target=lambda: files.append(make(race)))
    with TURNS.slice(alive=lambda: None):
        weight[:1] = 7.0  # amidst a step
        thread.start()
        thread.join(0.3)
        assert not files, "it waits"
        weight[:] = 7.0
        race.step()
    thread.join(300)
    assert len(files) == 1
    assert files[0] == make(race), "as the slice has left it"


def test_drawing_goes_first_but_does_not_starve_training(monkeypatch):
    turns, trained = Turns(), threading.Event()

    def train():
        with turns.slice(alive=lambda: None):
            trained.set()

    monkeypatch.setattr("pages.ui.turns.YIELDING", 3600.0)
    with turns.drawing():
        thread = threading.Thread(target=train, daemon=True)
        thread.start()
        assert not trained.wait(0.3)
    assert trained.wait(300)
    thread.join()
    trained.clear()
    monkeypatch.setattr("pages.ui.turns.YIELDING", 0.1)
    with turns.drawing():  # a page that never stops drawing
        thread = threading.Thread(target=train, daemon=True)
        thread.start()
        assert trained.wait(300)
    thread.join()


def test_a_slice_gives_way_to_drawing_unless_it_has_waited_for_it_long_enough(monkeypatch):
    turns = Turns()
    with turns.slice(alive=lambda: None) as wanted:
        assert not wanted()
        with turns.drawing():
            assert wanted()
        assert not wanted()
    monkeypatch.setattr("pages.ui.turns.YIELDING", 0.0)
    monkeypatch.setattr("pages.ui.turns.PATIENCE", 0.01)
    with turns.drawing(), turns.slice(alive=lambda: None) as wanted:
        assert not wanted(), "else training would starve"


def test_pages_are_drawn_in_the_order_they_were_asked_for(monkeypatch):
    monkeypatch.setattr("pages.ui.turns.QUEUEING", 3600.0)
    turns, order, inside = Turns(), [], []

    def draw(name):
        with turns.drawing():
            inside.append(name)
            assert inside == [name]
            order.append(name)
            time.sleep(0.002)
            inside.remove(name)

    threads = [threading.Thread(target=draw, args=(name,), daemon=True) for name in "abcdefgh"]
    with turns.drawing():
        for place, thread in enumerate(threads, start=2):
            thread.start()
            deadline = time.monotonic() + 300
            while len(turns._drawers) < place:
                assert time.monotonic() < deadline
                time.sleep(0.001)
        assert not order
    for thread in threads:
        thread.join(300)
    assert order == [*"abcdefgh"]


def test_a_page_that_takes_its_time_is_not_waited_for(monkeypatch):
    turns, drawn = Turns(), threading.Event()

    def draw():
        with turns.drawing():
            drawn.set()

    monkeypatch.setattr("pages.ui.turns.QUEUEING", 0.05)
    with turns.drawing():
        thread = threading.Thread(target=draw, daemon=True)
        thread.start()
        assert drawn.wait(300)
        thread.join(300)
    with turns.slice(alive=lambda: None):
        assert not turns._drawers


def test_in_a_crowd_the_browsers_ask_less_often(monkeypatch):
    turns, clock = Turns(), SimpleNamespace(monotonic=lambda: clock.now, now=0.0)
    monkeypatch.setattr(module_of_turns, "time", clock)
    assert [turns.tick(viewer) for viewer in range(40)] == [max(TICK, CROWDED_TICK * count) for count in range(1, 41)]
    for viewer in range(10, 40):
        turns.miss(viewer)
    assert turns.tick(0) == CROWDED_TICK * 10
    clock.now += FORGOTTEN / 2
    turns.see(1)
    clock.now += FORGOTTEN / 2
    assert turns.tick(2) == TICK, "the others have not been seen for long"
    turns.miss("never seen")


def test_who_leaves_the_queue_does_not_block_it():
    turns = Turns()

    class Click(Exception):
        pass

    def leave():
        raise Click

    with turns.drawing(), pytest.raises(Click), turns.slice(alive=leave):
        pass
    with turns.slice(alive=lambda: None):
        assert turns.waiting == 1
    assert turns.waiting == 0


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        (3, range(9)), (-1, range(-1, 4)), (0.1 + 0.2, Span(0, 1)), (1e-5, Span(0, 1)), (2.0, Span(0, 9)), (True, None),
        (False, None), ("max", ("max", "none")), ((1, 2), range(9)), ((0.5, -3.0), None), ((), None), (("a", "b"), ("a", "b")),
    ],
)  # fmt: skip
def test_values_survive_the_address(value, limits):
    again = decode(encode(value), value, limits)
    assert again == value and type(again) is type(value)


def test_what_is_too_long_is_in_no_address():
    assert fits(3) and fits("max") and fits(tuple(range(300)))
    assert not fits(tuple(range(1000))) and not fits((0.123456789,) * 200) and not fits("x" * 2001)


def test_curve_rows_are_the_history_and_stay_small():
    race = Race({"run": ConvolutionConfig()})
    for _ in range(100):
        race.step()
    race.intervene("learning_rate", 0.001)
    run = race.runs["run"]
    rows = charts.curve_rows(race, run.metrics[0]).to_pandas()
    values = rows[rows.mark == ""]
    assert list(values.step) == [record.step for record in run.history]
    assert values.test0.tolist() == pytest.approx([record.scores["test"]["Loss"] for record in run.history])
    assert rows[rows.mark != ""].step.tolist() == [100]
    for _ in range(20000):
        run.history.append(run.history[-1]._replace(step=run.history[-1].step + 50))
    rows = charts.curve_rows(race, run.metrics[0])
    assert rows.num_rows * rows.num_columns < 5000
    assert rows["step"][rows.num_rows - 2].as_py() == run.history[-1].step


def test_curves_reach_as_far_as_the_run_that_came_furthest():
    """One that diverged may have more records: those of a long run are thinned."""
    race = Race({"diverged": ConvolutionConfig(size=4), "goes on": ConvolutionConfig(size=4, seed=1)})
    first, second = race.runs.values()
    first.history = [first.history[0]._replace(step=step) for step in range(100)]
    second.history = [second.history[0]._replace(step=step) for step in range(0, 200, 4)]
    rows = charts.curve_rows(race, race.metrics[0]).to_pydict()
    assert rows["step"][-1] == 196 and rows["test1"][-1] is not None


def test_the_specification_is_built_once():
    words = charts.Words("step", "training data", "held-out data")
    first = charts.curve_spec("Loss", "", False, ("run",), words)
    assert charts.curve_spec("Loss", "", False, ("run",), words) is first
    assert "data" not in first and "datasets" not in first


NORMS = [Metric(f"Gradient norm {layer}", group="Gradient norm", log=True) for layer in (1, 2)]


class Grouped:
    """Learns nothing, and measures in groups."""

    def __init__(self):
        self.metrics = (LOSS, *NORMS, Metric("Dead units", unit="%", group="Dead units"))
        self.steps = 0

    def update(self, learning_rate):
        self.steps += 1
        return 1.0

    def evaluate(self):
        norms = {metric.name: 10.0**-layer * (1 + self.steps) for layer, metric in enumerate(NORMS, 1)}
        return {"train": {"Loss": 1.0, "Dead units": 0.25} | norms, "test": {"Loss": 2 / (1 + self.steps)}}

    def state(self):
        return {"weight": torch.zeros(1)}


class GroupedConfig(Config):
    def build(self, generator):
        return Grouped()


def grouped_page():
    from core.config import Config  # an app of its own: it sees nothing of this module
    from pages.ui.controls import Controls
    from pages.ui.live import Live
    from tests.pages.test_live import GroupedConfig

    controls = Controls("cnn", Config())
    Live(controls, {"run": GroupedConfig()}).panel()


def test_metrics_of_a_group_share_a_chart_behind_an_expander():
    app = AppTest.from_function(grouped_page, default_timeout=600).run()
    assert not app.exception
    assert [metric.label for metric in app.metric] == ["Step", "Steps/s", "Loss"], "a group has no number of its own"
    assert len(app.get("vega_lite_chart")) == 1
    app.session_state["cnn_inside"] = True
    app.run()
    app.button(key="cnn_step").click().run()
    assert not app.exception
    titles = [json.loads(chart.proto.spec)["title"]["text"] for chart in app.get("vega_lite_chart")]
    assert titles == ["Loss", "Gradient norm of each layer", "Dead units"]
    spec = json.loads(app.get("vega_lite_chart")[1].proto.spec)
    assert json.dumps(spec).count('"domain": ["1", "2"]') >= 2, "its series are called by what tells them apart"
    assert spec["layer"][0]["encoding"]["y"]["scale"] == {"type": "log"}


def test_rows_of_a_group_are_its_histories():
    race = Race({"a": GroupedConfig(), "b": GroupedConfig(seed=1)})
    race.step()
    assert list(race.groups) == ["", "Gradient norm", "Dead units"]
    assert race.groups[""] == (LOSS,) and race.groups["Gradient norm"] == tuple(NORMS)
    rows = charts.series_rows([(run, metric.name) for run in race.runs.values() for metric in NORMS]).to_pydict()
    assert rows["step"] == [0, 1]
    assert rows["train1"] == pytest.approx([0.01, 0.02]) and rows["train2"] == pytest.approx([0.1, 0.2])
    assert rows["test0"] == [None, None]
    assert charts.within("Gradient norm 2", "Gradient norm") == "2"
    assert charts.within("Dead units", "Dead units") == "Dead units"


def test_it_stops_where_it_is_told_to():
    race = Race({"a": GroupedConfig(), "b": GroupedConfig(seed=1)})
    race.advance(inf, until=lambda race: live.arrived(race, "Loss", 0.2))
    assert race.steps == 9, "2 / (1 + 9) is the first held-out loss of at most 0.2"
    race.advance(inf, until=lambda race: live.arrived(race, "Loss", 0.1))
    assert race.steps == 20, "of steps past 10 every second one is measured"
    race.step()
    assert not live.arrived(race, "Loss", 5.0), "what is measured at another step does not count"
    assert not live.arrived(race, "never", 0.0)


@pytest.mark.parametrize("button", ["play", "step"])
def test_at_the_limit_it_goes_on_also_when_the_limit_was_lowered(button):
    app = open_lesson("cnn", limit=200)
    app.session_state["cnn_race"].advance(inf, 200)
    app.button(key=f"cnn_{button}").click().run()
    assert app.session_state["cnn_extensions"] == (200, 1), "400 steps"
    app.session_state["cnn_playing"] = False
    app.number_input(key="cnn_limit").set_value(100).run()
    app.session_state["cnn_race"].advance(inf, 350)
    app.button(key=f"cnn_{button}").click().run()
    assert app.session_state["cnn_extensions"] == (100, 3), "100 steps more than the 300 that are past"


def test_a_limit_that_is_set_anew_is_not_extended_by_what_was_asked_of_the_old_one(monkeypatch):
    app = open_lesson("cnn", limit=200)
    for steps in (200, 400):
        app.session_state["cnn_race"].advance(inf, steps)
        app.button(key="cnn_step").click().run()
    limits = []
    panel = live.Live.panel
    monkeypatch.setattr(live.Live, "panel", lambda self: (limits.append(self.limit), panel(self)))
    app.run()
    app.number_input(key="cnn_limit").set_value(1000).run()
    assert limits == [600, 1000]


def test_a_run_that_rests_tells_the_numbers_of_the_step_that_its_pictures_show():
    app = open_lesson("cnn")
    race = app.session_state["cnn_race"]
    race.advance(inf, 61)
    assert race.leader.history[-1].step == 56, "61 is not due"
    app.run()
    (told,) = (metric.value for metric in app.metric if metric.label == "Accuracy")
    assert race.leader.history[-1].step == 61
    assert told == f"{race.leader.learner.evaluate()['test']['Accuracy']:.1%}"
    twin = Race(race.configs)
    twin.advance(inf, 61)
    twin.step()
    race.step()
    assert all(
        torch.equal(a, b)
        for a, b in zip(race.leader.snapshot().state.values(), twin.leader.snapshot().state.values(), strict=True)
    )


def test_pictures_are_sent_with_the_places_that_hold_them(monkeypatch):
    """A place that is filled only at the end of the run would be empty for a while, and the page would jump."""
    order = []
    stream, empty = scene.stream, live.st.empty
    monkeypatch.setattr(scene, "stream", lambda data, key, **rest: (order.append(key), stream(data, key, **rest))[1])
    monkeypatch.setattr(live.st, "empty", lambda: (order.append("place"), empty())[1])
    caption = DeltaGenerator.caption
    monkeypatch.setattr(DeltaGenerator, "caption", lambda *words: (order.append("caption"), caption(*words))[1])
    open_lesson("cnn")
    assert order.index("caption") < order.index("cnn_picture0"), "what is said of the presets stands before them"
    pictures = [place for place, what in enumerate(order) if what.startswith("cnn_picture")]
    assert len(pictures) == 3 and all(order[place - 1] == "place" for place in pictures)


class Elsewhere:
    """Work beside a panel that is over after some looks."""

    def __init__(self, looks):
        self.looks, self.went_on, self.paused, self.drawn = looks, 0, 0, 0

    @property
    def over(self):
        return self.went_on >= self.looks

    busy = False

    def go_on(self):
        self.went_on += 1

    def pause(self):
        self.paused += 1

    def draw(self):
        self.drawn += 1


@dataclass(frozen=True, kw_only=True)
class LimitedConfig(GroupedConfig):
    limit: int = 30
    LIMITS: ClassVar = {"limit": range(1, 1000)}


def page_with_work_beside():
    import streamlit as st

    from pages.ui.controls import Controls
    from pages.ui.live import Live
    from tests.pages.test_live import Elsewhere, LimitedConfig

    controls = Controls("cnn", LimitedConfig())
    panel = Live(controls, {"run": LimitedConfig()})
    panel.beside = st.session_state.setdefault("elsewhere", Elsewhere(8))
    panel.panel()


def at_once(function, run_every=None):
    """In place of a fragment with a timer, which tests have not: it goes on when it is drawn."""

    def run():
        if run_every:
            del st.session_state["cnn_only_draw"]
        function()

    return run


def test_work_beside_plays_and_pauses_with_the_panel(monkeypatch):
    monkeypatch.setattr(live, "LOOK", 0.01)
    monkeypatch.setattr(live.st, "fragment", at_once)
    app = AppTest.from_function(page_with_work_beside, default_timeout=600).run()
    assert not app.exception
    elsewhere = app.session_state["elsewhere"]
    assert (elsewhere.went_on, elsewhere.paused) == (0, 1) and elsewhere.drawn
    app.button(key="cnn_play").click().run()
    assert app.session_state["cnn_race"].steps == 30, "the lesson's own limit"
    assert elsewhere.over and not app.session_state["cnn_playing"], "it plays on until both have ended"
    assert elsewhere.paused > 1
    elsewhere.looks += 5
    app.button(key="cnn_play").click().run()
    assert app.session_state["cnn_race"].steps == 30, "Play for the work beside trains no further here"
    assert elsewhere.over
    app.button(key="cnn_play").click().run()
    assert app.session_state["cnn_race"].steps == 60, "where nothing is left beside, Play goes on past the limit"


def test_the_number_of_steps_moves_while_the_curves_wait(monkeypatch):
    told = []
    monkeypatch.setattr(live.st, "fragment", at_once)
    monkeypatch.setattr(live.Allowance, "due", lambda self: self.share == live.COUNT_SHARE)
    monkeypatch.setattr(live, "SLICE", 0.0)
    count = live.Frame.count
    monkeypatch.setattr(live.Frame, "count", lambda frame: (told.append(frame.live.race.steps), count(frame)))
    app = AppTest.from_function(page_with_work_beside, default_timeout=600).run()
    app.session_state["elsewhere"].looks = 0
    app.button(key="cnn_play").click().run()
    assert not app.exception
    assert set(range(1, 31)) <= set(told), "a slice of no length is one step"


def page_with_pictures():
    from pages.ui.controls import Controls
    from pages.ui.live import Live
    from tests.pages.test_live import LimitedConfig, moving, still

    controls = Controls("cnn", LimitedConfig())
    panel = Live(controls, {"run": LimitedConfig()})
    for picture in (moving, still, moving):
        panel.picture(picture)
    panel.panel()


SEEN = []  # snapshots given to pictures


def moving(config, snapshot):
    SEEN.append(snapshot)
    return Scene((Figure(9, 9).text(str(snapshot.step), 0, 0),), "how many steps")


def still(config, snapshot):
    return Scene((Figure(9, 9).text("always the same", 0, 0),), "nothing moves")


def play_step_by_step(monkeypatch):
    """Play a page with pictures to its end, everything drawn after every step; what was sent of which chart and picture."""
    sent = []
    monkeypatch.setattr(live.st, "fragment", at_once)
    monkeypatch.setattr(live.Allowance, "due", lambda self: True)
    monkeypatch.setattr(live, "SLICE", 0.0)
    rows, stream = charts.curve_rows, scene.stream
    monkeypatch.setattr(
        charts, "curve_rows", lambda race, *rest: (sent.append(("chart", race.steps)), rows(race, *rest))[1]
    )
    monkeypatch.setattr(
        scene, "stream", lambda data, key, **rest: (sent.append((key, data["scene"]["alt"])), stream(data, key, **rest))
    )
    app = AppTest.from_function(page_with_pictures, default_timeout=600).run()
    sent.clear()
    SEEN.clear()
    app.button(key="cnn_play").click().run()
    assert not app.exception and app.session_state["cnn_race"].steps == 30
    return sent


def test_a_picture_that_stays_as_it_is_is_not_sent_again(monkeypatch):
    keys = [key for key, _ in play_step_by_step(monkeypatch) if key != "chart"]
    counts = {key: keys.count(key) for key in set(keys)}
    assert counts["cnn_picture0"] == counts["cnn_picture2"] > 30, "once per step, and by the page"
    assert counts["cnn_picture1"] <= 4, "by each run of the page, and once when it begins to train"


def test_a_curve_is_sent_again_only_after_an_evaluation(monkeypatch):
    steps = [step for what, step in play_step_by_step(monkeypatch) if what == "chart"]
    within = steps[steps.index(1) : len(steps) - steps[::-1].index(30)]
    drawn = sorted(set(within))
    assert drawn == [step for step in range(1, 31) if is_due(step)] + [30] * (not is_due(30)), "the last by the page"
    assert len(drawn) < 30


def test_the_pictures_of_one_moment_share_one_copy_of_the_weights(monkeypatch):
    play_step_by_step(monkeypatch)
    pairs = list(zip(SEEN[::2], SEEN[1::2], strict=True))
    assert any(first.step == 5 for first, _ in pairs)
    assert all(first is second for first, second in pairs if 0 < first.step < 30)


def test_in_a_class_the_steps_are_told_at_every_turn(monkeypatch):
    told = []
    monkeypatch.setattr(live.st, "fragment", at_once)
    monkeypatch.setattr(live.Allowance, "due", lambda self: False)
    monkeypatch.setattr(live, "SLICE", 0.0)
    monkeypatch.setattr(live.TURNS.__class__, "waiting", 30)
    count = live.Frame.count
    monkeypatch.setattr(live.Frame, "count", lambda frame: (told.append(frame.live.race.steps), count(frame)))
    app = AppTest.from_function(page_with_pictures, default_timeout=600).run()
    app.button(key="cnn_play").click().run()
    assert not app.exception
    assert set(range(1, 31)) <= set(told)


def test_training_gives_way_to_a_page_that_is_to_be_drawn(monkeypatch):
    lengths = []
    monkeypatch.setattr(live.st, "fragment", at_once)
    monkeypatch.setattr(live, "SLICE", 3600.0)
    advance = Race.advance

    def amidst(race, *rest):
        before = race.steps
        monkeypatch.setattr(live.TURNS, "_drawers", [None])  # somebody has clicked
        advance(race, *rest)
        monkeypatch.setattr(live.TURNS, "_drawers", module_of_turns.deque())
        lengths.append(race.steps - before)

    app = AppTest.from_function(page_with_pictures, default_timeout=600).run()
    monkeypatch.setattr(Race, "advance", amidst)
    app.button(key="cnn_play").click().run()
    assert not app.exception
    assert lengths == [1] * 30, "a slice ends with the step that is under way"


def test_a_curve_shows_where_it_has_come_to():
    spec = charts.curve_spec("Loss", "", False, ("run",), charts.Words("step", "train", "test"))
    newest = [layer for layer in spec["layer"] if any("joinaggregate" in step for step in layer.get("transform", []))]
    assert [(layer["mark"]["type"], layer["mark"]["opacity"]) for layer in newest] == [("circle", 1)]


def test_pins_keep_no_groups():
    kept = pins.line_of("run", [Race({"run": GroupedConfig()}).leader])
    assert list(kept.points) == list(kept.scores) == ["Loss"]


def test_which_axes_are_logarithmic():
    norm = Metric("Gradient norm", log=True)
    for chosen in (False, True):
        assert charts.is_logarithmic(LOSS, chosen) == chosen
        assert charts.is_logarithmic(norm, chosen)
        assert not charts.is_logarithmic(ACCURACY, chosen), "a share has a zero"


def test_a_magnitude_is_neither_good_nor_bad_and_its_largest_is_told():
    race = Race({"a": GroupedConfig(), "b": GroupedConfig(seed=1)})
    norm = Metric("Norm", better="neither")
    for run, value in zip(race.runs.values(), (3.0, 5.0), strict=True):
        run.learner.metrics = (LOSS, norm)
        run.history[-1].scores["train"]["Norm"] = value
    frame = readings.Frame.__new__(readings.Frame)
    frame.live, frame.names = SimpleNamespace(race=race), {"a": "A", "b": "B"}
    assert frame._scores(norm)[0] == "5"
    assert frame._scores(norm)[1] == "largest: B" and frame._scores(norm)[1] != frame._scores(norm._replace(better="higher"))[1]  # fmt: skip
    assert live.arrived(race, "Norm", 4.0) and not live.arrived(race, "Norm", 6.0)
    assert pins.ARROWS.keys() == live.SIGNS.keys()


def test_a_curve_of_a_group_is_called_by_what_tells_it_apart():
    inside = readings.Inside.__new__(readings.Inside)
    one, two = Metric("Norm 1", group="Norm"), Metric("Norm 2", group="Norm")
    inside.live = SimpleNamespace(race=SimpleNamespace(runs={"lstm_a": None, "gru_b": None}))
    assert inside._label("lstm_a", one, (one, two)) == "lstm_a 1"
    assert inside._label("lstm_a", one, (one,)) == "lstm_a"
    inside.live = SimpleNamespace(race=SimpleNamespace(runs={"lstm_a": None}))
    assert inside._label("lstm_a", one, (one, two)) == inside._label("lstm_a", one, (one,)) == "1"


def test_a_goal_is_a_line_across_the_chart():
    words = charts.Words("step", "train", "test")
    without, spec = (charts.curve_spec("Return", "", False, ("a", "b"), words, goal=goal) for goal in (None, 475.0))
    rule, label = (layer for layer in spec["layer"] if layer["encoding"].get("y") == {"datum": 475.0})
    assert rule["mark"]["type"] == "rule" and "x" not in rule["encoding"]
    assert label["mark"]["text"] == "475"
    assert len(spec["layer"]) == len(without["layer"]) + 2


def test_numbers_of_an_axis_have_a_precision_of_their_own():
    """Else d3 takes that of one step, a single digit from 0 to 40, and writes 20 as 2e+1."""
    spec = charts.curve_spec("Loss", "", False, ("run",), charts.Words("step", "train", "test"))
    assert spec["layer"][0]["encoding"]["y"]["axis"]["format"] == charts.NUMBERS
    assert "." in charts.NUMBERS


def test_one_dear_drawing_is_not_waited_for(monkeypatch):
    clock, spent = [100.0], [0.0]
    monkeypatch.setattr(live.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(live.time, "thread_time", lambda: spent[0])
    allowance, waits = live.Allowance(0.01), []
    for cost in (0.5, 0.002, 0.5, 0.002, 0.003):  # the first draws all anew; the collector came into the third
        with allowance.spent():
            spent[0] += cost
        waits.append(allowance.next - clock[0])
    assert waits == pytest.approx([0.0, 0.2, 0.4, 0.2, 0.3]), "a hundred times the cost: the share is a hundredth"
