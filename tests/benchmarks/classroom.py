"""How a class fares: `python tests/benchmarks/classroom.py [lesson]`, figures as ratios measured in one run.

Steps per second on the page against the same loop without a page, for 1, 10 and 30 viewers; how long a slider and a
pause take while all train, and where all move it at the same instant; memory. The loop and the page take turns, as the
pace of a shared machine changes from one minute to the next. Times are seconds on this machine and only mean something
beside one another.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pages.ui.turns import SLICE  # noqa: E402
from tests.server import Viewer, cpu_seconds, process_of, resident_memory, serve  # noqa: E402

LOOP = """
import sys, time; sys.path.insert(0, {root!r})
from importlib import import_module
from core.training import Race
module = import_module("core.{lesson}")
config = next(iter(module.PRESETS.values()))
def train(races, seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for race in races:
            race.advance({slice})
for line in sys.stdin:
    races = [Race(module.race(config) if {race} else {{"run": config}}) for _ in range({viewers})]
    train(races, {warming})
    steps, wall, cpu = sum(race.steps for race in races), time.perf_counter(), time.process_time()
    train(races, float(line))
    made = sum(race.steps for race in races) - steps
    print(made / (time.perf_counter() - wall), made / (time.process_time() - cpu), flush=True)
"""
RACES = ("pooling",)  # lessons that train several runs side by side


class Rates(NamedTuple):
    """Steps of all viewers per second, by the clock and by the processor time of their process."""

    wall: float
    cpu: float


def warming(viewers: int) -> float:
    """Seconds of training before the measuring begins: every viewer's page is drawn once for its Play."""
    return 2 + 0.2 * viewers


class Loop:
    """As many runs in turn, without a page, in a process of their own that trains when it is asked to."""

    def __init__(self, lesson: str, viewers: int):
        code = LOOP.format(
            root=str(ROOT), lesson=lesson, viewers=viewers, race=lesson in RACES, slice=SLICE, warming=warming(viewers)
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def rates(self, seconds: float) -> Rates:
        """Of so many seconds of training with fresh runs: one that has converged is up to a tenth slower, as its
        gradients are subnormal numbers."""
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return Rates(*map(float, self.process.stdout.readline().split()))

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


async def open_all(port: int, lesson: str, count: int) -> tuple[list[Viewer], list[float]]:
    viewers = [await Viewer(port, lesson).__aenter__() for _ in range(count)]
    return viewers, list(await asyncio.gather(*(viewer.open() for viewer in viewers)))


async def train(viewers: list[Viewer], lesson: str, seconds: float, process: Path) -> tuple[Rates, list[float]]:
    """All begin anew and train: the rates together, and the steps per second of each."""
    for viewer in viewers:
        await viewer.press(f"{lesson}_reset")
    await asyncio.gather(*(viewer.press(f"{lesson}_play") for viewer in viewers))
    await asyncio.sleep(warming(len(viewers)))
    began, cpu = time.perf_counter(), cpu_seconds(process)
    await asyncio.sleep(seconds)
    elapsed, used = time.perf_counter() - began, cpu_seconds(process) - cpu
    paces = [viewer.pace(began) for viewer in viewers]
    return Rates(sum(paces), sum(paces) * elapsed / used), paces


async def pause(viewers: list[Viewer], lesson: str) -> list[float]:
    """One after the other; the seconds that each waits."""
    return [await viewer.press(f"{lesson}_play") for viewer in viewers]


def p95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


async def main(lesson: str, slider: str, crowds: list[int], seconds: float, rounds: int) -> None:
    with serve() as port:
        process = process_of(port)
        [viewer], _ = await open_all(port, lesson, 1)
        await asyncio.sleep(1)
        first = resident_memory(process)
        resting = [await viewer.slide(f"{lesson}_{slider}", value) for value in (5, 3) * 5]
        await viewer.__aexit__()
        print(f"memory with one viewer {first:.0f} MB (target ≤ 450); slider at rest p95 {p95(resting):.3f} s (≤ 0.1)")
        for count in crowds:
            loop, memory = Loop(lesson, count), resident_memory(process)
            viewers, opened = await open_all(port, lesson, count)
            alone, page, made, pauses = [await asyncio.to_thread(loop.rates, seconds)], [], [0.0] * count, []
            for _ in range(rounds):
                rates, paces = await train(viewers, lesson, seconds, process)
                page.append(rates)
                made = [a + b for a, b in zip(made, paces, strict=True)]
                if len(page) == rounds:
                    sliders = [await viewer.slide(f"{lesson}_{slider}", 5) for viewer in viewers[: max(1, count // 3)]]
                pauses += await pause(viewers, lesson)
                alone.append(await asyncio.to_thread(loop.rates, seconds))
            at_once = await asyncio.gather(*(viewer.slide(f"{lesson}_{slider}", 7) for viewer in viewers))
            each = (resident_memory(process) - memory) / count
            errors = {error for viewer in viewers for error in viewer.errors}
            for viewer in viewers:
                await viewer.__aexit__()
            loop.end()
            around = [Rates(*map(statistics.mean, zip(*pair, strict=True))) for pair in pairwise(alone)]
            shares = [rates.wall / beside.wall for rates, beside in zip(page, around, strict=True)]
            by_cpu = [rates.cpu / beside.cpu for rates, beside in zip(page, around, strict=True)]
            print(
                f"{count:3} viewers: {statistics.median(shares):.2f} of the loop alone by the clock (each time "
                f"{' '.join(f'{share:.2f}' for share in shares)}), {statistics.median(by_cpu):.2f} by processor time; "
                f"slowest/median {min(made) / statistics.median(made):.2f}; opening max {max(opened):.2f} s (≤ 1); "
                f"slider p95 {p95(sliders):.2f} s (≤ 0.3); pause p95 {p95(pauses):.2f} s (≤ 0.3); all sliders at one "
                f"instant p95 {p95(at_once):.2f} s; {each:+.1f} MB each (≤ 4); errors {errors or 'none'}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lesson", nargs="?", default="cnn")
    parser.add_argument("--slider", default="kernel")
    parser.add_argument("--crowds", type=int, nargs="+", default=[1, 10, 30])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=4, help="how often the page and the loop alone take turns")
    chosen = parser.parse_args()
    asyncio.run(main(chosen.lesson, chosen.slider, chosen.crowds, chosen.seconds, chosen.rounds))
