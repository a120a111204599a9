"""A host that publishes as fast as it can, with its own credentials, in a process of its own.

`python -m tests.support.flood ADDRESS HOST KIND SECONDS [REPLY_TO]` writes frames straight to the
socket, hundreds at a time, each message a little different from the last one; at the end it prints
how many there were.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

from shared.contracts.codec import encode
from shared.contracts.events import OperationChanged
from shared.platform.bus import topology
from tests.support.builders import (
    a_change,
    a_heartbeat,
    a_sample_message,
    an_instance,
    an_operation,
)
from tests.support.caller import connect

# So that every number takes up the same room: a body is made by putting another one in.
FIRST = 10**9
CHANNEL = 1
FRAME_BYTES = 120_000
AT_ONCE_BYTES = 250_000


def events(host: str) -> list[tuple[str, bytes]]:
    """Return small events that change the view each time, and ask for it to be read anew."""
    change = encode(a_change(an_instance("zz-flood", revision=FIRST), sequence=FIRST))
    return [
        (f"{host}.worker.instance-changed", change),
        (f"{host}.worker.heartbeat", encode(a_heartbeat(sequence=FIRST))),
    ]


def samples(host: str) -> list[tuple[str, bytes]]:
    """Return a sample of 1 MB."""
    listed = [an_instance(f"zz-{number:05}") for number in range(2000)]
    sample = encode(a_sample_message(*listed, sequence=FIRST))
    return [(f"{host}.sampler.sample.v2", sample + b" " * (2**20 - len(sample)))]


def outcomes(host: str) -> list[tuple[str, bytes]]:
    """Return a new operation each time."""
    operation = an_operation(f"op-{FIRST}", host=host, sequence=FIRST)
    return [(f"{host}.worker.operation", encode(OperationChanged(operation=operation)))]


def answers(host: str, reply_to: str) -> list[tuple[str, bytes]]:
    """Return an answer that nobody awaits."""
    return [(reply_to, b'{"result": %d, "error": null}' % FIRST)]


def unrouted(host: str) -> list[tuple[str, bytes]]:
    """Return small events that no queue takes: what is left is the broker's own work."""
    return [(f"{host}.worker.nothing", body) for _, body in events(host)]


KINDS: dict[str, Callable[..., list[tuple[str, bytes]]]] = {
    "events": events,
    "samples": samples,
    "outcomes": outcomes,
    "answers": answers,
    "unrouted": unrouted,
}


def flood(uri: str, host: str, kind: str, seconds: float, *more: str) -> int:
    """Publish for so long; return how many messages the broker was given."""
    connection = connect(uri)
    connection.channel(CHANNEL)
    # py-amqp's options end a connection whose other end does not read for a second.
    connection.transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000)
    connection.transport.sock.settimeout(60)
    messages = KINDS[kind](host, *more)
    exchange = topology.host_exchange(host, topology.password_of(uri))
    end, sent = time.monotonic() + seconds, 0
    numbers = itertools.count(FIRST)
    while time.monotonic() < end:
        batch = bytearray()
        while len(batch) < AT_ONCE_BYTES:
            number = str(next(numbers)).encode()
            for key, body in messages:
                batch += frames(exchange, key, body.replace(str(FIRST).encode(), number))
                sent += 1
        write(connection, bytes(batch))
    return sent


def write(connection: Any, data: bytes) -> None:
    """Write, and wait for a broker that holds its publishers up."""
    connection.transport.sock.sendall(data)


def frames(exchange: str, key: str, body: bytes) -> bytes:
    """Return a message as it stands on the wire, persistent and with a wrong correlation id."""
    publish = struct.pack(">HHH", 60, 40, 0) + _short(exchange) + _short(key) + b"\x00"
    header = struct.pack(">HHQH", 60, 0, len(body), 0x1400) + b"\x02" + _short("nobodys")
    bodies = [body[at : at + FRAME_BYTES] for at in range(0, len(body), FRAME_BYTES)]
    return b"".join([_frame(1, publish), _frame(2, header), *(_frame(3, part) for part in bodies)])


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, CHANNEL, len(payload)) + payload + b"\xce"


if __name__ == "__main__":
    os.nice(19)
    address, flooding, what, how_long, *others = sys.argv[1:]
    sys.stdout.write(str(flood(address, flooding, what, float(how_long), *others)))
