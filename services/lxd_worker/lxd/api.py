"""Requests to LXD: logged with the correlation id, with LXD's and pylxd's errors made ours.

Whatever can be read of an answer is read: one instance with a value that no release of LXD writes
must not hide the others. Only what is to be written back is read as a whole or not at all.

Only the session and the events of pylxd are used. Its models send another request for each
instance, and raise with status 200 if a request fails that LXD had accepted; its `api` makes
objects of every answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec
import pylxd
import requests
from pylxd.exceptions import ClientConnectionFailed, LXDAPIException

from services.lxd_worker.lxd.models import to_refusal
from services.lxd_worker.omissions import Omission, Omit
from shared.contracts.bounds import LONGEST_WORD
from shared.contracts.errors import FleetError, LxdBusy, LxdRefused, LxdUnavailable
from shared.contracts.fitting import Unfit, fit, parse
from shared.platform.lxd_session import AnswerTooLong, lxd_client

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

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_TRIES = 5
_NO_NAMES = frozenset({"", ".", ".."})
# The fields by which LXD identifies an entry of a list.
_NAMES = ("name", "fingerprint", "id")


class NotThere(Exception):
    """LXD answered 404."""


class Stale(Exception):
    """What was to be replaced has changed since it was read."""


class Api:
    """LXD's REST API; connects at the first request, and again after LXD was away.

    Every request raises NotThere, LxdRefused, LxdBusy (refused for the moment) or LxdUnavailable
    (no answer, an unreadable one, or one that it is not ready); one with an ETag also Stale. No
    more than `most_bytes` of an answer are read. LXD listens at the path `socket`.
    """

    def __init__(
        self, socket: str, host: str, omit: Omit, most_bytes: int = MOST_ANSWER_BYTES
    ) -> None:
        self._most_bytes = most_bytes
        self.socket = socket
        self._host = host
        self._omit = omit
        self._client: pylxd.Client | None = None

    def get(
        self,
        kind: type[T],
        *path: str,
        params: Mapping[str, object] | None = None,
        answer_s: float = READ_S,
    ) -> T:
        """Return LXD's answer to a GET."""
        response = self._request("get", path, answer_s, params=dict(params or {}))
        return self._read(response, kind, path)

    def end_of_file(self, *path: str, params: Mapping[str, object], most_bytes: int) -> bytes:
        """Return the end of a file, which LXD sends as it is."""
        headers = {"Range": f"bytes=-{most_bytes}"}
        response = self._request("get", path, READ_S, params=dict(params), headers=headers)
        return response.content[-most_bytes:]

    def get_to_replace(
        self, kind: type[T], *path: str, params: Mapping[str, object]
    ) -> tuple[T, str]:
        """Return LXD's answer to a GET, and the ETag for a PUT of it.

        That PUT would remove what cannot be read: raises LxdRefused then.
        """
        response = self._request("get", path, READ_S, params=dict(params))
        try:
            return _decoded(response, kind), response.headers.get("ETag", "")
        except _UNREADABLE as exc:
            self._read_in_part(response, kind, path)
            raise LxdRefused("LXD's answer cannot be read in full") from exc

    def put(
        self,
        kind: type[T],
        *path: str,
        params: Mapping[str, object],
        body: object,
        etag: str = "",
    ) -> T:
        """Return LXD's answer to a PUT."""
        headers = {"If-Match": etag} if etag else {}
        options: dict[str, object] = {"params": dict(params), "json": body, "headers": headers}
        return self._read(self._request("put", path, ACCEPT_S, **options), kind, path)

    def edit(
        self,
        kind: type[R],
        answer: type[T],
        *path: str,
        params: Mapping[str, object],
        change: Callable[[R], object],
    ) -> T:
        """Return LXD's answer to a PUT of a changed version of what is at a path.

        `change` returns the version; it is called again if LXD has changed it meanwhile, as it does
        with an instance's `volatile` settings.
        """
        for _ in range(_TRIES):
            found, version = self.get_to_replace(kind, *path, params=params)
            try:
                return self.put(answer, *path, params=params, body=change(found), etag=version)
            except Stale:
                continue
        raise LxdRefused("the instance keeps changing")

    def patch(self, *path: str, params: Mapping[str, object], body: object, etag: str = "") -> None:
        """Change a part of something; LXD has done so when this returns."""
        headers = {"If-Match": etag} if etag else {}
        options: dict[str, object] = {"params": dict(params), "json": body, "headers": headers}
        self._request("patch", path, ACCEPT_S, **options)

    def post(self, kind: type[T], *path: str, params: Mapping[str, object], body: object) -> T:
        """Return LXD's answer to a POST."""
        response = self._request("post", path, ACCEPT_S, params=dict(params), json=body)
        return self._read(response, kind, path)

    def delete(self, kind: type[T], *path: str, params: Mapping[str, object] | None = None) -> T:
        """Return LXD's answer to a DELETE."""
        response = self._request("delete", path, ACCEPT_S, params=dict(params or {}))
        return self._read(response, kind, path)

    def wait(self, kind: type[T], lxd_operation: str, timeout_s: int) -> T:
        """Return one of LXD's operations at its end, or as it is after the time-out."""
        path = ("operations", lxd_operation)
        answer_s = timeout_s + READ_S
        try:
            return self.get(kind, *path, "wait", params={"timeout": timeout_s}, answer_s=answer_s)
        except (NotThere, Stale, LxdRefused, LxdBusy):
            # LXD since 5.15, and Incus before 6.12 and 6.0.5, answer whoever waits with the error
            # of an operation that fails, or goes on after the time-out, and not with its state.
            return self.get(kind, *path)

    @contextmanager
    def client(self) -> Iterator[pylxd.Client]:
        """Yield pylxd's client; its errors become ours."""
        try:
            if self._client is None:
                self._client = lxd_client(self.socket, (CONNECT_S, READ_S), self._most_bytes)
            yield self._client
        except LXDAPIException as exc:
            raise self._refusal(exc.response.status_code, _reason(exc.response)) from exc
        except (ClientConnectionFailed, requests.RequestException, OSError) as exc:
            raise LxdUnavailable(self._host) from exc

    def _request(
        self, method: str, path: tuple[str, ...], answer_s: float, **options: Any
    ) -> requests.Response:
        with _logged(method, path), self.client() as client:
            timeout = (CONNECT_S, answer_s)
            try:
                response: requests.Response = client.api.session.request(
                    method, _address(path), timeout=timeout, **options
                )
            except AnswerTooLong as exc:
                raise self._unreadable(path, exc) from exc
            if not response.ok:
                raise self._refusal(response.status_code, _reason(response))
            if late := _late_refusal(response):
                raise self._refusal(late.error_code, late.error)
        return response

    def _read(self, response: requests.Response, kind: type[T], path: tuple[str, ...]) -> T:
        try:
            return _decoded(response, kind)
        except _UNREADABLE:
            return self._read_in_part(response, kind, path)

    def _read_in_part(self, response: requests.Response, kind: type[T], path: tuple[str, ...]) -> T:
        if len(response.content) > MOST_BYTES_IN_PART:
            odd = Unfit(f"more than {MOST_BYTES_IN_PART} bytes, and not as they should be")
            raise self._unreadable(path, odd)
        try:
            said = parse(response.content)
            answer, left_out = fit(_Answer[kind], said)  # type: ignore[valid-type]
        except (Unfit, RecursionError) as exc:
            raise self._unreadable(path, exc) from exc
        for place in left_out:
            self._omit(Omission.ANSWER, _subject(path, place, said), place)
        found: T = answer.metadata
        return found

    def _unreadable(self, path: tuple[str, ...], exc: Exception) -> LxdUnavailable:
        reason = {"path": "/".join(path), "reason": str(exc)}
        log.warning("lxd's answer cannot be read", extra=reason)
        return LxdUnavailable(self._host)

    def _refusal(self, status: int, reason: str) -> Exception:
        if status == requests.codes.not_found:
            return NotThere()
        if status == requests.codes.precondition_failed:
            return Stale()
        if status == requests.codes.service_unavailable:
            return LxdUnavailable(self._host)
        return to_refusal(reason)


@contextmanager
def _logged(method: str, path: tuple[str, ...]) -> Iterator[None]:
    began = time.monotonic()
    said: dict[str, object] = {"method": method.upper(), "path": "/".join(path)}
    try:
        yield
    except (FleetError, NotThere, Stale) as exc:
        said["refused"] = str(exc) or type(exc).__name__
        raise
    finally:
        said["took_ms"] = round((time.monotonic() - began) * 1000, 1)
        log.log(logging.DEBUG if method == "get" else logging.INFO, "lxd asked", extra=said)


class _Answer(msgspec.Struct, Generic[T]):
    metadata: T


class _Refusal(msgspec.Struct):
    error: str
    error_code: int = 0
    type: str = ""


def _address(path: tuple[str, ...]) -> str:
    """Return the URL of a path; raise NotThere for a name that LXD would take for another path."""
    if not _NO_NAMES.isdisjoint(path):
        raise NotThere
    return "http+unix://lxd/1.0" + "".join(f"/{quote(part, safe='')}" for part in path)


def _late_refusal(response: requests.Response) -> _Refusal | None:
    """Return the error in an answer with the HTTP status 200.

    Incus 6.0 sends the head of its answer to whoever waits before it knows how the wait ends.
    """
    is_json = "json" in response.headers.get("Content-Type", "")
    if not is_json or len(response.content) > MOST_REFUSAL_BYTES:
        return None
    said = _refusal_in(response)
    return said if said and said.type == "error" else None


def _reason(response: requests.Response) -> str:
    said = _refusal_in(response)
    return said.error if said else response.content.decode(errors="replace")


def _refusal_in(response: requests.Response) -> _Refusal | None:
    try:
        return msgspec.json.decode(response.content, type=_Refusal)
    except _UNREADABLE:
        return None


def _decoded(response: requests.Response, kind: type[T]) -> T:
    return msgspec.json.decode(response.content, type=_Answer[kind]).metadata  # type: ignore[valid-type]


def _subject(path: tuple[str, ...], place: str, said: Any) -> str:
    """Return what a place in an answer is about: in a list, the name of the entry."""
    _, number, *_ = (*place.split("."), "")
    listed = said["metadata"]
    if isinstance(listed, list) and number.isdecimal() and isinstance(listed[int(number)], dict):
        named = next((one for key in _NAMES if (one := listed[int(number)].get(key))), number)
        return "/".join((*path, str(named)[:LONGEST_WORD]))
    return "/".join(path)
