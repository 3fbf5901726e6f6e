"""Waiting in a browser for what is to be seen: never for a time, so that a slow machine is only slow."""

from pages.ui.lessons import LESSONS

STEMS = [
    lesson.stem for lesson in LESSONS
]  # the pages without a lesson come last: a stem has the same place everywhere
LAST = {stem: f".st-key-{stem}_term" for stem in STEMS} | {  # what a page draws last
    "": ".st-key-home_map .scene",
    "glossary": ".st-key-entry_pooling",
}
PATIENCE = 120.0  # seconds after which nothing more is expected

# Nothing runs on the server, everything has been drawn, nothing fades or moves, and so it stays for some looks.
SETTLED = """() => {
  const roots = [document];
  for (const root of roots) roots.push(...[...root.querySelectorAll("*")].filter((node) => node.shadowRoot).map((node) => node.shadowRoot));
  const find = (selector) => roots.flatMap((root) => [...root.querySelectorAll(selector)]);
  const ends = (animation) => animation.playState === "running" && animation.effect.getComputedTiming().endTime !== Infinity;
  const busy = document.querySelector("[data-testid=stApp]")?.dataset.testScriptState !== "notRunning"
    || find("[data-testid=stSkeleton]").length || document.fonts.status !== "loaded"
    || find("[data-testid=stVegaLiteChart]").some((chart) => !chart.querySelector("svg, canvas"))
    || roots.some((root) => root.getAnimations().some(ends));
  const place = (node) => { const box = node.getBoundingClientRect(); return [box.x, box.y, box.width, box.height].map(Math.round); };
  const seen = JSON.stringify([innerWidth, document.documentElement.scrollHeight, roots.map((root) => root.querySelectorAll("*").length),
    find(".scene, .figure, [data-testid=stVegaLiteChart], button").map(place), document.querySelector("[data-testid=stMain]")?.innerText]);
  window.__looks = !busy && window.__state === seen ? (window.__looks ?? 0) + 1 : 0;
  window.__state = seen;
  return window.__looks >= 4;
}"""


def settled(page):
    """The page, once it rests; not while a run plays."""
    page.evaluate("() => { window.__looks = 0; }")
    page.wait_for_function(SETTLED, polling=60, timeout=1000 * PATIENCE)
    return page


def in_both_themes(page):
    """Light, then dark; a theme is there when the background has it and nothing fades any more."""
    for theme, colour in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(17, 22, 28)")):
        page.emulate_media(color_scheme=theme)
        page.wait_for_function(
            f"getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor === '{colour}'"
        )
        settled(page)
        yield theme
    page.emulate_media(color_scheme="light")


def wait_until(page, condition):
    """Look again and again until it holds; what it comes to."""
    for _ in range(int(PATIENCE / 0.05)):
        if found := condition():
            return found
        page.wait_for_timeout(50)
    raise AssertionError("waited in vain")
