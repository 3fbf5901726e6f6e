"""Sweeps: results as they arrive, the line, pause, cancel, workers that die, and a real Dask cluster.

Where a test needs a sweep to be in the midst of it, the experiments stand before a gate: no pace of the machine matters.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import joblib
import pytest
from joblib._parallel_backends import ThreadingBackend
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import ShutdownExecutorError

from core import sweep as module
from core.sweep import NICENESS, SETTING, WORKERS, Backend, Sweep, Sweeps, backend_of
from tests.experiments import Wait, deadly, picky, process, square

ROOT = Path(__file__).parents[2]
LONG = 600.0  # seconds; an experiment that no test waits for
CORES = joblib.cpu_count()  # so many threads work at once
POOL, THREADS = Backend("loky"), Backend("threading")  # threads where it is only about the line


def until(condition, *sweeps: Sweep, seconds: float = 300.0) -> None:
    """Wait, as viewers of these sweeps who look on."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        for sweep in sweeps:
            assert not sweep.error
            sweep.go_on()
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def alone():
    """The pool is one for the process: no test begins before the sweeps of the last one have left it."""
    yield
    for thread in threading.enumerate():
        if thread.name == "sweeps":
            thread.join(300)
            assert not thread.is_alive()


class Gate:
    """What experiments wait before until a test opens it."""

    def __init__(self, path: Path):
        self.path = path

    def tasks(self, count: int, free: int = 0, first: int = 0) -> list[Wait]:
        """So many tasks, numbered from `first`, of which the gate holds back all but the first `free`."""
        return [Wait(first + i, gate="" if i < free else str(self.path)) for i in range(count)]

    def open(self) -> None:
        self.path.touch()

    @property
    def before(self) -> int:
        """How many experiments have come to it; where the first of all ends before joblib has handed out the second,
        joblib keeps only one at work."""
        return len(list(self.path.parent.glob(f"{self.path.name}.*")))


@pytest.fixture
def gates(tmp_path):
    """As many gates as a test wants; in the end all are open, so that no thread stays before one."""
    found = [Gate(tmp_path / f"gate{i}") for i in range(3)]
    yield found
    for gate in found:
        gate.open()


def finish(sweep: Sweep) -> None:
    until(lambda: sweep.done or sweep.error, sweep)
    until(lambda: not sweep.busy)
    assert not sweep.error


def workers() -> list[int]:
    """The processes of the pool."""
    return [pid for pid in list(get_reusable_executor(reuse=True)._processes) if is_running(pid)]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# results


def test_every_task_once_with_its_own_result():
    tasks = [Wait(number % 20) for number in range(40)]
    sweep = Sweep(square, tasks, Sweeps(POOL))
    assert sweep.tasks == tuple(tasks[:20]) and not sweep.done
    finish(sweep)
    assert sweep.results == {task: task.number**2 for task in tasks} and list(sweep.results) == tasks[:20]
    assert not sweep.failures and not sweep.remaining and sweep.place is None


def test_workers_are_two_other_processes_that_give_way():
    sweep = Sweep(process, [Wait(number, 0.1) for number in range(8)], Sweeps(POOL))
    finish(sweep)
    found = set(sweep.results.values())
    assert len(found) <= WORKERS == 2 and os.getpid() not in {pid for pid, _ in found}
    assert {niceness for _, niceness in found} == {os.nice(0) + NICENESS}


def test_results_are_there_before_the_last_one():
    sweep = Sweep(square, [Wait(1), Wait(2), Wait(3, LONG)], Sweeps(POOL))
    until(lambda: len(sweep.results) == 2, sweep)
    assert not sweep.done and sweep.busy and sweep.place == 0
    sweep.cancel()


def test_an_impossible_experiment_leaves_the_others_alone():
    sweep = Sweep(picky, [Wait(number) for number in range(6)], Sweeps(POOL))
    finish(sweep)
    assert {task.number for task in sweep.results} == {0, 2, 4}
    assert sweep.failures == {Wait(number): f"ValueError: {number} is odd" for number in (1, 3, 5)}


def test_equal_tasks_are_measured_once_for_all():
    sweeps = Sweeps(POOL)
    first, second = (Sweep(process, [Wait(number) for number in range(4)], sweeps) for _ in range(2))
    finish(first)
    assert second.done and second.results == first.results, "finished results are there at once"
    second.go_on()
    assert second.place is None, "and nobody has to work for them"
    third = Sweep(process, [Wait(3), Wait(4)], sweeps)
    assert list(third.results) == [Wait(3)] and third.remaining == [Wait(4)]
    assert not Sweep(square, first.tasks, sweeps).results, "another experiment has other results"
    sweeps.forget()
    assert first.done and not Sweep(process, first.tasks, sweeps).results


def test_only_so_many_results_are_kept(monkeypatch):
    monkeypatch.setattr(module, "KEPT", 5)
    sweeps = Sweeps(THREADS)
    sweep = Sweep(square, [Wait(number) for number in range(9)], sweeps)
    finish(sweep)
    assert len(sweep.results) == 9 and len(sweeps.known(square, sweep.tasks)) == 5


# pause and cancel


def test_a_pause_begins_nothing_and_play_goes_on_from_there(gates):
    gate, sweeps = gates[0], Sweeps(POOL)
    sweep = Sweep(process, gate.tasks(12, free=3), sweeps)
    until(lambda: len(sweep.results) == 3 and gate.before, sweep)
    sweep.pause()
    gate.open()
    until(lambda: not sweep.busy and sweeps._thread is None)
    kept = sweep.results
    assert 3 < len(kept) == 3 + gate.before <= 3 + 2 * WORKERS, "what was at hand has ended, and counts"
    assert not sweep.done
    finish(sweep)
    assert sweep.results.items() >= kept.items(), "nothing is measured twice"


def test_cancel_ends_the_workers_at_once_and_keeps_the_results():
    sweeps = Sweeps(POOL)
    sweep = Sweep(square, [Wait(1), Wait(2), Wait(3, LONG), Wait(4, LONG)], sweeps)
    until(lambda: len(sweep.results) == 2, sweep)
    pids = workers()
    sweep.cancel()
    until(lambda: not sweep.busy and not any(map(is_running, pids)))
    assert len(sweep.results) == 2 and not sweep.error
    again = Sweep(square, [Wait(1), Wait(5)], sweeps)
    finish(again)
    assert again.results == {Wait(1): 1, Wait(5): 25}


def test_a_viewer_who_is_gone_is_not_worked_for(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 1.0)
    sweeps = Sweeps(THREADS)
    gone, here = (Sweep(square, [Wait(100 * i + number, 0.1) for number in range(200)], sweeps) for i in range(2))
    until(lambda: gone.busy, gone)
    until(lambda: here.busy, here)
    assert not gone.done and not gone.alive
    here.pause()
    until(lambda: sweeps._thread is None)


# the line


def test_one_is_worked_on_and_the_others_wait_in_order(gates):
    sweeps, count = Sweeps(THREADS), 2 * CORES + 2
    first, second, third = (Sweep(square, gates[i].tasks(count, 1, 100 * i), sweeps) for i in range(3))
    until(lambda: first.results, first)
    second.go_on()
    third.go_on()
    assert (first.place, second.place, third.place) == (0, 1, 2)
    gates[0].open()
    until(lambda: first.done and second.results, first, second, third)
    assert (first.place, second.place, third.place) == (None, 0, 1)
    second.pause()
    gates[1].open()
    until(lambda: third.busy, first, third)
    assert second.place is None and second.results and not second.done
    second.go_on()
    assert second.place == 1, "who comes back stands at the end"
    gates[2].open()
    until(lambda: third.done and second.done, second, third)


def test_who_leaves_the_line_is_not_waited_for(gates):
    sweeps = Sweeps(THREADS)
    first, second, third = (Sweep(square, gates[0].tasks(4, first=10 * i), sweeps) for i in range(3))
    until(lambda: first.busy, first)
    second.go_on()
    third.go_on()
    second.pause()
    assert (first.place, second.place, third.place) == (0, None, 1)
    gates[0].open()
    until(lambda: third.done, first, third)
    assert first.done and not second.results


def test_who_waits_sees_what_is_measured_for_others(gates):
    sweeps = Sweeps(THREADS)
    first, second = (Sweep(square, gates[0].tasks(8, free=3), sweeps) for _ in range(2))
    until(lambda: first.busy, first)
    until(lambda: len(second.results) >= 3, first, second)
    assert second.place == 1 and not first.done
    gates[0].open()
    until(lambda: second.done, first, second)
    until(lambda: sweeps._thread is None)


def test_who_waits_ends_what_a_paused_sweep_is_at(monkeypatch):
    monkeypatch.setattr(module, "GRACE", 0.2)
    sweeps = Sweeps(POOL)
    paused, waiting = Sweep(square, [Wait(1, LONG)], sweeps), Sweep(square, [Wait(2)], sweeps)
    until(lambda: paused.busy, paused)
    paused.pause()
    until(lambda: waiting.done, waiting)
    assert waiting.results == {Wait(2): 4} and not paused.results and not paused.error


# workers that die


def test_a_killed_worker_loses_no_finished_result(gates):
    gate = gates[0]
    sweep = Sweep(process, gate.tasks(10, free=4), Sweeps(POOL))
    until(lambda: len(sweep.results) == 4 and gate.before, sweep)
    before = sweep.results
    victim = next(pid for pid, _ in before.values() if pid in workers())
    os.kill(victim, signal.SIGKILL)
    until(lambda: not is_running(victim), sweep)
    gate.open()
    finish(sweep)
    assert len(sweep.results) == 10 and not sweep.failures
    assert sweep.results.items() >= before.items(), "what was finished is not done again"
    later = {pid for task, (pid, _) in sweep.results.items() if task not in before}
    assert later - {victim}, "others have done the rest"


def test_workers_that_always_die_end_the_sweep():
    sweeps = Sweeps(POOL)
    sweep = Sweep(deadly, [Wait(1)], sweeps)
    until(lambda: bool(sweep.error), sweep)
    assert "terminated" in sweep.error.lower() and not sweep.results
    until(lambda: not sweep.busy)
    sweep.go_on()
    assert sweep.place is None, "it is not tried again by itself"
    finish(Sweep(square, [Wait(3)], sweeps))


def test_workers_that_are_ended_as_they_start_are_started_again(monkeypatch):
    """So it comes about where a sweep is paused at once and another waits."""
    sweeps, beginnings = Sweeps(THREADS), []

    def prepare() -> None:
        beginnings.append(len(beginnings))
        if len(beginnings) == 1:
            raise ShutdownExecutorError("the pool has been ended")

    monkeypatch.setattr(sweeps, "_prepare_to_close", prepare)
    sweep = Sweep(square, [Wait(1), Wait(2)], sweeps)
    finish(sweep)
    assert len(sweep.results) == 2 and len(beginnings) == 2


def test_idle_workers_end(monkeypatch):
    monkeypatch.setattr(module, "IDLE", 1.0)
    sweep = Sweep(process, [Wait(number) for number in range(4)], Sweeps(POOL))
    finish(sweep)
    until(lambda: not any(is_running(pid) for pid, _ in sweep.results.values()))


PROGRAM = """
import sys, time
from core.sweep import Backend, Sweep, Sweeps
from tests.experiments import Wait, process
sweep = Sweep(process, [Wait(1), Wait(2), *(Wait(n, {seconds}) for n in range(3, 9))], Sweeps(Backend("loky")))
while len(sweep.results) < 2:
    sweep.go_on()
    time.sleep(0.05)
print(*{{pid for pid, _ in sweep.results.values()}}, flush=True)
{then}
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_do_not_outlive_the_server(how):
    server, pids = a_server(then="time.sleep(600)")
    server.send_signal(how)
    server.wait()
    until(lambda: not any(map(is_running, pids)))


def test_a_server_can_end_while_its_workers_are_at_something():
    server, pids = a_server(then="sweep.go_on(); sys.exit(3)")
    assert server.wait(LONG / 2) == 3
    until(lambda: not any(map(is_running, pids)))


def a_server(then: str) -> tuple[subprocess.Popen, list[int]]:
    """A process with a sweep whose workers are at long experiments, and the workers."""
    command = [sys.executable, "-c", PROGRAM.format(seconds=LONG, then=then)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server.stdout:
        return server, [int(pid) for pid in server.stdout.readline().split()]


# backends


@pytest.mark.parametrize(
    ("setting", "backend"),
    [
        ("", ("loky", "")),
        ("loky", ("loky", "")),
        ("dask:tcp://10.0.0.1:8786", ("dask", "tcp://10.0.0.1:8786")),
        (" ray:auto ", ("ray", "auto")),
        ("ray:ray://head:10001", ("ray", "ray://head:10001")),
    ],
)
def test_one_setting_says_where_it_runs(setting, backend):
    assert backend_of(setting) == backend


@pytest.mark.parametrize("setting", ["dask", "ray:", "spark:here", "loky:here", "threads"])
def test_a_setting_that_means_nothing_is_refused(setting, monkeypatch):
    with pytest.raises(ValueError, match=SETTING):
        backend_of(setting)
    monkeypatch.setenv(SETTING, setting)
    sweep = Sweep(square, [Wait(1)], Sweeps())
    until(lambda: bool(sweep.error), sweep)
    assert SETTING in sweep.error and not sweep.results


def test_a_missing_cluster_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    sweep = Sweep(square, [Wait(1)], Sweeps(backend_of("ray:auto")))
    until(lambda: bool(sweep.error), sweep)
    assert "ray" in sweep.error


def test_a_real_dask_cluster(monkeypatch, gates):
    """Scheduler and two workers in processes of their own; the setting alone brings the sweep there."""
    distributed = pytest.importorskip("distributed")
    # Its processes begin with what is the main module here: after a test of a page, the app.
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        monkeypatch.setenv(SETTING, f"dask:{cluster.scheduler_address}")
        sweeps = Sweeps()
        sweep = Sweep(process, gates[0].tasks(8, free=2), sweeps)
        until(lambda: len(sweep.results) == 2 and gates[0].before, sweep)
        assert not sweep.done, "results arrive one by one"
        sweep.pause()
        gates[0].open()
        until(lambda: not sweep.busy)
        assert not sweep.done
        finish(sweep)
        assert {pid for pid, _ in sweep.results.values()} <= {nanny.pid for nanny in cluster.workers.values()}
        assert {niceness for _, niceness in sweep.results.values()} == {os.nice(0)}, (
            "a cluster's workers are left as they are"
        )
        until(
            lambda: not any(name.startswith("Client-") and "worker" not in name for name in cluster.scheduler.clients)
        )
        failing = Sweep(picky, [Wait(number) for number in range(4)], sweeps)
        finish(failing)
        assert len(failing.results) == len(failing.failures) == 2


class InBlocks(ThreadingBackend):
    """A backend that returns all at once, as Ray's does."""

    supports_return_generator = False


def test_a_backend_without_a_stream_gets_block_after_block(monkeypatch):
    joblib.register_parallel_backend("in_blocks", InBlocks)
    sweep = Sweep(square, [Wait(number, 0.05) for number in range(30)], Sweeps(Backend("in_blocks")))
    until(lambda: bool(sweep.results), sweep)
    finish(sweep)
    assert sweep.results == {task: task.number**2 for task in sweep.tasks}
