"""A real browser on a real server: Debian's Chromium. Skips where there is none, fails where `CI` is set."""

import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.browser.waiting import LAST, PATIENCE, settled
from tests.server import serve


@pytest.fixture(scope="session")
def browser():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium found; .ci/run installs it")
        pytest.skip("no Chromium found (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"],
        )
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def port():
    with serve() as port:
        yield port


@pytest.fixture
def fresh_port():
    """A server that nobody has visited yet."""
    with serve() as port:
        yield port


@contextmanager
def visiting(browser):
    """What opens pages as a person would; every failed request and script error is kept in `page.problems`."""
    contexts = []

    def go(port, path, width=1280, height=900, locale="en-US"):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="light", locale=locale)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(f"script error: {error}"))
        page.on("request", lambda request: outside(request, page))
        page.goto(f"http://127.0.0.1:{port}{path}")
        page.wait_for_selector("h1")
        return page

    def outside(request, page):
        if not request.url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")):
            page.problems.append(f"fetched from outside: {request.url}")

    yield go
    for context in contexts:
        context.close()


@pytest.fixture
def visit(browser):
    """Open a page, as often as the test wants."""
    with visiting(browser) as go:
        yield go


@pytest.fixture(scope="session")
def desk(request, browser, port):
    """The page of a stem in English on a wide screen, drawn to its end.

    Opening a page costs seconds, so the tests of a stem share one, one after the other: pytest puts them together
    because they have the stem for a parameter. They leave it in the light, at rest, and as wide as it was.
    """
    with visiting(browser) as go:
        page = go(port, f"/{request.param}?lang=en")
        page.wait_for_selector(LAST[request.param])
        yield settled(page)
