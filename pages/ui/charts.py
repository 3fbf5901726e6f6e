"""Training curves: rows → a chart whose specification never changes while its rows stream in."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import altair as alt
import pandas as pd

from core.training import Metric, Race
from pages.ui.palette import MUTED, SERIES, TEST, TRAIN
from pages.ui.text import term

POINTS = 240  # per line: enough for the eye, little for the wire
HEIGHT = 260
SMALLEST = 1e-12  # a logarithmic axis has no zero


@lru_cache(maxsize=256)
def curve_spec(
    title: str, unit: str, logarithmic: bool, runs: tuple[str, ...], words: tuple[str, str, str], marked: bool = True
) -> dict[str, Any]:
    """The specification of one metric's curves, without its rows.

    Args:
        title: the metric's name, for the axis.
        runs: names of the runs as shown; one run is coloured by its data (train, test), several by run.
        words: "step", "training data", "held-out data" in the viewer's language.
    """
    step, train, test = words
    empty = pd.DataFrame({"step": [0], "value": [0.0], "data": [train], "run": [runs[0]], "mark": [""]})
    base = alt.Chart(empty)
    scale = alt.Scale(type="log") if logarithmic else alt.Scale(zero=False)
    axis = alt.Axis(format="%" if unit == "%" else "~g", title=title, titleAngle=0, titleAlign="left", titleAnchor="end", titleY=-10, titleX=-36, tickCount=5)
    dash = alt.StrokeDash("data:N", scale=alt.Scale(domain=[train, test], range=[[1, 0], [7, 4]]), legend=alt.Legend(title=None, orient="top", symbolStrokeColor=MUTED) if len(runs) > 1 else alt.Legend(title=None, orient="top"))
    if len(runs) > 1:
        color = alt.Color("run:N", scale=alt.Scale(domain=list(runs), range=list(SERIES[: len(runs)])), legend=alt.Legend(title=None, orient="top", symbolType="stroke"))
    else:
        color = alt.Color("data:N", scale=alt.Scale(domain=[train, test], range=[TRAIN, TEST]), legend=alt.Legend(title=None, orient="top"))
    x = alt.X("step:Q", title=step, axis=alt.Axis(format="~s", tickCount=6, grid=False), scale=alt.Scale(nice=False))
    number = ".1%" if unit == "%" else ".4~g"
    tooltip = [alt.Tooltip("step:Q", title=step, format="d"), alt.Tooltip("value:Q", title=title, format=number), alt.Tooltip("data:N", title=" ")]
    if len(runs) > 1:
        tooltip.append(alt.Tooltip("run:N", title=" "))
    lines = (
        base.transform_filter("datum.mark == ''")
        .mark_line(interpolate="linear", clip=True, strokeWidth=2.2)
        .encode(x=x, y=alt.Y("value:Q", scale=scale, axis=axis), color=color, strokeDash=dash)
    )
    touch = lines.mark_circle(size=90, opacity=0).encode(tooltip=tooltip, strokeDash=alt.Undefined)
    rules = (
        base.transform_filter("datum.mark != ''")
        .mark_rule(color=MUTED, strokeDash=[2, 3], strokeWidth=1.5)
        .encode(x="step:Q", tooltip=[alt.Tooltip("step:Q", title=step, format="d"), alt.Tooltip("mark:N", title=" ")])
    )
    chart = alt.layer(lines, touch, rules).properties(height=HEIGHT, usermeta={})
    spec = chart.to_dict()
    spec.pop("datasets", None)
    for layer in spec["layer"]:
        layer.pop("data", None)
    spec.pop("data", None)
    return spec


def curve_rows(race: Race, metric: Metric, names: dict[str, str], words: tuple[str, str, str]) -> pd.DataFrame:
    """The rows of one metric's curves, thinned to POINTS per line: step, value, data, run, mark."""
    _, train, test = words
    columns: dict[str, list] = {"step": [], "value": [], "data": [], "run": [], "mark": []}
    for name, run in race.runs.items():
        history = run.history
        stride = max(1, -(-len(history) // POINTS))
        kept = [*history[::stride]] + ([history[-1]] if (len(history) - 1) % stride else [])
        for part, word in (("train", train), ("test", test)):
            for record in kept:
                value = record.scores.get(part, {}).get(metric.name)
                if value is not None and abs(value) < float("inf"):
                    columns["step"].append(record.step)
                    columns["value"].append(max(value, SMALLEST) if value >= 0 else value)
                    columns["data"].append(word)
                    columns["run"].append(names[name])
                    columns["mark"].append("")
    first = next(iter(race.runs.values()))
    for step, name, value in first.interventions:
        columns["step"].append(step)
        columns["value"].append(None)
        columns["data"].append(train)
        columns["run"].append(names[next(iter(race.runs))])
        columns["mark"].append(f"{term(name)} → {value:g}" if isinstance(value, (int, float)) else term(name))
    return pd.DataFrame(columns)
