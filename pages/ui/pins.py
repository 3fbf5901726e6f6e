"""Pin and compare: curves of earlier runs stay on the chart, with a table of what differs; and one run from five seeds.

A pin keeps what is drawn and what the table says, no weights. Pins live in the viewer's session, lesson by lesson.
"""

from __future__ import annotations

import math
import re
import statistics
import sys
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import pyarrow as pa
import streamlit as st

from core.config import Config, limits_of
from core.training import Intervention, Metric, Race, Run
from pages.ui import charts, jobs
from pages.ui.address import SHORT, encode
from pages.ui.controls import Controls, worded
from pages.ui.jobs import Job
from pages.ui.text import t, term

if TYPE_CHECKING:
    from pages.ui.live import Live

LIMIT = 6  # pins of a lesson; also curves that are laid over its chart
SEEDS = 5
LEAST = 100  # steps of a repetition
LONGEST = 40  # characters of a name
POINT_BYTES = 16  # a step and three numbers

STYLE = """<style>
.pins {overflow-x: auto; font-size: .9rem;}
.pins:focus-visible {outline: 2px solid currentColor;}
.pins table {border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: 100%;}
.pins th, .pins td {padding: .3rem .55rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid rgba(125, 136, 148, .35);}
.pins thead th {font-weight: 600;}
.pins tbody th {font-weight: 400;}
.pins .words {text-align: left;}
.pins img {vertical-align: middle; margin-right: .5rem;}
</style>"""
ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}  # which way is better


class Points(NamedTuple):
    """A curve of held-out values, thinned to what is drawn; of several seeds the mean between lowest and highest."""

    steps: array
    values: array
    low: array  # empty for a single run
    high: array


class Score(NamedTuple):
    """The best of one run; of several seeds, the mean of the last ones and their standard deviation."""

    value: float | None
    deviation: float | None = None


class Line(NamedTuple):
    """One run of a pin, or the same run from several seeds."""

    run: str  # its name in the race
    config: Config
    parameters: int
    points: dict[str, Points]  # by metric
    scores: dict[str, Score]
    diverged: int  # how many did


@dataclass
class Pin:
    """A race that is kept for comparison. `seeds` is empty unless it was repeated."""

    identity: int  # never used twice: of its widgets
    number: int  # 1…LIMIT, as shown
    lines: tuple[Line, ...]
    steps: int
    rate: float | None  # steps per second of the whole race
    interventions: tuple[Intervention, ...]
    seeds: tuple[int, ...] = ()
    asked: int = 0  # steps that a repetition was to make
    seconds: float = 0.0  # that it trained
    name: str = ""  # as the viewer has named it
    slots: tuple[int, ...] = ()  # of its curves on the chart; empty: not drawn

    def code(self, place: int) -> str:
        """What stands beside a curve: 1, or 1a, 1b, … of a race."""
        return str(self.number) if len(self.lines) == 1 else f"{self.number}{chr(ord('a') + place)}"


class Repetition(NamedTuple):
    """A race that is being trained from several seeds."""

    job: Job
    names: tuple[str, ...]
    seeds: tuple[int, ...]


class Overlay(NamedTuple):
    """What the pins add to one metric's chart."""

    curves: tuple[charts.Pinned, ...] = ()
    rows: pa.Table | None = None


class Row(NamedTuple):
    """A line of the table in words."""

    mark: str  # how its curve is drawn, as a picture
    code: str
    name: str
    settings: list[str]
    numbers: list[str]  # parameters, steps, steps/s, a score for each metric
    changed: str


# what is kept


def pins_of(stem: str) -> list[Pin]:
    """The pins of a lesson in this viewer's session."""
    return st.session_state.setdefault(f"{stem}_pins", [])


def measured(run: Run, metric: str) -> dict[int, float]:
    """Step → held-out value as drawn, or the training value where nothing is held out; without what is not finite."""
    part = "test" if any(metric in record.scores.get("test", {}) for record in run.history) else "train"
    values = ((record.step, charts.shown(record, part, metric)) for record in run.history)
    return {step: value for step, value in values if value is not None}


def line_of(name: str, runs: list[Run]) -> Line:
    """A run, or the same run from several seeds, as it is kept."""
    metrics = [metric for metric in runs[0].metrics if not metric.group]  # what is drawn on request is not kept
    curves = {metric: [measured(run, metric.name) for run in runs] for metric in metrics}
    return Line(
        name,
        runs[0].config,
        parameters_of(runs[0]),
        {metric.name: points_of(found) for metric, found in curves.items()},
        {metric.name: score_of(metric, runs, found) for metric, found in curves.items()},
        sum(run.diverged for run in runs),
    )


def points_of(curves: list[dict[int, float]]) -> Points:
    """The curve of one run; of several the mean, lowest and highest at the steps that all have."""
    steps = sorted(set.intersection(*map(set, curves)))
    stride = max(1, math.ceil((len(steps) - 1) / (charts.PINNED_POINTS - 1)))
    steps = sorted({*steps[::stride], *steps[-1:]})
    values = [[curve[step] for curve in curves] for step in steps]
    several = values if len(curves) > 1 else []
    return Points(
        array("i", steps),
        array("f", map(statistics.fmean, values)),
        array("f", map(min, several)),
        array("f", map(max, several)),
    )


def score_of(metric: Metric, runs: list[Run], curves: list[dict[int, float]]) -> Score:
    """The best value of one run; of several the mean and deviation of the last of those that did not diverge."""
    if len(runs) == 1:
        best = min if metric.better == "lower" else max
        return Score(best(curves[0].values(), default=None))
    last = [curve[max(curve)] for run, curve in zip(runs, curves, strict=True) if curve and not run.diverged]
    if not last:
        return Score(None)
    return Score(statistics.fmean(last), statistics.stdev(last) if len(last) > 1 else 0.0)


def parameters_of(run: Run) -> int:
    """How many numbers are learned: those that the optimizer moves; of a learner that has `memories` or no optimizer all
    of its state, without what it only remembers."""
    learned = getattr(getattr(run.learner, "optimizer", None), "parameters", None)
    memories = getattr(run.learner, "memories", ())
    if isinstance(learned, list) and not memories:
        return sum(tensor.numel() for tensor in learned)
    return sum(tensor.numel() for name, tensor in run.learner.state().items() if name not in memories)


def add(stem: str, pin: Pin) -> None:
    """Give it a number and, while there is room on the chart, slots for its curves."""
    pins = pins_of(stem)
    pin.identity = st.session_state[f"{stem}_pins_made"] = st.session_state.get(f"{stem}_pins_made", 0) + 1
    pin.number = min(set(range(1, LIMIT + 1)) - {other.number for other in pins})
    pin.slots = room_for(pins, pin)
    if not pin.slots:
        say(stem, "hidden", pin.number)
    pins.append(pin)
    pins.sort(key=lambda other: other.number)


def room_for(pins: Iterable[Pin], pin: Pin) -> tuple[int, ...]:
    """The lowest free slots for the curves of a pin; none unless all of them find one."""
    free = sorted(set(range(LIMIT)) - {slot for other in pins for slot in other.slots})
    return tuple(free[: len(pin.lines)]) if len(free) >= len(pin.lines) else ()


# what the buttons do


def pin(live: Live) -> None:
    """Keep the race as it stands."""
    race = live.race
    if race.steps == 0:
        return say(live.stem, "untrained")
    changes = tuple(race.leader.interventions)
    for other in pins_of(live.stem):
        same = {line.run: line.config for line in other.lines} == race.configs
        if same and not other.seeds and (other.steps, other.interventions) == (race.steps, changes):
            return say(live.stem, "already", other.number)
    lines = tuple(line_of(name, [run]) for name, run in race.runs.items())
    add(live.stem, Pin(0, 0, lines, race.steps, st.session_state.get(f"{live.stem}_rate"), changes))


def repeat(live: Live) -> None:
    """Begin to train the race from SEEDS seeds, to the step where it stands; what was changed on the way is, too."""
    race = live.race
    first = next(iter(race.configs.values()))
    possible = limits_of(type(first))["seed"]
    seeds = tuple(possible[(possible.index(first.seed) + i) % len(possible)] for i in range(SEEDS))
    configs = {
        key_of(name, seed): replace(config, seed=seed) for seed in seeds for name, config in race.configs.items()
    }
    planned = (*race.leader.interventions, *race.leader.planned)
    job = Job(configs, max(LEAST, race.steps), planned=planned)
    st.session_state[f"{live.stem}_repetition"] = Repetition(job, tuple(race.configs), seeds)
    jobs.pause_panel(live.stem)


def key_of(name: str, seed: int) -> str:
    return f"{name} {seed}"


def settle(stem: str) -> None:
    """Before the chart is drawn: a repetition that has ended becomes a pin."""
    repetition: Repetition | None = st.session_state.get(f"{stem}_repetition")
    if repetition is None or repetition.job.running:
        return
    del st.session_state[f"{stem}_repetition"]
    job = repetition.job
    if job.cancelled or len(pins_of(stem)) >= LIMIT:
        return say(stem, "cancelled" if job.cancelled else "full")
    lines = tuple(
        line_of(name, [job.runs[key_of(name, seed)] for seed in repetition.seeds]) for name in repetition.names
    )
    made = tuple(next(iter(job.runs.values())).interventions)
    rate = job.done * len(repetition.seeds) / job.spent
    add(stem, Pin(0, 0, lines, job.done, rate, made, repetition.seeds, job.steps, job.spent))


def rename(pin: Pin, key: str) -> None:
    pin.name = " ".join(st.session_state[key].split())[:LONGEST]


def show_or_hide(stem: str, pin: Pin) -> None:
    pin.slots = () if pin.slots else room_for(pins_of(stem), pin)


def remove(stem: str, identity: int | None = None) -> None:
    """One pin, or all."""
    kept = [pin for pin in pins_of(stem) if identity is not None and pin.identity != identity]
    st.session_state[f"{stem}_pins"] = kept


def say(stem: str, what: str, number: int = 0) -> None:
    """From a callback: something that the next run tells."""
    st.session_state[f"{stem}_pin_said"] = what, number


def said(stem: str) -> str:
    """What there is to tell, in the viewer's language; once."""
    what, number = st.session_state.pop(f"{stem}_pin_said", ("", 0))
    if not what and len(pins_of(stem)) >= LIMIT:
        what = "full"
    return {
        "": "",
        "untrained": t("还没有训练，没有曲线可钉。", "Nothing is trained yet: there is no curve to pin."),
        "already": t(f"这条曲线已经钉住，编号 {number}。", f"This is pinned already: number {number}."),
        "hidden": t(f"图上最多叠 {LIMIT} 条曲线：{number} 号只在表里。先隐藏别的，再显示它。", f"The chart holds {LIMIT} pinned curves: number {number} is in the table only. Hide another one, then show it."),
        "cancelled": t("重复已取消，没有留下结果。", "The repetition was cancelled; nothing is kept of it."),
        "full": t(f"已有 {LIMIT} 个钉；再钉之前先移除一个。", f"There are {LIMIT} pins: remove one to pin another."),
    }[what]  # fmt: skip


# names


def settings_of(config: Config) -> dict[str, Any]:
    """Field → value, as far as this very object has them."""
    return {field.name: getattr(config, field.name) for field in fields(config) if hasattr(config, field.name)}


def is_current(config: Config) -> bool:
    """Whether its class still has the same fields: a session may outlive a version of the lesson."""
    today = getattr(sys.modules.get(type(config).__module__), type(config).__qualname__, None)
    return today is not None and {field.name for field in fields(today)} == settings_of(config).keys()


def name_of(controls: Controls, pin: Pin) -> str:
    """The name that the viewer gave, else what differs from the defaults, in the viewer's language."""
    return pin.name or automatic_name(controls, pin)


def automatic_name(controls: Controls, pin: Pin) -> str:
    defaults = settings_of(controls.default_config)
    kept = [settings_of(line.config) for line in pin.lines]
    first = max(kept, key=lambda settings: len(settings.keys() & defaults.keys()))
    parts = [
        f"{short(controls.stem, field)} {value_in_words(controls.stem, field, first[field])}"
        for field in defaults
        if field in first and first[field] != defaults[field] and not (pin.seeds and field == "seed")
        if all(settings.get(field, first[field]) == first[field] for settings in kept)
    ]
    parts = parts or [t("默认设置", "defaults")]
    for change in pin.interventions[:1]:
        parts.append(f"{short(controls.stem, change.name)} → {encode(change.value)}")
    name, several = t("，", ", ").join(parts), t(f"（{len(pin.seeds)} 个种子）", f" ({len(pin.seeds)} seeds)")
    name = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
    return name + several if pin.seeds else name


def short(stem: str, field: str) -> str:
    """A setting in a name: as the code calls it, or in Chinese as its control does."""
    code = SHORT.get(field, field).replace("_", " ")
    return t(re.sub(r"[（(].*?[）)]|\s+\S$", "", label_of(stem, field)), code)


def label_of(stem: str, field: str) -> str:
    """What the control of a field is called; the field's own name where none was drawn."""
    label = worded(stem).get(field, ("",))[0]
    return label or term(field).replace("_", " ")


def value_in_words(stem: str, field: str, value: Any) -> str:
    """A value as its control shows it."""
    words = worded(stem).get(field, ("", None))[1]
    try:
        if words is not None and (text := words(value)):
            return str(text)
    except Exception:  # a value of another version may be none that the control knows
        pass
    if isinstance(value, bool):
        return t("是", "on") if value else t("否", "off")
    if isinstance(value, float):
        return f"{value:.4g}"
    text = term(value) if isinstance(value, str) else encode(value)
    return text if len(text) <= 24 else text[:23] + "…"


def line_name(controls: Controls, pin: Pin, line: Line) -> str:
    name = name_of(controls, pin)
    return name if len(pin.lines) == 1 else f"{name} · {term(line.run)}"


# the chart


def overlay(live: Live, metric: Metric, logarithmic: bool = True) -> Overlay:
    """What the pins of this lesson add to the chart of a metric: nothing where none has it."""
    drawn: list[tuple[charts.Pinned, str, Points]] = []
    highest = charts.ceiling(live.race, metric, logarithmic)
    for each in pins_of(live.stem):
        for place, (slot, line) in enumerate(zip(each.slots, each.lines, strict=False)):
            points = line.points.get(metric.name)
            if points is not None and line.diverged:
                points = below(points, highest)
            if points is not None and points.steps:
                label = f"{each.code(place)} {line_name(live.controls, each, line)}"
                run = place_in_race(line.run, live.race)
                drawn.append((charts.Pinned(label, slot, bool(points.low), run), each.code(place), points))
    if not drawn:
        return Overlay()
    return Overlay(tuple(curve for curve, _, _ in drawn), rows(drawn))


def below(points: Points, highest: float) -> Points:
    """The points up to where a curve rises above a height."""
    count = next((i for i, value in enumerate(points.high or points.values) if value > highest), len(points.steps))
    return Points(*(part[:count] for part in points))


def place_in_race(name: str, race: Race) -> int | None:
    """Which of the runs side by side has this name; None where one runs alone, or none has it."""
    names = list(race.runs)
    return names.index(name) if len(names) > 1 and name in names else None


def together(live: pa.Table, spec: dict[str, Any], pinned: Overlay) -> dict[str, Any]:
    """Data and specification of a chart as Streamlit takes them: a single table without a name, or two with one."""
    if pinned.rows is None:
        return {"data": live, "spec": spec}
    return {"data": None, "spec": spec | {"datasets": {charts.ROWS: live, charts.PINNED: pinned.rows}}}


def rows(drawn: list[tuple[charts.Pinned, str, Points]]) -> pa.Table:
    """The rows of pinned curves: curve, step, value, the code on one row of each, and where there is a band, its ends."""
    names, codes, steps = [], [], []
    values: dict[str, list] = {"value": [], "low": [], "high": []}
    for curve, code, points in drawn:
        count = len(points.steps)
        names += [curve.label] * count
        at = code_place(points.steps, curve.slot)
        codes += [code if i == at else "" for i in range(count)]
        steps += points.steps
        values["value"] += points.values
        values["low"] += points.low or [None] * count
        values["high"] += points.high or [None] * count
    if not any(curve.band for curve, _, _ in drawn):
        values = {"value": values["value"]}
    return pa.table(
        {
            "curve": pa.array(names).dictionary_encode(),
            "code": pa.array(codes).dictionary_encode(),
            "step": pa.array(steps, pa.int32()),
        }
        | {name: pa.array(column, pa.float32()) for name, column in values.items()}
    )


def code_place(steps: array, slot: int) -> int:
    """The row where a curve carries its code: near its end, each slot a little further left."""
    wanted = steps[-1] * (0.97 - 0.1 * slot)
    return min(range(len(steps)), key=lambda i: abs(steps[i] - wanted))


def in_words(curves: tuple[charts.Pinned, ...]) -> str:
    """What the chart's description adds about them."""
    names = t("、", ", ").join(curve.label for curve in curves)
    return t(f"；钉住的曲线：{names}", f"; pinned: {names}") if curves else ""


# the table


def panel(live: Live) -> None:
    """Under the curves: Pin, Repeat, and the table of what is pinned."""
    stem, pins = live.stem, pins_of(live.stem)
    repetition: Repetition | None = st.session_state.get(f"{stem}_repetition")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        full = len(pins) >= LIMIT
        st.button(
            t("钉住", "Pin"),
            key=f"{stem}_pin",
            icon=":material/push_pin:",
            help=bound(live),
            disabled=full,
            on_click=pin,
            args=(live,),
        )
        st.button(
            t("五个种子重复", "Repeat over 5 seeds"),
            key=f"{stem}_repeat",
            icon=":material/casino:",
            help=t(
                f"用 {SEEDS} 个相继的种子从头训练到现在这一步（至少 {LEAST} 步，总共最多训练 {jobs.BUDGET:g} 秒），画出平均，和从最低到最高的带。",
                f"Trains from {SEEDS} consecutive seeds to the step reached here (at least {LEAST} steps, at most "
                f"{jobs.BUDGET:g} s of training in all) and draws the mean, and a band from lowest to highest.",
            ),
            disabled=full or repetition is not None,
            on_click=repeat,
            args=(live,),
        )
        if pins:
            manage(live.controls)
    if message := said(stem):
        st.markdown(f":material/push_pin: {message}")
    if repetition is not None:
        jobs.show(repetition.job, f"{stem}_repetition_job", stem)
    if pins:
        compare(live)


def bound(live: Live) -> str:
    """What Pin does, and how much it keeps at most."""
    points = LIMIT * len(live.race.runs) * len(live.race.groups[""]) * charts.PINNED_POINTS
    kilobytes = math.ceil(points * POINT_BYTES / 1000)
    return t(
        f"把现在的测试集曲线留在图上作比较。最多 {LIMIT} 个钉；每条曲线最多留 {charts.PINNED_POINTS} 个点，合计不超过 {kilobytes} kB，不留权重。",
        f"Keeps the held-out curve of this run on the chart, to compare. At most {LIMIT} pins, {charts.PINNED_POINTS} points "
        f"a curve, {kilobytes} kB in all; no weights.",
    )


def manage(controls: Controls) -> None:
    """Rename, hide, remove."""
    stem = controls.stem
    with st.popover(t("改名、隐藏、移除", "Rename, hide, remove"), icon=":material/edit:"):
        for each in pins_of(stem):
            name, shown = (f"{stem}_pin_{what}_{each.identity}" for what in ("name", "shown"))
            st.session_state[name], st.session_state[shown] = each.name, bool(each.slots)
            with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
                st.text_input(
                    t(f"{each.number} 号的名字", f"Name of {each.number}"),
                    key=name,
                    max_chars=LONGEST,
                    placeholder=automatic_name(controls, each),
                    on_change=rename,
                    args=(each, name),
                    width=250,
                )
                st.toggle(
                    t("画出", "Show"),
                    key=shown,
                    disabled=not each.slots and not room_for(pins_of(stem), each),
                    on_change=show_or_hide,
                    args=(stem, each),
                )
                st.button(
                    t("移除", "Remove"),
                    key=f"{stem}_pin_remove_{each.identity}",
                    icon=":material/delete:",
                    on_click=remove,
                    args=(stem, each.identity),
                )
        st.button(t("全部移除", "Remove all"), key=f"{stem}_pin_remove_all", on_click=remove, args=(stem,))


def compare(live: Live) -> None:
    """The table, and what it measures."""
    pins, metrics = pins_of(live.stem), live.race.groups[""]
    shown = differing([{line.run: line.config for line in each.lines} for each in pins] + [live.race.configs])
    settings = [label_of(live.stem, field) for field in shown]
    numbers = [
        t("参数", "Parameters"),
        t("步数", "Steps"),
        term("Steps/s"),
        *(f"{term(metric.name)} {ARROWS[metric.better]}".strip() for metric in metrics),
    ]
    table = [row for each in pins for row in pinned_table(live, each, shown)] + live_table(live, shown)
    st.markdown(t("**对比**", "**Compare**"))
    st.html(STYLE + html(settings, numbers, table))
    st.caption("  \n".join(notes(live)))


def differing(groups: list[Mapping[str, Config]]) -> list[str]:
    """The fields that differ between races: run by run where they share names, else as sets of values.

    A config of another version takes no part.
    """
    races = [{name: settings_of(config) for name, config in group.items() if is_current(config)} for group in groups]
    every = dict.fromkeys(field for race in races for settings in race.values() for field in settings)
    pairs = [(a, b) for i, a in enumerate(races) for b in races[:i]]
    return [field for field in every if any(differs(field, a, b) for a, b in pairs)]


def differs(field: str, a: Mapping[str, dict], b: Mapping[str, dict]) -> bool:
    if shared := a.keys() & b.keys():
        return any(a[name][field] != b[name][field] for name in shared if field in a[name] and field in b[name])
    values = [{settings[field] for settings in race.values() if field in settings} for race in (a, b)]
    return all(values) and values[0] != values[1]


def pinned_table(live: Live, each: Pin, shown: list[str]) -> list[Row]:
    lines = []
    for place, line in enumerate(each.lines):
        mark = swatch(each, place, live.race)
        steps = f"{each.steps:,}" + (" ✕" if line.diverged else "")
        scores = [score_in_words(line.scores.get(metric.name), metric) for metric in live.race.groups[""]]
        rate = "–" if each.rate is None else f"{each.rate:,.0f}"
        lines.append(
            Row(
                mark,
                each.code(place),
                line_name(live.controls, each, line),
                settings_in_words(live.stem, line.config, shown, each.seeds),
                [f"{line.parameters:,}", steps, rate, *scores],
                changes_in_words(live.stem, each.interventions),
            )
        )
    return lines


def live_table(live: Live, shown: list[str]) -> list[Row]:
    """The race of now. While it trains its numbers run on the panel above, and the table waits."""
    rate = st.session_state.get(f"{live.stem}_rate")
    lines = []
    for name, run in live.race.runs.items():
        line = line_of(name, [run])
        numbers = [
            f"{run.steps:,}" + (" ✕" if run.diverged else ""),
            "–" if rate is None else f"{rate:,.0f}",
            *(score_in_words(line.scores.get(metric.name), metric) for metric in live.race.groups[""]),
        ]
        lines.append(
            Row(
                "",
                "",
                t("现在", "now") + (f" · {term(name)}" if len(live.race.runs) > 1 else ""),
                settings_in_words(live.stem, run.config, shown),
                [f"{line.parameters:,}", *(["…"] * len(numbers) if live.playing else numbers)],
                changes_in_words(live.stem, run.interventions),
            )
        )
    return lines


def settings_in_words(stem: str, config: Config, shown: list[str], seeds: tuple[int, ...] = ()) -> list[str]:
    if not is_current(config):
        return [t("别的版本", "another version")] * bool(shown) + [""] * (len(shown) - 1)
    values = settings_of(config)
    words = {field: value_in_words(stem, field, values[field]) for field in shown if field in values}
    if seeds:
        words["seed"] = f"{seeds[0]}…{seeds[-1]}"
    return [words.get(field, "") for field in shown]


def changes_in_words(stem: str, interventions: Iterable[Intervention]) -> str:
    """What was first changed on the way, and how much more."""
    words = [f"{short(stem, name)} → {encode(value)[:16]} @{step:,}" for step, name, value in interventions]
    return "; ".join(words[:1]) + (t(f" 等 {len(words)} 处", f" and {len(words) - 1} more") if len(words) > 1 else "")


def score_in_words(score: Score | None, metric: Metric) -> str:
    """A score with sensible digits: those that its deviation leaves certain."""
    if score is None or score.value is None:
        return "–"
    if score.deviation is None:
        text = charts.number(score.value, metric)
        return f"{score.value:#.3g}".rstrip(".") if metric.unit != "%" and 1e-3 < abs(score.value) < 1e3 else text
    if metric.unit == "%":
        return f"{score.value:.1%} ± {score.deviation:.1%}"
    if not 1e-6 < score.deviation < 1e4:
        return f"{charts.number(score.value, metric)} ± {score.deviation:.1g}"
    digits = max(0, 1 - math.floor(math.log10(score.deviation)))
    return f"{score.value:.{digits}f} ± {score.deviation:.{digits}f}"


def swatch(each: Pin, place: int, race: Race) -> str:
    """How the chart draws a curve, as a small picture; empty where it does not."""
    if place >= len(each.slots):
        return ""
    slot = each.slots[place]
    colour = charts.pinned_colour(slot, len(race.runs), place_in_race(each.lines[place].run, race))
    dash = " ".join(map(str, charts.DASHES[slot]))
    band = f'<rect width="40" height="12" fill="{colour}" opacity=".2"/>' if each.seeds else ""
    line = f'<line y1="6" x2="40" y2="6" stroke="{colour}" stroke-width="2.5" stroke-dasharray="{dash}"/>'
    picture = f'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="12">{band}{line}</svg>'
    return f'<img src="data:image/svg+xml,{quote(picture)}" width="40" height="12" alt="">'


def html(settings: list[str], numbers: list[str], table: list[Row]) -> str:
    """The table. On a narrow screen it scrolls inside itself, also by the arrow keys."""
    changed = [t("途中改动", "Changed on the way")] if any(row.changed for row in table) else []
    head = [("words", t("名称", "Name")), *(("words", each) for each in settings), *(("", each) for each in numbers)]
    head += [("words", each) for each in changed]
    lines = ["<tr>" + "".join(f'<th class="{kind}" scope="col">{escape(text)}</th>' for kind, text in head) + "</tr>"]
    for row in table:
        cells = [("words", each) for each in row.settings] + [("", each) for each in row.numbers]
        cells += [("words", row.changed)] * len(changed)
        lines.append(
            f'<tr><th class="words" scope="row">{row.mark}<b>{row.code}</b> {escape(row.name)}</th>'
            + "".join(f'<td class="{kind}">{escape(text)}</td>' for kind, text in cells)
            + "</tr>"
        )
    label = t("对比", "Compare")
    return (
        f'<div class="pins" role="region" aria-label="{label}" tabindex="0">'
        f"<table><thead>{lines[0]}</thead><tbody>{''.join(lines[1:])}</tbody></table></div>"
    )


def notes(live: Live) -> list[str]:
    """What the numbers are, what was done for a repetition, and what is not as it should be."""
    pins = pins_of(live.stem)
    held_out = any("test" in run.history[0].scores for run in live.race.runs.values())
    lines = [t("分数：测试集上的最好值。", "Scores: the best on held-out data.") if held_out else t("分数：训练中的最好值。", "Scores: the best while it trained.")]  # fmt: skip
    if len(live.race.runs) > 1:
        lines[0] += t("步/秒是整场比赛的。", " Steps/s: of the whole race.")
    if any(line.diverged for each in pins for line in each.lines) or live.race.diverged:
        lines[0] += t("✕：发散了。", " ✕: diverged.")
    if any(each.seeds for each in pins):
        lines.append(t("±：各种子最后分数的平均与标准差（除以 n − 1）。线：平均；带：从最低到最高。步/秒只算训练时间。", "±: mean and standard deviation (n − 1) of the seeds' last scores. Line: their mean; band: from lowest to highest. Their steps/s count training time only."))  # fmt: skip
    lines += [repetition_in_words(each) for each in pins if each.seeds]
    for each in pins:
        if not all(is_current(line.config) for line in each.lines):
            lines.append(t(f"**{each.number}** 号的设置来自这一课的另一个版本，不能逐项比较；曲线和分数保留。", f"The settings of **{each.number}** are from another version of this lesson and cannot be compared; its curve and scores stay."))  # fmt: skip
    if hidden := [str(each.number) for each in pins if not each.slots]:
        numbers = ", ".join(hidden)
        lines.append(t(f"没有画出：{numbers}（图上最多 {LIMIT} 条）。", f"Not drawn: {numbers} (the chart holds {LIMIT} curves)."))  # fmt: skip
    return lines


def repetition_in_words(each: Pin) -> str:
    first, last, count = each.seeds[0], each.seeds[-1], len(each.seeds)
    done = t(f"**{each.number}** 号：种子 {first}…{last}，各 {each.steps:,} 步，共训练 {each.seconds:.1f} 秒", f"**{each.number}**: seeds {first}…{last}, {each.steps:,} steps each, {each.seconds:.1f} s of training")  # fmt: skip
    if each.steps < each.asked and not any(line.diverged == count for line in each.lines):
        done += t(f"；时间用完，本来要 {each.asked:,} 步", f"; the time was up, {each.asked:,} steps were asked for")
    for line in each.lines:
        if line.diverged:
            of = f" {term(line.run)}" if len(each.lines) > 1 else ""
            done += t(f"；{of}{count} 个里发散了 {line.diverged} 个，不计入平均分", f";{of} {line.diverged} of {count} diverged and are not in the mean score")  # fmt: skip
    return done + t("。", ".")
