"""Experiments of the tests of sweeps: functions that a worker finds by their names."""

import os
import time
from pathlib import Path
from typing import NamedTuple

STUCK = 600.0  # seconds after which nobody opens a gate any more


class Wait(NamedTuple):
    """A task: wait for so long and until the gate is open, then return the number."""

    number: int
    seconds: float = 0.0
    gate: str = ""  # a file: the gate is open once it is there, for workers of every kind


def wait(task: Wait) -> None:
    time.sleep(task.seconds)
    if task.gate:
        Path(f"{task.gate}.{task.number}").touch()  # says that somebody stands before it
        deadline = time.monotonic() + STUCK
        while not Path(task.gate).exists():
            if time.monotonic() > deadline:
                raise TimeoutError(task)
            time.sleep(0.005)


def square(task: Wait) -> int:
    wait(task)
    return task.number**2


def process(task: Wait) -> tuple[int, int]:
    """Which process does it, and how willingly it gives way."""
    wait(task)
    return os.getpid(), os.nice(0)


def picky(task: Wait) -> int:
    if task.number % 2:
        raise ValueError(f"{task.number} is odd")
    return task.number


def deadly(task: Wait) -> int:
    """Takes its worker with it."""
    os._exit(1)
