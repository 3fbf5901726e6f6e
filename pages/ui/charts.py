"""Training curves: rows → a chart whose specification never changes while its rows stream in."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import altair as alt
import pandas as pd
import pyarrow as pa

from core.training import Metric, Race, Record, Run
from pages.ui import share
from pages.ui.address import encode
from pages.ui.controls import letters
from pages.ui.palette import MUTED, SERIES, TEST, TRAIN
from pages.ui.text import t, term

POINTS = 160  # per line: enough for the eye, little for the wire
HEIGHT = 290
PRESENTED_HEIGHT = 360  # beside larger type
WORDS, PRESENTED_WORDS = (15, 16, 16), (19, 20, 21)  # CSS pixels: of numbers along an axis, of its name, of the title
SECOND_KEY = 90  # the height of a second key: of the runs, and of their data
STACKED = {"top": {"direction": "vertical", "anchor": "start"}}  # two keys side by side would be cut off
SIGNS = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-left")  # a run each
SIGN_EVERY = 24  # points of a curve from one sign to the next
NUMBERS = ".4~g"  # of an axis; without its own precision d3 takes that of a step, and 20 becomes 2e+1
DECADES = (
    "datum.label && (abs(datum.value) >= 1e-3 ? datum.label : format(datum.value, '.0e'))"  # not 0.000001 beside 1e-8
)
LEFT_BEHIND = 3.0  # times the largest first loss
SMALLEST = 1e-12  # where a logarithmic axis, which has no zero, draws one


PARTS = ("train", "test")
PINNED_POINTS = 64  # per pinned curve
ROWS, PINNED = "rows", "pinned"  # names of data: where there are two, both need one
WIDEST_KEY = 4  # runs side by side in their key
KEY_GAP = 26  # pixels: from a symbol to its word and to the next symbol
AXIS = 50  # pixels that the numbers along the upward axis take, at most
KEY_ROW, KEY_ROOM = 26, 50  # heights: of one row of their key, and around it
DASHES = ((2, 2), (12, 3), (9, 3, 2, 3), (4, 3), (12, 3, 2, 3, 2, 3), (18, 6))  # by slot


class Words(NamedTuple):
    """The words of a chart in the viewer's language."""

    step: str
    train: str
    test: str
    waiting: str = ""  # what stands in it while there is nothing to measure before the first step


class Pinned(NamedTuple):
    """A pinned curve of held-out data, as the chart shows it."""

    label: str  # in the key and beside the curve's code: "1a kernel 5"
    slot: int  # which colour and dash
    band: bool = False  # from the lowest to the highest of several seeds
    run: int | None = None  # the place in the race of the run of the same name, which has the same colour


def pinned_colour(slot: int, runs: int, run: int | None = None) -> str:
    """The colour of a pinned curve: that of the run in the race that has its name, else one that no run has."""
    if run is not None:
        return SERIES[run]
    others = SERIES[max(2, runs) :]
    return others[slot % len(others)]


@lru_cache(maxsize=256)
def curve_spec(
    title: str,
    unit: str,
    logarithmic: bool,
    runs: tuple[str, ...],
    words: Words,
    height: int = HEIGHT,
    pinned: tuple[Pinned, ...] = (),
    tested: bool = True,
    goal: float | None = None,
) -> dict[str, Any]:
    """The specification of one chart of curves, without its rows; built once, constant while rows stream in.

    Args:
        title: the metric's name, for the axis; `unit` "%" shows shares as percentages.
        runs: the names of the runs as shown. One run is coloured by its data (train solid blue, test dashed orange),
            several by run, with signs of the run on its curves, their test curves dashed.
        pinned: curves of earlier runs to lay over them; their rows come as the dataset PINNED, the others as ROWS.
        tested: whether the metric is measured on held-out data too.
        goal: where a dotted line runs across.
    """
    parts = words[1 : 2 + tested]
    of = {f"{part}{i}": (part, run) for i, run in enumerate(runs) for part in PARTS}
    columns = list(of)
    empty = pd.DataFrame({"step": [0], "mark": [""]} | {name: [0.0] for name in columns})
    data_of = {name: getattr(words, part) for name, (part, _) in of.items()}
    run_of = {name: run for name, (_, run) in of.items()}
    several = len(runs) > 1
    presented = height > HEIGHT
    size = 250 if several else 500  # three charts may share a row
    legend = alt.Legend(title=None, orient="top", symbolType="stroke", symbolStrokeWidth=2.5, symbolSize=size, columns=fitting(parts, size, presented))  # fmt: skip
    if not tested and not pinned:  # one kind of data: nothing to tell apart
        legend = None
    dash = alt.StrokeDash(
        "data:N",
        scale=alt.Scale(domain=list(parts), range=[[1, 0], [6, 4]][: len(parts)]),
        legend=legend,
    )
    field, domain, colours = (
        ("run", list(runs), SERIES[: len(runs)]) if several else ("data", parts, (TRAIN, TEST)[: len(parts)])
    )
    scale = alt.Scale(domain=list(domain), range=list(colours))
    rows_of_key = -(-len(runs) // WIDEST_KEY)
    in_rows = fitting(runs, 100, presented, most=-(-len(runs) // rows_of_key))
    key = alt.Legend(title=None, orient="top", symbolSize=100, columns=in_rows) if several else legend
    color = alt.Color(f"{field}:N", scale=scale, legend=None if several and pinned else key)  # then the signs have it
    x = alt.X(
        "step:Q", title=words.step, axis=alt.Axis(format="d", tickCount=6, grid=False), scale=alt.Scale(nice=False)
    )
    y = alt.Y(
        f"{drawn_at('value', logarithmic)}:Q",
        title=None,
        scale=alt.Scale(type="log") if logarithmic else alt.Scale(zero=False),
        axis=alt.Axis(format=".0%", tickCount=5, tickMinStep=0.01)
        if unit == "%"
        else alt.Axis(format=NUMBERS, tickCount=5, **({"labelExpr": DECADES} if logarithmic else {})),
    )
    tooltip = [
        alt.Tooltip("step:Q", title=words.step, format="d"),
        alt.Tooltip("value:Q", title=title, format=".1%" if unit == "%" else ".4~g"),
        *([alt.Tooltip("run:N", title=" ")] if several else []),
        alt.Tooltip("data:N", title=" "),
    ]
    points = (
        alt.Chart(empty)
        .transform_fold(columns, as_=["key", "value"])
        .transform_filter("isValid(datum.value)")
        .transform_calculate(data=f"({json.dumps(data_of)})[datum.key]", run=f"({json.dumps(run_of)})[datum.key]")
    )
    points = placed(points, ("value",), logarithmic)
    lines = points.mark_line(clip=True, strokeWidth=2.4).encode(x=x, y=y, color=color, strokeDash=dash)
    newest = (  # where a curve has come to; before the first step it is all there is
        points.transform_joinaggregate(last="max(step)", groupby=["key"])
        .transform_filter("datum.step === datum.last")
        .mark_circle(size=50, opacity=1)
        .encode(
            x=x, y=y, color=alt.Color(f"{field}:N", scale=scale, legend=None) if pinned else color
        )  # one key is enough
    )
    touch = points.mark_circle(size=110, opacity=0).encode(x=x, y=y, tooltip=tooltip)
    rules = (
        alt.Chart(empty)
        .transform_filter("datum.mark != ''")
        .mark_rule(color=MUTED, strokeDash=[2, 3], strokeWidth=1.5)
        .encode(
            x="step:Q", tooltip=[alt.Tooltip("step:Q", title=words.step, format="d"), alt.Tooltip("mark:N", title=" ")]
        )
    )
    heading = alt.TitleParams(
        title, anchor="start", fontSize=(PRESENTED_WORDS if presented else WORDS)[2], fontWeight=600, offset=4
    )
    height += (SECOND_KEY if several else 0) + KEY_ROW * (rows_of_key - 1)
    layers = [lines, newest, touch, rules]
    if words.waiting:
        layers.append(nothing_yet(empty, columns, words.waiting))
    if goal is not None:
        once = alt.Chart(empty).transform_aggregate(rows="count()").encode(y=alt.datum(goal))
        layers.append(once.mark_rule(color=MUTED, strokeDash=[3, 4], strokeWidth=1.6))
        layers.append(once.mark_text(align="right", dy=11, fontSize=13, fontWeight=600, color=MUTED, text=f"{goal:g}").encode(x=alt.value("width")))  # fmt: skip
    if several:
        layers.append(run_signs(points, list(runs), x, y, scale, key))
    chart = alt.layer(*layers)
    if pinned:
        height += KEY_ROW * len(pinned) + KEY_ROOM
        chart = alt.layer(*layers, *pinned_layers(pinned, len(runs), x, y, tooltip[:2], logarithmic))
        chart = chart.resolve_scale(color="independent", strokeDash="independent", shape="independent")
    spec = chart.properties(height=height, title=heading).to_dict()
    config = sized(presented)
    spec["config"] = spec.get("config", {}) | config | {"legend": config["legend"] | {"layout": STACKED}}
    spec.pop("datasets", None)
    for part in (spec, *spec["layer"]):
        if part.get("data") != {"name": PINNED}:
            part.pop("data", None)
    for layer in spec["layer"]:
        layer["mark"]["aria"] = False  # `alt` says it once; else each of a thousand points would be read out
    if pinned:
        spec["data"] = {"name": ROWS}
    return spec


def nothing_yet(rows: pd.DataFrame, columns: list[str], words: str) -> alt.Chart:
    """The layer that says so where nothing can be measured before the first step: an empty chart looks broken."""
    return (
        alt.Chart(rows)
        .transform_fold(columns, as_=["key", "value"])
        .transform_calculate(known="isValid(datum.value) ? 1 : 0")
        .transform_joinaggregate(total="sum(known)", last="max(step)")
        .transform_window(place="row_number()")
        .transform_filter("datum.total === 0 && datum.last === 0 && datum.place === 1")
        .mark_text(fontSize=15, color=MUTED, text=words)
        .encode(x=alt.value({"expr": "width / 2"}), y=alt.value({"expr": "height / 4"}))
    )


def fitting(words: Sequence[str], symbol: float, presented: bool, most: int = 0) -> alt.ExprRef:
    """How many entries of a key stand side by side: as many as the width of the chart, in the browser, has room for.

    Args:
        symbol: the area of its symbols.
        most: so many, however wide the chart is; 0: all.
    """
    letter = sized(presented)["legend"]["labelFontSize"] / 2  # of Chinese characters exactly, of Latin letters about
    entries = [letters(word) * letter + math.sqrt(symbol) + KEY_GAP for word in words]
    expression = "1"
    for count in range(2, (most or len(words)) + 1):
        widest = [max(entries[column::count]) for column in range(count)]
        expression = f"containerSize()[0] + 0 * width >= {sum(widest) + AXIS:.0f} ? {count} : {expression}"
    return alt.ExprRef(expression)


def sized(presented: bool) -> dict[str, dict[str, int]]:
    """Vega-Lite's configuration for words that the last row can read; their colour is the page's (see `frame`)."""
    numbers, name, _ = PRESENTED_WORDS if presented else WORDS
    near = {"labelPadding": 8, "titlePadding": 8}  # more of the height for the curves
    return {"axis": {"labelFontSize": numbers, "titleFontSize": name} | near, "legend": {"labelFontSize": name}}


def readable(chart: alt.Chart | alt.LayerChart) -> alt.Chart | alt.LayerChart:
    """A chart of Altair with such words."""
    config = sized(share.presenting())
    return chart.configure_axis(**config["axis"]).configure_legend(**config["legend"])


def run_signs(points: alt.Chart, runs: list[str], x: alt.X, y: alt.Y, colours: alt.Scale, key: alt.Legend) -> alt.Chart:
    """The layer of the signs that tell the runs apart without their colours; they stand where no other run has one."""
    apart = SIGN_EVERY // len(runs)
    signs = alt.Scale(domain=runs, range=list(SIGNS[: len(runs)]))
    return (
        points.transform_window(place="row_number()", groupby=["key"])
        .transform_filter(f"(datum.place - 1) % {SIGN_EVERY} === {apart} * indexof({json.dumps(runs)}, datum.run)")
        .mark_point(filled=True, size=110, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color("run:N", scale=colours, legend=key),
            shape=alt.Shape("run:N", scale=signs, legend=key),
        )
    )


def drawn_at(name: str, logarithmic: bool) -> str:
    """The field that says where a number is drawn: on a logarithmic axis of `placed` rows, else the number itself."""
    return f"{name}_drawn" if logarithmic else name


def placed(chart: alt.Chart, names: tuple[str, ...], logarithmic: bool) -> alt.Chart:
    """Its rows with what `drawn_at` names. The tooltips tell the number itself: a zero is no 1e-12."""
    if not logarithmic:
        return chart
    return chart.transform_calculate(**{drawn_at(name, True): f"datum.{name} || {SMALLEST}" for name in names})


def pinned_layers(
    pinned: tuple[Pinned, ...], runs: int, x: alt.X, y: alt.Y, tooltip: list[alt.Tooltip], logarithmic: bool
) -> list:
    """The layers of the pinned curves: thin lines, their codes on them, bands, and what a finger meets."""
    domain, colours = (
        [curve.label for curve in pinned],
        [pinned_colour(curve.slot, runs, curve.run) for curve in pinned],
    )
    legend = alt.Legend(
        title=None, orient="bottom", direction="vertical", symbolType="stroke", symbolSize=500, symbolStrokeWidth=2,
        labelLimit=250,
        offset=4,
    )  # fmt: skip
    color = alt.Color("curve:N", scale=alt.Scale(domain=domain, range=colours), legend=legend)
    quiet = alt.Color("curve:N", scale=alt.Scale(domain=domain, range=colours), legend=None)
    dashes = alt.Scale(domain=domain, range=[DASHES[curve.slot] for curve in pinned])
    plain = alt.Chart(alt.NamedData(PINNED))
    rows = placed(plain, ("value",), logarithmic)
    tooltip = [*tooltip, alt.Tooltip("curve:N", title=" ")]
    layers = [
        rows.mark_line(clip=True, strokeWidth=1.5).encode(
            x=x, y=y, color=color, strokeDash=alt.StrokeDash("curve:N", scale=dashes, legend=legend)
        ),
        rows.transform_filter("datum.code != ''")
        .mark_text(dy=-8, fontSize=13, fontWeight=700)
        .encode(x=x, y=y, text="code:N", color=quiet),
        rows.mark_circle(size=90, opacity=0).encode(x=x, y=y, tooltip=tooltip),
    ]
    if any(curve.band for curve in pinned):
        bands = placed(plain.transform_filter("isValid(datum.low)"), ("low", "high"), logarithmic)
        low, high = drawn_at("low", logarithmic), drawn_at("high", logarithmic)
        area = bands.mark_area(clip=True, opacity=0.2, line=False)
        layers.insert(0, area.encode(x=x, y=alt.Y(f"{low}:Q").title(None), y2=high, color=quiet))
    return layers


def curve_rows(race: Race, metric: Metric, replayed: int | None = None, logarithmic: bool = True) -> pa.Table:
    """The rows of one metric's curves: those of each run, as of `series_rows`.

    On a linear axis the curve of a run that has diverged ends where it leaves the others behind: they would all be 0.
    """
    series = [(run, metric.name) for run in race.runs.values()]
    return series_rows(series, replayed, ceiling(race, metric, logarithmic))


def ceiling(race: Race, metric: Metric, logarithmic: bool) -> float:
    """How far up the curve of a run that has diverged is drawn."""
    first = [shown(run.history[0], part, metric.name) for run in race.runs.values() for part in PARTS]
    largest = max((value for value in first if value is not None), default=0.0)
    return LEFT_BEHIND * largest if largest > 0 and metric.better == "lower" and not logarithmic else math.inf


def series_rows(series: Sequence[tuple[Run, str]], replayed: int | None = None, highest: float = math.inf) -> pa.Table:
    """The rows of curves, each a run and a metric's name: step, mark, and train{i} and test{i} of curve i; thinned to POINTS.

    An intervention, and the step that is replayed, is a row with its `mark` and no values.

    Args:
        highest: above it nothing of a run that has diverged is drawn.
    """
    runs = [run for run, _ in series]
    longest = max((run.history for run in runs), key=lambda history: (history[-1].step, len(history)))
    stride = max(1, -(-len(longest) // POINTS))
    kept = longest[::stride] if (len(longest) - 1) % stride == 0 else [*longest[::stride], longest[-1]]
    steps = [record.step for record in kept]
    marks = [""] * len(steps)
    changes = [(change.step, f"{term(change.name)} → {encode(change.value)}") for change in runs[0].interventions]
    if replayed is not None:
        changes.append((replayed, t("回放", "replay")))
    none = [None] * len(changes)
    columns: dict[str, list] = {}
    for i, (run, name) in enumerate(series):
        records = kept if run.history is longest else by_step(run.history, steps)
        for part in PARTS:
            values = [shown(record, part, name) for record in records]
            if run.diverged:
                values = [value if value is not None and value <= highest else None for value in values]
            columns[f"{part}{i}"] = values + none
    steps += [step for step, _ in changes]
    marks += [mark for _, mark in changes]
    return pa.table(
        {"step": pa.array(steps, pa.int32()), "mark": pa.array(marks, pa.string())}
        | {name: pa.array(values, pa.float32()) for name, values in columns.items()}
    )


def within(name: str, group: str) -> str:
    """What tells a metric from the others of its group: "2" of "Gradient norm 2"."""
    rest = name.removeprefix(group).strip()
    return rest if rest and rest != name else term(name)


def is_logarithmic(metric: Metric, chosen: bool) -> bool:
    """Whether a metric has a logarithmic axis: shares never, some always, errors as the viewer has `chosen`."""
    return metric.unit != "%" and (metric.log or (chosen and metric.better == "lower"))


def by_step(history: list[Record], steps: list[int]) -> list[Record | None]:
    """The records of these steps; None where there is none (a run that diverged has fewer)."""
    found = {record.step: record for record in history}
    return [found.get(step) for step in steps]


def shown(record: Record | None, part: str, name: str) -> float | None:
    """A measure that can be drawn: None where there is none, or it is not finite."""
    value = None if record is None else record.scores.get(part, {}).get(name)
    return value if value is not None and math.isfinite(value) else None


def number(value: float | None, metric: Metric) -> str:
    """A measure with sensible digits."""
    if value is None:
        return "–"
    if value != value or abs(value) == float("inf"):
        return "∞" if value == value else "NaN"
    if metric.unit == "%":
        return f"{value:.1%}"
    if metric.better == "lower" and 0 < value < SMALLEST:
        return f"< {SMALLEST:.0e}"  # of an error that small no digit tells anything
    return f"{value:.3g}" if abs(value) < 1e4 else f"{value:.1e}"
