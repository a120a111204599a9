"""Consoles over HTTP: the address that the API gives, and what happens when services die."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support.fleet import Fleet, Process
from tests.support.marked_process import new_mark, runs
from tests.support.polling import wait_until

ENDED, TRY_AGAIN_LATER = 1000, 1013


def way_to(fleet: Fleet, name: str, **query: str) -> dict[str, Any]:
    answer = fleet.http.get(f"/api/v1/vms/{name}/console", params=query).raise_for_status()
    assert answer.headers["cache-control"] == "no-store"
    data: dict[str, Any] = answer.json()["data"]
    return data


@pytest.fixture(scope="module")
def shell(fleet: Fleet) -> str:
    """The name of an instance that the gateway knows to run."""
    name = fleet.on["h1"].launch("shell")
    path = f"/api/v1/vms/{name}/console"
    wait_until(lambda: fleet.http.get(path).is_success, within_s=5)
    return name


def shown(socket: ClientConnection, text: bytes) -> bytes:
    """Return all up to the text, once it has come."""
    so_far = b""
    while text not in so_far:
        message = socket.recv(timeout=20)
        assert isinstance(message, bytes), message
        so_far += message
    return so_far


def last_words(socket: ClientConnection) -> tuple[dict[str, Any], int | None]:
    """Return the last text before the connection is closed, and the code that closes it."""
    words = ""
    with suppress(ConnectionClosed):
        while True:
            said = socket.recv(timeout=20)
            words = said if isinstance(said, str) else words
    return json.loads(words), socket.protocol.close_code


def opens(fleet: Fleet, name: str) -> bool:
    """Whether one can sit down; a worker that was just killed seems to be there for a while."""
    with connect(way_to(fleet, name)["url"]) as socket:
        return isinstance(socket.recv(timeout=20), bytes)


@contextmanager
def busy(fleet: Fleet, name: str) -> Iterator[tuple[ClientConnection, str]]:
    """Sit at a shell that has become a process with a mark; yield the mark, too."""
    wait_until(lambda: opens(fleet, name), within_s=20)
    mark = new_mark()
    with connect(way_to(fleet, name)["url"]) as socket:
        socket.send(b"exec sleep %s\n" % mark.encode())
        wait_until(lambda: runs(mark), within_s=10)
        yield socket, mark


def test_the_address_opens_a_shell_with_a_size_and_an_exit_status(fleet: Fleet, shell: str) -> None:
    way = way_to(fleet, shell)
    with connect(way["url"]) as socket:
        socket.send(json.dumps({"type": "resize", "columns": 132, "rows": 43}))
        socket.send(b"stty size\n")
        shown(socket, b"43 132")
        socket.send(b"exit 7\n")

        ended = last_words(socket)

    assert way["type"] == "exec"
    assert f"{way['host']}:{way['port']}" in way["url"]
    assert ended == ({"type": "end", "exit_status": 7}, ENDED)


def test_an_address_is_good_once_and_for_its_instance_only(fleet: Fleet, shell: str) -> None:
    used, foreign = way_to(fleet, shell)["url"], way_to(fleet, shell)["url"]
    with connect(used):
        pass

    for address in (used, foreign.replace("/console/vm-", "/console/vm-0")):
        with pytest.raises(InvalidStatus) as refused, connect(address):
            pass
        assert refused.value.response.status_code == 401


def test_a_stopped_instance_has_no_console(fleet: Fleet) -> None:
    name = fleet.on["h2"].create("stopped")
    path = f"/api/v1/vms/{name}/console"
    wait_until(lambda: fleet.http.get(path).status_code != 404, within_s=5)

    answer = fleet.http.get(path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VM_ALREADY_STOPPED")


def test_a_viewer_that_leaves_ends_its_process(fleet: Fleet, shell: str) -> None:
    with busy(fleet, shell) as (_, mark):
        pass

    wait_until(lambda: not runs(mark), within_s=10)


def test_a_gateway_that_is_killed_leaves_no_process_behind(fleet: Fleet, shell: str) -> None:
    with busy(fleet, shell) as (_, mark):
        fleet.processes["gateway"].restart()

        wait_until(lambda: not runs(mark), within_s=20)
    fleet.wait_until_ready()


def test_a_worker_that_is_killed_ends_the_console_and_its_process(fleet: Fleet, shell: str) -> None:
    with busy(fleet, shell) as (socket, mark):
        fleet.processes["worker-h1"].restart()

        words, code = last_words(socket)

    assert (words["type"], words["code"], code) == ("error", "stream_lost", TRY_AGAIN_LATER)
    wait_until(lambda: not runs(mark), within_s=10)
    fleet.wait_until_ready()


@contextmanager
def standing_still(process: Process) -> Iterator[None]:
    """Let a service hang for a while."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


@pytest.mark.slow
def test_a_worker_that_hangs_is_given_up(fleet: Fleet, shell: str) -> None:
    with busy(fleet, shell) as (socket, mark):
        with standing_still(fleet.processes["worker-h1"]):
            words, code = last_words(socket)

        wait_until(lambda: not runs(mark), within_s=20)
    assert (words["code"], code) == ("stream_lost", TRY_AGAIN_LATER)
    fleet.wait_until_ready()


@pytest.mark.slow
def test_a_gateway_that_hangs_leaves_no_process_behind(fleet: Fleet, shell: str) -> None:
    with (
        busy(fleet, shell) as (_, mark),
        standing_still(fleet.processes["gateway"]),
    ):
        wait_until(lambda: not runs(mark), within_s=30)
    fleet.wait_until_ready()
