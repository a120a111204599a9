"""LXD's and Incus's REST API over their unix socket, as far as set-up needs it.

Set-up has to work on a machine that has nothing yet, so it uses neither `lxc` nor a library.
"""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

OPERATION_TIMEOUT_S = 120
# Of one answer: a list of 10,000 instances has no more.
MOST_BYTES = 64 << 20


class LxdSaidNo(Exception):
    """LXD refused a request, or the operation that it started failed; `code` as in HTTP."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"LXD: {self.reason} ({self.code})"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("lxd", timeout=OPERATION_TIMEOUT_S + 10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def call(path_to_socket: Path, method: str, path: str, body: object = None) -> Any:
    """Send a request, wait for the operation it may start, and return its metadata.

    A body is sent as JSON, bytes as they are. Raises LxdSaidNo, and OSError where nobody answers,
    or with more than `MOST_BYTES`.
    """
    answer = _exchange(path_to_socket, method, path, body)
    if answer["type"] == "error":
        raise LxdSaidNo(answer["error_code"], answer["error"])
    if answer["type"] == "async":
        return _outcome(path_to_socket, answer["operation"])
    return answer["metadata"]


def exists(path_to_socket: Path, path: str) -> bool:
    """Tell whether a GET of this path finds something."""
    return bool(_exchange(path_to_socket, "GET", path, None)["type"] != "error")


def answers(path_to_socket: Path) -> bool:
    """Tell whether a daemon answers on the socket."""
    try:
        return exists(path_to_socket, "/1.0")
    except OSError:
        return False


def _outcome(path_to_socket: Path, operation: str) -> Any:
    waited = f"{operation}/wait?timeout={OPERATION_TIMEOUT_S}"
    try:
        outcome = call(path_to_socket, "GET", waited)
    except LxdSaidNo:
        # LXD since 5.15, and Incus before 6.12 and 6.0.5, answer to who waits for an operation that
        # fails, or goes on after the time-out, with the error.
        outcome = call(path_to_socket, "GET", operation)
    if outcome["status_code"] != http.client.OK:
        raise LxdSaidNo(outcome["status_code"], outcome["err"] or outcome["status"])
    return outcome["metadata"]


def _exchange(path_to_socket: Path, method: str, path: str, body: object) -> dict[str, Any]:
    if isinstance(body, bytes):
        data, kind = body, "application/octet-stream"
    else:
        data, kind = json.dumps(body).encode(), "application/json"
    connection = _UnixConnection(path_to_socket)
    try:
        connection.request(method, path, data, {"Content-Type": kind})
        read = connection.getresponse().read(MOST_BYTES + 1)
    finally:
        connection.close()
    if len(read) > MOST_BYTES:
        raise OSError(f"{path}: LXD answers with more than {MOST_BYTES} bytes")
    answer: dict[str, Any] = json.loads(read)
    return answer
