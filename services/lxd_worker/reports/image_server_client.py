"""Downloads files of image servers over HTTP, each bounded in time and size.

The system's certificate authorities are trusted, as by LXD, or those that `REQUESTS_CA_BUNDLE`
names; the usual variables name a proxy.
"""

from __future__ import annotations

import ssl
from urllib.parse import quote

import requests
from eventlet import Timeout
from requests.adapters import HTTPAdapter

from services.lxd_worker.protocols import ImageServerAway

CONNECT_S = 5.0
# Between two pieces, and in total.
READ_S = 15.0
WHOLE_S = 120.0
LARGEST = 32 * 2**20
_PIECE = 65536
_REDIRECTS = 3


def fetch(address: str, path: str, *, largest: int = LARGEST) -> bytes:
    """Return a file below a server's address; raise ImageServerAway.

    A redirection that leaves the address's protocol is not followed.
    """
    url = f"{address.rstrip('/')}/{quote(path)}"
    try:
        with (
            Timeout(WHOLE_S),
            _session(url.partition("//")[0]) as session,
            session.get(url, timeout=(CONNECT_S, READ_S), stream=True) as answer,
        ):
            answer.raise_for_status()
            return _whole(answer, largest)
    except (requests.RequestException, OSError, Timeout) as exc:
        raise ImageServerAway(str(exc) or type(exc).__name__) from exc


def _session(protocol: str) -> requests.Session:
    session = requests.Session()
    session.adapters.clear()
    session.mount(f"{protocol}//", HTTPAdapter())
    session.max_redirects = _REDIRECTS
    system = ssl.get_default_verify_paths()
    session.verify = system.cafile or system.capath or True
    return session


def _whole(answer: requests.Response, largest: int) -> bytes:
    read = bytearray()
    for piece in answer.iter_content(_PIECE):
        read += piece
        if len(read) > largest:
            raise ImageServerAway(f"more than {largest} bytes")
    return bytes(read)
