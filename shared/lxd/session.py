"""HTTP over LXD's unix socket, for pylxd: all requests share connections, whatever they are for.

pylxd's own session keeps a connection for each URL with its query, so that most requests open a new
one, and warns of each that it cannot keep. It also reads answers of any length, and a guest can
make LXD's answer about it as long as it likes.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pylxd
import requests
import urllib3
from pylxd.exceptions import ClientConnectionFailed
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection

from shared.lxd.errors import AnswerTooLong

# More at once make connections that are not kept.
_KEPT = 32
# LXD says in it why it refuses, sometimes in the words of a program that it has run.
MOST_ERROR_BYTES = 1 << 16


def lxd_client(path: str, timeout: float | tuple[float, float], most_bytes: int) -> pylxd.Client:
    """Return pylxd's client of the LXD at this socket; it asks LXD who it is.

    `timeout` as requests takes it, in seconds; `most_bytes` as in `lxd_session`. Raises what pylxd
    and requests do.
    """
    endpoint = f"http+unix://{quote(path, safe='')}"
    session = lxd_session(path, most_bytes)
    try:
        return pylxd.Client(endpoint=endpoint, session=session, timeout=timeout)
    except (ValueError, LookupError, TypeError, RecursionError, AnswerTooLong) as exc:
        # pylxd takes it for granted that the answer is LXD's.
        raise ClientConnectionFailed("what answers is no LXD") from exc


def lxd_session(path: str, most_bytes: int) -> requests.Session:
    """Return a session in which every address is one of LXD's at this socket.

    Of one answer no more than `most_bytes` are read: reading it raises AnswerTooLong. An error is
    cut.
    """
    session = requests.Session()
    # Else each request looks for proxies and a .netrc, which takes a quarter of its time.
    session.trust_env = False
    session.mount("http+unix://", _UnixAdapter(path, most_bytes))
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


class _Bounded:
    """A response of urllib3's of which no more than so many bytes are read."""

    def __init__(self, raw: Any, most_bytes: int) -> None:
        self._raw = raw
        self._most_bytes = most_bytes

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        left = self._most_bytes
        for piece in self._raw.stream(*args, **kwargs):
            if len(piece) > left:
                self._raw.close()
                if self._raw.status < requests.codes.bad_request:
                    raise AnswerTooLong(f"more than {self._most_bytes} bytes")
                yield piece[:left]
                return
            left -= len(piece)
            yield piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class _UnixAdapter(HTTPAdapter):
    def __init__(self, path: str, most_bytes: int) -> None:
        self._pool = _Pool(path)
        self._most_bytes = most_bytes
        super().__init__()

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().send(*args, **kwargs)
        most = self._most_bytes if response.ok else MOST_ERROR_BYTES
        response.raw = _Bounded(response.raw, most)
        return response

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> _Pool:
        return self._pool

    def request_url(self, request: requests.PreparedRequest, _: Any) -> str:
        return request.path_url

    def close(self) -> None:
        self._pool.close()
