"""Requests to the LXD or Incus at a socket, as set-up makes them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from shared.contracts.errors import FleetError
from shared.lxd.client import LxdClient
from shared.lxd.errors import LxdNotFound

# Starting an instance or importing an image on a slow machine.
OPERATION_TIMEOUT_S = 120

# What `call` raises where LXD does not answer, refuses a request, or its operation fails.
ERRORS = (FleetError, LxdNotFound)


def call(path_to_socket: Path, method: str, path: str, body: object = None) -> Any:
    """Send a request, wait for the operation it may start, and return its metadata.

    See `LxdClient.call` for what it raises.
    """
    return _client(path_to_socket).call(method, path, body, OPERATION_TIMEOUT_S)


def exists(path_to_socket: Path, path: str) -> bool:
    """Tell whether a GET of this path finds something."""
    try:
        call(path_to_socket, "GET", path)
    except LxdNotFound:
        return False
    return True


def answers(path_to_socket: Path) -> bool:
    """Tell whether a daemon answers on the socket."""
    try:
        return exists(path_to_socket, "/1.0")
    except FleetError:
        return False


@cache
def _client(path_to_socket: Path) -> LxdClient:
    return LxdClient(path_to_socket)
