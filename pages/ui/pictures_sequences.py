"""Pictures that the recurrent lessons share: a heat map over time with its axis, a sequence, a forecast ahead of the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from core.data.sequences import COPIED_SYMBOLS, RECALL_SYMBOLS
from pages.ui.palette import MUTED, SERIES
from pages.ui.scene import Figure
from pages.ui.text import t

LETTERS = "ABCDEFGHIJ"
HUGE = 1e6  # a diverged number is drawn as this


def tasks() -> dict[str, str]:
    """What the tasks are called."""
    return {
        "recall": t("延迟回忆：第一个字母是什么？", "Delayed recall: which letter was the first?"),
        "adding": t("加法：两个有标记的数之和", "Adding: the sum of two marked numbers"),
        "copying": t("复制：过一会儿再说一遍", "Copying: say it again after a delay"),
        "sines": t("正弦混合：下一个值", "Mixed sines: the next value"),
        "sunspots": t("太阳黑子：下一年", "Sunspots: the next year"),
        "digits": t("手写数字：一行一行地看", "Digits: read row by row"),
        "own": t("自己的序列（CSV）", "Your own series (CSV)"),
    }


def channels(task: str) -> tuple[str, ...]:
    """What the rows of a task's inputs are called, from the first."""
    if task == "recall":
        return (*LETTERS[:RECALL_SYMBOLS], t("第一步", "first"))
    if task == "adding":
        return (t("数", "value"), t("标记", "mark"))
    if task == "copying":
        return (*LETTERS[:COPIED_SYMBOLS], t("空", "blank"), t("复述", "go"))
    if task == "digits":
        return tuple(map(str, range(1, 9)))
    return ("x",)


def answers(task: str) -> tuple[str, ...]:
    """What the classes of a task are called; none where values are asked."""
    if task == "recall":
        return tuple(LETTERS[:RECALL_SYMBOLS])
    if task == "copying":
        return (*LETTERS[:COPIED_SYMBOLS], t("空", "blank"))
    return tuple(map(str, range(10))) if task == "digits" else ()


def plain(value: float, digits: int = 3) -> str:
    """A number for a reader: sensible digits and a real minus."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "?"
    size = abs(value)
    text = f"{value:.1e}" if size >= 1e5 else f"{value:.0f}" if size >= 1000 else f"{value:.{digits - 1}f}"
    return text.replace("-", "−") if float(text) else "0"


def as_written(value: float, form: Callable[[float], str] = plain) -> float:
    """A number as its reader has it, rounded."""
    return float(form(value).replace("−", "-")) if math.isfinite(value) else value


def equals(written: float, result: float, form: Callable[[float], str] = plain) -> str:
    """ "=" before a result that the written numbers give too, "≈" before one that shows that they are rounded."""
    return "=" if form(written) == form(result) else "≈"


def over_time(
    figure: Figure,
    name: str,
    values: Tensor,
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    title: str = "",
    rows: tuple[str, ...] = (),
    row_title: str = "",
    axis: bool = True,
    first: int = 1,
    now: int | None = None,
    **options,
) -> None:
    """A heat map of `values` (T, rows), time to the right, with the steps under it.

    Args:
        rows: what each row is called, if they are few; else `row_title` says what they all are.
        first: the number of the first step.
        now: the column that is looked at, from 0; it gets a frame.
        options: of `Figure.map`.
    """
    steps, count = values.shape
    figure.map(name, values.T.contiguous(), x, y, width, height, title=title, **options)
    cell, row = width / steps, height / count
    if rows and row >= 13:
        for number, word in enumerate(rows):
            figure.text(word, x - 7, y + (number + 0.5) * row + 5, anchor="end", size=14, ink="muted")
    elif row_title:
        figure.text(row_title, x - 10, y + height / 2, anchor="middle", size=14, ink="muted", turn=-90)
    if axis:
        for step in ticks(steps, width):
            figure.text(str(first + step), x + (step + 0.5) * cell, y + height + 18, anchor="middle", size=14, ink="muted")  # fmt: skip
    if now is not None and 0 <= now < steps:
        figure.rect(x + now * cell, y - 3, cell, height + 6, ink="text", stroke=2.5, round=2)


def ticks(steps: int, width: float, apart: float = 46) -> list[int]:
    """The steps, from 0, whose numbers are written: first and last, and round ones so far apart that none touches."""
    least = max(1, apart * steps / width)
    stride = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200) if s >= least or s == 200)
    inner = [step - 1 for step in range(stride, steps + 1, stride)]
    if stride > 1:
        inner = [0, *[step for step in inner if step * width / steps >= apart]]
    return inner


def finite(values: Tensor) -> Tensor:
    """The numbers as they can be drawn."""
    return values.nan_to_num(0.0, HUGE, -HUGE).clamp(-HUGE, HUGE)


class Plot:
    """A plane for lines: data coordinates to places on a figure."""

    def __init__(self, figure: Figure, box: tuple[float, float, float, float], across: tuple, up: tuple):
        self.figure, (self.left, self.top, self.width, self.height) = figure, box
        (self.x0, self.x1), (self.y0, self.y1) = across, up

    def x(self, value: float) -> float:
        return self.left + (value - self.x0) / max(self.x1 - self.x0, 1e-9) * self.width

    def y(self, value: float) -> float:
        value = min(max(value, self.y0), self.y1) if value == value else self.y0
        return self.top + (self.y1 - value) / max(self.y1 - self.y0, 1e-9) * self.height

    def line(self, start: float, values: list[float], **look) -> None:
        """Values at start, start + 1, …; what is no finite number is a gap, what lies outside runs along the edge."""
        parts, pen = [], False
        for step, value in enumerate(values):
            if math.isfinite(value):
                parts.append(f"{'L' if pen else 'M'}{self.x(start + step):.1f} {self.y(value):.1f}")
            pen = math.isfinite(value)
        if parts:
            self.figure.path("".join(parts), **look)

    def ground(self, x_values: Mapping[float, str], y_values: Mapping[float, str]) -> None:
        """A frame of two axes with these numbers on them."""
        bottom = self.top + self.height
        self.figure.line(self.left, bottom, self.left + self.width, bottom, ink="line", width=1.5)
        for value, word in y_values.items():
            self.figure.line(self.left, self.y(value), self.left + self.width, self.y(value), ink="line", width=1)
            self.figure.text(word, self.left - 8, self.y(value) + 5, anchor="end", size=14, ink="muted")
        for value, word in x_values.items():
            self.figure.text(word, self.x(value), bottom + 20, anchor="middle", size=14, ink="muted")


def round_steps(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers between two, about `count` of them."""
    span = max(high - low, 1e-9) / count
    size = 10 ** math.floor(math.log10(span))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= span)
    return [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def ahead_of_data(
    values: Tensor,
    known: int,
    lines: Mapping[str, tuple[int, Tensor, Tensor]],
    *,
    width: float,
    height: float,
    start: int = 0,
    first: float = 0,
    x_title: str = "",
    y_title: str = "",
) -> Figure:
    """A series, and forecasts that run on past what is known.

    Args:
        values: (N,) the data.
        known: from here on the forecasts see nothing.
        lines: name → (place of the first, one step ahead (M,), far ahead from `known` on (A,)).
        start: the first place that is drawn.
        first: what place 0 is called on the axis: a year.
    """
    figure = Figure(width, height)
    ahead = max(len(far) for _, _, far in lines.values())
    last = max(len(values) - 1, known + ahead - 1)
    shown = finite(values)
    low, high = shown.min().item(), shown.max().item()
    margin = 0.14 * (high - low)
    low, high = low - margin, high + margin
    plot = Plot(figure, (58, 44, width - 76, height - 92), (start, last), (low, high))
    named = round_steps(first + start, first + last, max(3, int(width / 130)))
    plot.ground(
        {value - first: f"{value:g}" for value in named},
        {value: plain(value) if abs(value) < 10 else f"{value:g}" for value in round_steps(low, high)},
    )
    unseen = plot.x(known - 0.5)
    figure.rect(unseen, plot.top, plot.left + plot.width - unseen, plot.height, ink="none", fill=MUTED, opacity=0.12)
    plot.line(start, shown[start:].tolist(), ink="text", width=2.2)
    words = [(t("数据", "data"), "text", None)]
    for number, (name, (place, near, far)) in enumerate(lines.items()):
        colour = SERIES[(0, 1, 2, 3)[number % 4]]
        skipped = max(0, start - place)
        plot.line(place + skipped, near[skipped:].tolist(), ink=colour, width=1.4, opacity=0.55)
        joined = [shown[known - 1].item(), *far.tolist()] if 0 < known <= len(shown) else far.tolist()
        plot.line(known - (len(joined) - len(far)), joined, ink=colour, width=3, dash=None if number % 2 else "7 4")
        words.append((name, colour, None if number % 2 else "7 4"))
    place = 58.0
    for word, colour, dash in words:
        figure.line(place, 20, place + 28, 20, ink=colour, width=3, dash=dash)
        figure.text(word, place + 35, 25, size=15)
        place += 62 + 15 * sum(1.0 if ord(letter) > 255 else 0.55 for letter in word)
    if x_title:
        figure.text(x_title, plot.left + plot.width, height - 6, anchor="end", size=14, ink="muted")
    if y_title:
        figure.text(y_title, 16, plot.top + plot.height / 2, anchor="middle", size=14, ink="muted", turn=-90)
    return figure


def softmax_of(answers: Tensor) -> Tensor:
    """Scores (…, classes) as shares of one."""
    return torch.softmax(finite(answers), -1)
