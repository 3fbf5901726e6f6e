"""Every lesson in every language, through the entrypoint, as the first visitor and as a returning one."""

import re
from dataclasses import replace
from importlib import import_module

import pytest
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

from core.config import Span
from core.training import replay
from pages.ui.address import encode
from pages.ui.controls import key_of
from pages.ui.lessons import GROUPS, LESSONS, find
from pages.ui.text import LANGUAGES
from tests.lessons import a_slider, visitor

STEMS = [lesson.stem for lesson in LESSONS]
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def open_page(stem: str, language: str, **parameters) -> AppTest:
    """A page as the first that a visitor sees."""
    return visitor(stem, lang=language, **parameters).run()


def words(app: AppTest) -> str:
    """All the words that the page shows, labels included."""
    shown = [
        element.value for kind in ("title", "header", "subheader", "markdown", "caption") for element in app.get(kind)
    ]
    for kind in ("slider", "select_slider", "toggle", "button", "metric", "selectbox", "number_input"):
        shown += [element.label for element in app.get(kind)]
    return "\n".join(str(text) for text in shown if not str(text).lstrip().startswith("<style"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("stem", ["home", *STEMS])
def test_the_page_shows_in_its_language(stem, language):
    app = visitor(lang=language).run()
    if stem != "home":
        app.switch_page(f"pages/{stem}.py").run()
    assert not app.exception and not app.error
    assert not app.warning, [warning.value for warning in app.warning]
    title = app.title[0].value
    if stem != "home":
        assert title == (find(stem).zh if language == "zh" else find(stem).en)
    text = words(app)
    if language == "en":
        left = [line for line in text.splitlines() if CHINESE.search(line)]
        assert not left, left
    else:
        assert len(CHINESE.findall(text)) > 40


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("stem", STEMS)
def test_one_step_trains(stem, language):
    app = open_page(stem, language)
    before = app.session_state[f"{stem}_race"].runs
    before = {name: run.history[-1] for name, run in before.items()}
    app.button(key=f"{stem}_step").click().run()
    assert not app.exception
    race = app.session_state[f"{stem}_race"]
    assert race.steps == 1
    assert next(metric.value for metric in app.metric if metric.label in ("Step", "步数")) == "1"
    for name, run in race.runs.items():
        assert run.history[-1].step == 1
        assert run.history[-1].scores != before[name].scores


@pytest.mark.parametrize("stem", STEMS)
def test_reset_restarts_the_run_and_defaults_move_the_controls_back(stem):
    app = open_page(stem, "en", **{f"{stem}_seed": "7"})
    assert app.session_state["settings"][f"{stem}_seed"] == 7
    app.button(key=f"{stem}_step").click().run()
    app.button(key=f"{stem}_reset").click().run()
    assert app.session_state[f"{stem}_race"].steps == 0
    assert app.session_state["settings"][f"{stem}_seed"] == 7
    app.button(key=f"{stem}_defaults").click().run()
    assert app.session_state["settings"][f"{stem}_seed"] == 0
    assert not app.exception


@pytest.mark.parametrize("stem", STEMS)
def test_a_learning_rate_goes_on_and_another_seed_starts_afresh(stem):
    app = open_page(stem, "en")
    app.button(key=f"{stem}_step").click().run()
    app.select_slider(key=f"{stem}_lr").set_value(0.0002).run()
    run = next(iter(app.session_state[f"{stem}_race"].runs.values()))
    assert (run.steps, run.learning_rate) == (1, 0.0002)
    assert run.interventions == [(1, "learning_rate", 0.0002)]
    app.number_input(key=f"{stem}_seed").set_value(5).run()
    run = next(iter(app.session_state[f"{stem}_race"].runs.values()))
    assert (run.steps, run.config.seed, run.config.learning_rate) == (0, 5, 0.0002)
    assert any("fresh run" in text.value for text in app.markdown)
    assert any("fresh run" in text.value for text in app.caption), (
        "where the controls are, the panel may be out of sight"
    )


@pytest.mark.parametrize(
    ("stem", "method", "has"),
    [
        ("gridworld", "value_iteration", False),
        ("gridworld", "policy_evaluation", False),
        ("gridworld", "sarsa", True),
        ("policy_gradient", "random", False),
        ("policy_gradient", "reinforce", True),
    ],
)
def test_a_learning_rate_that_does_nothing_cannot_be_moved(stem, method, has):
    """Whether it does anything is measured: two rates, one start."""
    app = open_page(stem, "en", **{f"{stem}_method": method})
    slider = app.select_slider(key=f"{stem}_lr")
    assert slider.disabled is not has and ("no learning rate" in slider.help) is not has
    config = app.session_state[f"{stem}_race"].configs[method]
    first, second = (replay(replace(config, learning_rate=rate), steps=9).history for rate in (0.02, 0.5))
    assert ([record.scores for record in first] != [record.scores for record in second]) is has


QUICK = {  # steps per second of the default settings at full speed, as measured on one core of 2026
    "neuron": 24_000, "backpropagation": 4_500, "gradient_descent": 12_000, "playground": 58_000, "convolution": 4_000,
    "attention": 3_200, "gridworld": 54_000,
}  # fmt: skip
OWN_LIMIT = {"memory"}  # the length of what is measured, a setting of the lesson


@pytest.mark.parametrize("stem", [stem for stem in STEMS if stem not in OWN_LIMIT])
def test_the_default_step_limit_lasts_more_than_a_minute_at_full_speed(stem):
    limit = open_page(stem, "en").session_state["setting_defaults"][f"{stem}_limit"]
    assert limit >= 80 * QUICK.get(stem, 2_500)


@pytest.mark.parametrize("stem", STEMS)
def test_language_switch_keeps_every_control(stem):
    key, (first, second) = a_slider(stem)
    app = open_page(stem, "en", **{f"{stem}_seed": "3", key: str(first)})
    app.button(key=f"{stem}_step").click().run()
    moved = app.slider(key=key).set_value(second).run()
    before = dict(moved.session_state["settings"])
    app.segmented_control(key="lang").set_value("zh").run()
    assert app.title[0].value == find(stem).zh
    assert dict(app.session_state["settings"]) == before
    assert app.slider(key=key).value == second
    assert app.query_params["lang"] in ("zh", ["zh"])


@pytest.mark.parametrize("stem", STEMS)
def test_leaving_a_page_pauses_its_run_and_keeps_it(stem):
    app = open_page(stem, "en")
    app.button(key=f"{stem}_step").click().run()
    app.button(key=f"{stem}_play").click().run()
    assert app.session_state[f"{stem}_playing"]
    app.switch_page("pages/home.py").run()
    app.switch_page(f"pages/{stem}.py").run()
    assert not app.exception
    assert not app.session_state[f"{stem}_playing"]
    assert app.session_state[f"{stem}_race"].steps == 1


def test_leaving_a_page_stops_its_film():
    app = open_page("cnn", "en")
    for _ in range(2):
        app.button(key="cnn_step").click().run()
    app.button(key="cnn_film").click().run()
    assert app.session_state["cnn_filming"]
    app.switch_page("pages/home.py").run()
    app.switch_page("pages/cnn.py").run()
    assert not app.exception and not app.session_state["cnn_filming"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("stem", STEMS)
def test_bad_parameters_leave_a_note_and_the_default(stem, language):
    slider = a_slider(stem)[0]
    for value in ("9999", "abc", ["2", "3"], ""):
        bad = {slider: value, f"{stem}_lr": "nan", f"{stem}_seed": "-1"}
        app = open_page(stem, language, **bad)
        assert not app.exception, value
        settings, defaults = app.session_state["settings"], app.session_state["setting_defaults"]
        for key in bad:
            assert key in app.warning[0].value and settings[key] == defaults[key], (key, bad[key])
        app.button(key="dismiss_notes").click().run()
        assert not app.warning, value


@pytest.fixture
def all_open(monkeypatch):
    """Every expander of a page is drawn open, so that nothing of it stays unseen."""
    plain, inside = st.expander, DeltaGenerator.expander
    monkeypatch.setattr(st, "expander", lambda label, expanded=False, **options: plain(label, True, **options))
    monkeypatch.setattr(
        DeltaGenerator, "expander", lambda self, label, expanded=False, **options: inside(self, label, True, **options)
    )


@pytest.mark.parametrize("stem", STEMS)
def test_no_link_breaks_a_page_whatever_it_sets_locks_or_hides(stem, all_open):
    keys = [key for key in open_page(stem, "en").session_state["settings"] if key.startswith(f"{stem}_")]
    names = "~".join(key.removeprefix(f"{stem}_") for key in keys)
    for value, asked in (
        ("zzz", {}),
        ("", {}),
        ("zzz", {"lock": names}),
        ("3", {"lock": names}),
        ("3", {"hide": names}),
    ):
        app = open_page(stem, "en", **dict.fromkeys(keys, value), **asked)
        assert not app.exception, (value, *asked)
        assert app.title[0].value == find(stem).en


@pytest.mark.parametrize("end", [0, -1])
@pytest.mark.parametrize("stem", STEMS)
def test_a_page_can_be_drawn_with_every_number_at_the_end_of_its_limits(stem, end, all_open):
    config = type(next(iter(import_module(f"core.{stem}").PRESETS.values())))
    ends = {name: limits[:2][end] if isinstance(limits, Span) else limits[end] for name, limits in config.LIMITS.items() if isinstance(limits, (range, Span))}  # fmt: skip
    app = open_page(stem, "en", **{key_of(stem, name): encode(value) for name, value in ends.items()})
    assert not app.exception and app.title[0].value == find(stem).en
    app.button(key=f"{stem}_step").click().run()
    assert not app.exception


@pytest.mark.parametrize("stem", STEMS)
def test_optimizers_have_one_name_each(stem, all_open):
    """The same words on every page that offers them, and none of the codes."""
    found = [box for box in open_page(stem, "zh").selectbox if box.key == f"{stem}_optimizer"]
    for box in found:
        assert box.options == ["随机梯度下降", "动量", "Nesterov", "RMSProp", "Adam", "AdamW"]


def test_unknown_parameters_are_ignored_with_a_note():
    app = open_page(STEMS[0], "en", colour="red", **{f"{STEMS[0]}_nothing": "1"})
    assert not app.exception
    assert "colour" in app.warning[0].value and f"{STEMS[0]}_nothing" in app.warning[0].value


@pytest.mark.parametrize("stem", ["home", "cnn"])
def test_settings_of_another_lesson_are_ignored_with_a_note_but_not_after_a_change_of_page(stem):
    app = open_page(stem, "en", pooling_kernel="3", pooling_nothing="1")
    assert not app.exception
    assert "pooling_kernel" in app.warning[0].value and "pooling_nothing" in app.warning[0].value
    app.query_params["cnn_kernel"] = "5"  # as if the browser had left it there
    app.switch_page("pages/convolution.py").run()
    assert not app.warning and not app.exception


@pytest.mark.parametrize("language", LANGUAGES)
def test_where_a_file_is_given_the_words_are_the_viewers(language):
    """Streamlit's own are English: in Chinese the frame's style has others in their place."""
    styles = "".join(each.proto.body for each in open_page("convolution", language).sidebar.get("html"))
    assert ("stFileUploaderDropzone" in styles) is (language == "zh")
    assert ("选择文件" in styles) is (language == "zh")


@pytest.mark.parametrize("language", ["fr", "", ["zh", "en"]])
def test_an_unknown_language_is_noted(language):
    app = visitor(lang=language).run()
    assert (
        not app.exception
        and f"lang={' & '.join(language) if isinstance(language, list) else language}" in app.warning[0].value
    )


def test_a_note_is_a_line_of_code_whatever_the_link_says():
    app = open_page("cnn", "en", cnn_kernel="`**x**`\n# 5", **{"a`b\n# c" + "d" * 99: "1"})
    lines = app.warning[0].value.split("  \n")
    assert len(lines) == 2 and all(line.count("`") == 2 and "\n" not in line and len(line) < 150 for line in lines)


def test_a_link_full_of_nonsense_leaves_room_for_the_lesson():
    app = open_page("cnn", "en", **{f"nothing{i}": "1" for i in range(60)})
    lines = app.warning[0].value.split("  \n")
    assert len(lines) == 13 and lines[-1] == "And 48 more like these."


def test_what_is_repeated_in_the_address_is_there_once_afterwards():
    app = open_page("cnn", ["zh", "en"])  # the default of this browser is English
    assert app.query_params["lang"] in ("en", ["en"])


def test_the_address_holds_what_is_not_default():
    app = open_page("cnn", "en")
    assert "cnn_kernel" not in app.query_params
    app.slider(key="cnn_kernel").set_value(5).run()
    assert app.query_params["cnn_kernel"] in ("5", ["5"])
    again = open_page("cnn", "en", cnn_kernel="5")
    assert again.slider(key="cnn_kernel").value == 5
    assert again.session_state["cnn_race"].configs == app.session_state["cnn_race"].configs


def test_the_registry_is_sound():
    assert len(set(STEMS)) == len(STEMS)
    for place, lesson in enumerate(LESSONS):
        assert lesson.group in GROUPS
        assert set(lesson.builds_on) <= set(STEMS[:place]), "a lesson builds on earlier ones"
        assert lesson.zh_sentence and lesson.en_sentence
