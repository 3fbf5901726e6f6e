"""Whose turn it is to train: one slice at a time for all viewers of this server, first come, first served.

Without it the viewers' threads fight over the interpreter lock, and ten of them get less done than one. Drawing goes
first: when a page is to be drawn the slice ends, and no new one starts, so sliders answer while a class trains.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SLICE = 0.1  # seconds of training between two looks at the page
TICK = 0.3  # seconds until a training fragment starts by itself, and starts again if it ended …
CROWDED_TICK = 0.1  # … or so many for each viewer who trains: the browsers' asking costs, and turns come later anyway
FORGOTTEN = 10.0  # seconds after which who was not seen to train is not counted
PATIENCE = 0.2  # seconds between two looks at whether the viewer has clicked something
QUEUEING = 1.0  # seconds that a page waits for those drawn before it, at most
YIELDING = 0.5  # seconds that a slice lets others draw first, at most: drawing must not starve training


class Turns:
    """A fair lock for training slices that lets drawing pass."""

    def __init__(self):
        self._seen: dict[int, float] = {}  # who trains, by a number of their own → when last seen to
        self._guard = threading.Lock()
        self._queue: deque[threading.Event] = deque()  # its head trains, or is about to
        self._drawers: deque[threading.Event] = deque()  # pages; the head is drawn

    @property
    def waiting(self) -> int:
        """How many viewers train or wait to."""
        return len(self._queue)

    def tick(self, viewer: int) -> float:
        """Seconds between two times that the browser of this viewer, who trains, asks for a training fragment."""
        self.see(viewer)
        now = time.monotonic()
        for other, seen in list(self._seen.items()):
            if now - seen >= FORGOTTEN:
                self.miss(other)  # the page was closed before it began to train
        return max(TICK, CROWDED_TICK * len(self._seen))

    def see(self, viewer: int) -> None:
        """This viewer trains."""
        self._seen[viewer] = time.monotonic()

    def miss(self, viewer: int) -> None:
        """This viewer does not train, or no more."""
        self._seen.pop(viewer, None)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """While this lasts, no new slice starts. Pages are drawn one after the other, first come, first served: all at
        once they would only be in one another's way. Nobody waits for long for a page that takes its time."""
        turn = threading.Event()
        with self._guard:
            self._drawers.append(turn)
            self._drawers[0].set()
        try:
            turn.wait(QUEUEING)
            yield
        finally:
            with self._guard:
                self._drawers.remove(turn)
                if self._drawers:
                    self._drawers[0].set()
                self._wake()

    @contextmanager
    def slice(self, alive: Callable[[], object]) -> Iterator[Callable[[], bool]]:
        """Wait for a turn and hold it; `alive` is called while waiting and may raise to leave the queue.

        What it gives says whether the slice should end early, as somebody's page is to be drawn.
        """
        turn, gives_way = threading.Event(), True
        with self._guard:
            self._queue.append(turn)
            self._wake()
        try:
            head_since = None
            while not turn.wait(PATIENCE):
                alive()
                if self._queue[0] is turn:
                    head_since = head_since or time.monotonic()
                    if time.monotonic() - head_since > YIELDING:
                        gives_way = False
                        break
            yield lambda: gives_way and bool(self._drawers)
        finally:
            with self._guard:
                self._queue.remove(turn)
                self._wake()

    def _wake(self) -> None:
        if self._queue and not self._drawers:
            self._queue[0].set()


TURNS = Turns()
