"""A series of one's own from a CSV file."""

from __future__ import annotations

import streamlit as st

from core.config import SettingError
from core.data.sequences import SERIES_LENGTHS
from core.data.series import Series, read_series
from core.data.tables import TableError
from pages.ui import own_file
from pages.ui.controls import Controls
from pages.ui.text import t


def panel(controls: Controls, **start: object) -> None:
    """A file becomes the config's `series`; `start` are settings that it moves as well."""
    found: Series | None = own_file.uploader(
        t("上传 CSV：一行一个值，按时间顺序", "Upload a CSV: one value per row, in the order of time"), read=f"{controls.stem}_series_read",
        key=f"{controls.stem}_upload", on_change=read, args=(controls, True, start), disabled=not (controls.free("series") and controls.free("task")),
        help=t("文件不会离开这台服务器。后五分之一留作测试。长的序列不在链接里：打开链接的人要再上传一次。", "The file stays on this server. Its last fifth is held out. A long series is not part of a link: whoever opens it uploads it again."),
    )  # fmt: skip
    count = len(controls.value("series"))
    if found is None:
        if count:  # of an earlier visit, or of the link
            st.caption(t(f"自己的序列：{count} 个值。", f"Your own series: {count} values."))
        return
    key = f"{controls.stem}_series_column"
    st.session_state[key] = found.column
    if len(found.numeric) > 1:
        st.selectbox(t("哪一列", "Column"), found.numeric, key=key, on_change=read, args=(controls, False, start))
    own_file.tell([t(f"{count} 个值，来自“{found.column}”。", f"{count} values of “{found.column}”.")], found.repairs)


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
        return own_file.refuse(key, anew, error)
    st.session_state[key] = series._replace(values=())
    controls.put(task="own", series=series.values, **start)


def explain(error: ValueError) -> str:
    """Why a config cannot be used: a series that is not there yet, or too short for the sequence length."""
    if isinstance(error, SettingError) and error.field == "series":
        return t(f"还没有自己的序列：先在上面上传一个 CSV（{SERIES_LENGTHS[0]}–{SERIES_LENGTHS[-1]} 个值）。", f"There is no series of yours yet: upload a CSV above ({SERIES_LENGTHS[0]}–{SERIES_LENGTHS[-1]} values).")  # fmt: skip
    if isinstance(error, SettingError) and error.field == "length":
        return t(f"序列太短：它的训练部分放不下这么长的一段，长度最多 {error.limits[-1]}。", f"The series is too short: its training part holds windows of at most {error.limits[-1]} steps.")  # fmt: skip
    return t("这些设置不能用。", "These settings cannot be used.")
