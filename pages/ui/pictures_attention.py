"""Pictures of the attention lesson: pure functions of settings, weights and what is looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from core.attention import (
    BANDWIDTHS,
    RANDOM_KEYS,
    AttentionConfig,
    Steps,
    dot_product_spread,
    expected_entropy,
    forecast,
    leave_one_out,
    look_up,
    memory_of,
    parameters_of,
    smooth,
    step_by_step,
    table_memory,
    values_of,
)
from core.data.sequences import raw_series, standard_of
from core.data.sunspots import FIRST_YEAR
from core.training import Snapshot
from pages.ui.palette import NEGATIVE, POSITIVE
from pages.ui.scene import Figure, Scene
from pages.ui.text import t

QUERY = "#c4347f"
GREEN = "#0a9371"
LOW, HIGH = -2.2, 3.2  # of the plane, in standard deviations
SIDE, ROW = 290.0, 38.0
DIMENSIONS = (2, 4, 8, 16, 32, 64, 128, 256, 512)


def name_of(task: str, place: int) -> str:
    """A year of the sunspots, or the number of a value of another series."""
    return str(FIRST_YEAR + place) if task == "sunspots" else f"#{place + 1}"


class Times(NamedTuple):
    """What the steps of a series are called."""

    before: str
    now: str
    after: str
    several: str


def times_of(task: str) -> Times:
    """Years of the sunspots, values of another series."""
    if task == "sunspots":
        return Times(
            t("去年", "the year before"), t("今年", "this year"), t("明年", "the next year"), t("年份", "years")
        )
    return Times(t("前一个", "the value before"), t("这一个", "this value"), t("下一个", "the next value"), t("位置", "places"))  # fmt: skip


def measured(config: AttentionConfig, value: float) -> str:
    """A value of the series, to a tenth of its deviation or finer, and at least to a whole number."""
    deviation = standard_of(config.task, config.series).deviation
    text = f"{value:.{max(0, 1 - math.floor(math.log10(deviation)))}f}"
    return text.replace("-", "−") if float(text) else "0"


def short(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def steps_of(
    config: AttentionConfig, snapshot: Snapshot, query: tuple[float, float], seed: int, learned: bool = True
) -> Steps:
    """The way of a query through the table, with what is learned so far, or as it was before training."""
    memory, _ = table_memory(config.task, config.series)
    state = snapshot.state if learned else untrained(config).state
    return step_by_step(config, state, torch.tensor(query), memory, seed)


def untrained(config: AttentionConfig) -> Snapshot:
    """The parameters that a run of this config begins with."""
    return Snapshot(0, parameters_of(config, torch.Generator().manual_seed(config.seed)))


# ---- the table -------------------------------------------------------------------------------------------------------


def lookup(
    config: AttentionConfig, snapshot: Snapshot, query: tuple[float, float], seed: int = 0, learned: bool = True
) -> Scene:
    """The query among the keys of the plane, and column by column what becomes of it."""
    steps = steps_of(config, snapshot, query, seed, learned)
    best = int(steps.weights.argmax())
    _, places = table_memory(config.task, config.series)
    names = [name_of(config.task, place + 1) for place in places]
    words = t(
        f"查询 ({short(query[0])}, {short(query[1])}) 与六个键。权重最大的是 {names[best]}：{steps.weights[best]:.2f}。输出 {', '.join(map(short, steps.output.tolist()))}。",
        f"The query ({short(query[0])}, {short(query[1])}) and six keys. The largest weight has {names[best]}: {steps.weights[best]:.2f}. Output {', '.join(map(short, steps.output.tolist()))}.",
    )
    return Scene((plane(config, steps, query, names), table(config, steps, names)), words)


def plane(config: AttentionConfig, steps: Steps, query: tuple[float, float], names: Sequence[str]) -> Figure:
    """The keys where they lie, as large as their weights; behind them the way that the series takes."""
    left, top = 34.0, 30.0
    drawn = Figure(left + SIDE + 8, top + SIDE + 44)

    def place(point: Sequence[float]) -> tuple[float, float]:
        x, y = (min(HIGH, max(LOW, float(value))) for value in point)
        return left + (x - LOW) / (HIGH - LOW) * SIDE, top + (HIGH - y) / (HIGH - LOW) * SIDE

    drawn.rect(left, top, SIDE, SIDE, ink="line", fill="none")
    way = memory_of(config)[0].keys[-400:].tolist()
    drawn.path(
        "M" + "L".join("{:.0f} {:.0f}".format(*place(point)) for point in way), ink="muted", width=1, opacity=0.28
    )
    x0, y0 = place((0, 0))
    drawn.line(left, y0, left + SIDE, y0, ink="line")
    drawn.line(x0, top, x0, top + SIDE, ink="line")
    memory, _ = table_memory(config.task, config.series)
    qx, qy = place(query)
    for key, weight in zip(memory.keys.tolist(), steps.weights.tolist(), strict=True):
        x, y = place(key)
        if weight > 0.005:
            drawn.path(f"M{qx:.1f} {qy:.1f}L{x:.1f} {y:.1f}", ink=POSITIVE, width=1 + 7 * weight, opacity=0.35)
    for key, weight, name in zip(memory.keys.tolist(), steps.weights.tolist(), names, strict=True):
        x, y = place(key)
        drawn.circle(x, y, 5 + 17 * math.sqrt(weight), ink="background", fill=POSITIVE if weight > 0.005 else "muted")
        drawn.text(
            name, x, y - 9 - 17 * math.sqrt(weight), anchor="middle", size=14, bold=weight == float(steps.weights.max())
        )
    drawn.circle(qx, qy, 9, ink="background", stroke=5)
    drawn.circle(qx, qy, 9, ink=QUERY, stroke=3)
    drawn.text("q", qx, qy + 26, anchor="middle", size=17, ink=QUERY, bold=True)
    times = times_of(config.task)
    drawn.text(t(f"横：{times.before}", f"across: {times.before}"), left, top + SIDE + 20, size=14, ink="muted")
    drawn.text(t(f"竖：{times.now}（标准差）", f"up: {times.now} (deviations)"), left, top + SIDE + 38, size=14, ink="muted")  # fmt: skip
    drawn.text(t("键，大小是权重", "Keys, as large as their weights"), left, 20, size=16, bold=True)
    return drawn


def table(config: AttentionConfig, steps: Steps, names: Sequence[str]) -> Figure:
    """Key, score, scaled score, weight, value, product and their sum."""
    count, wide = steps.values.shape
    top, left, cell = 66.0, 54.0, 50.0
    memory, _ = table_memory(config.task, config.series)
    divisor = "÷ √2" if config.scoring == "scaled_dot" else ""
    divisor += f" ÷ {config.temperature:g}" if config.temperature != 1 or not divisor else ""
    last = {"soft": "softmax", "hard": "argmax", "sampled": t("抽一个", "draw one")}[config.choice]
    columns = (
        (t("键", "key"), "k", memory.keys, "diverging"),
        (t("打分", "score"), "s", steps.scores[:, None], "diverging"),
        (divisor, "s/T", steps.scaled[:, None], "diverging"),
        (last, "α", steps.weights[:, None], "sequential"),
        (t("值", "value"), "v", steps.values, "diverging"),
        ("α · v", "α·v", steps.products, "diverging"),
    )
    gap = 22.0
    width = left + sum(values.shape[1] for _, _, values, _ in columns) * cell + gap * (len(columns) - 1) + 8
    drawn = Figure(width, top + count * ROW + 76)
    for row, name in enumerate(names):
        drawn.text(name, left - 8, top + (row + 0.5) * ROW + 5, anchor="end", size=15, bold=True)
    x = left
    for number, (title, sign, values, scale) in enumerate(columns):
        across = values.shape[1] * cell
        drawn.text(title, x + across / 2, 24, anchor="middle", size=15, bold=True)
        drawn.text(sign, x + across / 2, 50, anchor="middle", size=15, ink="muted")
        high = 1.0 if scale == "sequential" else 3.0
        drawn.map(
            f"column{number}", values, x, top, across, count * ROW, scale=scale, high=high, numbers=True, hover=False
        )
        if number < len(columns) - 1:
            drawn.text("→" if number not in (3,) else "×", x + across + gap / 2, top + count * ROW / 2, anchor="middle", size=15, ink="muted")  # fmt: skip
        x += across + gap
    x -= wide * cell + gap
    y = top + count * ROW + 18
    drawn.text(t("和", "sum"), x - 12, y + 25, anchor="end", size=15, bold=True)
    drawn.map(
        "output", steps.output[None], x, y, wide * cell, ROW, scale="diverging", high=3.0, numbers=True, hover=False
    )
    mean, deviation = standard_of(config.task, config.series)
    value = forecast(steps.output[None]).item() * deviation + mean
    after, told = times_of(config.task).after, measured(config, value)
    drawn.text(
        t(f"{after}的预报：{told}", f"forecast of {after}: {told}"),
        x - 62,
        y + 25,
        anchor="end",
        size=15,
        ink="muted",
    )
    return drawn


# ---- why dot products are scaled -------------------------------------------------------------------------------------


def spreads(dimension: int) -> Scene:
    """The weights at one dimension, and how largest weight and entropy go with it."""
    raw, scaled = dot_product_spread(dimension), dot_product_spread(dimension, "scaled_dot")
    words = t(
        f"d = {dimension}：点积的标准差 {raw.deviation:.1f}，最大权重 {raw.largest:.2f}；除以 √d 后 {scaled.deviation:.2f} 和 {scaled.largest:.2f}。",
        f"d = {dimension}: dot products deviate by {raw.deviation:.1f}, largest weight {raw.largest:.2f}; over √d {scaled.deviation:.2f} and {scaled.largest:.2f}.",
    )
    curves = [(name, [dot_product_spread(d, kind) for d in DIMENSIONS]) for name, kind in (("raw", "dot"), ("scaled", "scaled_dot"))]  # fmt: skip
    found = dict(curves)
    largest = against_dimension(
        t("最大权重（平均）", "Largest weight (mean)"), 1.0,
        [(NEGATIVE, None, [s.largest for s in found["raw"]]), (POSITIVE, "7 4", [s.largest for s in found["scaled"]])],
        dimension, (raw.largest, scaled.largest),
    )  # fmt: skip
    theory = [expected_entropy(d) for d in DIMENSIONS]
    spread = against_dimension(
        t("熵（ln 32 = 3.47 是均匀）", "Entropy (uniform: ln 32 = 3.47)"), math.log(RANDOM_KEYS),
        [(NEGATIVE, None, [s.entropy for s in found["raw"]]), (POSITIVE, "7 4", [s.entropy for s in found["scaled"]]),
         ("muted", "2 4", theory), ("muted", "2 4", [expected_entropy(1.0)] * len(DIMENSIONS))],
        dimension, (raw.entropy, scaled.entropy),
    )  # fmt: skip
    return Scene((bars(raw.weights, scaled.weights), largest, spread), words)


def bars(raw: Tensor, scaled: Tensor) -> Figure:
    """The 32 weights of one query in falling order, without and with scaling."""
    drawn = Figure(300, 290)
    drawn.text(t("一个查询的 32 个权重", "32 weights of one query"), 8, 18, size=15, bold=True)
    for number, (values, ink, words) in enumerate(((raw, NEGATIVE, t("点积", "dot product")), (scaled, POSITIVE, t("点积 ÷ √d", "dot product ÷ √d")))):  # fmt: skip
        base = 142 + 128 * number
        drawn.text(f"{words}{t('：', ': ')}{values[0]:.2f} …", 290, base - 78, anchor="end", size=14, ink="muted")
        drawn.line(8, base, 292, base, ink="line")
        for place, value in enumerate(values.tolist()):
            drawn.rect(9 + 8.85 * place, base - 92 * value, 7.2, max(92 * value, 0.6), ink="none", fill=ink)
    return drawn


def against_dimension(title: str, top_value: float, lines: list, dimension: int, marks: tuple[float, float]) -> Figure:
    """Curves over the dimension, on a logarithmic axis, with the chosen one marked."""
    drawn, left, top, width, height = Figure(300, 290), 34.0, 40.0, 252.0, 200.0
    drawn.text(title, 8, 18, size=15, bold=True)

    def x(d: float) -> float:
        return left + (math.log2(d) - 1) / 8 * width

    def y(value: float) -> float:
        return top + (1 - value / top_value) * height

    drawn.line(left, top + height, left + width, top + height, ink="muted", width=1)
    for value in (0, 0.5, 1) if top_value == 1 else (0, 1, 2, 3):
        drawn.line(left, y(value), left + width, y(value), ink="line", width=1)
        drawn.text(f"{value:g}", left - 6, y(value) + 5, anchor="end", size=14, ink="muted")
    for d in (2, 8, 32, 128, 512):
        drawn.text(str(d), x(d), top + height + 20, anchor="middle", size=14, ink="muted")
    drawn.text("d", left + width, top + height + 40, anchor="end", size=15, ink="muted")
    drawn.line(x(dimension), top, x(dimension), top + height, ink="muted", dash="3 4")
    for ink, dash, values in lines:
        d = "M" + "L".join(f"{x(size):.1f} {y(value):.1f}" for size, value in zip(DIMENSIONS, values, strict=True))
        drawn.path(d, ink=ink, width=2.6 if ink != "muted" else 1.8, dash=dash)
    for ink, value in zip((NEGATIVE, POSITIVE), marks, strict=True):
        drawn.circle(x(dimension), y(value), 6, ink="background", fill=ink)
    return drawn


# ---- Nadaraya–Watson regression --------------------------------------------------------------------------------------


def smoothing(config: AttentionConfig, bandwidth: float, noise: float) -> Scene:
    """The series with its smooth curve, and the error of each bandwidth."""
    found = smooth(config.task, config.series, bandwidth, noise)
    errors = leave_one_out(config.task, config.series, noise)
    best = BANDWIDTHS[int(errors.argmin())]
    left, top, width, height = 46.0, 42.0, 560.0, 210.0
    drawn = Figure(left + width + 10, top + height + 36)
    low, high = float(found.values.min()), float(found.values.max())
    count = len(found.values)

    def x(place: float) -> float:
        return left + place / (count - 1) * width

    def y(value: float) -> float:
        return (
            top + (high - value) / ((high - low) or 1.0) * height
        )  # a long series may end with one value again and again

    title = t("值（点）和加权平均（线）", "Values (dots) and their weighted mean (line)")
    drawn.text(title, left, 20, size=16, bold=True)
    dots = "".join(f"M{x(i) - 1.6:.1f} {y(v):.1f}a1.6 1.6 0 1 0 3.2 0a1.6 1.6 0 1 0 -3.2 0" for i, v in enumerate(found.values.tolist()))  # fmt: skip
    drawn.path(dots, ink="none", fill=NEGATIVE)
    middle = count // 2
    kernel = found.weights[middle]
    shape = "M" + "L".join(f"{x(i):.1f} {top + height - 70 * v:.1f}" for i, v in enumerate((kernel / kernel.max()).tolist()))  # fmt: skip
    drawn.path(shape, ink=GREEN, width=1.8)
    line = "M" + "L".join(f"{x(i):.1f} {y(v):.1f}" for i, v in enumerate(found.curve.tolist()))
    drawn.path(line, ink=POSITIVE, width=2.6)
    for place in (0, middle, count - 1):
        anchor = "start" if place == 0 else "end" if place == count - 1 else "middle"
        drawn.text(name_of(config.task, found.first + place), x(place), top + height + 22, anchor=anchor, size=14, ink="muted")  # fmt: skip
    for value in (low, high):
        drawn.text(measured(config, value), left - 6, y(value) + 5, anchor="end", size=14, ink="muted")
    curve = error_curve(config, errors, bandwidth)
    words = t(f"带宽 {bandwidth:g} 的平滑曲线；留一误差最小的带宽是 {best:g}。", f"The curve of bandwidth {bandwidth:g}; leaving one out, bandwidth {best:g} errs least.")  # fmt: skip
    return Scene((drawn, curve), words)


def error_curve(config: AttentionConfig, errors: Tensor, bandwidth: float) -> Figure:
    """The leave-one-out error over the bandwidth, the chosen one and the best one marked."""
    left, top, width, height = 40.0, 42.0, 230.0, 210.0
    drawn = Figure(left + width + 14, top + height + 36)
    high = float(errors.max()) * 1.05 or 1.0
    span = math.log(BANDWIDTHS[-1] / BANDWIDTHS[0])

    def x(h: float) -> float:
        return left + min(1.0, max(0.0, math.log(h / BANDWIDTHS[0]) / span)) * width

    def y(value: float) -> float:
        return top + (1 - value / high) * height

    drawn.text(t("留一误差", "Error, leaving one out"), left, 20, size=16, bold=True)
    drawn.line(left, top + height, left + width, top + height, ink="muted", width=1)
    d = "M" + "L".join(f"{x(h):.1f} {y(e):.1f}" for h, e in zip(BANDWIDTHS, errors.tolist(), strict=True))
    drawn.path(d, ink=NEGATIVE, width=2.6)
    place = int(errors.argmin())
    drawn.circle(x(BANDWIDTHS[place]), y(errors[place].item()), 6, ink="background", fill=GREEN)
    drawn.line(x(bandwidth), top, x(bandwidth), top + height, ink=POSITIVE, width=2, dash="3 4")
    for h in (0.25, 1, 5, 40):
        drawn.text(f"{h:g}", x(h), top + height + 20, anchor="middle", size=14, ink="muted")
    drawn.text("0", left - 6, y(0) + 5, anchor="end", size=14, ink="muted")
    drawn.text(measured(config, high), left - 6, top + 5, anchor="end", size=14, ink="muted")
    return drawn


# ---- the forecast ----------------------------------------------------------------------------------------------------


def looking_back(config: AttentionConfig, snapshot: Snapshot, at: int = 1) -> Scene:
    """The whole series with the forecasts of its held-out end, and below which of its places the forecast `at` looked up."""
    train, test = memory_of(config)
    values = values_of(config, train)
    generator = torch.Generator().manual_seed(0) if config.choice == "sampled" else None
    output, weights = look_up(config, snapshot.state, test.keys, train.keys, values, generator=generator)
    mean, deviation = standard_of(config.task, config.series)
    guesses = (forecast(output) * deviation + mean).tolist()
    series = raw_series(config.task, config.series)
    at = min(max(at, 1), len(guesses)) - 1
    where = test.first + 1 + at  # the place that is forecast
    left, top, width, height, below = 46.0, 56.0, 880.0, 190.0, 92.0
    drawn = Figure(left + width + 12, top + height + below + 48)
    low, high = min(series), max(max(series), *guesses)

    def x(place: float) -> float:
        return left + place / (len(series) - 1) * width

    def y(value: float) -> float:
        return top + (high - min(high, max(low, value))) / (high - low) * height

    border = x(test.first + 0.5)
    drawn.rect(border, top - 6, left + width - border, height + 12, ink="none", fill="panel")
    drawn.text(t("没见过的部分", "held out"), left + width, top - 12, anchor="end", size=14, ink="muted")
    shown, told = series[where], guesses[at]
    name, guessed, came = name_of(config.task, where), measured(config, told), measured(config, shown)
    title = t(f"{name}：预报 {guessed}，实际 {came}", f"{name}: forecast {guessed}, measured {came}")
    drawn.text(title, left, 22, size=17, bold=True)
    drawn.path("M" + "L".join(f"{x(i):.1f} {y(v):.1f}" for i, v in enumerate(series)), ink=NEGATIVE, width=1.8)
    drawn.path("M" + "L".join(f"{x(test.first + 1 + i):.1f} {y(v):.1f}" for i, v in enumerate(guesses)), ink=POSITIVE, width=2.2, dash="6 4")  # fmt: skip
    base = top + height + below
    drawn.line(left, base, left + width, base, ink="line")
    row = weights[at]
    tall = float(row.max()) or 1.0
    for place, weight in enumerate(row.tolist()):
        if weight > 0.004 * tall:
            here = x(train.first + 1 + place)
            drawn.line(here, base, here, base - (below - 24) * weight / tall, ink=GREEN, width=2)
            if weight > 0.25 * tall:
                drawn.circle(here, y(series[train.first + 1 + place]), 4, ink="background", fill=GREEN, stroke=1)
    drawn.line(x(where), top, x(where), base, ink=QUERY, width=1.5, dash="3 4")
    drawn.circle(x(where), y(shown), 5, ink="background", fill=NEGATIVE)
    drawn.circle(x(where), y(told), 6, ink="background", fill=POSITIVE)
    several = times_of(config.task).several
    sign = t(f"绿：查到的{several}，最大权重 {tall:.2f}", f"green: the {several} it looked up, largest weight {tall:.2f}")  # fmt: skip
    drawn.text(sign, left, base + 40, size=14, ink="muted")
    for place in range(0, len(series), 50 if len(series) < 500 else 200):
        drawn.text(name_of(config.task, place), x(place), base + 20, anchor="middle" if place else "start", size=14, ink="muted")  # fmt: skip
    for value in (low, high):
        drawn.text(measured(config, value), left - 6, y(value) + 5, anchor="end", size=14, ink="muted")
    return Scene((drawn,), t(f"序列、没见过的部分的预报，和查到的{several}。{title}。", f"The series, the forecasts of its held-out end, and the {several} looked up. {title}."))  # fmt: skip


# ---- formulas --------------------------------------------------------------------------------------------------------

SCORES_TEX = {
    "additive": r"\mathbf v^\top\tanh(W\mathbf k_i+U\mathbf q)",
    "dot": r"\mathbf k_i^\top\mathbf q",
    "scaled_dot": r"\frac{\mathbf k_i^\top\mathbf q}{\sqrt{2}}",
    "bilinear": r"\mathbf k_i^\top W\mathbf q",
    "distance": r"-\tfrac12\|\mathbf k_i-\mathbf q\|^2",
}


def formula(config: AttentionConfig, steps: Steps) -> str:
    """KaTeX: score, softmax, weighted sum, the last with its numbers."""
    heaviest = steps.weights.argsort(descending=True)[:2].tolist()
    products = "+".join(rf"{{{steps.weights[key]:.2f}\cdot({steps.values[key, -1]:.2f})}}" for key in heaviest)
    value = r"\mathbf v_i" if config.memory == "key_value" else r"\mathbf k_i"
    divisor = rf"\,/\,{config.temperature:g}" if config.temperature != 1 else ""
    chosen = rf"\sum_i\alpha_i\,{value}" if config.choice == "soft" else value.replace("_i", r"_\tau")
    return (
        rf"\alpha_i={{\underset{{i}}{{\operatorname{{softmax}}}}\Bigl({SCORES_TEX[config.scoring]}{divisor}\Bigr)}}\qquad\allowbreak "  # in braces: no line ends within
        rf"{{y={chosen}}}={products}+\cdots=\mathbf{{{steps.output[-1]:.2f}}}"
    )
