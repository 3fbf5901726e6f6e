"""What only a browser shows: cold deep links, the running panel, drawing, themes, and nothing fetched from outside."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from tests.browser.waiting import LAST, STEMS, in_both_themes, settled, wait_until

ARTIFACTS = Path(__file__).resolve().parents[2] / "test-artifacts"
MARK = """() => {
  const nodes = [...document.querySelectorAll('[data-testid=stVegaLiteChart] svg, [data-testid=stVegaLiteChart] canvas')];
  const find = (node) => [...node.querySelectorAll('*')].flatMap((n) => n.shadowRoot ? [...n.shadowRoot.querySelectorAll('.figure canvas')] : []);
  const all = [...nodes, ...find(document.body)];
  const old = all.map((node) => node.__seen === true);
  all.forEach((node) => { node.__seen = true; });
  return old;
}"""


def metric(page, label):
    return (
        page.locator("[data-testid=stMetric]")
        .filter(has_text=label)
        .locator("[data-testid=stMetricValue]")
        .first.inner_text()
    )


def steps(page):
    return int(metric(page, "Step"))


def button(page, key):
    return page.locator(f".st-key-{key} button").first


def plays(page, stem):
    return "Pause" in button(page, f"{stem}_play").inner_text()  # beside its key


def pause(page, stem):
    """Press Pause, and wait until the run rests."""
    button(page, f"{stem}_play").click()
    wait_until(page, lambda: not plays(page, stem))
    settled(page)


def test_a_cold_deep_link_opens_its_lesson(fresh_port, visit):
    page = visit(fresh_port, "/cnn?cnn_kernel=5&lang=en")
    page.wait_for_selector(".st-key-cnn_kernel")
    page.wait_for_selector(".st-key-cnn_play")
    assert page.locator("h1").first.inner_text() == "Convolutional network"
    assert page.locator(".st-key-cnn_kernel input[type=range]").input_value() == "5"
    sidebar = page.locator("[data-testid=stSidebarNav]").inner_text()
    assert "Course map" in sidebar and "Convolution" in sidebar
    assert "home" not in sidebar and "streamlit app" not in sidebar
    assert page.locator("[role=dialog]").count() == 0
    assert "cnn_kernel=5" in page.url
    assert not page.problems


def test_a_click_on_a_state_is_looked_at_while_it_trains(port, visit):
    page = visit(port, "/rnn?lang=en")
    page.wait_for_selector(".st-key-rnn_play")
    states = page.locator("[data-map='rnn hidden']")
    page.set_viewport_size({"width": 1280, "height": 2400})  # both in view: what is painted anew cannot be scrolled to
    button(page, "rnn_play").click()
    wait_until(page, lambda: steps(page) > 5)
    boxes: list = []
    wait_until(page, lambda: boxes.append(states.bounding_box()) or boxes[-1])  # none while it is painted anew
    box = boxes[-1]
    page.mouse.click(box["x"] + box["width"] * 16.5 / 20, box["y"] + box["height"] * 2.5 / 32)
    value = page.locator(".st-key-rnn_at input[type=range]")
    wait_until(page, lambda: value.input_value() == "17")
    assert page.locator(".st-key-rnn_unit input[type=range]").input_value() == "3"
    before = steps(page)
    wait_until(page, lambda: steps(page) > before)
    assert not page.problems


def test_a_small_picture_chooses_the_data_while_it_trains(port, visit):
    page = settled(visit(port, "/playground?lang=en"))
    small = page.locator(".st-key-playground_data_sets")
    assert small.locator(".figure").count() == 9
    assert len({round(figure.bounding_box()["y"]) for figure in small.locator(".figure").all()}) == 1  # one row
    assert small.locator(".scene").bounding_box()["height"] < 60
    small.hover()
    assert not small.locator(".tools").is_visible()
    button(page, "playground_play").click()
    wait_until(page, lambda: steps(page) > 300)
    small.locator("[aria-label='Data: XOR']").click()
    small.locator("[aria-label='Data: XOR (chosen)']").wait_for()
    wait_until(page, lambda: "playground_data=xor" in page.url and plays(page, "playground"))
    before = steps(page)
    wait_until(page, lambda: steps(page) > before)
    pause(page, "playground")
    assert not page.problems


def test_a_small_picture_that_was_chosen_by_the_keyboard_keeps_the_focus(port, visit):
    page = settled(visit(port, "/playground?lang=en"))
    small = page.locator(".st-key-playground_data_sets")
    small.locator("[aria-label='Data: XOR']").focus()
    page.keyboard.press("Enter")
    small.locator("[aria-label='Data: XOR (chosen)']").wait_for()
    settled(page)
    assert small.locator("rect:focus").get_attribute("aria-label") == "Data: XOR (chosen)"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    small.locator("[aria-label='Data: Gaussians (chosen)']").wait_for()
    assert not page.problems


def test_a_small_picture_brings_the_next_digit_of_its_class(port, visit):
    page = visit(port, "/cnn?lang=en")
    page.wait_for_selector(LAST["cnn"])
    settled(page)
    row = page.locator(".st-key-cnn_classes")
    shown = []
    for _ in range(2):
        before = page.url
        row.locator("[aria-label^='The next 7']").click()
        wait_until(page, lambda before=before: page.url != before)
        settled(page)
        assert "This is a 7" in "".join(page.locator(".st-key-cnn_picture0 text").all_text_contents())
        shown.append(re.search(r"cnn_digit=(\d+)", page.url)[1])
    assert shown[0] != shown[1] and row.locator("[aria-label='The next 7 (one is looked at)']").count() == 1
    assert not page.problems


def test_the_words_of_pictures_grow_with_the_page_on_a_projector(port, visit):
    for present in ("", "&present=1"):
        page = visit(port, f"/cnn?lang=en{present}", width=1920, height=1080)
        page.wait_for_selector(LAST["cnn"])
        settled(page)
        size = page.locator(".st-key-cnn_picture0 text", has_text="after ReLU").first.evaluate(
            "(node) => parseFloat(getComputedStyle(node).fontSize) * node.getScreenCTM().a"
        )
        letters = page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)")
        assert size >= 11 * letters / 18 - 0.1 and letters > (25 if present else 17)


def test_what_the_mouse_points_at_is_shown_large_and_told_without_a_rerun(port, visit):
    page = visit(port, "/playground?lang=en")
    network, answer = (page.locator(".st-key-playground_picture0 .figure svg").nth(i) for i in (0, 1))
    tips = page.locator(".st-key-playground_picture0 .figure output")
    middle = """(svg) => [...svg.parentElement.querySelector('canvas').getContext('2d').getImageData(120, 120, 1, 1).data].join()"""
    answer.scroll_into_view_if_needed()
    before = answer.evaluate(middle)
    page.locator("[aria-label='Layer 1, neuron 2']").hover()
    wait_until(page, lambda: tips.nth(1).is_visible() and tips.nth(1).inner_text() == "Neuron 2 of layer 1")
    assert answer.evaluate(middle) != before
    box = network.bounding_box()
    page.mouse.move(box["x"] + 0.205 * box["width"], box["y"] + 0.187 * box["height"])  # just after x₁
    wait_until(page, lambda: tips.nth(0).is_visible())
    float(tips.nth(0).inner_text().replace("−", "-"))
    assert answer.evaluate(middle) == before
    answer.locator("[data-map=answer]").hover()
    wait_until(
        page,
        lambda: tips.nth(1).is_visible() and re.match(r"\(−?0\.[12], −?0\.[12]\): 0\.\d", tips.nth(1).inner_text()),
    )
    assert not page.problems


def test_a_click_on_the_neurons_plane_moves_the_input_that_is_looked_at(port, visit):
    page = visit(port, "/neuron?lang=en")
    plane = page.locator("[data-map=output]")
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    plane.click(position={"x": box["width"] * 0.25, "y": box["height"] * 0.75})
    wait_until(page, lambda: "neuron_x1=" in page.url and "neuron_x2=" in page.url)
    sliders = [page.locator(f".st-key-neuron_{name} input[type=range]") for name in ("x1", "x2")]
    wait_until(
        page, lambda: all(abs(float(slider.input_value())) <= 0.1 for slider in sliders)
    )  # a quarter from the left, and from below
    assert not page.problems


def test_a_slider_answers_while_training_and_the_run_goes_on_afresh(port, visit):
    page = visit(port, "/cnn?lang=en")
    page.wait_for_selector(".st-key-cnn_play")
    button(page, "cnn_play").click()
    wait_until(page, lambda: steps(page) > 60)
    before = steps(page)
    slider = page.locator(".st-key-cnn_kernel input[type=range]")
    slider.focus()
    slider.press("ArrowRight")
    wait_until(page, lambda: steps(page) < before)
    wait_until(page, lambda: steps(page) > 5)
    wait_until(page, lambda: "cnn_kernel=4" in page.url)
    assert not page.problems


def test_quick_moves_away_from_a_preset_all_count(port, visit):
    """The second is under way with the row of presets as it was, before the browser knows that none is chosen now."""
    page = visit(port, "/cnn?lang=en")
    page.wait_for_selector(LAST["cnn"])
    settled(page)
    page.locator(".st-key-cnn_kernel input[type=range]").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight", delay=15)
    wait_until(page, lambda: "cnn_kernel=6" in page.url)
    settled(page)
    assert page.locator(".st-key-cnn_kernel input[type=range]").input_value() == "6" and "cnn_kernel=6" in page.url
    assert "Your own settings." in page.inner_text("[data-testid=stMain]")


def test_back_goes_to_the_page_before_with_its_settings(port, visit):
    page = visit(port, "/pooling?lang=en")
    page.wait_for_selector(LAST["pooling"])
    page.locator("[data-testid=stSidebarNavLink]", has_text="Convolutional network").click()
    page.wait_for_selector(LAST["cnn"])
    settled(page)
    slider = page.locator(".st-key-cnn_kernel input[type=range]")
    for kernel in (4, 5):
        slider.press("ArrowRight")
        wait_until(page, lambda wanted=kernel: f"cnn_kernel={wanted}" in page.url)
        settled(page)
    page.go_back()
    page.wait_for_selector("h1:has-text('Pooling')")
    assert "/pooling" in page.url and "cnn" not in page.url
    page.go_forward()
    page.wait_for_selector(LAST["cnn"])
    settled(page)
    assert slider.input_value() == "5" and "cnn_kernel=5" in page.url
    assert not page.problems


def test_the_language_switch_keeps_the_sliders_and_the_run(port, visit):
    page = visit(port, "/cnn?lang=en&cnn_kernel=5")
    button(page, "cnn_step").click()
    wait_until(page, lambda: steps(page) == 1)
    page.locator(".st-key-lang button", has_text="中文").click()
    page.wait_for_selector("h1:has-text('卷积神经网络')")
    settled(page)
    assert page.locator(".st-key-cnn_kernel input[type=range]").input_value() == "5"
    assert metric(page, "步数") == "1"
    assert "lang=zh" in page.url


@pytest.mark.parametrize(("locale", "word"), [("zh-CN", "课程地图"), ("de-DE", "Course map")])
def test_the_browser_chooses_the_language(port, visit, locale, word):
    page = visit(port, "/", locale=locale)
    page.wait_for_selector(f"[data-testid=stSidebarNav]:has-text('{word}')")
    assert not page.problems


@pytest.mark.parametrize("stem", ["lstm", "convolution"])  # under the presets, and in a part of its own
def test_play_stays_in_sight_wherever_one_has_scrolled(port, visit, stem):
    page = visit(port, f"/{stem}?lang=en", height=800)
    page.wait_for_selector(LAST[stem])
    settled(page)
    play = button(page, f"{stem}_play")
    page.locator(f".st-key-{stem}_film").scroll_into_view_if_needed()
    settled(page)
    box = play.bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] < 100
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)  # nothing lies over it
    wait_until(page, lambda: plays(page, stem))
    box = play.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    wait_until(page, lambda: not plays(page, stem))
    assert not page.problems


def test_play_has_a_key(port, visit):
    page = visit(port, "/cnn?lang=en")
    page.wait_for_selector(".st-key-cnn_play")
    settled(page)
    page.keyboard.press("p")
    wait_until(page, lambda: steps(page) > 3)
    page.keyboard.press("p")
    wait_until(page, lambda: not plays(page, "cnn"))


@pytest.mark.parametrize("words", ["lang=en", "lang=zh"])
def test_no_button_is_cut_off_on_a_projector(port, visit, words):
    page = visit(port, f"/cnn?{words}&present=1", width=1920, height=1080)
    page.wait_for_selector(LAST["cnn"])
    button(page, "cnn_step").click()
    settled(page)
    for key in ("play", "film"):
        cut = button(page, f"cnn_{key}").evaluate(
            "node => [...node.querySelectorAll('*')].filter((each) => each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0).map((each) => each.innerText)"
        )
        assert not cut, key


def test_leaving_a_page_pauses_it(port, visit):
    page = visit(port, "/cnn?lang=en")
    page.wait_for_selector(".st-key-cnn_play")
    button(page, "cnn_play").click()
    wait_until(page, lambda: steps(page) > 3)
    page.locator("[data-testid=stSidebarNav] a", has_text="Course map").click()
    page.wait_for_selector("h1:has-text('Deep learning')")
    page.locator("[data-testid=stSidebarNav] a", has_text="Convolutional network").click()
    page.wait_for_selector(".st-key-cnn_play")
    there = steps(settled(page))
    assert there > 3 and not plays(page, "cnn")
    page.wait_for_timeout(500)
    assert steps(page) == there


def test_a_drawn_digit_is_read_at_once(port, visit):
    page = visit(port, "/cnn?lang=en")
    page.wait_for_selector(".st-key-cnn_play")
    button(page, "cnn_play").click()
    wait_until(page, lambda: steps(page) > 150)
    pause(page, "cnn")
    canvas = page.locator(".st-key-cnn_canvas canvas").first
    canvas.scroll_into_view_if_needed()
    assert "reads your digit" not in "".join(labels(page))
    box = canvas.bounding_box()
    across, down = box["x"] + box["width"] / 2, [box["y"] + box["height"] * share for share in (0.15, 0.85)]
    page.mouse.move(across, down[0])
    page.mouse.down()
    page.mouse.move(across, down[1], steps=10)
    page.mouse.up()
    wait_until(page, lambda: "reads your digit as 1" in "".join(labels(page)))
    assert not page.problems


def test_a_dot_is_seen_a_stroke_may_leave_the_pad_and_the_last_can_be_undone(port, visit):
    page = visit(port, "/cnn?lang=en")
    page.wait_for_selector(LAST["cnn"])
    settled(page)
    pad = page.locator(".st-key-cnn_canvas canvas").first
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()

    def ink(across, down):
        """How bright the pad is there, both in shares of its side."""
        return pad.evaluate(f"(pad) => pad.getContext('2d').getImageData({across} * pad.width, {down} * pad.height, 1, 1).data[0]")  # fmt: skip

    def at(across, down):
        return box["x"] + box["width"] * across, box["y"] + box["height"] * down

    page.mouse.click(*at(0.2, 0.3))
    assert ink(0.2, 0.3) == 255 and ink(0.4, 0.3) == 0
    page.mouse.move(*at(0.5, 0.9))
    page.mouse.down()
    for place in ((0.5, 1.2), (0.9, 1.2), (0.9, 0.5)):  # out below, along outside, in again
        page.mouse.move(*at(*place), steps=8)
    page.mouse.up()
    assert ink(0.9, 0.6) == 255 and ink(0.7, 0.98) == 0, "what is drawn outside is not drawn along the rim"
    page.locator(".st-key-cnn_canvas button", has_text="Undo").click()
    assert ink(0.9, 0.6) == 0 and ink(0.2, 0.3) == 255
    wait_until(page, lambda: "reads your digit" in "".join(labels(page)))
    page.locator(".st-key-cnn_canvas button", has_text="Clear").click()
    assert ink(0.2, 0.3) == 0
    wait_until(page, lambda: "reads your digit" not in "".join(labels(page)))
    assert not page.problems


@pytest.mark.parametrize("width", [1280, 375])
def test_a_note_on_the_link_stands_below_the_bar_at_the_top(port, visit, width):
    page = visit(port, "/cnn?lang=en&cnn_kernel=99&nothing=1", width=width)
    page.wait_for_selector(".st-key-cnn_play")
    note = settled(page).locator("[data-testid=stAlert]").first
    box = note.bounding_box()
    covered = page.evaluate("([x, y]) => !!document.elementFromPoint(x, y)?.closest('[data-testid=stHeader]')", [box["x"] + box["width"] / 2, box["y"] + 2])  # fmt: skip
    assert "cnn_kernel=99" in note.inner_text() and not covered


def test_an_upload_that_cannot_be_used_is_refused_in_the_viewers_words(port, visit):
    """By the page, not by the browser or the server, whose words are English."""
    fifty_megapixels = io.BytesIO()
    Image.new("1", (8192, 6144)).save(fifty_megapixels, "PNG")
    page = visit(port, "/convolution?lang=zh")
    page.locator("summary", has_text="自己的图片").click()
    choose = page.locator("[data-testid=stFileUploaderDropzoneInput]")
    for name, content, words in (
        ("empty.png", b"", "这个文件是空的"),
        ("paper.pdf", b"%PDF-1.4" + bytes(100), "这不是 PNG"),
        ("huge.png", fifty_megapixels.getvalue() + bytes(20_000_000), "最多 2000 万像素"),
    ):
        choose.set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": content})
        page.wait_for_selector(f"[data-testid=stAlert]:has-text('{words}')")
    assert "Error" not in page.locator("[data-testid=stFileUploader]").inner_text()
    assert not page.problems


@pytest.mark.parametrize(("words", "said"), [("lang=en", "Try a smaller one"), ("lang=zh", "换一个小些的")])
def test_an_upload_that_the_browser_refuses_is_told_in_the_viewers_words(port, visit, tmp_path, words, said):
    page = visit(port, f"/convolution?{words}")
    page.wait_for_selector(LAST["convolution"])
    settled(page)
    page.locator("[data-testid=stExpander] summary", has_text=re.compile("Your own picture|自己的图片")).click()
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(51 * 2**20)
    told = """(node) => getComputedStyle(node, "::after").content"""
    uploader = page.locator("[data-testid=stFileUploader]")
    assert said not in uploader.evaluate(told)
    page.locator("input[type=file]").set_input_files(large)
    wait_until(page, lambda: said in uploader.evaluate(told))
    assert not page.problems


def test_a_picture_is_saved_as_an_image(port, visit):
    page = visit(port, "/convolution?lang=en")
    page.wait_for_selector(".scene canvas")
    settled(page).locator(".scene").first.hover()
    for kind, beginning in (("PNG", b"\x89PNG"), ("SVG", b"<svg")):
        with page.expect_download() as download:
            page.locator(f".tools button:has-text('{kind}')").first.click()
        assert Path(download.value.path()).read_bytes().startswith(beginning)


def test_the_scrubber_takes_the_pictures_back(port, visit):
    page = visit(port, "/cnn?lang=en")
    page.wait_for_selector(".st-key-cnn_play")
    for _ in range(3):
        seen = steps(page)
        button(page, "cnn_step").click()
        wait_until(page, lambda: steps(page) == seen + 1)  # noqa: B023
    settled(page)
    slider = page.locator("[class*=st-key-cnn_replay_] input[type=range]")
    slider.focus()
    slider.press("ArrowLeft")
    page.wait_for_selector("text=the weights of step 2")


def labels(page):
    """What a screen reader says of every picture."""
    return [scene.get_attribute("aria-label") or "" for scene in page.locator(".scene").all()]


def is_no_wider_than_the_screen(page):
    name = page.url.partition("?")[0].rpartition("/")[2] or "home"
    ARTIFACTS.mkdir(exist_ok=True)
    for theme in in_both_themes(page):
        page.screenshot(path=ARTIFACTS / f"{name}-{page.viewport_size['width']}-{theme}.png", full_page=True)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, theme
    assert not page.problems


@pytest.mark.parametrize("desk", [*STEMS, ""], indirect=True)
def test_no_page_is_wider_than_a_wide_screen(desk):
    is_no_wider_than_the_screen(desk)


@pytest.mark.parametrize("stem", [*STEMS, ""])
def test_no_page_is_wider_than_a_phone(port, visit, stem):
    is_no_wider_than_the_screen(visit(port, f"/{stem}?lang=en", width=375))


@pytest.mark.parametrize("desk", STEMS, indirect=True)
def test_play_grows_the_curve_until_pause(desk, request):
    page, stem = desk, request.node.callspec.params["desk"]
    button(page, f"{stem}_play").click()
    wait_until(page, lambda: steps(page) > 5)
    kept: list = []
    for _ in range(10):  # the click has changed what the charts say of themselves: first they are embedded anew
        seen = steps(page)
        wait_until(page, lambda: steps(page) > seen + 5)  # noqa: B023
        before, kept = kept, page.evaluate(MARK)
        if before and all(before + kept):
            break
    assert kept and all(kept), "a chart or figure was created anew while training"
    assert page.locator("[data-testid=stVegaLiteChart] path").count() > 0
    pause(page, stem)
    paused = steps(page)
    page.wait_for_timeout(500)
    assert steps(page) == paused > 0
    assert not page.problems


def test_the_cart_moves_while_it_trains_and_an_episode_comes_to_its_end(port, visit):
    """Frames come ten times a second; an animation that each of them cut off would never be older than a tenth."""
    page = visit(port, "/policy_gradient?lang=en&policy_gradient_lr=0.01")
    page.wait_for_selector(".st-key-policy_gradient_play")
    button(page, "policy_gradient_play").click()
    oldest = """() => Math.max(0, ...[...document.querySelectorAll('*')].filter((n) => n.shadowRoot)
      .flatMap((n) => [...n.shadowRoot.querySelectorAll('.figure svg path')]).flatMap((n) => n.getAnimations().map((a) => a.currentTime)))"""
    wait_until(page, lambda: page.evaluate(oldest) > 800)
    button(page, "policy_gradient_play").click()
    assert not page.problems
