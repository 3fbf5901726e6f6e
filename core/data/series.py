"""Somebody's own series: one column of a CSV file, in its order, with a name for everything that was repaired on the way."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from core.data.sequences import SERIES_LENGTHS, SERIES_LIMIT
from core.data.tables import Cells, Repair, TableError, cut_up, is_numeric, numbers_of, text_of

SIGNIFICANT = 6  # digits of a value: it will be written out in a script
SERIES_REASONS = (  # beside those of a table: why a file cannot be used
    "no_numbers",  # no column of numbers
    "short",  # less than SERIES_LENGTHS allows; the detail is how many values there are
    "huge",  # a value of more than SERIES_LIMIT
    "flat",  # its first half, which is trained on at least, has one value only
)
SERIES_REPAIRS = (  # beside those of a table: what can be put right
    "filled",  # so many missing values lie on the line between their neighbours
    "reversed",  # the newest came first
)


class Series(NamedTuple):
    """A column of numbers in the order of time."""

    values: tuple[float, ...]
    column: str  # its name
    numeric: tuple[str, ...]  # the names of all columns of numbers
    repairs: tuple[Repair, ...]


def read_series(data: bytes, column: str = "") -> Series:
    """A series from a CSV file with one value in a row; of a long one the last values.

    Args:
        column: its name; else the last column of numbers that neither just counts the rows nor stands still.

    Raises:
        TableError: the file cannot be used.
    """
    repairs: list[Repair] = []
    names, columns = latest_rows(text_of(data, repairs, in_order=True), repairs)
    numbers = dict(zip(names, map(numbers_of, columns), strict=True))
    cells = dict(zip(names, columns, strict=True))
    numeric = tuple(name for name in names if is_numeric(cells[name], numbers[name]))
    if column and column not in names:
        raise TableError("no_column", column)
    if not numeric or (column and column not in numeric):
        raise TableError("no_numbers", column)
    chosen = column or next((name for name in reversed(numeric) if not counts(numbers[name])), numeric[-1])
    values = numbers[chosen]
    if newest_first(cells, numbers, numeric, chosen):
        values = values[::-1]
        repairs.append(Repair("reversed", ""))
    kept = tuple(float(f"{value:.{SIGNIFICANT}g}") for value in without_gaps(values, repairs))
    if max(map(abs, kept)) > SERIES_LIMIT:
        raise TableError("huge", chosen)
    if len(set(kept[: len(kept) // 2])) < 2:  # as it is kept: what differs in a later digit only is alike
        raise TableError("flat", chosen)
    return Series(kept, chosen, numeric, tuple(repairs))


def latest_rows(lines: list[str], repairs: list[Repair]) -> Cells:
    """The columns, and of a long file the last rows of them."""
    most, count = SERIES_LENGTHS[-1], len(lines)
    if count <= most:
        return cut_up(lines, repairs, fewest=1)
    repairs[:] = [repair for repair in repairs if repair.code != "latest"] + [Repair("latest", count)]
    names, columns = cut_up([lines[0], *lines[-most:]], repairs, fewest=1)
    return Cells(names, [column[-most:] for column in columns])  # without a header the first line is a row, and too old


def counts(numbers: np.ndarray) -> bool:
    """Whether a column goes up or down by equal steps, as years and row numbers do, or stays where it is."""
    steps = np.diff(numbers)
    return len(steps) > 0 and bool(np.isfinite(steps).all() and np.allclose(steps, steps[0]))


def newest_first(
    cells: dict[str, list[str]], numbers: dict[str, np.ndarray], numeric: tuple[str, ...], chosen: str
) -> bool:
    """Whether the first column is a time that runs backwards: numbers or dates (2024-05-01) that only fall."""
    name = next(iter(cells))
    if name == chosen or len(cells[name]) < 2:
        return False
    if name in numeric:
        return bool((np.diff(numbers[name]) < 0).all())
    words = [cell.strip() for cell in cells[name]]
    alike = len({len(word) for word in words}) == 1 and words[0][:4].isdigit()
    return alike and all(later < earlier for earlier, later in pairwise(words))


def without_gaps(values: np.ndarray, repairs: list[Repair]) -> np.ndarray:
    """The values from the first to the last that is there; gaps between are filled by straight lines.

    Raises:
        TableError: "short".
    """
    places = np.flatnonzero(np.isfinite(values))
    if len(places) < SERIES_LENGTHS[0]:
        raise TableError("short", len(places))
    inner = np.arange(places[0], places[-1] + 1)
    if len(inner) > len(places):
        repairs.append(Repair("filled", len(inner) - len(places)))
    return np.interp(inner, places, values[places])
