"""A client that sends whatever bytes a test wants, and reads answers as they come."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

CLOSED = b""
TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Answer:
    """One answer; its header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@contextmanager
def connected(port: int, address: str = "127.0.0.1") -> Iterator[socket.socket]:
    """Connect; what is not answered within ten seconds raises TimeoutError."""
    with socket.create_connection((address, port), timeout=TIMEOUT_S) as client:
        yield client


def said(client: socket.socket, sent: bytes = b"") -> bytes:
    """Send, and return all that is answered until the server closes or is silent for a second."""
    # The server may close before it has read all.
    with suppress(ConnectionError):
        client.sendall(sent)
    received = b""
    with suppress(ConnectionError, TimeoutError):
        while data := client.recv(2**16):
            received += data
            client.settimeout(1.0)
    client.settimeout(TIMEOUT_S)
    return received


def answer(client: socket.socket, sent: bytes = b"") -> Answer:
    """Send, and return the first answer."""
    head, _, body = said(client, sent).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(": ") for line in lines)
    headers = {name.lower(): value for name, _, value in fields}
    return Answer(int(first.split(" ")[1]), headers, body)
