"""The convolution lesson through the entrypoint: what its controls do to its numbers and its training."""

from __future__ import annotations

import io
import re
from functools import partial
from math import inf

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.testing.v1 import AppTest

from core.convolution import KERNELS, PRESETS, ConvolutionConfig, hidden_kernel, input_picture
from pages.ui import pictures_convolution as pictures
from tests.lessons import open_lesson

open_page = partial(open_lesson, "convolution")

LANGUAGES = ("zh", "en")
GRADIENT = torch.linspace(0, 255, 40).to(torch.uint8).expand(30, 40)


def put(app: AppTest, kind: str, name: str, value) -> AppTest:
    widget = next(widget for widget in app.get(kind) if widget.key == f"convolution_{name}")
    widget.set_value(value).run()
    assert not app.exception
    return app


def field(app: AppTest):
    """Where the framed weight is edited."""
    return next(each for each in app.number_input if each.key.startswith("convolution_edit_"))


def edit(app: AppTest, value: float) -> AppTest:
    field(app).set_value(value).run()
    assert not app.exception
    return app


def click(app: AppTest, name: str) -> AppTest:
    app.button(key=f"convolution_{name}").click().run()
    assert not app.exception
    return app


def formulas(app: AppTest) -> str:
    return "\n".join(element.value for element in app.latex)


def sum_shown(app: AppTest) -> float:
    text = next(element.value for element in app.latex if "y_{" in element.value)
    return float(text.split(r"\mathbf{")[1].split("}")[0])


def cell_shown(app: AppTest) -> tuple[int, int]:
    text = next(element.value for element in app.latex if "y_{" in element.value)
    row, column = text.split("y_{")[1].split("}")[0].split(",")
    return int(row) - 1, int(column) - 1


def expected(config: ConvolutionConfig, kernel: torch.Tensor | None = None) -> torch.Tensor:
    """The output by torch's own layer."""
    weights = hidden_kernel(config) if kernel is None else kernel
    weights = torch.flip(weights, (0, 1)) if config.flip else weights
    layer = torch.nn.Conv2d(1, 1, config.kernel, config.stride, config.padding, config.dilation, bias=False)
    layer.weight.data = weights[None, None]
    return layer(input_picture(config)[None, None])[0, 0].detach()


def metric(app: AppTest, label: str) -> str:
    return next(metric.value for metric in app.metric if metric.label == label)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_formula_and_the_sum_follow_the_sliders(language):
    app = open_page(language)
    assert r"16+2\cdot 0-1\cdot(3-1)-1" in formulas(app) and r"\mathbf{14}" in formulas(app)
    for name, value in (("size", 15), ("kernel", 4), ("stride", 3), ("padding", 1), ("dilation", 2)):
        put(app, "slider", name, value)
    config = ConvolutionConfig(size=15, kernel=4, stride=3, padding=1, dilation=2)
    output = expected(config)
    shown = formulas(app)
    assert r"15+2\cdot 1-2\cdot(4-1)-1}{3}" in shown and rf"\mathbf{{{len(output)}}}" in shown
    assert r"\lfloor 3.333\right\rfloor" in shown  # the floor is at work
    assert r"3\cdot(4-1)+2\cdot(4-1)+1-2\cdot 1+1=\mathbf{15}" in shown  # and the way back makes up for it
    assert sum_shown(app) == pytest.approx(output[cell_shown(app)].item(), abs=6e-4)
    assert [metric.value for metric in app.metric[:3]] == ["3,616", "241", "17"]  # 16·(15²+1), 15²+16, 4²+1


@pytest.mark.parametrize(
    "config",
    [
        *PRESETS.values(),
        ConvolutionConfig(size=15, kernel=4, stride=3, padding=1, dilation=2),
        ConvolutionConfig(size=4, kernel=7, padding=6),
    ],
)
def test_local_connectivity_counts_the_pixels_that_an_output_depends_on(config):
    """The oracle is the Jacobian of torch's convolution with a kernel of ones; the padding is nobody's pixel."""
    ones = torch.ones(1, 1, config.kernel, config.kernel)
    jacobian = torch.autograd.functional.jacobian(
        lambda image: F.conv2d(image[None, None], ones, None, config.stride, config.padding, config.dilation),
        torch.zeros(config.size, config.size),
    )
    outputs = jacobian.shape[2] * jacobian.shape[3]
    everywhere, local, shared = pictures.sharing(config)
    assert local == int(jacobian.count_nonzero()) + outputs
    assert shared <= local <= everywhere == outputs * (config.size**2 + 1) or outputs == 1


def test_next_and_previous_walk_over_the_output():
    app = open_page(row="3", column="13")
    output = expected(ConvolutionConfig())
    assert cell_shown(app) == (3, 13)
    for button, cell in (("next", (4, 0)), ("next", (4, 1)), ("previous", (4, 0)), ("previous", (3, 13))):
        click(app, button)
        assert cell_shown(app) == cell
        assert sum_shown(app) == pytest.approx(output[cell].item(), abs=6e-4)
    assert app.query_params["convolution_row"] == "3"


def test_flipping_the_kernel_turns_the_output():
    app = put(open_page(hidden="emboss"), "toggle", "flip", True)
    config = ConvolutionConfig(hidden="emboss", flip=True)
    here = cell_shown(app)
    assert sum_shown(app) == pytest.approx(expected(config)[here].item(), abs=6e-4)
    assert sum_shown(app) != pytest.approx(expected(ConvolutionConfig(hidden="emboss"))[here].item(), abs=0.01)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_impossible_geometry_says_so_and_keeps_the_picture(language):
    app = put(open_page(language, size="4"), "slider", "kernel", 3)
    before = formulas(app)
    put(app, "slider", "dilation", 3)
    assert len(app.error) == 1 and "**7**" in app.error[0].value and "**4**" in app.error[0].value
    assert formulas(app) == before
    assert field(app).disabled
    put(app, "slider", "padding", 2)
    assert not app.error and r"4+2\cdot 2-3\cdot(3-1)-1" in formulas(app)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_impossible_geometry_of_a_link_says_so_and_shows_the_defaults(language):
    app = open_page(language, size="4", kernel="7")
    assert len(app.error) == 1 and "**7**" in app.error[0].value and "**4**" in app.error[0].value
    assert formulas(app) == formulas(open_page(language))
    told = [
        caption.value
        for caption in app.caption
        if {"zh": "默认设置", "en": "default settings"}[language] in caption.value
    ]
    assert len(told) == 1
    assert app.slider(key="convolution_kernel").value == 7, "nothing that was asked for is lost"
    put(app, "slider", "padding", 2)
    assert not app.error and r"4+2\cdot 2-1\cdot(7-1)-1" in formulas(app)


def test_an_edited_kernel_survives_a_language_switch_and_ends_with_another_kernel():
    app = edit(open_page(weight="2"), -3.5)
    kernel = hidden_kernel(ConvolutionConfig()).clone()
    kernel[0, 2] = -3.5
    output = expected(ConvolutionConfig(), kernel)
    put_language(app, "zh")
    assert app.query_params["convolution_weights"] == "-1~0~-3.5~-2~0~2~-1~0~1"
    assert sum_shown(app) == pytest.approx(output[cell_shown(app)].item(), abs=6e-4)
    put(app, "slider", "kernel", 5)
    assert "convolution_weights" not in app.query_params and not app.warning
    edit(app, 2.0)
    assert "convolution_weights" in app.query_params
    put(app, "selectbox", "hidden", "sobel_y")
    assert "convolution_weights" not in app.query_params
    edit(app, 2.0)
    click(app, "restore")
    assert "convolution_weights" not in app.query_params


def put_language(app: AppTest, language: str) -> None:
    next(group for group in app.get("button_group") if group.key == "lang").set_value(language).run()
    assert not app.exception


def test_what_a_field_that_is_gone_still_tells_is_no_edit():
    """A slider that follows another at once: the browser may still tell the weight of the kernel before."""
    app = open_page(weight="0")
    outdated = field(app)._widget_state
    put(app, "slider", "kernel", 7)
    app.slider(key="convolution_stride").set_value(2)
    row = field(app)._widget_state
    sent = [state for state in app._tree.get_widget_states().widgets if state.id != row.id]
    app._run(WidgetStates(widgets=[*sent, outdated]))
    assert not app.exception and app.session_state["settings"]["convolution_weights"] == ()
    edit(app, 2.5)
    assert field(app).value == 2.5 and app.session_state["settings"]["convolution_weights"][0] == 2.5


def test_a_link_opens_with_its_edited_kernel():
    weights = (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5)
    app = open_page(weights="~".join(map(str, weights)), size="9")
    output = expected(ConvolutionConfig(size=9, weights=weights))
    assert not app.warning
    assert sum_shown(app) == pytest.approx(output[cell_shown(app)].item(), abs=6e-4)


@pytest.mark.parametrize(
    "bad", [{"kernel": "999"}, {"stride": "abc"}, {"hidden": "prewitt"}, {"weights": "1~2"}, {"weights": "nan~" * 8 + "nan"}, {"row": "-1"}, {"banana": "1"}]
)  # fmt: skip
def test_a_bad_link_leaves_a_note_and_the_defaults(bad):
    app = open_page(noted=True, **bad)
    assert len(app.warning) == 1 and f"convolution_{next(iter(bad))}" in app.warning[0].value
    assert not app.error and r"\mathbf{14}" in formulas(app)


def test_the_note_on_a_kernel_of_another_size_is_in_one_language():
    app = open_page("zh", noted=True, weights="1~2", kernel="5")
    assert not re.search("[a-z]{2}", app.warning[0].value.replace("convolution_weights", ""))
    assert "w1~…~w25" in app.warning[0].value


def test_the_note_on_weights_that_are_no_numbers_shows_what_could_stand_there():
    app = open_page("zh", noted=True, weights="~".join(["x"] * 3000))
    assert "可取：0.5~-1.25~…" in app.warning[0].value


def test_every_kernel_is_offered():
    app = open_page()
    assert len(app.selectbox(key="convolution_hidden").options) == len(KERNELS) == 8


def test_presets_move_the_controls():
    app = open_page(weight="8").pills(key="convolution_preset").set_value("blind").run()
    assert app.slider(key="convolution_padding").value == 6 and r"\mathbf{4}" in formulas(app)
    app.pills(key="convolution_preset").set_value("edges").run()
    assert r"\mathbf{14}" in formulas(app)


def test_steps_train_and_find_the_kernel():
    app = click(open_page(), "step")
    assert metric(app, "Step") == "1"
    before = float(metric(app, "Kernel error"))
    app.session_state["convolution_race"].advance(inf, limit=59)
    click(app, "step")
    assert metric(app, "Step") == "60"
    assert float(metric(app, "Kernel error")) < 0.2 * before


def test_a_change_of_the_optimizer_counts_at_once():
    app = click(open_page(), "step")
    put(app, "selectbox", "optimizer", "adam")
    (run,) = app.session_state["convolution_race"].runs.values()
    assert run.config.optimizer == "adam" and metric(app, "Step") == "0"


def png(image: Image.Image | None = None) -> bytes:
    file = io.BytesIO()
    (image or Image.fromarray(GRADIENT.numpy())).save(file, "PNG")
    return file.getvalue()


def test_an_upload_is_shown_and_not_trained_on():
    app = click(open_page(), "step")
    digit = sum_shown(app)
    app.file_uploader[0].upload("mine.png", png(), "image/png").run()
    assert not app.exception and not app.error
    own = sum_shown(app)
    assert own != digit and metric(app, "Step") == "1"
    slope = 30 / 16 / 39  # of the middle square: 30 of 40 pixels, which go from 0 to 1, shrunk to 16
    assert own == pytest.approx(8 * slope, abs=0.005)  # Sobel's weights: 4 on either side, two pixels apart
    put_language(app, "zh")
    assert sum_shown(app) == own
    click(app, "defaults")
    assert sum_shown(app) == digit and not app.toggle(key="convolution_own").value
    put(app, "toggle", "own", True)
    assert sum_shown(app) == own, "the picture itself is kept"
    put(app, "selectbox", "picture", "flower")
    assert sum_shown(app) != own
    put(app, "toggle", "own", True)
    assert sum_shown(app) == own


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("空", "empty")),
        (b"GIF89a" + bytes(40), ("不是", "no PNG")),
        (png()[:60], ("损坏", "damaged")),
        (png(Image.new("1", (8192, 6144))) + bytes(20_000_000), ("2000 万像素", "20 megapixels")),
    ],
    ids=["empty", "type", "corrupt", "50 megapixels"],
)
def test_a_bad_upload_is_explained_in_both_languages(content, words):
    app = open_page("zh")
    before = sum_shown(app)
    assert len(content) < app.file_uploader[0].proto.max_upload_size_mb * 1_000_000, (
        "the browser would say it, in English"
    )
    app.file_uploader[0].upload("bad.png", content, "image/png").run()
    assert not app.exception and words[0] in app.error[0].value
    assert sum_shown(app) == before
    put_language(app, "en")
    assert words[1] in app.error[0].value
    app.switch_page("pages/glossary.py").run().switch_page("pages/convolution.py").run()
    assert not app.exception and not app.error, "the file is gone"
