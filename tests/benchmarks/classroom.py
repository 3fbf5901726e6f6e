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

from tests.server import Viewer, resident_memory, serve  # noqa: E402

LOOP = """
import sys; sys.path.insert(0, {root!r})
from importlib import import_module
from core.training import Race
from core.config import Config
module = import_module("core.{lesson}")
config = next(c for c in vars(module).values() if isinstance(c, type) and issubclass(c, Config) and c is not Config)()
race = Race(module.race(config) if {race} else {{"run": config}})
race.advance(1.0); steps = race.steps
race.advance({seconds}); print((race.steps - steps) / {seconds})
"""


def loop_rate(lesson: str, seconds: float) -> float:
    """Steps per second of the same loop in a process of its own, without a page."""
    code = LOOP.format(root=str(ROOT), lesson=lesson, seconds=seconds, race=lesson == "pooling")
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


async def open_all(port: int, lesson: str, count: int) -> tuple[list[Viewer], list[float]]:
    viewers = [await Viewer(port, lesson).__aenter__() for _ in range(count)]
    return viewers, list(await asyncio.gather(*(viewer.open() for viewer in viewers)))


async def train(viewers: list[Viewer], lesson: str, seconds: float) -> list[float]:
    """Steps per second of every viewer while all train."""
    await asyncio.gather(*(viewer.press(f"{lesson}_play") for viewer in viewers))
    await asyncio.sleep(2)
    before, began = [viewer.steps for viewer in viewers], time.perf_counter()
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - began
    return [(viewer.steps - steps) / elapsed for viewer, steps in zip(viewers, before, strict=True)]


def p95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


async def main(lesson: str, slider: str, crowds: list[int], seconds: float) -> None:
    with serve() as port:
        cold, _ = await open_all(port, lesson, 1)
        await asyncio.sleep(1)
        first = resident_memory(port)
        resting = [await cold[0].slide(f"{lesson}_{slider}", value) for value in (5, 3) * 5]
        print(f"memory with one viewer {first:.0f} MB (target ≤ 450); slider at rest p95 {p95(resting):.3f} s (≤ 0.1)")
        for viewer in cold:
            await viewer.__aexit__()
        for count in crowds:
            alone = loop_rate(lesson, seconds)
            before = resident_memory(port)
            viewers, opened = await open_all(port, lesson, count)
            rates = await train(viewers, lesson, seconds)
            sliders = [await viewer.slide(f"{lesson}_{slider}", 5) for viewer in viewers[: max(1, count // 3)]]
            pauses = [await viewer.press(f"{lesson}_play") for viewer in viewers]
            memory = (resident_memory(port) - before) / count
            errors = {error for viewer in viewers for error in viewer.errors}
            for viewer in viewers:
                await viewer.__aexit__()
            again = loop_rate(lesson, seconds)
            ratio = sum(rates) / ((alone + again) / 2)
            print(
                f"{count:3} viewers: total {ratio:.2f} of the loop alone (loop before/after {alone:.0f}/{again:.0f}), "
                f"slowest/median {min(rates) / statistics.median(rates):.2f}, opening max {max(opened):.2f} s, "
                f"slider p95 {p95(sliders):.2f} s, pause p95 {p95(pauses):.2f} s, {memory:+.1f} MB each, "
                f"frames/s {sum(v.charts for v in viewers) / count:.0f} in all, errors {errors or 'none'}"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lesson", nargs="?", default="cnn")
    parser.add_argument("--slider", default="kernel")
    parser.add_argument("--crowds", type=int, nargs="+", default=[1, 10, 30])
    parser.add_argument("--seconds", type=float, default=8)
    chosen = parser.parse_args()
    asyncio.run(main(chosen.lesson, chosen.slider, chosen.crowds, chosen.seconds))
