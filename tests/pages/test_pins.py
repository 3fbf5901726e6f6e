"""Pin and compare: what is kept, what the chart and the table make of it, and the buttons on real pages."""

import math
import pickle
import re
import sys
from dataclasses import make_dataclass, replace
from math import inf
from types import SimpleNamespace

import altair as alt
import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.cnn import CNNConfig
from core.cnn import race as cnn_race
from core.config import Config
from core.convolution import ConvolutionConfig
from core.pooling import PoolingConfig
from core.pooling import race as pooling_race
from core.training import Intervention, Metric, Race, Record, Run, replay
from pages.ui import charts, controls, pins, text
from pages.ui.jobs import Job
from pages.ui.palette import SERIES
from tests.lessons import visitor

WORDS = charts.Words("step", "training data", "held-out data")
LOSS, ACCURACY = Metric("Loss"), Metric("Accuracy", "higher", "%")


def told(values, metric="Loss", diverged=False, metrics=(LOSS,)):
    """A run with this held-out history: {step: value}."""
    history = [Record(step, {"train": {metric: 9.0}, "test": {metric: value}}) for step, value in values.items()]
    learner = SimpleNamespace(state=dict)
    return SimpleNamespace(history=history, diverged=diverged, metrics=metrics, config=Config(), learner=learner)


def pin_of(race: dict, number=1, **options) -> pins.Pin:
    lines = tuple(pins.line_of(name, [Run(config)]) for name, config in race.items())
    return pins.Pin(number, number, lines, 0, None, **{"interventions": (), **options})


@pytest.fixture(params=["en", "zh"])
def language(request, monkeypatch):
    monkeypatch.setattr(text, "language", lambda: request.param)
    monkeypatch.setattr(controls, "language", lambda: request.param)
    return request.param


@pytest.fixture
def english(monkeypatch):
    monkeypatch.setattr(text, "language", lambda: "en")
    monkeypatch.setattr(controls, "language", lambda: "en")


# what is kept


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 127, 500, 4001])
def test_a_curve_is_thinned_and_keeps_both_ends(count):
    values = {step: 1 / (step + 1) for step in range(count)}
    points = pins.points_of([values])
    assert len(points.steps) <= charts.PINNED_POINTS
    assert len(points.steps) > min(count, charts.PINNED_POINTS) // 2 - 1
    assert (points.steps[0], points.steps[-1]) == (0, count - 1)
    np.testing.assert_allclose(points.values, [values[step] for step in points.steps], rtol=1e-6)
    assert not points.low and not points.high
    assert sum(column.itemsize for column in points) == pins.POINT_BYTES


def test_several_seeds_are_a_mean_within_a_band_at_the_steps_that_all_have():
    random = np.random.default_rng(0)
    values = random.random((5, 40))
    curves = [dict(enumerate(row)) for row in values]
    points = pins.points_of(curves)
    np.testing.assert_allclose(points.values, values.mean(0), rtol=1e-6)
    np.testing.assert_allclose(points.low, values.min(0), rtol=1e-6)
    np.testing.assert_allclose(points.high, values.max(0), rtol=1e-6)
    for step in range(30, 40):
        del curves[3][step]  # one has diverged
    assert pins.points_of(curves).steps[-1] == 29
    assert not pins.points_of([{}, {1: 2.0}]).steps


def test_scores_know_which_direction_is_better():
    values = {0: 3.0, 1: 0.5, 2: 7.0, 3: float("nan"), 4: float("inf")}
    run = told(values)
    found = [pins.measured(run, "Loss")]
    assert found == [{0: 3.0, 1: 0.5, 2: 7.0}]
    assert pins.score_of(Metric("Loss", "lower"), [run], found) == (0.5, None)
    assert pins.score_of(Metric("Loss", "higher"), [run], found) == (7.0, None)
    assert pins.score_of(LOSS, [run], [{}]) == (None, None)
    assert pins.measured(run, "Return") == {}


def test_the_score_of_several_seeds_is_of_their_last_values_without_those_that_diverged():
    last = [0.5, 0.25, 0.75, 1.0, 0.1]
    runs = [told({0: 0.01, 7: value}, diverged=value == 1.0) for value in last]
    score = pins.score_of(LOSS, runs, [pins.measured(run, "Loss") for run in runs])
    kept = torch.tensor([0.5, 0.25, 0.75, 0.1], dtype=torch.float64)
    assert score == pytest.approx((kept.mean().item(), kept.std().item()))
    assert pins.line_of("run", runs).diverged == 1
    gone = [told({0: 1.0}, diverged=True)] * 5
    assert pins.score_of(LOSS, gone, [{0: 1.0}] * 5) == (None, None)


def test_parameters_are_those_that_learn():
    assert pins.parameters_of(Run(ConvolutionConfig(kernel=5))) == 25
    for config in pooling_race(PoolingConfig()).values():
        run = Run(config)
        assert pins.parameters_of(run) == sum(p.numel() for p in run.learner.network.parameters())
    for config in cnn_race(CNNConfig()).values():
        run = Run(config)
        assert pins.parameters_of(run) == sum(p.numel() for p in run.learner.network.parameters())


def test_a_pin_keeps_no_weights_and_is_small():
    run = replay(ConvolutionConfig(size=8), steps=300)
    pin = pins.Pin(1, 1, (pins.line_of("convolution", [run]),), 300, None, ())
    assert len(pickle.dumps(pin)) < 2 * charts.PINNED_POINTS * pins.POINT_BYTES + 2000
    assert pickle.loads(pickle.dumps(pin)) == pin


def test_a_repetition_is_the_same_however_its_slices_fall():
    changes = (Intervention(20, "learning_rate", 0.002),)
    seeds = (3, 4, 5, 6, 7)
    configs = {pins.key_of("max", seed): ConvolutionConfig(size=8, seed=seed) for seed in seeds}
    lines = []
    for seconds in (1e-9, 30.0):
        job = Job(configs, 70, budget=1e9, planned=changes)
        while job.running:
            job.advance(seconds)
        lines.append(pins.line_of("max", list(job.runs.values())))
    assert lines[0] == lines[1]
    alone = [replay(config, changes, 70) for config in configs.values()]
    for run in alone:
        run.evaluate()
    last = np.array([run.history[-1].scores["test"]["Loss"] for run in alone])
    points = lines[0].points["Loss"]
    assert points.steps[-1] == 70
    np.testing.assert_array_equal(
        np.float32([last.mean(), last.min(), last.max()]), [points.values[-1], points.low[-1], points.high[-1]]
    )
    assert lines[0].scores["Loss"] == pytest.approx((last.mean(), last.std(ddof=1)))


def test_curves_find_free_slots_or_none():
    one, three = pin_of({"run": ConvolutionConfig()}), pin_of(pooling_race(PoolingConfig()))
    assert pins.room_for([], three) == (0, 1, 2)
    taken = [SimpleNamespace(slots=(0, 2)), SimpleNamespace(slots=(3,))]
    assert pins.room_for(taken, one) == (1,)
    assert pins.room_for(taken, three) == (1, 4, 5)
    taken.append(SimpleNamespace(slots=(1,)))
    assert pins.room_for(taken, three) == ()  # never some of a race
    assert pins.room_for(taken, one) == (4,)


# the chart


def overlay_rows(count, band, points=500):
    drawn = []
    for slot in range(count):
        curves = [{step: step + k + 1.0 for step in range(points)} for k in range(5 if band else 1)]
        drawn.append((charts.Pinned(f"{slot + 1} pin", slot, band), str(slot + 1), pins.points_of(curves)))
    return tuple(curve for curve, _, _ in drawn), pins.rows(drawn)


@pytest.mark.parametrize("band", [False, True])
@pytest.mark.parametrize("runs", [("run",), ("max", "average", "none")])
def test_the_specification_is_valid_constant_and_tells_curves_apart_without_colour(runs, band):
    curves, _ = overlay_rows(6, band)
    spec = charts.curve_spec("Loss", "", False, runs, WORDS, charts.HEIGHT, curves)
    assert charts.curve_spec("Loss", "", False, runs, WORDS, charts.HEIGHT, curves) is spec
    alt.Chart.from_dict({name: part for name, part in spec.items() if name != "config"}, validate=True)
    assert "datasets" not in spec and "values" not in str(spec.get("data"))
    sources = [layer.get("data", {}).get("name", spec["data"]["name"]) for layer in spec["layer"]]
    assert set(sources) == {charts.ROWS, charts.PINNED}
    lines = [
        layer for layer in spec["layer"] if layer["mark"]["type"] == "line" and layer.get("data") == {"name": "pinned"}
    ]
    dashes = lines[0]["encoding"]["strokeDash"]["scale"]["range"]
    colours = lines[0]["encoding"]["color"]["scale"]["range"]
    assert len({tuple(dash) for dash in dashes}) == 6
    assert set(colours) <= set(SERIES[max(2, len(runs)) :]), "a colour of a live curve means that curve"
    live = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "line" and "data" not in layer)
    assert live["mark"]["strokeWidth"] > lines[0]["mark"]["strokeWidth"]
    assert any(layer["mark"]["type"] == "text" for layer in spec["layer"])
    assert any(layer["mark"]["type"] == "area" for layer in spec["layer"]) == band


@pytest.mark.parametrize("logarithmic", [False, True])
def test_only_a_logarithmic_axis_draws_a_zero_elsewhere_and_nothing_tells_another_number(logarithmic):
    run = told({0: 1.0, 1: 0.0})
    run.interventions = []
    assert charts.series_rows([(run, "Loss")]).to_pydict()["test0"] == [1.0, 0.0]
    points = pins.points_of([pins.measured(run, "Loss")])
    assert list(points.values) == [1.0, 0.0]
    assert pins.score_in_words(pins.score_of(LOSS, [run], [pins.measured(run, "Loss")]), LOSS) == "0"
    band = charts.Pinned("1 pin", 0, band=True)
    spec = charts.curve_spec("Loss", "", logarithmic, ("a", "b"), WORDS, charts.HEIGHT, (band,))
    found = {"value", "low"}
    for layer in spec["layer"]:
        fields = {name: part["field"] for name, part in layer["encoding"].items() if name in ("y", "y2")}
        moved = {
            step["as"]: step["calculate"] for step in layer.get("transform", ()) if "as" in step and "calculate" in step
        }
        for field in fields.values():
            name = field.removesuffix("_drawn")
            assert moved.get(field) == (f"datum.{name} || 1e-12" if logarithmic else None), "x || y is y where x is 0"
            found.discard(name)
        tooltip = layer["encoding"].get("tooltip", ())
        assert not any(each["field"].endswith("_drawn") for each in tooltip)
    assert not found


def keys_of(spec) -> list:
    """The keys of colours and dashes that a chart draws: a layer's own unless it says that it has none."""
    return [
        layer["encoding"][channel]["legend"]
        for layer in spec["layer"]
        for channel in ("color", "strokeDash")
        if channel in layer["encoding"] and layer["encoding"][channel].get("legend") and "data" not in layer
    ]


def test_the_live_curves_have_one_key_beside_pins():
    curves, _ = overlay_rows(1, False)
    spec = charts.curve_spec("Loss", "", False, ("run",), WORDS, charts.HEIGHT, curves)
    assert len(keys_of(spec)) == 2, "colour and dash of the lines, which are drawn as one"


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_pinned_curve_has_the_colour_of_the_live_run_of_its_name(count):
    race = Race({f"run{i}": ConvolutionConfig(size=4) for i in range(count)})
    for i in range(count):
        assert charts.pinned_colour(5, count, pins.place_in_race(f"run{i}", race)) == SERIES[i]
    assert pins.place_in_race("other", race) is None
    assert all(charts.pinned_colour(slot, count) not in SERIES[:count] for slot in range(pins.LIMIT))


def test_a_pinned_curve_that_diverged_ends_where_it_leaves_the_others_behind():
    points = pins.points_of([{step: 2.0**step for step in range(12)}])
    assert list(pins.below(points, 8.0).values) == [1.0, 2.0, 4.0, 8.0]
    assert pins.below(points, math.inf) == points


def test_a_chart_without_values_says_so_before_the_first_step():
    words = WORDS._replace(waiting="nothing yet")
    (layer,) = [
        each
        for each in charts.curve_spec("Loss", "", False, ("run",), words)["layer"]
        if each["mark"].get("text") == "nothing yet"
    ]
    (found,) = [step["filter"] for step in layer["transform"] if "filter" in step]
    assert "datum.total === 0" in found and "datum.last === 0" in found


def test_without_pins_the_chart_is_as_it_was():
    spec = charts.curve_spec("Loss", "", False, ("run",), WORDS)
    assert "resolve" not in spec and "data" not in spec
    rows = object()
    together = pins.together(rows, spec, pins.Overlay())
    assert together["data"] is rows and together["spec"] is spec


def test_the_whole_chart_stays_under_5000_values():
    race = Race({name: ConvolutionConfig(size=4) for name in "abcdef"})
    for run in race.runs.values():
        run.history += [run.history[-1]._replace(step=step) for step in range(1, 20000, 7)]
    live = charts.curve_rows(race, race.metrics[0])
    for band in (False, True):
        _, pinned = overlay_rows(6, band, 3000)
        assert live.num_rows * live.num_columns + pinned.num_rows * pinned.num_columns < 5000


def test_rows_carry_the_curves_and_one_code_each():
    curves, table = overlay_rows(3, True)
    frame = table.to_pandas()
    for curve in curves:
        rows = frame[frame.curve == curve.label]
        assert (rows.code != "").sum() == 1
        assert rows.step.is_monotonic_increasing
        np.testing.assert_allclose(rows.value, rows.step + 3)
        np.testing.assert_allclose(rows.low, rows.step + 1)
        np.testing.assert_allclose(rows.high, rows.step + 5)
    assert "low" not in overlay_rows(3, False)[1].column_names


# names and the table


def of(config) -> SimpleNamespace:
    """Controls with these defaults, of a lesson that has drawn nothing."""
    return SimpleNamespace(stem="nowhere", default_config=config)


def test_automatic_names_say_what_differs(language):
    lesson = of(ConvolutionConfig())
    zh = language == "zh"
    assert pins.automatic_name(lesson, pin_of({"c": ConvolutionConfig()})) == ("默认设置" if zh else "defaults")
    pin = pin_of({"c": ConvolutionConfig(kernel=5, learning_rate=0.02, flip=True)})
    name = pins.automatic_name(lesson, pin)
    assert name == (
        f"学习率 0.02，{text.term('kernel')} 5，{text.term('flip')} 是" if zh else "lr 0.02, kernel 5, flip on"
    )
    pin.seeds, pin.lines = (7, 8, 9, 10, 11), pin_of({"c": ConvolutionConfig(kernel=5, seed=7)}).lines
    assert pins.automatic_name(lesson, pin) == (f"{text.term('kernel')} 5（5 个种子）" if zh else "kernel 5 (5 seeds)")
    pin.interventions, pin.seeds = (Intervention(5, "learning_rate", 0.1),), ()
    assert pins.automatic_name(lesson, pin).endswith("学习率 → 0.1" if zh else "lr → 0.1")
    pin.name = "mine"
    assert pins.name_of(lesson, pin) == "mine"


def test_a_race_is_named_by_what_its_runs_share(english):
    lesson = of(PoolingConfig())
    pin = pin_of(pooling_race(PoolingConfig(kernel=3)), number=2)
    assert pins.automatic_name(lesson, pin) == "kernel 3"
    assert [pin.code(place) for place in range(3)] == ["2a", "2b", "2c"]
    assert pins.line_name(lesson, pin, pin.lines[2]) == "kernel 3 · strided conv"


def test_words_of_a_control_are_used(english, monkeypatch):
    labels = {"kernel": ("Kernel size k", None), "hidden": ("Kernel", {"blur": "Blur"}.get)}
    monkeypatch.setattr(pins, "worded", lambda stem: labels)
    assert pins.label_of("c", "kernel") == "Kernel size k"
    assert pins.value_in_words("c", "hidden", "blur") == "Blur"
    assert pins.value_in_words("c", "hidden", "gone") == "gone"  # of another version
    assert pins.value_in_words("c", "hidden", ["unhashable"]) == "['unhashable']"
    assert pins.value_in_words("c", "weights", tuple(range(50))).endswith("…")


def test_only_settings_that_differ_between_races_are_compared():
    base = PoolingConfig()
    races = [pooling_race(base), pooling_race(replace(base, kernel=3)), pooling_race(replace(base, seed=4))]
    assert pins.differing(races) == ["seed", "kernel"]  # and not `pooling`, by which the runs of one race differ
    assert pins.differing(races[:1] * 3) == []
    assert pins.differing([{"a": ConvolutionConfig(size=9)}, {"b": ConvolutionConfig()}]) == ["size"]
    networks = [cnn_race(CNNConfig()), cnn_race(CNNConfig(kernel=5))]
    assert "kernel" in pins.differing(networks)


def older() -> Config:
    """A config of the convolution lesson as an earlier version of it may have had: a field gone, another not there."""
    old = make_dataclass("ConvolutionConfig", [("kernel", int, 3), ("gone", int, 1)], bases=(Config,), frozen=True, kw_only=True)  # fmt: skip
    old.__module__ = "core.convolution"
    return old(kernel=6)


def test_a_config_of_another_version_is_noticed():
    assert pins.is_current(ConvolutionConfig())
    assert not pins.is_current(older())
    assert pins.differing([{"c": older()}, {"c": ConvolutionConfig()}, {"c": ConvolutionConfig(size=9)}]) == ["size"]
    vanished = older()
    type(vanished).__module__ = "core.no_such_lesson"
    assert "core.no_such_lesson" not in sys.modules and not pins.is_current(vanished)


@pytest.mark.parametrize(
    ("score", "metric", "words"),
    [
        (None, LOSS, "–"),
        (pins.Score(None), LOSS, "–"),
        (pins.Score(2.3), LOSS, "2.30"),
        (pins.Score(0.03125317), LOSS, "0.0313"),
        (pins.Score(0.96812), ACCURACY, "96.8%"),
        (pins.Score(0.96812, 0.00349), ACCURACY, "96.8% ± 0.3%"),
        (pins.Score(0.123456, 0.0123), LOSS, "0.123 ± 0.012"),
        (pins.Score(12.3456, 1.23), LOSS, "12.3 ± 1.2"),
        (pins.Score(123.456, 45.6), LOSS, "123 ± 46"),
        (pins.Score(0.5, 0.0), LOSS, "0.5 ± 0"),
        (pins.Score(1.3e-12, 4.2e-14), LOSS, "1.3e-12 ± 4e-14"),
    ],
)
def test_scores_have_sensible_digits(score, metric, words):
    assert pins.score_in_words(score, metric) == words


def test_the_table_escapes_what_a_viewer_typed(english):
    row = pins.Row("", "1", "<script>alert(1)</script>", ["a & b"], ["1"], "")
    drawn = pins.html(["<i>"], ["Steps"], [row])
    assert "<script>" not in drawn and "&lt;script&gt;" in drawn and "a &amp; b" in drawn and "<i>" not in drawn
    assert 'tabindex="0"' in drawn and "Changed on the way" not in drawn


# on the page


def open_page(stem: str, language: str = "en", **parameters) -> AppTest:
    return visitor(stem, lang=language, **parameters).run()


def table(app: AppTest) -> list[list[str]]:
    """The table's cells as text, its head first; empty where there is none."""
    drawn = [each.proto.body for each in app.get("html") if 'class="pins"' in each.proto.body]
    lines = re.findall(r"<tr>(.*?)</tr>", drawn[0], re.S) if drawn else []
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.S) for line in lines]
    return [[" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in line] for line in cells]


def names(app: AppTest) -> list[str]:
    return [line[0] for line in table(app)[1:]]


def steps(app: AppTest, stem: str, count: int = 2) -> None:
    for _ in range(count):
        app.button(key=f"{stem}_step").click().run()


def messages(app: AppTest) -> str:
    return "\n".join(str(each.value) for each in (*app.markdown, *app.caption))


def chart(app: AppTest):
    return app.get("vega_lite_chart")[0].proto


def test_pin_compare_rename_remove():
    app = open_page("convolution")
    assert not table(app) and not chart(app).datasets
    app.button(key="convolution_pin").click().run()
    assert not table(app) and "Nothing is trained yet" in messages(app)
    steps(app, "convolution")
    app.button(key="convolution_pin").click().run()
    assert names(app) == ["1 defaults", "now"]
    app.button(key="convolution_pin").click().run()
    assert names(app) == ["1 defaults", "now"] and "pinned already" in messages(app)
    app.slider(key="convolution_kernel").set_value(5).run()
    steps(app, "convolution", 3)
    app.button(key="convolution_pin").click().run()
    head, first, second, now = table(app)
    assert head == ["Name", "Kernel size k", "Parameters", "Steps", "Steps/s", "Loss ↓", "Kernel error ↓"]
    assert first[:5] == ["1 defaults", "3", "9", "2", "–"]
    assert second[:5] == ["2 kernel 5", "5", "25", "3", "–"]
    assert now[1:] == second[1:]
    assert {dataset.name for dataset in chart(app).datasets} == {charts.ROWS, charts.PINNED}
    assert "2 kernel 5" in chart(app).spec and "1 defaults" in chart(app).alt
    identity = app.session_state["convolution_pins"][1].identity
    app.text_input(key=f"convolution_pin_name_{identity}").set_value(" my  <b>best</b> ").run()
    assert "&lt;b&gt;" in names(app)[1]
    app.button(key=f"convolution_pin_remove_{app.session_state['convolution_pins'][0].identity}").click().run()
    assert len(names(app)) == 2 and names(app)[0].startswith("2 my")
    steps(app, "convolution", 1)
    app.button(key="convolution_pin").click().run()
    assert names(app)[0] == "1 kernel 5"  # the free number is used again
    app.button(key="convolution_pin_remove_all").click().run()
    assert not table(app) and not app.session_state["convolution_pins"] and not chart(app).datasets
    assert not app.exception


def test_pins_survive_pages_and_languages():
    app = open_page("convolution", "zh", convolution_kernel="5")
    steps(app, "convolution")
    app.button(key="convolution_pin").click().run()
    assert names(app) == ["1 卷积核大小 5", "现在"]
    steps(app, "convolution")
    app.button(key="convolution_pin").click().run()
    identity = app.session_state["convolution_pins"][1].identity
    app.text_input(key=f"convolution_pin_name_{identity}").set_value("我的").run()
    app.switch_page("pages/pooling.py").run()
    assert not app.exception and not table(app)
    app.switch_page("pages/convolution.py").run()
    assert names(app) == ["1 卷积核大小 5", "2 我的", "现在"]
    app.segmented_control(key="lang").set_value("en").run()
    assert names(app) == ["1 kernel 5", "2 我的", "now"]
    assert app.session_state["convolution_pins"][1].name == "我的"
    assert not app.exception


def test_a_race_is_one_pin_and_says_when_the_chart_is_full():
    app = open_page("pooling")
    steps(app, "pooling", 1)
    app.button(key="pooling_pin").click().run()
    assert names(app)[:3] == ["1a defaults · max", "1b defaults · average", "1c defaults · strided conv"]
    for count in (1, 1):
        steps(app, "pooling", count)
        app.button(key="pooling_pin").click().run()
    pinned = app.session_state["pooling_pins"]
    assert [pin.slots for pin in pinned] == [(0, 1, 2), (3, 4, 5), ()]
    assert "number 3 is in the table only" in messages(app) and "Not drawn: 3" in messages(app)
    shown = app.toggle(key=f"pooling_pin_shown_{pinned[2].identity}")
    assert shown.disabled and not shown.value
    app.toggle(key=f"pooling_pin_shown_{pinned[0].identity}").set_value(False).run()
    app.toggle(key=f"pooling_pin_shown_{pinned[2].identity}").set_value(True).run()
    assert [pin.slots for pin in app.session_state["pooling_pins"]] == [(), (3, 4, 5), (0, 1, 2)]
    assert "Not drawn: 1" in messages(app)
    assert not app.exception


def test_six_pins_are_the_limit():
    app = open_page("convolution")
    for _ in range(6):
        steps(app, "convolution", 1)
        app.button(key="convolution_pin").click().run()
    assert len(app.session_state["convolution_pins"]) == 6
    assert app.button(key="convolution_pin").disabled and app.button(key="convolution_repeat").disabled
    assert "6 pins: remove one" in messages(app)
    assert len({curve for pin in app.session_state["convolution_pins"] for curve in pin.slots}) == 6
    assert not app.exception


def test_five_seeds():
    app = open_page("convolution", convolution_seed="9998", convolution_size="8")
    steps(app, "convolution")
    app.select_slider(key="convolution_lr").set_value(0.02).run()
    app.button(key="convolution_repeat").click().run()
    repetition = app.session_state["convolution_repetition"]
    assert repetition.seeds == (9998, 9999, 0, 1, 2)  # there is no seed 10,000
    assert repetition.job.steps == 100 and app.button(key="convolution_repeat").disabled
    assert repetition.job.planned == ((2, "learning_rate", 0.02),)
    app.button(key="convolution_repetition_job_cancel").click().run()
    assert "cancelled" in messages(app) and not table(app)
    app.button(key="convolution_repeat").click().run()
    job = app.session_state["convolution_repetition"].job
    job.budget = inf
    job.advance(inf)
    app.run()
    assert not app.exception
    assert names(app)[0].endswith("(5 seeds)")
    head, repeated, _ = table(app)
    assert "±" in repeated[head.index("Loss ↓")]
    assert repeated[head.index("Steps")] == "100"
    assert "band: from lowest to highest" in messages(app) and "seeds 9998…2, 100 steps each" in messages(app)
    pin = app.session_state["convolution_pins"][0]
    points = pin.lines[0].points["Loss"]
    assert all(low <= mean <= high for low, mean, high in zip(points.low, points.values, points.high, strict=True))
    assert '"area"' in chart(app).spec
    app.button(key=f"convolution_pin_remove_{pin.identity}").click().run()
    assert '"area"' not in chart(app).spec and not app.exception


def test_a_repetition_that_was_stopped_says_so():
    app = open_page("convolution", convolution_size="4")
    app.button(key="convolution_repeat").click().run()
    job = app.session_state["convolution_repetition"].job
    job.advance(1e-9)
    job.spent = job.budget  # as if it had taken long
    app.run()
    assert "the time was up, 100 steps were asked for" in messages(app)
    assert not app.exception


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_pin_of_another_version_keeps_its_curve_and_says_so(language):
    app = open_page("convolution", language)
    steps(app, "convolution")
    app.button(key="convolution_pin").click().run()
    pin = app.session_state["convolution_pins"][0]
    pin.lines = (pin.lines[0]._replace(config=older(), scores={}),)
    app.slider(key="convolution_kernel").set_value(4).run()
    steps(app, "convolution", 1)
    app.button(key="convolution_pin").click().run()
    app.slider(key="convolution_kernel").set_value(2).run()
    assert not app.exception
    head, old, *_ = table(app)
    assert old[1] == ("another version" if language == "en" else "别的版本") and len(old) == len(head)
    assert ("another version of this lesson" if language == "en" else "另一个版本") in messages(app)
    assert {dataset.name for dataset in chart(app).datasets} == {charts.ROWS, charts.PINNED}
