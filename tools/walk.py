"""Prints the way of a start through the code: `python -m tools.walk`, or `make walk`.

A gateway and a worker run as two processes over a real broker, the worker on a double of LXD. One
instance is started through HTTP. Each module of the product counts of which a function is entered
from the request until its outcome is in the database and its event is taken in, which is a little
after the answer; what the two processes enter while nothing is asked of them is left out, function
by function, and so is what only some of several starts enter. One start is made before, so that
nothing is there for the first time.

Control changes file when the next function that is entered, of either process, stands in another
one. Counted once each, functions are taken in the order of their first entry: this does not grow
with the number of fields that are read or of rounds that something is waited for.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import httpx

from deploy.local import processes
from deploy.local.services import loopback_binds, url
from shared.platform.bus import topology
from tests.lxd_double import DoubledInstance, LxdDouble
from tests.support.broker import Vhost, fresh_vhost, shared_broker
from tools.entered import ROOT

HOST = "h1"
FIRST, COUNTED = "first", ("second", "third", "fourth")
START_TIMEOUT_S = 180.0
# Long enough for every loop of the gateway to come round.
IDLE_S = 8.0
# The answer is there before the outcome is in the database; the host is saved within 3 s.
SETTLED_S = 4.0
# As rarely as it can be told.
QUIET = {"FLEET_HEARTBEAT_S": "60", "FLEET_INVENTORY_S": "3600"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A function that was entered; `at` in nanoseconds."""

    at: int
    process: str
    file: str
    function: str


@dataclass(frozen=True, slots=True)
class Walk:
    """What was entered, in order."""

    entries: list[Entry]

    @property
    def files(self) -> list[str]:
        """The files, by first entry."""
        return list(dict.fromkeys(entry.file for entry in self.entries))

    @property
    def changes(self) -> int:
        """How often control changes file."""
        return sum(one.file != other.file for one, other in pairwise(self.entries))

    @property
    def once(self) -> Walk:
        """The first entry of each function."""
        first = {_function(entry): entry for entry in reversed(self.entries)}
        return Walk(sorted(first.values(), key=lambda entry: entry.at))

    @property
    def functions(self) -> set[tuple[str, str, str]]:
        """The functions, with their processes and files."""
        return set(map(_function, self.entries))

    @property
    def figures(self) -> str:
        """How long it is."""
        return (
            f"{len(self.files)} files, {self.once.changes} changes of file over "
            f"{len(self.once.entries)} functions; {self.changes} over {len(self.entries)} calls"
        )

    def of(self, process: str) -> Walk:
        """Return one process's part of it."""
        return Walk([entry for entry in self.entries if entry.process == process])

    def until(self, moment: int) -> Walk:
        """Return the part of it before a moment."""
        return Walk([entry for entry in self.entries if entry.at < moment])


@dataclass(frozen=True, slots=True)
class Bench:
    """The two services, and where they write what they enter."""

    http: httpx.Client
    records: Path

    def wait_for(self, true: Callable[[], bool]) -> None:
        """Return when it is true; raise TimeoutError with the services' logs."""
        if not processes.wait_until(true, timeout_s=START_TIMEOUT_S):
            logs = (file.read_text()[-2000:] for file in sorted(self.records.glob("*.log")))
            raise TimeoutError("\n".join(logs))

    def start(self, name: str) -> None:
        """Start an instance."""
        self.http.post(f"/api/instances/{name}/start").raise_for_status()

    def entries(self) -> Iterator[Entry]:
        """Yield all that was entered so far."""
        for file in self.records.glob("*.entered"):
            for line in file.read_text().splitlines():
                at, path, function = line.split("\t")
                yield Entry(int(at), file.stem, path, function)


def walk() -> tuple[Walk, int]:
    """Start an instance; return what was entered, and when the answer came."""
    with (
        tempfile.TemporaryDirectory() as directory,
        LxdDouble(Path(directory, "lxd.socket")) as lxd,
        shared_broker() as broker,
        fresh_vhost(broker) as vhost,
    ):
        lxd.add_all([DoubledInstance(name) for name in (FIRST, *COUNTED)])
        with bench(vhost, lxd.socket, Path(directory)) as services:
            return _measured(services)


def _measured(services: Bench) -> tuple[Walk, int]:
    services.wait_for(lambda: _is_listed(services.http))
    services.start(FIRST)
    time.sleep(SETTLED_S)
    rests = time.monotonic_ns()
    time.sleep(IDLE_S)
    begins = [time.monotonic_ns()]
    for name in COUNTED:
        services.start(name)
        answered = time.monotonic_ns()
        time.sleep(SETTLED_S)
        begins.append(time.monotonic_ns())
    entries = sorted(services.entries(), key=lambda entry: entry.at)
    idle = within(entries, rests, begins[0])
    starts = [within(entries, *span) for span in pairwise(begins)]
    return common(starts, idle), answered


def within(entries: list[Entry], begins: int, ends: int) -> Walk:
    """Return what was entered meanwhile."""
    return Walk([entry for entry in entries if begins <= entry.at < ends])


def common(starts: list[Walk], idle: Walk) -> Walk:
    """Return the last of some starts, with the functions that all enter, and that rest without."""
    functions = set.intersection(*(start.functions for start in starts)) - idle.functions
    return Walk([entry for entry in starts[-1].entries if _function(entry) in functions])


def _function(entry: Entry) -> tuple[str, str, str]:
    return entry.process, entry.file, entry.function


@contextmanager
def bench(vhost: Vhost, socket: Path, directory: Path) -> Iterator[Bench]:
    """Run the two services."""
    topology.declare(vhost.uri)
    binds = loopback_binds(processes.free_port(), ipv6=False)
    gateway = {"FLEET_AMQP_URI": vhost.uri, "FLEET_HTTP_BIND": binds}
    worker = {
        "FLEET_AMQP_URI": vhost.host_uri(HOST),
        "FLEET_HOST": HOST,
        "FLEET_LXD_SOCKET": str(socket),
        **QUIET,
    }
    with (
        _running("gateway", "services.gateway", gateway, directory),
        _running("worker", "services.lxd_worker", worker, directory),
        httpx.Client(base_url=url(binds), timeout=60) as http,
    ):
        yield Bench(http, directory)


@contextmanager
def _running(name: str, module: str, env: dict[str, str], directory: Path) -> Iterator[None]:
    state = directory / name
    state.mkdir(mode=0o700)
    command = [sys.executable, "-m", "tools.entered", str(directory / f"{name}.entered"), module]
    with (directory / f"{name}.log").open("w") as log:
        settings = {**env, "FLEET_STATE_DIR": str(state)}
        process = subprocess.Popen(command, cwd=ROOT, env=settings, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _is_listed(http: httpx.Client) -> bool:
    try:
        answer = http.get("/api/instances")
    except httpx.TransportError:
        return False
    return answer.is_success and len(answer.json()) == 1 + len(COUNTED)


def report(walked: Walk, answered: int) -> Iterator[str]:
    """Describe a walk: its figures, then its files in the order in which they are entered."""
    gateway, worker = walked.of("gateway"), walked.of("worker")
    yield f"the whole way: {walked.figures}"
    yield f"until the answer: {walked.until(answered).figures}"
    yield f"in the gateway: {gateway.figures}"
    yield f"in the worker: {worker.figures}"
    yield f"files that both enter: {len(set(gateway.files) & set(worker.files))}"
    for number, file in enumerate(walked.files, 1):
        first = next(entry for entry in walked.entries if entry.file == file)
        late = "" if first.at < answered else " (after the answer)"
        yield f"{number:4} {first.process:8} {file}: {first.function}{late}"


def main() -> None:
    """Print the report."""
    for line in report(*walk()):
        print(line)


if __name__ == "__main__":
    main()
