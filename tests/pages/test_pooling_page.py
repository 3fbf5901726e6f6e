"""The pooling lesson: its pictures against torch's own layers, its numbers, its race."""

import base64
from functools import partial
from math import inf
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from streamlit.testing.v1 import AppTest

from core.data.digits import load
from core.pooling import POOLINGS, PRESETS, PoolingConfig, race
from core.training import Race, Run
from pages.ui import pictures_pooling as pictures
from pages.ui import questions_pooling as asked
from pages.ui.predict import is_right, limits_of
from tests.lessons import open_lesson

open_page = partial(open_lesson, "pooling")

GEOMETRIES = [(1, 1), (2, 2), (3, 2), (4, 4), (4, 1), (1, 3)]


def metric(page: AppTest, label: str) -> str:
    return next(element.value for element in page.metric if element.label == label)


def text_of(page: AppTest) -> str:
    return "\n".join(element.value for element in [*page.markdown, *page.caption, *page.latex])


def values(scene, name: str) -> torch.Tensor:
    """What a map of a scene shows, as the browser decodes it."""
    item = next(item for figure in scene.figures for item in figure.items if item.get("n") == name)
    numbers = torch.frombuffer(bytearray(base64.b64decode(item["d"])), dtype=torch.float32)
    return numbers.reshape(item["r"], item["c"])


def items(scene, kind: str) -> list[dict]:
    return [item for figure in scene.figures for item in figure.items if item["t"] == kind]


# ---- pictures ------------------------------------------------------------------------------------------------------


def test_the_digit_is_a_held_out_one_and_stands_where_it_is_moved():
    digits = load()
    first = digits.test_images[digits.test_labels == 7][0, 0]
    still, moved = pictures.picture_of(7, "digit"), pictures.picture_of(7, "digit", 2, 3)
    torch.testing.assert_close(still[4:12, 4:12], first)
    torch.testing.assert_close(moved, torch.roll(still, (3, 2), (0, 1)))
    edges = pictures.picture_of(7, "edges")
    assert edges.shape == (16, 16) and edges.min() >= 0 and edges.max() == pytest.approx(1)


@pytest.mark.parametrize("source", ["digit", "edges"])
@pytest.mark.parametrize(("kernel", "stride"), GEOMETRIES)
def test_the_maps_shown_are_what_torch_pools(kernel, stride, source):
    image = pictures.picture_of(5, source, 1, 2)
    scene = pictures.pooled_maps(image, PoolingConfig(kernel=kernel, stride=stride))
    expected = F.max_pool2d(image[None, None], kernel, stride)[0, 0]
    torch.testing.assert_close(values(scene, "pooled_max"), expected)
    torch.testing.assert_close(values(scene, "pooled_average"), F.avg_pool2d(image[None, None], kernel, stride)[0, 0])
    inside = (kernel - 1) // 2
    kept = image[inside::stride, inside::stride][: expected.shape[0], : expected.shape[1]]
    torch.testing.assert_close(values(scene, "pooled_none"), kept)


def test_a_dot_marks_every_cell_that_wins_a_window():
    image = pictures.picture_of(3, "digit", 1)
    scene = pictures.pooled_maps(image, PoolingConfig(kernel=2, stride=2))
    cell = (pictures.WIDTH - 2) / 16
    dots = [circle for circle in scene.figures[0].items if circle["t"] == "circle" and circle["fill"] == "#d9660a"]
    marked = {(int((dot["y"] - pictures.TOP) / cell), int((dot["x"] - 1) / cell)) for dot in dots}
    windows = {(y, x): image[y : y + 2, x : x + 2] for y in range(0, 16, 2) for x in range(0, 16, 2)}
    decided = {place: window for place, window in windows.items() if window.max() > window.min()}
    assert len(marked) == len(decided)
    for y, x in marked:
        assert image[y, x] == decided[y - y % 2, x - x % 2].max()


@pytest.mark.parametrize(("kernel", "stride"), GEOMETRIES)
def test_the_gradients_shown_are_autograds(kernel, stride):
    image = pictures.picture_of(8, "digit", 1)
    scene = pictures.gradient_maps(image, PoolingConfig(kernel=kernel, stride=stride))
    for kind, layer in (("max", F.max_pool2d), ("average", F.avg_pool2d)):
        leaf = image.clone().requires_grad_()
        layer(leaf[None, None], kernel, stride).sum().backward()
        torch.testing.assert_close(values(scene, f"gradient_{kind}"), leaf.grad)
    hatched = items(scene, "rect")
    read = torch.zeros(16, 16)
    for top in range(0, 17 - kernel, stride):
        for left in range(0, 17 - kernel, stride):
            read[top : top + kernel, left : left + kernel] = 1
    area = sum(item["w"] * item["h"] for item in hatched if item.get("hatch")) / 3
    assert area / ((pictures.WIDTH - 2) / 16) ** 2 == pytest.approx(float((read == 0).sum()))


def test_one_window_shows_its_cells_and_where_a_gradient_of_1_returns_to():
    image = pictures.picture_of(3, "digit", 1)
    scene = pictures.one_window(image, PoolingConfig(kernel=3, stride=2), 3, 4)
    window = image[6:9, 8:11]
    torch.testing.assert_close(values(scene, "window_max"), window)
    assert values(scene, "output_max").item() == window.max()
    assert values(scene, "output_average").item() == pytest.approx(window.mean().item())
    assert values(scene, "back_max").sum() == 1 and values(scene, "back_max").flatten()[window.argmax()] == 1
    torch.testing.assert_close(values(scene, "back_average"), torch.full((3, 3), 1 / 9))


def test_the_shift_test_measures_the_relative_distance():
    still, moved = pictures.picture_of(3, "digit"), pictures.picture_of(3, "digit", 2, 1)
    config = PoolingConfig(kernel=2, stride=2)
    scene = pictures.shift_maps(still, moved, config)
    before, after = (F.max_pool2d(x[None, None], 2, 2)[0, 0] for x in (still, moved))
    torch.testing.assert_close(values(scene, "change_max"), after - before)
    expected = ((after - before).norm() / before.norm()).item()
    assert any(f"{expected:.0%}" in item.values() for item in items(scene, "text"))
    rows = pictures.layer_changes(still, config, down=1)
    assert rows[(rows["pixels"] == 2)]["change"].tolist()[1] == pytest.approx(expected)


def test_the_networks_react_as_their_stages_do():
    configs = race(PoolingConfig(channels=3, hidden=8))
    snapshots = {kind: Run(config).snapshot() for kind, config in configs.items()}
    rows = pictures.network_changes(configs, snapshots, pictures.picture_of(3, "digit"), 0, 0)
    assert (rows["change"] == 0).all() and len(rows) == 7 * len(POOLINGS)
    rows = pictures.network_changes(configs, snapshots, pictures.picture_of(3, "digit"), 1, 1)
    assert (rows["change"] > 0).all()


def test_feature_maps_show_every_channel_up_to_eight():
    for channels, figures in ((1, 2), (5, 4), (16, 4)):
        config = PoolingConfig(channels=channels, pooling="none", kernel=3)
        scene = pictures.feature_maps(config, Run(config).snapshot(), pictures.picture_of(1, "digit"))
        assert len(scene.figures) == figures
        assert sum(item["k"] for item in items(scene, "maps")) == 4 * min(channels, 8)
        assert {(item["r"], item["c"]) for item in items(scene, "maps") if item["n"].startswith("after2")} == {(3, 3)}


# ---- the page ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("look", ["maps", "window", "gradient", "shift"])
def test_every_look_opens_in_both_languages(lang, look):
    page = open_page(lang, look=look)
    assert not page.error and not page.warning
    assert metric(page, {"zh": "一张图的格数", "en": "Cells of a map"}[lang]) == "256 → 64"


def test_sliders_move_the_numbers():
    page = open_page()
    page.slider(key="pooling_kernel").set_value(3).run()
    assert metric(page, "Cells of a map") == "256 → 49"
    assert metric(page, "Kept") == f"{49 / 256:.1%}"
    assert metric(page, "Cells in no window") == str(256 - 15**2)
    assert r"\frac{16-3}{2}\right\rfloor + 1 = 7" in text_of(page)
    page.slider(key="pooling_stride").set_value(4).run()
    assert metric(page, "Cells of a map") == "256 → 16"
    assert metric(page, "Cells in no window") == str(256 - 12**2)


@pytest.mark.parametrize(
    ("kernel", "stride", "words"),
    [(2, 2, None), (3, 2, "last row and column"), (1, 3, "gaps"), (1, 4, "gaps, last 3 rows and columns")],
)
def test_where_the_cells_are_that_no_window_reads(kernel, stride, words):
    app = open_page(kernel=kernel, stride=stride)
    (lost,) = (metric for metric in app.metric if metric.label == "Cells in no window")
    reached = F.conv_transpose2d(
        F.conv2d(torch.ones(1, 1, 16, 16), torch.ones(1, 1, kernel, kernel), stride=stride),
        torch.ones(1, 1, kernel, kernel),
        stride=stride,
    )
    assert lost.value == str(256 - int(reached.count_nonzero())) and (lost.delta or None) == words


def test_pooling_has_nothing_to_learn_and_the_strided_convolution_has():
    page = open_page(kernel="3", channels="5")
    count = sum(weights.numel() for weights in torch.nn.Conv2d(5, 5, 3).parameters())
    assert metric(page, "Learnable parameters") == "0"
    assert [element.delta for element in page.metric if element.label == "Learnable parameters"] == [
        f"strided conv: {count}"
    ]
    reason = next(caption.value for caption in page.caption if "0 parameters" in caption.value)
    assert "no number to learn" in reason and f"= {count}" in reason


def test_a_step_trains_all_three_alike_and_looking_elsewhere_starts_nothing_anew():
    page = open_page()
    before = dict(page.session_state["pooling_race"].runs)
    page.button(key="pooling_step").click().run()
    runs = page.session_state["pooling_race"].runs
    assert metric(page, "Step") == "1"
    assert {kind: run.steps for kind, run in runs.items()} == dict.fromkeys(POOLINGS, 1)
    assert all(runs[kind] is before[kind] and run.config.pooling == kind for kind, run in runs.items())
    page.slider(key="pooling_right").set_value(3).run()
    page.segmented_control(key="pooling_pooling").set_value("average").run()
    assert metric(page, "Step") == "1"
    page.slider(key="pooling_kernel").set_value(4).run()
    assert metric(page, "Step") == "0"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_moves_the_controls_and_says_why(name):
    page = open_page()
    page.pills(key="pooling_preset").set_value(name).run()
    assert not page.exception and not page.error
    runs = page.session_state["pooling_race"].runs
    assert {kind: run.config for kind, run in runs.items()} == race(PRESETS[name])
    assert any("%" in caption.value for caption in page.caption)


@pytest.mark.parametrize(("field", "value"), [("kernel", "9"), ("stride", "abc"), ("right", "4"), ("look", "wrong")])
def test_a_bad_value_in_the_address_leaves_a_note_and_the_default(field, value):
    page = open_page(noted=True, **{field: value})
    assert any(f"pooling_{field}={value}" in warning.value for warning in page.warning)
    assert metric(page, "Cells of a map") == "256 → 64"


def test_the_language_switch_keeps_every_slider():
    page = open_page(kernel="3", stride="1", right="2", digit="8", look="shift")
    page.segmented_control(key="lang").set_value("zh").run()
    assert page.title[0].value == "池化层"
    for name, value in (("kernel", 3), ("stride", 1), ("right", 2), ("digit", 8)):
        assert page.slider(key=f"pooling_{name}").value == value
    assert page.segmented_control(key="pooling_look").value == "shift"
    assert metric(page, "一张图的格数") == "256 → 196"


# ---- questions and challenges --------------------------------------------------------------------------------------


def live_with(config: PoolingConfig, steps: int = 0) -> SimpleNamespace:
    """What a challenge looks at, after a race of one network."""
    race_of_one = Race({config.pooling: config})
    race_of_one.advance(inf, steps)
    for run in race_of_one.runs.values():
        run.evaluate()
    return SimpleNamespace(race=race_of_one)


def test_what_needs_no_training_is_answered_by_its_pictures():
    """The answers of those that train are in test_questions.py."""
    questions = asked.questions()
    measured = {question.name: question.measure({}) for question in questions if not question.runs}
    for question in questions:
        assert question.runs or "%" in question.shown({}) or question.number is not None
    image = pictures.picture_of(3, "digit")
    _, winners = F.max_pool2d(image[None, None], 3, 2, return_indices=True)
    assert measured["route"] == len(winners.unique()) < 49
    assert measured["parameters"] == pytest.approx((2480 + 16 * 256 * 64 + 64 + 650) / (2480 + 16 * 16 * 64 + 64 + 650))
    still, moved = (F.pad(load().test_images, (left, 8 - left, 4, 4)) for left in (4, 5))
    layers = {"max": lambda x: F.max_pool2d(x, 3, 2), "average": lambda x: F.avg_pool2d(x, 3, 2)}
    changed = {kind: ((pool(moved) - pool(still)).norm() / pool(still).norm()).item() for kind, pool in layers.items()}
    assert asked.changes(3) == pytest.approx(changed | {"none": asked.changes(3)["none"]})
    assert measured["least"] == min(changed, key=changed.get)
    for question in questions:
        runs = len(question.runs or ())
        assert runs * question.steps <= 300  # half of what a busy core trains in the ten seconds of an experiment
        if question.runs:
            continue
        if question.options is not None:
            assert measured[question.name] in question.options
        if question.number is not None:
            stops = limits_of(question)
            assert any(is_right(question, guess, measured[question.name]) for guess in stops)


def test_every_challenge_can_be_reached_and_is_not_reached_at_first():
    checks = {challenge.name: challenge.check for challenge in asked.challenges()}
    assert not any(check(live_with(PoolingConfig()))[0] for check in checks.values())
    assert checks["calm"](live_with(PoolingConfig(kernel=4, stride=4)))[0]
    light = PoolingConfig(kernel=3, channels=12, hidden=24, seed=2)
    trained = live_with(light, 400)
    assert checks["small"](trained)[0] and not checks["unseen"](trained)[0]
    assert "4,294" in checks["small"](trained)[1]
    trained = live_with(PoolingConfig(kernel=3, train_on="centred", shift=1), 300)
    assert checks["unseen"](trained)[0] and not checks["small"](trained)[0]


def test_a_large_network_or_a_still_digit_reaches_nothing():
    checks = {challenge.name: challenge.check for challenge in asked.challenges()}
    scores = {"test": {"Accuracy": 1.0, "Loss": 0.0}}
    for config, reached in (
        (PoolingConfig(channels=8, hidden=16), {"small"}),
        (PoolingConfig(channels=8, hidden=16, shift=1), set()),
        (PoolingConfig(), set()),
        (PoolingConfig(train_on="centred"), {"unseen"}),
        (PoolingConfig(train_on="centred", shift=0), set()),
    ):
        live = live_with(config)
        run = live.race.runs["max"]
        run.history[-1] = run.history[-1]._replace(scores=scores)
        assert {name for name in ("small", "unseen") if checks[name](live)[0]} == reached


def test_the_page_asks_and_shows_what_was_measured():
    page = open_page(question="route")
    page.slider(key="pooling_guess_route_0_en").set_value(45).run()
    page.button(key="pooling_commit").click().run()
    assert not page.exception
    assert metric(page, "Measured") == "45" and "**Right.**" in text_of(page)
    page.slider(key="pooling_stride").set_value(4).run()
    page.slider(key="pooling_kernel").set_value(4).run()
    assert "changes by 7%; wanted < 10%" in text_of(page) and ":green[:material/check_circle: **Reached**]" in text_of(
        page
    )
