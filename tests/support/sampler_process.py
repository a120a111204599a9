"""The sampler as a process of its own, and a gateway's ear for what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kombu import Connection, Exchange, Queue

from shared.contracts.codec import decode
from shared.contracts.events import Sampled
from shared.contracts.samples import InstanceSample
from shared.platform.bus import topology
from tests.support.broker import OwnBroker, Vhost
from tests.support.daemons import ROOT
from tests.support.polling import wait_until

HOST = "h1"
PATIENCE_S = 15.0


class Reader:
    """A gateway's ear for the samples that a host publishes to its exchange."""

    def __init__(self, connection: Connection, exchange: str) -> None:
        queue = Queue(
            exchange=Exchange(exchange, type="topic", durable=True),
            routing_key=f"{HOST}.sampler.sample.v2",
            exclusive=True,
            auto_delete=True,
        )(connection.channel())
        queue.declare()
        self._queue = queue

    def next(self, *, within_s: float = PATIENCE_S) -> Sampled:
        message = wait_until(lambda: self._queue.get(no_ack=True), within_s=within_s, every_s=0.02)
        return decode(Sampled, message.body)

    def until(self, true_of: Callable[[Sampled], bool], *, within_s: float = PATIENCE_S) -> Sampled:
        """Return the first sample of which this is true."""
        sample = self.next()

        def newest_fits() -> bool:
            nonlocal sample
            fits = true_of(sample)
            sample = sample if fits else self.next()
            return fits

        wait_until(newest_fits, within_s=within_s, every_s=0, seen=lambda: sample)
        return sample

    def nothing(self, *, for_s: float) -> bool:
        """Drop what is there, and tell whether nothing more comes."""
        self._queue.purge()
        time.sleep(for_s)
        return self._queue.get(no_ack=True) is None


def sample_of(sample: Sampled, name: str) -> InstanceSample | None:
    """Return what a sample says of an instance; None: nothing."""
    return next((each for each in sample.instances if each.name == name), None)


@contextmanager
def reader_at(broker: Vhost | OwnBroker) -> Iterator[Reader]:
    """Listen at the broker from now on."""
    exchange = broker.host_exchange(HOST)
    topology.declare(broker.uri, [exchange])
    with Connection(broker.uri) as connection:
        yield Reader(connection, exchange)


class Sampler:
    """The process; `log` is what it wrote to standard error.

    `within` is a command that runs it, in other namespaces for example.
    """

    def __init__(self, uri: str, lxd: Path, state_dir: Path, within: Sequence[str] = ()) -> None:
        self._log = state_dir / "sampler.log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*within, sys.executable, "-m", "services.metrics"],
                cwd=ROOT,
                stderr=log,
                env={
                    **os.environ,
                    "FLEET_AMQP_URI": uri,
                    "FLEET_HOST": HOST,
                    "FLEET_LXD_SOCKET": str(lxd),
                    "FLEET_STATE_DIR": str(state_dir),
                    "FLEET_SAMPLE_INTERVAL_S": "1",
                },
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE_S)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
