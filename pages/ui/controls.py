"""Controls that live in the address bar: one mechanism for sliders, choices, toggles and settings without a widget.

`settings()` holds the value of every control of this visit, whether its widget is drawn or not. A widget starts with
the value of the address, if that is valid; a value that is not is reported in a note and the default stays. The
address is written once, at the end of a run, by `publish`; values equal to their default are left out.

A teacher's link may hide or lock controls by their names (`hide=kernel~stride`, `lock=lr`): it holds for the whole visit
and for every lesson. A hidden control has no widget, a locked one cannot be moved, and no button moves either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple
from unicodedata import east_asian_width

import streamlit as st

from core.config import Config, Limits, SettingError, Span, check, describe, idle, limits_of
from pages.ui.address import LISTED, SHORT, decode, encode, fits
from pages.ui.lessons import LESSONS
from pages.ui.text import LANGUAGE_KEY, language, t

SETTINGS, DEFAULTS, NOTES, VISITING, NOTE_PLACE = "settings", "setting_defaults", "notes", "visiting", "note_place"
HIDE, LOCK, PRESENT = "hide", "lock", "present"  # names in the address, and in the session: they hold for the visit
ARRIVING = "arriving"  # the first page of this visit has not come to its end yet
OWN = "own_parameters"  # name → value of what the address of the page at hand says beside settings
DRAWN = "drawn"  # name → label of what this run has drawn, hidden controls included
LATE = "late"  # {key: value} of controls that are to move before the next run draws them
STARTED = "started"  # stem → {key: value} that the run began with, where the control has moved on since
WORDED = "worded"  # (stem, language) → {field: (label, how a value is worded)} of what was drawn in this visit
# How many letters of a choice's words stand side by side in a quarter, in a third and in the whole of the page.
NARROW_ROOM, ROOM, WIDE_ROOM = 15, 25, 80
KINDS = {tuple: "0.5~-1.25~…", float: "0.5, 1.25, …", int: "0, 1, 2, …"}  # in no language: what has no limits
MOST_NOTES = 12  # of what a link says that cannot be used; more would push the lesson off the screen
PRESETS = "presets"  # the name by which a teacher's link hides or locks the row of presets


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


def arrive() -> None:
    """A run begins: what the address says for the whole visit. A change of page clears the address, not this."""
    for name in (HIDE, LOCK):
        names = tuple(dict.fromkeys(LISTED.join(st.query_params.get_all(name)).split(LISTED)))
        names = tuple(filter(None, names))
        if names and names != st.session_state.get(name):
            st.session_state[name] = names
            st.session_state[f"{name}_unchecked"] = True
    if PRESENT not in st.session_state:
        st.session_state[PRESENT] = read_address(PRESENT, False, None)


def access(name: str) -> str:
    """What the visit allows of the control with this name: "show", "lock" or "hide"."""
    return next((kind for kind in (HIDE, LOCK) if name in st.session_state.get(kind, ())), "show")


def drawn() -> dict[str, str]:
    """Name → label of the controls of this page, hidden ones included, as far as this run has come."""
    return st.session_state.setdefault(DRAWN, {})


def worded(stem: str) -> dict[str, tuple[str, Callable | None]]:
    """Field → its label and how a value of it is worded, in the viewer's language, as far as a page has drawn it."""
    return st.session_state.setdefault(WORDED, {}).setdefault((stem, language()), {})


def visit(stem: str) -> None:
    """A page begins: the others' notes go, a place for its own is kept above everything."""
    st.session_state[DRAWN] = {}
    st.session_state[OWN] = {}
    if st.session_state.get(VISITING) != stem:
        st.session_state[ARRIVING] = VISITING not in st.session_state
        if VISITING in st.session_state:
            st.session_state.pop(NOTES, None)
        st.session_state[VISITING] = stem
    st.session_state[NOTE_PLACE] = st.container()


def parameter(name: str, choices: Iterable[str], limits: str) -> str:
    """What the address says by a name that only this page knows, or ""; none of the choices leaves a note."""
    value = LISTED.join(st.query_params.get_all(name))
    if value and value not in choices:
        note(name, value, limits)
        value = ""
    st.session_state[OWN][name] = value
    return value


def note(key: str, value: str, limits: str) -> None:
    """Remember that a value of the address was not used."""
    notes = st.session_state.setdefault(NOTES, [])
    key, value = (" ".join(text.replace("`", "'").split()) for text in (key, value))  # shown as code, in a line
    found = Note(shortened(key, 80), shortened(value, 40), limits)
    if found not in notes:
        notes.append(found)


def shortened(text: str, most: int) -> str:
    """At most so many letters of it."""
    return text if len(text) <= most else text[:most] + "…"


def dismiss_notes() -> None:
    st.session_state.pop(NOTES, None)


def publish() -> None:
    """Last line of every run: show the notes, and write the settings of this page into the address."""
    stem = st.session_state.get(VISITING, "")
    known, own = addressed(stem), st.session_state.get(OWN, {})
    elsewhere: tuple[str, ...] = ()
    if not st.session_state.pop(ARRIVING, False):  # a page that was left may have settings in the address still
        elsewhere = tuple(f"{lesson.stem}_" for lesson in LESSONS if lesson.stem != stem)
    for key in st.query_params:
        if key not in (*settings(), *known, *own, LANGUAGE_KEY, HIDE, LOCK, PRESENT) and not key.startswith(elsewhere):
            note(key, st.query_params[key], "")
    forget_unknown_names(stem)
    show_notes()
    defaults = st.session_state.get(DEFAULTS, {})
    wanted = {LANGUAGE_KEY: language()} | {name: value for name, value in own.items() if value}
    wanted |= {key: encode(value) for key, value in known.items() if value != defaults.get(key)}
    wanted |= {name: encode(st.session_state[name]) for name in (HIDE, LOCK, PRESENT) if st.session_state.get(name)}
    there = {key: st.query_params.get_all(key) for key in st.query_params}
    if there != {key: [value] for key, value in wanted.items()}:  # one that was repeated has several
        st.query_params.from_dict(wanted)


def addressed(stem: str) -> dict[str, Any]:
    """Key → value of a lesson as its address carries it: what the run began with, the settings otherwise.

    A value too long for an address is in none; its page says so.
    """
    values = {key: value for key, value in settings().items() if key.startswith(f"{stem}_") and fits(value)}
    return values | st.session_state.get(STARTED, {}).get(stem, {})


def forget_unknown_names(stem: str) -> None:
    """A teacher's link for the lesson that it opens: names of no control of that lesson leave a note."""
    names = {key.removeprefix(f"{stem}_") for key in settings() if key.startswith(f"{stem}_")}
    for kind in (HIDE, LOCK):
        if names and st.session_state.pop(f"{kind}_unchecked", False):
            unknown = tuple(name for name in st.session_state[kind] if name not in names | {*drawn(), PRESETS})
            st.session_state[kind] = tuple(name for name in st.session_state[kind] if name not in unknown)
            if unknown:
                note(f"{kind}={encode(unknown)}", "", "")


def show_notes() -> None:
    notes: list[Note] = st.session_state.get(NOTES, [])
    place = st.session_state.get(NOTE_PLACE)
    if not notes or place is None:
        return
    lines = [
        t(f"链接中的 `{n.key}={n.value}` 不可用（可取：{n.limits}），已改用默认值。", f"`{n.key}={n.value}` in the link cannot be used (possible: {n.limits}); the default stands instead.")
        if n.limits
        else t(f"链接中的 `{n.key}` 在本页没有意义，已忽略。", f"`{n.key}` in the link means nothing on this page and was ignored.")
        for n in notes
    ]  # fmt: skip
    if (more := len(lines) - MOST_NOTES) > 1:
        lines[MOST_NOTES:] = [t(f"还有 {more} 处也是这样。", f"And {more} more like these.")]
    with place, st.container(horizontal=True, vertical_alignment="center", key="address_notes"):
        st.warning("  \n".join(line.replace("$", "\\$") for line in lines), icon=":material/link_off:")
        st.button(t("知道了", "OK"), key="dismiss_notes", on_click=dismiss_notes)


def keep_all() -> None:
    """Before a language switch: a widget whose labels change counts as a new one and would start anew."""
    for key, value in settings().items():
        if key in st.session_state:
            st.session_state[key] = value


def letters(words: str) -> int:
    """The width of words in letters; a Chinese character is as wide as two."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in words)


def put(values: Mapping[str, Any]) -> None:
    """Move controls before their widgets are drawn, as from a callback: key → value."""
    settings().update(values)
    for key, value in values.items():
        if key in st.session_state:  # a widget that is not drawn will begin with the setting
            st.session_state[key] = value


def field_of(name: str, number: float, place: Any = None) -> str:
    """The key of a field in which this number stands to be edited: a new field when another number is in this place, but
    for an edit, or another place is looked at.

    A message of the browser that was under way may still tell the number of a field that is gone: see `stands`.
    """
    fields, before = st.session_state.get(name, (0, place))
    fields += before != place or st.session_state.get(f"{name}_{fields}") != number
    st.session_state[name], key = (fields, place), f"{name}_{fields}"
    st.session_state[key] = number
    return key


def stands(name: str, key: str) -> bool:
    """Whether the field is the one of now: what another tells is no edit."""
    return key == f"{name}_{st.session_state[name][0]}"


def read_address(key: str, default: Any, limits: Limits | None) -> Any:
    """The value that the address gives this key, or the default; a bad one leaves a note."""
    texts = st.query_params.get_all(key)
    if not texts:
        return default
    bounds = describe(limits) if limits is not None else KINDS.get(type(default), "")
    if len(texts) > 1:
        note(key, " & ".join(texts), bounds)
        return default
    try:
        value = decode(texts[0], default, limits)
        if (
            limits is not None and value != default
        ):  # a default may be outside: no list at all, where its items have limits
            check(key, value, limits)
        return value
    except (SettingError, ValueError, OverflowError):
        note(key, texts[0], bounds if not isinstance(default, bool) else "0, 1")
        return default


class Controls:
    """The controls of one lesson: a field of its config, one key, one widget. `only` names the fields, if not all."""

    def __init__(self, stem: str, defaults: Config, only: tuple[str, ...] = ()):
        put(st.session_state.pop(LATE, {}))
        self.stem, self.default_config, self.settings = stem, defaults, settings()
        self.unlinked: dict[str, Any] = {}  # key → default of what is in no link but goes back with all controls
        self.brought: set[str] = set()  # the fields that the address has given their values in this very run
        self.drawn, self.worded = drawn(), worded(stem)
        self.restricted = {  # what the visit allows of a name, where that is not "show"
            name: kind for kind in (LOCK, HIDE) for name in st.session_state.get(kind, ())
        }
        self.limits = limits_of(type(defaults))
        self.fields = only or tuple(field.name for field in fields(defaults))
        self.defaults = {self.key(field): getattr(defaults, field) for field in self.fields}
        st.session_state.setdefault(DEFAULTS, {}).update(self.defaults)
        from_address = {field for field in self.fields if self._load(field)}
        self._drop_what_the_config_refuses(from_address)

    def _load(self, field: str) -> bool:
        """Bring a setting up to date with its widget, which may be drawn later; whether it comes from the address."""
        key = self.key(field)
        if key not in self.settings:
            self.settings[key] = read_address(key, self.defaults[key], self.limits.get(field))
            if key in st.query_params:
                self.brought.add(field)
            return True
        moved = st.session_state.get(key)
        if moved is not None:
            self.settings[key] = tuple(moved) if isinstance(moved, list) else moved
        return False

    def _drop_what_the_config_refuses(self, from_address: set[str]) -> None:
        """Some limits are known to the config alone (an edited kernel has k² weights)."""
        for _ in self.defaults:
            try:
                type(self.default_config)(**self._values())
                return
            except SettingError as error:
                key = self.key(error.field)
                if self.settings.get(key) == self.defaults.get(key):
                    return
                if error.field in from_address:
                    note(key, encode(self.settings[key]), describe(error.limits))
                self.settings[key] = self.defaults[key]
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
        self._load(field)
        return self.settings[key]

    def value(self, field: str) -> Any:
        """The current value of a field, drawn or not."""
        return self.settings[self.key(field)]

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

    def steps(
        self, field: str, label: str, options: tuple, help: str | None = None, format: Callable = str, **layout: Any
    ) -> Any:
        """A slider over given values; a value from a link that is none of them is added. `layout` may have `disabled`."""
        value = self.value(field)
        shown = options if value in options else tuple(sorted((*options, value)))
        return self._widget(field, st.select_slider, label, options=shown, format_func=format, help=help, **layout)

    def number(self, field: str, label: str, help: str | None = None, step: float | None = None) -> Any:
        """A number to type, between the limits of the field; `step` is what its buttons add."""
        limits = self.limits[field]
        low, high, notch = (limits[0], limits[-1], limits.step) if isinstance(limits, range) else limits
        return self._widget(field, st.number_input, label, help=help, min_value=low, max_value=high, step=step or notch)

    def choice(
        self, field: str, label: str, names: Mapping[Any, str], help: str | None = None, room: int = ROOM
    ) -> Any:
        """One of several: side by side while they are few and short, else a list. `names` maps each code to its words;
        `room` is for how many letters there is room beside each other."""
        options = [code for code in self.limits[field] if code in names]
        if len(options) <= 4 and sum(letters(names[code]) for code in options) <= room:
            return self._widget(
                field, st.segmented_control, label, options=options, format_func=names.get, help=help,
                required=True, width="stretch", wrap=True,
            )  # fmt: skip
        return self._widget(field, st.selectbox, label, options=options, format_func=names.get, help=help)

    def several(self, field: str, label: str, names: Mapping[Any, str], help: str | None = None) -> tuple:
        """Any number of them, side by side; `names` maps each code to its words."""
        return self._widget(
            field, st.pills, label, options=list(names), format_func=names.get, help=help, selection_mode="multi"
        )

    def text(self, field: str, label: str, help: str | None = None, placeholder: str | None = None) -> str:
        """A line to type."""
        return self._widget(field, st.text_input, label, help=help, placeholder=placeholder)

    def toggle(self, field: str, label: str, help: str | None = None) -> bool:
        return self._widget(field, st.toggle, label, help=help)

    def put(self, **values: Any) -> None:
        """Move controls from a callback: field=value. Those that the visit hides or locks stay."""
        put({self.key(field): value for field, value in values.items() if self.free(field)})

    def correct(self, **values: Any) -> None:
        """Move controls whose values there are not here, as of a layer that is gone: also those that the visit hides or
        locks, for nothing could be shown of them."""
        put({self.key(field): value for field, value in values.items() if self.value(field) != value})

    def offer(self, field: str, values: Iterable[Any]) -> None:
        """What a choice can be here; anything else gives way to the default, or to the first where that is none of them
        either, with a note if it came with the address."""
        self.limits[field] = values = values if isinstance(values, range) else tuple(values)
        value = self.value(field)
        if value not in values:
            if field in self.brought:
                note(self.key(field), encode(value), describe(values))
            default = self.defaults[self.key(field)]
            self.correct(**{field: default if default in values else values[0]})

    def access(self, field: str, label: str) -> str:
        """Ask before drawing a control: "show", "lock" (draw it disabled) or "hide" (do not). A teacher may choose."""
        name = SHORT.get(field, field)
        self.drawn[name] = label
        return self.restricted.get(name, "show")

    def free(self, field: str) -> bool:
        """Whether this visit may move the control."""
        return SHORT.get(field, field) not in self.restricted

    def _widget(self, field: str, widget: Callable, label: str, **options: Any) -> Any:
        key, allowed = self.key(field), self.access(field, label)
        self.worded[field] = label, options.get("format_func")
        if allowed == "hide":
            return self.settings[key]
        if "options" in options:
            self._keep_to(key, options["options"])
        if key not in st.session_state:
            st.session_state[key] = self.settings[key]
        # The session has the value, and Streamlit sends it once. A run that follows at once can swallow that message,
        # and the browser would show the widget's own default; so that is the value too.
        if widget is st.selectbox:
            options["index"] = options["options"].index(self.settings[key])
        else:
            options["default" if widget in (st.segmented_control, st.pills) else "value"] = self.settings[key]
        options["disabled"] = allowed == "lock" or options.get("disabled", False)
        value = widget(label, key=key, **options)
        value = tuple(value) if isinstance(value, list) else value
        self.settings[key] = value if value is not None else self.settings[key]
        return self.settings[key]

    def _keep_to(self, key: str, offered: Iterable[Any]) -> None:
        """What a choice does not offer here (a head that is gone, a metric of another task) gives way to what it does."""
        offered, value = tuple(offered), self.settings[key]
        if isinstance(value, tuple):
            kept: Any = tuple(item for item in value if item in offered)
        else:
            kept = value if value in offered else offered[0]
        if kept != value:
            put({key: kept})

    def config(self) -> Config:
        """The config that the controls describe, without data that it would not look at; ValueError where they do not
        go together."""
        return type(self.default_config)(
            **self._values() | {field: self.defaults[self.key(field)] for field in self.idle()}
        )

    def idle(self) -> set[str]:
        """The viewer's own data that the config does not look at: they are kept, for when it does again."""
        return idle(type(self.default_config), self._values())

    def _values(self) -> dict[str, Any]:
        return {field: self.value(field) for field in self.fields}

    def reset(self) -> None:
        """All controls back to their defaults, from a callback; those that the visit hides or locks stay, and so do
        the viewer's own data."""
        named = {key: key.removeprefix(f"{self.stem}_") for key in self.defaults}
        kept = {self.key(field) for field in self.default_config.OWN_DATA}
        put({key: value for key, value in self.defaults.items() if access(named[key]) == "show" and key not in kept})
        st.session_state.update(self.unlinked)
