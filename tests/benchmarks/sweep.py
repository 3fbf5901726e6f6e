"""What a sweep takes from a viewer who trains: steps per second with and without it, in turn, as a ratio (target ≥ 0.67).

    python tests/benchmarks/sweep.py [lesson] [--rounds N] [--seconds S] [--cores N]

One viewer trains the lesson without end. Another one's sweep is paused and goes on in turn; its own watched runs have ended
before, so that only the workers compete. Also told: how much memory the workers have, and how many results came.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.server import Viewer, process_of, resident_memory, serve

SWEEP = "lang=en&memory_length=2&memory_limit=100&memory_seeds=10&memory_points=10&memory_longest=200"


def children(process: Path) -> list[Path]:
    """The processes that were started by this one and have torch in them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
            if parent == process.name and resident_memory(folder) > 100:
                found.append(folder)
        except OSError:
            continue
    return found


async def rate(viewer: Viewer, seconds: float) -> float:
    """Steps per second of a viewer who trains."""
    before, began = viewer.steps, time.perf_counter()
    await asyncio.sleep(seconds)
    return (viewer.steps - before) / (time.perf_counter() - began)


async def main(lesson: str, rounds: int, seconds: float, cores: int) -> None:
    with serve() as port:
        process = process_of(port)
        if cores:
            for thread in (process / "task").iterdir():
                os.sched_setaffinity(int(thread.name), range(cores))
        async with Viewer(port, lesson) as viewer, Viewer(port, "memory", SWEEP) as sweeper:
            await viewer.open()
            await sweeper.open()
            await sweeper.press("memory_play")
            while sweeper.steps < 100 or not children(process):  # the watched runs end, the workers begin
                await asyncio.sleep(0.5)
            await asyncio.sleep(5)
            await viewer.press(f"{lesson}_play")
            await asyncio.sleep(5)
            ratios = []
            for _ in range(rounds):
                busy = await rate(viewer, seconds)
                workers = children(process)
                memory = [f"{resident_memory(worker):.0f}" for worker in workers]
                await sweeper.press("memory_play")  # pause; what is at hand may take a few seconds
                await asyncio.sleep(6)
                alone = await rate(viewer, seconds)
                await sweeper.press("memory_play")
                await asyncio.sleep(3)
                ratios.append(busy / alone)
                print(
                    f"{busy:.0f} steps/s beside the sweep, {alone:.0f} alone: {busy / alone:.2f}; workers {', '.join(memory)} MB",
                    flush=True,
                )
            errors = {*viewer.errors, *sweeper.errors}
    print(f"median {statistics.median(ratios):.2f} (target ≥ 0.67); errors {errors or 'none'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lesson", nargs="?", default="cnn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--cores", type=int, default=0, help="that the server and its workers may use; 0: all")
    chosen = parser.parse_args()
    asyncio.run(main(chosen.lesson, chosen.rounds, chosen.seconds, chosen.cores))
