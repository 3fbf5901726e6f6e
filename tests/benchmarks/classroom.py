"""How a class fares: `python tests/benchmarks/classroom.py [lesson]`, figures as ratios measured in one run.

Steps per second on the page against the same loop without a page, for 1, 10 and 30 viewers; how long a slider and a
pause take while all train; memory. Times are seconds on this machine and only mean something beside one another.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pages.ui.turns import CROWDED_SLICE, SLICE  # noqa: E402
from tests.server import Viewer, cpu_seconds, process_of, resident_memory, serve  # noqa: E402

LOOP = """
import sys, time; sys.path.insert(0, {root!r})
from importlib import import_module
from core.training import Race
module = import_module("core.{lesson}")
config = next(iter(module.PRESETS.values()))
races = [Race(module.race(config) if {race} else {{"run": config}}) for _ in range({viewers})]
def train(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for race in races:
            race.advance({slice})
train({warm})
steps, wall, cpu = sum(race.steps for race in races), time.perf_counter(), time.process_time()
train({seconds})
made = sum(race.steps for race in races) - steps
print(made / (time.perf_counter() - wall), made / (time.process_time() - cpu))
"""
RACES = ("pooling",)  # lessons that train several runs side by side


def warming(viewers: int) -> float:
    """Seconds of training before the measuring begins: every viewer's page is drawn once for its Play."""
    return 2 + 0.2 * viewers


def loop_rates(lesson: str, viewers: int, seconds: float) -> tuple[float, float]:
    """Steps per second, and per second of processor time, of as many runs in turn, without a page, in one process."""
    code = LOOP.format(
        root=str(ROOT), lesson=lesson, viewers=viewers, seconds=seconds, warm=warming(viewers), race=lesson in RACES,
        slice=SLICE if viewers == 1 else CROWDED_SLICE,
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    wall, cpu = map(float, done.stdout.split())
    return wall, cpu


async def open_all(port: int, lesson: str, count: int) -> tuple[list[Viewer], list[float]]:
    viewers = [await Viewer(port, lesson).__aenter__() for _ in range(count)]
    return viewers, list(await asyncio.gather(*(viewer.open() for viewer in viewers)))


async def train(viewers: list[Viewer], lesson: str, seconds: float, process: Path) -> tuple[list[float], float]:
    """Steps per second of every viewer while all train, and steps of all per second of the server's processor time."""
    await asyncio.gather(*(viewer.press(f"{lesson}_play") for viewer in viewers))
    await asyncio.sleep(warming(len(viewers)))
    before, began, cpu = [viewer.steps for viewer in viewers], time.perf_counter(), cpu_seconds(process)
    await asyncio.sleep(seconds)
    elapsed, used = time.perf_counter() - began, cpu_seconds(process) - cpu
    made = [viewer.steps - steps for viewer, steps in zip(viewers, before, strict=True)]
    return [steps / elapsed for steps in made], sum(made) / used


def p95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


async def main(lesson: str, slider: str, crowds: list[int], seconds: float) -> None:
    with serve() as port:
        process = process_of(port)
        [viewer], _ = await open_all(port, lesson, 1)
        await asyncio.sleep(1)
        first = resident_memory(process)
        resting = [await viewer.slide(f"{lesson}_{slider}", value) for value in (5, 3) * 5]
        await viewer.__aexit__()
        print(f"memory with one viewer {first:.0f} MB (target ≤ 450); slider at rest p95 {p95(resting):.3f} s (≤ 0.1)")
        for count in crowds:
            before = loop_rates(lesson, count, seconds)
            memory = resident_memory(process)
            viewers, opened = await open_all(port, lesson, count)
            rates, per_cpu = await train(viewers, lesson, seconds, process)
            sliders = [await viewer.slide(f"{lesson}_{slider}", 5) for viewer in viewers[: max(1, count // 3)]]
            pauses = [await viewer.press(f"{lesson}_play") for viewer in viewers]
            each = (resident_memory(process) - memory) / count
            errors = {error for viewer in viewers for error in viewer.errors}
            for viewer in viewers:
                await viewer.__aexit__()
            after = loop_rates(lesson, count, seconds)
            wall, cpu = ((a + b) / 2 for a, b in zip(before, after, strict=True))
            print(
                f"{count:3} viewers: {sum(rates) / wall:.2f} of the loop alone by the clock (before/after "
                f"{before[0]:.0f}/{after[0]:.0f}), {per_cpu / cpu:.2f} by processor time; "
                f"slowest/median {min(rates) / statistics.median(rates):.2f}; opening max {max(opened):.2f} s (≤ 1); "
                f"slider p95 {p95(sliders):.2f} s (≤ 0.3); pause p95 {p95(pauses):.2f} s (≤ 0.3); "
                f"{each:+.1f} MB each (≤ 4); errors {errors or 'none'}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lesson", nargs="?", default="cnn")
    parser.add_argument("--slider", default="kernel")
    parser.add_argument("--crowds", type=int, nargs="+", default=[1, 10, 30])
    parser.add_argument("--seconds", type=float, default=8)
    chosen = parser.parse_args()
    asyncio.run(main(chosen.lesson, chosen.slider, chosen.crowds, chosen.seconds))
