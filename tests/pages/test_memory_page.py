"""The memory race's page: the sweep beside the panel, its place in line, its results, its pictures."""

import csv
import io
import json
import threading
from dataclasses import replace
from functools import wraps
from math import inf

import pytest
import torch
from streamlit.testing.v1 import AppTest

import core.memory
import core.sweep
from core.memory import CELLS, MEMORY_TASKS, MemoryConfig, Outcome, measure, trials, watched
from core.sweep import Backend, Sweep, Sweeps
from core.training import Race
from pages.ui import pictures_memory as pictures
from pages.ui import questions_memory as asked
from pages.ui.text import speak
from tests.core.test_sweep import until
from tests.experiments import Wait, square
from tests.pages.test_every_page import open_page

SMALL = {"shortest": 3, "longest": 6, "points": 2, "seeds": 2, "limit": 100, "hidden": 4}
ADDRESS = {f"memory_{name}": str(value) for name, value in SMALL.items()}


@pytest.fixture
def server(monkeypatch) -> Sweeps:
    """The sweeps of a server of its own, whose workers are threads."""
    sweeps = Sweeps(Backend("threading"))
    monkeypatch.setattr(core.sweep, "SWEEPS", sweeps)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")  # so many threads: less than a sweep has runs
    return sweeps


@pytest.fixture
def gate(monkeypatch):
    """Every run of a sweep passes it once before it is measured; closed, so that a test says how many have passed."""
    gate = threading.Semaphore(0)

    @wraps(measure)
    def measure_behind(trial):
        assert gate.acquire(timeout=600)
        return measure(trial)

    monkeypatch.setattr(core.memory, "measure", measure_behind)
    yield gate
    gate.release(1000)


def open_small(language: str = "en", **more: str) -> AppTest:
    return open_page("memory", language, **ADDRESS | more)


def sweep_of(app: AppTest) -> Sweep:
    return app.session_state["memory_sweep"]


def played(app: AppTest) -> AppTest:
    """Play to the end. Tests have no timers: what the panel's loop does is done here."""
    app.button(key="memory_play").click().run()
    assert app.session_state["memory_playing"]
    until(lambda: sweep_of(app).done, sweep_of(app))
    app.session_state["memory_playing"] = False
    return app.run()


def bar(app: AppTest) -> str:
    """What the progress bar of the sweep says."""
    return app.get("progress")[0].proto.text


def table(app: AppTest) -> str:
    return next(text.value for text in app.markdown if text.value.startswith(("| Cell", "| 单元")))


def chart(app: AppTest):
    return app.get("vega_lite_chart")[0].proto


def test_play_pause_and_the_results(server, gate):
    app = open_small()
    assert bar(app) == "Play sweeps: 12 runs" and "100%" not in table(app)
    app.button(key="memory_play").click().run()
    assert not app.exception and "starting" in bar(app)
    gate.release(3)
    until(lambda: len(sweep_of(app).results) == 3, sweep_of(app))
    app.button(key="memory_play").click().run()
    assert not sweep_of(app).wanted and "aused" in bar(app)
    gate.release(1000)
    until(lambda: not sweep_of(app).busy)
    kept = len(sweep_of(app).results)
    assert 3 <= kept < 12
    app = played(app)
    assert bar(app).endswith("The sweep is finished: 12 runs")
    assert not app.exception and table(app).count("/2") == 6
    described = chart(app).alt
    assert all(name in described for name in ("RNN T=3", "LSTM T=3", "GRU T=3"))


def test_the_chart_is_never_built_anew_while_results_arrive(server):
    app = open_small()
    before = chart(app)
    config = app.session_state["memory_race"].leader.config
    assert config.length == 40 and config.hidden == 4
    app.button(key="memory_play").click().run()
    playing = chart(app)
    until(lambda: sweep_of(app).done, sweep_of(app))
    app.run()
    after = chart(app)
    assert before.spec == playing.spec == after.spec and before.id == after.id
    assert playing.alt == after.alt, "its description waits until it rests"


def test_results_are_those_of_the_watched_runs(server):
    """The same settings are the same run, in a worker and on the panel."""
    app = played(open_small(memory_length="6"))
    race = app.session_state["memory_race"]
    race.advance(inf, limit=100)
    for kind, run in race.runs.items():
        run.evaluate()
        trial = next(t for t in sweep_of(app).tasks if t.config == run.config)
        assert sweep_of(app).results[trial].accuracy == run.history[-1].scores["test"]["Accuracy"], kind


def test_a_second_viewer_has_finished_results_at_once(server):
    played(open_small())
    other = open_small("zh")
    assert bar(other).endswith("扫描完成：12 次训练") and table(other).count("/2") == 6
    assert not other.session_state["memory_playing"] if "memory_playing" in other.session_state else True


def test_results_stay_when_settings_come_back_even_if_the_server_forgets(server):
    app = played(open_small())
    app.slider(key="memory_hidden").set_value(5).run()
    assert "Play sweeps" in bar(app)
    server.forget()
    app.slider(key="memory_hidden").set_value(4).run()
    assert "finished" in bar(app)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_who_waits_sees_the_place_in_line(server, language, tmp_path):
    other = Sweep(square, [Wait(1, gate=str(tmp_path / "gate"))], server)
    until(lambda: other.busy, other)
    app = open_small(language)
    app.button(key="memory_play").click().run()
    sweep_of(app).go_on()
    other.go_on()
    app.run()
    assert {"zh": "前面还有 1 个扫描", "en": "In line: 1 before this one"}[language] in bar(app)
    app.button(key="memory_sweep_cancel").click().run()
    assert sweep_of(app).place is None and not app.session_state["memory_playing"]
    (tmp_path / "gate").touch()
    until(lambda: not other.busy)


def test_cancel_keeps_what_is_finished(server, gate):
    app = open_small()
    assert app.button(key="memory_sweep_cancel").disabled
    app.button(key="memory_play").click().run()
    gate.release(1)
    until(lambda: sweep_of(app).results, sweep_of(app))
    assert not app.button(key="memory_sweep_cancel").disabled
    app.button(key="memory_sweep_cancel").click().run()
    gate.release(1000)  # threads cannot be ended: those at hand count
    until(lambda: not sweep_of(app).busy)
    app.run()
    assert sweep_of(app).results and "Play goes on" in bar(app)
    assert app.session_state["memory_race"].configs, "the watched runs stay, too"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_went_wrong_is_said(server, language, monkeypatch):
    monkeypatch.setattr(server, "backend", None)
    monkeypatch.setenv(core.sweep.SETTING, "spark")
    app = open_small(language)
    app.button(key="memory_play").click().run()
    until(lambda: bool(sweep_of(app).error), sweep_of(app))
    app.run()
    assert core.sweep.SETTING in bar(app) and not app.exception


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_cell_is_explained_and_the_last_picture_stays(server, language):
    app = open_small(language, memory_simple_rnn="0", memory_lstm="0")
    app.toggle(key="memory_gru").set_value(False).run()
    assert not app.exception
    assert {"zh": "至少要有一种单元", "en": "At least one cell"}[language] in app.error[0].value
    assert list(app.session_state["memory_race"].runs) == ["gru"]


def test_settings_of_the_sweep_alone_leave_the_watched_run():
    app = open_page("memory", "en")
    app.button(key="memory_step").click().run()
    app.slider(key="memory_seeds").set_value(5).run()
    assert app.session_state["memory_race"].steps == 1 and len(sweep_of(app).tasks) == 6 * 3 * 5
    app.slider(key="memory_length").set_value(41).run()
    assert app.session_state["memory_race"].steps == 0


def test_the_budget_of_a_run_is_the_panels_limit():
    app = open_page("memory", "en", memory_limit="100")
    assert [box.key for box in app.number_input if "limit" in box.key] == []
    app.session_state["memory_race"].advance(inf, limit=100)
    app.run()
    assert any("Step limit" in text.value for text in app.markdown)


def test_the_table_to_take_home(server):
    app = played(open_small())
    assert any(button.proto.label == "All results .csv" for button in app.get("download_button"))
    results = sweep_of(app).results
    from core.memory import results_csv

    rows = list(csv.DictReader(io.StringIO(results_csv(results))))
    assert len(rows) == 12 and {row["kind"] for row in rows} == set(CELLS)


# pictures


@pytest.fixture(params=["zh", "en"])
def language(request):
    speak(request.param)
    yield request.param
    speak("")


@pytest.mark.parametrize("task", MEMORY_TASKS)
def test_pictures_of_every_task(language, task):
    config = MemoryConfig(task=task, hidden=4, length=12)
    race = Race(watched(config))
    scene = pictures.strips(race.configs, {name: run.snapshot() for name, run in race.runs.items()})
    strips = [item for item in scene.figures[0].items if item["t"] == "map"]
    assert len(strips) == 3 and {strip["c"] for strip in strips} == {32 if task == "copying" else 12}
    assert len(json.dumps(scene.figures[0].items)) < 12_000, "a frame is small"
    results = {trial: Outcome(0.2, None if task == "adding" else 0.5, None, False, 9, 1.0) for trial in trials(config)}
    rows = pictures.race_rows(config, results).to_pylist()
    assert sum(row["what"] == "place" for row in rows) == 18 and 8 * len(rows) < 5000
    assert pictures.race_spec(config) is pictures.race_spec(replace(config, seeds=7)), "built once"
    assert pictures.table(config, results).count("\n") == 4


def test_the_line_of_guessing():
    assert pictures.guessing(MemoryConfig()) == 0.25 and pictures.guessing(MemoryConfig(task="digits")) == 0.1
    assert pictures.guessing(MemoryConfig(task="copying")) == 1 / 8
    assert pictures.guessing(MemoryConfig(task="adding")) == pytest.approx(1 / 6)


def test_ticks_are_few_round_and_apart():
    for steps in range(2, 221):
        found = pictures.ticks(steps)
        assert found[0] == 1 and found[-1] == steps and len(found) <= 8 and found == sorted(set(found))


def test_weights_gone_wild_can_be_drawn():
    race = Race(watched(MemoryConfig(hidden=3, length=5)))
    snapshots = {name: run.snapshot() for name, run in race.runs.items()}
    for snapshot in snapshots.values():
        for value in snapshot.state.values():
            value.fill_(torch.inf)
    assert pictures.strips(race.configs, snapshots).alt


@pytest.mark.parametrize("kind", CELLS)
def test_diagrams_stay_on_their_paper(language, kind):
    (figure,) = pictures.diagram(kind, pictures.words_of(kind)).figures
    for item in figure.items:
        for x, y in (
            (item.get("x"), item.get("y")),
            (item.get("x1"), item.get("y1")),
            (item.get("x2"), item.get("y2")),
        ):
            if x is not None:
                assert 0 <= x <= figure.width and 0 <= y <= figure.height


# challenges


def test_the_challenges_are_measured_on_the_sweep(monkeypatch):
    speak("en")
    config = MemoryConfig()

    def check(kind: str, lengths: dict[int, int]) -> list[bool]:
        """Of the sweep's results: length → how many of three runs have learned it."""
        results = {
            trial: Outcome(
                0.1, 1.0, 50 if trial.config.seed < lengths.get(trial.config.length, 0) else None, False, 9, 1.0
            )
            for trial in trials(config)
            if trial.config.kind == kind
        }
        sweep = Sweep(measure, trials(config), Sweeps(Backend("threading")), known=results)
        monkeypatch.setattr(asked.st, "session_state", {"memory_sweep": sweep})
        return [challenge.check(None)[0] for challenge in asked.challenges()]

    every = dict.fromkeys(config.delays, 3)
    assert check("gru", every) == [True, False, False]
    assert check("gru", every | {160: 2}) == [False, False, False]
    assert check("lstm", every | {160: 0}) == [False, True, False]
    assert check("lstm", every | {40: 2}) == [False, False, False]
    assert check("simple_rnn", every) == [False, False, True]
    config = replace(config, distractors=0.0)
    assert check("gru", every) == [False, False, False], "among distractors"
    monkeypatch.setattr(asked.st, "session_state", {})
    assert not any(challenge.check(None)[0] for challenge in asked.challenges())
