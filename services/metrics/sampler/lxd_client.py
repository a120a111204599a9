"""LXD as the sampler asks and hears it; the only border where pylxd and its errors exist.

pylxd's objects would ask once more for each instance. Its raw API takes the one request that
answers for all, and msgspec reads from the answer no more than is needed. An entry that it cannot
read, and a question that LXD refuses, leave the others as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import requests
from pylxd import EventType
from pylxd.exceptions import ClientConnectionFailed, LXDAPIException
from ws4py.exc import WebSocketException

from services.metrics.sampler.lifecycle_events import LxdEvent, identity_in
from services.metrics.sampler.lxd_decoding import entries, instance_in, readable
from services.metrics.sampler.lxd_metrics import details_in
from services.metrics.sampler.lxd_models import DescribedInstance, Space
from services.metrics.sampler.reading import Identity, Pools
from services.metrics.sampler.sanitize import TOO_MANY, Dropped, fits
from services.metrics.sampler.usage import Details, InstanceRefused
from shared.contracts.bounds import Count
from shared.contracts.errors import LxdUnavailable
from shared.contracts.instances import DEFAULT_PROJECT
from shared.platform.lxd_events import all_projects, reader
from shared.platform.lxd_scope import LxdScope
from shared.platform.lxd_session import AnswerTooLong, lxd_client

_log = logging.getLogger(__name__)

# Some eight thousand instances in one answer; one guest with hundreds of thousands of addresses.
MOST_ANSWER_BYTES = 32 << 20

EVERYWHERE = {"all-projects": "true"}

_AWAY = (
    ClientConnectionFailed,
    LXDAPIException,
    OSError,  # requests' own errors too, and an answer that is too long
    WebSocketException,
    ValueError,  # an answer that is none: msgspec's errors, bytes that are no UTF-8
    RecursionError,
)


class _Answer(msgspec.Struct):
    metadata: msgspec.Raw


class _Environment(msgspec.Struct, frozen=True):
    server_name: str = ""
    server_clustered: bool = False


class _About(msgspec.Struct):
    environment: _Environment = _Environment()


class _Listed(msgspec.Struct):
    name: str
    project: str = DEFAULT_PROJECT
    location: str = ""


class _Pool(msgspec.Struct):
    name: str


class _Resources(msgspec.Struct):
    space: Space


class _Profile(msgspec.Struct):
    devices: dict[str, dict[str, str]] = {}


class LxdClient:
    """One LXD; it is connected to when first needed, so it may be away at our start.

    Of one answer no more than `most_bytes` are read.
    """

    def __init__(
        self,
        host: str,
        socket: Path,
        timeout_s: float,
        scope: LxdScope,
        most_bytes: int = MOST_ANSWER_BYTES,
    ) -> None:
        self._host = host
        self._most_bytes = most_bytes
        self._scope = scope
        self._socket = str(socket)
        self._timeout_s = timeout_s
        self._client: Any = None

    def instances(self) -> Sequence[DescribedInstance]:
        """Return all instances of this host with their state; raise LxdUnavailable."""
        with self._border():
            try:
                answer = self._get("instances", recursion=2, **EVERYWHERE)
            except AnswerTooLong:
                return self._instances_one_by_one()
            found = [instance_in(entry) for entry in entries(answer)]
        return [one for one in found if self._scope.covers(one.project, one.location)]

    def _instances_one_by_one(self) -> Sequence[DescribedInstance]:
        found = []
        for project, name in self._identities():
            with suppress(InstanceRefused):
                found.append(self.instance(project, name))
        return [one for one in found if one and self._scope.covers(one.project, one.location)]

    def _identities(self) -> list[Identity]:
        try:
            listed = readable(self._get("instances", recursion=1, **EVERYWHERE), _Listed)
        except AnswerTooLong:
            paths = msgspec.json.decode(self._get("instances", **EVERYWHERE), type=list[str])
            return [identity_in(path) for path in paths]
        covered = (one for one in listed if self._scope.covers(one.project, one.location))
        return [(one.project, one.name) for one in covered]

    def instance(self, project: str, name: str) -> DescribedInstance | None:
        """Return one instance with its state, None if there is none.

        Raises InstanceRefused where LXD says anything else of it, LxdUnavailable where it is away.
        """
        with self._border():
            try:
                path = ("instances", quote(name, safe=""))
                answer = self._get(*path, project=project, recursion=1)
            except LXDAPIException as exc:
                if exc.response.status_code == requests.codes.not_found:
                    return None
                raise InstanceRefused from exc
            except AnswerTooLong as exc:
                raise InstanceRefused from exc
        return instance_in(answer)

    def details(self, dropped: Dropped) -> Mapping[Identity, Details]:
        """Return what LXD's metrics tell, nothing where it has or gives none.

        Raises LxdUnavailable.
        """
        with self._border():
            try:
                text = self._read(self._connected().api.metrics)
            except LXDAPIException as exc:
                _log.debug("lxd tells no metrics", extra={"status": exc.response.status_code})
                return {}
            except AnswerTooLong:
                dropped[TOO_MANY] += 1
                return {}
            return details_in(text.decode(errors="replace"), dropped)

    def listen(self, opened: Callable[[], None], heard: Callable[[LxdEvent], None]) -> None:
        """Call `opened` when LXD has begun to tell, `heard` for each event, until LXD goes away.

        Raises LxdUnavailable when it does not begin or breaks off; returns when LXD ends it.
        Neither function may wait for anything.
        """

        def heard_here(event: LxdEvent) -> None:
            if self._scope.covers(event.project, event.location):
                heard(event)

        with self._border():
            events = self._connected().events(reader(LxdEvent, heard_here), {EventType.Lifecycle})
            socket = all_projects(events)
            socket.connect()
            opened()
            socket.run()

    def pools(self) -> Pools:
        """Return the space of the storage pools that tell it; raise LxdUnavailable."""
        with self._border():
            spaces = {name: self._space(name) for name in self._pool_names()}
            known = {name: space for name, space in spaces.items() if space is not None}
            return Pools(known, default=self._default_pool())

    def _pool_names(self) -> list[str]:
        try:
            answer = self._get("storage-pools", recursion=1)
        except LXDAPIException as exc:
            _log.debug("lxd tells no storage pools", extra={"status": exc.response.status_code})
            return []
        with suppress(ValueError):
            return [pool.name for pool in readable(answer, _Pool)]
        return []

    def _space(self, pool: str) -> Space | None:
        try:
            answer = self._get("storage-pools", quote(pool, safe=""), "resources")
            space = msgspec.json.decode(answer, type=_Resources).space
        except (LXDAPIException, AnswerTooLong, requests.Timeout, ValueError, RecursionError):
            return None  # a pool that is broken or cannot tell must not hide the others
        return space if fits(space.used, Count) and fits(space.total, Count) else None

    def _default_pool(self) -> str:
        try:
            answer = self._get("profiles", "default")
            profile = msgspec.json.decode(answer, type=_Profile)
        except (LXDAPIException, AnswerTooLong, ValueError, RecursionError):
            return ""
        roots = [each for each in profile.devices.values() if each.get("path") == "/"]
        return roots[0].get("pool", "") if roots else ""

    def _get(self, *path: str, **params: int | str) -> msgspec.Raw:
        node = self._connected().api
        for part in path:
            node = node[part]
        return msgspec.json.decode(self._read(node, **params), type=_Answer).metadata

    def _read(self, node: Any, **params: int | str) -> bytes:
        # As a stream: else pylxd would make objects of it before we do.
        try:
            response = node.get(params=params, stream=True)
        except LXDAPIException as exc:
            exc.response.close()
            raise
        content: bytes = response.content
        return content

    def _connected(self) -> Any:
        if self._client is None:
            client = lxd_client(self._socket, self._timeout_s, self._most_bytes)
            about = msgspec.convert(client.host_info, _About).environment
            self._scope.learn(about.server_name, clustered=about.server_clustered)
            self._client = client
        return self._client

    @contextmanager
    def _border(self) -> Iterator[None]:
        try:
            yield
        except _AWAY as exc:
            raise LxdUnavailable(self._host) from exc
