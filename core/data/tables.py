"""Somebody's own table: a CSV file as points of the plane, with a name for everything that was repaired on the way."""

from __future__ import annotations

import csv
import io
import math
import re
from typing import NamedTuple

import numpy as np

LARGEST = 200_000_000  # bytes
COLUMNS = 200  # at most
READ_ROWS, READ_CELLS = 20_000, 1_000_000  # parsed at most: of a larger file rows picked at random from all over it
KEPT = 2_000  # points at most, picked from those
CLASSES = 5  # at most
REACH = 5.0  # the points come to lie within −5…5, as those that are drawn
DIGITS = 3  # after the point, of a place in the plane: it will be written out in a script
DELIMITERS = ",;\t|，"  # and spaces, where there is none of these
FULL_WIDTH = "，"  # of a Chinese keyboard; often of the header alone
WIDE_SIGNS = str.maketrans("，．％", ",.%")  # in a cell, of the same keyboard
SIGNED = re.compile("[,，．%％]")  # what may be a number and is none for Python
DECIMAL = re.compile(r"[+-]?\d*,\d+\s*[%％]?")  # 1,5 and 12,5%
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")  # 1,000 and 12,345,678.9
UNGROUPED = re.compile(r"[1-9]\d\d")  # what stands beside such numbers and has no comma yet
MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "?", "缺失", "无", "空"}


REASONS = (  # why a file cannot be used
    "too_large",  # more than LARGEST bytes; the detail is that in MB
    "empty",  # nothing in it
    "no_text",  # neither UTF-8 nor GBK nor UTF-16
    "many_columns",  # more than COLUMNS
    "few_columns",  # no two columns of numbers beside the one to be learned
    "one_column",  # nothing that parts columns was found
    "no_column",  # none of that name
    "no_rows",  # less than two are complete
    "constant",  # a column has one value only
    "one_class",
    "many_classes",  # more than CLASSES
)
REPAIRS = (  # what can be put right
    "encoding",  # it was GBK, or UTF-16
    "delimiter",  # it was this, and no comma
    "decimal_comma",  # in so many cells
    "thousands",  # in so many cells commas stood between groups of three digits
    "percent",  # in so many cells; 12% is 0.12
    "no_header",  # so many columns were numbered
    "sampled",  # of so many rows some were picked
    "dropped",  # so many rows were incomplete
    "labels",  # words became so many classes
    "latest",  # of so many rows only the last ones were kept, where rows are a course of time
)


class TableError(ValueError):
    """A file that cannot be used; `reason` is one of REASONS, `detail` what was found: a name, a number or nothing."""

    def __init__(self, reason: str, detail: str | int = ""):
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}" if detail != "" else reason)


class Repair(NamedTuple):
    """Something that was put right."""

    code: str  # one of REPAIRS
    detail: str | int


class Scale(NamedTuple):
    """How a column was moved: shown = (value − middle) · factor."""

    middle: float
    factor: float


class Table(NamedTuple):
    """Points of the plane from a file."""

    points: tuple[float, ...]  # x₁, x₂ and class or value of each in turn: PlaygroundConfig.points
    data: str  # "own_classes" or "own_values": PlaygroundConfig.data
    columns: tuple[str, str, str]  # the names of x₁, x₂ and what is to be learned
    scales: tuple[Scale, Scale, Scale]  # of these three; classes are not moved
    classes: tuple[str, ...]  # what class 0, 1, … is called; none where values are to be learned
    numeric: tuple[str, ...]  # the names of all columns of numbers
    repairs: tuple[Repair, ...]

    @property
    def size(self) -> int:
        """How many points."""
        return len(self.points) // 3


class Cells(NamedTuple):
    """The text of a file, cut up."""

    names: list[str]
    columns: list[list[str]]  # of equal length


def read_points(data: bytes, features: tuple[str, ...] = (), target: str = "") -> Table:
    """Points from a CSV file: two columns of numbers as x₁ and x₂, and what is to be learned of them.

    Words or at most five different whole numbers are classes; other numbers are values.

    Args:
        features: the names of two columns; else the first two of numbers are taken.
        target: the name of the column that is to be learned; else it is the last that is no feature.

    Raises:
        TableError: the file cannot be used.
    """
    repairs: list[Repair] = []
    names, columns = cut_up(text_of(data, repairs), repairs)
    numbers = [numbers_of(column) for column in columns]
    numeric = [name for name, column, found in zip(names, columns, numbers, strict=True) if is_numeric(column, found)]
    chosen = choose(names, numeric, features, target)
    first, second, last = (names.index(name) for name in chosen)
    inputs, words = np.stack([numbers[first], numbers[second]], 1), np.array([each.strip() for each in columns[last]])
    known = np.isfinite(numbers[last]) if chosen[2] in numeric else np.array([not is_missing(each) for each in words])
    rows = complete_rows(np.isfinite(inputs).all(1) & known, repairs)
    inputs, values, words = inputs[rows], numbers[last][rows], words[rows]
    classes, targets = classes_of(values if chosen[2] in numeric else words)
    if classes and chosen[2] not in numeric:
        repairs.append(Repair("labels", len(classes)))
    scales = [scale_of(inputs[:, axis], REACH, chosen[axis]) for axis in (0, 1)]
    scales.append(Scale(0.0, 1.0) if classes else scale_of(targets, 1.0, chosen[2]))
    table = np.column_stack([inputs, targets])
    shown = (table - [scale.middle for scale in scales]) * [scale.factor for scale in scales]
    return Table(
        tuple(np.round(shown, DIGITS).flatten().tolist()),
        "own_classes" if classes else "own_values",
        chosen,
        (scales[0], scales[1], scales[2]),
        classes,
        tuple(numeric),
        tuple(repairs),
    )


# ---- from bytes to cells ---------------------------------------------------------------------------------------------


def text_of(data: bytes, repairs: list[Repair], in_order: bool = False) -> list[str]:
    """The lines that have anything in them; of a long file the first, and some of the others.

    Args:
        in_order: the lines are a course of time: of a long file the first and the last are kept, none between.

    Raises:
        TableError: "too_large", "empty", "no_text".
    """
    if len(data) > LARGEST:
        raise TableError("too_large", LARGEST // 1_000_000)
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            repairs.append(Repair("encoding", "UTF-16"))
            data = data.decode("utf-16").encode()
        if b"\0" in data:
            raise TableError("no_text")
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        data = latest_lines(data, repairs) if in_order else picked_lines(data, repairs)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("gb18030")  # GBK and all that grew from it
            repairs.append(Repair("encoding", "GBK"))
    except UnicodeDecodeError as error:
        raise TableError("no_text") from error
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        raise TableError("empty")
    return lines


def picked_lines(data: bytes, repairs: list[Repair]) -> bytes:
    """All lines, or if there are too many the first and READ_ROWS at random of the others, in their order."""
    count = data.count(b"\n")
    if count <= READ_ROWS:
        return data
    repairs.append(Repair("sampled", count))
    chosen = iter(np.sort(np.random.default_rng(0).choice(np.arange(1, count), READ_ROWS - 1, replace=False)).tolist())
    kept, wanted = [], 0
    for number, line in enumerate(io.BytesIO(data)):
        if number == wanted:
            kept.append(line)
            wanted = next(chosen, count + 1)
    return b"".join(kept)


def latest_lines(data: bytes, repairs: list[Repair]) -> bytes:
    """All lines, or if there are too many the first and the last READ_ROWS."""
    count = data.count(b"\n")
    if count <= READ_ROWS:
        return data
    repairs.append(Repair("latest", count))
    lines = data.rstrip(b"\n").rsplit(b"\n", READ_ROWS)
    return b"\n".join([lines[0].partition(b"\n")[0], *lines[1:]])


def cut_up(lines: list[str], repairs: list[Repair], fewest: int = 3) -> Cells:
    """The lines as columns; rows of another length than the first are dropped with those that are incomplete.

    Args:
        fewest: columns that are needed; of a single one commas are decimal ones.

    Raises:
        TableError: "no_text", "many_columns", "one_column", "few_columns", "no_rows".
    """
    delimiter = delimiter_of(lines)
    if delimiter == FULL_WIDTH and FULL_WIDTH in lines[0]:
        repairs.append(Repair("delimiter", delimiter))
        lines, delimiter = [line.replace(FULL_WIDTH, ",") for line in lines], ","
    elif delimiter not in lines[0] and 1 < fewest <= min(len(line.split()) for line in lines[:20]):
        lines, delimiter = [" ".join(line.split()) for line in lines], " "
    if delimiter != ",":
        repairs.append(Repair("delimiter", delimiter))
    width = lines[0].count(delimiter) + 1
    if fewest == 1 and width == 1:  # "12,5" under a header without commas
        delimiter = "\0"
    if width > COLUMNS:
        raise TableError("many_columns", width)
    try:
        rows = (
            [[line.strip().strip('"')] for line in lines]
            if delimiter == "\0"
            else list(csv.reader(lines[: max(2, READ_CELLS // width)], delimiter=delimiter, skipinitialspace=True))
        )
    except csv.Error as error:
        raise TableError("no_text") from error
    width = len(rows[0])
    if width < fewest:
        raise TableError("few_columns" if width > 1 else "one_column", width)
    empty = [""] * width
    columns = list(map(list, zip(*(row if len(row) == width else empty for row in rows), strict=True)))
    decimal = delimiter != ","  # what a comma may be; a single column in quotation marks is as of a file with commas
    columns = plainly_written(columns, decimal, decimal and delimiter not in "\t| " and '"' not in lines[-1], repairs)
    first = [column[0] for column in columns]
    if any(math.isfinite(number_of(cell)) for cell in first):
        names = [f"#{number}" for number in range(1, width + 1)]
        repairs.append(Repair("no_header", width))
    else:
        names, columns = distinct([cell.strip() for cell in first]), [column[1:] for column in columns]
    if not columns[0]:
        raise TableError("no_rows", 0)
    return Cells(names, columns)


def delimiter_of(lines: list[str]) -> str:
    """What stands oftenest in every line; but no comma that only parts digits of what something else parts: 1,5;2,5."""
    some = lines[:20]
    fewest = {each: min(line.count(each) for line in some) for each in DELIMITERS}
    found = max(DELIMITERS, key=lambda each: (fewest[each], lines[0].count(each)))
    for other in ";\t|" if found == "," else "":
        cells = [cell.strip(' "') for line in some for cell in line.split(other) if "," in cell]
        decimal = sum(bool(DECIMAL.fullmatch(cell) or GROUPED.fullmatch(cell)) for cell in cells)
        if fewest[other] and decimal >= len(cells) / 2:
            return other
    return found


def distinct(names: list[str]) -> list[str]:
    """The names, numbered where one is empty or there twice."""
    found: list[str] = []
    for number, name in enumerate(names, start=1):
        found.append(name if name and name not in found else f"{name}#{number}")
    return found


def plainly_written(columns: list[list[str]], decimal: bool, usual: bool, repairs: list[Repair]) -> list[list[str]]:
    """The columns with 1,5 as 1.5 or 1,000 as 1000, and 12% as 0.12; what is no number then stays as it is.

    All commas of a file mean the same: they part thousands if they stand as in 1,000 everywhere.

    Args:
        decimal: they may be decimal ones; else, unless they part thousands, they are let be.
        usual: decimal ones are usual, as where semicolons part columns: 1,000 is one, then, unless there is also a
            1,000,000, a 1,000.5, or a 950 in the same column.
    """
    marked = {
        (number, row): cell.strip().translate(WIDE_SIGNS)
        for number, column in enumerate(columns)
        for row, cell in enumerate(column)
        if SIGNED.search(cell)
    }
    numbers = {place: text for place, text in marked.items() if math.isfinite(percent_of(text.replace(",", ""))[0])}
    commas = {place: text.rstrip("% ") for place, text in numbers.items() if "," in text}
    beside = (cell for number in {number for number, _ in commas} for cell in columns[number])
    grouped = all(map(GROUPED.fullmatch, commas.values())) and (
        not usual
        or any(text.count(",") > 1 or "." in text for text in commas.values())
        or any(UNGROUPED.fullmatch(cell.strip()) for cell in beside)
    )
    found = dict.fromkeys(("decimal_comma", "thousands", "percent"), 0)
    written = [list(column) for column in columns]
    for (number, row), text in numbers.items():
        if "," in text and not (grouped or decimal):
            continue
        plain = text.replace(",", "" if grouped else ".")
        value, percent = percent_of(plain)
        if math.isfinite(value):
            written[number][row] = repr(value) if percent else plain
            found["thousands" if grouped else "decimal_comma"] += "," in text
            found["percent"] += percent
    repairs += [Repair(code, count) for code, count in found.items() if count]
    return written


def percent_of(text: str) -> tuple[float, bool]:
    """The number in a text, 0.12 of 12%, and whether it was a percentage; NaN where there is none."""
    percent = text.endswith("%")
    return (number_of(text[:-1]) / 100, True) if percent else (number_of(text), False)


# ---- from cells to numbers -------------------------------------------------------------------------------------------


def is_missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def number_of(cell: str) -> float:
    """The number in a cell; NaN where there is none."""
    try:
        return float(cell)
    except ValueError:
        return math.nan


def numbers_of(column: list[str]) -> np.ndarray:
    return np.array([number_of(cell) for cell in column])


def is_numeric(column: list[str], numbers: np.ndarray) -> bool:
    """Whether at least half of what stands in a column are finite numbers."""
    there = sum(not is_missing(cell) for cell in column)
    return there > 0 and np.isfinite(numbers).sum() >= there / 2


def choose(names: list[str], numeric: list[str], features: tuple[str, ...], target: str) -> tuple[str, str, str]:
    """The columns of x₁, x₂ and what is to be learned.

    Raises:
        TableError: "no_column", "few_columns".
    """
    for name in (*features, *([target] if target else [])):
        if name not in names:
            raise TableError("no_column", name)
    last = target or [name for name in names if name not in features][-1]
    free = [name for name in numeric if name != last]
    wanted = [*dict.fromkeys(features), *(name for name in free if name not in features)][:2]
    if len(wanted) < 2 or not set(wanted) <= set(free):
        raise TableError("few_columns", len(free))
    return wanted[0], wanted[1], last


def complete_rows(complete: np.ndarray, repairs: list[Repair]) -> np.ndarray:
    """The numbers of the rows that are complete; of more than KEPT some at random.

    Raises:
        TableError: "no_rows".
    """
    rows = np.flatnonzero(complete)
    if len(rows) < 2:
        raise TableError("no_rows", len(rows))
    if len(rows) < len(complete):
        repairs.append(Repair("dropped", len(complete) - len(rows)))
    if len(rows) > KEPT:
        if not any(repair.code == "sampled" for repair in repairs):
            repairs.append(Repair("sampled", len(rows)))
        rows = np.sort(np.random.default_rng(0).choice(rows, KEPT, replace=False))
    return rows


def classes_of(column: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """What the classes are called, in order, and the class of each row; of values no names, and the values.

    Raises:
        TableError: "one_class", "many_classes".
    """
    found, places = np.unique(column, return_inverse=True)
    words = column.dtype.kind == "U"
    if not words and (len(found) > CLASSES or (found != np.round(found)).any()):
        return (), column
    if len(found) == 1:
        raise TableError("one_class", str(found[0]) if words else f"{found[0]:g}")
    if len(found) > CLASSES:
        raise TableError("many_classes", len(found))
    return tuple(str(each) if words else f"{each:g}" for each in found), places


def scale_of(column: np.ndarray, reach: float, name: str) -> Scale:
    """What brings a column to −reach…reach.

    Raises:
        TableError: "constant".
    """
    low, high = float(column.min()) / 2, float(column.max()) / 2  # halves: the largest numbers have no sum
    factor = reach / (high - low) if high > low else math.inf
    if not math.isfinite(factor):
        raise TableError("constant", name)
    return Scale(low + high, factor)
