"""Points of one's own: by clicking on the plane, or from a CSV file."""

from __future__ import annotations

from typing import Any

import streamlit as st
import torch

from core.config import Span
from core.data.tables import CLASSES, Table, TableError, read_points
from core.playground import OWN_CLASSES, OWN_POINTS, OWN_VALUES, PlaygroundConfig, is_regression, points_of
from pages.ui import own_file
from pages.ui.address import LONGEST, fits
from pages.ui.controls import Controls, settings
from pages.ui.text import t

TAKEN = 120  # points of the drawn ones that become own ones
STARTER = (-2.0, -2.0, 0.0, 2.0, 2.0, 1.0)  # two points: what there is before the first click
UPLOAD, TABLE, REPLACED = "playground_upload", "playground_table", "playground_points_replaced"
COLUMN_KEYS = ("playground_column_1", "playground_column_2", "playground_column_3")


def views(controls: Controls) -> None:
    """What the next click adds."""
    controls.view("add_class", 0, range(CLASSES))
    controls.view("add_value", 1.0, Span(-1.0, 1.0, 0.1))


def convert() -> None:
    """First line of the page: where classes were to become values, or values classes, the points follow."""
    kept = settings()
    data = st.session_state.get("playground_data", kept.get("playground_data"))
    points = kept.get("playground_points", ())
    targets, classes = points[2::3], {float(k) for k in range(CLASSES)}
    if data == OWN_CLASSES and not set(targets) <= classes:  # the sign of a value is its class
        kept["playground_points"] = with_targets(points, [float(value > 0) for value in targets])
    elif data == OWN_VALUES and not all(-1 <= value <= 1 for value in targets):  # classes are spread over the values
        kept["playground_points"] = with_targets(points, [2 * value / max(targets) - 1 for value in targets])


def settle(controls: Controls) -> bool:
    """Before the config is made: own data need at least two points. Whether the data are own ones."""
    data, points = controls.value("data"), controls.value("points")
    own, before = data in (OWN_CLASSES, OWN_VALUES), st.session_state.get("playground_own_before", False)
    st.session_state["playground_own_before"] = own
    if not own:
        return False
    if not before:
        st.session_state["playground_data_more"] = True  # where points are added
    if len(points) < 6:
        controls.correct(points=STARTER)
        if "playground_race" not in st.session_state:
            st.info(t("这个链接的点太多，没有放在链接里。先有两个点：自己点上，或者再上传一次。", "The points of this link were too many to be in it. Here are two to begin with: click to add yours, or upload them again."), icon=":material/link_off:")  # fmt: skip
    return True


def with_targets(points: tuple[float, ...], targets: list[float]) -> tuple[float, ...]:
    return tuple(value for x1, x2, y in zip(points[0::3], points[1::3], targets, strict=True) for value in (x1, x2, y))


def add(controls: Controls, x1: float, x2: float) -> None:
    """From a callback: one more point, of the class or value that is chosen."""
    points = controls.value("points")
    value = float(controls.value("add_class")) if controls.value("data") == OWN_CLASSES else controls.value("add_value")
    if len(points) // 3 < OWN_POINTS:
        controls.put(points=(*points, x1, x2, value))


def take_over(controls: Controls, config: PlaygroundConfig) -> None:
    """From a callback: some of the points that are drawn become own ones, in tenths, so few that a link holds them."""
    points = points_of(config)
    inputs, targets = (
        torch.cat([points.train_inputs, points.test_inputs]),
        torch.cat([points.train_targets, points.test_targets]),
    )
    every = max(1, len(inputs) // TAKEN)  # training and test points alike
    table = torch.cat([inputs, targets[:, None]], 1)[::every][:TAKEN]
    values = tuple(round(value, 1) for value in table.flatten().tolist())
    replace(controls, points=values, data=OWN_VALUES if is_regression(config) else OWN_CLASSES)


def replace(controls: Controls, **new: Any) -> None:
    """From a callback: other points take the place of all that were there; until more are added, `undo` brings those
    back."""
    before = {field: controls.value(field) for field in new}
    controls.put(**new)
    if len(before["points"]) > 6 and before["points"] != new["points"]:
        st.session_state[REPLACED] = new["points"], before


def replaced(controls: Controls) -> dict[str, Any]:
    """What stood before the points that are there took its place, if something did."""
    new, before = st.session_state.get(REPLACED, ((), {}))
    return before if new == controls.value("points") else {}


def undo(controls: Controls) -> None:
    points = controls.value("points")
    if before := replaced(controls):
        del st.session_state[REPLACED]
        controls.put(**before)
    elif len(points) > 6:
        controls.put(points=points[:-3])


def clear(controls: Controls) -> None:
    st.session_state.pop(TABLE, None)
    replace(controls, points=STARTER)


def panel(controls: Controls) -> None:
    """Click to add, undo, start over; a file."""
    points = controls.value("points")
    st.caption(t("**点一下上面的平面，就加一个点。**", "**Click on the plane above to add a point.**"))
    if controls.value("data") == OWN_CLASSES:
        signs = ("●", "▲", "■", "◆", "✚")
        controls.choice("add_class", t("加哪一类", "Class to add"), {k: f"{signs[k]} {k}" for k in range(CLASSES)})
    else:
        controls.slider("add_value", t("加的值", "Value to add"), format="%.1f")
    locked = not controls.free("points")
    with st.container(horizontal=True, gap="small"):
        st.button(t("撤销", "Undo"), key="playground_undo", icon=":material/undo:", on_click=undo, args=(controls,), disabled=locked or (len(points) <= 6 and not replaced(controls)))  # fmt: skip
        st.button(t("清空", "Clear"), key="playground_clear", icon=":material/delete:", on_click=clear, args=(controls,), disabled=locked or points == STARTER)  # fmt: skip
    count = len(points) // 3
    st.caption(
        t(f"{count} 个点，在链接里。", f"{count} points; they are in the link.")
        if fits(points)
        else t(f"{count} 个点太多，放不进链接（最多 {LONGEST:,} 个字符）：打开链接的人要自己再上传。", f"{count} points do not fit into a link ({LONGEST:,} characters at most): whoever opens it has to upload them again.")
    )  # fmt: skip
    found: tuple[Table, tuple[str, ...]] | None = own_file.uploader(
        t("上传 CSV", "Upload a CSV file"), read=TABLE, key=UPLOAD, on_change=read, args=(controls, True), disabled=locked,
        help=t("两列数作 x₁、x₂，一列作要学的类别或数值。文件不会离开这台服务器，也不在链接里。", "Two columns of numbers as x₁ and x₂, and one to be learned: classes or values. The file stays on this server, and is not in a link."),
    )  # fmt: skip
    if found is not None:
        summary(controls, *found)


def read(controls: Controls, anew: bool) -> None:
    """From a callback: the file that was uploaded, or other columns of it, become the points."""
    file = st.session_state.get(UPLOAD)
    if file is None:
        st.session_state.pop(TABLE, None)
        return
    chosen = ("", "", "") if anew else tuple(st.session_state.get(key, "") for key in COLUMN_KEYS)
    try:
        table = read_points(file.getvalue(), tuple(name for name in chosen[:2] if name), chosen[2])
    except TableError as error:
        return own_file.refuse(TABLE, anew, error)
    columns = st.session_state[TABLE][1] if not anew and isinstance(st.session_state.get(TABLE), tuple) else ()
    st.session_state[TABLE] = table._replace(points=()), columns or (*table.numeric, *(name for name in table.columns if name not in table.numeric))  # fmt: skip
    replace(controls, points=table.points, data=table.data)


def summary(controls: Controls, table: Table, columns: tuple[str, ...]) -> None:
    """Which columns are what, what was repaired, and other columns to choose."""
    for key, label, name, names in zip(
        COLUMN_KEYS,
        ("x₁", "x₂", t("学什么", "To be learned")),
        table.columns,
        (table.numeric, table.numeric, columns),
        strict=True,
    ):
        st.session_state[key] = name
        st.selectbox(label, names, key=key, on_change=read, args=(controls, False))
    lines = [t("x₁、x₂ 缩放到 −5…5。", "x₁ and x₂ are scaled to −5…5.")]
    if table.classes:
        lines.append(t("类别：", "Classes: ") + ", ".join(f"{k} = {name}" for k, name in enumerate(table.classes)))
    own_file.tell(lines, table.repairs)
