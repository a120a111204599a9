from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import amqp
import pytest

from shared.platform.bus import topology
from tests.support.broker import Broker, Vhost, fresh_vhost
from tests.support.caller import Caller
from tests.support.polling import wait_until

SCRIPT = Path(__file__).with_name("echo_worker.py")


class EchoWorker:
    """A running echo_worker.py; its output goes to a file that the test can read at any time.

    One that several tests share forgets its output before each.
    """

    def __init__(self, host: str, uri: str, output: Path) -> None:
        self.host = host
        self._output = output
        self._forgotten = 0
        with output.open("a") as file:
            self.process = subprocess.Popen(
                [sys.executable, str(SCRIPT), host],
                env={**os.environ, "FLEET_AMQP_URI": uri, "PYTHONPATH": "."},
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()[self._forgotten :]

    def forget_output(self) -> None:
        self._forgotten += len(self.output)

    def wait_until_it_answers(self, caller: Caller, timeout_s: float = 10.0) -> None:
        # No queue, or one that went with the connection of the worker and the call in it.
        wait_until(
            lambda: caller.call(self.host, "echo", "ready?", timeout_s=2.0),
            within_s=timeout_s,
            ignoring=(amqp.ChannelError, TimeoutError),
            seen=lambda: self.output,
        )

    def wait_for_output(self, text: str, *, times: int = 1, timeout_s: float = 10.0) -> None:
        wait_until(
            lambda: self.output.count(text) >= times,
            within_s=timeout_s,
            seen=lambda: self.output,
        )

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


StartWorker = Callable[[str, str], EchoWorker]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    started: list[EchoWorker] = []

    def start(host: str, uri: str) -> EchoWorker:
        worker = EchoWorker(host, uri, tmp_path / f"{host}-{len(started)}.log")
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.end()


@contextmanager
def running_worker(host: str, uri: str, output: Path) -> Iterator[EchoWorker]:
    worker = EchoWorker(host, uri, output)
    try:
        yield worker
    finally:
        worker.end()


@pytest.fixture
def declared(vhost: Vhost) -> Vhost:
    """A virtual host with the fleet's topology; a module may have one for all its tests."""
    topology.declare(vhost.uri)
    return vhost


@contextmanager
def declared_vhost(broker: Broker) -> Iterator[Vhost]:
    """Make a virtual host with the fleet's topology; remove it afterwards."""
    with fresh_vhost(broker) as vhost:
        topology.declare(vhost.uri)
        yield vhost


@pytest.fixture
def gateway(declared: Vhost) -> Iterator[Caller]:
    with Caller(declared.uri, declared.host_exchange) as caller:
        yield caller
