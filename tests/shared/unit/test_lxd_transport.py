"""Requests over a unix socket: how many connections they take, and what is not a whole answer."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from shared.lxd.errors import AnswerTooLong
from shared.lxd.transport import MOST_ERROR_BYTES, LxdResponse, LxdTransport

MOST_BYTES = 1 << 20
HEAD = b"HTTP/1.1 200 OK\r\n"


def sized(body: bytes, head: bytes = HEAD) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(*parts: bytes) -> bytes:
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n"


class Daemon:
    """Answers one request after another with `answers`; after an `end` it hangs up.

    `requests` are what it was asked, `connections` how often it was connected to.
    """

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.answers: list[bytes] = []
        self.ends = False
        self.requests: list[bytes] = []
        self.connections = 0
        self.hung_up = threading.Event()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self.path)
        self._listening.listen()

    def serve(self) -> None:
        while self._accept():
            pass

    def close(self) -> None:
        # Closing alone does not wake whoever accepts.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> bool:
        try:
            connection, _ = self._listening.accept()
        except OSError:
            return False
        self.connections += 1
        with connection, suppress(ConnectionError):
            while self.answers and (request := _read_request(connection)):
                self.requests.append(request)
                connection.sendall(self.answers.pop(0))
                if self.ends:
                    break
        self.hung_up.set()
        return True


def _read_request(connection: socket.socket) -> bytes:
    read = b""
    while not _is_whole(read):
        piece = connection.recv(65536)
        if not piece:
            return b""
        read += piece
    return read


def _is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)^content-length: (\d+)", head, re.MULTILINE)
    return bool(end) and len(body) >= int(length[1] if length else 0)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path / "unix.socket")
    thread = threading.Thread(target=daemon.serve)
    thread.start()
    yield daemon
    daemon.close()
    thread.join(timeout=5)


Ask = Callable[[], LxdResponse]


@pytest.fixture
def ask(daemon: Daemon) -> Ask:
    transport = LxdTransport(daemon.path, MOST_BYTES)

    return lambda: transport.request("GET", "/1.0", {}, None, (5.0, 5.0))


def test_requests_share_a_connection(daemon: Daemon, ask: Ask) -> None:
    daemon.answers = [sized(b"one"), chunked(b"t", b"wo"), sized(b""), sized(b"four")]

    told = [ask().content for _ in range(4)]

    assert told == [b"one", b"two", b"", b"four"]
    assert daemon.connections == 1


def test_a_connection_that_was_closed_meanwhile_is_made_anew(daemon: Daemon, ask: Ask) -> None:
    daemon.answers, daemon.ends = [sized(b"one"), sized(b"two")], True

    first = ask().content
    assert daemon.hung_up.wait(timeout=5)
    second = ask().content

    assert [first, second] == [b"one", b"two"]
    assert daemon.connections == 2


def test_a_body_and_headers_are_sent(daemon: Daemon) -> None:
    daemon.answers = [sized(b"ok")]

    LxdTransport(daemon.path, MOST_BYTES).request(
        "PUT", "/1.0/x", {"If-Match": "etag"}, b'{"a": 1}', (5.0, 5.0)
    )

    (request,) = daemon.requests
    assert request.startswith(b"PUT /1.0/x HTTP/1.1\r\n")
    assert b"If-Match: etag\r\n" in request
    assert request.endswith(b'\r\n\r\n{"a": 1}')


def test_a_request_that_is_not_answered_is_not_sent_again(daemon: Daemon, ask: Ask) -> None:
    daemon.answers = [b"", sized(b"two")]
    daemon.ends = True

    with pytest.raises(ConnectionResetError):
        ask()

    assert len(daemon.requests) == 1


def test_without_a_daemon_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LxdTransport(str(tmp_path / "nobody"), MOST_BYTES).request("GET", "/", {}, None, (5.0, 5.0))


@pytest.mark.attack
@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 10\r\n\r\nshort",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\nshort",
        HEAD + b"X: " + b"x" * (1 << 20) + b"\r\n\r\n",
        HEAD + b"X: y\r\n" * 1000 + b"\r\n",
        b"no HTTP\r\n\r\n",
    ],
)
def test_what_is_not_a_whole_answer_is_none(daemon: Daemon, ask: Ask, answer: bytes) -> None:
    daemon.answers, daemon.ends = [answer, sized(b"two")], True

    with pytest.raises((OSError, HTTPException)):
        ask()

    assert ask().content == b"two"


@pytest.mark.attack
@pytest.mark.parametrize("answer", [sized, chunked])
def test_of_no_answer_more_is_read_than_its_bound(
    daemon: Daemon, ask: Ask, answer: Callable[[bytes], bytes]
) -> None:
    daemon.answers = [answer(b"x" * MOST_BYTES), answer(b"x" * (MOST_BYTES + 1)), sized(b"two")]

    assert len(ask().content) == MOST_BYTES
    with pytest.raises(AnswerTooLong):
        ask()
    assert ask().content == b"two"


@pytest.mark.attack
def test_of_an_error_the_beginning_is_read(daemon: Daemon, ask: Ask) -> None:
    refusal = sized(b"x" * MOST_BYTES, b"HTTP/1.1 400 Bad Request\r\n")
    daemon.answers = [refusal, sized(b"two")]

    refused = ask()

    assert (refused.status, len(refused.content)) == (400, MOST_ERROR_BYTES)
    assert ask().content == b"two"
