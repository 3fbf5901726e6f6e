"""A sweep on a page: Play and Pause of the lesson's panel are the sweep's too, and what it finds grows in place.

The sweep's runs train in worker processes while the panel trains the runs that are watched. Sweeps and their results
live in the viewer's session; what others have measured with equal settings is there at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import streamlit as st

from core.sweep import Experiment, Sweep, Task
from pages.ui import scene
from pages.ui.live import Live
from pages.ui.text import t

Results = Mapping[Task, Any]
KEPT = 5_000  # results that a session remembers, beside those of the sweep at hand


class Part(NamedTuple):
    """Something that shows the results: a handle that `show` replaces in place."""

    place: Any
    show: Callable[[Any, Results, str], Any]  # (place, results, alt's end) → the new place


class SweepPanel:
    """The sweep of a lesson, beside its live panel.

    Args:
        live: the panel whose buttons play and pause it.
        experiment, tasks: as of `Sweep`; other tasks are another sweep.
        cost: of a task, in any unit; for the time that is left.
    """

    def __init__(self, live: Live, experiment: Experiment, tasks: Iterable[Task], cost: Callable[[Any], float]):
        self.live, self.cost, self.tasks = live, cost, tuple(tasks)
        self.sweep = self._current(experiment)
        self.parts: dict[str, Part] = {}
        self.bar: Any = None
        self.shown: tuple[Any, ...] = ()  # what the bar says, and how many results the parts show
        live.beside = self

    def _name(self, what: str) -> str:
        return f"{self.live.stem}_sweep{what}"

    def _current(self, experiment: Experiment) -> Sweep:
        """The session's sweep, or a new one where its tasks have changed; the old one's results stay in the session."""
        sweep: Sweep | None = st.session_state.get(self._name(""))
        if sweep is None or sweep.tasks != self.tasks:
            kept: dict[Task, Any] = st.session_state.setdefault(self._name("_results"), {})
            if sweep is not None:
                sweep.pause()
                kept.update(sweep.results)
                while len(kept) > KEPT:
                    del kept[next(iter(kept))]
            sweep = Sweep(experiment, self.tasks, known=kept)
            st.session_state[self._name("")] = sweep
            st.session_state[self._name("_clock")] = None
        return sweep

    @property
    def results(self) -> dict[Any, Any]:
        """Task → result, as far as it has come."""
        return self.sweep.results

    # what the panel asks

    @property
    def over(self) -> bool:
        return self.sweep.done or bool(self.sweep.error)

    @property
    def busy(self) -> bool:
        return self.sweep.busy

    def go_on(self) -> None:
        self.sweep.go_on()

    def pause(self) -> None:
        self.sweep.pause()
        st.session_state[self._name("_clock")] = None

    def draw(self) -> None:
        if self.bar is None:
            return
        with scene.of_the_page():
            results = self.results
            said = self._said(results)
            if said != self.shown[:2]:
                self.bar = self.bar.progress(*said)
            if len(results) != self.shown[2]:
                self._show(results)
            self.shown = (*said, len(results))

    # parts of the page

    def status(self) -> None:
        """How far it is, its place in line, and Cancel."""
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            results = self.results
            said = self._said(results)
            with st.container(width="stretch"):
                self.bar = st.progress(*said)
            self.shown = (*said, len(results))
            st.button(
                t("取消", "Cancel"),
                key=self._name("_cancel"),
                icon=":material/close:",
                help=t("停下扫描，正在做的也不做完。已有的结果留下；再按“播放”从这里继续。", "Ends the sweep and the runs at hand. Finished results stay; Play goes on from them."),
                disabled=not (self.live.playing or self.busy),
                on_click=self._cancel,
            )  # fmt: skip
        if self.sweep.failures:
            failure = next(iter(self.sweep.failures.values()))
            st.caption(t(f":material/error: {len(self.sweep.failures)} 次训练没有结果：{failure}", f":material/error: {len(self.sweep.failures)} runs have no result: {failure}"))  # fmt: skip

    def chart(self, key: str, spec: dict[str, Any], rows: Callable[[Results], pa.Table], alt: str, told: Callable[[Results], str]) -> None:  # fmt: skip
        """A chart of a constant specification that is never re-created while results arrive.

        Args:
            alt: what it shows; at rest `told` adds what has been found.
        """

        def show(place: Any, results: Results, ending: str) -> Any:
            first = {"key": key} if place is st else {}
            return place.vega_lite_chart(rows(results), spec, alt=alt + ending, **first)

        resting = "" if self.live.playing or self.busy else told(self.results)
        self.parts[key] = Part(show(st, self.results, resting), show)

    def text(self, key: str, words: Callable[[Results], str]) -> None:
        """Markdown of the results."""
        self.parts[key] = Part(
            st.markdown(words(self.results)), lambda place, results, ending: place.markdown(words(results))
        )

    def _show(self, results: Results) -> None:
        for key, part in self.parts.items():
            self.parts[key] = part._replace(place=part.show(part.place, results, ""))

    def _cancel(self) -> None:
        self.sweep.cancel()
        st.session_state[f"{self.live.stem}_playing"] = False

    # words

    def _said(self, results: Results) -> tuple[float, str]:
        """How far it is, as a share of the work and in words."""
        sweep, count, every = self.sweep, len(results) + len(self.sweep.failures), len(self.tasks)
        whole = sum(map(self.cost, self.tasks))
        made = sum(map(self.cost, results))
        share = 1.0 if sweep.done else min(made / whole, 0.99)
        of = t(f"{count} / {every} 次训练", f"{count} of {every} runs")
        place = sweep.place
        if sweep.error:
            words = t(f":red[:material/error: 扫描停下了：{sweep.error}]", f":red[:material/error: The sweep has stopped: {sweep.error}]")  # fmt: skip
        elif sweep.done:
            words = t(f":material/check: 扫描完成：{every} 次训练", f":material/check: The sweep is finished: {every} runs")  # fmt: skip
        elif not self.live.playing and self.busy:
            words = t(f"{of}。已暂停，手上的还要做完……", f"{of}. Paused; those at hand are being finished …")
        elif not self.live.playing and not count:
            words = t(f"按“播放”扫描：{every} 次训练", f"Play sweeps: {every} runs")
        elif not self.live.playing:
            words = t(f"{of}。已暂停，按“播放”继续", f"{of}. Paused; Play goes on")
        elif place:
            words = t(f"{of}。排队中：前面还有 {place} 个扫描", f"{of}. In line: {place} before this one")
        elif not self.busy or not count:
            words = t(f"{of}。工作进程正在启动……", f"{of}. The workers are starting …")
        else:
            words = f"{of}{self._left(made, whole)}"
        return share, words

    def _left(self, made: float, whole: float) -> str:
        """About how long it will still take, by the pace since the workers began."""
        now = time.monotonic()
        began, made_then = st.session_state.get(self._name("_clock")) or (now, made)
        st.session_state[self._name("_clock")] = began, made_then
        if now - began < 5.0 or made <= made_then:
            return ""
        left = (whole - made) * (now - began) / (made - made_then)
        if left < 90:
            seconds = max(5, round(left / 5) * 5)
            return t(f"，还要约 {seconds} 秒", f", about {seconds} s left")
        return t(f"，还要约 {round(left / 60)} 分钟", f", about {round(left / 60)} min left")
