"""The pictures of the lesson on vanishing and exploding gradients: functions of (config, snapshot)."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from core.gradient_flow import (
    LARGEST_FLOAT32,
    RUNS,
    SMALLEST_FLOAT32,
    STEEPEST_SLOPE,
    Flow,
    GradientFlowConfig,
    bound,
    chained,
    flow_of,
    jacobians,
    powers,
    runaway,
    sheared,
    sizes,
    spectral_radius,
    time_steps,
    watched,
    weights_of,
)
from core.training import Snapshot
from pages.ui.palette import MUTED, NEGATIVE, POSITIVE, SERIES
from pages.ui.scene import Figure, Scene
from pages.ui.text import t, term

WIDTH, LEFT, RIGHT = 566, 94, 70  # of the lanes and of the curves below them, which share their axis of time
LANES_TOP, CURVES_TALL = 38, 262
COLUMNS = 7  # time steps that are drawn as cells
CELL_WIDE, CELL_TALL, LANE = 43, 32, 46
DECADES = 10  # powers of ten from white to full blue or orange
BROKEN = "#c4608f"  # inf and NaN, as in heat maps
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
FRAMES = 24  # flows that are remembered
SQUARE, CURVE_WIDE, FACTOR_TALL = 186, 430, 250


# ---- words and numbers -----------------------------------------------------------------------------------------------


def short(value: float) -> str:
    """A number in a small box: 0.52, 7e−10, 3e12, 0, ∞."""
    if not math.isfinite(value):
        return "NaN" if value != value else "∞"
    if value == 0 or 0.01 <= value < 999.5:
        return f"{value:.2g}" if value < 100 else f"{value:.0f}"
    digits, power = f"{value:.0e}".split("e")
    return f"{digits}e{int(power)}".replace("-", "−")


def scientific(value: float) -> str:
    """A number in a sentence: 0.52, 7.1×10⁻¹⁰."""
    if not math.isfinite(value):
        return "NaN" if value != value else "∞"
    if value == 0 or 0.01 <= value < 1000:
        return f"{value:.3g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}×{power_of_ten(int(power))}"


def power_of_ten(exponent: int) -> str:
    return {0: "1", 1: "10"}.get(exponent, "10" + str(exponent).translate(SUPERSCRIPTS))


def decades(value: float) -> float:
    """The common logarithm; ±∞ and NaN as they are."""
    return math.log10(value) if value > 0 else -math.inf if value == 0 else value


def shade(exponent: float) -> str:
    """The colour of 10^exponent: white for 1, bluer the smaller, more orange the larger."""
    end = NEGATIVE if exponent < 0 else POSITIVE
    share = min(1.0, abs(exponent) / DECADES)
    parts = [round(255 + (int(end[i : i + 2], 16) - 255) * share) for i in (1, 3, 5)]
    return "#{:02x}{:02x}{:02x}".format(*parts)


def readable(colour: str) -> str:
    """Black or white on a colour, whichever stands out more."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#ffffff"


def times_ten(value: float) -> str:
    """KaTeX of a number, a large or small one by its power of ten."""
    if not math.isfinite(value) or value == 0 or 0.01 <= value < 1000:
        return r"\infty" if value == math.inf else f"{value:.3g}"
    digits, power = f"{value:.1e}".split("e")
    return rf"{digits}\cdot 10^{{{int(power)}}}"


def bound_in_numbers(config: GradientFlowConfig) -> str:
    """KaTeX: how large the gradient of the untrained RNN can be at the first step, and why."""
    factor, count = STEEPEST_SLOPE[config.activation] * config.radius, time_steps(config) - 1
    most = runaway(factor, count, torch.float64)[-1].item() if factor else 0.0
    relation = "<1" if factor < 1 else "=1" if factor == 1 else ">1"
    product = "" if STEEPEST_SLOPE[config.activation] == 1 else rf"\tfrac14\cdot{config.radius:g}="
    return (
        rf"\gamma\,\sigma_{{\max}}(U)={product}{factor:.3g}{relation},\quad "
        rf"\left\|\frac{{\partial\mathbf h_{{{count + 1}}}}}{{\partial\mathbf h_1}}\right\|\le {factor:.3g}^{{{count}}}={times_ten(most)}"
    )


def name_of(config: GradientFlowConfig, unit: str) -> str:
    """The run of the race whose factors are shown."""
    return RUNS[unit] if config.compare == "cells" else f"clip_{config.clip_by}"


def verdict(config: GradientFlowConfig, unit: str) -> str:
    """What the bounds say before training."""
    if unit != "rnn":
        return t(
            "每个因子是这一步新状态对旧状态的导数（LSTM 的状态是 h 和 c 合在一起）。绿色虚线是各因子最大奇异值之积：乘积不会超过它。",
            "Each factor is the derivative of a step's new state by the old one (an LSTM's state is h and c together). Dashed: the factors' largest singular values multiplied, which the product never exceeds.",
        )
    factor = STEEPEST_SLOPE[config.activation] * config.radius
    if factor < 1:
        return t(
            f"训练前 γσ = {factor:.3g} < 1：每个因子都缩短一切向量，梯度一定消失（充分条件）。",
            f"Before training γσ = {factor:.3g} < 1: every factor shortens every vector, so the gradient must vanish (sufficient).",
        )
    return t(
        f"训练前 γσ = {factor:.3g} ≥ 1：可能爆炸，但不一定（必要而不充分）：饱和时 f′ 远小于 γ，乘积可以远低于界。",
        f"Before training γσ = {factor:.3g} ≥ 1: it may explode but need not (necessary, not sufficient): where units saturate, f′ is far below γ, and the product far below its bound.",
    )


# ---- flows, computed once --------------------------------------------------------------------------------------------


class Measured(NamedTuple):
    """The gradients of one run: as float32 has them, and as they are where float32 has no such numbers."""

    single: Flow
    exact: Flow | None  # in float64; None where float32 is enough


_remembered: OrderedDict[Any, Any] = OrderedDict()


def remembered(kind: str, config: GradientFlowConfig, snapshot: Snapshot, make: Callable[[], Any]) -> Any:
    """What `make` computes of these weights; of the last FRAMES different ones it is kept, for all viewers."""
    state = b"".join(tensor.numpy().tobytes() for tensor in snapshot.state.values())
    seen = (config.task, config.length, config.distractors, config.series, config.activation)
    key = (kind, seen, hash(state), len(state))
    found = _remembered.get(key)  # other viewers' threads add and drop entries meanwhile
    if found is None:
        found = _remembered[key] = make()
        while len(_remembered) > FRAMES:
            _remembered.popitem(last=False)
    return found


def measured(config: GradientFlowConfig, snapshot: Snapshot) -> Measured:
    """The flow of a snapshot; where float32 overflows or underflows, that of float64 too."""

    def make() -> Measured:
        single = flow_of(config, snapshot.state)
        paths = [single.hidden, *([single.memory] if single.memory is not None else [])]
        enough = all(path.isfinite().all() and (path > 0).all() for path in paths)
        return Measured(single, None if enough else flow_of(config, snapshot.state, torch.float64))

    return remembered("flow", config, snapshot, make)


class Path(NamedTuple):
    """One line of the picture: a path of a run's gradient back through time."""

    label: str
    memory: bool  # of a cell state c, else of a hidden state h
    colour: str
    dash: str | None
    values: list[float]  # ‖∂L_T/∂·_t‖ for t = 1 … T
    exact: list[float] | None
    whole: float  # ‖∂L_T/∂h_T‖ of the run, in the same unit: what colours compare with
    width: float  # of its curve


Configs = Mapping[str, GradientFlowConfig]
Snapshots = Mapping[str, Snapshot]


def paths_of(configs: Configs, snapshots: Snapshots, relative: bool) -> list[Path]:
    """The paths of all runs, an LSTM's cell state before its hidden state."""
    found = []
    for i, (name, config) in enumerate(configs.items()):
        flow = measured(config, snapshots[name])
        last = flow.single.hidden[-1].item()
        unit = last if relative else 1.0
        word = term(name)
        parts = [(flow.single.hidden, flow.exact and flow.exact.hidden, "h", None)]
        if flow.single.memory is not None:
            parts = [
                (flow.single.memory, flow.exact and flow.exact.memory, "c", None),
                (flow.single.hidden, flow.exact and flow.exact.hidden, "h", "6 4"),
            ]
        for single, exact, letter, dash in parts:
            label = f"{word} {letter}" if len(parts) > 1 else word
            values = (single / unit).tolist()
            exactly = None if exact is None else (exact / unit).tolist()
            width = 3.0 if config.compare == "cells" else 7.0 - 2.2 * i  # equal curves are seen through one another
            found.append(
                Path(label, letter == "c", SERIES[i], dash, values, exactly, last / unit if unit else 1.0, width)
            )
    return found


def out_of_range(configs: Configs, snapshots: Snapshots) -> str:
    """Where float32 has no number for a gradient: what it writes instead, and what the gradient is. Else nothing."""
    lines = []
    for path in paths_of(configs, snapshots, False):
        steps = [step for step, value in enumerate(path.values, start=1) if not math.isfinite(value) or value == 0]
        if not steps or path.exact is None:
            continue
        step, exact = max(steps), path.exact[0]
        written, true = short(path.values[step - 1]), scientific(exact)
        if path.values[step - 1] == 0 and exact == 0:
            lines.append(
                t(
                    f"**{path.label}**：从 t = {step} 往前恰好是 0，float64 里到 t = 1 也是 0：每条路都断了（ReLU 的 f′ = 0），或小得连 float64 也装不下。",
                    f"**{path.label}**: exactly 0 from t = {step} back, and at t = 1 in float64 too: every way is cut (ReLU's f′ = 0), or too little is left even for float64.",
                )
            )
        elif path.values[step - 1] == 0:
            lines.append(
                t(
                    f"**{path.label}**：从 t = {step} 往前，float32 里是 {written}（下溢）；没有一个因子是 0，float64 里 t = 1 处是 {true}。",
                    f"**{path.label}**: from t = {step} back float32 has {written} (underflow), though no factor is 0; in float64 t = 1 has {true}.",
                )
            )
        elif math.isfinite(exact):
            lines.append(
                t(
                    f"**{path.label}**：从 t = {step} 往前超出 float32 的 3.4×10³⁸，只能写 {written}（∞ − ∞ 便是 NaN）；float64 里 t = 1 处是 {true}。用它更新一步，循环权重全成 NaN。",
                    f"**{path.label}**: from t = {step} back it is past float32's 3.4×10³⁸, which writes {written} (and ∞ − ∞ is NaN); in float64 t = 1 has {true}. One update with it, and all recurrent weights are NaN.",
                )
            )
        else:
            lines.append(
                t(
                    f"**{path.label}**：状态或权重本身已不是有限的数，梯度是 {written}。",
                    f"**{path.label}**: the states or the weights themselves are no finite numbers any more; the gradient is {written}.",
                )
            )
    return "  \n".join(lines)


# ---- the gradient travels back ---------------------------------------------------------------------------------------


def place(step: int, length: int) -> float:
    """Where step 1 … length stands across the figure."""
    return LEFT + CELL_WIDE / 2 + (step - 1) / max(1, length - 1) * (WIDTH - LEFT - RIGHT - CELL_WIDE)


@lru_cache(maxsize=256)
def drawn_steps(length: int) -> tuple[int, ...]:
    """The steps that are drawn as cells: the first, the last, and others at nearly equal distances."""
    count = min(length, COLUMNS)
    return tuple(1 + round(i * (length - 1) / (count - 1)) for i in range(count))


def travel(configs: Configs, snapshots: Snapshots, relative: bool = False) -> Scene:
    """The gradient on its way back through every run's unrolled network, and its length at every step."""
    paths = paths_of(configs, snapshots, relative)
    length = time_steps(next(iter(configs.values())))
    ends = "; ".join(f"{path.label}: {scientific(path.values[0])}" for path in paths)
    words = t(
        f"梯度从第 {length} 步的损失往回走：上面每行是一条路，格子越蓝越小、越橙越大，箭头越细越弱；下面是对数轴上每一步的长度。到第 1 步：{ends}。",
        f"The gradient travels back from the loss at step {length}: each row is a path, blue cells are small, orange ones large, thin arrows weak; below its length at every step on a logarithmic axis. At step 1: {ends}.",
    )
    tall = LANES_TOP + LANE * len(paths) + 74
    drawn = Figure(WIDTH, tall + CURVES_TALL)  # one figure: side by side they would not share their axis of time
    lanes(drawn, paths, length, relative)
    curves(drawn, tall, paths, length, relative)
    return Scene((drawn,), words)


def lanes(drawn: Figure, paths: Sequence[Path], length: int, relative: bool) -> None:
    """A row of cells for each path, and arrows back through time."""
    steps, top = drawn_steps(length), LANES_TOP
    bottom = top + LANE * len(paths)
    loss_x = WIDTH - 24
    drawn.text(t("← 往回走", "← back through time"), place(1, length) - CELL_WIDE / 2, 18, size=15, bold=True)
    what = t(f"每格：{measure(paths)}", f"In each cell: {measure(paths)}") + (over_last() if relative else "")
    drawn.text(what, place(length, length) + CELL_WIDE / 2, 18, size=14, anchor="end", ink="muted")
    for row, path in enumerate(paths):
        y = top + LANE * row + LANE / 2
        whole = path.whole or 1.0
        name(drawn, path, y)
        marks = [(place(step, length), path.values[step - 1]) for step in steps]
        sources = [x - CELL_WIDE / 2 for x, _ in marks[1:]] + [loss_x - 15]
        for (x, value), source in zip(marks, sources, strict=True):
            arrow(drawn, source, x + CELL_WIDE / 2 + 1, y, value / whole)
        for x, value in marks:
            cell(drawn, x, y, value, value / whole)
    middle = (top + bottom) / 2
    drawn.rect(loss_x - 15, top + 6, 32, bottom - top - 12, ink="muted", fill="panel", round=10)
    drawn.text("L", loss_x + 1, middle + 6, size=18, anchor="middle", bold=True)
    for step in steps:
        drawn.text(f"t={step}" if step == 1 else str(step), place(step, length), bottom + 16, size=13, anchor="middle", ink="muted")  # fmt: skip
    key(drawn, bottom + 30)


def measure(paths: Sequence[Path]) -> str:
    """What is measured at a step: of an LSTM's cell state by c."""
    memory = any(path.memory for path in paths)
    return "‖∂L/∂hₜ‖" + (t("（c 行：‖∂L/∂cₜ‖）", " (c: ‖∂L/∂cₜ‖)") if memory else "")


def over_last() -> str:
    """What `relative` lengths are divided by, those of a cell state too."""
    return t("，除以最后一步的 ‖∂L/∂h‖", " over the last ‖∂L/∂h‖")


def name(drawn: Figure, path: Path, y: float) -> None:
    """What a path is called, and a piece of its line, so that it is not told by colour alone."""
    drawn.text(path.label, LEFT - 27, y + 5, size=15 if len(path.label) < 9 else 13, anchor="end", bold=True)
    drawn.line(LEFT - 21, y, LEFT - 5, y, ink=path.colour, width=3.5, dash="4 5" if path.dash else None)


def cell(drawn: Figure, x: float, y: float, value: float, ratio: float) -> None:
    """A time step: the colour says how much is left of the last step's gradient, the number what there is."""
    left, top = x - CELL_WIDE / 2, y - CELL_TALL / 2
    exponent = decades(ratio)
    ground = BROKEN if not math.isfinite(value) else shade(max(-DECADES, min(DECADES, exponent)))
    drawn.rect(left, top, CELL_WIDE, CELL_TALL, ink="muted", fill=ground, stroke=1.2, round=7)
    drawn.text(short(value), x, y + 5, size=13, anchor="middle", ink=readable(ground), bold=not math.isfinite(value))


def arrow(drawn: Figure, start: float, end: float, y: float, ratio: float) -> None:
    """From one cell to the one before it, as strong as what arrives there."""
    if ratio == 0:
        return
    exponent = decades(ratio)
    share = max(-1.0, min(1.0, exponent / DECADES)) if math.isfinite(exponent) else 1.0
    ink = (
        BROKEN if not math.isfinite(exponent) else MUTED if abs(exponent) < 0.3 else NEGATIVE if share < 0 else POSITIVE
    )
    width = round(5.0 * (1 + share) ** 1.3 + 0.8 if share < 0 else 5.8 + 7.0 * share, 1)
    opacity = round(max(0.35, 1 + 0.8 * min(0.0, share)), 2)
    head, half = end + 8, width / 2 + 2.5
    drawn.line(start, y, head, y, ink=ink, width=width, flow=True, opacity=opacity)
    drawn.path(f"M{end:.1f} {y:.1f}l8 {half:.1f}v{-2 * half:.1f}Z", ink="none", fill=ink, opacity=opacity)


def key(drawn: Figure, y: float) -> None:
    """What the colours mean."""
    left, width = place(1, 2) - CELL_WIDE / 2, WIDTH - LEFT - RIGHT
    ramp = torch.linspace(-DECADES, DECADES, 41)[None]
    drawn.map("key", ramp, left, y, width, 9, scale="diverging", high=DECADES, hover=False)
    words = (
        (left, "start", t(f"消失 ≤ {power_of_ten(-DECADES)}", f"vanished ≤ {power_of_ten(-DECADES)}")),
        (left + width / 2, "middle", t("颜色：最后一步 ‖∂L/∂h‖ 的几倍", "colour: over the last ‖∂L/∂h‖")),
        (left + width, "end", t(f"爆炸 ≥ {power_of_ten(DECADES)}", f"exploded ≥ {power_of_ten(DECADES)}")),
    )
    for x, anchor, text in words:
        drawn.text(text, x, y + 25, size=13, anchor=anchor, ink="muted")


# ---- lengths on a logarithmic axis -----------------------------------------------------------------------------------


class LogAxes:
    """A logarithmic axis upwards, from 10^low to 10^high; its numbers stand on the right."""

    def __init__(self, left: float, top: float, width: float, height: float, low: int, high: int):
        self.left, self.top, self.width, self.height, self.low, self.high = left, top, width, height, low, high
        self.right = left + width

    def y(self, value: float) -> float:
        """Where a value stands; 0 at the lower end, ∞ at the upper."""
        exponent = decades(value)
        exponent = self.high if exponent != exponent else max(self.low, min(self.high, exponent))
        return self.top + (self.high - exponent) / (self.high - self.low) * self.height

    def ground(self, drawn: Figure) -> None:
        """Lines at a few whole decades, and their numbers."""
        step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500) if (self.high - self.low) / step <= 6)
        for exponent in range(-(-self.low // step) * step, self.high + 1, step):
            y = self.y(10.0**exponent) if exponent < 308 else self.top
            drawn.line(self.left, y, self.right, y, ink="line", width=1.8 if exponent == 0 else 1)
            drawn.text(power_of_ten(exponent), self.right + 6, y + 5, size=13, ink="muted")

    def limits(self, drawn: Figure) -> None:
        """Where float32 ends, as far as the axis reaches."""
        for value, words, below in (
            (LARGEST_FLOAT32, t("float32 到此为止 3.4×10³⁸", "float32 ends here, 3.4×10³⁸"), False),
            (SMALLEST_FLOAT32, t("float32 的最小数 1.4×10⁻⁴⁵", "float32's smallest, 1.4×10⁻⁴⁵"), True),
        ):
            if self.low < decades(value) < self.high:
                y = self.y(value)
                drawn.line(self.left, y, self.right, y, ink=BROKEN, width=1.8, dash="7 5")
                drawn.text(words, self.right - 2, y + (16 if below else -5), size=13, anchor="end")


def span(values: Sequence[float], least: int = 4) -> tuple[int, int]:
    """Whole decades that hold all positive finite values, in steps of five so that the axis seldom moves."""
    exponents = [decades(value) for value in values if value > 0 and math.isfinite(value)]
    low, high = min(exponents, default=0.0), max(exponents, default=0.0)
    step = 5 if high - low > least else 1
    lower, upper = math.floor(low / step) * step, math.ceil(high / step) * step
    return lower, max(upper, lower + least)


def curves(drawn: Figure, top: float, paths: Sequence[Path], length: int, relative: bool) -> None:
    """The length of the gradient at every step; dotted in float64 where float32 has no such numbers."""
    shown = [value for path in paths for value in (path.exact or path.values)]
    axes = LogAxes(LEFT, top + 30, WIDTH - LEFT - RIGHT, CURVES_TALL - 76, *span(shown))
    title = t("每一步的梯度长度 ", "Length of the gradient, ") + measure(paths) + (over_last() if relative else "")
    drawn.text(title, LEFT, top + 16, size=15, bold=True)
    axes.ground(drawn)
    axes.limits(drawn)
    for path in paths:
        if path.exact is not None:
            for piece in pieces(path.exact, length, axes):
                drawn.path(piece, ink=path.colour, width=1.8, dash="1.5 4")
    for path in paths:
        for piece in pieces(path.values, length, axes):
            drawn.path(piece, ink=path.colour, width=path.width, dash=path.dash)
        broken(drawn, path, length, axes)
    for y, path in spread([(axes.y((path.exact or path.values)[0]), path) for path in paths], axes.top + 4, axes.top + axes.height + 4):  # fmt: skip
        name(drawn, path, y - 5)
    bottom = axes.top + axes.height
    for step in drawn_steps(length):
        drawn.text(str(step), place(step, length), bottom + 18, size=13, anchor="middle", ink="muted")
    drawn.text(t("时间步 t", "time step t"), LEFT + axes.width / 2, bottom + 38, size=14, anchor="middle", ink="muted")


def pieces(values: Sequence[float], length: int, axes: LogAxes) -> list[str]:
    """The curve as SVG paths; it ends where there is no number that a logarithmic axis has."""
    found, current = [], ""
    for step, value in enumerate(values, start=1):
        if value > 0 and math.isfinite(value):
            current += f"{'L' if current else 'M'}{place(step, length):.1f} {axes.y(value):.1f}"
        elif current:
            found, current = [*found, current], ""
    return [*found, current] if current else found


def broken(drawn: Figure, path: Path, length: int, axes: LogAxes) -> None:
    """Says at which step, on the way back, a path leaves float32."""
    last = max((step for step, value in enumerate(path.values, start=1) if not math.isfinite(value) or value == 0), default=0)  # fmt: skip
    if not last:
        return
    value = path.values[last - 1]
    x, y = place(last, length), axes.y(LARGEST_FLOAT32 if value != 0 else SMALLEST_FLOAT32)
    drawn.circle(x, y, 6, ink="background", fill=BROKEN, stroke=2)
    over, room = value != 0, x - LEFT > 120  # the curve comes from the right, from below or from above
    anchor, shift = ("end", -11) if room else ("start", 11)
    words = t(f"t={last} 往前：{short(value)}", f"from t={last} back: {short(value)}")
    drawn.text(words, x + shift, y + (18 if over == room else -10), size=13, anchor=anchor, bold=True)


def spread(labels: Sequence[tuple[float, Any]], top: float, bottom: float, gap: float = 17) -> list[tuple[float, Any]]:
    """The same labels from above to below, moved apart so that none covers another."""
    placed: list[tuple[float, Any]] = []
    for y, label in sorted(labels, key=lambda pair: pair[0]):
        placed.append((max(y + 5, placed[-1][0] + gap if placed else top), label))
    over = max(0.0, placed[-1][0] - bottom - 6) if placed else 0.0
    return [(y - over, label) for y, label in placed]


# ---- factor by factor ------------------------------------------------------------------------------------------------


class Chain(NamedTuple):
    """The product of Jacobians of one sequence, after 1, 2, … T − 1 factors."""

    factors: Tensor  # (T − 1, S, S), J_T first
    products: Tensor  # (T − 1, S, S)
    factor_sizes: list[float]
    product_sizes: list[float]
    bounds: list[float] | None  # (γ σ)^k, known of a simple recurrent network


def chain_of(config: GradientFlowConfig, snapshot: Snapshot) -> Chain:
    """Everything that is drawn of the factors, for the first watched sequence."""

    def make() -> Chain:
        weights = weights_of(snapshot.state)
        found = jacobians(weights, watched(config).inputs[:, 0], config.activation)
        products = chained(found)
        known = config.unit == "rnn" and bool(weights.recurrent.isfinite().all())
        bounds = bound(weights, config.activation, len(found)).tolist() if known else None
        factors = found.flip(0)
        return Chain(factors, products, stretches(factors), stretches(products), bounds)

    return remembered("chain", config, snapshot, make)


def stretches(matrices: Tensor) -> list[float]:
    """The largest singular value of each matrix; NaN where it holds no numbers."""
    good = matrices.isfinite().flatten(1).all(1)
    return sizes(matrices.nan_to_num(0.0, 0.0, 0.0)).where(good, math.nan).tolist()


def factors(config: GradientFlowConfig, snapshot: Snapshot, back: int) -> Scene:
    """The factor that comes next, the product so far, and how large the products become."""
    found = chain_of(config, snapshot)
    back = min(back, len(found.product_sizes))
    steps = time_steps(config)
    to = steps - back
    size, factor = found.product_sizes[back - 1], found.factor_sizes[back - 1]
    words = t(
        f"第 {back} 个雅可比矩阵和前 {back} 个的乘积；最大奇异值 {scientific(factor)} 和 {scientific(size)}；右边是乘积随个数的变化，对数轴。",
        f"Jacobian number {back} and the product of the first {back}; largest singular values {scientific(factor)} and {scientific(size)}; on the right how the product changes with their number, on a logarithmic axis.",
    )
    state = "s" if config.unit == "lstm" else "h"
    pair = Figure(2 * SQUARE + 40, FACTOR_TALL)
    for x, matrix, title, value in (
        (0, found.factors[back - 1], f"∂{state}{subscript(to + 1)}/∂{state}{subscript(to)}", factor),
        (SQUARE + 40, found.products[back - 1], f"∂{state}{subscript(steps)}/∂{state}{subscript(to)}", size),
    ):
        pair.text(title, x, 18, size=17, bold=True)
        high = float(matrix.abs().nan_to_num(0.0, 0.0, 0.0).max())
        pair.map("factor" if x == 0 else "product", matrix / (high or 1.0), x, 28, SQUARE, high=1.0, hover=False)
        pair.text(
            t("最大奇异值 ", "largest singular value ") + scientific(value), x, 28 + SQUARE + 20, size=14, bold=x > 0
        )
    pair.text("=" if back == 1 else "⋯", SQUARE + 20, 28 + SQUARE / 2 + 6, size=24, anchor="middle", ink="muted")
    return Scene((pair, chain_chart(config, found, back)), words)


def subscript(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def chain_chart(config: GradientFlowConfig, found: Chain, back: int) -> Figure:
    """The largest singular value of the product after every factor, under its bounds."""
    drawn = Figure(CURVE_WIDE, FACTOR_TALL)
    each = torch.tensor(found.factor_sizes, dtype=torch.float64).cumprod(0).tolist()
    shown = [*found.product_sizes, *(found.bounds or each)]
    axes = LogAxes(4, 54, CURVE_WIDE - 60, FACTOR_TALL - 96, *span(shown))
    axes.ground(drawn)
    count = len(found.product_sizes)

    def x(k: int) -> float:
        return axes.left + (k - 1) / max(1, count - 1) * axes.width

    def curve(values: Sequence[float]) -> str:
        inside = [(k, v) for k, v in enumerate(values, start=1) if v > 0 and math.isfinite(v)]
        return "M" + "L".join(f"{x(k):.1f} {axes.y(v):.1f}" for k, v in inside) if inside else ""

    lines = [
        (found.product_sizes, SERIES[0], 3.0, None, t("乘积", "product")),
        (each, SERIES[2], 1.8, "6 4", t("各因子之积", "sizes multiplied")),
    ]
    if found.bounds:
        lines.append((found.bounds, SERIES[1], 1.8, "2 4", t("界 (γσ)ᵏ", "bound (γσ)ᵏ")))
    at = axes.left
    for values, colour, width, dash, words in lines:
        if d := curve(values):
            drawn.path(d, ink=colour, width=width, dash=dash)
        drawn.line(at, 36, at + 24, 36, ink=colour, width=width, dash=dash)
        drawn.text(words, at + 30, 41, size=14)
        at += 48 + 8.2 * sum(2 if ord(letter) > 0x2E80 else 1 for letter in words)
    drawn.text(
        t("乘了 k 个因子以后的最大奇异值", "Largest singular value after k factors"), axes.left, 16, size=15, bold=True
    )
    value = found.product_sizes[back - 1]
    drawn.circle(x(back), axes.y(value), 7, ink="background", fill=SERIES[0], stroke=2)
    bottom = axes.top + axes.height
    for k, anchor in ((1, "start"), (count, "end")):
        drawn.text(f"k={k}", x(k), bottom + 18, size=13, anchor=anchor, ink="muted")
    return drawn


# ---- the counter-example ---------------------------------------------------------------------------------------------

POWERS = 60  # of the matrix that are drawn


class Shear(NamedTuple):
    """What the powers of [[a, b], [0, a]] do."""

    norms: list[float]  # ‖Wᵗ‖ for t = 0 … POWERS
    peak: int
    radius: float
    sigma: float  # ‖W‖


@lru_cache(maxsize=64)
def shear_of(diagonal: float, coupling: float) -> Shear:
    matrix = sheared(diagonal, coupling)
    norms = sizes(powers(matrix, POWERS)).tolist()
    return Shear(norms, max(range(len(norms)), key=norms.__getitem__), spectral_radius(matrix), norms[1])


def shear(diagonal: float, coupling: float, power: int) -> Scene:
    """What W to this power makes of the unit circle, and the size of every power."""
    found = shear_of(diagonal, coupling)
    words = t(
        f"单位圆经 W 的 {power} 次方变成的椭圆；右边是 ‖Wᵗ‖：第 {found.peak} 次方最大，{found.norms[found.peak]:.3g}；谱半径 {found.radius:.3g}。",
        f"What the power {power} of W makes of the unit circle; on the right ‖Wᵗ‖: largest at t = {found.peak}, {found.norms[found.peak]:.3g}; the spectral radius is {found.radius:.3g}.",
    )
    return Scene((ellipse(diagonal, coupling, power), growth(found, power)), words)


def ellipse(diagonal: float, coupling: float, power: int) -> Figure:
    """The unit circle and its image, on one scale."""
    drawn, side = Figure(250, 250), 250
    matrix = powers(sheared(diagonal, coupling), power)[-1]
    angles = torch.linspace(0, 2 * math.pi, 121, dtype=torch.float64)
    circle = torch.stack([angles.cos(), angles.sin()])
    image = matrix @ circle
    most = max(1.0, float(image.abs().max()))
    scale = (side / 2 - 26) / most

    def outline(points: Tensor) -> str:
        return "M" + "L".join(f"{side / 2 + scale * px:.1f} {side / 2 + 12 - scale * py:.1f}" for px, py in points.T.tolist()) + "Z"  # fmt: skip

    drawn.text(t(f"单位圆经过 W{str(power).translate(SUPERSCRIPTS)}", f"The unit circle after W{str(power).translate(SUPERSCRIPTS)}"), side / 2, 16, size=15, anchor="middle", bold=True)  # fmt: skip
    drawn.line(20, side / 2 + 12, side - 20, side / 2 + 12, ink="line")
    drawn.line(side / 2, 30, side / 2, side - 22, ink="line")
    drawn.path(outline(image), ink=POSITIVE, fill=POSITIVE, width=3, opacity=0.85)
    drawn.path(outline(circle), ink="text", width=2, dash="4 4")
    drawn.text(t(f"最长半轴 {size_of(matrix)}", f"longest half-axis {size_of(matrix)}"), side / 2, side - 2, size=14, anchor="middle")  # fmt: skip
    return drawn


def size_of(matrix: Tensor) -> str:
    return scientific(sizes(matrix).item())


def growth(found: Shear, power: int) -> Figure:
    """‖Wᵗ‖ and ρᵗ against t."""
    drawn = Figure(430, 250)
    left, top, width, height = 34, 56, 384, 150
    most = 1.08 * max(found.norms)
    x = [left + t_ / POWERS * width for t_ in range(POWERS + 1)]

    def y(value: float) -> float:
        return top + height - value / most * height

    drawn.text(
        t("‖Wᵗ‖：W 的 t 次方把向量最多拉长几倍", "‖Wᵗ‖: how much Wᵗ stretches a vector at most"),
        left,
        16,
        size=15,
        bold=True,
    )
    for value in (0.0, 1.0, found.norms[found.peak]):
        drawn.line(left, y(value), left + width, y(value), ink="line", dash=None if value == 0 else "2 5")
    if y(0) - y(1.0) > 14:
        drawn.text("1", left - 6, y(1.0) + 5, size=13, anchor="end", ink="muted")
    drawn.text("0", left - 6, y(0) + 5, size=13, anchor="end", ink="muted")
    if found.peak:
        drawn.text(
            short(found.norms[found.peak]), left - 6, y(found.norms[found.peak]) + 5, size=13, anchor="end", ink="muted"
        )
    rho = [found.radius**power_ for power_ in range(POWERS + 1)]
    drawn.path(
        "M" + "L".join(f"{px:.1f} {y(min(v, most)):.1f}" for px, v in zip(x, rho, strict=True)),
        ink=SERIES[0],
        width=2,
        dash="6 4",
    )
    drawn.path(
        "M" + "L".join(f"{px:.1f} {y(v):.1f}" for px, v in zip(x, found.norms, strict=True)), ink=SERIES[1], width=3
    )
    for at, ink, dash, words in ((left, SERIES[1], None, "‖Wᵗ‖"), (left + 110, SERIES[0], "6 4", t("谱半径的 t 次方", "spectral radius to the power t"))):  # fmt: skip
        drawn.line(at, 36, at + 26, 36, ink=ink, width=3, dash=dash)
        drawn.text(words, at + 33, 41, size=14)
    drawn.circle(x[found.peak], y(found.norms[found.peak]), 6, ink=SERIES[1], fill="background", stroke=3)
    here = found.norms[power]
    drawn.circle(x[power], y(here), 8, ink="background", fill=SERIES[1], stroke=2)
    beside = 1 if power < POWERS * 0.7 else -1
    drawn.text(f"t={power}: {scientific(here)}", x[power] + 13 * beside, y(here) - 8, size=15, anchor="start" if beside > 0 else "end", bold=True)  # fmt: skip
    for value in range(0, POWERS + 1, 10):
        drawn.text(str(value), x[value], top + height + 18, size=13, anchor="middle", ink="muted")
    drawn.text("t", left + width, top + height + 34, size=14, anchor="end", ink="muted")
    return drawn


# ---- where float32 ends ----------------------------------------------------------------------------------------------

MULTIPLIED = 200


def overflow(factor: float) -> Scene:
    """A number multiplied by itself 200 times, in float32 and in float64."""
    single, double = (runaway(factor, MULTIPLIED, dtype).tolist() for dtype in (torch.float32, torch.float64))
    drawn = Figure(700, 280)
    low, high = span([*double, SMALLEST_FLOAT32 * 1e-5, LARGEST_FLOAT32 * 1e5])
    axes = LogAxes(8, 36, 620, 196, low, high)
    axes.ground(drawn)
    axes.limits(drawn)

    def x(k: int) -> float:
        return axes.left + (k - 1) / (MULTIPLIED - 1) * axes.width

    for values, width, dash, colour in ((double, 1.8, "1.5 4", SERIES[0]), (single, 3.4, None, SERIES[0])):
        inside = [(k, v) for k, v in enumerate(values, start=1) if v > 0 and math.isfinite(v)]
        drawn.path("M" + "L".join(f"{x(k):.1f} {axes.y(v):.1f}" for k, v in inside), ink=colour, width=width, dash=dash)
    drawn.text(t(f"{factor:g} 的 k 次方：实线 float32，点线 float64", f"{factor:g} to the power k: solid in float32, dotted in float64"), axes.left, 18, size=15, bold=True)  # fmt: skip
    last = next((k for k, v in enumerate(single, start=1) if not math.isfinite(v) or v == 0), None)
    if last is not None:
        value = single[last - 1]
        y = axes.y(LARGEST_FLOAT32 if value else SMALLEST_FLOAT32)
        drawn.circle(x(last), y, 7, ink="background", fill=BROKEN, stroke=2)
        side = -1 if last > MULTIPLIED / 2 else 1
        drawn.text(f"k={last}: {short(value)}", x(last) + 14 * side, y + (24 if value else -12), size=15, anchor="start" if side > 0 else "end", bold=True)  # fmt: skip
    for k in (1, 50, 100, 150, 200):
        drawn.text(f"k={k}", x(k), axes.top + axes.height + 20, size=13, anchor={1: "start", 200: "end"}.get(k, "middle"), ink="muted")  # fmt: skip
    words = t(
        f"{factor:g} 自乘 {MULTIPLIED} 次：float32 " + (f"从第 {last} 次起是 {short(single[last - 1])}" if last else f"是 {scientific(single[-1])}") + f"，float64 是 {scientific(double[-1])}。",
        f"{factor:g} multiplied {MULTIPLIED} times: float32 " + (f"is {short(single[last - 1])} from the {last}th on" if last else f"has {scientific(single[-1])}") + f", float64 {scientific(double[-1])}.",
    )  # fmt: skip
    return Scene((drawn,), words)
