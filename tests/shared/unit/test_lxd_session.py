"""HTTP over a unix socket: how many connections it takes, and what becomes of a lost one."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from pylxd.exceptions import ClientConnectionFailed

from shared.lxd.errors import AnswerTooLong
from shared.lxd.session import MOST_ERROR_BYTES, lxd_client, lxd_session

MOST_BYTES = 1 << 20


class Server(socketserver.ThreadingUnixStreamServer):
    """Answers with the path that was asked for; `connections` is how many were made.

    It closes each connection after `closes_after` answers. `bodies`: what paths are answered with.
    """

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.connections = 0
        self.closes_after = 1000
        self.status = 200
        self.bodies: dict[str, str] = {}
        self.closed = threading.Event()
        super().__init__(str(path), Handler)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.closed.set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        self.server.connections += 1
        self.answered = 0
        super().setup()

    def do_GET(self) -> None:
        self.answered += 1
        self.close_connection = self.answered >= self.server.closes_after
        body = self.server.bodies.get(self.path, self.path).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(body)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "unix.socket") as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


def asked(session: requests.Session, server: Server, path: str) -> str:
    return session.get(f"http+unix://{quote(str(server.server_address), safe='')}{path}").text


def test_requests_for_different_things_share_a_connection(server: Server) -> None:
    paths = ["/1.0", "/1.0/instances?recursion=1", "/1.0/instances/web%20site"]

    with lxd_session(str(server.server_address), MOST_BYTES) as session:
        told = [asked(session, server, path) for path in paths]

    assert told == paths
    assert server.connections == 1


def test_a_connection_that_was_closed_is_made_anew(server: Server) -> None:
    server.closes_after = 1

    with lxd_session(str(server.server_address), MOST_BYTES) as session:
        first = asked(session, server, "/1.0")
        assert server.closed.wait(timeout=5)
        second = asked(session, server, "/1.0")

    assert [first, second] == ["/1.0"] * 2
    assert server.connections == 2


def test_without_a_server_it_is_a_connection_error(tmp_path: Path) -> None:
    with (
        lxd_session(str(tmp_path / "nobody"), MOST_BYTES) as session,
        pytest.raises(requests.ConnectionError),
    ):
        session.get("http+unix://lxd/1.0")


@pytest.mark.attack
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_of_no_answer_more_is_read_than_its_bound(server: Server, method: str) -> None:
    server.bodies["/1.0"] = "x" * (MOST_BYTES + 1)

    with lxd_session(str(server.server_address), MOST_BYTES) as session:
        with pytest.raises(AnswerTooLong):
            session.request(method, "http+unix://lxd/1.0")
        told = asked(session, server, "/1.0/instances")

    assert told == "/1.0/instances"


def test_an_answer_as_long_as_its_bound_is_read(server: Server) -> None:
    server.bodies["/1.0"] = "x" * MOST_BYTES

    with lxd_session(str(server.server_address), MOST_BYTES) as session:
        assert len(asked(session, server, "/1.0")) == MOST_BYTES


@pytest.mark.attack
def test_of_an_error_the_beginning_is_read(server: Server) -> None:
    server.status, server.bodies["/1.0"] = 400, "x" * MOST_BYTES

    with lxd_session(str(server.server_address), MOST_BYTES) as session:
        refused = session.get("http+unix://lxd/1.0")

    assert (refused.status_code, len(refused.content)) == (400, MOST_ERROR_BYTES)


@pytest.mark.attack
@pytest.mark.parametrize("body", ["[" * 100_000, "5", "[]", '{"type": "sync"}', "no JSON"])
def test_whoever_does_not_answer_as_lxd_is_none(server: Server, body: str) -> None:
    server.bodies["/1.0"] = body

    with pytest.raises(ClientConnectionFailed):
        lxd_client(str(server.server_address), 5.0, MOST_BYTES)
