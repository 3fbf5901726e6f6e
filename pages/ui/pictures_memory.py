"""Pictures of the memory race: score against delay, what each cell still knows, and what each cell is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import altair as alt
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from core.data.sequences import memoryless_loss, task_of
from core.memory import CellConfig, MemoryConfig, Outcome, Place, Trial, knowledge, metric_of, places
from core.training import Snapshot
from pages.ui.charts import PRESENTED_WORDS, SIGNS, WORDS, number, sized
from pages.ui.palette import MUTED, SERIES
from pages.ui.scene import Figure, Scene
from pages.ui.text import t, term

HEIGHT, PRESENTED_HEIGHT = 460, 540
LEFT, WIDTH, ROW, GAP = 128, 800, 34, 12  # of the strips
RULES = {  # KaTeX
    "simple_rnn": r"h = \tanh(W x + U h_- + b)",
    "lstm": r"\begin{aligned}c &= f\odot c_- + i\odot\tilde c\\ h &= o\odot\tanh c\end{aligned}",
    "gru": r"h = z\odot h_- + (1-z)\odot\tilde h",
}
CELL_WIDTH, CELL_HEIGHT = 330, 190  # of a diagram


# ---- score against delay ---------------------------------------------------------------------------------------------


def guessing(config: CellConfig) -> float | None:
    """The score of an answer that remembers nothing, where there is a formula for it."""
    if config.task == "recall" or config.task == "digits":
        return 1 / task_of(config.task).output_size
    if config.task == "copying":
        return 1 / (task_of(config.task).output_size - 1)
    return memoryless_loss(config.task, config.length) if config.task == "adding" else None


def race_spec(config: MemoryConfig, height: int = HEIGHT) -> dict[str, Any]:
    """The specification of the chart without its rows; constant while they stream in."""
    return _race_spec(
        tuple(term(kind) for kind in config.kinds),
        config.delays,
        metric_of(config.task).name,
        (t("序列长度 T（步）", "sequence length T (steps)"), t("结果", "score"), t("种子", "seeds"), t("学会的", "learned")),
        height,
    )  # fmt: skip


@lru_cache(maxsize=64)
def _race_spec(names: tuple[str, ...], delays: tuple[int, ...], metric: str, words: tuple[str, ...], height: int) -> dict[str, Any]:  # fmt: skip
    shares = metric == "Accuracy"
    empty = pd.DataFrame({"cell": [""], "what": [""]} | {name: [0.0] for name in ("length", "mean", "low", "high", "runs", "solved")})  # fmt: skip
    axis = alt.Axis(values=list(delays), format="d", grid=False, labelOverlap=True)
    ends = [delays[0] * 0.94, delays[-1] * 1.06]
    x = alt.X("length:Q", title=words[0], scale=alt.Scale(type="log", domain=ends, nice=False), axis=axis)
    scale = alt.Scale(domain=[0, 1]) if shares else alt.Scale(type="log", nice=False)
    title = term(metric)
    y = alt.Y("mean:Q", title=None, scale=scale, axis=alt.Axis(format="%" if shares else ".3~g", tickCount=5))
    colours = alt.Scale(domain=list(names), range=list(SERIES[: len(names)]))
    signs = alt.Scale(domain=list(names), range=list(SIGNS[: len(names)]))
    legend = alt.Legend(title=None, orient="top", symbolSize=150, symbolOpacity=1)
    color = alt.Color("cell:N", scale=colours, legend=legend)
    shape = alt.Shape("cell:N", scale=signs, legend=legend)
    # Cells that score alike lie on one another: the first ones are drawn larger, and all can be seen.
    nested = alt.Scale(domain=list(names), range=[5.5, 3.5, 1.8][: len(names)])
    sizes = alt.Scale(domain=list(names), range=[330, 170, 60][: len(names)])
    form = ".1%" if shares else ".3~g"
    tooltip = [
        alt.Tooltip("cell:N", title=" "),
        alt.Tooltip("length:Q", title=words[0], format="d"),
        alt.Tooltip("mean:Q", title=title, format=form),
        alt.Tooltip("low:Q", title="min", format=form),
        alt.Tooltip("high:Q", title="max", format=form),
        alt.Tooltip("runs:Q", title=words[2], format="d"),
        alt.Tooltip("solved:Q", title=words[3], format="d"),
    ]
    base = alt.Chart(empty)
    found = base.transform_filter("datum.what === 'place'")
    chart = alt.layer(
        found.mark_area(opacity=0.18, line=False).encode(x=x, y=alt.Y("low:Q", scale=scale).title(None), y2="high:Q", color=color),
        base.transform_filter("datum.what === 'guess'").mark_line(color=MUTED, strokeDash=[6, 4], strokeWidth=1.5).encode(x=x, y=y),
        base.transform_filter("datum.what === 'watched'").mark_rule(color=MUTED, strokeDash=[2, 3], strokeWidth=1.5).encode(x=x),
        found.mark_line().encode(x=x, y=y, color=color, strokeWidth=alt.StrokeWidth("cell:N", scale=nested, legend=None)),
        found.mark_point(filled=True, opacity=1).encode(x=x, y=y, color=color, shape=shape, size=alt.Size("cell:N", scale=sizes, legend=None)),
        found.mark_circle(size=400, opacity=0).encode(x=x, y=y, tooltip=tooltip),
    )  # fmt: skip
    presented = height > HEIGHT
    heading = alt.TitleParams(
        title, anchor="start", fontSize=(PRESENTED_WORDS if presented else WORDS)[2], fontWeight=600, offset=4
    )
    spec = chart.properties(height=height, title=heading).to_dict()
    spec["config"] = spec.get("config", {}) | sized(presented)
    spec.pop("datasets", None)
    for part in (spec, *spec["layer"]):
        part.pop("data", None)
    for layer in spec["layer"]:
        layer["mark"]["aria"] = False
    return spec


def race_rows(config: MemoryConfig, results: Mapping[Trial, Outcome]) -> pa.Table:
    """The rows of the chart: a place for each cell and delay, the ends of the line of guessing, and what is watched."""
    found = places(results)
    rows: list[tuple] = [("place", term(p.kind), p.length, p.mean, p.low, p.high, p.runs, p.solved) for p in found]
    guess, delays = guessing(config), config.delays
    if guess is not None:
        ends = (delays[0] * 0.94, delays[-1] * 1.06)
        rows += [("guess", "", end, guess, None, None, None, None) for end in ends]
    if delays[0] <= config.length <= delays[-1]:
        rows.append(("watched", "", config.length, None, None, None, None, None))
    columns = list(zip(*rows, strict=True)) or [[]] * 8
    names = ("what", "cell", "length", "mean", "low", "high", "runs", "solved")
    kinds = [pa.string()] * 2 + [pa.float32()] * 6
    return pa.table({name: pa.array(list(column), kind) for name, column, kind in zip(names, columns, kinds, strict=True)})  # fmt: skip


def race_in_words(config: MemoryConfig, results: Mapping[Trial, Outcome]) -> str:
    """For `alt`: the scores that have been found."""
    metric = metric_of(config.task)
    lines = [
        f"{term(kind)} " + t("、", ", ").join(f"T={p.length}: {number(p.mean, metric)}" for p in places(results) if p.kind == kind)
        for kind in config.kinds
    ]  # fmt: skip
    return t("；", "; ") + t("；", "; ").join(lines) if results else ""


def table(config: MemoryConfig, results: Mapping[Trial, Outcome]) -> str:
    """Markdown: a line for each cell, a column for each delay: the mean, how many runs learned it and after how many updates."""
    found = {(place.kind, place.length): place for place in places(results)}
    head = "| " + t("单元", "Cell") + " | " + " | ".join(f"T = {length}" for length in config.delays) + " |"
    lines = [head, "|:--" * (len(config.delays) + 1) + "|"]
    for kind in config.kinds:
        cells = [in_a_cell(config, found.get((kind, length))) for length in config.delays]
        lines.append(f"| **{term(kind)}** | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def in_a_cell(config: MemoryConfig, place: Place | None) -> str:
    if place is None:
        return "–"
    text = f"**{number(place.mean, metric_of(config.task))}** · {place.solved}/{place.runs}"
    return text if place.updates is None else f"{text} · {place.updates:.0f}"


def power(base: str, kept: float, length: int, value: float) -> str:
    """KaTeX: base^T, with the numbers of now."""
    return rf"{base}^T = {kept:.3f}^{{{length}}} = {small(value)}"


def small(value: float) -> str:
    """KaTeX: a number with two digits that matter."""
    if value >= 0.01:
        return f"{value:.2g}"
    digits, exponent = f"{value:.1e}".split("e")
    return rf"{digits}\cdot 10^{{{int(exponent)}}}"


# ---- what each cell still knows --------------------------------------------------------------------------------------


def strips(configs: Mapping[str, CellConfig], snapshots: Mapping[str, Snapshot]) -> Scene:
    """A strip for each cell: how well it would answer after each step, if it were asked."""
    first = next(iter(configs.values()))
    known = {kind: knowledge(config, snapshots[kind].state) for kind, config in configs.items()}
    classes, steps = task_of(first.task).classes, len(next(iter(known.values())))
    top = 40
    figure = Figure(LEFT + WIDTH + 12, top + len(known) * (ROW + GAP) + 34)
    figure.text(strips_title(first), 0, 20, size=15, bold=True)
    for place, (kind, values) in enumerate(known.items()):
        y = top + place * (ROW + GAP)
        figure.text(term(kind), 0, y + ROW / 2 + 5, bold=True)
        figure.text(at_the_end(values, classes), LEFT - 12, y + ROW / 2 + 5, anchor="end")
        figure.map(
            kind, shown(values, classes), LEFT, y, WIDTH, ROW, scale="sequential", high=1.0, hover=classes,
            label=t(f"{term(kind)}：每一步之后的把握", f"{term(kind)}: how sure after each step"),
        )  # fmt: skip
    base = top + len(known) * (ROW + GAP) + 10
    for step in ticks(steps):
        x = LEFT + WIDTH * (step - 0.5) / steps
        figure.line(x, base - GAP, x, base - GAP + 5)
        figure.text(str(step), x, base + 10, anchor="middle", size=14, ink="muted")
    figure.text(t("第几步", "step"), LEFT - 12, base + 10, anchor="end", size=14, ink="muted")
    ends = t("、", ", ").join(f"{term(kind)} {at_the_end(values, classes)}" for kind, values in known.items())
    return Scene((figure,), strips_title(first) + t(f"。最后一步：{ends}", f". After the last step: {ends}"))


def strips_title(config: CellConfig) -> str:
    """What the strips show, for the task at hand."""
    if task_of(config.task).classes:
        return t("每一步之后问它，给正确答案的概率（64 条测试序列的平均）", "If asked after each step: probability of the right answer (mean over 64 held-out sequences)")  # fmt: skip
    return t("每一步之后问它，答案差多少（64 条测试序列的均方根误差，越亮越准）", "If asked after each step: how far off the answer is (root mean squared error on 64 held-out sequences; brighter is closer)")  # fmt: skip


def at_the_end(values: Tensor, classes: bool) -> str:
    """What a strip comes to after the last step."""
    last = values[-1].item()
    return "–" if not math.isfinite(last) else f"{last:.0%}" if classes else f"{last:.3g}"


def shown(values: Tensor, classes: bool) -> Tensor:
    """A strip (1, T) in 0…1: large is well known, whatever is measured."""
    values = values.nan_to_num(0.0 if classes else torch.inf)
    return (values if classes else torch.exp(-4 * values))[None]


def ticks(steps: int) -> list[int]:
    """Up to six round steps, the first and the last included."""
    gap = next(gap for gap in (1, 2, 5, 10, 20, 25, 40, 50) if steps / gap <= 6 or gap == 50)
    inner = [step for step in range(gap, steps, gap) if step > 1 and steps - step > gap / 2]
    return [1, *[step for step in inner if step - 1 > gap / 2], steps]


# ---- what each cell is -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def diagram(kind: str, names: tuple[str, ...]) -> Scene:
    """A cell as boxes and arrows: what a step does to the state that it is handed.

    Args:
        names: the name of the cell in the viewer's language, and what the picture shows, for a screen reader.
    """
    figure = Figure(CELL_WIDTH, CELL_HEIGHT)
    figure.text(names[0], 0, 18, size=17, bold=True)
    {"simple_rnn": draw_rnn, "lstm": draw_lstm, "gru": draw_gru}[kind](figure)
    return Scene((figure,), f"{names[0]}: {names[1]}")


def words_of(kind: str) -> tuple[str, str]:
    """The two names that `diagram` asks for."""
    shown = {
        "simple_rnn": t("旧状态和输入一起经过 tanh，成为新状态", "the old state and the input go through tanh and become the new state"),
        "lstm": t("遗忘门乘旧的单元状态，输入门放进候选，输出门决定露出多少", "the forget gate scales the old cell state, the input gate lets a candidate in, the output gate decides how much is shown"),
        "gru": t("更新门在旧状态和候选之间分配，重置门决定候选听多少过去", "the update gate shares between the old state and a candidate, the reset gate decides how much of the past the candidate hears"),
    }  # fmt: skip
    return term(kind), shown[kind]


def draw_rnn(figure: Figure) -> None:
    wire(figure, 34, 70, 138, 70, state=True)
    wire(figure, 192, 70, 292, 70, state=True)
    wire(figure, 165, 150, 165, 86)
    box(figure, 165, 70, "tanh", wide=54)
    label(figure, 20, 70, "h₋")
    label(figure, 306, 70, "h")
    label(figure, 165, 166, "x")


def draw_lstm(figure: Figure) -> None:
    wire(figure, 34, 52, 84, 52, state=True)
    wire(figure, 106, 52, 164, 52, state=True)
    wire(figure, 186, 52, 292, 52, state=True)
    label(figure, 20, 52, "c₋")
    label(figure, 306, 52, "c")
    gate(figure, 95, 112, "f", up_to=63)
    dot(figure, 95, 52, "×")
    dot(figure, 175, 52, "+")
    wire(figure, 175, 84, 175, 63)
    gate(figure, 137, 152, "i", up_to=0)
    wire(figure, 137, 139, 166, 101)
    wire(figure, 190, 139, 179, 105)
    dot(figure, 175, 95, "×")
    box(figure, 192, 152, "c̃", wide=34)
    wire(figure, 250, 52, 250, 84)
    dot(figure, 250, 95, "×")
    figure.text("tanh", 257, 76, ink="muted")
    gate(figure, 250, 152, "o", up_to=106)
    wire(figure, 261, 95, 292, 95)
    label(figure, 306, 95, "h")
    figure.text("f, i, o, c̃ ← h₋, x", 0, 184, ink="muted")


def draw_gru(figure: Figure) -> None:
    wire(figure, 34, 52, 104, 52, state=True)
    wire(figure, 126, 52, 204, 52, state=True)
    wire(figure, 226, 52, 292, 52, state=True)
    label(figure, 20, 52, "h₋")
    label(figure, 306, 52, "h")
    dot(figure, 115, 52, "×")
    dot(figure, 215, 52, "+")
    gate(figure, 115, 100, "z", up_to=63)
    wire(figure, 132, 100, 204, 100)
    figure.text("1 − z", 168, 93, size=15, anchor="middle", ink="muted")
    wire(figure, 215, 89, 215, 63)
    dot(figure, 215, 100, "×")
    wire(figure, 215, 139, 215, 111)
    box(figure, 215, 152, "h̃", wide=34)
    figure.line(56, 52, 56, 152, ink="primary", width=2.4)
    wire(figure, 56, 152, 104, 152, state=True)
    dot(figure, 115, 152, "×")
    wire(figure, 126, 152, 197, 152)
    figure.text("r", 115, 184, size=15, anchor="middle", ink="orange", bold=True)
    wire(figure, 115, 172, 115, 164)
    wire(figure, 270, 152, 233, 152)
    label(figure, 282, 152, "x")
    figure.text("z, r ← h₋, x", 150, 184, ink="muted")


def wire(figure: Figure, x1: float, y1: float, x2: float, y2: float, state: bool = False) -> None:
    """An arrow; the way of the state is thicker."""
    figure.line(x1, y1, x2, y2, ink="primary" if state else "muted", width=2.4 if state else 1.6, arrow=True)


def box(figure: Figure, x: float, y: float, text: str, wide: float) -> None:
    figure.rect(x - wide / 2, y - 13, wide, 26, round=6, ink="text")
    figure.text(text, x, y + 5, anchor="middle")


def gate(figure: Figure, x: float, y: float, text: str, up_to: float) -> None:
    """A gate, a sigmoid between 0 and 1; its arrow goes up to a height, unless that is 0."""
    figure.rect(x - 17, y - 13, 34, 26, round=13, ink="orange", stroke=2)
    figure.text(text, x, y + 5, anchor="middle", ink="orange", bold=True)
    if up_to:
        wire(figure, x, y - 13, x, up_to)


def dot(figure: Figure, x: float, y: float, sign: str) -> None:
    figure.circle(x, y, 11, ink="text")
    figure.text(sign, x, y + 5, anchor="middle", size=16)


def label(figure: Figure, x: float, y: float, text: str) -> None:
    figure.text(text, x, y + 5, anchor="middle", size=16, bold=True)
