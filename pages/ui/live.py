"""The live-training panel: one call, and a lesson trains before the class's eyes.

A full run draws everything and ends. While playing, a fragment then trains slice by slice and redraws in place until
a click pre-empts it; all buttons and sliders stand outside of it, because only those pre-empt a running fragment.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from typing import Any, Protocol

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.errors import StreamlitWidgetAlreadyInstantiatedError

from core.config import Config, Span
from core.training import SNAPSHOT_BYTES, SNAPSHOTS, Intervention, Race, Run, Snapshot, on_one_core, replay
from pages.ui import drawings, lesson, pins, scene, share, take_home
from pages.ui.address import decode_interventions, encode_interventions
from pages.ui.controls import LATE, STARTED, Controls, field_of, key_of, note, put, settings, stands
from pages.ui.readings import Frame, Inside
from pages.ui.text import language, speak, t, term
from pages.ui.turns import SLICE, TICK, TURNS

SENDING = 1.4  # what a frame takes with being sent, by what it takes to draw
FILM_FRAME = 0.2  # seconds that a replayed step is shown
COUNT_SHARE, CURVES_SHARE, PICTURES_SHARE = 0.004, 0.007, 0.007  # of this server's time, at most, to redraw them
LIMIT = 400_000  # steps; more than a minute at full speed, unless a lesson is so quick that it asks for more
STEP_LIMITS = range(100, 10_000_001)
LIMITS = tuple(digit * 10**power for power in range(2, 7) for digit in (1, 2, 5))  # of the slider of a lesson's own
SLIDER_WIDTH = 172  # pixels; buttons and sliders stand in one row of a laptop's screen
SPEEDS = ("1", "3", "10", "30", "100", "300", "1000", "full")  # steps per second
FRAMES = 12  # per second, at most, at such a speed: of more steps several lie between two looks …
PACED_SHARE = 0.1  # of the time, at most, for the curves and for the pictures: fewer frames when several viewers train
LOOK = 0.25  # seconds between two looks at work beside, when nothing is trained here
NEVER = "never"  # stops of its own accord at the limit alone
GOAL = Span(0.0, 1e6, 0.01)  # of a measure at which it may stop
SIGNS = {"higher": "≥", "neither": "≥", "lower": "≤"}
RATES = tuple(float(f"{digit}e{power}") for power in range(-5, 2) for digit in (1, 2, 3, 5))

Picture = Callable[..., scene.Scene]
Click = Callable[[Any], None]


class Beside(Protocol):
    """Work elsewhere, in other processes, that plays and pauses with the panel."""

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it, however long the panel plays."""
        ...

    @property
    def busy(self) -> bool:
        """Whether something comes of it even now that the panel may be paused."""
        ...

    def go_on(self) -> None:
        """While the panel plays, again and again."""
        ...

    def pause(self) -> None:
        """While the panel does not play, at every run of the page."""
        ...

    def draw(self) -> None:
        """What has come of it; in place of what it drew before."""
        ...


class Live:
    """The training of one lesson: its race in this viewer's session, its pictures, its panel.

    Args:
        controls: the lesson's controls.
        configs: the runs to train side by side, by name; often one.
        limit: the step limit to begin with; of no meaning where the lesson's config has a `limit` of its own.
        speed: to begin with, one of SPEEDS: a lesson that learns in a blink is better seen at its pace.
        log: whether the loss begins with a logarithmic axis.
    """

    def __init__(
        self, controls: Controls, configs: Mapping[str, Config], limit: int = LIMIT, speed: str = "full", log: bool = False
    ):  # fmt: skip
        self.controls, self.stem = controls, controls.stem
        controls.view("speed", speed, SPEEDS)
        controls.view("log", log)
        self.own_limit = hasattr(controls.default_config, "limit")
        if not self.own_limit:
            controls.view("limit", limit, STEP_LIMITS)
        controls.view("did", "")  # what was changed on the way, for the address
        self.pictures: list[tuple[Any, Picture, str | None, str, dict[str, Callable]]] = []
        self.sent: dict[str, Any] = {}  # what the browser has of them
        self.message = ""
        self.inside: Inside | None = None
        self.has_buttons = self.training = False
        self.pictured = cache(self._pictured)  # one copy of the weights serves all pictures that the page draws
        self.beside: Beside | None = None
        self._reconcile(dict(configs))
        if not self.playing:
            self.race.measure()  # what rests is looked at: its numbers are to be those of its pictures
        names = (NEVER, *(metric.name for metric in self.race.groups[""]))
        if controls.view("stop", NEVER, names) not in names:  # of other metrics, before a setting was changed
            controls.correct(stop=NEVER)
        controls.view("stop_at", 0.1, GOAL)

    def limit_slider(self, label: str) -> None:
        """The step limit as a slider of the lesson's own, before the `buttons`, which then have no field for it."""
        self.own_limit = True
        self.controls.steps("limit", label, LIMITS, format=lambda steps: f"{steps:,}")

    def _name(self, what: str) -> str:
        return f"{self.stem}_{what}"

    @property
    def playing(self) -> bool:
        return st.session_state.get(self._name("playing"), False)

    @property
    def limit(self) -> int:
        """The step at which it stops: as set, and once more for each Play at that limit."""
        limit = self.controls.value("limit")
        of_limit, extensions = st.session_state[self._name("extensions")]
        return limit * (1 + extensions) if of_limit == limit else limit

    def reached(self, race: Race | None = None) -> bool:
        """Whether the measure at which it is to stop has been reached at the step just made."""
        return arrived(race or self.race, self.controls.value("stop"), self.controls.value("stop_at"))

    def _reconcile(self, configs: dict[str, Config]) -> None:
        """A change of the learning rate, or of what else is adjustable, goes on with the run; any other starts a fresh one."""
        self.race = race = st.session_state.get(self._name("race"))
        seen = st.session_state.get(self._name("seen"), {})
        moved = {
            name: value for name, value in self._adjusted().items() if value != seen.get(name)
        }  # by the viewer, not by a planned change
        if race is None:
            self._start(configs, self._linked(configs))
        elif race.configs.keys() != configs.keys() or any(
            replace(configs[name], **{field: getattr(config, field) for field in config.ADJUSTABLE}) != config
            for name, config in race.configs.items()
        ):
            if race.steps > 0:
                self.message = t("设置已改变，训练从头开始。", "Settings changed: a fresh run.")
            self._start(configs)
        elif race.steps > 0:
            for name, value in moved.items():
                race.intervene(name, value)
        elif moved or race.configs != configs:
            kept = (*race.leader.interventions, *race.leader.planned)
            self._start(configs, [change for change in kept if change.name not in moved])
        self._follow()

    def _start(self, configs: Mapping[str, Config], planned: Iterable[Intervention] = ()) -> None:
        self.race = st.session_state[self._name("race")] = Race(configs, planned)
        st.session_state[self._name("extensions")] = 0, 0  # for which limit, how many
        st.session_state[self._name("past_goal")] = False
        st.session_state[self._name("rate")] = None
        st.session_state[self._name("plan")] = self._changes()
        began = {key_of(self.stem, name): value for name, value in self._adjusted().items()}
        st.session_state.setdefault(STARTED, {})[self.stem] = began
        self._back_to_now()

    def _adjusted(self) -> dict[str, Any]:
        """Where the controls stand that may be moved while it trains."""
        return {name: self.controls.value(name) for name in self.controls.default_config.ADJUSTABLE}

    def _linked(self, configs: Mapping[str, Config]) -> tuple[Intervention, ...]:
        """What the link of this visit says was changed on the way; none of it, with a note, if any is impossible."""
        text = self.controls.value("did")
        try:
            planned = decode_interventions(text)
            for config in configs.values() if planned else ():
                replay(config, [change._replace(step=0) for change in planned])
        except Exception:  # a tampered value may do anything to a learner
            note(
                self._name("did"),
                text,
                encode_interventions([Intervention(200, "learning_rate", 0.05)]).replace("~", r"\~") + " …",
            )
            return ()
        return planned

    def _changes(self) -> str:
        """Everything that was changed on the way or will be, as the address has it."""
        run = self.race.leader
        return encode_interventions([*run.interventions, *run.planned])

    def _follow(self) -> None:
        """A planned change moves the slider of what it changes; the address gets all changes."""
        leader, began = self.race.leader, st.session_state[STARTED][self.stem]
        made = {change.name: change.value for change in leader.interventions}
        seen = {name: made.get(name, began[key_of(self.stem, name)]) for name in self._adjusted()}
        now = {key_of(self.stem, name): value for name, value in seen.items()} | {self._name("did"): self._changes()}
        late = {name: value for name, value in now.items() if value != settings()[name]}
        st.session_state[self._name("seen")] = seen
        try:
            put(late)
        except StreamlitWidgetAlreadyInstantiatedError:  # a slider that stands above the panel
            st.session_state[LATE] = late
            st.rerun()
        if leader.planned and not self.race.steps and not self.message:
            steps = ", ".join(str(step) for step in dict.fromkeys(change.step for change in leader.planned))
            self.message = t(f"途中的改动会重做，在第 {steps} 步。", f"What was changed on the way will be changed again at step {steps}.")  # fmt: skip

    # pictures

    def snapshot(self, run: str | None = None) -> Snapshot:
        """The weights to picture: of now, or of the step that is replayed."""
        runs = self.race.runs
        return self._pictured(runs[run] if run else next(iter(runs.values())))

    def _pictured(self, run: Run) -> Snapshot:
        if self.replayed is None:
            return run.snapshot()
        return max((kept for kept in run.snapshots if kept.step <= self.replayed), key=lambda kept: kept.step)

    @property
    def replayed(self) -> int | None:
        """The step that the pictures are driven back to, if any."""
        return st.session_state.get(self._name("replayed"))

    def picture(self, draw: Picture, run: str | None = None, on_click: Click | None = None) -> None:
        """Draw `draw(config, snapshot)` here, and again while it trains. `run` names one of the race, else the first.

        `on_click` gets what is clicked, also while it trains: the (map, row, column) of a cell of a map with `pick`, or
        the `go` of a box.
        """
        key = self._name(f"picture{len(self.pictures)}")
        clicked = {} if on_click is None else {"on_cell": partial(self._clicked, key, "cell", on_click), "on_go": partial(self._clicked, key, "go", on_click)}  # fmt: skip
        self.pictures.append((st.empty(), draw, run, key, clicked))
        self._show(*self.pictures[-1], self.pictured)  # at once: a place left empty for a moment lets the page jump

    def picture_all(self, draw: Picture, on_click: Click | None = None) -> None:
        """Like `picture` for `draw(configs, snapshots)`: dicts by the runs' names."""
        self.picture(draw, "*", on_click)

    def _clicked(self, key: str, what: str, on_click: Click) -> None:
        value = st.session_state[key][what]
        if value is not None:
            on_click(value)

    def _draw(self, frame: Frame) -> None:
        self._draw_curves(frame)
        self._draw_pictures()

    def _draw_curves(self, frame: Frame) -> None:
        frame.draw()
        if self.inside is not None:
            self.inside.draw()
        if self.beside is not None:
            self.beside.draw()

    def _draw_pictures(self) -> None:
        pictured = cache(self._pictured)  # one copy of the weights serves them all
        for picture in self.pictures:
            self._show(*picture, pictured)

    def _show(
        self, place: Any, draw: Picture, run: str | None, key: str, clicked: dict[str, Callable],
        pictured: Callable[[Run], Snapshot],
    ) -> None:  # fmt: skip
        if run == "*":
            given = self.race.configs, {name: pictured(each) for name, each in self.race.runs.items()}
        else:
            chosen = self.race.runs[run] if run else next(iter(self.race.runs.values()))
            given = chosen.config, pictured(chosen)
        sent = scene.payload(draw(*given) if self.training else drawings.drawn(draw, *given))
        if sent != self.sent.get(key):  # a picture that stays as it is costs nothing
            with place:
                scene.stream(sent, key, **clicked)
        self.sent[key] = sent

    # by hand

    def hand(self, name: str, value: float, limits: Span, label: str, step: float = 0.1) -> None:
        """A field with a number of the model of now; whoever changes it makes an intervention of this name.

        The teacher's name for it is "edit". A number that `limits` do not hold, or of a replayed step, cannot be changed.
        """
        allowed = self.controls.access("edit", t("手动改参数", "Set a parameter by hand"))
        if allowed == "hide":
            return
        usable = limits.low <= value <= limits.high and self.replayed is None
        shown = round(value, 4) if usable else 0.0
        key = field_of(self._name("edit"), shown)
        st.number_input(
            label, limits.low, limits.high, step=step, format="%.4g", key=key, on_change=self._edit, args=(name, key),
            disabled=allowed == "lock" or not usable,
            help=t("训练从改过的值接着走；改动记在链接里。", "Training goes on from the edited value; the link remembers the edit."),
        )  # fmt: skip

    def _edit(self, name: str, key: str) -> None:
        if stands(self._name("edit"), key):
            self.race.intervene(name, st.session_state[key])

    # the panel

    def panel(self) -> None:
        """Numbers, curves, and the buttons where the lesson has not put them yet; trains while playing."""
        self._follow()
        pins.settle(self.stem)
        lesson.add_to_caption(self.message)
        below_presets = st.session_state.pop(lesson.PLAY_PLACE, None)
        if not self.has_buttons:
            self.buttons(below_presets)
        share.button(self.controls, self)
        st.session_state[self._name("only_draw")] = True
        if self.beside is not None and not self.playing:
            self.beside.pause()
        if self.playing:
            often = TURNS.tick(id(self.race))
        else:
            often = TICK if self.filming or (self.beside is not None and self.beside.busy) else None
        st.fragment(self._tick, run_every=often)()
        self.inside = Inside.offered(self)
        pins.panel(self)
        self._scrubber()
        take_home.offer(self.stem, self.race)

    def buttons(self, place: DeltaGenerator | None = None) -> None:
        """Play and what stands beside it: where a lesson wants them, else the panel puts them under the presets."""
        self.has_buttons = True
        self._follow()
        with place or lesson.row_of_buttons("own"):
            st.button(
                t("暂停", "Pause") if self.playing else t("播放", "Play"),
                key=self._name("play"),
                type="primary",
                icon=":material/pause:" if self.playing else ":material/play_arrow:",
                shortcut="p",
                on_click=self._toggle,
                width=128,
            )
            st.button(t("单步", "Step"), key=self._name("step"), icon=":material/skip_next:", shortcut="n", on_click=self._step)  # fmt: skip
            st.button(t("重来", "Reset"), key=self._name("reset"), icon=":material/replay:", on_click=self._restart)
            with st.popover(t("更多", "More"), icon=":material/tune:"):
                self.controls.number("seed", t("随机种子", "Seed"), help=t("初始权重和批次的抽取。", "Draws the initial weights and the batches."))  # fmt: skip
                if not self.own_limit:
                    self.controls.number("limit", t("步数上限", "Step limit"), step=10_000)
                self._stop_condition()
                self.controls.toggle("log", t("损失用对数轴", "Logarithmic loss axis"))
                kept = t("自己的数据会留着：重新选它就回来。", "Your own data are kept: choose them again and they come back.")  # fmt: skip
                st.button(
                    t("全部恢复默认", "All controls to defaults"),
                    key=self._name("defaults"),
                    icon=":material/settings_backup_restore:",
                    on_click=self.controls.reset,
                    help=kept if self.controls.default_config.OWN_DATA else None,
                )
            speed = {"full": t("全速", "full"), "1": t("慢动作 1/秒", "slow 1/s")}
            self.controls.steps(
                "speed", t("速度", "Speed"), SPEEDS, width=SLIDER_WIDTH,
                format=lambda code: speed.get(code, t(f"{code}/秒", f"{code}/s")),
            )  # fmt: skip
            idle = not any(config.has_learning_rate for config in self.race.configs.values())
            self.controls.steps(
                "learning_rate",
                t("学习率", "Learning rate"),
                tuple(rate for rate in RATES if rate <= self.controls.limits["learning_rate"].high),
                format=lambda rate: f"{rate:g}",
                width=SLIDER_WIDTH,
                disabled=idle,
                help=t("这个方法不用学习率。", "This method has no learning rate.") if idle else None,
            )

    def _stop_condition(self) -> None:
        """At which measure it stops by itself."""
        metrics = {metric.name: f"{term(metric.name)} {SIGNS[metric.better]}" for metric in self.race.groups[""]}
        stop = self.controls.choice("stop", t("何时自动停下", "Stop by itself when"), {NEVER: t("到步数上限", "at the step limit")} | metrics)  # fmt: skip
        if stop != NEVER:
            self.controls.number("stop_at", metrics[stop], help=t("看测试集（没有就看训练集）；百分比写成小数，如 0.95。", "Measured on held-out data, if there is any; a percentage as a share, like 0.95."))  # fmt: skip

    def _toggle(self) -> None:
        playing = not self.playing
        st.session_state[self._name("past_goal")] = self.reached()
        if playing and self.race.steps >= self.limit and (self.beside is None or self.beside.over):
            self._extend()
        st.session_state[self._name("playing")] = playing
        self._back_to_now()

    def _extend(self) -> None:
        """Once more as many steps as the limit says; of one that was lowered while it had come further, several times."""
        limit = self.controls.value("limit")
        st.session_state[self._name("extensions")] = limit, self.race.steps // limit

    def _back_to_now(self) -> None:
        st.session_state[self._name("replayed")] = None
        st.session_state[self._name("filming")] = False

    def _step(self) -> None:
        st.session_state[self._name("playing")] = False
        self._back_to_now()
        if self.race.steps >= self.limit:
            self._extend()
        self.race.step(measure=True)  # a single step is looked at
        self._follow()

    def _restart(self) -> None:
        """From the start. A link's changes are made again, unless the viewer has changed something else on the way."""
        plan = st.session_state[self._name("plan")]
        if plan and plan == self._changes():
            put(st.session_state[STARTED][self.stem])
            self._start(self.race.configs, decode_interventions(plan))
            self._follow()
        else:
            self._start(self.race.configs)

    # replay

    @property
    def filming(self) -> bool:
        return st.session_state.get(self._name("filming"), False)

    def _kept_steps(self) -> list[int]:
        """The steps whose weights are kept, of the run that came furthest; of several that kept the most."""
        kept = ([snapshot.step for snapshot in run.snapshots] for run in self.race.runs.values())
        return max(kept, key=lambda steps: (steps[-1], len(steps)))

    def _scrubber(self) -> None:
        """Drives every picture back to an earlier step, by hand or as a film."""
        steps = self._kept_steps()
        ready = len(steps) > 1 and not self.playing
        options = steps if len(steps) > 1 else [0, 1]
        key = self._name(f"replay_{options[-1]}")  # with its old key the browser would send its old value again
        at = self.replayed if self.replayed is not None else steps[-1]
        st.session_state[key] = max((step for step in options if step <= at), default=options[0])
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.select_slider(
                t("回放：把图带回训练的某一步", "Replay: take the pictures back to a step"),
                options,
                key=key,
                disabled=not ready or self.filming,
                on_change=self._replay,
                args=(key,),
                help=t(
                    f"每次运行最多保留 {SNAPSHOTS} 个时刻的权重（不超过 {SNAPSHOT_BYTES // 1000:,} kB），开头密，后面疏。",
                    f"Weights are kept at {SNAPSHOTS} moments of a run at most ({SNAPSHOT_BYTES // 1000:,} kB), "
                    "closer together at its beginning.",
                ),
            )
            st.button(
                t("停止", "Stop") if self.filming else t("放映", "Film"),
                key=self._name("film"),
                icon=":material/stop:" if self.filming else ":material/movie:",
                disabled=not ready,
                on_click=self._film,
                width=128,
            )

    def _replay(self, key: str) -> None:
        step = st.session_state[key]
        st.session_state[self._name("replayed")] = None if step == self._kept_steps()[-1] else step

    def _film(self) -> None:
        st.session_state[self._name("filming")] = not self.filming
        if not self.filming:
            st.session_state[self._name("replayed")] = None

    def _show_film(self, frame: Frame) -> None:
        for step in self._kept_steps():
            st.session_state[self._name("replayed")] = step
            self._draw(frame)
            self._rest(time.perf_counter() + FILM_FRAME)
        st.session_state[self._name("filming")] = False
        st.session_state[self._name("replayed")] = None
        st.rerun()

    # training

    def _tick(self) -> None:
        """The fragment: draws, and while playing trains until a click, the limit or divergence ends it."""
        on_one_core()  # a rerun of the fragment alone is a thread of its own
        speak(language())
        frame = Frame(self)
        count, curves, pictures = (Allowance(share) for share in (COUNT_SHARE, CURVES_SHARE, PICTURES_SHARE))
        with curves.spent():
            self._draw_curves(frame)
        if st.session_state.pop(self._name("only_draw"), False):
            return  # the run that comes next finds them drawn
        if self.filming:
            self._show_film(frame)
        if not self.playing:
            if self.beside is not None and not self.beside.busy:
                st.rerun()  # what was at hand when it was paused has ended: nothing moves any more
            return
        try:
            self._train(frame, count, curves, pictures)
        finally:
            TURNS.miss(id(self.race))
        st.session_state[self._name("playing")] = False
        st.rerun()

    def _train(self, frame: Frame, count: Allowance, curves: Allowance, pictures: Allowance) -> None:
        """Until nothing more is to come."""
        race, began, steps_then = self.race, time.perf_counter(), self.race.steps
        paced_curves, paced_pictures = Allowance(PACED_SHARE), Allowance(PACED_SHARE)
        stops = self.controls.value("stop") != NEVER and not st.session_state.get(self._name("past_goal"))
        goal = self.reached if stops else lambda race: False
        self.training = True  # every picture is another one
        shown = False  # what the training here has come to, while the work beside goes on
        while True:
            training = race.steps < self.limit and not race.over and not goal(race)
            if not self._goes_on_beside() and not training:
                break
            if not training:
                if not shown:
                    self._draw(frame)
                shown = True
                self._rest(time.perf_counter() + LOOK)
                self.beside.draw()
                continue
            speed, made = self.controls.value("speed"), len(race.leader.interventions)
            steps = math.inf if speed == "full" else max(1, round(float(speed) / FRAMES))
            TURNS.see(id(race))
            with TURNS.slice(alive=self._alive) as wanted:
                limit = min(self.limit, race.steps + steps)
                race.advance(SLICE, limit, lambda race: goal(race) or wanted())
            if len(race.leader.interventions) != made:
                st.rerun()  # a planned change: the sliders outside of this fragment follow
            now = time.perf_counter()
            if now - began > 1.0:
                st.session_state[self._name("rate")] = (race.steps - steps_then) / (now - began)
                began, steps_then = now, race.steps
            self._alive()
            if speed != "full":
                self._draw_what_is_due(frame, count, paced_curves, paced_pictures)
                self._rest(now + steps / float(speed))
            else:
                self._draw_what_is_due(frame, count, curves, pictures)

    def _goes_on_beside(self) -> bool:
        """Let the work beside go on; whether more is to come of it."""
        if self.beside is None:
            return False
        self.beside.go_on()
        return not self.beside.over

    def _draw_what_is_due(self, frame: Frame, count: Allowance, curves: Allowance, pictures: Allowance) -> None:
        if curves.due():
            with curves.spent():
                self._draw_curves(frame)
        elif count.due() or TURNS.waiting > 1:  # in a class turns are rare enough to tell each one's steps
            with count.spent():
                frame.count()
        if pictures.due():
            with pictures.spent():
                self._draw_pictures()

    def _alive(self) -> None:
        """Touching the session lets a waiting click end this run."""
        _ = st.session_state.get(self._name("playing"))

    def _rest(self, until: float) -> None:
        while (left := until - time.perf_counter()) > 0:
            time.sleep(min(left, 0.05))
            self._alive()


def arrived(race: Race, stop: str, at: float) -> bool:
    """Whether a run of the race has been measured at the step just made, and its metric named `stop` has reached `at`.

    The held-out measure counts, if there is one.
    """
    metric = next((metric for metric in race.metrics if metric.name == stop), None)
    if metric is None:
        return False
    for run in race.runs.values():
        step, scores = run.history[-1]
        value = scores.get("test", {}).get(stop, scores.get("train", {}).get(stop)) if step == run.steps else None
        if value is not None and (value <= at if metric.better == "lower" else value >= at):
            return True
    return False


class Allowance:
    """When something may be drawn again, so that all viewers together spend a `share` of the time on it."""

    def __init__(self, share: float):
        self.share, self.next, self.usual, self.drawn = share, 0.0, math.inf, False

    def due(self) -> bool:
        return time.perf_counter() >= self.next

    @contextmanager
    def spent(self) -> Iterator[None]:
        """Count what is drawn inside, by its processor time: on the clock it also waits for the others.

        The first, which draws all anew, does not count, nor one that the garbage collector came into by more than twice
        what is usual: else a class of thirty would wait for most of a minute. In a class what is drawn counts as if it
        took longer, as sending it takes the time of the others too.
        """
        began = time.thread_time()
        yield
        cost = time.thread_time() - began
        counted = min(cost, 2 * self.usual)
        self.next = time.perf_counter() + (counted * (SENDING * TURNS.waiting + 1) / self.share if self.drawn else 0.0)
        self.usual, self.drawn = counted if self.drawn else math.inf, True
