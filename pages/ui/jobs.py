"""Training beside the panel's run: an experiment with a progress bar, a Cancel button and an end.

A Job lives in the session. Its fragment trains slice by slice, through the same fair lock as the panel, until a click
pre-empts it; the next run finds the job where it was. Leaving the page pauses it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import streamlit as st

from core.config import Config
from core.training import Intervention, Race, Run, race_of
from pages.ui.text import t
from pages.ui.turns import SLICE, TICK, TURNS

BUDGET = 10.0  # seconds of training that an experiment gets, whoever else trains meanwhile
STINT = 1.0  # seconds after which the fragment ends, so that another job of the page gets its turn


class Job:
    """Some configs trained side by side to `steps`, or as far as `budget` seconds of training reach.

    Equal jobs that are not stopped give bit-equal histories, however their slices fall. The last step is evaluated.
    """

    def __init__(
        self,
        configs: Mapping[str, Config],
        steps: int,
        budget: float = BUDGET,
        planned: Iterable[Intervention] = (),  # what is changed on the way
    ):
        self.configs, self.steps, self.budget, self.planned = dict(configs), steps, budget, tuple(planned)
        self.race: Race | None = None  # built in the first slice: building trains nothing but takes its time
        self.spent = 0.0  # seconds of training so far
        self.cancelled = False

    @property
    def runs(self) -> dict[str, Run]:
        return self.race.runs if self.race else {}

    @property
    def done(self) -> int:
        """How many steps have been made."""
        return self.race.steps if self.race else 0

    @property
    def finished(self) -> bool:
        """Whether it got where it was to get: all steps made, or no run can go on."""
        return self.race is not None and (self.race.over or self.race.steps >= self.steps)

    @property
    def stopped(self) -> bool:
        """Whether its time was up before it finished."""
        return self.spent >= self.budget and not self.finished

    @property
    def running(self) -> bool:
        return not (self.cancelled or self.finished or self.stopped)

    def advance(self, seconds: float) -> None:
        """Train for a time slice, at least one step, within the steps and the budget; nothing once it is over."""
        if not self.running:
            return
        began = time.perf_counter()
        if self.race is None:
            self.race = race_of(self.configs, self.planned)
        self.race.advance(min(seconds, self.budget - self.spent), self.steps)
        self.spent += time.perf_counter() - began
        if not self.running:
            for run in self.runs.values():
                if run.history[-1].step != run.steps:
                    run.evaluate()

    def cancel(self) -> None:
        """End it for good."""
        self.cancelled = True


def show(job: Job, key: str, stem: str, on_cancel: Callable[[], None] | None = None) -> None:
    """The progress of a running job and its Cancel button; trains it, and starts the page over once it has ended.

    Args:
        key: of the widgets; one for each job of a page.
        stem: the lesson. While its panel plays the job waits: a viewer has one thread, and the panel's loop keeps it.
        on_cancel: what the button does beside ending the job.
    """
    waits = st.session_state.get(f"{stem}_playing", False)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        with st.container(width="stretch"):
            st.session_state[f"{key}_only_draw"] = True
            st.fragment(_tick, run_every=TICK if job.running and not waits else None)(job, key, waits)
        st.button(
            t("取消", "Cancel"), key=f"{key}_cancel", icon=":material/close:", on_click=end, args=(job, on_cancel)
        )


def end(job: Job, on_cancel: Callable[[], None] | None) -> None:
    job.cancel()
    if on_cancel:
        on_cancel()


def pause_panel(stem: str) -> None:
    """From a callback that starts a job: the panel's run rests, so that the job need not wait."""
    st.session_state[f"{stem}_playing"] = False


def _tick(job: Job, key: str, waits: bool) -> None:
    """The fragment: draws, and trains until a click, the job's end or the end of its stint."""
    bar = st.progress(*_progress(job, waits))
    if st.session_state.pop(f"{key}_only_draw", False) or waits:
        return
    began = time.perf_counter()
    while job.running and time.perf_counter() - began < STINT:
        with TURNS.slice(alive=_alive):
            job.advance(SLICE)
        bar.progress(*_progress(job, waits))
    if not job.running:
        st.rerun()


def _alive() -> None:
    """Touching the session lets a waiting click end this run."""
    st.session_state.get("alive")


def _progress(job: Job, waits: bool) -> tuple[float, str]:
    """How far it is, as a share and in words; the share of its time where that runs out first."""
    share = max(job.done / max(job.steps, 1), job.spent / job.budget)
    if waits:
        return min(share, 1.0), t(
            "上面的训练暂停后，实验继续。", "The experiment goes on when the training above is paused."
        )
    return min(share, 1.0), t(
        f"实验进行中：{job.done:,} / {job.steps:,} 步", f"Running the experiment: {job.done:,} of {job.steps:,} steps"
    )
