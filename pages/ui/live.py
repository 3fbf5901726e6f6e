"""The live-training panel: one call, and a lesson trains before the class's eyes.

A full run draws everything and ends. While playing, a fragment then trains slice by slice and redraws in place until
a click pre-empts it; all buttons and sliders stand outside of it, because only those pre-empt a running fragment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from core.config import Config
from core.training import Metric, Race, Snapshot
from pages.ui import charts, scene
from pages.ui.controls import Controls
from pages.ui.text import language, t, term
from pages.ui.turns import TURNS

SLICE = 0.1  # seconds of training between two looks at the page
CROWDED_SLICE = 0.05  # when several viewers train
TICK = 0.3  # seconds until the fragment starts by itself, and starts again if it ended
DRAWING_SHARE = 0.04  # of the time, at most, goes into redrawing
LIMIT = 100_000  # steps; more than a minute at full speed for every lesson
SPEEDS = ("1", "3", "10", "30", "100", "full")  # steps per second
RATES = tuple(float(f"{digit}e{power}") for power in range(-5, 2) for digit in (1, 2, 3, 5))

Picture = Callable[..., scene.Scene]


class Live:
    """The training of one lesson: its race in this viewer's session, its pictures, its panel.

    Args:
        controls: the lesson's controls.
        configs: the runs to train side by side, by name; often one.
        limit: the step limit to begin with.
    """

    def __init__(self, controls: Controls, configs: Mapping[str, Config], limit: int = LIMIT):
        self.controls, self.stem, self.start_limit = controls, controls.stem, limit
        self.pictures: list[tuple[Any, Picture, str | None, str]] = []
        self.message = ""
        self._reconcile(dict(configs))

    def _name(self, what: str) -> str:
        return f"{self.stem}_{what}"

    @property
    def race(self) -> Race:
        return st.session_state[self._name("race")]

    @property
    def playing(self) -> bool:
        return st.session_state.get(self._name("playing"), False)

    @property
    def limit(self) -> int:
        return st.session_state[self._name("limit")]

    def _reconcile(self, configs: dict[str, Config]) -> None:
        """A change of the learning rate goes on with the run; any other change starts a fresh one."""
        rate = self.controls.value("learning_rate")
        race: Race | None = st.session_state.get(self._name("race"))
        if race is not None and race.steps > 0:
            same = race.configs.keys() == configs.keys() and all(
                replace(configs[name], learning_rate=config.learning_rate) == config
                for name, config in race.configs.items()
            )
            if same:
                if any(run.learning_rate != rate for run in race.runs.values()):
                    race.intervene("learning_rate", rate)
                return
            self.message = t("设置已改变，训练从头开始。", "Settings changed: a fresh run.")
        elif race is not None and race.configs == configs:
            return
        self._start(configs)

    def _start(self, configs: Mapping[str, Config]) -> None:
        st.session_state[self._name("race")] = Race(configs)
        st.session_state[self._name("limit")] = self.start_limit
        st.session_state[self._name("rate")] = None

    # pictures

    def snapshot(self, run: str | None = None) -> Snapshot:
        """The weights to picture now."""
        runs = self.race.runs
        return (runs[run] if run else next(iter(runs.values()))).snapshot()

    def picture(self, draw: Picture, run: str | None = None) -> None:
        """Draw `draw(config, snapshot)` here, and again while it trains. `run` names one of the race, else the first."""
        self.pictures.append((st.empty(), draw, run, self._name(f"picture{len(self.pictures)}")))

    def picture_all(self, draw: Picture) -> None:
        """Like `picture` for `draw(configs, snapshots)`: dicts by the runs' names."""
        self.pictures.append((st.empty(), draw, "*", self._name(f"picture{len(self.pictures)}")))

    def _draw(self, frame: Frame) -> None:
        frame.draw()
        for picture in self.pictures:
            self._show(*picture)

    def _show(self, place: Any, draw: Picture, run: str | None, key: str) -> None:
        if run == "*":
            drawn = draw(self.race.configs, {name: each.snapshot() for name, each in self.race.runs.items()})
        else:
            chosen = self.race.runs[run] if run else next(iter(self.race.runs.values()))
            drawn = draw(chosen.config, chosen.snapshot())
        with place:
            scene.stream(drawn, key)

    # the panel

    def panel(self) -> None:
        """Buttons, numbers and curves; trains while playing."""
        self._buttons()
        st.session_state[self._name("only_draw")] = True
        st.fragment(self._tick, run_every=TICK if self.playing else None)()

    def _buttons(self) -> None:
        left, middle, right = st.columns([10, 5, 5], vertical_alignment="bottom", gap="medium")
        with left, st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            st.button(
                t("暂停", "Pause") if self.playing else t("播放", "Play"),
                key=self._name("play"),
                type="primary",
                icon=":material/pause:" if self.playing else ":material/play_arrow:",
                shortcut="p",
                on_click=self._toggle,
                width=140,
            )
            st.button(t("单步", "Step"), key=self._name("step"), icon=":material/skip_next:", shortcut="n", on_click=self._step)  # fmt: skip
            st.button(t("重来", "Reset"), key=self._name("reset"), icon=":material/replay:", on_click=self._restart)
            with st.popover(t("更多", "More"), icon=":material/tune:"):
                self.controls.number("seed", t("随机种子", "Seed"), help=t("初始权重和批次的抽取。", "Draws the initial weights and the batches."))  # fmt: skip
                st.number_input(
                    t("步数上限", "Step limit"), min_value=100, max_value=10_000_000, step=10_000,
                    key=self._name("limit_input"), value=self.limit, on_change=self._set_limit,
                )  # fmt: skip
                st.toggle(t("损失用对数轴", "Logarithmic loss axis"), key=self._name("log"), persist_state="session")
                st.button(
                    t("全部恢复默认", "All controls to defaults"),
                    key=self._name("defaults"),
                    icon=":material/settings_backup_restore:",
                    on_click=self.controls.reset,
                )
        with middle:
            speed = {"full": t("全速", "full"), "1": t("慢动作 1/秒", "slow 1/s")}
            st.session_state.setdefault(self._name("speed"), "full")
            st.select_slider(
                t("速度", "Speed"), SPEEDS, key=self._name("speed"), persist_state="session",
                format_func=lambda code: speed.get(code, t(f"{code}/秒", f"{code}/s")),
            )  # fmt: skip
        with right:
            self.controls.steps("learning_rate", t("学习率", "Learning rate"), RATES, format=lambda rate: f"{rate:g}")

    def _toggle(self) -> None:
        playing = not self.playing
        if playing and self.race.steps >= self.limit:
            st.session_state[self._name("limit")] = self.limit + self.start_limit
        st.session_state[self._name("playing")] = playing

    def _step(self) -> None:
        st.session_state[self._name("playing")] = False
        if self.race.steps >= self.limit:
            st.session_state[self._name("limit")] = self.limit + self.start_limit
        self.race.step()
        for run in self.race.runs.values():  # a single step is looked at, so it is measured
            if run.history[-1].step != run.steps:
                run.evaluate()

    def _restart(self) -> None:
        self._start({name: run.config for name, run in self.race.runs.items()})

    def _set_limit(self) -> None:
        st.session_state[self._name("limit")] = st.session_state[self._name("limit_input")]

    def _tick(self) -> None:
        """The fragment: draws, and while playing trains until a click, the limit or divergence ends it."""
        frame = Frame(self)
        self._draw(frame)
        if st.session_state.pop(self._name("only_draw"), False) or not self.playing:
            return
        race, began, steps_then, drawn, cost = self.race, time.perf_counter(), self.race.steps, 0.0, 0.0
        while race.steps < self.limit and not race.over:
            speed = st.session_state.get(self._name("speed"), "full")
            with TURNS.slice(alive=self._alive):
                if speed == "full":
                    race.advance(SLICE if TURNS.waiting == 1 else CROWDED_SLICE, self.limit)
                else:
                    race.step()
            now = time.perf_counter()
            if now - began > 1.0:
                st.session_state[self._name("rate")] = (race.steps - steps_then) / (now - began)
                began, steps_then = now, race.steps
            if speed != "full" or now - drawn >= cost / DRAWING_SHARE:
                self._draw(frame)
                drawn = time.perf_counter()
                cost = drawn - now
            else:
                self._alive()
            if speed != "full":
                self._rest(now + 1 / float(speed))
        st.session_state[self._name("playing")] = False
        st.rerun()

    def _alive(self) -> None:
        """Touching the session lets a waiting click end this run."""
        _ = st.session_state.get(self._name("playing"))

    def _rest(self, until: float) -> None:
        while (left := until - time.perf_counter()) > 0:
            time.sleep(min(left, 0.05))
            self._alive()


class Frame:
    """What the panel shows of the race; drawn once as a whole, then replaced in place."""

    def __init__(self, live: Live):
        self.live = live
        self.words = charts.Words(t("步数", "step"), term("train"), term("test"))
        self.names = {name: term(name) for name in live.race.runs}
        self.logarithmic = bool(st.session_state.get(live._name("log"), False))
        self.places: dict[str, Any] = {}
        self.texts: dict[str, Any] = {}  # what stands in them, so that only what changed is sent

    def draw(self) -> None:
        race = self.live.race
        self._put("message", st.markdown, self._message())
        metrics = race.metrics
        if "columns" not in self.places:
            self.places["columns"] = st.columns([1, 1, *[1] * len(metrics)])
            self.places["charts"] = None
        cells = self.places["columns"]
        self._metric(cells[0], "Step", str(race.steps), None)
        rate = st.session_state.get(self.live._name("rate"))
        self._metric(cells[1], "Steps/s", "–" if rate is None else f"{rate:,.0f}", None)
        for cell, metric in zip(cells[2:], metrics, strict=True):
            self._metric(cell, metric.name, *self._scores(metric))
        self._put("progress", st.progress, min(1.0, race.steps / self.live.limit))
        if self.places["charts"] is None:
            self.places["charts"] = st.columns(len(metrics))
        for column, metric in zip(self.places["charts"], metrics, strict=True):
            self._chart(column, metric)

    def _put(self, name: str, element: Callable, value: Any) -> None:
        if self.texts.get(name) == value:
            return
        self.texts[name] = value
        place = self.places.get(name)
        self.places[name] = element(value) if place is None else getattr(place, element.__name__)(value)

    def _metric(self, cell: Any, name: str, value: str, second: str | None) -> None:
        if self.texts.get(name) != (value, second):
            self.texts[name] = (value, second)
            place = self.places.get(name, cell)
            self.places[name] = place.metric(term(name), value, second, delta_color="off", delta_arrow="off")

    def _scores(self, metric: Metric) -> tuple[str, str | None]:
        """The held-out value of the (first) run, and its training value beside it."""
        scores = next(iter(self.live.race.runs.values())).history[-1].scores
        train, test = (scores.get(part, {}).get(metric.name) for part in ("train", "test"))
        shown = test if test is not None else train
        second = None if test is None or train is None else f"{self.words[1]} {number(train, metric)}"
        return number(shown, metric), second

    def _chart(self, column: Any, metric: Metric) -> None:
        name = f"chart_{metric.name}"
        logarithmic = self.logarithmic and metric.unit != "%"
        spec = charts.curve_spec(term(metric.name), metric.unit, logarithmic, tuple(self.names.values()), self.words)
        rows = charts.curve_rows(self.live.race, metric)
        place = self.places.get(name)
        options = {} if place is not None else {"key": f"{self.live.stem}_{name}_{language()}_{logarithmic}"}
        self.places[name] = (place or column).vega_lite_chart(
            rows,
            spec,
            alt=t(f"{term(metric.name)}随步数变化的曲线", f"{metric.name} against training steps"),
            **options,
        )

    def _message(self) -> str:
        race, live = self.live.race, self.live
        if race.diverged:
            names = "" if len(race.runs) == 1 else "(" + ", ".join(term(name) for name in race.diverged) + ")"
            return t(
                f":red[:material/error: **发散了**{names}:损失已不是有限的数。学习率多半太大；调小后按“重来”。]",
                f":red[:material/error: **Diverged** {names}: the loss is no longer a finite number. The learning rate is probably too high: lower it and press Reset.]",
            )
        if race.steps >= live.limit:
            return t(
                ":material/flag: 已到步数上限；再按“播放”继续。", ":material/flag: Step limit reached; Play goes on."
            )
        if live.message:
            return f":material/restart_alt: {live.message}"
        if live.playing:
            return t("正在训练……", "Training …")
        return t("按“播放”开始训练(快捷键 P),“单步”走一步(N)。", "Press Play to train (key P), Step for one update (N).") if race.steps == 0 else t("已暂停。", "Paused.")  # fmt: skip


def number(value: float | None, metric: Metric) -> str:
    """A measure with sensible digits."""
    if value is None:
        return "–"
    if value != value or abs(value) == float("inf"):
        return "∞" if value == value else "NaN"
    if metric.unit == "%":
        return f"{value:.1%}"
    return f"{value:.3g}" if abs(value) < 1e4 else f"{value:.1e}"
