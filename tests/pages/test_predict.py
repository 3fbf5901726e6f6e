"""Questions, the experiments that answer them, and challenges."""

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf

import numpy
import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.config import Config, Span
from core.convolution import KERNEL_ERROR, ConvolutionConfig
from core.training import LOSS, Run
from pages.ui import jobs
from pages.ui.jobs import Job
from pages.ui.predict import Line, Number, Question, curve, distance, is_right, line_chart, score, steps_to, value_at
from pages.ui.turns import Turns

RATES = {f"rate{rate:g}": ConvolutionConfig(optimizer="sgd", learning_rate=rate) for rate in (0.03, 0.1, 0.3)}


class Clock:
    """A clock that only training moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow:
    """A learner of which every update takes a second of the clock, and whose loss is known at every step."""

    metrics = (LOSS,)

    def __init__(self, config):
        self.config, self.steps = config, 0

    def update(self, learning_rate):
        self.config.clock.now += 1.0
        self.steps += 1
        return float("nan") if self.steps == self.config.diverges else 1 / self.steps

    def evaluate(self):
        return {"test": {LOSS.name: float(self.steps)}}

    def state(self):
        return {}


@dataclass(frozen=True, kw_only=True)
class SlowConfig(Config):
    clock: Clock
    diverges: int = -1

    def build(self, generator):
        return Slow(self)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


# ---- jobs ----------------------------------------------------------------------------------------------------------


def test_a_job_trains_the_very_run_that_its_config_describes_however_its_slices_fall():
    job = Job({"a": ConvolutionConfig(), "b": ConvolutionConfig(seed=1)}, steps=45, budget=inf)
    while job.running:
        job.advance(0.0)  # a step at a time
    assert (job.finished, job.stopped, job.done) == (True, False, 45)
    for name, seed in (("a", 0), ("b", 1)):
        alone = Run(ConvolutionConfig(seed=seed))
        alone.advance(inf, 45)
        run = job.runs[name]
        assert torch.equal(run.snapshot().state["kernel"], alone.snapshot().state["kernel"])
        assert run.history[: len(alone.history)] == alone.history
        assert run.history[-1].step == 45 != alone.history[-1].step  # the last step is measured, though not due


def test_the_budget_counts_seconds_over_all_slices_and_then_stops(clock):
    job = Job({"slow": SlowConfig(clock=clock)}, steps=1000)
    for _ in range(3):
        job.advance(2.0)
    assert job.running and job.done == 6
    clock.now += 100  # what passes between two slices is not the job's
    job.advance(60.0)
    assert (job.done, job.stopped, job.running, job.finished) == (10, True, False, False)
    assert job.runs["slow"].history[-1].step == 10
    job.advance(60.0)
    assert job.done == 10


def test_a_job_that_needs_just_its_budget_has_finished(clock):
    job = Job({"slow": SlowConfig(clock=clock)}, steps=10)
    job.advance(60.0)
    assert job.finished and not job.stopped


def test_runs_side_by_side_share_one_budget_and_make_equal_steps(clock):
    job = Job({name: SlowConfig(clock=clock) for name in "ab"}, steps=1000)
    job.advance(60.0)
    assert [run.steps for run in job.runs.values()] == [5, 5]


def test_divergence_of_all_ends_a_job_of_one_does_not(clock):
    job = Job({"a": SlowConfig(clock=clock, diverges=2), "b": SlowConfig(clock=clock)}, steps=4)
    job.advance(60.0)
    assert job.finished and {name: run.steps for name, run in job.runs.items()} == {"a": 2, "b": 4}
    alone = Job({"a": SlowConfig(clock=clock, diverges=2)}, steps=4)
    alone.advance(60.0)
    assert alone.finished and not alone.stopped and alone.done == 2


def test_a_cancelled_job_makes_no_step(clock):
    job = Job({"slow": SlowConfig(clock=clock)}, steps=5)
    job.advance(1.0)
    job.cancel()
    job.advance(60.0)
    assert job.done == 1 and not job.running


def test_jobs_that_wait_are_served_in_the_order_in_which_they_came():
    turns, served, threads = Turns(), [], []

    def train(name):
        job = Job({name: ConvolutionConfig()}, steps=1)
        with turns.slice(alive=lambda: None):
            job.advance(0.0)
            served.append((name, job.done))

    with turns.slice(alive=lambda: None):
        for count, name in enumerate(("first", "second", "third"), start=2):
            threads.append(threading.Thread(target=train, args=(name,)))
            threads[-1].start()
            while turns.waiting < count:
                time.sleep(0.001)
        assert served == []
    for thread in threads:
        thread.join()
    assert served == [("first", 1), ("second", 1), ("third", 1)]


def ticking():
    import streamlit as st

    from core.convolution import ConvolutionConfig
    from pages.ui import jobs
    from pages.ui.jobs import Job

    job = st.session_state.setdefault("job", Job({"a": ConvolutionConfig()}, 30))
    if job.running:
        jobs._tick(job, "key", waits=st.session_state.get("waits", False))
        st.write("the stint ended")
    else:
        st.write("over")


def test_the_fragment_trains_only_in_its_turns_and_starts_the_page_over_at_the_end(monkeypatch):
    slices = []

    class Recorder:
        length = 0.05

        @contextmanager
        def slice(self, alive):
            alive()
            before = app.session_state["job"].done
            yield
            slices.append(app.session_state["job"].done - before)

    monkeypatch.setattr(jobs, "TURNS", Recorder())
    monkeypatch.setattr(jobs, "STINT", inf)
    app = AppTest.from_function(ticking, default_timeout=600)
    app.session_state["job"] = Job({"a": ConvolutionConfig()}, 30)
    app.run()
    assert not app.exception and app.markdown[0].value == "over"
    assert sum(slices) == 30


def test_a_waiting_fragment_leaves_the_turns_alone():
    app = AppTest.from_function(ticking, default_timeout=600)
    app.session_state["waits"] = True
    app.run()
    assert app.session_state["job"].done == 0 and app.markdown[0].value == "the stint ended"


# ---- measuring -----------------------------------------------------------------------------------------------------


def test_steps_to_follows_the_direction_of_the_metric():
    run = Run(ConvolutionConfig())
    run.advance(inf, 60)
    errors = curve(run, KERNEL_ERROR)
    found = steps_to(run, KERNEL_ERROR, 0.3)
    assert errors[found] <= 0.3 and all(value > 0.3 for step, value in errors.items() if step < found)
    assert steps_to(run, KERNEL_ERROR, -1.0) is None
    assert steps_to(run, KERNEL_ERROR._replace(better="higher"), 1.0) == 0
    assert score(run, KERNEL_ERROR) == list(errors.values())[-1]


def test_a_curve_between_its_points_agrees_with_numpy():
    measured = {0.0: 1.0, 10.0: 3.0, 12.0: -1.0, 50.0: 0.5}
    for place in (0.0, 3.0, 10.0, 11.5, 49.0, 50.0):
        assert value_at(measured, place) == pytest.approx(numpy.interp(place, list(measured), list(measured.values())))
    assert value_at(measured, 51.0) is None and value_at({}, 0.0) is None


LINE = Line((0, 10, 20, 40), "Step", "Loss", Span(0.0, 2.0, 0.1), near=0.25)


def question(**kind) -> Question:
    return Question("name", "text", lambda runs: None, lambda runs: "", "", **kind)


def test_a_line_is_right_within_its_mean_distance_from_what_was_measured():
    measured = {0: 1.0, 10: 0.5, 20: 0.25}  # it was stopped before step 40
    assert distance(LINE, (1.2, 0.9, 0.25, 2.0), measured) == pytest.approx(0.2)
    assert is_right(question(line=LINE), (1.2, 0.9, 0.25, 2.0), measured)
    assert not is_right(question(line=LINE), (1.2, 1.5, 0.25, 2.0), measured)
    assert not is_right(question(line=LINE), (1.0, 0.5, 0.25, 2.0), {0: float("inf"), 10: float("nan")})


@pytest.mark.parametrize(
    "number, guess, measured, right",
    [
        (Number(range(10)), 7, 7, True),
        (Number(range(10)), 7, 8, False),
        (Number(Span(0.0, 1.0), near=0.1), 0.5, 0.59, True),
        (Number(Span(0.0, 1.0), near=0.1), 0.5, 0.61, False),
        (Number((1, 10, 100), share=0.5), 100, 190, True),
        (Number((1, 10, 100), share=0.5), 100, 210, False),
        (Number(Span(0.0, 1.0), near=0.1), 0.5, float("nan"), False),
        (Number(Span(0.0, 1.0), near=0.1), 0.5, float("inf"), False),
        (Number(Span(0.0, 1.0), share=0.5), 0.5, float("inf"), False),
    ],
)
def test_a_number_is_right_within_its_tolerance(number, guess, measured, right):
    assert is_right(question(number=number), guess, measured) is right


def test_the_chart_of_a_line_holds_both_and_nothing_that_cannot_be_drawn():
    measured = {step: 5.0 / (step + 1) for step in range(1000)} | {1000: float("nan")}
    chart = line_chart(LINE, (2.0, 1.0, 0.5, 0.0), measured, ("guess", "measured"))
    spec = chart.to_dict()
    rows = next(iter(spec["datasets"].values()))
    assert len(rows) < 200
    assert [row["y"] for row in rows if row["which"] == "guess"] == [2.0, 1.0, 0.5, 0.0]
    ends = [row for row in rows if row["which"] == "measured"]
    assert (ends[0]["x"], ends[-1]["x"]) == (0, 999)
    assert spec["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0.0, 5.0]


# ---- the section ---------------------------------------------------------------------------------------------------


def page():
    import streamlit as st

    from core.config import Span
    from core.convolution import KERNEL_ERROR, ConvolutionConfig
    from pages.ui import controls as address
    from pages.ui.controls import Controls
    from pages.ui.predict import Line, Number, Question, ask, curve, progress, score, steps_to
    from pages.ui.text import t

    def last(runs):
        if st.session_state.get("fragile"):
            return runs["rate0.1"].history[10_000]
        return min(runs, key=lambda name: steps_to(runs[name], KERNEL_ERROR, 0.05) or float("inf"))

    rates = {
        f"rate{rate:g}": ConvolutionConfig(optimizer="sgd", learning_rate=rate, seed=st.session_state.get("seed", 0))
        for rate in (0.03, 0.1, 0.3)
    }
    address.visit("convolution")
    controls = Controls("convolution", ConvolutionConfig())
    questions = (
        Question(
            "rate",
            t("哪个最快？", "Which is fastest?"),
            last,
            lambda runs: t("测了 ", "measured ") + str(sorted(runs)),
            t("因为", "because"),
            options={name: t("学习率", "rate ") + name for name in rates},
            runs=rates,
            steps=120,
        ),
        Question("sum", "2 + 2?", lambda runs: 2 + 2, lambda runs: "counted", "", number=Number(range(11))),
        Question(
            "curve",
            "Draw it.",
            lambda runs: curve(runs["a"], KERNEL_ERROR),
            lambda runs: f"ends at {score(runs['a'], KERNEL_ERROR):.3f}",
            "",
            line=Line((0, 5, 10, 20), "Step", "Error", Span(0.0, 2.0, 0.1), near=0.2),
            runs={"a": ConvolutionConfig()},
            steps=20,
        ),
    )
    if st.session_state.get("elsewhere"):
        st.write("another page")
    else:
        ask(controls, questions)
    st.write(f"progress {progress('convolution')} {progress('cnn')}")
    address.publish()


def start(**query) -> AppTest:
    app = AppTest.from_function(page, default_timeout=600)
    app.session_state["lang"] = "en"
    app.query_params.update(query)
    app.run()
    assert not app.exception
    return app


def words(app: AppTest) -> str:
    return "\n".join([*(part.value for part in app.markdown), *(part.value for part in app.subheader)])


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=f"convolution_{key}").click().run()
    assert not app.exception
    return app


def finish(app: AppTest, name: str) -> AppTest:
    """What the fragment does in a browser, however long it takes; AppTest has no timers."""
    job = app.session_state["answers"]["convolution"][name].job
    job.budget = inf
    job.advance(inf)
    return app.run()


def choose(app: AppTest, code: str) -> AppTest:
    app.radio[0].set_value(code).run()
    return press(app, "commit")


def fastest() -> str:
    """The answer, by training without the page."""
    reached = {}
    for name, config in RATES.items():
        run = Run(config)
        run.advance(inf, 120)
        found = [record.step for record in run.history if record.scores["test"]["Kernel error"] <= 0.05]
        reached[name] = min(found, default=10_000)
    return min(reached, key=reached.get)


def test_a_choice_is_committed_measured_and_judged_by_the_experiment():
    app = start()
    assert app.button(key="convolution_commit").disabled and app.radio[0].value is None
    right = fastest()
    wrong = next(name for name in RATES if name != right)
    choose(app, wrong)
    assert not app.radio and f"**rate {wrong}**" in words(app)  # the guess is fixed
    answer = app.session_state["answers"]["convolution"]["rate"]
    assert answer.job.done == 0  # a full run draws; only the fragment trains
    assert "progress (0, 3)" in words(app) and "Not this time" not in words(app)
    finish(app, "rate")
    assert "Not this time" in words(app) and f"**rate {right}**" in words(app) and "because" in words(app)
    assert "progress (1, 3)" in words(app) and "check" in app.segmented_control(key="convolution_questions").options[0]
    press(app, "question_again")
    assert app.radio[0].value == wrong
    choose(app, right)
    finish(app, "rate")
    assert "**Right.**" in words(app) and answer.measured == right
    press(app, "question_next")
    assert "2 + 2?" in words(app) and app.session_state["settings"]["convolution_question"] == "sum"


def test_a_teacher_may_lock_or_hide_which_question_is_asked():
    app = start(convolution_question="sum")
    press(app, "commit")
    row = app.segmented_control(key="convolution_questions")
    assert not row.disabled and not app.button(key="convolution_question_next").disabled
    app.session_state["lock"] = ("question",)
    app.run()
    row = app.segmented_control(key="convolution_questions")
    assert row.disabled and row.value == "sum" and app.button(key="convolution_question_next").disabled
    press(app, "question_again")
    app.session_state["hide"] = ("question",)
    press(app.run(), "commit")
    assert not app.segmented_control and "2 + 2?" in words(app)
    assert {"convolution_question_again", "convolution_commit"} & {button.key for button in app.button}
    assert "convolution_question_next" not in {button.key for button in app.button}


def test_a_number_needs_no_experiment():
    app = start(convolution_question="sum")
    app.slider[0].set_value(4).run()
    press(app, "commit")
    assert "**Right.**" in words(app) and [metric.value for metric in app.metric] == ["4", "4"]


def test_a_line_is_drawn_by_sliders_and_compared():
    app = start(convolution_question="curve")
    assert [slider.value for slider in app.slider] == [2.0] * 4
    run = Run(ConvolutionConfig())
    run.advance(inf, 20)
    drawn = {record.step: record.scores["test"]["Kernel error"] for record in run.history}
    for slider, step in zip(app.slider, (0, 5, 10, 20), strict=True):
        slider.set_value(round(drawn[step], 1))
    app.run()
    press(app, "commit")
    finish(app, "curve")
    assert "**Right.**" in words(app) and f"ends at {drawn[20]:.3f}" in words(app)


def test_equal_experiments_measure_the_same():
    measured = []
    for slice in (0.0, inf):
        app = start()
        choose(app, "rate0.1")
        job = app.session_state["answers"]["convolution"]["rate"].job
        job.budget = inf
        while job.running:
            job.advance(slice)
        app.run()
        measured.append([run.history for run in job.runs.values()])
    assert str(measured[0]) == str(measured[1])  # as text, in which NaN equals NaN


def test_a_guess_and_its_answer_survive_a_change_of_language_and_of_the_page():
    app = start()
    app.radio[0].set_value("rate0.3").run()
    app.session_state["lang"] = "zh"
    app.run()
    assert app.radio[0].value == "rate0.3" and "学习率" in app.radio[0].options[0] and "哪个最快？" in words(app)
    app.session_state["elsewhere"] = True
    app.run()
    assert not app.radio
    app.session_state["elsewhere"] = False
    app.run()
    assert app.radio[0].value == "rate0.3"
    press(app, "commit")
    job = app.session_state["answers"]["convolution"]["rate"].job
    job.advance(0.0)
    app.session_state["elsewhere"] = True
    app.run()
    app.session_state["elsewhere"] = False
    app.run()
    assert app.session_state["answers"]["convolution"]["rate"].job is job and job.running  # it goes on where it was
    finish(app, "rate")
    assert "因为" in words(app)
    app.session_state["lang"] = "en"
    app.run()
    assert "because" in words(app) and "measured ['rate0.03'" in words(app)


def test_cancel_gives_the_guess_back_and_counts_nothing():
    app = start()
    choose(app, "rate0.3")
    job = app.session_state["answers"]["convolution"]["rate"].job
    press(app, "experiment_cancel")
    assert job.cancelled and app.radio[0].value == "rate0.3" and "progress (0, 3)" in words(app)


def test_the_panel_rests_when_an_experiment_starts_and_the_experiment_while_the_panel_plays():
    app = start()
    app.session_state["convolution_playing"] = True
    choose(app, "rate0.3")
    assert app.session_state["convolution_playing"] is False
    app.session_state["convolution_playing"] = True
    app.run()
    assert not app.exception and app.session_state["answers"]["convolution"]["rate"].job.running
    assert "when the training above is paused" in app.get("progress")[0].proto.text


def stop_early(app: AppTest) -> AppTest:
    job = app.session_state["answers"]["convolution"]["rate"].job
    job.advance(0.0)
    job.budget = job.spent
    return app.run()


def test_an_experiment_that_was_stopped_says_so_and_is_judged_by_what_it_reached():
    app = start()
    choose(app, "rate0.3")
    stop_early(app)
    assert "stopped after 1 of 120 steps" in app.warning[0].value and "progress (1, 3)" in words(app)


def test_what_cannot_be_measured_in_the_steps_that_were_made_is_not_judged():
    app = start()
    app.session_state["fragile"] = True
    choose(app, "rate0.3")
    stop_early(app)
    assert not app.exception and "could not be measured" in words(app) and "progress (0, 3)" in words(app)
    press(app, "question_again")
    press(app, "commit")
    assert not finish(app, "rate").session_state["answers"]["convolution"]["rate"].cut_short
    assert app.exception  # a mistake of the question must not hide


def test_a_question_whose_experiment_has_become_another_is_asked_anew():
    app = start()
    choose(app, "rate0.3")
    finish(app, "rate")
    app.session_state["seed"] = 1
    app.run()
    assert app.radio and "because" not in words(app)


def test_a_link_opens_a_question_and_a_bad_one_leaves_a_note():
    assert "Draw it." in words(start(convolution_question="curve"))
    app = start(convolution_question="nonsense")
    assert "Which is fastest?" in words(app)
    assert "convolution_question=nonsense" in app.warning[0].value and "rate, sum, curve" in app.warning[0].value


def test_progress_is_unknown_until_the_page_was_seen():
    app = start()
    assert "progress (0, 3) (0, None)" in words(app)


@pytest.mark.parametrize("wrong", ["twice", "no kind", "two kinds"])
def test_a_mistake_in_the_questions_is_found_at_once(wrong):
    app = AppTest.from_function(mistaken, default_timeout=600, kwargs={"wrong": wrong})
    app.run()
    assert app.exception


def mistaken(wrong):
    from core.convolution import ConvolutionConfig
    from pages.ui.controls import Controls
    from pages.ui.predict import Number, Question, ask

    good = Question("a", "", lambda runs: 1, lambda runs: "", "", number=Number(range(3)))
    questions = {
        "twice": (good, good),
        "no kind": (good._replace(number=None),),
        "two kinds": (good._replace(options={"x": "X"}),),
    }
    ask(Controls("convolution", ConvolutionConfig()), questions[wrong])


# ---- challenges ----------------------------------------------------------------------------------------------------


def goals():
    import streamlit as st

    from core.convolution import ConvolutionConfig
    from pages.ui.challenges import Challenge, board
    from pages.ui.controls import Controls
    from pages.ui.live import Live
    from pages.ui.predict import progress

    def small(live):
        kernel = next(iter(live.race.configs.values())).kernel
        return kernel <= 2, f"kernel {kernel}; wanted ≤ 2"

    def trained(live):
        return live.race.steps >= 2, f"{live.race.steps} steps; wanted ≥ 2"

    controls = Controls("convolution", ConvolutionConfig())
    kernel = controls.slider("kernel", "Kernel")
    live = Live(controls, {"run": ConvolutionConfig(kernel=kernel)})
    live.panel()
    board(controls, live, (Challenge("small", "A small one", small), Challenge("trained", "Two steps", trained)))
    st.write(f"progress {progress('convolution')}")


def test_a_challenge_is_reached_by_measurement_and_stays_reached():
    app = AppTest.from_function(goals, default_timeout=600)
    app.session_state["lang"] = "en"
    app.run()
    assert (
        ":small[kernel 3; wanted ≤ 2]" in words(app) and "progress (0, 2)" in words(app) and "Reached" not in words(app)
    )
    app.slider(key="convolution_kernel").set_value(2).run()
    assert not app.exception and words(app).count("Reached") == 1 and "progress (1, 2)" in words(app)
    app.slider(key="convolution_kernel").set_value(5).run()
    assert words(app).count("Reached") == 1 and ":small[Now: kernel 5; wanted ≤ 2]" in words(app)
    app.button(key="convolution_step").click().run()
    app.button(key="convolution_step").click().run()
    assert words(app).count("Reached") == 2 and "progress (2, 2)" in words(app)


def test_a_challenge_is_not_measured_while_the_training_plays():
    app = AppTest.from_function(goals, default_timeout=600)
    app.session_state["lang"] = "en"
    app.session_state["convolution_playing"] = True
    app.session_state["convolution_kernel"] = 2
    app.run()
    assert "Reached" not in words(app) and ":small[Measured when you pause.]" in words(app)
