"""Pictures on a phone: words keep a size that can be read, and what is then too wide scrolls in a box of its own."""

import re
from pathlib import Path

import pytest

from tests.browser.test_access import AXE, RUN_AXE, STREAMLIT
from tests.browser.waiting import STEMS, settled, wait_until

PHONE, SMALLEST = 375, 10.5  # CSS pixels
MEASURE = """(smallest) => {
  const roots = [...document.querySelectorAll("*")].filter((node) => node.shadowRoot).map((node) => node.shadowRoot);
  const found = {small: [], cut: [], wide: 0, figures: 0};
  for (const scene of roots.flatMap((root) => [...root.querySelectorAll(".scene")])) {
    if (scene.scrollWidth > scene.clientWidth + 1) found.cut.push(scene.getAttribute("aria-label"));
    for (const svg of scene.querySelectorAll(".figure svg")) {
      const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
      const pan = svg.closest(".pan");
      found.figures += 1;
      found.wide += pan.scrollWidth > pan.clientWidth + 1 && getComputedStyle(pan).overflowX === "auto";
      if (pan.scrollWidth > pan.clientWidth + 1 && pan.tabIndex !== 0) found.cut.push(`not by keyboard: ${pan.outerHTML.slice(0, 90)}`);
      for (const text of svg.querySelectorAll("text")) {
        const size = parseFloat(getComputedStyle(text).fontSize) * scale;
        if (text.getAttribute("fill") !== "none" && size < smallest) found.small.push(`${size.toFixed(1)}: ${text.textContent}`);
      }
    }
  }
  return found;
}"""

FILLED = (
    "() => [...document.querySelectorAll('[data-testid=stExpanderDetails]')].every((node) => node.querySelector('*'))"
)


def opened(visit, port, path, width=PHONE):
    """A page with all it has drawn, its expanders open."""
    page = settled(visit(port, path, width=width))
    for expander in page.locator("[data-testid=stExpander] summary").all():
        expander.click()
    page.wait_for_function(FILLED)
    return settled(page)


def too_wide(page):
    return page.evaluate(
        "[document.documentElement, document.querySelector('[data-testid=stMain]')]"
        ".some((node) => node.scrollWidth > node.clientWidth)"
    )


@pytest.mark.parametrize("stem", [*STEMS, ""])
def test_words_in_pictures_are_readable_on_a_phone(port, visit, stem):
    page = opened(visit, port, f"/{stem}?lang=zh")
    found = page.evaluate(MEASURE, SMALLEST)
    assert found["figures"]
    assert not found["small"], found["small"][:5]
    assert not found["cut"], found["cut"]
    assert not too_wide(page)
    assert not page.problems


def box(page):
    return page.locator(".wide .pan").first


def test_a_wide_picture_scrolls_in_its_own_box_by_keyboard_and_says_so(port, visit):
    page = opened(visit, port, "/lstm?lang=en")
    pan = box(page)
    figure = page.locator(".figure.wide").first
    assert pan.get_attribute("aria-label") and figure.get_attribute("data-more").strip() == "right"
    pan.focus()
    page.keyboard.press("ArrowRight")
    wait_until(page, lambda: pan.evaluate("node => node.scrollLeft") > 10)
    wait_until(page, lambda: figure.get_attribute("data-more").split() == ["left", "right"])
    pan.evaluate("node => { node.scrollLeft = 9999; }")
    wait_until(page, lambda: figure.get_attribute("data-more").strip() == "left")
    assert not too_wide(page)
    page.evaluate(AXE)
    _, left = page.evaluate(RUN_AXE, STREAMLIT | {"scrollable-region-focusable": "[data-testid=stCode] pre"})
    assert not left, "\n".join(left)


def test_a_click_on_a_scrolled_map_meets_the_cell_under_it_and_arrow_keys_bring_theirs_into_view(port, visit):
    page = opened(visit, port, "/lstm?lang=en")
    cells = page.locator("[data-map]").first
    name = cells.get_attribute("data-map")
    pan = page.locator(".wide .pan").filter(has=page.locator(f"[data-map='{name}']"))
    pan.evaluate("node => { node.scrollLeft = 9999; }")
    cells.scroll_into_view_if_needed()
    pan.evaluate("node => { node.scrollLeft = 9999; }")
    settled(page)
    map_box, pan_box = cells.bounding_box(), pan.bounding_box()
    x = pan_box["x"] + pan_box["width"] - 60
    page.mouse.click(x, map_box["y"] + map_box["height"] / 2)
    step = page.locator(".st-key-lstm_at input[type=range]")
    expected = str(int((x - map_box["x"]) / map_box["width"] * 50) + 1)
    page.wait_for_function(
        "value => document.querySelector('.st-key-lstm_at input[type=range]').value === value", arg=expected
    )
    assert step.input_value() == expected
    scrolled = pan.evaluate("node => node.scrollLeft")
    assert scrolled > 10, "a redraw scrolled it back"
    cells.focus()
    for _ in range(int(expected)):
        value = step.input_value()
        page.keyboard.press("ArrowLeft")
        wait_until(page, lambda: step.input_value() != value)  # noqa: B023
        if pan.evaluate("node => node.scrollLeft") < scrolled:
            return
    wait_until(page, lambda: pan.evaluate("node => node.scrollLeft") < scrolled)  # else the chosen cell is out of view


def test_the_saved_file_has_all_of_a_picture_that_scrolls(port, visit):
    page = opened(visit, port, "/lstm?lang=en")
    width = page.locator(".wide .sheet").first.evaluate("node => node.getBoundingClientRect().width")
    assert width > PHONE
    with page.expect_download() as download:
        page.locator(".wrap", has=page.locator(".wide")).first.locator("button:has-text('SVG')").click()
    saved = Path(download.value.path()).read_text(encoding="utf-8")
    assert float(re.search(r"<svg[^>]* width=\"([\d.]+)\"", saved)[1]) == pytest.approx(width + 24, abs=1)


def test_on_a_wide_screen_nothing_scrolls_and_what_would_be_squeezed_wraps(port, visit):
    page = opened(visit, port, "/self_attention?lang=en", width=1680)
    assert not page.locator(".wide").count()
    scene = page.locator(".st-key-self_attention_picture0 .scene")
    boxes = [figure.bounding_box() for figure in scene.locator(".figure").all()]
    assert len({round(box["y"]) for box in boxes}) == 2
    assert boxes[0]["width"] > 1.1 * 330
    assert sum(box["width"] for box in boxes) > scene.bounding_box()["width"]


KEYS = """() => [...document.querySelectorAll("[data-testid=stVegaLiteChart]")].flatMap((chart) => {
  const { left, right } = chart.getBoundingClientRect();
  return [...chart.querySelectorAll(".role-legend-label text")].map((text) => {
    const box = text.getBoundingClientRect();
    return [text.textContent, box.left >= left && box.right <= right];
  });
})"""


@pytest.mark.parametrize("path", ["/rnn?lang=en", "/attention?lang=en&attention_all=1"])
def test_the_key_of_a_race_fits_beside_itself_or_stands_in_several_rows(port, visit, path):
    page = opened(visit, port, path)
    found = page.evaluate(KEYS)
    assert len(found) >= 4 and all(inside for _, inside in found), found
