"""The pictures of the recurrent lesson: both networks unrolled over time, their states as heat maps, their forecasts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from core.data.sequences import (
    SERIES_TASKS,
    UNASKED,
    memoryless_loss,
    standard_of,
    steps_of,
    task_of,
)
from core.data.sunspots import FIRST_YEAR
from core.rnn import RNNConfig, Seen, activated, forecast, look
from core.training import Snapshot
from pages.ui.palette import NEGATIVE, POSITIVE
from pages.ui.pictures_sequences import (
    Plot,
    ahead_of_data,
    answers,
    as_written,
    channels,
    equals,
    finite,
    over_time,
    plain,
    round_steps,
    softmax_of,
)
from pages.ui.scene import Figure, Scene
from pages.ui.text import t, term

WIDTH = 560  # of an unrolled network; a phone can still show it
NARROW = 480  # of its states over time: two stand side by side
COLUMNS = 6  # steps of an unrolled network
MARK = "#c04a86"  # the one weight that is the same at every step
LEFT, APART = 66, 84  # where the first step stands, and from one to the next
HEIGHT = {"tdnn": 232, "rnn": 484}
BACK = 120  # values before a forecast that are drawn
FORECASTS = (*SERIES_TASKS, "sines")


class View(NamedTuple):
    """What is looked at: it changes no training."""

    step: int = 1  # from 1
    unit: int = 1
    source: int = 1  # the unit whose last state the marked weight reads
    example: int = 0


def within(config: RNNConfig, view: View) -> View:
    """The same as far as this config has so many steps and units."""
    steps = steps_of(config.task, config.length)
    return View(min(view.step, steps), min(view.unit, config.hidden), min(view.source, config.hidden), view.example)


def low(number: int) -> str:
    """A number as an index."""
    return "".join("₀₁₂₃₄₅₆₇₈₉"[int(digit)] for digit in str(number))


def tint(value: float, high: float = 1.0) -> str:
    """The colour of a value on the diverging scale."""
    if not math.isfinite(value):
        return "#c4608f"
    share = min(1.0, abs(value) / max(high, 1e-9))
    end = NEGATIVE if value < 0 else POSITIVE
    parts = [int(end[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(255 + (part - 255) * share):02x}" for part in parts)


def on_tint(value: float, high: float = 1.0) -> str:
    """Black or white, whichever is read on that colour."""
    return "#ffffff" if math.isfinite(value) and min(1.0, abs(value) / max(high, 1e-9)) > 0.8 else "#17212b"


# ---- unrolled --------------------------------------------------------------------------------------------------------


def unrolled(configs: Mapping[str, RNNConfig], snapshots: Mapping[str, Snapshot], view: View) -> Scene:
    """Both networks over time around the step that is looked at."""
    config = next(iter(configs.values()))
    view = within(config, view)
    figures = [
        (time_delays if name == "tdnn" else recurrence)(each, snapshots[name].state, view)
        for name, each in configs.items()
    ]
    words = t(
        f"第 {view.step} 步前后的网络：窗口只到 {config.delay} 步以前；循环网络每一步都用同一个权重。",
        f"The networks around step {view.step}: the window reaches {config.delay} steps back; the recurrent network uses the same weight at every step.",
    )
    return Scene(tuple(figures), words)


def shown_steps(config: RNNConfig, step: int) -> range:
    """The steps, from 0, that an unrolled network shows."""
    steps = steps_of(config.task, config.length)
    count = min(COLUMNS, steps)
    first = min(max(0, step - count + 1), steps - count)
    return range(first, first + count)


def column(number: int) -> float:
    return LEFT + APART * number


def inputs_row(figure: Figure, config: RNNConfig, seen: Seen, steps: range, y: float, hidden_from: int = 0) -> None:
    """What comes in at each step; what lies before `hidden_from` is out of sight and faint."""
    for number, step in enumerate(steps):
        x, value = column(number), seen.inputs[step]
        faint = step < hidden_from
        ink = "line" if faint else "muted"
        if config.task == "digits":
            figure.map(f"row{figure.height}{step}", value[None], x - 30, y - 9, 60, 18, scale="gray", low=0, high=1, hover=False)  # fmt: skip
            if faint:
                figure.rect(x - 30, y - 9, 60, 18, ink="none", hatch=True)
        else:
            marked = config.task == "adding" and value[1] > 0
            figure.circle(x, y, 21, ink=MARK if marked else ink, fill="panel", stroke=3 if marked else 1.5)
            figure.text(letter(config, value), x, y + 5, anchor="middle", size=15, bold=marked, ink="muted" if faint else "text")  # fmt: skip
        figure.text(f"t = {step + 1}", x, y + 41, anchor="middle", size=14, ink="muted")


def letter(config: RNNConfig, value: Tensor) -> str:
    """An input as it is written in a circle."""
    if config.task == "recall":
        return channels("recall")[int(value[:-1].argmax())] if value[:-1].any() else "·"
    if config.task == "copying":
        word = channels("copying")[int(value.argmax())]
        return {8: "·", 9: "?"}.get(int(value.argmax()), word)
    return plain(value[0].item())


def node(figure: Figure, x: float, y: float, value: float, high: float, now: bool) -> None:
    """One unit with its state in it."""
    figure.circle(x, y, 25, ink="text" if now else "muted", fill=tint(value, high), stroke=3.5 if now else 1.2)
    figure.text(plain(value), x, y + 5, anchor="middle", size=14, bold=True, ink=on_tint(value, high))


def reach_of(config: RNNConfig, states: Tensor) -> float:
    """The value that has the full colour."""
    return 1.0 if config.activation == "tanh" else max(finite(states).abs().max().item(), 1e-6)


def label(figure: Figure, text: str, x: float, y: float, ink: str = MARK) -> None:
    """Words on a line, readable over what lies under them."""
    wide = 7.6 * len(text) + 6
    figure.rect(x - wide / 2, y - 15, wide, 20, ink="none", fill="background", round=5, opacity=0.85)
    figure.text(text, x, y, anchor="middle", size=14, bold=True, ink=ink)


def time_delays(config: RNNConfig, state: dict[str, Tensor], view: View) -> Figure:
    """The time-delay network: at the step that is looked at every input of its window, and no other."""
    figure, seen = Figure(WIDTH, HEIGHT["tdnn"]), look(config, state, view.example)
    steps, unit, now = shown_steps(config, view.step - 1), view.unit - 1, view.step - 1
    top, bottom, oldest = 82.0, 176.0, view.step - 1 - config.delay
    figure.text(term("tdnn"), 12, 24, bold=True, size=17)
    weight = state["cell.weight"]
    share = min(1, config.delay)  # the marked weight reads the input of so many steps before
    channel = int(weight[unit, :, share].abs().argmax())
    marked = weight[unit, channel, share].item()
    for number, step in enumerate(steps):
        if max(0, oldest) <= step <= now and step != now - share:
            figure.line(column(number), bottom - 22, column(now - steps[0]), top + 27, ink="muted", width=2)
    for number, step in enumerate(steps):
        source = number - share
        if source >= 0:
            current = step == now
            figure.line(column(source), bottom - 22, column(number), top + 27, ink=MARK, width=4 if current else 1.6, arrow=current)  # fmt: skip
    if oldest > 0:
        figure.text(t(f"第 1–{oldest} 步已看不见", f"steps 1–{oldest}: out of sight"), WIDTH - 12, 24, anchor="end", size=15, ink=POSITIVE, bold=True)  # fmt: skip
    else:
        figure.text(t("窗口里还有第 1 步", "step 1 is still in the window"), WIDTH - 12, 24, anchor="end", size=15, ink="muted")  # fmt: skip
    high = reach_of(config, seen.hidden)
    inputs_row(figure, config, seen, steps, bottom, oldest)
    begin = max(oldest, steps[0])
    left = 16.0 if oldest < steps[0] else column(begin - steps[0]) - 36
    right = column(now - steps[0]) + 36
    figure.rect(left, bottom - 29, right - left, 78, ink="text", stroke=2, dash="6 5", round=12)
    for number, step in enumerate(steps):
        node(figure, column(number), top, seen.hidden[step + 1, unit].item(), high, step == now)
        source = number - share
        if source >= 0:
            label(figure, plain(marked), (column(source) + column(number)) / 2 - (20 if share else 0), (top + bottom) / 2 + 7)  # fmt: skip
    figure.text(f"h{low(view.unit)}", 18, top + 5, anchor="middle", size=16, ink="muted")
    return figure


def recurrence(config: RNNConfig, state: dict[str, Tensor], view: View) -> Figure:
    """The recurrent network: the last state comes in again, through the same weights at every step; and the sum of now."""
    figure, seen = Figure(WIDTH, HEIGHT["rnn"]), look(config, state, view.example)
    steps, unit, source, now = shown_steps(config, view.step - 1), view.unit - 1, view.source - 1, view.step - 1
    past, top, bottom = 72.0, 152.0, 246.0
    if source == unit:
        past = top = 112.0  # one row is enough, in the middle of the same height
    weights = state["cell.weight_hh_l0"][unit]
    marked, high = weights[source].item(), reach_of(config, seen.hidden)
    figure.text(term("rnn"), 12, 24, bold=True, size=17)
    name = f"u{low(view.unit)},{low(view.source)}"
    figure.text(t(f"每一步同一个 {name}", f"the same {name} at every step"), WIDTH - 12, 24, anchor="end", size=15, bold=True, ink=MARK)  # fmt: skip
    for number, step in enumerate(steps):
        x = column(number)
        figure.line(x, bottom - 24, x, top + 29, ink="text" if step == now else "muted", width=2.5 if step == now else 1.5, arrow=True)  # fmt: skip
        if step:
            along = math.hypot(APART, top - past)
            across, down = APART / along, (top - past) / along
            begin = 27.0 if number else along - (x - 6) / across  # the one before the first step shown is out of sight
            figure.line(
                x - APART + begin * across, past + begin * down, x - 29 * across, top - 29 * down,
                ink=MARK, width=4.5 if step == now else 2.5, arrow=True,
            )  # fmt: skip
    inputs_row(figure, config, seen, steps, bottom)
    for number, step in enumerate(steps):
        node(figure, column(number), top, seen.hidden[step + 1, unit].item(), high, step == now)
        if source != unit:
            node(figure, column(number), past, seen.hidden[step + 1, source].item(), high, step == now - 1)
        if step and number:
            x = column(number) - APART / 2
            label(figure, plain(marked), x + (24 if source != unit else 0), top - 40 if source != unit else top - 30)
    figure.text(
        f"h{low(view.unit)}", 18, top - 14 if source == unit else top + 5, anchor="middle", size=16, ink="muted"
    )
    if source != unit:
        figure.text(f"h{low(view.source)}", 18, past + 5, anchor="middle", size=16, ink=MARK)
    arithmetic(figure, config, seen, weights, view, name)
    return figure


def arithmetic(figure: Figure, config: RNNConfig, seen: Seen, weights: Tensor, view: View, name: str) -> None:
    """The sum of the step that is looked at, with its numbers."""
    unit, source, now = view.unit - 1, view.source - 1, view.step - 1
    before = seen.hidden[now]
    y = 328.0
    figure.line(12, y - 26, WIDTH - 12, y - 26, ink="line")
    left, width = 118.0, 350.0
    products = weights * before
    rows = (
        ("h(t−1)", before, reach_of(config, seen.hidden), None),
        (f"u{low(view.unit)}", weights, None, True),
        (t("乘积", "product"), products, None, None),
    )
    for number, (word, values, high, pick) in enumerate(rows):
        at = y + 25 * number
        figure.text(word, left - 10, at + 15, anchor="end", size=15, ink="muted")
        figure.map(
            "weights" if pick else f"strip{number}", finite(values)[None], left, at, width, 20, high=high,
            pick=bool(pick), label=t("选另一个权重", "choose another weight") if pick else "",
        )  # fmt: skip
    cell = width / config.hidden
    figure.rect(left + source * cell - 1, y - 4, cell + 2, 78, ink=MARK, stroke=2.5, round=3)
    past, pushed, z, h = (
        part.item() for part in (seen.from_past[now, unit], seen.from_input[now, unit], seen.net_input[now, unit], seen.hidden[now + 1, unit])
    )  # fmt: skip
    figure.text(f"Σ = {plain(past)}", left + width + 12, y + 65, size=15, bold=True)
    weight, state, product = (values[source].item() for values in (weights, before, products))
    one = f"{name} · h{low(view.source)}(t−1) = {plain(weight)} × {plain(state)} {equals(as_written(weight) * as_written(state), product)} {plain(product)}"
    figure.text(one, left, y + 97, size=14, ink=MARK, bold=True)
    bias = z - past - pushed
    squash = "tanh" if config.activation == "tanh" else "ReLU"
    squashed = activated(torch.tensor(as_written(z)), config.activation).item()
    total = f"h{low(view.unit)} = {squash}({signed(pushed, first=True)} {signed(past)} {signed(bias)}) {equals(sum(map(as_written, (pushed, past, bias))), z)} {squash}({plain(z)}) {equals(squashed, h)} {plain(h)}"
    figure.text(total, 12, y + 126, size=16, bold=True)
    parts = t(
        f"输入 {plain(pushed)}，过去 {plain(past)}，偏置 {plain(bias)}",
        f"from the input {plain(pushed)}, from the past {plain(past)}, bias {plain(bias)}",
    )
    figure.text(parts, 12, y + 147, size=14, ink="muted")


def signed(value: float, first: bool = False) -> str:
    """A term of a sum."""
    text = plain(abs(value)) if math.isfinite(value) else plain(value)
    minus = value < 0 and text != "0"
    return ("−" if minus else "") + text if first else ("− " if minus else "+ ") + text


# ---- states over time ------------------------------------------------------------------------------------------------


def states(configs: Mapping[str, RNNConfig], snapshots: Mapping[str, Snapshot], view: View) -> Scene:
    """What comes in, the hidden state and the answer of both networks, over all steps."""
    config = next(iter(configs.values()))
    view = within(config, view)
    figures = tuple(history(each, snapshots[name].state, view, name) for name, each in configs.items())
    words = t(
        f"两个网络从第 1 步到第 {steps_of(config.task, config.length)} 步：输入、隐状态、每一步的回答。",
        f"Both networks from step 1 to step {steps_of(config.task, config.length)}: inputs, hidden states, and the answer after each step.",
    )
    return Scene(figures, words)


def history(config: RNNConfig, state: dict[str, Tensor], view: View, name: str) -> Figure:
    """Inputs, hidden state and answers of one network over time."""
    seen, now = look(config, state, view.example), view.step - 1
    shape = task_of(config.task)
    left, width = 74.0, NARROW - 88.0
    tall = {"recall": 90, "adding": 44, "copying": 150, "digits": 120}.get(config.task, 0)
    deep = (84 if config.task == "recall" else 150) if shape.classes else 130
    figure = Figure(NARROW, 70 + (tall or 100) + 210 + 40 + deep + 62)
    figure.text(term(name), left, 22, bold=True, size=17)
    y = 66.0
    steps = len(seen.inputs)
    input_title = (
        t("输入：每步一行像素", "Input: one row of pixels per step") if config.task == "digits" else t("输入", "Input")
    )
    if tall:
        over_time(figure, f"{name} inputs", seen.inputs, left, y, width, tall, title=input_title, rows=channels(config.task), axis=False, now=now, scale="sequential", low=0, high=1)  # fmt: skip
        y += tall
    else:
        lines(figure, config, [(seen.inputs[:, 0], "text", None)], (left, y, width, 100), input_title, now)
        y += 100
    if name == "tdnn":
        oldest = max(0, now - config.delay)
        cell = width / steps
        figure.rect(left + oldest * cell, y + 4, (now - oldest + 1) * cell, 5, ink="none", fill=MARK)
    y += 40
    over_time(
        figure, f"{name} hidden", finite(seen.hidden[1:]), left, y, width, 180,
        title=t(f"隐状态：{config.hidden} 个单元", f"Hidden state: {config.hidden} units"), row_title=t("单元", "unit"), axis=False, now=now,
        high=reach_of(config, seen.hidden), pick=True,
        label=t("选一步和一个单元", "choose a step and a unit"),
    )  # fmt: skip
    row = 180 / config.hidden
    figure.rect(left, y + (view.unit - 1) * row, width, row, ink=MARK, stroke=2)
    y += 180 + 42
    if shape.classes:
        title = t("如果这时就问：各类的概率", "If asked now: probabilities")
        over_time(figure, f"{name} answers", softmax_of(seen.answers), left, y, width, deep, title=title, rows=answers(config.task), now=now, scale="sequential", low=0, high=1)  # fmt: skip
        right_answers(figure, config, seen, left, y, width / steps, deep / shape.output_size)
    else:
        wanted = seen.targets[:, 0] if shape.every_step else torch.full((steps,), seen.targets.item())
        title = t("回答（橙）与正确值（虚线）", "Answer (orange) and right value (dashed)")
        if config.task in SERIES_TASKS:
            wanted = torch.cat([seen.inputs[1:, 0], seen.targets[-1:, 0]])
        lines(figure, config, [(wanted, "text", "5 5"), (seen.answers[:, 0], POSITIVE, None)], (left, y, width, deep), title, now, axis=True)  # fmt: skip
    figure.text(t("步 t", "step t"), left + width, figure.height - 6, anchor="end", size=14, ink="muted")
    return figure


def right_answers(
    figure: Figure, config: RNNConfig, seen: Seen, left: float, y: float, cell: float, row: float
) -> None:
    """A frame around the right class of each step that is asked."""
    steps = len(seen.inputs)
    targets = seen.targets.tolist() if seen.targets.dim() else [UNASKED] * (steps - 1) + [seen.targets.item()]
    for step, target in enumerate(targets):
        if target != UNASKED and not (config.task == "copying" and target == len(answers("copying")) - 1):
            figure.rect(left + step * cell, y + target * row, cell, row, ink=MARK, stroke=2.5, round=2)
    if not seen.targets.dim():
        said = int(finite(seen.answers[-1]).argmax())
        good = said == targets[-1]
        word = answers(config.task)[said] + (" ✓" if good else " ✗")
        figure.text(t(f"最后回答 {word}", f"last answer {word}"), left + steps * cell, y - 7, anchor="end", size=15, bold=True, ink="text" if good else POSITIVE)  # fmt: skip


def lines(
    figure: Figure, config: RNNConfig, curves: list, box: tuple, title: str, now: int, axis: bool = False
) -> None:
    """Values over time as lines, the step that is looked at as a band."""
    left, y, width, height = box
    steps = len(curves[0][0])
    everything = torch.cat([finite(values)[finite(values).abs() < 10] for values, _, _ in curves])
    bottom, top = (everything.min().item(), everything.max().item()) if len(everything) else (0.0, 1.0)
    margin = 0.1 * (top - bottom) or 0.5
    bottom, top = bottom - margin, top + margin
    plot = Plot(figure, box, (-0.5, steps - 0.5), (bottom, top))
    figure.text(title, left, y - 8, size=15, bold=True)
    cell = width / steps
    figure.rect(left + now * cell, y, cell, height, ink="text", stroke=2, round=2)
    named = {}
    if axis:
        stride = next(s for s in (1, 2, 5, 10, 20, 50) if s >= steps / 9 or s == 50)
        named = {
            step: str(step + 1) for step in (0, *range(stride - 1, steps, stride)) if step == 0 or step * cell > 40
        }
    plot.ground(named, {value: plain(value, 2) for value in round_steps(bottom, top, 3)})
    for values, ink, dash in curves:
        plot.line(0, values.tolist(), ink=ink, width=2.4, dash=dash)
        if steps < 12:
            for step, value in enumerate(values.tolist()):
                if math.isfinite(value):
                    figure.circle(plot.x(step), plot.y(value), 3, ink="none", fill=ink)


# ---- forecasts -------------------------------------------------------------------------------------------------------


def forecasts(configs: Mapping[str, RNNConfig], snapshots: Mapping[str, Snapshot], known: int, example: int) -> Scene:
    """Both networks' forecasts ahead of the data."""
    config = next(iter(configs.values()))
    made = {name: forecast(each, snapshots[name].state, known, example, BACK) for name, each in configs.items()}
    first = next(iter(made.values()))
    mean, deviation = standard_of(config.task, config.series) if config.task in SERIES_TASKS else (0.0, 1.0)
    start = max(0, first.known - BACK)
    figure = ahead_of_data(
        first.values * deviation + mean, first.known,
        {term(name): (each.first, finite(each.one_ahead) * deviation + mean, finite(each.ahead) * deviation + mean) for name, each in made.items()},
        width=WIDTH, height=270, start=start, first=FIRST_YEAR if config.task == "sunspots" else 1,
        x_title=t("年", "year") if config.task == "sunspots" else t("步", "step"),
        y_title=t("黑子数", "sunspot number") if config.task == "sunspots" else t("值", "value"),
    )  # fmt: skip
    errors = t("；", "; ").join(
        t(f"{term(name)}的误差 {plain(miss(each))}", f"error of {term(name)}: {plain(miss(each))}")
        for name, each in made.items()
        if miss(each) is not None
    )
    return Scene((figure,), t(f"数据和它之后的预测。{errors}", f"The data, and forecasts ahead of them. {errors}"))


def miss(made) -> float | None:
    """The root mean squared error of the values far ahead, as far as the data go, in deviations; None where they end."""
    there = made.values[made.known : made.known + len(made.ahead)]
    return None if len(there) == 0 else (there - made.ahead[: len(there)]).square().mean().sqrt().item()


def guess_of(config: RNNConfig) -> str:
    """The loss without a memory, for a caption; empty where no formula gives it."""
    loss = memoryless_loss(config.task, config.length)
    return "" if loss is None else plain(loss)
