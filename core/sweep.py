"""Sweeps: many small experiments in worker processes, one sweep at a time for the whole server, the others in line.

An experiment is a pure function of a task: equal tasks give equal results, whichever worker does them, so what one
viewer has measured is there for all. Work goes through `joblib.Parallel`; a cluster takes over by one setting of the
environment, and nothing here or in a lesson changes with it.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import BrokenProcessPool, ShutdownExecutorError
from joblib.parallel import get_active_backend

SETTING = "SWEEP_BACKEND"  # of the environment: "loky", "dask:ADDRESS" or "ray:ADDRESS"
WORKERS = 2  # processes of the embedded pool; each imports torch, 220 MB
IDLE = 20.0  # seconds after which idle workers end
NICENESS = 8  # of a worker: who trains on a page keeps three quarters even of a single core
PATIENCE = 15.0  # seconds without a sign of life of its viewer after which a sweep goes no further
GRACE = 3.0  # seconds that a paused sweep may finish its experiments in while others wait
BREAKDOWNS = 3  # times in a row that workers may die before anything is measured
REPLY = 60.0  # seconds until a cluster must have answered once
KEPT = 10_000  # results for all viewers

Task = Hashable  # frozen, and small: it travels to a worker
Experiment = Callable[[Any], Any]  # a function of a module, so that a worker finds it by its name


class Backend(NamedTuple):
    """Where the experiments run."""

    name: str  # "loky", the pool of processes on this machine; "dask"; "ray"
    address: str = ""  # of the cluster


def backend_of(setting: str) -> Backend:
    """The backend that a setting of the environment asks for: `loky`, `dask:tcp://host:8786`, `ray:auto`, …

    Raises:
        ValueError: there is no such backend, or a cluster without an address.
    """
    name, _, address = setting.strip().partition(":")
    if name not in ("", "loky", "dask", "ray") or (name in ("dask", "ray")) != bool(address):
        raise ValueError(f"{SETTING} must be loky, dask:ADDRESS or ray:ADDRESS, got {setting!r}")
    return Backend(name or "loky", address)


# ---- in a worker -----------------------------------------------------------------------------------------------------


def begin_worker() -> None:
    """First of all in a worker of the embedded pool: it gives way to the server, and ends with it."""
    if hasattr(os, "nice"):  # Windows has none
        os.nice(NICENESS)
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()


def end_with(server: int) -> None:
    """End this process soon after its parent, also where that was killed and could say nothing."""
    while os.getppid() == server:
        threading.Event().wait(1.0)
    os._exit(1)


def attempt(experiment: Experiment, task: Task) -> tuple[Task, Any, str]:
    """The task, its result and what went wrong: one impossible experiment does not end the others."""
    try:
        return task, experiment(task), ""
    except Exception as error:
        return task, None, f"{type(error).__name__}: {error}"


# ---- one sweep -------------------------------------------------------------------------------------------------------


class Sweep:
    """What one viewer wants measured. It goes on while `go_on` is called every few seconds, and rests otherwise.

    Args:
        experiment: a function of a task.
        tasks: in the order in which they are begun.
        sweeps: the line that it stands in; the server's, but for tests.
        known: results from elsewhere.
    """

    def __init__(
        self,
        experiment: Experiment,
        tasks: Iterable[Task],
        sweeps: Sweeps | None = None,
        known: Mapping[Task, Any] | None = None,
    ):
        self.experiment, self.tasks = experiment, tuple(dict.fromkeys(tasks))
        self.sweeps = SWEEPS if sweeps is None else sweeps
        self.failures: dict[Task, str] = {}  # what went wrong, for tasks that have no result
        self.error = ""  # why it cannot go on
        self.wanted = False
        self.seen = 0.0  # when its viewer last gave a sign of life, or paused it
        self._results: dict[Task, Any] = {task: known[task] for task in self.tasks if task in known} if known else {}

    @property
    def results(self) -> dict[Task, Any]:
        """Task → result, as far as it is known; also what was measured for others, in the order of the tasks."""
        if len(self._results) < len(self.tasks):
            self._results.update(self.sweeps.known(self.experiment, self.remaining))
        return {task: self._results[task] for task in self.tasks if task in self._results}

    @property
    def remaining(self) -> list[Task]:
        """The tasks that still have to be done."""
        return [task for task in self.tasks if task not in self._results and task not in self.failures]

    @property
    def done(self) -> bool:
        return len(self.results) + len(self.failures) >= len(self.tasks)

    @property
    def alive(self) -> bool:
        """Whether its viewer wants it to go on and is still there."""
        return self.wanted and time.monotonic() - self.seen < PATIENCE

    @property
    def place(self) -> int | None:
        """How many sweeps come before it: 0 while it is worked on; None where it stands in no line."""
        return self.sweeps.place(self)

    @property
    def busy(self) -> bool:
        """Whether workers are at it; for a while also after a pause, until the experiments at hand have ended."""
        return self.sweeps.running is self

    def go_on(self) -> None:
        """Take a place in line, or keep it. To be called again and again, at least every few seconds."""
        self.error = "" if not self.wanted else self.error
        self.wanted, self.seen = True, time.monotonic()
        if not self.error and not self.done:
            self.sweeps.enter(self)

    def pause(self) -> None:
        """Begin no further experiment; those at hand may end, and their results count."""
        if self.wanted:
            self.wanted, self.seen = False, time.monotonic()
            self.sweeps.leave(self)

    def cancel(self) -> None:
        """Pause, and give up the experiments at hand. What was measured stays."""
        self.pause()
        self.sweeps.give_up(self)

    def take(self, task: Task, result: Any, failure: str) -> None:
        """An experiment has ended."""
        if failure:
            self.failures[task] = failure
        else:
            self._results[task] = result


# ---- all sweeps of a server ------------------------------------------------------------------------------------------


class Sweeps:
    """The sweeps of a server: one is worked on, the others wait in line; results are kept for all.

    Args:
        backend: instead of that of the environment.
    """

    def __init__(self, backend: Backend | None = None):
        self.backend = backend
        self.running: Sweep | None = None
        self._line: list[Sweep] = []  # those that wait
        self._known: OrderedDict[tuple[str, Task], Any] = OrderedDict()
        self._guard = threading.RLock()
        self._thread: threading.Thread | None = None
        self._pool = True  # whether the workers are processes of this one
        self._hooked = self._closing = False  # whether this process can end at any time, and is about to

    # results

    def known(self, experiment: Experiment, tasks: Iterable[Task]) -> dict[Task, Any]:
        """Those of the tasks that have been done, for whomever."""
        name = name_of(experiment)
        with self._guard:
            found = {task: self._known[name, task] for task in tasks if (name, task) in self._known}
            for task in found:
                self._known.move_to_end((name, task))
        return found

    def _keep(self, experiment: Experiment, task: Task, result: Any) -> None:
        with self._guard:
            self._known[name_of(experiment), task] = result
            if len(self._known) > KEPT:
                self._known.popitem(last=False)

    def forget(self) -> None:
        """Every result; sweeps keep what they have."""
        with self._guard:
            self._known.clear()

    # the line

    def place(self, sweep: Sweep) -> int | None:
        with self._guard:
            if self.running is sweep:
                return 0
            if sweep not in self._line:
                return None
            waiting = [each for each in self._line if each.alive or each is sweep]
            return waiting.index(sweep) + (self.running is not None)

    def enter(self, sweep: Sweep) -> None:
        """Stand in line, at its end, if it does not yet; who waits too long for a sweep that was paused, ends its work."""
        with self._guard:
            head = self.running
            if head is not sweep and sweep not in self._line:
                self._line.append(sweep)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="sweeps", daemon=True)
                self._thread.start()
        if head is not None and head is not sweep and not head.alive and time.monotonic() - head.seen > GRACE:
            self.give_up(head)

    def leave(self, sweep: Sweep) -> None:
        """No longer wait."""
        with self._guard:
            if sweep in self._line:
                self._line.remove(sweep)

    def give_up(self, sweep: Sweep) -> None:
        """End the workers that are at this sweep's experiments. A cluster's finish what they have begun."""
        with self._guard:
            if self.running is sweep and not sweep.alive and self._pool:
                get_reusable_executor(reuse=True).shutdown(wait=False, kill_workers=True)

    # work

    def _next(self) -> Sweep | None:
        """The sweep whose turn it is; None where nobody waits, and then this thread ends."""
        with self._guard:
            self.running = None
            while self._line and self.running is None:
                head = self._line.pop(0)
                if head.alive:
                    self.running = head
            if self.running is None:
                self._thread = None
            return self.running

    def _work(self) -> None:
        """The thread: sweep after sweep, as long as somebody waits."""
        while (sweep := self._next()) is not None:
            try:
                backend = self.backend or backend_of(os.environ.get(SETTING, ""))
                self._pool = backend.name == "loky"
                with connected(backend):
                    self._run(sweep)
            except Exception as error:  # a setting or a cluster that cannot be used
                sweep.error = f"{type(error).__name__}: {error}"

    def _prepare_to_close(self) -> None:
        """See to it that the process can end while its workers are at something: their pool would wait for them.

        The pool begins to wait in a hook of its own, which it sets when it starts; those set later come first.
        """
        if self._pool and not self._hooked:
            Parallel()(delayed(os.getpid)() for _ in range(WORKERS))
            threading._register_atexit(self._close)  # type: ignore[attr-defined]
            self._hooked = True

    def _close(self) -> None:
        self._closing = True
        get_reusable_executor(reuse=True).shutdown(wait=False, kill_workers=True)

    def _run(self, sweep: Sweep) -> None:
        """Do what remains of a sweep. If workers die, what they were at is begun again."""
        broken = 0
        while sweep.alive and not sweep.done and not self._closing:
            try:
                self._prepare_to_close()
                for task, result, failure in outcomes(self._calls(sweep)):
                    broken = 0
                    sweep.take(task, result, failure)
                    if not failure:
                        self._keep(sweep.experiment, task, result)
            except Exception as error:
                broken += 1
                if sweep.alive and not self._closing and (not died(error) or broken == BREAKDOWNS):
                    raise

    def _calls(self, sweep: Sweep) -> Iterator[Any]:
        """The experiments that are still to be done, as long as the viewer wants them; asked for one by one."""
        for task in sweep.remaining:
            if not sweep.alive or self._closing:
                return
            if task not in sweep.results:  # meanwhile somebody else may have it
                yield delayed(attempt)(sweep.experiment, task)


def died(error: Exception) -> bool:
    """Whether it says that workers of the pool died or were ended."""
    ended = (BrokenProcessPool, ShutdownExecutorError)
    return isinstance(error, ended) or isinstance(error.__context__, ended)


def name_of(experiment: Experiment) -> str:
    return f"{experiment.__module__}.{experiment.__qualname__}"


@contextmanager
def connected(backend: Backend) -> Iterator[None]:
    """What runs inside does so on this backend.

    Raises:
        ImportError, OSError, …: the cluster's package is missing, or nobody answers at its address.
    """
    options: dict[str, Any] = {}
    if backend.name == "loky":
        options = {"inner_max_num_threads": 1, "idle_worker_timeout": IDLE, "initializer": begin_worker}
    elif backend.name == "dask":
        options = {"scheduler_host": backend.address}
    elif backend.name == "ray":
        import_module("ray").init(address=backend.address, ignore_reinit_error=True)
        import_module("ray.util.joblib").register_ray()
    with parallel_config(backend.name, n_jobs=WORKERS if backend.name == "loky" else -1, **options):
        client = getattr(get_active_backend()[0], "client", None)  # Dask's connection to its scheduler
        try:
            if client is not None:  # a scheduler that does not know this module would drop every call without a word
                client.submit(attempt, len, (), pure=False).result(timeout=REPLY)
            yield
        finally:
            if client is not None:
                client.close()


def outcomes(calls: Iterator[Any]) -> Iterator[tuple[Task, Any, str]]:
    """What the calls return, each as soon as it is there; a call is taken when a worker is free for it."""
    if get_active_backend()[0].supports_return_generator:
        yield from Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs")(calls)
    else:  # Ray's: as many at a time as there are workers
        workers = Parallel()._effective_n_jobs()
        while block := list(itertools.islice(calls, workers)):
            yield from Parallel(batch_size=1)(block)


SWEEPS = Sweeps()
