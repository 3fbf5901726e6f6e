"""Predict, then run: commit to a guess, the page measures the answer by an experiment, and shows both.

A lesson supplies its questions. No answer is written down anywhere: `measure` reads it from the trained runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import altair as alt
import pandas as pd
import streamlit as st

from core.config import Config, Limits, SettingError, Span, check
from core.training import Metric, Run
from pages.ui import charts, jobs, lesson
from pages.ui.controls import Controls, access
from pages.ui.jobs import Job
from pages.ui.palette import SERIES, TRAIN
from pages.ui.text import language, t

ANSWERS, GUESSES, PROGRESS, TOTALS = "answers", "guesses", "progress", "progress_totals"
HEIGHT = 380  # title and legend included
GUESS_WIDTH = 560  # of a single slider: all of a wide page would be a long way to drag
CURVE_POINTS = 160


class Number(NamedTuple):
    """A number to guess, on a slider. It is right within `near`, or within a `share` of the measured value."""

    limits: Limits  # a tuple lists the slider's stops, for numbers of different magnitude
    near: float = 0.0
    share: float = 0.0
    unit: str = ""  # "%" shows a share of one as a percentage


class Line(NamedTuple):
    """A curve to guess, by a slider at each of a few places. It is right if its mean distance is at most `near`."""

    at: tuple[float, ...]  # the places, four to six
    x: str  # what they are, in words: t("步数", "step")
    y: str  # what is guessed there
    limits: Span
    near: float
    unit: str = ""


class Question(NamedTuple):
    """One question of a lesson, with a choice, a number or a line for its answer.

    Its runs are its own and do not depend on the controls: a question whose runs change is asked anew.
    """

    name: str  # language-free; in keys and in the address
    text: str
    measure: Callable[[dict[str, Run]], Any]  # a code of `options`, a number, or {place: value}; None: cannot be told
    shown: Callable[[dict[str, Run]], str]  # the measured numbers in one short line
    explain: str  # why, after the answer
    options: Mapping[str, str] | None = None  # code → words
    number: Number | None = None
    line: Line | None = None
    runs: Mapping[str, Config] | None = None  # what is trained to find out; none: computed at once
    steps: int = 0  # how far; within the ten seconds of an experiment


class Answer:
    """A guess that was committed, and what came of it."""

    def __init__(self, guess: Any, job: Job | None):
        self.guess, self.job = guess, job
        self.measured: Any = None
        self.settled = False  # whether it was measured

    @property
    def runs(self) -> dict[str, Run]:
        return self.job.runs if self.job else {}

    @property
    def cut_short(self) -> bool:
        """Whether the experiment ended before its last step."""
        return self.job is not None and self.job.done < self.job.steps


# ---- progress ------------------------------------------------------------------------------------------------------


def mark(stem: str, name: str) -> None:
    """A question is answered, a challenge is reached."""
    st.session_state.setdefault(PROGRESS, {}).setdefault(stem, set()).add(name)


def marked(stem: str) -> set[str]:
    """The names of what is done in this lesson."""
    return st.session_state.get(PROGRESS, {}).get(stem, set())


def announce(stem: str, kind: str, names: tuple[str, ...]) -> None:
    """A lesson has these questions, or challenges."""
    st.session_state.setdefault(TOTALS, {}).setdefault(stem, {})[kind] = names


def progress(stem: str) -> tuple[int, int | None]:
    """How many questions and challenges of a lesson are done, and of how many; None until its page was seen."""
    kinds = st.session_state.get(TOTALS, {}).get(stem)
    if kinds is None:
        return len(marked(stem)), None
    names = {name for names in kinds.values() for name in names}
    return len(marked(stem) & names), len(names)


# ---- measuring -----------------------------------------------------------------------------------------------------


def score(run: Run, metric: Metric, part: str = "test") -> float:
    """The last measure of a run, on its "train" or "test" data."""
    return run.history[-1].scores[part][metric.name]


def curve(run: Run, metric: Metric, part: str = "test") -> dict[float, float]:
    """Step → measure, at every step that was evaluated."""
    return {record.step: record.scores[part][metric.name] for record in run.history}


def steps_to(run: Run, metric: Metric, target: float, part: str = "test") -> int | None:
    """The first evaluated step at which the measure is as good as `target`; None where it never was."""
    for step, value in curve(run, metric, part).items():
        if value <= target if metric.better == "lower" else value >= target:
            return int(step)
    return None


def value_at(measured: Mapping[float, float], place: float) -> float | None:
    """A measured curve at a place, straight between its points; None outside of them."""
    left = max((x for x in measured if x <= place), default=None)
    right = min((x for x in measured if x >= place), default=None)
    if left is None or right is None:
        return None
    if left == right:
        return measured[left]
    return measured[left] + (place - left) / (right - left) * (measured[right] - measured[left])


def distance(line: Line, guess: tuple[float, ...], measured: Mapping[float, float]) -> float | None:
    """The mean distance of a guessed line from the measured one; None where nothing was measured."""
    pairs = [(y, value_at(measured, x)) for x, y in zip(line.at, guess, strict=True)]
    gaps = [abs(y - value) for y, value in pairs if value is not None]
    return sum(gaps) / len(gaps) if gaps else None


def is_right(question: Question, guess: Any, measured: Any) -> bool:
    """Whether a guess counts as right."""
    if question.options is not None:
        return guess == measured
    if question.number is not None:
        near = max(question.number.near, question.number.share * abs(measured))
        return math.isfinite(measured) and abs(guess - measured) <= near
    gap = distance(question.line, guess, measured)
    return gap is not None and gap <= question.line.near


def settle(stem: str, question: Question, answer: Answer) -> None:
    """Measure, once, what the experiment found; it then counts as done, whether the guess was right or not."""
    if answer.settled:
        return
    answer.settled = True
    try:
        answer.measured = question.measure(answer.runs)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        if not answer.cut_short:  # a step that was not reached cannot be read
            raise
    if question.line is not None and not answer.measured:
        answer.measured = None
    if question.options is not None and answer.measured not in (None, *question.options):
        raise ValueError(f"{question.name} measured {answer.measured!r}, which is no option")
    if answer.measured is not None:
        mark(stem, question.name)
    for run in answer.runs.values():
        del run.snapshots[1:-1]  # only the numbers are shown again; the session keeps many answers


# ---- the section ---------------------------------------------------------------------------------------------------


def ask(controls: Controls, questions: tuple[Question, ...]) -> None:
    """The section "Predict, then run": one question at a time.

    Raises:
        ValueError: a name comes twice, or a question has not exactly one kind of answer.
    """
    names = tuple(question.name for question in questions)
    if len(set(names)) < len(names):
        raise ValueError(f"two questions have one name: {', '.join(names)}")
    for question in questions:
        if sum(kind is not None for kind in (question.options, question.number, question.line)) != 1:
            raise ValueError(f"{question.name} needs options, a number or a line")
    stem = controls.stem
    announce(stem, "questions", names)
    lesson.heading("先预测，再运行", "Predict, then run")
    name = controls.view("question", names[0], names)
    question = questions[names.index(name)]
    answer = answer_of(stem, question)
    over = answer is not None and not (answer.job and answer.job.running)
    if over:
        settle(stem, question, answer)
    allowed = controls.access("question", t("题目", "Questions"))
    if allowed != "hide":
        choose(controls, names, name, locked=allowed == "lock")
    with st.container(border=True, key=f"{stem}_predict"):
        st.subheader(question.text, anchor=False)
        if answer is None:
            guessing(stem, question)
        elif over:
            result(question, answer)
            onward(controls, names, name)
        else:
            st.markdown(t("你的预测：", "Your guess: ") + f"**{in_words(question, answer.guess)}**")
            jobs.show(answer.job, f"{stem}_experiment", stem, on_cancel=partial(forget, stem, question.name))


def choose(controls: Controls, names: tuple[str, ...], current: str, locked: bool) -> None:
    """The questions by number in a row; the done ones are ticked."""
    done, key = marked(controls.stem), f"{controls.stem}_questions"
    numbers = {
        name: f"{number} :material/check:" if name in done else str(number)
        for number, name in enumerate(names, start=1)
    }
    st.session_state[key] = current
    st.segmented_control(
        t("题目", "Questions"),
        names,
        format_func=numbers.get,
        key=key,
        default=current,
        required=True,
        label_visibility="collapsed",
        disabled=locked,
        on_change=lambda: controls.put(question=st.session_state[key]),
    )


def answer_of(stem: str, question: Question) -> Answer | None:
    """The committed guess, unless it was cancelled or the question has become another one."""
    answer: Answer | None = st.session_state.get(ANSWERS, {}).get(stem, {}).get(question.name)
    if answer is None or (answer.job is None) != (question.runs is None):
        return None
    if answer.job is not None and (answer.job.cancelled or answer.job.configs != question.runs):
        return None
    return answer


def forget(stem: str, name: str) -> None:
    """Ask again; what was guessed stays on the sliders."""
    st.session_state.get(ANSWERS, {}).get(stem, {}).pop(name, None)


def commit(stem: str, question: Question) -> None:
    """From the button: the guess is fixed and its experiment begins."""
    guess = drafted(stem, question)
    if guess is None:
        return
    job = Job(question.runs, question.steps) if question.runs is not None else None
    if job is not None:
        jobs.pause_panel(stem)
    st.session_state.setdefault(ANSWERS, {}).setdefault(stem, {})[question.name] = Answer(guess, job)


def onward(controls: Controls, names: tuple[str, ...], current: str) -> None:
    """To the next open question, or once more."""
    position = names.index(current)
    open_ones = [name for name in names[position + 1 :] + names[:position] if name not in marked(controls.stem)]
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if open_ones and access("question") != "hide":
            st.button(
                t("下一题", "Next question"),
                key=f"{controls.stem}_question_next",
                type="primary",
                icon=":material/arrow_forward:",
                disabled=access("question") == "lock",
                on_click=controls.put,
                kwargs={"question": open_ones[0]},
            )
        st.button(
            t("再猜一次", "Guess again"),
            key=f"{controls.stem}_question_again",
            type="tertiary",
            icon=":material/replay:",
            on_click=forget,
            args=(controls.stem, current),
        )
        if not open_ones:
            st.markdown(t(":material/done_all: 全部答完。", ":material/done_all: All questions done."))


# ---- the guess -----------------------------------------------------------------------------------------------------


def places(question: Question) -> int:
    """How many numbers a guess consists of."""
    return len(question.line.at) if question.line is not None else 1


def guess_key(stem: str, question: Question, place: int = 0) -> str:
    """The key of a widget. It names the language: a widget whose labels change would start anew."""
    return f"{stem}_guess_{question.name}_{place}_{language()}"


def limits_of(question: Question) -> Limits:
    """What can be guessed."""
    if question.options is not None:
        return tuple(question.options)
    return question.number.limits if question.number is not None else question.line.limits


def start(limits: Limits) -> float:
    """Where a slider starts: at its upper end, which is right in no question, so that nobody is right without a thought."""
    return limits.high if isinstance(limits, Span) else limits[-1]


def draft(stem: str, question: Question) -> tuple:
    """The guess so far, place by place; a choice starts with none."""
    kept = st.session_state.get(GUESSES, {}).get(stem, {}).get(question.name)
    first = None if question.options is not None else start(limits_of(question))
    if kept is None or len(kept) != places(question):
        return (first,) * places(question)
    return tuple(value if fits(value, limits_of(question)) else first for value in kept)


def fits(value: Any, limits: Limits) -> bool:
    """Whether a value can be guessed; a question may have changed since."""
    try:
        check("guess", value, limits)
    except SettingError:
        return False
    return True


def drafted(stem: str, question: Question) -> Any:
    """The guess that the widgets show: a code, a number or a tuple of numbers; None while nothing is chosen."""
    guess = tuple(
        st.session_state.get(guess_key(stem, question, place), value)
        for place, value in enumerate(draft(stem, question))
    )
    return guess if question.line is not None else guess[0]


def guessing(stem: str, question: Question) -> None:
    """The widgets of the guess, and Commit."""
    before = draft(stem, question)
    for place, value in enumerate(before):
        key = guess_key(stem, question, place)
        if key not in st.session_state and value is not None:
            st.session_state[key] = value
    if question.options is not None:
        guess = (choice_widget(stem, question),)
    elif question.number is not None:
        guess = (number_widget(stem, question),)
    else:
        guess = line_widgets(stem, question)
    st.session_state.setdefault(GUESSES, {}).setdefault(stem, {})[question.name] = guess
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            t("就这么猜", "Commit"),
            key=f"{stem}_commit",
            type="primary",
            icon=":material/lock:",
            disabled=None in guess,
            on_click=commit,
            args=(stem, question),
        )
        st.caption(accepted(question))


def choice_widget(stem: str, question: Question) -> str | None:
    return st.radio(
        question.text,
        tuple(question.options),
        index=None,
        format_func=question.options.get,
        key=guess_key(stem, question),
        label_visibility="collapsed",
    )


def number_widget(stem: str, question: Question) -> float:
    number, key, label = question.number, guess_key(stem, question), t("你的预测", "Your guess")
    if not isinstance(number.limits, (range, Span)):
        words = partial(digits, number)
        return st.select_slider(label, number.limits, key=key, format_func=words, width=GUESS_WIDTH)
    return slider(label, number.limits, number.unit, key, GUESS_WIDTH)


def line_widgets(stem: str, question: Question) -> tuple[float, ...]:
    """A slider for each place, and the line that they draw."""
    line = question.line
    left, right = st.columns([1, 2], gap="large")
    with left:
        guess = tuple(
            slider(f"{line.x} {x:,}", line.limits, line.unit, guess_key(stem, question, place))
            for place, x in enumerate(line.at)
        )
    with right:
        draw_line(line, guess)
    return guess


def slider(label: str, limits: range | Span, unit: str, key: str, width: int | str = "stretch") -> float:
    whole = isinstance(limits, range)
    low, high, step = (limits[0], limits[-1], limits.step) if whole else map(float, limits)
    form = "percent" if unit == "%" else None
    # Without the value, which is the one it would take anyway, Streamlit would look for it in a copy of the whole session.
    return st.slider(label, low, high, low, step=step, key=key, format=form, width=width)


# ---- the result ----------------------------------------------------------------------------------------------------


def result(question: Question, answer: Answer) -> None:
    """Guess and measurement side by side, whether it was right, and why."""
    verdict(question, answer)
    if question.line is not None:
        draw_line(question.line, answer.guess, answer.measured)
    else:
        left, right = st.columns(2, border=True)
        fact(left, question, t("你的预测", "Your guess"), answer.guess)
        fact(right, question, t("测得", "Measured"), answer.measured)
    if answer.measured is not None:
        st.markdown(question.shown(answer.runs) + distance_line(question, answer))
    if answer.job is not None and answer.job.stopped:
        st.warning(stopped(answer.job), icon=":material/timer_off:")
    if answer.measured is not None:
        st.markdown(question.explain)


def fact(column: Any, question: Question, name: str, value: Any) -> None:
    """One of the two that are compared: a large number, or the words of a choice, which may need several lines."""
    if question.number is not None:
        column.metric(name, in_words(question, value))
    else:
        column.caption(name)
        column.markdown(f"**{in_words(question, value)}**")


def verdict(question: Question, answer: Answer) -> None:
    if answer.measured is None:
        st.markdown(
            t(":material/help: **这次没能测出来。**", ":material/help: **It could not be measured this time.**")
        )
    elif is_right(question, answer.guess, answer.measured):
        st.markdown(t(":green[:material/check_circle: **猜对了。**]", ":green[:material/check_circle: **Right.**]"))
    else:
        st.markdown(t(":orange[:material/cancel: **没猜中。**]", ":orange[:material/cancel: **Not this time.**]"))


def stopped(job: Job) -> str:
    return t(
        f"实验最多训练 {job.budget:g} 秒，走了 {job.done:,} / {job.steps:,} 步就停了：测的是这 {job.done:,} 步。",
        f"An experiment trains for {job.budget:g} s at most and was stopped after {job.done:,} of {job.steps:,} steps: "
        f"the measurement is of these {job.done:,}.",
    )


def distance_line(question: Question, answer: Answer) -> str:
    line = question.line
    if line is None:
        return ""
    gap = distance(line, answer.guess, answer.measured)
    if gap is None:
        return ""
    return "  \n" + t(f"平均相差 {digits(line, gap)}。", f"Mean distance {digits(line, gap)}. ") + accepted(question)


def accepted(question: Question) -> str:
    """How near counts as right, in words."""
    if question.line is not None:
        gap = digits(question.line, question.line.near).replace(".0%", "%")
        return t(f"平均相差不超过 {gap} 算对。", f"Right if the mean distance is at most {gap}.")
    number = question.number
    if number is None or not (number.near or number.share):
        return ""
    parts = [f"±{digits(number, number.near)}"] * bool(number.near) + [f"±{number.share:.0%}"] * bool(number.share)
    within = t("或", " or ").join(parts)
    return t(f"相差 {within} 以内算对。", f"Right within {within}.")


def in_words(question: Question, value: Any) -> str:
    """A guess, or what was measured."""
    if value is None:
        return "–"
    if question.options is not None:
        return question.options[value]
    if question.number is not None:
        return digits(question.number, value)
    return ", ".join(digits(question.line, y) for y in value)


def digits(kind: Number | Line, value: float) -> str:
    """A number with sensible digits and its unit."""
    if not math.isfinite(value):
        return "NaN" if value != value else "∞"
    if kind.unit == "%":
        return f"{value:.1%}"
    text = f"{value:,}" if isinstance(value, int) else f"{value:.3g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return f"{text}{' ' if kind.unit[:1].isalpha() else ''}{kind.unit}"


def draw_line(line: Line, guess: tuple[float, ...], measured: Mapping[float, float] | None = None) -> None:
    alt_text = t("预测的曲线：", "The guessed curve: ") + points_in_words(line, dict(zip(line.at, guess, strict=True)))
    if measured:
        found = {x: value for x in line.at if (value := value_at(measured, x)) is not None}
        alt_text += t("；测得的曲线：", "; the measured one: ") + points_in_words(line, found)
    names = (t("你的预测", "Your guess"), t("测得", "Measured"))
    st.altair_chart(charts.readable(line_chart(line, guess, measured or {}, names)), alt=alt_text)


def points_in_words(line: Line, points: Mapping[float, float]) -> str:
    return ", ".join(f"{line.x} {x:g}: {digits(line, y)}" for x, y in points.items())


def line_chart(
    line: Line, guess: tuple[float, ...], measured: Mapping[float, float], names: tuple[str, str]
) -> alt.LayerChart:
    """The guessed line dashed with its points, the measured one solid; on one scale that holds both."""
    ordered = [(x, y) for x, y in sorted(measured.items()) if math.isfinite(y)]
    kept = ordered[:: max(1, -(-len(ordered) // CURVE_POINTS))]
    kept += [ordered[-1]] if ordered and kept[-1] != ordered[-1] else []
    rows = pd.DataFrame(
        [(x, float(y), names[0]) for x, y in zip(line.at, guess, strict=True)] + [(x, y, names[1]) for x, y in kept],
        columns=["x", "y", "which"],
    )
    low, high = min(line.limits.low, *rows.y), max(line.limits.high, *rows.y)
    legend = alt.Legend(title=None, orient="top", symbolType="stroke", symbolSize=500, symbolStrokeWidth=2.5)
    drawn = list(names) if measured else [names[0]]
    form = "%" if line.unit == "%" else charts.NUMBERS
    base = alt.Chart(rows).encode(
        x=alt.X("x:Q", title=line.x, axis=alt.Axis(tickCount=6, grid=False)),
        y=alt.Y(
            "y:Q",
            title=None,  # the chart's title says it
            axis=alt.Axis(format=form, tickCount=5),
            scale=alt.Scale(domain=[low, high], nice=False),
        ),
        color=alt.Color("which:N", scale=alt.Scale(domain=drawn, range=[SERIES[3], TRAIN]), legend=legend),
        tooltip=[
            alt.Tooltip("x:Q", title=line.x),
            alt.Tooltip("y:Q", title=line.y, format=".1%" if line.unit == "%" else ".3~g"),
            alt.Tooltip("which:N", title=" "),
        ],
    )
    dash = alt.StrokeDash("which:N", scale=alt.Scale(domain=drawn, range=[[6, 4], [1, 0]]), legend=legend)
    lines = base.mark_line(strokeWidth=2.4).encode(strokeDash=dash)
    points = base.transform_filter(alt.datum.which == names[0]).mark_circle(size=90, opacity=1)
    return alt.layer(lines, points).properties(
        height=HEIGHT,
        title=alt.TitleParams(
            f"{line.y} ({line.unit})" if line.unit not in ("", "%") else line.y, anchor="start", fontSize=16
        ),
    )
