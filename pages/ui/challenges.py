"""Challenges: goals of a lesson that its settings and its training can reach, checked by measuring."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import streamlit as st

from pages.ui import lesson
from pages.ui.controls import Controls
from pages.ui.live import Live
from pages.ui.predict import announce, mark, marked
from pages.ui.text import t

PREFIX = "challenge_"  # in the lesson's progress, apart from its questions


class Challenge(NamedTuple):
    """A goal. `check` says whether the lesson has reached it now, and what was measured, beside what was wanted."""

    name: str  # language-free
    text: str
    check: Callable[[Live], tuple[bool, str]]


def board(controls: Controls, live: Live, challenges: tuple[Challenge, ...]) -> None:
    """The goals side by side, each with what is measured now; a goal once reached stays reached in this visit.

    Checked when the page is drawn: after every change of a setting, after Step, and when the training pauses.
    """
    stem = controls.stem
    announce(stem, "challenges", tuple(PREFIX + challenge.name for challenge in challenges))
    lesson.heading("挑战", "Challenges")
    for column, challenge in zip(st.columns(len(challenges), border=True), challenges, strict=True):
        with column:
            show(stem, live, challenge)


def show(stem: str, live: Live, challenge: Challenge) -> None:
    name = PREFIX + challenge.name
    before = name in marked(stem)
    reached, measured = (False, "") if live.playing else challenge.check(live)
    if reached and not before:
        mark(stem, name)
        st.toast(t(f"达成：{challenge.text}", f"Reached: {challenge.text}"), icon=":material/trophy:")
    if reached or before:
        state = t(":green[:material/check_circle: **已达成**]", ":green[:material/check_circle: **Reached**]")
    else:
        state = t(":material/radio_button_unchecked: 未达成", ":material/radio_button_unchecked: Not yet")
    if live.playing:
        measured = t("暂停后测量。", "Measured when you pause.")
    elif before and not reached:
        measured = t(f"现在：{measured}", f"Now: {measured}")
    st.markdown(f"{state}\n\n**{challenge.text}**" + (f"\n\n:small[{measured}]" if measured else ""))
