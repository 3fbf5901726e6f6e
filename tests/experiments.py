"""Experiments of the tests of sweeps: functions that a worker finds by their names."""

import os
import time
from typing import NamedTuple


class Wait(NamedTuple):
    """A task: wait for so long, then return the number."""

    number: int
    seconds: float = 0.0


def square(task: Wait) -> int:
    time.sleep(task.seconds)
    return task.number**2


def process(task: Wait) -> tuple[int, int]:
    """Which process does it, and how willingly it gives way."""
    time.sleep(task.seconds)
    return os.getpid(), os.nice(0)


def picky(task: Wait) -> int:
    if task.number % 2:
        raise ValueError(f"{task.number} is odd")
    return task.number


def deadly(task: Wait) -> int:
    """Takes its worker with it."""
    os._exit(1)
