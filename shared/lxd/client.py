"""A client of LXD's and Incus's REST API: requests, waiting for operations, and their errors.

Of pylxd the events are used. Its models send another request for each instance, and raise with
status 200 if a request fails that LXD had accepted; its `api` makes objects of every answer.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import pylxd
import requests
from pylxd.exceptions import ClientConnectionFailed, LXDAPIException
from ws4py.exc import WebSocketException

from shared.contracts.bounds import LONGEST_WORD
from shared.contracts.errors import FleetError, LxdBusy, LxdRefused, LxdUnavailable
from shared.lxd.decoding import UNREADABLE, decode_in_part
from shared.lxd.errors import (
    REFUSALS,
    LxdNotFound,
    PreconditionFailed,
    UnreadableAnswer,
    error_for,
)
from shared.lxd.models import LxdTask
from shared.lxd.session import lxd_client
from shared.lxd.transport import LxdResponse, LxdTransport

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

CONNECT_S = 5.0
READ_S = 15.0
# A busy LXD may be slow to accept a request; giving up early only leaves the outcome in doubt.
ACCEPT_S = 60.0

# An eighth of a worker's memory: 10,000 instances with 6 KB of configuration each. A guest with
# endless addresses has a state of more.
MOST_ANSWER_BYTES = 64 << 20

# Of an answer with an invalid value: it is decoded to plain values, in ten times as much memory.
MOST_BYTES_IN_PART = 16 << 20

# An error is short, while LXD's lists are long.
MOST_REFUSAL_BYTES = 64 << 10

_TRIES = 5

# What a request, or pylxd, raises where LXD does not answer.
_NO_ANSWER = (
    OSError,
    HTTPException,
    ClientConnectionFailed,
    requests.RequestException,
    WebSocketException,
)
_JSON = {"Content-Type": "application/json"}
_NO_HEADERS: Mapping[str, str] = {}
# What stays as it is in a target that is written as a whole.
_IN_TARGETS = "!#$%&'()*+,/:;=?@[]~"

_NO_NAMES = frozenset({"", ".", ".."})
# The fields by which LXD identifies an entry of a list.
_NAMES = ("name", "fingerprint", "id")


def _log_unreadable(subject: str, place: str) -> None:
    log.warning("a part of lxd's answer is left out", extra={"subject": subject, "place": place})


class LxdClient:
    """A client of the LXD at a unix socket; connects at the first request, again after an outage.

    Whatever can be read of an answer is read: one value that no release of LXD writes must not hide
    the others. `on_unreadable` is called for each with what it is about, and its place in the
    answer. Only what is to be written back is read as a whole or not at all.

    Every request raises LxdNotFound, LxdRefused, LxdBusy (refused for the moment) or LxdUnavailable
    (no answer, an unreadable one, or one that it is not ready), which names `host`; one with an
    ETag also PreconditionFailed. No more than `most_bytes` of an answer are read.
    """

    def __init__(
        self,
        socket: str | Path,
        host: str = "",
        on_unreadable: Callable[[str, str], None] = _log_unreadable,
        *,
        read_s: float = READ_S,
        most_bytes: int = MOST_ANSWER_BYTES,
    ) -> None:
        self.socket = str(socket)
        self.host = host or self.socket
        self._on_unreadable = on_unreadable
        self._read_s = read_s
        self._connect_s = min(CONNECT_S, read_s)
        self._most_bytes = most_bytes
        self._transport = LxdTransport(self.socket, most_bytes)
        self._client: pylxd.Client | None = None

    def get(
        self,
        kind: type[T],
        *path: str,
        params: Mapping[str, object] | None = None,
        answer_s: float | None = None,
    ) -> T:
        """Return LXD's answer to a GET."""
        with self._reading(path):
            return self._decode(self._get(path, params, answer_s), kind, path)

    def get_raw(self, *path: str, params: Mapping[str, object] | None = None) -> msgspec.Raw:
        """Return LXD's answer to a GET, undecoded.

        Raises UnreadableAnswer if it is no JSON, AnswerTooLong if it is too long.
        """
        response = self._get(path, params)
        try:
            return _metadata(response, msgspec.Raw)
        except UNREADABLE as exc:
            raise UnreadableAnswer(str(exc)) from exc

    def get_content(self, *path: str) -> bytes:
        """Return a file as it is; raise AnswerTooLong."""
        return self._get(path).content

    def get_end(self, *path: str, params: Mapping[str, object], most_bytes: int) -> bytes:
        """Return the end of a file."""
        headers = {"Range": f"bytes=-{most_bytes}"}
        with self._reading(path):
            return self._get(path, params, headers=headers).content[-most_bytes:]

    def get_to_replace(
        self, kind: type[T], *path: str, params: Mapping[str, object]
    ) -> tuple[T, str]:
        """Return LXD's answer to a GET, and the ETag for a PUT of it.

        That PUT would remove what cannot be read: raises LxdRefused then.
        """
        with self._reading(path):
            response = self._get(path, params)
            try:
                return _metadata(response, kind), response.headers.get("ETag", "")
            except UNREADABLE as exc:
                self._decode(response, kind, path)
                raise LxdRefused("what LXD says of it cannot be read in full") from exc

    def edit(
        self,
        kind: type[R],
        answer: type[T],
        *path: str,
        params: Mapping[str, object],
        change: Callable[[R], object],
    ) -> T:
        """Return LXD's answer to a PUT of a changed version of what stands at a path.

        `change` returns the version; it is called again if LXD has changed it meanwhile, as it does
        with an instance's `volatile` settings.
        """
        for _ in range(_TRIES):
            found, etag = self.get_to_replace(kind, *path, params=params)
            with suppress(PreconditionFailed):
                return self.put(answer, *path, params=params, body=change(found), etag=etag)
        raise LxdRefused("the instance does not stop changing")

    def put(
        self,
        kind: type[T],
        *path: str,
        params: Mapping[str, object],
        body: object,
        etag: str = "",
    ) -> T:
        """Return LXD's answer to a PUT."""
        return self._send(kind, "PUT", path, params, body, etag)

    def patch(self, *path: str, params: Mapping[str, object], body: object, etag: str = "") -> None:
        """Change a part of something; LXD has done so when this returns."""
        self._send(Any, "PATCH", path, params, body, etag)

    def post(self, kind: type[T], *path: str, params: Mapping[str, object], body: object) -> T:
        """Return LXD's answer to a POST."""
        return self._send(kind, "POST", path, params, body)

    def delete(self, kind: type[T], *path: str, params: Mapping[str, object] | None = None) -> T:
        """Return LXD's answer to a DELETE."""
        return self._send(kind, "DELETE", path, params)

    def wait(self, kind: type[T], lxd_operation: str, timeout_s: int) -> T:
        """Return one of LXD's operations at its end, or as it is after the time-out."""
        path = ("operations", lxd_operation)
        answer_s = timeout_s + self._read_s
        try:
            return self.get(kind, *path, "wait", params={"timeout": timeout_s}, answer_s=answer_s)
        except REFUSALS:
            # LXD since 5.15, and Incus before 6.12 and 6.0.5, answer whoever waits with the error
            # of an operation that fails, or goes on after the time-out, and not with its state.
            return self.get(kind, *path)

    def call(self, method: str, target: str, body: object = None, timeout_s: int = 120) -> Any:
        """Send a request, wait for the operation it may start, and return its metadata.

        `target` is a path with its query; a body is sent as JSON, bytes as they are. Also raises
        the error of the operation.
        """
        with self._reading((target,)):
            target = quote(target, safe=_IN_TARGETS)
            response = self._request(method, target, timeout_s + self._read_s, body)
            if response.status != HTTPStatus.ACCEPTED:
                return self._decode(response, Any, (target,))
            begun = self._decode(response, LxdTask, (target,))
        done = self.wait(LxdTask, begun.id, timeout_s)
        if done.running:
            raise LxdBusy(f"{method} {target} is not over after {timeout_s} s")
        if done.error:
            raise done.error
        return done.metadata

    @contextmanager
    def connection(self) -> Iterator[pylxd.Client]:
        """Yield pylxd's client, for LXD's events; its errors become ours."""
        with self._translated():
            if self._client is None:
                timeout = (self._connect_s, self._read_s)
                self._client = lxd_client(self.socket, timeout, self._most_bytes)
            yield self._client

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except LXDAPIException as exc:
            raise self._error(exc.response.status_code, exc.response.content) from exc
        except _NO_ANSWER as exc:
            raise LxdUnavailable(self.host) from exc

    def _get(
        self,
        path: tuple[str, ...],
        params: Mapping[str, object] | None = None,
        answer_s: float | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> LxdResponse:
        answer_s = self._read_s if answer_s is None else answer_s
        return self._request("GET", _target(path, params), answer_s, headers=headers)

    def _send(
        self,
        kind: type[T],
        method: str,
        path: tuple[str, ...],
        params: Mapping[str, object] | None,
        body: object = None,
        etag: str = "",
    ) -> T:
        headers = {"If-Match": etag} if etag else _NO_HEADERS
        with self._reading(path):
            target = _target(path, params)
            response = self._request(method, target, ACCEPT_S, body, headers)
            return self._decode(response, kind, path)

    def _request(
        self,
        method: str,
        target: str,
        answer_s: float,
        body: object = None,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> LxdResponse:
        if body is None or isinstance(body, bytes):
            content = body
        else:
            content, headers = json.dumps(body, allow_nan=False).encode(), {**headers, **_JSON}
        timeout = (self._connect_s, answer_s)
        with _logged(method, target), self._translated():
            response = self._transport.request(method, target, headers, content, timeout)
            if not response.ok:
                raise self._error(response.status, response.content)
            if late := _late_refusal(response):
                raise error_for(late.error_code, late.error, self.host)
        return response

    def _decode(self, response: LxdResponse, kind: type[T], path: tuple[str, ...]) -> T:
        try:
            return _metadata(response, kind)
        except UNREADABLE:
            part = decode_in_part(response.content, _Answer[kind], MOST_BYTES_IN_PART)  # type: ignore[valid-type]
        for place in part.left_out:
            self._on_unreadable(_subject(path, place, part.plain), place)
        found: T = part.value.metadata
        return found

    @contextmanager
    def _reading(self, path: tuple[str, ...]) -> Iterator[None]:
        try:
            yield
        except UnreadableAnswer as exc:
            reason = {"path": "/".join(path), "reason": str(exc)}
            log.warning("lxd's answer cannot be read", extra=reason)
            raise LxdUnavailable(self.host) from exc

    def _error(self, status: int, content: bytes) -> Exception:
        told = _refusal_in(content)
        reason = told.error if told else content.decode(errors="replace")
        return error_for(status, reason, self.host)


@contextmanager
def _logged(method: str, target: str) -> Iterator[None]:
    began = time.monotonic()
    place = target.partition("?")[0].removeprefix("/1.0/")
    said: dict[str, object] = {"method": method, "path": place}
    try:
        yield
    except (FleetError, LxdNotFound, PreconditionFailed) as exc:
        said["refused"] = str(exc) or type(exc).__name__
        raise
    finally:
        said["took_ms"] = round((time.monotonic() - began) * 1000, 1)
        log.log(logging.DEBUG if method == "GET" else logging.INFO, "lxd asked", extra=said)


class _Answer(msgspec.Struct, Generic[T]):
    metadata: T


class _Refusal(msgspec.Struct):
    error: str
    error_code: int = 0
    type: str = ""


def _target(path: tuple[str, ...], params: Mapping[str, object] | None) -> str:
    """Return the target of a request; raise LxdNotFound for a name that leads elsewhere."""
    if not _NO_NAMES.isdisjoint(path):
        raise LxdNotFound
    place = "/1.0" + "".join(f"/{quote(part, safe='')}" for part in path)
    return f"{place}?{urlencode(params)}" if params else place


def _late_refusal(response: LxdResponse) -> _Refusal | None:
    """Return the error in an answer with the HTTP status 200.

    Incus 6.0 sends the head of its answer to whoever waits before it knows how the wait ends.
    """
    is_json = "json" in response.headers.get("Content-Type", "")
    if not is_json or len(response.content) > MOST_REFUSAL_BYTES:
        return None
    said = _refusal_in(response.content)
    return said if said and said.type == "error" else None


def _refusal_in(content: bytes) -> _Refusal | None:
    try:
        return msgspec.json.decode(content, type=_Refusal)
    except UNREADABLE:
        return None


def _metadata(response: LxdResponse, kind: type[T]) -> T:
    return msgspec.json.decode(response.content, type=_Answer[kind]).metadata  # type: ignore[valid-type]


def _subject(path: tuple[str, ...], place: str, plain: Any) -> str:
    """Return what a place in an answer is about: in a list, the name of the entry."""
    _, number, *_ = (*place.split("."), "")
    listed = plain["metadata"]
    if isinstance(listed, list) and number.isdecimal() and isinstance(listed[int(number)], dict):
        named = next((one for key in _NAMES if (one := listed[int(number)].get(key))), number)
        return "/".join((*path, str(named)[:LONGEST_WORD]))
    return "/".join(path)
