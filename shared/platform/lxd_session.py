"""HTTP over LXD's unix socket, for pylxd: all requests share connections, whatever they are for.

pylxd's own session keeps one connection for each address with its query, so that most requests make
one anew, and warns of each that it cannot keep.
"""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import quote

import pylxd
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection

# More at once make connections that are not kept.
_KEPT = 32


def lxd_client(path: str, timeout: float | tuple[float, float]) -> pylxd.Client:
    """Return pylxd's client of the LXD at this socket; it asks LXD who it is.

    `timeout` as requests takes it, in seconds. Raises what pylxd and requests do.
    """
    endpoint = f"http+unix://{quote(path, safe='')}"
    return pylxd.Client(endpoint=endpoint, session=lxd_session(path), timeout=timeout)


def lxd_session(path: str) -> requests.Session:
    """Return a session in which every address is one of LXD's at this socket."""
    session = requests.Session()
    # Else each request looks for proxies and a .netrc, which takes a quarter of its time.
    session.trust_env = False
    session.mount("http+unix://", _UnixAdapter(path))
    return session


class _Connection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("lxd")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Pool(urllib3.HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("lxd", maxsize=_KEPT)
        self._path = path

    def _new_conn(self) -> _Connection:
        return _Connection(self._path)


class _UnixAdapter(HTTPAdapter):
    def __init__(self, path: str) -> None:
        self._pool = _Pool(path)
        super().__init__()

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> _Pool:
        return self._pool

    def request_url(self, request: requests.PreparedRequest, _: Any) -> str:
        return request.path_url

    def close(self) -> None:
        self._pool.close()
