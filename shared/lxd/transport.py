"""HTTP over LXD's unix socket: one request and its whole answer, on connections that are kept.

This is the standard library's client and nothing else, since a request through requests takes the
worker three times as much CPU, which it then lacks for whoever waits.
"""

from __future__ import annotations

import http.client
import socket
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from shared.lxd.errors import AnswerTooLong

# More at once make connections that are not kept.
_KEPT = 32
# LXD says in it why it refuses, sometimes in the words of a program that it has run.
MOST_ERROR_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class LxdResponse:
    """An answer; `headers` are found by their names in any case."""

    status: int
    headers: http.client.HTTPMessage
    content: bytes

    @property
    def ok(self) -> bool:
        """Whether it is no error."""
        return self.status < HTTPStatus.BAD_REQUEST


class LxdTransport:
    """Sends requests to the socket at `path`; many may be under way at once."""

    def __init__(self, path: str, most_bytes: int) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._kept: deque[http.client.HTTPConnection] = deque()
        weakref.finalize(self, _close_all, self._kept)

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: tuple[float, float],
    ) -> LxdResponse:
        """Return the answer to a request.

        `timeout` is how many seconds connecting, and then each part of the answer, may take. An
        error is cut; any other answer of more than `most_bytes` raises AnswerTooLong. Raises
        OSError and HTTPException if there is no whole answer; the request is never repeated.
        """
        connection = self._connection(timeout)
        try:
            connection.request(method, target, body, dict(headers))
            answer = connection.getresponse()
            response = self._read(answer)
        except BaseException:
            connection.close()
            raise
        # It is closed already if LXD has said that it will not go on.
        may_go_on = connection.sock is not None and answer.isclosed()
        if may_go_on and len(self._kept) < _KEPT:
            self._kept.append(connection)
        else:
            connection.close()
        return response

    def _connection(self, timeout: tuple[float, float]) -> http.client.HTTPConnection:
        connect_s, answer_s = timeout
        while self._kept:
            connection = self._kept.pop()
            if _is_open(connection.sock):
                connection.sock.settimeout(answer_s)
                return connection
            connection.close()
        connection = http.client.HTTPConnection("lxd")
        connection.sock = _connected(self._path, connect_s)
        connection.sock.settimeout(answer_s)
        return connection

    def _read(self, response: http.client.HTTPResponse) -> LxdResponse:
        """Read an answer; of an error that is cut a part is left, and it is not closed."""
        is_error = response.status >= HTTPStatus.BAD_REQUEST
        most = MOST_ERROR_BYTES if is_error else self._most_bytes
        content = response.read(most + 1)
        if len(content) > most:
            if not is_error:
                raise AnswerTooLong(f"more than {most} bytes")
            content = content[:most]
        elif response.length:
            raise http.client.IncompleteRead(content, response.length)
        return LxdResponse(response.status, response.headers, content)


def _close_all(kept: deque[http.client.HTTPConnection]) -> None:
    while kept:
        kept.pop().close()


def _connected(path: str, timeout_s: float) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX)
    try:
        connected.settimeout(timeout_s)
        connected.connect(path)
    except BaseException:
        connected.close()
        raise
    return connected


def _is_open(kept: socket.socket) -> bool:
    """Whether nothing has come since the last answer, not even an end."""
    kept.setblocking(False)
    try:
        kept.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
