"""A running app for tests and benchmarks, and a viewer that speaks its websocket protocol as a browser does."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def serve() -> Iterator[int]:
    """Start the app on a free port, yield the port, and end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", f"--server.port={port}"]
    command += ["--server.headless=true", "--server.address=127.0.0.1"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with {process.returncode}")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).read()
                break
            except OSError:
                time.sleep(0.2)
        else:
            raise RuntimeError("the server did not start")
        yield port
    finally:
        process.terminate()
        process.wait(60)


def process_of(port: int) -> Path:
    """The folder in /proc of the process that listens on the port."""
    wanted = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                wanted.add(f"socket:[{fields[9]}]")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted & {os.readlink(link) for link in (folder / "fd").iterdir()}:
                return folder
        except OSError:
            continue
    raise LookupError(f"nobody listens on port {port}")


def resident_memory(process: Path) -> float:
    """Resident memory in MB."""
    found = re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def cpu_seconds(process: Path) -> float:
    """Processor time used so far, user and system."""
    user, system = (process / "stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Viewer:
    """One open page, without a browser: widgets by id, metrics by label, errors."""

    def __init__(self, port: int, lesson: str, query: str = "lang=en"):
        self.address = f"ws://127.0.0.1:{port}/_stcore/stream"
        self.lesson, self.query = lesson, query
        self.widgets: dict[str, str] = {}  # id → the fragment that it stands in
        self.metrics: dict[str, str] = {}
        self.state: dict[str, WidgetState] = {}
        self.timers: dict[str, asyncio.Task] = {}
        self.errors: list[str] = []
        self.charts = 0
        self.counts: list[tuple[float, int]] = []  # when the page told a number of steps, and which
        self.page = ""
        self.idle = asyncio.Event()

    async def __aenter__(self) -> Viewer:
        self.socket = await websockets.connect(self.address, subprotocols=["streamlit"], max_size=None)
        self.reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_) -> None:
        for timer in self.timers.values():
            timer.cancel()
        self.reader.cancel()
        await self.socket.close()

    async def _read(self) -> None:
        try:
            async for raw in self.socket:
                if isinstance(raw, bytes):
                    message = ForwardMsg()
                    message.ParseFromString(raw)
                    self._take(message)
            self.errors.append("the connection was closed")
        except Exception as error:
            self.errors.append(f"reading failed: {error!r}")
            raise
        finally:
            self.idle.set()  # a reader that ends silently would look like a server that hangs

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.page = message.new_session.page_script_hash
            if not message.metadata.run.fragment_ids:  # a full run: the browser forgets its timers
                for timer in self.timers.values():
                    timer.cancel()
                self.timers.clear()
        elif kind == "navigation":
            self.page = message.navigation.page_script_hash
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            self._element(message)
        elif kind == "auto_rerun":
            tick = message.auto_rerun
            if tick.fragment_id in self.timers:
                self.timers[tick.fragment_id].cancel()
            self.timers[tick.fragment_id] = asyncio.create_task(self._tick(tick.interval, tick.fragment_id))
        elif kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
            self.idle.set()

    def _element(self, message: ForwardMsg) -> None:
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        proto = getattr(element, kind) if kind else None
        if kind == "exception":
            self.errors.append(f"{proto.type}: {proto.message}")
        elif kind == "metric":
            self.metrics[proto.label] = proto.body
            if proto.label == "Step":
                self.counts.append((time.perf_counter(), self.steps))
        elif kind == "vega_lite_chart":
            self.charts += 1
        if proto is not None and "id" in proto.DESCRIPTOR.fields_by_name and proto.id:
            self.widgets[proto.id] = message.delta.fragment_id

    async def _tick(self, interval: float, fragment: str) -> None:
        while True:
            await asyncio.sleep(interval)
            await self._send(fragment=fragment, auto=True)

    async def _send(self, trigger: str = "", fragment: str = "", auto: bool = False, page: str | None = None) -> None:
        message = BackMsg()
        rerun = message.rerun_script
        rerun.query_string, rerun.page_script_hash = self.query, self.page
        if page is not None:
            rerun.page_name, rerun.page_script_hash = page, ""
        rerun.widget_states.widgets.extend(self.state.values())
        if trigger:
            widget = rerun.widget_states.widgets.add()
            widget.id, widget.trigger_value = trigger, True
        rerun.fragment_id, rerun.is_auto_rerun = fragment, auto
        if not auto:
            self.idle.clear()
        await self.socket.send(message.SerializeToString())

    def _find(self, key: str) -> str:
        for name in self.widgets:
            if name.endswith(f"-{key}"):
                return name
        raise LookupError(f"no {key} among {len(self.widgets)} widgets; {self.errors or 'no errors'}")

    async def open(self) -> float:
        """Open the page; seconds until it has been drawn."""
        began = time.perf_counter()
        await self._send(page=self.lesson)
        await asyncio.wait_for(self.idle.wait(), 120)
        return time.perf_counter() - began

    async def press(self, key: str) -> float:
        """Press a button; seconds until the page has been drawn anew."""
        began, name = time.perf_counter(), self._find(key)
        await self._send(trigger=name, fragment=self.widgets[name])
        await asyncio.wait_for(self.idle.wait(), 120)
        return time.perf_counter() - began

    async def slide(self, key: str, value: float) -> float:
        """Move a slider; seconds until the page has been drawn anew."""
        name = self._find(key)
        state = WidgetState(id=name)
        state.double_array_value.data.append(float(value))
        self.state[name] = state
        began = time.perf_counter()
        await self._send(fragment=self.widgets[name])
        await asyncio.wait_for(self.idle.wait(), 120)
        return time.perf_counter() - began

    @property
    def steps(self) -> int:
        return int(re.sub(r"\D", "", self.metrics.get("Step", "")) or 0)

    def pace(self, since: float) -> float:
        """Steps per second from the number of steps that the page showed at the moment `since` to the newest that it told."""
        began, steps = max(count for count in self.counts if count[0] <= since)
        ended, more = self.counts[-1]
        return (more - steps) / (ended - began)
