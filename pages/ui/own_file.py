"""A file of one's own: where it is given, and plain words for all that can be wrong with it or was put right."""

from __future__ import annotations

import re
from typing import Any

import streamlit as st

from core.data.sequences import SERIES_LENGTHS
from core.data.tables import CLASSES, COLUMNS, KEPT, Repair, TableError
from pages.ui.text import t

MEGABYTES = 50  # of an upload


def uploader(label: str, read: str, **options: Any) -> Any:
    """Where a CSV file is given. What was read of it, or why it cannot be used, as the session has it under `read`:
    None where the file is gone, as after a visit elsewhere, and no other column of it can be had.

    The reason is told here. `options` are the widget's.
    """
    file = st.file_uploader(label, max_upload_size=MEGABYTES, **options)
    found = st.session_state.get(read) if file is not None else None
    for error in (found, st.session_state.pop(f"{read}_refused", None)):
        if isinstance(error, TableError):
            st.error(reason_in_words(error), icon=":material/error:")
    return None if isinstance(found, TableError) else found


def refuse(read: str, anew: bool, error: TableError) -> None:
    """From a callback: the file cannot be used; if only not with these columns of it, what was read before stays."""
    st.session_state[read if anew else f"{read}_refused"] = error


def tell(lines: list[str], repairs: tuple[Repair, ...]) -> None:
    """What was found in it, and what was put right."""
    lines = [*lines, *map(repair_in_words, repairs)]
    st.caption("  \n".join(re.sub(r"([$*_`~\[\]\\])", r"\\\1", line) for line in lines))


def reason_in_words(error: TableError) -> str:
    """Why a file cannot be used."""
    detail = error.detail
    return {
        "too_large": t(f"文件太大：最多 {detail} MB。", f"The file is too large: at most {detail} MB."),
        "empty": t("文件是空的。", "There is nothing in the file."),
        "no_text": t("这不是文本文件：要 UTF-8、GBK 或 UTF-16 的 CSV。", "This is no text: a CSV in UTF-8, GBK or UTF-16 is needed."),
        "many_columns": t(f"有 {detail} 列，最多 {COLUMNS} 列。", f"It has {detail} columns; at most {COLUMNS} can be read."),
        "few_columns": t("除了要学的那一列，还需要两列数。", "Beside the column to be learned, two columns of numbers are needed."),
        "one_column": t("只看到一列：列与列之间要用逗号、分号、制表符或空格隔开。", "Only one column was found: commas, semicolons, tabs or spaces have to stand between columns."),
        "no_column": t(f"没有叫“{detail}”的列。", f"There is no column called “{detail}”."),
        "no_rows": t(f"完整的行太少（{detail}）：检查缺失值和非数字。", f"Too few rows are complete ({detail}): look for missing values and words among the numbers."),
        "constant": t(f"“{detail}”这一列只有一个值，看不出区别。", f"The column “{detail}” has only one value: there is nothing to tell apart."),
        "one_class": t(f"只有一类（{detail}），没有什么可分。", f"There is only one class ({detail}): nothing to tell apart."),
        "many_classes": t(f"有 {detail} 类，最多 {CLASSES} 类。", f"There are {detail} classes; at most {CLASSES} can be learned."),
        "no_numbers": t("没有一列是数：一行要有一个数。", "No column holds numbers: every row needs one."),
        "short": t(f"只有 {detail} 个值，至少要 {SERIES_LENGTHS[0]} 个。", f"It has {detail} values; at least {SERIES_LENGTHS[0]} are needed."),
        "flat": t(f"“{detail}”的前一半全是同一个值，没有什么可学。", f"The first half of “{detail}” is one and the same value: nothing to learn."),
        "huge": t(f"“{detail}”里有大得无法计算的数。", f"“{detail}” has numbers too large to compute with."),
    }[error.reason]  # fmt: skip


def repair_in_words(repair: Repair) -> str:
    """What was put right."""
    detail = repair.detail
    number = f"{detail:,}" if isinstance(detail, int) else detail
    delimiter = {"\t": t("制表符", "tabs"), " ": t("空格", "spaces")}.get(str(detail), f"“{detail}”")
    return {
        "encoding": t(f"文件编码是 {detail}，已转换。", f"The file was {detail}; it has been converted."),
        "delimiter": t(f"分隔符是{delimiter}。", f"The columns are separated by {delimiter}."),
        "decimal_comma": t(f"{number} 个小数逗号读作小数点。", f"{number} decimal {'comma was read as a point' if detail == 1 else 'commas were read as points'}."),
        "thousands": t(f"{number} 个数里的逗号是千位分隔（1,000 = 1000）。", f"{number} {'number has' if detail == 1 else 'numbers have'} commas between thousands (1,000 = 1000)."),
        "percent": t(f"{number} 个百分数读作小数（12% = 0.12）。", f"{number} {'percentage was' if detail == 1 else 'percentages were'} read as shares of one (12% = 0.12)."),
        "no_header": t("没有表头，列按号称呼。", "There is no header: columns go by their numbers."),
        "sampled": t(f"共 {number} 行，随机取了其中至多 {KEPT:,} 行。", f"Of {number} rows at most {KEPT:,} were picked at random."),
        "latest": t(f"共 {number} 行，只留了最后的。", f"Of {number} rows only the last ones were kept."),
        "dropped": t(f"去掉了 {number} 行：有缺失、非数字或无穷。", f"{number} {'row was' if detail == 1 else 'rows were'} left out: something missing, no number, or infinite."),
        "labels": t(f"文字当作 {number} 个类别。", f"The words are {number} classes."),
        "filled": t(f"{number} 个缺失的值用直线补上。", f"{number} missing values were put on the line between their neighbours."),
        "reversed": t("最新的在前，已倒过来。", "The newest came first: the order was reversed."),
    }[repair.code]  # fmt: skip
