"""What tests of every lesson need to know of one, and how they open its page."""

import pickle
from collections import defaultdict
from functools import cache
from importlib import import_module
from pathlib import Path

from streamlit.testing.v1 import AppTest

from core.config import Config, Span
from core.training import Run

APP = Path(__file__).parents[1] / "streamlit_app.py"
PATIENCE = 600  # seconds after which a page is never drawn, however slow the machine


def a_slider(stem: str) -> tuple[str, tuple]:
    """The key of a lesson's first numeric setting, and two values that it can have."""
    config = type(next(iter(import_module(f"core.{stem}").PRESETS.values())))
    for name, limits in config.LIMITS.items():
        if isinstance(limits, range) and len(limits) > 2:
            return f"{stem}_{name}", (limits[1], limits[2])
        if isinstance(limits, Span):
            return f"{stem}_{name}", (limits.low, limits.high)
    raise LookupError(stem)


def visitor(stem: str = "home", **parameters: str) -> AppTest:
    """Somebody who is about to open this page by a link with these parameters, in a session of their own."""
    app = AppTest.from_file(str(APP), default_timeout=PATIENCE)
    if stem != "home":
        app.switch_page(f"pages/{stem}.py")
    for key, value in parameters.items():
        app.query_params[key] = value
    return app


def open_lesson(stem: str, language: str = "en", noted: bool = False, **settings: str) -> AppTest:
    """The page of a lesson by a link with these of its settings, and whether something in it is refused with a note."""
    app = visitor(stem, lang=language, **{f"{stem}_{name}": str(value) for name, value in settings.items()}).run()
    assert not app.exception and bool(app.warning) == noted
    return app


def presets_of(app: AppTest):
    """The row of presets of a lesson's page."""
    return next(row for row in app.pills if "_preset" in row.key)


RUNS: defaultdict[Config, dict[int, bytes]] = defaultdict(dict)


@cache
def trained(config: Config, steps: int) -> Run:
    """The run of a config after so many steps, measured there; for all tests that look at it and change nothing.

    It goes on from where an earlier one of the same config has come to: a run that was pickled goes on as if nothing
    had happened.
    """
    known = [each for each in RUNS[config] if each <= steps]
    run = pickle.loads(RUNS[config][max(known)]) if known else Run(config)
    run.advance(float("inf"), steps)
    RUNS[config][steps] = pickle.dumps(run)
    if run.history[-1].step != run.steps:
        run.evaluate()
    return run
