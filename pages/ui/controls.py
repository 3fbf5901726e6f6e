"""Controls that live in the address bar: one mechanism for sliders, choices, toggles and settings without a widget.

`settings()` holds the value of every control of this visit, whether its widget is drawn or not. A widget starts with
the value of the address, if that is valid; a value that is not is reported in a note and the default stays. The
address is written once, at the end of a run, by `publish`; values equal to their default are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import streamlit as st

from core.config import Config, Limits, SettingError, Span, check, describe, limits_of
from pages.ui.address import decode, encode
from pages.ui.lessons import LESSONS
from pages.ui.text import LANGUAGE_KEY, language, t

SETTINGS, DEFAULTS, NOTES, VISITING, NOTE_PLACE = "settings", "setting_defaults", "notes", "visiting", "note_place"
SHORT = {"learning_rate": "lr"}  # fields whose key is shorter than their name


class Note(NamedTuple):
    """A value of the address that could not be used."""

    key: str
    value: str
    limits: str  # empty: the key means nothing here


def settings() -> dict[str, Any]:
    """Key → value of every control seen in this visit."""
    return st.session_state.setdefault(SETTINGS, {})


def key_of(stem: str, field: str) -> str:
    """The key of a field: of its widget, and in the address."""
    return f"{stem}_{SHORT.get(field, field)}"


def visit(stem: str) -> None:
    """A page begins: the others' notes go, a place for its own is kept above everything."""
    if st.session_state.get(VISITING) != stem:
        if VISITING in st.session_state:
            st.session_state.pop(NOTES, None)
        st.session_state[VISITING] = stem
    st.session_state[NOTE_PLACE] = st.container()


def note(key: str, value: str, limits: str) -> None:
    """Remember that a value of the address was not used."""
    notes = st.session_state.setdefault(NOTES, [])
    found = Note(key, value if len(value) <= 40 else value[:40] + "…", limits)
    if found not in notes:
        notes.append(found)


def dismiss_notes() -> None:
    st.session_state.pop(NOTES, None)


def publish() -> None:
    """Last line of every run: show the notes, and write the settings of this page into the address."""
    stem = st.session_state.get(VISITING, "")
    known = {key: value for key, value in settings().items() if key.startswith(f"{stem}_")}
    elsewhere = tuple(f"{lesson.stem}_" for lesson in LESSONS if lesson.stem != stem)
    for key in st.query_params:
        if key not in known and key != LANGUAGE_KEY and not key.startswith(elsewhere):
            note(key, st.query_params[key], "")
    show_notes()
    defaults = st.session_state.get(DEFAULTS, {})
    wanted = {LANGUAGE_KEY: language()}
    wanted |= {key: encode(value) for key, value in known.items() if value != defaults.get(key)}
    if wanted != st.query_params.to_dict():
        st.query_params.from_dict(wanted)


def show_notes() -> None:
    notes: list[Note] = st.session_state.get(NOTES, [])
    place = st.session_state.get(NOTE_PLACE)
    if not notes or place is None:
        return
    lines = [
        t(f"链接中的 `{n.key}={n.value}` 不可用(可取:{n.limits}),已改用默认值。", f"`{n.key}={n.value}` in the link cannot be used (possible: {n.limits}); the default stands instead.")
        if n.limits
        else t(f"链接中的 `{n.key}` 在本页没有意义，已忽略。", f"`{n.key}` in the link means nothing on this page and was ignored.")
        for n in notes
    ]  # fmt: skip
    with place, st.container(horizontal=True, vertical_alignment="center"):
        st.warning("  \n".join(line.replace("$", "\\$") for line in lines), icon=":material/link_off:")
        st.button(t("知道了", "OK"), key="dismiss_notes", on_click=dismiss_notes)


def keep_all() -> None:
    """Before a language switch: a widget whose labels change counts as a new one and would start anew."""
    for key, value in settings().items():
        if key in st.session_state:
            st.session_state[key] = value


def put(values: Mapping[str, Any]) -> None:
    """Move controls from a callback: key → value."""
    settings().update(values)
    for key, value in values.items():
        st.session_state[key] = value


def read_address(key: str, default: Any, limits: Limits | None) -> Any:
    """The value that the address gives this key, or the default; a bad one leaves a note."""
    texts = st.query_params.get_all(key)
    if not texts:
        return default
    bounds = describe(limits) if limits is not None else type(default).__name__
    if len(texts) > 1:
        note(key, " & ".join(texts), bounds)
        return default
    try:
        value = decode(texts[0], default, limits)
        if limits is not None:
            check(key, value, limits)
        return value
    except (SettingError, ValueError, OverflowError):
        note(key, texts[0], bounds if not isinstance(default, bool) else "0, 1")
        return default


class Controls:
    """The controls of one lesson: a field of its config, one key, one widget."""

    def __init__(self, stem: str, defaults: Config):
        self.stem, self.default_config = stem, defaults
        self.limits = limits_of(type(defaults))
        self.defaults = {self.key(field.name): getattr(defaults, field.name) for field in fields(defaults)}
        st.session_state.setdefault(DEFAULTS, {}).update(self.defaults)
        for field in fields(defaults):
            key = self.key(field.name)
            if key not in settings():
                settings()[key] = read_address(key, self.defaults[key], self.limits.get(field.name))
        self._drop_what_the_config_refuses()

    def _drop_what_the_config_refuses(self) -> None:
        """Some limits are known to the config alone (an edited kernel has k² weights)."""
        for _ in self.defaults:
            try:
                self.config()
                return
            except SettingError as error:
                key = self.key(error.field)
                if settings().get(key) == self.defaults.get(key):
                    return
                note(key, encode(settings()[key]), describe(error.limits))
                settings()[key] = self.defaults[key]
            except ValueError:
                return  # each value is good, they do not go together: the page says so where it shows

    def key(self, field: str) -> str:
        return key_of(self.stem, field)

    def view(self, field: str, default: Any, limits: Limits | None = None) -> Any:
        """Declare a control that changes what is looked at and not what is trained; returns its current value."""
        key = self.key(field)
        if limits is not None:
            self.limits[field] = limits
        self.defaults[key] = st.session_state[DEFAULTS][key] = default
        if key not in settings():
            settings()[key] = read_address(key, default, limits)
        return settings()[key]

    def value(self, field: str) -> Any:
        """The current value of a field, drawn or not."""
        return settings()[self.key(field)]

    def slider(self, field: str, label: str, help: str | None = None, format: str | None = None) -> Any:
        """A slider between the limits of the field: whole numbers for a range, reals for a Span."""
        limits = self.limits[field]
        if isinstance(limits, range):
            bounds = {"min_value": limits[0], "max_value": limits[-1], "step": limits.step}
        elif isinstance(limits, Span):
            bounds = {"min_value": float(limits.low), "max_value": float(limits.high), "step": float(limits.step)}
        else:
            raise TypeError(f"{field} is a choice, not a number")
        return self._widget(field, st.slider, label, help=help, format=format, **bounds)

    def steps(self, field: str, label: str, options: tuple, help: str | None = None, format: Callable = str) -> Any:
        """A slider over given values; a value from a link that is none of them is added."""
        value = self.value(field)
        shown = options if value in options else tuple(sorted((*options, value)))
        return self._widget(field, st.select_slider, label, options=shown, format_func=format, help=help)

    def number(self, field: str, label: str, help: str | None = None) -> Any:
        """A number to type, between the limits of the field."""
        limits = self.limits[field]
        low, high, step = (limits[0], limits[-1], limits.step) if isinstance(limits, range) else limits
        return self._widget(field, st.number_input, label, help=help, min_value=low, max_value=high, step=step)

    def choice(self, field: str, label: str, names: Mapping[Any, str], help: str | None = None) -> Any:
        """One of several: side by side while they are few, else a list. `names` maps each code to its words."""
        options = [code for code in self.limits[field] if code in names]
        if len(options) <= 4:
            return self._widget(
                field, st.segmented_control, label, options=options, format_func=names.get, help=help,
                required=True, width="stretch", wrap=True,
            )  # fmt: skip
        return self._widget(field, st.selectbox, label, options=options, format_func=names.get, help=help)

    def toggle(self, field: str, label: str, help: str | None = None) -> bool:
        return self._widget(field, st.toggle, label, help=help)

    def put(self, **values: Any) -> None:
        """Move controls from a callback: field=value."""
        put({self.key(field): value for field, value in values.items()})

    def _widget(self, field: str, widget: Callable, label: str, **options: Any) -> Any:
        key = self.key(field)
        if key not in st.session_state:
            st.session_state[key] = settings()[key]
        value = widget(label, key=key, **options)
        settings()[key] = value if value is not None else settings()[key]
        return settings()[key]

    def config(self) -> Config:
        """The config that the controls describe; ValueError where they do not go together."""
        return type(self.default_config)(
            **{field.name: settings()[self.key(field.name)] for field in fields(self.default_config)}
        )

    def reset(self) -> None:
        """All controls back to their defaults, from a callback."""
        put(self.defaults)
