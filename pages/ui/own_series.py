"""A series of one's own from a CSV file, with a plain word for everything that is wrong with it or was put right."""

from __future__ import annotations

import streamlit as st

from core.config import SettingError
from core.data.sequences import SERIES_LENGTHS
from core.data.series import read_series
from core.data.tables import COLUMNS, Repair, TableError
from pages.ui.controls import Controls
from pages.ui.text import t

MEGABYTES = 50  # of an upload


def panel(controls: Controls, **start: object) -> None:
    """A file becomes the config's `series`; `start` are settings that it moves as well."""
    stem, upload, found = controls.stem, f"{controls.stem}_upload", st.session_state.get(f"{controls.stem}_series_read")
    st.file_uploader(
        t("上传 CSV：一行一个值，按时间顺序", "Upload a CSV: one value per row, in the order of time"), type=["csv", "tsv", "txt"],
        key=upload, on_change=read, args=(controls, True, start), max_upload_size=MEGABYTES,
        help=t("文件不会离开这台服务器。后五分之一留作测试。长的序列不在链接里：打开链接的人要再上传一次。", "The file stays on this server. Its last fifth is held out. A long series is not part of a link: whoever opens it uploads it again."),
    )  # fmt: skip
    if isinstance(found, TableError):
        st.error(reason_in_words(found), icon=":material/error:")
    elif found is not None:
        key = f"{stem}_series_column"
        st.session_state[key] = found.column
        if len(found.numeric) > 1:
            st.selectbox(t("哪一列", "Column"), found.numeric, key=key, on_change=read, args=(controls, False, start))
        count = len(controls.value("series"))
        lines = [t(f"{count} 个值，来自“{found.column}”。", f"{count} values of “{found.column}”.")]
        lines += [repair_in_words(repair) for repair in found.repairs]
        st.caption("  \n".join(line.replace("$", "\\$") for line in lines))


def read(controls: Controls, anew: bool, start: dict) -> None:
    """From a callback: the file that was uploaded, or another column of it, becomes the series."""
    file, key = st.session_state.get(f"{controls.stem}_upload"), f"{controls.stem}_series_read"
    if file is None:
        st.session_state.pop(key, None)
        return
    column = "" if anew else st.session_state.get(f"{controls.stem}_series_column", "")
    try:
        series = read_series(file.getvalue(), column)
    except TableError as error:
        st.session_state[key] = error
        return
    st.session_state[key] = series._replace(values=())
    controls.put(task="own", series=series.values, **start)


def explain(error: ValueError) -> str:
    """Why a config cannot be used: a series that is not there yet, or too short for the sequence length."""
    if isinstance(error, SettingError) and error.field == "series":
        return t(f"还没有自己的序列：先在上面上传一个 CSV（{SERIES_LENGTHS[0]}–{SERIES_LENGTHS[-1]} 个值）。", f"There is no series of yours yet: upload a CSV above ({SERIES_LENGTHS[0]}–{SERIES_LENGTHS[-1]} values).")  # fmt: skip
    if isinstance(error, SettingError) and error.field == "length":
        return t(f"序列太短：它的训练部分放不下这么长的一段，长度最多 {error.limits[-1]}。", f"The series is too short: its training part holds windows of at most {error.limits[-1]} steps.")  # fmt: skip
    return t("这些设置不能用。", "These settings cannot be used.")


def reason_in_words(error: TableError) -> str:
    """Why a file cannot be used."""
    detail = error.detail
    return {
        "too_large": t(f"文件太大：最多 {detail} MB。", f"The file is too large: at most {detail} MB."),
        "empty": t("文件是空的。", "There is nothing in the file."),
        "no_text": t("这不是文本文件：要 UTF-8、GBK 或 UTF-16 的 CSV。", "This is no text: a CSV in UTF-8, GBK or UTF-16 is needed."),
        "many_columns": t(f"有 {detail} 列，最多 {COLUMNS} 列。", f"It has {detail} columns; at most {COLUMNS} can be read."),
        "no_column": t(f"没有叫“{detail}”的列。", f"There is no column called “{detail}”."),
        "no_numbers": t("没有一列是数：一行要有一个数。", "No column holds numbers: every row needs one."),
        "no_rows": t("只有表头，没有数据。", "There is a header and nothing under it."),
        "short": t(f"只有 {detail} 个值，至少要 {SERIES_LENGTHS[0]} 个。", f"It has {detail} values; at least {SERIES_LENGTHS[0]} are needed."),
        "constant": t(f"“{detail}”的前一半全是同一个值，没有什么可学。", f"The first half of “{detail}” is one and the same value: nothing to learn."),
        "huge": t(f"“{detail}”里有大得无法计算的数。", f"“{detail}” has numbers too large to compute with."),
    }.get(error.reason, t("这个文件不能用。", "This file cannot be used."))  # fmt: skip


def repair_in_words(repair: Repair) -> str:
    """What was put right."""
    detail = repair.detail
    number = f"{detail:,}" if isinstance(detail, int) else detail
    delimiter = {"\t": t("制表符", "tab")}.get(str(detail), f"“{detail}”")
    return {
        "encoding": t(f"文件编码是 {detail}，已转换。", f"The file was {detail}; it has been converted."),
        "delimiter": t(f"分隔符是{delimiter}。", f"The columns are separated by {delimiter}."),
        "decimal_comma": t(f"{number} 个小数逗号读作小数点。", f"{number} decimal commas were read as points."),
        "no_header": t("没有表头，列按号称呼。", "There is no header: columns go by their numbers."),
        "latest": t(f"共 {number} 行，只留最后 {SERIES_LENGTHS[-1]:,} 个。", f"Of {number} rows the last {SERIES_LENGTHS[-1]:,} were kept."),
        "filled": t(f"{number} 个缺失的值用直线补上。", f"{number} missing values were put on the line between their neighbours."),
        "reversed": t("最新的在前，已倒过来。", "The newest came first: the order was reversed."),
    }.get(repair.code, str(repair.code))  # fmt: skip
