"""A worker with next to nothing in it: `python echo_worker.py HOST`, address in FLEET_AMQP_URI.

Prints a line for each call it serves, so that a test can count them.
"""

from shared.platform.run.eventlet_patch import patch

patch()

import contextlib  # noqa: E402
import itertools  # noqa: E402
import os  # noqa: E402 - the process must be green before anything else is imported
import sys  # noqa: E402

import eventlet  # noqa: E402
from nameko.extensions import DependencyProvider  # noqa: E402

from shared.contracts.errors import BrokerUnavailable, HostBusy  # noqa: E402
from shared.contracts.events import Heartbeat  # noqa: E402
from shared.platform import logs  # noqa: E402
from shared.platform.bus.publisher import EventPublisher  # noqa: E402
from shared.platform.bus.rpc import Correlation, HostRpcConsumer, host_rpc  # noqa: E402
from shared.platform.run.runner import serve  # noqa: E402


class Beats(DependencyProvider):
    """Publishes heartbeats, which tell whether the worker misses its queue."""

    rpc_consumer = HostRpcConsumer()

    def start(self) -> None:
        eventlet.spawn(self._beat)

    def _beat(self) -> None:
        for number in itertools.count(1):
            heartbeat = Heartbeat(
                epoch=1,
                sequence=number,
                clock="0",
                lxd_connected=True,
                interval_s=0.2,
                calls_queue=self.rpc_consumer.missing_queue,
            )
            with contextlib.suppress(BrokerUnavailable):
                publisher.publish(heartbeat)
            eventlet.sleep(0.2)


class EchoWorker:
    name = f"lxd_worker.{sys.argv[1]}"
    correlation = Correlation()
    beats = Beats()

    @host_rpc
    def echo(self, value: object) -> object:
        print(f"served {value} for {logs.correlation_id.get()}", flush=True)
        return value

    @host_rpc
    def refuse(self) -> None:
        raise HostBusy("h1")

    @host_rpc
    def slow(self, seconds: float) -> float:
        print("slow begun", flush=True)
        eventlet.sleep(seconds)
        return seconds


if __name__ == "__main__":
    logs.set_up("echo", "info")
    uri = os.environ["FLEET_AMQP_URI"]
    publisher = EventPublisher(uri, sys.argv[1])
    publisher.on_connected.append(lambda: print("publisher connected", flush=True))
    publisher.start()
    serve(EchoWorker, uri)
    publisher.stop()
    print("ended", flush=True)
