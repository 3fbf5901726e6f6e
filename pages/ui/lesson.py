"""The parts of the essay that every lesson is: title, presets, formula, warnings, questions, takeaways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.config import Config, idle
from pages.ui import frame, glossary
from pages.ui.controls import PRESETS, VISITING, Controls
from pages.ui.text import t

CAPTION_PLACE = "caption_place"  # of the presets, and what it says
PLAY_PLACE = "play_place"  # where the page has left room for Play and what stands beside it


class Preset(NamedTuple):
    """A named config on a button."""

    label: str
    config: Config
    why: str = ""  # what to look at, with the measured reason
    breaks: bool = False  # one that does not work, to learn from


def begin(stem: str, defaults: Config) -> Controls:
    """First line of every lesson: frame, title and sentence; returns the lesson's controls."""
    frame.enter(stem)
    return Controls(stem, defaults)


def columns(picture: int = 2, controls: int = 1) -> tuple:
    """The picture and, beside it, its controls; one below the other on a narrow screen."""
    return st.columns([picture, controls], gap="medium")


def presets(controls: Controls, choices: Mapping[str, Preset]) -> None:
    """The presets in a row: a click moves every control. The chosen one says why it is there. Below is room for Play.

    Controls that the visit hides or locks stay; a preset that could then move nothing is not offered.
    """
    allowed = controls.access(PRESETS, t("预设", "Presets"))
    if allowed != "hide":
        row_of_presets(controls, choices, allowed == "lock")
    st.session_state[PLAY_PLACE] = row_of_buttons("usual")


def row_of_buttons(place: str) -> DeltaGenerator:
    """Room for Play and what stands beside it; it stays in sight while one scrolls. `place` tells it from another."""
    return st.container(horizontal=True, vertical_alignment="bottom", gap="small", key=f"{place}_buttons")


def row_of_presets(controls: Controls, choices: Mapping[str, Preset], locked: bool) -> None:
    chosen = current(controls, choices)
    key = key_of_row(controls.stem, chosen)
    names = {
        name: f":material/warning: {preset.label}" if preset.breaks else preset.label
        for name, preset in choices.items()
        if name == chosen or moves(controls, preset.config)
    }
    st.session_state[key] = chosen if chosen in names else None
    st.pills(
        t("预设", "Presets"),
        list(names),
        format_func=names.get,
        key=key,
        label_visibility="collapsed",
        disabled=locked,
        on_change=choose,
        args=(controls, choices, key),
    )
    words = (chosen and choices[chosen].why) or t("你自己的设置。", "Your own settings.")  # always: nothing jumps
    place = st.empty()
    place.caption(words)
    st.session_state[CAPTION_PLACE] = place, words


def add_to_caption(message: str) -> None:
    """Say behind what is said of the presets what has become of the run: to be seen where the controls are."""
    place, words = st.session_state.pop(CAPTION_PLACE, (None, ""))
    if place is not None and message:
        place.caption(f"{words} :material/restart_alt: {message}")


def key_of_row(stem: str, chosen: str | None) -> str:
    """The key of the row: a new row whenever a control, and no click on it, has changed which one is chosen.

    A message of the browser that was under way may still tell what the old row showed: see `choose`.
    """
    row, shown = st.session_state.get(f"{stem}_presets", (0, chosen))
    row += shown != chosen
    st.session_state[f"{stem}_presets"] = row, chosen
    return f"{stem}_preset" + (f"_{row}" if row else "")


def choose(controls: Controls, choices: Mapping[str, Preset], key: str) -> None:
    """The callback of the row of presets; of one that is gone it is no choice."""
    name, (row, shown) = st.session_state[key], st.session_state[f"{controls.stem}_presets"]
    if name is not None and key == key_of_row(controls.stem, shown):
        apply(controls, choices[name].config)
        st.session_state[f"{controls.stem}_presets"] = row, name


def current(controls: Controls, choices: Mapping[str, Preset]) -> str | None:
    """The preset that the controls stand at, if any."""
    for name, preset in choices.items():
        if all(controls.value(field) == value for field, value in settings_of(preset.config).items()):
            return name
    return None


def moves(controls: Controls, config: Config) -> bool:
    """Whether some control that this visit may move stands elsewhere than this config."""
    return any(controls.free(field) and controls.value(field) != value for field, value in settings_of(config).items())


def apply(controls: Controls, config: Config) -> None:
    """Move every control to a config, but for what stays the viewer's."""
    controls.put(**settings_of(config))


def settings_of(config: Config) -> dict[str, Any]:
    """What a preset is: not its seed, nor data of the viewer's own that it does not look at."""
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    viewers = {"seed", *idle(type(config), values)}
    return {field: value for field, value in values.items() if field not in viewers}


def config(controls: Controls, explain: Callable[[ValueError], str]) -> Config:
    """The config of the controls; where they do not go together, says so in words and keeps the last that did, or the
    default one where a link has brought them."""
    kept = f"{controls.stem}_last_config"
    try:
        st.session_state[kept] = controls.config()
    except ValueError as error:
        st.error(explain(error), icon=":material/block:")
        if kept in st.session_state:
            st.caption(t("下面的图仍是上一个可行的设置。", "The picture still shows the last settings that worked."))
        else:
            st.caption(t("下面的图是默认设置。", "The picture shows the default settings."))
    return st.session_state.get(kept, controls.default_config)


def heading(zh: str, en: str) -> None:
    """A part of the essay begins."""
    st.header(t(zh, en), anchor=False)


def takeaways(*points: str) -> None:
    """What to remember, in a few lines; the last part of every lesson."""
    heading("要点", "Takeaways")
    st.markdown("\n".join(f"- {point}" for point in points))
    terms(st.session_state[VISITING])


def terms(stem: str) -> None:
    """The words of the lesson in a row; a click on one shows below what it means."""
    entries = {entry.name: entry for entry in glossary.of_lesson(stem)}
    if not entries:
        return
    words = {name: t(entry.zh, entry.en) for name, entry in entries.items()}
    chosen = st.pills(
        t("术语", "Terms"), list(words), format_func=words.get, key=f"{stem}_term", persist_state="session"
    )
    if chosen is not None:
        with st.container(border=True):
            st.markdown(f"{both_names(entries[chosen])}\n\n{meaning(entries[chosen])}")
            st.page_link(
                frame.GLOSSARY,
                label=t("在术语表中打开", "Open in the glossary"),
                icon=":material/menu_book:",
                query_params={"term": chosen},
            )


def both_names(entry: glossary.Entry) -> str:
    """Markdown: the term, and small beside it the one of the other language."""
    word, other = t(entry.zh, entry.en), t(entry.en, entry.zh)
    return f"**{word}**" + (f" :small[{other}]" if other != word else "")


def meaning(entry: glossary.Entry) -> str:
    """Markdown: the precise definition, the formula, and how one says it every day."""
    parts = [
        t(*entry.precise),
        f"$$\n{entry.formula}\n$$" if entry.formula else "",
        t(f"平常说：{entry.everyday[0]}", f"In everyday words: {entry.everyday[1]}"),
    ]
    return "\n\n".join(filter(None, parts))
