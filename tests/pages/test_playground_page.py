"""The playground through the entrypoint: building, editing, own points, and what its pictures and captions say."""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.testing.v1 import AppTest

from core.data.points import EDGE, make_points
from core.data.series import SERIES_REASONS, SERIES_REPAIRS
from core.data.tables import REASONS, REPAIRS, Repair, TableError
from core.playground import (
    DATA,
    INPUTS,
    OWN_CLASSES,
    OWN_VALUES,
    PRESETS,
    PlaygroundConfig,
    SeedRace,
    answer_map,
    parameter_count,
    points_of,
    weight_names,
)
from core.training import Intervention, Run, Snapshot, replay
from pages.ui import own_file, own_points
from pages.ui import pictures_playground as pictures
from pages.ui import questions_playground as asked
from pages.ui.address import LONGEST
from pages.ui.jobs import Job
from pages.ui.palette import SERIES
from pages.ui.scene import SIGNS
from tests.lessons import open_lesson, presets_of, visitor

open_page = partial(open_lesson, "playground")


def opened(app: AppTest, *parts: str) -> AppTest:
    for part in parts:
        app.session_state[f"playground_{part}"] = True
    app.run()
    assert not app.exception
    return app


def config_of(app: AppTest) -> PlaygroundConfig:
    (config,) = app.session_state["playground_race"].configs.values()
    return config


def run_of(app: AppTest) -> Run:
    (run,) = app.session_state["playground_race"].runs.values()
    return run


def snapshot(config: PlaygroundConfig, steps: int = 0) -> Snapshot:
    return replay(config, steps=steps).snapshot()


def drawn(scene) -> list[dict]:
    return [item for figure in scene.figures for item in figure.items]


# The page


def test_it_opens_with_its_parts_and_at_a_pace():
    app = open_page("zh")
    scenes = len(app.get("bidi_component"))
    app = opened(app, "data_more", "network_more", "learning_more", "bent", "counted", "checked", "inside")
    assert len(app.get("bidi_component")) == scenes + 3, "what stands below the panel is drawn too"
    assert app.select_slider(key="playground_speed").value == "300"
    titles = [json.loads(chart.proto.spec)["title"]["text"] for chart in app.get("vega_lite_chart")]
    assert titles[:2] == ["损失", "准确率"] and len(titles) == 5, "three groups of metrics beside the lesson's own"
    assert [box.label for box in app.selectbox if "激活函数" in box.label] == [
        "激活函数", "第 1 层的激活函数", "第 2 层的激活函数"
    ]  # fmt: skip


def test_the_formula_has_the_numbers_of_now():
    app = open_page(chosen="weight_1_2_1")
    weights, bias = run_of(app).snapshot().state["weight_1"][1].tolist(), run_of(app).snapshot().state["bias_1"][1]
    text = "\n".join(element.value for element in app.latex)
    assert rf"a^{{(1)}}_{{2}} = \tanh(&{weights[0]:+.2f}".replace("(&+", "(&") in text
    assert f"{weights[1]:+.2f}\\,x_2{bias.item():+.2f}" in text


def test_each_layer_can_have_its_own_activation():
    app = opened(open_page(), "network_more")
    app.selectbox(key="playground_activation_1").set_value("relu").run()
    assert config_of(app).activations == ("tanh", "relu")
    app.selectbox(key="playground_activation_1").set_value("tanh").run()
    assert config_of(app).activations == () and not app.exception


def test_an_edit_by_hand_is_an_intervention_in_the_link():
    app = open_page(chosen="weight_2_1_3")
    app.button(key="playground_step").click().run()
    field = next(field for field in app.number_input if field.key.startswith("playground_edit_"))
    before = run_of(app).snapshot().state["weight_2"][0, 2].item()
    assert field.value == pytest.approx(before, abs=1e-4)
    field.set_value(3.0).run()
    assert run_of(app).interventions == [Intervention(1, "weight_2_1_3", 3.0)]
    assert run_of(app).snapshot().state["weight_2"][0, 2].item() == 3.0
    assert "weight_2_1_3" in str(app.query_params["playground_did"])
    again = open_page(did="1~weight_2_1_3~3.0")
    again.button(key="playground_step").click().run()
    assert torch.equal(run_of(again).learner.parameters, run_of(app).learner.parameters)


def test_a_weight_that_is_gone_is_no_longer_chosen():
    app = open_page(chosen="weight_3_1_2")
    app.session_state["settings"]["playground_layers"] = (4,)
    app.run()
    assert app.selectbox(key="playground_chosen").value == "weight_1_1_1"


def test_regression_has_its_own_controls():
    app = opened(open_page(data="plane", loss="squared"), "learning_more", "counted")
    assert app.selectbox(key="playground_loss").options == ["automatic", "squared error"]
    app = open_page(loss="cross_entropy")
    app.selectbox(key="playground_data").set_value("plane").run()
    assert not app.exception and not app.error and config_of(app).loss == "auto"


# Small pictures of the data sets


def small_pictures(app: AppTest) -> list:
    return [each for each in app.get("bidi_component") if each.proto.id.endswith("-playground_data_sets")]


def sent(shown) -> str:
    return shown.proto.json or shown.proto.mixed.json


def touch(app: AppTest, name: str) -> AppTest:
    """As the browser tells of a click on a small picture."""
    states = app._tree.get_widget_states()
    (shown,) = small_pictures(app)
    event = json.dumps([{"event": "go", "value": name}])
    states.widgets.add(id=_make_trigger_id(shown.proto.id, "events"), json_trigger_value=event)
    app._run(states)
    assert not app.exception
    return app


@pytest.mark.parametrize(
    ("name", "before"), [("spiral", {}), ("plane", {"loss": "cross_entropy"}), ("moons", {"data": OWN_CLASSES})]
)
def test_a_click_on_a_small_picture_is_a_choice_in_the_list(name, before):
    app, listed = open_page(**before), open_page(**before)
    touch(app, name)
    listed.selectbox(key="playground_data").set_value(name).run()
    assert app.selectbox(key="playground_data").value == config_of(app).data == name
    assert config_of(app) == config_of(listed) and not app.error and not app.warning
    assert app.query_params == listed.query_params
    assert touch(app, "gibberish").selectbox(key="playground_data").value == name


@pytest.mark.parametrize(
    ("name", "value", "possible"),
    [("layers", "~".join("1" * 7), "0–6 × 1–8"), ("points", "1~2", "2–2,000 × (x₁, x₂, y)")],
)
def test_what_a_link_may_say_is_told_in_no_language(name, value, possible):
    for language in ("zh", "en"):
        app = visitor("playground", lang=language, **{f"playground_{name}": value}).run()
        assert possible in app.warning[0].value
        assert (
            re.findall("[A-Za-z]{3,}", app.warning[0].value.replace(f"playground_{name}", "")) == [] or language == "en"
        )


def test_small_pictures_are_hidden_and_locked_with_the_list():
    (shown,) = small_pictures(open_page())
    assert '"go": "xor"' in sent(shown)
    locked = visitor("playground", lang="en", lock="data").run()
    (shown,) = small_pictures(locked)
    assert '"go"' not in sent(shown) and "XOR" in sent(shown)
    assert sent(shown).count(f'"opacity": {pictures.DIMMED}') == 8, "all but the chosen one are pale"
    assert config_of(touch(locked, "xor")).data == "circle", "a click that was under way"
    assert not small_pictures(visitor("playground", lang="en", hide="data").run())


@pytest.mark.parametrize(("noise", "classes"), [(0.0, 3), (0.5, 5)])
def test_small_pictures_show_points_of_the_data_sets(noise, classes):
    """Each sign at a place of the data set, in the colour of what is to be said there; none is missing or left over."""
    scene = pictures.data_sets("xor", noise, classes)
    names = [name for name in DATA if name not in (OWN_CLASSES, OWN_VALUES)]
    assert len(scene.figures) == len(names)
    for name, figure in zip(names, scene.figures, strict=True):
        (box,) = (item for item in figure.items if item.get("go"))
        assert box["go"] == name
        count = sum(len(places_in(item)) for item in figure.items if item["t"] == "points")
        fitted = name in ("plane", "multi_gaussian")
        points = make_points(name, torch.Generator().manual_seed(0), 600 if fitted else 200, noise, 0.5, classes)
        within = (points.train_inputs.abs() < EDGE - pictures.INSET).all(1)
        inputs, targets = points.train_inputs[within], points.train_targets[within]
        assert count == len(inputs) > 0.75 * len(points.train_inputs)
        for item in (item for item in figure.items if item["t"] == "points"):
            share = (places_in(item) - torch.tensor([box["x"], box["y"]])) / box["w"]
            plane = torch.stack([12 * share[:, 0] - 6, 6 - 12 * share[:, 1]], 1)
            if fitted:
                fills = [pictures.shade(round(4 * value) / 4) for value in targets.clamp(-1, 1).tolist()]
                there = inputs[[fill == item["fill"] for fill in fills]]
            else:
                there = inputs[targets == SIGNS.index(item["sign"])]
                assert item["fill"] == SERIES[SIGNS.index(item["sign"])]
            assert plane.shape == there.shape and (plane - there).abs().max() < 0.02


def places_in(item: dict) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(item["d"])), dtype=torch.float16).reshape(-1, 2).float()


@pytest.mark.parametrize(("language", "word"), [("zh", "异或"), ("en", "XOR")])
def test_the_chosen_small_picture_is_framed_and_told(language, word, monkeypatch):
    for spoken in ("en", "zh", language):  # what is kept is kept for each language
        monkeypatch.setattr("pages.ui.text.language", lambda spoken=spoken: spoken)
        monkeypatch.setattr(pictures, "language", lambda spoken=spoken: spoken)
        scene = pictures.data_sets("xor", 0.0, 3)
    framed = [any(item.get("ink") == pictures.CHOSEN for item in figure.items) for figure in scene.figures]
    (bold,) = (item["s"] for item in drawn(scene) if item.get("bold"))
    assert framed == [False, True] + 7 * [False] and bold == word and scene.alt.count(word) == 2
    assert not any(item.get("ink") == pictures.CHOSEN for item in drawn(pictures.data_sets(OWN_CLASSES, 0.0, 3)))
    assert pictures.data_sets("xor", 0.0, 3) is scene, "drawn once"


# Own points


def click(app: AppTest, x1: float, x2: float) -> None:
    """As a click on the plane does it."""
    own_points.add(Controls(app), x1, x2)
    app.run()


class Controls:
    """What `own_points` needs of the page's controls, on the session of a test."""

    def __init__(self, app: AppTest):
        self.app = app

    def value(self, field: str):
        return self.app.session_state["settings"][f"playground_{field}"]

    def put(self, **values):
        for field, value in values.items():
            self.app.session_state["settings"][f"playground_{field}"] = value


def test_points_are_added_taken_back_and_cleared():
    app = open_page()
    app.selectbox(key="playground_data").set_value(OWN_CLASSES).run()
    assert config_of(app).points == own_points.STARTER
    assert app.button(key="playground_undo").disabled and app.button(key="playground_clear").disabled
    app.selectbox(key="playground_add_class").set_value(2).run()
    click(app, 1.5, -4.0)
    assert config_of(app).points == (*own_points.STARTER, 1.5, -4.0, 2.0)
    assert not app.exception
    assert "1.5~-4~2" in str(app.query_params["playground_points"])
    click(app, 0.0, 0.0)
    app.button(key="playground_undo").click().run()
    assert len(config_of(app).points) == 9
    app.button(key="playground_clear").click().run()
    assert config_of(app).points == own_points.STARTER


@pytest.mark.parametrize(
    ("data", "own"), [("spirals", OWN_CLASSES), ("multi_gaussian", OWN_VALUES), ("circle", OWN_CLASSES)]
)
def test_the_points_that_are_drawn_can_be_edited(data, own):
    app = opened(open_page(data=data, count="500"), "data_more")
    before = config_of(app)
    app.button(key="playground_own").click().run()
    assert not app.exception and not app.warning
    after = config_of(app)
    assert after.data == own and len(after.points) == 3 * own_points.TAKEN and "playground_points" in app.query_params
    drawn_before = points_of(before)
    places = torch.cat([drawn_before.train_inputs, drawn_before.test_inputs])
    taken = torch.tensor(after.points).reshape(-1, 3)
    assert torch.cdist(taken[:, :2], places).min(1).values.max() < 0.08  # rounded to tenths
    click(app, 5.5, 5.5)
    assert len(config_of(app).points) == 3 * own_points.TAKEN + 3


def test_own_points_outlive_a_preset_and_the_defaults():
    """They are kept and not looked at: no run, no link and no preset knows of them until they are chosen again."""
    app = open_page()
    app.pills(key="playground_preset").set_value("moons").run()
    plain = config_of(app)
    app.selectbox(key="playground_data").set_value(OWN_CLASSES).run()
    click(app, 1.5, -4.0)
    mine = config_of(app).points
    presets_of(app).set_value("moons").run()
    assert config_of(app) == plain and presets_of(app).value == "moons"
    assert "1.5~-4" in str(app.query_params["playground_points"]), "loading the page anew brings them back, too"
    app.session_state["playground_share"] = True
    link = next(code.value for code in app.run().code if "lang=" in code.value)
    assert "data=moons" in link and "1.5" not in link
    app.button(key="playground_defaults").click().run()
    assert config_of(app) == PlaygroundConfig()
    app.selectbox(key="playground_data").set_value(OWN_CLASSES).run()
    assert config_of(app).points == mine and not app.exception


def test_whatever_takes_the_place_of_own_points_can_be_undone():
    app = open_page(data=OWN_CLASSES)
    click(app, 1.5, -4.0)
    mine = config_of(app)
    app.button(key="playground_clear").click().run()
    app.button(key="playground_undo").click().run()
    assert config_of(app) == mine
    app.button(key="playground_undo").click().run()
    assert config_of(app).points == own_points.STARTER, "and goes on taking back points"
    assert app.button(key="playground_undo").disabled
    click(app, 1.5, -4.0)
    upload(app, table(40))
    app.button(key="playground_undo").click().run()
    assert config_of(app) == mine
    app.selectbox(key="playground_data").set_value("circle").run()
    app.button(key="playground_own").click().run()
    app.button(key="playground_undo").click().run()
    assert config_of(app).data == "circle"
    app.selectbox(key="playground_data").set_value(OWN_CLASSES).run()
    assert config_of(app) == mine and not app.exception


def test_a_link_with_bad_points_leaves_a_note_though_they_are_not_looked_at():
    app = visitor("playground", lang="en", playground_points="99~0~1~0~0~1")
    assert "playground_points" in app.run().warning[0].value and not app.exception


def test_points_become_values_and_classes_again():
    app = open_page(data=OWN_CLASSES, points="0~0~0~1~1~4~2~2~2")
    app.selectbox(key="playground_data").set_value("own_values").run()
    assert not app.exception and config_of(app).points[2::3] == (-1.0, 1.0, 0.0)
    app.selectbox(key="playground_data").set_value(OWN_CLASSES).run()
    assert not app.exception and config_of(app).points[2::3] == (0.0, 1.0, 0.0)


def upload(app: AppTest, text: str | bytes) -> AppTest:
    data = text.encode() if isinstance(text, str) else text
    app.file_uploader(key="playground_upload").upload("points.csv", data, "text/csv").run()
    assert not app.exception
    return app


def table(rows: int, classes: bool = True) -> str:
    numbers = np.random.default_rng(0).normal(size=(rows, 2)).round(3)
    words = ["cat" if a > b else "dog" if classes else f"{a * b:.3f}" for a, b in numbers]
    return "height,weight,kind\n" + "\n".join(f"{a},{b},{word}" for (a, b), word in zip(numbers, words, strict=True))


def test_a_file_becomes_points_and_too_many_stay_out_of_the_link():
    app = upload(open_page(data=OWN_CLASSES), table(40))
    assert len(config_of(app).points) == 120 and "playground_points" in app.query_params
    assert any("0 = cat, 1 = dog" in text.value for text in app.caption)
    assert any("they are in the link" in text.value for text in app.caption)
    upload(app, table(900))
    assert len(config_of(app).points) == 2700
    assert "playground_points" not in app.query_params and len(str(dict(app.query_params))) < LONGEST
    assert any("do not fit into a link" in text.value for text in app.caption) and not app.warning
    without = visitor("playground", lang="en", playground_data=OWN_CLASSES).run()
    assert "too many to be in it" in without.info[0].value


def test_other_columns_can_be_chosen():
    text = "a,b,c,kind\n" + "\n".join(f"{i},{i * i % 7},{-i % 5},{'xy'[i % 2]}" for i in range(30))
    app = upload(open_page(data=OWN_CLASSES), text)
    assert [app.selectbox(key=key).value for key in own_points.COLUMN_KEYS] == ["a", "b", "kind"]
    app.selectbox(key="playground_column_2").set_value("c").run()
    assert not app.exception and not app.error
    third = np.array([-i % 5 for i in range(30)])
    assert config_of(app).points[1::3] == pytest.approx((third * 2.5 - 5).tolist())


def test_columns_that_cannot_be_used_leave_the_others_to_choose():
    text = "a,b,c,kind\n" + "\n".join(f"{i},{i * i % 7},4,{'xy'[i % 2]}" for i in range(30))
    app = upload(open_page(data=OWN_CLASSES), text)
    points = config_of(app).points
    app.selectbox(key="playground_column_2").set_value("c").run()
    assert "only one value" in app.error[0].value and config_of(app).points == points
    assert [app.selectbox(key=key).value for key in own_points.COLUMN_KEYS] == ["a", "b", "kind"]
    app.selectbox(key="playground_column_1").set_value("b").run()
    assert not app.exception


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x89PNG\r\n\0\0", b"a,b,c\n1,2,x\n3,4,x\n", b"a,b\n1,2\n", "名称,值\n甲,乙\n".encode("gbk"),
        b"a,b,c\n1,1,x\n1,2,y\n", b"a,b,c\nnan,inf,x\n,,y\n",
    ],
)  # fmt: skip
def test_a_bad_file_is_told_in_plain_words_and_changes_nothing(data, language):
    app = open_page(language, data=OWN_CLASSES)
    upload(app, data)
    assert len(app.error) == 1 and config_of(app).points == own_points.STARTER
    upload(app, table(30))
    assert not app.error and len(config_of(app).points) == 90


@pytest.mark.parametrize(("name", "noted"), [("gibberish", True), ("weight_9_9_9", True), ("bias_2_1", False)])
def test_a_weight_that_only_the_link_knows_leaves_a_note(name, noted):
    app = visitor("playground", lang="en", playground_chosen=name).run()
    assert app.session_state["settings"]["playground_chosen"] == ("weight_1_1_1" if noted else name)
    assert [f"`playground_chosen={name}`" in warning.value and "weight_1_1_2" in warning.value for warning in app.warning] == [True] * noted  # fmt: skip
    app.session_state["settings"]["playground_layers"] = ()
    assert not app.run().exception and len(app.warning) == noted, "what a change here takes away needs no note"


@pytest.mark.parametrize("kind", ["lock", "hide"])
def test_a_link_to_a_weight_or_a_layer_that_is_not_there_shows_another(kind):
    app = visitor("playground", playground_chosen="weight_9_9_9", playground_look="6", **{kind: "chosen~look"})
    opened(app, "bent")
    assert app.session_state["settings"]["playground_chosen"] == "weight_1_1_1"
    assert app.session_state["settings"]["playground_look"] == len(config_of(app).layers) == 2


def test_locked_points_stay_as_they_are():
    link = {"playground_data": OWN_CLASSES, "playground_points": "0~0~0~1~1~1~2~2~1", "lock": "points"}
    app = visitor("playground", **link)
    assert not app.run().exception
    assert app.button(key="playground_undo").disabled and app.button(key="playground_clear").disabled
    assert app.file_uploader(key="playground_upload").disabled


def test_columns_are_offered_while_the_file_is_there():
    app = upload(open_page(data=OWN_CLASSES), table(30))
    app.switch_page("pages/glossary.py").run().switch_page("pages/playground.py").run()
    app.session_state["playground_data_more"] = True
    assert not app.run().exception and len(config_of(app).points) == 90
    assert not [box.key for box in app.selectbox if box.key in own_points.COLUMN_KEYS]
    assert app.file_uploader(key="playground_upload").value is None, "and there is none to read another one of"
    upload(app, table(40))
    assert [app.selectbox(key=key).value for key in own_points.COLUMN_KEYS] == ["height", "weight", "kind"]


def test_a_file_of_gbk_with_semicolons_is_repaired_and_it_says_so():
    text = "身高;体重;种类\n" + "\n".join(f"1,{i};{i * i % 7};{'猫狗'[i % 2]}" for i in range(30)) + "\n;;\n"
    app = upload(open_page("zh", data=OWN_CLASSES), text.encode("gbk"))
    words = "\n".join(text.value for text in app.caption)
    for part in ("GBK", "“;”", "小数逗号", "去掉了 1 行", "0 = 狗, 1 = 猫"):
        assert part in words
    assert app.selectbox(key="playground_column_1").value == "身高"


def test_there_are_words_for_every_reason_and_repair():
    reasons = [own_file.reason_in_words(TableError(reason, 3)) for reason in (*REASONS, *SERIES_REASONS)]
    repairs = [own_file.repair_in_words(Repair(code, 3)) for code in (*REPAIRS, *SERIES_REPAIRS)]
    assert len({*reasons, *repairs}) == len(reasons) + len(repairs)


# Clicks


@pytest.mark.parametrize("layers", [(), (4, 2), (8,) * 6])
def test_a_click_beside_an_edge_finds_its_weight(layers):
    config = PlaygroundConfig(layers=layers, inputs=("x1", "x2_squared", "sin_x2"))
    for name in list(weight_names(config))[:: max(1, len(weight_names(config)) // 40)]:
        place = pictures.place_of(name)
        assert place.name == name
        if place.source is None:
            continue
        start, end = pictures.height(config, place.layer - 1, place.source), pictures.height(config, *place[:2])
        row = int((start - pictures.TOP + 4) / (8 * pictures.PITCH) * pictures.GAP_ROWS)  # just right of its source …
        assert pictures.edge_at(config, place.layer, row, 0).source == place.source
        row = int((end - pictures.TOP + 4) / (8 * pictures.PITCH) * pictures.GAP_ROWS)  # … and just left of its target
        assert pictures.edge_at(config, place.layer, row, pictures.GAP_COLUMNS - 1).neuron == place.neuron


def test_a_click_on_the_plane_is_the_place_where_its_point_appears():
    for cell in ((0, 0), (60, 17), (119, 119)):
        x1, x2 = pictures.spot(*cell)
        right, down = pictures.on_map(torch.tensor([[x1, x2]]))[0].tolist()
        size = pictures.SIDE / pictures.SPOTS
        assert right == pytest.approx(pictures.LEFT + (cell[1] + 0.5) * size, abs=size)
        assert down == pytest.approx(pictures.ABOVE + (cell[0] + 0.5) * size, abs=size)


# Pictures


@pytest.mark.parametrize("name", PRESETS)
def test_pictures_can_be_drawn_of_every_preset_and_of_weights_gone_wild(name):
    config = PRESETS[name]
    start = snapshot(config).state
    for factor in (1.0, 1e30, math.inf, math.nan):
        wild = Snapshot(1, {key: value * factor for key, value in start.items()})
        chosen = list(weight_names(config))[-1]
        scenes = [pictures.playground(config, wild, chosen, held_out=True, discrete=factor == 1)]
        scenes.append(pictures.inside(config, wild))
        if config.layers:
            scenes.append(pictures.hidden(config, wild, len(config.layers), 1, 2))
            scenes.append(pictures.playground(config, wild, "bias_1_1"))
        if name != "bumps" and name != "diverging":
            scenes.append(pictures.mixed_up(config, wild))
        for item in (item for scene in scenes for item in drawn(scene)):
            assert item["t"] != "path" or not ("nan" in item["d"] or "inf" in item["d"])
            assert all(math.isfinite(value) for value in item.values() if isinstance(value, float))
        assert pictures.formula(config, wild.state, chosen)
        assert math.isfinite(factor) or pictures.verdicts(config, wild)[0].startswith("⚠")


@pytest.mark.parametrize("data", [kind for kind in DATA if not kind.startswith("own")])
def test_a_frame_is_small_whatever_the_network_and_the_data(data):
    config = PlaygroundConfig(data=data, classes=5, layers=(8,) * 6, inputs=INPUTS, count=2000, train_share=0.5)
    scene = pictures.playground(config, snapshot(config), "weight_1_1_1", held_out=True)
    size = len(json.dumps([figure.items for figure in scene.figures]))
    assert size < 130_000
    (answer,) = (item for item in drawn(scene) if item.get("n") == "answer")
    assert answer["r"] == answer["c"] == 40
    thumbs = [item for item in drawn(scene) if item["t"] == "maps"]
    assert all(item["r"] == item["c"] == 16 for item in thumbs)
    assert [item["k"] for item in thumbs][1:] == [*config.layers, 5 if data in ("blobs", "spirals") else 1]


def test_the_maps_are_the_networks_and_every_point_is_there():
    config = PRESETS["five_blobs"]
    state = snapshot(config, 200)
    scene = pictures.playground(config, state)
    (answer,) = (item for item in drawn(scene) if item.get("n") == "answer")
    values = torch.frombuffer(bytearray(base64.b64decode(answer["d"])), dtype=torch.float32).reshape(40, 40)
    assert torch.equal(values.floor().long(), answer_map(config, state.state, 40).winner)
    signs = [item for item in drawn(scene) if item["t"] == "points"]
    counted = sum(len(base64.b64decode(item["d"])) // 4 for item in signs)
    assert counted == len(points_of(config).train_inputs) + 5 + 5  # and of each class one at its output, one in the key


def test_an_edge_is_as_thick_as_its_weight_and_dashed_where_it_is_negative():
    config = PlaygroundConfig(layers=())
    state = {"weight_1": torch.tensor([[3.0, -0.5]]), "bias_1": torch.tensor([0.0])}
    edges = [item for item in drawn(pictures.playground(config, Snapshot(0, state))) if item["t"] == "path"]
    assert [(item["ink"], "dash" in item) for item in edges] == [(pictures.NEGATIVE, True), (pictures.POSITIVE, False)]
    assert edges[1]["width"] > 2 * edges[0]["width"]


@pytest.mark.parametrize("layers", [(), (4, 2)])
def test_what_is_pointed_at_is_shown_large_and_told(layers):
    """Every neuron and input names a map of its own; every edge carries its weight; the answer tells probabilities."""
    config = PlaygroundConfig(layers=layers)
    state = snapshot(config).state
    scene = pictures.playground(config, Snapshot(0, state), chosen="weight_1_1_1")
    items = drawn(scene)
    names = {f"{item['n']}{i}" for item in items if item["t"] == "maps" for i in range(item["k"])}
    wanted = [item["peek"][0] for item in items if "peek" in item]
    assert len(wanted) == len(set(wanted)) == 7 + sum(layers) + 1 and set(wanted) == names
    (answer,) = (item for item in items if item.get("n") == "answer")
    assert (answer["plane"]["times"], answer["plane"]["plus"]) == (0.5, 0.5) and answer["plane"]["up"] == (-6.0, 6.0)
    for layer in range(1, len(layers) + 2):
        (area,) = (item for item in items if item.get("n") == f"edges{layer}")
        told = torch.frombuffer(bytearray(base64.b64decode(area["curves"])), dtype=torch.float16).reshape(-1, 3)
        assert torch.allclose(told[:, 2].float(), state[f"weight_{layer}"].flatten(), atol=1e-3)
    large = drawn(pictures.playground(config, Snapshot(0, state), chosen=f"bias_{len(layers) + 1}_1"))
    assert len([item for item in large if "peek" in item]) == len(wanted) - 1  # that one is large already


def test_a_place_of_the_answer_is_told_as_a_class_where_only_decisions_are_shown():
    config = PRESETS["circle"]
    items = drawn(pictures.playground(config, snapshot(config, 50), discrete=True))
    (answer,) = (item for item in items if item.get("n") == "answer")
    values = torch.frombuffer(bytearray(base64.b64decode(answer["d"])), dtype=torch.float32).reshape(40, 40)
    names = answer["plane"]["names"]
    winner = answer_map(config, snapshot(config, 50).state, 40).winner
    assert [names[int(value)] for value in values.flatten()] == [f"class {k}" for k in winner.flatten().tolist()]
    own = replace(config, data="own_classes", points=own_points.STARTER)
    (answer,) = (item for item in drawn(pictures.playground(own, snapshot(own))) if item.get("n") == "answer")
    assert not answer.get("hover")  # a click there adds a point


def test_the_line_in_hidden_space_parts_what_the_network_parts():
    config = PRESETS["circle"]
    state = snapshot(config, 2000).state
    space = pictures.hidden_space(config, state, 25, 2)
    w, b = state["weight_3"][0], state["bias_3"][0]
    told = (space.train @ w + b > 0).long()
    assert torch.equal(told, pictures.predictions(config, state, points_of(config).train_inputs))
    figure = pictures.hidden(config, Snapshot(2000, state), 2).figures[1]
    x1, y1, x2, y2 = next((i["x1"], i["y1"], i["x2"], i["y2"]) for i in figure.items if i["t"] == "line")
    box = pictures.bounds_of("tanh", space.grid)
    for x, y in ((x1, y1), (x2, y2)):
        a1 = box.left + (x - pictures.PLOT_LEFT) / pictures.PLOT * (box.right - box.left)
        a2 = box.high - (y - pictures.PLOT_TOP) / pictures.PLOT * (box.high - box.low)
        assert (w[0] * a1 + w[1] * a2 + b).item() == pytest.approx(0, abs=2e-2)


# What is measured


@pytest.mark.parametrize("language", ("zh", "en"))
def test_a_diagnosis_is_broken_into_lines_that_a_phone_has_room_for(language, monkeypatch):
    monkeypatch.setattr("pages.ui.text.language", lambda: language)
    said = pictures.verdicts(PRESETS["dead_relus"], snapshot(PRESETS["dead_relus"], 50))
    for text in said:
        lines = pictures.broken(text)
        assert ("" if language == "zh" else " ").join(lines) == text
        assert all(sum(2 if ord(letter) > 0x2E80 else 1 for letter in line) <= pictures.LETTERS + 2 for line in lines)
    (left, right) = pictures.inside(PRESETS["dead_relus"], snapshot(PRESETS["dead_relus"], 50)).figures
    assert left.width == right.width < 343  # CSS pixels on a phone


@pytest.mark.parametrize(
    ("name", "steps", "part"),
    [
        ("circle", 2000, "nothing wrong"), ("zeros", 10, "all the same"), ("dead_relus", 300, "75% of the hidden"),
        ("deep_sigmoid", 1, "vanishes"), ("deep_sigmoid", 1000, "vanishes"), ("deep", 100, "nothing wrong"), ("overfitting", 300, "overfitting"), ("too_fast", 100, "too high"),
        ("diverging", 22, "too high"),
    ],
)  # fmt: skip
def test_the_diagnosis_names_what_is_wrong(name, steps, part):
    said = pictures.verdicts(PRESETS[name], snapshot(PRESETS[name], steps))
    assert any(part in text for text in said), said


def accuracy(name: str, steps: int) -> float:
    run = Run(PRESETS[name])
    while run.steps < steps:
        run.step(measure=run.steps == steps - 1)
    return run.history[-1].scores["test"]["Accuracy"]


@pytest.mark.parametrize(
    ("name", "steps", "share"),
    [
        ("circle", 1000, 0.904), ("circle", 3000, 0.996), ("xor", 1000, 1.0), ("line", 100, 0.988), ("squares", 1000, 1.0),
        ("moons", 1000, 0.984), ("spiral", 1000, 0.956), ("spiral", 3000, 0.98), ("five_blobs", 1000, 0.92),
        ("three_spirals", 1000, 0.856), ("three_spirals", 3000, 0.944), ("deep", 300, 1.0),
        ("deep_sigmoid", 3000, 0.5), ("dead_relus", 300, 0.5), ("overfitting", 100, 0.672), ("zeros", 300, 0.5),
    ],
)  # fmt: skip
def test_the_numbers_that_the_presets_tell(name, steps, share):
    assert accuracy(name, steps) == pytest.approx(share, abs=0.006)


def test_what_is_too_fast_never_gets_far():
    """How it leaps depends on the last digits, so not where it ends."""
    scores = [record.scores["test"]["Accuracy"] for record in replay(PRESETS["too_fast"], steps=3000).history]
    assert 0.5 < max(scores) < 0.8


def test_seeds_are_repeated_side_by_side():
    app = open_page()
    for _ in range(3):
        app.button(key="playground_step").click().run()
    app.button(key="playground_repeat").click().run()
    job = app.session_state["playground_repetition"].job
    assert isinstance(job, Job)
    job.budget = math.inf
    job.advance(math.inf)
    assert isinstance(job.race, SeedRace) and job.finished
    app.run()
    assert not app.exception
    (pin,) = app.session_state["playground_pins"]
    alone = replay(PlaygroundConfig(seed=4), steps=100)
    alone.evaluate()  # the last step of an experiment is measured
    assert pin.seeds == (0, 1, 2, 3, 4) and pin.steps == 100
    high = max(run.history[-1].scores["test"]["Loss"] for run in job.runs.values())
    assert pin.lines[0].points["Loss"].high[-1] == pytest.approx(high, rel=1e-5)
    last = job.runs["network 4"].history[-1].scores["test"]["Loss"]
    assert last == pytest.approx(alone.history[-1].scores["test"]["Loss"], abs=1e-5)


class Lesson:
    def __init__(self, config, steps=0, edits=()):
        from core.training import Race

        self.race = Race({"network": config})
        for name, value in edits:
            self.race.intervene(name, value)
        self.race.advance(math.inf, limit=steps)


def test_the_challenges_can_be_reached():
    small = PlaygroundConfig(layers=(3,), learning_rate=0.1)
    assert asked.tiny_circle(Lesson(small, 3000))[0]
    assert not asked.tiny_circle(Lesson(replace(small, layers=(4,)), 3000))[0]
    assert not asked.tiny_circle(Lesson(replace(PRESETS["squares"], inputs=("x1_squared", "x2_squared")), 1000))[0]
    line = PRESETS["line"]
    edits = [("weight_1_1_1", 1.0), ("weight_1_1_2", 1.0), ("bias_1_1", 0.0)]
    assert asked.by_hand(Lesson(line, edits=edits))[0]
    assert not asked.by_hand(Lesson(line, 500))[0] and not asked.by_hand(Lesson(line))[0]
    assert not asked.plain_spiral(Lesson(PRESETS["spiral"], 2000))[0]


def test_the_question_tells_how_many_parameters_there_are():
    text = next(question.text for question in asked.questions() if question.name == "heart")
    assert f"{parameter_count(asked.FEW_POINTS)} parameters" in text


@pytest.mark.parametrize(("task", "words"), [("plane", "In steps of ¼"), ("circle", "Decisions only")])
def test_a_regression_has_no_decisions(task, words):
    assert open_page(data=task).toggle(key="playground_discrete").label == words
