"""The sequences that the recurrent lessons learn: generated ones, real ones, and somebody's own series.

Time comes first everywhere. Sources: the adding problem and long time lags, Hochreiter & Schmidhuber 1997; copying,
Arjovsky, Shah & Bengio 2016.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from core.config import SettingError, Span
from core.data.digits import load
from core.data.sunspots import yearly_sunspots

TASKS = ("recall", "adding", "copying", "sines", "sunspots", "digits", "own")
SERIES_TASKS = ("sunspots", "own")  # one long series, of which windows are cut

RECALL_SYMBOLS = 4  # delayed recall: one of so many is to be remembered
COPIED_SYMBOLS = 8  # copying: so many different ones …
COPIED = 10  # … and so many of them to be repeated
BLANK, GO = COPIED_SYMBOLS, COPIED_SYMBOLS + 1  # copying: the channels of nothing and of "repeat now"
PERIODS = (6.0, 24.0)  # sine mixtures: steps that one swing takes, from … to
DIGIT_ROWS = 8
SERIES_LENGTHS = range(12, 2001)  # how many values a series of one's own has
SERIES_LIMIT = 1e30  # and how large they are at most
HELD_OUT_SHARE = 0.2  # of a series: its end
HELD_OUT_COUNT = 256  # generated sequences that are held out
HELD_OUT_SEED = 1_000_003  # no run has this seed: its sequences are not those that anybody trains on
UNASKED = -1  # a class target where nothing is asked; a value target is NaN there


class Sequences(NamedTuple):
    """Sequences and what is to be said of them."""

    inputs: Tensor  # (T, B, D)
    targets: Tensor  # classes: long, (B,) at the last step or (T, B); values: float, (B, 1) or (T, B, 1)


class Task(NamedTuple):
    """The shape of a task."""

    input_size: int
    output_size: int
    classes: bool  # else values
    every_step: bool  # an answer after each step, else only after the last


def check_series(task: str, series: tuple[float, ...]) -> None:
    """Raise SettingError unless all of a series is within reach and, where it is asked, there is one to learn from."""
    if not all(abs(value) <= SERIES_LIMIT for value in series):  # NaN is not either
        raise SettingError("series", "a value out of reach", Span(-SERIES_LIMIT, SERIES_LIMIT))
    if task == "own":
        if len(series) not in SERIES_LENGTHS:
            raise SettingError("series", len(series), SERIES_LENGTHS)
        if len(set(series[: len(series) // 2])) < 2:  # within the training part, whatever its share
            raise SettingError("series", "a constant one", SERIES_LENGTHS)


def task_of(name: str) -> Task:
    """The shape of one of TASKS.

    Raises:
        ValueError: `name` is none of TASKS.
    """
    tasks = {
        "recall": Task(RECALL_SYMBOLS + 1, RECALL_SYMBOLS, classes=True, every_step=False),
        "adding": Task(2, 1, classes=False, every_step=False),
        "copying": Task(COPIED_SYMBOLS + 2, COPIED_SYMBOLS + 1, classes=True, every_step=True),
        "sines": Task(1, 1, classes=False, every_step=True),
        "sunspots": Task(1, 1, classes=False, every_step=True),
        "digits": Task(DIGIT_ROWS, 10, classes=True, every_step=False),
        "own": Task(1, 1, classes=False, every_step=True),
    }
    if name not in tasks:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {name!r}")
    return tasks[name]


def steps_of(name: str, length: int) -> int:
    """How many steps T the sequences of a task have: copying needs 20 beside the delay `length`."""
    return length + 2 * COPIED if name == "copying" else length


def memoryless_loss(name: str, length: int) -> float | None:
    """The loss of the best answer that knows nothing of the past, where a formula gives it.

    Delayed recall: ln 4, a guess among the symbols. Adding: 1/6, the variance of the sum, whose mean is 1. Copying:
    10 ln 8 / (T + 20), blanks are certain and the ten symbols are guessed.
    """
    return {
        "recall": math.log(RECALL_SYMBOLS),
        "adding": 1 / 6,
        "copying": COPIED * math.log(COPIED_SYMBOLS) / (length + 2 * COPIED),
    }.get(name)


def draw_sequences(
    name: str,
    length: int,
    count: int,
    generator: torch.Generator,
    distractors: float = 0.0,
    series: tuple[float, ...] = (),
) -> Sequences:
    """`count` training sequences: new ones of a generated task, and of real data picked with replacement.

    Args:
        name: one of TASKS.
        length: T; for "copying" the delay between what is shown and when it is to be repeated.
        distractors: of "recall": how likely each later step shows another symbol (0–1).
        series: of "own": the values, in order.

    Raises:
        ValueError: no such task, or a series that is too short for the length.
    """
    if name == "recall":
        return recall(length, count, generator, distractors)
    if name == "adding":
        return adding(length, count, generator)
    if name == "copying":
        return copying(length, count, generator)
    if name == "sines":
        return sines(length, count, generator)
    if name == "digits":
        digits = load()
        chosen = torch.randint(len(digits.train_labels), (count,), generator=generator)
        return Sequences(as_rows(digits.train_images[chosen], length), digits.train_labels[chosen])
    windows = training_windows(name, length, series)
    chosen = torch.randint(windows.inputs.shape[1], (count,), generator=generator)
    return Sequences(windows.inputs[:, chosen], windows.targets[:, chosen])


@lru_cache(maxsize=32)
def held_out(name: str, length: int, distractors: float = 0.0, series: tuple[float, ...] = ()) -> Sequences:
    """Sequences that nobody trains on, the same for every seed; to be read and never written.

    Of a generated task HELD_OUT_COUNT. Of the digits the test part. Of a series one window for each of its last values
    (HELD_OUT_SHARE): what came before is seen, and only the value itself is asked.
    """
    if name == "digits":
        digits = load()
        return Sequences(as_rows(digits.test_images, length), digits.test_labels)
    if name in SERIES_TASKS:
        values = standardised(name, series)
        windows = cut_windows(values[split_at(len(values)) - length :], length)
        return only_the_last(windows)
    generator = torch.Generator().manual_seed(HELD_OUT_SEED)
    return draw_sequences(name, length, HELD_OUT_COUNT, generator, distractors)


def only_the_last(sequences: Sequences) -> Sequences:
    """The same, asked at the last step alone: the first steps of a window know too little to be measured."""
    targets = torch.full_like(sequences.targets, math.nan)
    targets[-1] = sequences.targets[-1]
    return Sequences(sequences.inputs, targets)


# ---- generated -------------------------------------------------------------------------------------------------------


def recall(length: int, count: int, generator: torch.Generator, distractors: float = 0.0) -> Sequences:
    """Delayed recall: which symbol was the first? Asked after the last step.

    Channels 0–3 show a symbol, channel 4 marks the first step; later steps are empty, or show a symbol that means nothing.
    """
    symbols = torch.randint(RECALL_SYMBOLS, (length, count), generator=generator)
    shown = torch.rand(length, count, generator=generator) < distractors
    shown[0] = True
    inputs = torch.zeros(length, count, RECALL_SYMBOLS + 1)
    inputs[..., :RECALL_SYMBOLS] = F.one_hot(symbols, RECALL_SYMBOLS) * shown[..., None]
    inputs[0, :, RECALL_SYMBOLS] = 1
    return Sequences(inputs, symbols[0])


def adding(length: int, count: int, generator: torch.Generator) -> Sequences:
    """The adding problem: the sum of the two marked values, one in either half of the sequence.

    Channel 0 are values of U(0, 1), channel 1 marks two of them.
    """
    values = torch.rand(length, count, generator=generator)
    half = length // 2
    first = torch.randint(half, (count,), generator=generator)
    second = torch.randint(half, length, (count,), generator=generator)
    everyone = torch.arange(count)
    marks = torch.zeros(length, count)
    marks[first, everyone] = marks[second, everyone] = 1
    return Sequences(torch.stack([values, marks], 2), (values[first, everyone] + values[second, everyone])[:, None])


def copying(length: int, count: int, generator: torch.Generator) -> Sequences:
    """Copying: ten symbols, blanks for `length` steps whose last one says "repeat", then the same ten to be said.

    Channels 0–7 show a symbol, 8 a blank, 9 the signal; blank is to be said until the signal has come.
    """
    symbols = torch.randint(COPIED_SYMBOLS, (COPIED, count), generator=generator)
    shown = torch.full((length + 2 * COPIED, count), BLANK)
    shown[:COPIED] = symbols
    shown[COPIED + length - 1] = GO
    wanted = torch.full((length + 2 * COPIED, count), BLANK)
    wanted[COPIED + length :] = symbols
    return Sequences(F.one_hot(shown, COPIED_SYMBOLS + 2).float(), wanted)


def sines(length: int, count: int, generator: torch.Generator) -> Sequences:
    """Mixtures of two sines of random periods and phases, within −1…1: after each step, what comes next?"""
    low, high = PERIODS
    periods = low * (high / low) ** torch.rand(2, 1, count, generator=generator)
    phases = 2 * math.pi * torch.rand(2, 1, count, generator=generator)
    share = 0.3 + 0.4 * torch.rand(1, count, generator=generator)
    waves = torch.sin(2 * math.pi * torch.arange(length + 1)[:, None] / periods + phases)  # (2, T + 1, B)
    values = (share * waves[0] + (1 - share) * waves[1])[..., None]
    return Sequences(values[:-1], values[1:])


# ---- real ------------------------------------------------------------------------------------------------------------


def as_rows(images: Tensor, length: int) -> Tensor:
    """Digits (B, 1, 8, 8) row by row (T, B, 8): the first rows of a short sequence, empty ones at the end of a long one."""
    rows = images[:, 0].transpose(0, 1)[:length]
    return torch.cat([rows, rows.new_zeros(length - len(rows), *rows.shape[1:])])


def split_at(size: int) -> int:
    """Which place of a series of `size` values is the first that is held out."""
    return size - math.ceil(size * HELD_OUT_SHARE)


def longest_window(size: int) -> int:
    """The largest length for a series of `size` values: two windows are left to train on."""
    return split_at(size) - 2


class Standard(NamedTuple):
    """How a series was moved: shown = (value − mean) / deviation."""

    mean: float
    deviation: float


@lru_cache(maxsize=32)
def standard_of(name: str, series: tuple[float, ...] = ()) -> Standard:
    """Mean and standard deviation of the training part: the future is not looked at.

    Raises:
        ValueError: all of its values are the same.
    """
    values = torch.tensor(raw_series(name, series), dtype=torch.float64)
    known = values[: split_at(len(values))]
    deviation, mean = torch.std_mean(known, correction=0)
    if not deviation > 0:
        raise ValueError("a series of one value only has nothing to be learned")
    return Standard(mean.item(), deviation.item())


@lru_cache(maxsize=32)
def standardised(name: str, series: tuple[float, ...] = ()) -> Tensor:
    """The whole series (N,) with mean 0 and deviation 1 in its training part; to be read and never written."""
    mean, deviation = standard_of(name, series)
    return ((torch.tensor(raw_series(name, series), dtype=torch.float64) - mean) / deviation).float()


def raw_series(name: str, series: tuple[float, ...] = ()) -> tuple[float, ...]:
    return yearly_sunspots() if name == "sunspots" else series


@lru_cache(maxsize=8)
def training_windows(name: str, length: int, series: tuple[float, ...] = ()) -> Sequences:
    """All windows of the training part, whose targets are the same one step later; to be read and never written.

    Raises:
        ValueError: the series is too short for the length, or none of TASKS is called so.
    """
    task_of(name)
    values = standardised(name, series)
    if length > longest_window(len(values)):
        raise ValueError(f"a series of {len(values)} values has windows of at most {longest_window(len(values))} steps")
    return cut_windows(values[: split_at(len(values))], length)


def cut_windows(values: Tensor, length: int) -> Sequences:
    """All stretches of `length` values (N,), and each value's successor, as sequences of one channel."""
    windows = values.unfold(0, length + 1, 1).T[..., None]  # (T + 1, B, 1)
    return Sequences(windows[:-1].contiguous(), windows[1:].contiguous())
