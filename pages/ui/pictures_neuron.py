"""The pictures of the neuron lesson: pure functions of settings, weights and the input that is looked at."""

from __future__ import annotations

import math

import altair as alt
import pandas as pd
import torch
from torch import Tensor

from core.data.points import GATES
from core.neuron import (
    SATURATED,
    SIGNED,
    STEEPEST,
    NeuronConfig,
    Trace,
    Twins,
    activate,
    decision_line,
    derivative,
    features,
    points_of,
    saturation,
    threshold,
    trace,
)
from core.training import Snapshot
from pages.ui.palette import NEGATIVE, POSITIVE, SERIES
from pages.ui.scene import Figure, Plane, Scene
from pages.ui.text import t

WIDTH, HEIGHT, TALL = 330, 340, 366  # of a figure; two stand side by side on a laptop
SIDE = 40  # cells of the background map along one side
DARK, LIGHT = "#17212b", "#ffffff"  # on the background map, which is light in both themes
SLOPE, FLAT = "#0a9371", "#c4608f"  # of f′, and of where it is nearly 0
REACHES = (6.0, 10.0, 15.0, 25.0, 40.0, 60.0, 100.0)  # half widths of an axis of z, the first that holds all
HUGE = 1e6  # a diverged weight is drawn as this
BOUNDED = {"step": (-0.25, 1.3), "sigmoid": (-0.25, 1.3), "tanh": (-1.3, 1.3)}  # heights shown of f; else −1.3…3
SYMBOLS = {
    "identity": "z", "step": r"\operatorname{step}(z)", "sigmoid": r"\sigma(z)", "tanh": r"\tanh(z)",
    "relu": r"\operatorname{ReLU}(z)", "leaky_relu": r"\operatorname{LeakyReLU}(z)", "gelu": r"\operatorname{GELU}(z)",
    "swish": r"\operatorname{swish}(z)",
}  # fmt: skip


def activations() -> dict[str, str]:
    return {
        "identity": t("恒等", "Identity"), "step": t("阶跃", "Step"), "sigmoid": "Sigmoid", "tanh": "tanh", "relu": "ReLU",
        "leaky_relu": "Leaky ReLU", "gelu": "GELU", "swish": "Swish",
    }  # fmt: skip


# ---- one input, forward ----------------------------------------------------------------------------------------------


def seen(config: NeuronConfig, state: dict[str, Tensor], x: tuple[float, float]) -> Trace:
    """The forward pass of the one input x that is looked at."""
    return trace(config, state, features(torch.tensor([x]), config.inputs))


def formula(config: NeuronConfig, state: dict[str, Tensor], x: tuple[float, float]) -> str:
    """KaTeX: the sum and the activation, with their numbers."""
    shown = seen(config, state, x)
    pairs = zip(state["weight"].tolist(), shown.inputs[0].tolist(), strict=True)
    products = [rf"{bracketed(weight)}\cdot {bracketed(value)}" for weight, value in pairs]
    numbers = " + ".join(products[:2])
    numbers += "".join(rf" \\ &\;{{}}+ {product}" for product in products[2:])  # a phone has room for two
    z, a = shown.net_input.item(), shown.activation.item()
    name = SYMBOLS[config.activation].replace("(z)", f"({plain(z)})") if config.activation != "identity" else plain(z)
    return (
        rf"\begin{{aligned}} z &= {total(config)} \\ &= {numbers} + {bracketed(state['bias'].item())} = \mathbf{{{plain(z)}}} \\"
        rf" a &= {SYMBOLS[config.activation]} = {name} = \mathbf{{{plain(a)}}} \end{{aligned}}"
    )


def general(config: NeuronConfig) -> str:
    """KaTeX: the same without numbers, for while they change."""
    rest = r"\\ &\;{}+ \cdots" if config.inputs == 3 else ""
    return rf"\begin{{aligned}} z &= {total(config)} \\ &= \cdots {rest} \\ a &= {SYMBOLS[config.activation]} \end{{aligned}}"


def total(config: NeuronConfig) -> str:
    letters = ("x_1", "x_2", "x_1x_2")[: config.inputs]
    return " + ".join(f"w_{i}{letter}" for i, letter in enumerate(letters, 1)) + " + b"


def plain(value: float) -> str:
    """A number with at most three decimals; a tiny or huge one by its power of ten."""
    if not math.isfinite(value):
        return r"\infty" if value == value else r"\text{NaN}"
    if value and (abs(value) < 5e-3 or abs(value) >= 1e5):
        digits, power = f"{value:.1e}".split("e")
        return rf"{digits}\cdot 10^{{{int(power)}}}"
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def bracketed(value: float) -> str:
    return f"({plain(value)})" if value < 0 else plain(value)


def short(value: float) -> str:
    """A number in a picture."""
    if not math.isfinite(value):
        return "∞" if value == value else "NaN"
    if value and (abs(value) < 5e-3 or abs(value) >= 1000):
        digits, power = f"{value:.1e}".split("e")
        return f"{digits}e{int(power)}".replace("-", "−")
    return f"{value:.2f}".replace("-", "−")


def forward(config: NeuronConfig, snapshot: Snapshot, x: tuple[float, float]) -> Scene:
    """The neuron with the input x, and its activation function with the net input marked."""
    shown = seen(config, snapshot.state, x)
    z, a = shown.net_input.item(), shown.activation.item()
    words = t(
        f"一个神经元：输入的加权和加偏置是 {short(z)}，活性值 {short(a)}；旁边是激活函数和它的导数。",
        f"One neuron: weighted sum and bias give {short(z)}, the activation is {short(a)}; beside it the activation function and its derivative.",
    )
    return Scene((diagram(snapshot.state, shown), curves(config, shown)), words)


def diagram(state: dict[str, Tensor], shown: Trace) -> Figure:
    """Inputs, edges as thick as their weights, the sum, and the activation."""
    drawn = Figure(WIDTH, HEIGHT)
    inputs = shown.inputs[0].tolist()
    weights = [*state["weight"].tolist(), state["bias"].item()]
    products = [*shown.products[0].tolist(), state["bias"].item()]
    names = [*("x₁", "x₂", "x₁x₂")[: len(inputs)], t("偏置", "bias")]
    gap = (HEIGHT - 90) / max(1, len(inputs))
    places = [44 + i * gap for i in range(len(inputs) + 1)]
    centre, into = (places[0] + places[-1]) / 2, 206
    for y, weight in zip(places, weights, strict=True):
        drawn.line(60, y, into - 30, centre, ink=sign_ink(weight), width=edge(weight), dash=None if weight else "3 6")
    for y, weight, product in zip(places, weights, products, strict=True):
        x, height = 60 + 0.43 * (into - 90), y + 0.43 * (centre - y)
        if abs(centre - y) < 30:  # its words are as long as a level edge, and would hide it
            height -= 22
        last = y == places[-1]
        text = f"b = {short(weight)}" if last else f"×{short(weight)} = {short(product)}"
        wide = 7.4 * len(text) + 6
        drawn.rect(x - wide / 2, height - 12, wide, 24, ink="none", fill="background", round=6, opacity=0.88)
        drawn.text(text, x, height + 5, anchor="middle", size=15, ink={NEGATIVE: "blue", POSITIVE: "orange"}.get(sign_ink(weight), "muted"), bold=True)  # fmt: skip
    for y, name, value in zip(places, names, [*inputs, 1.0], strict=True):
        drawn.circle(34, y, 26, ink="muted", fill="panel", stroke=1.5)
        drawn.text("1" if y == places[-1] else short(value), 34, y + 5, anchor="middle", size=15)
        drawn.text(name, 34, y + 43, anchor="middle", ink="muted", size=14)
    drawn.line(into + 31, centre, 263, centre, ink="muted", width=2.5, arrow=True)
    z, a = shown.net_input.item(), shown.activation.item()
    for x, sign, value in ((into, "z", z), (296, "a", a)):
        drawn.circle(x, centre, 31, ink=sign_ink(value), fill="panel", stroke=3)
        drawn.text(short(value), x, centre + 5, anchor="middle", bold=True, size=15)
        drawn.text(sign, x, centre - 40, anchor="middle", ink="muted", size=17)
    drawn.text("Σ", into, centre + 54, anchor="middle", ink="muted", size=19)
    drawn.text("f", 248, centre - 12, anchor="middle", ink="muted", size=17)
    return drawn


def sign_ink(value: float) -> str:
    return NEGATIVE if value < 0 else POSITIVE if value > 0 else "muted"


def edge(weight: float) -> float:
    """The thickness of an edge."""
    return 1.5 + 1.7 * min(abs(weight), 8.0) if math.isfinite(weight) else 15.0


class Axes:
    """Where a value of z and a height stand on a figure."""

    def __init__(self, reach: float, low: float, high: float, bottom: float = HEIGHT):
        self.reach, self.low, self.high = reach, low, high
        self.left, self.top, self.width, self.height = 30, 34, WIDTH - 40, bottom - 110

    def x(self, z: float) -> float:
        z = finite(z)
        return self.left + (min(self.reach, max(-self.reach, z)) + self.reach) / (2 * self.reach) * self.width

    def y(self, value: float) -> float:
        value = min(self.high, max(self.low, finite(value)))
        return self.top + (self.high - value) / (self.high - self.low) * self.height

    def ground(self, drawn: Figure) -> None:
        """The axes and their numbers."""
        drawn.line(self.left, self.y(0), self.left + self.width, self.y(0), ink="line", width=1.5)
        drawn.line(self.x(0), self.top, self.x(0), self.top + self.height, ink="line", width=1.5)
        for z in (-self.reach, 0, self.reach):
            anchor = "middle" if z == 0 else "end" if z > 0 else "start"
            drawn.text(f"{z:g}".replace("-", "−"), self.x(z), self.top + self.height + 19, anchor=anchor, size=14, ink="muted")  # fmt: skip
        drawn.text("z", self.x(self.reach / 2), self.top + self.height + 19, anchor="middle", size=15, ink="muted")
        for value in range(math.ceil(self.low), math.floor(self.high) + 1):
            drawn.text(
                f"{value}".replace("-", "−"), self.left - 6, self.y(value) + 5, anchor="end", size=14, ink="muted"
            )

    def curve(self, drawn: Figure, name: str, of: str, ink: str, width: float, dash: str | None = None) -> None:
        """f or f′ of an activation, left out where it leaves the figure; a jump is not joined."""
        z = torch.linspace(-self.reach, self.reach, 241, dtype=torch.float64)
        values = activate(z, name) if of == "f" else derivative(z, name)
        jumps = (name == "step" and of == "f") or (name in ("relu", "leaky_relu") and of != "f")
        parts, pen, before = [], False, 0.0
        for at, value in zip(z.tolist(), values.tolist(), strict=True):
            inside = self.low <= value <= self.high
            joined = pen and not (jumps and abs(value - before) > 0.5)
            if inside:
                parts.append(f"{'L' if joined else 'M'}{self.x(at):.1f} {self.y(value):.1f}")
            pen, before = inside, value
        drawn.path("".join(parts), ink=ink, width=width, dash=dash)


def finite(value: float) -> float:
    return min(HUGE, max(-HUGE, value)) if value == value else 0.0


def reach_of(z: Tensor) -> float:
    """Half the width of an axis that holds these net inputs, or the widest."""
    largest = float(z.abs().nan_to_num(HUGE, HUGE).max())
    return next((reach for reach in REACHES if largest <= reach), REACHES[-1])


def curves(config: NeuronConfig, shown: Trace) -> Figure:
    """The activation function and its derivative, with the current z marked on both."""
    drawn, name = Figure(WIDTH, HEIGHT), config.activation
    axes = Axes(reach_of(shown.net_input), *BOUNDED.get(name, (-1.3, 3.0)))
    axes.ground(drawn)
    z, a, slope = shown.net_input.item(), shown.activation.item(), shown.slope.item()
    drawn.text(activations()[name], axes.left, 20, bold=True, size=16)
    drawn.line(axes.x(z), axes.top, axes.x(z), axes.top + axes.height, ink="muted", width=1.5, dash="2 5")
    axes.curve(drawn, name, "slope", SLOPE, 2.5, "7 5")
    axes.curve(drawn, name, "f", "text", 3)
    drawn.circle(axes.x(z), axes.y(slope), 7, ink="background", fill=SLOPE, stroke=2)
    drawn.circle(axes.x(z), axes.y(a), 8, ink="background", fill="text", stroke=2)
    y = HEIGHT - 28
    for x, colour, dash, text in (
        (axes.left, "text", None, f"f(z) = {short(a)}"), (axes.left + 152, SLOPE, "7 5", f"f′(z) = {short(slope)}")
    ):  # fmt: skip
        drawn.line(x, y, x + 26, y, ink=colour, width=3, dash=dash)
        drawn.text(text, x + 34, y + 5, size=15)
    return drawn


# ---- all points ------------------------------------------------------------------------------------------------------


def learning(config: NeuronConfig, snapshot: Snapshot, x: tuple[float, float], held_out: bool) -> Scene:
    """The plane with the points, and the slope that each training point meets."""
    measured = saturation(config, snapshot.state)
    words = t(
        f"平面上的点和决策线；{measured.saturated:.0%} 的训练点饱和，{measured.dead:.0%} 的导数恰为 0。",
        f"The points in the plane and the decision line; {measured.saturated:.0%} of the training points are saturated, {measured.dead:.0%} have slope 0.",
    )
    return Scene(
        (plane(config, snapshot.state, x, held_out), slopes(config, snapshot.state)), words, cell_of(config, x)
    )


def bounds(config: NeuronConfig) -> tuple[float, float]:
    return (-0.6, 1.6) if config.data in GATES else (-6.0, 6.0)


def cell_of(config: NeuronConfig, x: tuple[float, float]) -> tuple[str, int, int]:
    """The cell of the map in which x lies, or the one that is nearest."""
    low, high = bounds(config)
    right, up = (min(SIDE - 1, max(0, math.floor((value - low) / (high - low) * SIDE))) for value in x)
    return "output", SIDE - 1 - up, right


def place_of(config: NeuronConfig, row: int, column: int) -> tuple[float, float]:
    """The x in the middle of a cell of the map, in tenths."""
    low, high = bounds(config)
    cell = (high - low) / SIDE
    return round(low + (column + 0.5) * cell, 1), round(high - (row + 0.5) * cell, 1)


def plane(config: NeuronConfig, state: dict[str, Tensor], x: tuple[float, float], held_out: bool) -> Figure:
    """The neuron's output over the plane, its decision line, and the points; those on the wrong side have a dark rim."""
    left, top, side = 30, 30, WIDTH - 62
    drawn, (low, high) = Figure(WIDTH, TALL), bounds(config)
    cell = (high - low) / SIDE
    centres = low + cell * (torch.arange(SIDE) + 0.5)
    grid = torch.stack(torch.meshgrid(centres.flip(0), centres, indexing="ij")[::-1], -1).reshape(-1, 2)
    output = trace(config, state, features(grid, config.inputs)).activation.nan_to_num(0.0, HUGE, -HUGE)
    signed = config.activation in SIGNED
    half = 1.0 if signed else 0.5
    middle = 0.0 if signed else 0.5
    values = ((output - middle) / half).clamp(-1, 1).reshape(SIDE, SIDE)
    drawn.map(
        "output", values, left, top, side, scale="diverging", high=1.9, pick=True, smooth=config.activation != "step",
        hover=config.activation in BOUNDED,  # of the others the clamped values are none
        plane=Plane((low, high), (low, high), half, middle), label=t("选要看的 x：方向键移动", "Choose the x to look at: arrow keys move it"),
    )  # fmt: skip

    def place(point: list[float]) -> tuple[float, float]:
        return left + (point[0] - low) / (high - low) * side, top + (high - point[1]) / (high - low) * side

    lines = decision_line(config, state, low, high)
    if not lines:
        drawn.text(
            t("决策线在图外", "the line lies outside"), left + side, top - 10, anchor="end", size=14, ink="muted"
        )
    for branch in lines:
        d = "M" + "L".join("{:.1f} {:.1f}".format(*place(point)) for point in branch.tolist())
        drawn.path(d, ink=LIGHT, width=7, opacity=0.75)
        drawn.path(d, ink=DARK, width=3)
    points = points_of(config)
    if held_out:
        scatter(drawn, config, state, points.test_inputs, points.test_targets, place, bounds(config), hollow=True)
    scatter(drawn, config, state, points.train_inputs, points.train_targets, place, bounds(config))
    if all(low <= value <= high for value in x):
        px, py = place(list(x))
        drawn.circle(px, py, 11, ink=LIGHT, stroke=6)
        drawn.circle(px, py, 11, ink="#c4347f", stroke=3)
    for value in (0, 1) if config.data in GATES else (-5, 0, 5):
        px, py = place([value, value])
        drawn.text(f"{value}".replace("-", "−"), px, top + side + 18, anchor="middle", size=14, ink="muted")
        drawn.text(f"{value}".replace("-", "−"), left - 5, py + 5, anchor="end", size=14, ink="muted")
    drawn.text("x₁", left + side + 8, top + side + 5, size=16, ink="muted")
    drawn.text("x₂", left - 2, top - 10, anchor="middle", size=16, ink="muted")
    y = TALL - 14
    drawn.rect(left + 177, y - 16, 22, 22, ink="none", fill="#dfe6ee", round=5)  # dark shows on light alone
    for key_x, path, colour, rim, text in (
        (left + 8, circle(left + 8, y - 5, 6), NEGATIVE, LIGHT, t("类 0", "class 0")),
        (left + 96, triangle(left + 96, y - 5, 6), POSITIVE, LIGHT, t("类 1", "class 1")),
        (left + 188, circle(left + 188, y - 5, 6), NEGATIVE, DARK, t("深色边：站错了", "dark rim: wrong")),
    ):
        drawn.path(path, ink=rim, fill=colour, width=2)
        drawn.text(text, key_x + 13, y, size=14)
    return drawn


def scatter(drawn, config, state, points, classes, place, limits, hollow=False) -> None:
    """Circles of class 0 and triangles of class 1; dark rims on the wrong side."""
    right = (trace(config, state, features(points, config.inputs)).net_input >= threshold(config.activation)) == classes.bool()  # fmt: skip
    inside = ((points >= limits[0]) & (points <= limits[1])).all(1)
    for label, shape, colour in ((0, circle, NEGATIVE), (1, triangle, POSITIVE)):
        for correct in (True, False):
            chosen = points[(classes == label) & (right == correct) & inside].tolist()
            d = "".join(shape(*place(point), 3.8 if hollow else 4.6) for point in chosen)
            if d:
                fill = LIGHT if hollow else colour
                ink = DARK if not correct else colour if hollow else LIGHT
                drawn.path(d, ink=ink, fill=fill, width=1.6 if not correct else 1.0 if hollow else 0.7)


def circle(x: float, y: float, r: float) -> str:
    return f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0"


def triangle(x: float, y: float, r: float) -> str:
    return f"M{x:.1f} {y - 1.25 * r:.1f}L{x + 1.15 * r:.1f} {y + 0.85 * r:.1f}H{x - 1.15 * r:.1f}Z"


def slopes(config: NeuronConfig, state: dict[str, Tensor]) -> Figure:
    """Each training point where it stands on f′, the share that is saturated or dead, and what is left of the gradient."""
    drawn, points, name = Figure(WIDTH, TALL), points_of(config), config.activation
    shown = trace(config, state, features(points.train_inputs, config.inputs))
    steepest = STEEPEST.get(name, 1.0)
    top = 1.15 * max(steepest, 0.25)
    axes = Axes(reach_of(shown.net_input), -0.2 if name in ("gelu", "swish") else -0.06 * top, top, TALL)
    drawn.text(t("每个训练点的导数 f′(z)", "The slope f′(z) at every point"), axes.left, 20, bold=True, size=16)
    flat = SATURATED * steepest
    if flat:
        band = axes.y(-flat) - axes.y(flat)
        drawn.rect(axes.left, axes.y(flat), axes.width, band, ink="none", fill=FLAT, opacity=0.28)
    axes.ground(drawn)
    axes.curve(drawn, name, "slope", SLOPE, 2.5)
    classes = points.train_targets
    for label, shape, colour in ((0, circle, NEGATIVE), (1, triangle, POSITIVE)):
        pairs = zip(shown.net_input[classes == label].tolist(), shown.slope[classes == label].tolist(), strict=True)
        drawn.path("".join(shape(axes.x(z), axes.y(slope), 5) for z, slope in pairs), ink=LIGHT, fill=colour, width=0.6)
    if steepest:
        y = axes.y(steepest)
        drawn.line(axes.left, y, axes.left + axes.width, y, ink="line", dash="2 5")
        if steepest != 1:  # which stands there already
            drawn.text(short(steepest), axes.left - 4, y + 5, anchor="end", size=13, ink="muted")
    found, y = saturation(config, state), TALL - 32
    perceptron = name == "step" and config.rule == "perceptron"
    gradient = t("更新量", "update") if perceptron else t("梯度", "gradient")
    drawn.rect(axes.left, y - 12, 14, 14, ink="none", fill=FLAT, opacity=0.5, round=3)
    shares = t(
        f"饱和 {found.saturated:.0%}，导数为 0：{found.dead:.0%}",
        f"saturated {found.saturated:.0%}, slope 0: {found.dead:.0%}",
    )
    lengths = t(
        f"平均 |f′| {short(found.slope)}，‖{gradient}‖ {short(found.gradient)}",
        f"mean |f′| {short(found.slope)}, ‖{gradient}‖ {short(found.gradient)}",
    )
    drawn.text(shares, axes.left + 21, y, size=15, bold=True)
    drawn.text(lengths, axes.left + 21, y + 24, size=15)
    return drawn


# ---- twins -----------------------------------------------------------------------------------------------------------


def twins_chart(zero: Twins, drawn: Twins, of: str, title: str) -> alt.Chart:
    """The "difference" of two hidden neurons, or their network's "loss", from both starts."""
    names = (t("从 0 开始", "from zero"), t("随机开始", "from random"))
    rows = pd.concat(
        pd.DataFrame({"step": range(len(run.loss)), "value": getattr(run, of).tolist(), "start": name})[::5]
        for run, name in zip((zero, drawn), names, strict=True)
    )
    start = {"title": None, "scale": alt.Scale(domain=list(names), range=[SERIES[1], SERIES[0]])}
    legend = alt.Legend(orient="top", symbolType="stroke", symbolSize=500, symbolStrokeWidth=3)
    return (
        alt.Chart(rows)
        .mark_line(strokeWidth=3)
        .encode(
            x=alt.X("step:Q", title=t("步数", "step"), axis=alt.Axis(grid=False, tickCount=5)),
            y=alt.Y("value:Q", title=None, axis=alt.Axis(tickCount=4)),
            color=alt.Color("start:N", legend=legend, **start),
            strokeDash=alt.StrokeDash("start:N", legend=legend, title=None, scale=alt.Scale(domain=list(names), range=[[6, 4], [1, 0]])),
        )
        .properties(height=300, title=alt.TitleParams(title, anchor="start", fontSize=16, fontWeight=600))
    )  # fmt: skip
