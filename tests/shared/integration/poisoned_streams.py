"""Opens streams of a host's, one after the other, and poisons each; says how many there were.

A process of its own, as the worker's library has to make the sockets green.
"""

from shared.platform.run.eventlet_patch import patch

patch()

import sys  # noqa: E402 - the process must be green before anything else is imported
from threading import Event  # noqa: E402
from typing import Any  # noqa: E402
from uuid import uuid4  # noqa: E402

from services.lxd_worker.console_stream import HostStreams  # noqa: E402
from shared.platform.bus import topology  # noqa: E402
from tests.support.caller import connect  # noqa: E402
from tests.support.raw_message import POISON, poison  # noqa: E402

HOST = "h1"


def main(host_uri: str, central_uri: str) -> None:
    """Open more streams than a host may have open at once."""
    streams = HostStreams(host_uri, HOST)
    with connect(central_uri) as connection:
        channel = connection.channel()
        for _ in range(topology.MOST_STREAMS + 1):
            open_poison_and_close(streams, channel, uuid4().hex)
            print("opened")


def open_poison_and_close(streams: HostStreams, channel: Any, name: str) -> None:
    """Let what cannot be decoded come into a stream, and close it."""
    queue, key = topology.stream_queue(HOST, name), topology.stream_key_to(HOST, name)
    channel.queue_declare(queue, auto_delete=True)
    channel.queue_bind(queue, topology.STREAMS_IN.name, key)
    lost = Event()
    stream = streams(name, lost.set)
    # The first one ends the listening, the others are there when the connection is closed.
    for each in POISON:
        channel.basic_publish(poison(each, b""), topology.STREAMS_IN.name, key)
    assert lost.wait(timeout=10)
    stream.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
