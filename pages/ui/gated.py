"""Controls that the pages of gated cells share: gates that can be held, a walk through time, and how it trains."""

from __future__ import annotations

import streamlit as st

from core.optimizers import OPTIMIZERS
from pages.ui.controls import Controls
from pages.ui.text import t, term


def gate(controls: Controls, field: str, label: str) -> None:
    """Whether a gate is learned, or held."""
    controls.choice(field, label, {"learned": t("学习", "learned"), "open": t("开 = 1", "open = 1"), "shut": t("关 = 0", "shut = 0")})  # fmt: skip


def within(controls: Controls, field: str, default: int, most: int) -> int:
    """Declare what is looked at, from 1 to `most`, which the settings decide; a value past it moves back."""
    value = controls.view(field, min(default, most), range(1, most + 1))
    if value > most:
        controls.correct(**{field: most})
    return min(value, most)


def walk(controls: Controls, steps: int) -> None:
    """One step back or on in time."""
    at = controls.value("at")
    with st.container(horizontal=True, gap="small"):
        for name, by, icon, label in (
            ("back", -1, "left", t("上一步", "Back")),
            ("next", 1, "right", t("下一步", "Next")),
        ):
            st.button(
                label, key=f"{controls.stem}_{name}", icon=f":material/chevron_{icon}:", on_click=controls.put,
                kwargs={"at": at + by}, disabled=not (1 <= at + by <= steps and controls.free("at")), width="stretch",
            )  # fmt: skip


def training(controls: Controls, task: str) -> None:
    """How it trains."""
    controls.choice("optimizer", t("优化器", "Optimizer"), {name: term(name) for name in OPTIMIZERS})
    controls.slider("batch_size", t("批大小", "Batch size"))
    controls.slider("clip", t("梯度截断", "Gradient clipping"), format="%.1f", help=t("梯度的范数至多这么大；0 是不截断。", "The gradient's norm is at most this; 0 leaves it as it is."))  # fmt: skip
    if task == "recall":
        controls.slider("distractors", t("干扰的比例", "Distractors"), help=t("后面的步子有多大可能再出现一个无关的字母。", "How likely a later step shows another letter that means nothing."))  # fmt: skip
