"""Links: the same lesson and the same curve elsewhere, controls hidden or locked by a teacher, the view for a projector."""

import re
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
import segno
from streamlit.testing.v1 import AppTest

from core.training import Intervention
from pages.ui import share
from pages.ui.address import decode_interventions, encode_interventions
from pages.ui.lessons import LESSONS
from pages.ui.text import LANGUAGES
from tests.lessons import a_slider, visitor

STEMS = [lesson.stem for lesson in LESSONS]


def open_page(stem: str, **parameters) -> AppTest:
    """A visit that begins with a link to this lesson."""
    app = visitor(stem, **{"lang": "en"} | parameters).run()
    assert not app.exception
    return app


def shared_link(app: AppTest, stem: str) -> str:
    """What the popover offers."""
    app.session_state[f"{stem}_share"] = True
    app.run()
    assert not app.exception
    link = next(code.value for code in app.code if "lang=" in code.value)
    app.session_state[f"{stem}_share"] = False
    app.run()
    return link


def parameters_of(link: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(link).query, keep_blank_values=True))


def open_link(link: str) -> AppTest:
    return open_page(urlsplit(link).path.strip("/"), **parameters_of(link))


def address(app: AppTest) -> dict[str, str]:
    return {key: value[0] if isinstance(value, list) else value for key, value in app.query_params.items()}


def race_of(app: AppTest, stem: str):
    return app.session_state[f"{stem}_race"]


def steps(app: AppTest, stem: str, count: int) -> None:
    for _ in range(count):
        app.button(key=f"{stem}_step").click().run()
    assert not app.exception


def metrics(app: AppTest) -> list[tuple[str, str, str]]:
    return [(each.label, each.value, each.delta) for each in app.metric if each.label != "Steps/s"]


def setting(app: AppTest, key: str):
    return app.session_state["settings"][key]


def notes(app: AppTest) -> str:
    return "\n".join(warning.value for warning in app.warning)


# The same lesson, the same curve


@pytest.mark.parametrize("stem", STEMS)
def test_a_link_gives_the_same_curve_with_what_was_changed_on_the_way(stem):
    app = open_page(stem)
    app.number_input(key=f"{stem}_seed").set_value(11).run()
    key, value = ("convolution_kernel", 2) if stem == "convolution" else (a_slider(stem)[0], a_slider(stem)[1][1])
    app.slider(key=key).set_value(value).run()
    app.select_slider(key=f"{stem}_lr").set_value(0.005).run()
    steps(app, stem, 2)
    app.select_slider(key=f"{stem}_lr").set_value(0.05).run()
    if stem == "convolution":
        race_of(app, stem).intervene("kernel", (0.5, -1.25, 0.1 + 0.2, 1e-5))
    steps(app, stem, 2)
    app.select_slider(key=f"{stem}_lr").set_value(0.001).run()
    steps(app, stem, 1)
    link = shared_link(app, stem)
    assert parameters_of(link)[f"{stem}_lr"] == "0.005"  # at the start; the slider shows the present one
    assert setting(app, f"{stem}_lr") == 0.001

    again = open_link(link)
    assert not again.warning
    assert race_of(again, stem).steps == 0 and again.select_slider(key=f"{stem}_lr").value == 0.005
    assert any("step 2, 4" in text.value for text in again.markdown)
    for rate in (0.005, 0.05, 0.05, 0.001, 0.001):
        steps(again, stem, 1)
        assert again.select_slider(key=f"{stem}_lr").value == rate  # the slider follows
    assert metrics(again) == metrics(app)
    for name, run in race_of(app, stem).runs.items():
        other = race_of(again, stem).runs[name]
        assert repr(other.history) == repr(run.history)  # repr is exact
        assert other.interventions == run.interventions and other.planned == []
    assert shared_link(again, stem) == link


def test_the_learning_rate_matters_to_that_test():
    app = open_page("cnn", cnn_lr="0.005")
    other = open_page("cnn", cnn_lr="0.005", cnn_did="2~lr~0.05")
    steps(app, "cnn", 3)
    steps(other, "cnn", 3)
    first, second = (race_of(each, "cnn").leader.history for each in (app, other))
    assert repr(first[:3]) == repr(second[:3]) and repr(first[3]) != repr(second[3])


@pytest.mark.parametrize("stem", STEMS)
def test_a_link_has_every_setting(stem):
    app = open_page(stem)
    link = shared_link(app, stem)
    given = parameters_of(link)
    settings = app.session_state["settings"]
    kept = {
        key for key, value in settings.items() if key.startswith(f"{stem}_") and value != ""
    }  # nothing typed or done
    assert {f"{stem}_seed", f"{stem}_lr", a_slider(stem)[0], f"{stem}_speed", f"{stem}_limit"} <= kept
    assert kept | {"lang"} == given.keys()
    assert set(address(app)) == {"lang"}  # the address bar leaves defaults out
    again = open_link(link)
    assert not again.warning
    assert dict(again.session_state["settings"]) == dict(app.session_state["settings"])


def test_view_settings_speed_limit_and_axis_are_in_the_link():
    app = open_page("cnn")
    app.slider(key="cnn_digit").set_value(7).run()
    app.select_slider(key="cnn_speed").set_value("10").run()
    app.number_input(key="cnn_limit").set_value(500).run()
    app.toggle(key="cnn_log").set_value(True).run()
    again = open_link(shared_link(app, "cnn"))
    assert again.slider(key="cnn_digit").value == 7
    assert again.select_slider(key="cnn_speed").value == "10"
    assert again.number_input(key="cnn_limit").value == 500
    assert again.toggle(key="cnn_log").value is True


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_language_is_in_the_link(language):
    app = open_page("pooling", lang=language)
    again = open_link(shared_link(app, "pooling"))
    assert again.title[0].value == app.title[0].value
    assert again.segmented_control(key="lang").value == language


def test_reloading_the_page_keeps_what_was_changed_on_the_way():
    app = open_page("pooling")
    steps(app, "pooling", 3)
    app.select_slider(key="pooling_lr").set_value(0.1).run()
    assert address(app) == {"lang": "en", "pooling_did": "3~lr~0.1"}
    again = open_page("pooling", **address(app))
    assert race_of(again, "pooling").leader.planned == [Intervention(3, "learning_rate", 0.1)]
    assert address(again) == address(app)


def test_by_hand_outweighs_the_plan_and_the_link_says_what_happened():
    app = open_page("convolution", convolution_did="2~lr~0.1~4~lr~0.2~5~kernel~" + repr((0.0,) * 9).replace(" ", ""))
    steps(app, "convolution", 3)
    app.select_slider(key="convolution_lr").set_value(0.001).run()
    steps(app, "convolution", 3)
    made = [(each.step, each.name) for each in race_of(app, "convolution").leader.interventions]
    assert made == [(2, "learning_rate"), (3, "learning_rate"), (5, "kernel")]
    assert app.select_slider(key="convolution_lr").value == 0.001
    did = decode_interventions(parameters_of(shared_link(app, "convolution"))["convolution_did"])
    assert list(did) == race_of(app, "convolution").leader.interventions


def test_reset_repeats_a_link_but_not_what_the_viewer_changed():
    app = open_page("cnn", cnn_lr="0.005", cnn_did="1~lr~0.05")
    steps(app, "cnn", 2)
    first = repr(race_of(app, "cnn").leader.history)
    app.button(key="cnn_reset").click().run()
    assert app.select_slider(key="cnn_lr").value == 0.005
    steps(app, "cnn", 2)
    assert repr(race_of(app, "cnn").leader.history) == first
    app.select_slider(key="cnn_lr").set_value(0.001).run()
    app.button(key="cnn_reset").click().run()
    assert race_of(app, "cnn").leader.planned == [] and "cnn_did" not in address(app)
    assert race_of(app, "cnn").leader.config.learning_rate == app.select_slider(key="cnn_lr").value == 0.001


def test_other_settings_make_a_fresh_run_without_the_plan():
    app = open_page("cnn", cnn_did="1~lr~0.05")
    app.slider(key="cnn_kernel").set_value(5).run()
    assert race_of(app, "cnn").leader.planned == [] and "cnn_did" not in address(app)


def test_another_learning_rate_before_the_first_step_keeps_the_rest_of_the_plan():
    kernel = (0.0,) * 9
    changes = [
        Intervention(0, "kernel", kernel),
        Intervention(2, "learning_rate", 0.1),
        Intervention(3, "kernel", kernel),
    ]
    app = open_page("convolution", convolution_did=encode_interventions(changes))
    app.select_slider(key="convolution_lr").set_value(0.001).run()
    run = race_of(app, "convolution").leader
    assert run.config.learning_rate == 0.001
    assert [*run.interventions, *run.planned] == [changes[0], changes[2]]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "text",
    [
        "x", "1~lr", "-1~lr~0.1", "1.5~lr~0.1", "1~lr~nan", "1~lr~999", "1~lr~'0.1'", "1~nothing~1", "1~kernel~(1.0,)",
        "1~lr~__import__('os')", "1~lr~[0.1]", "1~lr~" + "(" * 5000, "1" * 5000 + "~lr~0.1", "²~lr~0.1", "1~kernel~1e999",
    ],
)  # fmt: skip
def test_tampered_changes_are_noted_and_none_is_made(text, language):
    app = open_page("convolution", convolution_did=text, lang=language)
    assert "convolution_did" in notes(app) and r"200\~lr\~0.05 …" in notes(app)
    run = race_of(app, "convolution").leader
    assert run.planned == [] and run.interventions == []
    steps(app, "convolution", 2)
    assert "convolution_did" not in address(app)


def test_unknown_settings_of_another_version_are_ignored_with_a_note():
    app = open_page("cnn", cnn_kernel="5", cnn_future="1", replayed="7")
    assert "cnn_future" in notes(app) and "replayed" in notes(app)
    assert app.slider(key="cnn_kernel").value == 5


@pytest.mark.parametrize(
    "changes",
    [
        (),
        (Intervention(120, "learning_rate", 0.001),),
        (Intervention(0, "kernel", (0.1 + 0.2, -1.0, 1e-05)), Intervention(300, "learning_rate", 2.0)),
        (Intervention(7, "conv.0.weight", (0, (1, True), "relu", -0.5)), Intervention(7, "gate", (1.0,))),
    ],
)
def test_changes_survive_the_address(changes):
    again = decode_interventions(encode_interventions(changes))
    assert again == changes and repr(again) == repr(changes)


# Teacher's links


def drawn_keys(app: AppTest) -> set[str]:
    kinds = ("slider", "select_slider", "toggle", "number_input", "selectbox", "segmented_control", "button")
    return {element.key for kind in kinds for element in app.get(kind) if element.key}


def test_hidden_controls_keep_the_links_values_and_locked_ones_do_not_move():
    app = open_page("cnn", cnn_kernel="5", cnn_lr="0.005", hide="kernel~seed", lock="lr~stride")
    assert {"cnn_kernel", "cnn_seed"}.isdisjoint(drawn_keys(app))
    assert setting(app, "cnn_kernel") == race_of(app, "cnn").leader.config.kernel == 5
    assert app.select_slider(key="cnn_lr").disabled and app.select_slider(key="cnn_lr").value == 0.005
    assert app.slider(key="cnn_stride").disabled and not app.slider(key="cnn_channels").disabled
    app.slider(key="cnn_channels").set_value(4).run()
    config = race_of(app, "cnn").leader.config
    assert (config.kernel, config.learning_rate, config.stride, config.channels) == (5, 0.005, 1, 4)


def test_hide_and_lock_hold_for_the_whole_visit():
    app = open_page("cnn", cnn_kernel="5", hide="kernel", lock="lr")
    app.query_params.clear()  # as Streamlit does when the page is switched
    app.switch_page("pages/home.py").run()
    assert address(app)["hide"] == "kernel"
    app.query_params.clear()
    app.switch_page("pages/pooling.py").run()
    assert "pooling_kernel" not in drawn_keys(app) and app.select_slider(key="pooling_lr").disabled
    app.segmented_control(key="lang").set_value("zh").run()
    app.query_params.clear()
    app.switch_page("pages/cnn.py").run()
    assert not app.warning
    assert "cnn_kernel" not in drawn_keys(app) and setting(app, "cnn_kernel") == 5
    assert app.select_slider(key="cnn_lr").disabled
    assert {key: address(app)[key] for key in ("hide", "lock", "cnn_kernel", "lang")} == {
        "hide": "kernel", "lock": "lr", "cnn_kernel": "5", "lang": "zh"
    }  # fmt: skip


def test_presets_and_defaults_leave_hidden_and_locked_controls_alone():
    app = open_page("cnn", cnn_channels="5", cnn_kernel="5", cnn_stride="2", hide="kernel", lock="channels")
    app.button(key="cnn_defaults").click().run()
    assert [setting(app, f"cnn_{name}") for name in ("kernel", "channels", "stride")] == [5, 5, 1]
    app.pills(key="cnn_preset").set_value("lenet").run()
    assert [setting(app, f"cnn_{name}") for name in ("kernel", "channels")] == [5, 5]
    assert not app.exception


def test_presets_can_be_hidden_or_locked_and_useless_ones_are_not_offered():
    offered = open_page("cnn").pills(key="cnn_preset").options
    assert len(offered) > 5
    hidden = open_page("cnn", hide="presets")
    assert "cnn_preset" not in {pills.key for pills in hidden.pills}
    locked = open_page("cnn", lock="presets")
    assert locked.pills(key="cnn_preset").disabled
    names = [key.removeprefix("cnn_") for key in locked.session_state["settings"]]
    left = open_page("cnn", lock="~".join(names)).pills(key="cnn_preset")
    assert len(left.options) == 1 and left.value == "default"  # the one that it stands at


def test_every_panel_control_can_be_locked():
    app = open_page("convolution", lock="lr~seed~speed~limit~log")
    assert app.select_slider(key="convolution_speed").disabled and app.select_slider(key="convolution_lr").disabled
    assert app.number_input(key="convolution_seed").disabled and app.number_input(key="convolution_limit").disabled
    assert app.toggle(key="convolution_log").disabled
    steps(app, "convolution", 1)


def test_a_locked_learning_rate_still_follows_a_planned_change():
    app = open_page("cnn", cnn_did="1~lr~0.05", lock="lr")
    steps(app, "cnn", 1)
    rate = app.select_slider(key="cnn_lr")
    assert rate.disabled and rate.value == 0.05


def test_unknown_names_are_ignored_with_a_note():
    app = open_page("cnn", hide="kernel~nothing", lock="a~~b")
    assert "hide=nothing" in notes(app) and "lock=a~b" in notes(app)
    assert address(app)["hide"] == "kernel" and "lock" not in address(app)
    assert "cnn_kernel" not in drawn_keys(app)


def test_the_teacher_chooses_in_the_popover():
    app = open_page("cnn")
    app.session_state["cnn_share"] = True
    app.run()
    hide, lock = app.multiselect(key="cnn_teacher_hide"), app.multiselect(key="cnn_teacher_lock")
    assert (
        "Kernel size" in hide.options
        and "Learning rate" in lock.options
        and {"Presets", "Questions"} <= set(hide.options)
    )
    hide.set_value(["kernel", "presets"])
    lock.set_value(["lr", "kernel"]).run()
    app.toggle(key="cnn_teacher_present").set_value(True).run()
    assert "cnn_kernel" in drawn_keys(app)  # the teacher's own page stays
    assert any("not a protection" in caption.value for caption in app.caption)
    link = shared_link(app, "cnn")
    app.segmented_control(key="lang").set_value("zh").run()
    app.switch_page("pages/home.py").run()
    app.switch_page("pages/cnn.py").run()
    assert shared_link(app, "cnn") == link.replace("lang=en", "lang=zh")  # what was chosen is kept
    given = parameters_of(link)
    assert (given["hide"], given["lock"], given["present"]) == ("kernel~presets", "lr", "1")
    pupil = open_link(link)
    assert "cnn_kernel" not in drawn_keys(pupil) and pupil.select_slider(key="cnn_lr").disabled
    assert parameters_of(shared_link(pupil, "cnn"))["hide"] == "kernel~presets"  # a pupil shares what a pupil sees


def test_a_chosen_control_may_vanish_from_the_page():
    app = open_page("cnn")
    app.session_state["cnn_share"] = True
    app.run()
    sometimes = set(app.session_state["drawn"])
    app.segmented_control(key="cnn_look").set_value("excitement").run()
    sometimes = sorted(set(app.session_state["drawn"]) - sometimes)
    app.multiselect(key="cnn_teacher_hide").set_value(["kernel", *sometimes]).run()
    assert app.multiselect(key="cnn_teacher_hide").value == ["kernel", *sometimes]
    app.segmented_control(key="cnn_look").set_value("evidence").run()
    assert sometimes and not app.exception
    assert app.multiselect(key="cnn_teacher_hide").value == ["kernel"]


@pytest.mark.parametrize(("language", "words"), [("zh", "不是保护"), ("en", "not a protection")])
def test_the_popover_speaks_the_language(language, words):
    app = open_page("pooling", lang=language)
    app.session_state["pooling_share"] = True
    app.run()
    text = "\n".join(element.value for kind in ("caption", "markdown") for element in app.get(kind))
    assert words in text
    labels = [element.label for element in (*app.multiselect, *app.toggle)]
    assert language == "zh" or not any(re.search(r"[\u4e00-\u9fff]", label) for label in labels)


# Presenting


def test_presenting_is_entered_and_left():
    app = open_page("cnn", present="1")
    assert "present_leave" in drawn_keys(app) and address(app)["present"] == "1"
    app.query_params.clear()
    app.switch_page("pages/home.py").run()
    assert "present_leave" in drawn_keys(app) and address(app)["present"] == "1"
    app.button(key="present_leave").click().run()
    assert "present_leave" not in drawn_keys(app) and "present" not in address(app)
    app.button(key="present_enter").click().run()
    assert "present_leave" in drawn_keys(app) and not app.warning and not app.exception


def test_a_tampered_present_is_noted():
    app = open_page("cnn", present="yes")
    assert "present=yes" in notes(app) and "present_leave" not in drawn_keys(app)


# Two tabs, codes


def test_two_tabs_share_nothing():
    one, two = open_page("cnn", cnn_kernel="5", hide="stride"), open_page("cnn", cnn_lr="0.05", lock="lr")
    steps(one, "cnn", 2)
    one.select_slider(key="cnn_lr").set_value(0.001).run()
    steps(two, "cnn", 1)
    assert race_of(one, "cnn").steps == 2 and race_of(two, "cnn").steps == 1
    assert setting(one, "cnn_lr") == 0.001 and setting(two, "cnn_lr") == 0.05
    assert race_of(two, "cnn").leader.config.kernel == 3 and race_of(two, "cnn").leader.interventions == []
    assert "cnn_stride" in drawn_keys(two) and not one.select_slider(key="cnn_lr").disabled
    assert "lock" not in address(one) and "hide" not in address(two)


def test_the_code_has_a_white_quiet_zone_and_gives_up_on_what_does_not_fit():
    picture = share.qr("http://host/cnn?lang=en")
    assert picture.startswith("data:image/svg+xml") and "#fff" in unquote(picture)
    side = segno.make("http://host/cnn?lang=en", error="l", micro=False).symbol_size(border=4)[0]
    assert f"0 0 {side} {side}" in unquote(picture)  # four modules wide on each side, and free to scale
    assert share.qr("x" * 5000) == ""


def test_what_is_too_much_for_a_link_is_said():
    app = open_page("convolution")
    app.button(key="convolution_step").click().run()
    (run,) = race_of(app, "convolution").runs.values()
    run.interventions = [Intervention(step, "learning_rate", 0.001) for step in range(400)]
    app.session_state["convolution_share"] = True
    app.run()
    assert not app.exception
    assert any("Too much was changed" in caption.value for caption in app.caption)
