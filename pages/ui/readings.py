"""What the training panel shows of a race: its message, its numbers, its curves; drawn once, then replaced in place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.training import EXPLODED, LOSS, Metric, Run
from pages.ui import charts, pins, scene, share
from pages.ui.text import language, t, term

if TYPE_CHECKING:
    from pages.ui.live import Live


class Frame:
    """What the panel shows of the race; drawn once as a whole, then replaced in place."""

    def __init__(self, live: Live):
        self.live = live
        self.words = charts.Words(
            t("步数", "step"), term("train"), term("test"), t("训练一步后才有数值", "no values before the first step")
        )
        self.names = {name: term(name) for name in live.race.runs}
        self.logarithmic = live.controls.value("log")
        self.pinned = {
            metric: pins.overlay(live, metric, charts.is_logarithmic(metric, self.logarithmic))
            for metric in live.race.groups[""]
        }
        self.places: dict[str, Any] = {}
        self.texts: dict[str, Any] = {}  # what stands in them, so that only what changed is sent
        self.shown: dict[str, Any] = {}  # which moment the charts show

    def draw(self) -> None:
        race = self.live.race
        self._put("message", st.markdown, self._message())
        metrics = race.groups[""]
        if "numbers" not in self.places:
            self.places["numbers"] = st.container(horizontal=True, key=self.live._name("numbers"))
            self.places["charts"] = None
        self.count()
        for metric in metrics:
            self._metric(self.places["numbers"], metric.name, *self._scores(metric))
        if len(race.runs) > 1:
            self._put("everybody", st.caption, self._everybody())
        self._put("progress", st.progress, min(1.0, race.steps / self.live.limit))
        if self.places["charts"] is None:
            self.places["charts"] = st.container(horizontal=True, key=self.live._name("charts"))
        for metric in metrics:
            self._chart(self.places["charts"], metric)

    def count(self) -> None:
        """The number of steps, which costs so little that it moves more often than the curves."""
        row, rate = self.places["numbers"], st.session_state.get(self.live._name("rate"))
        self._metric(row, "Step", str(self.live.race.steps), None)
        self._metric(row, "Steps/s", "–" if rate is None else f"{rate:,.0f}", None)

    def _put(self, name: str, element: Callable, value: Any) -> None:
        if self.texts.get(name) == value:
            return
        self.texts[name] = value
        place = self.places.get(name)
        self.places[name] = element(value) if place is None else getattr(place, element.__name__)(value)

    def _metric(self, row: Any, name: str, value: str, second: str | None) -> None:
        if self.texts.get(name) != (value, second):
            self.texts[name] = (value, second)
            place = self.places.get(name, row)
            self.places[name] = place.metric(term(name), value, second, delta_color="off", delta_arrow="off")

    def _scores(self, metric: Metric) -> tuple[str, str | None]:
        """The held-out value, its training value beside it; of a race the best, and which run has it."""
        values = {name: self._value(run, "test", metric) for name, run in self.live.race.runs.items()}
        known = {name: value for name, value in values.items() if value is not None}
        if metric.better != "neither":  # what is no finite number is not the best, but it may be the largest
            known = {name: value for name, value in known.items() if math.isfinite(value)}
        if not known:
            return charts.number(next(iter(values.values())), metric), None
        better = min if metric.better == "lower" else max
        best = better(known, key=lambda name: known[name] if known[name] == known[name] else math.inf)
        if len(values) > 1:
            return charts.number(known[best], metric), self._leaders(values, known[best], metric)
        scores = self.live.race.runs[best].history[-1].scores
        train = scores.get("train", {}).get(metric.name) if metric.name in scores.get("test", {}) else None
        return charts.number(
            known[best], metric
        ), None if train is None else f"{self.words.train} {charts.number(train, metric)}"

    def _leaders(self, values: dict[str, float | None], best: float, metric: Metric) -> str:
        """Which runs of a race have the best value, told as it is shown."""
        shown = {name: charts.number(value, metric) for name, value in values.items()}
        first = [name for name in shown if shown[name] == charts.number(best, metric)]
        if len(first) == len(shown):
            return t("都一样", "all equal")
        word = t("最大：", "largest: ") if metric.better == "neither" else t("领先：", "best: ")
        if len(first) > 2:  # their names would not fit; below stands what each has
            return word + t(f"{len(first)} 个并列", f"{len(first)} alike")
        return word + t("、", ", ").join(self.names[name] for name in first)

    def _everybody(self) -> str:
        """What each run of a race has, also those behind: a preset that breaks one of them shows by how much."""
        lines = []
        for metric in self.live.race.groups[""]:
            values = {name: self._value(run, "test", metric) for name, run in self.live.race.runs.items()}
            told = t("，", ", ").join(
                f"{self.names[name]} {charts.number(value, metric)}" for name, value in values.items()
            )
            lines.append(term(metric.name) + t("：", ": ") + told)
        return "  \n".join(lines)  # a line each: few of them wrap, so that little moves while it trains

    def _value(self, run: Run, part: str, metric: Metric) -> float | None:
        """The last measure of a run; a metric that knows one part only gives that."""
        scores = run.history[-1].scores
        return scores.get(part, {}).get(metric.name, scores.get("train", {}).get(metric.name))

    def _chart(self, row: Any, metric: Metric) -> None:
        name = f"chart_{metric.name}"
        if self._unchanged(name):
            return
        logarithmic = charts.is_logarithmic(metric, self.logarithmic)
        height = charts.PRESENTED_HEIGHT if share.presenting() else charts.HEIGHT
        pinned = self.pinned[metric]
        tested = any(metric.name in run.history[0].scores.get("test", {}) for run in self.live.race.runs.values())
        spec = charts.curve_spec(
            term(metric.name), metric.unit, logarithmic, tuple(self.names.values()), self.words, height, pinned.curves,
            tested, metric.goal,
        )  # fmt: skip
        rows = charts.curve_rows(self.live.race, metric, self.live.replayed, logarithmic)
        place = self.places.get(name)
        options = {} if place is not None else {"key": f"{self.live.stem}_{name}_{language()}_{logarithmic}_{height}"}
        self.places[name] = (place or row).vega_lite_chart(
            **pins.together(rows, spec, pinned),
            alt=t(f"{term(metric.name)}随步数变化的曲线", f"{metric.name} against training steps")
            + ("" if metric.goal is None else t(f"；目标 {metric.goal:g}", f"; the goal is {metric.goal:g}"))
            + pins.in_words(pinned.curves)
            + self._reached(metric),
            **options,
        )

    def _unchanged(self, name: str) -> bool:
        """Whether the chart shows what there is: between two evaluations there is nothing new, however many steps."""
        live, runs = self.live, self.live.race.runs.values()
        now = live.playing, live.replayed, tuple((run.history[-1].step, len(run.interventions)) for run in runs)
        before, self.shown[name] = self.shown.get(name), now
        return now == before

    def _reached(self, metric: Metric) -> str:
        """For `alt`: what a resting run has come to. Nothing while it moves: a chart whose `alt` changes is built anew."""
        live, race = self.live, self.live.race
        if live.playing or live.filming:
            return ""
        ends = []
        for name, run in race.runs.items():
            parts = {part: run.history[-1].scores.get(part, {}).get(metric.name) for part in charts.PARTS}
            values = [
                f"{term(part)} {charts.number(value, metric)}" for part, value in parts.items() if value is not None
            ]
            ends.append((f"{self.names[name]}: " if len(race.runs) > 1 else "") + ", ".join(values))
        return t(f"；第 {race.steps} 步：", f"; at step {race.steps}: ") + "; ".join(ends)

    def _message(self) -> str:
        race, live = self.live.race, self.live
        if race.diverged:
            told: dict[str, list[str]] = {}
            for name in race.diverged:
                told.setdefault(why_diverged(race.runs[name]), []).append(term(name))
            lines = []
            for why, names in told.items():
                which = "" if len(race.runs) == 1 else t(f"（{'、'.join(names)}）", f" ({', '.join(names)})")
                lines.append(t(f"**发散了**{which}：{why}", f"**Diverged**{which}: {why}"))
            return f":red[:material/error: {t('', ' ').join(lines)}]"
        if live.replayed is not None:
            return t(
                f":material/history: 回放：第 **{live.replayed}** 步的权重。",
                f":material/history: Replay: the weights of step **{live.replayed}**.",
            )
        if not live.playing and race.steps and live.reached():
            return t(
                f":material/flag: 到了停止条件，第 **{race.steps}** 步；再按“播放”继续。",
                f":material/flag: The stop condition is met at step **{race.steps}**; Play goes on.",
            )
        if race.steps >= live.limit and not live.playing:
            return t(
                ":material/flag: 已到步数上限；再按“播放”继续。", ":material/flag: Step limit reached; Play goes on."
            )
        if live.message:
            return f":material/restart_alt: {live.message}"
        if live.playing:
            return t("正在训练……", "Training …")
        return t("按“播放”开始训练（快捷键 P），“单步”走一步（N）。", "Press Play to train (key P), Step for one update (N).") if race.steps == 0 else t("已暂停。", "Paused.")  # fmt: skip


GROWN = 10.0  # times the first loss: so much larger, it has been growing


def why_diverged(run: Run) -> str:
    """What became of the loss, and what helps, as far as the run's own losses and weights tell."""
    losses = [(each.step, loss) for each in run.history if (loss := each.scores["train"].get(LOSS.name)) is not None]
    first = losses[0][1] if losses else 0.0
    if not abs(first) < EXPLODED:
        return t(
            "还没训练，损失就已超过 10⁸ 或不是有限的数。与学习率无关：换别的设置。",
            "the loss was past 10⁸ or no finite number before any training. The learning rate has no part in it: change other settings.",
        )
    broken = next(
        (s.step for s in run.snapshots if not all(value.isfinite().all() for value in s.state.values())), math.inf
    )
    before = [loss for step, loss in losses if step < broken]
    if broken < math.inf and all(loss <= GROWN * first for loss in before):
        return t(
            "损失并没有变大，一次更新就让权重不再是有限的数：梯度溢出了。调小学习率没有用，要改的是让梯度爆炸的设置。",
            "the loss had not grown when one update left weights that are no finite numbers: the gradient overflowed. A lower learning rate does not help; change what makes the gradient explode.",
        )
    return t(
        "损失超过 10⁸，或已不是有限的数。学习率多半太大；调小后按“重来”。",
        "the loss is past 10⁸, or no finite number any more. The learning rate is probably too high: lower it and press Reset.",
    )


class Inside:
    """What a lesson measures beside its own curves, a chart for each group of metrics; drawn if the viewer asks for it.

    Its expander is a widget, so it stands outside of the fragment, which then replaces its charts in place.
    """

    def __init__(self, live: Live):
        self.live = live
        race = live.race
        self.words = charts.Words(t("步数", "step"), term("train"), term("test"))
        self.groups = {group: metrics for group, metrics in race.groups.items() if group}
        self.places: dict[str, Any] = {}

    @classmethod
    def offered(cls, live: Live) -> Inside | None:
        """The expander, and what is in it if it is open."""
        groups = [group for group in live.race.groups if group]
        if not groups:
            return None
        names = " · ".join(map(term, groups))
        part = st.expander(
            t(f"里面发生了什么：{names}", f"What goes on inside: {names}"),
            icon=":material/monitor_heart:", key=live._name("inside"), on_change="rerun",
        )  # fmt: skip
        if not part.open:
            return None
        made = cls(live)
        with part:
            columns = st.columns(min(len(groups), 2))
        for number, group in enumerate(groups):
            made.places[group] = columns[number % len(columns)]
        made.draw(first=True)
        return made

    def draw(self, first: bool = False) -> None:
        with scene.of_the_page():
            for group, metrics in self.groups.items():
                self._chart(group, metrics, first)

    def _label(self, run: str, metric: Metric, metrics: tuple[Metric, ...]) -> str:
        """A curve's name in its group: what tells it from the others, the run, the metric or both."""
        several = len(self.live.race.runs) > 1
        parts = [term(run)] * several
        if len(metrics) > 1 or not several:
            parts.append(charts.within(metric.name, metric.group))
        return " ".join(parts)

    def _chart(self, group: str, metrics: tuple[Metric, ...], first: bool) -> None:
        race = self.live.race
        series = {
            self._label(name, metric, metrics): (run, metric.name)
            for name, run in race.runs.items()
            for metric in metrics
            if metric in run.metrics
        }
        tested = any(metric in run.history[0].scores.get("test", {}) for run, metric in series.values())
        logarithmic = charts.is_logarithmic(metrics[0], chosen=False)
        spec = charts.curve_spec(term(group), metrics[0].unit, logarithmic, tuple(series), self.words, tested=tested)
        rows = charts.series_rows(list(series.values()), self.live.replayed)
        options = {"key": f"{self.live.stem}_inside_{group}_{language()}"} if first else {}
        self.places[group] = self.places[group].vega_lite_chart(
            rows, spec, alt=t(f"{term(group)}随步数变化的曲线", f"{term(group)} against training steps"), **options
        )
