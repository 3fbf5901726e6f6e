"""The CNN lesson through the entrypoint, its pictures as pure functions, and the canvas."""

from __future__ import annotations

import base64
import json
import re
from functools import partial

import pytest
import torch
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.testing.v1 import AppTest

from core.architectures import ARCHITECTURES
from core.cnn import PRESETS, CNNConfig, layers, parameter_count, trace, window_of
from core.data.digits import load
from core.training import Run
from pages.ui import canvas
from pages.ui import pictures_cnn as pictures
from pages.ui.controls import Controls
from pages.ui.live import Live
from pages.ui.scene import payload
from tests.lessons import open_lesson, presets_of, visitor

open_page = partial(open_lesson, "cnn")

LANGUAGES = ("zh", "en")


def run_of(app: AppTest):
    return app.session_state["cnn_race"].runs["cnn"]


def tables(app: AppTest) -> list[list[list[str]]]:
    """The layer tables on the page as rows of cells, without their heads."""
    found = [text.value for text in app.markdown if text.value.startswith("|")]
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]] for text in found]


def number(cell: str) -> int:
    return int(cell.strip("*").replace(",", "") or 0)


# ---- the page --------------------------------------------------------------------------------------------------------


def offered(row) -> list[str]:
    """The presets that the page offers, of the core's."""
    chosen, names = row.value, []
    for name in PRESETS:
        try:
            row.set_value(name).indices  # noqa: B018, asks for the place of this preset in the row
        except ValueError:
            continue
        names.append(name)
    row.set_value(chosen)
    return names


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_preset_opens_and_says_why(language):
    app = open_page(language)
    row = app.pills(key="cnn_preset")
    assert len(row.options) >= 8
    for name in offered(row):
        app.pills(key="cnn_preset").set_value(name).run()
        assert not app.exception and not app.error
        config = PRESETS[name]
        assert run_of(app).config == config
        assert any("0" in text.value and len(text.value) > 20 for text in app.caption)
        assert number(tables(app)[0][-1][2]) == parameter_count(config)


def test_what_a_row_of_presets_that_is_gone_still_tells_is_no_choice():
    """A second move that is under way before the browser knows that the first has left the preset."""
    app = open_page()
    outdated = presets_of(app)._widget_state
    app.slider(key="cnn_kernel").set_value(4).run()
    app.slider(key="cnn_kernel").set_value(5)
    row = presets_of(app)._widget_state
    sent = [state for state in app._tree.get_widget_states().widgets if state.id != row.id]
    app._run(WidgetStates(widgets=[*sent, outdated]))
    assert run_of(app).config.kernel == 5 and presets_of(app).value is None
    presets_of(app).set_value("default").run()
    assert run_of(app).config == PRESETS["default"] and presets_of(app).value == "default"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_layer_table_is_the_cores_and_adds_up(language):
    app = open_page(language, blocks=3, channels_2=5, hidden=20, data="upsampled")
    rows, own = layers(run_of(app).config), tables(app)[0]
    assert run_of(app).config.channels_2 == 5
    assert len(own) == len(rows) + 1
    for shown, row in zip(own, rows, strict=False):
        assert (number(shown[2]), number(shown[5])) == (row.parameters, row.multiply_adds)
        assert str(row.channels) in shown[1].split("×")[0]
        if row.kind in ("convolution", "max"):
            assert (shown[3], shown[4]) == (f"{row.receptive_field}×{row.receptive_field}", str(row.jump))
    learned = sum(parameter.numel() for parameter in CNNConfig.network(run_of(app).config).parameters())
    assert number(own[-1][2]) == sum(number(shown[2]) for shown in own[:-1]) == learned
    assert number(own[-1][5]) == sum(number(shown[5]) for shown in own[:-1])


@pytest.mark.parametrize("network", ARCHITECTURES)
def test_published_networks_say_where_they_come_from_in_both_languages(network):
    told = {}
    for language in LANGUAGES:
        app = open_page(language, network=network)
        (told[language],) = (each.value for each in app.caption if each.value.startswith(ARCHITECTURES[network].source))
    note = told["zh"].removeprefix(ARCHITECTURES[network].source)
    assert re.search("[\u4e00-\u9fff]", note) and not re.search("[\u4e00-\u9fff]", told["en"])
    assert ("227" in note) is network.startswith("AlexNet")


def test_the_table_says_what_a_unit_of_every_layer_sees():
    """Of the head's units the whole digit, unless a stride leaves its last row and column out."""
    fields = [row[3] for row in tables(open_page(hidden=8))[0]]
    assert fields[:6] == ["", "3×3", "4×4", "8×8", "10×10", "10×10"] and fields[6:] == ["all", "all", ""]
    fields = [row[3] for row in tables(open_page("zh", blocks=1, kernel=1, stride=3, pooling="none"))[0]]
    assert fields == ["", "1×1", "1×1", "7×7", ""]


def test_published_networks_stand_as_tables():
    app = open_page(network="VGG-16")
    assert number(tables(app)[1][-1][2]) == 138_357_544
    app = open_page(network="LeNet-5")
    assert number(tables(app)[1][-1][2]) == 60_000
    assert len(tables(app)[1]) == len(ARCHITECTURES["LeNet-5"].table()) + 1


def test_the_kernel_slider_changes_the_numbers_and_starts_afresh():
    app = open_page()
    app.button(key="cnn_step").click().run()
    before, steps = tables(app)[0], run_of(app).steps
    app.slider(key="cnn_kernel").set_value(5).run()
    assert not app.exception and steps == 1 and run_of(app).steps == 0
    assert tables(app)[0] != before
    assert number(tables(app)[0][1][2]) == 8 * 25 + 8
    assert any("5\\times5" in element.value for element in app.latex)
    assert app.query_params["cnn_kernel"] in ("5", ["5"])


def test_the_default_padding_keeps_every_kernel_trainable():
    app = open_page(blocks=3)
    for kernel in range(1, 8):
        app.slider(key="cnn_kernel").set_value(kernel).run()
        assert not app.exception and not app.error
        app.button(key="cnn_step").click().run()
        assert run_of(app).config.kernel == kernel and run_of(app).steps == 1


@pytest.mark.parametrize(("language", "words"), [("zh", "放不下"), ("en", "does not fit")])
def test_impossible_geometry_is_said_and_the_last_picture_stays(language, words):
    app = open_page(language)
    app.slider(key="cnn_kernel").set_value(7).run()
    app.slider(key="cnn_padding").set_value(0).run()
    assert not app.exception
    assert words in app.error[0].value and "7×7" in app.error[0].value
    assert (run_of(app).config.kernel, run_of(app).config.padding) == (7, -1)
    app.button(key="cnn_step").click().run()
    assert not app.exception and run_of(app).steps == 1
    app.slider(key="cnn_padding").set_value(3).run()
    assert not app.error and run_of(app).config.padding == 3


def test_a_pooling_that_does_not_fit_names_its_block():
    app = open_page(blocks=3, stride=2)
    assert "pooling window of block 2" in app.error[0].value
    assert run_of(app).config == CNNConfig()


def test_a_blocks_own_values_come_from_the_address_and_from_its_sliders():
    app = open_page(kernel_1=5, pooling_2="average")
    assert [row.kernel for row in layers(run_of(app).config) if row.kind == "convolution"] == [5, 3]
    assert layers(run_of(app).config)[4].kind == "average"
    app.slider(key="cnn_channels_2").set_value(3).run()
    assert not app.exception and run_of(app).config.channels_2 == 3
    assert number(tables(app)[0][3][2]) == 3 * 8 * 9 + 3
    app.slider(key="cnn_channels_2").set_value(0).run()
    assert number(tables(app)[0][3][2]) == 8 * 8 * 9 + 8


def test_the_race_has_a_rival_of_equal_size_on_the_same_data():
    app = open_page()
    app.toggle(key="cnn_rival").set_value(True).run()
    app.button(key="cnn_shift").click().run()
    app.button(key="cnn_step").click().run()
    assert not app.exception
    runs = app.session_state["cnn_race"].runs
    assert list(runs) == ["cnn", "fully_connected"]
    assert {run.config.data for run in runs.values()} == {"shifted"} and {run.steps for run in runs.values()} == {1}
    sizes = [parameter_count(run.config) for run in runs.values()]
    assert abs(sizes[0] - sizes[1]) < 0.1 * sizes[0]


@pytest.mark.parametrize("look", ["evidence", "excitement", "errors"])
def test_a_closer_look_opens_in_the_middle_of_training(look):
    app = open_page("zh", look=look, block=2, pooling="none", blocks=2)
    app.button(key="cnn_step").click().run()
    assert not app.exception and run_of(app).steps == 1


@pytest.mark.parametrize("look", ["evidence", "excitement", "errors"])
def test_a_closer_look_is_drawn_anew_while_it_trains(look, monkeypatch):
    drawn = []
    monkeypatch.setattr(Live, "picture", lambda self, draw, run=None, on_click=None: drawn.append((draw, on_click)))
    open_page(look=look)
    draw, on_click = drawn[-1]
    assert getattr(draw, "func", draw) is getattr(pictures, look)
    if look == "errors":  # a click on a wrong digit makes it the digit of all pictures
        put = {}
        monkeypatch.setattr(Controls, "put", lambda self, **values: put.update(values))
        on_click(["m17", 0, 0])
        assert put == {"digit": 17}


def test_every_channel_can_be_looked_at(monkeypatch):
    drawn = []
    monkeypatch.setattr(Live, "picture", lambda self, draw, run=None, on_click=None: drawn.append(draw))
    app = open_page(channels=20, look="excitement", group=3)
    choice = app.segmented_control(key="cnn_group")
    assert choice.options == ["1–8", "9–16", "17–20"]
    scene = drawn[-1](run_of(app).config, run_of(app).snapshot())
    words = [item["s"] for figure in scene.figures for item in figure.items if item["t"] == "text"]
    assert [each for each in words if each.startswith("Channel")] == [f"Channel {number}" for number in range(17, 21)]
    assert "17–20 shown" in str(
        [figure.items for figure in drawn[0](run_of(app).config, run_of(app).snapshot()).figures]
    )
    app.slider(key="cnn_channels").set_value(8).run()
    assert not app.exception and app.session_state["settings"]["cnn_group"] == 1
    assert not [each for each in app.get("button_group") if each.key == "cnn_group"]


def test_a_value_that_is_none_leaves_a_note():
    app = open_page(noted=True, digit=9999, pooling="median", data="mnist", kernel=3)
    assert not app.exception
    assert all(key in app.warning[0].value for key in ("cnn_digit", "cnn_pooling", "cnn_data"))
    assert run_of(app).config == CNNConfig()


def test_language_switch_and_a_visit_elsewhere_keep_controls_and_the_drawing(monkeypatch):
    read, reading = [], pictures.reading
    monkeypatch.setattr(pictures, "reading", lambda *state, drawing: read.append(drawing) or reading(*state, drawing))
    strokes = [[10, 10, 200, 200]]
    app = visitor(lang="en")
    app.session_state["cnn_canvas_strokes"] = strokes
    app.run().switch_page("pages/cnn.py").run()
    app.slider(key="cnn_digit").set_value(17).run()
    app.slider(key="cnn_channels").set_value(5).run()
    app.segmented_control(key="lang").set_value("zh").run()
    app.switch_page("pages/home.py").run()
    app.switch_page("pages/cnn.py").run()
    assert not app.exception
    assert (app.slider(key="cnn_digit").value, app.slider(key="cnn_channels").value) == (17, 5)
    assert app.session_state["cnn_canvas_strokes"] == strokes
    assert torch.equal(read[-1], canvas.ink(strokes)) and read[-1].any()


# ---- the pictures ----------------------------------------------------------------------------------------------------


def maps_in(scene) -> dict[str, dict]:
    return {item["n"]: item for figure in scene.figures for item in figure.items if item["t"] in ("map", "maps")}


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("name", ["default", "lenet", "three_blocks", "strided", "one_channel"])
def test_the_flow_shows_what_the_network_computes(name, group):
    """Eight channels at a time; of a layer that has no more than eight, these."""
    run = Run(PRESETS[name])
    config, snapshot = run.config, run.snapshot()
    maps = maps_in(pictures.flow(config, snapshot, digit=3, group=group))
    stages = trace(config, snapshot.state, load(config.data).test_images[3:4])
    for block, expected in enumerate(stages.feature_maps, start=1):
        expected = expected[0, 8:16] if group == 2 and expected.shape[1] > 8 else expected[0, :8]
        assert (maps[f"f{block}."]["k"], maps[f"f{block}."]["r"]) == expected.shape[:2]
        assert maps[f"f{block}."]["d"] == pictures_bytes(expected)
    last = stages.pooled[-1][0]
    last = last[8:16] if group == 2 and len(last) > 8 else last[:8]
    assert maps["v"]["d"] == pictures_bytes(last.flatten(1))


def pictures_bytes(values: torch.Tensor) -> str:
    return base64.b64encode(values.half().contiguous().numpy().tobytes()).decode()


@pytest.mark.parametrize(
    "config",
    [
        CNNConfig(),
        CNNConfig(kernel=4, pooling="average"),
        CNNConfig(data="shifted", blocks=3, stride_1=2, kernel_2=5),
        CNNConfig(kernel=2, stride=2),
    ],
)
def test_a_cell_lights_up_the_pixels_that_it_sees(config):
    scene = pictures.flow(config, Run(config).snapshot(), digit=0)
    for name, item in maps_in(scene).items():
        layer = {"f": "convolution", "p": "pooling"}.get(name[0])
        if layer is None:
            continue
        link = next(link for link in item["links"] if link.to == "digit")
        for row, column in ((0, 0), (item["r"] - 1, 0), (item["r"] // 2, item["c"] - 1)):
            (top, bottom), (left, right) = link.spans[row], link.spans[column]
            assert (top, left, bottom, right) == window_of(config, f"{layer}_{name[1]}", row, column)


@pytest.mark.parametrize("data", ["plain", "shifted"])
def test_each_small_digit_is_the_next_of_its_class(data):
    labels = load(data).test_labels.tolist()
    for digit in (0, 40, len(labels) - 1):
        (figure,) = pictures.held_out_classes(data, digit).figures
        links = [int(item["go"]) for item in figure.items if item.get("go")]
        assert [labels[place] for place in links] == list(range(10)) and digit not in links
        for label, place in enumerate(links):
            between = (place - digit) % len(labels)
            assert all(labels[(digit + steps) % len(labels)] != label for steps in range(1, between))
        framed = [item for item in figure.items if item["t"] == "rect" and item["ink"] == "primary"]
        assert len(framed) == 1
    (locked,) = pictures.held_out_classes(data, 0, locked=True).figures
    assert not any(item.get("go") for item in locked.items)


@pytest.mark.parametrize("name", PRESETS)
def test_a_frame_is_small(name):
    run = Run(PRESETS[name])
    frames = (
        pictures.flow(run.config, run.snapshot(), 0),
        pictures.evidence(run.config, run.snapshot(), 0, 3),
        pictures.reading(run.config, run.snapshot(), canvas.ink([[10, 10, 200, 200]])),
    )
    assert sum(len(json.dumps(payload(scene))) for scene in frames) < 40_000


def test_weight_times_map_adds_up_to_the_score():
    run = Run(CNNConfig(hidden=16))
    figures = pictures.evidence(run.config, run.snapshot(), digit=5, label=7).figures
    score = trace(run.config, run.snapshot().state, load().test_images[5:6]).scores[0, 7].item()
    words = " ".join(item["s"] for item in figures[2].items if item["t"] == "text")
    assert f"{score:+.2f}".replace("-", "−") in words


def test_a_mosaic_keeps_each_kernel_whole():
    weights = torch.arange(2 * 3 * 4, dtype=torch.float32).reshape(2, 3, 2, 2)
    tiles = pictures.mosaic(weights, across=2)
    assert tiles.shape == (2, 4, 4)
    assert torch.equal(tiles[1, :2, 2:], weights[1, 1]) and torch.equal(tiles[1, 2:, :2], weights[1, 2])


# ---- the canvas ------------------------------------------------------------------------------------------------------


def test_strokes_become_ink():
    line = canvas.ink([[0, 128, 256, 128]])
    rows = line.any(1).nonzero().flatten()
    assert rows.float().mean() == pytest.approx(31.5, abs=0.5) and len(rows) * 4 == pytest.approx(canvas.PEN, abs=4)
    assert line[32].all()
    dot = canvas.ink([[128, 128]])
    assert 0 < dot.sum() < 60
    assert torch.equal(canvas.ink([[0, 128, 256, 128], [128, 128]]), (line + dot > 0).float())


@pytest.mark.parametrize(
    "strokes", [None, [], 3, "abc", [[]], [["a", 1]], [[1]], [None], {"x": 1}, [[float("nan"), 1]]]
)
def test_what_is_no_stroke_leaves_no_ink(strokes):
    assert canvas.ink(strokes).sum() == 0


def test_stages_are_shared_by_pictures_of_one_moment_and_by_no_others():
    run = Run(CNNConfig())
    first = run.snapshot().state
    run.step()
    second = run.snapshot().state
    for config, state, digit in ((CNNConfig(), first, 0), (CNNConfig(), second, 0), (CNNConfig(), second, 5)):
        stages = pictures.stages_of(config, state, digit)
        alone = trace(config, state, load(config.data).test_images[digit : digit + 1])
        assert torch.equal(stages.scores, alone.scores) and torch.equal(stages.images, alone.images)
        assert pictures.stages_of(config, state, digit) is stages
