"""Tables as people have them: what is repaired is said, what cannot be is refused with a reason, and nothing else happens."""

import csv
import io
import math
import random
import tracemalloc

import pytest

from core.data.tables import CLASSES, COLUMNS, KEPT, LARGEST, REACH, REASONS, REPAIRS, TableError, read_points
from core.playground import PlaygroundConfig, class_count, points_of
from core.training import replay

PLAIN = "height,weight,kind\n1,10,cat\n2,30,dog\n4,20,cat\n3,50,dog\n"


def reasons(data: bytes | str, *arguments) -> str:
    with pytest.raises(TableError) as error:
        read_points(data.encode() if isinstance(data, str) else data, *arguments)
    assert error.value.reason in REASONS and isinstance(error.value, ValueError)
    return error.value.reason


def repairs(table) -> dict:
    assert all(repair.code in REPAIRS for repair in table.repairs)
    return dict(table.repairs)


def test_a_plain_table():
    table = read_points(PLAIN.encode())
    assert table.columns == ("height", "weight", "kind") and table.data == "own_classes"
    assert table.classes == ("cat", "dog") and table.size == 4
    assert table.numeric == ("height", "weight")
    assert repairs(table) == {"labels": 2}
    assert table.points[:3] == (-5.0, -5.0, 0.0) and table.points[9:] == (pytest.approx(5 / 3, abs=1e-3), 5.0, 1.0)
    for axis, raw in enumerate([(1, 2, 4, 3), (10, 30, 20, 50)]):
        middle, factor = table.scales[axis]
        assert [(value - middle) * factor for value in raw] == pytest.approx(table.points[axis::3], abs=1e-3)
    assert table.scales[2] == (0.0, 1.0)


def test_values_are_learnt_where_the_target_is_a_number():
    table = read_points(b"a,b,c\n1,2,0.5\n2,4,1.5\n3,1,2.5\n")
    assert table.data == "own_values" and table.classes == () and table.points[2::3] == (-1.0, 0.0, 1.0)
    assert table.scales[2] == (1.5, 1.0) and table.repairs == ()


@pytest.mark.parametrize(
    ("target", "classes"), [("0 1 0 1", ("0", "1")), ("3 1 2 1", ("1", "2", "3")), ("-1 1 -1 1", ("-1", "1"))]
)
def test_few_whole_numbers_are_classes(target, classes):
    rows = "\n".join(f"{i},{i * i},{word}" for i, word in enumerate(target.split()))
    assert read_points(f"a,b,c\n{rows}".encode()).classes == classes


def test_more_than_five_whole_numbers_are_values():
    assert read_points(b"a,b,c\n" + b"\n".join(b"%d,%d,%d" % (i, i * i, i) for i in range(9))).classes == ()  # fmt: skip


def test_columns_by_name():
    text = "id,a,b,label,c\n1,5,7,x,0.5\n2,6,3,y,0.1\n3,1,9,x,0.7\n"
    assert read_points(text.encode()).columns == ("id", "a", "c")
    assert read_points(text.encode(), ("b", "c")).columns == ("b", "c", "label")
    assert read_points(text.encode(), ("b", "c"), "a").columns == ("b", "c", "a")
    assert read_points(text.encode(), (), "label").columns == ("id", "a", "label")
    assert read_points(text.encode(), ("c",), "label").columns == ("c", "id", "label")
    assert reasons(text, ("b", "z")) == "no_column"
    assert reasons(text, ("b", "label")) == "few_columns"
    assert reasons(text, ("a", "b"), "a") == "few_columns"


@pytest.mark.parametrize(
    ("delimiter", "found"),
    [
        (";", {"delimiter": ";"}),
        ("\t", {"delimiter": "\t"}),
        ("|", {"delimiter": "|"}),
        (",", {}),
        (" ", {"delimiter": " "}),
        ("   ", {"delimiter": " "}),
        ("，", {"delimiter": "，"}),
    ],
)
def test_delimiters(delimiter, found):
    table = read_points(PLAIN.replace(",", delimiter).encode())
    assert table.points == read_points(PLAIN.encode()).points and repairs(table) == {"labels": 2, **found}


def test_decimal_commas():
    table = read_points(b"a;b;c\n1,5;2;rot, hell\n2,5;3,25;blau\n3;1e2;blau\n")
    assert repairs(table) == {"delimiter": ";", "decimal_comma": 3, "labels": 2}
    assert table.classes == ("blau", "rot, hell") and table.scales[0].middle == 2.25


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("last", ["3,5", "7", "x"])
def test_decimal_commas_without_a_header_part_no_columns(delimiter, last):
    """Where there are as many commas as what parts the columns, or more."""
    rows = [["1,5", "2,25", last], ["2,5", "-3,5", last + "1"], ["4,5", '"1,0"', last]]
    table = read_points("\n".join(map(delimiter.join, rows)).encode())
    found = repairs(table)
    assert found["delimiter"] == delimiter and found["no_header"] == 3
    assert raw(table, 0) == pytest.approx([1.5, 2.5, 4.5], abs=1e-3)
    assert raw(table, 1) == pytest.approx([2.25, -3.5, 1], abs=1e-3)


def test_a_header_with_commas_in_its_names_keeps_its_semicolons():
    table = read_points(b"size, cm;weight, kg;kind\n1,5;2,5;x\n2,5;3,5;y\n")
    assert table.columns == ("size, cm", "weight, kg", "kind")


def test_semicolons_within_the_words_of_a_file_with_commas_part_nothing():
    table = read_points(b"1,2,red; blue\n2,1,red; green\n3,5,red; blue\n")
    assert table.classes == ("red; blue", "red; green")


def raw(table, axis: int) -> list[float]:
    """The values of x₁, x₂ or the target as the file has them."""
    middle, factor = table.scales[axis]
    return [round(value / factor + middle, 3) for value in table.points[axis::3]]


@pytest.mark.parametrize(
    ("text", "second", "found"),
    [
        ('1,"1,000",x\n2,"2,500",y\n3,950,x\n', [1000, 2500, 950], {"thousands": 2}),
        ('1,"12,345,678.5",x\n2,"-1,000",y\n3,,y\n', [12345678.5, -1000], {"thousands": 2, "dropped": 1}),
        ('1,"1，000",x\n2,"2，500",y\n', [1000, 2500], {"thousands": 2}),
        ("1;1,000;x\n2;950;y\n", [1000, 950], {"thousands": 1}),
        ("1;1,000,000;x\n2;1,000;y\n", [1e6, 1e3], {"thousands": 2}),
        ("1;1,000.5;x\n2;1,001;y\n", [1000.5, 1001], {"thousands": 2}),
        ("1\t1,000\tx\n2\t2,000\ty\n", [1000, 2000], {"thousands": 2}),
        ("1;1,000;x\n2;2,500;y\n", [1, 2.5], {"decimal_comma": 2}),  # where decimals are usual
        ("1;1,000;x\n2;950,5;y\n", [1, 950.5], {"decimal_comma": 2}),
        ("1\t1,000\tx\n2\t2,5\ty\n", [1, 2.5], {"decimal_comma": 2}),
        ("1\t0,125\tx\n2\t1,250\ty\n", [0.125, 1.25], {"decimal_comma": 2}),
        ("1,12%,x\n2,７.5 ％,y\n3,.5,x\n", [0.12, 0.075, 0.5], {"percent": 2}),
        ("1;12,5%;x\n2;-3%;y\n", [0.125, -0.03], {"decimal_comma": 1, "percent": 2}),
        ('1,"1,200%",x\n2,5%,y\n', [12, 0.05], {"thousands": 1, "percent": 2}),
    ],
)
def test_thousands_and_percentages(text, second, found):
    delimiter = text[1]
    expected = {"labels": 2, **found} | ({} if delimiter == "," else {"delimiter": delimiter})
    table = read_points(f"a{delimiter}b{delimiter}c\n{text}".encode())
    assert repairs(table) == expected and raw(table, 1) == pytest.approx(second, rel=1e-3)
    if delimiter != ";":  # whose commas would part columns
        assert repairs(read_points(text.encode())) == expected | {"no_header": 3}


@pytest.mark.parametrize("cell", ['"1,5"', '"1,00"', '"10,0000"', '"0,500"', '",5"', '"1,000,5"', "%", '"1%2"'])
def test_what_may_mean_two_things_is_no_number(cell):
    table = read_points(f'a,b,c\n1,{cell},x\n2,{cell},y\n3,"1,000",x\n4,2,y\n5,4,x\n6,3,y\n'.encode())
    assert repairs(table)["dropped"] == (2 if "%" in cell else 3), (
        "nor is 1,000, where commas are decimal ones elsewhere"
    )
    assert raw(table, 1) == pytest.approx([1000, 2, 4, 3] if "%" in cell else [2, 4, 3], rel=0.1)


def test_words_keep_their_commas_and_percent_signs():
    table = read_points(b'a,b,c\n1,2,"low, 5%"\n2,1,"5% of 1,000"\n')
    assert table.classes == ("5% of 1,000", "low, 5%") and repairs(table) == {"labels": 2}


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        *(("utf-8", {}), ("utf-8-sig", {}), ("gbk", {"encoding": "GBK"}), ("gb18030", {"encoding": "GBK"})),
        ("utf-16", {"encoding": "UTF-16"}),
    ],
)
def test_chinese_headers(encoding, found):
    text = "身高,体重,类别\n1.70,60,女\n1.80,75,男\n1.65,55,女\n"
    table = read_points(text.encode(encoding))
    assert table.columns == ("身高", "体重", "类别") and set(table.classes) == {"女", "男"}
    assert repairs(table) == {"labels": 2, **found}


@pytest.mark.parametrize("ending", ["\r\n", "\r", "\n\n", " \n"])
def test_line_endings(ending):
    assert read_points(PLAIN.replace("\n", ending).encode()).points == read_points(PLAIN.encode()).points


def test_incomplete_rows_are_dropped_and_counted():
    text = "a,b,c\n1,2,x\n,2,y\n3,NaN,y\n4,inf,x\n5,-Infinity,y\n6,six,x\n7,8,\n8,9,N/A\n9,1\n9,1,x,7\n10,?,缺失\n11,3,y\n12,5,x\n"
    table = read_points(text.encode())
    assert table.size == 3 and repairs(table) == {"labels": 2, "dropped": 10}
    assert table.points[2::3] == (0.0, 1.0, 0.0)


def test_quoted_cells():
    table = read_points(b'"a, really","b",c\n"1","2","x, y"\n"2","4",z\n')
    assert table.columns[0] == "a, really" and table.classes == ("x, y", "z")


def test_a_table_without_a_header():
    table = read_points(b"1,2,x\n3,4,y\n5,7,x\n")
    assert table.columns == ("#1", "#2", "#3") and repairs(table)["no_header"] == 3 and table.size == 3


def test_names_that_are_missing_or_there_twice():
    assert read_points(b"a,a,,b\n1,2,3,x\n3,1,2,y\n").columns == ("a", "a#2", "b")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        *((b"", "empty"), (b" \n\r\n ", "empty"), (b"\xef\xbb\xbf", "empty")),
        *((b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "no_text"), (b"PK\x03\x04\0\0", "no_text"), (b"\xff\xff,\xff\n", "no_text")),
        *((b"\xff\xfea", "no_text"), (b"a,b,c\n" + b"x" * 200_000 + b",1,2\n", "no_text")),
        *((b"a,b,c\n", "no_rows"), (b"a,b,c\n1,2,x\n", "no_rows"), (b"a,b,c\n1,2,x\n3,,y\n4,nan,y\n", "no_rows")),
        *((b"hello", "one_column"), (b"a,b\n1,2\n3,4\n", "few_columns"), (b"a,b,c\n1,u,x\n2,v,y\n", "few_columns")),
        *((b"a,b,c\nu,v,x\nv,u,y\n", "few_columns"), (b"a,b,c\n,,\n,,\n", "few_columns")),
        *((b"a,b,c\n1,2,x\n3,4,x\n", "one_class"), (b"a,b,c\n1,2,7\n3,4,7\n", "one_class")),
        *((b"a,b,c\n1,2,.5\n3,4,.5\n", "constant"), (b"a,b,c\n1,2,x\n1,4,y\n", "constant")),
        (b"a,b,c\n1e-323,2,x\n0,4,y\n", "constant"),
        (b"a,b,c\n" + b"".join(b"%d,%d,w%d\n" % (i, i * i, i) for i in range(CLASSES + 1)), "many_classes"),
        (b",".join(b"c%d" % i for i in range(COLUMNS + 1)) + b"\n1,2\n", "many_columns"),
        (bytes(LARGEST + 1), "too_large"),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, bytes) else value,
)  # fmt: skip
def test_what_cannot_be_used(data, reason):
    assert reasons(data) == reason


def test_the_largest_numbers():
    table = read_points(b"a,b,c\n1.7e308,2,x\n-1.7e308,4,y\n0,3,y\n")
    assert table.points[0::3] == (5.0, -5.0, 0.0)


def test_a_long_table_is_sampled():
    rows = [f"{i},{i % 97},{'xy'[i % 2]}" for i in range(KEPT * 2)]
    table = read_points("\n".join(["a,b,c", *rows]).encode())
    assert table.size == KEPT and repairs(table) == {"labels": 2, "sampled": 2 * KEPT}
    assert table == read_points("\n".join(["a,b,c", *rows]).encode())
    assert 0.45 < sum(table.points[2::3]) / KEPT < 0.55  # not every second row
    middle, factor = table.scales[0]
    places = sorted(place / factor + middle for place in table.points[0::3])
    assert places[0] < 50 and places[-1] > 2 * KEPT - 50


def test_a_million_rows_are_sampled():
    table = read_points(b"a,b,c\n" + b"1.25,2.5,x\n3.5,-4.75,y\n" * 500_000)
    assert table.size == KEPT and repairs(table) == {"labels": 2, "sampled": 1_000_001}


def test_a_long_table_takes_little_memory():
    """The parsed cells of all rows would be eight times the file."""
    data = b"a,b,c\n" + b"1.25,2.5,x\n3.5,-4.75,y\n" * 150_000
    tracemalloc.start()
    read_points(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * len(data) + 10_000_000


def test_whatever_is_uploaded_nothing_else_is_raised():
    source = random.Random(0)
    alphabet = [
        "1",
        "2.5",
        "x",
        "",
        ",",
        ";",
        "\n",
        "\r",
        '"',
        "nan",
        "é",
        "类",
        "\t",
        " ",
        "-",
        "e9",
        "inf",
        "%",
        "％",
        "，",
        "000",
    ]
    for _ in range(1_500):
        data = "".join(source.choices(alphabet, k=source.randrange(60))).encode(source.choice(["utf-8", "gb18030"]))
        if source.random() < 0.3:
            data = bytes(source.choices(range(256), k=source.randrange(80)))
        try:
            table = read_points(data)
        except TableError as error:
            assert error.reason in REASONS
        else:
            assert all(math.isfinite(each) for each in table.points)
            PlaygroundConfig(data=table.data, points=table.points)


@pytest.mark.parametrize("values", [False, True])
def test_a_table_can_be_learnt(values):
    file = io.StringIO()
    source = random.Random(1)
    rows = [(source.uniform(0, 9), source.uniform(-90, 10)) for _ in range(300)]
    csv.writer(file).writerows([("a", "b", "c"), *((a, b, a - b / 10 if values else "NP"[a > 4]) for a, b in rows)])
    table = read_points(file.getvalue().encode())
    config = PlaygroundConfig(data=table.data, points=table.points, layers=(), learning_rate=0.1)
    assert class_count(config) == (0 if values else 2) and len(points_of(config).train_inputs) == 150
    assert max(map(abs, table.points)) <= REACH
    scores = replay(config, steps=1_000).history[-1].scores["test"]
    assert scores["Loss"] < 1e-3 if values else scores["Accuracy"] > 0.97


def test_a_header_from_a_chinese_keyboard_above_plain_commas():
    table = read_points("身高，体重，性别\n1,2,男\n2,3,女\n4,1,男\n".encode())
    assert table.columns == ("身高", "体重", "性别") and table.size == 3 and table.classes == ("女", "男")
    assert repairs(table) == {"delimiter": "，", "labels": 2}


def test_nothing_between_the_columns_is_said_so():
    with pytest.raises(TableError) as raised:
        read_points(b"a/b/c\n1/2/0\n2/3/1\n")
    assert raised.value.reason == "one_column"


def test_a_single_class_has_the_name_that_the_file_gives_it():
    with pytest.raises(TableError) as raised:
        read_points(b"x,y,k\n1,2,1\n2,3,1\n4,1,1\n")
    assert (raised.value.reason, raised.value.detail) == ("one_class", "1")
