"""Access: axe-core on every page in both themes, words for every picture, the keyboard, and contrast by computation."""

import re
import tomllib
from contextlib import contextmanager
from pathlib import Path

import pytest

from pages.ui.palette import MUTED, NEGATIVE, POSITIVE, SERIES
from tests.browser.waiting import LAST, STEMS, in_both_themes, settled, wait_until

ROOT = Path(__file__).parents[2]
AXE = Path(__file__).with_name("axe.min.js").read_text(encoding="utf-8")

# What axe finds in Streamlit's own parts, where no setting, style or label of ours reaches: rule → the elements.
STREAMLIT = {
    "list": "[data-testid=stSidebarNavItems]",  # the groups of the navigation put a <div> between <ul> and <li>
    "listitem": "[data-testid=stSidebarNavItems] li",
}
OPENED = STREAMLIT | {
    "scrollable-region-focusable": "[data-testid=stCode] pre",  # browsers now make it focusable by themselves
}
RUN_AXE = """async (known) => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  const excused = new Set(), left = [];
  for (const rule of found.violations.filter((rule) => ["serious", "critical"].includes(rule.impact)))
    for (const node of rule.nodes) {
      const element = node.target.length === 1 && document.querySelector(node.target[0]);
      if (element && rule.id in known && element.matches(known[rule.id])) excused.add(rule.id);
      else left.push(`${rule.id}: ${node.html.slice(0, 160)} (${[...node.any, ...node.all][0]?.message ?? rule.help})`);
    }
  return [[...excused], left];
}"""
WITHOUT_WORDS = """() => {
  const shadows = [...document.querySelectorAll("*")].filter((node) => node.shadowRoot).map((node) => node.shadowRoot);
  const find = (selector) => [document, ...shadows].flatMap((root) => [...root.querySelectorAll(selector)]);
  const label = (node) => (node.getAttribute("aria-label") ?? node.getAttribute("alt") ?? "").trim();
  const pictures = [...find("[data-testid=stVegaLiteChart]"), ...find(".scene"), ...find("main img")];
  const maps = find("[data-map][tabindex]").filter((node) => label(node) === node.getAttribute("data-map"));
  return [pictures.length, [...pictures.filter((node) => !label(node)), ...maps].map((node) => node.outerHTML.slice(0, 160))];
}"""
FOCUS = """() => {
  let node = document.activeElement;
  while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  const chosen = node.ownerSVGElement?.querySelector(".chosen");
  const key = node.closest("[class*=st-key-]")?.className.match(/st-key-(\\S+)/)?.[1] ?? "";
  return {key, map: node.getAttribute("data-map"), cell: chosen && [chosen.getAttribute("x"), chosen.getAttribute("y")]};
}"""


@contextmanager
def as_high_as_its_content(page):
    """Axe leaves out what is scrolled away."""
    size = page.viewport_size
    height = page.evaluate("document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": height + 60})
    yield settled(page)
    page.set_viewport_size(size)


def opened(visit, port, stem, **how):
    """A page, drawn to its end."""
    page = visit(port, f"/{stem}?lang=en", **how)
    page.wait_for_selector(LAST[stem])
    return settled(page)


@pytest.mark.parametrize("desk", LAST, indirect=True)
def test_axe_finds_nothing_serious_and_every_picture_has_words(desk):
    desk.evaluate(AXE)
    with as_high_as_its_content(desk):
        for theme in in_both_themes(desk):
            excused, left = desk.evaluate(RUN_AXE, STREAMLIT)
            assert not left, "\n".join([theme, *left])
            assert set(excused) == set(STREAMLIT), "an exception is no longer needed"
    assert not desk.locator(".katex-error").count()
    count, without = desk.evaluate(WITHOUT_WORDS)
    assert count or "/glossary" in desk.url
    assert not without, "\n".join(without)


def test_what_opens_on_a_click_is_accessible_too(port, visit):
    page = opened(visit, port, "cnn")
    page.evaluate(AXE)
    page.locator(".st-key-cnn_term button").first.click()
    page.wait_for_selector("text=Open in the glossary")
    page.locator(".st-key-cnn_share button").first.click()
    page.wait_for_selector("[data-testid=stPopoverBody] img")
    with as_high_as_its_content(page):
        for theme in in_both_themes(page):
            _, left = page.evaluate(RUN_AXE, OPENED)
            assert not left, "\n".join([theme, *left])


@pytest.mark.parametrize("desk", STEMS, indirect=True)
def test_the_keyboard_reaches_a_map_moves_its_cell_and_reaches_play(desk):
    page = desk
    page.evaluate("document.activeElement.blur()")
    moved = not page.locator(".scene .touch").count()  # a page whose pictures take no click has no cell to move
    played = False
    for _ in range(200):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        if focus["map"] and not moved:
            cells = []
            for _ in range(2):
                page.keyboard.press("ArrowDown")
                for _ in range(200):  # until it shows; a map whose cells cannot be chosen never shows it
                    now = page.evaluate(FOCUS)
                    assert now["map"] in (focus["map"], None), "an arrow key moved the focus away"
                    if now["cell"] and now["cell"] not in cells:
                        break
                    page.wait_for_timeout(50)
                wait_until(
                    page, lambda here=focus["map"]: page.evaluate(FOCUS)["map"] == here
                )  # the key keeps the focus
                cells.append(now["cell"])
            moved = cells[0] != cells[1] and None not in cells
        played = played or focus["key"].endswith("_play")
        if moved and played:
            return
    raise AssertionError(f"moved a cell: {moved}, reached Play: {played}")


def test_the_glossary_fits_a_phone_and_opens_on_the_term_of_a_link(port, visit):
    page = opened(visit, port, "glossary", width=375)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page = visit(port, "/convolution?lang=en")
    page.locator(".st-key-convolution_term button", has_text="padding").click()
    page.locator("a", has_text="Open in the glossary").click()
    page.wait_for_selector(".st-key-glossary_asked")
    assert "padding" in page.locator(".st-key-glossary_asked").inner_text()
    assert "term=padding" in page.url
    assert not page.problems


@pytest.mark.parametrize(("locale", "tag"), [("zh-CN", "zh-Hans"), ("en-US", "en")])
def test_the_document_says_its_language(port, visit, locale, tag):
    page = visit(port, "/glossary", locale=locale)
    page.wait_for_function(f"document.documentElement.lang === '{tag}'")


WORDS_OF_CHARTS = """() => [...document.querySelectorAll("[data-testid=stVegaLiteChart] svg text")].flatMap((node) => {
  const look = getComputedStyle(node), role = node.closest("[class*=role-]")?.getAttribute("class").match(/role-(\\S+)/)[1];
  const ground = getComputedStyle(document.querySelector("[data-testid=stApp]")).backgroundColor;
  return [[role, look.fill, parseFloat(look.fillOpacity), parseFloat(look.fontSize), ground]];
})"""


@pytest.mark.parametrize("path", ["/memory?lang=zh", "/pooling?lang=en", "/gru?lang=en&present=1"])
def test_words_of_charts_are_readable_in_both_themes(port, visit, path):
    page = visit(port, path)
    page.wait_for_selector("[data-testid=stVegaLiteChart] svg .role-axis-title text")
    for theme in in_both_themes(page):
        words = page.evaluate(WORDS_OF_CHARTS)
        assert {"axis-label", "axis-title", "legend-label", "title-text"} <= {role for role, *_ in words}
        for role, fill, opacity, size, ground in words:
            ink, behind = ([float(part) for part in re.findall(r"[\d.]+", colour)[:3]] for colour in (fill, ground))
            seen = [opacity * a + (1 - opacity) * b for a, b in zip(ink, behind, strict=True)]
            assert contrast(seen, behind) >= WORDS, (theme, role, fill)
            assert size >= (19 if "present" in path else 15), (role, size)


# ---- contrast ------------------------------------------------------------------------------------------------------

LINES, WORDS = 3.0, 4.5  # WCAG 2.2, 1.4.11 and 1.4.3
CONFIG = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"]
CSS = (ROOT / "pages" / "ui" / "scene.css").read_text(encoding="utf-8")
SCRIPT = (ROOT / "pages" / "ui" / "scene.js").read_text(encoding="utf-8")
THEMES = ("light", "dark")


def channels(colour: str) -> list[float]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def luminance(values: list[float]) -> float:
    """Relative luminance of red, green and blue in 0…255, by WCAG."""
    linear = [v / 255 / 12.92 if v / 255 <= 0.04045 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: list[float], other: list[float]) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast(channels("#000000"), channels("#ffffff")) == pytest.approx(21)
    assert contrast(channels("#777777"), channels("#ffffff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("colour", dict.fromkeys((*SERIES, NEGATIVE, POSITIVE, MUTED)))
def test_lines_stand_out_from_the_background(colour, theme):
    assert contrast(channels(colour), channels(CONFIG[theme]["backgroundColor"])) >= LINES


@pytest.mark.parametrize("theme", THEMES)
def test_words_of_the_theme_are_readable(theme):
    colours = CONFIG[theme]
    for ground in (colours["backgroundColor"], colours["secondaryBackgroundColor"]):
        for role in ("textColor", "linkColor"):
            assert contrast(channels(colours[role]), channels(ground)) >= WORDS, (role, ground)
    assert contrast(channels(colours["primaryColor"]), channels("#ffffff")) >= WORDS, "the words on a button"
    assert contrast(channels(colours["primaryColor"]), channels(colours["backgroundColor"])) >= LINES


@pytest.mark.parametrize("theme", THEMES)
def test_words_in_pictures_are_readable(theme):
    text, ground = (channels(CONFIG[theme][name]) for name in ("textColor", "backgroundColor"))
    share = int(re.search(r"--muted: color-mix\(in srgb, var\(--st-text-color\) (\d+)%", CSS)[1]) / 100
    muted = [share * a + (1 - share) * b for a, b in zip(text, ground, strict=True)]
    pairs = dict(re.findall(r"--(blue|orange): light-dark\((#\w{6}, #\w{6})\)", CSS))
    assert pairs.keys() == {"blue", "orange"}
    roles = {name: channels(pair.split(", ")[THEMES.index(theme)]) for name, pair in pairs.items()} | {"muted": muted}
    for name, colour in roles.items():
        assert contrast(colour, ground) >= WORDS, name


def test_numbers_in_cells_are_readable_on_every_colour(browser):
    page = browser.new_page()
    grounds = [[r, g, b] for r in range(0, 256, 51) for g in range(0, 256, 17) for b in range(0, 256, 51)]
    inks = page.evaluate(
        """async ([script, grounds]) => {
          const address = URL.createObjectURL(new Blob([script], {type: "text/javascript"}));
          const {readable} = await import(address);
          return grounds.map(readable);
        }""",
        [SCRIPT, grounds],
    )
    page.close()
    for ground, ink in zip(grounds, inks, strict=True):
        assert contrast(ground, [255 * (ink == "#fff")] * 3) >= WORDS, ground
    assert set(inks) == {"#000", "#fff"}
