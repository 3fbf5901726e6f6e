"""Series as people have them: the order of time is kept, what is repaired is said, what cannot be used is refused."""

import math
import random

import pytest

from core.data.sequences import SERIES_LENGTHS, SERIES_LIMIT
from core.data.series import SERIES_REASONS, SERIES_REPAIRS, SIGNIFICANT, Series, read_series
from core.data.sunspots import FIRST_YEAR, SUNSPOTS, yearly_sunspots
from core.data.tables import COLUMNS, REASONS, REPAIRS, TableError

VALUES = [round(10 * math.sin(step), 2) for step in range(30)]


def file(values, header="value", separator=",", before=None) -> bytes:
    rows = values if before is None else [f"{a}{separator}{b}" for a, b in zip(before, values, strict=True)]
    return "\n".join([header, *map(str, rows)]).encode()


def repairs(series: Series) -> dict:
    assert all(repair.code in (*REPAIRS, *SERIES_REPAIRS) for repair in series.repairs)
    return dict(series.repairs)


def reason(data: bytes, *arguments) -> str:
    with pytest.raises(TableError) as error:
        read_series(data, *arguments)
    assert error.value.reason in (*REASONS, *SERIES_REASONS)
    return error.value.reason


def test_a_single_column():
    series = read_series(file(VALUES))
    assert series.values == tuple(VALUES) and series.column == "value" and series.numeric == ("value",)
    assert series.repairs == ()


def test_the_sunspots_come_back_from_their_own_file():
    words = SUNSPOTS.split()
    data = file(words, '"YEAR","SUNACTIVITY"', before=range(FIRST_YEAR, FIRST_YEAR + len(words)))
    series = read_series(data)
    assert series.values == yearly_sunspots() and series.column == "SUNACTIVITY" and series.repairs == ()


def test_a_column_can_be_chosen_and_the_one_that_counts_is_not():
    data = file([f"{value},{-value}" for value in VALUES], "x,y,year", before=VALUES).replace(b"x,y,year", b"x,y,z")
    assert read_series(data, "y").values == tuple(VALUES) and read_series(data, "y").numeric == ("x", "y", "z")
    counted = file(range(1990, 2020), "value,year", before=VALUES)
    assert read_series(counted).column == "value" and read_series(counted, "year").column == "year"
    constant = file([7] * 30, "value,flag", before=VALUES)
    assert read_series(constant).column == "value" and reason(constant, "flag") == "flat"
    assert reason(data, "w") == "no_column"


def test_a_header_is_not_needed():
    series = read_series("\n".join(map(str, VALUES)).encode())
    assert series.values == tuple(VALUES) and repairs(series) == {"no_header": 1}


@pytest.mark.parametrize("header", ["value", "time;value"])
def test_decimal_commas(header):
    written = [str(value).replace(".", ",") for value in VALUES]
    data = file(written, header, ";", None if header == "value" else range(30))
    series = read_series(data)
    assert series.values == tuple(VALUES) and repairs(series)["decimal_comma"] == sum("," in word for word in written)


def test_decimal_commas_without_a_header():
    data = "\n".join(f"{step},5;{step % 7},25" for step in range(30)).encode()
    series = read_series(data)
    assert series.values == tuple(step % 7 + 0.25 for step in range(30))
    assert repairs(series) == {"delimiter": ";", "decimal_comma": 60, "no_header": 2}


def test_thousands_and_percentages():
    """A single column: quotation marks, or a number without a comma, tell that commas part thousands."""
    quoted = read_series("\n".join(["v", *(f'"{step},5"' for step in range(30))]).encode())
    assert quoted.values == tuple(step + 0.5 for step in range(30)), "15 is not 1,5"
    large = [f"{1000 + 37 * step:,}" for step in range(30)]
    values = tuple(float(word.replace(",", "")) for word in large)
    quoted = read_series("\n".join(["v", *(f'"{word}"' for word in large)]).encode())
    assert quoted.values == values and repairs(quoted) == {"thousands": 30}
    assert read_series("\n".join(["v", "950", *large]).encode()).values == (950.0, *values)
    assert read_series("\n".join(["v", *large]).encode()).values == tuple(value / 1000 for value in values)
    shares = read_series("\n".join(["v", *(f"{step * step}%" for step in range(30))]).encode())
    assert shares.values == tuple(step * step / 100 for step in range(30)) and repairs(shares) == {"percent": 30}


@pytest.mark.parametrize("times", [range(2029, 1999, -1), [f"2024-04-{day:02}" for day in range(30, 0, -1)]])
def test_the_newest_may_come_first(times):
    series = read_series(file(VALUES, "time,value", before=times))
    assert series.values == tuple(reversed(VALUES)) and "reversed" in repairs(series)
    forwards = read_series(file(VALUES, "time,value", before=list(times)[::-1]))
    assert forwards.values == tuple(VALUES) and forwards.repairs == ()


def test_gaps_are_filled_by_straight_lines_and_lie_not_at_the_ends():
    written = ["", "nan", *map(str, VALUES[:10]), "", "inf", "?", *map(str, VALUES[10:]), "na"]
    series = read_series(file(written, "t,value", before=range(len(written))))
    assert repairs(series) == {"filled": 3}
    assert series.values[:10] == tuple(VALUES[:10]) and series.values[13:] == tuple(VALUES[10:])
    step = (VALUES[10] - VALUES[9]) / 4
    assert series.values[10:13] == pytest.approx([VALUES[9] + k * step for k in (1, 2, 3)], rel=1e-5)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("count", [2001, 5000, 30_000])
def test_of_a_long_series_the_end_is_kept(count, header):
    values = [round(math.sin(step) + step, 3) for step in range(count)]
    data = file(values) if header else file(values[1:], str(values[0]))
    series = read_series(data)
    assert len(series.values) == SERIES_LENGTHS[-1]
    assert series.values == tuple(float(f"{value:.{SIGNIFICANT}g}") for value in values[-2000:])
    assert repairs(series)["latest"] >= 2000


def test_other_encodings_and_separators():
    data = file(VALUES, "年\t值", "\t", range(30)).decode()
    assert read_series(data.encode("gbk")).column == "值"
    assert repairs(read_series(data.encode("utf-16"))) == {"encoding": "UTF-16", "delimiter": "\t"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b"\x00\x01\x02", "no_text"),
        (b"value", "no_rows"),
        (b"word\n" + b"\n".join([b"a", b"b"] * 20), "no_numbers"),
        (file(VALUES[:11]), "short"),
        (file([3] * 40), "flat"),
        (file([3] * 20 + VALUES[:20]), "flat"),
        (file([3, 3.0000001] * 20), "flat"),  # as far as it is kept
        (file([*VALUES, 10 * SERIES_LIMIT]), "huge"),
        (b",".join([b"a"] * (COLUMNS + 1)) + b"\n", "many_columns"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(data, expected):
    assert reason(data) == expected


def test_nothing_else_happens():
    """Broken files of many kinds: a series, or a reason."""
    chance = random.Random(0)
    for _ in range(300):
        data = bytearray(file(VALUES, "t,value", chance.choice(",;\t"), range(30)))
        for _ in range(chance.randrange(1, 40)):
            data[chance.randrange(len(data))] = chance.choice(b'0,;"\n\t-.eE\xff\x00a ')
        try:
            series = read_series(bytes(data))
        except TableError as error:
            assert error.reason in (*REASONS, *SERIES_REASONS)
            continue
        assert all(math.isfinite(value) for value in series.values) and len(series.values) in SERIES_LENGTHS
